//! The local chain does what its documentation says, on a real Anvil.
#![expect(clippy::unwrap_used, reason = "these are tests; the lint sees only that helpers are not")]

mod bulk;
mod deployment;
mod lifetime;
mod reorgs;
mod time;
mod tokens;
mod uniswap;

use alloy::{
    primitives::Log,
    providers::Provider,
    rpc::types::{Filter, Log as RpcLog},
    sol_types::SolEvent,
};
use inspay_devchain::{AnvilOptions, Devchain, TetherToken};
use inspay_primitives::{Address, B256, U256};

async fn started() -> Devchain {
    Devchain::start(AnvilOptions::default()).await.expect("the local chain starts")
}

/// The transfers to the treasury in a block.
async fn payments_in(chain: &Devchain, block_hash: B256) -> Vec<RpcLog> {
    let treasury = chain.deployment().treasury.into_word();
    let filter = Filter::new().at_block_hash(block_hash).topic2(treasury);
    chain.provider().get_logs(&filter).await.unwrap()
}

/// The transfers of a token to the treasury on the whole chain.
async fn payments_of(chain: &Devchain, token: Address) -> Vec<RpcLog> {
    let treasury = chain.deployment().treasury.into_word();
    let filter = Filter::new().from_block(0).address(token).topic2(treasury);
    chain.provider().get_logs(&filter).await.unwrap()
}

fn decoded(log: &RpcLog) -> TetherToken::Transfer {
    let log: &Log = &log.inner;
    TetherToken::Transfer::decode_log(log).unwrap().data
}

fn usdt(whole: u64) -> U256 {
    U256::from(whole) * U256::from(1_000_000)
}

fn inspi(whole: u64) -> U256 {
    U256::from(whole) * U256::from(10).pow(U256::from(18))
}
