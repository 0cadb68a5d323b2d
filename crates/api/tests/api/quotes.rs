use std::sync::atomic::Ordering;

use inspay_quoting::RateRefusal;
use serde_json::{Value, json};

use crate::house::{House, INSPI, USDT};

/// Millionths of a dollar, so that lines can be added without a float.
fn micros(usd: &Value) -> i64 {
    let text = usd.as_str().expect("dollars");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{whole}{fraction:0<6}");
    digits.parse().unwrap_or_else(|_| panic!("{text}"))
}

#[tokio::test]
async fn a_quote_shows_every_asset_side_by_side_with_lines_that_add_up() {
    let house = House::new().await;
    let quote = house.quote(json!({ "credits": "2500", "promotion_code": "launch10" })).await;
    let offers = quote["offers"].as_array().expect("offers");
    assert_eq!(offers.len(), 2);
    for offer in offers {
        let price = &offer["price"];
        let lines = price["lines"].as_array().expect("lines");
        let sum: i64 = lines.iter().map(|line| micros(&line["amount_usd"])).sum();
        assert_eq!(sum, micros(&price["price_usd"]), "{price}");
        let saved = micros(&quote["list_price_usd"]) - micros(&price["price_usd"]);
        assert_eq!(saved, micros(&price["saving_usd"]));
    }
    assert_eq!(quote["cheapest"], INSPI.to_string());
    let path = format!("/v1/quotes/{}", quote["id"].as_str().expect("an id"));
    assert_eq!(house.get(&house.keys.bob, &path).await.good(), quote);
    insta::assert_json_snapshot!(quote, { ".id" => "[quote]" });
}

#[tokio::test]
async fn an_asset_without_a_rate_is_refused_and_the_others_are_priced() {
    let house = House::new().await;
    let failures = vec!["fixed: no answer".to_owned()];
    house.prices.refuse(USDT, &RateRefusal::Missing { failures });
    let quote = house.quote(json!({ "pack": "creator" })).await;
    let refused = &quote["offers"][1];
    assert_eq!(refused["asset"]["symbol"], "USDT");
    assert_eq!(refused["payable"], false);
    assert_eq!(refused["refusal"]["code"], "rate_missing");
    assert_eq!(quote["offers"][0]["payable"], true);
    assert_eq!(quote["cheapest"], INSPI.to_string());

    let body = json!({ "quote": quote["id"], "asset": "USDT", "account": "alice" });
    let answer = house.post(&house.keys.application, "/v1/orders", &body).await;
    assert_eq!(answer.problem(), (422, "rate_missing".to_owned()));
}

#[tokio::test]
async fn a_wish_that_cannot_be_met_asks_no_node_and_no_rate_source() {
    let house = House::new().await;
    let wish = json!({ "pack": "gold" });
    let answer = house.post(&house.keys.application, "/v1/quotes", &wish).await;
    assert_eq!(answer.problem(), (422, "unknown_pack".to_owned()));
    assert_eq!(house.prices.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn the_catalog_needs_no_key_and_lists_no_promotion_code() {
    let house = House::new().await;
    let answer = house.get("", "/v1/catalog").await;
    assert!(!answer.text.contains("LAUNCH10"), "{}", answer.text);
    insta::assert_json_snapshot!(answer.good());
}
