//! Writes operations into a store's books as the ledger writer does, and shows what passed.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use inspay_ledger::{
    Act, BatchRows, Decision, Evidence, IgnoreReason, LedgerState, Operation, Outcome,
    SettlementRules, SuspenseReason, Touches, apply, touches,
};
use inspay_primitives::{Direction, Fence, OrderTerms, Timestamp, Transfer};

use crate::{Store, StoreError};

/// One call of `transact`: what was loaded, what was decided, what was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// What the store was asked to load.
    pub touched: Touches,
    /// What the store loaded.
    pub loaded: LedgerState,
    /// What became of each operation.
    pub outcomes: Vec<Outcome>,
    /// The rows that were handed back.
    pub rows: BatchRows,
    /// How often the store asked for a decision.
    pub decisions: usize,
}

/// Writes operations in one commit; the rules are the defaults.
pub async fn write(store: &Arc<dyn Store>, operations: Vec<Operation>, now: Timestamp) -> Written {
    write_changed(store, operations, now, |_| {}).await.expect("the books can be written")
}

/// Writes operations that were decided under a holding of a chain's lease.
pub async fn write_fenced(
    store: &Arc<dyn Store>,
    fence: Fence,
    operations: Vec<Operation>,
    now: Timestamp,
) -> Result<Written, StoreError> {
    write_with(store, BTreeSet::from([fence]), operations, now, |_| {}).await
}

/// Writes operations after `change` had its way with the rows.
pub async fn write_changed(
    store: &Arc<dyn Store>,
    operations: Vec<Operation>,
    now: Timestamp,
    change: impl Fn(&mut BatchRows) + Send + Sync + 'static,
) -> Result<Written, StoreError> {
    write_with(store, BTreeSet::new(), operations, now, change).await
}

async fn write_with(
    store: &Arc<dyn Store>,
    fences: BTreeSet<Fence>,
    operations: Vec<Operation>,
    now: Timestamp,
    change: impl Fn(&mut BatchRows) + Send + Sync + 'static,
) -> Result<Written, StoreError> {
    let seen: Arc<Mutex<Option<Written>>> = Arc::default();
    let touched = Touches { fences, ..touches(&operations, now) };
    let named = touched.clone();
    let told = Arc::clone(&seen);
    let decide = move |state: &mut LedgerState| {
        let loaded = state.clone();
        let (outcomes, mut rows) = apply(state, &operations, &SettlementRules::default(), now);
        change(&mut rows);
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        let decisions = told.as_ref().map_or(0, |written| written.decisions) + 1;
        *told = Some(Written {
            touched: named.clone(),
            loaded,
            outcomes,
            rows: rows.clone(),
            decisions,
        });
        rows
    };
    store.transact(touched, Arc::new(decide)).await?;
    let written = seen.lock().unwrap_or_else(PoisonError::into_inner).take();
    Ok(written.expect("the store asked for a decision"))
}

/// Writes operations and expects every one to be done for the first time.
pub async fn write_fresh(
    store: &Arc<dyn Store>,
    operations: Vec<Operation>,
    now: Timestamp,
) -> Written {
    let written = write(store, operations, now).await;
    for outcome in &written.outcomes {
        assert!(matches!(outcome, Outcome::Applied { .. }), "{outcome:?}");
    }
    written
}

/// Settles a transfer for an order that it names by its reference.
#[must_use]
pub fn settle_for(transfer: &Transfer, generation: u32, order: &OrderTerms) -> Operation {
    let decision =
        Decision::Attribute { order: order.id, evidence: Evidence::Reference, late: None };
    settle_as(transfer, generation, decision)
}

/// Settles a transfer that belongs to nothing: into suspense, as a withdrawal, or ignored when nothing moved.
#[must_use]
pub fn settle_alone(transfer: &Transfer, generation: u32) -> Operation {
    let decision = match transfer.key.direction {
        Direction::In | Direction::Out if transfer.base_units.is_zero() => {
            Decision::Ignore(IgnoreReason::ZeroValue)
        }
        Direction::In => {
            Decision::Suspend { reason: SuspenseReason::NoEvidence, candidates: Vec::new() }
        }
        Direction::Out => Decision::Withdraw,
    };
    settle_as(transfer, generation, decision)
}

/// Settles a transfer as decided.
#[must_use]
pub fn settle_as(transfer: &Transfer, generation: u32, decision: Decision) -> Operation {
    Operation::from(Act::Settle {
        transfer: transfer.key.id(),
        generation,
        judged_in: Some(transfer.block.hash),
        reference: None,
        decision,
        value: None,
    })
}

/// Takes a settled transfer back.
#[must_use]
pub fn reverse(transfer: &Transfer, generation: u32) -> Operation {
    Operation::from(Act::Reverse { transfer: transfer.key.id(), generation })
}

/// Closes an order whose time has passed.
#[must_use]
pub fn close(order: &OrderTerms, chain_time: Timestamp) -> Operation {
    Operation::from(Act::CloseOrder { order: order.id, chain_time, judged_in: None })
}

/// Closes an order whose time has passed, as judged in an epoch of its chain's cursor.
#[must_use]
pub fn close_in(order: &OrderTerms, chain_time: Timestamp, epoch: i64) -> Operation {
    let judged_in = Some(epoch);
    Operation::from(Act::CloseOrder { order: order.id, chain_time, judged_in })
}

/// Makes links, hashes and head fit the entries of a batch after they were changed.
pub fn seal(rows: &mut BatchRows) {
    let mut previous = rows.entries.first().map(|entry| entry.previous_hash);
    for entry in &mut rows.entries {
        entry.previous_hash = previous.unwrap_or(entry.previous_hash);
        entry.hash = entry.compute_hash();
        previous = Some(entry.hash);
    }
    if let (Some(head), Some(last)) = (&mut rows.head, rows.entries.last()) {
        head.entry_seq = last.seq;
        head.entry_hash = last.hash;
    }
}
