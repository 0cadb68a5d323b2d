//! The HTTP surface over the in-memory store: every route, every code, every promise of a header.
#![expect(
    clippy::panic,
    reason = "a test that cannot go on says so; helpers are outside of test functions"
)]

mod accounts;
mod bad_input;
mod cases;
mod events;
mod house;
mod idempotency;
mod keys;
mod operations;
mod orders;
mod payments;
mod quotes;
mod seeing;
mod spending;
mod streams;
mod subscriptions;
mod transfers;
mod wallets;
