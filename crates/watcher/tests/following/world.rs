//! A chain, a store and a follower between them.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use inspay_ports::{
    AssetHalt, BooksStore, CaseFilter, CaseRecord, CaseStore, Chain, CursorRecord, FollowStore,
    HaltStore, Page, ReadStore, TransferFilter,
    fake::{ChainLog, ChainTx, FakeChain, FakeStore},
};
use inspay_primitives::{
    Address, Asset, AssetId, B256, ChainId, Clock, ManualClock, Timestamp, TransferId, U256,
};
use inspay_watcher::{FollowError, FollowSettings, FollowedAsset, Follower, Idle, Stepped};

pub(crate) const CHAIN: ChainId = ChainId(31_337);
pub(crate) const TREASURY: Address = Address::repeat_byte(0x7e);
pub(crate) const BUYER: Address = Address::repeat_byte(0xb1);
pub(crate) const USDT: Address = Address::repeat_byte(0x05);
pub(crate) const INSPI: Address = Address::repeat_byte(0x1a);
/// A contract that nobody listed.
pub(crate) const DECOY: Address = Address::repeat_byte(0xdc);

/// Steps after which a follower that does not rest is taken to be stuck.
const STEPS_MAX: usize = 2_000;

pub(crate) fn asset(contract: Address, symbol: &str, decimals: u8) -> Asset {
    Asset { id: AssetId { chain_id: CHAIN, contract }, symbol: symbol.to_owned(), decimals }
}

/// Tokens out of nowhere to somebody.
pub(crate) fn mint(token: Address, to: Address, base_units: u64) -> ChainLog {
    ChainLog { token, from: Address::ZERO, to, base_units: U256::from(base_units) }
}

/// A payment to the treasury.
pub(crate) fn pay(nonce: u64, base_units: u64) -> ChainTx {
    ChainTx::transfer(nonce, mint(USDT, TREASURY, base_units))
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) chain: Arc<FakeChain>,
    pub(crate) store: Arc<FakeStore>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) settings: FollowSettings,
}

impl World {
    pub(crate) fn new() -> Self {
        let chain =
            FakeChain::new(CHAIN).with_token(USDT, "USDT", 6).with_token(INSPI, "INSPI", 18);
        Self::on(chain)
    }

    pub(crate) fn on(chain: FakeChain) -> Self {
        let assets = vec![
            FollowedAsset::new(asset(USDT, "USDT", 6)),
            FollowedAsset::new(asset(INSPI, "INSPI", 18)),
        ];
        let settings = FollowSettings {
            tags_interval: Duration::ZERO,
            ..FollowSettings::new(CHAIN, vec![(TREASURY, 0)], assets, Duration::from_secs(12))
        };
        Self {
            chain: Arc::new(chain),
            store: Arc::new(FakeStore::new()),
            clock: Arc::new(ManualClock::new(Timestamp::from_chain_seconds(1_800_000_000))),
            settings,
        }
    }

    pub(crate) fn follower(&self) -> Follower {
        let chain: Arc<dyn Chain> = Arc::clone(&self.chain) as _;
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
        Follower::new(chain, Arc::clone(&self.store) as _, self.settings.clone(), clock)
    }

    pub(crate) async fn halts(&self) -> Vec<AssetHalt> {
        self.store.halts(CHAIN).await.expect("reads")
    }

    /// Cases, oldest first.
    pub(crate) async fn cases(&self) -> Vec<CaseRecord> {
        let page = Page { after: None, limit: u32::MAX };
        let mut cases = self.store.cases(CaseFilter::default(), page).await.expect("lists");
        cases.reverse();
        cases
    }

    /// How many transfers of a token may be credited.
    pub(crate) async fn to_settle(&self, token: Address) -> usize {
        let audited_to = self.cursor().await.audited_to;
        let due = self.store.transfers_to_settle(CHAIN, None, audited_to, u32::MAX).await;
        let due = due.expect("finds");
        due.iter().filter(|record| record.transfer.key.token == token).count()
    }

    pub(crate) async fn cursor(&self) -> CursorRecord {
        self.store.cursor(CHAIN).await.expect("reads").expect("has a cursor")
    }

    /// Canonical transfers by the store: identity, block, log index, base units.
    pub(crate) async fn recorded(&self) -> BTreeSet<(TransferId, B256, u32, U256)> {
        let page = Page { after: None, limit: u32::MAX };
        let views = self.store.transfers(TransferFilter::default(), page).await.expect("reads");
        views
            .into_iter()
            .filter(|view| view.canonical)
            .map(|view| {
                let seen = view.transfer;
                (seen.key.id(), seen.block.hash, seen.log_index, seen.base_units)
            })
            .collect()
    }

    /// Canonical transfers by the chain, up to a height, whatever its node leaves out of ranges.
    pub(crate) async fn mined(&self, up_to: u64) -> BTreeSet<(TransferId, B256, u32, U256)> {
        let mut before = inspay_ports::fake::NodeFaults::default();
        self.chain.change_faults(|faults| before = std::mem::take(faults));
        let from = self.settings.start_number;
        let answer = self.chain.range(from, up_to, &self.settings.filter()).await.expect("answers");
        self.chain.change_faults(|faults| *faults = before);
        answer
            .transfers
            .into_iter()
            .map(|seen| (seen.key.id(), seen.block.hash, seen.log_index, seen.base_units))
            .collect()
    }

    /// What is applied is what is canonical, and no law is broken.
    pub(crate) async fn assert_followed(&self) {
        let (cursor, tip) = (self.cursor().await, self.chain.tip());
        assert_eq!(cursor.tip, tip, "the tip is the head");
        assert_eq!(self.recorded().await, self.mined(tip.number).await);
        assert_eq!(cursor.audited_to, tip.number, "everything counts as whole");
        for held in self.store.window(CHAIN).await.expect("reads") {
            assert_eq!(self.chain.block_at(held.block.number), Some(held.block));
        }
        self.assert_lawful().await;
    }

    pub(crate) async fn assert_lawful(&self) {
        assert_eq!(self.store.broken_laws().await.expect("reads"), []);
    }
}

/// Steps until there is nothing to do.
pub(crate) async fn settle(follower: &mut Follower) -> Stepped {
    for _ in 0..STEPS_MAX {
        let stepped = follower.step().await.expect("steps");
        if !stepped.did_something() {
            return stepped;
        }
    }
    panic!("the follower does not come to rest");
}

/// Steps until there is nothing to do, whatever fails in between.
pub(crate) async fn settle_over_failures(follower: &mut Follower) -> Vec<FollowError> {
    let mut failures = Vec::new();
    for _ in 0..STEPS_MAX {
        match follower.step().await {
            Ok(Stepped::Idle(Idle::AtHead)) => return failures,
            Ok(_) => {}
            Err(error) => failures.push(error),
        }
    }
    panic!("the follower does not come to rest: {failures:?}");
}

pub(crate) const AT_HEAD: Stepped = Stepped::Idle(Idle::AtHead);
