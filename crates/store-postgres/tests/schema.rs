//! tmp
use inspay_ports::ReadStore as _;
use inspay_store_postgres::cluster::Cluster;

#[tokio::test]
async fn smoke() {
    let cluster = Cluster::shared().await.expect("cluster");
    let store = cluster.store().await.expect("store");
    store.check_schema().await.expect("schema");
    assert_eq!(store.broken_laws().await.expect("laws"), []);
}
