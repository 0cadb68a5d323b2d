//! The endpoints of one chain, and which of them to ask.
//!
//! Never takes the first answer for the truth because it came first: endpoints are asked in their
//! order, and the next one only where the one before could not answer.

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use futures::future::join_all;
use inspay_ports::ChainErrorKind;
use inspay_primitives::ChainId;
use tokio::time::{Instant, sleep_until};

use crate::{
    endpoint::{Endpoint, Readiness},
    reads,
    retry::{RetryPolicy, retry_transient},
    settings::EvmChainSettings,
    transport::Transport,
};

/// Longer than that nobody waits for a rate limit to pass: the caller is told.
const WAIT_MAX: Duration = Duration::from_secs(3);

/// After that long the caller is told, and decides.
const RETRY_MAX: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Pool {
    endpoints: Vec<Arc<Endpoint>>,
    policy: RetryPolicy,
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
        let endpoints = transports
            .into_iter()
            .map(|transport| Arc::new(Endpoint::new(transport, settings, Arc::clone(calls))))
            .collect();
        let policy = RetryPolicy {
            tries_max: 4,
            first_delay: Duration::from_millis(50),
            delay_max: Duration::from_secs(1),
            // What took a timeout to fail is not tried again here.
            elapsed_max: settings.request_timeout.min(RETRY_MAX),
            jitter: settings.jitter,
        };
        Ok(Self { endpoints, policy })
    }

    pub(crate) fn endpoints(&self) -> &[Arc<Endpoint>] {
        &self.endpoints
    }

    /// Asks one endpoint after the other until one answers, and all of them again, a few times, where
    /// none could be reached or all limit the rate of requests.
    pub(crate) async fn ask<T, F, Fut>(&self, question: F) -> Result<T, ChainErrorKind>
    where
        F: Fn(Arc<Endpoint>) -> Fut,
        Fut: Future<Output = Result<T, ChainErrorKind>>,
    {
        retry_transient(self.policy, is_short_trouble, || self.ask_each(&question)).await
    }

    /// As [`Self::ask`], but never the endpoint that is asked first; `None` where there is no other.
    pub(crate) async fn ask_another<T, F, Fut>(
        &self,
        question: F,
    ) -> Result<Option<T>, ChainErrorKind>
    where
        F: Fn(Arc<Endpoint>) -> Fut,
        Fut: Future<Output = Result<T, ChainErrorKind>>,
    {
        if self.endpoints.len() < 2 {
            return Ok(None);
        }
        let others = || async {
            let order = self.in_order().await?;
            let others = order.into_iter().skip(1).collect();
            self.ask_those(others, &question).await
        };
        retry_transient(self.policy, is_short_trouble, others).await.map(Some)
    }

    async fn ask_each<T, F, Fut>(&self, question: &F) -> Result<T, ChainErrorKind>
    where
        F: Fn(Arc<Endpoint>) -> Fut,
        Fut: Future<Output = Result<T, ChainErrorKind>>,
    {
        self.ask_those(self.in_order().await?, question).await
    }

    async fn ask_those<T, F, Fut>(
        &self,
        endpoints: Vec<Arc<Endpoint>>,
        question: &F,
    ) -> Result<T, ChainErrorKind>
    where
        F: Fn(Arc<Endpoint>) -> Fut,
        Fut: Future<Output = Result<T, ChainErrorKind>>,
    {
        let mut failed = None;
        for endpoint in endpoints {
            let answer = match endpoint.confirm_chain().await {
                Ok(()) => question(Arc::clone(&endpoint)).await,
                Err(kind) => Err(kind),
            };
            match answer {
                Ok(answer) => return Ok(answer),
                Err(kind) if is_final(&kind) => return Err(kind),
                Err(kind) => {
                    self.note_failure(&endpoint, &kind);
                    failed = Some(more_telling(failed, kind));
                }
            }
        }
        Err(failed.unwrap_or_else(|| ChainErrorKind::Unreachable("no endpoint is left".to_owned())))
    }

    /// Notes what a failed question says about its endpoint, beyond what the endpoint has noted itself.
    pub(crate) fn note_failure(&self, endpoint: &Endpoint, kind: &ChainErrorKind) {
        if matches!(kind, ChainErrorKind::Contradiction(_)) {
            endpoint.note_wrong();
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
    async fn in_order(&self) -> Result<Vec<Arc<Endpoint>>, ChainErrorKind> {
        let mut order = self.askable();
        if order.is_empty() {
            let Some(until) = self.first_end_of_rest() else { return Ok(self.endpoints.clone()) };
            if Instant::now() + WAIT_MAX < until {
                let text = "every endpoint asked to be left alone for a while".to_owned();
                return Err(ChainErrorKind::RateLimited(text));
            }
            sleep_until(until).await;
            order = self.askable();
        }
        Ok(order)
    }

    fn askable(&self) -> Vec<Arc<Endpoint>> {
        let mut order: Vec<(Readiness, &Arc<Endpoint>)> = self
            .endpoints
            .iter()
            .map(|endpoint| (endpoint.readiness(), endpoint))
            .filter(|(readiness, _)| *readiness <= Readiness::Doubtful)
            .collect();
        // Stable: among equals the settings' order stays.
        order.sort_by_key(|(readiness, _)| *readiness);
        order.into_iter().map(|(_, endpoint)| Arc::clone(endpoint)).collect()
    }

    fn first_end_of_rest(&self) -> Option<Instant> {
        self.endpoints
            .iter()
            .filter_map(|endpoint| match endpoint.readiness() {
                Readiness::RestsUntil(until) => Some(until),
                Readiness::Ready | Readiness::Doubtful => None,
            })
            .min()
    }
}

/// Whether a moment later the same question may be answered by the same endpoint.
const fn is_short_trouble(kind: &ChainErrorKind) -> bool {
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
fn more_telling(before: Option<ChainErrorKind>, new: ChainErrorKind) -> ChainErrorKind {
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
