//! A node that lies: never a wrong answer, and the next endpoint's where there is one.

use alloy::providers::Provider;
use inspay_chain_evm::{EvmChain, EvmChainSettings, HashCheck};
use inspay_ports::{Chain, ChainErrorKind, Proof};
use inspay_primitives::{ChainId, U256};
use serde_json::{Value, json};

use crate::{
    filter, kind, reader,
    scene::{BLOCK, FULL_BLOCK, OTHER_WORD, RECEIPTS, Scene, changing, contradicts, set},
    stub::Outcome,
};

fn change_first(told: &mut Value, field: &str, value: &str) {
    if let Some(log) = told.pointer_mut("/0") {
        set(&mut log[field], json!(value));
    }
}

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
async fn two_payments_told_under_each_others_hash_throughout_are_refused() {
    let scene = Scene::set().await;
    // Each answer fits the other, and each chain transaction its hash: only their root tells.
    let lie = |asked: &str, mut result: Value| {
        match asked {
            RECEIPTS => {
                let hashes = [2, 0].map(|at| result[at]["transactionHash"].clone());
                for (at, hash) in [0, 2].into_iter().zip(hashes) {
                    set(&mut result[at]["logs"][0]["transactionHash"], hash.clone());
                    set(&mut result[at]["transactionHash"], hash);
                }
            }
            FULL_BLOCK => result["transactions"].as_array_mut().unwrap().swap(0, 2),
            _ => {}
        }
        Outcome::Result(result)
    };
    let stub = scene.stub(lie).await;
    let reader = EvmChain::new(scene.through(&stub)).unwrap();
    let filter = filter(scene.chain.deployment());
    let read = reader.proven_block(&scene.truth.header, &filter).await;
    let text = kind(read).to_string();
    assert!(text.contains("transactions root"), "{text}");
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
async fn a_bloom_that_nobody_vouches_for_empties_no_block() {
    let scene = Scene::set().await;
    let blank = changing(BLOCK, |block| {
        set(&mut block["logsBloom"], json!(format!("0x{}", "0".repeat(512))));
    });
    let stub = scene.stub(blank).await;
    let mut trusting = scene.through(&stub);
    trusting.header_hash = HashCheck::Trust;
    let reader = EvmChain::new(trusting).unwrap();
    let header = reader.head().await.unwrap();
    let read = reader.proven_block(&header, &filter(scene.chain.deployment())).await.unwrap();
    assert_eq!((read.proof, read.transfers), (Proof::ReceiptsRoot, scene.truth.transfers));
}

#[tokio::test]
async fn an_endpoint_on_another_chain_is_never_believed() {
    let scene = Scene::set().await;
    let elsewhere = scene.stub(changing("eth_chainId", |told| set(told, json!("0x1")))).await;
    let alone = EvmChain::new(scene.through(&elsewhere)).unwrap();
    assert_eq!(alone.remote_chain_id().await.unwrap(), ChainId(1));
    let refused = kind(alone.head().await);
    assert!(matches!(&refused, ChainErrorKind::Refused(text) if text.contains("on chain 1")));
    assert_eq!(elsewhere.asked(BLOCK), 0);
    // Neither first nor last: it is named at the start, and passed over afterwards.
    let honest = scene.chain.deployment().http_url.parse().unwrap();
    for http in [
        vec![elsewhere.url(), honest],
        vec![scene.chain.deployment().http_url.parse().unwrap(), elsewhere.url()],
    ] {
        let both = EvmChain::new(EvmChainSettings { http, ..scene.through(&elsewhere) }).unwrap();
        assert_eq!(both.remote_chain_id().await.unwrap(), ChainId(1));
        assert_eq!(both.head().await.unwrap(), scene.truth.header);
    }
    assert_eq!(elsewhere.asked(BLOCK), 0);
}

#[tokio::test]
async fn an_endpoint_that_was_wrong_is_asked_last_for_a_while() {
    let scene = Scene::set().await;
    let liar = scene.stub(changing(RECEIPTS, |told| set(told, json!([])))).await;
    let mut settings = scene.through(&liar);
    settings.http.push(scene.chain.deployment().http_url.parse().unwrap());
    let both = EvmChain::new(settings).unwrap();
    let filter = filter(scene.chain.deployment());
    for _ in 0..2 {
        let read = both.proven_block(&scene.truth.header, &filter).await.unwrap();
        assert_eq!(read, scene.truth);
    }
    assert_eq!(liar.asked(RECEIPTS), 1);
    assert_eq!(both.endpoints()[0].errors, 1);
}
