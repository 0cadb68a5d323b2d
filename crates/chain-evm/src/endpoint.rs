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
    reads,
    rpc::{self, Answer, Call},
    settings::EvmChainSettings,
    transport::{ReplyLimits, Transport},
};

/// Bodies above this are decoded off the runtime's own threads: they take milliseconds.
const DECODE_ELSEWHERE_BYTES: usize = 128 * 1024;
/// Requests of one question that are under way at once.
const REQUESTS_AT_ONCE: usize = 8;
const REST_FIRST: Duration = Duration::from_millis(250);
/// Near the head a longer rest would cost more than a refused call.
const REST_MAX: Duration = Duration::from_secs(3);
/// One that hangs costs the whole timeout, so it is asked last for a while.
const REST_HUNG: Duration = Duration::from_secs(30);
/// Longest rest that a node may ask for.
const REST_ASKED_MAX: Duration = Duration::from_secs(60);

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
}

#[derive(Debug, Default)]
struct Health {
    head: u64,
    errors: u64,
    errors_in_a_row: u32,
    rest: Option<(Instant, bool)>,
}

/// Why an endpoint is left alone, and how long.
#[derive(Clone, Copy, Debug)]
enum Rest {
    /// It asked for it.
    Asked(Duration),
    /// Others are likely to answer sooner.
    Avoided(Duration),
}

/// Whether an endpoint should be asked now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Readiness {
    /// Yes.
    Ready,
    /// Only after those that are ready.
    Doubtful,
    /// Not before then: it limits the rate of requests.
    RestsUntil(Instant),
}

#[derive(Debug)]
pub(crate) struct Endpoint {
    host: String,
    transport: Arc<dyn Transport>,
    request_timeout: Duration,
    response_bytes_max: usize,
    batch_calls_max: usize,
    takes_batches: AtomicBool,
    gives_block_receipts: AtomicBool,
    chain_id: ChainId,
    on_its_chain: OnceCell<()>,
    health: Mutex<Health>,
    calls: Arc<AtomicU64>,
}

impl Endpoint {
    pub(crate) fn new(
        transport: Arc<dyn Transport>,
        settings: &EvmChainSettings,
        calls: Arc<AtomicU64>,
    ) -> Self {
        Self {
            host: transport.host(),
            transport,
            request_timeout: settings.request_timeout,
            response_bytes_max: settings.response_bytes_max,
            batch_calls_max: settings.batch_calls_max.max(1),
            takes_batches: AtomicBool::new(true),
            gives_block_receipts: AtomicBool::new(true),
            chain_id: settings.chain_id,
            on_its_chain: OnceCell::new(),
            health: Mutex::default(),
            calls,
        }
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        // A poisoned lock guards numbers that are whole after every statement.
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn view(&self) -> EndpointView {
        let resting = self.readiness() != Readiness::Ready;
        let health = self.health();
        EndpointView {
            host: self.host.clone(),
            head: health.head,
            errors: health.errors,
            resting,
            takes_batches: self.takes_batches.load(Ordering::Relaxed),
        }
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

    /// Notes that an answer of its was found to be wrong.
    pub(crate) fn note_wrong(&self) {
        let rest = self.next_rest();
        self.note_failed(Rest::Avoided(rest));
    }

    pub(crate) fn saw_block(&self, number: u64) {
        let mut health = self.health();
        health.head = health.head.max(number);
    }

    pub(crate) fn readiness(&self) -> Readiness {
        match self.health().rest {
            Some((until, asked)) if Instant::now() < until => {
                if asked {
                    Readiness::RestsUntil(until)
                } else {
                    Readiness::Doubtful
                }
            }
            Some(_) | None => Readiness::Ready,
        }
    }

    fn note_answered(&self) {
        let mut health = self.health();
        health.errors_in_a_row = 0;
        health.rest = None;
    }

    fn note_failed(&self, rest: Rest) {
        let mut health = self.health();
        health.errors = health.errors.saturating_add(1);
        health.errors_in_a_row = health.errors_in_a_row.saturating_add(1);
        let (length, asked) = match rest {
            Rest::Asked(length) => (length.min(REST_ASKED_MAX), true),
            Rest::Avoided(length) => (length, false),
        };
        health.rest = Some((Instant::now() + length, asked));
    }

    fn next_rest(&self) -> Duration {
        let doublings = self.health().errors_in_a_row.min(8);
        REST_FIRST.saturating_mul(1 << doublings).min(REST_MAX)
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
                self.note_kind(answer.as_ref().err());
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

    async fn chunk<T>(&self, calls: &[Call]) -> Result<Vec<Answer<T>>, ChainErrorKind>
    where
        T: DeserializeOwned + Send + 'static,
    {
        if self.takes_batches.load(Ordering::Relaxed) {
            match self.one_batch(calls).await {
                Err(ChainErrorKind::Refused(text)) => {
                    tracing::info!(endpoint = %self.host, %text, "the node takes no batches");
                    self.takes_batches.store(false, Ordering::Relaxed);
                }
                other => return other,
            }
        }
        let singly = calls.iter().map(|call| self.call(call.clone())).collect::<Vec<_>>();
        Ok(stream::iter(singly).buffered(REQUESTS_AT_ONCE).collect().await)
    }

    async fn one_batch<T>(&self, calls: &[Call]) -> Result<Vec<Answer<T>>, ChainErrorKind>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let methods: Vec<&'static str> = calls.iter().map(|call| call.method).collect();
        let first = methods.first().copied().unwrap_or_default();
        let answers = match self.post(first, calls.len(), rpc::batch_body(calls)).await {
            Ok(body) => {
                let asked = methods.clone();
                let answers = decode(body, move |body| rpc::read_batch(&asked, body)).await;
                self.note_kind(worst_of(&answers));
                answers
            }
            Err(kind) => Err(kind),
        };
        match &answers {
            Ok(answers) => {
                for (method, answer) in methods.iter().zip(answers) {
                    self.count(method, answer);
                }
            }
            Err(kind) => {
                for method in methods {
                    self.count::<T>(method, &Err(kind.clone()));
                }
            }
        }
        answers
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
                self.note_failed(Rest::Avoided(REST_HUNG));
                let after = self.request_timeout;
                let text = format!("{}: {method}: no answer within {after:?}", self.host);
                return Err(ChainErrorKind::Unreachable(text));
            }
            Ok(Err(ChainErrorKind::Unreachable(text))) => {
                let rest = self.next_rest();
                self.note_failed(Rest::Avoided(rest));
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
            (ChainErrorKind::RateLimited(_), Some(rest)) => self.note_failed(Rest::Asked(rest)),
            _ => self.note_kind(Some(&kind)),
        }
        Err(kind)
    }

    /// Notes how the endpoint did by what it answered; most refusals say nothing about it.
    fn note_kind(&self, kind: Option<&ChainErrorKind>) {
        match kind {
            Some(ChainErrorKind::RateLimited(_)) => {
                let rest = self.next_rest();
                self.note_failed(Rest::Asked(rest));
            }
            Some(ChainErrorKind::Unreachable(_)) => {
                let rest = self.next_rest();
                self.note_failed(Rest::Avoided(rest));
            }
            Some(
                ChainErrorKind::RangeTooLarge { .. }
                | ChainErrorKind::NotYet(_)
                | ChainErrorKind::Contradiction(_)
                | ChainErrorKind::Reverted(_)
                | ChainErrorKind::Refused(_),
            )
            | None => self.note_answered(),
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

/// The failure in a batch that says most about its endpoint.
fn worst_of<T>(answers: &Result<Vec<Answer<T>>, ChainErrorKind>) -> Option<&ChainErrorKind> {
    let answers = match answers {
        Ok(answers) => answers,
        Err(kind) => return Some(kind),
    };
    let mut failures = answers.iter().filter_map(|answer| answer.as_ref().err());
    failures.find(|kind| {
        matches!(kind, ChainErrorKind::RateLimited(_) | ChainErrorKind::Unreachable(_))
    })
}

async fn decode<T, F>(body: Vec<u8>, read: F) -> Result<T, ChainErrorKind>
where
    T: Send + 'static,
    F: FnOnce(&[u8]) -> Result<T, ChainErrorKind> + Send + 'static,
{
    if body.len() < DECODE_ELSEWHERE_BYTES {
        return read(&body);
    }
    tokio::task::spawn_blocking(move || read(&body))
        .await
        .unwrap_or_else(|_| Err(ChainErrorKind::Unreachable("the decoding was stopped".to_owned())))
}
