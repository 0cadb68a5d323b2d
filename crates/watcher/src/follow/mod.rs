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

mod link;
mod plan;
mod tags;

#[cfg(test)]
mod model;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use inspay_ports::{
    AppliedBlock, BlocksCommit, ChainTags, CursorRecord, Header, ProvenBlock, RangeCommit,
    WindowBlock,
};
use inspay_primitives::{B256, BlockRef, ChainId, Transfer};

use crate::window::Window;
use link::Link;
use tags::SeenTags;

/// What the machine goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowRules {
    /// The chain.
    pub chain_id: ChainId,
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

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Ask for the head; answer [`Fact::Head`].
    Head,
    /// Ask for the canonical header at that height; answer [`Fact::Header`] or [`Fact::Missing`].
    HeaderAt(u64),
    /// Ask for the header with that hash; answer [`Fact::Header`] or [`Fact::Missing`].
    HeaderByHash(B256),
    /// Ask for canonical headers by number; answer [`Fact::Headers`].
    Headers {
        /// First.
        from: u64,
        /// Last.
        to: u64,
    },
    /// Prove the blocks of [`Follow::to_prove`]; answer [`Fact::Proven`].
    Prove,
    /// Store [`Follow::take_commit`], then call [`Follow::committed`].
    Commit,
    /// Read that finalized span in ranges, committing with [`Follow::range_commit`] and
    /// [`Follow::range_committed`] until its last block is the tip.
    Ranges {
        /// First.
        from: u64,
        /// Last.
        to: u64,
    },
    /// Wait, then [`Follow::look`] again.
    Idle(Idle),
    /// Commit nothing; say why; [`Follow::look`] again later, in case it was the node that erred.
    Halt(HaltReason),
}

/// Why there is nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// Our tip is the head.
    AtHead,
    /// The node shows a head on our chain or below our window: it lags.
    NodeLags {
        /// Its head.
        head_number: u64,
    },
    /// The chain has not reached the first followed block.
    BeforeStart {
        /// Its head.
        head_number: u64,
    },
}

/// Why nothing may be committed any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HaltReason {
    /// The chain contradicts a block of ours that cannot be given up.
    #[error(
        "reorg_below_finalized: block {number} is {ours} here and {theirs} on the chain, and blocks up to {floor} are final"
    )]
    ReorgBelowFinalized {
        /// Height of the contradiction.
        number: u64,
        /// Our hash.
        ours: B256,
        /// The chain's hash.
        theirs: B256,
        /// Nothing at or below this height may change.
        floor: u64,
    },
}

impl HaltReason {
    /// A stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ReorgBelowFinalized { .. } => "reorg_below_finalized",
        }
    }
}

/// What was found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The newest header.
    Head(Header),
    /// The header asked for.
    Header(Header),
    /// The node does not have the header asked for.
    Missing,
    /// The headers asked for, oldest first.
    Headers(Vec<Header>),
    /// The blocks to prove, oldest first. Fewer are taken only where no branch changes.
    Proven(Vec<ProvenBlock>),
}

/// An answer that contradicts its question or the answers before it. The node is to be asked again from
/// a fresh head; nothing is skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Disagreement {
    /// Another height than asked.
    #[error("asked for block {asked}, got block {got}")]
    WrongNumber {
        /// Asked for.
        asked: u64,
        /// Given.
        got: u64,
    },
    /// Another hash than asked.
    #[error("asked for block {asked}, got block {got}")]
    WrongHash {
        /// Asked for.
        asked: B256,
        /// Given.
        got: B256,
    },
    /// The headers of one answer are of different branches.
    #[error("block {number} does not stand on the block below it in the same answer")]
    Unlinked {
        /// The upper one.
        number: u64,
    },
    /// A header at or below a head that was shown is not there.
    #[error("a block at or below the head is missing")]
    Vanished,
    /// A proof is of another block, or its transfers are.
    #[error("the proof of block {number} is not of that block")]
    WrongProof {
        /// The block.
        number: u64,
    },
    /// A branch was handed over in part.
    #[error("the branch up to block {number} is not proven whole")]
    BranchInPart {
        /// Its last block.
        number: u64,
    },
    /// The answer is to a question that was not asked.
    #[error("that answer was not asked for")]
    Unasked,
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
    /// The books differ from the chain: nothing further counts as whole.
    Held,
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
        self.seen.finalized(head_number, self.rules.finality_depth).min(head_number)
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
            Aim::AskTip | Aim::AnchorTip => {
                self.cursor.map_or(Next::Head, |cursor| Next::HeaderAt(cursor.tip.number))
            }
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
            (Aim::AskTip | Aim::AnchorTip, Fact::Header(header)) => self.tip_answered(header),
            (Aim::AskHead, Fact::Header(header)) => self.head_confirmed(&header),
            (Aim::Link(_) | Aim::AskHead | Aim::AnchorTip, Fact::Missing) => {
                Err(Disagreement::Vanished)
            }
            (_, Fact::Head(head)) => {
                self.plan(head);
                Ok(())
            }
            (_, Fact::Header(_) | Fact::Missing | Fact::Headers(_) | Fact::Proven(_)) => {
                Err(Disagreement::Unasked)
            }
        }
    }

    /// Takes in the heights of the tags as the chain tells them; zero is no tag.
    pub fn tags_seen(&mut self, tags: ChainTags) {
        self.seen.raise(tags);
    }

    /// The blocks to prove, oldest first.
    #[must_use]
    pub fn to_prove(&self) -> &[Header] {
        match &self.aim {
            Aim::Prove { leg, .. } => leg,
            Aim::Look
            | Aim::AskTip
            | Aim::AskHead
            | Aim::AnchorTip
            | Aim::Gather { .. }
            | Aim::Link(_)
            | Aim::Commit(..)
            | Aim::Committing(_)
            | Aim::Ranges { .. }
            | Aim::Idle(_)
            | Aim::Halted(_) => &[],
        }
    }

    /// Whether the blocks to prove replace others: then all must be proven before any is applied.
    #[must_use]
    pub fn changes_branch(&self) -> bool {
        let Aim::Prove { ancestor, .. } = &self.aim else { return false };
        self.cursor.is_some_and(|cursor| *ancestor != Some(cursor.tip))
    }

    fn proven(
        &mut self,
        ancestor: Option<BlockRef>,
        leg: &[Header],
        proven: Vec<ProvenBlock>,
    ) -> Result<(), Disagreement> {
        let tip = self.cursor.map(|cursor| cursor.tip);
        let last = leg.last().map_or(0, |header| header.block.number);
        if let Some((header, _)) =
            leg.iter().zip(&proven).find(|(header, proven)| !is_proof_of(header, proven))
        {
            return Err(Disagreement::WrongProof { number: header.block.number });
        }
        let is_whole = proven.len() == leg.len();
        if proven.is_empty() || proven.len() > leg.len() || (!is_whole && ancestor != tip) {
            return Err(Disagreement::BranchInPart { number: last });
        }
        let added: Vec<AppliedBlock> = proven
            .into_iter()
            .map(|proven| AppliedBlock {
                block: proven.header.block,
                proof: proven.proof,
                transfers: proven.transfers,
            })
            .collect();
        let Some(new_tip) = added.last().map(|applied| applied.block) else {
            return Err(Disagreement::BranchInPart { number: last });
        };
        let ancestor = ancestor.map(|block| block.number);
        let orphaned = self.window.hashes_above(ancestor);
        if !orphaned.is_empty() {
            self.seen.branch_left(ancestor.unwrap_or(0));
        }
        let cursor = self.cursor_at(new_tip, ancestor, !orphaned.is_empty());
        let window_from = self.window_from(&cursor);
        let applying = Applying {
            ancestor,
            added: added
                .iter()
                .map(|applied| WindowBlock { block: applied.block, proof: applied.proof })
                .collect(),
            cursor,
            window_from,
        };
        let expected_revision = self.cursor.map(|cursor| cursor.revision);
        let commit = BlocksCommit { expected_revision, orphaned, added, cursor, window_from };
        self.aim = Aim::Commit(Box::new(commit), applying);
        Ok(())
    }

    /// The commit to store, once.
    pub fn take_commit(&mut self) -> Option<BlocksCommit> {
        match std::mem::replace(&mut self.aim, Aim::Look) {
            Aim::Commit(commit, applying) => {
                self.aim = Aim::Committing(applying);
                Some(*commit)
            }
            Aim::Idle(Idle::AtHead) => self.take_upkeep(),
            other @ (Aim::Look
            | Aim::AskTip
            | Aim::AskHead
            | Aim::AnchorTip
            | Aim::Gather { .. }
            | Aim::Link(_)
            | Aim::Prove { .. }
            | Aim::Committing(_)
            | Aim::Ranges { .. }
            | Aim::Idle(_)
            | Aim::Halted(_)) => {
                self.aim = other;
                None
            }
        }
    }

    /// The commit of what moved while the tip stands still: the tags, and what an audit found whole.
    pub fn take_upkeep(&mut self) -> Option<BlocksCommit> {
        let cursor = self.upkeep()?;
        let window_from = self.window_from(&cursor);
        let ancestor = Some(cursor.tip.number);
        self.aim = Aim::Committing(Applying { ancestor, added: Vec::new(), cursor, window_from });
        Some(BlocksCommit {
            expected_revision: self.cursor.map(|cursor| cursor.revision),
            orphaned: Vec::new(),
            added: Vec::new(),
            cursor,
            window_from,
        })
    }

    /// Takes in that the commit taken last is stored; goes on towards the same head, unless the branch changed.
    pub fn committed(&mut self) {
        let Aim::Committing(applying) = std::mem::replace(&mut self.aim, Aim::Look) else {
            return;
        };
        let changed_branch =
            self.cursor.is_some_and(|cursor| cursor.epoch != applying.cursor.epoch);
        self.window.replace_above(applying.ancestor, applying.added);
        self.window.prune_below(applying.window_from);
        self.cursor = Some(applying.cursor);
        self.checked = true;
        if self.audit == Audit::Passed {
            self.audit = Audit::AsStored;
        }
        // After a change of branch the tags are seen anew before they decide anything.
        if let Some(head) = self.head.take_if(|_| !changed_branch) {
            self.plan(head);
        }
    }

    /// The commit of a part of the span of [`Next::Ranges`]: all its transfers up to `tip`.
    #[must_use]
    pub fn range_commit(&self, tip: BlockRef, transfers: Vec<Transfer>) -> RangeCommit {
        let ancestor = self.cursor.map(|cursor| cursor.tip.number);
        // What a range brought is unproven: the mark stays where it was.
        let audited_to = self
            .cursor
            .map_or(self.rules.start_number.saturating_sub(1), |cursor| cursor.audited_to);
        let cursor = CursorRecord { audited_to, ..self.cursor_at(tip, ancestor, false) };
        RangeCommit {
            expected_revision: self.cursor.map(|cursor| cursor.revision),
            transfers,
            cursor,
        }
    }

    /// Takes in that a range commit is stored.
    pub fn range_committed(&mut self, cursor: CursorRecord) {
        self.window = Window::at(cursor.tip);
        self.cursor = Some(cursor);
        if self.audit == Audit::Passed {
            self.audit = Audit::AsStored;
        }
        if self.aim == (Aim::Ranges { to: cursor.tip.number }) {
            self.checked = true;
            self.aim = Aim::Look;
        }
    }

    /// The commit that records what another reading of blocks up to the tip has brought. Only the revision
    /// of the cursor moves.
    #[must_use]
    pub fn reread_commit(&self, blocks: Vec<AppliedBlock>) -> Option<BlocksCommit> {
        let before = self.cursor?;
        let cursor = CursorRecord { revision: before.revision.saturating_add(1), ..before };
        Some(BlocksCommit {
            expected_revision: Some(before.revision),
            orphaned: Vec::new(),
            added: blocks,
            cursor,
            window_from: self.window_from(&cursor),
        })
    }

    /// Takes in that such a commit is stored.
    pub const fn reread_committed(&mut self, cursor: CursorRecord) {
        self.cursor = Some(cursor);
    }

    /// Whether blocks up to the tip wait for an audit.
    #[must_use]
    pub fn needs_audit(&self) -> bool {
        match self.audit {
            Audit::AsStored => {
                self.cursor.is_some_and(|cursor| cursor.audited_to < cursor.tip.number)
            }
            Audit::Passed => false,
            Audit::Held => true,
        }
    }

    /// Takes in that everything up to the tip is whole: the next commit says so.
    pub fn audited(&mut self) {
        self.audit = Audit::Passed;
    }

    /// Takes in that the books differ from the chain: nothing further counts as whole until [`Self::audited`].
    pub fn hold_audit(&mut self) {
        self.audit = Audit::Held;
    }
}

/// Whether a proof is of that header, and its transfers of that block, in log order.
fn is_proof_of(header: &Header, proven: &ProvenBlock) -> bool {
    proven.header.block == header.block
        && proven.transfers.iter().all(|transfer| transfer.block == header.block)
        && proven.transfers.is_sorted_by_key(|transfer| transfer.log_index)
}

/// A header's parents, oldest first, with the header itself.
type Branch = VecDeque<Header>;
