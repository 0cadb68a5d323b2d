//! Reports over the ports: reconciliation of books and chain, verification of the ledger, one account's credits.
//!
//! Reads only. A difference is reported as it is, never explained away.

pub mod account;
mod reconcile;
mod verify;

pub use reconcile::{ReconcileError, Reconciliation, TreasuryAsset, reconcile, signed_difference};
pub use verify::{BrokenRow, Checkpoint, Verification, verify_ledger};
