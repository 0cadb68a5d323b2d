//! Writes what a batch decided: two statements, each with one bulk write per table; the journal of a large batch is
//! copied.
//!
//! Never reads back what it writes: sums, hashes and numbers were made by the ledger.

use inspay_ledger::{BatchRows, Entry, Event, Head, OperationRow};
use inspay_ports::{StoreError, StoreErrorKind};

use crate::{
    cases,
    columns::units,
    copy::{Copy, Rows},
    error::wrong,
    marks::{has_marks, marks},
    session::{Session, Statement},
    spending,
};

/// Accounts, entries, postings, operations, events, what was moved within lots, and the head: all of it if the head is
/// at the revision that the batch was decided at, else nothing.
macro_rules! journal_parts {
    () => {
        "head AS (\
         UPDATE ledger_head SET entry_seq = COALESCE($46, entry_seq), entry_hash = COALESCE($47, entry_hash), \
             event_seq = COALESCE($48, event_seq), account_number = COALESCE($49, account_number), \
             booked_at = COALESCE($50, booked_at), revision = revision + 1 WHERE revision = $51 RETURNING revision), \
     sums AS (\
         INSERT INTO book_account (number, account, unit, debits, credits) \
         SELECT number, account, unit, debits::numeric, credits::numeric \
         FROM UNNEST($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[]) \
         AS row(number, account, unit, debits, credits) WHERE EXISTS (SELECT 1 FROM head) \
         ON CONFLICT (number) DO UPDATE SET debits = EXCLUDED.debits, credits = EXCLUDED.credits), \
     entries AS (\
         INSERT INTO entry (seq, kind, operation_key, event_at, booked_at, transfer_id, order_id, reverses, \
             previous_hash, hash, version, facts) \
         SELECT * FROM UNNEST($6::bigint[], $7::text[], $8::text[], $9::bigint[], $10::bigint[], \
             $11::bytea[], $12::uuid[], $13::bigint[], $14::bytea[], $15::bytea[], $16::smallint[], $17::text[]) WHERE EXISTS (SELECT 1 FROM head)), \
     postings AS (\
         INSERT INTO posting (entry_seq, line, account_number, side, quantity, listed) \
         SELECT entry_seq, line, account_number, side, quantity::numeric, listed \
         FROM UNNEST($18::bigint[], $19::smallint[], $20::bigint[], $21::text[], $22::text[], $23::boolean[]) \
         AS row(entry_seq, line, account_number, side, quantity, listed) \
         WHERE EXISTS (SELECT 1 FROM head)), \
     operations AS (\
         INSERT INTO operation (key, fingerprint, entry_seq, done_at, refusal) \
         SELECT * FROM UNNEST($24::text[], $25::bytea[], $26::bigint[], $27::bigint[], $28::text[]) \
         WHERE EXISTS (SELECT 1 FROM head)), \
     told AS (\
         INSERT INTO event (seq, kind, account, order_id, transfer_id, entry_seq, created_at, snapshot) \
         SELECT seq, kind, account, order_id, transfer_id, entry_seq, created_at, snapshot::json \
         FROM UNNEST($29::bigint[], $30::text[], $31::text[], $32::uuid[], $33::bytea[], $34::bigint[], \
             $35::bigint[], $36::text[]) \
         AS row(seq, kind, account, order_id, transfer_id, entry_seq, created_at, snapshot) \
         WHERE EXISTS (SELECT 1 FROM head)), \
     moved AS (\
         UPDATE lot l SET credits_left = row.credits_left, held = row.held, spent = row.spent, \
             expired = row.expired, taken = row.taken, revoked = row.revoked, warned = row.warned \
         FROM UNNEST($37::bigint[], $38::smallint[], $39::bigint[], $40::bigint[], $41::bigint[], $42::bigint[], \
             $43::bigint[], $44::boolean[], $45::boolean[]) \
         AS row(entry_seq, lot_index, credits_left, held, spent, expired, taken, revoked, warned) \
         WHERE l.entry_seq = row.entry_seq AND l.lot_index = row.lot_index AND EXISTS (SELECT 1 FROM head))"
    };
}

/// What holds, captures and spends bring, with the same condition.
macro_rules! spending_parts {
    () => {
        "moves AS (\
         INSERT INTO lot_move (entry_seq, line, lot_entry_seq, lot_index, from_bucket, to_bucket, credits) \
         SELECT * FROM UNNEST($52::bigint[], $53::smallint[], $54::bigint[], $55::smallint[], $56::text[], $57::text[], \
             $58::bigint[]) WHERE EXISTS (SELECT 1 FROM head)), \
     ended AS (\
         UPDATE hold h SET is_open = FALSE FROM UNNEST($59::uuid[]) AS row(id) \
         WHERE h.id = row.id AND EXISTS (SELECT 1 FROM head)), \
     holds AS (\
         INSERT INTO hold (id, entry_seq, account, purpose, credits, made_at, expires_at, is_open) \
         SELECT * FROM UNNEST($60::uuid[], $61::bigint[], $62::text[], $63::text[], $64::bigint[], $65::bigint[], \
             $66::bigint[], $67::boolean[]) WHERE EXISTS (SELECT 1 FROM head)), \
     resolutions AS (\
         INSERT INTO hold_resolution (hold_id, kind, captured, entry_seq, resolved_at) \
         SELECT * FROM UNNEST($68::uuid[], $69::text[], $70::bigint[], $71::bigint[], $72::bigint[]) \
         WHERE EXISTS (SELECT 1 FROM head)), \
     usages AS (\
         INSERT INTO usage (entry_seq, account, hold_id, purpose, credits, refunded, counted_at, booked_at) \
         SELECT * FROM UNNEST($73::bigint[], $74::text[], $75::uuid[], $76::text[], $77::bigint[], $78::bigint[], \
             $79::bigint[], $80::bigint[]) WHERE EXISTS (SELECT 1 FROM head)), \
     days AS (\
         INSERT INTO usage_day (account, day, feature, project, spends, units, spent) \
         SELECT * FROM UNNEST($81::text[], $82::integer[], $83::text[], $84::text[], $85::bigint[], $86::bigint[], \
             $87::bigint[]) WHERE EXISTS (SELECT 1 FROM head) \
         ON CONFLICT (account, day, feature, project) DO UPDATE SET spends = usage_day.spends + EXCLUDED.spends, \
             units = usage_day.units + EXCLUDED.units, spent = usage_day.spent + EXCLUDED.spent), \
     windows AS (\
         INSERT INTO limit_window (limit_id, starts_at, ends_at, held, spent, alerted, told) \
         SELECT * FROM UNNEST($88::uuid[], $89::bigint[], $90::bigint[], $91::bigint[], $92::bigint[], $93::smallint[], \
             $94::boolean[]) WHERE EXISTS (SELECT 1 FROM head) \
         ON CONFLICT (limit_id, starts_at) DO UPDATE SET held = EXCLUDED.held, spent = EXCLUDED.spent, \
             alerted = EXCLUDED.alerted, told = EXCLUDED.told)"
    };
}

/// The number of heads that were moved: one, or none where somebody else has written meanwhile.
const WRITE_JOURNAL: &str = concat!("WITH ", journal_parts!(), " SELECT 1 FROM head");

/// The same with spending: one statement, since nearly every batch of spending has most of it, and one that keeps
/// nothing else is a unit of work by itself.
const WRITE_SPENDING: &str =
    concat!("WITH ", journal_parts!(), ", ", spending_parts!(), " SELECT 1 FROM head");

/// From so many entries on, the journal's rows are copied: below, the trips that this takes weigh more.
pub(crate) const COPIED_FROM: usize = 500;

const ENTRIES: Copy = Copy {
    statement: "COPY entry (seq, kind, operation_key, event_at, booked_at, transfer_id, order_id, reverses, \
        previous_hash, hash, version, facts) FROM STDIN WITH (FORMAT binary)",
    columns: 12,
};

const POSTINGS: Copy = Copy {
    statement: "COPY posting (entry_seq, line, account_number, side, quantity, listed) \
        FROM STDIN WITH (FORMAT binary)",
    columns: 6,
};

const OPERATIONS: Copy = Copy {
    statement: "COPY operation (key, fingerprint, entry_seq, done_at, refusal) FROM STDIN WITH (FORMAT binary)",
    columns: 5,
};

const EVENTS: Copy = Copy {
    statement: "COPY event (seq, kind, account, order_id, transfer_id, entry_seq, created_at, snapshot) \
        FROM STDIN WITH (FORMAT binary)",
    columns: 8,
};

/// About how many bytes a row of the journal takes on its way.
const ROW_BYTES: usize = 320;

/// Whether the rows of a batch are one statement: nothing but journal and spending, and not too much of it.
pub(crate) fn is_one_statement(rows: &BatchRows) -> bool {
    rows.entries.len() < COPIED_FROM
        && !has_marks(rows)
        && !spending::has_refunds(rows)
        && rows.limits.is_empty()
        && rows.limits_removed.is_empty()
        && rows.accounts.is_empty()
        && rows.profiles.is_empty()
        && rows.cases_opened.is_empty()
        && rows.cases_resolved.is_empty()
}

/// Writes journal and spending of a batch that was decided at a revision of the head; `false`, and nothing of it, where
/// the head has moved since. Never waits for longer than whoever writes at the moment.
pub(crate) async fn write_at(
    session: &mut Session,
    rows: &BatchRows,
    revision: i64,
) -> Result<bool, StoreError> {
    let spends = rows.entries.iter().any(|entry| !entry.moves.is_empty());
    let statement = if spends || !rows.windows.is_empty() { WRITE_SPENDING } else { WRITE_JOURNAL };
    let mut query = journal(session.act, statement, rows)?.bind(revision);
    if statement == WRITE_SPENDING {
        query = spending::bind(session.act, query, rows)?;
    }
    Ok(session.run(query).await? > 0)
}

/// Writes the rows of one batch, under the head's lock.
pub(crate) async fn write(
    session: &mut Session,
    rows: &BatchRows,
    revision: i64,
) -> Result<(), StoreError> {
    spending::write_limits(session, rows).await?;
    spending::write_profiles(session, rows).await?;
    if rows.entries.len() >= COPIED_FROM {
        copy_journal(session, rows).await?;
    }
    if !write_at(session, rows, revision).await? {
        let why = "the head of the ledger moved under its lock".to_owned();
        return Err(wrong(session.act)(StoreErrorKind::Corrupt(why)));
    }
    spending::write_refunds(session, rows).await?;
    if has_marks(rows) {
        session.run(marks(rows)).await?;
    }
    cases::open_cases(session, &rows.cases_opened).await?;
    cases::resolve_cases(session, &rows.cases_resolved).await?;
    Ok(())
}

/// Entries, postings, operations and events of a large batch.
async fn copy_journal(session: &mut Session, batch: &BatchRows) -> Result<(), StoreError> {
    let entries = copied_entries(&batch.entries);
    session.copy(&ENTRIES, entries).await?;
    let postings = copied_postings(session.act, &batch.entries)?;
    session.copy(&POSTINGS, postings).await?;
    let mut rows = Rows::new(&OPERATIONS, batch.operations.len(), ROW_BYTES);
    let refusals = refusals(session.act, &batch.operations)?;
    for (operation, refusal) in batch.operations.iter().zip(&refusals) {
        rows.row()
            .text(operation.key.as_str())
            .bytes(operation.fingerprint.as_slice())
            .optional_bigint(operation.entry_seq)
            .bigint(operation.done_at.micros());
        match refusal {
            Some(refusal) => rows.text(refusal),
            None => rows.null(),
        };
    }
    session.copy(&OPERATIONS, rows).await?;
    let mut rows = Rows::new(&EVENTS, batch.events.len(), ROW_BYTES);
    for (event, snapshot) in batch.events.iter().zip(snapshots(session.act, &batch.events)?) {
        rows.row()
            .bigint(event.seq)
            .text(event.kind.as_str())
            .optional_bytes(event.account.as_ref().map(|account| account.as_str().as_bytes()))
            .optional_bytes(
                event.order.map(|id| id.uuid().into_bytes()).as_ref().map(<[u8; 16]>::as_slice),
            )
            .optional_bytes(event.transfer.as_ref().map(|id| id.digest().as_slice()))
            .optional_bigint(event.entry_seq)
            .bigint(event.created_at.micros())
            .text(&snapshot);
    }
    session.copy(&EVENTS, rows).await.map(drop)
}

fn copied_entries(entries: &[Entry]) -> Rows {
    let mut rows = Rows::new(&ENTRIES, entries.len(), ROW_BYTES);
    for entry in entries {
        rows.row()
            .bigint(entry.seq)
            .text(entry.kind.as_str())
            .text(entry.operation.as_str())
            .bigint(entry.event_at.micros())
            .bigint(entry.booked_at.micros())
            .optional_bytes(entry.transfer.as_ref().map(|id| id.digest().as_slice()))
            .optional_bytes(
                entry.order.map(|id| id.uuid().into_bytes()).as_ref().map(<[u8; 16]>::as_slice),
            )
            .optional_bigint(entry.reverses)
            .bytes(entry.previous_hash.as_slice())
            .bytes(entry.hash.as_slice())
            .smallint(entry.version)
            .optional_bytes(entry.facts.as_deref().map(str::as_bytes));
    }
    rows
}

fn copied_postings(act: &'static str, entries: &[Entry]) -> Result<Rows, StoreError> {
    let count = entries.iter().map(|entry| entry.postings.len()).sum();
    let mut rows = Rows::new(&POSTINGS, count, ROW_BYTES / 3);
    for entry in entries {
        for (index, posting) in entry.postings.iter().enumerate() {
            rows.row()
                .bigint(entry.seq)
                .smallint(line(act, entry, index)?)
                .bigint(posting.account_number)
                .text(posting.side.as_str())
                .units(posting.quantity)
                .boolean(posting.account.owner().is_some());
        }
    }
    Ok(rows)
}

pub(crate) fn line(act: &'static str, entry: &Entry, index: usize) -> Result<i16, StoreError> {
    i16::try_from(index).map_err(|_| {
        let why = format!("entry {} has more lines than can be numbered", entry.seq);
        wrong(act)(StoreErrorKind::Refused(why))
    })
}

fn snapshots(act: &'static str, events: &[Event]) -> Result<Vec<String>, StoreError> {
    events
        .iter()
        .map(|event| serde_json::to_string(&event.snapshot))
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(act)(StoreErrorKind::Refused(error.to_string())))
}

fn journal(
    act: &'static str,
    statement: &'static str,
    rows: &BatchRows,
) -> Result<Statement<'static>, StoreError> {
    // What is many was copied.
    let (entries, operations, events) = if rows.entries.len() < COPIED_FROM {
        (rows.entries.as_slice(), rows.operations.as_slice(), rows.events.as_slice())
    } else {
        (&[][..], &[][..], &[][..])
    };
    let statement = bind_balances(sqlx::query(statement), rows);
    let statement = bind_entries(statement, entries);
    let statement = bind_postings(act, statement, entries)?;
    let statement = statement
        .bind(operations.iter().map(|row| row.key.as_str()).collect::<Vec<_>>())
        .bind(operations.iter().map(|row| row.fingerprint.as_slice()).collect::<Vec<_>>())
        .bind(operations.iter().map(|row| row.entry_seq).collect::<Vec<_>>())
        .bind(operations.iter().map(|row| row.done_at.micros()).collect::<Vec<_>>())
        .bind(refusals(act, operations)?);
    let statement = bind_moved(bind_events(act, statement, events)?, rows);
    Ok(bind_head(statement, rows.head.as_ref()))
}

/// Why each operation was refused, where it was.
fn refusals(
    act: &'static str,
    operations: &[OperationRow],
) -> Result<Vec<Option<String>>, StoreError> {
    operations
        .iter()
        .map(|row| row.refusal.map(|refusal| serde_json::to_string(&refusal)).transpose())
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(act)(StoreErrorKind::Refused(error.to_string())))
}

fn bind_balances(statement: Statement<'static>, rows: &BatchRows) -> Statement<'static> {
    let balances = &rows.balances;
    statement
        .bind(balances.iter().map(|(_, _, sums, _)| sums.number).collect::<Vec<_>>())
        .bind(balances.iter().map(|(account, ..)| account.to_string()).collect::<Vec<_>>())
        .bind(balances.iter().map(|(_, unit, ..)| unit.to_string()).collect::<Vec<_>>())
        .bind(balances.iter().map(|(_, _, sums, _)| units(sums.debits)).collect::<Vec<_>>())
        .bind(balances.iter().map(|(_, _, sums, _)| units(sums.credits)).collect::<Vec<_>>())
}

fn bind_entries(statement: Statement<'static>, entries: &[Entry]) -> Statement<'static> {
    statement
        .bind(entries.iter().map(|entry| entry.seq).collect::<Vec<_>>())
        .bind(entries.iter().map(|entry| entry.kind.as_str()).collect::<Vec<_>>())
        .bind(entries.iter().map(|entry| entry.operation.as_str()).collect::<Vec<_>>())
        .bind(entries.iter().map(|entry| entry.event_at.micros()).collect::<Vec<_>>())
        .bind(entries.iter().map(|entry| entry.booked_at.micros()).collect::<Vec<_>>())
        .bind(
            entries
                .iter()
                .map(|entry| entry.transfer.as_ref().map(|id| id.digest().as_slice()))
                .collect::<Vec<_>>(),
        )
        .bind(entries.iter().map(|entry| entry.order.map(|id| id.uuid())).collect::<Vec<_>>())
        .bind(entries.iter().map(|entry| entry.reverses).collect::<Vec<_>>())
        .bind(entries.iter().map(|entry| entry.previous_hash.as_slice()).collect::<Vec<_>>())
        .bind(entries.iter().map(|entry| entry.hash.as_slice()).collect::<Vec<_>>())
        .bind(entries.iter().map(|entry| entry.version).collect::<Vec<_>>())
        .bind(entries.iter().map(|entry| entry.facts.as_deref()).collect::<Vec<_>>())
}

fn bind_postings(
    act: &'static str,
    statement: Statement<'static>,
    entries: &[Entry],
) -> Result<Statement<'static>, StoreError> {
    let count = entries.iter().map(|entry| entry.postings.len()).sum();
    let mut seqs: Vec<i64> = Vec::with_capacity(count);
    let mut lines: Vec<i16> = Vec::with_capacity(count);
    let mut accounts: Vec<i64> = Vec::with_capacity(count);
    let mut sides: Vec<&'static str> = Vec::with_capacity(count);
    let mut quantities: Vec<String> = Vec::with_capacity(count);
    let mut listed: Vec<bool> = Vec::with_capacity(count);
    for entry in entries {
        for (index, posting) in entry.postings.iter().enumerate() {
            seqs.push(entry.seq);
            lines.push(line(act, entry, index)?);
            accounts.push(posting.account_number);
            sides.push(posting.side.as_str());
            quantities.push(units(posting.quantity));
            listed.push(posting.account.owner().is_some());
        }
    }
    Ok(statement.bind(seqs).bind(lines).bind(accounts).bind(sides).bind(quantities).bind(listed))
}

fn bind_events(
    act: &'static str,
    statement: Statement<'static>,
    events: &[Event],
) -> Result<Statement<'static>, StoreError> {
    let snapshots = snapshots(act, events)?;
    Ok(statement
        .bind(events.iter().map(|event| event.seq).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.kind.as_str()).collect::<Vec<_>>())
        .bind(
            events
                .iter()
                .map(|event| event.account.as_ref().map(inspay_primitives::AccountId::as_str))
                .collect::<Vec<_>>(),
        )
        .bind(events.iter().map(|event| event.order.map(|id| id.uuid())).collect::<Vec<_>>())
        .bind(
            events
                .iter()
                .map(|event| event.transfer.as_ref().map(|id| id.digest().as_slice()))
                .collect::<Vec<_>>(),
        )
        .bind(events.iter().map(|event| event.entry_seq).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.created_at.micros()).collect::<Vec<_>>())
        .bind(snapshots))
}

fn bind_moved(statement: Statement<'static>, rows: &BatchRows) -> Statement<'static> {
    let changed = &rows.lots_changed;
    statement
        .bind(changed.iter().map(|(id, _)| id.entry_seq).collect::<Vec<_>>())
        .bind(changed.iter().map(|(id, _)| id.index).collect::<Vec<_>>())
        .bind(changed.iter().map(|(_, parts)| parts.left.micros()).collect::<Vec<_>>())
        .bind(changed.iter().map(|(_, parts)| parts.held.micros()).collect::<Vec<_>>())
        .bind(changed.iter().map(|(_, parts)| parts.spent.micros()).collect::<Vec<_>>())
        .bind(changed.iter().map(|(_, parts)| parts.expired.micros()).collect::<Vec<_>>())
        .bind(changed.iter().map(|(_, parts)| parts.taken.micros()).collect::<Vec<_>>())
        .bind(changed.iter().map(|(_, parts)| parts.revoked).collect::<Vec<_>>())
        .bind(changed.iter().map(|(_, parts)| parts.warned).collect::<Vec<_>>())
}

fn bind_head(statement: Statement<'static>, head: Option<&Head>) -> Statement<'static> {
    statement
        .bind(head.map(|head| head.entry_seq))
        .bind(head.map(|head| head.entry_hash.to_vec()))
        .bind(head.map(|head| head.event_seq))
        .bind(head.map(|head| head.account_number))
        .bind(head.map(|head| head.booked_at.micros()))
}
