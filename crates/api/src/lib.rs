//! inspay-api.
