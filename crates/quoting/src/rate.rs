//! Rates as they are observed, judged and refused: the types.
//!
//! A rate never travels without its source, its time and its expiry.

use std::fmt;

use inspay_primitives::{Rate, Timestamp};
use serde::{Deserialize, Serialize};

use crate::Percent;

/// What kind of place a rate comes from; decides how far it can be trusted alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// Set by the operator.
    Fixed,
    /// An HTTP endpoint outside the house.
    Http,
    /// A price feed on chain, reported by several parties.
    Feed,
    /// A time-weighted average over a pool's past.
    PoolTwap,
    /// A pool's price of this very block: whoever trades in it sets it.
    PoolSpot,
}

impl fmt::Display for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fixed => "fixed",
            Self::Http => "http",
            Self::Feed => "feed",
            Self::PoolTwap => "pool_twap",
            Self::PoolSpot => "pool_spot",
        })
    }
}

/// One source's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateSample {
    /// Name of the source, as in the settings.
    pub source: String,
    /// Kind of the source.
    pub kind: SourceKind,
    /// Dollars per whole token.
    pub rate: Rate,
    /// When the source says it held.
    pub observed_at: Timestamp,
    /// Until when the source itself stands by it, such as a feed's heartbeat. `None`: the age limit
    /// of the rules holds.
    pub valid_until: Option<Timestamp>,
}

/// Why a sample was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DropReason {
    /// Older than the rules or its own source allow.
    Stale,
    /// Observed after now, further than clocks may differ.
    Future,
    /// Too far from the median of the others.
    Outlier,
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stale => "stale",
            Self::Future => "from the future",
            Self::Outlier => "outlier",
        })
    }
}

/// A sample that was left out, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DroppedSample {
    /// The sample.
    pub sample: RateSample,
    /// Why it does not count.
    pub reason: DropReason,
}

impl fmt::Display for DroppedSample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RateSample { source, rate, observed_at, .. } = &self.sample;
        write!(f, "{source} {rate} of {observed_at} ({})", self.reason)
    }
}

/// A rate that passed the rules, good until it expires.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateQuote {
    /// Dollars per whole token.
    pub rate: Rate,
    /// Where it comes from: a source's name, or `median(…)` of several.
    pub source: String,
    /// The oldest observation in it.
    pub observed_at: Timestamp,
    /// From then on it prices nothing.
    pub expires_at: Timestamp,
    /// The samples it was made of.
    pub samples: Vec<RateSample>,
    /// The samples that were left out.
    pub dropped: Vec<DroppedSample>,
}

impl RateQuote {
    /// A rate that was not judged from samples, such as one for a test.
    #[must_use]
    pub fn new(
        rate: Rate,
        source: impl Into<String>,
        observed_at: Timestamp,
        expires_at: Timestamp,
    ) -> Self {
        let (samples, dropped) = (Vec::new(), Vec::new());
        Self { rate, source: source.into(), observed_at, expires_at, samples, dropped }
    }
}

/// The rates between which a token is taken to hold its peg, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateBand {
    /// The lowest.
    pub low: Rate,
    /// The highest.
    pub high: Rate,
}

/// When an asset's samples make a rate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RateRules {
    /// The oldest that a sample may be, unless its source names its own limit.
    pub max_age_seconds: u32,
    /// How far after now a sample may be, since clocks differ.
    pub max_ahead_seconds: u32,
    /// How far a sample may be from the median, in percent of the median.
    pub max_deviation: Percent,
    /// The fewest sources that must agree; zero counts as one.
    pub min_sources: u8,
    /// The band of a pegged token.
    pub band: Option<RateBand>,
    /// How long the rate may be used, at most.
    pub lifetime_seconds: u32,
    /// Whether spot prices of pools may make a rate with no other kind beside them.
    pub spot_alone: bool,
    /// If not empty, one of the samples must be of one of these kinds.
    pub required_kinds: Vec<SourceKind>,
}

impl Default for RateRules {
    fn default() -> Self {
        Self {
            max_age_seconds: 120,
            max_ahead_seconds: 60,
            max_deviation: Percent::whole(2),
            min_sources: 1,
            band: None,
            lifetime_seconds: 120,
            spot_alone: false,
            required_kinds: Vec::new(),
        }
    }
}

/// Why an asset has no rate now, with the facts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "code")]
pub enum RateRefusal {
    /// No source answered, or none is set up; `failures` says what each one said.
    #[error("no source gave a rate{}", listed(failures))]
    #[serde(rename = "rate_missing")]
    Missing {
        /// What each source said instead.
        failures: Vec<String>,
    },
    /// Samples came, none of them recent.
    #[error("every rate is out of date{}", listed(dropped))]
    #[serde(rename = "rate_stale")]
    Stale {
        /// What was left out.
        dropped: Vec<DroppedSample>,
    },
    /// Samples came, with times after now.
    #[error("rates carry a time after now{}", listed(dropped))]
    #[serde(rename = "rate_from_future")]
    FromFuture {
        /// What was left out.
        dropped: Vec<DroppedSample>,
    },
    /// Fewer sources than the rules ask for.
    #[error("{have} of {need} rates that are needed{}", listed(dropped))]
    #[serde(rename = "rate_too_few_sources")]
    TooFew {
        /// Sources that count.
        have: usize,
        /// Sources asked for.
        need: usize,
        /// What was left out.
        dropped: Vec<DroppedSample>,
    },
    /// Sources contradict each other.
    #[error(
        "rates from {lowest} to {highest} differ by more than {max_deviation} % of their median {median}"
    )]
    #[serde(rename = "rate_disagreement")]
    Disagreement {
        /// The lowest.
        lowest: Rate,
        /// The highest.
        highest: Rate,
        /// What lies in the middle.
        median: Rate,
        /// What the rules allow.
        max_deviation: Percent,
        /// All that were compared.
        samples: Vec<RateSample>,
    },
    /// A pegged token left its band.
    #[error("the rate {rate} is outside {} to {}", band.low, band.high)]
    #[serde(rename = "rate_depegged")]
    Depegged {
        /// What the sources agree on.
        rate: Rate,
        /// Where it should be.
        band: RateBand,
        /// The samples behind it.
        samples: Vec<RateSample>,
    },
    /// Nothing but spot prices of pools.
    #[error("a pool's spot price alone makes no rate")]
    #[serde(rename = "rate_spot_only")]
    SpotOnly {
        /// What there is.
        samples: Vec<RateSample>,
    },
    /// None of the kinds that the rules require.
    #[error("no rate of a kind that is required: {}", joined(required))]
    #[serde(rename = "rate_kind_missing")]
    KindMissing {
        /// The kinds asked for.
        required: Vec<SourceKind>,
        /// What there is.
        samples: Vec<RateSample>,
    },
    /// A rate that was good, but not any more.
    #[error("the rate of {source_name} expired at {expired_at}")]
    #[serde(rename = "rate_expired")]
    Expired {
        /// Where it came from.
        source_name: String,
        /// Since when.
        expired_at: Timestamp,
    },
}

impl RateRefusal {
    /// The stable name of this refusal.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "rate_missing",
            Self::Stale { .. } => "rate_stale",
            Self::FromFuture { .. } => "rate_from_future",
            Self::TooFew { .. } => "rate_too_few_sources",
            Self::Disagreement { .. } => "rate_disagreement",
            Self::Depegged { .. } => "rate_depegged",
            Self::SpotOnly { .. } => "rate_spot_only",
            Self::KindMissing { .. } => "rate_kind_missing",
            Self::Expired { .. } => "rate_expired",
        }
    }
}

fn joined<T: fmt::Display>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn listed<T: fmt::Display>(items: &[T]) -> String {
    if items.is_empty() { String::new() } else { format!(": {}", joined(items)) }
}
