//! The loop around the steps: woken by the chain, by time, or by a failure's wait. Never ends by itself.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{error::FollowError, follower::Follower};

/// The wait after the first failure; it doubles with each further one.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
/// Failures in a row up to which a new head cuts the wait short: a block that was asked for too early is
/// there with the next one, a node in trouble is not helped by more questions.
const WAKEFUL_FAILURES_MAX: u32 = 3;

/// The longest wait after an answer that could not be used: payments stand still until there is a whole one.
const UNUSABLE_WAIT_MAX: Duration = Duration::from_millis(400);

/// How long to wait after that many failures in a row.
fn backoff(failures: u32, longest: Duration) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    BACKOFF_MIN.saturating_mul(1 << doublings).min(longest)
}

fn longest_wait(error: &FollowError, backoff_max: Duration) -> Duration {
    if error.is_of_an_answer() { backoff_max.min(UNUSABLE_WAIT_MAX) } else { backoff_max }
}

impl Follower {
    /// Follows until cancelled, whoever else may. What is under way then is given up; what was committed stays.
    pub async fn run(mut self, cancel: CancellationToken) {
        while !cancel.is_cancelled() {
            self.follow_on(&cancel).await;
        }
    }

    /// Follows until cancelled, or until the chain's lease is found to be held under another number.
    pub(crate) async fn follow_on(&mut self, cancel: &CancellationToken) {
        let mut wake = self.chain.wake();
        let mut failures = 0u32;
        loop {
            if let Some(wake) = &mut wake {
                wake.mark_unchanged();
            }
            let stepped = tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                stepped = self.step() => stepped,
            };
            let (wait, is_wakeful) = match stepped {
                Ok(stepped) => {
                    failures = 0;
                    if stepped.did_something() && !self.is_at_rest() {
                        continue;
                    }
                    (self.settings.poll_interval, true)
                }
                Err(error) if error.is_fenced() && self.is_leased() => return,
                Err(error) => {
                    failures = failures.saturating_add(1);
                    if failures.is_power_of_two() {
                        tracing::warn!(
                            chain.id = self.settings.chain_id.0,
                            error = &error as &dyn std::error::Error,
                            transient = error.is_transient(),
                            failures,
                            "following the chain failed; it is tried again"
                        );
                    }
                    let longest = longest_wait(&error, self.settings.backoff_max);
                    let wait = backoff(failures, longest);
                    (wait, failures <= WAKEFUL_FAILURES_MAX)
                }
            };
            tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                () = woken(wake.as_mut()), if is_wakeful => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}

/// Ends with the next tick; never, where nothing ticks.
async fn woken(wake: Option<&mut watch::Receiver<u64>>) {
    let Some(wake) = wake else { return std::future::pending().await };
    if wake.changed().await.is_err() {
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use inspay_ports::{ChainError, ChainErrorKind};
    use inspay_primitives::ChainId;

    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let waits: Vec<u128> =
            (1..=9).map(|failures| backoff(failures, Duration::from_secs(3)).as_millis()).collect();
        assert_eq!(waits, [50, 100, 200, 400, 800, 1_600, 3_000, 3_000, 3_000]);
        assert_eq!(backoff(u32::MAX, Duration::from_secs(3)), Duration::from_secs(3));
    }

    #[test]
    fn an_unusable_answer_is_not_waited_for_as_long_as_a_node_in_trouble() {
        let waited = |kind| {
            let source = ChainError { chain_id: ChainId(1), act: "prove a block", kind };
            let error = FollowError::NotProven { number: 1, source };
            longest_wait(&error, Duration::from_secs(3)).as_millis()
        };
        assert_eq!(waited(ChainErrorKind::Contradiction("a log is missing".to_owned())), 400);
        assert_eq!(waited(ChainErrorKind::NotYet("block 7".to_owned())), 400);
        assert_eq!(waited(ChainErrorKind::Unreachable("refused".to_owned())), 3_000);
        assert_eq!(waited(ChainErrorKind::RateLimited("slow down".to_owned())), 3_000);
    }
}
