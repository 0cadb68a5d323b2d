//! A gateway beside a living chain: the matrix of faults and reorgs, and how its runs are judged.

mod cell;
mod cells;
mod crowd;
mod miner;
mod truth;
mod watch;

pub use cell::{Cell, CellRun, HEAL_MAX, Story, run};
pub use cells::cells;
pub use crowd::{CrowdRun, Endpoints, crowd};
pub use miner::{BLOCK_TIME, Miner};
pub use truth::{Row, Truth, rows_in};
pub use watch::{Early, Seen, Watch};
