//! What an endpoint is like: which troubles it has, how often, and what it sees of the chain.

use std::sync::Arc;

use inspay_primitives::B256;

use crate::{
    chain::{SimBlock, SimChain},
    dice::Dice,
    endpoint::Shared,
    journal::Event,
};

/// What kind of endpoint it is for the whole run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Character {
    /// Never wrong, often in trouble.
    Flaky,
    /// Leaves out, doubles and mixes up.
    Sloppy,
    /// Lies.
    Liar,
    /// Stays on branches that were left.
    Forked,
    /// Another chain's.
    Stranger,
}

/// How often what goes wrong, in a thousand answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Profile {
    pub(crate) character: Character,
    pub(crate) trouble: u64,
    pub(crate) wrong: u64,
    pub(crate) takes_batches: bool,
    pub(crate) gives_block_receipts: bool,
    pub(crate) knows_tags: bool,
    /// Longest range of logs that it answers.
    pub(crate) range_max: u64,
}

impl Profile {
    pub(crate) fn draw(dice: &mut Dice, character: Character, knows_tags: bool) -> Self {
        let wrong = match character {
            Character::Flaky | Character::Stranger => 0,
            Character::Sloppy | Character::Liar => dice.between(50, 500),
            Character::Forked => dice.between(0, 50),
        };
        Self {
            character,
            trouble: if dice.chance(300) { 0 } else { dice.between(5, 120) },
            wrong,
            takes_batches: !dice.chance(100),
            gives_block_receipts: !dice.chance(150),
            knows_tags,
            range_max: if dice.chance(300) { dice.between(5, 40) } else { 10_000 },
        }
    }
}

/// What an endpoint sees of the chain for a while.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    /// So many blocks behind the head.
    pub(crate) lag: u64,
    /// The newest blocks, down to where they stand on the chain, where it stays on another branch.
    pub(crate) branch: Vec<Arc<SimBlock>>,
    /// So many of its newest blocks are not indexed.
    pub(crate) unindexed: u64,
    /// Whether it then answers with an empty list in place of nothing.
    pub(crate) answers_empty: bool,
}

impl View {
    /// What it sees from now on.
    pub(crate) fn draw(dice: &mut Dice, profile: &Profile, shared: &Shared) -> Self {
        let (chain, journal) = (shared.chain(), &shared.journal);
        let mut view = Self::default();
        let troubled = profile.trouble > 0;
        if troubled && dice.chance(200) {
            view.lag = dice.between(1, 4);
            journal.saw(Event::StaleHead);
        }
        if troubled && dice.chance(150) {
            view.unindexed = dice.between(1, 2);
            journal.saw(Event::Unindexed);
            view.answers_empty = profile.character >= Character::Sloppy && dice.chance(500);
            if view.answers_empty {
                journal.saw(Event::EmptyAnswer);
            }
        }
        if profile.character == Character::Forked && dice.chance(600) {
            view.branch = branch_left(&chain);
            let (safe, _) = chain.tags();
            let is_below = view.branch.first().is_some_and(|first| first.number() <= safe);
            if is_below && !shared.is_stubborn {
                view.branch.clear();
            }
            if !view.branch.is_empty() {
                view.lag = 0;
                journal.saw(Event::OtherFork);
            }
        }
        view
    }

    /// Its newest block.
    pub(crate) fn head(&self, chain: &SimChain) -> Arc<SimBlock> {
        match self.branch.last() {
            Some(head) => Arc::clone(head),
            None => {
                let number = chain.head().number().saturating_sub(self.lag);
                Arc::clone(chain.at(number).unwrap_or_else(|| chain.head()))
            }
        }
    }

    /// The block at a height, as it sees the chain.
    pub(crate) fn at(&self, chain: &SimChain, number: u64) -> Option<Arc<SimBlock>> {
        if self.head(chain).number() < number {
            return None;
        }
        match self.branch.first() {
            Some(first) if first.number() <= number => {
                self.branch.iter().find(|block| block.number() == number).cloned()
            }
            Some(_) | None => chain.at(number).cloned(),
        }
    }

    /// A block of any branch that it has got so far as to see.
    pub(crate) fn by_hash(&self, chain: &SimChain, hash: &B256) -> Option<Arc<SimBlock>> {
        let head = self.head(chain).number();
        chain.by_hash(hash).filter(|block| block.number() <= head).cloned()
    }

    pub(crate) fn is_unindexed(&self, chain: &SimChain, block: &SimBlock) -> bool {
        self.head(chain).number().saturating_sub(self.unindexed) < block.number()
    }
}

/// The branch left last, down to a block that is canonical now.
fn branch_left(chain: &SimChain) -> Vec<Arc<SimBlock>> {
    let Some(left) = chain.left.last() else { return Vec::new() };
    let mut blocks: Vec<Arc<SimBlock>> = left.blocks.iter().rev().cloned().collect();
    let mut parent = left.ancestor;
    while let Some(block) = chain.by_hash(&parent) {
        if chain.is_canonical(block) {
            blocks.reverse();
            return blocks;
        }
        blocks.push(Arc::clone(block));
        parent = block.parent_hash;
    }
    Vec::new()
}
