//! A PostgreSQL of one's own, for tests and benchmarks.
//!
//! `initdb` runs once: a migrated template is kept in the target directory and copied for every cluster. A
//! cluster listens on a socket in its own directory only, with `fsync` on, and never outlives the process that
//! started it, however that ends: a shell holds a pipe from us and stops the server when the pipe closes.

mod install;
mod server;

use std::{
    fs::File,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use inspay_ports::StoreError;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, postgres::PgConnectOptions};
use tokio::sync::OnceCell;

use crate::{PostgresOptions, PostgresStore, schema};
use install::Installation;
use server::Server;

/// The database that migrated ones are copied from.
const MIGRATED: &str = "template1";
/// The database that empty ones are copied from.
const EMPTY: &str = "template0";
/// Raised whenever [`template`] makes another template from the same schema.
const RECIPE: u32 = 2;
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Why there is no cluster.
#[derive(Debug, thiserror::Error)]
#[error("no PostgreSQL for tests: could not {act}")]
pub struct ClusterError {
    /// What was attempted.
    pub act: &'static str,
    /// Why it failed.
    #[source]
    pub kind: ClusterErrorKind,
}

/// Kinds of failures to start a cluster.
#[derive(Debug, thiserror::Error)]
pub enum ClusterErrorKind {
    /// There are no binaries and they could not be installed.
    #[error(
        "initdb and postgres are neither on PATH nor under /usr/lib/postgresql; install PostgreSQL 15 or newer \
         (Debian: apt-get install postgresql): {0}"
    )]
    NotInstalled(String),
    /// A program ended with an error; what it said.
    #[error("{program} failed: {said}")]
    Program {
        /// Which program.
        program: String,
        /// Its last words.
        said: String,
    },
    /// A file or a process could not be had.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The server did not answer in time; the end of its log.
    #[error("the server did not answer in time: {0}")]
    NotReady(String),
    /// The server refused.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The template could not be migrated.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ClusterError {
    /// Whether trying again may help without anybody changing anything.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self.kind {
            ClusterErrorKind::NotReady(_) => true,
            ClusterErrorKind::NotInstalled(_)
            | ClusterErrorKind::Program { .. }
            | ClusterErrorKind::Io(_)
            | ClusterErrorKind::Database(_)
            | ClusterErrorKind::Store(_) => false,
        }
    }
}

fn could_not<E: Into<ClusterErrorKind>>(act: &'static str) -> impl FnOnce(E) -> ClusterError {
    move |error| ClusterError { act, kind: error.into() }
}

static SHARED: OnceCell<Cluster> = OnceCell::const_new();

/// A running PostgreSQL that ends with this value, or with this process.
#[derive(Debug)]
pub struct Cluster {
    server: Server,
    databases: AtomicU32,
    /// Nobody else may be connected to a database while it is copied.
    copying: tokio::sync::Mutex<()>,
}

impl Cluster {
    /// Starts a cluster.
    pub async fn start() -> Result<Self, ClusterError> {
        let installation = blocking("find PostgreSQL", Installation::find).await?;
        let template = template(&installation).await?;
        let server =
            blocking("start a server", move || Server::copy_of(&installation, &template)).await?;
        server.ready().await?;
        Ok(Self { server, databases: AtomicU32::new(0), copying: tokio::sync::Mutex::new(()) })
    }

    /// The cluster that all tests of this process share.
    pub async fn shared() -> Result<&'static Self, ClusterError> {
        SHARED.get_or_try_init(Self::start).await
    }

    /// Makes a migrated database for one test and answers its URL.
    pub async fn database(&self) -> Result<String, ClusterError> {
        self.copy(MIGRATED, EMPTY).await
    }

    /// Makes a database without any table and answers its URL.
    pub async fn empty_database(&self) -> Result<String, ClusterError> {
        self.copy(EMPTY, MIGRATED).await
    }

    /// Makes a migrated database and connects a store to it.
    pub async fn store(&self) -> Result<PostgresStore, ClusterError> {
        let act = "open a store";
        let url = self.database().await?;
        PostgresStore::connect(&url, &PostgresOptions::default()).await.map_err(could_not(act))
    }

    /// Copies a database, asked for in another one.
    async fn copy(&self, template: &str, from: &str) -> Result<String, ClusterError> {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("inspay_{number}");
        let sql = format!("CREATE DATABASE {name} TEMPLATE {template}");
        let _alone = self.copying.lock().await;
        self.server.run(from, sql).await.map_err(could_not("make a database"))?;
        Ok(self.server.url(&name))
    }

    /// Where the cluster keeps its files; gone with it.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.server.directory()
    }
}

/// Runs what blocks where it may.
async fn blocking<T: Send + 'static>(
    act: &'static str,
    work: impl FnOnce() -> Result<T, ClusterErrorKind> + Send + 'static,
) -> Result<T, ClusterError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(could_not(act)),
        Err(broken) => Err(could_not(act)(io::Error::other(broken))),
    }
}

/// The template's data directory: made by whoever comes first, guarded by a file lock between processes.
async fn template(installation: &Installation) -> Result<PathBuf, ClusterError> {
    let mut key = DefaultHasher::new();
    installation.version.hash(&mut key);
    schema::TEXT.hash(&mut key);
    RECIPE.hash(&mut key);
    let home = target_directory().join("inspay-postgres");
    let template = home.join(format!("{:016x}", key.finish()));
    let _lock = blocking("lock the template", move || {
        std::fs::create_dir_all(&home)?;
        let file = File::create(home.join("lock"))?;
        file.lock()?;
        Ok(file)
    })
    .await?;
    if template.exists() {
        return Ok(template);
    }
    let act = "make the template";
    let copied = installation.clone();
    let mut server = blocking(act, move || Server::fresh(&copied)).await?;
    server.ready().await?;
    let options = PostgresOptions::default();
    let store =
        PostgresStore::connect(&server.url(MIGRATED), &options).await.map_err(could_not(act))?;
    store.migrate().await.map_err(could_not(act))?;
    store.close().await;
    // Two databases are enough: the fewer files, the sooner they are copied.
    let slim = "ALTER DATABASE template0 ALLOW_CONNECTIONS TRUE; DROP DATABASE postgres";
    for sql in slim.split("; ") {
        server.run(MIGRATED, sql.to_owned()).await.map_err(could_not(act))?;
    }
    let kept = template.clone();
    blocking(act, move || {
        server.stop()?;
        let partial = kept.with_extension("partial");
        if partial.exists() {
            std::fs::remove_dir_all(&partial)?;
        }
        server::copy(&server.data(), &partial)?;
        std::fs::rename(&partial, &kept)?;
        Ok(())
    })
    .await?;
    Ok(template)
}

/// The build's target directory, which Cargo marks; beside no build, the directory for temporary files.
fn target_directory() -> PathBuf {
    std::env::current_exe()
        .ok()
        .and_then(|program| {
            let marked = |directory: &&Path| directory.join("CACHEDIR.TAG").exists();
            program.ancestors().find(marked).map(Path::to_path_buf)
        })
        .unwrap_or_else(std::env::temp_dir)
}

/// Runs a program to its end; its output if it succeeded.
fn succeed(command: &mut Command) -> Result<String, ClusterErrorKind> {
    let failed = |command: &Command, said: String| {
        let program = command.get_program().to_string_lossy().into_owned();
        ClusterErrorKind::Program { program, said }
    };
    match command.output() {
        Ok(output) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Ok(output) => {
            Err(failed(command, String::from_utf8_lossy(&output.stderr).trim().to_owned()))
        }
        Err(error) => Err(failed(command, error.to_string())),
    }
}

impl Server {
    /// Runs one statement in a database.
    async fn run(&self, database: &str, sql: String) -> Result<(), sqlx::Error> {
        let mut connection = self.settings(database).connect().await?;
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await?;
        connection.close().await
    }

    fn settings(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(self.directory())
            .username(server::ROLE)
            .database(database)
            .disable_statement_logging()
    }

    /// Waits until the server answers.
    async fn ready(&self) -> Result<(), ClusterError> {
        let mut ticks = tokio::time::interval(Duration::from_millis(10));
        let answered = async {
            loop {
                ticks.tick().await;
                if self.run(MIGRATED, "SELECT 1".to_owned()).await.is_ok() {
                    break;
                }
            }
        };
        tokio::time::timeout(READY_WITHIN, answered)
            .await
            .map_err(|_| could_not("start a server")(ClusterErrorKind::NotReady(self.log_end())))
    }
}
