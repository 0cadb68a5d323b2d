//! The books: chart of accounts, journal entries, lots, orders' progress, and the one function that decides.
//!
//! ```text
//! operations ──▶ touches ──▶ (store loads a LedgerState) ──▶ apply ──▶ outcomes + BatchRows ──▶ (store writes, commits once)
//! ```
//!
//! Never does IO, never reads a clock, never changes an entry once made. A refused operation leaves the
//! state as it was and does not stop the batch.
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod account;
mod apply;
mod cases;
mod draft;
mod entry;
mod event;
mod evidence;
mod free_plan;
mod grant;
mod hold;
mod limit;
mod limits;
mod lot;
mod operation;
mod order_rules;
mod outcome;
mod post;
mod price_book;
mod progress;
mod remembered;
mod settle;
mod spend;
mod state;
mod subscription;

pub use account::{BookAccount, BookAccountError, LotSource, Side, Unit};
pub use apply::{apply, touches};
pub use entry::{Entry, EntryKind, GENESIS_HASH, Posting};
pub use event::{Event, EventKind, EventSnapshot};
pub use evidence::{Evidence, IgnoreReason, SuspenseReason};
pub use free_plan::{FreePlanDue, FreePlanTerms};
pub use hold::{Hold, Purpose, Resolution, ResolutionKind, Usage};
pub use limit::{Judgement, Limit, LimitAction, LimitScope, LimitWindow, WindowUse};
pub use lot::{Bucket, BurnOrder, Lot, LotMove, LotParts, Slice, issued_from};
pub use operation::{Act, Decision, GrantTerms, LateTerms, Operation, OperationKey};
pub use order_rules::{LatePolicy, OverPolicy, PartialPolicy, SettlementRules, Split, split};
pub use outcome::{Outcome, Refusal};
pub use price_book::{FeaturePrice, PriceBook, PriceBookError, PriceRefusal, PriceVersion};
pub use progress::ChainProgress;
pub use remembered::{Memory, Remembered};
pub use state::{
    AccountBalance, BatchRows, Head, LedgerState, LimitBasis, OperationRow, Profile, Reversal,
    Settlement, SettlementKind, StoredOperation, Touches, TransferMark, TransferRecord, UsageDay,
    UsageSums,
};
pub use subscription::{Renewal, Subscription};
