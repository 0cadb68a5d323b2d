//! The facts of the store port. [`crate::store_contract!`] makes a test of each.

pub mod batches;
pub mod books;
pub mod cases;
pub mod follow;
pub mod halts;
pub mod history;
pub mod laws;
pub mod leases;
mod macros;
mod picture;
pub mod races;
pub mod read;
pub mod remembered;
pub mod sale;
pub mod spending;
pub mod subscriptions;
pub mod wallets;
pub mod work;

use std::sync::Arc;

pub use picture::{Picture, picture};

use crate::Store;

/// Every law holds over what the store keeps.
pub async fn assert_lawful(store: &Arc<dyn Store>) {
    let broken = store.broken_laws().await.expect("the laws can be checked");
    assert!(broken.is_empty(), "laws are broken: {broken:#?}");
}
