//! The settings file as it is written, before it is checked. Unknown keys are refused here.

use std::{collections::BTreeMap, path::PathBuf};

use inspay_ledger::PriceVersion;
use inspay_quoting::RateRules;
use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SettingsFile {
    pub(super) database: DatabaseFile,
    pub(super) server: ServerFile,
    pub(super) catalog: CatalogFile,
    pub(super) sale: SaleFile,
    pub(super) settlement: SettlementFile,
    pub(super) credits: CreditsFile,
    pub(super) wallets: WalletsFile,
    pub(super) price_book: Vec<PriceVersion>,
    pub(super) chains: Vec<ChainFile>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DatabaseFile {
    pub(super) url: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ServerFile {
    pub(super) listen: Option<String>,
    pub(super) lease_seconds: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CatalogFile {
    pub(super) path: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CreditsFile {
    pub(super) hold_seconds: u32,
    pub(super) hold_seconds_max: u32,
    pub(super) grant_days: u16,
    pub(super) warn_seconds: u32,
    pub(super) campaigns: BTreeMap<String, String>,
    pub(super) plans: BTreeMap<String, PlanFile>,
    pub(super) free_plan: Option<FreePlanFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlanFile {
    pub(super) credits: String,
    pub(super) every: String,
    #[serde(default)]
    pub(super) keeps_cycles: u16,
    #[serde(default = "plan_priority")]
    pub(super) priority: u8,
}

/// Before what was bought, which lasts longer.
const fn plan_priority() -> u8 {
    40
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FreePlanFile {
    pub(super) credits: String,
    pub(super) days: u16,
}

impl Default for CreditsFile {
    /// A quarter of an hour outlasts most work, an hour a video's; lots of thirty days are warned of three days before.
    fn default() -> Self {
        Self {
            hold_seconds: 900,
            hold_seconds_max: 3_600,
            grant_days: 30,
            warn_seconds: 3 * 86_400,
            campaigns: BTreeMap::new(),
            plans: BTreeMap::new(),
            free_plan: None,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WalletsFile {
    pub(super) domain: String,
    pub(super) uri: String,
    pub(super) challenge_seconds: u32,
}

impl Default for WalletsFile {
    /// The local gateway; ten minutes to sign.
    fn default() -> Self {
        Self {
            domain: "localhost:8080".to_owned(),
            uri: "http://localhost:8080".to_owned(),
            challenge_seconds: 600,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SaleFile {
    pub(super) unpaid_orders_max: u32,
}

impl Default for SaleFile {
    /// Fourteen abandoned purchases on each day of a quarantine's week.
    fn default() -> Self {
        Self { unpaid_orders_max: 100 }
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum OddFile {
    #[default]
    Credit,
    Hold,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SettlementFile {
    pub(super) over: OddFile,
    pub(super) late: OddFile,
    pub(super) partial: OddFile,
    pub(super) quarantine_seconds: u32,
    pub(super) clock_skew_seconds: u32,
    pub(super) late_rate_age_seconds: u32,
}

impl Default for SettlementFile {
    /// A week of quarantine outlasts an exchange's slowest withdrawal; a minute covers clocks that are
    /// set by different people; an hour covers a gap in the sampling of rates.
    fn default() -> Self {
        Self {
            over: OddFile::Credit,
            late: OddFile::Credit,
            partial: OddFile::Credit,
            quarantine_seconds: 7 * 86_400,
            clock_skew_seconds: 60,
            late_rate_age_seconds: 3_600,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChainFile {
    pub(super) id: u64,
    pub(super) name: String,
    #[serde(default)]
    pub(super) http: Vec<String>,
    pub(super) ws: Option<String>,
    #[serde(default)]
    pub(super) start_block: u64,
    pub(super) treasuries: Vec<TreasuryFile>,
    pub(super) assets: Vec<AssetFile>,
    pub(super) native: NativeFile,
    pub(super) poll_interval_ms: Option<u64>,
    pub(super) finality_depth: Option<u64>,
    pub(super) audit_interval_seconds: Option<u32>,
    pub(super) request_timeout_ms: Option<u64>,
    #[serde(default)]
    pub(super) receipts: ReceiptsFile,
    #[serde(default)]
    pub(super) header_hash: HashFile,
    #[serde(default)]
    pub(super) chain_tx_hash: HashFile,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ReceiptsFile {
    #[default]
    Standard,
    SecondEndpoint,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum HashFile {
    #[default]
    Recompute,
    Trust,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TreasuryFile {
    pub(super) address: String,
    #[serde(default)]
    pub(super) from_block: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NativeFile {
    pub(super) symbol: String,
    #[serde(default)]
    pub(super) rates: Vec<RateSourceFile>,
    #[serde(default)]
    pub(super) rate_rules: RateRules,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AssetFile {
    pub(super) symbol: String,
    pub(super) contract: String,
    pub(super) decimals: u8,
    #[serde(default)]
    pub(super) confirmations: Vec<ConfirmationFile>,
    pub(super) agreement: Option<AgreementFile>,
    #[serde(default)]
    pub(super) rates: Vec<RateSourceFile>,
    #[serde(default)]
    pub(super) rate_rules: RateRules,
    #[serde(default)]
    pub(super) opening: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConfirmationFile {
    pub(super) up_to: Option<String>,
    pub(super) depth: u32,
    pub(super) tag: Option<TagFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AgreementFile {
    pub(super) above: String,
    pub(super) k: u32,
    pub(super) of: u32,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum TagFile {
    Safe,
    Finalized,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, tag = "kind", rename_all = "snake_case")]
pub(super) enum RateSourceFile {
    Fixed { usd: String },
    Http { url: String, pointer: String, time_pointer: Option<String> },
    Chainlink { aggregator: String, heartbeat_seconds: u32 },
    UniswapV3 { pool: String, window_seconds: u32, quoted_in: String },
}
