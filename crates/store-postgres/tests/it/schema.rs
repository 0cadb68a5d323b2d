//! The schema is brought up, checked, and refused when it is not this release's.

use inspay_ports::{ReadStore as _, StoreError, StoreErrorKind};
use inspay_store_postgres::{PostgresOptions, PostgresStore, cluster::Cluster};
use sqlx::{Connection as _, PgConnection};

use crate::world::World;

async fn unmigrated() -> (PostgresStore, String) {
    let cluster = Cluster::shared().await.expect("a cluster");
    let url = cluster.empty_database().await.expect("a database");
    let store = PostgresStore::connect(&url, &PostgresOptions::default()).await.expect("a store");
    (store, url)
}

fn assert_schema(outcome: Result<(), StoreError>, says: &str) {
    let error = outcome.expect_err(says);
    assert!(!error.is_transient());
    let says_it = matches!(&error.kind, StoreErrorKind::Schema(why) if why.contains(says));
    assert!(says_it, "{error:?}");
}

#[tokio::test]
async fn an_empty_database_is_refused_until_it_is_migrated() {
    let (store, _) = unmigrated().await;
    assert_schema(store.check_schema().await, "migration 1 is not applied");
    let (applied, known) = store.schema_versions().await.expect("reads");
    assert_eq!(applied, 0);
    store.migrate().await.expect("migrates");
    store.check_schema().await.expect("fits");
    assert_eq!(store.schema_versions().await.expect("reads"), (known, known));
    store.migrate().await.expect("has nothing to do");
    assert_eq!(store.broken_laws().await.expect("checks"), []);
}

#[tokio::test]
async fn of_many_migrations_at_once_one_does_the_work() {
    let (store, _) = unmigrated().await;
    let runs = (0..4).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.migrate().await })
    });
    for run in runs.collect::<Vec<_>>() {
        run.await.expect("runs").expect("migrates");
    }
    store.check_schema().await.expect("fits");
}

#[tokio::test]
async fn a_schema_from_the_future_is_refused() {
    let world = World::fresh().await;
    world
        .tamper(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             VALUES (9000, 'tomorrow', TRUE, '\\x00', 0)",
        )
        .await;
    assert_schema(world.postgres.check_schema().await, "migration 9000 is applied");
    assert_schema(world.postgres.migrate().await, "migration 9000 is applied");
    let (applied, known) = world.postgres.schema_versions().await.expect("reads");
    assert!(applied > known);
}

#[tokio::test]
async fn a_migration_that_was_changed_is_refused() {
    let world = World::fresh().await;
    world.tamper("UPDATE _sqlx_migrations SET checksum = '\\x00' WHERE version = 2").await;
    assert_schema(world.postgres.check_schema().await, "migration 2 was changed");
    assert_schema(world.postgres.migrate().await, "migration 2 was changed");
}

#[tokio::test]
async fn a_migration_that_failed_half_way_leaves_nothing() {
    let (store, url) = unmigrated().await;
    let mut raw = PgConnection::connect(&url).await.expect("connects");
    sqlx::raw_sql("CREATE TABLE posting (seq BIGINT)").execute(&mut raw).await.expect("creates");
    let error = store.migrate().await.expect_err("a table is in the way");
    assert!(!error.is_transient(), "{error:?}");
    assert_schema(store.check_schema().await, "migration 3 is not applied");
    let entry = sqlx::query("SELECT 1 FROM pg_class WHERE relname = 'entry'");
    assert!(entry.fetch_optional(&mut raw).await.expect("reads").is_none());
    sqlx::raw_sql("DROP TABLE posting").execute(&mut raw).await.expect("drops");
    store.migrate().await.expect("goes on where it stopped");
    store.check_schema().await.expect("fits");
}
