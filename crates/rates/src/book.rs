//! The book of rates: every asset's sources, asked at once, judged by the asset's rules.
//!
//! Never waits for a source longer than the timeout, and never passes over one that failed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::future::join_all;
use inspay_ports::{RateSource, RateSourceError, RateSourceErrorKind};
use inspay_primitives::{AssetId, ChainId, Timestamp};
use inspay_quoting::{RateQuote, RateRefusal, RateRules, RateSample, judge_rate};
use tokio::{sync::Mutex, time::timeout};

/// What all sources of one asset said.
#[derive(Debug, Default)]
#[must_use = "failures are to be reported"]
pub struct Collected {
    /// What came, in the order of the sources.
    pub samples: Vec<RateSample>,
    /// What did not come, and why.
    pub failures: Vec<RateSourceError>,
}

/// Two sources of one asset bear the same name, so that one could count twice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rate source {0} is named twice for one asset")]
pub struct DuplicateSource(pub String);

/// The sources of one asset and the rules that they are judged by.
#[derive(Debug)]
pub struct MedianRates {
    sources: Vec<Arc<dyn RateSource>>,
    rules: RateRules,
    timeout: Duration,
}

impl MedianRates {
    /// Sources with names of their own; each may take `timeout` to answer.
    pub fn new(
        sources: Vec<Arc<dyn RateSource>>,
        rules: RateRules,
        timeout: Duration,
    ) -> Result<Self, DuplicateSource> {
        let mut names = BTreeSet::new();
        match sources.iter().find(|source| !names.insert(source.name())) {
            Some(source) => Err(DuplicateSource(source.name().to_owned())),
            None => Ok(Self { sources, rules, timeout }),
        }
    }

    /// Asks every source at once.
    pub async fn collect(&self, now: Timestamp) -> Collected {
        let answers = self.sources.iter().map(|source| self.ask(source.as_ref(), now));
        let mut collected = Collected::default();
        for answer in join_all(answers).await {
            match answer {
                Ok(sample) => collected.samples.push(sample),
                Err(failure) => collected.failures.push(failure),
            }
        }
        collected
    }

    async fn ask(
        &self,
        source: &dyn RateSource,
        now: Timestamp,
    ) -> Result<RateSample, RateSourceError> {
        timeout(self.timeout, source.sample(now)).await.unwrap_or_else(|_| {
            let text = format!("no answer within {} ms", self.timeout.as_millis());
            Err(RateSourceError {
                source_name: source.name().to_owned(),
                kind: RateSourceErrorKind::Unreachable(text),
            })
        })
    }

    /// Asks every source and judges what came. Failures are logged, and named where nothing came.
    pub async fn judge(&self, now: Timestamp) -> Result<RateQuote, RateRefusal> {
        let Collected { samples, failures } = self.collect(now).await;
        for failure in &failures {
            tracing::warn!(
                rate.source = %failure.source_name,
                error = %failure.kind,
                "a rate source failed"
            );
        }
        judge_rate(&samples, &self.rules, now).map_err(|refusal| named(refusal, &failures))
    }
}

/// A refusal for want of samples says what each source said instead.
fn named(refusal: RateRefusal, failed: &[RateSourceError]) -> RateRefusal {
    match refusal {
        RateRefusal::Missing { mut failures } => {
            let texts = failed.iter().map(|it| format!("{}: {}", it.source_name, it.kind));
            failures.extend(texts);
            if failures.is_empty() {
                failures.push("no source is set up".to_owned());
            }
            RateRefusal::Missing { failures }
        }
        other @ (RateRefusal::Stale { .. }
        | RateRefusal::FromFuture { .. }
        | RateRefusal::TooFew { .. }
        | RateRefusal::Disagreement { .. }
        | RateRefusal::Depegged { .. }
        | RateRefusal::SpotOnly { .. }
        | RateRefusal::KindMissing { .. }
        | RateRefusal::Expired { .. }) => other,
    }
}

/// What a rate is kept for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RateKey {
    /// A token.
    Asset(AssetId),
    /// The token that a chain's gas is paid in.
    Native(ChainId),
}

#[derive(Debug)]
struct Entry {
    rates: MedianRates,
    last: Mutex<Option<Judged>>,
}

#[derive(Debug)]
struct Judged {
    at: Timestamp,
    verdict: Result<RateQuote, RateRefusal>,
}

/// The rates of all assets.
///
/// A verdict is used again for a few seconds, so that many quotes ask the sources once.
#[derive(Debug)]
pub struct RateBook {
    entries: BTreeMap<RateKey, Entry>,
    refresh_seconds: u32,
}

impl RateBook {
    /// A book in which a verdict is used again for less than `refresh_seconds`; zero asks every time.
    #[must_use]
    pub fn new(rates: BTreeMap<RateKey, MedianRates>, refresh_seconds: u32) -> Self {
        let entry = |rates| Entry { rates, last: Mutex::new(None) };
        let entries = rates.into_iter().map(|(key, rates)| (key, entry(rates))).collect();
        Self { entries, refresh_seconds }
    }

    /// The rate now, or why there is none. A key without an entry has no source.
    pub async fn rate(&self, key: RateKey, now: Timestamp) -> Result<RateQuote, RateRefusal> {
        let Some(entry) = self.entries.get(&key) else {
            return Err(named(RateRefusal::Missing { failures: Vec::new() }, &[]));
        };
        // Held while the sources are asked: whoever comes meanwhile takes the same verdict.
        let mut last = entry.last.lock().await;
        if let Some(judged) = last.as_ref().filter(|judged| self.is_fresh(judged, now)) {
            return judged.verdict.clone();
        }
        let verdict = entry.rates.judge(now).await;
        *last = Some(Judged { at: now, verdict: verdict.clone() });
        verdict
    }

    fn is_fresh(&self, judged: &Judged, now: Timestamp) -> bool {
        // Callers that waited for each other may bring times in either order.
        let later = |time: Timestamp| time.plus_seconds(i64::from(self.refresh_seconds));
        let is_young = now < later(judged.at) && judged.at < later(now);
        let is_good = judged.verdict.as_ref().map_or(true, |rate| rate.expires_at > now);
        is_young && is_good
    }

    /// What the book has rates for.
    pub fn keys(&self) -> impl Iterator<Item = RateKey> {
        self.entries.keys().copied()
    }

    /// What the sources of `key` say right now, for people; nothing is judged or kept.
    pub async fn collect(&self, key: RateKey, now: Timestamp) -> Collected {
        match self.entries.get(&key) {
            Some(entry) => entry.rates.collect(now).await,
            None => Collected::default(),
        }
    }
}
