//! Acts: blocks, time, transfers, prices and switches.
//!
//! Never signs: chain transactions leave from Anvil's unlocked accounts, and Anvil picks the nonce.

use std::time::Duration;

use alloy::{
    eips::BlockNumberOrTag,
    network::TransactionBuilder,
    primitives::{Bytes, I256},
    providers::{DynProvider, Provider, ext::AnvilApi},
    rpc::types::{TransactionReceipt, TransactionRequest, anvil::MineOptions},
    sol_types::SolCall,
};
use inspay_primitives::{Address, B256, BlockRef, Reference, Timestamp, U256};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::{
    Deployment, Devchain, DevchainError, FakeToken, Mining, Multisend, PriceFeed, TetherToken,
};

pub(crate) const GAS_DEPLOY: u64 = 8_000_000;
pub(crate) const GAS_TRANSFER: u64 = 150_000;
/// High enough that a chain transaction stays valid on any branch that it is replayed on.
const MAX_FEE_PER_GAS: u128 = 100_000_000_000;
const PRIORITY_FEE_PER_GAS: u128 = 1_000_000_000;
const MINED_TIMEOUT: Duration = Duration::from_secs(20);
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// Blocks and time.
impl Devchain {
    /// The newest block.
    ///
    /// # Errors
    ///
    /// When the node refuses.
    pub async fn head(&self) -> Result<BlockRef, DevchainError> {
        self.block(BlockNumberOrTag::Latest).await
    }

    /// A block by height or tag.
    ///
    /// # Errors
    ///
    /// [`DevchainError::NoBlock`] where the chain is not that long.
    pub async fn block(&self, at: BlockNumberOrTag) -> Result<BlockRef, DevchainError> {
        let block = self.provider().get_block_by_number(at).await?;
        let block = block.ok_or_else(|| DevchainError::NoBlock(at.to_string()))?;
        Ok(BlockRef {
            number: block.header.number,
            hash: block.header.hash,
            time: Timestamp::from_chain_seconds(block.header.timestamp),
        })
    }

    /// Mines `blocks` blocks; the first takes what is pending. Returns the new head.
    ///
    /// # Errors
    ///
    /// When the node refuses.
    pub async fn mine(&self, blocks: u64) -> Result<BlockRef, DevchainError> {
        self.provider().anvil_mine(Some(blocks), None).await?;
        self.head().await
    }

    /// Mines one block with the given time in seconds since 1970. Returns it.
    ///
    /// # Errors
    ///
    /// When the time lies before the head's.
    pub async fn mine_at(&self, chain_seconds: u64) -> Result<BlockRef, DevchainError> {
        self.provider().evm_mine(Some(MineOptions::Timestamp(Some(chain_seconds)))).await?;
        self.head().await
    }

    /// Sets the node's clock; it goes on from there. Blocks mined after carry its time. A reorg takes
    /// the clock back to the time of the block below it.
    ///
    /// # Errors
    ///
    /// When the node refuses.
    pub async fn set_time(&self, chain_seconds: u64) -> Result<(), DevchainError> {
        self.provider().anvil_set_time(chain_seconds).await?;
        Ok(())
    }

    /// Moves the node's clock forward, unless blocks are spaced by a fixed time. A reorg takes the
    /// clock back to the time of the block below it.
    ///
    /// # Errors
    ///
    /// When the node refuses.
    pub async fn increase_time(&self, seconds: u64) -> Result<(), DevchainError> {
        self.provider().anvil_increase_time(seconds).await?;
        Ok(())
    }

    /// Chooses when blocks are mined from now on.
    ///
    /// # Errors
    ///
    /// When the node refuses.
    pub async fn set_mining(&self, mining: Mining) -> Result<(), DevchainError> {
        let seconds = match mining {
            Mining::OnTransaction => {
                self.provider().anvil_set_auto_mine(true).await?;
                return Ok(());
            }
            Mining::Every(interval) => interval.as_secs().max(1),
            Mining::OnDemand => 0,
        };
        // Zero turns interval mining off, and either leaves automatic mining.
        self.provider().anvil_set_auto_mine(false).await?;
        self.provider().anvil_set_interval_mining(seconds).await?;
        Ok(())
    }

    /// Turns mining on arrival on or off; off means on demand.
    ///
    /// # Errors
    ///
    /// When the node refuses.
    pub async fn set_automine(&self, on: bool) -> Result<(), DevchainError> {
        self.set_mining(if on { Mining::OnTransaction } else { Mining::OnDemand }).await
    }

    /// Sets the base fee of the next block in wei. Empty blocks let it sink by an eighth each.
    ///
    /// # Errors
    ///
    /// When the node refuses.
    pub async fn set_base_fee(&self, wei: u128) -> Result<(), DevchainError> {
        self.provider().anvil_set_next_block_base_fee_per_gas(wei).await?;
        Ok(())
    }
}

/// Chain transactions.
impl Devchain {
    /// Sends from one of Anvil's accounts. With mining on arrival it returns once mined, and
    /// otherwise once pending.
    ///
    /// # Errors
    ///
    /// [`DevchainError::Reverted`] where it was mined and failed; it is on the chain all the same.
    pub async fn send(&self, request: TransactionRequest) -> Result<B256, DevchainError> {
        let hash = submit(self.provider(), request).await?;
        self.wait_if_automatic(hash).await?;
        Ok(hash)
    }

    /// Sends a finished call, as a wallet does with what the gateway's API hands out.
    ///
    /// # Errors
    ///
    /// As [`Self::send`].
    pub async fn send_call(
        &self,
        from: Address,
        to: Address,
        calldata: Vec<u8>,
    ) -> Result<B256, DevchainError> {
        let request =
            TransactionRequest::default().from(from).to(to).input(Bytes::from(calldata).into());
        self.send(request).await
    }

    /// Mints look-alike tokens for `from` and sends them to the treasury; answers the sending.
    ///
    /// # Errors
    ///
    /// As [`Self::send`].
    pub async fn pay_with_fake(
        &self,
        from: Address,
        base_units: U256,
    ) -> Result<B256, DevchainError> {
        let (fake, treasury) = (self.deployment().fake_usdt, self.deployment().treasury);
        let mint = FakeToken::mintCall { to: from, value: base_units };
        self.call_contract(from, fake, &mint).await?;
        self.transfer(fake, from, treasury, base_units, None).await
    }

    pub(crate) async fn wait_if_automatic(&self, hash: B256) -> Result<(), DevchainError> {
        // The node answers a send before it has mined it, in this mode too.
        if self.provider().anvil_get_auto_mine().await? {
            mined(self.provider(), hash).await?;
        }
        Ok(())
    }

    /// Waits for the receipt.
    ///
    /// # Errors
    ///
    /// [`DevchainError::Reverted`] where it failed, [`DevchainError::NotMined`] after twenty seconds.
    pub async fn mined(&self, hash: B256) -> Result<TransactionReceipt, DevchainError> {
        mined(self.provider(), hash).await
    }

    /// Calls a contract from one of Anvil's accounts, as [`Self::send`] does.
    ///
    /// # Errors
    ///
    /// As [`Self::send`].
    pub async fn call_contract<C: SolCall + Sync>(
        &self,
        from: Address,
        contract: Address,
        call: &C,
    ) -> Result<B256, DevchainError> {
        self.send(contract_call(from, contract, call.abi_encode().into(), GAS_DEPLOY)).await
    }

    /// Pays by the token's own `transfer`, with the order's reference behind the calldata where
    /// there is one.
    ///
    /// # Errors
    ///
    /// As [`Self::send`].
    pub async fn transfer(
        &self,
        token: Address,
        from: Address,
        to: Address,
        base_units: U256,
        reference: Option<Reference>,
    ) -> Result<B256, DevchainError> {
        self.send(transfer_request(token, from, to, base_units, reference)).await
    }

    /// Lets `spender` take up to `base_units`, through zero as USDT demands.
    ///
    /// # Errors
    ///
    /// As [`Self::send`].
    pub async fn approve(
        &self,
        token: Address,
        owner: Address,
        spender: Address,
        base_units: U256,
    ) -> Result<B256, DevchainError> {
        let approve = |value| TetherToken::approveCall { spender, value };
        let token_contract = TetherToken::new(token, self.provider());
        let allowed = token_contract.allowance(owner, spender).call().await?;
        if !allowed.is_zero() && !base_units.is_zero() {
            self.call_contract(owner, token, &approve(U256::ZERO)).await?;
        }
        self.call_contract(owner, token, &approve(base_units)).await
    }

    /// Pays many in one chain transaction out of `from`'s tokens, approving first where needed.
    /// The logs name `from` as the payer although the transaction calls another contract.
    ///
    /// # Errors
    ///
    /// As [`Self::send`].
    pub async fn multisend(
        &self,
        from: Address,
        token: Address,
        payments: &[(Address, U256)],
    ) -> Result<B256, DevchainError> {
        let multisend = self.deployment().multisend;
        let total = payments.iter().fold(U256::ZERO, |sum, (_, value)| sum.saturating_add(*value));
        let contract = TetherToken::new(token, self.provider());
        if contract.allowance(from, multisend).call().await? < total {
            self.approve(token, from, multisend, U256::MAX).await?;
        }
        let pay = Multisend::payCall { payments: listed(token, payments) };
        self.call_contract(from, multisend, &pay).await
    }

    /// Pays many in one chain transaction as an exchange does: the logs name a shared wallet (the
    /// multisend contract) as the payer, and `from` appears in none.
    ///
    /// # Errors
    ///
    /// As [`Self::send`].
    pub async fn multisend_held(
        &self,
        from: Address,
        token: Address,
        payments: &[(Address, U256)],
    ) -> Result<B256, DevchainError> {
        let total = payments.iter().fold(U256::ZERO, |sum, (_, value)| sum.saturating_add(*value));
        self.fill_multisend(token, total).await?;
        let pay = Multisend::payHeldCall { payments: listed(token, payments) };
        self.call_contract(from, self.deployment().multisend, &pay).await
    }

    pub(crate) async fn fill_multisend(
        &self,
        token: Address,
        total: U256,
    ) -> Result<(), DevchainError> {
        let Deployment { deployer, multisend, .. } = *self.deployment();
        self.transfer(token, deployer, multisend, total, None).await?;
        Ok(())
    }

    /// A token balance at the head.
    ///
    /// # Errors
    ///
    /// When the node refuses.
    pub async fn balance(&self, token: Address, of: Address) -> Result<U256, DevchainError> {
        Ok(TetherToken::new(token, self.provider()).balanceOf(of).call().await?)
    }

    /// Sets a feed's answer, at the feed's 8 decimals, as of the block that takes it.
    ///
    /// # Errors
    ///
    /// As [`Self::send`].
    pub async fn set_price(&self, feed: Address, answer: i128) -> Result<B256, DevchainError> {
        let call = PriceFeed::setAnswerCall { answer: signed(answer) };
        self.call_contract(self.deployment().deployer, feed, &call).await
    }

    /// Sets a feed's answer as of another time in seconds since 1970, to make it stale.
    ///
    /// # Errors
    ///
    /// As [`Self::send`].
    pub async fn set_price_at(
        &self,
        feed: Address,
        answer: i128,
        updated_at: u64,
    ) -> Result<B256, DevchainError> {
        let updated_at = U256::from(updated_at);
        let call = PriceFeed::setAnswerAtCall { answer: signed(answer), updatedAt: updated_at };
        self.call_contract(self.deployment().deployer, feed, &call).await
    }

    /// Signs a text as a wallet does (EIP-191), with one of Anvil's accounts.
    ///
    /// # Errors
    ///
    /// When the account is not one of Anvil's.
    pub async fn sign_message(&self, account: Address, text: &str) -> Result<Bytes, DevchainError> {
        let text = Bytes::copy_from_slice(text.as_bytes());
        Ok(self.provider().client().request("personal_sign", (text, account)).await?)
    }

    /// Signs typed data as a wallet does (EIP-712), with one of Anvil's accounts.
    ///
    /// # Errors
    ///
    /// When the account is not one of Anvil's, or the data is not EIP-712.
    pub async fn sign_typed_data(
        &self,
        account: Address,
        typed_data: &Value,
    ) -> Result<Bytes, DevchainError> {
        let client = self.provider().client();
        Ok(client.request("eth_signTypedData_v4", (account, typed_data)).await?)
    }
}

/// The request that [`Devchain::transfer`] sends, for replaying it elsewhere.
#[must_use]
pub fn transfer_request(
    token: Address,
    from: Address,
    to: Address,
    base_units: U256,
    reference: Option<Reference>,
) -> TransactionRequest {
    contract_call(from, token, transfer_input(to, base_units, reference), GAS_TRANSFER)
}

pub(crate) fn transfer_input(to: Address, base_units: U256, reference: Option<Reference>) -> Bytes {
    let mut input = TetherToken::transferCall { to, value: base_units }.abi_encode();
    input.extend(reference.map(Reference::bytes).iter().flatten());
    input.into()
}

pub(crate) fn contract_call(
    from: Address,
    contract: Address,
    input: Bytes,
    gas: u64,
) -> TransactionRequest {
    TransactionRequest::default().with_from(from).with_to(contract).with_input(input).gas_limit(gas)
}

pub(crate) fn signed(answer: i128) -> I256 {
    I256::unchecked_from(answer)
}

fn listed(token: Address, payments: &[(Address, U256)]) -> Vec<Multisend::Payment> {
    payments.iter().map(|&(to, value)| Multisend::Payment { token, to, value }).collect()
}

/// Sends without waiting. Gas and fees are given rather than estimated, so that what depends on a
/// pending chain transaction can be sent behind it.
pub(crate) async fn submit(
    provider: &DynProvider,
    request: TransactionRequest,
) -> Result<B256, DevchainError> {
    Ok(provider.anvil_send_impersonated_transaction(with_fees(request)).await?)
}

pub(crate) fn with_fees(request: TransactionRequest) -> TransactionRequest {
    request.max_fee_per_gas(MAX_FEE_PER_GAS).max_priority_fee_per_gas(PRIORITY_FEE_PER_GAS)
}

pub(crate) async fn mined(
    provider: &DynProvider,
    hash: B256,
) -> Result<TransactionReceipt, DevchainError> {
    let deadline = Instant::now() + MINED_TIMEOUT;
    while Instant::now() < deadline {
        match provider.get_transaction_receipt(hash).await? {
            Some(receipt) if receipt.status() => return Ok(receipt),
            Some(_) => return Err(DevchainError::Reverted(hash)),
            None => sleep(POLL_INTERVAL).await,
        }
    }
    Err(DevchainError::NotMined(hash))
}
