//! Rates from contracts that run on a real chain.

use std::sync::Arc;

use alloy::providers::Provider as _;
use inspay_devchain::{AnvilOptions, Devchain, sqrt_price_x96};
use inspay_ports::RateSource as _;
use inspay_primitives::{Asset, AssetId, ChainId, Timestamp, U256};
use inspay_rates::{ChainlinkRate, ChainlinkSettings, FixedRate, TwapSettings, UniswapV3Twap};

fn listed(contract: inspay_primitives::Address, symbol: &str, decimals: u8) -> Asset {
    Asset {
        id: AssetId { chain_id: ChainId(31_337), contract },
        symbol: symbol.to_owned(),
        decimals,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_uniswap_pool_gives_the_average_of_its_past() {
    let chain = Devchain::start(AnvilOptions::default()).await.expect("the chain starts");
    let place = chain.deployment();
    // Five cents: 20 INSPI for one USDT.
    let inspi = U256::from(20) * U256::from(10).pow(U256::from(18));
    let usdt = U256::from(1_000_000);
    let price = chain.pool_price(inspi, usdt).expect("a price");
    assert!(sqrt_price_x96(inspi, usdt).is_some());
    let pool = chain.uniswap_v3_pool(3_000, price).await.expect("a pool");
    chain.increase_time(3_600).await.expect("time moves");
    let now = chain.mine(1).await.expect("mines").time;
    let source = UniswapV3Twap::new(
        chain.provider().clone(),
        TwapSettings {
            name: "pool".to_owned(),
            pool: pool.address,
            priced: listed(place.inspi, "INSPI", 18),
            quoted_in: listed(place.usdt, "USDT", 6),
            window_seconds: 1_800,
            max_age_seconds: 600,
            liquidity_min: None,
        },
        Arc::new(FixedRate::new("peg", "1".parse().expect("rate"))),
    );
    let sample = source.sample(now).await.expect("a sample");
    let text = sample.rate.to_string();
    assert!(text.starts_with("0.0499") || text.starts_with("0.0500"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_feed_is_read_and_an_old_answer_is_refused() {
    let chain = Devchain::start(AnvilOptions::default()).await.expect("the chain starts");
    let place = chain.deployment();
    let feed = ChainlinkRate::new(
        chain.provider().clone(),
        ChainlinkSettings {
            name: "feed".to_owned(),
            aggregator: place.usdt_feed,
            heartbeat_seconds: 60,
        },
    );
    chain.set_price(place.usdt_feed, 99_970_000).await.expect("a price");
    let now = chain.head().await.expect("a head").time;
    let sample = feed.sample(now).await.expect("a sample");
    assert_eq!(sample.rate.to_string().trim_end_matches('0'), "0.9997");
    let number = chain.provider().get_block_number().await.expect("a number");
    assert!(number > 0);
    let later = Timestamp::from_micros(now.micros() + 61_000_000);
    let old = feed.sample(later).await;
    let is_old = match &old {
        Ok(sample) => sample.valid_until.is_some_and(|until| until < later),
        Err(_) => true,
    };
    assert!(is_old, "{old:?}");
}
