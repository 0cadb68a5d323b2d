//! Children that measure, and what is read out of their answers.

use std::{fs, process::Stdio, time::Duration};

use serde_json::Value;
use tokio::process::Command;

use crate::{Problem, report::say};

/// The middle one; of an even number the lower of the two.
pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    let middle = times.len().saturating_sub(1) / 2;
    times.get(middle).copied().unwrap_or_default()
}

/// The time below which 99 of 100 lie.
pub(crate) fn percentile_99(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    let place = (times.len() * 99).div_ceil(100).saturating_sub(1);
    times.get(place).copied().unwrap_or_default()
}

/// The most memory this process has held, in KiB; zero where the system does not tell.
pub(crate) fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|size| size.trim().trim_end_matches(" kB").trim().parse().ok())
        .unwrap_or_default()
}

/// Runs a measured side as a process of its own and reads the one JSON document it prints.
pub(crate) async fn child(arguments: &[&str]) -> Result<Value, Problem> {
    let output = Command::new(std::env::current_exe()?)
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await?;
    if !output.status.success() {
        return Err(
            format!("{arguments:?} failed: {}", String::from_utf8_lossy(&output.stdout)).into()
        );
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Answers the parent.
pub(crate) fn answer(value: &Value) -> Result<(), Problem> {
    say(&value.to_string())
}

/// A whole number out of a child's answer.
pub(crate) fn number(value: &Value, field: &str) -> Result<u64, Problem> {
    value[field].as_u64().ok_or_else(|| format!("no {field} in {value}").into())
}

/// A time out of a child's answer.
pub(crate) fn time(value: &Value, field: &str) -> Result<Duration, Problem> {
    number(value, field).map(Duration::from_micros)
}

/// Whole microseconds, for an answer.
pub(crate) fn micros(time: Duration) -> Result<u64, Problem> {
    Ok(u64::try_from(time.as_micros())?)
}
