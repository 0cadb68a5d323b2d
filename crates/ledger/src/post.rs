//! Drafts become entries: account numbers, balances, hashes, lots and events. Pure.
//!
//! A draft is either posted whole or refused whole; nothing of the state changes before every sum is known to fit.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use inspay_primitives::{
    AccountId, Credits, LotId, OrderId, OrderProgress, Timestamp, TransferId, U256, Usd,
};

use crate::{
    AccountBalance, BatchRows, BookAccount, Entry, EntryKind, Event, EventKind, EventSnapshot,
    LedgerState, Lot, LotSource, Operation, OperationRow, Outcome, Posting, Refusal, Reversal,
    Settlement, Side, StoredOperation, TransferMark, Unit, state::Line,
};

/// A lot that a draft grants.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) account: AccountId,
    pub(crate) credits: Credits,
    pub(crate) valid_days: u16,
    pub(crate) paid: Option<Usd>,
}

/// An event that a draft tells, before it has a number.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) kind: EventKind,
    pub(crate) account: Option<AccountId>,
    pub(crate) snapshot: EventSnapshot,
}

/// Everything one operation would change.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) kind: EntryKind,
    pub(crate) event_at: Timestamp,
    pub(crate) transfer: Option<TransferId>,
    pub(crate) order: Option<OrderId>,
    pub(crate) reverses: Option<i64>,
    pub(crate) lines: Vec<Line>,
    pub(crate) grant: Option<Grant>,
    pub(crate) takes: Vec<(LotId, Credits)>,
    pub(crate) progress: Option<(OrderId, OrderProgress)>,
    pub(crate) settlement: Option<Settlement>,
    pub(crate) reversal: Option<Reversal>,
    pub(crate) mark: Option<TransferMark>,
    pub(crate) told: Option<Told>,
}

impl Draft {
    pub(crate) const fn new(kind: EntryKind, event_at: Timestamp) -> Self {
        Self {
            kind,
            event_at,
            transfer: None,
            order: None,
            reverses: None,
            lines: Vec::new(),
            grant: None,
            takes: Vec::new(),
            progress: None,
            settlement: None,
            reversal: None,
            mark: None,
            told: None,
        }
    }

    pub(crate) fn line(&mut self, account: BookAccount, unit: Unit, side: Side, quantity: U256) {
        if !quantity.is_zero() {
            self.lines.push(Line { account, unit, side, quantity });
        }
    }

    /// Posts the change of a credit balance from `before` to `after`, whichever way it goes.
    pub(crate) fn change(&mut self, account: BookAccount, unit: Unit, before: U256, after: U256) {
        if after >= before {
            self.line(account, unit, Side::Credit, after.saturating_sub(before));
        } else {
            self.line(account, unit, Side::Debit, before.saturating_sub(after));
        }
    }
}

/// Whether debits equal credits in every unit. Lines come to a handful, so a scan beats a map.
fn is_balanced(lines: &[Line]) -> bool {
    let sum = |unit: Unit, side: Side| {
        lines
            .iter()
            .filter(|line| line.unit == unit && line.side == side)
            .try_fold(U256::ZERO, |sum, line| sum.checked_add(line.quantity))
    };
    lines.iter().all(|line| {
        let debits = sum(line.unit, Side::Debit);
        debits.is_some() && debits == sum(line.unit, Side::Credit)
    })
}

/// The batch while it is decided.
#[derive(Debug)]
pub(crate) struct Batch<'a> {
    pub(crate) state: &'a mut LedgerState,
    pub(crate) now: Timestamp,
    rows: BatchRows,
    marks: BTreeMap<TransferId, TransferMark>,
    orders: BTreeSet<OrderId>,
    new_lots: BTreeSet<LotId>,
    old_lots: BTreeSet<LotId>,
    balances: BTreeMap<(BookAccount, Unit), bool>,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(state: &'a mut LedgerState, now: Timestamp) -> Self {
        let now = now.max(state.head.booked_at);
        Self {
            state,
            now,
            rows: BatchRows::default(),
            marks: BTreeMap::new(),
            orders: BTreeSet::new(),
            new_lots: BTreeSet::new(),
            old_lots: BTreeSet::new(),
            balances: BTreeMap::new(),
        }
    }

    /// The balances after the draft's lines, or a refusal if one does not fit.
    fn sums(
        &self,
        lines: &[Line],
    ) -> Result<HashMap<(BookAccount, Unit), AccountBalance>, Refusal> {
        let mut sums: HashMap<(BookAccount, Unit), AccountBalance> = HashMap::new();
        for line in lines {
            let key = (line.account.clone(), line.unit);
            let known = self.state.balances.get(&key);
            let sum = sums.entry(key).or_insert_with(|| {
                known.cloned().unwrap_or(AccountBalance {
                    number: 0,
                    debits: U256::ZERO,
                    credits: U256::ZERO,
                })
            });
            let side = match line.side {
                Side::Debit => &mut sum.debits,
                Side::Credit => &mut sum.credits,
            };
            *side = side.checked_add(line.quantity).ok_or(Refusal::OutOfRange)?;
        }
        Ok(sums)
    }

    fn number(&mut self, account: &BookAccount, unit: Unit, mut sum: AccountBalance) {
        let is_new = sum.number == 0;
        if is_new {
            self.state.head.account_number = self.state.head.account_number.saturating_add(1);
            sum.number = self.state.head.account_number;
        }
        let key = (account.clone(), unit);
        let was_new = self.balances.get(&key).copied().unwrap_or(false);
        self.balances.insert(key.clone(), is_new || was_new);
        self.state.balances.insert(key, sum);
    }

    /// Posts a draft: an entry if it moves anything, and everything that goes with it.
    pub(crate) fn post(
        &mut self,
        operation: &Operation,
        draft: &Draft,
    ) -> Result<Outcome, Refusal> {
        if !is_balanced(&draft.lines) {
            return Err(Refusal::Unbalanced);
        }
        let mut sums = self.sums(&draft.lines)?;
        // Numbers are given out in the order of the lines, so that every store gives the same ones.
        for line in &draft.lines {
            if let Some(sum) = sums.remove(&(line.account.clone(), line.unit)) {
                self.number(&line.account, line.unit, sum);
            }
        }
        let entry_seq =
            (!draft.lines.is_empty()).then(|| self.state.head.entry_seq.saturating_add(1));
        let lots = entry_seq.map(|seq| self.grant(draft, seq)).unwrap_or_default();
        if let Some(seq) = entry_seq {
            self.enter(operation, draft, seq, lots);
        }
        for (lot, left) in &draft.takes {
            if let Some(lot) = self.state.lots.get_mut(lot) {
                lot.left = *left;
                if !self.new_lots.contains(&lot.id) {
                    self.old_lots.insert(lot.id);
                }
            }
        }
        if let Some((order, progress)) = draft.progress
            && let Some(known) = self.state.orders.get_mut(&order)
        {
            known.progress = progress;
            self.orders.insert(order);
        }
        self.mark(draft, entry_seq);
        self.tell(draft, entry_seq);
        let stored = StoredOperation { fingerprint: operation.fingerprint(), entry_seq };
        self.rows.operations.push(OperationRow {
            key: operation.key.clone(),
            fingerprint: stored.fingerprint,
            entry_seq,
            done_at: self.now,
        });
        self.state.operations.insert(operation.key.clone(), stored);
        Ok(Outcome::Applied { entry_seq })
    }

    fn grant(&mut self, draft: &Draft, entry_seq: i64) -> Vec<Lot> {
        let Some(grant) = &draft.grant else { return Vec::new() };
        let lot = Lot {
            id: LotId { entry_seq, index: 0 },
            account: grant.account.clone(),
            source: LotSource::Purchase,
            order: draft.order,
            transfer: draft.transfer,
            granted: grant.credits,
            left: grant.credits,
            granted_at: self.now,
            expires_at: self.now.plus_seconds(i64::from(grant.valid_days).saturating_mul(86_400)),
            paid: grant.paid,
        };
        self.state.lots.insert(lot.id, lot.clone());
        self.new_lots.insert(lot.id);
        vec![lot]
    }

    fn enter(&mut self, operation: &Operation, draft: &Draft, seq: i64, lots: Vec<Lot>) {
        let postings = draft
            .lines
            .iter()
            .map(|line| Posting {
                account_number: self
                    .state
                    .balances
                    .get(&(line.account.clone(), line.unit))
                    .map_or(0, |balance| balance.number),
                account: line.account.clone(),
                unit: line.unit,
                side: line.side,
                quantity: line.quantity,
            })
            .collect();
        let mut entry = Entry {
            seq,
            kind: draft.kind,
            operation: operation.key.clone(),
            event_at: draft.event_at,
            booked_at: self.now,
            transfer: draft.transfer,
            order: draft.order,
            reverses: draft.reverses,
            postings,
            lots,
            previous_hash: self.state.head.entry_hash,
            hash: crate::GENESIS_HASH,
        };
        entry.hash = entry.compute_hash();
        self.state.head.entry_seq = seq;
        self.state.head.entry_hash = entry.hash;
        self.state.head.booked_at = self.now;
        self.rows.entries.push(entry);
    }

    fn mark(&mut self, draft: &Draft, entry_seq: Option<i64>) {
        if let Some(settlement) = &draft.settlement {
            let settlement = Settlement { entry_seq, settled_at: self.now, ..settlement.clone() };
            if let Some(record) = self.state.transfers.get_mut(&settlement.transfer) {
                record.settlement = Some(settlement.clone());
            }
            self.rows.settlements.push(settlement);
        }
        if let Some(reversal) = draft.reversal {
            if let Some(record) = self.state.transfers.get_mut(&reversal.transfer) {
                record.settlement = None;
                record.generation = reversal.generation.saturating_add(1);
            }
            self.rows.reversals.push(Reversal { entry_seq, reversed_at: self.now, ..reversal });
        }
        if let Some(mark) = &draft.mark {
            let reference = mark
                .reference
                .or_else(|| self.marks.get(&mark.transfer).and_then(|earlier| earlier.reference));
            self.marks.insert(mark.transfer, TransferMark { reference, ..mark.clone() });
        }
    }

    fn tell(&mut self, draft: &Draft, entry_seq: Option<i64>) {
        let Some(told) = &draft.told else { return };
        let seq = self.state.head.event_seq.saturating_add(1);
        self.state.head.event_seq = seq;
        let balance = told.account.as_ref().map(|account| self.state.credits_of(account));
        self.rows.events.push(Event {
            seq,
            kind: told.kind,
            account: told.account.clone(),
            order: draft.order,
            transfer: draft.transfer,
            entry_seq,
            created_at: self.now,
            snapshot: EventSnapshot { balance, ..told.snapshot.clone() },
        });
    }

    /// What the whole batch writes.
    pub(crate) fn into_rows(self) -> BatchRows {
        let mut rows = self.rows;
        if !rows.operations.is_empty() {
            rows.head = Some(self.state.head);
        }
        rows.transfers = self.marks.into_values().collect();
        rows.orders = self
            .orders
            .into_iter()
            .filter_map(|id| self.state.orders.get(&id).map(|order| (id, order.progress)))
            .collect();
        rows.new_lots =
            self.new_lots.iter().filter_map(|id| self.state.lots.get(id).cloned()).collect();
        rows.lots_left = self
            .old_lots
            .into_iter()
            .filter_map(|id| self.state.lots.get(&id).map(|lot| (id, lot.left)))
            .collect();
        rows.balances = self
            .balances
            .into_iter()
            .filter_map(|((account, unit), is_new)| {
                let balance = self.state.balances.get(&(account.clone(), unit))?.clone();
                Some((account, unit, balance, is_new))
            })
            .collect();
        rows
    }
}
