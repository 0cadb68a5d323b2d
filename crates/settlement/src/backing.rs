//! Asking the endpoints about large transfers before they are settled.
//!
//! Never holds up anything else: what is not agreed on is left where it is, named, and asked about again.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use inspay_ledger::TransferRecord;
use inspay_ports::Chain;
use inspay_primitives::{AssetId, B256, Clock, Timestamp, Transfer, TransferId};

use crate::agreement::{AgreementRule, Wanting};

/// How long the endpoints are left alone about a transfer that they do not agree on.
const ASKED_EVERY_MICROS: i64 = 5_000_000;
/// Transfers that are asked about at once: each is two calls to every endpoint.
const ASKED_AT_ONCE: usize = 32;

/// A transfer that waits for the endpoints' word.
#[derive(Clone, Debug)]
struct Waiting {
    block_hash: B256,
    asked_at: Timestamp,
    why: Wanting,
}

/// Which transfers wait for the endpoints' word, and why.
#[derive(Debug, Default)]
pub(crate) struct Backing {
    rules: HashMap<AssetId, AgreementRule>,
    waiting: Mutex<HashMap<TransferId, Waiting>>,
}

impl Backing {
    pub(crate) fn new(rules: HashMap<AssetId, AgreementRule>) -> Self {
        Self { rules, waiting: Mutex::default() }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<TransferId, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The transfers that wait, each with why.
    pub(crate) fn views(&self) -> Vec<(TransferId, Wanting)> {
        let waiting = self.waiting();
        waiting.iter().map(|(transfer, waits)| (*transfer, waits.why.clone())).collect()
    }

    fn rule_for(&self, transfer: &Transfer) -> Option<&AgreementRule> {
        let rule = self.rules.get(&transfer.key.asset())?;
        rule.applies_to(transfer.base_units).then_some(rule)
    }

    /// The records without those that the endpoints do not agree on, in the order they came.
    pub(crate) async fn backed(
        &self,
        chain: &dyn Chain,
        clock: &dyn Clock,
        records: Vec<TransferRecord>,
    ) -> Vec<TransferRecord> {
        if self.rules.is_empty() {
            return records;
        }
        let now = clock.now();
        let due: Vec<Transfer> = records
            .iter()
            .map(|record| record.transfer)
            .filter(|transfer| self.rule_for(transfer).is_some() && self.is_due(transfer, now))
            .collect();
        for some in due.chunks(ASKED_AT_ONCE) {
            self.ask(chain, some, now).await;
        }
        let waiting = self.waiting();
        metrics::gauge!(
            "inspay_settlement_awaiting_agreement", "chain" => chain.chain_id().to_string()
        )
        .set(u32::try_from(waiting.len()).unwrap_or(u32::MAX));
        let is_backed = |record: &TransferRecord| {
            self.rule_for(&record.transfer).is_none()
                || !waiting.contains_key(&record.transfer.key.id())
        };
        records.into_iter().filter(is_backed).collect()
    }

    fn is_due(&self, transfer: &Transfer, now: Timestamp) -> bool {
        self.waiting().get(&transfer.key.id()).is_none_or(|waits| {
            let since = now.micros().saturating_sub(waits.asked_at.micros());
            waits.block_hash != transfer.block.hash || ASKED_EVERY_MICROS <= since
        })
    }

    async fn ask(&self, chain: &dyn Chain, transfers: &[Transfer], now: Timestamp) {
        let agreements = chain.agreed(transfers).await;
        for (place, transfer) in transfers.iter().enumerate() {
            let Some(rule) = self.rule_for(transfer) else { continue };
            let judged = match &agreements {
                Ok(agreements) => agreements.get(place).map_or_else(
                    || Err(Wanting::Unasked("no answer about it".to_owned())),
                    |agreement| rule.judge(agreement),
                ),
                Err(error) => Err(Wanting::Unasked(error.kind.to_string())),
            };
            self.note(transfer, judged, now);
        }
    }

    fn note(&self, transfer: &Transfer, judged: Result<(), Wanting>, now: Timestamp) {
        let id = transfer.key.id();
        let mut waiting = self.waiting();
        match judged {
            Ok(()) => {
                if waiting.remove(&id).is_some() {
                    tracing::info!(transfer.id = %id, "the endpoints agree on the transfer now");
                }
            }
            Err(why) => {
                if waiting.get(&id).is_none_or(|before| before.why != why) {
                    tracing::warn!(
                        chain.id = transfer.key.chain_id.0,
                        transfer.id = %id,
                        tx.hash = %transfer.key.tx_hash,
                        block.number = transfer.block.number,
                        "a transfer waits for its endpoints' word: {why}"
                    );
                }
                let waits = Waiting { block_hash: transfer.block.hash, asked_at: now, why };
                waiting.insert(id, waits);
            }
        }
    }

    /// Forgets those that wait no more: settled elsewhere, or gone from the chain.
    pub(crate) fn keep_only(&self, records: &[TransferRecord]) {
        let mut waiting = self.waiting();
        if !waiting.is_empty() {
            let ids: Vec<TransferId> =
                records.iter().map(|record| record.transfer.key.id()).collect();
            waiting.retain(|id, _| ids.contains(id));
        }
    }
}
