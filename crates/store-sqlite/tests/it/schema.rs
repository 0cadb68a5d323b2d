//! The schema is brought up, checked, and refused when it is not this release's.

use inspay_ports::{ReadStore as _, StoreError, StoreErrorKind};
use inspay_store_sqlite::{SqliteOptions, SqliteStore};

use crate::world::World;

fn assert_schema(outcome: Result<(), StoreError>, says: &str) {
    let error = outcome.expect_err(says);
    assert!(!error.is_transient());
    let says_it = matches!(&error.kind, StoreErrorKind::Schema(why) if why.contains(says));
    assert!(says_it, "{error:?}");
}

#[tokio::test]
async fn an_empty_database_is_refused_until_it_is_migrated() {
    let world = World::unmigrated(&SqliteOptions::default()).await;
    let sqlite = &world.sqlite;
    assert_schema(sqlite.check_schema().await, "migration 1 is not applied");
    let (applied, known) = sqlite.schema_versions().await.expect("reads");
    assert_eq!(applied, 0);
    sqlite.migrate().await.expect("migrates");
    sqlite.check_schema().await.expect("fits");
    assert_eq!(sqlite.schema_versions().await.expect("reads"), (known, known));
    sqlite.migrate().await.expect("has nothing to do");
    assert_eq!(sqlite.broken_laws().await.expect("checks"), []);
}

#[tokio::test]
async fn of_many_migrations_at_once_one_does_the_work() {
    let world = World::unmigrated(&SqliteOptions::default()).await;
    let mut runs = tokio::task::JoinSet::new();
    for _ in 0..4 {
        // Each as another process would: with connections of its own.
        let other = SqliteStore::open(&world.path(), &SqliteOptions::default()).await;
        let other = other.expect("opens");
        runs.spawn(async move { other.migrate().await });
    }
    for run in runs.join_all().await {
        run.expect("migrates");
    }
    world.sqlite.check_schema().await.expect("fits");
}

#[tokio::test]
async fn a_schema_from_the_future_is_refused() {
    let world = World::fresh().await;
    world
        .tamper(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             VALUES (9000, 'tomorrow', TRUE, x'00', 0)",
        )
        .await;
    assert_schema(world.sqlite.check_schema().await, "migration 9000 is applied");
    assert_schema(world.sqlite.migrate().await, "migration 9000 is applied");
    let (applied, known) = world.sqlite.schema_versions().await.expect("reads");
    assert!(applied > known);
}

#[tokio::test]
async fn a_migration_that_was_changed_is_refused() {
    let world = World::fresh().await;
    world.tamper("UPDATE _sqlx_migrations SET checksum = x'00' WHERE version = 2").await;
    assert_schema(world.sqlite.check_schema().await, "migration 2 was changed");
    assert_schema(world.sqlite.migrate().await, "migration 2 was changed");
}

#[tokio::test]
async fn migrations_are_applied_all_or_none() {
    let world = World::unmigrated(&SqliteOptions::default()).await;
    world.tamper("CREATE TABLE posting (seq INTEGER)").await;
    let error = world.sqlite.migrate().await.expect_err("a table is in the way");
    assert!(!error.is_transient(), "{error:?}");
    assert_schema(world.sqlite.check_schema().await, "migration 1 is not applied");
    world.tamper("DROP TABLE posting").await;
    world.sqlite.migrate().await.expect("nothing is in the way");
    world.sqlite.check_schema().await.expect("fits");
}
