//! Logs as nodes tell them, with no more read than is needed.
//!
//! Never takes a log for a transfer that is not exactly one: three topics and one word.

use std::fmt;

use alloy::primitives::{B256, b256};
use inspay_primitives::{Address, U256};
use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};

use crate::wire::{OneWord, Quantity};

/// `Transfer(address,address,uint256)`.
pub(crate) const TRANSFER_TOPIC: B256 =
    b256!("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");

/// A log with its payload as `D`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "D: Deserialize<'de>"))]
pub(crate) struct ToldLog<D = OneWord> {
    pub address: Address,
    pub topics: Topics,
    pub data: D,
    pub block_number: Quantity,
    pub block_hash: B256,
    pub transaction_hash: B256,
    pub log_index: Quantity,
    #[serde(default)]
    pub block_timestamp: Option<Quantity>,
    #[serde(default)]
    pub removed: bool,
}

/// At most four topics, kept in place: a range has a hundred thousand of them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Topics {
    topics: [B256; 4],
    count: usize,
}

impl Topics {
    pub(crate) fn as_slice(&self) -> &[B256] {
        self.topics.get(..self.count).unwrap_or_default()
    }
}

impl<'de> Deserialize<'de> for Topics {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TopicsVisitor;

        impl<'de> Visitor<'de> for TopicsVisitor {
            type Value = Topics;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("at most four topics")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut told: A) -> Result<Topics, A::Error> {
                let mut topics = Topics::default();
                while let Some(topic) = told.next_element()? {
                    let place = topics.topics.get_mut(topics.count);
                    *place.ok_or_else(|| serde::de::Error::invalid_length(5, &self))? = topic;
                    topics.count += 1;
                }
                Ok(topics)
            }
        }

        deserializer.deserialize_seq(TopicsVisitor)
    }
}

/// A `Transfer` log of some token: who, to whom, how much, and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TransferLog {
    pub token: Address,
    pub from: Address,
    pub to: Address,
    pub base_units: U256,
    pub tx_hash: B256,
    pub log_index: u32,
}

/// Reads a log's contents as a transfer, if they are one.
pub(crate) fn transfer_in(topics: &[B256], word: Option<U256>) -> Option<(Address, Address, U256)> {
    let [TRANSFER_TOPIC, from, to] = topics else { return None };
    // The upper bytes are the token's padding: what arrived, arrived.
    Some((Address::from_word(*from), Address::from_word(*to), word?))
}
