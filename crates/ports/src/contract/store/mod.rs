//! The facts of the store port. [`crate::store_contract!`] makes a test of each.

pub mod books;
pub mod follow;
mod macros;
mod picture;
pub mod sale;

use std::sync::Arc;

pub use picture::{Picture, picture};

use crate::Store;

/// Every law holds over what the store keeps.
pub async fn assert_lawful(store: &Arc<dyn Store>) {
    let broken = store.broken_laws().await.expect("the laws can be checked");
    assert!(broken.is_empty(), "laws are broken: {broken:#?}");
}
