//! Lots: credits granted at one time from one source, where each of them is now, and in which order they burn.

use inspay_primitives::{AccountId, Credits, Label, LotId, OrderId, Timestamp, TransferId, Usd};

use crate::{BookAccount, LotSource};

/// Where a part of a lot is. A lot's parts always add up to what was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bucket {
    /// There to be spent, while the lot is live.
    Left,
    /// Set aside by holds.
    Held,
    /// Spent.
    Spent,
    /// Lapsed, and booked as such.
    Expired,
    /// Taken back: revoked, reversed with its payment, or used to make an account whole.
    Taken,
}

impl Bucket {
    /// Every bucket.
    pub const ALL: [Self; 5] = [Self::Left, Self::Held, Self::Spent, Self::Expired, Self::Taken];

    /// The bucket as stored, hashed and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Held => "held",
            Self::Spent => "spent",
            Self::Expired => "expired",
            Self::Taken => "taken",
        }
    }

    /// Reads what [`Self::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|bucket| bucket.as_str() == text)
    }
}

/// Credits of a lot that an entry moved from one bucket to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LotMove {
    /// The lot.
    pub lot: LotId,
    /// Where they were.
    pub from: Bucket,
    /// Where they are now.
    pub to: Bucket,
    /// How many; never zero.
    pub credits: Credits,
}

/// A part of a lot, as a hold or a spend uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The lot.
    pub lot: LotId,
    /// How much of it.
    pub credits: Credits,
}

/// The facts of a lot, fixed when it is granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lot {
    /// Identity, from the entry that granted it.
    pub id: LotId,
    /// Whose credits.
    pub account: AccountId,
    /// Where they came from.
    pub source: LotSource,
    /// The promotion that granted them, where one did.
    pub campaign: Option<Label>,
    /// The one feature that they can be spent on; any where there is none.
    pub scope: Option<Label>,
    /// Lower burns first.
    pub priority: u8,
    /// The order that bought them.
    pub order: Option<OrderId>,
    /// The transfer that completed the purchase.
    pub transfer: Option<TransferId>,
    /// How many there were.
    pub granted: Credits,
    /// From when they can be spent.
    pub granted_at: Timestamp,
    /// From when they can no longer be spent; [`Timestamp::FAR`] for never.
    pub expires_at: Timestamp,
    /// What was paid for them, where that is known.
    pub paid: Option<Usd>,
    /// Where they are now.
    pub parts: LotParts,
}

/// Where the credits of a lot are. Everything else of a lot is fixed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LotParts {
    /// There to be spent, while the lot is live.
    pub left: Credits,
    /// Set aside by holds.
    pub held: Credits,
    /// Spent.
    pub spent: Credits,
    /// Lapsed and booked.
    pub expired: Credits,
    /// Taken back.
    pub taken: Credits,
    /// Whether it was revoked: what holds give back is taken back too.
    pub revoked: bool,
    /// Whether its owner was told that it will lapse.
    pub warned: bool,
}

impl LotParts {
    /// A new lot's.
    #[must_use]
    pub fn of_new(granted: Credits) -> Self {
        Self { left: granted, ..Self::default() }
    }

    const fn part_mut(&mut self, bucket: Bucket) -> &mut Credits {
        match bucket {
            Bucket::Left => &mut self.left,
            Bucket::Held => &mut self.held,
            Bucket::Spent => &mut self.spent,
            Bucket::Expired => &mut self.expired,
            Bucket::Taken => &mut self.taken,
        }
    }

    /// The parts after a move, or `None` where there is not that much to move.
    #[must_use]
    pub fn moved(mut self, from: Bucket, to: Bucket, credits: Credits) -> Option<Self> {
        let source = self.part_mut(from);
        *source = source.checked_sub(credits).filter(|rest| *rest >= Credits::ZERO)?;
        let target = self.part_mut(to);
        *target = target.checked_add(credits)?;
        Some(self)
    }

    /// All parts together, where they can be added.
    #[must_use]
    pub fn total(&self) -> Option<Credits> {
        [self.held, self.spent, self.expired, self.taken]
            .into_iter()
            .try_fold(self.left, Credits::checked_add)
    }
}

/// The order in which lots burn: smaller first. Total, since it ends with the lot's identity.
pub type BurnOrder = (bool, u8, Timestamp, bool, Timestamp, LotId);

impl Lot {
    /// Burn-down: narrower scope, priority, soonest expiry, free before paid, oldest, id.
    #[must_use]
    pub fn burn_order(&self) -> BurnOrder {
        let is_paid = self.paid.is_some_and(|paid| !paid.decimal().is_zero())
            || (self.paid.is_none() && self.source == LotSource::Purchase);
        (self.scope.is_none(), self.priority, self.expires_at, is_paid, self.granted_at, self.id)
    }

    /// Whether any of it can be spent at `now`. The sweeper need not have run.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.parts.left > Credits::ZERO && now < self.expires_at && !self.parts.revoked
    }

    /// Whether it can be spent on a feature.
    #[must_use]
    pub fn fits(&self, feature: &Label) -> bool {
        self.scope.as_ref().is_none_or(|scope| scope == feature)
    }

    /// The account of the books that its credits were issued from.
    #[must_use]
    pub fn issued_from(&self) -> BookAccount {
        issued_from(self.source, self.campaign.as_ref())
    }
}

/// The account of the books that credits of a source are issued from.
#[must_use]
pub fn issued_from(source: LotSource, campaign: Option<&Label>) -> BookAccount {
    match (source, campaign) {
        (LotSource::Promotion, Some(campaign)) => BookAccount::CampaignIssued(campaign.clone()),
        _ => BookAccount::CreditsIssued(source),
    }
}
