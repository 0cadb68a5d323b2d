//! Types become values of columns.
//!
//! Base units are decimal digits without leading zeros, so that equal numbers are equal texts. A number that the
//! database cannot hold is refused, never wrapped.

use inspay_ports::StoreErrorKind;
use inspay_primitives::{ChainId, U256};

/// The most digits that base units have: as many as 2^256 − 1.
const UNITS_DIGITS: usize = 78;

/// A `u64` as SQLite's `INTEGER`.
pub(crate) fn big(what: &'static str, value: u64) -> Result<i64, StoreErrorKind> {
    i64::try_from(value).map_err(|_| {
        StoreErrorKind::Refused(format!("{what} {value} is beyond what an INTEGER holds"))
    })
}

/// A chain's id as SQLite's `INTEGER`.
pub(crate) fn chain(chain: ChainId) -> Result<i64, StoreErrorKind> {
    big("chain id", chain.0)
}

/// A height to compare with: beyond what any row can hold, the highest.
pub(crate) fn height(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Base units as text of fixed width.
pub(crate) fn units(base_units: U256) -> String {
    // Nearly every amount fits, and is written several times faster.
    match u128::try_from(base_units) {
        Ok(small) => small.to_string(),
        Err(_) => base_units.to_string(),
    }
}

/// Reads what [`units`] wrote.
pub(crate) fn parse_units(text: &str) -> Option<U256> {
    let is_padded = text.len() > 1 && text.starts_with('0');
    if is_padded || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    match text.len() {
        1..=38 => text.parse::<u128>().ok().map(U256::from),
        39..=UNITS_DIGITS => U256::from_str_radix(text, 10).ok(),
        _ => None,
    }
}

/// A list of binary keys as one JSON text, for statements that look up any number of rows.
pub(crate) fn hex_list<T: AsRef<[u8]>>(keys: impl IntoIterator<Item = T>) -> String {
    let mut list = String::from("[");
    for key in keys {
        list.push_str(if list.len() == 1 { "\"" } else { "\",\"" });
        list.push_str(&hex::encode(key));
    }
    list.push_str(if list.len() == 1 { "]" } else { "\"]" });
    list
}

/// A list of whatever as one JSON text.
pub(crate) fn json_list(values: Vec<serde_json::Value>) -> String {
    serde_json::Value::Array(values).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_as_they_were_written() {
        let small = U256::from(u128::MAX);
        for units_of in [U256::ZERO, U256::from(1), small, small + U256::from(1), U256::MAX] {
            let text = units(units_of);
            assert!((1..=UNITS_DIGITS).contains(&text.len()));
            assert_eq!(parse_units(&text), Some(units_of));
        }
        let past_the_end = "9".repeat(UNITS_DIGITS);
        for wrong in ["", "01", "00", " 1", "-1", "+1", past_the_end.as_str()] {
            assert_eq!(parse_units(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_list_is_json() {
        assert_eq!(hex_list::<[u8; 1]>([]), "[]");
        assert_eq!(hex_list([[1_u8, 0xff]]), "[\"01ff\"]");
        assert_eq!(hex_list([[1_u8], [2]]), "[\"01\",\"02\"]");
    }
}
