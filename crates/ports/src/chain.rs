//! Reading a chain.
//!
//! An adapter answers what a node said, checked field by field, or an error. It never turns a missing
//! answer into an empty one.

use std::collections::BTreeSet;

use async_trait::async_trait;
use inspay_primitives::{Address, AssetId, B256, BlockRef, ChainId, Reference, Transfer, U256};
pub use inspay_quoting::FeeHistory;
use tokio::sync::watch;

/// A header whose hash was recomputed from its fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Height, hash, time.
    pub block: BlockRef,
    /// Hash of the block before it.
    pub parent_hash: B256,
    /// Root of its receipts.
    pub receipts_root: B256,
    /// Bloom filter over its logs, 256 bytes.
    pub logs_bloom: Box<[u8; 256]>,
}

/// Which transfers are followed: listed tokens, in or out of the treasuries.
///
/// A treasury counts from its first block on; an earlier one stays in the set for ever, since late
/// payments may still come to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchFilter {
    /// The chain.
    pub chain_id: ChainId,
    /// Listed token contracts.
    pub tokens: BTreeSet<Address>,
    /// Treasuries with the first block from which each is followed.
    pub treasuries: Vec<(Address, u64)>,
}

/// How a block's set of transfers was shown to be whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Proof {
    /// The header's bloom holds none of what is followed: the block is empty.
    Bloom,
    /// The receipts' recomputed root equals the header's.
    ReceiptsRoot,
    /// Two endpoints gave the same set by the block's hash: for chains whose receipts have no standard root.
    SecondEndpoint,
    /// Read in a large range below finality; whole only once audited.
    Range,
}

impl Proof {
    /// The proof as stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bloom => "bloom",
            Self::ReceiptsRoot => "receipts_root",
            Self::SecondEndpoint => "second_endpoint",
            Self::Range => "range",
        }
    }

    /// Reads what [`Self::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Bloom, Self::ReceiptsRoot, Self::SecondEndpoint, Self::Range]
            .into_iter()
            .find(|proof| proof.as_str() == text)
    }
}

/// The whole set of followed transfers of one block, with the proof that it is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenBlock {
    /// The block.
    pub header: Header,
    /// Its followed transfers in log order, each with its reference read.
    pub transfers: Vec<Transfer>,
    /// Why nothing is missing.
    pub proof: Proof,
}

/// What a range request brought: unproven until audited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeAnswer {
    /// First block.
    pub from: u64,
    /// Last block.
    pub to: u64,
    /// Followed transfers in chain order; their references are not read.
    pub transfers: Vec<Transfer>,
    /// The place of the endpoint that told it; `None` where nobody's word was taken for it.
    pub told_by: Option<usize>,
}

/// How far the endpoints of a chain agree that a transfer stands in its block, and its block on the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// Endpoints that have the same log in the same canonical block.
    pub agreeing: u32,
    /// Endpoints that were asked. One that did not answer, or has not got that far, is among them.
    pub asked: u32,
    /// Which endpoint says something else, and what, if one does.
    pub contradiction: Option<String>,
}

/// The blocks that an endpoint tells as `safe` and as `finalized`, by hash: a height alone says nothing of the branch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaggedBlocks {
    /// `safe`; `None` where the chain has no such tag.
    pub safe: Option<BlockRef>,
    /// `finalized`; `None` where the chain has no such tag.
    pub finalized: Option<BlockRef>,
}

impl TaggedBlocks {
    /// Heights of `safe` and `finalized`, zero for one that is absent.
    #[must_use]
    pub fn heights(&self) -> (u64, u64) {
        let height = |block: Option<BlockRef>| block.map_or(0, |block| block.number);
        (height(self.safe), height(self.finalized))
    }
}

/// What a token's contract says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenFacts {
    /// Whether there is code at the address.
    pub has_code: bool,
    /// What `decimals()` answers, if it answers.
    pub decimals: Option<u8>,
    /// What `symbol()` answers, if it answers.
    pub symbol: Option<String>,
}

/// A token transfer that is to be estimated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferProbe {
    /// The token.
    pub token: Address,
    /// Who pays, if known.
    pub payer: Option<Address>,
    /// The treasury.
    pub treasury: Address,
    /// How much.
    pub base_units: U256,
    /// The whole calldata, reference included.
    pub calldata: Vec<u8>,
}

/// One chain, read through any number of endpoints.
#[async_trait]
pub trait Chain: Send + Sync + std::fmt::Debug {
    /// The chain that the settings name; [`Self::remote_chain_id`] is what the node says.
    fn chain_id(&self) -> ChainId;

    /// What the node says its chain id is.
    async fn remote_chain_id(&self) -> Result<ChainId, ChainError>;

    /// The newest header.
    async fn head(&self) -> Result<Header, ChainError>;

    /// The `safe` and the `finalized` block, both as one endpoint tells them.
    async fn tags(&self) -> Result<TaggedBlocks, ChainError>;

    /// The canonical header at a height. A height above the head is [`ChainErrorKind::NotYet`].
    async fn header_at(&self, number: u64) -> Result<Header, ChainError>;

    /// Canonical headers of a short span, oldest first, in one round trip; links are the caller's to check.
    async fn headers(&self, from: u64, to: u64) -> Result<Vec<Header>, ChainError>;

    /// The header with that hash.
    async fn header_by_hash(&self, hash: B256) -> Result<Header, ChainError>;

    /// The whole set of followed transfers of a block, proven, or an error; never an unproven set.
    async fn proven_block(
        &self,
        header: &Header,
        filter: &WatchFilter,
    ) -> Result<ProvenBlock, ChainError>;

    /// Followed transfers of a range of blocks. A range the node refuses is
    /// [`ChainErrorKind::RangeTooLarge`] and must be split, never asked for unchanged.
    async fn range(
        &self,
        from: u64,
        to: u64,
        filter: &WatchFilter,
    ) -> Result<RangeAnswer, ChainError>;

    /// The same range again, from another endpoint than the one that told it last or, where none is known to have, that a
    /// range is asked of first, so that what one leaves out the other may tell. `None` where there is only one endpoint,
    /// or there is no other to wait for; an error where another one may tell later.
    async fn second_range(
        &self,
        from: u64,
        to: u64,
        filter: &WatchFilter,
    ) -> Result<Option<RangeAnswer>, ChainError>;

    /// The canonical block at a height with its set of transfers, read by its hash and proven by its
    /// receipts, whatever its bloom says or a range brought.
    async fn reread_block(
        &self,
        number: u64,
        filter: &WatchFilter,
    ) -> Result<ProvenBlock, ChainError>;

    /// Asks every endpoint for the receipts of the transfers and for the canonical blocks at their
    /// heights; one agreement for each, in the order asked.
    ///
    /// # Errors
    ///
    /// Only where no endpoint answered at all.
    async fn agreed(&self, transfers: &[Transfer]) -> Result<Vec<Agreement>, ChainError>;

    /// The references behind the calldata of transfers, in the order asked. `None` where the chain
    /// transaction does not call the token directly or carries none.
    async fn references(
        &self,
        transfers: &[Transfer],
    ) -> Result<Vec<Option<Reference>>, ChainError>;

    /// What a token says of itself.
    async fn token_facts(&self, token: Address) -> Result<TokenFacts, ChainError>;

    /// What `holder` held of `asset` at the end of the block with that hash. Where two endpoints can tell, they tell the
    /// same, or a third one decides; else it is a [`ChainErrorKind::Contradiction`].
    async fn balance_of(
        &self,
        asset: AssetId,
        holder: Address,
        block: B256,
    ) -> Result<U256, ChainError>;

    /// Whether the contract at `wallet` takes the signature for its own (ERC-1271): every endpoint that is asked, two where
    /// there are two, says so. Where there is no contract, or it reverts, the answer is no.
    async fn accepts_signature(
        &self,
        wallet: Address,
        digest: B256,
        signature: &[u8],
    ) -> Result<bool, ChainError>;

    /// Fees of recent blocks.
    async fn fee_history(&self) -> Result<FeeHistory, ChainError>;

    /// Gas that the transfer would use. Without a payer, or where the node refuses it as reverting,
    /// [`ChainErrorKind::Reverted`].
    async fn estimate_gas(&self, probe: &TransferProbe) -> Result<u64, ChainError>;

    /// Ticks whenever a new head may be there. Only a hint: polling is the truth. `None` without a WebSocket.
    fn wake(&self) -> Option<watch::Receiver<u64>>;
}

/// Why a chain could not answer.
#[derive(Debug, thiserror::Error)]
#[error("chain {chain_id}: could not {act}")]
pub struct ChainError {
    /// Which chain.
    pub chain_id: ChainId,
    /// What was asked.
    pub act: &'static str,
    /// Why it failed.
    #[source]
    pub kind: ChainErrorKind,
}

/// The limits that a node named when it refused a range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NamedLimits {
    /// Blocks of one range. Beside a named number of results it is a proposal for that range, not a rule.
    pub blocks_max: Option<u64>,
    /// Logs of one answer.
    pub results_max: Option<u64>,
}

impl NamedLimits {
    /// No limit was named.
    pub const NONE: Self = Self { blocks_max: None, results_max: None };
}

/// Kinds of chain failures.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainErrorKind {
    /// No endpoint answered.
    #[error("the node cannot be reached: {0}")]
    Unreachable(String),
    /// The endpoint asks to slow down.
    #[error("the node limits the rate of requests: {0}")]
    RateLimited(String),
    /// The range or its result is more than the node gives; a smaller one may pass.
    #[error("the range is more than the node gives: {message}")]
    RangeTooLarge {
        /// The node's words.
        message: String,
        /// What the node named with them.
        named: NamedLimits,
    },
    /// The node does not have that block yet, or no longer.
    #[error("the node does not have that block: {0}")]
    NotYet(String),
    /// The answer contradicts itself, its header or the question.
    #[error("the node's answer is wrong: {0}")]
    Contradiction(String),
    /// The call was refused by the contract.
    #[error("the call reverts: {0}")]
    Reverted(String),
    /// The node refused the request.
    #[error("the node refused: {0}")]
    Refused(String),
}

impl ChainError {
    /// Whether asking again, unchanged, may succeed.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self.kind {
            ChainErrorKind::Unreachable(_)
            | ChainErrorKind::RateLimited(_)
            | ChainErrorKind::NotYet(_)
            | ChainErrorKind::Contradiction(_) => true,
            ChainErrorKind::RangeTooLarge { .. }
            | ChainErrorKind::Reverted(_)
            | ChainErrorKind::Refused(_) => false,
        }
    }
}
