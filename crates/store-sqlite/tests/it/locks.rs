//! The follower and the books come one after another, and readers wait for neither.

use std::{
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    time::Duration,
};

use inspay_ledger::{LedgerState, SettlementRules, apply, touches};
use inspay_ports::{
    Decide, StoreErrorKind,
    contract::{
        samples::{CHAIN, Follower, applied, block, block_time, ordered, quote},
        teller::settle_for,
    },
};
use inspay_store_sqlite::SqliteOptions;

use crate::world::{World, paying};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_transfer_that_is_being_settled_cannot_leave_the_chain_meanwhile() {
    let options =
        SqliteOptions { acquire_timeout: Duration::from_millis(100), ..SqliteOptions::default() };
    let world = World::with(&options).await;
    let order = ordered(&world.store, 1).await;
    let payment = paying(&order, 1, block("a", 1), 0);
    let mut follower = Follower::new(&world.store);
    follower.extend(vec![applied(block("a", 1), vec![payment])]).await;

    let operations = vec![settle_for(&payment, 0, &order)];
    let touched = touches(&operations, block_time(9));
    let (locked, is_locked): (Sender<()>, Receiver<()>) = channel();
    let (go, may_go): (Sender<()>, Receiver<()>) = channel();
    let ends = Mutex::new((locked, may_go));
    let decide: Decide = Arc::new(move |state: &mut LedgerState| {
        let ends = ends.lock().expect("is alone");
        ends.0.send(()).expect("somebody listens");
        ends.1.recv().expect("somebody lets go");
        apply(state, &operations, &SettlementRules::default(), block_time(9)).1
    });
    let books = Arc::clone(&world.store);
    let settling = tokio::spawn(async move { books.transact(touched, decide).await });
    tokio::task::spawn_blocking(move || is_locked.recv()).await.expect("runs").expect("is locked");

    // While the decision is taken, the follower waits its turn and gives up; readers see what was.
    let commit = follower.commit_of(&[block("a", 1)], vec![applied(block("b", 1), vec![])]);
    let waited = world.store.commit_blocks(commit.clone()).await.expect_err("it is not its turn");
    assert!(matches!(waited.kind, StoreErrorKind::Contended(_)), "{waited:?}");
    let record = world.store.transfers_to_settle(CHAIN, None, 9, 9).await.expect("reads");
    assert_eq!(record.len(), 1);
    go.send(()).expect("the decision waits");
    settling.await.expect("runs").expect("settles");
    world.store.commit_blocks(commit).await.expect("follows");

    let due = world.store.transfers_to_reverse(CHAIN, 10).await.expect("reads");
    let due: Vec<_> = due.iter().map(|record| (record.transfer.key, record.canonical)).collect();
    assert_eq!(due, [(payment.key, false)]);
    assert_eq!(world.store.broken_laws().await.expect("checks"), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_call_that_is_given_up_leaves_nothing_and_holds_nothing() {
    let world = World::fresh().await;
    for number in 0..50 {
        let store = Arc::clone(&world.store);
        let call = tokio::spawn(async move { store.save_quote(quote(number)).await });
        call.abort();
        // Whether it was done or not, the next writer has its turn.
        let other = quote(1_000 + number);
        world.store.save_quote(other.clone()).await.expect("keeps");
        assert_eq!(world.store.quote(other.id).await.expect("reads"), Some(other));
    }
}
