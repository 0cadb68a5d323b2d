//! New heads over the WebSocket.

use std::{sync::Arc, time::Duration};

use inspay_chain_evm::EvmChain;
use inspay_devchain::{AnvilOptions, Devchain};
use inspay_ports::Chain;
use tokio::{sync::watch, time::timeout};

use crate::{settings, started, stub::Cable};

const DEADLINE: Duration = Duration::from_secs(20);

async fn ticked(wake: &mut watch::Receiver<u64>) {
    timeout(DEADLINE, wake.changed()).await.expect("a tick in time").expect("the follower lives");
}

/// An adapter whose WebSocket runs over a cable, and that is connected.
async fn woken(chain: &Devchain) -> (EvmChain, watch::Receiver<u64>, Arc<Cable>) {
    let cable = Cable::to(chain.port()).await;
    let mut settings = settings(chain.deployment());
    settings.ws = Some(format!("ws://{}", cable.address).parse().unwrap());
    let reader = EvmChain::new(settings).unwrap();
    // Before anything is waited for: a tick that came earlier would not be heard.
    let mut wake = reader.wake().unwrap();
    // As at a start; an endpoint's chain is asked for once.
    reader.remote_chain_id().await.unwrap();
    ticked(&mut wake).await;
    (reader, wake, cable)
}

#[tokio::test]
async fn a_new_head_ticks_and_is_handed_out_once_without_a_call() {
    let chain = started().await;
    let (reader, mut wake, _cable) = woken(&chain).await;
    let mined = chain.mine(1).await.unwrap();
    ticked(&mut wake).await;
    let before = reader.rpc_calls();
    let told = reader.head().await.unwrap();
    assert_eq!((told.block, reader.rpc_calls() - before), (mined, 0));
    // Whoever asks again polls: the truth is over HTTP.
    let polled = reader.head().await.unwrap();
    assert_eq!((polled.block, reader.rpc_calls() - before), (told.block, 1));
}

#[tokio::test]
async fn after_a_broken_connection_the_loop_is_woken_and_heads_are_told_again() {
    let chain = started().await;
    let (reader, mut wake, cable) = woken(&chain).await;
    cable.pull();
    // Mined in the dark, so only the tick of the new connection tells of it.
    let missed = chain.mine(1).await.unwrap();
    ticked(&mut wake).await;
    assert_eq!(reader.head().await.unwrap().block, missed);
    let mined = chain.mine(1).await.unwrap();
    ticked(&mut wake).await;
    assert_eq!(reader.head().await.unwrap().block, mined);
}

#[tokio::test]
async fn a_websocket_that_is_not_there_stops_nothing() {
    let chain = started().await;
    let mut settings = settings(chain.deployment());
    settings.ws = Some("ws://127.0.0.1:1/secret".parse().unwrap());
    let reader = EvmChain::new(settings).unwrap();
    assert!(reader.wake().is_some());
    assert_eq!(reader.head().await.unwrap().block, chain.head().await.unwrap());
}

#[tokio::test]
async fn without_a_websocket_nothing_wakes() {
    let chain = started().await;
    assert!(EvmChain::new(settings(chain.deployment())).unwrap().wake().is_none());
}

#[tokio::test]
async fn a_silent_websocket_is_opened_anew() {
    let chain = started().await;
    let cable = Cable::to(chain.port()).await;
    let mut settings = settings(chain.deployment());
    settings.ws = Some(format!("ws://{}", cable.address).parse().unwrap());
    settings.ws_silence_max = Duration::from_millis(20);
    let reader = EvmChain::new(settings).unwrap();
    let mut wake = reader.wake().unwrap();
    // Each opening ticks, and nothing is mined meanwhile.
    for _ in 0..3 {
        ticked(&mut wake).await;
    }
}

#[tokio::test]
async fn heads_of_another_chain_wake_nobody() {
    let chain = started().await;
    let options = AnvilOptions { chain_id: 4242, ..AnvilOptions::default() };
    let elsewhere = Devchain::start(options).await.unwrap();
    let cable = Cable::to(elsewhere.port()).await;
    let mut settings = settings(chain.deployment());
    settings.ws = Some(format!("ws://{}", cable.address).parse().unwrap());
    let reader = EvmChain::new(settings).unwrap();
    timeout(DEADLINE, cable.opened(2)).await.expect("it is given up, and tried again");
    assert_eq!(*reader.wake().unwrap().borrow(), 0);
    assert_eq!(reader.head().await.unwrap().block, chain.head().await.unwrap());
}

#[tokio::test]
async fn dropping_the_adapter_closes_its_websocket() {
    let chain = started().await;
    let (reader, mut wake, _cable) = woken(&chain).await;
    drop(reader);
    let ended = timeout(DEADLINE, wake.changed()).await.expect("it ends in time");
    assert!(ended.is_err());
}
