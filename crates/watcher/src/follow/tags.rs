//! The `safe` and `finalized` blocks as the chain tells them, and what of it the cursor may say.
//!
//! A tag says something of our blocks only where it is one of them: told by its hash, it cannot make a dead branch final
//! that another endpoint still stands on.

use inspay_ports::TaggedBlocks;
use inspay_primitives::{B256, BlockRef};

/// The tags seen last. A chain that once had a tag keeps it: a later absence is an endpoint without it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SeenTags {
    safe: Option<BlockRef>,
    finalized: Option<BlockRef>,
}

/// Whether a told block is the one that we have at its height. Below all that we hold nothing changes any more.
fn is_ours(told: BlockRef, hash_at: &impl Fn(u64) -> Option<B256>) -> bool {
    hash_at(told.number).is_none_or(|ours| ours == told.hash)
}

impl SeenTags {
    pub(super) fn take(&mut self, told: TaggedBlocks) {
        // The very first block is safe and final on every chain: nodes that know no tag tell it too.
        let known = |told: Option<BlockRef>| told.filter(|block| block.number > 0);
        self.safe = known(told.safe).or(self.safe);
        self.finalized = known(told.finalized).or(self.finalized);
    }

    /// The block told as final.
    pub(super) const fn finalized(&self) -> Option<BlockRef> {
        self.finalized
    }

    /// Whether none of them is at the height of another block of ours, up to our block at `tip_number`.
    pub(super) fn fit(&self, tip_number: u64, hash_at: impl Fn(u64) -> Option<B256>) -> bool {
        let told = [self.safe, self.finalized].into_iter().flatten();
        told.filter(|block| block.number <= tip_number).all(|block| is_ours(block, &hash_at))
    }

    /// Heights of our safe and of our final block, as far as the tags name blocks of ours up to `tip_number`; the latter
    /// is `None` where the chain has no such tag.
    pub(super) fn of_ours(
        &self,
        tip_number: u64,
        hash_at: impl Fn(u64) -> Option<B256>,
    ) -> (u64, Option<u64>) {
        let height = |told: BlockRef| {
            let counts = told.number <= tip_number && is_ours(told, &hash_at);
            if counts { told.number } else { 0 }
        };
        (self.safe.map_or(0, height), self.finalized.map(height))
    }
}
