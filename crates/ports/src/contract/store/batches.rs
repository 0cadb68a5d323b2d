//! Facts of batches that are refused, that race, and that are large.

use std::{collections::BTreeSet, sync::Arc};

use inspay_ledger::{BatchRows, BookAccount, GENESIS_HASH, Operation, Outcome, Settlement};
use inspay_primitives::{Transfer, U256};
use tokio::task::JoinSet;

use super::{
    books::{now, paying, recorded, view},
    picture,
};
use crate::{
    Store, StoreErrorKind,
    contract::{
        samples::{CHAIN, Follower, applied, block, ordered, paid, treasury, usdt},
        teller::{reverse, settle_alone, settle_for, write, write_changed, write_fresh},
    },
};

/// Rows that break any constraint are refused whole: nothing of the batch stays.
pub async fn rows_that_break_a_constraint_leave_nothing(store: &Arc<dyn Store>) {
    let (order, next) = (ordered(store, 1).await, ordered(store, 2).await);
    let payment = paying(&order, 1, 0);
    let other = paying(&next, 2, 1);
    recorded(store, &[payment, other]).await;
    let first = write_fresh(store, vec![settle_for(&payment, 0, &order)], now()).await.rows;
    let before = picture(store).await;
    for (what, change) in broken_rows(&first) {
        let outcome =
            write_changed(store, vec![settle_for(&other, 0, &next)], now(), move |rows| {
                change(rows)
            });
        let error = outcome.await.expect_err(what);
        assert!(!error.is_transient(), "{what}: {error:?}");
        assert!(!matches!(error.kind, StoreErrorKind::CursorMoved), "{what}: {error:?}");
        assert_eq!(picture(store).await, before, "{what}");
    }
    // Nothing is left in the way of the rightful batch.
    let written = write_fresh(store, vec![settle_for(&other, 0, &next)], now()).await;
    assert_eq!(written.outcomes, [Outcome::Applied { entry_seq: Some(2) }]);
}

type Change = Box<dyn Fn(&mut BatchRows) + Send + Sync>;

/// Ways in which a batch breaks a constraint, given a batch that is already written.
fn broken_rows(written: &BatchRows) -> Vec<(&'static str, Change)> {
    let operation = written.operations.first().cloned().expect("one");
    let entry_seq = written.entries.first().expect("one").seq;
    let event_seq = written.events.first().expect("one").seq;
    let lot = written.new_lots.first().cloned().expect("one");
    let settlement = written.settlements.first().cloned().expect("one");
    let (of, unit, balance, _) = written.balances.first().cloned().expect("one");
    let ahead = Settlement { generation: 1, ..settlement.clone() };
    let reversal_of = |settled: &Settlement| inspay_ledger::Reversal {
        transfer: settled.transfer,
        generation: settled.generation,
        entry_seq: None,
        reversed_at: settled.settled_at,
    };
    let unsettled = reversal_of(&ahead);
    vec![
        ("the same operation key", Box::new(move |rows| rows.operations.push(operation.clone()))),
        (
            "the same entry number",
            Box::new(move |rows| {
                for entry in &mut rows.entries {
                    entry.seq = entry_seq;
                }
            }),
        ),
        (
            "the same event number",
            Box::new(move |rows| {
                for event in &mut rows.events {
                    event.seq = event_seq;
                }
            }),
        ),
        ("the same lot", Box::new(move |rows| rows.new_lots.push(lot.clone()))),
        ("the same settlement", Box::new(move |rows| rows.settlements.push(settlement.clone()))),
        (
            "a settlement of the next generation while the one before stands",
            Box::new(move |rows| rows.settlements.push(ahead.clone())),
        ),
        (
            "a reversal of what was never settled",
            Box::new(move |rows| rows.reversals.push(unsettled)),
        ),
        (
            "two settlements of one generation in one batch",
            Box::new(|rows| rows.settlements.extend(rows.settlements.clone())),
        ),
        (
            "two reversals of one generation in one batch",
            Box::new(move |rows| {
                let twice: Vec<_> = rows.settlements.iter().map(reversal_of).collect();
                rows.reversals.extend(twice.clone());
                rows.reversals.extend(twice);
            }),
        ),
        (
            "another row for the same account",
            Box::new(move |rows| {
                let mut balance = balance.clone();
                balance.number = 9_999;
                rows.balances.push((of.clone(), unit, balance, true));
            }),
        ),
    ]
}

/// However many write at once, each sees what the ones before left: numbers without gaps, no lost sum.
pub async fn writers_at_once_lose_nothing(store: &Arc<dyn Store>) {
    let order = ordered(store, 1).await;
    let parts: Vec<Transfer> = (1..=24u32)
        .map(|number| {
            let base_units = U256::from(number) * U256::from(10_000);
            paid(u64::from(number), usdt(), base_units, block("a", 1), number)
        })
        .collect();
    recorded(store, &parts).await;
    let mut writers = JoinSet::new();
    for chunk in parts.chunks(2) {
        let operations: Vec<Operation> =
            chunk.iter().map(|part| settle_for(part, 0, &order)).collect();
        let store = Arc::clone(store);
        writers.spawn(async move { write_patiently(&store, operations).await });
    }
    let outcomes: Vec<Outcome> = writers.join_all().await.concat();
    let mut seqs: Vec<i64> = outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            Outcome::Applied { entry_seq } => *entry_seq,
            Outcome::AlreadyApplied { .. } | Outcome::Refused(_) => None,
        })
        .collect();
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=24).collect::<Vec<i64>>());
    let sum = parts.iter().fold(U256::ZERO, |sum, part| sum + part.base_units);
    let kept = store.order(order.id).await.expect("reads").expect("is there");
    assert_eq!(kept.progress.received_base_units, sum);
    let entries = store.entries(0, 100).await.expect("reads");
    let mut previous = GENESIS_HASH;
    for (entry, seq) in entries.iter().zip(1..) {
        assert_eq!((entry.seq, entry.previous_hash), (seq, previous));
        assert_eq!(entry.compute_hash(), entry.hash);
        previous = entry.hash;
    }
    let events = store.events(None, 0, 100).await.expect("reads");
    let seqs: Vec<i64> = events.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, (1..=24).collect::<Vec<i64>>());
}

/// Writes as the ledger writer does: what is told to be transient is tried again.
pub(super) async fn write_patiently(
    store: &Arc<dyn Store>,
    operations: Vec<Operation>,
) -> Vec<Outcome> {
    for _ in 0..1_000 {
        match write_changed(store, operations.clone(), now(), |_| {}).await {
            Err(error) if error.is_transient() => tokio::task::yield_now().await,
            outcome => return outcome.expect("the books can be written").outcomes,
        }
    }
    write(store, operations, now()).await.outcomes
}

/// However many bring the same operation at once, it is done once.
pub async fn the_same_operation_at_once_is_done_once(store: &Arc<dyn Store>) {
    let order = ordered(store, 1).await;
    let payment = paying(&order, 1, 0);
    recorded(store, &[payment]).await;
    let mut writers = JoinSet::new();
    for _ in 0..12 {
        let store = Arc::clone(store);
        let operations = vec![settle_for(&payment, 0, &order)];
        writers.spawn(async move { write_patiently(&store, operations).await });
    }
    let outcomes = writers.join_all().await.concat();
    let count = |wanted: &Outcome| outcomes.iter().filter(|found| *found == wanted).count();
    assert_eq!(count(&Outcome::Applied { entry_seq: Some(1) }), 1);
    assert_eq!(count(&Outcome::AlreadyApplied { entry_seq: Some(1) }), 11);
    assert_eq!(store.entries(0, 10).await.expect("reads").len(), 1);
    let summary = store.account(&order.account).await.expect("reads").expect("is there");
    assert_eq!(summary.posted, order.credits);
}

/// A follower that takes blocks off while the books settle them leaves work to do, never a lost mark.
pub async fn the_follower_and_the_books_do_not_overtake_each_other(store: &Arc<dyn Store>) {
    let order = ordered(store, 1).await;
    let parts: Vec<Transfer> = (0..20u32)
        .map(|number| {
            let at = block("a", u64::from(number) + 2);
            paid(u64::from(number), usdt(), U256::from(1_000), at, 0)
        })
        .collect();
    let mut follower = Follower::new(store);
    follower.extend(vec![applied(block("a", 1), vec![])]).await;
    for part in &parts {
        follower.extend(vec![applied(part.block, vec![*part])]).await;
    }
    let mut writers = JoinSet::new();
    for part in &parts {
        let store = Arc::clone(store);
        let operations = vec![settle_for(part, 0, &order)];
        writers.spawn(async move { write_patiently(&store, operations).await });
    }
    for part in parts.iter().rev() {
        let tip = block("a", part.block.number - 1);
        follower.cut(tip, &[part.block]).await;
    }
    writers.join_all().await;
    let mut settled = BTreeSet::new();
    for part in &parts {
        let seen = view(store, part).await;
        assert!(!seen.canonical);
        if seen.settlement.is_some() {
            settled.insert(seen.id);
        }
    }
    let due = store.transfers_to_reverse(CHAIN, 100).await.expect("reads");
    let due: BTreeSet<_> = due.iter().map(|record| record.transfer.key.id()).collect();
    assert_eq!(due, settled);
    assert_eq!(store.transfers_to_settle(CHAIN, None, 99, 100).await.expect("reads"), vec![]);
    let back = parts.iter().filter(|part| due.contains(&part.key.id()));
    write_fresh(store, back.map(|part| reverse(part, 0)).collect(), now()).await;
    let kept = store.order(order.id).await.expect("reads").expect("is there");
    assert_eq!(kept.progress.received_base_units, U256::ZERO);
}

/// A batch of thousands is one commit like any other.
pub async fn a_batch_of_thousands_is_one_commit(store: &Arc<dyn Store>) {
    let count = 3_000u32;
    let transfers: Vec<Transfer> = (0..count)
        .map(|number| {
            paid(
                u64::from(number),
                usdt(),
                U256::from(number) + U256::from(1),
                block("a", 1),
                number,
            )
        })
        .collect();
    recorded(store, &transfers).await;
    let operations = transfers.iter().map(|transfer| settle_alone(transfer, 0)).collect();
    let written = write_fresh(store, operations, now()).await;
    assert_eq!(store.entries(0, 10_000).await.expect("reads"), written.rows.entries);
    let totals = store.transfer_totals(usdt(), treasury(), 1).await.expect("adds up");
    assert_eq!((totals.count, totals.unsettled_count), (u64::from(count), 0));
    let suspense = store.balances(false).await.expect("reads");
    let suspense = suspense.iter().find(|balance| balance.account == BookAccount::Suspense);
    assert_eq!(suspense.map(|balance| balance.credits), Some(totals.in_base_units));
}
