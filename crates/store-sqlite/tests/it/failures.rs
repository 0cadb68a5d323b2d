//! A database that is gone, damaged or held by somebody else: each told apart.

use std::{fs, time::Duration};

use inspay_ports::{
    BooksStore as _, ReadStore as _, SaleStore as _, StoreErrorKind,
    contract::samples::{CHAIN, Follower, applied, block, ordered, quote, terms},
};
use inspay_primitives::{BlockRef, ChainId};
use inspay_store_sqlite::{SqliteOptions, SqliteStore};
use sqlx::{Connection as _, Row as _};

use crate::world::World;

#[tokio::test]
async fn a_file_that_is_not_there_is_unreachable_unless_it_may_be_made() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("inspay.db");
    let existing = SqliteOptions { create: false, ..SqliteOptions::default() };
    let error = SqliteStore::open(&path, &existing).await.expect_err("is not there");
    assert!(matches!(error.kind, StoreErrorKind::Unreachable(_)), "{error:?}");
    assert!(!path.exists());
    let nowhere = directory.path().join("missing").join("inspay.db");
    let error = SqliteStore::open(&nowhere, &SqliteOptions::default()).await;
    let error = error.expect_err("its directory is not there");
    assert!(matches!(error.kind, StoreErrorKind::Unreachable(_)), "{error:?}");
    let made = SqliteStore::open(&path, &SqliteOptions::default()).await.expect("is made");
    made.migrate().await.expect("migrates");
    made.close().await;
    let found = SqliteStore::open(&path, &existing).await.expect("is there");
    found.check_schema().await.expect("fits");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_corrupt() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("inspay.db");
    fs::write(&path, "a letter to the bank\n".repeat(500)).expect("writes");
    let error = SqliteStore::open(&path, &SqliteOptions::default()).await.expect_err("is none");
    assert!(matches!(error.kind, StoreErrorKind::Corrupt(_)), "{error:?}");
    assert!(!error.is_transient());
}

#[tokio::test]
async fn a_closed_store_is_unreachable() {
    let world = World::fresh().await;
    world.sqlite.ping().await.expect("answers");
    world.sqlite.close().await;
    let error = world.sqlite.ping().await.expect_err("is closed");
    assert!(matches!(error.kind, StoreErrorKind::Unreachable(_)), "{error:?}");
    let error = world.sqlite.save_quote(quote(1)).await.expect_err("is closed");
    assert!(matches!(error.kind, StoreErrorKind::Unreachable(_)), "{error:?}");
}

#[tokio::test]
async fn what_was_committed_is_there_after_closing() {
    let world = World::lived_in().await;
    let before = world.store.entries(0, 100).await.expect("reads");
    world.sqlite.close().await;
    let options = SqliteOptions { create: false, ..SqliteOptions::default() };
    let again = SqliteStore::open(&world.path(), &options).await.expect("opens");
    again.check_schema().await.expect("fits");
    assert_eq!(again.entries(0, 100).await.expect("reads"), before);
    assert_eq!(again.broken_laws().await.expect("checks"), []);
}

#[tokio::test]
async fn another_process_that_writes_is_contention() {
    let options =
        SqliteOptions { busy_timeout: Duration::from_millis(50), ..SqliteOptions::default() };
    let world = World::with(&options).await;
    ordered(&world.store, 1).await;
    let mut raw = world.raw().await;
    let held = raw.begin_with("BEGIN IMMEDIATE").await.expect("begins");
    let decide: inspay_ports::Decide =
        std::sync::Arc::new(|_| panic!("nothing is decided while somebody else writes"));
    let waited = world.sqlite.transact(inspay_ledger::Touches::default(), decide).await;
    let error = waited.expect_err("somebody else writes");
    assert!(matches!(error.kind, StoreErrorKind::Contended(_)), "{error:?}");
    assert!(error.is_transient());
    let error = world.sqlite.save_quote(quote(9)).await.expect_err("somebody else writes");
    assert!(matches!(error.kind, StoreErrorKind::Contended(_)), "{error:?}");
    // Reading waits for nobody.
    assert!(world.store.order(terms(1).id).await.expect("reads").is_some());
    held.rollback().await.expect("lets go");
    world.sqlite.save_quote(quote(9)).await.expect("nobody writes");
}

#[tokio::test]
async fn a_number_that_no_column_holds_is_refused() {
    let world = World::fresh().await;
    let follower = Follower::of(&world.store, ChainId(u64::MAX));
    let commit = follower.commit_of(&[], vec![applied(block("a", 1), vec![])]);
    let error = world.store.commit_blocks(commit).await.expect_err("is refused");
    assert!(matches!(error.kind, StoreErrorKind::Refused(_)), "{error:?}");
    let follower = Follower::new(&world.store);
    let high = BlockRef { number: u64::MAX, ..block("a", 1) };
    let commit = follower.commit_of(&[], vec![applied(high, vec![])]);
    let error = world.store.commit_blocks(commit).await.expect_err("is refused");
    assert!(matches!(error.kind, StoreErrorKind::Refused(_)), "{error:?}");
    assert_eq!(world.store.cursor(CHAIN).await.expect("reads"), None);
}

#[tokio::test]
async fn the_file_is_kept_as_it_must_be() {
    let world = World::fresh().await;
    let mut raw = world.raw().await;
    let mode = sqlx::query("PRAGMA journal_mode").fetch_one(&mut raw).await.expect("reads");
    assert_eq!(mode.get::<String, _>(0), "wal");
    let loose = sqlx::query(
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND strict = 0 \
         AND name NOT IN ('sqlite_schema', '_sqlx_migrations')",
    );
    assert!(loose.fetch_all(&mut raw).await.expect("lists").is_empty());
}
