//! Balances, lots and history of one account.

use inspay_ledger::Lot;
use inspay_ports::{HistoryLine, LotChange};
use inspay_primitives::{AccountId, Credits, Label, LotId, OrderId, Timestamp, TransferId, Usd};
use inspay_reports::account::Balance;
use serde::Serialize;
use utoipa::ToSchema;

/// What an account can spend, and what lapses when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Balance)]
pub(crate) struct BalanceBody {
    /// The account.
    #[schema(value_type = String, example = "alice")]
    account: AccountId,
    /// What can be spent now: what is posted, less lapsed lots that are not booked yet. Below zero
    /// only after a payment left the chain whose credits were spent.
    #[schema(value_type = String, example = "1000.000000")]
    available: Credits,
    /// The sum of its postings, less what it owes.
    #[schema(value_type = String, example = "1000.000000")]
    posted: Credits,
    /// What holds have set aside.
    #[schema(value_type = String, example = "0.000000")]
    held: Credits,
    /// What lapses, by day, soonest first.
    expiring: Vec<ExpiringDay>,
    /// When it first appeared.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// What lapses on one day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ExpiringDay {
    /// The day, in the account's zone.
    #[schema(value_type = String, format = Date, example = "2026-08-31")]
    day: String,
    /// How many credits.
    #[schema(value_type = String, example = "1000.000000")]
    credits: Credits,
}

/// Credits granted at one time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Lot)]
pub(crate) struct LotBody {
    /// Identity.
    #[schema(value_type = String, example = "lot_12_0")]
    id: LotId,
    /// Where they came from.
    #[schema(example = "purchase")]
    source: &'static str,
    /// How many there were.
    #[schema(value_type = String, example = "1000.000000")]
    granted: Credits,
    /// How many are left.
    #[schema(value_type = String, example = "1000.000000")]
    left: Credits,
    /// How many holds have set aside.
    #[schema(value_type = String, example = "0.000000")]
    held: Credits,
    /// How many were spent.
    #[schema(value_type = String, example = "0.000000")]
    spent: Credits,
    /// How many lapsed and were booked.
    #[schema(value_type = String, example = "0.000000")]
    expired: Credits,
    /// How many were taken back.
    #[schema(value_type = String, example = "0.000000")]
    taken: Credits,
    /// The one feature that they can be spent on; absent for any.
    #[schema(value_type = Option<String>)]
    scope: Option<Label>,
    /// The promotion that granted them.
    #[schema(value_type = Option<String>)]
    campaign: Option<Label>,
    /// Lower burns first.
    #[schema(example = 50)]
    priority: u8,
    /// Whether what is left was taken back.
    revoked: bool,
    /// From when they can be spent.
    #[schema(value_type = String, format = DateTime)]
    granted_at: Timestamp,
    /// From when they can no longer be spent; absent for never.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// Whether their time has passed.
    lapsed: bool,
    /// What was paid for them.
    #[schema(value_type = Option<String>, example = "9.989731")]
    paid_usd: Option<Usd>,
    /// The order that bought them.
    #[schema(value_type = Option<String>)]
    order: Option<OrderId>,
    /// The transfer that completed the purchase.
    #[schema(value_type = Option<String>)]
    transfer: Option<TransferId>,
    /// What entries did to it since, oldest first; with one lot alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<Vec<LotChangeBody>>,
}

/// What one entry did to a lot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = LotChange)]
pub(crate) struct LotChangeBody {
    /// The journal entry.
    #[schema(example = 12)]
    entry: i64,
    /// What the entry records.
    #[schema(example = "capture")]
    kind: &'static str,
    /// Where the credits were: `left`, `held`, `spent`, `expired` or `taken`.
    #[schema(example = "held")]
    from: &'static str,
    /// Where they went.
    #[schema(example = "spent")]
    to: &'static str,
    /// How many.
    #[schema(value_type = String, example = "16.000000")]
    credits: Credits,
    /// When it was booked.
    #[schema(value_type = String, format = DateTime)]
    booked_at: Timestamp,
}

impl From<&LotChange> for LotChangeBody {
    fn from(change: &LotChange) -> Self {
        Self {
            entry: change.entry_seq,
            kind: change.kind.as_str(),
            from: change.moved.from.as_str(),
            to: change.moved.to.as_str(),
            credits: change.moved.credits,
            booked_at: change.booked_at,
        }
    }
}

/// A page of lots with something left, soonest expiry first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct LotsPage {
    /// The lots.
    pub(crate) items: Vec<LotBody>,
    /// Send it as `after` for the next page; absent on the last one.
    pub(crate) next: Option<String>,
}

/// One change of an account's credits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = HistoryLine)]
pub(crate) struct HistoryLineBody {
    /// The journal entry.
    #[schema(example = 12)]
    entry: i64,
    /// What the entry records.
    #[schema(example = "settle")]
    kind: &'static str,
    /// What it added to the credits that can be spent; below zero was taken away.
    #[schema(value_type = String, example = "1000.000000")]
    credits: Credits,
    /// What it added to those that holds have set aside.
    #[schema(value_type = String, example = "0.000000")]
    held: Credits,
    /// What it added to what the account owes.
    #[schema(value_type = String, example = "0.000000")]
    owed: Credits,
    /// When it happened: chain time for what happens on chain.
    #[schema(value_type = String, format = DateTime)]
    event_at: Timestamp,
    /// When it was booked.
    #[schema(value_type = String, format = DateTime)]
    booked_at: Timestamp,
    /// The order it is about.
    #[schema(value_type = Option<String>)]
    order: Option<OrderId>,
    /// The transfer it is about.
    #[schema(value_type = Option<String>)]
    transfer: Option<TransferId>,
    /// What it was for: the hold, the purpose, the grant's source.
    #[schema(value_type = Option<Object>)]
    facts: Option<serde_json::Value>,
}

/// A page of an account's history, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct HistoryPage {
    /// The lines.
    pub(crate) items: Vec<HistoryLineBody>,
    /// Send it as `after` for the next page; absent on the last one.
    pub(crate) next: Option<String>,
}

impl From<Balance> for BalanceBody {
    fn from(balance: Balance) -> Self {
        let expiring = balance.expiring.into_iter();
        Self {
            account: balance.account,
            available: balance.available,
            posted: balance.posted,
            held: balance.held,
            expiring: expiring
                .map(|(day, credits)| ExpiringDay { day: day.to_string(), credits })
                .collect(),
            created_at: balance.created_at,
        }
    }
}

impl LotBody {
    pub(crate) fn new(lot: &Lot, now: Timestamp) -> Self {
        Self {
            id: lot.id,
            source: lot.source.as_str(),
            granted: lot.granted,
            left: lot.parts.left,
            held: lot.parts.held,
            spent: lot.parts.spent,
            expired: lot.parts.expired,
            taken: lot.parts.taken,
            scope: lot.scope.clone(),
            campaign: lot.campaign.clone(),
            priority: lot.priority,
            revoked: lot.parts.revoked,
            granted_at: lot.granted_at,
            expires_at: (lot.expires_at < Timestamp::FAR).then_some(lot.expires_at),
            lapsed: lot.expires_at <= now,
            paid_usd: lot.paid,
            order: lot.order,
            transfer: lot.transfer,
            changes: None,
        }
    }

    /// The same with what entries did to it.
    pub(crate) fn with_changes(self, changes: &[LotChange]) -> Self {
        Self { changes: Some(changes.iter().map(LotChangeBody::from).collect()), ..self }
    }
}

impl TryFrom<&HistoryLine> for HistoryLineBody {
    type Error = serde_json::Error;

    fn try_from(line: &HistoryLine) -> Result<Self, serde_json::Error> {
        Ok(Self {
            entry: line.entry_seq,
            kind: line.kind.as_str(),
            credits: line.left,
            held: line.held,
            owed: line.owed,
            event_at: line.event_at,
            booked_at: line.booked_at,
            order: line.order,
            transfer: line.transfer,
            facts: line.facts.as_deref().map(serde_json::from_str).transpose()?,
        })
    }
}
