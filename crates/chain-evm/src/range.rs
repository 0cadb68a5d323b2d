//! Large ranges of finalized blocks, by `eth_getLogs`.
//!
//! Never proves anything: a node may leave logs out. Never asks for every address or every event: an
//! empty list in a filter means "all" to a node.

use std::collections::BTreeMap;

use inspay_ports::{ChainErrorKind, Header, RangeAnswer, WatchFilter};
use inspay_primitives::{B256, BlockRef, Timestamp, Transfer};
use serde_json::{Value, json};

use crate::{
    endpoint::Endpoint,
    log::{TRANSFER_TOPIC, ToldLog, TransferLog, transfer_in},
    pool::Pool,
    read_once::ReadOnce,
    reads,
    rpc::{Answer, Call},
    settings::EvmChainSettings,
    transfers::Numbering,
};

/// Calls that one range is.
const CALLS: u64 = 2;

pub(crate) async fn range(
    pool: &Pool,
    settings: &EvmChainSettings,
    from: u64,
    to: u64,
    filter: &WatchFilter,
) -> Result<RangeAnswer, ChainErrorKind> {
    let Some(question) = Question::new(from, to, filter) else {
        return Ok(RangeAnswer { from, to, transfers: vec![], told_by: None });
    };
    let once = (pool.endpoints().len() > 1).then(|| pool.logs_once());
    let asked = pool.ask_patiently(CALLS, &[], async |endpoint| {
        let transfers = question.ask_once(&endpoint, settings, filter, once).await?;
        Ok((endpoint.index(), transfers))
    });
    let (source, transfers) = asked.await?;
    pool.sources().note(from, to, source);
    Ok(RangeAnswer { from, to, transfers, told_by: Some(source) })
}

/// As [`range`], from an endpoint that did not answer it; `None` where there is only one, or none of the others will
/// tell. Where each has answered a part of it, or none is known to have, from another one than is asked first.
pub(crate) async fn second_range(
    pool: &Pool,
    settings: &EvmChainSettings,
    from: u64,
    to: u64,
    filter: &WatchFilter,
) -> Result<Option<RangeAnswer>, ChainErrorKind> {
    if pool.endpoints().len() < 2 {
        return Ok(None);
    }
    let Some(question) = Question::new(from, to, filter) else {
        return Ok(Some(RangeAnswer { from, to, transfers: vec![], told_by: None }));
    };
    let mut first = pool.sources().of(from, to);
    if first.is_empty() || first.len() == pool.endpoints().len() {
        first = pool.first().into_iter().collect();
    }
    let asked = pool.ask_patiently(CALLS, &first, async |endpoint| {
        let once = Some(pool.logs_once());
        let transfers = question.ask_once(&endpoint, settings, filter, once).await?;
        Ok((endpoint.index(), transfers))
    });
    match asked.await {
        Ok((source, transfers)) => {
            pool.heard_second();
            Ok(Some(RangeAnswer { from, to, transfers, told_by: Some(source) }))
        }
        Err(kind) if pool.goes_without_second(&first, &kind) => Ok(None),
        Err(kind) => Err(kind),
    }
}

/// The two questions that a range is: transfers in, and transfers out.
#[derive(Debug)]
pub(crate) struct Question {
    span: Span,
    words: Vec<B256>,
    calls: [Call; 2],
}

impl Question {
    /// `None` where nothing is followed in the range, or there are no blocks in it.
    pub(crate) fn new(from: u64, to: u64, filter: &WatchFilter) -> Option<Self> {
        let words: Vec<B256> = filter
            .treasuries
            .iter()
            .filter(|(_, first_block)| *first_block <= to)
            .map(|(treasury, _)| treasury.into_word())
            .collect();
        if words.is_empty() || filter.tokens.is_empty() || to < from {
            return None;
        }
        let span = Span { from, to, hash: None };
        Some(Self { span, calls: span.calls(filter, &words), words })
    }

    /// The same questions about one block, by its hash.
    pub(crate) fn of_block(header: &Header, filter: &WatchFilter) -> Option<Self> {
        let number = header.block.number;
        let mut question = Self::new(number, number, filter)?;
        question.span.hash = Some(header.block.hash);
        question.calls = question.span.calls(filter, &question.words);
        Some(question)
    }

    pub(crate) async fn ask(
        &self,
        endpoint: &Endpoint,
        settings: &EvmChainSettings,
        filter: &WatchFilter,
    ) -> Result<Vec<Transfer>, ChainErrorKind> {
        self.ask_once(endpoint, settings, filter, None).await
    }

    /// As [`Self::ask`]; where several endpoints are asked the same, with what reads their answers.
    pub(crate) async fn ask_once(
        &self,
        endpoint: &Endpoint,
        settings: &EvmChainSettings,
        filter: &WatchFilter,
        once: Option<&ReadOnce<Vec<ToldLog>>>,
    ) -> Result<Vec<Transfer>, ChainErrorKind> {
        let answers = match once {
            Some(once) => endpoint.batch_once(&self.calls, once).await?,
            None => endpoint.batch(&self.calls).await?.into(),
        };
        let [into, out] = &*answers else {
            let text = "two questions, another number of answers".to_owned();
            return Err(ChainErrorKind::Contradiction(text));
        };
        let (into, out) = (self.span.placed(into)?, self.span.placed(out)?);
        let times = block_times(endpoint, settings, &[&into, &out]).await?;
        numbered(filter, &into, &out, &times)
    }
}

#[derive(Clone, Copy, Debug)]
struct Span {
    from: u64,
    to: u64,
    /// The hash of the one block that is asked for.
    hash: Option<B256>,
}

/// A log of a range, checked as far as it can be alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PlacedLog {
    number: u64,
    block_hash: B256,
    seconds: Option<u64>,
    log: TransferLog,
}

impl Span {
    fn calls(self, filter: &WatchFilter, treasuries: &[B256]) -> [Call; 2] {
        [
            self.logs_call(filter, &json!([TRANSFER_TOPIC, null, treasuries])),
            self.logs_call(filter, &json!([TRANSFER_TOPIC, treasuries])),
        ]
    }

    fn logs_call(self, filter: &WatchFilter, topics: &Value) -> Call {
        let mut asked = json!({"address": filter.tokens, "topics": topics});
        if let Some(hash) = self.hash {
            asked["blockHash"] = json!(hash);
        } else {
            asked["fromBlock"] = json!(format!("{:#x}", self.from));
            asked["toBlock"] = json!(format!("{:#x}", self.to));
        }
        Call::new("eth_getLogs", json!([asked]))
    }

    /// The logs in chain order, each once.
    fn placed(self, told: &Answer<Vec<ToldLog>>) -> Result<Vec<PlacedLog>, ChainErrorKind> {
        let wrong =
            |text: String| ChainErrorKind::Contradiction(format!("a range of logs: {text}"));
        let told = told.as_ref().map_err(Clone::clone)?;
        let told = told.as_ref().ok_or_else(|| wrong("null is not a list".to_owned()))?;
        let mut placed = Vec::with_capacity(told.len());
        for told in told {
            let number = told.block_number.0;
            if number < self.from || self.to < number {
                let Self { from, to, .. } = self;
                return Err(wrong(format!("asked for {from} to {to}, told of block {number}")));
            }
            if self.hash.is_some_and(|asked| asked != told.block_hash) {
                return Err(wrong(format!("a log of another block {number} than asked for")));
            }
            if told.removed {
                return Err(wrong(format!("a log of block {number} is said to be removed")));
            }
            let log_index = u32::try_from(told.log_index.0)
                .map_err(|_| wrong("a log index beyond 32 bits".to_owned()))?;
            // Four topics, or no word: an event of the same name that moves no tokens.
            let Some((from, to, base_units)) = transfer_in(told.topics.as_slice(), told.data.0)
            else {
                continue;
            };
            placed.push(PlacedLog {
                number,
                block_hash: told.block_hash,
                seconds: told.block_timestamp.map(|time| time.0).filter(|seconds| 0 < *seconds),
                log: TransferLog {
                    token: told.address,
                    from,
                    to,
                    base_units,
                    tx_hash: told.transaction_hash,
                    log_index,
                },
            });
        }
        let place = |placed: &PlacedLog| (placed.number, placed.log.log_index);
        placed.sort_by_key(place);
        placed.dedup();
        for (before, after) in placed.iter().zip(placed.iter().skip(1)) {
            if place(before) == place(after) {
                let (number, index) = place(after);
                return Err(wrong(format!("two different logs {index} in block {number}")));
            }
            if before.number == after.number && before.block_hash != after.block_hash {
                return Err(wrong(format!("two hashes of block {}", after.number)));
            }
        }
        Ok(placed)
    }
}

/// The block of each height that has logs, with its time from a log or, where none tells, from its header.
async fn block_times(
    endpoint: &Endpoint,
    settings: &EvmChainSettings,
    logs: &[&[PlacedLog]],
) -> Result<BTreeMap<u64, BlockRef>, ChainErrorKind> {
    let mut hashes: BTreeMap<u64, (B256, Option<u64>)> = BTreeMap::new();
    for log in logs.iter().copied().flatten() {
        let (hash, seconds) = hashes.entry(log.number).or_insert((log.block_hash, log.seconds));
        if *hash != log.block_hash {
            let text = format!("a range of logs: two hashes of block {}", log.number);
            return Err(ChainErrorKind::Contradiction(text));
        }
        *seconds = seconds.or(log.seconds);
    }
    let untold: Vec<u64> = hashes
        .iter()
        .filter(|(_, (_, seconds))| seconds.is_none())
        .map(|(number, _)| *number)
        .collect();
    let mut blocks: BTreeMap<u64, BlockRef> = hashes
        .iter()
        .filter_map(|(number, (hash, seconds))| {
            let time = Timestamp::from_chain_seconds((*seconds)?);
            Some((*number, BlockRef { number: *number, hash: *hash, time }))
        })
        .collect();
    for header in reads::headers_at(endpoint, settings, &untold).await? {
        let number = header.block.number;
        if hashes.get(&number).is_none_or(|(hash, _)| *hash != header.block.hash) {
            let text = format!("a range of logs: the header of block {number} has another hash");
            return Err(ChainErrorKind::Contradiction(text));
        }
        blocks.insert(number, header.block);
    }
    Ok(blocks)
}

fn numbered(
    filter: &WatchFilter,
    into: &[PlacedLog],
    out: &[PlacedLog],
    blocks: &BTreeMap<u64, BlockRef>,
) -> Result<Vec<Transfer>, ChainErrorKind> {
    let block_of = |log: &PlacedLog| {
        blocks.get(&log.number).copied().ok_or_else(|| {
            ChainErrorKind::Contradiction(format!(
                "a range of logs: no time of block {}",
                log.number
            ))
        })
    };
    let unasked = |log: &PlacedLog| {
        let text = format!(
            "a range of logs: log {} of block {} was not asked for",
            log.log.log_index, log.number
        );
        ChainErrorKind::Contradiction(text)
    };
    let asked = |log: &PlacedLog, side: inspay_primitives::Address| {
        filter.tokens.contains(&log.log.token)
            && filter.treasuries.iter().any(|(treasury, _)| *treasury == side)
    };
    let mut numbering = Numbering::new(filter);
    let mut transfers = Vec::with_capacity(into.len() + out.len());
    for log in into {
        if !asked(log, log.log.to) {
            return Err(unasked(log));
        }
        transfers.extend(numbering.incoming(&log.log, block_of(log)?));
    }
    for log in out {
        if !asked(log, log.log.from) {
            return Err(unasked(log));
        }
        transfers.extend(numbering.outgoing(&log.log, block_of(log)?));
    }
    // Stable: of one log that is both, the transfer in comes first, as in a block read by itself.
    transfers.sort_by_key(|transfer| (transfer.block.number, transfer.log_index));
    Ok(transfers)
}
