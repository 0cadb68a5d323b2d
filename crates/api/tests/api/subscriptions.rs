//! Subscriptions and the free plan over HTTP.

use serde_json::{Value, json};

use crate::house::{Answer, House};

/// A house that knows alice.
async fn house() -> House {
    let house = House::new().await;
    house.order("alice", "USDT").await;
    house
}

async fn subscribe(house: &House, key: &str, plan: &str) -> Answer {
    let body = json!({ "plan": plan });
    let path = "/v1/accounts/alice/subscriptions";
    house.post_as(&house.keys.application, path, key, &body).await
}

async fn available(house: &House) -> Value {
    let path = "/v1/accounts/alice/balance";
    house.get(&house.keys.alice, path).await.good()["available"].clone()
}

#[tokio::test]
async fn a_subscription_begins_with_its_first_cycle() {
    let house = house().await;
    let plans = house.get(&house.keys.alice, "/v1/plans").await.good();
    assert_eq!(
        plans["items"][0],
        json!({ "name": "pro", "credits": "100.000000", "every": "P1M", "keeps_cycles": 0 })
    );
    let opened = subscribe(&house, "one", "pro").await;
    assert_eq!(opened.status, 201, "{}", opened.text);
    let opened = opened.good();
    assert_eq!((&opened["state"], &opened["cycles"]), (&json!("open"), &json!(1)));
    assert_eq!(available(&house).await, "100.000000");
    let lots = house.get(&house.keys.alice, "/v1/accounts/alice/lots").await.good();
    let lot = &lots["items"][0];
    assert_eq!((&lot["source"], &lot["expires_at"]), (&json!("subscription"), &opened["next_at"]));
    // The same request once more, and another one for the same plan.
    assert_eq!(subscribe(&house, "one", "pro").await.good(), opened);
    assert_eq!(
        subscribe(&house, "two", "pro").await.problem(),
        (409, "subscription_exists".to_owned())
    );
    assert_eq!(available(&house).await, "100.000000");
    house.clock.advance_seconds(1);
    subscribe(&house, "three", "team").await.good();
    assert_eq!(available(&house).await, "200.000000");

    let path = format!("/v1/subscriptions/{}", opened["id"].as_str().expect("an id"));
    assert_eq!(house.get(&house.keys.alice, &path).await.good(), opened);
    let cancel = format!("{path}/cancel");
    let ended = house.post(&house.keys.application, &cancel, &json!({})).await.good();
    assert_eq!((&ended["state"], &ended["next_at"]), (&json!("ended"), &Value::Null));
    house.clock.advance_seconds(60);
    let again = house.post(&house.keys.application, &cancel, &json!({})).await.good();
    assert_eq!(again, ended);
    // What was granted stays, and another can begin.
    assert_eq!(available(&house).await, "200.000000");
    subscribe(&house, "four", "pro").await.good();
    let path = "/v1/accounts/alice/subscriptions";
    let all = house.get(&house.keys.alice, path).await.good();
    let states: Vec<&Value> =
        all["items"].as_array().expect("a list").iter().map(|kept| &kept["state"]).collect();
    assert_eq!(states, ["open", "open", "ended"]);
}

#[tokio::test]
async fn what_cannot_be_subscribed_to_is_refused_by_name() {
    let house = house().await;
    for (plan, status, code) in
        [("gold", 422, "unknown_plan"), ("", 422, "body_invalid"), ("a b", 422, "body_invalid")]
    {
        let refused = subscribe(&house, &format!("bad{}", plan.len()), plan).await;
        assert_eq!(refused.status, status, "{plan}: {}", refused.text);
        assert_eq!(refused.problem().1, code, "{plan}");
    }
    let body = json!({ "plan": "pro" });
    let nobody = "/v1/accounts/nobody/subscriptions";
    let refused = house.post(&house.keys.application, nobody, &body).await;
    assert_eq!(refused.problem(), (404, "account_not_found".to_owned()));
    let own = "/v1/accounts/alice/subscriptions";
    let refused = house.post(&house.keys.alice, own, &body).await;
    assert_eq!(refused.problem(), (403, "forbidden".to_owned()));
    let unknown = "/v1/subscriptions/sub_00000000000000000000000000000007";
    let refused = house.get(&house.keys.application, unknown).await;
    assert_eq!(refused.problem(), (404, "subscription_not_found".to_owned()));
    let refused = house.get(&house.keys.application, "/v1/subscriptions/7").await;
    assert_eq!(refused.problem(), (400, "path_invalid".to_owned()));
    subscribe(&house, "one", "pro").await.good();
    let other = json!({ "plan": "team" });
    let reused = house.post_as(&house.keys.application, own, "one", &other).await;
    assert_eq!(reused.problem(), (422, "idempotency_key_reused".to_owned()));
}

#[tokio::test]
async fn a_cycle_that_was_granted_is_granted_to_nobody_who_asks_for_it_by_name() {
    let house = house().await;
    let opened = subscribe(&house, "one", "pro").await.good();
    let cycle = format!("{}/0", opened["id"].as_str().expect("an id"));
    let path = "/v1/accounts/alice/grants";
    let wish = |credits: &str| json!({ "source": "subscription", "reference": &cycle, "credits": credits });
    let same = house.post(&house.keys.application, path, &wish("100")).await.good();
    assert_eq!(same["expires_at"], opened["next_at"]);
    let other = house.post(&house.keys.application, path, &wish("99")).await;
    assert_eq!(other.problem(), (422, "idempotency_key_reused".to_owned()));
    assert_eq!(available(&house).await, "100.000000");
    let lots = house.get(&house.keys.alice, "/v1/accounts/alice/lots").await.good();
    assert_eq!(lots["items"].as_array().expect("lots").len(), 1);
}
