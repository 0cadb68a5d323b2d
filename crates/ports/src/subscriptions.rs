//! Keeping subscriptions, and where each of them stands.
//!
//! Never grants: a renewal is noted here after the books have its grants, and the books take each of them once.

use async_trait::async_trait;
use inspay_ledger::{Renewal, Subscription};
use inspay_primitives::{AccountId, SubscriptionId, Timestamp};

use crate::StoreError;

/// Where a subscription stands among those that are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DuePlace {
    /// When its next cycle begins.
    pub next_at: Timestamp,
    /// Its id, which orders those of one instant.
    pub id: SubscriptionId,
}

impl DuePlace {
    /// The place of a subscription; `None` where no cycle of it is to come.
    #[must_use]
    pub fn of(subscription: &Subscription) -> Option<Self> {
        subscription.next_at.map(|next_at| Self { next_at, id: subscription.id })
    }
}

/// What a gateway keeps of subscriptions.
#[async_trait]
pub trait SubscriptionStore: Send + Sync + std::fmt::Debug {
    /// Keeps a new one.
    ///
    /// # Errors
    ///
    /// `Exists("subscription")` where its id is taken, or the account has an open one of the same plan.
    async fn open_subscription(&self, subscription: Subscription) -> Result<(), StoreError>;

    /// One by its id.
    async fn subscription(&self, id: SubscriptionId) -> Result<Option<Subscription>, StoreError>;

    /// All that an account ever had, newest first.
    async fn subscriptions(&self, account: &AccountId) -> Result<Vec<Subscription>, StoreError>;

    /// Ends one: no cycle begins at or after `at`. The first end stays. `None` where there is none.
    async fn end_subscription(
        &self,
        id: SubscriptionId,
        at: Timestamp,
    ) -> Result<Option<Subscription>, StoreError>;

    /// Those with a cycle that has begun and is not granted, the longest due first; only those behind `after`, if it is
    /// given.
    async fn subscriptions_due(
        &self,
        now: Timestamp,
        after: Option<DuePlace>,
        limit: u32,
    ) -> Result<Vec<Subscription>, StoreError>;

    /// Notes what was granted, of each that still stands at the renewal's first cycle.
    async fn note_renewed(&self, renewals: Vec<Renewal>) -> Result<(), StoreError>;
}
