//! A chain in memory: blocks with transfers, branches that come and go, a node that can be made to misbehave.
//!
//! A block's hash is a function of what it stands on and what is in it, so the same branch mined again is
//! the same branch. Blocks are never forgotten: a chain may go back to any that it ever had.

mod block;
mod node;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use inspay_primitives::{Address, B256, BlockRef, ChainId, Timestamp, U256};
use tokio::sync::watch;

use crate::{Agreement, FeeHistory, Header, TokenFacts};
use block::{Balances, Block};
pub use block::{ChainLog, ChainTx, MineError};

/// Seconds between blocks.
const BLOCK_SECONDS: u64 = 12;
/// Time of the genesis block, in seconds since 1970.
const GENESIS_SECONDS: u64 = 1_700_000_000;

/// What the node does wrong. All at once, if so set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeFaults {
    /// It answers nothing.
    pub unreachable: bool,
    /// It asks to slow down, that many times.
    pub rate_limits: u32,
    /// How many of the newest blocks it does not have yet.
    pub blocks_behind: u64,
    /// The longest range it gives.
    pub range_blocks_max: Option<u64>,
    /// The most transfers it gives for a range.
    pub range_results_max: Option<usize>,
    /// Blocks that it denies to have.
    pub forgotten_blocks: BTreeSet<B256>,
    /// So many sets of a block's transfers have a hole, and are not proven by it.
    pub unproven_blocks: u32,
    /// Chain transactions whose logs it leaves out of ranges, without a word.
    pub omitted_in_ranges: BTreeSet<B256>,
    /// Chain transactions whose logs the other endpoints leave out of ranges as well.
    pub omitted_in_second_ranges: BTreeSet<B256>,
    /// So often no other endpoint tells of a range, and may later.
    pub untold_second_ranges: u32,
    /// So often the endpoint that told of a range tells it the second time as well.
    pub ranges_told_twice: u32,
    /// How many of the other endpoints do not answer when asked whether they agree.
    pub silent_endpoints: u32,
    /// Chain transactions that another endpoint has in another block.
    pub contradicted: BTreeSet<B256>,
    /// What is said of the agreement on a chain transaction, whatever the chain holds.
    pub agreements: BTreeMap<B256, Agreement>,
    /// Balances that grow without a log: of a token and a holder, since which block and by how much.
    pub moved_without_log: BTreeMap<(Address, Address), (u64, u64)>,
    /// It does not say what anybody holds.
    pub balances_unreadable: bool,
    /// What contract wallets take for their own: of each, one digest with its signature.
    pub accepted_signatures: BTreeMap<Address, (B256, Vec<u8>)>,
    /// What it says its chain id is, if that is not the chain's.
    pub chain_id: Option<ChainId>,
}

/// How often each question was asked, refused ones included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeCalls {
    /// For the chain id.
    pub chain_id: u64,
    /// For the newest header.
    pub head: u64,
    /// For the tags.
    pub tags: u64,
    /// For one header, by height or hash.
    pub header: u64,
    /// For spans of headers.
    pub headers: u64,
    /// For the transfers of a block.
    pub proven_block: u64,
    /// For ranges.
    pub range: u64,
    /// For ranges from another endpoint.
    pub second_range: u64,
    /// For blocks to be read again.
    pub reread_block: u64,
    /// For the agreement of all endpoints.
    pub agreed: u64,
    /// For references.
    pub references: u64,
    /// For what a token says of itself.
    pub token_facts: u64,
    /// For balances.
    pub balance_of: u64,
    /// For what a contract says of a signature.
    pub accepts_signature: u64,
    /// For fees.
    pub fee_history: u64,
    /// For gas.
    pub estimate_gas: u64,
}

/// A chain in memory, with the node that answers for it.
#[derive(Debug)]
pub struct FakeChain {
    chain_id: ChainId,
    inner: Mutex<Inner>,
    wake: Option<watch::Sender<u64>>,
}

#[derive(Debug)]
struct Inner {
    blocks: BTreeMap<B256, Block>,
    canonical: Vec<B256>,
    txs: BTreeMap<B256, ChainTx>,
    tokens: BTreeMap<Address, TokenFacts>,
    safe_lag: u64,
    finalized_lag: u64,
    fees: FeeHistory,
    gas: u64,
    endpoints: u32,
    faults: NodeFaults,
    calls: NodeCalls,
}

impl FakeChain {
    /// A chain of one empty block, whose node wakes whoever listens.
    #[must_use]
    pub fn new(chain_id: ChainId) -> Self {
        let genesis = Block::genesis(chain_id, time_of(0));
        let hash = genesis.header.block.hash;
        let inner = Inner {
            blocks: BTreeMap::from([(hash, genesis)]),
            canonical: vec![hash],
            txs: BTreeMap::new(),
            tokens: BTreeMap::new(),
            safe_lag: 32,
            finalized_lag: 64,
            fees: FeeHistory {
                base_fees: vec![U256::from(1_000_000_000); 5],
                priority_fees: vec![[1_000_000u64, 2_000_000, 3_000_000].map(U256::from); 4],
            },
            gas: 65_000,
            endpoints: 1,
            faults: NodeFaults::default(),
            calls: NodeCalls::default(),
        };
        Self { chain_id, inner: Mutex::new(inner), wake: Some(watch::Sender::new(0)) }
    }

    /// The same chain behind a node without a WebSocket.
    #[must_use]
    pub fn without_wake(mut self) -> Self {
        self.wake = None;
        self
    }

    /// Puts a token on the chain.
    #[must_use]
    pub fn with_token(self, token: Address, symbol: &str, decimals: u8) -> Self {
        let facts = TokenFacts {
            has_code: true,
            decimals: Some(decimals),
            symbol: Some(symbol.to_owned()),
        };
        self.set_token(token, facts);
        self
    }

    /// Gives a holder tokens in the genesis block. For a chain that has no other block yet.
    #[must_use]
    pub fn with_balance(self, token: Address, holder: Address, base_units: U256) -> Self {
        {
            let mut inner = self.lock();
            for block in inner.blocks.values_mut() {
                let mut balances = Balances::clone(&block.balances);
                balances.insert((token, holder), base_units);
                block.balances = Arc::new(balances);
            }
        }
        self
    }

    /// Changes what a token says of itself.
    pub fn set_token(&self, token: Address, facts: TokenFacts) {
        self.lock().tokens.insert(token, facts);
    }

    /// Sets how far `safe` and `finalized` trail the head.
    pub fn set_tag_lags(&self, safe: u64, finalized: u64) {
        let mut inner = self.lock();
        (inner.safe_lag, inner.finalized_lag) = (safe, finalized);
    }

    /// Sets what blocks have cost of late.
    pub fn set_fees(&self, fees: FeeHistory) {
        self.lock().fees = fees;
    }

    /// Sets what a transfer's gas is estimated at.
    pub fn set_gas(&self, gas: u64) {
        self.lock().gas = gas;
    }

    /// Sets how many endpoints the chain is read through; one, until it is said.
    pub fn set_endpoints(&self, endpoints: u32) {
        self.lock().endpoints = endpoints;
    }

    /// Changes what the node does wrong.
    pub fn change_faults(&self, change: impl FnOnce(&mut NodeFaults)) {
        // Changed outside of the lock, so that the change may look at the chain.
        let mut faults = self.lock().faults.clone();
        change(&mut faults);
        self.lock().faults = faults;
    }

    /// How often the node was asked what.
    #[must_use]
    pub fn calls(&self) -> NodeCalls {
        self.lock().calls
    }

    /// Forgets how often the node was asked.
    pub fn reset_calls(&self) {
        self.lock().calls = NodeCalls::default();
    }

    /// The newest block, whatever the node says.
    #[must_use]
    pub fn tip(&self) -> BlockRef {
        self.lock().tip().block
    }

    /// The canonical block at a height, whatever the node says.
    #[must_use]
    pub fn block_at(&self, number: u64) -> Option<BlockRef> {
        self.lock().canonical_at(number).map(|block| block.header.block)
    }

    /// What a holder has of a token at the newest block.
    #[must_use]
    pub fn balance(&self, token: Address, holder: Address) -> U256 {
        let inner = self.lock();
        inner.canonical.last().and_then(|hash| inner.blocks.get(hash)).map_or(U256::ZERO, |block| {
            block.balances.get(&(token, holder)).copied().unwrap_or(U256::ZERO)
        })
    }

    /// Mines a block of chain transactions on the newest one, a block time later.
    pub fn mine(&self, txs: Vec<ChainTx>) -> Result<Header, MineError> {
        self.reorg(0, 0, vec![txs]).map(|mut headers| headers.remove(0))
    }

    /// Mines that many empty blocks.
    pub fn mine_empty(&self, blocks: u64) {
        let empty = (0..blocks).map(|_| Vec::new()).collect();
        // Empty blocks move nothing, so nothing can be refused.
        drop(self.reorg(0, 0, empty));
    }

    /// Takes `depth` blocks off and mines others in their place, in one act: no node ever sees the chain shorter.
    ///
    /// The same blocks under the same `salt` are the same blocks; another salt makes them another branch.
    /// A refused block leaves the chain as it was.
    pub fn reorg(
        &self,
        depth: u64,
        salt: u64,
        blocks: Vec<Vec<ChainTx>>,
    ) -> Result<Vec<Header>, MineError> {
        let mut inner = self.lock();
        let stays = inner.height().saturating_sub(depth);
        let Some(mut parent) = inner.canonical_at(stays).cloned() else { return Ok(Vec::new()) };
        let mut mined = Vec::new();
        for txs in blocks {
            let number = parent.header.block.number.saturating_add(1);
            let block = parent.next(time_of(number), salt, txs)?;
            parent = block.clone();
            mined.push(block);
        }
        let headers = mined.iter().map(|block| block.header.clone()).collect();
        inner.canonical.truncate(place(stays).saturating_add(1));
        for block in mined {
            inner.adopt(block);
        }
        drop(inner);
        self.tick();
        Ok(headers)
    }

    /// Takes `depth` blocks off and mines none, and gives their chain transactions, oldest first.
    pub fn rewind(&self, depth: u64) -> Vec<ChainTx> {
        let mut inner = self.lock();
        let stays = inner.height().saturating_sub(depth);
        let dropped = inner.canonical.split_off(place(stays).saturating_add(1));
        let blocks = dropped.iter().filter_map(|hash| inner.blocks.get(hash));
        let txs = blocks.flat_map(|block| block.txs.clone()).collect();
        drop(inner);
        self.tick();
        txs
    }

    /// Makes a block that was ever mined the newest one again, with all that it stands on. Tells whether there is one.
    pub fn switch_to(&self, hash: B256) -> bool {
        let mut inner = self.lock();
        let mut branch = Vec::new();
        let mut next = inner.blocks.get(&hash);
        while let Some(block) = next {
            branch.push(block.header.block.hash);
            next = inner.blocks.get(&block.header.parent_hash);
        }
        if branch.is_empty() {
            return false;
        }
        branch.reverse();
        inner.canonical = branch;
        drop(inner);
        self.tick();
        true
    }

    fn tick(&self) {
        if let Some(wake) = &self.wake {
            wake.send_modify(|ticks| *ticks = ticks.wrapping_add(1));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn height(&self) -> u64 {
        u64::try_from(self.canonical.len()).unwrap_or(u64::MAX).saturating_sub(1)
    }

    fn canonical_at(&self, number: u64) -> Option<&Block> {
        self.canonical.get(place(number)).and_then(|hash| self.blocks.get(hash))
    }

    fn tip(&self) -> Header {
        let tip = self.canonical_at(self.height()).map(|block| block.header.clone());
        // The genesis block is never taken off.
        tip.unwrap_or_else(|| Block::genesis(ChainId(0), time_of(0)).header)
    }

    fn adopt(&mut self, block: Block) {
        let hash = block.header.block.hash;
        for tx in &block.txs {
            self.txs.insert(tx.hash, tx.clone());
        }
        self.blocks.insert(hash, block);
        self.canonical.push(hash);
    }
}

fn place(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn time_of(number: u64) -> Timestamp {
    let seconds = GENESIS_SECONDS.saturating_add(number.saturating_mul(BLOCK_SECONDS));
    Timestamp::from_chain_seconds(seconds)
}
