//! Paying, as the application sees it.

use inspay_devchain::{AnvilOptions, Devchain, Replay};
use inspay_it::{ChainText, Gateway, order_path, pay, settings_text};
use inspay_primitives::U256;
use serde_json::Value;

async fn chain() -> Devchain {
    let options = AnvilOptions { slots_in_an_epoch: 32, ..AnvilOptions::default() };
    Devchain::start(options).await.expect("the chain starts")
}

async fn open(chain: &Devchain) -> Gateway {
    Gateway::start(&settings_text(chain.deployment(), ChainText::default()), None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_credited_before_its_confirmations() {
    let chain = chain().await;
    let mut gateway = open(&chain).await;
    let order = gateway.order("alice", "USDT").await;
    pay(&chain, &order, chain.buyer(0)).await;
    let seen =
        gateway.wait(&order_path(&order), |seen| seen["transfers"][0]["confirmations"] == 1).await;
    assert_eq!(seen["state"], "open");
    assert_eq!(seen["transfers"][0]["state"], "pending");
    assert_eq!(gateway.available("alice").await, "0.000000");
    chain.mine(1).await.expect("mines");
    gateway.wait_for(&order, "paid").await;
    assert_eq!(gateway.available("alice").await, "100.000000");
    gateway.must_reconcile().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_tell_the_story_in_sequence() {
    let chain = chain().await;
    let mut gateway = open(&chain).await;
    let order = gateway.order("alice", "INSPI").await;
    let payment = pay(&chain, &order, chain.buyer(0)).await;
    let raw = chain.raw_transaction(payment).await.expect("the payment");
    chain.mine(1).await.expect("mines");
    gateway.wait_for(&order, "paid").await;
    chain.reorg(2, Vec::new()).await.expect("reorganises");
    gateway.wait_for(&order, "open").await;
    chain.remine(&raw).await.expect("mines it again");
    chain.mine(1).await.expect("mines");
    gateway.wait_for(&order, "paid").await;
    let (_, events) = gateway.get("/v1/events?after=0").await;
    let told: Vec<(i64, String)> = events["items"]
        .as_array()
        .expect("events")
        .iter()
        .map(|event| {
            let seq = event["seq"].as_i64().expect("a sequence");
            (seq, event["type"].as_str().unwrap_or_default().to_owned())
        })
        .collect();
    let expected = ["order.paid", "order.reversed", "order.paid"];
    let expected: Vec<(i64, String)> =
        (1..).zip(expected).map(|(seq, kind)| (seq, kind.to_owned())).collect();
    assert_eq!(told, expected);
    gateway.must_reconcile().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fee_on_transfer_credits_what_arrived() {
    let chain = chain().await;
    let mut gateway = open(&chain).await;
    let place = chain.deployment();
    let fee = inspay_devchain::TetherToken::setParamsCall {
        newBasisPoints: U256::from(10),
        newMaxFee: U256::from(10),
    };
    chain.call_contract(place.deployer, place.usdt, &fee).await.expect("the fee is on");
    let order = gateway.order("alice", "USDT").await;
    pay(&chain, &order, chain.buyer(0)).await;
    chain.mine(1).await.expect("mines");
    let short = gateway.wait_for(&order, "partially_paid").await;
    let units = |value: &Value| -> u64 {
        value["base_units"].as_str().and_then(|text| text.parse().ok()).expect("an amount")
    };
    let due = units(&short["due"]);
    assert_eq!(units(&short["received"]), due - due / 1_000);
    gateway.must_reconcile().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_is_booked_and_the_books_still_equal_the_chain() {
    let chain = chain().await;
    let place = chain.deployment();
    // The local treasury has no key. One of the dev accounts can pay out.
    let treasury = chain.buyer(9);
    let settings = settings_text(place, ChainText::default())
        .replace(&place.treasury.to_string(), &treasury.to_string());
    let mut gateway = Gateway::start(&settings, None).await;
    let order = gateway.order("alice", "USDT").await;
    pay(&chain, &order, chain.buyer(0)).await;
    chain.mine(1).await.expect("mines");
    gateway.wait_for(&order, "paid").await;
    let paid_out = U256::from(1_000_000);
    chain.transfer(place.usdt, treasury, place.deployer, paid_out, None).await.expect("pays out");
    chain.mine(1).await.expect("mines");
    gateway
        .wait("/v1/transfers", |seen| {
            seen["items"]
                .as_array()
                .is_some_and(|items| items.iter().any(|transfer| transfer["state"] == "withdrawn"))
        })
        .await;
    gateway.must_reconcile().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorg_of_empty_blocks_only_changes_nothing() {
    let chain = chain().await;
    let mut gateway = open(&chain).await;
    let order = gateway.order("alice", "USDT").await;
    pay(&chain, &order, chain.buyer(0)).await;
    chain.mine(3).await.expect("mines");
    gateway.wait_for(&order, "paid").await;
    chain.reorg(3, Vec::new()).await.expect("reorganises");
    chain.mine(1).await.expect("mines");
    let second = gateway.order("bob", "USDT").await;
    pay(&chain, &second, chain.buyer(1)).await;
    chain.mine(1).await.expect("mines");
    let paid = gateway.wait_for(&second, "paid").await;
    assert_eq!(paid["transfers"][0]["reversals"], 0);
    let (_, first) = gateway.get(&order_path(&order)).await;
    assert_eq!(first["transfers"][0]["reversals"], 0);
    gateway.must_reconcile().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_moves_after_it_was_settled_is_neither_doubled_nor_lost() {
    let chain = chain().await;
    let mut gateway = open(&chain).await;
    let order = gateway.order("alice", "USDT").await;
    let payment = pay(&chain, &order, chain.buyer(0)).await;
    chain.mine(1).await.expect("mines");
    gateway.wait_for(&order, "paid").await;
    let before = chain.mined(payment).await.expect("mined").block_number;
    chain.reorg(2, vec![Replay::same(payment, 1)]).await.expect("reorganises");
    chain.mine(2).await.expect("mines");
    let path = order_path(&order);
    let after = gateway
        .wait(&path, |seen| seen["state"] == "paid" && seen["transfers"][0]["reversals"] == 1)
        .await;
    // Its new block's confirmations count anew: it is taken back, and settled again once deep enough.
    assert_ne!(after["transfers"][0]["block"]["number"].as_u64(), before);
    assert_eq!(after["credited"], "100.000000");
    assert_eq!(gateway.available("alice").await, "100.000000");
    gateway.must_reconcile().await;
}
