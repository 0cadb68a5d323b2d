//! Handlers: read the request, ask the store or the pure crates, answer in wire types.
//!
//! Never decides; what must hold is held below.

pub(crate) mod accounts;
pub(crate) mod cases;
pub(crate) mod catalog;
pub(crate) mod credits;
pub(crate) mod docs;
pub(crate) mod estimates;
pub(crate) mod events;
pub(crate) mod health;
pub(crate) mod holds;
pub(crate) mod order_events;
pub(crate) mod orders;
pub(crate) mod payments;
pub(crate) mod quotes;
pub(crate) mod spends;
pub(crate) mod subscriptions;
pub(crate) mod transfers;
pub(crate) mod wallets;
