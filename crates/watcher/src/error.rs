//! Why a step did not finish.

use inspay_ports::{ChainError, StoreError, StoreErrorKind};
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
}
