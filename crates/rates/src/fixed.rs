//! A rate that the operator has set.
//!
//! Never grows old: it holds until the settings change.

use async_trait::async_trait;
use inspay_ports::{RateSource, RateSourceError};
use inspay_primitives::{Rate, Timestamp};
use inspay_quoting::{RateSample, SourceKind};

/// A rate from the settings.
#[derive(Clone, Debug)]
pub struct FixedRate {
    name: String,
    rate: Rate,
}

impl FixedRate {
    /// A source that always answers `rate`.
    #[must_use]
    pub fn new(name: impl Into<String>, rate: Rate) -> Self {
        Self { name: name.into(), rate }
    }
}

#[async_trait]
impl RateSource for FixedRate {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> SourceKind {
        SourceKind::Fixed
    }

    async fn sample(&self, now: Timestamp) -> Result<RateSample, RateSourceError> {
        Ok(RateSample {
            source: self.name.clone(),
            kind: SourceKind::Fixed,
            rate: self.rate,
            observed_at: now,
            valid_until: None,
        })
    }
}
