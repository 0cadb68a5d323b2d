//! Books equal chain, or nothing further counts as whole.

use std::time::Duration;

use inspay_ports::{
    AppliedBlock, BlocksCommit, Chain as _, CursorRecord, FollowStore as _, Proof,
    fake::{ChainTx, FakeChain},
};
use inspay_primitives::{Address, B256, FencingNumber, Transfer, U256};
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
async fn a_balance_that_no_transfer_explains_stalls_and_names_asset_and_block() {
    let world = World::on(chain().with_balance(USDT, TREASURY, U256::from(41)));
    for nonce in 0..150 {
        world.chain.mine(vec![pay(nonce, 10)]).expect("mines");
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
    assert_eq!((cursor.tip.number, cursor.audited_to), (150, 0), "it goes on, but does not vouch");
    assert_eq!(
        follower.status().borrow().stalled.as_ref().map(Stall::code),
        Some("books_differ_from_chain")
    );

    let mut again = world.follower();
    let stepped = settle(&mut again).await;
    assert!(matches!(stepped, Stepped::AuditFailed(_)), "also after a restart: {stepped:?}");
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
    assert_eq!(world.cursor().await.audited_to, 0);
    world.clock.advance_seconds(31);
    assert_eq!(settle(&mut follower).await, AT_HEAD);
    world.assert_followed().await;
    assert_eq!(follower.status().borrow().stalled, None);
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
    assert_eq!(world.cursor().await.audited_to, 50);
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
async fn a_difference_is_not_forgotten_when_the_database_comes_back() {
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
    let audited_to = world.cursor().await.audited_to;
    world.chain.mine(vec![pay(50, 10)]).expect("mines");
    world.store.set_unreachable(true);
    follower.step().await.expect_err("no database");
    world.store.set_unreachable(false);
    settle(&mut follower).await;
    let cursor = world.cursor().await;
    assert_eq!((cursor.tip.number, cursor.audited_to), (21, audited_to));
}
