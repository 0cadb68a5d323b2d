//! In-memory stand-ins for the adapters: the same guarantees, no database and no node.
//!
//! Deterministic: no randomness, no clock, no task of their own. Locks are never held across an await.

mod store;

pub use store::{CommitFault, FakeStore, StoreSnapshot};
