//! In-memory stand-ins for the adapters: the same guarantees, no database and no node.
//!
//! Deterministic: no randomness, no clock, no task of their own. Locks are never held across an await.

mod chain;
mod store;

pub use chain::{ChainLog, ChainTx, FakeChain, MineError, NodeCalls, NodeFaults};
pub use store::{CommitFault, FakeStore, StoreSnapshot};
