//! inspay-store-postgres.
