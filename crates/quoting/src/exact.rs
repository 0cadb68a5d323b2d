//! Dollars as whole micro-dollars, and decimals brought to one scale: what 96 bits would round.
//!
//! Never rounds where no rounding is named.

use inspay_primitives::{Credits, PriceError, Rounding, U256, U512, Usd};
use rust_decimal::Decimal;

/// Digits of a printed dollar amount.
pub(crate) const USD_DIGITS: u32 = 6;

/// Dollars with six digits; refuses what a decimal cannot hold exactly.
pub(crate) fn usd_from_micros(micros: U256) -> Result<Usd, PriceError> {
    let micros = u128::try_from(micros).map_err(|_| PriceError::OutOfRange)?;
    let micros = i128::try_from(micros).map_err(|_| PriceError::OutOfRange)?;
    Decimal::try_from_i128_with_scale(micros, USD_DIGITS)
        .map(Usd::new)
        .map_err(|_| PriceError::OutOfRange)
}

/// Micro-dollars of an amount that is not negative.
pub(crate) fn micros_from_usd(value: Usd, rounding: Rounding) -> Result<U256, PriceError> {
    let (mantissa, scale) = mantissa_and_scale(value.decimal())?;
    let numerator = mantissa.checked_mul(pow10(USD_DIGITS)?).ok_or(PriceError::OutOfRange)?;
    narrow(divide(numerator, pow10(scale)?, rounding)?)
}

/// What `credits` cost at `price` for one, in micro-dollars.
pub(crate) fn micros_at(
    credits: Credits,
    price: Usd,
    rounding: Rounding,
) -> Result<U256, PriceError> {
    let (mantissa, scale) = mantissa_and_scale(price.decimal())?;
    let numerator = U512::from(credits.to_u256_micros())
        .checked_mul(mantissa)
        .and_then(|product| product.checked_mul(pow10(USD_DIGITS).ok()?))
        .ok_or(PriceError::OutOfRange)?;
    let denominator = pow10(scale)?
        .checked_mul(pow10(u32::from(Credits::DECIMALS))?)
        .ok_or(PriceError::OutOfRange)?;
    narrow(divide(numerator, denominator, rounding)?)
}

/// The digits of a decimal that is not negative, and how many of them follow the point.
pub(crate) fn mantissa_and_scale(value: Decimal) -> Result<(U512, u32), PriceError> {
    let mantissa = u128::try_from(value.mantissa()).map_err(|_| PriceError::NotPositive)?;
    Ok((U512::from(mantissa), value.scale()))
}

/// The digits of two decimals brought to the same scale, and that scale.
pub(crate) fn aligned(a: Decimal, b: Decimal) -> Result<(U512, U512, u32), PriceError> {
    let ((a, a_scale), (b, b_scale)) = (mantissa_and_scale(a)?, mantissa_and_scale(b)?);
    let scale = a_scale.max(b_scale);
    let widen = |digits: U512, from: u32| {
        digits.checked_mul(pow10(scale.saturating_sub(from))?).ok_or(PriceError::OutOfRange)
    };
    Ok((widen(a, a_scale)?, widen(b, b_scale)?, scale))
}

/// A power of ten.
pub(crate) fn pow10(exponent: u32) -> Result<U512, PriceError> {
    U512::from(10u8).checked_pow(U512::from(exponent)).ok_or(PriceError::OutOfRange)
}

/// A quotient, rounded as named.
pub(crate) fn divide(
    numerator: U512,
    denominator: U512,
    rounding: Rounding,
) -> Result<U512, PriceError> {
    let down = numerator.checked_div(denominator).ok_or(PriceError::NotPositive)?;
    let is_even = down.checked_mul(denominator) == Some(numerator);
    Ok(match rounding {
        Rounding::Up if !is_even => down.saturating_add(U512::ONE),
        Rounding::Up | Rounding::Down => down,
    })
}

/// The same number in 256 bits, or a refusal.
pub(crate) fn narrow(wide: U512) -> Result<U256, PriceError> {
    let limbs = wide.as_limbs();
    let (low, high) = limbs.split_at(4);
    if high.iter().any(|limb| *limb != 0) {
        return Err(PriceError::OutOfRange);
    }
    U256::checked_from_limbs_slice(low).ok_or(PriceError::OutOfRange)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(text: &str) -> Usd {
        text.parse().expect("dollars")
    }

    #[test]
    fn dollars_become_micro_dollars_with_a_named_rounding() {
        assert_eq!(micros_from_usd(usd("1.0000001"), Rounding::Down), Ok(U256::from(1_000_000)));
        assert_eq!(micros_from_usd(usd("1.0000001"), Rounding::Up), Ok(U256::from(1_000_001)));
        assert_eq!(micros_from_usd(usd("-1"), Rounding::Up), Err(PriceError::NotPositive));
        assert_eq!(
            usd_from_micros(U256::from(1)).map(|usd| usd.to_string()),
            Ok("0.000001".into())
        );
        assert_eq!(usd_from_micros(U256::MAX), Err(PriceError::OutOfRange));
        let credits = Credits::from_micros(1);
        assert_eq!(micros_at(credits, usd("0.1"), Rounding::Up), Ok(U256::from(1)));
        assert_eq!(micros_at(credits, usd("0.1"), Rounding::Down), Ok(U256::ZERO));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(narrow(U512::from(U256::MAX)), Ok(U256::MAX));
        let above = U512::from(U256::MAX).saturating_add(U512::ONE);
        assert_eq!(narrow(above), Err(PriceError::OutOfRange));
        assert_eq!(divide(U512::ONE, U512::ZERO, Rounding::Up), Err(PriceError::NotPositive));
        assert!(pow10(154).is_ok());
        assert!(pow10(155).is_err());
        assert!(aligned(Decimal::MAX, Decimal::new(1, 28)).is_ok());
    }
}
