//! What a batch leaves behind is good for the next only where nobody else wrote in between.

use std::sync::Arc;

use inspay_ports::{Store, contract::company::what_another_process_writes_between_holds};
use inspay_store_sqlite::{SqliteOptions, SqliteStore};

use crate::world::World;

#[tokio::test]
async fn what_another_process_writes_is_not_written_over() {
    let world = World::fresh().await;
    let path = world.directory.path().join("inspay.db");
    let second = SqliteStore::open(&path, &SqliteOptions::default()).await.expect("opens");
    let second: Arc<dyn Store> = Arc::new(second);
    what_another_process_writes_between_holds(&world.store, &second).await;
}
