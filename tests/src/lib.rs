//! The harness of the end-to-end tests: the binary as its users run it.
//!
//! Never sleeps for a guess: it waits on a condition, with a deadline.
#![expect(clippy::panic, reason = "a harness fails the test that it serves")]

mod asker;
pub mod crash;
pub mod live;
pub mod proxy;

use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

pub use asker::Asker;
use inspay_devchain::{Deployment, Devchain};
use inspay_primitives::{Address, B256, Reference, U256};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::{Instant, interval},
};

/// How long anything may take before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Where the binary is: beside this executable, or beside the folder of a test's. `make` builds it first.
///
/// # Panics
///
/// If it is not there.
#[must_use]
pub fn inspay_binary() -> PathBuf {
    let this = std::env::current_exe().expect("a running test has a path");
    let beside = this.parent().expect("an executable lies in a folder").join("inspay");
    let above = this.parent().and_then(Path::parent).expect("a test lies in target/<profile>/deps");
    let binary = if beside.is_file() { beside } else { above.join("inspay") };
    assert!(binary.is_file(), "{} is missing: run `cargo build --bin inspay`", binary.display());
    binary
}

/// Runs the binary to its end in `folder`, with these variables and no others of ours.
///
/// # Panics
///
/// If it cannot be started.
pub async fn inspay(folder: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = Command::new(inspay_binary());
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    for name in ["DATABASE_URL", "INSPAY_SETTINGS", "INSPAY_LISTEN", "INSPAY_LOG"] {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied()).output().await.expect("the binary starts")
}

/// What a run printed as its result, as JSON.
///
/// # Panics
///
/// If it is no JSON.
#[must_use]
pub fn json_of(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|why| {
        panic!("no JSON ({why}): {text}\n{}", String::from_utf8_lossy(&output.stderr))
    })
}

/// What a run said beside its result.
#[must_use]
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// How a test's chain is written into settings.
#[derive(Clone, Copy, Debug)]
pub struct ChainText {
    /// Chain id in the settings.
    pub id: u64,
    /// Decimals of USDT in the settings.
    pub usdt_decimals: u8,
    /// Confirmations of both assets.
    pub confirmations: u32,
}

impl Default for ChainText {
    fn default() -> Self {
        Self { id: 31_337, usdt_decimals: 6, confirmations: 2 }
    }
}

/// A settings file for a local chain.
#[must_use]
pub fn settings_text(place: &Deployment, chain: ChainText) -> String {
    let feed = |aggregator: Address| {
        format!(
            "{{ kind = \"chainlink\", aggregator = \"{aggregator}\", heartbeat_seconds = 86400 }}"
        )
    };
    let rates = [feed(place.inspi_feed), feed(place.usdt_feed)];
    written(place, chain, std::slice::from_ref(&place.http_url), &place.ws_url, &rates)
}

/// As [`settings_text`], with other ways to the chain, and with fixed rates: what is sold must not depend
/// on the ways that are tried.
#[must_use]
pub fn settings_through(place: &Deployment, chain: ChainText, http: &[String], ws: &str) -> String {
    let fixed = |usd: &str| format!("{{ kind = \"fixed\", usd = \"{usd}\" }}");
    written(place, chain, http, ws, &[fixed("0.05"), fixed("1")])
}

fn written(
    place: &Deployment,
    chain: ChainText,
    http: &[String],
    ws: &str,
    [inspi_rate, usdt_rate]: &[String; 2],
) -> String {
    let ChainText { id, usdt_decimals, confirmations } = chain;
    let asset = |symbol: &str, contract: Address, decimals: u8, rate: &str| {
        format!(
            "[[chains.assets]]\nsymbol = \"{symbol}\"\ncontract = \"{contract}\"\ndecimals = {decimals}\n\
             confirmations = [{{ depth = {confirmations} }}]\n\
             rates = [{rate}]\n\
             rate_rules = {{ max_age_seconds = 86400 }}\n"
        )
    };
    let http = http.iter().map(|url| format!("\"{url}\"")).collect::<Vec<_>>().join(", ");
    format!(
        "[[chains]]\nid = {id}\nname = \"test\"\nhttp = [{http}]\nws = \"{ws}\"\npoll_interval_ms = 200\n\
         treasuries = [{{ address = \"{}\" }}]\n\
         native = {{ symbol = \"ETH\", rates = [{{ kind = \"fixed\", usd = \"2500\" }}] }}\n{}{}",
        place.treasury,
        asset("INSPI", place.inspi, 18, inspi_rate),
        asset("USDT", place.usdt, usdt_decimals, usdt_rate),
    )
}

/// A gateway as a process of its own, with a client.
#[derive(Debug)]
pub struct Gateway {
    folder: TempDir,
    database_url: String,
    key: String,
    base: String,
    client: Client,
    child: Option<Child>,
    requests: u64,
}

impl Gateway {
    /// Writes settings, makes a key, starts the gateway. `database_url` of `None` takes an SQLite file.
    ///
    /// # Panics
    ///
    /// If any of it fails.
    pub async fn start(settings: &str, database_url: Option<String>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("inspay.toml"), settings).expect("settings");
        let database_url = database_url
            .unwrap_or_else(|| format!("sqlite:{}", folder.path().join("test.db").display()));
        let variables = [("DATABASE_URL", database_url.as_str())];
        let migrated = inspay(folder.path(), &variables, &["migrate"]).await;
        assert!(migrated.status.success(), "{}", said(&migrated));
        let made = inspay(
            folder.path(),
            &variables,
            &["keys", "create", "test", "--scope", "operator", "--json"],
        )
        .await;
        let key = json_of(&made)["key"].as_str().expect("a key").to_owned();
        let client = Client::builder().no_proxy().timeout(PATIENCE).build().expect("a client");
        let base = String::new();
        let mut gateway =
            Self { folder, database_url, key, base, client, child: None, requests: 0 };
        gateway.resume().await;
        gateway
    }

    /// As [`Self::start`], but this process has these roles only.
    ///
    /// # Panics
    ///
    /// If any of it fails.
    pub async fn start_with_roles(settings: &str, database_url: String, roles: &str) -> Self {
        let mut gateway = Self::start(settings, Some(database_url)).await;
        gateway.kill().await;
        gateway.launch(&["--roles", roles], &[]).await;
        gateway
    }

    /// Starts the process again, on what is in the database.
    ///
    /// # Panics
    ///
    /// If it does not come to listen.
    pub async fn resume(&mut self) {
        self.launch(&[], &[]).await;
    }

    async fn launch(&mut self, further: &[&str], variables: &[(&str, &str)]) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("gateway.log"))
            .expect("a log");
        let mut child = Command::new(inspay_binary())
            .args([
                "serve",
                "--json",
                "--listen",
                "127.0.0.1:0",
                "--until-stdin-closes",
                "--log",
                "info",
            ])
            .args(further)
            .current_dir(self.folder.path())
            .env("DATABASE_URL", &self.database_url)
            .env_remove("INSPAY_SETTINGS")
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("the gateway starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("standard output is piped");
        BufReader::new(stdout).read_line(&mut line).await.expect("a line");
        let told: Value = serde_json::from_str(&line)
            .unwrap_or_else(|why| panic!("{why}: {line:?}\n{}", self.log()));
        told["url"].as_str().expect("a URL").clone_into(&mut self.base);
        self.child = Some(child);
    }

    /// Writes other settings, for the next start.
    ///
    /// # Panics
    ///
    /// If the file cannot be written.
    pub fn change_settings(&self, settings: &str) {
        std::fs::write(self.folder.path().join("inspay.toml"), settings).expect("settings");
    }

    /// Starts a further process of some roles on the same settings and database; it ends with what is returned.
    ///
    /// # Panics
    ///
    /// If it does not start.
    #[must_use]
    pub fn beside(&self, roles: &str) -> Child {
        Command::new(inspay_binary())
            .args(["serve", "--listen", "127.0.0.1:0", "--until-stdin-closes", "--roles", roles])
            .current_dir(self.folder.path())
            .env("DATABASE_URL", &self.database_url)
            .env_remove("INSPAY_SETTINGS")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("a further process starts")
    }

    /// Kills the process where it stands.
    ///
    /// # Panics
    ///
    /// If it does not end.
    pub async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().await.expect("it ends");
        }
    }

    /// The process's log.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("gateway.log")).unwrap_or_default()
    }

    /// Runs a command of the binary on the same settings and database.
    pub async fn command(&self, arguments: &[&str]) -> Output {
        inspay(self.folder.path(), &[("DATABASE_URL", &self.database_url)], arguments).await
    }

    /// Asks; answers status and body.
    ///
    /// # Panics
    ///
    /// If there is no answer.
    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        let request = self.client.get(format!("{}{path}", self.base)).bearer_auth(&self.key);
        let answer = request.send().await.unwrap_or_else(|why| panic!("{why}\n{}", self.log()));
        let status = answer.status();
        (status, answer.json().await.unwrap_or_default())
    }

    /// What is answered to a request, as it is.
    ///
    /// # Panics
    ///
    /// If nothing is answered.
    pub async fn text(&self, path: &str) -> String {
        let request = self.client.get(format!("{}{path}", self.base)).bearer_auth(&self.key);
        let answer = request.send().await.unwrap_or_else(|why| panic!("{why}\n{}", self.log()));
        answer.text().await.unwrap_or_default()
    }

    /// Makes a further key; answers the key.
    ///
    /// # Panics
    ///
    /// If it is refused.
    pub async fn make_key(&self, label: &str, scope: &str) -> String {
        let made = self.command(&["keys", "create", label, "--scope", scope, "--json"]).await;
        json_of(&made)["key"].as_str().expect("a key").to_owned()
    }

    /// The same gateway, asked with another key from now on. Answers the key of before.
    pub fn use_key(&mut self, key: String) -> String {
        std::mem::replace(&mut self.key, key)
    }

    /// The process that runs, if one does.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// Where everything of this gateway lies.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// All of a list, page by page.
    ///
    /// # Panics
    ///
    /// If a page has no items.
    pub async fn all(&self, path: &str) -> Vec<Value> {
        let joint = if path.contains('?') { '&' } else { '?' };
        let mut items: Vec<Value> = Vec::new();
        let mut after = String::new();
        loop {
            let (_, page) = self.get(&format!("{path}{joint}limit=200{after}")).await;
            items.extend(page["items"].as_array().expect("items").iter().cloned());
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return items,
            }
        }
    }

    fn posting(&mut self, path: &str, body: &Value) -> RequestBuilder {
        self.requests += 1;
        self.client
            .post(format!("{}{path}", self.base))
            .bearer_auth(&self.key)
            .header("Idempotency-Key", format!("test-{}", self.requests))
            .json(body)
    }

    /// Posts with an idempotency key of its own; answers status and body.
    ///
    /// # Panics
    ///
    /// If there is no answer.
    pub async fn post(&mut self, path: &str, body: &Value) -> (StatusCode, Value) {
        let answer = self
            .posting(path, body)
            .send()
            .await
            .unwrap_or_else(|why| panic!("{why}\n{}", self.log()));
        let status = answer.status();
        (status, answer.json().await.unwrap_or_default())
    }

    /// Quotes a starter pack and orders it in `asset` for `account`.
    ///
    /// # Panics
    ///
    /// If the gateway refuses.
    pub async fn order(&mut self, account: &str, asset: &str) -> Value {
        let (status, quote) = self.post("/v1/quotes", &json!({ "pack": "starter" })).await;
        assert!(status.is_success(), "{quote}");
        let wish = json!({ "quote": quote["id"], "asset": asset, "account": account });
        let (status, order) = self.post("/v1/orders", &wish).await;
        assert!(status.is_success(), "{order}");
        order
    }

    /// Looks again and again until `done` holds of what `path` answers.
    ///
    /// # Panics
    ///
    /// If it does not come to hold in time.
    pub async fn wait(&self, path: &str, done: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        let mut looks = interval(Duration::from_millis(25));
        loop {
            looks.tick().await;
            let (_, seen) = self.get(path).await;
            if done(&seen) {
                return seen;
            }
            assert!(Instant::now() < deadline, "waited in vain; last seen: {seen}\n{}", self.log());
        }
    }

    /// Waits until an order is in `state`.
    pub async fn wait_for(&self, order: &Value, state: &str) -> Value {
        self.wait(&order_path(order), |seen| seen["state"] == state).await
    }

    /// The credits that `account` can spend.
    pub async fn available(&self, account: &str) -> Value {
        self.get(&format!("/v1/accounts/{account}/balance")).await.1["available"].clone()
    }

    /// Reconciles and verifies; both must agree.
    ///
    /// # Panics
    ///
    /// If books, chain or laws differ.
    pub async fn must_reconcile(&self) -> Value {
        let reconciled = self.command(&["reconcile", "--json"]).await;
        assert!(reconciled.status.success(), "{}{}", json_of(&reconciled), said(&reconciled));
        let verified = self.command(&["ledger", "verify", "--json"]).await;
        assert!(verified.status.success(), "{}{}", json_of(&verified), said(&verified));
        json_of(&reconciled)
    }
}

/// The path of an order.
#[must_use]
pub fn order_path(order: &Value) -> String {
    format!("/v1/orders/{}", order["id"].as_str().unwrap_or_default())
}

/// What an order asks for, in base units.
///
/// # Panics
///
/// If the order cannot be read.
#[must_use]
pub fn due(order: &Value) -> U256 {
    text(&order["payment"]["amount"]["base_units"]).parse().expect("an amount")
}

/// The reference that an order's payment carries.
///
/// # Panics
///
/// If the order cannot be read.
#[must_use]
pub fn reference(order: &Value) -> Reference {
    text(&order["reference"]).parse().expect("a reference")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// Sends what an order asks for, reference included, and answers the chain transaction.
///
/// # Panics
///
/// If the order cannot be read or the chain refuses.
pub async fn pay(chain: &Devchain, order: &Value, payer: Address) -> B256 {
    let token: Address = text(&order["token"]).parse().expect("a token");
    let treasury: Address = text(&order["treasury"]).parse().expect("a treasury");
    chain
        .transfer(token, payer, treasury, due(order), Some(reference(order)))
        .await
        .expect("the payment is mined")
}
