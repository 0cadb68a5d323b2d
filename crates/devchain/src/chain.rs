//! Starting the local chain, and what to reach it by.
//!
//! Never starts on a chain that is not ours: a state file without our contracts is refused.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use alloy::{
    network::Ethereum,
    providers::{DynProvider, Provider, ProviderBuilder, ext::AnvilApi},
};
use inspay_primitives::Address;

use crate::{
    Deployment, DevchainError,
    deployment::{ACCOUNTS, CHAIN_ID},
    process::{AnvilProcess, Ending},
    toolchain,
};

/// When a block is mined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mining {
    /// As soon as a chain transaction arrives.
    #[default]
    OnTransaction,
    /// Every so often, in whole seconds and at least one.
    Every(Duration),
    /// Only by [`Devchain::mine`] and its kind.
    OnDemand,
}

/// How to start the local chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnvilOptions {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// The port to listen on; a free one when absent.
    pub port: Option<u16>,
    /// When a block is mined.
    pub mining: Mining,
    /// With 1, `safe` is one block and `finalized` two blocks below the head.
    pub slots_in_an_epoch: u64,
    /// The chain is loaded from this file where it exists, and saved to it at the end.
    pub state: Option<PathBuf>,
    /// Gas that fits into a block.
    pub block_gas_limit: u64,
    /// Seconds since 1970 of the genesis block; now when absent.
    pub genesis_time: Option<u64>,
    /// Makes each block's time that of its parent plus so many seconds; [`Devchain::increase_time`]
    /// has no effect then. When absent, blocks carry the machine's time and those mined within one
    /// second share it.
    pub seconds_per_block: Option<u64>,
}

impl Default for AnvilOptions {
    fn default() -> Self {
        Self {
            chain_id: CHAIN_ID,
            port: None,
            mining: Mining::OnTransaction,
            slots_in_an_epoch: 1,
            state: None,
            block_gas_limit: 60_000_000,
            genesis_time: None,
            seconds_per_block: None,
        }
    }
}

impl AnvilOptions {
    fn arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = [
            ("--host", "127.0.0.1".to_owned()),
            ("--port", self.port.unwrap_or(0).to_string()),
            ("--chain-id", self.chain_id.to_string()),
            ("--accounts", ACCOUNTS.to_string()),
            ("--slots-in-an-epoch", self.slots_in_an_epoch.to_string()),
            ("--gas-limit", self.block_gas_limit.to_string()),
            // By fee, the order within a block would depend on the base fee at each arrival.
            ("--order", "fifo".to_owned()),
        ]
        .into_iter()
        .flat_map(|(name, value)| [name.into(), value.into()])
        .collect();
        // Deploying takes two blocks, and they are mined by us whatever the mode is later.
        arguments.push("--no-mining".into());
        // A bulk call is larger than the two megabytes that are allowed by default.
        arguments.push("--no-request-size-limit".into());
        if let Some(time) = self.genesis_time {
            arguments.extend(["--timestamp".into(), time.to_string().into()]);
        }
        if let Some(state) = &self.state {
            arguments.extend(["--state".into(), state.into()]);
            // Without them a balance cannot be asked for at a block before the restart.
            arguments.push("--preserve-historical-states".into());
        }
        arguments
    }
}

/// A running local chain with our contracts; dropping it ends it and frees its port.
///
/// All acts are calls to the node: no state of the chain is kept here, so several tasks may act
/// through one value, and a test may go past it through [`Devchain::provider`].
#[derive(Debug)]
pub struct Devchain {
    provider: DynProvider,
    deployment: Deployment,
    // Last, so that the provider is gone before the node is.
    process: AnvilProcess,
}

impl Devchain {
    /// Starts Anvil, installing it first where it is absent, and deploys and funds where the chain
    /// is new.
    ///
    /// # Errors
    ///
    /// Where Anvil cannot be installed or started, or the state file is not one of ours.
    pub async fn start(options: AnvilOptions) -> Result<Self, DevchainError> {
        let binary = tokio::task::spawn_blocking(toolchain::anvil_binary).await??;
        let ending = if options.state.is_some() { Ending::SaveState } else { Ending::Kill };
        let process = AnvilProcess::start(&binary, &options.arguments(), ending).await?;
        let provider = connect(process.port())?;
        // Anvil prints a line for every call, and that costs more than the call.
        provider.anvil_set_logging(false).await?;
        if let Some(seconds) = options.seconds_per_block {
            provider.anvil_set_block_timestamp_interval(seconds).await?;
        }
        let accounts = provider.get_accounts().await?;
        let deployment = Deployment::derive(options.chain_id, process.port(), &accounts)
            .ok_or(DevchainError::TooFewAccounts { found: accounts.len() })?;
        if provider.get_block_number().await? == 0 {
            deployment.deploy(&provider).await?;
        } else if provider.get_code_at(deployment.fake_usdt).await?.is_empty() {
            return Err(DevchainError::ForeignState { path: options.state.unwrap_or_default() });
        }
        let chain = Self { provider, deployment, process };
        chain.set_mining(options.mining).await?;
        tracing::info!(url = %chain.deployment.http_url, "the local chain is up");
        Ok(chain)
    }

    /// Where everything is.
    #[must_use]
    pub const fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// Raw access to the node. It fills nothing in: Anvil does, for its unlocked accounts.
    #[must_use]
    pub const fn provider(&self) -> &DynProvider {
        &self.provider
    }

    /// The `index`th buyer; wraps around after the tenth.
    #[must_use]
    pub fn buyer(&self, index: usize) -> Address {
        self.deployment.buyers[index % self.deployment.buyers.len()]
    }

    /// The port that Anvil listens on.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.process.port()
    }

    /// Where Anvil keeps the states of former blocks while it runs; gone when it has ended.
    #[must_use]
    pub fn states_path(&self) -> &Path {
        self.process.states()
    }
}

fn connect(port: u16) -> Result<DynProvider, DevchainError> {
    let url = format!("http://127.0.0.1:{port}")
        .parse()
        .map_err(|_| DevchainError::NotListening { output: format!("no URL for port {port}") })?;
    // The usual fillers cache nonces, and a revert would make the cache a lie.
    let provider = ProviderBuilder::<_, _, Ethereum>::default().connect_http(url);
    Ok(provider.erased())
}
