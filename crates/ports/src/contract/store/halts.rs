//! Facts of halts: of which assets nothing is credited.

use std::sync::Arc;

use inspay_ledger::{Outcome, Refusal};
use inspay_primitives::{
    Address, AssetId, CaseClosing, CaseKind, CaseOpening, ChainId, Fence, FencingNumber,
    OrderTerms, Transfer, TransferId, U256,
};

use crate::{
    AssetHalt, CaseFilter, HaltsCommit, LeaseClaim, Page, Store, StoreErrorKind,
    contract::{
        samples::{
            CHAIN, Follower, applied, block, block_time, inspi, ordered, ordered_as, paid, terms,
            treasury, usdt,
        },
        teller::{close, reverse, settle_alone, settle_for, write, write_fresh},
    },
};

const OTHER: Address = Address::repeat_byte(0x88);

fn halt(asset: AssetId, treasury: Address, since: u64, why: &str) -> AssetHalt {
    let halted_at = block_time(since);
    AssetHalt { asset, treasury, halted_at, found_at: since, why: why.to_owned() }
}

fn nothing() -> HaltsCommit {
    HaltsCommit {
        fence: Fence { chain_id: CHAIN, number: FencingNumber::UNLEASED },
        halted: Vec::new(),
        lifted: Vec::new(),
        resolved: Vec::new(),
        opened: Vec::new(),
    }
}

async fn begin(store: &Arc<dyn Store>, halts: Vec<AssetHalt>) {
    store.commit_halts(HaltsCommit { halted: halts, ..nothing() }).await.expect("halts");
}

async fn lift(store: &Arc<dyn Store>, asset: AssetId, treasury: Address) {
    let lifted = vec![(asset, treasury)];
    store.commit_halts(HaltsCommit { lifted, ..nothing() }).await.expect("lifts");
}

async fn halts(store: &Arc<dyn Store>) -> Vec<AssetHalt> {
    store.halts(CHAIN).await.expect("reads")
}

async fn to_settle(store: &Arc<dyn Store>) -> Vec<TransferId> {
    let found = store.transfers_to_settle(CHAIN, None, u64::MAX, 99).await.expect("finds");
    found.iter().map(|record| record.transfer.key.id()).collect()
}

/// A halt begins once and ends; one that begins again keeps its beginning and takes the rest.
pub async fn a_halt_is_kept_by_asset_and_treasury(store: &Arc<dyn Store>) {
    assert_eq!(halts(store).await, []);
    let first = halt(usdt(), treasury(), 1, "5 are missing");
    let elsewhere = AssetId { chain_id: ChainId(7), contract: usdt().contract };
    let second = halt(usdt(), OTHER, 2, "6 are missing");
    begin(store, vec![second.clone(), first.clone(), halt(elsewhere, OTHER, 2, "other")]).await;
    assert_eq!(halts(store).await, [first.clone(), second.clone()]);
    begin(store, vec![halt(usdt(), treasury(), 9, "7 are missing")]).await;
    let first = AssetHalt { found_at: 9, why: "7 are missing".to_owned(), ..first };
    assert_eq!(halts(store).await, [first, second.clone()]);
    lift(store, usdt(), treasury()).await;
    lift(store, inspi(), OTHER).await;
    assert_eq!(halts(store).await, [second]);
    assert_eq!(store.halts(ChainId(7)).await.expect("reads").len(), 1);
}

/// Transfers and orders of a halted asset wait until the last of its halts has ended; nothing else does.
pub async fn what_is_of_a_halted_asset_waits(store: &Arc<dyn Store>) {
    let held = OrderTerms { deadline: block_time(1), ..terms(1) };
    let free = OrderTerms { asset: inspi(), deadline: block_time(1), ..terms(2) };
    ordered_as(store, held.clone()).await;
    ordered_as(store, free.clone()).await;
    let waits = paid(1, usdt(), U256::from(1), block("a", 1), 0);
    let goes_on = paid(2, inspi(), U256::from(2), block("a", 2), 0);
    let mut follower = Follower::new(store);
    follower.extend(vec![applied(block("a", 1), vec![waits])]).await;
    follower.extend(vec![applied(block("a", 2), vec![goes_on])]).await;
    let due = async || {
        let due = store.orders_to_close(CHAIN, block_time(900), 9).await.expect("finds");
        (due.contains(&held.id), due.contains(&free.id))
    };
    let oldest = async || store.oldest_unsettled_time(CHAIN).await.expect("reads");
    let (waits, goes_on) = (waits.key.id(), goes_on.key.id());
    for _ in 0..2 {
        assert_eq!(to_settle(store).await, [waits, goes_on]);
        assert_eq!(store.halted_transfers(CHAIN, 9).await.expect("finds"), []);
        assert_eq!((due().await, oldest().await), ((true, true), Some(block_time(1))));
        begin(store, vec![halt(usdt(), treasury(), 1, "a"), halt(usdt(), OTHER, 1, "b")]).await;
        for left in [treasury(), OTHER] {
            assert_eq!(to_settle(store).await, [goes_on]);
            let halted = store.halted_transfers(CHAIN, 9).await.expect("finds");
            assert_eq!(halted.iter().map(|one| one.transfer.key.id()).collect::<Vec<_>>(), [waits]);
            assert_eq!((due().await, oldest().await), ((false, true), Some(block_time(2))));
            lift(store, usdt(), left).await;
        }
    }
}

/// What was planned before a halt is refused after it, alone; what left the chain is taken back all the same.
pub async fn nothing_of_a_halted_asset_is_posted(store: &Arc<dyn Store>) {
    let (order, later) = (ordered(store, 1).await, ordered(store, 2).await);
    let pays = |number, order: &OrderTerms, at| paid(number, usdt(), order.due_base_units, at, 0);
    let first = pays(1, &order, block("a", 1));
    let second = pays(2, &later, block("a", 2));
    let other = paid(3, inspi(), U256::from(3), block("a", 3), 0);
    let mut follower = Follower::new(store);
    let added = [(1, first), (2, second), (3, other)];
    let added = added.map(|(number, paid)| applied(block("a", number), vec![paid]));
    follower.extend(added.to_vec()).await;
    write_fresh(store, vec![settle_for(&first, 0, &order)], block_time(9)).await;
    begin(store, vec![halt(usdt(), treasury(), 1, "5 are missing")]).await;
    let planned = vec![
        settle_for(&second, 0, &later),
        settle_alone(&other, 0),
        close(&later, block_time(900)),
    ];
    let written = write(store, planned.clone(), block_time(10)).await;
    let refused = Outcome::Refused(Refusal::AssetHalted);
    assert_eq!((&written.outcomes[0], &written.outcomes[2]), (&refused, &refused));
    assert!(matches!(written.outcomes[1], Outcome::Applied { .. }), "{:?}", written.outcomes);
    assert_eq!(written.loaded.halted, [usdt()].into());
    let left = [block("a", 1), block("a", 2), block("a", 3)];
    let back = |paid: Transfer| Transfer { block: block("b", paid.block.number), ..paid };
    let added = vec![applied(block("b", 1), vec![]), applied(block("b", 2), vec![back(second)])];
    follower.swap(&left, [added, vec![applied(block("b", 3), vec![back(other)])]].concat()).await;
    write_fresh(store, vec![reverse(&first, 0), reverse(&other, 0)], block_time(11)).await;
    lift(store, usdt(), treasury()).await;
    let settle = vec![settle_for(&back(second), 0, &later), settle_alone(&back(other), 1)];
    let written = write_fresh(store, settle, block_time(12)).await;
    assert!(written.loaded.halted.is_empty());
}

/// Halts and their cases are one commit, refused whole under a holding that is not the present one.
pub async fn halts_are_fenced_with_their_cases(store: &Arc<dyn Store>) {
    let opening = CaseOpening {
        kind: CaseKind::BalanceDifference,
        subject: "usdt".to_owned(),
        opened_at: block_time(1),
        body_json: "{}".to_owned(),
    };
    let listed = async || {
        let page = Page { after: None, limit: 9 };
        store.cases(CaseFilter::default(), page).await.expect("lists")
    };
    let claim = LeaseClaim {
        chain_id: CHAIN,
        holder: "a".to_owned(),
        ttl: std::time::Duration::from_secs(3_600),
        from_dead: None,
    };
    let number = store.take_lease(claim).await.expect("asks").expect("is free");
    let halted = vec![halt(usdt(), treasury(), 1, "5 are missing")];
    let begins = HaltsCommit { halted, opened: vec![opening.clone()], ..nothing() };
    for wrong in [FencingNumber::UNLEASED, number.next()] {
        let fence = Fence { chain_id: CHAIN, number: wrong };
        let stale = HaltsCommit { fence, ..begins.clone() };
        let error = store.commit_halts(stale).await.expect_err("is fenced");
        assert!(matches!(error.kind, StoreErrorKind::Fenced), "{error:?}");
        assert_eq!((halts(store).await, listed().await), (vec![], vec![]));
    }
    let fence = Fence { chain_id: CHAIN, number };
    store.commit_halts(HaltsCommit { fence, ..begins.clone() }).await.expect("halts");
    assert_eq!((halts(store).await.len(), listed().await.len()), (1, 1));
    let closing = CaseClosing {
        kind: opening.kind,
        subject: opening.subject.clone(),
        resolved_at: block_time(2),
        resolution: "block 5 was read again".to_owned(),
    };
    let (lifted, resolved) = (vec![(usdt(), treasury())], vec![closing]);
    // A case that is over may be opened anew in the same commit.
    let opened = vec![CaseOpening { opened_at: block_time(2), ..opening }];
    let ends = HaltsCommit { fence, lifted, resolved, opened, ..nothing() };
    store.commit_halts(ends).await.expect("lifts");
    assert_eq!(halts(store).await, []);
    let resolved: Vec<_> = listed().await.into_iter().map(|case| case.resolved).collect();
    assert_eq!(resolved, [None, Some((block_time(2), "block 5 was read again".to_owned()))]);
}

/// Halting and writing the books at once: what is written is written before the halt is there, or never.
pub async fn a_halt_waits_for_what_is_under_way(store: &Arc<dyn Store>) {
    let mut follower = Follower::new(store);
    for round in 1..=12u64 {
        let at = block("a", round);
        let payment = paid(round, usdt(), U256::from(round), at, 0);
        follower.extend(vec![applied(at, vec![payment])]).await;
        let writing = {
            let store = Arc::clone(store);
            let settle = vec![settle_alone(&payment, 0)];
            tokio::spawn(async move { write(&store, settle, block_time(round + 50)).await })
        };
        if round % 2 == 0 {
            tokio::task::yield_now().await;
        }
        begin(store, vec![halt(usdt(), treasury(), round, "5 are missing")]).await;
        let settled_before = {
            let view = store.transfer(payment.key.id()).await.expect("reads").expect("is there");
            view.settlement.is_some()
        };
        let written = writing.await.expect("ends");
        let is_applied = matches!(written.outcomes[0], Outcome::Applied { .. });
        assert_eq!(is_applied, settled_before, "{:?}", written.outcomes);
        lift(store, usdt(), treasury()).await;
        if !settled_before {
            write_fresh(store, vec![settle_alone(&payment, 0)], block_time(round + 50)).await;
        }
    }
}
