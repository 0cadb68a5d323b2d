//! Following a chain as a pure state machine: facts go in, the next thing to do comes out.
//!
//! ```text
//!            ┌─▶ Idle ◀───────────────────────────────────────────────┐
//! Look ─head─┼─▶ AskTip ─▶ AskHead ─┐ (lower head, another branch)     │
//!            ├─▶ AnchorTip ─▶ Ranges │ (finality is far ahead)         │
//!            ├─▶ Gather ─────────────┤ (a gap, headers by number)      │
//!            └─▶ Link ◀──────────────┘                                 │
//!                 │ parents by hash, down to our chain                 │
//!                 ├─▶ Halted (below finality)                          │
//!                 └─▶ Prove ─▶ Commit ─▶ committed ─▶ (same head again)┘
//! ```
//!
//! Never does IO, never reads a clock. A commit is offered only for blocks that were proven whole and
//! link, hash by hash, to a block of ours that the chain still has; a branch is swapped in whole.

mod apply;
mod link;
mod plan;
mod tags;
mod words;

#[cfg(test)]
mod edges;
#[cfg(test)]
mod model;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use inspay_ports::{BlocksCommit, CursorRecord, Header, TaggedBlocks, WindowBlock};
use inspay_primitives::{B256, BlockRef, ChainId, FencingNumber};

use crate::window::Window;
use link::Link;
use tags::SeenTags;
pub use words::{Disagreement, Fact, HaltReason, Idle, Next};

/// What the machine goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowRules {
    /// The chain.
    pub chain_id: ChainId,
    /// The holding of the chain's lease that commits carry.
    pub fencing: FencingNumber,
    /// The first followed block; used only while there is no cursor.
    pub start_number: u64,
    /// Depth at which a block is taken for final where the chain has no `finalized` tag.
    pub finality_depth: u64,
    /// Blocks that share one commit.
    pub batch_blocks: u64,
    /// Finalized blocks ahead of the tip from which on they are read in ranges.
    pub range_blocks_min: u64,
    /// Blocks that the window holds at most.
    pub window_blocks_max: u64,
}

/// A commit on its way to the store, and what becomes of the window once it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Applying {
    ancestor: Option<u64>,
    added: Vec<WindowBlock>,
    cursor: CursorRecord,
    window_from: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Aim {
    Look,
    AskTip,
    AskHead,
    AnchorTip,
    Gather { from: u64, to: u64 },
    Link(Link),
    Prove { ancestor: Option<BlockRef>, leg: Vec<Header> },
    Commit(Box<BlocksCommit>, Applying),
    Committing(Applying),
    Ranges { to: u64 },
    Idle(Idle),
    Halted(HaltReason),
}

/// The state of following one chain.
#[derive(Clone, Debug)]
pub struct Follow {
    rules: FollowRules,
    cursor: Option<CursorRecord>,
    window: Window,
    seen: SeenTags,
    head: Option<Header>,
    aim: Aim,
    checked: bool,
    audit: Audit,
}

/// What is known of the completeness of the blocks up to the tip, beyond what the cursor says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Audit {
    /// What the cursor says.
    AsStored,
    /// Everything up to the tip was found whole, and the cursor does not say so yet.
    Passed,
}

impl Follow {
    /// Goes on from what the store has; `window` holds its canonical blocks, oldest first.
    #[must_use]
    pub fn restore(
        rules: FollowRules,
        cursor: Option<CursorRecord>,
        window: &[WindowBlock],
    ) -> Self {
        Self {
            rules,
            window: cursor
                .map_or_else(Window::default, |cursor| Window::restore(window, cursor.tip)),
            cursor,
            seen: SeenTags::default(),
            head: None,
            aim: Aim::Look,
            checked: false,
            audit: Audit::AsStored,
        }
    }

    /// Where the follower stands.
    #[must_use]
    pub const fn cursor(&self) -> Option<&CursorRecord> {
        self.cursor.as_ref()
    }

    /// The canonical blocks that may still change.
    #[must_use]
    pub const fn window(&self) -> &Window {
        &self.window
    }

    /// What the machine goes by.
    #[must_use]
    pub const fn rules(&self) -> &FollowRules {
        &self.rules
    }

    /// Height up to which the chain is final under a head at `head_number`.
    #[must_use]
    pub fn finalized_below(&self, head_number: u64) -> u64 {
        let by_depth = || head_number.saturating_sub(self.rules.finality_depth);
        // A head below it is one of a node that lags, or of a branch that is dead: it does not lower what is final.
        self.seen.finalized().map_or_else(by_depth, |block| block.number)
    }

    /// The head that was last shown.
    #[must_use]
    pub const fn head(&self) -> Option<&Header> {
        self.head.as_ref()
    }

    /// Whether our tip was seen to be on the chain since [`Self::restore`].
    #[must_use]
    pub const fn is_checked(&self) -> bool {
        self.checked
    }

    /// What to do next. Asking changes nothing.
    #[must_use]
    pub fn next(&self) -> Next {
        match &self.aim {
            Aim::Look => Next::Head,
            Aim::AskTip => {
                self.cursor.map_or(Next::Head, |cursor| Next::HeaderAt(cursor.tip.number))
            }
            Aim::AnchorTip => self.next_anchor(),
            Aim::AskHead => {
                self.head.as_ref().map_or(Next::Head, |head| Next::HeaderAt(head.block.number))
            }
            Aim::Gather { from, to } => Next::Headers { from: *from, to: *to },
            Aim::Link(link) => self.next_link(link),
            Aim::Prove { .. } => Next::Prove,
            Aim::Commit(..) => Next::Commit,
            // A commit whose end was not reported: only the store knows, so nothing goes on from here.
            Aim::Committing(_) => Next::Head,
            Aim::Ranges { to } => match self.first_unread() {
                from if from <= *to => Next::Ranges { from, to: *to },
                _ => Next::Head,
            },
            Aim::Idle(Idle::AtHead) if self.upkeep().is_some() => Next::Commit,
            Aim::Idle(idle) => Next::Idle(*idle),
            Aim::Halted(reason) => Next::Halt(*reason),
        }
    }

    /// Gives up what was under way and starts from a fresh head.
    pub fn look(&mut self) {
        self.aim = Aim::Look;
    }

    /// Takes a fact in. After an error the machine looks for a fresh head.
    pub fn learn(&mut self, fact: Fact) -> Result<(), Disagreement> {
        let aim = std::mem::replace(&mut self.aim, Aim::Look);
        match (aim, fact) {
            (Aim::Link(link), Fact::Header(header)) => self.parent_found(link, header),
            (Aim::Link(link), Fact::Headers(headers)) => self.parents_found(link, headers),
            (Aim::Gather { from, to }, Fact::Headers(headers)) => self.gathered(from, to, headers),
            (Aim::Prove { ancestor, leg }, Fact::Proven(proven)) => {
                self.proven(ancestor, &leg, proven)
            }
            (Aim::AskTip, Fact::Missing) => {
                self.aim = Aim::AskHead;
                Ok(())
            }
            (Aim::AskTip, Fact::Header(header)) => self.tip_answered(header),
            (Aim::AnchorTip, Fact::Headers(headers)) => self.anchored(headers),
            (Aim::AskHead, Fact::Header(header)) => self.head_confirmed(&header),
            (Aim::Link(_) | Aim::AskHead, Fact::Missing) => Err(Disagreement::Vanished),
            (_, Fact::Head(head)) => {
                self.plan(head);
                Ok(())
            }
            (_, Fact::Header(_) | Fact::Missing | Fact::Headers(_) | Fact::Proven(_)) => {
                Err(Disagreement::Unasked)
            }
        }
    }

    /// Takes in the tags as the chain tells them; answers whether they fit our blocks. Those that do not are of another
    /// branch than ours, and say nothing of it.
    pub fn tags_seen(&mut self, told: TaggedBlocks) -> bool {
        self.seen.take(told);
        let tip_number = self.cursor.map_or(0, |cursor| cursor.tip.number);
        self.seen.fit(tip_number, |number| self.window.hash_at(number))
    }

    /// The hash that the block at a height must have which the chain tells as final.
    #[must_use]
    pub fn told_final(&self, number: u64) -> Option<B256> {
        self.seen.finalized().filter(|block| block.number == number).map(|block| block.hash)
    }
}

/// A header's parents, oldest first, with the header itself.
type Branch = VecDeque<Header>;
