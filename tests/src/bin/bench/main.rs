//! Figures beside their floors, measured in the same run: catch-up, settlement, latency.
//!
//! `bench [catch-up|settle|latency]`; all of them without a word. Each measured side of ours runs in a
//! process of its own, so that its peak memory is its own. Traffic stays on this machine.

mod catch_up;
mod figures;
mod latency;
mod settle;
mod stores;

use std::process::ExitCode;

/// What went wrong, for the person who ran it.
type Problem = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&words).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            figures::say(&format!("bench: {problem}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(words: &[&str]) -> Result<(), Problem> {
    match words {
        [] => {
            catch_up::measure().await?;
            settle::measure().await?;
            latency::measure().await
        }
        ["catch-up"] => catch_up::measure().await,
        ["settle"] => settle::measure().await,
        ["latency"] => latency::measure().await,
        ["child-catch-up", database, url, to] => catch_up::child(database, url, to).await,
        ["child-settle", database, count] => settle::child(database, count).await,
        _ => Err("usage: bench [catch-up|settle|latency]".into()),
    }
}
