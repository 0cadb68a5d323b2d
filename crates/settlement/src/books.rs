//! The way into the books as the worker sees it.

use async_trait::async_trait;
use inspay_ledger::{Operation, Outcome};
use inspay_primitives::Fence;

/// Writes operations in one commit and answers each, in order. Safe to repeat.
#[async_trait]
pub trait Books: Send + Sync + std::fmt::Debug {
    /// Writes them, if the holding that they were decided under is still the one to go by when they are committed.
    async fn write(
        &self,
        fence: Fence,
        operations: Vec<Operation>,
    ) -> Result<Vec<Outcome>, BooksError>;
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
