//! References to blocks and the view of a chain that decisions are taken on.

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// A block as far as recording it needs: its height, its hash and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BlockRef {
    /// Height.
    pub number: u64,
    /// Hash of the header.
    pub hash: B256,
    /// The header's time, chain time.
    pub time: Timestamp,
}

/// What the follower has applied so far: the basis of every confirmation count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainView {
    /// The newest applied block.
    pub head: BlockRef,
    /// Height of the chain's `safe` block, never above the head.
    pub safe_number: u64,
    /// Height of the chain's `finalized` block, never above the head.
    pub finalized_number: u64,
    /// Height up to which completeness has been proven; nothing above it may be credited.
    pub audited_to: u64,
}
