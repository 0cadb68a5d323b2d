//! The book asks all sources at once, waits for none too long, and names those that failed.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use inspay_ports::{RateSource, RateSourceError, RateSourceErrorKind};
use inspay_primitives::{ChainId, Rate, Timestamp};
use inspay_quoting::{RateRefusal, RateRules, RateSample, SourceKind};
use inspay_rates::{DuplicateSource, FixedRate, MedianRates, RateBook, RateKey};
use tokio::sync::Barrier;

const TIMEOUT: Duration = Duration::from_millis(100);
const NATIVE: RateKey = RateKey::Native(ChainId(1));

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_chain_seconds(1_760_000_000 + seconds)
}

fn rate(text: &str) -> Rate {
    text.parse().expect("rate")
}

fn fixed(name: &str, text: &str) -> Arc<dyn RateSource> {
    Arc::new(FixedRate::new(name, rate(text)))
}

/// A source of one temper.
#[derive(Debug)]
struct Stub {
    name: &'static str,
    temper: Temper,
    asked: AtomicU32,
}

#[derive(Debug)]
enum Temper {
    Silent,
    Failing,
    /// Answers once all who share the barrier were asked.
    Together(Arc<Barrier>),
}

impl Stub {
    fn new(name: &'static str, temper: Temper) -> Arc<Self> {
        Arc::new(Self { name, temper, asked: AtomicU32::new(0) })
    }
}

#[async_trait]
impl RateSource for Stub {
    fn name(&self) -> &str {
        self.name
    }

    fn kind(&self) -> SourceKind {
        SourceKind::Http
    }

    async fn sample(&self, now: Timestamp) -> Result<RateSample, RateSourceError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        match &self.temper {
            Temper::Silent => std::future::pending().await,
            Temper::Failing => Err(RateSourceError {
                source_name: self.name.to_owned(),
                kind: RateSourceErrorKind::Refused("closed".to_owned()),
            }),
            Temper::Together(barrier) => {
                barrier.wait().await;
                FixedRate::new(self.name, rate("1")).sample(now).await
            }
        }
    }
}

fn median(sources: Vec<Arc<dyn RateSource>>) -> MedianRates {
    MedianRates::new(sources, RateRules::default(), TIMEOUT).expect("names differ")
}

#[tokio::test]
async fn failed_and_silent_sources_are_named_beside_the_samples() {
    let sources: Vec<Arc<dyn RateSource>> = vec![
        fixed("a", "1.00"),
        Stub::new("b", Temper::Silent),
        Stub::new("c", Temper::Failing),
        fixed("d", "1.01"),
    ];
    let rates = median(sources);
    let collected = rates.collect(at(0)).await;
    let samples: Vec<&str> = collected.samples.iter().map(|it| it.source.as_str()).collect();
    assert_eq!(samples, ["a", "d"]);
    let failures: Vec<String> =
        collected.failures.iter().map(|it| format!("{}: {}", it.source_name, it.kind)).collect();
    assert_eq!(
        failures,
        ["b: it cannot be reached: no answer within 100 ms", "c: it refused: closed"]
    );
    assert_eq!(rates.judge(at(0)).await.expect("rate").rate, rate("1.005"));
}

#[tokio::test]
async fn without_any_sample_the_refusal_says_what_each_source_said() {
    let rates = median(vec![Stub::new("c", Temper::Failing)]);
    let refusal = rates.judge(at(0)).await.expect_err("no rate");
    assert_eq!(refusal.code(), "rate_missing");
    assert_eq!(refusal.to_string(), "no source gave a rate: c: it refused: closed");
    let refusal = median(Vec::new()).judge(at(0)).await.expect_err("no rate");
    assert_eq!(refusal.to_string(), "no source gave a rate: no source is set up");
}

#[tokio::test]
async fn sources_are_asked_at_once() {
    let barrier = Arc::new(Barrier::new(2));
    let rates = median(vec![
        Stub::new("a", Temper::Together(Arc::clone(&barrier))),
        Stub::new("b", Temper::Together(barrier)),
    ]);
    assert_eq!(rates.collect(at(0)).await.failures.len(), 0);
}

#[test]
fn one_name_counts_once() {
    let sources = vec![fixed("a", "1"), fixed("a", "1")];
    let refused = MedianRates::new(sources, RateRules::default(), TIMEOUT);
    assert_eq!(refused.err(), Some(DuplicateSource("a".to_owned())));
}

#[tokio::test]
async fn a_verdict_is_used_again_until_it_is_to_be_refreshed() {
    let stub = Stub::new("a", Temper::Together(Arc::new(Barrier::new(1))));
    let failing = Stub::new("b", Temper::Failing);
    let sources: Vec<Arc<dyn RateSource>> = vec![stub.clone(), failing.clone()];
    let book = RateBook::new(BTreeMap::from([(NATIVE, median(sources))]), 10);
    let times_asked = || (stub.asked.load(Ordering::SeqCst), failing.asked.load(Ordering::SeqCst));

    let first = book.rate(NATIVE, at(100)).await.expect("rate");
    assert_eq!(book.rate(NATIVE, at(109)).await.expect("rate"), first);
    assert_eq!(book.rate(NATIVE, at(99)).await.expect("rate"), first);
    assert_eq!(times_asked(), (1, 1));
    assert_ne!(book.rate(NATIVE, at(110)).await.expect("rate"), first);
    assert_eq!(times_asked(), (2, 2));
    let _ = book.collect(NATIVE, at(110)).await;
    assert_eq!(times_asked(), (3, 3));
}

#[tokio::test]
async fn an_expired_rate_is_not_used_again() {
    let rules = RateRules { lifetime_seconds: 5, ..RateRules::default() };
    let rates = MedianRates::new(vec![fixed("a", "1")], rules, TIMEOUT).expect("names differ");
    let book = RateBook::new(BTreeMap::from([(NATIVE, rates)]), 60);
    let first = book.rate(NATIVE, at(0)).await.expect("rate");
    assert_eq!(book.rate(NATIVE, at(4)).await.expect("rate"), first);
    assert_eq!(book.rate(NATIVE, at(5)).await.expect("rate").expires_at, at(10));
}

#[tokio::test]
async fn callers_at_the_same_time_share_one_verdict() {
    let stub = Stub::new("a", Temper::Together(Arc::new(Barrier::new(1))));
    let book = RateBook::new(BTreeMap::from([(NATIVE, median(vec![stub.clone()]))]), 10);
    let calls = (0..20).map(|second| book.rate(NATIVE, at(second % 3)));
    let verdicts = futures::future::join_all(calls).await;
    assert!(verdicts.iter().all(Result::is_ok));
    assert_eq!(stub.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_asset_without_an_entry_has_no_rate() {
    let book = RateBook::new(BTreeMap::new(), 10);
    let refusal = book.rate(NATIVE, at(0)).await.expect_err("no entry");
    assert!(matches!(refusal, RateRefusal::Missing { .. }));
    assert_eq!(book.keys().count(), 0);
}
