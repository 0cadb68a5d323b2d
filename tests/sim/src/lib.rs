//! A seeded simulation: the real follower, settlement, ledger and chain adapter in a world that goes wrong.
//!
//! ```text
//! seed ──▶ chain with forks ──▶ faulty endpoints ──▶ EvmChain ──▶ Follower ─┐
//!     └──▶ buyers ─────────────────────────────────▶ orders                ├─▶ store ──▶ laws
//!                                           SettlementWorker ─ LedgerWriter ┘
//! ```
//!
//! A run is one thread with a paused clock and one seed: the same seed is the same run, to the last line
//! of its trace. Never asks the product what is right: the laws are checked against the simulated chain.

mod buyers;
mod chain;
mod chaos;
mod dice;
mod endpoint;
mod journal;
mod laws;
mod plant;
mod ports;
mod process;
mod world;

pub use journal::{Breach, Event, Tally};
pub use plant::Plant;
pub use world::{Outcome, Run, run};
