//! The one way into the books: a bounded queue, batches, one commit each.
//!
//! ```text
//! write(operations) ──▶ queue ──▶ take what is queued ──▶ Store::transact(apply) ──▶ answer each
//! ```
//!
//! Never waits to gather while idle, never answers before the commit, never splits one caller's
//! operations over two commits.

mod writer;

pub use writer::{LedgerWriter, WriteError, WriterLimits, WriterTask};
