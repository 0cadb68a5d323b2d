//! Walking from a header down to a block of ours, parent by parent.

use inspay_ports::Header;
use inspay_primitives::BlockRef;

use super::{Aim, Branch, Disagreement, Follow, HaltReason, Next};

/// Headers asked for at once on the way down.
pub(super) const WALK_BLOCKS: u64 = 16;

/// A linked branch whose lowest block does not stand on ours yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// Oldest first, never empty.
    pub(super) pending: Branch,
    /// Set once headers by number were of another branch: then only hashes lead down.
    pub(super) by_hash: bool,
}

impl Link {
    pub(super) fn from_head(head: Header) -> Self {
        Self { pending: Branch::from([head]), by_hash: false }
    }
}

/// What a branch stands on.
enum Footing {
    /// A block of ours; `None`, where the branch begins with the first followed block.
    Ours(Option<BlockRef>),
    /// Not known yet.
    Deeper,
    /// Something that contradicts a block which cannot be given up.
    Contradicts(HaltReason),
}

impl Follow {
    /// What to ask for on the way down.
    pub(super) fn next_link(&self, link: &Link) -> Next {
        let Some(lowest) = link.pending.front() else { return Next::Head };
        let parent_number = lowest.block.number.saturating_sub(1);
        let bottom = match self.cursor {
            Some(cursor) if parent_number <= cursor.tip.number => self.floor(),
            Some(_) | None => self.first_unread(),
        };
        let is_first_look = link.pending.len() == 1;
        if link.by_hash || is_first_look || parent_number <= bottom {
            Next::HeaderByHash(lowest.parent_hash)
        } else {
            let from = parent_number.saturating_add(1).saturating_sub(WALK_BLOCKS).max(bottom);
            Next::Headers { from, to: parent_number }
        }
    }

    /// The lowest height that a branch may stand on.
    fn floor(&self) -> u64 {
        let finalized = self.cursor.map_or(0, |cursor| cursor.tags.finalized_number);
        self.window.first_number().map_or(finalized, |first| first.max(finalized))
    }

    /// Goes on with a branch: to its proof, further down, or to a halt.
    pub(super) fn walk(&mut self, link: Link) {
        let Some(lowest) = link.pending.front() else {
            self.aim = Aim::Look;
            return;
        };
        self.aim = match self.footing(lowest) {
            Footing::Ours(ancestor) => Aim::Prove { ancestor, leg: link.pending.into() },
            Footing::Deeper => Aim::Link(link),
            Footing::Contradicts(reason) => Aim::Halted(reason),
        };
    }

    fn footing(&self, lowest: &Header) -> Footing {
        let number = lowest.block.number;
        let Some(cursor) = self.cursor else {
            return if number <= self.rules.start_number {
                Footing::Ours(None)
            } else {
                Footing::Deeper
            };
        };
        let finalized = cursor.tags.finalized_number;
        let contradicts = |number, ours, theirs| {
            let floor = self.floor();
            Footing::Contradicts(HaltReason::ReorgBelowFinalized { number, ours, theirs, floor })
        };
        if number <= cursor.start_number {
            return match self.window.hash_at(number) {
                Some(ours) if number > finalized && ours != lowest.block.hash => {
                    Footing::Ours(None)
                }
                ours => contradicts(number, ours.unwrap_or_default(), lowest.block.hash),
            };
        }
        let below = number.saturating_sub(1);
        let Some(ours) = self.window.block_at(below) else {
            return if below > cursor.tip.number {
                Footing::Deeper
            } else {
                contradicts(below, cursor.tip.hash, lowest.parent_hash)
            };
        };
        let is_window_end =
            self.window.first_number() == Some(below) && below != cursor.start_number;
        if ours.hash == lowest.parent_hash {
            Footing::Ours(Some(ours))
        } else if below <= finalized || is_window_end {
            contradicts(below, ours.hash, lowest.parent_hash)
        } else {
            Footing::Deeper
        }
    }

    /// The parent asked for by its hash.
    pub(super) fn parent_found(
        &mut self,
        mut link: Link,
        header: Header,
    ) -> Result<(), Disagreement> {
        let Some(lowest) = link.pending.front() else { return Err(Disagreement::Unasked) };
        if header.block.hash != lowest.parent_hash {
            return Err(Disagreement::WrongHash {
                asked: lowest.parent_hash,
                got: header.block.hash,
            });
        }
        let asked = lowest.block.number.saturating_sub(1);
        if header.block.number != asked {
            return Err(Disagreement::WrongNumber { asked, got: header.block.number });
        }
        link.pending.push_front(header);
        self.walk(link);
        Ok(())
    }

    /// Headers below a branch, by number: taken as far down as they link to it.
    pub(super) fn parents_found(
        &mut self,
        mut link: Link,
        headers: Vec<Header>,
    ) -> Result<(), Disagreement> {
        let Next::Headers { from, to } = self.next_link(&link) else {
            return Err(Disagreement::Unasked);
        };
        check_numbers(from, to, &headers)?;
        link.by_hash = true;
        for header in headers.into_iter().rev() {
            let Some(lowest) = link.pending.front() else { break };
            if header.block.hash != lowest.parent_hash {
                break;
            }
            match self.footing(lowest) {
                Footing::Deeper => {}
                Footing::Ours(_) | Footing::Contradicts(_) => break,
            }
            link.by_hash = false;
            link.pending.push_front(header);
        }
        self.walk(link);
        Ok(())
    }
}

/// Checks that an answer by number holds exactly the blocks asked for.
pub(super) fn check_numbers(from: u64, to: u64, headers: &[Header]) -> Result<(), Disagreement> {
    let mut asked = from;
    for header in headers {
        if header.block.number != asked {
            return Err(Disagreement::WrongNumber { asked, got: header.block.number });
        }
        asked = asked.saturating_add(1);
    }
    if asked == to.saturating_add(1) { Ok(()) } else { Err(Disagreement::Vanished) }
}
