//! What goes into the machine and what comes out of it.

use inspay_ports::{Header, ProvenBlock};
use inspay_primitives::B256;

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Ask for the head; answer [`Fact::Head`].
    Head,
    /// Ask for the canonical header at that height; answer [`Fact::Header`] or [`Fact::Missing`].
    HeaderAt(u64),
    /// Ask for the header with that hash; answer [`Fact::Header`] or [`Fact::Missing`].
    HeaderByHash(B256),
    /// Ask for canonical headers by number; answer [`Fact::Headers`].
    Headers {
        /// First.
        from: u64,
        /// Last.
        to: u64,
    },
    /// Prove the blocks of [`Follow::to_prove`](super::Follow::to_prove); answer [`Fact::Proven`].
    Prove,
    /// Store [`Follow::take_commit`](super::Follow::take_commit), then call
    /// [`Follow::committed`](super::Follow::committed).
    Commit,
    /// Read that finalized span in ranges, committing with [`Follow::range_commit`](super::Follow::range_commit) and
    /// [`Follow::range_committed`](super::Follow::range_committed) until its last block is the tip.
    Ranges {
        /// First.
        from: u64,
        /// Last.
        to: u64,
    },
    /// Wait, then [`Follow::look`](super::Follow::look) again.
    Idle(Idle),
    /// Commit nothing; say why; [`Follow::look`](super::Follow::look) again later, in case it was the node that erred.
    Halt(HaltReason),
}

/// Why there is nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// Our tip is the head.
    AtHead,
    /// The node shows a head on our chain or below our window: it lags.
    NodeLags {
        /// Its head.
        head_number: u64,
    },
    /// The chain has not reached the first followed block.
    BeforeStart {
        /// Its head.
        head_number: u64,
    },
}

/// Why nothing may be committed any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HaltReason {
    /// The chain contradicts a block of ours that cannot be given up.
    #[error(
        "reorg_below_finalized: block {number} is {ours} here and {theirs} on the chain, and blocks up to {floor} are final; \
         `inspay rescan` reads the chain again"
    )]
    ReorgBelowFinalized {
        /// Height of the contradiction.
        number: u64,
        /// Our hash.
        ours: B256,
        /// The chain's hash.
        theirs: B256,
        /// Nothing at or below this height may change.
        floor: u64,
    },
}

impl HaltReason {
    /// A stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ReorgBelowFinalized { .. } => "reorg_below_finalized",
        }
    }
}

/// What was found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The newest header.
    Head(Header),
    /// The header asked for.
    Header(Header),
    /// The node does not have the header asked for.
    Missing,
    /// The headers asked for, oldest first.
    Headers(Vec<Header>),
    /// The blocks to prove, oldest first. Fewer are taken only where no branch changes.
    Proven(Vec<ProvenBlock>),
}

/// An answer that contradicts its question or the answers before it. The node is to be asked again from
/// a fresh head; nothing is skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Disagreement {
    /// Another height than asked.
    #[error("asked for block {asked}, got block {got}")]
    WrongNumber {
        /// Asked for.
        asked: u64,
        /// Given.
        got: u64,
    },
    /// Another hash than asked.
    #[error("asked for block {asked}, got block {got}")]
    WrongHash {
        /// Asked for.
        asked: B256,
        /// Given.
        got: B256,
    },
    /// The headers of one answer are of different branches.
    #[error("block {number} does not stand on the block below it in the same answer")]
    Unlinked {
        /// The upper one.
        number: u64,
    },
    /// A header at or below a head that was shown is not there.
    #[error("a block at or below the head is missing")]
    Vanished,
    /// A proof is of another block, or its transfers are.
    #[error("the proof of block {number} is not of that block")]
    WrongProof {
        /// The block.
        number: u64,
    },
    /// A branch was handed over in part.
    #[error("the branch up to block {number} is not proven whole")]
    BranchInPart {
        /// Its last block.
        number: u64,
    },
    /// The answer is to a question that was not asked.
    #[error("that answer was not asked for")]
    Unasked,
}
