//! The SQLite store: every port of keeping, in static SQL of one dialect, in one file.
//!
//! Rules live in the ledger, never here: rows are loaded, handed over and written as they come back.
//! One connection writes, so writers come one after another; every call is one commit, and base units are
//! text of fixed width, so that no number is narrower than 256 bits and sums are never made in SQL.

mod books;
mod bulk;
mod cases;
mod codec;
mod columns;
mod credits;
mod error;
mod follow;
mod halts;
mod idempotency;
mod laws;
mod lease;
mod load;
mod orders;
#[cfg(test)]
mod plans;
mod rates;
mod read;
mod sale;
mod schema;
mod script;
mod session;
mod spending;
mod store;
mod subscriptions;
mod transfers;
mod wallets;
mod write;

#[cfg(debug_assertions)]
pub use store::CommitHook;
pub use store::{SqliteOptions, SqliteStore};
