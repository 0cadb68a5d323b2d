//! Cases: what a person of the finance has to look at, from its opening to its resolution.
//!
//! Never decides what is a case: whoever finds one opens it, with the facts it was found by.

use std::{fmt, str::FromStr};

use crate::{IdError, Timestamp};

/// Number of a case; the later one has the higher number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CaseId(pub i64);

impl fmt::Display for CaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for CaseId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| is_plain && *number > 0);
        number.map(Self).ok_or_else(|| IdError::new("the number of a case", text))
    }
}

/// What a case is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CaseKind {
    /// What is recorded of a treasury's transfers is not what the chain says it holds.
    BalanceDifference,
    /// What was read of a treasury's transfers cannot be compared: the chain does not say what it held.
    BalanceUnknown,
    /// An account owes credits: a payment was taken back after its credits were spent.
    NegativeAccount,
    /// A payment is not known to belong to the orders that it may be meant for.
    Suspense,
}

impl CaseKind {
    /// Every kind.
    pub const ALL: [Self; 4] =
        [Self::BalanceDifference, Self::BalanceUnknown, Self::NegativeAccount, Self::Suspense];

    /// The kind as stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BalanceDifference => "balance_difference",
            Self::BalanceUnknown => "balance_unknown",
            Self::NegativeAccount => "negative_account",
            Self::Suspense => "suspense",
        }
    }

    /// Reads what [`Self::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A case to open. While one of the same kind and subject is open, it is that one: nothing is opened or changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseOpening {
    /// What it is about.
    pub kind: CaseKind,
    /// Whom or what it concerns: unique among the open ones of its kind.
    pub subject: String,
    /// When it was found.
    pub opened_at: Timestamp,
    /// The facts as they were found, as a JSON object.
    pub body_json: String,
}

/// The end of an open case. Where none of that kind and subject is open, nothing happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseClosing {
    /// What it is about.
    pub kind: CaseKind,
    /// Whom or what it concerns.
    pub subject: String,
    /// When it was found to be over.
    pub resolved_at: Timestamp,
    /// What ended it, for people.
    pub resolution: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_numbers_are_read_as_they_were_written() {
        for kind in CaseKind::ALL {
            assert_eq!(CaseKind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(CaseKind::parse("something"), None);
        assert_eq!("7".parse(), Ok(CaseId(7)));
        for wrong in ["", "0", "-1", "+1", " 1", "1.0", "99999999999999999999"] {
            assert!(wrong.parse::<CaseId>().is_err(), "{wrong}");
        }
    }
}
