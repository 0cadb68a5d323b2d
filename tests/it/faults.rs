//! A living chain that reorganises, and endpoints that fail: a few cells of what `make faults` tries at length.

use futures::future::join_all;
use inspay_devchain::{AnvilOptions, Devchain};
use inspay_it::{
    ChainText, Gateway,
    live::{Endpoints, cells, crowd, run},
    order_path, pay,
    proxy::FaultProxy,
    settings_through,
};

const LIVE_BLOCKS: u64 = 7;
const SEED: u64 = 7;

/// Runs the cells of these names side by side; nothing may be wrong in any.
async fn must_be_right(names: &[&str]) {
    let mut wanted = cells(LIVE_BLOCKS);
    wanted.retain(|cell| names.contains(&cell.name.as_str()));
    assert_eq!(wanted.len(), names.len(), "a cell of that name is missing");
    let outcomes = join_all(wanted.iter().map(|cell| run(cell.clone(), SEED))).await;
    let mut happened = 0;
    for (cell, outcome) in wanted.iter().zip(outcomes) {
        assert!(outcome.is_right(), "{}: {outcome:?}", cell.name);
        assert!(outcome.reorgs > 0, "{}: there was no reorg", cell.name);
        happened += outcome.faults.values().sum::<u64>();
    }
    // One cell's few blocks may meet none of them by chance; all of them together do not.
    let is_faulty = wanted.iter().any(|cell| !cell.faults.is_empty());
    assert_eq!(happened > 0, is_faulty, "{happened} faults happened");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_endpoint_that_leaves_out_lags_and_breaks_loses_nothing() {
    must_be_right(&[
        "empty near head 30 % / one endpoint",
        "last log dropped 30 % / one endpoint",
        "3 behind 30 % / one endpoint",
        "a little of everything / one endpoint",
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_endpoint_does_not_let_the_first_ones_faults_in() {
    must_be_right(&[
        "last log dropped 30 % / two endpoints",
        "3 behind 30 % / two endpoints",
        "a little of everything / two endpoints",
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn branches_that_return_or_end_shorter_are_followed() {
    must_be_right(&[
        "a branch that comes back, no fault / one endpoint",
        "a shorter chain, no fault / one endpoint",
        "reorgs of empty blocks, no fault / one endpoint",
        "reorgs at the hand-over, no fault / one endpoint",
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_three_endpoints_one_lies_and_one_hangs_and_every_payment_is_credited_once() {
    let outcome = crowd(100, Endpoints::OneLiesOneHangs, 1).await;
    assert!(outcome.is_right(), "{outcome:?}");
    assert!(outcome.lies > 0 && outcome.hangs > 0, "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_in_time_while_no_endpoint_answered_is_in_time() {
    let options = AnvilOptions { slots_in_an_epoch: 32, ..AnvilOptions::default() };
    let chain = Devchain::start(options).await.expect("the chain starts");
    let proxy = FaultProxy::start(chain.deployment(), 1).await;
    let http = [proxy.http_url().to_owned()];
    let text = ChainText::default();
    let settings = settings_through(chain.deployment(), text, &http, proxy.ws_url());
    let mut gateway = Gateway::start(&settings, None).await;
    let in_time = gateway.order("alice", "USDT").await;
    let late = gateway.order("bob", "USDT").await;
    let unpaid = gateway.order("carol", "USDT").await;
    // Half an hour and five minutes of grace end in the thirty seconds without any endpoint.
    chain.increase_time(2_080).await.expect("time moves");
    let before = chain.mine(1).await.expect("mines");
    proxy.set_down(true);
    gateway.wait("/readyz", |seen| seen.to_string().contains("chain_stalled")).await;
    pay(&chain, &in_time, chain.buyer(0)).await;
    chain.increase_time(30).await.expect("time moves");
    pay(&chain, &late, chain.buyer(1)).await;
    let after = chain.mine(3).await.expect("mines");
    assert!(after.time.seconds_since(before.time) >= 30);
    proxy.set_down(false);
    let paid = gateway.wait_for(&in_time, "paid").await;
    assert_eq!(paid["transfers"][0]["why"]["late"], false, "{paid}");
    assert_eq!(gateway.available("alice").await, "100.000000");
    let is_settled = |seen: &serde_json::Value| seen["transfers"][0]["state"] == "attributed";
    let seen = gateway.wait(&order_path(&late), is_settled).await;
    assert_eq!(seen["transfers"][0]["why"]["late"], true, "{seen}");
    gateway.wait_for(&unpaid, "expired").await;
    gateway.must_reconcile().await;
}
