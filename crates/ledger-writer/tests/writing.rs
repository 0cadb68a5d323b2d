//! The queue, its batches and its answers, over a store in memory.

use std::sync::Arc;

use inspay_ledger::{Outcome, Refusal, SettlementRules};
use inspay_ledger_writer::{LedgerWriter, WriteError, WriterLimits};
use inspay_ports::{
    AppliedBlock, BooksStore, Proof, Store,
    contract::{samples, teller},
    fake::{CommitFault, FakeStore},
};
use inspay_primitives::{ManualClock, Timestamp, Transfer, U256};

const TRANSFERS: u64 = 40;

fn transfer(number: u64) -> Transfer {
    let log_index = u32::try_from(number).expect("small");
    samples::paid(
        number,
        samples::usdt(),
        U256::from(1_000 + number),
        samples::block("a", 1),
        log_index,
    )
}

/// A store with forty transfers in one block, and a writer over it.
async fn world() -> (Arc<FakeStore>, LedgerWriter, tokio::task::JoinHandle<()>) {
    let store = Arc::new(FakeStore::new());
    let as_store: Arc<dyn Store> = Arc::clone(&store) as _;
    let applied = AppliedBlock {
        block: samples::block("a", 1),
        proof: Proof::ReceiptsRoot,
        transfers: (0..TRANSFERS).map(transfer).collect(),
    };
    samples::Follower::new(&as_store).extend(vec![applied]).await;
    let clock = Arc::new(ManualClock::new(Timestamp::from_chain_seconds(1_000)));
    let (writer, task) = LedgerWriter::new(
        Arc::clone(&store) as Arc<dyn BooksStore>,
        clock,
        SettlementRules::default(),
        WriterLimits::default(),
    );
    let running = tokio::spawn(task.run());
    (store, writer, running)
}

#[tokio::test]
async fn what_queues_up_shares_commits_and_each_caller_gets_its_own_answer() {
    let (store, writer, _running) = world().await;
    let before = store.commits();
    let calls = (0..TRANSFERS).map(|number| {
        let writer = writer.clone();
        async move { writer.write(vec![teller::settle_alone(&transfer(number), 0)]).await }
    });
    let answers = futures::future::join_all(calls).await;
    let mut seqs: Vec<i64> = answers
        .into_iter()
        .map(|answer| match answer.expect("written").as_slice() {
            [Outcome::Applied { entry_seq: Some(seq) }] => *seq,
            other => panic!("{other:?}"),
        })
        .collect();
    seqs.sort_unstable();
    let expected: Vec<i64> = (1..=i64::try_from(TRANSFERS).expect("small")).collect();
    assert_eq!(seqs, expected);
    let commits = store.commits() - before;
    assert!(commits <= 2, "{commits} commits for {TRANSFERS} callers that came at once");
}

#[tokio::test]
async fn a_refused_operation_does_not_stop_the_others_of_its_batch() {
    let (_store, writer, _running) = world().await;
    let unknown = samples::paid(999, samples::usdt(), U256::from(1), samples::block("a", 1), 0);
    let operations = vec![
        teller::settle_alone(&transfer(0), 0),
        teller::settle_alone(&unknown, 0),
        teller::settle_alone(&transfer(1), 0),
        teller::settle_alone(&transfer(0), 0),
    ];
    let outcomes = writer.write(operations).await.expect("written");
    assert_eq!(
        outcomes,
        [
            Outcome::Applied { entry_seq: Some(1) },
            Outcome::Refused(Refusal::NoSuchTransfer),
            Outcome::Applied { entry_seq: Some(2) },
            Outcome::AlreadyApplied { entry_seq: Some(1) },
        ]
    );
}

#[tokio::test]
async fn a_failed_commit_is_told_and_the_same_again_is_done_once() {
    let (store, writer, _running) = world().await;
    let operation = || vec![teller::settle_alone(&transfer(0), 0)];
    store.fail_commit_after(0, CommitFault::NothingWritten);
    let failed = writer.write(operation()).await.expect_err("the commit failed");
    assert!(failed.is_transient(), "{failed}");
    assert_eq!(
        writer.write(operation()).await.expect("written"),
        [Outcome::Applied { entry_seq: Some(1) }]
    );
}

#[tokio::test]
async fn a_lost_answer_does_not_make_a_second_entry() {
    let (store, writer, _running) = world().await;
    let operation = || vec![teller::settle_alone(&transfer(0), 0)];
    store.fail_commit_after(0, CommitFault::AnswerLost);
    assert!(writer.write(operation()).await.is_err());
    let again = writer.write(operation()).await.expect("written");
    assert_eq!(again, [Outcome::AlreadyApplied { entry_seq: Some(1) }]);
}

#[tokio::test]
async fn commits_that_wrote_something_are_told_and_others_are_not() {
    let (_store, writer, _running) = world().await;
    let mut committed = writer.committed();
    writer.write(vec![teller::settle_alone(&transfer(0), 0)]).await.expect("written");
    assert!(committed.has_changed().expect("the writer runs"));
    committed.mark_unchanged();
    writer.write(vec![teller::settle_alone(&transfer(0), 0)]).await.expect("answered");
    assert!(!committed.has_changed().expect("the writer runs"));
    assert_eq!(writer.write(Vec::new()).await.expect("nothing to do"), []);
}

#[tokio::test]
async fn the_writer_ends_with_its_last_handle_and_refuses_once_it_is_gone() {
    let (_store, writer, running) = world().await;
    let other = writer.clone();
    drop(writer);
    other.write(vec![teller::settle_alone(&transfer(0), 0)]).await.expect("still written");
    drop(other);
    running.await.expect("the writer ends");
    let (_store, writer, running) = world().await;
    running.abort();
    assert!(running.await.expect_err("aborted").is_cancelled());
    let refused = writer.write(vec![teller::settle_alone(&transfer(0), 0)]).await;
    assert!(matches!(refused, Err(WriteError::Stopped)), "{refused:?}");
}
