//! What is kept as it was written cannot be changed, dropped or truncated, not even past the store.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

use crate::world::World;

/// Tables no row of which ever changes.
const FROZEN: [(&str, &str); 15] = [
    ("former_observation", "log_index = log_index"),
    ("account", "created_at = created_at"),
    ("quote", "body = body"),
    ("rate_sample", "rate = rate"),
    ("operation", "done_at = done_at"),
    ("entry", "event_at = event_at"),
    ("posting", "quantity = quantity"),
    ("settlement", "credits = credits"),
    ("reversal", "reversed_at = reversed_at"),
    ("event", "created_at = created_at"),
    ("lot", "granted = granted"),
    ("lot_move", "credits = credits"),
    ("hold_resolution", "captured = captured"),
    ("payment_claim", "claimed_at = claimed_at"),
    ("wallet_challenge", "used_at = used_at"),
];

/// Tables whose rows move on in some columns: one of those that never do.
const KEYED: [(&str, &str); 22] = [
    ("transfer", "tx_hash = tx_hash"),
    ("transfer", "treasury = treasury"),
    ("transfer", "ordinal = ordinal"),
    ("orders", "due_base_units = due_base_units"),
    ("orders", "account = account"),
    ("orders", "rate = rate"),
    ("orders", "deadline = deadline"),
    ("book_account", "account = account"),
    ("lot", "expires_at = expires_at"),
    ("lot", "paid = paid"),
    ("lot", "scope = scope"),
    ("hold", "credits = credits"),
    ("hold", "expires_at = expires_at"),
    ("usage", "credits = credits"),
    ("usage", "purpose = purpose"),
    ("usage_limit", "cap = cap"),
    ("finance_case", "body = body"),
    ("finance_case", "subject = subject"),
    ("wallet", "account = account"),
    ("wallet", "wallet = wallet"),
    ("subscription", "credits = credits"),
    ("subscription", "opened_at = opened_at"),
];

const KEPT: [&str; 24] = [
    "account",
    "quote",
    "orders",
    "rate_sample",
    "transfer",
    "former_observation",
    "operation",
    "entry",
    "posting",
    "lot",
    "settlement",
    "reversal",
    "lot_move",
    "hold",
    "hold_resolution",
    "usage",
    "usage_limit",
    "event",
    "book_account",
    "finance_case",
    "wallet_challenge",
    "wallet",
    "payment_claim",
    "subscription",
];

async fn count(raw: &mut PgConnection, table: &str) -> i64 {
    let sql = format!("SELECT COUNT(*) FROM {table}");
    let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(raw).await.expect("counts");
    row.get(0)
}

async fn assert_refused(raw: &mut PgConnection, sql: String) {
    let outcome = sqlx::raw_sql(AssertSqlSafe(sql.clone())).execute(raw).await;
    let error = outcome.expect_err(&sql);
    let refusal = error.as_database_error().expect("the database refuses");
    assert_eq!(refusal.code().as_deref(), Some("23001"), "{sql}: {refusal}");
}

#[tokio::test]
async fn rows_of_the_journal_cannot_be_updated() {
    let world = World::lived_in().await;
    let mut raw = world.raw().await;
    for (table, change) in FROZEN.iter().chain(&KEYED) {
        assert!(count(&mut raw, table).await > 0, "{table} has rows");
        assert_refused(&mut raw, format!("UPDATE {table} SET {change}")).await;
    }
}

#[tokio::test]
async fn a_hold_that_ended_stays_ended() {
    let world = World::lived_in().await;
    let mut raw = world.raw().await;
    assert_refused(&mut raw, "UPDATE hold SET is_open = TRUE WHERE NOT is_open".to_owned()).await;
}

#[tokio::test]
async fn a_case_is_resolved_once() {
    let world = World::lived_in().await;
    let mut raw = world.raw().await;
    let resolve = "UPDATE finance_case SET resolved_at = 1, resolution = 'paid'";
    sqlx::raw_sql(resolve).execute(&mut raw).await.expect("resolves");
    for change in
        ["resolved_at = 2", "resolution = 'never'", "resolved_at = NULL, resolution = NULL"]
    {
        assert_refused(&mut raw, format!("UPDATE finance_case SET {change}")).await;
    }
}

#[tokio::test]
async fn rows_that_are_kept_cannot_be_deleted() {
    let world = World::lived_in().await;
    let mut raw = world.raw().await;
    for table in KEPT.iter().chain(&["ledger_head"]) {
        let rows = count(&mut raw, table).await;
        assert!(rows > 0, "{table} has rows");
        assert_refused(&mut raw, format!("DELETE FROM {table}")).await;
        assert_eq!(count(&mut raw, table).await, rows);
    }
}

#[tokio::test]
async fn tables_that_are_kept_cannot_be_truncated() {
    let world = World::lived_in().await;
    let mut raw = world.raw().await;
    for table in KEPT.iter().chain(&["ledger_head"]) {
        let rows = count(&mut raw, table).await;
        assert_refused(&mut raw, format!("TRUNCATE {table} CASCADE")).await;
        assert_eq!(count(&mut raw, table).await, rows);
    }
}

#[tokio::test]
async fn fencing_numbers_only_grow() {
    let world = World::lived_in().await;
    let mut raw = world.raw().await;
    sqlx::raw_sql("INSERT INTO lease VALUES (5, 'a', 7, TRUE, 0)")
        .execute(&mut raw)
        .await
        .expect("inserts");
    sqlx::raw_sql("UPDATE lease SET fencing = 8, holder = 'b'")
        .execute(&mut raw)
        .await
        .expect("grows");
    for sql in [
        "DELETE FROM lease",
        "UPDATE lease SET fencing = 7",
        "UPDATE lease SET chain_id = 6",
        "INSERT INTO lease VALUES (5, 'a', 1, TRUE, 0) ON CONFLICT (chain_id) DO UPDATE SET fencing = EXCLUDED.fencing",
    ] {
        assert_refused(&mut raw, sql.to_owned()).await;
    }
}

#[tokio::test]
async fn an_upsert_is_no_way_around() {
    let world = World::lived_in().await;
    let mut raw = world.raw().await;
    for (table, key, change) in [
        ("entry", "seq", "hash = EXCLUDED.hash"),
        ("event", "seq", "kind = EXCLUDED.kind"),
        ("operation", "key", "entry_seq = EXCLUDED.entry_seq"),
        ("account", "id", "created_at = EXCLUDED.created_at"),
    ] {
        let sql = format!(
            "INSERT INTO {table} SELECT * FROM {table} ON CONFLICT ({key}) DO UPDATE SET {change}"
        );
        assert_refused(&mut raw, sql).await;
    }
}

#[tokio::test]
async fn every_table_of_the_schema_is_either_kept_or_named_here() {
    let world = World::fresh().await;
    let mut raw = world.raw().await;
    let rows = sqlx::query(
        "SELECT c.relname::text, COUNT(t.oid) FROM pg_class c LEFT JOIN pg_trigger t \
         ON t.tgrelid = c.oid AND t.tgname LIKE '%\\_all\\_stay' \
         WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace GROUP BY c.relname",
    )
    .fetch_all(&mut raw)
    .await
    .expect("lists");
    let moving = [
        "_sqlx_migrations",
        "account_profile",
        "asset_halt",
        "block",
        "cursor",
        "lease",
        "limit_window",
        "api_key",
        "idempotency",
        "usage_day",
        "rejudgement",
        "free_plan_due",
    ];
    for row in rows {
        let (table, guards): (String, i64) = (row.get(0), row.get(1));
        let is_kept = KEPT.contains(&table.as_str()) || table == "ledger_head";
        assert_ne!(is_kept, moving.contains(&table.as_str()), "{table}");
        assert_eq!(guards, i64::from(is_kept || table == "lease"), "{table}");
    }
    raw.close().await.expect("closes");
}
