//! The simulated chain: branches of real blocks, and what was ever true of each.
//!
//! Never lies: whatever an endpoint makes of it is the endpoint's.

mod block;
mod tx;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use alloy::primitives::{address, b256};
use inspay_primitives::{Address, AssetId, B256, ChainId, Transfer, TransferId};

pub(crate) use block::{Balances, Making, SimBlock};
pub(crate) use tx::{Move, SimTx};

/// The chain's id.
pub(crate) const CHAIN: ChainId = ChainId(7_777);
/// `Transfer(address,address,uint256)`.
pub(crate) const TRANSFER_TOPIC: B256 =
    b256!("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");
pub(crate) const USDT: Address = address!("00000000000000000000000000000000000a0001");
pub(crate) const INSPI: Address = address!("00000000000000000000000000000000000a0002");
/// Looks like a token, and is not listed.
pub(crate) const FAKE: Address = address!("00000000000000000000000000000000000a0003");
pub(crate) const BUNDLER: Address = address!("00000000000000000000000000000000000b0001");
pub(crate) const FIRST_TREASURY: Address = address!("00000000000000000000000000000000000c0001");
pub(crate) const NEXT_TREASURY: Address = address!("00000000000000000000000000000000000c0002");

/// Seconds of the first block: a day in 2026.
pub(crate) const GENESIS_SECONDS: u64 = 1_780_000_000;

/// A listed token as an asset.
pub(crate) const fn asset(token: Address) -> AssetId {
    AssetId { chain_id: CHAIN, contract: token }
}

/// Treasuries with the first block from which each is followed.
#[derive(Clone, Debug)]
pub(crate) struct Treasuries(pub(crate) Vec<(Address, u64)>);

impl Treasuries {
    pub(crate) fn is_one(&self, holder: Address) -> bool {
        self.0.iter().any(|(treasury, _)| *treasury == holder)
    }

    /// Whether a transfer of that token and treasury in that block is followed.
    pub(crate) fn follow(&self, token: Address, treasury: Address, number: u64) -> bool {
        let is_listed = token == USDT || token == INSPI;
        is_listed && self.0.iter().any(|(known, first)| *known == treasury && *first <= number)
    }
}

/// The best that a block ever stood, on the canonical chain.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Standing {
    pub(crate) confirmations: u64,
    pub(crate) was_safe: bool,
    pub(crate) was_final: bool,
}

/// A branch that was left, and may come back.
#[derive(Clone, Debug)]
pub(crate) struct LeftBranch {
    pub(crate) ancestor: B256,
    pub(crate) blocks: Vec<Arc<SimBlock>>,
}

/// How deep the chain's tags and forks go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Depths {
    /// No fork is deeper.
    pub(crate) fork: u64,
    pub(crate) safe: u64,
    pub(crate) finalized: u64,
    /// Depth that is final where nodes know no tag.
    pub(crate) untagged: u64,
}

/// The chain.
#[derive(Debug)]
pub(crate) struct SimChain {
    pub(crate) treasuries: Treasuries,
    pub(crate) depths: Depths,
    canonical: Vec<Arc<SimBlock>>,
    by_hash: HashMap<B256, Arc<SimBlock>>,
    standings: HashMap<B256, Standing>,
    /// Waiting to be mined, oldest first.
    pub(crate) pool: Vec<Arc<SimTx>>,
    pub(crate) left: Vec<LeftBranch>,
    highest: u64,
    safe: u64,
    finalized: u64,
    salt: u64,
}

impl SimChain {
    pub(crate) fn new(treasuries: Treasuries, depths: Depths) -> Self {
        let genesis = SimBlock::make(Making {
            number: 0,
            seconds: GENESIS_SECONDS,
            parent_hash: B256::ZERO,
            salt: 0,
            txs: Vec::new(),
            balances: Balances::new(),
            treasuries: &treasuries,
        });
        let genesis = Arc::new(genesis);
        Self {
            treasuries,
            depths,
            by_hash: HashMap::from([(genesis.block.hash, Arc::clone(&genesis))]),
            canonical: vec![genesis],
            standings: HashMap::new(),
            pool: Vec::new(),
            left: Vec::new(),
            highest: 0,
            safe: 0,
            finalized: 0,
            salt: 0,
        }
    }

    pub(crate) fn head(&self) -> &Arc<SimBlock> {
        // The first block never leaves.
        self.canonical.last().unwrap_or_else(|| unreachable!("a chain has a first block"))
    }

    pub(crate) fn at(&self, number: u64) -> Option<&Arc<SimBlock>> {
        self.canonical.get(usize::try_from(number).ok()?)
    }

    pub(crate) fn by_hash(&self, hash: &B256) -> Option<&Arc<SimBlock>> {
        self.by_hash.get(hash)
    }

    pub(crate) fn is_canonical(&self, block: &SimBlock) -> bool {
        self.at(block.number()).is_some_and(|at| at.block.hash == block.block.hash)
    }

    pub(crate) fn standing(&self, hash: &B256) -> Standing {
        self.standings.get(hash).copied().unwrap_or_default()
    }

    pub(crate) const fn tags(&self) -> (u64, u64) {
        (self.safe, self.finalized)
    }

    /// The lowest block on which another branch may stand.
    pub(crate) fn fork_floor(&self) -> u64 {
        self.finalized.max(self.safe).max(self.highest.saturating_sub(self.depths.fork))
    }

    /// Makes the block on top of `parent`, of those chain transactions; it is on no branch yet.
    pub(crate) fn make(
        &mut self,
        parent: &SimBlock,
        seconds: u64,
        txs: Vec<Arc<SimTx>>,
    ) -> Arc<SimBlock> {
        self.salt += 1;
        let made = Arc::new(SimBlock::make(Making {
            number: parent.number() + 1,
            seconds,
            parent_hash: parent.block.hash,
            salt: self.salt,
            txs,
            balances: parent.balances.clone(),
            treasuries: &self.treasuries,
        }));
        self.by_hash.insert(made.block.hash, Arc::clone(&made));
        made
    }

    /// Puts blocks on top of the canonical block `ancestor`; what stood there leaves, and its chain
    /// transactions wait again.
    pub(crate) fn adopt(&mut self, ancestor: u64, blocks: &[Arc<SimBlock>]) {
        let keep = usize::try_from(ancestor).unwrap_or(usize::MAX).saturating_add(1);
        let gone = self.canonical.split_off(keep.min(self.canonical.len()));
        self.canonical.extend(blocks.iter().cloned());
        let mined: HashSet<B256> =
            blocks.iter().flat_map(|block| &block.txs).map(|tx| tx.hash).collect();
        self.pool.retain(|tx| !mined.contains(&tx.hash));
        let again = gone.iter().flat_map(|block| &block.txs).filter(|tx| !mined.contains(&tx.hash));
        self.pool.extend(again.cloned());
        if let (Some(first), false) = (gone.first(), gone.is_empty()) {
            self.left.push(LeftBranch { ancestor: first.parent_hash, blocks: gone });
        }
        self.stand();
    }

    /// Notes how everything near the head stands now.
    fn stand(&mut self) {
        let head = self.head().number();
        self.highest = self.highest.max(head);
        self.safe = self.safe.max(head.saturating_sub(self.depths.safe)).min(head);
        self.finalized = self.finalized.max(head.saturating_sub(self.depths.finalized)).min(head);
        let look_back = self.depths.finalized.max(self.depths.untagged) + 4;
        for number in head.saturating_sub(look_back)..=head {
            let Some(block) = self.at(number).map(|block| block.block) else { continue };
            let confirmations = head - number + 1;
            let standing = self.standings.entry(block.hash).or_default();
            standing.confirmations = standing.confirmations.max(confirmations);
            standing.was_safe |= number <= self.safe;
            standing.was_final |=
                number <= self.finalized || self.depths.untagged < standing.confirmations;
        }
    }

    /// Every followed transfer on the canonical chain.
    pub(crate) fn transfers(&self) -> BTreeMap<TransferId, Transfer> {
        self.canonical
            .iter()
            .flat_map(|block| block.transfers.iter().map(|(id, transfer)| (*id, *transfer)))
            .collect()
    }

    /// The canonical blocks from the first to the head.
    pub(crate) fn blocks(&self) -> &[Arc<SimBlock>] {
        &self.canonical
    }
}
