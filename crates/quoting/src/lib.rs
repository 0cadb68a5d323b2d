//! Prices: the catalog, the discounts, the rules for rates and gas, and the quote they make.
//!
//! Never does IO, never reads the time, never holds a float: catalog, rates, fees, random choices
//! and the time are handed in. What is owed is rounded up, what is taken off or granted down.
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod catalog;
mod catalog_file;
mod discount;
mod error;
mod exact;
mod gas;
mod late;
mod percent;
mod price;
mod quote;
mod rate;
mod rate_rules;
mod tail;
mod text;

pub use catalog::{
    AssetDiscount, Catalog, CatalogError, CatalogErrorKind, CustomAmount, DiscountKind, HolderTier,
    Pack, PackId, Promotion, PromotionCode, QuoteTerms, VolumeTier,
};
pub use error::QuoteError;
pub use gas::{
    FeeHistory, FeeLevel, FeeLevels, GasEstimate, GasOption, GasOptions, GasQuote, GasRefusal,
    NativeRate, fee_levels, gas_options,
};
pub use late::credits_at_rate;
pub use percent::{Percent, PercentError};
pub use price::quote;
pub use quote::{
    AssetInput, Line, LineKind, Offer, OfferRefusal, PricedOffer, Purchase, Quote, QuoteRequest,
    RefusedOffer,
};
pub use rate::{
    DropReason, DroppedSample, RateBand, RateQuote, RateRefusal, RateRules, RateSample, SourceKind,
};
pub use rate_rules::judge_rate;
pub use tail::{TailRange, tail_range};
