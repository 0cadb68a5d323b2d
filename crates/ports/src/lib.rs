//! The ports: traits named by domain acts, with the guarantees that an adapter must give.
//!
//! [`Store`] keeps, [`Chain`] reads a chain, [`RateSource`] tells what a token is worth. With the feature
//! `testing` come the in-memory [`fake`]s and the [`contract`] suites that every adapter passes.
//!
//! Never decides anything: rules live in the pure crates below, drivers in the crates above.

mod cases;
mod chain;
mod credits;
mod halts;
mod lease;
mod rates;
mod records;
mod store;
mod store_error;
mod subscriptions;
mod wallets;

#[cfg(feature = "testing")]
pub mod contract;
#[cfg(feature = "testing")]
pub mod fake;

pub use cases::{CaseFilter, CaseRecord, CaseStore};
pub use chain::{
    Agreement, Chain, ChainError, ChainErrorKind, FeeHistory, Header, NamedLimits, Proof,
    ProvenBlock, RangeAnswer, TaggedBlocks, TokenFacts, TransferProbe, WatchFilter,
};
pub use credits::{CreditStore, CreditsDue, LotChange, UsageFilter};
pub use halts::{AssetHalt, HaltStore, HaltsCommit};
pub use lease::{FollowedCursor, LeaseClaim, LeaseRecord, LeaseStore};
pub use rates::{RateSource, RateSourceError, RateSourceErrorKind};
pub use records::{
    AccountSummary, ApiKeyRecord, AppliedBlock, AttributionProbe, BlocksCommit, ChainTags,
    CursorRecord, HistoryFilter, HistoryLine, IdempotencyClaim, KeyScope, LawViolation, NewOrder,
    OrderFilter, Page, RangeCommit, Rewind, StoredQuote, StoredResponse, SystemBalance,
    TransferFilter, TransferTotals, TransferView, WindowBlock,
};
pub use store::{BooksStore, Decide, FollowStore, ReadStore, SaleStore, Store};
pub use store_error::{StoreError, StoreErrorKind};
pub use subscriptions::{DuePlace, SubscriptionStore};
pub use wallets::{
    FoundBy, FoundOrder, Linked, PaymentClaim, WalletChallenge, WalletLinking, WalletProof,
    WalletRecord, WalletStore,
};
