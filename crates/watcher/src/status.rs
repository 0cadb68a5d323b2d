//! What the follower tells of itself.

use inspay_ports::{ChainErrorKind, ChainTags, StoreErrorKind};
use inspay_primitives::{Address, BlockRef, ChainId, Timestamp};

use crate::{
    error::FollowError,
    follow::{Disagreement, HaltReason},
    lease::LeaseHeld,
};

/// Why the follower does not get on, or why what it has read does not count as whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stall {
    /// The node does not answer, or answers what cannot be used.
    #[error("node: {0}")]
    Node(String),
    /// A block could not be proven whole.
    #[error("not_proven: {0}")]
    NotProven(String),
    /// The node's answers contradict each other.
    #[error("node_contradicts_itself: {0}")]
    NodeContradictsItself(String),
    /// The node's head is below our tip.
    #[error("node_lags: its head is block {head_number}, ours is {tip_number}")]
    NodeLags {
        /// The node's head.
        head_number: u64,
        /// Our tip.
        tip_number: u64,
    },
    /// The database does not answer.
    #[error("store: {0}")]
    Store(String),
    /// Another follower of the same chain writes to the same database.
    #[error("another_follower: the cursor was moved by somebody else")]
    AnotherFollower,
    /// Opening + in − out is not what the chain says the treasury holds.
    #[error(
        "books_differ_from_chain: {symbol} of {treasury:#x} in blocks {from} to {to}: chain less books is {difference} base units"
    )]
    BooksDifferFromChain {
        /// The asset.
        symbol: String,
        /// The treasury.
        treasury: Address,
        /// First block in which the difference may lie.
        from: u64,
        /// The block of the comparison.
        to: u64,
        /// Chain less books, with its sign.
        difference: String,
    },
    /// Nobody can say what a treasury held before its first followed block.
    #[error(
        "opening_balance_unknown: set assets.{symbol}.opening for {treasury:#x} at block {number}; the node says: {why}"
    )]
    OpeningBalanceUnknown {
        /// The asset.
        symbol: String,
        /// The treasury.
        treasury: Address,
        /// The block before the first followed one.
        number: u64,
        /// What the node answered.
        why: String,
    },
    /// The node refuses to say what a treasury holds.
    #[error("balance_unreadable: {symbol} of {treasury:#x} at block {number}: {why}")]
    BalanceUnreadable {
        /// The asset.
        symbol: String,
        /// The treasury.
        treasury: Address,
        /// The block.
        number: u64,
        /// What the node answered.
        why: String,
    },
}

impl Stall {
    /// A stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Node(_) => "node",
            Self::NotProven(_) => "not_proven",
            Self::NodeContradictsItself(_) => "node_contradicts_itself",
            Self::NodeLags { .. } => "node_lags",
            Self::Store(_) => "store",
            Self::AnotherFollower => "another_follower",
            Self::BooksDifferFromChain { .. } => "books_differ_from_chain",
            Self::OpeningBalanceUnknown { .. } => "opening_balance_unknown",
            Self::BalanceUnreadable { .. } => "balance_unreadable",
        }
    }

    /// What a failed step shows.
    #[must_use]
    pub fn of(error: &FollowError) -> Self {
        match error {
            FollowError::Chain(error) => match &error.kind {
                ChainErrorKind::Contradiction(_) => {
                    Self::NodeContradictsItself(format!("{error}: {}", error.kind))
                }
                ChainErrorKind::Unreachable(_)
                | ChainErrorKind::RateLimited(_)
                | ChainErrorKind::RangeTooLarge { .. }
                | ChainErrorKind::NotYet(_)
                | ChainErrorKind::Reverted(_)
                | ChainErrorKind::Refused(_) => Self::Node(format!("{error}: {}", error.kind)),
            },
            FollowError::NotProven { number, source } => {
                Self::NotProven(format!("block {number}: {}", source.kind))
            }
            FollowError::Disagreement(why) => Self::contradiction(*why),
            FollowError::AnchorMoved { .. } => Self::NodeContradictsItself(error.to_string()),
            FollowError::Store(error) => match &error.kind {
                StoreErrorKind::CursorMoved | StoreErrorKind::Fenced => Self::AnotherFollower,
                StoreErrorKind::Unreachable(_)
                | StoreErrorKind::Contended(_)
                | StoreErrorKind::QuoteUsed
                | StoreErrorKind::SlotTaken
                | StoreErrorKind::NotFound(_)
                | StoreErrorKind::Exists(_)
                | StoreErrorKind::Schema(_)
                | StoreErrorKind::Corrupt(_)
                | StoreErrorKind::Refused(_) => Self::Store(format!("{error}: {}", error.kind)),
            },
        }
    }

    fn contradiction(why: Disagreement) -> Self {
        Self::NodeContradictsItself(why.to_string())
    }
}

/// Where a follower stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowStatus {
    /// The chain.
    pub chain_id: ChainId,
    /// Who holds the chain's lease, while this follower stands by.
    pub standby: Option<LeaseHeld>,
    /// Whether our tip was seen to be on the chain since the start. Nothing should be credited before.
    pub checked: bool,
    /// Whether finalized ranges are being read.
    pub catching_up: bool,
    /// The newest applied block.
    pub tip: Option<BlockRef>,
    /// Everything up to here is proven whole.
    pub audited_to: u64,
    /// Heights of `safe` and `finalized`.
    pub tags: ChainTags,
    /// The head that was last shown.
    pub head_number: Option<u64>,
    /// Blocks from the tip to the head.
    pub lag_blocks: u64,
    /// Why it does not get on, or does not count as whole.
    pub stalled: Option<Stall>,
    /// Why it will not get on without a person, or a node that changes its mind.
    pub halted: Option<HaltReason>,
    /// When it last committed.
    pub last_commit_at: Option<Timestamp>,
}

impl FollowStatus {
    pub(crate) const fn new(chain_id: ChainId) -> Self {
        Self {
            chain_id,
            standby: None,
            checked: false,
            catching_up: false,
            tip: None,
            audited_to: 0,
            tags: ChainTags { safe_number: 0, finalized_number: 0 },
            head_number: None,
            lag_blocks: 0,
            stalled: None,
            halted: None,
            last_commit_at: None,
        }
    }
}
