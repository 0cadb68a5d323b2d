//! Whether the endpoints agree on where a transfer stands.
//!
//! Never takes silence for a word: an endpoint that fails, lags or has pruned neither agrees nor
//! contradicts.

use std::{collections::BTreeMap, time::Duration};

use futures::future::join_all;
use inspay_ports::{Agreement, ChainErrorKind};
use inspay_primitives::{B256, Direction, Transfer};
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use tokio::time::timeout;

use crate::{
    endpoint::Endpoint,
    header::{expect_number, read_header},
    log::{ToldLog, transfer_in},
    pool::Pool,
    rpc::Call,
    settings::EvmChainSettings,
};

/// How long an endpoint has to say what it has: the others' transfers wait for it.
const WORD_MAX: Duration = Duration::from_secs(3);

/// What one endpoint says of one transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Testimony {
    Same,
    Silent,
    Other(String),
}

/// A receipt with no more read than where it stands and what it logged.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PlacedReceipt {
    block_hash: B256,
    logs: Vec<ToldLog>,
}

/// Asks all endpoints at once.
pub(crate) async fn agreed(
    pool: &Pool,
    settings: &EvmChainSettings,
    transfers: &[Transfer],
) -> Result<Vec<Agreement>, ChainErrorKind> {
    if transfers.is_empty() {
        return Ok(Vec::new());
    }
    let endpoints = pool.endpoints();
    let asked = endpoints.iter().map(|endpoint| async move {
        let told = timeout(WORD_MAX, testify(endpoint, settings, transfers)).await;
        told.unwrap_or_else(|_| {
            Err(ChainErrorKind::Unreachable(format!("{}: no word in time", endpoint.host())))
        })
    });
    let mut agreements: Vec<Agreement> = transfers
        .iter()
        .map(|_| Agreement { agreeing: 0, asked: 0, contradiction: None })
        .collect();
    let mut said = Vec::new();
    let mut failed = Ok(());
    let mut is_answered = false;
    for (endpoint, told) in endpoints.iter().zip(join_all(asked).await) {
        let told = match told {
            Ok(told) => {
                is_answered = true;
                told
            }
            Err(kind) => {
                pool.note_failure(endpoint, &kind);
                failed = Err(kind);
                vec![Testimony::Silent; transfers.len()]
            }
        };
        for (place, (agreement, testimony)) in agreements.iter_mut().zip(told).enumerate() {
            agreement.asked = agreement.asked.saturating_add(1);
            match testimony {
                Testimony::Same => agreement.agreeing = agreement.agreeing.saturating_add(1),
                Testimony::Silent => {}
                Testimony::Other(what) => {
                    let told = || format!("{}: {what}", endpoint.host());
                    agreement.contradiction.get_or_insert_with(told);
                    said.push((place, endpoint.index(), what));
                }
            }
        }
    }
    convict_contradicted(pool, &agreements, &said);
    if is_answered { Ok(agreements) } else { failed.map(|()| agreements) }
}

/// Names those that say something else than at least two others that agree.
fn convict_contradicted(pool: &Pool, agreements: &[Agreement], said: &[(usize, usize, String)]) {
    for (place, endpoint, what) in said {
        let against = said.iter().filter(|(other, _, _)| other == place).count();
        let agreeing = agreements.get(*place).map_or(0, |agreement| agreement.agreeing);
        let is_outvoted =
            agreeing >= 2 && usize::try_from(agreeing).is_ok_and(|with| against < with);
        if let Some(endpoint) = pool.endpoints().get(*endpoint).filter(|_| is_outvoted) {
            endpoint.convict(what);
        }
    }
}

async fn testify(
    endpoint: &Endpoint,
    settings: &EvmChainSettings,
    transfers: &[Transfer],
) -> Result<Vec<Testimony>, ChainErrorKind> {
    endpoint.confirm_chain().await?;
    let (receipts, canonical) =
        tokio::join!(receipts(endpoint, transfers), canonical(endpoint, settings, transfers));
    let (receipts, canonical) = (receipts?, canonical?);
    let testimony = |transfer: &Transfer| {
        judge(
            transfer,
            receipts.get(&transfer.key.tx_hash),
            canonical.get(&transfer.block.number).copied(),
        )
    };
    Ok(transfers.iter().map(testimony).collect())
}

async fn receipts(
    endpoint: &Endpoint,
    transfers: &[Transfer],
) -> Result<BTreeMap<B256, PlacedReceipt>, ChainErrorKind> {
    let mut hashes: Vec<B256> = transfers.iter().map(|transfer| transfer.key.tx_hash).collect();
    hashes.sort_unstable();
    hashes.dedup();
    let calls: Vec<Call> =
        hashes.iter().map(|hash| Call::new("eth_getTransactionReceipt", json!([hash]))).collect();
    let answers = endpoint.batch::<PlacedReceipt>(&calls).await?;
    let mut receipts = BTreeMap::new();
    for (hash, answer) in hashes.into_iter().zip(answers) {
        match answer {
            Ok(Some(receipt)) => drop(receipts.insert(hash, receipt)),
            // Not there, or not yet.
            Ok(None) | Err(ChainErrorKind::NotYet(_)) => {}
            Err(kind) => return Err(kind),
        }
    }
    Ok(receipts)
}

async fn canonical(
    endpoint: &Endpoint,
    settings: &EvmChainSettings,
    transfers: &[Transfer],
) -> Result<BTreeMap<u64, B256>, ChainErrorKind> {
    let mut numbers: Vec<u64> = transfers.iter().map(|transfer| transfer.block.number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let by_number =
        |number: &u64| Call::new("eth_getBlockByNumber", json!([format!("{number:#x}"), false]));
    let calls: Vec<Call> = numbers.iter().map(by_number).collect();
    let answers = endpoint.batch::<Box<RawValue>>(&calls).await?;
    let mut canonical = BTreeMap::new();
    for (number, answer) in numbers.into_iter().zip(answers) {
        match answer {
            Ok(Some(json)) => {
                let told = read_header(json.get(), settings.header_hash)?.header;
                canonical.insert(number, expect_number(told, number)?.block.hash);
            }
            Ok(None) | Err(ChainErrorKind::NotYet(_)) => {}
            Err(kind) => return Err(kind),
        }
    }
    Ok(canonical)
}

/// What an endpoint's receipt and its canonical block say of a transfer.
fn judge(
    transfer: &Transfer,
    receipt: Option<&PlacedReceipt>,
    canonical: Option<B256>,
) -> Testimony {
    let (number, expected) = (transfer.block.number, transfer.block.hash);
    match canonical {
        None => return Testimony::Silent,
        Some(hash) if hash != expected => {
            return Testimony::Other(format!("block {number} is {hash}, not {expected}"));
        }
        Some(_) => {}
    }
    // A node that keeps no index of old chain transactions has no receipt, and says nothing by it.
    let Some(receipt) = receipt else { return Testimony::Silent };
    let tx_hash = transfer.key.tx_hash;
    if receipt.block_hash != expected {
        let told = receipt.block_hash;
        return Testimony::Other(format!("{tx_hash} is in block {told}, not {expected}"));
    }
    if receipt.logs.iter().any(|log| is_log_of(transfer, log)) {
        Testimony::Same
    } else {
        let index = transfer.log_index;
        Testimony::Other(format!("the receipt of {tx_hash} has no such log {index}"))
    }
}

fn is_log_of(transfer: &Transfer, log: &ToldLog) -> bool {
    let sides = match transfer.key.direction {
        Direction::In => (transfer.counterparty, transfer.key.treasury),
        Direction::Out => (transfer.key.treasury, transfer.counterparty),
    };
    let told = transfer_in(log.topics.as_slice(), log.data.0);
    !log.removed
        && log.address == transfer.key.token
        && log.block_hash == transfer.block.hash
        && log.transaction_hash == transfer.key.tx_hash
        && log.log_index.0 == u64::from(transfer.log_index)
        && told == Some((sides.0, sides.1, transfer.base_units))
}
