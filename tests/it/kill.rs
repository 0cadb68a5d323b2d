//! Dying: at every fail point, and at any moment. Whatever is left behind, the next process credits everything once.
//!
//! `INSPAY_KILLS` says how many random moments are tried on each database, and has every fail point tried on both;
//! without it, those that write are tried on both and the others on one.

use std::time::Duration;

use inspay_devchain::{AnvilOptions, Devchain, Replay};
use inspay_it::{ChainText, Gateway, PATIENCE, crash::fail_points, pay, settings_text};
use inspay_primitives::B256;
use inspay_store_postgres::cluster::Cluster;
use serde_json::Value;
use tokio::time::{Instant, interval, timeout};

/// Random kills on each database where nobody says how many.
const KILLS: u32 = 6;
/// The longest time from a start, or from the last payment, to a kill.
const MOMENT_MAX_MS: u64 = 600;
/// Blocks after which the way back to the head leads through finalized ranges.
const FAR_BLOCKS: u64 = 140;

/// What happens around a death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scene {
    /// A payment is mined while the process is down, and blocks come while it runs.
    Live,
    /// As `Live`, and the payment lies far below the head.
    CatchUp,
    /// As `Live`, and the head moves to another branch while it runs.
    Reorg,
    /// A payment that is settled is mined again in another block while the process is down.
    TakenBack,
    /// As `Live`, and somebody reads the events.
    Reader,
    /// As `Live`, and it is asked to stop.
    Stop,
}

/// Calls that change something: each effect lies between two of their points.
const WRITES: [&str; 12] = [
    "commit_blocks",
    "commit_range",
    "commit_a_range",
    "take_lease",
    "take_a_lease",
    "renew_lease",
    "release_lease",
    "mark_checked",
    "transact",
    "write_the_books",
    "free_slots",
    "books",
];

/// The scene in which a call is passed; `None` for what no watcher, settlement or delivery does in these scenes.
fn scene_of(call: &str) -> Option<Scene> {
    Some(match call {
        "cursor"
        | "window"
        | "halts"
        | "lease"
        | "followed"
        | "commit_blocks"
        | "take_lease"
        | "take_a_lease"
        | "renew_lease"
        | "mark_checked"
        | "transact"
        | "write_the_books"
        | "transfers_to_settle"
        | "transfers_to_reverse"
        | "canonical_hashes"
        | "orders_for"
        | "rates_at"
        | "orders_to_close"
        | "oldest_unsettled_time"
        | "free_slots"
        | "lots_to_expire"
        | "books"
        | "head"
        | "tags"
        | "proven_block"
        | "remote_chain_id"
        | "token_facts" => Scene::Live,
        "commit_range" | "commit_a_range" | "has_orders_before" | "range" | "references"
        | "header_at" | "balance_of" | "transfer_totals" | "headers" => Scene::CatchUp,
        "header_by_hash" => Scene::Reorg,
        "events" => Scene::Reader,
        "release_lease" => Scene::Stop,
        _ => return None,
    })
}

/// One death: the fail point with its count, and what happens around it.
type Death = (String, Scene);

/// Every death to die on one database.
async fn deaths(is_sqlite: bool, is_thorough: bool) -> Vec<Death> {
    let mut deaths = Vec::new();
    // First, while the settled payment lies near the head.
    for call in ["commit_blocks", "transact", "books"] {
        for place in ["before", "after"] {
            deaths.push((format!("{call}:{place}:1"), Scene::TakenBack));
            deaths.push((format!("{call}:{place}:2"), Scene::TakenBack));
        }
    }
    deaths.push(("commit_blocks:inside:1".to_owned(), Scene::TakenBack));
    deaths.push(("write_the_books:inside:1".to_owned(), Scene::TakenBack));
    deaths.push(("write_the_books:inside:2".to_owned(), Scene::TakenBack));
    let mut reads = 0;
    for name in fail_points().await {
        let (call, place) = name.split_once(':').expect("call:place");
        let Some(scene) = scene_of(call) else { continue };
        if WRITES.contains(&call) {
            // One statement of SQLite is one commit: there is no inside.
            deaths.push((format!("{name}:1"), scene));
        } else if place == "before" || is_thorough {
            // Of what only reads, the moment before it is the one after the effect before it.
            reads += 1;
            if is_thorough || (reads % 2 == 0) == is_sqlite {
                deaths.push((format!("{name}:1"), scene));
            }
        }
    }
    deaths
}

struct World {
    chain: Devchain,
    gateway: Gateway,
    /// The newest order with its account and its payment.
    last: Option<(Value, String, B256)>,
    accounts: Vec<String>,
}

async fn world(database_url: Option<String>) -> World {
    let options = AnvilOptions { slots_in_an_epoch: 32, ..AnvilOptions::default() };
    let chain = Devchain::start(options).await.expect("the chain starts");
    let text = settings_text(chain.deployment(), ChainText::default());
    let settings = format!("[server]\nlease_seconds = 2\n{text}");
    let gateway = Gateway::start(&settings, database_url).await;
    World { chain, gateway, last: None, accounts: Vec::new() }
}

impl World {
    async fn order(&mut self) -> (Value, String) {
        let account = format!("account-{}", self.accounts.len());
        let order = self.gateway.order(&account, "USDT").await;
        self.accounts.push(account.clone());
        (order, account)
    }

    async fn pay(&mut self, order: Value, account: String) {
        let buyer = self.chain.buyer(self.accounts.len() % 4);
        let payment = pay(&self.chain, &order, buyer).await;
        self.last = Some((order, account, payment));
    }

    async fn mine(&self, blocks: u64) {
        self.chain.mine(blocks).await.expect("mines");
    }

    /// How many blocks have to leave the chain so that the payment does.
    async fn depth_of(&self, payment: B256) -> u64 {
        let mined_in = self.chain.mined(payment).await.expect("is mined").block_number;
        let head = self.chain.head().await.expect("a head").number;
        head + 1 - mined_in.expect("a block")
    }

    /// What happens while nothing runs.
    async fn prepare(&mut self, scene: Scene, next: (Value, String)) {
        if scene == Scene::TakenBack {
            let (.., payment) = self.last.clone().expect("a payment that is settled");
            let depth = self.depth_of(payment).await;
            let again = Replay::same(payment, depth - 1);
            self.chain.reorg(depth, vec![again]).await.expect("reorganises");
        }
        self.pay(next.0, next.1).await;
        match scene {
            Scene::CatchUp => self.mine(FAR_BLOCKS).await,
            Scene::TakenBack => self.mine(2).await,
            Scene::Live | Scene::Reorg | Scene::Reader | Scene::Stop => {}
        }
    }

    /// Dies at the point, with whatever has to happen for it to be passed.
    async fn die(&mut self, point: &str, scene: Scene) {
        match scene {
            Scene::Reader | Scene::Stop => self.gateway.resume_to_die(point).await,
            Scene::Live | Scene::CatchUp | Scene::Reorg | Scene::TakenBack => {
                self.gateway.launch_unheard(Some(point));
            }
        }
        let deadline = Instant::now() + PATIENCE;
        let mut looks = interval(Duration::from_millis(20));
        for look in 0u32.. {
            looks.tick().await;
            if self.gateway.has_died() {
                return;
            }
            assert!(Instant::now() < deadline, "{point} is not passed\n{}", self.gateway.log());
            match scene {
                Scene::Reader => self.gateway.try_get("/v1/events").await,
                Scene::Stop if look == 0 => self.gateway.ask_to_stop(),
                // Apart, so that the branch that is left was seen.
                Scene::Reorg if look % 20 == 5 => self.mine(3).await,
                Scene::Reorg if look % 20 == 15 => {
                    self.chain.rollback(2).await.expect("rolls back");
                    // Else the same empty blocks would come again.
                    self.chain.increase_time(5).await.expect("moves on");
                    self.mine(3).await;
                }
                Scene::Live | Scene::CatchUp | Scene::TakenBack if look % 10 == 5 => {
                    self.mine(1).await;
                }
                Scene::Live | Scene::CatchUp | Scene::TakenBack | Scene::Reorg | Scene::Stop => {}
            }
        }
    }

    /// A process that lives finds everything and credits it once.
    async fn recover(&mut self) {
        self.gateway.resume().await;
        self.mine(1).await;
        let (order, account, _) = self.last.clone().expect("a payment");
        self.gateway.wait_for(&order, "paid").await;
        assert_eq!(self.gateway.available(&account).await, "100.000000", "{account}");
    }

    /// Every account was credited once, the books equal the chain, and every law holds.
    async fn must_be_whole(&self) {
        for account in &self.accounts {
            let deadline = Instant::now() + PATIENCE;
            let mut looks = interval(Duration::from_millis(25));
            while self.gateway.available(account).await != "100.000000" {
                assert!(Instant::now() < deadline, "{account}\n{}", self.gateway.log());
                looks.tick().await;
            }
        }
        self.gateway.must_reconcile().await;
    }
}

/// Says how far a run by hand has come.
#[expect(clippy::print_stdout, reason = "figures are read by whoever runs it")]
fn tell(what: std::fmt::Arguments<'_>) {
    println!("{what}");
}

fn kills() -> Option<u32> {
    #[expect(clippy::disallowed_methods, reason = "a test has no settings of its own")]
    std::env::var("INSPAY_KILLS").ok().map(|text| text.parse().expect("a number of kills"))
}

async fn dies_everywhere(database_url: Option<String>) {
    let is_sqlite = database_url.is_none();
    let mut world = world(database_url).await;
    let started = Instant::now();
    let (order, account) = world.order().await;
    world.pay(order, account).await;
    world.mine(1).await;
    let (first, ..) = world.last.clone().expect("a payment");
    world.gateway.wait_for(&first, "paid").await;
    let deaths = deaths(is_sqlite, kills().is_some()).await;
    for (point, scene) in &deaths {
        if is_sqlite && point.starts_with("free_slots:inside") {
            continue;
        }
        let next = world.order().await;
        world.gateway.kill().await;
        world.prepare(*scene, next).await;
        world.die(point, *scene).await;
        tell(format_args!("died at {point} in {scene:?}"));
        world.recover().await;
    }
    world.must_be_whole().await;
    tell(format_args!("{} deaths in {:?}", deaths.len(), started.elapsed()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_death_at_any_fail_point_loses_and_doubles_nothing_on_sqlite() {
    dies_everywhere(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_death_at_any_fail_point_loses_and_doubles_nothing_on_postgres() {
    let cluster = Cluster::start().await.expect("PostgreSQL starts");
    let url = cluster.empty_database().await.expect("a database");
    dies_everywhere(Some(url)).await;
}

/// Numbers that a seed decides.
struct Dice(u64);

impl Dice {
    fn below(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below
    }

    /// A moment at which the process is killed, wherever it stands then.
    async fn moment(&mut self) {
        let moment = Duration::from_millis(self.below(MOMENT_MAX_MS));
        timeout(moment, std::future::pending::<()>()).await.expect_err("nothing else ends it");
    }
}

#[derive(Debug, Default)]
struct Figures {
    kills: u32,
    while_starting: u32,
    in_catch_up: u32,
    reorgs: u32,
    payments: u32,
}

async fn killed_at_random(database_url: Option<String>, seed: u64) {
    let mut world = world(database_url).await;
    let (mut dice, mut figures) = (Dice(seed), Figures::default());
    let started = Instant::now();
    while figures.kills < kills().unwrap_or(KILLS) {
        // The process runs: some payments, then it is killed.
        for _ in 0..=dice.below(2) {
            let (order, account) = world.order().await;
            world.pay(order, account).await;
            figures.payments += 1;
            world.mine(dice.below(3)).await;
        }
        dice.moment().await;
        world.gateway.kill().await;
        figures.kills += 1;
        // It is down: the chain goes on, or turns.
        if dice.below(3) == 0 {
            let (.., payment) = world.last.clone().expect("a payment");
            let depth = world.depth_of(payment).await;
            if depth <= 4 {
                let again = Replay::same(payment, dice.below(depth));
                world.chain.reorg(depth, vec![again]).await.expect("reorganises");
                figures.reorgs += 1;
            }
        }
        if dice.below(4) == 0 {
            world.mine(FAR_BLOCKS).await;
            figures.in_catch_up += 1;
        }
        // Every other time it does not get far.
        if dice.below(2) == 0 {
            world.gateway.launch_unheard(None);
            dice.moment().await;
            world.gateway.kill().await;
            figures.kills += 1;
            figures.while_starting += 1;
        }
        world.gateway.resume().await;
    }
    world.mine(1).await;
    world.must_be_whole().await;
    tell(format_args!("seed {seed}: {figures:?} in {:?}", started.elapsed()));
}

#[tokio::test(flavor = "multi_thread")]
async fn random_kills_lose_and_double_nothing_on_sqlite() {
    killed_at_random(None, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn random_kills_lose_and_double_nothing_on_postgres() {
    let cluster = Cluster::start().await.expect("PostgreSQL starts");
    let url = cluster.empty_database().await.expect("a database");
    killed_at_random(Some(url), 2).await;
}
