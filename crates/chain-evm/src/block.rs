//! One block near the head: its whole set of followed transfers, with the proof.
//!
//! Never answers with a set that is not proven, and asks nothing where the header alone proves the block
//! empty.

use std::collections::HashMap;

use inspay_ports::{ChainErrorKind, Header, Proof, ProvenBlock, WatchFilter};
use inspay_primitives::{B256, Direction, Transfer};
use serde_json::{json, value::RawValue};

use crate::{
    bloom::may_hold,
    chain_tx::FullBlock,
    endpoint::Endpoint,
    pool::Pool,
    receipts::{ProvenLogs, ToldReceipt, prove},
    rpc::Call,
    settings::EvmChainSettings,
    transfers::Numbering,
};

pub(crate) async fn proven_block(
    pool: &Pool,
    settings: &EvmChainSettings,
    header: &Header,
    filter: &WatchFilter,
) -> Result<ProvenBlock, ChainErrorKind> {
    if !may_hold(header, filter) {
        return Ok(ProvenBlock { header: header.clone(), transfers: vec![], proof: Proof::Bloom });
    }
    let transfers =
        pool.ask(async |endpoint| read_block(&endpoint, settings, header, filter).await).await?;
    Ok(ProvenBlock { header: header.clone(), transfers, proof: Proof::ReceiptsRoot })
}

/// Receipts and calldata from one endpoint, both checked against the header.
async fn read_block(
    endpoint: &Endpoint,
    settings: &EvmChainSettings,
    header: &Header,
    filter: &WatchFilter,
) -> Result<Vec<Transfer>, ChainErrorKind> {
    let hash = header.block.hash;
    let not_yet = |what| ChainErrorKind::NotYet(format!("{what} of block {hash}"));
    let receipts = Call::new("eth_getBlockReceipts", json!([hash]));
    let block = Call::new("eth_getBlockByHash", json!([hash, true]));
    // At once: what a buyer waits for is one round trip.
    let (receipts, block) = tokio::try_join!(
        endpoint.call::<Vec<ToldReceipt>>(receipts),
        endpoint.call::<Box<RawValue>>(block),
    )?;
    let logs = prove(header, receipts.ok_or_else(|| not_yet("the receipts"))?)?;
    let json = block.ok_or_else(|| not_yet("the chain transactions"))?;
    let block = FullBlock::read(json.get(), hash, settings)?;
    if !block.holds(&logs.tx_hashes) {
        let text = format!("block {hash}: its receipts are those of other chain transactions");
        return Err(ChainErrorKind::Contradiction(text));
    }
    transfers_of(&logs, &block, header, filter)
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
