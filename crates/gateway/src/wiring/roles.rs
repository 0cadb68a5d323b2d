//! Roles: what a process does, started, watched and stopped together.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::Arc,
};

use async_trait::async_trait;
use inspay_api::{
    ApiParts, ChainStatus, ChainTroubleKind, PricingInputs, SaleAgreement, SaleAsset, SaleSettings,
    Timing, WalletSettings,
};
use inspay_chain_evm::{EndpointView, EvmChain};
use inspay_ledger::Operation;
use inspay_ledger_writer::{LedgerWriter, WriterLimits};
use inspay_ports::{Chain, Store};
use inspay_primitives::{AssetId, ChainId, ChainView, Clock, Fence};
use inspay_settlement::{
    AgreementRule, AssetRules, Books, BooksError, ChainWork, SettlementPolicy, SettlementWorker,
    WorkerSettings,
};
use inspay_watcher::{
    FollowSettings, FollowStatus, FollowedAsset, Follower, LeaseTerms, check_settings,
};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{GatewayPricing, Points, connect_evm, rate_book};
use crate::{
    exit::{Failure, FailureKind, Outcome},
    process_name::{has_ended, process_name},
    settings::{ChainSettings, Settings, SignInSettings},
    system_clock::SystemClock,
    telemetry,
};

/// Blocks that a follower may trail its node before the process counts as not ready.
const BEHIND_BLOCKS: u64 = 64;

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Answer HTTP.
    Api,
    /// Follow the chains.
    Watch,
    /// Settle what arrives.
    Settle,
}

/// The started roles.
#[derive(Debug)]
pub(crate) struct Running {
    address: Option<SocketAddr>,
    tasks: JoinSet<Outcome>,
    requests: TaskTracker,
    ended: CancellationToken,
}

impl Running {
    /// Where HTTP is answered, if it is.
    pub(crate) const fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Resolves once a role has ended by itself, which none should.
    pub(crate) fn ended(&self) -> impl Future<Output = ()> + use<> {
        let ended = self.ended.clone();
        async move { ended.cancelled().await }
    }

    /// Waits until every role has come to its end; the first failure is the outcome.
    pub(crate) async fn finish(mut self) -> Outcome {
        let mut outcome = Ok(());
        while let Some(joined) = self.tasks.join_next().await {
            let ended = joined
                .map_err(|why| Failure::new(FailureKind::Other, "a role broke down", why))
                .and_then(|ended| ended);
            outcome = outcome.and(ended);
        }
        self.requests.close();
        self.requests.wait().await;
        outcome
    }
}

/// The ledger writer as settlement sees it.
#[derive(Debug)]
struct WriterBooks(LedgerWriter);

#[async_trait]
impl Books for WriterBooks {
    async fn write(
        &self,
        fence: Fence,
        operations: Vec<Operation>,
    ) -> Result<Vec<inspay_ledger::Outcome>, BooksError> {
        self.0.write_fenced(fence, operations).await.map_err(|error| BooksError {
            transient: error.is_transient(),
            source: Box::new(error),
        })
    }
}

/// What the roles share while they are started.
struct Starting<'a> {
    settings: &'a Settings,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    cancel: CancellationToken,
    adapters: BTreeMap<ChainId, Arc<EvmChain>>,
    chains: BTreeMap<ChainId, Arc<dyn Chain>>,
    followers: BTreeMap<ChainId, watch::Receiver<FollowStatus>>,
    applied: BTreeMap<ChainId, watch::Receiver<u64>>,
    writer: Option<LedgerWriter>,
    tasks: JoinSet<Outcome>,
    ended: CancellationToken,
}

/// Starts roles. Chains are checked against the settings before anything is followed.
pub(crate) async fn start(
    settings: &Settings,
    store: Arc<dyn Store>,
    roles: &[Role],
    points: &Points,
    cancel: CancellationToken,
) -> Outcome<Running> {
    let metrics = telemetry::start_metrics()?;
    let adapters = settings
        .chains
        .iter()
        .map(|chain| Ok((chain.id, connect_evm(chain)?)))
        .collect::<Outcome<BTreeMap<_, _>>>()?;
    let chains = adapters
        .iter()
        .map(|(chain_id, adapter)| (*chain_id, points.chain(Arc::clone(adapter) as Arc<dyn Chain>)))
        .collect();
    let mut starting = Starting {
        settings,
        store,
        clock: Arc::new(SystemClock),
        cancel,
        adapters,
        chains,
        followers: BTreeMap::new(),
        applied: BTreeMap::new(),
        writer: None,
        tasks: JoinSet::new(),
        ended: CancellationToken::new(),
    };
    if roles.contains(&Role::Watch) {
        starting.watch().await?;
    }
    if roles.contains(&Role::Settle) || roles.contains(&Role::Api) {
        starting.write();
    }
    if roles.contains(&Role::Settle) {
        starting.settle(points);
    }
    let requests = TaskTracker::new();
    let address = if roles.contains(&Role::Api) {
        let render = Arc::new(move || metrics.render());
        Some(starting.serve(render, requests.clone()).await?)
    } else {
        None
    };
    Ok(Running { address, tasks: starting.tasks, requests, ended: starting.ended })
}

impl Starting<'_> {
    /// Runs a role; when it ends, [`Running::ended`] tells.
    fn run(&mut self, role: impl Future<Output = Outcome> + Send + 'static) {
        let ended = self.ended.clone();
        self.tasks.spawn(async move {
            let _told = ended.drop_guard();
            role.await
        });
    }

    async fn watch(&mut self) -> Outcome {
        for chain in &self.settings.chains {
            let Some(port) = self.chains.get(&chain.id).cloned() else { continue };
            let follow = follow_settings(chain);
            check_settings(&port, &follow).await.map_err(|why| {
                Failure::new(FailureKind::Chain, format!("cannot follow chain {}", chain.id), why)
            })?;
            let follower =
                Follower::new(port, Arc::clone(&self.store), follow, Arc::clone(&self.clock));
            self.followers.insert(chain.id, follower.status());
            self.applied.insert(chain.id, follower.applied());
            let cancel = self.cancel.clone();
            let terms = lease_terms(self.settings);
            self.run(async move {
                follower.run_leased(terms, cancel).await;
                Ok(())
            });
        }
        Ok(())
    }

    /// The one way into the books of this process: settling and spending queue up together.
    fn write(&mut self) {
        let (writer, task) = LedgerWriter::new(
            Arc::clone(&self.store) as _,
            Arc::clone(&self.clock),
            self.settings.rules,
            WriterLimits::default(),
        );
        self.writer = Some(writer);
        self.run(async move {
            task.run().await;
            Ok(())
        });
    }

    fn settle(&mut self, points: &Points) {
        let Some(writer) = self.writer.clone() else { return };
        let books = points.books(Arc::new(WriterBooks(writer)));
        let policy = Arc::new(settlement_policy(self.settings));
        let settings = WorkerSettings {
            quarantine_seconds: self.settings.quarantine_seconds,
            warn_seconds: self.settings.warn_seconds,
            ..WorkerSettings::default()
        };
        for (chain_id, chain) in self.chains.clone() {
            let worker = SettlementWorker::new(
                ChainWork { chain, applied: self.applied.get(&chain_id).cloned() },
                Arc::clone(&self.store),
                Arc::clone(&books),
                Arc::clone(&self.clock),
                Arc::clone(&policy),
                settings,
            )
            .with_agreements(agreements(self.settings));
            let cancel = self.cancel.clone();
            // Several processes may settle one chain: what one has done the books refuse to do again. So there is no
            // lease for it, and no wait for another one to run out.
            self.run(async move {
                worker.run(cancel).await;
                Ok(())
            });
        }
    }

    async fn serve(
        &mut self,
        metrics: Arc<dyn Fn() -> String + Send + Sync>,
        requests: TaskTracker,
    ) -> Outcome<SocketAddr> {
        let failed = |act: &str| {
            let act = format!("cannot {act} {} (server.listen)", self.settings.listen);
            move |why: std::io::Error| Failure::new(FailureKind::Other, act, why)
        };
        let listener =
            TcpListener::bind(self.settings.listen).await.map_err(failed("listen on"))?;
        let address = listener.local_addr().map_err(failed("listen on"))?;
        let pricing = Arc::new(GatewayPricing::new(
            Arc::clone(&self.settings.catalog),
            self.settings.chains.clone(),
            self.chains.clone(),
            rate_book(self.settings)?,
            Arc::clone(&self.store),
        ));
        let keeper = Arc::clone(&pricing).keep_rates(Arc::clone(&self.clock), self.cancel.clone());
        self.run(async move {
            keeper.await;
            Ok(())
        });
        let writer = self.writer.clone().ok_or_else(|| {
            let why = std::io::Error::other("nothing writes the books");
            Failure::new(FailureKind::Other, "cannot answer HTTP", why)
        })?;
        let parts = ApiParts {
            credits: Arc::clone(&self.settings.credits),
            writer,
            wallets: Arc::new(self.wallets()),
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock),
            pricing: pricing as Arc<dyn PricingInputs>,
            sale: Arc::new(sale_settings(self.settings)),
            chains: self.chain_statuses(),
            changed: self.changes(),
            metrics,
            shutdown: self.cancel.clone(),
            tasks: requests,
            timing: Timing::default(),
        };
        let router = inspay_api::router(parts).map_err(|why| {
            Failure::new(FailureKind::Other, "cannot write the API document", why)
        })?;
        let cancel = self.cancel.clone();
        self.run(async move {
            axum::serve(listener, router)
                .with_graceful_shutdown(async move { cancel.cancelled().await })
                .await
                .map_err(|why| Failure::new(FailureKind::Other, "the HTTP server broke down", why))
        });
        Ok(address)
    }

    fn wallets(&self) -> WalletSettings {
        let SignInSettings { domain, uri, challenge_seconds } = self.settings.wallets.clone();
        WalletSettings { domain, uri, challenge_seconds, chains: self.chains.clone() }
    }

    /// One counter that moves whenever anything was committed in this process.
    fn changes(&mut self) -> watch::Receiver<u64> {
        let (sender, receiver) = watch::channel(0u64);
        let sender = Arc::new(sender);
        for mut source in
            self.applied.values().cloned().chain(self.writer.iter().map(LedgerWriter::committed))
        {
            let sender = Arc::clone(&sender);
            let cancel = self.cancel.clone();
            self.tasks.spawn(async move {
                loop {
                    tokio::select! {
                        () = cancel.cancelled() => return Ok(()),
                        changed = source.changed() => {
                            if changed.is_err() {
                                return Ok(());
                            }
                            sender.send_modify(|count| *count = count.wrapping_add(1));
                        }
                    }
                }
            });
        }
        receiver
    }

    fn chain_statuses(&self) -> inspay_api::ChainStatuses {
        let (followers, adapters) = (self.followers.clone(), self.adapters.clone());
        let notes = move |chain_id: &ChainId| {
            let views = adapters.get(chain_id).map(|adapter| adapter.endpoints());
            views.iter().flatten().filter_map(EndpointView::note).collect()
        };
        Arc::new(move || {
            followers
                .iter()
                .map(|(chain_id, status)| {
                    chain_status(*chain_id, &status.borrow(), notes(chain_id))
                })
                .collect()
        })
    }
}

fn chain_status(chain_id: ChainId, status: &FollowStatus, notes: Vec<String>) -> ChainStatus {
    let view = status.tip.map(|head| ChainView {
        head,
        safe_number: status.tags.safe_number,
        finalized_number: status.tags.finalized_number,
        audited_to: status.audited_to,
    });
    let standby = status.standby.as_ref().map(|held| held.holder.clone());
    ChainStatus { chain_id, view, standby, trouble: trouble(status), notes }
}

/// What keeps a follower from being relied on, worst first.
fn trouble(status: &FollowStatus) -> Option<(ChainTroubleKind, String)> {
    if let Some(reason) = &status.halted {
        return Some((ChainTroubleKind::Halted, reason.to_string()));
    }
    if let Some(stall) = &status.stalled {
        return Some((ChainTroubleKind::Stalled, stall.to_string()));
    }
    if status.standby.is_some() {
        return None;
    }
    if !status.checked {
        return Some((ChainTroubleKind::Starting, "the chain has not been read yet".to_owned()));
    }
    (status.lag_blocks > BEHIND_BLOCKS).then(|| {
        (ChainTroubleKind::Behind, format!("{} blocks behind the node", status.lag_blocks))
    })
}

/// How this process holds leases.
pub(crate) fn lease_terms(settings: &Settings) -> LeaseTerms {
    LeaseTerms { holder: process_name(), ttl: settings.lease_ttl, is_dead: Arc::new(has_ended) }
}

pub(crate) fn follow_settings(chain: &ChainSettings) -> FollowSettings {
    let assets = chain
        .assets
        .iter()
        .map(|listed| FollowedAsset {
            opening_base_units: listed.opening_base_units.clone(),
            ..FollowedAsset::new(listed.asset.clone())
        })
        .collect();
    let settings =
        FollowSettings::new(chain.id, chain.treasuries.clone(), assets, chain.poll_interval);
    FollowSettings {
        start_number: chain.start_block,
        poll_interval: chain.poll_interval,
        finality_depth: chain.finality_depth.unwrap_or(settings.finality_depth),
        audit_interval: chain.audit_interval,
        audit_retry_interval: settings.audit_retry_interval.min(chain.audit_interval),
        ..settings
    }
}

/// What several endpoints must agree on before it is settled.
fn agreements(settings: &Settings) -> HashMap<AssetId, AgreementRule> {
    let assets = settings.chains.iter().flat_map(|chain| &chain.assets);
    assets.filter_map(|listed| Some((listed.asset.id, listed.agreement?))).collect()
}

fn settlement_policy(settings: &Settings) -> SettlementPolicy {
    let assets: HashMap<_, _> = settings
        .chains
        .iter()
        .flat_map(|chain| &chain.assets)
        .map(|listed| {
            let rules = AssetRules {
                decimals: listed.asset.decimals,
                confirmations: listed.confirmations.clone(),
                late_rate_age_seconds: settings.late_rate_age_seconds,
            };
            (listed.asset.id, rules)
        })
        .collect();
    SettlementPolicy {
        assets,
        rules: settings.rules,
        clock_skew_seconds: settings.clock_skew_seconds,
    }
}

fn sale_settings(settings: &Settings) -> SaleSettings {
    let assets = settings
        .chains
        .iter()
        .filter_map(|chain| chain.treasury().map(|treasury| (chain, treasury)))
        .flat_map(|(chain, treasury)| {
            chain.assets.iter().map(move |listed| SaleAsset {
                asset: listed.asset.clone(),
                treasury,
                confirmation: listed.confirmations.clone(),
                agreement: listed.agreement.map(|rule| SaleAgreement {
                    above_base_units: rule.above_base_units,
                    endpoints_min: rule.agreeing_min,
                }),
            })
        })
        .collect();
    SaleSettings { assets, unpaid_orders_max: u64::from(settings.unpaid_orders_max) }
}
