//! Claims, and what a buyer is told of a payment.

use alloy::signers::local::PrivateKeySigner;
use inspay_primitives::{Timestamp, Transfer, U256};
use serde_json::{Value, json};

use crate::house::{CHAIN, House, USDT, payment, read};

fn key() -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&[7; 32].into()).expect("a key")
}

/// A payment of so much by the wallet of [`key`].
fn by_wallet(base_units: U256, tx: u8) -> Transfer {
    Transfer { counterparty: key().address(), ..payment(USDT, base_units, tx) }
}

impl House {
    async fn find(&self, account: &str, paid: &Transfer) -> Value {
        let hash = paid.key.tx_hash;
        let path = format!("/v1/payments/{hash}?account={account}");
        self.get(&self.keys.application, &path).await.good()
    }

    async fn claim(&self, api_key: &str, order: &Value, tx_hash: &str) -> crate::house::Answer {
        let id = order["id"].as_str().expect("an id");
        let path = format!("/v1/orders/{id}/claims");
        self.post(api_key, &path, &json!({ "tx_hash": tx_hash })).await
    }
}

fn state(found: &Value) -> (&str, &str) {
    let [payment] = &found["items"].as_array().expect("items")[..] else { panic!("{found}") };
    (payment["state"].as_str().expect("a state"), payment["needs"].as_str().expect("a text"))
}

#[tokio::test]
async fn a_payment_is_found_from_nowhere_to_credited() {
    let house = House::new().await;
    let order = house.order("alice", "USDT").await;
    house.order("bob", "USDT").await;
    let due: U256 = read(&order["due"]["base_units"]);
    let paid = payment(USDT, due, 1);
    let nothing = house.find("alice", &paid).await;
    assert_eq!((&nothing["seen"], &nothing["items"]), (&json!(false), &json!([])));
    assert!(nothing["needs"].as_str().expect("a text").contains("another address"));

    house.mine(vec![paid]).await;
    let found = house.find("alice", &paid).await;
    assert_eq!(found["seen"], json!(true));
    let (told, needs) = state(&found);
    assert_eq!(told, "confirming");
    assert!(needs.contains("It has 1 of "), "{needs}");

    house.attribute(&paid, &order).await;
    let found = house.find("alice", &paid).await;
    assert_eq!(state(&found).0, "credited");
    assert_eq!(
        (&found["items"][0]["order"], &found["items"][0]["credits"]),
        (&order["id"], &order["credits"])
    );
    // Bob learns that it is not his, and no more.
    let of_bob = house.find("bob", &paid).await;
    assert_eq!(state(&of_bob).0, "elsewhere");
    assert!(of_bob["items"][0]["order"].is_null() && of_bob["items"][0]["credits"].is_null());
}

#[tokio::test]
async fn a_payment_without_evidence_says_what_it_needs() {
    let house = House::new().await;
    house.order("alice", "USDT").await;
    let paid = payment(USDT, U256::from(1_234_567), 1);
    house.mine(vec![paid]).await;
    house.suspend(&paid).await;
    let found = house.find("alice", &paid).await;
    let (told, needs) = state(&found);
    assert_eq!(told, "unmatched");
    assert!(needs.contains("Prove the wallet"), "{needs}");
}

#[tokio::test]
async fn a_proven_wallet_shows_what_it_paid() {
    let house = House::new().await;
    let order = house.order("alice", "USDT").await;
    let (own, odd) = (by_wallet(read(&order["due"]["base_units"]), 1), by_wallet(U256::from(7), 2));
    house.mine(vec![own, odd, payment(USDT, U256::from(9), 3)]).await;
    house.attribute(&own, &order).await;
    house.suspend(&odd).await;
    let path = format!("/v1/accounts/alice/wallets/{CHAIN}/{}/payments", key().address());
    let alice = &house.keys.alice;
    assert_eq!(house.get(alice, &path).await.problem(), (404, "wallet_not_found".to_owned()));
    house.prove("alice", &key()).await.good();
    let page = house.get(alice, &format!("{path}?limit=1")).await.good();
    assert_eq!(
        (page["items"].as_array().expect("items").len(), &page["items"][0]["state"]),
        (1, &json!("unmatched"))
    );
    let next = page["next"].as_str().expect("a next page");
    let page = house.get(alice, &format!("{path}?limit=1&after={next}")).await.good();
    assert_eq!((&page["items"][0]["state"], &page["next"]), (&json!("credited"), &Value::Null));
    assert_eq!(house.get(&house.keys.bob, &path).await.problem().0, 404);
}

#[tokio::test]
async fn a_claim_is_kept_once_and_for_ones_own_order() {
    let house = House::new().await;
    let order = house.order("alice", "USDT").await;
    let hash = format!("0x{}", "ab".repeat(32));
    let (alice, bob) = (&house.keys.alice, &house.keys.bob);
    let kept = house.claim(alice, &order, &hash).await.good();
    let again = house.claim(alice, &order, &hash).await.good();
    assert_eq!((&kept, kept["items"][0]["tx_hash"].as_str()), (&again, Some(&*hash)));
    let claimed_at: Timestamp = read(&kept["items"][0]["claimed_at"]);
    assert_eq!(claimed_at, crate::house::start());
    let (status, _) = house.claim(bob, &order, &hash).await.problem();
    assert_eq!(status, 404, "bob does not learn that there is such an order");
    for hash in ["", "0x12", "ab"] {
        let told = house.claim(alice, &order, hash).await.problem();
        assert_eq!(told, (422, "body_invalid".to_owned()), "{hash}");
    }
    let told = house.get(alice, "/v1/payments/0x12?account=alice").await.problem();
    assert_eq!(told.1, "path_invalid");
}

#[tokio::test]
async fn a_large_payment_says_whose_word_it_waits_for() {
    let house = House::new().await;
    let sizes = [(1_000_000_000_u64, 1), (1_000_000_001, 2)];
    for (base_units, endpoints) in sizes {
        let paid = payment(USDT, U256::from(base_units), endpoints);
        house.mine(vec![paid]).await;
        let path = format!("/v1/transfers/{}", paid.key.id());
        let young = house.get(&house.keys.operator, &path).await.good();
        assert_eq!(young["confirmations_wanted"]["endpoints"], endpoints, "{young}");
        assert_eq!(young["why"]["reason"], Value::Null, "{young}");
        let wanted = young["confirmations_wanted"]["count"].as_u64().expect("a count");
        for _ in 1..wanted {
            house.mine(Vec::new()).await;
        }
        let deep = house.get(&house.keys.operator, &path).await.good();
        let expected = if endpoints == 1 { Value::Null } else { json!("endpoints_must_agree") };
        assert_eq!(deep["why"]["reason"], expected, "{deep}");
    }
}
