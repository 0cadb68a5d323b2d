//! Balances, lots and history of one account.

use inspay_ledger::Lot;
use inspay_ports::{AccountSummary, HistoryLine, LotChange};
use inspay_primitives::{AccountId, Credits, Label, LotId, OrderId, Timestamp, TransferId, Usd};
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
    /// The day, UTC.
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

/// What holds have that ran out and were not booked yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RanOut {
    /// All of it.
    pub(crate) held: Credits,
    /// What of it goes back to lots that are live.
    pub(crate) live: Credits,
}

impl BalanceBody {
    /// The balance at `now`; `lots` are all that have something left, `ran_out` what holds that ran out will give back to
    /// lots that are live.
    pub(crate) fn new(
        summary: AccountSummary,
        lots: &[Lot],
        ran_out: RanOut,
        now: Timestamp,
    ) -> Self {
        let lapsed = lots.iter().filter(|lot| lot.expires_at <= now);
        let lapsed_micros = sum_micros(lapsed);
        let posted = summary.posted.micros().saturating_sub(lapsed_micros);
        let available = posted.saturating_add(ran_out.live.micros());
        let held = summary.held.micros().saturating_sub(ran_out.held.micros());
        Self {
            account: summary.account,
            available: Credits::from_micros(available),
            posted: summary.posted,
            held: Credits::from_micros(held),
            expiring: expiring(lots, now),
            created_at: summary.created_at,
        }
    }
}

fn sum_micros<'a>(lots: impl Iterator<Item = &'a Lot>) -> i64 {
    lots.fold(0i64, |sum, lot| sum.saturating_add(lot.parts.left.micros()))
}

fn expiring(lots: &[Lot], now: Timestamp) -> Vec<ExpiringDay> {
    let mut days: std::collections::BTreeMap<String, i64> = std::collections::BTreeMap::new();
    for lot in lots.iter().filter(|lot| lot.is_live(now) && lot.expires_at < Timestamp::FAR) {
        let left = days.entry(day(lot.expires_at)).or_default();
        *left = left.saturating_add(lot.parts.left.micros());
    }
    days.into_iter()
        .map(|(day, micros)| ExpiringDay { day, credits: Credits::from_micros(micros) })
        .collect()
}

/// The date of an RFC 3339 time.
fn day(time: Timestamp) -> String {
    let text = time.to_string();
    text.split('T').next().unwrap_or(&text).to_owned()
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

#[cfg(test)]
mod tests {
    use inspay_ledger::LotSource;

    use super::*;

    fn lot(index: i16, left: &str, expires_at: &str) -> Lot {
        let credits: Credits = left.parse().expect("credits");
        Lot {
            id: LotId { entry_seq: 1, index },
            account: "alice".parse().expect("an account"),
            source: LotSource::Purchase,
            order: None,
            transfer: None,
            granted: credits,
            campaign: None,
            scope: None,
            priority: 50,
            granted_at: Timestamp::default(),
            expires_at: expires_at.parse().expect("a time"),
            paid: None,
            parts: inspay_ledger::LotParts::of_new(credits),
        }
    }

    #[test]
    fn a_balance_counts_what_is_live_and_says_what_lapses_when() {
        let now: Timestamp = "2026-08-01T12:00:00Z".parse().expect("a time");
        let lots = [
            lot(0, "1", "2026-08-01T12:00:00Z"),
            lot(1, "10", "2026-08-01T12:00:00.000001Z"),
            lot(2, "100", "2026-08-31T23:59:59Z"),
            lot(3, "1000", "2026-08-31T00:00:00Z"),
            lot(4, "10000", "9999-01-01T00:00:00Z"),
        ];
        let summary = AccountSummary {
            account: "alice".parse().expect("an account"),
            created_at: Timestamp::default(),
            posted: "11111".parse().expect("credits"),
            held: Credits::ZERO,
        };
        let balance = BalanceBody::new(summary, &lots, RanOut::default(), now);
        assert_eq!(balance.available.to_string(), "11110.000000");
        assert_eq!(balance.posted.to_string(), "11111.000000");
        let days: Vec<_> =
            balance.expiring.iter().map(|day| format!("{} {}", day.day, day.credits)).collect();
        assert_eq!(days, ["2026-08-01 10.000000", "2026-08-31 1100.000000"]);
    }
}
