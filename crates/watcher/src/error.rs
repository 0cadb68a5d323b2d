//! Why a step did not finish.

use inspay_ports::{ChainError, ChainErrorKind, StoreError, StoreErrorKind};
use inspay_primitives::B256;

use crate::follow::Disagreement;

/// Why a step did not finish. What was committed stays; the next step goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The chain failed.
    #[error("the chain could not be read")]
    Chain(#[from] ChainError),
    /// A block's transfers could not be proven whole.
    #[error("block {number} could not be proven whole")]
    NotProven {
        /// The block.
        number: u64,
        /// Why.
        #[source]
        source: ChainError,
    },
    /// The store failed.
    #[error("what was read could not be kept")]
    Store(#[from] StoreError),
    /// The node's answers contradict each other.
    #[error("the chain's answers do not fit together")]
    Disagreement(#[from] Disagreement),
    /// A block that was taken for final has changed while ranges below it were read.
    #[error("final block {number} changed from {before} to {after} while ranges were read")]
    AnchorMoved {
        /// Its height.
        number: u64,
        /// Its hash at first.
        before: B256,
        /// Its hash afterwards.
        after: B256,
    },
}

impl FollowError {
    /// Whether the chain's lease is held by somebody else now.
    #[must_use]
    pub const fn is_fenced(&self) -> bool {
        matches!(self, Self::Store(StoreError { kind: StoreErrorKind::Fenced, .. }))
    }

    /// Whether the same step may succeed when tried again without anybody changing anything.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Chain(error) | Self::NotProven { source: error, .. } => error.is_transient(),
            Self::Store(error) => {
                error.is_transient() || matches!(error.kind, StoreErrorKind::CursorMoved)
            }
            Self::Disagreement(_) | Self::AnchorMoved { .. } => true,
        }
    }

    /// Whether the node is there and answers, but what it answers cannot be used. A moment later it may be whole, and
    /// a node in trouble is not what asking again would burden.
    #[must_use]
    pub const fn is_of_an_answer(&self) -> bool {
        match self {
            Self::Chain(error) | Self::NotProven { source: error, .. } => {
                is_unusable_answer(&error.kind)
            }
            Self::Disagreement(_) | Self::AnchorMoved { .. } => true,
            Self::Store(_) => false,
        }
    }
}

/// Whether an endpoint answered what cannot be used, or not yet.
pub(crate) const fn is_unusable_answer(kind: &ChainErrorKind) -> bool {
    match kind {
        ChainErrorKind::NotYet(_) | ChainErrorKind::Contradiction(_) => true,
        ChainErrorKind::Unreachable(_)
        | ChainErrorKind::RateLimited(_)
        | ChainErrorKind::RangeTooLarge { .. }
        | ChainErrorKind::Reverted(_)
        | ChainErrorKind::Refused(_) => false,
    }
}
