//! The demo's stories on both databases: the same buyers, the same outcome.

use inspay_it::{inspay, json_of, said};
use inspay_store_postgres::cluster::Cluster;
use serde_json::Value;

/// Names, credits and verdicts: what must not depend on the database.
fn outcome(report: &Value) -> Vec<(String, String, bool)> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    report["buyers"]
        .as_array()
        .expect("buyers")
        .iter()
        .map(|story| (text(&story["name"]), text(&story["credits"]), story["ok"] == true))
        .collect()
}

fn check(report: &Value) {
    for (name, _, ok) in outcome(report) {
        assert!(ok, "{name}: {report:#}");
    }
    let lines = report["reconciliation"].as_array().expect("a reconciliation");
    assert_eq!(lines.len(), 2, "one line for each token");
    for line in lines {
        assert_eq!(line["difference_base_units"], "0", "{line}");
        assert_eq!(line["books_difference_base_units"], "0", "{line}");
        assert_ne!(line["transfers"], 0, "{line}");
    }
    assert_eq!(report["ledger"]["verified"], true, "{report:#}");
    assert_eq!(report["ok"], true);
}

const CREDITS: [(&str, &str); 13] = [
    ("pack_usdt_reference", "100.000000"),
    ("custom_inspi_promotion", "250.000000"),
    ("multisend_first", "100.000000"),
    ("multisend_second", "100.000000"),
    ("multisend_third", "100.000000"),
    ("two_parts", "500.000000"),
    ("overpaid", "200.000000"),
    ("round_amount_suspense", "-"),
    ("zero_and_fake", "0.000000"),
    ("reorg_before", "100.000000"),
    ("reorg_after", "100.000000"),
    ("killed_between", "100.000000"),
    ("late", ""),
];

fn check_credits(report: &Value) {
    let found = outcome(report);
    assert_eq!(found.len(), CREDITS.len());
    for ((name, credits, _), (expected_name, expected)) in found.iter().zip(CREDITS) {
        assert_eq!(name, expected_name);
        // The late payment is credited at the rate of its own block time, tail and all.
        if !expected.is_empty() {
            assert_eq!(credits, expected, "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_story_ends_as_it_must_on_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = inspay(folder.path(), &[], &["demo", "--json"]).await;
    assert!(output.status.success(), "{}", said(&output));
    let report = json_of(&output);
    check(&report);
    check_credits(&report);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_story_ends_as_it_must_on_postgres() {
    let cluster = Cluster::start().await.expect("PostgreSQL starts");
    let url = cluster.empty_database().await.expect("a database");
    let folder = tempfile::tempdir().expect("a folder");
    let output = inspay(folder.path(), &[("DATABASE_URL", &url)], &["demo", "--json"]).await;
    assert!(output.status.success(), "{}", said(&output));
    let report = json_of(&output);
    check(&report);
    check_credits(&report);
}
