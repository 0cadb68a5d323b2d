//! What commands print: results on standard output, tables for people or JSON for programs; all else on
//! standard error.

use std::io::{IsTerminal, Write as _};

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

use crate::exit::{Failure, FailureKind, Outcome};

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Tables and sentences.
    People,
    /// One JSON document.
    Json,
}

/// Prints a result line.
pub(crate) fn line(text: &str) -> Outcome {
    write_out(&format!("{text}\n"))
}

/// Prints a result that has its lines already.
pub(crate) fn raw(text: &str) -> Outcome {
    write_out(text)
}

/// Prints a result as one JSON document.
pub(crate) fn json<T: Serialize>(value: &T) -> Outcome {
    let text = serde_json::to_string_pretty(value)
        .map_err(|why| Failure::new(FailureKind::Other, "cannot write the result as JSON", why))?;
    line(&text)
}

/// Columns of text that a table may take; longer cells are wrapped.
const TABLE_WIDTH: u16 = 160;

/// Prints a table; `right` names the columns of numbers.
pub(crate) fn table(head: &[&str], right: &[usize], rows: Vec<Vec<String>>) -> Outcome {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(TABLE_WIDTH);
    table.set_header(head.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    for row in rows {
        table.add_row(row.into_iter().enumerate().map(|(column, text)| {
            let cell = Cell::new(text);
            if right.contains(&column) { cell.set_alignment(CellAlignment::Right) } else { cell }
        }));
    }
    line(&table.to_string())
}

/// A decimal without the zeros at its end, for people.
pub(crate) fn short(decimal: &str) -> String {
    if decimal.contains('.') {
        decimal.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        decimal.to_owned()
    }
}

fn write_out(text: &str) -> Outcome {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|why| Failure::new(FailureKind::Other, "cannot write to standard output", why))
}

/// Tells the person something that is not a result.
#[expect(clippy::print_stderr, reason = "messages beside the result go to standard error")]
pub(crate) fn note(text: &str) {
    eprintln!("{text}");
}

/// Whether a progress bar would be seen.
pub(crate) fn is_watched() -> bool {
    std::io::stderr().is_terminal()
}
