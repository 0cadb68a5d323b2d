//! What is decided without the head's lock is written only where nobody wrote meanwhile, and decided anew where somebody
//! did.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
    mpsc::channel,
};

use inspay_ledger::{Act, Operation, Outcome, Refusal, SettlementRules, apply, touches};
use inspay_ports::{
    BooksStore as _, Decide, Page, Store,
    contract::{
        company::what_another_process_writes_between_holds,
        samples::block_time,
        till::{credits, daily, hold, hold_id, know, prize, spender},
    },
};
use inspay_primitives::Timestamp;
use inspay_store_postgres::{PostgresOptions, PostgresStore};

use crate::world::World;

fn asked(key: &str, act: Act) -> Operation {
    Operation::requested("till", key, act)
}

/// Somebody with a hundred credits: more than what a warning is set for.
async fn somebody(world: &World) {
    let account = spender(1);
    let granted = prize(&account, "1", 100, Timestamp::FAR);
    world.write(vec![asked("know", know(&account))]).await;
    world.write(vec![asked("grant", granted)]).await;
}

/// What the first of two processes is told, and how often it decided, where the other writes between its first reading
/// and its writing.
async fn overtaken_by(world: &World, first: Operation, other: Operation) -> (Outcome, usize) {
    let options = PostgresOptions::default();
    let second = PostgresStore::connect(&world.url, &options).await.expect("connects");
    let (asks, asked_for) = channel();
    let (done, is_done) = channel();
    let ends = Mutex::new((asks, is_done));
    let decided = Arc::new((AtomicUsize::new(0), Mutex::new(None)));
    let told = Arc::clone(&decided);
    let operations = vec![first];
    let touched = touches(&operations, block_time(500));
    let decide: Decide = Arc::new(move |state| {
        if decided.0.fetch_add(1, Ordering::Relaxed) == 0 {
            let ends = ends.lock().expect("is alone");
            ends.0.send(()).expect("somebody listens");
            // The thread that waits here must not be the one that hears of what the other is answered.
            tokio::task::block_in_place(|| ends.1.recv()).expect("the other has written");
        }
        let (outcomes, rows) =
            apply(state, &operations, &SettlementRules::default(), block_time(500));
        *decided.1.lock().expect("is alone") = outcomes.into_iter().next();
        rows
    });
    let books = world.postgres.clone();
    let writing = tokio::spawn(async move { books.transact(touched, decide).await });
    tokio::task::spawn_blocking(move || asked_for.recv()).await.expect("runs").expect("decides");
    let others = vec![other];
    let touched = touches(&others, block_time(500));
    let other: Decide = Arc::new(move |state| {
        apply(state, &others, &SettlementRules::default(), block_time(500)).1
    });
    second.transact(touched, other).await.expect("writes");
    done.send(()).expect("is waited for");
    writing.await.expect("runs").expect("writes");
    second.close().await;
    assert_eq!(world.store.broken_laws().await.expect("checks"), []);
    let outcome = told.1.lock().expect("is alone").take().expect("decided");
    (outcome, told.0.load(Ordering::Relaxed))
}

/// The same, who has spent: the next batch is decided on what that left behind.
async fn somebody_who_spends(world: &World) {
    somebody(world).await;
    let spent = hold(&spender(1), 9, "chat", 1);
    world.write(vec![asked("before", spent)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn credits_that_somebody_else_holds_meanwhile_are_not_held_twice() {
    let world = World::fresh().await;
    somebody(&world).await;
    credits_are_held_once(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nor_are_those_that_the_last_batch_left() {
    let world = World::fresh().await;
    somebody_who_spends(&world).await;
    credits_are_held_once(&world).await;
}

async fn credits_are_held_once(world: &World) {
    let (mine, theirs) = (hold(&spender(1), 1, "chat", 60), hold(&spender(1), 2, "chat", 60));
    let (outcome, decided) =
        overtaken_by(world, asked("mine", mine), asked("theirs", theirs)).await;
    let short = matches!(outcome, Outcome::Refused(Refusal::InsufficientCredits { .. }));
    assert!(short, "{outcome:?}");
    assert_eq!(decided, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_key_at_two_processes_is_done_once() {
    let world = World::fresh().await;
    somebody(&world).await;
    a_key_is_done_once(&world, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_key_is_done_once_where_no_key_was_read() {
    let world = World::fresh().await;
    somebody_who_spends(&world).await;
    a_key_is_done_once(&world, 2).await;
}

async fn a_key_is_done_once(world: &World, holds_then: usize) {
    let same = || asked("same", hold(&spender(1), 1, "chat", 6));
    let (outcome, decided) = overtaken_by(world, same(), same()).await;
    assert!(matches!(outcome, Outcome::AlreadyApplied { .. }), "{outcome:?}");
    assert_eq!(decided, 2);
    let holds = world.store.holds(&spender(1), true, Page { after: None, limit: 9 }).await;
    assert_eq!(holds.expect("lists").len(), holds_then);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_refusal_that_somebody_else_stores_meanwhile_stays() {
    let world = World::fresh().await;
    somebody(&world).await;
    let same = || asked("same", hold(&spender(1), 1, "chat", 600));
    let (outcome, decided) = overtaken_by(&world, same(), same()).await;
    assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
    assert_eq!(decided, 2);
}

/// It makes no entry, and what is held from then on counts all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_limit_that_is_set_meanwhile_holds() {
    let world = World::fresh().await;
    somebody(&world).await;
    a_limit_holds(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_limit_that_nobody_has_read_holds() {
    let world = World::fresh().await;
    somebody_who_spends(&world).await;
    a_limit_holds(&world).await;
}

async fn a_limit_holds(world: &World) {
    let capped = daily(&spender(1), 1, 5, block_time(500));
    let mine = hold(&spender(1), 1, "chat", 6);
    let (outcome, decided) = overtaken_by(world, asked("mine", mine), asked("cap", capped)).await;
    assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
    assert_eq!(decided, 2);
}

#[tokio::test]
async fn what_another_process_writes_is_not_written_over() {
    let world = World::fresh().await;
    let options = PostgresOptions::default();
    let second = PostgresStore::connect(&world.url, &options).await.expect("connects");
    let other: Arc<dyn Store> = Arc::new(second.clone());
    what_another_process_writes_between_holds(&world.store, &other).await;
    second.close().await;
}

#[tokio::test]
async fn nobody_meanwhile_is_no_second_look() {
    let world = World::fresh().await;
    somebody(&world).await;
    let decided = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&decided);
    let operations = vec![asked("mine", hold(&spender(1), 1, "chat", 6))];
    let touched = touches(&operations, block_time(500));
    let decide: Decide = Arc::new(move |state| {
        count.fetch_add(1, Ordering::Relaxed);
        apply(state, &operations, &SettlementRules::default(), block_time(500)).1
    });
    world.postgres.transact(touched, decide).await.expect("writes");
    assert_eq!(decided.load(Ordering::Relaxed), 1);
    let held = world.store.hold(hold_id(1)).await.expect("reads").expect("is there");
    assert_eq!(held.credits, credits(6));
    assert_eq!(world.store.broken_laws().await.expect("checks"), []);
}
