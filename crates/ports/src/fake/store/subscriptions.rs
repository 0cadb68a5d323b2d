//! Subscriptions, in the fake store.

use std::cmp::Reverse;

use async_trait::async_trait;
use inspay_ledger::{Renewal, Subscription};
use inspay_primitives::{AccountId, SubscriptionId, Timestamp};

use super::FakeStore;
use crate::{DuePlace, StoreError, StoreErrorKind, SubscriptionStore};

#[async_trait]
impl SubscriptionStore for FakeStore {
    async fn open_subscription(&self, subscription: Subscription) -> Result<(), StoreError> {
        self.write("open a subscription", |state| {
            let is_taken = state.subscriptions.values().any(|kept| {
                kept.id == subscription.id
                    || (kept.account == subscription.account
                        && kept.plan == subscription.plan
                        && kept.ended_at.is_none())
            });
            if is_taken {
                return Err(StoreErrorKind::Exists("subscription"));
            }
            state.subscriptions.insert(subscription.id, subscription);
            Ok(())
        })
    }

    async fn subscription(&self, id: SubscriptionId) -> Result<Option<Subscription>, StoreError> {
        self.read("read a subscription", |state| Ok(state.subscriptions.get(&id).cloned()))
    }

    async fn subscriptions(&self, account: &AccountId) -> Result<Vec<Subscription>, StoreError> {
        self.read("list subscriptions", |state| {
            let own = state.subscriptions.values().filter(|kept| kept.account == *account);
            let mut own: Vec<Subscription> = own.cloned().collect();
            own.sort_by_key(|kept| Reverse((kept.opened_at, kept.id)));
            Ok(own)
        })
    }

    async fn end_subscription(
        &self,
        id: SubscriptionId,
        at: Timestamp,
    ) -> Result<Option<Subscription>, StoreError> {
        self.write("end a subscription", |state| {
            let Some(kept) = state.subscriptions.get_mut(&id) else { return Ok(None) };
            if kept.ended_at.is_none() {
                *kept = kept.clone().ended(at);
            }
            Ok(Some(kept.clone()))
        })
    }

    async fn subscriptions_due(
        &self,
        now: Timestamp,
        after: Option<DuePlace>,
        limit: u32,
    ) -> Result<Vec<Subscription>, StoreError> {
        self.read("find due subscriptions", |state| {
            let is_due = |kept: &&Subscription| {
                DuePlace::of(kept).is_some_and(|place| {
                    place.next_at <= now && after.is_none_or(|after| after < place)
                })
            };
            let mut due: Vec<Subscription> =
                state.subscriptions.values().filter(is_due).cloned().collect();
            due.sort_by_key(|kept| (kept.next_at, kept.id));
            due.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            Ok(due)
        })
    }

    async fn note_renewed(&self, renewals: Vec<Renewal>) -> Result<(), StoreError> {
        self.write("note renewals", |state| {
            for renewal in renewals {
                let kept = state.subscriptions.get_mut(&renewal.subscription);
                let stands = kept.filter(|kept| kept.next_cycle == renewal.from_cycle);
                if let Some(kept) = stands {
                    kept.next_cycle = renewal.to_cycle;
                    kept.next_at = renewal
                        .next_at
                        .filter(|next_at| kept.ended_at.is_none_or(|ended_at| *next_at < ended_at));
                }
            }
            Ok(())
        })
    }
}
