//! Several processes on one database: one follows, the others stand by; nothing is credited on an unchecked word.

use inspay_devchain::{AnvilOptions, Devchain};
use inspay_it::{ChainText, Gateway, order_path, pay, settings_text};
use inspay_store_postgres::cluster::Cluster;
use serde_json::Value;

async fn chain() -> Devchain {
    let options = AnvilOptions { slots_in_an_epoch: 32, ..AnvilOptions::default() };
    Devchain::start(options).await.expect("the chain starts")
}

/// Leases that run out soon.
fn settings(chain: &Devchain) -> String {
    let text = settings_text(chain.deployment(), ChainText::default());
    format!("[server]\nlease_seconds = 2\n{text}")
}

fn stands_by(ready: &Value) -> bool {
    ready["status"] == "ready" && ready["chains"][0]["standby_for"].is_string()
}

fn leads(ready: &Value) -> bool {
    ready["status"] == "ready" && ready["chains"][0]["standby_for"].is_null()
}

async fn pays_through(gateway: &mut Gateway, chain: &Devchain, account: &str, buyer: usize) {
    let order = gateway.order(account, "USDT").await;
    pay(chain, &order, chain.buyer(buyer)).await;
    chain.mine(1).await.expect("mines");
    gateway.wait_for(&order, "paid").await;
    assert_eq!(gateway.available(account).await, "100.000000");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_gateways_on_one_postgres_one_follows_and_a_revived_one_steps_back() {
    let chain = chain().await;
    let cluster = Cluster::start().await.expect("PostgreSQL starts");
    let url = cluster.empty_database().await.expect("a database");
    let mut first = Gateway::start(&settings(&chain), Some(url)).await;
    first.wait("/readyz", leads).await;
    let mut second = first.twin().await;
    let standing_by = second.wait("/readyz", stands_by).await;
    let holder = standing_by["chains"][0]["standby_for"].to_string();
    let first_id = first.process_id().expect("runs");
    assert!(holder.contains(&format!("/{first_id}/")), "{holder}");
    pays_through(&mut second, &chain, "alice", 0).await;

    // What is stopped does not let go: its lease has to run out.
    first.pause(true);
    pays_through(&mut second, &chain, "bob", 1).await;
    second.wait("/readyz", leads).await;
    let unseen = second.order("carl", "USDT").await;
    pay(&chain, &unseen, chain.buyer(2)).await;
    first.pause(false);
    chain.mine(1).await.expect("mines");
    second.wait_for(&unseen, "paid").await;
    let stepped_back = first.wait("/readyz", stands_by).await;
    let second_id = second.process_id().expect("runs");
    let holder = stepped_back["chains"][0]["standby_for"].to_string();
    assert!(holder.contains(&format!("/{second_id}/")), "{holder}");
    assert!(first.log().contains("lost the lease"), "{}", first.log());

    // What was killed is known to be dead by its neighbour: nobody waits for its lease.
    second.kill().await;
    pays_through(&mut first, &chain, "dora", 3).await;
    first.wait("/readyz", leads).await;

    // What stops lets go at once.
    second.resume().await;
    second.wait("/readyz", stands_by).await;
    first.stop().await;
    pays_through(&mut second, &chain, "emil", 4).await;
    for account in ["alice", "bob", "carl", "dora", "emil"] {
        assert_eq!(second.available(account).await, "100.000000", "{account}");
    }
    second.must_reconcile().await;
}

/// A payment that was deep enough leaves the chain while nobody follows it. A process that only settles comes first.
async fn nothing_is_credited_before_the_follower_has_looked(database_url: Option<String>) {
    let chain = chain().await;
    let mut gateway = Gateway::start(&settings(&chain), database_url).await;
    gateway.stop().await;
    gateway.resume_as("api,watch").await;
    let lost = gateway.order("alice", "USDT").await;
    let kept = gateway.order("bob", "USDT").await;
    pay(&chain, &kept, chain.buyer(1)).await;
    let payment = pay(&chain, &lost, chain.buyer(0)).await;
    let head = chain.mine(2).await.expect("mines").number;
    // Deep enough for whoever goes by what is stored.
    gateway.wait("/readyz", |ready| ready["chains"][0]["head"] == head).await;
    let path = format!("/v1/transfers?tx_hash={payment}");
    gateway
        .wait(&path, |seen| seen["items"].as_array().is_some_and(|items| items.len() == 1))
        .await;
    gateway.stop().await;
    chain.reorg(3, Vec::new()).await.expect("reorganises");
    chain.mine(2).await.expect("mines");

    gateway.resume_as("api,settle").await;
    // It has looked, more than once, and waits.
    let mut looks = tokio::time::interval(std::time::Duration::from_millis(25));
    let deadline = tokio::time::Instant::now() + inspay_it::PATIENCE;
    while gateway.unchecked_steps().await < 3 {
        assert!(tokio::time::Instant::now() < deadline, "{}", gateway.log());
        looks.tick().await;
    }
    for order in [&lost, &kept] {
        assert_eq!(gateway.get(&order_path(order)).await.1["state"], "open");
    }
    let _watching = gateway.beside("watch");
    gateway.wait_for(&kept, "paid").await;
    assert_eq!(gateway.get(&order_path(&lost)).await.1["state"], "open");
    // Not for a moment either: a settlement that was taken back would have left its events.
    let (_, feed) = gateway.get("/v1/events?limit=200").await;
    let events = feed["items"].as_array().expect("events");
    assert!(events.iter().any(|event| event["order"] == kept["id"]), "{feed}");
    let of_lost: Vec<&Value> = events.iter().filter(|event| event["order"] == lost["id"]).collect();
    assert!(of_lost.is_empty(), "{of_lost:?}");
    assert_eq!(gateway.available("alice").await, "0.000000");
    assert_eq!(gateway.available("bob").await, "100.000000");
    gateway.must_reconcile().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_only_settles_waits_for_the_follower_on_sqlite() {
    nothing_is_credited_before_the_follower_has_looked(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_only_settles_waits_for_the_follower_on_postgres() {
    let cluster = Cluster::start().await.expect("PostgreSQL starts");
    let url = cluster.empty_database().await.expect("a database");
    nothing_is_credited_before_the_follower_has_looked(Some(url)).await;
}
