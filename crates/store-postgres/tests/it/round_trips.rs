//! How often a call goes to the database does not depend on how much it brings.

use inspay_ledger::{Act, Operation};
use inspay_ports::{
    AppliedBlock, FollowStore as _,
    contract::{
        samples::{Follower, applied, block, block_time, ordered, ordered_as, terms},
        teller::{close, reverse, settle_for},
        till::{hold, hold_id, know, prize, spender},
    },
};
use inspay_primitives::{BlockRef, OrderTerms, Transfer};
use inspay_store_postgres::TRANSACT_ROUND_TRIPS_MAX;

use crate::world::{World, paying};

/// Orders from `first` on, paid in one block.
async fn paid_orders(world: &World, first: u64, count: u64) -> (Vec<Transfer>, AppliedBlock) {
    paid_in(world, block("a", first), first, count).await
}

async fn paid_in(
    world: &World,
    at: BlockRef,
    first: u64,
    count: u64,
) -> (Vec<Transfer>, AppliedBlock) {
    let mut payments = Vec::new();
    for number in first..first + count {
        ordered(&world.store, number).await;
        let log_index = u32::try_from(number).expect("small");
        payments.push(paying(&terms(number), number, at, log_index));
    }
    (payments.clone(), applied(at, payments))
}

fn asked(name: &str, acts: impl Iterator<Item = Act>) -> impl Iterator<Item = Operation> {
    acts.enumerate()
        .map(move |(place, act)| Operation::requested("till", &format!("{name} {place}"), act))
}

fn settlements(payments: &[Transfer], first: u64) -> Vec<Operation> {
    (first..).zip(payments).map(|(number, paid)| settle_for(paid, 0, &terms(number))).collect()
}

#[tokio::test]
async fn a_batch_makes_a_bounded_number_of_round_trips() {
    let world = World::fresh().await;
    let mut follower = Follower::new(&world.store);
    let mut seen = Vec::new();
    for (number, first, count) in [(1, 1, 1), (2, 10, 300), (3, 1_000, 500), (4, 2_000, 1_000)] {
        let (payments, added) = paid_in(&world, block("a", number), first, count).await;
        follower.extend(vec![added]).await;
        let mut operations = settlements(&payments, first);
        if number == 4 {
            let due = block_time(1);
            let ended = OrderTerms { deadline: due, grace_seconds: 0, ..terms(5_000) };
            operations.push(close(&ordered_as(&world.store, ended).await, block_time(4)));
        }
        let before = world.postgres.round_trips();
        world.write(operations).await;
        seen.push(world.postgres.round_trips() - before);
    }
    assert_eq!(world.store.broken_laws().await.expect("checks"), []);
    assert_eq!(seen, [10, 10, TRANSACT_ROUND_TRIPS_MAX - 1, TRANSACT_ROUND_TRIPS_MAX]);
}

#[tokio::test]
async fn a_reversal_looks_at_the_owners_credits_besides() {
    let world = World::fresh().await;
    let mut follower = Follower::new(&world.store);
    let (payments, added) = paid_orders(&world, 1, 50).await;
    follower.extend(vec![added]).await;
    world.write(settlements(&payments, 1)).await;
    follower.swap(&[block("a", 1)], vec![applied(block("b", 1), vec![])]).await;
    let before = world.postgres.round_trips();
    world.write(payments.iter().map(|payment| reverse(payment, 0)).collect()).await;
    // Their lots.
    assert_eq!(world.postgres.round_trips() - before, 11);
    assert_eq!(world.store.broken_laws().await.expect("checks"), []);
}

#[tokio::test]
async fn spending_makes_a_bounded_number_of_them() {
    let world = World::fresh().await;
    let now = block_time(500);
    let known = (0..600).map(|number| know(&spender(number)));
    world.write(asked("know", known).collect()).await;
    let far = now.plus_seconds(86_400);
    let granted = (0..600).map(|number| prize(&spender(number), &number.to_string(), 100, far));
    world.write(asked("grant", granted).collect()).await;
    let mut seen = Vec::new();
    for (round, count) in [(1, 1), (2, 100), (3, 600)] {
        let number = |place: u64| round * 1_000 + place;
        let holds = (0..count).map(|place| hold(&spender(place), number(place), "chat", 2));
        let before = world.postgres.round_trips();
        world.write(asked(&format!("hold {round}"), holds).collect()).await;
        let held = world.postgres.round_trips() - before;
        let captures =
            (0..count).map(|place| Act::Capture { hold: hold_id(number(place)), credits: None });
        let before = world.postgres.round_trips();
        world.write(asked(&format!("capture {round}"), captures).collect()).await;
        seen.push((held, world.postgres.round_trips() - before));
    }
    assert_eq!(world.store.broken_laws().await.expect("checks"), []);
    // The head with keys and holds, lots, balances with limits, and one statement that writes and commits: that alone where
    // all the rest is as the batch before has left it. A large batch
    // begins, locks the head, asks for keys and holds apart, commits, and makes two for each of four tables that it is
    // copied to.
    assert_eq!(seen, [(4, 1), (4, 1), (16, 16)]);
}

#[tokio::test]
async fn a_batch_with_nothing_to_do_does_not_write() {
    let world = World::lived_in().await;
    let before = world.postgres.round_trips();
    world.write(Vec::new()).await;
    // Begin, the head, the shared balances, and letting go.
    assert_eq!(world.postgres.round_trips() - before, 4);
}

#[tokio::test]
async fn a_commit_of_the_follower_makes_a_handful() {
    let world = World::fresh().await;
    let mut follower = Follower::new(&world.store);
    let count = |before| world.postgres.round_trips() - before;
    // Begin, the cursor, the blocks, commit; with transfers: recording them; with a change of branch: locking what
    // is touched, flipping what left, keeping where it was.
    let before = world.postgres.round_trips();
    follower.extend(vec![applied(block("a", 1), vec![])]).await;
    assert_eq!(count(before), 4);
    let (_, added) = paid_orders(&world, 2, 200).await;
    let before = world.postgres.round_trips();
    follower.extend(vec![added]).await;
    assert_eq!(count(before), 5);
    let (_, added) = paid_orders(&world, 300, 200).await;
    let before = world.postgres.round_trips();
    follower.swap(&[block("a", 2)], vec![added]).await;
    assert_eq!(count(before), 8);
    let (payments, _) = paid_orders(&world, 600, 200).await;
    let commit = follower.range_of(block("a", 900), payments);
    let before = world.postgres.round_trips();
    world.postgres.commit_range(commit).await.expect("commits");
    assert_eq!(count(before), 7);
}
