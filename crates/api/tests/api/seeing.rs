//! What an account's owner sees of its credits: balance, history, lots, holds, sums, each as a sheet as well.

use axum::http::Method;
use serde_json::{Value, json};

use crate::house::{House, USDT, payment, read};

/// A hundred credits bought; a video held and let go, one held and paid for, three chats, each on a day of its own.
async fn lived() -> House {
    let house = House::new().await;
    let order = house.order("alice", "USDT").await;
    let paid = payment(USDT, read(&order["due"]["base_units"]), 1);
    house.mine(vec![paid]).await;
    house.attribute(&paid, &order).await;
    let wish = |feature: &str, project: &str| json!({ "account": "alice", "feature": feature, "units": 1, "project": project, "session": project });
    for how in ["release", "capture"] {
        house.clock.advance_seconds(86_400);
        let video = wish("video", "film");
        let hold = house.post(&house.keys.application, "/v1/holds", &video).await.good();
        let path = format!("/v1/holds/{}/{how}", hold["id"].as_str().expect("an id"));
        house.post(&house.keys.application, &path, &json!({})).await.good();
    }
    for _ in 0..3 {
        house.clock.advance_seconds(86_400);
        house.post(&house.keys.application, "/v1/spends", &wish("chat", "talk")).await.good();
    }
    house
}

async fn seen(house: &House, path: &str) -> Value {
    house.get(&house.keys.alice, &format!("/v1/accounts/alice/{path}")).await.good()
}

fn kinds(page: &Value) -> Vec<&str> {
    let lines = page["items"].as_array().expect("lines");
    lines.iter().map(|line| line["kind"].as_str().expect("a kind")).collect()
}

#[tokio::test]
async fn a_history_is_cut_by_every_filter_and_read_page_by_page() {
    let house = lived().await;
    let whole = seen(&house, "history").await;
    let story = ["spend", "spend", "spend", "capture", "hold", "release", "hold", "settle"];
    assert_eq!(kinds(&whole), story);
    let bought = &whole["items"][7];
    let day = |line: usize| {
        let at = whole["items"][line]["booked_at"].as_str().expect("a time");
        at.split('T').next().expect("a day").to_owned()
    };
    let lot = seen(&house, "lots").await["items"][0]["id"].as_str().expect("a lot").to_owned();
    let cases = [
        ("kind=hold".to_owned(), vec!["hold", "hold"]),
        ("feature=chat".to_owned(), vec!["spend", "spend", "spend"]),
        ("project=film".to_owned(), vec!["capture", "hold", "release", "hold"]),
        (format!("lot={lot}"), story.to_vec()),
        (format!("from={}", day(1)), vec!["spend", "spend"]),
        (format!("to={}", day(7)), vec!["settle"]),
        (format!("from={}&to={}&kind=release", day(6), day(4)), vec!["release"]),
        ("feature=image".to_owned(), vec![]),
    ];
    for (query, expected) in &cases {
        let page = seen(&house, &format!("history?{query}")).await;
        assert_eq!(&kinds(&page), expected, "{query}");
        // One line a page tells the same.
        let (mut told, mut after) = (Vec::new(), String::new());
        loop {
            let page = seen(&house, &format!("history?{query}&limit=1{after}")).await;
            told.extend(kinds(&page).into_iter().map(str::to_owned));
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert_eq!(&told, expected, "{query}, line by line");
    }
    assert!(bought["transfer"].is_string(), "{bought}");
}

#[tokio::test]
async fn days_are_those_of_the_accounts_zone() {
    let house = lived().await;
    let last = seen(&house, "history?limit=1").await["items"][0]["booked_at"].clone();
    let at: inspay_primitives::Timestamp = last.as_str().expect("a time").parse().expect("a time");
    let zone: inspay_primitives::Zone = "Pacific/Kiritimati".parse().expect("a zone");
    let far = zone.day_of(at);
    let body = json!({ "zone": "Pacific/Kiritimati" });
    house.call(Method::PUT, &house.keys.alice, "/v1/accounts/alice", &body).await.good();
    let page = seen(&house, &format!("history?from={far}")).await;
    assert_eq!(kinds(&page), ["spend"], "{far}");
}

#[tokio::test]
async fn every_list_is_a_sheet_too() {
    let house = lived().await;
    let cases = [
        ("balance", "what,day,credits", 5),
        ("history", "entry,event_at,booked_at,kind,credits,held,owed,source,feature", 9),
        ("lots", "id,source,campaign,scope,priority,granted,left,held,spent", 2),
        ("holds", "id,state,feature,project,session,reference,credits,captured", 3),
        ("usage", "id,counted_at,feature,quality,size,units,project,session", 5),
        ("usage/summary", "name,spends,units,spent,refunded,net,net_before,change_percent", 5),
        ("usage/summary?by=session", "name,spends,units,spent,refunded,net", 3),
        ("limits", "id,scope,name,window,action,cap,held,spent,left,window_end", 1),
    ];
    for (path, head, lines) in cases {
        let mark = if path.contains('?') { '&' } else { '?' };
        let path = format!("/v1/accounts/alice/{path}{mark}format=csv");
        let sheet = house.get(&house.keys.alice, &path).await;
        assert_eq!(sheet.status, 200, "{path}: {}", sheet.text);
        let told: Vec<&str> = sheet.text.split_terminator("\r\n").collect();
        assert!(told[0].starts_with(head), "{path}: {}", told[0]);
        assert_eq!(told.len(), lines, "{path}: {}", sheet.text);
        let cells = told[0].split(',').count();
        assert!(told.iter().all(|line| line.split(',').count() == cells), "{path}");
    }
}

#[tokio::test]
async fn sums_stand_beside_the_period_before() {
    let house = lived().await;
    let today = seen(&house, "history?limit=1").await["items"][0]["booked_at"].clone();
    let to = today.as_str().and_then(|at| at.split('T').next()).expect("a day");
    let day: inspay_primitives::Day = to.parse().expect("a day");
    let from = day.plus_days(-1);
    let path = |by: &str| format!("usage/summary?from={from}&to={to}&by={by}");
    let sums = seen(&house, &path("project")).await;
    assert_eq!((&sums["net"], &sums["net_before"]), (&json!("2.000000"), &json!("17.000000")));
    let told = |sums: &Value| -> Vec<String> {
        let items = sums["items"].as_array().expect("sums");
        let line = |sum: &Value| format!("{} {} {}", sum["name"], sum["net"], sum["net_before"]);
        items.iter().map(line).collect()
    };
    assert_eq!(
        told(&sums),
        [r#""film" "0.000000" "16.000000""#, r#""talk" "2.000000" "1.000000""#]
    );
    let sums = seen(&house, &path("session")).await;
    assert_eq!(told(&sums), [r#""talk" "2.000000" "1.000000""#]);
}

#[tokio::test]
async fn what_cannot_be_asked_is_said_by_name() {
    let house = lived().await;
    let (bad, cursor) = ((400, "query_invalid"), (400, "cursor_invalid"));
    for (path, (status, code)) in [
        ("history?kind=wish", bad),
        ("history?from=today", bad),
        ("history?from=2026-02-30", bad),
        ("history?from=2026-05-02&to=2026-05-01", bad),
        ("history?feature=", bad),
        ("history?lot=first", bad),
        ("history?lot=lot_999_0", (404, "lot_not_found")),
        ("history?format=xml", bad),
        ("history?colour=red", bad),
        ("history?after=here", cursor),
        ("history?limit=0", bad),
        ("lots?format=pdf", bad),
        ("holds?format=pdf", bad),
        ("limits?format=pdf", bad),
        ("balance?format=pdf", bad),
        ("usage?format=pdf", bad),
        ("usage/summary?format=pdf", bad),
        ("usage/summary?by=week", bad),
        ("usage/summary?from=2026-05-02&to=2026-05-01", bad),
        ("usage/summary?from=2020-01-01&to=2026-05-01", bad),
    ] {
        let answer = house.get(&house.keys.alice, &format!("/v1/accounts/alice/{path}")).await;
        assert_eq!(answer.problem(), (status, code.to_owned()), "{path}");
    }
}
