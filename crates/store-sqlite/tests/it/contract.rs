//! Every fact of the store port, each in a file of its own.

use std::sync::Arc;

use inspay_ports::Store;
use tempfile::TempDir;

use crate::world::World;

async fn open() -> (Arc<dyn Store>, TempDir) {
    let World { store, directory, .. } = World::fresh().await;
    (store, directory)
}

inspay_ports::store_contract!(open);
