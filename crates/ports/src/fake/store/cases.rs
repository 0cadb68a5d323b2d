//! Cases in the fake store.

use async_trait::async_trait;
use inspay_primitives::{CaseClosing, CaseId, CaseKind, CaseOpening};

use super::{
    FakeStore, first,
    rows::{State, next_position},
};
use crate::{CaseFilter, CaseRecord, CaseStore, Page, StoreError};

#[async_trait]
impl CaseStore for FakeStore {
    async fn open_case(&self, opening: CaseOpening) -> Result<CaseId, StoreError> {
        self.write("open a case", |state| Ok(state.open_case(&opening)))
    }

    async fn resolve_case(&self, closing: CaseClosing) -> Result<bool, StoreError> {
        self.write("resolve a case", |state| Ok(state.resolve_case(&closing)))
    }

    async fn case(&self, id: CaseId) -> Result<Option<CaseRecord>, StoreError> {
        self.read("read a case", |state| Ok(state.cases.iter().find(|case| case.id == id).cloned()))
    }

    async fn cases(&self, filter: CaseFilter, page: Page) -> Result<Vec<CaseRecord>, StoreError> {
        self.read("list cases", |state| {
            let is_listed = |case: &&CaseRecord| {
                page.after.is_none_or(|after| case.id.0 < after)
                    && filter.kind.is_none_or(|kind| case.opening.kind == kind)
                    && (!filter.open_only || case.resolved.is_none())
            };
            Ok(first(state.cases.iter().rev().filter(is_listed).cloned(), page.limit))
        })
    }
}

impl State {
    fn open_of(&mut self, kind: CaseKind, subject: &str) -> Option<&mut CaseRecord> {
        self.cases.iter_mut().find(|case| {
            case.resolved.is_none() && case.opening.kind == kind && case.opening.subject == subject
        })
    }

    /// Opens a case within whatever commit is under way, unless one of its kind and subject is open; its number.
    pub(super) fn open_case(&mut self, opening: &CaseOpening) -> CaseId {
        if let Some(open) = self.open_of(opening.kind, &opening.subject) {
            return open.id;
        }
        let id = CaseId(next_position(self.cases.len()));
        self.cases.push(CaseRecord { id, opening: opening.clone(), resolved: None });
        id
    }

    /// Resolves a case within whatever commit is under way; whether there was one to resolve.
    pub(super) fn resolve_case(&mut self, closing: &CaseClosing) -> bool {
        let open = self.open_of(closing.kind, &closing.subject);
        let was_open = open.is_some();
        if let Some(open) = open {
            open.resolved = Some((closing.resolved_at, closing.resolution.clone()));
        }
        was_open
    }
}
