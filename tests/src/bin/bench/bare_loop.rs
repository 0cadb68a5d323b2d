//! The floor of catching up: `eth_getLogs` over fixed ranges, decoded, counted, thrown away.
//!
//! Two of them: the plain loop over a client library, and the tightest that we could write, which reads nothing of
//! an answer but topics and values.
//!
//! Never proves, orders, stores or retries anything.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use alloy::{
    providers::{Provider as _, ProviderBuilder},
    rpc::types::Filter,
    sol,
    sol_types::SolEvent as _,
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use inspay_devchain::Deployment;
use inspay_primitives::U256;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Problem;

const TRANSFER_TOPIC: &str = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef";

sol! {
    event Transfer(address indexed from, address indexed to, uint256 value);
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

/// A span of the chain, and how it is cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// Blocks of one request.
    pub(crate) blocks: u64,
}

/// Transfers to the treasury and their sum, with the time it took to read them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    pub(crate) transfers: u64,
    pub(crate) total: U256,
    pub(crate) took: Duration,
}

/// Reads the span as anybody would: the client library's `get_logs`, one range after another, each log decoded.
pub(crate) async fn read_plainly(place: &Deployment, cut: Cut) -> Result<Counted, Problem> {
    let provider = ProviderBuilder::new().connect_http(place.http_url.parse()?);
    let filter = Filter::new()
        .address(vec![place.inspi, place.usdt])
        .event_signature(Transfer::SIGNATURE_HASH)
        .topic2(place.treasury.into_word());
    let started = Instant::now();
    let (mut transfers, mut total) = (0, U256::ZERO);
    for from in (cut.from..=cut.to).step_by(usize::try_from(cut.blocks)?) {
        let to = (from + cut.blocks - 1).min(cut.to);
        for log in provider.get_logs(&filter.clone().from_block(from).to_block(to)).await? {
            let paid = log.log_decode_validate::<Transfer>()?.inner.data;
            transfers += 1;
            total += paid.value;
        }
    }
    Ok(Counted { transfers, total, took: started.elapsed() })
}

/// Reads the span with so many requests at once, each decoded on a task of its own.
pub(crate) async fn read(place: &Deployment, cut: Cut, at_once: usize) -> Result<Counted, Problem> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let url: Arc<str> = place.http_url.as_str().into();
    let starts: Vec<u64> = (cut.from..=cut.to).step_by(usize::try_from(cut.blocks)?).collect();
    let started = Instant::now();
    let parts: Vec<(u64, U256)> = stream::iter(starts)
        .map(|from| {
            let to = (from + cut.blocks - 1).min(cut.to);
            let filter = json!([{
                "fromBlock": format!("{from:#x}"), "toBlock": format!("{to:#x}"),
                "address": [place.inspi, place.usdt],
                "topics": [TRANSFER_TOPIC, null, place.treasury.into_word()],
            }]);
            let asked = tokio::spawn(ask(client.clone(), Arc::clone(&url), filter));
            async move { asked.await? }
        })
        .buffered(at_once)
        .try_collect()
        .await?;
    let took = started.elapsed();
    let transfers = parts.iter().map(|(count, _)| count).sum();
    let total = parts.iter().fold(U256::ZERO, |sum, (_, part)| sum + *part);
    Ok(Counted { transfers, total, took })
}

async fn ask(
    client: reqwest::Client,
    url: Arc<str>,
    filter: Value,
) -> Result<(u64, U256), Problem> {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_getLogs", "params": filter });
    let told = client.post(&*url).json(&body).send().await?.bytes().await?;
    let answer: BareAnswer<'_> = serde_json::from_slice(&told)?;
    let mut sum = U256::ZERO;
    for log in &answer.result {
        if log.topics.len() == 3 {
            sum += log.data.parse::<U256>()?;
        }
    }
    Ok((u64::try_from(answer.result.len())?, sum))
}
