//! The PostgreSQL store: every port of keeping, in static SQL of one dialect.
//!
//! Rules live in the ledger, never here: rows are loaded, handed over and written as they come back.
//! Every multi-row write is one statement per table over `UNNEST`ed arrays, every call is one commit, and
//! base units travel as text, so that no number on the way is narrower than 256 bits.

mod books;
mod cases;
#[cfg(feature = "cluster")]
pub mod cluster;
mod codec;
mod columns;
mod copy;
mod credits;
mod error;
mod follow;
mod halts;
mod idempotency;
mod laws;
mod lease;
mod load;
mod marks;
mod orders;
mod rates;
mod read;
mod sale;
mod schema;
mod scratch;
mod session;
mod spending;
mod store;
mod subscriptions;
mod wallets;
mod write;

pub use books::TRANSACT_ROUND_TRIPS_MAX;
pub use scratch::{create_scratch_database, drop_scratch_database};
#[cfg(debug_assertions)]
pub use store::CommitHook;
pub use store::{PostgresOptions, PostgresStore};
