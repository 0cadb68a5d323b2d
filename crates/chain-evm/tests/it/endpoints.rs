//! Several endpoints: the best is asked, a wrong one is named and left alone, none can delay the others.

use std::{sync::Arc, time::Duration};

use inspay_chain_evm::{EvmChain, EvmChainSettings, ReceiptsProof, Transport};
use inspay_ports::{Chain, ChainErrorKind, Proof};
use inspay_primitives::{AssetId, U256};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    kind,
    memory::{Branch, CHAIN, Habit, Node, TOKEN, TREASURY, filter, over, over_with, settings},
    scene::{OTHER_WORD, set},
};

const HEAD: &str = "eth_getBlockByNumber";
const RECEIPTS: &str = "eth_getBlockReceipts";
const LOGS: &str = "eth_getLogs";
const CALL: &str = "eth_call";

/// How long an act takes on the paused clock.
async fn took<T>(act: impl Future<Output = T>) -> (T, Duration) {
    let started = Instant::now();
    let done = act.await;
    (done, started.elapsed())
}

const fn millis(number: u64) -> Duration {
    Duration::from_millis(number)
}

#[tokio::test(start_paused = true)]
async fn one_endpoint_costs_one_call_a_head_and_nothing_for_an_empty_block() {
    let branch = Branch::new();
    let node = Node::new("one", &branch);
    let chain = over(&[&node]);
    for _ in 0..10 {
        branch.mine(0, 0);
        let head = chain.head().await.unwrap();
        assert_eq!(head.block.number, branch.height());
        assert_eq!(chain.proven_block(&head, &filter()).await.unwrap().proof, Proof::Bloom);
    }
    // The chain's id once, and a head ten times.
    assert_eq!((chain.rpc_calls(), node.asked(HEAD)), (11, 10));
}

#[tokio::test(start_paused = true)]
async fn of_three_endpoints_one_lies_and_one_hangs_and_every_payment_is_read_in_time() {
    let branch = Branch::new();
    let (liar, hung, honest) =
        (Node::new("liar", &branch), Node::new("hung", &branch), Node::new("honest", &branch));
    liar.set(Habit::Lies(RECEIPTS, |told| set(&mut told[0]["logs"], json!([]))));
    hung.set(Habit::Hangs);
    let chain = over(&[&liar, &hung, &honest]);
    let mut slowest = Duration::ZERO;
    for blocks in 1..=60 {
        branch.mine(2, 0);
        let read = async {
            let head = chain.head().await.unwrap();
            assert_eq!(head.block.number, blocks);
            chain.proven_block(&head, &filter()).await.unwrap()
        };
        let (proven, took) = took(read).await;
        assert_eq!((proven.transfers.len(), proven.proof), (2, Proof::ReceiptsRoot));
        if blocks > 1 {
            slowest = slowest.max(took);
        }
        sleep(Duration::from_secs(1)).await;
    }
    // The head waits for the hung one's word only until another's has come.
    assert!(slowest <= millis(700), "{slowest:?}");
    let views = chain.endpoints();
    let doubt = views[0].doubt.clone().expect("the liar is named");
    assert!(doubt.reason.contains("receipts root"), "{doubt:?}");
    assert!(doubt.quarantined_for.is_some() && views[0].quarantines >= 1);
    assert!(views[1].resting && views[1].doubt.is_none(), "{:?}", views[1]);
    assert!(views[2].doubt.is_none() && !views[2].resting && views[2].errors == 0);
    // Asked for receipts only when it came out of quarantine.
    assert!(liar.asked(RECEIPTS) <= 2 && hung.asked_in_all() <= 8, "{}", hung.asked_in_all());
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_limits_requests_never_delays_the_head() {
    let branch = Branch::new();
    let (limited, other) = (Node::new("limited", &branch), Node::new("other", &branch));
    for habit in [
        Habit::Status(429, None),
        Habit::Status(429, Some(Duration::from_secs(3_600))),
        Habit::Limited(2),
    ] {
        limited.set(habit);
        let chain = over(&[&limited, &other]);
        for _ in 0..30 {
            branch.mine(1, 0);
            let (head, took) = took(chain.head()).await;
            assert_eq!(head.unwrap().block.number, branch.height());
            assert!(took <= millis(20), "{took:?}");
            sleep(millis(250)).await;
        }
        assert!(chain.endpoints()[1].errors == 0 && !chain.endpoints()[1].resting);
    }
}

#[tokio::test(start_paused = true)]
async fn the_pace_of_a_lone_endpoint_is_learned_and_its_head_still_comes() {
    let branch = Branch::new();
    branch.mine_many(600);
    let node = Node::new("limited", &branch);
    node.set(Habit::Limited(20));
    let chain = over(&[&node]);
    let followed = filter();
    let read = async {
        let mut from = 0;
        while from < 600 {
            let spans: Vec<_> = (0..4).map(|at| (from + at, from + at)).collect();
            let asked = spans.iter().map(|(from, to)| chain.range(*from, *to, &followed));
            for answer in futures::future::join_all(asked).await {
                answer.unwrap();
            }
            from += 4;
            if from % 100 == 0 {
                let (head, took) = took(chain.head()).await;
                assert_eq!(head.unwrap().block.number, 600);
                assert!(took <= millis(1_200), "{took:?}");
            }
        }
    };
    let (_, took) = took(read).await;
    // Twelve hundred calls at twenty a second take a minute.
    assert!(took <= Duration::from_secs(85), "{took:?}");
    let views = chain.endpoints();
    let learned = views[0].calls_per_minute.expect("a pace is learned");
    assert!((600..=1_500).contains(&learned), "{learned}");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_on_another_fork_is_named_and_never_followed() {
    let branch = Branch::new();
    branch.mine_many(20);
    let fork = branch.fork_above(15);
    for _ in 0..9 {
        fork.mine(1, 1);
    }
    let (astray, one, other) =
        (Node::new("astray", &branch), Node::new("one", &branch), Node::new("other", &branch));
    let chain = over(&[&astray, &one, &other]);
    chain.head().await.unwrap();
    astray.move_to(&fork);
    for _ in 0..45 {
        let hash = branch.mine(0, 0);
        fork.mine(1, 1);
        assert_eq!(chain.head().await.unwrap().block.hash, hash);
        let (number, expected) = (branch.height() - 1, branch.height());
        let below = chain.headers(number, expected).await.unwrap();
        assert_eq!(below[1].block.hash, hash, "its headers are asked of the others");
        sleep(Duration::from_secs(1)).await;
    }
    let views = chain.endpoints();
    let doubt = views[0].doubt.clone().expect("the one astray is named");
    assert!(doubt.reason.contains("others"), "{doubt:?}");
    assert!(views[0].quarantines >= 1, "{:?}", views[0]);
    assert!(views[1..].iter().all(|view| view.doubt.is_none()));
}

#[tokio::test(start_paused = true)]
async fn a_lagging_endpoint_is_not_asked_for_new_blocks() {
    let branch = Branch::new();
    branch.mine_many(10);
    let (lagging, other) = (Node::new("lagging", &branch), Node::new("other", &branch));
    lagging.set(Habit::Behind(5));
    let chain = over(&[&lagging, &other]);
    for _ in 0..20 {
        branch.mine(1, 0);
        let head = chain.head().await.unwrap();
        assert_eq!(head.block.number, branch.height());
        assert_eq!(chain.proven_block(&head, &filter()).await.unwrap().transfers.len(), 1);
        sleep(millis(500)).await;
    }
    assert_eq!((lagging.asked(RECEIPTS), other.asked(RECEIPTS)), (0, 20));
    let view = chain.endpoints()[0].clone();
    assert!(view.lagging && view.doubt.is_none() && view.errors == 0, "{view:?}");
    // Ten seconds, and it was asked every three whether it still trails.
    assert!(lagging.asked(HEAD) <= 5, "{}", lagging.asked(HEAD));
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_takes_long_is_overtaken() {
    let branch = Branch::new();
    let (slow, other) = (Node::new("slow", &branch), Node::new("other", &branch));
    branch.mine(1, 0);
    let chain = over(&[&slow, &other]);
    let head = chain.head().await.unwrap();
    slow.set(Habit::Slow(Duration::from_secs(4)));
    let (proven, first) = took(chain.proven_block(&head, &filter())).await;
    assert_eq!(proven.unwrap().transfers.len(), 1);
    assert!((millis(500)..=millis(530)).contains(&first), "{first:?}");
    let (_, second) = took(chain.proven_block(&head, &filter())).await;
    assert!(second <= millis(30), "{second:?}");
    assert!(chain.endpoints()[0].resting && chain.endpoints()[0].errors == 0);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_endpoint_is_asked_where_there_is_no_other() {
    let branch = Branch::new();
    branch.mine(1, 0);
    let (liar, hung) = (Node::new("liar", &branch), Node::new("dead", &branch));
    let chain = over(&[&liar]);
    let head = chain.head().await.unwrap();
    liar.set(Habit::Lies(RECEIPTS, |told| set(told, json!([]))));
    let lied = kind(chain.proven_block(&head, &filter()).await);
    assert!(matches!(lied, ChainErrorKind::Contradiction(_)), "{lied:?}");
    assert!(chain.endpoints()[0].doubt.is_some());
    liar.set(Habit::Honest);
    assert_eq!(chain.proven_block(&head, &filter()).await.unwrap().transfers.len(), 1);
    // The same where the other one asks to be left alone for long.
    hung.set(Habit::Status(429, Some(Duration::from_secs(60))));
    let chain = over(&[&liar, &hung]);
    liar.set(Habit::Lies(HEAD, |told| set(&mut told["stateRoot"], json!(OTHER_WORD))));
    assert!(chain.head().await.is_err());
    liar.set(Habit::Honest);
    assert_eq!(chain.head().await.unwrap().block.number, 1);
}

#[tokio::test(start_paused = true)]
async fn a_range_is_read_again_from_an_endpoint_that_did_not_tell_it() {
    let branch = Branch::new();
    for _ in 0..10 {
        branch.mine(1, 0);
    }
    let (one, other) = (Node::new("one", &branch), Node::new("other", &branch));
    one.set(Habit::Lies(LOGS, |told| drop(told.as_array_mut().unwrap().pop())));
    let chain = over(&[&one, &other]);
    assert_eq!(chain.range(1, 10, &filter()).await.unwrap().transfers.len(), 9);
    let again = chain.second_range(1, 10, &filter()).await.unwrap().unwrap();
    assert_eq!(again.transfers.len(), 10);
    assert_eq!((one.asked(LOGS), other.asked(LOGS)), (2, 2));
    // Whoever told of it, and however the order is now.
    one.set(Habit::Status(503, None));
    assert_eq!(chain.range(1, 10, &filter()).await.unwrap().transfers.len(), 10);
    one.set(Habit::Honest);
    chain.second_range(1, 10, &filter()).await.unwrap().unwrap();
    assert_eq!(other.asked(LOGS), 4);
    let alone = over(&[&other]);
    assert_eq!(alone.second_range(1, 10, &filter()).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_block_is_read_again_whatever_its_bloom_says() {
    let branch = Branch::new();
    branch.mine(3, 0);
    branch.mine(0, 0);
    let node = Node::new("one", &branch);
    let chain = over(&[&node]);
    let again = chain.reread_block(1, &filter()).await.unwrap();
    assert!(chain.endpoints()[0].doubt.is_none());
    assert_eq!((again.header.block.number, again.transfers.len()), (1, 3));
    let empty = chain.reread_block(2, &filter()).await.unwrap();
    assert_eq!((empty.proof, empty.transfers.len()), (Proof::ReceiptsRoot, 0));
    assert_eq!(node.asked(RECEIPTS), 2);
    assert!(matches!(kind(chain.reread_block(3, &filter()).await), ChainErrorKind::NotYet(_)));
}

#[tokio::test(start_paused = true)]
async fn endpoints_agree_stay_silent_or_contradict() {
    let branch = Branch::new();
    branch.mine(2, 0);
    let fork = branch.fork_above(0);
    fork.mine(2, 1);
    let nodes = [Node::new("a", &branch), Node::new("b", &branch), Node::new("c", &branch)];
    let chain = over_with(&[&nodes[0], &nodes[1], &nodes[2]], |settings| {
        settings.request_timeout = Duration::from_secs(2);
    });
    let transfers = chain.range(1, 1, &filter()).await.unwrap().transfers;
    let agreed = async || {
        let agreed = chain.agreed(&transfers).await.unwrap();
        assert_eq!(agreed.len(), 2);
        (agreed[0].agreeing, agreed[0].asked, agreed[0].contradiction.clone().unwrap_or_default())
    };
    assert_eq!(agreed().await, (3, 3, String::new()));
    type Case = (Habit, (u32, &'static str));
    let no_log: fn(&mut Value) = |told| set(&mut told["logs"], json!([]));
    let other_block: fn(&mut Value) = |told| set(&mut told["blockHash"], json!(OTHER_WORD));
    let other_value: fn(&mut Value) = |told| set(&mut told["logs"][0]["data"], json!(OTHER_WORD));
    let no_receipt: fn(&mut Value) = |told| set(told, Value::Null);
    const RECEIPT: &str = "eth_getTransactionReceipt";
    let cases: [Case; 7] = [
        (Habit::Hangs, (2, "")),
        (Habit::Status(500, None), (2, "")),
        (Habit::Behind(1), (2, "")),
        (Habit::Lies(RECEIPT, no_receipt), (2, "")),
        (Habit::Lies(RECEIPT, no_log), (2, "has no such log")),
        (Habit::Lies(RECEIPT, other_block), (2, "is in block")),
        (Habit::Lies(RECEIPT, other_value), (2, "has no such log")),
    ];
    for (habit, (agreeing, why)) in cases {
        nodes[1].set(habit.clone());
        let (told, asked, contradiction) = agreed().await;
        assert_eq!((told, asked), (agreeing, 3), "{habit:?}");
        assert!(contradiction.contains(why), "{habit:?}: {contradiction}");
        assert_eq!(contradiction.is_empty(), why.is_empty(), "{habit:?}: {contradiction}");
        assert_eq!(chain.endpoints()[1].doubt.is_some(), !why.is_empty(), "{habit:?}");
    }
    nodes[1].set(Habit::Honest);
    nodes[2].move_to(&fork);
    let (told, _, contradiction) = agreed().await;
    assert!(told == 2 && contradiction.starts_with("c: block 1 is"), "{contradiction}");
    for node in &nodes {
        node.set(Habit::Status(500, None));
    }
    assert!(chain.agreed(&transfers).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_range_that_is_too_large_for_one_is_asked_of_no_other_unchanged() {
    let branch = Branch::new();
    branch.mine(1, 0);
    let (one, other) = (Node::new("one", &branch), Node::new("other", &branch));
    one.set(Habit::Refuses(LOGS, -32005, "query returned more than 10000 results"));
    let chain = over(&[&one, &other]);
    let refused = kind(chain.range(0, 1, &filter()).await);
    assert!(matches!(refused, ChainErrorKind::RangeTooLarge { .. }), "{refused:?}");
    assert_eq!((one.asked(LOGS), other.asked(LOGS)), (2, 0));
    assert_eq!(chain.endpoints()[0].errors, 0);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_whose_finalized_block_is_another_is_named() {
    let branch = Branch::new();
    branch.mine_many(40);
    let fork = branch.fork_above(9);
    for _ in 0..31 {
        fork.mine(0, 1);
    }
    let (astray, one, other) =
        (Node::new("astray", &fork), Node::new("one", &branch), Node::new("other", &branch));
    let chain = over(&[&astray, &one, &other]);
    assert!(matches!(kind(chain.tags().await), ChainErrorKind::Contradiction(_)));
    assert_eq!(chain.tags().await.unwrap().heights(), (32, 24));
    let doubt = chain.endpoints()[0].doubt.clone().expect("the one astray is named");
    assert!(doubt.reason.contains("block 24, which is finalized"), "{doubt:?}");
    // Of two nobody can tell, and so nothing is finalized.
    let chain = over(&[&one, &astray]);
    for _ in 0..3 {
        let split = kind(chain.tags().await);
        assert!(matches!(&split, ChainErrorKind::Contradiction(text) if text.contains("astray")));
    }
    // Compared now and then, not every time.
    let chain = over(&[&one, &other]);
    for _ in 0..5 {
        assert_eq!(chain.tags().await.unwrap().heights(), (32, 24));
    }
    sleep(Duration::from_secs(30)).await;
    let asked = other.asked(HEAD);
    chain.tags().await.unwrap();
    assert_eq!(other.asked(HEAD), asked + 1);
}

#[tokio::test(start_paused = true)]
async fn logs_that_receipts_prove_and_an_endpoint_leaves_out_name_it() {
    let branch = Branch::new();
    branch.mine(3, 0);
    let (one, other) = (Node::new("one", &branch), Node::new("other", &branch));
    one.set(Habit::Lies(LOGS, |told| drop(told.as_array_mut().unwrap().pop())));
    let chain = over(&[&one, &other]);
    assert_eq!(chain.reread_block(1, &filter()).await.unwrap().transfers.len(), 3);
    let views = chain.endpoints();
    let doubt = views[0].doubt.clone().expect("the one that leaves out is named");
    assert!(doubt.reason.contains("lack 1 transfers that receipts prove"), "{doubt:?}");
    assert!(views[1].doubt.is_none());
}

#[tokio::test(start_paused = true)]
async fn where_receipts_prove_nothing_two_endpoints_must_tell_the_same() {
    let branch = Branch::new();
    branch.mine(3, 0);
    branch.mine(0, 0);
    let nodes = [Node::new("a", &branch), Node::new("b", &branch), Node::new("c", &branch)];
    let by_two =
        |settings: &mut EvmChainSettings| settings.receipts = ReceiptsProof::SecondEndpoint;
    let two = over_with(&[&nodes[0], &nodes[1]], by_two);
    let header = two.header_at(1).await.unwrap();
    let proven = two.proven_block(&header, &filter()).await.unwrap();
    assert_eq!((proven.transfers.len(), proven.proof), (3, Proof::SecondEndpoint));
    assert!(proven.transfers.iter().all(|transfer| transfer.reference == Some(None)));
    assert_eq!((nodes[0].asked(LOGS), nodes[1].asked(LOGS)), (2, 2));
    // An empty block is asked for as well.
    let empty = two.header_at(2).await.unwrap();
    let proven = two.proven_block(&empty, &filter()).await.unwrap();
    assert_eq!((proven.transfers.len(), proven.proof), (0, Proof::SecondEndpoint));
    assert_eq!((nodes[0].asked(LOGS), nodes[0].asked(RECEIPTS)), (4, 0));
    // One log short at one of two: nobody is believed. With a third one it is known who is wrong.
    nodes[1].set(Habit::Lies(LOGS, |told| drop(told.as_array_mut().unwrap().pop())));
    let differ = kind(two.proven_block(&header, &filter()).await);
    assert!(matches!(&differ, ChainErrorKind::Contradiction(text) if text.contains("differ")));
    let three = over_with(&[&nodes[0], &nodes[1], &nodes[2]], by_two);
    let proven = three.proven_block(&header, &filter()).await.unwrap();
    assert_eq!((proven.transfers.len(), proven.proof), (3, Proof::SecondEndpoint));
    let doubts: Vec<bool> = three.endpoints().iter().map(|view| view.doubt.is_some()).collect();
    assert_eq!(doubts, [false, true, false]);
    // One that cannot be reached leaves nothing proven.
    nodes[1].set(Habit::Status(503, None));
    assert!(two.proven_block(&header, &filter()).await.is_err());
    // And one alone is none.
    let settings = EvmChainSettings { receipts: ReceiptsProof::SecondEndpoint, ..settings() };
    let alone: Vec<Arc<dyn Transport>> = vec![Arc::clone(&nodes[0]) as _];
    assert!(EvmChain::over(settings, alone).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_balance_is_what_two_endpoints_tell_and_a_third_one_says_who_is_wrong() {
    let branch = Branch::new();
    branch.mine(3, 0);
    let block = branch.mine(4, 0);
    let nodes = [Node::new("a", &branch), Node::new("b", &branch), Node::new("c", &branch)];
    let asset = AssetId { chain_id: CHAIN, contract: TOKEN };
    let balance = async |chain: &EvmChain| chain.balance_of(asset, TREASURY, block).await;
    let alone = over(&[&nodes[0]]);
    assert_eq!(balance(&alone).await.unwrap(), U256::from(7));
    assert_eq!(nodes[0].asked(CALL), 1);
    let two = over(&[&nodes[0], &nodes[1]]);
    assert_eq!(balance(&two).await.unwrap(), U256::from(7));
    assert_eq!((nodes[0].asked(CALL), nodes[1].asked(CALL)), (2, 1));
    for liar in 0..2 {
        nodes[liar].set(Habit::Lies(CALL, |told| set(told, json!(OTHER_WORD))));
        // Of two that differ nobody is believed; with a third one it is known who is wrong.
        let differ = kind(balance(&over(&[&nodes[0], &nodes[1]])).await);
        assert!(matches!(&differ, ChainErrorKind::Contradiction(text) if text.contains("differ")));
        let three = over(&[&nodes[0], &nodes[1], &nodes[2]]);
        assert_eq!(balance(&three).await.unwrap(), U256::from(7));
        let doubts: Vec<bool> = three.endpoints().iter().map(|view| view.doubt.is_some()).collect();
        assert_eq!(doubts, [liar == 0, liar == 1, false]);
        nodes[liar].set(Habit::Honest);
    }
    // One that cannot tell now may tell later; it is not waited for for ever.
    for silent in [Habit::Status(503, None), Habit::Behind(1)] {
        for silent_place in [0, 1] {
            nodes[silent_place].set(silent.clone());
            let two = over(&[&nodes[0], &nodes[1]]);
            assert!(balance(&two).await.is_err(), "{silent:?}");
            nodes[silent_place].set(Habit::Honest);
            assert_eq!(balance(&two).await.unwrap(), U256::from(7));
            nodes[silent_place].set(silent.clone());
            let waited = waited_for(async || balance(&two).await.ok()).await;
            assert!((20..30).contains(&waited.1.as_secs()), "{silent:?} {waited:?}");
            assert_eq!(waited.0, U256::from(7));
            nodes[silent_place].set(Habit::Honest);
        }
    }
    // One that never tells leaves the other's word, as though it were alone.
    nodes[1].set(Habit::Refuses(CALL, -32_601, "the method does not exist"));
    assert_eq!(balance(&over(&[&nodes[0], &nodes[1]])).await.unwrap(), U256::from(7));
}

/// What is told at last, asked for every second, and after how long.
async fn waited_for<T>(ask: impl AsyncFn() -> Option<T>) -> (T, Duration) {
    let started = Instant::now();
    loop {
        if let Some(told) = ask().await {
            return (told, started.elapsed());
        }
        assert!(started.elapsed() < Duration::from_secs(3_600), "nothing is told");
        sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_range_is_told_by_one_alone_only_where_there_is_nobody_to_wait_for() {
    let branch = Branch::new();
    for _ in 0..10 {
        branch.mine(1, 0);
    }
    let (one, other) = (Node::new("one", &branch), Node::new("other", &branch));
    let chain = over(&[&one, &other]);
    let second = async || chain.second_range(1, 10, &filter()).await;
    assert_eq!(chain.range(1, 10, &filter()).await.unwrap().told_by, Some(0));
    assert_eq!(second().await.unwrap().unwrap().told_by, Some(1));
    // A moment's trouble is none that lasts.
    other.set(Habit::Status(503, None));
    assert!(second().await.is_err());
    let (none, waited) = waited_for(async || second().await.ok()).await;
    assert_eq!(none, None);
    assert!((20..30).contains(&waited.as_secs()), "{waited:?}");
    // As soon as it tells again, it is waited for anew.
    other.set(Habit::Honest);
    assert_eq!(second().await.unwrap().unwrap().told_by, Some(1));
    other.set(Habit::Hangs);
    assert!(second().await.is_err());
    // One that was found to be wrong is not waited for.
    other.set(Habit::Lies(LOGS, |told| set(told, json!("nothing"))));
    assert_eq!(waited_for(async || second().await.ok()).await.0, None);
    assert!(chain.endpoints()[1].doubt.is_some());
    assert_eq!(second().await.unwrap(), None);
    // Nor is it believed alone, however long the other one is silent.
    one.set(Habit::Hangs);
    let alone = chain.range(1, 10, &filter()).await;
    assert!(alone.is_err(), "{alone:?}");
    other.set(Habit::Honest);
    let told = waited_for(async || chain.range(1, 10, &filter()).await.ok()).await.0;
    assert_eq!(told.told_by, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_probe_asks_every_endpoint_and_says_what_is_wrong_with_each() {
    let branch = Branch::new();
    branch.mine_many(40);
    let fork = branch.fork_above(9);
    for _ in 0..31 {
        fork.mine(0, 1);
    }
    let names = ["good", "astray", "behind", "down", "better"];
    let nodes = names.map(|name| Node::new(name, &branch));
    nodes[1].move_to(&fork);
    nodes[2].set(Habit::Behind(9));
    nodes[3].set(Habit::Status(503, None));
    let chain = over(&nodes.each_ref());
    let probed = chain.probe_endpoints().await;
    let failed: Vec<bool> = probed.iter().map(|(_, failure)| failure.is_some()).collect();
    assert_eq!(failed, [false, false, false, true, false]);
    let notes: Vec<String> =
        probed.iter().map(|(view, _)| view.note().unwrap_or_default()).collect();
    assert_eq!((notes[0].as_str(), notes[4].as_str()), ("", ""));
    assert!(notes[1].contains("astray was wrong and is not asked"), "{}", notes[1]);
    assert_eq!(notes[2], "behind trails the others, at block 31");
    assert!(notes[3].contains("down is left alone for a while"), "{}", notes[3]);
}
