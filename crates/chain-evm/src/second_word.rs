//! Whether one endpoint's word is enough for what nothing proves, while no other one tells.
//!
//! Never lets a moment's trouble of the others make one endpoint's word the truth, and never waits for ever for one
//! that is gone.

use std::time::Duration;

use inspay_ports::ChainErrorKind;
use tokio::time::Instant;

use crate::{health::Standing, pool::Pool};

/// For so long the others may be silent before one word is enough.
const SILENT_MAX: Duration = Duration::from_secs(20);
/// And so often they must have been asked in that time.
const SILENT_TIMES: u32 = 4;

/// How long nobody has told what another endpoint had told before.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Silence {
    since: Option<(Instant, u32)>,
}

impl Silence {
    /// Somebody told.
    pub(crate) const fn ended(&mut self) {
        self.since = None;
    }

    /// Nobody told, once more. Whether that has gone on for so long that nobody is waited for.
    pub(crate) fn goes_on(&mut self, now: Instant) -> bool {
        let (since, times) = self.since.unwrap_or((now, 0));
        let times = times.saturating_add(1);
        self.since = Some((since, times));
        SILENT_TIMES <= times && SILENT_MAX <= now.saturating_duration_since(since)
    }
}

impl Pool {
    /// Notes that a second endpoint told what it was asked for.
    pub(crate) fn heard_second(&self) {
        self.silence().ended();
    }

    /// Whether what `sources` told is enough, `kind` being what came of asking the others.
    ///
    /// It is where they can never tell, were all found to be wrong, or have been silent for long; it is not where one of
    /// the sources itself was found to be wrong.
    pub(crate) fn goes_without_second(&self, sources: &[usize], kind: &ChainErrorKind) -> bool {
        let now = Instant::now();
        let is_wrong = |place: usize| {
            let endpoint = self.endpoints().get(place);
            endpoint.is_some_and(|e| matches!(e.standing(now), Standing::QuarantinedUntil(_)))
        };
        if sources.iter().copied().any(is_wrong) {
            return false;
        }
        match kind {
            ChainErrorKind::Refused(_) | ChainErrorKind::Reverted(_) => true,
            ChainErrorKind::RangeTooLarge { .. } => false,
            ChainErrorKind::Unreachable(_)
            | ChainErrorKind::RateLimited(_)
            | ChainErrorKind::NotYet(_)
            | ChainErrorKind::Contradiction(_) => {
                let mut others =
                    (0..self.endpoints().len()).filter(|place| !sources.contains(place));
                others.all(is_wrong) || self.silence().goes_on(now)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_others_are_waited_for_until_they_have_been_silent_for_long() {
        // Seconds at which nobody told, and whether one word was enough then; `None` where somebody told.
        let cases: &[&[(u64, Option<bool>)]] = &[
            &[(0, Some(false)), (19, Some(false)), (20, Some(false)), (20, Some(true))],
            &[(0, Some(false)), (1, Some(false)), (2, Some(false)), (3, Some(false))],
            &[(0, Some(false)), (900, Some(false)), (901, Some(false)), (902, Some(true))],
            &[(0, Some(false)), (9, Some(false)), (18, Some(false)), (19, None), (27, Some(false))],
        ];
        for case in cases {
            let (start, mut silence) = (Instant::now(), Silence::default());
            for (second, expected) in *case {
                let now = start + Duration::from_secs(*second);
                match expected {
                    Some(expected) => {
                        assert_eq!(silence.goes_on(now), *expected, "{case:?} at {second}");
                    }
                    None => silence.ended(),
                }
            }
        }
    }
}
