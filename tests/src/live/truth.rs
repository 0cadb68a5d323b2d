//! What the chain itself says of the treasury's transfers, read from its receipts without any of ours
//! between.
//!
//! Never forgets a branch: what was true once may have been recorded then.

use std::collections::{HashMap, HashSet};

use alloy::{eips::BlockId, primitives::keccak256, providers::Provider as _};
use inspay_devchain::Devchain;
use inspay_primitives::{Address, B256, BlockRef, Transfer, U256};
use tokio::time::Instant;

/// One transfer to the treasury where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Row {
    /// Height of the block.
    pub block_number: u64,
    /// The block.
    pub block_hash: B256,
    /// The chain transaction.
    pub tx_hash: B256,
    /// Index of the log in the block.
    pub log_index: u64,
    /// The token.
    pub token: Address,
    /// Who paid.
    pub payer: Address,
    /// How much.
    pub base_units: U256,
}

impl From<&Transfer> for Row {
    fn from(transfer: &Transfer) -> Self {
        Self {
            block_number: transfer.block.number,
            block_hash: transfer.block.hash,
            tx_hash: transfer.key.tx_hash,
            log_index: u64::from(transfer.log_index),
            token: transfer.key.token,
            payer: transfer.counterparty,
            base_units: transfer.base_units,
        }
    }
}

/// The transfers to the treasury in one block.
///
/// # Panics
///
/// If the node does not know the block.
pub async fn rows_in(chain: &Devchain, block: BlockRef) -> Vec<Row> {
    let place = chain.deployment();
    let receipts = chain.provider().get_block_receipts(BlockId::hash(block.hash)).await;
    let receipts = receipts.expect("receipts").expect("the block is there");
    let moved = keccak256("Transfer(address,address,uint256)");
    let mut rows = Vec::new();
    for log in receipts.iter().flat_map(|receipt| receipt.inner.logs()) {
        let topics = log.topics();
        let is_followed = [place.inspi, place.usdt].contains(&log.address())
            && topics.first() == Some(&moved)
            && topics.get(2) == Some(&place.treasury.into_word());
        if is_followed {
            rows.push(Row {
                block_number: block.number,
                block_hash: block.hash,
                tx_hash: log.transaction_hash.expect("a mined log"),
                log_index: log.log_index.expect("a mined log"),
                token: log.address(),
                payer: Address::from_word(topics[1]),
                base_units: U256::from_be_slice(&log.data().data),
            });
        }
    }
    rows
}

/// All that was on the chain, on whatever branch.
#[derive(Debug, Default)]
pub struct Truth {
    /// Every row that ever was.
    pub ever: HashSet<Row>,
    /// When each block was made.
    pub mined_at: HashMap<B256, Instant>,
    /// The canonical blocks that were made while it was kept, oldest first.
    canonical: Vec<(BlockRef, Vec<Row>)>,
}

impl Truth {
    /// Notes a block that is the head now.
    pub async fn note(&mut self, chain: &Devchain, block: BlockRef, mined_at: Instant) {
        let rows = rows_in(chain, block).await;
        self.ever.extend(rows.iter().copied());
        self.mined_at.entry(block.hash).or_insert(mined_at);
        self.leave(block.number);
        self.canonical.push((block, rows));
    }

    /// Notes that the blocks from there on have left the chain.
    pub fn leave(&mut self, from_number: u64) {
        self.canonical.retain(|(block, _)| block.number < from_number);
    }

    /// What is on the chain now.
    #[must_use]
    pub fn now(&self) -> Vec<Row> {
        let mut rows: Vec<Row> =
            self.canonical.iter().flat_map(|(_, rows)| rows.iter().copied()).collect();
        rows.sort_unstable();
        rows
    }

    /// The newest block.
    #[must_use]
    pub fn head(&self) -> Option<BlockRef> {
        self.canonical.last().map(|(block, _)| *block)
    }
}
