//! Loads the part of the books that a batch needs, in a fixed number of statements.
//!
//! Runs in a unit of work that writes: what is read is the state as the writer before left it.

use std::collections::BTreeSet;

use inspay_ledger::{Head, LedgerState, OperationKey, StoredOperation, Touches, TransferRecord};
use inspay_ports::{StoreError, StoreErrorKind};
use inspay_primitives::{OrderId, TransferId};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteRow;

use crate::{
    codec::{self, Fields, Read, lot_columns, order_columns, settlement_columns, transfer_columns},
    columns::{hex_list, json_list},
    error::wrong,
    session::{Session, hot},
};

const HEAD: &str = "SELECT entry_seq, entry_hash, event_seq, account_number, booked_at FROM ledger_head \
     WHERE singleton = 1";

const OPERATIONS: &str = "SELECT key, fingerprint, entry_seq FROM operation \
     WHERE key IN (SELECT wanted.value FROM json_each(?1) AS wanted)";

const TRANSFERS: &str = concat!(
    "SELECT ",
    transfer_columns!(),
    ", t.settled FROM transfer t WHERE t.id IN (SELECT unhex(wanted.value) FROM json_each(?1) AS wanted)",
);

/// The settlements in force of transfers: apart, since most transfers that are loaded have none.
const SETTLEMENTS: &str = concat!(
    "SELECT t.id, t.generation, ",
    settlement_columns!(),
    " FROM json_each(?1) AS wanted CROSS JOIN transfer t ON t.id = unhex(wanted.value) \
     CROSS JOIN settlement s ON s.transfer_id = t.id AND s.generation = t.generation",
);

const ORDERS: &str = concat!(
    "SELECT ",
    order_columns!(),
    " FROM orders o WHERE o.id IN (SELECT unhex(wanted.value) FROM json_each(?1) AS wanted)",
);

/// Lots by their own ids, by orders, and by transfers: a lot's transfer is settled by the entry that grants it.
const LOTS: &str = concat!(
    "WITH touched (entry_seq, lot_index) AS (\
         SELECT wanted.value ->> 0, wanted.value ->> 1 FROM json_each(?1) AS wanted \
     UNION \
         SELECT bought.entry_seq, bought.lot_index FROM json_each(?2) AS wanted \
         CROSS JOIN lot bought ON bought.order_id = unhex(wanted.value) \
     UNION \
         SELECT granted.entry_seq, granted.lot_index FROM json_each(?3) AS wanted \
         CROSS JOIN settlement s ON s.transfer_id = unhex(wanted.value) \
         CROSS JOIN lot granted ON granted.entry_seq = s.entry_seq AND granted.transfer_id = s.transfer_id) \
     SELECT ",
    lot_columns!(),
    " FROM touched CROSS JOIN lot l ON l.entry_seq = touched.entry_seq AND l.lot_index = touched.lot_index",
);

const BALANCES: &str = "SELECT b.number, b.account, b.unit, b.debits, b.credits FROM json_each(?1) AS wanted \
     CROSS JOIN book_account b ON b.account = wanted.value ->> 0 AND b.unit = wanted.value ->> 1";

/// The end of the journal, as no other writer can change it now.
pub(crate) async fn head(session: &mut Session) -> Result<Head, StoreError> {
    let wrong = wrong(session.act);
    match session.row(hot(HEAD)).await? {
        Some(row) => codec::head(&row).map_err(wrong),
        None => Err(wrong(StoreErrorKind::Corrupt("the ledger has no head".to_owned()))),
    }
}

/// Loads what `touches` names.
pub(crate) async fn load(
    session: &mut Session,
    head: Head,
    touches: &Touches,
) -> Result<LedgerState, StoreError> {
    let mut state = LedgerState { head, ..LedgerState::default() };
    load_operations(session, touches, &mut state).await?;
    load_transfers(session, touches, &mut state).await?;
    load_orders(session, touches, &mut state).await?;
    load_lots(session, touches, &mut state).await?;
    load_balances(session, &mut state).await?;
    Ok(state)
}

async fn load_operations(
    session: &mut Session,
    touches: &Touches,
    state: &mut LedgerState,
) -> Result<(), StoreError> {
    if touches.keys.is_empty() {
        return Ok(());
    }
    let keys = touches.keys.iter().map(|key| Value::from(key.as_str())).collect();
    let query = hot(OPERATIONS).bind(json_list(keys));
    state.operations.extend(session.read_all(query, operation).await?);
    Ok(())
}

fn operation(row: &SqliteRow) -> Read<(OperationKey, StoredOperation)> {
    let fields = Fields(row);
    let (fingerprint, entry_seq) = (fields.hash("fingerprint")?, fields.get("entry_seq")?);
    let key = OperationKey::new(fields.get::<&str>("key")?);
    Ok((key, StoredOperation { fingerprint, entry_seq }))
}

async fn load_transfers(
    session: &mut Session,
    touches: &Touches,
    state: &mut LedgerState,
) -> Result<(), StoreError> {
    if touches.transfers.is_empty() {
        return Ok(());
    }
    let ids = hex_list(touches.transfers.iter().map(|id| id.digest()));
    let mut settled = Vec::new();
    for (id, record, is_settled) in session.read_all(hot(TRANSFERS).bind(ids), transfer).await? {
        if is_settled {
            settled.push(id);
        }
        state.transfers.insert(id, record);
    }
    if settled.is_empty() {
        return Ok(());
    }
    let ids = hex_list(settled.iter().map(|id| id.digest()));
    let query = hot(SETTLEMENTS).bind(ids);
    for settlement in session.read_all(query, codec::settlement_alone).await? {
        if let Some(record) = state.transfers.get_mut(&settlement.transfer) {
            record.settlement = Some(settlement);
        }
    }
    Ok(())
}

fn transfer(row: &SqliteRow) -> Read<(TransferId, TransferRecord, bool)> {
    let fields = Fields(row);
    Ok((fields.transfer_id("id")?, codec::transfer_alone(row)?, fields.get("settled")?))
}

async fn load_orders(
    session: &mut Session,
    touches: &Touches,
    state: &mut LedgerState,
) -> Result<(), StoreError> {
    let of_settlements = state
        .transfers
        .values()
        .filter_map(|record| record.settlement.as_ref().and_then(|settled| settled.order));
    let ids: BTreeSet<OrderId> = touches.orders.iter().copied().chain(of_settlements).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let ids = hex_list(ids.iter().map(|id| id.uuid().into_bytes()));
    let orders = session.read_all(hot(ORDERS).bind(ids), codec::order).await?;
    state.orders.extend(orders.into_iter().map(|order| (order.terms.id, order)));
    Ok(())
}

async fn load_lots(
    session: &mut Session,
    touches: &Touches,
    state: &mut LedgerState,
) -> Result<(), StoreError> {
    if touches.lots.is_empty() && state.orders.is_empty() && state.transfers.is_empty() {
        return Ok(());
    }
    let named = touches.lots.iter().map(|lot| json!([lot.entry_seq, lot.index])).collect();
    let orders = hex_list(state.orders.keys().map(|id| id.uuid().into_bytes()));
    let transfers = hex_list(state.transfers.keys().map(|id| id.digest()));
    let query = hot(LOTS).bind(json_list(named)).bind(orders).bind(transfers);
    let lots = session.read_all(query, codec::lot).await?;
    state.lots.extend(lots.into_iter().map(|lot| (lot.id, lot)));
    Ok(())
}

async fn load_balances(session: &mut Session, state: &mut LedgerState) -> Result<(), StoreError> {
    let touched = state
        .accounts_touched()
        .into_iter()
        .map(|(account, unit)| json!([account.to_string(), unit.to_string()]))
        .collect();
    let query = hot(BALANCES).bind(json_list(touched));
    state.balances.extend(session.read_all(query, codec::balance).await?);
    Ok(())
}
