//! The laws as checks over the fake store's rows, by the names that the databases' queries have.

use std::collections::BTreeMap;

use inspay_ledger::{BookAccount, GENESIS_HASH, LotParts, SettlementKind, Side, Unit};
use inspay_primitives::{AccountId, AssetId, Credits, Direction, LotId, U256};

use super::rows::State;
use crate::LawViolation;

/// Rows that break laws.
#[derive(Debug, Default)]
struct Broken(Vec<LawViolation>);

impl Broken {
    fn unless(&mut self, holds: bool, law: &'static str, row: impl FnOnce() -> String) {
        if !holds {
            self.0.push(LawViolation { law, row: row() });
        }
    }
}

type Sums<K> = BTreeMap<K, (U256, U256)>;

fn add(sum: &mut (U256, U256), side: Side, quantity: U256) {
    match side {
        Side::Debit => sum.0 = sum.0.saturating_add(quantity),
        Side::Credit => sum.1 = sum.1.saturating_add(quantity),
    }
}

impl State {
    pub(super) fn broken_laws(&self) -> Vec<LawViolation> {
        let mut broken = Broken::default();
        self.settled_once(&mut broken);
        self.nothing_lost(&mut broken);
        self.one_chain(&mut broken);
        self.journal(&mut broken);
        self.balances(&mut broken);
        self.treasuries(&mut broken);
        self.orders(&mut broken);
        self.lots(&mut broken);
        self.spending(&mut broken);
        broken.0
    }

    fn settled_once(&self, broken: &mut Broken) {
        for (id, row) in &self.transfers {
            let settled = self.settlement_now(*id, row).map(|settled| settled.block_hash);
            broken.unless(settled == row.settled_block, "settled_once", || {
                format!("{id} is marked {:?}, settled at {settled:?}", row.settled_block)
            });
            let all_taken_back = (0..row.generation)
                .all(|generation| self.reversals.contains_key(&(*id, generation)));
            let none_ahead = self
                .settlements
                .range((*id, row.generation.saturating_add(1))..=(*id, u32::MAX))
                .next()
                .is_none();
            broken.unless(all_taken_back && none_ahead, "settled_once", || {
                format!("{id} is at generation {}", row.generation)
            });
        }
        for key in self.settlements.keys().filter(|(id, _)| !self.transfers.contains_key(id)) {
            broken.unless(false, "settled_once", || format!("{} was never recorded", key.0));
        }
    }

    fn nothing_lost(&self, broken: &mut Broken) {
        let mut canonical = BTreeMap::new();
        for ((_, block, log_index, id), is_canonical) in &self.observations {
            let known = self.transfers.contains_key(id);
            broken.unless(known, "never_lost", || format!("{id} was seen but not recorded"));
            if *is_canonical {
                let other = canonical.insert(*id, (*block, *log_index));
                broken.unless(other.is_none(), "never_lost", || format!("{id} is seen twice"));
            }
        }
        for (id, row) in &self.transfers {
            let here = (row.transfer.block.hash, row.transfer.log_index);
            let seen = canonical.get(id);
            let agrees = if row.canonical { seen == Some(&here) } else { seen.is_none() };
            broken.unless(agrees, "never_lost", || {
                format!("{id} is canonical {}, seen at {seen:?}", row.canonical)
            });
        }
    }

    fn one_chain(&self, broken: &mut Broken) {
        for ((chain, number), hash) in &self.canonical {
            let fits =
                self.blocks.get(&(*chain, *hash)).is_some_and(|row| row.block.number == *number);
            broken.unless(fits, "one_chain", || format!("block {number} of chain {chain}"));
        }
        for (chain, cursor) in &self.cursors {
            let newest = self.canonical.range((*chain, 0)..=(*chain, u64::MAX)).next_back();
            let at_tip = newest.is_none_or(|((_, number), hash)| {
                (*number, *hash) == (cursor.tip.number, cursor.tip.hash)
            });
            broken.unless(at_tip, "one_chain", || {
                format!("the cursor of chain {chain} is not at its newest block")
            });
        }
    }

    fn journal(&self, broken: &mut Broken) {
        let (mut seq, mut hash) = (0, GENESIS_HASH);
        for entry in self.entries.values() {
            let number = entry.seq;
            broken.unless(number == seq + 1, "entries_gapless", || format!("before {number}"));
            broken.unless(entry.previous_hash == hash, "entries_chained", || {
                format!("entry {number}")
            });
            let made_by = self.operations.get(&entry.operation);
            let is_kept = made_by.is_some_and(|stored| stored.entry_seq == Some(number));
            broken.unless(is_kept, "entries_have_operations", || format!("entry {number}"));
            let unit = entry.unbalanced_unit();
            broken
                .unless(unit.is_none(), "books_balance", || format!("entry {number} in {unit:?}"));
            (seq, hash) = (number, entry.hash);
        }
        let mut event_seq = 0;
        for number in self.events.keys() {
            broken
                .unless(*number == event_seq + 1, "events_gapless", || format!("before {number}"));
            event_seq = *number;
        }
        let head = self.head.0;
        let at_end = (head.entry_seq, head.entry_hash, head.event_seq) == (seq, hash, event_seq);
        broken.unless(at_end, "head_at_end", || format!("{head:?}"));
    }

    fn balances(&self, broken: &mut Broken) {
        let mut sums: Sums<(BookAccount, Unit)> = BTreeMap::new();
        for posting in self.entries.values().flat_map(|entry| &entry.postings) {
            let sum = sums.entry((posting.account.clone(), posting.unit)).or_default();
            add(sum, posting.side, posting.quantity);
        }
        for (key, balance) in &self.balances {
            let sum = sums.remove(key).unwrap_or_default();
            broken.unless(sum == (balance.debits, balance.credits), "balances", || {
                format!("{} in {}", key.0, key.1)
            });
        }
        for (account, unit) in sums.into_keys() {
            broken.unless(false, "balances", || format!("{account} in {unit} has no row"));
        }
    }

    /// What is settled in and out of an asset's treasuries is what the books hold of it.
    fn treasuries(&self, broken: &mut Broken) {
        let mut settled: Sums<AssetId> = BTreeMap::new();
        for (id, row) in &self.transfers {
            let Some(now) = self.settlement_now(*id, row) else { continue };
            if now.kind == SettlementKind::Ignored {
                continue;
            }
            let side = match row.transfer.key.direction {
                Direction::In => Side::Debit,
                Direction::Out => Side::Credit,
            };
            add(settled.entry(row.transfer.key.asset()).or_default(), side, now.base_units);
        }
        for ((account, unit), balance) in &self.balances {
            let (BookAccount::Treasury, Unit::Token(asset)) = (account, unit) else { continue };
            let (came, left) = settled.remove(asset).unwrap_or_default();
            // Reversals are postings too, so only the differences are equal.
            let agrees =
                balance.debits.saturating_add(left) == balance.credits.saturating_add(came);
            broken.unless(agrees, "treasury_equals_settled", || asset.to_string());
        }
        for (asset, (came, left)) in settled {
            broken.unless(came == left, "treasury_equals_settled", || asset.to_string());
        }
    }

    fn orders(&self, broken: &mut Broken) {
        for (id, row) in &self.orders {
            let order = &row.order;
            let received = self
                .settled_for(*id)
                .filter_map(|transfer| {
                    let row = self.transfers.get(&transfer)?;
                    self.settlement_now(transfer, row)
                })
                .filter(|settled| settled.kind == SettlementKind::Order)
                .fold(U256::ZERO, |sum, settled| sum.saturating_add(settled.base_units));
            broken.unless(
                received == order.progress.received_base_units,
                "orders_received",
                || format!("{id} says {}, received {received}", order.progress.received_base_units),
            );
            let slot = super::rows::slot_of(order);
            let holds = self.slots.get(&slot) == Some(id);
            broken
                .unless(holds == order.progress.slot_held, "one_order_per_slot", || id.to_string());
        }
    }

    /// A lot's parts are what was granted and what entries moved; what accounts hold is what their lots hold.
    fn lots(&self, broken: &mut Broken) {
        let mut moved: BTreeMap<LotId, LotParts> = BTreeMap::new();
        for entry in self.entries.values() {
            let granted = entry.lots.iter().map(|lot| (lot.id, LotParts::of_new(lot.granted)));
            moved.extend(granted);
            for part in &entry.moves {
                let after = moved
                    .get(&part.lot)
                    .and_then(|parts| parts.moved(part.from, part.to, part.credits));
                broken.unless(after.is_some(), "lot_moves", || {
                    format!("entry {} moves what {} has not", entry.seq, part.lot)
                });
                moved.extend(after.map(|after| (part.lot, after)));
            }
        }
        let mut sums: BTreeMap<&AccountId, (i64, i64)> = BTreeMap::new();
        for lot in self.lots.values() {
            let (revoked, warned) = (lot.parts.revoked, lot.parts.warned);
            let recomputed = moved.get(&lot.id).map(|parts| LotParts { revoked, warned, ..*parts });
            broken.unless(recomputed == Some(lot.parts), "lot_moves", || lot.id.to_string());
            let whole = lot.parts.total() == Some(lot.granted);
            broken.unless(whole, "lots_within_grant", || lot.id.to_string());
            let (left, held) = sums.entry(&lot.account).or_default();
            *left = left.saturating_add(lot.parts.left.micros());
            *held = held.saturating_add(lot.parts.held.micros());
        }
        for account in self.accounts.keys() {
            let (left, held) = sums.get(account).copied().unwrap_or_default();
            let posted = |of: BookAccount| self.posted(&of).ok().map(Credits::micros);
            let covered = posted(BookAccount::Account(account.clone())) == Some(left)
                && posted(BookAccount::Held(account.clone())) == Some(held);
            broken.unless(covered, "lots_equal_balance", || account.to_string());
        }
    }

    /// What is held is what open holds have; days of usage and limits' windows add up to the spends in them.
    fn spending(&self, broken: &mut Broken) {
        let mut held: BTreeMap<&AccountId, i64> = BTreeMap::new();
        for hold in self.holds.values() {
            let slices =
                hold.slices.iter().fold(0_i64, |sum, it| sum.saturating_add(it.credits.micros()));
            broken.unless(slices == hold.credits.micros(), "holds_have_slices", || {
                hold.id.to_string()
            });
            if hold.resolution.is_none() {
                let sum = held.entry(&hold.account).or_default();
                *sum = sum.saturating_add(hold.credits.micros());
            }
        }
        for account in self.accounts.keys() {
            let open = held.get(account).copied().unwrap_or(0);
            let posted = self.posted(&BookAccount::Held(account.clone())).ok().map(Credits::micros);
            broken.unless(posted == Some(open), "held_equals_holds", || account.to_string());
        }
        let mut spent: BTreeMap<&AccountId, i64> = BTreeMap::new();
        for usage in self.usages.values() {
            let kept = usage.credits.micros().saturating_sub(usage.refunded.micros());
            let fits = (0..=usage.credits.micros()).contains(&kept);
            broken.unless(fits, "usage_refunds", || usage.id.to_string());
            let sum = spent.entry(&usage.account).or_default();
            *sum = sum.saturating_add(kept);
        }
        for ((account, ..), sums) in &self.usage_days {
            let sum = spent.entry(account).or_default();
            *sum = sum.saturating_sub(sums.spent.micros()).saturating_add(sums.refunded.micros());
        }
        for (account, difference) in spent {
            broken.unless(difference == 0, "usage_days_add_up", || account.to_string());
        }
        for ((id, _), window) in &self.windows {
            let Some((limit, None)) = self.limits.get(id) else { continue };
            let held = self
                .holds
                .values()
                .filter(|hold| hold.resolution.is_none() && hold.account == limit.account)
                .filter(|hold| limit.scope.counts(&hold.purpose))
                .filter(|hold| window.span.contains(hold.made_at))
                .fold(0_i64, |sum, hold| sum.saturating_add(hold.credits.micros()));
            let spent = self
                .usages
                .values()
                .filter(|usage| usage.account == limit.account)
                .filter(|usage| limit.scope.counts(&usage.purpose))
                .filter(|usage| window.span.contains(usage.counted_at))
                .fold(0_i64, |sum, usage| {
                    let kept = usage.credits.micros().saturating_sub(usage.refunded.micros());
                    sum.saturating_add(kept)
                });
            let agrees = (window.held.micros(), window.spent.micros()) == (held, spent);
            broken.unless(agrees, "windows_add_up", || {
                format!("{id}: {held} held, {spent} spent; its window says {window:?}")
            });
        }
    }
}
