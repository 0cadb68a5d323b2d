//! When a transfer is deep enough: the policy and its judgement. Pure.
//!
//! The block's hash is compared before anything is counted, since the depth of an orphaned block
//! means nothing.

use alloy_primitives::{B256, U256};
use serde::{Deserialize, Serialize};

use crate::{BlockRef, ChainView};

/// What a transfer must wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ConfirmationRule {
    /// That many confirmations, counted from one in the head block.
    Depth(u32),
    /// The chain's `safe` block has reached it, and it has that many confirmations.
    Safe(u32),
    /// The chain's `finalized` block has reached it, and it has that many confirmations.
    Finalized(u32),
}

impl ConfirmationRule {
    /// The number of confirmations of our own that the rule asks for, at least one.
    #[must_use]
    pub const fn depth(self) -> u32 {
        match self {
            Self::Depth(depth) | Self::Safe(depth) | Self::Finalized(depth) => {
                if depth == 0 {
                    1
                } else {
                    depth
                }
            }
        }
    }
}

/// How a transfer stands against its rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its block is not on the canonical chain.
    Orphaned,
    /// Not deep enough yet.
    Pending {
        /// Counted from one.
        confirmations: u64,
    },
    /// Deep enough.
    Confirmed {
        /// Counted from one.
        confirmations: u64,
    },
}

impl ConfirmationRule {
    /// Judges a transfer that is recorded in `block`; `canonical` is the hash the chain has at that height.
    ///
    /// Nothing above `audited_to` is confirmed: its block has not been proven whole.
    #[must_use]
    pub fn judge(self, block: BlockRef, canonical: Option<B256>, chain: &ChainView) -> Standing {
        let Some(canonical) = canonical else { return Standing::Pending { confirmations: 0 } };
        if canonical != block.hash {
            return Standing::Orphaned;
        }
        let confirmations = chain
            .head
            .number
            .checked_sub(block.number)
            .map_or(0, |below_head| below_head.saturating_add(1));
        let deep_enough = confirmations >= u64::from(self.depth());
        let tag_reached = match self {
            Self::Depth(_) => true,
            Self::Safe(_) => block.number <= chain.safe_number,
            Self::Finalized(_) => block.number <= chain.finalized_number,
        };
        if deep_enough && tag_reached && block.number <= chain.audited_to {
            Standing::Confirmed { confirmations }
        } else {
            Standing::Pending { confirmations }
        }
    }
}

/// One step of a policy: up to and including an amount, this rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    up_to_base_units: U256,
    rule: ConfirmationRule,
}

/// Rules by value for one asset: small amounts may be quick, large ones wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfirmationPolicy {
    steps: Vec<Step>,
    above: ConfirmationRule,
}

/// Why a policy makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The limits of the steps do not rise.
    #[error("the limits of a confirmation policy must rise")]
    NotRising,
    /// A rule asks for no confirmation at all.
    #[error("a confirmation policy needs at least one confirmation")]
    NoConfirmation,
}

impl ConfirmationPolicy {
    /// A policy of `steps` (limit in base units, rule) with rising limits, and a rule for all above.
    pub fn new(
        steps: Vec<(U256, ConfirmationRule)>,
        above: ConfirmationRule,
    ) -> Result<Self, PolicyError> {
        let asks_none = |rule: &ConfirmationRule| matches!(rule, ConfirmationRule::Depth(0));
        if steps.iter().map(|(_, rule)| rule).chain([&above]).any(asks_none) {
            return Err(PolicyError::NoConfirmation);
        }
        if !steps.is_sorted_by(|(a, _), (b, _)| a < b) {
            return Err(PolicyError::NotRising);
        }
        let steps = steps
            .into_iter()
            .map(|(up_to_base_units, rule)| Step { up_to_base_units, rule })
            .collect();
        Ok(Self { steps, above })
    }

    /// The rule for a transfer of that size.
    #[must_use]
    pub fn rule_for(&self, base_units: U256) -> ConfirmationRule {
        self.steps
            .iter()
            .find(|step| base_units <= step.up_to_base_units)
            .map_or(self.above, |step| step.rule)
    }

    /// The least of our own depth that any size needs: work above it can be skipped unread.
    #[must_use]
    pub fn least_depth(&self) -> u32 {
        self.steps.iter().map(|step| step.rule.depth()).fold(self.above.depth(), u32::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;

    fn block(number: u64, fork: u8) -> BlockRef {
        BlockRef {
            number,
            hash: B256::repeat_byte(fork),
            time: Timestamp::from_chain_seconds(number),
        }
    }

    #[test]
    fn the_least_depth_is_that_of_whatever_size_needs_least() {
        let depth = |steps: &[(u64, u32)], above: u32| {
            let steps = steps
                .iter()
                .map(|(up_to, depth)| (U256::from(*up_to), ConfirmationRule::Depth(*depth)));
            let above = ConfirmationRule::Finalized(above);
            ConfirmationPolicy::new(steps.collect(), above).expect("a policy").least_depth()
        };
        assert_eq!(depth(&[], 12), 12);
        assert_eq!(depth(&[(10, 3), (20, 6)], 12), 3);
        assert_eq!(depth(&[(10, 6), (20, 7)], 4), 4);
    }

    #[test]
    fn a_transfer_is_judged_by_hash_then_depth_then_tag_then_audit() {
        use ConfirmationRule::{Depth, Finalized, Safe};
        use Standing::{Confirmed, Orphaned, Pending};
        // rule, head, safe, finalized, audited, canonical fork, standing of block 100 on fork 1
        let cases = [
            (Depth(3), 101, 0, 0, 101, Some(1), Pending { confirmations: 2 }),
            (Depth(3), 102, 0, 0, 102, Some(1), Confirmed { confirmations: 3 }),
            (Depth(1), 100, 0, 0, 100, Some(1), Confirmed { confirmations: 1 }),
            (Depth(1), 99, 0, 0, 99, Some(1), Pending { confirmations: 0 }),
            (Depth(1), 100, 0, 0, 99, Some(1), Pending { confirmations: 1 }),
            (Depth(1), 200, 0, 0, 200, Some(2), Orphaned),
            (Depth(1), 200, 0, 0, 200, None, Pending { confirmations: 0 }),
            (Safe(1), 132, 99, 60, 132, Some(1), Pending { confirmations: 33 }),
            (Safe(1), 132, 100, 60, 132, Some(1), Confirmed { confirmations: 33 }),
            (Finalized(2), 164, 132, 99, 164, Some(1), Pending { confirmations: 65 }),
            (Finalized(2), 164, 132, 100, 164, Some(1), Confirmed { confirmations: 65 }),
            (Finalized(70), 164, 132, 100, 164, Some(1), Pending { confirmations: 65 }),
            (Finalized(2), 164, 132, 100, 164, Some(2), Orphaned),
        ];
        for (rule, head, safe_number, finalized_number, audited_to, fork, expected) in cases {
            let chain =
                ChainView { head: block(head, 9), safe_number, finalized_number, audited_to };
            let standing = rule.judge(block(100, 1), fork.map(B256::repeat_byte), &chain);
            assert_eq!(standing, expected, "{rule:?} head {head}");
        }
    }

    #[test]
    fn size_chooses_the_rule() {
        use ConfirmationRule::{Depth, Finalized};
        let policy = ConfirmationPolicy::new(
            vec![(U256::from(10), Depth(1)), (U256::from(100), Depth(6))],
            Finalized(12),
        )
        .expect("rises");
        assert_eq!(policy.rule_for(U256::from(10)), Depth(1));
        assert_eq!(policy.rule_for(U256::from(11)), Depth(6));
        assert_eq!(policy.rule_for(U256::MAX), Finalized(12));
        assert_eq!(policy.least_depth(), 1);
        assert_eq!(ConfirmationPolicy::new(vec![], Depth(0)), Err(PolicyError::NoConfirmation));
        let falling = vec![(U256::from(10), Depth(1)), (U256::from(10), Depth(2))];
        assert_eq!(ConfirmationPolicy::new(falling, Depth(3)), Err(PolicyError::NotRising));
    }
}
