use std::{collections::BTreeSet, sync::Arc};

use inspay_api::{payment_link, transfer_calldata};
use inspay_primitives::{AssetId, ChainId, U256};
use serde_json::{Value, json};

use crate::house::{House, INSPI, TREASURY, USDT, asset, input, payment, read, with_reference};

fn units(amount: &Value) -> U256 {
    read(&amount["base_units"])
}

/// What differs from run to run: ids, the reference, and the tail that makes the amount unique.
macro_rules! order_snapshot {
    ($name:literal, $order:expr) => {
        insta::assert_json_snapshot!($name, $order, {
            ".id" => "[order]",
            ".quote" => "[quote]",
            ".reference" => "[reference]",
            ".due" => "[due]",
            ".remaining" => "[remaining]",
            ".received" => "[received]",
            ".payment.amount" => "[remaining]",
            ".payment.calldata" => "[calldata]",
            ".payment.wallet_call.data" => "[calldata]",
            ".payment.erc681" => "[link]",
            ".sum.tail" => "[tail]",
            ".transfers[].amount" => "[amount]",
            ".transfers[].order" => "[order]",
            ".transfers[].value_usd" => "[value]",
            ".transfers[].why.reference" => "[reference]",
        })
    };
}

#[tokio::test]
async fn an_order_has_everything_that_a_wallet_needs() {
    let house = House::new().await;
    let order = house.order("alice", "usdt").await;
    let (due, reference) = (units(&order["due"]), read(&order["reference"]));
    let calldata = format!("0x{}", hex::encode(transfer_calldata(TREASURY, due, reference)));
    let payment = &order["payment"];
    assert_eq!(payment["calldata"], calldata);
    assert_eq!(payment["erc681"], payment_link(USDT, TREASURY, due));
    assert_eq!(
        payment["wallet_call"],
        json!({
            "to": USDT.contract.to_checksum(None), "data": calldata, "value": "0x0", "chainId": "0x7a69",
        })
    );
    let sum = &order["sum"];
    assert_eq!(units(&sum["at_rate"]), due + units(&sum["tail"]));
    assert!(units(&sum["tail"]) > U256::ZERO);
    order_snapshot!("order_open", order);
}

#[tokio::test]
async fn an_order_names_its_asset_by_id_too() {
    let house = House::new().await;
    let order = house.order("alice", &INSPI.to_string()).await;
    assert_eq!(order["asset"]["symbol"], "INSPI");
    assert_eq!(
        order["confirmations"]["wanted"],
        json!({ "count": 12, "rule": "finalized", "endpoints": 1 })
    );
}

#[tokio::test]
async fn orders_of_one_price_get_amounts_of_their_own() {
    let house = House::new().await;
    let mut amounts = BTreeSet::new();
    for _ in 0..20 {
        let order = house.order("alice", "USDT").await;
        assert_eq!(order["exact_amount_lane"], true);
        assert!(amounts.insert(units(&order["due"])), "an amount came twice");
    }
}

#[tokio::test]
async fn an_account_may_not_keep_amounts_without_end() {
    let house = House::new().await;
    for _ in 0..25 {
        house.order("alice", "USDT").await;
    }
    let quote = house.quote(json!({ "pack": "starter" })).await;
    let wish = json!({ "quote": quote["id"], "asset": "INSPI", "account": "alice" });
    let refused = house.post(&house.keys.application, "/v1/orders", &wish).await;
    assert_eq!(refused.problem(), (409, "too_many_unpaid_orders".to_owned()));
    assert_eq!(refused.json()["errors"][0]["at"], "/account");
    // The quote is not used up by it, and others may buy.
    let wish = json!({ "quote": quote["id"], "asset": "INSPI", "account": "bob" });
    house.post(&house.keys.application, "/v1/orders", &wish).await.good();
}

#[tokio::test]
async fn a_payment_is_seen_confirming_and_then_credited() {
    let house = House::new().await;
    let order = house.order("alice", "USDT").await;
    let path = format!("/v1/orders/{}", order["id"].as_str().expect("an id"));
    let due = units(&order["due"]);
    let paid = with_reference(payment(USDT, due, 1), read(&order["reference"]));
    house.mine(vec![paid]).await;
    house.mine(Vec::new()).await;
    house.wake();

    let seen = house.get(&house.keys.alice, &path).await.good();
    assert_eq!(seen["state"], "open");
    assert_eq!(
        seen["confirmations"],
        json!({ "wanted": { "count": 3, "rule": "depth", "endpoints": 1 }, "so_far": 2 })
    );
    let transfer = &seen["transfers"][0];
    assert_eq!(transfer["state"], "pending");
    assert_eq!(
        transfer["why"]["explanation"],
        "It carries the order's reference behind its calldata. It has 2 of 3 confirmations."
    );

    house.mine(Vec::new()).await;
    house.attribute(&paid, &order).await;
    house.wake();
    let credited = house.get(&house.keys.alice, &path).await.good();
    assert_eq!(credited["final"], true);
    assert_eq!(credited["payment"], Value::Null);
    assert_eq!(units(&credited["remaining"]), U256::ZERO);
    assert_eq!(credited["transfers"].as_array().expect("transfers").len(), 1);
    order_snapshot!("order_paid", credited);
}

#[tokio::test]
async fn a_part_payment_leaves_the_exact_remainder_to_be_paid() {
    let house = House::new().await;
    let order = house.order("alice", "USDT").await;
    let (due, part) = (units(&order["due"]), U256::from(4_000_000));
    let paid = payment(USDT, part, 1);
    house.mine(vec![paid]).await;
    house.attribute(&paid, &order).await;
    let path = format!("/v1/orders/{}", order["id"].as_str().expect("an id"));
    let half = house.get(&house.keys.application, &path).await.good();
    assert_eq!(half["state"], "partially_paid");
    assert_eq!(units(&half["payment"]["amount"]), due - part);
    assert_eq!(half["payment"]["erc681"], payment_link(USDT, TREASURY, due - part));
}

#[tokio::test]
async fn an_exact_amount_without_a_reference_is_seen_as_the_orders() {
    let house = House::new().await;
    let order = house.order("alice", "USDT").await;
    let other = house.order("bob", "USDT").await;
    house.mine(vec![payment(USDT, units(&order["due"]), 1)]).await;
    house.wake();
    let see = async |order: &Value| {
        let path = format!("/v1/orders/{}", order["id"].as_str().expect("an id"));
        house.get(&house.keys.application, &path).await.good()
    };
    assert_eq!(see(&order).await["transfers"][0]["why"]["evidence"], "exact_amount");
    assert_eq!(see(&other).await["transfers"], json!([]));
}

#[tokio::test]
async fn without_room_for_a_tail_the_order_says_that_its_amount_is_not_its_own() {
    let house = House::new().await;
    let coarse = AssetId { chain_id: ChainId(31_337), contract: [0x55; 20].into() };
    house.prices.add(input(asset(coarse, "COARSE", 0), "1"));
    let quote = house.quote(json!({ "pack": "starter" })).await;
    assert_eq!(quote["offers"][2]["price"]["exact_amount_lane"], false);
    let body = json!({ "quote": quote["id"], "asset": "COARSE", "account": "alice" });
    let answer = house.post(&house.keys.application, "/v1/orders", &body).await;
    // Quoted by the prices, but not among the assets for sale.
    assert_eq!(answer.problem(), (422, "asset_not_payable".to_owned()));
}

#[tokio::test]
async fn a_quote_is_accepted_once() {
    let house = House::new().await;
    let quote = house.quote(json!({ "pack": "starter" })).await;
    let body = json!({ "quote": quote["id"], "asset": "USDT", "account": "alice" });
    house.post(&house.keys.application, "/v1/orders", &body).await.good();
    let again = house.post(&house.keys.application, "/v1/orders", &body).await;
    assert_eq!(again.problem(), (409, "quote_used".to_owned()));
}

#[tokio::test]
async fn a_quote_is_not_accepted_from_its_expiry_on() {
    let house = House::new().await;
    let quote = house.quote(json!({ "pack": "starter" })).await;
    house.clock.set(read(&quote["expires_at"]));
    let body = json!({ "quote": quote["id"], "asset": "USDT", "account": "alice" });
    let answer = house.post(&house.keys.application, "/v1/orders", &body).await;
    assert_eq!(answer.problem(), (409, "quote_expired".to_owned()));
}

#[tokio::test]
async fn an_asset_that_is_no_longer_for_sale_is_not_accepted() {
    let house = House::new().await;
    let quote = house.quote(json!({ "pack": "starter" })).await;
    let closed = House::without_assets_for_sale(Arc::clone(&house.store)).await;
    let body = json!({ "quote": quote["id"], "asset": "USDT", "account": "alice" });
    let answer = closed.post(&closed.keys.application, "/v1/orders", &body).await;
    assert_eq!(answer.problem(), (422, "asset_not_payable".to_owned()));
}

#[tokio::test]
async fn a_symbol_of_two_chains_must_be_named_by_its_id() {
    let house = House::new().await;
    let elsewhere = AssetId { chain_id: ChainId(56), ..USDT };
    house.prices.add(input(asset(elsewhere, "USDT", 18), "1"));
    let quote = house.quote(json!({ "pack": "starter" })).await;
    let body = |asset: &str| json!({ "quote": quote["id"], "asset": asset, "account": "alice" });
    let answer = house.post(&house.keys.application, "/v1/orders", &body("USDT")).await;
    assert_eq!(answer.problem(), (422, "asset_ambiguous".to_owned()));
    let ids: Vec<Value> = (answer.json()["errors"].as_array().expect("facts").iter())
        .map(|fact| fact["detail"].clone())
        .collect();
    assert_eq!(ids, [json!(USDT.to_string()), json!(elsewhere.to_string())]);
    house.post(&house.keys.application, "/v1/orders", &body(&USDT.to_string())).await.good();
}

#[tokio::test]
async fn the_deadline_begins_at_the_later_of_both_clocks() {
    let house = House::new().await;
    house.clock.advance_seconds(86_400);
    house.mine(Vec::new()).await;
    house.clock.advance_seconds(-86_400);
    let order = house.order("alice", "USDT").await;
    assert_eq!(order["created_at"], "2026-03-01T12:00:00Z");
    assert_eq!(order["deadline"], "2026-03-02T12:30:00Z");
}

#[tokio::test]
async fn orders_are_listed_page_by_page_newest_first() {
    let house = House::new().await;
    let mut made = Vec::new();
    for account in ["alice", "bob", "alice", "alice"] {
        made.push(house.order(account, "USDT").await["id"].clone());
    }
    let ids = |page: &Value| -> Vec<Value> {
        page["items"].as_array().expect("items").iter().map(|item| item["id"].clone()).collect()
    };
    let path = "/v1/orders?account=alice&limit=2";
    let first = house.get(&house.keys.application, path).await.good();
    assert_eq!(ids(&first), [made[3].clone(), made[2].clone()]);
    let next = format!("{path}&after={}", first["next"].as_str().expect("a next"));
    let second = house.get(&house.keys.application, &next).await.good();
    assert_eq!(ids(&second), [made[0].clone()]);
    assert_eq!(second["next"], Value::Null);

    let own = house.get(&house.keys.bob, "/v1/orders").await.good();
    assert_eq!(ids(&own), [made[1].clone()]);
    let others = house.get(&house.keys.bob, "/v1/orders?account=alice").await.good();
    assert_eq!(ids(&others), Vec::<Value>::new());
}
