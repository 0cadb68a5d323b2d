//! The worker, step by step.

use std::collections::HashMap;

use inspay_ledger::{Outcome, SettlementKind, Subscription};
use inspay_ports::{
    Agreement, AssetHalt, ChainTags, HaltsCommit,
    contract::{samples, teller::write},
};
use inspay_primitives::{
    AccountId, BlockRef, Clock as _, Cycle, Fence, FencingNumber, OrderState, OrderTerms,
    SubscriptionId, Timestamp, Transfer, U256,
};
use inspay_settlement::{AgreementRule, StepReport, Wanting, WorkerSettings};

use crate::world::{World, applied, block, payment, world, world_with};

#[tokio::test]
async fn a_chain_that_was_never_followed_is_left_alone() {
    let world = world();
    assert_eq!(world.step().await, StepReport::default());
}

#[tokio::test]
async fn a_payment_waits_for_its_confirmations_and_is_settled_once() {
    let mut world = world();
    let order = samples::ordered(&world.store, 1).await;
    let paid = payment(1, &order, order.due_base_units, block("a", 5));
    world.follower.extend(vec![applied(block("a", 5), vec![paid])]).await;
    assert!(!world.step().await.did_something());
    world.empty("a", 6..=6).await;
    assert_eq!(world.step().await.settled, 1);
    assert_eq!(world.state(&order).await, OrderState::Paid);
    assert!(!world.step().await.did_something());
    world.must_hold().await;
}

#[tokio::test]
async fn large_payments_wait_longer_and_do_not_hold_up_small_ones() {
    let mut world = world();
    let order = samples::ordered(&world.store, 1).await;
    let large = payment(1, &order, U256::from(30_000_000), block("a", 5));
    let second = samples::ordered(&world.store, 2).await;
    let small = payment(2, &second, second.due_base_units, block("a", 6));
    world
        .follower
        .extend(vec![applied(block("a", 5), vec![large]), applied(block("a", 6), vec![small])])
        .await;
    world.empty("a", 7..=7).await;
    assert_eq!(world.step().await.settled, 1);
    assert_eq!(world.state(&order).await, OrderState::Open);
    assert_eq!(world.state(&second).await, OrderState::Paid);
    world.empty("a", 8..=8).await;
    assert_eq!(world.step().await.settled, 1);
    assert_eq!(world.state(&order).await, OrderState::Paid);
    world.must_hold().await;
}

#[tokio::test]
async fn a_payment_that_left_is_taken_back_and_settled_again_when_it_returns() {
    let mut world = world();
    let order = samples::ordered(&world.store, 1).await;
    let paid = payment(1, &order, order.due_base_units, block("a", 5));
    world.empty("a", 4..=4).await;
    world
        .follower
        .extend(vec![applied(block("a", 5), vec![paid]), applied(block("a", 6), Vec::new())])
        .await;
    assert_eq!(world.step().await.settled, 1);
    let left = [block("a", 5), block("a", 6)];
    world.follower.swap(&left, vec![applied(block("b", 5), Vec::new())]).await;
    let report = world.step().await;
    assert_eq!((report.reversed, report.settled), (1, 0));
    assert_eq!(world.state(&order).await, OrderState::Open);
    let again = samples::seen_again(paid, block("b", 6), 3);
    world.follower.extend(vec![applied(block("b", 6), vec![again])]).await;
    world.empty("b", 7..=7).await;
    assert_eq!(world.step().await.settled, 1);
    assert_eq!(world.state(&order).await, OrderState::Paid);
    world.must_hold().await;
}

#[tokio::test]
async fn an_order_is_closed_by_chain_time_and_not_while_a_payment_in_time_is_pending() {
    let mut world = world();
    let order = samples::ordered(&world.store, 1).await;
    let in_time = u64::try_from(order.in_time_until().seconds()).expect("positive");
    let at = |number: u64, seconds: u64| BlockRef {
        time: Timestamp::from_chain_seconds(seconds),
        ..block("a", number)
    };
    world.follower.extend(vec![applied(at(5, in_time), Vec::new())]).await;
    // The gateway's own clock is far ahead: it must not count.
    world.clock.set(order.deadline.plus_seconds(86_400));
    assert_eq!(world.step().await.closed, 0);
    let paid = payment(1, &order, order.due_base_units, at(6, in_time));
    world.follower.extend(vec![applied(at(6, in_time), vec![paid])]).await;
    let last = payment(2, &order, U256::from(30_000_000), at(7, in_time));
    world.follower.extend(vec![applied(at(7, in_time), vec![last])]).await;
    let report = world.step().await;
    assert_eq!((report.settled, report.closed), (1, 0));
    let second = samples::ordered(&world.store, 2).await;
    world.follower.extend(vec![applied(at(8, in_time + 100), Vec::new())]).await;
    assert_eq!(world.step().await.closed, 0, "a transfer in time is still pending");
    world
        .follower
        .extend(vec![
            applied(at(9, in_time + 200), Vec::new()),
            applied(at(10, in_time + 300), Vec::new()),
        ])
        .await;
    let report = world.step().await;
    assert_eq!(report.settled, 1);
    let report = if report.closed == 0 { world.step().await } else { report };
    assert_eq!(report.closed, 1);
    assert_eq!(world.state(&second).await, OrderState::Expired);
    world.must_hold().await;
}

#[tokio::test]
async fn a_branch_that_comes_before_an_order_is_closed_keeps_it_open_for_a_payment_in_time() {
    let mut world = world();
    let order = samples::ordered(&world.store, 1).await;
    let in_time = u64::try_from(order.in_time_until().seconds()).expect("positive");
    let at = |branch: &str, number: u64, later: u64| BlockRef {
        time: Timestamp::from_chain_seconds(in_time + later),
        ..block(branch, number)
    };
    world.follower.extend(vec![applied(at("a", 5, 0), Vec::new())]).await;
    world.follower.extend(vec![applied(at("a", 6, 100), Vec::new())]).await;
    let paid = payment(1, &order, order.due_base_units, at("b", 6, 0));
    let branch = vec![applied(at("b", 6, 0), vec![paid]), applied(at("b", 7, 100), Vec::new())];
    let swap = world.follower.commit_of(&[at("a", 6, 100)], branch);
    *world.before.lock().expect("a lock") = Some(swap);
    let report = world.step().await;
    assert_eq!((report.closed, report.refused), (0, 1));
    assert_eq!(world.state(&order).await, OrderState::Open);
    assert_eq!(world.step().await.settled, 1);
    assert_eq!(world.state(&order).await, OrderState::Paid);
    world.must_hold().await;
}

#[tokio::test]
async fn lapsed_lots_are_booked() {
    let mut world = world();
    let order = samples::ordered(&world.store, 1).await;
    let paid = payment(1, &order, order.due_base_units, block("a", 5));
    world.follower.extend(vec![applied(block("a", 5), vec![paid])]).await;
    world.empty("a", 6..=6).await;
    assert_eq!(world.step().await.settled, 1);
    world.clock.advance_seconds(31 * 86_400);
    assert_eq!(world.step().await.expired, 1);
    let summary = world.store.account(&order.account).await.expect("reads").expect("an account");
    assert!(summary.posted.is_zero());
    world.must_hold().await;
}

/// Three payments in block 5, deep enough, one a batch: when the first is settled, the second is planned.
async fn planned_ahead() -> (World, [OrderTerms; 3], [Transfer; 3]) {
    let mut world = world_with(WorkerSettings { batch_transfers: 1, ..WorkerSettings::default() });
    let mut orders = Vec::new();
    let mut payments = Vec::new();
    for number in 1..=3 {
        let order = samples::ordered(&world.store, number).await;
        let log_index = u32::try_from(number).expect("small");
        let paid = payment(number, &order, order.due_base_units, block("a", 5));
        payments.push(Transfer { log_index, ..paid });
        orders.push(order);
    }
    world.empty("a", 4..=4).await;
    world.follower.extend(vec![applied(block("a", 5), payments.clone())]).await;
    world.empty("a", 6..=6).await;
    assert_eq!(world.step().await.settled, 1);
    (world, orders.try_into().expect("three"), payments.try_into().expect("three"))
}

#[tokio::test]
async fn batches_follow_one_another_until_none_is_left() {
    let (world, orders, _) = planned_ahead().await;
    assert_eq!(world.step().await.settled, 1);
    assert_eq!(world.step().await.settled, 1);
    assert!(!world.step().await.did_something());
    for order in &orders {
        assert_eq!(world.state(order).await, OrderState::Paid);
    }
    world.must_hold().await;
}

#[tokio::test]
async fn what_was_planned_for_another_branch_is_planned_anew() {
    let (mut world, orders, payments) = planned_ahead().await;
    // The second one is mined again, but not deep enough yet.
    let again = samples::seen_again(payments[1], block("b", 7), 0);
    let left = [block("a", 5), block("a", 6)];
    let branch = vec![
        applied(block("b", 5), Vec::new()),
        applied(block("b", 6), Vec::new()),
        applied(block("b", 7), vec![again]),
    ];
    world.follower.swap(&left, branch).await;
    let report = world.step().await;
    assert_eq!((report.reversed, report.settled), (1, 0), "{report:?}");
    for order in &orders {
        assert_eq!(world.state(order).await, OrderState::Open);
    }
    world.empty("b", 8..=8).await;
    assert_eq!(world.step().await.settled, 1);
    assert_eq!(world.state(&orders[1]).await, OrderState::Paid);
    world.must_hold().await;
}

/// A world whose worker asks for two of three endpoints' word above 20 tokens.
fn world_of_three() -> World {
    let mut world = world();
    let rule = AgreementRule { above_base_units: U256::from(20_000_000), agreeing_min: 2 };
    world.worker = world.worker.with_agreements(HashMap::from([(samples::usdt(), rule)]));
    world
}

fn of_three(agreeing: u32, contradiction: Option<&str>) -> Agreement {
    Agreement { agreeing, asked: 3, contradiction: contradiction.map(str::to_owned) }
}

#[tokio::test]
async fn a_large_payment_waits_for_its_endpoints_and_holds_up_no_other() {
    let mut world = world_of_three();
    let large = samples::paid(1, samples::usdt(), U256::from(20_000_001), block("a", 5), 0);
    let small = samples::paid(2, samples::usdt(), U256::from(20_000_000), block("a", 5), 1);
    world.follower.extend(vec![applied(block("a", 5), vec![large, small])]).await;
    world.empty("a", 6..=9).await;
    let says = |agreement: Agreement| {
        world.chain.change_faults(|faults| {
            faults.agreements.insert(large.key.tx_hash, agreement);
        });
    };
    says(of_three(1, None));
    assert_eq!(world.step().await.settled, 1);
    let waiting = world.worker.awaiting_agreement();
    let wanting = Wanting::TooFew { agreeing: 1, needed: 2, asked: 3 };
    assert_eq!(waiting, [(large.key.id(), wanting)]);
    // Not asked again at once.
    assert_eq!((world.step().await.settled, world.chain.calls().agreed), (0, 1));
    world.clock.advance_seconds(5);
    assert_eq!((world.step().await.settled, world.chain.calls().agreed), (0, 2));
    // Nobody can be asked: it waits, and nothing fails.
    world.chain.change_faults(|faults| faults.unreachable = true);
    world.clock.advance_seconds(5);
    assert_eq!(world.step().await.settled, 0);
    let waiting = world.worker.awaiting_agreement();
    assert!(matches!(waiting[0].1, Wanting::Unasked(_)), "{waiting:?}");
    world.chain.change_faults(|faults| faults.unreachable = false);
    // Two agree, and the one that contradicts is outvoted.
    says(of_three(2, Some("the third has it elsewhere")));
    world.clock.advance_seconds(5);
    assert_eq!(world.step().await.settled, 1);
    assert_eq!(world.worker.awaiting_agreement(), []);
    world.must_hold().await;
}

#[tokio::test]
async fn a_large_payment_that_leaves_the_chain_waits_no_more() {
    let mut world = world_of_three();
    let large = samples::paid(1, samples::usdt(), U256::from(30_000_000), block("a", 5), 0);
    world.follower.extend(vec![applied(block("a", 5), vec![large])]).await;
    world.empty("a", 6..=9).await;
    world.chain.change_faults(|faults| {
        faults.agreements.insert(large.key.tx_hash, of_three(0, Some("it is elsewhere")));
    });
    assert_eq!(world.step().await.settled, 0);
    assert_eq!(world.worker.awaiting_agreement().len(), 1);
    let other = (5..=9).map(|number| applied(block("b", number), Vec::new())).collect();
    let gone: Vec<BlockRef> = (5..=9).map(|number| block("a", number)).collect();
    world.follower.swap(&gone, other).await;
    assert_eq!(world.step().await.settled, 0);
    assert_eq!(world.worker.awaiting_agreement(), []);
}

#[tokio::test]
async fn confirmations_are_not_counted_under_the_head_of_another_branch() {
    let mut world = world();
    let order = samples::ordered(&world.store, 1).await;
    let second = samples::ordered(&world.store, 2).await;
    let paid = payment(1, &order, order.due_base_units, block("a", 5));
    world.empty("a", 4..=4).await;
    world.follower.extend(vec![applied(block("a", 5), vec![paid])]).await;
    world.empty("a", 6..=6).await;
    assert_eq!(world.step().await.settled, 1);
    let empty = |branch, number| applied(block(branch, number), Vec::new());
    let left = [block("a", 5), block("a", 6)];
    world.follower.swap(&left, (5..=8).map(|number| empty("b", number)).collect()).await;
    // While the first payment is taken back, a shorter branch comes, with another in its head.
    let fresh = payment(2, &second, second.due_base_units, block("c", 6));
    let left: Vec<BlockRef> = (5..=8).map(|number| block("b", number)).collect();
    let branch = vec![empty("c", 5), applied(block("c", 6), vec![fresh])];
    let commit = world.follower.commit_of(&left, branch);
    *world.meanwhile.lock().expect("a lock") = Some(commit);
    let report = world.step().await;
    assert_eq!((report.reversed, report.settled), (1, 0), "{report:?}");
    assert_eq!(world.step().await.settled, 0);
    assert_eq!(world.state(&second).await, OrderState::Open);
    world.must_hold().await;
}

#[tokio::test]
async fn an_amount_stays_held_while_its_payment_is_to_be_taken_back() {
    let mut world = world_with(WorkerSettings { batch_transfers: 1, ..WorkerSettings::default() });
    let mut orders = Vec::new();
    let mut payments = Vec::new();
    for number in 1..=2 {
        let order = samples::ordered(&world.store, number).await;
        let paid = payment(number, &order, order.due_base_units, block("a", 5));
        let log_index = u32::try_from(number).expect("small");
        payments.push(Transfer { log_index, reference: Some(None), ..paid });
        orders.push(order);
    }
    world.empty("a", 4..=4).await;
    world.follower.extend(vec![applied(block("a", 5), payments.clone())]).await;
    world.empty("a", 6..=6).await;
    assert_eq!((world.step().await.settled, world.step().await.settled), (1, 1));
    // Both are mined again and final at once; one of them is taken back in a step.
    let again =
        payments.iter().zip(0..).map(|(paid, log)| samples::seen_again(*paid, block("b", 5), log));
    let branch = vec![applied(block("b", 5), again.collect()), applied(block("b", 6), Vec::new())];
    world.follower.tags = ChainTags { safe_number: 6, finalized_number: 6 };
    world.follower.swap(&[block("a", 5), block("a", 6)], branch).await;
    while world.step().await.did_something() {}
    for order in &orders {
        assert_eq!(world.state(order).await, OrderState::Paid);
    }
    world.must_hold().await;
}

#[tokio::test]
async fn what_is_of_a_halted_asset_is_settled_in_time_once_it_is_whole_and_holds_nothing_else_up() {
    let mut world = world();
    let order = samples::ordered(&world.store, 1).await;
    let other = OrderTerms { asset: samples::inspi(), ..samples::terms(2) };
    let other = samples::ordered_as(&world.store, other).await;
    let in_time = u64::try_from(order.in_time_until().seconds()).expect("positive");
    let at = |number: u64, seconds: u64| BlockRef {
        time: Timestamp::from_chain_seconds(seconds),
        ..block("a", number)
    };
    let paid = payment(1, &order, order.due_base_units, at(5, in_time));
    world.follower.extend(vec![applied(at(5, in_time), vec![paid])]).await;
    let nothing = HaltsCommit {
        fence: Fence { chain_id: samples::CHAIN, number: FencingNumber::UNLEASED },
        halted: Vec::new(),
        lifted: Vec::new(),
        resolved: Vec::new(),
        opened: Vec::new(),
    };
    let halt = AssetHalt {
        asset: samples::usdt(),
        treasury: samples::treasury(),
        halted_at: samples::block_time(5),
        found_at: 5,
        why: "5 are missing".to_owned(),
    };
    let begins = HaltsCommit { halted: vec![halt], ..nothing.clone() };
    world.store.commit_halts(begins).await.expect("halts");
    for (number, later) in [(6, 3_600), (7, 86_400)] {
        world.follower.extend(vec![applied(at(number, in_time + later), Vec::new())]).await;
    }
    // Both orders' time has passed: what came in time for one of them waits, and it alone.
    let report = world.step().await;
    assert_eq!((report.settled, report.closed, report.refused), (0, 1, 0));
    assert_eq!(world.state(&order).await, OrderState::Open);
    assert_eq!(world.state(&other).await, OrderState::Expired);
    assert!(!world.step().await.did_something());
    let ends = HaltsCommit { lifted: vec![(samples::usdt(), samples::treasury())], ..nothing };
    world.store.commit_halts(ends).await.expect("lifts");
    assert_eq!(world.step().await.settled, 1);
    assert_eq!(world.state(&order).await, OrderState::Paid);
    let view = world.store.transfer(paid.key.id()).await.expect("reads").expect("is there");
    assert_eq!(view.settlement.map(|settled| settled.kind), Some(SettlementKind::Order));
    world.must_hold().await;
}

/// A subscription of 100 credits every 30 days that can be spent in their cycle alone.
fn subscription(account: &AccountId, opened_at: Timestamp) -> Subscription {
    Subscription {
        id: SubscriptionId::generate(),
        account: account.clone(),
        plan: "pro".parse().expect("a label"),
        credits: "100".parse().expect("credits"),
        every: Cycle::Days(30),
        keeps_cycles: 0,
        priority: 40,
        opened_at,
        next_cycle: 0,
        next_at: Some(opened_at),
        ended_at: None,
    }
}

#[tokio::test]
async fn each_cycle_of_a_subscription_is_granted_once() {
    let mut world = world();
    let account = samples::ordered(&world.store, 1).await.account;
    world.empty("a", 5..=6).await;
    let opened = subscription(&account, world.clock.now());
    world.store.open_subscription(opened.clone()).await.expect("keeps");
    let lots = async |world: &World| world.store.lots(&account).await.expect("reads").len();
    assert_eq!(world.step().await.granted, 1);
    assert_eq!(world.step().await.granted, 0);
    // Cycle 0 has lapsed when the next one begins; two that nobody could have spent any more are passed over.
    world.clock.advance_seconds(30 * 86_400);
    let report = world.step().await;
    assert_eq!((report.expired, report.granted), (1, 1));
    world.clock.advance_seconds(3 * 30 * 86_400);
    assert_eq!(world.step().await.granted, 1);
    assert_eq!(lots(&world).await, 1);
    let kept = world.store.subscription(opened.id).await.expect("reads").expect("is there");
    assert_eq!((kept.next_cycle, kept.next_at), (5, Some(opened.begins(5))));
    // A process that dies between the books and the note asks for the same cycle again.
    world.clock.advance_seconds(30 * 86_400);
    let renewal = kept.due(world.clock.now(), 10).expect("is due");
    let outcomes = write(&world.store, renewal.operations().collect(), world.clock.now()).await;
    assert!(matches!(outcomes.outcomes[..], [Outcome::Applied { .. }]));
    let report = world.step().await;
    assert_eq!((report.granted, report.refused), (0, 0));
    let kept = world.store.subscription(opened.id).await.expect("reads").expect("is there");
    assert_eq!(kept.next_cycle, 6);
    assert_eq!(lots(&world).await, 1);
    // None begins after the end.
    world.store.end_subscription(opened.id, world.clock.now()).await.expect("ends");
    world.clock.advance_seconds(60 * 86_400);
    assert_eq!(world.step().await.granted, 0);
    world.must_hold().await;
}

#[tokio::test]
async fn two_workers_grant_a_cycle_once() {
    let mut world = world();
    let account = samples::ordered(&world.store, 1).await.account;
    world.empty("a", 5..=6).await;
    let other = world.neighbour();
    let opened = subscription(&account, world.clock.now());
    world.store.open_subscription(opened.clone()).await.expect("keeps");
    for cycle in 0..5 {
        // Each reads what is due before the other has noted anything.
        let (one, two) = tokio::join!(world.step(), other.step());
        assert_eq!((one.refused, two.refused), (0, 0), "cycle {cycle}");
        let lots = world.store.lots(&account).await.expect("reads");
        let [lot] = lots.as_slice() else { panic!("cycle {cycle}: {lots:?}") };
        assert_eq!((lot.granted, lot.expires_at), (opened.credits, opened.begins(cycle + 1)));
        let kept = world.store.subscription(opened.id).await.expect("reads").expect("is there");
        assert_eq!(kept.next_cycle, cycle + 1);
        world.clock.advance_seconds(30 * 86_400);
    }
    world.must_hold().await;
}

#[tokio::test]
async fn renewals_that_are_refused_keep_nobody_waiting() {
    let mut world = world_with(WorkerSettings { batch_upkeep: 2, ..WorkerSettings::default() });
    let account = samples::ordered(&world.store, 1).await.account;
    world.empty("a", 5..=6).await;
    let now = world.clock.now();
    for number in 0..5_i64 {
        let nobody = format!("nobody-{number}").parse().expect("an account");
        let refused = subscription(&nobody, now.plus_seconds(number - 100));
        world.store.open_subscription(refused).await.expect("keeps");
    }
    let opened = subscription(&account, now);
    world.store.open_subscription(opened.clone()).await.expect("keeps");
    let mut told = Vec::new();
    for _ in 0..5 {
        let report = world.step().await;
        told.push((report.granted, report.refused));
    }
    // Pages of two; behind the last of them the first comes again.
    assert_eq!(told, [(0, 2), (0, 2), (1, 1), (0, 0), (0, 2)]);
    let kept = world.store.subscription(opened.id).await.expect("reads").expect("is there");
    assert_eq!(kept.next_cycle, 1);
    world.must_hold().await;
}
