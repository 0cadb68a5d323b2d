//! The head of a chain with several endpoints: all of them are asked at once.
//!
//! Never waits for the slowest: the first answer that moves the believed head is the answer, and what comes
//! later is remembered for the next time.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use inspay_ports::{ChainErrorKind, Header};
use tokio::{
    sync::mpsc::{UnboundedSender, unbounded_channel},
    time::{Instant, timeout_at},
};

use crate::{
    endpoint::Endpoint,
    health::Standing,
    pool::{Pool, is_short_trouble, lock, more_telling},
    reads,
    retry::retry_transient,
    settings::EvmChainSettings,
};

/// How much longer than the first endpoint the others may take to answer.
const GRACE: Duration = Duration::from_millis(150);
/// How often one that trails the others is asked whether it still does.
const LAGGING_ASKED_EVERY: Duration = Duration::from_secs(3);
/// One that has stood apart for so long is wrong, not slow.
const STRAY_MAX: Duration = Duration::from_secs(30);

impl Pool {
    /// The newest header that most endpoints stand with.
    pub(crate) async fn head(&self, settings: &EvmChainSettings) -> Result<Header, ChainErrorKind> {
        if self.endpoints().len() < 2 {
            return self
                .ask(async |endpoint| reads::head(&endpoint, settings.header_hash).await)
                .await;
        }
        let head =
            retry_transient(self.policy, is_short_trouble, || self.head_of_all(settings)).await;
        self.convict_strays();
        self.publish();
        head
    }

    /// Asks every endpoint for its head and waits for all of them; what each failed with, in their order.
    pub(crate) async fn probe(&self, settings: &EvmChainSettings) -> Vec<Option<ChainErrorKind>> {
        let asked = self.endpoints().iter().map(|endpoint| async move {
            endpoint.confirm_chain().await?;
            reads::head(endpoint, settings.header_hash).await
        });
        let mut failures = Vec::new();
        for (endpoint, told) in self.endpoints().iter().zip(join_all(asked).await) {
            match told {
                Ok(header) => {
                    self.heads().tell(endpoint.index(), &header, Instant::now());
                    failures.push(None);
                }
                Err(kind) => {
                    self.note_failure(endpoint, &kind);
                    failures.push(Some(kind));
                }
            }
        }
        // What they told is compared by choosing among it.
        drop(self.heads().choose(false, Instant::now()));
        failures
    }

    /// Whether a head that came without a question needs none.
    pub(crate) fn takes_unasked(&self, header: &Header) -> bool {
        self.endpoints().len() < 2 || self.heads().follow_on(header)
    }

    async fn head_of_all(&self, settings: &EvmChainSettings) -> Result<Header, ChainErrorKind> {
        let started = Instant::now();
        let give_up = started + settings.request_timeout;
        let (tell, mut told) = unbounded_channel();
        let (at_once, mut later) = self.whom_to_ask(started);
        let believed = self.heads().believed();
        let is_news = |head: &Header| believed.is_some_and(|at| at < head.block.number);
        let mut pending = self.spread(&at_once, settings, &tell);
        let mut patience = started + settings.hedge_after;
        let (mut is_answered, mut failed) = (false, None);
        loop {
            if pending == 0 && !is_answered && !later.is_empty() {
                pending = self.spread(&std::mem::take(&mut later), settings, &tell);
            }
            if pending == 0 {
                break;
            }
            match timeout_at(patience, told.recv()).await {
                Ok(None) => break,
                Ok(Some(Ok(()))) => {
                    pending = pending.saturating_sub(1);
                    is_answered = true;
                    patience = patience.min(Instant::now() + GRACE);
                    if let Some(head) = self.heads().choose(true, Instant::now()).filter(is_news) {
                        return Ok(head);
                    }
                }
                Ok(Some(Err(kind))) => {
                    pending = pending.saturating_sub(1);
                    failed = Some(more_telling(failed, kind));
                }
                Err(_) if is_answered || give_up <= patience => break,
                // Nobody has answered yet: those that are likely to fail are better than none.
                Err(_) => {
                    pending += self.spread(&std::mem::take(&mut later), settings, &tell);
                    patience = give_up;
                }
            }
        }
        let head = self.heads().choose(false, Instant::now());
        head.ok_or_else(|| match failed {
            _ if is_answered => ChainErrorKind::NotYet("the endpoints agree on no head".to_owned()),
            Some(kind) => kind,
            None => ChainErrorKind::Unreachable("no endpoint tells of a head".to_owned()),
        })
    }

    /// Those to ask for their heads at once, and those to ask where none of them answers.
    fn whom_to_ask(&self, now: Instant) -> (Vec<Arc<Endpoint>>, Vec<Arc<Endpoint>>) {
        let mut heads = self.heads();
        let (mut at_once, mut later, mut convicted) = (Vec::new(), Vec::new(), Vec::new());
        for endpoint in self.endpoints() {
            let place = endpoint.index();
            let asked_lately =
                heads.told_at(place).is_some_and(|at| now < at + LAGGING_ASKED_EVERY);
            match endpoint.standing(now) {
                Standing::Ready if heads.is_lagging(place, now) && asked_lately => {
                    later.push(Arc::clone(endpoint));
                }
                Standing::Ready => at_once.push(Arc::clone(endpoint)),
                Standing::Avoided => later.push(Arc::clone(endpoint)),
                Standing::RestsUntil(_) => {}
                Standing::QuarantinedUntil(_) => {
                    heads.forget(place);
                    convicted.push(Arc::clone(endpoint));
                }
            }
        }
        if at_once.is_empty() && later.is_empty() {
            return (convicted, Vec::new());
        }
        if at_once.is_empty() {
            return (later, Vec::new());
        }
        (at_once, later)
    }

    /// Asks them at once, each in a task of its own, which goes on where nobody waits for it any more.
    /// Returns how many will tell.
    fn spread(
        &self,
        endpoints: &[Arc<Endpoint>],
        settings: &EvmChainSettings,
        tell: &UnboundedSender<Result<(), ChainErrorKind>>,
    ) -> usize {
        let idle = endpoints.iter().filter(|endpoint| endpoint.begin_head());
        let mut asked = 0;
        for endpoint in idle {
            asked += 1;
            let (endpoint, heads, tell) =
                (Arc::clone(endpoint), Arc::clone(&self.heads), tell.clone());
            let check = settings.header_hash;
            // Does not wait, but those that may wait leave room for it.
            endpoint.reserve(1);
            // Ends with the request's timeout at the latest.
            tokio::spawn(async move {
                let told = match endpoint.confirm_chain().await {
                    Ok(()) => reads::head(&endpoint, check).await,
                    Err(kind) => Err(kind),
                };
                let place = endpoint.index();
                let noted = match told {
                    Ok(header) => {
                        lock(&heads).tell(place, &header, Instant::now());
                        Ok(())
                    }
                    Err(kind) => {
                        if let ChainErrorKind::Contradiction(reason) = &kind {
                            endpoint.convict(reason);
                        }
                        lock(&heads).forget(place);
                        Err(kind)
                    }
                };
                endpoint.end_head();
                // Nobody may be waiting any more; it was noted all the same.
                drop(tell.send(noted));
            });
        }
        asked
    }

    /// Quarantines whoever has stood apart from a majority for long.
    fn convict_strays(&self) {
        if self.endpoints().len() < 3 {
            return;
        }
        let now = Instant::now();
        for endpoint in self.endpoints() {
            let mut heads = self.heads();
            let stray = heads.stray(endpoint.index());
            let Some(stray) = stray.filter(|stray| stray.since + STRAY_MAX <= now) else {
                continue;
            };
            endpoint.convict(&stray.reason);
            heads.pardon(endpoint.index());
        }
    }
}
