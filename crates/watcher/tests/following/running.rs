//! The loop: woken by the chain, ended by its token.

use std::time::Duration;

use inspay_ports::fake::FakeChain;
use inspay_watcher::FollowStatus;
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::world::{CHAIN, INSPI, USDT, World, pay};

const DEADLINE: Duration = Duration::from_secs(10);

async fn until(
    status: &mut watch::Receiver<FollowStatus>,
    holds: impl FnMut(&FollowStatus) -> bool,
) -> FollowStatus {
    timeout(DEADLINE, status.wait_for(holds)).await.expect("in time").expect("runs").clone()
}

#[tokio::test]
async fn a_new_head_wakes_the_loop_at_once() {
    let mut world = World::new();
    // So long that only the wake-up can be what makes it look.
    world.settings.poll_interval = Duration::from_secs(3_600);
    let follower = world.follower();
    let (mut status, mut applied) = (follower.status(), follower.applied());
    let cancel = CancellationToken::new();
    let running = tokio::spawn(follower.run(cancel.clone()));
    until(&mut status, |status| status.tip.is_some_and(|tip| tip.number == 0)).await;
    for nonce in 0..20 {
        applied.mark_unchanged();
        world.chain.mine(vec![pay(nonce, 10)]).expect("mines");
        timeout(DEADLINE, applied.changed()).await.expect("in time").expect("runs");
        until(&mut status, |status| status.tip.is_some_and(|tip| tip.number == nonce + 1)).await;
    }
    cancel.cancel();
    timeout(DEADLINE, running).await.expect("in time").expect("ends");
    world.assert_followed().await;
}

#[tokio::test]
async fn without_a_websocket_it_polls() {
    let chain = FakeChain::new(CHAIN)
        .with_token(USDT, "USDT", 6)
        .with_token(INSPI, "INSPI", 18)
        .without_wake();
    let mut world = World::on(chain);
    world.settings.poll_interval = Duration::from_millis(1);
    let follower = world.follower();
    let mut status = follower.status();
    let cancel = CancellationToken::new();
    let running = tokio::spawn(follower.run(cancel.clone()));
    for nonce in 0..5 {
        world.chain.mine(vec![pay(nonce, 10)]).expect("mines");
        until(&mut status, |status| status.tip.is_some_and(|tip| tip.number == nonce + 1)).await;
    }
    cancel.cancel();
    timeout(DEADLINE, running).await.expect("in time").expect("ends");
    world.assert_followed().await;
}

#[tokio::test]
async fn failures_are_shown_and_gone_over() {
    let mut world = World::new();
    world.settings.poll_interval = Duration::from_millis(1);
    world.settings.backoff_max = Duration::from_millis(2);
    world.chain.mine(vec![pay(1, 10)]).expect("mines");
    world.chain.change_faults(|faults| faults.unreachable = true);
    let follower = world.follower();
    let mut status = follower.status();
    let cancel = CancellationToken::new();
    let running = tokio::spawn(follower.run(cancel.clone()));
    let failing = until(&mut status, |status| status.stalled.is_some()).await;
    assert_eq!(failing.stalled.map(|stall| stall.code()), Some("node"));
    world.chain.change_faults(|faults| faults.unreachable = false);
    let well =
        until(&mut status, |status| status.stalled.is_none() && status.lag_blocks == 0).await;
    assert!(well.checked);
    assert_eq!(well.head_number, Some(1));
    until(&mut status, |status| status.tip.is_some_and(|tip| tip.number == 1)).await;
    cancel.cancel();
    timeout(DEADLINE, running).await.expect("in time").expect("ends");
    world.assert_followed().await;
}

#[tokio::test]
async fn near_the_head_a_block_costs_a_head_and_a_proof() {
    let mut world = World::new();
    world.settings.tags_interval = Duration::from_secs(60);
    let mut follower = world.follower();
    crate::world::settle(&mut follower).await;
    for nonce in 0..10 {
        world.chain.mine(vec![pay(nonce, 10)]).expect("mines");
        world.chain.reset_calls();
        let commits = world.store.commits();
        follower.step().await.expect("steps");
        let calls = world.chain.calls();
        assert_eq!((calls.head, calls.proven_block), (1, 1));
        assert_eq!(calls.header + calls.headers + calls.tags + calls.range, 0, "{calls:?}");
        assert_eq!(world.store.commits(), commits + 1);
    }
}
