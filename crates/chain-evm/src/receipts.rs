//! Receipts of a block, proven whole.
//!
//! Never takes a block's logs from anything but receipts whose recomputed root is the header's; blooms
//! are recomputed from the logs, so that a forged or missing log changes the root.

use alloy::{
    consensus::{
        Eip658Value, Receipt, RlpEncodableReceipt, proofs::ordered_trie_root_with_encoder,
    },
    primitives::{Bytes, Log, LogData},
};
use inspay_ports::{ChainErrorKind, Header};
use inspay_primitives::B256;
use serde::Deserialize;

use crate::{
    log::{ToldLog, TransferLog, transfer_in},
    wire::Quantity,
};

/// A receipt as a node tells it, with no more read than its root needs.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ToldReceipt {
    transaction_hash: B256,
    transaction_index: Quantity,
    block_hash: B256,
    #[serde(default, rename = "type")]
    kind: Option<Quantity>,
    #[serde(default)]
    status: Option<Quantity>,
    #[serde(default)]
    root: Option<B256>,
    cumulative_gas_used: Quantity,
    logs: Vec<ToldLog<Bytes>>,
}

/// What a proven block's receipts hold.
#[derive(Debug)]
pub(crate) struct ProvenLogs {
    /// Hashes of the chain transactions, in order; not part of what the root proves.
    pub tx_hashes: Vec<B256>,
    /// All `Transfer` logs of the block, in log order.
    pub transfers: Vec<TransferLog>,
}

/// Checks a block's receipts against its header.
///
/// # Errors
///
/// [`ChainErrorKind::Contradiction`] when they are not the whole of the block's receipts.
pub(crate) fn prove(
    header: &Header,
    receipts: Vec<ToldReceipt>,
) -> Result<ProvenLogs, ChainErrorKind> {
    let number = header.block.number;
    let wrong = |text: String| ChainErrorKind::Contradiction(format!("block {number}: {text}"));
    let mut proven = ProvenLogs { tx_hashes: Vec::new(), transfers: Vec::new() };
    let mut encoded = Vec::with_capacity(receipts.len());
    let mut last_index = None;
    for (position, told) in receipts.into_iter().enumerate() {
        let tx_hash = told.transaction_hash;
        if usize::try_from(told.transaction_index.0) != Ok(position) {
            return Err(wrong(format!("receipt {position} says it is another one")));
        }
        if told.block_hash != header.block.hash {
            return Err(wrong(format!("the receipt of {tx_hash} names another block")));
        }
        for log in &told.logs {
            check_log(log, header, tx_hash).map_err(wrong)?;
            let log_index = u32::try_from(log.log_index.0)
                .map_err(|_| wrong("a log index beyond 32 bits".to_owned()))?;
            if last_index.is_some_and(|last| log_index <= last) {
                return Err(wrong(format!("log {log_index} is out of order")));
            }
            last_index = Some(log_index);
            let word = <[u8; 32]>::try_from(log.data.as_ref()).ok();
            let word = word.map(inspay_primitives::U256::from_be_bytes);
            if let Some((from, to, base_units)) = transfer_in(log.topics.as_slice(), word) {
                let token = log.address;
                proven.transfers.push(TransferLog {
                    token,
                    from,
                    to,
                    base_units,
                    tx_hash,
                    log_index,
                });
            }
        }
        proven.tx_hashes.push(tx_hash);
        encoded.push(encode(told).map_err(wrong)?);
    }
    let root = ordered_trie_root_with_encoder(&encoded, |receipt, out| out.extend(receipt));
    if root != header.receipts_root {
        let text = format!(
            "its header's receipts root is {}, its receipts give {root}",
            header.receipts_root
        );
        return Err(wrong(text));
    }
    Ok(proven)
}

fn check_log(log: &ToldLog<Bytes>, header: &Header, tx_hash: B256) -> Result<(), String> {
    let at_home = log.block_hash == header.block.hash && log.block_number.0 == header.block.number;
    if !at_home {
        return Err(format!("a log of {tx_hash} names another block"));
    }
    if log.transaction_hash != tx_hash {
        return Err(format!("a log in the receipt of {tx_hash} names another chain transaction"));
    }
    if log.removed {
        return Err(format!("a log of {tx_hash} is said to be removed"));
    }
    Ok(())
}

/// The receipt as its root hashes it: EIP-2718.
fn encode(told: ToldReceipt) -> Result<Vec<u8>, String> {
    let status = match (told.status, told.root) {
        (Some(status), _) => Eip658Value::Eip658(status.0 == 1),
        (None, Some(root)) => Eip658Value::PostState(root),
        (None, None) => {
            return Err(format!("the receipt of {} has no status", told.transaction_hash));
        }
    };
    let logs = told.logs.into_iter().map(|log| Log {
        address: log.address,
        data: LogData::new_unchecked(log.topics.as_slice().to_vec(), log.data),
    });
    let receipt: Receipt =
        Receipt { status, cumulative_gas_used: told.cumulative_gas_used.0, logs: logs.collect() };
    let bloom = receipt.bloom_slow();
    let mut encoded = Vec::new();
    match told.kind.map_or(Ok(0), |kind| u8::try_from(kind.0)) {
        Ok(0) => {}
        Ok(kind) => encoded.push(kind),
        Err(_) => {
            return Err(format!("the receipt of {} has no known type", told.transaction_hash));
        }
    }
    receipt.rlp_encode_with_bloom(&bloom, &mut encoded);
    Ok(encoded)
}
