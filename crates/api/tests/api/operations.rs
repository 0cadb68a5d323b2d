use axum::http::header;
use inspay_api::{ChainStatus, ChainTroubleKind, ProblemCode};
use inspay_primitives::{B256, BlockRef, ChainId, ChainView};
use serde_json::{Value, json};

use crate::house::{CHAIN, House, Mode, start};

fn chain(trouble: Option<(ChainTroubleKind, &str)>) -> ChainStatus {
    let head = BlockRef { number: 120, hash: B256::repeat_byte(1), time: start() };
    let view = ChainView { head, safe_number: 110, finalized_number: 100, audited_to: 120 };
    let trouble = trouble.map(|(kind, detail)| (kind, detail.to_owned()));
    ChainStatus { chain_id: CHAIN, view: Some(view), standby: None, trouble, notes: Vec::new() }
}

#[tokio::test]
async fn a_process_without_a_database_lives_but_is_not_ready() {
    let house = House::new().await;
    // What is only worth knowing does not make it unready.
    let notes = vec!["node.example was wrong and is not asked for 30 s: a lie".to_owned()];
    *house.chains.lock().expect("not poisoned") = vec![ChainStatus { notes, ..chain(None) }];
    insta::assert_json_snapshot!("ready", house.get("", "/readyz").await.good());
    house.store.set_unreachable(true);
    assert_eq!(house.get("", "/healthz").await.good(), json!({ "status": "alive" }));
    let answer = house.get("", "/readyz").await;
    assert_eq!(answer.problem(), (503, "not_ready".to_owned()));
    assert_eq!(answer.json()["errors"][0]["code"], "database_unreachable");
}

#[tokio::test]
async fn a_chain_that_cannot_be_relied_on_is_named() {
    let house = House::new().await;
    let cases = [
        (ChainTroubleKind::Starting, "chain_starting"),
        (ChainTroubleKind::Behind, "chain_behind"),
        (ChainTroubleKind::Stalled, "chain_stalled"),
        (ChainTroubleKind::Halted, "chain_halted"),
    ];
    for (kind, code) in cases {
        let trouble = chain(Some((kind, "no endpoint answers")));
        *house.chains.lock().expect("not poisoned") = vec![chain(None), trouble];
        let answer = house.get("", "/readyz").await;
        assert_eq!(answer.problem(), (503, "not_ready".to_owned()));
        let facts = json!([{ "at": "chain 31337", "code": code, "detail": "no endpoint answers" }]);
        assert_eq!(answer.json()["errors"], facts);
    }
}

#[tokio::test]
async fn metrics_are_prometheus_text() {
    let house = House::new().await;
    let answer = house.get("", "/metrics").await;
    assert_eq!(answer.text, "inspay_up 1\n");
    assert_eq!(answer.headers[header::CONTENT_TYPE], "text/plain; version=0.0.4; charset=utf-8");
}

#[tokio::test]
async fn every_answer_has_a_request_id() {
    let house = House::new().await;
    for path in ["/healthz", "/nothing", "/v1/orders"] {
        assert_eq!(house.get("", path).await.headers["x-request-id"].len(), 32, "{path}");
    }
}

#[tokio::test]
async fn a_panic_is_a_problem_and_the_next_request_is_served() {
    let house = House::new().await;
    house.prices.set_mode(Mode::Panic);
    let wish = json!({ "pack": "starter" });
    let answer = house.post(&house.keys.application, "/v1/quotes", &wish).await;
    assert_eq!(answer.problem(), (500, "internal".to_owned()));
    house.get("", "/healthz").await.good();
}

#[tokio::test]
async fn the_openapi_document_is_as_checked_in() {
    let house = House::new().await;
    let served = house.get("", "/openapi.json").await;
    let expected = inspay_api::openapi().to_pretty_json().expect("writes");
    assert_eq!(served.text, expected);
    insta::assert_snapshot!("openapi", expected);
}

/// Every reference leads somewhere, and every schema is used.
#[tokio::test]
async fn the_openapi_document_is_whole() {
    let document: Value =
        serde_json::from_str(&inspay_api::openapi().to_json().expect("writes")).expect("reads");
    let mut wanted = Vec::new();
    references(&document, &mut wanted);
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    for name in &wanted {
        assert!(schemas.contains_key(name), "{name} is not defined");
    }
    for name in schemas.keys() {
        assert!(wanted.contains(name), "{name} is not used");
    }
    assert_eq!(document["x-problems"].as_array().expect("problems").len(), ProblemCode::ALL.len());
}

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if let (true, Some(path)) = (name == "$ref", value.as_str()) {
                    found.push(path.rsplit('/').next().unwrap_or(path).to_owned());
                }
                references(value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[tokio::test]
async fn the_documentation_page_is_served_whole_and_may_load_nothing_else() {
    let house = House::new().await;
    let page = house.get("", "/docs").await;
    let policy = page.headers[header::CONTENT_SECURITY_POLICY].to_str().expect("text");
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    for path in ["/docs/docs.js", "/docs/docs.css", "/openapi.json"] {
        assert!(page.text.contains(path), "{path}");
        let answer = house.get("", path).await;
        assert!(answer.status.is_success() && !answer.text.is_empty(), "{path}");
    }
}

#[tokio::test]
async fn a_chain_that_another_process_follows_is_ready_and_has_no_view() {
    let house = House::new().await;
    let status = ChainStatus {
        chain_id: ChainId(1),
        view: None,
        standby: Some("a host/7".to_owned()),
        trouble: None,
        notes: Vec::new(),
    };
    *house.chains.lock().expect("not poisoned") = vec![status];
    let ready = house.get("", "/readyz").await.good();
    assert_eq!(
        ready["chains"][0],
        json!({
            "chain_id": 1, "head": null, "finalized": null, "audited_to": null, "notes": [],
            "standby_for": "a host/7", "halted_assets": [],
        })
    );
}
