//! The follower's side of the fake store.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use inspay_primitives::{B256, BlockRef, ChainId, Transfer, TransferId};

use super::{
    FakeStore,
    rows::{BlockRow, State},
};
use crate::{
    AppliedBlock, BlocksCommit, CursorRecord, FollowStore, Proof, RangeCommit, Rewind, StoreError,
    StoreErrorKind, WindowBlock,
};

#[async_trait]
impl FollowStore for FakeStore {
    async fn cursor(&self, chain: ChainId) -> Result<Option<CursorRecord>, StoreError> {
        self.read("read the cursor", |state| Ok(state.cursors.get(&chain).copied()))
    }

    async fn window(&self, chain: ChainId) -> Result<Vec<WindowBlock>, StoreError> {
        self.read("read the window", |state| {
            let window = state
                .canonical
                .range((chain, 0)..=(chain, u64::MAX))
                .filter_map(|(_, hash)| state.blocks.get(&(chain, *hash)))
                .map(|row| WindowBlock { block: row.block, proof: row.proof })
                .collect();
            Ok(window)
        })
    }

    async fn commit_blocks(&self, commit: BlocksCommit) -> Result<(), StoreError> {
        self.write("commit blocks", |state| {
            let chain = commit.cursor.chain_id;
            state.check_holding(chain, commit.fencing)?;
            state.check_revision(chain, commit.expected_revision)?;
            state.check_heights(chain, &commit.orphaned, &commit.added)?;
            check_distinct(chain, commit.added.iter().flat_map(|applied| &applied.transfers))?;
            for left in &commit.orphaned {
                state.orphan(chain, left.hash);
            }
            for applied in &commit.added {
                let row = BlockRow { block: applied.block, proof: applied.proof };
                state.blocks.insert((chain, applied.block.hash), row);
                state.canonical.insert((chain, applied.block.number), applied.block.hash);
                for transfer in &applied.transfers {
                    state.observe(transfer);
                }
            }
            state.prune(chain, commit.window_from);
            state.cursors.insert(chain, commit.cursor);
            Ok(())
        })
    }

    async fn commit_range(&self, commit: RangeCommit) -> Result<(), StoreError> {
        self.write("commit a range", |state| {
            let CursorRecord { chain_id: chain, tip, .. } = commit.cursor;
            state.check_holding(chain, commit.fencing)?;
            state.check_revision(chain, commit.expected_revision)?;
            check_distinct(chain, commit.transfers.iter())?;
            for transfer in &commit.transfers {
                state.observe(transfer);
            }
            state.prune(chain, u64::MAX);
            state.blocks.insert((chain, tip.hash), BlockRow { block: tip, proof: Proof::Range });
            state.canonical.insert((chain, tip.number), tip.hash);
            state.cursors.insert(chain, commit.cursor);
            Ok(())
        })
    }

    async fn rewind(&self, rewind: Rewind) -> Result<(), StoreError> {
        self.write("take blocks off the chain", |state| {
            let CursorRecord { chain_id: chain, tip, .. } = rewind.cursor;
            state.check_holding(chain, rewind.fencing)?;
            state.check_revision(chain, Some(rewind.expected_revision))?;
            let leaves = |block: &BlockRef| {
                tip.number < block.number || (block.number == tip.number && block.hash != tip.hash)
            };
            let gone: BTreeSet<B256> = state
                .transfers
                .values()
                .map(|row| row.transfer)
                .filter(|transfer| transfer.key.chain_id == chain && leaves(&transfer.block))
                .map(|transfer| transfer.block.hash)
                .chain(state.blocks.values().map(|row| row.block).filter(leaves).map(|at| at.hash))
                .collect();
            for hash in gone {
                state.orphan(chain, hash);
            }
            state.blocks.insert((chain, tip.hash), BlockRow { block: tip, proof: Proof::Range });
            state.canonical.insert((chain, tip.number), tip.hash);
            state.cursors.insert(chain, rewind.cursor);
            Ok(())
        })
    }
}

impl State {
    fn check_revision(&self, chain: ChainId, expected: Option<i64>) -> Result<(), StoreErrorKind> {
        let known = self.cursors.get(&chain).map(|cursor| cursor.revision);
        if known == expected { Ok(()) } else { Err(StoreErrorKind::CursorMoved) }
    }

    fn check_heights(
        &self,
        chain: ChainId,
        orphaned: &[BlockRef],
        added: &[AppliedBlock],
    ) -> Result<(), StoreErrorKind> {
        let mut heights = BTreeMap::new();
        for AppliedBlock { block, .. } in added {
            let stored = self.canonical.get(&(chain, block.number));
            let stays =
                stored.filter(|hash| !orphaned.iter().any(|left| left.hash == **hash)).copied();
            let other = heights.insert(block.number, block.hash).or(stays);
            if other.is_some_and(|hash| hash != block.hash) {
                let refusal = format!("a second canonical block at height {}", block.number);
                return Err(StoreErrorKind::Refused(refusal));
            }
        }
        Ok(())
    }

    fn orphan(&mut self, chain: ChainId, hash: B256) {
        if let Some(row) = self.blocks.get(&(chain, hash)) {
            let height = (chain, row.block.number);
            if self.canonical.get(&height) == Some(&hash) {
                self.canonical.remove(&height);
            }
        }
        let whole_block = (chain, hash, 0, lowest())..=(chain, hash, u32::MAX, highest());
        for (_, canonical) in self.observations.range_mut(whole_block) {
            *canonical = false;
        }
        let in_block: Vec<_> = self
            .transfers_in_block
            .range((chain, hash, lowest())..=(chain, hash, highest()))
            .map(|(_, _, id)| *id)
            .collect();
        for id in in_block {
            self.change_transfer(id, None, |row| row.canonical = false);
        }
    }

    fn observe(&mut self, seen: &Transfer) {
        let id = seen.key.id();
        let place = |at: &Transfer| (at.key.chain_id, at.block.hash, at.log_index, id);
        if let Some(before) = self.transfers.get(&id) {
            self.observations.insert(place(&before.transfer), false);
        }
        self.observations.insert(place(seen), true);
        self.change_transfer(id, Some(*seen), |row| {
            let reference = seen.reference.or(row.transfer.reference);
            row.transfer = Transfer { reference, ..*seen };
            row.canonical = true;
        });
    }

    fn prune(&mut self, chain: ChainId, window_from: u64) {
        let old = |row: &BlockRow| row.block.number < window_from;
        self.canonical.retain(|(of, number), _| *of != chain || *number >= window_from);
        self.blocks.retain(|(of, _), row| *of != chain || !old(row));
    }
}

/// The same transfer twice at one place is one; at two places no chain holds it.
fn check_distinct<'a>(
    chain: ChainId,
    transfers: impl Iterator<Item = &'a Transfer>,
) -> Result<(), StoreErrorKind> {
    let mut known = BTreeMap::new();
    for transfer in transfers {
        let refused =
            |why: &str| Err(StoreErrorKind::Refused(format!("{} is {why}", transfer.key.id())));
        if transfer.key.chain_id != chain {
            return refused("of another chain");
        }
        if known.insert(transfer.key, transfer).is_some_and(|earlier| earlier != transfer) {
            return refused("given twice, differently");
        }
    }
    Ok(())
}

fn lowest() -> TransferId {
    TransferId::from_digest(B256::ZERO)
}

fn highest() -> TransferId {
    TransferId::from_digest(B256::repeat_byte(0xff))
}
