//! What SQLite says, told in the store's own kinds.

use inspay_ports::{StoreError, StoreErrorKind};
use sqlx::error::DatabaseError;

/// How both the database and the triggers that keep rows name a key that is taken.
const TAKEN: &str = "UNIQUE constraint failed: ";

/// The row that a range of blocks finds to be there already.
pub(crate) const TRANSFER: &str = "transfer";

/// What moving a cursor from another revision than its own is refused with.
const CURSOR_ELSEWHERE: &str = "NOT NULL constraint failed: cursor.revision";

/// What moving a cursor under another holding than the present one is refused with.
const HELD_BY_ANOTHER: &str = "NOT NULL constraint failed: cursor.fencing";

/// Wraps a failure of the database with what was attempted.
pub(crate) fn failed(act: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |error| StoreError::new(act, kind_of(error))
}

/// Wraps a kind that was found by this crate itself.
pub(crate) fn wrong(act: &'static str) -> impl Fn(StoreErrorKind) -> StoreError {
    move |kind| StoreError::new(act, kind)
}

/// Sorts a failure by what the caller can do about it.
#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is another crate's and may grow")]
pub(crate) fn kind_of(error: sqlx::Error) -> StoreErrorKind {
    match error {
        sqlx::Error::Database(refusal) => refused(&*refusal),
        // There is one connection that writes: whoever waits for it waits for another writer.
        sqlx::Error::PoolTimedOut => StoreErrorKind::Contended(error.to_string()),
        sqlx::Error::Io(_)
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => StoreErrorKind::Unreachable(error.to_string()),
        sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::Decode(_)
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::ColumnIndexOutOfBounds { .. }
        | sqlx::Error::TypeNotFound { .. }
        | sqlx::Error::RowNotFound => StoreErrorKind::Corrupt(error.to_string()),
        _ => StoreErrorKind::Refused(error.to_string()),
    }
}

fn refused(refusal: &dyn DatabaseError) -> StoreErrorKind {
    let said = refusal.to_string();
    // The lowest byte of an extended result code is its family.
    let family = refusal.code().and_then(|code| code.parse::<u32>().ok()).map(|code| code & 0xff);
    match family {
        // Busy, locked.
        Some(5 | 6) => StoreErrorKind::Contended(said),
        // Reading or writing failed, the file cannot be opened.
        Some(10 | 14) => StoreErrorKind::Unreachable(said),
        // The file is damaged, or is no database.
        Some(11 | 26) => StoreErrorKind::Corrupt(said),
        Some(19) if refusal.message() == CURSOR_ELSEWHERE => StoreErrorKind::CursorMoved,
        Some(19) if refusal.message() == HELD_BY_ANOTHER => StoreErrorKind::Fenced,
        Some(19) => match refusal.message().strip_prefix(TAKEN) {
            Some(key) => taken(key, said),
            None => StoreErrorKind::Refused(said),
        },
        Some(_) | None => StoreErrorKind::Refused(said),
    }
}

fn taken(key: &str, said: String) -> StoreErrorKind {
    match key {
        "orders.quote_id" => StoreErrorKind::QuoteUsed,
        "orders.due_base_units"
        | "orders.chain_id, orders.token, orders.treasury, orders.due_base_units" => {
            StoreErrorKind::SlotTaken
        }
        "orders.id" | "orders.reference" => StoreErrorKind::Exists("order"),
        "orders.request_key" => StoreErrorKind::Exists("request key"),
        "quote.id" => StoreErrorKind::Exists("quote"),
        "transfer.id" => StoreErrorKind::Exists(TRANSFER),
        "cursor.chain_id" => StoreErrorKind::CursorMoved,
        "subscription.id" | "subscription.account" | "subscription.account, subscription.plan" => {
            StoreErrorKind::Exists("subscription")
        }
        "wallet_challenge.nonce" => StoreErrorKind::Exists("challenge"),
        "api_key.label" | "api_key.hash" => StoreErrorKind::Exists("key"),
        _ => StoreErrorKind::Refused(said),
    }
}
