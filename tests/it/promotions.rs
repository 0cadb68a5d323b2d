//! Many grants at once of one promotion: its budget is granted to the last credit that fits, and never more.

use std::collections::BTreeMap;

use inspay_devchain::{AnvilOptions, Devchain};
use inspay_it::{Asker, ChainText, Gateway, said, settings_text};
use inspay_primitives::Credits;
use inspay_store_postgres::cluster::Cluster;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const ACCOUNTS: u64 = 8;
const BUDGET: &str = "100";
/// How often `PIECE` fits into the budget, and what is left then.
const PIECE: &str = "0.75";
const PIECES: usize = 133;
const REST: &str = "0.25";
/// Lots that are taken back, each of which makes room for one of its size.
const REVOKED: usize = 7;

async fn chain() -> Devchain {
    let options = AnvilOptions { slots_in_an_epoch: 32, ..AnvilOptions::default() };
    Devchain::start(options).await.expect("the chain starts")
}

fn settings(chain: &Devchain) -> String {
    let chain = settings_text(chain.deployment(), ChainText::default());
    format!("{chain}\n[credits]\ncampaigns = {{ spring = \"{BUDGET}\", autumn = \"1\" }}\n")
}

fn account(number: u64) -> String {
    format!("buyer-{}", number % ACCOUNTS)
}

async fn make_known(asker: &Asker) {
    for number in 0..ACCOUNTS {
        let (path, key) = (format!("/v1/accounts/{}", account(number)), format!("know-{number}"));
        let (status, told) = asker.ask(Method::PUT, &path, &key, &json!({})).await;
        assert!(status.is_success(), "{told}");
    }
}

/// One of a round's grants. Every third is asked for twice at once, under two keys and one reference: one lot.
async fn grant(
    asker: Asker,
    round: &'static str,
    number: u64,
    credits: &'static str,
) -> Option<Value> {
    let path = format!("/v1/accounts/{}/grants", account(number));
    let wish = json!({
        "source": "promotion", "campaign": "spring", "reference": format!("{round}-{number}"),
        "credits": credits,
    });
    let key = |time: &str| format!("{round}-{number}-{time}");
    let (status, told) = if number.is_multiple_of(3) {
        let (once, twice) = (key("once"), key("twice"));
        let (one, other) =
            tokio::join!(asker.post(&path, &once, &wish), asker.post(&path, &twice, &wish));
        assert_eq!((one.0, &one.1["id"]), (other.0, &other.1["id"]), "{} {}", one.1, other.1);
        one
    } else {
        asker.post(&path, &key("once"), &wish).await
    };
    if status == StatusCode::CREATED {
        return Some(told);
    }
    assert_eq!((status, &told["code"]), (StatusCode::CONFLICT, &json!("budget_spent")), "{told}");
    None
}

/// So many grants at once, to all accounts by turns and at all processes. Answers the lots.
async fn at_once(
    askers: &[Asker],
    round: &'static str,
    grants: u64,
    credits: &'static str,
) -> Vec<Value> {
    let mut running = JoinSet::new();
    for (number, asker) in (0..grants).zip(askers.iter().cycle()) {
        running.spawn(grant(asker.clone(), round, number, credits));
    }
    running.join_all().await.into_iter().flatten().collect()
}

/// What all accounts have.
async fn available(gateway: &Gateway) -> Credits {
    let mut sum = Credits::ZERO;
    for number in 0..ACCOUNTS {
        let told = gateway.available(&account(number)).await;
        let more: Credits = told.as_str().expect("credits").parse().expect("credits");
        sum = sum.checked_add(more).expect("fits");
    }
    sum
}

async fn keeps_a_budget(gateway: &Gateway, askers: &[Asker]) {
    let asker = askers.first().expect("one");
    make_known(asker).await;
    let lots = at_once(askers, "first", 300, PIECE).await;
    assert_eq!(lots.len(), PIECES);
    let ids: BTreeMap<&str, &Value> =
        lots.iter().map(|lot| (lot["id"].as_str().expect("an id"), lot)).collect();
    assert_eq!(ids.len(), PIECES, "a lot was answered to two");
    assert_eq!(at_once(askers, "rest", 20, REST).await.len(), 1);
    let budget: Credits = BUDGET.parse().expect("credits");
    assert_eq!(available(gateway).await, budget);
    // What is taken back can be granted again, and no more than that.
    for id in ids.keys().take(REVOKED) {
        let (status, told) =
            asker.post(&format!("/v1/lots/{id}/revoke"), &format!("back-{id}"), &json!({})).await;
        assert_eq!((status, &told["revoked"]), (StatusCode::OK, &json!(true)), "{told}");
    }
    assert_eq!(at_once(askers, "again", 60, PIECE).await.len(), REVOKED);
    assert_eq!(available(gateway).await, budget);
    // Another promotion has a budget of its own.
    let other = json!({
        "source": "promotion", "campaign": "autumn", "reference": "other", "credits": "1",
    });
    let path = format!("/v1/accounts/{}/grants", account(0));
    let (status, told) = asker.post(&path, "other", &other).await;
    assert_eq!(status, StatusCode::CREATED, "{told}");
    let verified = gateway.command(&["ledger", "verify"]).await;
    assert!(verified.status.success(), "{}", said(&verified));
}

#[tokio::test(flavor = "multi_thread")]
async fn grants_at_once_spend_a_promotions_budget_exactly_on_sqlite() {
    let chain = chain().await;
    let gateway = Gateway::start(&settings(&chain), None).await;
    let (_base, asker) = gateway.asker();
    keeps_a_budget(&gateway, &[asker]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grants_at_two_processes_spend_a_promotions_budget_exactly() {
    let chain = chain().await;
    let cluster = Cluster::start().await.expect("PostgreSQL starts");
    let url = cluster.empty_database().await.expect("a database");
    let first = Gateway::start(&settings(&chain), Some(url)).await;
    let second = first.twin().await;
    let ((_one, of_first), (_other, of_second)) = (first.asker(), second.asker());
    keeps_a_budget(&first, &[of_first, of_second]).await;
}
