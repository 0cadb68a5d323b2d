//! Facts of cases: what a person of the finance has to look at.

use std::sync::Arc;

use inspay_primitives::{CaseClosing, CaseId, CaseKind, CaseOpening};
use tokio::task::JoinSet;

use crate::{CaseFilter, CaseRecord, Page, Store, contract::samples::block_time};

fn opening(subject: &str, number: u64) -> CaseOpening {
    CaseOpening {
        kind: CaseKind::BalanceDifference,
        subject: subject.to_owned(),
        opened_at: block_time(number),
        body_json: format!(r#"{{"found":"{number}"}}"#),
    }
}

fn closing(subject: &str, number: u64) -> CaseClosing {
    CaseClosing {
        kind: CaseKind::BalanceDifference,
        subject: subject.to_owned(),
        resolved_at: block_time(number),
        resolution: format!("whole in block {number}"),
    }
}

async fn open(store: &Arc<dyn Store>, opening: CaseOpening) -> CaseId {
    store.open_case(opening).await.expect("opens")
}

async fn case(store: &Arc<dyn Store>, id: CaseId) -> CaseRecord {
    store.case(id).await.expect("reads").expect("was opened")
}

async fn listed(store: &Arc<dyn Store>, filter: CaseFilter, page: Page) -> Vec<CaseId> {
    let cases = store.cases(filter, page).await.expect("lists");
    cases.into_iter().map(|case| case.id).collect()
}

/// A case is kept as it was opened until it is resolved, once.
pub async fn a_case_is_opened_and_resolved_once(store: &Arc<dyn Store>) {
    assert_eq!(store.case(CaseId(1)).await.expect("reads"), None);
    assert!(!store.resolve_case(closing("a", 1)).await.expect("looks"));
    let id = open(store, opening("a", 1)).await;
    assert_eq!(case(store, id).await, CaseRecord { id, opening: opening("a", 1), resolved: None });
    let other = CaseClosing { kind: CaseKind::NegativeAccount, ..closing("a", 2) };
    assert!(!store.resolve_case(other).await.expect("looks"));
    assert!(!store.resolve_case(closing("A", 2)).await.expect("looks"));
    assert!(store.resolve_case(closing("a", 2)).await.expect("resolves"));
    assert!(!store.resolve_case(closing("a", 3)).await.expect("looks"));
    let resolved = Some((block_time(2), "whole in block 2".to_owned()));
    assert_eq!(case(store, id).await, CaseRecord { id, opening: opening("a", 1), resolved });
}

/// While a case is open there is no second one of its kind and subject; afterwards there is.
pub async fn of_one_subject_one_case_is_open(store: &Arc<dyn Store>) {
    let first = open(store, opening("a", 1)).await;
    assert_eq!(open(store, opening("a", 2)).await, first);
    assert_eq!(case(store, first).await.opening, opening("a", 1));
    let of_another_kind =
        open(store, CaseOpening { kind: CaseKind::NegativeAccount, ..opening("a", 2) }).await;
    let of_another_subject = open(store, opening("b", 2)).await;
    assert!(first < of_another_kind && of_another_kind < of_another_subject);
    assert!(store.resolve_case(closing("a", 3)).await.expect("resolves"));
    let again = open(store, opening("a", 4)).await;
    assert!(of_another_subject < again);
    assert_eq!(case(store, again).await.resolved, None);
    assert!(case(store, first).await.resolved.is_some());
}

/// Of many that open the same case at once, one does.
pub async fn of_many_openings_one_case_is_made(store: &Arc<dyn Store>) {
    let mut openings = JoinSet::new();
    for number in 0..8 {
        let store = Arc::clone(store);
        openings.spawn(async move { open(&store, opening("a", number)).await });
    }
    let ids = openings.join_all().await;
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let page = Page { after: None, limit: 10 };
    assert_eq!(listed(store, CaseFilter::default(), page).await, [ids[0]]);
}

/// Cases are listed newest first, by kind, and with or without those that are resolved.
pub async fn cases_are_paged_newest_first(store: &Arc<dyn Store>) {
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(open(store, opening(&format!("subject {number}"), number)).await);
    }
    let owing = CaseOpening { kind: CaseKind::NegativeAccount, ..opening("someone", 5) };
    ids.push(open(store, owing).await);
    assert!(store.resolve_case(closing("subject 3", 6)).await.expect("resolves"));
    ids.reverse();
    let all = CaseFilter::default();
    let whole = Page { after: None, limit: 10 };
    assert_eq!(listed(store, all, whole).await, ids);
    assert_eq!(listed(store, all, Page { after: None, limit: 2 }).await, ids[..2]);
    let after = Page { after: Some(ids[1].0), limit: 2 };
    assert_eq!(listed(store, all, after).await, ids[2..4]);
    let open_only = CaseFilter { open_only: true, ..all };
    assert_eq!(listed(store, open_only, whole).await, [ids[0], ids[1], ids[3], ids[4], ids[5]]);
    let owing = CaseFilter { kind: Some(CaseKind::NegativeAccount), open_only: true };
    assert_eq!(listed(store, owing, whole).await, ids[..1]);
}
