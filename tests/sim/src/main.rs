//! `sim`: runs seeds, says what happened in them, and how to see a failure again.

mod table;

use std::{
    io::Write as _,
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Parser;
use inspay_sim::{Event, Outcome, Plant, Run, Tally, run};

/// Runs the gateway's follower, settlement and ledger over a simulated chain, seed by seed.
#[derive(Clone, Debug, Parser)]
#[command(name = "sim")]
struct Arguments {
    /// How many seeds to run.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Blocks of each run.
    #[arg(long, default_value_t = 200)]
    blocks: u64,
    /// Seeds run at once.
    #[arg(long, default_value_t = 2)]
    jobs: u64,
    /// Print every event of every run, and between them what the product logs.
    #[arg(long)]
    trace: bool,
    /// Plant a bug; it must be found.
    #[arg(long, value_parser = parse_plant)]
    plant: Option<Plant>,
    /// Plant one bug after the other and print how many seeds it took to find each.
    #[arg(long)]
    planted: bool,
    /// Let endpoints stay on a dead branch for longer than the chain's safe block allows.
    #[arg(long)]
    stubborn: bool,
    /// Print JSON in place of tables.
    #[arg(long)]
    json: bool,
    /// Do not fail where an event never happened.
    #[arg(long)]
    partial: bool,
}

fn parse_plant(code: &str) -> Result<Plant, String> {
    let codes = || Plant::ALL.iter().map(|plant| plant.code()).collect::<Vec<_>>().join(", ");
    Plant::parse(code).ok_or_else(|| format!("one of {}", codes()))
}

/// What came of a row of seeds.
#[derive(Debug, Default)]
struct Report {
    tally: Tally,
    seeds: u64,
    failed: Option<Outcome>,
    trouble: Option<std::io::Error>,
}

fn say(line: &str) {
    // Somebody who closed the pipe has read enough.
    let _closed = writeln!(std::io::stdout(), "{line}");
}

/// Runs seeds until one fails; of several failures the lowest seed's.
fn run_seeds(arguments: &Arguments, plant: Option<Plant>, seeds: u64) -> Report {
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let report = Mutex::new(Report::default());
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let place = next.fetch_add(1, Ordering::Relaxed);
            if seeds <= place {
                return;
            }
            let seed = arguments.from.saturating_add(place);
            let Arguments { blocks, trace, stubborn, .. } = *arguments;
            let outcome = run(Run { seed, blocks, plant, stubborn, trace });
            let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
            match outcome {
                Ok(outcome) => {
                    report.seeds += 1;
                    report.tally.add(&outcome.tally);
                    let is_lower = report.failed.as_ref().is_none_or(|failed| seed < failed.seed);
                    if outcome.breach.is_some() && is_lower {
                        report.failed = Some(outcome);
                        stop.store(true, Ordering::Relaxed);
                    }
                }
                Err(error) => {
                    report.trouble = Some(error);
                    stop.store(true, Ordering::Relaxed);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.max(1) {
            scope.spawn(work);
        }
    });
    report.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn replay(arguments: &Arguments, seed: u64, plant: Option<Plant>) -> String {
    let plant = plant.map(|plant| format!(" --plant {}", plant.code())).unwrap_or_default();
    let blocks = arguments.blocks;
    let stubborn = if arguments.stubborn { " --stubborn" } else { "" };
    format!("sim --seeds 1 --from {seed} --blocks {blocks} --jobs 1 --trace{plant}{stubborn}")
}

/// Every bug within its number of seeds.
fn run_planted(arguments: &Arguments) -> ExitCode {
    let mut rows = Vec::new();
    let mut is_found = true;
    let one_job = Arguments { jobs: 1, ..arguments.clone() };
    for plant in Plant::ALL.iter().copied() {
        let report = run_seeds(&one_job, Some(plant), plant.seeds());
        is_found &= report.failed.is_some();
        rows.push((plant, report.seeds, report.failed.and_then(|failed| failed.breach)));
    }
    say(&table::planted(&rows, arguments.json));
    if is_found { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn summary(arguments: &Arguments, report: &Report, took: Duration) -> String {
    let Report { tally, seeds, .. } = report;
    let blocks = tally.of(Event::Block);
    let seconds = took.as_secs();
    if arguments.json {
        return table::events_json(tally, *seeds, seconds);
    }
    format!("{}\n{seeds} seeds, {blocks} blocks, {seconds} s", table::events(tally))
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.trace {
        // The events around a line tell when it was logged.
        let logged = tracing_subscriber::fmt().without_time().with_ansi(false).with_target(false);
        logged.with_max_level(tracing_subscriber::filter::LevelFilter::DEBUG).init();
    }
    if arguments.planted {
        return run_planted(&arguments);
    }
    let started = Instant::now();
    let report = run_seeds(&arguments, arguments.plant, arguments.seeds);
    if let Some(error) = report.trouble {
        say(&format!("a run could not begin: {error}"));
        return ExitCode::FAILURE;
    }
    if !arguments.trace {
        say(&summary(&arguments, &report, started.elapsed()));
    }
    if let Some(Outcome { seed, breach: Some(breach), .. }) = &report.failed {
        say(&format!("seed {seed} breaks law {}: {}", breach.law, breach.found));
        say(&format!("see it again: {}", replay(&arguments, *seed, arguments.plant)));
        return ExitCode::FAILURE;
    }
    let missing = report.tally.missing();
    if !missing.is_empty() && !arguments.partial && !arguments.trace {
        let names: Vec<&str> = missing.iter().map(|event| event.as_str()).collect();
        say(&format!("never happened: {}", names.join(", ")));
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
