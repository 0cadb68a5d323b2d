//! inspay-settlement.
