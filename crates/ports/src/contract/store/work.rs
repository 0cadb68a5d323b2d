//! Facts of what the settlement worker asks for.

use std::{collections::BTreeSet, sync::Arc};

use inspay_ledger::{ChainProgress, Outcome, Refusal};
use inspay_primitives::{
    Address, AssetId, B256, ChainId, Credits, LotId, OrderId, OrderTerms, Timestamp, Transfer, U256,
};

use super::books::{now, paying, recorded, view};
use crate::{
    AttributionProbe, Store, StoreErrorKind,
    contract::{
        samples::{
            CHAIN, Follower, account, applied, block, block_time, inspi, new_order, ordered,
            ordered_as, paid, quote, reference, seen_again, terms, treasury, usdt,
        },
        teller::{close, close_in, reverse, settle_alone, settle_for, write, write_fresh},
    },
};

fn all_of(records: Vec<inspay_ledger::TransferRecord>) -> Vec<Transfer> {
    records.into_iter().map(|record| record.transfer).collect()
}

/// Unsettled transfers come oldest block first, in log order, up to a block and a number.
pub async fn transfers_to_settle_come_oldest_first(store: &Arc<dyn Store>) {
    let other = AssetId { chain_id: ChainId(1), ..usdt() };
    let late = paid(1, usdt(), U256::from(1), block("a", 9), 0);
    let early = paid(2, inspi(), U256::from(2), block("a", 2), 7);
    let earlier_log = paid(3, usdt(), U256::ZERO, block("a", 2), 6);
    let middle = paid(4, usdt(), U256::from(4), block("a", 5), 1);
    let of_other = paid(5, other, U256::from(5), block("a", 1), 0);
    let mut follower = Follower::new(store);
    follower
        .extend(vec![
            applied(block("a", 2), vec![earlier_log, early]),
            applied(block("a", 5), vec![middle]),
            applied(block("a", 9), vec![late]),
        ])
        .await;
    Follower::of(store, ChainId(1)).extend(vec![applied(block("a", 1), vec![of_other])]).await;
    let due = async |up_to, limit| {
        all_of(store.transfers_to_settle(CHAIN, None, up_to, limit).await.expect("reads"))
    };
    assert_eq!(due(9, 10).await, [earlier_log, early, middle, late]);
    assert_eq!(due(8, 10).await, [earlier_log, early, middle]);
    assert_eq!(due(5, 2).await, [earlier_log, early]);
    assert_eq!(due(2, 1).await, [earlier_log]);
    assert_eq!(due(1, 10).await, vec![]);
    assert_eq!(due(9, 0).await, vec![]);
    let beyond = async |after, limit| {
        let found = store.transfers_to_settle(CHAIN, Some(after), 8, limit).await;
        all_of(found.expect("reads"))
    };
    assert_eq!(beyond((2, 5), 10).await, [earlier_log, early, middle]);
    assert_eq!(beyond((2, 6), 10).await, [early, middle]);
    assert_eq!(beyond((2, 7), 1).await, [middle]);
    assert_eq!(beyond((5, 1), 10).await, vec![]);
    assert_eq!(beyond((u64::MAX, u32::MAX), 10).await, vec![]);
    let records = store.transfers_to_settle(ChainId(1), None, 9, 10).await.expect("reads");
    let record = records.first().expect("one");
    assert_eq!((record.transfer, record.canonical), (of_other, true));
    assert_eq!((record.generation, record.settlement.clone()), (0, None));
    write_fresh(store, vec![settle_alone(&early, 0), settle_alone(&earlier_log, 0)], now()).await;
    assert_eq!(due(9, 10).await, [middle, late]);
    follower.swap(&[block("a", 9)], vec![applied(block("b", 9), vec![])]).await;
    assert_eq!(due(9, 10).await, [middle]);
}

/// What is settled in a block that left is to be taken back, oldest first, wherever it was mined again.
pub async fn what_left_or_changed_is_to_be_taken_back(store: &Arc<dyn Store>) {
    let parts: Vec<Transfer> = (2..=6)
        .map(|number| paid(number, usdt(), U256::from(number), block("a", number), 0))
        .collect();
    let mut follower = Follower::new(store);
    follower.extend(parts.iter().map(|part| applied(part.block, vec![*part])).collect()).await;
    let operations = parts.iter().map(|part| settle_alone(part, 0)).collect();
    write_fresh(store, operations, now()).await;
    let due = async |limit| {
        let due = store.transfers_to_reverse(CHAIN, limit).await.expect("reads");
        due.iter().for_each(|record| assert!(record.must_reverse(), "{record:?}"));
        due.iter().map(|record| record.transfer.base_units.to::<u64>()).collect::<Vec<u64>>()
    };
    assert_eq!(due(10).await, Vec::<u64>::new());
    // Blocks 4 to 6 leave: 4 comes back elsewhere, 5 with another amount, 6 not at all.
    let same = seen_again(parts[2], block("b", 4), 3);
    let changed = Transfer { base_units: U256::from(50), ..seen_again(parts[3], block("b", 5), 3) };
    let orphaned = [block("a", 4), block("a", 5), block("a", 6)];
    let added = vec![applied(block("b", 4), vec![same]), applied(block("b", 5), vec![changed])];
    follower.swap(&orphaned, added).await;
    assert_eq!(due(10).await, [4, 50, 6]);
    assert_eq!(due(1).await, [4]);
    assert_eq!(store.transfers_to_reverse(ChainId(1), 10).await.expect("reads"), vec![]);
    write_fresh(store, vec![reverse(&changed, 0)], now()).await;
    assert_eq!(due(10).await, [4, 6]);
    // With its new amount it is to be settled, once more.
    let records = store.transfers_to_settle(CHAIN, None, 9, 10).await.expect("reads");
    let generations: Vec<_> = records.iter().map(|record| record.generation).collect();
    assert_eq!(
        (all_of(records), generations),
        (vec![view(store, &changed).await.transfer], vec![1])
    );
    // Back as it was before anybody took it back, there is nothing to do.
    let back = vec![applied(block("a", 4), vec![]), applied(block("a", 6), vec![parts[4]])];
    follower.swap(&[block("b", 4), block("b", 5)], back).await;
    assert_eq!(due(10).await, [4]);
}

/// The oldest transfer that needs work is one to settle or one to take back, whichever is older.
pub async fn the_oldest_work_is_to_settle_or_to_take_back(store: &Arc<dyn Store>) {
    let parts: Vec<Transfer> = (2..=4)
        .map(|number| paid(number, usdt(), U256::from(number), block("a", number), 0))
        .collect();
    let (first, second, third) = (&parts[0], &parts[1], &parts[2]);
    let mut follower = Follower::new(store);
    follower.extend(parts.iter().map(|part| applied(part.block, vec![*part])).collect()).await;
    let oldest = async |chain| store.oldest_unsettled_time(chain).await.expect("reads");
    assert_eq!(oldest(CHAIN).await, Some(block_time(2)));
    assert_eq!(oldest(ChainId(1)).await, None);
    write_fresh(store, vec![settle_alone(second, 0), settle_alone(first, 0)], now()).await;
    assert_eq!(oldest(CHAIN).await, Some(block_time(4)));
    let added = vec![applied(block("b", 3), vec![]), applied(block("b", 4), vec![])];
    follower.swap(&[block("a", 3), block("a", 4)], added).await;
    assert_eq!(oldest(CHAIN).await, Some(block_time(3)));
    write_fresh(store, vec![reverse(second, 0)], now()).await;
    // The third left before it was settled: nothing is to be done about it.
    assert_eq!(oldest(CHAIN).await, None);
    let back = seen_again(*third, block("b", 5), 0);
    follower.extend(vec![applied(block("b", 5), vec![back])]).await;
    assert_eq!(oldest(CHAIN).await, Some(block_time(5)));
}

fn probe(terms: &OrderTerms) -> AttributionProbe {
    AttributionProbe {
        asset: terms.asset,
        treasury: terms.treasury,
        base_units: terms.due_base_units,
        reference: None,
        payer: Address::ZERO,
        tx_hash: B256::ZERO,
        block_time: terms.created_at,
    }
}

async fn found(store: &Arc<dyn Store>, probes: Vec<AttributionProbe>) -> Vec<OrderId> {
    let orders = store.orders_for(probes).await.expect("looks");
    let mut found: Vec<OrderId> = orders.iter().map(|found| found.order.terms.id).collect();
    found.sort_unstable();
    found
}

/// An order is found by its reference in whatever asset, or by its held amount, and told once.
pub async fn orders_are_found_by_reference_and_by_held_amount(store: &Arc<dyn Store>) {
    let (first, second) = (ordered(store, 1).await, ordered(store, 2).await);
    let max = OrderTerms { due_base_units: U256::MAX, ..terms(3) };
    let max = ordered_as(store, max).await;
    let no_lane = OrderTerms { exact_amount_lane: false, ..terms(4) };
    let no_lane = ordered_as(store, no_lane).await;
    let nothing = AttributionProbe {
        asset: inspi(),
        treasury: Address::ZERO,
        base_units: U256::from(1),
        ..probe(&first)
    };
    let by_reference = |number| AttributionProbe { reference: Some(reference(number)), ..nothing };
    assert_eq!(found(store, vec![]).await, vec![]);
    assert_eq!(found(store, vec![nothing, by_reference(77)]).await, vec![]);
    assert_eq!(found(store, vec![by_reference(1)]).await, [first.id]);
    assert_eq!(found(store, vec![probe(&second)]).await, [second.id]);
    assert_eq!(found(store, vec![probe(&max)]).await, [max.id]);
    // Outside the lane an amount is evidence of nothing; the reference is.
    assert_eq!(found(store, vec![probe(&no_lane)]).await, vec![]);
    assert_eq!(found(store, vec![by_reference(4)]).await, [no_lane.id]);
    let near = [
        AttributionProbe { asset: inspi(), ..probe(&first) },
        AttributionProbe { treasury: Address::ZERO, ..probe(&first) },
        AttributionProbe { base_units: first.due_base_units + U256::from(1), ..probe(&first) },
    ];
    assert_eq!(found(store, near.to_vec()).await, vec![]);
    // The amount of one with the reference of another brings both, each once.
    let both = AttributionProbe { reference: Some(second.reference), ..probe(&first) };
    let probes = vec![both, probe(&second), both, by_reference(1), nothing];
    assert_eq!(found(store, probes).await, [first.id, second.id]);
    let orders = store.orders_for(vec![by_reference(1)]).await.expect("looks");
    let whole = store.order(first.id).await.expect("reads");
    assert_eq!(orders.into_iter().next().map(|found| found.order), whole);
    let many = (0..2_000).map(by_reference).collect();
    assert_eq!(found(store, many).await.len(), 4);
}

/// A freed amount is found no longer and may be another order's; the reference still finds its order.
pub async fn a_freed_amount_belongs_to_nobody(store: &Arc<dyn Store>) {
    let order = ordered(store, 1).await;
    let payment = paying(&order, 1, 0);
    recorded(store, &[payment]).await;
    write_fresh(store, vec![settle_for(&payment, 0, &order)], now()).await;
    let same = OrderTerms { due_base_units: order.due_base_units, ..terms(2) };
    store.save_quote(quote(2)).await.expect("keeps");
    let error = store.create_order(new_order(same.clone())).await.expect_err("is held");
    assert!(matches!(error.kind, StoreErrorKind::SlotTaken), "{error:?}");
    assert_eq!(store.free_slots(CHAIN, 1, block_time(0), 10).await.expect("frees"), 1);
    assert_eq!(store.free_slots(CHAIN, 1, block_time(0), 10).await.expect("frees"), 0);
    assert_eq!(found(store, vec![probe(&order)]).await, vec![]);
    let named = AttributionProbe { reference: Some(order.reference), ..probe(&order) };
    assert_eq!(found(store, vec![named]).await, [order.id]);
    let next = store.create_order(new_order(same)).await.expect("is free").terms;
    assert_eq!(found(store, vec![probe(&order)]).await, [next.id]);
    assert_eq!(store.held_slots(usdt(), treasury()).await.expect("counts"), 1);
    let kept = store.order(order.id).await.expect("reads").expect("is there");
    assert!(!kept.progress.slot_held);
}

/// A paid order's slot is freed once all that pays for it is final; what was taken back no longer counts.
pub async fn a_paid_slot_is_freed_when_its_payments_are_final(store: &Arc<dyn Store>) {
    let (order, waiting) = (ordered(store, 1).await, ordered(store, 2).await);
    let half = U256::from(5_000_000);
    let first = paid(1, usdt(), half, block("a", 1), 0);
    let second = paid(2, usdt(), half, block("a", 4), 0);
    let part = paid(3, usdt(), half, block("a", 2), 0);
    let mut follower = Follower::new(store);
    let added = [(1, vec![first]), (2, vec![part]), (4, vec![second])];
    follower
        .extend(added.map(|(number, transfers)| applied(block("a", number), transfers)).to_vec())
        .await;
    let settle = |order: &OrderTerms, transfer: &Transfer| settle_for(transfer, 0, order);
    write_fresh(store, vec![settle(&order, &first), settle(&waiting, &part)], now()).await;
    let free = async |chain, finalized| {
        store.free_slots(chain, finalized, block_time(0), 10).await.expect("frees")
    };
    // Part of the due amount is not the due amount, however final.
    assert_eq!(free(CHAIN, 99).await, 0);
    write_fresh(store, vec![settle(&order, &second)], now()).await;
    assert_eq!(free(CHAIN, 3).await, 0);
    assert_eq!(free(ChainId(1), 99).await, 0);
    let third = paid(4, usdt(), U256::from(1), block("a", 6), 0);
    follower.extend(vec![applied(block("a", 6), vec![third])]).await;
    write_fresh(store, vec![settle(&order, &third)], now()).await;
    assert_eq!(free(CHAIN, 5).await, 0);
    follower.swap(&[block("a", 6)], vec![applied(block("b", 6), vec![])]).await;
    write_fresh(store, vec![reverse(&third, 0)], now()).await;
    assert_eq!(free(CHAIN, 4).await, 1);
    assert_eq!(store.held_slots(usdt(), treasury()).await.expect("counts"), 1);
}

/// An order that ended unpaid keeps its slot through its quarantine, counted from its deadline.
pub async fn an_unpaid_slot_is_freed_after_its_quarantine(store: &Arc<dyn Store>) {
    for number in 1..=6 {
        let order = OrderTerms { deadline: block_time(10 + number), ..terms(number) };
        ordered_as(store, order).await;
    }
    let free = async |before, limit| {
        store.free_slots(CHAIN, 0, block_time(before), limit).await.expect("frees")
    };
    // Nothing is over before it is closed.
    assert_eq!(free(900, 10).await, 0);
    let closing = (1..=5).map(|number| close(&terms(number), block_time(500))).collect();
    write_fresh(store, closing, now()).await;
    assert_eq!(free(11, 10).await, 0);
    assert_eq!(free(12, 10).await, 1);
    assert_eq!(free(900, 3).await, 3);
    assert_eq!(free(900, 3).await, 1);
    assert_eq!(free(900, 3).await, 0);
    assert_eq!(store.held_slots(usdt(), treasury()).await.expect("counts"), 1);
    let still = store.order(terms(6).id).await.expect("reads").expect("is there");
    assert!(still.progress.slot_held);
}

/// An unpaid order counts while it is open, and then until its amount is free; a paid one does not.
pub async fn unpaid_orders_count_until_they_keep_nothing(store: &Arc<dyn Store>) {
    let buyer = account(1);
    let counted = async || store.unpaid_orders(&buyer).await.expect("counts");
    assert_eq!(counted().await, 0);
    let mine = |number| OrderTerms { account: buyer.clone(), ..terms(number) };
    let paid_up = ordered_as(store, mine(1)).await;
    let without_slot = OrderTerms { exact_amount_lane: false, ..mine(2) };
    ordered_as(store, without_slot.clone()).await;
    let abandoned = ordered_as(store, mine(3)).await;
    ordered_as(store, OrderTerms { account: account(2), ..terms(4) }).await;
    assert_eq!(counted().await, 3);
    let payment = paying(&paid_up, 1, 0);
    Follower::new(store).extend(vec![applied(payment.block, vec![payment])]).await;
    write_fresh(store, vec![settle_for(&payment, 0, &paid_up)], now()).await;
    assert_eq!(counted().await, 2);
    let closing = [&without_slot, &abandoned].map(|order| close(order, block_time(500)));
    write_fresh(store, closing.to_vec(), now()).await;
    assert_eq!(counted().await, 1);
    assert_eq!(store.free_slots(CHAIN, 0, block_time(900), 10).await.expect("frees"), 1);
    assert_eq!(counted().await, 0);
}

/// Whether there are orders is asked of one chain, up to and at a time.
pub async fn orders_are_known_from_their_making_on(store: &Arc<dyn Store>) {
    let has = async |chain, time| store.has_orders_before(chain, time).await.expect("looks");
    assert!(!has(CHAIN, Timestamp::FAR).await);
    ordered_as(store, OrderTerms { created_at: block_time(7), ..terms(1) }).await;
    ordered_as(store, OrderTerms { created_at: block_time(9), ..terms(2) }).await;
    let just_before = Timestamp::from_micros(block_time(7).micros() - 1);
    assert!(!has(CHAIN, just_before).await);
    assert!(has(CHAIN, block_time(7)).await);
    assert!(has(CHAIN, Timestamp::FAR).await);
    assert!(!has(ChainId(1), Timestamp::FAR).await);
}

/// Orders are to be closed once deadline and grace have passed, unless they are paid or closed.
pub async fn orders_are_closed_after_their_last_moment(store: &Arc<dyn Store>) {
    let (open, paid_up, part) =
        (ordered(store, 1).await, ordered(store, 2).await, ordered(store, 3).await);
    let later = ordered_as(store, OrderTerms { grace_seconds: 61, ..terms(4) }).await;
    let elsewhere = AssetId { chain_id: ChainId(1), ..usdt() };
    let elsewhere = ordered_as(store, OrderTerms { asset: elsewhere, ..terms(5) }).await;
    let payment = paying(&paid_up, 1, 0);
    let half = paid(2, usdt(), U256::from(5_000_000), block("a", 1), 1);
    recorded(store, &[payment, half]).await;
    let operations = vec![settle_for(&payment, 0, &paid_up), settle_for(&half, 0, &part)];
    write_fresh(store, operations, now()).await;
    let due = async |chain, time, limit| {
        let due = store.orders_to_close(chain, time, limit).await.expect("reads");
        due.into_iter().collect::<BTreeSet<OrderId>>()
    };
    let last_moment = open.in_time_until();
    let after = Timestamp::from_micros(last_moment.micros() + 1);
    assert_eq!(due(CHAIN, last_moment, 10).await, BTreeSet::new());
    assert_eq!(due(CHAIN, after, 10).await, BTreeSet::from([open.id, part.id]));
    assert_eq!(due(CHAIN, after, 1).await.len(), 1);
    assert_eq!(due(CHAIN, Timestamp::FAR, 10).await, BTreeSet::from([open.id, part.id, later.id]));
    assert_eq!(due(ChainId(1), after, 10).await, BTreeSet::from([elsewhere.id]));
    write_fresh(store, vec![close(&open, after), close(&part, after)], now()).await;
    assert_eq!(due(CHAIN, Timestamp::FAR, 10).await, BTreeSet::from([later.id]));
}

/// An order is closed only if its branch is still followed, and nothing that may be in time for it waits, when the books
/// are written.
pub async fn no_order_is_closed_by_what_no_longer_holds(store: &Arc<dyn Store>) {
    let mut orders = Vec::new();
    for number in 1..=3 {
        let short = OrderTerms { deadline: block_time(10), ..terms(number) };
        orders.push(ordered_as(store, short).await);
    }
    let (order, after) = (&orders[0], block_time(20));
    assert_eq!(order.in_time_until(), block_time(15));
    let refused = async |closing, why| {
        let written = write(store, vec![closing], now()).await;
        assert_eq!(written.outcomes, [Outcome::Refused(why)]);
        written.loaded.chains[&CHAIN]
    };
    let progress = |epoch, oldest: Option<u64>| ChainProgress {
        epoch,
        oldest_unsettled: oldest.map(block_time),
    };
    let nobody = refused(close_in(order, after, 0), Refusal::OtherBranch).await;
    assert_eq!(nobody, progress(None, None));
    let mut follower = Follower::new(store);
    let later = paid(1, usdt(), U256::from(1), block("a", 16), 0);
    follower.extend(vec![applied(later.block, vec![later]), applied(block("a", 20), vec![])]).await;
    let written = write_fresh(store, vec![close_in(order, after, 0)], now()).await;
    // What came after the last moment may wait.
    assert_eq!(written.loaded.chains[&CHAIN], progress(Some(0), Some(16)));

    let order = &orders[1];
    let in_time = paid(2, usdt(), U256::from(2), block("b", 15), 0);
    let left = [block("a", 16), block("a", 20)];
    let came = vec![applied(in_time.block, vec![in_time]), applied(block("b", 20), vec![])];
    follower.swap(&left, came).await;
    let seen = refused(close_in(order, after, 0), Refusal::OtherBranch).await;
    assert_eq!(seen, progress(Some(1), Some(15)));
    refused(close_in(order, after, 1), Refusal::OlderUnsettled).await;
    refused(close(order, after), Refusal::OlderUnsettled).await;
    write_fresh(store, vec![settle_alone(&in_time, 0)], now()).await;
    write_fresh(store, vec![close_in(order, after, 1)], now()).await;

    // So long as it was not taken back, it may come to stand earlier.
    let order = &orders[2];
    follower.swap(&[block("b", 15), block("b", 20)], vec![applied(block("c", 20), vec![])]).await;
    let seen = refused(close_in(order, after, 2), Refusal::OlderUnsettled).await;
    assert_eq!(seen, progress(Some(2), Some(15)));
    write_fresh(store, vec![reverse(&in_time, 0)], now()).await;
    write_fresh(store, vec![close_in(order, after, 2)], now()).await;
}

/// Lots lapse at their moment, the soonest first, and only while something is left of them.
pub async fn lots_lapse_soonest_first(store: &Arc<dyn Store>) {
    let mut payments = Vec::new();
    for (number, credits_valid_days) in [(1u64, 30), (2, 10), (3, 20), (4, 40), (5, 20)] {
        let order = OrderTerms { credits_valid_days, ..terms(number) };
        let order = ordered_as(store, order).await;
        let log_index = u32::try_from(number).expect("small");
        payments.push((paying(&order, number, log_index), order));
    }
    let transfers: Vec<Transfer> = payments.iter().map(|(transfer, _)| *transfer).collect();
    let mut follower = recorded(store, &transfers).await;
    let operations =
        payments.iter().map(|(transfer, order)| settle_for(transfer, 0, order)).collect();
    write_fresh(store, operations, now()).await;
    let lot = |entry_seq| LotId { entry_seq, index: 0 };
    let lapsed = async |days: i64, limit| {
        let at = now().plus_seconds(days * 86_400);
        store.lots_to_expire(at, limit).await.expect("reads")
    };
    let just_before = Timestamp::from_micros(now().plus_seconds(10 * 86_400).micros() - 1);
    assert_eq!(store.lots_to_expire(just_before, 10).await.expect("reads"), vec![]);
    assert_eq!(lapsed(10, 10).await, [lot(2)]);
    assert_eq!(lapsed(30, 10).await, [lot(2), lot(3), lot(5), lot(1)]);
    assert_eq!(lapsed(30, 2).await, [lot(2), lot(3)]);
    follower.swap(&[block("a", 1)], vec![applied(block("b", 1), vec![])]).await;
    let (taken_back, order) = payments.get(2).expect("five of them");
    write_fresh(store, vec![reverse(taken_back, 0)], now()).await;
    assert_eq!(lapsed(30, 10).await, [lot(2), lot(5), lot(1)]);
    assert_eq!(store.lots(&order.account).await.expect("lists"), vec![]);
    let summary = store.account(&order.account).await.expect("reads").expect("is there");
    assert_eq!(summary.posted, Credits::ZERO);
}
