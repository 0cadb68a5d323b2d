//! Random histories of chain, node, database and process: what is recorded becomes what is canonical.

use std::collections::HashSet;

use inspay_ports::{
    Chain, FollowStore,
    fake::{ChainTx, CommitFault, FakeStore, NodeFaults},
};
use inspay_primitives::{B256, BlockRef};
use inspay_watcher::{Follower, RangeSettings, Stepped};
use proptest::prelude::*;

use crate::world::{CHAIN, World, pay, settle_over_failures};

#[derive(Clone, Debug)]
enum Act {
    Mine { blocks: u64, payments: u64 },
    Reorg { depth: u64, blocks: u64, payments: u64 },
    BringBack(usize),
    Rewind(u64),
    Lag(u64),
    Unreachable(bool),
    RateLimit(u32),
    Forget(u64),
    Remember,
    LimitRanges { blocks: Option<u64>, results: Option<usize> },
    FailCommit { after: u64, answer_lost: bool },
    Restart,
    Crash,
    Step(u8),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (1u64..30, 0u64..4).prop_map(|(blocks, payments)| Act::Mine { blocks, payments }),
        1 => (80u64..200, 0u64..3).prop_map(|(blocks, payments)| Act::Mine { blocks, payments }),
        4 => (1u64..12, 0u64..14, 0u64..4)
            .prop_map(|(depth, blocks, payments)| Act::Reorg { depth, blocks, payments }),
        2 => (0usize..8).prop_map(Act::BringBack),
        1 => (1u64..6).prop_map(Act::Rewind),
        1 => (0u64..6).prop_map(Act::Lag),
        1 => any::<bool>().prop_map(Act::Unreachable),
        1 => (1u32..6).prop_map(Act::RateLimit),
        1 => (0u64..6).prop_map(Act::Forget),
        1 => Just(Act::Remember),
        1 => (prop::option::of(1u64..60), prop::option::of(1usize..30))
            .prop_map(|(blocks, results)| Act::LimitRanges { blocks, results }),
        1 => (0u64..4, any::<bool>())
            .prop_map(|(after, answer_lost)| Act::FailCommit { after, answer_lost }),
        1 => Just(Act::Restart),
        1 => Just(Act::Crash),
        10 => (1u8..8).prop_map(Act::Step),
    ]
}

/// Steps that bring a follower to rest on any chain made here.
const STEPS_TO_REST: u8 = 200;

struct History {
    world: World,
    follower: Follower,
    tips: Vec<BlockRef>,
    salt: u64,
    nonce: u64,
}

impl History {
    fn new() -> Self {
        let mut world = World::new();
        world.settings.batch_blocks = 8;
        world.settings.range_blocks_min = 16;
        world.settings.ranges =
            RangeSettings { first_blocks: 4, answer_transfers: 12, ..RangeSettings::default() };
        world.settings.audit_retry_interval = std::time::Duration::ZERO;
        let follower = world.follower();
        Self { world, follower, tips: Vec::new(), salt: 0, nonce: 0 }
    }

    /// Blocks with new payments and some that were mined before, on whatever branch.
    fn blocks(&mut self, blocks: u64, payments: u64) -> Vec<Vec<ChainTx>> {
        let mut old = self.nonce.saturating_sub(5)..self.nonce;
        (0..blocks)
            .map(|place| {
                let mut txs: Vec<ChainTx> = old
                    .next()
                    .filter(|_| place % 2 == 0)
                    .map(|nonce| pay(nonce, nonce))
                    .into_iter()
                    .collect();
                for _ in 0..payments {
                    txs.push(pay(self.nonce, self.nonce));
                    self.nonce += 1;
                }
                txs
            })
            .collect()
    }

    /// The deepest reorg that contradicts nothing that was told to be final.
    async fn free_depth(&self) -> u64 {
        let told = self
            .world
            .store
            .cursor(CHAIN)
            .await
            .expect("reads")
            .map_or(0, |cursor| cursor.tags.finalized_number);
        let tip = self.world.chain.tip().number;
        tip.saturating_sub(told.max(tip.saturating_sub(40)))
    }

    /// Mines what has not been mined on this branch: a payment is on a branch once.
    async fn replace(&mut self, depth: u64, blocks: u64, payments: u64) {
        self.tips.push(self.world.chain.tip());
        self.salt += 1;
        let mut blocks = self.blocks(blocks, payments);
        let mined = self.mined(self.world.chain.tip().number - depth).await;
        for txs in &mut blocks {
            txs.retain(|tx| !mined.contains(&tx.hash));
        }
        self.world.chain.reorg(depth, self.salt, blocks).expect("mines");
    }

    /// Chain transactions of the present branch up to a height, whatever the node is told to answer.
    async fn mined(&self, up_to: u64) -> HashSet<B256> {
        let chain = &self.world.chain;
        let mut faults = NodeFaults::default();
        chain.change_faults(|set| std::mem::swap(set, &mut faults));
        let mined = chain.range(0, up_to, &self.world.settings.filter()).await.expect("answers");
        chain.change_faults(|set| std::mem::swap(set, &mut faults));
        mined.transfers.iter().map(|seen| seen.key.tx_hash).collect()
    }

    async fn act(&mut self, act: &Act) {
        match act {
            Act::Mine { blocks, payments } => self.replace(0, *blocks, *payments).await,
            Act::Reorg { depth, blocks, payments } => {
                let depth = self.free_depth().await.min(*depth);
                self.replace(depth, *blocks, *payments).await;
            }
            Act::BringBack(which) => self.bring_back(*which).await,
            Act::Rewind(depth) => {
                let depth = self.free_depth().await.min(*depth);
                self.tips.push(self.world.chain.tip());
                self.world.chain.rewind(depth);
            }
            Act::Lag(blocks) => {
                self.world.chain.change_faults(|faults| faults.blocks_behind = *blocks)
            }
            Act::Unreachable(gone) => {
                self.world.chain.change_faults(|faults| faults.unreachable = *gone)
            }
            Act::RateLimit(times) => {
                self.world.chain.change_faults(|faults| faults.rate_limits = *times)
            }
            Act::Forget(below) => {
                let number = self.world.chain.tip().number.saturating_sub(*below);
                let block = self.world.chain.block_at(number).expect("mined");
                self.world.chain.change_faults(|faults| {
                    faults.forgotten_blocks.insert(block.hash);
                });
            }
            Act::Remember => {
                self.world.chain.change_faults(|faults| faults.forgotten_blocks.clear())
            }
            Act::LimitRanges { blocks, results } => self.world.chain.change_faults(|faults| {
                faults.range_blocks_max = *blocks;
                faults.range_results_max = *results;
            }),
            Act::FailCommit { after, answer_lost } => {
                let fault = if *answer_lost {
                    CommitFault::AnswerLost
                } else {
                    CommitFault::NothingWritten
                };
                self.world.store.fail_commit_after(*after, fault);
            }
            Act::Restart => self.follower = self.world.follower(),
            Act::Crash => {
                let kept = self.world.store.snapshot();
                self.world.store = std::sync::Arc::new(FakeStore::from_snapshot(kept));
                self.follower = self.world.follower();
            }
            Act::Step(steps) => self.steps(*steps).await,
        }
    }

    async fn steps(&mut self, steps: u8) {
        for _ in 0..steps {
            match self.follower.step().await {
                Ok(Stepped::Halted(reason)) => panic!("halted without a reason: {reason}"),
                Ok(_) => {}
                Err(error) => assert!(error.is_transient(), "{error:?}"),
            }
        }
    }

    /// Goes back to an earlier branch, if that contradicts nothing that was told to be final.
    async fn bring_back(&mut self, which: usize) {
        let Some(tip) = self.tips.get(which).copied() else { return };
        let before = self.world.chain.tip();
        let told = before.number - self.free_depth().await;
        let floor = self.world.chain.block_at(told);
        self.world.chain.switch_to(tip.hash);
        if self.world.chain.block_at(told) != floor {
            self.world.chain.switch_to(before.hash);
        }
    }

    async fn end(mut self) {
        self.world.chain.change_faults(|faults| *faults = Default::default());
        // What it has seen before may be higher than what is left of the chain.
        self.steps(STEPS_TO_REST).await;
        // A chain that only lost blocks looks like a node that lags, until it outgrows what it lost.
        let tip = self
            .world
            .store
            .cursor(CHAIN)
            .await
            .expect("reads")
            .map_or(0, |cursor| cursor.tip.number);
        let missing = (tip + 1).saturating_sub(self.world.chain.tip().number);
        self.replace(0, missing, 1).await;
        settle_over_failures(&mut self.follower).await;
        self.world.assert_followed().await;
        let mut again = self.world.follower();
        settle_over_failures(&mut again).await;
        self.world.assert_followed().await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_recorded_becomes_what_is_canonical(acts in prop::collection::vec(act(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runs");
        runtime.block_on(async {
            let mut history = History::new();
            for act in &acts {
                history.act(act).await;
                history.world.assert_lawful().await;
            }
            history.end().await;
        });
    }
}
