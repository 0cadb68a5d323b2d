//! What is kept as it was written cannot be changed, dropped or replaced, not even past the store.

use sqlx::{AssertSqlSafe, SqliteConnection};

use crate::world::{World, texts};

/// Tables no row of which ever changes.
const FROZEN: [&str; 14] = [
    "account",
    "quote",
    "rate_sample",
    "operation",
    "entry",
    "posting",
    "settlement",
    "reversal",
    "lot_move",
    "hold_resolution",
    "event",
    "former_observation",
    "payment_claim",
    "wallet_challenge",
];

/// Tables whose rows move on in some columns, with those columns.
const KEYED: [(&str, &[&str]); 10] = [
    (
        "transfer",
        &[
            "counterparty",
            "base_units",
            "block_number",
            "block_hash",
            "block_time",
            "log_index",
            "reference_read",
            "reference",
            "canonical",
            "generation",
            "settled_block_hash",
        ],
    ),
    ("orders", &["state", "received_base_units", "credited", "closed", "slot_held"]),
    ("book_account", &["debits", "credits"]),
    ("lot", &["credits_left", "held", "spent", "expired", "taken", "revoked", "warned"]),
    ("hold", &["is_open"]),
    ("usage", &["refunded"]),
    ("usage_limit", &["removed_at"]),
    ("finance_case", &["resolved_at", "resolution"]),
    ("wallet", &["unlinked_at"]),
    ("subscription", &["next_cycle", "next_at", "ended_at"]),
];

/// Tables that forget, by design.
const MOVING: [&str; 12] = [
    "_sqlx_migrations",
    "account_profile",
    "api_key",
    "asset_halt",
    "block",
    "cursor",
    "free_plan_due",
    "idempotency",
    "lease",
    "limit_window",
    "rejudgement",
    "usage_day",
];

fn kept() -> impl Iterator<Item = &'static str> {
    FROZEN.into_iter().chain(KEYED.map(|(table, _)| table))
}

/// The columns that a statement may write.
async fn columns(raw: &mut SqliteConnection, table: &str) -> Vec<String> {
    texts(raw, &format!("SELECT name FROM pragma_table_xinfo('{table}') WHERE hidden = 0")).await
}

/// Whether rows have a number besides their key.
async fn has_rowid(raw: &mut SqliteConnection, table: &str) -> bool {
    let without = format!("SELECT name FROM pragma_table_list('{table}') WHERE wr = 1");
    texts(raw, &without).await.is_empty()
}

/// Every row with every column, as text.
async fn contents(raw: &mut SqliteConnection, table: &str) -> Vec<String> {
    let columns = columns(raw, table).await;
    let quoted: Vec<String> = columns.iter().map(|column| format!("quote({column})")).collect();
    texts(raw, &format!("SELECT {} FROM {table} ORDER BY 1", quoted.join(" || ',' || "))).await
}

/// The statement fails by a constraint, as a trigger raises it, and nothing is different afterwards.
async fn assert_refused(raw: &mut SqliteConnection, table: &str, sql: String) {
    let before = contents(raw, table).await;
    assert!(!before.is_empty(), "{table} has rows");
    let outcome = sqlx::raw_sql(AssertSqlSafe(sql.clone())).execute(&mut *raw).await;
    let error = outcome.expect_err(&sql);
    let refusal = error.as_database_error().expect("the database refuses");
    assert_eq!(refusal.code().as_deref(), Some("1811"), "{sql}: {refusal}");
    assert_eq!(contents(raw, table).await, before, "{sql}");
}

#[tokio::test]
async fn no_column_of_a_frozen_row_can_be_updated() {
    let world = World::lived_in().await;
    let mut raw = world.raw().await;
    for table in FROZEN {
        let mut columns = columns(&mut raw, table).await;
        if has_rowid(&mut raw, table).await {
            columns.extend(["rowid", "_rowid_", "oid"].map(str::to_owned));
        }
        for column in columns {
            for verb in ["UPDATE", "UPDATE OR REPLACE", "UPDATE OR IGNORE"] {
                let sql = format!("{verb} {table} SET {column} = {column}");
                assert_refused(&mut raw, table, sql).await;
            }
        }
    }
}

#[tokio::test]
async fn no_column_but_those_that_move_can_be_updated() {
    let world = World::lived_in().await;
    let mut raw = world.raw().await;
    for (table, moving) in KEYED {
        let mut columns = columns(&mut raw, table).await;
        if has_rowid(&mut raw, table).await {
            columns.extend(["rowid", "_rowid_", "oid"].map(str::to_owned));
        }
        for column in columns {
            // A hold moves until it has ended.
            let open = if table == "hold" { " WHERE is_open = 1" } else { "" };
            let sql = format!("UPDATE OR REPLACE {table} SET {column} = {column}{open}");
            if moving.contains(&column.as_str()) {
                let moved = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut raw).await;
                moved.unwrap_or_else(|error| panic!("{table}.{column} moves: {error}"));
            } else {
                assert_refused(&mut raw, table, sql).await;
            }
        }
    }
}

#[tokio::test]
async fn rows_that_are_kept_cannot_be_deleted() {
    let world = World::lived_in().await;
    let mut raw = world.raw().await;
    for table in kept().chain(["ledger_head"]) {
        assert_refused(&mut raw, table, format!("DELETE FROM {table}")).await;
        // Without a condition, SQLite drops all rows at once unless a trigger watches.
        assert_refused(&mut raw, table, format!("DELETE FROM {table} WHERE TRUE")).await;
    }
}

#[tokio::test]
async fn rows_that_are_kept_cannot_be_replaced() {
    let world = World::lived_in().await;
    let mut raw = world.raw().await;
    for recursion in ["OFF", "ON"] {
        let setting = format!("PRAGMA recursive_triggers = {recursion}");
        sqlx::raw_sql(AssertSqlSafe(setting)).execute(&mut raw).await.expect("sets");
        for table in kept().chain(["ledger_head"]) {
            let columns = columns(&mut raw, table).await.join(", ");
            for verb in ["INSERT OR REPLACE", "REPLACE", "INSERT OR FAIL"] {
                let sql = format!("{verb} INTO {table} ({columns}) SELECT {columns} FROM {table}");
                assert_refused(&mut raw, table, sql).await;
            }
        }
    }
}

/// A row with a key of its own still takes another's place, if it says that place or shares a second key.
#[tokio::test]
async fn a_row_cannot_take_the_place_of_another() {
    let world = World::lived_in().await;
    let mut raw = world.raw().await;
    // Table, the columns that differ, with what they become; the others stay as the row has them.
    let others: [(&str, &[(&str, &str)]); 18] = [
        ("transfer", &[("position", "99")]),
        ("transfer", &[("id", "randomblob(32)")]),
        (
            "orders",
            &[("position", "99"), ("id", "randomblob(16)"), ("reference", "randomblob(16)")],
        ),
        (
            "orders",
            &[
                ("position", "99"),
                ("id", "randomblob(16)"),
                ("quote_id", "randomblob(16)"),
                ("slot_held", "0"),
            ],
        ),
        (
            "orders",
            &[
                ("position", "99"),
                ("id", "randomblob(16)"),
                ("quote_id", "randomblob(16)"),
                ("reference", "randomblob(16)"),
            ],
        ),
        (
            "orders",
            &[
                ("id", "randomblob(16)"),
                ("quote_id", "randomblob(16)"),
                ("reference", "randomblob(16)"),
                ("slot_held", "0"),
            ],
        ),
        ("book_account", &[("number", "99")]),
        ("book_account", &[("account", "'elsewhere'")]),
        ("entry", &[("operation_key", "'another'")]),
        ("settlement", &[("rowid", "rowid"), ("transfer_id", "randomblob(32)")]),
        ("reversal", &[("rowid", "rowid"), ("transfer_id", "randomblob(32)")]),
        ("quote", &[("rowid", "rowid"), ("id", "randomblob(16)")]),
        ("hold", &[("id", "randomblob(16)")]),
        ("hold", &[("entry_seq", "999")]),
        ("finance_case", &[("id", "99")]),
        ("finance_case", &[("subject", "'another'")]),
        ("wallet", &[("id", "99")]),
        ("subscription", &[("id", "randomblob(16)")]),
    ];
    for (table, changes) in others {
        let is_hidden = changes.iter().any(|(column, _)| *column == "rowid");
        if is_hidden && !has_rowid(&mut raw, table).await {
            continue;
        }
        let mut names = columns(&mut raw, table).await;
        if is_hidden {
            names.push("rowid".to_owned());
        }
        let changed = |name: &String| {
            let change = changes.iter().find(|(column, _)| column == name);
            change.map_or_else(|| name.clone(), |(_, value)| (*value).to_owned())
        };
        let values: Vec<String> = names.iter().map(changed).collect();
        let (names, values) = (names.join(", "), values.join(", "));
        let sql = format!(
            "INSERT OR REPLACE INTO {table} ({names}) SELECT {values} FROM {table} LIMIT 1"
        );
        assert_refused(&mut raw, table, sql).await;
    }
}

#[tokio::test]
async fn an_upsert_is_no_way_around() {
    let world = World::lived_in().await;
    let mut raw = world.raw().await;
    for (table, key, change) in [
        ("entry", "seq", "hash = excluded.hash"),
        ("event", "seq", "kind = excluded.kind"),
        ("operation", "key", "entry_seq = excluded.entry_seq"),
        ("account", "id", "created_at = excluded.created_at"),
    ] {
        let sql = format!(
            "INSERT INTO {table} SELECT * FROM {table} WHERE TRUE ON CONFLICT ({key}) DO UPDATE SET {change}"
        );
        assert_refused(&mut raw, table, sql).await;
    }
}

#[tokio::test]
async fn fencing_numbers_only_grow() {
    let world = World::lived_in().await;
    let mut raw = world.raw().await;
    let lease = "INSERT INTO lease VALUES (5, 'a', 7, 1, 0)";
    sqlx::raw_sql(lease).execute(&mut raw).await.expect("inserts");
    sqlx::raw_sql("UPDATE lease SET fencing = 8, holder = 'b'")
        .execute(&mut raw)
        .await
        .expect("grows");
    for sql in [
        "DELETE FROM lease",
        "UPDATE lease SET fencing = 7",
        "UPDATE lease SET chain_id = 6",
        "UPDATE OR REPLACE lease SET fencing = fencing - 1",
        "INSERT OR REPLACE INTO lease VALUES (5, 'a', 1, 1, 0)",
        "REPLACE INTO lease (rowid, holder, fencing, checked, expires_at) VALUES (5, 'a', 9, 1, 0)",
    ] {
        assert_refused(&mut raw, "lease", sql.to_owned()).await;
    }
}

#[tokio::test]
async fn a_hold_that_ended_stays_ended() {
    let world = World::lived_in().await;
    let mut raw = world.raw().await;
    for verb in ["UPDATE", "UPDATE OR REPLACE"] {
        let sql = format!("{verb} hold SET is_open = 1 WHERE is_open = 0");
        assert_refused(&mut raw, "hold", sql).await;
    }
}

#[tokio::test]
async fn a_case_is_resolved_once() {
    let world = World::lived_in().await;
    let mut raw = world.raw().await;
    let half = sqlx::raw_sql("UPDATE finance_case SET resolved_at = 1").execute(&mut raw).await;
    assert!(half.expect_err("is half").to_string().contains("CHECK"));
    let resolve = "UPDATE finance_case SET resolved_at = 1, resolution = 'paid'";
    sqlx::raw_sql(resolve).execute(&mut raw).await.expect("resolves");
    for change in
        ["resolved_at = 2", "resolution = 'never'", "resolved_at = NULL, resolution = NULL"]
    {
        let sql = format!("UPDATE OR REPLACE finance_case SET {change}");
        assert_refused(&mut raw, "finance_case", sql).await;
    }
}

#[tokio::test]
async fn a_slot_that_was_freed_is_not_taken_back() {
    let world = World::lived_in().await;
    let mut raw = world.raw().await;
    let free = "UPDATE orders SET slot_held = 0 WHERE state = 'open'";
    sqlx::raw_sql(free).execute(&mut raw).await.expect("frees");
    for verb in ["UPDATE", "UPDATE OR REPLACE"] {
        let sql = format!("{verb} orders SET slot_held = 1 WHERE slot_held = 0");
        assert_refused(&mut raw, "orders", sql).await;
    }
}

#[tokio::test]
async fn a_generation_follows_only_one_that_was_taken_back() {
    let world = World::lived_in().await;
    let mut raw = world.raw().await;
    let strict = "PRAGMA foreign_keys = ON";
    sqlx::raw_sql(strict).execute(&mut raw).await.expect("sets");
    let names = columns(&mut raw, "settlement").await.join(", ");
    let skipping = names.replace("generation", "generation + 1");
    for sql in [
        format!(
            "INSERT INTO settlement ({names}) SELECT {skipping} FROM settlement WHERE kind = 'withdrawal'"
        ),
        "INSERT INTO reversal (transfer_id, generation, reversed_at) \
         SELECT id, 7, 0 FROM transfer LIMIT 1"
            .to_owned(),
    ] {
        let outcome = sqlx::raw_sql(AssertSqlSafe(sql.clone())).execute(&mut raw).await;
        let error = outcome.expect_err(&sql);
        let refusal = error.as_database_error().expect("the database refuses");
        assert_eq!(refusal.code().as_deref(), Some("787"), "{sql}: {refusal}");
    }
}

#[tokio::test]
async fn every_table_of_the_schema_is_either_kept_or_named_here() {
    let world = World::fresh().await;
    let mut raw = world.raw().await;
    let tables = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name";
    let mut named: Vec<&str> = kept().chain(MOVING).chain(["ledger_head"]).collect();
    named.sort_unstable();
    assert_eq!(texts(&mut raw, tables).await, named);
    let loose = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND strict = 0 \
         AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
    assert_eq!(texts(&mut raw, loose).await, ["_sqlx_migrations"]);
}
