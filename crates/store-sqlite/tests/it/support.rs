//! Fresh stores in temporary directories.

use std::{path::PathBuf, sync::Arc};

use inspay_ports::Store;
use inspay_store_sqlite::{SqliteOptions, SqliteStore};
use tempfile::TempDir;

/// Where the database of a directory is.
pub(crate) fn path_in(directory: &TempDir) -> PathBuf {
    directory.path().join("inspay.db")
}

/// A fresh, migrated store, and the directory that must outlive it.
pub(crate) async fn fresh() -> (SqliteStore, TempDir) {
    let directory = TempDir::new().expect("a directory");
    let store = SqliteStore::open(&path_in(&directory), &SqliteOptions::default()).await;
    let store = store.expect("opens");
    store.migrate().await.expect("migrates");
    (store, directory)
}

/// The same, as a contract wants it.
pub(crate) async fn open() -> (Arc<dyn Store>, TempDir) {
    let (store, directory) = fresh().await;
    (Arc::new(store), directory)
}
