//! What the gateway hands to the router: stores, clocks, prices, settings and switches.
//!
//! Never a global: two routers in one process share nothing.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use inspay_ledger::PriceBook;
use inspay_ledger_writer::LedgerWriter;
use inspay_ports::{Chain, Store};
use inspay_primitives::{
    Address, Asset, AssetId, ChainId, ChainView, Clock, ConfirmationPolicy, Credits, Cycle, Label,
    Timestamp, U256,
};
use inspay_quoting::{AssetInput, Catalog, QuoteRequest};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::pending::PendingBoard;

/// Where the facts behind a quote come from.
#[async_trait]
pub trait PricingInputs: Send + Sync + fmt::Debug {
    /// The catalog that is sold from now.
    async fn catalog(&self) -> Arc<Catalog>;

    /// One input for each payable asset, in the order in which they are shown: the verdict on its
    /// rate and the gas of the very transfer. What fails for one asset is that asset's refusal.
    async fn inputs(&self, request: &QuoteRequest, now: Timestamp) -> Vec<AssetInput>;
}

/// A payable asset as the settings have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaleAsset {
    /// The asset, decimals as read from its contract.
    pub asset: Asset,
    /// Where it is paid to now.
    pub treasury: Address,
    /// What its transfers must wait for.
    pub confirmation: ConfirmationPolicy,
    /// From what size on several endpoints must have them.
    pub agreement: Option<SaleAgreement>,
}

/// That several endpoints must have a large transfer in the same canonical block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaleAgreement {
    /// Larger ones are meant.
    pub above_base_units: U256,
    /// So many must have it.
    pub endpoints_min: u32,
}

/// The payable assets, and to whom they are sold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaleSettings {
    /// In the order in which they are shown.
    pub assets: Vec<SaleAsset>,
    /// Unpaid orders that one account may have: whoever opens more only takes amounts from others. Requests at the
    /// same moment may pass it by a few.
    pub unpaid_orders_max: u64,
}

impl SaleSettings {
    /// The asset with that id.
    #[must_use]
    pub fn asset(&self, id: AssetId) -> Option<&SaleAsset> {
        self.assets.iter().find(|listed| listed.asset.id == id)
    }
}

/// Why a chain's follower cannot be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChainTroubleKind {
    /// It has not read the chain yet.
    Starting,
    /// It is more blocks behind the node than the settings allow.
    Behind,
    /// It makes no progress: no endpoint answers, or no block can be proven.
    Stalled,
    /// It has stopped crediting until somebody looks.
    Halted,
}

impl ChainTroubleKind {
    /// The kind as sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "chain_starting",
            Self::Behind => "chain_behind",
            Self::Stalled => "chain_stalled",
            Self::Halted => "chain_halted",
        }
    }
}

/// How one chain is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainStatus {
    /// The chain.
    pub chain_id: ChainId,
    /// What has been applied, if anything.
    pub view: Option<ChainView>,
    /// Who follows it, while this process stands by for it: that is no trouble.
    pub standby: Option<String>,
    /// What is wrong with it, for people.
    pub trouble: Option<(ChainTroubleKind, String)>,
    /// What people should know although it does not keep the chain from being followed.
    pub notes: Vec<String>,
}

/// Asked at every `GET /readyz`; must not block.
pub type ChainStatuses = Arc<dyn Fn() -> Vec<ChainStatus> + Send + Sync>;

/// Renders the Prometheus text; must not block.
pub type MetricsText = Arc<dyn Fn() -> String + Send + Sync>;

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// A request, until its answer begins.
    pub request_max: Duration,
    /// How often a stream or a waiting reader asks the store when nobody wakes it: what another
    /// process wrote is seen this late.
    pub poll_interval: Duration,
    /// The least time between two looks of one stream, however often it is woken.
    pub wake_interval_min: Duration,
    /// Between two heartbeats of a silent stream.
    pub heartbeat: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            request_max: Duration::from_secs(30),
            poll_interval: Duration::from_secs(1),
            wake_interval_min: Duration::from_millis(50),
            heartbeat: Duration::from_secs(15),
        }
    }
}

/// How wallets are proven.
#[derive(Clone, Debug)]
pub struct WalletSettings {
    /// Whose site asks: host, with its port where that is not the usual one.
    pub domain: String,
    /// What the signing is for.
    pub uri: String,
    /// How long a message can be signed.
    pub challenge_seconds: u32,
    /// Chains on which contract wallets are asked.
    pub chains: BTreeMap<ChainId, Arc<dyn Chain>>,
}

/// What can be subscribed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Credits of a cycle.
    pub credits: Credits,
    /// How long a cycle is.
    pub every: Cycle,
    /// For how many cycles more what is left of one can be spent; with none, it lapses with its cycle.
    pub keeps_cycles: u16,
    /// The burn-down priority of its lots; lower burns first.
    pub priority: u8,
}

/// What a wallet that is proven for the first time brings its account. Once per wallet, whoever proves it later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreePlan {
    /// How many credits.
    pub credits: Credits,
    /// For how many days; for ever where it is none.
    pub days: u16,
}

/// How credits are used and granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreditSettings {
    /// What a unit of each feature costs.
    pub prices: PriceBook,
    /// How long a hold can be captured where its request does not say.
    pub hold_seconds: u32,
    /// The longest that a request may say.
    pub hold_seconds_max: u32,
    /// How many days granted credits last where their request does not say.
    pub grant_days: u16,
    /// What each promotion may grant in all.
    pub campaigns: BTreeMap<Label, Credits>,
    /// What can be subscribed to.
    pub plans: BTreeMap<Label, Plan>,
    /// What a newly proven wallet brings.
    pub free_plan: Option<FreePlan>,
}

/// Everything that the router needs.
#[derive(Clone)]
pub struct ApiParts {
    /// Where everything is kept.
    pub store: Arc<dyn Store>,
    /// The gateway's time.
    pub clock: Arc<dyn Clock>,
    /// Facts behind quotes.
    pub pricing: Arc<dyn PricingInputs>,
    /// Payable assets.
    pub sale: Arc<SaleSettings>,
    /// How credits are used.
    pub credits: Arc<CreditSettings>,
    /// The way into the books.
    pub writer: LedgerWriter,
    /// How wallets are proven.
    pub wallets: Arc<WalletSettings>,
    /// How chains are followed.
    pub chains: ChainStatuses,
    /// Changes whenever something was committed in this process. Only a hint: the store is polled too.
    pub changed: watch::Receiver<u64>,
    /// Renders `/metrics`.
    pub metrics: MetricsText,
    /// Ends streams and waits when the process is to stop.
    pub shutdown: CancellationToken,
    /// Requests that must finish once begun; wait for it after the server has stopped.
    pub tasks: TaskTracker,
    /// Limits in time.
    pub timing: Timing,
}

impl fmt::Debug for ApiParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiParts")
            .field("store", &self.store)
            .field("clock", &self.clock)
            .field("pricing", &self.pricing)
            .field("sale", &self.sale)
            .field("timing", &self.timing)
            .finish_non_exhaustive()
    }
}

/// What handlers share.
#[derive(Clone, Debug)]
pub(crate) struct ApiState {
    pub(crate) parts: Arc<ApiParts>,
    pub(crate) pending: Arc<PendingBoard>,
}

impl ApiState {
    pub(crate) fn new(parts: ApiParts) -> Self {
        let pending = Arc::new(PendingBoard::new(&parts));
        Self { parts: Arc::new(parts), pending }
    }

    pub(crate) fn store(&self) -> &dyn Store {
        self.parts.store.as_ref()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    pub(crate) fn sale(&self) -> &SaleSettings {
        &self.parts.sale
    }
}
