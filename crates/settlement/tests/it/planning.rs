//! What is done with a confirmed transfer, case by case.

use std::collections::HashMap;

use inspay_ledger::{Act, Decision, LatePolicy, Operation, SettlementRules, TransferRecord};
use inspay_primitives::{
    B256, BlockRef, ChainView, ConfirmationPolicy, ConfirmationRule, Standing, Timestamp, Transfer,
    U256,
};
use inspay_quoting::{RateSample, SourceKind};
use inspay_settlement::{AssetRules, Facts, OrderIndex, SettlementPolicy, plan_settlements};

use crate::support::{asset, by_terms, order, reference, transfer};

fn policy(late: LatePolicy) -> SettlementPolicy {
    let steps = vec![(U256::from(10_000), ConfirmationRule::Depth(2))];
    let confirmations =
        ConfirmationPolicy::new(steps, ConfirmationRule::Finalized(2)).expect("policy");
    let rules = AssetRules { decimals: 6, confirmations, late_rate_age_seconds: 600 };
    SettlementPolicy {
        assets: HashMap::from([(asset(1), rules)]),
        rules: SettlementRules { late, ..SettlementRules::default() },
        clock_skew_seconds: 60,
    }
}

fn record(transfer: Transfer) -> TransferRecord {
    TransferRecord { transfer, canonical: true, generation: 0, settlement: None }
}

fn sample(rate: &str, seconds: u64) -> RateSample {
    RateSample {
        source: "fixed".to_owned(),
        kind: SourceKind::Fixed,
        rate: rate.parse().expect("rate"),
        observed_at: Timestamp::from_chain_seconds(seconds),
        valid_until: None,
    }
}

fn shown(transfer: Transfer, rate: Option<RateSample>, late: LatePolicy) -> String {
    let facts = Facts { record: record(transfer), reference: Some(reference(1)), rate };
    let planned = plan_settlements(&[facts], &OrderIndex::new(by_terms([order(1)])), &policy(late));
    let [Operation { act: Act::Settle { decision, value, .. }, .. }] = planned.as_slice() else {
        return "nothing".to_owned();
    };
    let value = value.map_or("unknown".to_owned(), |value| value.to_string());
    let decided = match decision {
        Decision::Attribute { late: None, .. } => "in time".to_owned(),
        Decision::Attribute { late: Some(late), .. } => format!("late for {}", late.credits),
        Decision::Suspend { reason, .. } => reason.as_str().to_owned(),
        Decision::Withdraw => "withdrawal".to_owned(),
        Decision::Ignore(reason) => reason.as_str().to_owned(),
    };
    format!("{decided}, worth {value}")
}

#[test]
fn time_is_the_blocks_and_late_is_priced_anew() {
    use LatePolicy::{Credit, Hold};
    let cases = [
        (
            "in time",
            transfer(9_000, 1_060),
            Some(sample("2", 1_000)),
            Credit,
            "in time, worth 0.018000",
        ),
        ("in time without a rate", transfer(9_000, 1_060), None, Credit, "in time, worth 0.009000"),
        (
            "in time with an old rate",
            transfer(9_000, 1_000),
            Some(sample("2", 399)),
            Credit,
            "in time, worth 0.009000",
        ),
        (
            "late",
            transfer(9_000, 1_061),
            Some(sample("0.5", 1_000)),
            Credit,
            "late for 50.000000, worth 0.004500",
        ),
        (
            "late without a rate",
            transfer(9_000, 1_061),
            None,
            Credit,
            "no_rate_at_block_time, worth unknown",
        ),
        (
            "late with an old rate",
            transfer(9_000, 1_061),
            Some(sample("0.5", 460)),
            Credit,
            "no_rate_at_block_time, worth unknown",
        ),
        (
            "late and held",
            transfer(9_000, 1_061),
            Some(sample("0.5", 1_000)),
            Hold,
            "late, worth 0.004500",
        ),
    ];
    for (name, transfer, rate, late, expected) in cases {
        assert_eq!(shown(transfer, rate, late), expected, "{name}");
    }
}

#[test]
fn an_unlisted_asset_waits() {
    let mut unlisted = transfer(9_000, 500);
    unlisted.key.token = inspay_primitives::Address::repeat_byte(7);
    assert_eq!(shown(unlisted, None, LatePolicy::Credit), "nothing");
    let chain = chain(600);
    assert_eq!(policy(LatePolicy::Credit).judge(&record(unlisted), None, &chain), None);
}

fn chain(head: u64) -> ChainView {
    let head = BlockRef {
        number: head,
        hash: B256::repeat_byte(8),
        time: Timestamp::from_chain_seconds(head),
    };
    ChainView { head, safe_number: 0, finalized_number: 0, audited_to: u64::MAX }
}

#[test]
fn the_size_of_a_transfer_says_how_long_it_waits() {
    let policy = policy(LatePolicy::Credit);
    let hash = Some(B256::repeat_byte(1));
    let judge =
        |base_units, head| policy.judge(&record(transfer(base_units, 500)), hash, &chain(head));
    assert_eq!(judge(10_000, 500), Some(Standing::Pending { confirmations: 1 }));
    assert_eq!(judge(10_000, 501), Some(Standing::Confirmed { confirmations: 2 }));
    assert_eq!(judge(10_001, 900), Some(Standing::Pending { confirmations: 401 }));
}
