//! Reads for people, programs and checks.
//!
//! Each is one consistent answer; pages are found through an index, from a position on, never by an offset.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use inspay_ledger::{BookAccount, Entry, Event, Lot, LotParts, Unit};
use inspay_ports::{
    AccountSummary, HistoryFilter, HistoryLine, LawViolation, Page, ReadStore, StoreError,
    StoreErrorKind, SystemBalance, TransferFilter, TransferTotals, TransferView,
};
use inspay_primitives::{AccountId, Address, AssetId, B256, Label, Timestamp, TransferId};
use sqlx::{Row as _, postgres::PgRow};

use crate::{
    codec::{
        self, Fields, Read, all, corrupt, lot_columns, transfer_columns, transfer_with_settlement,
        waits_for_nothing,
    },
    columns::{chain, height},
    error::{failed, wrong},
    laws, schema,
    session::Statement,
    store::PostgresStore,
};

const JOURNAL_END: &str = "SELECT entry_seq, entry_hash FROM ledger_head";

const TRANSFER: &str = concat!(
    "SELECT ",
    transfer_columns!(),
    " FROM ",
    transfer_with_settlement!(),
    " WHERE t.id = $1",
);

/// The rest of every list of transfers: the filters that did not choose the rows, and the page.
macro_rules! transfer_page {
    ($position:literal) => {
        concat!(
            " ",
            $position,
            " < $1 \
             AND ($3::bytea IS NULL OR t.tx_hash = $3) \
             AND ($4::uuid IS NULL OR s.order_id = $4) \
             AND ($5::text IS NULL OR EXISTS (\
                 SELECT 1 FROM orders o WHERE o.id = s.order_id AND o.account = $5 OFFSET 0)) \
             AND (NOT $6::boolean OR s.kind = 'suspense') \
             AND ($7::bigint IS NULL OR (t.chain_id = $7 AND t.counterparty = $8 AND t.direction = 'in')) \
             ORDER BY t.position DESC LIMIT $2"
        )
    };
}

const TRANSFERS: &str = concat!(
    "SELECT ",
    transfer_columns!(),
    " FROM ",
    transfer_with_settlement!(),
    " WHERE",
    transfer_page!("t.position"),
);

/// The sum keeps the primary key from being taken for the place to start from.
const TRANSFERS_IN_TX: &str = concat!(
    "SELECT ",
    transfer_columns!(),
    " FROM ",
    transfer_with_settlement!(),
    " WHERE t.id BETWEEN $9 AND $10 AND t.tx_hash = $3 AND",
    transfer_page!("t.position + 0"),
);

/// Those that wait to be settled are found among all of their chain that do, which are few.
const TRANSFERS_OF_PAYER: &str = concat!(
    "SELECT * FROM ((SELECT ",
    transfer_columns!(),
    " FROM ",
    transfer_with_settlement!(),
    " WHERE t.chain_id = $7 AND t.counterparty = $8 AND t.direction = 'in' AND ",
    waits_for_nothing!("t"),
    " AND",
    transfer_page!("t.position"),
    ") UNION ALL (SELECT ",
    transfer_columns!(),
    " FROM ",
    transfer_with_settlement!(),
    " WHERE t.chain_id = $7 AND t.needs_work AND NOT t.settled AND",
    transfer_page!("t.position + 0"),
    ")) AS paid ORDER BY position DESC LIMIT $2",
);

const TRANSFERS_OF_ORDER: &str = concat!(
    "SELECT ",
    transfer_columns!(),
    " FROM settlement s JOIN transfer t \
     ON t.settled AND t.id = s.transfer_id AND t.generation = s.generation \
     WHERE s.order_id = $4 AND",
    transfer_page!("t.position + 0"),
);

const TRANSFERS_OF_ACCOUNT: &str = concat!(
    "SELECT ",
    transfer_columns!(),
    " FROM orders owned JOIN settlement s ON s.order_id = owned.id JOIN transfer t \
     ON t.settled AND t.id = s.transfer_id AND t.generation = s.generation \
     WHERE owned.account = $5 AND",
    transfer_page!("t.position + 0"),
);

const TRANSFERS_IN_SUSPENSE: &str = concat!(
    "SELECT ",
    transfer_columns!(),
    " FROM settlement s JOIN transfer t \
     ON t.settled AND t.id = s.transfer_id AND t.generation = s.generation \
     WHERE s.kind = 'suspense' AND",
    transfer_page!("t.position + 0"),
);

const LOTS: &str = concat!(
    "SELECT ",
    lot_columns!(),
    " FROM lot l WHERE l.account = $1 AND l.is_left \
     ORDER BY l.expires_at, l.entry_seq, l.lot_index",
);

/// An account with what its lots have left, less what it owes, and what holds have set aside.
macro_rules! select_accounts {
    () => {
        "SELECT a.id, a.created_at, \
             (COALESCE(b.credits - b.debits, 0) + COALESCE(o.credits - o.debits, 0))::bigint AS posted, \
             COALESCE(h.credits - h.debits, 0)::bigint AS held \
         FROM account a LEFT JOIN LATERAL (SELECT debits, credits FROM book_account \
             WHERE account = 'account:' || a.id AND unit = 'credits' OFFSET 0) AS b ON TRUE \
         LEFT JOIN LATERAL (SELECT debits, credits FROM book_account \
             WHERE account = 'held:' || a.id AND unit = 'credits' OFFSET 0) AS h ON TRUE \
         LEFT JOIN LATERAL (SELECT debits, credits FROM book_account \
             WHERE account = 'owed:' || a.id AND unit = 'credits' OFFSET 0) AS o ON TRUE "
    };
}

const ACCOUNT: &str = concat!(select_accounts!(), "WHERE a.id = $1");

const ACCOUNTS: &str = concat!(select_accounts!(), "WHERE a.id > $1 ORDER BY a.id LIMIT $2");

/// What entries did to an account: the newest of each of its three books, and of those together the newest.
const HISTORY: &str = "WITH own AS MATERIALIZED (\
         SELECT number, split_part(account, ':', 1) AS book FROM book_account \
         WHERE account = ANY(ARRAY['account:' || $1, 'held:' || $1, 'owed:' || $1]) AND unit = 'credits'), \
     page AS MATERIALIZED (\
         SELECT DISTINCT newest.entry_seq FROM own CROSS JOIN LATERAL (\
             SELECT entry_seq FROM posting WHERE listed AND account_number = own.number AND entry_seq < $2 \
             ORDER BY entry_seq DESC LIMIT $3) AS newest \
         ORDER BY newest.entry_seq DESC LIMIT $3) \
     SELECT e.seq, e.kind, e.event_at, e.booked_at, e.order_id, e.transfer_id, e.facts, \
         COALESCE(did.left_credits, 0)::bigint AS left_credits, COALESCE(did.held, 0)::bigint AS held, \
         COALESCE(did.owed, 0)::bigint AS owed \
     FROM page CROSS JOIN LATERAL (SELECT * FROM entry WHERE seq = page.entry_seq OFFSET 0) AS e \
     CROSS JOIN LATERAL (\
         SELECT SUM(CASE p.side WHEN 'credit' THEN p.quantity ELSE -p.quantity END) \
                 FILTER (WHERE own.book = 'account') AS left_credits, \
             SUM(CASE p.side WHEN 'credit' THEN p.quantity ELSE -p.quantity END) \
                 FILTER (WHERE own.book = 'held') AS held, \
             SUM(CASE p.side WHEN 'debit' THEN p.quantity ELSE -p.quantity END) \
                 FILTER (WHERE own.book = 'owed') AS owed \
         FROM (SELECT * FROM posting WHERE entry_seq = page.entry_seq OFFSET 0) AS p \
         JOIN own ON own.number = p.account_number) AS did \
     ORDER BY e.seq DESC";

/// The same of what a filter lets through: it walks the account's entries and no other's.
const HISTORY_KEPT: &str = "WITH own AS MATERIALIZED (\
         SELECT number, split_part(account, ':', 1) AS book FROM book_account \
         WHERE account = ANY(ARRAY['account:' || $1, 'held:' || $1, 'owed:' || $1]) AND unit = 'credits'), \
     page AS MATERIALIZED (\
         SELECT DISTINCT newest.entry_seq FROM own CROSS JOIN LATERAL (\
             SELECT p.entry_seq FROM posting p CROSS JOIN LATERAL (\
                 SELECT * FROM entry WHERE seq = p.entry_seq OFFSET 0) AS e \
             WHERE p.listed AND p.account_number = own.number AND p.entry_seq < $2 \
                 AND ($4::text IS NULL OR e.kind = $4) AND ($5::bigint IS NULL OR e.booked_at >= $5) \
                 AND ($6::bigint IS NULL OR e.booked_at < $6) \
                 AND ($7::text IS NULL OR e.facts::json #>> '{purpose,feature}' = $7) \
                 AND ($8::text IS NULL OR e.facts::json #>> '{purpose,project}' = $8) \
                 AND ($9::bigint IS NULL OR EXISTS (SELECT 1 FROM lot l \
                     WHERE l.entry_seq = $9 AND l.lot_index = $10 AND l.entry_seq = e.seq) \
                     OR EXISTS (SELECT 1 FROM lot_move m \
                     WHERE m.lot_entry_seq = $9 AND m.lot_index = $10 AND m.entry_seq = e.seq)) \
             ORDER BY p.entry_seq DESC LIMIT $3) AS newest \
         ORDER BY newest.entry_seq DESC LIMIT $3) \
     SELECT e.seq, e.kind, e.event_at, e.booked_at, e.order_id, e.transfer_id, e.facts, \
         COALESCE(did.left_credits, 0)::bigint AS left_credits, COALESCE(did.held, 0)::bigint AS held, \
         COALESCE(did.owed, 0)::bigint AS owed \
     FROM page CROSS JOIN LATERAL (SELECT * FROM entry WHERE seq = page.entry_seq OFFSET 0) AS e \
     CROSS JOIN LATERAL (\
         SELECT SUM(CASE p.side WHEN 'credit' THEN p.quantity ELSE -p.quantity END) \
                 FILTER (WHERE own.book = 'account') AS left_credits, \
             SUM(CASE p.side WHEN 'credit' THEN p.quantity ELSE -p.quantity END) \
                 FILTER (WHERE own.book = 'held') AS held, \
             SUM(CASE p.side WHEN 'debit' THEN p.quantity ELSE -p.quantity END) \
                 FILTER (WHERE own.book = 'owed') AS owed \
         FROM (SELECT * FROM posting WHERE entry_seq = page.entry_seq OFFSET 0) AS p \
         JOIN own ON own.number = p.account_number) AS did \
     ORDER BY e.seq DESC";

const EVENTS: &str = "SELECT seq, kind, account, order_id, transfer_id, entry_seq, created_at, \
     snapshot::text AS snapshot FROM event WHERE seq > $1 ORDER BY seq LIMIT $2";

const EVENTS_OF_ACCOUNT: &str = "SELECT seq, kind, account, order_id, transfer_id, entry_seq, created_at, \
     snapshot::text AS snapshot FROM event WHERE account = $3 AND seq > $1 ORDER BY seq LIMIT $2";

const ENTRIES: &str = "SELECT seq, kind, operation_key, event_at, booked_at, transfer_id, order_id, reverses, \
     previous_hash, hash, version, facts FROM entry WHERE seq > $1 ORDER BY seq LIMIT $2";

const POSTINGS: &str = "SELECT p.entry_seq, p.line, p.account_number, p.side, p.quantity::text AS quantity \
     FROM posting p WHERE p.entry_seq BETWEEN $1 AND $2 ORDER BY p.entry_seq, p.line";

/// The few accounts of a page's many postings.
const ACCOUNTS_OF_POSTINGS: &str =
    "SELECT number, account, unit FROM book_account WHERE number = ANY($1::bigint[])";

const LOTS_OF_ENTRIES: &str = concat!(
    "SELECT ",
    lot_columns!(),
    " FROM lot l WHERE l.entry_seq BETWEEN $1 AND $2 ORDER BY l.entry_seq, l.lot_index",
);

const MOVES: &str = "SELECT m.entry_seq, m.line, m.lot_entry_seq, m.lot_index, m.from_bucket, m.to_bucket, m.credits \
     FROM lot_move m WHERE m.entry_seq BETWEEN $1 AND $2 ORDER BY m.entry_seq, m.line";

/// `account;` is the text right after all that begin with `account:`, and so on.
const BALANCES: &str = "SELECT number, account, unit, debits::text AS debits, credits::text AS credits \
     FROM book_account \
     WHERE $1 OR NOT (account >= 'account:' AND account < 'account;' OR account >= 'held:' AND account < 'held;' \
         OR account >= 'owed:' AND account < 'owed;') ORDER BY account, unit";

const TOTALS: &str = "SELECT \
     COALESCE(SUM(base_units) FILTER (WHERE direction = 'in'), 0)::text AS in_base_units, \
     COALESCE(SUM(base_units) FILTER (WHERE direction = 'out'), 0)::text AS out_base_units, \
     COUNT(*) AS transfers, \
     COUNT(*) FILTER (WHERE NOT settled) AS unsettled, \
     COALESCE(SUM(base_units) FILTER (WHERE direction = 'in' AND NOT settled), 0)::text AS unsettled_in, \
     COALESCE(SUM(base_units) FILTER (WHERE direction = 'out' AND NOT settled), 0)::text AS unsettled_out \
     FROM transfer WHERE chain_id = $1 AND token = $2 AND treasury = $3 AND canonical AND block_number <= $4";

impl PostgresStore {
    /// What breaks these laws.
    async fn look(
        &self,
        laws: &[(&'static str, &'static str)],
    ) -> Result<Vec<LawViolation>, StoreError> {
        let single = self.whole("check the laws");
        let mut broken = Vec::new();
        for (law, query) in laws {
            for row in single.rows(sqlx::query(*query)).await? {
                let row = row.try_get("broken").map_err(failed(single.act))?;
                broken.push(LawViolation { law, row });
            }
        }
        Ok(broken)
    }
}

#[async_trait]
impl ReadStore for PostgresStore {
    async fn transfer(&self, id: TransferId) -> Result<Option<TransferView>, StoreError> {
        let single = self.paged("read a transfer");
        let row = single.row(sqlx::query(TRANSFER).bind(id.digest().to_vec())).await?;
        row.as_ref().map(view).transpose().map_err(wrong(single.act))
    }

    async fn transfers(
        &self,
        filter: TransferFilter,
        page: Page,
    ) -> Result<Vec<TransferView>, StoreError> {
        let act = "list transfers";
        // All of them, and those of one wallet, are walked in the order of their index.
        let TransferFilter { tx_hash, order, account, suspense_only, payer: _ } = &filter;
        let is_chosen = tx_hash.is_some() || order.is_some() || account.is_some() || *suspense_only;
        let single = if is_chosen { self.keyed(act) } else { self.paged(act) };
        let wrong = wrong(single.act);
        let rows = single.rows(list(&filter, page).map_err(&wrong)?).await?;
        all(&rows, view).map_err(&wrong)
    }

    async fn lots(&self, account: &AccountId) -> Result<Vec<Lot>, StoreError> {
        let single = self.paged("list lots");
        let rows = single.rows(sqlx::query(LOTS).bind(account.as_str())).await?;
        all(&rows, codec::lot).map_err(wrong(single.act))
    }

    async fn account(&self, account: &AccountId) -> Result<Option<AccountSummary>, StoreError> {
        let single = self.paged("read an account");
        let row = single.row(sqlx::query(ACCOUNT).bind(account.as_str())).await?;
        row.as_ref().map(summary).transpose().map_err(wrong(single.act))
    }

    async fn accounts(
        &self,
        after: Option<AccountId>,
        limit: u32,
    ) -> Result<Vec<AccountSummary>, StoreError> {
        let single = self.paged("list accounts");
        // The empty text sorts before every name.
        let after = after.as_ref().map_or("", AccountId::as_str);
        let query = sqlx::query(ACCOUNTS).bind(after).bind(i64::from(limit));
        all(&single.rows(query).await?, summary).map_err(wrong(single.act))
    }

    async fn history(
        &self,
        account: &AccountId,
        filter: HistoryFilter,
        page: Page,
    ) -> Result<Vec<HistoryLine>, StoreError> {
        let single = self.paged("read a history");
        let is_whole = filter == HistoryFilter::default();
        let mut query = sqlx::query(if is_whole { HISTORY } else { HISTORY_KEPT })
            .bind(account.as_str())
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
        all(&single.rows(query).await?, history_line).map_err(wrong(single.act))
    }

    async fn events(
        &self,
        account: Option<&AccountId>,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        let single = self.paged("read events");
        let limit = i64::from(limit);
        let query = match account {
            None => sqlx::query(EVENTS).bind(after).bind(limit),
            Some(account) => {
                sqlx::query(EVENTS_OF_ACCOUNT).bind(after).bind(limit).bind(account.as_str())
            }
        };
        all(&single.rows(query).await?, codec::event).map_err(wrong(single.act))
    }

    async fn entries(&self, after: i64, limit: u32) -> Result<Vec<Entry>, StoreError> {
        let single = self.paged("read entries");
        let wrong = wrong(single.act);
        let query = sqlx::query(ENTRIES).bind(after).bind(i64::from(limit));
        let mut entries = all(&single.rows(query).await?, codec::entry).map_err(&wrong)?;
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
            return Ok(entries);
        };
        let (first, last) = (first.seq, last.seq);
        // Entries, postings and grants never change, so five statements read one state.
        let postings = single.rows(sqlx::query(POSTINGS).bind(first).bind(last)).await?;
        let numbers = account_numbers(&postings).map_err(&wrong)?;
        let accounts = single.rows(sqlx::query(ACCOUNTS_OF_POSTINGS).bind(numbers)).await?;
        let lots = single.rows(sqlx::query(LOTS_OF_ENTRIES).bind(first).bind(last)).await?;
        let moves = single.rows(sqlx::query(MOVES).bind(first).bind(last)).await?;
        fill(&mut entries, (&postings, &accounts), &lots, &moves).map_err(&wrong)?;
        Ok(entries)
    }

    async fn balances(&self, with_accounts: bool) -> Result<Vec<SystemBalance>, StoreError> {
        let single = self.whole("read balances");
        let rows = single.rows(sqlx::query(BALANCES).bind(with_accounts)).await?;
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
        let single = self.whole("sum transfers");
        let wrong = wrong(single.act);
        let query = sqlx::query(TOTALS)
            .bind(chain(asset.chain_id).map_err(&wrong)?)
            .bind(asset.contract.to_vec())
            .bind(treasury.to_vec())
            .bind(height(up_to));
        let row = single.row(query).await?;
        row.map_or(Ok(TransferTotals::default()), |row| totals(Fields(&row))).map_err(&wrong)
    }

    async fn broken_laws(&self) -> Result<Vec<LawViolation>, StoreError> {
        let mut broken = self.look(&laws::ENTRY_LAWS).await?;
        broken.append(&mut self.look(&laws::LAWS).await?);
        Ok(broken)
    }

    async fn laws_broken_beyond_entries(&self) -> Result<Vec<LawViolation>, StoreError> {
        self.look(&laws::LAWS).await
    }

    async fn journal_end(&self) -> Result<(i64, B256), StoreError> {
        let single = self.keyed("read the journal's end");
        let row = single.row(sqlx::query(JOURNAL_END)).await?;
        row.map_or(Err(corrupt("ledger_head", "there is none")), |row| {
            let fields = Fields(&row);
            Ok((fields.get("entry_seq")?, fields.hash("entry_hash")?))
        })
        .map_err(wrong(single.act))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.whole("reach the database").row(sqlx::query("SELECT 1")).await.map(drop)
    }

    async fn schema_versions(&self) -> Result<(i64, i64), StoreError> {
        let mut connection =
            self.whole_pool().acquire().await.map_err(failed("read the schema"))?;
        Ok((schema::newest_applied(&mut connection).await?, schema::NEWEST))
    }
}

/// The list's statement: the filter that finds the fewest rows chooses the index.
fn list(filter: &TransferFilter, page: Page) -> Read<Statement<'static>> {
    let payer =
        filter.payer.map(|(chain_id, wallet)| chain(chain_id).map(|number| (number, wallet)));
    let payer = payer.transpose()?;
    let statement = if filter.tx_hash.is_some() {
        TRANSFERS_IN_TX
    } else if filter.order.is_some() {
        TRANSFERS_OF_ORDER
    } else if filter.account.is_some() {
        TRANSFERS_OF_ACCOUNT
    } else if filter.suspense_only {
        TRANSFERS_IN_SUSPENSE
    } else if payer.is_some() {
        TRANSFERS_OF_PAYER
    } else {
        TRANSFERS
    };
    let list = sqlx::query(statement)
        .bind(page.after.unwrap_or(i64::MAX))
        .bind(i64::from(page.limit))
        .bind(filter.tx_hash.map(|hash| hash.to_vec()))
        .bind(filter.order.map(|order| order.uuid()))
        .bind(filter.account.as_ref().map(|account| account.as_str().to_owned()))
        .bind(filter.suspense_only)
        .bind(payer.map(|(number, _)| number))
        .bind(payer.map(|(_, wallet)| wallet.to_vec()));
    Ok(match filter.tx_hash.as_ref().map(TransferId::range_of) {
        Some(ids) => list.bind(ids.start().digest().to_vec()).bind(ids.end().digest().to_vec()),
        None => list,
    })
}

fn view(row: &PgRow) -> Read<TransferView> {
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

fn summary(row: &PgRow) -> Read<AccountSummary> {
    let fields = Fields(row);
    Ok(AccountSummary {
        account: fields.account("id")?,
        created_at: fields.time("created_at")?,
        posted: fields.credits("posted")?,
        held: fields.credits("held")?,
    })
}

fn history_line(row: &PgRow) -> Read<HistoryLine> {
    let fields = Fields(row);
    Ok(HistoryLine {
        entry_seq: fields.get("seq")?,
        kind: fields.entry_kind("kind")?,
        event_at: fields.time("event_at")?,
        booked_at: fields.time("booked_at")?,
        left: fields.credits("left_credits")?,
        held: fields.credits("held")?,
        owed: fields.credits("owed")?,
        order: fields.optional_order("order_id")?,
        transfer: fields.optional_transfer_id("transfer_id")?,
        facts: fields.get("facts")?,
    })
}

fn totals(fields: Fields<'_>) -> Read<TransferTotals> {
    Ok(TransferTotals {
        in_base_units: fields.units("in_base_units")?,
        out_base_units: fields.units("out_base_units")?,
        count: fields.narrow("transfers")?,
        unsettled_count: fields.narrow("unsettled")?,
        unsettled_in_base_units: fields.units("unsettled_in")?,
        unsettled_out_base_units: fields.units("unsettled_out")?,
    })
}

/// Puts postings, and lots as they were granted, into their entries.
fn account_numbers(postings: &[PgRow]) -> Read<Vec<i64>> {
    let numbers = postings.iter().map(|row| Fields(row).get("account_number"));
    Ok(numbers.collect::<Read<BTreeSet<i64>>>()?.into_iter().collect())
}

/// Puts postings with their accounts, lots and moves where they belong.
fn fill(
    entries: &mut [Entry],
    (postings, accounts): (&[PgRow], &[PgRow]),
    lots: &[PgRow],
    moves: &[PgRow],
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
fn in_place(row: &PgRow, place: usize) -> Read<()> {
    let line: i16 = Fields(row).get("line")?;
    if usize::try_from(line) == Ok(place) {
        Ok(())
    } else {
        Err(StoreErrorKind::Corrupt(format!("line {line} stands at place {place} of its entry")))
    }
}
