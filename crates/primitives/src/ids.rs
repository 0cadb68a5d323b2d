//! Identifiers: every one a type of its own with one parser.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use alloy_primitives::B256;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// Why a text is not an identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not {expected}: {given:?}")]
pub struct IdError {
    /// What was expected.
    pub expected: &'static str,
    /// The start of what was given.
    pub given: String,
}

impl IdError {
    pub(crate) fn new(expected: &'static str, given: &str) -> Self {
        Self { expected, given: given.chars().take(100).collect() }
    }
}

macro_rules! text_serde {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID, as made by the caller or read from a row.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID inside.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }

            /// A new id that sorts by the time of its making.
            #[must_use]
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0.simple())
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let refuse = || IdError::new($expected, text);
                let hex = text.strip_prefix($prefix).ok_or_else(refuse)?;
                if hex.len() != 32 {
                    return Err(refuse());
                }
                Uuid::try_parse(hex).map(Self).map_err(|_| refuse())
            }
        }

        text_serde!($name);
    };
}

uuid_id!(
    /// A quote, written `quo_…`.
    QuoteId, "quo_", "a quote id (quo_ and 32 hex digits)"
);
uuid_id!(
    /// An order, written `ord_…`.
    OrderId, "ord_", "an order id (ord_ and 32 hex digits)"
);

uuid_id!(
    /// A hold on credits, written `hld_…`.
    HoldId, "hld_", "a hold id (hld_ and 32 hex digits)"
);
uuid_id!(
    /// A limit on spending, written `lim_…`.
    LimitId, "lim_", "a limit id (lim_ and 32 hex digits)"
);
uuid_id!(
    /// A subscription, written `sub_…`.
    SubscriptionId, "sub_", "a subscription id (sub_ and 32 hex digits)"
);

/// A spend: the number of the journal entry that booked it, written `use_…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UsageId {
    /// Sequence number of the entry.
    pub entry_seq: i64,
}

impl fmt::Display for UsageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "use_{}", self.entry_seq)
    }
}

impl FromStr for UsageId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let refuse = || IdError::new("a usage id (use_<entry>)", text);
        let digits = text.strip_prefix("use_").ok_or_else(refuse)?;
        Ok(Self { entry_seq: digits.parse().map_err(|_| refuse())? })
    }
}

text_serde!(UsageId);

/// A name within an account or the price book: a feature, quality, size, project, session, campaign, or the caller's own
/// reference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(String);

impl Label {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Label {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@:/#".contains(&byte);
        if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdError::new("a label (1 to 64 of A-Z a-z 0-9 - _ . @ : / #)", text))
        }
    }
}

text_serde!(Label);

/// A lot: the number of the journal entry that granted it, and its place among that entry's lots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LotId {
    /// Sequence number of the granting entry.
    pub entry_seq: i64,
    /// Counted from zero.
    pub index: i16,
}

impl fmt::Display for LotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lot_{}_{}", self.entry_seq, self.index)
    }
}

impl FromStr for LotId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let refuse = || IdError::new("a lot id (lot_<entry>_<index>)", text);
        let (entry, index) =
            text.strip_prefix("lot_").and_then(|rest| rest.split_once('_')).ok_or_else(refuse)?;
        Ok(Self {
            entry_seq: entry.parse().map_err(|_| refuse())?,
            index: index.parse().map_err(|_| refuse())?,
        })
    }
}

text_serde!(LotId);

/// Whose credits these are: a name that the application chooses, such as its own user id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(String);

impl AccountId {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for AccountId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte);
        if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdError::new("an account id (1 to 64 of A-Z a-z 0-9 - _ . @)", text))
        }
    }
}

text_serde!(AccountId);

/// The 16 bytes that a buyer's transfer carries behind its calldata to name its order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference([u8; 16]);

impl Reference {
    /// Wraps the bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn bytes(self) -> [u8; 16] {
        self.0
    }

    /// 122 random bits that nobody can guess.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::new_v4().into_bytes())
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Reference {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let refuse = || IdError::new("a reference (0x and 32 hex digits)", text);
        let digits = text.strip_prefix("0x").ok_or_else(refuse)?;
        let mut bytes = [0; 16];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| refuse())?;
        Ok(Self(bytes))
    }
}

text_serde!(Reference);

/// A transfer's identity: half of its chain transaction's hash and half of the SHA-256 of its key, written `trf_…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransferId(B256);

impl TransferId {
    /// How many bytes of the chain transaction's hash an id begins with.
    pub const TX_HASH_BYTES: usize = 16;

    /// Every id that a transfer of the chain transaction may have. One of another chain transaction may lie there
    /// too, if its hash begins with the same bytes.
    #[must_use]
    pub fn range_of(tx_hash: &B256) -> RangeInclusive<Self> {
        let with = |fill: u8| {
            let mut id = B256::repeat_byte(fill);
            id[..Self::TX_HASH_BYTES].copy_from_slice(&tx_hash[..Self::TX_HASH_BYTES]);
            Self(id)
        };
        with(0)..=with(0xff)
    }

    /// Wraps a digest read from a row; [`crate::TransferKey::id`] makes new ones.
    #[must_use]
    pub const fn from_digest(digest: B256) -> Self {
        Self(digest)
    }

    /// The digest.
    #[must_use]
    pub const fn digest(&self) -> &B256 {
        &self.0
    }
}

impl fmt::Display for TransferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "trf_{}", hex::encode(self.0))
    }
}

impl FromStr for TransferId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let refuse = || IdError::new("a transfer id (trf_ and 64 hex digits)", text);
        let digits = text.strip_prefix("trf_").ok_or_else(refuse)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| refuse())?;
        Ok(Self(B256::from(bytes)))
    }
}

text_serde!(TransferId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip_and_refuse_each_other() {
        let order = OrderId::generate();
        assert_eq!(order.to_string().parse(), Ok(order));
        assert!(order.to_string().parse::<QuoteId>().is_err());
        let reference = Reference::generate();
        assert_eq!(reference.to_string().parse(), Ok(reference));
        assert!("0x12".parse::<Reference>().is_err());
        let lot = LotId { entry_seq: 7, index: 0 };
        assert_eq!(lot.to_string().parse(), Ok(lot));
        assert!("ord_0190-".parse::<OrderId>().is_err());
    }

    #[test]
    fn labels_and_spends_have_one_writing() {
        for right in ["image", "256x256", "project:7/a", "a#1"] {
            assert_eq!(right.parse::<Label>().map(|label| label.to_string()), Ok(right.to_owned()));
        }
        for wrong in ["", "a b", "ü", &"x".repeat(65), "a\n"] {
            assert!(wrong.parse::<Label>().is_err(), "{wrong}");
        }
        let usage = UsageId { entry_seq: 12 };
        assert_eq!(usage.to_string().parse(), Ok(usage));
        assert!("lot_12_0".parse::<UsageId>().is_err());
    }

    #[test]
    fn account_names_are_plain() {
        assert!("alice@example.org".parse::<AccountId>().is_ok());
        for wrong in ["", "a b", "a/b", "ü", &"x".repeat(65)] {
            assert!(wrong.parse::<AccountId>().is_err(), "{wrong}");
        }
    }
}
