//! A chain that changed below what may change: given up from a block on and read again.

use inspay_watcher::{Rescanned, Stepped};

use crate::world::{World, pay, settle};

/// Twenty payments, the first fifteen of them final, and then another chain from block 13 on.
async fn forked_below_finality() -> World {
    let world = World::new();
    world.chain.set_tag_lags(5, 5);
    for nonce in 0..20 {
        world.chain.mine(vec![pay(nonce, 10)]).expect("mines");
    }
    settle(&mut world.follower()).await;
    world.chain.set_tag_lags(64, 64);
    let blocks = (0..12).map(|place| vec![pay(100 + place, 7)]).collect();
    world.chain.reorg(8, 7, blocks).expect("mines");
    world
}

#[tokio::test]
async fn a_chain_that_forked_below_finality_is_followed_again_after_a_rescan() {
    let world = forked_below_finality().await;
    let mut follower = world.follower();
    let stepped = settle(&mut follower).await;
    assert!(matches!(stepped, Stepped::Halted(_)), "{stepped:?}");
    let nothing = follower.rescan(None).await.expect("answers");
    assert_eq!(nothing, Rescanned::NothingInCommon { lowest: 15 });
    for (from, lowest) in [(0, 1), (21, 1)] {
        let refused = follower.rescan(Some(from)).await.expect("answers");
        assert_eq!(refused, Rescanned::OutOfRange { lowest, tip: 20 });
    }
    let went_back = follower.rescan(Some(13)).await.expect("goes back");
    let to = world.chain.block_at(12).expect("mined");
    assert!(matches!(went_back, Rescanned::WentBack { to: there, .. } if there == to));
    settle(&mut follower).await;
    world.assert_followed().await;
    assert_eq!(follower.status().borrow().halted, None);
    let in_step = follower.rescan(None).await.expect("answers");
    assert_eq!(in_step, Rescanned::InStep { tip: world.chain.tip() });
}

#[tokio::test]
async fn a_rescan_finds_the_newest_block_in_common_by_itself() {
    let world = World::new();
    for nonce in 0..150 {
        world.chain.mine(vec![pay(nonce, 10)]).expect("mines");
    }
    settle(&mut world.follower()).await;
    let blocks = (0..40).map(|place| vec![pay(500 + place, 7)]).collect();
    world.chain.reorg(30, 7, blocks).expect("mines");
    let mut follower = world.follower();
    let went_back = follower.rescan(None).await.expect("goes back");
    let to = world.chain.block_at(120).expect("mined");
    assert!(matches!(went_back, Rescanned::WentBack { to: there, .. } if there == to));
    settle(&mut follower).await;
    world.assert_followed().await;
}

#[tokio::test]
async fn a_chain_that_was_never_followed_has_nothing_to_read_again() {
    let rescanned = World::new().follower().rescan(Some(1)).await.expect("answers");
    assert_eq!(rescanned, Rescanned::NeverFollowed);
}
