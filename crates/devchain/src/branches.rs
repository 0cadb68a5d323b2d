//! Reorgs: snapshots, rollbacks, new branches with the same chain transactions, and old branches
//! that come back.
//!
//! Never lets Anvil revert to a block that has left the chain: it answers yes and has no head then.

use alloy::{
    eips::BlockNumberOrTag,
    primitives::Bytes,
    providers::{Provider, ext::AnvilApi},
    rpc::types::{
        TransactionRequest,
        anvil::{ReorgOptions, TransactionData},
    },
};
use inspay_primitives::{B256, BlockRef, U256};

use crate::{Devchain, DevchainError, acts};

/// A point that the chain can be taken back to once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    id: U256,
    block: BlockRef,
}

impl Snapshot {
    /// The head when it was taken.
    #[must_use]
    pub const fn block(&self) -> BlockRef {
        self.block
    }
}

/// A whole branch, kept so that the chain can return to the very same blocks.
#[derive(Clone, Debug)]
pub struct Branch {
    state: Bytes,
    /// Newest first.
    blocks: Vec<BlockRef>,
}

impl Branch {
    /// The branch's newest block.
    #[must_use]
    pub fn head(&self) -> Option<BlockRef> {
        self.blocks.first().copied()
    }
}

/// How many blocks of a branch are remembered to find where another one left it.
const BRANCH_BLOCKS: u64 = 256;

/// A chain transaction that is to be mined in a new branch, and in which of its blocks, counted
/// from zero. Those in one block are mined in the order given, which decides their log indexes.
#[derive(Clone, Debug)]
pub struct Replay {
    transaction: Replayed,
    at: u64,
}

#[derive(Clone, Debug)]
enum Replayed {
    Same(B256),
    Raw(Bytes),
    Fresh(Box<TransactionRequest>),
}

impl Replay {
    /// One that the node still knows, mined again under the same hash.
    #[must_use]
    pub const fn same(hash: B256, at: u64) -> Self {
        Self { transaction: Replayed::Same(hash), at }
    }

    /// A signed one, such as [`Devchain::raw_transaction`] returned before it was dropped.
    #[must_use]
    pub const fn raw(raw: Bytes, at: u64) -> Self {
        Self { transaction: Replayed::Raw(raw), at }
    }

    /// A new one from one of Anvil's accounts, such as [`crate::transfer_request`] makes.
    #[must_use]
    pub fn fresh(request: TransactionRequest, at: u64) -> Self {
        Self { transaction: Replayed::Fresh(Box::new(request)), at }
    }
}

/// Reorgs.
impl Devchain {
    /// Remembers this point.
    ///
    /// # Errors
    ///
    /// When the node refuses.
    pub async fn snapshot(&self) -> Result<Snapshot, DevchainError> {
        let block = self.head().await?;
        Ok(Snapshot { id: self.provider().anvil_snapshot().await?, block })
    }

    /// Takes the chain back. What was mined since is gone, pending or not, and can be mined again
    /// by [`Self::remine`]. Snapshots taken later are void.
    ///
    /// # Errors
    ///
    /// [`DevchainError::SnapshotGone`] where its block has left the chain.
    pub async fn revert(&self, snapshot: Snapshot) -> Result<(), DevchainError> {
        let height = BlockNumberOrTag::Number(snapshot.block.number);
        let there = self.provider().get_block_by_number(height).await?;
        let there = there.is_some_and(|block| block.header.hash == snapshot.block.hash);
        if there && self.provider().anvil_revert(snapshot.id).await? {
            return Ok(());
        }
        Err(DevchainError::SnapshotGone(snapshot.block))
    }

    /// Removes the newest `depth` blocks and what they hold. The head is lower until more is mined.
    ///
    /// # Errors
    ///
    /// When the chain is not that long.
    pub async fn rollback(&self, depth: u64) -> Result<BlockRef, DevchainError> {
        self.provider().anvil_rollback(Some(depth)).await?;
        self.head().await
    }

    /// Replaces the newest `depth` blocks by as many others in one step: empty but for `replay`.
    /// No reader sees a lower head in between. Returns the new head.
    ///
    /// Each replayed chain transaction must still be valid on the new branch: its sender's earlier
    /// ones that were removed have to be replayed before it.
    ///
    /// # Errors
    ///
    /// [`DevchainError::UnknownChainTx`] for a hash that the node does not know, and
    /// [`DevchainError::Reverted`] or [`DevchainError::NotMined`] where a signed one did not make it.
    pub async fn reorg(&self, depth: u64, replay: Vec<Replay>) -> Result<BlockRef, DevchainError> {
        let mut tx_block_pairs = Vec::with_capacity(replay.len());
        let mut expected = Vec::new();
        for Replay { transaction, at } in replay {
            if at >= depth {
                return Err(DevchainError::ReplayOutside { at, depth });
            }
            let transaction = match transaction {
                Replayed::Same(hash) => {
                    expected.push(hash);
                    TransactionData::Raw(self.raw_transaction(hash).await?)
                }
                Replayed::Raw(raw) => {
                    expected.push(alloy::primitives::keccak256(&raw));
                    TransactionData::Raw(raw)
                }
                Replayed::Fresh(request) => TransactionData::JSON(acts::with_fees(*request)),
            };
            tx_block_pairs.push((transaction, at));
        }
        self.provider().anvil_reorg(ReorgOptions { depth, tx_block_pairs }).await?;
        for hash in expected {
            self.mined(hash).await?;
        }
        self.head().await
    }

    /// A chain transaction as it was signed. Ask before it is reorged out: the node forgets it then.
    ///
    /// # Errors
    ///
    /// [`DevchainError::UnknownChainTx`] where the node does not know it.
    pub async fn raw_transaction(&self, hash: B256) -> Result<Bytes, DevchainError> {
        let raw = self.provider().get_raw_transaction_by_hash(hash).await?;
        raw.ok_or(DevchainError::UnknownChainTx(hash))
    }

    /// Sends a signed chain transaction again: the same hash, in another block. With mining on
    /// arrival it returns once mined, and otherwise once pending.
    ///
    /// # Errors
    ///
    /// When it is no longer valid, its nonce being used on this branch.
    pub async fn remine(&self, raw: &Bytes) -> Result<B256, DevchainError> {
        let hash = *self.provider().send_raw_transaction(raw).await?.tx_hash();
        self.wait_if_automatic(hash).await?;
        Ok(hash)
    }

    /// Removes a pending chain transaction from the pool.
    ///
    /// # Errors
    ///
    /// [`DevchainError::UnknownChainTx`] where it is not pending.
    pub async fn drop_transaction(&self, hash: B256) -> Result<(), DevchainError> {
        let dropped = self.provider().anvil_drop_transaction(hash).await?;
        dropped.map(|_| ()).ok_or(DevchainError::UnknownChainTx(hash))
    }

    /// Keeps the chain as it is now, so that [`Self::return_to`] can bring back the very same blocks.
    ///
    /// # Errors
    ///
    /// When the node refuses.
    pub async fn save_branch(&self) -> Result<Branch, DevchainError> {
        let head = self.head().await?;
        let mut blocks = vec![head];
        for number in (head.number.saturating_sub(BRANCH_BLOCKS)..head.number).rev() {
            blocks.push(self.block(BlockNumberOrTag::Number(number)).await?);
        }
        Ok(Branch { state: self.provider().anvil_dump_state_with_history().await?, blocks })
    }

    /// Leaves the chain's present branch for a saved one: same hashes, receipts, logs and state.
    /// Readers may see the head at the blocks' common ancestor for a moment. Returns the new head.
    ///
    /// # Errors
    ///
    /// [`DevchainError::BranchUnrelated`] where they parted more than 256 blocks below its head.
    pub async fn return_to(&self, branch: &Branch) -> Result<BlockRef, DevchainError> {
        let head = self.head().await?;
        let mut common = None;
        for block in branch.blocks.iter().filter(|block| block.number <= head.number) {
            if self.block(BlockNumberOrTag::Number(block.number)).await?.hash == block.hash {
                common = Some(block.number);
                break;
            }
        }
        let common = common.ok_or(DevchainError::BranchUnrelated)?;
        if common < head.number {
            self.rollback(head.number - common).await?;
        }
        self.provider().anvil_load_state(branch.state.clone()).await?;
        self.head().await
    }
}
