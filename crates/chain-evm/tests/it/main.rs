//! The adapter against a real Anvil, and against a node that lies, hangs and refuses.
#![expect(clippy::unwrap_used, reason = "these are tests; the lint sees only that helpers are not")]

mod endpoints;
mod follow;
mod lies;
mod memory;
mod reads;
mod scene;
mod stub;
mod troubles;
mod waking;

use inspay_chain_evm::{EvmChain, EvmChainSettings};
use inspay_devchain::{AnvilOptions, Deployment, Devchain};
use inspay_ports::{Chain, ChainErrorKind, ProvenBlock, WatchFilter};
use inspay_primitives::{BlockRef, ChainId, Transfer, U256};

async fn started() -> Devchain {
    Devchain::start(AnvilOptions::default()).await.expect("the local chain starts")
}

fn settings(deployment: &Deployment) -> EvmChainSettings {
    let chain_id = ChainId(deployment.chain_id);
    EvmChainSettings::new(chain_id, vec![deployment.http_url.parse().unwrap()], None)
}

fn reader(chain: &Devchain) -> EvmChain {
    EvmChain::new(settings(chain.deployment())).unwrap()
}

/// Both tokens in and out of the treasury, from the first block on.
fn filter(deployment: &Deployment) -> WatchFilter {
    WatchFilter {
        chain_id: ChainId(deployment.chain_id),
        tokens: [deployment.usdt, deployment.inspi].into(),
        treasuries: vec![(deployment.treasury, 0)],
    }
}

fn usdt(whole: u64) -> U256 {
    U256::from(whole) * U256::from(1_000_000)
}

async fn proven(reader: &EvmChain, block: BlockRef, filter: &WatchFilter) -> ProvenBlock {
    let header = reader.header_by_hash(block.hash).await.unwrap();
    reader.proven_block(&header, filter).await.unwrap()
}

/// The same transfers as a range would bring them: without their references.
fn unread(transfers: &[Transfer]) -> Vec<Transfer> {
    transfers.iter().map(|transfer| Transfer { reference: None, ..*transfer }).collect()
}

fn kind<T: std::fmt::Debug>(outcome: Result<T, inspay_ports::ChainError>) -> ChainErrorKind {
    outcome.unwrap_err().kind
}
