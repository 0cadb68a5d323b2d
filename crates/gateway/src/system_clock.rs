//! The machine's clock: the only place that reads it.

use std::time::{SystemTime, UNIX_EPOCH};

use inspay_primitives::{Clock, Timestamp};

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everything else takes")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).map_or(Timestamp::FAR, Timestamp::from_micros)
    }
}
