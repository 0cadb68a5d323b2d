//! Looking for the block in which the books part from the chain.
//!
//! The search is pure; whoever drives it compares one block at a time. It never goes through the blocks one by one:
//! of a million it asks for twenty.

/// The lowest block of a span at which the books differ, as far as differences do not cancel each other on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bisection {
    from: u64,
    to: u64,
}

impl Bisection {
    /// Looks in the blocks `from` to `to`; at `to` they are known to differ.
    pub(crate) const fn new(from: u64, to: u64) -> Self {
        Self { from, to }
    }

    /// The block to compare next; `None` once the block is found.
    pub(crate) const fn next(self) -> Option<u64> {
        if self.from < self.to { Some(self.from.midpoint(self.to)) } else { None }
    }

    /// Takes in whether the books differ at the end of the block that was asked for.
    pub(crate) const fn learn(&mut self, number: u64, differs: bool) {
        if differs {
            self.to = number;
        } else {
            self.from = number.saturating_add(1);
        }
    }

    /// The block, once there is nothing left to compare.
    pub(crate) const fn found(self) -> u64 {
        self.to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_block_that_differs_is_found_in_few_steps() {
        for (from, to) in [(0, 0), (0, 1), (3, 9), (0, 1_000_000), (u64::MAX - 9, u64::MAX)] {
            for wrong in [from, from + (to - from) / 3, to] {
                let mut search = Bisection::new(from, to);
                let mut steps = 0;
                while let Some(number) = search.next() {
                    assert!((from..to).contains(&number));
                    search.learn(number, number >= wrong);
                    steps += 1;
                }
                assert_eq!(search.found(), wrong, "in {from} to {to}");
                assert!(steps <= 20, "{steps} steps for {from} to {to}");
            }
        }
    }

    #[test]
    fn of_differences_that_cancel_one_is_found() {
        // Wrong from 10 to 19 and from 40 on.
        let differs = |number: u64| (10..20).contains(&number) || number >= 40;
        let mut search = Bisection::new(0, 60);
        while let Some(number) = search.next() {
            search.learn(number, differs(number));
        }
        let found = search.found();
        assert!(differs(found) && !differs(found - 1), "{found}");
    }
}
