//! The decisions on transfers: settle and reverse. Pure.
//!
//! Each builds a draft from the state as it is and changes nothing.

use inspay_primitives::{
    Credits, Direction, Order, OrderId, OrderProgress, Reference, Rounding, U256, Usd, mul_div,
};

use crate::{
    BookAccount, Bucket, Decision, EntryKind, EventKind, EventSnapshot, Evidence, IgnoreReason,
    LatePolicy, LateTerms, LedgerState, Lot, LotMove, LotSource, Refusal, Reversal, Settlement,
    SettlementKind, SettlementRules, Side, Split, SuspenseReason, TransferMark, TransferRecord,
    Unit,
    draft::{Draft, Grant, Told},
    grant::add_grant,
    order_rules::{is_paid, split, state_of},
    post::Batch,
};

/// Where purchased lots stand in the burn-down order: between what was given away to be used first and the rest.
const PURCHASE_PRIORITY: u8 = 50;

/// What an order's part of a draft is about.
struct OrderChange<'a> {
    order: &'a Order,
    before: Split,
    after: Split,
    received: U256,
}

impl OrderChange<'_> {
    /// The order's progress after the change.
    fn progress(&self) -> Option<OrderProgress> {
        let before = self.order.progress;
        let credited =
            before.credited.checked_add(self.after.credits)?.checked_sub(self.before.credits)?;
        Some(OrderProgress {
            state: state_of(&self.order.terms, self.received, before.closed),
            received_base_units: self.received,
            credited,
            ..before
        })
    }

    /// The postings on the accounts of the asset, treasury not included.
    fn post_tokens(&self, draft: &mut Draft) {
        let unit = Unit::Token(self.order.terms.asset);
        draft.change(BookAccount::Clearing, unit, self.before.clearing, self.after.clearing);
        draft.change(BookAccount::Rounding, unit, self.before.rounding, self.after.rounding);
        draft.change(BookAccount::Suspense, unit, self.before.suspense, self.after.suspense);
        // Debit balances: the change goes the other way.
        draft.change(BookAccount::Rounding, unit, self.after.shortfall, self.before.shortfall);
        draft.change(BookAccount::Discounts, unit, self.after.discounts, self.before.discounts);
    }
}

/// Dollars paid for a part of an order's credits, rounded down to micro-dollars.
fn paid_for(order: &Order, credits: Credits) -> Option<Usd> {
    let price = order.terms.price.round(6, Rounding::Down);
    let mut mantissa = price.decimal();
    mantissa.rescale(6);
    let micros = U256::from(u128::try_from(mantissa.mantissa()).ok()?);
    let share = mul_div(
        micros,
        credits.to_u256_micros(),
        order.terms.credits.to_u256_micros(),
        Rounding::Down,
    )
    .ok()?;
    let share = i128::try_from(u128::try_from(share).ok()?).ok()?;
    rust_decimal::Decimal::try_from_i128_with_scale(share, 6).ok().map(Usd::new)
}

fn grant_credits(
    draft: &mut Draft,
    state: &LedgerState,
    order: &Order,
    credits: Credits,
    paid: Option<Usd>,
) -> Result<(), Refusal> {
    if credits <= Credits::ZERO {
        return Ok(());
    }
    let account = &order.terms.account;
    let grant = Grant {
        account: account.clone(),
        source: LotSource::Purchase,
        campaign: None,
        scope: None,
        priority: PURCHASE_PRIORITY,
        credits,
        expires_at: None,
        valid_days: order.terms.credits_valid_days,
        paid,
        repays: Credits::ZERO,
    };
    add_grant(draft, state.owed_by(account), grant)
}

/// How much of `missing` each part of a bucket can give, in order; what is still missing is left in it.
fn take_from<'a>(
    draft: &mut Draft,
    lots: impl Iterator<Item = &'a Lot>,
    (from, debit): (Bucket, BookAccount),
    missing: &mut Credits,
) -> Result<(), Refusal> {
    let mut sum = Credits::ZERO;
    for lot in lots {
        let there = if from == Bucket::Left { lot.parts.left } else { lot.parts.expired };
        let taken = there.min(*missing);
        if taken > Credits::ZERO {
            draft.moves.push(LotMove { lot: lot.id, from, to: Bucket::Taken, credits: taken });
            *missing = missing.checked_sub(taken).ok_or(Refusal::OutOfRange)?;
            sum = sum.checked_add(taken).ok_or(Refusal::OutOfRange)?;
        }
    }
    draft.credits(debit, Side::Debit, sum);
    Ok(())
}

/// Takes credits back: from the lots that the payment bought, newest first, whether they lapsed or not; then from the
/// account's other lots in burn-down order. What was spent or is held is owed from then on.
fn take_back(
    draft: &mut Draft,
    batch: &Batch<'_>,
    order: &Order,
    credits: Credits,
    bought: impl Fn(&Lot) -> bool,
) -> Result<(), Refusal> {
    if credits <= Credits::ZERO {
        return Ok(());
    }
    let owner = &order.terms.account;
    let account = || BookAccount::Account(owner.clone());
    let mut missing = credits;
    let mine = || batch.state.lots.values().rev().filter(|lot| bought(lot));
    take_from(draft, mine(), (Bucket::Left, account()), &mut missing)?;
    take_from(draft, mine(), (Bucket::Expired, BookAccount::CreditsExpired), &mut missing)?;
    let others = batch.lots_in_order(owner).filter(|lot| !bought(lot));
    take_from(draft, others, (Bucket::Left, account()), &mut missing)?;
    draft.credits(BookAccount::Owed(owner.clone()), Side::Debit, missing);
    draft.credits(BookAccount::CreditsReversed, Side::Credit, credits);
    Ok(())
}

fn snapshot(
    record: &TransferRecord,
    order: Option<(&Order, &OrderProgress)>,
    delta: Option<Credits>,
) -> EventSnapshot {
    let transfer = &record.transfer;
    EventSnapshot {
        order_state: order.map(|(_, progress)| progress.state.as_str().to_owned()),
        received_base_units: order.map(|(_, progress)| progress.received_base_units.to_string()),
        due_base_units: order.map(|(order, _)| order.terms.due_base_units.to_string()),
        credited: order.map(|(_, progress)| progress.credited),
        credits_delta: delta,
        asset: Some(transfer.key.asset().to_string()),
        base_units: Some(transfer.base_units.to_string()),
        tx_hash: Some(transfer.key.tx_hash.to_string()),
        block_number: Some(transfer.block.number),
        ..EventSnapshot::default()
    }
}

/// The settlement row of a record, before it has an entry and a time.
fn settlement(record: &TransferRecord, kind: SettlementKind, value: Option<Usd>) -> Settlement {
    Settlement {
        transfer: record.transfer.key.id(),
        generation: record.generation,
        kind,
        order: None,
        evidence: None,
        suspense: None,
        ignored: None,
        candidates: Vec::new(),
        base_units: record.transfer.base_units,
        credits: Credits::ZERO,
        value,
        block_hash: record.transfer.block.hash,
        entry_seq: None,
        settled_at: record.transfer.block.time,
    }
}

/// What is asked of a settlement, as one value.
#[derive(Debug)]
pub(crate) struct SettleRequest<'a> {
    pub(crate) record: &'a TransferRecord,
    pub(crate) reference: Option<Reference>,
    pub(crate) decision: &'a Decision,
    pub(crate) value: Option<Usd>,
}

impl SettleRequest<'_> {
    fn draft(&self, kind: EntryKind) -> Draft {
        let transfer = &self.record.transfer;
        let mut draft = Draft::new(kind, transfer.block.time);
        draft.transfer = Some(transfer.key.id());
        draft.mark = Some(TransferMark {
            transfer: transfer.key.id(),
            generation: self.record.generation,
            settled_block: Some(transfer.block.hash),
            reference: transfer.reference.is_none().then_some(self.reference),
        });
        draft
    }

    fn unit(&self) -> Unit {
        Unit::Token(self.record.transfer.key.asset())
    }

    /// The draft that settles the transfer as decided, or why it cannot be settled so.
    pub(crate) fn decide(
        &self,
        state: &LedgerState,
        rules: &SettlementRules,
    ) -> Result<Draft, Refusal> {
        let transfer = &self.record.transfer;
        match self.decision {
            Decision::Withdraw => self.withdraw(),
            Decision::Ignore(reason) => self.ignore(*reason),
            Decision::Suspend { reason, candidates } => self.suspend(*reason, candidates.clone()),
            Decision::Attribute { order, evidence, late } => {
                let order = state.orders.get(order).ok_or(Refusal::NoSuchOrder)?;
                let fits = order.terms.asset == transfer.key.asset()
                    && order.terms.treasury == transfer.key.treasury
                    && transfer.key.direction == Direction::In
                    && !transfer.base_units.is_zero();
                let is_late = transfer.block.time > order.terms.in_time_until();
                match (fits, is_late, late) {
                    (true, true, Some(terms)) => {
                        self.attribute_late(state, order, (*evidence, *terms), rules)
                    }
                    (true, false, None) => self.attribute(state, order, *evidence, rules),
                    _ => Err(Refusal::DoesNotFit),
                }
            }
        }
    }

    fn withdraw(&self) -> Result<Draft, Refusal> {
        let transfer = &self.record.transfer;
        if transfer.key.direction != Direction::Out || transfer.base_units.is_zero() {
            return Err(Refusal::DoesNotFit);
        }
        let mut draft = self.draft(EntryKind::Withdraw);
        draft.line(BookAccount::Withdrawn, self.unit(), Side::Debit, transfer.base_units);
        draft.line(BookAccount::Treasury, self.unit(), Side::Credit, transfer.base_units);
        draft.settlement = Some(settlement(self.record, SettlementKind::Withdrawal, self.value));
        draft.told = vec![Told {
            kind: EventKind::TransferWithdrawn,
            account: None,
            snapshot: snapshot(self.record, None, None),
        }];
        Ok(draft)
    }

    fn ignore(&self, reason: IgnoreReason) -> Result<Draft, Refusal> {
        let transfer = &self.record.transfer;
        let holds = match reason {
            IgnoreReason::ZeroValue => transfer.base_units.is_zero(),
            IgnoreReason::SelfTransfer => transfer.counterparty == transfer.key.treasury,
        };
        if !holds {
            return Err(Refusal::DoesNotFit);
        }
        // Nothing is posted and nobody is told: zero-value spam must not fill the event feed.
        let mut draft = self.draft(EntryKind::Suspend);
        draft.settlement = Some(Settlement {
            ignored: Some(reason),
            ..settlement(self.record, SettlementKind::Ignored, None)
        });
        Ok(draft)
    }

    fn suspend(&self, reason: SuspenseReason, candidates: Vec<OrderId>) -> Result<Draft, Refusal> {
        let transfer = &self.record.transfer;
        if transfer.key.direction != Direction::In || transfer.base_units.is_zero() {
            return Err(Refusal::DoesNotFit);
        }
        let mut draft = self.draft(EntryKind::Suspend);
        draft.line(BookAccount::Treasury, self.unit(), Side::Debit, transfer.base_units);
        draft.line(BookAccount::Suspense, self.unit(), Side::Credit, transfer.base_units);
        draft.settlement = Some(Settlement {
            suspense: Some(reason),
            candidates,
            ..settlement(self.record, SettlementKind::Suspense, self.value)
        });
        let snapshot = EventSnapshot {
            why: Some(reason.as_str().to_owned()),
            ..snapshot(self.record, None, None)
        };
        draft.told = vec![Told { kind: EventKind::TransferSuspended, account: None, snapshot }];
        Ok(draft)
    }

    fn attribute(
        &self,
        state: &LedgerState,
        order: &Order,
        evidence: Evidence,
        rules: &SettlementRules,
    ) -> Result<Draft, Refusal> {
        let transfer = &self.record.transfer;
        let progress = order.progress;
        let was_paid = is_paid(&order.terms, progress.received_base_units);
        if was_paid && evidence == Evidence::ExactAmount {
            return self.suspend(SuspenseReason::OrderAlreadyPaid, vec![order.terms.id]);
        }
        // It was open when this was planned: another of the account's orders may be open still.
        if was_paid && matches!(evidence, Evidence::ProvenPayer | Evidence::Claim) {
            return Err(Refusal::DoesNotFit);
        }
        let before = split(&order.terms, progress.received_base_units, progress.closed, rules)
            .map_err(|_| Refusal::OutOfRange)?;
        let received = progress.received_base_units.checked_add(transfer.base_units);
        let after = received
            .and_then(|received| split(&order.terms, received, progress.closed, rules).ok());
        let (Some(received), Some(after)) = (received, after) else {
            return self.suspend(SuspenseReason::TooManyCredits, vec![order.terms.id]);
        };
        let change = OrderChange { order, before, after, received };
        let progress = change.progress().ok_or(Refusal::OutOfRange)?;
        let delta = after.credits.checked_sub(before.credits).ok_or(Refusal::OutOfRange)?;
        let mut draft = self.draft(EntryKind::Settle);
        draft.order = Some(order.terms.id);
        draft.line(BookAccount::Treasury, self.unit(), Side::Debit, transfer.base_units);
        change.post_tokens(&mut draft);
        grant_credits(&mut draft, state, order, delta, paid_for(order, delta))?;
        draft.progress = Some((order.terms.id, progress));
        draft.settlement = Some(Settlement {
            order: Some(order.terms.id),
            evidence: Some(evidence),
            credits: delta,
            ..settlement(self.record, SettlementKind::Order, self.value)
        });
        let kind = match (was_paid, is_paid(&order.terms, received)) {
            (false, true) => EventKind::OrderPaid,
            (true, _) => EventKind::OrderOverpaid,
            (false, false) => EventKind::OrderPartiallyPaid,
        };
        draft.told = vec![self.told_of_order(kind, order, &progress, delta, evidence)];
        Ok(draft)
    }

    fn told_of_order(
        &self,
        kind: EventKind,
        order: &Order,
        progress: &OrderProgress,
        delta: Credits,
        evidence: Evidence,
    ) -> Told {
        let snapshot = EventSnapshot {
            why: Some(evidence.as_str().to_owned()),
            ..snapshot(self.record, Some((order, progress)), Some(delta))
        };
        Told { kind, account: Some(order.terms.account.clone()), snapshot }
    }

    fn attribute_late(
        &self,
        state: &LedgerState,
        order: &Order,
        (evidence, late): (Evidence, LateTerms),
        rules: &SettlementRules,
    ) -> Result<Draft, Refusal> {
        let transfer = &self.record.transfer;
        let credited = order.progress.credited.checked_add(late.credits);
        match (rules.late, credited) {
            (LatePolicy::Hold, _) => self.suspend(SuspenseReason::Late, vec![order.terms.id]),
            (LatePolicy::Credit, None) => {
                self.suspend(SuspenseReason::TooManyCredits, vec![order.terms.id])
            }
            (LatePolicy::Credit, Some(credited)) => {
                let mut draft = self.draft(EntryKind::SettleLate);
                draft.order = Some(order.terms.id);
                draft.line(BookAccount::Treasury, self.unit(), Side::Debit, transfer.base_units);
                draft.line(
                    late_account(late.credits),
                    self.unit(),
                    Side::Credit,
                    transfer.base_units,
                );
                grant_credits(&mut draft, state, order, late.credits, self.value)?;
                let progress = OrderProgress { credited, ..order.progress };
                draft.progress = Some((order.terms.id, progress));
                draft.settlement = Some(Settlement {
                    order: Some(order.terms.id),
                    evidence: Some(evidence),
                    credits: late.credits,
                    ..settlement(self.record, SettlementKind::Late, self.value)
                });
                draft.told = vec![self.told_of_order(
                    EventKind::OrderPaidLate,
                    order,
                    &progress,
                    late.credits,
                    evidence,
                )];
                Ok(draft)
            }
        }
    }
}

/// Where the tokens of a late transfer are booked: what bought nothing is rounding.
const fn late_account(credits: Credits) -> BookAccount {
    if credits.is_zero() { BookAccount::Rounding } else { BookAccount::Clearing }
}

/// The draft that takes back a settlement whose transfer left the chain or changed.
pub(crate) fn reverse(
    batch: &Batch<'_>,
    record: &TransferRecord,
    settled: &Settlement,
    rules: &SettlementRules,
) -> Result<Draft, Refusal> {
    let transfer = &record.transfer;
    let unit = Unit::Token(transfer.key.asset());
    let mut draft = Draft::new(EntryKind::Reverse, transfer.block.time);
    draft.transfer = Some(settled.transfer);
    draft.order = settled.order;
    draft.reverses = settled.entry_seq;
    draft.reversal = Some(Reversal {
        transfer: settled.transfer,
        generation: settled.generation,
        entry_seq: None,
        reversed_at: settled.settled_at,
    });
    draft.mark = Some(TransferMark {
        transfer: settled.transfer,
        generation: settled.generation.checked_add(1).ok_or(Refusal::OutOfRange)?,
        settled_block: None,
        reference: None,
    });
    match settled.kind {
        SettlementKind::Ignored => return Ok(draft),
        SettlementKind::Suspense => {
            draft.line(BookAccount::Suspense, unit, Side::Debit, settled.base_units);
            draft.line(BookAccount::Treasury, unit, Side::Credit, settled.base_units);
        }
        SettlementKind::Withdrawal => {
            draft.line(BookAccount::Treasury, unit, Side::Debit, settled.base_units);
            draft.line(BookAccount::Withdrawn, unit, Side::Credit, settled.base_units);
        }
        SettlementKind::Late | SettlementKind::Order => {
            let order = settled
                .order
                .and_then(|id| batch.state.orders.get(&id))
                .ok_or(Refusal::NoSuchOrder)?;
            reverse_order(&mut draft, batch, order, (record, settled), rules)?;
            return Ok(draft);
        }
    }
    let snapshot = EventSnapshot {
        base_units: Some(settled.base_units.to_string()),
        ..snapshot(record, None, None)
    };
    draft.told = vec![Told { kind: EventKind::TransferReversed, account: None, snapshot }];
    Ok(draft)
}

fn reverse_order(
    draft: &mut Draft,
    batch: &Batch<'_>,
    order: &Order,
    (record, settled): (&TransferRecord, &Settlement),
    rules: &SettlementRules,
) -> Result<(), Refusal> {
    let unit = Unit::Token(order.terms.asset);
    let (progress, taken) = if settled.kind == SettlementKind::Late {
        draft.line(late_account(settled.credits), unit, Side::Debit, settled.base_units);
        draft.line(BookAccount::Treasury, unit, Side::Credit, settled.base_units);
        let credited =
            order.progress.credited.checked_sub(settled.credits).ok_or(Refusal::OutOfRange)?;
        take_back(draft, batch, order, settled.credits, |lot| {
            lot.transfer == Some(settled.transfer)
        })?;
        (OrderProgress { credited, ..order.progress }, settled.credits)
    } else {
        let received = order
            .progress
            .received_base_units
            .checked_sub(settled.base_units)
            .ok_or(Refusal::OutOfRange)?;
        let closed = order.progress.closed;
        let out_of_range = |_| Refusal::OutOfRange;
        let before = split(&order.terms, order.progress.received_base_units, closed, rules)
            .map_err(out_of_range)?;
        let after = split(&order.terms, received, closed, rules).map_err(out_of_range)?;
        let change = OrderChange { order, before, after, received };
        change.post_tokens(draft);
        draft.line(BookAccount::Treasury, unit, Side::Credit, settled.base_units);
        let taken = before.credits.checked_sub(after.credits).ok_or(Refusal::OutOfRange)?;
        take_back(draft, batch, order, taken, |lot| lot.order == Some(order.terms.id))?;
        (change.progress().ok_or(Refusal::OutOfRange)?, taken)
    };
    draft.progress = Some((order.terms.id, progress));
    let delta = Credits::ZERO.checked_sub(taken);
    let snapshot = EventSnapshot {
        base_units: Some(settled.base_units.to_string()),
        ..snapshot(record, Some((order, &progress)), delta)
    };
    draft.told = vec![Told {
        kind: EventKind::OrderReversed,
        account: Some(order.terms.account.clone()),
        snapshot,
    }];
    Ok(())
}

/// The draft that closes an order whose time has passed.
pub(crate) fn close(
    state: &LedgerState,
    order: &Order,
    chain_time: inspay_primitives::Timestamp,
    rules: &SettlementRules,
) -> Result<Draft, Refusal> {
    let received = order.progress.received_base_units;
    let is_due = chain_time > order.terms.in_time_until();
    if order.progress.closed || !is_due || is_paid(&order.terms, received) {
        return Err(Refusal::NotDue);
    }
    let before = split(&order.terms, received, false, rules).map_err(|_| Refusal::OutOfRange)?;
    let after = split(&order.terms, received, true, rules).map_err(|_| Refusal::OutOfRange)?;
    let closed = Order {
        terms: order.terms.clone(),
        progress: OrderProgress { closed: true, ..order.progress },
    };
    let change = OrderChange { order: &closed, before, after, received };
    let progress = change.progress().ok_or(Refusal::OutOfRange)?;
    let mut draft = Draft::new(EntryKind::CloseOrder, order.terms.in_time_until());
    draft.order = Some(order.terms.id);
    change.post_tokens(&mut draft);
    grant_credits(&mut draft, state, order, after.credits, paid_for(order, after.credits))?;
    draft.progress = Some((order.terms.id, progress));
    draft.told = vec![Told {
        kind: EventKind::OrderExpired,
        account: Some(order.terms.account.clone()),
        snapshot: EventSnapshot {
            order_state: Some(progress.state.as_str().to_owned()),
            received_base_units: Some(received.to_string()),
            due_base_units: Some(order.terms.due_base_units.to_string()),
            credited: Some(progress.credited),
            credits_delta: Some(after.credits),
            asset: Some(order.terms.asset.to_string()),
            ..EventSnapshot::default()
        },
    }];
    Ok(draft)
}
