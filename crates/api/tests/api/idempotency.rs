use std::{sync::atomic::Ordering, time::Duration};

use axum::http::StatusCode;
use inspay_ports::fake::CommitFault;
use serde_json::{Value, json};

use crate::house::{Answer, House, Mode, post_request, quick, send};

const QUOTES: &str = "/v1/quotes";
const ORDERS: &str = "/v1/orders";

fn is_replay(answer: &Answer) -> bool {
    answer.headers.contains_key("idempotent-replayed")
}

#[tokio::test]
async fn the_same_key_and_body_give_the_same_answer() {
    let house = House::new().await;
    let (key, wish) = (&house.keys.application, json!({ "pack": "starter" }));
    let first = house.post_as(key, QUOTES, "once", &wish).await;
    let again = house.post_as(key, QUOTES, "once", &wish).await;
    assert_eq!(first.status, StatusCode::CREATED);
    assert_eq!((first.status, &first.text), (again.status, &again.text));
    assert_eq!((is_replay(&first), is_replay(&again)), (false, true));
    assert_eq!(house.prices.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_refusal_is_kept_like_any_answer() {
    let house = House::new().await;
    let (key, wish) = (&house.keys.application, json!({ "pack": "gold" }));
    let first = house.post_as(key, QUOTES, "once", &wish).await;
    let again = house.post_as(key, QUOTES, "once", &wish).await;
    assert_eq!(first.problem(), (422, "unknown_pack".to_owned()));
    assert_eq!(again.problem(), first.problem());
    assert!(is_replay(&again));
}

#[tokio::test]
async fn another_body_or_path_under_the_same_key_is_refused() {
    let house = House::new().await;
    let (key, wish) = (&house.keys.application, json!({ "pack": "starter" }));
    house.post_as(key, QUOTES, "once", &wish).await.good();
    let other = json!({ "pack": "creator" });
    for (path, body) in [(QUOTES, &other), (ORDERS, &wish)] {
        let answer = house.post_as(key, path, "once", body).await;
        assert_eq!(answer.problem(), (422, "idempotency_key_reused".to_owned()));
    }
}

#[tokio::test]
async fn keys_of_different_callers_do_not_meet() {
    let house = House::new().await;
    let wish = json!({ "pack": "starter" });
    let one = house.post_as(&house.keys.alice, QUOTES, "once", &wish).await.good();
    let other = house.post_as(&house.keys.bob, QUOTES, "once", &wish).await.good();
    assert_ne!(one["id"], other["id"]);
}

#[tokio::test]
async fn a_request_that_still_runs_is_not_run_again() {
    let house = House::new().await;
    house.prices.set_mode(Mode::Wait);
    let (key, wish) = (house.keys.application.clone(), json!({ "pack": "starter" }));
    let request = post_request(&key, QUOTES, "once", &wish.to_string());
    let first = tokio::spawn(send(house.router.clone(), request));
    house.prices.entered.notified().await;
    let meanwhile = house.post_as(&key, QUOTES, "once", &wish).await;
    assert_eq!(meanwhile.problem(), (409, "idempotency_in_progress".to_owned()));
    house.prices.go_on.notify_one();
    let first = first.await.expect("no panic");
    let again = house.post_as(&key, QUOTES, "once", &wish).await;
    assert_eq!(first.status, StatusCode::CREATED);
    assert_eq!(first.text, again.text);
}

#[tokio::test]
async fn a_caller_who_hangs_up_finds_the_answer_later() {
    let house = House::new().await;
    house.prices.set_mode(Mode::Wait);
    let (key, wish) = (house.keys.application.clone(), json!({ "pack": "starter" }));
    let request = post_request(&key, QUOTES, "once", &wish.to_string());
    let first = tokio::spawn(send(house.router.clone(), request));
    house.prices.entered.notified().await;
    first.abort();
    assert!(first.await.expect_err("aborted").is_cancelled());
    house.prices.go_on.notify_one();
    let answered = async {
        loop {
            let answer = house.post_as(&key, QUOTES, "once", &wish).await;
            if answer.status != StatusCode::CONFLICT {
                break answer;
            }
            tokio::task::yield_now().await;
        }
    };
    let answer = tokio::time::timeout(Duration::from_secs(10), answered).await.expect("in time");
    assert_eq!(answer.status, StatusCode::CREATED);
    assert!(is_replay(&answer));
    assert_eq!(house.prices.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn failures_of_ours_are_not_kept() {
    let mut timing = quick();
    timing.request_max = Duration::from_millis(50);
    let house = House::with_timing(timing).await;
    let (key, wish) = (&house.keys.application, json!({ "pack": "starter" }));
    house.prices.set_mode(Mode::Wait);
    let slow = house.post_as(key, QUOTES, "once", &wish).await;
    assert_eq!(slow.problem(), (503, "request_timeout".to_owned()));
    house.prices.set_mode(Mode::Panic);
    let broken = house.post_as(key, QUOTES, "once", &wish).await;
    assert_eq!(broken.problem(), (500, "internal".to_owned()));
    assert!(!broken.text.contains("prices were told"), "{}", broken.text);
    house.prices.set_mode(Mode::Answer);
    let good = house.post_as(key, QUOTES, "once", &wish).await;
    assert_eq!(good.status, StatusCode::CREATED, "{}", good.text);
}

async fn order_body(house: &House) -> Value {
    let quote = house.quote(json!({ "pack": "starter" })).await;
    json!({ "quote": quote["id"], "asset": "USDT", "account": "alice" })
}

async fn count_orders(house: &House) -> usize {
    let page = house.get(&house.keys.operator, "/v1/orders").await.good();
    page["items"].as_array().expect("items").len()
}

#[tokio::test]
async fn an_order_whose_commit_was_not_answered_is_the_same_order_when_asked_again() {
    let house = House::new().await;
    let (key, body) = (&house.keys.application, order_body(&house).await);
    // The claim is written, then the order: its answer is lost.
    house.store.fail_commit_after(1, CommitFault::AnswerLost);
    let lost = house.post_as(key, ORDERS, "once", &body).await;
    assert_eq!(lost.problem(), (503, "store_unavailable".to_owned()));
    assert_eq!(count_orders(&house).await, 1);
    let found = house.post_as(key, ORDERS, "once", &body).await;
    assert_eq!(found.status, StatusCode::CREATED, "{}", found.text);
    assert_eq!(count_orders(&house).await, 1);
}

#[tokio::test]
async fn after_a_crash_before_the_answer_was_kept_the_same_order_is_found_even_past_the_quotes_expiry()
 {
    let house = House::new().await;
    let (key, body) = (&house.keys.application, order_body(&house).await);
    // Claim and order are written; the answer is not.
    house.store.fail_commit_after(2, CommitFault::NothingWritten);
    let first = house.post_as(key, ORDERS, "once", &body).await.good();
    let soon = house.post_as(key, ORDERS, "once", &body).await;
    assert_eq!(soon.problem(), (409, "idempotency_in_progress".to_owned()));
    house.clock.advance_seconds(3_600);
    let later = house.post_as(key, ORDERS, "once", &body).await.good();
    assert_eq!(first["id"], later["id"]);
    assert_eq!(first["due"], later["due"]);
    assert_eq!(count_orders(&house).await, 1);
}

#[tokio::test]
async fn one_key_under_many_requests_at_once_makes_one_order() {
    let house = House::new().await;
    let (key, body) = (house.keys.application.clone(), order_body(&house).await);
    let requests = (0..16).map(|_| {
        let request = post_request(&key, ORDERS, "once", &body.to_string());
        tokio::spawn(send(house.router.clone(), request))
    });
    for answer in futures::future::join_all(requests).await {
        let status = answer.expect("no panic").status;
        assert!(matches!(status, StatusCode::CREATED | StatusCode::CONFLICT), "{status}");
    }
    assert_eq!(count_orders(&house).await, 1);
}
