//! What the machine does about each kind of head, one at a time.

use inspay_ports::{ChainTags, CursorRecord, Proof, TaggedBlocks};
use inspay_primitives::{B256, BlockRef};

use super::{
    Disagreement, Fact, Follow, HaltReason, Idle, Next,
    model::{Kept, Model, Turn, followed, prove, questions, rules, settle, turn},
};

fn assert_follows(model: &Model, kept: &Kept) {
    let applied: Vec<_> = kept.canonical.values().copied().collect();
    let canonical: Vec<_> = model.canonical.iter().map(|header| header.block.hash).collect();
    assert_eq!(applied, canonical);
}

#[test]
fn a_chain_is_followed_from_its_first_block_in_shared_commits() {
    let (mut follow, mut model, mut kept) = followed(1);
    model.mine(20);
    assert_eq!(settle(&mut follow, &model, &mut kept), Turn::Idle(Idle::AtHead));
    assert_follows(&model, &kept);
    assert_eq!(kept.commits, [(0, 8), (0, 8), (0, 4)]);
    assert_eq!(kept.cursor.map(|cursor| cursor.audited_to), Some(20));
}

#[test]
fn one_block_more_needs_no_question_but_the_head() {
    let (mut follow, mut model, mut kept) = followed(5);
    model.mine(1);
    let asked = questions(&mut follow, &model, &mut kept);
    assert_eq!(asked, [Next::Head, Next::Prove, Next::Commit, Next::Idle(Idle::AtHead)]);
    assert_eq!(kept.commits, [(0, 1)]);
}

#[test]
fn a_gap_is_fetched_by_number_in_one_question() {
    let (mut follow, mut model, mut kept) = followed(5);
    model.mine(4);
    let asked = questions(&mut follow, &model, &mut kept);
    let expected = [
        Next::Head,
        Next::Headers { from: 5, to: 7 },
        Next::Prove,
        Next::Commit,
        Next::Idle(Idle::AtHead),
    ];
    assert_eq!(asked, expected);
}

#[test]
fn a_lower_head_on_our_chain_is_a_node_that_lags() {
    let (mut follow, model, mut kept) = followed(10);
    let lower = model.at(6).expect("mined").clone();
    follow.look();
    assert_eq!(turn(&mut follow, &model, &lower, &mut kept), Turn::Went);
    assert_eq!(follow.next(), Next::Idle(Idle::NodeLags { head_number: 6 }));
    assert_follows(&model, &kept);
}

#[test]
fn a_lower_head_on_another_branch_is_a_lag_while_the_chain_still_has_our_tip() {
    let (mut follow, model, mut kept) = followed(10);
    let mut stale = model.clone();
    stale.reorg(6, 2);
    let lower = stale.head().clone();
    follow.look();
    follow.learn(Fact::Head(lower)).expect("fits");
    assert_eq!(follow.next(), Next::HeaderAt(9));
    follow.learn(Fact::Header(model.head().clone())).expect("fits");
    assert_eq!(follow.next(), Next::Idle(Idle::NodeLags { head_number: 5 }));
    assert_eq!(settle(&mut follow, &model, &mut kept), Turn::Idle(Idle::AtHead));
    assert!(kept.commits.is_empty());
}

#[test]
fn a_shorter_branch_replaces_a_longer_one_once_the_chain_has_nothing_at_our_height() {
    let (mut follow, mut model, mut kept) = followed(10);
    model.reorg(6, 2);
    let asked = questions(&mut follow, &model, &mut kept);
    assert_eq!(asked[..3], [Next::Head, Next::HeaderAt(9), Next::HeaderAt(5)]);
    assert_follows(&model, &kept);
    assert_eq!(kept.commits, [(6, 2)]);
    let cursor = kept.cursor.expect("stands");
    assert_eq!((cursor.epoch, cursor.audited_to, cursor.tip.number), (1, 5, 5));
}

#[test]
fn a_chain_that_only_lost_blocks_is_taken_for_a_node_that_lags() {
    let (mut follow, mut model, mut kept) = followed(10);
    model.reorg(3, 0);
    assert_eq!(
        settle(&mut follow, &model, &mut kept),
        Turn::Idle(Idle::NodeLags { head_number: 6 })
    );
    model.mine(1);
    assert_eq!(settle(&mut follow, &model, &mut kept), Turn::Idle(Idle::AtHead));
    assert_follows(&model, &kept);
    assert_eq!(kept.commits, [(3, 1)]);
}

#[test]
fn a_branch_is_swapped_in_whole_in_one_commit() {
    for (depth, blocks) in [(1, 1), (1, 2), (2, 2), (5, 5), (5, 6), (7, 30), (9, 9)] {
        let (mut follow, mut model, mut kept) = followed(20);
        model.reorg(depth, blocks);
        assert_eq!(settle(&mut follow, &model, &mut kept), Turn::Idle(Idle::AtHead));
        assert_follows(&model, &kept);
        let (orphaned, added) = kept.commits[0];
        assert_eq!(orphaned as u64, depth, "{depth} by {blocks}");
        assert!(added as u64 >= depth.min(blocks), "{depth} by {blocks}: {:?}", kept.commits);
        assert_eq!(kept.cursor.map(|cursor| cursor.epoch), Some(1));
    }
}

#[test]
fn a_branch_that_comes_back_is_applied_again() {
    let (mut follow, mut model, mut kept) = followed(10);
    model.reorg(3, 4);
    settle(&mut follow, &model, &mut kept);
    model.bring_back(0);
    model.mine(2);
    assert_eq!(settle(&mut follow, &model, &mut kept), Turn::Idle(Idle::AtHead));
    assert_follows(&model, &kept);
    assert_eq!(kept.commits, [(3, 4), (4, 5)]);
}

#[test]
fn a_branch_that_changed_over_a_restart_is_found_from_the_stored_window() {
    for blocks in [2, 5, 9] {
        let (_, mut model, mut kept) = followed(12);
        model.reorg(4, blocks);
        let mut follow = Follow::restore(rules(), kept.cursor, &kept.window());
        assert!(!follow.is_checked());
        assert_eq!(settle(&mut follow, &model, &mut kept), Turn::Idle(Idle::AtHead));
        assert_follows(&model, &kept);
        assert!(follow.is_checked());
        assert_eq!(kept.commits[0].0, 4);
    }
}

#[test]
fn a_stored_tip_is_checked_before_ranges_are_read() {
    let (_, mut model, mut kept) = followed(12);
    model.reorg(4, 60);
    model.finalized = 50;
    let mut follow = Follow::restore(rules(), kept.cursor, &kept.window());
    let asked = questions(&mut follow, &model, &mut kept);
    assert_eq!(asked[..2], [Next::Head, Next::Headers { from: 11, to: 27 }]);
    assert_follows(&model, &kept);
    assert_eq!(kept.commits[0], (4, 4));
    assert_eq!(kept.ranges, [(12, 50)]);
}

#[test]
fn a_stored_tip_counts_only_with_blocks_that_stand_on_it() {
    let (_, mut model, kept) = followed(12);
    let mut other = model.clone();
    other.reorg(1, 60);
    model.mine(60);
    let ask = |finalized: BlockRef| {
        let mut follow = Follow::restore(rules(), kept.cursor, &kept.window());
        follow.tags_seen(TaggedBlocks { safe: None, finalized: Some(finalized) });
        follow.learn(Fact::Head(model.head().clone())).expect("fits");
        assert_eq!(follow.next(), Next::Headers { from: 11, to: finalized.number.min(27) });
        follow
    };
    let told = |model: &Model, to: u64| -> Vec<_> {
        (11..=to).map(|number| model.at(number).expect("mined").clone()).collect()
    };
    // A dead tip, told with blocks of the chain.
    let mut mixed = told(&other, 27);
    mixed[0] = model.at(11).expect("mined").clone();
    let wrong = ask(other.block(50)).learn(Fact::Headers(mixed));
    assert_eq!(wrong, Err(Disagreement::Unlinked { number: 12 }));
    // A whole branch that is not the final one.
    let wrong = ask(other.block(27)).learn(Fact::Headers(told(&model, 27)));
    let (asked, got) = (other.block(27).hash, model.block(27).hash);
    assert_eq!(wrong, Err(Disagreement::WrongHash { asked, got }));
    let mut follow = ask(model.block(50));
    follow.learn(Fact::Headers(told(&model, 27))).expect("fits");
    assert_eq!(follow.next(), Next::Ranges { from: 12, to: 50 });
    assert!(follow.is_checked());
}

#[test]
fn a_head_below_finality_does_not_lower_it() {
    let mut model = Model::new(60);
    model.finalized = 40;
    let mut follow = Follow::restore(rules(), None, &[]);
    let dead = model.at(9).expect("mined").clone();
    assert_eq!(turn(&mut follow, &model, &dead, &mut Kept::default()), Turn::Went);
    assert_eq!(follow.next(), Next::Ranges { from: 0, to: 40 });
    assert_eq!(follow.told_final(40), Some(model.block(40).hash));
    assert_eq!(follow.told_final(39), None);
}

#[test]
fn what_ranges_brought_counts_as_whole_only_after_the_audit() {
    let mut model = Model::new(60);
    model.finalized = 40;
    let mut kept = Kept::default();
    let mut follow = Follow::restore(rules(), None, &[]);
    assert_eq!(settle(&mut follow, &model, &mut kept), Turn::Idle(Idle::AtHead));
    assert_follows(&model, &kept);
    assert_eq!(kept.ranges, [(0, 40)]);
    assert_eq!(kept.cursor.map(|cursor| (cursor.tip.number, cursor.audited_to)), Some((59, 0)));
    assert!(follow.needs_audit());

    let mut again = Follow::restore(rules(), kept.cursor, &kept.window());
    assert!(again.needs_audit(), "also after a restart");
    settle(&mut again, &model, &mut kept);

    again.audited();
    assert_eq!(again.next(), Next::Commit);
    settle(&mut again, &model, &mut kept);
    assert_eq!(kept.cursor.map(|cursor| cursor.audited_to), Some(59));
    assert!(!again.needs_audit());

    model.mine(2);
    settle(&mut again, &model, &mut kept);
    assert_eq!(kept.cursor.map(|cursor| cursor.audited_to), Some(61));
}

#[test]
fn a_branch_below_finality_halts_and_a_chain_that_comes_back_goes_on() {
    let (mut follow, mut model, mut kept) = followed(20);
    model.finalized = 15;
    settle(&mut follow, &model, &mut kept);
    let commits = kept.commits.len();
    let honest = model.clone();
    model.finalized = 12;
    model.reorg(7, 9);
    let Turn::Halted(reason) = settle(&mut follow, &model, &mut kept) else {
        panic!("goes on: {follow:?}")
    };
    let HaltReason::ReorgBelowFinalized { number, ours, theirs, floor } = reason;
    assert_eq!((number, floor), (15, 15));
    assert_eq!(ours, honest.block(15).hash);
    assert_eq!(theirs, model.block(15).hash);
    assert_eq!(reason.code(), "reorg_below_finalized");
    assert_eq!(kept.commits.len(), commits, "nothing is committed");
    assert!(matches!(settle(&mut follow, &model, &mut kept), Turn::Halted(_)), "it keeps telling");
    assert_eq!(settle(&mut follow, &honest, &mut kept), Turn::Idle(Idle::AtHead));
}

#[test]
fn another_genesis_halts() {
    let (mut follow, _, mut kept) = followed(5);
    let mut other = Model::new(1);
    other.finalized = 0;
    let mut strange = Model::default();
    strange.mine(1);
    strange.canonical[0].block.hash = B256::repeat_byte(0xee);
    let mut head = strange.canonical[0].clone();
    head.block.number = 4;
    head.block.hash = B256::repeat_byte(0xef);
    follow.look();
    follow.learn(Fact::Head(head.clone())).expect("fits");
    let mut lower = head;
    while let Next::HeaderByHash(hash) = follow.next() {
        lower.block.number -= 1;
        lower.block.hash = hash;
        lower.parent_hash =
            B256::with_last_byte(u8::try_from(lower.block.number).expect("small") + 100);
        follow.learn(Fact::Header(lower.clone())).expect("fits");
        if let Next::Headers { from, to } = follow.next() {
            let mut headers = Vec::new();
            for number in (from..=to).rev() {
                let mut header = lower.clone();
                header.block.number = number;
                header.block.hash = lower.parent_hash;
                header.parent_hash =
                    B256::with_last_byte(u8::try_from(number).expect("small") + 50);
                lower = header.clone();
                headers.insert(0, header);
            }
            follow.learn(Fact::Headers(headers)).expect("fits");
        }
    }
    assert!(matches!(follow.next(), Next::Halt(_)), "{:?}", follow.next());
    assert!(kept.commits.drain(..).next().is_none());
}

#[test]
fn the_first_followed_block_may_be_replaced_while_it_is_not_final() {
    let mut model = Model::new(12);
    model.finalized = 5;
    let mut kept = Kept::default();
    let rules = super::FollowRules { start_number: 10, ..rules() };
    let mut follow = Follow::restore(rules, None, &[]);
    assert_eq!(settle(&mut follow, &model, &mut kept), Turn::Idle(Idle::AtHead));
    model.reorg(4, 6);
    assert_eq!(settle(&mut follow, &model, &mut kept), Turn::Idle(Idle::AtHead));
    let numbers: Vec<_> = kept.canonical.keys().copied().collect();
    assert_eq!(numbers, [10, 11, 12, 13]);
    assert_eq!(kept.canonical[&10], model.block(10).hash);
}

#[test]
fn a_chain_that_has_not_reached_the_first_block_is_waited_for() {
    let mut model = Model::new(4);
    let mut kept = Kept::default();
    let rules = super::FollowRules { start_number: 6, ..rules() };
    let mut follow = Follow::restore(rules, None, &[]);
    let waits = Turn::Idle(Idle::BeforeStart { head_number: 3 });
    assert_eq!(settle(&mut follow, &model, &mut kept), waits);
    model.mine(3);
    assert_eq!(settle(&mut follow, &model, &mut kept), Turn::Idle(Idle::AtHead));
    assert_eq!(kept.canonical.len(), 1);
}

#[test]
fn without_a_tag_finality_goes_by_depth() {
    let model = Model::new(200);
    let mut kept = Kept::default();
    let rules = super::FollowRules { finality_depth: 100, ..rules() };
    let mut follow = Follow::restore(rules, None, &[]);
    settle(&mut follow, &model, &mut kept);
    assert_eq!(kept.ranges, [(0, 99)]);
    let tags = kept.cursor.map(|cursor| cursor.tags);
    assert_eq!(tags, Some(ChainTags { safe_number: 99, finalized_number: 99 }));
}

#[test]
fn tags_never_fall_and_never_pass_the_tip() {
    let (mut follow, mut model, mut kept) = followed(10);
    let tags = |kept: &Kept| {
        let tags = kept.cursor.expect("stands").tags;
        (tags.safe_number, tags.finalized_number)
    };
    follow.look();
    let block = |model: &Model, number| Some(model.block(number));
    let beyond = BlockRef { number: 50, ..model.block(9) };
    let told = TaggedBlocks { safe: Some(beyond), finalized: block(&model, 4) };
    assert!(follow.tags_seen(told));
    settle(&mut follow, &model, &mut kept);
    assert_eq!(tags(&kept), (4, 4), "what is told of blocks to come says nothing of ours");
    follow.tags_seen(TaggedBlocks { safe: block(&model, 9), finalized: block(&model, 4) });
    settle(&mut follow, &model, &mut kept);
    assert_eq!(tags(&kept), (9, 4));
    let dead = |number| Some(BlockRef { hash: B256::repeat_byte(0xdd), ..model.block(number) });
    assert!(!follow.tags_seen(TaggedBlocks { safe: dead(9), finalized: dead(8) }));
    settle(&mut follow, &model, &mut kept);
    assert_eq!(tags(&kept), (9, 4), "blocks of another branch say nothing of ours");
    follow.tags_seen(TaggedBlocks { safe: block(&model, 2), finalized: None });
    model.mine(1);
    settle(&mut follow, &model, &mut kept);
    assert_eq!(tags(&kept), (9, 4));
    model.finalized = 4;
    model.reorg(3, 5);
    settle(&mut follow, &model, &mut kept);
    assert_eq!(tags(&kept), (7, 4), "safe blocks that left are safe no more");
}

#[test]
fn the_window_is_kept_from_finality_on() {
    let (mut follow, mut model, mut kept) = followed(10);
    model.finalized = 6;
    model.mine(2);
    settle(&mut follow, &model, &mut kept);
    assert_eq!(kept.window.keys().copied().collect::<Vec<_>>(), [6, 7, 8, 9, 10, 11]);
    assert_eq!(follow.window().first_number(), Some(6));
}

#[test]
fn answers_to_other_questions_are_refused_and_change_nothing() {
    let (mut follow, mut model, kept) = followed(6);
    let before: Option<CursorRecord> = kept.cursor;
    model.mine(4);
    let head = model.head().clone();
    let wrong_number = Fact::Headers(vec![model.at(2).expect("mined").clone()]);
    let short = Fact::Headers(vec![model.at(6).expect("mined").clone()]);
    let mut torn = vec![model.at(6).expect("mined").clone(); 3];
    torn[1] = model.at(7).expect("mined").clone();
    torn[2] = model.at(8).expect("mined").clone();
    torn[1].parent_hash = B256::repeat_byte(0xaa);
    for (fact, refusal) in [
        (wrong_number, Some(Disagreement::WrongNumber { asked: 6, got: 2 })),
        (short, Some(Disagreement::Vanished)),
        (Fact::Missing, Some(Disagreement::Unasked)),
        (Fact::Headers(torn), None),
    ] {
        follow.look();
        follow.learn(Fact::Head(head.clone())).expect("fits");
        assert_eq!(follow.next(), Next::Headers { from: 6, to: 8 });
        let learned = follow.learn(fact);
        match refusal {
            Some(refusal) => assert_eq!((learned, follow.next()), (Err(refusal), Next::Head)),
            None => assert_eq!(follow.next(), Next::HeaderByHash(head.parent_hash), "by hash then"),
        }
        assert_eq!(follow.cursor().copied(), before);
    }
}

#[test]
fn a_proof_must_be_of_the_block_and_a_branch_must_be_proven_whole() {
    let (mut follow, mut model, _) = followed(6);
    model.mine(2);
    let to_prove = |follow: &mut Follow, model: &Model| {
        follow.look();
        follow.learn(Fact::Head(model.head().clone())).expect("fits");
        let mut kept = Kept::default();
        while follow.next() != Next::Prove {
            assert_eq!(turn(follow, model, model.head(), &mut kept), Turn::Went);
        }
        follow.to_prove().to_vec()
    };
    let leg = to_prove(&mut follow, &model);
    let wrong = follow.learn(Fact::Proven(vec![prove(model.at(3).expect("mined"))]));
    assert_eq!(wrong, Err(Disagreement::WrongProof { number: 6 }));

    to_prove(&mut follow, &model);
    assert!(!follow.changes_branch());
    follow.learn(Fact::Proven(vec![prove(&leg[0])])).expect("a part of a longer chain will do");
    let commit = follow.take_commit().expect("offered");
    assert_eq!(commit.cursor.tip.number, 6);
    assert_eq!(commit.added[0].proof, Proof::Bloom);

    let (mut follow, mut model, _) = followed(6);
    model.reorg(2, 3);
    let leg = to_prove(&mut follow, &model);
    assert!(follow.changes_branch());
    let part = follow.learn(Fact::Proven(vec![prove(&leg[0])]));
    assert_eq!(part, Err(Disagreement::BranchInPart { number: 6 }));
    assert_eq!(follow.next(), Next::Head);
}

#[test]
fn a_commit_whose_end_is_unknown_is_not_built_upon() {
    let (mut follow, mut model, mut kept) = followed(6);
    model.mine(1);
    follow.look();
    while follow.next() != Next::Commit {
        turn(&mut follow, &model, &model.head().clone(), &mut kept);
    }
    assert!(follow.take_commit().is_some());
    assert!(follow.take_commit().is_none(), "offered once");
    assert_eq!(follow.next(), Next::Head);
    assert_eq!(follow.cursor().map(|cursor| cursor.tip.number), Some(5));
}
