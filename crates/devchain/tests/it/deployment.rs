use std::time::Duration;

use alloy::{
    eips::BlockNumberOrTag,
    network::Ethereum,
    primitives::U256,
    providers::{Provider, ProviderBuilder, WsConnect},
};
use inspay_devchain::{
    AnvilOptions, Deployment, Devchain, DevchainError, FakeToken, INITIAL_INSPI_PRICE,
    INITIAL_USDT_PRICE, InspiToken, PriceFeed, TREASURY, TetherToken,
};
use tokio::time::timeout;

use crate::{inspi, started, usdt};

#[tokio::test]
async fn tokens_carry_their_symbols_and_decimals() {
    let chain = started().await;
    let Deployment { inspi, usdt, fake_usdt, .. } = *chain.deployment();
    let (inspi, usdt) =
        (InspiToken::new(inspi, chain.provider()), TetherToken::new(usdt, chain.provider()));
    let fake = FakeToken::new(fake_usdt, chain.provider());
    assert_eq!(inspi.symbol().call().await.unwrap(), "INSPI");
    assert_eq!(inspi.decimals().call().await.unwrap(), 18);
    assert_eq!(usdt.symbol().call().await.unwrap(), "USDT");
    assert_eq!(usdt.decimals().call().await.unwrap(), 6);
    assert_eq!(fake.symbol().call().await.unwrap(), "USDT");
    assert_eq!(fake.decimals().call().await.unwrap(), 6);
}

#[tokio::test]
async fn ten_buyers_hold_both_tokens_and_coin() {
    let chain = started().await;
    let deployment = chain.deployment();
    assert_eq!(deployment.buyers.len(), 10);
    for buyer in &deployment.buyers {
        let coin = chain.provider().get_balance(*buyer).await.unwrap();
        assert!(coin > U256::ZERO);
        assert_eq!(chain.balance(deployment.inspi, *buyer).await.unwrap(), inspi(1_000_000));
        assert_eq!(chain.balance(deployment.usdt, *buyer).await.unwrap(), usdt(100_000));
    }
    let stranger = deployment.stranger;
    assert_eq!(chain.balance(deployment.usdt, stranger).await.unwrap(), U256::ZERO);
    assert_eq!(chain.balance(deployment.usdt, TREASURY).await.unwrap(), U256::ZERO);
}

#[tokio::test]
async fn feeds_answer_with_eight_decimals_and_take_new_answers() {
    let chain = started().await;
    let deployment = chain.deployment();
    for (feed, first) in
        [(deployment.inspi_feed, INITIAL_INSPI_PRICE), (deployment.usdt_feed, INITIAL_USDT_PRICE)]
    {
        let contract = PriceFeed::new(feed, chain.provider());
        assert_eq!(contract.decimals().call().await.unwrap(), 8);
        let round = contract.latestRoundData().call().await.unwrap();
        assert_eq!(i128::try_from(round.answer).unwrap(), first);
        chain.set_price_at(feed, 7, 1_000).await.unwrap();
        let round = contract.latestRoundData().call().await.unwrap();
        assert_eq!(i128::try_from(round.answer).unwrap(), 7);
        assert_eq!(round.updatedAt, U256::from(1_000));
        chain.set_price(feed, -7).await.unwrap();
        let round = contract.latestRoundData().call().await.unwrap();
        let head = chain.head().await.unwrap();
        assert_eq!(i128::try_from(round.answer).unwrap(), -7);
        assert_eq!(round.updatedAt, U256::from(head.time.seconds()));
    }
}

#[tokio::test]
async fn two_chains_have_the_same_addresses_and_different_ports() {
    let (one, two) = tokio::join!(started(), started());
    assert_ne!(one.port(), two.port());
    let rehomed = Deployment {
        http_url: two.deployment().http_url.clone(),
        ws_url: two.deployment().ws_url.clone(),
        ..one.deployment().clone()
    };
    assert_eq!(&rehomed, two.deployment());
}

#[tokio::test]
async fn addresses_are_known_before_the_chain_runs() {
    let chain = Devchain::start(AnvilOptions::default()).await.expect("starts");
    assert_eq!(*chain.deployment(), Deployment::local(chain.port()));
}

#[tokio::test]
async fn a_web_socket_announces_new_blocks() {
    let chain = started().await;
    let socket = WsConnect::new(chain.deployment().ws_url.as_str());
    let listener = ProviderBuilder::default().connect_ws(socket).await.unwrap();
    let mut headers = Provider::<Ethereum>::subscribe_blocks(&listener).await.unwrap();
    let mined = chain.mine(1).await.unwrap();
    let announced = timeout(Duration::from_secs(20), headers.recv()).await.unwrap().unwrap();
    assert_eq!(announced.hash, mined.hash);
}

#[tokio::test]
async fn a_deployment_survives_json() {
    let chain = started().await;
    let json = serde_json::to_string(chain.deployment()).unwrap();
    let read: Deployment = serde_json::from_str(&json).unwrap();
    assert_eq!(&read, chain.deployment());
}

#[tokio::test]
async fn safe_and_finalized_follow_the_head_closely() {
    let chain = started().await;
    let head = chain.mine(10).await.unwrap();
    let safe = chain.block(BlockNumberOrTag::Safe).await.unwrap();
    let finalized = chain.block(BlockNumberOrTag::Finalized).await.unwrap();
    assert_eq!((head.number - safe.number, head.number - finalized.number), (1, 2));
}

#[tokio::test]
async fn a_saved_chain_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("chain.json");
    let options = || AnvilOptions { state: Some(state.clone()), ..AnvilOptions::default() };
    let chain = Devchain::start(options()).await.unwrap();
    let Deployment { usdt: token, treasury, .. } = *chain.deployment();
    let paid = chain.transfer(token, chain.buyer(0), treasury, usdt(5), None).await.unwrap();
    let head = chain.head().await.unwrap();
    drop(chain);

    let chain = Devchain::start(options()).await.unwrap();
    assert_eq!(chain.head().await.unwrap(), head);
    assert_eq!(chain.balance(token, treasury).await.unwrap(), usdt(5));
    let receipt = chain.mined(paid).await.unwrap();
    assert_eq!(receipt.block_hash, Some(head.hash));
    // History is kept too: before the payment there was nothing.
    let usdt_contract = TetherToken::new(token, chain.provider());
    let before = usdt_contract.balanceOf(treasury).block((head.number - 1).into());
    assert_eq!(before.call().await.unwrap(), U256::ZERO);
    chain.transfer(token, chain.buyer(0), treasury, usdt(6), None).await.unwrap();
    assert_eq!(chain.balance(token, treasury).await.unwrap(), usdt(11));
}

#[tokio::test]
async fn a_chain_without_our_contracts_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("chain.json");
    let options = || AnvilOptions { state: Some(state.clone()), ..AnvilOptions::default() };
    let chain = Devchain::start(options()).await.unwrap();
    let gone = chain.deployment().fake_usdt;
    let provider = chain.provider();
    alloy::providers::ext::AnvilApi::anvil_set_code(provider, gone, Default::default())
        .await
        .unwrap();
    drop(chain);
    let refused = Devchain::start(options()).await.unwrap_err();
    assert!(matches!(refused, DevchainError::ForeignState { path } if path == state));
}
