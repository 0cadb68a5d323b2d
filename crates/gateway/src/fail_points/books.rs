//! Fail points around the way into the books.

use std::sync::Arc;

use async_trait::async_trait;
use inspay_ledger::{Operation, Outcome};
use inspay_primitives::Fence;
use inspay_settlement::{Books, BooksError};

use super::{FailPoint, Place};

pub(super) const CALLS: &[&str] = &["books"];

/// The books with a point before and after each request.
#[derive(Debug)]
pub(crate) struct FailingBooks {
    pub(crate) inner: Arc<dyn Books>,
    pub(crate) point: Arc<FailPoint>,
}

#[async_trait]
impl Books for FailingBooks {
    async fn write(
        &self,
        fence: Fence,
        operations: Vec<Operation>,
    ) -> Result<Vec<Outcome>, BooksError> {
        self.point.pass("books", Place::Before);
        let written = self.inner.write(fence, operations).await;
        self.point.pass("books", Place::After);
        written
    }
}
