//! Single reads from a real node.

use inspay_chain_evm::EvmChain;
use inspay_devchain::transfer_request;
use inspay_ports::{Chain, ChainErrorKind, TokenFacts, TransferProbe};
use inspay_primitives::{Address, AssetId, ChainId, Reference, U256};

use crate::{kind, reader, settings, started, usdt};

#[tokio::test]
async fn headers_link_and_match_heights_and_hashes() {
    let chain = started().await;
    let reader = reader(&chain);
    chain.mine(130).await.unwrap();
    let head = reader.head().await.unwrap();
    assert_eq!(head.block, chain.head().await.unwrap());
    // More than one batch holds.
    let headers = reader.headers(0, head.block.number).await.unwrap();
    assert_eq!(headers.len() as u64, head.block.number + 1);
    for (parent, child) in headers.iter().zip(headers.iter().skip(1)) {
        assert_eq!(child.parent_hash, parent.block.hash);
        assert_eq!(child.block.number, parent.block.number + 1);
    }
    assert_eq!(headers.last(), Some(&head));
    assert_eq!(reader.header_at(head.block.number).await.unwrap(), head);
    assert_eq!(reader.header_by_hash(head.block.hash).await.unwrap(), head);
    assert_eq!(reader.headers(5, 4).await.unwrap(), []);
    let view = reader.endpoints().pop().unwrap();
    assert_eq!((view.head, view.errors, view.resting), (head.block.number, 0, false));
}

#[tokio::test]
async fn tags_trail_the_head() {
    let chain = started().await;
    let reader = reader(&chain);
    chain.mine(10).await.unwrap();
    let head = chain.head().await.unwrap().number;
    assert_eq!(reader.tags().await.unwrap().heights(), (head - 1, head - 2));
    assert_eq!(reader.remote_chain_id().await.unwrap(), reader.chain_id());
}

#[tokio::test]
async fn tokens_tell_their_facts_and_addresses_without_code_tell_none() {
    let chain = started().await;
    let at = chain.deployment().clone();
    let reader = reader(&chain);
    let facts = |decimals, symbol: &str| TokenFacts {
        has_code: true,
        decimals: Some(decimals),
        symbol: Some(symbol.to_owned()),
    };
    assert_eq!(reader.token_facts(at.usdt).await.unwrap(), facts(6, "USDT"));
    assert_eq!(reader.token_facts(at.inspi).await.unwrap(), facts(18, "INSPI"));
    let none = TokenFacts { has_code: false, decimals: None, symbol: None };
    assert_eq!(reader.token_facts(at.stranger).await.unwrap(), none);
    // A contract that is no token.
    let other = TokenFacts { has_code: true, ..none };
    assert_eq!(reader.token_facts(at.multisend).await.unwrap(), other);
}

#[tokio::test]
async fn a_balance_is_that_at_the_end_of_the_block_asked_for() {
    let chain = started().await;
    let at = chain.deployment().clone();
    let reader = reader(&chain);
    let asset = AssetId { chain_id: ChainId(at.chain_id), contract: at.usdt };
    let before = chain.head().await.unwrap();
    chain.transfer(at.usdt, chain.buyer(0), at.treasury, usdt(5), None).await.unwrap();
    let after = chain.head().await.unwrap();
    let balance = async |block| reader.balance_of(asset, at.treasury, block).await;
    assert_eq!(balance(before.hash).await.unwrap(), U256::ZERO);
    assert_eq!(balance(after.hash).await.unwrap(), usdt(5));
    chain.rollback(1).await.unwrap();
    assert!(matches!(kind(balance(after.hash).await), ChainErrorKind::NotYet(_)));
    let nothing = AssetId { contract: at.stranger, ..asset };
    let refused = reader.balance_of(nothing, at.treasury, before.hash).await;
    assert!(matches!(kind(refused), ChainErrorKind::Refused(_)));
}

#[tokio::test]
async fn fees_are_told_block_by_block_with_the_next_base_fee() {
    let chain = started().await;
    let at = chain.deployment().clone();
    let reader = reader(&chain);
    for _ in 0..3 {
        chain.transfer(at.usdt, chain.buyer(0), at.treasury, usdt(5), None).await.unwrap();
    }
    let fees = reader.fee_history().await.unwrap();
    assert_eq!(fees.base_fees.len(), fees.priority_fees.len() + 1);
    assert!(fees.base_fees.iter().all(|fee| !fee.is_zero()));
    assert_eq!(fees.priority_fees.last(), Some(&[U256::from(1_000_000_000); 3]));
}

#[tokio::test]
async fn gas_is_estimated_for_the_very_transfer() {
    let chain = started().await;
    let at = chain.deployment().clone();
    let reader = reader(&chain);
    let probe = |payer: Option<Address>, base_units: U256| {
        let reference = Some(Reference::generate());
        let request = transfer_request(at.usdt, at.stranger, at.treasury, base_units, reference);
        let calldata = request.input.into_input().unwrap().to_vec();
        TransferProbe { token: at.usdt, payer, treasury: at.treasury, base_units, calldata }
    };
    let gas = reader.estimate_gas(&probe(Some(chain.buyer(0)), usdt(5))).await.unwrap();
    assert!((30_000..120_000).contains(&gas), "{gas}");
    // Nobody, nobody with tokens, and more tokens than there are.
    for probe in [
        probe(None, usdt(5)),
        probe(Some(at.stranger), usdt(5)),
        probe(Some(chain.buyer(0)), U256::MAX),
    ] {
        let refused = reader.estimate_gas(&probe).await;
        assert!(matches!(kind(refused), ChainErrorKind::Reverted(_)), "{probe:?}");
    }
}

#[tokio::test]
async fn an_adapter_without_endpoints_is_refused() {
    let chain_id = ChainId(1);
    let settings = inspay_chain_evm::EvmChainSettings::new(chain_id, vec![], None);
    assert!(matches!(kind(EvmChain::new(settings)), ChainErrorKind::Refused(_)));
}

#[tokio::test]
async fn a_chain_of_another_id_is_told_apart() {
    let chain = started().await;
    let mut settings = settings(chain.deployment());
    settings.chain_id = ChainId(1);
    let reader = EvmChain::new(settings).unwrap();
    assert_ne!(reader.remote_chain_id().await.unwrap(), reader.chain_id());
}
