//! Facts of many sellers and writers at once.

use std::sync::Arc;

use inspay_ledger::Outcome;
use inspay_primitives::{Order, OrderId, OrderState, OrderTerms, Transfer, U256};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{
    batches::write_patiently,
    books::{paying, recorded},
    sale::{claim, kind, sample},
};
use crate::{
    IdempotencyClaim, NewOrder, OrderFilter, Page, Store, StoreError, StoreErrorKind,
    contract::{
        samples::{
            CHAIN, account, block_time, new_order, ordered, quote, reference, terms, treasury, usdt,
        },
        teller::settle_for,
    },
};

/// However many orders race for one amount, one is made, and the others are told why not.
pub async fn of_many_orders_for_one_amount_one_is_made(store: &Arc<dyn Store>) {
    let due_base_units = U256::from(10_000_019);
    let mut buyers = JoinSet::new();
    for number in 1..=16 {
        store.save_quote(quote(number)).await.expect("keeps");
        let store = Arc::clone(store);
        let order = new_order(OrderTerms { due_base_units, ..terms(number) });
        buyers.spawn(async move { until_settled(&store, order).await });
    }
    let (made, refused): (Vec<_>, Vec<_>) =
        buyers.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!(made.len(), 1);
    for error in refused.into_iter().filter_map(Result::err) {
        assert!(matches!(kind(&error), StoreErrorKind::SlotTaken), "{error:?}");
    }
    let page = Page { after: None, limit: 100 };
    let orders = store.orders(OrderFilter::default(), page).await.expect("lists");
    assert_eq!(orders.len(), 1);
    assert_eq!(store.held_slots(usdt(), treasury()).await.expect("counts"), 1);
}

/// A store may say that another writer was faster; whoever asks again is told the end of it.
async fn until_settled(store: &Arc<dyn Store>, order: NewOrder) -> Result<Order, StoreError> {
    for _ in 0..1_000 {
        match store.create_order(order.clone()).await {
            Err(error) if error.is_transient() => tokio::task::yield_now().await,
            outcome => return outcome,
        }
    }
    store.create_order(order).await
}

/// However many same requests race, they all get the one order that one of them made.
pub async fn of_many_same_requests_one_order_is_made(store: &Arc<dyn Store>) {
    let mut requests = JoinSet::new();
    store.save_quote(quote(1)).await.expect("keeps");
    for number in 1..=12u64 {
        let store = Arc::clone(store);
        // Each retry makes an id and a reference of its own; the quote and its amount are the same.
        let terms = OrderTerms {
            id: OrderId::from_uuid(Uuid::from_u128(u128::from(number))),
            reference: reference(number),
            ..terms(1)
        };
        let order = NewOrder { terms, request_key: Some("app/same".to_owned()) };
        requests.spawn(async move { until_settled(&store, order).await });
    }
    let outcomes = requests.join_all().await;
    let orders: Vec<Order> =
        outcomes.into_iter().map(|outcome| outcome.expect("gives the order")).collect();
    let first = orders.first().expect("some");
    assert!(orders.iter().all(|order| order == first));
}

/// However many claims race for a key, fresh or stale, one of them is fresh.
pub async fn of_many_claims_one_is_fresh(store: &Arc<dyn Store>) {
    for (now, stale_before) in [(10, 0), (30, 20)] {
        let mut claims = JoinSet::new();
        for _ in 0..16 {
            let store = Arc::clone(store);
            claims.spawn(async move { claim(&store, "app", "k", 1, (now, stale_before)).await });
        }
        let found = claims.join_all().await;
        let fresh = found.iter().filter(|claim| **claim == IdempotencyClaim::Fresh).count();
        let running = found.iter().filter(|claim| **claim == IdempotencyClaim::Running).count();
        assert_eq!((fresh, running), (1, 15));
    }
}

/// However many orders bring a new account at once, it appears once and all are made.
pub async fn of_many_first_orders_the_account_appears_once(store: &Arc<dyn Store>) {
    let mut buyers = JoinSet::new();
    for number in 1..=12u64 {
        store.save_quote(quote(number)).await.expect("keeps");
        let store = Arc::clone(store);
        let order = new_order(OrderTerms { account: account(77), ..terms(number) });
        buyers.spawn(async move { until_settled(&store, order).await });
    }
    for outcome in buyers.join_all().await {
        outcome.expect("is made");
    }
    let summaries = store.accounts(None, 10).await.expect("lists");
    let names: Vec<_> = summaries.into_iter().map(|summary| summary.account).collect();
    assert_eq!(names, [account(77)]);
}

/// The same samples told at once are kept once, and nobody is refused.
pub async fn samples_told_at_once_are_kept_once(store: &Arc<dyn Store>) {
    let mut tellers = JoinSet::new();
    for teller in 0..8u64 {
        let store = Arc::clone(store);
        // Told in different orders, so that writers meet each other halfway.
        let mut samples: Vec<_> =
            (0..40).map(|number| (usdt(), sample("http", "1.5", number))).collect();
        samples.rotate_left(usize::try_from(teller * 5).expect("small"));
        tellers.spawn(async move {
            for _ in 0..1_000 {
                match store.save_rates(samples.clone()).await {
                    Err(error) if error.is_transient() => tokio::task::yield_now().await,
                    outcome => return outcome,
                }
            }
            store.save_rates(samples).await
        });
    }
    for outcome in tellers.join_all().await {
        outcome.expect("keeps");
    }
    let wanted = (0..40).map(|number| (usdt(), block_time(number))).collect();
    let found = store.rates_at(wanted).await.expect("reads");
    assert_eq!(
        found,
        (0..40).map(|number| Some(sample("http", "1.5", number))).collect::<Vec<_>>()
    );
}

/// Settling, freeing and reserving at once: every payment is booked, and no amount is held twice.
pub async fn settling_freeing_and_reserving_do_not_disturb_each_other(store: &Arc<dyn Store>) {
    let mut orders = Vec::new();
    for number in 1..=10u64 {
        orders.push(ordered(store, number).await);
        store.save_quote(quote(number + 100)).await.expect("keeps");
    }
    let payments: Vec<Transfer> = orders
        .iter()
        .zip(1u32..)
        .map(|(order, number)| paying(order, u64::from(number), number))
        .collect();
    recorded(store, &payments).await;
    let mut at_once = JoinSet::new();
    for (number, (order, payment)) in (1u64..).zip(orders.iter().zip(&payments)) {
        let operations = vec![settle_for(payment, 0, order)];
        let writer = Arc::clone(store);
        at_once.spawn(async move {
            let outcomes = write_patiently(&writer, operations).await;
            assert!(matches!(outcomes.as_slice(), [Outcome::Applied { .. }]), "{outcomes:?}");
        });
        let sweeper = Arc::clone(store);
        at_once.spawn(async move { assert!(free_patiently(&sweeper).await <= 10) });
        let due_base_units = order.due_base_units;
        let next = new_order(OrderTerms { due_base_units, ..terms(number + 100) });
        let seller = Arc::clone(store);
        at_once.spawn(async move {
            if let Err(error) = until_settled(&seller, next).await {
                assert!(matches!(kind(&error), StoreErrorKind::SlotTaken), "{error:?}");
            }
        });
    }
    at_once.join_all().await;
    free_patiently(store).await;
    for order in &orders {
        let kept = store.order(order.id).await.expect("reads").expect("is there");
        assert_eq!((kept.progress.state, kept.progress.slot_held), (OrderState::Paid, false));
    }
    let page = Page { after: None, limit: u32::MAX };
    let all = store.orders(OrderFilter::default(), page).await.expect("lists");
    let held = all.iter().filter(|(_, order)| order.progress.slot_held).count();
    assert_eq!(held, all.len() - orders.len());
    let counted = store.held_slots(usdt(), treasury()).await.expect("counts");
    assert_eq!(u64::try_from(held).expect("small"), counted);
    assert_eq!(store.entries(0, u32::MAX).await.expect("reads").len(), orders.len());
}

async fn free_patiently(store: &Arc<dyn Store>) -> u64 {
    for _ in 0..1_000 {
        match store.free_slots(CHAIN, 1, block_time(0), 100).await {
            Err(error) if error.is_transient() => tokio::task::yield_now().await,
            outcome => return outcome.expect("frees"),
        }
    }
    store.free_slots(CHAIN, 1, block_time(0), 100).await.expect("frees")
}
