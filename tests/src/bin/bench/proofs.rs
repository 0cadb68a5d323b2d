//! Catch-up of a long, thin chain with every proof, and against a node with limits: beside bare loops.

use std::time::Duration;

use inspay_devchain::{AnvilOptions, Deployment, Devchain};
use inspay_primitives::U256;
use serde_json::Value;

use crate::{
    Problem, Scale,
    bare_loop::{self, Counted, Cut},
    catch_up,
    figures::{median, time},
    limited_node::{LimitedNode, Limits},
    report::{Quantity, Report},
    stores::{Databases, KINDS},
};

/// The chain: so many parts of 250 blocks, of which one is full, 186 hold one transfer and the rest none.
const PARTS: u64 = 80;
const FULL_BLOCK: u64 = 251;
const THIN_BLOCKS: u64 = 186;
const EMPTY_BLOCKS: u64 = 63;
const ROUNDS: usize = 5;
/// Blocks of one request of the bare loop, where nothing limits it.
const BARE_BLOCKS: u64 = 2_000;
/// Two parts hold 874 transfers: no answer passes the limit of a thousand.
const KNOWN_BLOCKS: u64 = 500;
/// At forty milliseconds each, two at once are fifty a second.
const KNOWN_AT_ONCE: usize = 2;

fn limits(limit_code: i64) -> Limits {
    Limits {
        latency: Duration::from_millis(40),
        blocks_max: 2_000,
        results_max: 1_000,
        requests_a_second: 50,
        limit_code,
    }
}

/// What the chain holds.
#[derive(Clone, Copy, Debug)]
struct Built {
    transfers: u64,
    total: U256,
    first_block: u64,
    last_block: u64,
}

async fn build(chain: &Devchain, scale: Scale) -> Result<Built, Problem> {
    let usdt = chain.deployment().usdt;
    let first_block = chain.head().await?.number + 1;
    let (mut transfers, mut total) = (0, U256::ZERO);
    for _ in 0..scale.of(PARTS) {
        for (per_block, blocks) in [(FULL_BLOCK, 1), (1, THIN_BLOCKS)] {
            let bulk = chain.bulk_transfers(usdt, per_block, blocks).await?;
            transfers += bulk.transfers;
            total += bulk.total;
        }
        chain.mine(EMPTY_BLOCKS).await?;
    }
    let last_block = chain.head().await?.number;
    // Until all of it is finalized.
    chain.mine(8).await?;
    Ok(Built { transfers, total, first_block, last_block })
}

fn check(built: Built, counted: Counted) -> Result<Duration, Problem> {
    if (counted.transfers, counted.total) == (built.transfers, built.total) {
        return Ok(counted.took);
    }
    Err(format!("the bare loop read {counted:?} of {built:?}").into())
}

/// Our catch-up from these endpoints, which must end with the balances proven.
async fn ours(
    databases: &mut Databases,
    kind: &str,
    urls: &str,
    built: Built,
) -> Result<Value, Problem> {
    let told = catch_up::ours(databases, kind, urls, u64::MAX).await?;
    let is_right = told["transfers"] == built.transfers
        && told["total"] == built.total.to_string()
        && told["audited"] == true;
    if is_right { Ok(told) } else { Err(format!("{kind}: not {built:?}: {told}").into()) }
}

/// Builds the chain and measures it with every proof, from two endpoints of one node.
pub(crate) async fn measure(scale: Scale) -> Result<Vec<Report>, Problem> {
    let chain = Devchain::start(AnvilOptions::default()).await?;
    let built = build(&chain, scale).await?;
    let mut databases = Databases::start().await?;
    let mut reports = vec![every_proof(&chain, &mut databases, built).await?];
    for limit_code in [-32_000, -32_005] {
        reports.push(limited(&chain, &mut databases, built, limit_code).await?);
    }
    Ok(reports)
}

async fn every_proof(
    chain: &Devchain,
    databases: &mut Databases,
    built: Built,
) -> Result<Report, Problem> {
    let place = chain.deployment();
    let cut = Cut { from: built.first_block, to: built.last_block, blocks: BARE_BLOCKS };
    let mut report = Report::new(
        "proofs",
        format!(
            "Catch-up of {} treasury transfers in {} blocks with every proof: each range again from a second endpoint, \
             and the balances. Both endpoints are one node. The bare loop reads {BARE_BLOCKS} blocks a call and keeps \
             nothing. Medians of {ROUNDS} rounds in turn.",
            built.transfers,
            built.last_block - built.first_block + 1
        ),
    );
    let urls = format!("{0},{0}", place.http_url);
    let mut bare = Vec::new();
    let mut took = KINDS.map(|kind| (kind, Vec::new(), Value::Null));
    for _ in 0..ROUNDS {
        bare.push(check(built, bare_loop::read_plainly(place, cut).await?)?);
        for (kind, times, calls) in &mut took {
            let told = ours(databases, kind, &urls, built).await?;
            times.push(time(&told, "micros")?);
            *calls = told["calls"].clone();
        }
    }
    let bare = median(bare);
    report.add("bare loop", Quantity::Time(bare));
    for (kind, times, calls) in took {
        let took = median(times);
        let calls = calls.to_string().replace('"', "");
        report.add(format!("{kind}: catch-up, every proof {calls}"), Quantity::Time(took));
        let ratio = Quantity::time_ratio(took, bare);
        report.add_goal(format!("{kind}: times the bare loop"), ratio, Quantity::Ratio(220));
    }
    Ok(report)
}

/// The same chain behind limits.
async fn limited(
    chain: &Devchain,
    databases: &mut Databases,
    built: Built,
    limit_code: i64,
) -> Result<Report, Problem> {
    let node = LimitedNode::start(&chain.deployment().http_url, limits(limit_code)).await?;
    let place = Deployment { http_url: node.url.clone(), ..chain.deployment().clone() };
    let cut = Cut { from: built.first_block, to: built.last_block, blocks: KNOWN_BLOCKS };
    let mut report = Report::new(
        "limits",
        format!(
            "Catch-up of {} treasury transfers from a node with 40 ms latency, 2,000 blocks a range, 1,000 results an \
             answer, 50 requests a second; its limit error carries code {limit_code}. The bare loop knows that {KNOWN_BLOCKS} \
             blocks pass and has {KNOWN_AT_ONCE} calls under way. Medians of {ROUNDS} rounds in turn.",
            built.transfers
        ),
    );
    let (mut bare, mut took, mut asked) = (Vec::new(), Vec::new(), None);
    for _ in 0..ROUNDS {
        node.forget_pace();
        bare.push(check(built, bare_loop::read(&place, cut, KNOWN_AT_ONCE).await?)?);
        node.forget_pace();
        node.take_asked();
        let told = ours(databases, "postgres", &node.url, built).await?;
        took.push(time(&told, "micros")?);
        asked = Some(node.take_asked());
    }
    let (bare, took) = (median(bare), median(took));
    report.add("bare loop that knows the limits", Quantity::Time(bare));
    report.add("postgres: catch-up", Quantity::Time(took));
    if let Some(asked) = asked {
        report.add("requests, last round", Quantity::Count(asked.requests));
        report.add("requests that came too fast", Quantity::Count(asked.too_fast));
        report.add("ranges refused", Quantity::Count(asked.too_much));
    }
    let ratio = Quantity::time_ratio(took, bare);
    report.add_goal("postgres: times the bare loop", ratio, Quantity::Ratio(130));
    Ok(report)
}
