//! Percentages with at most six digits after the point.
//!
//! Never more than a hundred and never a float.

use std::{fmt, str::FromStr};

use inspay_primitives::{PriceError, Rounding, U256, format_units, mul_div, parse_units};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A percentage from 0 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Percent(u32);

/// Why a text is not a percentage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a percentage from 0 to 100 with at most 6 decimals: {0:?}")]
pub struct PercentError(String);

impl Percent {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// Everything.
    pub const HUNDRED: Self = Self(Self::ALL_MICROS);
    const ALL_MICROS: u32 = 100_000_000;
    const DECIMALS: u8 = 6;

    /// A whole percentage; more than a hundred is taken as a hundred.
    #[must_use]
    pub const fn whole(percent: u8) -> Self {
        let percent = if percent > 100 { 100 } else { percent };
        // At most a hundred million: far inside `u32`.
        Self((percent as u32).saturating_mul(1_000_000))
    }

    /// This share of `value`.
    pub fn of(self, value: U256, rounding: Rounding) -> Result<U256, PriceError> {
        mul_div(value, self.micros(), U256::from(Self::ALL_MICROS), rounding)
    }

    /// Millionths of a percent.
    pub(crate) fn micros(self) -> U256 {
        U256::from(self.0)
    }

    /// Whether it takes nothing.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format_units(U256::from(self.0), Self::DECIMALS);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl FromStr for Percent {
    type Err = PercentError;

    fn from_str(text: &str) -> Result<Self, PercentError> {
        let error = || PercentError(text.chars().take(100).collect());
        let micros = parse_units(text, Self::DECIMALS).map_err(|_| error())?;
        let micros = u32::try_from(micros).map_err(|_| error())?;
        if micros > Self::ALL_MICROS { Err(error()) } else { Ok(Self(micros)) }
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_read_exactly_or_refused() {
        for (text, shown) in
            [("0", "0"), ("12.5", "12.5"), ("100", "100"), ("0.000001", "0.000001"), ("10.0", "10")]
        {
            assert_eq!(text.parse::<Percent>().expect("reads").to_string(), shown);
        }
        for wrong in ["", "-1", "100.000001", "1e1", "0.0000001", "ten", "5000000000"] {
            assert!(wrong.parse::<Percent>().is_err(), "{wrong}");
        }
        assert_eq!(Percent::whole(200), Percent::HUNDRED);
    }

    #[test]
    fn a_share_is_rounded_as_named_even_at_the_extreme() {
        let third: Percent = "33.333333".parse().expect("reads");
        let share = |value: u64, rounding| third.of(U256::from(value), rounding);
        assert_eq!(share(100, Rounding::Down), Ok(U256::from(33)));
        assert_eq!(share(100, Rounding::Up), Ok(U256::from(34)));
        assert_eq!(Percent::HUNDRED.of(U256::MAX, Rounding::Up), Ok(U256::MAX));
    }
}
