//! Headers as nodes tell them, checked.
//!
//! Never hands out a header whose hash was not recomputed from its fields, unless the settings trust
//! the chain's endpoints with it.

use alloy::consensus;
use inspay_ports::{ChainErrorKind, Header};
use inspay_primitives::{B256, BlockRef, Timestamp};
use serde::Deserialize;

use crate::{settings::HashCheck, wire::clip};

/// A checked header with the root that ports do not speak of.
#[derive(Clone, Debug)]
pub(crate) struct CheckedHeader {
    pub header: Header,
    pub transactions_root: B256,
}

#[derive(Deserialize)]
struct ToldHash {
    hash: Option<B256>,
}

/// Reads a header from a block's JSON; what else the block holds is passed over.
pub(crate) fn read_header(json: &str, check: HashCheck) -> Result<CheckedHeader, ChainErrorKind> {
    let unreadable = |error: serde_json::Error| {
        let text = clip(&error.to_string());
        ChainErrorKind::Contradiction(format!("a header cannot be read: {text}"))
    };
    let told: ToldHash = serde_json::from_str(json).map_err(unreadable)?;
    let fields: consensus::Header = serde_json::from_str(json).map_err(unreadable)?;
    let number = fields.number;
    let hash = told.hash.ok_or_else(|| {
        ChainErrorKind::Contradiction(format!("block {number} is told without a hash"))
    })?;
    match check {
        HashCheck::Trust => {}
        HashCheck::Recompute => {
            let recomputed = fields.hash_slow();
            if recomputed != hash {
                let text = format!(
                    "block {number} is told with hash {hash}, and its fields give {recomputed}"
                );
                return Err(ChainErrorKind::Contradiction(text));
            }
        }
    }
    let time = Timestamp::from_chain_seconds(fields.timestamp);
    Ok(CheckedHeader {
        header: Header {
            block: BlockRef { number, hash, time },
            parent_hash: fields.parent_hash,
            receipts_root: fields.receipts_root,
            logs_bloom: Box::new(fields.logs_bloom.0.0),
        },
        transactions_root: fields.transactions_root,
    })
}

/// The header, if it is the one that was asked for by height.
pub(crate) fn expect_number(header: Header, number: u64) -> Result<Header, ChainErrorKind> {
    let told = header.block.number;
    if told == number {
        return Ok(header);
    }
    Err(ChainErrorKind::Contradiction(format!("asked for block {number}, told of block {told}")))
}

/// The header, if it is the one that was asked for by hash.
pub(crate) fn expect_hash(header: &Header, hash: B256) -> Result<(), ChainErrorKind> {
    let told = header.block.hash;
    if told == hash {
        return Ok(());
    }
    Err(ChainErrorKind::Contradiction(format!("asked for block {hash}, told of block {told}")))
}
