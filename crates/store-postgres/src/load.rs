//! Loads the part of the books that a batch needs, in a fixed number of statements.
//!
//! The head is locked before anything else is read: what follows it is the state as the writer before left it.

use std::collections::{BTreeSet, HashMap};

use inspay_ledger::OperationKey;
use inspay_ledger::{ChainProgress, Head, LedgerState, Remembered, StoredOperation, Touches};
use inspay_ports::{StoreError, StoreErrorKind};
use inspay_primitives::{AccountId, ChainId, Fence, Timestamp};
use sqlx::{postgres::PgRow, types::Uuid};

use crate::{
    books::oldest_unsettled,
    codec::{
        self, Fields, Read, all, corrupt, lot_columns, order_columns, transfer_columns,
        transfer_with_settlement,
    },
    columns::chain,
    error::wrong,
    halts::is_halted,
    lease::now_micros,
    session::Session,
    spending::{self, select_holds, select_limits},
};

/// The head, and whether each fence holds, in the order given. A holding that is looked at cannot be taken over or lose
/// its check before the commit; it can be renewed.
const LOCK_HEAD: &str = concat!(
    "SELECT entry_seq, entry_hash, event_seq, account_number, booked_at, revision, ARRAY(\
         SELECT COALESCE(held.holds, fence.fencing = 0) \
         FROM UNNEST($1::bigint[], $2::bigint[]) WITH ORDINALITY AS fence(chain_id, fencing, place) \
         LEFT JOIN LATERAL (SELECT l.fencing = fence.fencing AND l.checked AND l.expires_at > ",
    now_micros!(),
    " AS holds FROM lease l WHERE l.chain_id = fence.chain_id OFFSET 0 FOR KEY SHARE OF l) AS held ON TRUE \
         ORDER BY fence.place) AS fences_hold \
     FROM ledger_head FOR UPDATE OF ledger_head",
);

/// The head as it is now, with the operations that are stored under keys, one row for each or one; and, in rows of their
/// own, the holds that are touched.
const HEAD_AND_HOLDS: &str = concat!(
    "SELECT head.*, held.* FROM (\
         SELECT h.entry_seq AS head_seq, h.entry_hash, h.event_seq, h.account_number, h.booked_at, h.revision, o.key, \
             o.fingerprint, o.made_entry, o.refusal \
         FROM ledger_head h LEFT JOIN LATERAL (SELECT key, fingerprint, entry_seq AS made_entry, refusal FROM operation \
             WHERE key = ANY($4::text[]) OFFSET 0) AS o ON TRUE) AS head FULL JOIN (",
    select_holds!("$1", "$2", "$3"),
    ") AS held ON FALSE",
);

const OPERATIONS: &str = "SELECT key, fingerprint, entry_seq AS made_entry, refusal FROM operation WHERE key = ANY($1::text[])";

const TRANSFERS: &str = concat!(
    "SELECT ",
    is_halted!("t"),
    " AS halted, ",
    transfer_columns!(),
    " FROM ",
    transfer_with_settlement!(),
    " WHERE t.id = ANY($1::bytea[]) ORDER BY t.id FOR UPDATE OF t",
);

/// How far settling has come on the chains of orders.
const PROGRESS: &str = concat!(
    "SELECT closing.chain_id, (SELECT c.epoch FROM cursor c WHERE c.chain_id = closing.chain_id) AS epoch, (",
    oldest_unsettled!("closing.chain_id"),
    ") AS oldest_unsettled FROM (SELECT DISTINCT chain_id FROM orders WHERE id = ANY($1::uuid[])) AS closing",
);

const ORDERS: &str = concat!(
    "SELECT ",
    is_halted!("o"),
    " AS halted, ",
    order_columns!(),
    " FROM orders o WHERE o.id = ANY($1::uuid[])",
);

/// Lots by their own ids, by orders, and by transfers: a lot's transfer is settled by the entry that grants it.
/// Each is looked up for itself, whatever the planner believes of the tables' sizes.
const LOTS: &str = concat!(
    "SELECT ",
    lot_columns!(),
    " FROM (\
         SELECT found.* FROM UNNEST($1::bigint[], $2::smallint[]) AS wanted(entry_seq, lot_index) \
         CROSS JOIN LATERAL (SELECT * FROM lot \
             WHERE entry_seq = wanted.entry_seq AND lot_index = wanted.lot_index OFFSET 0) AS found \
     UNION ALL \
         SELECT found.* FROM UNNEST($3::uuid[]) AS wanted(order_id) \
         CROSS JOIN LATERAL (SELECT * FROM lot WHERE order_id = wanted.order_id OFFSET 0) AS found \
     UNION ALL \
         SELECT found.* FROM UNNEST($4::bytea[]) AS wanted(transfer_id) \
         CROSS JOIN LATERAL (SELECT s.entry_seq FROM settlement s \
             WHERE s.transfer_id = wanted.transfer_id OFFSET 0) AS posted \
         CROSS JOIN LATERAL (SELECT * FROM lot \
             WHERE entry_seq = posted.entry_seq AND transfer_id = wanted.transfer_id OFFSET 0) AS found) AS l",
);

macro_rules! select_balances {
    ($accounts:literal, $units:literal) => {
        concat!(
            "SELECT b.number, b.account, b.unit, b.debits::text AS debits, b.credits::text AS credits FROM UNNEST(",
            $accounts,
            "::text[], ",
            $units,
            "::text[]) AS wanted(account, unit) CROSS JOIN LATERAL (SELECT * FROM book_account \
                 WHERE account = wanted.account AND unit = wanted.unit OFFSET 0) AS b"
        )
    };
}

const BALANCES: &str = select_balances!("$1", "$2");

/// Balances and, in rows of their own, what limits spenders.
const BALANCES_AND_LIMITS: &str = concat!(
    "SELECT balances.*, limits.* FROM (",
    select_balances!("$1", "$2"),
    ") AS balances FULL JOIN (",
    select_limits!("$3", "$4"),
    ") AS limits ON FALSE",
);

/// Locks the end of the journal until the session ends, and refuses to go on unless every fence holds until then; its
/// revision too.
pub(crate) async fn lock_head(
    session: &mut Session,
    fences: &BTreeSet<Fence>,
) -> Result<(Head, i64), StoreError> {
    let wrong = wrong(session.act);
    let chains: Vec<i64> = fences
        .iter()
        .map(|fence| chain(fence.chain_id))
        .collect::<Result<_, _>>()
        .map_err(&wrong)?;
    let numbers: Vec<i64> = fences.iter().map(|fence| fence.number.0).collect();
    match session.rows(sqlx::query(LOCK_HEAD).bind(chains).bind(numbers)).await?.as_slice() {
        [row] => {
            let holds: Vec<bool> = Fields(row).get("fences_hold").map_err(&wrong)?;
            if holds.len() == fences.len() && holds.iter().all(|holds| *holds) {
                head(row).map_err(&wrong)
            } else {
                Err(wrong(StoreErrorKind::Fenced))
            }
        }
        rows => {
            let why = format!("the ledger has {} heads", rows.len());
            Err(wrong(StoreErrorKind::Corrupt(why)))
        }
    }
}

fn head(row: &PgRow) -> Read<(Head, i64)> {
    let fields = Fields(row);
    Ok((codec::head(row, fields.get("entry_seq")?)?, fields.get("revision")?))
}

/// Loads what `touches` names, under the head's lock.
pub(crate) async fn load(
    session: &mut Session,
    head: Head,
    touches: &Touches,
) -> Result<LedgerState, StoreError> {
    let mut state = LedgerState { head, ..LedgerState::default() };
    if !touches.keys.is_empty() {
        let rows = session.rows(sqlx::query(OPERATIONS).bind(keys(touches))).await?;
        let stored = all(&rows, operation).map_err(wrong(session.act))?;
        state.operations.extend(stored);
    }
    load_transfers(session, touches, &mut state).await?;
    load_orders(session, touches, &mut state).await?;
    load_progress(session, touches, &mut state).await?;
    load_credits(session, touches, &mut state).await?;
    Ok(state)
}

/// Loads what spending touches, with holds that run out soon, and the revision of the head before that: as long as the head
/// stays there, all of it is as it was read.
pub(crate) async fn load_unlocked(
    session: &mut Session,
    touches: &Touches,
) -> Result<(LedgerState, i64), StoreError> {
    let wrong = wrong(session.act);
    let due_by = Remembered::due_by(touches);
    let query = spending::bind_wanted_holds(sqlx::query(HEAD_AND_HOLDS), touches, due_by);
    let rows = session.rows(query.bind(keys(touches))).await?;
    let mut found = None;
    let (mut operations, mut holds) = (HashMap::new(), HashMap::new());
    for row in &rows {
        let fields = Fields(row);
        let Some(head_seq) = fields.get::<Option<i64>>("head_seq").map_err(&wrong)? else {
            let hold = spending::hold_with_slices(row).map_err(&wrong)?;
            holds.insert(hold.id, hold);
            continue;
        };
        let head = codec::head(row, head_seq).map_err(&wrong)?;
        found = Some((head, fields.get("revision").map_err(&wrong)?));
        if fields.get::<Option<&str>>("key").map_err(&wrong)?.is_some() {
            operations.extend([operation(row).map_err(&wrong)?]);
        }
    }
    let Some((head, revision)) = found else {
        return Err(wrong(StoreErrorKind::Corrupt("the ledger has no head".to_owned())));
    };
    let mut state = LedgerState { head, operations, holds, ..LedgerState::default() };
    load_what_is_left(session, touches, &mut state).await?;
    Ok((state, revision))
}

async fn load_credits(
    session: &mut Session,
    touches: &Touches,
    state: &mut LedgerState,
) -> Result<(), StoreError> {
    spending::load_named(session, touches, state).await?;
    load_lots(session, touches, state).await?;
    load_what_is_left(session, touches, state).await
}

/// Loads what accounts have and what limits them, once it is known which are touched.
async fn load_what_is_left(
    session: &mut Session,
    touches: &Touches,
    state: &mut LedgerState,
) -> Result<(), StoreError> {
    let spenders = state.spenders(touches);
    spending::load(session, touches, &spenders, state).await?;
    load_balances(session, touches, &spenders, state).await
}

fn keys(touches: &Touches) -> Vec<&str> {
    touches.keys.iter().map(OperationKey::as_str).collect()
}

fn operation(row: &PgRow) -> Read<(OperationKey, StoredOperation)> {
    let fields = Fields(row);
    let stored = StoredOperation {
        fingerprint: fields.hash("fingerprint")?,
        entry_seq: fields.get("made_entry")?,
        refusal: fields
            .get::<Option<&str>>("refusal")?
            .map(serde_json::from_str)
            .transpose()
            .map_err(|error| corrupt("refusal", error))?,
    };
    Ok((OperationKey::new(fields.get::<&str>("key")?), stored))
}

async fn load_transfers(
    session: &mut Session,
    touches: &Touches,
    state: &mut LedgerState,
) -> Result<(), StoreError> {
    let wrong = wrong(session.act);
    if touches.transfers.is_empty() {
        return Ok(());
    }
    let ids: Vec<&[u8]> = touches.transfers.iter().map(|id| id.digest().as_slice()).collect();
    let rows = session.rows(sqlx::query(TRANSFERS).bind(ids)).await?;
    for row in &rows {
        let fields = Fields(row);
        let record = codec::transfer_record(row).map_err(&wrong)?;
        if fields.get("halted").map_err(&wrong)? {
            state.halted.insert(record.transfer.key.asset());
        }
        state.transfers.insert(fields.transfer_id("id").map_err(&wrong)?, record);
    }
    Ok(())
}

async fn load_orders(
    session: &mut Session,
    touches: &Touches,
    state: &mut LedgerState,
) -> Result<(), StoreError> {
    let wrong = wrong(session.act);
    let of_settlements = state
        .transfers
        .values()
        .filter_map(|record| record.settlement.as_ref().and_then(|settled| settled.order));
    let ids: BTreeSet<Uuid> =
        touches.orders.iter().copied().chain(of_settlements).map(|id| id.uuid()).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = ids.into_iter().collect();
    let rows = session.rows(sqlx::query(ORDERS).bind(ids)).await?;
    for row in &rows {
        let order = codec::order(row).map_err(&wrong)?;
        if Fields(row).get("halted").map_err(&wrong)? {
            state.halted.insert(order.terms.asset);
        }
        state.orders.insert(order.terms.id, order);
    }
    Ok(())
}

async fn load_progress(
    session: &mut Session,
    touches: &Touches,
    state: &mut LedgerState,
) -> Result<(), StoreError> {
    let wrong = wrong(session.act);
    if touches.closes.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = touches.closes.iter().map(|id| id.uuid()).collect();
    let rows = session.rows(sqlx::query(PROGRESS).bind(ids)).await?;
    let progress = all(&rows, |row| {
        let fields = Fields(row);
        let oldest: Option<i64> = fields.get("oldest_unsettled")?;
        let oldest_unsettled = oldest.map(Timestamp::from_micros);
        let progress = ChainProgress { epoch: fields.get("epoch")?, oldest_unsettled };
        Ok((ChainId(fields.narrow("chain_id")?), progress))
    });
    state.chains.extend(progress.map_err(&wrong)?);
    Ok(())
}

async fn load_lots(
    session: &mut Session,
    touches: &Touches,
    state: &mut LedgerState,
) -> Result<(), StoreError> {
    let wrong = wrong(session.act);
    if touches.lots.is_empty() && state.orders.is_empty() && state.transfers.is_empty() {
        return Ok(());
    }
    let entries: Vec<i64> = touches.lots.iter().map(|lot| lot.entry_seq).collect();
    let indexes: Vec<i16> = touches.lots.iter().map(|lot| lot.index).collect();
    let orders: Vec<Uuid> = state.orders.keys().map(|id| id.uuid()).collect();
    let transfers: Vec<&[u8]> = state.transfers.keys().map(|id| id.digest().as_slice()).collect();
    let query = sqlx::query(LOTS).bind(entries).bind(indexes).bind(orders).bind(transfers);
    let lots = all(&session.rows(query).await?, codec::lot).map_err(&wrong)?;
    state.lots.extend(lots.into_iter().map(|lot| (lot.id, lot)));
    Ok(())
}

async fn load_balances(
    session: &mut Session,
    touches: &Touches,
    spenders: &BTreeSet<AccountId>,
    state: &mut LedgerState,
) -> Result<(), StoreError> {
    let wrong = wrong(session.act);
    let touched = state.accounts_touched(touches);
    let accounts: Vec<String> = touched.iter().map(|(account, _)| account.to_string()).collect();
    let units: Vec<String> = touched.iter().map(|(_, unit)| unit.to_string()).collect();
    if spenders.is_empty() {
        let query = sqlx::query(BALANCES).bind(accounts).bind(units);
        let balances = all(&session.rows(query).await?, codec::balance).map_err(&wrong)?;
        state.balances.extend(balances);
        return Ok(());
    }
    let query = sqlx::query(BALANCES_AND_LIMITS)
        .bind(accounts)
        .bind(units)
        .bind(spenders.iter().map(AccountId::as_str).collect::<Vec<_>>())
        .bind(state.windows_since(touches).micros());
    for row in &session.rows(query).await? {
        if Fields(row).get::<Option<i64>>("number").map_err(&wrong)?.is_some() {
            state.balances.extend([codec::balance(row).map_err(&wrong)?]);
        } else {
            spending::take_limits(state, row).map_err(&wrong)?;
        }
    }
    Ok(())
}
