//! Transfers that are on the chain and not settled yet, as orders show them.
//!
//! One read of the store serves every reader until something changes. What is shown here decides
//! nothing: attribution is settlement's work, this only says which order a transfer looks like.

use std::{collections::HashMap, sync::Arc, time::Instant};

use inspay_ledger::{Evidence, TransferRecord};
use inspay_ports::{AssetHalt, CursorRecord, Store, StoreError};
use inspay_primitives::{ChainId, Direction, Order};
use tokio::sync::{Mutex, watch};

use crate::state::ApiParts;

/// As many of the oldest are looked at: a longer queue is being settled, and its newest transfers
/// appear once its oldest are done.
const PENDING_MAX: u32 = 1_000;

/// One chain as it stands in the store.
#[derive(Clone, Debug, Default)]
pub(crate) struct PendingView {
    /// Where its follower stands.
    pub(crate) cursor: Option<CursorRecord>,
    /// Assets of which nothing is credited.
    pub(crate) halts: Vec<AssetHalt>,
    /// Canonical transfers that wait, oldest block first; those that wait for their asset last.
    pub(crate) waiting: Vec<TransferRecord>,
}

#[derive(Debug)]
struct Cached {
    read_at: Instant,
    change: u64,
    view: Arc<PendingView>,
}

/// Reads waiting transfers at most once per change and chain.
#[derive(Debug)]
pub(crate) struct PendingBoard {
    store: Arc<dyn Store>,
    changed: watch::Receiver<u64>,
    age_max: std::time::Duration,
    cached: Mutex<HashMap<ChainId, Cached>>,
}

impl PendingBoard {
    pub(crate) fn new(parts: &ApiParts) -> Self {
        Self {
            store: Arc::clone(&parts.store),
            changed: parts.changed.clone(),
            // Two readers of one change share a read; what another process wrote is seen this late.
            age_max: parts.timing.wake_interval_min,
            cached: Mutex::default(),
        }
    }

    /// The chain's cursor and its waiting transfers.
    pub(crate) async fn view(&self, chain: ChainId) -> Result<Arc<PendingView>, StoreError> {
        let mut cached = self.cached.lock().await;
        let change = *self.changed.borrow();
        if let Some(known) = cached.get(&chain)
            && known.change == change
            && known.read_at.elapsed() < self.age_max
        {
            return Ok(Arc::clone(&known.view));
        }
        let cursor = self.store.cursor(chain).await?;
        let halts = self.store.halts(chain).await?;
        let mut waiting = match cursor {
            Some(cursor) => {
                self.store.transfers_to_settle(chain, None, cursor.tip.number, PENDING_MAX).await?
            }
            None => Vec::new(),
        };
        if !halts.is_empty() {
            waiting.extend(self.store.halted_transfers(chain, PENDING_MAX).await?);
        }
        let view = Arc::new(PendingView { cursor, halts, waiting });
        let known = Cached { read_at: Instant::now(), change, view: Arc::clone(&view) };
        cached.insert(chain, known);
        Ok(view)
    }
}

impl PendingView {
    /// The waiting transfers that look like payments for `order`, each with why.
    pub(crate) fn for_order<'a>(
        &'a self,
        order: &'a Order,
    ) -> impl Iterator<Item = (&'a TransferRecord, Evidence)> {
        self.waiting.iter().filter_map(move |record| likely(record, order).map(|why| (record, why)))
    }
}

/// The evidence that settlement would find, as far as it can be told from the transfer alone.
fn likely(record: &TransferRecord, order: &Order) -> Option<Evidence> {
    let (transfer, terms) = (&record.transfer, &order.terms);
    let key = &transfer.key;
    let is_payment = key.direction == Direction::In
        && key.asset() == terms.asset
        && key.treasury == terms.treasury;
    if !is_payment {
        return None;
    }
    match transfer.reference {
        Some(Some(reference)) if reference == terms.reference => Some(Evidence::Reference),
        Some(Some(_)) => None,
        Some(None) | None => (order.progress.slot_held
            && transfer.base_units == terms.due_base_units)
            .then_some(Evidence::ExactAmount),
    }
}
