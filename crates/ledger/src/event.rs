//! Events: what the application is told, in one sequence, each with a full snapshot.

use inspay_primitives::{AccountId, Credits, OrderId, Timestamp, TransferId};
use serde::{Deserialize, Serialize};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EventKind {
    /// An order's due amount is settled and its credits are granted.
    #[serde(rename = "order.paid")]
    OrderPaid,
    /// More than the due amount came for an order that was paid already.
    #[serde(rename = "order.overpaid")]
    OrderOverpaid,
    /// Part of an order's due amount is settled.
    #[serde(rename = "order.partially_paid")]
    OrderPartiallyPaid,
    /// An order was closed before it was paid in full.
    #[serde(rename = "order.expired")]
    OrderExpired,
    /// A payment for an order left the chain and was taken back.
    #[serde(rename = "order.reversed")]
    OrderReversed,
    /// A late payment was credited at the rate of its block time.
    #[serde(rename = "order.paid_late")]
    OrderPaidLate,
    /// A transfer came that belongs to nothing yet.
    #[serde(rename = "transfer.suspended")]
    TransferSuspended,
    /// A suspended, ignored or outgoing transfer left the chain and was taken back.
    #[serde(rename = "transfer.reversed")]
    TransferReversed,
    /// Tokens left the treasury.
    #[serde(rename = "transfer.withdrawn")]
    TransferWithdrawn,
    /// A lot lapsed.
    #[serde(rename = "credits.expired")]
    CreditsExpired,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::OrderPaid,
        Self::OrderOverpaid,
        Self::OrderPartiallyPaid,
        Self::OrderExpired,
        Self::OrderReversed,
        Self::OrderPaidLate,
        Self::TransferSuspended,
        Self::TransferReversed,
        Self::TransferWithdrawn,
        Self::CreditsExpired,
    ];

    /// The kind as stored and sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OrderPaid => "order.paid",
            Self::OrderOverpaid => "order.overpaid",
            Self::OrderPartiallyPaid => "order.partially_paid",
            Self::OrderExpired => "order.expired",
            Self::OrderReversed => "order.reversed",
            Self::OrderPaidLate => "order.paid_late",
            Self::TransferSuspended => "transfer.suspended",
            Self::TransferReversed => "transfer.reversed",
            Self::TransferWithdrawn => "transfer.withdrawn",
            Self::CreditsExpired => "credits.expired",
        }
    }

    /// Reads what [`Self::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// How everything the event is about stood right after it. Stored as JSON; numbers are texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventSnapshot {
    /// State of the order.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub order_state: Option<String>,
    /// Settled in time so far, base units.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub received_base_units: Option<String>,
    /// Due amount, base units.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub due_base_units: Option<String>,
    /// Credits that the order has granted in all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub credited: Option<Credits>,
    /// Credits that this event granted; negative if it took them back.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub credits_delta: Option<Credits>,
    /// The account's credits after it, lapsed lots that are not booked yet included.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub balance: Option<Credits>,
    /// The asset that moved.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub asset: Option<String>,
    /// How much of it moved, base units.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub base_units: Option<String>,
    /// The chain transaction it moved in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tx_hash: Option<String>,
    /// The block it was settled in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub block_number: Option<u64>,
    /// Why: the evidence of an attribution, or the reason of a suspension.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub why: Option<String>,
}

/// One event, enqueued in the commit that made it true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Counted from one, without gaps.
    pub seq: i64,
    /// What happened.
    pub kind: EventKind,
    /// Whose account it is about.
    pub account: Option<AccountId>,
    /// The order it is about.
    pub order: Option<OrderId>,
    /// The transfer it is about.
    pub transfer: Option<TransferId>,
    /// The entry that was posted with it.
    pub entry_seq: Option<i64>,
    /// When it was booked.
    pub created_at: Timestamp,
    /// How things stood right after it.
    pub snapshot: EventSnapshot,
}
