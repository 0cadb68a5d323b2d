//! Which endpoint answered which range, so that another can be asked for it again.
//!
//! Remembers no more than it must: after a start nothing is known, and the endpoint that is asked first is
//! taken for the one that answered.

use std::collections::BTreeMap;

/// Spans that are remembered; older ones are forgotten from the lowest block up.
const REMEMBERED: usize = 4_096;

/// Blocks by the endpoint that told of them last.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// First block of a span, with its last and the endpoint.
    spans: BTreeMap<u64, (u64, usize)>,
}

impl Sources {
    /// Notes who answered a range.
    pub(crate) fn note(&mut self, from: u64, to: u64, endpoint: usize) {
        // What the range covers is told anew; what sticks out of it stays.
        let mut cut = Vec::new();
        for (first, (last, by)) in self.overlapping(from, to) {
            cut.push(first);
            if first < from {
                self.spans.insert(first, (from.saturating_sub(1), by));
                cut.pop();
            }
            if to < last {
                self.spans.insert(to.saturating_add(1), (last, by));
            }
        }
        for first in cut {
            self.spans.remove(&first);
        }
        let before = self.spans.range(..from).next_back().map(|(first, span)| (*first, *span));
        match before {
            Some((first, (last, by))) if by == endpoint && last.saturating_add(1) == from => {
                self.spans.insert(first, (to, endpoint));
            }
            Some(_) | None => {
                self.spans.insert(from, (to, endpoint));
            }
        }
        while REMEMBERED < self.spans.len() {
            self.spans.pop_first();
        }
    }

    /// Who answered any part of a range.
    pub(crate) fn of(&self, from: u64, to: u64) -> Vec<usize> {
        let mut endpoints: Vec<usize> =
            self.overlapping(from, to).into_iter().map(|(_, (_, by))| by).collect();
        endpoints.sort_unstable();
        endpoints.dedup();
        endpoints
    }

    fn overlapping(&self, from: u64, to: u64) -> Vec<(u64, (u64, usize))> {
        self.spans
            .range(..=to)
            .rev()
            .map(|(first, span)| (*first, *span))
            // Spans do not overlap one another, so the first that ends before it ends the search.
            .take_while(|(_, (last, _))| from <= *last)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_by_whoever_told_of_it_last() {
        let mut sources = Sources::default();
        sources.note(10, 19, 0);
        sources.note(20, 29, 0);
        sources.note(30, 39, 1);
        assert_eq!(sources.spans.len(), 2);
        let cases: &[(u64, u64, &[usize])] = &[
            (0, 9, &[]),
            (0, 10, &[0]),
            (12, 28, &[0]),
            (29, 30, &[0, 1]),
            (30, 30, &[1]),
            (40, 99, &[]),
        ];
        for (from, to, expected) in cases {
            assert_eq!(sources.of(*from, *to), *expected, "{from} to {to}");
        }
        sources.note(15, 34, 2);
        let spans: Vec<_> = sources.spans.into_iter().collect();
        assert_eq!(spans, [(10, (14, 0)), (15, (34, 2)), (35, (39, 1))]);
    }

    #[test]
    fn a_part_in_the_middle_told_anew_leaves_both_ends() {
        let mut sources = Sources::default();
        sources.note(0, 99, 0);
        sources.note(40, 49, 1);
        let spans: Vec<_> = sources.spans.iter().map(|(first, span)| (*first, *span)).collect();
        assert_eq!(spans, [(0, (39, 0)), (40, (49, 1)), (50, (99, 0))]);
        sources.note(0, 99, 2);
        assert_eq!(sources.of(0, u64::MAX), [2]);
    }
}
