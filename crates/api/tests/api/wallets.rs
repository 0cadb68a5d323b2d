//! Wallets that are proven, and everything that proves none.

use alloy::{
    primitives::{Address, U256},
    signers::{Signature, SignerSync as _, local::PrivateKeySigner},
};
use axum::http::Method;
use inspay_primitives::digest_to_sign;
use serde_json::{Value, json};

use crate::house::{Answer, CHAIN, House};

/// The order of the curve of Ethereum's keys (SEC 2, secp256k1).
const CURVE_ORDER: &str = "0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";

fn key(number: u8) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&[number; 32].into()).expect("a key")
}

fn signed(key: &PrivateKeySigner, text: &str) -> String {
    let signature = key.sign_message_sync(text.as_bytes()).expect("signs");
    format!("0x{}", hex::encode(signature.as_bytes()))
}

impl House {
    async fn challenge(&self, api_key: &str, account: &str, wallet: Address) -> String {
        let wish = json!({ "account": account, "wallet": wallet, "chain_id": CHAIN.0 });
        let told = self.post(api_key, "/v1/wallets/challenge", &wish).await.good();
        told["message"].as_str().expect("a message").to_owned()
    }

    async fn verify(&self, api_key: &str, message: &str, signature: &str) -> Answer {
        let wish = json!({ "message": message, "signature": signature });
        self.post(api_key, "/v1/wallets/verify", &wish).await
    }

    /// Proves the wallet of a key: with alice's or bob's own key for them, by the application for anybody else.
    pub(crate) async fn prove(&self, account: &str, key: &PrivateKeySigner) -> Answer {
        let api_key = match account {
            "alice" => &self.keys.alice,
            "bob" => &self.keys.bob,
            _ => &self.keys.application,
        };
        let message = self.challenge(api_key, account, key.address()).await;
        self.verify(api_key, &message, &signed(key, &message)).await
    }

    async fn wallets(&self, account: &str) -> Vec<Value> {
        let path = format!("/v1/accounts/{account}/wallets");
        let listed = self.get(&self.keys.application, &path).await.good();
        listed["items"].as_array().expect("items").clone()
    }
}

fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.problem(), (status, code.to_owned()), "{}", answer.text);
}

#[tokio::test]
async fn a_wallet_is_proven_by_its_key_and_let_go_of() {
    let house = House::new().await;
    let proven = house.prove("alice", &key(7)).await.good();
    assert_eq!(proven["wallet"], key(7).address().to_string());
    assert_eq!((&proven["account"], &proven["proof"]), (&json!("alice"), &json!("key")));
    assert_eq!(house.wallets("alice").await, std::slice::from_ref(&proven));
    // Proven once more, it is the same.
    assert_eq!(house.prove("alice", &key(7)).await.good(), proven);
    let path = format!("/v1/accounts/alice/wallets/{CHAIN}/{}", key(7).address());
    house.call(Method::DELETE, &house.keys.alice, &path, &json!({})).await.good();
    let again = house.call(Method::DELETE, &house.keys.alice, &path, &json!({})).await;
    refused(&again, 404, "wallet_not_found");
    assert!(house.wallets("alice").await[0]["unlinked_at"].is_string());
    // Now it may be proven for another.
    assert_eq!(house.prove("bob", &key(7)).await.good()["account"], "bob");
}

#[tokio::test]
async fn a_wallet_belongs_to_one_account() {
    let house = House::new().await;
    house.prove("alice", &key(7)).await.good();
    refused(&house.prove("bob", &key(7)).await, 409, "wallet_belongs_to_another");
    assert!(house.wallets("alice").await[0]["unlinked_at"].is_null());
}

#[tokio::test]
async fn a_message_counts_once_and_in_its_time() {
    let house = House::new().await;
    let alice = &house.keys.alice;
    let message = house.challenge(alice, "alice", key(7).address()).await;
    let signature = signed(&key(7), &message);
    house.verify(alice, &message, &signature).await.good();
    refused(&house.verify(alice, &message, &signature).await, 409, "challenge_spent");

    let message = house.challenge(alice, "alice", key(8).address()).await;
    house.clock.advance_seconds(600);
    let late = house.verify(alice, &message, &signed(&key(8), &message)).await;
    refused(&late, 409, "challenge_spent");

    let message = house.challenge(alice, "alice", key(8).address()).await;
    house.clock.advance_seconds(599);
    house.verify(alice, &message, &signed(&key(8), &message)).await.good();
}

#[tokio::test]
async fn a_message_that_was_not_made_here_proves_nothing() {
    let house = House::new().await;
    let alice = &house.keys.alice;
    let message = house.challenge(alice, "alice", key(7).address()).await;
    let nonce = message.lines().find(|line| line.starts_with("Nonce: ")).expect("a nonce");
    let changes = [
        ("pay.example wants", "evil.example wants"),
        ("URI: https://pay.example", "URI: https://evil.example"),
        (nonce, "Nonce: 00000000000000000000000000000000"),
        ("Chain ID: 31337", "Chain ID: 1"),
        ("Issued At: 2026-03-01T12:00:00Z", "Issued At: 2026-03-01T12:00:01Z"),
        ("Expiration Time: 2026-03-01T12:10:00Z", "Expiration Time: 2026-03-01T13:10:00Z"),
    ];
    for (from, to) in changes {
        assert!(message.contains(from), "{from} in {message}");
        let other = message.replace(from, to);
        let told = house.verify(alice, &other, &signed(&key(7), &other)).await;
        refused(&told, 422, "message_foreign");
    }
    let other = message.replace(&key(7).address().to_string(), &key(8).address().to_string());
    refused(&house.verify(alice, &other, &signed(&key(8), &other)).await, 422, "message_foreign");
    // As it was made, it is still good.
    house.verify(alice, &message, &signed(&key(7), &message)).await.good();
}

#[tokio::test]
async fn a_signature_of_another_key_proves_nothing_and_uses_nothing_up() {
    let house = House::new().await;
    let alice = &house.keys.alice;
    let message = house.challenge(alice, "alice", key(7).address()).await;
    let good = key(7).sign_message_sync(message.as_bytes()).expect("signs");
    let order: U256 = CURVE_ORDER.parse().expect("a number");
    let twin = Signature::new(good.r(), order - good.s(), !good.v());
    let twin = format!("0x{}", hex::encode(twin.as_bytes()));
    for signature in [&signed(&key(8), &message), &signed(&key(7), "another text"), &twin, "0x"] {
        let told = house.verify(alice, &message, signature).await;
        refused(&told, 422, "signature_refused");
    }
    for signature in ["", "0xzz", "0x123"] {
        let told = house.verify(alice, &message, signature).await;
        let code = if signature.is_empty() { "signature_refused" } else { "signature_malformed" };
        refused(&told, 422, code);
    }
    house.verify(alice, &message, &signed(&key(7), &message)).await.good();
}

#[tokio::test]
async fn a_contract_wallet_is_asked_on_its_chain() {
    let house = House::new().await;
    let (alice, wallet) = (&house.keys.alice, Address::repeat_byte(0x77));
    let message = house.challenge(alice, "alice", wallet).await;
    house.node.change_faults(|node| {
        let known = (digest_to_sign(&message), vec![1, 2, 3]);
        node.accepted_signatures.insert(wallet, known);
    });
    refused(&house.verify(alice, &message, "0x010204").await, 422, "signature_refused");
    let proven = house.verify(alice, &message, "0x010203").await.good();
    assert_eq!(proven["proof"], "contract");
}

#[tokio::test]
async fn a_contract_wallet_that_cannot_be_asked_may_be_tried_again() {
    let house = House::new().await;
    let (alice, wallet) = (&house.keys.alice, Address::repeat_byte(0x77));
    let message = house.challenge(alice, "alice", wallet).await;
    house.node.change_faults(|node| {
        let known = (digest_to_sign(&message), vec![1]);
        node.accepted_signatures.insert(wallet, known);
        node.unreachable = true;
    });
    refused(&house.verify(alice, &message, "0x01").await, 503, "chain_unavailable");
    house.node.change_faults(|node| node.unreachable = false);
    house.verify(alice, &message, "0x01").await.good();
}

#[tokio::test]
async fn nobody_proves_a_wallet_for_another() {
    let house = House::new().await;
    let alice = &house.keys.alice;
    let wish = json!({ "account": "bob", "wallet": key(7).address(), "chain_id": CHAIN.0 });
    let told = house.post(alice, "/v1/wallets/challenge", &wish).await;
    refused(&told, 403, "forbidden");
    let message = house.challenge(&house.keys.bob, "bob", key(7).address()).await;
    let told = house.verify(alice, &message, &signed(&key(7), &message)).await;
    refused(&told, 403, "forbidden");
}

#[tokio::test]
async fn bad_input_is_told_by_its_place() {
    let house = House::new().await;
    let alice = &house.keys.alice;
    let wallet = key(7).address();
    let cases = [
        (json!({ "account": "", "wallet": wallet, "chain_id": CHAIN.0 }), "body_invalid"),
        (json!({ "account": "alice", "wallet": "0x12", "chain_id": CHAIN.0 }), "address_malformed"),
        (json!({ "account": "alice", "wallet": wallet, "chain_id": 5 }), "body_invalid"),
        (json!({ "account": "alice", "wallet": wallet }), "body_invalid"),
    ];
    for (wish, code) in cases {
        let told = house.post(alice, "/v1/wallets/challenge", &wish).await;
        assert_eq!(told.problem().1, code, "{wish}");
    }
    for message in ["", "Sign me", &"x".repeat(5_000)] {
        let told = house.verify(alice, message, "0x00").await;
        refused(&told, 422, "message_malformed");
    }
}

#[tokio::test]
async fn a_wallet_brings_the_free_plan_once_whoever_proves_it() {
    let house = House::new().await;
    let free = async |account: &str| {
        let path = format!("/v1/accounts/{account}/balance");
        let balance = house.get(&house.keys.application, &path).await;
        if balance.status == 404 { json!(null) } else { balance.json()["available"].clone() }
    };
    let path =
        |account: &str| format!("/v1/accounts/{account}/wallets/{}/{}", CHAIN.0, key(7).address());
    house.prove("newcomer", &key(7)).await.good();
    assert_eq!(free("newcomer").await, "7.000000");
    house.clock.advance_seconds(60);
    house.prove("newcomer", &key(7)).await.good();
    assert_eq!(free("newcomer").await, "7.000000");
    let gone =
        house.call(Method::DELETE, &house.keys.application, &path("newcomer"), &json!(null)).await;
    assert!(gone.status.is_success(), "{}", gone.text);
    house.prove("another", &key(7)).await.good();
    assert_eq!(free("another").await, json!(null));
    house.prove("another", &key(8)).await.good();
    assert_eq!(free("another").await, "7.000000");
}
