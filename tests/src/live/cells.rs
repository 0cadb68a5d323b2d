//! Which faults are tried with how many endpoints, and what the chain does meanwhile.

use super::cell::{Cell, Story};
use crate::proxy::Fault;

/// Faults that are tried alone, with their chance in percent.
const FAULTS: [(&str, &[(Fault, u8)]); 13] = [
    ("no fault", &[]),
    ("empty near head 30 %", &[(Fault::EmptyNearHead, 30)]),
    ("last log dropped 30 %", &[(Fault::LastLogDropped, 30)]),
    ("3 behind 30 %", &[(Fault::ThreeBehind, 30)]),
    ("429 10 %", &[(Fault::TooManyRequests, 10)]),
    ("503 10 %", &[(Fault::Unavailable, 10)]),
    ("reset 10 %", &[(Fault::Reset, 10)]),
    (
        "429, 503, reset 10 % each",
        &[(Fault::TooManyRequests, 10), (Fault::Unavailable, 10), (Fault::Reset, 10)],
    ),
    ("stale head 50 %", &[(Fault::StaleHead, 50)]),
    ("lie 30 %", &[(Fault::Lie, 30)]),
    (
        "late, truncated, doubled, disordered 15 % each",
        &[
            (Fault::Delay, 15),
            (Fault::Truncated, 15),
            (Fault::Duplicated, 15),
            (Fault::Reordered, 15),
        ],
    ),
    (
        "WebSocket drops 20 %, repeats 50 %, silent 30 %",
        &[(Fault::WsDrop, 20), (Fault::WsRepeat, 50), (Fault::WsSilent, 30)],
    ),
    (
        "a little of everything",
        &[
            (Fault::EmptyNearHead, 5),
            (Fault::LastLogDropped, 5),
            (Fault::ThreeBehind, 5),
            (Fault::TooManyRequests, 2),
            (Fault::Unavailable, 2),
            (Fault::Reset, 2),
            (Fault::Delay, 5),
            (Fault::Truncated, 3),
            (Fault::Duplicated, 5),
            (Fault::Reordered, 5),
            (Fault::Lie, 5),
            (Fault::WsDrop, 5),
            (Fault::WsRepeat, 20),
            (Fault::WsSilent, 20),
        ],
    ),
];

/// What the chain does in cells of their own, with the last faults of [`FAULTS`] and without any.
const STORIES: [(&str, Story); 5] = [
    ("a branch that comes back", Story::Returning),
    ("a shorter chain", Story::Shorter),
    ("reorgs of empty blocks", Story::EmptyBlocks),
    ("reorgs at the hand-over", Story::HandOver),
    ("30 s without any endpoint", Story::Loss),
];

/// All cells of the matrix, each with so many blocks while its faults are on.
#[must_use]
pub fn cells(live_blocks: u64) -> Vec<Cell> {
    let mut cells = Vec::new();
    for has_second in [false, true] {
        for (name, faults) in FAULTS {
            let name = named(name, has_second);
            let faults = faults.to_vec();
            cells.push(Cell { name, faults, has_second, story: Story::Reorgs, live_blocks });
        }
    }
    let everything = FAULTS.last().map(|(_, faults)| faults.to_vec()).unwrap_or_default();
    for (name, story) in STORIES {
        for (faults, with) in [(Vec::new(), "no fault"), (everything.clone(), "faults")] {
            // Where nothing is answered, nothing can be answered wrongly.
            if story == Story::Loss && !faults.is_empty() {
                continue;
            }
            let name = named(&format!("{name}, {with}"), false);
            cells.push(Cell { name, faults, has_second: false, story, live_blocks });
        }
    }
    cells
}

fn named(name: &str, has_second: bool) -> String {
    let endpoints = if has_second { "two endpoints" } else { "one endpoint" };
    format!("{name} / {endpoints}")
}
