//! The local chain's settings: what applies without a settings file.

use std::{collections::BTreeMap, time::Duration};

use inspay_chain_evm::{HashCheck, ReceiptsProof};
use inspay_devchain::Deployment;
use inspay_primitives::{Asset, AssetId, ChainId, ConfirmationPolicy, ConfirmationRule};
use inspay_quoting::{RateBand, RateRules};
use reqwest::Url;

use super::{
    AssetSettings, ChainSettings, DEFAULT_AUDIT_INTERVAL, RateSourceSettings, SettingsError,
};

/// Ether's price on the local chain, where no market makes one.
const LOCAL_ETHER_USD: &str = "2500";
/// A day: the local feeds are set once and then by hand.
const LOCAL_HEARTBEAT_SECONDS: u32 = 86_400;

/// Settings for a local chain with the gateway's contracts on it.
pub(crate) fn local_chain(
    deployment: &Deployment,
    confirmations: u32,
) -> Result<ChainSettings, SettingsError> {
    let chain_id = ChainId(deployment.chain_id);
    let rule = ConfirmationRule::Depth(confirmations);
    let policy = ConfirmationPolicy::new(Vec::new(), rule)
        .map_err(|why| SettingsError::invalid("confirmations", why))?;
    let fixed = |text: &str| {
        text.parse().map_err(|why| SettingsError::invalid("chains[0].native.rates", why))
    };
    let url = |setting: &str, text: &str| {
        Url::parse(text).map_err(|why| SettingsError::invalid(setting, why))
    };
    let peg = RateBand { low: fixed("0.97")?, high: fixed("1.03")? };
    let rules = RateRules { max_age_seconds: LOCAL_HEARTBEAT_SECONDS, ..RateRules::default() };
    let listed = |symbol: &str, contract, decimals, aggregator, rules| AssetSettings {
        asset: Asset { id: AssetId { chain_id, contract }, symbol: symbol.to_owned(), decimals },
        confirmations: policy.clone(),
        agreement: None,
        rates: vec![RateSourceSettings::Chainlink {
            aggregator,
            heartbeat_seconds: LOCAL_HEARTBEAT_SECONDS,
        }],
        rules,
        opening_base_units: BTreeMap::new(),
    };
    let pegged = RateRules { band: Some(peg), ..rules.clone() };
    Ok(ChainSettings {
        id: chain_id,
        name: "local".to_owned(),
        http: vec![url("chains[0].http", &deployment.http_url)?],
        ws: Some(url("chains[0].ws", &deployment.ws_url)?),
        start_block: 0,
        treasuries: vec![(deployment.treasury, 0)],
        assets: vec![
            listed("INSPI", deployment.inspi, 18, deployment.inspi_feed, rules),
            listed("USDT", deployment.usdt, 6, deployment.usdt_feed, pegged),
        ],
        native_symbol: "ETH".to_owned(),
        native_rates: vec![RateSourceSettings::Fixed(fixed(LOCAL_ETHER_USD)?)],
        native_rules: RateRules::default(),
        poll_interval: Duration::from_millis(500),
        finality_depth: None,
        audit_interval: DEFAULT_AUDIT_INTERVAL,
        request_timeout: Duration::from_secs(10),
        receipts: ReceiptsProof::Standard,
        header_hash: HashCheck::Recompute,
        chain_tx_hash: HashCheck::Recompute,
    })
}
