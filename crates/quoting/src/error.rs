//! Why a purchase cannot be quoted at all; what concerns one asset only is a refusal in its offer.

use inspay_primitives::{Credits, Timestamp};

use crate::{PackId, PromotionCode};

/// Why a request for a quote was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuoteError {
    /// The catalog has no such pack.
    #[error("there is no pack {0}")]
    UnknownPack(PackId),
    /// Neither a known code nor one that could be known.
    #[error("there is no promotion {0:?}")]
    UnknownPromotion(String),
    /// Before its window.
    #[error("promotion {code} starts at {starts}")]
    PromotionNotStarted {
        /// The promotion.
        code: PromotionCode,
        /// The first time it holds.
        starts: Timestamp,
    },
    /// After its window.
    #[error("promotion {code} ended at {ends}")]
    PromotionEnded {
        /// The promotion.
        code: PromotionCode,
        /// The first time it holds no more.
        ends: Timestamp,
    },
    /// The promotion asks for a larger purchase.
    #[error("promotion {code} asks for at least {minimum} credits, this purchase has {credits}")]
    PromotionBelowMinimum {
        /// The promotion.
        code: PromotionCode,
        /// The least it holds for.
        minimum: Credits,
        /// What was asked for.
        credits: Credits,
    },
    /// Nothing was asked for.
    #[error("the amount of credits is zero")]
    AmountZero,
    /// Less than nothing was asked for.
    #[error("the amount of credits is negative")]
    AmountNegative,
    /// Not a number.
    #[error("not an amount of credits: {0:?}")]
    AmountMalformed(String),
    /// More digits after the point than credits have.
    #[error("{given} digits after the point, credits have {limit}")]
    AmountTooManyDigits {
        /// Digits in the text.
        given: usize,
        /// Digits that credits have.
        limit: u8,
    },
    /// Below the catalog's minimum.
    #[error("{credits} credits are fewer than the minimum of {minimum}")]
    AmountBelowMinimum {
        /// What was asked for.
        credits: Credits,
        /// The least that is sold.
        minimum: Credits,
    },
    /// Above the catalog's maximum.
    #[error("{credits} credits are more than the maximum of {maximum}")]
    AmountAboveMaximum {
        /// What was asked for, as given.
        credits: String,
        /// The most that is sold.
        maximum: Credits,
    },
    /// The list price is beyond what dollars can hold.
    #[error("the list price is out of range")]
    PriceOutOfRange,
}

impl QuoteError {
    /// The stable name of this refusal.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownPack(_) => "unknown_pack",
            Self::UnknownPromotion(_) => "unknown_promotion",
            Self::PromotionNotStarted { .. } => "promotion_not_started",
            Self::PromotionEnded { .. } => "promotion_ended",
            Self::PromotionBelowMinimum { .. } => "promotion_below_minimum",
            Self::AmountZero => "amount_zero",
            Self::AmountNegative => "amount_negative",
            Self::AmountMalformed(_) => "amount_malformed",
            Self::AmountTooManyDigits { .. } => "amount_too_many_digits",
            Self::AmountBelowMinimum { .. } => "amount_below_minimum",
            Self::AmountAboveMaximum { .. } => "amount_above_maximum",
            Self::PriceOutOfRange => "price_out_of_range",
        }
    }
}
