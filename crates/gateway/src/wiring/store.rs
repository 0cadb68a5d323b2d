//! Opening the database that the settings name.

use std::sync::Arc;

use inspay_ports::{Store, StoreError};
use inspay_store_postgres::PostgresStore;
use inspay_store_sqlite::SqliteStore;

use super::Points;
use crate::{
    exit::{Failure, FailureKind, Outcome},
    settings::Database,
};

/// A store's failure as a command's.
pub(crate) fn database_failure(act: &str, why: StoreError) -> Failure {
    Failure::new(FailureKind::Database, act, why)
}

fn cannot_open(database: &Database, why: StoreError) -> Failure {
    database_failure(&format!("cannot use the database {database} (database.url)"), why)
}

/// Opens the database and brings its schema up to this release.
pub(crate) async fn migrate_store(database: &Database) -> Outcome<Arc<dyn Store>> {
    migrate_store_with(database, &Points::default()).await
}

/// As [`migrate_store`], with fail points around it.
pub(crate) async fn migrate_store_with(
    database: &Database,
    points: &Points,
) -> Outcome<Arc<dyn Store>> {
    let failed = |why| cannot_open(database, why);
    match database {
        Database::Sqlite(path) => {
            let store = SqliteStore::open(path, &inspay_store_sqlite::SqliteOptions::default())
                .await
                .map_err(failed)?;
            store.migrate().await.map_err(failed)?;
            Ok(points.store(Arc::new(points.sqlite(store))))
        }
        Database::Postgres(url) => {
            let store =
                PostgresStore::connect(url, &inspay_store_postgres::PostgresOptions::default())
                    .await
                    .map_err(failed)?;
            store.migrate().await.map_err(failed)?;
            Ok(points.store(Arc::new(points.postgres(store))))
        }
    }
}

/// Opens a database whose schema is this release's; refuses any other.
pub(crate) async fn open_store(database: &Database) -> Outcome<Arc<dyn Store>> {
    let failed = |why| cannot_open(database, why);
    match database {
        Database::Sqlite(path) => {
            let options =
                inspay_store_sqlite::SqliteOptions { create: false, ..Default::default() };
            let store = SqliteStore::open(path, &options).await.map_err(failed)?;
            store.check_schema().await.map_err(failed)?;
            Ok(Arc::new(store))
        }
        Database::Postgres(url) => {
            let store =
                PostgresStore::connect(url, &inspay_store_postgres::PostgresOptions::default())
                    .await
                    .map_err(failed)?;
            store.check_schema().await.map_err(failed)?;
            Ok(Arc::new(store))
        }
    }
}

/// A database that is made for one run and dropped afterwards.
#[derive(Debug)]
pub(crate) struct ScratchDatabase {
    server_url: String,
    name: String,
    url: String,
}

impl ScratchDatabase {
    /// Makes one on the server of `url`.
    pub(crate) async fn create(url: &str) -> Outcome<Self> {
        let database = Database::Postgres(url.to_owned());
        let failed = |why| cannot_open(&database, why);
        let (name, scratch_url) =
            inspay_store_postgres::create_scratch_database(url).await.map_err(failed)?;
        Ok(Self { server_url: url.to_owned(), name, url: scratch_url })
    }

    /// Its URL.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Drops it; every connection to it is cut.
    pub(crate) async fn drop_it(self) -> Outcome {
        inspay_store_postgres::drop_scratch_database(&self.server_url, &self.name)
            .await
            .map_err(|why| database_failure("cannot drop the scratch database", why))
    }
}
