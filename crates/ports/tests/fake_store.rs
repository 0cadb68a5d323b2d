//! The in-memory store passes the suite that the databases pass.

use std::sync::Arc;

use inspay_ports::{Store, fake::FakeStore};

async fn open() -> (Arc<dyn Store>, ()) {
    (Arc::new(FakeStore::new()), ())
}

inspay_ports::store_contract!(open);
