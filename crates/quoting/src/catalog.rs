//! The catalog: what is sold, at what price, with which discounts, and what an order promises.
//!
//! Never half valid: it is only made by reading and checking a whole text.

use std::{fmt, str::FromStr};

use inspay_primitives::{Credits, Timestamp, U256, Usd, format_units};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Percent, QuoteError};

/// Name of a pack, such as `starter`: lower-case letters, digits, `-` and `_`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackId(String);

/// A promotion code, such as `LAUNCH10`: upper-case letters, digits, `-` and `_`; read in any case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PromotionCode(String);

const NAME_CHARS_MAX: usize = 40;

fn is_name(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !text.is_empty() && text.len() <= NAME_CHARS_MAX && text.bytes().all(is_allowed)
}

macro_rules! text_form {
    ($name:ident, $error:expr, $case:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = QuoteError;

            fn from_str(text: &str) -> Result<Self, QuoteError> {
                let text = text.trim();
                if is_name(text) { Ok(Self(text.$case())) } else { Err($error(text)) }
            }
        }

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

fn unknown_pack(text: &str) -> QuoteError {
    QuoteError::UnknownPack(PackId(text.chars().take(NAME_CHARS_MAX).collect()))
}

fn unknown_promotion(text: &str) -> QuoteError {
    QuoteError::UnknownPromotion(text.chars().take(NAME_CHARS_MAX).collect())
}

text_form!(PackId, unknown_pack, to_ascii_lowercase);
text_form!(PromotionCode, unknown_promotion, to_ascii_uppercase);

/// A fixed amount of credits at a price of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pack {
    /// How requests name it.
    pub id: PackId,
    /// How people name it.
    pub name: String,
    /// What it grants.
    pub credits: Credits,
    /// What it costs before any discount.
    pub list_price: Usd,
}

/// The amounts that buyers may choose themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CustomAmount {
    /// The least.
    pub min_credits: Credits,
    /// The most.
    pub max_credits: Credits,
}

/// A percentage off from an amount of credits on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VolumeTier {
    /// The least it holds for.
    pub from_credits: Credits,
    /// What it takes off.
    pub percent: Percent,
}

/// A percentage off for a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promotion {
    /// The code.
    pub code: PromotionCode,
    /// What it takes off.
    pub percent: Percent,
    /// The first time it holds.
    pub starts: Timestamp,
    /// The first time it holds no more.
    pub ends: Timestamp,
    /// The least it holds for.
    pub min_credits: Credits,
    /// The most it takes off one order.
    pub cap: Option<Usd>,
    /// Symbols of the assets it holds for; empty for all.
    pub assets: Vec<String>,
}

/// A further percentage off for whoever holds enough of the asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HolderTier {
    /// The least to hold, in 10^-18 of a whole token: the asset's own decimals are not known here.
    pub from_atto_tokens: U256,
    /// What it takes off.
    pub percent: Percent,
}

impl HolderTier {
    /// Digits after the point that a holding is read with.
    pub(crate) const DECIMALS: u8 = 18;

    /// The least to hold, in whole tokens.
    #[must_use]
    pub fn from_tokens(&self) -> String {
        let text = format_units(self.from_atto_tokens, Self::DECIMALS);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

/// A percentage off for paying in one asset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetDiscount {
    /// Symbol of the asset.
    pub symbol: String,
    /// What it takes off.
    pub percent: Percent,
    /// More for holders, from the smallest balance to the largest.
    pub holder_tiers: Vec<HolderTier>,
}

/// A kind of discount, to be put in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiscountKind {
    /// Off for a large purchase.
    VolumeTier,
    /// Off for a code.
    Promotion,
    /// Off for paying in an asset.
    AssetDiscount,
    /// Off for holding that asset.
    HolderTier,
}

impl DiscountKind {
    /// Every kind.
    pub const ALL: [Self; 4] =
        [Self::VolumeTier, Self::Promotion, Self::AssetDiscount, Self::HolderTier];
}

/// What an order made of a quote promises; kept with the quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuoteTerms {
    /// Seconds that an order may be paid in.
    pub order_deadline_seconds: u32,
    /// Seconds after the deadline that still count as in time.
    pub order_grace_seconds: u32,
    /// Days that the credits live.
    pub credits_valid_days: u16,
    /// How far short of the due amount still counts as paid.
    pub tolerance_usd: Usd,
    /// What the tail of an exact amount stays below.
    pub cent_usd: Usd,
}

/// What is sold and how it is priced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalog {
    pub(crate) list_price_per_credit: Usd,
    pub(crate) packs: Vec<Pack>,
    pub(crate) custom: CustomAmount,
    pub(crate) volume_tiers: Vec<VolumeTier>,
    pub(crate) promotions: Vec<Promotion>,
    pub(crate) asset_discounts: Vec<AssetDiscount>,
    pub(crate) stacking: Vec<DiscountKind>,
    pub(crate) discount_cap: Percent,
    pub(crate) quote_lifetime_seconds: u32,
    pub(crate) terms: QuoteTerms,
}

/// Why a text is not a catalog.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("catalog setting {setting}: {kind}")]
pub struct CatalogError {
    /// The setting, such as `promotions[0].percent`.
    pub setting: String,
    /// What is wrong with it.
    pub kind: CatalogErrorKind,
}

/// What is wrong with a setting of the catalog.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogErrorKind {
    /// The text is no TOML, or has an unknown, missing or mistyped key.
    #[error("{0}")]
    Toml(String),
    /// The value does not read.
    #[error("{0}")]
    Malformed(String),
    /// It must be above zero.
    #[error("must be above zero")]
    NotPositive,
    /// The same appears twice.
    #[error("{0} appears twice")]
    Duplicate(String),
    /// The value contradicts another one.
    #[error("must be {0}")]
    Bound(String),
}

impl Catalog {
    /// The catalog that ships with the binary.
    pub fn embedded() -> Result<Self, CatalogError> {
        Self::parse(include_str!("../catalog.toml"))
    }

    /// Dollars for one credit before any discount.
    #[must_use]
    pub const fn list_price_per_credit(&self) -> Usd {
        self.list_price_per_credit
    }

    /// The packs, in the order they are shown.
    #[must_use]
    pub fn packs(&self) -> &[Pack] {
        &self.packs
    }

    /// The pack of that name.
    #[must_use]
    pub fn pack(&self, id: &PackId) -> Option<&Pack> {
        self.packs.iter().find(|pack| pack.id == *id)
    }

    /// The amounts of the buyer's choice.
    #[must_use]
    pub const fn custom(&self) -> CustomAmount {
        self.custom
    }

    /// Volume tiers from the smallest amount to the largest.
    #[must_use]
    pub fn volume_tiers(&self) -> &[VolumeTier] {
        &self.volume_tiers
    }

    /// The promotions.
    #[must_use]
    pub fn promotions(&self) -> &[Promotion] {
        &self.promotions
    }

    /// The promotion of that code.
    #[must_use]
    pub fn promotion(&self, code: &PromotionCode) -> Option<&Promotion> {
        self.promotions.iter().find(|promotion| promotion.code == *code)
    }

    /// Discounts by asset.
    #[must_use]
    pub fn asset_discounts(&self) -> &[AssetDiscount] {
        &self.asset_discounts
    }

    /// The discount for paying in the asset with that symbol.
    #[must_use]
    pub fn asset_discount(&self, symbol: &str) -> Option<&AssetDiscount> {
        self.asset_discounts.iter().find(|discount| discount.symbol == symbol)
    }

    /// The order in which discounts are taken off, each from what the ones before it leave.
    #[must_use]
    pub fn stacking(&self) -> &[DiscountKind] {
        &self.stacking
    }

    /// The most that all discounts together take off, of the list price.
    #[must_use]
    pub const fn discount_cap(&self) -> Percent {
        self.discount_cap
    }

    /// How long a quote may be accepted, at most.
    #[must_use]
    pub const fn quote_lifetime_seconds(&self) -> u32 {
        self.quote_lifetime_seconds
    }

    /// What an order promises.
    #[must_use]
    pub const fn terms(&self) -> QuoteTerms {
        self.terms
    }
}
