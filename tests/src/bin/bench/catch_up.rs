//! Catch-up: treasury transfers into the store, beside a bare `eth_getLogs` loop over the same chain.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use inspay_chain_evm::{EvmChain, EvmChainSettings};
use inspay_devchain::{AnvilOptions, Deployment, Devchain};
use inspay_ports::{Chain, Store};
use inspay_primitives::{Asset, AssetId, ChainId, Clock, Timestamp, U256};
use inspay_watcher::{FollowSettings, FollowedAsset, Follower, RangeSettings, Stepped};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde_json::{Map, Value, json};

use crate::{
    Problem, Scale,
    bare_loop::{self, Counted, Cut},
    figures::{answer, child as run_child, median, micros, number, peak_kib, time},
    report::{Quantity, Report},
    stores::{Databases, KINDS, open},
};

/// The chain: so many times so many full blocks, and as many empty ones.
const PARTS: u64 = 8;
const BLOCKS: u64 = 50;
const PER_BLOCK: u64 = 250;
const ROUNDS: usize = 5;
/// How many requests the tightest loop has under way at once.
const AT_ONCE: [usize; 4] = [1, 2, 3, 4];
/// 60 MB.
const PEAK: Quantity = Quantity::Kibibytes(60_000_000 / 1_024);

/// A clock that stands still: catch-up decides nothing by it.
#[derive(Debug)]
struct Standing;

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        Timestamp::from_chain_seconds(1_800_000_000)
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
    let place = chain.deployment();
    let first_block = chain.head().await?.number + 1;
    let (mut transfers, mut total) = (0, U256::ZERO);
    let blocks = scale.of(BLOCKS);
    for _ in 0..PARTS {
        let bulk = chain.bulk_transfers(place.usdt, PER_BLOCK, blocks).await?;
        transfers += bulk.transfers;
        total += bulk.total;
        chain.mine(blocks).await?;
    }
    let last_block = chain.head().await?.number;
    // Until all of it is finalized.
    chain.mine(8).await?;
    let held = chain.balance(place.usdt, place.treasury).await?;
    if held != total {
        return Err(format!("the treasury holds {held} instead of {total}").into());
    }
    Ok(Built { transfers, total, first_block, last_block })
}

fn follow_settings(place: &Deployment) -> FollowSettings {
    let chain_id = ChainId(place.chain_id);
    let listed = |contract, symbol: &str, decimals| {
        let id = AssetId { chain_id, contract };
        FollowedAsset::new(Asset { id, symbol: symbol.to_owned(), decimals })
    };
    let assets = vec![listed(place.inspi, "INSPI", 18), listed(place.usdt, "USDT", 6)];
    FollowSettings::new(chain_id, vec![(place.treasury, 0)], assets, Duration::from_secs(2))
}

/// Our catch-up as a process of its own: from an empty database to the books compared with the chain.
pub(crate) async fn child(database: &str, url: &str, to: &str) -> Result<(), Problem> {
    let meters = PrometheusBuilder::new().install_recorder()?;
    let place = Deployment::local(url.rsplit(':').next().unwrap_or_default().parse()?);
    let endpoints = url.split(',').map(str::parse).collect::<Result<_, _>>()?;
    let settings = EvmChainSettings::new(ChainId(place.chain_id), endpoints, None);
    let evm = Arc::new(EvmChain::new(settings)?);
    let store = open(database).await?;
    let mut follower = Follower::new(
        Arc::clone(&evm) as Arc<dyn Chain>,
        Arc::clone(&store),
        follow_settings(&place),
        Arc::new(Standing),
    );
    let started = Instant::now();
    let report = follower.backfill(0, to.parse()?, &mut |_| {}).await?;
    let took = started.elapsed();
    let peak_kib = peak_kib();
    let audited = matches!(report.audit, Stepped::Audited { .. });
    let (transfers, total) = held(&store, &place).await?;
    answer(&json!({
        "micros": micros(took)?,
        "transfers": transfers,
        "total": total.to_string(),
        "audited": audited,
        "audit": format!("{:?}", report.audit),
        "calls": calls(&meters),
        "rpc_calls": evm.rpc_calls(),
        "peak_kib": peak_kib,
    }))
}

async fn held(store: &Arc<dyn Store>, place: &Deployment) -> Result<(u64, U256), Problem> {
    let asset = AssetId { chain_id: ChainId(place.chain_id), contract: place.usdt };
    let totals = store.transfer_totals(asset, place.treasury, u64::MAX).await?;
    Ok((totals.count, totals.in_base_units))
}

/// RPC calls by their method.
fn calls(meters: &PrometheusHandle) -> Value {
    let mut calls: Map<String, Value> = Map::new();
    for line in meters.render().lines().filter(|line| line.starts_with("inspay_rpc_calls_total{")) {
        let method = line.split("method=\"").nth(1).and_then(|rest| rest.split('"').next());
        let count = line.rsplit(' ').next().and_then(|count| count.parse::<u64>().ok());
        if let (Some(method), Some(count)) = (method, count) {
            let before = calls.get(method).and_then(Value::as_u64).unwrap_or_default();
            calls.insert(method.to_owned(), json!(before + count));
        }
    }
    Value::Object(calls)
}

/// Runs it into a fresh database, from endpoints that are separated by commas.
pub(crate) async fn ours(
    databases: &mut Databases,
    kind: &str,
    url: &str,
    to: u64,
) -> Result<Value, Problem> {
    let database = databases.fresh(kind).await?;
    let told = run_child(&["child-catch-up", &database, url, &to.to_string()]).await;
    databases.remove(&database).await?;
    told
}

/// What the sides took, by name.
#[derive(Debug, Default)]
struct Rounds {
    plain: Vec<Duration>,
    tight: BTreeMap<usize, Vec<Duration>>,
    ours: BTreeMap<&'static str, Vec<Value>>,
}

async fn rounds(
    chain: &Devchain,
    databases: &mut Databases,
    built: Built,
    cut: Cut,
) -> Result<Rounds, Problem> {
    let place = chain.deployment();
    let mut rounds = Rounds::default();
    for _ in 0..ROUNDS {
        let check = |counted: Counted| {
            if (counted.transfers, counted.total) == (built.transfers, built.total) {
                Ok::<_, Problem>(counted.took)
            } else {
                Err(format!("the bare loop read {counted:?} of {built:?}").into())
            }
        };
        rounds.plain.push(check(bare_loop::read_plainly(place, cut).await?)?);
        for at_once in AT_ONCE {
            let took = check(bare_loop::read(place, cut, at_once).await?)?;
            rounds.tight.entry(at_once).or_default().push(took);
        }
        for kind in KINDS {
            let told = ours(databases, kind, &place.http_url, u64::MAX).await?;
            let is_right = told["transfers"] == built.transfers
                && told["total"] == built.total.to_string()
                && told["audited"] == true;
            if !is_right {
                return Err(format!("{kind} holds something else than {built:?}: {told}").into());
            }
            rounds.ours.entry(kind).or_default().push(told);
        }
    }
    Ok(rounds)
}

/// Builds a chain and measures both sides in turn.
pub(crate) async fn measure(scale: Scale) -> Result<Report, Problem> {
    let chain = Devchain::start(AnvilOptions::default()).await?;
    let built = build(&chain, scale).await?;
    let mut databases = Databases::start().await?;
    let span = built.last_block - built.first_block + 1;
    let per_answer = RangeSettings::default().answer_transfers;
    let blocks = (per_answer * span / built.transfers).max(1);
    let cut = Cut { from: built.first_block, to: built.last_block, blocks };
    let mut report = Report::new(
        "catch-up",
        format!(
            "Catch-up of {} treasury transfers in {span} blocks, every second part empty: medians of {ROUNDS} \
             rounds in turn. The bare loop reads {blocks} blocks a call, one direction, with the client library, and \
             keeps nothing; the tightest reads only topics and values of an answer.",
            built.transfers
        ),
    );
    let mut rounds = rounds(&chain, &mut databases, built, cut).await?;
    let plain = median(rounds.plain);
    let tight = rounds.tight.into_iter().map(|(at_once, times)| (median(times), at_once));
    let tight: Vec<(Duration, usize)> = tight.collect();
    report.add("bare loop", Quantity::Time(plain));
    report.add("bare loop: transfers", Quantity::rate(built.transfers, plain));
    for (took, at_once) in &tight {
        report.add(format!("tightest loop, {at_once} calls at once"), Quantity::Time(*took));
    }
    for kind in KINDS {
        let runs = rounds.ours.remove(kind).unwrap_or_default();
        let quarter = built.first_block + span / 4 - 1;
        let smaller = ours(&mut databases, kind, &chain.deployment().http_url, quarter).await?;
        let times = runs.iter().map(|told| time(told, "micros")).collect::<Result<_, _>>()?;
        let took = median(times);
        report.add(format!("{kind}: catch-up, proofs included"), Quantity::Time(took));
        report.add(format!("{kind}: transfers"), Quantity::rate(built.transfers, took));
        let ratio = Quantity::time_ratio(took, plain);
        report.add_goal(format!("{kind}: times the bare loop"), ratio, Quantity::Ratio(200));
        if let Some((best, at_once)) = tight.iter().min() {
            let hard = Quantity::time_ratio(took, *best);
            report.add(format!("{kind}: times the tightest loop of {at_once} calls at once"), hard);
        }
        add_memory(&mut report, kind, &runs, &smaller)?;
        add_calls(&mut report, kind, &runs, built.transfers.div_ceil(per_answer))?;
    }
    Ok(report)
}

fn add_memory(
    report: &mut Report,
    kind: &str,
    runs: &[Value],
    smaller: &Value,
) -> Result<(), Problem> {
    let peaks: Vec<u64> =
        runs.iter().map(|told| number(told, "peak_kib")).collect::<Result<_, _>>()?;
    let peak = Quantity::Kibibytes(peaks.into_iter().max().unwrap_or_default());
    report.add_goal(format!("{kind}: peak memory, worst round"), peak, PEAK);
    let quarter = Quantity::Kibibytes(number(smaller, "peak_kib")?);
    let of = number(smaller, "transfers")?;
    report.add(format!("{kind}: peak memory at {of} transfers"), quarter);
    Ok(())
}

/// The fewest possible are as many full answers as it takes, in each of both directions.
fn add_calls(report: &mut Report, kind: &str, runs: &[Value], answers: u64) -> Result<(), Problem> {
    let mut calls: Vec<u64> =
        runs.iter().map(|told| number(told, "rpc_calls")).collect::<Result<_, _>>()?;
    calls.sort_unstable();
    let most = calls.last().copied().unwrap_or_default();
    let usual = calls.get(calls.len() / 2).copied().unwrap_or_default();
    let by_method = runs.first().map(|told| told["calls"].to_string()).unwrap_or_default();
    let by_method = by_method.replace('"', "");
    report.add(format!("{kind}: RPC calls {by_method}"), Quantity::Count(usual));
    report.add(format!("{kind}: RPC calls, worst round"), Quantity::Count(most));
    let ratio = Quantity::ratio(u128::from(usual), u128::from(2 * answers));
    let fewest = 2 * answers;
    report.add_goal(format!("{kind}: times the fewest, {fewest}"), ratio, Quantity::Ratio(130));
    Ok(())
}
