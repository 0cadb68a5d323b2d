//! A chain in memory and nodes that answer for it, well or badly, without a socket and on Tokio's clock.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use alloy::{
    consensus::{
        Header as Fields, Receipt, ReceiptEnvelope, TxReceipt, proofs::calculate_receipt_root,
    },
    primitives::{Address, B256, Bloom, Bytes, Log, LogData, U256, keccak256},
};
use async_trait::async_trait;
use inspay_chain_evm::{EvmChain, EvmChainSettings, HashCheck, Reply, ReplyLimits, Transport};
use inspay_ports::{ChainErrorKind, WatchFilter};
use inspay_primitives::ChainId;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

pub(crate) const CHAIN: ChainId = ChainId(7);
pub(crate) const TOKEN: Address = Address::repeat_byte(0x70);
pub(crate) const TREASURY: Address = Address::repeat_byte(0x7e);
const PAYER: Address = Address::repeat_byte(0x01);

pub(crate) fn filter() -> WatchFilter {
    WatchFilter { chain_id: CHAIN, tokens: [TOKEN].into(), treasuries: vec![(TREASURY, 0)] }
}

/// One block with a transfer to the treasury per chain transaction.
#[derive(Clone, Debug)]
struct Block {
    fields: Fields,
    hash: B256,
    tx_hashes: Vec<B256>,
}

/// The blocks of one branch, shared by the nodes on it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Branch(Arc<Mutex<Vec<Block>>>);

fn transfer_log(base_units: u64) -> Log {
    let topics = vec![
        keccak256("Transfer(address,address,uint256)"),
        PAYER.into_word(),
        TREASURY.into_word(),
    ];
    let word = U256::from(base_units).to_be_bytes::<32>();
    Log { address: TOKEN, data: LogData::new_unchecked(topics, Bytes::from(word)) }
}

fn receipts(count: usize) -> Vec<ReceiptEnvelope> {
    (0..count as u64)
        .map(|place| {
            let logs = vec![transfer_log(place + 1)];
            let receipt =
                Receipt { status: true.into(), cumulative_gas_used: 21_000 * (place + 1), logs };
            ReceiptEnvelope::Legacy(receipt.into_with_bloom())
        })
        .collect()
}

impl Branch {
    /// A chain of one empty block.
    pub(crate) fn new() -> Self {
        let branch = Self::default();
        branch.mine(0, 0);
        branch
    }

    /// Another branch that leaves this one above a block.
    pub(crate) fn fork_above(&self, number: usize) -> Self {
        let blocks = self.0.lock().unwrap();
        Self(Arc::new(Mutex::new(blocks[..=number].to_vec())))
    }

    /// Mines a block with so many payments; `salt` makes it another block than the same elsewhere.
    pub(crate) fn mine(&self, payments: usize, salt: u8) -> B256 {
        let mut blocks = self.0.lock().unwrap();
        let number = blocks.len() as u64;
        let receipts = receipts(payments);
        let bloom = receipts.iter().fold(Bloom::ZERO, |bloom, receipt| bloom | receipt.bloom());
        let fields = Fields {
            parent_hash: blocks.last().map_or(B256::ZERO, |parent| parent.hash),
            number,
            timestamp: 1_700_000_000 + number * 12,
            receipts_root: calculate_receipt_root(&receipts),
            logs_bloom: bloom,
            extra_data: Bytes::from(vec![salt]),
            ..Fields::default()
        };
        let hash = fields.hash_slow();
        let tx_hashes = (0..payments)
            .map(|place| keccak256([hash.as_slice(), place.to_be_bytes().as_slice()].concat()));
        blocks.push(Block { hash, tx_hashes: tx_hashes.collect(), fields });
        hash
    }

    pub(crate) fn mine_many(&self, blocks: u64) {
        for _ in 0..blocks {
            self.mine(0, 0);
        }
    }

    pub(crate) fn height(&self) -> u64 {
        self.0.lock().unwrap().len() as u64 - 1
    }
}

fn block_json(block: &Block) -> Value {
    let mut json = serde_json::to_value(&block.fields).unwrap();
    json["hash"] = json!(block.hash);
    json["transactions"] = block
        .tx_hashes
        .iter()
        .map(|hash| json!({"hash": hash, "to": TOKEN, "input": "0x"}))
        .collect();
    json
}

fn log_json(block: &Block, place: usize) -> Value {
    let log = transfer_log(place as u64 + 1);
    json!({
        "address": log.address, "topics": log.data.topics(), "data": log.data.data,
        "blockNumber": format!("{:#x}", block.fields.number), "blockHash": block.hash,
        "transactionHash": block.tx_hashes[place], "transactionIndex": format!("{place:#x}"),
        "logIndex": format!("{place:#x}"), "blockTimestamp": format!("{:#x}", block.fields.timestamp),
        "removed": false,
    })
}

fn receipt_json(block: &Block, place: usize) -> Value {
    json!({
        "transactionHash": block.tx_hashes[place], "transactionIndex": format!("{place:#x}"),
        "blockHash": block.hash, "type": "0x0", "status": "0x1",
        "cumulativeGasUsed": format!("{:#x}", 21_000 * (place + 1)),
        "logs": [log_json(block, place)],
    })
}

/// What a node does with a question.
#[derive(Clone, Debug)]
pub(crate) enum Habit {
    Honest,
    /// Never answers.
    Hangs,
    /// Answers after so long.
    Slow(Duration),
    /// Has not got the newest blocks.
    Behind(usize),
    /// Answers with a status, and how long to rest.
    Status(u16, Option<Duration>),
    /// Answers so many calls a second.
    Limited(u64),
    /// Changes what it answers to a method.
    Lies(&'static str, fn(&mut Value)),
    /// Refuses a method with a code and a message.
    Refuses(&'static str, i64, &'static str),
}

/// A node on a branch.
#[derive(Debug)]
pub(crate) struct Node {
    name: &'static str,
    branch: Mutex<Branch>,
    habit: Mutex<Habit>,
    asked: Mutex<HashMap<String, u64>>,
    second: Mutex<Option<(Instant, u64)>>,
}

impl Node {
    pub(crate) fn new(name: &'static str, branch: &Branch) -> Arc<Self> {
        Arc::new(Self {
            name,
            branch: Mutex::new(branch.clone()),
            habit: Mutex::new(Habit::Honest),
            asked: Mutex::default(),
            second: Mutex::default(),
        })
    }

    pub(crate) fn set(&self, habit: Habit) {
        *self.habit.lock().unwrap() = habit;
    }

    pub(crate) fn move_to(&self, branch: &Branch) {
        *self.branch.lock().unwrap() = branch.clone();
    }

    /// How often a method was asked.
    pub(crate) fn asked(&self, method: &str) -> u64 {
        self.asked.lock().unwrap().get(method).copied().unwrap_or_default()
    }

    /// How often anything was asked.
    pub(crate) fn asked_in_all(&self) -> u64 {
        self.asked.lock().unwrap().values().sum()
    }

    fn answer(&self, method: &str, params: &Value) -> Value {
        let habit = self.habit.lock().unwrap().clone();
        let branch = self.branch.lock().unwrap().clone();
        let blocks = branch.0.lock().unwrap();
        let behind = if let Habit::Behind(blocks) = habit { blocks } else { 0 };
        let blocks = &blocks[..blocks.len() - behind];
        let newest = blocks.len() - 1;
        let height = |told: &Value| match told.as_str().unwrap() {
            "latest" => newest,
            "safe" => newest.saturating_sub(8),
            "finalized" => newest.saturating_sub(16),
            number => usize::from_str_radix(number.trim_start_matches("0x"), 16).unwrap(),
        };
        let by_hash =
            || blocks.iter().find(|block| params[0].as_str() == Some(&block.hash.to_string()));
        let placed = || {
            let asked: B256 = serde_json::from_value(params[0].clone()).unwrap();
            blocks.iter().find_map(|block| {
                Some((block, block.tx_hashes.iter().position(|hash| *hash == asked)?))
            })
        };
        let all = |block: &Block, json: fn(&Block, usize) -> Value| -> Vec<Value> {
            (0..block.tx_hashes.len()).map(|place| json(block, place)).collect()
        };
        let mut result = match method {
            "eth_chainId" => json!(format!("{:#x}", CHAIN.0)),
            "eth_getBlockByNumber" => {
                blocks.get(height(&params[0])).map_or(Value::Null, block_json)
            }
            "eth_getBlockByHash" => by_hash().map_or(Value::Null, block_json),
            "eth_getBlockReceipts" => {
                by_hash().map_or(Value::Null, |block| all(block, receipt_json).into())
            }
            "eth_getTransactionReceipt" => {
                placed().map_or(Value::Null, |(block, place)| receipt_json(block, place))
            }
            "eth_getTransactionByHash" => {
                json!({"hash": params[0], "to": TOKEN, "input": "0x"})
            }
            "eth_getLogs" => {
                // All payments are incoming: the question for those going out has two topics.
                let is_in = params[0]["topics"].as_array().unwrap().len() == 3;
                let span = match params[0].get("blockHash") {
                    Some(hash) => blocks
                        .iter()
                        .position(|block| hash.as_str() == Some(&block.hash.to_string()))
                        .map_or(0..0, |at| at..at + 1),
                    None => {
                        let (from, to) = (&params[0]["fromBlock"], &params[0]["toBlock"]);
                        height(from)..(height(to) + 1).min(blocks.len())
                    }
                };
                let logs = blocks[span].iter().flat_map(|block| all(block, log_json));
                logs.filter(|_| is_in).collect()
            }
            // Whoever is asked for holds one unit for each payment so far.
            "eth_call" => {
                let hash = params[1]["blockHash"].as_str();
                let at = blocks.iter().position(|block| hash == Some(&block.hash.to_string()));
                let Some(at) = at else {
                    return json!({"error": {"code": -32000, "message": "header not found"}});
                };
                let held: usize = blocks[..=at].iter().map(|block| block.tx_hashes.len()).sum();
                json!(format!("{held:#066x}"))
            }
            _ => return json!({"error": {"code": -32601, "message": "Method not found"}}),
        };
        if let Habit::Refuses(about, code, message) = habit
            && about == method
        {
            return json!({"error": {"code": code, "message": message}});
        }
        if let Habit::Lies(about, lie) = habit
            && about == method
        {
            lie(&mut result);
        }
        json!({"result": result})
    }

    /// Whether so many calls are within the limit of this second.
    fn is_within(&self, limit: u64, calls: u64) -> bool {
        let now = Instant::now();
        let mut second = self.second.lock().unwrap();
        let (began_at, used) = match *second {
            Some((began_at, used)) if now < began_at + Duration::from_secs(1) => (began_at, used),
            _ => (now, 0),
        };
        let fits = used + calls <= limit;
        *second = Some((began_at, if fits { used + calls } else { used }));
        fits
    }
}

#[async_trait]
impl Transport for Node {
    fn host(&self) -> String {
        self.name.to_owned()
    }

    async fn post(&self, _: &str, body: Vec<u8>, _: ReplyLimits) -> Result<Reply, ChainErrorKind> {
        let asked: Value = serde_json::from_slice(&body).unwrap();
        let calls = asked.as_array().cloned().unwrap_or_else(|| vec![asked.clone()]);
        for call in &calls {
            let method = call["method"].as_str().unwrap().to_owned();
            *self.asked.lock().unwrap().entry(method).or_default() += 1;
        }
        let habit = self.habit.lock().unwrap().clone();
        match habit {
            Habit::Hangs => std::future::pending().await,
            Habit::Slow(after) => sleep(after).await,
            Habit::Status(status, rest) => {
                return Ok(Reply { status, rest, body: b"no".to_vec() });
            }
            Habit::Limited(limit) if !self.is_within(limit, calls.len() as u64) => {
                return Ok(Reply { status: 429, rest: None, body: b"slow down".to_vec() });
            }
            Habit::Honest
            | Habit::Behind(_)
            | Habit::Limited(_)
            | Habit::Lies(..)
            | Habit::Refuses(..) => sleep(Duration::from_millis(10)).await,
        }
        let replies: Vec<Value> = calls
            .iter()
            .map(|call| {
                let mut reply = self.answer(call["method"].as_str().unwrap(), &call["params"]);
                reply["id"] = call["id"].clone();
                reply
            })
            .collect();
        let told = if asked.is_array() { Value::Array(replies) } else { replies[0].clone() };
        Ok(Reply { status: 200, rest: None, body: told.to_string().into_bytes() })
    }
}

pub(crate) fn settings() -> EvmChainSettings {
    let mut settings = EvmChainSettings::new(CHAIN, Vec::new(), None);
    settings.jitter = false;
    settings.chain_tx_hash = HashCheck::Trust;
    settings
}

pub(crate) fn over(nodes: &[&Arc<Node>]) -> EvmChain {
    over_with(nodes, |_| {})
}

pub(crate) fn over_with(
    nodes: &[&Arc<Node>],
    change: impl FnOnce(&mut EvmChainSettings),
) -> EvmChain {
    let mut settings = settings();
    change(&mut settings);
    let transports = nodes.iter().map(|node| Arc::clone(node) as Arc<dyn Transport>).collect();
    EvmChain::over(settings, transports).unwrap()
}
