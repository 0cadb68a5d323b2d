//! A gateway's process: the real follower, worker and writer, which die and start again.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use inspay_chain_evm::{EvmChain, EvmChainSettings, Transport};
use inspay_ledger_writer::{LedgerWriter, WriterLimits};
use inspay_ports::{BooksStore, Chain, Store, fake::FakeStore};
use inspay_primitives::{Asset, Clock, Timestamp};
use inspay_settlement::{
    AssetRules, ChainWork, SettlementPolicy, SettlementWorker, WorkerSettings,
};
use inspay_watcher::{FollowSettings, FollowedAsset, Follower, LeaseTerms};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{
    chain::{CHAIN, GENESIS_SECONDS, INSPI, USDT, asset},
    chaos::Chaos,
    dice::Dice,
    endpoint::{Shared, SimEndpoint},
    journal::Event,
    laws::{Laws, Rules},
    plant::Plant,
    ports::{SimPort, SimStore, StoreTime},
};

/// How long a lease outlives its holder.
const LEASE_TTL: Duration = Duration::from_secs(10);

/// The time of the simulated world, and by how much the gateway's clock is off.
#[derive(Debug)]
pub(crate) struct SimClock {
    started: Instant,
    off_micros: AtomicI64,
}

impl SimClock {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), off_micros: AtomicI64::new(0) }
    }

    /// Seconds of the world.
    pub(crate) fn seconds(&self) -> u64 {
        GENESIS_SECONDS.saturating_add(self.started.elapsed().as_secs())
    }

    pub(crate) fn jump(&self, seconds: i64) {
        self.off_micros.store(seconds.saturating_mul(1_000_000), Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let elapsed = i64::try_from(self.started.elapsed().as_micros()).unwrap_or(i64::MAX);
        let genesis = Timestamp::from_chain_seconds(GENESIS_SECONDS).micros();
        let off = self.off_micros.load(Ordering::Relaxed);
        Timestamp::from_micros(genesis.saturating_add(elapsed).saturating_add(off))
    }
}

/// What a token is, as the settings know it.
pub(crate) fn listed(token: inspay_primitives::Address) -> Asset {
    let (symbol, decimals) = if token == USDT { ("USDT", 6) } else { ("INSPI", 18) };
    Asset { id: asset(token), symbol: symbol.to_owned(), decimals }
}

/// Everything that processes are made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) shared: Arc<Shared>,
    pub(crate) clock: Arc<SimClock>,
    pub(crate) endpoints: Vec<Arc<SimEndpoint>>,
    pub(crate) store: Arc<FakeStore>,
    pub(crate) laws: Arc<Mutex<Laws>>,
    pub(crate) rules: Rules,
    pub(crate) follow: FollowSettings,
    pub(crate) plant: Option<Plant>,
    pub(crate) seed: u64,
    pub(crate) store_time: Arc<StoreTime>,
    /// Whether one of several followers at a time holds the chain's lease; if not, the cursor alone guards it.
    pub(crate) is_leased: bool,
}

impl Parts {
    fn policy(&self) -> SettlementPolicy {
        let mut assets = HashMap::new();
        for token in [USDT, INSPI] {
            let mut confirmations = self.rules.confirmations.get(&asset(token)).cloned();
            if self.plant == Some(Plant::EarlyCredit) {
                let one = inspay_primitives::ConfirmationRule::Depth(1);
                confirmations = inspay_primitives::ConfirmationPolicy::new(Vec::new(), one).ok();
            }
            let Some(confirmations) = confirmations else { continue };
            let rules = AssetRules {
                decimals: listed(token).decimals,
                confirmations,
                late_rate_age_seconds: self.rules.late_rate_age_seconds,
            };
            assets.insert(asset(token), rules);
        }
        SettlementPolicy { assets, rules: self.rules.settlement, clock_skew_seconds: 15 }
    }

    /// Runs a process until it is dropped: from one death to the next.
    pub(crate) async fn live(self: Arc<Self>, number: u64) {
        for life in 0_u64.. {
            let part = 1_000 + number * 10_000 + life;
            let mut dice = Dice::new(self.seed, part);
            let name = format!("process {number}.{life}");
            self.shared.journal.tell(format_args!("{name} starts"));
            let chaos = Arc::new(Chaos::new(Arc::clone(&self.shared), name.clone(), dice.clone()));
            let Some(evm) = self.adapter() else { return };
            tokio::select! {
                biased;
                () = chaos.died() => {}
                () = chaos.while_awake(self.run(evm, &chaos, name)) => {}
            }
            let is_long = dice.chance(150);
            let down_seconds = if is_long { dice.between(60, 400) } else { dice.between(1, 20) };
            if is_long {
                self.shared.journal.saw(Event::Downtime);
            }
            sleep(Duration::from_secs(down_seconds)).await;
        }
    }

    fn adapter(&self) -> Option<EvmChain> {
        let settings =
            EvmChainSettings { jitter: false, ..EvmChainSettings::new(CHAIN, vec![], None) };
        let transports =
            self.endpoints.iter().map(|endpoint| Arc::clone(endpoint) as Arc<dyn Transport>);
        match EvmChain::over(settings, transports.collect()) {
            Ok(evm) => Some(evm),
            Err(error) => {
                self.shared.journal.broken("the adapter can be made", error.kind.to_string());
                None
            }
        }
    }

    async fn run(&self, evm: EvmChain, chaos: &Arc<Chaos>, name: String) {
        let chain: Arc<dyn Chain> = Arc::new(SimPort {
            evm,
            chaos: Arc::clone(chaos),
            shared: Arc::clone(&self.shared),
            plant: self.plant,
        });
        let store = Arc::new(SimStore {
            inner: Arc::clone(&self.store),
            laws: Arc::clone(&self.laws),
            chaos: Arc::clone(chaos),
            shared: Arc::clone(&self.shared),
            plant: self.plant,
            stale: std::sync::Mutex::default(),
            inner_time: Arc::clone(&self.store_time),
        });
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let (writer, task) = LedgerWriter::new(
            Arc::clone(&store) as Arc<dyn BooksStore>,
            Arc::clone(&clock),
            self.rules.settlement,
            WriterLimits::default(),
        );
        let follower = Follower::new(
            Arc::clone(&chain),
            Arc::clone(&store) as Arc<dyn Store>,
            self.follow.clone(),
            Arc::clone(&clock),
        );
        let books =
            crate::plant::SimBooks { writer, store: Arc::clone(&self.store), plant: self.plant };
        let worker = SettlementWorker::new(
            ChainWork { chain, applied: Some(follower.applied()) },
            store,
            Arc::new(books),
            clock,
            Arc::new(self.policy()),
            WorkerSettings {
                idle_interval: self.follow.poll_interval,
                ..WorkerSettings::default()
            },
        );
        let never = CancellationToken::new();
        let follow = async {
            if self.is_leased {
                let is_dead: Arc<dyn Fn(&str) -> bool + Send + Sync> = Arc::new(|_| false);
                let terms = LeaseTerms { holder: name, ttl: LEASE_TTL, is_dead };
                follower.run_leased(terms, never.clone()).await;
            } else {
                follower.run(never.clone()).await;
            }
        };
        tokio::join!(follow, worker.run(never.clone()), task.run());
    }
}

/// What the follower goes by, for tokens and treasuries of the simulated chain.
pub(crate) fn follow_settings(
    treasuries: Vec<(inspay_primitives::Address, u64)>,
    block_seconds: u64,
) -> FollowSettings {
    let assets = [USDT, INSPI].map(|token| FollowedAsset::new(listed(token))).to_vec();
    FollowSettings::new(CHAIN, treasuries, assets, Duration::from_secs(block_seconds))
}
