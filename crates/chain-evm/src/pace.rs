//! How many calls a second an endpoint takes, learned from its refusals.
//!
//! Pure: small steps up, large ones down. Never slows an endpoint that has not refused.

use std::time::Duration;

use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);
/// The slowest pace, in calls a minute.
const SLOWEST: u64 = 60;
/// A pace above this is none: no provider limits so late.
const FASTEST: u64 = 60 * 2_000;
/// What a second without a refusal adds: one part in so many of what is believed.
const STEP_PARTS: u64 = 20;
/// Of what was answered in a second, what is tried after a refusal: four of five.
const KEPT: (u64, u64) = (4, 5);

/// The learned pace of one endpoint.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    per_minute: Option<u64>,
    /// When the next call may be sent.
    next_slot: Option<Instant>,
    raised_at: Option<Instant>,
    window: Option<Window>,
}

/// Calls answered within about a second.
#[derive(Clone, Copy, Debug)]
struct Window {
    began_at: Instant,
    answered: u64,
    before: u64,
}

impl Pace {
    /// Calls a minute that the endpoint is believed to take; `None` where it has not refused any.
    pub(crate) const fn per_minute(&self) -> Option<u64> {
        self.per_minute
    }

    /// When that many calls may be sent; the slots are taken.
    pub(crate) fn reserve(&mut self, now: Instant, calls: u64) -> Instant {
        let Some(per_minute) = self.per_minute else { return now };
        let slot = self.next_slot.map_or(now, |slot| slot.max(now));
        self.next_slot = Some(slot + cost(per_minute, calls));
        slot
    }

    /// When the next call may be sent.
    pub(crate) fn next_slot(&self, now: Instant) -> Instant {
        match (self.per_minute, self.next_slot) {
            (Some(_), Some(slot)) => slot.max(now),
            (Some(_) | None, _) => now,
        }
    }

    /// Notes answered calls; every second of them raises a learned pace.
    pub(crate) fn answered(&mut self, now: Instant, calls: u64) {
        let window = self.roll(now);
        window.answered = window.answered.saturating_add(calls);
        let Some(per_minute) = self.per_minute else { return };
        if self.raised_at.is_none_or(|raised_at| raised_at + SECOND <= now) {
            let raised = per_minute.saturating_add(per_minute / STEP_PARTS);
            self.per_minute = (raised <= FASTEST).then_some(raised);
            self.raised_at = Some(now);
        }
    }

    /// Notes a refusal. Several of one burst count once.
    pub(crate) fn refused(&mut self, now: Instant) {
        let window = *self.roll(now);
        let is_same_burst = self.per_minute.is_some()
            && self.raised_at.is_some_and(|lowered_at| now < lowered_at + SECOND / 4);
        if is_same_burst {
            return;
        }
        let seen = window.answered.max(window.before).saturating_mul(60).max(SLOWEST);
        let believed = self.per_minute.map_or(seen, |learned| learned.min(seen.max(learned / 2)));
        let lowered = believed.saturating_mul(KEPT.0) / KEPT.1;
        self.per_minute = Some(lowered.max(SLOWEST));
        self.raised_at = Some(now);
    }

    fn roll(&mut self, now: Instant) -> &mut Window {
        let window = self.window.get_or_insert(Window { began_at: now, answered: 0, before: 0 });
        let age = now.saturating_duration_since(window.began_at);
        if SECOND <= age {
            let before = if age < SECOND * 2 { window.answered } else { 0 };
            *window = Window { began_at: now, answered: 0, before };
        }
        window
    }
}

/// How long that many calls take at a pace.
fn cost(per_minute: u64, calls: u64) -> Duration {
    let micros = calls.saturating_mul(60_000_000) / per_minute.max(1);
    Duration::from_micros(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks as fast as it may for some seconds of an endpoint that takes `limit` calls a second; returns
    /// how many were answered and how many refused.
    fn driven(limit: u64, seconds: u64) -> (u64, u64) {
        let mut pace = Pace::default();
        let start = Instant::now();
        let (mut now, mut answered, mut refused) = (start, 0u64, 0u64);
        let (mut second, mut in_second) = (0u128, 0u64);
        while now < start + Duration::from_secs(seconds) {
            now = pace.reserve(now, 1).max(now);
            let this_second = (now - start).as_millis() / 1000;
            if this_second != second {
                (second, in_second) = (this_second, 0);
            }
            if in_second < limit {
                in_second += 1;
                answered += 1;
                pace.answered(now, 1);
                now += Duration::from_millis(2);
            } else {
                refused += 1;
                pace.refused(now);
                now += Duration::from_millis(250);
            }
        }
        (answered, refused)
    }

    #[test]
    fn a_limit_is_learned_and_nearly_all_of_it_is_used() {
        for limit in [5, 50, 300] {
            let (answered, refused) = driven(limit, 60);
            assert!(limit * 60 * 7 / 10 <= answered, "{limit}: {answered} answered");
            assert!(refused * 10 <= answered, "{limit}: {refused} refused");
        }
    }

    #[test]
    fn an_endpoint_that_never_refused_is_not_slowed() {
        let mut pace = Pace::default();
        let now = Instant::now();
        pace.answered(now, 1_000);
        assert_eq!((pace.reserve(now, 500), pace.reserve(now, 500)), (now, now));
        assert_eq!(pace.per_minute(), None);
    }

    #[test]
    fn a_refusal_slows_by_a_fifth_and_clean_seconds_raise_again() {
        let mut pace = Pace::default();
        let now = Instant::now();
        pace.answered(now, 50);
        pace.refused(now);
        assert_eq!(pace.per_minute(), Some(50 * 60 * 4 / 5));
        // The rest of the same burst says nothing new.
        pace.refused(now);
        assert_eq!(pace.per_minute(), Some(2_400));
        let second = now + SECOND;
        pace.answered(second, 1);
        assert_eq!(pace.per_minute(), Some(2_520));
        assert_eq!(pace.reserve(second, 42), second);
        assert_eq!(pace.next_slot(second), second + SECOND);
    }
}
