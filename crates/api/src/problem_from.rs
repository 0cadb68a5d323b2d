//! From the refusals of the floors below to problems.
//!
//! Total in every kind, so that a new refusal cannot leave as an unnamed one.

use inspay_ports::{StoreError, StoreErrorKind};
use inspay_quoting::{OfferRefusal, QuoteError, RateRefusal};

use crate::problem::{Problem, ProblemCode, chain_of};

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error.kind {
            StoreErrorKind::Unreachable(_) | StoreErrorKind::Contended(_) => {
                tracing::warn!(error = %chain_of(&error), "the store did not answer");
                Self::new(
                    ProblemCode::StoreUnavailable,
                    "Try again in a moment; a POST with the same Idempotency-Key.",
                )
            }
            StoreErrorKind::QuoteUsed => Self::at(
                ProblemCode::QuoteUsed,
                "/quote",
                "Another order has this quote. Ask for a new one.",
            ),
            StoreErrorKind::CursorMoved
            | StoreErrorKind::Fenced
            | StoreErrorKind::SlotTaken
            | StoreErrorKind::NotFound(_)
            | StoreErrorKind::Exists(_)
            | StoreErrorKind::Schema(_)
            | StoreErrorKind::Corrupt(_)
            | StoreErrorKind::Refused(_) => Self::internal(&error),
        }
    }
}

impl From<QuoteError> for Problem {
    fn from(error: QuoteError) -> Self {
        let (code, at) = match &error {
            QuoteError::UnknownPack(_) => (ProblemCode::UnknownPack, "/pack"),
            QuoteError::UnknownPromotion(_) => (ProblemCode::UnknownPromotion, "/promotion_code"),
            QuoteError::PromotionNotStarted { .. } => {
                (ProblemCode::PromotionNotStarted, "/promotion_code")
            }
            QuoteError::PromotionEnded { .. } => (ProblemCode::PromotionEnded, "/promotion_code"),
            QuoteError::PromotionBelowMinimum { .. } => {
                (ProblemCode::PromotionBelowMinimum, "/promotion_code")
            }
            QuoteError::AmountZero => (ProblemCode::AmountZero, "/credits"),
            QuoteError::AmountNegative => (ProblemCode::AmountNegative, "/credits"),
            QuoteError::AmountMalformed(_) => (ProblemCode::AmountMalformed, "/credits"),
            QuoteError::AmountTooManyDigits { .. } => {
                (ProblemCode::AmountTooManyDigits, "/credits")
            }
            QuoteError::AmountBelowMinimum { .. } => (ProblemCode::AmountBelowMinimum, "/credits"),
            QuoteError::AmountAboveMaximum { .. } => (ProblemCode::AmountAboveMaximum, "/credits"),
            QuoteError::PriceOutOfRange => (ProblemCode::PriceOutOfRange, "/credits"),
        };
        Self::at(code, at, error.to_string())
    }
}

impl From<&OfferRefusal> for Problem {
    fn from(refusal: &OfferRefusal) -> Self {
        let code = match refusal {
            OfferRefusal::Halted => ProblemCode::AssetHalted,
            OfferRefusal::Rate(rate) => match rate {
                RateRefusal::Missing { .. } => ProblemCode::RateMissing,
                RateRefusal::Stale { .. } => ProblemCode::RateStale,
                RateRefusal::FromFuture { .. } => ProblemCode::RateFromFuture,
                RateRefusal::TooFew { .. } => ProblemCode::RateTooFewSources,
                RateRefusal::Disagreement { .. } => ProblemCode::RateDisagreement,
                RateRefusal::Depegged { .. } => ProblemCode::RateDepegged,
                RateRefusal::SpotOnly { .. } => ProblemCode::RateSpotOnly,
                RateRefusal::KindMissing { .. } => ProblemCode::RateKindMissing,
                RateRefusal::Expired { .. } => ProblemCode::RateExpired,
            },
            OfferRefusal::PriceZero => ProblemCode::PriceZero,
            OfferRefusal::OutOfRange => ProblemCode::PriceOutOfRange,
        };
        Self::at(code, "/asset", refusal.to_string())
    }
}

#[cfg(test)]
mod tests {
    use inspay_primitives::{Credits, Timestamp};

    use super::*;

    #[test]
    fn a_refused_quote_keeps_the_code_that_quoting_gave_it() {
        let code = "LAUNCH10".parse::<inspay_quoting::PromotionCode>().expect("a code");
        let at = Timestamp::default();
        let errors = [
            QuoteError::UnknownPack("gold".parse().expect("a name")),
            QuoteError::UnknownPromotion("x".to_owned()),
            QuoteError::PromotionNotStarted { code: code.clone(), starts: at },
            QuoteError::PromotionEnded { code: code.clone(), ends: at },
            QuoteError::PromotionBelowMinimum {
                code,
                minimum: Credits::MAX,
                credits: Credits::ZERO,
            },
            QuoteError::AmountZero,
            QuoteError::AmountNegative,
            QuoteError::AmountMalformed("x".to_owned()),
            QuoteError::AmountTooManyDigits { given: 7, limit: 6 },
            QuoteError::AmountBelowMinimum { credits: Credits::ZERO, minimum: Credits::MAX },
            QuoteError::AmountAboveMaximum { credits: "9".to_owned(), maximum: Credits::MAX },
            QuoteError::PriceOutOfRange,
        ];
        for error in errors {
            let expected = error.code();
            assert_eq!(Problem::from(error).code.as_str(), expected);
        }
    }

    #[test]
    fn codes_are_told_apart_and_named_in_snake_case() {
        let mut seen = std::collections::BTreeSet::new();
        for code in ProblemCode::ALL {
            assert!(seen.insert(code.as_str()), "{} appears twice", code.as_str());
            assert!(code.as_str().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
            assert!(code.status().is_client_error() || code.status().is_server_error());
        }
    }
}
