//! How a chain is followed. Values only: where they are read from is not known here.

use std::{collections::BTreeMap, time::Duration};

use inspay_ports::WatchFilter;
use inspay_primitives::{Address, Asset, ChainId, U256};

use crate::compare::Pair;

/// A listed token and what is known of it beforehand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowedAsset {
    /// The token.
    pub asset: Asset,
    /// What a treasury held before its first followed block, where the node may not be able to tell.
    pub opening_base_units: BTreeMap<Address, U256>,
    /// Whether opening + in − out must equal `balanceOf`. Off only for tokens that move without a log.
    pub balance_proof: bool,
}

impl FollowedAsset {
    /// A token whose balances are proven and whose openings are asked of the chain.
    #[must_use]
    pub const fn new(asset: Asset) -> Self {
        Self { asset, opening_base_units: BTreeMap::new(), balance_proof: true }
    }
}

/// How large ranges are asked for, and how many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeSettings {
    /// Requests under way at once.
    pub concurrency: usize,
    /// Length of the first request, while nothing is known of how dense the chain is.
    pub first_blocks: u64,
    /// A length that no request may pass, where the endpoint's limit is known beforehand.
    pub blocks_max: Option<u64>,
    /// Transfers that an answer should hold.
    pub answer_transfers: u64,
    /// Transfers that all answers under way or waiting should hold together: the bound of memory.
    pub transfers_in_flight: u64,
}

impl Default for RangeSettings {
    /// An answer of 2,000 transfers is about 1.3 MB of JSON, far below what the well-known providers give at once. A
    /// larger one takes a node longer for each log, and the database waits for it.
    fn default() -> Self {
        Self {
            concurrency: 4,
            first_blocks: 64,
            blocks_max: None,
            answer_transfers: 2_000,
            transfers_in_flight: 8_000,
        }
    }
}

/// How one chain is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowSettings {
    /// The chain.
    pub chain_id: ChainId,
    /// The first followed block; used only while the chain has no cursor.
    pub start_number: u64,
    /// Treasuries with the first block from which each is followed.
    pub treasuries: Vec<(Address, u64)>,
    /// Listed tokens.
    pub assets: Vec<FollowedAsset>,
    /// How often to look for a new head where nothing wakes the follower sooner.
    pub poll_interval: Duration,
    /// How old the heights of `safe` and `finalized` may be.
    pub tags_interval: Duration,
    /// Depth at which a block is taken for final where the chain has no `finalized` tag.
    pub finality_depth: u64,
    /// Blocks that share one commit near the head.
    pub batch_blocks: u64,
    /// Finalized blocks ahead of the tip from which on they are read in ranges.
    pub range_blocks_min: u64,
    /// Blocks that the window holds at most, where finality stays far behind.
    pub window_blocks_max: u64,
    /// Blocks proven at once.
    pub proof_concurrency: usize,
    /// How often balances are compared where nothing waits for it.
    pub audit_interval: Duration,
    /// How long to wait before balances that did not agree are compared again.
    pub audit_retry_interval: Duration,
    /// The longest wait after a failure.
    pub backoff_max: Duration,
    /// Ranges.
    pub ranges: RangeSettings,
}

/// The shortest poll interval: a node is not asked more than five times a second without a reason.
const POLL_INTERVAL_MIN: Duration = Duration::from_millis(200);

impl FollowSettings {
    /// Settings for a chain whose blocks come every `block_time`.
    #[must_use]
    pub fn new(
        chain_id: ChainId,
        treasuries: Vec<(Address, u64)>,
        assets: Vec<FollowedAsset>,
        block_time: Duration,
    ) -> Self {
        let poll_interval = (block_time / 4).max(POLL_INTERVAL_MIN);
        Self {
            chain_id,
            start_number: 0,
            treasuries,
            assets,
            poll_interval,
            tags_interval: poll_interval,
            // Beyond any reorg that a living chain without a tag has shown.
            finality_depth: 256,
            batch_blocks: 64,
            range_blocks_min: 64,
            // A day of an Ethereum that does not finalize needs 7,200.
            window_blocks_max: 65_536,
            proof_concurrency: 8,
            audit_interval: Duration::from_secs(600),
            audit_retry_interval: Duration::from_secs(30),
            backoff_max: Duration::from_secs(3),
            ranges: RangeSettings::default(),
        }
    }

    /// Every treasury of every asset whose balance is compared, each with the first block that is recorded of it.
    pub(crate) fn pairs(&self, start_number: u64) -> impl Iterator<Item = Pair<'_>> {
        self.assets.iter().filter(|listed| listed.balance_proof).flat_map(move |listed| {
            self.treasuries.iter().map(move |(treasury, from)| Pair {
                listed,
                treasury: *treasury,
                first: start_number.max(*from),
            })
        })
    }

    /// Everything that is followed.
    #[must_use]
    pub fn filter(&self) -> WatchFilter {
        WatchFilter {
            chain_id: self.chain_id,
            tokens: self.assets.iter().map(|listed| listed.asset.id.contract).collect(),
            treasuries: self.treasuries.clone(),
        }
    }
}
