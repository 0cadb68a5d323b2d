//! A stored value that cannot be read back is told as corrupt, with its column; never guessed, never a panic.

use inspay_ports::{
    Page, StoreError, StoreErrorKind, TransferFilter,
    contract::samples::{CHAIN, account, inspi, terms},
};
use inspay_primitives::{Timestamp, U256};
use sqlx::AssertSqlSafe;

use crate::world::World;

fn assert_corrupt<T: std::fmt::Debug>(outcome: Result<T, StoreError>, column: &str) {
    let error = outcome.expect_err(column);
    assert!(!error.is_transient());
    let names_it = matches!(&error.kind, StoreErrorKind::Corrupt(why) if why.contains(column));
    assert!(names_it, "{column}: {error:?}");
}

const FIRST_PAGE: Page = Page { after: None, limit: 100 };

#[tokio::test]
async fn unknown_words_are_corrupt() {
    let world = World::lived_in().await;
    let store = &world.store;
    world
        .tamper(
            "UPDATE event SET kind = 'order.eaten'; UPDATE orders SET state = 'lost'; \
             UPDATE entry SET kind = 'gift'; UPDATE lot SET source = 'luck'; \
             UPDATE settlement SET evidence = 'hunch' WHERE evidence IS NOT NULL; \
             UPDATE rate_sample SET rate = '0.12345678901234567890123456789012345'; \
             UPDATE book_account SET account = 'piggy_bank' WHERE account = 'treasury'; \
             UPDATE api_key SET scope = 'king'; UPDATE block SET proof = 'trust'",
        )
        .await;
    assert_corrupt(store.events(None, 0, 10).await, "kind");
    assert_corrupt(store.order(terms(1).id).await, "state");
    assert_corrupt(store.entries(0, 10).await, "kind");
    assert_corrupt(store.lots(&account(1)).await, "source");
    assert_corrupt(store.transfers(TransferFilter::default(), FIRST_PAGE).await, "s_evidence");
    assert_corrupt(store.rates_at(vec![(inspi(), Timestamp::FAR)]).await, "rate");
    assert_corrupt(store.balances(true).await, "account");
    assert_corrupt(store.keys().await, "scope");
    assert_corrupt(store.window(CHAIN).await, "proof");
}

#[tokio::test]
async fn values_of_the_wrong_size_are_corrupt() {
    let world = World::lived_in().await;
    let store = &world.store;
    world
        .tamper(
            "UPDATE event SET snapshot = '{\"surprise\": 1}'; UPDATE transfer SET token = x'00'; \
             UPDATE cursor SET tip_number = -1; UPDATE orders SET reference = zeroblob(17) WHERE position = 1; \
             UPDATE posting SET quantity = '012'; UPDATE settlement SET candidates = x'0102'",
        )
        .await;
    assert_corrupt(store.events(None, 0, 10).await, "snapshot");
    assert_corrupt(store.transfers(TransferFilter::default(), FIRST_PAGE).await, "token");
    assert_corrupt(store.cursor(CHAIN).await, "tip_number");
    assert_corrupt(store.order(terms(1).id).await, "reference");
    assert_corrupt(store.entries(0, 10).await, "quantity");
    world.tamper("UPDATE transfer SET token = zeroblob(20)").await;
    assert_corrupt(store.transfers(TransferFilter::default(), FIRST_PAGE).await, "s_candidates");
}

#[tokio::test]
async fn a_ledger_without_its_head_is_corrupt() {
    let world = World::lived_in().await;
    world.tamper("DELETE FROM ledger_head").await;
    let decide: inspay_ports::Decide =
        std::sync::Arc::new(|_| panic!("there is nothing to decide on"));
    let outcome = world.store.transact(inspay_ledger::Touches::default(), decide).await;
    assert_corrupt(outcome, "no head");
}

#[tokio::test]
async fn the_columns_themselves_refuse_what_is_no_uint256() {
    let world = World::lived_in().await;
    let mut raw = world.raw().await;
    let beyond = "115792089237316195423570985008687907853269984665640564039457584007913129639936";
    assert_eq!(beyond.parse::<U256>().ok(), None);
    let long = "1".repeat(79);
    for column in [
        "transfer SET base_units",
        "orders SET received_base_units",
        "book_account SET debits",
        "book_account SET credits",
    ] {
        for value in [beyond, &long, "00", "01", "-0", "-1", "5 ", "", "NaN"] {
            let sql = AssertSqlSafe(format!("UPDATE {column} = '{value}'"));
            let error = sqlx::raw_sql(sql).execute(&mut raw).await.expect_err(column);
            let refusal = error.as_database_error().expect("the database refuses");
            // A check.
            assert_eq!(refusal.code().as_deref(), Some("275"), "{column} = {value}: {refusal}");
        }
        let sql = AssertSqlSafe(format!("UPDATE {column} = 5.5e10"));
        let error = sqlx::raw_sql(sql).execute(&mut raw).await.expect_err(column);
        assert!(error.as_database_error().is_some(), "{column}: {error}");
    }
}
