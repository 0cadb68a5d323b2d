//! What credits are used for: purposes, holds and how they end, spends.

use inspay_primitives::{AccountId, Credits, HoldId, Label, Timestamp, UsageId};
use serde::{Deserialize, Serialize};

use crate::Slice;

/// What credits are set aside or spent for. Stored as JSON.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Purpose {
    /// The feature of the price book.
    pub feature: Label,
    /// Its quality, where it has some.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub quality: Option<Label>,
    /// Its size, where it has some.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub size: Option<Label>,
    /// How many units of it; `None` where the caller named credits.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub units: Option<u32>,
    /// The project that it is for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub project: Option<Label>,
    /// The session that it is made in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub session: Option<Label>,
    /// The caller's own name for it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reference: Option<Label>,
}

impl Purpose {
    /// The purpose as one text, for a request's fingerprint. Labels have no space in them.
    pub(crate) fn wish(&self) -> String {
        let text = |label: &Option<Label>| label.as_ref().map_or("-", Label::as_str).to_owned();
        let units = self.units.map_or_else(|| "-".to_owned(), |units| units.to_string());
        [
            self.feature.to_string(),
            text(&self.quality),
            text(&self.size),
            units,
            text(&self.project),
            text(&self.session),
            text(&self.reference),
        ]
        .join(" ")
    }

    /// A purpose that names a feature only.
    #[must_use]
    pub const fn of(feature: Label) -> Self {
        Self {
            feature,
            quality: None,
            size: None,
            units: None,
            project: None,
            session: None,
            reference: None,
        }
    }
}

/// How a hold ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResolutionKind {
    /// Spent, in whole or in part.
    Captured,
    /// Given back.
    Released,
    /// Left alone until it ran out, and given back.
    Lapsed,
}

impl ResolutionKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Captured, Self::Released, Self::Lapsed];

    /// The kind as stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Captured => "captured",
            Self::Released => "released",
            Self::Lapsed => "lapsed",
        }
    }

    /// Reads what [`Self::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// The end of a hold. One row, keyed by the hold; append-only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// The hold.
    pub hold: HoldId,
    /// How it ended.
    pub kind: ResolutionKind,
    /// What was spent of it; zero unless captured.
    pub captured: Credits,
    /// The entry that ended it.
    pub entry_seq: i64,
    /// When it was booked.
    pub resolved_at: Timestamp,
}

/// Credits set aside for work under way. Append-only; it is open while no resolution names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Identity, made by the caller from its request.
    pub id: HoldId,
    /// Whose credits.
    pub account: AccountId,
    /// What they are for.
    pub purpose: Purpose,
    /// How many.
    pub credits: Credits,
    /// When it was made: the day and the limits' windows that it counts in.
    pub made_at: Timestamp,
    /// From when it can no longer be captured.
    pub expires_at: Timestamp,
    /// The entry that made it.
    pub entry_seq: i64,
    /// The parts of lots it holds, in burn-down order.
    pub slices: Vec<Slice>,
    /// How it ended.
    pub resolution: Option<Resolution>,
}

impl Hold {
    /// Whether it can be captured at `now`. The sweeper need not have run.
    #[must_use]
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.resolution.is_none() && now < self.expires_at
    }
}

/// Credits that were spent. Append-only but for [`Self::refunded`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Identity: the entry that booked it.
    pub id: UsageId,
    /// Whose credits.
    pub account: AccountId,
    /// What for.
    pub purpose: Purpose,
    /// The hold that was captured, where there was one.
    pub hold: Option<HoldId>,
    /// How many.
    pub credits: Credits,
    /// How many of them came back.
    pub refunded: Credits,
    /// When its hold was made, or when it was booked: the day and the limits' windows that it counts in.
    pub counted_at: Timestamp,
    /// When it was booked.
    pub booked_at: Timestamp,
    /// The parts of lots that it burned, in order.
    pub slices: Vec<Slice>,
}
