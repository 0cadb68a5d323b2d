//! Whoever changes the journal past the store is found out, at the entry that was touched.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use inspay_ports::{
    Store,
    contract::{
        samples::block_time,
        teller::write,
        till::{SpendingLife, prize, spend_some, spender},
    },
};
use inspay_primitives::Timestamp;
use inspay_reports::verify_ledger;
use inspay_store_sqlite::{SqliteOptions, SqliteStore};
use sqlx::{
    AssertSqlSafe, Connection as _, Row as _, SqliteConnection, sqlite::SqliteConnectOptions,
};

/// A stream of numbers from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let wide = u64::try_from(end.max(1)).expect("small");
        usize::try_from((self.0 >> 33) % wide).expect("small")
    }
}

/// The journal's tables: the column that says which entry a row belongs to, those that tell rows of an entry apart, and
/// every column that an entry's hash covers.
const TABLES: [(&str, &str, &str, &[&str]); 3] = [
    (
        "entry",
        "seq",
        "seq",
        &[
            "seq",
            "kind",
            "operation_key",
            "event_at",
            "booked_at",
            "transfer_id",
            "order_id",
            "reverses",
            "previous_hash",
            "hash",
            "version",
            "facts",
        ],
    ),
    ("posting", "entry_seq", "line", &["entry_seq", "line", "account_number", "side", "quantity"]),
    (
        "lot_move",
        "entry_seq",
        "line",
        &["entry_seq", "line", "lot_entry_seq", "lot_index", "from_bucket", "to_bucket", "credits"],
    ),
];

struct Journal {
    store: Arc<dyn Store>,
    raw: SqliteConnection,
    dice: Dice,
    entries: i64,
}

impl Journal {
    /// A database in which credits were granted, held, spent, refunded and lapsed, and then so many times granted, with
    /// its triggers off.
    async fn lived_in(path: &Path, grants: u32) -> Self {
        let sqlite = SqliteStore::open(path, &SqliteOptions::default()).await.expect("opens");
        sqlite.migrate().await.expect("migrates");
        let store: Arc<dyn Store> = Arc::new(sqlite);
        spend_some(&store, block_time(1)).await;
        let mut life = SpendingLife::new(11, block_time(2), 3);
        write(&store, life.birth(), life.now()).await;
        for _ in 0..12 {
            let operations = life.batch(8);
            let written = write(&store, operations, life.now()).await;
            life.learn(&written.rows);
        }
        let grants = (0..grants)
            .map(|number| prize(&spender(1), &format!("more {number}"), 1, Timestamp::FAR).into());
        write(&store, grants.collect(), life.now()).await;
        let settings = SqliteConnectOptions::new().filename(path).foreign_keys(false);
        let mut raw = SqliteConnection::connect_with(&settings).await.expect("connects");
        let triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger'";
        let triggers = sqlx::query(triggers).fetch_all(&mut raw).await.expect("lists");
        for trigger in triggers {
            let name: String = trigger.get("name");
            run(&mut raw, &format!("DROP TRIGGER {name}")).await;
        }
        run(&mut raw, "PRAGMA ignore_check_constraints = ON").await;
        for (table, ..) in TABLES {
            run(&mut raw, &format!("CREATE TEMP TABLE kept_{table} AS SELECT * FROM {table}"))
                .await;
        }
        let row = sqlx::query("SELECT MAX(seq) AS newest FROM entry").fetch_one(&mut raw).await;
        let entries = row.expect("counts").get("newest");
        Self { store, raw, dice: Dice(7), entries }
    }

    /// The first entry that is named, or that none is.
    async fn named(&self) -> Option<i64> {
        let found = verify_ledger(&self.store, None, |_| {}).await.expect("verifies");
        found.broken.map(|row| row.entry_seq)
    }

    async fn restore(&mut self, table: &str) {
        run(&mut self.raw, &format!("DELETE FROM {table}")).await;
        run(&mut self.raw, &format!("INSERT INTO {table} SELECT * FROM kept_{table}")).await;
    }

    /// Any row: its table, the entry it belongs to, and how to name it.
    async fn row(&mut self) -> (usize, i64, String) {
        let place = self.dice.below(TABLES.len());
        let (table, entry, line, _) = TABLES[place];
        let count = sqlx::query(AssertSqlSafe(format!("SELECT COUNT(*) AS rows FROM {table}")));
        let count: i64 = count.fetch_one(&mut self.raw).await.expect("counts").get("rows");
        let nth = self.dice.below(usize::try_from(count).expect("small"));
        let sql = format!("SELECT {entry} AS e, {line} AS l FROM {table} LIMIT 1 OFFSET {nth}");
        let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut self.raw).await.expect("a row");
        let (e, l): (i64, i64) = (row.get("e"), row.get("l"));
        (place, e, format!("{entry} = {e} AND {line} = {l}"))
    }

    /// Changes one byte, deletes, swaps or inserts; what was done, to which table, and the first entry that is wrong now.
    async fn tamper(&mut self) -> (String, &'static str, i64) {
        let (place, entry, row) = self.row().await;
        let (table, key, line, columns) = TABLES[place];
        match self.dice.below(4) {
            0 | 1 => {
                let column = columns[self.dice.below(columns.len())];
                let change = self.byte(column).await;
                // Another entry's number moves the row there; of both the earlier one is wrong first.
                let sql = format!("UPDATE OR IGNORE {table} SET {column} = {change} WHERE {row}");
                let at = format!("SELECT {change} AS e FROM {table} WHERE {row}");
                let moved: Option<i64> = if column == key {
                    let moved = sqlx::query(AssertSqlSafe(at)).fetch_one(&mut self.raw).await;
                    Some(moved.expect("a number").get("e"))
                } else {
                    None
                };
                let first =
                    moved.map_or(entry, |moved| if moved > 0 { entry.min(moved) } else { entry });
                (sql, table, first)
            }
            2 => (format!("DELETE FROM {table} WHERE {row}"), table, entry),
            _ => {
                let copied: Vec<String> = columns
                    .iter()
                    .map(|column| {
                        if *column == line {
                            format!("{column} + 1000")
                        } else {
                            (*column).to_owned()
                        }
                    })
                    .collect();
                let rest = if table == "posting" { (", listed", ", listed") } else { ("", "") };
                let sql = format!(
                    "INSERT OR IGNORE INTO {table} ({}{}) SELECT {}{} FROM {table} WHERE {row}",
                    columns.join(", "),
                    rest.0,
                    copied.join(", "),
                    rest.1
                );
                let first = if table == "entry" { self.entries + 1 } else { entry };
                (sql, table, first)
            }
        }
    }

    /// An expression that is the column with one byte or one digit changed.
    async fn byte(&mut self, column: &str) -> String {
        let numbers = [
            "seq",
            "event_at",
            "booked_at",
            "reverses",
            "version",
            "entry_seq",
            "line",
            "account_number",
            "lot_entry_seq",
            "lot_index",
            "credits",
        ];
        let blobs = ["transfer_id", "order_id", "previous_hash", "hash"];
        if numbers.contains(&column) {
            let bit = 1_i64 << self.dice.below(6);
            return format!("COALESCE({column}, 0) + {bit}");
        }
        if blobs.contains(&column) {
            let place = self.dice.below(16) + 1;
            return format!(
                "CAST(substr(COALESCE({column}, zeroblob(16)), 1, {place} - 1) || \
                 char((unicode(substr(hex(COALESCE({column}, zeroblob(16))), {place}, 1)) % 64) + 1) || \
                 substr(COALESCE({column}, zeroblob(16)), {place} + 1) AS BLOB)"
            );
        }
        let place = self.dice.below(9) + 1;
        format!(
            "COALESCE(substr({column}, 1, {place} - 1) || \
             char((unicode(substr({column} || '~~~~~~~~~~', {place}, 1)) % 9) + 48) || \
             substr({column}, {place} + 1), '7')"
        )
    }
}

async fn run(raw: &mut SqliteConnection, sql: &str) -> u64 {
    let done = sqlx::query(AssertSqlSafe(sql.to_owned())).execute(raw).await;
    done.map_err(|error| format!("{sql}: {error}")).expect("runs").rows_affected()
}

/// Tampers so many times, and sees each change named at the first entry that is wrong.
async fn tampered(times: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut journal = Journal::lived_in(&folder.path().join("tamper.db"), 0).await;
    assert_eq!(journal.named().await, None);
    let mut found: BTreeMap<&str, usize> = BTreeMap::new();
    while found.values().sum::<usize>() < times {
        let (sql, table, first) = journal.tamper().await;
        let before = contents(&mut journal.raw, table).await;
        let changed = run(&mut journal.raw, &sql).await;
        // A change to what was there already, or one that the table has no room for, is none.
        if changed > 0 && contents(&mut journal.raw, table).await != before {
            assert_eq!(journal.named().await, Some(first), "{sql}");
            *found.entry(table).or_default() += 1;
        }
        journal.restore(table).await;
    }
    assert_eq!(journal.named().await, None);
    assert_eq!(found.len(), TABLES.len(), "{found:?}");
}

async fn contents(raw: &mut SqliteConnection, table: &str) -> Vec<String> {
    let (.., columns) = TABLES.into_iter().find(|it| it.0 == table).expect("a table");
    let quoted: Vec<String> = columns.iter().map(|column| format!("quote({column})")).collect();
    let sql = format!("SELECT {} AS row FROM {table} ORDER BY 1", quoted.join(" || ',' || "));
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(raw).await.expect("reads");
    rows.iter().map(|row| row.get("row")).collect()
}

/// The journal's end is where the head says: neither before nor behind it, and the same entry.
#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_was_cut_off_or_put_on_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut journal = Journal::lived_in(&folder.path().join("tamper.db"), 0).await;
    let newest = journal.entries;
    run(&mut journal.raw, &format!("DELETE FROM entry WHERE seq > {}", newest - 3)).await;
    assert_eq!(journal.named().await, Some(newest - 2));
    journal.restore("entry").await;
    for (change, first) in [
        ("entry_seq = entry_seq - 2", newest - 1),
        ("entry_seq = entry_seq + 1", newest + 1),
        ("entry_hash = zeroblob(32)", newest),
    ] {
        run(&mut journal.raw, "CREATE TEMP TABLE kept_head AS SELECT * FROM ledger_head").await;
        run(&mut journal.raw, &format!("UPDATE ledger_head SET {change}")).await;
        assert_eq!(journal.named().await, Some(first), "{change}");
        run(&mut journal.raw, "DELETE FROM ledger_head").await;
        run(&mut journal.raw, "INSERT INTO ledger_head SELECT * FROM kept_head").await;
        run(&mut journal.raw, "DROP TABLE kept_head").await;
    }
    assert_eq!(journal.named().await, None);
}

/// Where the pages are that are read ahead: whole ones and the last.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_a_long_journal_is_named_at_its_entry() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut journal = Journal::lived_in(&folder.path().join("tamper.db"), 6_500).await;
    assert_eq!(journal.named().await, None);
    for entry in [1, 1_999, 2_000, 2_001, 3_000, 4_001, 6_000, journal.entries] {
        for (table, sql) in [
            ("entry", format!("DELETE FROM entry WHERE seq = {entry}")),
            ("entry", format!("UPDATE entry SET kind = 'no such kind' WHERE seq = {entry}")),
            ("posting", format!("DELETE FROM posting WHERE entry_seq = {entry} AND line = 0")),
        ] {
            assert_eq!(run(&mut journal.raw, &sql).await, 1, "{sql}");
            assert_eq!(journal.named().await, Some(entry), "{sql}");
            journal.restore(table).await;
        }
    }
    assert_eq!(journal.named().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_of_the_journal_is_named_at_its_entry() {
    tampered(150).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; `make tamper` runs it"]
async fn ten_thousand_changes_of_the_journal_are_named_at_their_entries() {
    tampered(10_000).await;
}
