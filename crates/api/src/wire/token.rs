//! Assets and token amounts.

use inspay_primitives::{Address, Asset, AssetId, U256, format_units};
use serde::Serialize;
use utoipa::ToSchema;

/// A token on a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Asset)]
pub(crate) struct AssetBody {
    /// CAIP-19 id.
    #[schema(value_type = String, example = "eip155:1/erc20:0xdac17f958d2ee523a2206206994597c13d831ec7")]
    pub(crate) id: AssetId,
    /// EIP-155 chain id.
    #[schema(example = 1)]
    pub(crate) chain_id: u64,
    /// The token's contract.
    #[schema(value_type = String, example = "0xdAC17F958D2ee523a2206206994597C13D831ec7")]
    pub(crate) contract: String,
    /// What people call it; absent if it is no longer listed.
    #[schema(example = "USDT")]
    pub(crate) symbol: Option<String>,
    /// Digits after the point; absent if it is no longer listed.
    #[schema(example = 6)]
    pub(crate) decimals: Option<u8>,
}

impl AssetBody {
    /// An asset of which only the id may be known.
    pub(crate) fn new(id: AssetId, symbol: Option<&str>, decimals: Option<u8>) -> Self {
        Self {
            id,
            chain_id: id.chain_id.0,
            contract: show_address(id.contract),
            symbol: symbol.map(str::to_owned),
            decimals,
        }
    }
}

impl From<&Asset> for AssetBody {
    fn from(asset: &Asset) -> Self {
        Self::new(asset.id, Some(&asset.symbol), Some(asset.decimals))
    }
}

/// An amount of a token, in base units and as people write it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct TokenAmount {
    /// The integer amount on chain.
    #[schema(example = "9989731")]
    pub(crate) base_units: String,
    /// The same with the point; absent where the token's decimals are not known.
    #[schema(example = "9.989731")]
    pub(crate) decimal: Option<String>,
}

impl TokenAmount {
    pub(crate) fn new(base_units: U256, decimals: Option<u8>) -> Self {
        Self {
            base_units: base_units.to_string(),
            decimal: decimals.map(|decimals| format_units(base_units, decimals)),
        }
    }
}

/// An address with its EIP-55 checksum.
pub(crate) fn show_address(address: Address) -> String {
    address.to_checksum(None)
}
