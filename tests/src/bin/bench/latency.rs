//! Latency: from a mined block to the balance over HTTP, beside a bare subscriber that commits one row.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use alloy::{
    providers::{Provider, ProviderBuilder, WsConnect},
    rpc::types::Filter,
};
use futures::StreamExt as _;
use inspay_devchain::{AnvilOptions, Devchain};
use inspay_it::{ChainText, Gateway, pay, settings_text};
use inspay_primitives::{Address, U256};
use serde_json::Value;
use sqlx::{Connection as _, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

use crate::{
    Problem, Scale,
    figures::{median, percentile_99},
    report::{Quantity, Report},
    stores::folder,
};

const PAYMENTS: u64 = 200;
/// The sides take turns of this many.
const TURN: usize = 25;
/// How long is waited before the balance is asked for again: asked without a pause, the asking takes a processor that
/// the gateway needs.
const ASK_AGAIN: Duration = Duration::from_micros(200);
/// Where the bare side is paid: nobody follows it but the subscriber.
const BARE_TREASURY: Address = Address::repeat_byte(0xba);

/// Sees a block, reads its logs, commits one row, tells.
async fn subscriber(
    ws_url: String,
    http_url: String,
    token: Address,
    file: PathBuf,
    (told, ready): (mpsc::Sender<Instant>, oneshot::Sender<()>),
) -> Result<(), Problem> {
    let blocks = ProviderBuilder::new().connect_ws(WsConnect::new(ws_url)).await?;
    let reader = ProviderBuilder::new().connect_http(http_url.parse()?);
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(sqlx::sqlite::SqliteJournalMode::Wal)
        .synchronous(sqlx::sqlite::SqliteSynchronous::Full);
    let mut rows = SqliteConnection::connect_with(&options).await?;
    sqlx::query("CREATE TABLE seen (hash BLOB PRIMARY KEY, units TEXT NOT NULL) STRICT")
        .execute(&mut rows)
        .await?;
    let mut heads = blocks.subscribe_blocks().await?.into_stream();
    ready.send(()).map_err(|()| "nobody waits for the subscriber")?;
    while let Some(head) = heads.next().await {
        let filter = Filter::new()
            .at_block_hash(head.hash)
            .address(token)
            .event("Transfer(address,address,uint256)")
            .topic2(BARE_TREASURY.into_word());
        let logs = reader.get_logs(&filter).await?;
        let Some(log) = logs.first() else { continue };
        sqlx::query("INSERT INTO seen VALUES ($1, $2)")
            .bind(head.hash.to_vec())
            .bind(log.data().data.to_string())
            .execute(&mut rows)
            .await?;
        if told.send(Instant::now()).await.is_err() {
            break;
        }
    }
    Ok(())
}

async fn bare_turn(
    chain: &Devchain,
    seen: &mut mpsc::Receiver<Instant>,
    times: &mut Vec<Duration>,
) -> Result<(), Problem> {
    let place = chain.deployment();
    for _ in 0..TURN {
        chain
            .transfer(place.usdt, chain.buyer(1), BARE_TREASURY, U256::from(1_000_000), None)
            .await?;
        let mined = Instant::now();
        chain.mine(1).await?;
        let committed = tokio::time::timeout(Duration::from_secs(20), seen.recv())
            .await?
            .ok_or("the subscriber ended")?;
        times.push(committed.saturating_duration_since(mined));
    }
    Ok(())
}

async fn our_turn(
    chain: &Devchain,
    gateway: &Gateway,
    orders: &[(String, Value)],
    times: &mut Vec<Duration>,
) -> Result<(), Problem> {
    for (account, order) in orders {
        pay(chain, order, chain.buyer(0)).await;
        let mined = Instant::now();
        chain.mine(1).await?;
        while gateway.available(account).await != "100.000000" {
            // Shorter than what the runtime's own timer can wait.
            std::thread::sleep(ASK_AGAIN);
            if mined.elapsed() > Duration::from_secs(20) {
                return Err(format!("{account} was not credited\n{}", gateway.log()).into());
            }
        }
        times.push(mined.elapsed());
    }
    Ok(())
}

/// Measures both sides in turns.
pub(crate) async fn measure(scale: Scale) -> Result<Report, Problem> {
    let options = AnvilOptions { slots_in_an_epoch: 32, ..AnvilOptions::default() };
    let chain = Devchain::start(options).await?;
    let text = ChainText { confirmations: 1, ..ChainText::default() };
    let mut gateway = Gateway::start(&settings_text(chain.deployment(), text), None).await;
    let payments = scale.of(PAYMENTS);
    let mut orders = Vec::new();
    for index in 0..payments {
        let account = format!("buyer-{index}");
        let order = gateway.order(&account, "USDT").await;
        orders.push((account, order));
    }
    let folder = folder()?;
    let place = chain.deployment().clone();
    let (sender, mut seen) = mpsc::channel(1);
    let file = folder.path().join("bare.db");
    let (subscribed, is_subscribed) = oneshot::channel();
    let told = (sender, subscribed);
    let running = tokio::spawn(subscriber(place.ws_url, place.http_url, place.usdt, file, told));
    // A block that is mined before the subscription stands would be waited for in vain.
    is_subscribed.await?;
    chain.set_automine(false).await?;
    let mut report = Report::new(
        "latency",
        format!(
            "From the call that mines a block to the balance over HTTP, {payments} payments at policy depth 1 on \
             SQLite with a WebSocket, in turns of {TURN} with a bare subscriber that commits one row."
        ),
    );
    let (mut bare, mut ours) = (Vec::new(), Vec::new());
    for turn in orders.chunks(TURN) {
        bare_turn(&chain, &mut seen, &mut bare).await?;
        our_turn(&chain, &gateway, turn, &mut ours).await?;
    }
    running.abort();
    let (floor, balance) = (median(bare.clone()), median(ours.clone()));
    report.add("bare subscriber, median", Quantity::Time(floor));
    report.add("bare subscriber, 99th percentile", Quantity::Time(percentile_99(bare)));
    report.add("balance over HTTP, median", Quantity::Time(balance));
    report.add("balance over HTTP, 99th percentile", Quantity::Time(percentile_99(ours)));
    let ratio = Quantity::time_ratio(balance, floor);
    report.add_goal("median, times the subscriber's", ratio, Quantity::Ratio(300));
    gateway.must_reconcile().await;
    gateway.kill().await;
    Ok(report)
}
