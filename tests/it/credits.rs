//! Credits from the payment that bought them to the last one that lapses, on a real chain, as the application sees it.

use inspay_devchain::{AnvilOptions, Devchain};
use inspay_it::{ChainText, Gateway, pay, settings_text};
use inspay_primitives::{Credits, Timestamp};
use inspay_store_postgres::cluster::Cluster;
use reqwest::StatusCode;
use serde_json::{Value, json};

async fn chain() -> Devchain {
    let options = AnvilOptions { slots_in_an_epoch: 32, ..AnvilOptions::default() };
    Devchain::start(options).await.expect("the chain starts")
}

async fn good(gateway: &mut Gateway, path: &str, body: Value) -> Value {
    let (status, answer) = gateway.post(path, &body).await;
    assert!(status.is_success(), "{path}: {status} {answer}");
    answer
}

async fn hold(gateway: &mut Gateway, feature: &str) -> (StatusCode, Value) {
    let body = json!({ "account": "alice", "feature": feature, "units": 1, "project": "book-7" });
    gateway.post("/v1/holds", &body).await
}

async fn end(gateway: &mut Gateway, hold: &Value, how: &str) -> Value {
    let path = format!("/v1/holds/{}/{how}", hold["id"].as_str().expect("an id"));
    good(gateway, &path, json!({})).await
}

/// Buys so many credits for alice and waits until they are there.
async fn buy(gateway: &mut Gateway, chain: &Devchain, credits: &str) {
    let quote = good(gateway, "/v1/quotes", json!({ "credits": credits })).await;
    let order = json!({ "quote": quote["id"], "asset": "USDT", "account": "alice" });
    let order = good(gateway, "/v1/orders", order).await;
    pay(chain, &order, chain.buyer(0)).await;
    chain.mine(1).await.expect("mines");
    gateway.wait_for(&order, "paid").await;
}

async fn lives(database_url: Option<String>) {
    let chain = chain().await;
    let settings = settings_text(chain.deployment(), ChainText::default());
    let mut gateway = Gateway::start(&settings, database_url).await;
    buy(&mut gateway, &chain, "100").await;
    let failed = hold(&mut gateway, "video").await.1;
    end(&mut gateway, &failed, "release").await;
    assert_eq!(gateway.available("alice").await, "100.000000");
    let made = hold(&mut gateway, "video").await.1;
    end(&mut gateway, &made, "capture").await;
    assert_eq!(gateway.available("alice").await, "84.000000");
    let (status, short) = hold(&mut gateway, "book_grading").await;
    assert_eq!(status, StatusCode::PAYMENT_REQUIRED, "{short}");
    assert_eq!(short["code"], "insufficient_credits");
    assert_eq!(short["errors"][0]["code"], "minimum_purchase");
    let least = short["errors"][0]["detail"].as_str().expect("credits").to_owned();
    buy(&mut gateway, &chain, &least).await;
    let graded = hold(&mut gateway, "book_grading").await.1;
    end(&mut gateway, &graded, "capture").await;
    #[expect(clippy::disallowed_methods, reason = "the gateway's clock is the system's")]
    let now = std::time::SystemTime::now() + std::time::Duration::from_secs(2);
    let soon = now.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    let soon = Timestamp::from_chain_seconds(soon).to_string();
    let prize = json!({ "source": "prize", "reference": "p", "credits": "5", "expires_at": soon });
    let lot = good(&mut gateway, "/v1/accounts/alice/grants", prize).await;
    let path = format!("/v1/lots/{}", lot["id"].as_str().expect("a lot"));
    gateway.wait(&path, |lot| lot["expired"] == "5.000000").await;
    let history = gateway.all("/v1/accounts/alice/history").await;
    let told: Vec<String> = history
        .iter()
        .rev()
        .map(|line| {
            let text = |name: &str| line[name].as_str().unwrap_or("-").to_owned();
            format!("{} {} {}", text("kind"), text("credits"), text("held"))
        })
        .collect();
    let bought: Credits = least.parse().expect("credits");
    let bought = format!("settle {bought} 0.000000");
    assert_eq!(
        told,
        [
            "settle 100.000000 0.000000",
            "hold -16.000000 16.000000",
            "release 16.000000 -16.000000",
            "hold -16.000000 16.000000",
            "capture 0.000000 -16.000000",
            bought.as_str(),
            "hold -100.000000 100.000000",
            "capture 0.000000 -100.000000",
            "grant 5.000000 0.000000",
            "expire -5.000000 0.000000",
        ]
    );
    gateway.must_reconcile().await;
    let verified = gateway.command(&["ledger", "verify"]).await;
    assert!(verified.status.success(), "{}", inspay_it::said(&verified));
    is_told_on_the_command_line(&gateway).await;
}

/// What the interface answers is what the commands print, to the byte.
async fn is_told_on_the_command_line(gateway: &Gateway) {
    let day_before = ["--from", "2020-01-01", "--to", "2020-01-02"];
    for (command, path) in [
        (vec!["balance"], "balance?"),
        (vec!["history"], "history?"),
        (
            vec!["history", "--kind", "hold", "--project", "book-7"],
            "history?kind=hold&project=book-7&",
        ),
        (vec!["lots"], "lots?"),
        (vec!["holds"], "holds?"),
        (vec!["spends"], "usage?"),
        (vec!["usage", "--by", "feature"], "usage/summary?by=feature&"),
        (vec!["limits"], "limits?"),
    ] {
        let arguments = [&["credits", command[0], "alice", "--csv"], &command[1..]].concat();
        let printed = gateway.command(&arguments).await;
        let sheet = gateway.text(&format!("/v1/accounts/alice/{path}format=csv")).await;
        assert_eq!(String::from_utf8_lossy(&printed.stdout), sheet, "{arguments:?}");
        // Nothing is left, and nothing was limited.
        assert!(sheet.lines().count() > 1 || ["lots?", "limits?"].contains(&path), "{sheet}");
    }
    let told = gateway.command(&[&["credits", "history", "alice"], &day_before[..]].concat()).await;
    assert_eq!(String::from_utf8_lossy(&told.stdout), "nothing yet\n");
    let unknown = gateway.command(&["credits", "balance", "nobody"]).await;
    assert_eq!(unknown.status.code(), Some(1));
    assert!(inspay_it::said(&unknown).contains("there is no account nobody"));
    let both = gateway.command(&["credits", "balance", "alice", "--csv", "--json"]).await;
    assert_eq!(both.status.code(), Some(2), "{}", inspay_it::said(&both));
}

#[tokio::test(flavor = "multi_thread")]
async fn credits_live_from_the_payment_to_the_last_one_that_lapses_on_sqlite() {
    lives(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credits_live_from_the_payment_to_the_last_one_that_lapses_on_postgres() {
    let cluster = Cluster::start().await.expect("PostgreSQL starts");
    let url = cluster.empty_database().await.expect("a database");
    lives(Some(url)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credits_that_were_spent_are_owed_when_their_payment_leaves_the_chain() {
    let chain = chain().await;
    let settings = settings_text(chain.deployment(), ChainText::default());
    let mut gateway = Gateway::start(&settings, None).await;
    let quote = good(&mut gateway, "/v1/quotes", json!({ "credits": "100" })).await;
    let order = json!({ "quote": quote["id"], "asset": "USDT", "account": "alice" });
    let order = good(&mut gateway, "/v1/orders", order).await;
    let payment = pay(&chain, &order, chain.buyer(0)).await;
    let raw = chain.raw_transaction(payment).await.expect("the payment");
    chain.mine(1).await.expect("mines");
    gateway.wait_for(&order, "paid").await;
    let made = hold(&mut gateway, "video").await.1;
    end(&mut gateway, &made, "capture").await;
    chain.reorg(2, Vec::new()).await.expect("reorganises");
    gateway.wait_for(&order, "open").await;
    assert_eq!(gateway.available("alice").await, "-16.000000");
    let (status, refused) = hold(&mut gateway, "chat").await;
    assert_eq!(
        (status, &refused["code"]),
        (StatusCode::PAYMENT_REQUIRED, &json!("account_negative"))
    );
    let cases = gateway.all("/v1/cases").await;
    assert_eq!(cases[0]["kind"], "negative_account");
    chain.remine(&raw).await.expect("mines it again");
    chain.mine(1).await.expect("mines");
    gateway.wait_for(&order, "paid").await;
    assert_eq!(gateway.available("alice").await, "84.000000");
    assert!(!gateway.all("/v1/cases").await[0]["resolved_at"].is_null());
    hold(&mut gateway, "chat").await;
    assert_eq!(gateway.available("alice").await, "83.000000");
    gateway.must_reconcile().await;
}
