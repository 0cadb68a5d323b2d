//! Facts of the laws themselves: a batch that would break one is refused, or the law's check finds it.

use std::sync::Arc;

use inspay_ledger::{BatchRows, OperationKey, Settlement};
use inspay_primitives::{B256, U256};

use super::{
    books::{now, paying, recorded},
    picture,
};
use crate::{
    Store,
    contract::{
        samples::ordered,
        teller::{seal, settle_for, write_changed, write_fresh},
    },
};

/// Two payments, the second settled by rows that `change` spoiled.
async fn caught(store: &Arc<dyn Store>, change: impl Fn(&mut BatchRows) + Send + Sync + 'static) {
    let (first, second) = (ordered(store, 1).await, ordered(store, 2).await);
    let (payment, spoiled) = (paying(&first, 1, 0), paying(&second, 2, 1));
    recorded(store, &[payment, spoiled]).await;
    write_fresh(store, vec![settle_for(&payment, 0, &first)], now()).await;
    let before = picture(store).await;
    assert_eq!(store.broken_laws().await.expect("checks"), vec![]);
    match write_changed(store, vec![settle_for(&spoiled, 0, &second)], now(), change).await {
        Err(error) => {
            assert!(!error.is_transient(), "{error:?}");
            assert_eq!(picture(store).await, before);
        }
        Ok(_) => {
            let broken = store.broken_laws().await.expect("checks");
            assert!(!broken.is_empty(), "nobody saw that a law is broken");
            for violation in broken {
                assert!(!violation.law.is_empty() && !violation.row.is_empty(), "{violation:?}");
            }
        }
    }
}

/// Law 4: postings sum to zero per asset.
pub async fn an_unbalanced_entry_is_caught(store: &Arc<dyn Store>) {
    caught(store, |rows| {
        for entry in &mut rows.entries {
            if let Some(posting) = entry.postings.first_mut() {
                posting.quantity += U256::from(1);
            }
        }
        seal(rows);
    })
    .await;
}

/// Law 4: each entry points to the one before it.
pub async fn a_broken_chain_of_entries_is_caught(store: &Arc<dyn Store>) {
    caught(store, |rows| {
        for entry in &mut rows.entries {
            entry.previous_hash = B256::repeat_byte(0xee);
        }
        seal(rows);
    })
    .await;
}

/// Law 4: entries are numbered without gaps.
pub async fn a_gap_between_entries_is_caught(store: &Arc<dyn Store>) {
    caught(store, |rows| {
        for entry in &mut rows.entries {
            entry.seq += 1;
            for lot in &mut entry.lots {
                lot.id.entry_seq += 1;
            }
        }
        for lot in &mut rows.new_lots {
            lot.id.entry_seq += 1;
        }
        for row in &mut rows.operations {
            row.entry_seq = row.entry_seq.map(|seq| seq + 1);
        }
        for settlement in &mut rows.settlements {
            settlement.entry_seq = settlement.entry_seq.map(|seq| seq + 1);
        }
        for event in &mut rows.events {
            event.entry_seq = event.entry_seq.map(|seq| seq + 1);
        }
        seal(rows);
    })
    .await;
}

/// Events are numbered without gaps, so that a reader of the feed misses none.
pub async fn a_gap_between_events_is_caught(store: &Arc<dyn Store>) {
    caught(store, |rows| {
        for event in &mut rows.events {
            event.seq += 1;
        }
        if let Some(head) = &mut rows.head {
            head.event_seq += 1;
        }
    })
    .await;
}

/// The head is the end of the journal and of the feed.
pub async fn a_head_that_is_not_the_end_is_caught(store: &Arc<dyn Store>) {
    caught(store, |rows| {
        if let Some(head) = &mut rows.head {
            head.entry_seq += 5;
        }
    })
    .await;
}

/// Law 4: balances equal the sum of postings.
pub async fn a_balance_that_is_not_its_postings_is_caught(store: &Arc<dyn Store>) {
    caught(store, |rows| {
        for (_, _, balance, _) in rows.balances.iter_mut().take(1) {
            balance.debits += U256::from(1);
            balance.credits += U256::from(1);
        }
    })
    .await;
}

/// Law 4: every posting is in a balance.
pub async fn a_posting_without_a_balance_is_caught(store: &Arc<dyn Store>) {
    caught(store, |rows| rows.balances.retain(|(_, _, _, is_new)| !is_new)).await;
}

/// Law 1: a transfer that is marked settled has its settlement.
pub async fn a_mark_without_a_settlement_is_caught(store: &Arc<dyn Store>) {
    caught(store, |rows| rows.settlements.clear()).await;
}

/// Law 1: a settled transfer is marked so, or it would be settled again.
pub async fn a_settlement_without_a_mark_is_caught(store: &Arc<dyn Store>) {
    caught(store, |rows| rows.transfers.clear()).await;
}

/// Law 1: a transfer is marked as settled in the block that its settlement names.
pub async fn a_mark_in_another_block_is_caught(store: &Arc<dyn Store>) {
    caught(store, |rows| {
        for mark in &mut rows.transfers {
            mark.settled_block = Some(B256::repeat_byte(0xab));
        }
    })
    .await;
}

/// An order has received what the settlements say that pay for it.
pub async fn an_order_that_received_something_else_is_caught(store: &Arc<dyn Store>) {
    caught(store, |rows| {
        for (_, progress) in &mut rows.orders {
            progress.received_base_units += U256::from(1);
        }
    })
    .await;
}

/// Law 5 within the books: the treasury account holds what is settled.
pub async fn a_settlement_that_is_not_booked_is_caught(store: &Arc<dyn Store>) {
    caught(store, |rows| {
        let booked: Vec<Settlement> = rows.settlements.clone();
        for settlement in &mut rows.settlements {
            settlement.base_units += U256::from(1);
        }
        for (_, progress) in &mut rows.orders {
            progress.received_base_units += U256::from(1);
        }
        assert_eq!(booked.len(), 1);
    })
    .await;
}

/// An account never has more credits than its lots hold.
pub async fn a_grant_without_a_lot_is_caught(store: &Arc<dyn Store>) {
    caught(store, |rows| {
        rows.new_lots.clear();
        for entry in &mut rows.entries {
            entry.lots.clear();
        }
        seal(rows);
    })
    .await;
}

/// Every entry was made by an operation whose outcome is kept.
pub async fn an_entry_without_its_operation_is_caught(store: &Arc<dyn Store>) {
    caught(store, |rows| {
        for row in &mut rows.operations {
            row.key = OperationKey::new("something else");
        }
    })
    .await;
}
