//! SQLite's floor: statements of many rows, bound while the connection's thread runs the one before.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use sqlx::{
    Arguments as _, AssertSqlSafe, Connection as _, Executor as _, Row as _, Sqlite,
    SqliteConnection, TypeInfo as _, ValueRef as _,
    query::Query,
    sqlite::{
        SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqliteRow, SqliteSynchronous,
    },
};

use super::{Floor, Keys, TABLES, list};
use crate::Problem;

/// Rows of a statement, as in the store.
const STATEMENT_ROWS: usize = 512;

/// A value of any type that SQLite has and the schema uses.
#[derive(Clone, Debug)]
enum Cell {
    Null,
    Integer(i64),
    Text(String),
    Blob(Vec<u8>),
}

/// A table to copy.
struct Table {
    name: &'static str,
    columns: Vec<String>,
    rows: i64,
}

/// As the store's own connection: a log, and every commit on disk.
async fn connect(file: &str) -> Result<SqliteConnection, Problem> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("cache_size", "-8000")
        .pragma("wal_autocheckpoint", "32000")
        .pragma("temp_store", "MEMORY");
    Ok(SqliteConnection::connect_with(&options).await?)
}

pub(super) async fn level(file: &str) -> Result<(), Problem> {
    let mut connection = connect(file).await?;
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").await?;
    Ok(connection.close().await?)
}

pub(super) async fn paid_orders(file: &str) -> Result<i64, Problem> {
    let mut connection = connect(file).await?;
    let paid = sqlx::query_scalar("SELECT COUNT(*) FROM orders WHERE state = 'paid'")
        .fetch_one(&mut connection)
        .await?;
    connection.close().await?;
    Ok(paid)
}

pub(super) async fn measure(file: &str, commits: u64, keys: Keys) -> Result<Floor, Problem> {
    let mut connection = connect(file).await?;
    let mut tables = Vec::with_capacity(TABLES.len());
    for name in TABLES {
        tables.push(prepare(&mut connection, name, keys).await?);
    }
    level(file).await?;
    let mut took = Duration::ZERO;
    for commit in 0..commits {
        let mut batch = Vec::with_capacity(tables.len());
        for table in &tables {
            batch.push((table, read(&mut connection, table, commit, commits).await?));
        }
        let started = Instant::now();
        let mut db_tx = connection.begin_with("BEGIN IMMEDIATE").await?;
        for (table, rows) in batch {
            insert(&mut db_tx, table, rows).await?;
        }
        db_tx.commit().await?;
        took += started.elapsed();
    }
    let rows = finish(&mut connection, &tables).await?;
    connection.close().await?;
    Ok(Floor { rows, took })
}

/// Makes the plain table, with the columns that are not generated.
async fn prepare(
    connection: &mut SqliteConnection,
    name: &'static str,
    keys: Keys,
) -> Result<Table, Problem> {
    let told = sqlx::query(
        "SELECT x.name, x.type, x.pk, l.wr FROM pragma_table_xinfo(?1) x, pragma_table_list(?1) l WHERE x.hidden = 0",
    )
    .bind(name)
    .fetch_all(&mut *connection)
    .await?;
    let columns: Vec<String> = told.iter().map(|row| row.get("name")).collect();
    let mut parts: Vec<String> = told
        .iter()
        .map(|row| {
            let (name, kind): (&str, &str) = (row.get("name"), row.get("type"));
            format!("{name} {kind}")
        })
        .collect();
    let mut end = "STRICT";
    if keys == Keys::Primary {
        let mut key: Vec<(i64, &str)> = told
            .iter()
            .map(|row| (row.get("pk"), row.get("name")))
            .filter(|(place, _)| *place > 0)
            .collect();
        key.sort_unstable();
        parts.push(format!(
            "PRIMARY KEY ({})",
            list(key.iter().map(|(_, name)| (*name).to_owned()))
        ));
        if told.iter().all(|row| row.get("wr")) {
            end = "STRICT, WITHOUT ROWID";
        }
    }
    let make = format!("CREATE TABLE bare_{name} ({}) {end}", parts.join(", "));
    connection.execute(AssertSqlSafe(make)).await?;
    let rows = count(connection, name).await?;
    Ok(Table { name, columns, rows })
}

async fn count(connection: &mut SqliteConnection, table: &str) -> Result<i64, Problem> {
    let sql = AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
    Ok(sqlx::query_scalar(sql).fetch_one(connection).await?)
}

/// One commit's share of a table.
async fn read(
    connection: &mut SqliteConnection,
    table: &Table,
    commit: u64,
    commits: u64,
) -> Result<Vec<Vec<Cell>>, Problem> {
    let share = u64::try_from(table.rows)?.div_ceil(commits);
    let columns = list(table.columns.iter().cloned());
    // In the order in which they were made, which is not that of their keys.
    let order = if table.name == "operation" { "ORDER BY entry_seq" } else { "" };
    let sql = format!("SELECT {columns} FROM {} {order} LIMIT ?1 OFFSET ?2", table.name);
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(i64::try_from(share)?)
        .bind(i64::try_from(share * commit)?)
        .fetch_all(connection)
        .await?;
    rows.iter().map(cells).collect()
}

fn cells(row: &SqliteRow) -> Result<Vec<Cell>, Problem> {
    (0..row.len())
        .map(|column| {
            let raw = row.try_get_raw(column)?;
            if raw.is_null() {
                return Ok(Cell::Null);
            }
            Ok(match raw.type_info().name() {
                "INTEGER" => Cell::Integer(row.try_get_unchecked(column)?),
                "TEXT" => Cell::Text(row.try_get_unchecked(column)?),
                "BLOB" => Cell::Blob(row.try_get_unchecked(column)?),
                other => return Err(format!("a column of type {other}").into()),
            })
        })
        .collect()
}

fn statement(
    table: &Table,
    rows: Vec<Vec<Cell>>,
) -> Result<Query<'static, Sqlite, SqliteArguments>, Problem> {
    let group = format!("({})", list(table.columns.iter().map(|_| "?".to_owned())));
    let groups = vec![group; rows.len()].join(",");
    let text = format!("INSERT INTO bare_{} VALUES {groups}", table.name);
    let mut values = SqliteArguments::default();
    values.reserve(rows.len() * table.columns.len(), 0);
    for cell in rows.into_iter().flatten() {
        let bound = match cell {
            Cell::Null => values.add(None::<i64>),
            Cell::Integer(number) => values.add(number),
            Cell::Text(text) => values.add(text),
            Cell::Blob(bytes) => values.add(bytes),
        };
        bound?;
    }
    Ok(sqlx::query_with(AssertSqlSafe(text), values))
}

async fn insert(
    connection: &mut SqliteConnection,
    table: &Table,
    rows: Vec<Vec<Cell>>,
) -> Result<(), Problem> {
    let mut rows = rows.into_iter();
    let mut statements = std::iter::from_fn(|| {
        let chunk: Vec<Vec<Cell>> = rows.by_ref().take(STATEMENT_ROWS).collect();
        (!chunk.is_empty()).then(|| statement(table, chunk))
    });
    let mut next = statements.next().transpose()?;
    while let Some(statement) = next {
        let mut running = pin!(statement.execute(&mut *connection));
        let early = futures::poll!(running.as_mut());
        next = statements.next().transpose()?;
        match early {
            std::task::Poll::Ready(done) => done?,
            std::task::Poll::Pending => running.await?,
        };
    }
    Ok(())
}

/// Everything must be there again; then the copies go.
async fn finish(connection: &mut SqliteConnection, tables: &[Table]) -> Result<u64, Problem> {
    let mut rows = 0;
    for table in tables {
        let copied = count(connection, &format!("bare_{}", table.name)).await?;
        if copied != table.rows {
            return Err(
                format!("{copied} of {} rows of {} were copied", table.rows, table.name).into()
            );
        }
        rows += u64::try_from(copied)?;
        connection.execute(AssertSqlSafe(format!("DROP TABLE bare_{}", table.name))).await?;
    }
    Ok(rows)
}
