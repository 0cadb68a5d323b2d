//! The books by example and by property: what each act posts, and that nothing is posted twice or lost.

use crate::support::{Books, asset};
use expect_test::expect;
use inspay_ledger::{
    Act, ChainProgress, Decision, Entry, Evidence, LatePolicy, LateTerms, Operation, Outcome,
    OverPolicy, PartialPolicy, Refusal, SettlementRules, Side, SuspenseReason, Unit,
};
use inspay_primitives::{B256, Credits, Timestamp, U256};

fn credit_all() -> SettlementRules {
    SettlementRules::default()
}

#[test]
fn an_exact_payment_posts_tokens_discounts_and_credits() {
    let mut books = Books::new(credit_all());
    books.receive(0, 9_000, 100);
    books.settle(0);
    books.check(&expect![[r#"
        1 settle
          debit  treasury               9000 token
          credit clearing               10000 token
          debit  discounts              1000 token
          debit  credits_issued:purchase 100000000 credits
          credit account:alice          100000000 credits
        order paid received 9000 credited 100.000000
        lots 100.000000
        events order.paid
    "#]]);
}

#[test]
fn parts_add_up_and_the_last_one_grants() {
    let mut books = Books::new(credit_all());
    books.receive(0, 4_000, 100);
    books.receive(1, 5_000, 101);
    books.settle(0);
    assert_eq!(books.order().remaining_base_units(), U256::from(5_000));
    books.settle(1);
    books.check(&expect![[r#"
        1 settle
          debit  treasury               4000 token
          credit clearing               4000 token
        2 settle
          debit  treasury               5000 token
          credit clearing               6000 token
          debit  discounts              1000 token
          debit  credits_issued:purchase 100000000 credits
          credit account:alice          100000000 credits
        order paid received 9000 credited 100.000000
        lots 100.000000
        events order.partially_paid order.paid
    "#]]);
}

#[test]
fn too_much_buys_more_at_the_same_rate_and_the_rest_is_rounding() {
    let mut books = Books::new(credit_all());
    books.receive(0, 12_001, 100);
    books.settle(0);
    books.check(&expect![[r#"
        1 settle
          debit  treasury               12001 token
          credit clearing               13001 token
          debit  discounts              1000 token
          debit  credits_issued:purchase 133344444 credits
          credit account:alice          133344444 credits
        order paid received 12001 credited 133.344444
        lots 133.344444
        events order.paid
    "#]]);
}

#[test]
fn too_much_is_held_where_the_settings_say_so() {
    let mut books = Books::new(SettlementRules { over: OverPolicy::Hold, ..credit_all() });
    books.receive(0, 12_001, 100);
    books.settle(0);
    books.check(&expect![[r#"
        1 settle
          debit  treasury               12001 token
          credit clearing               10000 token
          credit suspense               3001 token
          debit  discounts              1000 token
          debit  credits_issued:purchase 100000000 credits
          credit account:alice          100000000 credits
        order paid received 12001 credited 100.000000
        lots 100.000000
        events order.paid
    "#]]);
}

#[test]
fn short_within_the_tolerance_is_paid_and_the_shortfall_is_rounding() {
    let mut books = Books::new(credit_all());
    books.receive(0, 8_990, 100);
    books.settle(0);
    books.check(&expect![[r#"
        1 settle
          debit  treasury               8990 token
          credit clearing               10000 token
          debit  rounding               10 token
          debit  discounts              1000 token
          debit  credits_issued:purchase 100000000 credits
          credit account:alice          100000000 credits
        order paid received 8990 credited 100.000000
        lots 100.000000
        events order.paid
    "#]]);
}

#[test]
fn an_order_closed_short_grants_its_share() {
    let mut books = Books::new(credit_all());
    books.receive(0, 4_000, 100);
    books.settle(0);
    assert_eq!(books.close(1_000), Outcome::Refused(Refusal::NotDue));
    books.close(2_000);
    books.check(&expect![[r#"
        1 settle
          debit  treasury               4000 token
          credit clearing               4000 token
        2 close_order
          debit  credits_issued:purchase 44444444 credits
          credit account:alice          44444444 credits
        order expired received 4000 credited 44.444444
        lots 44.444444
        events order.partially_paid order.expired
    "#]]);
}

#[test]
fn an_order_is_closed_only_while_what_it_was_judged_by_holds() {
    const LAST_MOMENT: u64 = 1_060;
    let closed = Outcome::Applied { entry_seq: None };
    let (not_due, other_branch, older) = (
        Outcome::Refused(Refusal::NotDue),
        Outcome::Refused(Refusal::OtherBranch),
        Outcome::Refused(Refusal::OlderUnsettled),
    );
    // The present epoch, the oldest that waits, the epoch judged in, the chain time it was judged by, what comes of it.
    let table = [
        (Some(3), None, Some(3), LAST_MOMENT + 1, &closed),
        (Some(3), None, None, LAST_MOMENT + 1, &closed),
        (None, None, None, LAST_MOMENT + 1, &closed),
        (Some(3), None, Some(3), LAST_MOMENT, &not_due),
        (Some(4), Some(5), Some(3), LAST_MOMENT, &not_due),
        (Some(4), None, Some(3), LAST_MOMENT + 1, &other_branch),
        (Some(2), None, Some(3), LAST_MOMENT + 1, &other_branch),
        (None, None, Some(0), LAST_MOMENT + 1, &other_branch),
        (Some(4), Some(5), Some(3), LAST_MOMENT + 1, &other_branch),
        (Some(3), Some(LAST_MOMENT + 1), Some(3), LAST_MOMENT + 2, &closed),
        (Some(3), Some(LAST_MOMENT), Some(3), LAST_MOMENT + 2, &older),
        (Some(3), Some(5), Some(3), LAST_MOMENT + 2, &older),
        (Some(3), Some(LAST_MOMENT), None, LAST_MOMENT + 2, &older),
    ];
    for (epoch, oldest, judged_in, chain_seconds, expected) in table {
        let mut books = Books::new(credit_all());
        let oldest_unsettled = oldest.map(Timestamp::from_chain_seconds);
        books.state.chains.insert(asset().chain_id, ChainProgress { epoch, oldest_unsettled });
        let outcome = books.close_in(chain_seconds, judged_in);
        assert_eq!(outcome, *expected, "{epoch:?} {oldest:?} {judged_in:?} {chain_seconds}");
        assert_eq!(books.order().progress.closed, outcome == closed);
    }
}

#[test]
fn an_order_closed_short_waits_in_suspense_where_the_settings_say_so() {
    let mut books = Books::new(SettlementRules { partial: PartialPolicy::Hold, ..credit_all() });
    books.receive(0, 4_000, 100);
    books.settle(0);
    books.close(2_000);
    books.check(&expect![[r#"
        1 settle
          debit  treasury               4000 token
          credit clearing               4000 token
        2 close_order
          debit  clearing               4000 token
          credit suspense               4000 token
        order expired received 4000 credited 0.000000
        lots
        events order.partially_paid order.expired
    "#]]);
}

#[test]
fn a_late_payment_is_credited_at_its_own_rate() {
    let mut books = Books::new(credit_all());
    books.close(2_000);
    books.receive(0, 9_000, 3_000);
    assert_eq!(books.settle(0), Outcome::Refused(Refusal::DoesNotFit));
    books.settle_late(0, "80");
    books.check(&expect![[r#"
        1 settle_late
          debit  treasury               9000 token
          credit clearing               9000 token
          debit  credits_issued:purchase 80000000 credits
          credit account:alice          80000000 credits
        order expired received 0 credited 80.000000
        lots 80.000000
        events order.expired order.paid_late
    "#]]);
}

#[test]
fn a_late_payment_is_held_where_the_settings_say_so() {
    let mut books = Books::new(SettlementRules { late: LatePolicy::Hold, ..credit_all() });
    books.receive(0, 9_000, 3_000);
    books.settle_late(0, "80");
    books.check(&expect![[r#"
        1 suspend
          debit  treasury               9000 token
          credit suspense               9000 token
        order open received 0 credited 0.000000
        lots
        events transfer.suspended
    "#]]);
}

#[test]
fn a_second_payment_of_the_same_amount_belongs_to_nobody_but_one_that_names_the_order_does() {
    let mut books = Books::new(credit_all());
    for index in 0..3 {
        books.receive(index, 9_000, 100);
    }
    books.settle_by(0, Evidence::ExactAmount);
    books.settle_by(1, Evidence::ExactAmount);
    books.settle_by(2, Evidence::Reference);
    books.check(&expect![[r#"
        1 settle
          debit  treasury               9000 token
          credit clearing               10000 token
          debit  discounts              1000 token
          debit  credits_issued:purchase 100000000 credits
          credit account:alice          100000000 credits
        2 suspend
          debit  treasury               9000 token
          credit suspense               9000 token
        3 settle
          debit  treasury               9000 token
          credit clearing               9000 token
          debit  credits_issued:purchase 100000000 credits
          credit account:alice          100000000 credits
        order paid received 18000 credited 200.000000
        lots 100.000000 100.000000
        events order.paid transfer.suspended order.overpaid
    "#]]);
}

#[test]
fn a_payment_that_leaves_the_chain_is_taken_back_and_settled_again_once() {
    let mut books = Books::new(credit_all());
    books.receive(0, 9_000, 100);
    books.settle(0);
    assert_eq!(books.reverse(0), Outcome::Refused(Refusal::StillCanonical));
    books.orphan(0);
    assert_eq!(books.settle_at(0, 0), Outcome::AlreadyApplied { entry_seq: Some(1) });
    books.reverse(0);
    assert_eq!(books.reverse_at(0, 0), Outcome::AlreadyApplied { entry_seq: Some(2) });
    assert_eq!(books.settle(0), Outcome::Refused(Refusal::NotCanonical));
    books.receive(0, 9_000, 105);
    books.settle(0);
    books.check(&expect![[r#"
        1 settle
          debit  treasury               9000 token
          credit clearing               10000 token
          debit  discounts              1000 token
          debit  credits_issued:purchase 100000000 credits
          credit account:alice          100000000 credits
        2 reverse
          debit  clearing               10000 token
          credit discounts              1000 token
          credit treasury               9000 token
          debit  account:alice          100000000 credits
          credit credits_reversed       100000000 credits
        3 settle
          debit  treasury               9000 token
          credit clearing               10000 token
          debit  discounts              1000 token
          debit  credits_issued:purchase 100000000 credits
          credit account:alice          100000000 credits
        order paid received 9000 credited 100.000000
        lots 0.000000 100.000000
        events order.paid order.reversed order.paid
    "#]]);
}

#[test]
fn a_transfer_that_comes_back_with_another_amount_is_judged_anew() {
    let mut books = Books::new(credit_all());
    books.receive(0, 9_000, 100);
    books.settle(0);
    books.receive(0, 4_000, 101);
    books.reverse(0);
    books.settle(0);
    assert_eq!(books.order().progress.received_base_units, U256::from(4_000));
    assert_eq!(books.order().progress.credited, Credits::ZERO);
    assert_eq!(books.balance(), Credits::ZERO);
}

#[test]
fn what_lapsed_is_taken_back_with_its_payment_and_owed_by_nobody() {
    let mut books = Books::new(credit_all());
    books.receive(0, 9_000, 100);
    books.settle(0);
    books.lapse(0);
    books.orphan(0);
    books.reverse(0);
    assert_eq!(books.balance(), Credits::ZERO);
    let entry = books.entries.last().expect("reversed");
    let debits: Vec<String> = entry
        .postings
        .iter()
        .filter(|posting| posting.side == Side::Debit && posting.unit == Unit::Credits)
        .map(|posting| posting.account.to_string())
        .collect();
    assert_eq!(debits, ["credits_expired"]);
}

#[test]
fn zero_value_posts_nothing_and_tells_nobody() {
    let mut books = Books::new(credit_all());
    books.receive(0, 0, 100);
    assert_eq!(books.settle(0), Outcome::Refused(Refusal::DoesNotFit));
    books.ignore(0);
    books.check(&expect![[r#"
        order open received 0 credited 0.000000
        lots
        events
    "#]]);
}

#[test]
fn the_same_key_with_another_decision_is_a_conflict() {
    let mut books = Books::new(credit_all());
    books.receive(0, 9_000, 100);
    books.settle(0);
    let decision = Decision::Suspend { reason: SuspenseReason::NoEvidence, candidates: Vec::new() };
    assert_eq!(books.decide(0, 0, decision), Outcome::Refused(Refusal::Conflict));
}

#[test]
fn a_sum_that_does_not_fit_is_refused_and_changes_nothing() {
    let mut books = Books::new(credit_all());
    books.receive_units(0, U256::MAX, 100);
    books.receive(1, 1, 100);
    let suspend = Decision::Suspend { reason: SuspenseReason::NoEvidence, candidates: Vec::new() };
    assert_eq!(books.decide(0, 0, suspend.clone()), Outcome::Applied { entry_seq: Some(1) });
    assert_eq!(books.decide(1, 0, suspend), Outcome::Refused(Refusal::OutOfRange));
    assert_eq!(books.state.head.entry_seq, 1);
    assert_eq!(books.state.head.event_seq, 1);
}

#[test]
fn more_credits_than_can_be_held_wait_in_suspense() {
    let mut books = Books::new(credit_all());
    books.receive_units(0, U256::MAX, 100);
    books.settle(0);
    books.check(&expect![[r#"
        1 suspend
          debit  treasury               115792089237316195423570985008687907853269984665640564039457584007913129639935 token
          credit suspense               115792089237316195423570985008687907853269984665640564039457584007913129639935 token
        order open received 0 credited 0.000000
        lots
        events transfer.suspended
    "#]]);
}

#[test]
fn hashes_are_fixed_for_ever() {
    let mut books = Books::new(credit_all());
    books.receive(0, 9_000, 100);
    books.settle(0);
    expect!["0xee7a7c15244e483d892595d784b464d4e554ad7b011b2f7a41c46fa942451b63"]
        .assert_eq(&books.entries[0].hash.to_string());
    // Books that were begun before moves and facts were hashed still verify.
    let first = Entry { version: 1, ..books.entries[0].clone() };
    expect!["0xdfad89faa72cacc45c48e3657463165916624404b4c02b458f9df9aab0198b6a"]
        .assert_eq(&first.compute_hash().to_string());
}

#[test]
fn booked_times_never_run_backwards() {
    let mut books = Books::new(credit_all());
    books.receive(0, 4_000, 100);
    books.receive(1, 5_000, 100);
    books.now = Timestamp::from_chain_seconds(50_000);
    books.settle(0);
    books.now = Timestamp::from_chain_seconds(40_000);
    books.settle(1);
    assert_eq!(books.entries[1].booked_at, books.entries[0].booked_at);
}

#[test]
fn a_batch_gives_what_one_by_one_gives() {
    let operations: Vec<Operation> = (0..4)
        .map(|index| {
            Operation::from(Act::Settle {
                transfer: crate::support::transfer(index, U256::from(3_000), 100, 0).key.id(),
                generation: 0,
                judged_in: None,
                reference: None,
                decision: Decision::Attribute {
                    order: crate::support::order().terms.id,
                    evidence: Evidence::Reference,
                    late: None::<LateTerms>,
                },
                value: None,
            })
        })
        .collect();
    let mut together = Books::new(credit_all());
    let mut apart = Books::new(credit_all());
    for index in 0..4 {
        together.receive(index, 3_000, 100);
        apart.receive(index, 3_000, 100);
    }
    together.apply(&operations);
    for operation in &operations {
        apart.apply(std::slice::from_ref(operation));
    }
    assert_eq!(together.entries, apart.entries);
    assert_eq!(together.state.head, apart.state.head);
}

#[test]
fn what_stands_in_another_block_than_was_judged_is_refused() {
    let mut books = Books::new(credit_all());
    books.receive(0, 3_000, 100);
    let stands_in = crate::support::transfer(0, U256::from(3_000), 100, 1);
    let mut settle_judged_in = |block| {
        let operation = Operation::from(Act::Settle {
            transfer: stands_in.key.id(),
            generation: 0,
            judged_in: Some(block),
            reference: None,
            decision: Decision::Attribute {
                order: crate::support::order().terms.id,
                evidence: Evidence::Reference,
                late: None,
            },
            value: None,
        });
        books.apply(&[operation])
    };
    let elsewhere = B256::repeat_byte(9);
    assert_eq!(settle_judged_in(elsewhere), [Outcome::Refused(Refusal::Moved)]);
    let settled = settle_judged_in(stands_in.block.hash);
    assert!(matches!(settled.as_slice(), [Outcome::Applied { .. }]), "{settled:?}");
}
