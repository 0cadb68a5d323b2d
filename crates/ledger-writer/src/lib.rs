//! inspay-ledger-writer.
