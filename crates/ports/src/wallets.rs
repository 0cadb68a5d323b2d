//! Keeping what buyers have shown: wallets that are proven for accounts, and chain transactions that they claim.
//!
//! What was shown is kept for good. Whether it ties a transfer to an order is settlement's to decide.

use async_trait::async_trait;
use inspay_ledger::{FreePlanDue, FreePlanTerms, TransferRecord};
use inspay_primitives::{AccountId, Address, B256, ChainId, Order, OrderId, Timestamp, TransferId};

use crate::StoreError;

/// A message that was made for a wallet to sign, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalletChallenge {
    /// Its nonce; unique.
    pub nonce: String,
    /// The account that the wallet is to be proven for.
    pub account: AccountId,
    /// The chain on which the wallet pays.
    pub chain_id: ChainId,
    /// The wallet.
    pub wallet: Address,
    /// When it was made.
    pub issued_at: Timestamp,
    /// From when on it is worth nothing.
    pub expires_at: Timestamp,
}

/// How a wallet was proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WalletProof {
    /// Its key signed.
    Key,
    /// Its contract accepted the signature.
    Contract,
}

impl WalletProof {
    /// The proof as stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Contract => "contract",
        }
    }

    /// Reads what [`Self::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Key, Self::Contract].into_iter().find(|proof| proof.as_str() == text)
    }
}

/// A wallet that was proven for an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalletRecord {
    /// Place in the order of proving.
    pub id: i64,
    /// The account.
    pub account: AccountId,
    /// The chain.
    pub chain_id: ChainId,
    /// The wallet.
    pub wallet: Address,
    /// How it was proven.
    pub proof: WalletProof,
    /// When it was proven.
    pub linked_at: Timestamp,
    /// When the account let go of it, if it did.
    pub unlinked_at: Option<Timestamp>,
}

/// A challenge whose signature was found to be good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalletLinking {
    /// The nonce of the challenge.
    pub nonce: String,
    /// How it was proven.
    pub proof: WalletProof,
    /// What the wallet brings its account, if anything.
    pub free_plan: Option<FreePlanTerms>,
    /// Now.
    pub at: Timestamp,
}

/// What became of a linking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Linked {
    /// The wallet belongs to the account; it may have before.
    Proven(WalletRecord),
    /// The challenge is not known, was used before or has run out. Nothing changed.
    Spent,
    /// The wallet belongs to another account. The challenge is used up.
    BelongsToAnother,
}

/// A chain transaction that an account says pays for its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentClaim {
    /// The order; it tells the account and the chain.
    pub order: OrderId,
    /// The chain of the order.
    pub chain_id: ChainId,
    /// The chain transaction.
    pub tx_hash: B256,
    /// When it was claimed first.
    pub claimed_at: Timestamp,
}

/// How an order was found for a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FoundBy {
    /// By its reference, or the amount that it holds.
    Terms,
    /// Its account has proven the wallet that paid.
    Payer(Address),
    /// Its account claims the chain transaction.
    Claim {
        /// The chain transaction.
        tx_hash: B256,
        /// The wallet that paid, if the order's account has proven it.
        payer: Option<Address>,
    },
}

/// An order that a transfer might belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundOrder {
    /// The order.
    pub order: Order,
    /// How it was found.
    pub found_by: FoundBy,
}

/// What buyers have shown.
#[async_trait]
pub trait WalletStore: Send + Sync + std::fmt::Debug {
    /// Keeps a challenge. `Exists` if its nonce was given out before.
    async fn open_challenge(&self, challenge: WalletChallenge) -> Result<(), StoreError>;

    /// The challenge with that nonce, used or not.
    async fn challenge(&self, nonce: &str) -> Result<Option<WalletChallenge>, StoreError>;

    /// Uses up a challenge and ties its wallet to its account. One commit. Of any number of attempts with one nonce, one
    /// uses it; a wallet of a chain belongs to one account at a time, whoever comes first. Every transfer in from the
    /// wallet that is not attributed is judged again. A proven wallet's free plan is due from then on, unless one is
    /// already.
    async fn link_wallet(&self, linking: WalletLinking) -> Result<Linked, StoreError>;

    /// Lets go of a wallet; whether the account had it. The row stays, and so does what was attributed by it.
    async fn unlink_wallet(
        &self,
        account: &AccountId,
        chain: ChainId,
        wallet: Address,
        at: Timestamp,
    ) -> Result<bool, StoreError>;

    /// All wallets that an account has or had, oldest first.
    async fn wallets(&self, account: &AccountId) -> Result<Vec<WalletRecord>, StoreError>;

    /// The account that a wallet belongs to.
    async fn wallet_owner(
        &self,
        chain: ChainId,
        wallet: Address,
    ) -> Result<Option<AccountId>, StoreError>;

    /// Keeps a claim; whether it is a new one. Every transfer in of the chain transaction that is not attributed is judged
    /// again.
    async fn claim_payment(&self, claim: PaymentClaim) -> Result<bool, StoreError>;

    /// The claims for an order, oldest first.
    async fn payment_claims(&self, order: OrderId) -> Result<Vec<PaymentClaim>, StoreError>;

    /// Settled canonical transfers of a chain that are to be judged again, in no particular order, at most `limit`.
    async fn transfers_to_rejudge(
        &self,
        chain: ChainId,
        limit: u32,
    ) -> Result<Vec<TransferRecord>, StoreError>;

    /// Forgets that transfers were to be judged again.
    async fn rejudged(&self, transfers: Vec<TransferId>) -> Result<(), StoreError>;

    /// Free plans that wallets have brought and nobody noted as granted, by wallet, at most `limit`.
    async fn free_plans_due(&self, limit: u32) -> Result<Vec<FreePlanDue>, StoreError>;

    /// Notes that the books have had the free plans of wallets.
    async fn note_free_plans(&self, wallets: Vec<Address>) -> Result<(), StoreError>;
}
