//! One JSON-RPC endpoint: how it is asked, and how it has been doing.
//!
//! Never decides what an answer means for the chain, and never shows its URL.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt, stream};
use inspay_ports::ChainErrorKind;
use inspay_primitives::ChainId;
use serde::de::DeserializeOwned;
use tokio::{
    sync::OnceCell,
    time::{Instant, timeout_at},
};

use crate::{
    classify::classify_status,
    health::{Health, Standing},
    meters,
    read_once::{Answers, ReadOnce},
    reads,
    rpc::{self, Answer, Call},
    settings::EvmChainSettings,
    transport::{ReplyLimits, Transport},
};

/// Bodies above this are decoded off the runtime's own threads: they take milliseconds.
const DECODE_ELSEWHERE_BYTES: usize = 128 * 1024;
/// Requests of one question that are under way at once.
const REQUESTS_AT_ONCE: usize = 8;
/// How an endpoint has been doing, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointView {
    /// Its host.
    pub host: String,
    /// The highest block it has told of.
    pub head: u64,
    /// Failures of the endpoint itself since the start.
    pub errors: u64,
    /// Whether it is left alone for a while after failures.
    pub resting: bool,
    /// Whether it takes several calls in one request.
    pub takes_batches: bool,
    /// Calls a minute that it is believed to take, where it has ever refused for being asked too often.
    pub calls_per_minute: Option<u64>,
    /// Whether it trails the others.
    pub lagging: bool,
    /// Why it is not believed, if it is not: it contradicted itself or the others, or stands on another branch.
    pub doubt: Option<Doubt>,
    /// How often it was quarantined since the start.
    pub quarantines: u32,
}

/// Why an endpoint is not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// What it said, or where it stands.
    pub reason: String,
    /// How much longer it is not asked; `None` where it is asked last, but asked.
    pub quarantined_for: Option<Duration>,
}

#[derive(Debug)]
pub(crate) struct Endpoint {
    index: usize,
    host: String,
    transport: Arc<dyn Transport>,
    request_timeout: Duration,
    response_bytes_max: usize,
    batch_calls_max: usize,
    takes_batches: AtomicBool,
    gives_block_receipts: AtomicBool,
    chain_id: ChainId,
    on_its_chain: OnceCell<()>,
    head: AtomicU64,
    is_telling_head: AtomicBool,
    health: Mutex<Health>,
    calls: Arc<AtomicU64>,
}

impl EndpointView {
    /// What people should know about it, if anything; never its URL.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        let host = &self.host;
        match &self.doubt {
            Some(Doubt { reason, quarantined_for: Some(left) }) => {
                let seconds = left.as_secs();
                return Some(format!(
                    "{host} was wrong and is not asked for {seconds} s: {reason}"
                ));
            }
            Some(Doubt { reason, quarantined_for: None }) => {
                return Some(format!("{host} does not stand with the others: {reason}"));
            }
            None => {}
        }
        if self.lagging {
            return Some(format!("{host} trails the others, at block {}", self.head));
        }
        let errors = self.errors;
        self.resting.then(|| format!("{host} is left alone for a while, after {errors} failures"))
    }
}

impl Endpoint {
    pub(crate) fn new(
        index: usize,
        transport: Arc<dyn Transport>,
        settings: &EvmChainSettings,
        calls: Arc<AtomicU64>,
    ) -> Self {
        Self {
            index,
            host: transport.host(),
            transport,
            request_timeout: settings.request_timeout,
            response_bytes_max: settings.response_bytes_max,
            batch_calls_max: settings.batch_calls_max.max(1),
            takes_batches: AtomicBool::new(true),
            gives_block_receipts: AtomicBool::new(true),
            chain_id: settings.chain_id,
            on_its_chain: OnceCell::new(),
            head: AtomicU64::new(0),
            is_telling_head: AtomicBool::new(false),
            health: Mutex::default(),
            calls,
        }
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        // A poisoned lock guards numbers that are whole after every statement.
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it has been doing; `stray` is why it does not stand with the others.
    pub(crate) fn view(&self, lagging: bool, stray: Option<String>) -> EndpointView {
        let now = Instant::now();
        let health = self.health();
        let quarantine = health.conviction(now).map(|conviction| Doubt {
            reason: conviction.reason.clone(),
            quarantined_for: Some(conviction.until.saturating_duration_since(now)),
        });
        let stray = stray.map(|reason| Doubt { reason, quarantined_for: None });
        EndpointView {
            host: self.host.clone(),
            head: self.head.load(Ordering::Relaxed),
            errors: health.failures(),
            resting: health.standing(now) != Standing::Ready,
            takes_batches: self.takes_batches.load(Ordering::Relaxed),
            calls_per_minute: health.pace.per_minute(),
            lagging,
            doubt: quarantine.or(stray),
            quarantines: health.convictions(),
        }
    }

    /// Its place in the settings' order.
    pub(crate) const fn index(&self) -> usize {
        self.index
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn gives_block_receipts(&self) -> bool {
        self.gives_block_receipts.load(Ordering::Relaxed)
    }

    pub(crate) fn refused_block_receipts(&self, text: &str) {
        tracing::info!(endpoint = %self.host, text, "the node gives no receipts by block");
        self.gives_block_receipts.store(false, Ordering::Relaxed);
    }

    /// Asks, once in its life, which chain it is on.
    ///
    /// # Errors
    ///
    /// [`ChainErrorKind::Refused`] when it is on another one: none of its answers count then.
    pub(crate) async fn confirm_chain(&self) -> Result<(), ChainErrorKind> {
        let confirm = async || {
            let told = reads::chain_id(self).await?;
            if told == self.chain_id {
                return Ok(());
            }
            let text = format!("{} is on chain {told}, not {}", self.host, self.chain_id);
            Err(ChainErrorKind::Refused(text))
        };
        self.on_its_chain.get_or_try_init(confirm).await.copied()
    }

    pub(crate) fn chain_is_confirmed(&self) {
        // Already set is as good.
        let _was_set = self.on_its_chain.set(());
    }

    /// Notes that an answer of its was found to be wrong, and leaves it alone for it.
    pub(crate) fn convict(&self, reason: &str) {
        let now = Instant::now();
        let mut health = self.health();
        if let Some(conviction) = health.wrong(now, reason.to_owned()) {
            let seconds = conviction.until.saturating_duration_since(now).as_secs();
            tracing::warn!(
                chain.id = self.chain_id.0,
                endpoint = %self.host,
                reason,
                seconds,
                "an endpoint is not believed, and not asked for a while"
            );
            meters::quarantined(self.chain_id, &self.host);
        }
    }

    /// Notes that another one, asked later, answered sooner.
    pub(crate) fn overtaken(&self) {
        self.health().overtaken(Instant::now());
    }

    pub(crate) fn saw_block(&self, number: u64) {
        self.head.fetch_max(number, Ordering::Relaxed);
    }

    pub(crate) fn standing(&self, now: Instant) -> Standing {
        self.health().standing(now)
    }

    pub(crate) fn recent_failures(&self, now: Instant) -> u32 {
        self.health().recent_failures(now)
    }

    /// When its learned pace allows the next call.
    pub(crate) fn next_slot(&self, now: Instant) -> Instant {
        self.health().pace.next_slot(now)
    }

    /// Takes the place of that many calls in its learned pace; they are to be sent no sooner than that.
    pub(crate) fn reserve(&self, calls: u64) -> Instant {
        self.health().pace.reserve(Instant::now(), calls)
    }

    /// Takes the turn of asking for the head; `false` while it is being asked.
    pub(crate) fn begin_head(&self) -> bool {
        !self.is_telling_head.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn end_head(&self) {
        self.is_telling_head.store(false, Ordering::Relaxed);
    }

    /// Asks one question.
    pub(crate) async fn call<T>(&self, call: Call) -> Answer<T>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let method = call.method;
        let answer = match self.post(method, 1, rpc::single_body(&call)).await {
            Ok(body) => {
                let answer = decode(body, move |body| rpc::read_single(method, body)).await;
                self.note_kind(answer.as_ref().err(), 1);
                answer
            }
            Err(kind) => Err(kind),
        };
        self.count(method, &answer);
        answer
    }

    /// Asks several questions, in as few requests as the endpoint allows, at once.
    ///
    /// # Errors
    ///
    /// When a request failed as a whole; each question has its own answer otherwise, in the order asked.
    pub(crate) async fn batch<T>(&self, calls: &[Call]) -> Result<Vec<Answer<T>>, ChainErrorKind>
    where
        T: DeserializeOwned + Send + 'static,
    {
        if let [call] = calls {
            return Ok(vec![self.call(call.clone()).await]);
        }
        let chunks = calls.chunks(self.batch_calls_max).map(|chunk| self.chunk(chunk));
        let answers: Vec<Result<Vec<Answer<T>>, ChainErrorKind>> =
            stream::iter(chunks.collect::<Vec<_>>()).buffered(REQUESTS_AT_ONCE).collect().await;
        let mut all = Vec::with_capacity(calls.len());
        for chunk in answers {
            all.extend(chunk?);
        }
        Ok(all)
    }

    /// As [`Self::batch`], of answers that may be long: words that another endpoint has answered, too, are read once.
    pub(crate) async fn batch_once<T>(&self, calls: &[Call], once: &ReadOnce<T>) -> Answers<T>
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        if self.batch_calls_max < calls.len() {
            return self.batch(calls).await.map(Arc::from);
        }
        let methods = methods_of(calls);
        let asked = methods.clone();
        let decoded = async move |body| {
            decode(body, move |body| rpc::read_batch(&asked, body)).await.map(Arc::from)
        };
        let read = move |body| once.read(methods, body, decoded);
        match self.one_batch(calls, read).await {
            Some(answers) => answers,
            None => Ok(self.singly(calls).await.into()),
        }
    }

    async fn chunk<T>(&self, calls: &[Call]) -> Result<Vec<Answer<T>>, ChainErrorKind>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let methods = methods_of(calls);
        let read = move |body| decode(body, move |body| rpc::read_batch(&methods, body));
        match self.one_batch(calls, read).await {
            Some(answers) => answers,
            None => Ok(self.singly(calls).await),
        }
    }

    /// Asks each question in a request of its own.
    async fn singly<T>(&self, calls: &[Call]) -> Vec<Answer<T>>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let singly = calls.iter().map(|call| self.call(call.clone())).collect::<Vec<_>>();
        stream::iter(singly).buffered(REQUESTS_AT_ONCE).collect().await
    }

    /// Asks several questions in one request, whose answer is read by `read`; `None` where the node takes no batches.
    async fn one_batch<T, R, F, Fut>(
        &self,
        calls: &[Call],
        read: F,
    ) -> Option<Result<R, ChainErrorKind>>
    where
        R: AsRef<[Answer<T>]>,
        F: FnOnce(Vec<u8>) -> Fut,
        Fut: Future<Output = Result<R, ChainErrorKind>>,
    {
        if !self.takes_batches.load(Ordering::Relaxed) {
            return None;
        }
        let methods = methods_of(calls);
        let first = methods.first().copied().unwrap_or_default();
        let answers = match self.post(first, calls.len(), rpc::batch_body(calls)).await {
            Ok(body) => {
                let answers = read(body).await;
                self.note_kind(worst_of(answers.as_ref().map(R::as_ref)), calls.len());
                answers
            }
            Err(kind) => Err(kind),
        };
        match &answers {
            Ok(answers) => {
                for (method, answer) in methods.iter().zip(answers.as_ref()) {
                    self.count(method, answer);
                }
            }
            Err(kind) => {
                for method in methods {
                    self.count::<T>(method, &Err(kind.clone()));
                }
            }
        }
        if let Err(ChainErrorKind::Refused(text)) = &answers {
            tracing::info!(endpoint = %self.host, %text, "the node takes no batches");
            self.takes_batches.store(false, Ordering::Relaxed);
            return None;
        }
        Some(answers)
    }

    /// Sends a body and reads the answer's.
    async fn post(
        &self,
        method: &'static str,
        calls: usize,
        body: String,
    ) -> Result<Vec<u8>, ChainErrorKind> {
        self.calls.fetch_add(u64::try_from(calls).unwrap_or(u64::MAX), Ordering::Relaxed);
        let started = Instant::now();
        let outcome = self.exchange(method, body, started + self.request_timeout).await;
        metrics::histogram!(
            "inspay_rpc_request_duration_seconds",
            "endpoint" => self.host.clone(), "method" => method
        )
        .record(started.elapsed());
        outcome
    }

    async fn exchange(
        &self,
        method: &str,
        body: String,
        deadline: Instant,
    ) -> Result<Vec<u8>, ChainErrorKind> {
        let limits = ReplyLimits { deadline, bytes_max: self.response_bytes_max };
        let sent = self.transport.post(method, body.into_bytes(), limits);
        let reply = match timeout_at(deadline, sent).await {
            Err(_) => {
                self.health().hung(Instant::now());
                let after = self.request_timeout;
                let text = format!("{}: {method}: no answer within {after:?}", self.host);
                return Err(ChainErrorKind::Unreachable(text));
            }
            Ok(Err(ChainErrorKind::Unreachable(text))) => {
                self.health().failed(Instant::now());
                return Err(ChainErrorKind::Unreachable(format!("{}: {text}", self.host)));
            }
            Ok(reply) => reply?,
        };
        if (200..300).contains(&reply.status) {
            return Ok(reply.body);
        }
        let kind = rpc::refusal_in(method, &reply.body).unwrap_or_else(|| {
            classify_status(method, reply.status, &String::from_utf8_lossy(&reply.body))
        });
        match (&kind, reply.rest) {
            (ChainErrorKind::RateLimited(_), Some(rest)) => {
                self.health().limited(Instant::now(), Some(rest));
            }
            _ => self.note_kind(Some(&kind), 0),
        }
        Err(kind)
    }

    /// Notes how the endpoint did by what it answered; most refusals say nothing about it.
    fn note_kind(&self, kind: Option<&ChainErrorKind>, calls: usize) {
        let now = Instant::now();
        match kind {
            Some(ChainErrorKind::RateLimited(_)) => self.health().limited(now, None),
            Some(ChainErrorKind::Unreachable(_)) => self.health().failed(now),
            Some(
                ChainErrorKind::RangeTooLarge { .. }
                | ChainErrorKind::NotYet(_)
                | ChainErrorKind::Contradiction(_)
                | ChainErrorKind::Reverted(_)
                | ChainErrorKind::Refused(_),
            )
            | None => self.health().answered(now, u64::try_from(calls).unwrap_or(u64::MAX)),
        }
    }

    fn count<T>(&self, method: &'static str, answer: &Answer<T>) {
        let result = match answer {
            Ok(_) => "ok",
            Err(ChainErrorKind::Unreachable(_)) => "unreachable",
            Err(ChainErrorKind::RateLimited(_)) => "rate_limited",
            Err(ChainErrorKind::RangeTooLarge { .. }) => "range_too_large",
            Err(ChainErrorKind::NotYet(_)) => "not_yet",
            Err(ChainErrorKind::Contradiction(_)) => "contradiction",
            Err(ChainErrorKind::Reverted(_)) => "reverted",
            Err(ChainErrorKind::Refused(_)) => "refused",
        };
        metrics::counter!(
            "inspay_rpc_calls_total",
            "endpoint" => self.host.clone(), "method" => method, "result" => result
        )
        .increment(1);
    }
}

fn methods_of(calls: &[Call]) -> Vec<&'static str> {
    calls.iter().map(|call| call.method).collect()
}

/// The failure in a batch that says most about its endpoint.
fn worst_of<'a, T>(
    answers: Result<&'a [Answer<T>], &'a ChainErrorKind>,
) -> Option<&'a ChainErrorKind> {
    let answers = match answers {
        Ok(answers) => answers,
        Err(kind) => return Some(kind),
    };
    let mut failures = answers.iter().filter_map(|answer| answer.as_ref().err());
    failures.find(|kind| {
        matches!(kind, ChainErrorKind::RateLimited(_) | ChainErrorKind::Unreachable(_))
    })
}

async fn decode<B, T, F>(body: B, read: F) -> Result<T, ChainErrorKind>
where
    B: AsRef<[u8]> + Send + 'static,
    T: Send + 'static,
    F: FnOnce(&[u8]) -> Result<T, ChainErrorKind> + Send + 'static,
{
    if body.as_ref().len() < DECODE_ELSEWHERE_BYTES {
        return read(body.as_ref());
    }
    tokio::task::spawn_blocking(move || read(body.as_ref()))
        .await
        .unwrap_or_else(|_| Err(ChainErrorKind::Unreachable("the decoding was stopped".to_owned())))
}
