//! Reading and verifying as the journal grows: an account's balance, and every hash beside a bare scan of the same rows.

use std::{
    str::FromStr as _,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::TryStreamExt as _;
use inspay_ledger::{Act, Operation, Outcome, SettlementRules};
use inspay_ledger_writer::{LedgerWriter, WriterLimits};
use inspay_ports::{BooksStore, Store, contract::till};
use inspay_primitives::{ManualClock, Timestamp};
use inspay_reports::{account::balance, verify_ledger};
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{
    Problem, Scale,
    figures::{answer, child as run_child, median, micros, number, peak_kib, time},
    report::{Quantity, Report},
    stores::{Databases, KINDS, open},
};

/// Entries of the small journal.
const SMALL: u64 = 1_000;
/// And of the large one.
const LARGE: u64 = 1_000_000;
/// Accounts that share them.
const ACCOUNTS: u64 = 100;
/// Operations of a commit.
const COMMIT: u64 = 2_000;
/// Balances that are read at each size.
const READS: u64 = 500;
/// Tables that verifying reads from end to end.
const SCANS: [&str; 3] = ["SELECT * FROM entry", "SELECT * FROM posting", "SELECT * FROM lot_move"];

async fn write(writer: &LedgerWriter, operations: Vec<Operation>) -> Result<(), Problem> {
    let outcomes = writer.write(operations).await?;
    match outcomes.iter().find(|outcome| !matches!(outcome, Outcome::Applied { .. })) {
        None => Ok(()),
        Some(other) => Err(format!("{other:?} instead of an entry").into()),
    }
}

/// Holds and captures until the journal has so many entries; answers how many there are.
async fn grow(writer: &LedgerWriter, mut entries: u64, until: u64) -> Result<u64, Problem> {
    while entries < until {
        let pairs = ((until - entries).min(COMMIT) / 2).max(1);
        let first = entries;
        let holds = (first..first + pairs).map(|pair| {
            Operation::from(till::hold(&till::spender(pair % ACCOUNTS), pair, "video", 1))
        });
        let captures = (first..first + pairs)
            .map(|pair| Act::Capture { hold: till::hold_id(pair), credits: None }.into());
        write(writer, holds.chain(captures).collect()).await?;
        entries += 2 * pairs;
    }
    Ok(entries)
}

/// The middle of many readings of a balance.
async fn read_balances(store: &dyn Store, now: Timestamp) -> Result<Duration, Problem> {
    let mut times = Vec::new();
    for number in 0..READS {
        let account = till::spender(number % ACCOUNTS);
        let started = Instant::now();
        let found = balance(store, &account, now).await?;
        times.push(started.elapsed());
        found.ok_or("an account is not there")?;
    }
    Ok(median(times))
}

async fn scan(database: &str) -> Result<(u64, Duration), Problem> {
    let (mut rows, started) = (0, Instant::now());
    if let Some(path) = database.strip_prefix("sqlite:") {
        let options = SqliteConnectOptions::from_str(&format!("sqlite:{path}"))?.read_only(true);
        let mut connection = SqliteConnection::connect_with(&options).await?;
        for sql in SCANS {
            let mut found = sqlx::query(sql).fetch(&mut connection);
            while found.try_next().await?.is_some() {
                rows += 1;
            }
        }
    } else {
        let mut connection = PgConnection::connect(database).await?;
        for sql in SCANS {
            let mut found = sqlx::query(sql).fetch(&mut connection);
            while found.try_next().await?.is_some() {
                rows += 1;
            }
        }
    }
    Ok((rows, started.elapsed()))
}

/// Grows a journal, reads balances at both sizes, scans and verifies it.
pub(crate) async fn child(database: &str, large: &str) -> Result<(), Problem> {
    let large: u64 = large.parse()?;
    let store = open(database).await?;
    let now = Timestamp::from_chain_seconds(1_760_000_000);
    let (writer, task) = LedgerWriter::new(
        Arc::clone(&store) as Arc<dyn BooksStore>,
        Arc::new(ManualClock::new(now)),
        SettlementRules::default(),
        WriterLimits::default(),
    );
    tokio::spawn(task.run());
    for number in 0..ACCOUNTS {
        let account = till::spender(number);
        let known = Operation::requested("bench", &format!("know/{number}"), till::know(&account));
        let prize = till::prize(&account, &number.to_string(), 1_000_000_000, Timestamp::FAR);
        write(&writer, vec![known, Operation::from(prize)]).await?;
    }
    let entries = grow(&writer, ACCOUNTS, SMALL).await?;
    let small_read = read_balances(&*store, now).await?;
    let entries = grow(&writer, entries, large).await?;
    let large_read = read_balances(&*store, now).await?;
    scan(database).await?;
    let (rows, scanned) = scan(database).await?;
    let before_kib = peak_kib();
    let started = Instant::now();
    let broken = store.broken_laws().await?;
    let judged = started.elapsed();
    if let Some(broken) = broken.first() {
        return Err(format!("{}: {}", broken.law, broken.row).into());
    }
    let started = Instant::now();
    let found = verify_ledger(&store, None, |_| {}).await?;
    let verified = started.elapsed();
    if !found.holds() || found.entries != entries {
        return Err(format!("{} of {entries} entries hold: {found:?}", found.entries).into());
    }
    answer(&json!({
        "entries": entries,
        "rows": rows,
        "small_micros": micros(small_read)?,
        "large_micros": micros(large_read)?,
        "scan_micros": micros(scanned)?,
        "laws_micros": micros(judged)?,
        "verify_micros": micros(verified)?,
        "before_kib": before_kib,
        "peak_kib": peak_kib(),
    }))
}

async fn run_one(databases: &mut Databases, kind: &str, large: u64) -> Result<Value, Problem> {
    let database = databases.fresh(kind).await?;
    let told = run_child(&["child-verify", &database, &large.to_string()]).await;
    databases.remove(&database).await?;
    told
}

/// Measures both stores.
pub(crate) async fn measure(scale: Scale) -> Result<Report, Problem> {
    let mut databases = Databases::start().await?;
    let large = scale.of(LARGE);
    let mut report = Report::new(
        "verifying",
        format!(
            "A journal of {SMALL} entries that grows to {large}: the middle of {READS} readings of an account's \
             balance at both sizes, and `ledger verify` (hashes, sums, laws) beside a scan that reads entries, \
             postings and lot moves and throws them away."
        ),
    );
    for kind in KINDS {
        let told = run_one(&mut databases, kind, large).await?;
        let (small, great) = (time(&told, "small_micros")?, time(&told, "large_micros")?);
        report.add(format!("{kind}: balance at {SMALL} entries"), Quantity::Time(small));
        report.add(format!("{kind}: balance at {large} entries"), Quantity::Time(great));
        let flat = Quantity::time_ratio(great, small);
        report.add_goal(format!("{kind}: times the small one"), flat, Quantity::Ratio(130));
        let (scanned, verified) = (time(&told, "scan_micros")?, time(&told, "verify_micros")?);
        let rows = number(&told, "rows")?;
        report.add(format!("{kind}: bare scan of {rows} rows"), Quantity::Time(scanned));
        report.add(format!("{kind}: verified"), Quantity::Time(verified));
        let laws = time(&told, "laws_micros")?;
        report.add(
            format!("{kind}: the laws alone, which it judges meanwhile"),
            Quantity::Time(laws),
        );
        let entries = number(&told, "entries")?;
        report.add(format!("{kind}: entries verified"), Quantity::rate(entries, verified));
        let ratio = Quantity::time_ratio(verified, scanned);
        report.add_goal(format!("{kind}: times the bare scan"), ratio, Quantity::Ratio(300));
        let peak = |field: &str| number(&told, field).map(Quantity::Kibibytes);
        report.add(format!("{kind}: peak memory before verifying"), peak("before_kib")?);
        report.add(format!("{kind}: peak memory after verifying"), peak("peak_kib")?);
    }
    Ok(report)
}
