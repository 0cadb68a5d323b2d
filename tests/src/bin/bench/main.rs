//! Figures beside their floors, measured in the same run: catch-up, settlement, spending, latency.
//!
//! Each measured side of ours runs in a process of its own, so that its peak memory is its own. Traffic
//! stays on this machine, and what was made on disk is gone afterwards. A wrong result is a failure; a goal
//! that is missed is printed as missed.

mod bare_loop;
mod catch_up;
mod cpu;
mod figures;
mod floor;
mod latency;
mod limited_node;
mod proofs;
mod report;
mod row_by_row;
mod settle;
mod spend;
mod stores;
mod verify;

use std::process::ExitCode;

use report::{Report, say};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What went wrong, for the person who ran it.
type Problem = Box<dyn std::error::Error + Send + Sync>;

const USAGE: &str =
    "usage: bench [catch-up|proofs|settle|spend|verify|latency|all] [--quick] [--json]";

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scale {
    /// What the goals are about.
    Full,
    /// A tenth of it, to see that everything works. Its figures say little.
    Quick,
}

impl Scale {
    const fn of(self, full: u64) -> u64 {
        match self {
            Self::Full => full,
            Self::Quick => full / 10,
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            complain(&format!("bench: {problem}"));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "what went wrong goes to standard error")]
fn complain(text: &str) {
    eprintln!("{text}");
}

async fn run(mut arguments: Vec<String>) -> Result<(), Problem> {
    let mut take = |flag: &str| {
        let before = arguments.len();
        arguments.retain(|argument| argument != flag);
        arguments.len() < before
    };
    let scale = if take("--quick") { Scale::Quick } else { Scale::Full };
    let is_json = take("--json");
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let names: &[&str] = match words.as_slice() {
        [] | ["all"] => &["catch-up", "proofs", "settle", "spend", "verify", "latency"],
        ["catch-up"] => &["catch-up"],
        ["proofs"] => &["proofs"],
        ["settle"] => &["settle"],
        ["spend"] => &["spend"],
        ["verify"] => &["verify"],
        ["latency"] => &["latency"],
        ["child-catch-up", database, url, to] => {
            return catch_up::child(database, url, to).await;
        }
        ["child-verify", database, large] => return verify::child(database, large).await,
        ["child-settle", database, count] => return settle::child(database, count).await,
        _ => return Err(USAGE.into()),
    };
    let mut reports: Vec<Report> = Vec::with_capacity(names.len());
    for name in names {
        let made = match *name {
            "catch-up" => vec![catch_up::measure(scale).await?],
            "proofs" => proofs::measure(scale).await?,
            "settle" => vec![settle::measure(scale).await?],
            "spend" => vec![spend::measure(scale).await?],
            "verify" => vec![verify::measure(scale).await?],
            _ => vec![latency::measure(scale).await?],
        };
        if !is_json {
            made.iter().try_for_each(Report::print)?;
        }
        reports.extend(made);
    }
    let (met, goals) = reports.iter().fold((0, 0), |(met, goals), report| {
        let (more_met, more_goals) = report.goals();
        (met + more_met, goals + more_goals)
    });
    if is_json {
        let reports: Vec<_> = reports.iter().map(Report::json).collect();
        return say(&serde_json::to_string_pretty(&reports)?);
    }
    say(&format!("{met} of {goals} goals are met"))
}
