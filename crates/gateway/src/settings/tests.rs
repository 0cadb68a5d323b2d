//! Settings: what is accepted, what is refused and by which name.

use std::{error::Error as _, path::Path};

use inspay_chain_evm::{HashCheck, ReceiptsProof};
use inspay_ledger::{LatePolicy, OverPolicy};
use inspay_primitives::{ConfirmationRule, U256};

use super::{Database, RateSourceSettings, Settings, SettingsError, load};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/inspay.toml");

fn nothing(_: &str) -> Option<String> {
    None
}

fn loaded(text: &str) -> Result<Settings, SettingsError> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("inspay.toml");
    std::fs::write(&file, text).expect("a file");
    load(Some(&file), &nothing)
}

fn refusal(text: &str) -> String {
    let error = loaded(text).expect_err("must be refused");
    format!("{error}: {}", error.source().map(ToString::to_string).unwrap_or_default())
}

#[test]
fn without_a_file_the_local_chain_and_sqlite_apply() {
    let settings = load(None, &nothing).expect("defaults");
    assert_eq!(settings.database, Database::Sqlite("inspay.db".into()));
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8080");
    let [chain] = settings.chains.as_slice() else { panic!("one chain") };
    assert_eq!(chain.id.0, 31_337);
    let symbols: Vec<&str> =
        chain.assets.iter().map(|listed| listed.asset.symbol.as_str()).collect();
    assert_eq!(symbols, ["INSPI", "USDT"]);
}

#[test]
fn the_example_is_valid() {
    let settings = load(Some(Path::new(EXAMPLE)), &nothing).expect("the example");
    let usdt = &settings.chains[0].assets[0];
    let rule =
        |tokens: u64| usdt.confirmations.rule_for(U256::from(tokens) * U256::from(1_000_000));
    assert_eq!(rule(100), ConfirmationRule::Depth(3));
    assert_eq!(rule(101), ConfirmationRule::Depth(12));
    assert_eq!(rule(5_001), ConfirmationRule::Finalized(32));
    assert!(usdt.rules.band.is_some());
    let agreement = usdt.agreement.expect("an agreement");
    assert_eq!(agreement.above_base_units, U256::from(1_000_000_000));
    assert_eq!(agreement.agreeing_min, 2);
    assert_eq!(settings.chains[0].assets[1].agreement, None);
    assert_eq!(settings.chains[0].audit_interval.as_secs(), 600);
    assert_eq!(settings.chains[0].receipts, ReceiptsProof::Standard);
    assert_eq!(settings.chains[0].header_hash, HashCheck::Recompute);
    assert_eq!(settings.chains[0].chain_tx_hash, HashCheck::Recompute);
    let inspi = &settings.chains[0].assets[1];
    assert!(matches!(inspi.rates[0], RateSourceSettings::UniswapV3 { .. }));
    assert_eq!(settings.rules.over, OverPolicy::Credit);
    assert_eq!(settings.rules.late, LatePolicy::Credit);
}

#[test]
fn the_environment_overrides_the_file() {
    let environment = |name: &str| match name {
        "DATABASE_URL" => Some("postgres://user:secret@db.example/books".to_owned()),
        "INSPAY_LISTEN" => Some("0.0.0.0:9".to_owned()),
        "INSPAY_HTTP_1" => Some(
            "https://a.example/key, https://b.example/key, https://c.example/key,https://d.example"
                .to_owned(),
        ),
        _ => None,
    };
    let settings = load(Some(Path::new(EXAMPLE)), &environment).expect("the example");
    assert_eq!(settings.database.to_string(), "postgres://db.example/books");
    assert!(!format!("{settings:?}").contains("secret"));
    assert_eq!(settings.listen.to_string(), "0.0.0.0:9");
    assert_eq!(settings.chains[0].http.len(), 4);
}

#[test]
fn every_refusal_names_its_setting() {
    let example = std::fs::read_to_string(EXAMPLE).expect("the example");
    let (first, _) = example.split_once("http = [").expect("endpoints");
    let (_, rest) = example.split_once("/rpc\"]").expect("endpoints");
    let one_endpoint = format!("{first}http = [\"https://ethereum.example/rpc\"]{rest}");
    let cases = [
        ("colour = 1\n".to_owned(), "colour"),
        ("[server]\nlissen = \"x\"\n".to_owned(), "lissen"),
        ("[server]\nlisten = \"x\"\n".to_owned(), "server.listen"),
        ("[server]\nlease_seconds = 1\n".to_owned(), "server.lease_seconds"),
        ("[server]\nlease_seconds = 301\n".to_owned(), "server.lease_seconds"),
        ("[database]\nurl = \"sqlite:\"\n".to_owned(), "database.url"),
        ("[settlement]\nover = \"steal\"\n".to_owned(), "steal"),
        (example.replace("depth = 3 }", "depth = 0 }"), "chains[0].assets[0].confirmations"),
        (
            example.replace("up_to = \"5000\"", "up_to = \"50\""),
            "chains[0].assets[0].confirmations",
        ),
        (
            example.replace("{ depth = 32, tag", "{ up_to = \"9000\", depth = 32, tag"),
            "chains[0].assets[0].confirmations",
        ),
        (example.replace("symbol = \"INSPI\"", "symbol = \"USDT\""), "chains.assets"),
        (example.replace("decimals = 18", "decimals = 99"), "chains[0].assets[1].decimals"),
        (example.replace("https://ethereum", "gopher://ethereum"), "chains[0].http"),
        (example.replace("k = 2,", "k = 4,"), "chains[0].assets[0].agreement"),
        (example.replace("k = 2,", "k = 0,"), "chains[0].assets[0].agreement"),
        (example.replace("of = 3", "of = 5"), "chains[0].assets[0].agreement"),
        (example.replace("above = \"1000", "above = \"1e3"), "chains[0].assets[0].agreement"),
        (example.replace("\"standard\"", "\"whatever\""), "whatever"),
        (example.replace("header_hash = \"recompute\"", "header_hash = \"guess\""), "guess"),
        (one_endpoint.clone(), "chains[0].assets[0].agreement"),
        (one_endpoint.replace("\"standard\"", "\"second_endpoint\""), "chains[0].receipts"),
        (example.replace("wss://ethereum", "https://ethereum"), "chains[0].ws"),
        (
            example.replace("0x1111111111111111111111111111111111111111", "0x11"),
            "chains[0].treasuries[0].address",
        ),
        (
            example.replace("0x3333333333333333333333333333333333333333", "pool"),
            "chains[0].assets[1].rates[0].pool",
        ),
    ];
    for (text, word) in cases {
        let why = refusal(&text);
        assert!(why.contains(word), "{word} is not in: {why}");
    }
}

#[test]
fn a_chain_of_another_kind_says_how_it_is_proven() {
    let example = std::fs::read_to_string(EXAMPLE).expect("the example");
    let other = example
        .replace("receipts = \"standard\"", "receipts = \"second_endpoint\"")
        .replace("header_hash = \"recompute\"", "header_hash = \"trust\"")
        .replace("chain_tx_hash = \"recompute\"", "chain_tx_hash = \"trust\"");
    let chain = loaded(&other).expect("settings").chains.remove(0);
    assert_eq!(chain.receipts, ReceiptsProof::SecondEndpoint);
    assert_eq!((chain.header_hash, chain.chain_tx_hash), (HashCheck::Trust, HashCheck::Trust));
}

#[test]
fn a_file_that_is_not_there_is_an_error_and_not_the_defaults() {
    let missing = load(Some(Path::new("no/such/inspay.toml")), &nothing);
    assert!(matches!(missing, Err(SettingsError::Unreadable { .. })));
}
