//! The price book: what a unit of each feature costs in credits, by quality and size, since when. Pure.
//!
//! A version holds until the next one begins; what was priced before keeps its price. Never guesses: what is not in the
//! version of the time has no price.

use inspay_primitives::{Credits, Label, Timestamp};
use serde::Deserialize;

/// What one unit of a feature costs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeaturePrice {
    /// The feature.
    pub feature: Label,
    /// The quality, where the feature has some.
    #[serde(default)]
    pub quality: Option<Label>,
    /// The size, where the feature has some.
    #[serde(default)]
    pub size: Option<Label>,
    /// Credits for one unit.
    pub credits: Credits,
}

/// The prices from a time on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceVersion {
    /// The first time it holds.
    pub valid_from: Timestamp,
    /// Its prices.
    pub prices: Vec<FeaturePrice>,
}

/// Every version, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceBook(Vec<PriceVersion>);

/// Why versions make no price book.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PriceBookError {
    /// There is none.
    #[error("the price book has no version")]
    Empty,
    /// Two begin at once, or a later one stands before an earlier one.
    #[error("the version of {0} does not begin after the one before it")]
    Disordered(Timestamp),
    /// One thing with two prices.
    #[error("the version of {valid_from} prices {what} twice")]
    Repeated {
        /// The version.
        valid_from: Timestamp,
        /// What is priced.
        what: String,
    },
    /// Nothing, or more than can be held.
    #[error("the version of {valid_from} prices {what} at {credits}, which is no price")]
    NoPrice {
        /// The version.
        valid_from: Timestamp,
        /// What is priced.
        what: String,
        /// What it says.
        credits: Credits,
    },
}

/// Why something has no price.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PriceRefusal {
    /// No version holds yet.
    #[error("no prices hold before {0}")]
    NotYet(Timestamp),
    /// No such feature.
    #[error("there is no feature {0}")]
    UnknownFeature(Label),
    /// The feature has not this quality and size.
    #[error("{feature} has no {wanted}; it has {known}")]
    UnknownVariant {
        /// The feature.
        feature: Label,
        /// What was asked for.
        wanted: String,
        /// What there is.
        known: String,
    },
    /// No unit was asked for.
    #[error("at least one unit is needed")]
    NoUnits,
    /// More credits than can be held.
    #[error("that many units cost more credits than can be held")]
    OutOfRange,
}

fn variant(quality: Option<&Label>, size: Option<&Label>) -> String {
    match (quality, size) {
        (None, None) => "plain unit".to_owned(),
        (Some(only), None) | (None, Some(only)) => only.to_string(),
        (Some(quality), Some(size)) => format!("{quality} {size}"),
    }
}

impl FeaturePrice {
    fn variant(&self) -> String {
        variant(self.quality.as_ref(), self.size.as_ref())
    }

    fn what(&self) -> String {
        format!("{} {}", self.feature, self.variant())
    }
}

impl PriceBook {
    /// Checks versions: they begin one after another, and each prices every thing once, above zero.
    pub fn new(versions: Vec<PriceVersion>) -> Result<Self, PriceBookError> {
        if versions.is_empty() {
            return Err(PriceBookError::Empty);
        }
        let pairs = versions.iter().zip(versions.iter().skip(1));
        for (earlier, later) in pairs {
            if later.valid_from <= earlier.valid_from {
                return Err(PriceBookError::Disordered(later.valid_from));
            }
        }
        for version in &versions {
            let valid_from = version.valid_from;
            let mut seen = std::collections::BTreeSet::new();
            for price in &version.prices {
                let (what, credits) = (price.what(), price.credits);
                if credits <= Credits::ZERO || credits > Credits::MAX {
                    return Err(PriceBookError::NoPrice { valid_from, what, credits });
                }
                if !seen.insert((&price.feature, &price.quality, &price.size)) {
                    return Err(PriceBookError::Repeated { valid_from, what });
                }
            }
        }
        Ok(Self(versions))
    }

    /// The versions, oldest first.
    #[must_use]
    pub fn versions(&self) -> &[PriceVersion] {
        &self.0
    }

    /// The version that holds at a time.
    pub fn at(&self, now: Timestamp) -> Result<&PriceVersion, PriceRefusal> {
        let first = self.0.first().map_or(Timestamp::FAR, |version| version.valid_from);
        let held = self.0.iter().rev().find(|version| version.valid_from <= now);
        held.ok_or(PriceRefusal::NotYet(first))
    }

    /// Whether a feature is in the version that holds at a time.
    pub fn knows(&self, feature: &Label, now: Timestamp) -> Result<(), PriceRefusal> {
        let version = self.at(now)?;
        if version.prices.iter().any(|price| price.feature == *feature) {
            Ok(())
        } else {
            Err(PriceRefusal::UnknownFeature(feature.clone()))
        }
    }

    /// What so many units cost at a time.
    pub fn price(
        &self,
        feature: &Label,
        quality: Option<&Label>,
        size: Option<&Label>,
        units: u32,
        now: Timestamp,
    ) -> Result<Credits, PriceRefusal> {
        self.knows(feature, now)?;
        if units == 0 {
            return Err(PriceRefusal::NoUnits);
        }
        let of_feature =
            || self.at(now).map(|it| it.prices.iter().filter(|price| price.feature == *feature));
        let found = of_feature()?
            .find(|price| price.quality.as_ref() == quality && price.size.as_ref() == size);
        let Some(price) = found else {
            let known: Vec<String> = of_feature()?.map(FeaturePrice::variant).collect();
            return Err(PriceRefusal::UnknownVariant {
                feature: feature.clone(),
                wanted: variant(quality, size),
                known: known.join(", "),
            });
        };
        let micros = i128::from(price.credits.micros()).saturating_mul(i128::from(units));
        i64::try_from(micros)
            .ok()
            .map(Credits::from_micros)
            .filter(|credits| *credits <= Credits::MAX)
            .ok_or(PriceRefusal::OutOfRange)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(text: &str) -> Label {
        text.parse().expect("a label")
    }

    fn price(feature: &str, quality: Option<&str>, credits: &str) -> FeaturePrice {
        FeaturePrice {
            feature: label(feature),
            quality: quality.map(label),
            size: None,
            credits: credits.parse().expect("credits"),
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn book() -> PriceBook {
        let first = PriceVersion {
            valid_from: at("2026-01-01T00:00:00Z"),
            prices: vec![price("chat", None, "1"), price("image", Some("draft"), "0.38")],
        };
        let second = PriceVersion {
            valid_from: at("2026-06-01T00:00:00Z"),
            prices: vec![price("chat", None, "2"), price("video", None, "16")],
        };
        PriceBook::new(vec![first, second]).expect("a book")
    }

    #[test]
    fn a_price_is_that_of_the_version_of_its_time() {
        let of = |time: &str| book().price(&label("chat"), None, None, 3, at(time));
        assert_eq!(of("2026-05-31T23:59:59.999999Z"), Ok("3".parse().expect("credits")));
        assert_eq!(of("2026-06-01T00:00:00Z"), Ok("6".parse().expect("credits")));
        assert_eq!(
            of("2025-12-31T23:59:59Z"),
            Err(PriceRefusal::NotYet(at("2026-01-01T00:00:00Z")))
        );
    }

    #[test]
    fn what_has_no_price_is_refused_with_what_there_is() {
        let (book, now) = (book(), at("2026-02-01T00:00:00Z"));
        let image = label("image");
        let refused = book.price(&image, Some(&label("gold")), None, 1, now);
        let message = refused.expect_err("is refused").to_string();
        assert_eq!(message, "image has no gold; it has draft");
        let video = label("video");
        let unknown = Err(PriceRefusal::UnknownFeature(video.clone()));
        assert_eq!(book.price(&video, None, None, 1, now), unknown);
        let none = book.price(&label("chat"), None, None, 0, now);
        assert_eq!(none, Err(PriceRefusal::NoUnits));
        let later = at("2026-07-01T00:00:00Z");
        let huge = book.price(&video, None, None, u32::MAX, later);
        assert_eq!(huge, Err(PriceRefusal::OutOfRange));
    }

    #[test]
    fn a_book_that_says_two_things_is_none() {
        let version =
            |from: &str, prices: Vec<FeaturePrice>| PriceVersion { valid_from: at(from), prices };
        let (early, late) = ("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z");
        let chat = || price("chat", None, "1");
        for (versions, what) in [
            (vec![], "no version"),
            (
                vec![version(late, vec![chat()]), version(early, vec![chat()])],
                "does not begin after",
            ),
            (vec![version(early, vec![chat(), chat()])], "twice"),
            (vec![version(early, vec![price("chat", None, "0")])], "no price"),
        ] {
            let refused = PriceBook::new(versions).expect_err(what).to_string();
            assert!(refused.contains(what), "{refused}");
        }
    }
}
