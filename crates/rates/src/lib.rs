//! inspay-rates.
