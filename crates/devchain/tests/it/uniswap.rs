use inspay_devchain::{Deployment, sqrt_price_x96};
use inspay_primitives::U256;

use crate::{inspi, started, usdt};

#[test]
fn a_price_of_one_is_two_to_the_96() {
    let one = sqrt_price_x96(U256::from(5), U256::from(5)).unwrap();
    assert_eq!(U256::from(one), U256::from(1) << 96);
    let four = sqrt_price_x96(U256::from(1), U256::from(4)).unwrap();
    assert_eq!(U256::from(four), U256::from(1) << 97);
    assert_eq!(sqrt_price_x96(U256::ZERO, U256::from(1)), None);
    assert_eq!(sqrt_price_x96(U256::from(1), U256::MAX), None);
}

#[tokio::test]
async fn a_swap_moves_the_mean_price_only_as_time_passes() {
    let chain = started().await;
    let Deployment { inspi: inspi_token, usdt: tether, .. } = *chain.deployment();
    let price = chain.pool_price(inspi(20), usdt(1)).unwrap();
    let pool = chain.uniswap_v3_pool(3_000, price).await.unwrap();
    chain.fill_pool(&pool, inspi_token, inspi(10_000_000)).await.unwrap();
    chain.fill_pool(&pool, tether, usdt(600_000)).await.unwrap();
    chain.add_liquidity(&pool, 1_000_000_000_000_000_000).await.unwrap();
    chain.increase_time(3_600).await.unwrap();
    chain.mine(1).await.unwrap();

    let mean = |(then, now): (i64, i64)| (now - then).div_euclid(600);
    let before = mean(chain.tick_accumulators(&pool, 600).await.unwrap());
    chain.swap(&pool, tether, usdt(50_000)).await.unwrap();
    let at_once = mean(chain.tick_accumulators(&pool, 600).await.unwrap());
    chain.increase_time(1_200).await.unwrap();
    chain.mine(1).await.unwrap();
    let later = mean(chain.tick_accumulators(&pool, 600).await.unwrap());

    // INSPI at 5 cents: 1.0001^tick = 0.05 * 10^-12 where INSPI is token0, so the tick is about
    // -306,283; the swap buys INSPI, so its price in USDT rises.
    assert_eq!(before.abs(), 306_283);
    assert!((at_once.abs() - before.abs()).abs() <= 10, "{before} {at_once}");
    assert!(later.abs() < before.abs() - 100, "{before} {later}");
}
