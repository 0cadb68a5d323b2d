//! Wallets that are contracts.

use alloy::{
    primitives::{Address, B256, U256},
    sol_types::SolConstructor as _,
};

use crate::{ContractWallet, Devchain, DevchainError, acts, deployment::creation};

/// Contract wallets, each with one of Anvil's accounts for an owner.
impl Devchain {
    /// Deploys a contract wallet.
    ///
    /// # Errors
    ///
    /// As [`Self::send`].
    pub async fn contract_wallet(&self, owner: Address) -> Result<Address, DevchainError> {
        let arguments = ContractWallet::constructorCall { owner_: owner }.abi_encode();
        self.deploy_code(&creation(&ContractWallet::BYTECODE, &arguments)).await
    }

    /// Pays out of a contract wallet's tokens, by its owner. The chain transaction calls the wallet, so that it carries no
    /// reference; the logs name the wallet as the payer.
    ///
    /// # Errors
    ///
    /// As [`Self::send`].
    pub async fn pay_from_wallet(
        &self,
        (wallet, owner): (Address, Address),
        token: Address,
        to: Address,
        base_units: U256,
    ) -> Result<B256, DevchainError> {
        let call = acts::transfer_input(to, base_units, None);
        let execute = ContractWallet::executeCall { target: token, call };
        self.call_contract(owner, wallet, &execute).await
    }
}
