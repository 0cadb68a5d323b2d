//! Books equal chain, or nothing further counts as whole.

use std::time::Duration;

use inspay_ports::{
    AppliedBlock, BlocksCommit, Chain as _, CursorRecord, FollowStore as _, Proof,
    fake::{ChainTx, FakeChain},
};
use inspay_primitives::{Address, B256, CaseKind, FencingNumber, Transfer, U256};
use inspay_watcher::{FollowedAsset, Stall, Stepped};

use crate::world::{AT_HEAD, BUYER, CHAIN, INSPI, TREASURY, USDT, World, asset, mint, pay, settle};

fn chain() -> FakeChain {
    FakeChain::new(CHAIN).with_token(USDT, "USDT", 6).with_token(INSPI, "INSPI", 18)
}

async fn failed_audit(world: &World) -> (inspay_watcher::Follower, Stall) {
    let mut follower = world.follower();
    for _ in 0..100 {
        if let Stepped::AuditFailed(stall) = follower.step().await.expect("steps") {
            return (follower, stall);
        }
    }
    panic!("no audit fails");
}

#[tokio::test]
async fn a_balance_that_no_transfer_explains_halts_its_asset_alone_and_names_it() {
    let world = World::on(chain().with_balance(USDT, TREASURY, U256::from(41)));
    for nonce in 0..150 {
        let other = ChainTx::transfer(1_000 + nonce, mint(INSPI, TREASURY, 3));
        world.chain.mine(vec![pay(nonce, 10), other]).expect("mines");
    }
    let (mut follower, stall) = failed_audit(&world).await;
    let expected = Stall::BooksDifferFromChain {
        symbol: "USDT".to_owned(),
        treasury: TREASURY,
        from: 0,
        to: 0,
        difference: "41".to_owned(),
    };
    assert_eq!(stall, expected);
    settle(&mut follower).await;
    let cursor = world.cursor().await;
    assert_eq!((cursor.tip.number, cursor.audited_to), (150, 150));
    assert_eq!(world.to_settle(INSPI).await, 150, "another asset goes on");
    let [halt] = &world.halts().await[..] else { panic!("one halt") };
    assert_eq!(
        (halt.asset.contract, halt.treasury, halt.why.clone()),
        (USDT, TREASURY, stall.to_string())
    );
    assert_eq!(world.to_settle(USDT).await, 0);
    let [case] = &world.cases().await[..] else { panic!("one case") };
    assert_eq!((case.opening.kind, &case.resolved), (CaseKind::BalanceDifference, &None));
    for fact in [
        r#""asset":"USDT""#,
        r#""from_block":0"#,
        r#""to_block":0"#,
        r#""compared_at_block":86"#,
        r#""expected_base_units":"860""#,
        r#""found_base_units":"901""#,
        r#""difference_base_units":"41""#,
    ] {
        assert!(case.opening.body_json.contains(fact), "{fact}: {}", case.opening.body_json);
    }

    let mut again = world.follower();
    let stepped = settle(&mut again).await;
    assert!(matches!(stepped, Stepped::AuditFailed(_)), "also after a restart: {stepped:?}");
    assert_eq!((world.halts().await.len(), world.cases().await.len()), (1, 1));
    assert_eq!(world.to_settle(USDT).await, 0);
}

#[tokio::test]
async fn a_token_that_begins_to_lie_is_caught_by_the_next_audit_and_released_when_it_is_whole() {
    let mut world = World::new();
    world.chain.set_tag_lags(0, 0);
    for nonce in 0..20 {
        world.chain.mine(vec![pay(nonce, 10)]).expect("mines");
    }
    let mut follower = world.follower();
    assert_eq!(settle(&mut follower).await, AT_HEAD);
    // From now on it moves what it does not log.
    world.chain.change_faults(|faults| {
        faults.moved_without_log.insert((USDT, TREASURY), (21, 7));
    });
    world.chain.mine(vec![pay(50, 10)]).expect("mines");
    assert_eq!(settle(&mut follower).await, AT_HEAD, "not before its time");
    assert_eq!(world.halts().await, []);
    world.clock.advance_seconds(599);
    assert_eq!(settle(&mut follower).await, AT_HEAD, "not before its time");
    world.clock.advance_seconds(1);
    let stepped = settle(&mut follower).await;
    let expected = Stall::BooksDifferFromChain {
        symbol: "USDT".to_owned(),
        treasury: TREASURY,
        from: 21,
        to: 21,
        difference: "7".to_owned(),
    };
    assert_eq!(stepped, Stepped::AuditFailed(expected));
    assert_eq!((world.halts().await.len(), world.to_settle(USDT).await), (1, 0));

    // Blocks are followed meanwhile, and nothing of the asset is credited.
    world.chain.mine(vec![pay(51, 10)]).expect("mines");
    settle(&mut follower).await;
    assert_eq!(world.cursor().await.audited_to, 22);
    assert_eq!(world.to_settle(USDT).await, 0);
    world.chain.change_faults(|faults| faults.moved_without_log.clear());
    world.clock.advance_seconds(31);
    assert_eq!(settle(&mut follower).await, AT_HEAD);
    assert_eq!((world.halts().await, world.to_settle(USDT).await), (vec![], 22));
    let [case] = &world.cases().await[..] else { panic!("one case") };
    let (_, resolution) = case.resolved.clone().expect("is resolved");
    assert_eq!(
        resolution,
        "books and chain are equal at the end of block 22: both say 220 base units"
    );
    world.settings.audit_interval = Duration::ZERO;
    assert!(matches!(world.follower().step().await.expect("steps"), Stepped::Audited { .. }));
    assert_eq!(world.cases().await.len(), 1);
}

#[tokio::test]
async fn a_halt_is_not_lifted_below_the_block_it_was_found_at() {
    let world = World::new();
    world.chain.set_tag_lags(0, 0);
    for nonce in 0..20 {
        world.chain.mine(vec![pay(nonce, 10)]).expect("mines");
    }
    world.chain.change_faults(|faults| {
        faults.moved_without_log.insert((USDT, TREASURY), (20, 7));
    });
    let (mut follower, _) = failed_audit(&world).await;
    assert_eq!(world.halts().await[0].found_at, 20);
    world.chain.change_faults(|faults| faults.moved_without_log.clear());
    let header = world.chain.block_at(20).expect("mined");
    // Somebody has it read again: until it has come as far, what is equal proves nothing.
    follower.rescan(Some(15)).await.expect("goes back");
    world.chain.change_faults(|faults| {
        faults.forgotten_blocks.insert(header.hash);
    });
    world.clock.advance_seconds(31);
    follower.audit_now().await.expect("compares");
    assert_eq!((world.cursor().await.tip.number, world.halts().await.len()), (14, 1));
    world.chain.change_faults(|faults| faults.forgotten_blocks.clear());
    world.clock.advance_seconds(31);
    settle(&mut follower).await;
    assert_eq!(world.halts().await, []);
    world.assert_followed().await;
}

#[tokio::test]
async fn what_the_settings_no_longer_compare_is_released() {
    let mut world = World::on(chain().with_balance(USDT, TREASURY, U256::from(41)));
    for nonce in 0..5 {
        world.chain.mine(vec![pay(nonce, 10)]).expect("mines");
    }
    failed_audit(&world).await;
    world.settings.assets[0].balance_proof = false;
    settle(&mut world.follower()).await;
    assert_eq!((world.halts().await, world.to_settle(USDT).await), (vec![], 5));
    let (_, resolution) = world.cases().await[0].resolved.clone().expect("is resolved");
    assert_eq!(resolution, "the settings no longer have it compared");
}

#[tokio::test]
async fn a_node_that_does_not_tell_balances_halts_nothing_that_was_proven() {
    let world = World::new();
    for nonce in 0..20 {
        world.chain.mine(vec![pay(nonce, 10)]).expect("mines");
    }
    let mut follower = world.follower();
    settle(&mut follower).await;
    world.chain.change_faults(|faults| faults.balances_unreadable = true);
    world.clock.advance_seconds(601);
    let stepped = settle(&mut follower).await;
    assert!(
        matches!(stepped, Stepped::AuditFailed(Stall::BalanceUnreadable { .. })),
        "{stepped:?}"
    );
    assert_eq!((world.halts().await, world.to_settle(USDT).await), (vec![], 20));
    assert_eq!(settle(&mut follower).await, AT_HEAD, "not at once again");

    // What ranges have brought is another thing: nobody can say that it is whole.
    for nonce in 20..250 {
        world.chain.mine(vec![pay(nonce, 10)]).expect("mines");
    }
    let mut follower = world.follower();
    settle(&mut follower).await;
    assert_eq!((world.halts().await.len(), world.to_settle(USDT).await), (2, 0));
    let kinds: Vec<CaseKind> = world.cases().await.iter().map(|case| case.opening.kind).collect();
    assert_eq!(kinds, [CaseKind::BalanceUnknown; 2]);
    world.chain.change_faults(|faults| faults.balances_unreadable = false);
    world.clock.advance_seconds(31);
    settle(&mut follower).await;
    assert_eq!((world.halts().await, world.to_settle(USDT).await), (vec![], 250));
    assert!(world.cases().await.iter().all(|case| case.resolved.is_some()));
}

#[tokio::test]
async fn looking_at_the_books_changes_nothing() {
    let world = World::on(chain().with_balance(USDT, TREASURY, U256::from(41)));
    world.chain.set_tag_lags(0, 0);
    let mut follower = world.follower();
    for nonce in 0..5 {
        world.chain.mine(vec![pay(nonce, 10)]).expect("mines");
    }
    while !matches!(follower.step().await.expect("steps"), Stepped::Applied { .. }) {}
    let before = world.cursor().await;
    let found = world.follower().look_at_books().await.expect("looks");
    let seen: Vec<(&str, bool)> =
        found.iter().map(|finding| (finding.symbol.as_str(), finding.stall.is_some())).collect();
    assert_eq!(seen, [("USDT", true), ("INSPI", false)]);
    assert_eq!((world.cursor().await, world.halts().await.len()), (before, 0));
    assert_eq!(world.chain.calls().reread_block, 0);
}

#[tokio::test]
async fn a_log_that_was_left_out_once_is_found_by_reading_again() {
    let world = World::new();
    for nonce in 0..150 {
        world.chain.mine(vec![pay(nonce, 10 + nonce)]).expect("mines");
    }
    let mut follower = world.follower();
    let lost = pay(7, 17).hash;
    world.chain.change_faults(|faults| {
        faults.omitted_in_ranges.insert(lost);
    });
    while !matches!(follower.step().await, Ok(Stepped::RangeApplied { tip, .. }) if tip.number == 86)
    {
    }
    world.chain.change_faults(|faults| faults.omitted_in_ranges.clear());
    assert_eq!(follower.step().await.expect("steps"), Stepped::Audited { up_to: 86 });
    settle(&mut follower).await;
    world.assert_followed().await;
}

/// A chain of 150 payments of ten whose node leaves out those of the nonces, in whatever range.
fn with_holes(nonces: &[u64]) -> World {
    let world = World::new();
    for nonce in 0..150 {
        world.chain.mine(vec![pay(nonce, 10)]).expect("mines");
    }
    world.chain.change_faults(|faults| {
        faults.omitted_in_ranges.extend(nonces.iter().map(|nonce| pay(*nonce, 10).hash));
    });
    world
}

#[tokio::test]
async fn what_every_range_leaves_out_is_traced_to_its_blocks_and_read_by_receipts() {
    for nonces in [vec![7], vec![0, 85], vec![3, 4, 50], (20..30).collect()] {
        let world = with_holes(&nonces);
        let mut follower = world.follower();
        settle(&mut follower).await;
        world.assert_followed().await;
        let holes = u64::try_from(nonces.len()).expect("few");
        assert_eq!(world.chain.calls().reread_block, holes, "{nonces:?}");
        assert_eq!(follower.status().borrow().stalled, None);
    }
}

#[tokio::test]
async fn what_was_made_up_leaves_the_chain_when_its_block_is_read_again() {
    let world = with_holes(&[]);
    let mut follower = world.follower();
    settle(&mut follower).await;
    // As though a range had told of it: in the books, and in no receipt.
    let cursor = world.cursor().await;
    let block = world.chain.block_at(40).expect("mined");
    let filter = world.settings.filter();
    let told = world.chain.range(40, 40, &filter).await.expect("answers").transfers[0];
    let mut made_up = Transfer { log_index: 9, ..told };
    made_up.key.tx_hash = B256::repeat_byte(0xee);
    let commit = BlocksCommit {
        fencing: FencingNumber::UNLEASED,
        expected_revision: Some(cursor.revision),
        orphaned: Vec::new(),
        added: vec![AppliedBlock { block, proof: Proof::Range, transfers: vec![made_up] }],
        cursor: CursorRecord { revision: cursor.revision + 1, ..cursor },
        window_from: cursor.tags.finalized_number,
    };
    world.store.commit_blocks(commit).await.expect("records");
    assert_eq!(world.recorded().await.len(), 151);

    let mut again = world.follower();
    settle(&mut again).await;
    world.assert_followed().await;
    assert_eq!(world.recorded().await.len(), 150);
    assert_eq!(world.cursor().await.epoch, cursor.epoch + 1, "plans are made anew");
}

#[tokio::test]
async fn two_endpoints_that_tell_different_ranges_are_decided_by_receipts() {
    for (first, second) in [(vec![7], vec![]), (vec![], vec![7]), (vec![3, 9], vec![9, 40])] {
        let world = with_holes(&first);
        world.chain.set_endpoints(2);
        world.chain.change_faults(|faults| {
            let hashes = second.iter().map(|nonce| pay(*nonce, 10).hash);
            faults.omitted_in_second_ranges.extend(hashes);
        });
        let mut follower = world.follower();
        let stepped = follower.step().await.expect("steps");
        let Stepped::RangeApplied { tip, .. } = stepped else { panic!("{stepped:?}") };
        let known = world.recorded().await;
        let both: Vec<&u64> = first.iter().filter(|nonce| second.contains(nonce)).collect();
        let mined = world.mined(tip.number).await;
        assert_eq!(known.len() + both.len(), mined.len(), "{first:?} {second:?}");
        settle(&mut follower).await;
        world.assert_followed().await;
    }
}

#[tokio::test]
async fn a_range_that_no_second_endpoint_told_is_asked_for_again_before_it_counts() {
    let world = with_holes(&[7]);
    world.chain.set_endpoints(2);
    let mut follower = world.follower();
    world.chain.change_faults(|faults| faults.untold_second_ranges = 6);
    assert!(follower.step().await.is_err());
    assert!(world.recorded().await.is_empty());
    world.chain.change_faults(|faults| faults.untold_second_ranges = 0);
    // Nor does it count where the same one told it again.
    world.chain.change_faults(|faults| faults.ranges_told_twice = 1_000);
    assert!(follower.step().await.is_err());
    assert!(world.recorded().await.is_empty());
    world.chain.change_faults(|faults| faults.ranges_told_twice = 1);
    while !matches!(follower.step().await, Ok(Stepped::RangeApplied { .. })) {}
    let applied = world.cursor().await.tip.number;
    assert_eq!(world.recorded().await.len(), world.mined(applied).await.len());
    settle(&mut follower).await;
    world.assert_followed().await;
    assert_eq!(world.chain.calls().reread_block, 1, "only what two told differently");
}

#[tokio::test]
async fn an_opening_balance_that_was_told_wrongly_is_asked_for_again() {
    let mut world = World::new();
    world.chain.set_tag_lags(0, 0);
    for nonce in 0..60 {
        world.chain.mine(vec![pay(nonce, 10)]).expect("mines");
    }
    world.settings.start_number = 51;
    world.chain.change_faults(|faults| {
        faults.moved_without_log.insert((USDT, TREASURY), (50, 7));
    });
    let mut follower = world.follower();
    assert_eq!(settle(&mut follower).await, AT_HEAD);
    world.chain.change_faults(|faults| faults.moved_without_log.clear());
    world.chain.mine(vec![pay(70, 10)]).expect("mines");
    world.clock.advance_seconds(601);
    assert_eq!(settle(&mut follower).await, AT_HEAD);
    assert_eq!(world.halts().await, []);
    assert_eq!(world.chain.calls().reread_block, 0, "no block is wrong");
}

#[tokio::test]
async fn an_incoming_and_an_outgoing_transfer_that_cancel_are_found_by_the_second_endpoint() {
    let world = World::new();
    world.chain.set_endpoints(2);
    let mut out = mint(USDT, BUYER, 10);
    out.from = TREASURY;
    let payout = ChainTx::transfer(900, out);
    let lost = [pay(7, 10).hash, payout.hash];
    for nonce in 0..150 {
        let mut txs = vec![pay(nonce, 10)];
        txs.extend((nonce == 20).then(|| payout.clone()));
        world.chain.mine(txs).expect("mines");
    }
    world.chain.change_faults(|faults| faults.omitted_in_ranges.extend(lost));
    settle(&mut world.follower()).await;
    world.assert_followed().await;
}

#[tokio::test]
async fn a_failed_audit_is_made_again_after_its_time_and_heals() {
    // More holes than one audit reads again block by block.
    let world = with_holes(&(20..40).collect::<Vec<_>>());
    let (mut follower, _) = failed_audit(&world).await;
    assert_eq!(settle(&mut follower).await, AT_HEAD, "not before its time");
    assert_eq!((world.halts().await.len(), world.to_settle(USDT).await), (1, 0));
    world.clock.advance_seconds(31);
    assert_eq!(settle(&mut follower).await, AT_HEAD);
    world.assert_followed().await;
    assert_eq!(follower.status().borrow().stalled, None);
    assert_eq!((world.halts().await, world.to_settle(USDT).await), (vec![], 150));
    let (_, resolution) = world.cases().await[0].resolved.clone().expect("is resolved");
    assert!(resolution.contains("read again by its receipts: block 37, 38"), "{resolution}");
}

#[tokio::test]
async fn what_a_treasury_held_before_is_asked_of_the_chain_or_read_from_the_settings() {
    let opening = U256::from(1_000);
    let set = |world: &mut World, base_units: u64| {
        let openings = [(TREASURY, U256::from(base_units))].into();
        world.settings.assets[0].opening_base_units = openings;
    };
    let old_world = || {
        let mut world = World::on(chain().with_balance(USDT, TREASURY, opening));
        for nonce in 0..200 {
            world.chain.mine(vec![pay(nonce, 10)]).expect("mines");
        }
        world.settings.start_number = 51;
        world
    };

    let world = old_world();
    settle(&mut world.follower()).await;
    world.assert_followed().await;

    let mut world = old_world();
    set(&mut world, 1_000 + 50 * 10);
    world.chain.reset_calls();
    settle(&mut world.follower()).await;
    world.assert_followed().await;

    let mut world = old_world();
    set(&mut world, 1);
    let (_, stall) = failed_audit(&world).await;
    assert_eq!(stall.code(), "books_differ_from_chain");

    let world = old_world();
    let before = world.chain.block_at(50).expect("mined");
    world.chain.change_faults(|faults| {
        faults.forgotten_blocks.insert(before.hash);
    });
    let (mut follower, stall) = failed_audit(&world).await;
    assert_eq!(stall.code(), "opening_balance_unknown");
    assert!(stall.to_string().contains("assets.USDT.opening"), "{stall}");
    settle(&mut follower).await;
    let kinds: Vec<CaseKind> = world.cases().await.iter().map(|case| case.opening.kind).collect();
    assert_eq!((world.to_settle(USDT).await, kinds), (0, vec![CaseKind::BalanceUnknown; 2]));
}

#[tokio::test]
async fn a_token_that_is_listed_later_is_read_from_the_first_block() {
    let mut world = World::new();
    let usdt_only = vec![FollowedAsset::new(asset(USDT, "USDT", 6))];
    let both = std::mem::replace(&mut world.settings.assets, usdt_only);
    for nonce in 0..150u64 {
        let token = if nonce.is_multiple_of(2) { USDT } else { INSPI };
        let tx = ChainTx::transfer(nonce, mint(token, TREASURY, 10));
        world.chain.mine(vec![tx]).expect("mines");
    }
    settle(&mut world.follower()).await;
    assert_eq!(world.recorded().await.len(), 75);
    world.settings.assets = both;
    settle(&mut world.follower()).await;
    world.assert_followed().await;
    assert_eq!(world.recorded().await.len(), 150);
}

#[tokio::test]
async fn a_treasury_that_is_added_later_is_read_from_its_first_block() {
    let mut world = World::new();
    let second = Address::repeat_byte(0x7f);
    for nonce in 0..150u64 {
        let to = if nonce.is_multiple_of(2) { TREASURY } else { second };
        let tx = ChainTx::transfer(nonce, mint(USDT, to, 10));
        world.chain.mine(vec![tx]).expect("mines");
    }
    settle(&mut world.follower()).await;
    world.settings.treasuries.push((second, 31));
    settle(&mut world.follower()).await;
    world.assert_followed().await;
    assert_eq!(world.recorded().await.len(), 75 + 60);
}

#[tokio::test]
async fn tokens_that_move_without_a_log_may_be_left_out_of_the_proof() {
    let mut world = World::on(chain().with_balance(USDT, TREASURY, U256::from(41)));
    world.settings.assets[0].balance_proof = false;
    for nonce in 0..150 {
        world.chain.mine(vec![pay(nonce, 10)]).expect("mines");
    }
    settle(&mut world.follower()).await;
    world.assert_followed().await;
}

#[tokio::test]
async fn money_that_leaves_the_treasury_is_counted_too() {
    let mut world = World::new();
    world.settings.audit_retry_interval = Duration::ZERO;
    for nonce in 0..100 {
        let mut out = mint(USDT, BUYER, 4);
        out.from = TREASURY;
        let payout = ChainTx::transfer(500 + nonce, out);
        world.chain.mine(vec![pay(nonce, 10), payout]).expect("mines");
    }
    settle(&mut world.follower()).await;
    world.assert_followed().await;
    assert_eq!(world.chain.balance(USDT, TREASURY), U256::from(600));
}

#[tokio::test]
async fn a_halt_is_not_forgotten_when_the_database_comes_back() {
    let mut world = World::new();
    for nonce in 0..20 {
        world.chain.mine(vec![pay(nonce, 10)]).expect("mines");
    }
    settle(&mut world.follower()).await;
    // What is set as the opening makes books that agreed differ from the next start on.
    world.settings.treasuries.push((BUYER, 5));
    world.settings.assets[0].opening_base_units = [(BUYER, U256::from(7))].into();
    let (mut follower, stall) = failed_audit(&world).await;
    assert_eq!(stall.code(), "books_differ_from_chain");
    world.chain.mine(vec![pay(50, 10)]).expect("mines");
    world.store.set_unreachable(true);
    follower.step().await.expect_err("no database");
    world.store.set_unreachable(false);
    settle(&mut follower).await;
    let cursor = world.cursor().await;
    assert_eq!((cursor.tip.number, cursor.audited_to), (21, 21));
    assert_eq!((follower.halts().count(), world.to_settle(USDT).await), (1, 0));
}
