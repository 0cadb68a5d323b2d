//! What settling leaves on transfers and orders, and the lots that a batch grants: one statement.
//!
//! Never writes the journal.

use inspay_ledger::BatchRows;
use inspay_primitives::Label;
use sqlx::types::Uuid;

use crate::{columns::units, session::Statement};

/// Settlements, reversals, new lots, and what changes on transfers and orders. Whether an order's slot is held is not
/// the ledger's to say. Spending alone does nothing of it.
const WRITE_MARKS: &str = "WITH settled AS (\
         INSERT INTO settlement (transfer_id, generation, kind, order_id, evidence, suspense, ignored, \
             candidates, base_units, credits, usd_value, block_hash, entry_seq, settled_at) \
         SELECT transfer_id, generation, kind, order_id, evidence, suspense, ignored, \
             candidates::uuid[], base_units::numeric, credits, usd_value::numeric, block_hash, entry_seq, settled_at \
         FROM UNNEST($1::bytea[], $2::bigint[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::text[], \
             $8::text[], $9::text[], $10::bigint[], $11::text[], $12::bytea[], $13::bigint[], $14::bigint[]) \
         AS row(transfer_id, generation, kind, order_id, evidence, suspense, ignored, \
             candidates, base_units, credits, usd_value, block_hash, entry_seq, settled_at)), \
     reversed AS (\
         INSERT INTO reversal (transfer_id, generation, entry_seq, reversed_at) \
         SELECT * FROM UNNEST($15::bytea[], $16::bigint[], $17::bigint[], $18::bigint[])), \
     granted AS (\
         INSERT INTO lot (entry_seq, lot_index, account, source, order_id, transfer_id, granted, \
             credits_left, granted_at, expires_at, paid, campaign, scope, priority, held, spent, expired, taken, \
             revoked, warned) \
         SELECT entry_seq, lot_index, account, source, order_id, transfer_id, granted, credits_left, \
             granted_at, expires_at, paid::numeric, campaign, scope, priority, held, spent, expired, taken, \
             revoked, warned \
         FROM UNNEST($19::bigint[], $20::smallint[], $21::text[], $22::text[], $23::uuid[], $24::bytea[], \
             $25::bigint[], $26::bigint[], $27::bigint[], $28::bigint[], $29::text[], $30::text[], $31::text[], $32::smallint[], $33::bigint[], $34::bigint[], \
             $35::bigint[], $36::bigint[], $37::boolean[], $38::boolean[]) \
         AS row(entry_seq, lot_index, account, source, order_id, transfer_id, granted, credits_left, \
             granted_at, expires_at, paid, campaign, scope, priority, held, spent, expired, taken, revoked, \
             warned)), \
     marked AS (\
         UPDATE transfer t SET generation = row.generation, \
             settled_block_hash = row.settled_block_hash, \
             reference_read = t.reference_read OR row.reference_read, \
             reference = CASE WHEN row.reference_read THEN row.reference ELSE t.reference END \
         FROM UNNEST($39::bytea[], $40::bigint[], $41::bytea[], $42::boolean[], $43::bytea[]) \
         AS row(id, generation, settled_block_hash, reference_read, reference) \
         WHERE t.id = row.id) \
     UPDATE orders o SET state = row.state, received_base_units = row.received_base_units::numeric, \
         credited = row.credited, closed = row.closed \
     FROM UNNEST($44::uuid[], $45::text[], $46::text[], $47::bigint[], $48::boolean[]) \
     AS row(id, state, received_base_units, credited, closed) \
     WHERE o.id = row.id";

/// Whether a batch brings any of it.
pub(crate) const fn has_marks(rows: &BatchRows) -> bool {
    !(rows.settlements.is_empty()
        && rows.reversals.is_empty()
        && rows.new_lots.is_empty()
        && rows.transfers.is_empty()
        && rows.orders.is_empty())
}

/// The statement that writes it.
pub(crate) fn marks(rows: &BatchRows) -> Statement<'static> {
    let statement = bind_settlements(sqlx::query(WRITE_MARKS), rows);
    let reversals = &rows.reversals;
    let statement = statement
        .bind(reversals.iter().map(|row| row.transfer.digest().as_slice()).collect::<Vec<_>>())
        .bind(reversals.iter().map(|row| i64::from(row.generation)).collect::<Vec<_>>())
        .bind(reversals.iter().map(|row| row.entry_seq).collect::<Vec<_>>())
        .bind(reversals.iter().map(|row| row.reversed_at.micros()).collect::<Vec<_>>());
    let statement = bind_lots(statement, rows);
    let statement = bind_transfers(statement, rows);
    let orders = &rows.orders;
    statement
        .bind(orders.iter().map(|(id, _)| id.uuid()).collect::<Vec<Uuid>>())
        .bind(orders.iter().map(|(_, now)| now.state.as_str()).collect::<Vec<_>>())
        .bind(orders.iter().map(|(_, now)| units(now.received_base_units)).collect::<Vec<_>>())
        .bind(orders.iter().map(|(_, now)| now.credited.micros()).collect::<Vec<_>>())
        .bind(orders.iter().map(|(_, now)| now.closed).collect::<Vec<_>>())
}

fn bind_settlements(statement: Statement<'static>, rows: &BatchRows) -> Statement<'static> {
    let settled = &rows.settlements;
    let candidates = settled.iter().map(|row| {
        let ids: Vec<String> = row.candidates.iter().map(|id| id.uuid().to_string()).collect();
        format!("{{{}}}", ids.join(","))
    });
    statement
        .bind(settled.iter().map(|row| row.transfer.digest().as_slice()).collect::<Vec<_>>())
        .bind(settled.iter().map(|row| i64::from(row.generation)).collect::<Vec<_>>())
        .bind(settled.iter().map(|row| row.kind.as_str()).collect::<Vec<_>>())
        .bind(settled.iter().map(|row| row.order.map(|id| id.uuid())).collect::<Vec<_>>())
        .bind(settled.iter().map(|row| row.evidence.map(|why| why.as_str())).collect::<Vec<_>>())
        .bind(settled.iter().map(|row| row.suspense.map(|why| why.as_str())).collect::<Vec<_>>())
        .bind(settled.iter().map(|row| row.ignored.map(|why| why.as_str())).collect::<Vec<_>>())
        .bind(candidates.collect::<Vec<_>>())
        .bind(settled.iter().map(|row| units(row.base_units)).collect::<Vec<_>>())
        .bind(settled.iter().map(|row| row.credits.micros()).collect::<Vec<_>>())
        .bind(settled.iter().map(|row| row.value.map(|usd| usd.to_string())).collect::<Vec<_>>())
        .bind(settled.iter().map(|row| row.block_hash.as_slice()).collect::<Vec<_>>())
        .bind(settled.iter().map(|row| row.entry_seq).collect::<Vec<_>>())
        .bind(settled.iter().map(|row| row.settled_at.micros()).collect::<Vec<_>>())
}

fn bind_lots(statement: Statement<'static>, rows: &BatchRows) -> Statement<'static> {
    let lots = &rows.new_lots;
    let transfers = lots.iter().map(|lot| lot.transfer.as_ref().map(|id| id.digest().as_slice()));
    statement
        .bind(lots.iter().map(|lot| lot.id.entry_seq).collect::<Vec<_>>())
        .bind(lots.iter().map(|lot| lot.id.index).collect::<Vec<_>>())
        .bind(lots.iter().map(|lot| lot.account.as_str()).collect::<Vec<_>>())
        .bind(lots.iter().map(|lot| lot.source.as_str()).collect::<Vec<_>>())
        .bind(lots.iter().map(|lot| lot.order.map(|id| id.uuid())).collect::<Vec<_>>())
        .bind(transfers.collect::<Vec<_>>())
        .bind(lots.iter().map(|lot| lot.granted.micros()).collect::<Vec<_>>())
        .bind(lots.iter().map(|lot| lot.parts.left.micros()).collect::<Vec<_>>())
        .bind(lots.iter().map(|lot| lot.granted_at.micros()).collect::<Vec<_>>())
        .bind(lots.iter().map(|lot| lot.expires_at.micros()).collect::<Vec<_>>())
        .bind(lots.iter().map(|lot| lot.paid.map(|usd| usd.to_string())).collect::<Vec<_>>())
        .bind(lots.iter().map(|lot| lot.campaign.as_ref().map(Label::as_str)).collect::<Vec<_>>())
        .bind(lots.iter().map(|lot| lot.scope.as_ref().map(Label::as_str)).collect::<Vec<_>>())
        .bind(lots.iter().map(|lot| i16::from(lot.priority)).collect::<Vec<_>>())
        .bind(lots.iter().map(|lot| lot.parts.held.micros()).collect::<Vec<_>>())
        .bind(lots.iter().map(|lot| lot.parts.spent.micros()).collect::<Vec<_>>())
        .bind(lots.iter().map(|lot| lot.parts.expired.micros()).collect::<Vec<_>>())
        .bind(lots.iter().map(|lot| lot.parts.taken.micros()).collect::<Vec<_>>())
        .bind(lots.iter().map(|lot| lot.parts.revoked).collect::<Vec<_>>())
        .bind(lots.iter().map(|lot| lot.parts.warned).collect::<Vec<_>>())
}

fn bind_transfers(statement: Statement<'static>, rows: &BatchRows) -> Statement<'static> {
    let marks = &rows.transfers;
    let references = marks
        .iter()
        .map(|mark| mark.reference.flatten().map(|reference| reference.bytes().to_vec()));
    statement
        .bind(marks.iter().map(|mark| mark.transfer.digest().as_slice()).collect::<Vec<_>>())
        .bind(marks.iter().map(|mark| i64::from(mark.generation)).collect::<Vec<_>>())
        .bind(
            marks
                .iter()
                .map(|mark| mark.settled_block.map(|hash| hash.to_vec()))
                .collect::<Vec<_>>(),
        )
        .bind(marks.iter().map(|mark| mark.reference.is_some()).collect::<Vec<_>>())
        .bind(references.collect::<Vec<_>>())
}
