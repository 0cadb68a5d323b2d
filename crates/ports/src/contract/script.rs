//! A seeded life of a chain, its buyers and the books, written into two stores that must agree at every step.
//!
//! The same seed is the same life. The one store is the fake, the other whatever is tried against it.

use std::{collections::BTreeSet, sync::Arc};

use inspay_ledger::{Act, Decision, Evidence, Operation, Outcome, TransferRecord};
use inspay_primitives::{
    Address, B256, BlockRef, Direction, FencingNumber, Order, OrderTerms, Reference, Timestamp,
    Transfer, TransferKey, U256,
};

use super::{
    samples::{
        CHAIN, account, applied, block, block_time, digest, inspi, paid, quote, terms, treasury,
        usdt,
    },
    store::{Picture, picture},
    teller::{close, reverse, settle_alone, settle_as, settle_for, write},
};
use crate::{
    AppliedBlock, AttributionProbe, BlocksCommit, ChainTags, CursorRecord, FoundOrder, NewOrder,
    RangeCommit, Store, StoreError, StoreErrorKind, StoredQuote,
};

/// Blocks that stay in the window behind the tip.
const WINDOW_BLOCKS: u64 = 8;
/// More than any list of this life is long, so that no order of rows is left to a store.
const ALL: u32 = 10_000;

/// Numbers that a seed decides.
#[derive(Clone, Debug)]
struct Dice(u64);

impl Dice {
    /// A number below `below`.
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        let most = u64::try_from(from.len()).ok().filter(|length| *length > 0)?;
        from.get(usize::try_from(self.roll(most)).ok()?)
    }
}

/// The life so far.
#[derive(Debug)]
pub struct Script {
    dice: Dice,
    stores: [Arc<dyn Store>; 2],
    cursor: Option<CursorRecord>,
    /// The canonical blocks since the last range, oldest first.
    chain: Vec<AppliedBlock>,
    /// A branch that left, on the block that it stands on.
    left: Option<(B256, Vec<AppliedBlock>)>,
    /// Transfers that left with their blocks and may be mined again.
    dropped: Vec<Transfer>,
    orders: Vec<OrderTerms>,
    minted: u64,
    now: Timestamp,
}

impl Script {
    /// A life that has not begun, in two empty stores.
    #[must_use]
    pub fn new(seed: u64, fake: Arc<dyn Store>, tried: Arc<dyn Store>) -> Self {
        Self {
            dice: Dice(seed),
            stores: [fake, tried],
            cursor: None,
            chain: Vec::new(),
            left: None,
            dropped: Vec::new(),
            orders: Vec::new(),
            minted: 0,
            now: block_time(0),
        }
    }

    /// Takes that many steps; after each the stores have answered alike, and in the end they read alike.
    pub async fn run(&mut self, steps: u64) {
        for step in 0..steps {
            self.now = self.now.plus_seconds(30);
            match self.dice.roll(26) {
                0..=5 => self.extend().await,
                6..=8 => self.reorganise().await,
                9..=10 => self.come_back().await,
                11 => self.commit_stale().await,
                12 => self.catch_up().await,
                13..=16 => {
                    for _ in 0..=self.dice.roll(3) {
                        self.order().await;
                    }
                }
                17..=19 => self.settle().await,
                20..=22 => self.take_back().await,
                23 => self.close_orders().await,
                24 => self.free_slots().await,
                _ => self.expire_lots().await,
            }
            if step % 16 == 0 {
                self.compare().await;
            }
        }
        self.take_back().await;
        self.settle().await;
        self.compare().await;
    }

    async fn compare(&self) {
        let [fake, tried] = &self.stores;
        let (expected, found) = (read_whole(fake).await, read_whole(tried).await);
        assert_eq!(found, expected);
        for store in &self.stores {
            assert_eq!(store.broken_laws().await.expect("checks"), vec![]);
        }
    }

    fn tip(&self) -> Option<BlockRef> {
        self.cursor.map(|cursor| cursor.tip)
    }

    fn cursor_at(&self, tip: BlockRef, changes_branch: bool) -> CursorRecord {
        let finalized_number = tip.number.saturating_sub(WINDOW_BLOCKS);
        let before = self.cursor;
        CursorRecord {
            chain_id: CHAIN,
            start_number: before.map_or(tip.number, |cursor| cursor.start_number),
            tip,
            tags: ChainTags { safe_number: tip.number.saturating_sub(4), finalized_number },
            audited_to: tip.number,
            epoch: before.map_or(0, |cursor| cursor.epoch) + i64::from(changes_branch),
            revision: before.map_or(1, |cursor| cursor.revision + 1),
        }
    }

    fn mint(&mut self) -> u64 {
        self.minted += 1;
        self.minted
    }

    /// A block of some transfers at that height, on a branch of its own.
    fn mine(&mut self, number: u64) -> AppliedBlock {
        let branch = format!("branch-{}", self.mint());
        let at = block(&branch, number);
        let count = self.dice.roll(4);
        let mut transfers = Vec::new();
        for log_index in 0..u32::try_from(count).unwrap_or(0) {
            transfers.extend(self.transfer(at, log_index * 2));
        }
        applied(at, transfers)
    }

    /// What one chain transaction brings: something dropped mined again, a payment, or anything else.
    fn transfer(&mut self, at: BlockRef, log_index: u32) -> Vec<Transfer> {
        if self.dice.roll(4) > 0
            && let Some(again) = self.dropped.pop()
        {
            let base_units = match self.dice.roll(8) {
                0 => again.base_units + U256::from(1),
                _ => again.base_units,
            };
            return vec![Transfer { base_units, block: at, log_index, ..again }];
        }
        let tx = self.mint();
        // Mostly young orders, which can still be paid in time.
        let young = self.orders.len().saturating_sub(if self.dice.roll(4) == 0 { 99 } else { 4 });
        let order = self.dice.pick(&self.orders[young..]).cloned();
        let due = order.as_ref().map_or(U256::from(77), |order| order.due_base_units);
        let reference = order.as_ref().map(|order| order.reference);
        let known = |reference: Option<Reference>| Some(reference);
        let base = paid(tx, usdt(), due, at, log_index);
        let out = TransferKey { direction: Direction::Out, ..base.key };
        match self.dice.roll(8) {
            0 => vec![Transfer {
                base_units: due / U256::from(2),
                reference: known(reference),
                ..base
            }],
            1 => vec![Transfer {
                base_units: due + U256::from(5_000),
                reference: known(reference),
                ..base
            }],
            2 => vec![Transfer { base_units: U256::ZERO, ..base }],
            3 => vec![paid(tx, inspi(), U256::MAX >> 8, at, log_index)],
            4 => vec![Transfer { key: out, base_units: U256::from(3), ..base }],
            5 => {
                let counterparty = Address::repeat_byte(0x78);
                let out = Transfer { key: out, counterparty, base_units: U256::from(9), ..base };
                let key = TransferKey { treasury: counterparty, ..base.key };
                vec![out, Transfer { key, counterparty: treasury(), ..out }]
            }
            _ => vec![base],
        }
    }

    async fn commit(&mut self, orphaned: &[AppliedBlock], added: Vec<AppliedBlock>) {
        let keep = self.chain.len().saturating_sub(orphaned.len());
        self.chain.truncate(keep);
        self.chain.extend(added.clone());
        let Some(tip) = self.chain.last().map(|applied| applied.block) else { return };
        let cursor = self.cursor_at(tip, !orphaned.is_empty());
        let window_from = tip.number.saturating_sub(WINDOW_BLOCKS);
        let commit = BlocksCommit {
            fencing: FencingNumber::UNLEASED,
            expected_revision: self.cursor.map(|cursor| cursor.revision),
            orphaned: orphaned.iter().rev().map(|applied| applied.block).collect(),
            added,
            cursor,
            window_from,
        };
        for store in &self.stores {
            store.commit_blocks(commit.clone()).await.expect("commits blocks");
        }
        self.cursor = Some(cursor);
    }

    async fn extend(&mut self) {
        let mut number = self.tip().map_or(0, |tip| tip.number);
        let mut added = Vec::new();
        for _ in 0..=self.dice.roll(3) {
            number += 1;
            added.push(self.mine(number));
        }
        self.commit(&[], added).await;
    }

    /// Takes up to three blocks of the window off, and puts as many or one more in their place.
    async fn reorganise(&mut self) {
        let depth = usize::try_from(self.dice.roll(3) + 1).unwrap_or(1);
        let Some(stays) = self.chain.len().checked_sub(depth).filter(|stays| *stays > 0) else {
            return;
        };
        let orphaned = self.chain.split_off(stays);
        let ancestor = self.chain.last().map(|applied| applied.block);
        self.chain.extend(orphaned.clone());
        let Some(ancestor) = ancestor else { return };
        let mut gone: Vec<Transfer> =
            orphaned.iter().flat_map(|applied| applied.transfers.clone()).collect();
        // Mined again at once, or only in some later block.
        if self.dice.roll(2) == 0 {
            self.dropped.append(&mut gone);
        }
        let length = u64::try_from(depth).unwrap_or(1) + self.dice.roll(2);
        let mut added = Vec::new();
        for number in ancestor.number + 1..=ancestor.number + length {
            added.push(self.mine(number));
        }
        self.dropped.append(&mut gone);
        self.commit(&orphaned, added).await;
        self.left = Some((ancestor.hash, orphaned));
    }

    /// The branch that left last comes back, if what it stands on is still canonical.
    async fn come_back(&mut self) {
        let Some((ancestor, branch)) = self.left.take() else { return };
        let stays = self.chain.iter().position(|applied| applied.block.hash == ancestor);
        let Some(stays) = stays else { return };
        let orphaned: Vec<AppliedBlock> = self.chain.iter().skip(stays + 1).cloned().collect();
        let window_from = self.tip().map_or(0, |tip| tip.number.saturating_sub(WINDOW_BLOCKS));
        let is_in_window = orphaned.iter().all(|applied| applied.block.number >= window_from);
        if orphaned.is_empty() || !is_in_window {
            return;
        }
        // What the branch brings back is mined again nowhere else.
        let back: BTreeSet<_> =
            branch.iter().flat_map(|applied| &applied.transfers).map(|seen| seen.key).collect();
        self.dropped.retain(|dropped| !back.contains(&dropped.key));
        let stand_below = self.chain.iter().take(stays + 1).flat_map(|applied| &applied.transfers);
        if stand_below.clone().any(|seen| back.contains(&seen.key)) {
            return;
        }
        let gone = orphaned.iter().flat_map(|applied| applied.transfers.clone());
        self.dropped.extend(gone.filter(|seen| !back.contains(&seen.key)));
        self.commit(&orphaned, branch).await;
    }

    /// A commit on an old revision is refused by both.
    async fn commit_stale(&mut self) {
        let Some(cursor) = self.cursor else { return };
        let branch = format!("stale-{}", self.mint());
        let at = block(&branch, cursor.tip.number + 1);
        let commit = RangeCommit {
            fencing: FencingNumber::UNLEASED,
            expected_revision: Some(cursor.revision - 1),
            transfers: vec![paid(self.minted, usdt(), U256::from(1), at, 0)],
            cursor: self.cursor_at(at, false),
        };
        for store in &self.stores {
            let error = store.commit_range(commit.clone()).await.expect_err("is stale");
            assert!(matches!(error.kind, StoreErrorKind::CursorMoved), "{error:?}");
        }
    }

    /// A range of blocks beyond the tip, some with transfers.
    async fn catch_up(&mut self) {
        let from = self.tip().map_or(1, |tip| tip.number + 1);
        let mut mined: Vec<AppliedBlock> = Vec::new();
        for number in from..from + 5 {
            mined.push(self.mine(number));
        }
        let Some(last) = mined.last().map(|applied| applied.block) else { return };
        let unread = |transfer: &Transfer| Transfer { reference: None, ..*transfer };
        let commit = RangeCommit {
            fencing: FencingNumber::UNLEASED,
            expected_revision: self.cursor.map(|cursor| cursor.revision),
            transfers: mined.iter().flat_map(|applied| &applied.transfers).map(unread).collect(),
            cursor: self.cursor_at(last, false),
        };
        for store in &self.stores {
            store.commit_range(commit.clone()).await.expect("commits a range");
        }
        self.cursor = Some(commit.cursor);
        self.chain = vec![applied(last, Vec::new())];
        self.left = None;
        self.dropped.clear();
    }

    /// An order for one of few amounts, of a quote that may be used already.
    async fn order(&mut self) {
        let number = self.mint();
        let used = self.dice.pick(&self.orders).map(|order| order.quote);
        let due_base_units = U256::from(9_000_000 + self.dice.roll(12));
        let time = self.tip().map_or(block_time(0), |tip| tip.time);
        let quoted = match (self.dice.roll(6), used) {
            (0, Some(used)) => used,
            _ => quote(number).id,
        };
        let terms = OrderTerms {
            account: account(self.dice.roll(4)),
            quote: quoted,
            due_base_units,
            exact_amount_lane: self.dice.roll(5) > 0,
            created_at: self.now,
            deadline: time.plus_seconds(120),
            credits_valid_days: u16::from(self.dice.roll(2) == 0),
            ..terms(number)
        };
        let kept = StoredQuote { id: terms.quote, ..quote(number) };
        let request_key = (self.dice.roll(3) == 0).then(|| format!("app/{}", number / 20));
        let new = NewOrder { terms, request_key };
        let mut outcomes = Vec::new();
        for store in &self.stores {
            if store.quote(kept.id).await.expect("reads").is_none() {
                store.save_quote(kept.clone()).await.expect("keeps");
            }
            outcomes.push(told(store.create_order(new.clone()).await));
        }
        assert_eq!(outcomes.first(), outcomes.last());
        if let Some(Ok(order)) = outcomes.into_iter().next()
            && order.terms == new.terms
        {
            self.orders.push(order.terms);
        }
    }

    /// Asks both stores, which must answer alike.
    async fn ask<T: PartialEq + std::fmt::Debug>(
        &self,
        question: impl AsyncFn(Arc<dyn Store>) -> T,
    ) -> T {
        let [fake, tried] = &self.stores;
        let expected = question(Arc::clone(fake)).await;
        let found = question(Arc::clone(tried)).await;
        assert_eq!(found, expected);
        expected
    }

    /// Writes operations into both, which must decide alike on what they load, and offers some twice.
    async fn write(&mut self, mut operations: Vec<Operation>) {
        if operations.is_empty() {
            return;
        }
        if self.dice.roll(3) == 0 {
            operations.extend(operations.clone());
        }
        let now = self.now;
        let operations = &operations;
        self.ask(async |store| {
            let written = write(&store, operations.clone(), now).await;
            assert_eq!(written.decisions, 1);
            let outcomes: Vec<Outcome> = written.outcomes;
            (outcomes, written.rows.entries, written.rows.events)
        })
        .await;
    }

    async fn settle(&mut self) {
        let up_to = self.tip().map_or(0, |tip| tip.number.saturating_sub(self.dice.roll(3)));
        let due = self
            .ask(async |store| {
                let due = store.transfers_to_settle(CHAIN, None, up_to, ALL).await.expect("reads");
                by_id(due)
            })
            .await;
        let probes: Vec<AttributionProbe> = due
            .iter()
            .map(|record| {
                AttributionProbe::of(&record.transfer, record.transfer.reference.flatten())
            })
            .collect();
        let orders = self
            .ask(async |store| {
                let mut orders = store.orders_for(probes.clone()).await.expect("looks");
                orders.sort_by_key(|found| (found.order.terms.id, found.found_by));
                orders
            })
            .await;
        let operations = due.iter().map(|record| decide(record, &orders)).collect();
        self.write(operations).await;
    }

    async fn take_back(&mut self) {
        let due = self
            .ask(async |store| by_id(store.transfers_to_reverse(CHAIN, ALL).await.expect("reads")))
            .await;
        let operations =
            due.iter().map(|record| reverse(&record.transfer, record.generation)).collect();
        self.write(operations).await;
    }

    async fn close_orders(&mut self) {
        let Some(tip) = self.tip() else { return };
        let due = self
            .ask(async |store| {
                let due = store.orders_to_close(CHAIN, tip.time, ALL).await.expect("reads");
                due.into_iter().collect::<BTreeSet<_>>()
            })
            .await;
        let of = |id| self.orders.iter().find(|order| order.id == id);
        let operations =
            due.into_iter().filter_map(of).map(|order| close(order, tip.time)).collect();
        self.write(operations).await;
    }

    async fn free_slots(&mut self) {
        let Some(cursor) = self.cursor else { return };
        let before = cursor.tip.time.plus_seconds(-240);
        let finalized = cursor.tags.finalized_number;
        self.ask(async |store| {
            store.free_slots(CHAIN, finalized, before, ALL).await.expect("frees")
        })
        .await;
        self.ask(async |store| store.held_slots(usdt(), treasury()).await.expect("counts")).await;
        let buyer = account(self.dice.roll(4));
        self.ask(async |store| store.unpaid_orders(&buyer).await.expect("counts")).await;
    }

    async fn expire_lots(&mut self) {
        let now = self.now;
        let due = self
            .ask(async |store| {
                let due = store.lots_to_expire(now, ALL).await.expect("reads");
                due.into_iter().collect::<BTreeSet<_>>()
            })
            .await;
        let operations =
            due.into_iter().map(|lot| Operation::from(Act::ExpireLot { lot })).collect();
        self.write(operations).await;
    }
}

/// A plain decision: reference first, then amount, else alone; late ones wait.
fn decide(record: &TransferRecord, orders: &[FoundOrder]) -> Operation {
    let TransferRecord { transfer, generation, .. } = record;
    let fits = |order: &&Order| {
        order.terms.asset == transfer.key.asset()
            && order.terms.treasury == transfer.key.treasury
            && transfer.key.direction == Direction::In
            && transfer.block.time <= order.terms.in_time_until()
            && !transfer.base_units.is_zero()
    };
    let all = || orders.iter().map(|found| &found.order);
    let named = all()
        .filter(fits)
        .find(|order| transfer.reference.flatten() == Some(order.terms.reference));
    let exact = all().filter(fits).find(|order| {
        order.progress.slot_held && order.terms.due_base_units == transfer.base_units
    });
    match (named, exact) {
        (Some(order), _) => settle_for(transfer, *generation, &order.terms),
        (None, Some(order)) => {
            let evidence = Evidence::ExactAmount;
            let order = order.terms.id;
            let decision = Decision::Attribute { order, evidence, late: None };
            settle_as(transfer, *generation, decision)
        }
        (None, None) => settle_alone(transfer, *generation),
    }
}

fn by_id(mut records: Vec<TransferRecord>) -> Vec<TransferRecord> {
    // Two transfers of one log may come in either order.
    let ages: Vec<u64> = records.iter().map(|record| record.transfer.block.number).collect();
    assert!(ages.is_sorted(), "oldest block first: {ages:?}");
    records.sort_by_key(|record| {
        let Transfer { key, block, log_index, .. } = record.transfer;
        (block.number, log_index, key.id())
    });
    records
}

/// The order made, or the kind of refusal in words.
fn told(outcome: Result<Order, StoreError>) -> Result<Order, String> {
    outcome.map_err(|error| error.kind.to_string())
}

/// A picture with what else can be asked about it.
async fn read_whole(store: &Arc<dyn Store>) -> (Picture, Vec<String>) {
    let picture = picture(store).await;
    let tip = picture.cursor.map_or(0, |cursor| cursor.tip.number);
    let mut answers = Vec::new();
    for asset in [usdt(), inspi()] {
        for of in [treasury(), Address::repeat_byte(0x78)] {
            for up_to in [tip, tip / 2] {
                let totals = store.transfer_totals(asset, of, up_to).await.expect("adds up");
                answers.push(format!("{totals:?}"));
            }
        }
    }
    let numbers = (tip.saturating_sub(12)..=tip + 1).collect();
    let hashes = store.canonical_hashes(CHAIN, numbers).await.expect("reads");
    answers.push(format!("{hashes:?}"));
    answers.push(format!("{:?}", store.oldest_unsettled_time(CHAIN).await.expect("reads")));
    let early = digest("nothing", 0);
    answers.push(format!("{:?}", store.key(early).await.expect("reads")));
    (picture, answers)
}
