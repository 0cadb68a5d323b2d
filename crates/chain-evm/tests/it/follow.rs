//! Blocks with transfers of every kind, read block by block and in ranges.

use alloy::providers::Provider;
use inspay_chain_evm::{EvmChain, HashCheck};
use inspay_devchain::{Devchain, FakeToken, TetherToken, transfer_request};
use inspay_ports::{Chain, ChainErrorKind, Proof, WatchFilter};
use inspay_primitives::{Address, B256, Direction, Reference, U256};

use serde_json::json;

use crate::{filter, kind, proven, reader, settings, started, unread, usdt};

/// Direction, ordinal, base units and counterparty of what a block holds, and that a range over it
/// brings the same.
async fn read_both_ways(
    chain: &Devchain,
    filter: &WatchFilter,
) -> Vec<(Direction, u32, U256, Address)> {
    let reader = reader(chain);
    let block = chain.head().await.unwrap();
    let proven = proven(&reader, block, filter).await;
    assert_eq!(proven.proof, Proof::ReceiptsRoot);
    let range = reader.range(block.number, block.number, filter).await.unwrap();
    assert_eq!(range.transfers, unread(&proven.transfers));
    let references = reader.references(&proven.transfers).await.unwrap();
    let read: Vec<_> = proven.transfers.iter().map(|transfer| transfer.reference).collect();
    assert_eq!(read, references.into_iter().map(Some).collect::<Vec<_>>());
    assert!(proven.transfers.iter().all(|transfer| transfer.block == block));
    let shown = |transfer: &inspay_primitives::Transfer| {
        let key = transfer.key;
        (key.direction, key.ordinal, transfer.base_units, transfer.counterparty)
    };
    proven.transfers.iter().map(shown).collect()
}

/// Lets an account without a key send, and pay for it.
async fn impersonate(chain: &Devchain, account: Address) {
    let provider = chain.provider();
    let coins = U256::from(10).pow(U256::from(18));
    let _: () = provider.raw_request("anvil_setBalance".into(), (account, coins)).await.unwrap();
    let _: () = provider.raw_request("anvil_impersonateAccount".into(), (account,)).await.unwrap();
}

#[tokio::test]
async fn a_transfer_in_is_read_with_the_reference_behind_its_calldata() {
    let chain = started().await;
    let at = chain.deployment().clone();
    let reader = reader(&chain);
    let payer = chain.buyer(0);
    for token in [at.usdt, at.inspi] {
        for reference in [Some(Reference::generate()), None] {
            let hash = chain.transfer(token, payer, at.treasury, usdt(7), reference).await.unwrap();
            let block = chain.head().await.unwrap();
            let found = proven(&reader, block, &filter(&at)).await.transfers;
            let [transfer] = found.as_slice() else { panic!("{found:?}") };
            assert_eq!(transfer.key.tx_hash, hash);
            assert_eq!(transfer.key.token, token);
            assert_eq!(transfer.reference, Some(reference));
            let expected = [(Direction::In, 0, usdt(7), payer)];
            assert_eq!(read_both_ways(&chain, &filter(&at)).await, expected);
        }
    }
}

#[tokio::test]
async fn a_transfer_out_is_read_too() {
    let chain = started().await;
    let at = chain.deployment().clone();
    let payer = chain.buyer(0);
    chain.transfer(at.usdt, payer, at.treasury, usdt(7), None).await.unwrap();
    impersonate(&chain, at.treasury).await;
    chain.transfer(at.usdt, at.treasury, at.stranger, usdt(3), None).await.unwrap();
    let expected = [(Direction::Out, 0, usdt(3), at.stranger)];
    assert_eq!(read_both_ways(&chain, &filter(&at)).await, expected);
}

#[tokio::test]
async fn a_transfer_between_treasuries_is_out_of_one_and_into_the_other() {
    let chain = started().await;
    let at = chain.deployment().clone();
    let next = chain.buyer(4);
    let watched = WatchFilter { treasuries: vec![(chain.buyer(1), 0), (next, 0)], ..filter(&at) };
    chain.transfer(at.usdt, chain.buyer(1), next, usdt(3), None).await.unwrap();
    let expected =
        [(Direction::In, 0, usdt(3), chain.buyer(1)), (Direction::Out, 0, usdt(3), next)];
    assert_eq!(read_both_ways(&chain, &watched).await, expected);
    // Followed only from a later block on, the other one is not there yet.
    let head = chain.head().await.unwrap().number;
    let later = vec![(chain.buyer(1), 0), (next, head + 1)];
    let watched = WatchFilter { treasuries: later, ..watched };
    assert_eq!(read_both_ways(&chain, &watched).await, expected[1..]);
}

#[tokio::test]
async fn logs_of_one_chain_transaction_are_numbered_the_same_on_either_path() {
    let chain = started().await;
    let at = chain.deployment().clone();
    let payments = [
        (at.treasury, usdt(1)),
        (at.stranger, usdt(9)),
        (at.treasury, usdt(2)),
        (at.treasury, usdt(2)),
        (at.treasury, U256::ZERO),
    ];
    chain.multisend_held(at.stranger, at.usdt, &payments).await.unwrap();
    let from = at.multisend;
    let expected = [
        (Direction::In, 0, usdt(1), from),
        (Direction::In, 1, usdt(2), from),
        (Direction::In, 2, usdt(2), from),
        (Direction::In, 3, U256::ZERO, from),
    ];
    assert_eq!(read_both_ways(&chain, &filter(&at)).await, expected);
}

#[tokio::test]
async fn a_token_that_takes_a_fee_brings_what_arrived() {
    let chain = started().await;
    let at = chain.deployment().clone();
    let fee =
        TetherToken::setParamsCall { newBasisPoints: U256::from(10), newMaxFee: U256::from(49) };
    chain.call_contract(at.deployer, at.usdt, &fee).await.unwrap();
    let reference = Reference::generate();
    let payer = chain.buyer(2);
    chain.transfer(at.usdt, payer, at.treasury, usdt(100), Some(reference)).await.unwrap();
    let arrived = chain.balance(at.usdt, at.treasury).await.unwrap();
    assert!(arrived < usdt(100));
    let expected = [(Direction::In, 0, arrived, payer)];
    assert_eq!(read_both_ways(&chain, &filter(&at)).await, expected);
    let block = chain.head().await.unwrap();
    let found = proven(&reader(&chain), block, &filter(&at)).await.transfers;
    assert_eq!(found[0].reference, Some(Some(reference)));
    // The fee's own log is in the block as well, for those who follow its receiver.
    let watched = WatchFilter { treasuries: vec![(at.deployer, 0)], ..filter(&at) };
    let expected = [(Direction::In, 0, usdt(100) - arrived, payer)];
    assert_eq!(read_both_ways(&chain, &watched).await, expected);
}

#[tokio::test]
async fn unlisted_tokens_and_empty_blocks_bring_nothing_and_cost_nothing() {
    let chain = started().await;
    let at = chain.deployment().clone();
    let reader = reader(&chain);
    let forge = FakeToken::forgeCall { from: chain.buyer(0), to: at.treasury, value: usdt(1) };
    chain.call_contract(at.stranger, at.fake_usdt, &forge).await.unwrap();
    let fake = chain.head().await.unwrap();
    let empty = chain.mine(1).await.unwrap();
    for block in [fake, empty] {
        let header = reader.header_by_hash(block.hash).await.unwrap();
        let before = reader.rpc_calls();
        let proven = reader.proven_block(&header, &filter(&at)).await.unwrap();
        assert_eq!((proven.proof, proven.transfers.len()), (Proof::Bloom, 0));
        assert_eq!(reader.rpc_calls(), before);
        let range = reader.range(block.number, block.number, &filter(&at)).await.unwrap();
        assert_eq!(range.transfers, []);
    }
}

#[tokio::test]
async fn a_filter_that_follows_nothing_asks_nothing() {
    let chain = started().await;
    let at = chain.deployment().clone();
    let reader = reader(&chain);
    chain.transfer(at.usdt, chain.buyer(0), at.treasury, usdt(1), None).await.unwrap();
    let head = chain.head().await.unwrap();
    let before = reader.rpc_calls();
    let no_token = WatchFilter { tokens: [].into(), ..filter(&at) };
    let no_treasury = WatchFilter { treasuries: vec![], ..filter(&at) };
    let not_yet = WatchFilter { treasuries: vec![(at.treasury, head.number + 1)], ..filter(&at) };
    for watched in [no_token, no_treasury, not_yet] {
        assert_eq!(reader.range(0, head.number, &watched).await.unwrap().transfers, []);
    }
    assert_eq!(reader.rpc_calls(), before);
}

#[tokio::test]
async fn a_range_brings_what_its_blocks_bring_one_by_one() {
    let chain = started().await;
    let at = chain.deployment().clone();
    let reader = reader(&chain);
    let bulk = chain.bulk_transfers(at.usdt, 700, 4).await.unwrap();
    impersonate(&chain, at.treasury).await;
    chain.transfer(at.usdt, at.treasury, at.stranger, usdt(3), None).await.unwrap();
    chain.mine(3).await.unwrap();
    let head = chain.head().await.unwrap();
    // As at a start; an endpoint's chain is asked for once.
    reader.remote_chain_id().await.unwrap();
    let before = reader.rpc_calls();
    let range = reader.range(bulk.first_block, head.number, &filter(&at)).await.unwrap();
    assert_eq!(reader.rpc_calls() - before, 2);
    assert_eq!((range.from, range.to), (bulk.first_block, head.number));
    let headers = reader.headers(bulk.first_block, head.number).await.unwrap();
    let mut singly = Vec::new();
    for header in &headers {
        let block = reader.proven_block(header, &filter(&at)).await.unwrap();
        singly.extend(unread(&block.transfers));
    }
    assert_eq!(range.transfers, singly);
    let total = |direction| {
        let of = range.transfers.iter().filter(|transfer| transfer.key.direction == direction);
        of.fold((0, U256::ZERO), |(count, sum), transfer| (count + 1, sum + transfer.base_units))
    };
    assert_eq!(total(Direction::In), (bulk.transfers, bulk.total));
    assert_eq!(total(Direction::Out), (1, usdt(3)));
}

#[tokio::test]
async fn a_block_that_left_the_chain_is_not_there_yet() {
    let chain = started().await;
    let at = chain.deployment().clone();
    let reader = reader(&chain);
    chain.transfer(at.usdt, chain.buyer(0), at.treasury, usdt(1), None).await.unwrap();
    let header = reader.head().await.unwrap();
    let found = reader.proven_block(&header, &filter(&at)).await.unwrap().transfers;
    chain.rollback(1).await.unwrap();
    let lower = reader.head().await.unwrap();
    assert_eq!(lower.block.hash, header.parent_hash);
    let not_yet = |kind: ChainErrorKind| matches!(kind, ChainErrorKind::NotYet(_));
    assert!(not_yet(kind(reader.proven_block(&header, &filter(&at)).await)));
    assert!(not_yet(kind(reader.header_by_hash(header.block.hash).await)));
    assert!(not_yet(kind(reader.header_at(header.block.number).await)));
    assert!(not_yet(kind(reader.references(&found).await)));
    assert!(not_yet(kind(
        reader.range(header.block.number, header.block.number, &filter(&at)).await
    )));
    assert!(not_yet(kind(reader.header_by_hash(B256::repeat_byte(7)).await)));
}

#[tokio::test]
async fn calldata_whose_hash_cannot_be_recomputed_is_believed_only_by_setting() {
    let chain = started().await;
    let at = chain.deployment().clone();
    // Nobody signed for an impersonated sender, so that Anvil gives the chain transaction another hash.
    impersonate(&chain, at.multisend).await;
    chain.transfer(at.usdt, chain.buyer(0), at.multisend, usdt(2), None).await.unwrap();
    let reference = Reference::generate();
    chain.transfer(at.usdt, at.multisend, at.treasury, usdt(1), Some(reference)).await.unwrap();
    let header = reader(&chain).head().await.unwrap();
    let refused = reader(&chain).proven_block(&header, &filter(&at)).await;
    assert!(matches!(kind(refused), ChainErrorKind::Contradiction(_)));
    let mut trusting = settings(&at);
    trusting.chain_tx_hash = HashCheck::Trust;
    let trusting = EvmChain::new(trusting).unwrap();
    let found = trusting.proven_block(&header, &filter(&at)).await.unwrap().transfers;
    assert_eq!(found[0].reference, Some(Some(reference)));
    assert_eq!(trusting.references(&found).await.unwrap(), [Some(reference)]);
}

#[tokio::test]
async fn a_block_of_many_chain_transactions_of_every_kind_is_proven() {
    let chain = started().await;
    let at = chain.deployment().clone();
    chain.set_automine(false).await.unwrap();
    let payer = chain.buyer(0);
    let reference = Reference::generate();
    let paying = transfer_request(at.usdt, payer, at.treasury, usdt(1), Some(reference));
    let calldata = paying.input.input().cloned().unwrap();
    let legacy = json!({"type": "0x0", "gasPrice": "0x2540be400"});
    let with_list = json!({"type": "0x1", "gasPrice": "0x2540be400", "accessList": [
        {"address": at.usdt, "storageKeys": [B256::ZERO]}
    ]});
    for mut request in [legacy, with_list] {
        request["from"] = json!(payer);
        request["to"] = json!(at.usdt);
        request["gas"] = json!("0x30000");
        request["data"] = json!(calldata);
        let _: B256 =
            chain.provider().raw_request("eth_sendTransaction".into(), (request,)).await.unwrap();
    }
    // A contract made, a call that fails, and more than 128 of them: their positions take two bytes.
    let creation = json!({"from": payer, "data": "0x60006000f3", "gas": "0x30000"});
    let _: B256 =
        chain.provider().raw_request("eth_sendTransaction".into(), (creation,)).await.unwrap();
    let too_much = usdt(1_000_000_000_000);
    chain.transfer(at.usdt, chain.buyer(1), at.treasury, too_much, None).await.unwrap();
    for payment in 0..140 {
        chain.transfer(at.usdt, payer, at.treasury, U256::from(payment), None).await.unwrap();
    }
    chain.mine(1).await.unwrap();
    let read = read_both_ways(&chain, &filter(&at)).await;
    assert_eq!(read.len(), 142);
    let block = chain.head().await.unwrap();
    let found = proven(&reader(&chain), block, &filter(&at)).await.transfers;
    let references: Vec<_> = found.iter().take(3).map(|found| found.reference).collect();
    assert_eq!(references, [Some(Some(reference)), Some(Some(reference)), Some(None)]);
}
