//! Many at once on one account: exactly its credits are spent, none twice, whoever dies meanwhile.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use inspay_devchain::{AnvilOptions, Devchain};
use inspay_it::{Asker, ChainText, Gateway, PATIENCE, said, settings_text};
use inspay_primitives::Credits;
use inspay_store_postgres::cluster::Cluster;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, timeout_at},
};

const SPENDERS: u64 = 64;
/// In lots that burn one after another, so that many a spend burns two of them.
const LOTS: [&str; 3] = ["60", "100.5", "89.5"];
const GRANTED: &str = "250.000000";
/// Answered requests after which a process is killed.
const KILLED_AFTER: [u64; 3] = [60, 180, 320];

async fn chain() -> Devchain {
    let options = AnvilOptions { slots_in_an_epoch: 32, ..AnvilOptions::default() };
    Devchain::start(options).await.expect("the chain starts")
}

fn credits(text: &Value) -> Credits {
    text.as_str().expect("credits").parse().expect("credits")
}

fn plus(sum: Credits, more: Credits) -> Credits {
    sum.checked_add(more).expect("fits")
}

/// Makes alice known and grants her lots.
async fn granted(asker: &Asker, lots: &[&str]) {
    let (status, told) = asker.ask(Method::PUT, "/v1/accounts/alice", "know", &json!({})).await;
    assert!(status.is_success(), "{told}");
    for (place, credits) in lots.iter().enumerate() {
        let grant = json!({
            "source": "prize", "reference": format!("p{place}"), "credits": credits, "priority": place,
        });
        let key = format!("grant-{place}");
        let (status, told) = asker.post("/v1/accounts/alice/grants", &key, &grant).await;
        assert_eq!(status, StatusCode::CREATED, "{told}");
    }
}

/// One of many who spend from one account.
struct Spender {
    asker: Asker,
    name: u64,
    asked: u64,
    answered: Arc<AtomicU64>,
    progress: watch::Sender<u64>,
    /// What was answered to be spent, by the reference that it was spent under.
    spent: BTreeMap<String, Credits>,
}

impl Spender {
    /// Asks under a key of its own; every third request is sent twice at once, and answered alike.
    async fn ask(&mut self, path: &str, body: &Value) -> (StatusCode, Value) {
        self.asked += 1;
        let key = format!("{}-{}", self.name, self.asked);
        let answer = if self.asked.is_multiple_of(3) {
            let (one, other) =
                tokio::join!(self.asker.post(path, &key, body), self.asker.post(path, &key, body));
            assert_eq!((one.0, &one.1["id"]), (other.0, &other.1["id"]), "{path} {key}");
            one
        } else {
            self.asker.post(path, &key, body).await
        };
        self.progress.send_replace(self.answered.fetch_add(1, Ordering::SeqCst) + 1);
        answer
    }

    fn wish(&self, credits: &str) -> (String, Value) {
        let reference = format!("r-{}-{}", self.name, self.asked + 1);
        let wish = json!({
            "account": "alice", "feature": "chat", "credits": credits, "reference": &reference,
        });
        (reference, wish)
    }

    /// Spends at once; whether there were credits for it.
    async fn spend(&mut self) -> bool {
        let (reference, wish) = self.wish("0.5");
        let (status, told) = self.ask("/v1/spends", &wish).await;
        if status == StatusCode::CREATED {
            assert_eq!(self.spent.insert(reference, credits(&told["credits"])), None);
            return true;
        }
        assert_eq!(
            (status, &told["code"]),
            (StatusCode::PAYMENT_REQUIRED, &json!("insufficient_credits"))
        );
        false
    }

    /// Holds, then captures a part or releases.
    async fn hold(&mut self) -> bool {
        let (reference, wish) = self.wish("1.5");
        let (status, told) = self.ask("/v1/holds", &wish).await;
        if status != StatusCode::CREATED {
            assert_eq!(told["code"], "insufficient_credits", "{status} {told}");
            return false;
        }
        let path = |how: &str| format!("/v1/holds/{}/{how}", told["id"].as_str().expect("an id"));
        if self.asked.is_multiple_of(2) {
            let (status, told) = self.ask(&path("release"), &json!({})).await;
            assert_eq!((status, &told["state"]), (StatusCode::OK, &json!("released")), "{told}");
        } else {
            let (status, told) = self.ask(&path("capture"), &json!({ "credits": "1" })).await;
            assert_eq!((status, &told["state"]), (StatusCode::OK, &json!("captured")), "{told}");
            assert_eq!(self.spent.insert(reference, credits(&told["captured"])), None);
        }
        true
    }

    async fn is_empty(&self) -> bool {
        let path = "/v1/accounts/alice/balance";
        let (_, told) = self.asker.ask(Method::GET, path, "look", &Value::Null).await;
        let nothing = json!("0.000000");
        told["available"] == nothing && told["held"] == nothing
    }

    /// Goes on until nothing is left and nothing is held: what another one holds may come back.
    async fn run(mut self) -> BTreeMap<String, Credits> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let done = if (self.name + self.asked).is_multiple_of(3) {
                self.spend().await
            } else {
                self.hold().await
            };
            if !done && !self.spend().await && self.is_empty().await {
                return self.spent;
            }
            assert!(Instant::now() < deadline, "the account does not run empty");
        }
    }
}

struct Crowd {
    spenders: JoinSet<BTreeMap<String, Credits>>,
    progress: watch::Receiver<u64>,
}

impl Crowd {
    /// Lets all of them begin, each at one of the processes.
    fn start(askers: &[Asker]) -> Self {
        let (sender, progress) = watch::channel(0);
        let answered = Arc::new(AtomicU64::new(0));
        let mut spenders = JoinSet::new();
        for (name, asker) in (0..SPENDERS).zip(askers.iter().cycle()) {
            let spender = Spender {
                asker: asker.clone(),
                name,
                asked: 0,
                answered: Arc::clone(&answered),
                progress: sender.clone(),
                spent: BTreeMap::new(),
            };
            spenders.spawn(spender.run());
        }
        Self { spenders, progress }
    }

    /// Waits until so many requests were answered.
    async fn answered(&mut self, requests: u64) {
        let deadline = Instant::now() + PATIENCE;
        let reached = self.progress.wait_for(|answered| *answered >= requests);
        timeout_at(deadline, reached).await.expect("in time").expect("somebody spends");
    }

    /// What was spent, as it was answered, by reference.
    async fn end(self) -> BTreeMap<String, Credits> {
        let mut all = BTreeMap::new();
        for part in self.spenders.join_all().await {
            for (reference, credits) in part {
                assert_eq!(all.insert(reference, credits), None);
            }
        }
        all
    }
}

/// The books have what was answered, each spend once, and every credit of every lot was spent.
async fn must_be_spent_once(gateway: &Gateway, answered: BTreeMap<String, Credits>) {
    let granted: Credits = GRANTED.parse().expect("credits");
    assert_eq!(answered.values().copied().fold(Credits::ZERO, plus), granted);
    let mut booked = BTreeMap::new();
    for usage in gateway.all("/v1/accounts/alice/usage").await {
        let reference = usage["purpose"]["reference"].as_str().expect("a reference").to_owned();
        assert_eq!(booked.insert(reference, credits(&usage["credits"])), None, "{usage}");
    }
    assert_eq!(booked, answered);
    let (_, balance) = gateway.get("/v1/accounts/alice/balance").await;
    assert_eq!((&balance["available"], &balance["held"]), (&json!("0.000000"), &json!("0.000000")));
    let open = gateway.all("/v1/accounts/alice/holds?open=true").await;
    assert_eq!(open, Vec::<Value>::new());
    let verified = gateway.command(&["ledger", "verify"]).await;
    assert!(verified.status.success(), "{}", said(&verified));
}

async fn empties(database_url: Option<String>) {
    let chain = chain().await;
    let settings = settings_text(chain.deployment(), ChainText::default());
    let gateway = Gateway::start(&settings, database_url).await;
    let (_base, asker) = gateway.asker();
    granted(&asker, &LOTS).await;
    let answered = Crowd::start(&[asker]).end().await;
    must_be_spent_once(&gateway, answered).await;
}

async fn empties_while_processes_die(database_url: Option<String>) {
    let chain = chain().await;
    let settings = settings_text(chain.deployment(), ChainText::default());
    let mut gateway = Gateway::start(&settings, database_url).await;
    let (base, asker) = gateway.asker();
    granted(&asker, &LOTS).await;
    let mut crowd = Crowd::start(&[asker]);
    for requests in KILLED_AFTER {
        crowd.answered(requests).await;
        gateway.kill().await;
        gateway.resume().await;
        base.send_replace(gateway.base());
    }
    let answered = crowd.end().await;
    must_be_spent_once(&gateway, answered).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_spenders_empty_an_account_exactly_on_sqlite() {
    empties(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_spenders_empty_an_account_exactly_on_postgres() {
    let cluster = Cluster::start().await.expect("PostgreSQL starts");
    empties(Some(cluster.empty_database().await.expect("a database"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_spenders_at_a_process_that_is_killed_empty_an_account_exactly_on_sqlite() {
    empties_while_processes_die(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_spenders_at_a_process_that_is_killed_empty_an_account_exactly_on_postgres() {
    let cluster = Cluster::start().await.expect("PostgreSQL starts");
    empties_while_processes_die(Some(cluster.empty_database().await.expect("a database"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_spenders_at_two_processes_empty_an_account_exactly() {
    let chain = chain().await;
    let cluster = Cluster::start().await.expect("PostgreSQL starts");
    let url = cluster.empty_database().await.expect("a database");
    let settings = settings_text(chain.deployment(), ChainText::default());
    let mut first = Gateway::start(&settings, Some(url)).await;
    let second = first.twin().await;
    let (base, of_first) = first.asker();
    let (_base, of_second) = second.asker();
    granted(&of_first, &LOTS).await;
    let mut crowd = Crowd::start(&[of_first, of_second]);
    // One of them dies, with the other at the same books.
    crowd.answered(150).await;
    first.kill().await;
    crowd.answered(250).await;
    first.resume().await;
    base.send_replace(first.base());
    let answered = crowd.end().await;
    must_be_spent_once(&second, answered).await;
}

/// So many requests at once, holds and spends by turns. Answers the holds, and how many requests passed.
async fn at_once(askers: &[Asker], round: &str, requests: u64) -> (Vec<Value>, usize) {
    let mut running = JoinSet::new();
    for (number, asker) in (0..requests).zip(askers.iter().cycle()) {
        let (asker, key) = (asker.clone(), format!("{round}-{number}"));
        let path = if number.is_multiple_of(2) { "/v1/holds" } else { "/v1/spends" };
        running.spawn(async move {
            let wish = json!({ "account": "alice", "feature": "chat", "units": 1 });
            (path, asker.post(path, &key, &wish).await)
        });
    }
    let (mut holds, mut passed) = (Vec::new(), 0);
    for (path, (status, told)) in running.join_all().await {
        if status == StatusCode::CREATED {
            passed += 1;
            holds.extend((path == "/v1/holds").then_some(told));
        } else {
            assert_eq!(
                (status, &told["code"]),
                (StatusCode::CONFLICT, &json!("limit_reached")),
                "{told}"
            );
        }
    }
    (holds, passed)
}

async fn keeps_a_cap(gateway: &Gateway, askers: &[Asker]) {
    let asker = askers.first().expect("one");
    granted(asker, &["5000"]).await;
    let limit = json!({
        "scope": "feature", "name": "chat", "window": "total", "action": "refuse", "cap": "100",
    });
    let (status, told) = asker.post("/v1/accounts/alice/limits", "limit", &limit).await;
    assert_eq!(status, StatusCode::CREATED, "{told}");
    let (holds, passed) = at_once(askers, "first", 1_000).await;
    assert_eq!(passed, 100);
    // What is given back makes room, for as much and no more.
    let back = holds.len().min(7);
    for (number, hold) in holds.iter().take(back).enumerate() {
        let path = format!("/v1/holds/{}/release", hold["id"].as_str().expect("an id"));
        let (status, told) = asker.post(&path, &format!("back-{number}"), &json!({})).await;
        assert_eq!(status, StatusCode::OK, "{told}");
    }
    assert_eq!(at_once(askers, "second", 100).await.1, back);
    let (_, limits) = gateway.get("/v1/accounts/alice/limits").await;
    assert_eq!(limits["items"][0]["left"], "0.000000", "{limits}");
    assert_eq!(gateway.available("alice").await, "4900.000000");
    let mut told = 0;
    let mut after = json!("0");
    loop {
        let path = format!("/v1/events?limit=200&after={}", after.as_str().expect("a number"));
        let (_, page) = gateway.get(&path).await;
        let events = page["items"].as_array().expect("events");
        if events.is_empty() {
            break;
        }
        told += events.iter().filter(|event| event["type"] == "limit.refused").count();
        after = page["next"].clone();
    }
    assert_eq!(told, 1, "a refusal is told once a window");
    let verified = gateway.command(&["ledger", "verify"]).await;
    assert!(verified.status.success(), "{}", said(&verified));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_thousand_requests_at_once_a_cap_of_a_hundred_passes_a_hundred_on_sqlite() {
    let chain = chain().await;
    let settings = settings_text(chain.deployment(), ChainText::default());
    let gateway = Gateway::start(&settings, None).await;
    let (_base, asker) = gateway.asker();
    keeps_a_cap(&gateway, &[asker]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_thousand_requests_at_two_processes_a_cap_of_a_hundred_passes_a_hundred() {
    let chain = chain().await;
    let cluster = Cluster::start().await.expect("PostgreSQL starts");
    let url = cluster.empty_database().await.expect("a database");
    let settings = settings_text(chain.deployment(), ChainText::default());
    let first = Gateway::start(&settings, Some(url)).await;
    let second = first.twin().await;
    let ((_one, of_first), (_other, of_second)) = (first.asker(), second.asker());
    keeps_a_cap(&first, &[of_first, of_second]).await;
}
