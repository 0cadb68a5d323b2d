//! A database that is gone, slow or elsewhere: each told apart, none with a secret in it.

use std::time::Duration;

use inspay_ports::{
    FollowStore as _, ReadStore as _, StoreError, StoreErrorKind,
    contract::samples::{CHAIN, ordered, terms},
};
use inspay_store_postgres::{PostgresOptions, PostgresStore, cluster::Cluster};
use sqlx::Connection as _;

use crate::world::World;

/// An error with everything that stands behind it.
fn whole_story(error: &StoreError) -> String {
    let mut story = format!("{error} / {error:?}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        story.push_str(&format!(" / {cause}"));
        source = cause.source();
    }
    story
}

fn assert_unreachable(error: &StoreError) {
    assert!(matches!(error.kind, StoreErrorKind::Unreachable(_)), "{error:?}");
    assert!(error.is_transient());
}

#[tokio::test]
async fn a_database_that_goes_away_is_unreachable_and_comes_back() {
    let cluster = Cluster::start().await.expect("a cluster");
    let url = cluster.database().await.expect("a database");
    let options =
        PostgresOptions { acquire_timeout: Duration::from_secs(2), ..PostgresOptions::default() };
    let store = PostgresStore::connect(&url, &options).await.expect("a store");
    store.ping().await.expect("answers");
    assert_eq!(store.cursor(CHAIN).await.expect("reads"), None);
    drop(cluster);
    assert_unreachable(&store.ping().await.expect_err("is gone"));
    assert_unreachable(&store.cursor(CHAIN).await.expect_err("is gone"));
    assert_unreachable(&store.check_schema().await.expect_err("is gone"));
    assert_unreachable(&store.migrate().await.expect_err("is gone"));
    let error = PostgresStore::connect(&url, &options).await.expect_err("is gone");
    assert_unreachable(&error);
}

#[tokio::test]
async fn a_connection_that_was_cut_is_replaced() {
    let world = World::lived_in().await;
    let mut raw = world.raw().await;
    let before = world.store.cursor(CHAIN).await.expect("reads");
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid()";
    sqlx::query(cut).fetch_all(&mut raw).await.expect("cuts");
    // Each idle connection may fail the one call that finds it cut.
    let mut failures = 0;
    let after = loop {
        match world.store.cursor(CHAIN).await {
            Ok(cursor) => break cursor,
            Err(error) => assert_unreachable(&error),
        }
        failures += 1;
        assert!(failures <= 8, "no connection is replaced");
    };
    assert_eq!(after, before);
}

#[tokio::test]
async fn no_secret_is_in_an_error_or_in_the_debug_form() {
    let options = PostgresOptions {
        acquire_timeout: Duration::from_millis(500),
        ..PostgresOptions::default()
    };
    for url in [
        "postgres://buyer:hunter2@127.0.0.1:1/inspay",
        "postgres://buyer:hunter2@127.0.0.1:99999999/inspay",
        "postgres://buyer:hunter2@[::bad/inspay",
        "mysql://buyer:hunter2@127.0.0.1/inspay",
        "buyer:hunter2",
    ] {
        let error = PostgresStore::connect(url, &options).await.expect_err(url);
        let story = whole_story(&error);
        assert!(!story.contains("hunter2"), "{story}");
        assert!(story.contains("the store could not connect"), "{story}");
    }
    let world = World::fresh().await;
    let url = world.url.replacen("inspay@", "inspay:hunter2@", 1);
    let store = PostgresStore::connect(&url, &options).await.expect("trusts everybody");
    assert!(!format!("{store:?}").contains("hunter2"));
    assert!(!format!("{store:?}").contains("localhost"));
}

#[tokio::test]
async fn a_lock_that_is_not_let_go_is_contention() {
    let options =
        PostgresOptions { lock_timeout: Duration::from_millis(200), ..PostgresOptions::default() };
    let world = World::with(&options).await;
    ordered(&world.store, 1).await;
    let mut raw = world.raw().await;
    let mut held = raw.begin().await.expect("begins");
    sqlx::query("SELECT 1 FROM ledger_head FOR UPDATE").fetch_all(&mut *held).await.expect("locks");
    let decide: inspay_ports::Decide =
        std::sync::Arc::new(|_| panic!("nothing is decided unlocked"));
    let waited = world.store.transact(inspay_ledger::Touches::default(), decide).await;
    let error = waited.expect_err("the head is held");
    assert!(matches!(error.kind, StoreErrorKind::Contended(_)), "{error:?}");
    assert!(error.is_transient());
    held.rollback().await.expect("lets go");
    world.write(Vec::new()).await;
    assert!(world.store.order(terms(1).id).await.expect("reads").is_some());
}

#[tokio::test]
async fn a_number_that_no_column_holds_is_refused() {
    use inspay_ports::contract::samples::{Follower, applied, block};
    use inspay_primitives::{BlockRef, ChainId};

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
