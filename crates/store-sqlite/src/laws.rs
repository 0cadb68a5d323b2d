//! The laws over what is stored: SQL finds the rows, and sums of base units are made in 256 bits and more.
//!
//! Of each law at most a hundred rows are told. Never repairs: a row it returns is for people. Reads row by row, so
//! memory stays flat.

use std::collections::BTreeMap;

use alloy_primitives::U512;
use futures::TryStreamExt as _;
use inspay_ports::{LawViolation, StoreError};
use inspay_primitives::U256;

use crate::{
    codec::{Fields, Read},
    error::wrong,
    session::{Session, cold},
};

/// One way to look whether a law holds.
enum Check {
    /// Rows only where it is broken, as one text in the column `broken`.
    Rows(&'static str),
    /// What must add up: for each `place`, one after another, and `subject` in it, the quantities with `plus` equal
    /// those without; less may be there where a row of the place is `excused`.
    Sums(&'static str),
    /// Orders: paid means received, less the tolerance, reached the due amount.
    Paid(&'static str),
}

/// What an entry and the one before it show: who reads every entry need not ask. Entries without gaps have whatever is
/// not beyond their ends.
const ENTRY_LAWS: [(&str, &[Check]); 3] = [
    (
        "entry_balances",
        &[Check::Sums(ENTRY_SUMS), Check::Rows(ENTRIES_POSTED), Check::Rows(POSTINGS_OF_ENTRIES)],
    ),
    ("entries_chained", &[Check::Rows(ENTRIES_CHAINED)]),
    ("lots_moved", &[Check::Rows(MOVES_OF_ENTRIES)]),
];

/// Every other law with how it is looked at.
const LAWS: [(&str, &[Check]); 16] = [
    ("entry_balances", &[Check::Rows(POSTINGS_BEYOND)]),
    ("balances_equal_postings", &[Check::Sums(BALANCE_SUMS)]),
    ("entries_chained", &[Check::Rows(HEAD_IS_LAST)]),
    ("operations_once", &[Check::Rows(OPERATIONS_ONCE)]),
    ("settled_once", &[Check::Rows(SETTLED_ONCE)]),
    ("settled_flag", &[Check::Rows(SETTLED_FLAG)]),
    ("settlement_posted", &[Check::Rows(SETTLEMENT_POSTED)]),
    ("treasury_equals_settled", &[Check::Sums(TREASURY_SUMS)]),
    ("lots_moved", &[Check::Rows(LOTS_MOVED), Check::Rows(MOVES_BEYOND)]),
    ("lots_equal_balance", &[Check::Sums(LOT_SUMS)]),
    ("holds_end_once", &[Check::Sums(HOLD_SUMS), Check::Rows(HOLDS_END_ONCE)]),
    ("usage_adds_up", &[Check::Rows(USAGE_MOVED)]),
    ("windows_add_up", &[Check::Rows(WINDOWS_ADD_UP)]),
    ("events_gapless", &[Check::Rows(EVENTS_GAPLESS)]),
    ("observations_agree", &[Check::Rows(OBSERVATIONS_AGREE)]),
    (
        "order_progress",
        &[Check::Sums(ORDER_SUMS), Check::Paid(ORDERS_PAID), Check::Rows(EXPIRED_CLOSED)],
    ),
];

/// Postings of an entry sum to zero per unit.
const ENTRY_SUMS: &str = "SELECT 'entry ' || p.entry_seq AS place, COALESCE(b.unit, 'no unit') AS subject, \
         p.side = 'debit' AS plus, p.quantity, 0 AS excused \
     FROM posting p LEFT JOIN book_account b ON b.number = p.account_number ORDER BY p.entry_seq";

/// Every entry has postings.
const ENTRIES_POSTED: &str = "SELECT FORMAT('entry %s has no posting', e.seq) AS broken FROM entry e \
     WHERE NOT EXISTS (SELECT 1 FROM posting p WHERE p.entry_seq = e.seq)";

/// No posting is without its entry.
const POSTINGS_OF_ENTRIES: &str = "SELECT FORMAT('posting %s/%s has no entry', p.entry_seq, p.line) AS broken \
     FROM posting p WHERE NOT EXISTS (SELECT 1 FROM entry e WHERE e.seq = p.entry_seq)";

/// As [`POSTINGS_OF_ENTRIES`], where entries are known to have no gaps.
const POSTINGS_BEYOND: &str = "SELECT FORMAT('posting %s/%s has no entry', entry_seq, line) AS broken FROM posting \
     WHERE entry_seq < 1 \
     UNION ALL SELECT FORMAT('posting %s/%s has no entry', entry_seq, line) FROM posting \
     WHERE entry_seq > (SELECT COALESCE(MAX(seq), 0) FROM entry)";

/// Balances equal the sum of postings, and every posting is on an account of the chart. Quantities that 64 bits hold are
/// added up in limbs of six digits, which no number of rows makes too large; the few others one by one.
const BALANCE_SUMS: &str = "WITH sums AS MATERIALIZED (\
         SELECT account_number AS number, IIF(side = 'debit', 'debits', 'credits') AS subject, \
             SUM(small % 1000000) AS low, SUM(small / 1000000 % 1000000) AS mid, \
             SUM(small / 1000000000000) AS high \
         FROM (SELECT account_number, side, CAST(quantity AS INTEGER) AS small FROM posting \
             WHERE octet_length(quantity) <= 18) GROUP BY account_number, side) \
     SELECT 'account ' || number AS place, 'debits' AS subject, 1 AS plus, debits AS quantity, 0 AS excused, number \
     FROM book_account \
     UNION ALL SELECT 'account ' || number, 'credits', 1, credits, 0, number FROM book_account \
     UNION ALL SELECT 'account ' || number, subject, 0, CAST(low AS TEXT), 0, number FROM sums \
     UNION ALL SELECT 'account ' || number, subject, 0, mid || '000000', 0, number FROM sums WHERE mid > 0 \
     UNION ALL SELECT 'account ' || number, subject, 0, high || '000000000000', 0, number FROM sums WHERE high > 0 \
     UNION ALL SELECT 'account ' || account_number, IIF(side = 'debit', 'debits', 'credits'), 0, quantity, 0, \
         account_number FROM posting WHERE octet_length(quantity) > 18 \
     ORDER BY number";

/// Entries are numbered from one without gaps, and each carries the hash of the one before.
const ENTRIES_CHAINED: &str = "SELECT FORMAT('entry %s does not follow entry %s', seq, before_seq) AS broken FROM (\
         SELECT seq, previous_hash, booked_at, LAG(seq, 1, 0) OVER link AS before_seq, \
             LAG(hash, 1, zeroblob(32)) OVER link AS before_hash, \
             LAG(booked_at, 1, booked_at) OVER link AS before_booked \
         FROM entry WINDOW link AS (ORDER BY seq)) \
     WHERE seq <> before_seq + 1 OR previous_hash <> before_hash OR booked_at < before_booked";

/// The head is the last entry.
const HEAD_IS_LAST: &str = "SELECT FORMAT('the head is at entry %s, the newest is %s', h.entry_seq, last.seq) AS broken \
     FROM ledger_head h LEFT JOIN (SELECT seq, hash FROM entry ORDER BY seq DESC LIMIT 1) AS last ON TRUE \
     WHERE h.entry_seq <> COALESCE(last.seq, 0) OR h.entry_hash <> COALESCE(last.hash, zeroblob(32)) \
     UNION ALL SELECT FORMAT('the head gave out account %s, the newest is %s', h.account_number, newest.number) \
     FROM ledger_head h CROSS JOIN (SELECT COALESCE(MAX(number), 0) AS number FROM book_account) AS newest \
     WHERE h.account_number <> newest.number";

/// An entry has exactly one operation, and an operation that made an entry made that one. Where each of those made an
/// entry of its own key, entries without one are told by their number.
const OPERATIONS_ONCE: &str = "SELECT FORMAT('entry %s is of operation %s, which made entry %s', \
         e.seq, e.operation_key, o.entry_seq) AS broken \
     FROM entry e LEFT JOIN operation o ON o.key = e.operation_key \
     WHERE (SELECT COUNT(*) FROM entry) <> (SELECT COUNT(entry_seq) FROM operation) AND o.entry_seq IS NOT e.seq \
     UNION ALL SELECT FORMAT('operation %s made entry %s, which is of operation %s', \
         o.key, o.entry_seq, e.operation_key) \
     FROM operation o LEFT JOIN entry e ON e.seq = o.entry_seq \
     WHERE o.entry_seq IS NOT NULL AND e.operation_key IS NOT o.key";

/// Each generation of a transfer but the last was reversed before the next was settled.
const SETTLED_ONCE: &str = "SELECT FORMAT('transfer %s has %s settlements in force', \
         lower(hex(s.transfer_id)), COUNT(*)) AS broken \
     FROM settlement s LEFT JOIN reversal r ON r.transfer_id = s.transfer_id AND r.generation = s.generation \
     WHERE r.transfer_id IS NULL GROUP BY s.transfer_id HAVING COUNT(*) > 1 \
     UNION ALL SELECT FORMAT('reversal %s/%s has nothing to take back', lower(hex(r.transfer_id)), r.generation) \
     FROM reversal r WHERE NOT EXISTS (\
         SELECT 1 FROM settlement s WHERE s.transfer_id = r.transfer_id AND s.generation = r.generation)";

/// A transfer's row says what its settlement in force says, and its generation counts its reversals.
const SETTLED_FLAG: &str = "SELECT FORMAT('transfer %s at generation %s: row says %s, settlement says %s', \
         lower(hex(t.id)), t.generation, lower(hex(t.settled_block_hash)), lower(hex(s.block_hash))) AS broken \
     FROM transfer t LEFT JOIN settlement s ON s.transfer_id = t.id AND s.generation = t.generation \
         AND NOT EXISTS (\
             SELECT 1 FROM reversal r WHERE r.transfer_id = t.id AND r.generation = t.generation) \
     WHERE t.settled_block_hash IS NOT s.block_hash \
     UNION ALL SELECT FORMAT('settlement %s/%s is in force, its transfer is not there or at another generation', \
         lower(hex(s.transfer_id)), s.generation) \
     FROM settlement s WHERE NOT EXISTS (\
             SELECT 1 FROM reversal r WHERE r.transfer_id = s.transfer_id AND r.generation = s.generation) \
         AND NOT EXISTS (SELECT 1 FROM transfer t WHERE t.id = s.transfer_id AND t.generation = s.generation) \
     UNION ALL SELECT FORMAT('transfer %s is at generation %s after %s reversals', \
         lower(hex(id)), generation, reversals) \
     FROM (SELECT t.id, t.generation, (\
         SELECT COUNT(*) FROM reversal r WHERE r.transfer_id = t.id) AS reversals FROM transfer t) \
     WHERE generation <> reversals";

/// A settlement has an entry about its transfer or a reason to be ignored; so has what takes it back.
const SETTLEMENT_POSTED: &str = "SELECT FORMAT('settlement %s/%s of kind %s has entry %s', \
         lower(hex(s.transfer_id)), s.generation, s.kind, s.entry_seq) AS broken \
     FROM settlement s LEFT JOIN entry e ON e.seq = s.entry_seq AND e.transfer_id = s.transfer_id \
     WHERE (s.kind = 'ignored') <> (s.entry_seq IS NULL) OR (s.entry_seq IS NOT NULL AND e.seq IS NULL) \
     UNION ALL SELECT FORMAT('reversal %s/%s has entry %s', lower(hex(r.transfer_id)), r.generation, r.entry_seq) \
     FROM reversal r JOIN settlement s ON s.transfer_id = r.transfer_id AND s.generation = r.generation \
     LEFT JOIN entry e ON e.seq = r.entry_seq AND e.transfer_id = r.transfer_id AND e.reverses = s.entry_seq \
     WHERE (s.kind = 'ignored') <> (r.entry_seq IS NULL) OR (r.entry_seq IS NOT NULL AND e.seq IS NULL)";

/// What the books say the treasuries hold of an asset is what was settled in, less what was settled out.
const TREASURY_SUMS: &str = "SELECT unit AS place, 'held' AS subject, 1 AS plus, debits AS quantity, 0 AS excused \
     FROM book_account WHERE account = 'treasury' \
     UNION ALL SELECT unit, 'held', 0, credits, 0 FROM book_account WHERE account = 'treasury' \
     UNION ALL SELECT FORMAT('eip155:%s/erc20:0x%s', t.chain_id, lower(hex(t.token))), 'held', \
         s.kind = 'withdrawal', s.base_units, 0 \
     FROM settlement s JOIN transfer t ON t.id = s.transfer_id \
     WHERE s.kind <> 'ignored' AND NOT EXISTS (\
         SELECT 1 FROM reversal r WHERE r.transfer_id = s.transfer_id AND r.generation = s.generation) \
     ORDER BY place";

/// A lot's parts are what was granted and what entries moved, and an entry granted it.
const LOTS_MOVED: &str = "SELECT FORMAT('lot %s/%s: %s left, %s held, %s spent, %s expired, %s taken of %s', \
         l.entry_seq, l.lot_index, l.credits_left, l.held, l.spent, l.expired, l.taken, l.granted) AS broken \
     FROM lot l LEFT JOIN (SELECT lot_entry_seq, lot_index, \
         SUM(credits * ((to_bucket = 'left') - (from_bucket = 'left'))) AS to_left, \
         SUM(credits * ((to_bucket = 'held') - (from_bucket = 'held'))) AS to_held, \
         SUM(credits * ((to_bucket = 'spent') - (from_bucket = 'spent'))) AS to_spent, \
         SUM(credits * ((to_bucket = 'expired') - (from_bucket = 'expired'))) AS to_expired, \
         SUM(credits * ((to_bucket = 'taken') - (from_bucket = 'taken'))) AS to_taken \
         FROM lot_move GROUP BY lot_entry_seq, lot_index) AS m \
         ON m.lot_entry_seq = l.entry_seq AND m.lot_index = l.lot_index \
     WHERE l.credits_left <> l.granted + COALESCE(m.to_left, 0) OR l.held <> COALESCE(m.to_held, 0) \
         OR l.spent <> COALESCE(m.to_spent, 0) OR l.expired <> COALESCE(m.to_expired, 0) \
         OR l.taken <> COALESCE(m.to_taken, 0) \
         OR l.granted <> l.credits_left + l.held + l.spent + l.expired + l.taken \
         OR NOT EXISTS (SELECT 1 FROM entry e WHERE e.seq = l.entry_seq) \
     UNION ALL SELECT FORMAT('entry %s moves lot %s/%s, which is not there', m.entry_seq, m.lot_entry_seq, m.lot_index) \
     FROM (SELECT lot_entry_seq, lot_index, MIN(entry_seq) AS entry_seq FROM lot_move \
         GROUP BY lot_entry_seq, lot_index) AS m WHERE NOT EXISTS (\
         SELECT 1 FROM lot l WHERE l.entry_seq = m.lot_entry_seq AND l.lot_index = m.lot_index)";

/// An entry moved what was moved.
const MOVES_OF_ENTRIES: &str = "SELECT FORMAT('a lot is moved by entry %s, which is not there', m.entry_seq) AS broken \
     FROM lot_move m NOT INDEXED WHERE NOT EXISTS (SELECT 1 FROM entry e WHERE e.seq = m.entry_seq)";

/// As [`MOVES_OF_ENTRIES`], where entries are known to have no gaps.
const MOVES_BEYOND: &str = "SELECT FORMAT('a lot is moved by entry %s, which is not there', entry_seq) AS broken \
     FROM lot_move WHERE entry_seq < 1 \
     UNION ALL SELECT FORMAT('a lot is moved by entry %s, which is not there', entry_seq) FROM lot_move \
     WHERE entry_seq > (SELECT COALESCE(MAX(seq), 0) FROM entry)";

/// What an account's lots have left adds up to its credits, and what they have in holds to its held credits.
const LOT_SUMS: &str = "SELECT account AS place, 'credits' AS subject, 1 AS plus, credits AS quantity, 0 AS excused \
     FROM book_account WHERE unit = 'credits' \
         AND (account >= 'account:' AND account < 'account;' OR account >= 'held:' AND account < 'held;') \
     UNION ALL SELECT account, 'credits', 0, debits, 0 FROM book_account WHERE unit = 'credits' \
         AND (account >= 'account:' AND account < 'account;' OR account >= 'held:' AND account < 'held;') \
     UNION ALL SELECT 'account:' || account, 'credits', 0, CAST(MAX(credits_left, 0) AS TEXT), 0 FROM lot \
     UNION ALL SELECT 'held:' || account, 'credits', 0, CAST(MAX(held, 0) AS TEXT), 0 FROM lot \
     ORDER BY place";

/// What is held is what open holds have, and an ended hold has one end.
const HOLD_SUMS: &str = "SELECT account AS place, 'credits' AS subject, 1 AS plus, credits AS quantity, 0 AS excused \
     FROM book_account WHERE unit = 'credits' AND account >= 'held:' AND account < 'held;' \
     UNION ALL SELECT account, 'credits', 0, debits, 0 \
     FROM book_account WHERE unit = 'credits' AND account >= 'held:' AND account < 'held;' \
     UNION ALL SELECT 'held:' || account, 'credits', 0, CAST(credits AS TEXT), 0 FROM hold WHERE is_open = 1 \
     ORDER BY place";

/// Where every ended hold has its end, ends of no hold are told by their number.
const HOLDS_END_ONCE: &str = "SELECT FORMAT('hold %s is open: %s, ended: %s, by entry %s', \
         lower(hex(h.id)), h.is_open, r.kind, r.entry_seq) AS broken \
     FROM hold h LEFT JOIN hold_resolution r ON r.hold_id = h.id \
     WHERE (h.is_open = 1) <> (r.hold_id IS NULL) OR r.captured > h.credits \
         OR h.credits <> (SELECT COALESCE(SUM(m.credits), 0) FROM lot_move m \
             WHERE m.entry_seq = h.entry_seq AND m.to_bucket = 'held') \
     UNION ALL SELECT FORMAT('the end of hold %s is of no hold', lower(hex(r.hold_id))) \
     FROM hold_resolution r \
     WHERE (SELECT COUNT(*) FROM hold_resolution) <> (SELECT COUNT(*) FROM hold WHERE is_open = 0) \
         AND NOT EXISTS (SELECT 1 FROM hold h WHERE h.id = r.hold_id)";

/// A spend is what its entry moved; days of usage add up to the spends.
const USAGE_MOVED: &str = "SELECT FORMAT('spend %s of %s moved something else', u.entry_seq, u.credits) AS broken \
     FROM usage u WHERE u.credits <> (SELECT COALESCE(SUM(m.credits), 0) FROM lot_move m \
         WHERE m.entry_seq = u.entry_seq AND m.to_bucket = 'spent') \
     UNION ALL SELECT FORMAT('the days of %s have %s of %s: %s less %s spends', \
         account, feature, project, SUM(by_day), SUM(by_spend)) \
     FROM (SELECT account, feature, project, spent - refunded AS by_day, 0 AS by_spend FROM usage_day \
         UNION ALL SELECT account, feature, COALESCE(project, ''), 0, credits - refunded FROM usage) \
     GROUP BY account, feature, project HAVING SUM(by_day) <> SUM(by_spend)";

/// A window of a limit in force has what was held and spent in it.
const WINDOWS_ADD_UP: &str = "SELECT FORMAT('limit %s has %s held and %s spent from %s on, there are %s and %s', \
         lower(hex(id)), w_held, w_spent, starts_at, held, spent) AS broken FROM (\
     SELECT l.id, w.starts_at, w.held AS w_held, w.spent AS w_spent, \
         (SELECT COALESCE(SUM(h.credits), 0) FROM hold h WHERE h.account = l.account AND h.is_open = 1 \
             AND h.made_at >= w.starts_at AND h.made_at < w.ends_at AND CASE l.scope \
             WHEN 'feature' THEN h.feature = l.scope_name WHEN 'project' THEN h.project = l.scope_name \
             WHEN 'session' THEN h.session = l.scope_name ELSE 1 END) AS held, \
         (SELECT COALESCE(SUM(u.credits - u.refunded), 0) FROM usage u WHERE u.account = l.account \
             AND u.counted_at >= w.starts_at AND u.counted_at < w.ends_at AND CASE l.scope \
             WHEN 'feature' THEN u.feature = l.scope_name WHEN 'project' THEN u.project = l.scope_name \
             WHEN 'session' THEN u.session = l.scope_name ELSE 1 END) AS spent \
     FROM usage_limit l JOIN limit_window w ON w.limit_id = l.id WHERE l.removed_at IS NULL) \
     WHERE w_held <> held OR w_spent <> spent";

/// Events are numbered from one without gaps up to the head.
const EVENTS_GAPLESS: &str = "SELECT FORMAT('event %s follows event %s', seq, before_seq) AS broken FROM (\
         SELECT seq, LAG(seq, 1, 0) OVER (ORDER BY seq) AS before_seq FROM event) \
     WHERE seq <> before_seq + 1 \
     UNION ALL SELECT FORMAT('the head is at event %s, the newest is %s', h.event_seq, newest.seq) \
     FROM ledger_head h CROSS JOIN (SELECT COALESCE(MAX(seq), 0) AS seq FROM event) AS newest \
     WHERE h.event_seq <> newest.seq";

/// A transfer is canonical exactly when its block is, as far as the window tells, but for one that the block, read
/// again, does not hold; every observation is of a transfer.
const OBSERVATIONS_AGREE: &str = "SELECT FORMAT('transfer %s is canonical: %s, its block: %s', lower(hex(t.id)), \
         t.canonical, b.canonical) AS broken \
     FROM block b JOIN transfer t \
         ON t.chain_id = b.chain_id AND t.block_number = b.number AND t.block_hash = b.hash \
     WHERE t.canonical <> b.canonical AND (t.canonical = 1 OR NOT EXISTS (\
         SELECT 1 FROM former_observation f WHERE f.transfer_id = t.id \
         AND f.block_hash = t.block_hash AND f.log_index = t.log_index)) \
     UNION ALL SELECT FORMAT('observation %s/%s is of no transfer', lower(hex(f.block_hash)), f.log_index) \
     FROM former_observation f WHERE NOT EXISTS (SELECT 1 FROM transfer t WHERE t.id = f.transfer_id)";

/// What an order has received is the sum of what was settled for it in time.
const ORDER_SUMS: &str = "SELECT 'order ' || lower(hex(id)) AS place, 'received' AS subject, 1 AS plus, \
         received_base_units AS quantity, 0 AS excused, id FROM orders \
     UNION ALL SELECT 'order ' || lower(hex(s.order_id)), 'received', 0, s.base_units, 0, s.order_id \
     FROM settlement s WHERE s.kind = 'order' AND NOT EXISTS (\
         SELECT 1 FROM reversal r WHERE r.transfer_id = s.transfer_id AND r.generation = s.generation) \
     ORDER BY id";

const ORDERS_PAID: &str = "SELECT lower(hex(id)) AS name, state, received_base_units, tolerance_base_units, \
     due_base_units FROM orders";

/// An order ends unpaid by being closed.
const EXPIRED_CLOSED: &str = "SELECT FORMAT('order %s is %s but not closed', lower(hex(id)), state) AS broken \
     FROM orders WHERE state = 'expired' AND closed = 0";

/// How many rows are told of each law: enough to see what is wrong.
const TOLD_MAX: usize = 100;

/// What breaks laws in the state that the session reads.
pub(crate) async fn broken(session: &mut Session) -> Result<Vec<LawViolation>, StoreError> {
    let mut broken = look(session, &ENTRY_LAWS).await?;
    broken.append(&mut beyond_entries(session).await?);
    Ok(broken)
}

/// As [`broken`], without what an entry and the one before it show.
pub(crate) async fn beyond_entries(session: &mut Session) -> Result<Vec<LawViolation>, StoreError> {
    look(session, &LAWS).await
}

async fn look(
    session: &mut Session,
    laws: &'static [(&'static str, &'static [Check])],
) -> Result<Vec<LawViolation>, StoreError> {
    let mut broken = Vec::new();
    for (law, checks) in laws {
        let mut told = Vec::new();
        for check in *checks {
            match check {
                Check::Rows(query) => listed(session, query, &mut told).await?,
                Check::Sums(query) => unequal(session, query, &mut told).await?,
                Check::Paid(query) => misjudged(session, query, &mut told).await?,
            }
        }
        broken.extend(told.into_iter().take(TOLD_MAX).map(|row| LawViolation { law, row }));
    }
    Ok(broken)
}

async fn listed(
    session: &mut Session,
    query: &'static str,
    told: &mut Vec<String>,
) -> Result<(), StoreError> {
    let wrong = wrong(session.act);
    let mut rows = session.stream(cold(query));
    while told.len() < TOLD_MAX
        && let Some(row) = rows.try_next().await?
    {
        told.push(Fields(&row).get("broken").map_err(&wrong)?);
    }
    Ok(())
}

async fn misjudged(
    session: &mut Session,
    query: &'static str,
    told: &mut Vec<String>,
) -> Result<(), StoreError> {
    let wrong = wrong(session.act);
    let mut rows = session.stream(cold(query));
    while told.len() < TOLD_MAX
        && let Some(row) = rows.try_next().await?
    {
        told.extend(misjudged_order(Fields(&row)).map_err(&wrong)?);
    }
    Ok(())
}

fn misjudged_order(fields: Fields<'_>) -> Read<Option<String>> {
    let (name, state): (&str, &str) = (fields.get("name")?, fields.get("state")?);
    let received = fields.units("received_base_units")?;
    let tolerance = fields.units("tolerance_base_units")?;
    let due = fields.units("due_base_units")?;
    let reached = received.checked_add(tolerance).is_none_or(|reached| reached >= due);
    let is_paid = !received.is_zero() && reached;
    Ok(((state == "paid") != is_paid)
        .then(|| format!("order {name} is {state}: received {received} of {due}")))
}

async fn unequal(
    session: &mut Session,
    query: &'static str,
    told: &mut Vec<String>,
) -> Result<(), StoreError> {
    let wrong = wrong(session.act);
    let mut sums = Sums::default();
    let mut rows = session.stream(cold(query));
    while told.len() < TOLD_MAX
        && let Some(row) = rows.try_next().await?
    {
        let fields = Fields(&row);
        if fields.get::<&str>("place").map_err(&wrong)? != sums.place {
            sums.tell(told);
        }
        sums.add(fields).map_err(&wrong)?;
    }
    sums.tell(told);
    Ok(())
}

/// Two sums of one subject.
#[derive(Default)]
struct Pair {
    plus: U512,
    minus: U512,
}

/// The sums of one place.
#[derive(Default)]
struct Sums {
    place: String,
    pairs: BTreeMap<String, Pair>,
    is_excused: bool,
}

impl Sums {
    fn add(&mut self, fields: Fields<'_>) -> Read<()> {
        let place: &str = fields.get("place")?;
        if self.place != place {
            place.clone_into(&mut self.place);
        }
        let subject: &str = fields.get("subject")?;
        if !self.pairs.contains_key(subject) {
            self.pairs.insert(subject.to_owned(), Pair::default());
        }
        // No number of rows that a file holds makes 512 bits too few.
        let quantity = widen(fields.units("quantity")?);
        if let Some(pair) = self.pairs.get_mut(subject) {
            let sum = if fields.get("plus")? { &mut pair.plus } else { &mut pair.minus };
            *sum = sum.saturating_add(quantity);
        }
        self.is_excused |= fields.get::<bool>("excused")?;
        Ok(())
    }

    /// Tells what is not equal, and begins anew.
    fn tell(&mut self, told: &mut Vec<String>) {
        let Self { place, pairs, is_excused } = std::mem::take(self);
        for (subject, Pair { plus, minus }) in pairs {
            if plus > minus || (plus < minus && !is_excused) {
                told.push(format!("{place}, {subject}: {plus} against {minus}"));
            }
        }
    }
}

fn widen(quantity: U256) -> U512 {
    let mut bytes = [0; 64];
    let (_, low) = bytes.split_at_mut(32);
    low.copy_from_slice(&quantity.to_be_bytes::<32>());
    U512::from_be_bytes(bytes)
}
