//! Entries, balances and orders as a batch leaves them.

use inspay_ledger::{
    BatchRows, BookAccount, EntryKind, OverPolicy, PartialPolicy, SettlementRules, Side, Unit,
};
use inspay_primitives::{OrderTerms, Timestamp, U256};

use super::{JournalEnd, Laws, Tab};
use crate::Event;

pub(super) fn is_paid(terms: &OrderTerms, received: U256) -> bool {
    received > U256::ZERO && received + terms.tolerance_base_units >= terms.due_base_units
}

/// A share of an order's credits, rounded down.
fn share(terms: &OrderTerms, base_units: U256) -> Option<i64> {
    let micros = U256::from(u64::try_from(terms.credits.micros()).ok()?);
    let product = micros.checked_mul(base_units)?;
    i64::try_from(product.checked_div(terms.due_base_units)?).ok()
}

/// What the sum received in time buys.
pub(super) fn credits_for(terms: &OrderTerms, tab: &Tab, rules: &SettlementRules) -> Option<i64> {
    if !is_paid(terms, tab.received) {
        return match (tab.is_closed, rules.partial) {
            (true, PartialPolicy::Credit) => share(terms, tab.received),
            (true, PartialPolicy::Hold) | (false, _) => Some(0),
        };
    }
    let over = tab.received.saturating_sub(terms.due_base_units);
    let more = match rules.over {
        OverPolicy::Credit => share(terms, over)?,
        OverPolicy::Hold => 0,
    };
    terms.credits.micros().checked_add(more)
}

impl Laws {
    /// Entries follow one another without a gap, each balanced, each hashed over the one before.
    pub(super) fn check_entries(&mut self, rows: &BatchRows) {
        for entry in &rows.entries {
            let JournalEnd { seq, hash, booked_at } = self.end;
            let follows = entry.seq == seq + 1
                && entry.previous_hash == hash
                && entry.compute_hash() == entry.hash
                && booked_at <= entry.booked_at;
            self.require(follows, "4: entries are chained", || format!("entry {}", entry.seq));
            let unit = entry.unbalanced_unit();
            self.require(unit.is_none(), "4: books balance", || {
                format!("entry {} in {unit:?}", entry.seq)
            });
            self.end = JournalEnd { seq: entry.seq, hash: entry.hash, booked_at: entry.booked_at };
            for posting in &entry.postings {
                let key = (posting.account.clone(), posting.unit);
                let sums = self.balances.entry(key).or_default();
                let sum = match posting.side {
                    Side::Debit => &mut sums.0,
                    Side::Credit => &mut sums.1,
                };
                *sum += posting.quantity;
            }
        }
        for (account, unit, balance, _) in &rows.balances {
            let sums = self.balances.get(&(account.clone(), *unit)).copied().unwrap_or_default();
            self.require(sums == (balance.debits, balance.credits), "4: balances", || {
                format!("{account} in {unit}: {sums:?}, and the row says {balance:?}")
            });
        }
    }

    /// An order is closed once every transfer that may be in time for it is settled.
    pub(super) fn check_closed(&mut self, rows: &BatchRows, oldest: Option<Timestamp>) {
        for entry in rows.entries.iter().filter(|entry| entry.kind == EntryKind::CloseOrder) {
            let Some(order) = entry.order else { continue };
            self.close(order, oldest);
        }
        // An order that received nothing is closed without an entry.
        for (order, progress) in &rows.orders {
            let is_closed = self.tabs.get(order).is_some_and(|tab| tab.is_closed);
            if progress.closed && !is_closed {
                self.close(*order, oldest);
            }
        }
    }

    fn close(&mut self, order: inspay_primitives::OrderId, oldest: Option<Timestamp>) {
        self.shared.journal.saw(Event::OrderClosed);
        self.shared.journal.tell(format_args!("closed {order}"));
        let Some(until) = self.orders.get(&order).map(OrderTerms::in_time_until) else {
            self.broken("10: explained", format!("{order} is closed, and nobody made it"));
            return;
        };
        self.require(oldest.is_none_or(|oldest| until < oldest), "8: chain time", || {
            format!("{order} was closed before a transfer of {oldest:?} was settled")
        });
        // The latest that was ever applied: a lower head that came meanwhile does not turn time back.
        let tip = self.latest_time;
        self.require(tip.is_some_and(|tip| until < tip), "8: chain time", || {
            format!("{order} was closed at chain time {tip:?}, its time ends at {until}")
        });
        if let Some(tab) = self.tabs.get_mut(&order) {
            tab.is_closed = true;
        }
    }

    /// Orders stand where their settlements put them.
    pub(super) fn check_progress(&self, rows: &BatchRows) {
        for (order, progress) in &rows.orders {
            let tab = self.tabs.get(order).cloned().unwrap_or_default();
            let credits = self.credits_of(order);
            let agrees = progress.received_base_units == tab.received
                && Some(progress.credited.micros()) == credits;
            self.require(agrees, "1: once, to the last micro-credit", || {
                format!("{order} is at {progress:?}, its settlements give {tab:?}, {credits:?}")
            });
        }
    }

    /// Debits and credits of the treasury account.
    pub(super) fn treasury(&self, unit: Unit) -> (U256, U256) {
        self.balances.get(&(BookAccount::Treasury, unit)).copied().unwrap_or_default()
    }
}
