//! Why a store could not do what was asked.

/// A store's failure: what was attempted, and the kind of failure inside.
#[derive(Debug, thiserror::Error)]
#[error("the store could not {act}")]
pub struct StoreError {
    /// What was attempted, such as `commit blocks`.
    pub act: &'static str,
    /// Why it failed.
    #[source]
    pub kind: StoreErrorKind,
}

/// Kinds of store failures.
#[derive(Debug, thiserror::Error)]
pub enum StoreErrorKind {
    /// The database cannot be reached, or closed the connection.
    #[error("the database cannot be reached: {0}")]
    Unreachable(String),
    /// Another writer was faster; the same act may succeed when tried again.
    #[error("another writer was faster: {0}")]
    Contended(String),
    /// The cursor is not where the caller believes it is: nothing was written.
    #[error("the cursor has moved since it was read")]
    CursorMoved,
    /// The lease under which this was decided is held under another number, has run out, or its holder has not found
    /// the stored window on the chain: nothing was written.
    #[error("the lease is no longer held under that number")]
    Fenced,
    /// A quote is accepted by at most one order.
    #[error("the quote is already used by an order")]
    QuoteUsed,
    /// The due amount is reserved by another order.
    #[error("the exact amount is reserved by another order")]
    SlotTaken,
    /// The row asked for does not exist.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The same name was given to something else.
    #[error("the {0} exists already")]
    Exists(&'static str),
    /// The database was made by a newer release, or a migration was changed.
    #[error("the database schema does not fit this release: {0}")]
    Schema(String),
    /// A stored value could not be read back.
    #[error("a stored value is corrupt: {0}")]
    Corrupt(String),
    /// The database refused the statement.
    #[error("the database refused: {0}")]
    Refused(String),
}

impl StoreError {
    /// Wraps a kind with what was attempted.
    #[must_use]
    pub const fn new(act: &'static str, kind: StoreErrorKind) -> Self {
        Self { act, kind }
    }

    /// Whether trying the same act again may succeed without anybody changing anything.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self.kind {
            StoreErrorKind::Unreachable(_) | StoreErrorKind::Contended(_) => true,
            StoreErrorKind::CursorMoved
            | StoreErrorKind::Fenced
            | StoreErrorKind::QuoteUsed
            | StoreErrorKind::SlotTaken
            | StoreErrorKind::NotFound(_)
            | StoreErrorKind::Exists(_)
            | StoreErrorKind::Schema(_)
            | StoreErrorKind::Corrupt(_)
            | StoreErrorKind::Refused(_) => false,
        }
    }
}
