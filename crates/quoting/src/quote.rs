//! A quote: one purchase priced in every payable asset, as it is stored and shown.
//!
//! Never edited once made; every price in it can be added up again from its lines.

use std::{collections::BTreeMap, fmt};

use inspay_primitives::{
    Address, Asset, AssetId, Credits, Timestamp, TokenAmountError, U256, Usd, parse_units,
};
use serde::{Deserialize, Serialize};

use crate::{
    GasEstimate, GasQuote, GasRefusal, PackId, Percent, PromotionCode, QuoteError, QuoteTerms,
    RateQuote, RateRefusal, TailRange, text,
};

/// What is bought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purchase {
    /// A pack of the catalog.
    Pack(PackId),
    /// An amount of the buyer's choice.
    Custom(Credits),
}

impl Purchase {
    /// Reads an amount of credits that a person wrote; refuses what it would have to round.
    pub fn parse_custom(text: &str) -> Result<Self, QuoteError> {
        let start = || text.chars().take(100).collect::<String>();
        let magnitude = text.strip_prefix('-');
        let micros = parse_units(magnitude.unwrap_or(text), Credits::DECIMALS);
        let too_large =
            || QuoteError::AmountAboveMaximum { credits: start(), maximum: Credits::MAX };
        let micros = micros.map_err(|error| match error {
            TokenAmountError::NotANumber(_) => QuoteError::AmountMalformed(start()),
            TokenAmountError::TooManyDigits { given, decimals } => {
                QuoteError::AmountTooManyDigits { given, limit: decimals }
            }
            TokenAmountError::TooLarge => too_large(),
        })?;
        if micros.is_zero() {
            return Err(QuoteError::AmountZero);
        }
        if magnitude.is_some() {
            return Err(QuoteError::AmountNegative);
        }
        Credits::from_u256_micros(micros).map(Self::Custom).map_err(|_| too_large())
    }
}

/// A request for a quote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuoteRequest {
    /// What is bought.
    pub purchase: Purchase,
    /// The promotion code, as the buyer wrote it.
    pub promotion_code: Option<String>,
    /// What the buyer's proven wallets hold of each asset, in base units.
    pub holder_balances: BTreeMap<AssetId, U256>,
    /// The wallet that will pay, if known.
    pub payer: Option<Address>,
}

/// What is known about one payable asset at the time of the quote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetInput {
    /// The asset.
    pub asset: Asset,
    /// The verdict on its rate.
    pub rate: Result<RateQuote, RateRefusal>,
    /// The gas of the very transfer that would pay.
    pub gas: Result<GasEstimate, GasRefusal>,
    /// Whether nothing is credited of it, since what is recorded of it differs from the chain.
    pub is_halted: bool,
}

/// What a line of a price stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineKind {
    /// The list price: always the first line.
    ListPrice,
    /// Off for a large purchase.
    VolumeTier,
    /// Off for a code.
    Promotion,
    /// Off for paying in this asset.
    AssetDiscount,
    /// Off for holding this asset.
    HolderTier,
    /// Given back, since all discounts together went beyond the cap: always the last line.
    Cap,
}

impl LineKind {
    /// The name as stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ListPrice => "list_price",
            Self::VolumeTier => "volume_tier",
            Self::Promotion => "promotion",
            Self::AssetDiscount => "asset_discount",
            Self::HolderTier => "holder_tier",
            Self::Cap => "cap",
        }
    }
}

impl fmt::Display for LineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One line of a price. The lines of an offer add up to its price exactly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What it stands for.
    pub kind: LineKind,
    /// The same for people.
    pub label: String,
    /// The percentage it was worked out with, of the price that the lines above it leave.
    pub percent: Option<Percent>,
    /// Dollars with six digits: above zero is charged, below zero is taken off.
    pub amount_usd: Usd,
}

/// A purchase priced in one asset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PricedOffer {
    /// What it would be paid in.
    pub asset: Asset,
    /// List price, discounts, cap.
    pub lines: Vec<Line>,
    /// The sum of the lines.
    pub price_usd: Usd,
    /// The list price in base units, rounded up.
    #[serde(with = "text::base_units")]
    pub list_base_units: U256,
    /// The price in base units, rounded up; what is owed unless a tail is taken off it.
    #[serde(with = "text::base_units")]
    pub due_base_units: U256,
    /// How far short of the due amount still counts as paid, rounded down.
    #[serde(with = "text::base_units")]
    pub tolerance_base_units: U256,
    /// The amounts an order may ask for to be told apart; `None`: the asset has no room for it.
    pub tail: Option<TailRange>,
    /// The rate that turned dollars into tokens.
    pub rate: RateQuote,
    /// From then on this offer cannot be accepted.
    pub expires_at: Timestamp,
    /// List price less price.
    pub saving_usd: Usd,
    /// What sending the payment costs.
    pub gas: GasQuote,
    /// Price and normal gas; `None` where the gas is not known in dollars.
    pub total_usd: Option<Usd>,
}

/// Why a purchase cannot be paid in one asset now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum OfferRefusal {
    /// Nothing is credited of the asset.
    #[error("payments in this asset wait until its balance on the chain is explained")]
    Halted,
    /// The asset has no rate.
    #[error("{0}")]
    Rate(RateRefusal),
    /// Discounts leave nothing to pay.
    #[error("the discounts leave nothing to pay")]
    PriceZero,
    /// The amount is beyond what the token or dollars can hold.
    #[error("the amount is out of range for this asset")]
    OutOfRange,
}

impl OfferRefusal {
    /// The stable name of this refusal.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Halted => "asset_halted",
            Self::Rate(refusal) => refusal.code(),
            Self::PriceZero => "price_zero",
            Self::OutOfRange => "price_out_of_range",
        }
    }
}

/// An asset that a purchase cannot be paid in now, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedOffer {
    /// The asset.
    pub asset: Asset,
    /// The reason with its facts.
    pub reason: OfferRefusal,
}

/// One asset's part of a quote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Offer {
    /// It can be paid in this asset.
    Priced(Box<PricedOffer>),
    /// It cannot, for now.
    Refused(RefusedOffer),
}

impl Offer {
    /// The asset it is about.
    #[must_use]
    pub const fn asset(&self) -> &Asset {
        match self {
            Self::Priced(offer) => &offer.asset,
            Self::Refused(offer) => &offer.asset,
        }
    }

    /// The price, if there is one.
    #[must_use]
    pub fn priced(&self) -> Option<&PricedOffer> {
        match self {
            Self::Priced(offer) => Some(offer),
            Self::Refused(_) => None,
        }
    }
}

/// One purchase priced in every payable asset at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    /// What is bought.
    pub purchase: Purchase,
    /// The promotion that was asked for.
    pub promotion: Option<PromotionCode>,
    /// The wallet that will pay, if it was known.
    pub payer: Option<Address>,
    /// What the purchase grants.
    pub credits: Credits,
    /// What it costs before any discount.
    pub list_price_usd: Usd,
    /// One offer for each payable asset, in the order they were given.
    pub offers: Vec<Offer>,
    /// The asset with the lowest total; the first of equals. Compared without gas as soon as one
    /// priced offer has no total, so that like is compared with like.
    pub cheapest: Option<AssetId>,
    /// When it was made.
    pub made_at: Timestamp,
    /// From then on it cannot be accepted: the earliest expiry of its priced offers, or the time it
    /// was made if nothing could be priced.
    pub expires_at: Timestamp,
    /// What an order made of it promises.
    pub terms: QuoteTerms,
}

impl Quote {
    /// The offer in `asset`.
    #[must_use]
    pub fn offer(&self, asset: AssetId) -> Option<&Offer> {
        self.offers.iter().find(|offer| offer.asset().id == asset)
    }
}
