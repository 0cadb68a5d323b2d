//! The facts behind quotes: rates from their sources, gas from the chain.
//!
//! What fails for one asset is that asset's refusal; the others go on.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use alloy_primitives::{Address, U256};
use async_trait::async_trait;
use futures::future::join_all;
use inspay_api::{PricingInputs, transfer_calldata};
use inspay_ports::{Chain, ChainErrorKind, Store, TransferProbe};
use inspay_primitives::{AssetId, ChainId, Clock, Reference, Timestamp};
use inspay_quoting::{
    AssetInput, Catalog, GasEstimate, GasRefusal, QuoteRequest, RateSample, SourceKind, fee_levels,
};
use inspay_rates::{RateBook, RateKey};
use tokio_util::sync::CancellationToken;

use crate::settings::{AssetSettings, ChainSettings};

/// What a token transfer uses where neither the payer nor the treasury can be asked: the dearer case
/// of a first payment to an address, with room for a token that keeps a list.
const STAND_IN_GAS: u64 = 80_000;
/// How often rates are kept, so that a late payment finds one of its block's time.
const SAMPLING_INTERVAL: Duration = Duration::from_secs(30);

/// Prices by the settings' sources and chains.
#[derive(Debug)]
pub(crate) struct GatewayPricing {
    catalog: Arc<Catalog>,
    chains: Vec<ChainSettings>,
    ports: BTreeMap<ChainId, Arc<dyn Chain>>,
    rates: Arc<RateBook>,
    store: Arc<dyn Store>,
}

impl GatewayPricing {
    pub(crate) fn new(
        catalog: Arc<Catalog>,
        chains: Vec<ChainSettings>,
        ports: BTreeMap<ChainId, Arc<dyn Chain>>,
        rates: Arc<RateBook>,
        store: Arc<dyn Store>,
    ) -> Self {
        Self { catalog, chains, ports, rates, store }
    }

    async fn input(
        &self,
        chain: &ChainSettings,
        listed: &AssetSettings,
        request: &QuoteRequest,
        now: Timestamp,
    ) -> AssetInput {
        let rate = self.rates.rate(RateKey::Asset(listed.asset.id), now).await;
        let gas = match (self.ports.get(&chain.id), chain.treasury()) {
            (Some(port), Some(treasury)) => {
                self.gas(port, chain, (listed.asset.id, treasury), request.payer, now).await
            }
            _ => Err(GasRefusal::FeesUnknown(format!("chain {} is not followed", chain.id))),
        };
        AssetInput { asset: listed.asset.clone(), rate, gas, is_halted: false }
    }

    async fn gas(
        &self,
        port: &Arc<dyn Chain>,
        chain: &ChainSettings,
        (asset, treasury): (AssetId, Address),
        payer: Option<Address>,
        now: Timestamp,
    ) -> Result<GasEstimate, GasRefusal> {
        let history = port
            .fee_history()
            .await
            .map_err(|why| GasRefusal::FeesUnknown(why.kind.to_string()))?;
        let fees = fee_levels(&history)?;
        let (gas_limit, for_payer) = gas_limit(port, asset, treasury, payer).await?;
        Ok(GasEstimate {
            gas_limit,
            for_payer,
            fees,
            l1_fee_wei: U256::ZERO,
            native_symbol: chain.native_symbol.clone(),
            native_rate: self.rates.rate(RateKey::Native(chain.id), now).await,
        })
    }

    /// Keeps the rate of every asset now and then, until cancelled.
    pub(crate) async fn keep_rates(
        self: Arc<Self>,
        clock: Arc<dyn Clock>,
        cancel: CancellationToken,
    ) {
        loop {
            self.keep_once(clock.now()).await;
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(SAMPLING_INTERVAL) => {}
            }
        }
    }

    async fn keep_once(&self, now: Timestamp) {
        let listed = self.chains.iter().flat_map(|chain| &chain.assets);
        let verdicts = join_all(listed.map(|listed| async {
            (listed.asset.id, self.rates.rate(RateKey::Asset(listed.asset.id), now).await)
        }))
        .await;
        let samples = verdicts
            .into_iter()
            .filter_map(|(asset, verdict)| match verdict {
                Ok(rate) => {
                    let sample = RateSample {
                        source: rate.source,
                        // A kept rate is a verdict over its samples, which are of one kind as a rule.
                        kind: rate.samples.first().map_or(SourceKind::Fixed, |first| first.kind),
                        rate: rate.rate,
                        observed_at: now,
                        valid_until: None,
                    };
                    Some((asset, sample))
                }
                Err(refusal) => {
                    tracing::warn!(%asset, %refusal, "no rate to keep for this asset now");
                    None
                }
            })
            .collect();
        if let Err(error) = self.store.save_rates(samples).await {
            tracing::warn!(error = %error.kind, "rates could not be kept; they are kept next time");
        }
    }
}

/// Gas of the very transfer: asked for the payer, else for the treasury paying itself, else a stand-in.
async fn gas_limit(
    port: &Arc<dyn Chain>,
    asset: AssetId,
    treasury: Address,
    payer: Option<Address>,
) -> Result<(u64, bool), GasRefusal> {
    let base_units = U256::from(1);
    let calldata = transfer_calldata(treasury, base_units, Reference::from_bytes([0xff; 16]));
    for (from, for_payer) in payer.map(|payer| (payer, true)).into_iter().chain([(treasury, false)])
    {
        let probe = TransferProbe {
            token: asset.contract,
            payer: Some(from),
            treasury,
            base_units,
            calldata: calldata.clone(),
        };
        match port.estimate_gas(&probe).await {
            Ok(gas) => return Ok((gas, for_payer)),
            // A wallet without tokens yet, or an empty treasury: the next one is asked.
            Err(error) => match error.kind {
                ChainErrorKind::Reverted(_) | ChainErrorKind::Refused(_) => {}
                kind @ (ChainErrorKind::Unreachable(_)
                | ChainErrorKind::RateLimited(_)
                | ChainErrorKind::RangeTooLarge { .. }
                | ChainErrorKind::NotYet(_)
                | ChainErrorKind::Contradiction(_)) => {
                    return Err(GasRefusal::EstimateFailed(kind.to_string()));
                }
            },
        }
    }
    Ok((STAND_IN_GAS, false))
}

#[async_trait]
impl PricingInputs for GatewayPricing {
    async fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog)
    }

    async fn inputs(&self, request: &QuoteRequest, now: Timestamp) -> Vec<AssetInput> {
        let listed = self
            .chains
            .iter()
            .flat_map(|chain| chain.assets.iter().map(move |listed| (chain, listed)));
        join_all(listed.map(|(chain, listed)| self.input(chain, listed, request, now))).await
    }
}
