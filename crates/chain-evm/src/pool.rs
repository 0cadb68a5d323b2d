//! The endpoints of one chain, and which of them to ask.
//!
//! Never takes the first answer for the truth because it came first: what an answer must fit is checked by
//! whoever asks, and one that does not is its endpoint's fault, not the chain's. The order is: those that
//! are ready and stand with the others, by their recent failures and then as the settings name them; those
//! that lag; those on another branch; those that failed a moment ago. One that was wrong is asked only
//! where no other can be.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
    time::Duration,
};

use futures::{StreamExt, future::join_all, stream::FuturesUnordered};
use inspay_ports::ChainErrorKind;
use inspay_primitives::ChainId;
use tokio::time::{Instant, sleep_until, timeout};

use crate::{
    endpoint::{Endpoint, EndpointView},
    heads::Heads,
    health::Standing,
    log::ToldLog,
    meters,
    read_once::ReadOnce,
    reads,
    retry::{RetryPolicy, retry_transient},
    second_word::Silence,
    settings::EvmChainSettings,
    sources::Sources,
    transport::Transport,
};

/// Longer than that nobody waits for a rate limit to pass: the caller is told.
const WAIT_MAX: Duration = Duration::from_secs(3);

/// After that long the caller is told, and decides.
const RETRY_MAX: Duration = Duration::from_secs(5);

/// Of so many recent failures an endpoint's order does not tell the difference: one now and then must not
/// send everything to the next.
const FAILURES_ALIKE: u32 = 4;

/// How a question is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// At once, and from the next endpoint as well where the first takes long.
    Urgent,
    /// No sooner than the endpoint's learned pace allows, that many calls at a time.
    Patient(u64),
}

/// What endpoints are ordered by: how they stand, whether they are busy, their recent failures.
type Rank = (u8, bool, u32);

#[derive(Debug)]
pub(crate) struct Pool {
    endpoints: Vec<Arc<Endpoint>>,
    pub(super) policy: RetryPolicy,
    pub(super) heads: Arc<Mutex<Heads>>,
    sources: Mutex<Sources>,
    logs_once: ReadOnce<Vec<ToldLog>>,
    silence: Mutex<Silence>,
    compared_at: Mutex<Option<Instant>>,
    hedge_after: Duration,
    chain_id: ChainId,
}

impl Pool {
    pub(crate) fn new(
        settings: &EvmChainSettings,
        transports: Vec<Arc<dyn Transport>>,
        calls: &Arc<AtomicU64>,
    ) -> Result<Self, ChainErrorKind> {
        if transports.is_empty() {
            return Err(ChainErrorKind::Refused("the settings name no endpoint".to_owned()));
        }
        let endpoints: Vec<_> = transports
            .into_iter()
            .enumerate()
            .map(|(index, transport)| {
                Arc::new(Endpoint::new(index, transport, settings, Arc::clone(calls)))
            })
            .collect();
        let policy = RetryPolicy {
            tries_max: 4,
            first_delay: Duration::from_millis(50),
            delay_max: Duration::from_secs(1),
            // What took a timeout to fail is not tried again here.
            elapsed_max: settings.request_timeout.min(RETRY_MAX),
            jitter: settings.jitter,
        };
        let heads = Arc::new(Mutex::new(Heads::new(endpoints.len())));
        Ok(Self {
            endpoints,
            policy,
            heads,
            sources: Mutex::default(),
            logs_once: ReadOnce::default(),
            silence: Mutex::default(),
            compared_at: Mutex::default(),
            hedge_after: settings.hedge_after,
            chain_id: settings.chain_id,
        })
    }

    pub(crate) fn endpoints(&self) -> &[Arc<Endpoint>] {
        &self.endpoints
    }

    pub(super) fn heads(&self) -> MutexGuard<'_, Heads> {
        lock(&self.heads)
    }

    pub(crate) fn sources(&self) -> MutexGuard<'_, Sources> {
        lock(&self.sources)
    }

    /// Reads logs that several endpoints are asked for.
    pub(crate) const fn logs_once(&self) -> &ReadOnce<Vec<ToldLog>> {
        &self.logs_once
    }

    /// How long no second endpoint has told what nothing proves.
    pub(crate) fn silence(&self) -> MutexGuard<'_, Silence> {
        lock(&self.silence)
    }

    /// When the endpoints' finalized blocks were compared last.
    pub(super) fn compared_at(&self) -> MutexGuard<'_, Option<Instant>> {
        lock(&self.compared_at)
    }

    /// The endpoint that is asked first where a question may wait.
    pub(crate) fn first(&self) -> Option<usize> {
        self.askable(Manner::Urgent).first().map(|endpoint| endpoint.index())
    }

    /// How the endpoints are doing, in the settings' order.
    pub(crate) fn views(&self) -> Vec<EndpointView> {
        let (heads, now) = (self.heads(), Instant::now());
        let view = |endpoint: &Arc<Endpoint>| {
            let place = endpoint.index();
            let stray = heads.stray(place).map(|stray| stray.reason.clone());
            endpoint.view(heads.is_lagging(place, now), stray)
        };
        self.endpoints.iter().map(view).collect()
    }

    pub(crate) fn publish(&self) {
        meters::endpoints(self.chain_id, &self.views());
    }

    /// Asks the best endpoint, and the next ones where it does not answer or takes long; all of them
    /// again, a few times, where none could be reached or all limit the rate of requests.
    pub(crate) async fn ask<T, F, Fut>(&self, question: F) -> Result<T, ChainErrorKind>
    where
        F: Fn(Arc<Endpoint>) -> Fut,
        Fut: Future<Output = Result<T, ChainErrorKind>>,
    {
        let asked = || async {
            let order = self.in_order(Manner::Urgent).await?;
            self.ask_those(order, Manner::Urgent, &question).await
        };
        retry_transient(self.policy, is_short_trouble, asked).await
    }

    /// As [`Self::ask`], but none of those in `not`.
    pub(crate) async fn ask_besides<T, F, Fut>(
        &self,
        not: &[usize],
        question: F,
    ) -> Result<T, ChainErrorKind>
    where
        F: Fn(Arc<Endpoint>) -> Fut,
        Fut: Future<Output = Result<T, ChainErrorKind>>,
    {
        let asked = || async {
            let mut order = self.in_order(Manner::Urgent).await?;
            order.retain(|endpoint| !not.contains(&endpoint.index()));
            self.ask_those(order, Manner::Urgent, &question).await
        };
        retry_transient(self.policy, is_short_trouble, asked).await
    }

    /// As [`Self::ask`], for what is many calls and may wait: no endpoint is asked faster than it has
    /// been found to take, and never one of those in `not`, unless there is no other at all.
    pub(crate) async fn ask_patiently<T, F, Fut>(
        &self,
        calls: u64,
        not: &[usize],
        question: F,
    ) -> Result<T, ChainErrorKind>
    where
        F: Fn(Arc<Endpoint>) -> Fut,
        Fut: Future<Output = Result<T, ChainErrorKind>>,
    {
        let manner = Manner::Patient(calls);
        let asked = || async {
            let mut order = self.in_order(manner).await?;
            if not.len() < self.endpoints.len() {
                order.retain(|endpoint| !not.contains(&endpoint.index()));
            }
            self.ask_those(order, manner, &question).await
        };
        retry_transient(self.policy, is_short_trouble, asked).await
    }

    /// Asks one after the other until one answers.
    async fn ask_those<T, F, Fut>(
        &self,
        endpoints: Vec<Arc<Endpoint>>,
        manner: Manner,
        question: &F,
    ) -> Result<T, ChainErrorKind>
    where
        F: Fn(Arc<Endpoint>) -> Fut,
        Fut: Future<Output = Result<T, ChainErrorKind>>,
    {
        let mut waiting = endpoints.into_iter();
        let mut asked: Vec<Arc<Endpoint>> = Vec::new();
        let mut answers = FuturesUnordered::new();
        let mut failed = None;
        loop {
            if answers.is_empty() {
                let Some(next) = waiting.next() else { break };
                asked.push(Arc::clone(&next));
                answers.push(self.ask_one(next, manner, question));
            }
            let is_hedged = manner == Manner::Urgent && waiting.len() > 0;
            let answer = if is_hedged {
                match timeout(self.hedge_after, answers.next()).await {
                    Ok(answer) => answer,
                    Err(_) => {
                        if let Some(next) = waiting.next() {
                            asked.push(Arc::clone(&next));
                            answers.push(self.ask_one(next, manner, question));
                        }
                        continue;
                    }
                }
            } else {
                answers.next().await
            };
            let Some((endpoint, answer)) = answer else { continue };
            match answer {
                Err(kind) if !is_final(&kind) => {
                    self.note_failure(&endpoint, &kind);
                    asked.retain(|other| other.index() != endpoint.index());
                    failed = Some(more_telling(failed, kind));
                }
                answer => {
                    let slower = asked.iter().take_while(|other| other.index() != endpoint.index());
                    slower.for_each(|other| other.overtaken());
                    return answer;
                }
            }
        }
        Err(failed.unwrap_or_else(|| ChainErrorKind::Unreachable("no endpoint is left".to_owned())))
    }

    async fn ask_one<T, F, Fut>(
        &self,
        endpoint: Arc<Endpoint>,
        manner: Manner,
        question: &F,
    ) -> (Arc<Endpoint>, Result<T, ChainErrorKind>)
    where
        F: Fn(Arc<Endpoint>) -> Fut,
        Fut: Future<Output = Result<T, ChainErrorKind>>,
    {
        match manner {
            // Does not wait, but those that may wait leave room for it.
            Manner::Urgent => {
                endpoint.reserve(1);
            }
            Manner::Patient(calls) => sleep_until(endpoint.reserve(calls)).await,
        }
        let answer = match endpoint.confirm_chain().await {
            Ok(()) => question(Arc::clone(&endpoint)).await,
            Err(kind) => Err(kind),
        };
        (endpoint, answer)
    }

    /// Notes what a failed question says about its endpoint, beyond what the endpoint has noted itself.
    pub(crate) fn note_failure(&self, endpoint: &Endpoint, kind: &ChainErrorKind) {
        if let ChainErrorKind::Contradiction(reason) = kind {
            endpoint.convict(reason);
            self.heads().forget(endpoint.index());
        }
    }

    /// The chain that the endpoints are on; of several, one that is not the settings'.
    ///
    /// # Errors
    ///
    /// When none of them answers.
    pub(crate) async fn chain_id(&self, expected: ChainId) -> Result<ChainId, ChainErrorKind> {
        let asked = self.endpoints.iter().map(|endpoint| {
            retry_transient(self.policy, is_short_trouble, || reads::chain_id(endpoint))
        });
        let mut told = None;
        let mut failed = None;
        for (answer, endpoint) in join_all(asked).await.into_iter().zip(&self.endpoints) {
            match answer {
                Ok(chain_id) if chain_id != expected => return Ok(chain_id),
                Ok(chain_id) => {
                    endpoint.chain_is_confirmed();
                    told = Some(chain_id);
                }
                Err(kind) => failed = Some(more_telling(failed, kind)),
            }
        }
        match (told, failed) {
            (Some(told), _) => Ok(told),
            (None, Some(kind)) => Err(kind),
            (None, None) => Err(ChainErrorKind::Unreachable("no endpoint is left".to_owned())),
        }
    }

    /// Those to ask now, best first. Waits a little where all of them limit the rate of requests.
    async fn in_order(&self, manner: Manner) -> Result<Vec<Arc<Endpoint>>, ChainErrorKind> {
        let order = self.askable(manner);
        if !order.is_empty() {
            return Ok(order);
        }
        let standings = || self.endpoints.iter().map(|endpoint| endpoint.standing(Instant::now()));
        let rested = standings().filter_map(|standing| match standing {
            Standing::RestsUntil(until) => Some(until),
            Standing::Ready | Standing::Avoided | Standing::QuarantinedUntil(_) => None,
        });
        match rested.min() {
            Some(until) if until <= Instant::now() + WAIT_MAX => {
                sleep_until(until).await;
                let order = self.askable(manner);
                if !order.is_empty() {
                    return Ok(order);
                }
                self.convicted()
            }
            Some(_) | None => self.convicted(),
        }
    }

    /// Those that were wrong, the soonest to be asked again first: the last resort, since what they answer is
    /// checked all the same.
    fn convicted(&self) -> Result<Vec<Arc<Endpoint>>, ChainErrorKind> {
        let now = Instant::now();
        let mut convicted: Vec<(Standing, &Arc<Endpoint>)> = self
            .endpoints
            .iter()
            .map(|endpoint| (endpoint.standing(now), endpoint))
            .filter(|(standing, _)| matches!(standing, Standing::QuarantinedUntil(_)))
            .collect();
        if convicted.is_empty() {
            let text = "every endpoint asked to be left alone for a while".to_owned();
            return Err(ChainErrorKind::RateLimited(text));
        }
        convicted.sort_by_key(|(standing, _)| *standing);
        Ok(convicted.into_iter().map(|(_, endpoint)| Arc::clone(endpoint)).collect())
    }

    fn askable(&self, manner: Manner) -> Vec<Arc<Endpoint>> {
        let (heads, now) = (self.heads(), Instant::now());
        let mut order: Vec<(Rank, &Arc<Endpoint>)> = self
            .endpoints
            .iter()
            .filter_map(|endpoint| {
                let place = endpoint.index();
                let class = match endpoint.standing(now) {
                    Standing::Ready if heads.stray(place).is_some() => 2,
                    Standing::Ready if heads.is_lagging(place, now) => 1,
                    Standing::Ready => 0,
                    Standing::Avoided => 3,
                    Standing::RestsUntil(_) | Standing::QuarantinedUntil(_) => return None,
                };
                let is_busy = manner != Manner::Urgent && now < endpoint.next_slot(now);
                let failures = endpoint.recent_failures(now) / FAILURES_ALIKE;
                Some(((class, is_busy, failures), endpoint))
            })
            .collect();
        // Stable: among equals the settings' order stays.
        order.sort_by_key(|(rank, _)| *rank);
        order.into_iter().map(|(_, endpoint)| Arc::clone(endpoint)).collect()
    }
}

pub(super) fn lock<T>(told: &Mutex<T>) -> MutexGuard<'_, T> {
    // A poisoned lock guards what endpoints told; at worst a part of one telling is missing.
    told.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a moment later the same question may be answered by the same endpoint.
pub(super) const fn is_short_trouble(kind: &ChainErrorKind) -> bool {
    matches!(kind, ChainErrorKind::Unreachable(_) | ChainErrorKind::RateLimited(_))
}

/// Whether another endpoint would answer the same.
const fn is_final(kind: &ChainErrorKind) -> bool {
    match kind {
        ChainErrorKind::RangeTooLarge { .. } | ChainErrorKind::Reverted(_) => true,
        ChainErrorKind::Unreachable(_)
        | ChainErrorKind::RateLimited(_)
        | ChainErrorKind::NotYet(_)
        | ChainErrorKind::Contradiction(_)
        | ChainErrorKind::Refused(_) => false,
    }
}

/// Of two endpoints' failures, the one that the caller can do more with.
pub(super) fn more_telling(before: Option<ChainErrorKind>, new: ChainErrorKind) -> ChainErrorKind {
    const fn weight(kind: &ChainErrorKind) -> u8 {
        match kind {
            // Not transient, so it only counts where every endpoint refuses.
            ChainErrorKind::Refused(_)
            | ChainErrorKind::Reverted(_)
            | ChainErrorKind::RangeTooLarge { .. } => 0,
            ChainErrorKind::Unreachable(_) => 1,
            ChainErrorKind::RateLimited(_) => 2,
            ChainErrorKind::NotYet(_) => 3,
            ChainErrorKind::Contradiction(_) => 4,
        }
    }
    match before {
        Some(before) if weight(&new) < weight(&before) => before,
        Some(_) | None => new,
    }
}
