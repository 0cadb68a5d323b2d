//! How often something comes again: every so many months or days.
//!
//! Never drifts: each time is counted from the first one, so that what began on the 31st comes on the last day of a
//! short month and on the 31st again after it.

use std::{fmt, str::FromStr};

use jiff::{Span as Step, tz::TimeZone};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Timestamp;

/// The most months or days of a cycle: ten years.
const STEPS_MAX: u16 = 3_652;

/// A number of months or days, written as in ISO 8601: `P1M`, `P30D`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cycle {
    /// Months of the calendar, in UTC.
    Months(u16),
    /// Days of 24 hours.
    Days(u16),
}

/// Why a text is no cycle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a cycle (P1M for a month, P30D for thirty days): {0:?}")]
pub struct CycleError(String);

impl Cycle {
    /// When the cycle of that number begins, the first one being number 0; [`Timestamp::FAR`] beyond the calendar.
    #[must_use]
    pub fn begins(self, first: Timestamp, number: u32) -> Timestamp {
        match self {
            Self::Days(days) => {
                let seconds = i64::from(days).saturating_mul(86_400);
                let all = seconds.saturating_mul(i64::from(number));
                first.plus_seconds(all).min(Timestamp::FAR)
            }
            Self::Months(months) => {
                let all = i64::from(months).saturating_mul(i64::from(number));
                months_after(first, all).unwrap_or(Timestamp::FAR)
            }
        }
    }
}

fn months_after(first: Timestamp, months: i64) -> Option<Timestamp> {
    let at = jiff::Timestamp::from_microsecond(first.micros()).ok()?.to_zoned(TimeZone::UTC);
    let later = at.checked_add(Step::new().try_months(months).ok()?).ok()?;
    Some(Timestamp::from_micros(later.timestamp().as_microsecond()).min(Timestamp::FAR))
}

impl fmt::Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Months(months) => write!(f, "P{months}M"),
            Self::Days(days) => write!(f, "P{days}D"),
        }
    }
}

impl FromStr for Cycle {
    type Err = CycleError;

    fn from_str(text: &str) -> Result<Self, CycleError> {
        let refuse = || CycleError(text.chars().take(100).collect());
        let inner = text.strip_prefix('P').ok_or_else(refuse)?;
        let is_plain = |steps: &&str| steps.bytes().all(|byte| byte.is_ascii_digit());
        let steps = |end: char| inner.strip_suffix(end).filter(is_plain);
        let number = |steps: &str| {
            let number: u16 = steps.parse().ok()?;
            (1..=STEPS_MAX).contains(&number).then_some(number)
        };
        let months = steps('M').and_then(number).map(Self::Months);
        months.or_else(|| steps('D').and_then(number).map(Self::Days)).ok_or_else(refuse)
    }
}

impl Serialize for Cycle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cycle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycles_are_counted_from_the_first_one() {
        for (cycle, first, number, expected) in [
            ("P1M", "2026-01-31T10:00:00Z", 0, "2026-01-31T10:00:00Z"),
            ("P1M", "2026-01-31T10:00:00Z", 1, "2026-02-28T10:00:00Z"),
            ("P1M", "2026-01-31T10:00:00Z", 2, "2026-03-31T10:00:00Z"),
            ("P1M", "2028-01-31T10:00:00Z", 1, "2028-02-29T10:00:00Z"),
            ("P3M", "2026-11-15T00:00:00Z", 1, "2027-02-15T00:00:00Z"),
            ("P30D", "2026-01-31T10:00:00Z", 2, "2026-04-01T10:00:00Z"),
            ("P1D", "2026-12-31T23:59:59Z", 1, "2027-01-01T23:59:59Z"),
        ] {
            let begins = |number| {
                let cycle: Cycle = cycle.parse().expect("a cycle");
                cycle.begins(first.parse().expect("a time"), number)
            };
            assert_eq!(begins(number).to_string(), expected, "{cycle} {first} {number}");
            assert!(begins(u32::MAX) <= Timestamp::FAR);
        }
    }

    #[test]
    fn only_months_and_days_are_cycles() {
        for text in ["P1M", "P12M", "P1D", "P3652D"] {
            assert_eq!(text.parse::<Cycle>().expect("a cycle").to_string(), text);
        }
        for text in ["", "P", "1M", "P0M", "P-1D", "P+1D", "P1Y", "P1W", "P3653D", "P1M1D", "PT1M"]
        {
            assert!(text.parse::<Cycle>().is_err(), "{text}");
        }
    }
}
