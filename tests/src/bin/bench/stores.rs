//! Fresh databases of both kinds.

use std::{path::Path, sync::Arc};

use inspay_ports::Store;
use inspay_store_postgres::{PostgresOptions, PostgresStore, cluster::Cluster};
use inspay_store_sqlite::{SqliteOptions, SqliteStore};
use tempfile::TempDir;

use crate::Problem;

/// The kinds that are measured.
pub(crate) const KINDS: [&str; 2] = ["sqlite", "postgres"];

/// Where fresh databases come from.
pub(crate) struct Databases {
    folder: TempDir,
    cluster: Cluster,
    made: u64,
}

impl Databases {
    pub(crate) async fn start() -> Result<Self, Problem> {
        // Beside the executable: a folder for temporary files may lie in memory.
        let beside = std::env::current_exe()?;
        let beside = beside.parent().unwrap_or_else(|| Path::new("."));
        let folder = tempfile::tempdir_in(beside)?;
        Ok(Self { folder, cluster: Cluster::start().await?, made: 0 })
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
