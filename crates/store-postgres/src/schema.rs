//! The migrations of this release and what the database says of them.
//!
//! Never changes a migration that was applied, and never runs on a schema it does not know.

use inspay_ports::{StoreError, StoreErrorKind};
use sqlx::{
    PgConnection, Row as _, SqlSafeStr as _,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};

use crate::error::{failed, kind_of};

const CHECK: &str = "check the schema";
const MIGRATE: &str = "migrate the schema";

/// Every migration, oldest first.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "chain", include_str!("../../../migrations/postgres/0001_chain.sql")),
    (2, "sale", include_str!("../../../migrations/postgres/0002_sale.sql")),
    (3, "books", include_str!("../../../migrations/postgres/0003_books.sql")),
    (4, "leases", include_str!("../../../migrations/postgres/0004_leases.sql")),
    (5, "cases", include_str!("../../../migrations/postgres/0005_cases.sql")),
    (6, "proof_by_two", include_str!("../../../migrations/postgres/0006_proof_by_two.sql")),
    (7, "credits", include_str!("../../../migrations/postgres/0007_credits.sql")),
    (8, "wallets", include_str!("../../../migrations/postgres/0008_wallets.sql")),
    (9, "subscriptions", include_str!("../../../migrations/postgres/0009_subscriptions.sql")),
    (10, "lots_in_place", include_str!("../../../migrations/postgres/0010_lots_in_place.sql")),
    (
        11,
        "payers_of_settled",
        include_str!("../../../migrations/postgres/0011_payers_of_settled.sql"),
    ),
    (12, "head_revision", include_str!("../../../migrations/postgres/0012_head_revision.sql")),
    (13, "free_plan_due", include_str!("../../../migrations/postgres/0013_free_plan_due.sql")),
];

/// The text of all migrations: what a template of the schema is known by.
#[cfg(feature = "cluster")]
pub(crate) const TEXT: &[(i64, &str, &str)] = MIGRATIONS;

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

/// Brings the schema up to this release. The connection is to be closed afterwards: a failure leaves it
/// holding the lock that keeps two migrations apart.
pub(crate) async fn migrate(connection: &mut PgConnection) -> Result<(), StoreError> {
    let before = newest_applied(connection).await?;
    migrator()
        .run_direct(None, connection, false)
        .await
        .map_err(|error| StoreError::new(MIGRATE, migrate_kind(error)))?;
    // A migration may have rewritten tables; reports plan by statistics. Tables that are known to be empty would be
    // worse than unknown ones: any index is as good as another then, and a plan made so stays while they grow.
    if before > 0 && before < NEWEST {
        sqlx::query("ANALYZE").execute(connection).await.map_err(failed(MIGRATE))?;
    }
    Ok(())
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
async fn applied(connection: &mut PgConnection) -> Result<Vec<(i64, Vec<u8>)>, StoreError> {
    let failed = failed(CHECK);
    let known = sqlx::query("SELECT to_regclass('_sqlx_migrations') IS NOT NULL AS known")
        .fetch_one(&mut *connection)
        .await
        .and_then(|row| row.try_get::<bool, _>("known"))
        .map_err(&failed)?;
    if !known {
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
pub(crate) async fn newest_applied(connection: &mut PgConnection) -> Result<i64, StoreError> {
    Ok(applied(connection).await?.last().map_or(0, |(version, _)| *version))
}

/// Refuses a schema that is older or newer than this release, or that was made by changed migrations.
pub(crate) async fn check(connection: &mut PgConnection) -> Result<(), StoreError> {
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
