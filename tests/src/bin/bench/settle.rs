//! Settlement: confirmed transfers into entries, lots, orders and events, beside a bare insert of as many rows.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use inspay_ledger::{Operation, Outcome, SettlementRules};
use inspay_ledger_writer::{LedgerWriter, WriterLimits};
use inspay_ports::{
    BooksStore, ChainTags, CursorRecord, NewOrder, RangeCommit, Store, contract::samples,
    fake::FakeChain,
};
use inspay_primitives::{
    ConfirmationPolicy, ConfirmationRule, ManualClock, OrderTerms, Transfer, U256,
};
use inspay_settlement::{
    AssetRules, Books, BooksError, ChainWork, SettlementPolicy, SettlementWorker, WorkerSettings,
};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, QueryBuilder, SqliteConnection};

use crate::{
    Problem,
    figures::{answer, child as run_child, mib, millis, number, peak_kib, per_second, ratio, say},
    stores::{Databases, KINDS, open},
};

const TRANSFERS: u64 = 100_000;
/// Few enough blocks that all lie before the orders' deadline.
const PER_BLOCK: u64 = 500;
const COMMIT: u64 = 5_000;
/// Tables that settling adds rows to.
const ADDED: [&str; 6] = ["operation", "entry", "posting", "lot", "settlement", "event"];
/// Rows of one commit of the floor: about what a batch of ours writes.
const FLOOR_COMMIT_ROWS: u64 = 30_000;
/// Rows of one statement of the floor; five values each stay below SQLite's limit of bound values.
const FLOOR_STATEMENT_ROWS: u64 = 1_000;

#[derive(Debug)]
struct WriterBooks(LedgerWriter);

#[async_trait]
impl Books for WriterBooks {
    async fn write(&self, operations: Vec<Operation>) -> Result<Vec<Outcome>, BooksError> {
        self.0.write(operations).await.map_err(|error| BooksError {
            transient: error.is_transient(),
            source: Box::new(error),
        })
    }
}

fn transfer(number: u64) -> Result<Transfer, Problem> {
    let block = samples::block("a", number / PER_BLOCK);
    let log_index = u32::try_from(number % PER_BLOCK)?;
    let paid =
        samples::paid(number, samples::usdt(), U256::from(5_000_000 + number), block, log_index);
    Ok(Transfer { reference: Some(None), ..paid })
}

fn terms(number: u64) -> OrderTerms {
    OrderTerms {
        due_base_units: U256::from(5_000_000 + number),
        account: samples::account(number % 1_000),
        ..samples::terms(number)
    }
}

async fn prepare(store: &Arc<dyn Store>, count: u64) -> Result<(), Problem> {
    let mut revision = None;
    for first in (0..count).step_by(usize::try_from(COMMIT)?) {
        let transfers: Vec<Transfer> =
            (first..(first + COMMIT).min(count)).map(transfer).collect::<Result<_, _>>()?;
        let tip = transfers.last().map_or_else(|| samples::block("a", 0), |last| last.block);
        let next = revision.map_or(1, |known: i64| known + 1);
        let cursor = CursorRecord {
            chain_id: samples::CHAIN,
            start_number: 0,
            tip,
            tags: ChainTags { safe_number: tip.number, finalized_number: tip.number },
            audited_to: tip.number,
            epoch: 0,
            revision: next,
        };
        store.commit_range(RangeCommit { expected_revision: revision, transfers, cursor }).await?;
        revision = Some(next);
    }
    stream::iter(0..count)
        .map(|number| store.create_order(NewOrder { terms: terms(number), request_key: None }))
        .buffer_unordered(8)
        .try_for_each(|_| async { Ok(()) })
        .await?;
    Ok(())
}

fn worker(store: &Arc<dyn Store>) -> Result<SettlementWorker, Problem> {
    let clock = Arc::new(ManualClock::new(samples::block_time(10)));
    let (writer, task) = LedgerWriter::new(
        Arc::clone(store) as Arc<dyn BooksStore>,
        Arc::clone(&clock) as _,
        SettlementRules::default(),
        WriterLimits::default(),
    );
    tokio::spawn(task.run());
    let confirmations = ConfirmationPolicy::new(Vec::new(), ConfirmationRule::Depth(1))?;
    let rules = AssetRules { decimals: 6, confirmations, late_rate_age_seconds: 3_600 };
    let policy = SettlementPolicy {
        assets: HashMap::from([(samples::usdt(), rules)]),
        rules: SettlementRules::default(),
        clock_skew_seconds: 60,
    };
    Ok(SettlementWorker::new(
        ChainWork { chain: Arc::new(FakeChain::new(samples::CHAIN)), applied: None },
        Arc::clone(store),
        Arc::new(WriterBooks(writer)),
        clock,
        Arc::new(policy),
        WorkerSettings::default(),
    ))
}

/// Prepares, settles everything, then measures the floor in the same database.
pub(crate) async fn child(database: &str, count: &str) -> Result<(), Problem> {
    let count: u64 = count.parse()?;
    let store = open(database).await?;
    prepare(&store, count).await?;
    let worker = worker(&store)?;
    let before_kib = peak_kib();
    let started = Instant::now();
    let mut settled = 0;
    while settled < count {
        let report = worker.step().await?;
        if report.settled == 0 {
            return Err(format!("only {settled} of {count} were settled: {report:?}").into());
        }
        settled += u64::try_from(report.settled)?;
    }
    let took = started.elapsed();
    let after_kib = peak_kib();
    let broken = store.broken_laws().await?;
    if let Some(law) = broken.first() {
        return Err(format!("{}: {}", law.law, law.row).into());
    }
    let (rows, floor) = floor(database, count).await?;
    answer(&json!({
        "settled": settled,
        "micros": u64::try_from(took.as_micros())?,
        "prepared_kib": before_kib,
        "peak_kib": after_kib,
        "rows": rows,
        "floor_micros": u64::try_from(floor.as_micros())?,
    }))
}

/// Counts what settling wrote, one row for each updated order and transfer too, and inserts as many.
async fn floor(database: &str, count: u64) -> Result<(u64, Duration), Problem> {
    if let Some(path) = database.strip_prefix("sqlite:") {
        let options = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(sqlx::sqlite::SqliteJournalMode::Wal)
            .synchronous(sqlx::sqlite::SqliteSynchronous::Full);
        let mut connection = SqliteConnection::connect_with(&options).await?;
        let mut rows = 2 * count;
        for table in ADDED {
            let sql = AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
            let added: i64 = sqlx::query_scalar(sql).fetch_one(&mut connection).await?;
            rows += u64::try_from(added)?;
        }
        let table = "CREATE TABLE bare (n INTEGER PRIMARY KEY, hash BLOB NOT NULL, units TEXT NOT NULL, \
             kind TEXT NOT NULL, at INTEGER NOT NULL) STRICT";
        sqlx::query(table).execute(&mut connection).await?;
        return Ok((rows, bare_sqlite(&mut connection, rows).await?));
    }
    let mut connection = PgConnection::connect(database).await?;
    let mut rows = 2 * count;
    for table in ADDED {
        let sql = AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
        let added: i64 = sqlx::query_scalar(sql).fetch_one(&mut connection).await?;
        rows += u64::try_from(added)?;
    }
    let table = "CREATE TABLE bare (n BIGINT PRIMARY KEY, hash BYTEA NOT NULL, units NUMERIC(78,0) NOT NULL, \
         kind TEXT NOT NULL, at BIGINT NOT NULL)";
    sqlx::query(table).execute(&mut connection).await?;
    Ok((rows, bare_postgres(&mut connection, rows).await?))
}

fn hash(n: u64) -> Vec<u8> {
    samples::digest("bare", n).to_vec()
}

async fn bare_sqlite(connection: &mut SqliteConnection, rows: u64) -> Result<Duration, Problem> {
    let started = Instant::now();
    for commit in (0..rows).step_by(usize::try_from(FLOOR_COMMIT_ROWS)?) {
        let mut open = connection.begin_with("BEGIN IMMEDIATE").await?;
        let end = (commit + FLOOR_COMMIT_ROWS).min(rows);
        for first in (commit..end).step_by(usize::try_from(FLOOR_STATEMENT_ROWS)?) {
            let numbers = first..(first + FLOOR_STATEMENT_ROWS).min(end);
            let mut insert = QueryBuilder::new("INSERT INTO bare (n, hash, units, kind, at) ");
            insert.push_values(numbers, |mut row, n| {
                row.push_bind(i64::try_from(n).unwrap_or(i64::MAX))
                    .push_bind(hash(n))
                    .push_bind(format!("{n:078}"))
                    .push_bind("settle")
                    .push_bind(1_i64);
            });
            insert.build().execute(&mut *open).await?;
        }
        open.commit().await?;
    }
    Ok(started.elapsed())
}

async fn bare_postgres(connection: &mut PgConnection, rows: u64) -> Result<Duration, Problem> {
    let started = Instant::now();
    for commit in (0..rows).step_by(usize::try_from(FLOOR_COMMIT_ROWS)?) {
        let end = (commit + FLOOR_COMMIT_ROWS).min(rows);
        let numbers: Vec<i64> = (commit..end).map(i64::try_from).collect::<Result<_, _>>()?;
        let hashes: Vec<Vec<u8>> = (commit..end).map(hash).collect();
        let units: Vec<String> = (commit..end).map(|n| n.to_string()).collect();
        let kinds = vec!["settle"; numbers.len()];
        let times = vec![1_i64; numbers.len()];
        let insert = "INSERT INTO bare SELECT n, hash, units::numeric, kind, at FROM \
             UNNEST($1::bigint[], $2::bytea[], $3::text[], $4::text[], $5::bigint[]) AS row(n, hash, units, kind, at)";
        sqlx::query(insert)
            .bind(numbers)
            .bind(hashes)
            .bind(units)
            .bind(kinds)
            .bind(times)
            .execute(&mut *connection)
            .await?;
    }
    Ok(started.elapsed())
}

/// Measures both stores, at the full number and at a quarter.
pub(crate) async fn measure() -> Result<(), Problem> {
    let mut databases = Databases::start().await?;
    say(&format!(
        "settlement: {TRANSFERS} confirmed transfers, each with its order, entry, lot and event"
    ));
    for kind in KINDS {
        let whole = databases.fresh(kind).await?;
        let told = run_child(&["child-settle", &whole, &TRANSFERS.to_string()]).await?;
        let part = databases.fresh(kind).await?;
        let smaller = run_child(&["child-settle", &part, &(TRANSFERS / 4).to_string()]).await?;
        let took = Duration::from_micros(number(&told, "micros")?);
        let floor = Duration::from_micros(number(&told, "floor_micros")?);
        say(&format!(
            "  {kind}: {}, {} settled/s, {} times a bare insert of {} rows, {} (goal 3.00)",
            millis(took),
            per_second(TRANSFERS, took),
            ratio(took, floor),
            number(&told, "rows")?,
            millis(floor),
        ));
        say(&format!(
            "    peak memory {} ({} before settling), with a quarter of the transfers {}",
            mib(number(&told, "peak_kib")?),
            mib(number(&told, "prepared_kib")?),
            mib(number(&smaller, "peak_kib")?)
        ));
    }
    Ok(())
}
