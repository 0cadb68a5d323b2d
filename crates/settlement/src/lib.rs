//! Settlement: which order a transfer pays for, when it is deep enough, and the worker that has it posted.
//!
//! ```text
//! cursor ──▶ reverse what left ──▶ judge what is deep enough ──▶ attribute ──▶ books (one commit) ──▶ close, free, expire
//! ```
//!
//! Never writes the books itself: operations go through the [`Books`] it is given. Never credits above
//! what the follower has proven.

mod agreement;
mod attribution;
mod backing;
mod books;
mod plan;
mod rejudge;
mod worker;

pub use agreement::{AgreementRule, Wanting};
pub use attribution::{Attribution, OrderIndex, attribute};
pub use books::{Books, BooksError};
pub use plan::{AssetRules, Facts, SettlementPolicy, plan_settlements};
pub use rejudge::is_judged_otherwise;
pub use worker::{ChainWork, SettleError, SettlementWorker, StepReport, WorkerSettings};
