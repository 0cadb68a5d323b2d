//! What reading costs on a local chain: ranges beside bare calls, and the way from a mined block to its
//! proven transfers. Run with `--release`.
#![expect(clippy::print_stdout, reason = "the result of the run")]

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

use alloy::{providers::Provider, rpc::types::Filter};
use futures::{StreamExt, stream};
use inspay_chain_evm::{EvmChain, EvmChainSettings};
use inspay_devchain::{AnvilOptions, Deployment, Devchain, Mining};
use inspay_ports::{Chain, WatchFilter};
use inspay_primitives::{ChainId, U256};
use serde_json::json;

type Failure = Box<dyn Error + Send + Sync>;

const BLOCKS: u64 = 200;
const PER_BLOCK: u64 = 500;
const ROUNDS: usize = 5;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let chain = Devchain::start(AnvilOptions::default()).await?;
    let at = chain.deployment().clone();
    let bulk = chain.bulk_transfers(at.usdt, PER_BLOCK, BLOCKS).await?;
    let (from, to) = (bulk.first_block, bulk.last_block);
    println!("{} transfers in blocks {from} to {to}", bulk.transfers);
    let filter = WatchFilter {
        chain_id: ChainId(at.chain_id),
        tokens: [at.usdt, at.inspi].into(),
        treasuries: vec![(at.treasury, 0)],
    };
    let mut settings =
        EvmChainSettings::new(ChainId(at.chain_id), vec![at.http_url.parse()?], None);
    settings.response_bytes_max = 1 << 30;
    settings.request_timeout = Duration::from_secs(60);
    settings.ws = Some(at.ws_url.parse()?);
    let reader = Arc::new(EvmChain::new(settings)?);
    for (blocks, at_once) in [(BLOCKS, 1), (50, 1), (50, 2), (20, 2), (10, 2), (10, 4)] {
        let mut bare = Vec::new();
        let mut ours = Vec::new();
        for _ in 0..ROUNDS {
            bare.push(bare_ranges(&at, from, to, blocks, at_once).await?);
            ours.push(our_ranges(&reader, &filter, from, to, blocks, at_once).await?);
        }
        println!(
            "ranges of {blocks} x {at_once}: bare {:?}, ours {:?} (medians of {ROUNDS})",
            median(bare),
            median(ours)
        );
    }
    let mut decoded = Vec::new();
    for _ in 0..ROUNDS {
        let started = Instant::now();
        let filter = Filter::new().from_block(from).to_block(to).address(at.usdt);
        let logs = chain.provider().get_logs(&filter.topic2(at.treasury.into_word())).await?;
        assert_eq!(u64::try_from(logs.len())?, bulk.transfers);
        decoded.push(started.elapsed());
    }
    println!("one alloy get_logs, decoded: {:?}", median(decoded));
    near_the_head(&chain, &reader, &filter).await
}

async fn bare_ranges(
    at: &Deployment,
    from: u64,
    to: u64,
    blocks: u64,
    at_once: usize,
) -> Result<Duration, Failure> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let started = Instant::now();
    let asked = ranges(from, to, blocks).map(|(from, to)| {
        let transfer = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef";
        let params = json!([{
            "fromBlock": format!("{from:#x}"), "toBlock": format!("{to:#x}"),
            "address": [at.usdt, at.inspi], "topics": [transfer, null, [at.treasury.into_word()]],
        }]);
        let body = json!({"jsonrpc": "2.0", "id": 0, "method": "eth_getLogs", "params": params});
        let request = client.post(&at.http_url).json(&body);
        async move { request.send().await?.bytes().await }
    });
    let read: Vec<_> = stream::iter(asked).buffered(at_once).collect().await;
    for bytes in read {
        assert!(!bytes?.is_empty());
    }
    Ok(started.elapsed())
}

async fn our_ranges(
    reader: &EvmChain,
    filter: &WatchFilter,
    from: u64,
    to: u64,
    blocks: u64,
    at_once: usize,
) -> Result<Duration, Failure> {
    let started = Instant::now();
    let asked = ranges(from, to, blocks).map(|(from, to)| reader.range(from, to, filter));
    let mut answers = stream::iter(asked).buffered(at_once);
    let mut transfers = 0;
    while let Some(answer) = answers.next().await {
        transfers += u64::try_from(answer?.transfers.len())?;
    }
    assert_eq!(transfers, BLOCKS * PER_BLOCK);
    Ok(started.elapsed())
}

fn ranges(from: u64, to: u64, blocks: u64) -> impl Iterator<Item = (u64, u64)> {
    let starts = (0..).map(move |at| from + at * blocks).take_while(move |start| *start <= to);
    starts.map(move |start| (start, to.min(start + blocks - 1)))
}

/// From the tick of a mined block to its proven transfers, beside one bare call for its logs.
async fn near_the_head(
    chain: &Devchain,
    reader: &EvmChain,
    filter: &WatchFilter,
) -> Result<(), Failure> {
    let at = chain.deployment();
    chain.set_mining(Mining::OnDemand).await?;
    let mut wake = reader.wake().ok_or("no WebSocket")?;
    let (mut heads, mut proofs, mut polls, mut bare) = (vec![], vec![], vec![], vec![]);
    for payment in 1..=200 {
        chain
            .transfer(at.usdt, chain.buyer(payment), at.treasury, U256::from(payment), None)
            .await?;
        wake.mark_unchanged();
        chain.mine(1).await?;
        wake.changed().await?;
        let started = Instant::now();
        let header = reader.head().await?;
        heads.push(started.elapsed());
        let started = Instant::now();
        let block = reader.proven_block(&header, filter).await?;
        proofs.push(started.elapsed());
        assert_eq!(block.transfers.len(), 1);
        let started = Instant::now();
        assert_eq!(reader.head().await?, header);
        polls.push(started.elapsed());
        let filter = Filter::new().at_block_hash(header.block.hash).address(at.usdt);
        let started = Instant::now();
        let logs = chain.provider().get_logs(&filter.topic2(at.treasury.into_word())).await?;
        bare.push(started.elapsed());
        assert_eq!(logs.len(), 1);
    }
    println!(
        "a block with one transfer: head told {:?}, head polled {:?}, proven {:?}; bare logs {:?} (medians of 200)",
        median(heads),
        median(polls),
        median(proofs),
        median(bare)
    );
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
