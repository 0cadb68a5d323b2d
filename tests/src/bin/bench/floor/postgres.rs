//! PostgreSQL's floor: one statement for each table and commit, with an array for each column.

use std::time::{Duration, Instant};

use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, PgConnection, Postgres, Row as _,
    postgres::{PgArguments, PgRow},
    query::Query,
    types::Uuid,
};

use super::{Floor, Keys, TABLES, list};
use crate::Problem;

/// The values of one column.
#[derive(Debug)]
enum Column {
    Long(Vec<Option<i64>>),
    Int(Vec<Option<i32>>),
    Short(Vec<Option<i16>>),
    Truth(Vec<Option<bool>>),
    Bytes(Vec<Option<Vec<u8>>>),
    Id(Vec<Option<Uuid>>),
    /// Also what the store hands over as text: numbers, JSON and lists of ids.
    Text(Vec<Option<String>>),
}

/// A column's name, its type, and the type it is handed over as.
struct Shape {
    name: String,
    kind: String,
    handed: &'static str,
}

impl Shape {
    fn new(name: String, kind: &str) -> Self {
        let handed = match kind {
            "int8" => "int8",
            "int4" => "int4",
            "int2" => "int2",
            "bool" => "bool",
            "bytea" => "bytea",
            "uuid" => "uuid",
            _ => "text",
        };
        let kind = kind.strip_prefix('_').map_or_else(|| kind.to_owned(), |one| format!("{one}[]"));
        Self { name, kind, handed }
    }

    fn values(&self, rows: &[PgRow], place: usize) -> Result<Column, Problem> {
        Ok(match self.handed {
            "int8" => Column::Long(all(rows, |row| row.try_get(place))?),
            "int4" => Column::Int(all(rows, |row| row.try_get(place))?),
            "int2" => Column::Short(all(rows, |row| row.try_get(place))?),
            "bool" => Column::Truth(all(rows, |row| row.try_get(place))?),
            "bytea" => Column::Bytes(all(rows, |row| row.try_get(place))?),
            "uuid" => Column::Id(all(rows, |row| row.try_get(place))?),
            _ => Column::Text(all(rows, |row| row.try_get(place))?),
        })
    }
}

fn all<T>(
    rows: &[PgRow],
    read: impl Fn(&PgRow) -> Result<T, sqlx::Error>,
) -> Result<Vec<T>, Problem> {
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}

/// A table to copy.
struct Table {
    name: &'static str,
    columns: Vec<Shape>,
    rows: i64,
    insert: String,
}

pub(super) async fn level(url: &str) -> Result<(), Problem> {
    let mut connection = PgConnection::connect(url).await?;
    connection.execute("CHECKPOINT").await?;
    Ok(connection.close().await?)
}

pub(super) async fn paid_orders(url: &str) -> Result<i64, Problem> {
    let mut connection = PgConnection::connect(url).await?;
    let paid = sqlx::query_scalar("SELECT COUNT(*) FROM orders WHERE state = 'paid'")
        .fetch_one(&mut connection)
        .await?;
    connection.close().await?;
    Ok(paid)
}

pub(super) async fn measure(url: &str, commits: u64, keys: Keys) -> Result<Floor, Problem> {
    let mut connection = PgConnection::connect(url).await?;
    let mut tables = Vec::with_capacity(TABLES.len());
    for name in TABLES {
        tables.push(prepare(&mut connection, name, keys).await?);
    }
    // One connection reads all tables on, from cursors, while the other writes.
    let mut reader = PgConnection::connect(url).await?;
    let mut reading = reader.begin().await?;
    for table in &tables {
        let columns = list(table.columns.iter().map(|column| match column.handed {
            "text" => format!("{}::text", column.name),
            _ => column.name.clone(),
        }));
        let Table { name, .. } = table;
        let open = format!("DECLARE read_{name} NO SCROLL CURSOR FOR SELECT {columns} FROM {name}");
        reading.execute(AssertSqlSafe(open)).await?;
    }
    level(url).await?;
    let mut took = Duration::ZERO;
    for _ in 0..commits {
        let mut batch = Vec::with_capacity(tables.len());
        for table in &tables {
            batch.push((table, read(&mut reading, table, commits).await?));
        }
        let started = Instant::now();
        let mut db_tx = connection.begin().await?;
        for (table, columns) in batch {
            let query = sqlx::query(AssertSqlSafe(table.insert.clone()));
            columns.into_iter().fold(query, bind).execute(&mut *db_tx).await?;
        }
        db_tx.commit().await?;
        took += started.elapsed();
    }
    reading.commit().await?;
    reader.close().await?;
    let rows = finish(&mut connection, &tables).await?;
    connection.close().await?;
    Ok(Floor { rows, took })
}

/// Makes the plain table, with the columns that are not generated.
async fn prepare(
    connection: &mut PgConnection,
    name: &'static str,
    keys: Keys,
) -> Result<Table, Problem> {
    let told = sqlx::query(
        "SELECT column_name::text AS name, udt_name::text AS kind FROM information_schema.columns \
         WHERE table_name = $1 AND is_generated = 'NEVER' ORDER BY ordinal_position",
    )
    .bind(name)
    .fetch_all(&mut *connection)
    .await?;
    let columns: Vec<Shape> =
        told.iter().map(|row| Shape::new(row.get("name"), row.get("kind"))).collect();
    let names = list(columns.iter().map(|column| column.name.clone()));
    let make = format!("CREATE TABLE bare_{name} AS SELECT {names} FROM {name} WITH NO DATA");
    connection.execute(AssertSqlSafe(make)).await?;
    if keys == Keys::Primary {
        let key: String = sqlx::query_scalar(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = $1::regclass AND contype = 'p'",
        )
        .bind(name)
        .fetch_one(&mut *connection)
        .await?;
        connection.execute(AssertSqlSafe(format!("ALTER TABLE bare_{name} ADD {key}"))).await?;
    }
    let cast = list(columns.iter().map(|Shape { name, kind, handed }| match *handed {
        "text" => format!("{name}::{kind}"),
        _ => name.clone(),
    }));
    let arrays = list(
        columns
            .iter()
            .enumerate()
            .map(|(place, column)| format!("${}::{}[]", place + 1, column.handed)),
    );
    let insert =
        format!("INSERT INTO bare_{name} SELECT {cast} FROM UNNEST({arrays}) AS handed({names})");
    let rows = count(connection, name).await?;
    Ok(Table { name, columns, rows, insert })
}

async fn count(connection: &mut PgConnection, table: &str) -> Result<i64, Problem> {
    let sql = AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
    Ok(sqlx::query_scalar(sql).fetch_one(connection).await?)
}

/// The next commit's share of a table.
async fn read(
    reader: &mut PgConnection,
    table: &Table,
    commits: u64,
) -> Result<Vec<Column>, Problem> {
    let share = u64::try_from(table.rows)?.div_ceil(commits);
    let fetch = format!("FETCH {share} FROM read_{}", table.name);
    let rows = sqlx::query(AssertSqlSafe(fetch)).fetch_all(reader).await?;
    let shapes = table.columns.iter().enumerate();
    shapes.map(|(place, shape)| shape.values(&rows, place)).collect()
}

type Statement = Query<'static, Postgres, PgArguments>;

fn bind(statement: Statement, column: Column) -> Statement {
    match column {
        Column::Long(values) => statement.bind(values),
        Column::Int(values) => statement.bind(values),
        Column::Short(values) => statement.bind(values),
        Column::Truth(values) => statement.bind(values),
        Column::Bytes(values) => statement.bind(values),
        Column::Id(values) => statement.bind(values),
        Column::Text(values) => statement.bind(values),
    }
}

/// Everything must be there again; then the copies go.
async fn finish(connection: &mut PgConnection, tables: &[Table]) -> Result<u64, Problem> {
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
