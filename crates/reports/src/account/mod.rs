//! One account's credits as people look at them: the balance, sums of usage beside the period before, and sheets of rows.
//!
//! Reads only, and never decides: what can be spent is decided in the books.

mod balance;
mod sheet;
mod usage;

pub use balance::{Balance, balance};
pub use sheet::{
    Sheet, balance_sheet, history_sheet, holds_sheet, limits_sheet, lots_sheet, summary_sheet,
    usages_sheet,
};
pub use usage::{SummaryError, UsageBy, UsageSum, UsageSummary, usage_summary};

use inspay_primitives::Credits;

/// The sum of credits, at most what can be counted.
fn plus(sum: Credits, more: Credits) -> Credits {
    Credits::from_micros(sum.micros().saturating_add(more.micros()))
}

/// The difference of credits, at least what can be counted.
fn less(from: Credits, taken: Credits) -> Credits {
    Credits::from_micros(from.micros().saturating_sub(taken.micros()))
}
