//! The table that the program prints: a line for each cell, all its seeds together.

use std::{collections::BTreeMap, time::Duration};

use comfy_table::{Table, presets};
use inspay_it::{
    live::{Cell, CellRun},
    proxy::Fault,
};

/// The runs of one cell.
#[derive(Debug)]
pub(crate) struct Line {
    name: String,
    runs: usize,
    broken: usize,
    wrong: usize,
    total: CellRun,
    healed_last: Duration,
    faults: BTreeMap<Fault, u64>,
}

impl Line {
    pub(crate) fn new(cell: &Cell) -> Self {
        Self {
            name: cell.name.clone(),
            runs: 0,
            broken: 0,
            wrong: 0,
            total: CellRun::default(),
            healed_last: Duration::ZERO,
            faults: cell.faults.iter().map(|(fault, _)| (*fault, 0)).collect(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn broke_down(&mut self) {
        self.broken += 1;
    }

    pub(crate) fn add(&mut self, outcome: &CellRun) {
        self.runs += 1;
        self.wrong += usize::from(!outcome.is_right());
        self.total.rows += outcome.rows;
        self.total.missing += outcome.missing;
        self.total.phantom += outcome.phantom;
        self.total.duplicate += outcome.duplicate;
        self.total.never_true += outcome.never_true;
        self.total.wrongly_credited += outcome.wrongly_credited;
        self.total.unsettled += outcome.unsettled;
        self.total.reorgs += outcome.reorgs;
        self.total.latencies.extend(&outcome.latencies);
        self.healed_last = self.healed_last.max(outcome.healed_after.unwrap_or(Duration::MAX));
        for (fault, count) in &outcome.faults {
            *self.faults.entry(*fault).or_default() += count;
        }
    }

    /// Whether every run was right, and faults have happened where some were switched on.
    pub(crate) fn is_right(&self) -> bool {
        let has_happened = self.faults.is_empty() || self.faults.values().any(|count| *count > 0);
        self.runs > 0 && self.broken == 0 && self.wrong == 0 && has_happened
    }

    /// Faults that were switched on and did not happen once.
    pub(crate) fn unmet(&self) -> impl Iterator<Item = Fault> {
        self.faults.iter().filter(|(_, count)| **count == 0).map(|(fault, _)| *fault)
    }

    /// Whether the fault has happened.
    pub(crate) fn met(&self, fault: Fault) -> bool {
        self.faults.get(&fault).is_some_and(|count| *count > 0)
    }
}

/// The share of all that is at most the answer, in percent.
fn percentile(sorted: &[Duration], share: usize) -> Duration {
    let place = (sorted.len() * share).div_ceil(100).saturating_sub(1);
    sorted.get(place).copied().unwrap_or_default()
}

pub(crate) fn render(lines: &[Line]) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header([
        "cell",
        "runs",
        "reorgs",
        "transfers",
        "missing",
        "phantom",
        "duplicate",
        "never true",
        "wrongly credited",
        "unsettled",
        "broken",
        "healed ms, worst",
        "latency ms p50",
        "p95",
        "faults",
    ]);
    for line in lines {
        let mut latencies = line.total.latencies.clone();
        latencies.sort_unstable();
        let faults: Vec<String> =
            line.faults.iter().map(|(fault, count)| format!("{fault} {count}")).collect();
        let healed = if line.healed_last == Duration::MAX {
            "never".to_owned()
        } else {
            line.healed_last.as_millis().to_string()
        };
        table.add_row([
            line.name.clone(),
            line.runs.to_string(),
            line.total.reorgs.to_string(),
            line.total.rows.to_string(),
            line.total.missing.to_string(),
            line.total.phantom.to_string(),
            line.total.duplicate.to_string(),
            line.total.never_true.to_string(),
            line.total.wrongly_credited.to_string(),
            line.total.unsettled.to_string(),
            line.broken.to_string(),
            healed,
            percentile(&latencies, 50).as_millis().to_string(),
            percentile(&latencies, 95).as_millis().to_string(),
            faults.join(", "),
        ]);
    }
    table.to_string()
}
