//! The heights of `safe` and `finalized` as the chain tells them, and what of it the cursor may say.

use inspay_ports::ChainTags;

/// The highest tags seen. A chain that once had a tag keeps it: a later zero is an endpoint without it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SeenTags {
    safe_number: u64,
    finalized_number: u64,
}

impl SeenTags {
    pub(super) fn raise(&mut self, tags: ChainTags) {
        self.safe_number = self.safe_number.max(tags.safe_number);
        self.finalized_number = self.finalized_number.max(tags.finalized_number);
    }

    /// Forgets what the tags said above `ancestor`: it may have been of the branch that left.
    pub(super) fn branch_left(&mut self, ancestor: u64) {
        self.safe_number = self.safe_number.min(ancestor);
        self.finalized_number = self.finalized_number.min(ancestor);
    }

    /// Height up to which the chain is final; by depth below `head_number` where it has no tag.
    pub(super) fn finalized(&self, head_number: u64, finality_depth: u64) -> u64 {
        if self.finalized_number > 0 {
            self.finalized_number
        } else {
            head_number.saturating_sub(finality_depth)
        }
    }

    /// Height up to which the chain is safe; what is final is safe.
    pub(super) fn safe(&self, finalized_number: u64) -> u64 {
        self.safe_number.max(finalized_number)
    }
}
