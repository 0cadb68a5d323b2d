//! The command line as people and programs use it.

use inspay_devchain::{AnvilOptions, Devchain};
use inspay_it::{ChainText, Gateway, inspay, json_of, pay, said, settings_text};

#[tokio::test(flavor = "multi_thread")]
async fn doctor_says_what_is_right_and_what_is_wrong() {
    let chain = Devchain::start(AnvilOptions::default()).await.expect("the chain starts");
    let settings = settings_text(chain.deployment(), ChainText::default());
    let mut gateway = Gateway::start(&settings, None).await;
    let order = gateway.order("alice", "USDT").await;
    pay(&chain, &order, chain.buyer(0)).await;
    chain.mine(1).await.expect("mines");
    gateway.wait_for(&order, "paid").await;
    let well = gateway.command(&["doctor", "--json"]).await;
    assert!(well.status.success(), "{:#}", json_of(&well));
    drop(chain);
    let ill = gateway.command(&["doctor", "--json"]).await;
    assert_eq!(ill.status.code(), Some(1));
    let wrong: Vec<String> = json_of(&ill)
        .as_array()
        .expect("findings")
        .iter()
        .filter(|finding| finding["ok"] == false)
        .map(|finding| finding["what"].to_string())
        .collect();
    assert!(wrong.iter().any(|what| what.contains("chain 31337")), "{wrong:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_and_balances_are_shown_to_people_and_programs() {
    let chain = Devchain::start(AnvilOptions::default()).await.expect("the chain starts");
    let settings = settings_text(chain.deployment(), ChainText::default());
    let mut gateway = Gateway::start(&settings, None).await;
    let order = gateway.order("alice", "USDT").await;
    pay(&chain, &order, chain.buyer(0)).await;
    chain.mine(1).await.expect("mines");
    gateway.wait_for(&order, "paid").await;
    let accounts = json_of(&gateway.command(&["accounts", "--json"]).await);
    assert_eq!(accounts[0]["account"], "alice");
    assert_eq!(accounts[0]["posted_credits"], "100.000000");
    let alice = json_of(&gateway.command(&["accounts", "alice", "--json"]).await);
    assert_eq!(alice["available"], "100.000000");
    assert_eq!(alice["history"][0]["kind"], "settle");
    let shown = gateway.command(&["accounts", "alice"]).await;
    assert!(String::from_utf8_lossy(&shown.stdout).contains("100.000000 credits available"));
    let nobody = gateway.command(&["accounts", "nobody"]).await;
    assert_eq!(nobody.status.code(), Some(1));
    assert!(said(&nobody).contains("there is no account nobody"));
    let balances = json_of(&gateway.command(&["ledger", "show", "--json"]).await);
    assert!(
        balances.as_array().is_some_and(|rows| rows.iter().any(|row| row["account"] == "treasury"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_shown_once_and_can_be_revoked() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |arguments: &'static [&'static str]| inspay(folder.path(), &[], arguments);
    assert!(run(&["migrate"]).await.status.success());
    let made = json_of(&run(&["keys", "create", "shop", "--json"]).await);
    let key = made["key"].as_str().expect("a key").to_owned();
    let again = run(&["keys", "create", "shop"]).await;
    assert_eq!(again.status.code(), Some(4), "{}", said(&again));
    let wrong = run(&["keys", "create", "other", "--scope", "king"]).await;
    assert!(said(&wrong).contains("--scope"), "{}", said(&wrong));
    assert!(run(&["keys", "revoke", "shop"]).await.status.success());
    let listed = run(&["keys", "list", "--json"]).await;
    assert_eq!(json_of(&listed)[0]["state"], "revoked");
    assert!(!String::from_utf8_lossy(&listed.stdout).contains(&key));
}

#[tokio::test(flavor = "multi_thread")]
async fn backfill_reads_what_is_final_and_stops() {
    let chain = Devchain::start(AnvilOptions::default()).await.expect("the chain starts");
    let bulk = chain.bulk_transfers(chain.deployment().usdt, 50, 40).await.expect("transfers");
    chain.mine(100).await.expect("mines");
    let folder = tempfile::tempdir().expect("a folder");
    let settings = settings_text(chain.deployment(), ChainText::default());
    std::fs::write(folder.path().join("inspay.toml"), settings).expect("settings");
    let output = inspay(folder.path(), &[], &["backfill", "--json"]).await;
    assert!(output.status.success(), "{}", said(&output));
    let report = json_of(&output);
    assert_eq!(report[0]["transfers"].as_u64(), Some(bulk.transfers), "{report:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn help_and_completions_are_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let help = inspay(folder.path(), &[], &["--help"]).await;
    let text = String::from_utf8_lossy(&help.stdout).into_owned();
    for command in [
        "dev",
        "demo",
        "serve",
        "migrate",
        "backfill",
        "rescan",
        "audit",
        "reconcile",
        "ledger",
        "cases",
        "accounts",
        "keys",
        "doctor",
        "completions",
    ] {
        assert!(text.contains(command), "{command} is not in: {text}");
    }
    let script = inspay(folder.path(), &[], &["completions", "bash"]).await;
    assert!(String::from_utf8_lossy(&script.stdout).contains("_inspay"));
    let wrong = inspay(folder.path(), &[], &["fly"]).await;
    assert_eq!(wrong.status.code(), Some(2));
}
