//! Facts of leases: who may write what follows from a chain.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use inspay_ledger::{BatchRows, LedgerState, Touches};
use inspay_primitives::{ChainId, Fence, FencingNumber, U256};
use tokio::task::JoinSet;

use super::picture;
use crate::{
    LeaseClaim, LeaseRecord, Store, StoreError, StoreErrorKind,
    contract::{
        samples::{CHAIN, Follower, applied, block, block_time, paid, usdt},
        teller::{settle_alone, write_fenced},
    },
};

const OTHER: ChainId = ChainId(7);
/// Longer than any test runs.
const LONG: Duration = Duration::from_secs(3_600);

fn claim(holder: &str, ttl: Duration) -> LeaseClaim {
    LeaseClaim { chain_id: CHAIN, holder: holder.to_owned(), ttl, from_dead: None }
}

fn fence(number: FencingNumber) -> Fence {
    Fence { chain_id: CHAIN, number }
}

async fn take(store: &Arc<dyn Store>, claim: LeaseClaim) -> FencingNumber {
    let taken = store.take_lease(claim).await.expect("asks for the lease");
    taken.expect("the lease is free")
}

async fn lease(store: &Arc<dyn Store>) -> LeaseRecord {
    store.lease(CHAIN).await.expect("reads").expect("was held")
}

async fn checked_by(store: &Arc<dyn Store>) -> Option<FencingNumber> {
    store.followed(CHAIN).await.expect("reads").expect("a cursor").checked_by
}

fn assert_fenced<T: std::fmt::Debug>(outcome: Result<T, StoreError>) {
    let error = outcome.expect_err("is fenced");
    assert!(matches!(error.kind, StoreErrorKind::Fenced), "{error:?}");
    assert!(!error.is_transient());
}

/// A chain that nobody ever leased is followed and credited as if its lease were held for ever.
pub async fn a_chain_without_a_lease_is_followed_without_one(store: &Arc<dyn Store>) {
    assert_eq!(store.lease(CHAIN).await.expect("reads"), None);
    assert_eq!(store.followed(CHAIN).await.expect("reads"), None);
    let mut follower = Follower::new(store);
    follower.fencing = FencingNumber(1);
    assert_fenced(
        store.commit_blocks(follower.commit_of(&[], vec![applied(block("a", 1), vec![])])).await,
    );
    follower.fencing = FencingNumber::UNLEASED;
    let payment = paid(1, usdt(), U256::from(5), block("a", 1), 0);
    follower.extend(vec![applied(block("a", 1), vec![payment])]).await;
    let followed = store.followed(CHAIN).await.expect("reads").expect("a cursor");
    assert_eq!(Some(followed.cursor), follower.cursor);
    assert_eq!(followed.fence(), Some(fence(FencingNumber::UNLEASED)));
    let settle = || vec![settle_alone(&payment, 0)];
    assert_fenced(write_fenced(store, fence(FencingNumber(1)), settle(), block_time(9)).await);
    write_fenced(store, fence(FencingNumber::UNLEASED), settle(), block_time(9))
        .await
        .expect("writes");
}

/// A lease that is held is nobody else's; one that was let go, has run out, or is a dead process's is taken at once,
/// each time under the next number.
pub async fn a_lease_has_one_holder_and_a_growing_number(store: &Arc<dyn Store>) {
    let first = take(store, claim("a", LONG)).await;
    assert_eq!(first, FencingNumber(1));
    let held = lease(store).await;
    assert_eq!((held.holder.as_str(), held.number, held.checked), ("a", first, false));
    assert!(held.remaining > LONG / 2 && held.remaining <= LONG, "{held:?}");
    for holder in ["a", "b"] {
        assert_eq!(store.take_lease(claim(holder, LONG)).await.expect("asks"), None);
    }
    let dead = |number| LeaseClaim { from_dead: Some(number), ..claim("b", LONG) };
    assert_eq!(store.take_lease(dead(FencingNumber(9))).await.expect("asks"), None);
    assert_eq!(take(store, dead(first)).await, FencingNumber(2));
    // Whoever let go long ago lets nothing go now.
    store.release_lease(fence(first)).await.expect("lets go");
    assert_eq!(store.take_lease(claim("c", LONG)).await.expect("asks"), None);
    store.release_lease(fence(FencingNumber(2))).await.expect("lets go");
    assert_eq!(lease(store).await.remaining, Duration::ZERO);
    assert_eq!(take(store, claim("c", Duration::ZERO)).await, FencingNumber(3));
    assert_eq!(take(store, claim("d", LONG)).await, FencingNumber(4));
    let elsewhere = LeaseClaim { chain_id: OTHER, ..claim("a", LONG) };
    assert_eq!(take(store, elsewhere).await, FencingNumber(1));
}

/// However many ask at once, one gets the lease.
pub async fn of_many_claims_of_a_lease_one_is_taken(store: &Arc<dyn Store>) {
    for round in 1..=3 {
        let mut claims = JoinSet::new();
        for number in 0..8 {
            let store = Arc::clone(store);
            claims.spawn(async move {
                store.take_lease(claim(&format!("holder {number}"), LONG)).await.expect("asks")
            });
        }
        let taken: Vec<_> = claims.join_all().await.into_iter().flatten().collect();
        assert_eq!(taken, [FencingNumber(round)]);
        store.release_lease(fence(FencingNumber(round))).await.expect("lets go");
    }
}

/// A lease is renewed by its holder while it lasts; afterwards it must be taken anew, even if nobody took it meanwhile.
pub async fn a_lease_that_ran_out_is_not_renewed(store: &Arc<dyn Store>) {
    assert_fenced(store.renew_lease(fence(FencingNumber(1)), LONG).await);
    let first = take(store, claim("a", LONG / 4)).await;
    store.renew_lease(fence(first), LONG).await.expect("renews");
    assert!(lease(store).await.remaining > LONG / 2);
    assert_fenced(store.renew_lease(fence(first.next()), LONG).await);
    store.renew_lease(fence(first), Duration::ZERO).await.expect("renews");
    assert_fenced(store.renew_lease(fence(first), LONG).await);
    let second = take(store, claim("a", LONG)).await;
    assert_fenced(store.renew_lease(fence(first), LONG).await);
    store.renew_lease(fence(second), LONG).await.expect("renews");
}

/// A follower that was overtaken, or comes back after a pause, writes nothing.
pub async fn a_commit_under_an_older_number_changes_nothing(store: &Arc<dyn Store>) {
    let mut paused = Follower::new(store);
    paused.fencing = take(store, claim("paused", LONG)).await;
    let mut other = paused.clone();
    let early = paused.commit_of(&[], vec![applied(block("a", 1), vec![])]);
    let first = LeaseClaim { from_dead: Some(paused.fencing), ..claim("other", LONG) };
    other.fencing = take(store, first).await;
    // Also where there is no cursor yet.
    assert_fenced(store.commit_blocks(early).await);
    assert_eq!(store.cursor(CHAIN).await.expect("reads"), None);
    other.extend(vec![applied(block("a", 1), vec![])]).await;
    paused.cursor = other.cursor;
    let before = picture(store).await;
    let at = block("a", 2);
    let payment = paid(1, usdt(), U256::from(5), at, 0);
    let late = || vec![applied(at, vec![payment])];
    assert_fenced(store.commit_blocks(paused.commit_of(&[], late())).await);
    assert_fenced(store.commit_range(paused.range_of(at, vec![payment])).await);
    assert_eq!(picture(store).await, before);
    // A number that was never given out is no better.
    paused.fencing = FencingNumber(9);
    assert_fenced(store.commit_blocks(paused.commit_of(&[], late())).await);
    other.extend(late()).await;
    // The present holder writes also after its time, as long as nobody has taken over.
    store.release_lease(fence(other.fencing)).await.expect("lets go");
    other.extend(vec![applied(block("a", 3), vec![])]).await;
}

/// Nothing is credited before the present holder has found the window on the chain, and nothing after its time.
pub async fn a_batch_is_written_only_under_a_checked_holding(store: &Arc<dyn Store>) {
    let mut follower = Follower::new(store);
    let first = take(store, claim("a", LONG)).await;
    follower.fencing = first;
    let payments: Vec<_> = (1..=3)
        .map(|number| paid(number, usdt(), U256::from(number), block("a", number), 0))
        .collect();
    let added = payments.iter().map(|seen| applied(seen.block, vec![*seen])).collect();
    follower.extend(added).await;
    let write = async |number, place: usize| {
        let settle = vec![settle_alone(&payments[place], 0)];
        write_fenced(store, fence(number), settle, block_time(9)).await
    };
    assert_eq!(checked_by(store).await, None);
    assert_fenced(write(first, 0).await);
    assert_fenced(store.mark_checked(fence(first.next()), true).await);
    store.mark_checked(fence(first), true).await.expect("marks");
    assert!(lease(store).await.checked);
    assert_eq!(checked_by(store).await, Some(first));
    assert_fenced(write(FencingNumber::UNLEASED, 0).await);
    assert_fenced(write(first.next(), 0).await);
    write(first, 0).await.expect("writes");
    // The check can be taken back.
    store.mark_checked(fence(first), false).await.expect("marks");
    assert_fenced(write(first, 1).await);
    store.mark_checked(fence(first), true).await.expect("marks");
    // A holding whose time is over.
    store.renew_lease(fence(first), Duration::ZERO).await.expect("renews");
    assert_eq!(checked_by(store).await, None);
    assert_fenced(write(first, 1).await);
    // The next one begins unchecked, and the one before stays outside.
    let second = take(store, claim("b", LONG)).await;
    assert_eq!(checked_by(store).await, None);
    assert_fenced(store.mark_checked(fence(first), true).await);
    assert_fenced(write(second, 1).await);
    store.mark_checked(fence(second), true).await.expect("marks");
    assert_fenced(write(first, 1).await);
    write(second, 1).await.expect("writes");
    let open = store.transfers_to_settle(CHAIN, None, 9, 9).await.expect("finds");
    assert_eq!(open.len(), 1);
}

/// A batch that was decided by several chains is written only if every one of their holdings is valid.
pub async fn one_broken_fence_refuses_its_batch(store: &Arc<dyn Store>) {
    let number = take(store, claim("a", LONG)).await;
    store.mark_checked(fence(number), true).await.expect("marks");
    let unleased = Fence { chain_id: OTHER, number: FencingNumber::UNLEASED };
    let transact = async |fences: Vec<Fence>| {
        let touches = Touches { fences: BTreeSet::from_iter(fences), ..Touches::default() };
        let decide = |_: &mut LedgerState| BatchRows::default();
        store.transact(touches, Arc::new(decide)).await
    };
    transact(vec![fence(number), unleased]).await.expect("both hold");
    let never = Fence { number: FencingNumber(1), ..unleased };
    assert_fenced(transact(vec![fence(number), never]).await);
    assert_fenced(transact(vec![fence(number.next()), unleased]).await);
    let taken = LeaseClaim { chain_id: OTHER, ..claim("b", LONG) };
    take(store, taken).await;
    assert_fenced(transact(vec![fence(number), unleased]).await);
    transact(vec![fence(number)]).await.expect("holds");
}

/// Taking over and writing at once: what is written under the older number is written before the lease is taken.
pub async fn taking_over_waits_for_what_is_under_way(store: &Arc<dyn Store>) {
    let mut follower = Follower::new(store);
    let mut holding = take(store, claim("0", LONG)).await;
    for round in 1..=12u64 {
        follower.fencing = holding;
        store.mark_checked(fence(holding), true).await.expect("marks");
        let at = block("a", round);
        let payment = paid(round, usdt(), U256::from(round), at, 0);
        follower.extend(vec![applied(at, vec![payment])]).await;
        let empty = applied(block("b", round + 1), vec![]);
        let commit = follower.commit_of(&[], vec![empty.clone()]);
        let writing = {
            let store = Arc::clone(store);
            let settle = vec![settle_alone(&payment, 0)];
            tokio::spawn(async move {
                write_fenced(&store, fence(holding), settle, block_time(round + 50)).await.map(drop)
            })
        };
        let following = {
            let store = Arc::clone(store);
            tokio::spawn(async move { store.commit_blocks(commit).await })
        };
        let next = LeaseClaim { from_dead: Some(holding), ..claim(&round.to_string(), LONG) };
        holding = take(store, next).await;
        let tip = store.cursor(CHAIN).await.expect("reads").expect("a cursor").tip;
        let open = store.transfers_to_settle(CHAIN, None, u64::MAX, 99).await.expect("finds");
        // What was not there when the lease had been taken never comes.
        let written = writing.await.expect("ends");
        let committed = following.await.expect("ends");
        assert_eq!(tip == empty.block, committed.is_ok(), "{committed:?}");
        assert_eq!(open.is_empty(), written.is_ok(), "{written:?}");
        for failed in [written, committed].into_iter().filter(Result::is_err) {
            assert_fenced(failed);
        }
        follower.cursor = store.cursor(CHAIN).await.expect("reads");
        let orphaned = [empty.block];
        follower.fencing = holding;
        store.mark_checked(fence(holding), true).await.expect("marks");
        if tip == empty.block {
            let back = follower.commit_of(&orphaned, vec![]);
            let cursor = crate::CursorRecord { tip: at, ..back.cursor };
            let back = crate::BlocksCommit { cursor, ..back };
            follower.commit(back).await.expect("goes back");
        }
        if !open.is_empty() {
            let settle = vec![settle_alone(&payment, 0)];
            write_fenced(store, fence(holding), settle, block_time(round + 50))
                .await
                .expect("writes");
        }
    }
}
