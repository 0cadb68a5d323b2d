//! Time zones by their names, and the days and months that an account lives in.
//!
//! The rules come with the program, so every machine agrees. Never reads the machine's own zone.

use std::{fmt, str::FromStr};

use jiff::{ToSpan as _, civil::Date, tz::TimeZone};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Timestamp;

/// A time zone by its name in the zone database, such as `Europe/Berlin`; UTC unless told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(TimeZone);

/// Why a text is no time zone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a time zone of the zone database: {0:?}")]
pub struct ZoneError(String);

/// A day of the calendar, by the number of days since 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i32);

/// Why a text is no day.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a day (YYYY-MM-DD): {0:?}")]
pub struct DayError(String);

/// A span of time: from its start on, up to before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The first instant that belongs to it.
    pub start: Timestamp,
    /// The first instant that does not.
    pub end: Timestamp,
}

impl Span {
    /// All time.
    pub const ALWAYS: Self = Self { start: Timestamp::from_micros(0), end: Timestamp::FAR };

    /// Whether an instant lies in it.
    #[must_use]
    pub fn contains(&self, time: Timestamp) -> bool {
        self.start <= time && time < self.end
    }
}

const EPOCH: Date = jiff::civil::date(1970, 1, 1);

impl Day {
    /// Wraps a number of days since 1970-01-01.
    #[must_use]
    pub const fn from_number(number: i32) -> Self {
        Self(number)
    }

    /// Days since 1970-01-01.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0
    }

    /// The day so many days later, or earlier where negative; saturating.
    #[must_use]
    pub const fn plus_days(self, days: i32) -> Self {
        Self(self.0.saturating_add(days))
    }

    fn of(date: Date) -> Self {
        Self(date.since(EPOCH).map_or(0, |span| span.get_days()))
    }

    fn date(self) -> Option<Date> {
        EPOCH.checked_add(i64::from(self.0).days()).ok()
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.date() {
            Some(date) => write!(f, "{date}"),
            None => write!(f, "day {}", self.0),
        }
    }
}

impl FromStr for Day {
    type Err = DayError;

    fn from_str(text: &str) -> Result<Self, DayError> {
        let refuse = || DayError(text.chars().take(40).collect());
        if text.len() != 10 {
            return Err(refuse());
        }
        text.parse::<Date>().map(Self::of).map_err(|_| refuse())
    }
}

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self(TimeZone::UTC)
    }
}

impl Zone {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    fn date(&self, time: Timestamp) -> Date {
        let time = jiff::Timestamp::from_microsecond(time.micros()).unwrap_or_default();
        self.0.to_datetime(time).date()
    }

    /// The first instant of a date; where midnight is skipped, the first one there is.
    fn start_of(&self, date: Option<Date>) -> Timestamp {
        date.and_then(|date| date.to_zoned(self.0.clone()).ok()).map_or(Timestamp::FAR, |zoned| {
            Timestamp::from_micros(zoned.timestamp().as_microsecond())
        })
    }

    /// The day that an instant falls on here.
    #[must_use]
    pub fn day_of(&self, time: Timestamp) -> Day {
        Day::of(self.date(time))
    }

    /// A day's first instant here, up to the next day's. A day may have 23 or 25 hours.
    #[must_use]
    pub fn span_of(&self, day: Day) -> Span {
        Span { start: self.start_of(day.date()), end: self.start_of(day.plus_days(1).date()) }
    }

    /// The month that an instant falls in here.
    #[must_use]
    pub fn month_of(&self, time: Timestamp) -> Span {
        let first = self.date(time).first_of_month();
        Span {
            start: self.start_of(Some(first)),
            end: self.start_of(first.checked_add(1.month()).ok()),
        }
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Zone {
    type Err = ZoneError;

    fn from_str(text: &str) -> Result<Self, ZoneError> {
        TimeZone::get(text).map(Self).map_err(|_| ZoneError(text.chars().take(100).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_day_is_the_accounts_own() {
        let zone: Zone = "Asia/Kolkata".parse().unwrap();
        assert_eq!(zone.day_of(at("2026-03-01T18:29:59Z")), "2026-03-01".parse().unwrap());
        assert_eq!(zone.day_of(at("2026-03-01T18:30:00Z")), "2026-03-02".parse().unwrap());
        let span = zone.span_of("2026-03-02".parse().unwrap());
        assert_eq!(
            span,
            Span { start: at("2026-03-01T18:30:00Z"), end: at("2026-03-02T18:30:00Z") }
        );
        assert!(span.contains(span.start) && !span.contains(span.end));
    }

    #[test]
    fn days_with_a_change_of_clocks_have_23_and_25_hours() {
        let zone: Zone = "Europe/Berlin".parse().unwrap();
        for (day, hours) in [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)] {
            let span = zone.span_of(day.parse().unwrap());
            assert_eq!(span.end.seconds_since(span.start), hours * 3_600, "{day}");
        }
        // Midnight itself was skipped there.
        let zone: Zone = "America/Sao_Paulo".parse().unwrap();
        let span = zone.span_of("2018-11-04".parse().unwrap());
        assert_eq!(span.start, at("2018-11-04T03:00:00Z"));
    }

    #[test]
    fn months_follow_one_another_without_a_gap() {
        let zone: Zone = "America/New_York".parse().unwrap();
        let march = zone.month_of(at("2026-03-15T00:00:00Z"));
        assert_eq!(march.start, at("2026-03-01T05:00:00Z"));
        assert_eq!(march.end, at("2026-04-01T04:00:00Z"));
        assert_eq!(zone.month_of(march.end).start, march.end);
    }

    #[test]
    fn names_are_those_of_the_database() {
        assert_eq!("UTC".parse(), Ok(Zone::default()));
        assert_eq!("Europe/Berlin".parse::<Zone>().unwrap().to_string(), "Europe/Berlin");
        for wrong in ["", "Mars/Olympus", "+01:00", "../etc"] {
            assert!(wrong.parse::<Zone>().is_err(), "{wrong}");
        }
        for wrong in ["2026-02-30", "2026-1-1", "today", "2026-01-01T00:00"] {
            assert!(wrong.parse::<Day>().is_err(), "{wrong}");
        }
        assert_eq!("1970-01-02".parse(), Ok(Day::from_number(1)));
        assert_eq!(Day::from_number(-1).to_string(), "1969-12-31");
    }
}
