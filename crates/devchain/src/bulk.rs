//! Many transfers to the treasury in little time, for benchmarks.
//!
//! Never two of the same amount: a benchmark that counts must be able to tell them apart.

use alloy::{
    eips::BlockNumberOrTag,
    providers::{Provider, ext::AnvilApi},
    sol_types::SolCall,
};
use inspay_primitives::{Address, U256};

use crate::{
    Deployment, Devchain, DevchainError, Multisend,
    acts::{contract_call, submit},
};

/// What was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bulk {
    /// Transfers to the treasury.
    pub transfers: u64,
    /// The first block that holds some.
    pub first_block: u64,
    /// The last block that holds some.
    pub last_block: u64,
    /// Sum in base units.
    pub total: U256,
}

/// The first transfer's base units; each next has one more.
const FIRST_VALUE: u64 = 1_000_001;
const TRANSFERS_PER_CHAIN_TX: u64 = 500;
const GAS_PER_TRANSFER: u64 = 15_000;
const GAS_PER_CHAIN_TX: u64 = 150_000;

impl Devchain {
    /// Mines `blocks` blocks of `per_block` transfers to the treasury each, of 1.000001 USDT's base
    /// units and up by one, from the multisend contract. Blocks may be as large as they need to be.
    ///
    /// # Errors
    ///
    /// When the deployer has too little of the token, or the node refuses.
    pub async fn bulk_transfers(
        &self,
        token: Address,
        per_block: u64,
        blocks: u64,
    ) -> Result<Bulk, DevchainError> {
        let transfers = per_block.saturating_mul(blocks);
        // Twice the mean of the first and last value, times the count, halved.
        let ends =
            U256::from(FIRST_VALUE) * U256::from(2) + U256::from(transfers.saturating_sub(1));
        let total = U256::from(transfers) * ends / U256::from(2);
        self.fill_multisend(token, total).await?;
        let automatic = self.provider().anvil_get_auto_mine().await?;
        self.provider().anvil_set_auto_mine(false).await?;
        let built = self.build(token, per_block, blocks).await;
        self.provider().anvil_set_auto_mine(automatic).await?;
        let (first_block, last_block) = built?;
        Ok(Bulk { transfers, first_block, last_block, total })
    }

    async fn build(
        &self,
        token: Address,
        per_block: u64,
        blocks: u64,
    ) -> Result<(u64, u64), DevchainError> {
        let provider = self.provider();
        let Deployment { deployer, multisend, treasury, .. } = *self.deployment();
        let chain_txs = per_block.div_ceil(TRANSFERS_PER_CHAIN_TX);
        let block_gas = per_block * GAS_PER_TRANSFER + chain_txs * GAS_PER_CHAIN_TX;
        let latest = BlockNumberOrTag::Latest;
        let head = provider.get_block_by_number(latest).await?;
        let head = head.ok_or_else(|| DevchainError::NoBlock(latest.to_string()))?.header;
        let usual_gas = head.gas_limit;
        provider.anvil_set_block_gas_limit(block_gas.max(usual_gas)).await?;
        let mut last_hash = None;
        let mut value = FIRST_VALUE;
        for _ in 0..blocks {
            let mut left = per_block;
            while left > 0 {
                let count = left.min(TRANSFERS_PER_CHAIN_TX);
                let pay = Multisend::payManyCall {
                    token,
                    to: treasury,
                    first: U256::from(value),
                    count: U256::from(count),
                };
                let gas = GAS_PER_CHAIN_TX + count * GAS_PER_TRANSFER;
                let request = contract_call(deployer, multisend, pay.abi_encode().into(), gas);
                last_hash = Some(submit(provider, request).await?);
                value += count;
                left -= count;
            }
            provider.anvil_mine(Some(1), None).await?;
        }
        provider.anvil_set_block_gas_limit(usual_gas).await?;
        if let Some(hash) = last_hash {
            self.mined(hash).await?;
        }
        Ok((head.number + 1, self.head().await?.number))
    }
}
