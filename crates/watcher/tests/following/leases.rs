//! Following under a lease, beside others who would like to. The clock of these tests is paused: a sleep moves it, and nobody
//! waits.

use std::{sync::Arc, time::Duration};

use inspay_ports::{LeaseStore, StoreErrorKind, fake::CommitFault};
use inspay_primitives::{Fence, FencingNumber};
use inspay_watcher::{FollowError, FollowStatus, Idle, LeaseTerms, Stepped};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::world::{AT_HEAD, CHAIN, World, pay, settle};

const TTL: Duration = Duration::from_secs(9);

fn terms(holder: &str, dead: &'static str) -> LeaseTerms {
    LeaseTerms { holder: holder.to_owned(), ttl: TTL, is_dead: Arc::new(move |name| name == dead) }
}

async fn checked(world: &World) -> bool {
    world.store.lease(CHAIN).await.expect("reads").expect("was held").checked
}

async fn take(world: &World, holder: &str) -> FencingNumber {
    let taken = terms(holder, "").try_take(&*world.store, CHAIN).await.expect("asks");
    taken.expect("is free")
}

struct Running {
    status: watch::Receiver<FollowStatus>,
    cancel: CancellationToken,
    task: AbortOnDropHandle<()>,
}

fn run(world: &World, terms: LeaseTerms) -> Running {
    let (follower, cancel) = (world.follower(), CancellationToken::new());
    let status = follower.status();
    let task = AbortOnDropHandle::new(tokio::spawn(follower.run_leased(terms, cancel.clone())));
    Running { status, cancel, task }
}

impl Running {
    async fn until(&mut self, holds: impl FnMut(&FollowStatus) -> bool) {
        let deadline = Duration::from_secs(600);
        tokio::time::timeout(deadline, self.status.wait_for(holds))
            .await
            .expect("comes to hold")
            .expect("the follower runs");
    }

    async fn stop(self) {
        self.cancel.cancel();
        self.task.await.expect("ends");
    }
}

#[tokio::test]
async fn the_window_counts_as_checked_once_it_was_found_on_the_chain() {
    let world = World::new();
    world.chain.mine(vec![pay(1, 5)]).expect("mines");
    let mut follower = world.follower();
    follower.lead(take(&world, "a").await);
    assert!(!checked(&world).await);
    assert_eq!(settle(&mut follower).await, AT_HEAD);
    assert!(checked(&world).await);
    // The next holder begins anew, and says so with its first look.
    world.store.pass(TTL);
    let mut next = world.follower();
    next.lead(take(&world, "b").await);
    assert!(!checked(&world).await);
    next.step().await.expect("steps");
    assert!(checked(&world).await);
}

#[tokio::test]
async fn a_node_that_is_behind_does_not_make_the_window_checked() {
    let world = World::new();
    world.chain.mine(vec![pay(1, 5)]).expect("mines");
    world.chain.mine(vec![]).expect("mines");
    let mut follower = world.follower();
    follower.lead(take(&world, "a").await);
    settle(&mut follower).await;
    world.store.pass(TTL);
    let mut next = world.follower();
    next.lead(take(&world, "b").await);
    let head = world.chain.tip().number;
    world.chain.change_faults(|faults| faults.blocks_behind = 1);
    let stepped = next.step().await.expect("steps");
    assert_eq!(stepped, Stepped::Idle(Idle::NodeLags { head_number: head - 1 }));
    assert!(!checked(&world).await);
}

#[tokio::test]
async fn a_follower_that_was_overtaken_writes_nothing() {
    let world = World::new();
    let mut paused = world.follower();
    paused.lead(take(&world, "paused").await);
    world.chain.mine(vec![pay(1, 5)]).expect("mines");
    settle(&mut paused).await;
    world.store.pass(TTL);
    let mut other = world.follower();
    other.lead(take(&world, "other").await);
    settle(&mut other).await;
    world.chain.mine(vec![pay(2, 7)]).expect("mines");
    let before = world.cursor().await;
    let error = paused.step().await.expect_err("is fenced");
    assert!(
        matches!(&error, FollowError::Store(why) if matches!(why.kind, StoreErrorKind::Fenced))
    );
    assert!(error.is_fenced() && !error.is_transient());
    assert_eq!(world.cursor().await, before);
    assert!(checked(&world).await, "nor does it take the other's word back");
    settle(&mut other).await;
    world.assert_followed().await;
}

#[tokio::test(start_paused = true)]
async fn one_follows_and_the_other_stands_by_until_it_may_take_over() {
    let world = World::new();
    let mut first = run(&world, terms("first", ""));
    first.until(|status| status.checked).await;
    let mut second = run(&world, terms("second", ""));
    second.until(|status| status.standby.as_ref().is_some_and(|held| held.holder == "first")).await;
    // Renewed in time, the lease is held far longer than it lasts.
    for _ in 0..20 {
        world.store.pass(TTL / 2);
        tokio::time::sleep(TTL / 2).await;
    }
    assert!(second.status.borrow().standby.is_some());
    // Let go, it is taken over at once; the database's clock stands still.
    first.stop().await;
    second.until(|status| status.checked && status.standby.is_none()).await;
    world.chain.mine(vec![pay(1, 5)]).expect("mines");
    let head = world.chain.tip().number;
    second.until(|status| status.tip.is_some_and(|tip| tip.number == head)).await;
    let lease = world.store.lease(CHAIN).await.expect("reads").expect("is held");
    assert_eq!((lease.holder.as_str(), lease.number), ("second", FencingNumber(2)));
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_ended_without_a_word_is_waited_for_unless_it_is_known_to_be_dead() {
    let world = World::new();
    let mut first = run(&world, terms("first", ""));
    first.until(|status| status.checked).await;
    drop(first);
    let mut stranger = run(&world, terms("stranger", ""));
    stranger.until(|status| status.standby.is_some()).await;
    tokio::time::sleep(TTL).await;
    assert!(stranger.status.borrow().standby.is_some(), "time is the database's");
    let mut neighbour = run(&world, terms("neighbour", "first"));
    neighbour.until(|status| status.checked).await;
    drop(neighbour);
    stranger
        .until(|status| status.standby.as_ref().is_some_and(|held| held.holder == "neighbour"))
        .await;
    world.store.pass(TTL);
    stranger.until(|status| status.checked).await;
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_ran_out_is_taken_anew_and_the_chain_looked_at_anew() {
    let world = World::new();
    let mut only = run(&world, terms("only", ""));
    only.until(|status| status.checked).await;
    // As if the process had been stopped for longer than the lease lasts.
    world.store.pass(TTL * 2);
    tokio::time::timeout(Duration::from_secs(600), async {
        loop {
            let lease = world.store.lease(CHAIN).await.expect("reads").expect("was held");
            if lease.number == FencingNumber(2) && lease.checked {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await
    .expect("it is taken anew");
    let fence = Fence { chain_id: CHAIN, number: FencingNumber(1) };
    assert!(world.store.mark_checked(fence, true).await.is_err());
}

#[tokio::test]
async fn what_nobody_answered_for_is_told_again() {
    let faults = [CommitFault::NothingWritten, CommitFault::AnswerLost];
    for (commit, telling) in
        faults.iter().flat_map(|commit| faults.map(|telling| (*commit, telling)))
    {
        let world = World::new();
        world.chain.mine(vec![pay(1, 5)]).expect("mines");
        world.chain.mine(vec![]).expect("mines");
        let mut follower = world.follower();
        follower.lead(take(&world, "a").await);
        settle(&mut follower).await;
        world.chain.mine(vec![pay(2, 5)]).expect("mines");
        world.store.fail_commit_after(0, commit);
        follower.step().await.expect_err("the block is not kept, or nobody says that it is");
        world.chain.change_faults(|faults| faults.blocks_behind = 2);
        world.store.fail_commit_after(0, telling);
        follower.step().await.expect_err("that the window is unchecked again is not answered for");
        world.chain.change_faults(|faults| faults.blocks_behind = 0);
        assert_eq!(settle(&mut follower).await, AT_HEAD, "{commit:?}, {telling:?}");
        assert!(checked(&world).await, "{commit:?}, {telling:?}");
    }
}
