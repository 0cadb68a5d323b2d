//! Feeds and pools against a node that answers what it is told to.

use std::sync::Arc;

use alloy::{
    primitives::{Address, Bytes, I256, U256, aliases::U80},
    providers::{DynProvider, Provider as _, ProviderBuilder},
    rpc::types::Block,
    sol_types::SolValue as _,
    transports::mock::Asserter,
};
use inspay_ports::{RateSource, RateSourceErrorKind};
use inspay_primitives::{Asset, AssetId, ChainId, Timestamp};
use inspay_quoting::{RateSample, SourceKind};
use inspay_rates::{ChainlinkRate, ChainlinkSettings, FixedRate, TwapSettings, UniswapV3Twap};

const NOW: u64 = 1_760_000_000;
const PRICED: Address = Address::repeat_byte(1);
const OTHER: Address = Address::repeat_byte(2);

fn now() -> Timestamp {
    Timestamp::from_chain_seconds(NOW)
}

fn node(answers: &[Vec<u8>]) -> (DynProvider, Asserter) {
    let asserter = Asserter::new();
    for answer in answers {
        asserter.push_success(&Bytes::from(answer.clone()));
    }
    (ProviderBuilder::new().connect_mocked_client(asserter.clone()).erased(), asserter)
}

fn decimals(decimals: u64) -> Vec<u8> {
    U256::from(decimals).abi_encode()
}

fn round(round: u64, answer: I256, updated_at: u64, answered_in: u64) -> Vec<u8> {
    (U80::from(round), answer, U256::from(NOW), U256::from(updated_at), U80::from(answered_in))
        .abi_encode_params()
}

fn int256(answer: i64) -> I256 {
    I256::try_from(answer).expect("fits")
}

async fn feed(answers: &[Vec<u8>]) -> Result<RateSample, RateSourceErrorKind> {
    let settings =
        ChainlinkSettings { name: "feed".to_owned(), aggregator: PRICED, heartbeat_seconds: 3_600 };
    let source = ChainlinkRate::new(node(answers).0, settings);
    source.sample(now()).await.map_err(|error| error.kind)
}

#[tokio::test]
async fn a_feed_is_read_with_its_own_decimals_and_heartbeat() {
    let sample =
        feed(&[decimals(8), round(7, int256(99_970_000), NOW - 3_599, 7)]).await.expect("rate");
    assert_eq!(sample.rate.to_string(), "0.99970000");
    assert_eq!(sample.kind, SourceKind::Feed);
    assert_eq!(now().seconds_since(sample.observed_at), 3_599);
    assert_eq!(sample.valid_until, Some(now().plus_seconds(1)));

    let sample = feed(&[decimals(18), round(7, int256(1_234_567_890_123_456_789), NOW, 7)]).await;
    assert_eq!(sample.expect("rate").rate.to_string(), "1.234567890123456789");
}

#[tokio::test]
async fn a_feed_that_does_not_stand_by_an_answer_has_none() {
    type Kind = fn(String) -> RateSourceErrorKind;
    let (stale, refused, malformed): (Kind, Kind, Kind) =
        (RateSourceErrorKind::Stale, RateSourceErrorKind::Refused, RateSourceErrorKind::Malformed);
    let good = int256(100_000_000);
    let cases = [
        ("at the heartbeat", round(7, good, NOW - 3_600, 7), 8, stale),
        ("carried over", round(7, good, NOW, 6), 8, stale),
        ("unfinished", round(7, good, 0, 7), 8, refused),
        ("zero", round(7, I256::ZERO, NOW, 7), 8, refused),
        ("negative", round(7, int256(-1), NOW, 7), 8, refused),
        ("more than a rate holds", round(7, I256::MAX, NOW, 7), 8, malformed),
        ("more digits than a rate holds", round(7, good, NOW, 7), 29, malformed),
        ("no round at all", Vec::new(), 8, malformed),
    ];
    for (name, round, digits, kind) in cases {
        let failed = feed(&[decimals(digits), round]).await.expect_err(name);
        let same_kind =
            std::mem::discriminant(&failed) == std::mem::discriminant(&kind(String::new()));
        assert!(same_kind, "{name}: {failed:?}");
    }
}

#[tokio::test]
async fn a_node_that_fails_is_told_from_a_contract_that_refuses() {
    let (provider, asserter) = node(&[]);
    let settings =
        ChainlinkSettings { name: "feed".to_owned(), aggregator: PRICED, heartbeat_seconds: 3_600 };
    let source = ChainlinkRate::new(provider, settings);
    asserter.push_failure_msg("execution reverted: OLD");
    let failed = source.sample(now()).await.expect_err("refused");
    assert!(matches!(&failed.kind, RateSourceErrorKind::Refused(text) if text.contains("OLD")));
    assert!(!failed.is_transient());
    let failed = source.sample(now()).await.expect_err("no answer left");
    assert!(failed.is_transient(), "{failed:?}");
}

fn asset(contract: Address, decimals: u8) -> Asset {
    let id = AssetId { chain_id: ChainId(1), contract };
    Asset { id, symbol: "T".to_owned(), decimals }
}

/// What the pool says: its tokens, the newest block, and the sums over the window.
struct PoolAnswers {
    tokens: [Address; 2],
    block_time: u64,
    ticks: [i64; 2],
    /// Seconds per liquidity in 2^-128.
    liquidity: [u128; 2],
}

impl Default for PoolAnswers {
    fn default() -> Self {
        // 1.0001^-310000 over half an hour.
        let ticks = [5_000, 5_000 - 310_000 * 1_800];
        // A liquidity of 2^60 over the same time.
        let liquidity = [0, 1_800 << 68];
        Self { tokens: [PRICED, OTHER], block_time: NOW - 5, ticks, liquidity }
    }
}

fn twap(answers: &PoolAnswers, window_seconds: u32, liquidity_min: Option<u128>) -> UniswapV3Twap {
    let (provider, asserter) = node(&[]);
    for token in answers.tokens {
        asserter.push_success(&Bytes::from(token.abi_encode()));
    }
    let mut block = Block::<()>::default();
    block.header.inner.number = 100;
    block.header.inner.timestamp = answers.block_time;
    asserter.push_success(&block);
    let ticks = answers.ticks.map(int256).to_vec();
    let liquidity = answers.liquidity.map(U256::from).to_vec();
    asserter.push_success(&Bytes::from((ticks, liquidity).abi_encode_params()));
    let settings = TwapSettings {
        name: "pool".to_owned(),
        pool: Address::repeat_byte(9),
        priced: asset(PRICED, 18),
        quoted_in: asset(OTHER, 6),
        window_seconds,
        max_age_seconds: 90,
        liquidity_min,
    };
    let usd = FixedRate::new("peg", "0.9997".parse().expect("rate"));
    UniswapV3Twap::new(provider, settings, Arc::new(usd))
}

#[tokio::test]
async fn a_pool_is_read_over_its_window_in_either_order() {
    let pool = twap(&PoolAnswers::default(), 1_800, None);
    let sample = pool.sample(now()).await.expect("rate");
    assert_eq!(sample.rate.to_string(), "0.0344678238413467738");
    assert_eq!(sample.kind, SourceKind::PoolTwap);
    assert_eq!(now().seconds_since(sample.observed_at), 5);
    assert_eq!(sample.valid_until, Some(now().plus_seconds(85)));

    let turned = PoolAnswers {
        tokens: [OTHER, PRICED],
        ticks: [0, 310_000 * 1_800],
        ..PoolAnswers::default()
    };
    let sample = twap(&turned, 1_800, None).sample(now()).await.expect("rate");
    assert_eq!(sample.rate.to_string(), "0.0344678238413467738");
}

#[tokio::test]
async fn a_window_too_short_for_an_average_is_a_spot_price() {
    let answers = PoolAnswers { ticks: [0, 59], ..PoolAnswers::default() };
    let pool = twap(&answers, 59, None);
    assert_eq!(pool.kind(), SourceKind::PoolSpot);
    assert_eq!(pool.sample(now()).await.expect("rate").kind, SourceKind::PoolSpot);
}

#[tokio::test]
async fn a_pool_of_other_tokens_or_without_liquidity_has_no_rate() {
    let strange = PoolAnswers { tokens: [PRICED, PRICED], ..PoolAnswers::default() };
    let failed = twap(&strange, 1_800, None).sample(now()).await.expect_err("not this pool");
    assert!(matches!(failed.kind, RateSourceErrorKind::Refused(_)), "{failed:?}");

    let enough = 1u128 << 60;
    assert!(twap(&PoolAnswers::default(), 1_800, Some(enough - 1)).sample(now()).await.is_ok());
    let thin = twap(&PoolAnswers::default(), 1_800, Some(enough + 1)).sample(now()).await;
    let thin = thin.expect_err("too thin");
    assert!(matches!(thin.kind, RateSourceErrorKind::Refused(_)), "{thin:?}");

    let beyond = PoolAnswers { ticks: [0, 900_000 * 1_800], ..PoolAnswers::default() };
    let failed = twap(&beyond, 1_800, None).sample(now()).await.expect_err("no such tick");
    assert!(matches!(failed.kind, RateSourceErrorKind::Malformed(_)), "{failed:?}");
}
