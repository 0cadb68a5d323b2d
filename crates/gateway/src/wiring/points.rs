//! Where fail points enter the wiring: in a build that has them, around the ports of a process that has one armed.
//! In any other build this does nothing.

use std::sync::Arc;

use inspay_ports::{Chain, Store};
use inspay_settlement::Books;
use inspay_store_postgres::PostgresStore;
use inspay_store_sqlite::SqliteStore;

#[cfg(debug_assertions)]
use crate::{
    exit::Outcome,
    fail_points::{FailPoint, FailingBooks, FailingChain, FailingStore},
};

/// The fail point that is armed, if any.
#[derive(Clone, Debug, Default)]
pub(crate) struct Points {
    #[cfg(debug_assertions)]
    armed: Option<Arc<FailPoint>>,
}

#[cfg(debug_assertions)]
impl Points {
    /// Arms the point of that name.
    pub(crate) fn arm(text: &str) -> Outcome<Self> {
        Ok(Self { armed: Some(Arc::new(FailPoint::parse(text)?)) })
    }

    pub(crate) fn sqlite(&self, store: SqliteStore) -> SqliteStore {
        match &self.armed {
            Some(point) => store.before_commit(point.commit_hook()),
            None => store,
        }
    }

    pub(crate) fn postgres(&self, store: PostgresStore) -> PostgresStore {
        match &self.armed {
            Some(point) => store.before_commit(point.commit_hook()),
            None => store,
        }
    }

    pub(crate) fn store(&self, inner: Arc<dyn Store>) -> Arc<dyn Store> {
        match self.armed.clone() {
            Some(point) => Arc::new(FailingStore { inner, point }),
            None => inner,
        }
    }

    pub(crate) fn chain(&self, inner: Arc<dyn Chain>) -> Arc<dyn Chain> {
        match self.armed.clone() {
            Some(point) => Arc::new(FailingChain { inner, point }),
            None => inner,
        }
    }

    pub(crate) fn books(&self, inner: Arc<dyn Books>) -> Arc<dyn Books> {
        match self.armed.clone() {
            Some(point) => Arc::new(FailingBooks { inner, point }),
            None => inner,
        }
    }
}

#[cfg(not(debug_assertions))]
impl Points {
    pub(crate) fn sqlite(&self, store: SqliteStore) -> SqliteStore {
        store
    }

    pub(crate) fn postgres(&self, store: PostgresStore) -> PostgresStore {
        store
    }

    pub(crate) fn store(&self, inner: Arc<dyn Store>) -> Arc<dyn Store> {
        inner
    }

    pub(crate) fn chain(&self, inner: Arc<dyn Chain>) -> Arc<dyn Chain> {
        inner
    }

    pub(crate) fn books(&self, inner: Arc<dyn Books>) -> Arc<dyn Books> {
        inner
    }
}
