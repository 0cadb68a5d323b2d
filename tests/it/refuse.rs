//! What the gateway refuses to start on: a clear error that names the setting, and an exit code.

use std::{path::Path, process::Output};

use inspay_devchain::{AnvilOptions, Devchain};
use inspay_it::{ChainText, inspay, said, settings_text};
use inspay_store_postgres::cluster::Cluster;

const SETTINGS: i32 = 3;
const DATABASE: i32 = 4;
const CHAIN: i32 = 5;

fn refused(output: &Output, code: i32, words: &[&str]) {
    let text = said(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
}

async fn serve(folder: &Path, settings: &str) -> Output {
    std::fs::write(folder.join("inspay.toml"), settings).expect("settings");
    inspay(folder, &[], &["serve", "--listen", "127.0.0.1:0", "--until-stdin-closes"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_make_no_sense_name_themselves() {
    let folder = tempfile::tempdir().expect("a folder");
    let chain = Devchain::start(AnvilOptions::default()).await.expect("the chain starts");
    let good = settings_text(chain.deployment(), ChainText::default());
    let cases = [
        (good.replace("poll_interval_ms", "pol_interval_ms"), vec!["pol_interval_ms"]),
        (good.replace("[[chains]]", "colour = 1\n[[chains]]"), vec!["colour"]),
        (good.replace("depth = 2", "depth = 0"), vec!["chains[0].assets[0].confirmations"]),
        (good.replace("http = [\"http", "http = [\"ftp"), vec!["chains[0].http"]),
        (
            good.replace("treasuries = [{ address = \"0x", "treasuries = [{ address = \"0xzz"),
            vec!["chains[0].treasuries[0].address"],
        ),
        (good.replace("id = 31337", "id = \"x\""), vec!["inspay.toml"]),
        ("[catalog]\npath = \"nowhere.toml\"\n".to_owned(), vec!["nowhere.toml"]),
        ("[database]\nurl = \"mysql://x\"\n".to_owned(), vec!["database.url"]),
        ("[server]\nlisten = \"here\"\n".to_owned(), vec!["server.listen"]),
        ("this is no TOML".to_owned(), vec!["inspay.toml"]),
    ];
    for (settings, words) in cases {
        refused(&serve(folder.path(), &settings).await, SETTINGS, &words);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_is_not_the_one_in_the_settings_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let chain = Devchain::start(AnvilOptions::default()).await.expect("the chain starts");
    let place = chain.deployment();
    let settings = |text: ChainText| settings_text(place, text);
    let other = settings(ChainText { id: 1, ..ChainText::default() });
    refused(&serve(folder.path(), &other).await, CHAIN, &["chain_id"]);
    let decimals = settings(ChainText { usdt_decimals: 18, ..ChainText::default() });
    refused(&serve(folder.path(), &decimals).await, CHAIN, &["USDT", "decimals"]);
    let nothing = settings(ChainText::default())
        .replace(&place.usdt.to_string(), &place.stranger.to_string());
    refused(&serve(folder.path(), &nothing).await, CHAIN, &["USDT", "contract"]);
    let gone = settings(ChainText::default());
    drop(chain);
    refused(&serve(folder.path(), &gone).await, CHAIN, &["chain 31337"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_used_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let variables = [("DATABASE_URL", "postgres://nobody:secret@127.0.0.1:9/none")];
    let gone = inspay(folder.path(), &variables, &["migrate"]).await;
    refused(&gone, DATABASE, &["database.url", "127.0.0.1"]);
    assert!(!said(&gone).contains("secret"), "{}", said(&gone));
    let missing =
        inspay(folder.path(), &[("DATABASE_URL", "sqlite:missing.db")], &["reconcile"]).await;
    refused(&missing, DATABASE, &["missing.db"]);
    std::fs::write(
        folder.path().join("not.db"),
        "this is no database, though it is long enough to be one",
    )
    .expect("a file");
    let foreign = inspay(folder.path(), &[("DATABASE_URL", "sqlite:not.db")], &["migrate"]).await;
    refused(&foreign, DATABASE, &["not.db"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_never_migrated_is_refused_by_readers() {
    let cluster = Cluster::start().await.expect("PostgreSQL starts");
    let url = cluster.empty_database().await.expect("a database");
    let folder = tempfile::tempdir().expect("a folder");
    let read = inspay(folder.path(), &[("DATABASE_URL", &url)], &["accounts"]).await;
    refused(&read, DATABASE, &["schema"]);
    let migrated = inspay(folder.path(), &[("DATABASE_URL", &url)], &["migrate"]).await;
    assert!(migrated.status.success(), "{}", said(&migrated));
    let read = inspay(folder.path(), &[("DATABASE_URL", &url)], &["accounts", "--json"]).await;
    assert!(read.status.success(), "{}", said(&read));
}
