//! What PostgreSQL says, told in the store's own kinds.
//!
//! Never repeats a password: connection settings are not part of any message.

use inspay_ports::{StoreError, StoreErrorKind};
use sqlx::postgres::PgDatabaseError;

/// The row that a range of blocks finds to be there already.
pub(crate) const TRANSFER: &str = "transfer";

/// What is taken where two holders made a chain's first lease at once.
pub(crate) const LEASE: &str = "lease";

/// Wraps a failure of the database with what was attempted.
pub(crate) fn failed(act: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |error| StoreError::new(act, kind_of(error))
}

/// Wraps a kind that was found by this crate itself.
pub(crate) fn wrong(act: &'static str) -> impl Fn(StoreErrorKind) -> StoreError {
    move |kind| StoreError::new(act, kind)
}

/// Sorts a failure by what the caller can do about it.
pub(crate) fn kind_of(error: sqlx::Error) -> StoreErrorKind {
    match error {
        sqlx::Error::Database(refusal) => match refusal.try_downcast::<PgDatabaseError>() {
            Ok(refusal) => refused(&refusal),
            Err(refusal) => StoreErrorKind::Refused(refusal.to_string()),
        },
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => StoreErrorKind::Unreachable(error.to_string()),
        sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::Decode(_)
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::ColumnIndexOutOfBounds { .. }
        | sqlx::Error::TypeNotFound { .. }
        | sqlx::Error::RowNotFound => StoreErrorKind::Corrupt(error.to_string()),
        sqlx::Error::Configuration(_)
        | sqlx::Error::InvalidArgument(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::Encode(_)
        | sqlx::Error::AnyDriverError(_)
        | sqlx::Error::Migrate(_)
        | sqlx::Error::InvalidSavePointStatement
        | _ => StoreErrorKind::Refused(error.to_string()),
    }
}

fn refused(refusal: &PgDatabaseError) -> StoreErrorKind {
    let code = refusal.code();
    let said = format!("{} ({code})", refusal.message());
    match code {
        // Serialization failure, deadlock, lock not available.
        "40001" | "40P01" | "55P03" => StoreErrorKind::Contended(said),
        // Shut down, crashed, starting up, too many connections, idle for too long.
        "57P01" | "57P02" | "57P03" | "53300" | "25P03" => StoreErrorKind::Unreachable(said),
        "23505" => match refusal.constraint() {
            Some("orders_quote_id_key") => StoreErrorKind::QuoteUsed,
            Some("orders_slot_key") => StoreErrorKind::SlotTaken,
            Some("orders_id_key" | "orders_reference_key") => StoreErrorKind::Exists("order"),
            Some("orders_request_key_key") => StoreErrorKind::Exists("request key"),
            Some("subscription_pkey" | "subscription_open") => {
                StoreErrorKind::Exists("subscription")
            }
            Some("transfer_id_key") => StoreErrorKind::Exists(TRANSFER),
            Some("lease_holding_key") => StoreErrorKind::Exists(LEASE),
            Some("quote_pkey") => StoreErrorKind::Exists("quote"),
            Some("wallet_challenge_pkey") => StoreErrorKind::Exists("challenge"),
            Some("api_key_pkey" | "api_key_hash_key") => StoreErrorKind::Exists("key"),
            Some(_) | None => StoreErrorKind::Refused(said),
        },
        // A connection exception of whatever kind.
        other if other.starts_with("08") => StoreErrorKind::Unreachable(said),
        _ => StoreErrorKind::Refused(said),
    }
}
