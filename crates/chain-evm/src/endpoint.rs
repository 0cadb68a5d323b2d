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
use reqwest::{Client, Response, Url, header};
use serde::de::DeserializeOwned;
use tokio::{
    sync::OnceCell,
    time::{Instant, error::Elapsed, timeout_at},
};

use crate::{
    classify::classify_status,
    reads,
    rpc::{self, Answer, Call},
    settings::{EvmChainSettings, NodeUrl},
    wire::clip,
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
    url: NodeUrl,
    client: Client,
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
        url: &NodeUrl,
        settings: &EvmChainSettings,
        calls: Arc<AtomicU64>,
    ) -> Result<Self, ChainErrorKind> {
        let mut builder = Client::builder();
        if url.is_local() {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| {
            ChainErrorKind::Refused(format!("no HTTP client: {}", clip(&error.to_string())))
        })?;
        Ok(Self {
            host: url.host(),
            url: url.clone(),
            client,
            request_timeout: settings.request_timeout,
            response_bytes_max: settings.response_bytes_max,
            batch_calls_max: settings.batch_calls_max.max(1),
            takes_batches: AtomicBool::new(true),
            gives_block_receipts: AtomicBool::new(true),
            chain_id: settings.chain_id,
            on_its_chain: OnceCell::new(),
            health: Mutex::default(),
            calls,
        })
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
        let hung = |_: Elapsed| {
            self.note_failed(Rest::Avoided(REST_HUNG));
            let after = self.request_timeout;
            let text = format!("{}: {method}: no answer within {after:?}", self.host);
            ChainErrorKind::Unreachable(text)
        };
        let url: Url = self.url.expose().clone();
        let request = self.client.post(url).header(header::CONTENT_TYPE, "application/json");
        let response = timeout_at(deadline, request.body(body).send()).await.map_err(hung)?;
        let response = response.map_err(|error| self.lost(error))?;
        let status = response.status();
        let asked_rest = asked_rest(&response);
        let body = match timeout_at(deadline, self.read_body(method, response)).await {
            Ok(body) => body?,
            // It answers, but with more than the time is enough for; half of it may be.
            Err(_) if method == "eth_getLogs" => {
                let after = self.request_timeout;
                let message = format!("{}: the answer did not end within {after:?}", self.host);
                return Err(ChainErrorKind::RangeTooLarge { message, blocks_max: None });
            }
            Err(elapsed) => return Err(hung(elapsed)),
        };
        if status.is_success() {
            return Ok(body);
        }
        let kind = rpc::refusal_in(method, &body).unwrap_or_else(|| {
            classify_status(method, status.as_u16(), &String::from_utf8_lossy(&body))
        });
        match (&kind, asked_rest) {
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

    async fn read_body(
        &self,
        method: &str,
        mut response: Response,
    ) -> Result<Vec<u8>, ChainErrorKind> {
        let announced = response.content_length().and_then(|bytes| usize::try_from(bytes).ok());
        let too_long = || {
            let most = self.response_bytes_max;
            let message = format!("{method}: the answer is longer than {most} bytes");
            if method == "eth_getLogs" {
                ChainErrorKind::RangeTooLarge { message, blocks_max: None }
            } else {
                ChainErrorKind::Refused(message)
            }
        };
        if announced.is_some_and(|bytes| self.response_bytes_max < bytes) {
            return Err(too_long());
        }
        let mut body = Vec::with_capacity(announced.unwrap_or_default());
        while let Some(chunk) = response.chunk().await.map_err(|error| self.lost(error))? {
            if self.response_bytes_max < body.len().saturating_add(chunk.len()) {
                return Err(too_long());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn lost(&self, error: reqwest::Error) -> ChainErrorKind {
        let rest = self.next_rest();
        self.note_failed(Rest::Avoided(rest));
        let error = error.without_url();
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            text = format!("{text}: {inner}");
            cause = inner.source();
        }
        ChainErrorKind::Unreachable(format!("{}: {}", self.host, clip(&text)))
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

fn asked_rest(response: &Response) -> Option<Duration> {
    let text = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
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
