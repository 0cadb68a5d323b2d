//! One block near the head: its whole set of followed transfers, with the proof.
//!
//! Never answers with a set that is not proven, and asks nothing where the header alone proves the block
//! empty. A header that was taken as told proves nothing: such a block is always read.

use std::collections::HashMap;

use inspay_ports::{ChainErrorKind, Header, Proof, ProvenBlock, WatchFilter};
use inspay_primitives::{B256, Direction, Transfer};
use serde_json::{json, value::RawValue};

use crate::{
    bloom::may_hold,
    by_two,
    chain_tx::FullBlock,
    endpoint::Endpoint,
    pool::Pool,
    reads,
    receipts::{ProvenLogs, ToldReceipt, prove},
    rpc::{Answer, Call},
    settings::{EvmChainSettings, HashCheck, ReceiptsProof},
    transfers::Numbering,
};

pub(crate) async fn proven_block(
    pool: &Pool,
    settings: &EvmChainSettings,
    header: &Header,
    filter: &WatchFilter,
) -> Result<ProvenBlock, ChainErrorKind> {
    let is_bloom_proof = settings.header_hash == HashCheck::Recompute
        && settings.receipts == ReceiptsProof::Standard;
    let is_empty = is_bloom_proof && !may_hold(header, filter);
    if is_empty {
        return Ok(ProvenBlock { header: header.clone(), transfers: vec![], proof: Proof::Bloom });
    }
    read_whole(pool, settings, header, filter).await
}

/// The canonical block at a height, whatever its bloom says.
pub(crate) async fn reread_block(
    pool: &Pool,
    settings: &EvmChainSettings,
    number: u64,
    filter: &WatchFilter,
) -> Result<ProvenBlock, ChainErrorKind> {
    let numbers = [number];
    let headers =
        pool.ask(async |endpoint| reads::headers_at(&endpoint, settings, &numbers).await).await?;
    let [header] = headers.as_slice() else {
        let text = format!("asked for the header of block {number}, told of {}", headers.len());
        return Err(ChainErrorKind::Contradiction(text));
    };
    read_whole(pool, settings, header, filter).await
}

async fn read_whole(
    pool: &Pool,
    settings: &EvmChainSettings,
    header: &Header,
    filter: &WatchFilter,
) -> Result<ProvenBlock, ChainErrorKind> {
    let (transfers, proof) = match settings.receipts {
        ReceiptsProof::Standard => {
            let read =
                pool.ask(async |endpoint| read_block(&endpoint, settings, header, filter).await);
            (read.await?, Proof::ReceiptsRoot)
        }
        ReceiptsProof::SecondEndpoint => {
            (by_two::transfers(pool, settings, header, filter).await?, Proof::SecondEndpoint)
        }
    };
    Ok(ProvenBlock { header: header.clone(), transfers, proof })
}

/// Receipts and calldata from one endpoint, both checked against the header.
async fn read_block(
    endpoint: &Endpoint,
    settings: &EvmChainSettings,
    header: &Header,
    filter: &WatchFilter,
) -> Result<Vec<Transfer>, ChainErrorKind> {
    let hash = header.block.hash;
    let read = |json: Option<Box<RawValue>>| {
        let json = json.ok_or_else(|| not_yet("the chain transactions", hash))?;
        FullBlock::read(json.get(), hash, settings)
    };
    let full_block = Call::new("eth_getBlockByHash", json!([hash, true]));
    let (receipts, block) = if endpoint.gives_block_receipts() {
        let receipts = Call::new("eth_getBlockReceipts", json!([hash]));
        // At once: what a buyer waits for is one round trip.
        let (receipts, block) = tokio::join!(
            endpoint.call::<Vec<ToldReceipt>>(receipts),
            endpoint.call::<Box<RawValue>>(full_block),
        );
        let block = read(block?)?;
        match receipts {
            Err(ChainErrorKind::Refused(text)) => {
                endpoint.refused_block_receipts(&text);
                (receipts_singly(endpoint, &block, hash).await?, block)
            }
            told => (told?.ok_or_else(|| not_yet("the receipts", hash))?, block),
        }
    } else {
        let block = read(endpoint.call(full_block).await?)?;
        (receipts_singly(endpoint, &block, hash).await?, block)
    };
    let logs = prove(header, receipts)?;
    if !block.hashes().eq(logs.tx_hashes.iter().copied()) {
        let text = format!("block {hash}: its receipts are those of other chain transactions");
        return Err(ChainErrorKind::Contradiction(text));
    }
    transfers_of(&logs, &block, header, filter)
}

fn not_yet(what: &str, hash: B256) -> ChainErrorKind {
    ChainErrorKind::NotYet(format!("{what} of block {hash}"))
}

/// The receipts one by one, for nodes that do not give a block's at once.
async fn receipts_singly(
    endpoint: &Endpoint,
    block: &FullBlock,
    hash: B256,
) -> Result<Vec<ToldReceipt>, ChainErrorKind> {
    let asked =
        block.hashes().map(|tx_hash| Call::new("eth_getTransactionReceipt", json!([tx_hash])));
    let answers = endpoint.batch::<ToldReceipt>(&asked.collect::<Vec<_>>()).await?;
    let receipt = |answer: Answer<ToldReceipt>| answer?.ok_or_else(|| not_yet("a receipt", hash));
    answers.into_iter().map(receipt).collect()
}

fn transfers_of(
    logs: &ProvenLogs,
    block: &FullBlock,
    header: &Header,
    filter: &WatchFilter,
) -> Result<Vec<Transfer>, ChainErrorKind> {
    let positions: HashMap<B256, usize> =
        logs.tx_hashes.iter().enumerate().map(|(position, hash)| (*hash, position)).collect();
    let mut numbering = Numbering::new(filter);
    let mut transfers = Vec::new();
    for log in &logs.transfers {
        transfers.extend(numbering.incoming(log, header.block));
        transfers.extend(numbering.outgoing(log, header.block));
    }
    for transfer in &mut transfers {
        transfer.reference = Some(match transfer.key.direction {
            Direction::In => {
                let hash = transfer.key.tx_hash;
                let position = positions.get(&hash).copied().unwrap_or(usize::MAX);
                block.at(position, hash)?.reference_for(transfer)
            }
            Direction::Out => None,
        });
    }
    Ok(transfers)
}
