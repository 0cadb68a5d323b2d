use axum::{
    body::Body,
    http::{Request, header},
};
use inspay_api::generate_key;
use inspay_ports::SaleStore;
use inspay_primitives::Clock;
use serde_json::json;

use crate::house::{House, USDT, payment, read};

#[tokio::test]
async fn everything_but_the_catalog_and_health_needs_a_key() {
    let house = House::new().await;
    let paths = [
        "/v1/quotes/quo_00000000000000000000000000000000",
        "/v1/orders",
        "/v1/orders/ord_00000000000000000000000000000000",
        "/v1/orders/ord_00000000000000000000000000000000/events",
        "/v1/transfers",
        "/v1/accounts/alice/balance",
        "/v1/accounts/alice/lots",
        "/v1/accounts/alice/history",
        "/v1/events",
        "/v1/cases",
        "/v1/cases/1",
    ];
    let unknown = generate_key();
    for path in paths {
        for key in ["", "nonsense", unknown.secret()] {
            let answer = house.get(key, path).await;
            assert_eq!(answer.problem(), (401, "unauthenticated".to_owned()), "{path} {key}");
            assert_eq!(answer.headers[header::WWW_AUTHENTICATE], "Bearer");
            assert!(key.is_empty() || !answer.text.contains(key), "the answer repeats the key");
        }
    }
    for path in ["/v1/quotes", "/v1/orders"] {
        let answer = house.post(unknown.secret(), path, &json!({})).await;
        assert_eq!(answer.problem(), (401, "unauthenticated".to_owned()), "{path}");
    }
}

#[tokio::test]
async fn a_malformed_header_is_no_key() {
    let house = House::new().await;
    for value in [&b"Basic abc"[..], b"Bearer", b"Bearer ik_\xff", b"ik_abc"] {
        let request = Request::get("/v1/orders").header(header::AUTHORIZATION, value);
        let answer = house.send(request.body(Body::empty()).expect("a request")).await;
        assert_eq!(answer.problem(), (401, "unauthenticated".to_owned()));
    }
}

#[tokio::test]
async fn a_revoked_key_is_refused_from_then_on() {
    let house = House::new().await;
    house.get(&house.keys.alice, "/v1/orders").await.good();
    let known = house.store.keys().await.expect("keys");
    let label = &known.iter().find(|key| key.label.starts_with("alice")).expect("a key").label;
    house.store.revoke_key(label, house.clock.now()).await.expect("revoked");
    let answer = house.get(&house.keys.alice, "/v1/orders").await;
    assert_eq!(answer.problem(), (401, "unauthenticated".to_owned()));
}

#[tokio::test]
async fn finance_reads_and_does_not_buy() {
    let house = House::new().await;
    let finance = &house.keys.finance;
    let wish = json!({ "pack": "starter" });
    let quote = house.post(finance, "/v1/quotes", &wish).await;
    assert_eq!(quote.problem(), (403, "forbidden".to_owned()));
    let order = house.order("alice", "USDT").await;
    let path = format!("/v1/orders/{}", order["id"].as_str().expect("an id"));
    assert_eq!(house.get(finance, &path).await.good()["id"], order["id"]);
    house.get(finance, "/v1/transfers?suspense=true").await.good();
    house.get(finance, "/v1/accounts/alice/balance").await.good();
}

#[tokio::test]
async fn an_accounts_key_buys_for_itself_only() {
    let house = House::new().await;
    let wish = json!({ "pack": "starter" });
    let quote = house.post(&house.keys.bob, "/v1/quotes", &wish).await.good();
    let body = |account: &str| json!({ "quote": quote["id"], "asset": "USDT", "account": account });
    let other = house.post(&house.keys.bob, "/v1/orders", &body("alice")).await;
    assert_eq!(other.problem(), (403, "forbidden".to_owned()));
    let own = house.post(&house.keys.bob, "/v1/orders", &body("bob")).await.good();
    assert_eq!(own["account"], "bob");
}

/// What exists and belongs to another looks exactly like what does not exist.
#[tokio::test]
async fn an_accounts_key_cannot_tell_others_from_nobody() {
    let house = House::new().await;
    let order = house.order("alice", "USDT").await;
    let paid = payment(USDT, read(&order["due"]["base_units"]), 1);
    house.mine(vec![paid]).await;
    house.attribute(&paid, &order).await;
    let stray = payment(USDT, inspay_primitives::U256::from(5_000_000), 2);
    house.mine(vec![stray]).await;
    house.suspend(&stray).await;
    let id = order["id"].as_str().expect("an id").to_owned();
    let (transfer, stray) = (paid.key.id().to_string(), stray.key.id().to_string());
    let cases = [
        ("order_not_found", format!("/v1/orders/{id}")),
        ("order_not_found", format!("/v1/orders/{id}/events")),
        ("order_not_found", "/v1/orders/ord_00000000000000000000000000000000".to_owned()),
        ("transfer_not_found", format!("/v1/transfers/{transfer}")),
        ("transfer_not_found", format!("/v1/transfers/{stray}")),
        ("transfer_not_found", format!("/v1/transfers/trf_{}", "0".repeat(64))),
        ("account_not_found", "/v1/accounts/alice/balance".to_owned()),
        ("account_not_found", "/v1/accounts/alice/lots".to_owned()),
        ("account_not_found", "/v1/accounts/alice/history".to_owned()),
        ("account_not_found", "/v1/accounts/nobody/balance".to_owned()),
    ];
    for (code, path) in &cases {
        let answer = house.get(&house.keys.bob, path).await;
        assert_eq!(answer.problem(), (404, (*code).to_owned()), "{path}");
    }
    for path in
        [format!("/v1/transfers?order={id}"), "/v1/transfers".to_owned(), "/v1/events".to_owned()]
    {
        let page = house.get(&house.keys.bob, &path).await.good();
        assert_eq!(page["items"], json!([]), "{path}");
    }
    for (_, path) in cases.iter().filter(|(_, path)| path.contains(&id) || path.contains(&transfer))
    {
        let status = house.get(&house.keys.application, path).await;
        assert!(status.status.is_success(), "{path}");
    }
}

#[tokio::test]
async fn only_finance_and_operator_list_what_belongs_to_nobody() {
    let house = House::new().await;
    for path in ["/v1/transfers?suspense=true", "/v1/transfers"] {
        let refused = house.get(&house.keys.application, path).await;
        assert_eq!(refused.problem(), (403, "forbidden".to_owned()), "{path}");
        for key in [&house.keys.finance, &house.keys.operator] {
            house.get(key, path).await.good();
        }
    }
    let refused = house.get(&house.keys.alice, "/v1/transfers?suspense=true").await;
    assert_eq!(refused.problem(), (403, "forbidden".to_owned()));
}
