//! Events: what the application is told, in one sequence, each with a full snapshot.

use inspay_primitives::{
    AccountId, Credits, HoldId, LimitId, LotId, OrderId, Timestamp, TransferId, UsageId,
};
use serde::{Deserialize, Serialize};

use crate::Purpose;

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
    /// A lot will lapse soon.
    #[serde(rename = "credits.expiring")]
    CreditsExpiring,
    /// Credits were granted without a payment.
    #[serde(rename = "credits.granted")]
    CreditsGranted,
    /// What was left of a lot was taken back.
    #[serde(rename = "credits.revoked")]
    CreditsRevoked,
    /// Spent credits came back.
    #[serde(rename = "credits.refunded")]
    CreditsRefunded,
    /// A hold was left alone until it ran out.
    #[serde(rename = "hold.lapsed")]
    HoldLapsed,
    /// Spending passed a limit that warns.
    #[serde(rename = "limit.passed")]
    LimitPassed,
    /// Spending reached a percentage of a limit.
    #[serde(rename = "limit.reached")]
    LimitReached,
    /// Something was refused for a limit; told once a window.
    #[serde(rename = "limit.refused")]
    LimitRefused,
    /// The credits that can be spent fell below a threshold.
    #[serde(rename = "balance.low")]
    BalanceLow,
    /// The account owes credits: a payment was taken back whose credits were spent.
    #[serde(rename = "account.negative")]
    AccountNegative,
    /// The account owes nothing any more.
    #[serde(rename = "account.whole")]
    AccountWhole,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 21] = [
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
        Self::CreditsExpiring,
        Self::CreditsGranted,
        Self::CreditsRevoked,
        Self::CreditsRefunded,
        Self::HoldLapsed,
        Self::LimitPassed,
        Self::LimitReached,
        Self::LimitRefused,
        Self::BalanceLow,
        Self::AccountNegative,
        Self::AccountWhole,
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
            Self::CreditsExpiring => "credits.expiring",
            Self::CreditsGranted => "credits.granted",
            Self::CreditsRevoked => "credits.revoked",
            Self::CreditsRefunded => "credits.refunded",
            Self::HoldLapsed => "hold.lapsed",
            Self::LimitPassed => "limit.passed",
            Self::LimitReached => "limit.reached",
            Self::LimitRefused => "limit.refused",
            Self::BalanceLow => "balance.low",
            Self::AccountNegative => "account.negative",
            Self::AccountWhole => "account.whole",
        }
    }

    /// Reads what [`Self::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// How everything the event is about stood right after it. Stored as JSON; numbers are texts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// The lot.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lot: Option<LotId>,
    /// When the lot lapses.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expires_at: Option<Timestamp>,
    /// The hold.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hold: Option<HoldId>,
    /// The spend.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub usage: Option<UsageId>,
    /// What the credits are for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub purpose: Option<Purpose>,
    /// The limit.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub limit: Option<LimitId>,
    /// The limit's cap, or the balance's threshold.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub threshold: Option<Credits>,
    /// Held and spent in the limit's window.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub used: Option<Credits>,
    /// The percentage of the limit that was reached.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub percent: Option<u8>,
    /// What the account owes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub owed: Option<Credits>,
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
