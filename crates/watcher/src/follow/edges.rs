//! Where the machine's decisions turn: the exact questions on the way down, the ends of spans and of the window, and
//! what is refused by one block more or less.

use inspay_ports::{CursorRecord, Header, ProvenBlock, TaggedBlocks};
use inspay_primitives::{Address, B256, BlockRef, Direction, Transfer, TransferKey, U256};

use super::{
    Disagreement, Fact, Follow, FollowRules, HaltReason, Idle, Next,
    model::{CHAIN, Kept, Model, Turn, followed, prove, questions, rules, settle, turn},
};

fn told_final(block: BlockRef) -> TaggedBlocks {
    TaggedBlocks { safe: None, finalized: Some(block) }
}

fn dead(block: BlockRef) -> BlockRef {
    BlockRef { hash: B256::repeat_byte(0xdd), ..block }
}

/// Goes from the newest head to where blocks are to be proven.
fn go_to_proof(follow: &mut Follow, model: &Model) {
    follow.look();
    follow.learn(Fact::Head(model.head().clone())).expect("fits");
    while follow.next() != Next::Prove {
        assert_eq!(turn(follow, model, model.head(), &mut Kept::default()), Turn::Went);
    }
}

#[test]
fn a_branch_is_walked_down_by_its_first_parent_and_then_by_number_to_finality() {
    let (mut follow, mut model, mut kept) = followed(40);
    model.finalized = 8;
    settle(&mut follow, &model, &mut kept);
    model.reorg(30, 30);
    let asked = questions(&mut follow, &model, &mut kept);
    let expected = [
        Next::Head,
        Next::HeaderByHash(model.block(38).hash),
        Next::Headers { from: 22, to: 37 },
        Next::Headers { from: 8, to: 21 },
        Next::Prove,
        Next::Commit,
        Next::Head,
        Next::Idle(Idle::AtHead),
    ];
    assert_eq!(asked, expected);
}

#[test]
fn headers_by_number_that_are_of_another_branch_leave_only_hashes() {
    let (mut follow, model, _) = followed(40);
    let mut other = model.clone();
    other.reorg(30, 30);
    follow.look();
    follow.learn(Fact::Head(other.head().clone())).expect("fits");
    follow.learn(Fact::Header(other.at(38).expect("mined").clone())).expect("fits");
    assert_eq!(follow.next(), Next::Headers { from: 22, to: 37 });
    let ours = (22..=37).map(|number| model.at(number).expect("mined").clone()).collect();
    follow.learn(Fact::Headers(ours)).expect("fits");
    for number in (10..=37).rev() {
        assert_eq!(follow.next(), Next::HeaderByHash(other.block(number).hash));
        follow.learn(Fact::Header(other.at(number).expect("mined").clone())).expect("fits");
    }
    assert_eq!(follow.next(), Next::Prove);
}

#[test]
fn a_branch_that_leaves_a_window_of_limited_length_halts_at_its_oldest_block() {
    let mut model = Model::new(20);
    let mut kept = Kept::default();
    let rules = FollowRules { window_blocks_max: 5, ..rules() };
    let mut follow = Follow::restore(rules, None, &[]);
    settle(&mut follow, &model, &mut kept);
    assert_eq!(kept.window.keys().copied().collect::<Vec<_>>(), [15, 16, 17, 18, 19]);
    let ours = model.block(15).hash;
    model.reorg(8, 9);
    let theirs = model.block(15).hash;
    let reason = HaltReason::ReorgBelowFinalized { number: 15, ours, theirs, floor: 15 };
    assert_eq!(settle(&mut follow, &model, &mut kept), Turn::Halted(reason));
}

#[test]
fn a_first_block_that_is_final_is_not_replaced() {
    let mut model = Model::new(11);
    model.finalized = 10;
    let mut kept = Kept::default();
    let rules = FollowRules { start_number: 10, ..rules() };
    let mut follow = Follow::restore(rules, None, &[]);
    assert_eq!(settle(&mut follow, &model, &mut kept), Turn::Idle(Idle::AtHead));
    let ours = model.block(10).hash;
    model.finalized = 9;
    model.reorg(1, 1);
    let theirs = model.block(10).hash;
    let reason = HaltReason::ReorgBelowFinalized { number: 10, ours, theirs, floor: 10 };
    assert_eq!(settle(&mut follow, &model, &mut kept), Turn::Halted(reason));
}

#[test]
fn a_gap_that_is_torn_below_the_head_is_refused() {
    let (mut follow, mut model, _) = followed(6);
    model.mine(20);
    follow.look();
    follow.learn(Fact::Head(model.head().clone())).expect("fits");
    assert_eq!(follow.next(), Next::Headers { from: 6, to: 13 });
    let mut torn: Vec<Header> =
        (6..=13).map(|number| model.at(number).expect("mined").clone()).collect();
    torn[3].parent_hash = B256::repeat_byte(0xaa);
    let refused = follow.learn(Fact::Headers(torn));
    assert_eq!(refused, Err(Disagreement::Unlinked { number: 9 }));
    assert_eq!(follow.next(), Next::Head);
}

#[test]
fn a_span_is_read_on_until_its_last_block_is_the_tip() {
    let mut model = Model::new(60);
    model.finalized = 40;
    let mut follow = Follow::restore(rules(), None, &[]);
    turn(&mut follow, &model, model.head(), &mut Kept::default());
    assert_eq!(follow.next(), Next::Ranges { from: 0, to: 40 });
    for (tip, next, is_checked) in [
        (20, Next::Ranges { from: 21, to: 40 }, false),
        (39, Next::Ranges { from: 40, to: 40 }, false),
        (40, Next::Head, true),
    ] {
        let commit = follow.range_commit(model.block(tip), Vec::new());
        follow.range_committed(commit.cursor);
        assert_eq!((follow.next(), follow.is_checked()), (next, is_checked), "after {tip}");
    }
}

#[test]
fn a_span_is_not_read_once_finality_is_told_to_be_no_higher_than_the_tip() {
    let (mut follow, mut model, _) = followed(12);
    model.mine(60);
    follow.look();
    follow.tags_seen(told_final(model.block(50)));
    follow.learn(Fact::Head(model.head().clone())).expect("fits");
    assert_eq!(follow.next(), Next::Headers { from: 11, to: 27 });
    follow.tags_seen(told_final(model.block(11)));
    assert_eq!(follow.next(), Next::Headers { from: 11, to: 11 });
    let tip = model.at(11).expect("mined").clone();
    follow.learn(Fact::Headers(vec![tip])).expect("fits");
    assert_eq!(follow.next(), Next::Head);
}

#[test]
fn what_a_range_brings_after_an_audit_waits_for_the_next() {
    for is_recorded in [true, false] {
        let mut model = Model::new(60);
        model.finalized = 40;
        let mut kept = Kept::default();
        let mut follow = Follow::restore(rules(), None, &[]);
        settle(&mut follow, &model, &mut kept);
        follow.audited();
        assert!(!follow.needs_audit());
        if is_recorded {
            settle(&mut follow, &model, &mut kept);
        }
        let mark = kept.cursor.map(|cursor| cursor.audited_to);
        assert_eq!(mark, Some(if is_recorded { 59 } else { 0 }));
        model.mine(60);
        model.finalized = 100;
        follow.look();
        settle(&mut follow, &model, &mut kept);
        assert_eq!(kept.ranges, [(0, 40), (60, 100)]);
        assert_eq!(kept.cursor.map(|cursor| cursor.tip.number), Some(119));
        assert_eq!(kept.cursor.map(|cursor| cursor.audited_to), mark);
        assert!(follow.needs_audit());
    }
}

#[test]
fn what_was_read_again_moves_nothing_but_the_revision() {
    let (mut follow, model, kept) = followed(10);
    let before = kept.cursor.expect("stands");
    let commit = follow.reread_commit(Vec::new()).expect("there is a cursor");
    assert_eq!(commit.expected_revision, Some(before.revision));
    let after = CursorRecord { revision: before.revision + 1, ..before };
    assert_eq!(commit.cursor, after);
    follow.reread_committed(commit.cursor);
    assert_eq!(follow.cursor(), Some(&after));
    assert_eq!(follow.window().hash_at(9), Some(model.block(9).hash));
    assert!(Follow::restore(rules(), None, &[]).reread_commit(Vec::new()).is_none());
}

#[test]
fn a_tag_counts_in_a_commit_only_where_it_names_a_block_that_is_ours_then() {
    let finalized_by = |model: &Model, follow: &Follow, told: BlockRef| {
        let mut follow = follow.clone();
        follow.tags_seen(told_final(told));
        go_to_proof(&mut follow, model);
        let proven = follow.to_prove().iter().map(prove).collect();
        follow.learn(Fact::Proven(proven)).expect("fits");
        follow.take_commit().expect("offered").cursor.tags.finalized_number
    };
    let (follow, before, _) = followed(10);
    let mut longer = before.clone();
    longer.mine(3);
    let mut other = before.clone();
    other.reorg(3, 4);
    for (case, model, told, finalized) in [
        ("ours below", &longer, longer.block(5), 5),
        ("dead below", &longer, dead(longer.block(5)), 0),
        ("comes", &longer, longer.block(11), 11),
        ("dead among those that come", &longer, dead(longer.block(11)), 0),
        ("ours below the branch", &other, other.block(6), 6),
        ("dead below the branch", &other, dead(other.block(6)), 0),
        ("comes with the branch", &other, other.block(8), 8),
        ("leaves with the branch", &other, before.block(8), 0),
    ] {
        assert_eq!(finalized_by(model, &follow, told), finalized, "{case}");
    }
}

#[test]
fn proofs_are_taken_for_the_blocks_asked_for_alone_and_with_their_own_transfers_in_log_order() {
    let (mut follow, mut model, _) = followed(6);
    model.mine(2);
    let (first, second) = (prove(&model.canonical[6]), prove(&model.canonical[7]));
    let paid = |block: BlockRef, log_index: u32| Transfer {
        key: TransferKey {
            chain_id: CHAIN,
            tx_hash: B256::repeat_byte(1),
            token: Address::repeat_byte(2),
            treasury: Address::repeat_byte(3),
            direction: Direction::In,
            ordinal: log_index,
        },
        counterparty: Address::repeat_byte(4),
        base_units: U256::from(1),
        block,
        log_index,
        reference: Some(None),
    };
    let with = |transfers: Vec<Transfer>| ProvenBlock { transfers, ..first.clone() };
    let (own, foreign) = (first.header.block, second.header.block);
    let in_part = Some(Disagreement::BranchInPart { number: 7 });
    let wrong = Some(Disagreement::WrongProof { number: 6 });
    for (case, proven, refusal) in [
        ("none", vec![], in_part),
        ("one more", vec![first.clone(), second.clone(), second.clone()], in_part),
        ("the upper first", vec![second.clone(), first.clone()], wrong),
        ("another block's", vec![with(vec![paid(own, 0), paid(foreign, 1)])], wrong),
        ("out of order", vec![with(vec![paid(own, 1), paid(own, 0)])], wrong),
        ("in order", vec![with(vec![paid(own, 0), paid(own, 1)])], None),
        ("all", vec![first.clone(), second], None),
    ] {
        go_to_proof(&mut follow, &model);
        let learned = follow.learn(Fact::Proven(proven));
        assert_eq!(learned.err(), refusal, "{case}");
        let next = if refusal.is_some() { Next::Head } else { Next::Commit };
        assert_eq!(follow.next(), next, "{case}");
    }
}
