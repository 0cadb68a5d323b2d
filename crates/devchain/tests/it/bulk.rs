use std::{collections::HashSet, time::Instant};

use inspay_devchain::Deployment;
use inspay_primitives::U256;

use crate::{decoded, payments_of, started};

#[tokio::test]
async fn a_bulk_of_transfers_has_the_count_and_the_sum_it_says() {
    let chain = started().await;
    let Deployment { usdt, inspi, treasury, .. } = *chain.deployment();
    let before = chain.head().await.unwrap();
    let bulk = chain.bulk_transfers(usdt, 1_250, 4).await.unwrap();
    assert_eq!(bulk.transfers, 5_000);
    assert_eq!(bulk.last_block - bulk.first_block, 3);
    assert!(bulk.first_block > before.number);
    assert_eq!(chain.balance(usdt, treasury).await.unwrap(), bulk.total);
    let logs = payments_of(&chain, usdt).await;
    assert_eq!(logs.len(), 5_000);
    let values: HashSet<U256> = logs.iter().map(|log| decoded(log).value).collect();
    assert_eq!(values.len(), 5_000);
    // Mining on arrival is on again.
    chain.transfer(inspi, chain.buyer(0), treasury, U256::from(1), None).await.unwrap();
    assert_eq!(chain.balance(inspi, treasury).await.unwrap(), U256::from(1));
}

#[tokio::test]
async fn a_hundred_thousand_transfers_are_built_within_a_minute() {
    let chain = started().await;
    let Deployment { usdt, treasury, .. } = *chain.deployment();
    let began = Instant::now();
    let bulk = chain.bulk_transfers(usdt, 250, 400).await.unwrap();
    let took = began.elapsed();
    println!("{} transfers in {took:?}", bulk.transfers);
    assert_eq!(bulk.transfers, 100_000);
    assert_eq!(chain.balance(usdt, treasury).await.unwrap(), bulk.total);
    assert!(took.as_secs() < 60, "{took:?}");
}
