//! The matrix of faults: a real gateway, a real chain that lives and reorganises, and endpoints that fail.
//!
//! Every cell runs with several seeds; one wrong row in one of them is a failure of the whole. Traffic stays
//! on this machine, and what was made on disk is gone afterwards.

mod table;

use std::{
    collections::{BTreeMap, BTreeSet},
    process::ExitCode,
    sync::Arc,
};

use inspay_it::{
    live::{Cell, CellRun, Endpoints, cells, crowd, run},
    proxy::Fault,
};
use tokio::{sync::Semaphore, task::JoinSet};

use table::Line;

/// What went wrong, for the person who ran it.
type Problem = Box<dyn std::error::Error + Send + Sync>;

const USAGE: &str = "usage: matrix [--seeds N] [--first-seed N] [--jobs N] [--blocks N] [--only TEXT]... [--payments N]";

/// Runs between two words of how far it has come.
const PROGRESS_EVERY: usize = 20;

#[derive(Debug)]
struct Options {
    seeds: u64,
    first_seed: u64,
    jobs: usize,
    blocks: u64,
    only: Vec<String>,
    /// Payments of the crowd behind three endpoints; none where only some cells are wanted.
    payments: Option<usize>,
}

impl Options {
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self, Problem> {
        let mut options = Self {
            seeds: 20,
            first_seed: 1,
            jobs: 4,
            blocks: 20,
            only: Vec::new(),
            payments: None,
        };
        while let Some(flag) = arguments.next() {
            let value = arguments.next().ok_or(USAGE)?;
            match flag.as_str() {
                "--seeds" => options.seeds = value.parse()?,
                "--first-seed" => options.first_seed = value.parse()?,
                "--jobs" => options.jobs = value.parse()?,
                "--blocks" => options.blocks = value.parse()?,
                "--only" => options.only.push(value),
                "--payments" => options.payments = Some(value.parse()?),
                _ => return Err(USAGE.into()),
            }
        }
        Ok(options)
    }

    fn payments(&self) -> usize {
        self.payments.unwrap_or(if self.only.is_empty() { 1_000 } else { 0 })
    }

    fn wants(&self, cell: &Cell) -> bool {
        self.only.is_empty() || self.only.iter().any(|text| cell.name.contains(text))
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match matrix().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            tell(&format!("matrix: {problem}"));
            ExitCode::FAILURE
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "how far it has come and what went wrong go to standard error"
)]
fn tell(text: &str) {
    eprintln!("{text}");
}

#[expect(clippy::print_stdout, reason = "the table is the program's result")]
fn say(text: &str) {
    println!("{text}");
}

/// Runs all cells; answers whether nothing was wrong.
async fn matrix() -> Result<bool, Problem> {
    let options = Options::read(std::env::args().skip(1))?;
    let cells: Vec<Cell> =
        cells(options.blocks).into_iter().filter(|cell| options.wants(cell)).collect();
    let permits = Arc::new(Semaphore::new(options.jobs.max(1)));
    let mut runs = JoinSet::new();
    let mut started = BTreeMap::new();
    for seed in options.first_seed..options.first_seed.saturating_add(options.seeds) {
        for (place, cell) in cells.iter().enumerate() {
            let (cell, permits) = (cell.clone(), Arc::clone(&permits));
            let name = cell.name.clone();
            let task = runs.spawn(async move {
                let _permit = permits.acquire_owned().await;
                (place, seed, run(cell, seed).await)
            });
            started.insert(task.id(), (place, seed, name));
        }
    }
    let mut lines: Vec<Line> = cells.iter().map(Line::new).collect();
    let (all, mut done) = (runs.len(), 0usize);
    while let Some(ended) = runs.join_next().await {
        done += 1;
        if done.is_multiple_of(PROGRESS_EVERY) {
            tell(&format!("{done} of {all} runs are done"));
        }
        match ended {
            Ok((place, seed, outcome)) => add(&mut lines, place, seed, &outcome),
            Err(error) => {
                let (place, seed, name) = started.remove(&error.id()).ok_or("an unknown run")?;
                tell(&format!("{name}, seed {seed}: the run broke down: {error}"));
                if let Some(line) = lines.get_mut(place) {
                    line.broke_down();
                }
            }
        }
    }
    say(&table::render(&lines));
    let unmet: BTreeSet<Fault> = lines
        .iter()
        .flat_map(Line::unmet)
        .filter(|fault| !lines.iter().any(|line| line.met(*fault)))
        .collect();
    for fault in &unmet {
        say(&format!("{fault}: switched on, and did not happen in any cell"));
    }
    let is_crowd_right = match options.payments() {
        0 => true,
        payments => three_endpoints(payments).await,
    };
    Ok(lines.iter().all(Line::is_right) && unmet.is_empty() && is_crowd_right)
}

/// The same payments behind three good endpoints, and behind one that lies, one that hangs and a good one.
async fn three_endpoints(payments: usize) -> bool {
    let good = crowd(payments, Endpoints::Good, 1).await;
    let bad = crowd(payments, Endpoints::OneLiesOneHangs, 1).await;
    for (name, outcome) in [("three good", good), ("one lies, one hangs, one good", bad)] {
        say(&format!(
            "{name}: {} payments in {} ms, {} lost, {} doubled, {} early; {} lies, {} without an answer",
            outcome.payments,
            outcome.took.as_millis(),
            outcome.lost,
            outcome.doubled,
            outcome.early,
            outcome.lies,
            outcome.hangs,
        ));
    }
    let is_in_time = bad.took <= good.took * 2;
    say(if is_in_time { "within twice the time" } else { "MISSED: more than twice the time" });
    good.is_right() && bad.is_right() && bad.hangs > 0 && bad.lies > 0 && is_in_time
}

fn add(lines: &mut [Line], place: usize, seed: u64, outcome: &CellRun) {
    let Some(line) = lines.get_mut(place) else { return };
    line.add(outcome);
    if !outcome.is_right() {
        let shown = CellRun { latencies: vec![], last_words: vec![], ..outcome.clone() };
        tell(&format!("{}, seed {seed} is wrong: {shown:?}", line.name()));
        for line in &outcome.last_words {
            tell(line);
        }
    }
}
