//! Every scenario, delivered block by block, skipping, doubled, as a tip-only reorg, and after a restart.

use inspay_ports::fake::ChainTx;
use inspay_primitives::{Address, U256};
use inspay_watcher::Follower;

use crate::world::{AT_HEAD, BUYER, DECOY, INSPI, TREASURY, USDT, World, mint, pay, settle};

/// How the chain's story reaches the follower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delivery {
    /// It looks after each block, also while a branch grows.
    BlockByBlock,
    /// It looks after every third act.
    Skipping,
    /// It looks twice after each act.
    Doubled,
    /// It looks after each act, and sees a new branch only whole.
    TipOnly,
    /// It is started anew before each look.
    Restarted,
}

const DELIVERIES: [Delivery; 5] = [
    Delivery::BlockByBlock,
    Delivery::Skipping,
    Delivery::Doubled,
    Delivery::TipOnly,
    Delivery::Restarted,
];

struct Story {
    world: World,
    follower: Follower,
    delivery: Delivery,
    acts: u32,
    salt: u64,
}

impl Story {
    fn new(delivery: Delivery) -> Self {
        let world = World::new();
        let follower = world.follower();
        Self { world, follower, delivery, acts: 0, salt: 0 }
    }

    async fn look(&mut self) {
        self.acts += 1;
        match self.delivery {
            Delivery::Skipping if !self.acts.is_multiple_of(3) => return,
            Delivery::Restarted => self.follower = self.world.follower(),
            Delivery::Doubled => {
                settle(&mut self.follower).await;
            }
            Delivery::BlockByBlock | Delivery::Skipping | Delivery::TipOnly => {}
        }
        settle(&mut self.follower).await;
    }

    async fn mine(&mut self, txs: Vec<ChainTx>) {
        self.world.chain.mine(txs).expect("mines");
        self.look().await;
    }

    async fn mine_empty(&mut self, blocks: u64) {
        for _ in 0..blocks {
            self.mine(Vec::new()).await;
        }
    }

    /// Another branch in the place of the newest `depth` blocks.
    async fn reorg(&mut self, depth: u64, blocks: Vec<Vec<ChainTx>>) {
        self.salt += 1;
        match self.delivery {
            Delivery::BlockByBlock | Delivery::Restarted => {
                let mut depth = depth;
                for txs in blocks {
                    self.world.chain.reorg(depth, self.salt, vec![txs]).expect("mines");
                    depth = 0;
                    self.look().await;
                }
            }
            Delivery::Skipping | Delivery::Doubled | Delivery::TipOnly => {
                self.world.chain.reorg(depth, self.salt, blocks).expect("mines");
                self.look().await;
            }
        }
    }

    async fn end(mut self) -> World {
        assert_eq!(settle(&mut self.follower).await, AT_HEAD, "{:?}", self.delivery);
        self.world.assert_followed().await;
        self.world
    }
}

#[tokio::test]
async fn payments_are_recorded_and_nothing_else_is() {
    for delivery in DELIVERIES {
        let mut story = Story::new(delivery);
        story.mine(vec![pay(1, 10), pay(2, 20)]).await;
        story.mine_empty(2).await;
        let zero = ChainTx::transfer(3, mint(USDT, TREASURY, 0));
        let fake = ChainTx::transfer(4, mint(DECOY, TREASURY, 77));
        let elsewhere = ChainTx::transfer(5, mint(USDT, BUYER, 55));
        story.mine(vec![zero, fake, elsewhere]).await;
        let mut refund = mint(USDT, BUYER, 7);
        refund.from = TREASURY;
        let mut to_itself = mint(USDT, TREASURY, 3);
        to_itself.from = TREASURY;
        let several = vec![
            mint(INSPI, TREASURY, 1),
            mint(USDT, TREASURY, 5),
            mint(USDT, TREASURY, 5),
            refund,
            to_itself,
        ];
        story.mine(vec![ChainTx::of(6, several)]).await;
        let world = story.end().await;
        // Two payments, the zero one, three in and one out of several, and one that is both.
        assert_eq!(world.recorded().await.len(), 2 + 1 + 4 + 2, "{delivery:?}");
    }
}

#[tokio::test]
async fn a_payment_that_is_reorged_out_and_mined_again_is_one_transfer() {
    for delivery in DELIVERIES {
        let mut story = Story::new(delivery);
        story.mine_empty(3).await;
        story.mine(vec![pay(1, 10)]).await;
        story.mine_empty(1).await;
        let other = pay(2, 99);
        story.reorg(2, vec![vec![], vec![other, pay(1, 10)], vec![]]).await;
        let world = story.end().await;
        let recorded = world.recorded().await;
        assert_eq!(recorded.len(), 2, "{delivery:?}");
        let block = world.chain.block_at(5).expect("mined");
        assert!(recorded.iter().all(|(_, hash, ..)| *hash == block.hash));
        assert_eq!(recorded.iter().map(|(_, _, index, _)| *index).max(), Some(1));
    }
}

#[tokio::test]
async fn a_payment_that_is_reorged_out_for_good_is_recorded_no_more() {
    for delivery in DELIVERIES {
        let mut story = Story::new(delivery);
        story.mine(vec![pay(1, 10)]).await;
        story.mine(vec![pay(2, 20)]).await;
        story.reorg(1, vec![vec![], vec![]]).await;
        let world = story.end().await;
        assert_eq!(world.recorded().await.len(), 1, "{delivery:?}");
    }
}

#[tokio::test]
async fn branches_of_any_depth_replace_each_other() {
    for delivery in DELIVERIES {
        let mut story = Story::new(delivery);
        for nonce in 0..40 {
            story.mine(vec![pay(nonce, 10 + nonce)]).await;
        }
        for (depth, length) in [(1, 1), (2, 3), (5, 5), (12, 13), (30, 31)] {
            // Of the payments that leave, every second one is mined again.
            let leaves = story.world.chain.tip().number - depth;
            let blocks = (0..length)
                .map(|place| {
                    let mut txs = vec![pay(1_000 * depth + place, 5)];
                    let old = leaves + place;
                    if place.is_multiple_of(2) && old < 40 && depth == 30 {
                        txs.push(pay(old, 10 + old));
                    }
                    txs
                })
                .collect();
            story.reorg(depth, blocks).await;
        }
        let world = story.end().await;
        if delivery == Delivery::TipOnly {
            assert_eq!(world.cursor().await.epoch, 5);
        }
    }
}

#[tokio::test]
async fn empty_branches_are_followed_like_full_ones() {
    for delivery in DELIVERIES {
        let mut story = Story::new(delivery);
        story.mine_empty(10).await;
        story.reorg(4, vec![vec![]; 5]).await;
        story.reorg(1, vec![vec![]]).await;
        story.reorg(2, vec![vec![]; 2]).await;
        let world = story.end().await;
        assert!(world.recorded().await.is_empty());
    }
}

#[tokio::test]
async fn a_branch_that_comes_back_is_followed_back() {
    for delivery in DELIVERIES {
        let mut story = Story::new(delivery);
        story.mine_empty(2).await;
        story.mine(vec![pay(1, 10)]).await;
        story.mine(vec![pay(2, 20)]).await;
        let first = story.world.chain.tip();
        story.reorg(2, vec![vec![pay(2, 20)], vec![pay(3, 30)], vec![]]).await;
        let second = story.world.chain.tip();
        for hash in [first.hash, second.hash, first.hash] {
            assert!(story.world.chain.switch_to(hash));
            story.look().await;
        }
        story.mine(vec![pay(4, 40)]).await;
        let world = story.end().await;
        assert_eq!(world.recorded().await.len(), 3, "{delivery:?}");
    }
}

#[tokio::test]
async fn a_shorter_branch_is_followed() {
    for delivery in DELIVERIES {
        let mut story = Story::new(delivery);
        for nonce in 0..8 {
            story.mine(vec![pay(nonce, 10)]).await;
        }
        story.reorg(5, vec![vec![pay(7, 10)], vec![]]).await;
        let world = story.end().await;
        assert_eq!(world.cursor().await.tip.number, 5, "{delivery:?}");
        assert_eq!(world.recorded().await.len(), 4, "{delivery:?}");
    }
}

#[tokio::test]
async fn hundreds_of_payments_in_one_block_are_all_recorded() {
    for delivery in DELIVERIES {
        let mut story = Story::new(delivery);
        story.mine((0..300).map(|nonce| pay(nonce, nonce)).collect()).await;
        story.reorg(1, vec![(0..300).rev().map(|nonce| pay(nonce, nonce)).collect()]).await;
        let world = story.end().await;
        assert_eq!(world.recorded().await.len(), 300, "{delivery:?}");
    }
}

#[tokio::test]
async fn each_treasury_counts_from_its_first_block_and_an_earlier_one_stays() {
    let second = Address::repeat_byte(0x7f);
    for delivery in DELIVERIES {
        let mut story = Story::new(delivery);
        story.world.settings.treasuries = vec![(TREASURY, 0), (second, 4)];
        story.follower = story.world.follower();
        let mut between = mint(USDT, second, 2);
        between.from = TREASURY;
        for nonce in 0..6 {
            let late = ChainTx::transfer(100 + nonce, mint(USDT, second, 1));
            let own = ChainTx::transfer(200 + nonce, between);
            story.mine(vec![pay(nonce, 10), late, own]).await;
        }
        let world = story.end().await;
        let totals = |treasury| {
            let asset =
                inspay_primitives::AssetId { chain_id: crate::world::CHAIN, contract: USDT };
            let store = std::sync::Arc::clone(&world.store);
            async move {
                let reads = inspay_ports::ReadStore::transfer_totals(&*store, asset, treasury, 9);
                let totals = reads.await.expect("reads");
                (totals.in_base_units, totals.out_base_units)
            }
        };
        assert_eq!(totals(TREASURY).await, (U256::from(60), U256::from(12)));
        assert_eq!(totals(second).await, (U256::from(3 + 6), U256::ZERO), "{delivery:?}");
    }
}
