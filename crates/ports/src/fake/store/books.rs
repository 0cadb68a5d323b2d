//! The books' side of the fake store.

use std::collections::BTreeSet;

use async_trait::async_trait;
use inspay_ledger::{
    BatchRows, ChainProgress, Hold, LedgerState, Purpose, Resolution, Touches, TransferRecord,
    Usage, UsageSums,
};
use inspay_primitives::{
    AccountId, B256, ChainId, Credits, HoldId, LotId, Order, OrderId, OrderProgress, OrderState,
    Timestamp, TransferId, UsageId,
};

use super::{
    FakeStore, first,
    rows::{OrderRow, State, WorkKey, slot_of},
};
use crate::{
    AttributionProbe, BooksStore, Decide, FoundBy, FoundOrder, StoreError, StoreErrorKind,
};

#[async_trait]
impl BooksStore for FakeStore {
    async fn transact(&self, touches: Touches, decide: Decide) -> Result<(), StoreError> {
        self.write("write the books", |state| {
            state.check_fences(&touches.fences)?;
            let mut loaded = state.load(&touches);
            let rows = decide(&mut loaded);
            if rows.is_empty() {
                return Ok(());
            }
            state.check(&rows)?;
            state.post(rows);
            Ok(())
        })
    }

    async fn transfers_to_settle(
        &self,
        chain: ChainId,
        after: Option<(u64, u32)>,
        up_to: u64,
        limit: u32,
    ) -> Result<Vec<TransferRecord>, StoreError> {
        self.read("read transfers to settle", |state| {
            let due = of_chain(&state.to_settle, chain, up_to)
                .filter_map(|id| state.record(id))
                .filter(|record| !state.is_halted(record.transfer.key.asset()))
                .filter(|record| {
                    let at = &record.transfer;
                    after.is_none_or(|after| (at.block.number, at.log_index) > after)
                });
            Ok(first(due, limit))
        })
    }

    async fn transfers_to_reverse(
        &self,
        chain: ChainId,
        limit: u32,
    ) -> Result<Vec<TransferRecord>, StoreError> {
        self.read("read transfers to take back", |state| {
            let due = of_chain(&state.to_reverse, chain, u64::MAX);
            Ok(first(due.filter_map(|id| state.record(id)), limit))
        })
    }

    async fn canonical_hashes(
        &self,
        chain: ChainId,
        numbers: Vec<u64>,
    ) -> Result<Vec<Option<B256>>, StoreError> {
        self.read("read canonical hashes", |state| {
            let hash = |number| state.canonical.get(&(chain, number)).copied();
            Ok(numbers.into_iter().map(hash).collect())
        })
    }

    async fn orders_for(
        &self,
        probes: Vec<AttributionProbe>,
    ) -> Result<Vec<FoundOrder>, StoreError> {
        self.read("find orders", |state| {
            let found: BTreeSet<(OrderId, FoundBy)> =
                probes.iter().flat_map(|probe| state.found_for(probe)).collect();
            let row = |(id, found_by)| {
                state.orders.get(&id).map(|row| FoundOrder { order: row.order.clone(), found_by })
            };
            Ok(found.into_iter().filter_map(row).collect())
        })
    }

    async fn has_orders_before(&self, chain: ChainId, time: Timestamp) -> Result<bool, StoreError> {
        self.read("look for orders", |state| {
            let mut terms = state.orders.values().map(|row| &row.order.terms);
            Ok(terms.any(|terms| terms.asset.chain_id == chain && terms.created_at <= time))
        })
    }

    async fn orders_to_close(
        &self,
        chain: ChainId,
        chain_time: Timestamp,
        limit: u32,
    ) -> Result<Vec<OrderId>, StoreError> {
        self.read("read orders to close", |state| {
            let due = state
                .orders
                .values()
                .map(|row| &row.order)
                .filter(|order| order.terms.asset.chain_id == chain)
                .filter(|order| !order.progress.closed && order.progress.state != OrderState::Paid)
                .filter(|order| order.terms.in_time_until() < chain_time)
                .filter(|order| !state.is_halted(order.terms.asset))
                .map(|order| order.terms.id);
            Ok(first(due, limit))
        })
    }

    async fn oldest_unsettled_time(&self, chain: ChainId) -> Result<Option<Timestamp>, StoreError> {
        self.read("read the oldest unsettled time", |state| Ok(state.oldest_unsettled(chain)))
    }

    async fn free_slots(
        &self,
        chain: ChainId,
        finalized_number: u64,
        quarantined_before: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        self.write("free slots", |state| {
            let due = state.slots.values().copied().filter(|id| {
                state.orders.get(id).is_some_and(|OrderRow { order, .. }| {
                    order.terms.asset.chain_id == chain
                        && state.is_slot_over(order, finalized_number, quarantined_before)
                })
            });
            let due: Vec<OrderId> = first(due, limit);
            for id in &due {
                if let Some(row) = state.orders.get_mut(id) {
                    row.order.progress.slot_held = false;
                    state.slots.remove(&slot_of(&row.order));
                }
            }
            Ok(u64::try_from(due.len()).unwrap_or(u64::MAX))
        })
    }

    async fn lots_to_expire(&self, now: Timestamp, limit: u32) -> Result<Vec<LotId>, StoreError> {
        self.read("read lots to expire", |state| {
            let lapsed = state.lots_left.iter().take_while(|(expires_at, _)| *expires_at <= now);
            Ok(first(lapsed.map(|(_, id)| *id), limit))
        })
    }
}

pub(super) fn of_chain(
    work: &BTreeSet<WorkKey>,
    chain: ChainId,
    up_to: u64,
) -> impl Iterator<Item = TransferId> + '_ {
    let lowest = (chain, 0, 0, TransferId::from_digest(B256::ZERO));
    work.range(lowest..)
        .take_while(move |(of, number, ..)| *of == chain && *number <= up_to)
        .map(|(.., id)| *id)
}

fn every_lot() -> (LotId, LotId) {
    (LotId { entry_seq: i64::MIN, index: i16::MIN }, LotId { entry_seq: i64::MAX, index: i16::MAX })
}

impl State {
    fn oldest_unsettled(&self, chain: ChainId) -> Option<Timestamp> {
        let to_settle = of_chain(&self.to_settle, chain, u64::MAX)
            .filter_map(|id| self.transfers.get(&id))
            .find(|row| !self.is_halted(row.transfer.key.asset()));
        let to_reverse =
            of_chain(&self.to_reverse, chain, u64::MAX).find_map(|id| self.transfers.get(&id));
        let oldest = to_settle.into_iter().chain(to_reverse);
        oldest.map(|row| row.transfer.block.time).min()
    }

    fn progress(&self, chain: ChainId) -> ChainProgress {
        let epoch = self.cursors.get(&chain).map(|cursor| cursor.epoch);
        ChainProgress { epoch, oldest_unsettled: self.oldest_unsettled(chain) }
    }

    fn is_slot_over(
        &self,
        order: &Order,
        finalized_number: u64,
        quarantined_before: Timestamp,
    ) -> bool {
        let id = order.terms.id;
        match order.progress.state {
            OrderState::Paid => self.settled_for(id).all(|transfer| {
                self.transfers
                    .get(&transfer)
                    .is_none_or(|row| row.transfer.block.number <= finalized_number)
            }),
            OrderState::Open | OrderState::PartiallyPaid | OrderState::Expired => {
                order.progress.closed && order.terms.deadline < quarantined_before
            }
        }
    }

    /// Transfers whose present settlement pays for that order.
    pub(super) fn settled_for(&self, order: OrderId) -> impl Iterator<Item = TransferId> + '_ {
        let lowest = (order, TransferId::from_digest(B256::ZERO), 0);
        self.settlements_of_order
            .range(lowest..)
            .take_while(move |(of, ..)| *of == order)
            .filter(|(_, transfer, generation)| {
                !self.reversals.contains_key(&(*transfer, *generation))
            })
            .map(|(_, transfer, _)| *transfer)
    }

    fn load(&self, touches: &Touches) -> LedgerState {
        let mut loaded = LedgerState { head: self.head.0, ..LedgerState::default() };
        for key in &touches.keys {
            if let Some(stored) = self.operations.get(key) {
                loaded.operations.insert(key.clone(), *stored);
            }
        }
        self.load_spending(touches, &mut loaded);
        let mut orders = touches.orders.clone();
        let mut lots = touches.lots.clone();
        let (lowest, highest) = every_lot();
        for id in &touches.transfers {
            let Some(record) = self.record(*id) else { continue };
            orders.extend(record.settlement.as_ref().and_then(|settled| settled.order));
            lots.extend(
                self.lots_of_transfer.range((*id, lowest)..=(*id, highest)).map(|(_, lot)| *lot),
            );
            loaded.transfers.insert(*id, record);
        }
        for id in orders {
            let Some(row) = self.orders.get(&id) else { continue };
            lots.extend(
                self.lots_of_order.range((id, lowest)..=(id, highest)).map(|(_, lot)| *lot),
            );
            loaded.orders.insert(id, row.order.clone());
        }
        let spenders = loaded.spenders(touches);
        lots.extend(loaded.lots_of_slices());
        if !spenders.is_empty() {
            let of_spenders =
                self.lots_left.iter().map(|(_, id)| *id).filter(|id| {
                    self.lots.get(id).is_some_and(|lot| spenders.contains(&lot.account))
                });
            lots.extend(of_spenders);
        }
        self.load_limits(touches, &spenders, &mut loaded);
        for id in lots {
            if let Some(lot) = self.lots.get(&id) {
                loaded.lots.insert(id, lot.clone());
            }
        }
        for id in &touches.closes {
            let Some(order) = loaded.orders.get(id) else { continue };
            let chain = order.terms.asset.chain_id;
            loaded.chains.entry(chain).or_insert_with(|| self.progress(chain));
        }
        let assets = loaded.assets_touched().into_iter();
        loaded.halted = assets.filter(|asset| self.is_halted(*asset)).collect();
        for key in loaded.accounts_touched(touches) {
            if let Some(balance) = self.balances.get(&key) {
                loaded.balances.insert(key, balance.clone());
            }
        }
        loaded
    }

    fn load_spending(&self, touches: &Touches, loaded: &mut LedgerState) {
        let due = self.open_holds.iter().filter(|(account, expires_at, _)| {
            touches.spenders.contains(account) && *expires_at <= touches.due_by
        });
        let due = due.map(|(.., id)| id);
        for id in touches.holds.iter().chain(due) {
            if let Some(hold) = self.holds.get(id) {
                loaded.holds.insert(*id, hold.clone());
            }
        }
        for id in &touches.usages {
            if let Some(usage) = self.usages.get(id) {
                loaded.usages.insert(*id, usage.clone());
            }
        }
    }

    fn load_limits(
        &self,
        touches: &Touches,
        spenders: &BTreeSet<AccountId>,
        loaded: &mut LedgerState,
    ) {
        let since = loaded.windows_since(touches);
        let known = touches.granted.iter().filter(|account| self.accounts.contains_key(*account));
        loaded.accounts.extend(known.cloned());
        for account in spenders {
            if let Some(profile) = self.profiles.get(account) {
                loaded.profiles.insert(account.clone(), profile.clone());
            }
        }
        for (limit, removed) in self.limits.values() {
            if removed.is_none() && spenders.contains(&limit.account) {
                let lowest = Timestamp::from_micros(i64::MIN);
                let windows = self.windows.range((limit.id, lowest)..=(limit.id, Timestamp::FAR));
                let open = windows.filter(|(_, window)| window.span.end > since);
                loaded.windows.extend(open.map(|(key, window)| (*key, *window)));
                loaded.limits.insert(limit.id, limit.clone());
            }
        }
        for basis in &touches.bases {
            let counts = |account: &AccountId, purpose: &Purpose, at: Timestamp| {
                *account == basis.account && basis.scope.counts(purpose) && at >= basis.from
            };
            let held = self
                .holds
                .values()
                .filter(|hold| hold.resolution.is_none())
                .filter(|hold| counts(&hold.account, &hold.purpose, hold.made_at))
                .fold(0_i64, |sum, hold| sum.saturating_add(hold.credits.micros()));
            let spent = self
                .usages
                .values()
                .filter(|usage| counts(&usage.account, &usage.purpose, usage.counted_at))
                .fold(0_i64, |sum, usage| {
                    let kept = usage.credits.micros().saturating_sub(usage.refunded.micros());
                    sum.saturating_add(kept)
                });
            let sums = (Credits::from_micros(held), Credits::from_micros(spent));
            loaded.bases.insert(basis.limit, sums);
        }
    }

    /// Every constraint that the rows must meet; nothing is changed yet.
    fn check(&self, rows: &BatchRows) -> Result<(), StoreErrorKind> {
        let broken = |what: &str| Err(StoreErrorKind::Refused(format!("{what} is there already")));
        let missing = |what: &str| Err(StoreErrorKind::Refused(format!("{what} is missing")));
        if !all_new(rows.operations.iter().map(|row| &row.key), |key| {
            self.operations.contains_key(key)
        }) {
            return broken("an operation key");
        }
        if !all_new(rows.entries.iter().map(|entry| entry.seq), |seq| {
            self.entries.contains_key(seq)
        }) {
            return broken("an entry number");
        }
        if !all_new(rows.events.iter().map(|event| event.seq), |seq| self.events.contains_key(seq))
        {
            return broken("an event number");
        }
        if !all_new(rows.new_lots.iter().map(|lot| lot.id), |id| self.lots.contains_key(id)) {
            return broken("a lot");
        }
        let held = rows.holds.iter().map(|hold| hold.id);
        if !all_new(held, |id| self.holds.contains_key(id)) {
            return broken("a hold");
        }
        let is_resolved =
            |id: &HoldId| self.holds.get(id).is_some_and(|hold| hold.resolution.is_some());
        if !all_new(rows.resolutions.iter().map(|row| row.hold), is_resolved) {
            return broken("the end of a hold");
        }
        if !all_new(rows.limits.iter().map(|limit| limit.id), |id| self.limits.contains_key(id)) {
            return broken("a limit");
        }
        let new_accounts = || rows.balances.iter().filter(|(.., is_new)| *is_new);
        let name_taken = |key: &_| self.balances.contains_key(key);
        if !all_new(new_accounts().map(|(account, unit, ..)| (account.clone(), *unit)), name_taken)
            || !all_new(new_accounts().map(|(_, _, balance, _)| balance.number), |number| {
                self.account_numbers.contains(number)
            })
        {
            return broken("an account");
        }
        let settled = rows.settlements.iter().map(|row| (row.transfer, row.generation));
        if !all_new(settled.clone(), |key| self.settlements.contains_key(key)) {
            return broken("a settlement of the same generation");
        }
        let reversed = rows.reversals.iter().map(|row| (row.transfer, row.generation));
        if !all_new(reversed.clone(), |key| self.reversals.contains_key(key)) {
            return broken("a reversal of the same generation");
        }
        let settled: BTreeSet<_> = settled.collect();
        let reversed: BTreeSet<_> = reversed.collect();
        if !reversed.iter().all(|key| settled.contains(key) || self.settlements.contains_key(key)) {
            return missing("the settlement that is taken back");
        }
        let follows = |(transfer, generation): &(TransferId, u32)| {
            generation.checked_sub(1).is_none_or(|before| {
                let before = (*transfer, before);
                reversed.contains(&before) || self.reversals.contains_key(&before)
            })
        };
        if !settled.iter().all(follows) {
            return missing("the reversal of the generation before");
        }
        Ok(())
    }

    fn post(&mut self, rows: BatchRows) {
        if let Some(head) = rows.head {
            self.head.0 = head;
        }
        for row in rows.operations {
            let stored = inspay_ledger::StoredOperation {
                fingerprint: row.fingerprint,
                entry_seq: row.entry_seq,
                refusal: row.refusal,
            };
            self.operations.insert(row.key, stored);
        }
        for (account, unit, balance, _) in rows.balances {
            self.account_numbers.insert(balance.number);
            self.balances.insert((account, unit), balance);
        }
        for entry in rows.entries {
            for posting in &entry.postings {
                if let Some(account) = posting.account.owner() {
                    self.history.insert((account.clone(), entry.seq));
                }
            }
            self.entries.insert(entry.seq, entry);
        }
        for lot in rows.new_lots {
            self.lots_of_order.extend(lot.order.map(|order| (order, lot.id)));
            self.lots_of_transfer.extend(lot.transfer.map(|transfer| (transfer, lot.id)));
            self.keep_lot(lot);
        }
        for (id, parts) in rows.lots_changed {
            if let Some(lot) = self.lots.get(&id).cloned() {
                self.keep_lot(inspay_ledger::Lot { parts, ..lot });
            }
        }
        self.keep_spending(rows.holds, &rows.resolutions, rows.usages, &rows.refunds);
        for (day, more) in rows.usage_days {
            let sums = self.usage_days.entry(day).or_default();
            let add = |sum: Credits, more: Credits| {
                Credits::from_micros(sum.micros().saturating_add(more.micros()))
            };
            *sums = UsageSums {
                spends: sums.spends.saturating_add(more.spends),
                units: sums.units.saturating_add(more.units),
                spent: add(sums.spent, more.spent),
                refunded: add(sums.refunded, more.refunded),
            };
        }
        self.limits.extend(rows.limits.into_iter().map(|limit| (limit.id, (limit, None))));
        for (id, at) in rows.limits_removed {
            if let Some((_, removed)) = self.limits.get_mut(&id) {
                *removed = Some(at);
            }
        }
        let windows = rows.windows.into_iter();
        self.windows.extend(windows.map(|(id, window)| ((id, window.span.start), window)));
        for (account, at) in rows.accounts {
            self.accounts.entry(account).or_insert(at);
        }
        self.profiles.extend(rows.profiles);
        for opening in &rows.cases_opened {
            self.open_case(opening);
        }
        for closing in &rows.cases_resolved {
            self.resolve_case(closing);
        }
        for settlement in rows.settlements {
            let key = (settlement.transfer, settlement.generation);
            let of_order = settlement.order.map(|order| (order, key.0, key.1));
            self.settlements_of_order.extend(of_order);
            self.settlements.insert(key, settlement);
        }
        for reversal in rows.reversals {
            self.reversals.insert((reversal.transfer, reversal.generation), reversal);
        }
        for mark in rows.transfers {
            self.change_transfer(mark.transfer, None, |row| {
                row.generation = mark.generation;
                row.settled_block = mark.settled_block;
                row.transfer.reference = mark.reference.or(row.transfer.reference);
            });
        }
        for (id, progress) in rows.orders {
            if let Some(row) = self.orders.get_mut(&id) {
                let slot_held = row.order.progress.slot_held;
                row.order.progress = OrderProgress { slot_held, ..progress };
            }
        }
        self.events.extend(rows.events.into_iter().map(|event| (event.seq, event)));
    }

    fn keep_spending(
        &mut self,
        holds: Vec<Hold>,
        resolutions: &[Resolution],
        usages: Vec<Usage>,
        refunds: &[(UsageId, Credits)],
    ) {
        for hold in holds {
            let hold = Hold { resolution: None, ..hold };
            self.open_holds.insert((hold.account.clone(), hold.expires_at, hold.id));
            self.holds.insert(hold.id, hold);
        }
        for resolution in resolutions {
            if let Some(hold) = self.holds.get_mut(&resolution.hold) {
                hold.resolution = Some(*resolution);
                self.open_holds.remove(&(hold.account.clone(), hold.expires_at, hold.id));
            }
        }
        self.usages.extend(usages.into_iter().map(|usage| (usage.id, usage)));
        for (id, refunded) in refunds {
            if let Some(usage) = self.usages.get_mut(id) {
                usage.refunded = *refunded;
            }
        }
    }

    fn keep_lot(&mut self, lot: inspay_ledger::Lot) {
        if lot.parts.left.is_zero() {
            self.lots_left.remove(&(lot.expires_at, lot.id));
        } else {
            self.lots_left.insert((lot.expires_at, lot.id));
        }
        self.lots.insert(lot.id, lot);
    }
}

/// Whether keys differ from each other and none is `known`.
fn all_new<K: Ord>(mut keys: impl Iterator<Item = K>, known: impl Fn(&K) -> bool) -> bool {
    let mut seen = BTreeSet::new();
    keys.all(|key| !known(&key) && seen.insert(key))
}
