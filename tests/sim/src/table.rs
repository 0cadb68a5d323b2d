//! Tables for people, JSON for programs.

use comfy_table::{CellAlignment, Table, presets};
use inspay_sim::{Breach, Event, Plant, Tally};
use serde_json::{Map, Value, json};

fn plain() -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table
}

/// How often each event happened.
pub(crate) fn events(tally: &Tally) -> String {
    let mut table = plain();
    table.set_header(["event", "times"]);
    for event in Event::ALL {
        table.add_row([event.as_str().to_owned(), tally.of(*event).to_string()]);
    }
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

/// The same for programs.
pub(crate) fn events_json(tally: &Tally, seeds: u64, seconds: u64) -> String {
    let events: Map<String, Value> = Event::ALL
        .iter()
        .map(|event| (event.as_str().to_owned(), json!(tally.of(*event))))
        .collect();
    json!({"seeds": seeds, "seconds": seconds, "events": events}).to_string()
}

/// Which law found each planted bug, and after how many seeds.
pub(crate) fn planted(rows: &[(Plant, u64, Option<Breach>)], as_json: bool) -> String {
    if as_json {
        let found = |(plant, seeds, breach): &(Plant, u64, Option<Breach>)| {
            let law = breach.as_ref().map(|breach| breach.law);
            json!({"plant": plant.code(), "seeds": seeds, "most": plant.seeds(), "law": law})
        };
        return Value::Array(rows.iter().map(found).collect()).to_string();
    }
    let mut table = plain();
    table.set_header(["bug", "what it does", "seeds needed", "at most", "law that found it"]);
    for (plant, seeds, breach) in rows {
        let law = breach.as_ref().map_or("NOT FOUND", |breach| breach.law);
        let (seeds, most) = (seeds.to_string(), plant.seeds().to_string());
        table.add_row([plant.code(), plant.text(), &seeds, &most, law]);
    }
    table.to_string()
}
