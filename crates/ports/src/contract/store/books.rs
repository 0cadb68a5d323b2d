//! Facts of how the books are written.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use inspay_ledger::{
    Act, BatchRows, BookAccount, Decision, EntryKind, EventKind, Evidence, Head, IgnoreReason,
    LateTerms, LotSource, Operation, OperationKey, Outcome, Refusal, SettlementKind,
    SuspenseReason, Touches, Unit,
};
use inspay_primitives::{
    Address, AssetId, Credits, OrderState, OrderTerms, Timestamp, Transfer, U256,
};

use super::picture;
use crate::{
    HistoryFilter, Page, Store, TransferView,
    contract::{
        samples::{
            CHAIN, Follower, account, applied, block, block_time, inspi, ordered, ordered_as, paid,
            reference, seen_again, terms, treasury, usdt, withdrawn,
        },
        teller::{
            Written, close, reverse, seal, settle_alone, settle_as, settle_for, write,
            write_changed, write_fresh,
        },
    },
};

pub(super) fn now() -> Timestamp {
    block_time(1_000)
}

pub(super) async fn view(store: &Arc<dyn Store>, transfer: &Transfer) -> TransferView {
    let found = store.transfer(transfer.key.id()).await.expect("reads the transfer");
    found.expect("the transfer is recorded")
}

/// A follower at block 1 with these transfers in it.
pub(super) async fn recorded(store: &Arc<dyn Store>, transfers: &[Transfer]) -> Follower {
    let mut follower = Follower::new(store);
    follower.extend(vec![applied(block("a", 1), transfers.to_vec())]).await;
    follower
}

pub(super) fn paying(order: &OrderTerms, tx: u64, log_index: u32) -> Transfer {
    paid(tx, order.asset, order.due_base_units, block("a", 1), log_index)
}

/// Entry, postings, balances, lot, order, settlement, outcome and event are all there after one commit.
pub async fn a_batch_is_written_whole(store: &Arc<dyn Store>) {
    let order = ordered(store, 1).await;
    let payment = paying(&order, 1, 0);
    let stray = paid(2, inspi(), U256::from(7), block("a", 1), 1);
    recorded(store, &[payment, stray]).await;
    let operations = vec![settle_for(&payment, 0, &order), settle_alone(&stray, 0)];
    let written = write_fresh(store, operations, now()).await;
    assert_eq!(written.decisions, 1);
    assert_eq!(written.loaded.head, Head::GENESIS);
    let rows = &written.rows;
    assert_eq!(store.entries(0, 10).await.expect("reads"), rows.entries);
    assert_eq!(store.events(None, 0, 10).await.expect("reads"), rows.events);
    assert_eq!(store.lots(&order.account).await.expect("reads"), rows.new_lots);
    let progress = rows.orders.first().expect("the order moved").1;
    assert_eq!(progress.state, OrderState::Paid);
    let kept = store.order(order.id).await.expect("reads").expect("is there");
    assert_eq!(kept.progress, progress);
    for (transfer, settlement) in [payment, stray].iter().zip(&rows.settlements) {
        let seen = view(store, transfer).await;
        assert_eq!(seen.settlement.as_ref(), Some(settlement));
        assert_eq!(seen.generation, 0);
    }
    let balances = store.balances(true).await.expect("reads");
    assert_eq!(balances.len(), rows.balances.len());
    for (of, unit, balance, _) in &rows.balances {
        let kept = balances.iter().find(|kept| kept.account == *of && kept.unit == *unit);
        let kept = kept.expect("the account has a row");
        assert_eq!((kept.debits, kept.credits), (balance.debits, balance.credits));
    }
    let summary = store.account(&order.account).await.expect("reads").expect("is there");
    assert_eq!(summary.posted, order.credits);
    assert_eq!(store.transfers_to_settle(CHAIN, None, 9, 10).await.expect("reads"), vec![]);
}

/// Where nothing is decided nothing is written, and the decision was asked for once.
pub async fn an_empty_batch_writes_nothing(store: &Arc<dyn Store>) {
    let order = ordered(store, 1).await;
    let payment = paying(&order, 1, 0);
    recorded(store, &[payment]).await;
    let before = picture(store).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let touches = Touches {
        transfers: BTreeSet::from([payment.key.id()]),
        orders: BTreeSet::from([order.id]),
        ..Touches::default()
    };
    let decide = move |state: &mut inspay_ledger::LedgerState| {
        counter.fetch_add(1, Ordering::SeqCst);
        // What is done to the state alone reaches nothing.
        state.head.entry_seq = 99;
        state.orders.clear();
        BatchRows::default()
    };
    store.transact(touches, Arc::new(decide)).await.expect("does nothing");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert_eq!(picture(store).await, before);
    let refused = write(store, vec![reverse(&payment, 0)], now()).await;
    assert_eq!(refused.outcomes, [Outcome::Refused(Refusal::StaleGeneration)]);
    assert_eq!(picture(store).await, before);
}

/// A decision sees all that its operations touch: outcomes, transfers, orders, lots and balances.
pub async fn a_decision_sees_what_its_operations_touch(store: &Arc<dyn Store>) {
    let (first, second) = (ordered(store, 1).await, ordered(store, 2).await);
    let payment = paying(&first, 1, 0);
    let over = paid(2, usdt(), U256::from(4_000_000), block("a", 1), 1);
    let other = paying(&second, 3, 2);
    let mut follower = recorded(store, &[payment, over, other]).await;
    let operations = vec![settle_for(&payment, 0, &first), settle_for(&other, 0, &second)];
    write_fresh(store, operations, now()).await;
    let overpaid = write_fresh(store, vec![settle_for(&over, 0, &first)], now()).await;
    follower.swap(&[block("a", 1)], vec![applied(block("b", 1), vec![])]).await;
    let operations = vec![reverse(&payment, 0), settle_for(&over, 0, &first)];
    let loaded = write_changed(store, operations, now(), |rows| *rows = BatchRows::default());
    let Written { loaded, touched, .. } = loaded.await.expect("loads");
    assert_eq!(loaded.head, overpaid.rows.head.expect("posted"));
    let stored = loaded.operations.get(&settle_for(&over, 0, &first).key);
    assert_eq!(stored.map(|stored| stored.entry_seq), Some(Some(3)));
    assert!(!loaded.operations.contains_key(&reverse(&payment, 0).key));
    let record = loaded.transfers.get(&payment.key.id()).expect("the transfer is loaded");
    assert!(!record.canonical && record.must_reverse());
    let settled = record.settlement.as_ref().expect("its settlement is loaded");
    assert_eq!((settled.order, settled.base_units), (Some(first.id), payment.base_units));
    let order = loaded.orders.get(&first.id).expect("the order of its settlement is loaded");
    assert_eq!(order.progress.received_base_units, payment.base_units + over.base_units);
    let lots: Vec<_> = loaded.lots.values().filter(|lot| lot.order == Some(first.id)).collect();
    assert_eq!(lots.len(), 2, "the order's lots are loaded, whichever transfer brought them");
    let kept = store.balances(true).await.expect("reads");
    for (of, unit) in loaded.accounts_touched(&touched) {
        let kept = kept.iter().find(|kept| kept.account == of && kept.unit == unit);
        let seen = loaded.balances.get(&(of, unit));
        let sums = |balance: &inspay_ledger::AccountBalance| (balance.debits, balance.credits);
        assert_eq!(seen.map(sums), kept.map(|kept| (kept.debits, kept.credits)));
    }
}

/// The same operation again finds its outcome under its key, and changes nothing.
pub async fn the_same_operation_again_finds_its_outcome(store: &Arc<dyn Store>) {
    let order = ordered(store, 1).await;
    let payment = paying(&order, 1, 0);
    let nothing = paid(2, usdt(), U256::ZERO, block("a", 1), 1);
    recorded(store, &[payment, nothing]).await;
    let operations = vec![settle_for(&payment, 0, &order), settle_alone(&nothing, 0)];
    let first = write(store, operations.clone(), now()).await;
    let applied = [Some(1), None].map(|entry_seq| Outcome::Applied { entry_seq });
    assert_eq!(first.outcomes, applied);
    let before = picture(store).await;
    let again = write(store, operations, now()).await;
    let known = [Some(1), None].map(|entry_seq| Outcome::AlreadyApplied { entry_seq });
    assert_eq!(again.outcomes, known);
    let other = write(store, vec![settle_alone(&payment, 0)], now()).await;
    assert_eq!(other.outcomes, [Outcome::Refused(Refusal::Conflict)]);
    assert_eq!(picture(store).await, before);
}

/// A refused operation stops none of its batch, and leaves no outcome behind.
pub async fn a_refused_operation_stops_none_of_its_batch(store: &Arc<dyn Store>) {
    let order = ordered(store, 1).await;
    let payment = paying(&order, 1, 0);
    let unknown = paid(9, usdt(), U256::from(1), block("a", 1), 9);
    recorded(store, &[payment]).await;
    let operations = vec![
        settle_alone(&unknown, 0),
        settle_for(&payment, 1, &order),
        settle_for(&payment, 0, &order),
        close(&order, block_time(1)),
    ];
    let written = write(store, operations, now()).await;
    let expected = [
        Outcome::Refused(Refusal::NoSuchTransfer),
        Outcome::Refused(Refusal::StaleGeneration),
        Outcome::Applied { entry_seq: Some(1) },
        Outcome::Refused(Refusal::NotDue),
    ];
    assert_eq!(written.outcomes, expected);
    assert_eq!(store.entries(0, 10).await.expect("reads").len(), 1);
}

/// Every kind of settlement and entry reads back as it was decided.
pub async fn every_kind_of_settlement_reads_back(store: &Arc<dyn Store>) {
    let (order, late_order) = (ordered(store, 1).await, ordered(store, 2).await);
    let at = block("a", 1);
    let for_order = paying(&order, 1, 0);
    let late_at = block("a", 400);
    let late = paid(2, usdt(), U256::from(5_000_000), late_at, 0);
    let suspended = paid(3, inspi(), U256::MAX, at, 1);
    let out = withdrawn(4, usdt(), U256::from(3), at, 2);
    let zero = paid(5, usdt(), U256::ZERO, at, 3);
    let own = Transfer { counterparty: treasury(), ..paid(6, usdt(), U256::from(8), at, 4) };
    let mut follower = recorded(store, &[for_order, suspended, out, zero, own]).await;
    follower.extend(vec![applied(late_at, vec![late])]).await;
    let rate = "0.9999".parse().expect("a rate");
    let late_terms = LateTerms { rate, credits: Credits::from_micros(6_000_001) };
    let attribute = |order: &OrderTerms, evidence, late| Decision::Attribute {
        order: order.id,
        evidence,
        late,
    };
    let suspend = Decision::Suspend {
        reason: SuspenseReason::WrongAsset,
        candidates: vec![late_order.id, order.id],
    };
    let value = Some("12345678901234567890.123456".parse().expect("dollars"));
    let valued = |mut operation: Operation| {
        if let Act::Settle { value: known, .. } = &mut operation.act {
            *known = value;
        }
        operation
    };
    let operations = vec![
        valued(settle_as(&for_order, 0, attribute(&order, Evidence::ExactAmount, None))),
        valued(settle_as(&late, 0, attribute(&late_order, Evidence::Reference, Some(late_terms)))),
        valued(settle_as(&suspended, 0, suspend)),
        settle_alone(&out, 0),
        settle_alone(&zero, 0),
        settle_as(&own, 0, Decision::Ignore(IgnoreReason::SelfTransfer)),
    ];
    let written = write_fresh(store, operations, now()).await;
    let kinds: Vec<SettlementKind> =
        written.rows.settlements.iter().map(|settlement| settlement.kind).collect();
    let expected = [
        SettlementKind::Order,
        SettlementKind::Late,
        SettlementKind::Suspense,
        SettlementKind::Withdrawal,
        SettlementKind::Ignored,
        SettlementKind::Ignored,
    ];
    assert_eq!(kinds, expected);
    for (transfer, settlement) in
        [for_order, late, suspended, out, zero, own].iter().zip(&written.rows.settlements)
    {
        assert_eq!(view(store, transfer).await.settlement.as_ref(), Some(settlement));
    }
    close_and_expire(store, &late_order).await;
    let entries = store.entries(0, 100).await.expect("reads");
    let kinds: Vec<EntryKind> = entries.iter().map(|entry| entry.kind).collect();
    let expected = [
        EntryKind::Settle,
        EntryKind::SettleLate,
        EntryKind::Suspend,
        EntryKind::Withdraw,
        EntryKind::Expire,
        EntryKind::Expire,
    ];
    assert_eq!(kinds, expected);
}

/// An order that ended short is closed with its share of the credits.
pub async fn an_order_that_ended_short_is_closed(store: &Arc<dyn Store>) {
    let order = ordered(store, 1).await;
    let part = paid(1, usdt(), U256::from(3_000_001), block("a", 1), 0);
    recorded(store, &[part]).await;
    write_fresh(store, vec![settle_for(&part, 0, &order)], now()).await;
    let kept = store.order(order.id).await.expect("reads").expect("is there");
    assert_eq!(kept.progress.state, OrderState::PartiallyPaid);
    assert_eq!(store.lots(&order.account).await.expect("reads"), vec![]);
    let written = write_fresh(store, vec![close(&order, block_time(500))], now()).await;
    let entries = store.entries(1, 10).await.expect("reads");
    assert_eq!(entries, written.rows.entries);
    assert_eq!(entries.first().map(|entry| entry.kind), Some(EntryKind::CloseOrder));
    assert_eq!(store.lots(&order.account).await.expect("reads"), written.rows.new_lots);
    let kept = store.order(order.id).await.expect("reads").expect("is there");
    assert_eq!(kept.progress.state, OrderState::Expired);
    assert!(kept.progress.closed && kept.progress.credited > Credits::ZERO);
}

/// Closes an order that was paid late only and lets every lot lapse.
async fn close_and_expire(store: &Arc<dyn Store>, late_order: &OrderTerms) {
    write_fresh(store, vec![close(late_order, block_time(500))], now()).await;
    let far = now().plus_seconds(40 * 86_400);
    let lots = store.lots_to_expire(far, 10).await.expect("reads");
    assert_eq!(lots.len(), 2);
    let expire = lots.iter().map(|lot| Operation::from(Act::ExpireLot { lot: *lot })).collect();
    let expired = write_fresh(store, expire, far).await;
    assert_eq!(expired.rows.lots_changed.len(), 2);
    assert_eq!(store.lots_to_expire(far, 10).await.expect("reads"), vec![]);
    for owner in [account(1), account(2)] {
        assert_eq!(store.lots(&owner).await.expect("reads"), vec![]);
        let summary = store.account(&owner).await.expect("reads").expect("is there");
        assert_eq!(summary.posted, Credits::ZERO);
    }
    let events = store.events(None, 0, 100).await.expect("reads");
    let last = events.last().expect("events");
    assert_eq!(last.kind, EventKind::CreditsExpired);
    let order = store.order(late_order.id).await.expect("reads").expect("is there");
    assert!(order.progress.closed);
    assert_eq!(order.progress.state, OrderState::Expired);
}

/// A settled transfer that left is taken back; mined again it is settled again, as its next generation.
pub async fn what_left_the_chain_is_taken_back_and_settled_again(store: &Arc<dyn Store>) {
    let order = ordered(store, 1).await;
    let payment = paying(&order, 1, 0);
    let mut follower = recorded(store, &[payment]).await;
    write_fresh(store, vec![settle_for(&payment, 0, &order)], now()).await;
    follower.swap(&[block("a", 1)], vec![applied(block("b", 1), vec![])]).await;
    let due = store.transfers_to_reverse(CHAIN, 10).await.expect("reads");
    assert_eq!(due.iter().map(|record| record.transfer.key).collect::<Vec<_>>(), [payment.key]);
    let back = write_fresh(store, vec![reverse(&payment, 0)], now()).await;
    assert_eq!(store.transfers_to_reverse(CHAIN, 10).await.expect("reads"), vec![]);
    let seen = view(store, &payment).await;
    assert_eq!((seen.generation, seen.settlement, seen.canonical), (1, None, false));
    let kept = store.order(order.id).await.expect("reads").expect("is there");
    assert_eq!((kept.progress.state, kept.progress.credited), (OrderState::Open, Credits::ZERO));
    assert_eq!(store.lots(&order.account).await.expect("reads"), vec![]);
    assert_eq!(back.rows.entries.first().expect("posted").reverses, Some(1));
    let again = seen_again(payment, block("b", 2), 5);
    follower.extend(vec![applied(block("b", 2), vec![again])]).await;
    let due = store.transfers_to_settle(CHAIN, None, 9, 10).await.expect("reads");
    assert_eq!(due.iter().map(|record| record.generation).collect::<Vec<_>>(), [1]);
    write_fresh(store, vec![settle_for(&again, 1, &order)], now()).await;
    let seen = view(store, &payment).await;
    let settlement = seen.settlement.expect("settled again");
    assert_eq!((settlement.generation, settlement.block_hash), (1, block("b", 2).hash));
    let summary = store.account(&order.account).await.expect("reads").expect("is there");
    assert_eq!(summary.posted, order.credits);
    // Operations of the first generation are still answered from what was stored.
    let known = write(store, vec![settle_for(&payment, 0, &order), reverse(&payment, 0)], now());
    let known = known.await.outcomes;
    let expected = [1, 2].map(|seq| Outcome::AlreadyApplied { entry_seq: Some(seq) });
    assert_eq!(known, expected);
}

/// What a batch learned of calldata stays with the transfer; what it did not learn changes nothing.
pub async fn what_a_batch_learned_of_calldata_is_kept(store: &Arc<dyn Store>) {
    let at = block("a", 1);
    let unread = paid(1, usdt(), U256::from(5), at, 0);
    let unread_none = paid(2, usdt(), U256::from(5), at, 1);
    let known =
        Transfer { reference: Some(Some(reference(7))), ..paid(3, usdt(), U256::from(5), at, 2) };
    recorded(store, &[unread, unread_none, known]).await;
    let learned = |transfer: &Transfer, told| {
        let mut operation = settle_alone(transfer, 0);
        if let Act::Settle { reference, .. } = &mut operation.act {
            *reference = told;
        }
        operation
    };
    let operations = vec![
        learned(&unread, Some(reference(6))),
        learned(&unread_none, None),
        learned(&known, None),
    ];
    write_fresh(store, operations, now()).await;
    assert_eq!(view(store, &unread).await.transfer.reference, Some(Some(reference(6))));
    assert_eq!(view(store, &unread_none).await.transfer.reference, Some(None));
    assert_eq!(view(store, &known).await.transfer.reference, Some(Some(reference(7))));
}

/// Postings and balances hold every `uint256`; a sum past the end is refused, not wrapped.
pub async fn balances_hold_every_uint256(store: &Arc<dyn Store>) {
    let at = block("a", 1);
    let most = paid(1, usdt(), U256::MAX, at, 0);
    let one_more = paid(2, usdt(), U256::from(1), at, 1);
    let elsewhere = paid(3, inspi(), U256::MAX - U256::from(1), at, 2);
    recorded(store, &[most, one_more, elsewhere]).await;
    let operations =
        vec![settle_alone(&most, 0), settle_alone(&one_more, 0), settle_alone(&elsewhere, 0)];
    let written = write(store, operations, now()).await;
    assert_eq!(written.outcomes.get(1), Some(&Outcome::Refused(Refusal::OutOfRange)));
    let balances = store.balances(true).await.expect("reads");
    let balance = |of: &BookAccount, asset: AssetId| {
        let found = balances
            .iter()
            .find(|balance| balance.account == *of && balance.unit == Unit::Token(asset));
        found.map(|balance| (balance.debits, balance.credits))
    };
    let less = U256::MAX - U256::from(1);
    assert_eq!(balance(&BookAccount::Treasury, usdt()), Some((U256::MAX, U256::ZERO)));
    assert_eq!(balance(&BookAccount::Suspense, usdt()), Some((U256::ZERO, U256::MAX)));
    assert_eq!(balance(&BookAccount::Treasury, inspi()), Some((less, U256::ZERO)));
    assert_eq!(store.entries(0, 9).await.expect("reads"), written.rows.entries);
    // One more account, with the loaded sum: the balance is read back exactly before it is written again.
    let again = write(store, vec![settle_alone(&one_more, 0)], now()).await;
    assert_eq!(again.outcomes, [Outcome::Refused(Refusal::OutOfRange)]);
}

/// An order's slot is held and freed by selling, never by what a batch says of its progress.
pub async fn a_batch_does_not_move_a_slot(store: &Arc<dyn Store>) {
    let order = ordered(store, 1).await;
    let lane_closed = OrderTerms { exact_amount_lane: false, ..terms(2) };
    let lane_closed = ordered_as(store, lane_closed).await;
    let (first, second) = (paying(&order, 1, 0), paying(&lane_closed, 2, 1));
    recorded(store, &[first, second]).await;
    let operations = vec![settle_for(&first, 0, &order), settle_for(&second, 0, &lane_closed)];
    let flipped = |rows: &mut BatchRows| {
        for (_, progress) in &mut rows.orders {
            progress.slot_held = !progress.slot_held;
        }
    };
    write_changed(store, operations, now(), flipped).await.expect("writes");
    for (order, held) in [(order, true), (lane_closed, false)] {
        let kept = store.order(order.id).await.expect("reads").expect("is there");
        assert_eq!(kept.progress.slot_held, held);
        assert_eq!(kept.progress.state, OrderState::Paid);
    }
    assert_eq!(store.held_slots(usdt(), treasury()).await.expect("counts"), 1);
}

/// Keys are kept byte for byte, and account names differ by any byte.
pub async fn operation_keys_and_names_differ_by_any_byte(store: &Arc<dyn Store>) {
    let names = ["a", "A", "a.", "a@b", "0", "a-b_c"];
    let mut payments = Vec::new();
    for (name, number) in names.into_iter().zip(1u64..) {
        let account = name.parse().expect("an account id");
        let order = ordered_as(store, OrderTerms { account, ..terms(number) }).await;
        let log_index = u32::try_from(number).expect("small");
        payments.push((paying(&order, number, log_index), order));
    }
    let transfers: Vec<Transfer> = payments.iter().map(|(transfer, _)| *transfer).collect();
    recorded(store, &transfers).await;
    let renamed = |rows: &mut BatchRows| {
        for (row, key) in rows.operations.iter_mut().zip(["k", "K", "k ", " k", "k'%_\\", "\u{fc}"])
        {
            row.key = OperationKey::new(key);
        }
        for (entry, row) in rows.entries.iter_mut().zip(&rows.operations) {
            entry.operation = row.key.clone();
        }
        seal(rows);
    };
    let operations =
        payments.iter().map(|(transfer, order)| settle_for(transfer, 0, order)).collect();
    write_changed(store, operations, now(), renamed).await.expect("writes");
    for (_, order) in &payments {
        let summary = store.account(&order.account).await.expect("reads").expect("is there");
        assert_eq!(summary.posted, order.credits);
        let page = Page { after: None, limit: 10 };
        assert_eq!(
            store
                .history(&order.account, HistoryFilter::default(), page)
                .await
                .expect("lists")
                .len(),
            1
        );
        assert_eq!(store.lots(&order.account).await.expect("lists").len(), 1);
        let events = store.events(Some(&order.account), 0, 10).await.expect("lists");
        assert_eq!(events.len(), 1);
    }
    let issued = store.balances(false).await.expect("reads");
    let issued = issued
        .iter()
        .find(|row| row.account == BookAccount::CreditsIssued(LotSource::Purchase))
        .map(|row| row.debits);
    assert_eq!(issued, Some(U256::from(12_000_000u64 * 6)));
    assert_eq!(store.held_slots(usdt(), Address::ZERO).await.expect("counts"), 0);
}
