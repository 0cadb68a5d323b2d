use std::time::Duration;

use axum::{
    body::BodyDataStream,
    http::{Request, StatusCode, header},
};
use futures::StreamExt;
use serde_json::Value;
use tower::ServiceExt;

use crate::house::{House, USDT, payment, quick, read, with_reference};

const PATIENCE: Duration = Duration::from_secs(10);

/// One caller's stream.
struct Stream {
    body: BodyDataStream,
    text: String,
}

/// One event, or a comment.
#[derive(Debug, Default)]
struct Frame {
    event: String,
    id: String,
    data: String,
    comment: String,
}

async fn open(house: &House, order: &Value) -> Stream {
    let response =
        house.router.clone().oneshot(request(house, order, "")).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
    Stream { body: response.into_body().into_data_stream(), text: String::new() }
}

fn request(house: &House, order: &Value, last: &str) -> Request<axum::body::Body> {
    let path = format!("/v1/orders/{}/events", order["id"].as_str().expect("an id"));
    Request::get(path)
        .header(header::AUTHORIZATION, format!("Bearer {}", house.keys.alice))
        .header("Last-Event-ID", last)
        .body(axum::body::Body::empty())
        .expect("a request")
}

impl Stream {
    /// The next frame; `None` at the end.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, rest)) = self.text.split_once("\n\n") {
                let (frame, rest) = (parse(frame), rest.to_owned());
                self.text = rest;
                return Some(frame);
            }
            let chunk = tokio::time::timeout(PATIENCE, self.body.next()).await.expect("in time")?;
            self.text.push_str(std::str::from_utf8(&chunk.expect("a chunk")).expect("text"));
        }
    }

    async fn order(&mut self) -> Value {
        let frame = self.next().await.expect("a frame");
        assert_eq!(frame.event, "order", "{frame:?}");
        serde_json::from_str(&frame.data).expect("an order")
    }
}

fn parse(text: &str) -> Frame {
    let mut frame = Frame::default();
    for line in text.lines() {
        let (name, value) = line.split_once(':').expect("a field");
        let value = value.trim_start().to_owned();
        match name {
            "event" => frame.event = value,
            "id" => frame.id = value,
            "data" => frame.data = value,
            "" => frame.comment = value,
            other => panic!("{other}"),
        }
    }
    frame
}

#[tokio::test]
async fn a_stream_tells_an_order_from_its_making_to_its_end() {
    let mut timing = quick();
    // Only waking moves this stream.
    timing.poll_interval = Duration::from_secs(3_600);
    let house = House::with_timing(timing).await;
    let order = house.order("alice", "USDT").await;
    let mut stream = open(&house, &order).await;
    assert_eq!(stream.order().await, order);

    let due = read(&order["due"]["base_units"]);
    let paid = with_reference(payment(USDT, due, 1), read(&order["reference"]));
    house.mine(vec![paid]).await;
    house.wake();
    assert_eq!(stream.order().await["confirmations"]["so_far"], 1);
    house.mine(Vec::new()).await;
    house.wake();
    assert_eq!(stream.order().await["confirmations"]["so_far"], 2);

    house.attribute(&paid, &order).await;
    house.wake();
    let last = stream.order().await;
    assert_eq!((&last["state"], &last["credited"]), (&Value::from("paid"), &last["credits"]));
    assert_eq!(stream.next().await.expect("a frame").event, "end");
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn a_stream_finds_what_another_process_wrote() {
    let house = House::new().await;
    let order = house.order("alice", "USDT").await;
    let mut stream = open(&house, &order).await;
    stream.order().await;
    let paid = payment(USDT, read(&order["due"]["base_units"]), 1);
    house.mine(vec![paid]).await;
    assert_eq!(stream.order().await["transfers"][0]["state"], "pending");
}

#[tokio::test]
async fn a_silent_stream_has_heartbeats() {
    let mut timing = quick();
    timing.heartbeat = Duration::from_millis(20);
    let house = House::with_timing(timing).await;
    let order = house.order("alice", "USDT").await;
    let mut stream = open(&house, &order).await;
    stream.order().await;
    assert_eq!(stream.next().await.expect("a frame").comment, "heartbeat");
}

#[tokio::test]
async fn a_stream_survives_a_database_that_is_gone_for_a_while() {
    let house = House::new().await;
    let order = house.order("alice", "USDT").await;
    let paid = payment(USDT, read(&order["due"]["base_units"]), 1);
    house.mine(vec![paid]).await;
    let mut stream = open(&house, &order).await;
    stream.order().await;
    house.store.set_unreachable(true);
    house.wake();
    // Many looks fail meanwhile; the stream neither speaks nor ends.
    let silence = tokio::time::timeout(Duration::from_millis(100), stream.next()).await;
    assert!(silence.is_err(), "{silence:?}");
    house.store.set_unreachable(false);
    house.attribute(&paid, &order).await;
    assert_eq!(stream.order().await["state"], "paid");
}

#[tokio::test]
async fn who_has_seen_the_end_is_told_not_to_come_back() {
    let house = House::new().await;
    let order = house.order("alice", "USDT").await;
    let paid = payment(USDT, read(&order["due"]["base_units"]), 1);
    house.mine(vec![paid]).await;
    house.attribute(&paid, &order).await;
    let mut stream = open(&house, &order).await;
    let last = stream.next().await.expect("a frame");
    let again = house.send(request(&house, &order, &last.id)).await;
    assert_eq!(again.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_process_that_stops_ends_its_streams_without_an_end_event() {
    let house = House::new().await;
    let order = house.order("alice", "USDT").await;
    let mut stream = open(&house, &order).await;
    stream.order().await;
    house.shutdown.cancel();
    assert!(stream.next().await.is_none());
}
