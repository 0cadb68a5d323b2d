//! Planning ranges: how long each request is, what is asked again in parts, and in which order. Pure.
//!
//! Lengths follow how dense the answers are. Limits are learned: a length or a number of results that the
//! node names, and those that it refuses without a word. A refused range is never asked for again unchanged.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use inspay_ports::NamedLimits;

use crate::settings::RangeSettings;

/// A growing length is at most this many times the longest that was answered.
const GROWTH_MAX: u64 = 8;
/// Answers, for each request that may be under way, that wait for one before them: small ones, since the transfers
/// that they may hold together are limited by themselves.
const WAITING_MAX: usize = 4;
/// Answers at a learned length before a longer one is tried; doubled each time that fails.
const GROW_AFTER_MIN: u32 = 8;
/// Bounds of how much of a learned result limit is aimed at, in percent.
const AIM_PERCENT: std::ops::RangeInclusive<u64> = 50..=98;
/// What is aimed at of a limit that the node named: a refusal costs two requests, a seventh of each answer less.
const AIM_NAMED_PERCENT: u64 = 86;

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
    /// The shortest length that was refused for its length.
    refused: u64,
    /// What the node named when it refused.
    named: Option<u64>,
    /// The node named it twice: no longer one is tried again.
    is_firm: bool,
    answers_at_cap: u32,
    grow_after: u32,
}

impl LengthCap {
    /// The cap after a refusal. A length that is named again after a longer one was tried is a rule.
    fn lowered(before: Option<Self>, refused: u64, blocks: u64, named: Option<u64>) -> Self {
        Self {
            blocks,
            refused: before.map_or(refused, |before| before.refused.min(refused)),
            named,
            is_firm: named.is_some() && before.is_some_and(|before| before.named == named),
            answers_at_cap: 0,
            grow_after: before.map_or(GROW_AFTER_MIN, |before| before.grow_after),
        }
    }

    /// Counts an answer of that length; after enough of them a longer one is tried: half way to what was
    /// refused while that is far, else twice as long, ever more rarely.
    fn answered(&mut self, blocks: u64) {
        if self.is_firm || blocks < self.blocks {
            return;
        }
        self.refused = self.refused.max(blocks.saturating_add(1));
        self.answers_at_cap = self.answers_at_cap.saturating_add(1);
        let gap = self.refused.saturating_sub(self.blocks);
        // A gap of one leaves nothing in between to try.
        if self.named.is_none() && gap > (self.blocks / 16).max(1) {
            self.blocks = self.blocks.saturating_add(gap / 2);
            self.answers_at_cap = 0;
        } else if self.answers_at_cap >= self.grow_after {
            self.blocks = self.blocks.saturating_mul(2);
            self.refused = u64::MAX;
            self.answers_at_cap = 0;
            self.grow_after = self.grow_after.saturating_mul(2);
        }
    }
}

/// Plans the requests of one span.
#[derive(Clone, Debug)]
pub struct RangePlanner {
    settings: RangeSettings,
    next: u64,
    /// What the request that begins at `next` may not pass, since a longer one was refused.
    next_blocks_max: u64,
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
    /// The limit of results that the node named.
    named_results: Option<u64>,
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
            next_blocks_max: u64::MAX,
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
            named_results: None,
            aim_percent: 92,
            answers_in_row: 0,
        }
    }

    /// The next request to make now: the lowest one that is open. `None` while enough is under way, or
    /// when everything was asked for.
    pub fn next_request(&mut self) -> Option<RangeRequest> {
        let is_first = self.in_flight.is_empty();
        let is_busy = self.in_flight.len() >= self.settings.concurrency
            || self.waiting_answers >= self.settings.concurrency.saturating_mul(WAITING_MAX);
        if !is_first && (is_busy || self.density.is_none()) {
            return None;
        }
        let (from, to, blocks_max) = match self.again.first_key_value() {
            Some((from, piece)) => (*from, piece.to, piece.blocks_max),
            None if self.next <= self.to => (self.next, self.to, self.next_blocks_max),
            None => return None,
        };
        let (length, is_growing) = self.length();
        if !is_first && is_growing && blocks_max > length {
            return None;
        }
        let blocks = length.min(blocks_max).max(1);
        let request = RangeRequest { from, to: from.saturating_add(blocks - 1).min(to) };
        let expected = self.expected(request.blocks());
        let held = self
            .in_flight
            .values()
            .fold(self.waiting_transfers, |held, expected| held.saturating_add(*expected));
        if !is_first && held.saturating_add(expected) > self.settings.transfers_in_flight {
            return None;
        }
        // More results than were ever given: one such question at a time, since it may be refused.
        let given = self.accepted_transfers_max.max(self.named_results.unwrap_or(0));
        if !is_first && expected > given.saturating_add(given / 16) {
            return None;
        }
        let rest = request.to.saturating_add(1);
        if self.again.remove(&from).is_some() {
            if rest <= to {
                self.again.insert(rest, Piece { to, blocks_max });
            }
        } else {
            self.next = rest;
            self.next_blocks_max = u64::MAX;
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
        // What came in and what went out are two answers, each within the limit.
        if self.named_results.is_some_and(|named| named.saturating_mul(2) < transfers) {
            self.named_results = None;
        }
        self.density = Some(match self.density {
            Some(before) => Density {
                blocks: (before.blocks - before.blocks / 4).saturating_add(blocks),
                transfers: (before.transfers - before.transfers / 4).saturating_add(transfers),
            },
            None => Density { blocks, transfers },
        });
        self.judge_first_refusal();
        self.answers_in_row = self.answers_in_row.saturating_add(1);
        let raise_after = if self.named_results.is_some() { 16 } else { 4 };
        if self.answers_in_row.is_multiple_of(raise_after) {
            self.aim_percent = self.aim_percent.saturating_add(2).min(*AIM_PERCENT.end());
        }
        if let Some(cap) = &mut self.length_cap {
            cap.answered(blocks);
        }
    }

    /// That many answers with that many transfers were taken and are held no more.
    pub fn taken(&mut self, answers: usize, transfers: usize) {
        let transfers = u64::try_from(transfers).unwrap_or(u64::MAX);
        self.waiting_answers = self.waiting_answers.saturating_sub(answers);
        self.waiting_transfers = self.waiting_transfers.saturating_sub(transfers);
    }

    /// A request was refused as too large, by a node that named these limits.
    pub fn refused(&mut self, request: RangeRequest, named: NamedLimits) -> Refused {
        let blocks = request.blocks();
        self.answers_in_row = 0;
        if blocks <= 1 {
            return Refused::ByReceipts(request.from);
        }
        self.in_flight.remove(&request.from);
        let blocks_max = named.blocks_max.filter(|named| (1..blocks).contains(named));
        let piece_max = match (named.results_max, blocks_max) {
            (Some(results), proposed) => self.learn_named_results(blocks, results, proposed),
            (None, Some(named)) => {
                let cap = LengthCap::lowered(self.length_cap, blocks, named, Some(named));
                self.length_cap = Some(cap);
                named
            }
            (None, None) => self.learn_refused(blocks),
        };
        let nothing_beyond = request.to.saturating_add(1) == self.next;
        if nothing_beyond && self.next_blocks_max == u64::MAX {
            // Its parts need not end where it ended. What was refused at `next` before keeps its own limit.
            self.next = request.from;
            self.next_blocks_max = piece_max;
        } else {
            let piece = Piece { to: request.to, blocks_max: piece_max };
            self.again.insert(request.from, piece);
        }
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
        let percent = |of: u64| of.saturating_mul(self.aim_percent) / 100;
        let named = self.named_results.map_or(u64::MAX, percent);
        let accepted = self.accepted_transfers_max;
        let learned = self.refused_transfers_min.map_or(u64::MAX, |refused| {
            let is_known = accepted.saturating_mul(10) >= refused.saturating_mul(9);
            if is_known {
                percent(accepted)
            } else {
                accepted.saturating_add(refused.saturating_sub(accepted) / 2)
            }
        });
        wanted.min(named).min(learned).max(1)
    }

    /// How many blocks the next request should have, and whether only caution keeps it from being longer:
    /// then one answer is waited for before more is asked.
    fn length(&self) -> (u64, bool) {
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
        let wanted = by_density.min(learned).min(set).max(1);
        (wanted.min(grown), grown < wanted)
    }

    /// Learns from a refusal that names no length, and tells what its parts may not pass.
    fn learn_refused(&mut self, blocks: u64) -> u64 {
        let half = blocks.div_ceil(2);
        if self.density.is_none() {
            self.refused_unknown =
                Some(self.refused_unknown.map_or(blocks, |known| known.min(blocks)));
        }
        let expected = self.expected(blocks);
        if expected > self.accepted_transfers_max {
            // For its results, as far as the density tells: the next aim is half way to what was given.
            let lowest = self.refused_transfers_min.map_or(expected, |known| known.min(expected));
            self.refused_transfers_min = Some(lowest);
            return half.max(blocks.saturating_sub(blocks.div_ceil(8)));
        }
        if blocks > self.longest_answered {
            let shorter = half.max(self.longest_answered);
            let cap = LengthCap::lowered(self.length_cap, blocks, shorter, None);
            self.length_cap = Some(cap);
        } else {
            self.aim_percent = self.aim_percent.saturating_sub(10).max(*AIM_PERCENT.start());
        }
        half
    }

    /// Takes the node's word for how many results it gives, and tells what the parts may not pass: what it
    /// proposed; else the length that is now aimed at where the refusal was to be expected, half where not.
    fn learn_named_results(&mut self, blocks: u64, results: u64, proposed: Option<u64>) -> u64 {
        if self.named_results != Some(results) {
            self.named_results = Some(results);
            self.aim_percent = AIM_NAMED_PERCENT;
        }
        let half = blocks.div_ceil(2);
        if let Some(proposed) = proposed {
            return proposed;
        }
        let expected = self.expected(blocks);
        if self.density.is_some() && expected > results {
            return self.length().0.min(blocks - 1).max(1);
        }
        if self.density.is_some() && expected < results / 2 {
            // So far below what it names, something else was too much.
            return self.learn_refused(blocks);
        }
        self.aim_percent = self.aim_percent.saturating_sub(8).max(*AIM_PERCENT.start());
        half
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
}
