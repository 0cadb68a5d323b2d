//! Facts of what the follower of a chain keeps.

use std::sync::Arc;

use inspay_primitives::{
    Address, AssetId, B256, BlockRef, ChainId, Direction, FencingNumber, Transfer, TransferKey,
    U256,
};
use tokio::task::JoinSet;

use super::picture;
use crate::{
    AppliedBlock, ChainTags, CursorRecord, Page, Proof, RangeCommit, Rewind, Store, StoreError,
    StoreErrorKind, TransferFilter, TransferView, WindowBlock,
    contract::samples::{
        CHAIN, Follower, applied, block, digest, inspi, paid, reference, seen_again, treasury,
        usdt, withdrawn,
    },
};

fn units(base_units: u64) -> U256 {
    U256::from(base_units)
}

fn blocks(branch: &str, numbers: std::ops::RangeInclusive<u64>) -> Vec<AppliedBlock> {
    numbers.map(|number| applied(block(branch, number), Vec::new())).collect()
}

async fn view(store: &Arc<dyn Store>, transfer: &Transfer) -> TransferView {
    let found = store.transfer(transfer.key.id()).await.expect("reads the transfer");
    found.expect("the transfer is recorded")
}

async fn heights(store: &Arc<dyn Store>) -> Vec<u64> {
    let window = store.window(CHAIN).await.expect("reads the window");
    window.iter().map(|row| row.block.number).collect()
}

fn assert_moved(outcome: Result<(), StoreError>) {
    let error = outcome.expect_err("the cursor has moved");
    assert!(matches!(error.kind, StoreErrorKind::CursorMoved), "{error:?}");
    assert!(!error.is_transient());
}

/// A block that is read again takes the place of what was recorded of it: what it does not hold leaves the chain, what
/// was missing joins it, and the rest stays as it was.
pub async fn a_block_that_is_read_again_replaces_what_was_recorded_of_it(store: &Arc<dyn Store>) {
    let mut follower = Follower::new(store);
    let at = block("a", 1);
    let [stays, made_up, missing] =
        [1u32, 2, 3].map(|number| paid(number.into(), usdt(), units(10), at, number));
    follower.extend(vec![applied(at, vec![stays, made_up])]).await;
    let position = view(store, &stays).await.position;
    follower.swap(&[at], vec![applied(at, vec![stays, missing])]).await;
    for (transfer, canonical) in [(stays, true), (made_up, false), (missing, true)] {
        assert_eq!(view(store, &transfer).await.canonical, canonical, "{transfer:?}");
    }
    assert_eq!(view(store, &stays).await.position, position);
    assert_eq!(store.canonical_hashes(CHAIN, vec![1]).await.expect("reads"), [Some(at.hash)]);
    let to_settle = store.transfers_to_settle(CHAIN, None, 9, 9).await.expect("reads");
    let keys: Vec<_> = to_settle.iter().map(|record| record.transfer.key).collect();
    assert_eq!(keys, [stays.key, missing.key]);
}

fn rewind_to(cursor: CursorRecord, tip: BlockRef) -> Rewind {
    let after = CursorRecord {
        tip,
        audited_to: tip.number,
        epoch: cursor.epoch + 1,
        revision: cursor.revision + 1,
        ..cursor
    };
    Rewind { fencing: FencingNumber::UNLEASED, expected_revision: cursor.revision, cursor: after }
}

/// What lay above the block that was gone back to has left the chain, and may come back; what lay below stays.
pub async fn going_back_takes_what_lay_above_off_the_chain(store: &Arc<dyn Store>) {
    let mut follower = Follower::new(store);
    let at = |number: u32| block("a", number.into());
    let transfers =
        [6u32, 7, 8].map(|number| paid(number.into(), usdt(), units(10), at(number), 1));
    let added = (5..=9).map(|number| {
        let inside = transfers.iter().filter(|transfer| transfer.block.number == number);
        applied(block("a", number), inside.copied().collect())
    });
    follower.extend(added.collect()).await;
    let cursor = follower.cursor.expect("stands");
    let rewind = rewind_to(cursor, at(7));
    let stale = Rewind { expected_revision: cursor.revision - 1, ..rewind.clone() };
    assert_moved(store.rewind(stale).await);
    let fenced = Rewind { fencing: FencingNumber(9), ..rewind.clone() };
    let error = store.rewind(fenced).await.expect_err("is fenced");
    assert!(matches!(error.kind, StoreErrorKind::Fenced), "{error:?}");
    assert_eq!(heights(store).await, [5, 6, 7, 8, 9]);

    store.rewind(rewind.clone()).await.expect("goes back");
    assert_eq!(store.cursor(CHAIN).await.expect("reads"), Some(rewind.cursor));
    assert_eq!(heights(store).await, [5, 6, 7]);
    for (transfer, canonical) in transfers.iter().zip([true, true, false]) {
        assert_eq!(view(store, transfer).await.canonical, canonical, "{transfer:?}");
    }
    follower.cursor = Some(rewind.cursor);
    follower.extend(vec![applied(at(8), vec![transfers[2]])]).await;
    assert_eq!(heights(store).await, [5, 6, 7, 8]);
    assert!(view(store, &transfers[2]).await.canonical);
}

/// The block gone back to may be another one than stood there, below all that the window holds.
pub async fn going_back_below_the_window_begins_a_new_one(store: &Arc<dyn Store>) {
    let mut follower = Follower::new(store);
    let transfers = [3u32, 4, 6]
        .map(|number| paid(number.into(), usdt(), units(10), block("a", number.into()), 1));
    follower.range(block("a", 9), transfers.to_vec()).await;
    let rewind = rewind_to(follower.cursor.expect("stands"), block("b", 4));
    store.rewind(rewind).await.expect("goes back");
    assert_eq!(heights(store).await, [4]);
    assert_eq!(
        store.canonical_hashes(CHAIN, vec![4, 9]).await.expect("reads"),
        [Some(block("b", 4).hash), None]
    );
    for (transfer, canonical) in transfers.iter().zip([true, false, false]) {
        assert_eq!(view(store, transfer).await.canonical, canonical, "{transfer:?}");
    }
}

/// Before the first commit there is nothing, and that is no error.
pub async fn a_chain_that_was_never_followed_has_no_cursor(store: &Arc<dyn Store>) {
    assert_eq!(store.cursor(CHAIN).await.expect("reads"), None);
    assert_eq!(store.window(CHAIN).await.expect("reads"), vec![]);
    assert_eq!(store.canonical_hashes(CHAIN, vec![0, 7]).await.expect("reads"), [None, None]);
    assert_eq!(store.oldest_unsettled_time(CHAIN).await.expect("reads"), None);
}

/// Every field of the cursor comes back as it was written.
pub async fn the_cursor_comes_back_as_it_was_written(store: &Arc<dyn Store>) {
    let mut follower = Follower::new(store);
    follower.tags = ChainTags { safe_number: 6, finalized_number: 3 };
    follower.extend(blocks("a", 5..=7)).await;
    let expected = CursorRecord {
        chain_id: CHAIN,
        start_number: 7,
        tip: block("a", 7),
        tags: ChainTags { safe_number: 6, finalized_number: 3 },
        audited_to: 7,
        epoch: 0,
        revision: 1,
    };
    assert_eq!(store.cursor(CHAIN).await.expect("reads"), Some(expected));
    follower.tags.finalized_number = 4;
    follower.extend(Vec::new()).await;
    let expected = CursorRecord {
        tags: ChainTags { safe_number: 6, finalized_number: 4 },
        revision: 2,
        ..expected
    };
    assert_eq!(store.cursor(CHAIN).await.expect("reads"), Some(expected));
    assert_eq!(heights(store).await, [5, 6, 7]);
}

/// A commit on another revision than the stored one is refused whole.
pub async fn a_cursor_that_moved_refuses_the_commit_whole(store: &Arc<dyn Store>) {
    let mut follower = Follower::new(store);
    let early = follower.commit_of(&[], blocks("a", 1..=2));
    for wrong in [0, 1, -1, i64::MAX] {
        let mut commit = early.clone();
        commit.expected_revision = Some(wrong);
        assert_moved(store.commit_blocks(commit).await);
    }
    assert_eq!(store.cursor(CHAIN).await.expect("reads"), None);
    let first = paid(1, usdt(), units(5), block("a", 2), 0);
    follower
        .extend(vec![applied(block("a", 1), vec![]), applied(block("a", 2), vec![first])])
        .await;
    let before = picture(store).await;
    for wrong in [None, Some(0), Some(2), Some(-1)] {
        let seen = seen_again(first, block("b", 2), 9);
        let added = vec![applied(block("b", 2), vec![seen])];
        let mut commit = follower.commit_of(&[block("a", 2)], added);
        commit.expected_revision = wrong;
        assert_moved(store.commit_blocks(commit).await);
        let more = paid(2, usdt(), units(5), block("a", 3), 0);
        let range = follower.range_of(block("a", 3), vec![more]);
        let range = RangeCommit { expected_revision: wrong, ..range };
        assert_moved(store.commit_range(range).await);
        assert_eq!(picture(store).await, before);
    }
}

/// However many followers build on one revision, one of them commits.
pub async fn of_many_followers_on_one_revision_one_commits(store: &Arc<dyn Store>) {
    for round in 1..=3u64 {
        let cursor = store.cursor(CHAIN).await.expect("reads");
        let mut follower = Follower::new(store);
        follower.cursor = cursor;
        let mut followers = JoinSet::new();
        for number in 0..8 {
            let at = block(&format!("branch-{number}"), round);
            let seen = paid(round * 100 + number, usdt(), units(number), at, 0);
            let commit = follower.commit_of(&[], vec![applied(at, vec![seen])]);
            let store = Arc::clone(store);
            followers.spawn(async move { store.commit_blocks(commit).await.map(|()| at) });
        }
        let mut taken = Vec::new();
        for outcome in followers.join_all().await {
            match outcome {
                Ok(at) => taken.push(at),
                Err(error) => assert!(
                    matches!(error.kind, StoreErrorKind::CursorMoved) || error.is_transient(),
                    "{error:?}"
                ),
            }
        }
        assert_eq!(taken.len(), 1, "{taken:?}");
        let tip = store.cursor(CHAIN).await.expect("reads").map(|cursor| cursor.tip);
        assert_eq!(tip, taken.first().copied());
        let page = Page { after: None, limit: 100 };
        let all = store.transfers(TransferFilter::default(), page).await.expect("reads");
        assert_eq!(all.len(), usize::try_from(round).expect("small"));
    }
}

/// A transfer is recorded with its block, every field as it was seen.
pub async fn blocks_and_their_transfers_are_recorded_together(store: &Arc<dyn Store>) {
    let mut follower = Follower::new(store);
    let at = block("a", 1);
    let with_reference =
        Transfer { reference: Some(Some(reference(1))), ..paid(1, usdt(), units(5), at, 0) };
    let without = Transfer { reference: Some(None), ..paid(2, inspi(), units(6), at, 1) };
    let unread = paid(3, usdt(), units(7), at, 2);
    let out = withdrawn(4, usdt(), units(3), at, 3);
    let second_of_tx =
        Transfer { key: TransferKey { ordinal: 1, ..unread.key }, log_index: 4, ..unread };
    let all = [with_reference, without, unread, out, second_of_tx];
    follower.extend(vec![applied(at, all.to_vec())]).await;
    for transfer in all {
        let seen = view(store, &transfer).await;
        assert_eq!(seen.transfer, transfer);
        assert_eq!(seen.id, transfer.key.id());
        assert!(seen.canonical);
        assert_eq!((seen.generation, seen.settlement), (0, None));
    }
    let unknown = paid(9, usdt(), units(1), at, 9).key.id();
    assert_eq!(store.transfer(unknown).await.expect("reads"), None);
}

/// The window is oldest first, with the proof of each block, and loses what lies below its start.
pub async fn the_window_is_oldest_first_and_starts_where_it_is_told(store: &Arc<dyn Store>) {
    let mut follower = Follower::new(store);
    let proofs = [Proof::Range, Proof::Bloom, Proof::ReceiptsRoot, Proof::SecondEndpoint];
    let mut added = blocks("a", 1..=4);
    for (applied, proof) in added.iter_mut().zip(proofs) {
        applied.proof = proof;
    }
    follower.extend(added).await;
    let expected: Vec<WindowBlock> = proofs
        .into_iter()
        .zip(1..)
        .map(|(proof, number)| WindowBlock { block: block("a", number), proof })
        .collect();
    assert_eq!(store.window(CHAIN).await.expect("reads"), expected);
    follower.window_from = 3;
    follower.extend(blocks("a", 5..=6)).await;
    assert_eq!(heights(store).await, [3, 4, 5, 6]);
    follower.extend(Vec::new()).await;
    assert_eq!(heights(store).await, [3, 4, 5, 6]);
}

/// A height has one canonical block; a second one is refused whole.
pub async fn a_second_canonical_block_at_one_height_is_refused(store: &Arc<dyn Store>) {
    let mut follower = Follower::new(store);
    follower.extend(blocks("a", 1..=3)).await;
    let before = picture(store).await;
    let seen = paid(1, usdt(), units(5), block("b", 3), 0);
    let commit = follower.commit_of(&[], vec![applied(block("b", 3), vec![seen])]);
    let error = store.commit_blocks(commit).await.expect_err("the height is taken");
    assert!(!error.is_transient(), "{error:?}");
    assert_eq!(picture(store).await, before);
}

/// Canonical hashes come in the order asked, with nothing where the window has nothing.
pub async fn canonical_hashes_come_in_the_order_asked(store: &Arc<dyn Store>) {
    let mut follower = Follower::new(store);
    follower.extend(blocks("a", 1..=4)).await;
    follower.window_from = 2;
    follower.swap(&[block("a", 4)], blocks("b", 4..=5)).await;
    let asked = vec![5, 1, 4, 2, 9, 4];
    let found = store.canonical_hashes(CHAIN, asked).await.expect("reads");
    let hash = |branch, number| Some(digest(branch, number));
    let expected = [hash("b", 5), None, hash("b", 4), hash("a", 2), None, hash("b", 4)];
    assert_eq!(found, expected);
    assert_eq!(
        store.canonical_hashes(CHAIN, vec![]).await.expect("reads"),
        Vec::<Option<B256>>::new()
    );
    let other = store.canonical_hashes(ChainId(1), vec![4]).await.expect("reads");
    assert_eq!(other, [None]);
}

/// A block that leaves the chain takes its transfers off it; they are kept and no longer counted.
pub async fn an_orphaned_block_takes_its_transfers_off_the_chain(store: &Arc<dyn Store>) {
    let mut follower = Follower::new(store);
    let stays = paid(1, usdt(), units(1), block("a", 1), 0);
    let leaves = paid(2, usdt(), units(2), block("a", 2), 0);
    let leaves_too = paid(3, usdt(), units(4), block("a", 3), 1);
    follower
        .extend(vec![
            applied(block("a", 1), vec![stays]),
            applied(block("a", 2), vec![leaves]),
            applied(block("a", 3), vec![leaves_too]),
        ])
        .await;
    let orphaned = [block("a", 2), block("a", 3)];
    follower.swap(&orphaned, blocks("b", 2..=4)).await;
    for (transfer, canonical) in [(stays, true), (leaves, false), (leaves_too, false)] {
        let seen = view(store, &transfer).await;
        assert_eq!((seen.transfer, seen.canonical), (transfer, canonical));
    }
    let totals = store.transfer_totals(usdt(), treasury(), 9).await.expect("adds up");
    assert_eq!((totals.in_base_units, totals.count), (units(1), 1));
    let due = store.transfers_to_settle(CHAIN, None, 9, 10).await.expect("reads");
    assert_eq!(due.iter().map(|record| record.transfer).collect::<Vec<_>>(), [stays]);
    let window = store.window(CHAIN).await.expect("reads");
    let hashes: Vec<B256> = window.iter().map(|row| row.block.hash).collect();
    let expected = [("a", 1), ("b", 2), ("b", 3), ("b", 4)].map(|(on, at)| block(on, at).hash);
    assert_eq!(hashes, expected);
}

/// A chain may be seen shorter for a moment: blocks leave and none come.
pub async fn blocks_may_leave_before_others_come(store: &Arc<dyn Store>) {
    let mut follower = Follower::new(store);
    let seen = paid(1, usdt(), units(5), block("a", 2), 0);
    follower.extend(vec![applied(block("a", 1), vec![]), applied(block("a", 2), vec![seen])]).await;
    follower.cut(block("a", 1), &[block("a", 2)]).await;
    assert_eq!(heights(store).await, [1]);
    assert!(!view(store, &seen).await.canonical);
    follower.extend(vec![applied(block("a", 2), vec![seen])]).await;
    assert_eq!(heights(store).await, [1, 2]);
    assert!(view(store, &seen).await.canonical);
}

/// A branch that comes back is the branch it was: no block and no transfer is doubled.
pub async fn a_branch_that_comes_back_is_flipped_not_doubled(store: &Arc<dyn Store>) {
    let mut follower = Follower::new(store);
    let on_both = paid(1, usdt(), units(5), block("a", 2), 0);
    let on_a_only = paid(2, usdt(), units(7), block("a", 2), 1);
    let on_b_only = paid(3, usdt(), units(11), block("b", 2), 0);
    let on_both_in_b = seen_again(on_both, block("b", 3), 4);
    let a = vec![applied(block("a", 2), vec![on_both, on_a_only])];
    let b =
        vec![applied(block("b", 2), vec![on_b_only]), applied(block("b", 3), vec![on_both_in_b])];
    follower.extend(blocks("a", 1..=1)).await;
    follower.extend(a.clone()).await;
    let position = view(store, &on_both).await.position;
    for _ in 0..2 {
        follower.swap(&[block("a", 2)], b.clone()).await;
        let seen = view(store, &on_both).await;
        assert_eq!((seen.transfer, seen.canonical), (on_both_in_b, true));
        assert!(!view(store, &on_a_only).await.canonical);
        assert!(view(store, &on_b_only).await.canonical);
        assert_eq!(heights(store).await, [1, 2, 3]);
        follower.swap(&[block("b", 2), block("b", 3)], a.clone()).await;
        let seen = view(store, &on_both).await;
        assert_eq!((seen.transfer, seen.canonical, seen.position), (on_both, true, position));
        assert!(view(store, &on_a_only).await.canonical);
        assert!(!view(store, &on_b_only).await.canonical);
        assert_eq!(heights(store).await, [1, 2]);
    }
    let page = Page { after: None, limit: 10 };
    let all = store.transfers(TransferFilter::default(), page).await.expect("reads");
    assert_eq!(all.len(), 3);
    let totals = store.transfer_totals(usdt(), treasury(), 9).await.expect("adds up");
    assert_eq!((totals.in_base_units, totals.count), (units(12), 2));
}

/// Mined again in another block at another log index, or with another amount, it is the same transfer.
pub async fn a_transfer_mined_again_is_the_same_transfer(store: &Arc<dyn Store>) {
    let mut follower = Follower::new(store);
    let first = paid(1, usdt(), units(5), block("a", 2), 0);
    follower.extend(vec![applied(block("a", 2), vec![first])]).await;
    let position = view(store, &first).await.position;
    let moved = Transfer {
        counterparty: Address::repeat_byte(0xcc),
        base_units: units(6),
        ..seen_again(first, block("b", 3), 7)
    };
    let added = vec![applied(block("b", 2), vec![]), applied(block("b", 3), vec![moved])];
    follower.swap(&[block("a", 2)], added).await;
    let seen = view(store, &first).await;
    assert_eq!((seen.transfer, seen.canonical, seen.position), (moved, true, position));
    let totals = store.transfer_totals(usdt(), treasury(), 9).await.expect("adds up");
    assert_eq!((totals.in_base_units, totals.count), (units(6), 1));
    let due = store.transfers_to_settle(CHAIN, None, 9, 10).await.expect("reads");
    assert_eq!(due.iter().map(|record| record.transfer).collect::<Vec<_>>(), [moved]);
}

/// What was read behind calldata is not forgotten when the transfer is seen again unread.
pub async fn what_was_learned_of_calldata_is_kept(store: &Arc<dyn Store>) {
    let mut follower = Follower::new(store);
    let at = block("a", 1);
    let read = Transfer { reference: Some(Some(reference(4))), ..paid(1, usdt(), units(5), at, 0) };
    let read_none = Transfer { reference: Some(None), ..paid(2, usdt(), units(5), at, 1) };
    let unread = paid(3, usdt(), units(5), at, 2);
    follower.extend(vec![applied(at, vec![read, read_none, unread])]).await;
    let again = |transfer, reference| {
        let seen = seen_again(transfer, block("b", 1), transfer.log_index);
        Transfer { reference, ..seen }
    };
    let learned = Some(Some(reference(5)));
    let added = vec![again(read, None), again(read_none, None), again(unread, learned)];
    follower.swap(&[at], vec![applied(block("b", 1), added)]).await;
    assert_eq!(view(store, &read).await.transfer.reference, read.reference);
    assert_eq!(view(store, &read_none).await.transfer.reference, Some(None));
    assert_eq!(view(store, &unread).await.transfer.reference, learned);
}

/// From one treasury to another: one log, two transfers, each counted for its own treasury.
pub async fn one_log_between_two_treasuries_is_two_transfers(store: &Arc<dyn Store>) {
    let mut follower = Follower::new(store);
    let next_treasury = Address::repeat_byte(0x78);
    let out = Transfer {
        counterparty: next_treasury,
        ..withdrawn(1, usdt(), units(9), block("a", 1), 3)
    };
    let incoming = Transfer {
        key: TransferKey { treasury: next_treasury, direction: Direction::In, ..out.key },
        counterparty: treasury(),
        ..out
    };
    let both = |at: BlockRef, log_index| {
        vec![seen_again(out, at, log_index), seen_again(incoming, at, log_index)]
    };
    follower.extend(vec![applied(block("a", 1), both(block("a", 1), 3))]).await;
    assert_eq!(view(store, &out).await.transfer, out);
    assert_eq!(view(store, &incoming).await.transfer, incoming);
    follower.swap(&[block("a", 1)], blocks("b", 1..=1)).await;
    assert!(!view(store, &out).await.canonical);
    assert!(!view(store, &incoming).await.canonical);
    follower.swap(&[block("b", 1)], vec![applied(block("a", 1), both(block("a", 1), 3))]).await;
    let of_old = store.transfer_totals(usdt(), treasury(), 9).await.expect("adds up");
    let of_next = store.transfer_totals(usdt(), next_treasury, 9).await.expect("adds up");
    assert_eq!((of_old.in_base_units, of_old.out_base_units), (units(0), units(9)));
    assert_eq!((of_next.in_base_units, of_next.out_base_units), (units(9), units(0)));
}

/// Two chains may share heights, hashes and chain transactions; neither sees the other.
pub async fn chains_do_not_touch_each_other(store: &Arc<dyn Store>) {
    let other = ChainId(9_223_372_036_854_775_771);
    let other_asset = AssetId { chain_id: other, contract: usdt().contract };
    let here = paid(1, usdt(), units(5), block("a", 1), 0);
    let there = paid(1, other_asset, units(6), block("a", 1), 0);
    let mut follower = Follower::new(store);
    let mut other_follower = Follower::of(store, other);
    follower.extend(vec![applied(block("a", 1), vec![here])]).await;
    other_follower.extend(vec![applied(block("a", 1), vec![there])]).await;
    other_follower.window_from = 2;
    other_follower.swap(&[block("a", 1)], blocks("b", 1..=2)).await;
    assert_eq!(heights(store).await, [1]);
    assert!(view(store, &here).await.canonical);
    assert!(!view(store, &there).await.canonical);
    assert_eq!(store.cursor(CHAIN).await.expect("reads"), follower.cursor);
    assert_eq!(store.cursor(other).await.expect("reads"), other_follower.cursor);
    assert_eq!(store.window(other).await.expect("reads").len(), 1);
    follower.range(block("a", 9), vec![]).await;
    assert_eq!(store.window(other).await.expect("reads").len(), 1);
}

/// A range comes in one commit, however many transfers it brings.
pub async fn a_range_is_recorded_in_one_commit(store: &Arc<dyn Store>) {
    let mut follower = Follower::new(store);
    let count = 5_000u32;
    let transfers: Vec<Transfer> = (0..count)
        .map(|number| {
            let at = block("a", u64::from(number / 50));
            paid(u64::from(number), usdt(), units(u64::from(number)), at, number % 50)
        })
        .collect();
    follower.range(block("a", 200), transfers.clone()).await;
    assert_eq!(store.cursor(CHAIN).await.expect("reads"), follower.cursor);
    let totals = store.transfer_totals(usdt(), treasury(), 200).await.expect("adds up");
    assert_eq!(totals.count, u64::from(count));
    assert_eq!(totals.in_base_units, units((0..u64::from(count)).sum()));
    let due = store.transfers_to_settle(CHAIN, None, 200, 100_000).await.expect("reads");
    let due: Vec<Transfer> = due.into_iter().map(|record| record.transfer).collect();
    assert_eq!(due, transfers);
}

/// A transfer that is recorded already is not doubled by a range; one that had left is back.
pub async fn a_range_does_not_double_what_is_recorded(store: &Arc<dyn Store>) {
    let mut follower = Follower::new(store);
    let known = Transfer {
        reference: Some(Some(reference(1))),
        ..paid(1, usdt(), units(5), block("a", 1), 0)
    };
    let gone = paid(2, usdt(), units(7), block("a", 2), 0);
    follower
        .extend(vec![applied(block("a", 1), vec![known]), applied(block("a", 2), vec![gone])])
        .await;
    let (first, second) = (view(store, &known).await.position, view(store, &gone).await.position);
    follower.cut(block("a", 1), &[block("a", 2)]).await;
    let back = seen_again(gone, block("b", 2), 3);
    let fresh = paid(3, usdt(), units(11), block("b", 3), 0);
    let unread = Transfer { reference: None, ..known };
    follower.range(block("b", 4), vec![unread, back, fresh]).await;
    follower.range(block("b", 5), vec![unread, back, fresh]).await;
    let seen = view(store, &known).await;
    assert_eq!((seen.transfer, seen.canonical, seen.position), (known, true, first));
    let seen = view(store, &gone).await;
    assert_eq!((seen.transfer, seen.canonical, seen.position), (back, true, second));
    let totals = store.transfer_totals(usdt(), treasury(), 9).await.expect("adds up");
    assert_eq!((totals.in_base_units, totals.count), (units(23), 3));
}

/// A transfer that still stands in another block is moved, not doubled.
pub async fn what_stands_elsewhere_is_moved(store: &Arc<dyn Store>) {
    let mut follower = Follower::new(store);
    let known = paid(1, usdt(), units(5), block("a", 1), 0);
    let beside = paid(2, usdt(), units(7), block("a", 1), 1);
    follower.extend(vec![applied(block("a", 1), vec![known, beside])]).await;
    let moved = seen_again(known, block("b", 3), 4);
    follower.range(block("b", 4), vec![moved]).await;
    let seen = view(store, &known).await;
    assert_eq!((seen.transfer, seen.canonical), (moved, true));
    let at_another_place = seen_again(known, block("b", 3), 2);
    follower.range(block("b", 5), vec![at_another_place]).await;
    let seen = view(store, &known).await;
    assert_eq!((seen.transfer, seen.canonical), (at_another_place, true));
    let totals = store.transfer_totals(usdt(), treasury(), 9).await.expect("adds up");
    assert_eq!((totals.in_base_units, totals.count), (units(12), 2));
    // Where it stood, it stands no longer: that block's leaving does not touch it.
    follower.cut(block("b", 5), &[block("a", 1)]).await;
    assert!(view(store, &known).await.canonical);
    assert!(!view(store, &beside).await.canonical);
}

/// One transfer at two places, or one of another chain, is refused; the very same one twice is one.
pub async fn a_commit_that_contradicts_itself_is_refused(store: &Arc<dyn Store>) {
    let mut follower = Follower::new(store);
    follower.extend(blocks("a", 1..=1)).await;
    let before = picture(store).await;
    let here = paid(1, usdt(), units(5), block("a", 2), 0);
    let other_chain = AssetId { chain_id: ChainId(1), ..usdt() };
    let wrong = [
        vec![here, seen_again(here, block("a", 2), 1)],
        vec![here, Transfer { base_units: units(6), ..here }],
        vec![paid(2, other_chain, units(5), block("a", 2), 1)],
    ];
    for transfers in wrong {
        let commit = follower.commit_of(&[], vec![applied(block("a", 2), transfers.clone())]);
        let error = store.commit_blocks(commit).await.expect_err("contradicts itself");
        assert!(!error.is_transient(), "{error:?}");
        let range = follower.range_of(block("a", 2), transfers);
        let error = store.commit_range(range).await.expect_err("contradicts itself");
        assert!(!error.is_transient(), "{error:?}");
        assert_eq!(picture(store).await, before);
    }
    follower.range(block("a", 2), vec![here, here]).await;
    let totals = store.transfer_totals(usdt(), treasury(), 9).await.expect("adds up");
    assert_eq!((totals.in_base_units, totals.count), (units(5), 1));
}

/// What a range covers is final: the window starts anew at its tip.
pub async fn after_a_range_the_window_is_its_tip_alone(store: &Arc<dyn Store>) {
    let mut follower = Follower::new(store);
    follower.range(block("a", 50), vec![]).await;
    let tip = |number| vec![WindowBlock { block: block("a", number), proof: Proof::Range }];
    assert_eq!(store.window(CHAIN).await.expect("reads"), tip(50));
    follower.extend(blocks("a", 51..=53)).await;
    assert_eq!(heights(store).await, [50, 51, 52, 53]);
    follower.range(block("a", 90), vec![]).await;
    assert_eq!(store.window(CHAIN).await.expect("reads"), tip(90));
    let hashes = store.canonical_hashes(CHAIN, vec![52, 90]).await.expect("reads");
    assert_eq!(hashes, [None, Some(digest("a", 90))]);
}

/// Every `uint256` is kept exactly, and so are the largest log index and ordinal.
pub async fn every_uint256_is_kept_exactly(store: &Arc<dyn Store>) {
    let mut follower = Follower::new(store);
    let ten = units(10);
    let values = [
        U256::ZERO,
        units(1),
        U256::from(u128::MAX),
        U256::from(i64::MAX),
        U256::from(1) << 255,
        ten.pow(units(77)),
        ten.pow(units(76)) - units(1),
        U256::MAX - units(1),
        U256::MAX,
    ];
    let at = block("a", 1);
    let transfers: Vec<Transfer> = values
        .into_iter()
        .zip(0u32..)
        .map(|(value, number)| Transfer {
            key: TransferKey {
                ordinal: u32::MAX - number,
                ..paid(u64::from(number), usdt(), value, at, 0).key
            },
            ..paid(u64::from(number), usdt(), value, at, u32::MAX - number)
        })
        .collect();
    follower.extend(vec![applied(at, transfers.clone())]).await;
    for transfer in &transfers {
        assert_eq!(view(store, transfer).await.transfer, *transfer);
    }
    let due = store.transfers_to_settle(CHAIN, None, 1, 100).await.expect("reads");
    let due: Vec<Transfer> = due.into_iter().map(|record| record.transfer).collect();
    assert_eq!(due, transfers.into_iter().rev().collect::<Vec<_>>());
}
