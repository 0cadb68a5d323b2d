//! A worker over a store and a chain in memory.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use inspay_ledger::{Operation, Outcome, SettlementRules};
use inspay_ledger_writer::{LedgerWriter, WriterLimits};
use inspay_ports::{
    AppliedBlock, BlocksCommit, BooksStore, Chain, Proof, Store,
    contract::samples::{self, Follower},
    fake::{FakeChain, FakeStore},
};
use inspay_primitives::{
    BlockRef, ConfirmationPolicy, ConfirmationRule, Fence, ManualClock, OrderState, OrderTerms,
    Transfer, U256,
};
use inspay_settlement::{
    AssetRules, Books, BooksError, ChainWork, SettlementPolicy, SettlementWorker, StepReport,
    WorkerSettings,
};

#[derive(Debug)]
struct WriterBooks {
    writer: LedgerWriter,
    store: Arc<dyn Store>,
    /// What the follower commits just before the next write.
    before: Arc<Mutex<Option<BlocksCommit>>>,
    /// What the follower commits during the next write.
    meanwhile: Arc<Mutex<Option<BlocksCommit>>>,
}

#[async_trait]
impl Books for WriterBooks {
    async fn write(
        &self,
        fence: Fence,
        operations: Vec<Operation>,
    ) -> Result<Vec<Outcome>, BooksError> {
        let before = self.before.lock().expect("a lock").take();
        if let Some(commit) = before {
            self.store.commit_blocks(commit).await.expect("commits blocks");
        }
        let written = self.writer.write_fenced(fence, operations).await;
        let meanwhile = self.meanwhile.lock().expect("a lock").take();
        if let Some(commit) = meanwhile {
            self.store.commit_blocks(commit).await.expect("commits blocks");
        }
        written.map_err(|error| BooksError {
            transient: error.is_transient(),
            source: Box::new(error),
        })
    }
}

pub(crate) struct World {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) chain: Arc<FakeChain>,
    pub(crate) follower: Follower,
    pub(crate) worker: SettlementWorker,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) before: Arc<Mutex<Option<BlocksCommit>>>,
    pub(crate) meanwhile: Arc<Mutex<Option<BlocksCommit>>>,
}

/// Two confirmations for up to 20 tokens, four above.
pub(crate) fn policy() -> SettlementPolicy {
    let steps = vec![(U256::from(20_000_000), ConfirmationRule::Depth(2))];
    let confirmations = ConfirmationPolicy::new(steps, ConfirmationRule::Depth(4)).expect("policy");
    let rules = AssetRules { decimals: 6, confirmations, late_rate_age_seconds: 3_600 };
    SettlementPolicy {
        assets: HashMap::from([(samples::usdt(), rules)]),
        rules: SettlementRules::default(),
        clock_skew_seconds: 60,
    }
}

pub(crate) fn world() -> World {
    world_with(WorkerSettings::default())
}

pub(crate) fn world_with(settings: WorkerSettings) -> World {
    let clock = Arc::new(ManualClock::new(samples::block_time(10)));
    world_over(Arc::new(FakeStore::new()), clock, settings)
}

fn world_over(store: Arc<dyn Store>, clock: Arc<ManualClock>, settings: WorkerSettings) -> World {
    let (writer, task) = LedgerWriter::new(
        Arc::clone(&store) as Arc<dyn BooksStore>,
        Arc::clone(&clock) as _,
        SettlementRules::default(),
        WriterLimits::default(),
    );
    tokio::spawn(task.run());
    let chain = Arc::new(FakeChain::new(samples::CHAIN));
    let work = ChainWork { chain: Arc::clone(&chain) as Arc<dyn Chain>, applied: None };
    let (before, meanwhile) = (Arc::default(), Arc::default());
    let books = WriterBooks {
        writer,
        store: Arc::clone(&store),
        before: Arc::clone(&before),
        meanwhile: Arc::clone(&meanwhile),
    };
    let worker = SettlementWorker::new(
        work,
        Arc::clone(&store),
        Arc::new(books),
        Arc::clone(&clock) as _,
        Arc::new(policy()),
        settings,
    );
    World { follower: Follower::new(&store), store, chain, worker, clock, before, meanwhile }
}

pub(crate) fn block(branch: &str, number: u64) -> BlockRef {
    samples::block(branch, number)
}

pub(crate) fn applied(block: BlockRef, transfers: Vec<Transfer>) -> AppliedBlock {
    AppliedBlock { block, proof: Proof::ReceiptsRoot, transfers }
}

/// A payment whose calldata was read near the head.
pub(crate) fn payment(tx: u64, order: &OrderTerms, base_units: U256, block: BlockRef) -> Transfer {
    Transfer {
        reference: Some(Some(order.reference)),
        ..samples::paid(tx, samples::usdt(), base_units, block, 0)
    }
}

impl World {
    /// Another process over the same store.
    pub(crate) fn neighbour(&self) -> Self {
        world_over(Arc::clone(&self.store), Arc::clone(&self.clock), WorkerSettings::default())
    }

    pub(crate) async fn step(&self) -> StepReport {
        self.worker.step().await.expect("a step")
    }

    pub(crate) async fn state(&self, order: &OrderTerms) -> OrderState {
        self.store.order(order.id).await.expect("reads").expect("an order").progress.state
    }

    pub(crate) async fn empty(&mut self, branch: &str, numbers: std::ops::RangeInclusive<u64>) {
        let blocks = numbers.map(|number| applied(block(branch, number), Vec::new())).collect();
        self.follower.extend(blocks).await;
    }

    pub(crate) async fn must_hold(&self) {
        let broken = self.store.broken_laws().await.expect("reads");
        assert!(broken.is_empty(), "{broken:?}");
    }
}
