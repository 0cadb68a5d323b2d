//! Wiring: settings become stores, chains, rates and roles. The only place that knows which adapter is which.

mod chains;
mod points;
mod pricing;
mod roles;
mod store;

pub(crate) use chains::{connect_chain, connect_evm, rate_book};
pub(crate) use points::Points;
pub(crate) use pricing::GatewayPricing;
pub(crate) use roles::{Role, follow_settings, lease_terms, start};
pub(crate) use store::{
    ScratchDatabase, database_failure, migrate_store, migrate_store_with, open_store,
};
