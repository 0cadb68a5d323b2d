//! Wallets that are proven on a real chain, and what they paid.

use inspay_devchain::{AnvilOptions, Devchain};
use inspay_it::{ChainText, Gateway, due, order_path, said, settings_text};
use inspay_primitives::{Address, B256, U256};
use inspay_store_postgres::cluster::Cluster;
use serde_json::{Value, json};

const CREDITS: &str = "100.000000";

async fn open(database_url: Option<String>) -> (Devchain, Gateway) {
    let options = AnvilOptions { slots_in_an_epoch: 32, ..AnvilOptions::default() };
    let chain = Devchain::start(options).await.expect("the chain starts");
    let settings = settings_text(chain.deployment(), ChainText::default());
    let gateway = Gateway::start(&settings, database_url).await;
    (chain, gateway)
}

/// The message of a challenge, and what `signer` makes of it.
async fn signed(
    (chain, gateway): (&Devchain, &mut Gateway),
    account: &str,
    (wallet, signer): (Address, Address),
) -> Value {
    let chain_id = ChainText::default().id;
    let wish = json!({ "account": account, "wallet": wallet, "chain_id": chain_id });
    let (status, challenge) = gateway.post("/v1/wallets/challenge", &wish).await;
    assert!(status.is_success(), "{challenge}");
    let message = challenge["message"].as_str().expect("a message");
    let signature = chain.sign_message(signer, message).await.expect("signs");
    json!({ "message": message, "signature": signature })
}

/// The only payment of a chain transaction, once it is in `state`.
async fn found(gateway: &Gateway, account: &str, tx_hash: B256, state: &str) -> Value {
    let path = format!("/v1/payments/{tx_hash}?account={account}");
    let seen = gateway.wait(&path, |seen| seen["items"][0]["state"] == state).await;
    seen["items"][0].clone()
}

/// An odd part of what an order wants, from a wallet that is not known.
async fn pays_from_an_unknown_wallet(database_url: Option<String>) {
    let (chain, mut gateway) = open(database_url).await;
    let place = chain.deployment();
    let order = gateway.order("alice", "USDT").await;
    let payer = chain.buyer(0);
    let part = due(&order) - U256::from(1_000_003);
    let unseen = format!("/v1/payments/{}?account=alice", B256::repeat_byte(1));
    assert_eq!(gateway.get(&unseen).await.1["seen"], false);
    let sent = chain.transfer(place.usdt, payer, place.treasury, part, None).await.expect("mined");
    let waiting = found(&gateway, "alice", sent, "confirming").await;
    assert_eq!(waiting["needs"], "It has 1 of 2 confirmations; nothing needs to be done.");
    chain.mine(1).await.expect("mines");
    let lost = found(&gateway, "alice", sent, "unmatched").await;
    assert!(lost["needs"].as_str().expect("a text").contains("Prove the wallet"), "{lost}");

    let wish = signed((&chain, &mut gateway), "alice", (payer, payer)).await;
    let (status, wallet) = gateway.post("/v1/wallets/verify", &wish).await;
    assert_eq!((status.as_u16(), &wallet["proof"]), (200, &json!("key")), "{wallet}");
    let credited = found(&gateway, "alice", sent, "credited").await;
    assert_eq!(credited["order"], order["id"]);
    gateway.wait_for(&order, "partially_paid").await;
    // The rest is tied to the order by the wallet alone, too.
    let rest = chain.transfer(place.usdt, payer, place.treasury, U256::from(1_000_003), None).await;
    chain.mine(1).await.expect("mines");
    gateway.wait_for(&order, "paid").await;
    found(&gateway, "alice", rest.expect("mined"), "credited").await;
    assert_eq!(gateway.available("alice").await, CREDITS);
    let chain_id = ChainText::default().id;
    let path = format!("/v1/accounts/alice/wallets/{chain_id}/{payer}/payments");
    assert_eq!(gateway.all(&path).await.len(), 2);
    let told = gateway.command(&["find", &sent.to_string()]).await;
    let text = String::from_utf8_lossy(&told.stdout);
    assert!(text.contains("alice") && text.contains("proven_payer"), "{text}{}", said(&told));
    gateway.must_reconcile().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_is_found_by_the_signature_of_its_wallet_on_sqlite() {
    pays_from_an_unknown_wallet(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_is_found_by_the_signature_of_its_wallet_on_postgres() {
    let cluster = Cluster::start().await.expect("PostgreSQL starts");
    let url = cluster.empty_database().await.expect("a database");
    pays_from_an_unknown_wallet(Some(url)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contract_wallet_signs_by_its_owner_and_by_nobody_else() {
    let (chain, mut gateway) = open(None).await;
    let place = chain.deployment().clone();
    let (owner, thief) = (chain.buyer(0), chain.buyer(1));
    let wallet = chain.contract_wallet(owner).await.expect("is deployed");
    let order = gateway.order("alice", "USDT").await;
    let (part, fund) = (U256::from(2_000_001), U256::from(20_000_000));
    chain.transfer(place.usdt, owner, wallet, fund, None).await.expect("mined");
    let ours = (wallet, owner);
    let sent = chain.pay_from_wallet(ours, place.usdt, place.treasury, part).await.expect("mined");
    chain.mine(1).await.expect("mines");
    found(&gateway, "alice", sent, "unmatched").await;

    let theft = signed((&chain, &mut gateway), "mallory", (wallet, thief)).await;
    let (status, problem) = gateway.post("/v1/wallets/verify", &theft).await;
    assert_eq!((status.as_u16(), &problem["code"]), (422, &json!("signature_refused")));
    // What is no signature at all makes the wallet revert.
    let broken = json!({ "message": theft["message"], "signature": "0x1234" });
    let (status, problem) = gateway.post("/v1/wallets/verify", &broken).await;
    assert_eq!((status.as_u16(), &problem["code"]), (422, &json!("signature_refused")));

    let wish = signed((&chain, &mut gateway), "alice", ours).await;
    let (status, proven) = gateway.post("/v1/wallets/verify", &wish).await;
    assert_eq!((status.as_u16(), &proven["proof"]), (200, &json!("contract")), "{proven}");
    found(&gateway, "alice", sent, "credited").await;
    gateway.wait_for(&order, "partially_paid").await;
    assert_eq!(gateway.available("mallory").await, Value::Null);
    gateway.must_reconcile().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchanges_payment_that_is_claimed_becomes_a_case() {
    let (chain, mut gateway) = open(None).await;
    let place = chain.deployment();
    let order = gateway.order("alice", "USDT").await;
    let payments = [(place.treasury, U256::from(3_000_001))];
    let sent = chain.multisend_held(place.stranger, place.usdt, &payments).await.expect("mined");
    chain.mine(1).await.expect("mines");
    let lost = found(&gateway, "alice", sent, "unmatched").await;
    let path = format!("{}/claims", order_path(&order));
    let (status, claims) = gateway.post(&path, &json!({ "tx_hash": sent })).await;
    assert_eq!(status.as_u16(), 201, "{claims}");
    let cases = gateway.wait("/v1/cases?kind=suspense", |seen| seen["items"][0].is_object()).await;
    let case = &cases["items"][0];
    assert_eq!((&case["subject"], &case["resolved_at"]), (&lost["transfer"], &Value::Null));
    assert_eq!(case["facts"]["orders"], json!([order["id"]]));
    assert_eq!(found(&gateway, "alice", sent, "unmatched").await, lost);
    gateway.must_reconcile().await;
}

/// Each moment between a wallet's proof and the note that its free plan is granted.
const BEFORE_THE_NOTE: [&str; 3] =
    ["link_wallet:after:1", "note_free_plans:before:1", "note_free_plans:after:1"];

/// The process dies there. A world for each: what is still to be noted would pass the same points at the next start.
async fn dies_before_the_free_plan(point: &str, database_url: Option<String>) {
    let chain = Devchain::start(AnvilOptions::default()).await.expect("the chain starts");
    let settings = settings_text(chain.deployment(), ChainText::default());
    let settings = format!("[credits]\nfree_plan = {{ credits = \"20\", days = 30 }}\n{settings}");
    let mut gateway = Gateway::start(&settings, database_url).await;
    let wallet = chain.buyer(0);
    let wish = signed((&chain, &mut gateway), "newcomer", (wallet, wallet)).await;
    gateway.kill().await;
    gateway.resume_to_die(point).await;
    gateway.post_to_die("/v1/wallets/verify", &wish).await;
    gateway.resume().await;
    let path = "/v1/accounts/newcomer/balance";
    gateway.wait(path, |balance| balance["available"] == "20.000000").await;
    chain.mine(1).await.expect("mines");
    gateway.must_reconcile().await;
    assert_eq!(gateway.available("newcomer").await, "20.000000", "{point}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_free_plan_outlives_the_process_that_proved_its_wallet_on_sqlite() {
    for point in BEFORE_THE_NOTE {
        dies_before_the_free_plan(point, None).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_free_plan_outlives_the_process_that_proved_its_wallet_on_postgres() {
    let cluster = Cluster::start().await.expect("PostgreSQL starts");
    for point in BEFORE_THE_NOTE {
        let url = cluster.empty_database().await.expect("a database");
        dies_before_the_free_plan(point, Some(url)).await;
    }
}
