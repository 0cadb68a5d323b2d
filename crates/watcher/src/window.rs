//! The window: the canonical blocks that a reorg may still change, without a gap.
//!
//! Never holds two blocks of one height, and never a block that does not stand on the one below.

use std::collections::VecDeque;

use inspay_ports::{Proof, WindowBlock};
use inspay_primitives::{B256, BlockRef};

/// Contiguous canonical blocks up to the tip.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    blocks: VecDeque<WindowBlock>,
}

impl Window {
    /// The part of the stored blocks that leads to `tip` without a gap; only the tip, if the store kept
    /// none that do.
    #[must_use]
    pub fn restore(stored: &[WindowBlock], tip: BlockRef) -> Self {
        let mut window = Self::at(tip);
        let mut below = stored.iter().rev().skip_while(|stored| tip.number <= stored.block.number);
        if let Some(newest) = stored.iter().rfind(|stored| stored.block == tip) {
            window.blocks = VecDeque::from([*newest]);
        }
        let mut expected = tip.number.checked_sub(1);
        while let (Some(number), Some(stored)) = (expected, below.next()) {
            if stored.block.number != number {
                break;
            }
            window.blocks.push_front(*stored);
            expected = number.checked_sub(1);
        }
        window
    }

    /// A window of one block that a range ended with.
    #[must_use]
    pub fn at(tip: BlockRef) -> Self {
        Self { blocks: VecDeque::from([WindowBlock { block: tip, proof: Proof::Range }]) }
    }

    /// Height of the oldest block.
    #[must_use]
    pub fn first_number(&self) -> Option<u64> {
        self.blocks.front().map(|first| first.block.number)
    }

    /// The canonical block at a height.
    #[must_use]
    pub fn block_at(&self, number: u64) -> Option<BlockRef> {
        let place = number.checked_sub(self.first_number()?)?;
        self.blocks.get(usize::try_from(place).ok()?).map(|found| found.block)
    }

    /// How a block of the window was proven.
    #[must_use]
    pub fn proof_of(&self, block: BlockRef) -> Option<Proof> {
        let place = block.number.checked_sub(self.first_number()?)?;
        let held = self.blocks.get(usize::try_from(place).ok()?)?;
        (held.block == block).then_some(held.proof)
    }

    /// The canonical hash at a height.
    #[must_use]
    pub fn hash_at(&self, number: u64) -> Option<B256> {
        self.block_at(number).map(|block| block.hash)
    }

    /// The blocks above `ancestor`, newest first; of all blocks, if there is none.
    #[must_use]
    pub fn blocks_above(&self, ancestor: Option<u64>) -> Vec<BlockRef> {
        self.blocks
            .iter()
            .rev()
            .take_while(|held| ancestor.is_none_or(|number| held.block.number > number))
            .map(|held| held.block)
            .collect()
    }

    /// Drops the blocks above `ancestor`, or all, and puts `added` in their place.
    pub(crate) fn replace_above(
        &mut self,
        ancestor: Option<u64>,
        added: impl IntoIterator<Item = WindowBlock>,
    ) {
        while let Some(newest) = self.blocks.back() {
            if ancestor.is_some_and(|number| newest.block.number <= number) {
                break;
            }
            self.blocks.pop_back();
        }
        self.blocks.extend(added);
    }

    /// Forgets the blocks below `number`, but never the tip.
    pub(crate) fn prune_below(&mut self, number: u64) {
        while self.blocks.len() > 1 && self.first_number().is_some_and(|first| first < number) {
            self.blocks.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use inspay_primitives::Timestamp;

    use super::*;

    fn held(number: u64, fork: u8) -> WindowBlock {
        let block = BlockRef {
            number,
            hash: B256::repeat_byte(
                fork.wrapping_mul(16).wrapping_add(u8::try_from(number).unwrap()),
            ),
            time: Timestamp::from_chain_seconds(number),
        };
        WindowBlock { block, proof: Proof::Bloom }
    }

    #[test]
    fn only_blocks_that_lead_to_the_tip_are_restored() {
        let stored: Vec<_> = [1, 2, 5, 6, 7].map(|number| held(number, 1)).to_vec();
        let window = Window::restore(&stored, held(7, 1).block);
        assert_eq!(window.first_number(), Some(5));
        assert_eq!(window.hash_at(6), Some(held(6, 1).block.hash));
        assert_eq!(window.hash_at(4), None);
        assert_eq!(window.hash_at(8), None);

        let newer = Window::restore(&stored, held(6, 1).block);
        assert_eq!((newer.first_number(), newer.hash_at(7)), (Some(5), None));
        assert_eq!(Window::restore(&[], held(9, 1).block).first_number(), Some(9));
        assert_eq!(Window::restore(&stored, held(9, 1).block).first_number(), Some(9));
    }

    #[test]
    fn a_branch_replaces_what_stands_above_its_ancestor() {
        let stored: Vec<_> = [1, 2, 3, 4].map(|number| held(number, 1)).to_vec();
        let mut window = Window::restore(&stored, held(4, 1).block);
        assert_eq!(window.blocks_above(Some(2)), [held(4, 1).block, held(3, 1).block]);
        assert_eq!(window.blocks_above(None).len(), 4);
        window.replace_above(Some(2), [held(3, 2)]);
        assert_eq!(window.hash_at(3), Some(held(3, 2).block.hash));
        assert_eq!(window.hash_at(4), None);
        window.prune_below(9);
        assert_eq!(window.first_number(), Some(3));
        window.replace_above(None, [held(1, 2)]);
        assert_eq!(window.first_number(), Some(1));
    }
}
