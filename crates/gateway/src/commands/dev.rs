//! `inspay dev`: everything on a local chain of its own, for developing against.

use std::{net::TcpListener, path::PathBuf, time::Duration};

use clap::Args;
use inspay_devchain::{AnvilOptions, Devchain, Mining};
use inspay_ports::{ApiKeyRecord, KeyScope, Store};
use inspay_primitives::{Clock as _, Timestamp};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::serve::asked_to_stop;
use crate::{
    cli::Context,
    exit::{Failure, FailureKind, Outcome},
    output::{self, Form},
    settings::{Database, local_chain},
    system_clock::SystemClock,
    wiring::{self, Role, database_failure},
};

/// Anvil's own port, taken where it is free.
const USUAL_CHAIN_PORT: u16 = 8_545;

/// Arguments of `inspay dev`.
#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// Where HTTP is answered; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS:PORT")]
    listen: std::net::SocketAddr,
    /// Port of the local chain; 8545 if it is free, else any.
    #[arg(long, value_name = "PORT")]
    chain_port: Option<u16>,
    /// Mine a block every so many seconds, instead of one for each chain transaction.
    #[arg(long, value_name = "SECONDS")]
    block_time: Option<u64>,
    /// Confirmations that a payment waits for.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    confirmations: u32,
    /// Keep chain and database in this folder and go on from there next time. Without it both start
    /// empty and are gone afterwards.
    #[arg(long, value_name = "FOLDER")]
    state: Option<PathBuf>,
}

fn chain_options(args: &DevArgs) -> AnvilOptions {
    let usual = || TcpListener::bind(("127.0.0.1", USUAL_CHAIN_PORT)).is_ok();
    AnvilOptions {
        port: args.chain_port.or_else(|| usual().then_some(USUAL_CHAIN_PORT)),
        mining: args.block_time.map_or(Mining::OnTransaction, |seconds| {
            Mining::Every(Duration::from_secs(seconds.max(1)))
        }),
        state: args.state.as_ref().map(|folder| folder.join("chain.json")),
        // Room to reorganise by hand what is settled already.
        slots_in_an_epoch: 32,
        ..AnvilOptions::default()
    }
}

pub(crate) async fn run(args: DevArgs, context: Context) -> Outcome {
    let file_failed = |why| Failure::new(FailureKind::Other, "cannot use the state folder", why);
    let passing = tempfile::tempdir().map_err(file_failed)?;
    let folder = args.state.as_deref().unwrap_or_else(|| passing.path());
    std::fs::create_dir_all(folder).map_err(file_failed)?;
    let chain = Devchain::start(chain_options(&args))
        .await
        .map_err(|why| Failure::new(FailureKind::Chain, "cannot start the local chain", why))?;
    let mut settings = context.settings()?;
    settings.listen = args.listen;
    settings.database = Database::Sqlite(folder.join("inspay.db"));
    settings.chains =
        vec![local_chain(chain.deployment(), args.confirmations).map_err(|why| {
            Failure::new(FailureKind::Settings, "cannot use the local chain", why)
        })?];
    let store = wiring::migrate_store(&settings.database).await?;
    let key = fresh_key(store.as_ref()).await?;
    let cancel = CancellationToken::new();
    let running = wiring::start(
        &settings,
        store,
        &[Role::Api, Role::Watch, Role::Settle],
        &wiring::Points::default(),
        cancel.clone(),
    )
    .await?;
    let api = running.address().map_or_else(String::new, |address| format!("http://{address}"));
    print(&context, &chain, &api, &key)?;
    tokio::select! {
        asked = asked_to_stop(false) => asked?,
        () = running.ended() => {}
    }
    cancel.cancel();
    running.finish().await
}

/// A key for this run. Its label carries the time, since labels are unique and a kept database has older ones.
async fn fresh_key(store: &dyn Store) -> Outcome<String> {
    let key = inspay_api::generate_key();
    let now = SystemClock.now();
    let record = ApiKeyRecord {
        label: format!("dev {now}"),
        hash: key.hash(),
        scope: KeyScope::Operator,
        created_at: now,
        revoked_at: Timestamp::FAR,
    };
    store.create_key(record).await.map_err(|why| database_failure("cannot make a key", why))?;
    Ok(key.secret().to_owned())
}

fn print(context: &Context, chain: &Devchain, api: &str, key: &str) -> Outcome {
    let place = chain.deployment();
    if context.form == Form::Json {
        return output::json(&json!({ "api": api, "key": key, "chain": place }));
    }
    let row = |what: &str, value: String| vec![what.to_owned(), value];
    output::table(
        &["local gateway", ""],
        &[],
        vec![
            row("API", api.to_owned()),
            row("documentation", format!("{api}/docs")),
            row("catalog", format!("{api}/v1/catalog")),
            row("key", key.to_owned()),
            row("chain", format!("{} (id {})", place.http_url, place.chain_id)),
            row("treasury", place.treasury.to_string()),
            row("INSPI", place.inspi.to_string()),
            row("USDT", place.usdt.to_string()),
            row("first buyer", place.buyers.first().map(ToString::to_string).unwrap_or_default()),
        ],
    )?;
    output::note(&format!("Try:  curl -s {api}/v1/catalog\nStop: Ctrl-C"));
    Ok(())
}
