//! What can be asked of the ledger, and what it answers.
//!
//! Every operation has a key and a fingerprint: the same again gives the stored outcome, another
//! fingerprint under the same key is a conflict.

use std::fmt;

use inspay_primitives::{
    B256, Credits, LotId, OrderId, Rate, Reference, Timestamp, TransferId, Usd,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The name under which an operation happens at most once. Never pruned.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationKey(String);

impl OperationKey {
    /// Wraps a key read from a row or made by its operation.
    #[must_use]
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// The key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OperationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a transfer belongs to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// The order's reference stood behind the calldata of a direct call to the token.
    Reference,
    /// The amount is the one reserved for that order.
    ExactAmount,
}

impl Evidence {
    /// The evidence as stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reference => "reference",
            Self::ExactAmount => "exact_amount",
        }
    }

    /// Reads what [`Self::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Reference, Self::ExactAmount].into_iter().find(|evidence| evidence.as_str() == text)
    }
}

/// Why a transfer in lies in suspense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SuspenseReason {
    /// No order has its reference or reserves its amount.
    NoEvidence,
    /// It names an order that is payable in another asset or to another treasury.
    WrongAsset,
    /// It has the amount of an order that is already paid.
    OrderAlreadyPaid,
    /// It came after the deadline and late payments are held by setting.
    Late,
    /// It came after the deadline and no rate of its block time is known.
    NoRateAtBlockTime,
    /// The order's credits would be more than can be held.
    TooManyCredits,
}

impl SuspenseReason {
    /// Every reason.
    pub const ALL: [Self; 6] = [
        Self::NoEvidence,
        Self::WrongAsset,
        Self::OrderAlreadyPaid,
        Self::Late,
        Self::NoRateAtBlockTime,
        Self::TooManyCredits,
    ];

    /// The reason as stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoEvidence => "no_evidence",
            Self::WrongAsset => "wrong_asset",
            Self::OrderAlreadyPaid => "order_already_paid",
            Self::Late => "late",
            Self::NoRateAtBlockTime => "no_rate_at_block_time",
            Self::TooManyCredits => "too_many_credits",
        }
    }

    /// Reads what [`Self::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

/// Why a transfer in is recorded but moves nothing in the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IgnoreReason {
    /// Nothing moved: the log says zero.
    ZeroValue,
    /// From the treasury to itself.
    SelfTransfer,
}

impl IgnoreReason {
    /// The reason as stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ZeroValue => "zero_value",
            Self::SelfTransfer => "self_transfer",
        }
    }

    /// Reads what [`Self::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::ZeroValue, Self::SelfTransfer].into_iter().find(|reason| reason.as_str() == text)
    }
}

/// How a late transfer is priced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LateTerms {
    /// The rate at its block time.
    pub rate: Rate,
    /// What it buys at that rate, rounded down.
    pub credits: Credits,
}

/// What is to become of a confirmed transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It pays for an order.
    Attribute {
        /// The order.
        order: OrderId,
        /// Why it belongs to it.
        evidence: Evidence,
        /// How it is priced if it came after the deadline and its grace.
        late: Option<LateTerms>,
    },
    /// It belongs to nothing yet.
    Suspend {
        /// Why.
        reason: SuspenseReason,
        /// Orders it might belong to, best first.
        candidates: Vec<OrderId>,
    },
    /// It left the treasury.
    Withdraw,
    /// It moves nothing.
    Ignore(IgnoreReason),
}

/// One thing to do to the books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Post a confirmed transfer, once per generation.
    Settle {
        /// The transfer.
        transfer: TransferId,
        /// How often it has been reversed before.
        generation: u32,
        /// The block whose confirmations were judged: standing in another one, it is judged anew. `None` where no
        /// confirmations were asked for.
        judged_in: Option<B256>,
        /// What its calldata carried, now that it has been read.
        reference: Option<Reference>,
        /// What becomes of it.
        decision: Decision,
        /// What it was worth when it was received; `None` where no rate of that time is known.
        value: Option<Usd>,
    },
    /// Take back the posting of a transfer that left the chain or changed.
    Reverse {
        /// The transfer.
        transfer: TransferId,
        /// The generation to take back.
        generation: u32,
    },
    /// Close an order whose deadline and grace have passed in chain time.
    CloseOrder {
        /// The order.
        order: OrderId,
        /// Time of a block after the deadline up to which every transfer is settled.
        chain_time: Timestamp,
    },
    /// Book what is left of a lapsed lot.
    ExpireLot {
        /// The lot.
        lot: LotId,
    },
}

/// An act with the key under which it happens at most once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The key; a function of the act.
    pub key: OperationKey,
    /// The act.
    pub act: Act,
}

impl From<Act> for Operation {
    fn from(act: Act) -> Self {
        let key = match &act {
            Act::Settle { transfer, generation, .. } => format!("settle/{transfer}/{generation}"),
            Act::Reverse { transfer, generation } => format!("reverse/{transfer}/{generation}"),
            Act::CloseOrder { order, .. } => format!("close/{order}"),
            Act::ExpireLot { lot } => format!("expire/{lot}"),
        };
        Self { key: OperationKey(key), act }
    }
}

impl Operation {
    /// What the act asks for, as a digest. Facts that may differ between two honest askers (the
    /// value in dollars, the chain time that was seen) are left out.
    #[must_use]
    pub fn fingerprint(&self) -> B256 {
        let text = match &self.act {
            Act::Settle { decision, .. } => match decision {
                Decision::Attribute { order, evidence, late } => {
                    format!("attribute/{order}/{}/{}", evidence.as_str(), late.is_some())
                }
                Decision::Suspend { reason, .. } => format!("suspend/{}", reason.as_str()),
                Decision::Withdraw => "withdraw".to_owned(),
                Decision::Ignore(reason) => format!("ignore/{}", reason.as_str()),
            },
            Act::Reverse { .. } | Act::CloseOrder { .. } | Act::ExpireLot { .. } => String::new(),
        };
        let digest = Sha256::new()
            .chain_update(b"inspay/operation/v1")
            .chain_update(self.key.as_str())
            .chain_update([0])
            .chain_update(text)
            .finalize();
        B256::from_slice(&digest)
    }
}

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

/// Why an operation was not done. None of these is stored: each can cease to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
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
    /// The facts of the order do not fit the decision.
    #[error("the decision does not fit the order")]
    DoesNotFit,
    /// The order's time has not passed, or it is closed already.
    #[error("the order is not ready to be closed")]
    NotDue,
    /// The lot has not lapsed, or nothing is left of it.
    #[error("the lot has nothing to expire")]
    NothingToExpire,
    /// The lines that the decision made do not balance: a defect, kept out of the books.
    #[error("the entry would not balance")]
    Unbalanced,
    /// A sum would pass 2^256 − 1, or a number of credits what can be held.
    #[error("a sum is out of range")]
    OutOfRange,
}
