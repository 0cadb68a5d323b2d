//! More than one of something: chains, treasuries, processes.

use inspay_devchain::{AnvilOptions, Devchain};
use inspay_it::{ChainText, Gateway, order_path, pay, settings_text};
use inspay_primitives::Reference;
use inspay_store_postgres::cluster::Cluster;
use serde_json::json;

async fn chain(chain_id: u64) -> Devchain {
    let options = AnvilOptions { chain_id, slots_in_an_epoch: 32, ..AnvilOptions::default() };
    Devchain::start(options).await.expect("the chain starts")
}

#[tokio::test(flavor = "multi_thread")]
async fn two_chains_are_followed_side_by_side() {
    let (first, second) = (chain(31_337).await, chain(31_338).await);
    let settings = format!(
        "{}{}",
        settings_text(first.deployment(), ChainText::default()),
        settings_text(second.deployment(), ChainText { id: 31_338, ..ChainText::default() }),
    );
    let mut gateway = Gateway::start(&settings, None).await;
    for (chain, account) in [(&first, "alice"), (&second, "bob")] {
        let place = chain.deployment();
        let (_, quote) = gateway.post("/v1/quotes", &json!({ "pack": "starter" })).await;
        assert_eq!(quote["offers"].as_array().map(Vec::len), Some(4), "{quote}");
        let asset = format!("eip155:{}/erc20:{:#x}", place.chain_id, place.usdt);
        let wish = json!({ "quote": quote["id"], "asset": asset, "account": account });
        let (_, order) = gateway.post("/v1/orders", &wish).await;
        assert_eq!(order["chain_id"], place.chain_id, "{order}");
        pay(chain, &order, chain.buyer(0)).await;
        chain.mine(1).await.expect("mines");
        gateway.wait_for(&order, "paid").await;
        assert_eq!(gateway.available(account).await, "100.000000");
    }
    let lines = gateway.must_reconcile().await;
    assert_eq!(lines.as_array().map(Vec::len), Some(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_symbol_that_two_chains_share_must_be_said_in_full() {
    let (first, second) = (chain(31_337).await, chain(31_338).await);
    let settings = format!(
        "{}{}",
        settings_text(first.deployment(), ChainText::default()),
        settings_text(second.deployment(), ChainText { id: 31_338, ..ChainText::default() }),
    );
    let mut gateway = Gateway::start(&settings, None).await;
    let (_, quote) = gateway.post("/v1/quotes", &json!({ "pack": "starter" })).await;
    let wish = json!({ "quote": quote["id"], "asset": "USDT", "account": "alice" });
    let (status, problem) = gateway.post("/v1/orders", &wish).await;
    assert_eq!(status.as_u16(), 422, "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_treasury_takes_over_and_the_old_one_is_still_watched() {
    let chain = chain(31_337).await;
    let place = chain.deployment();
    let before = settings_text(place, ChainText::default());
    let mut gateway = Gateway::start(&before, None).await;
    let old = gateway.order("alice", "USDT").await;
    gateway.kill().await;
    let next_block = chain.head().await.expect("a head").number + 1;
    let successor = place.stranger;
    let both = format!(
        "treasuries = [{{ address = \"{}\" }}, {{ address = \"{successor}\", from_block = {next_block} }}]",
        place.treasury
    );
    let one = format!("treasuries = [{{ address = \"{}\" }}]", place.treasury);
    gateway.change_settings(&before.replace(&one, &both));
    gateway.resume().await;
    let new = gateway.order("bob", "USDT").await;
    assert_eq!(new["treasury"], successor.to_string());
    pay(&chain, &old, chain.buyer(0)).await;
    pay(&chain, &new, chain.buyer(1)).await;
    chain.mine(1).await.expect("mines");
    gateway.wait_for(&old, "paid").await;
    gateway.wait_for(&new, "paid").await;
    // The right reference to the wrong treasury belongs to nobody's order: a person decides.
    let third = gateway.order("carl", "USDT").await;
    let reference: Reference =
        third["reference"].as_str().and_then(|text| text.parse().ok()).expect("a reference");
    let units = inspay_primitives::U256::from(9_000_000);
    let stray = chain
        .transfer(place.usdt, chain.buyer(2), place.treasury, units, Some(reference))
        .await
        .expect("mined");
    chain.mine(1).await.expect("mines");
    let path = format!("/v1/transfers?tx_hash={stray}");
    let seen = gateway.wait(&path, |seen| seen["items"][0]["state"] == "suspended").await;
    assert_eq!(seen["items"][0]["why"]["reason"], "wrong_asset");
    gateway.must_reconcile().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_in_three_processes_share_one_postgres() {
    let chain = chain(31_337).await;
    let cluster = Cluster::start().await.expect("PostgreSQL starts");
    let url = cluster.empty_database().await.expect("a database");
    let settings = settings_text(chain.deployment(), ChainText::default());
    let mut gateway = Gateway::start_with_roles(&settings, url, "api").await;
    let _watching = gateway.beside("watch");
    let _settling = gateway.beside("settle");
    let _settling_too = gateway.beside("settle");
    let order = gateway.order("alice", "USDT").await;
    pay(&chain, &order, chain.buyer(0)).await;
    chain.mine(1).await.expect("mines");
    let paid = gateway.wait(&order_path(&order), |seen| seen["state"] == "paid").await;
    assert_eq!(paid["credited"], "100.000000");
    assert_eq!(gateway.available("alice").await, "100.000000");
    gateway.must_reconcile().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_goes_away_makes_the_gateway_unready_and_loses_nothing() {
    let chain = chain(31_337).await;
    let settings = settings_text(chain.deployment(), ChainText::default());
    let mut gateway = Gateway::start(&settings, None).await;
    let order = gateway.order("alice", "USDT").await;
    pay(&chain, &order, chain.buyer(0)).await;
    chain.mine(1).await.expect("mines");
    gateway.wait_for(&order, "paid").await;
    drop(chain);
    let problem = gateway.wait("/readyz", |seen| seen["status"] == 503).await;
    assert!(problem.to_string().contains("chain_stalled"), "{problem}");
    assert_eq!(gateway.available("alice").await, "100.000000");
    let (status, _) = gateway.get("/healthz").await;
    assert!(status.is_success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_away_makes_the_gateway_unready() {
    let chain = chain(31_337).await;
    let cluster = Cluster::start().await.expect("PostgreSQL starts");
    let url = cluster.empty_database().await.expect("a database");
    let settings = settings_text(chain.deployment(), ChainText::default());
    let gateway = Gateway::start(&settings, Some(url)).await;
    gateway.wait("/readyz", |seen| seen["status"] == "ready").await;
    drop(cluster);
    let problem = gateway.wait("/readyz", |seen| seen["status"] == 503).await;
    assert!(problem.to_string().contains("database"), "{problem}");
    let (status, problem) = gateway.get("/v1/accounts/alice/balance").await;
    assert_eq!(status.as_u16(), 503, "{problem}");
}
