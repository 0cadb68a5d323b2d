//! Which of several told heads to believe.
//!
//! Pure. Never takes the highest head for the chain's because it is the highest: one that stands on
//! another branch than most endpoints, or far ahead of all others, is passed over and its endpoint named.

use std::{collections::BTreeMap, time::Duration};

use inspay_ports::Header;
use inspay_primitives::B256;
use tokio::time::Instant;

/// What an endpoint told longer ago says nothing of where it is now.
const FRESH: Duration = Duration::from_secs(5);
/// So many blocks an endpoint may be ahead of all others, or behind them, and still be one of them.
const LEAD_MAX: u64 = 2;
/// Of two branches with as many endpoints each, one that is this much longer wins.
const LONGER_BY: u64 = 2;
/// Blocks that are remembered of each endpoint.
const REMEMBERED: usize = 128;

/// What one endpoint has told of its newest blocks.
#[derive(Debug, Default)]
struct Told {
    newest: Option<(Header, Instant)>,
    hashes: BTreeMap<u64, B256>,
    stray: Option<Stray>,
}

/// An endpoint that does not stand with the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stray {
    pub(crate) since: Instant,
    pub(crate) reason: String,
}

/// What all endpoints of a chain have told.
#[derive(Debug)]
pub(crate) struct Heads {
    told: Vec<Told>,
    believed: Option<(u64, B256)>,
}

/// How the endpoints stand to one of them.
#[derive(Clone, Copy, Debug, Default)]
struct Votes {
    with: usize,
    near: usize,
    against: usize,
    fresh: usize,
}

impl Heads {
    pub(crate) fn new(endpoints: usize) -> Self {
        Self { told: (0..endpoints).map(|_| Told::default()).collect(), believed: None }
    }

    /// The height of the head that was believed last.
    pub(crate) fn believed(&self) -> Option<u64> {
        self.believed.map(|(number, _)| number)
    }

    /// Why an endpoint does not stand with the others, if it does not.
    pub(crate) fn stray(&self, endpoint: usize) -> Option<&Stray> {
        self.told.get(endpoint)?.stray.as_ref()
    }

    /// Whether an endpoint trails the believed head, by what it has told lately.
    pub(crate) fn is_lagging(&self, endpoint: usize, now: Instant) -> bool {
        let newest = self.told.get(endpoint).and_then(|told| told.fresh(now));
        match (self.believed(), newest) {
            (Some(believed), Some(newest)) => newest + LEAD_MAX < believed,
            (Some(_) | None, _) => false,
        }
    }

    /// When an endpoint told of its head last.
    pub(crate) fn told_at(&self, endpoint: usize) -> Option<Instant> {
        self.told.get(endpoint)?.newest.as_ref().map(|(_, at)| *at)
    }

    /// Notes the head that an endpoint told.
    pub(crate) fn tell(&mut self, endpoint: usize, header: &Header, now: Instant) {
        if let Some(told) = self.told.get_mut(endpoint) {
            told.tell(header, now);
        }
    }

    /// Notes that an endpoint has no head to tell: its word does not count until it has.
    pub(crate) fn forget(&mut self, endpoint: usize) {
        if let Some(told) = self.told.get_mut(endpoint) {
            *told = Told { stray: told.stray.take(), ..Told::default() };
        }
    }

    /// Notes a head that was taken without a vote, since it stands on the believed one.
    pub(crate) fn follow_on(&mut self, header: &Header) -> bool {
        let parent = header.block.number.checked_sub(1).map(|number| (number, header.parent_hash));
        let follows = parent.is_some() && parent == self.believed;
        if follows {
            self.believed = Some((header.block.number, header.block.hash));
        }
        follows
    }

    /// Ends an endpoint's time as a stray, whatever came of it.
    pub(crate) fn pardon(&mut self, endpoint: usize) {
        if let Some(told) = self.told.get_mut(endpoint) {
            *told = Told::default();
        }
    }

    /// The head to believe of those told lately; with `in_company` only one above what was believed, that
    /// another endpoint is near to.
    pub(crate) fn choose(&mut self, in_company: bool, now: Instant) -> Option<Header> {
        let mut candidates: Vec<(u64, usize)> = (0..self.told.len())
            .filter_map(|place| Some((self.told.get(place)?.fresh(now)?, place)))
            .collect();
        // Stable: among equals the settings' order stays.
        candidates.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
        let (_, chosen) = *candidates
            .iter()
            .find(|(number, endpoint)| self.is_believable(*number, *endpoint, in_company, now))?;
        let (head, _) = self.told.get(chosen)?.newest.clone()?;
        self.believed = Some((head.block.number, head.block.hash));
        self.name_strays(chosen, now);
        Some(head)
    }

    fn is_believable(&self, number: u64, endpoint: usize, in_company: bool, now: Instant) -> bool {
        if in_company && self.believed().is_none_or(|believed| number <= believed) {
            return false;
        }
        let votes = self.votes(number, endpoint, now);
        // Of three, one that is alone so far ahead is more likely wrong than the only one that is up to date.
        if (in_company || votes.fresh >= 3) && votes.near < 2 {
            return false;
        }
        votes.against < votes.with
            || (votes.against == votes.with && self.wins_a_tie(number, endpoint, now))
    }

    fn votes(&self, number: u64, endpoint: usize, now: Instant) -> Votes {
        let mut votes = Votes::default();
        let Some(candidate) = self.told.get(endpoint) else { return votes };
        for other in &self.told {
            let Some(newest) = other.fresh(now) else { continue };
            votes.fresh += 1;
            if conflict(candidate, other).is_some() {
                votes.against += 1;
            } else {
                votes.with += 1;
                votes.near += usize::from(number <= newest + LEAD_MAX);
            }
        }
        votes
    }

    /// The longer branch, or the one that was believed, or the first endpoint's.
    fn wins_a_tie(&self, number: u64, endpoint: usize, now: Instant) -> bool {
        let Some(candidate) = self.told.get(endpoint) else { return false };
        let opponents = || {
            self.told.iter().enumerate().filter(|(_, other)| {
                other.fresh(now).is_some() && conflict(candidate, other).is_some()
            })
        };
        let longest = opponents().filter_map(|(_, other)| other.fresh(now)).max().unwrap_or(0);
        if longest + LONGER_BY <= number {
            return true;
        }
        if number + LONGER_BY <= longest {
            return false;
        }
        let holds_believed = |told: &Told| {
            self.believed.is_some_and(|(at, hash)| told.hashes.get(&at) == Some(&hash))
        };
        match (holds_believed(candidate), opponents().any(|(_, other)| holds_believed(other))) {
            (true, false) => true,
            (false, true) => false,
            (true, true) | (false, false) => opponents().all(|(place, _)| endpoint < place),
        }
    }

    fn name_strays(&mut self, chosen: usize, now: Instant) {
        let Some(number) = self.believed() else { return };
        for place in 0..self.told.len() {
            let (Some(held), Some(other)) = (self.told.get(chosen), self.told.get(place)) else {
                continue;
            };
            let Some(newest) = other.fresh(now) else { continue };
            let reason = match conflict(held, other) {
                Some((at, ours, theirs)) => {
                    Some(format!("it has {theirs} as block {at}, others have {ours}"))
                }
                None if number + LEAD_MAX < newest => {
                    Some(format!("it tells of block {newest}, others of {number}"))
                }
                None => None,
            };
            if let Some(told) = self.told.get_mut(place) {
                let since = told.stray.as_ref().map_or(now, |stray| stray.since);
                told.stray = reason.map(|reason| Stray { since, reason });
            }
        }
    }
}

impl Told {
    fn fresh(&self, now: Instant) -> Option<u64> {
        let (head, at) = self.newest.as_ref()?;
        (now.saturating_duration_since(*at) < FRESH).then_some(head.block.number)
    }

    fn tell(&mut self, header: &Header, now: Instant) {
        let (number, hash) = (header.block.number, header.block.hash);
        // What stood above is no longer its chain, and what stands below only where it links.
        self.hashes.split_off(&number);
        if let Some(parent) = number.checked_sub(1) {
            let links = self.hashes.get(&parent).is_none_or(|known| *known == header.parent_hash);
            if !links {
                self.hashes.clear();
            }
            self.hashes.insert(parent, header.parent_hash);
        }
        self.hashes.insert(number, hash);
        while REMEMBERED < self.hashes.len() {
            self.hashes.pop_first();
        }
        self.newest = Some((header.clone(), now));
    }
}

/// The highest block that both have told of, if they told of different ones.
fn conflict(one: &Told, other: &Told) -> Option<(u64, B256, B256)> {
    let mut both = one
        .hashes
        .iter()
        .rev()
        .filter_map(|(number, hash)| Some((*number, *hash, *other.hashes.get(number)?)));
    both.next().filter(|(_, one, other)| one != other)
}

#[cfg(test)]
mod tests {
    use inspay_primitives::{BlockRef, Timestamp};

    use super::*;

    /// Block `number` of a branch that left the main one above `fork`.
    fn hash(branch: u8, fork: u64, number: u64) -> B256 {
        let branch = if number <= fork { 0 } else { branch };
        let mut bytes = [branch; 32];
        bytes[24..].copy_from_slice(&number.to_be_bytes());
        B256::from(bytes)
    }

    fn header(branch: u8, fork: u64, number: u64) -> Header {
        Header {
            block: BlockRef {
                number,
                hash: hash(branch, fork, number),
                time: Timestamp::default(),
            },
            parent_hash: hash(branch, fork, number - 1),
            receipts_root: B256::ZERO,
            logs_bloom: Box::new([0; 256]),
        }
    }

    /// Endpoints tell their heads, in turns; `branch number` each, `-` for no answer. The branches leave
    /// the main one above block 10. Returns what was believed after each turn.
    fn believed(turns: &[&[&str]]) -> Vec<String> {
        let endpoints = turns[0].len();
        let mut heads = Heads::new(endpoints);
        let mut now = Instant::now();
        let mut told = Vec::new();
        for turn in turns {
            now += Duration::from_secs(1);
            for (endpoint, head) in turn.iter().enumerate() {
                let Some((branch, number)) = head.split_once(' ') else { continue };
                let header = header(branch.parse().unwrap(), 10, number.parse().unwrap());
                heads.tell(endpoint, &header, now);
            }
            let chosen = heads.choose(false, now).map(|head| head.block.number);
            let strays: Vec<usize> =
                (0..endpoints).filter(|at| heads.stray(*at).is_some()).collect();
            let chosen = chosen.map_or("nobody".to_owned(), |at| at.to_string());
            told.push(match strays.as_slice() {
                [] => chosen,
                strays => format!("{chosen}, stray {strays:?}"),
            });
        }
        told
    }

    #[test]
    fn the_head_is_the_highest_on_the_branch_of_most() {
        type Case<'a> = (&'a str, &'a [&'a [&'a str]], &'a [&'a str]);
        let cases: &[Case<'_>] = &[
            ("one", &[&["0 12"], &["0 13"]], &["12", "13"]),
            ("the highest", &[&["0 12", "0 13"]], &["13"]),
            ("one answers", &[&["-", "0 13", "-"]], &["13"]),
            ("nobody answers", &[&["-", "-", "-"]], &["nobody"]),
            ("a short lead of one of three", &[&["0 12", "0 12", "0 14"]], &["14"]),
            ("a long lead of one of three", &[&["0 12", "0 12", "0 99"]], &["12, stray [2]"]),
            ("a long lag of one of two", &[&["0 12", "0 99"]], &["99"]),
            ("a long lag of one of three", &[&["0 99", "0 12", "0 99"]], &["99"]),
            (
                "a fork of one of three",
                &[&["0 12", "0 12", "0 12"], &["0 13", "1 14", "0 13"]],
                &["12", "13, stray [1]"],
            ),
            (
                "a longer fork of one of three that is asked first",
                &[&["1 14", "0 13", "0 13"], &["1 15", "0 14", "0 14"]],
                &["13, stray [0]", "14, stray [0]"],
            ),
            (
                "a reorg that reaches one after the other",
                &[
                    &["0 13", "0 13", "0 13"],
                    &["1 14", "0 13", "0 13"],
                    &["1 14", "1 14", "0 13"],
                    &["1 14", "1 14", "1 14"],
                ],
                &["13", "13, stray [0]", "14, stray [2]", "14"],
            ),
            (
                "a tie stays with what was believed",
                &[&["0 13", "0 13"], &["1 13", "0 13"], &["1 14", "0 14"]],
                &["13", "13, stray [0]", "14, stray [0]"],
            ),
            (
                "until one branch is longer",
                &[&["0 13", "0 13"], &["1 14", "0 13"], &["1 15", "0 13"]],
                &["13", "13, stray [0]", "15, stray [1]"],
            ),
            (
                "one that comes back to the others is named no more",
                &[&["0 13", "1 13", "0 13"], &["0 14", "0 14", "0 14"]],
                &["13, stray [1]", "14"],
            ),
        ];
        for (name, turns, expected) in cases {
            assert_eq!(believed(turns), *expected, "{name}");
        }
    }

    #[test]
    fn an_endpoint_trails_when_it_told_so_lately() {
        let mut heads = Heads::new(2);
        let now = Instant::now();
        heads.tell(0, &header(0, 0, 20), now);
        heads.tell(1, &header(0, 0, 17), now);
        assert_eq!(heads.choose(true, now), None);
        assert_eq!(heads.choose(false, now), Some(header(0, 0, 20)));
        assert!(!heads.is_lagging(0, now) && heads.is_lagging(1, now));
        assert!(!heads.is_lagging(1, now + FRESH));
        heads.tell(1, &header(0, 0, 18), now);
        assert!(!heads.is_lagging(1, now));
    }

    #[test]
    fn a_header_that_stands_on_the_believed_head_needs_no_vote() {
        let mut heads = Heads::new(2);
        let now = Instant::now();
        assert!(!heads.follow_on(&header(0, 10, 13)));
        heads.tell(0, &header(0, 10, 12), now);
        heads.choose(false, now);
        assert!(!heads.follow_on(&header(1, 10, 13)) && !heads.follow_on(&header(0, 10, 14)));
        assert!(heads.follow_on(&header(0, 10, 13)) && heads.follow_on(&header(0, 10, 14)));
    }
}
