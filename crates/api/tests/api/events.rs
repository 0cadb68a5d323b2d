use std::time::{Duration, Instant};

use inspay_primitives::U256;
use serde_json::{Value, json};

use crate::house::{House, USDT, payment, quick, read};

async fn pay(house: &House, account: &str, tx: u8) {
    let order = house.order(account, "USDT").await;
    let paid = payment(USDT, read(&order["due"]["base_units"]), tx);
    house.mine(vec![paid]).await;
    house.attribute(&paid, &order).await;
}

fn sequence(page: &Value) -> Vec<i64> {
    let seq = |item: &Value| item["seq"].as_i64().expect("a sequence");
    page["items"].as_array().expect("items").iter().map(seq).collect()
}

#[tokio::test]
async fn events_come_in_sequence_with_full_snapshots() {
    let house = House::new().await;
    pay(&house, "alice", 1).await;
    let stray = payment(USDT, U256::from(5_000_000), 2);
    house.mine(vec![stray]).await;
    house.suspend(&stray).await;
    let page = house.get(&house.keys.application, "/v1/events").await.good();
    insta::assert_json_snapshot!("events", page, {
        ".items[].order" => "[order]",
        ".items[0].snapshot.amount" => "[amount]",
        ".items[0].snapshot.due" => "[amount]",
        ".items[0].snapshot.received" => "[amount]",
    });
}

#[tokio::test]
async fn a_reader_goes_on_where_it_stopped() {
    let house = House::new().await;
    for tx in 1..=3 {
        pay(&house, "alice", tx).await;
    }
    let first = house.get(&house.keys.application, "/v1/events?limit=2").await.good();
    assert_eq!(sequence(&first), [1, 2]);
    let path = format!("/v1/events?after={}", first["next"].as_str().expect("a next"));
    let second = house.get(&house.keys.application, &path).await.good();
    assert_eq!(sequence(&second), [3]);
    let path = format!("/v1/events?after={}", second["next"].as_str().expect("a next"));
    let third = house.get(&house.keys.application, &path).await.good();
    assert_eq!(third, json!({ "items": [], "next": "3" }));
}

#[tokio::test]
async fn an_accounts_key_sees_its_own_events() {
    let house = House::new().await;
    pay(&house, "alice", 1).await;
    pay(&house, "bob", 2).await;
    let own = house.get(&house.keys.bob, "/v1/events").await.good();
    assert_eq!(sequence(&own), [2]);
}

#[tokio::test]
async fn a_waiting_reader_is_woken_by_this_process() {
    let mut timing = quick();
    timing.poll_interval = Duration::from_secs(3_600);
    let house = House::with_timing(timing).await;
    let reading = house.get(&house.keys.application, "/v1/events?wait=9");
    let writing = async {
        pay(&house, "alice", 1).await;
        house.wake();
    };
    let begun = Instant::now();
    let (page, ()) = futures::join!(reading, writing);
    assert_eq!(sequence(&page.good()), [1]);
    assert!(begun.elapsed() < Duration::from_secs(9), "it waited for the whole time");
}

#[tokio::test]
async fn a_waiting_reader_finds_what_another_process_wrote() {
    let house = House::new().await;
    let reading = house.get(&house.keys.application, "/v1/events?wait=9");
    // Nothing wakes the reader: it asks the store by itself.
    let (page, ()) = futures::join!(reading, pay(&house, "alice", 1));
    assert_eq!(sequence(&page.good()), [1]);
}

#[tokio::test]
async fn a_reader_who_waits_in_vain_gets_an_empty_answer() {
    let house = House::new().await;
    let page = house.get(&house.keys.application, "/v1/events?wait=1&after=5").await.good();
    assert_eq!(page, json!({ "items": [], "next": "5" }));
}

#[tokio::test]
async fn a_process_that_stops_lets_waiting_readers_go() {
    let house = House::new().await;
    let reading = house.get(&house.keys.application, "/v1/events?wait=9");
    let begun = Instant::now();
    let (page, ()) = futures::join!(reading, async { house.shutdown.cancel() });
    assert_eq!(page.good()["items"], json!([]));
    assert!(begun.elapsed() < Duration::from_secs(9), "it waited for the whole time");
}
