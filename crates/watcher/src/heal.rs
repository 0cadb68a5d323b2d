//! What is done about books that differ from the chain: the block is found, read again with its receipts, and what
//! was recorded of it is replaced.
//!
//! Never takes anything on trust here: what replaces a block's transfers is proven.

use inspay_ports::{AppliedBlock, ChainError, ChainErrorKind, ProvenBlock};
use inspay_primitives::BlockRef;

use crate::{
    bisect::Bisection,
    catch_up::check_number,
    compare::{Compared, Pair},
    error::FollowError,
    follower::Follower,
    meters,
};

/// Blocks that one audit finds and reads again. More than that are read in ranges.
const BLOCKS_MAX: usize = 16;

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Healed {
    /// The books agree now.
    Whole,
    /// They differ from this block on, and it was read again: what is recorded of it is what its receipts say.
    Stands {
        /// The block.
        number: u64,
    },
    /// The node does not tell what was held then, or there are too many blocks.
    Unknown,
}

impl Follower {
    /// Finds the blocks that make the books of one treasury and token differ at `at`, and reads them again.
    pub(crate) async fn heal(
        &mut self,
        pair: &Pair<'_>,
        at: BlockRef,
    ) -> Result<Healed, FollowError> {
        let mut from = pair.first;
        let mut read_again = None;
        for _ in 0..BLOCKS_MAX {
            match self.compare_one(pair, at).await? {
                Compared::Agrees(_) => return Ok(Healed::Whole),
                Compared::Unreadable(_) => return Ok(Healed::Unknown),
                Compared::Differs(_) => {}
            }
            let Some(number) = self.find(pair, from, at).await? else {
                return Ok(Healed::Unknown);
            };
            if read_again == Some(number) {
                return Ok(Healed::Stands { number });
            }
            let proven = match self.chain.reread_block(number, &self.filter).await {
                Ok(proven) => proven,
                Err(error) if is_gone(&error) => return Ok(Healed::Unknown),
                Err(error) => return Err(error.into()),
            };
            check_number(number, &proven.header)?;
            self.replace(proven).await?;
            (read_again, from) = (Some(number), number);
        }
        Ok(Healed::Unknown)
    }

    /// The first block from `from` on at whose end the books differ; `None` where a node cannot tell.
    async fn find(
        &self,
        pair: &Pair<'_>,
        from: u64,
        at: BlockRef,
    ) -> Result<Option<u64>, FollowError> {
        let mut search = Bisection::new(from, at.number);
        while let Some(number) = search.next() {
            let compared = match self.chain.header_at(number).await {
                Ok(header) => {
                    check_number(number, &header)?;
                    self.compare_one(pair, header.block).await
                }
                Err(error) => Err(error.into()),
            };
            match compared {
                Ok(Compared::Agrees(_)) => search.learn(number, false),
                Ok(Compared::Differs(_)) => search.learn(number, true),
                Ok(Compared::Unreadable(_)) => return Ok(None),
                Err(FollowError::Chain(error)) if is_gone(&error) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(Some(search.found()))
    }

    /// Puts a proven block in the place of what was recorded of it, in one commit: what it does not hold leaves the
    /// chain, what was missing joins it. What was planned with the old is planned anew.
    async fn replace(&mut self, proven: ProvenBlock) -> Result<(), FollowError> {
        let block = proven.header.block;
        let transfers = proven.transfers.len();
        let applied = AppliedBlock { block, proof: proven.proof, transfers: proven.transfers };
        let Some(mut commit) = self.follow.reread_commit(vec![applied]) else { return Ok(()) };
        commit.orphaned = vec![block];
        commit.cursor.epoch = commit.cursor.epoch.saturating_add(1);
        let cursor = commit.cursor;
        self.store.commit_blocks(commit).await?;
        self.follow.reread_committed(cursor);
        meters::read_again(self.settings.chain_id);
        self.auditor.note_read_again(block.number);
        tracing::warn!(
            chain.id = self.settings.chain_id.0,
            block.number = block.number,
            transfers,
            "the books differ from the chain from this block on; its transfers were read again by its receipts"
        );
        self.tick();
        Ok(())
    }
}

/// Whether a node will not tell, however often it is asked: what it was asked for was pruned.
const fn is_gone(error: &ChainError) -> bool {
    match &error.kind {
        ChainErrorKind::NotYet(_) | ChainErrorKind::Refused(_) | ChainErrorKind::Reverted(_) => {
            true
        }
        ChainErrorKind::Unreachable(_)
        | ChainErrorKind::RateLimited(_)
        | ChainErrorKind::RangeTooLarge { .. }
        | ChainErrorKind::Contradiction(_) => false,
    }
}
