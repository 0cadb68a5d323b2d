//! A living chain that reorganises, and endpoints that fail: a few cells of what `make faults` tries at length.

use futures::future::join_all;
use inspay_it::live::{cells, run};

const LIVE_BLOCKS: u64 = 7;
const SEED: u64 = 7;

/// Runs the cells of these names side by side; nothing may be wrong in any.
async fn must_be_right(names: &[&str]) {
    let mut wanted = cells(LIVE_BLOCKS);
    wanted.retain(|cell| names.contains(&cell.name.as_str()));
    assert_eq!(wanted.len(), names.len(), "a cell of that name is missing");
    let outcomes = join_all(wanted.iter().map(|cell| run(cell.clone(), SEED))).await;
    let mut happened = 0;
    for (cell, outcome) in wanted.iter().zip(outcomes) {
        assert!(outcome.is_right(), "{}: {outcome:?}", cell.name);
        assert!(outcome.reorgs > 0, "{}: there was no reorg", cell.name);
        happened += outcome.faults.values().sum::<u64>();
    }
    // One cell's few blocks may meet none of them by chance; all of them together do not.
    let is_faulty = wanted.iter().any(|cell| !cell.faults.is_empty());
    assert_eq!(happened > 0, is_faulty, "{happened} faults happened");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_endpoint_that_leaves_out_lags_and_breaks_loses_nothing() {
    must_be_right(&[
        "empty near head 30 % / one endpoint",
        "last log dropped 30 % / one endpoint",
        "3 behind 30 % / one endpoint",
        "a little of everything / one endpoint",
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_endpoint_does_not_let_the_first_ones_faults_in() {
    must_be_right(&[
        "last log dropped 30 % / two endpoints",
        "3 behind 30 % / two endpoints",
        "a little of everything / two endpoints",
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn branches_that_return_or_end_shorter_are_followed() {
    must_be_right(&[
        "a branch that comes back, no fault / one endpoint",
        "a shorter chain, no fault / one endpoint",
        "reorgs of empty blocks, no fault / one endpoint",
        "reorgs at the hand-over, no fault / one endpoint",
    ])
    .await;
}
