//! Facts of subscriptions: kept as opened, ended once, moved on by one of many.

use std::sync::Arc;

use inspay_ledger::{Renewal, Subscription};
use inspay_primitives::SubscriptionId;
use tokio::task::JoinSet;

use crate::{
    DuePlace, Store, StoreErrorKind,
    contract::{
        samples::{account, block_time},
        till,
    },
};

fn subscription(number: u64, of: u64, plan: &str) -> Subscription {
    till::subscription(number, &account(of), plan, block_time(number))
}

fn renewal(of: &Subscription, to_cycle: u32) -> Renewal {
    Renewal {
        subscription: of.id,
        from_cycle: of.next_cycle,
        to_cycle,
        next_at: Some(of.begins(to_cycle)),
        grants: Vec::new(),
    }
}

async fn read(store: &Arc<dyn Store>, id: SubscriptionId) -> Subscription {
    store.subscription(id).await.expect("reads").expect("is there")
}

/// A subscription is kept as it was opened, one of a plan at a time.
pub async fn a_subscription_is_kept_as_it_was_opened(store: &Arc<dyn Store>) {
    let (one, other) = (subscription(1, 1, "pro"), subscription(2, 1, "team"));
    assert_eq!(store.subscription(one.id).await.expect("reads"), None);
    store.open_subscription(one.clone()).await.expect("keeps");
    store.open_subscription(other.clone()).await.expect("keeps");
    assert_eq!(read(store, one.id).await, one);
    assert_eq!(store.subscriptions(&account(1)).await.expect("lists"), [other, one.clone()]);
    assert_eq!(store.subscriptions(&account(2)).await.expect("lists"), vec![]);
    let same_id = Subscription { account: account(2), ..one.clone() };
    for taken in [one.clone(), subscription(3, 1, "pro"), same_id] {
        let refused = store.open_subscription(taken).await.expect_err("is taken");
        assert!(matches!(refused.kind, StoreErrorKind::Exists("subscription")), "{refused:?}");
    }
    store.open_subscription(subscription(4, 2, "pro")).await.expect("another's");
    store.end_subscription(one.id, block_time(9)).await.expect("ends");
    store.open_subscription(subscription(5, 1, "pro")).await.expect("after the end");
}

/// An end stays, and what is due goes by it.
pub async fn a_subscription_ends_once(store: &Arc<dyn Store>) {
    let one = subscription(1, 1, "pro");
    let unknown = store.end_subscription(one.id, block_time(2)).await.expect("looks");
    assert_eq!(unknown, None);
    store.open_subscription(one.clone()).await.expect("keeps");
    assert_eq!(store.subscriptions_due(block_time(0), None, 10).await.expect("finds"), vec![]);
    let at_once = store.subscriptions_due(block_time(1), None, 10).await.expect("finds");
    assert_eq!(at_once, std::slice::from_ref(&one));
    store.note_renewed(vec![renewal(&one, 1)]).await.expect("notes");
    assert_eq!(store.subscriptions_due(block_time(2), None, 10).await.expect("finds"), vec![]);
    let ended = one.clone().ended(block_time(3));
    let ended = Subscription { next_cycle: 1, next_at: None, ..ended };
    for at in [3, 4] {
        let told = store.end_subscription(one.id, block_time(at)).await.expect("ends");
        assert_eq!(told, Some(ended.clone()));
    }
    assert_eq!(store.subscriptions_due(one.begins(9), None, 10).await.expect("finds"), vec![]);
    // One that ends before its first cycle was granted still has it.
    let other = subscription(2, 1, "pro");
    store.open_subscription(other.clone()).await.expect("keeps");
    let ended = store.end_subscription(other.id, block_time(3)).await.expect("ends");
    assert_eq!(ended.expect("is there").next_at, other.next_at);
    let due = store.subscriptions_due(block_time(3), None, 10).await.expect("finds");
    assert_eq!(due.len(), 1);
    store.note_renewed(vec![renewal(&due[0], 1)]).await.expect("notes");
    assert_eq!(read(store, other.id).await.next_at, None);
}

/// What is due comes longest due first; a renewal counts where the subscription still stands.
pub async fn a_renewal_is_noted_once(store: &Arc<dyn Store>) {
    let opened: Vec<Subscription> =
        (1..=3).rev().map(|number| subscription(number, number, "pro")).collect();
    for one in &opened {
        store.open_subscription(one.clone()).await.expect("keeps");
    }
    let due = store.subscriptions_due(block_time(2), None, 10).await.expect("finds");
    assert_eq!(due, [opened[2].clone(), opened[1].clone()]);
    assert_eq!(store.subscriptions_due(block_time(2), None, 1).await.expect("finds"), due[..1]);
    for (at, rest) in [(0, &due[1..]), (1, &[])] {
        let after = DuePlace::of(&due[at]);
        let behind = store.subscriptions_due(block_time(2), after, 10).await.expect("finds");
        assert_eq!(behind, rest, "behind {at}");
    }
    let one_instant = DuePlace { id: due[1].id, ..DuePlace::of(&due[0]).expect("is due") };
    let behind = store.subscriptions_due(block_time(2), Some(one_instant), 10).await;
    assert_eq!(behind.expect("finds"), due[1..]);
    let (one, other) = (&opened[2], &opened[1]);
    store.note_renewed(vec![renewal(one, 2), renewal(other, 1)]).await.expect("notes");
    store.note_renewed(vec![renewal(one, 1)]).await.expect("is late");
    store.note_renewed(Vec::new()).await.expect("nothing");
    let expected = Subscription { next_cycle: 2, next_at: Some(one.begins(2)), ..one.clone() };
    assert_eq!(read(store, one.id).await, expected);
    assert_eq!(read(store, other.id).await.next_cycle, 1);
    let never = Renewal { next_at: None, ..renewal(&expected, 3) };
    store.note_renewed(vec![never]).await.expect("notes");
    assert_eq!(read(store, one.id).await.next_at, None);
}

/// Of many openings of one plan for one account, one is kept.
pub async fn of_many_subscriptions_to_a_plan_one_is_opened(store: &Arc<dyn Store>) {
    let mut opening = JoinSet::new();
    for number in 1..=12 {
        let store = Arc::clone(store);
        opening.spawn(async move { store.open_subscription(subscription(number, 1, "pro")).await });
    }
    let outcomes = opening.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    for refused in outcomes.into_iter().filter_map(Result::err) {
        assert!(matches!(refused.kind, StoreErrorKind::Exists("subscription")), "{refused:?}");
    }
    assert_eq!(store.subscriptions(&account(1)).await.expect("lists").len(), 1);
}
