//! Where rates come from.

use async_trait::async_trait;
use inspay_primitives::Timestamp;
use inspay_quoting::{RateSample, SourceKind};

/// One source of one asset's rate.
#[async_trait]
pub trait RateSource: Send + Sync + std::fmt::Debug {
    /// Name for people and logs, unique among an asset's sources.
    fn name(&self) -> &str;

    /// What kind of source this is; rules may demand kinds.
    fn kind(&self) -> SourceKind;

    /// Asks for the rate now. The sample carries the source's own time of observation, not the time of asking.
    async fn sample(&self, now: Timestamp) -> Result<RateSample, RateSourceError>;
}

/// Why a source gave no rate.
#[derive(Debug, thiserror::Error)]
#[error("rate source {source_name} gave no rate")]
pub struct RateSourceError {
    /// Which source.
    pub source_name: String,
    /// Why.
    #[source]
    pub kind: RateSourceErrorKind,
}

/// Kinds of failures of a rate source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RateSourceErrorKind {
    /// It did not answer in time or at all.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// Its answer could not be read exactly.
    #[error("its answer cannot be read: {0}")]
    Malformed(String),
    /// It answered that it has no rate.
    #[error("it refused: {0}")]
    Refused(String),
    /// Its answer is older than the source's own heartbeat.
    #[error("its answer is stale: {0}")]
    Stale(String),
}

impl RateSourceError {
    /// Whether asking again soon may help.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self.kind {
            RateSourceErrorKind::Unreachable(_) | RateSourceErrorKind::Stale(_) => true,
            RateSourceErrorKind::Malformed(_) | RateSourceErrorKind::Refused(_) => false,
        }
    }
}
