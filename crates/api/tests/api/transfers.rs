use inspay_primitives::U256;
use serde_json::{Value, json};

use crate::house::{House, INSPI, USDT, payment, read, with_reference};

fn ids(page: &Value) -> Vec<String> {
    let id = |item: &Value| item["id"].as_str().expect("an id").to_owned();
    page["items"].as_array().expect("items").iter().map(id).collect()
}

#[tokio::test]
async fn a_transfer_in_suspense_says_why() {
    let house = House::new().await;
    let stray = payment(USDT, U256::from(5_000_000), 7);
    house.mine(vec![stray]).await;
    house.suspend(&stray).await;
    let path = format!("/v1/transfers/{}", stray.key.id());
    let shown = house.get(&house.keys.application, &path).await.good();
    insta::assert_json_snapshot!("transfer_suspended", shown);
    let inbox = house.get(&house.keys.finance, "/v1/transfers?suspense=true").await.good();
    assert_eq!(inbox["items"], json!([shown]));
}

#[tokio::test]
async fn a_transfer_is_found_by_its_chain_transaction_and_by_its_order() {
    let house = House::new().await;
    let order = house.order("alice", "INSPI").await;
    let due = read(&order["due"]["base_units"]);
    let paid = with_reference(payment(INSPI, due, 1), read(&order["reference"]));
    let other = payment(USDT, U256::from(1), 2);
    house.mine(vec![paid, other]).await;
    house.attribute(&paid, &order).await;
    house.suspend(&other).await;
    let expected = [paid.key.id().to_string()];
    let by_tx = format!("/v1/transfers?tx_hash={}", paid.key.tx_hash);
    let by_order = format!("/v1/transfers?order={}", order["id"].as_str().expect("an id"));
    for key in [&house.keys.application, &house.keys.alice, &house.keys.finance] {
        for path in [&by_tx, &by_order] {
            assert_eq!(ids(&house.get(key, path).await.good()), expected, "{path}");
        }
    }
    assert_eq!(ids(&house.get(&house.keys.alice, "/v1/transfers").await.good()), expected);
}

#[tokio::test]
async fn transfers_are_listed_page_by_page_newest_first() {
    let house = House::new().await;
    let strays: Vec<_> = (1..=5).map(|tx| payment(USDT, U256::from(tx), tx)).collect();
    house.mine(strays.clone()).await;
    let mut found = Vec::new();
    let mut path = "/v1/transfers?limit=2".to_owned();
    loop {
        let page = house.get(&house.keys.operator, &path).await.good();
        found.extend(ids(&page));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/transfers?limit=2&after={next}");
    }
    let expected: Vec<String> =
        strays.iter().rev().map(|stray| stray.key.id().to_string()).collect();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_token_that_is_not_listed_is_shown_without_decimals() {
    let house = House::new().await;
    let fake = inspay_primitives::AssetId { contract: [0x99; 20].into(), ..USDT };
    let stray = payment(fake, U256::MAX, 1);
    house.mine(vec![stray]).await;
    let path = format!("/v1/transfers/{}", stray.key.id());
    let shown = house.get(&house.keys.operator, &path).await.good();
    assert_eq!(shown["amount"], json!({ "base_units": U256::MAX.to_string(), "decimal": null }));
    assert_eq!(shown["asset"]["symbol"], Value::Null);
    assert_eq!(shown["state"], "pending");
}
