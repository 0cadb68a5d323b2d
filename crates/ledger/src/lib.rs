//! inspay-ledger.
