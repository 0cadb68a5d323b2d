//! The demo's world: a local chain, a database, a gateway process, and the shop that talks to it.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use alloy_primitives::B256;
use inspay_devchain::{AnvilOptions, Deployment, Devchain, DevchainError};
use inspay_ports::{ApiKeyRecord, KeyScope};
use inspay_primitives::{Address, Clock as _, Timestamp};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

use super::shop::Shop;
use crate::{
    cli::environment,
    exit::{Failure, FailureKind, Outcome},
    output::{self, Form},
    settings::{self, Database, Settings},
    system_clock::SystemClock,
    wiring::{ScratchDatabase, database_failure, migrate_store},
};

/// Blocks that the demo's payments wait for: enough that a payment is seen before it is settled.
pub(super) const CONFIRMATIONS: u32 = 3;
/// `finalized` trails by twice as many blocks, which leaves room to reorganise what is settled.
const SLOTS_IN_AN_EPOCH: u64 = 32;

/// Where the demo keeps its files.
#[derive(Debug)]
enum Folder {
    Passing(TempDir),
    Kept(PathBuf),
}

impl Folder {
    fn path(&self) -> &Path {
        match self {
            Self::Passing(folder) => folder.path(),
            Self::Kept(path) => path,
        }
    }
}

/// The demo's world.
#[derive(Debug)]
pub(super) struct World {
    pub(super) chain: Devchain,
    pub(super) settings: Settings,
    pub(super) shop: Shop,
    settings_file: PathBuf,
    database_url: String,
    scratch: Option<ScratchDatabase>,
    gateway: Option<Child>,
    folder: Folder,
    form: Form,
}

pub(super) fn chain_failure(act: &str) -> impl Fn(DevchainError) -> Failure + '_ {
    move |why| Failure::new(FailureKind::Chain, act, why)
}

fn file_failure(why: std::io::Error) -> Failure {
    Failure::new(FailureKind::Other, "cannot write the demo's files", why)
}

/// The settings file of the demo's gateway.
fn settings_text(place: &Deployment) -> String {
    let asset = |symbol: &str, contract: Address, decimals: u8, feed: Address, band: &str| {
        format!(
            r#"
[[chains.assets]]
symbol = "{symbol}"
contract = "{contract}"
decimals = {decimals}
confirmations = [{{ depth = {CONFIRMATIONS} }}]
rates = [{{ kind = "chainlink", aggregator = "{feed}", heartbeat_seconds = 86400 }}]
rate_rules = {{ max_age_seconds = 86400{band} }}
"#
        )
    };
    format!(
        r#"[[chains]]
id = {}
name = "demo"
http = ["{}"]
ws = "{}"
treasuries = [{{ address = "{}" }}]
native = {{ symbol = "ETH", rates = [{{ kind = "fixed", usd = "2500" }}] }}
poll_interval_ms = 200
{}{}"#,
        place.chain_id,
        place.http_url,
        place.ws_url,
        place.treasury,
        asset("INSPI", place.inspi, 18, place.inspi_feed, ""),
        asset(
            "USDT",
            place.usdt,
            6,
            place.usdt_feed,
            r#", band = { low = "0.97", high = "1.03" }"#
        ),
    )
}

impl World {
    pub(super) async fn start(keep: Option<PathBuf>, form: Form) -> Outcome<Self> {
        let folder = match keep {
            Some(path) => {
                std::fs::create_dir_all(&path).map_err(file_failure)?;
                Folder::Kept(path)
            }
            None => Folder::Passing(tempfile::tempdir().map_err(file_failure)?),
        };
        let options =
            AnvilOptions { slots_in_an_epoch: SLOTS_IN_AN_EPOCH, ..AnvilOptions::default() };
        let chain = Devchain::start(options)
            .await
            .map_err(chain_failure("cannot start the local chain"))?;
        let scratch = match environment("DATABASE_URL") {
            Some(url) if !url.starts_with("sqlite:") => Some(ScratchDatabase::create(&url).await?),
            _ => None,
        };
        let database_url = scratch.as_ref().map_or_else(
            || format!("sqlite:{}", folder.path().join("demo.db").display()),
            |scratch| scratch.url().to_owned(),
        );
        let settings_file = folder.path().join("inspay.toml");
        std::fs::write(&settings_file, settings_text(chain.deployment())).map_err(file_failure)?;
        let url = database_url.clone();
        let settings = settings::load(Some(&settings_file), &move |name| {
            (name == "DATABASE_URL").then(|| url.clone())
        })
        .map_err(|why| {
            Failure::new(FailureKind::Settings, "cannot use the demo's settings", why)
        })?;
        let shop = Shop::new(make_key(&settings.database).await?)?;
        let mut world = Self {
            chain,
            settings,
            shop,
            settings_file,
            database_url,
            scratch,
            gateway: None,
            folder,
            form,
        };
        world.start_gateway().await?;
        Ok(world)
    }

    /// Tells people what happens; programs get the result only.
    pub(super) fn say(&self, text: &str) {
        if self.form == Form::People {
            output::note(text);
        }
    }

    /// Starts the gateway as a process of its own and waits until it says where it listens.
    pub(super) async fn start_gateway(&mut self) -> Outcome {
        let failed = |why| Failure::new(FailureKind::Other, "cannot start the gateway", why);
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.log_file())
            .map_err(failed)?;
        let mut child = Command::new(std::env::current_exe().map_err(failed)?)
            .args(["serve", "--json", "--listen", "127.0.0.1:0", "--until-stdin-closes"])
            .args(["--log", "info", "--settings"])
            .arg(&self.settings_file)
            .env("DATABASE_URL", &self.database_url)
            .env_remove("INSPAY_LISTEN")
            .current_dir(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let stdout = child.stdout.take();
        self.gateway = Some(child);
        let mut line = String::new();
        if let Some(stdout) = stdout {
            BufReader::new(stdout).read_line(&mut line).await.map_err(failed)?;
        }
        let told: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        let url = told["url"].as_str().ok_or_else(|| {
            Failure::plain(FailureKind::Other, "the gateway ended before it listened")
        })?;
        self.shop.set_base(url);
        Ok(())
    }

    /// Kills the gateway where it stands: no warning, no chance to finish anything.
    pub(super) async fn kill_gateway(&mut self) -> Outcome {
        if let Some(mut child) = self.gateway.take() {
            child
                .kill()
                .await
                .map_err(|why| Failure::new(FailureKind::Other, "cannot kill the gateway", why))?;
        }
        Ok(())
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("gateway.log")
    }

    /// Shows the end of the gateway's log, for whoever must find out what went wrong.
    pub(super) fn show_log(&self) {
        if let Ok(log) = std::fs::read_to_string(self.log_file()) {
            let lines: Vec<&str> = log.lines().collect();
            for line in lines.iter().skip(lines.len().saturating_sub(30)) {
                output::note(line);
            }
        }
    }

    pub(super) async fn close(mut self) -> Outcome {
        self.kill_gateway().await?;
        match self.scratch.take() {
            Some(scratch) => scratch.drop_it().await,
            None => Ok(()),
        }
    }

    pub(super) fn usdt(&self) -> Address {
        self.chain.deployment().usdt
    }

    /// Mines until a payment that is in the head block is settled.
    pub(super) async fn confirm(&self) -> Outcome {
        self.mine(u64::from(CONFIRMATIONS.saturating_sub(1))).await
    }

    pub(super) async fn mine(&self, blocks: u64) -> Outcome {
        self.chain.mine(blocks).await.map(|_| ()).map_err(chain_failure("cannot mine"))
    }

    /// Sends exactly what the order's answer says, as a wallet would.
    pub(super) async fn pay(&self, order: &serde_json::Value, payer: Address) -> Outcome<B256> {
        let call = &order["payment"]["wallet_call"];
        let unreadable = || {
            Failure::plain(FailureKind::Other, format!("the order asks for no payment: {order}"))
        };
        let text = |field: &str| call[field].as_str().ok_or_else(unreadable);
        let to: Address = text("to")?.parse().map_err(|_| unreadable())?;
        let data = hex::decode(text("data")?.trim_start_matches("0x")).map_err(|_| unreadable())?;
        self.chain.send_call(payer, to, data).await.map_err(chain_failure("cannot pay"))
    }
}

async fn make_key(database: &Database) -> Outcome<String> {
    let store = migrate_store(database).await?;
    let key = inspay_api::generate_key();
    let record = ApiKeyRecord {
        label: "demo".to_owned(),
        hash: key.hash(),
        scope: KeyScope::Operator,
        created_at: SystemClock.now(),
        revoked_at: Timestamp::FAR,
    };
    store.create_key(record).await.map_err(|why| database_failure("cannot make a key", why))?;
    Ok(key.secret().to_owned())
}
