//! Whatever comes, leaves and comes back, in whatever order: the books balance and end where they should.

use crate::support::{Books, order};
use inspay_ledger::{OverPolicy, PartialPolicy, SettlementRules, Split, split};
use inspay_primitives::{Credits, U256};
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    Receive(u8, u64),
    Settle(u8),
    Orphan(u8),
    Reverse(u8),
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0u8..4, 0u64..12_000).prop_map(|(index, units)| Step::Receive(index, units)),
        (0u8..4).prop_map(Step::Settle),
        (0u8..4).prop_map(Step::Settle),
        (0u8..4).prop_map(Step::Orphan),
        (0u8..4).prop_map(Step::Reverse),
        Just(Step::Close),
    ]
}

fn rules() -> impl Strategy<Value = SettlementRules> {
    (any::<bool>(), any::<bool>()).prop_map(|(over, partial)| SettlementRules {
        over: if over { OverPolicy::Credit } else { OverPolicy::Hold },
        partial: if partial { PartialPolicy::Credit } else { PartialPolicy::Hold },
        ..SettlementRules::default()
    })
}

proptest! {
    #[test]
    fn the_order_of_events_never_changes_where_the_books_end(
        rules in rules(),
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let mut books = Books::new(rules);
        for index in 0..4 {
            books.receive(index, 0, 100);
        }
        for (second, step) in (101..).zip(steps) {
            match step {
                // Another amount can only stand in another block.
                Step::Receive(index, units) => books.receive(index, units, second),
                Step::Settle(index) => { books.settle(index); }
                Step::Orphan(index) => books.orphan(index),
                Step::Reverse(index) => { books.reverse(index); }
                Step::Close => { books.close(2_000); }
            }
            let received: U256 = books
                .state
                .transfers
                .values()
                .filter_map(|record| record.settlement.as_ref())
                .fold(U256::ZERO, |sum, settled| sum + settled.base_units);
            let progress = books.order().progress;
            prop_assert_eq!(progress.received_base_units, received);
            let expected = split(&order().terms, received, progress.closed, &rules).expect("in range");
            prop_assert_eq!(progress.credited, expected.credits);
            prop_assert_eq!(books.balance(), expected.credits);
            let left = books.state.lots.values().fold(Credits::ZERO, |sum, lot| sum.checked_add(lot.parts.left).expect("fits"));
            prop_assert_eq!(left, expected.credits);
        }
    }

    #[test]
    fn a_split_loses_nothing_and_never_grants_more_than_was_paid_for(
        rules in rules(),
        received in 0u64..1_000_000,
        closed in any::<bool>(),
    ) {
        let terms = order().terms;
        let Split { clearing, discounts, shortfall, rounding, suspense, credits } =
            split(&terms, U256::from(received), closed, &rules).expect("in range");
        prop_assert_eq!(U256::from(received) + discounts + shortfall, clearing + rounding + suspense);
        // credits × due ≤ (received + tolerance) × credits of the order
        let granted = credits.to_u256_micros() * terms.due_base_units;
        let paid = (U256::from(received) + terms.tolerance_base_units) * terms.credits.to_u256_micros();
        prop_assert!(granted <= paid);
        prop_assert!(rounding <= U256::from(1), "a micro-credit costs less than a base unit here");
    }
}
