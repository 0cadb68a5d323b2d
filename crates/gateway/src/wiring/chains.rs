//! Chains and rates as the settings name them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use alloy::providers::{DynProvider, Provider as _, ProviderBuilder};
use inspay_chain_evm::{EvmChain, EvmChainSettings, NodeUrl};
use inspay_ports::{Chain, RateSource};
use inspay_primitives::Asset;
use inspay_quoting::RateRules;
use inspay_rates::{
    ChainlinkRate, ChainlinkSettings, FixedRate, HttpJsonRate, HttpJsonSettings, HttpTime,
    MedianRates, RateBook, RateKey, TimeUnit, TwapSettings, UniswapV3Twap,
};

use crate::{
    exit::{Failure, FailureKind, Outcome},
    settings::{AssetSettings, ChainSettings, RateSourceSettings, Settings},
};

/// How long one rate source may take to answer.
const RATE_TIMEOUT: Duration = Duration::from_secs(5);
/// Rates are asked for at most this often, however many quotes are made.
const RATE_REFRESH_SECONDS: u32 = 5;
/// Prices come in a few hundred bytes; anything of this size is no price.
const RATE_BYTES_MAX: usize = 1 << 20;

/// Connects to a chain. Nothing is asked yet.
pub(crate) fn connect_chain(chain: &ChainSettings) -> Outcome<Arc<dyn Chain>> {
    Ok(connect_evm(chain)?)
}

/// As [`connect_chain`], with the adapter's own counters.
pub(crate) fn connect_evm(chain: &ChainSettings) -> Outcome<Arc<EvmChain>> {
    let http = chain.http.iter().cloned().map(NodeUrl::from).collect();
    let ws = chain.ws.clone().map(NodeUrl::from);
    let settings = EvmChainSettings {
        request_timeout: chain.request_timeout,
        receipts: chain.receipts,
        header_hash: chain.header_hash,
        chain_tx_hash: chain.chain_tx_hash,
        ..EvmChainSettings::new(chain.id, http, ws)
    };
    let connected = EvmChain::new(settings).map_err(|why| {
        Failure::new(FailureKind::Settings, format!("cannot use chain {}", chain.id), why)
    })?;
    Ok(Arc::new(connected))
}

fn provider(chain: &ChainSettings) -> Outcome<DynProvider> {
    let url = chain.http.first().ok_or_else(|| {
        Failure::plain(FailureKind::Settings, format!("chain {} has no endpoint", chain.id))
    })?;
    Ok(ProviderBuilder::new().connect_http(url.clone()).erased())
}

/// Everything that has a rate, with its sources.
pub(crate) fn rate_book(settings: &Settings) -> Outcome<Arc<RateBook>> {
    let mut rates = BTreeMap::new();
    for chain in &settings.chains {
        let provider = provider(chain)?;
        let native = format!("{} (native of chain {})", chain.native_symbol, chain.id);
        let sources = Sources { chain, provider: &provider };
        let judged = sources.judged(&native, None, &chain.native_rates, &chain.native_rules)?;
        rates.insert(RateKey::Native(chain.id), judged);
        for listed in &chain.assets {
            let judged = sources.judged(
                &listed.asset.symbol,
                Some(&listed.asset),
                &listed.rates,
                &listed.rules,
            )?;
            rates.insert(RateKey::Asset(listed.asset.id), judged);
        }
    }
    Ok(Arc::new(RateBook::new(rates, RATE_REFRESH_SECONDS)))
}

struct Sources<'a> {
    chain: &'a ChainSettings,
    provider: &'a DynProvider,
}

impl Sources<'_> {
    fn judged(
        &self,
        name: &str,
        asset: Option<&Asset>,
        sources: &[RateSourceSettings],
        rules: &RateRules,
    ) -> Outcome<MedianRates> {
        let sources = sources
            .iter()
            .enumerate()
            .map(|(index, source)| {
                self.source(&format!("source {}", index.saturating_add(1)), asset, source, rules)
            })
            .collect::<Outcome<Vec<_>>>()?;
        MedianRates::new(sources, rules.clone(), RATE_TIMEOUT).map_err(|why| {
            Failure::new(FailureKind::Settings, format!("cannot use the rates of {name}"), why)
        })
    }

    fn source(
        &self,
        name: &str,
        asset: Option<&Asset>,
        source: &RateSourceSettings,
        rules: &RateRules,
    ) -> Outcome<Arc<dyn RateSource>> {
        Ok(match source {
            RateSourceSettings::Fixed(rate) => {
                Arc::new(FixedRate::new(format!("{name}: fixed"), *rate))
            }
            RateSourceSettings::Http { url, pointer, time_pointer } => {
                let settings = HttpJsonSettings {
                    name: format!("{name}: http"),
                    url: url.to_string(),
                    price_pointer: pointer.clone(),
                    time: time_pointer
                        .clone()
                        .map(|pointer| HttpTime { pointer, unit: TimeUnit::Seconds }),
                    timeout: RATE_TIMEOUT,
                    bytes_max: RATE_BYTES_MAX,
                };
                Arc::new(HttpJsonRate::new(settings).map_err(|why| {
                    Failure::new(FailureKind::Settings, "cannot use a rate source", why)
                })?)
            }
            RateSourceSettings::Chainlink { aggregator, heartbeat_seconds } => {
                let settings = ChainlinkSettings {
                    name: format!("{name}: chainlink"),
                    aggregator: *aggregator,
                    heartbeat_seconds: *heartbeat_seconds,
                };
                Arc::new(ChainlinkRate::new(self.provider.clone(), settings))
            }
            RateSourceSettings::UniswapV3 { pool, window_seconds, quoted_in } => {
                let (quoted, quote_rate) = self.quoted_in(quoted_in)?;
                let priced = asset.cloned().ok_or_else(|| {
                    let why = format!(
                        "{name}: a native token cannot be priced by a pool; price its wrapped token"
                    );
                    Failure::plain(FailureKind::Settings, why)
                })?;
                let settings = TwapSettings {
                    name: format!("{name}: uniswap_v3"),
                    pool: *pool,
                    priced,
                    quoted_in: quoted.asset.clone(),
                    window_seconds: *window_seconds,
                    max_age_seconds: rules.max_age_seconds,
                    liquidity_min: None,
                };
                Arc::new(UniswapV3Twap::new(self.provider.clone(), settings, quote_rate))
            }
        })
    }

    /// The other asset of a pool, and its own first source, which must not be a pool again.
    fn quoted_in(&self, symbol: &str) -> Outcome<(&AssetSettings, Arc<dyn RateSource>)> {
        let refuse = |why: &str| {
            Failure::plain(FailureKind::Settings, format!("quoted_in = {symbol:?}: {why}"))
        };
        let listed = self
            .chain
            .assets
            .iter()
            .find(|listed| listed.asset.symbol == symbol)
            .ok_or_else(|| refuse("no asset of that symbol is listed on the chain"))?;
        let source = listed
            .rates
            .iter()
            .find(|source| !matches!(source, RateSourceSettings::UniswapV3 { .. }))
            .ok_or_else(|| refuse("it has no rate source but pools"))?;
        let name = format!("{symbol} behind a pool");
        Ok((listed, self.source(&name, Some(&listed.asset), source, &listed.rules)?))
    }
}
