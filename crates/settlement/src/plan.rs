//! From facts to operations: confirmed transfers, their orders and rates become settlements. Pure.

use std::collections::HashMap;

use inspay_ledger::{
    Act, Decision, LatePolicy, LateTerms, Operation, SettlementRules, SuspenseReason,
    TransferRecord,
};
use inspay_primitives::{
    AssetId, B256, ChainView, ConfirmationPolicy, Order, Rate, Reference, Rounding, Standing,
    Timestamp, Usd,
};
use inspay_quoting::{RateSample, credits_at_rate};

use crate::attribution::{Attribution, OrderIndex, attribute};

/// What settling one asset goes by.
#[derive(Clone, Debug)]
pub struct AssetRules {
    /// Digits of the asset.
    pub decimals: u8,
    /// When a transfer is deep enough.
    pub confirmations: ConfirmationPolicy,
    /// How old a rate may be at a block's time to price a late payment by.
    pub late_rate_age_seconds: u32,
}

/// What settling goes by.
#[derive(Clone, Debug)]
pub struct SettlementPolicy {
    /// By asset. A transfer of an asset that is absent is not settled: it waits until the asset is listed again.
    pub assets: HashMap<AssetId, AssetRules>,
    /// Odd amounts.
    pub rules: SettlementRules,
    /// How far a block's time may lie before an order's making and still count as after it.
    pub clock_skew_seconds: u32,
}

impl SettlementPolicy {
    /// Whether a record is deep enough by its asset's policy.
    #[must_use]
    pub fn judge(
        &self,
        record: &TransferRecord,
        canonical: Option<B256>,
        chain: &ChainView,
    ) -> Option<Standing> {
        let rules = self.assets.get(&record.transfer.key.asset())?;
        let rule = rules.confirmations.rule_for(record.transfer.base_units);
        Some(rule.judge(record.transfer.block, canonical, chain))
    }
}

/// What is known of a confirmed transfer when it is decided.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The transfer.
    pub record: TransferRecord,
    /// What its calldata carried.
    pub reference: Option<Reference>,
    /// The newest rate of its asset at its block time.
    pub rate: Option<RateSample>,
}

/// Decides every confirmed transfer.
#[must_use]
pub fn plan_settlements(
    facts: &[Facts],
    orders: &OrderIndex,
    policy: &SettlementPolicy,
) -> Vec<Operation> {
    facts.iter().filter_map(|facts| plan(facts, orders, policy)).collect()
}

fn plan(facts: &Facts, orders: &OrderIndex, policy: &SettlementPolicy) -> Option<Operation> {
    let transfer = &facts.record.transfer;
    let asset = policy.assets.get(&transfer.key.asset())?;
    let fresh_rate = rate_in_time(facts.rate.as_ref(), transfer.block.time, asset);
    let worth = |rate: Rate| rate.value(transfer.base_units, asset.decimals, Rounding::Down);
    let mut value = fresh_rate.and_then(worth);
    let decision = match attribute(transfer, facts.reference, orders, policy.clock_skew_seconds) {
        Attribution::Withdrawal => Decision::Withdraw,
        Attribution::Ignored(reason) => Decision::Ignore(reason),
        Attribution::Nothing(reason, candidates) => Decision::Suspend { reason, candidates },
        Attribution::Order(order, evidence) => {
            let is_late = transfer.block.time > order.terms.in_time_until();
            if is_late {
                match late_terms(facts, order, fresh_rate, asset, policy) {
                    Ok(late) => {
                        Decision::Attribute { order: order.terms.id, evidence, late: Some(late) }
                    }
                    Err(reason) => Decision::Suspend { reason, candidates: vec![order.terms.id] },
                }
            } else {
                value = value.or_else(|| worth(order.terms.rate));
                Decision::Attribute { order: order.terms.id, evidence, late: None }
            }
        }
    };
    Some(settle(facts, decision, value))
}

fn settle(facts: &Facts, decision: Decision, value: Option<Usd>) -> Operation {
    Operation::from(Act::Settle {
        transfer: facts.record.transfer.key.id(),
        generation: facts.record.generation,
        judged_in: Some(facts.record.transfer.block.hash),
        reference: facts.reference,
        decision,
        value,
    })
}

/// The sample's rate, if it is young enough at `time`.
fn rate_in_time(sample: Option<&RateSample>, time: Timestamp, asset: &AssetRules) -> Option<Rate> {
    let sample = sample?;
    let age_seconds = time.seconds_since(sample.observed_at);
    (age_seconds <= i64::from(asset.late_rate_age_seconds)).then_some(sample.rate)
}

fn late_terms(
    facts: &Facts,
    order: &Order,
    rate: Option<Rate>,
    asset: &AssetRules,
    policy: &SettlementPolicy,
) -> Result<LateTerms, SuspenseReason> {
    match policy.rules.late {
        LatePolicy::Hold => Err(SuspenseReason::Late),
        LatePolicy::Credit => {
            let rate = rate.ok_or(SuspenseReason::NoRateAtBlockTime)?;
            let credits = credits_at_rate(
                facts.record.transfer.base_units,
                asset.decimals,
                rate,
                order.terms.price,
                order.terms.credits,
            )
            .map_err(|_| SuspenseReason::TooManyCredits)?;
            Ok(LateTerms { rate, credits })
        }
    }
}
