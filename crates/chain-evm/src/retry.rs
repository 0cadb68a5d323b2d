//! Trying again: the one place that waits between tries.
//!
//! Never waits after the last try, never forgets the last error, and never repeats what may not
//! succeed unchanged.

use std::time::Duration;

use backoff::{ExponentialBackoff, ExponentialBackoffBuilder, backoff::Backoff};
use tokio::time::{Instant, sleep};

/// How often and how long to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries in all, the first included.
    pub tries_max: u32,
    /// About how long to wait before the second try; later waits are longer.
    pub first_delay: Duration,
    /// No wait is longer than about this.
    pub delay_max: Duration,
    /// No try begins later than this after the first one.
    pub elapsed_max: Duration,
    /// Whether waits vary by half, so that many callers do not come back at once; without it the same
    /// calls wait the same.
    pub jitter: bool,
}

/// Does `act` until it succeeds, fails for good, or the policy's tries or time are used up. The last
/// error is the answer then.
///
/// # Errors
///
/// The last error of `act`.
pub async fn retry_transient<T, E, F, Fut>(
    policy: RetryPolicy,
    is_transient: impl Fn(&E) -> bool,
    mut act: F,
) -> Result<T, E>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let started = Instant::now();
    let mut delays = Delays::new(policy.first_delay, policy.delay_max, policy.jitter);
    let mut tries = 0;
    loop {
        tries += 1;
        let error = match act().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        if !is_transient(&error) || policy.tries_max <= tries {
            return Err(error);
        }
        let delay = delays.next_delay();
        if policy.elapsed_max < started.elapsed() + delay {
            return Err(error);
        }
        sleep(delay).await;
    }
}

/// Waits that grow up to a limit.
#[derive(Debug)]
pub(crate) struct Delays {
    growing: ExponentialBackoff,
    delay_max: Duration,
}

impl Delays {
    pub(crate) fn new(first_delay: Duration, delay_max: Duration, jitter: bool) -> Self {
        let mut growing = ExponentialBackoffBuilder::new();
        growing
            .with_initial_interval(first_delay)
            .with_max_interval(delay_max)
            .with_multiplier(2.0)
            .with_max_elapsed_time(None);
        if !jitter {
            growing.with_randomization_factor(0.0);
        }
        Self { growing: growing.build(), delay_max }
    }

    pub(crate) fn next_delay(&mut self) -> Duration {
        self.growing.next_backoff().unwrap_or(self.delay_max)
    }

    pub(crate) fn reset(&mut self) {
        self.growing.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RetryPolicy = RetryPolicy {
        tries_max: 4,
        first_delay: Duration::from_millis(100),
        delay_max: Duration::from_secs(1),
        elapsed_max: Duration::from_secs(10),
        jitter: true,
    };

    #[derive(Debug, PartialEq, Eq)]
    struct Failure {
        tried: u32,
        transient: bool,
    }

    /// Fails until the given try; returns what came out and how often it was tried.
    async fn tried(
        policy: RetryPolicy,
        succeeds_at: u32,
        transient: bool,
    ) -> (Result<u32, Failure>, u32) {
        let mut tries = 0;
        let outcome = retry_transient(
            policy,
            |failure: &Failure| failure.transient,
            || {
                tries += 1;
                let tried = tries;
                async move {
                    if tried == succeeds_at { Ok(tried) } else { Err(Failure { tried, transient }) }
                }
            },
        )
        .await;
        (outcome, tries)
    }

    #[tokio::test(start_paused = true)]
    async fn it_tries_until_it_succeeds() {
        assert_eq!(tried(POLICY, 3, true).await, (Ok(3), 3));
    }

    #[tokio::test(start_paused = true)]
    async fn it_keeps_the_last_error_and_does_not_wait_after_the_last_try() {
        let started = Instant::now();
        let (outcome, tries) = tried(POLICY, 99, true).await;
        assert_eq!((outcome, tries), (Err(Failure { tried: 4, transient: true }), 4));
        // Three waits of at most 150, 300 and 600 milliseconds; a fourth would have made it longer.
        assert!(started.elapsed() <= Duration::from_millis(1060), "{:?}", started.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn without_jitter_the_same_tries_wait_the_same() {
        let started = Instant::now();
        let exact = RetryPolicy { jitter: false, ..POLICY };
        let (outcome, _) = tried(exact, 99, true).await;
        assert!(outcome.is_err());
        assert_eq!(started.elapsed(), Duration::from_millis(100 + 200 + 400));
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_for_good_is_not_repeated() {
        let (outcome, tries) = tried(POLICY, 99, false).await;
        assert_eq!((outcome, tries), (Err(Failure { tried: 1, transient: false }), 1));
    }

    #[tokio::test(start_paused = true)]
    async fn no_try_begins_after_the_time_is_up() {
        let policy = RetryPolicy { elapsed_max: Duration::from_millis(10), ..POLICY };
        let (outcome, tries) = tried(policy, 99, true).await;
        assert_eq!((outcome, tries), (Err(Failure { tried: 1, transient: true }), 1));
    }
}
