//! Whose a transfer is, case by case.

use inspay_ledger::{Evidence, IgnoreReason, SuspenseReason};
use inspay_ports::{FoundBy, FoundOrder};
use inspay_primitives::{Address, B256, Direction, Order, OrderState, Transfer, TransferKey, U256};
use inspay_settlement::{Attribution, OrderIndex, attribute};

use crate::support::{OTHER_TREASURY, TREASURY, by_terms, order, reference, transfer};

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
    let orders = || OrderIndex::new(by_terms([order(1), second.clone()]));
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
    let index = OrderIndex::new(by_terms([order(1), order(2)]));
    let found = attribute(&transfer(9_000, 500), None, &index, SKEW_SECONDS);
    assert_eq!(shown(&found), "no_evidence [1, 2]");
}

#[test]
fn an_amount_whose_slot_is_free_belongs_to_nobody() {
    let mut freed = order(1);
    freed.progress.slot_held = false;
    let index = OrderIndex::new(by_terms([freed]));
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

/// Order `number`, due so much, made at that second.
fn made(number: u8, due: u64, seconds: i64) -> Order {
    let mut order = order(number);
    order.terms.due_base_units = U256::from(due);
    order.terms.created_at = inspay_primitives::Timestamp::from_micros(seconds * 1_000_000);
    order
}

/// Found for the payer of the sample transfers.
fn by_payer(order: Order) -> FoundOrder {
    FoundOrder { order, found_by: FoundBy::Payer(Address::repeat_byte(9)) }
}

/// Found by a claim of the sample transfers' chain transaction.
fn by_claim(order: Order, payer: Option<Address>) -> FoundOrder {
    FoundOrder { order, found_by: FoundBy::Claim { tx_hash: B256::repeat_byte(5), payer } }
}

#[test]
fn a_proven_payer_pays_the_order_of_that_amount_or_the_oldest() {
    let paid = |order: Order| {
        let mut order = order;
        order.progress.state = OrderState::Paid;
        order
    };
    let partly = |order: Order, received: u64| {
        let mut order = order;
        order.progress.state = OrderState::PartiallyPaid;
        order.progress.received_base_units = U256::from(received);
        order
    };
    let own = || made(1, 7_000, 100);
    let other = || made(2, 6_000, 50);
    let cases = [
        ("too little", vec![own()], transfer(1, 500), "order 1 by proven_payer"),
        ("too much", vec![own()], transfer(99_999, 500), "order 1 by proven_payer"),
        ("the oldest", vec![own(), other()], transfer(1, 500), "order 2 by proven_payer"),
        ("the amount", vec![own(), other()], transfer(7_000, 500), "order 1 by proven_payer"),
        (
            "the rest of it",
            vec![partly(own(), 3_000), other()],
            transfer(4_000, 500),
            "order 1 by proven_payer",
        ),
        ("not a paid one", vec![own(), paid(other())], transfer(1, 500), "order 1 by proven_payer"),
        ("none that was made later", vec![own()], transfer(7_000, 39), "no_evidence []"),
        ("none whose time is over", vec![own()], transfer(7_000, 1_061), "no_evidence []"),
        ("the last second", vec![own()], transfer(1, 1_060), "order 1 by proven_payer"),
        (
            "never by another wallet",
            vec![own()],
            Transfer { counterparty: Address::repeat_byte(8), ..transfer(7_000, 500) },
            "no_evidence []",
        ),
        (
            "nor in another asset",
            vec![own()],
            with_key(transfer(7_000, 500), |key| key.token = Address::repeat_byte(8)),
            "no_evidence []",
        ),
        (
            "nor to another treasury",
            vec![own()],
            with_key(transfer(7_000, 500), |key| key.treasury = OTHER_TREASURY),
            "no_evidence []",
        ),
    ];
    for (name, orders, transfer, expected) in cases {
        let index = OrderIndex::new(orders.into_iter().map(by_payer));
        let found = attribute(&transfer, None, &index, SKEW_SECONDS);
        assert_eq!(shown(&found), expected, "{name}");
    }
}

#[test]
fn an_exact_amount_of_another_order_comes_before_a_proven_payer() {
    let [exact] = by_terms([order(2)]);
    let index = OrderIndex::new([exact, by_payer(made(1, 7_000, 100))]);
    let found = attribute(&transfer(9_000, 500), None, &index, SKEW_SECONDS);
    assert_eq!(shown(&found), "order 2 by exact_amount");
}

#[test]
fn a_claim_counts_only_with_the_proven_payer() {
    let payer = Some(Address::repeat_byte(9));
    let own = || made(1, 7_000, 100);
    let other = || made(2, 7_000, 50);
    let cases = [
        ("alone", vec![by_claim(own(), None)], transfer(1, 500), "no_evidence [1]"),
        // Somebody else's order may have held that amount.
        ("with an amount", vec![by_claim(own(), None)], transfer(7_000, 500), "no_evidence [1]"),
        ("with the payer", vec![by_claim(own(), payer)], transfer(1, 500), "order 1 by claim"),
        (
            "late, with the payer",
            vec![by_claim(own(), payer)],
            transfer(1, 5_000),
            "order 1 by claim",
        ),
        ("of one made later", vec![by_claim(own(), payer)], transfer(7_000, 39), "no_evidence [1]"),
        (
            "two with the payer",
            vec![by_claim(own(), payer), by_claim(other(), payer)],
            transfer(7_000, 500),
            "no_evidence [1, 2]",
        ),
        (
            "the payer counts, whoever else claims it",
            vec![by_claim(own(), payer), by_claim(other(), None)],
            transfer(7_000, 500),
            "order 1 by claim",
        ),
        (
            "it says which order the payer means",
            vec![by_claim(own(), payer), by_payer(own()), by_payer(other())],
            transfer(1, 500),
            "order 1 by claim",
        ),
        (
            "of another chain transaction",
            vec![by_claim(own(), payer)],
            with_key(transfer(7_000, 500), |key| key.tx_hash = B256::repeat_byte(6)),
            "no_evidence []",
        ),
        (
            "in another asset",
            vec![by_claim(own(), payer)],
            with_key(transfer(7_000, 500), |key| key.token = Address::repeat_byte(8)),
            "no_evidence [1]",
        ),
        (
            "the payer of another transfer in it",
            vec![by_claim(own(), Some(Address::repeat_byte(8)))],
            transfer(1, 500),
            "no_evidence [1]",
        ),
    ];
    for (name, orders, transfer, expected) in cases {
        let index = OrderIndex::new(orders);
        let found = attribute(&transfer, None, &index, SKEW_SECONDS);
        assert_eq!(shown(&found), expected, "{name}");
    }
}
