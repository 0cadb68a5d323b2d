//! Reads for people, programs and checks.
//!
//! Each is one consistent answer; pages are found through an index, from a position on, never by an offset.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use futures::TryStreamExt as _;
use inspay_ledger::{BookAccount, Entry, Event, Lot, LotParts, Side, Unit};
use inspay_ports::{
    AccountSummary, HistoryFilter, HistoryLine, LawViolation, Page, ReadStore, StoreError,
    StoreErrorKind, SystemBalance, TransferFilter, TransferTotals, TransferView,
};
use inspay_primitives::{
    AccountId, Address, AssetId, B256, Credits, Direction, Label, Timestamp, TransferId, U256,
};
use sqlx::sqlite::SqliteRow;

use crate::{
    codec::{
        self, Fields, Read, all, corrupt, lot_columns, settlement_columns, transfer_columns,
        transfer_with_settlement, waits_for_nothing,
    },
    columns::{chain, height},
    error::wrong,
    laws, schema,
    session::{Statement, cold, hot},
    store::SqliteStore,
};

const JOURNAL_END: &str = "SELECT entry_seq, entry_hash FROM ledger_head WHERE singleton = 1";

const TRANSFER: &str = concat!(
    "SELECT ",
    transfer_columns!(),
    ", ",
    settlement_columns!(),
    " FROM ",
    transfer_with_settlement!(),
    " WHERE t.id = ?1",
);

/// The rest of every list of transfers: the page, by a position that chooses the rows or must not, and the filters
/// that did not choose them.
macro_rules! transfer_page {
    ($position:literal) => {
        concat!(
            " ",
            $position,
            " < ?1 \
             AND (?3 IS NULL OR t.tx_hash = ?3) \
             AND (?4 IS NULL OR s.order_id = ?4) \
             AND (?5 IS NULL OR EXISTS (\
                 SELECT 1 FROM orders o WHERE o.id = s.order_id AND o.account = ?5)) \
             AND (?6 = 0 OR s.kind = 'suspense') \
             AND (?7 IS NULL OR (t.chain_id = ?7 AND t.counterparty = ?8 AND t.direction = 'in')) \
             ORDER BY ",
            $position,
            " DESC LIMIT ?2"
        )
    };
}

const TRANSFERS: &str = concat!(
    "SELECT ",
    transfer_columns!(),
    ", ",
    settlement_columns!(),
    " FROM ",
    transfer_with_settlement!(),
    " WHERE",
    transfer_page!("t.position"),
);

const TRANSFERS_IN_TX: &str = concat!(
    "SELECT ",
    transfer_columns!(),
    ", ",
    settlement_columns!(),
    " FROM ",
    transfer_with_settlement!(),
    " WHERE t.id BETWEEN ?9 AND ?10 AND t.tx_hash = ?3 AND",
    transfer_page!("+t.position"),
);

/// Those that wait to be settled are found among all of their chain that do, which are few.
const TRANSFERS_OF_PAYER: &str = concat!(
    "SELECT * FROM (SELECT ",
    transfer_columns!(),
    ", ",
    settlement_columns!(),
    " FROM ",
    transfer_with_settlement!(),
    " WHERE t.chain_id = ?7 AND t.counterparty = ?8 AND t.direction = 'in' AND ",
    waits_for_nothing!("t"),
    " AND",
    transfer_page!("t.position"),
    ") UNION ALL SELECT * FROM (SELECT ",
    transfer_columns!(),
    ", ",
    settlement_columns!(),
    " FROM ",
    transfer_with_settlement!(),
    " WHERE t.chain_id = ?7 AND t.needs_work = 1 AND t.settled = 0 AND",
    transfer_page!("+t.position"),
    ") ORDER BY position DESC LIMIT ?2",
);

const TRANSFERS_OF_ORDER: &str = concat!(
    "SELECT ",
    transfer_columns!(),
    ", ",
    settlement_columns!(),
    " FROM settlement s CROSS JOIN transfer t \
     ON t.settled = 1 AND t.id = s.transfer_id AND t.generation = s.generation \
     WHERE s.order_id = ?4 AND",
    transfer_page!("+t.position"),
);

const TRANSFERS_OF_ACCOUNT: &str = concat!(
    "SELECT ",
    transfer_columns!(),
    ", ",
    settlement_columns!(),
    " FROM orders owned CROSS JOIN settlement s ON s.order_id = owned.id CROSS JOIN transfer t \
     ON t.settled = 1 AND t.id = s.transfer_id AND t.generation = s.generation \
     WHERE owned.account = ?5 AND",
    transfer_page!("+t.position"),
);

const TRANSFERS_IN_SUSPENSE: &str = concat!(
    "SELECT ",
    transfer_columns!(),
    ", ",
    settlement_columns!(),
    " FROM settlement s CROSS JOIN transfer t \
     ON t.settled = 1 AND t.id = s.transfer_id AND t.generation = s.generation \
     WHERE s.kind = 'suspense' AND",
    transfer_page!("+t.position"),
);

const LOTS: &str = concat!(
    "SELECT ",
    lot_columns!(),
    " FROM lot l WHERE l.account = ?1 AND l.credits_left > 0 \
     ORDER BY l.expires_at, l.entry_seq, l.lot_index",
);

/// An account with its balances `b`, those of its holds `h`, and what it owes `o`.
macro_rules! select_accounts {
    () => {
        "SELECT a.id, a.created_at, b.debits, b.credits, h.debits AS held_debits, h.credits AS held_credits, \
             o.debits AS owed_debits, o.credits AS owed_credits \
         FROM account a LEFT JOIN book_account b ON b.account = 'account:' || a.id AND b.unit = 'credits' \
         LEFT JOIN book_account h ON h.account = 'held:' || a.id AND h.unit = 'credits' \
         LEFT JOIN book_account o ON o.account = 'owed:' || a.id AND o.unit = 'credits' "
    };
}

const ACCOUNT: &str = concat!(select_accounts!(), "WHERE a.id = ?1");

const ACCOUNTS: &str = concat!(select_accounts!(), "WHERE a.id > ?1 ORDER BY a.id LIMIT ?2");

/// What entries did to an account: the newest of each of its three books, and of those together the newest.
const HISTORY: &str = "WITH own (number, book) AS (\
         SELECT number, substr(account, 1, instr(account, ':') - 1) FROM book_account \
         WHERE account IN ('account:' || ?1, 'held:' || ?1, 'owed:' || ?1) AND unit = 'credits'), \
     newest (seq) AS (\
         SELECT seq FROM (\
             SELECT entry_seq AS seq FROM posting WHERE listed = 1 \
                 AND account_number = (SELECT number FROM own WHERE book = 'account') AND entry_seq < ?2 \
                 ORDER BY entry_seq DESC LIMIT ?3) \
         UNION SELECT seq FROM (\
             SELECT entry_seq AS seq FROM posting WHERE listed = 1 \
                 AND account_number = (SELECT number FROM own WHERE book = 'held') AND entry_seq < ?2 \
                 ORDER BY entry_seq DESC LIMIT ?3) \
         UNION SELECT seq FROM (\
             SELECT entry_seq AS seq FROM posting WHERE listed = 1 \
                 AND account_number = (SELECT number FROM own WHERE book = 'owed') AND entry_seq < ?2 \
                 ORDER BY entry_seq DESC LIMIT ?3)), \
     page (seq) AS (SELECT seq FROM newest ORDER BY seq DESC LIMIT ?3) \
     SELECT e.seq, e.kind, e.event_at, e.booked_at, e.order_id, e.transfer_id, e.facts, o.book, p.side, p.quantity \
     FROM page CROSS JOIN entry e ON e.seq = page.seq CROSS JOIN posting p ON p.entry_seq = e.seq \
     CROSS JOIN own o ON o.number = p.account_number ORDER BY e.seq DESC, p.line";

/// The entries of one of the account's books, newest first, that a filter lets through.
macro_rules! kept_of_book {
    ($book:literal) => {
        concat!(
            "SELECT seq FROM (\
             SELECT p.entry_seq AS seq FROM posting p CROSS JOIN entry e ON e.seq = p.entry_seq WHERE p.listed = 1 \
                 AND p.account_number = (SELECT number FROM own WHERE book = '",
            $book,
            "') AND p.entry_seq < ?2 \
                 AND (?4 IS NULL OR e.kind = ?4) AND (?5 IS NULL OR e.booked_at >= ?5) \
                 AND (?6 IS NULL OR e.booked_at < ?6) AND (?7 IS NULL OR e.facts ->> '$.purpose.feature' = ?7) \
                 AND (?8 IS NULL OR e.facts ->> '$.purpose.project' = ?8) \
                 AND (?9 IS NULL OR EXISTS (SELECT 1 FROM lot l \
                     WHERE l.entry_seq = ?9 AND l.lot_index = ?10 AND l.entry_seq = e.seq) \
                     OR EXISTS (SELECT 1 FROM lot_move m \
                     WHERE m.lot_entry_seq = ?9 AND m.lot_index = ?10 AND m.entry_seq = e.seq)) \
                 ORDER BY p.entry_seq DESC LIMIT ?3)"
        )
    };
}

/// The same of what a filter lets through: it walks the account's entries and no other's.
const HISTORY_KEPT: &str = concat!(
    "WITH own (number, book) AS (\
         SELECT number, substr(account, 1, instr(account, ':') - 1) FROM book_account \
         WHERE account IN ('account:' || ?1, 'held:' || ?1, 'owed:' || ?1) AND unit = 'credits'), \
     newest (seq) AS (",
    kept_of_book!("account"),
    " UNION ",
    kept_of_book!("held"),
    " UNION ",
    kept_of_book!("owed"),
    "), \
     page (seq) AS (SELECT seq FROM newest ORDER BY seq DESC LIMIT ?3) \
     SELECT e.seq, e.kind, e.event_at, e.booked_at, e.order_id, e.transfer_id, e.facts, o.book, p.side, p.quantity \
     FROM page CROSS JOIN entry e ON e.seq = page.seq CROSS JOIN posting p ON p.entry_seq = e.seq \
     CROSS JOIN own o ON o.number = p.account_number ORDER BY e.seq DESC, p.line",
);

const EVENTS: &str = "SELECT seq, kind, account, order_id, transfer_id, entry_seq, created_at, snapshot \
     FROM event WHERE seq > ?1 ORDER BY seq LIMIT ?2";

const EVENTS_OF_ACCOUNT: &str = "SELECT seq, kind, account, order_id, transfer_id, entry_seq, created_at, snapshot \
     FROM event WHERE account = ?3 AND seq > ?1 ORDER BY seq LIMIT ?2";

const ENTRIES: &str = "SELECT seq, kind, operation_key, event_at, booked_at, transfer_id, order_id, reverses, \
     previous_hash, hash, version, facts FROM entry WHERE seq > ?1 ORDER BY seq LIMIT ?2";

const POSTINGS: &str = "SELECT p.entry_seq, p.line, p.account_number, p.side, p.quantity \
     FROM posting p WHERE p.entry_seq BETWEEN ?1 AND ?2 ORDER BY p.entry_seq, p.line";

/// The few accounts of a page's many postings.
const ACCOUNTS_OF_POSTINGS: &str = "SELECT b.number, b.account, b.unit FROM json_each(?1) AS wanted \
     CROSS JOIN book_account b ON b.number = wanted.value";

const LOTS_OF_ENTRIES: &str = concat!(
    "SELECT ",
    lot_columns!(),
    " FROM lot l WHERE l.entry_seq BETWEEN ?1 AND ?2 ORDER BY l.entry_seq, l.lot_index",
);

const MOVES: &str = "SELECT m.entry_seq, m.line, m.lot_entry_seq, m.lot_index, m.from_bucket, m.to_bucket, m.credits \
     FROM lot_move m WHERE m.entry_seq BETWEEN ?1 AND ?2 ORDER BY m.entry_seq, m.line";

/// `account;` is the text right after all that begin with `account:`, and so on.
const BALANCES: &str = "SELECT number, account, unit, debits, credits FROM book_account \
     WHERE ?1 OR NOT (account >= 'account:' AND account < 'account;' OR account >= 'held:' AND account < 'held;' \
         OR account >= 'owed:' AND account < 'owed;') ORDER BY account, unit";

const SUMMANDS: &str = "SELECT direction, base_units, settled FROM transfer \
     WHERE chain_id = ?1 AND token = ?2 AND treasury = ?3 AND canonical = 1 AND block_number <= ?4";

#[async_trait]
impl ReadStore for SqliteStore {
    async fn transfer(&self, id: TransferId) -> Result<Option<TransferView>, StoreError> {
        let single = self.read("read a transfer");
        let row = single.row(hot(TRANSFER).bind(id.digest().to_vec())).await?;
        row.as_ref().map(view).transpose().map_err(wrong(single.act))
    }

    async fn transfers(
        &self,
        filter: TransferFilter,
        page: Page,
    ) -> Result<Vec<TransferView>, StoreError> {
        let single = self.read("list transfers");
        let wrong = wrong(single.act);
        let rows = single.rows(list(&filter, page).map_err(&wrong)?).await?;
        all(&rows, view).map_err(&wrong)
    }

    async fn lots(&self, account: &AccountId) -> Result<Vec<Lot>, StoreError> {
        let single = self.read("list lots");
        let rows = single.rows(hot(LOTS).bind(account.to_string())).await?;
        all(&rows, codec::lot).map_err(wrong(single.act))
    }

    async fn account(&self, account: &AccountId) -> Result<Option<AccountSummary>, StoreError> {
        let single = self.read("read an account");
        let row = single.row(hot(ACCOUNT).bind(account.to_string())).await?;
        row.as_ref().map(summary).transpose().map_err(wrong(single.act))
    }

    async fn accounts(
        &self,
        after: Option<AccountId>,
        limit: u32,
    ) -> Result<Vec<AccountSummary>, StoreError> {
        let single = self.read("list accounts");
        // The empty text sorts before every name.
        let after = after.map_or_else(String::new, |account| account.to_string());
        let query = hot(ACCOUNTS).bind(after).bind(i64::from(limit));
        all(&single.rows(query).await?, summary).map_err(wrong(single.act))
    }

    async fn history(
        &self,
        account: &AccountId,
        filter: HistoryFilter,
        page: Page,
    ) -> Result<Vec<HistoryLine>, StoreError> {
        let single = self.read("read a history");
        if page.limit == 0 {
            return Ok(Vec::new());
        }
        let is_whole = filter == HistoryFilter::default();
        let mut query = hot(if is_whole { HISTORY } else { HISTORY_KEPT })
            .bind(account.to_string())
            .bind(page.after.unwrap_or(i64::MAX))
            .bind(i64::from(page.limit));
        if !is_whole {
            let text = |label: Option<Label>| label.map(|label| label.to_string());
            query = query
                .bind(filter.kind.map(|kind| kind.as_str()))
                .bind(filter.from.map(Timestamp::micros))
                .bind(filter.until.map(Timestamp::micros))
                .bind(text(filter.feature))
                .bind(text(filter.project))
                .bind(filter.lot.map(|lot| lot.entry_seq))
                .bind(filter.lot.map(|lot| lot.index));
        }
        history_lines(&single.rows(query).await?).map_err(wrong(single.act))
    }

    async fn events(
        &self,
        account: Option<&AccountId>,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        let single = self.read("read events");
        let limit = i64::from(limit);
        let query = match account {
            None => hot(EVENTS).bind(after).bind(limit),
            Some(account) => {
                hot(EVENTS_OF_ACCOUNT).bind(after).bind(limit).bind(account.to_string())
            }
        };
        all(&single.rows(query).await?, codec::event).map_err(wrong(single.act))
    }

    async fn entries(&self, after: i64, limit: u32) -> Result<Vec<Entry>, StoreError> {
        let mut session = self.snapshot("read entries").await?;
        let wrong = wrong(session.act);
        let query = hot(ENTRIES).bind(after).bind(i64::from(limit));
        let mut entries = all(&session.rows(query).await?, codec::entry).map_err(&wrong)?;
        if let (Some(first), Some(last)) = (entries.first(), entries.last()) {
            let (first, last) = (first.seq, last.seq);
            let postings = session.rows(hot(POSTINGS).bind(first).bind(last)).await?;
            let numbers = account_numbers(&postings).map_err(&wrong)?;
            let accounts = session.rows(hot(ACCOUNTS_OF_POSTINGS).bind(numbers)).await?;
            let lots = session.rows(hot(LOTS_OF_ENTRIES).bind(first).bind(last)).await?;
            let moves = session.rows(hot(MOVES).bind(first).bind(last)).await?;
            fill(&mut entries, (&postings, &accounts), &lots, &moves).map_err(&wrong)?;
        }
        session.abandon().await?;
        Ok(entries)
    }

    async fn balances(&self, with_accounts: bool) -> Result<Vec<SystemBalance>, StoreError> {
        let single = self.read("read balances");
        let rows = single.rows(cold(BALANCES).bind(with_accounts)).await?;
        all(&rows, |row| {
            let ((account, unit), sums) = codec::balance(row)?;
            Ok(SystemBalance { account, unit, debits: sums.debits, credits: sums.credits })
        })
        .map_err(wrong(single.act))
    }

    async fn transfer_totals(
        &self,
        asset: AssetId,
        treasury: Address,
        up_to: u64,
    ) -> Result<TransferTotals, StoreError> {
        let mut session = self.snapshot("sum transfers").await?;
        let wrong = wrong(session.act);
        let query = cold(SUMMANDS)
            .bind(chain(asset.chain_id).map_err(&wrong)?)
            .bind(asset.contract.to_vec())
            .bind(treasury.to_vec())
            .bind(height(up_to));
        let mut totals = TransferTotals::default();
        let mut summands = session.stream(query);
        while let Some(row) = summands.try_next().await? {
            add(&mut totals, Fields(&row)).map_err(&wrong)?;
        }
        drop(summands);
        session.abandon().await?;
        Ok(totals)
    }

    async fn broken_laws(&self) -> Result<Vec<LawViolation>, StoreError> {
        let mut session = self.snapshot("check the laws").await?;
        let broken = laws::broken(&mut session).await?;
        session.abandon().await?;
        Ok(broken)
    }

    async fn laws_broken_beyond_entries(&self) -> Result<Vec<LawViolation>, StoreError> {
        let mut session = self.snapshot("check the laws").await?;
        let broken = laws::beyond_entries(&mut session).await?;
        session.abandon().await?;
        Ok(broken)
    }

    async fn journal_end(&self) -> Result<(i64, B256), StoreError> {
        let single = self.read("read the journal's end");
        let row = single.row(cold(JOURNAL_END)).await?;
        row.map_or(Err(corrupt("ledger_head", "there is none")), |row| {
            let fields = Fields(&row);
            Ok((fields.get("entry_seq")?, fields.hash("entry_hash")?))
        })
        .map_err(wrong(single.act))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        // Reads the file, which a constant would not.
        let query = cold("SELECT 1 FROM sqlite_master LIMIT 1");
        self.read("reach the database").row(query).await.map(drop)
    }

    async fn schema_versions(&self) -> Result<(i64, i64), StoreError> {
        let mut session = self.snapshot(schema::CHECK).await?;
        let newest = schema::newest_applied(session.connection()).await?;
        session.abandon().await?;
        Ok((newest, schema::NEWEST))
    }
}

/// The list's statement: the filter that finds the fewest rows chooses the index.
fn list(filter: &TransferFilter, page: Page) -> Read<Statement> {
    let payer =
        filter.payer.map(|(chain_id, wallet)| chain(chain_id).map(|number| (number, wallet)));
    let payer = payer.transpose()?;
    let statement = if filter.tx_hash.is_some() {
        TRANSFERS_IN_TX
    } else if filter.order.is_some() {
        TRANSFERS_OF_ORDER
    } else if filter.account.is_some() {
        TRANSFERS_OF_ACCOUNT
    } else if payer.is_some() {
        TRANSFERS_OF_PAYER
    } else if filter.suspense_only {
        TRANSFERS_IN_SUSPENSE
    } else {
        TRANSFERS
    };
    let list = hot(statement)
        .bind(page.after.unwrap_or(i64::MAX))
        .bind(i64::from(page.limit))
        .bind(filter.tx_hash.map(|hash| hash.to_vec()))
        .bind(filter.order.map(|order| order.uuid()))
        .bind(filter.account.as_ref().map(AccountId::to_string))
        .bind(filter.suspense_only)
        .bind(payer.map(|(number, _)| number))
        .bind(payer.map(|(_, wallet)| wallet.to_vec()));
    Ok(match filter.tx_hash.as_ref().map(TransferId::range_of) {
        Some(ids) => list.bind(ids.start().digest().to_vec()).bind(ids.end().digest().to_vec()),
        None => list,
    })
}

fn view(row: &SqliteRow) -> Read<TransferView> {
    let fields = Fields(row);
    let record = codec::transfer_record(row)?;
    Ok(TransferView {
        position: fields.get("position")?,
        id: fields.transfer_id("id")?,
        transfer: record.transfer,
        canonical: record.canonical,
        generation: record.generation,
        settlement: record.settlement,
    })
}

fn summary(row: &SqliteRow) -> Read<AccountSummary> {
    let fields = Fields(row);
    let sum = |debits: &str, credits: &str| match fields.get::<Option<&str>>(debits)? {
        None => Ok(Credits::ZERO),
        Some(_) => difference(fields.units(credits)?, fields.units(debits)?),
    };
    let left = sum("debits", "credits")?;
    // A debit balance: what is owed counts below zero.
    let owed = sum("owed_debits", "owed_credits")?;
    Ok(AccountSummary {
        account: fields.account("id")?,
        created_at: fields.time("created_at")?,
        posted: Credits::from_micros(left.micros().saturating_add(owed.micros())),
        held: sum("held_debits", "held_credits")?,
    })
}

fn difference(credits: U256, debits: U256) -> Read<Credits> {
    let (is_negative, size) = match credits.checked_sub(debits) {
        Some(size) => (false, size),
        None => (true, debits.saturating_sub(credits)),
    };
    let micros = i64::try_from(size)
        .map_err(|_| StoreErrorKind::Corrupt(format!("{size} micro-credits are too many")))?;
    Ok(Credits::from_micros(if is_negative { micros.saturating_neg() } else { micros }))
}

/// Reads the rows of [`HISTORY`]: the lines of an entry follow one another.
fn history_lines(rows: &[SqliteRow]) -> Read<Vec<HistoryLine>> {
    let mut lines: Vec<HistoryLine> = Vec::new();
    for row in rows {
        let fields = Fields(row);
        let seq = fields.get("seq")?;
        if lines.last().is_none_or(|line| line.entry_seq != seq) {
            lines.push(HistoryLine {
                entry_seq: seq,
                kind: fields.entry_kind("kind")?,
                event_at: fields.time("event_at")?,
                booked_at: fields.time("booked_at")?,
                left: Credits::ZERO,
                held: Credits::ZERO,
                owed: Credits::ZERO,
                order: fields.optional_order("order_id")?,
                transfer: fields.optional_transfer_id("transfer_id")?,
                facts: fields.get("facts")?,
            });
        }
        let Some(line) = lines.last_mut() else { continue };
        let credits = difference(fields.units("quantity")?, U256::ZERO)?.micros();
        let (sum, adds) = match fields.get::<&str>("book")? {
            "account" => (&mut line.left, Side::Credit),
            "held" => (&mut line.held, Side::Credit),
            "owed" => (&mut line.owed, Side::Debit),
            other => return Err(corrupt("book", other)),
        };
        let added = if fields.side("side")? == adds { credits } else { credits.saturating_neg() };
        *sum = Credits::from_micros(sum.micros().saturating_add(added));
    }
    Ok(lines)
}

fn add(totals: &mut TransferTotals, fields: Fields<'_>) -> Read<()> {
    let direction = fields.text("direction", Direction::parse)?;
    let base_units = fields.units("base_units")?;
    let is_settled: bool = fields.get("settled")?;
    let (all, unsettled) = match direction {
        Direction::In => (&mut totals.in_base_units, &mut totals.unsettled_in_base_units),
        Direction::Out => (&mut totals.out_base_units, &mut totals.unsettled_out_base_units),
    };
    *all = all.checked_add(base_units).ok_or_else(|| {
        StoreErrorKind::Refused("the sum of the transfers is beyond 2^256 - 1".to_owned())
    })?;
    totals.count = totals.count.saturating_add(1);
    if !is_settled {
        // Part of the sum above, so it fits.
        *unsettled = unsettled.saturating_add(base_units);
        totals.unsettled_count = totals.unsettled_count.saturating_add(1);
    }
    Ok(())
}

/// Puts postings, and lots as they were granted, into their entries.
/// As the text that `json_each` reads.
fn account_numbers(postings: &[SqliteRow]) -> Read<String> {
    let numbers = postings.iter().map(|row| Fields(row).get("account_number"));
    let numbers = numbers.collect::<Read<BTreeSet<i64>>>()?;
    let numbers: Vec<String> = numbers.iter().map(i64::to_string).collect();
    Ok(format!("[{}]", numbers.join(",")))
}

/// Puts postings with their accounts, lots and moves where they belong.
fn fill(
    entries: &mut [Entry],
    (postings, accounts): (&[SqliteRow], &[SqliteRow]),
    lots: &[SqliteRow],
    moves: &[SqliteRow],
) -> Read<()> {
    let named = |row| Ok((Fields(row).get("number")?, codec::account_name(row)?));
    let names: HashMap<i64, (BookAccount, Unit)> =
        accounts.iter().map(named).collect::<Read<_>>()?;
    let mut places: HashMap<i64, &mut Entry> =
        entries.iter_mut().map(|entry| (entry.seq, entry)).collect();
    let nowhere =
        |seq: i64| StoreErrorKind::Corrupt(format!("a row of entry {seq}, which is not there"));
    for row in postings {
        let seq: i64 = Fields(row).get("entry_seq")?;
        let entry = places.get_mut(&seq).ok_or_else(|| nowhere(seq))?;
        in_place(row, entry.postings.len())?;
        let number: i64 = Fields(row).get("account_number")?;
        let name = names.get(&number).ok_or_else(|| {
            StoreErrorKind::Corrupt(format!("a posting is on account {number}, which is not there"))
        })?;
        entry.postings.push(codec::posting(row, number, name)?);
    }
    for row in lots {
        let lot = codec::lot(row)?;
        let seq = lot.id.entry_seq;
        let entry = places.get_mut(&seq).ok_or_else(|| nowhere(seq))?;
        entry.lots.push(Lot { parts: LotParts::of_new(lot.granted), ..lot });
    }
    for row in moves {
        let (seq, part) = codec::lot_move(row)?;
        let entry = places.get_mut(&seq).ok_or_else(|| nowhere(seq))?;
        in_place(row, entry.moves.len())?;
        entry.moves.push(part);
    }
    Ok(())
}

/// Refuses a line that is not the next one of its entry: hashes cover lines in their order, not their numbers.
fn in_place(row: &SqliteRow, place: usize) -> Read<()> {
    let line: i64 = Fields(row).get("line")?;
    if usize::try_from(line) == Ok(place) {
        Ok(())
    } else {
        Err(StoreErrorKind::Corrupt(format!("line {line} stands at place {place} of its entry")))
    }
}
