//! What happens while the gateway is down.

use inspay_devchain::{AnvilOptions, Devchain, Replay};
use inspay_it::{ChainText, Gateway, pay, settings_text};
use inspay_store_postgres::cluster::Cluster;

async fn chain() -> Devchain {
    let options = AnvilOptions { slots_in_an_epoch: 32, ..AnvilOptions::default() };
    Devchain::start(options).await.expect("the chain starts")
}

async fn reorganised_while_down(gateway: &mut Gateway, chain: &Devchain) {
    let kept = gateway.order("alice", "USDT").await;
    let lost = gateway.order("bob", "USDT").await;
    let kept_payment = pay(chain, &kept, chain.buyer(0)).await;
    pay(chain, &lost, chain.buyer(1)).await;
    chain.mine(1).await.expect("mines");
    gateway.wait_for(&kept, "paid").await;
    gateway.wait_for(&lost, "paid").await;
    gateway.kill().await;
    // Alice's payment ends up in a later block; Bob's is gone.
    chain.reorg(3, vec![Replay::same(kept_payment, 2)]).await.expect("reorganises");
    chain.mine(2).await.expect("mines");
    gateway.resume().await;
    gateway.wait_for(&lost, "open").await;
    gateway.wait_for(&kept, "paid").await;
    assert_eq!(gateway.available("alice").await, "100.000000");
    assert_eq!(gateway.available("bob").await, "0.000000");
    gateway.must_reconcile().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorg_across_a_restart_is_followed_on_sqlite() {
    let chain = chain().await;
    let settings = settings_text(chain.deployment(), ChainText::default());
    let mut gateway = Gateway::start(&settings, None).await;
    reorganised_while_down(&mut gateway, &chain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorg_across_a_restart_is_followed_on_postgres() {
    let chain = chain().await;
    let cluster = Cluster::start().await.expect("PostgreSQL starts");
    let url = cluster.empty_database().await.expect("a database");
    let settings = settings_text(chain.deployment(), ChainText::default());
    let mut gateway = Gateway::start(&settings, Some(url)).await;
    reorganised_while_down(&mut gateway, &chain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn payments_made_while_down_are_found() {
    let chain = chain().await;
    let settings = settings_text(chain.deployment(), ChainText::default());
    let mut gateway = Gateway::start(&settings, None).await;
    let order = gateway.order("alice", "INSPI").await;
    gateway.kill().await;
    pay(&chain, &order, chain.buyer(0)).await;
    // Far enough that the way back leads through finalized ranges.
    chain.mine(300).await.expect("mines");
    gateway.resume().await;
    gateway.wait_for(&order, "paid").await;
    gateway.must_reconcile().await;
}
