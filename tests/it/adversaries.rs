//! Those who want what is not theirs. Whatever they send or say, nobody's money moves to somebody else.

use alloy::sol_types::SolCall as _;
use inspay_devchain::{AnvilOptions, Devchain, FakeToken, Multisend, TetherToken};
use inspay_it::{ChainText, Gateway, PATIENCE, due, order_path, pay, reference, settings_text};
use inspay_primitives::{Address, B256, U256};
use serde_json::{Value, json};
use tokio::time::Instant;

const CREDITS: &str = "100.000000";
const NOTHING: &str = "0.000000";

const UNPAID_ORDERS_MAX: usize = 20;

async fn open() -> (Devchain, Gateway) {
    let options = AnvilOptions { slots_in_an_epoch: 32, ..AnvilOptions::default() };
    let chain = Devchain::start(options).await.expect("the chain starts");
    let chains = settings_text(chain.deployment(), ChainText::default());
    let settings = format!("[sale]\nunpaid_orders_max = {UNPAID_ORDERS_MAX}\n{chains}");
    let gateway = Gateway::start(&settings, None).await;
    (chain, gateway)
}

/// The transfers of a chain transaction, once all of them are in `state`.
async fn transfers_in(gateway: &Gateway, tx_hash: B256, state: &str) -> Vec<Value> {
    let path = format!("/v1/transfers?tx_hash={tx_hash}");
    let is_there = |seen: &Value| {
        seen["items"].as_array().is_some_and(|items| {
            !items.is_empty() && items.iter().all(|transfer| transfer["state"] == state)
        })
    };
    let seen = gateway.wait(&path, is_there).await;
    seen["items"].as_array().cloned().unwrap_or_default()
}

/// Pays so many base units of USDT to the treasury, without a word.
async fn pay_plain(chain: &Devchain, from: Address, base_units: U256) -> B256 {
    let place = chain.deployment();
    let paid = chain.transfer(place.usdt, from, place.treasury, base_units, None).await;
    chain.mine(1).await.expect("mines");
    paid.expect("mined")
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_opens_many_orders_catches_no_round_amount() {
    let (chain, mut gateway) = open().await;
    let cent = U256::from(10_000);
    let mut amounts = Vec::new();
    for _ in 0..UNPAID_ORDERS_MAX {
        let order = gateway.order("mallory", "USDT").await;
        assert_eq!(order["exact_amount_lane"], true, "{order}");
        amounts.push(due(&order));
    }
    for amount in &amounts {
        assert!(!(*amount % cent).is_zero(), "{amount} is a round amount");
    }
    amounts.sort_unstable();
    amounts.dedup();
    assert_eq!(amounts.len(), UNPAID_ORDERS_MAX, "two orders own one amount");
    let (_, quote) = gateway.post("/v1/quotes", &json!({ "pack": "starter" })).await;
    let wish = json!({ "quote": quote["id"], "asset": "USDT", "account": "mallory" });
    let (status, problem) = gateway.post("/v1/orders", &wish).await;
    assert_eq!((status.as_u16(), &problem["code"]), (409, &"too_many_unpaid_orders".into()));
    // What a stranger would type by himself: the whole cents around all of those orders.
    let nearest = amounts[0] - amounts[0] % cent;
    for round in [nearest, nearest + cent] {
        let stray = pay_plain(&chain, chain.buyer(1), round).await;
        let seen = transfers_in(&gateway, stray, "suspended").await;
        assert_eq!(seen[0]["why"]["reason"], "no_evidence", "{}", seen[0]);
        assert_eq!(seen[0]["order"], Value::Null);
    }
    assert_eq!(gateway.available("mallory").await, NOTHING);
    gateway.must_reconcile().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_knows_the_hash_of_a_payment_gains_nothing_by_it() {
    let (chain, mut gateway) = open().await;
    let aims = gateway.order("alice", "USDT").await;
    let wants = gateway.order("mallory", "USDT").await;
    let payment = pay(&chain, &aims, chain.buyer(0)).await;
    let mallorys = gateway.make_key("mallory", "account:mallory").await;
    let operators = gateway.use_key(mallorys);
    // Handing in its hash ties it to nothing, and tells nothing of another's payment.
    let claim = json!({ "tx_hash": payment });
    let (status, _) = gateway.post(&format!("{}/claims", order_path(&wants)), &claim).await;
    assert_eq!(status.as_u16(), 201);
    let (status, _) = gateway.post(&format!("{}/claims", order_path(&aims)), &claim).await;
    assert_eq!(status.as_u16(), 404);
    let (_, seen) = gateway.get(&format!("/v1/transfers?tx_hash={payment}")).await;
    assert_eq!(seen["items"].as_array().map(Vec::len), Some(0), "{seen}");
    let (status, _) = gateway.get(&order_path(&aims)).await;
    assert_eq!(status.as_u16(), 404);
    gateway.use_key(operators);
    chain.mine(1).await.expect("mines");
    gateway.wait_for(&aims, "paid").await;
    assert_eq!(gateway.available("alice").await, CREDITS);
    assert_eq!(gateway.available("mallory").await, NOTHING);
    gateway.must_reconcile().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_that_was_only_declared_proves_nothing() {
    let (chain, mut gateway) = open().await;
    let victim = chain.buyer(0);
    let wish = json!({ "pack": "starter", "payer": victim });
    let (_, quote) = gateway.post("/v1/quotes", &wish).await;
    let wish = json!({ "quote": quote["id"], "asset": "USDT", "account": "mallory" });
    let (status, order) = gateway.post("/v1/orders", &wish).await;
    assert!(status.is_success(), "{order}");
    // The victim's wallet pays the plain price, and one base unit less than Mallory's order asks for.
    for base_units in [U256::from(9_990_000), due(&order) - U256::ONE] {
        let payment = pay_plain(&chain, victim, base_units).await;
        let seen = transfers_in(&gateway, payment, "suspended").await;
        assert_eq!(seen[0]["why"]["reason"], "no_evidence", "{}", seen[0]);
    }
    assert_eq!(gateway.available("mallory").await, NOTHING);
    gateway.must_reconcile().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_of_nothing_in_anothers_name_is_recorded_and_moves_nothing() {
    let (chain, mut gateway) = open().await;
    let place = chain.deployment();
    let order = gateway.order("alice", "USDT").await;
    // USDT lets anybody move nothing out of anybody's wallet. This one even names the order.
    let poison = TetherToken::transferFromCall {
        from: chain.buyer(0),
        to: place.treasury,
        value: U256::ZERO,
    };
    let mut calldata = poison.abi_encode();
    calldata.extend(reference(&order).bytes());
    let poison = chain.send_call(place.stranger, place.usdt, calldata).await.expect("mined");
    chain.mine(1).await.expect("mines");
    let seen = transfers_in(&gateway, poison, "ignored").await;
    assert_eq!(seen[0]["why"]["reason"], "zero_value");
    assert_eq!(seen[0]["entry"], Value::Null);
    let (_, untouched) = gateway.get(&order_path(&order)).await;
    assert_eq!(untouched["state"], "open");
    pay(&chain, &order, chain.buyer(0)).await;
    chain.mine(1).await.expect("mines");
    gateway.wait_for(&order, "paid").await;
    gateway.must_reconcile().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_are_not_listed_are_never_credited_whatever_they_log_or_call_themselves() {
    let (chain, mut gateway) = open().await;
    let place = chain.deployment();
    let order = gateway.order("alice", "USDT").await;
    let forge =
        FakeToken::forgeCall { from: chain.buyer(0), to: place.treasury, value: due(&order) };
    let mut calldata = forge.abi_encode();
    calldata.extend(reference(&order).bytes());
    let forged = chain.send_call(place.stranger, place.fake_usdt, calldata).await.expect("mined");
    let look_alike = chain.pay_with_fake(place.stranger, due(&order)).await.expect("mined");
    chain.mine(1).await.expect("mines");
    // The honest one came last: once it is settled, all before it were seen.
    let honest = gateway.order("bob", "USDT").await;
    pay(&chain, &honest, chain.buyer(1)).await;
    chain.mine(1).await.expect("mines");
    gateway.wait_for(&honest, "paid").await;
    for tx_hash in [forged, look_alike] {
        let (_, seen) = gateway.get(&format!("/v1/transfers?tx_hash={tx_hash}")).await;
        assert_eq!(seen["items"].as_array().map(Vec::len), Some(0), "{seen}");
    }
    assert_eq!(gateway.available("alice").await, NOTHING);
    gateway.must_reconcile().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_token_that_logs_what_it_does_not_move_is_not_credited() {
    let options = AnvilOptions { slots_in_an_epoch: 32, ..AnvilOptions::default() };
    let chain = Devchain::start(options).await.expect("the chain starts");
    let place = chain.deployment();
    let forge = FakeToken::forgeCall {
        from: chain.buyer(0),
        to: place.treasury,
        value: U256::from(50_000_000),
    };
    chain.call_contract(place.stranger, place.fake_usdt, &forge).await.expect("mined");
    // Somebody lists the look-alike in the real one's place.
    let settings = settings_text(place, ChainText::default())
        .replace(&place.usdt.to_string(), &place.fake_usdt.to_string());
    let mut gateway = Gateway::start(&settings, None).await;
    let said = gateway
        .wait("/readyz", |seen| seen.to_string().contains("books_differ_from_chain"))
        .await
        .to_string();
    assert!(said.contains("USDT") && said.contains("-50000000"), "{said}");
    // Nothing is sold in it, and what is forged is credited to nobody.
    let (_, quote) = gateway.post("/v1/quotes", &json!({ "credits": "100" })).await;
    let wish = json!({ "quote": quote["id"], "asset": "USDT", "account": "mallory" });
    let (status, refused) = gateway.post("/v1/orders", &wish).await;
    assert_eq!((status.as_u16(), &refused["code"]), (409, &json!("asset_halted")), "{refused}");
    let order = gateway.order("mallory", "INSPI").await;
    let mut calldata = forge.abi_encode();
    calldata.extend(reference(&order).bytes());
    let forged = chain.send_call(place.stranger, place.fake_usdt, calldata).await.expect("mined");
    chain.mine(8).await.expect("mines");
    let path = format!("/v1/transfers?tx_hash={forged}");
    let seen = gateway
        .wait(&path, |seen| seen["items"][0]["confirmations"].as_u64().is_some_and(|deep| deep > 8))
        .await;
    assert_eq!(seen["items"][0]["state"], "pending", "{seen}");
    assert_eq!(gateway.available("mallory").await, NOTHING);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_that_names_a_reference_does_not_take_what_others_pay_in_it() {
    let (chain, mut gateway) = open().await;
    let place = chain.deployment();
    let alices = gateway.order("alice", "USDT").await;
    let bobs = gateway.order("bob", "USDT").await;
    let mallorys = gateway.order("mallory", "USDT").await;
    let payments: Vec<Multisend::Payment> = [&alices, &bobs]
        .into_iter()
        .map(|order| Multisend::Payment {
            token: place.usdt,
            to: place.treasury,
            value: due(order),
        })
        .collect();
    chain
        .approve(place.usdt, chain.buyer(0), place.multisend, U256::MAX)
        .await
        .expect("the bundler may pay");
    let mut calldata = Multisend::payCall { payments }.abi_encode();
    calldata.extend(reference(&mallorys).bytes());
    let bundle = chain.send_call(chain.buyer(0), place.multisend, calldata).await.expect("mined");
    chain.mine(1).await.expect("mines");
    gateway.wait_for(&alices, "paid").await;
    gateway.wait_for(&bobs, "paid").await;
    for transfer in transfers_in(&gateway, bundle, "attributed").await {
        assert_eq!(transfer["why"]["evidence"], "exact_amount", "{transfer}");
    }
    let (_, untouched) = gateway.get(&order_path(&mallorys)).await;
    assert_eq!(untouched["state"], "open");
    assert_eq!(gateway.available("mallory").await, NOTHING);
    gateway.must_reconcile().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_that_is_used_again_pays_its_own_account_and_nobody_elses() {
    let (chain, mut gateway) = open().await;
    let alices = gateway.order("alice", "USDT").await;
    let mallorys = gateway.order("mallory", "USDT").await;
    pay(&chain, &alices, chain.buyer(0)).await;
    chain.mine(1).await.expect("mines");
    gateway.wait_for(&alices, "paid").await;
    // Mallory pays what his own order asks for, naming Alice's paid one.
    let place = chain.deployment();
    let named = Some(reference(&alices));
    let again = chain
        .transfer(place.usdt, chain.buyer(1), place.treasury, due(&mallorys), named)
        .await
        .expect("mined");
    chain.mine(1).await.expect("mines");
    let seen = transfers_in(&gateway, again, "attributed").await;
    assert_eq!(seen[0]["order"], alices["id"], "{}", seen[0]);
    assert_eq!(seen[0]["why"]["evidence"], "reference");
    let (_, untouched) = gateway.get(&order_path(&mallorys)).await;
    assert_eq!(untouched["state"], "open");
    assert_eq!(gateway.available("mallory").await, NOTHING);
    let available = gateway.available("alice").await;
    assert_ne!(available, CREDITS, "what was paid over is the account's own");
    gateway.must_reconcile().await;
}

/// The most memory that a process ever had, in megabytes.
fn peak_megabytes(process_id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process_id}/status")).expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    let kilobytes = line.split_whitespace().nth(1).and_then(|text| text.parse::<u64>().ok());
    kilobytes.expect("a number") / 1_024
}

/// Ten thousand and what no chain transaction of five hundred may leave for the next block.
const DUST: u64 = 10_500;
const DUST_MEGABYTES_MAX: u64 = 400;

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_transfers_of_dust_in_a_block_do_not_hide_the_payment_among_them() {
    let (chain, mut gateway) = open().await;
    let place = chain.deployment();
    let order = gateway.order("alice", "USDT").await;
    chain.set_automine(false).await.expect("mining on demand");
    let honest = pay(&chain, &order, chain.buyer(0)).await;
    let started = Instant::now();
    let dust = chain.bulk_transfers(place.usdt, DUST, 1).await.expect("mined");
    let block = chain.mined(honest).await.expect("mined").block_number.expect("a block");
    assert_eq!(block, dust.first_block);
    chain.mine(2).await.expect("mines");
    gateway.wait_for(&order, "paid").await;
    gateway.wait("/v1/transfers?limit=1", |seen| seen["items"][0]["state"] == "suspended").await;
    assert!(started.elapsed() < PATIENCE, "it took {:?}", started.elapsed());
    let recorded = gateway.all("/v1/transfers").await;
    let mut ids: Vec<&str> = recorded.iter().filter_map(|seen| seen["id"].as_str()).collect();
    let in_its_block = recorded.iter().filter(|seen| seen["block"]["number"] == block).count();
    assert!(in_its_block > 10_000, "only {in_its_block} in the block of the payment");
    assert_eq!(u64::try_from(ids.len()), Ok(DUST + 1));
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(u64::try_from(ids.len()), Ok(DUST + 1), "one was recorded twice");
    assert_eq!(gateway.available("alice").await, CREDITS);
    let peak = peak_megabytes(gateway.process_id().expect("it runs"));
    assert!(peak < DUST_MEGABYTES_MAX, "{peak} MB");
    gateway.must_reconcile().await;
}
