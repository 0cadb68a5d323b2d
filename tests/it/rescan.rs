//! The way out of a reorg below finality.

use inspay_devchain::{AnvilOptions, Devchain, Replay};
use inspay_it::{ChainText, Gateway, json_of, pay, said, settings_text};

#[tokio::test(flavor = "multi_thread")]
async fn a_reorg_below_finality_halts_until_the_chain_is_read_again() {
    let chain = Devchain::start(AnvilOptions::default()).await.expect("the chain starts");
    let settings = settings_text(chain.deployment(), ChainText::default());
    let mut gateway = Gateway::start(&settings, None).await;
    let kept = gateway.order("alice", "USDT").await;
    let lost = gateway.order("bob", "USDT").await;
    let before = chain.head().await.expect("tells").number;
    let kept_payment = pay(&chain, &kept, chain.buyer(0)).await;
    pay(&chain, &lost, chain.buyer(1)).await;
    chain.mine(6).await.expect("mines");
    gateway.wait_for(&kept, "paid").await;
    gateway.wait_for(&lost, "paid").await;
    let is_final = |ready: &serde_json::Value| {
        ready["chains"][0]["finalized"].as_u64().is_some_and(|finalized| finalized > before + 1)
    };
    gateway.wait("/readyz", is_final).await;
    let depth = chain.head().await.expect("tells").number - before;
    chain.reorg(depth, vec![Replay::same(kept_payment, 2)]).await.expect("reorganises");
    chain.mine(2).await.expect("mines");
    let is_halted = |ready: &serde_json::Value| ready.to_string().contains("reorg_below_finalized");
    gateway.wait("/readyz", is_halted).await;
    assert_eq!(gateway.available("bob").await, "100.000000", "nothing is taken back by itself");

    let from = (before + 1).to_string();
    let output = gateway.command(&["rescan", "--chain", "31337", "--from", &from, "--json"]).await;
    assert!(output.status.success(), "{}", said(&output));
    let report = json_of(&output);
    assert_eq!((&report["went_back"], &report["to"]["number"]), (&true.into(), &before.into()));
    gateway.wait_for(&lost, "open").await;
    gateway.wait_for(&kept, "paid").await;
    assert_eq!(gateway.available("bob").await, "0.000000");
    assert_eq!(gateway.available("alice").await, "100.000000");
    gateway.must_reconcile().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rescan_that_cannot_be_meant_is_refused() {
    let chain = Devchain::start(AnvilOptions::default()).await.expect("the chain starts");
    let settings = settings_text(chain.deployment(), ChainText::default());
    let gateway = Gateway::start(&settings, None).await;
    for (arguments, expected) in [
        (["rescan", "--chain", "1"].as_slice(), "names no chain"),
        (["rescan", "--chain", "31337", "--from", "999999"].as_slice(), "--from must lie between"),
        (["rescan", "--chain", "31337", "--from", "x"].as_slice(), "--from"),
    ] {
        let output = gateway.command(arguments).await;
        assert!(!output.status.success());
        assert!(said(&output).contains(expected), "{arguments:?}: {}", said(&output));
    }
}
