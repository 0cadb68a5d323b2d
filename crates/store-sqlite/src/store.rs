//! The store's handle: its connections, its settings, its schema.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use inspay_ledger::Memory;
use inspay_ports::StoreError;
use sqlx::{
    ConnectOptions as _, SqlitePool,
    sqlite::{
        SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
    },
};

use crate::{
    error::failed,
    schema,
    session::{Session, Statement},
};

/// Prepared statements that a connection keeps: more than there are texts.
const STATEMENTS_MAX: usize = 512;

/// What [`SqliteSynchronous::Full`] says.
const COMMITS_LAST: &str = "PRAGMA synchronous = FULL";

/// How the store uses its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqliteOptions {
    /// Whether a file that is not there is made.
    pub create: bool,
    /// Connections for reading; there is always one more, for writing.
    pub read_connections_max: u32,
    /// How long a call waits for a connection, and so for the writers before it.
    pub acquire_timeout: Duration,
    /// How long a statement waits for another process that writes.
    pub busy_timeout: Duration,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            create: true,
            read_connections_max: 4,
            acquire_timeout: Duration::from_secs(10),
            busy_timeout: Duration::from_secs(5),
        }
    }
}

/// Everything that Inspay keeps, in one SQLite file.
#[derive(Clone)]
pub struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
    pub(crate) memory: Arc<Memory>,
    #[cfg(debug_assertions)]
    before_commit: Option<CommitHook>,
}

/// Called with what is attempted when every statement of a commit was run and the commit itself was not.
#[cfg(debug_assertions)]
pub type CommitHook = Arc<dyn Fn(&'static str) + Send + Sync>;

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").finish_non_exhaustive()
    }
}

pub(crate) fn settings_of(path: &Path, options: &SqliteOptions) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(options.create)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        // A REPLACE deletes: the triggers that keep rows see it.
        .pragma("recursive_triggers", "ON")
        .busy_timeout(options.busy_timeout)
        .statement_cache_capacity(STATEMENTS_MAX)
        .row_buffer_size(256)
        .disable_statement_logging()
}

pub(crate) fn for_writing(settings: SqliteConnectOptions) -> SqliteConnectOptions {
    settings
        // Where many rows are changed by one statement, the planner would rather make an index of those rows and
        // read the whole table beside it.
        .pragma("automatic_index", "OFF")
        // The pages that one batch of the follower or of the books changes.
        .pragma("cache_size", "-8000")
        // A page that many batches change goes from the log to the file once for several of them.
        .pragma("wal_autocheckpoint", "32000")
        // What undoes one statement is written for every statement, since a trigger may refuse it: not to a file.
        .pragma("temp_store", "MEMORY")
}

fn pool(connections_max: u32, options: &SqliteOptions) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections_max.max(1))
        .acquire_timeout(options.acquire_timeout)
        // A file has no line that could drop: what was prepared stays prepared.
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

impl SqliteStore {
    /// Opens the file, and makes it if it may. The schema is neither checked nor changed.
    pub async fn open(path: &Path, options: &SqliteOptions) -> Result<Self, StoreError> {
        let settings = settings_of(path, options);
        let writer = pool(1, options)
            // A session may have asked for less: whoever comes next gets commits that last.
            .after_release(|connection, _| {
                Box::pin(async move {
                    sqlx::query(COMMITS_LAST).execute(connection).await.map(|_| true)
                })
            })
            .connect_with(for_writing(settings.clone()))
            .await
            .map_err(failed("open the database"))?;
        let readers = pool(options.read_connections_max, options)
            .connect_lazy_with(settings.create_if_missing(false).pragma("query_only", "ON"));
        Ok(Self {
            writer,
            readers,
            memory: Arc::default(),
            #[cfg(debug_assertions)]
            before_commit: None,
        })
    }

    /// Brings the schema up to this release. Refuses, with [`inspay_ports::StoreErrorKind::Schema`], a database
    /// that a newer release has migrated or whose migrations were changed.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let mut session = self.begin(schema::MIGRATE).await?;
        schema::migrate(session.connection()).await?;
        session.commit().await
    }

    /// Refuses, with [`inspay_ports::StoreErrorKind::Schema`], a schema that is not this release's.
    pub async fn check_schema(&self) -> Result<(), StoreError> {
        let mut session = self.snapshot(schema::CHECK).await?;
        schema::check(session.connection()).await
    }

    /// Ends all connections and waits until they are gone.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// A unit of work that writes.
    pub(crate) async fn begin(&self, act: &'static str) -> Result<Session, StoreError> {
        Ok(self.hooked(Session::write(&self.writer, act).await?))
    }

    fn hooked(&self, session: Session) -> Session {
        #[cfg(debug_assertions)]
        let session = session.hooked(self.before_commit.clone());
        session
    }

    /// The store with a hook in front of every commit of several statements: for tests of what a crash there leaves.
    #[cfg(debug_assertions)]
    #[must_use]
    pub fn before_commit(self, hook: CommitHook) -> Self {
        Self { before_commit: Some(hook), ..self }
    }

    /// A unit of work that writes what can be read again from where it came from.
    pub(crate) async fn begin_relaxed(&self, act: &'static str) -> Result<Session, StoreError> {
        Ok(self.hooked(Session::write_relaxed(&self.writer, act).await?))
    }

    /// A unit of work that reads one state.
    pub(crate) async fn snapshot(&self, act: &'static str) -> Result<Session, StoreError> {
        Session::read(&self.readers, act).await
    }

    /// Single statements that read.
    pub(crate) fn read(&self, act: &'static str) -> Single<'_> {
        Single { pool: &self.readers, act }
    }

    /// Single statements that write, each its own commit.
    pub(crate) fn write(&self, act: &'static str) -> Single<'_> {
        Single { pool: &self.writer, act }
    }
}

/// One pool with what is attempted.
#[derive(Clone, Copy)]
pub(crate) struct Single<'a> {
    pool: &'a SqlitePool,
    pub(crate) act: &'static str,
}

impl Single<'_> {
    /// The rows of one statement.
    pub(crate) async fn rows(&self, statement: Statement) -> Result<Vec<SqliteRow>, StoreError> {
        statement.fetch_all(self.pool).await.map_err(failed(self.act))
    }

    /// The first row of one statement, if any.
    pub(crate) async fn row(&self, statement: Statement) -> Result<Option<SqliteRow>, StoreError> {
        statement.fetch_optional(self.pool).await.map_err(failed(self.act))
    }

    /// Runs one statement, its own commit; how many rows it changed.
    pub(crate) async fn run(&self, statement: Statement) -> Result<u64, StoreError> {
        let done = statement.execute(self.pool).await.map_err(failed(self.act))?;
        Ok(done.rows_affected())
    }
}

#[cfg(test)]
mod tests {
    use sqlx::Row as _;

    use super::*;

    async fn level(connection: &mut sqlx::SqliteConnection) -> i64 {
        let row = sqlx::query("PRAGMA synchronous").fetch_one(connection).await.expect("tells");
        row.get(0)
    }

    /// What the levels are called in the settings.
    const NORMAL: i64 = 1;
    const FULL: i64 = 2;

    #[tokio::test]
    async fn only_a_relaxed_session_does_not_wait_for_the_disk() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("levels.db");
        let store = SqliteStore::open(&path, &SqliteOptions::default()).await.expect("opens");
        for is_committed in [true, false] {
            let mut relaxed = store.begin_relaxed("look").await.expect("begins");
            assert_eq!(level(relaxed.connection()).await, NORMAL);
            if is_committed {
                relaxed.commit().await.expect("commits");
            } else {
                drop(relaxed);
            }
            let mut next = store.begin("look").await.expect("begins");
            assert_eq!(level(next.connection()).await, FULL, "after commit: {is_committed}");
        }
    }
}
