//! A listed token that begins to lie while it is sold: its asset is halted alone, until it is whole again.

use std::time::Duration;

use inspay_devchain::{AnvilOptions, Devchain, FakeToken};
use inspay_it::{ChainText, Gateway, PATIENCE, due, json_of, order_path, pay, said, settings_text};
use inspay_primitives::{Address, U256};
use inspay_store_postgres::cluster::Cluster;
use serde_json::Value;
use tokio::time::{Instant, interval};

const CREDITS: &str = "100.000000";
const NOTHING: &str = "0.000000";
/// What the token says moved and did not.
const LIE: u64 = 50_000_000;

struct World {
    chain: Devchain,
    gateway: Gateway,
}

/// A gateway that sells for INSPI and for a token that may lie, under the name of USDT.
async fn open(database_url: Option<String>, audit_seconds: u32) -> World {
    let chain = Devchain::start(AnvilOptions::default()).await.expect("the chain starts");
    let place = chain.deployment();
    let settings = settings_text(place, ChainText::default())
        .replace(&place.usdt.to_string(), &place.fake_usdt.to_string())
        .replace(
            "poll_interval_ms",
            &format!("audit_interval_seconds = {audit_seconds}\npoll_interval_ms"),
        );
    let gateway = Gateway::start(&settings, database_url).await;
    World { chain, gateway }
}

impl World {
    /// Lets the token say that something moved.
    async fn forge(&self, from: Address, to: Address, base_units: u64) {
        let forge = FakeToken::forgeCall { from, to, value: U256::from(base_units) };
        let place = self.chain.deployment();
        self.chain.call_contract(place.stranger, place.fake_usdt, &forge).await.expect("mined");
        self.chain.mine(4).await.expect("mines");
    }

    /// Pays an order in the token that may lie, honestly.
    async fn pay_with_fake(&self, order: &Value, payer: usize) -> String {
        let paid = self.chain.pay_with_fake(self.chain.buyer(payer), due(order)).await;
        self.chain.mine(4).await.expect("mines");
        format!("/v1/transfers?tx_hash={}", paid.expect("mined"))
    }

    /// What `inspay audit` says of the token that may lie.
    async fn audit(&self, code: i32) -> Value {
        let audited = self.gateway.command(&["audit", "--json"]).await;
        assert_eq!(audited.status.code(), Some(code), "{}", said(&audited));
        let lines = json_of(&audited);
        let mut lines = lines.as_array().expect("lines").iter();
        lines.find(|line| line["asset"] == "USDT").cloned().expect("a line")
    }

    async fn halted(&self) -> Value {
        let is_halted = |seen: &Value| {
            seen["chains"][0]["halted_assets"].as_array().is_some_and(|halts| !halts.is_empty())
        };
        let seen = self.gateway.wait("/readyz", is_halted).await;
        seen["chains"][0]["halted_assets"].clone()
    }
}

async fn lies_and_is_whole_again(database_url: Option<String>) {
    let World { chain, mut gateway } = open(database_url, 1).await;
    let place = chain.deployment().clone();
    let alices = gateway.order("alice", "USDT").await;
    let carols = gateway.order("carol", "USDT").await;
    let bobs = gateway.order("bob", "INSPI").await;
    let world = World { chain, gateway };
    world.pay_with_fake(&alices, 0).await;
    world.gateway.wait_for(&alices, "paid").await;

    world.forge(world.chain.buyer(0), place.treasury, LIE).await;
    let halted = world.halted().await;
    assert_eq!(halted.as_array().map(Vec::len), Some(1), "{halted}");
    let why = halted[0]["why"].as_str().expect("a reason").to_owned();
    let treasury = format!("{:#x}", place.treasury);
    for part in ["books_differ_from_chain", "USDT", &treasury, "-50000000", "in blocks"] {
        assert!(why.contains(part), "{part}: {why}");
    }
    names_it_everywhere(&world.gateway, &why).await;
    let usdt = world.audit(6).await;
    assert_eq!(usdt["difference_base_units"], "-50000000", "{usdt}");
    assert!(usdt["halted_since"].is_string() && usdt["only_looked_beside"].is_string(), "{usdt}");

    // What is paid meanwhile waits and says so; another asset is credited.
    let carols_path = world.pay_with_fake(&carols, 1).await;
    pay(&world.chain, &bobs, world.chain.buyer(2)).await;
    world.chain.mine(4).await.expect("mines");
    world.gateway.wait_for(&bobs, "paid").await;
    let is_deep = |seen: &Value| seen["items"][0]["confirmations"].as_u64() > Some(4);
    let waiting = world.gateway.wait(&carols_path, is_deep).await;
    let [state, reason] = [&waiting["items"][0]["state"], &waiting["items"][0]["why"]["reason"]];
    assert_eq!((state, reason), (&"pending".into(), &"asset_halted".into()), "{waiting}");
    let (_, shown) = world.gateway.get(&order_path(&carols)).await;
    assert_eq!(shown["transfers"][0]["why"]["reason"], "asset_halted", "{shown}");
    assert_eq!(world.gateway.available("carol").await, NOTHING);
    assert_eq!(world.gateway.available("bob").await, CREDITS);

    // What never came leaves again: then books and chain are equal.
    world.forge(place.treasury, place.stranger, LIE).await;
    world.gateway.wait_for(&carols, "paid").await;
    assert_eq!(world.gateway.available("carol").await, CREDITS);
    let (_, cases) = world.gateway.get("/v1/cases").await;
    let resolution = cases["items"][0]["resolution"].as_str().expect("is resolved");
    assert!(resolution.starts_with("books and chain are equal"), "{cases}");
    assert_eq!(cases["items"].as_array().map(Vec::len), Some(1), "{cases}");
    let (_, ready) = world.gateway.get("/readyz").await;
    assert_eq!(ready["chains"][0]["halted_assets"].as_array().map(Vec::len), Some(0), "{ready}");
    world.audit(0).await;
    world.gateway.must_reconcile().await;
}

/// The case, the metrics, `doctor`, `cases` and `audit` name what is wrong.
async fn names_it_everywhere(gateway: &Gateway, why: &str) {
    let (_, cases) = gateway.get("/v1/cases?open=true").await;
    let case = &cases["items"][0];
    assert_eq!(
        (&case["kind"], &case["facts"]["asset"]),
        (&"balance_difference".into(), &"USDT".into())
    );
    assert_eq!(case["facts"]["difference_base_units"], "-50000000", "{case}");
    let listed = gateway.command(&["cases", "list", "--json"]).await;
    assert_eq!(json_of(&listed)[0]["facts"], case["facts"]);
    let shown = gateway.command(&["cases", "show", &case["id"].to_string()]).await;
    assert!(String::from_utf8_lossy(&shown.stdout).contains("-50000000"));
    let metrics = gateway.text("/metrics").await;
    let is_told = |line: &str| line.starts_with("inspay_asset_halted{") && line.ends_with(" 1");
    let told = metrics.lines().find(|line| is_told(line)).expect("a metric of the halt");
    for part in ["asset=\"USDT\"", "-50000000", "treasury=\"0x"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let doctor = gateway.command(&["doctor", "--json"]).await;
    assert_eq!(doctor.status.code(), Some(1));
    let findings = json_of(&doctor);
    let finding = |what: &str| {
        let findings = findings.as_array().expect("findings").iter();
        let found =
            findings.filter(|found| found["what"].as_str().is_some_and(|it| it.contains(what)));
        found.map(ToString::to_string).collect::<String>()
    };
    assert!(finding("halted assets").contains(why), "{findings}");
    assert!(finding("cases").contains("balance_difference"), "{findings}");
    let lease = finding("lease");
    assert!(lease.contains("held by") && lease.contains("fencing 1, until 2"), "{lease}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_token_that_begins_to_lie_is_halted_alone_until_it_is_whole_on_sqlite() {
    lies_and_is_whole_again(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_token_that_begins_to_lie_is_halted_alone_until_it_is_whole_on_postgres() {
    let cluster = Cluster::start().await.expect("PostgreSQL starts");
    let url = cluster.empty_database().await.expect("a database");
    lies_and_is_whole_again(Some(url)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_by_hand_looks_beside_a_follower_and_halts_without_one() {
    let mut world = open(None, 3_600).await;
    let place = world.chain.deployment().clone();
    world.chain.mine(4).await.expect("mines");
    let is_read = |seen: &Value| seen["chains"][0]["finalized"].as_u64() > Some(0);
    world.gateway.wait("/readyz", is_read).await;
    // The first comparison halts by itself what it finds; the next is an hour away.
    let deadline = Instant::now() + PATIENCE;
    let mut looks = interval(Duration::from_millis(20));
    while !world.gateway.log().contains("compared books and chain") {
        assert!(Instant::now() < deadline, "{}", world.gateway.log());
        looks.tick().await;
    }
    world.forge(world.chain.buyer(0), place.treasury, LIE).await;
    let head = world.chain.head().await.expect("a head").number;
    let is_final = |seen: &Value| seen["chains"][0]["finalized"].as_u64() >= Some(head - 3);
    world.gateway.wait("/readyz", is_final).await;
    let usdt = world.audit(6).await;
    assert_eq!(usdt["difference_base_units"], "-50000000", "{usdt}");
    assert!(usdt["halted_since"].is_null() && usdt["only_looked_beside"].is_string(), "{usdt}");
    world.gateway.kill().await;
    let usdt = world.audit(6).await;
    assert!(usdt["halted_since"].is_string() && usdt["only_looked_beside"].is_null(), "{usdt}");
    world.forge(place.treasury, place.stranger, LIE).await;
    world.gateway.resume().await;
    let is_whole =
        |seen: &Value| seen["chains"][0]["halted_assets"].as_array().is_some_and(Vec::is_empty);
    world.gateway.wait("/readyz", is_whole).await;
    let listed = world.gateway.command(&["cases", "list", "--all", "--json"]).await;
    assert!(json_of(&listed)[0]["resolution"].is_string(), "{:#}", json_of(&listed));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_death_around_a_halt_leaves_one_halt_and_one_case() {
    let mut world = open(None, 1).await;
    let place = world.chain.deployment().clone();
    let order = world.gateway.order("alice", "USDT").await;
    let mut halts = 0;
    for place_of_death in ["before", "inside", "after"] {
        world.gateway.kill().await;
        world.forge(world.chain.buyer(0), place.treasury, LIE).await;
        world.gateway.launch_unheard(Some(&format!("commit_halts:{place_of_death}:1")));
        let deadline = Instant::now() + PATIENCE;
        let mut looks = interval(Duration::from_millis(20));
        while !world.gateway.has_died() {
            looks.tick().await;
            assert!(Instant::now() < deadline, "{place_of_death}: {}", world.gateway.log());
        }
        world.gateway.resume().await;
        world.halted().await;
        halts += 1;
        let (_, open) = world.gateway.get("/v1/cases?open=true").await;
        assert_eq!(open["items"].as_array().map(Vec::len), Some(1), "{place_of_death}: {open}");
        world.forge(place.treasury, place.stranger, LIE).await;
        let is_whole =
            |seen: &Value| seen["chains"][0]["halted_assets"].as_array().is_some_and(Vec::is_empty);
        world.gateway.wait("/readyz", is_whole).await;
    }
    let all = world.gateway.all("/v1/cases").await;
    assert_eq!(all.len(), halts, "{all:?}");
    assert!(all.iter().all(|case| case["resolution"].is_string()), "{all:?}");
    world.pay_with_fake(&order, 1).await;
    world.gateway.wait_for(&order, "paid").await;
    world.gateway.must_reconcile().await;
}
