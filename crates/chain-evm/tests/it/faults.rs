//! A node that lies, refuses, hangs or breaks off: never a wrong answer, and the next endpoint's where
//! there is one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use alloy::providers::Provider;
use inspay_chain_evm::{EvmChain, EvmChainSettings, HashCheck};
use inspay_devchain::Devchain;
use inspay_ports::{Chain, ChainErrorKind, ProvenBlock, RangeAnswer};
use inspay_primitives::{B256, BlockRef, Reference, U256};
use serde_json::{Value, json};

use crate::{
    filter, kind, proven, reader, settings, started,
    stub::{Outcome, Stub},
    usdt,
};

const RECEIPTS: &str = "eth_getBlockReceipts";
const FULL_BLOCK: &str = "eth_getBlockByHash";
const LOGS: &str = "eth_getLogs";
const BLOCK: &str = "eth_getBlockByNumber";

/// A chain whose newest block holds two payments with references, and one to somebody else between them.
struct Scene {
    chain: Devchain,
    block: BlockRef,
    truth: ProvenBlock,
}

impl Scene {
    async fn set() -> Self {
        let chain = started().await;
        let at = chain.deployment().clone();
        chain.set_automine(false).await.unwrap();
        for (buyer, to) in [(0, at.treasury), (1, at.stranger), (2, at.treasury)] {
            let reference = Some(Reference::generate());
            chain.transfer(at.usdt, chain.buyer(buyer), to, usdt(5), reference).await.unwrap();
        }
        let block = chain.mine(1).await.unwrap();
        let truth = proven(&reader(&chain), block, &filter(&at)).await;
        assert_eq!(truth.transfers.len(), 2);
        Self { chain, block, truth }
    }

    /// Settings with the stub as the only endpoint, and no patience.
    fn through(&self, stub: &Stub) -> EvmChainSettings {
        let mut settings = settings(self.chain.deployment());
        settings.http = vec![stub.url()];
        settings.request_timeout = Duration::from_secs(2);
        settings
    }

    async fn stub(&self, script: impl Fn(&str, Value) -> Outcome + Send + Sync + 'static) -> Stub {
        Stub::start(&self.chain.deployment().http_url, script).await
    }

    /// What the block is read as through a node that changes the results of `method`.
    async fn block_with(
        &self,
        method: &'static str,
        change: impl Fn(&mut Value) + Send + Sync + 'static,
    ) -> Result<ProvenBlock, ChainErrorKind> {
        let stub = self.stub(changing(method, change)).await;
        let reader = EvmChain::new(self.through(&stub)).unwrap();
        let filter = filter(self.chain.deployment());
        let lied = reader.proven_block(&self.truth.header, &filter).await;
        // With an honest endpoint behind it, the lie costs nothing but a call.
        let mut both = self.through(&stub);
        both.http.push(self.chain.deployment().http_url.parse().unwrap());
        let both = EvmChain::new(both).unwrap();
        assert_eq!(both.proven_block(&self.truth.header, &filter).await.unwrap(), self.truth);
        lied.map_err(|error| error.kind)
    }

    /// What the whole chain's range is read as through a node that changes its logs.
    async fn range_with(
        &self,
        change: impl Fn(&mut Value) + Send + Sync + 'static,
    ) -> Result<RangeAnswer, ChainErrorKind> {
        let stub = self.stub(changing(LOGS, change)).await;
        let reader = EvmChain::new(self.through(&stub)).unwrap();
        let filter = filter(self.chain.deployment());
        reader.range(0, self.block.number, &filter).await.map_err(|error| error.kind)
    }
}

fn changing(
    method: &'static str,
    change: impl Fn(&mut Value) + Send + Sync + 'static,
) -> impl Fn(&str, Value) -> Outcome + Send + Sync + 'static {
    move |asked, mut result| {
        if asked == method {
            change(&mut result);
        }
        Outcome::Result(result)
    }
}

/// Fails the way `fault` says for the first `times` answers to `method`.
fn failing(
    method: &'static str,
    times: usize,
    fault: fn() -> Outcome,
) -> impl Fn(&str, Value) -> Outcome + Send + Sync + 'static {
    let failed = Arc::new(AtomicUsize::new(0));
    move |asked, result| {
        if asked == method && failed.fetch_add(1, Ordering::SeqCst) < times {
            return fault();
        }
        Outcome::Result(result)
    }
}

const ALWAYS: usize = usize::MAX;

fn contradicts<T>(outcome: &Result<T, ChainErrorKind>) -> bool {
    matches!(outcome, Err(ChainErrorKind::Contradiction(_)))
}

fn set(place: &mut Value, value: Value) {
    *place = value;
}

const OTHER_WORD: &str = "0x1111111111111111111111111111111111111111111111111111111111111111";

#[tokio::test]
async fn a_header_with_any_field_changed_is_refused() {
    let scene = Scene::set().await;
    for field in ["hash", "parentHash", "receiptsRoot", "transactionsRoot", "stateRoot"] {
        let lie = changing(BLOCK, move |block| set(&mut block[field], json!(OTHER_WORD)));
        let stub = scene.stub(lie).await;
        let reader = EvmChain::new(scene.through(&stub)).unwrap();
        assert!(contradicts(&reader.head().await.map_err(|error| error.kind)), "{field}");
        assert!(contradicts(&reader.header_at(1).await.map_err(|error| error.kind)), "{field}");
    }
    for (field, value) in [("timestamp", "0x1"), ("number", "0x1"), ("gasUsed", "0x1")] {
        let stub =
            scene.stub(changing(BLOCK, move |block| set(&mut block[field], json!(value)))).await;
        let reader = EvmChain::new(scene.through(&stub)).unwrap();
        assert!(contradicts(&reader.head().await.map_err(|error| error.kind)), "{field}");
    }
    let emptied = changing(BLOCK, |block| {
        set(&mut block["logsBloom"], json!(format!("0x{}", "0".repeat(512))));
    });
    let stub = scene.stub(emptied).await;
    let reader = EvmChain::new(scene.through(&stub)).unwrap();
    assert!(contradicts(&reader.head().await.map_err(|error| error.kind)));
    // A chain whose headers have fields of their own has to be trusted.
    let stub =
        scene.stub(changing(BLOCK, |block| set(&mut block["stateRoot"], json!(OTHER_WORD)))).await;
    let mut trusting = scene.through(&stub);
    trusting.header_hash = HashCheck::Trust;
    assert_eq!(EvmChain::new(trusting).unwrap().head().await.unwrap(), scene.truth.header);
}

#[tokio::test]
async fn another_block_than_the_one_asked_for_is_refused() {
    let scene = Scene::set().await;
    let honest = reader(&scene.chain);
    let genesis: Value =
        scene.chain.provider().raw_request(BLOCK.into(), ("0x0", true)).await.unwrap();
    let lie = move |asked: &str, result: Value| match asked {
        BLOCK | FULL_BLOCK => Outcome::Result(genesis.clone()),
        _ => Outcome::Result(result),
    };
    let stub = scene.stub(lie).await;
    let reader = EvmChain::new(scene.through(&stub)).unwrap();
    let head = honest.head().await.unwrap();
    let by_number = reader.header_at(head.block.number).await.map_err(|error| error.kind);
    assert!(contradicts(&by_number));
    let by_hash = reader.header_by_hash(head.block.hash).await.map_err(|error| error.kind);
    assert!(contradicts(&by_hash));
    let block = reader.proven_block(&head, &filter(scene.chain.deployment())).await;
    assert!(contradicts(&block.map_err(|error| error.kind)));
}

#[tokio::test]
async fn receipts_that_are_not_all_of_them_as_they_were_prove_nothing() {
    type Lie = (&'static str, fn(&mut Value));
    let scene = Scene::set().await;
    let lies: [Lie; 16] = [
        ("no receipts", |told| set(told, json!([]))),
        ("a receipt left out", |told| drop(told.as_array_mut().unwrap().pop())),
        ("a log left out", |told| set(&mut told[0]["logs"], json!([]))),
        ("another value", |told| set(&mut told[0]["logs"][0]["data"], json!(OTHER_WORD))),
        ("another token", |told| {
            let payer = told[0]["from"].clone();
            set(&mut told[0]["logs"][0]["address"], payer);
        }),
        ("another payer", |told| set(&mut told[0]["logs"][0]["topics"][1], json!(OTHER_WORD))),
        ("a log twice", |told| {
            let log = told[0]["logs"][0].clone();
            told[0]["logs"].as_array_mut().unwrap().push(log);
        }),
        ("another status", |told| set(&mut told[0]["status"], json!("0x0"))),
        ("another amount of gas", |told| set(&mut told[1]["cumulativeGasUsed"], json!("0x1"))),
        ("another type", |told| set(&mut told[1]["type"], json!("0x1"))),
        ("receipts in another order", |told| told.as_array_mut().unwrap().swap(0, 2)),
        ("another block's receipt", |told| set(&mut told[0]["blockHash"], json!(OTHER_WORD))),
        ("another block's log", |told| {
            set(&mut told[0]["logs"][0]["blockHash"], json!(OTHER_WORD))
        }),
        ("a removed log", |told| set(&mut told[0]["logs"][0]["removed"], json!(true))),
        ("a log index out of order", |told| set(&mut told[2]["logs"][0]["logIndex"], json!("0x0"))),
        ("hashes of two payments swapped", |told| {
            for (one, other) in [(0, 2), (2, 0)] {
                let hash = told[other]["logs"][0]["transactionHash"].clone();
                set(&mut told[one]["transactionHash"], hash);
            }
            for receipt in [0, 2] {
                let hash = told[receipt]["transactionHash"].clone();
                set(&mut told[receipt]["logs"][0]["transactionHash"], hash);
            }
        }),
    ];
    for (name, lie) in lies {
        let read = scene.block_with(RECEIPTS, lie).await;
        assert!(contradicts(&read), "{name}: {read:?}");
    }
    let read = scene.block_with(RECEIPTS, |told| set(told, Value::Null)).await;
    assert!(matches!(read, Err(ChainErrorKind::NotYet(_))), "{read:?}");
}

#[tokio::test]
async fn calldata_that_was_not_mined_names_no_order() {
    type Lie = (&'static str, fn(&mut Value));
    let scene = Scene::set().await;
    let lies: [Lie; 6] = [
        ("another reference", |told| {
            let input = told["transactions"][0]["input"].as_str().unwrap();
            let forged = format!("{}{}", &input[..input.len() - 32], "a".repeat(32));
            set(&mut told["transactions"][0]["input"], json!(forged));
        }),
        ("another contract called", |told| {
            let from = told["transactions"][0]["from"].clone();
            set(&mut told["transactions"][0]["to"], from);
        }),
        ("calldata of two payments swapped", |told| {
            let hashes = [0, 2].map(|at| told["transactions"][at]["hash"].clone());
            told["transactions"].as_array_mut().unwrap().swap(0, 2);
            for (at, hash) in [0, 2].into_iter().zip(hashes) {
                set(&mut told["transactions"][at]["hash"], hash);
            }
        }),
        ("in another order", |told| told["transactions"].as_array_mut().unwrap().swap(0, 2)),
        ("one left out", |told| drop(told["transactions"].as_array_mut().unwrap().pop())),
        ("another hash", |told| set(&mut told["transactions"][0]["hash"], json!(OTHER_WORD))),
    ];
    for (name, lie) in lies {
        let read = scene.block_with(FULL_BLOCK, lie).await;
        assert!(contradicts(&read), "{name}: {read:?}");
    }
    let read = scene.block_with(FULL_BLOCK, |told| set(told, Value::Null)).await;
    assert!(matches!(read, Err(ChainErrorKind::NotYet(_))), "{read:?}");
    // What cannot be recomputed is said, and not passed over.
    let own_type: fn(&mut Value) = |told| set(&mut told["transactions"][1]["type"], json!("0x7e"));
    let read = scene.block_with(FULL_BLOCK, own_type).await;
    assert!(
        matches!(&read, Err(ChainErrorKind::Refused(text)) if text.contains("126")),
        "{read:?}"
    );
}

#[tokio::test]
async fn references_are_read_from_calldata_that_fits_its_hash() {
    type Lie = (&'static str, fn(&mut Value));
    let scene = Scene::set().await;
    let transfers = &scene.truth.transfers;
    let lies: [Lie; 3] = [
        ("another input", |told| set(&mut told["input"], json!("0x"))),
        ("another hash", |told| set(&mut told["hash"], json!(OTHER_WORD))),
        ("no fields", |told| set(told, json!({}))),
    ];
    for (name, lie) in lies {
        let stub = scene.stub(changing("eth_getTransactionByHash", lie)).await;
        let reader = EvmChain::new(scene.through(&stub)).unwrap();
        let read = reader.references(transfers).await.map_err(|error| error.kind);
        assert!(contradicts(&read), "{name}: {read:?}");
    }
    let none = changing("eth_getTransactionByHash", |told| set(told, Value::Null));
    let stub = scene.stub(none).await;
    let reader = EvmChain::new(scene.through(&stub)).unwrap();
    assert!(matches!(kind(reader.references(transfers).await), ChainErrorKind::NotYet(_)));
    // A type of the chain's own carries nothing that could be believed.
    let own_type =
        changing("eth_getTransactionByHash", |told| set(&mut told["type"], json!("0x7e")));
    let stub = scene.stub(own_type).await;
    let reader = EvmChain::new(scene.through(&stub)).unwrap();
    assert_eq!(reader.references(transfers).await.unwrap(), [None, None]);
}

#[tokio::test]
async fn a_range_with_logs_that_were_not_asked_for_is_refused() {
    type Lie = (&'static str, fn(&mut Value));
    let scene = Scene::set().await;
    let lies: [Lie; 9] = [
        ("null", |told| set(told, Value::Null)),
        ("a block outside", |told| change_first(told, "blockNumber", "0xffffff")),
        ("another token", |told| {
            change_first(told, "address", "0x1111111111111111111111111111111111111111");
        }),
        ("another receiver", |told| {
            if let Some(topic) = told.pointer_mut("/0/topics/2") {
                set(topic, json!(OTHER_WORD));
            }
        }),
        ("a removed log", |told| {
            if let Some(log) = told.pointer_mut("/0") {
                set(&mut log["removed"], json!(true));
            }
        }),
        ("two hashes of one block", |told| change_first(told, "blockHash", OTHER_WORD)),
        ("two logs in one place", |told| {
            if let Some(place) = told.pointer("/1/logIndex").cloned() {
                set(&mut told[0]["logIndex"], place);
            }
        }),
        ("a pending log", |told| {
            if let Some(log) = told.pointer_mut("/0") {
                set(&mut log["blockNumber"], Value::Null);
            }
        }),
        ("a number that is none", |told| change_first(told, "logIndex", "12")),
    ];
    for (name, lie) in lies {
        let read = scene.range_with(lie).await;
        assert!(contradicts(&read), "{name}: {read:?}");
    }
}

fn change_first(told: &mut Value, field: &str, value: &str) {
    if let Some(log) = told.pointer_mut("/0") {
        set(&mut log[field], json!(value));
    }
}

#[tokio::test]
async fn a_range_is_put_in_order_and_each_log_counted_once() {
    let scene = Scene::set().await;
    let honest = scene.range_with(|_| {}).await.unwrap();
    assert_eq!(honest.transfers.len(), 2);
    let doubled = scene.range_with(|told| {
        let logs = told.as_array_mut().unwrap();
        logs.extend(logs.clone());
        logs.reverse();
    });
    assert_eq!(doubled.await.unwrap(), honest);
    // An event of the same name that moves no tokens is no transfer.
    let not_fungible = scene.range_with(|told| {
        if let Some(topics) = told.pointer_mut("/0/topics") {
            topics.as_array_mut().unwrap().push(json!(OTHER_WORD));
        }
    });
    assert_eq!(not_fungible.await.unwrap().transfers, honest.transfers[1..]);
}

#[tokio::test]
async fn block_times_come_from_headers_where_logs_tell_none() {
    let scene = Scene::set().await;
    let honest = scene.range_with(|_| {}).await.unwrap();
    for untold in [Value::Null, json!("0x0")] {
        let read = scene.range_with(move |told| {
            for log in told.as_array_mut().unwrap() {
                set(&mut log["blockTimestamp"], untold.clone());
            }
        });
        assert_eq!(read.await.unwrap(), honest);
    }
    // Logs of a block that the headers know nothing of.
    let elsewhere = scene.range_with(|told| {
        for log in told.as_array_mut().unwrap() {
            set(&mut log["blockTimestamp"], Value::Null);
            set(&mut log["blockHash"], json!(OTHER_WORD));
        }
    });
    assert!(contradicts(&elsewhere.await));
}

#[tokio::test]
async fn a_range_that_is_too_large_is_said_once_and_not_asked_again() {
    let scene = Scene::set().await;
    let message = "query returned more than 10000 results. Try with this block range [0x0, 0x9].";
    let refuse: fn() -> Outcome = || {
        Outcome::Error(
            -32005,
            "query returned more than 10000 results. Try with this block range [0x0, 0x9].",
        )
    };
    let stub = scene.stub(failing(LOGS, ALWAYS, refuse)).await;
    let reader = EvmChain::new(scene.through(&stub)).unwrap();
    let refused =
        kind(reader.range(0, scene.block.number, &filter(scene.chain.deployment())).await);
    let expected = ChainErrorKind::RangeTooLarge {
        message: format!("{message} (-32005)"),
        blocks_max: Some(10),
    };
    assert_eq!(refused, expected);
    // In and out, in one batch.
    assert_eq!(stub.asked(LOGS), 2);
}

#[tokio::test]
async fn an_answer_longer_than_we_read_is_a_range_that_is_too_large() {
    let scene = Scene::set().await;
    let stub = scene.stub(|_, result| Outcome::Result(result)).await;
    let mut settings = scene.through(&stub);
    settings.response_bytes_max = 500;
    let reader = EvmChain::new(settings).unwrap();
    let refused =
        kind(reader.range(0, scene.block.number, &filter(scene.chain.deployment())).await);
    assert!(matches!(refused, ChainErrorKind::RangeTooLarge { .. }), "{refused:?}");
    assert!(matches!(kind(reader.head().await), ChainErrorKind::Refused(_)));
}

#[tokio::test]
async fn short_troubles_of_the_only_endpoint_pass_unseen() {
    let scene = Scene::set().await;
    let troubles: [fn() -> Outcome; 4] = [
        || Outcome::Status(503, None),
        || Outcome::Status(429, None),
        || Outcome::Error(-32005, "project ID request rate exceeded"),
        || Outcome::Error(-32603, "Internal error"),
    ];
    for trouble in troubles {
        let stub = scene.stub(failing(BLOCK, 2, trouble)).await;
        let reader = EvmChain::new(scene.through(&stub)).unwrap();
        assert_eq!(reader.head().await.unwrap(), scene.truth.header);
        assert_eq!(stub.asked(BLOCK), 3);
        assert_eq!(reader.endpoints()[0].errors, 2);
    }
}

#[tokio::test]
async fn an_endpoint_that_asks_for_rest_gets_it() {
    let scene = Scene::set().await;
    let limited = scene.stub(failing(BLOCK, ALWAYS, || Outcome::Status(429, Some(30)))).await;
    let alone = EvmChain::new(scene.through(&limited)).unwrap();
    assert!(matches!(kind(alone.head().await), ChainErrorKind::RateLimited(_)));
    assert_eq!(limited.asked(BLOCK), 1);
    let spare = scene.stub(|_, result| Outcome::Result(result)).await;
    let mut settings = scene.through(&limited);
    settings.http.push(spare.url());
    let both = EvmChain::new(settings).unwrap();
    for _ in 0..3 {
        assert_eq!(both.head().await.unwrap(), scene.truth.header);
    }
    assert_eq!((limited.asked(BLOCK), spare.asked(BLOCK)), (2, 3));
    assert!(both.endpoints()[0].resting && !both.endpoints()[1].resting);
}

#[tokio::test]
async fn a_hung_endpoint_costs_its_timeout_once() {
    let scene = Scene::set().await;
    let hung = scene.stub(failing(BLOCK, ALWAYS, || Outcome::Hang)).await;
    let spare = scene.stub(|_, result| Outcome::Result(result)).await;
    let mut settings = scene.through(&hung);
    settings.request_timeout = Duration::from_millis(300);
    let alone = EvmChain::new(settings.clone()).unwrap();
    assert!(matches!(kind(alone.head().await), ChainErrorKind::Unreachable(_)));
    assert_eq!(hung.asked(BLOCK), 1);
    settings.http.push(spare.url());
    let both = EvmChain::new(settings).unwrap();
    for _ in 0..3 {
        assert_eq!(both.head().await.unwrap(), scene.truth.header);
    }
    assert_eq!((hung.asked(BLOCK), spare.asked(BLOCK)), (2, 3));
}

#[tokio::test]
async fn text_that_is_no_json_rpc_is_wrong_and_the_next_endpoint_is_asked() {
    let scene = Scene::set().await;
    let texts: [fn() -> Outcome; 5] = [
        || Outcome::Text("<html>".to_owned()),
        || Outcome::Text(String::new()),
        || Outcome::Text(r#"{"id":0,"result":{"hash":"#.to_owned()),
        || Outcome::Text(r#"{"id":0}"#.to_owned()),
        || Outcome::Text("[]".to_owned()),
    ];
    for text in texts {
        let broken = scene.stub(failing(BLOCK, ALWAYS, text)).await;
        let mut settings = scene.through(&broken);
        let alone = EvmChain::new(settings.clone()).unwrap();
        assert!(contradicts(&alone.head().await.map_err(|error| error.kind)));
        assert!(contradicts(&alone.headers(0, 1).await.map_err(|error| error.kind)));
        settings.http.push(scene.chain.deployment().http_url.parse().unwrap());
        let both = EvmChain::new(settings).unwrap();
        assert_eq!(both.head().await.unwrap(), scene.truth.header);
    }
}

#[tokio::test]
async fn a_node_that_takes_no_batches_is_asked_singly() {
    let scene = Scene::set().await;
    let batches = Arc::new(AtomicUsize::new(0));
    let refused = Arc::clone(&batches);
    // Only a batch asks twice between two single questions.
    let stub = scene
        .stub(move |_, result| {
            if refused.fetch_add(1, Ordering::SeqCst) == 0 {
                let text =
                    r#"{"id":null,"error":{"code":-32600,"message":"batches are not supported"}}"#;
                return Outcome::Text(text.to_owned());
            }
            Outcome::Result(result)
        })
        .await;
    let reader = EvmChain::new(scene.through(&stub)).unwrap();
    let headers = reader.headers(0, scene.block.number).await.unwrap();
    assert_eq!(headers.last(), Some(&scene.truth.header));
    assert!(!reader.endpoints()[0].takes_batches);
}

#[tokio::test]
async fn a_block_that_is_null_is_not_there_yet_and_the_next_endpoint_is_asked() {
    let scene = Scene::set().await;
    let lagging = scene.stub(changing(BLOCK, |told| set(told, Value::Null))).await;
    let mut settings = scene.through(&lagging);
    let alone = EvmChain::new(settings.clone()).unwrap();
    for outcome in [alone.head().await, alone.header_at(1).await] {
        assert!(matches!(kind(outcome), ChainErrorKind::NotYet(_)));
    }
    assert!(matches!(kind(alone.headers(0, 2).await), ChainErrorKind::NotYet(_)));
    // A chain without the words for them has no such heights.
    assert_eq!(alone.tags().await.unwrap(), (0, 0));
    settings.http.push(scene.chain.deployment().http_url.parse().unwrap());
    let both = EvmChain::new(settings).unwrap();
    assert_eq!(both.header_at(scene.block.number).await.unwrap(), scene.truth.header);
}

#[tokio::test]
async fn a_chain_without_tags_has_zero_for_them_and_a_failing_node_has_none() {
    let scene = Scene::set().await;
    let unknown = failing(BLOCK, ALWAYS, || Outcome::Error(-32602, "invalid block tag"));
    let stub = scene.stub(unknown).await;
    let reader = EvmChain::new(scene.through(&stub)).unwrap();
    assert_eq!(reader.tags().await.unwrap(), (0, 0));
    let stub = scene.stub(failing(BLOCK, ALWAYS, || Outcome::Status(500, None))).await;
    let reader = EvmChain::new(scene.through(&stub)).unwrap();
    assert!(matches!(kind(reader.tags().await), ChainErrorKind::Unreachable(_)));
}

#[tokio::test]
async fn a_symbol_may_be_thirty_two_bytes() {
    let scene = Scene::set().await;
    let word = |text: &str| json!(format!("0x{:0<64}", text));
    // "MKR" filled up with zeros, nothing but zeros, and bytes that are no text.
    for (told, expected) in
        [(word("4d4b52"), Some("MKR")), (word(""), None), (word("ff"), None), (json!("0x12"), None)]
    {
        let stub = scene.stub(changing("eth_call", move |result| set(result, told.clone()))).await;
        let reader = EvmChain::new(scene.through(&stub)).unwrap();
        let facts = reader.token_facts(scene.chain.deployment().usdt).await.unwrap();
        assert_eq!(facts.symbol.as_deref(), expected);
        assert!(facts.has_code);
    }
}

#[tokio::test]
async fn fees_of_another_shape_are_refused() {
    type Lie = fn(&mut Value);
    let scene = Scene::set().await;
    let lies: [Lie; 4] = [
        |told| set(told, Value::Null),
        |told| set(&mut told["reward"], Value::Null),
        |told| drop(told["baseFeePerGas"].as_array_mut().unwrap().pop()),
        |told| drop(told["reward"][0].as_array_mut().unwrap().pop()),
    ];
    for lie in lies {
        let stub = scene.stub(changing("eth_feeHistory", lie)).await;
        let reader = EvmChain::new(scene.through(&stub)).unwrap();
        assert!(contradicts(&reader.fee_history().await.map_err(|error| error.kind)));
    }
    assert_ne!(U256::ZERO, reader(&scene.chain).fee_history().await.unwrap().base_fees[0]);
}

#[tokio::test]
async fn an_unreachable_endpoint_is_named_by_its_host_and_nothing_else() {
    let scene = Scene::set().await;
    let stub = scene.stub(|_, result| Outcome::Result(result)).await;
    let gone = stub.url();
    drop(stub);
    let mut settings = settings(scene.chain.deployment());
    settings.http = vec![gone.clone()];
    let reader = EvmChain::new(settings.clone()).unwrap();
    let error = reader.header_by_hash(B256::ZERO).await.unwrap_err();
    assert!(error.is_transient());
    let text = format!("{error} {} {reader:?}", error.kind);
    assert!(text.contains(&gone.host()) && !text.contains("secret"), "{text}");
    // With another endpoint behind it nobody notices.
    settings.http.push(scene.chain.deployment().http_url.parse().unwrap());
    assert_eq!(EvmChain::new(settings).unwrap().head().await.unwrap(), scene.truth.header);
}
