//! A rate out of a Chainlink-shaped price feed in dollars.
//!
//! Never takes an answer that is not above zero, from an unfinished round, or older than the feed's
//! own heartbeat.

use alloy::{
    primitives::{Address, I256, U256},
    providers::DynProvider,
};
use async_trait::async_trait;
use inspay_ports::{RateSource, RateSourceError, RateSourceErrorKind};
use inspay_primitives::{Rate, Timestamp};
use inspay_quoting::{RateSample, SourceKind};
use rust_decimal::Decimal;

use crate::bindings::{
    IAggregator::{self, latestRoundDataReturn},
    call_failure,
};

/// Settings of a feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainlinkSettings {
    /// Name of the source.
    pub name: String,
    /// The feed's contract.
    pub aggregator: Address,
    /// How long an answer holds: the feed's heartbeat and some allowance for the chain.
    pub heartbeat_seconds: u32,
}

/// A rate out of a price feed on chain.
#[derive(Debug)]
pub struct ChainlinkRate {
    provider: DynProvider,
    settings: ChainlinkSettings,
}

impl ChainlinkRate {
    /// A feed read through `provider`; nothing is asked yet.
    #[must_use]
    pub const fn new(provider: DynProvider, settings: ChainlinkSettings) -> Self {
        Self { provider, settings }
    }

    async fn ask(&self, now: Timestamp) -> Result<RateSample, RateSourceErrorKind> {
        let feed = IAggregator::new(self.settings.aggregator, &self.provider);
        let decimals = feed.decimals().call().await.map_err(|error| call_failure(&error))?;
        let round = feed.latestRoundData().call().await.map_err(|error| call_failure(&error))?;
        self.sample_of(&round, decimals, now)
    }

    fn sample_of(
        &self,
        round: &latestRoundDataReturn,
        decimals: u8,
        now: Timestamp,
    ) -> Result<RateSample, RateSourceErrorKind> {
        let observed_at = updated_at(round.updatedAt)?;
        if round.answeredInRound < round.roundId {
            let (asked, answered) = (round.roundId, round.answeredInRound);
            let text = format!("round {asked} carries the answer of round {answered}");
            return Err(RateSourceErrorKind::Stale(text));
        }
        let heartbeat = self.settings.heartbeat_seconds;
        let valid_until = observed_at.plus_seconds(i64::from(heartbeat));
        if valid_until <= now {
            let text = format!("updated at {observed_at}, the heartbeat is {heartbeat} s");
            return Err(RateSourceErrorKind::Stale(text));
        }
        Ok(RateSample {
            source: self.settings.name.clone(),
            kind: SourceKind::Feed,
            rate: read_rate(round.answer, decimals)?,
            observed_at,
            valid_until: Some(valid_until),
        })
    }
}

fn updated_at(seconds: U256) -> Result<Timestamp, RateSourceErrorKind> {
    if seconds.is_zero() {
        return Err(RateSourceErrorKind::Refused("the round is not finished".to_owned()));
    }
    let seconds = u64::try_from(seconds)
        .map_err(|_| RateSourceErrorKind::Malformed(format!("updated at second {seconds}")))?;
    Ok(Timestamp::from_chain_seconds(seconds))
}

fn read_rate(answer: I256, decimals: u8) -> Result<Rate, RateSourceErrorKind> {
    if answer <= I256::ZERO {
        return Err(RateSourceErrorKind::Refused(format!("the answer is {answer}")));
    }
    let inexact = || {
        let text = format!("{answer} with {decimals} decimals cannot be held exactly");
        RateSourceErrorKind::Malformed(text)
    };
    let digits = i128::try_from(answer).map_err(|_| inexact())?;
    let value =
        Decimal::try_from_i128_with_scale(digits, u32::from(decimals)).map_err(|_| inexact())?;
    Rate::new(value).map_err(|_| inexact())
}

#[async_trait]
impl RateSource for ChainlinkRate {
    fn name(&self) -> &str {
        &self.settings.name
    }

    fn kind(&self) -> SourceKind {
        SourceKind::Feed
    }

    async fn sample(&self, now: Timestamp) -> Result<RateSample, RateSourceError> {
        let failed = |kind| RateSourceError { source_name: self.settings.name.clone(), kind };
        self.ask(now).await.map_err(failed)
    }
}
