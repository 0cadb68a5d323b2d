//! The floor of settling: the rows that settling left behind, inserted again into plain tables.
//!
//! The same values, as many rows in a commit, the same way of handing rows over; no index but the primary
//! key or none at all, no trigger, no check, nothing read and nothing decided. Only inserting and committing
//! is timed.

mod postgres;
mod sqlite;

use std::time::Duration;

use crate::Problem;

/// Tables that settling adds rows to, and those whose every row it changes.
const TABLES: [&str; 9] = [
    "operation",
    "entry",
    "posting",
    "lot",
    "settlement",
    "event",
    "transfer",
    "orders",
    "book_account",
];

/// Whether the plain tables have keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    /// Each has the primary key of the table it is a copy of.
    Primary,
    /// None: rows are only put behind one another.
    None,
}

/// What was inserted, and in which time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Floor {
    pub(crate) rows: u64,
    pub(crate) took: Duration,
}

/// Writes out what is only in memory or in a log, so that whoever is measured next does not pay for it.
pub(crate) async fn level(database: &str) -> Result<(), Problem> {
    match sqlite_file(database) {
        Some(file) => sqlite::level(file).await,
        None => postgres::level(database).await,
    }
}

/// How many orders are paid.
pub(crate) async fn paid_orders(database: &str) -> Result<u64, Problem> {
    let paid = match sqlite_file(database) {
        Some(file) => sqlite::paid_orders(file).await?,
        None => postgres::paid_orders(database).await?,
    };
    Ok(u64::try_from(paid)?)
}

/// Inserts everything again, in so many commits.
pub(crate) async fn measure(database: &str, commits: u64, keys: Keys) -> Result<Floor, Problem> {
    match sqlite_file(database) {
        Some(file) => sqlite::measure(file, commits, keys).await,
        None => postgres::measure(database, commits, keys).await,
    }
}

fn sqlite_file(database: &str) -> Option<&str> {
    database.strip_prefix("sqlite:")
}

/// Names separated by commas.
fn list(names: impl Iterator<Item = String>) -> String {
    names.collect::<Vec<_>>().join(", ")
}
