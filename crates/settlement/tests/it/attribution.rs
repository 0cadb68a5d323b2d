//! Whose a transfer is, case by case.

use inspay_ledger::{Evidence, IgnoreReason, SuspenseReason};
use inspay_primitives::{Address, Direction, Transfer, TransferKey};
use inspay_settlement::{Attribution, OrderIndex, attribute};

use crate::support::{OTHER_TREASURY, TREASURY, order, reference, transfer};

const SKEW_SECONDS: u32 = 60;

fn shown(attribution: &Attribution<'_>) -> String {
    match attribution {
        Attribution::Order(order, evidence) => {
            format!("order {} by {}", order.terms.id.uuid().as_u128(), evidence.as_str())
        }
        Attribution::Nothing(reason, candidates) => {
            let candidates: Vec<u128> = candidates.iter().map(|id| id.uuid().as_u128()).collect();
            format!("{} {candidates:?}", reason.as_str())
        }
        Attribution::Withdrawal => "withdrawal".to_owned(),
        Attribution::Ignored(reason) => reason.as_str().to_owned(),
    }
}

fn with_key(transfer: Transfer, change: impl FnOnce(&mut TransferKey)) -> Transfer {
    let mut key = transfer.key;
    change(&mut key);
    Transfer { key, ..transfer }
}

#[test]
fn evidence_is_weighed_strongest_first() {
    let mut second = order(2);
    second.terms.due_base_units = inspay_primitives::U256::from(7_000);
    let orders = || OrderIndex::new([order(1), second.clone()]);
    let exact = transfer(9_000, 500);
    let cases = [
        ("exact amount", exact, None, "order 1 by exact_amount"),
        ("reference", transfer(1, 500), Some(1), "order 1 by reference"),
        ("reference before amount", exact, Some(2), "order 2 by reference"),
        ("unknown reference proves nothing", exact, Some(7), "order 1 by exact_amount"),
        ("round amount", transfer(10_000, 500), None, "no_evidence []"),
        ("one less", transfer(8_999, 500), None, "no_evidence []"),
        ("one more", transfer(9_001, 500), None, "no_evidence []"),
        ("before the order was made", transfer(9_000, 39), None, "no_evidence [1]"),
        ("within the clocks' skew", transfer(9_000, 40), None, "order 1 by exact_amount"),
        (
            "reference before the order was made",
            transfer(9_000, 1),
            Some(1),
            "order 1 by reference",
        ),
        ("late is still whose it is", transfer(9_000, 5_000), None, "order 1 by exact_amount"),
        ("zero", transfer(0, 500), Some(1), "zero_value"),
        (
            "another token with the amount",
            with_key(exact, |key| key.token = Address::repeat_byte(8)),
            None,
            "no_evidence []",
        ),
        (
            "another token with the reference",
            with_key(exact, |key| key.token = Address::repeat_byte(8)),
            Some(1),
            "wrong_asset [1]",
        ),
        (
            "another treasury with the amount",
            with_key(exact, |key| key.treasury = OTHER_TREASURY),
            None,
            "no_evidence []",
        ),
        (
            "another treasury with the reference",
            with_key(exact, |key| key.treasury = OTHER_TREASURY),
            Some(1),
            "wrong_asset [1]",
        ),
        ("out", with_key(exact, |key| key.direction = Direction::Out), Some(1), "withdrawal"),
        ("to itself", Transfer { counterparty: TREASURY, ..exact }, Some(1), "self_transfer"),
    ];
    for (name, transfer, number, expected) in cases {
        let index = orders();
        let found = attribute(&transfer, number.map(reference), &index, SKEW_SECONDS);
        assert_eq!(shown(&found), expected, "{name}");
    }
}

#[test]
fn an_amount_that_two_orders_could_own_belongs_to_neither() {
    let index = OrderIndex::new([order(1), order(2)]);
    let found = attribute(&transfer(9_000, 500), None, &index, SKEW_SECONDS);
    assert_eq!(shown(&found), "no_evidence [1, 2]");
}

#[test]
fn an_amount_whose_slot_is_free_belongs_to_nobody() {
    let mut freed = order(1);
    freed.progress.slot_held = false;
    let index = OrderIndex::new([freed]);
    let exact = transfer(9_000, 500);
    assert!(matches!(
        attribute(&exact, None, &index, SKEW_SECONDS),
        Attribution::Nothing(SuspenseReason::NoEvidence, _)
    ));
    assert!(matches!(
        attribute(&exact, Some(reference(1)), &index, SKEW_SECONDS),
        Attribution::Order(_, Evidence::Reference)
    ));
}

#[test]
fn nothing_out_of_the_treasury_is_never_a_withdrawal() {
    let index = OrderIndex::default();
    let out = with_key(transfer(0, 500), |key| key.direction = Direction::Out);
    let found = attribute(&out, None, &index, SKEW_SECONDS);
    assert_eq!(found, Attribution::Ignored(IgnoreReason::ZeroValue));
}
