//! A chain and a store as small as they can be, for testing the machine alone.

use std::collections::{BTreeMap, HashMap};

use inspay_ports::{CursorRecord, Header, Proof, ProvenBlock, TaggedBlocks, WindowBlock};
use inspay_primitives::{B256, BlockRef, ChainId, FencingNumber, Timestamp, U256};

use super::{Fact, Follow, FollowRules, HaltReason, Idle, Next};

pub(super) const CHAIN: ChainId = ChainId(31_337);

pub(super) fn rules() -> FollowRules {
    FollowRules {
        chain_id: CHAIN,
        fencing: FencingNumber::UNLEASED,
        start_number: 0,
        finality_depth: 1_000,
        batch_blocks: 8,
        range_blocks_min: 16,
        window_blocks_max: 1_000,
    }
}

/// A chain with every block it ever had.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) canonical: Vec<Header>,
    known: HashMap<B256, Header>,
    pub(super) left: Vec<Vec<Header>>,
    pub(super) finalized: u64,
    made: u64,
}

impl Model {
    pub(super) fn new(blocks: u64) -> Self {
        let mut model = Self::default();
        model.mine(blocks);
        model
    }

    pub(super) fn mine(&mut self, blocks: u64) {
        for _ in 0..blocks {
            self.made += 1;
            let number = self.canonical.len() as u64;
            let block = BlockRef {
                number,
                hash: B256::from(U256::from(self.made)),
                time: Timestamp::from_chain_seconds(number * 12),
            };
            let parent_hash = self.canonical.last().map_or(B256::ZERO, |last| last.block.hash);
            let header = Header {
                block,
                parent_hash,
                receipts_root: B256::ZERO,
                logs_bloom: Box::new([0; 256]),
            };
            self.known.insert(block.hash, header.clone());
            self.canonical.push(header);
        }
    }

    pub(super) fn head(&self) -> &Header {
        self.canonical.last().expect("has a genesis")
    }

    /// Replaces the newest `depth` blocks, above finality, by `blocks` new ones.
    pub(super) fn reorg(&mut self, depth: u64, blocks: u64) {
        let depth = depth.min(self.head().block.number.saturating_sub(self.finalized));
        self.left.push(self.canonical.clone());
        let keep = self.canonical.len() - usize::try_from(depth).expect("small");
        self.canonical.truncate(keep);
        self.mine(blocks);
    }

    /// Brings back a branch that left, if finality allows it.
    pub(super) fn bring_back(&mut self, which: usize) {
        let Some(branch) = self.left.get(which).cloned() else { return };
        let finalized = usize::try_from(self.finalized).expect("small");
        if branch.get(finalized).map(|header| header.block.hash)
            == self.canonical.get(finalized).map(|header| header.block.hash)
            && branch.len() > finalized
        {
            self.left.push(std::mem::replace(&mut self.canonical, branch));
        }
    }

    pub(super) fn at(&self, number: u64) -> Option<&Header> {
        self.canonical.get(usize::try_from(number).expect("small"))
    }

    pub(super) fn block(&self, number: u64) -> BlockRef {
        self.at(number).expect("mined").block
    }
}

/// What a store keeps of a chain.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    pub(super) cursor: Option<CursorRecord>,
    pub(super) window: BTreeMap<u64, WindowBlock>,
    pub(super) canonical: BTreeMap<u64, B256>,
    /// Orphaned and added of each commit near the head.
    pub(super) commits: Vec<(usize, usize)>,
    pub(super) ranges: Vec<(u64, u64)>,
}

impl Kept {
    pub(super) fn window(&self) -> Vec<WindowBlock> {
        self.window.values().copied().collect()
    }

    fn check_cursor(&self, expected: Option<i64>, after: &CursorRecord, orphaned: usize) {
        assert_eq!(self.cursor.map(|cursor| cursor.revision), expected);
        assert!(after.tags.finalized_number <= after.tags.safe_number);
        assert!(after.tags.safe_number <= after.tip.number);
        assert!(after.audited_to <= after.tip.number);
        if let Some(before) = self.cursor {
            assert_eq!(after.revision, before.revision + 1);
            assert_eq!(after.epoch, before.epoch + i64::from(orphaned > 0));
            assert!(after.tags.finalized_number >= before.tags.finalized_number);
            assert_eq!(after.start_number, before.start_number);
        }
    }
}

/// What one question came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Went,
    Idle(Idle),
    Halted(HaltReason),
}

/// Answers one question of the machine from the model; `head` is the head that the node shows.
pub(super) fn turn(follow: &mut Follow, model: &Model, head: &Header, kept: &mut Kept) -> Turn {
    let learned = match follow.next() {
        Next::Head => {
            let told = model.at(model.finalized).map(|header| header.block);
            follow.tags_seen(TaggedBlocks { safe: told, finalized: told });
            follow.learn(Fact::Head(head.clone()))
        }
        Next::HeaderAt(number) => {
            // A node that lags has nothing above its head.
            let found = model.at(number).filter(|_| number <= head.block.number);
            follow.learn(found.map_or(Fact::Missing, |header| Fact::Header(header.clone())))
        }
        Next::HeaderByHash(hash) => {
            let found = model.known.get(&hash);
            follow.learn(found.map_or(Fact::Missing, |header| Fact::Header(header.clone())))
        }
        Next::Headers { from, to } => {
            let headers = (from..=to).filter_map(|number| model.at(number).cloned()).collect();
            follow.learn(Fact::Headers(headers))
        }
        Next::Prove => {
            let proven = follow.to_prove().iter().map(prove).collect();
            follow.learn(Fact::Proven(proven))
        }
        Next::Commit => {
            commit(follow, kept);
            Ok(())
        }
        Next::Ranges { from, to } => {
            assert!(to <= model.finalized || model.finalized == 0);
            kept.ranges.push((from, to));
            // In two parts, as a reader with several answers would.
            for tip in [from + (to - from) / 2, to] {
                range(follow, model, tip, kept);
            }
            Ok(())
        }
        Next::Idle(idle) => return Turn::Idle(idle),
        Next::Halt(reason) => return Turn::Halted(reason),
    };
    if learned.is_err() {
        assert_eq!(follow.next(), Next::Head, "after a disagreement it looks again");
    }
    Turn::Went
}

pub(super) fn prove(header: &Header) -> ProvenBlock {
    ProvenBlock { header: header.clone(), transfers: Vec::new(), proof: Proof::Bloom }
}

fn commit(follow: &mut Follow, kept: &mut Kept) {
    let commit = follow.take_commit().expect("offered");
    kept.check_cursor(commit.expected_revision, &commit.cursor, commit.orphaned.len());
    let finalized = kept.cursor.map_or(0, |cursor| cursor.tags.finalized_number);
    let mut newest = kept.cursor.map_or(0, |cursor| cursor.tip.number);
    for block in &commit.orphaned {
        assert_eq!(block.number, newest);
        assert_eq!(
            kept.canonical.remove(&newest),
            Some(block.hash),
            "newest first, all of them ours"
        );
        assert!(newest > finalized || kept.cursor.is_none());
        kept.window.remove(&newest);
        newest = newest.saturating_sub(1);
    }
    for applied in &commit.added {
        let block = applied.block;
        assert_eq!(kept.canonical.insert(block.number, block.hash), None, "one block at a height");
        kept.window.insert(block.number, WindowBlock { block, proof: applied.proof });
    }
    assert_eq!(
        kept.canonical.last_key_value().map(|(_, hash)| *hash),
        Some(commit.cursor.tip.hash)
    );
    kept.window.retain(|number, _| *number >= commit.window_from);
    kept.commits.push((commit.orphaned.len(), commit.added.len()));
    kept.cursor = Some(commit.cursor);
    follow.committed();
}

fn range(follow: &mut Follow, model: &Model, tip: u64, kept: &mut Kept) {
    let first = kept.cursor.map_or(follow.rules().start_number, |cursor| cursor.tip.number + 1);
    if tip < first {
        return;
    }
    let commit = follow.range_commit(model.block(tip), Vec::new());
    kept.check_cursor(commit.expected_revision, &commit.cursor, 0);
    for number in first..=tip {
        kept.canonical.insert(number, model.block(number).hash);
    }
    let block = commit.cursor.tip;
    kept.window = BTreeMap::from([(tip, WindowBlock { block, proof: Proof::Range })]);
    kept.cursor = Some(commit.cursor);
    follow.range_committed(commit.cursor);
}

/// Answers until there is nothing to do, also under a fresh head.
pub(super) fn settle(follow: &mut Follow, model: &Model, kept: &mut Kept) -> Turn {
    let mut rests = 0;
    for _ in 0..1_000 {
        let turn = turn(follow, model, &model.head().clone(), kept);
        if turn != Turn::Went {
            rests += 1;
            if rests == 2 {
                return turn;
            }
            follow.look();
        }
    }
    panic!("the machine does not come to rest: {follow:?}");
}

/// A follower that has applied the whole of a chain of `blocks`.
pub(super) fn followed(blocks: u64) -> (Follow, Model, Kept) {
    let model = Model::new(blocks);
    let mut kept = Kept::default();
    let mut follow = Follow::restore(rules(), None, &[]);
    assert_eq!(settle(&mut follow, &model, &mut kept), Turn::Idle(Idle::AtHead));
    kept.commits.clear();
    (follow, model, kept)
}

/// The questions asked until the machine rests.
pub(super) fn questions(follow: &mut Follow, model: &Model, kept: &mut Kept) -> Vec<Next> {
    follow.look();
    let mut asked = Vec::new();
    loop {
        asked.push(follow.next());
        if turn(follow, model, &model.head().clone(), kept) != Turn::Went {
            return asked;
        }
    }
}
