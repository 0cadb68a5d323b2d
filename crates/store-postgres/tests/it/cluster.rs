//! A cluster never outlives its owner, however the owner ends.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use inspay_store_postgres::cluster::Cluster;

/// What the helper prints before the place of its cluster.
const AT: &str = "the cluster is at ";

fn server_of(directory: &Path) -> u32 {
    let file = directory.join("data").join("postmaster.pid");
    let text = std::fs::read_to_string(file).expect("the server runs");
    text.lines().next().and_then(|line| line.parse().ok()).expect("a process id")
}

fn runs(process: u32) -> bool {
    Path::new("/proc").join(process.to_string()).exists()
}

async fn until_gone(directory: &Path, server: u32) {
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    let gone = async {
        while directory.exists() || runs(server) {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone).await.expect("nothing is left");
}

#[tokio::test]
async fn a_dropped_cluster_leaves_nothing() {
    let cluster = Cluster::start().await.expect("a cluster");
    let directory = cluster.directory().to_path_buf();
    let server = server_of(&directory);
    assert!(runs(server));
    drop(cluster);
    assert!(!directory.exists());
    assert!(!runs(server));
}

#[tokio::test]
async fn a_cluster_is_gone_when_its_process_is_killed() {
    let mut owner = Command::new(std::env::current_exe().expect("this test's program"))
        .args([
            "--exact",
            "cluster::owns_a_cluster_until_its_input_ends",
            "--ignored",
            "--nocapture",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let output = BufReader::new(owner.stdout.take().expect("a pipe"));
    let directory = tokio::task::spawn_blocking(move || {
        output
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.split_once(AT).map(|(_, directory)| PathBuf::from(directory)))
    });
    let directory = directory.await.expect("reads").expect("the helper names its cluster");
    let server = server_of(&directory);
    assert!(runs(server));
    owner.kill().expect("is killed");
    owner.wait().expect("has ended");
    until_gone(&directory, server).await;
}

#[tokio::test]
#[ignore = "a helper that the test above runs and kills"]
async fn owns_a_cluster_until_its_input_ends() {
    let cluster = Cluster::start().await.expect("a cluster");
    let mut output = std::io::stdout();
    writeln!(output, "{AT}{}", cluster.directory().display()).expect("is heard");
    output.flush().expect("is heard");
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()))
        .await
        .expect("waits")
        .expect("waits");
}

#[tokio::test]
async fn databases_of_one_cluster_do_not_see_each_other() {
    use inspay_ports::{ReadStore as _, contract::samples::ordered};

    let cluster = Cluster::shared().await.expect("a cluster");
    let one = cluster.store().await.expect("a store");
    let other = cluster.store().await.expect("a store");
    let store: std::sync::Arc<dyn inspay_ports::Store> = std::sync::Arc::new(one.clone());
    ordered(&store, 1).await;
    assert_eq!(one.accounts(None, 10).await.expect("lists").len(), 1);
    assert_eq!(other.accounts(None, 10).await.expect("lists").len(), 0);
}
