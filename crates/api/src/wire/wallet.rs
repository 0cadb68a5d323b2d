//! Wallets, claims, and where a payment is.

use inspay_ledger::SettlementKind;
use inspay_ports::{PaymentClaim, TransferView, WalletRecord};
use inspay_primitives::{AccountId, Credits, OrderId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    AssetBody, Shown, TokenAmount,
    token::show_address,
    transfer::{WantedBody, confirmations},
};

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

/// Where a payment is, and what it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PaymentState {
    /// On the chain, waiting for its confirmations.
    Confirming,
    /// Its block left the chain: it may be mined again.
    OffChain,
    /// Credited to the account.
    Credited,
    /// Received, and not known whose it is.
    Unmatched,
    /// It pays for something else, or moves nothing.
    Elsewhere,
}

/// A transfer of the chain transaction, as one account may know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Payment)]
pub(crate) struct PaymentBody {
    /// Where it is.
    pub(crate) state: PaymentState,
    /// The same for people, with what it needs.
    pub(crate) needs: String,
    /// The token.
    asset: AssetBody,
    /// How much.
    amount: TokenAmount,
    /// Counted from one in the head block.
    confirmations: u64,
    /// How many it waits for.
    confirmations_wanted: Option<WantedBody>,
    /// The order that it paid for.
    #[schema(value_type = Option<String>)]
    order: Option<OrderId>,
    /// Credits that it granted by itself.
    #[schema(value_type = Option<String>)]
    credits: Option<Credits>,
}

/// What is known of a chain transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct PaymentsBody {
    /// The chain transaction.
    pub(crate) tx_hash: String,
    /// Whether any transfer to a treasury was seen in it.
    pub(crate) seen: bool,
    /// Its transfers to a treasury.
    pub(crate) items: Vec<PaymentBody>,
}

impl PaymentBody {
    /// A transfer as the owner of `own` orders may know it: of others' it says nothing but that it is not theirs.
    pub(crate) fn new(view: &TransferView, own: Option<OrderId>, shown: Shown<'_>) -> Self {
        let (transfer, key) = (&view.transfer, &view.transfer.key);
        let listed = shown.sale.asset(key.asset());
        let depth = confirmations(transfer, view.canonical, shown.cursor);
        let wanted =
            listed.map(|it| WantedBody::from(it.confirmation.rule_for(transfer.base_units)));
        let settlement = view.settlement.as_ref();
        let state = match settlement.map(|settled| settled.kind) {
            _ if !view.canonical => PaymentState::OffChain,
            None => PaymentState::Confirming,
            Some(SettlementKind::Suspense) => PaymentState::Unmatched,
            Some(SettlementKind::Order | SettlementKind::Late) if own.is_some() => {
                PaymentState::Credited
            }
            Some(
                SettlementKind::Order
                | SettlementKind::Late
                | SettlementKind::Withdrawal
                | SettlementKind::Ignored,
            ) => PaymentState::Elsewhere,
        };
        let needs = match state {
            PaymentState::Confirming => {
                let most = wanted.as_ref().map_or(0, |wanted| wanted.count);
                format!("It has {depth} of {most} confirmations; nothing needs to be done.")
            }
            PaymentState::OffChain => {
                "Its block left the chain; it counts when it is mined again.".to_owned()
            }
            PaymentState::Credited => "It is credited.".to_owned(),
            PaymentState::Unmatched => {
                "Prove the wallet that paid, or claim it for an open order; an exchange's payment \
                needs the order's exact amount."
                    .to_owned()
            }
            PaymentState::Elsewhere => "It pays for nothing of this account.".to_owned(),
        };
        Self {
            state,
            needs,
            asset: listed.map_or_else(
                || AssetBody::new(key.asset(), None, None),
                |listed| AssetBody::from(&listed.asset),
            ),
            amount: TokenAmount::new(
                transfer.base_units,
                listed.map(|listed| listed.asset.decimals),
            ),
            confirmations: depth,
            confirmations_wanted: wanted,
            order: own,
            credits: own.and_then(|_| settlement.map(|settled| settled.credits)),
        }
    }
}
