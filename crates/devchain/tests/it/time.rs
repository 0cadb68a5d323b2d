use std::time::Duration;

use alloy::providers::Provider;
use inspay_devchain::{AnvilOptions, Deployment, Devchain, Mining};
use inspay_primitives::U256;
use tokio::time::{Instant, sleep};

use crate::{started, usdt};

const DEADLINE: Duration = Duration::from_secs(20);

fn seconds(block: inspay_primitives::BlockRef) -> u64 {
    u64::try_from(block.time.seconds()).unwrap()
}

#[tokio::test]
async fn a_block_carries_the_time_asked_for() {
    let chain = started().await;
    let at = seconds(chain.head().await.unwrap()) + 86_400;
    assert_eq!(seconds(chain.mine_at(at).await.unwrap()), at);
    assert!(seconds(chain.mine(1).await.unwrap()) >= at);
    chain.mine_at(at - 1).await.unwrap_err();
}

#[tokio::test]
async fn the_clock_moves_forward_and_goes_on() {
    let chain = started().await;
    let start = seconds(chain.head().await.unwrap());
    chain.increase_time(3_600).await.unwrap();
    let moved = seconds(chain.mine(1).await.unwrap());
    assert!((start + 3_600..start + 3_630).contains(&moved), "{start} {moved}");
    chain.set_time(start + 10_000).await.unwrap();
    let set = seconds(chain.mine(1).await.unwrap());
    assert!((start + 10_000..start + 10_030).contains(&set), "{start} {set}");
}

#[tokio::test]
async fn blocks_can_be_spaced_by_a_fixed_time() {
    let options = AnvilOptions {
        seconds_per_block: Some(12),
        genesis_time: Some(1_800_000_000),
        ..AnvilOptions::default()
    };
    let chain = Devchain::start(options).await.unwrap();
    let head = chain.mine(10).await.unwrap();
    assert_eq!(seconds(head), 1_800_000_000 + 12 * head.number);
}

#[tokio::test]
async fn without_automatic_mining_a_payment_waits_for_a_block() {
    let chain = started().await;
    let Deployment { usdt: token, treasury, .. } = *chain.deployment();
    chain.set_automine(false).await.unwrap();
    let before = chain.head().await.unwrap();
    let mut sent = Vec::new();
    for index in 0..3 {
        sent.push(
            chain.transfer(token, chain.buyer(index), treasury, usdt(1), None).await.unwrap(),
        );
    }
    assert_eq!(chain.balance(token, treasury).await.unwrap(), U256::ZERO);
    let block = chain.mine(1).await.unwrap();
    assert_eq!(block.number, before.number + 1);
    // In the order of arrival, so that a test knows its log indexes.
    for (index, hash) in sent.into_iter().enumerate() {
        let receipt = chain.mined(hash).await.unwrap();
        assert_eq!(receipt.block_hash, Some(block.hash));
        assert_eq!(receipt.transaction_index, u64::try_from(index).ok());
    }
}

#[tokio::test]
async fn a_pending_payment_can_be_dropped() {
    let chain = started().await;
    let Deployment { usdt: token, treasury, .. } = *chain.deployment();
    chain.set_automine(false).await.unwrap();
    let hash = chain.transfer(token, chain.buyer(0), treasury, usdt(1), None).await.unwrap();
    chain.drop_transaction(hash).await.unwrap();
    chain.mine(1).await.unwrap();
    assert!(chain.provider().get_transaction_receipt(hash).await.unwrap().is_none());
    chain.drop_transaction(hash).await.unwrap_err();
}

#[tokio::test]
async fn blocks_come_by_themselves_at_an_interval() {
    let options =
        AnvilOptions { mining: Mining::Every(Duration::from_secs(1)), ..AnvilOptions::default() };
    let chain = Devchain::start(options).await.unwrap();
    let Deployment { usdt: token, treasury, .. } = *chain.deployment();
    let first = chain.head().await.unwrap();
    let hash = chain.transfer(token, chain.buyer(0), treasury, usdt(1), None).await.unwrap();
    chain.mined(hash).await.unwrap();
    let deadline = Instant::now() + DEADLINE;
    while chain.head().await.unwrap().number < first.number + 2 {
        assert!(Instant::now() < deadline, "no blocks came");
        sleep(Duration::from_millis(5)).await;
    }
    chain.set_mining(Mining::OnDemand).await.unwrap();
}

#[tokio::test]
async fn the_base_fee_is_what_was_set() {
    let chain = started().await;
    chain.set_base_fee(7_000_000_000).await.unwrap();
    chain.mine(1).await.unwrap();
    let head = chain.provider().get_block_by_number(Default::default()).await.unwrap().unwrap();
    assert_eq!(head.header.base_fee_per_gas, Some(7_000_000_000));
}
