//! The same spending as anybody would write it first: one transaction for each request, one statement for each row.
//!
//! It keeps the rows that the books keep, and hashes each entry with the one before; or, [`Work::Less`], it leaves out
//! what a simpler ledger has not: the chain of hashes, what the whole house has earned, the lots' moves, how holds ended,
//! and the look for limits.

use std::{str::FromStr as _, sync::Arc};

use sha2::{Digest as _, Sha256};
use sqlx::{
    Connection as _, Executor as _, PgPool, Row as _, SqliteConnection,
    postgres::PgPoolOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tokio::sync::Mutex;

use crate::{
    Problem,
    spend::{ACCOUNTS, CREDITS},
};

/// Connections to PostgreSQL: on a few cores, more of them only wait for one another.
const CONNECTIONS: u32 = 32;

/// How much of what the books keep is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    Same,
    Less,
}

/// Micro-credits of a pair.
const MICROS: i64 = 1_000_000;
/// What a hold is for.
const PURPOSE: &str = r#"{"feature":"video","project":"house"}"#;

const TABLES: [&str; 13] = [
    "CREATE TABLE operation (key TEXT PRIMARY KEY, entry BIGINT)",
    "CREATE TABLE account (id BIGINT PRIMARY KEY, available BIGINT NOT NULL, held BIGINT NOT NULL)",
    "CREATE TABLE lot (id BIGINT PRIMARY KEY, account BIGINT NOT NULL, expires_at BIGINT NOT NULL, \
         available BIGINT NOT NULL CHECK (available >= 0), held BIGINT NOT NULL, spent BIGINT NOT NULL)",
    "CREATE INDEX lot_account ON lot (account, expires_at)",
    "CREATE TABLE hold (id BIGINT PRIMARY KEY, account BIGINT NOT NULL, lot BIGINT NOT NULL, credits BIGINT NOT NULL, \
         purpose TEXT NOT NULL, state TEXT NOT NULL)",
    "CREATE TABLE posting (entry BIGINT, place BIGINT, account BIGINT NOT NULL, book TEXT NOT NULL, side TEXT NOT NULL, \
         credits BIGINT NOT NULL, PRIMARY KEY (entry, place))",
    "CREATE TABLE spend (entry BIGINT PRIMARY KEY, hold BIGINT NOT NULL, account BIGINT NOT NULL, credits BIGINT NOT NULL, \
         purpose TEXT NOT NULL)",
    "CREATE TABLE spend_day (account BIGINT, day BIGINT, feature TEXT, spends BIGINT NOT NULL, credits BIGINT NOT NULL, \
         PRIMARY KEY (account, day, feature))",
    "CREATE TABLE lot_move (entry BIGINT PRIMARY KEY, lot BIGINT NOT NULL, from_bucket TEXT NOT NULL, \
         to_bucket TEXT NOT NULL, credits BIGINT NOT NULL)",
    "CREATE TABLE resolution (hold BIGINT PRIMARY KEY, entry BIGINT NOT NULL, credits BIGINT NOT NULL)",
    "CREATE TABLE usage_limit (account BIGINT, scope TEXT, cap BIGINT NOT NULL, PRIMARY KEY (account, scope))",
    "CREATE TABLE head (id BIGINT PRIMARY KEY, hash TEXT NOT NULL)",
    "CREATE TABLE earned (id BIGINT PRIMARY KEY, credits BIGINT NOT NULL)",
];
const POSTGRES_ENTRY: &str = "CREATE TABLE entry (seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, \
     kind TEXT NOT NULL, account BIGINT NOT NULL, facts TEXT NOT NULL, hash TEXT NOT NULL)";
const SQLITE_ENTRY: &str = "CREATE TABLE entry (seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, \
     account BIGINT NOT NULL, facts TEXT NOT NULL, hash TEXT NOT NULL)";
const FIRST: [&str; 2] = ["INSERT INTO head VALUES (0, '')", "INSERT INTO earned VALUES (0, 0)"];

const ONCE: &str = "INSERT INTO operation (key) VALUES ($1) ON CONFLICT DO NOTHING";
const ONCE_AS: &str = "UPDATE operation SET entry = $2 WHERE key = $1";
const ENTRY: &str =
    "INSERT INTO entry (kind, account, facts, hash) VALUES ($1, $2, $3, $4) RETURNING seq";
const POSTING: &str = "INSERT INTO posting (entry, place, account, book, side, credits) VALUES ($1, $2, $3, $4, $5, $6)";
const SET_ASIDE: &str = "UPDATE lot SET available = available - $2, held = held + $2 WHERE id = $1";
const SET_ASIDE_OF: &str =
    "UPDATE account SET available = available - $2, held = held + $2 WHERE id = $1";
const HOLD: &str = "INSERT INTO hold (id, account, lot, credits, purpose, state) VALUES ($1, $2, $3, $4, $5, 'open')";
const CAPTURE: &str = "UPDATE hold SET state = 'captured' WHERE id = $1";
const BURN: &str = "UPDATE lot SET held = held - $2, spent = spent + $2 WHERE id = $1";
const BURN_OF: &str = "UPDATE account SET held = held - $2 WHERE id = $1";
const SPEND: &str =
    "INSERT INTO spend (entry, hold, account, credits, purpose) VALUES ($1, $2, $3, $4, $5)";
const SPEND_DAY: &str = "INSERT INTO spend_day (account, day, feature, spends, credits) VALUES ($1, 0, 'video', 1, $2) \
     ON CONFLICT (account, day, feature) DO UPDATE SET spends = spend_day.spends + 1, credits = spend_day.credits + $2";
const LIMITS: &str = "SELECT scope, cap FROM usage_limit WHERE account = $1";
const LINK: &str = "UPDATE head SET hash = $1 WHERE id = 0";
const MOVE: &str = "INSERT INTO lot_move (entry, lot, from_bucket, to_bucket, credits) VALUES ($1, $2, $3, $4, $5)";
const RESOLVE: &str = "INSERT INTO resolution (hold, entry, credits) VALUES ($1, $2, $3)";
const EARN: &str = "UPDATE earned SET credits = credits + $1 WHERE id = 0";

/// The hash of an entry after the one before.
fn link(before: &str, kind: &str, account: i64) -> String {
    let mut hasher = Sha256::new();
    for part in [before, kind, PURPOSE] {
        hasher.update(part.as_bytes());
    }
    hasher.update(account.to_be_bytes());
    hasher.update(MICROS.to_be_bytes());
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One way to say it for both databases: `$lock` is what keeps a row for this transaction alone.
macro_rules! pair {
    ($name:ident, $connection:ty, $begin:expr, $lock:literal) => {
        async fn $name(
            connection: &mut $connection,
            number: i64,
            account: i64,
            work: Work,
        ) -> Result<(), Problem> {
            let head = concat!("SELECT hash FROM head WHERE id = 0", $lock);
            let mut db_tx = connection.begin_with($begin).await?;
            let key = format!("hold/{number}");
            once(sqlx::query(ONCE).bind(&key).execute(&mut *db_tx).await?.rows_affected())?;
            let mut hash = String::new();
            if work == Work::Same {
                let before: String = sqlx::query(head).fetch_one(&mut *db_tx).await?.get(0);
                hash = link(&before, "hold", account);
                sqlx::query(LIMITS).bind(account).fetch_all(&mut *db_tx).await?;
            }
            let found = concat!(
                "SELECT id FROM lot WHERE account = $1 AND available >= $2 ORDER BY expires_at LIMIT 1",
                $lock
            );
            let found = sqlx::query(found).bind(account).bind(MICROS).fetch_one(&mut *db_tx).await?;
            let lot: i64 = found.get(0);
            sqlx::query(SET_ASIDE).bind(lot).bind(MICROS).execute(&mut *db_tx).await?;
            sqlx::query(SET_ASIDE_OF).bind(account).bind(MICROS).execute(&mut *db_tx).await?;
            let hold = sqlx::query(HOLD).bind(number).bind(account).bind(lot).bind(MICROS);
            hold.bind(PURPOSE).execute(&mut *db_tx).await?;
            let entry = sqlx::query(ENTRY).bind("hold").bind(account).bind(PURPOSE).bind(&hash);
            let seq: i64 = entry.fetch_one(&mut *db_tx).await?.get(0);
            for (place, book, side) in [(0_i64, "account", "debit"), (1, "held", "credit")] {
                let posting = sqlx::query(POSTING).bind(seq).bind(place).bind(account);
                posting.bind(book).bind(side).bind(MICROS).execute(&mut *db_tx).await?;
            }
            if work == Work::Same {
                let moved = sqlx::query(MOVE).bind(seq).bind(lot).bind("left").bind("held");
                moved.bind(MICROS).execute(&mut *db_tx).await?;
                sqlx::query(LINK).bind(&hash).execute(&mut *db_tx).await?;
            }
            sqlx::query(ONCE_AS).bind(&key).bind(seq).execute(&mut *db_tx).await?;
            db_tx.commit().await?;

            let mut db_tx = connection.begin_with($begin).await?;
            let key = format!("capture/{number}");
            once(sqlx::query(ONCE).bind(&key).execute(&mut *db_tx).await?.rows_affected())?;
            if work == Work::Same {
                let before: String = sqlx::query(head).fetch_one(&mut *db_tx).await?.get(0);
                hash = link(&before, "capture", account);
            }
            let open = concat!("SELECT lot FROM hold WHERE id = $1 AND state = 'open'", $lock);
            let lot: i64 = sqlx::query(open).bind(number).fetch_one(&mut *db_tx).await?.get(0);
            sqlx::query(CAPTURE).bind(number).execute(&mut *db_tx).await?;
            sqlx::query(BURN).bind(lot).bind(MICROS).execute(&mut *db_tx).await?;
            sqlx::query(BURN_OF).bind(account).bind(MICROS).execute(&mut *db_tx).await?;
            let entry = sqlx::query(ENTRY).bind("capture").bind(account).bind(PURPOSE).bind(&hash);
            let seq: i64 = entry.fetch_one(&mut *db_tx).await?.get(0);
            for (place, book, side) in [(0_i64, "held", "debit"), (1, "revenue", "credit")] {
                let posting = sqlx::query(POSTING).bind(seq).bind(place).bind(account);
                posting.bind(book).bind(side).bind(MICROS).execute(&mut *db_tx).await?;
            }
            let spend = sqlx::query(SPEND).bind(seq).bind(number).bind(account).bind(MICROS);
            spend.bind(PURPOSE).execute(&mut *db_tx).await?;
            sqlx::query(SPEND_DAY).bind(account).bind(MICROS).execute(&mut *db_tx).await?;
            if work == Work::Same {
                let moved = sqlx::query(MOVE).bind(seq).bind(lot).bind("held").bind("spent");
                moved.bind(MICROS).execute(&mut *db_tx).await?;
                let resolved = sqlx::query(RESOLVE).bind(number).bind(seq).bind(MICROS);
                resolved.execute(&mut *db_tx).await?;
                sqlx::query(EARN).bind(MICROS).execute(&mut *db_tx).await?;
                sqlx::query(LINK).bind(&hash).execute(&mut *db_tx).await?;
            }
            sqlx::query(ONCE_AS).bind(&key).bind(seq).execute(&mut *db_tx).await?;
            Ok(db_tx.commit().await?)
        }
    };
}

pair!(pair_on_postgres, sqlx::PgConnection, "BEGIN", " FOR UPDATE");
pair!(pair_on_sqlite, SqliteConnection, "BEGIN IMMEDIATE", "");

fn once(rows: u64) -> Result<(), Problem> {
    if rows == 1 { Ok(()) } else { Err("a pair was asked for twice".into()) }
}

/// A database of plain tables.
#[derive(Clone, Debug)]
pub(crate) struct RowByRow {
    work: Work,
    tables: Tables,
}

#[derive(Clone, Debug)]
enum Tables {
    Postgres(PgPool),
    /// One connection writes at a time, so that nobody waits by trying again.
    Sqlite(Arc<Mutex<SqliteConnection>>),
}

impl RowByRow {
    /// Makes the tables, and an account with a lot for everyone.
    pub(crate) async fn open(database: &str, work: Work) -> Result<Self, Problem> {
        Ok(Self { work, tables: Tables::open(database).await? })
    }

    /// A hold and its capture, each in a transaction of its own.
    pub(crate) async fn pair(&self, number: u64, account: u64) -> Result<(), Problem> {
        let (number, account) = (i64::try_from(number)?, i64::try_from(account)?);
        match &self.tables {
            Tables::Postgres(pool) => {
                let mut connection = pool.acquire().await?;
                pair_on_postgres(&mut connection, number, account, self.work).await
            }
            Tables::Sqlite(connection) => {
                pair_on_sqlite(&mut *connection.lock().await, number, account, self.work).await
            }
        }
    }
}

impl Tables {
    async fn open(database: &str) -> Result<Self, Problem> {
        if let Some(path) = database.strip_prefix("sqlite:") {
            let options = SqliteConnectOptions::from_str(&format!("sqlite:{path}"))?
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .pragma("cache_size", "-8000")
                .pragma("wal_autocheckpoint", "32000")
                .pragma("temp_store", "MEMORY");
            let mut connection = SqliteConnection::connect_with(&options).await?;
            for sql in TABLES.into_iter().chain([SQLITE_ENTRY]).chain(FIRST) {
                connection.execute(sql).await?;
            }
            stock(&mut connection).await?;
            return Ok(Self::Sqlite(Arc::new(Mutex::new(connection))));
        }
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).connect(database).await?;
        for sql in TABLES.into_iter().chain([POSTGRES_ENTRY]).chain(FIRST) {
            pool.execute(sql).await?;
        }
        let mut connection = pool.acquire().await?;
        let mut db_tx = connection.begin().await?;
        for number in 0..i64::try_from(ACCOUNTS)? {
            for sql in stocked(number) {
                db_tx.execute(sqlx::AssertSqlSafe(sql)).await?;
            }
        }
        db_tx.commit().await?;
        pool.execute("ANALYZE").await?;
        drop(connection);
        Ok(Self::Postgres(pool))
    }
}

fn stocked(number: i64) -> [String; 2] {
    let micros = i128::from(CREDITS) * i128::from(MICROS);
    [
        format!("INSERT INTO account VALUES ({number}, {micros}, 0)"),
        format!("INSERT INTO lot VALUES ({number}, {number}, 0, {micros}, 0, 0)"),
    ]
}

async fn stock(connection: &mut SqliteConnection) -> Result<(), Problem> {
    let mut db_tx = connection.begin().await?;
    for number in 0..i64::try_from(ACCOUNTS)? {
        for sql in stocked(number) {
            db_tx.execute(sqlx::AssertSqlSafe(sql)).await?;
        }
    }
    Ok(db_tx.commit().await?)
}
