//! Credits: fixed point with six decimals, held as integer micro-credits.

use std::{fmt, str::FromStr};

use alloy_primitives::U256;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{format_units, parse_units};

/// An amount of credits in micro-credits; never negative unless a balance went below zero by a reversal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Credits(i64);

/// Why a text or number is not an amount of credits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CreditsError {
    /// Not a decimal number with at most six digits after the point.
    #[error("not an amount of credits with at most 6 decimals: {0:?}")]
    Malformed(String),
    /// Beyond [`Credits::MAX`].
    #[error("more credits than can be held")]
    TooLarge,
}

impl Credits {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// Digits after the point.
    pub const DECIMALS: u8 = 6;
    /// The most that one amount may be: a billion credits, so that sums of millions of them fit.
    pub const MAX: Self = Self(1_000_000_000_000_000);

    /// Wraps micro-credits.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Wraps a computed number of micro-credits; refuses more than [`Self::MAX`].
    pub fn from_u256_micros(micros: U256) -> Result<Self, CreditsError> {
        let micros = i64::try_from(micros).map_err(|_| CreditsError::TooLarge)?;
        if micros > Self::MAX.0 { Err(CreditsError::TooLarge) } else { Ok(Self(micros)) }
    }

    /// Micro-credits.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Micro-credits as an unsigned integer; a negative amount gives zero.
    #[must_use]
    pub fn to_u256_micros(self) -> U256 {
        U256::from(u64::try_from(self.0).unwrap_or(0))
    }

    /// The sum, if it can be held.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference, if it can be held; it may be negative.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// Whether nothing is there.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Credits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{}", format_units(U256::from(self.0.unsigned_abs()), Self::DECIMALS))
    }
}

impl FromStr for Credits {
    type Err = CreditsError;

    fn from_str(text: &str) -> Result<Self, CreditsError> {
        let micros = parse_units(text, Self::DECIMALS)
            .map_err(|_| CreditsError::Malformed(text.chars().take(100).collect()))?;
        Self::from_u256_micros(micros)
    }
}

impl Serialize for Credits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Credits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let magnitude = text.strip_prefix('-');
        let credits: Self = magnitude.unwrap_or(&text).parse().map_err(serde::de::Error::custom)?;
        Ok(if magnitude.is_some() { Self(credits.0.saturating_neg()) } else { credits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credits_are_read_exactly_or_refused() {
        assert_eq!("0.38".parse(), Ok(Credits(380_000)));
        assert_eq!(Credits(380_000).to_string(), "0.380000");
        assert_eq!(Credits(-1).to_string(), "-0.000001");
        assert_eq!("1000000000".parse(), Ok(Credits::MAX));
        assert_eq!("1000000000.000001".parse::<Credits>(), Err(CreditsError::TooLarge));
        for wrong in ["0.0000001", "-1", "abc", ""] {
            assert!(matches!(wrong.parse::<Credits>(), Err(CreditsError::Malformed(_))), "{wrong}");
        }
    }
}
