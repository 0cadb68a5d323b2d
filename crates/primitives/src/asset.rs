//! Assets, their text forms, and token amounts as people write them.
//!
//! Never rounds: text with more digits than the asset has is refused.

use std::{fmt, str::FromStr};

use alloy_primitives::{Address, U256};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An EIP-155 chain id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChainId(pub u64);

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A token on a chain, written as CAIP-19: `eip155:1/erc20:0x…` in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AssetId {
    /// The chain the token lives on.
    pub chain_id: ChainId,
    /// The token's contract.
    pub contract: Address,
}

/// Why a text is not an asset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssetError {
    /// The text is not of the form `eip155:<chain>/erc20:<address>`.
    #[error("not an asset of the form eip155:<chain>/erc20:<address>: {0:?}")]
    Malformed(String),
}

impl fmt::Display for AssetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "eip155:{}/erc20:{:#x}", self.chain_id, self.contract)
    }
}

impl FromStr for AssetId {
    type Err = AssetError;

    fn from_str(text: &str) -> Result<Self, AssetError> {
        let malformed = || AssetError::Malformed(text.to_owned());
        let rest = text.strip_prefix("eip155:").ok_or_else(malformed)?;
        let (chain, contract) = rest.split_once("/erc20:").ok_or_else(malformed)?;
        Ok(Self {
            chain_id: ChainId(chain.parse().map_err(|_| malformed())?),
            contract: contract.parse().map_err(|_| malformed())?,
        })
    }
}

impl Serialize for AssetId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AssetId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A listed token: its id with the symbol shown to people and the decimals read from its contract.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Asset {
    /// Chain and contract.
    pub id: AssetId,
    /// What people call it, such as `USDT`.
    pub symbol: String,
    /// Digits after the point; belongs to the asset, not to the symbol.
    pub decimals: u8,
}

/// Why a text is not an exact amount of an asset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenAmountError {
    /// Something else than digits and at most one point.
    #[error("not a decimal number: {0:?}")]
    NotANumber(String),
    /// More digits after the point than the asset has.
    #[error("{given} digits after the point, the asset has {decimals}")]
    TooManyDigits {
        /// Digits in the text.
        given: usize,
        /// Digits of the asset.
        decimals: u8,
    },
    /// Beyond 2^256 − 1 base units.
    #[error("amount is beyond 2^256-1 base units")]
    TooLarge,
}

/// Reads a decimal text such as `12.50` as base units of an asset with `decimals` digits.
///
/// Refuses signs, exponents, blanks and any digit it would have to round.
pub fn parse_units(text: &str, decimals: u8) -> Result<U256, TokenAmountError> {
    let not_a_number = || TokenAmountError::NotANumber(text.chars().take(100).collect());
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits_only = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let has_empty_fraction = text.contains('.') && fraction.is_empty();
    if whole.is_empty() || has_empty_fraction || !digits_only(whole) || !digits_only(fraction) {
        return Err(not_a_number());
    }
    let width = usize::from(decimals);
    if fraction.len() > width {
        return Err(TokenAmountError::TooManyDigits { given: fraction.len(), decimals });
    }
    let digits = format!("{whole}{fraction:0<width$}");
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() {
        return Ok(U256::ZERO);
    }
    if significant.len() > 78 {
        return Err(TokenAmountError::TooLarge);
    }
    U256::from_str_radix(significant, 10).map_err(|_| TokenAmountError::TooLarge)
}

/// Writes base units as a decimal with all `decimals` digits, exactly.
#[must_use]
pub fn format_units(base_units: U256, decimals: u8) -> String {
    let width = usize::from(decimals);
    let digits = format!("{base_units:0>width$}", width = width.saturating_add(1));
    let digits = if digits.len() <= width {
        format!("{}{digits}", "0".repeat(width.saturating_add(1).saturating_sub(digits.len())))
    } else {
        digits
    };
    let (whole, fraction) = digits.split_at(digits.len().saturating_sub(width));
    if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, decimals: u8) -> String {
        match parse_units(text, decimals) {
            Ok(units) => format!("{units} = {}", format_units(units, decimals)),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn text_is_read_exactly_or_refused() {
        let max = U256::MAX.to_string();
        let cases: &[(&str, u8, &str)] = &[
            ("12.5", 6, "12500000 = 12.500000"),
            ("0", 6, "0 = 0.000000"),
            ("0.000001", 6, "1 = 0.000001"),
            ("0.0000001", 6, "error: 7 digits after the point, the asset has 6"),
            ("1e3", 6, "error: not a decimal number: \"1e3\""),
            ("-1", 6, "error: not a decimal number: \"-1\""),
            ("+1", 6, "error: not a decimal number: \"+1\""),
            (" 1", 6, "error: not a decimal number: \" 1\""),
            ("1.", 6, "error: not a decimal number: \"1.\""),
            (".5", 6, "error: not a decimal number: \".5\""),
            ("", 6, "error: not a decimal number: \"\""),
            ("1.2.3", 6, "error: not a decimal number: \"1.2.3\""),
            ("7", 0, "7 = 7"),
        ];
        for (text, decimals, expected) in cases {
            assert_eq!(read(text, *decimals), *expected, "{text}");
        }
        assert_eq!(parse_units(&max, 0), Ok(U256::MAX));
        assert_eq!(format_units(U256::MAX, 0), max);
        assert_eq!(parse_units(&format_units(U256::MAX, 18), 18), Ok(U256::MAX));
        let too_large = format!("{max}0");
        assert_eq!(parse_units(&too_large, 0), Err(TokenAmountError::TooLarge));
        let one_more =
            "115792089237316195423570985008687907853269984665640564039457584007913129639936";
        assert_eq!(parse_units(one_more, 0), Err(TokenAmountError::TooLarge));
    }

    #[test]
    fn asset_ids_round_trip_in_lower_case() {
        let text = "eip155:1/erc20:0xdac17f958d2ee523a2206206994597c13d831ec7";
        let id: AssetId = text.parse().expect("reads");
        assert_eq!(id.to_string(), text);
        for wrong in ["", "eip155:1", "eip155:x/erc20:0x00", "eip155:1/erc20:0x12"] {
            assert!(wrong.parse::<AssetId>().is_err(), "{wrong}");
        }
    }
}
