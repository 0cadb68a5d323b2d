//! Facts of long seeded histories: whatever happens, a store reads as the fake does.

use std::{collections::BTreeSet, sync::Arc};

use inspay_ledger::EntryKind;

use super::picture;
use crate::{Store, contract::script::Script, fake::FakeStore};

/// Lives the seed's life in the store and in a fake, and sees to it that much happened in it.
async fn live(store: &Arc<dyn Store>, seed: u64) {
    Script::new(seed, Arc::new(FakeStore::new()), Arc::clone(store)).run(300).await;
    let end = picture(store).await;
    let kinds: BTreeSet<EntryKind> = end.entries.iter().map(|entry| entry.kind).collect();
    let expected = [
        EntryKind::Settle,
        EntryKind::Suspend,
        EntryKind::Withdraw,
        EntryKind::Reverse,
        EntryKind::CloseOrder,
        EntryKind::Expire,
    ];
    assert_eq!(kinds, BTreeSet::from(expected));
    assert!(end.transfers.iter().any(|view| view.generation > 0 && view.settlement.is_some()));
    assert!(end.orders.iter().any(|order| !order.progress.slot_held));
}

/// A life of a few hundred steps under one seed.
pub async fn a_history_reads_as_in_the_fake(store: &Arc<dyn Store>) {
    live(store, 5).await;
}

/// Another life under another seed.
pub async fn another_history_reads_as_in_the_fake(store: &Arc<dyn Store>) {
    live(store, 20_260_802).await;
}
