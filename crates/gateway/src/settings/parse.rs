//! From what is written to what is meant. Every refusal names its setting.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
    ops::RangeInclusive,
    path::Path,
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use inspay_api::{CreditSettings, FreePlan, Plan};
use inspay_chain_evm::{HashCheck, ReceiptsProof};
use inspay_devchain::Deployment;
use inspay_ledger::{
    LatePolicy, OverPolicy, PartialPolicy, PriceBook, PriceVersion, SettlementRules,
};
use inspay_primitives::{
    Asset, AssetId, ChainId, ConfirmationPolicy, ConfirmationRule, Credits, Label, U256,
    parse_units,
};
use inspay_quoting::Catalog;
use inspay_settlement::AgreementRule;
use reqwest::Url;

use super::{
    AssetSettings, ChainSettings, DEFAULT_AUDIT_INTERVAL, Database, RateSourceSettings, Settings,
    SettingsError, SignInSettings,
    file::{
        AgreementFile, AssetFile, ChainFile, ConfirmationFile, CreditsFile, HashFile, OddFile,
        PlanFile, RateSourceFile, ReceiptsFile, SettingsFile, TagFile, WalletsFile,
    },
    local_chain,
};

const DEFAULT_LISTEN: &str = "127.0.0.1:8080";
const DEFAULT_DATABASE: &str = "sqlite:inspay.db";
/// Half a minute of Ethereum blocks would be too slow for a buyer who waits; the WebSocket wakes sooner.
const DEFAULT_POLL_INTERVAL_MS: u64 = 1_000;
const DEFAULT_REQUEST_TIMEOUT_MS: u64 = 10_000;
/// About two and a half minutes on Ethereum.
const DEFAULT_CONFIRMATIONS: u32 = 12;
/// A renewal that comes late by a slow disk or a short break of the network is still in time; a chain whose follower was
/// cut off is followed again soon.
const DEFAULT_LEASE_SECONDS: u32 = 10;
const LEASE_SECONDS: RangeInclusive<u32> = 2..=300;
/// Anvil's own port, where `inspay serve` without settings looks for a local chain.
const LOCAL_PORT: u16 = 8_545;

/// Reads settings: the file, if one is given, and what `environment` says over it.
///
/// `DATABASE_URL`, `INSPAY_LISTEN`, `INSPAY_HTTP_<chain id>` (comma-separated) and `INSPAY_WS_<chain id>`
/// override the file.
pub(crate) fn load(
    file: Option<&Path>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Settings, SettingsError> {
    let text = match file {
        None => String::new(),
        Some(path) => std::fs::read_to_string(path)
            .map_err(|source| SettingsError::Unreadable { path: path.to_owned(), source })?,
    };
    read(&text, file, environment)
}

/// As [`load`], from a file's text.
pub(crate) fn read(
    text: &str,
    file: Option<&Path>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Settings, SettingsError> {
    let written: SettingsFile =
        toml::from_str(text).map_err(|source| SettingsError::Malformed {
            path: file.map(Path::to_owned).unwrap_or_default(),
            source: Box::new(source),
        })?;
    let url = environment("DATABASE_URL")
        .or(written.database.url)
        .unwrap_or_else(|| DEFAULT_DATABASE.to_owned());
    let listen = environment("INSPAY_LISTEN")
        .or(written.server.listen)
        .unwrap_or_else(|| DEFAULT_LISTEN.to_owned());
    let chains = if written.chains.is_empty() {
        vec![local_chain(&Deployment::local(LOCAL_PORT), 1)?]
    } else {
        written
            .chains
            .into_iter()
            .enumerate()
            .map(|(index, chain)| parse_chain(&format!("chains[{index}]"), chain, environment))
            .collect::<Result<_, _>>()?
    };
    refuse_doubles(&chains)?;
    let odd = &written.settlement;
    Ok(Settings {
        database: parse_database(&url)?,
        listen: parse::<SocketAddr>("server.listen", &listen)?,
        lease_ttl: parse_lease_ttl(written.server.lease_seconds)?,
        catalog: Arc::new(parse_catalog(written.catalog.path.as_deref(), file)?),
        chains,
        rules: SettlementRules {
            over: match odd.over {
                OddFile::Credit => OverPolicy::Credit,
                OddFile::Hold => OverPolicy::Hold,
            },
            late: match odd.late {
                OddFile::Credit => LatePolicy::Credit,
                OddFile::Hold => LatePolicy::Hold,
            },
            partial: match odd.partial {
                OddFile::Credit => PartialPolicy::Credit,
                OddFile::Hold => PartialPolicy::Hold,
            },
        },
        credits: Arc::new(parse_credits(&written.credits, written.price_book)?),
        wallets: parse_wallets(&written.wallets)?,
        warn_seconds: written.credits.warn_seconds,
        unpaid_orders_max: written.sale.unpaid_orders_max,
        quarantine_seconds: odd.quarantine_seconds,
        clock_skew_seconds: odd.clock_skew_seconds,
        late_rate_age_seconds: odd.late_rate_age_seconds,
    })
}

fn parse_wallets(written: &WalletsFile) -> Result<SignInSettings, SettingsError> {
    let is_name = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    for (setting, text) in [("wallets.domain", &written.domain), ("wallets.uri", &written.uri)] {
        if !is_name(text) {
            return Err(SettingsError::invalid(setting, "must be printed ASCII without spaces"));
        }
    }
    if written.challenge_seconds == 0 {
        return Err(SettingsError::invalid("wallets.challenge_seconds", "must be above zero"));
    }
    Ok(SignInSettings {
        domain: written.domain.clone(),
        uri: written.uri.clone(),
        challenge_seconds: written.challenge_seconds,
    })
}

/// The longest that credits may be set aside: limits count a hold where it was made.
const HOLD_SECONDS_MAX: u32 = 86_400;

fn parse_credits(
    written: &CreditsFile,
    versions: Vec<PriceVersion>,
) -> Result<CreditSettings, SettingsError> {
    let invalid = |setting: &str, why: &dyn fmt::Display| {
        SettingsError::invalid(setting.to_owned(), why.to_string())
    };
    let CreditsFile { hold_seconds, hold_seconds_max, grant_days, .. } = *written;
    if !(1..=HOLD_SECONDS_MAX).contains(&hold_seconds_max) {
        let why = format!("must be from 1 to {HOLD_SECONDS_MAX}, not {hold_seconds_max}");
        return Err(invalid("credits.hold_seconds_max", &why));
    }
    if !(1..=hold_seconds_max).contains(&hold_seconds) {
        let why = format!("must be from 1 to hold_seconds_max, not {hold_seconds}");
        return Err(invalid("credits.hold_seconds", &why));
    }
    let campaigns = written
        .campaigns
        .iter()
        .map(|(name, budget)| {
            let setting = format!("credits.campaigns.{name}");
            let label: Label = name.parse().map_err(|why| invalid(&setting, &why))?;
            let budget: Credits = budget.parse().map_err(|why| invalid(&setting, &why))?;
            Ok((label, budget))
        })
        .collect::<Result<_, SettingsError>>()?;
    let positive = |setting: &str, text: &str| match text.parse::<Credits>() {
        Ok(credits) if credits > Credits::ZERO => Ok(credits),
        Ok(_) => Err(invalid(setting, &"must be above zero")),
        Err(why) => Err(invalid(setting, &why)),
    };
    let plan = |(name, plan): (&String, &PlanFile)| {
        let setting = |field: &str| format!("credits.plans.{name}{field}");
        let label: Label = name.parse().map_err(|why| invalid(&setting(""), &why))?;
        let every = plan.every.parse().map_err(|why| invalid(&setting(".every"), &why))?;
        let credits = positive(&setting(".credits"), &plan.credits)?;
        let (keeps_cycles, priority) = (plan.keeps_cycles, plan.priority);
        Ok((label, Plan { credits, every, keeps_cycles, priority }))
    };
    let plans = written.plans.iter().map(plan).collect::<Result<_, SettingsError>>()?;
    let free_plan = written.free_plan.as_ref().map(|free| {
        let credits = positive("credits.free_plan.credits", &free.credits)?;
        Ok(FreePlan { credits, days: free.days })
    });
    let free_plan = free_plan.transpose()?;
    let versions = if versions.is_empty() { embedded_prices()? } else { versions };
    let prices = PriceBook::new(versions).map_err(|why| invalid("price_book", &why))?;
    Ok(CreditSettings {
        prices,
        hold_seconds,
        hold_seconds_max,
        grant_days,
        campaigns,
        plans,
        free_plan,
    })
}

/// The prices that hold where the settings name none.
fn embedded_prices() -> Result<Vec<PriceVersion>, SettingsError> {
    #[derive(serde::Deserialize)]
    struct Embedded {
        price_book: Vec<PriceVersion>,
    }
    let embedded: Embedded = toml::from_str(include_str!("price_book.toml"))
        .map_err(|why| SettingsError::invalid("price_book", why))?;
    Ok(embedded.price_book)
}

fn parse_lease_ttl(seconds: Option<u32>) -> Result<Duration, SettingsError> {
    let seconds = seconds.unwrap_or(DEFAULT_LEASE_SECONDS);
    if LEASE_SECONDS.contains(&seconds) {
        Ok(Duration::from_secs(u64::from(seconds)))
    } else {
        let (least, most) = (LEASE_SECONDS.start(), LEASE_SECONDS.end());
        let why = format!("must be from {least} to {most} seconds, not {seconds}");
        Err(SettingsError::invalid("server.lease_seconds", why))
    }
}

fn parse<T>(setting: &str, text: &str) -> Result<T, SettingsError>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    text.parse().map_err(|why| SettingsError::invalid(setting, format!("{why}: {text:?}")))
}

/// Parses a URL without repeating it: it may hold a secret.
fn parse_url(setting: &str, text: &str, schemes: &[&str]) -> Result<Url, SettingsError> {
    let url = Url::parse(text).map_err(|why| SettingsError::invalid(setting, why))?;
    if schemes.contains(&url.scheme()) {
        Ok(url)
    } else {
        Err(SettingsError::invalid(setting, format!("the scheme must be one of {schemes:?}")))
    }
}

fn parse_database(url: &str) -> Result<Database, SettingsError> {
    if let Some(path) = url.strip_prefix("sqlite:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.is_empty() {
            return Err(SettingsError::invalid("database.url", "sqlite: needs a file name"));
        }
        return Ok(Database::Sqlite(path.into()));
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Ok(Database::Postgres(url.to_owned()));
    }
    Err(SettingsError::invalid("database.url", "must begin with sqlite: or postgres://"))
}

/// The catalog's path counts from the settings file's folder.
fn parse_catalog(path: Option<&Path>, settings: Option<&Path>) -> Result<Catalog, SettingsError> {
    let invalid = |why: &dyn fmt::Display| SettingsError::invalid("catalog.path", why);
    let Some(path) = path else { return Catalog::embedded().map_err(|why| invalid(&why)) };
    let folder = settings.and_then(Path::parent).unwrap_or_else(|| Path::new(""));
    let path = folder.join(path);
    let text = std::fs::read_to_string(&path)
        .map_err(|source| SettingsError::Unreadable { path: path.clone(), source })?;
    Catalog::parse(&text).map_err(|why| {
        let cause = std::error::Error::source(&why).map(|cause| format!(": {cause}"));
        invalid(&format!("{why}{}", cause.unwrap_or_default()))
    })
}

fn parse_chain(
    at: &str,
    chain: ChainFile,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<ChainSettings, SettingsError> {
    let http = environment(&format!("INSPAY_HTTP_{}", chain.id))
        .map_or(chain.http, |urls| urls.split(',').map(|url| url.trim().to_owned()).collect());
    if http.is_empty() {
        return Err(SettingsError::invalid(format!("{at}.http"), "needs at least one endpoint"));
    }
    let receipts = match chain.receipts {
        ReceiptsFile::Standard => ReceiptsProof::Standard,
        ReceiptsFile::SecondEndpoint if http.len() < 2 => {
            let why = "second_endpoint needs at least two endpoints (http)";
            return Err(SettingsError::invalid(format!("{at}.receipts"), why));
        }
        ReceiptsFile::SecondEndpoint => ReceiptsProof::SecondEndpoint,
    };
    let ws = environment(&format!("INSPAY_WS_{}", chain.id)).or(chain.ws);
    let treasuries: Vec<_> = chain
        .treasuries
        .iter()
        .enumerate()
        .map(|(index, treasury)| {
            let setting = format!("{at}.treasuries[{index}].address");
            Ok((parse(&setting, &treasury.address)?, treasury.from_block))
        })
        .collect::<Result<_, SettingsError>>()?;
    if !treasuries.is_sorted_by(|(_, a), (_, b)| a < b) || treasuries.is_empty() {
        let why = "needs at least one, each from a later block than the one before";
        return Err(SettingsError::invalid(format!("{at}.treasuries"), why));
    }
    let assets: Vec<_> = chain
        .assets
        .into_iter()
        .enumerate()
        .map(|(index, asset)| {
            parse_asset(&format!("{at}.assets[{index}]"), asset, chain.id, http.len())
        })
        .collect::<Result<_, _>>()?;
    if assets.is_empty() {
        return Err(SettingsError::invalid(format!("{at}.assets"), "needs at least one"));
    }
    Ok(ChainSettings {
        id: ChainId(chain.id),
        name: chain.name,
        http: http
            .iter()
            .map(|url| parse_url(&format!("{at}.http"), url, &["http", "https"]))
            .collect::<Result<_, _>>()?,
        ws: ws.map(|url| parse_url(&format!("{at}.ws"), &url, &["ws", "wss"])).transpose()?,
        start_block: chain.start_block,
        treasuries,
        assets,
        native_symbol: chain.native.symbol,
        native_rates: parse_sources(&format!("{at}.native"), chain.native.rates)?,
        native_rules: chain.native.rate_rules,
        poll_interval: Duration::from_millis(
            chain.poll_interval_ms.unwrap_or(DEFAULT_POLL_INTERVAL_MS).max(50),
        ),
        finality_depth: chain.finality_depth,
        audit_interval: parse_audit_interval(at, chain.audit_interval_seconds)?,
        request_timeout: Duration::from_millis(
            chain.request_timeout_ms.unwrap_or(DEFAULT_REQUEST_TIMEOUT_MS).max(100),
        ),
        receipts,
        header_hash: parse_check(chain.header_hash),
        chain_tx_hash: parse_check(chain.chain_tx_hash),
    })
}

fn parse_audit_interval(at: &str, seconds: Option<u32>) -> Result<Duration, SettingsError> {
    match seconds {
        None => Ok(DEFAULT_AUDIT_INTERVAL),
        Some(0) => {
            let why = "balances cannot be compared all the time; say every how many seconds";
            Err(SettingsError::invalid(format!("{at}.audit_interval_seconds"), why))
        }
        Some(seconds) => Ok(Duration::from_secs(u64::from(seconds))),
    }
}

const fn parse_check(written: HashFile) -> HashCheck {
    match written {
        HashFile::Recompute => HashCheck::Recompute,
        HashFile::Trust => HashCheck::Trust,
    }
}

/// The size counts in the asset's own units, as confirmations do: it needs no rate, and so cannot be moved by one.
fn parse_agreement(
    at: &str,
    written: &AgreementFile,
    decimals: u8,
    endpoints: usize,
) -> Result<AgreementRule, SettingsError> {
    let invalid = |why: &dyn fmt::Display| SettingsError::invalid(at, why);
    let AgreementFile { above, k, of } = written;
    if *k == 0 || of < k {
        return Err(invalid(&format!("k must be from 1 to of, and is {k} of {of}")));
    }
    if usize::try_from(*of).is_ok_and(|of| endpoints < of) {
        let why = format!("of is {of}, and the chain has {endpoints} endpoints (http)");
        return Err(invalid(&why));
    }
    let above_base_units = parse_units(above, decimals).map_err(|why| invalid(&why))?;
    Ok(AgreementRule { above_base_units, agreeing_min: *k })
}

fn parse_asset(
    at: &str,
    asset: AssetFile,
    chain_id: u64,
    endpoints: usize,
) -> Result<AssetSettings, SettingsError> {
    let contract = parse(&format!("{at}.contract"), &asset.contract)?;
    if asset.decimals > 36 {
        return Err(SettingsError::invalid(format!("{at}.decimals"), "must be at most 36"));
    }
    let id = AssetId { chain_id: ChainId(chain_id), contract };
    let opening_base_units = asset
        .opening
        .iter()
        .map(|(treasury, base_units)| {
            let setting = format!("{at}.opening");
            Ok((parse(&setting, treasury)?, parse::<U256>(&setting, base_units)?))
        })
        .collect::<Result<BTreeMap<_, _>, SettingsError>>()?;
    let agreement = asset.agreement.as_ref().map(|written| {
        parse_agreement(&format!("{at}.agreement"), written, asset.decimals, endpoints)
    });
    Ok(AssetSettings {
        agreement: agreement.transpose()?,
        confirmations: parse_policy(
            &format!("{at}.confirmations"),
            &asset.confirmations,
            asset.decimals,
        )?,
        rates: parse_sources(at, asset.rates)?,
        rules: asset.rate_rules,
        asset: Asset { id, symbol: asset.symbol, decimals: asset.decimals },
        opening_base_units,
    })
}

fn parse_policy(
    at: &str,
    written: &[ConfirmationFile],
    decimals: u8,
) -> Result<ConfirmationPolicy, SettingsError> {
    let rule = |step: &ConfirmationFile| match step.tag {
        None => ConfirmationRule::Depth(step.depth),
        Some(TagFile::Safe) => ConfirmationRule::Safe(step.depth),
        Some(TagFile::Finalized) => ConfirmationRule::Finalized(step.depth),
    };
    let invalid = |why: &dyn fmt::Display| SettingsError::invalid(at, why);
    let Some((last, steps)) = written.split_last() else {
        return ConfirmationPolicy::new(Vec::new(), ConfirmationRule::Depth(DEFAULT_CONFIRMATIONS))
            .map_err(|why| invalid(&why));
    };
    if last.up_to.is_some() {
        return Err(invalid(&"the last step must be without up_to: it covers all larger amounts"));
    }
    let steps = steps
        .iter()
        .map(|step| {
            let up_to = step
                .up_to
                .as_deref()
                .ok_or_else(|| invalid(&"only the last step may be without up_to"))?;
            let base_units = parse_units(up_to, decimals).map_err(|why| invalid(&why))?;
            Ok((base_units, rule(step)))
        })
        .collect::<Result<_, SettingsError>>()?;
    ConfirmationPolicy::new(steps, rule(last)).map_err(|why| invalid(&why))
}

fn parse_sources(
    at: &str,
    written: Vec<RateSourceFile>,
) -> Result<Vec<RateSourceSettings>, SettingsError> {
    written
        .into_iter()
        .enumerate()
        .map(|(index, source)| {
            let at = format!("{at}.rates[{index}]");
            Ok(match source {
                RateSourceFile::Fixed { usd } => {
                    RateSourceSettings::Fixed(parse(&format!("{at}.usd"), &usd)?)
                }
                RateSourceFile::Http { url, pointer, time_pointer } => RateSourceSettings::Http {
                    url: parse_url(&format!("{at}.url"), &url, &["http", "https"])?,
                    pointer,
                    time_pointer,
                },
                RateSourceFile::Chainlink { aggregator, heartbeat_seconds } => {
                    RateSourceSettings::Chainlink {
                        aggregator: parse(&format!("{at}.aggregator"), &aggregator)?,
                        heartbeat_seconds,
                    }
                }
                RateSourceFile::UniswapV3 { pool, window_seconds, quoted_in } => {
                    RateSourceSettings::UniswapV3 {
                        pool: parse(&format!("{at}.pool"), &pool)?,
                        window_seconds,
                        quoted_in,
                    }
                }
            })
        })
        .collect()
}

fn refuse_doubles(chains: &[ChainSettings]) -> Result<(), SettingsError> {
    let mut seen = BTreeSet::new();
    for chain in chains {
        if !seen.insert(chain.id) {
            return Err(SettingsError::invalid(
                "chains",
                format!("chain {} stands twice", chain.id),
            ));
        }
        let mut contracts = BTreeSet::new();
        let mut symbols = BTreeSet::new();
        for listed in &chain.assets {
            if !contracts.insert(listed.asset.id) || !symbols.insert(&listed.asset.symbol) {
                let why = format!("{} stands twice on chain {}", listed.asset.symbol, chain.id);
                return Err(SettingsError::invalid("chains.assets", why));
            }
        }
    }
    Ok(())
}
