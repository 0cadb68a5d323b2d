//! The planner against endpoints with all kinds of limits.

use std::collections::{HashSet, VecDeque};

use inspay_ports::NamedLimits;
use proptest::prelude::*;

use super::{RangePlanner, RangeRequest, Refused};
use crate::settings::RangeSettings;

/// What an endpoint gives, and how it refuses.
#[derive(Clone, Copy, Debug, Default)]
struct Endpoint {
    blocks_max: Option<u64>,
    results_max: Option<u64>,
    names_blocks: bool,
    names_results: bool,
    /// What it names besides, whatever it gives.
    boasts: Option<u64>,
}

/// What a whole span took.
#[derive(Debug, Default)]
struct Taken {
    calls: u64,
    refusals: u64,
    by_receipts: Vec<u64>,
    at_once_max: usize,
    held_max: u64,
    transfers: u64,
}

impl Endpoint {
    fn answer(
        &self,
        request: RangeRequest,
        density: &dyn Fn(u64) -> u64,
    ) -> Result<u64, NamedLimits> {
        if let Some(most) = self.blocks_max.filter(|most| request.blocks() > *most) {
            return Err(NamedLimits {
                blocks_max: self.names_blocks.then_some(most),
                ..NamedLimits::NONE
            });
        }
        let transfers = (request.from..=request.to).map(density).sum();
        match self.results_max {
            Some(most) if transfers > most => Err(NamedLimits {
                results_max: self.boasts.or_else(|| self.names_results.then_some(most)),
                ..NamedLimits::NONE
            }),
            Some(_) | None => Ok(transfers),
        }
    }

    /// Reads a span, answering the oldest question first, and checks that each block is read once.
    fn read(
        &self,
        from: u64,
        to: u64,
        settings: RangeSettings,
        density: &dyn Fn(u64) -> u64,
    ) -> Taken {
        let mut planner = RangePlanner::new(from, to, settings);
        let mut under_way: VecDeque<RangeRequest> = VecDeque::new();
        let mut answered: Vec<(RangeRequest, u64)> = Vec::new();
        let mut refused: HashSet<RangeRequest> = HashSet::new();
        let mut taken = Taken::default();
        let mut next = from;
        while next <= to {
            while let Some(request) = planner.next_request() {
                assert!(!refused.contains(&request), "asked again unchanged: {request:?}");
                under_way.push_back(request);
            }
            taken.at_once_max = taken.at_once_max.max(under_way.len());
            let request = under_way.pop_front().expect("there is something to ask for");
            taken.calls += 1;
            match self.answer(request, density) {
                Ok(transfers) => {
                    planner.answered(request, usize::try_from(transfers).expect("small"));
                    answered.push((request, transfers));
                }
                Err(named) => {
                    taken.refusals += 1;
                    refused.insert(request);
                    if let Refused::ByReceipts(number) = planner.refused(request, named) {
                        assert_eq!((request.from, request.to), (number, number));
                        taken.by_receipts.push(number);
                        let transfers = density(number);
                        planner.answered(request, usize::try_from(transfers).expect("small"));
                        answered.push((request, transfers));
                    }
                }
            }
            let held = answered.iter().map(|(_, transfers)| transfers).sum();
            taken.held_max = taken.held_max.max(held);
            while let Some(place) = answered.iter().position(|(request, _)| request.from == next) {
                let (request, transfers) = answered.swap_remove(place);
                next = request.to + 1;
                taken.transfers += transfers;
                planner.taken(1, usize::try_from(transfers).expect("small"));
            }
        }
        assert_eq!(planner.next_request(), None);
        assert!(under_way.is_empty() && answered.is_empty(), "each block is asked for once");
        assert_eq!(next, to + 1);
        taken
    }
}

fn settings() -> RangeSettings {
    RangeSettings {
        answer_transfers: 8_000,
        transfers_in_flight: 16_000,
        ..RangeSettings::default()
    }
}

/// A quarter of the blocks is empty, some hold many.
fn bursts(number: u64) -> u64 {
    match number % 16 {
        0..4 => 0,
        4 if number.is_multiple_of(160) => 250,
        _ => number.wrapping_mul(2_654_435_761) % 4,
    }
}

#[test]
fn without_limits_a_dense_chain_takes_about_as_few_calls_as_memory_allows() {
    // 100,000 transfers, 100 in each block: 8,000 an answer.
    let taken = Endpoint::default().read(0, 999, settings(), &|_| 100);
    assert_eq!(taken.transfers, 100_000);
    assert!(taken.calls <= 16, "{taken:?}");
    assert_eq!(taken.refusals, 0);
    assert!(taken.held_max <= 16_000, "{taken:?}");
}

#[test]
fn without_limits_an_empty_chain_takes_a_handful_of_calls() {
    let taken = Endpoint::default().read(0, 1_000_000, settings(), &|_| 0);
    assert!(taken.calls <= 8, "{taken:?}");
}

#[test]
fn a_limit_of_results_costs_little_more_than_the_fewest_calls() {
    let density = |number| if number % 4 == 0 { 7 } else { 0 };
    for most in [1_000, 2_000, 5_000] {
        let endpoint = Endpoint { results_max: Some(most), ..Endpoint::default() };
        let taken = endpoint.read(0, 57_142, settings(), &density);
        let fewest = taken.transfers.div_ceil(most);
        assert!(taken.calls * 10 <= fewest * 13, "{most}: fewest {fewest}, {taken:?}");
    }
}

#[test]
fn bursts_within_a_limit_of_results_are_lived_with() {
    let endpoint = Endpoint { results_max: Some(1_000), ..Endpoint::default() };
    let taken = endpoint.read(0, 40_000, settings(), &bursts);
    let fewest = taken.transfers.div_ceil(1_000);
    assert!(taken.calls * 10 <= fewest * 16, "fewest {fewest}, {taken:?}");
}

#[test]
fn a_named_limit_of_blocks_is_learned_once() {
    let endpoint = Endpoint { blocks_max: Some(2_000), names_blocks: true, ..Endpoint::default() };
    let taken = endpoint.read(0, 199_999, settings(), &|_| 0);
    let fewest = 100;
    assert!(taken.calls * 10 <= fewest * 12, "{taken:?}");
    assert!(taken.refusals <= 6, "{taken:?}");
}

#[test]
fn a_limit_of_blocks_that_nobody_names_is_found() {
    let endpoint = Endpoint { blocks_max: Some(2_000), ..Endpoint::default() };
    let taken = endpoint.read(0, 399_999, settings(), &|_| 0);
    let fewest = 200;
    assert!(taken.calls <= fewest * 2, "{taken:?}");
}

#[test]
fn a_provider_with_both_limits_costs_little_more_than_the_fewest_calls() {
    // Like a hosted node: 2,000 blocks, 1,000 results, over 20,000 blocks with 35,000 transfers.
    let endpoint = Endpoint {
        blocks_max: Some(2_000),
        results_max: Some(1_000),
        names_blocks: true,
        names_results: false,
        boasts: None,
    };
    let taken = endpoint.read(0, 20_002, settings(), &bursts);
    let fewest = taken.transfers.div_ceil(1_000);
    assert!(taken.calls <= 70, "fewest {fewest}, {taken:?}");
    let naming = Endpoint { names_results: true, ..endpoint };
    let told = naming.read(0, 20_002, settings(), &bursts);
    assert!(told.calls <= taken.calls && told.refusals < taken.refusals, "{told:?} {taken:?}");
}

#[test]
fn a_named_limit_of_results_is_learned_at_once() {
    let endpoint =
        Endpoint { results_max: Some(1_000), names_results: true, ..Endpoint::default() };
    let taken = endpoint.read(0, 39_999, settings(), &|_| 2);
    let fewest = 80;
    assert_eq!(taken.refusals, 1, "{taken:?}");
    assert!(taken.calls * 10 <= fewest * 12, "{taken:?}");
    assert_eq!(taken.at_once_max, 4, "{taken:?}");
}

#[test]
fn a_node_that_gives_far_less_than_it_names_costs_little_more_than_the_fewest_calls() {
    let endpoint =
        Endpoint { results_max: Some(1_000), boasts: Some(10_000), ..Endpoint::default() };
    let taken = endpoint.read(0, 39_999, settings(), &|_| 2);
    let fewest = 80;
    assert!(taken.calls * 10 <= fewest * 13, "{taken:?}");
}

#[test]
fn a_range_that_the_node_proposes_is_no_rule_where_its_results_are_the_limit() {
    let mut planner = RangePlanner::new(0, 9_999, settings());
    let first = planner.next_request().expect("asks");
    planner.answered(first, 64);
    let second = planner.next_request().expect("asks");
    let named = NamedLimits { blocks_max: Some(100), results_max: Some(400) };
    assert_eq!(planner.refused(second, named), Refused::Split);
    let proposed = planner.next_request().expect("asks");
    assert_eq!(proposed, RangeRequest { from: 64, to: 163 });
    // Beyond what was proposed, as many as the limit of results allows.
    let next = planner.next_request().expect("asks at once");
    assert_eq!(next, RangeRequest { from: 164, to: 164 + 344 - 1 });
}

#[test]
fn a_block_that_is_too_large_by_itself_is_read_by_its_receipts() {
    let endpoint = Endpoint { results_max: Some(100), ..Endpoint::default() };
    let taken = endpoint.read(10, 60, settings(), &|number| if number == 33 { 150 } else { 1 });
    assert_eq!(taken.by_receipts, [33]);
    assert_eq!(taken.transfers, 200);
}

#[test]
fn no_more_is_under_way_than_the_settings_allow() {
    let sparse = Endpoint { blocks_max: Some(100), names_blocks: true, ..Endpoint::default() };
    for concurrency in [1, 2, 4, 9] {
        let settings = RangeSettings { concurrency, ..settings() };
        let taken = sparse.read(0, 9_999, settings, &|_| 1);
        assert_eq!(taken.at_once_max, concurrency);
    }
    let settings = RangeSettings { transfers_in_flight: 8_000, ..settings() };
    let taken = Endpoint::default().read(0, 999, settings, &|_| 100);
    assert_eq!(taken.at_once_max, 1, "one answer is all that memory allows");
}

#[test]
fn a_set_limit_of_blocks_is_never_passed() {
    let endpoint = Endpoint { blocks_max: Some(500), ..Endpoint::default() };
    let settings = RangeSettings { blocks_max: Some(500), ..settings() };
    let taken = endpoint.read(0, 49_999, settings, &|_| 0);
    assert_eq!((taken.refusals, taken.calls), (0, 64_u64.div_ceil(500) + 100));
}

#[test]
fn what_failed_is_asked_for_again_and_in_order() {
    let mut planner = RangePlanner::new(0, 127, settings());
    let first = planner.next_request().expect("asks");
    assert_eq!(first, RangeRequest { from: 0, to: 63 });
    assert_eq!(planner.next_request(), None, "one question, while nothing is known");
    planner.failed(first);
    assert_eq!(planner.next_request(), Some(first));
    planner.answered(first, 0);
    assert_eq!(planner.next_request(), Some(RangeRequest { from: 64, to: 127 }));
    assert_eq!(planner.next_request(), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_block_is_read_once_under_any_limits(
        from in 0u64..1_000,
        blocks in 1u64..20_000,
        blocks_max in prop::option::of(1u64..5_000),
        results_max in prop::option::of(1u64..3_000),
        names_blocks: bool,
        names_results: bool,
        boasts in prop::option::of(1u64..10_000),
        concurrency in 1usize..8,
        seed in 0u64..u64::MAX,
    ) {
        let endpoint = Endpoint { blocks_max, results_max, names_blocks, names_results, boasts };
        let density = move |number: u64| {
            let mixed = (number ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
            if mixed.is_multiple_of(97) { mixed % 400 } else { mixed % 3 }
        };
        let settings = RangeSettings { concurrency, ..settings() };
        let to = from + blocks - 1;
        let taken = endpoint.read(from, to, settings, &density);
        let all: u64 = (from..=to).map(density).sum();
        prop_assert_eq!(taken.transfers, all);
        let fewest = blocks_max.map_or(1, |most| blocks.div_ceil(most))
            + results_max.map_or(1, |most| all.div_ceil(boasts.map_or(most, |told| told.min(most))));
        // Far from one call a block, also where single blocks hold all that a node gives.
        let by_receipts = taken.by_receipts.len() as u64;
        prop_assert!(taken.calls <= 10 * fewest + 24 * by_receipts + 60, "{:?} {}", taken, fewest);
    }
}
