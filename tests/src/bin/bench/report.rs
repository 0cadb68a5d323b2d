//! What was measured, as a table for people or as JSON for programs.

use std::{fmt, fs, io::Write as _, time::Duration};

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use serde_json::{Value, json};

use crate::Problem;

/// Columns of text that a table may take.
const TABLE_WIDTH: u16 = 120;

/// Prints a line of the result.
pub(crate) fn say(line: &str) -> Result<(), Problem> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

/// A whole number with its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quantity {
    Time(Duration),
    /// So many hundredths.
    Ratio(u64),
    Kibibytes(u64),
    PerSecond(u64),
    Count(u64),
}

impl Quantity {
    /// `a / b`, rounded up: a goal is not met by rounding.
    pub(crate) fn ratio(a: u128, b: u128) -> Self {
        Self::Ratio(u64::try_from((a * 100).div_ceil(b.max(1))).unwrap_or(u64::MAX))
    }

    /// `a / b`, rounded down, for a goal that is to be reached.
    pub(crate) fn ratio_down(a: u128, b: u128) -> Self {
        Self::Ratio(u64::try_from(a * 100 / b.max(1)).unwrap_or(u64::MAX))
    }

    pub(crate) fn time_ratio(a: Duration, b: Duration) -> Self {
        Self::ratio(a.as_nanos(), b.as_nanos())
    }

    pub(crate) fn rate(count: u64, time: Duration) -> Self {
        let rate = u128::from(count) * 1_000_000 / time.as_micros().max(1);
        Self::PerSecond(u64::try_from(rate).unwrap_or(u64::MAX))
    }

    /// The number in the unit that [`Self::unit`] names.
    fn number(self) -> u64 {
        match self {
            Self::Time(time) => u64::try_from(time.as_micros()).unwrap_or(u64::MAX),
            Self::Ratio(number)
            | Self::Kibibytes(number)
            | Self::PerSecond(number)
            | Self::Count(number) => number,
        }
    }

    const fn unit(self) -> &'static str {
        match self {
            Self::Time(_) => "microseconds",
            Self::Ratio(_) => "hundredths",
            Self::Kibibytes(_) => "kibibytes",
            Self::PerSecond(_) => "per second",
            Self::Count(_) => "count",
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(time) => {
                let micros = time.as_micros();
                write!(f, "{}.{:02} ms", micros / 1_000, micros % 1_000 / 10)
            }
            Self::Ratio(hundredths) => write!(f, "{}.{:02}", hundredths / 100, hundredths % 100),
            Self::Kibibytes(kib) => write!(f, "{}.{} MiB", kib / 1_024, kib % 1_024 * 10 / 1_024),
            Self::PerSecond(number) => write!(f, "{number}/s"),
            Self::Count(number) => write!(f, "{number}"),
        }
    }
}

/// What a figure should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goal {
    AtMost(Quantity),
    AtLeast(Quantity),
}

impl Goal {
    const fn most(self) -> Option<Quantity> {
        match self {
            Self::AtMost(goal) => Some(goal),
            Self::AtLeast(_) => None,
        }
    }

    const fn least(self) -> Option<Quantity> {
        match self {
            Self::AtMost(_) => None,
            Self::AtLeast(goal) => Some(goal),
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(goal) => write!(f, "≤ {goal}"),
            Self::AtLeast(goal) => write!(f, "≥ {goal}"),
        }
    }
}

#[derive(Debug)]
struct Figure {
    what: String,
    quantity: Quantity,
    goal: Option<Goal>,
}

impl Figure {
    fn is_met(&self) -> Option<bool> {
        self.goal.map(|goal| match goal {
            Goal::AtMost(goal) => self.quantity.number() <= goal.number(),
            Goal::AtLeast(goal) => self.quantity.number() >= goal.number(),
        })
    }
}

/// One benchmark's figures.
#[derive(Debug)]
pub(crate) struct Report {
    name: &'static str,
    about: String,
    load: String,
    figures: Vec<Figure>,
}

impl Report {
    /// Begins a report; the load of the machine is read now and again when it is shown.
    pub(crate) fn new(name: &'static str, about: String) -> Self {
        Self { name, about, load: load(), figures: Vec::new() }
    }

    /// Adds a figure.
    pub(crate) fn add(&mut self, what: impl Into<String>, quantity: Quantity) {
        self.figures.push(Figure { what: what.into(), quantity, goal: None });
    }

    /// Adds a figure with its goal.
    pub(crate) fn add_goal(
        &mut self,
        what: impl Into<String>,
        quantity: Quantity,
        at_most: Quantity,
    ) {
        let goal = Some(Goal::AtMost(at_most));
        self.figures.push(Figure { what: what.into(), quantity, goal });
    }

    /// Adds a figure that should not be below its goal.
    pub(crate) fn add_least(
        &mut self,
        what: impl Into<String>,
        quantity: Quantity,
        at_least: Quantity,
    ) {
        let goal = Some(Goal::AtLeast(at_least));
        self.figures.push(Figure { what: what.into(), quantity, goal });
    }

    /// How many goals are met, and how many there are.
    pub(crate) fn goals(&self) -> (usize, usize) {
        let goals = self.figures.iter().filter_map(Figure::is_met);
        goals.fold((0, 0), |(met, all), is_met| (met + usize::from(is_met), all + 1))
    }

    /// The report for people.
    pub(crate) fn print(&self) -> Result<(), Problem> {
        let mut table = Table::new();
        table
            .load_style(presets::UTF8_FULL_CONDENSED)
            .set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(TABLE_WIDTH);
        table.set_header([self.name, "measured", "goal", ""]);
        for figure in &self.figures {
            let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
            table.add_row([
                Cell::new(&figure.what),
                right(figure.quantity.to_string()),
                right(figure.goal.map(|goal| goal.to_string()).unwrap_or_default()),
                Cell::new(match figure.is_met() {
                    Some(true) => "met",
                    Some(false) => "MISSED",
                    None => "",
                }),
            ]);
        }
        say(&format!("{}\nload average before: {}; after: {}", self.about, self.load, load()))?;
        say(&format!("{table}\n"))
    }

    /// The report for programs.
    pub(crate) fn json(&self) -> Value {
        let figures: Vec<Value> = self
            .figures
            .iter()
            .map(|figure| {
                json!({
                    "what": figure.what,
                    "value": figure.quantity.number(),
                    "unit": figure.quantity.unit(),
                    "at_most": figure.goal.and_then(Goal::most).map(Quantity::number),
                    "at_least": figure.goal.and_then(Goal::least).map(Quantity::number),
                    "met": figure.is_met(),
                })
            })
            .collect();
        json!({
            "bench": self.name, "about": self.about, "load_average_before": self.load, "figures": figures,
        })
    }
}

/// The three load averages of the machine, where it tells them.
fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let averages: Vec<&str> = text.split_whitespace().take(3).collect();
    if averages.is_empty() { "unknown".to_owned() } else { averages.join(" ") }
}
