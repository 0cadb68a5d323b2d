//! Whether the process lives and whether it is of use.

use inspay_ports::AssetHalt;
use inspay_primitives::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::token::show_address;
use crate::state::ChainStatus;

/// The process answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Alive)]
pub(crate) struct AliveBody {
    /// Always `alive`.
    #[schema(example = "alive")]
    pub(crate) status: &'static str,
}

/// Every component is ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Ready)]
pub(crate) struct ReadyBody {
    /// Always `ready`; otherwise the answer is a problem.
    #[schema(example = "ready")]
    pub(crate) status: &'static str,
    /// The newest migration applied to the database.
    #[schema(example = 1)]
    pub(crate) schema_version: i64,
    /// How each chain is followed.
    pub(crate) chains: Vec<ChainHealth>,
}

/// How one chain is followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ChainHealth {
    /// EIP-155 chain id.
    #[schema(example = 1)]
    chain_id: u64,
    /// The newest applied block.
    head: Option<u64>,
    /// Its `finalized` block.
    finalized: Option<u64>,
    /// Everything up to here is proven whole.
    audited_to: Option<u64>,
    /// What people should know although everything is ready, such as an endpoint that is not believed.
    notes: Vec<String>,
    /// Who follows it, while this process stands by to take over.
    standby_for: Option<String>,
    /// Assets of which nothing is credited, since what is recorded of them is not what the chain says. A case is open.
    halted_assets: Vec<AssetHaltBody>,
}

/// An asset of which nothing is credited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = AssetHalt)]
pub(crate) struct AssetHaltBody {
    /// The token.
    #[schema(example = "0xdAC17F958D2ee523a2206206994597C13D831ec7")]
    token: String,
    /// The treasury whose transfers are not known to be whole.
    treasury: String,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    halted_at: Timestamp,
    /// Why: the asset, the treasury, the blocks and the difference.
    why: String,
}

impl From<&AssetHalt> for AssetHaltBody {
    fn from(halt: &AssetHalt) -> Self {
        Self {
            token: show_address(halt.asset.contract),
            treasury: show_address(halt.treasury),
            halted_at: halt.halted_at,
            why: halt.why.clone(),
        }
    }
}

impl ChainHealth {
    pub(crate) fn new(status: &ChainStatus, halts: &[AssetHalt]) -> Self {
        Self {
            chain_id: status.chain_id.0,
            head: status.view.map(|view| view.head.number),
            finalized: status.view.map(|view| view.finalized_number),
            audited_to: status.view.map(|view| view.audited_to),
            notes: status.notes.clone(),
            standby_for: status.standby.clone(),
            halted_assets: halts.iter().map(AssetHaltBody::from).collect(),
        }
    }
}
