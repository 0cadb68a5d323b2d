//! The one function that changes the books. Pure.
//!
//! Operations are decided one after another on the state as the ones before left it. The same operation
//! again is answered from what was stored; a refused one changes nothing.

use inspay_primitives::{Credits, Timestamp};

use crate::{
    Act, BatchRows, BookAccount, EntryKind, EventKind, EventSnapshot, LedgerState, Operation,
    Outcome, Refusal, SettlementRules, Side, Touches, Unit,
    post::{Batch, Draft, Told},
    settle::{SettleRequest, close, reverse},
};

/// What a store must load before [`apply`] can decide these operations.
#[must_use]
pub fn touches(operations: &[Operation]) -> Touches {
    let mut touches = Touches::default();
    for operation in operations {
        touches.keys.insert(operation.key.clone());
        match &operation.act {
            Act::Settle { transfer, decision, .. } => {
                touches.transfers.insert(*transfer);
                if let crate::Decision::Attribute { order, .. } = decision {
                    touches.orders.insert(*order);
                }
            }
            Act::Reverse { transfer, .. } => {
                touches.transfers.insert(*transfer);
            }
            Act::CloseOrder { order, .. } => {
                touches.orders.insert(*order);
            }
            Act::ExpireLot { lot } => {
                touches.lots.insert(*lot);
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
        return if stored.fingerprint == operation.fingerprint() {
            Ok(Outcome::AlreadyApplied { entry_seq: stored.entry_seq })
        } else {
            Err(Refusal::Conflict)
        };
    }
    let draft = draft(batch, operation, rules)?;
    batch.post(operation, &draft)
}

fn draft(
    batch: &Batch<'_>,
    operation: &Operation,
    rules: &SettlementRules,
) -> Result<Draft, Refusal> {
    let state = &*batch.state;
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
            reverse(state, record, settled, rules)
        }
        Act::CloseOrder { order, chain_time } => {
            let order = state.orders.get(order).ok_or(Refusal::NoSuchOrder)?;
            // A payment that came in time may be among what waits.
            if state.halted.contains(&order.terms.asset) {
                return Err(Refusal::AssetHalted);
            }
            close(order, *chain_time, rules)
        }
        Act::ExpireLot { lot } => {
            let lot = state.lots.get(lot).ok_or(Refusal::NoSuchLot)?;
            expire(lot, batch.now)
        }
    }
}

fn expire(lot: &crate::Lot, now: Timestamp) -> Result<Draft, Refusal> {
    if lot.left <= Credits::ZERO || now < lot.expires_at {
        return Err(Refusal::NothingToExpire);
    }
    let mut draft = Draft::new(EntryKind::Expire, lot.expires_at);
    draft.order = lot.order;
    let quantity = lot.left.to_u256_micros();
    draft.line(BookAccount::Account(lot.account.clone()), Unit::Credits, Side::Debit, quantity);
    draft.line(BookAccount::CreditsExpired, Unit::Credits, Side::Credit, quantity);
    draft.takes = vec![(lot.id, Credits::ZERO)];
    draft.told = Some(Told {
        kind: EventKind::CreditsExpired,
        account: Some(lot.account.clone()),
        snapshot: EventSnapshot {
            order_state: None,
            received_base_units: None,
            due_base_units: None,
            credited: None,
            credits_delta: Credits::ZERO.checked_sub(lot.left),
            balance: None,
            asset: None,
            base_units: None,
            tx_hash: None,
            block_number: None,
            why: None,
        },
    });
    Ok(draft)
}
