//! Each law's query finds the row that breaks it, and nothing while none does.

use std::collections::BTreeSet;

use crate::world::World;

/// Breaks one law on a database in which every law holds, and sees it found.
async fn finds(law: &'static str, ways: &[&str]) {
    for way in ways {
        let world = World::lived_in().await;
        world.tamper(way).await;
        let broken = world.store.broken_laws().await.expect("checks");
        let laws: BTreeSet<&str> = broken.iter().map(|violation| violation.law).collect();
        assert!(laws.contains(law), "{way}: found {broken:#?}");
        for violation in &broken {
            assert!(!violation.row.is_empty(), "{way}: {violation:?}");
        }
    }
}

/// Who reads every entry is told of the law without what an entry and the one before it show.
async fn finds_beyond_entries(law: &'static str, ways: &[&str]) {
    for way in ways {
        let world = World::lived_in().await;
        assert_eq!(world.store.laws_broken_beyond_entries().await.expect("checks"), []);
        world.tamper(way).await;
        let broken = world.store.laws_broken_beyond_entries().await.expect("checks");
        assert!(broken.iter().any(|violation| violation.law == law), "{way}: found {broken:#?}");
    }
}

#[tokio::test]
async fn what_lies_beyond_the_ends_of_the_journal_is_found_without_reading_it() {
    let ways = [
        "UPDATE posting SET entry_seq = entry_seq + 100000 WHERE entry_seq = 2",
        "UPDATE posting SET entry_seq = -entry_seq WHERE entry_seq = 2",
        "UPDATE posting SET entry_seq = 0 WHERE entry_seq = 2",
    ];
    finds_beyond_entries("entry_balances", &ways).await;
    let newest = "(SELECT MAX(entry_seq) FROM lot_move)";
    let ways = ["+ 100000", "- 100000"].map(|by| {
        format!("UPDATE lot_move SET entry_seq = entry_seq {by} WHERE entry_seq = {newest}")
    });
    finds_beyond_entries("lots_moved", &ways.each_ref().map(String::as_str)).await;
    let ways = ["UPDATE ledger_head SET account_number = account_number + 1"];
    finds_beyond_entries("entries_chained", &ways).await;
}

#[tokio::test]
async fn an_entry_that_does_not_balance_is_found() {
    let ways = [
        "UPDATE posting SET quantity = quantity + 1 WHERE entry_seq = 1 AND line = 0",
        "UPDATE posting SET side = 'debit' WHERE entry_seq = 1",
        "DELETE FROM posting WHERE entry_seq = 2",
        "DELETE FROM entry WHERE seq = 2",
    ];
    finds("entry_balances", &ways).await;
}

#[tokio::test]
async fn a_balance_that_is_not_the_sum_of_its_postings_is_found() {
    let ways = [
        "UPDATE book_account SET credits = credits + 1 WHERE number = 1",
        "UPDATE posting SET account_number = 999 WHERE entry_seq = 1 AND line = 0",
        "DELETE FROM book_account WHERE number = 2",
    ];
    finds("balances_equal_postings", &ways).await;
}

#[tokio::test]
async fn a_gap_or_a_broken_link_between_entries_is_found() {
    let ways = [
        "DELETE FROM entry WHERE seq = 1",
        "DELETE FROM entry WHERE seq = (SELECT MAX(seq) FROM entry)",
        "UPDATE entry SET hash = decode(repeat('ee', 32), 'hex') WHERE seq = 3",
        "UPDATE entry SET hash = decode(repeat('ee', 32), 'hex') WHERE seq = (SELECT MAX(seq) FROM entry)",
        "UPDATE entry SET booked_at = 0 WHERE seq = 4",
        "UPDATE ledger_head SET account_number = account_number + 1",
    ];
    finds("entries_chained", &ways).await;
}

#[tokio::test]
async fn an_entry_without_its_operation_is_found() {
    let ways = [
        "DELETE FROM operation WHERE entry_seq = 1",
        "UPDATE operation SET entry_seq = 2 WHERE entry_seq = 1",
        "UPDATE entry SET operation_key = 'settle/another' WHERE seq = 1",
    ];
    finds("operations_once", &ways).await;
}

#[tokio::test]
async fn a_transfer_that_is_settled_twice_is_found() {
    let ways = [
        "DELETE FROM reversal",
        "INSERT INTO settlement (transfer_id, generation, kind, ignored, candidates, base_units, credits, \
         block_hash, settled_at) SELECT transfer_id, 5, 'ignored', 'zero_value', '{}', 0, 0, block_hash, 0 \
         FROM settlement WHERE kind = 'withdrawal'",
        "DELETE FROM settlement WHERE generation = 0 AND transfer_id IN (SELECT transfer_id FROM reversal)",
    ];
    finds("settled_once", &ways).await;
}

#[tokio::test]
async fn a_transfer_whose_row_contradicts_its_settlement_is_found() {
    let ways = [
        "UPDATE transfer SET settled_block_hash = NULL WHERE base_units = 0",
        "UPDATE transfer SET settled_block_hash = decode(repeat('ab', 32), 'hex') WHERE base_units = 0",
        "UPDATE transfer SET generation = 0 WHERE generation = 1",
        "DELETE FROM settlement WHERE kind = 'withdrawal'",
        "DELETE FROM transfer WHERE direction = 'out'",
    ];
    finds("settled_flag", &ways).await;
}

#[tokio::test]
async fn a_settlement_without_its_entry_is_found() {
    let ways = [
        "UPDATE settlement SET entry_seq = NULL WHERE kind = 'suspense'",
        "UPDATE settlement SET entry_seq = 1 WHERE kind = 'suspense'",
        "UPDATE settlement SET entry_seq = 1 WHERE kind = 'ignored'",
        "UPDATE reversal SET entry_seq = NULL",
        "UPDATE entry SET reverses = NULL WHERE kind = 'reverse'",
    ];
    finds("settlement_posted", &ways).await;
}

#[tokio::test]
async fn books_that_hold_other_than_what_was_settled_are_found() {
    let ways = [
        "UPDATE book_account SET debits = debits + 1 \
         WHERE account = 'treasury' AND debits < 1000000000000",
        "UPDATE settlement SET base_units = base_units + 1 WHERE kind = 'withdrawal'",
        "DELETE FROM book_account WHERE account = 'treasury'",
    ];
    finds("treasury_equals_settled", &ways).await;
}

#[tokio::test]
async fn a_lot_with_more_than_was_granted_is_found() {
    let ways = [
        "ALTER TABLE lot DROP CONSTRAINT lot_check; ALTER TABLE lot DROP CONSTRAINT lot_is_whole; \
         UPDATE lot SET credits_left = granted + 1",
        "ALTER TABLE lot DROP CONSTRAINT lot_check; ALTER TABLE lot DROP CONSTRAINT lot_is_whole; \
         UPDATE lot SET credits_left = -1",
        "UPDATE lot SET entry_seq = entry_seq + 100",
        "UPDATE lot SET credits_left = credits_left - 1, spent = spent + 1 WHERE credits_left > 0",
        "UPDATE lot_move SET credits = credits + 1",
        "DELETE FROM lot_move",
        "UPDATE lot_move SET lot_entry_seq = 999",
    ];
    finds("lots_moved", &ways).await;
}

#[tokio::test]
async fn lots_that_do_not_add_up_to_the_balance_are_found() {
    let ways = [
        "UPDATE lot SET credits_left = credits_left - 1, taken = taken + 1 WHERE credits_left > 0",
        "UPDATE book_account SET credits = credits - 1 WHERE account = 'account:account-0001'",
        "DELETE FROM lot",
    ];
    finds("lots_equal_balance", &ways).await;
}

#[tokio::test]
async fn holds_that_do_not_end_once_are_found() {
    let ways = [
        "UPDATE hold SET is_open = NOT is_open",
        "UPDATE hold SET credits = credits + 1",
        "DELETE FROM hold_resolution",
        "DELETE FROM hold",
        "UPDATE hold_resolution SET hold_id = gen_random_uuid()",
    ];
    finds("holds_end_once", &ways).await;
}

#[tokio::test]
async fn spends_that_do_not_add_up_are_found() {
    let ways = [
        "UPDATE usage SET credits = credits + 1",
        "UPDATE usage SET refunded = refunded + 1",
        "UPDATE usage_day SET spent = spent + 1",
        "DELETE FROM usage_day",
        "DELETE FROM usage",
    ];
    finds("usage_adds_up", &ways).await;
}

#[tokio::test]
async fn windows_that_do_not_add_up_are_found() {
    let ways = [
        "UPDATE limit_window SET held = held + 1",
        "UPDATE limit_window SET spent = spent + 1",
        "UPDATE limit_window SET starts_at = ends_at - 1",
    ];
    finds("windows_add_up", &ways).await;
}

#[tokio::test]
async fn a_gap_between_events_is_found() {
    let ways = [
        "DELETE FROM event WHERE seq = 1",
        "DELETE FROM event WHERE seq = (SELECT MAX(seq) FROM event)",
        "UPDATE ledger_head SET event_seq = event_seq + 1",
    ];
    finds("events_gapless", &ways).await;
}

#[tokio::test]
async fn a_transfer_that_is_not_where_it_was_seen_is_found() {
    let ways = [
        "UPDATE transfer SET canonical = FALSE WHERE direction = 'out'",
        "UPDATE block SET canonical = FALSE WHERE number = 1",
        "DELETE FROM transfer WHERE id IN (SELECT transfer_id FROM former_observation)",
        "UPDATE former_observation SET transfer_id = decode(repeat('00', 32), 'hex')",
    ];
    finds("observations_agree", &ways).await;
}

#[tokio::test]
async fn an_order_that_says_other_than_its_settlements_is_found() {
    let ways = [
        "UPDATE orders SET received_base_units = received_base_units + 1 WHERE state = 'paid'",
        "UPDATE orders SET state = 'open' WHERE state = 'paid'",
        "UPDATE orders SET state = 'paid' WHERE state = 'open'",
        "UPDATE orders SET state = 'expired' WHERE state = 'open'",
        "DELETE FROM settlement WHERE kind = 'order'",
    ];
    finds("order_progress", &ways).await;
}
