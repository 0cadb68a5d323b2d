//! Drafts become entries: account numbers, balances, hashes, lots and events. Pure.
//!
//! A draft is either posted whole or refused whole; nothing of the state changes before every sum is known to fit.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use inspay_primitives::{
    AccountId, Credits, HoldId, LimitId, LotId, OrderId, Timestamp, TransferId, U256, UsageId,
};

use crate::{
    AccountBalance, BatchRows, BookAccount, Bucket, Entry, Event, EventKind, EventSnapshot, Hold,
    LedgerState, Limit, Lot, LotMove, LotParts, Operation, OperationRow, Outcome, Posting, Purpose,
    Refusal, Resolution, Reversal, Settlement, Side, StoredOperation, TransferMark, Unit, Usage,
    UsageDay, UsageSums, cases,
    draft::{Draft, LimitChanges, SpendChanges},
    state::Line,
};

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

/// A change of what is held and spent, which a limit's basis does not have.
#[derive(Clone, Debug)]
pub(crate) struct Counted {
    pub(crate) account: AccountId,
    pub(crate) purpose: Purpose,
    pub(crate) time: Timestamp,
    pub(crate) held: Credits,
    pub(crate) spent: Credits,
}

/// The batch while it is decided.
#[derive(Debug)]
pub(crate) struct Batch<'a> {
    pub(crate) state: &'a mut LedgerState,
    pub(crate) now: Timestamp,
    /// The lots of each account in burn-down order.
    pub(crate) lots_of: HashMap<AccountId, Vec<LotId>>,
    limits_of: HashMap<AccountId, BTreeSet<LimitId>>,
    /// Open holds by their ends.
    pub(crate) due_holds: BTreeSet<(AccountId, Timestamp, HoldId)>,
    /// What was held and spent since the state was loaded, for limits that are set within the batch.
    pub(crate) counted: Vec<Counted>,
    rows: BatchRows,
    marks: BTreeMap<TransferId, TransferMark>,
    orders: BTreeSet<OrderId>,
    new_lots: BTreeSet<LotId>,
    old_lots: BTreeSet<LotId>,
    balances: BTreeMap<(BookAccount, Unit), bool>,
    new_holds: Vec<HoldId>,
    new_usages: BTreeSet<UsageId>,
    refunded: BTreeSet<UsageId>,
    days: BTreeMap<UsageDay, UsageSums>,
    windows: BTreeSet<(LimitId, Timestamp)>,
    profiles: BTreeSet<AccountId>,
    /// What accounts owed that began or ceased to owe within the batch.
    owed_at_first: BTreeMap<AccountId, Credits>,
    /// Transfers that were put into suspense with orders to choose from, or taken out of it.
    suspended: BTreeSet<TransferId>,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(state: &'a mut LedgerState, now: Timestamp) -> Self {
        let now = now.max(state.head.booked_at);
        let mut lots_of: HashMap<AccountId, Vec<LotId>> = HashMap::new();
        for lot in state.lots.values() {
            lots_of.entry(lot.account.clone()).or_default().push(lot.id);
        }
        for lots in lots_of.values_mut() {
            lots.sort_by_key(|id| state.lots.get(id).map(Lot::burn_order));
        }
        let mut limits_of: HashMap<AccountId, BTreeSet<LimitId>> = HashMap::new();
        for limit in state.limits.values() {
            limits_of.entry(limit.account.clone()).or_default().insert(limit.id);
        }
        let due_holds = state
            .holds
            .values()
            .filter(|hold| hold.resolution.is_none())
            .map(|hold| (hold.account.clone(), hold.expires_at, hold.id))
            .collect();
        Self {
            state,
            now,
            lots_of,
            limits_of,
            due_holds,
            counted: Vec::new(),
            rows: BatchRows::default(),
            marks: BTreeMap::new(),
            orders: BTreeSet::new(),
            new_lots: BTreeSet::new(),
            old_lots: BTreeSet::new(),
            balances: BTreeMap::new(),
            new_holds: Vec::new(),
            new_usages: BTreeSet::new(),
            refunded: BTreeSet::new(),
            days: BTreeMap::new(),
            windows: BTreeSet::new(),
            profiles: BTreeSet::new(),
            owed_at_first: BTreeMap::new(),
            suspended: BTreeSet::new(),
        }
    }

    /// The lots of an account in burn-down order.
    pub(crate) fn lots_in_order(&self, account: &AccountId) -> impl Iterator<Item = &Lot> {
        self.lots_of.get(account).into_iter().flatten().filter_map(|id| self.state.lots.get(id))
    }

    /// The limits of an account.
    pub(crate) fn limits_of(&self, account: &AccountId) -> impl Iterator<Item = &Limit> {
        self.limits_of.get(account).into_iter().flatten().filter_map(|id| self.state.limits.get(id))
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
        let parts = self.moved(&draft.moves)?;
        let owed_before = self.owed(draft);
        // Numbers are given out in the order of the lines, so that every store gives the same ones.
        for line in &draft.lines {
            if let Some(sum) = sums.remove(&(line.account.clone(), line.unit)) {
                self.number(&line.account, line.unit, sum);
            }
        }
        let entry_seq =
            (!draft.lines.is_empty()).then(|| self.state.head.entry_seq.saturating_add(1));
        self.move_lots(parts, draft);
        if let Some(seq) = entry_seq {
            let lots = self.grant(draft, seq);
            self.enter(operation, draft, seq, lots);
            self.spend(&draft.spends, seq);
        }
        if let Some((order, progress)) = draft.progress
            && let Some(known) = self.state.orders.get_mut(&order)
        {
            known.progress = progress;
            self.orders.insert(order);
        }
        self.mark(draft, entry_seq);
        self.limit(&draft.limits);
        self.tell(draft, entry_seq);
        self.tell_owed(owed_before, entry_seq);
        self.store(operation, entry_seq, None);
        Ok(Outcome::Applied { entry_seq })
    }

    /// Keeps a refusal for the caller who asks again.
    pub(crate) fn refuse(&mut self, operation: &Operation, refusal: Refusal) {
        self.store(operation, None, Some(refusal));
    }

    /// Tells of something that changes nothing in the books.
    pub(crate) fn tell_of(&mut self, draft: &Draft) {
        self.limit(&draft.limits);
        self.tell(draft, None);
    }

    fn store(&mut self, operation: &Operation, entry_seq: Option<i64>, refusal: Option<Refusal>) {
        let stored = StoredOperation { fingerprint: operation.fingerprint(), entry_seq, refusal };
        self.rows.operations.push(OperationRow {
            key: operation.key.clone(),
            fingerprint: stored.fingerprint,
            entry_seq,
            refusal,
            done_at: self.now,
        });
        self.state.operations.insert(operation.key.clone(), stored);
    }

    /// Where the credits of the lots are after the moves, or a refusal if one has not that much.
    fn moved(&self, moves: &[LotMove]) -> Result<BTreeMap<LotId, LotParts>, Refusal> {
        let mut parts: BTreeMap<LotId, LotParts> = BTreeMap::new();
        for part in moves {
            let known = self.state.lots.get(&part.lot).ok_or(Refusal::NoSuchLot)?;
            let before = parts.get(&part.lot).copied().unwrap_or(known.parts);
            let after =
                before.moved(part.from, part.to, part.credits).ok_or(Refusal::OutOfRange)?;
            parts.insert(part.lot, after);
        }
        Ok(parts)
    }

    fn move_lots(&mut self, parts: BTreeMap<LotId, LotParts>, draft: &Draft) {
        for (id, parts) in parts {
            self.change_lot(id, |lot| *lot = parts);
        }
        if let Some(id) = draft.revoked {
            self.change_lot(id, |lot| lot.revoked = true);
        }
        if let Some(id) = draft.warned {
            self.change_lot(id, |lot| lot.warned = true);
        }
    }

    fn change_lot(&mut self, id: LotId, change: impl FnOnce(&mut LotParts)) {
        if let Some(lot) = self.state.lots.get_mut(&id) {
            change(&mut lot.parts);
            if !self.new_lots.contains(&id) {
                self.old_lots.insert(id);
            }
        }
    }

    fn grant(&mut self, draft: &Draft, entry_seq: i64) -> Vec<Lot> {
        let Some(grant) = &draft.grant else { return Vec::new() };
        let in_days = self.now.plus_seconds(i64::from(grant.valid_days).saturating_mul(86_400));
        let lot = Lot {
            id: LotId { entry_seq, index: 0 },
            account: grant.account.clone(),
            source: grant.source,
            campaign: grant.campaign.clone(),
            scope: grant.scope.clone(),
            priority: grant.priority,
            order: draft.order,
            transfer: draft.transfer,
            granted: grant.credits,
            granted_at: self.now,
            expires_at: grant.expires_at.unwrap_or(in_days),
            paid: grant.paid,
            parts: LotParts::of_new(grant.credits),
        };
        let repaid = lot.parts.moved(Bucket::Left, Bucket::Taken, grant.repays);
        let kept = Lot { parts: repaid.unwrap_or(lot.parts), ..lot.clone() };
        self.state.lots.insert(lot.id, kept);
        self.new_lots.insert(lot.id);
        let state = &*self.state;
        let lots = self.lots_of.entry(lot.account.clone()).or_default();
        let place = lots.partition_point(|id| {
            state.lots.get(id).is_some_and(|other| other.burn_order() < lot.burn_order())
        });
        lots.insert(place, lot.id);
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
        let repays = draft.grant.as_ref().map_or(Credits::ZERO, |grant| grant.repays);
        let repaid = lots.first().filter(|_| repays > Credits::ZERO).map(|lot| LotMove {
            lot: lot.id,
            from: Bucket::Left,
            to: Bucket::Taken,
            credits: repays,
        });
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
            moves: draft.moves.iter().copied().chain(repaid).collect(),
            facts: draft.facts.clone(),
            version: Entry::VERSION,
            previous_hash: self.state.head.entry_hash,
            hash: crate::GENESIS_HASH,
        };
        entry.hash = entry.compute_hash();
        self.state.head.entry_seq = seq;
        self.state.head.entry_hash = entry.hash;
        self.state.head.booked_at = self.now;
        self.rows.entries.push(entry);
    }

    fn spend(&mut self, changes: &SpendChanges, entry_seq: i64) {
        if !self.state.bases.is_empty() {
            self.counted.extend(self.counted_by(changes));
        }
        if let Some(hold) = &changes.hold {
            let hold = Hold { entry_seq, ..hold.clone() };
            self.due_holds.insert((hold.account.clone(), hold.expires_at, hold.id));
            self.new_holds.push(hold.id);
            self.state.holds.insert(hold.id, hold);
        }
        if let Some(resolution) = changes.resolution {
            let resolution = Resolution { entry_seq, resolved_at: self.now, ..resolution };
            if let Some(hold) = self.state.holds.get_mut(&resolution.hold) {
                hold.resolution = Some(resolution);
                self.due_holds.remove(&(hold.account.clone(), hold.expires_at, hold.id));
            }
            self.rows.resolutions.push(resolution);
        }
        if let Some(usage) = &changes.usage {
            let usage = Usage { id: UsageId { entry_seq }, booked_at: self.now, ..usage.clone() };
            self.new_usages.insert(usage.id);
            self.state.usages.insert(usage.id, usage);
        }
        if let Some((usage, refunded)) = changes.refund
            && let Some(known) = self.state.usages.get_mut(&usage)
        {
            known.refunded = refunded;
            if !self.new_usages.contains(&usage) {
                self.refunded.insert(usage);
            }
        }
        if let Some((day, more)) = &changes.day {
            let sums = self.days.entry(day.clone()).or_default();
            let add = |sum: Credits, more: Credits| sum.checked_add(more).unwrap_or(Credits::MAX);
            *sums = UsageSums {
                spends: sums.spends.saturating_add(more.spends),
                units: sums.units.saturating_add(more.units),
                spent: add(sums.spent, more.spent),
                refunded: add(sums.refunded, more.refunded),
            };
        }
    }

    /// What changes on holds and spends count for.
    fn counted_by(&self, changes: &SpendChanges) -> Vec<Counted> {
        let minus = |credits: Credits| Credits::from_micros(credits.micros().saturating_neg());
        let of_hold = |hold: &Hold, held: Credits| Counted {
            account: hold.account.clone(),
            purpose: hold.purpose.clone(),
            time: hold.made_at,
            held,
            spent: Credits::ZERO,
        };
        let of_usage = |usage: &Usage, spent: Credits| Counted {
            account: usage.account.clone(),
            purpose: usage.purpose.clone(),
            time: usage.counted_at,
            held: Credits::ZERO,
            spent,
        };
        let made = changes.hold.as_ref().map(|hold| of_hold(hold, hold.credits));
        let ended = changes.resolution.and_then(|end| self.state.holds.get(&end.hold));
        let ended = ended.map(|hold| of_hold(hold, minus(hold.credits)));
        let spent = changes.usage.as_ref().map(|usage| of_usage(usage, usage.credits));
        let back = changes.refund.and_then(|(id, refunded)| {
            let usage = self.state.usages.get(&id)?;
            Some(of_usage(usage, usage.refunded.checked_sub(refunded)?))
        });
        [made, ended, spent, back].into_iter().flatten().collect()
    }

    fn limit(&mut self, changes: &LimitChanges) {
        for (limit, window) in &changes.windows {
            let key = (*limit, window.span.start);
            self.state.windows.insert(key, *window);
            self.windows.insert(key);
        }
        for limit in &changes.removed {
            if let Some(removed) = self.state.limits.remove(limit) {
                self.limits_of.entry(removed.account).or_default().remove(limit);
            }
            self.rows.limits_removed.push((*limit, self.now));
        }
        if let Some(limit) = &changes.set {
            self.limits_of.entry(limit.account.clone()).or_default().insert(limit.id);
            self.state.limits.insert(limit.id, limit.clone());
            self.rows.limits.push(limit.clone());
        }
        if let Some(account) = &changes.appears
            && self.state.accounts.insert(account.clone())
        {
            self.rows.accounts.push((account.clone(), self.now));
        }
        if let Some((account, profile)) = &changes.profile {
            self.state.profiles.insert(account.clone(), profile.clone());
            self.profiles.insert(account.clone());
        }
    }

    /// What the accounts owe whose debt a draft changes.
    fn owed(&self, draft: &Draft) -> BTreeMap<AccountId, Credits> {
        draft
            .lines
            .iter()
            .filter_map(|line| {
                let BookAccount::Owed(account) = &line.account else { return None };
                Some((account.clone(), self.state.owed_by(account)))
            })
            .collect()
    }

    fn tell_owed(&mut self, before: BTreeMap<AccountId, Credits>, entry_seq: Option<i64>) {
        for (account, before) in before {
            let owed = self.state.owed_by(&account);
            let kind = match (before.is_zero(), owed.is_zero()) {
                (true, false) => EventKind::AccountNegative,
                (false, true) => EventKind::AccountWhole,
                (true, true) | (false, false) => continue,
            };
            self.owed_at_first.entry(account.clone()).or_insert(before);
            let mut draft = Draft::new(crate::EntryKind::Reverse, self.now);
            let snapshot = EventSnapshot { owed: Some(owed), ..EventSnapshot::default() };
            draft.tell(kind, Some(&account), snapshot);
            self.tell(&draft, entry_seq);
        }
    }

    fn mark(&mut self, draft: &Draft, entry_seq: Option<i64>) {
        if let Some(settlement) = &draft.settlement {
            let settlement = Settlement { entry_seq, settled_at: self.now, ..settlement.clone() };
            self.suspended
                .extend(cases::has_candidates(&settlement).then_some(settlement.transfer));
            if let Some(record) = self.state.transfers.get_mut(&settlement.transfer) {
                record.settlement = Some(settlement.clone());
            }
            self.rows.settlements.push(settlement);
        }
        if let Some(reversal) = draft.reversal {
            if let Some(record) = self.state.transfers.get_mut(&reversal.transfer) {
                let is_over = record.settlement.as_ref().is_some_and(cases::has_candidates);
                self.suspended.extend(is_over.then_some(reversal.transfer));
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
        for told in &draft.told {
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
    }

    /// What the whole batch writes.
    pub(crate) fn into_rows(self) -> BatchRows {
        let (mut rows, state) = (self.rows, self.state);
        cases::tell_owing(state, self.now, &self.owed_at_first, &mut rows);
        cases::tell_suspense(state, self.now, &self.suspended, &mut rows);
        if !rows.operations.is_empty() {
            rows.head = Some(state.head);
        }
        rows.transfers = self.marks.into_values().collect();
        rows.orders = self
            .orders
            .into_iter()
            .filter_map(|id| state.orders.get(&id).map(|order| (id, order.progress)))
            .collect();
        rows.new_lots = self.new_lots.iter().filter_map(|id| state.lots.get(id).cloned()).collect();
        rows.lots_changed = self
            .old_lots
            .into_iter()
            .filter_map(|id| state.lots.get(&id).map(|lot| (id, lot.parts)))
            .collect();
        rows.balances = self
            .balances
            .into_iter()
            .filter_map(|((account, unit), is_new)| {
                let balance = state.balances.get(&(account.clone(), unit))?.clone();
                Some((account, unit, balance, is_new))
            })
            .collect();
        rows.holds = self.new_holds.iter().filter_map(|id| state.holds.get(id).cloned()).collect();
        rows.usages =
            self.new_usages.iter().filter_map(|id| state.usages.get(id).cloned()).collect();
        rows.refunds = self
            .refunded
            .iter()
            .filter_map(|id| state.usages.get(id).map(|usage| (*id, usage.refunded)))
            .collect();
        rows.usage_days = self.days.into_iter().collect();
        rows.windows = self
            .windows
            .into_iter()
            .filter_map(|key| state.windows.get(&key).map(|window| (key.0, *window)))
            .collect();
        rows.profiles = self
            .profiles
            .into_iter()
            .filter_map(|id| state.profiles.get(&id).map(|profile| (id.clone(), profile.clone())))
            .collect();
        rows
    }
}
