//! Planning ranges: how long each request is, what is asked again in parts, and in which order. Pure.
//!
//! Lengths follow how dense the answers are. Limits are learned: a length that the node names, a length
//! it refuses, a number of results it refuses. A refused range is never asked for again unchanged.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::settings::RangeSettings;

/// A growing length is at most this many times the longest that was answered.
const GROWTH_MAX: u64 = 8;
/// Answers at a learned length before a longer one is tried; doubled each time that fails.
const GROW_AFTER_MIN: u32 = 8;
/// Bounds of how much of a learned result limit is aimed at, in percent.
const AIM_PERCENT: std::ops::RangeInclusive<u64> = 50..=90;

/// A span of blocks to ask for, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RangeRequest {
    /// First block.
    pub from: u64,
    /// Last block.
    pub to: u64,
}

impl RangeRequest {
    /// How many blocks.
    #[must_use]
    pub const fn blocks(&self) -> u64 {
        self.to.saturating_sub(self.from).saturating_add(1)
    }
}

/// What becomes of a refused range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It will be asked for in parts.
    Split,
    /// It is a single block, more than the node gives at once: it must be read by its receipts.
    ByReceipts(u64),
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    to: u64,
    blocks_max: u64,
}

/// A length that no request passes for now.
#[derive(Clone, Copy, Debug)]
struct LengthCap {
    blocks: u64,
    /// What the node named when it was last refused.
    named: Option<u64>,
    /// The node named it twice: no longer one is tried again.
    is_firm: bool,
    is_lifted: bool,
    answers_at_cap: u32,
    grow_after: u32,
}

impl LengthCap {
    /// The cap after a refusal: a lift that failed is tried again only after twice as many answers.
    fn lowered(before: Option<Self>, blocks: u64, named: Option<u64>) -> Self {
        let grow_after = match before {
            Some(before) if before.is_lifted => before.grow_after.saturating_mul(2),
            Some(before) => before.grow_after,
            None => GROW_AFTER_MIN,
        };
        let is_named_again = named.is_some() && before.is_some_and(|before| before.named == named);
        Self {
            blocks,
            named,
            is_firm: is_named_again,
            is_lifted: false,
            answers_at_cap: 0,
            grow_after,
        }
    }
}

/// Plans the requests of one span.
#[derive(Clone, Debug)]
pub struct RangePlanner {
    settings: RangeSettings,
    next: u64,
    to: u64,
    again: BTreeMap<u64, Piece>,
    /// Transfers expected of each request under way, by its first block.
    in_flight: BTreeMap<u64, u64>,
    waiting_answers: usize,
    waiting_transfers: u64,
    density: Option<Density>,
    length_cap: Option<LengthCap>,
    longest_answered: u64,
    /// The shortest length refused while the density was unknown.
    refused_unknown: Option<u64>,
    accepted_transfers_max: u64,
    refused_transfers_min: Option<u64>,
    aim_percent: u64,
    answers_in_row: u32,
}

/// Transfers over blocks of late answers, older ones counting less.
#[derive(Clone, Copy, Debug)]
struct Density {
    blocks: u64,
    transfers: u64,
}

impl Density {
    fn expected(self, blocks: u64) -> u64 {
        let product = u128::from(self.transfers).saturating_mul(u128::from(blocks));
        let expected = product.div_ceil(u128::from(self.blocks.max(1)));
        u64::try_from(expected).unwrap_or(u64::MAX)
    }
}

impl RangePlanner {
    /// Plans the blocks `from` to `to`.
    #[must_use]
    pub const fn new(from: u64, to: u64, settings: RangeSettings) -> Self {
        Self {
            settings,
            next: from,
            to,
            again: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            waiting_answers: 0,
            waiting_transfers: 0,
            density: None,
            length_cap: None,
            longest_answered: 0,
            refused_unknown: None,
            accepted_transfers_max: 0,
            refused_transfers_min: None,
            aim_percent: 80,
            answers_in_row: 0,
        }
    }

    /// The next request to make now: the lowest one that is open. `None` while enough is under way, or
    /// when everything was asked for.
    pub fn next_request(&mut self) -> Option<RangeRequest> {
        let is_first = self.in_flight.is_empty();
        let under_way = self.in_flight.len().saturating_add(self.waiting_answers);
        if !is_first && (under_way >= self.settings.concurrency || self.density.is_none()) {
            return None;
        }
        let (from, to, blocks_max) = match self.again.first_key_value() {
            Some((from, piece)) => (*from, piece.to, piece.blocks_max),
            None if self.next <= self.to => (self.next, self.to, u64::MAX),
            None => return None,
        };
        let blocks = self.length().min(blocks_max).max(1);
        let request = RangeRequest { from, to: from.saturating_add(blocks - 1).min(to) };
        let expected = self.expected(request.blocks());
        let held = self
            .in_flight
            .values()
            .fold(self.waiting_transfers, |held, expected| held.saturating_add(*expected));
        if !is_first && held.saturating_add(expected) > self.settings.transfers_in_flight {
            return None;
        }
        let rest = request.to.saturating_add(1);
        if self.again.remove(&from).is_some() {
            if rest <= to {
                self.again.insert(rest, Piece { to, blocks_max });
            }
        } else {
            self.next = rest;
        }
        self.in_flight.insert(from, expected);
        Some(request)
    }

    /// A request was answered with that many transfers, which now wait to be taken.
    pub fn answered(&mut self, request: RangeRequest, transfers: usize) {
        self.in_flight.remove(&request.from);
        let transfers = u64::try_from(transfers).unwrap_or(u64::MAX);
        self.waiting_answers = self.waiting_answers.saturating_add(1);
        self.waiting_transfers = self.waiting_transfers.saturating_add(transfers);
        let blocks = request.blocks();
        self.longest_answered = self.longest_answered.max(blocks);
        self.accepted_transfers_max = self.accepted_transfers_max.max(transfers);
        if self.refused_transfers_min.is_some_and(|refused| refused <= transfers) {
            self.refused_transfers_min = None;
        }
        self.density = Some(match self.density {
            Some(before) => Density {
                blocks: (before.blocks / 2).saturating_add(blocks),
                transfers: (before.transfers / 2).saturating_add(transfers),
            },
            None => Density { blocks, transfers },
        });
        self.judge_first_refusal();
        self.answers_in_row = self.answers_in_row.saturating_add(1);
        if self.answers_in_row.is_multiple_of(GROW_AFTER_MIN) {
            self.aim_percent = self.aim_percent.saturating_add(5).min(*AIM_PERCENT.end());
        }
        self.try_longer(blocks);
    }

    /// That many answers with that many transfers were taken and are held no more.
    pub fn taken(&mut self, answers: usize, transfers: usize) {
        let transfers = u64::try_from(transfers).unwrap_or(u64::MAX);
        self.waiting_answers = self.waiting_answers.saturating_sub(answers);
        self.waiting_transfers = self.waiting_transfers.saturating_sub(transfers);
    }

    /// A request was refused as too large; `blocks_max` is the length that the node named, if it did.
    pub fn refused(&mut self, request: RangeRequest, blocks_max: Option<u64>) -> Refused {
        let blocks = request.blocks();
        self.answers_in_row = 0;
        if blocks <= 1 {
            return Refused::ByReceipts(request.from);
        }
        self.in_flight.remove(&request.from);
        let named = blocks_max.filter(|named| (1..blocks).contains(named));
        match named {
            Some(named) => {
                self.length_cap = Some(LengthCap::lowered(self.length_cap, named, blocks_max));
            }
            None => self.learn_refused(blocks),
        }
        let piece_max = named.unwrap_or(blocks.div_ceil(2));
        self.again.insert(request.from, Piece { to: request.to, blocks_max: piece_max });
        Refused::Split
    }

    /// A request failed for a reason that lies not in the range: it is asked for again.
    pub fn failed(&mut self, request: RangeRequest) {
        self.in_flight.remove(&request.from);
        let piece = Piece { to: request.to, blocks_max: request.blocks() };
        self.again.insert(request.from, piece);
    }

    fn expected(&self, blocks: u64) -> u64 {
        self.density.map_or(0, |density| density.expected(blocks))
    }

    /// Transfers that the next answer should hold.
    fn aim(&self) -> u64 {
        let wanted = self.settings.answer_transfers;
        let Some(refused) = self.refused_transfers_min else { return wanted.max(1) };
        let accepted = self.accepted_transfers_max;
        let is_known = accepted.saturating_mul(5) >= refused.saturating_mul(4);
        let aim = if is_known {
            accepted.saturating_mul(self.aim_percent) / 100
        } else {
            accepted.saturating_add(refused.saturating_sub(accepted) / 2)
        };
        aim.min(wanted).max(1)
    }

    /// How many blocks the next request should have.
    fn length(&self) -> u64 {
        let by_density = match self.density {
            None => self.settings.first_blocks,
            Some(density) if density.transfers == 0 => u64::MAX,
            Some(density) => {
                let product = u128::from(self.aim()).saturating_mul(u128::from(density.blocks));
                u64::try_from(product / u128::from(density.transfers)).unwrap_or(u64::MAX)
            }
        };
        let grown = if self.density.is_none() {
            u64::MAX
        } else {
            self.longest_answered.max(1).saturating_mul(GROWTH_MAX)
        };
        let learned = self.length_cap.map_or(u64::MAX, |cap| cap.blocks);
        let set = self.settings.blocks_max.unwrap_or(u64::MAX);
        by_density.min(grown).min(learned).min(set).max(1)
    }

    fn learn_refused(&mut self, blocks: u64) {
        if self.density.is_none() {
            self.refused_unknown =
                Some(self.refused_unknown.map_or(blocks, |known| known.min(blocks)));
        }
        let expected = self.expected(blocks);
        if expected > self.accepted_transfers_max {
            let lowest = self.refused_transfers_min.map_or(expected, |known| known.min(expected));
            self.refused_transfers_min = Some(lowest);
        } else if blocks > self.longest_answered {
            let shorter = blocks.div_ceil(2).max(self.longest_answered);
            self.length_cap = Some(LengthCap::lowered(self.length_cap, shorter, None));
        } else {
            self.aim_percent = self.aim_percent.saturating_sub(10).max(*AIM_PERCENT.start());
        }
    }

    /// Once the density is known, tells whether a refusal before was for its length or its results.
    fn judge_first_refusal(&mut self) {
        let Some(blocks) = self.refused_unknown.take() else { return };
        let expected = self.expected(blocks);
        if expected > self.accepted_transfers_max {
            self.refused_transfers_min = Some(expected);
            self.length_cap = None;
        }
    }

    /// Lifts a learned length after enough answers at it.
    fn try_longer(&mut self, blocks: u64) {
        let Some(cap) = &mut self.length_cap else { return };
        if cap.is_firm || blocks < cap.blocks {
            return;
        }
        cap.answers_at_cap = cap.answers_at_cap.saturating_add(1);
        if cap.answers_at_cap >= cap.grow_after {
            cap.answers_at_cap = 0;
            cap.is_lifted = true;
            cap.blocks = cap.blocks.saturating_mul(2);
        }
    }
}
