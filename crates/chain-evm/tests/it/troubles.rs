//! A node that refuses, hangs or breaks off: said as what it is, and the next endpoint is asked where
//! there is one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use inspay_chain_evm::EvmChain;
use inspay_ports::{Chain, ChainErrorKind, NamedLimits};
use inspay_primitives::B256;
use serde_json::{Value, json};

use crate::{
    filter, kind,
    scene::{ALWAYS, BLOCK, LOGS, RECEIPTS, Scene, changing, contradicts, failing, set},
    settings,
    stub::Outcome,
};

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
        named: NamedLimits { blocks_max: Some(10), results_max: Some(10_000) },
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
    settings.request_timeout = Duration::from_secs(1);
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
    // What was cut off on its way is no lie of the node's.
    let texts: [(fn() -> Outcome, bool); 5] = [
        (|| Outcome::Text("<html>".to_owned()), true),
        (|| Outcome::Text(String::new()), false),
        (|| Outcome::Text(r#"{"id":0,"result":{"hash":"#.to_owned()), false),
        (|| Outcome::Text(r#"{"id":0}"#.to_owned()), true),
        (|| Outcome::Text("[]".to_owned()), true),
    ];
    for (text, is_wrong) in texts {
        let broken = scene.stub(failing(BLOCK, ALWAYS, text)).await;
        let mut settings = scene.through(&broken);
        let alone = EvmChain::new(settings.clone()).unwrap();
        for told in [alone.head().await.map(drop), alone.headers(0, 0).await.map(drop)] {
            let told = told.map_err(|error| error.kind);
            let is_unreachable = matches!(told, Err(ChainErrorKind::Unreachable(_)));
            assert_eq!((contradicts(&told), is_unreachable), (is_wrong, !is_wrong), "{told:?}");
        }
        assert_eq!(alone.endpoints()[0].doubt.is_some(), is_wrong);
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
    let stub = scene
        .stub(move |asked, result| {
            if asked == BLOCK && refused.fetch_add(1, Ordering::SeqCst) == 0 {
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
    assert_eq!(alone.tags().await.unwrap().heights(), (0, 0));
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
    assert_eq!(reader.tags().await.unwrap().heights(), (0, 0));
    let stub = scene.stub(failing(BLOCK, ALWAYS, || Outcome::Status(500, None))).await;
    let reader = EvmChain::new(scene.through(&stub)).unwrap();
    assert!(matches!(kind(reader.tags().await), ChainErrorKind::Unreachable(_)));
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

#[tokio::test]
async fn an_answer_that_does_not_end_in_time_is_a_range_that_is_too_large() {
    let scene = Scene::set().await;
    let stub = scene.stub(failing(LOGS, ALWAYS, || Outcome::Stall)).await;
    let mut settings = scene.through(&stub);
    settings.request_timeout = Duration::from_secs(1);
    let reader = EvmChain::new(settings).unwrap();
    let refused =
        kind(reader.range(0, scene.block.number, &filter(scene.chain.deployment())).await);
    assert!(matches!(refused, ChainErrorKind::RangeTooLarge { .. }), "{refused:?}");
    assert_eq!(stub.asked(LOGS), 1);
}

#[tokio::test]
async fn a_node_without_receipts_by_block_gives_them_one_by_one() {
    let scene = Scene::set().await;
    let missing = failing(RECEIPTS, ALWAYS, || Outcome::Error(-32601, "Method not found"));
    let stub = scene.stub(missing).await;
    let reader = EvmChain::new(scene.through(&stub)).unwrap();
    let filter = filter(scene.chain.deployment());
    for _ in 0..2 {
        let read = reader.proven_block(&scene.truth.header, &filter).await.unwrap();
        assert_eq!(read, scene.truth);
    }
    assert_eq!((stub.asked(RECEIPTS), stub.asked("eth_getTransactionReceipt")), (1, 6));
    // They are proven the same way.
    let lie = |asked: &str, mut result: Value| match asked {
        RECEIPTS => Outcome::Error(-32601, "Method not found"),
        "eth_getTransactionReceipt" => {
            set(&mut result["logs"], json!([]));
            Outcome::Result(result)
        }
        _ => Outcome::Result(result),
    };
    let stub = scene.stub(lie).await;
    let reader = EvmChain::new(scene.through(&stub)).unwrap();
    let read = reader.proven_block(&scene.truth.header, &filter).await;
    assert!(contradicts(&read.map_err(|error| error.kind)));
}
