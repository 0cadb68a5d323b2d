//! Small pieces of JSON-RPC: quantities in both directions, and 32-byte words.
//!
//! Never reads a number that is not written as the specification says.

use std::fmt;

use alloy::primitives::U256;
use serde::{
    Deserialize, Deserializer,
    de::{Error, Visitor},
};

/// A hexadecimal number of at most 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quantity(pub u64);

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct QuantityVisitor;

        impl Visitor<'_> for QuantityVisitor {
            type Value = Quantity;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("0x and up to 16 hex digits")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Quantity, E> {
                parse_quantity(text)
                    .map(Quantity)
                    .ok_or_else(|| E::custom(format_args!("not a quantity: {}", clip(text))))
            }
        }

        deserializer.deserialize_str(QuantityVisitor)
    }
}

pub(crate) fn parse_quantity(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x")?;
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    u64::from_str_radix(digits, 16).ok()
}

/// The payload of a log as far as a `Transfer` needs it: exactly one word, or something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OneWord(pub Option<U256>);

impl<'de> Deserialize<'de> for OneWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WordVisitor;

        impl Visitor<'_> for WordVisitor {
            type Value = OneWord;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("0x and hex digits")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<OneWord, E> {
                let not_hex = || E::custom(format_args!("not hex: {}", clip(text)));
                let digits = text.strip_prefix("0x").ok_or_else(not_hex)?;
                if digits.len() != 64 {
                    return Ok(OneWord(None));
                }
                let mut word = [0; 32];
                alloy::hex::decode_to_slice(digits, &mut word).map_err(|_| not_hex())?;
                Ok(OneWord(Some(U256::from_be_bytes(word))))
            }
        }

        deserializer.deserialize_str(WordVisitor)
    }
}

/// Longest text of a node that an error repeats.
const TEXT_MAX: usize = 300;

/// A node's words, short and without any URL: they are shown to people.
pub(crate) fn clip(text: &str) -> String {
    let hide = |word: &str| {
        if word.contains("://") { "<url>".to_owned() } else { word.to_owned() }
    };
    let shown = text.split_whitespace().map(hide).collect::<Vec<_>>().join(" ");
    if shown.chars().count() <= TEXT_MAX {
        return shown;
    }
    let mut short: String = shown.chars().take(TEXT_MAX).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_exactly_or_refused() {
        let cases: &[(&str, Option<u64>)] = &[
            ("0x0", Some(0)),
            ("0x1f", Some(31)),
            ("0xffffffffffffffff", Some(u64::MAX)),
            ("0x10000000000000000", None),
            ("0x", None),
            ("0x+1", None),
            ("1f", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_quantity(text), *expected, "{text}");
        }
    }

    #[test]
    fn a_payload_is_one_word_or_not_a_transfer() {
        let word = format!("\"0x{:064x}\"", 7);
        assert_eq!(serde_json::from_str::<OneWord>(&word).unwrap().0, Some(U256::from(7)));
        for other in ["\"0x\"", "\"0x00\"", &format!("\"0x{:0128x}\"", 7)] {
            assert_eq!(serde_json::from_str::<OneWord>(other).unwrap().0, None, "{other}");
        }
        let garbage = format!("\"0x{}\"", "g".repeat(64));
        assert!(serde_json::from_str::<OneWord>(&garbage).is_err());
    }

    #[test]
    fn a_nodes_words_lose_their_urls_and_their_length() {
        assert_eq!(clip("see https://node.example/key now"), "see <url> now");
        assert_eq!(clip(&"x".repeat(1000)).chars().count(), TEXT_MAX + 1);
    }
}
