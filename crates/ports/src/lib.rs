//! The ports: traits named by domain acts, with the guarantees that an adapter must give.
//!
//! [`Store`] keeps, [`Chain`] reads a chain, [`RateSource`] tells what a token is worth. With the feature
//! `testing` come the in-memory [`fake`]s and the [`contract`] suites that every adapter passes.
//!
//! Never decides anything: rules live in the pure crates below, drivers in the crates above.

mod chain;
mod rates;
mod records;
mod store;
mod store_error;

#[cfg(feature = "testing")]
pub mod contract;
#[cfg(feature = "testing")]
pub mod fake;

pub use chain::{
    Chain, ChainError, ChainErrorKind, FeeHistory, Header, ProvenBlock, Proof, RangeAnswer, TokenFacts, TransferProbe,
    WatchFilter,
};
pub use rates::{RateSource, RateSourceError, RateSourceErrorKind};
pub use records::{
    ApiKeyRecord, BlocksCommit, CursorRecord, HistoryLine, IdempotencyClaim, KeyScope, LawViolation, NewOrder, Page,
    RangeCommit, StoredQuote, StoredResponse, TransferFilter, TransferTotals, TransferView, WindowBlock, AppliedBlock,
    AccountSummary, AttributionProbe, OrderFilter, SystemBalance, ChainTags,
};
pub use store::{BooksStore, Decide, FollowStore, ReadStore, SaleStore, Store};
pub use store_error::{StoreError, StoreErrorKind};
