//! The one function that changes the books. Pure.
//!
//! Operations are decided one after another on the state as the ones before left it. The same operation
//! again is answered from what was stored; a refused one changes nothing.

use inspay_primitives::{AccountId, HoldId, Timestamp};

use crate::{
    Act, BatchRows, BookAccount, LedgerState, LimitBasis, Operation, Outcome, Refusal,
    SettlementKind, SettlementRules, Touches,
    draft::Draft,
    grant, issued_from, limits,
    post::Batch,
    settle::{SettleRequest, close, reverse},
    spend::{self, Wanted},
};

/// What a store must load before [`apply`] can decide these operations at about `now`.
#[must_use]
pub fn touches(operations: &[Operation], now: Timestamp) -> Touches {
    let mut touches = Touches { due_by: now, ..Touches::default() };
    for operation in operations {
        touches.keys.insert(operation.key.clone());
        match &operation.act {
            Act::Settle { transfer, decision, .. } => {
                touches.transfers.insert(*transfer);
                if let crate::Decision::Attribute { order, .. } = decision {
                    touches.orders.insert(*order);
                }
            }
            Act::Reverse { transfer, .. } | Act::Reopen { transfer, .. } => {
                touches.transfers.insert(*transfer);
                touches.reverses = true;
            }
            Act::CloseOrder { order, .. } => {
                touches.orders.insert(*order);
                touches.closes.insert(*order);
            }
            Act::ExpireLot { lot } | Act::WarnLot { lot } | Act::Revoke { lot } => {
                touches.lots.insert(*lot);
            }
            Act::Grant(terms) => {
                touches.granted.insert(terms.account.clone());
                touches.shared.insert(issued_from(terms.source, terms.campaign.as_ref()));
            }
            Act::Hold { account, purpose, .. } | Act::Spend { account, purpose, .. } => {
                if let Act::Hold { hold, .. } = &operation.act {
                    touches.holds.insert(*hold);
                }
                touches.spenders.insert(account.clone());
                touches.shared.insert(BookAccount::CreditsSpent(purpose.feature.clone()));
            }
            Act::Capture { hold, .. } | Act::Release { hold } | Act::LapseHold { hold } => {
                touches.holds.insert(*hold);
            }
            Act::Refund { usage, .. } => {
                touches.usages.insert(*usage);
            }
            Act::SetLimit { limit, window_start } => {
                touches.spenders.insert(limit.account.clone());
                touches.bases.insert(LimitBasis {
                    limit: limit.id,
                    account: limit.account.clone(),
                    scope: limit.scope.clone(),
                    from: *window_start,
                });
            }
            Act::RemoveLimit { account, .. } => {
                touches.spenders.insert(account.clone());
            }
            Act::SetProfile { account, .. } => {
                touches.spenders.insert(account.clone());
                touches.granted.insert(account.clone());
            }
        }
    }
    touches
}

/// Decides a batch: one outcome for each operation, in order, and everything that is to be written.
///
/// `state` must hold what [`touches`] names; afterwards it is the state as written. Booked times never
/// run backwards: where `now` lies before the newest entry, that entry's time is used.
#[must_use]
pub fn apply(
    state: &mut LedgerState,
    operations: &[Operation],
    rules: &SettlementRules,
    now: Timestamp,
) -> (Vec<Outcome>, BatchRows) {
    let mut batch = Batch::new(state, now);
    let outcomes = operations
        .iter()
        .map(|operation| one(&mut batch, operation, rules).unwrap_or_else(Outcome::Refused))
        .collect();
    (outcomes, batch.into_rows())
}

fn one(
    batch: &mut Batch<'_>,
    operation: &Operation,
    rules: &SettlementRules,
) -> Result<Outcome, Refusal> {
    if let Some(stored) = batch.state.operations.get(&operation.key) {
        return if stored.fingerprint != operation.fingerprint() {
            Err(Refusal::Conflict)
        } else if let Some(refusal) = stored.refusal {
            Err(refusal)
        } else {
            Ok(Outcome::AlreadyApplied { entry_seq: stored.entry_seq })
        };
    }
    if let Some(account) = operation.act.spender() {
        lapse_due(batch, account)?;
    }
    let decided = match draft(batch, operation, rules) {
        Ok(draft) => batch.post(operation, &draft),
        Err(refusal) => Err(refusal),
    };
    if let Err(refusal) = decided
        && operation.is_request
        && refusal.is_final()
    {
        tell_refused(batch, operation, refusal);
        batch.refuse(operation, refusal);
    }
    decided
}

/// Gives back what holds of the account have that ran out, so that whether the sweeper ran makes no difference.
fn lapse_due(batch: &mut Batch<'_>, account: &AccountId) -> Result<(), Refusal> {
    while let Some(hold) = first_due(batch, account) {
        let operation = Operation::from(Act::LapseHold { hold });
        let draft = spend::lapse(batch, hold)?;
        batch.post(&operation, &draft)?;
    }
    Ok(())
}

fn first_due(batch: &Batch<'_>, account: &AccountId) -> Option<HoldId> {
    let lowest = (account.clone(), Timestamp::from_micros(0), HoldId::from_uuid(uuid::Uuid::nil()));
    let (owner, expires_at, hold) = batch.due_holds.range(lowest..).next()?;
    (owner == account && *expires_at <= batch.now).then_some(*hold)
}

fn tell_refused(batch: &mut Batch<'_>, operation: &Operation, refusal: Refusal) {
    let Refusal::LimitReached { limit, .. } = refusal else { return };
    if let Some(wanted) = wanted(&operation.act)
        && let Some(draft) = limits::refused(batch, &wanted, limit)
    {
        batch.tell_of(&draft);
    }
}

fn wanted(act: &Act) -> Option<Wanted<'_>> {
    if let Act::Hold { account, purpose, credits, .. } | Act::Spend { account, purpose, credits } =
        act
    {
        Some(Wanted { account, purpose, credits: *credits })
    } else {
        None
    }
}

fn draft(
    batch: &Batch<'_>,
    operation: &Operation,
    rules: &SettlementRules,
) -> Result<Draft, Refusal> {
    let state = &*batch.state;
    let lot_of = |lot| state.lots.get(lot).ok_or(Refusal::NoSuchLot);
    match &operation.act {
        Act::Settle { transfer, generation, judged_in, reference, decision, value } => {
            let record = state.transfers.get(transfer).ok_or(Refusal::NoSuchTransfer)?;
            if !record.canonical {
                return Err(Refusal::NotCanonical);
            }
            if judged_in.is_some_and(|block| block != record.transfer.block.hash) {
                return Err(Refusal::Moved);
            }
            if record.generation != *generation || record.settlement.is_some() {
                return Err(Refusal::StaleGeneration);
            }
            if state.halted.contains(&record.transfer.key.asset()) {
                return Err(Refusal::AssetHalted);
            }
            let request = SettleRequest { record, reference: *reference, decision, value: *value };
            request.decide(state, rules)
        }
        Act::Reverse { transfer, generation } => {
            let record = state.transfers.get(transfer).ok_or(Refusal::NoSuchTransfer)?;
            let settled = record.settlement.as_ref().ok_or(Refusal::StaleGeneration)?;
            if record.generation != *generation {
                return Err(Refusal::StaleGeneration);
            }
            if !record.must_reverse() {
                return Err(Refusal::StillCanonical);
            }
            reverse(batch, record, settled, rules)
        }
        Act::Reopen { transfer, generation } => {
            let record = state.transfers.get(transfer).ok_or(Refusal::NoSuchTransfer)?;
            let settled = record.settlement.as_ref().ok_or(Refusal::StaleGeneration)?;
            if record.generation != *generation {
                return Err(Refusal::StaleGeneration);
            }
            if record.must_reverse() || settled.kind != SettlementKind::Suspense {
                return Err(Refusal::NotInSuspense);
            }
            // It could not be settled again before the halt is over.
            if state.halted.contains(&record.transfer.key.asset()) {
                return Err(Refusal::AssetHalted);
            }
            reverse(batch, record, settled, rules)
        }
        Act::CloseOrder { order, chain_time, judged_in } => {
            let order = state.orders.get(order).ok_or(Refusal::NoSuchOrder)?;
            // A payment that came in time may be among what waits.
            if state.halted.contains(&order.terms.asset) {
                return Err(Refusal::AssetHalted);
            }
            let draft = close(state, order, *chain_time, rules)?;
            let progress = state.chains.get(&order.terms.asset.chain_id).copied();
            progress.unwrap_or_default().allows_closing(&order.terms, *judged_in)?;
            Ok(draft)
        }
        Act::ExpireLot { lot } => grant::expire(lot_of(lot)?, batch.now),
        Act::WarnLot { lot } => grant::warn(batch, lot_of(lot)?),
        Act::Grant(terms) => grant::grant(batch, terms),
        Act::Revoke { lot } => grant::revoke(batch, lot_of(lot)?),
        Act::Hold { hold, account, purpose, credits, valid_seconds } => {
            let wanted = Wanted { account, purpose, credits: *credits };
            spend::hold(batch, *hold, &wanted, *valid_seconds)
        }
        Act::Capture { hold, credits } => spend::capture(batch, *hold, *credits),
        Act::Release { hold } => spend::release(batch, *hold),
        Act::LapseHold { hold } => spend::lapse(batch, *hold),
        Act::Spend { account, purpose, credits } => {
            spend::spend(batch, &Wanted { account, purpose, credits: *credits })
        }
        Act::Refund { usage, credits } => spend::refund(batch, *usage, *credits),
        Act::SetLimit { limit, window_start } => limits::set(batch, limit, *window_start),
        Act::RemoveLimit { account, limit } => limits::remove(batch, account, *limit),
        Act::SetProfile { account, zone, balance_alerts } => {
            limits::set_profile(batch, account, zone, balance_alerts)
        }
    }
}
