//! Times, medians, ratios and memory, in whole numbers.

use std::{fs, io::Write as _, process::Stdio, time::Duration};

use serde_json::Value;
use tokio::process::Command;

use crate::Problem;

/// Prints a line of the result.
#[expect(clippy::print_stdout, reason = "the result of a benchmark is what it prints")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

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

/// `a / b` with two decimals.
pub(crate) fn ratio(a: Duration, b: Duration) -> String {
    let hundredths = a.as_micros() * 100 / b.as_micros().max(1);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// Milliseconds with two decimals.
pub(crate) fn millis(time: Duration) -> String {
    let micros = time.as_micros();
    format!("{}.{:02} ms", micros / 1_000, micros % 1_000 / 10)
}

/// How many a second.
pub(crate) fn per_second(count: u64, time: Duration) -> u128 {
    u128::from(count) * 1_000_000 / time.as_micros().max(1)
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

/// KiB as MiB with one decimal.
pub(crate) fn mib(kib: u64) -> String {
    format!("{}.{} MiB", kib / 1_024, kib % 1_024 * 10 / 1_024)
}

/// Runs a measured side as a process of its own and reads the one JSON document it prints.
pub(crate) async fn child(arguments: &[&str]) -> Result<Value, Problem> {
    let output = Command::new(std::env::current_exe()?)
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
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
    writeln!(std::io::stdout(), "{value}")?;
    Ok(())
}

/// A whole number out of a child's answer.
pub(crate) fn number(value: &Value, field: &str) -> Result<u64, Problem> {
    value[field].as_u64().ok_or_else(|| format!("no {field} in {value}").into())
}
