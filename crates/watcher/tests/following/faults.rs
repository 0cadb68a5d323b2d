//! Nodes that lag, forget, refuse and contradict themselves; databases that go away.

use std::error::Error;

use inspay_ports::fake::CommitFault;
use inspay_watcher::{FollowError, Idle, Stall, Stepped};

use crate::world::{AT_HEAD, World, pay, settle, settle_over_failures};

fn mine(world: &World, nonces: std::ops::Range<u64>) {
    for nonce in nonces {
        world.chain.mine(vec![pay(nonce, 10)]).expect("mines");
    }
}

#[tokio::test]
async fn a_node_that_lags_is_not_a_reorg() {
    let world = World::new();
    mine(&world, 0..10);
    let mut follower = world.follower();
    settle(&mut follower).await;
    world.chain.change_faults(|faults| faults.blocks_behind = 4);
    let commits = world.store.commits();
    let lags = Stepped::Idle(Idle::NodeLags { head_number: 6 });
    assert_eq!(settle(&mut follower).await, lags);
    assert_eq!(settle(&mut follower).await, lags);
    assert_eq!(world.store.commits(), commits);
    let status = follower.status().borrow().clone();
    assert_eq!(status.stalled.as_ref().map(Stall::code), Some("node_lags"));
    assert_eq!(world.cursor().await.epoch, 0);
    world.chain.change_faults(|faults| faults.blocks_behind = 0);
    mine(&world, 10..12);
    assert_eq!(settle(&mut follower).await, AT_HEAD);
    world.assert_followed().await;
}

#[tokio::test]
async fn a_block_that_is_missing_below_the_head_is_waited_for_and_never_skipped() {
    let world = World::new();
    mine(&world, 0..5);
    let mut follower = world.follower();
    settle(&mut follower).await;
    mine(&world, 5..9);
    let missing = world.chain.block_at(7).expect("mined");
    world.chain.change_faults(|faults| {
        faults.forgotten_blocks.insert(missing.hash);
    });
    for _ in 0..5 {
        follower.step().await.expect_err("cannot go on");
        assert!(world.cursor().await.tip.number < 7);
    }
    let status = follower.status().borrow().clone();
    assert!(status.stalled.is_some() && status.lag_blocks > 0, "{status:?}");
    world.chain.change_faults(|faults| faults.forgotten_blocks.clear());
    settle(&mut follower).await;
    world.assert_followed().await;
    assert_eq!(follower.status().borrow().stalled, None);
}

#[tokio::test]
async fn a_hole_in_one_block_of_a_new_branch_does_not_make_all_of_it_be_read_again() {
    let world = World::new();
    mine(&world, 0..8);
    let mut follower = world.follower();
    settle(&mut follower).await;
    let branch = (10..15).map(|nonce| vec![pay(nonce, 10)]).collect();
    world.chain.reorg(4, 1, branch).expect("mines");
    world.chain.reset_calls();
    // Fewer than one block is asked for in one step.
    world.chain.change_faults(|faults| faults.unproven_blocks = 3);
    let stepped = follower.step().await.expect("the holes are filled at once");
    assert!(matches!(stepped, Stepped::Applied { added: 5, orphaned: 4, .. }), "{stepped:?}");
    assert_eq!(world.chain.calls().proven_block, 5);
    // A block that stays unproven is not applied, and not asked for without end.
    mine(&world, 20..21);
    world.chain.change_faults(|faults| faults.unproven_blocks = u32::MAX);
    follower.step().await.expect_err("cannot be proven");
    world.chain.change_faults(|faults| {
        assert_eq!(u32::MAX - faults.unproven_blocks, 4);
        faults.unproven_blocks = 0;
    });
    settle(&mut follower).await;
    world.assert_followed().await;
}

#[tokio::test]
async fn a_node_that_is_gone_is_waited_for() {
    let world = World::new();
    mine(&world, 0..200);
    let mut follower = world.follower();
    for gone in 0..40u32 {
        world.chain.change_faults(|faults| faults.unreachable = gone.is_multiple_of(2));
        match follower.step().await {
            Ok(_) => assert!(!gone.is_multiple_of(2)),
            Err(error) => {
                assert!(error.is_transient());
                assert!(error.source().is_some());
            }
        }
    }
    world.chain.change_faults(|faults| faults.unreachable = false);
    settle(&mut follower).await;
    world.assert_followed().await;
}

#[tokio::test]
async fn a_node_that_limits_the_rate_is_asked_again_for_what_is_missing() {
    let mut world = World::new();
    world.settings.ranges.first_blocks = 4;
    world.settings.ranges.answer_transfers = 8;
    mine(&world, 0..300);
    let mut follower = world.follower();
    follower.step().await.expect("steps");
    world.chain.change_faults(|faults| faults.rate_limits = 25);
    let failures = settle_over_failures(&mut follower).await;
    assert!(!failures.is_empty());
    assert!(failures.iter().all(FollowError::is_transient));
    world.assert_followed().await;
}

#[tokio::test]
async fn a_commit_that_fails_or_whose_answer_is_lost_is_made_once() {
    for fault in [CommitFault::NothingWritten, CommitFault::AnswerLost] {
        for after in 0..12 {
            let world = World::new();
            mine(&world, 0..180);
            world.store.fail_commit_after(after, fault);
            let mut follower = world.follower();
            let mut failures = settle_over_failures(&mut follower).await;
            world
                .chain
                .reorg(3, 1, vec![vec![pay(500, 1)], vec![], vec![pay(179, 10)], vec![]])
                .expect("mines");
            failures.extend(settle_over_failures(&mut follower).await);
            mine(&world, 600..603);
            failures.extend(settle_over_failures(&mut follower).await);
            world.assert_followed().await;
            assert!(failures.len() <= 2, "{failures:?}");
            assert!(failures.iter().all(FollowError::is_transient));
        }
    }
}

#[tokio::test]
async fn a_database_that_is_gone_is_waited_for() {
    let world = World::new();
    mine(&world, 0..5);
    let mut follower = world.follower();
    world.store.set_unreachable(true);
    follower.step().await.expect_err("no database");
    assert_eq!(follower.status().borrow().stalled.as_ref().map(Stall::code), Some("store"));
    world.store.set_unreachable(false);
    settle(&mut follower).await;
    mine(&world, 5..8);
    world.store.set_unreachable(true);
    follower.step().await.expect_err("no database");
    world.store.set_unreachable(false);
    settle(&mut follower).await;
    world.assert_followed().await;
}

#[tokio::test]
async fn of_two_followers_each_commit_is_made_by_one() {
    let world = World::new();
    mine(&world, 0..5);
    let (mut one, mut other) = (world.follower(), world.follower());
    settle(&mut one).await;
    settle(&mut other).await;
    mine(&world, 5..7);
    settle(&mut one).await;
    let moved = other.step().await.expect_err("the cursor has moved");
    assert!(moved.is_transient());
    let stalled = other.status().borrow().stalled.clone();
    assert_eq!(stalled.as_ref().map(Stall::code), Some("another_follower"));
    settle(&mut other).await;
    world.assert_followed().await;
}

#[tokio::test]
async fn a_branch_below_finality_halts_says_so_and_commits_nothing() {
    let world = World::new();
    mine(&world, 0..100);
    let mut follower = world.follower();
    settle(&mut follower).await;
    let honest = world.chain.tip();
    let finalized = world.cursor().await.tags.finalized_number;
    assert_eq!(finalized, 36);
    let commits = world.store.commits();
    let blocks = (0..90).map(|place| vec![pay(900 + place, 1)]).collect();
    world.chain.reorg(80, 3, blocks).expect("mines");
    for _ in 0..3 {
        let stepped = follower.step().await.expect("steps");
        assert!(matches!(stepped, Stepped::Halted(_)), "{stepped:?}");
    }
    assert_eq!(world.store.commits(), commits, "nothing is committed");
    let status = follower.status().borrow().clone();
    assert_eq!(status.halted.map(|reason| reason.code()), Some("reorg_below_finalized"));

    let mut again = world.follower();
    assert!(matches!(again.step().await, Ok(Stepped::Halted(_))), "also after a restart");
    assert!(!again.status().borrow().checked);

    assert!(world.chain.switch_to(honest.hash));
    mine(&world, 2_000..2_002);
    settle(&mut follower).await;
    world.assert_followed().await;
    assert_eq!(follower.status().borrow().halted, None);
}

#[tokio::test]
async fn a_stale_tip_is_not_shown_as_checked_before_the_chain_confirmed_it() {
    let world = World::new();
    mine(&world, 0..10);
    settle(&mut world.follower()).await;
    let mut follower = world.follower();
    assert!(!follower.status().borrow().checked);
    world.chain.change_faults(|faults| faults.unreachable = true);
    follower.step().await.expect_err("no node");
    assert!(!follower.status().borrow().checked);
    world.chain.change_faults(|faults| faults.unreachable = false);
    follower.step().await.expect("steps");
    assert!(follower.status().borrow().checked);
}
