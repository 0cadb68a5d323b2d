//! What a head means, and what the cursor says after a commit.

use inspay_ports::{ChainTags, CursorRecord, Header};
use inspay_primitives::{B256, BlockRef};

use super::{
    Aim, Audit, Branch, Disagreement, Follow, Idle, Next,
    link::{Link, WALK_BLOCKS, check_numbers},
};

impl Follow {
    /// The first block that was not read yet.
    pub(super) fn first_unread(&self) -> u64 {
        self.cursor.map_or(self.rules.start_number, |cursor| cursor.tip.number.saturating_add(1))
    }

    /// Decides what to do about a head.
    pub(super) fn plan(&mut self, head: Header) {
        let block = head.block;
        self.aim = match self.cursor.map(|cursor| cursor.tip) {
            None if block.number < self.rules.start_number => {
                Aim::Idle(Idle::BeforeStart { head_number: block.number })
            }
            Some(tip) if tip.hash == block.hash => {
                self.checked = true;
                Aim::Idle(Idle::AtHead)
            }
            Some(tip) if block.number <= tip.number => self.plan_lower(&head, tip),
            None | Some(_) => self.plan_ahead(&head),
        };
        self.head = Some(head);
        if let Aim::Link(link) = &self.aim {
            let link = link.clone();
            self.walk(link);
        }
    }

    /// A head at or below our tip: a node that lags, or another branch.
    fn plan_lower(&self, head: &Header, tip: BlockRef) -> Aim {
        let number = head.block.number;
        match self.window.hash_at(number) {
            Some(ours) if ours == head.block.hash => {
                Aim::Idle(Idle::NodeLags { head_number: number })
            }
            // Below the window a head says nothing: a node that is still syncing shows such heads.
            None => Aim::Idle(Idle::NodeLags { head_number: number }),
            Some(_) if number == tip.number => Aim::Link(Link::from_head(head.clone())),
            Some(_) => Aim::AskTip,
        }
    }

    fn plan_ahead(&self, head: &Header) -> Aim {
        let from = self.first_unread();
        let head_number = head.block.number;
        let finalized = self.finalized_below(head_number);
        if finalized.saturating_add(1).saturating_sub(from) >= self.rules.range_blocks_min.max(1) {
            // A stored tip may have left the chain while nobody looked: it is checked first.
            return if self.cursor.is_some() {
                Aim::AnchorTip
            } else {
                Aim::Ranges { to: finalized }
            };
        }
        let gap = head_number.saturating_sub(from);
        if gap == 0 {
            Aim::Link(Link::from_head(head.clone()))
        } else if gap <= self.rules.batch_blocks {
            Aim::Gather { from, to: head_number.saturating_sub(1) }
        } else {
            let to = from.saturating_add(self.rules.batch_blocks).saturating_sub(1);
            Aim::Gather { from, to }
        }
    }

    /// The canonical header at our tip's height.
    pub(super) fn tip_answered(&mut self, header: Header) -> Result<(), Disagreement> {
        let (Some(cursor), Some(head)) = (self.cursor, self.head.clone()) else {
            return Err(Disagreement::Unasked);
        };
        if header.block.number != cursor.tip.number {
            return Err(Disagreement::WrongNumber {
                asked: cursor.tip.number,
                got: header.block.number,
            });
        }
        if header.block.hash != cursor.tip.hash {
            self.walk(Link::from_head(header));
        } else {
            self.aim = Aim::Idle(Idle::NodeLags { head_number: head.block.number });
        }
        Ok(())
    }

    /// Our tip with blocks that stand on it, up to finality, told at once: a node that stands on a dead branch has none
    /// that do.
    pub(super) fn next_anchor(&self) -> Next {
        let (Some(cursor), Some(head)) = (self.cursor, &self.head) else { return Next::Head };
        let from = cursor.tip.number;
        let finalized = self.finalized_below(head.block.number);
        Next::Headers { from, to: finalized.min(from.saturating_add(WALK_BLOCKS)) }
    }

    /// The answer to [`Self::next_anchor`].
    pub(super) fn anchored(&mut self, headers: Vec<Header>) -> Result<(), Disagreement> {
        self.aim = Aim::AnchorTip;
        let asked = self.next_anchor();
        self.aim = Aim::Look;
        let (Next::Headers { from, to }, Some(cursor), Some(head)) =
            (asked, self.cursor, self.head.clone())
        else {
            return Err(Disagreement::Unasked);
        };
        check_numbers(from, to, &headers)?;
        let unlinked = headers
            .iter()
            .zip(headers.iter().skip(1))
            .find(|(lower, upper)| upper.parent_hash != lower.block.hash);
        if let Some((_, upper)) = unlinked {
            return Err(Disagreement::Unlinked { number: upper.block.number });
        }
        if let Some(last) = headers.last()
            && let Some(asked) = self.told_final(to).filter(|hash| *hash != last.block.hash)
        {
            return Err(Disagreement::WrongHash { asked, got: last.block.hash });
        }
        match headers.into_iter().next() {
            Some(tip) if tip.block.hash != cursor.tip.hash => self.walk(Link::from_head(tip)),
            Some(_) | None => {
                self.checked = true;
                self.aim = Aim::Ranges { to: self.finalized_below(head.block.number) };
            }
        }
        Ok(())
    }

    /// The canonical header at the height of a head that is lower than our tip, where the chain has
    /// nothing at our tip's height.
    pub(super) fn head_confirmed(&mut self, header: &Header) -> Result<(), Disagreement> {
        let Some(head) = self.head.clone() else { return Err(Disagreement::Unasked) };
        if header.block.hash != head.block.hash {
            return Err(Disagreement::WrongHash { asked: head.block.hash, got: header.block.hash });
        }
        self.walk(Link::from_head(head));
        Ok(())
    }

    /// Headers of a gap, by number.
    pub(super) fn gathered(
        &mut self,
        from: u64,
        to: u64,
        headers: Vec<Header>,
    ) -> Result<(), Disagreement> {
        let Some(head) = self.head.clone() else { return Err(Disagreement::Unasked) };
        check_numbers(from, to, &headers)?;
        let reaches_head = to.saturating_add(1) == head.block.number;
        let mut pending = Branch::from(headers);
        if reaches_head {
            pending.push_back(head.clone());
        }
        let broken = pending
            .iter()
            .zip(pending.iter().skip(1))
            .find(|(lower, upper)| upper.parent_hash != lower.block.hash)
            .map(|(_, upper)| upper.block.number);
        match broken {
            None => self.walk(Link { pending, by_hash: false }),
            Some(_) if reaches_head => {
                self.walk(Link { pending: Branch::from([head]), by_hash: true });
            }
            Some(number) => return Err(Disagreement::Unlinked { number }),
        }
        Ok(())
    }

    /// Heights of our safe and our final block under `tip`, by what the chain tells of blocks that are ours.
    pub(super) fn tags_of_ours(
        &self,
        tip: BlockRef,
        hash_at: impl Fn(u64) -> Option<B256>,
    ) -> ChainTags {
        let (safe_number, finalized_number) = self.seen.of_ours(tip.number, hash_at);
        let head_number = self.head.as_ref().map_or(tip.number, |head| head.block.number);
        let by_depth = || head_number.saturating_sub(self.rules.finality_depth).min(tip.number);
        let finalized_number = finalized_number.unwrap_or_else(by_depth);
        ChainTags { safe_number: safe_number.max(finalized_number), finalized_number }
    }

    /// The cursor after a commit whose last block is `tip` and that stands on our block `ancestor`.
    pub(super) fn cursor_at(
        &self,
        tip: BlockRef,
        ancestor: Option<u64>,
        changes_branch: bool,
        seen: ChainTags,
    ) -> CursorRecord {
        let before = self.cursor.unwrap_or(CursorRecord {
            chain_id: self.rules.chain_id,
            start_number: self.rules.start_number,
            tip,
            tags: ChainTags::default(),
            // Nothing was read in ranges, so nothing waits for an audit.
            audited_to: tip.number,
            epoch: 0,
            revision: 0,
        });
        let common = if changes_branch { ancestor.unwrap_or(0) } else { u64::MAX };
        let finalized_number = before.tags.finalized_number.max(seen.finalized_number);
        let safe = seen.safe_number.max(before.tags.safe_number.min(common));
        let is_whole = match self.audit {
            Audit::AsStored => before.audited_to >= before.tip.number,
            Audit::Passed => true,
        };
        CursorRecord {
            tip,
            tags: ChainTags {
                safe_number: safe.min(tip.number).max(finalized_number),
                finalized_number,
            },
            audited_to: if is_whole { tip.number } else { before.audited_to.min(tip.number) },
            epoch: before.epoch.saturating_add(i64::from(changes_branch)),
            revision: self.cursor.map_or(1, |cursor| cursor.revision.saturating_add(1)),
            ..before
        }
    }

    /// The cursor with what moved while the tip stood still; `None` if nothing did.
    pub(super) fn upkeep(&self) -> Option<CursorRecord> {
        let before = self.cursor?;
        let seen = self.tags_of_ours(before.tip, |number| self.window.hash_at(number));
        let after = self.cursor_at(before.tip, Some(before.tip.number), false, seen);
        (after.tags != before.tags || after.audited_to != before.audited_to).then_some(after)
    }

    /// Height from which on the window is kept.
    pub(super) fn window_from(&self, cursor: &CursorRecord) -> u64 {
        let by_length =
            cursor.tip.number.saturating_add(1).saturating_sub(self.rules.window_blocks_max.max(1));
        cursor.tags.finalized_number.max(by_length)
    }
}
