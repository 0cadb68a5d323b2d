//! Reports over the ports: reconciliation of books and chain, and verification of the ledger.
//!
//! Reads only. A difference is reported as it is, never explained away.

mod reconcile;
mod verify;

pub use reconcile::{ReconcileError, Reconciliation, TreasuryAsset, reconcile, signed_difference};
pub use verify::{BrokenRow, Checkpoint, Verification, verify_ledger};
