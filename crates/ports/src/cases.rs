//! Cases: what a person of the finance has to look at, kept for good.

use async_trait::async_trait;
use inspay_primitives::{CaseClosing, CaseId, CaseKind, CaseOpening, Timestamp};

use crate::{Page, StoreError};

/// A case as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseRecord {
    /// Its number; the page cursor.
    pub id: CaseId,
    /// What it was opened with.
    pub opening: CaseOpening,
    /// When it was found to be over and what ended it; `None` while it is open.
    pub resolved: Option<(Timestamp, String)>,
}

/// Which cases are listed. Newest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaseFilter {
    /// Of this kind only.
    pub kind: Option<CaseKind>,
    /// Only those that are not resolved.
    pub open_only: bool,
}

/// What a person has to look at. The follower and the books open and resolve cases within their own commits as well.
#[async_trait]
pub trait CaseStore: Send + Sync + std::fmt::Debug {
    /// Opens a case; while one of its kind and subject is open, that is the one, and it stays as it is.
    async fn open_case(&self, opening: CaseOpening) -> Result<CaseId, StoreError>;

    /// Resolves the open case of a kind and subject; `false` if there is none.
    async fn resolve_case(&self, closing: CaseClosing) -> Result<bool, StoreError>;

    /// One case.
    async fn case(&self, id: CaseId) -> Result<Option<CaseRecord>, StoreError>;

    /// Cases, newest first; those before `page.after`.
    async fn cases(&self, filter: CaseFilter, page: Page) -> Result<Vec<CaseRecord>, StoreError>;
}
