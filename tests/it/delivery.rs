//! The same payments, delivered in every way that blocks can reach a gateway: the outcome is the same.

use std::time::Duration;

use inspay_devchain::{AnvilOptions, Devchain, Replay, TetherToken};
use inspay_it::{
    ChainText, Gateway, PATIENCE, due, order_path, pay,
    proxy::{Fault, FaultProxy},
    settings_through,
};
use inspay_ports::FollowStore as _;
use inspay_primitives::{Address, B256, ChainId, U256};
use inspay_store_sqlite::{SqliteOptions, SqliteStore};
use serde_json::Value;
use tokio::time::{Instant, interval};

/// How blocks reach the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delivery {
    /// One after the other, each applied before the next.
    BlockByBlock,
    /// Several at once, and no WebSocket tells of any.
    Skipping,
    /// Every head is told twice.
    Doubled,
    /// The tip alone is replaced by another with the same in it, again and again.
    TipOnlyReorg,
    /// The gateway is not there when they are mined.
    AfterRestart,
}

struct World {
    chain: Devchain,
    gateway: Gateway,
    store: SqliteStore,
    delivery: Delivery,
    _proxy: FaultProxy,
}

impl World {
    async fn open(delivery: Delivery) -> Self {
        let options = AnvilOptions { slots_in_an_epoch: 32, ..AnvilOptions::default() };
        let chain = Devchain::start(options).await.expect("the chain starts");
        let place = chain.deployment();
        let proxy = FaultProxy::start(place, 1).await;
        let http = [proxy.http_url().to_owned()];
        let settings = settings_through(place, ChainText::default(), &http, proxy.ws_url())
            // The local treasury has no key. One of the dev accounts can pay out.
            .replace(&place.treasury.to_string(), &treasury(&chain).to_string());
        let gateway = Gateway::start(&settings, None).await;
        match delivery {
            Delivery::Skipping => proxy.set(&[(Fault::WsSilent, 100)]),
            Delivery::Doubled => proxy.set(&[(Fault::WsRepeat, 100)]),
            Delivery::BlockByBlock | Delivery::TipOnlyReorg | Delivery::AfterRestart => {}
        }
        let database = gateway.folder().join("test.db");
        let store = SqliteStore::open(&database, &SqliteOptions::default()).await;
        let store = store.expect("the database opens");
        Self { chain, gateway, store, delivery, _proxy: proxy }
    }

    /// Waits until the newest block is applied.
    async fn applied(&self) {
        let head = self.chain.head().await.expect("a head").hash;
        let chain_id = ChainId(self.chain.deployment().chain_id);
        let deadline = Instant::now() + PATIENCE;
        let mut looks = interval(Duration::from_millis(10));
        loop {
            looks.tick().await;
            let cursor = self.store.cursor(chain_id).await.expect("the database answers");
            if cursor.is_some_and(|cursor| cursor.tip.hash == head) {
                return;
            }
            assert!(Instant::now() < deadline, "the head is not applied\n{}", self.gateway.log());
        }
    }

    /// Mines so many blocks without payments.
    async fn mine(&mut self, blocks: u64) {
        match self.delivery {
            Delivery::BlockByBlock | Delivery::Doubled => {
                for _ in 0..blocks {
                    self.chain.mine(1).await.expect("mines");
                    self.applied().await;
                }
            }
            Delivery::Skipping => {
                self.chain.mine(blocks).await.expect("mines");
            }
            Delivery::TipOnlyReorg => {
                self.chain.mine(blocks).await.expect("mines");
                self.applied().await;
                self.chain.reorg(1, Vec::new()).await.expect("reorganises");
            }
            Delivery::AfterRestart => {
                self.gateway.kill().await;
                self.chain.mine(blocks).await.expect("mines");
                self.gateway.resume().await;
            }
        }
        self.applied().await;
    }

    /// Delivers the block in which something was mined just now.
    async fn mined(&mut self, hash: B256) -> B256 {
        match self.delivery {
            Delivery::BlockByBlock | Delivery::Doubled | Delivery::Skipping => {}
            Delivery::TipOnlyReorg => {
                self.applied().await;
                self.chain.reorg(1, vec![Replay::same(hash, 0)]).await.expect("reorganises");
            }
            Delivery::AfterRestart => {
                self.gateway.kill().await;
                self.gateway.resume().await;
            }
        }
        self.applied().await;
        hash
    }

    async fn pay(&mut self, order: &Value, buyer: usize) -> B256 {
        let hash = pay(&self.chain, order, self.chain.buyer(buyer)).await;
        self.mined(hash).await
    }

    async fn send(&mut self, from: Address, to: Address, base_units: U256) -> B256 {
        let usdt = self.chain.deployment().usdt;
        let sent = self.chain.transfer(usdt, from, to, base_units, None).await.expect("mined");
        self.mined(sent).await
    }

    async fn must_have(&self, account: &str, credits: &str) {
        assert_eq!(self.gateway.available(account).await, credits, "{account}");
    }
}

fn treasury(chain: &Devchain) -> Address {
    chain.buyer(9)
}

async fn confirmations(world: &mut World) {
    let order = world.gateway.order("patient", "USDT").await;
    world.pay(&order, 0).await;
    let path = order_path(&order);
    let seen = world.gateway.wait(&path, |seen| seen["transfers"][0]["confirmations"] == 1).await;
    assert_eq!(
        (&seen["state"], &seen["transfers"][0]["state"]),
        (&"open".into(), &"pending".into())
    );
    world.must_have("patient", "0.000000").await;
    world.mine(1).await;
    world.gateway.wait_for(&order, "paid").await;
    world.must_have("patient", "100.000000").await;
}

async fn out_and_in_again(world: &mut World) {
    let order = world.gateway.order("returning", "INSPI").await;
    let payment = world.pay(&order, 1).await;
    let raw = world.chain.raw_transaction(payment).await.expect("the payment");
    world.mine(1).await;
    world.gateway.wait_for(&order, "paid").await;
    world.chain.reorg(2, Vec::new()).await.expect("reorganises");
    world.gateway.wait_for(&order, "open").await;
    world.must_have("returning", "0.000000").await;
    world.chain.remine(&raw).await.expect("mines it again");
    world.mine(1).await;
    let paid = world.gateway.wait_for(&order, "paid").await;
    assert_eq!(paid["transfers"][0]["reversals"], 1, "{paid}");
    world.must_have("returning", "100.000000").await;
}

async fn moved_after_it_was_settled(world: &mut World) {
    let order = world.gateway.order("moved", "USDT").await;
    let payment = world.pay(&order, 2).await;
    world.mine(1).await;
    world.gateway.wait_for(&order, "paid").await;
    world.chain.reorg(2, vec![Replay::same(payment, 1)]).await.expect("reorganises");
    world.mine(2).await;
    let again = |seen: &Value| seen["state"] == "paid" && seen["transfers"][0]["reversals"] == 1;
    world.gateway.wait(&order_path(&order), again).await;
    world.must_have("moved", "100.000000").await;
}

async fn empty_blocks_replaced(world: &mut World) {
    let order = world.gateway.order("calm", "USDT").await;
    world.pay(&order, 3).await;
    world.mine(3).await;
    world.gateway.wait_for(&order, "paid").await;
    world.chain.reorg(3, Vec::new()).await.expect("reorganises");
    world.mine(1).await;
    let (_, seen) = world.gateway.get(&order_path(&order)).await;
    assert_eq!((&seen["state"], &seen["transfers"][0]["reversals"]), (&"paid".into(), &0.into()));
}

async fn fee_on_transfer(world: &mut World) {
    let place = world.chain.deployment().clone();
    let fee = |points: u64| TetherToken::setParamsCall {
        newBasisPoints: U256::from(points),
        newMaxFee: U256::from(10),
    };
    world.chain.call_contract(place.deployer, place.usdt, &fee(10)).await.expect("the fee is on");
    let order = world.gateway.order("charged", "USDT").await;
    world.pay(&order, 4).await;
    world.mine(1).await;
    world.gateway.wait_for(&order, "partially_paid").await;
    world.chain.call_contract(place.deployer, place.usdt, &fee(0)).await.expect("the fee is off");
}

async fn parts_and_too_much(world: &mut World) {
    let order = world.gateway.order("in-parts", "USDT").await;
    let (whole, named) = (due(&order), Some(inspay_it::reference(&order)));
    let usdt = world.chain.deployment().usdt;
    let from = world.chain.buyer(5);
    for part in [U256::from(1_000_000), whole] {
        let to = treasury(&world.chain);
        let sent = world.chain.transfer(usdt, from, to, part, named).await.expect("mined");
        world.mined(sent).await;
        world.mine(1).await;
    }
    let paid = world.gateway.wait_for(&order, "paid").await;
    assert_eq!(paid["transfers"].as_array().map(Vec::len), Some(2), "{paid}");
}

async fn bundle_of_an_exchange(world: &mut World) {
    let first = world.gateway.order("withdraws-1", "USDT").await;
    let second = world.gateway.order("withdraws-2", "USDT").await;
    let usdt = world.chain.deployment().usdt;
    let to = treasury(&world.chain);
    let payments = [(to, due(&first)), (to, due(&second))];
    let from = world.chain.buyer(6);
    let bundle = world.chain.multisend_held(from, usdt, &payments).await.expect("mined");
    world.mined(bundle).await;
    world.mine(1).await;
    world.gateway.wait_for(&first, "paid").await;
    world.gateway.wait_for(&second, "paid").await;
    world.must_have("withdraws-1", "100.000000").await;
    world.must_have("withdraws-2", "100.000000").await;
}

async fn stray_and_withdrawn(world: &mut World) {
    let (stranger, to) = (world.chain.buyer(7), treasury(&world.chain));
    let stray = world.send(stranger, to, U256::from(7_000_000)).await;
    let out = world.send(to, world.chain.deployment().deployer, U256::from(1_000_000)).await;
    world.mine(1).await;
    for (tx_hash, state) in [(stray, "suspended"), (out, "withdrawn")] {
        let path = format!("/v1/transfers?tx_hash={tx_hash}");
        world.gateway.wait(&path, |seen| seen["items"][0]["state"] == state).await;
    }
}

/// Last of all: time does not go back.
async fn late(world: &mut World) {
    let order = world.gateway.order("late", "USDT").await;
    world.chain.increase_time(2_400).await.expect("time moves");
    // A reorg takes the clock back to the block below it: that one must be late already.
    world.mine(2).await;
    world.pay(&order, 8).await;
    world.mine(1).await;
    let path = order_path(&order);
    let seen =
        world.gateway.wait(&path, |seen| seen["transfers"][0]["state"] == "attributed").await;
    assert_eq!(seen["transfers"][0]["why"]["late"], true, "{seen}");
}

async fn every_scenario(delivery: Delivery) {
    let mut world = World::open(delivery).await;
    confirmations(&mut world).await;
    out_and_in_again(&mut world).await;
    moved_after_it_was_settled(&mut world).await;
    empty_blocks_replaced(&mut world).await;
    fee_on_transfer(&mut world).await;
    parts_and_too_much(&mut world).await;
    bundle_of_an_exchange(&mut world).await;
    stray_and_withdrawn(&mut world).await;
    late(&mut world).await;
    world.gateway.must_reconcile().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_ends_the_same_block_by_block() {
    every_scenario(Delivery::BlockByBlock).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_ends_the_same_when_blocks_are_skipped() {
    every_scenario(Delivery::Skipping).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_ends_the_same_when_heads_are_told_twice() {
    every_scenario(Delivery::Doubled).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_ends_the_same_when_the_tip_is_replaced_each_time() {
    every_scenario(Delivery::TipOnlyReorg).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_ends_the_same_when_the_gateway_restarts_each_time() {
    every_scenario(Delivery::AfterRestart).await;
}
