//! Fresh databases of both kinds.

use std::{
    path::{Path, PathBuf},
    str::FromStr as _,
    sync::Arc,
};

use inspay_ports::Store;
use inspay_store_postgres::{PostgresOptions, PostgresStore, cluster::Cluster};
use inspay_store_sqlite::{SqliteOptions, SqliteStore};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, postgres::PgConnectOptions,
};
use tempfile::TempDir;

use crate::Problem;

/// The kinds that are measured.
pub(crate) const KINDS: [&str; 2] = ["sqlite", "postgres"];

/// A folder beside the executable: one for temporary files may lie in memory.
pub(crate) fn folder() -> Result<TempDir, Problem> {
    let beside = std::env::current_exe()?;
    Ok(tempfile::tempdir_in(beside.parent().unwrap_or_else(|| Path::new(".")))?)
}

/// Where fresh databases come from. All of them are gone with it.
pub(crate) struct Databases {
    folder: TempDir,
    cluster: Cluster,
    made: u64,
}

impl Databases {
    pub(crate) async fn start() -> Result<Self, Problem> {
        Ok(Self { folder: folder()?, cluster: Cluster::start().await?, made: 0 })
    }

    /// The URL of a database that is not there yet, or empty.
    pub(crate) async fn fresh(&mut self, kind: &str) -> Result<String, Problem> {
        self.made += 1;
        if kind == "sqlite" {
            let path = self.folder.path().join(format!("{}.db", self.made));
            return Ok(format!("sqlite:{}", path.display()));
        }
        Ok(self.cluster.empty_database().await?)
    }

    /// Removes one that is no longer needed.
    pub(crate) async fn remove(&self, url: &str) -> Result<(), Problem> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            for end in ["", "-wal", "-shm"] {
                let file = PathBuf::from(format!("{path}{end}"));
                if file.exists() {
                    std::fs::remove_file(file)?;
                }
            }
            return Ok(());
        }
        let settings = PgConnectOptions::from_str(url)?;
        let name = settings.get_database().ok_or("a database URL without a name")?.to_owned();
        let mut connection = settings.database("template1").connect().await?;
        let drop = format!("DROP DATABASE {name} WITH (FORCE)");
        connection.execute(AssertSqlSafe(drop)).await?;
        Ok(connection.close().await?)
    }
}

/// Opens a database by its URL, migrated.
pub(crate) async fn open(url: &str) -> Result<Arc<dyn Store>, Problem> {
    if let Some(path) = url.strip_prefix("sqlite:") {
        let store = SqliteStore::open(Path::new(path), &SqliteOptions::default()).await?;
        store.migrate().await?;
        return Ok(Arc::new(store));
    }
    let store = PostgresStore::connect(url, &PostgresOptions::default()).await?;
    store.migrate().await?;
    Ok(Arc::new(store))
}
