use axum::{
    body::Body,
    http::{Method, Request, header},
};
use serde_json::{Value, json};

use crate::house::{House, post_request};

#[tokio::test]
async fn every_wrong_wish_has_its_code() {
    let house = House::new().await;
    let cases: Vec<(Value, u16, &str, &str)> = vec![
        (json!({ "pack": "gold" }), 422, "unknown_pack", "/pack"),
        (json!({ "pack": "<script>" }), 422, "unknown_pack", "/pack"),
        (
            json!({ "pack": "starter", "promotion_code": "NOPE" }),
            422,
            "unknown_promotion",
            "/promotion_code",
        ),
        (
            json!({ "credits": "10", "promotion_code": "LAUNCH10" }),
            422,
            "promotion_below_minimum",
            "/promotion_code",
        ),
        (json!({ "credits": "0" }), 422, "amount_zero", "/credits"),
        (json!({ "credits": "0.000000" }), 422, "amount_zero", "/credits"),
        (json!({ "credits": "-5" }), 422, "amount_negative", "/credits"),
        (json!({ "credits": "9.999999" }), 422, "amount_below_minimum", "/credits"),
        (json!({ "credits": "100000.000001" }), 422, "amount_above_maximum", "/credits"),
        (json!({ "credits": "9".repeat(78) }), 422, "amount_above_maximum", "/credits"),
        (json!({ "credits": "9".repeat(300) }), 422, "amount_above_maximum", "/credits"),
        (json!({ "credits": "100.0000001" }), 422, "amount_too_many_digits", "/credits"),
        (json!({ "credits": "1e3" }), 422, "amount_malformed", "/credits"),
        (json!({ "credits": "ten" }), 422, "amount_malformed", "/credits"),
        (json!({ "credits": "" }), 422, "amount_malformed", "/credits"),
        (json!({}), 422, "purchase_unclear", "/pack"),
        (json!({ "pack": "starter", "credits": "100" }), 422, "purchase_unclear", "/pack"),
        (json!({ "pack": "starter", "payer": "0x12" }), 422, "address_malformed", "/payer"),
        (
            json!({ "pack": "starter", "payer": "0xdAC17F958D2ee523a2206206994597C13D831eC7" }),
            422,
            "address_malformed",
            "/payer",
        ),
    ];
    for (wish, status, code, at) in cases {
        let answer = house.post(&house.keys.application, "/v1/quotes", &wish).await;
        assert_eq!(answer.problem(), (status, code.to_owned()), "{wish}");
        assert_eq!(answer.json()["errors"][0]["at"], at, "{wish}");
    }
}

#[tokio::test]
async fn a_body_of_another_shape_is_refused() {
    let house = House::new().await;
    let cases = [
        ("{", 400, "json_malformed"),
        ("", 400, "json_malformed"),
        ("{\"pack\":\"starter\"} x", 400, "json_malformed"),
        ("[]", 422, "body_invalid"),
        ("[\"starter\"]", 422, "body_invalid"),
        ("null", 422, "body_invalid"),
        ("{\"pack\":1}", 422, "body_invalid"),
        ("{\"credits\":100}", 422, "body_invalid"),
        ("{\"pack\":\"starter\",\"colour\":\"red\"}", 422, "body_invalid"),
        ("{\"pack\":\"starter\",\"pack\":\"creator\"}", 422, "body_invalid"),
    ];
    for (place, (body, status, code)) in cases.into_iter().enumerate() {
        let request =
            post_request(&house.keys.application, "/v1/quotes", &format!("k{place}"), body);
        let answer = house.send(request).await;
        assert_eq!(answer.problem(), (status, code.to_owned()), "{body}: {}", answer.text);
    }
}

#[tokio::test]
async fn every_wrong_order_has_its_code() {
    let house = House::new().await;
    let quote = house.quote(json!({ "pack": "starter" })).await["id"].clone();
    let unknown = "quo_00000000000000000000000000000000";
    let cases = [
        (json!({ "quote": unknown, "asset": "USDT", "account": "alice" }), 404, "quote_not_found"),
        (json!({ "quote": "quo_1", "asset": "USDT", "account": "alice" }), 422, "body_invalid"),
        (json!({ "quote": quote, "asset": "DOGE", "account": "alice" }), 422, "unknown_asset"),
        (json!({ "quote": quote, "asset": "", "account": "alice" }), 422, "unknown_asset"),
        (
            json!({ "quote": quote, "asset": "eip155:1/erc20:0x12", "account": "alice" }),
            422,
            "unknown_asset",
        ),
        (json!({ "quote": quote, "asset": "USDT", "account": "a b" }), 422, "body_invalid"),
        (json!({ "quote": quote, "asset": "USDT", "account": "" }), 422, "body_invalid"),
        (json!({ "quote": quote, "asset": "USDT" }), 422, "body_invalid"),
        (
            json!({ "quote": quote, "asset": "USDT", "account": "alice", "gift": true }),
            422,
            "body_invalid",
        ),
    ];
    for (body, status, code) in cases {
        let answer = house.post(&house.keys.application, "/v1/orders", &body).await;
        assert_eq!(answer.problem(), (status, code.to_owned()), "{body}");
    }
    let page = house.get(&house.keys.operator, "/v1/orders").await.good();
    assert_eq!(page["items"], json!([]));
}

#[tokio::test]
async fn a_query_or_path_that_cannot_be_read_is_refused() {
    let house = House::new().await;
    let cases = [
        ("/v1/orders?limit=0", 400, "query_invalid"),
        ("/v1/orders?limit=201", 400, "query_invalid"),
        ("/v1/orders?limit=-1", 400, "query_invalid"),
        ("/v1/orders?limit=x", 400, "query_invalid"),
        ("/v1/orders?limit=1&limit=2", 400, "query_invalid"),
        ("/v1/orders?acount=alice", 400, "query_invalid"),
        ("/v1/orders?account=a%20b", 400, "query_invalid"),
        ("/v1/orders?after=abc", 400, "cursor_invalid"),
        ("/v1/orders/ord_1", 400, "path_invalid"),
        ("/v1/orders/quo_00000000000000000000000000000000", 400, "path_invalid"),
        ("/v1/orders/%ff", 400, "path_invalid"),
        ("/v1/transfers?tx_hash=0x12", 400, "query_invalid"),
        ("/v1/transfers?order=1", 400, "query_invalid"),
        ("/v1/transfers?suspense=yes", 400, "query_invalid"),
        ("/v1/transfers/trf_1", 400, "path_invalid"),
        ("/v1/accounts/a%20b/balance", 400, "path_invalid"),
        ("/v1/accounts/alice/balance?limit=1", 400, "query_invalid"),
        ("/v1/accounts/alice/lots?after=NDI", 400, "cursor_invalid"),
        ("/v1/accounts/alice/history?after=!", 400, "cursor_invalid"),
        ("/v1/events?after=-1", 400, "cursor_invalid"),
        ("/v1/events?after=x", 400, "cursor_invalid"),
        ("/v1/events?wait=21", 400, "query_invalid"),
        ("/v1/quotes/1", 400, "path_invalid"),
        ("/v1/quotes/quo_00000000000000000000000000000000", 404, "quote_not_found"),
        ("/v1/nothing", 404, "route_not_found"),
        ("/", 404, "route_not_found"),
    ];
    for (path, status, code) in cases {
        let answer = house.get(&house.keys.operator, path).await;
        assert_eq!(answer.problem(), (status, code.to_owned()), "{path}");
    }
}

#[tokio::test]
async fn a_method_that_a_path_does_not_take_is_refused() {
    let house = House::new().await;
    for (method, path) in [(Method::DELETE, "/v1/orders"), (Method::POST, "/v1/catalog")] {
        let request = Request::builder().method(method).uri(path);
        let request =
            request.header(header::AUTHORIZATION, format!("Bearer {}", house.keys.operator));
        let answer = house.send(request.body(Body::empty()).expect("a request")).await;
        assert_eq!(answer.problem(), (405, "method_not_allowed".to_owned()));
        assert!(answer.headers.contains_key(header::ALLOW), "{path}");
    }
}

#[tokio::test]
async fn a_post_needs_its_headers() {
    let house = House::new().await;
    let bearer = format!("Bearer {}", house.keys.application);
    let request = || Request::post("/v1/quotes").header(header::AUTHORIZATION, &bearer);
    let json = |request: axum::http::request::Builder| {
        request.header(header::CONTENT_TYPE, "application/json")
    };
    let cases = [
        (json(request()), 400, "idempotency_key_missing"),
        (json(request()).header("Idempotency-Key", ""), 400, "idempotency_key_malformed"),
        (json(request()).header("Idempotency-Key", "a b"), 400, "idempotency_key_malformed"),
        (json(request()).header("Idempotency-Key", &b"\xff"[..]), 400, "idempotency_key_malformed"),
        (
            json(request()).header("Idempotency-Key", "a").header("Idempotency-Key", "b"),
            400,
            "idempotency_key_malformed",
        ),
        (request().header("Idempotency-Key", "c"), 415, "content_type_unsupported"),
        (
            request().header("Idempotency-Key", "d").header(header::CONTENT_TYPE, "text/plain"),
            415,
            "content_type_unsupported",
        ),
    ];
    for (request, status, code) in cases {
        let body = Body::from("{\"pack\":\"starter\"}");
        let answer = house.send(request.body(body).expect("a request")).await;
        assert_eq!(answer.problem(), (status, code.to_owned()));
    }
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_before_anything_is_claimed() {
    let house = House::new().await;
    let commits = house.store.commits();
    let body = format!("{{\"pack\":\"{}\"}}", "x".repeat(70_000));
    let request = post_request(&house.keys.application, "/v1/quotes", "large", &body);
    let answer = house.send(request).await;
    assert_eq!(answer.problem(), (413, "body_too_large".to_owned()));
    assert_eq!(house.store.commits(), commits);
}

#[tokio::test]
async fn a_database_that_is_gone_is_said_and_nothing_is_half_written() {
    let house = House::new().await;
    let quote = house.quote(json!({ "pack": "starter" })).await;
    let body = json!({ "quote": quote["id"], "asset": "USDT", "account": "alice" });
    house.store.set_unreachable(true);
    for path in ["/v1/orders", "/v1/events", "/v1/accounts/alice/balance"] {
        let answer = house.get(&house.keys.operator, path).await;
        assert_eq!(answer.problem(), (503, "store_unavailable".to_owned()), "{path}");
        assert_eq!(answer.headers[header::RETRY_AFTER], "1");
        assert!(!answer.text.contains("told to fail"), "the cause leaves: {}", answer.text);
    }
    let answer = house.post_as(&house.keys.application, "/v1/orders", "once", &body).await;
    assert_eq!(answer.problem(), (503, "store_unavailable".to_owned()));
    house.store.set_unreachable(false);
    house.post_as(&house.keys.application, "/v1/orders", "once", &body).await.good();
}
