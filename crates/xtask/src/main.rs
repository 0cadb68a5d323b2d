//! Checks of the house that no compiler makes: `cargo xtask floors`.
//!
//! Reads `cargo metadata` and sources; changes nothing.

use std::{
    collections::BTreeMap,
    process::{Command, ExitCode},
};

use serde_json::Value;

/// The floor of each crate. A crate may depend only on lower ones. `gateway` wires everything, so the
/// local chain that it starts for people stands one floor below it.
const FLOORS: [(&str, u8); 15] = [
    ("inspay-primitives", 0),
    ("inspay-quoting", 1),
    ("inspay-ledger", 1),
    ("inspay-ports", 2),
    ("inspay-watcher", 3),
    ("inspay-settlement", 3),
    ("inspay-ledger-writer", 3),
    ("inspay-reports", 3),
    ("inspay-store-sqlite", 3),
    ("inspay-store-postgres", 3),
    ("inspay-chain-evm", 3),
    ("inspay-rates", 3),
    ("inspay-api", 4),
    ("inspay-devchain", 4),
    ("inspay-gateway", 5),
];

/// Crates outside the house: nothing may depend on them.
const OUTSIDE: [&str; 3] = ["inspay-it", "inspay-sim", "inspay-xtask"];

fn main() -> ExitCode {
    let wanted = std::env::args().nth(1);
    let outcome = match wanted.as_deref() {
        Some("floors") => floors(),
        _ => Err("usage: cargo xtask floors".to_owned()),
    };
    match outcome {
        Ok(line) => {
            say(&line);
            ExitCode::SUCCESS
        }
        Err(why) => {
            say(&why);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "a command's report to the person who ran it")]
fn say(line: &str) {
    eprintln!("{line}");
}

fn metadata() -> Result<Value, String> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps"])
        .output()
        .map_err(|why| format!("cargo metadata did not start: {why}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|why| format!("cargo metadata: {why}"))
}

/// Fails on a dependency that does not point to a lower floor, and on a crate without a floor.
/// Dependencies of tests only are free: a test may stand anywhere.
fn floors() -> Result<String, String> {
    let floors: BTreeMap<&str, u8> = FLOORS.into_iter().collect();
    let metadata = metadata()?;
    let packages = metadata["packages"].as_array().ok_or("cargo metadata lists no packages")?;
    let mut upward = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        if OUTSIDE.contains(&name) {
            continue;
        }
        let Some(floor) = floors.get(name) else {
            upward.push(format!("{name} has no floor: give it one in crates/xtask/src/main.rs"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let target = dependency["name"].as_str().unwrap_or_default();
            let is_for_tests = dependency["kind"].as_str() == Some("dev");
            let is_ours = target.starts_with("inspay-");
            if is_ours && !is_for_tests && floors.get(target).is_none_or(|below| below >= floor) {
                upward.push(format!("{name} (floor {floor}) must not depend on {target}"));
            }
        }
    }
    if upward.is_empty() {
        Ok(format!("floors: {} crates, every edge points down", packages.len()))
    } else {
        Err(upward.join("\n"))
    }
}
