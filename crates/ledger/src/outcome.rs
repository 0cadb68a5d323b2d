//! What the ledger answers to an operation.
//!
//! A refusal never changes anything.

use inspay_primitives::{Credits, LimitId};
use serde::{Deserialize, Serialize};

/// What became of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done; the entry it made, if it moved anything.
    Applied {
        /// Sequence number of the entry.
        entry_seq: Option<i64>,
    },
    /// Done before; what came of it then.
    AlreadyApplied {
        /// Sequence number of the entry.
        entry_seq: Option<i64>,
    },
    /// Not done; nothing changed.
    Refused(Refusal),
}

/// Why an operation was not done. Stored for what callers ask under keys of their own; for everything else it is not,
/// since each can cease to hold. Stored as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The key was used for something else.
    #[error("the key was used for another operation")]
    Conflict,
    /// No such transfer is recorded.
    #[error("no such transfer")]
    NoSuchTransfer,
    /// No such order is recorded.
    #[error("no such order")]
    NoSuchOrder,
    /// No such account is known.
    #[error("no such account")]
    NoSuchAccount,
    /// No such lot is recorded.
    #[error("no such lot")]
    NoSuchLot,
    /// The transfer is not on the canonical chain.
    #[error("the transfer is not on the canonical chain")]
    NotCanonical,
    /// The transfer stands in another block than the one whose confirmations were judged.
    #[error("the transfer has moved to another block")]
    Moved,
    /// What is recorded of the asset is not known to be whole: nothing is settled and no order closed until it is.
    #[error("the asset is halted")]
    AssetHalted,
    /// The transfer has been settled or reversed since this was planned.
    #[error("the transfer is at another generation")]
    StaleGeneration,
    /// The transfer is still canonical and unchanged: there is nothing to take back.
    #[error("the transfer is still on the chain as it was settled")]
    StillCanonical,
    /// What is attributed, ignored or about to be taken back is not opened again.
    #[error("the transfer does not lie in suspense")]
    NotInSuspense,
    /// The facts of the order do not fit the decision.
    #[error("the decision does not fit the order")]
    DoesNotFit,
    /// The order's time has not passed, or it is closed already.
    #[error("the order is not ready to be closed")]
    NotDue,
    /// The chain has changed its branch since the order was found to be ready to be closed.
    #[error("the chain has changed its branch")]
    OtherBranch,
    /// A transfer that may be in time for the order is not settled yet.
    #[error("an older transfer is not settled yet")]
    OlderUnsettled,
    /// The lot has not lapsed, or nothing is left of it.
    #[error("the lot has nothing to expire")]
    NothingToExpire,
    /// The lines that the decision made do not balance: a defect, kept out of the books.
    #[error("the entry would not balance")]
    Unbalanced,
    /// A sum would pass 2^256 − 1, or a number of credits what can be held.
    #[error("a sum is out of range")]
    OutOfRange,
    /// Credits must be more than zero.
    #[error("the credits must be more than zero")]
    NotPositive,
    /// The account has not that many credits to spend on this.
    #[error("{needed} credits are needed, {available} can be spent on this")]
    InsufficientCredits {
        /// What was asked for.
        needed: Credits,
        /// What can be spent on that feature now.
        available: Credits,
    },
    /// A payment was taken back whose credits were spent: nothing is spent until the account is whole.
    #[error("the account owes {owed} credits, since a payment was taken back")]
    AccountNegative {
        /// What the account owes.
        owed: Credits,
    },
    /// A limit's cap would be passed.
    #[error("the limit {limit} has {left} credits left")]
    LimitReached {
        /// The limit.
        limit: LimitId,
        /// What would still pass.
        left: Credits,
    },
    /// No such hold is recorded.
    #[error("no such hold")]
    NoSuchHold,
    /// The hold was captured.
    #[error("the hold was captured already: {captured} credits")]
    HoldCaptured {
        /// What was spent.
        captured: Credits,
    },
    /// The hold was given back.
    #[error("the hold was released already")]
    HoldReleased,
    /// The hold ran out.
    #[error("the hold ran out")]
    HoldLapsed,
    /// The hold has not run out.
    #[error("the hold has not run out")]
    HoldNotLapsed,
    /// More than the hold has.
    #[error("the hold has {held} credits")]
    AboveHold {
        /// What the hold has.
        held: Credits,
    },
    /// No such spend is recorded.
    #[error("no such spend")]
    NoSuchUsage,
    /// More than was spent and not given back yet.
    #[error("{refundable} credits of the spend can be refunded")]
    AboveSpend {
        /// What can still be given back.
        refundable: Credits,
    },
    /// The promotion has less left than this.
    #[error("the promotion has {left} credits left")]
    BudgetSpent {
        /// What it may still grant.
        left: Credits,
    },
    /// Only payments grant purchased credits, and only promotions have a campaign with a budget.
    #[error("credits of that source cannot be granted so")]
    WrongSource,
    /// The credits would lapse before they were granted.
    #[error("the credits would have lapsed already")]
    LapsedAlready,
    /// Nothing of the lot is left or held.
    #[error("nothing of the lot is left to be revoked")]
    NothingToRevoke,
    /// The lot has been warned of, or nothing is left to lapse.
    #[error("there is nothing to warn of")]
    NothingToWarn,
    /// No such limit is set.
    #[error("no such limit")]
    NoSuchLimit,
    /// Another limit of the same scope and window makes this one void, or the other way.
    #[error("the limit contradicts the limit {limit}")]
    LimitsContradict {
        /// The other limit.
        limit: LimitId,
    },
    /// The alerts are no ascending percentages from 1 to 100, or no descending balances above zero.
    #[error("the alerts are not in order")]
    AlertsUnsound,
    /// The limit's window ended while it was set: to be asked again.
    #[error("the limit's window has just ended")]
    WindowMoved,
}

impl Refusal {
    /// Whether a caller's request is answered so for good. What was not found may be recorded later, and a conflict is
    /// about another request.
    #[must_use]
    pub const fn is_final(self) -> bool {
        !matches!(
            self,
            Self::Conflict
                | Self::WindowMoved
                | Self::NoSuchAccount
                | Self::NoSuchTransfer
                | Self::NoSuchOrder
                | Self::NoSuchLot
                | Self::NoSuchHold
                | Self::NoSuchUsage
                | Self::NoSuchLimit
        )
    }
}
