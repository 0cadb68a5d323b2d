//! A rate out of a Uniswap V3 pool's own past: the time-weighted average over a window.
//!
//! Never reads the pool's price of the moment, which whoever trades in the block can set; a window
//! that is too short for an average is reported as the spot price that it is.

use std::sync::Arc;

use alloy::{
    eips::BlockNumberOrTag,
    primitives::{
        Address, U256,
        aliases::{I56, U160},
    },
    providers::{DynProvider, Provider as _},
};
use async_trait::async_trait;
use inspay_ports::{RateSource, RateSourceError, RateSourceErrorKind};
use inspay_primitives::{Asset, Timestamp};
use inspay_quoting::{RateSample, SourceKind};
use tokio::sync::OnceCell;

use crate::{
    bindings::{
        IPool::{self, observeReturn},
        call_failure,
    },
    tick_math::{mean_tick, usd_at_tick},
};

/// A shorter window can be held by one proposer over consecutive blocks: no better than a spot price.
const WINDOW_SECONDS_MIN: u32 = 60;

/// Settings of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TwapSettings {
    /// Name of the source.
    pub name: String,
    /// The pool's contract.
    pub pool: Address,
    /// The token that is priced.
    pub priced: Asset,
    /// The pool's other token.
    pub quoted_in: Asset,
    /// Over how many seconds the average goes.
    pub window_seconds: u32,
    /// How old the pool's newest block may be, and the other token's rate where its source names no
    /// limit of its own.
    pub max_age_seconds: u32,
    /// The least harmonic mean liquidity over the window, in the pool's own unit; `None` to leave it
    /// unchecked.
    pub liquidity_min: Option<u128>,
}

/// A rate out of a pool's past, in dollars by the rate of the token it is quoted in.
#[derive(Debug)]
pub struct UniswapV3Twap {
    provider: DynProvider,
    settings: TwapSettings,
    quote_rate: Arc<dyn RateSource>,
    prices_token0: OnceCell<bool>,
}

impl UniswapV3Twap {
    /// A pool read through `provider`; `quote_rate` says what the other token is worth in dollars.
    /// Nothing is asked yet.
    #[must_use]
    pub fn new(
        provider: DynProvider,
        settings: TwapSettings,
        quote_rate: Arc<dyn RateSource>,
    ) -> Self {
        Self { provider, settings, quote_rate, prices_token0: OnceCell::new() }
    }

    async fn ask(&self, now: Timestamp) -> Result<RateSample, RateSourceErrorKind> {
        let settings = &self.settings;
        let quote = self.quote_rate.sample(now).await.map_err(quote_failure)?;
        let prices_token0 = *self.prices_token0.get_or_try_init(|| self.token_order()).await?;
        let (block_number, block_time) = self.head().await?;
        let pool = IPool::new(settings.pool, &self.provider);
        let observed = pool
            .observe(vec![settings.window_seconds, 0])
            .block(block_number.into())
            .call()
            .await
            .map_err(|error| call_failure(&error))?;
        self.check_liquidity(&observed)?;
        let tick = self.tick(&observed, prices_token0)?;
        let rate = usd_at_tick(
            tick,
            prices_token0,
            settings.priced.decimals,
            settings.quoted_in.decimals,
            quote.rate,
        )
        .ok_or_else(|| malformed(format!("no price at tick {tick}")))?;
        Ok(RateSample {
            source: settings.name.clone(),
            kind: self.kind(),
            rate,
            observed_at: block_time.min(quote.observed_at),
            valid_until: Some(self.valid_until(block_time, &quote)),
        })
    }

    /// Both halves must hold: a fresh rate of the other token does not excuse an old block.
    fn valid_until(&self, block_time: Timestamp, quote: &RateSample) -> Timestamp {
        let aged = |time: Timestamp| time.plus_seconds(i64::from(self.settings.max_age_seconds));
        aged(block_time).min(quote.valid_until.unwrap_or_else(|| aged(quote.observed_at)))
    }

    /// The average and its time are read at one block, so that they belong together.
    async fn head(&self) -> Result<(BlockNumberOrTag, Timestamp), RateSourceErrorKind> {
        let block = self.provider.get_block_by_number(BlockNumberOrTag::Latest).await;
        let block = block.map_err(|error| call_failure(&error.into()))?;
        let block = block.ok_or_else(|| malformed("the node has no latest block".to_owned()))?;
        let time = Timestamp::from_chain_seconds(block.header.timestamp);
        Ok((BlockNumberOrTag::Number(block.header.number), time))
    }

    async fn token_order(&self) -> Result<bool, RateSourceErrorKind> {
        let pool = IPool::new(self.settings.pool, &self.provider);
        let token0 = pool.token0().call().await.map_err(|error| call_failure(&error))?;
        let token1 = pool.token1().call().await.map_err(|error| call_failure(&error))?;
        let priced = self.settings.priced.id.contract;
        let other = self.settings.quoted_in.id.contract;
        if (token0, token1) == (priced, other) {
            Ok(true)
        } else if (token0, token1) == (other, priced) {
            Ok(false)
        } else {
            let text = format!("the pool holds {token0} and {token1}, not {priced} and {other}");
            Err(RateSourceErrorKind::Refused(text))
        }
    }

    fn tick(
        &self,
        observed: &observeReturn,
        prices_token0: bool,
    ) -> Result<i32, RateSourceErrorKind> {
        let cumulative = |index: usize| -> Option<i64> {
            let value: I56 = *observed.tickCumulatives.get(index)?;
            i64::try_from(value).ok()
        };
        let delta = || cumulative(1)?.checked_sub(cumulative(0)?);
        delta()
            .and_then(|delta| mean_tick(delta, self.settings.window_seconds, prices_token0))
            .ok_or_else(|| malformed("the pool's ticks make no average".to_owned()))
    }

    /// Harmonic mean liquidity: the window in 2^-128 seconds over the growth of seconds per liquidity.
    fn check_liquidity(&self, observed: &observeReturn) -> Result<(), RateSourceErrorKind> {
        let Some(least) = self.settings.liquidity_min else { return Ok(()) };
        let cumulative =
            |index: usize| observed.secondsPerLiquidityCumulativeX128s.get(index).copied();
        let (Some(from), Some(to)) = (cumulative(0), cumulative(1)) else {
            return Err(malformed("the pool's liquidity makes no average".to_owned()));
        };
        // The pool lets this counter wrap around.
        let growth = U256::from(to.wrapping_sub(from)).max(U256::ONE);
        let window = U256::from(self.settings.window_seconds) * U256::from(U160::MAX);
        let mean = (window / growth) >> 32;
        if mean >= U256::from(least) {
            return Ok(());
        }
        let text = format!("mean liquidity {mean} is below {least}");
        Err(RateSourceErrorKind::Refused(text))
    }
}

/// The other token's source failed: said under its own name, with the same kind.
fn quote_failure(error: RateSourceError) -> RateSourceErrorKind {
    let named = |text: String| format!("{} of the other token: {text}", error.source_name);
    match error.kind {
        RateSourceErrorKind::Unreachable(text) => RateSourceErrorKind::Unreachable(named(text)),
        RateSourceErrorKind::Malformed(text) => RateSourceErrorKind::Malformed(named(text)),
        RateSourceErrorKind::Refused(text) => RateSourceErrorKind::Refused(named(text)),
        RateSourceErrorKind::Stale(text) => RateSourceErrorKind::Stale(named(text)),
    }
}

const fn malformed(text: String) -> RateSourceErrorKind {
    RateSourceErrorKind::Malformed(text)
}

#[async_trait]
impl RateSource for UniswapV3Twap {
    fn name(&self) -> &str {
        &self.settings.name
    }

    fn kind(&self) -> SourceKind {
        if self.settings.window_seconds < WINDOW_SECONDS_MIN {
            SourceKind::PoolSpot
        } else {
            SourceKind::PoolTwap
        }
    }

    async fn sample(&self, now: Timestamp) -> Result<RateSample, RateSourceError> {
        let failed = |kind| RateSourceError { source_name: self.settings.name.clone(), kind };
        self.ask(now).await.map_err(failed)
    }
}
