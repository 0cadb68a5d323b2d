//! The migrations of this release and what the database says of them.
//!
//! Never changes a migration that was applied, and never runs on a schema it does not know.

use inspay_ports::{StoreError, StoreErrorKind};
use sqlx::{
    Row as _, SqlSafeStr as _, SqliteConnection,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};

use crate::error::{failed, kind_of};

pub(crate) const CHECK: &str = "check the schema";
pub(crate) const MIGRATE: &str = "migrate the schema";

/// Every migration, oldest first.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "chain", include_str!("../../../migrations/sqlite/0001_chain.sql")),
    (2, "sale", include_str!("../../../migrations/sqlite/0002_sale.sql")),
    (3, "books", include_str!("../../../migrations/sqlite/0003_books.sql")),
    (4, "leases", include_str!("../../../migrations/sqlite/0004_leases.sql")),
    (5, "cases", include_str!("../../../migrations/sqlite/0005_cases.sql")),
    (6, "proof_by_two", include_str!("../../../migrations/sqlite/0006_proof_by_two.sql")),
    (7, "credits", include_str!("../../../migrations/sqlite/0007_credits.sql")),
    (8, "wallets", include_str!("../../../migrations/sqlite/0008_wallets.sql")),
    (9, "subscriptions", include_str!("../../../migrations/sqlite/0009_subscriptions.sql")),
    (
        10,
        "payers_of_settled",
        include_str!("../../../migrations/sqlite/0010_payers_of_settled.sql"),
    ),
    (11, "free_plan_due", include_str!("../../../migrations/sqlite/0011_free_plan_due.sql")),
    (12, "head_revision", include_str!("../../../migrations/sqlite/0012_head_revision.sql")),
];

/// The newest migration that this release knows.
pub(crate) const NEWEST: i64 = MIGRATIONS[MIGRATIONS.len() - 1].0;

fn migrator() -> Migrator {
    Migrator::with_migrations(
        MIGRATIONS
            .iter()
            .map(|(version, name, sql)| {
                let (name, sql) = ((*name).into(), sql.into_sql_str());
                Migration::new(*version, name, MigrationType::Simple, sql, false)
            })
            .collect(),
    )
}

/// Brings the schema up to this release on a connection that is about to commit: all migrations or none.
pub(crate) async fn migrate(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    migrator()
        .run_direct(None, connection, false)
        .await
        .map_err(|error| StoreError::new(MIGRATE, migrate_kind(error)))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is another crate's and may grow")]
fn migrate_kind(error: MigrateError) -> StoreErrorKind {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => kind_of(error),
        MigrateError::VersionMissing(version) => StoreErrorKind::Schema(format!(
            "migration {version} is applied, this release knows none after {NEWEST}"
        )),
        MigrateError::VersionMismatch(version) => {
            StoreErrorKind::Schema(format!("migration {version} was changed after it was applied"))
        }
        other => StoreErrorKind::Schema(other.to_string()),
    }
}

/// The versions and checksums that are applied, oldest first; none if nothing was ever migrated.
async fn applied(connection: &mut SqliteConnection) -> Result<Vec<(i64, Vec<u8>)>, StoreError> {
    let failed = failed(CHECK);
    let table = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '_sqlx_migrations'";
    let known = sqlx::query(table).fetch_optional(&mut *connection).await.map_err(&failed)?;
    if known.is_none() {
        return Ok(Vec::new());
    }
    sqlx::query("SELECT version, checksum FROM _sqlx_migrations WHERE success ORDER BY version")
        .fetch_all(connection)
        .await
        .and_then(|rows| {
            rows.iter().map(|row| Ok((row.try_get("version")?, row.try_get("checksum")?))).collect()
        })
        .map_err(&failed)
}

/// The newest migration that is applied; zero if none is.
pub(crate) async fn newest_applied(connection: &mut SqliteConnection) -> Result<i64, StoreError> {
    Ok(applied(connection).await?.last().map_or(0, |(version, _)| *version))
}

/// Refuses a schema that is older or newer than this release, or that was made by changed migrations.
pub(crate) async fn check(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let refuse = |why: String| Err(StoreError::new(CHECK, StoreErrorKind::Schema(why)));
    let applied = applied(connection).await?;
    if let Some((version, _)) = applied.last().filter(|(version, _)| *version > NEWEST) {
        return refuse(format!(
            "migration {version} is applied, this release knows none after {NEWEST}"
        ));
    }
    for migration in migrator().iter() {
        match applied.iter().find(|(version, _)| *version == migration.version) {
            None => return refuse(format!("migration {} is not applied", migration.version)),
            Some((version, checksum)) if checksum.as_slice() != &*migration.checksum => {
                return refuse(format!("migration {version} was changed after it was applied"));
            }
            Some(_) => {}
        }
    }
    match applied.iter().find(|(version, _)| !migrator().version_exists(*version)) {
        Some((version, _)) => refuse(format!("migration {version} is applied but not known")),
        None => Ok(()),
    }
}
