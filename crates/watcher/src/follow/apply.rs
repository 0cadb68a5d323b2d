//! From proofs to commits, and what the machine holds once they are stored.

use inspay_ports::{
    AppliedBlock, BlocksCommit, ChainTags, CursorRecord, Header, ProvenBlock, RangeCommit,
    WindowBlock,
};
use inspay_primitives::{BlockRef, Transfer};

use super::{Aim, Applying, Audit, Disagreement, Follow, Idle};
use crate::window::Window;

impl Follow {
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

    pub(super) fn proven(
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
        if proven.len() > leg.len() || (!is_whole && ancestor != tip) {
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
        let orphaned = self.window.blocks_above(ancestor);
        let seen = self.tags_of_ours(new_tip, |number| {
            let stays = ancestor.is_some_and(|ancestor| number <= ancestor);
            let comes = || added.iter().find(|applied| applied.block.number == number);
            if stays { self.window.hash_at(number) } else { comes().map(|one| one.block.hash) }
        });
        let cursor = self.cursor_at(new_tip, ancestor, !orphaned.is_empty(), seen);
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
        let commit = BlocksCommit {
            fencing: self.rules.fencing,
            expected_revision,
            orphaned,
            added,
            cursor,
            window_from,
        };
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
            fencing: self.rules.fencing,
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
        self.audit = Audit::AsStored;
        // After a change of branch the tags are seen anew before they decide anything.
        if let Some(head) = self.head.take_if(|_| !changed_branch) {
            self.plan(head);
        }
    }

    /// The commit of a part of the span of [`Next::Ranges`](super::Next::Ranges): all its transfers up to `tip`.
    #[must_use]
    pub fn range_commit(&self, tip: BlockRef, transfers: Vec<Transfer>) -> RangeCommit {
        let ancestor = self.cursor.map(|cursor| cursor.tip.number);
        // What a range brought is unproven: the mark stays where it was.
        let audited_to = self
            .cursor
            .map_or(self.rules.start_number.saturating_sub(1), |cursor| cursor.audited_to);
        // A span ends with the block that is told as final, or below it.
        let head_number = self.head.as_ref().map_or(tip.number, |head| head.block.number);
        let finalized_number = self.finalized_below(head_number).min(tip.number);
        let seen = ChainTags { safe_number: finalized_number, finalized_number };
        let cursor = CursorRecord { audited_to, ..self.cursor_at(tip, ancestor, false, seen) };
        RangeCommit {
            fencing: self.rules.fencing,
            expected_revision: self.cursor.map(|cursor| cursor.revision),
            transfers,
            cursor,
        }
    }

    /// Takes in that a range commit is stored.
    pub fn range_committed(&mut self, cursor: CursorRecord) {
        self.window = Window::at(cursor.tip);
        self.cursor = Some(cursor);
        self.audit = Audit::AsStored;
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
            fencing: self.rules.fencing,
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
        }
    }

    /// Takes in that everything up to the tip is whole, but for what is halted: the next commit says so.
    pub fn audited(&mut self) {
        self.audit = Audit::Passed;
    }
}

/// Whether a proof is of that header, and its transfers of that block, in log order.
fn is_proof_of(header: &Header, proven: &ProvenBlock) -> bool {
    proven.header.block == header.block
        && proven.transfers.iter().all(|transfer| transfer.block == header.block)
        && proven.transfers.is_sorted_by_key(|transfer| transfer.log_index)
}
