//! When a large transfer needs the word of several endpoints, and whether it has it. Pure.
//!
//! Never counts an endpoint that did not answer as one that agrees.

use std::fmt;

use inspay_ports::Agreement;
use inspay_primitives::U256;

/// Above what size transfers of an asset need several endpoints' word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgreementRule {
    /// Larger ones need it.
    pub above_base_units: U256,
    /// How many endpoints must have the same log in the same canonical block.
    pub agreeing_min: u32,
}

/// Why a transfer is not settled although it is deep enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanting {
    /// Too few endpoints have it.
    TooFew {
        /// So many have it.
        agreeing: u32,
        /// So many must.
        needed: u32,
        /// So many were asked.
        asked: u32,
    },
    /// Enough have it, but not more than may be against it.
    Contradicted {
        /// So many have it.
        agreeing: u32,
        /// So many were asked.
        asked: u32,
        /// What one of the others says.
        by: String,
    },
    /// No endpoint could be asked.
    Unasked(String),
}

impl fmt::Display for Wanting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFew { agreeing, needed, asked } => write!(
                f,
                "{agreeing} of {asked} endpoints have it in the same canonical block, {needed} must"
            ),
            Self::Contradicted { agreeing, asked, by } => {
                write!(f, "{agreeing} of {asked} endpoints have it, and one contradicts: {by}")
            }
            Self::Unasked(why) => write!(f, "the endpoints cannot be asked: {why}"),
        }
    }
}

impl AgreementRule {
    /// Whether a transfer of that size needs several endpoints' word.
    #[must_use]
    pub fn applies_to(&self, base_units: U256) -> bool {
        self.above_base_units < base_units
    }

    /// Whether an agreement is enough. Where one contradicts, more than half of those asked must agree: one
    /// that lies must neither credit a payment nor hold it up.
    ///
    /// # Errors
    ///
    /// What is wanting.
    pub fn judge(&self, agreement: &Agreement) -> Result<(), Wanting> {
        let Agreement { agreeing, asked, contradiction } = agreement;
        let (agreeing, asked) = (*agreeing, *asked);
        if agreeing < self.agreeing_min.max(1) {
            return Err(Wanting::TooFew { agreeing, needed: self.agreeing_min.max(1), asked });
        }
        match contradiction {
            Some(by) if agreeing <= asked / 2 => {
                Err(Wanting::Contradicted { agreeing, asked, by: by.clone() })
            }
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enough_is_as_many_as_the_rule_says_and_most_where_one_contradicts() {
        // Agreeing, asked, contradicted, needed, what comes of it.
        let cases: &[(u32, u32, bool, u32, &str)] = &[
            (2, 3, false, 2, "enough"),
            (3, 3, false, 2, "enough"),
            (1, 3, false, 2, "1 of 3 endpoints have it in the same canonical block, 2 must"),
            (0, 3, true, 2, "0 of 3 endpoints have it in the same canonical block, 2 must"),
            (2, 3, true, 2, "enough"),
            (1, 2, false, 1, "enough"),
            (1, 2, true, 1, "1 of 2 endpoints have it, and one contradicts: other"),
            (2, 4, true, 2, "2 of 4 endpoints have it, and one contradicts: other"),
            (3, 5, true, 2, "enough"),
            (0, 3, false, 0, "0 of 3 endpoints have it in the same canonical block, 1 must"),
        ];
        for (agreeing, asked, contradicted, needed, expected) in cases {
            let rule = AgreementRule { above_base_units: U256::ZERO, agreeing_min: *needed };
            let agreement = Agreement {
                agreeing: *agreeing,
                asked: *asked,
                contradiction: contradicted.then(|| "other".to_owned()),
            };
            let told =
                rule.judge(&agreement).map_or_else(|why| why.to_string(), |()| "enough".to_owned());
            assert_eq!(told, *expected, "{agreement:?}, {needed} needed");
        }
    }

    #[test]
    fn only_larger_ones_need_it() {
        let rule = AgreementRule { above_base_units: U256::from(100), agreeing_min: 2 };
        assert!(!rule.applies_to(U256::from(100)) && rule.applies_to(U256::from(101)));
    }
}
