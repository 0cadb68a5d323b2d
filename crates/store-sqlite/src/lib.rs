//! inspay-store-sqlite.
