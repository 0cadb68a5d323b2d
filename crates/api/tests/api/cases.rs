use inspay_ports::{AssetHalt, CaseStore as _, HaltStore as _, HaltsCommit};
use inspay_primitives::{
    Address, AssetId, CaseClosing, CaseKind, CaseOpening, Clock as _, Fence, FencingNumber, U256,
};
use serde_json::{Value, json};

use crate::house::{CHAIN, House, TREASURY, USDT, payment, start};

fn opening(kind: CaseKind, subject: &str) -> CaseOpening {
    let body_json = json!({ "difference_base_units": "-5" }).to_string();
    CaseOpening { kind, subject: subject.to_owned(), opened_at: start(), body_json }
}

#[tokio::test]
async fn cases_are_read_by_finance_and_the_operator_alone() {
    let house = House::new().await;
    let kind = CaseKind::BalanceDifference;
    house.store.open_case(opening(kind, "usdt")).await.expect("opens");
    for path in ["/v1/cases", "/v1/cases/1"] {
        for key in [&house.keys.alice, &house.keys.application] {
            assert_eq!(
                house.get(key, path).await.problem(),
                (403, "forbidden".to_owned()),
                "{path}"
            );
        }
        for key in [&house.keys.finance, &house.keys.operator] {
            house.get(key, path).await.good();
        }
        assert_eq!(house.get("", path).await.problem(), (401, "unauthenticated".to_owned()));
    }
}

#[tokio::test]
async fn cases_are_listed_newest_first_with_their_facts_and_their_end() {
    let house = House::new().await;
    let (difference, owing) = (CaseKind::BalanceDifference, CaseKind::NegativeAccount);
    house.store.open_case(opening(difference, "usdt")).await.expect("opens");
    house.store.open_case(opening(owing, "alice")).await.expect("opens");
    let closing = CaseClosing {
        kind: difference,
        subject: "usdt".to_owned(),
        resolved_at: start().plus_seconds(60),
        resolution: "block 7 was read again".to_owned(),
    };
    assert!(house.store.resolve_case(closing).await.expect("resolves"));
    let finance = &house.keys.finance;
    let first = json!({
        "id": 1, "kind": "balance_difference", "subject": "usdt", "opened_at": start(),
        "facts": { "difference_base_units": "-5" }, "resolved_at": start().plus_seconds(60),
        "resolution": "block 7 was read again",
    });
    assert_eq!(house.get(finance, "/v1/cases/1").await.good(), first);
    let numbers = async |path: &str| -> Vec<Value> {
        let page = house.get(finance, path).await.good();
        page["items"].as_array().expect("items").iter().map(|case| case["id"].clone()).collect()
    };
    assert_eq!(numbers("/v1/cases").await, [2, 1]);
    assert_eq!(numbers("/v1/cases?open=true").await, [2]);
    assert_eq!(numbers("/v1/cases?kind=balance_difference").await, [1]);
    let page = house.get(finance, "/v1/cases?limit=1").await.good();
    let next = page["next"].as_str().expect("there is more");
    assert_eq!(numbers(&format!("/v1/cases?limit=1&after={next}")).await, [1]);
    for (path, status, code) in [
        ("/v1/cases/3", 404, "case_not_found"),
        ("/v1/cases/0", 400, "path_invalid"),
        ("/v1/cases/x", 400, "path_invalid"),
        ("/v1/cases?kind=trouble", 400, "query_invalid"),
        ("/v1/cases?after=1", 400, "cursor_invalid"),
    ] {
        assert_eq!(house.get(finance, path).await.problem(), (status, code.to_owned()), "{path}");
    }
}

#[tokio::test]
async fn what_waits_for_its_asset_says_so_everywhere() {
    let house = House::new().await;
    let order = house.order("alice", "USDT").await;
    let due: U256 = crate::house::read(&order["due"]["base_units"]);
    let paid = payment(USDT, due, 1);
    house.mine(vec![paid]).await;
    let order_path = format!("/v1/orders/{}", order["id"].as_str().expect("an id"));
    let transfer_path = format!("/v1/transfers/{}", paid.key.id());
    let before = house.get(&house.keys.alice, &order_path).await.good();
    assert_eq!(before["transfers"][0]["why"]["reason"], Value::Null);
    let why = "books_differ_from_chain: USDT".to_owned();
    halt(&house, &why).await;
    house.wake();
    let order = house.get(&house.keys.alice, &order_path).await.good();
    let transfer = house.get(&house.keys.operator, &transfer_path).await.good();
    for seen in [&order["transfers"][0], &transfer] {
        assert_eq!(
            (&seen["state"], &seen["why"]["reason"]),
            (&json!("pending"), &json!("asset_halted"))
        );
        let said = seen["why"]["explanation"].as_str().expect("a sentence");
        assert!(said.contains("until what is recorded of it is what the chain says"), "{said}");
    }
    let status = inspay_api::ChainStatus {
        chain_id: CHAIN,
        view: None,
        standby: None,
        trouble: None,
        notes: Vec::new(),
    };
    *house.chains.lock().expect("not poisoned") = vec![status.clone()];
    let ready = house.get("", "/readyz").await.good();
    let halted = &ready["chains"][0]["halted_assets"];
    assert_eq!((&halted[0]["why"], halted.as_array().map(Vec::len)), (&json!(why), Some(1)));
    // Beside a trouble of the whole chain it is named as well.
    let trouble = Some((inspay_api::ChainTroubleKind::Stalled, "no endpoint answers".to_owned()));
    *house.chains.lock().expect("not poisoned") =
        vec![inspay_api::ChainStatus { trouble, ..status }];
    let facts = house.get("", "/readyz").await.json()["errors"].clone();
    let codes: Vec<&Value> =
        facts.as_array().expect("facts").iter().map(|fact| &fact["code"]).collect();
    assert_eq!(codes, ["chain_stalled", "asset_halted"], "{facts}");
}

async fn halt(house: &House, why: &str) {
    let halt = AssetHalt {
        asset: USDT,
        treasury: TREASURY,
        halted_at: house.clock.now(),
        found_at: 100,
        why: why.to_owned(),
    };
    commit(house, vec![halt], Vec::new()).await;
}

async fn commit(house: &House, halted: Vec<AssetHalt>, lifted: Vec<(AssetId, Address)>) {
    let commit = HaltsCommit {
        fence: Fence { chain_id: CHAIN, number: FencingNumber::UNLEASED },
        halted,
        lifted,
        resolved: Vec::new(),
        opened: Vec::new(),
    };
    house.store.commit_halts(commit).await.expect("halts");
}

#[tokio::test]
async fn nothing_is_sold_in_an_asset_that_is_halted() {
    let house = House::new().await;
    let wish = json!({ "pack": "starter" });
    let before = house.post(&house.keys.alice, "/v1/quotes", &wish).await.json();
    halt(&house, "the balance is not what is recorded").await;
    let quote = house.post(&house.keys.alice, "/v1/quotes", &wish).await.json();
    let offers = quote["offers"].as_array().expect("offers");
    let of = |symbol: &str| {
        offers
            .iter()
            .find(|offer| offer["asset"]["symbol"] == symbol)
            .expect("an offer for each asset")
    };
    assert_eq!(of("USDT")["refusal"]["code"], "asset_halted", "{quote}");
    assert_eq!(of("INSPI")["payable"], true, "{quote}");
    // A quote from before, and one that says so itself.
    for quote in [&before, &quote] {
        let order = json!({ "quote": quote["id"], "account": "alice", "asset": "USDT" });
        let refused = house.post(&house.keys.alice, "/v1/orders", &order).await;
        assert_eq!(refused.problem(), (409, "asset_halted".to_owned()));
    }
    commit(&house, Vec::new(), vec![(USDT, TREASURY)]).await;
    let order = json!({ "quote": before["id"], "account": "alice", "asset": "USDT" });
    assert_eq!(house.post(&house.keys.alice, "/v1/orders", &order).await.status, 201);
}
