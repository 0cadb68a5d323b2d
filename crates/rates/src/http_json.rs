//! A rate out of a JSON document behind a URL.
//!
//! Never reads more than the size limit, never follows a redirect, never rounds what it reads.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use inspay_ports::{RateSource, RateSourceError, RateSourceErrorKind};
use inspay_primitives::{Rate, Timestamp};
use inspay_quoting::{RateSample, SourceKind};
use reqwest::{Client, Response, StatusCode, Url, redirect::Policy};

use crate::raw_json::{plain_decimal, scalar_at};

/// What a time in a document is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeUnit {
    /// Text such as `2026-01-31T12:00:00Z`.
    Rfc3339,
    /// Seconds since 1970.
    Seconds,
    /// Milliseconds since 1970.
    Milliseconds,
}

/// Where the document says when its price held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpTime {
    /// JSON pointer to the time.
    pub pointer: String,
    /// What it is counted in.
    pub unit: TimeUnit,
}

/// Settings of an HTTP source.
#[derive(Clone, Debug)]
pub struct HttpJsonSettings {
    /// Name of the source.
    pub name: String,
    /// Where the document is.
    pub url: String,
    /// JSON pointer to the dollars for one token: a number, or a string with one in it.
    pub price_pointer: String,
    /// When the price held; `None` takes the time of asking.
    pub time: Option<HttpTime>,
    /// How long the whole answer may take.
    pub timeout: Duration,
    /// The most bytes that are read.
    pub bytes_max: usize,
}

/// Why an HTTP source cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum HttpSetupError {
    /// Not an `http` or `https` URL.
    #[error("rate source {0}: not an http or https URL")]
    Url(String),
    /// Neither empty nor starting with a slash.
    #[error("rate source {name}: not a JSON pointer: {pointer:?}")]
    Pointer {
        /// The source.
        name: String,
        /// What was given.
        pointer: String,
    },
    /// The HTTP client could not be built.
    #[error("rate source {name}: no HTTP client")]
    Client {
        /// The source.
        name: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
}

/// A rate out of a JSON document behind a URL.
pub struct HttpJsonRate {
    settings: HttpJsonSettings,
    url: Url,
    client: Client,
}

impl fmt::Debug for HttpJsonRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A URL's query may carry a key.
        f.debug_struct("HttpJsonRate")
            .field("name", &self.settings.name)
            .field("host", &self.url.host_str())
            .finish_non_exhaustive()
    }
}

impl HttpJsonRate {
    /// Checks the settings and builds the client; nothing is asked yet.
    pub fn new(settings: HttpJsonSettings) -> Result<Self, HttpSetupError> {
        let name = || settings.name.clone();
        let url = Url::parse(&settings.url).map_err(|_| HttpSetupError::Url(name()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(HttpSetupError::Url(name()));
        }
        let time_pointer = settings.time.iter().map(|time| &time.pointer);
        for pointer in time_pointer.chain([&settings.price_pointer]) {
            if !pointer.is_empty() && !pointer.starts_with('/') {
                let pointer = pointer.clone();
                return Err(HttpSetupError::Pointer { name: name(), pointer });
            }
        }
        let client = Client::builder()
            .timeout(settings.timeout)
            .redirect(Policy::none())
            .user_agent("inspay")
            .build()
            .map_err(|source| HttpSetupError::Client { name: name(), source })?;
        Ok(Self { settings, url, client })
    }

    async fn ask(&self, now: Timestamp) -> Result<(Rate, Timestamp), RateSourceErrorKind> {
        let malformed = RateSourceErrorKind::Malformed;
        let response = self.client.get(self.url.clone()).send().await.map_err(unreachable)?;
        let document = self.body(accepted(response)?).await?;
        let price = scalar_at(&document, &self.settings.price_pointer).map_err(malformed)?;
        let rate = read_rate(&price)?;
        let Some(time) = &self.settings.time else { return Ok((rate, now)) };
        let text = scalar_at(&document, &time.pointer).map_err(malformed)?;
        let observed_at = read_time(&text, time.unit)
            .ok_or_else(|| malformed(format!("not a time: {}", excerpt(&text))))?;
        Ok((rate, observed_at))
    }

    async fn body(&self, mut response: Response) -> Result<String, RateSourceErrorKind> {
        let limit = self.settings.bytes_max;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len().saturating_add(chunk.len()) > limit {
                let text = format!("more than {limit} bytes");
                return Err(RateSourceErrorKind::Malformed(text));
            }
            body.extend_from_slice(&chunk);
        }
        String::from_utf8(body).map_err(|_| RateSourceErrorKind::Malformed("not UTF-8".to_owned()))
    }
}

/// Only an answer of success is read. Too many requests and the server's own errors pass by.
fn accepted(response: Response) -> Result<Response, RateSourceErrorKind> {
    let status = response.status();
    if status.is_success() {
        Ok(response)
    } else if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        Err(RateSourceErrorKind::Unreachable(format!("HTTP status {status}")))
    } else {
        Err(RateSourceErrorKind::Refused(format!("HTTP status {status}")))
    }
}

fn unreachable(error: reqwest::Error) -> RateSourceErrorKind {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    RateSourceErrorKind::Unreachable(text)
}

fn read_rate(text: &str) -> Result<Rate, RateSourceErrorKind> {
    if text.starts_with('-') {
        return Err(RateSourceErrorKind::Refused(format!("the price is {}", excerpt(text))));
    }
    let malformed =
        || RateSourceErrorKind::Malformed(format!("not a price that is exact: {}", excerpt(text)));
    let plain = plain_decimal(text).ok_or_else(malformed)?;
    if plain == "0" {
        return Err(RateSourceErrorKind::Refused("the price is zero".to_owned()));
    }
    plain.parse().map_err(|_| malformed())
}

fn read_time(text: &str, unit: TimeUnit) -> Option<Timestamp> {
    let micros_per = |unit_micros: i64| {
        let micros = text.parse::<i64>().ok()?.checked_mul(unit_micros)?;
        Some(Timestamp::from_micros(micros))
    };
    match unit {
        TimeUnit::Rfc3339 => text.parse().ok(),
        TimeUnit::Seconds => micros_per(1_000_000),
        TimeUnit::Milliseconds => micros_per(1_000),
    }
}

fn excerpt(text: &str) -> String {
    text.chars().take(100).collect()
}

#[async_trait]
impl RateSource for HttpJsonRate {
    fn name(&self) -> &str {
        &self.settings.name
    }

    fn kind(&self) -> SourceKind {
        SourceKind::Http
    }

    async fn sample(&self, now: Timestamp) -> Result<RateSample, RateSourceError> {
        let source = self.settings.name.clone();
        match self.ask(now).await {
            Ok((rate, observed_at)) => {
                let kind = SourceKind::Http;
                Ok(RateSample { source, kind, rate, observed_at, valid_until: None })
            }
            Err(kind) => Err(RateSourceError { source_name: source, kind }),
        }
    }
}
