//! The follower over a chain and a store in memory: reorgs, faults, restarts, catch-up, audits.
#![expect(clippy::panic, reason = "a helper of a test fails the test")]

mod audits;
mod catching_up;
mod faults;
mod histories;
mod leases;
mod metrics;
mod rescans;
mod running;
mod scenarios;
mod settings;
mod world;
