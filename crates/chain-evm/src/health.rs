//! How one endpoint has been doing, and what follows from it.
//!
//! Pure: every act is given the time. Never forgets at once that an endpoint was wrong: it is left alone
//! longer each time, and is forgiven only after it has been right for long.

use std::time::Duration;

use tokio::time::Instant;

use crate::pace::Pace;

const REST_FIRST: Duration = Duration::from_millis(250);
/// After the first refusal of too many requests: from then on the learned pace keeps within a limit that slides.
const LIMITED_FIRST: Duration = Duration::from_millis(100);
/// After the second one: a limit that begins anew each second has begun anew by then.
const LIMITED_AGAIN: Duration = Duration::from_millis(1_000);
/// Near the head a longer rest would cost more than a refused call.
const REST_MAX: Duration = Duration::from_secs(3);
/// One that hangs costs the whole timeout, so it is asked last for a while.
const HUNG_FIRST: Duration = Duration::from_secs(30);
const HUNG_MAX: Duration = Duration::from_secs(300);
/// One that another overtook cost a part of a timeout.
const SLOW_FIRST: Duration = Duration::from_secs(2);
const SLOW_MAX: Duration = Duration::from_secs(30);
/// Longest rest that an endpoint may ask for.
const ASKED_MAX: Duration = Duration::from_secs(60);
const QUARANTINE_FIRST: Duration = Duration::from_secs(30);
const QUARANTINE_MAX: Duration = Duration::from_secs(3600);
/// After so long without being wrong again, one conviction is forgiven.
const FORGIVEN_AFTER: Duration = Duration::from_secs(1800);
/// Failures are recent for one to two of these.
const RECENT: Duration = Duration::from_secs(30);

/// Whether an endpoint should be asked now. Lesser is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// Yes.
    Ready,
    /// Only after those that are ready: it failed or hung.
    Avoided,
    /// Not before then: it limits the rate of requests.
    RestsUntil(Instant),
    /// Not before then, where there is any other: it was wrong.
    QuarantinedUntil(Instant),
}

/// Why an endpoint is believed to be wrong, and until when it is left alone for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Conviction {
    pub(crate) until: Instant,
    pub(crate) reason: String,
}

#[derive(Clone, Copy, Debug)]
struct Rest {
    until: Instant,
    is_asked_for: bool,
}

/// The record of one endpoint.
#[derive(Debug, Default)]
pub(crate) struct Health {
    pub(crate) pace: Pace,
    failures: u64,
    in_a_row: u32,
    slow_in_a_row: u32,
    rest: Option<Rest>,
    recent: Option<(Instant, u32, u32)>,
    conviction: Option<Conviction>,
    convictions: u32,
    /// Convictions that still count for the next one's length.
    unforgiven: u32,
    wrong_at: Option<Instant>,
}

fn doubled(first: Duration, times: u32, most: Duration) -> Duration {
    first.saturating_mul(1 << times.min(16)).min(most)
}

impl Health {
    /// Failures of the endpoint itself since the start.
    pub(crate) const fn failures(&self) -> u64 {
        self.failures
    }

    /// How often it was quarantined since the start.
    pub(crate) const fn convictions(&self) -> u32 {
        self.convictions
    }

    /// The last quarantine, if it is not over.
    pub(crate) fn conviction(&self, now: Instant) -> Option<&Conviction> {
        self.conviction.as_ref().filter(|conviction| now < conviction.until)
    }

    pub(crate) fn standing(&self, now: Instant) -> Standing {
        if let Some(conviction) = self.conviction(now) {
            return Standing::QuarantinedUntil(conviction.until);
        }
        match self.rest {
            Some(Rest { until, is_asked_for: true }) if now < until => Standing::RestsUntil(until),
            Some(Rest { until, is_asked_for: false }) if now < until => Standing::Avoided,
            Some(_) | None => Standing::Ready,
        }
    }

    /// Failures within about a minute.
    pub(crate) fn recent_failures(&self, now: Instant) -> u32 {
        match self.recent {
            Some((began_at, count, before)) => {
                let age = now.saturating_duration_since(began_at);
                if age < RECENT {
                    count.saturating_add(before)
                } else if age < RECENT * 2 {
                    count
                } else {
                    0
                }
            }
            None => 0,
        }
    }

    /// It answered that many calls.
    pub(crate) fn answered(&mut self, now: Instant, calls: u64) {
        self.in_a_row = 0;
        self.slow_in_a_row = 0;
        // A rest that it asked for is not over because an earlier question was answered meanwhile.
        self.rest = self.rest.filter(|rest| rest.is_asked_for);
        self.pace.answered(now, calls);
    }

    /// It refused since it was asked too often.
    pub(crate) fn limited(&mut self, now: Instant, asked_for: Option<Duration>) {
        self.failures = self.failures.saturating_add(1);
        self.pace.refused(now);
        let rests = self.rest.is_some_and(|rest| rest.is_asked_for && now < rest.until);
        if rests && asked_for.is_none() {
            // Several requests of one burst were refused: one refusal, not a row of them.
            return;
        }
        let length = asked_for.unwrap_or_else(|| match self.in_a_row.checked_sub(1) {
            None => LIMITED_FIRST,
            Some(before) => doubled(LIMITED_AGAIN, before, REST_MAX),
        });
        self.in_a_row = self.in_a_row.saturating_add(1);
        let until = now + length.min(ASKED_MAX);
        // Of several rests that it asked for the longest counts.
        let longest = self.rest.filter(|rest| rest.is_asked_for && until < rest.until);
        self.rest = Some(longest.unwrap_or(Rest { until, is_asked_for: true }));
    }

    /// It could not be reached, or was in trouble.
    pub(crate) fn failed(&mut self, now: Instant) {
        let length = doubled(REST_FIRST, self.in_a_row, REST_MAX);
        self.fail(now, length);
    }

    /// It let the whole timeout pass.
    pub(crate) fn hung(&mut self, now: Instant) {
        let length = doubled(HUNG_FIRST, self.in_a_row, HUNG_MAX);
        self.fail(now, length);
    }

    /// Another endpoint, asked later, answered sooner.
    pub(crate) fn overtaken(&mut self, now: Instant) {
        let length = doubled(SLOW_FIRST, self.slow_in_a_row, SLOW_MAX);
        self.slow_in_a_row = self.slow_in_a_row.saturating_add(1);
        self.note_recent(now);
        self.avoid_until(now + length);
    }

    /// It contradicted itself, its header or the others. Several contradictions at once are one.
    pub(crate) fn wrong(&mut self, now: Instant, reason: String) -> Option<&Conviction> {
        self.failures = self.failures.saturating_add(1);
        self.note_recent(now);
        if self.conviction(now).is_some() {
            return None;
        }
        if let Some(wrong_at) = self.wrong_at {
            let clean = now.saturating_duration_since(wrong_at).as_secs();
            let forgiven = clean / FORGIVEN_AFTER.as_secs();
            let forgiven = u32::try_from(forgiven).unwrap_or(u32::MAX);
            self.unforgiven = self.unforgiven.saturating_sub(forgiven);
        }
        let until = now + doubled(QUARANTINE_FIRST, self.unforgiven, QUARANTINE_MAX);
        self.unforgiven = self.unforgiven.saturating_add(1);
        self.convictions = self.convictions.saturating_add(1);
        self.wrong_at = Some(until);
        self.conviction = Some(Conviction { until, reason });
        self.conviction.as_ref()
    }

    fn fail(&mut self, now: Instant, length: Duration) {
        self.failures = self.failures.saturating_add(1);
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.note_recent(now);
        self.avoid_until(now + length);
    }

    fn avoid_until(&mut self, until: Instant) {
        let kept = self.rest.filter(|rest| rest.is_asked_for || until < rest.until);
        self.rest = Some(kept.unwrap_or(Rest { until, is_asked_for: false }));
    }

    fn note_recent(&mut self, now: Instant) {
        let fresh = |(began_at, _, _): &(Instant, u32, u32)| now < *began_at + RECENT;
        let before = self.recent_failures(now);
        self.recent = match self.recent.filter(fresh) {
            Some((began_at, count, earlier)) => Some((began_at, count.saturating_add(1), earlier)),
            None => Some((now, 1, before)),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Act = fn(&mut Health, Instant);

    fn seconds(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    fn wrong(health: &mut Health, now: Instant) {
        health.wrong(now, "a lie".to_owned());
    }

    /// How long the standing that the last of some acts led to stays.
    fn lasts(acts: &[Act], every: Duration) -> (Standing, Duration) {
        let mut health = Health::default();
        let start = Instant::now();
        let mut now = start;
        for act in acts {
            now += every;
            act(&mut health, now);
        }
        let standing = health.standing(now);
        let mut length = Duration::ZERO;
        while health.standing(now + length) != Standing::Ready {
            length += Duration::from_millis(250);
            assert!(length < seconds(9_999), "{standing:?} never ends");
        }
        (standing, length)
    }

    #[test]
    fn what_an_endpoint_did_decides_how_long_it_is_left_alone() {
        let failed: Act = |health, now| health.failed(now);
        let hung: Act = |health, now| health.hung(now);
        let overtaken: Act = |health, now| health.overtaken(now);
        let limited: Act = |health, now| health.limited(now, None);
        let asked: Act = |health, now| health.limited(now, Some(seconds(20)));
        let asked_too_much: Act = |health, now| health.limited(now, Some(seconds(86_400)));
        let answered: Act = |health, now| health.answered(now, 1);
        let cases: &[(&str, &[Act], Duration)] = &[
            ("nothing", &[], Duration::ZERO),
            ("failed", &[failed], Duration::from_millis(250)),
            ("failed thrice", &[failed, failed, failed], seconds(1)),
            ("failed often", &[failed; 9], seconds(3)),
            ("failed, answered", &[failed, failed, failed, answered], Duration::ZERO),
            ("hung", &[hung], seconds(30)),
            ("hung twice", &[hung, hung], seconds(60)),
            ("hung often", &[hung; 9], seconds(300)),
            ("hung, then failed", &[hung, failed], seconds(30)),
            ("overtaken", &[overtaken], seconds(2)),
            ("overtaken often", &[overtaken; 9], seconds(30)),
            ("limited", &[limited], Duration::from_millis(250)),
            ("limited often at once", &[limited; 9], Duration::from_millis(250)),
            ("asked for rest", &[asked], seconds(20)),
            ("asked for rest, then answered", &[asked, answered], seconds(20)),
            ("asked for rest, then limited", &[asked, limited], seconds(20)),
            ("asked for a day", &[asked_too_much], seconds(60)),
            ("wrong", &[wrong], seconds(30)),
            ("wrong, then right", &[wrong, answered], seconds(30)),
            ("wrong twice at once", &[wrong, wrong], seconds(30)),
        ];
        for (name, acts, expected) in cases {
            let (_, length) = lasts(acts, Duration::ZERO);
            assert_eq!(length, *expected, "{name}");
        }
    }

    #[test]
    fn one_that_refuses_after_every_rest_rests_longer_up_to_a_limit() {
        let (mut health, mut now) = (Health::default(), Instant::now());
        let mut rests = Vec::new();
        for _ in 0..6 {
            health.limited(now, None);
            let Standing::RestsUntil(until) = health.standing(now) else { panic!("it rests") };
            rests.push((until - now).as_millis());
            now = until;
        }
        assert_eq!(rests, [100, 1_000, 2_000, 3_000, 3_000, 3_000]);
        health.answered(now, 1);
        health.limited(now, None);
        assert_eq!(health.standing(now), Standing::RestsUntil(now + LIMITED_FIRST));
    }

    #[test]
    fn one_that_is_wrong_again_and_again_is_left_alone_longer_each_time() {
        // Wrong again so long after each quarantine's end.
        let lengths = |after: Duration| -> Vec<u64> {
            let (mut health, mut now) = (Health::default(), Instant::now());
            let mut lengths = Vec::new();
            for _ in 0..9 {
                let until = health.wrong(now, "a lie".to_owned()).unwrap().until;
                lengths.push((until - now).as_secs());
                now = until + after;
            }
            lengths
        };
        assert_eq!(lengths(seconds(60)), [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]);
        assert_eq!(lengths(FORGIVEN_AFTER), [30; 9]);
    }

    #[test]
    fn failures_are_recent_for_about_a_minute() {
        let mut health = Health::default();
        let start = Instant::now();
        health.failed(start);
        health.failed(start + seconds(20));
        assert_eq!(health.recent_failures(start + seconds(21)), 2);
        health.failed(start + seconds(31));
        assert_eq!(health.recent_failures(start + seconds(31)), 3);
        assert_eq!(health.recent_failures(start + seconds(62)), 1);
        assert_eq!(health.recent_failures(start + seconds(92)), 0);
        assert_eq!(health.failures(), 3);
    }
}
