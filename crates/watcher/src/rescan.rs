//! Following a chain anew from a block on, when a person asks for it: the way out of a reorg deeper than what is kept.
//!
//! Never deletes: what leaves the chain is taken back by settlement, and what is read again joins it again.

use inspay_ports::{ChainTags, CursorRecord, Rewind};
use inspay_primitives::{BlockRef, FencingNumber};

use crate::{catch_up::check_number, error::FollowError, follower::Follower};

/// Headers of one question.
const HEADERS_MAX: u64 = 64;

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rescanned {
    /// The chain was never followed: there is nothing to go back from.
    NeverFollowed,
    /// No stored block is on the chain any more: say from which block on to read again.
    NothingInCommon {
        /// The lowest stored block.
        lowest: u64,
    },
    /// The block is not between the first followed one and the tip.
    OutOfRange {
        /// The lowest block that can be read again.
        lowest: u64,
        /// Our tip.
        tip: u64,
    },
    /// Nothing had to be given up: our tip is on the chain.
    InStep {
        /// Our tip.
        tip: BlockRef,
    },
    /// What was applied above this block was given up.
    WentBack {
        /// The block that is followed on from.
        to: BlockRef,
        /// Where our tip was.
        before: BlockRef,
    },
}

impl Follower {
    /// Gives up what was applied from block `from` on; without it, what lies above the newest stored block that the
    /// chain still has. The next steps follow the chain from there.
    pub async fn rescan(&mut self, from: Option<u64>) -> Result<Rescanned, FollowError> {
        self.load().await?;
        let Some(cursor) = self.follow.cursor().copied() else {
            return Ok(Rescanned::NeverFollowed);
        };
        let to = match from {
            Some(from) => {
                let lowest = cursor.start_number.saturating_add(1);
                if !(lowest..=cursor.tip.number).contains(&from) {
                    return Ok(Rescanned::OutOfRange { lowest, tip: cursor.tip.number });
                }
                let number = from.saturating_sub(1);
                let header = self.chain.header_at(number).await?;
                check_number(number, &header)?;
                header.block
            }
            None => match self.common_block(&cursor).await? {
                Ok(common) if common == cursor.tip => return Ok(Rescanned::InStep { tip: common }),
                Ok(common) => common,
                Err(lowest) => return Ok(Rescanned::NothingInCommon { lowest }),
            },
        };
        let after = CursorRecord {
            tip: to,
            tags: ChainTags {
                safe_number: cursor.tags.safe_number.min(to.number),
                finalized_number: cursor.tags.finalized_number.min(to.number),
            },
            audited_to: cursor.audited_to.min(to.number),
            epoch: cursor.epoch.saturating_add(1),
            revision: cursor.revision.saturating_add(1),
            ..cursor
        };
        let lease = self.store.lease(cursor.chain_id).await?;
        let fencing = lease.map_or(FencingNumber::UNLEASED, |lease| lease.number);
        let rewind = Rewind { fencing, expected_revision: cursor.revision, cursor: after };
        self.store.rewind(rewind).await?;
        tracing::warn!(
            chain.id = self.settings.chain_id.0,
            from = cursor.tip.number,
            to = to.number,
            "what was applied above a block was given up, to be read again"
        );
        self.load().await?;
        Ok(Rescanned::WentBack { to, before: cursor.tip })
    }

    /// The newest stored block that is on the chain, or the height of the lowest stored one.
    async fn common_block(
        &self,
        cursor: &CursorRecord,
    ) -> Result<Result<BlockRef, u64>, FollowError> {
        let head = self.chain.head().await?;
        let stored = self.store.window(cursor.chain_id).await?;
        let lowest = stored.first().map_or(cursor.tip.number, |row| row.block.number);
        let mut above = cursor.tip.number.min(head.block.number).saturating_add(1);
        while lowest < above {
            let from = above.saturating_sub(HEADERS_MAX).max(lowest);
            let headers = self.chain.headers(from, above.saturating_sub(1)).await?;
            for header in headers.iter().rev() {
                if stored.iter().any(|row| row.block == header.block) {
                    return Ok(Ok(header.block));
                }
            }
            above = from;
        }
        Ok(Err(lowest))
    }
}
