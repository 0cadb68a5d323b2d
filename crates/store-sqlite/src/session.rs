//! A unit of work: one connection, one commit.
//!
//! Never commits by itself: a session that is dropped has changed nothing.

use std::{pin::pin, task::Poll};

use futures::{Stream, TryStreamExt as _};
use inspay_ports::{StoreError, StoreErrorKind};
use sqlx::{
    Either, Executor as _, Sqlite, SqliteConnection, SqlitePool, Transaction,
    query::Query,
    sqlite::{SqliteArguments, SqliteRow},
};

#[cfg(debug_assertions)]
use crate::store::CommitHook;
use crate::{
    bulk::{Bulk, Row, chunks},
    codec::Read,
    error::{failed, wrong},
    script::Script,
};

/// A commit of this session may be lost when the machine loses its power, as long as no later one that lasts came
/// after it. Set anew for every session: the connection goes back to what lasts when it is let go of.
const BEGIN_RELAXED: &str = "PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE";

/// A statement with its values bound.
pub(crate) type Statement = Query<'static, Sqlite, SqliteArguments>;

/// A statement that runs in a loop: it finds its rows through an index, and a test looks.
pub(crate) fn hot(sql: &'static str) -> Statement {
    #[cfg(test)]
    crate::plans::record(sql);
    sqlx::query(sql)
}

/// A statement that people or schedules run now and then: it may read whole tables.
pub(crate) fn cold(sql: &'static str) -> Statement {
    sqlx::query(sql)
}

/// An open unit of work.
pub(crate) struct Session {
    inner: Transaction<'static, Sqlite>,
    #[cfg(debug_assertions)]
    before_commit: Option<CommitHook>,
    pub(crate) act: &'static str,
}

impl Session {
    fn of(inner: Transaction<'static, Sqlite>, act: &'static str) -> Self {
        Self {
            inner,
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

    /// Begins to write: from here on no other writer comes in between.
    pub(crate) async fn write(writer: &SqlitePool, act: &'static str) -> Result<Self, StoreError> {
        let inner = writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed(act))?;
        Ok(Self::of(inner, act))
    }

    /// As [`Self::write`], for what can be read again from where it came from: the commit does not wait for the disk.
    pub(crate) async fn write_relaxed(
        writer: &SqlitePool,
        act: &'static str,
    ) -> Result<Self, StoreError> {
        let inner = writer.begin_with(BEGIN_RELAXED).await.map_err(failed(act))?;
        Ok(Self::of(inner, act))
    }

    /// Begins to read: every statement sees the same state.
    pub(crate) async fn read(readers: &SqlitePool, act: &'static str) -> Result<Self, StoreError> {
        let inner = readers.begin().await.map_err(failed(act))?;
        Ok(Self::of(inner, act))
    }

    pub(crate) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.inner
    }

    /// The rows of one statement.
    pub(crate) async fn rows(
        &mut self,
        statement: Statement,
    ) -> Result<Vec<SqliteRow>, StoreError> {
        statement.fetch_all(&mut *self.inner).await.map_err(failed(self.act))
    }

    /// What is read from each row of one statement, while the next rows are still found.
    pub(crate) async fn read_all<T>(
        &mut self,
        statement: Statement,
        read: impl Fn(&SqliteRow) -> Read<T>,
    ) -> Result<Vec<T>, StoreError> {
        let wrong = wrong(self.act);
        let mut found = Vec::new();
        let mut rows = self.stream(statement);
        while let Some(row) = rows.try_next().await? {
            found.push(read(&row).map_err(&wrong)?);
        }
        Ok(found)
    }

    /// The first row of one statement, if any.
    pub(crate) async fn row(
        &mut self,
        statement: Statement,
    ) -> Result<Option<SqliteRow>, StoreError> {
        statement.fetch_optional(&mut *self.inner).await.map_err(failed(self.act))
    }

    /// The rows of one statement as they come, for any number of them.
    pub(crate) fn stream(
        &mut self,
        statement: Statement,
    ) -> impl Stream<Item = Result<SqliteRow, StoreError>> + Send + Unpin {
        statement.fetch(&mut *self.inner).map_err(failed(self.act))
    }

    /// Runs one statement; how many rows it changed.
    pub(crate) async fn run(&mut self, statement: Statement) -> Result<u64, StoreError> {
        let done = statement.execute(&mut *self.inner).await.map_err(failed(self.act))?;
        Ok(done.rows_affected())
    }

    /// Runs one statement over many rows, some at a time; how many rows it changed.
    pub(crate) async fn bulk<T: Sync>(
        &mut self,
        bulk: &Bulk,
        rows: &[T],
        bind: fn(&T, &mut Row),
    ) -> Result<u64, StoreError> {
        let failed = failed(self.act);
        let mut changed: u64 = 0;
        let mut statements = chunks(rows).map(|chunk| bulk.statement(chunk, bind));
        let mut next = statements.next().transpose().map_err(&failed)?;
        while let Some(statement) = next {
            let mut running = pin!(statement.execute(&mut *self.inner));
            // The connection has a thread of its own: the next values are bound while it works.
            let early = futures::poll!(running.as_mut());
            next = statements.next().transpose().map_err(&failed)?;
            let done = match early {
                Poll::Ready(done) => done,
                Poll::Pending => running.await,
            };
            changed = changed.saturating_add(done.map_err(&failed)?.rows_affected());
        }
        Ok(changed)
    }

    /// Runs a script; how many rows each of its statements changed.
    pub(crate) async fn script(&mut self, script: Script) -> Result<Vec<u64>, StoreError> {
        self.read_script(script, |_, _| Ok(())).await
    }

    /// Runs a script and hands over its rows as they come, each with its statement's place in the script.
    pub(crate) async fn read_script(
        &mut self,
        script: Script,
        mut take: impl FnMut(usize, &SqliteRow) -> Read<()>,
    ) -> Result<Vec<u64>, StoreError> {
        let (failed, wrong) = (failed(self.act), wrong(self.act));
        let (text, values, must_change) = script.into_parts();
        let statement = values.into_statement(text).map_err(&failed)?;
        let mut changed = Vec::with_capacity(must_change.len());
        let mut answers = self.inner.fetch_many(statement);
        while let Some(answer) = answers.try_next().await.map_err(&failed)? {
            match answer {
                Either::Left(done) => changed.push(done.rows_affected()),
                Either::Right(row) => take(changed.len(), &row).map_err(&wrong)?,
            }
        }
        if changed.len() != must_change.len() {
            let why = format!("{} of {} statements ran", changed.len(), must_change.len());
            return Err(wrong(StoreErrorKind::Refused(why)));
        }
        for (must, changed) in must_change.iter().zip(&changed) {
            if let Some(must) = must.filter(|must| must != changed) {
                return Err(wrong(missing_rows(must, *changed)));
            }
        }
        Ok(changed)
    }

    /// Makes it last.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        #[cfg(debug_assertions)]
        if let Some(before_commit) = &self.before_commit {
            before_commit(self.act);
        }
        self.inner.commit().await.map_err(failed(self.act))
    }

    /// Lets go of everything, unchanged.
    pub(crate) async fn abandon(self) -> Result<(), StoreError> {
        self.inner.rollback().await.map_err(failed(self.act))
    }
}

/// Rows to change were not there: what they should have become would be lost without a word.
pub(crate) fn missing_rows(wanted: u64, changed: u64) -> StoreErrorKind {
    StoreErrorKind::Refused(format!("of {wanted} rows to change, {changed} are there"))
}
