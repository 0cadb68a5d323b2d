//! Lots: credits granted at one time from one source.

use inspay_primitives::{AccountId, Credits, LotId, OrderId, Timestamp, TransferId, Usd};

use crate::LotSource;

/// Credits granted at one time, with what was paid for them and when they lapse.
///
/// Everything but [`Self::left`] is fixed when it is granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lot {
    /// Identity, from the entry that granted it.
    pub id: LotId,
    /// Whose credits.
    pub account: AccountId,
    /// Where they came from.
    pub source: LotSource,
    /// The order that bought them.
    pub order: Option<OrderId>,
    /// The transfer that completed the purchase.
    pub transfer: Option<TransferId>,
    /// How many there were.
    pub granted: Credits,
    /// How many are left.
    pub left: Credits,
    /// From when they can be spent.
    pub granted_at: Timestamp,
    /// From when they can no longer be spent; [`Timestamp::FAR`] for never.
    pub expires_at: Timestamp,
    /// What was paid for them, where that is known.
    pub paid: Option<Usd>,
}

impl Lot {
    /// Whether any of it can be spent at `now`. The sweeper need not have run.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.left > Credits::ZERO && now < self.expires_at
    }
}
