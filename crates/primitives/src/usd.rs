//! Dollars: exact decimals, read by `from_str_exact` only.

use std::{fmt, str::FromStr};

use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

use crate::Rounding;

/// An exact amount of US dollars.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Usd(#[serde(with = "exact")] Decimal);

/// Why a text is not an exact amount of dollars.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an exact decimal number: {0:?}")]
pub struct UsdError(String);

impl Usd {
    /// Nothing.
    pub const ZERO: Self = Self(Decimal::ZERO);

    /// Wraps a decimal.
    #[must_use]
    pub const fn new(value: Decimal) -> Self {
        Self(value)
    }

    /// The decimal inside.
    #[must_use]
    pub const fn decimal(self) -> Decimal {
        self.0
    }

    /// The sum; `None` where a digit would be lost.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let sum = self.0.checked_add(other.0)?;
        (sum.scale() >= self.0.scale().max(other.0.scale())).then_some(Self(sum))
    }

    /// The difference; `None` where a digit would be lost.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.checked_add(Self(other.0.checked_mul(Decimal::NEGATIVE_ONE)?))
    }

    /// This amount at `digits` digits after the point.
    #[must_use]
    pub fn round(self, digits: u32, rounding: Rounding) -> Self {
        let strategy = match rounding {
            Rounding::Up => RoundingStrategy::ToPositiveInfinity,
            Rounding::Down => RoundingStrategy::ToNegativeInfinity,
        };
        Self(self.0.round_dp_with_strategy(digits, strategy))
    }
}

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Usd {
    type Err = UsdError;

    fn from_str(text: &str) -> Result<Self, UsdError> {
        Decimal::from_str_exact(text)
            .map(Self)
            .map_err(|_| UsdError(text.chars().take(100).collect()))
    }
}

/// Serde for decimals that refuses any text that would have to be rounded.
pub(crate) mod exact {
    use rust_decimal::Decimal;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        value: &Decimal,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Decimal, D::Error> {
        let text = String::deserialize(deserializer)?;
        Decimal::from_str_exact(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digit_that_would_be_lost_is_an_error() {
        assert!("100000000000.123456789012345678".parse::<Usd>().is_err());
        let huge = Usd(Decimal::MAX);
        let tiny: Usd = "0.1".parse().expect("reads");
        assert_eq!(huge.checked_add(tiny), None);
        assert_eq!(tiny.checked_sub(tiny), Some(Usd::ZERO));
    }

    #[test]
    fn rounding_is_named() {
        let value: Usd = "1.0000001".parse().expect("reads");
        assert_eq!(value.round(6, Rounding::Up).to_string(), "1.000001");
        assert_eq!(value.round(6, Rounding::Down).to_string(), "1.000000");
    }
}
