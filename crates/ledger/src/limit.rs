//! Limits on spending: a cap on what may be held and spent within a window of time. Pure.
//!
//! Nothing is ever reset: a new window begins with nothing in it. Held credits count, so that requests under way together
//! cannot pass a cap that each of them alone would keep.

use inspay_primitives::{AccountId, Credits, Label, LimitId, Span, Timestamp, Zone};

use crate::Purpose;

/// What a limit counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LimitScope {
    /// Everything that the account spends.
    Account,
    /// One feature.
    Feature(Label),
    /// One project.
    Project(Label),
    /// One session.
    Session(Label),
}

impl LimitScope {
    /// The kind as stored and shown.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Feature(_) => "feature",
            Self::Project(_) => "project",
            Self::Session(_) => "session",
        }
    }

    /// The name of what is counted; empty for the whole account.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Account => "",
            Self::Feature(name) | Self::Project(name) | Self::Session(name) => name.as_str(),
        }
    }

    /// Reads what [`Self::kind`] and [`Self::name`] wrote.
    #[must_use]
    pub fn parse(kind: &str, name: &str) -> Option<Self> {
        match kind {
            "account" => name.is_empty().then_some(Self::Account),
            "feature" => name.parse().ok().map(Self::Feature),
            "project" => name.parse().ok().map(Self::Project),
            "session" => name.parse().ok().map(Self::Session),
            _ => None,
        }
    }

    /// Whether a purpose counts.
    #[must_use]
    pub fn counts(&self, purpose: &Purpose) -> bool {
        match self {
            Self::Account => true,
            Self::Feature(name) => *name == purpose.feature,
            Self::Project(name) => purpose.project.as_ref() == Some(name),
            Self::Session(name) => purpose.session.as_ref() == Some(name),
        }
    }
}

/// How long a limit's windows are, in the account's time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LimitWindow {
    /// From midnight to midnight.
    Day,
    /// From the first of a month to the next.
    Month,
    /// Everything from the account's first spend on.
    Total,
}

impl LimitWindow {
    /// Every window.
    pub const ALL: [Self; 3] = [Self::Day, Self::Month, Self::Total];

    /// The window as stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
            Self::Total => "total",
        }
    }

    /// Reads what [`Self::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|window| window.as_str() == text)
    }

    /// The window that an instant lies in.
    #[must_use]
    pub fn span_at(self, time: Timestamp, zone: &Zone) -> Span {
        match self {
            Self::Day => zone.span_of(zone.day_of(time)),
            Self::Month => zone.month_of(time),
            Self::Total => Span::ALWAYS,
        }
    }
}

/// What happens when a limit's cap would be passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LimitAction {
    /// The owner is told, once a window.
    Warn,
    /// The hold or spend is refused.
    Refuse,
}

impl LimitAction {
    /// Every action.
    pub const ALL: [Self; 2] = [Self::Warn, Self::Refuse];

    /// The action as stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::Refuse => "refuse",
        }
    }

    /// Reads what [`Self::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == text)
    }
}

/// A cap on what an account may hold and spend within a window. One for each scope, window and action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Identity, made by the caller from its request.
    pub id: LimitId,
    /// Whose spending.
    pub account: AccountId,
    /// What counts.
    pub scope: LimitScope,
    /// Within which time.
    pub window: LimitWindow,
    /// What happens above the cap.
    pub action: LimitAction,
    /// The most that may be held and spent.
    pub cap: Credits,
    /// Percentages of the cap at which the owner is told, once a window each; ascending, 1 to 100.
    pub alerts: Vec<u8>,
    /// Since when it holds.
    pub set_at: Timestamp,
}

impl Limit {
    /// Whether both limit the same spending: the later one takes the place of the earlier.
    #[must_use]
    pub fn replaces(&self, other: &Self) -> bool {
        self.limits_the_same(other) && self.action == other.action
    }

    fn limits_the_same(&self, other: &Self) -> bool {
        self.account == other.account && self.scope == other.scope && self.window == other.window
    }

    /// Whether both cannot hold together: a warning at or above the cap that refuses can never be given.
    #[must_use]
    pub fn contradicts(&self, other: &Self) -> bool {
        let above = |warn: &Self, refuse: &Self| {
            warn.action == LimitAction::Warn
                && refuse.action == LimitAction::Refuse
                && warn.cap >= refuse.cap
        };
        self.limits_the_same(other) && (above(self, other) || above(other, self))
    }

    /// Whether its alerts are ascending percentages.
    #[must_use]
    pub fn has_sound_alerts(&self) -> bool {
        self.alerts.len() <= Self::ALERTS_MAX
            && self.alerts.iter().all(|percent| (1..=100).contains(percent))
            && self.alerts.is_sorted_by(|one, next| one < next)
    }

    /// The most alerts that a limit may have.
    pub const ALERTS_MAX: usize = 10;
}

/// What a window of a limit has in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowUse {
    /// The window.
    pub span: Span,
    /// Set aside by open holds.
    pub held: Credits,
    /// Spent, less what was refunded.
    pub spent: Credits,
    /// The highest alert told, in percent; 0 before the first.
    pub alerted: u8,
    /// Whether the owner was told that the cap was passed, or that something was refused for it.
    pub told: bool,
}

impl WindowUse {
    /// A window with nothing in it.
    #[must_use]
    pub const fn empty(span: Span) -> Self {
        Self { span, held: Credits::ZERO, spent: Credits::ZERO, alerted: 0, told: false }
    }

    /// Held and spent together.
    #[must_use]
    pub fn used(&self) -> Option<Credits> {
        self.held.checked_add(self.spent)
    }
}

/// What a limit says to some more credits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// They fit; these are told, if any.
    Fits {
        /// The highest alert that is reached now and was not told before.
        alert: Option<u8>,
        /// Whether the cap is passed for the first time in this window; only where it warns.
        passes: bool,
    },
    /// They do not fit; this much would.
    Refused {
        /// What is left under the cap, never below zero.
        left: Credits,
    },
}

impl Limit {
    /// What the limit says to `more` on top of what its window has. `None` where a sum is out of range.
    #[must_use]
    pub fn judge(&self, window: &WindowUse, more: Credits) -> Option<Judgement> {
        let used = window.used()?;
        let after = used.checked_add(more)?;
        if after > self.cap && self.action == LimitAction::Refuse {
            let left = self.cap.checked_sub(used)?.max(Credits::ZERO);
            return Some(Judgement::Refused { left });
        }
        let reached = |percent: &&u8| {
            let (after, cap) = (i128::from(after.micros()), i128::from(self.cap.micros()));
            after.saturating_mul(100) >= cap.saturating_mul(i128::from(**percent))
        };
        let alert = self.alerts.iter().rev().find(reached).copied();
        Some(Judgement::Fits {
            alert: alert.filter(|percent| *percent > window.alerted),
            passes: after > self.cap && !window.told,
        })
    }
}
