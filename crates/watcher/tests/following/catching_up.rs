//! From far behind to the head.

use std::sync::Arc;

use inspay_ports::{Chain, FollowStore, Proof};
use inspay_watcher::{FollowError, RangeSettings, Stepped};

use crate::world::{AT_HEAD, CHAIN, USDT, World, pay, settle, settle_over_failures};

/// A long chain with a payment in every third block.
fn long_chain(world: &World, blocks: u64) {
    let first = world.chain.tip().number;
    for number in first..first + blocks {
        let txs = if number.is_multiple_of(3) { vec![pay(number, 1 + number)] } else { Vec::new() };
        world.chain.mine(txs).expect("mines");
    }
}

#[tokio::test]
async fn history_is_read_in_ranges_and_the_rest_block_by_block() {
    let world = World::new();
    long_chain(&world, 1_000);
    let mut follower = world.follower();
    world.chain.reset_calls();
    assert_eq!(settle(&mut follower).await, AT_HEAD);
    let calls = world.chain.calls();
    assert!(calls.range <= 5, "{calls:?}");
    assert_eq!(calls.proven_block, 64, "only what is not final");
    assert!(calls.header + calls.headers + calls.head <= 8, "{calls:?}");
    world.assert_followed().await;
    let window = world.store.window(CHAIN).await.expect("reads");
    assert_eq!(window.first().map(|held| held.block.number), Some(936));
    assert_eq!(window.iter().filter(|held| held.proof == Proof::Range).count(), 1);
}

#[tokio::test]
async fn a_node_with_limits_is_read_within_them() {
    for (blocks, results) in
        [(Some(50), None), (None, Some(20)), (Some(30), Some(5)), (None, Some(1))]
    {
        let world = World::new();
        long_chain(&world, 600);
        world.chain.change_faults(|faults| {
            faults.range_blocks_max = blocks;
            faults.range_results_max = results;
        });
        let mut follower = world.follower();
        assert_eq!(settle(&mut follower).await, AT_HEAD);
        world.chain.change_faults(|faults| *faults = Default::default());
        world.assert_followed().await;
    }
}

#[tokio::test]
async fn one_block_beyond_the_limit_is_read_by_its_receipts() {
    let world = World::new();
    long_chain(&world, 20);
    world.chain.mine((1_000..1_050).map(|nonce| pay(nonce, 1)).collect()).expect("mines");
    long_chain(&world, 200);
    world.chain.change_faults(|faults| faults.range_results_max = Some(10));
    let mut follower = world.follower();
    assert_eq!(settle(&mut follower).await, AT_HEAD);
    assert_eq!(world.chain.calls().proven_block, 64 + 1);
    world.chain.change_faults(|faults| *faults = Default::default());
    world.assert_followed().await;
}

#[tokio::test]
async fn nothing_counts_as_whole_before_the_books_equal_the_chain() {
    let world = World::new();
    long_chain(&world, 300);
    let mut follower = world.follower();
    let mut spans = 0;
    let mut stepped = follower.step().await.expect("steps");
    while let Stepped::RangeApplied { tip, .. } = stepped {
        let cursor = world.cursor().await;
        assert_eq!((cursor.tip, cursor.audited_to), (tip, 0));
        spans += 1;
        stepped = follower.step().await.expect("steps");
    }
    assert!(spans > 1, "{spans}");
    let audited_to = world.cursor().await.audited_to;
    assert_eq!((stepped, audited_to), (Stepped::Audited { up_to: 236 }, 236));
    settle(&mut follower).await;
    world.assert_followed().await;
}

#[tokio::test]
async fn a_restart_in_the_middle_goes_on_where_the_cursor_stands() {
    let mut world = World::new();
    world.settings.ranges =
        RangeSettings { first_blocks: 8, answer_transfers: 20, ..RangeSettings::default() };
    long_chain(&world, 700);
    let mut restarts = 0;
    while let Ok(Stepped::RangeApplied { .. }) = world.follower().step().await {
        restarts += 1;
    }
    assert!(restarts > 5, "{restarts}");
    settle(&mut world.follower()).await;
    world.assert_followed().await;
}

#[tokio::test]
async fn what_is_far_behind_is_caught_up_again_from_the_tip() {
    let world = World::new();
    long_chain(&world, 30);
    let mut follower = world.follower();
    settle(&mut follower).await;
    long_chain_more(&world, 2_000);
    world.chain.reset_calls();
    settle(&mut follower).await;
    assert!(world.chain.calls().range <= 5, "{:?}", world.chain.calls());
    world.assert_followed().await;

    // A gap that is not final is fetched by number, many headers in one question.
    world.chain.set_tag_lags(500, 900);
    long_chain_more(&world, 640);
    world.chain.reset_calls();
    settle(&mut follower).await;
    let calls = world.chain.calls();
    assert_eq!((calls.range, calls.headers), (0, 10), "{calls:?}");
    world.assert_followed().await;
}

fn long_chain_more(world: &World, blocks: u64) {
    let above = world.chain.tip().number * 10;
    for number in 0..blocks {
        let txs = if number.is_multiple_of(5) { vec![pay(above + number, 3)] } else { Vec::new() };
        world.chain.mine(txs).expect("mines");
    }
}

#[tokio::test]
async fn a_stored_tip_that_left_the_chain_while_nobody_looked_is_replaced_before_the_ranges() {
    let world = World::new();
    for nonce in 0..20 {
        world.chain.mine(vec![pay(nonce, 10)]).expect("mines");
    }
    settle(&mut world.follower()).await;
    let blocks = (0..300).map(|place| vec![pay(500 + place, 1)]).collect();
    world.chain.reorg(6, 1, blocks).expect("mines");
    settle(&mut world.follower()).await;
    world.assert_followed().await;
    assert_eq!(world.cursor().await.epoch, 1);
}

#[tokio::test]
async fn a_span_whose_end_changed_while_it_was_read_is_not_taken_for_final() {
    let mut world = World::new();
    world.settings.ranges =
        RangeSettings { first_blocks: 8, answer_transfers: 10, ..RangeSettings::default() };
    long_chain(&world, 400);
    let mut follower = world.follower();
    assert!(matches!(follower.step().await, Ok(Stepped::RangeApplied { .. })));
    // Everything that is not committed yet becomes another branch, final or not.
    let applied = world.cursor().await.tip.number;
    let depth = world.chain.tip().number - applied;
    let blocks = (0..depth + 5).map(|place| vec![pay(9_000 + place, 2)]).collect();
    world.chain.reorg(depth, 7, blocks).expect("mines");
    let failures = settle_over_failures(&mut follower).await;
    assert!(matches!(failures[..], [FollowError::AnchorMoved { number: 336, .. }]), "{failures:?}");
    world.assert_followed().await;
}

#[tokio::test]
async fn a_final_block_that_changes_below_what_was_read_is_never_vouched_for() {
    let mut world = World::new();
    world.settings.ranges =
        RangeSettings { first_blocks: 8, answer_transfers: 10, ..RangeSettings::default() };
    long_chain(&world, 400);
    let mut follower = world.follower();
    assert!(matches!(follower.step().await, Ok(Stepped::RangeApplied { .. })));
    let depth = world.chain.tip().number - 1;
    let blocks = (0..depth + 5).map(|place| vec![pay(9_000 + place, 2)]).collect();
    world.chain.reorg(depth, 7, blocks).expect("mines");
    for _ in 0..200 {
        if follower.step().await.is_ok_and(|stepped| !stepped.did_something()) {
            break;
        }
    }
    let [halt] = &world.halts().await[..] else { panic!("one halt") };
    assert!(halt.why.starts_with("books_differ_from_chain"), "{halt:?}");
    assert_eq!(world.to_settle(USDT).await, 0);
}

#[tokio::test]
async fn history_can_be_read_again_and_finds_what_was_missing() {
    let world = World::new();
    long_chain(&world, 300);
    // More holes than an audit reads again block by block.
    world.chain.change_faults(|faults| {
        let lost = (0..40).map(|place| pay(3 * place, 1 + 3 * place).hash);
        faults.omitted_in_ranges.extend(lost);
    });
    let mut follower = world.follower();
    let stalled = loop {
        let stepped = follower.step().await.expect("steps");
        if let Stepped::AuditFailed(stall) = stepped {
            break stall;
        }
    };
    assert_eq!(stalled.code(), "books_differ_from_chain");
    world.chain.change_faults(|faults| faults.omitted_in_ranges.clear());

    let mut seen = Vec::new();
    let report =
        follower.backfill(0, u64::MAX, &mut |progress| seen.push(progress)).await.expect("reads");
    assert_eq!(report.blocks, Some(0..=236));
    assert_eq!(report.transfers, 79);
    assert!(matches!(report.audit, Stepped::Audited { .. }), "{report:?}");
    assert_eq!(seen.last().map(|progress| (progress.at, progress.transfers)), Some((236, 79)));
    assert!(seen.is_sorted_by_key(|progress| progress.at));
    settle(&mut follower).await;
    world.assert_followed().await;
}

#[tokio::test]
async fn a_first_backfill_reads_up_to_finality_and_stops() {
    let world = World::new();
    long_chain(&world, 500);
    let mut follower = world.follower();
    let mut last = 0;
    let report =
        follower.backfill(0, u64::MAX, &mut |progress| last = progress.at).await.expect("reads");
    assert_eq!((report.blocks, last), (Some(0..=436), 436));
    let cursor = world.cursor().await;
    assert_eq!(cursor.tip.number, 436);
    assert_eq!(world.recorded().await, world.mined(436).await);
    assert!(matches!(report.audit, Stepped::Audited { up_to: 436 }));
    assert_eq!(cursor.audited_to, 436, "and it is kept");

    let chain: Arc<dyn Chain> = Arc::clone(&world.chain) as _;
    assert!(chain.head().await.is_ok());
    settle(&mut world.follower()).await;
    world.assert_followed().await;
}
