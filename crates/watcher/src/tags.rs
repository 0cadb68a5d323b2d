//! Asking for the `safe` and `finalized` blocks beside the work, so that no block waits for them.

use inspay_ports::{ChainError, TaggedBlocks};
use inspay_primitives::Timestamp;
use tokio_util::task::AbortOnDropHandle;

use crate::{error::FollowError, follower::Follower};

/// When the tags were asked for, and the question under way.
#[derive(Debug, Default)]
pub(crate) struct TagsWatch {
    is_known: bool,
    asked_at: Option<Timestamp>,
    asking: Option<AbortOnDropHandle<Result<TaggedBlocks, ChainError>>>,
}

impl TagsWatch {
    pub(crate) const fn is_known(&self) -> bool {
        self.is_known
    }

    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Makes the next look at the head ask again.
    pub(crate) const fn refresh_soon(&mut self) {
        self.asked_at = None;
    }
}

impl Follower {
    /// Starts asking for the tags if what is known is too old.
    pub(crate) fn ask_tags_if_due(&mut self) {
        let now = self.clock.now();
        let interval = i64::try_from(self.settings.tags_interval.as_micros()).unwrap_or(i64::MAX);
        let is_fresh = self
            .tags
            .asked_at
            .map(|asked_at| now.micros().saturating_sub(asked_at.micros()))
            // A clock that was set back must not keep them from being asked for.
            .is_some_and(|age| (0..interval).contains(&age));
        if is_fresh || self.tags.asking.is_some() {
            return;
        }
        self.tags.asked_at = Some(now);
        let chain = std::sync::Arc::clone(&self.chain);
        self.tags.asking =
            Some(AbortOnDropHandle::new(tokio::spawn(async move { chain.tags().await })));
    }

    /// Takes in what the chain told of its tags, if it has; with `must_wait`, once it has. Only the very
    /// first answer is needed to go on: later failures are told and asked again.
    pub(crate) async fn take_tags(&mut self, must_wait: bool) -> Result<(), FollowError> {
        let Some(asking) = self.tags.asking.take_if(|asking| must_wait || asking.is_finished())
        else {
            return Ok(());
        };
        let told = match asking.await {
            Ok(told) => told,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // Only a runtime that shuts down cancels the task: there is nothing left to tell.
            Err(_) => return Ok(()),
        };
        match told {
            Ok(told) => {
                self.tags.is_known = true;
                if !self.follow.tags_seen(told) {
                    tracing::debug!(
                        chain.id = self.settings.chain_id.0,
                        block.number = told.heights().1,
                        "the tags are of another branch than ours; the tags are asked for again"
                    );
                    self.tags.refresh_soon();
                }
                Ok(())
            }
            Err(error) if self.tags.is_known => {
                tracing::warn!(
                    chain.id = self.settings.chain_id.0,
                    error = &error as &dyn std::error::Error,
                    "safe and finalized could not be read; they stay as they were"
                );
                Ok(())
            }
            Err(error) => {
                self.tags.refresh_soon();
                Err(error.into())
            }
        }
    }
}
