//! How a request reaches an endpoint: over HTTP, or over whatever a simulation puts in its place.
//!
//! Never reads an answer: what comes back is a status and bytes.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use inspay_ports::{ChainErrorKind, NamedLimits};
use reqwest::{Client, Response, header};
use tokio::time::{Instant, timeout_at};

use crate::{settings::NodeUrl, wire::clip};

/// So much before the deadline a body that has begun is given up, so that there is still time to say that
/// it had begun.
const HEAD_START: Duration = Duration::from_millis(20);

/// What came back for one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// How long the endpoint asks to be left alone.
    pub rest: Option<Duration>,
    /// The body, whole.
    pub body: Vec<u8>,
}

/// How much of an answer is waited for.
#[derive(Clone, Copy, Debug)]
pub struct ReplyLimits {
    /// The caller gives up then; a transport need not look at it.
    pub deadline: Instant,
    /// A longer body must not be read to its end.
    pub bytes_max: usize,
}

/// One way to one endpoint.
#[async_trait]
pub trait Transport: Send + Sync + fmt::Debug {
    /// The endpoint's name for people: never a path, a query or a key.
    fn host(&self) -> String;

    /// Sends a JSON-RPC body, a single call or a batch, and brings the answer whatever its status.
    ///
    /// `method` is the first call's. No answer at all is [`ChainErrorKind::Unreachable`]; one that is too
    /// long, or that began and did not end, is [`ChainErrorKind::RangeTooLarge`] for a range of logs.
    async fn post(
        &self,
        method: &str,
        body: Vec<u8>,
        limits: ReplyLimits,
    ) -> Result<Reply, ChainErrorKind>;
}

/// An endpoint over HTTP.
#[derive(Debug)]
pub struct HttpTransport {
    url: NodeUrl,
    client: Client,
}

impl HttpTransport {
    /// Makes the client; nothing is asked yet.
    ///
    /// # Errors
    ///
    /// When no HTTP client can be made on this machine.
    pub fn new(url: NodeUrl) -> Result<Self, ChainErrorKind> {
        let mut builder = Client::builder();
        if url.is_local() {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| {
            ChainErrorKind::Refused(format!("no HTTP client: {}", clip(&error.to_string())))
        })?;
        Ok(Self { url, client })
    }

    async fn read_body(
        &self,
        method: &str,
        mut response: Response,
        bytes_max: usize,
    ) -> Result<Vec<u8>, ChainErrorKind> {
        let announced = response.content_length().and_then(|bytes| usize::try_from(bytes).ok());
        let too_long = || {
            let message = format!("{method}: the answer is longer than {bytes_max} bytes");
            if method == "eth_getLogs" {
                ChainErrorKind::RangeTooLarge { message, named: NamedLimits::NONE }
            } else {
                ChainErrorKind::Refused(message)
            }
        };
        if announced.is_some_and(|bytes| bytes_max < bytes) {
            return Err(too_long());
        }
        let mut body = Vec::with_capacity(announced.unwrap_or_default());
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            if bytes_max < body.len().saturating_add(chunk.len()) {
                return Err(too_long());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

#[async_trait]
impl Transport for HttpTransport {
    fn host(&self) -> String {
        self.url.host()
    }

    async fn post(
        &self,
        method: &str,
        body: Vec<u8>,
        limits: ReplyLimits,
    ) -> Result<Reply, ChainErrorKind> {
        let url = self.url.expose().clone();
        let request = self.client.post(url).header(header::CONTENT_TYPE, "application/json");
        let response = request.body(body).send().await.map_err(lost)?;
        let (status, rest) = (response.status().as_u16(), asked_rest(&response));
        let read = self.read_body(method, response, limits.bytes_max);
        if method != "eth_getLogs" {
            return Ok(Reply { status, rest, body: read.await? });
        }
        // It answers, but with more than the time is enough for; half of it may be.
        let give_up = limits.deadline.checked_sub(HEAD_START).unwrap_or(limits.deadline);
        let body = timeout_at(give_up, read).await.unwrap_or_else(|_| {
            let message = format!("{}: the answer did not end in time", self.host());
            Err(ChainErrorKind::RangeTooLarge { message, named: NamedLimits::NONE })
        })?;
        Ok(Reply { status, rest, body })
    }
}

/// What broke the connection, with its causes and without the URL.
fn lost(error: reqwest::Error) -> ChainErrorKind {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    ChainErrorKind::Unreachable(clip(&text))
}

fn asked_rest(response: &Response) -> Option<Duration> {
    let text = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}
