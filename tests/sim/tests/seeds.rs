//! A small part of what `make sim` runs, and every planted bug.

use inspay_sim::{Outcome, Plant, Run, run};

fn ran(seed: u64, blocks: u64, plant: Option<Plant>) -> Outcome {
    run(Run { seed, blocks, plant, stubborn: false, trace: false }).expect("a runtime")
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in [3, 4] {
        let (once, again) = (ran(seed, 60, None), ran(seed, 60, None));
        assert_eq!((once.trace_hash, once.trace_lines), (again.trace_hash, again.trace_lines));
        assert_eq!(once.tally, again.tally);
    }
    assert_ne!(ran(3, 60, None).trace_hash, ran(4, 60, None).trace_hash);
}

#[test]
fn no_law_is_broken() {
    for seed in 1..=12 {
        let outcome = ran(seed, 80, None);
        assert_eq!(outcome.breach, None, "sim --seeds 1 --from {seed} --blocks 80 --trace");
    }
}

/// The blocks of a run with a planted bug.
const BLOCKS: u64 = 90;

fn is_found(plant: Plant) -> bool {
    (1..=plant.seeds()).any(|seed| ran(seed, BLOCKS, Some(plant)).breach.is_some())
}

#[test]
fn every_planted_bug_is_found_within_its_seeds() {
    let half = Plant::ALL.len().div_ceil(2);
    std::thread::scope(|scope| {
        for plants in Plant::ALL.chunks(half) {
            scope.spawn(|| {
                for plant in plants.iter().copied() {
                    let most = plant.seeds();
                    assert!(is_found(plant), "{} was not found in {most} seeds", plant.code());
                }
            });
        }
    });
}
