//! Rates between dollars and tokens, and the one multiplication that converts.
//!
//! Products are taken in 512 bits and divided once, with a rounding that the caller names: a 96-bit
//! decimal rounds without saying so long before a `uint256` is full.

use std::{fmt, str::FromStr};

use alloy_primitives::{U256, U512, ruint::UintTryFrom as _};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::{Usd, UsdError, usd::exact};

/// Which way a division that does not come out even goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// Towards more: what a buyer owes.
    Up,
    /// Towards less: what is granted or refunded.
    Down,
}

/// Why a price could not be worked out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    /// Division by zero, or a rate that is not above zero.
    #[error("a rate must be above zero")]
    NotPositive,
    /// Beyond 2^256 − 1 base units, or beyond what a decimal holds.
    #[error("the price is out of range")]
    OutOfRange,
    /// Not a number.
    #[error(transparent)]
    Text(#[from] UsdError),
}

/// `a × b / c`, exact in between, rounded once.
pub fn mul_div(a: U256, b: U256, c: U256, rounding: Rounding) -> Result<U256, PriceError> {
    divide(
        U512::from(a).checked_mul(U512::from(b)).ok_or(PriceError::OutOfRange)?,
        U512::from(c),
        rounding,
    )
}

fn divide(numerator: U512, denominator: U512, rounding: Rounding) -> Result<U256, PriceError> {
    if denominator.is_zero() {
        return Err(PriceError::NotPositive);
    }
    let quotient = match rounding {
        Rounding::Up => numerator.div_ceil(denominator),
        Rounding::Down => numerator.checked_div(denominator).ok_or(PriceError::NotPositive)?,
    };
    U256::checked_from(quotient)
}

/// Narrowing that refuses instead of wrapping.
trait CheckedFrom: Sized {
    fn checked_from(wide: U512) -> Result<Self, PriceError>;
}

impl CheckedFrom for U256 {
    fn checked_from(wide: U512) -> Result<Self, PriceError> {
        Self::uint_try_from(wide).map_err(|_| PriceError::OutOfRange)
    }
}

fn pow10(exponent: u32) -> Result<U512, PriceError> {
    U512::from(10u8).checked_pow(U512::from(exponent)).ok_or(PriceError::OutOfRange)
}

/// The mantissa of a decimal that is not negative.
fn mantissa(value: Decimal) -> Result<U512, PriceError> {
    u128::try_from(value.mantissa()).map(U512::from).map_err(|_| PriceError::NotPositive)
}

/// US dollars for one whole token, always above zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rate(#[serde(with = "exact")] Decimal);

impl Rate {
    /// Wraps dollars per whole token; refuses zero and less.
    pub fn new(usd_per_token: Decimal) -> Result<Self, PriceError> {
        if usd_per_token > Decimal::ZERO {
            Ok(Self(usd_per_token))
        } else {
            Err(PriceError::NotPositive)
        }
    }

    /// Dollars per whole token.
    #[must_use]
    pub const fn decimal(self) -> Decimal {
        self.0
    }

    /// What `value` costs in base units of a token with `decimals` digits.
    pub fn base_units(
        self,
        value: Usd,
        decimals: u8,
        rounding: Rounding,
    ) -> Result<U256, PriceError> {
        // value / rate × 10^decimals = (v / 10^vs) × 10^rs × 10^d / r
        let numerator = mantissa(value.decimal())?
            .checked_mul(pow10(self.0.scale())?)
            .and_then(|product| product.checked_mul(pow10(u32::from(decimals)).ok()?))
            .ok_or(PriceError::OutOfRange)?;
        let denominator = mantissa(self.0)?
            .checked_mul(pow10(value.decimal().scale())?)
            .ok_or(PriceError::OutOfRange)?;
        divide(numerator, denominator, rounding)
    }

    /// What `base_units` of a token with `decimals` digits are worth, in micro-dollars.
    pub fn micro_usd(
        self,
        base_units: U256,
        decimals: u8,
        rounding: Rounding,
    ) -> Result<U256, PriceError> {
        let numerator = U512::from(base_units)
            .checked_mul(mantissa(self.0)?)
            .and_then(|product| product.checked_mul(U512::from(1_000_000u32)))
            .ok_or(PriceError::OutOfRange)?;
        let denominator = pow10(self.0.scale())?
            .checked_mul(pow10(u32::from(decimals))?)
            .ok_or(PriceError::OutOfRange)?;
        divide(numerator, denominator, rounding)
    }

    /// What `base_units` are worth as dollars with six digits; `None` beyond what a decimal holds.
    #[must_use]
    pub fn value(self, base_units: U256, decimals: u8, rounding: Rounding) -> Option<Usd> {
        let micros = self.micro_usd(base_units, decimals, rounding).ok()?;
        let micros = i128::try_from(u128::try_from(micros).ok()?).ok()?;
        Decimal::try_from_i128_with_scale(micros, 6).ok().map(Usd::new)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Rate {
    type Err = PriceError;

    fn from_str(text: &str) -> Result<Self, PriceError> {
        Self::new(text.parse::<Usd>()?.decimal())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dollars_become_base_units_with_a_named_rounding() {
        let cases = [
            ("9.99", "1", 6, "9990000", "9990000"),
            ("9.99", "0.9997", 6, "9992998", "9992997"),
            ("9.99", "0.0317", 18, "315141955835962145111", "315141955835962145110"),
            ("0.01", "151.37", 0, "1", "0"),
        ];
        for (value, rate, decimals, up, down) in cases {
            let rate: Rate = rate.parse().expect("rate");
            let value: Usd = value.parse().expect("value");
            assert_eq!(rate.base_units(value, decimals, Rounding::Up).expect("up").to_string(), up);
            assert_eq!(
                rate.base_units(value, decimals, Rounding::Down).expect("down").to_string(),
                down
            );
        }
    }

    #[test]
    fn extremes_are_exact_or_refused() {
        let rate: Rate = "1".parse().expect("rate");
        assert_eq!(rate.micro_usd(U256::MAX, 6, Rounding::Down), Ok(U256::MAX));
        assert_eq!(rate.micro_usd(U256::MAX, 0, Rounding::Down), Err(PriceError::OutOfRange));
        assert_eq!(rate.value(U256::MAX, 6, Rounding::Down), None);
        assert_eq!(mul_div(U256::MAX, U256::MAX, U256::MAX, Rounding::Up), Ok(U256::MAX));
        assert_eq!(
            mul_div(U256::MAX, U256::from(2), U256::from(1), Rounding::Up),
            Err(PriceError::OutOfRange)
        );
        assert_eq!(
            mul_div(U256::MAX, U256::MAX, U256::ZERO, Rounding::Up),
            Err(PriceError::NotPositive)
        );
        assert!("0".parse::<Rate>().is_err());
        assert!("-1".parse::<Rate>().is_err());
    }

    proptest! {
        /// There and back never gains: what is owed is worth at least the price, what is granted at most.
        #[test]
        fn no_sequence_of_roundings_gives_value_away(
            micros in 1u64..1_000_000_000_000,
            rate_mantissa in 1u64..1_000_000_000_000,
            rate_scale in 0u32..12,
            decimals in 0u8..19,
        ) {
            let value = Usd::new(Decimal::from_i128_with_scale(i128::from(micros), 6));
            let rate = Rate::new(Decimal::from_i128_with_scale(i128::from(rate_mantissa), rate_scale)).expect("above zero");
            let owed = rate.base_units(value, decimals, Rounding::Up).expect("in range");
            let granted = rate.base_units(value, decimals, Rounding::Down).expect("in range");
            prop_assert!(owed - granted <= U256::from(1));
            prop_assert!(rate.micro_usd(owed, decimals, Rounding::Up).expect("in range") >= U256::from(micros));
            prop_assert!(rate.micro_usd(granted, decimals, Rounding::Down).expect("in range") <= U256::from(micros));
        }
    }
}
