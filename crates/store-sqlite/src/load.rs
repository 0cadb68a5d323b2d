//! Loads the part of the books that a batch needs, in a fixed number of statements.
//!
//! Runs in a unit of work that writes: what is read is the state as the writer before left it.

use std::collections::BTreeSet;

use inspay_ledger::{ChainProgress, LedgerState, OperationKey, StoredOperation, Touches};
use inspay_ports::{StoreError, StoreErrorKind};
use inspay_primitives::{ChainId, Timestamp, TransferId};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteRow;

use crate::{
    books::oldest_unsettled,
    codec::{
        self, Fields, Read, corrupt, lot_columns, order_columns, settlement_columns,
        transfer_columns,
    },
    columns::{hex_list, json_list},
    error::wrong,
    halts::is_halted,
    lease::{BROKEN_FENCE, fence_list},
    script::Script,
    session::{Session, hot},
    spending,
};

const HEAD: &str = "SELECT entry_seq, entry_hash, event_seq, account_number, booked_at, revision FROM ledger_head \
     WHERE singleton = 1";

const OPERATIONS: &str = "SELECT key, fingerprint, entry_seq, refusal FROM operation \
     WHERE key IN (SELECT wanted.value FROM json_each(?) AS wanted)";

const TRANSFERS: &str = concat!(
    "SELECT ",
    transfer_columns!(),
    ", t.settled, ",
    is_halted!("t"),
    " AS halted FROM transfer t WHERE t.id IN (SELECT unhex(wanted.value) FROM json_each(?) AS wanted)",
);

/// The settlements in force of transfers: apart, since most transfers that are loaded have none.
const SETTLEMENTS: &str = concat!(
    "SELECT t.id, t.generation, ",
    settlement_columns!(),
    " FROM json_each(?) AS wanted CROSS JOIN transfer t ON t.id = unhex(wanted.value) \
     CROSS JOIN settlement s ON s.transfer_id = t.id AND s.generation = t.generation",
);

const ORDERS: &str = concat!(
    "SELECT ",
    order_columns!(),
    ", ",
    is_halted!("o"),
    " AS halted FROM orders o WHERE o.id IN (SELECT unhex(wanted.value) FROM json_each(?) AS wanted)",
);

/// How far settling has come on the chains of orders.
const PROGRESS: &str = concat!(
    "SELECT closing.chain_id, (SELECT c.epoch FROM cursor c WHERE c.chain_id = closing.chain_id) AS epoch, (",
    oldest_unsettled!("closing.chain_id"),
    ") AS oldest_unsettled FROM (SELECT DISTINCT o.chain_id FROM orders o \
     WHERE o.id IN (SELECT unhex(wanted.value) FROM json_each(?) AS wanted)) AS closing",
);

/// Lots by their own ids, by orders, and by transfers: a lot's transfer is settled by the entry that grants it.
const LOTS: &str = concat!(
    "WITH touched (entry_seq, lot_index) AS (\
         SELECT wanted.value ->> 0, wanted.value ->> 1 FROM json_each(?) AS wanted \
     UNION \
         SELECT bought.entry_seq, bought.lot_index FROM json_each(?) AS wanted \
         CROSS JOIN lot bought ON bought.order_id = unhex(wanted.value) \
     UNION \
         SELECT granted.entry_seq, granted.lot_index FROM json_each(?) AS wanted \
         CROSS JOIN settlement s ON s.transfer_id = unhex(wanted.value) \
         CROSS JOIN lot granted ON granted.entry_seq = s.entry_seq AND granted.transfer_id = s.transfer_id) \
     SELECT ",
    lot_columns!(),
    " FROM touched CROSS JOIN lot l ON l.entry_seq = touched.entry_seq AND l.lot_index = touched.lot_index",
);

const BALANCES: &str = "SELECT b.number, b.account, b.unit, b.debits, b.credits FROM json_each(?) AS wanted \
     CROSS JOIN book_account b ON b.account = wanted.value ->> 0 AND b.unit = wanted.value ->> 1";

/// Loads what `touches` names, in two scripts where nothing that was settled before is among it; and the head's revision.
pub(crate) async fn load(
    session: &mut Session,
    touches: &Touches,
) -> Result<(LedgerState, i64), StoreError> {
    let mut state = LedgerState::default();
    let (settled, revision) = load_named(session, touches, &mut state).await?;
    if !settled.is_empty() {
        load_settled(session, &settled, &mut state).await?;
    }
    spending::load(session, touches, &mut state).await?;
    load_balances(session, touches, &mut state).await?;
    Ok((state, revision))
}

/// What a statement of [`load_named`] finds.
#[derive(Clone, Copy, Debug)]
enum Part {
    Head,
    Operation,
    Transfer,
    Order,
    Lot,
    Progress,
    BrokenFence,
    Named(spending::Named),
}

/// Asks for what is named outright: for nothing of a kind that is not touched.
fn read_named(touches: &Touches) -> Read<(Script, Vec<Part>)> {
    let transfers = hex_list(touches.transfers.iter().map(|id| id.digest()));
    let orders = hex_list(touches.orders.iter().map(|id| id.uuid().into_bytes()));
    let (has_transfers, has_orders) = (!touches.transfers.is_empty(), !touches.orders.is_empty());
    let mut script = Script::default();
    let mut parts = vec![Part::Head, Part::Operation];
    script.add(HEAD, |_| {});
    script.add(OPERATIONS, |row| {
        row.put(json_list(touches.keys.iter().map(|key| Value::from(key.as_str())).collect()));
    });
    if has_transfers {
        script.add(TRANSFERS, |row| {
            row.put(transfers.clone());
        });
        parts.push(Part::Transfer);
    }
    if has_orders {
        script.add(ORDERS, |row| {
            row.put(orders.clone());
        });
        parts.push(Part::Order);
    }
    if has_transfers || has_orders || !touches.lots.is_empty() {
        let lots = touches.lots.iter().map(|lot| json!([lot.entry_seq, lot.index])).collect();
        script.add(LOTS, |row| {
            row.put(json_list(lots)).put(orders).put(transfers);
        });
        parts.push(Part::Lot);
    }
    if !touches.closes.is_empty() {
        script.add(PROGRESS, |row| {
            row.put(hex_list(touches.closes.iter().map(|id| id.uuid().into_bytes())));
        });
        parts.push(Part::Progress);
    }
    if !touches.fences.is_empty() {
        let fences = fence_list(&touches.fences)?;
        script.add(BROKEN_FENCE, |row| {
            row.put(fences);
        });
        parts.push(Part::BrokenFence);
    }
    parts.extend(spending::read_named(&mut script, touches).into_iter().map(Part::Named));
    Ok((script, parts))
}

/// Loads what is named outright; answers which transfers are settled, and the head's revision.
async fn load_named(
    session: &mut Session,
    touches: &Touches,
    state: &mut LedgerState,
) -> Result<(Vec<TransferId>, i64), StoreError> {
    let (script, parts) = read_named(touches).map_err(wrong(session.act))?;
    let (mut head, mut settled, mut is_fenced) = (None, Vec::new(), false);
    let take = |statement: usize, row: &SqliteRow| {
        match parts.get(statement).ok_or_else(|| corrupt("statement", statement))? {
            Part::Head => head = Some((codec::head(row)?, Fields(row).get("revision")?)),
            Part::Operation => state.operations.extend([operation(row)?]),
            Part::Transfer => {
                let fields = Fields(row);
                let (id, record) = (fields.transfer_id("id")?, codec::transfer_alone(row)?);
                if fields.get("settled")? {
                    settled.push(id);
                }
                if fields.get("halted")? {
                    state.halted.insert(record.transfer.key.asset());
                }
                state.transfers.insert(id, record);
            }
            Part::Order => take_order(state, row)?,
            Part::Lot => take_lot(state, row)?,
            Part::Progress => take_progress(state, row)?,
            Part::BrokenFence => is_fenced = true,
            Part::Named(named) => spending::take_named(state, *named, row)?,
        }
        Ok(())
    };
    session.read_script(script, take).await?;
    if is_fenced {
        return Err(wrong(session.act)(StoreErrorKind::Fenced));
    }
    let no_head = || StoreErrorKind::Corrupt("the ledger has no head".to_owned());
    let (head, revision) = head.ok_or_else(no_head).map_err(wrong(session.act))?;
    state.head = head;
    Ok((settled, revision))
}

/// Loads the settlements in force of settled transfers, and the orders and lots that they lead to.
async fn load_settled(
    session: &mut Session,
    settled: &[TransferId],
    state: &mut LedgerState,
) -> Result<(), StoreError> {
    let ids = hex_list(settled.iter().map(|id| id.digest()));
    let query = hot(SETTLEMENTS).bind(ids);
    let mut led_to = BTreeSet::new();
    for settlement in session.read_all(query, codec::settlement_alone).await? {
        led_to.extend(settlement.order);
        if let Some(record) = state.transfers.get_mut(&settlement.transfer) {
            record.settlement = Some(settlement);
        }
    }
    led_to.retain(|id| !state.orders.contains_key(id));
    if led_to.is_empty() {
        return Ok(());
    }
    let orders = hex_list(led_to.iter().map(|id| id.uuid().into_bytes()));
    let mut script = Script::default();
    script.add(ORDERS, |row| {
        row.put(orders.clone());
    });
    let nothing = || json_list(Vec::new());
    script.add(LOTS, |row| {
        row.put(nothing()).put(orders).put(nothing());
    });
    let take = |statement: usize, row: &SqliteRow| match statement {
        0 => take_order(state, row),
        _ => take_lot(state, row),
    };
    session.read_script(script, take).await.map(drop)
}

async fn load_balances(
    session: &mut Session,
    touches: &Touches,
    state: &mut LedgerState,
) -> Result<(), StoreError> {
    let touched = state
        .accounts_touched(touches)
        .into_iter()
        .map(|(account, unit)| json!([account.to_string(), unit.to_string()]))
        .collect();
    let query = hot(BALANCES).bind(json_list(touched));
    state.balances.extend(session.read_all(query, codec::balance).await?);
    Ok(())
}

fn operation(row: &SqliteRow) -> Read<(OperationKey, StoredOperation)> {
    let fields = Fields(row);
    let (fingerprint, entry_seq) = (fields.hash("fingerprint")?, fields.get("entry_seq")?);
    let key = OperationKey::new(fields.get::<&str>("key")?);
    let refusal = fields.get::<Option<&str>>("refusal")?.map(serde_json::from_str).transpose();
    let refusal = refusal.map_err(|error| corrupt("refusal", error))?;
    Ok((key, StoredOperation { fingerprint, entry_seq, refusal }))
}

fn take_order(state: &mut LedgerState, row: &SqliteRow) -> Read<()> {
    let order = codec::order(row)?;
    if Fields(row).get("halted")? {
        state.halted.insert(order.terms.asset);
    }
    state.orders.insert(order.terms.id, order);
    Ok(())
}

fn take_progress(state: &mut LedgerState, row: &SqliteRow) -> Read<()> {
    let fields = Fields(row);
    let oldest: Option<i64> = fields.get("oldest_unsettled")?;
    let oldest_unsettled = oldest.map(Timestamp::from_micros);
    let progress = ChainProgress { epoch: fields.get("epoch")?, oldest_unsettled };
    state.chains.insert(ChainId(fields.narrow("chain_id")?), progress);
    Ok(())
}

fn take_lot(state: &mut LedgerState, row: &SqliteRow) -> Read<()> {
    let lot = codec::lot(row)?;
    state.lots.insert(lot.id, lot);
    Ok(())
}
