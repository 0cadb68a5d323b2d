//! Why a transfer is where it is: what ties it to an order, or what keeps it from one.
//!
//! Never decides: the names are stored and shown as they are.

use serde::{Deserialize, Serialize};

/// Why a transfer belongs to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// The order's reference stood behind the calldata of a direct call to the token.
    Reference,
    /// The amount is the one reserved for that order.
    ExactAmount,
    /// It came from a wallet that the order's account has proven.
    ProvenPayer,
    /// The order's account claims it, and has proven the wallet that paid.
    Claim,
}

impl Evidence {
    /// Every kind, strongest first.
    pub const ALL: [Self; 4] = [Self::Reference, Self::ExactAmount, Self::ProvenPayer, Self::Claim];

    /// The evidence as stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reference => "reference",
            Self::ExactAmount => "exact_amount",
            Self::ProvenPayer => "proven_payer",
            Self::Claim => "claim",
        }
    }

    /// Reads what [`Self::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|evidence| evidence.as_str() == text)
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
