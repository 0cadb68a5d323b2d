//! Wallets, and claims of payments.

use inspay_ports::{PaymentClaim, WalletRecord};
use inspay_primitives::{AccountId, OrderId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::token::show_address;

/// A wallet to be proven for an account.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChallengeWish {
    /// The account.
    #[schema(example = "alice")]
    pub(crate) account: String,
    /// The wallet.
    #[schema(example = "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf")]
    pub(crate) wallet: String,
    /// The chain on which it pays.
    #[schema(example = 1)]
    pub(crate) chain_id: u64,
}

/// A message for a wallet to sign, once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Challenge)]
pub(crate) struct ChallengeBody {
    /// The text to sign (EIP-4361), to the letter.
    pub(crate) message: String,
    /// From when on it is worth nothing.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) expires_at: Timestamp,
}

/// A signed message.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProofWish {
    /// The message of the challenge, to the letter.
    pub(crate) message: String,
    /// The wallet's signature of it: `personal_sign`, or whatever a contract wallet accepts (ERC-1271).
    #[schema(example = "0x…")]
    pub(crate) signature: String,
}

/// A wallet of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Wallet)]
pub(crate) struct WalletBody {
    /// The account.
    #[schema(value_type = String, example = "alice")]
    account: AccountId,
    /// The chain.
    #[schema(example = 1)]
    chain_id: u64,
    /// The wallet.
    wallet: String,
    /// `key` or `contract`.
    #[schema(example = "key")]
    proof: &'static str,
    /// When it was proven.
    #[schema(value_type = String, format = DateTime)]
    linked_at: Timestamp,
    /// When the account let go of it.
    #[schema(value_type = Option<String>, format = DateTime)]
    unlinked_at: Option<Timestamp>,
}

impl From<&WalletRecord> for WalletBody {
    fn from(record: &WalletRecord) -> Self {
        Self {
            account: record.account.clone(),
            chain_id: record.chain_id.0,
            wallet: show_address(record.wallet),
            proof: record.proof.as_str(),
            linked_at: record.linked_at,
            unlinked_at: record.unlinked_at,
        }
    }
}

/// An account's wallets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct WalletsBody {
    /// All that it has or had, oldest first.
    pub(crate) items: Vec<WalletBody>,
}

/// A chain transaction that is said to pay for an order.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClaimWish {
    /// Its hash.
    #[schema(example = "0x0101010101010101010101010101010101010101010101010101010101010101")]
    pub(crate) tx_hash: String,
}

/// A claim as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Claim)]
pub(crate) struct ClaimBody {
    /// The order.
    #[schema(value_type = String)]
    order: OrderId,
    /// The chain transaction.
    tx_hash: String,
    /// When it was claimed first.
    #[schema(value_type = String, format = DateTime)]
    claimed_at: Timestamp,
}

impl From<&PaymentClaim> for ClaimBody {
    fn from(claim: &PaymentClaim) -> Self {
        Self {
            order: claim.order,
            tx_hash: claim.tx_hash.to_string(),
            claimed_at: claim.claimed_at,
        }
    }
}

/// The claims for an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ClaimsBody {
    /// Oldest first.
    pub(crate) items: Vec<ClaimBody>,
}
