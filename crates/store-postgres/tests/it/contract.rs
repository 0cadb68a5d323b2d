//! Every fact of the store port: one cluster for the process, one database for each fact.

use std::sync::Arc;

use inspay_ports::Store;
use inspay_store_postgres::cluster::Cluster;

async fn open() -> (Arc<dyn Store>, ()) {
    let cluster = Cluster::shared().await.expect("a cluster");
    let store = cluster.store().await.expect("a store");
    (Arc::new(store), ())
}

inspay_ports::store_contract!(open);
