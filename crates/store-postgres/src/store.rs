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

use crate::{error::failed, schema, session::Session};

const CONNECT: &str = "connect";

/// How the store uses its database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresOptions {
    /// Connections for following and settling.
    pub hot_connections_max: u32,
    /// Connections for selling and reading.
    pub read_connections_max: u32,
    /// How long a call waits for a connection.
    pub acquire_timeout: Duration,
    /// How long a statement waits for another writer's lock before it gives up.
    pub lock_timeout: Duration,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            hot_connections_max: 4,
            read_connections_max: 8,
            acquire_timeout: Duration::from_secs(10),
            lock_timeout: Duration::from_secs(10),
        }
    }
}

/// Everything that Inspay keeps, in PostgreSQL.
#[derive(Clone)]
pub struct PostgresStore {
    hot: PgPool,
    reads: PgPool,
    settings: Arc<PgConnectOptions>,
    round_trips: Arc<AtomicU64>,
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}

/// Settings of every connection: just-in-time compilation costs more than any statement here, and a client
/// that is gone must not keep the locks of a batch.
fn settings_of(
    url: &str,
    options: &PostgresOptions,
) -> Result<(PgConnectOptions, PgConnectOptions), StoreError> {
    let lock_timeout = options.lock_timeout.as_millis().to_string();
    let plain = PgConnectOptions::from_str(url)
        .map_err(|_| {
            let why = "the database URL is not of the form postgres://user@host:port/database";
            StoreError::new(CONNECT, StoreErrorKind::Refused(why.to_owned()))
        })?
        .application_name("inspay")
        .options([
            ("jit", "off"),
            ("lock_timeout", lock_timeout.as_str()),
            ("idle_in_transaction_session_timeout", "60000"),
        ])
        .disable_statement_logging();
    // The same plan whatever the statistics say: every statement in a loop finds its rows through an index,
    // also on a table that was empty when it was planned first.
    let hot = plain.clone().options([
        ("plan_cache_mode", "force_generic_plan"),
        ("enable_seqscan", "off"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
    ]);
    Ok((plain, hot))
}

impl PostgresStore {
    /// Connects. The schema is neither checked nor changed.
    pub async fn connect(url: &str, options: &PostgresOptions) -> Result<Self, StoreError> {
        let (plain, hot) = settings_of(url, options)?;
        let pool = |max: u32| {
            PgPoolOptions::new()
                .max_connections(max.max(1))
                .acquire_timeout(options.acquire_timeout)
        };
        // Asking a connection whether it lives would double the round trips of a short call.
        let hot =
            pool(options.hot_connections_max).test_before_acquire(false).connect_lazy_with(hot);
        let reads = pool(options.read_connections_max)
            .connect_with(plain.clone())
            .await
            .map_err(failed(CONNECT))?;
        let round_trips = Arc::new(AtomicU64::new(0));
        Ok(Self { hot, reads, settings: Arc::new(plain), round_trips })
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
        let mut connection = self.reads.acquire().await.map_err(failed(CONNECT))?;
        schema::check(&mut connection).await
    }

    /// Ends all connections and waits until they are gone.
    pub async fn close(&self) {
        self.hot.close().await;
        self.reads.close().await;
    }

    /// How many round trips its calls have made so far, those that prepare a statement aside.
    #[must_use]
    pub fn round_trips(&self) -> u64 {
        self.round_trips.load(Ordering::Relaxed)
    }

    pub(crate) const fn reads(&self) -> &PgPool {
        &self.reads
    }

    /// A unit of work on a connection whose plans never scan.
    pub(crate) async fn begin(&self, act: &'static str) -> Result<Session, StoreError> {
        Session::begin(&self.hot, Arc::clone(&self.round_trips), act).await
    }

    /// Single statements on a connection whose plans never scan.
    pub(crate) fn hot(&self, act: &'static str) -> Single<'_> {
        Single { pool: &self.hot, round_trips: &self.round_trips, act }
    }

    /// Single statements on a connection that may choose any plan.
    pub(crate) fn cold(&self, act: &'static str) -> Single<'_> {
        Single { pool: &self.reads, round_trips: &self.round_trips, act }
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
