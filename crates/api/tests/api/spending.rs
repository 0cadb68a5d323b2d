//! Holds, spends, grants, limits, usage and estimates over HTTP.

use axum::http::Method;
use inspay_primitives::Credits;
use serde_json::{Value, json};

use crate::house::{Answer, House, USDT, payment, read};

/// A house where alice has bought a hundred credits.
async fn bought() -> House {
    let house = House::new().await;
    let order = house.order("alice", "USDT").await;
    let paid = payment(USDT, read(&order["due"]["base_units"]), 1);
    house.mine(vec![paid]).await;
    house.attribute(&paid, &order).await;
    house
}

async fn hold(house: &House, feature: &str, units: u32) -> Answer {
    let body =
        json!({ "account": "alice", "feature": feature, "units": units, "project": "book-7" });
    house.post(&house.keys.application, "/v1/holds", &body).await
}

async fn available(house: &House) -> Value {
    let balance = house.get(&house.keys.alice, "/v1/accounts/alice/balance").await.good();
    json!([balance["available"], balance["held"]])
}

async fn end(house: &House, hold: &Value, how: &str, body: Value) -> Answer {
    let path = format!("/v1/holds/{}/{how}", hold["id"].as_str().expect("an id"));
    house.post(&house.keys.application, &path, &body).await
}

#[tokio::test]
async fn a_hold_is_captured_in_part_and_the_rest_comes_back() {
    let house = bought().await;
    let made = hold(&house, "video", 2).await;
    assert_eq!(made.status, 201);
    let made = made.good();
    assert_eq!((&made["state"], &made["credits"]), (&json!("open"), &json!("32.000000")));
    assert_eq!(available(&house).await, json!(["68.000000", "32.000000"]));
    let captured = end(&house, &made, "capture", json!({ "credits": "20" })).await.good();
    assert_eq!(captured["state"], "captured");
    assert_eq!(captured["captured"], "20.000000");
    assert_eq!(available(&house).await, json!(["80.000000", "0.000000"]));
    let usage = captured["usage"].as_str().expect("a spend").to_owned();
    let path = format!("/v1/spends/{usage}");
    let spend = house.get(&house.keys.alice, &path).await.good();
    assert_eq!(spend["purpose"]["project"], "book-7");
    let path = format!("/v1/spends/{usage}/refund");
    let part = json!({ "credits": "5" });
    let back = house.post(&house.keys.application, &path, &part).await.good();
    assert_eq!(back["refunded"], "5.000000");
    assert_eq!(available(&house).await, json!(["85.000000", "0.000000"]));
    let too_much = house.post(&house.keys.application, &path, &json!({ "credits": "16" })).await;
    assert_eq!(too_much.problem(), (409, "above_spend".to_owned()));
}

#[tokio::test]
async fn a_failed_generation_costs_nothing() {
    let house = bought().await;
    let made = hold(&house, "video", 1).await.good();
    let released = end(&house, &made, "release", json!({})).await.good();
    assert_eq!(released["state"], "released");
    assert_eq!(available(&house).await, json!(["100.000000", "0.000000"]));
    let capture = end(&house, &made, "capture", json!({})).await;
    assert_eq!(capture.problem(), (409, "hold_released".to_owned()));
}

#[tokio::test]
async fn a_hold_ends_in_one_way() {
    let house = bought().await;
    let made = hold(&house, "video", 1).await.good();
    let above = end(&house, &made, "capture", json!({ "credits": "16.000001" })).await;
    assert_eq!(above.problem(), (422, "above_hold".to_owned()));
    end(&house, &made, "capture", json!({})).await.good();
    let twice = end(&house, &made, "capture", json!({})).await;
    assert_eq!(twice.problem(), (409, "hold_captured".to_owned()));
    let late = hold(&house, "video", 1).await.good();
    house.clock.advance_seconds(900);
    assert_eq!(available(&house).await, json!(["84.000000", "0.000000"]));
    let lapsed = end(&house, &late, "capture", json!({})).await;
    assert_eq!(lapsed.problem(), (409, "hold_lapsed".to_owned()));
    let path = format!("/v1/holds/{}", late["id"].as_str().expect("an id"));
    assert_eq!(house.get(&house.keys.alice, &path).await.good()["state"], "lapsed");
}

#[tokio::test]
async fn the_same_request_is_one_hold_and_another_under_its_key_is_told_apart() {
    let house = bought().await;
    let body = json!({ "account": "alice", "feature": "video", "units": 1 });
    let ask = |body: Value| {
        let house = &house;
        async move { house.post_as(&house.keys.application, "/v1/holds", "k", &body).await }
    };
    let first = ask(body.clone()).await;
    assert!(first.headers.get("idempotent-replayed").is_none());
    let again = ask(body).await;
    assert_eq!(again.headers.get("idempotent-replayed").expect("is marked"), "true");
    assert_eq!(first.good()["id"], again.good()["id"]);
    assert_eq!(available(&house).await, json!(["84.000000", "16.000000"]));
    let other = ask(json!({ "account": "alice", "feature": "video", "units": 2 })).await;
    assert_eq!(other.problem(), (422, "idempotency_key_reused".to_owned()));
}

#[tokio::test]
async fn missing_credits_come_with_the_least_purchase_and_the_refusal_stays() {
    let house = bought().await;
    let body = json!({ "account": "alice", "feature": "video", "units": 7 });
    let short = house.post_as(&house.keys.application, "/v1/holds", "short", &body).await;
    assert_eq!(short.problem(), (402, "insufficient_credits".to_owned()));
    let fact = &short.json()["errors"][0];
    assert_eq!(fact["code"], "minimum_purchase");
    let least: Credits = fact["detail"].as_str().expect("credits").parse().expect("a number");
    assert!(least >= "12".parse().expect("credits"), "{fact}");
    let grant = json!({ "source": "prize", "reference": "p1", "credits": "12" });
    let granted = house.post(&house.keys.application, "/v1/accounts/alice/grants", &grant).await;
    assert_eq!(granted.status, 201);
    let again = house.post_as(&house.keys.application, "/v1/holds", "short", &body).await;
    assert_eq!(again.problem(), (402, "insufficient_credits".to_owned()));
    assert_eq!(hold(&house, "video", 7).await.status, 201);
}

#[tokio::test]
async fn a_batch_answers_each_item_for_itself() {
    let house = bought().await;
    let item = |credits: &str| json!({ "account": "alice", "feature": "chat", "credits": credits });
    let batch = json!({ "items": [item("60"), item("60"), item("40")] });
    let done = house.post(&house.keys.application, "/v1/spends/batch", &batch).await.good();
    let items = done["items"].as_array().expect("items");
    assert_eq!(items[0]["usage"]["credits"], "60.000000");
    assert_eq!(items[1]["problem"]["code"], "insufficient_credits");
    assert_eq!(items[2]["usage"]["credits"], "40.000000");
    let empty =
        house.post(&house.keys.application, "/v1/spends/batch", &json!({ "items": [] })).await;
    assert_eq!(empty.problem(), (422, "batch_size".to_owned()));
}

#[tokio::test]
async fn limits_refuse_and_say_what_is_left() {
    let house = bought().await;
    let limit = json!({ "scope": "project", "name": "book-7", "window": "total", "action": "refuse", "cap": "20" });
    let set = house.post(&house.keys.alice, "/v1/accounts/alice/limits", &limit).await;
    assert_eq!(set.status, 201);
    hold(&house, "video", 1).await.good();
    let over = hold(&house, "video", 1).await;
    assert_eq!(over.problem(), (409, "limit_reached".to_owned()));
    let limits = house.get(&house.keys.alice, "/v1/accounts/alice/limits").await.good();
    let only = &limits["items"][0];
    assert_eq!((&only["held"], &only["left"]), (&json!("16.000000"), &json!("4.000000")));
    let warn = json!({ "scope": "project", "name": "book-7", "window": "total", "action": "warn", "cap": "20" });
    let contradicts = house.post(&house.keys.alice, "/v1/accounts/alice/limits", &warn).await;
    assert_eq!(contradicts.problem(), (409, "limits_contradict".to_owned()));
    let path = format!("/v1/accounts/alice/limits/{}", only["id"].as_str().expect("an id"));
    let left = house.call(Method::DELETE, &house.keys.alice, &path, &json!({})).await.good();
    assert_eq!(left["items"], json!([]));
    let gone = house.call(Method::DELETE, &house.keys.alice, &path, &json!({})).await;
    assert_eq!(gone.problem(), (404, "limit_not_found".to_owned()));
    hold(&house, "video", 1).await.good();
}

#[tokio::test]
async fn usage_is_listed_summed_and_exported() {
    let house = bought().await;
    for (feature, units) in [("chat", 3), ("video", 1), ("chat", 2)] {
        let body =
            json!({ "account": "alice", "feature": feature, "units": units, "session": "s1" });
        house.post(&house.keys.application, "/v1/spends", &body).await.good();
        house.clock.advance_seconds(86_400);
    }
    let page =
        house.get(&house.keys.alice, "/v1/accounts/alice/usage?feature=chat&limit=1").await.good();
    assert_eq!(page["items"][0]["credits"], "2.000000");
    let next = page["next"].as_str().expect("a next page");
    let path = format!("/v1/accounts/alice/usage?feature=chat&limit=1&after={next}");
    assert_eq!(house.get(&house.keys.alice, &path).await.good()["items"][0]["credits"], "3.000000");
    let path = "/v1/accounts/alice/usage/summary?by=feature";
    let sums = house.get(&house.keys.alice, path).await.good();
    let names: Vec<_> = sums["items"]
        .as_array()
        .expect("sums")
        .iter()
        .map(|sum| format!("{} {} {}", sum["name"], sum["spends"], sum["net"]))
        .collect();
    assert_eq!(names, [r#""chat" 2 "5.000000""#, r#""video" 1 "16.000000""#]);
    assert_eq!(sums["net"], "21.000000");
    let csv = house.get(&house.keys.alice, "/v1/accounts/alice/usage?format=csv&session=s1").await;
    let lines: Vec<&str> = csv.text.lines().collect();
    assert_eq!(lines.len(), 4);
    assert!(lines[1].contains(",chat,,,2,,s1,,2.000000,0.000000,"), "{}", lines[1]);
}

#[tokio::test]
async fn an_estimate_adds_a_fifth_and_quotes_what_is_missing() {
    let house = bought().await;
    let items = json!([
        { "feature": "video", "units": 5 },
        { "feature": "image", "size": "512x512", "units": 10 },
    ]);
    let wish = json!({ "account": "alice", "items": items });
    let estimate = house.post(&house.keys.alice, "/v1/estimates", &wish).await.good();
    assert_eq!(estimate["total"], "84.800000");
    assert_eq!(estimate["needed"], "101.760000");
    assert_eq!(estimate["missing"], "1.760000");
    let purchase = &estimate["purchase"];
    assert!(purchase["id"].as_str().expect("a quote").starts_with("quo_"), "{purchase}");
    let later = json!({ "account": "alice", "items": items, "until": "2030-01-01T00:00:00Z" });
    let lapsed = house.post(&house.keys.alice, "/v1/estimates", &later).await.good();
    assert_eq!(lapsed["available"], "0.000000");
}

#[tokio::test]
async fn grants_are_made_once_and_to_somebody() {
    let house = bought().await;
    let path = "/v1/accounts/alice/grants";
    let plan = json!({ "source": "subscription", "reference": "sub-1/2026-03", "credits": "10", "valid_days": 7 });
    let first = house.post(&house.keys.application, path, &plan).await.good();
    assert_eq!((&first["source"], &first["left"]), (&json!("subscription"), &json!("10.000000")));
    let again = house.post(&house.keys.application, path, &plan).await.good();
    assert_eq!(again["id"], first["id"]);
    let nobody = house.post(&house.keys.application, "/v1/accounts/nobody/grants", &plan).await;
    assert_eq!(nobody.problem().0, 422);
    let other = json!({ "source": "prize", "reference": "p", "credits": "1" });
    let nobody = house.post(&house.keys.application, "/v1/accounts/nobody/grants", &other).await;
    assert_eq!(nobody.problem(), (404, "account_not_found".to_owned()));
    let set = json!({ "zone": "Asia/Kolkata", "balance_alerts": ["20", "5"] });
    let known = house.call(Method::PUT, &house.keys.application, "/v1/accounts/nobody", &set).await;
    assert_eq!(known.good()["zone"], "Asia/Kolkata");
    house.post(&house.keys.application, "/v1/accounts/nobody/grants", &other).await.good();
    let spring = |credits: &str, reference: &str| json!({ "source": "promotion", "campaign": "spring", "reference": reference, "credits": credits });
    house.post(&house.keys.application, path, &spring("40", "a")).await.good();
    let spent = house.post(&house.keys.application, path, &spring("11", "b")).await;
    assert_eq!(spent.problem(), (409, "budget_spent".to_owned()));
    let revoke = format!("/v1/lots/{}/revoke", first["id"].as_str().expect("a lot"));
    let revoked = house.post(&house.keys.application, &revoke, &json!({})).await.good();
    assert_eq!((&revoked["left"], &revoked["revoked"]), (&json!("0.000000"), &json!(true)));
    let lot = format!("/v1/lots/{}", first["id"].as_str().expect("a lot"));
    let lot = house.get(&house.keys.alice, &lot).await.good();
    assert_eq!(lot["changes"][0]["to"], "taken");
}

#[tokio::test]
async fn a_grant_that_was_refused_can_be_made_under_its_reference_once_nothing_stands_against_it() {
    let house = bought().await;
    let grant = async |reference: &str, change: Value| {
        let mut wish = json!({
            "source": "promotion", "campaign": "spring", "reference": reference, "credits": "40",
        });
        for (key, value) in change.as_object().expect("fields") {
            wish[key] = value.clone();
        }
        house.post(&house.keys.application, "/v1/accounts/alice/grants", &wish).await
    };
    let lapsed = grant("a", json!({ "expires_at": "2001-01-01T00:00:00Z" })).await;
    assert_eq!(lapsed.problem(), (422, "grant_lapsed".to_owned()));
    let first = grant("a", json!({})).await.good();
    let spent = grant("b", json!({})).await;
    assert_eq!(spent.problem(), (409, "budget_spent".to_owned()));
    let revoke = format!("/v1/lots/{}/revoke", first["id"].as_str().expect("a lot"));
    house.post(&house.keys.application, &revoke, &json!({})).await.good();
    let second = grant("b", json!({})).await.good();
    assert_eq!(second["left"], "40.000000");
    // Each of them was granted once, also where the first was taken back.
    for (reference, lot) in [("a", &first), ("b", &second)] {
        assert_eq!(grant(reference, json!({})).await.good()["id"], lot["id"]);
    }
    let lots = house.get(&house.keys.alice, "/v1/accounts/alice/lots").await.good();
    let promoted =
        lots["items"].as_array().expect("lots").iter().filter(|lot| lot["source"] == "promotion");
    assert_eq!(promoted.count(), 1);
}

#[tokio::test]
async fn what_cannot_be_spent_is_refused_by_name() {
    let house = bought().await;
    let spend = |change: Value| {
        let mut body = json!({ "account": "alice", "feature": "chat", "credits": "1" });
        for (key, value) in change.as_object().expect("fields") {
            body[key] = value.clone();
        }
        body
    };
    for (change, code) in [
        (json!({ "credits": "0" }), "amount_zero"),
        (json!({ "credits": "-1" }), "amount_negative"),
        (json!({ "credits": "0.0000001" }), "amount_too_many_digits"),
        (json!({ "credits": "one" }), "amount_malformed"),
        (json!({ "credits": "1000000001" }), "amount_above_maximum"),
        (json!({ "units": 1 }), "spend_unclear"),
        (json!({ "credits": null }), "spend_unclear"),
        (json!({ "feature": "sculpture" }), "unknown_feature"),
        (json!({ "credits": null, "feature": "image", "units": 1 }), "unknown_variant"),
        (json!({ "project": "a b" }), "body_invalid"),
        (json!({ "colour": "red" }), "body_invalid"),
    ] {
        let body = spend(change.clone());
        let refused = house.post(&house.keys.application, "/v1/spends", &body).await;
        assert_eq!(refused.problem(), (422, code.to_owned()), "{change}");
    }
    let long = json!({ "account": "alice", "feature": "chat", "units": 1, "valid_seconds": 3601 });
    let long = house.post(&house.keys.application, "/v1/holds", &long).await;
    assert_eq!(long.problem(), (422, "hold_too_long".to_owned()));
    let own = house.post(&house.keys.alice, "/v1/spends", &spend(json!({}))).await;
    assert_eq!(own.problem(), (403, "forbidden".to_owned()));
    for (change, code) in [
        (json!({ "zone": "Mars/Olympus" }), "zone_unknown"),
        (json!({ "balance_alerts": ["5", "20"] }), "alerts_unsound"),
    ] {
        let set = house.call(Method::PUT, &house.keys.alice, "/v1/accounts/alice", &change).await;
        assert_eq!(set.problem(), (422, code.to_owned()));
    }
    for (body, code) in [
        (
            json!({ "scope": "planet", "window": "day", "action": "warn", "cap": "1" }),
            "limit_invalid",
        ),
        (
            json!({ "scope": "account", "window": "week", "action": "warn", "cap": "1" }),
            "limit_invalid",
        ),
        (
            json!({ "scope": "account", "window": "day", "action": "warn", "cap": "1", "alerts": [90, 80] }),
            "alerts_unsound",
        ),
        (
            json!({ "scope": "account", "window": "day", "action": "warn", "cap": "0" }),
            "amount_zero",
        ),
    ] {
        let refused = house.post(&house.keys.alice, "/v1/accounts/alice/limits", &body).await;
        assert_eq!(refused.problem(), (422, code.to_owned()), "{body}");
    }
}
