//! Measures catch-up, settling and the laws on a file of its own: `sqlite_speed [transfers] [batch] [commit] [prepared]`.
//!
//! A batch of zero stops after catching up. With a fourth argument, the first run leaves the prepared database there and
//! stops; later runs begin with it.

use std::{error::Error, fs, io::Write as _, sync::Arc, time::Instant};

use futures::StreamExt as _;
use inspay_ledger::{Act, Decision, Evidence, Operation, SettlementRules, apply, touches};
use inspay_ports::{
    BooksStore as _, ChainTags, CursorRecord, Decide, FollowStore as _, NewOrder, RangeCommit,
    ReadStore as _, SaleStore as _, contract::samples,
};
use inspay_primitives::{BlockRef, FencingNumber, OrderTerms, Transfer, U256};
use inspay_store_sqlite::{SqliteOptions, SqliteStore};

fn block(number: u64) -> BlockRef {
    samples::block("a", number)
}

/// Transfers in a block: few enough blocks that all lie before the orders' deadline.
const BLOCK: u64 = 500;

fn transfer(number: u64) -> Transfer {
    let at = block(number / BLOCK);
    let log_index = u32::try_from(number % BLOCK).unwrap_or(0);
    samples::paid(number, samples::usdt(), U256::from(5_000_000 + number), at, log_index)
}

fn terms(number: u64) -> OrderTerms {
    OrderTerms {
        due_base_units: U256::from(5_000_000 + number),
        account: samples::account(number),
        ..samples::terms(number)
    }
}

/// The most memory that this process has held so far, as the system tells it.
fn peak() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "unknown".to_owned(), |size| size.trim().to_owned())
}

fn report(what: &str, count: u64, start: Instant) -> Result<(), Box<dyn Error>> {
    let millis = start.elapsed().as_millis().max(1);
    let rate = u128::from(count) * 1_000 / millis;
    let line = format!("{what}: {count} in {millis} ms, {rate}/s, peak memory {}", peak());
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}

async fn catch_up(store: &SqliteStore, count: u64, commit: u64) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let (mut first, mut revision) = (0, None);
    while first < count {
        let transfers: Vec<Transfer> = (first..(first + commit).min(count)).map(transfer).collect();
        let next = revision.map_or(1, |known: i64| known + 1);
        let tip = transfers.last().map_or(block(0), |last| last.block);
        let cursor = CursorRecord {
            chain_id: samples::CHAIN,
            start_number: 0,
            tip,
            tags: ChainTags { safe_number: tip.number, finalized_number: tip.number },
            audited_to: tip.number,
            epoch: 0,
            revision: next,
        };
        let fencing = FencingNumber::UNLEASED;
        store
            .commit_range(RangeCommit { fencing, expected_revision: revision, transfers, cursor })
            .await?;
        (first, revision) = (first + commit, Some(next));
    }
    report("catch-up", count, start)
}

fn settlement(number: u64) -> Result<Operation, Box<dyn Error>> {
    let decision = Decision::Attribute {
        order: terms(number).id,
        evidence: Evidence::ExactAmount,
        late: None,
    };
    Ok(Operation::from(Act::Settle {
        transfer: transfer(number).key.id(),
        generation: 0,
        judged_in: None,
        reference: None,
        decision,
        value: Some("5.00".parse()?),
    }))
}

async fn settle(store: &SqliteStore, count: u64, batch: u64) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let mut first = 0;
    while first < count {
        let numbers = first..(first + batch).min(count);
        let operations: Vec<Operation> = numbers.map(settlement).collect::<Result<_, _>>()?;
        let wanted = touches(&operations, samples::block_time(9));
        let decide: Decide = Arc::new(move |state| {
            apply(state, &operations, &SettlementRules::default(), samples::block_time(9)).1
        });
        store.transact(wanted, decide).await?;
        first += batch;
    }
    report("settle", count, start)?;
    let totals = store.transfer_totals(samples::usdt(), samples::treasury(), u64::MAX).await?;
    if (totals.count, totals.unsettled_count) != (count, 0) {
        return Err(format!("not all are settled: {totals:?}").into());
    }
    Ok(())
}

async fn order(store: &SqliteStore, count: u64) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let orders = (0..count).map(|number| async move {
        store.create_order(NewOrder { terms: terms(number), request_key: None }).await
    });
    let mut made = futures::stream::iter(orders).buffer_unordered(8);
    while let Some(order) = made.next().await {
        order?;
    }
    report("orders", count, start)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default| arguments.next().map_or(Ok(default), |text| text.parse::<u64>());
    let (count, batch, commit) = (number(100_000)?, number(2_000)?, number(10_000)?);
    let directory = tempfile::tempdir_in(".")?;
    let path = directory.path().join("speed.db");
    let prepared = arguments.next();
    let found = prepared.as_ref().filter(|prepared| fs::exists(prepared).unwrap_or(false));
    if let Some(found) = found {
        fs::copy(found, &path)?;
    }
    let store = SqliteStore::open(&path, &SqliteOptions::default()).await?;
    store.migrate().await?;
    if found.is_none() {
        catch_up(&store, count, commit).await?;
    }
    if batch == 0 {
        return Ok(());
    }
    if found.is_none() {
        order(&store, count).await?;
    }
    if let (Some(prepared), None) = (&prepared, found) {
        store.close().await;
        fs::copy(&path, prepared)?;
        return Ok(());
    }
    settle(&store, count, batch).await?;
    let start = Instant::now();
    let broken = store.broken_laws().await?;
    report("laws", u64::try_from(broken.len())?, start)?;
    for law in broken.iter().take(5) {
        writeln!(std::io::stdout(), "{law:?}")?;
    }
    store.close().await;
    writeln!(std::io::stdout(), "file: {} bytes", fs::metadata(&path)?.len())?;
    Ok(())
}
