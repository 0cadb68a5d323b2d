use alloy::{
    primitives::{B256, U256},
    providers::Provider,
    sol_types::SolCall,
};
use inspay_devchain::{Deployment, DevchainError, FakeToken, TetherToken};
use inspay_primitives::Reference;

use crate::{decoded, inspi, payments_in, payments_of, started, usdt};

#[tokio::test]
async fn a_reference_rides_behind_the_calldata() {
    let chain = started().await;
    let Deployment { usdt: tether, inspi: inspi_token, treasury, .. } = *chain.deployment();
    let reference = Reference::generate();
    for (token, value) in [(tether, usdt(7)), (inspi_token, inspi(7))] {
        let hash = chain.transfer(token, chain.buyer(3), treasury, value, Some(reference)).await;
        let hash = hash.unwrap();
        let paid = chain.provider().get_transaction_by_hash(hash).await.unwrap().unwrap();
        let input = alloy::consensus::Transaction::input(&paid).clone();
        assert_eq!(input.len(), 4 + 64 + 16);
        assert_eq!(input[68..], reference.bytes());
        assert_eq!(chain.balance(token, treasury).await.unwrap(), value);
    }
}

#[tokio::test]
async fn one_chain_transaction_pays_many_in_either_token() {
    let chain = started().await;
    let Deployment { usdt: tether, inspi: inspi_token, treasury, stranger, .. } =
        *chain.deployment();
    for token in [tether, inspi_token] {
        let payments = [(treasury, usdt(1)), (stranger, usdt(2)), (treasury, usdt(3))];
        // Twice: the second time there is an allowance already.
        for _ in 0..2 {
            let hash = chain.multisend(chain.buyer(0), token, &payments).await.unwrap();
            let receipt = chain.mined(hash).await.unwrap();
            let paid = payments_in(&chain, receipt.block_hash.unwrap()).await;
            let seen: Vec<_> =
                paid.iter().map(|log| (decoded(log).from, decoded(log).value)).collect();
            assert_eq!(seen, [(chain.buyer(0), usdt(1)), (chain.buyer(0), usdt(3))]);
        }
    }
}

#[tokio::test]
async fn an_exchange_pays_from_a_shared_wallet() {
    let chain = started().await;
    let Deployment { usdt: token, treasury, stranger, multisend, .. } = *chain.deployment();
    let hash = chain.multisend_held(stranger, token, &[(treasury, usdt(9))]).await.unwrap();
    let receipt = chain.mined(hash).await.unwrap();
    let paid = payments_in(&chain, receipt.block_hash.unwrap()).await;
    assert_eq!(decoded(&paid[0]).from, multisend);
    assert_eq!(receipt.from, stranger);
}

#[tokio::test]
async fn usdt_returns_nothing() {
    let chain = started().await;
    let Deployment { usdt: token, treasury, .. } = *chain.deployment();
    let call = TetherToken::transferCall { to: treasury, value: usdt(1) };
    let request = alloy::rpc::types::TransactionRequest::default()
        .from(chain.buyer(0))
        .to(token)
        .input(call.abi_encode().into());
    assert!(chain.provider().call(request).await.unwrap().is_empty());
}

#[tokio::test]
async fn usdt_approvals_pass_through_zero() {
    let chain = started().await;
    let token = chain.deployment().usdt;
    let (owner, spender) = (chain.buyer(0), chain.buyer(1));
    chain.approve(token, owner, spender, usdt(1)).await.unwrap();
    let direct = TetherToken::approveCall { spender, value: usdt(2) };
    let refused = chain.call_contract(owner, token, &direct).await.unwrap_err();
    assert!(matches!(refused, DevchainError::Reverted(_)), "{refused:?}");
    chain.approve(token, owner, spender, usdt(2)).await.unwrap();
    let contract = TetherToken::new(token, chain.provider());
    assert_eq!(contract.allowance(owner, spender).call().await.unwrap(), usdt(2));
}

#[tokio::test]
async fn the_usdt_fee_is_a_second_log_and_is_capped() {
    let chain = started().await;
    let Deployment { usdt: token, treasury, deployer, .. } = *chain.deployment();
    let on =
        TetherToken::setParamsCall { newBasisPoints: U256::from(19), newMaxFee: U256::from(5) };
    chain.call_contract(deployer, token, &on).await.unwrap();
    // 0.19 % of 1,000 is 1.90; of 10,000 it would be 19, and the cap is 5.
    for (sent, fee) in [(usdt(1_000), U256::from(1_900_000)), (usdt(10_000), usdt(5))] {
        let hash = chain.transfer(token, chain.buyer(0), treasury, sent, None).await.unwrap();
        let receipt = chain.mined(hash).await.unwrap();
        let logs = receipt.logs();
        assert_eq!(logs.len(), 2);
        assert_eq!((decoded(&logs[0]).to, decoded(&logs[0]).value), (deployer, fee));
        assert_eq!((decoded(&logs[1]).to, decoded(&logs[1]).value), (treasury, sent - fee));
    }
    let too_much =
        TetherToken::setParamsCall { newBasisPoints: U256::from(20), newMaxFee: U256::ZERO };
    let refused = chain.call_contract(deployer, token, &too_much).await.unwrap_err();
    assert!(matches!(refused, DevchainError::Reverted(_)), "{refused:?}");
}

#[tokio::test]
async fn a_paused_usdt_and_a_blocked_buyer_move_nothing() {
    let chain = started().await;
    let Deployment { usdt: token, treasury, deployer, .. } = *chain.deployment();
    chain.call_contract(deployer, token, &TetherToken::pauseCall {}).await.unwrap();
    let paused = chain.transfer(token, chain.buyer(0), treasury, usdt(1), None).await;
    assert!(matches!(paused.unwrap_err(), DevchainError::Reverted(_)));
    chain.call_contract(deployer, token, &TetherToken::unpauseCall {}).await.unwrap();
    let user = chain.buyer(0);
    chain.call_contract(deployer, token, &TetherToken::addBlackListCall { user }).await.unwrap();
    let blocked = chain.transfer(token, user, treasury, usdt(1), None).await;
    assert!(matches!(blocked.unwrap_err(), DevchainError::Reverted(_)));
    assert_eq!(chain.balance(token, treasury).await.unwrap(), U256::ZERO);
}

#[tokio::test]
async fn usdt_supply_changes_leave_no_transfer_log() {
    let chain = started().await;
    let Deployment { usdt: token, treasury, deployer, .. } = *chain.deployment();
    chain.transfer(token, chain.buyer(0), treasury, usdt(4), None).await.unwrap();
    let list = TetherToken::addBlackListCall { user: treasury };
    chain.call_contract(deployer, token, &list).await.unwrap();
    let seize = TetherToken::destroyBlackFundsCall { user: treasury };
    chain.call_contract(deployer, token, &seize).await.unwrap();
    assert_eq!(chain.balance(token, treasury).await.unwrap(), U256::ZERO);
    assert_eq!(payments_of(&chain, token).await.len(), 1);
}

#[tokio::test]
async fn the_look_alike_logs_what_never_happened() {
    let chain = started().await;
    let Deployment { fake_usdt, treasury, stranger, .. } = *chain.deployment();
    let forge = FakeToken::forgeCall { from: chain.buyer(0), to: treasury, value: usdt(999) };
    chain.call_contract(stranger, fake_usdt, &forge).await.unwrap();
    assert_eq!(payments_of(&chain, fake_usdt).await.len(), 1);
    assert_eq!(chain.balance(fake_usdt, treasury).await.unwrap(), U256::ZERO);
}

#[tokio::test]
async fn an_account_signs_texts_like_a_wallet() {
    let chain = started().await;
    let text = "Sign in to Inspay";
    let signature = chain.sign_message(chain.buyer(2), text).await.unwrap();
    let signature = alloy::primitives::Signature::try_from(signature.as_ref()).unwrap();
    assert_eq!(signature.recover_address_from_msg(text).unwrap(), chain.buyer(2));
    let data = serde_json::json!({
        "types": {
            "EIP712Domain": [{"name": "name", "type": "string"}],
            "Order": [{"name": "id", "type": "uint256"}],
        },
        "primaryType": "Order",
        "domain": {"name": "Inspay"},
        "message": {"id": "7"},
    });
    let signature = chain.sign_typed_data(chain.buyer(2), &data).await.unwrap();
    let signature = alloy::primitives::Signature::try_from(signature.as_ref()).unwrap();
    let typed: alloy::dyn_abi::TypedData = serde_json::from_value(data).unwrap();
    let hash: B256 = typed.eip712_signing_hash().unwrap();
    assert_eq!(signature.recover_address_from_prehash(&hash).unwrap(), chain.buyer(2));
}
