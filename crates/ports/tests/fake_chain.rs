//! The in-memory chain behaves as a chain and its node as a node.

use std::collections::BTreeSet;

use inspay_ports::{
    Agreement, Chain, ChainErrorKind, NamedLimits, Proof, TransferProbe, WatchFilter,
    fake::{ChainLog, ChainTx, FakeChain, MineError},
};
use inspay_primitives::{Address, AssetId, ChainId, Direction, Reference, U256};

const CHAIN: ChainId = ChainId(31_337);
const TOKEN: Address = Address::repeat_byte(0xd7);
const OTHER_TOKEN: Address = Address::repeat_byte(0x15);
const TREASURY: Address = Address::repeat_byte(0x77);
const BUYER: Address = Address::repeat_byte(0xb0);

fn chain() -> FakeChain {
    FakeChain::new(CHAIN).with_token(TOKEN, "USDT", 6).with_balance(TOKEN, BUYER, U256::from(1_000))
}

fn filter() -> WatchFilter {
    WatchFilter {
        chain_id: CHAIN,
        tokens: BTreeSet::from([TOKEN]),
        treasuries: vec![(TREASURY, 0)],
    }
}

fn log(from: Address, to: Address, base_units: u64) -> ChainLog {
    ChainLog { token: TOKEN, from, to, base_units: U256::from(base_units) }
}

fn pay(nonce: u64, base_units: u64) -> ChainTx {
    ChainTx::transfer(nonce, log(BUYER, TREASURY, base_units))
}

fn asset() -> AssetId {
    AssetId { chain_id: CHAIN, contract: TOKEN }
}

#[tokio::test]
async fn a_block_has_its_transfers_with_places_and_ordinals() {
    let chain = chain();
    let reference = Reference::from_bytes([7; 16]);
    let single = pay(1, 5).with_reference(reference);
    let many = ChainTx::of(
        2,
        vec![
            log(BUYER, TREASURY, 1),
            ChainLog { token: OTHER_TOKEN, ..log(Address::ZERO, TREASURY, 9) },
            log(BUYER, BUYER, 2),
            log(BUYER, TREASURY, 1),
            log(TREASURY, BUYER, 3),
            log(TREASURY, TREASURY, 1),
        ],
    );
    let header = chain.mine(vec![single.clone(), many.clone()]).unwrap();
    let proven = chain.proven_block(&header, &filter()).await.unwrap();
    assert_eq!(proven.proof, Proof::ReceiptsRoot);
    let seen: Vec<_> = proven
        .transfers
        .iter()
        .map(|seen| (seen.log_index, seen.key.direction, seen.key.ordinal, seen.base_units))
        .collect();
    let expected = [
        (0, Direction::In, 0, 5),
        (1, Direction::In, 0, 1),
        (4, Direction::In, 1, 1),
        (5, Direction::Out, 0, 3),
        (6, Direction::In, 2, 1),
        (6, Direction::Out, 1, 1),
    ];
    assert_eq!(
        seen,
        expected.map(|(at, way, ordinal, units)| (at, way, ordinal, U256::from(units)))
    );
    assert_eq!(proven.transfers[0].reference, Some(Some(reference)));
    assert_eq!(proven.transfers[1].reference, Some(None));
    assert!(proven.transfers.iter().all(|seen| seen.block == header.block));
    let ranged = chain.range(0, 1, &filter()).await.unwrap().transfers;
    assert!(ranged.iter().all(|seen| seen.reference.is_none()));
    assert_eq!(chain.references(&ranged).await.unwrap()[..2], [Some(reference), None]);
    let held = chain.balance_of(asset(), TREASURY, header.block.hash).await.unwrap();
    assert_eq!(held, U256::from(5 + 1 + 1 - 3));
    assert_eq!(chain.balance(TOKEN, BUYER), U256::from(1_000 - 7 + 3));
    let later = WatchFilter { treasuries: vec![(TREASURY, 2)], ..filter() };
    assert_eq!(chain.proven_block(&header, &later).await.unwrap().transfers, vec![]);
}

#[tokio::test]
async fn a_header_proves_a_block_empty_only_if_it_is() {
    let chain = chain();
    let stranger = ChainTx::transfer(1, log(BUYER, Address::repeat_byte(1), 5));
    let header = chain.mine(vec![stranger]).unwrap();
    let proven = chain.proven_block(&header, &filter()).await.unwrap();
    assert_eq!((proven.proof, proven.transfers.len()), (Proof::Bloom, 0));
    let header = chain.mine(vec![pay(2, 0)]).unwrap();
    let proven = chain.proven_block(&header, &filter()).await.unwrap();
    assert_eq!((proven.proof, proven.transfers.len()), (Proof::ReceiptsRoot, 1));
    let mut forged = header;
    forged.receipts_root = forged.parent_hash;
    let error = chain.proven_block(&forged, &filter()).await.unwrap_err();
    assert!(matches!(error.kind, ChainErrorKind::Contradiction(_)), "{error:?}");
}

#[tokio::test]
async fn a_branch_comes_back_as_it_was() {
    let chain = chain();
    chain.mine_empty(3);
    let first = pay(1, 5);
    let on_a = chain.mine(vec![first.clone()]).unwrap().block;
    let balance = async |hash| chain.balance_of(asset(), TREASURY, hash).await.unwrap();
    let on_b = chain.reorg(2, 1, vec![vec![], vec![pay(2, 1)], vec![first.clone()]]).unwrap();
    assert_eq!(on_b.len(), 3);
    assert_eq!(chain.tip(), on_b[2].block);
    assert_eq!(chain.tip().number, 5);
    assert_eq!(balance(on_b[2].block.hash).await, U256::from(6));
    // What left is still known by hash, as nodes do for a while.
    assert_eq!(balance(on_a.hash).await, U256::from(5));
    assert_eq!(chain.header_by_hash(on_a.hash).await.unwrap().block, on_a);
    assert_ne!(chain.header_at(4).await.unwrap().block, on_a);
    let moved = chain.proven_block(&on_b[2], &filter()).await.unwrap().transfers[0];
    assert_eq!(moved.key.tx_hash, first.hash);
    // Back by name, and back by mining the same again.
    assert!(chain.switch_to(on_a.hash));
    assert_eq!(chain.tip(), on_a);
    let again = chain.reorg(2, 1, vec![vec![], vec![pay(2, 1)], vec![first.clone()]]).unwrap();
    assert_eq!(again, on_b);
    let dropped = chain.rewind(2);
    assert_eq!(dropped, [pay(2, 1), first]);
    assert_eq!(chain.tip(), on_b[0].block);
    assert!(!chain.switch_to(inspay_primitives::B256::ZERO));
    let to_genesis = chain.reorg(99, 7, vec![vec![]]).unwrap();
    assert_eq!((to_genesis[0].block.number, chain.tip().number), (1, 1));
}

#[tokio::test]
async fn nobody_sends_what_it_does_not_have() {
    let chain = chain();
    let tip = chain.tip();
    let error = chain.mine(vec![pay(1, 999), pay(2, 2)]).unwrap_err();
    assert!(matches!(error, MineError::NotEnough { holder: BUYER, .. }), "{error:?}");
    let mint = |units| ChainLog { base_units: units, ..log(Address::ZERO, TREASURY, 0) };
    let full = ChainTx::of(3, vec![mint(U256::MAX), mint(U256::from(1))]);
    let error = chain.mine(vec![full]).unwrap_err();
    assert!(matches!(error, MineError::TooMuch { holder: TREASURY, .. }), "{error:?}");
    assert_eq!(chain.tip(), tip);
    chain.mine(vec![ChainTx::transfer(4, mint(U256::MAX))]).unwrap();
    assert_eq!(chain.balance(TOKEN, TREASURY), U256::MAX);
}

#[tokio::test]
async fn the_node_trails_refuses_and_forgets_as_told() {
    let chain = chain();
    chain.mine_empty(99);
    chain.mine(vec![pay(1, 5), pay(2, 6), pay(3, 7)]).unwrap();
    assert_eq!(chain.tags().await.unwrap().heights(), (68, 36));
    chain.set_tag_lags(1, 200);
    assert_eq!(chain.tags().await.unwrap().heights(), (99, 0));
    chain.change_faults(|faults| faults.blocks_behind = 3);
    assert_eq!(chain.head().await.unwrap().block.number, 97);
    assert_eq!(chain.tags().await.unwrap().heights(), (96, 0));
    for error in [
        chain.header_at(98).await.unwrap_err(),
        chain.headers(96, 98).await.unwrap_err(),
        chain.range(1, 98, &filter()).await.unwrap_err(),
        chain.header_by_hash(chain.tip().hash).await.unwrap_err(),
    ] {
        assert!(matches!(error.kind, ChainErrorKind::NotYet(_)), "{error:?}");
    }
    assert_eq!(chain.headers(95, 97).await.unwrap().len(), 3);
    chain.change_faults(|faults| {
        faults.blocks_behind = 0;
        faults.range_blocks_max = Some(50);
        faults.range_results_max = Some(2);
    });
    let refusal = async |from, to| chain.range(from, to, &filter()).await.unwrap_err();
    let error = refusal(1, 51).await;
    assert!(
        matches!(
            error.kind,
            ChainErrorKind::RangeTooLarge { named: NamedLimits { blocks_max: Some(50), .. }, .. }
        ),
        "{error:?}"
    );
    assert!(!error.is_transient());
    let error = refusal(100, 100).await;
    assert!(
        matches!(error.kind, ChainErrorKind::RangeTooLarge { named: NamedLimits::NONE, .. }),
        "{error:?}"
    );
    assert!(matches!(refusal(5, 4).await.kind, ChainErrorKind::Refused(_)));
    let omitted = pay(2, 6).hash;
    chain.change_faults(|faults| {
        faults.omitted_in_ranges.insert(omitted);
    });
    assert_eq!(chain.range(51, 100, &filter()).await.unwrap().transfers.len(), 2);
    chain.change_faults(|faults| {
        faults.forgotten_blocks.insert(chain.tip().hash);
    });
    assert!(chain.header_at(100).await.unwrap_err().is_transient());
    chain.change_faults(|faults| {
        faults.rate_limits = 1;
        faults.forgotten_blocks.clear();
    });
    let error = chain.head().await.unwrap_err();
    assert!(matches!(error.kind, ChainErrorKind::RateLimited(_)), "{error:?}");
    assert_eq!(chain.head().await.unwrap().block.number, 100);
    chain.change_faults(|faults| faults.unreachable = true);
    let error = chain.remote_chain_id().await.unwrap_err();
    assert!(matches!(error.kind, ChainErrorKind::Unreachable(_)), "{error:?}");
    let calls = chain.calls();
    assert_eq!((calls.head, calls.range, calls.headers, calls.chain_id), (3, 5, 2, 1));
    chain.reset_calls();
    assert_eq!(chain.calls().head, 0);
}

#[tokio::test]
async fn the_node_tells_tokens_gas_and_fees() {
    let chain = chain();
    let facts = chain.token_facts(TOKEN).await.unwrap();
    assert_eq!((facts.has_code, facts.decimals), (true, Some(6)));
    assert!(!chain.token_facts(OTHER_TOKEN).await.unwrap().has_code);
    let probe = |payer, units| TransferProbe {
        token: TOKEN,
        payer,
        treasury: TREASURY,
        base_units: U256::from(units),
        calldata: vec![],
    };
    assert_eq!(chain.estimate_gas(&probe(Some(BUYER), 1_000)).await.unwrap(), 65_000);
    for probe in [probe(Some(BUYER), 1_001), probe(None, 1), probe(Some(TREASURY), 1)] {
        let error = chain.estimate_gas(&probe).await.unwrap_err();
        assert!(matches!(error.kind, ChainErrorKind::Reverted(_)), "{error:?}");
    }
    let fees = chain.fee_history().await.unwrap();
    assert_eq!(fees.base_fees.len(), fees.priority_fees.len() + 1);
    chain.change_faults(|faults| faults.chain_id = Some(ChainId(1)));
    assert_eq!(chain.remote_chain_id().await.unwrap(), ChainId(1));
    assert_eq!(chain.chain_id(), CHAIN);
}

#[tokio::test]
async fn every_change_of_the_chain_wakes_who_listens() {
    let chain = chain();
    let mut wake = chain.wake().expect("wakes");
    chain.mine(vec![]).unwrap();
    assert!(wake.has_changed().unwrap());
    wake.mark_unchanged();
    let tip = chain.tip().hash;
    chain.rewind(1);
    assert!(wake.has_changed().unwrap());
    wake.mark_unchanged();
    chain.switch_to(tip);
    assert!(wake.has_changed().unwrap());
    assert!(FakeChain::new(CHAIN).without_wake().wake().is_none());
}

#[tokio::test]
async fn another_endpoint_tells_what_the_first_one_left_out() {
    let chain = chain();
    chain.mine(vec![pay(0, 7)]).unwrap();
    let whole = chain.range(0, 1, &filter()).await.unwrap();
    let tx_hash = whole.transfers[0].key.tx_hash;
    assert_eq!(chain.second_range(0, 1, &filter()).await.unwrap(), None);
    chain.set_endpoints(2);
    chain.change_faults(|faults| {
        faults.omitted_in_ranges.insert(tx_hash);
    });
    assert_eq!(chain.range(0, 1, &filter()).await.unwrap().transfers, []);
    let second = chain.second_range(0, 1, &filter()).await.unwrap().unwrap();
    assert_eq!(
        (second.transfers, whole.told_by, second.told_by),
        (whole.transfers, Some(0), Some(1))
    );
    let again = chain.reread_block(1, &filter()).await.unwrap();
    assert_eq!((again.proof, again.transfers.len()), (Proof::ReceiptsRoot, 1));
    assert_eq!(chain.reread_block(0, &filter()).await.unwrap().proof, Proof::ReceiptsRoot);
    chain.change_faults(|faults| {
        faults.omitted_in_second_ranges.insert(tx_hash);
    });
    assert_eq!(chain.second_range(0, 1, &filter()).await.unwrap().unwrap().transfers, []);
}

#[tokio::test]
async fn endpoints_agree_on_what_is_there_and_say_where_they_do_not() {
    let chain = chain();
    chain.mine(vec![pay(0, 7)]).unwrap();
    let transfer = chain.range(0, 1, &filter()).await.unwrap().transfers[0];
    let agreed = async || chain.agreed(&[transfer]).await.unwrap().remove(0);
    let all = |agreeing, asked| Agreement { agreeing, asked, contradiction: None };
    assert_eq!(agreed().await, all(1, 1));
    chain.set_endpoints(3);
    assert_eq!(agreed().await, all(3, 3));
    chain.change_faults(|faults| faults.silent_endpoints = 1);
    assert_eq!(agreed().await, all(2, 3));
    chain.change_faults(|faults| {
        faults.contradicted.insert(transfer.key.tx_hash);
    });
    let contradicted = agreed().await;
    assert_eq!((contradicted.agreeing, contradicted.contradiction.is_some()), (1, true));
    chain.change_faults(|faults| *faults = inspay_ports::fake::NodeFaults::default());
    chain.reorg(1, 1, vec![vec![]]).unwrap();
    let gone = agreed().await;
    assert_eq!((gone.agreeing, gone.contradiction.is_some()), (0, true));
}
