//! A unit of work: one connection, one commit, every round trip counted.
//!
//! Never commits by itself: a session that is dropped has changed nothing.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use inspay_ports::StoreError;
use sqlx::{
    PgConnection, PgPool, Postgres, Transaction,
    pool::PoolConnection,
    postgres::{PgArguments, PgRow},
    query::Query,
};

#[cfg(debug_assertions)]
use crate::store::CommitHook;
use crate::{
    copy::{Copy, Rows},
    error::failed,
};

/// How a unit of work begins.
pub(crate) const BEGIN: &str = "BEGIN";

/// The same, where the commit does not wait for the disk: it may be lost when the server's machine loses its power, as
/// long as no later one that lasts came after it, since all are in one log.
pub(crate) const BEGIN_RELAXED: &str = "BEGIN; SET LOCAL synchronous_commit = off";

/// A statement with its values bound.
pub(crate) type Statement<'q> = Query<'q, Postgres, PgArguments>;

/// How its statements become one, or do not.
enum Inner {
    /// They are committed together.
    Together(Transaction<'static, Postgres>),
    /// Each is its own commit.
    Each(PoolConnection<Postgres>),
}

impl Inner {
    fn connection(&mut self) -> &mut PgConnection {
        match self {
            Self::Together(db_tx) => db_tx,
            Self::Each(connection) => connection,
        }
    }
}

/// An open unit of work.
pub(crate) struct Session {
    inner: Inner,
    round_trips: Arc<AtomicU64>,
    #[cfg(debug_assertions)]
    before_commit: Option<CommitHook>,
    pub(crate) act: &'static str,
}

impl Session {
    pub(crate) async fn begin(
        pool: &PgPool,
        statement: &'static str,
        round_trips: Arc<AtomicU64>,
        act: &'static str,
    ) -> Result<Self, StoreError> {
        round_trips.fetch_add(1, Ordering::Relaxed);
        let inner = pool.begin_with(statement).await.map_err(failed(act))?;
        Ok(Self::of(Inner::Together(inner), round_trips, act))
    }

    /// Statements of which each is its own commit. Nothing is to be committed in the end.
    pub(crate) async fn each(
        pool: &PgPool,
        round_trips: Arc<AtomicU64>,
        act: &'static str,
    ) -> Result<Self, StoreError> {
        let inner = pool.acquire().await.map_err(failed(act))?;
        Ok(Self::of(Inner::Each(inner), round_trips, act))
    }

    fn of(inner: Inner, round_trips: Arc<AtomicU64>, act: &'static str) -> Self {
        Self {
            inner,
            round_trips,
            #[cfg(debug_assertions)]
            before_commit: None,
            act,
        }
    }

    /// Calls the hook between this session's last statement and its commit.
    #[cfg(debug_assertions)]
    pub(crate) fn hooked(self, before_commit: Option<CommitHook>) -> Self {
        Self { before_commit, ..self }
    }

    /// The rows of one statement.
    pub(crate) async fn rows(
        &mut self,
        statement: Statement<'_>,
    ) -> Result<Vec<PgRow>, StoreError> {
        self.round_trips.fetch_add(1, Ordering::Relaxed);
        statement.fetch_all(self.inner.connection()).await.map_err(failed(self.act))
    }

    /// Runs one statement; how many rows it changed.
    pub(crate) async fn run(&mut self, statement: Statement<'_>) -> Result<u64, StoreError> {
        self.round_trips.fetch_add(1, Ordering::Relaxed);
        let done = statement.execute(self.inner.connection()).await.map_err(failed(self.act))?;
        Ok(done.rows_affected())
    }

    /// Writes rows that are all new; how many they were.
    pub(crate) async fn copy(&mut self, copy: &Copy, rows: Rows) -> Result<u64, StoreError> {
        let failed = failed(self.act);
        self.round_trips.fetch_add(2, Ordering::Relaxed);
        let mut into =
            self.inner.connection().copy_in_raw(copy.statement).await.map_err(&failed)?;
        into.send(rows.end()).await.map_err(&failed)?;
        into.finish().await.map_err(&failed)
    }

    /// Makes it last.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        #[cfg(debug_assertions)]
        if let Some(before_commit) = &self.before_commit {
            before_commit(self.act);
        }
        match self.inner {
            Inner::Together(db_tx) => {
                self.round_trips.fetch_add(1, Ordering::Relaxed);
                db_tx.commit().await.map_err(failed(self.act))
            }
            Inner::Each(_) => Ok(()),
        }
    }

    /// Lets go of everything, unchanged.
    pub(crate) async fn abandon(self) -> Result<(), StoreError> {
        match self.inner {
            Inner::Together(db_tx) => {
                self.round_trips.fetch_add(1, Ordering::Relaxed);
                db_tx.rollback().await.map_err(failed(self.act))
            }
            Inner::Each(_) => Ok(()),
        }
    }
}
