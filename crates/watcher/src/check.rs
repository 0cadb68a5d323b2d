//! The settings against the chain: refuses what would lose or invent money. Each refusal names its setting.

use std::sync::Arc;

use inspay_ports::{Chain, ChainError};
use inspay_primitives::{Address, ChainId};

use crate::settings::FollowSettings;

/// A setting that the chain contradicts.
#[derive(Debug, thiserror::Error)]
#[error("setting {setting} does not fit the chain")]
pub struct SettingsRefused {
    /// Which setting, such as `chain_id` or `assets.USDT.decimals`.
    pub setting: String,
    /// How it does not fit.
    #[source]
    pub kind: SettingsRefusedKind,
}

/// How a setting does not fit the chain.
#[derive(Debug, thiserror::Error)]
pub enum SettingsRefusedKind {
    /// The node is of another chain.
    #[error("the settings say chain {set}, the node says chain {found}")]
    OtherChain {
        /// In the settings.
        set: ChainId,
        /// On the node.
        found: ChainId,
    },
    /// The asset is listed under another chain.
    #[error("the asset is of chain {found}, the settings are of chain {set}")]
    AssetOfOtherChain {
        /// Of the settings.
        set: ChainId,
        /// Of the asset.
        found: ChainId,
    },
    /// There is no contract at the token's address.
    #[error("there is no contract at {0:#x}")]
    NoCode(Address),
    /// The contract does not tell its decimals.
    #[error("the contract at {0:#x} does not answer decimals()")]
    NoDecimals(Address),
    /// The contract has other decimals.
    #[error("the settings say {set} decimals, the contract says {found}")]
    OtherDecimals {
        /// In the settings.
        set: u8,
        /// By the contract.
        found: u8,
    },
    /// The chain could not be asked.
    #[error("the node could not be asked")]
    Unanswered(#[source] ChainError),
}

impl SettingsRefusedKind {
    /// Whether the same settings may be accepted later without anybody changing anything.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Unanswered(error) => error.is_transient(),
            Self::OtherChain { .. }
            | Self::AssetOfOtherChain { .. }
            | Self::NoCode(_)
            | Self::NoDecimals(_)
            | Self::OtherDecimals { .. } => false,
        }
    }
}

fn refused(setting: impl Into<String>, kind: SettingsRefusedKind) -> SettingsRefused {
    SettingsRefused { setting: setting.into(), kind }
}

/// Compares the chain's id and every listed token's code and decimals with the settings.
pub async fn check_settings(
    chain: &Arc<dyn Chain>,
    settings: &FollowSettings,
) -> Result<(), SettingsRefused> {
    let set = settings.chain_id;
    let found = chain
        .remote_chain_id()
        .await
        .map_err(|error| refused("chain_id", SettingsRefusedKind::Unanswered(error)))?;
    if found != set {
        return Err(refused("chain_id", SettingsRefusedKind::OtherChain { set, found }));
    }
    for listed in &settings.assets {
        let (asset, symbol) = (listed.asset.id, &listed.asset.symbol);
        let contract = || format!("assets.{symbol}.contract");
        let decimals = || format!("assets.{symbol}.decimals");
        if asset.chain_id != set {
            let kind = SettingsRefusedKind::AssetOfOtherChain { set, found: asset.chain_id };
            return Err(refused(contract(), kind));
        }
        let facts = chain
            .token_facts(asset.contract)
            .await
            .map_err(|error| refused(contract(), SettingsRefusedKind::Unanswered(error)))?;
        if !facts.has_code {
            return Err(refused(contract(), SettingsRefusedKind::NoCode(asset.contract)));
        }
        let Some(found) = facts.decimals else {
            return Err(refused(decimals(), SettingsRefusedKind::NoDecimals(asset.contract)));
        };
        if found != listed.asset.decimals {
            let kind = SettingsRefusedKind::OtherDecimals { set: listed.asset.decimals, found };
            return Err(refused(decimals(), kind));
        }
    }
    Ok(())
}
