//! The way into the books as the worker sees it.

use async_trait::async_trait;
use inspay_ledger::{Operation, Outcome};

/// Writes operations in one commit and answers each, in order. Safe to repeat.
#[async_trait]
pub trait Books: Send + Sync + std::fmt::Debug {
    /// Writes them.
    async fn write(&self, operations: Vec<Operation>) -> Result<Vec<Outcome>, BooksError>;
}

/// Why the books were not written.
#[derive(Debug, thiserror::Error)]
#[error("the books could not be written")]
pub struct BooksError {
    /// Whether the same operations may succeed when written again.
    pub transient: bool,
    /// Why.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}
