//! Settings in their final types: everything is parsed and checked before anything starts.
//!
//! Order of precedence: environment (also from `.env`), then the file, then the embedded defaults, which are
//! an SQLite file beside the working directory and the local chain. Unknown keys are errors. Never holds a
//! key that could move money: there is none.

mod file;
mod local;
mod parse;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use inspay_api::CreditSettings;
use inspay_chain_evm::{HashCheck, ReceiptsProof};
use inspay_ledger::SettlementRules;
use inspay_primitives::{Address, Asset, ChainId, ConfirmationPolicy, Rate, U256};
use inspay_quoting::{Catalog, RateRules};
use inspay_settlement::AgreementRule;
use reqwest::Url;

pub(crate) use local::local_chain;
pub(crate) use parse::{load, read};

/// Where things are kept.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Database {
    /// A file.
    Sqlite(PathBuf),
    /// A server; the URL may hold a password and is never printed.
    Postgres(String),
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => match Url::parse(url) {
                Ok(url) => {
                    write!(f, "postgres://{}{}", url.host_str().unwrap_or("(socket)"), url.path())
                }
                Err(_) => f.write_str("postgres://(unreadable)"),
            },
        }
    }
}

/// What a sign-in message says of the site.
#[derive(Clone, Debug)]
pub(crate) struct SignInSettings {
    /// Whose site asks: host, with its port where that is not the usual one.
    pub(crate) domain: String,
    /// What the signing is for.
    pub(crate) uri: String,
    /// How long a message can be signed.
    pub(crate) challenge_seconds: u32,
}

/// Everything the gateway goes by.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Where things are kept.
    pub(crate) database: Database,
    /// Where HTTP is answered.
    pub(crate) listen: SocketAddr,
    /// How long a chain's lease is held without being renewed.
    pub(crate) lease_ttl: Duration,
    /// What is sold.
    pub(crate) catalog: Arc<Catalog>,
    /// Chains that are followed.
    pub(crate) chains: Vec<ChainSettings>,
    /// Odd amounts.
    pub(crate) rules: SettlementRules,
    /// Unpaid orders that one account may have.
    pub(crate) unpaid_orders_max: u32,
    /// How credits are used and granted.
    pub(crate) credits: Arc<CreditSettings>,
    /// Whose site asks wallets to sign, what for, and how long a message is good.
    pub(crate) wallets: SignInSettings,
    /// How long before a lot lapses its owner is told.
    pub(crate) warn_seconds: u32,
    /// How long an unpaid order's amount stays out of use.
    pub(crate) quarantine_seconds: u32,
    /// How far a block's time may lie before an order's making and still count as after it.
    pub(crate) clock_skew_seconds: u32,
    /// How old a rate may be at a block's time to price a late payment by.
    pub(crate) late_rate_age_seconds: u32,
}

/// One chain.
#[derive(Clone, Debug)]
pub(crate) struct ChainSettings {
    /// EIP-155 id.
    pub(crate) id: ChainId,
    /// Name for people.
    pub(crate) name: String,
    /// Endpoints, best first. They may hold secrets.
    pub(crate) http: Vec<Url>,
    /// Wakes the follower; never trusted.
    pub(crate) ws: Option<Url>,
    /// The first followed block.
    pub(crate) start_block: u64,
    /// Treasuries with the first block each is paid from; the last one is paid now.
    pub(crate) treasuries: Vec<(Address, u64)>,
    /// Listed tokens.
    pub(crate) assets: Vec<AssetSettings>,
    /// Symbol of the native token.
    pub(crate) native_symbol: String,
    /// Rates of the native token.
    pub(crate) native_rates: Vec<RateSourceSettings>,
    /// When native rates make a rate.
    pub(crate) native_rules: RateRules,
    /// How often to look for a new head where no WebSocket tells of one.
    pub(crate) poll_interval: Duration,
    /// How deep a block is taken for final where the chain has no `finalized` tag.
    pub(crate) finality_depth: Option<u64>,
    /// How often balances are compared with the chain where nothing waits for it.
    pub(crate) audit_interval: Duration,
    /// How long one request to an endpoint may take.
    pub(crate) request_timeout: Duration,
    /// How a block's set of transfers is proven.
    pub(crate) receipts: ReceiptsProof,
    /// Whether header hashes are recomputed.
    pub(crate) header_hash: HashCheck,
    /// Whether the hashes of chain transactions are recomputed.
    pub(crate) chain_tx_hash: HashCheck,
}

impl ChainSettings {
    /// The treasury that is paid now.
    #[must_use]
    pub(crate) fn treasury(&self) -> Option<Address> {
        self.treasuries.last().map(|(treasury, _)| *treasury)
    }
}

/// How often balances are compared where nobody says.
const DEFAULT_AUDIT_INTERVAL: Duration = Duration::from_secs(600);

/// One listed token.
#[derive(Clone, Debug)]
pub(crate) struct AssetSettings {
    /// The token.
    pub(crate) asset: Asset,
    /// When its transfers are deep enough.
    pub(crate) confirmations: ConfirmationPolicy,
    /// Above what size several endpoints must agree on a transfer before it is settled.
    pub(crate) agreement: Option<AgreementRule>,
    /// Where its rate comes from.
    pub(crate) rates: Vec<RateSourceSettings>,
    /// When its samples make a rate.
    pub(crate) rules: RateRules,
    /// What each treasury held before the first followed block, where the node cannot tell any more.
    pub(crate) opening_base_units: BTreeMap<Address, U256>,
}

/// One source of a rate.
#[derive(Clone, Debug)]
pub(crate) enum RateSourceSettings {
    /// A constant.
    Fixed(Rate),
    /// A JSON document over HTTP.
    Http {
        /// Where.
        url: Url,
        /// JSON pointer to the price.
        pointer: String,
        /// JSON pointer to its time, if it has one.
        time_pointer: Option<String>,
    },
    /// A Chainlink aggregator on the asset's chain.
    Chainlink {
        /// The aggregator.
        aggregator: Address,
        /// How old its answer may be.
        heartbeat_seconds: u32,
    },
    /// The time-weighted average of a Uniswap V3 pool on the asset's chain, quoted in another listed asset.
    UniswapV3 {
        /// The pool.
        pool: Address,
        /// Over how long.
        window_seconds: u32,
        /// Symbol of the asset on the pool's other side.
        quoted_in: String,
    },
}

/// Why the settings cannot be used. Names the setting.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read the settings file {path}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not TOML of the expected form, or has an unknown key.
    #[error("the settings file {path} is not valid")]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A setting makes no sense.
    #[error("setting {setting}: {why}")]
    Invalid {
        /// Which setting, such as `chains[0].treasuries[1].address`.
        setting: String,
        /// Why not.
        why: String,
    },
}

impl SettingsError {
    fn invalid(setting: impl Into<String>, why: impl fmt::Display) -> Self {
        Self::Invalid { setting: setting.into(), why: why.to_string() }
    }
}
