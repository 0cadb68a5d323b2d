//! Catch-up: treasury transfers into the store, beside a bare `eth_getLogs` loop over the same chain.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use inspay_chain_evm::{EvmChain, EvmChainSettings};
use inspay_devchain::{AnvilOptions, Bulk, Devchain};
use inspay_ports::Chain;
use inspay_primitives::{Asset, AssetId, ChainId, Clock, Timestamp, U256};
use inspay_watcher::{FollowSettings, FollowedAsset, Follower, Stepped};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Problem,
    figures::{
        answer, child as run_child, median, mib, millis, number, peak_kib, per_second, ratio, say,
    },
    stores::{Databases, KINDS, open},
};

const PER_BLOCK: u64 = 250;
const BLOCKS: u64 = 400;
const ROUNDS: usize = 5;
const TRANSFER_TOPIC: &str = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef";

/// A clock that stands still: catch-up decides nothing by it.
#[derive(Debug)]
struct Standing;

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        Timestamp::from_chain_seconds(1_800_000_000)
    }
}

/// What a bare loop needs of a log.
#[derive(Deserialize)]
struct BareLog<'a> {
    #[serde(borrow)]
    topics: Vec<&'a str>,
    data: &'a str,
}

#[derive(Deserialize)]
struct BareAnswer<'a> {
    #[serde(borrow)]
    result: Vec<BareLog<'a>>,
}

/// Asks for ranges, decodes values, counts and adds up; keeps nothing.
async fn bare(
    chain: &Devchain,
    bulk: &Bulk,
    blocks: u64,
    at_once: usize,
) -> Result<Duration, Problem> {
    let place = chain.deployment();
    let client = reqwest::Client::builder().no_proxy().build()?;
    let starts: Vec<u64> =
        (bulk.first_block..=bulk.last_block).step_by(usize::try_from(blocks)?).collect();
    let started = Instant::now();
    let counted: Vec<(u64, U256)> = stream::iter(starts)
        .map(|from| {
            let to = (from + blocks - 1).min(bulk.last_block);
            let filter = json!([{
                "fromBlock": format!("{from:#x}"), "toBlock": format!("{to:#x}"), "address": place.usdt,
                "topics": [TRANSFER_TOPIC, null, place.treasury.into_word()],
            }]);
            let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_getLogs", "params": filter });
            let request = client.post(&place.http_url).json(&body);
            async move {
                let text = request.send().await?.text().await?;
                let answer: BareAnswer<'_> = serde_json::from_str(&text)?;
                let mut sum = U256::ZERO;
                for log in &answer.result {
                    if log.topics.len() == 3 {
                        sum += log.data.parse::<U256>()?;
                    }
                }
                Ok::<_, Problem>((u64::try_from(answer.result.len())?, sum))
            }
        })
        .buffered(at_once)
        .try_collect()
        .await?;
    let took = started.elapsed();
    let count: u64 = counted.iter().map(|(count, _)| count).sum();
    let total = counted.iter().fold(U256::ZERO, |sum, (_, part)| sum + *part);
    if (count, total) != (bulk.transfers, bulk.total) {
        return Err(format!("the bare loop read {count} transfers of {total}").into());
    }
    Ok(took)
}

/// Our catch-up as a process of its own: from an empty database to the books compared with the chain.
pub(crate) async fn child(database: &str, url: &str, to: &str) -> Result<(), Problem> {
    let place =
        inspay_devchain::Deployment::local(url.rsplit(':').next().unwrap_or_default().parse()?);
    let chain_id = ChainId(place.chain_id);
    let settings = EvmChainSettings::new(chain_id, vec![url.parse()?], None);
    let evm = Arc::new(EvmChain::new(settings)?);
    let listed = |contract, symbol: &str, decimals| {
        FollowedAsset::new(Asset {
            id: AssetId { chain_id, contract },
            symbol: symbol.to_owned(),
            decimals,
        })
    };
    let assets = vec![listed(place.inspi, "INSPI", 18), listed(place.usdt, "USDT", 6)];
    let follow =
        FollowSettings::new(chain_id, vec![(place.treasury, 0)], assets, Duration::from_secs(2));
    let store = open(database).await?;
    let mut follower = Follower::new(
        Arc::clone(&evm) as Arc<dyn Chain>,
        Arc::clone(&store),
        follow,
        Arc::new(Standing),
    );
    let started = Instant::now();
    let report = follower.backfill(0, to.parse()?, &mut |_| {}).await?;
    let took = started.elapsed();
    let totals = store
        .transfer_totals(AssetId { chain_id, contract: place.usdt }, place.treasury, u64::MAX)
        .await?;
    answer(&json!({
        "micros": u64::try_from(took.as_micros())?,
        "transfers": totals.count,
        "total": totals.in_base_units.to_string(),
        "whole": matches!(report.audit, Stepped::Audited { .. } | Stepped::Idle(_)),
        "audit": format!("{:?}", report.audit),
        "rpc_calls": evm.rpc_calls(),
        "peak_kib": peak_kib(),
    }))
}

async fn ours(
    databases: &mut Databases,
    kind: &str,
    url: &str,
    to: u64,
) -> Result<(Duration, Value), Problem> {
    let database = databases.fresh(kind).await?;
    let told = run_child(&["child-catch-up", &database, url, &to.to_string()]).await?;
    if told["whole"] != true {
        return Err(format!("catch-up is not whole: {told}").into());
    }
    Ok((Duration::from_micros(number(&told, "micros")?), told))
}

/// Builds a chain and measures both sides in turn.
pub(crate) async fn measure() -> Result<(), Problem> {
    let chain = Devchain::start(AnvilOptions::default()).await?;
    let bulk = chain.bulk_transfers(chain.deployment().usdt, PER_BLOCK, BLOCKS).await?;
    chain.mine(100).await?;
    let url = chain.deployment().http_url.clone();
    let mut databases = Databases::start().await?;
    say(&format!(
        "catch-up: {} treasury transfers in blocks {} to {}, medians of {ROUNDS} rounds in turn",
        bulk.transfers, bulk.first_block, bulk.last_block
    ));
    // The bare loop's best way over this chain: lengths and concurrency are tried first.
    let mut best = (Duration::MAX, 32, 1);
    for (blocks, at_once) in [(400, 1), (80, 1), (32, 1), (32, 2), (16, 2), (16, 4)] {
        let took = bare(&chain, &bulk, blocks, at_once).await?;
        best = best.min((took, blocks, at_once));
    }
    let (_, blocks, at_once) = best;
    let mut floor = Vec::new();
    let mut sides: BTreeMap<&str, Vec<(Duration, Value)>> = BTreeMap::new();
    for _ in 0..ROUNDS {
        floor.push(bare(&chain, &bulk, blocks, at_once).await?);
        for kind in KINDS {
            let side = ours(&mut databases, kind, &url, u64::MAX).await?;
            if side.1["transfers"] != bulk.transfers || side.1["total"] != bulk.total.to_string() {
                return Err(format!("{kind} holds something else: {}", side.1).into());
            }
            sides.entry(kind).or_default().push(side);
        }
    }
    let floor = median(floor);
    say(&format!(
        "  bare eth_getLogs, {blocks} blocks a call, {at_once} at once: {}, {} transfers/s",
        millis(floor),
        per_second(bulk.transfers, floor)
    ));
    for kind in KINDS {
        let runs = sides.remove(kind).unwrap_or_default();
        let took = median(runs.iter().map(|(took, _)| *took).collect());
        let told = runs.first().map(|(_, told)| told.clone()).unwrap_or_default();
        let quarter = bulk.first_block + (bulk.last_block - bulk.first_block) / 4;
        let (_, smaller) = ours(&mut databases, kind, &url, quarter).await?;
        say(&format!(
            "  {kind}: {}, {} transfers/s, {} times the bare loop (goal 2.00)",
            millis(took),
            per_second(bulk.transfers, took),
            ratio(took, floor)
        ));
        say(&format!(
            "    peak memory {} (goal 60), with a quarter of the transfers {}; {} RPC calls in all",
            mib(number(&told, "peak_kib")?),
            mib(number(&smaller, "peak_kib")?),
            number(&told, "rpc_calls")?
        ));
    }
    Ok(())
}
