//! The in-memory store fails as it is told, and a snapshot is what a crash would leave.

use std::sync::Arc;

use inspay_ports::{
    SaleStore, Store, StoreErrorKind,
    contract::{
        samples::{quote, terms},
        store::picture,
    },
    fake::{CommitFault, FakeStore},
};

#[tokio::test]
async fn a_lost_commit_is_not_there_and_a_lost_answer_is() {
    let store = FakeStore::new();
    store.fail_commit_after(1, CommitFault::NothingWritten);
    store.save_quote(quote(1)).await.unwrap();
    let error = store.save_quote(quote(2)).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    assert_eq!(store.quote(quote(2).id).await.unwrap(), None);
    store.save_quote(quote(2)).await.unwrap();
    store.fail_commit_after(0, CommitFault::AnswerLost);
    let error = store.save_quote(quote(3)).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    assert_eq!(store.quote(quote(3).id).await.unwrap(), Some(quote(3)));
    assert_eq!(store.commits(), 4);
}

#[tokio::test]
async fn a_store_out_of_reach_answers_nothing_and_forgets_nothing() {
    let store = FakeStore::new();
    store.save_quote(quote(1)).await.unwrap();
    store.set_unreachable(true);
    let error = store.quote(quote(1).id).await.unwrap_err();
    assert!(matches!(error.kind, StoreErrorKind::Unreachable(_)), "{error:?}");
    let error = store.save_quote(quote(2)).await.unwrap_err();
    assert!(matches!(error.kind, StoreErrorKind::Unreachable(_)), "{error:?}");
    store.set_unreachable(false);
    assert_eq!(store.quote(quote(1).id).await.unwrap(), Some(quote(1)));
    assert_eq!(store.quote(quote(2).id).await.unwrap(), None);
}

#[tokio::test]
async fn a_snapshot_stays_as_it_was_and_can_be_gone_on_from() {
    let store: Arc<FakeStore> = Arc::new(FakeStore::new());
    let shared: Arc<dyn Store> = Arc::<FakeStore>::clone(&store);
    inspay_ports::contract::samples::ordered(&shared, 1).await;
    let snapshot = store.snapshot();
    let before = picture(&shared).await;
    inspay_ports::contract::samples::ordered(&shared, 2).await;
    let restarted: Arc<dyn Store> = Arc::new(FakeStore::from_snapshot(snapshot));
    assert_eq!(picture(&restarted).await, before);
    assert_ne!(picture(&shared).await, before);
    assert_eq!(restarted.order(terms(2).id).await.unwrap(), None);
    inspay_ports::contract::samples::ordered(&restarted, 2).await;
    assert_eq!(picture(&restarted).await, picture(&shared).await);
}
