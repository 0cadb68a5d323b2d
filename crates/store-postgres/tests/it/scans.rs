//! No statement that runs in a loop reads a whole table or a whole index, also not on plans that were made
//! while the tables were empty.

use std::{collections::BTreeMap, time::Duration};

use inspay_ports::{
    AttributionProbe, BooksStore as _, HistoryFilter, OrderFilter, Page, ReadStore as _,
    SaleStore as _, SubscriptionStore as _, TransferFilter,
    contract::{
        samples::{
            CHAIN, Follower, account, applied, block, block_time, new_order, quote, terms, usdt,
        },
        teller::{reverse, settle_for},
    },
};
use inspay_primitives::{OrderTerms, Timestamp, Transfer, U256};
use inspay_quoting::{RateSample, SourceKind};
use sqlx::Row as _;

use crate::world::{World, paying};

const ROUNDS: u64 = 60;
const EACH: u64 = 50;
const PAGE: Page = Page { after: None, limit: 20 };

/// Tables that grow with use.
const LARGE: [&str; 14] = [
    "account",
    "book_account",
    "entry",
    "event",
    "lot",
    "former_observation",
    "operation",
    "orders",
    "posting",
    "quote",
    "rate_sample",
    "reversal",
    "settlement",
    "transfer",
];

fn terms_of(number: u64) -> OrderTerms {
    OrderTerms { account: account(number), ..terms(number) }
}

/// One turn of every loop: blocks come, orders are made, transfers are found, settled, listed.
async fn turn(world: &World, follower: &mut Follower, round: u64) {
    let store = &world.postgres;
    let numbers = round * EACH..(round + 1) * EACH;
    for number in numbers.clone() {
        store.save_quote(quote(number)).await.expect("keeps");
        store.create_order(new_order(terms_of(number))).await.expect("makes");
    }
    let (at, tip) = (block("a", round * 2 + 1), block("a", round * 2 + 2));
    let is_near_head = !round.is_multiple_of(2);
    let payments: Vec<Transfer> = numbers
        .clone()
        .map(|number| {
            let log_index = u32::try_from(number % EACH).expect("small");
            let is_last = is_near_head && number + 1 == numbers.end;
            paying(&terms_of(number), number, if is_last { tip } else { at }, log_index)
        })
        .collect();
    let (last, others) = payments.split_last().expect("some");
    if is_near_head {
        let other_tip = block("x", tip.number);
        follower.extend(vec![applied(at, others.to_vec()), applied(other_tip, vec![])]).await;
        follower.swap(&[other_tip], vec![applied(tip, vec![*last])]).await;
    } else {
        follower.range(at, payments.clone()).await;
    }
    find(world, &payments).await;
    let settle = |(number, paid)| settle_for(paid, 0, &terms_of(number));
    world.write(numbers.clone().zip(&payments).map(settle).collect()).await;
    look(world, round * EACH, &payments).await;
    // The last payment near the head leaves the chain and is taken back.
    if is_near_head {
        follower.swap(&[tip], vec![applied(block("b", tip.number), vec![])]).await;
        assert_eq!(store.transfers_to_reverse(CHAIN, 10).await.expect("finds").len(), 1);
        world.write(vec![reverse(last, 0)]).await;
    }
}

/// What the settlement loop asks before it settles.
async fn find(world: &World, payments: &[Transfer]) {
    let store = &world.postgres;
    let due = store.transfers_to_settle(CHAIN, None, u64::MAX, 100).await.expect("finds");
    assert_eq!(due.len(), payments.len());
    assert_eq!(store.transfers_to_reverse(CHAIN, 100).await.expect("finds").len(), 0);
    let probes = payments.iter().map(|paid| AttributionProbe::of(paid, None));
    let found = store.orders_for(probes.collect()).await.expect("finds");
    assert_eq!(found.len(), payments.len());
    let named = AttributionProbe::of(&payments[0], Some(found[0].order.terms.reference));
    let probe = AttributionProbe { base_units: U256::from(1), ..named };
    assert_eq!(store.orders_for(vec![probe]).await.expect("finds").len(), 1);
    store.canonical_hashes(CHAIN, vec![payments[0].block.number]).await.expect("reads");
    assert!(store.oldest_unsettled_time(CHAIN).await.expect("reads").is_some());
    assert!(store.has_orders_before(CHAIN, block_time(1)).await.expect("reads"));
    let late = Timestamp::from_micros(0);
    assert_eq!(store.orders_to_close(CHAIN, late, 10).await.expect("finds").len(), 0);
    assert_eq!(store.lots_to_expire(late, 10).await.expect("finds").len(), 0);
    assert_eq!(store.subscriptions_due(late, None, 10).await.expect("finds").len(), 0);
    let sample = RateSample {
        source: "feed".to_owned(),
        kind: SourceKind::Feed,
        rate: "1".parse().expect("a rate"),
        observed_at: payments[0].block.time,
        valid_until: None,
    };
    store.save_rates(vec![(usdt(), sample)]).await.expect("keeps");
    let rates = store.rates_at(vec![(usdt(), Timestamp::FAR)]).await.expect("finds");
    assert!(rates[0].is_some());
}

/// What is read and done after a batch.
async fn look(world: &World, first: u64, payments: &[Transfer]) {
    let store = &world.postgres;
    let order = terms_of(first);
    assert_eq!(
        store.free_slots(CHAIN, u64::MAX, Timestamp::from_micros(0), 1_000).await.expect("frees"),
        EACH
    );
    assert!(store.order(order.id).await.expect("reads").is_some());
    assert!(store.quote(order.quote).await.expect("reads").is_some());
    let of_account = OrderFilter { account: Some(order.account.clone()) };
    assert_eq!(store.orders(of_account, PAGE).await.expect("lists").len(), 1);
    assert_eq!(store.orders(OrderFilter::default(), PAGE).await.expect("lists").len(), 20);
    assert!(store.transfer(payments[0].key.id()).await.expect("reads").is_some());
    let payer = (CHAIN, payments[0].counterparty);
    let filters = [
        (TransferFilter { tx_hash: Some(payments[0].key.tx_hash), ..Default::default() }, 1),
        (TransferFilter { order: Some(order.id), ..Default::default() }, 1),
        (TransferFilter { account: Some(order.account.clone()), ..Default::default() }, 1),
        (TransferFilter { suspense_only: true, ..Default::default() }, 0),
        (TransferFilter { payer: Some(payer), ..Default::default() }, 20),
        (TransferFilter::default(), 20),
    ];
    for (filter, expected) in filters {
        let listed = store.transfers(filter, PAGE).await.expect("lists");
        assert_eq!(listed.len(), expected);
    }
    assert_eq!(store.lots(&order.account).await.expect("lists").len(), 1);
    assert_eq!(
        store.history(&order.account, HistoryFilter::default(), PAGE).await.expect("lists").len(),
        1
    );
    assert!(store.account(&order.account).await.expect("reads").is_some());
    store.accounts(Some(order.account.clone()), 20).await.expect("lists");
    assert_eq!(store.events(Some(&order.account), 0, 20).await.expect("lists").len(), 1);
    let after = i64::try_from(first).expect("small");
    assert_eq!(store.events(None, after, 20).await.expect("lists").len(), 20);
    assert_eq!(store.entries(after, 20).await.expect("lists").len(), 20);
}

#[derive(Debug, Default)]
struct Reads {
    scans: i64,
    index_rows: BTreeMap<String, i64>,
}

/// What was read of each table, once every connection has told.
async fn reads(world: &World) -> BTreeMap<String, Reads> {
    let mut raw = world.raw().await;
    let others = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() \
         AND backend_type = 'client backend'";
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    let alone = async {
        while sqlx::query(others).fetch_optional(&mut raw).await.expect("looks").is_some() {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), alone).await.expect("the connections end");
    let rows = sqlx::query(
        "SELECT t.relname::text, t.seq_scan, i.indexrelname::text, i.idx_tup_read \
         FROM pg_stat_user_tables t JOIN pg_stat_user_indexes i ON i.relid = t.relid",
    )
    .fetch_all(&mut raw)
    .await
    .expect("reads");
    let mut reads: BTreeMap<String, Reads> = BTreeMap::new();
    for row in rows {
        let read = reads.entry(row.get(0)).or_default();
        read.scans = row.get(1);
        read.index_rows.insert(row.get(2), row.get(3));
    }
    reads
}

#[tokio::test]
async fn no_loop_reads_a_whole_table() {
    let world = World::fresh().await;
    let mut follower = Follower::new(&world.store);
    for round in 0..ROUNDS {
        turn(&world, &mut follower, round).await;
    }
    world.postgres.close().await;
    let read = reads(&world).await;
    for table in LARGE {
        let Reads { scans, index_rows } = &read[table];
        assert_eq!(*scans, 0, "{table} was scanned; all reads: {read:#?}");
        // A loop that reads a whole index reads, on average, half of the final rows in each round.
        let whole_in_each_round = i64::try_from(ROUNDS * ROUNDS * EACH / 2).expect("small");
        let most = index_rows.values().copied().max().unwrap_or(0);
        assert!(most < whole_in_each_round / 2, "{table}: {most} rows; all reads: {read:#?}");
    }
}
