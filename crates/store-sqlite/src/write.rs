//! Writes what a batch decided: one bulk statement per table.
//!
//! Never reads back what it writes: sums, hashes and numbers were made by the ledger.

use inspay_ledger::{
    AccountBalance, BatchRows, BookAccount, Entry, Event, Head, Lot, OperationRow, Posting,
    Reversal, Settlement, TransferMark, Unit,
};
use inspay_ports::{StoreError, StoreErrorKind};
use inspay_primitives::{AccountId, Label, OrderId, OrderProgress};

use crate::{
    bulk::{Bulk, Row},
    cases,
    columns::units,
    error::wrong,
    script::Script,
    session::{Session, missing_rows},
    spending::{self, lot_parts},
};

macro_rules! moved_head {
    () => {
        "entry_seq = COALESCE(moved.entry_seq, ledger_head.entry_seq), \
         entry_hash = COALESCE(moved.entry_hash, ledger_head.entry_hash), \
         event_seq = COALESCE(moved.event_seq, ledger_head.event_seq), \
         account_number = COALESCE(moved.account_number, ledger_head.account_number), \
         booked_at = COALESCE(moved.booked_at, ledger_head.booked_at), revision = ledger_head.revision + 1"
    };
}

const NEW_ACCOUNTS: Bulk = Bulk {
    before: "INSERT INTO book_account (number, account, unit, debits, credits) VALUES ",
    columns: 5,
    after: "",
};

const BALANCES: Bulk = Bulk {
    before: "WITH sums (number, debits, credits) AS (VALUES ",
    columns: 3,
    after: ") UPDATE book_account SET debits = sums.debits, credits = sums.credits FROM sums \
         WHERE book_account.number = sums.number",
};

const ENTRIES: Bulk = Bulk {
    before: "INSERT INTO entry (seq, kind, operation_key, event_at, booked_at, transfer_id, order_id, reverses, \
         previous_hash, hash, version, facts) VALUES ",
    columns: 12,
    after: "",
};

const POSTINGS: Bulk = Bulk {
    before: "INSERT INTO posting (entry_seq, line, account_number, side, quantity, listed) VALUES ",
    columns: 6,
    after: "",
};

const OPERATIONS: Bulk = Bulk {
    before: "INSERT INTO operation (key, fingerprint, entry_seq, done_at, refusal) VALUES ",
    columns: 5,
    after: "",
};

const EVENTS: Bulk = Bulk {
    before: "INSERT INTO event (seq, kind, account, order_id, transfer_id, entry_seq, created_at, snapshot) VALUES ",
    columns: 8,
    after: "",
};

const SETTLEMENTS: Bulk = Bulk {
    before: "INSERT INTO settlement (transfer_id, generation, kind, order_id, evidence, suspense, ignored, candidates, \
         base_units, credits, usd_value, block_hash, entry_seq, settled_at) VALUES ",
    columns: 14,
    after: "",
};

const REVERSALS: Bulk = Bulk {
    before: "INSERT INTO reversal (transfer_id, generation, entry_seq, reversed_at) VALUES ",
    columns: 4,
    after: "",
};

const NEW_LOTS: Bulk = Bulk {
    before: "INSERT INTO lot (entry_seq, lot_index, account, source, order_id, transfer_id, granted, credits_left, \
         granted_at, expires_at, paid, campaign, scope, priority, held, spent, expired, taken, revoked, warned) VALUES ",
    columns: 20,
    after: "",
};

const LOTS_CHANGED: Bulk = Bulk {
    before: "WITH now (entry_seq, lot_index, credits_left, held, spent, expired, taken, revoked, warned) AS (VALUES ",
    columns: 9,
    after: ") UPDATE lot SET credits_left = now.credits_left, held = now.held, spent = now.spent, \
         expired = now.expired, taken = now.taken, revoked = now.revoked, warned = now.warned FROM now \
         WHERE lot.entry_seq = now.entry_seq AND lot.lot_index = now.lot_index",
};

const TRANSFERS: Bulk = Bulk {
    before: "WITH mark (id, generation, settled_block_hash, reference_read, reference) AS (VALUES ",
    columns: 5,
    after: ") UPDATE transfer SET generation = mark.generation, settled_block_hash = mark.settled_block_hash, \
         reference_read = MAX(transfer.reference_read, mark.reference_read), \
         reference = CASE mark.reference_read WHEN 1 THEN mark.reference ELSE transfer.reference END \
         FROM mark WHERE transfer.id = mark.id",
};

/// Whether an order's slot is held is not the ledger's to say.
const ORDERS: Bulk = Bulk {
    before: "WITH progress (id, state, received_base_units, credited, closed) AS (VALUES ",
    columns: 5,
    after: ") UPDATE orders SET state = progress.state, received_base_units = progress.received_base_units, \
         credited = progress.credited, closed = progress.closed FROM progress WHERE orders.id = progress.id",
};

/// The head is at another revision afterwards, whether or not the journal has grown.
const HEAD: Bulk = Bulk {
    before: "WITH moved (entry_seq, entry_hash, event_seq, account_number, booked_at) AS (VALUES ",
    columns: 5,
    after: concat!(
        ") UPDATE ledger_head SET ",
        moved_head!(),
        " FROM moved WHERE ledger_head.singleton = 1"
    ),
};

/// As [`HEAD`], where the head is still at a revision.
const HEAD_AT: &str = concat!(
    "WITH moved (entry_seq, entry_hash, event_seq, account_number, booked_at, revision) AS (VALUES (?, ?, ?, ?, ?, ?)) \
     UPDATE ledger_head SET ",
    moved_head!(),
    " FROM moved WHERE ledger_head.singleton = 1 AND ledger_head.revision = moved.revision",
);

/// Up to as many entries are written by a script: their tables take few different numbers of rows, so that few texts
/// are prepared.
const SCRIPT_ENTRIES_MAX: usize = 2;

/// Writes the rows of one batch that was decided at a revision of the head; `false` where the head has moved since: then
/// the unit of work must be let go of, as after an error.
pub(crate) async fn write_at(
    session: &mut Session,
    rows: &BatchRows,
    revision: i64,
) -> Result<bool, StoreError> {
    write_cases(session, rows).await?;
    let mut moving = Script::default();
    moving.add(HEAD_AT, |row| {
        head(&rows.head, row);
        row.put(revision);
    });
    if rows.entries.len() <= SCRIPT_ENTRIES_MAX {
        add_rows(&mut moving, rows).map_err(wrong(session.act))?;
        return Ok(session.script(moving).await?.first() == Some(&1));
    }
    if session.script(moving).await?.first() != Some(&1) {
        return Ok(false);
    }
    write_journal(session, rows).await?;
    write_marks(session, rows).await?;
    Ok(true)
}

/// Writes the rows of one batch in a unit of work that has read the head: a small one by one script, since a buyer waits
/// for it.
pub(crate) async fn write(session: &mut Session, rows: &BatchRows) -> Result<(), StoreError> {
    write_cases(session, rows).await?;
    let heads = std::slice::from_ref(&rows.head);
    if rows.entries.len() <= SCRIPT_ENTRIES_MAX {
        let mut script = Script::default();
        add_rows(&mut script, rows).map_err(wrong(session.act))?;
        script.bulk(&HEAD, heads, head);
        return session.script(script).await.map(drop);
    }
    write_journal(session, rows).await?;
    write_marks(session, rows).await?;
    change(session, &HEAD, heads, head).await
}

async fn write_cases(session: &mut Session, rows: &BatchRows) -> Result<(), StoreError> {
    cases::open_cases(session, &rows.cases_opened).await?;
    cases::resolve_cases(session, &rows.cases_resolved).await.map(drop)
}

fn add_rows(script: &mut Script, rows: &BatchRows) -> Result<(), StoreErrorKind> {
    let (new, known): (Vec<_>, Vec<_>) = rows.balances.iter().partition(|(.., is_new)| *is_new);
    script.bulk(&NEW_ACCOUNTS, &new, account);
    script.bulk(&BALANCES, &known, balance);
    script.bulk(&ENTRIES, &rows.entries, entry);
    script.bulk(&POSTINGS, &lines(&rows.entries)?, posting);
    script.bulk(&OPERATIONS, &refusals(&rows.operations)?, operation);
    script.bulk(&EVENTS, &snapshots(&rows.events)?, event);
    script.bulk(&SETTLEMENTS, &rows.settlements, settlement);
    script.bulk(&REVERSALS, &rows.reversals, reversal);
    script.bulk(&NEW_LOTS, &rows.new_lots, lot);
    script.bulk(&LOTS_CHANGED, &rows.lots_changed, lot_parts);
    spending::add_writes(script, rows)?;
    script.bulk(&TRANSFERS, &rows.transfers, mark);
    script.bulk(&ORDERS, &rows.orders, progress);
    Ok(())
}

fn snapshots(events: &[Event]) -> Result<Vec<(&Event, String)>, StoreErrorKind> {
    events
        .iter()
        .map(|event| serde_json::to_string(&event.snapshot).map(|snapshot| (event, snapshot)))
        .collect::<Result<_, _>>()
        .map_err(|error| StoreErrorKind::Refused(error.to_string()))
}

async fn write_journal(session: &mut Session, rows: &BatchRows) -> Result<(), StoreError> {
    let (new, known): (Vec<_>, Vec<_>) = rows.balances.iter().partition(|(.., is_new)| *is_new);
    session.bulk(&NEW_ACCOUNTS, &new, account).await?;
    change(session, &BALANCES, &known, balance).await?;
    session.bulk(&ENTRIES, &rows.entries, entry).await?;
    let postings = lines(&rows.entries).map_err(wrong(session.act))?;
    session.bulk(&POSTINGS, &postings, posting).await?;
    let operations = refusals(&rows.operations).map_err(wrong(session.act))?;
    session.bulk(&OPERATIONS, &operations, operation).await?;
    let events = snapshots(&rows.events).map_err(wrong(session.act))?;
    session.bulk(&EVENTS, &events, event).await.map(drop)
}

async fn write_marks(session: &mut Session, rows: &BatchRows) -> Result<(), StoreError> {
    session.bulk(&SETTLEMENTS, &rows.settlements, settlement).await?;
    session.bulk(&REVERSALS, &rows.reversals, reversal).await?;
    session.bulk(&NEW_LOTS, &rows.new_lots, lot).await?;
    change(session, &LOTS_CHANGED, &rows.lots_changed, lot_parts).await?;
    spending::write(session, rows).await?;
    change(session, &TRANSFERS, &rows.transfers, mark).await?;
    change(session, &ORDERS, &rows.orders, progress).await
}

/// Changes rows that are there: one that is not would be lost without a word.
pub(crate) async fn change<T: Sync>(
    session: &mut Session,
    bulk: &Bulk,
    rows: &[T],
    bind: fn(&T, &mut Row),
) -> Result<(), StoreError> {
    let changed = session.bulk(bulk, rows, bind).await?;
    let wanted = u64::try_from(rows.len()).unwrap_or(u64::MAX);
    if changed == wanted { Ok(()) } else { Err(wrong(session.act)(missing_rows(wanted, changed))) }
}

fn head(head: &Option<Head>, row: &mut Row) {
    row.put(head.map(|head| head.entry_seq))
        .put(head.map(|head| head.entry_hash.to_vec()))
        .put(head.map(|head| head.event_seq))
        .put(head.map(|head| head.account_number))
        .put(head.map(|head| head.booked_at.micros()));
}

type Balance = (BookAccount, Unit, AccountBalance, bool);

fn account((account, unit, sums, _): &&Balance, row: &mut Row) {
    row.put(sums.number)
        .put(account.to_string())
        .put(unit.to_string())
        .put(units(sums.debits))
        .put(units(sums.credits));
}

fn balance((_, _, sums, _): &&Balance, row: &mut Row) {
    row.put(sums.number).put(units(sums.debits)).put(units(sums.credits));
}

fn entry(entry: &Entry, row: &mut Row) {
    row.put(entry.seq)
        .put(entry.kind.as_str())
        .put(entry.operation.as_str())
        .put(entry.event_at.micros())
        .put(entry.booked_at.micros())
        .put(entry.transfer.as_ref().map(|id| id.digest().as_slice()))
        .put(entry.order.map(OrderId::uuid))
        .put(entry.reverses)
        .put(entry.previous_hash.as_slice())
        .put(entry.hash.as_slice())
        .put(entry.version)
        .put(entry.facts.as_deref());
}

/// A posting with its entry and its place there.
type Line<'a> = (i64, i16, &'a Posting);

fn lines(entries: &[Entry]) -> Result<Vec<Line<'_>>, StoreErrorKind> {
    let count = entries.iter().map(|entry| entry.postings.len()).sum();
    let mut lines = Vec::with_capacity(count);
    for entry in entries {
        for (line, posting) in entry.postings.iter().enumerate() {
            let line = i16::try_from(line).map_err(|_| {
                let why = format!("entry {} has more lines than can be numbered", entry.seq);
                StoreErrorKind::Refused(why)
            })?;
            lines.push((entry.seq, line, posting));
        }
    }
    Ok(lines)
}

fn posting((entry_seq, line, posting): &Line<'_>, row: &mut Row) {
    row.put(*entry_seq)
        .put(*line)
        .put(posting.account_number)
        .put(posting.side.as_str())
        .put(units(posting.quantity))
        .put(posting.account.owner().is_some());
}

fn refusals(
    operations: &[OperationRow],
) -> Result<Vec<(&OperationRow, Option<String>)>, StoreErrorKind> {
    let text = |operation: &OperationRow| {
        operation.refusal.map(|refusal| serde_json::to_string(&refusal)).transpose()
    };
    operations
        .iter()
        .map(|operation| text(operation).map(|text| (operation, text)))
        .collect::<Result<_, _>>()
        .map_err(|error| StoreErrorKind::Refused(error.to_string()))
}

fn operation((operation, refusal): &(&OperationRow, Option<String>), row: &mut Row) {
    row.put(operation.key.as_str())
        .put(operation.fingerprint.as_slice())
        .put(operation.entry_seq)
        .put(operation.done_at.micros())
        .put(refusal.as_deref());
}

fn event((event, snapshot): &(&Event, String), row: &mut Row) {
    row.put(event.seq)
        .put(event.kind.as_str())
        .put(event.account.as_ref().map(AccountId::as_str))
        .put(event.order.map(OrderId::uuid))
        .put(event.transfer.as_ref().map(|id| id.digest().as_slice()))
        .put(event.entry_seq)
        .put(event.created_at.micros())
        .put(snapshot.as_str());
}

fn settlement(settled: &Settlement, row: &mut Row) {
    let candidates: Vec<u8> =
        settled.candidates.iter().flat_map(|id| id.uuid().into_bytes()).collect();
    row.put(settled.transfer.digest().as_slice())
        .put(settled.generation)
        .put(settled.kind.as_str())
        .put(settled.order.map(OrderId::uuid))
        .put(settled.evidence.map(|why| why.as_str()))
        .put(settled.suspense.map(|why| why.as_str()))
        .put(settled.ignored.map(|why| why.as_str()))
        .put(candidates)
        .put(units(settled.base_units))
        .put(settled.credits.micros())
        .put(settled.value.map(|usd| usd.to_string()))
        .put(settled.block_hash.as_slice())
        .put(settled.entry_seq)
        .put(settled.settled_at.micros());
}

fn reversal(reversed: &Reversal, row: &mut Row) {
    row.put(reversed.transfer.digest().as_slice())
        .put(reversed.generation)
        .put(reversed.entry_seq)
        .put(reversed.reversed_at.micros());
}

fn lot(lot: &Lot, row: &mut Row) {
    row.put(lot.id.entry_seq)
        .put(lot.id.index)
        .put(lot.account.as_str())
        .put(lot.source.as_str())
        .put(lot.order.map(OrderId::uuid))
        .put(lot.transfer.as_ref().map(|id| id.digest().as_slice()))
        .put(lot.granted.micros())
        .put(lot.parts.left.micros())
        .put(lot.granted_at.micros())
        .put(lot.expires_at.micros())
        .put(lot.paid.map(|usd| usd.to_string()))
        .put(lot.campaign.as_ref().map(Label::as_str))
        .put(lot.scope.as_ref().map(Label::as_str))
        .put(lot.priority)
        .put(lot.parts.held.micros())
        .put(lot.parts.spent.micros())
        .put(lot.parts.expired.micros())
        .put(lot.parts.taken.micros())
        .put(lot.parts.revoked)
        .put(lot.parts.warned);
}

fn mark(mark: &TransferMark, row: &mut Row) {
    row.put(mark.transfer.digest().as_slice())
        .put(mark.generation)
        .put(mark.settled_block.map(|hash| hash.to_vec()))
        .put(mark.reference.is_some())
        .put(mark.reference.flatten().map(|reference| reference.bytes().to_vec()));
}

fn progress((id, now): &(OrderId, OrderProgress), row: &mut Row) {
    row.put(id.uuid())
        .put(now.state.as_str())
        .put(units(now.received_base_units))
        .put(now.credited.micros())
        .put(now.closed);
}
