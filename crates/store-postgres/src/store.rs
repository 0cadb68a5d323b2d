//! The store's handle: its connections, its settings, its schema.
//!
//! Never shows the database's address or password in `Debug` or in an error.

use std::{
    fmt,
    str::FromStr as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use inspay_ports::{StoreError, StoreErrorKind};
use sqlx::{
    ConnectOptions as _, Connection as _, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::{
    books::Company,
    error::failed,
    schema,
    session::{BEGIN, BEGIN_RELAXED, Session},
};

const CONNECT: &str = "connect";
/// The oldest server that knows every setting and statement used here.
const VERSION_MIN: u32 = 140_000;

/// How the store uses its database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresOptions {
    /// Connections for writing in bulk: following and settling. There is always one more, for spending.
    pub bulk_connections_max: u32,
    /// Connections for everything that is about a few rows.
    pub page_connections_max: u32,
    /// Connections for reports and checks over whole tables.
    pub report_connections_max: u32,
    /// How long a call waits for a connection.
    pub acquire_timeout: Duration,
    /// How long a statement waits for another writer's lock before it gives up.
    pub lock_timeout: Duration,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            bulk_connections_max: 4,
            page_connections_max: 8,
            report_connections_max: 2,
            acquire_timeout: Duration::from_secs(10),
            lock_timeout: Duration::from_secs(10),
        }
    }
}

/// What the planner may choose for statements that look up many keys at once: nothing but bitmap scans, which
/// exist only where an index has a condition. On tables that were empty or small when a statement was planned
/// it would take whole tables or whole indexes in a loop, and go on to do so while they grow.
const KEYED: [(&str, &str); 7] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_indexscan", "off"),
    ("enable_indexonlyscan", "off"),
    ("enable_memoize", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
];

/// What the planner may choose for statements that read a page in the order of an index: that index.
const PAGED: [(&str, &str); 5] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
];

/// Everything that Inspay keeps, in PostgreSQL.
#[derive(Clone)]
pub struct PostgresStore {
    keyed: PgPool,
    /// One connection: what spends comes one batch after another, and a server process that has just run its statement
    /// runs it faster.
    spending: PgPool,
    paged: PgPool,
    whole: PgPool,
    settings: Arc<PgConnectOptions>,
    round_trips: Arc<AtomicU64>,
    pub(crate) company: Arc<Company>,
    #[cfg(debug_assertions)]
    before_commit: Option<CommitHook>,
}

/// Called with what is attempted when every statement of a commit was run and the commit itself was not.
#[cfg(debug_assertions)]
pub type CommitHook = Arc<dyn Fn(&'static str) + Send + Sync>;

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}

/// Settings of every connection: just-in-time compilation costs more than any statement here, and a client
/// that is gone must not keep the locks of a batch.
fn settings_of(url: &str, options: &PostgresOptions) -> Result<PgConnectOptions, StoreError> {
    let lock_timeout = options.lock_timeout.as_millis().to_string();
    let settings = PgConnectOptions::from_str(url).map_err(|_| {
        let why = "the database URL is not of the form postgres://user@host:port/database";
        StoreError::new(CONNECT, StoreErrorKind::Refused(why.to_owned()))
    })?;
    Ok(settings
        .application_name("inspay")
        .options([
            ("jit", "off"),
            // What is read after a lock is read as the one before left it.
            ("default_transaction_isolation", "read committed"),
            ("lock_timeout", lock_timeout.as_str()),
            ("idle_in_transaction_session_timeout", "60000"),
        ])
        .disable_statement_logging())
}

/// Connects once by itself: a pool would wait for a server that refuses, and keep the reason to itself.
async fn greet(settings: &PgConnectOptions, within: Duration) -> Result<(), StoreError> {
    let refused = |why: String| StoreError::new(CONNECT, StoreErrorKind::Refused(why));
    let greeting = tokio::time::timeout(within, settings.connect()).await.map_err(|_| {
        let why = format!("no answer within {} ms", within.as_millis());
        StoreError::new(CONNECT, StoreErrorKind::Unreachable(why))
    })?;
    let connection = greeting.map_err(failed(CONNECT))?;
    let version = connection.server_version_num();
    connection.close().await.map_err(failed(CONNECT))?;
    match version {
        Some(version) if version < VERSION_MIN => Err(refused(format!(
            "PostgreSQL {} or newer is needed, this is {version}",
            VERSION_MIN / 10_000
        ))),
        Some(_) | None => Ok(()),
    }
}

impl PostgresStore {
    /// Connects. The schema is neither checked nor changed.
    pub async fn connect(url: &str, options: &PostgresOptions) -> Result<Self, StoreError> {
        let settings = settings_of(url, options)?;
        greet(&settings, options.acquire_timeout).await?;
        let pool = |max: u32| {
            let pool = PgPoolOptions::new().max_connections(max.max(1));
            // Asking a connection whether it lives would double the round trips of a short call.
            pool.acquire_timeout(options.acquire_timeout).test_before_acquire(false)
        };
        let keyed =
            pool(options.bulk_connections_max).connect_lazy_with(settings.clone().options(KEYED));
        let spending = pool(1).connect_lazy_with(settings.clone().options(KEYED));
        let paged =
            pool(options.page_connections_max).connect_lazy_with(settings.clone().options(PAGED));
        let whole = pool(options.report_connections_max)
            .test_before_acquire(true)
            .connect_lazy_with(settings.clone());
        let round_trips = Arc::new(AtomicU64::new(0));
        Ok(Self {
            keyed,
            spending,
            paged,
            whole,
            settings: Arc::new(settings),
            round_trips,
            company: Arc::default(),
            #[cfg(debug_assertions)]
            before_commit: None,
        })
    }

    /// Brings the schema up to this release. Refuses, with [`StoreErrorKind::Schema`], a database that a newer
    /// release has migrated or whose migrations were changed.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let mut connection = self.settings.connect().await.map_err(failed(CONNECT))?;
        let migrated = schema::migrate(&mut connection).await;
        let closed = connection.close().await.map_err(failed("close a connection"));
        migrated.and(closed)
    }

    /// Refuses, with [`StoreErrorKind::Schema`], a schema that is not this release's.
    pub async fn check_schema(&self) -> Result<(), StoreError> {
        let mut connection = self.whole.acquire().await.map_err(failed(CONNECT))?;
        schema::check(&mut connection).await
    }

    /// Ends all connections and waits until they are gone.
    pub async fn close(&self) {
        self.keyed.close().await;
        self.spending.close().await;
        self.paged.close().await;
        self.whole.close().await;
    }

    /// How many round trips its calls have made so far, those that prepare a statement aside.
    #[must_use]
    pub fn round_trips(&self) -> u64 {
        self.round_trips.load(Ordering::Relaxed)
    }

    pub(crate) const fn whole_pool(&self) -> &PgPool {
        &self.whole
    }

    /// A unit of work on many keys at once.
    pub(crate) async fn begin_keyed(&self, act: &'static str) -> Result<Session, StoreError> {
        self.begin(&self.keyed, BEGIN, act).await
    }

    /// As [`Self::begin_keyed`], for what the follower can read again from the chain. Whatever is decided by it is in a
    /// later commit, which lasts and makes it last too.
    pub(crate) async fn begin_relaxed(&self, act: &'static str) -> Result<Session, StoreError> {
        self.begin(&self.keyed, BEGIN_RELAXED, act).await
    }

    /// Statements on many keys at once of which each is its own commit, for what spends.
    pub(crate) async fn each_keyed(&self, act: &'static str) -> Result<Session, StoreError> {
        Session::each(&self.spending, Arc::clone(&self.round_trips), act).await
    }

    /// A unit of work on a page of rows.
    pub(crate) async fn begin_paged(&self, act: &'static str) -> Result<Session, StoreError> {
        self.begin(&self.paged, BEGIN, act).await
    }

    async fn begin(
        &self,
        pool: &PgPool,
        statement: &'static str,
        act: &'static str,
    ) -> Result<Session, StoreError> {
        let session = Session::begin(pool, statement, Arc::clone(&self.round_trips), act).await?;
        #[cfg(debug_assertions)]
        let session = session.hooked(self.before_commit.clone());
        Ok(session)
    }

    /// The store with a hook in front of every commit of several statements: for tests of what a crash there leaves.
    #[cfg(debug_assertions)]
    #[must_use]
    pub fn before_commit(self, hook: CommitHook) -> Self {
        Self { before_commit: Some(hook), ..self }
    }

    /// Single statements on many keys at once.
    pub(crate) fn keyed(&self, act: &'static str) -> Single<'_> {
        Single { pool: &self.keyed, round_trips: &self.round_trips, act }
    }

    /// Single statements on one row or a page of rows.
    pub(crate) fn paged(&self, act: &'static str) -> Single<'_> {
        Single { pool: &self.paged, round_trips: &self.round_trips, act }
    }

    /// Single statements over whole tables.
    pub(crate) fn whole(&self, act: &'static str) -> Single<'_> {
        Single { pool: &self.whole, round_trips: &self.round_trips, act }
    }
}

/// One pool with what is attempted.
#[derive(Clone, Copy)]
pub(crate) struct Single<'a> {
    pool: &'a PgPool,
    round_trips: &'a AtomicU64,
    pub(crate) act: &'static str,
}

impl Single<'_> {
    /// The rows of one statement.
    pub(crate) async fn rows(
        &self,
        statement: crate::session::Statement<'_>,
    ) -> Result<Vec<sqlx::postgres::PgRow>, StoreError> {
        self.round_trips.fetch_add(1, Ordering::Relaxed);
        statement.fetch_all(self.pool).await.map_err(failed(self.act))
    }

    /// The first row of one statement, if any.
    pub(crate) async fn row(
        &self,
        statement: crate::session::Statement<'_>,
    ) -> Result<Option<sqlx::postgres::PgRow>, StoreError> {
        self.round_trips.fetch_add(1, Ordering::Relaxed);
        statement.fetch_optional(self.pool).await.map_err(failed(self.act))
    }

    /// Runs one statement, its own commit; how many rows it changed.
    pub(crate) async fn run(
        &self,
        statement: crate::session::Statement<'_>,
    ) -> Result<u64, StoreError> {
        self.round_trips.fetch_add(1, Ordering::Relaxed);
        let done = statement.execute(self.pool).await.map_err(failed(self.act))?;
        Ok(done.rows_affected())
    }
}

#[cfg(all(test, feature = "cluster"))]
mod tests {
    use sqlx::Row as _;

    use super::*;
    use crate::cluster::Cluster;

    async fn level(session: &mut Session) -> String {
        let rows = session.rows(sqlx::query("SHOW synchronous_commit")).await.expect("tells");
        rows.first().expect("one").get(0)
    }

    #[tokio::test]
    async fn only_a_relaxed_session_does_not_wait_for_the_disk() {
        let cluster = Cluster::shared().await.expect("a cluster");
        let url = cluster.database().await.expect("a database");
        let options = PostgresOptions { bulk_connections_max: 1, ..PostgresOptions::default() };
        let store = PostgresStore::connect(&url, &options).await.expect("a store");
        for is_committed in [true, false] {
            let mut relaxed = store.begin_relaxed("look").await.expect("begins");
            assert_eq!(level(&mut relaxed).await, "off");
            if is_committed {
                relaxed.commit().await.expect("commits");
            } else {
                drop(relaxed);
            }
            let mut next = store.begin_keyed("look").await.expect("begins");
            assert_eq!(level(&mut next).await, "on", "after commit: {is_committed}");
            drop(next);
            let mut each = store.each_keyed("look").await.expect("begins");
            assert_eq!(level(&mut each).await, "on", "after commit: {is_committed}");
        }
    }
}
