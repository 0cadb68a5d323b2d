use serde_json::{Value, json};

use crate::house::{House, USDT, payment, read};

/// Buys starter packs for alice, a day apart, each paid and settled.
async fn bought(house: &House, packs: u8) -> Vec<Value> {
    let mut orders = Vec::new();
    for tx in 1..=packs {
        let order = house.order("alice", "USDT").await;
        let paid = payment(USDT, read(&order["due"]["base_units"]), tx);
        house.mine(vec![paid]).await;
        house.attribute(&paid, &order).await;
        orders.push(order);
    }
    orders
}

#[tokio::test]
async fn an_account_appears_with_its_first_order_and_is_empty() {
    let house = House::new().await;
    let path = "/v1/accounts/alice/balance";
    let nobody = house.get(&house.keys.alice, path).await;
    assert_eq!(nobody.problem(), (404, "account_not_found".to_owned()));
    house.order("alice", "USDT").await;
    let balance = house.get(&house.keys.alice, path).await.good();
    assert_eq!(balance["available"], "0.000000");
    assert_eq!(balance["expiring"], json!([]));
}

#[tokio::test]
async fn a_balance_has_what_was_bought_until_it_lapses() {
    let house = House::new().await;
    bought(&house, 2).await;
    let path = "/v1/accounts/alice/balance";
    insta::assert_json_snapshot!("balance", house.get(&house.keys.alice, path).await.good());
    // The sweeper has booked nothing: expiry is a predicate.
    house.clock.advance_seconds(31 * 86_400);
    let lapsed = house.get(&house.keys.alice, path).await.good();
    assert_eq!(lapsed["available"], "0.000000");
    assert_eq!(lapsed["posted"], "200.000000");
    assert_eq!(lapsed["expiring"], json!([]));
}

#[tokio::test]
async fn lots_and_history_are_listed_page_by_page() {
    let house = House::new().await;
    let orders = bought(&house, 3).await;
    for list in ["lots", "history"] {
        let mut found = Vec::new();
        let mut path = format!("/v1/accounts/alice/{list}?limit=2");
        loop {
            let page = house.get(&house.keys.finance, &path).await.good();
            found.extend(
                page["items"].as_array().expect("items").iter().map(|row| row["order"].clone()),
            );
            let Some(next) = page["next"].as_str() else { break };
            path = format!("/v1/accounts/alice/{list}?limit=2&after={next}");
        }
        let mut expected: Vec<Value> = orders.iter().map(|order| order["id"].clone()).collect();
        if list == "history" {
            expected.reverse();
        }
        assert_eq!(found, expected, "{list}");
    }
}

#[tokio::test]
async fn lots_and_history_say_where_credits_came_from() {
    let house = House::new().await;
    bought(&house, 1).await;
    let lots = house.get(&house.keys.alice, "/v1/accounts/alice/lots").await.good();
    let history = house.get(&house.keys.alice, "/v1/accounts/alice/history").await.good();
    insta::assert_json_snapshot!("lots", lots, { ".items[].order" => "[order]" });
    insta::assert_json_snapshot!("history", history, { ".items[].order" => "[order]" });
}
