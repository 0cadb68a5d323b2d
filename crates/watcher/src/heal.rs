//! What is done about books that differ from the chain: the block is found, read again with its receipts, and what
//! was recorded of it is replaced.
//!
//! Never takes anything on trust here: what replaces a block's transfers is proven.

use inspay_ports::{AppliedBlock, ChainError, ChainErrorKind, Header, ProvenBlock};
use inspay_primitives::{B256, BlockRef};

use crate::{
    bisect::Bisection,
    catch_up::check_number,
    compare::{Compared, Pair},
    error::FollowError,
    follow::Disagreement,
    follower::Follower,
    meters,
};

/// Blocks that one audit finds and reads again. More than that are read in ranges.
const BLOCKS_MAX: usize = 16;

/// Blocks that must stand on one that takes the place of what was recorded: no dead branch is as long.
const STANDING_BLOCKS: u64 = 16;

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
            let block = proven.header.block;
            let to = at.number.min(number.saturating_add(STANDING_BLOCKS));
            let headers = self.chain.headers(number, to).await?;
            must_stand(block, at, &headers)?;
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

/// Refuses a block that does not stand on the chain below `at`: a node on a dead branch proves its own blocks as well as
/// any. `headers` begin at its height.
fn must_stand(block: BlockRef, at: BlockRef, headers: &[Header]) -> Result<(), Disagreement> {
    let mut parent_hash = None;
    for (number, header) in (block.number..).zip(headers) {
        let known = [block, at].into_iter().find(|known| known.number == number);
        if let Some(asked) = known.map(|known| known.hash).filter(|hash| *hash != header.block.hash)
        {
            return Err(Disagreement::WrongHash { asked, got: header.block.hash });
        }
        if header.block.number != number
            || parent_hash.is_some_and(|hash: B256| hash != header.parent_hash)
        {
            return Err(Disagreement::Unlinked { number });
        }
        parent_hash = Some(header.block.hash);
    }
    if headers.is_empty() { Err(Disagreement::Vanished) } else { Ok(()) }
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

#[cfg(test)]
mod tests {
    use inspay_primitives::Timestamp;

    use super::*;

    /// The branch of the block, the height of the known one, what was told, what comes of it.
    type Case<'a> = (u8, u64, &'a [(u8, u8)], Result<(), Disagreement>);

    fn block(number: u64, branch: u8) -> BlockRef {
        let hash = B256::repeat_byte(branch.wrapping_mul(32).wrapping_add(number.to_le_bytes()[0]));
        BlockRef { number, hash, time: Timestamp::from_chain_seconds(number) }
    }

    /// Blocks from 5 on, each given by its branch and its parent's.
    fn headers(branches: &[(u8, u8)]) -> Vec<Header> {
        let numbered = (5..).zip(branches);
        let header = |(number, (branch, parent)): (u64, &(u8, u8))| Header {
            block: block(number, *branch),
            parent_hash: block(number - 1, *parent).hash,
            receipts_root: B256::ZERO,
            logs_bloom: Box::new([0; 256]),
        };
        numbered.map(header).collect()
    }

    #[test]
    fn a_block_takes_the_place_of_another_only_on_the_chain() {
        let wrong = |number, asked, got| {
            let (asked, got) = (block(number, asked).hash, block(number, got).hash);
            Err(Disagreement::WrongHash { asked, got })
        };
        let whole = [(1, 1), (1, 1), (1, 1)];
        let table: [Case<'_>; 7] = [
            (1, 7, &whole, Ok(())),
            (1, 90, &whole, Ok(())),
            (1, 5, &whole[..1], Ok(())),
            (2, 7, &whole, wrong(5, 2, 1)),
            (2, 7, &[(2, 1), (2, 2), (2, 2)], wrong(7, 1, 2)),
            (2, 90, &[(2, 1), (1, 1), (1, 1)], Err(Disagreement::Unlinked { number: 6 })),
            (1, 7, &[], Err(Disagreement::Vanished)),
        ];
        for (branch, at, told, expected) in table {
            let stands = must_stand(block(5, branch), block(at, 1), &headers(told));
            assert_eq!(stands, expected, "{branch} below {at}: {told:?}");
        }
    }
}
