//! The follower and the books wait for each other where they must, and never in a circle.

use std::{
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    time::Duration,
};

use inspay_ledger::{LedgerState, SettlementRules, apply, touches};
use inspay_ports::{
    Decide,
    contract::{
        samples::{CHAIN, Follower, applied, block, block_time, ordered, terms},
        teller::{reverse, settle_for},
    },
};
use sqlx::PgConnection;

use crate::world::{World, paying};

/// Waits until somebody waits for a lock in this database.
async fn until_somebody_waits(raw: &mut PgConnection) {
    let waiting = "SELECT 1 FROM pg_stat_activity \
         WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    let seen = async {
        loop {
            ticks.tick().await;
            if sqlx::query(waiting).fetch_optional(&mut *raw).await.expect("looks").is_some() {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), seen).await.expect("somebody waits");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_transfer_that_is_being_settled_cannot_leave_the_chain_meanwhile() {
    let world = World::fresh().await;
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

    let commit = follower.commit_of(&[block("a", 1)], vec![applied(block("b", 1), vec![])]);
    let chain = Arc::clone(&world.store);
    let following = tokio::spawn(async move { chain.commit_blocks(commit).await });
    let mut raw = world.raw().await;
    until_somebody_waits(&mut raw).await;
    assert!(!following.is_finished());
    go.send(()).expect("the decision waits");
    settling.await.expect("runs").expect("settles");
    following.await.expect("runs").expect("follows");

    let due = world.store.transfers_to_reverse(CHAIN, 10).await.expect("reads");
    let due: Vec<_> = due.iter().map(|record| (record.transfer.key, record.canonical)).collect();
    assert_eq!(due, [(payment.key, false)]);
    assert_eq!(world.store.broken_laws().await.expect("checks"), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn following_and_settling_the_same_transfers_never_deadlocks() {
    const TRANSFERS: u64 = 60;
    let world = World::fresh().await;
    let mut payments = Vec::new();
    for number in 1..=TRANSFERS {
        let order = ordered(&world.store, number).await;
        let log_index = u32::try_from(number).expect("small");
        payments.push(paying(&order, number, block("a", 1), log_index));
    }
    let mut follower = Follower::new(&world.store);
    follower.extend(vec![applied(block("a", 1), payments.clone())]).await;
    let flipping = async {
        for _ in 0..15 {
            follower.swap(&[block("a", 1)], vec![applied(block("b", 1), vec![])]).await;
            let back = vec![applied(block("a", 1), payments.clone())];
            follower.swap(&[block("b", 1)], back).await;
        }
    };
    let settling = async {
        for generation in 0..15 {
            let settle = |(number, paid)| settle_for(paid, generation, &terms(number));
            world.write((1..).zip(&payments).map(settle).collect()).await;
            world
                .write(payments.iter().rev().map(|paid| reverse(paid, generation)).collect())
                .await;
        }
    };
    // Either panics at a deadlock: each call is made once.
    tokio::join!(flipping, settling);
    assert_eq!(world.store.broken_laws().await.expect("checks"), []);
}
