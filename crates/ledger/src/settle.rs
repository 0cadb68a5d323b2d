//! The decisions on transfers: settle and reverse. Pure.
//!
//! Each builds a draft from the state as it is and changes nothing.

use inspay_primitives::{
    Credits, Direction, LotId, Order, OrderId, OrderProgress, Reference, Rounding, U256, Usd,
    mul_div,
};

use crate::{
    BookAccount, Decision, EntryKind, EventKind, EventSnapshot, Evidence, IgnoreReason, LatePolicy,
    LateTerms, LedgerState, LotSource, Refusal, Reversal, Settlement, SettlementKind,
    SettlementRules, Side, Split, SuspenseReason, TransferMark, TransferRecord, Unit,
    order_rules::{is_paid, split, state_of},
    post::{Draft, Grant, Told},
};

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

fn grant_credits(draft: &mut Draft, order: &Order, credits: Credits, paid: Option<Usd>) {
    if credits <= Credits::ZERO {
        return;
    }
    let account = BookAccount::Account(order.terms.account.clone());
    let quantity = credits.to_u256_micros();
    draft.line(
        BookAccount::CreditsIssued(LotSource::Purchase),
        Unit::Credits,
        Side::Debit,
        quantity,
    );
    draft.line(account, Unit::Credits, Side::Credit, quantity);
    draft.grant = Some(Grant {
        account: order.terms.account.clone(),
        credits,
        valid_days: order.terms.credits_valid_days,
        paid,
    });
}

/// Takes credits back from lots, newest first; what the lots no longer have leaves the account below zero.
fn take_back(
    draft: &mut Draft,
    state: &LedgerState,
    order: &Order,
    credits: Credits,
    from: impl Fn(&crate::Lot) -> bool,
) {
    if credits <= Credits::ZERO {
        return;
    }
    let account = BookAccount::Account(order.terms.account.clone());
    let quantity = credits.to_u256_micros();
    draft.line(account, Unit::Credits, Side::Debit, quantity);
    draft.line(BookAccount::CreditsReversed, Unit::Credits, Side::Credit, quantity);
    let mut missing = credits;
    let mut takes: Vec<(LotId, Credits)> = Vec::new();
    for lot in state.lots.values().rev().filter(|lot| from(lot) && lot.left > Credits::ZERO) {
        let taken = lot.left.min(missing);
        let (Some(left), Some(rest)) = (lot.left.checked_sub(taken), missing.checked_sub(taken))
        else {
            break;
        };
        takes.push((lot.id, left));
        missing = rest;
        if missing.is_zero() {
            break;
        }
    }
    draft.takes = takes;
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
        balance: None,
        asset: Some(transfer.key.asset().to_string()),
        base_units: Some(transfer.base_units.to_string()),
        tx_hash: Some(transfer.key.tx_hash.to_string()),
        block_number: Some(transfer.block.number),
        why: None,
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
                        self.attribute_late(order, *evidence, *terms, rules)
                    }
                    (true, false, None) => self.attribute(order, *evidence, rules),
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
        draft.told = Some(Told {
            kind: EventKind::TransferWithdrawn,
            account: None,
            snapshot: snapshot(self.record, None, None),
        });
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
        draft.told = Some(Told { kind: EventKind::TransferSuspended, account: None, snapshot });
        Ok(draft)
    }

    fn attribute(
        &self,
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
        grant_credits(&mut draft, order, delta, paid_for(order, delta));
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
        draft.told = Some(self.told_of_order(kind, order, &progress, delta, evidence));
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
        order: &Order,
        evidence: Evidence,
        late: LateTerms,
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
                grant_credits(&mut draft, order, late.credits, self.value);
                let progress = OrderProgress { credited, ..order.progress };
                draft.progress = Some((order.terms.id, progress));
                draft.settlement = Some(Settlement {
                    order: Some(order.terms.id),
                    evidence: Some(evidence),
                    credits: late.credits,
                    ..settlement(self.record, SettlementKind::Late, self.value)
                });
                draft.told = Some(self.told_of_order(
                    EventKind::OrderPaidLate,
                    order,
                    &progress,
                    late.credits,
                    evidence,
                ));
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
    state: &LedgerState,
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
            let order =
                settled.order.and_then(|id| state.orders.get(&id)).ok_or(Refusal::NoSuchOrder)?;
            reverse_order(&mut draft, state, order, (record, settled), rules)?;
            return Ok(draft);
        }
    }
    let snapshot = EventSnapshot {
        base_units: Some(settled.base_units.to_string()),
        ..snapshot(record, None, None)
    };
    draft.told = Some(Told { kind: EventKind::TransferReversed, account: None, snapshot });
    Ok(draft)
}

fn reverse_order(
    draft: &mut Draft,
    state: &LedgerState,
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
        take_back(draft, state, order, settled.credits, |lot| {
            lot.transfer == Some(settled.transfer)
        });
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
        take_back(draft, state, order, taken, |lot| lot.order == Some(order.terms.id));
        (change.progress().ok_or(Refusal::OutOfRange)?, taken)
    };
    draft.progress = Some((order.terms.id, progress));
    let delta = Credits::ZERO.checked_sub(taken);
    let snapshot = EventSnapshot {
        base_units: Some(settled.base_units.to_string()),
        ..snapshot(record, Some((order, &progress)), delta)
    };
    draft.told = Some(Told {
        kind: EventKind::OrderReversed,
        account: Some(order.terms.account.clone()),
        snapshot,
    });
    Ok(())
}

/// The draft that closes an order whose time has passed.
pub(crate) fn close(
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
    grant_credits(&mut draft, order, after.credits, paid_for(order, after.credits));
    draft.progress = Some((order.terms.id, progress));
    draft.told = Some(Told {
        kind: EventKind::OrderExpired,
        account: Some(order.terms.account.clone()),
        snapshot: EventSnapshot {
            order_state: Some(progress.state.as_str().to_owned()),
            received_base_units: Some(received.to_string()),
            due_base_units: Some(order.terms.due_base_units.to_string()),
            credited: Some(progress.credited),
            credits_delta: Some(after.credits),
            balance: None,
            asset: Some(order.terms.asset.to_string()),
            base_units: None,
            tx_hash: None,
            block_number: None,
            why: None,
        },
    });
    Ok(draft)
}
