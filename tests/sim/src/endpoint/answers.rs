//! The honest answers of a node to the calls that the chain adapter makes.
//!
//! Never makes anything up: a call that it does not know is an error, as with any node.

use std::{fmt, sync::Arc};

use inspay_primitives::{Address, B256};
use serde_json::Value;

use super::profile::{Profile, View};
use crate::chain::{CHAIN, SimBlock, SimChain, TRANSFER_TOPIC};

/// A node's answer to one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// The text of its result.
    Result(String),
    /// A JSON-RPC error.
    Error(i64, String),
}

pub(crate) fn null() -> Told {
    Told::Result("null".to_owned())
}

fn refused(code: i64, message: impl fmt::Display) -> Told {
    Told::Error(code, message.to_string())
}

/// One call of a request.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) id: Value,
    pub(crate) method: String,
    pub(crate) params: Value,
}

impl Asked {
    /// The calls of a body, and whether it was a batch.
    pub(crate) fn read(body: &[u8]) -> (Vec<Self>, bool) {
        let one = |call: &Value| Self {
            id: call["id"].clone(),
            method: call["method"].as_str().unwrap_or_default().to_owned(),
            params: call["params"].clone(),
        };
        match serde_json::from_slice(body).unwrap_or(Value::Null) {
            Value::Array(calls) => (calls.iter().map(one).collect(), true),
            call @ (Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Object(_)) => (vec![one(&call)], false),
        }
    }

    fn hash(&self) -> Option<B256> {
        self.params[0].as_str()?.parse().ok()
    }
}

fn quantity(text: &Value) -> Option<u64> {
    u64::from_str_radix(text.as_str()?.strip_prefix("0x")?, 16).ok()
}

/// What one node knows when it is asked.
pub(crate) struct Node<'a> {
    pub(crate) number: usize,
    pub(crate) chain: &'a SimChain,
    pub(crate) view: &'a View,
    pub(crate) profile: &'a Profile,
    pub(crate) chain_id: u64,
}

impl Node<'_> {
    pub(crate) fn answer(&self, asked: &Asked) -> Told {
        match asked.method.as_str() {
            "eth_chainId" => Told::Result(format!("\"{:#x}\"", self.chain_id)),
            "eth_getBlockByNumber" => self.block_by_number(asked),
            "eth_getBlockByHash" => self.block_by_hash(asked),
            "eth_getBlockReceipts" => self.block_receipts(asked),
            "eth_getTransactionReceipt" => self.receipt(asked),
            "eth_getTransactionByHash" => self.chain_tx(asked),
            "eth_getLogs" => self.logs(asked),
            "eth_call" => self.balance(asked),
            other => refused(-32_601, format_args!("the method {other} does not exist")),
        }
    }

    /// The block that a call is about, if the node has it.
    pub(crate) fn block_of(&self, asked: &Asked) -> Option<Arc<SimBlock>> {
        match asked.method.as_str() {
            "eth_getBlockByNumber" => self.numbered(asked),
            "eth_getBlockByHash" | "eth_getBlockReceipts" => {
                self.view.by_hash(self.chain, &asked.hash()?)
            }
            _ => None,
        }
    }

    fn numbered(&self, asked: &Asked) -> Option<Arc<SimBlock>> {
        let head = self.view.head(self.chain);
        // A node that stays on a branch has never seen any block of it finalized.
        let below = self.view.branch.first().map_or(head.number(), |first| first.number() - 1);
        let (safe, finalized) = self.chain.tags();
        let (safe, finalized) = (safe.min(below), finalized.min(below));
        let at = |number: u64| self.view.at(self.chain, number);
        match asked.params[0].as_str()? {
            "latest" => Some(head),
            "safe" => self.profile.knows_tags.then(|| at(safe))?,
            "finalized" => self.profile.knows_tags.then(|| at(finalized))?,
            _ => at(quantity(&asked.params[0])?),
        }
    }

    fn block_by_number(&self, asked: &Asked) -> Told {
        self.numbered(asked).map_or_else(null, |block| Told::Result(block.header_json()))
    }

    fn block_by_hash(&self, asked: &Asked) -> Told {
        let Some(block) = self.block_of(asked) else { return null() };
        let is_full = asked.params[1].as_bool() == Some(true);
        Told::Result(if is_full { block.full_json() } else { block.header_json() })
    }

    fn block_receipts(&self, asked: &Asked) -> Told {
        if !self.profile.gives_block_receipts {
            return refused(-32_601, "the method eth_getBlockReceipts does not exist");
        }
        let Some(block) = self.block_of(asked) else { return null() };
        if self.view.is_unindexed(self.chain, &block) {
            return if self.view.answers_empty { Told::Result("[]".to_owned()) } else { null() };
        }
        Told::Result(format!("[{}]", block.receipts.join(",")))
    }

    /// The newest block of its view that holds a chain transaction, and the place in it.
    fn mined(&self, asked: &Asked) -> Option<(Arc<SimBlock>, usize)> {
        let hash = asked.hash()?;
        let head = self.view.head(self.chain).number();
        (0..=head).rev().find_map(|number| {
            let block = self.view.at(self.chain, number)?;
            let place = block.place_of(&hash)?;
            Some((block, place))
        })
    }

    fn receipt(&self, asked: &Asked) -> Told {
        let found =
            self.mined(asked).filter(|(block, _)| !self.view.is_unindexed(self.chain, block));
        let receipt = found.and_then(|(block, place)| block.receipts.get(place).cloned());
        receipt.map_or_else(null, Told::Result)
    }

    fn chain_tx(&self, asked: &Asked) -> Told {
        let found =
            self.mined(asked).filter(|(block, _)| !self.view.is_unindexed(self.chain, block));
        let chain_tx = found.and_then(|(block, place)| block.txs.get(place).cloned());
        chain_tx.map_or_else(null, |tx| Told::Result(tx.json.clone()))
    }

    fn logs(&self, asked: &Asked) -> Told {
        let wanted = &asked.params[0];
        let (Some(from), Some(to)) = (quantity(&wanted["fromBlock"]), quantity(&wanted["toBlock"]))
        else {
            return refused(-32_602, "invalid params");
        };
        if self.profile.range_max <= to.saturating_sub(from) {
            let most = self.profile.range_max;
            return refused(-32_005, format_args!("block range is too large, limited to {most}"));
        }
        let addresses = |list: &Value| -> Vec<Address> {
            let texts = list.as_array().map(Vec::as_slice).unwrap_or_default();
            texts.iter().filter_map(|text| text.as_str()?.parse().ok()).collect()
        };
        let words = |list: &Value| -> Option<Vec<Address>> {
            let texts = list.as_array()?;
            let word = |text: &Value| Some(Address::from_word(text.as_str()?.parse().ok()?));
            Some(texts.iter().filter_map(word).collect())
        };
        if wanted["topics"][0].as_str() != Some(TRANSFER_TOPIC.to_string().as_str()) {
            return refused(-32_602, "only transfers are indexed here");
        }
        let tokens = addresses(&wanted["address"]);
        let senders = words(&wanted["topics"][1]);
        let receivers = words(&wanted["topics"][2]);
        let is_one = |list: &Option<Vec<Address>>, side: Address| {
            list.as_ref().is_none_or(|list| list.contains(&side))
        };
        let mut found: Vec<String> = Vec::new();
        for number in from..=to {
            let Some(block) = self.view.at(self.chain, number) else { continue };
            if self.view.is_unindexed(self.chain, &block) {
                continue;
            }
            let fitting = block.logs.iter().filter(|log| {
                tokens.contains(&log.token)
                    && is_one(&senders, log.from)
                    && is_one(&receivers, log.to)
            });
            found.extend(fitting.map(|log| log.json.clone()));
        }
        Told::Result(format!("[{}]", found.join(",")))
    }

    /// `balanceOf` at a block's hash.
    fn balance(&self, asked: &Asked) -> Told {
        let call = &asked.params[0];
        let (token, input) =
            (call["to"].as_str(), call["data"].as_str().or(call["input"].as_str()));
        let hash = asked.params[1]["blockHash"].as_str().and_then(|text| text.parse::<B256>().ok());
        let (Some(token), Some(input), Some(hash)) = (token, input, hash) else {
            return refused(-32_602, "invalid params");
        };
        let holder = input.get(34..).and_then(|text| text.parse::<Address>().ok());
        let (Ok(token), Some(holder)) = (token.parse::<Address>(), holder) else {
            return refused(3, "execution reverted");
        };
        let Some(block) = self.view.by_hash(self.chain, &hash) else {
            return refused(-32_000, "header not found");
        };
        let here = self.view.at(self.chain, block.number());
        if here.is_none_or(|here| here.block.hash != hash) {
            return refused(-32_000, "hash is not currently canonical");
        }
        let held = block.balance(token, holder);
        Told::Result(format!("\"{}\"", B256::from(held)))
    }
}

/// The id that an honest node tells.
pub(crate) const HONEST_CHAIN_ID: u64 = CHAIN.0;
