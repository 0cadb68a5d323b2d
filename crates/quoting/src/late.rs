//! Credits for amounts that no quote covers any more.
//!
//! Never grants more than was paid for: one division in 512 bits, rounded down.

use inspay_primitives::{Credits, PriceError, Rate, Rounding, U256, U512, Usd};

use crate::exact::{divide, mantissa_and_scale, narrow, pow10};

/// What `base_units` buy at `rate`, on the terms of an order of `order_credits` for `order_price`.
///
/// The rate is the one of the payment's block time. Rounded down; more credits than can be held is
/// an error, not a smaller grant.
pub fn credits_at_rate(
    base_units: U256,
    decimals: u8,
    rate: Rate,
    order_price: Usd,
    order_credits: Credits,
) -> Result<Credits, PriceError> {
    // base units / 10^d × rate / price × credits, with rate = r / 10^rs and price = p / 10^ps.
    let (rate, rate_scale) = mantissa_and_scale(rate.decimal())?;
    let (price, price_scale) = mantissa_and_scale(order_price.decimal())?;
    let numerator = [rate, U512::from(order_credits.to_u256_micros()), pow10(price_scale)?]
        .into_iter()
        .try_fold(U512::from(base_units), U512::checked_mul)
        .ok_or(PriceError::OutOfRange)?;
    let denominator = [pow10(u32::from(decimals))?, price]
        .into_iter()
        .try_fold(pow10(rate_scale)?, U512::checked_mul)
        .ok_or(PriceError::OutOfRange)?;
    let micros = narrow(divide(numerator, denominator, Rounding::Down)?)?;
    Credits::from_u256_micros(micros).map_err(|_| PriceError::OutOfRange)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credits(base_units: &str, decimals: u8, rate: &str, price: &str, credits: &str) -> String {
        let granted = credits_at_rate(
            base_units.parse().expect("base units"),
            decimals,
            rate.parse().expect("rate"),
            price.parse().expect("price"),
            credits.parse().expect("credits"),
        );
        granted.map_or_else(|error| error.to_string(), |credits| credits.to_string())
    }

    #[test]
    fn late_payments_buy_at_their_own_rate_rounded_down() {
        assert_eq!(credits("9990000", 6, "1", "9.99", "100"), "100.000000");
        assert_eq!(credits("9989999", 6, "1", "9.99", "100"), "99.999989");
        assert_eq!(credits("9990000", 6, "0.5", "9.99", "100"), "50.000000");
        assert_eq!(credits("1", 18, "0.03", "9.99", "100"), "0.000000");
        assert_eq!(credits("0", 18, "0.03", "9.99", "100"), "0.000000");
        let half_price = "314000000000000000000";
        assert_eq!(credits(half_price, 18, "0.0317", "9.9538", "100"), "100.000000");
    }

    #[test]
    fn extremes_are_refused_and_never_wrap() {
        let max = U256::MAX.to_string();
        let highest_rate = "79228162514264337593543950335";
        let refused = "the price is out of range";
        assert_eq!(credits(&max, 18, "1", "0.01", "1000000000"), refused);
        assert_eq!(credits(&max, 0, highest_rate, "0.000001", "1000000000"), refused);
        assert_eq!(credits(&max, 77, "1", "1", "1"), "1.157920");
        assert_eq!(credits(&max, 255, "1", "1", "1"), refused);
        assert_eq!(credits("1", 6, "1", "0", "1"), "a rate must be above zero");
    }
}
