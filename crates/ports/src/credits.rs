//! Credits in use, as people and programs read them, and what of them is due.

use async_trait::async_trait;
use inspay_ledger::{
    EntryKind, Hold, Limit, Lot, LotMove, Profile, Usage, UsageDay, UsageSums, WindowUse,
};
use inspay_primitives::{AccountId, Day, HoldId, Label, LotId, Span, Timestamp, UsageId};

use crate::{Page, StoreError};

/// Which spends are listed. Every part that is set must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageFilter {
    /// Of this feature only.
    pub feature: Option<Label>,
    /// Of this project only.
    pub project: Option<Label>,
    /// Of this session only.
    pub session: Option<Label>,
}

/// What one entry did to a lot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LotChange {
    /// The entry.
    pub entry_seq: i64,
    /// What the entry records.
    pub kind: EntryKind,
    /// When it was booked.
    pub booked_at: Timestamp,
    /// What it moved.
    pub moved: LotMove,
    /// What it was for, as JSON.
    pub facts: Option<String>,
}

/// What of credits is due to be booked or told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreditsDue {
    /// Open holds that have run out.
    pub holds: Vec<HoldId>,
    /// Lots with something left whose owners were not told that they lapse soon.
    pub warnings: Vec<LotId>,
}

/// Reads of credits in use. What holds and spends are made of comes with them.
#[async_trait]
pub trait CreditStore: Send + Sync + std::fmt::Debug {
    /// One lot, whatever is left of it.
    async fn lot(&self, id: LotId) -> Result<Option<Lot>, StoreError>;

    /// One hold.
    async fn hold(&self, id: HoldId) -> Result<Option<Hold>, StoreError>;

    /// Holds of an account, newest first; the cursor is the number of the entry that made one.
    async fn holds(
        &self,
        account: &AccountId,
        open_only: bool,
        page: Page,
    ) -> Result<Vec<Hold>, StoreError>;

    /// One spend.
    async fn usage(&self, id: UsageId) -> Result<Option<Usage>, StoreError>;

    /// Spends of an account, newest first; the cursor is the number of a spend's entry.
    async fn usages(
        &self,
        account: &AccountId,
        filter: UsageFilter,
        page: Page,
    ) -> Result<Vec<Usage>, StoreError>;

    /// Sums of spends by day, feature and project, from a day to another, both included, in that order.
    async fn usage_days(
        &self,
        account: &AccountId,
        from: Day,
        to: Day,
    ) -> Result<Vec<(UsageDay, UsageSums)>, StoreError>;

    /// Sums of spends that count in a span of time by session, by the bytes of its name, at most `limit`; first those that
    /// named none.
    async fn usage_sessions(
        &self,
        account: &AccountId,
        span: Span,
        limit: u32,
    ) -> Result<Vec<(Option<Label>, UsageSums)>, StoreError>;

    /// Limits in force of an account by their ids, each with the window that `now` lies in, if anything was counted in it.
    async fn limits(
        &self,
        account: &AccountId,
        now: Timestamp,
    ) -> Result<Vec<(Limit, Option<WindowUse>)>, StoreError>;

    /// What an account has set for itself; the default where it has set nothing.
    async fn profile(&self, account: &AccountId) -> Result<Profile, StoreError>;

    /// What entries did to a lot after it was granted, oldest first; the cursor is an entry's number.
    async fn lot_changes(&self, lot: LotId, page: Page) -> Result<Vec<LotChange>, StoreError>;

    /// Holds that ran out at or before `now`, and lots that lapse after it and at or before `warn_until`; at most `limit`
    /// of each, those due first first.
    async fn credits_due(
        &self,
        now: Timestamp,
        warn_until: Timestamp,
        limit: u32,
    ) -> Result<CreditsDue, StoreError>;
}
