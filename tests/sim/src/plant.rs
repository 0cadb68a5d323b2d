//! Planted bugs: what a careless follower or settlement would do, put between the product and its ports.
//!
//! Never in the product: none of its code knows that these exist.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use inspay_ledger::{Act, Decision, Evidence, LateTerms, Operation, Outcome};
use inspay_ledger_writer::LedgerWriter;
use inspay_ports::{
    BlocksCommit, FollowStore as _, OrderFilter, Page, Proof, ProvenBlock, ReadStore as _,
    SaleStore as _, TransferFilter, fake::FakeStore,
};
use inspay_primitives::{
    Credits, Direction, Fence, Order, Reference, Rounding, Transfer, TransferKey, U256, mul_div,
};
use inspay_settlement::{Books, BooksError};

use crate::{chain::CHAIN, endpoint::Shared};

macro_rules! plants {
    ($($name:ident = $code:literal, $seeds:literal, $text:literal;)+) => {
        /// A bug that the simulator must find.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Plant { $(#[doc = $text] $name,)+ }

        impl Plant {
            /// Every planted bug.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Its name on the command line.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// The bug for people.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// It must be found within so many seeds from the first one on.
            #[must_use]
            pub const fn seeds(self) -> u64 {
                match self { $(Self::$name => $seeds,)+ }
            }
        }
    };
}

plants! {
    EarlyCredit = "early-credit", 10, "credits before the confirmations";
    KeyByLogIndex = "key-by-log-index", 10, "keys a transfer by its log index";
    CursorBeforeRows = "cursor-before-rows", 10, "saves the cursor before the rows";
    SlotFreedAtExpiry = "slot-freed-at-expiry", 10, "frees an order's amount when it ends unpaid";
    ReversalSkipped = "reversal-skipped", 10, "never takes back what left the chain";
    AppliedTwice = "applied-twice", 10, "applies a log that is delivered twice twice";
    ProofSkipped = "proof-skipped", 10, "believes the logs of a block without a proof";
    OldBranchKept = "old-branch-kept", 10, "changes branch without flipping the old rows";
    MovedBlockIgnored = "moved-block-ignored", 10, "settles in another block than the one judged";
    LateAtOldRate = "late-at-old-rate", 10, "prices a late payment as if it came in time";
    ByTolerance = "by-tolerance", 10, "attributes by an amount that is about right";
    WrongAsset = "wrong-asset", 10, "attributes a payment in another asset";
    ZeroValueDropped = "zero-value-dropped", 10, "does not record transfers of nothing";
    SuspenseDropped = "suspense-dropped", 10, "forgets what belongs to nobody";
    RevisionIgnored = "revision-ignored", 10, "writes although the cursor has moved";
    OutgoingIgnored = "outgoing-ignored", 10, "does not follow transfers out";
    AuditSkipped = "audit-skipped", 30, "takes ranges for whole: neither asked again nor weighed";
    ClosedTooEarly = "closed-too-early", 10, "closes orders while older transfers wait";
    OldBranchCloses = "old-branch-closes", 50, "closes orders by a branch that was left";
    StaleCursor = "stale-cursor", 10, "counts confirmations under a head read earlier";
    AnyReference = "any-reference", 10, "reads a reference whoever was called";
}

impl Plant {
    /// The bug of that name.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|plant| plant.code() == code)
    }

    /// What becomes of a block's transfers before the follower sees them.
    pub(crate) fn spoil_transfers(self, shared: &Shared, transfers: &mut Vec<Transfer>) {
        if self == Self::KeyByLogIndex {
            for transfer in transfers.iter_mut() {
                transfer.key.ordinal = transfer.log_index;
            }
        } else if self == Self::AppliedTwice {
            let again = |transfer: &Transfer| {
                let ordinal = transfer.key.ordinal + 100;
                Transfer { key: TransferKey { ordinal, ..transfer.key }, ..*transfer }
            };
            let doubled = transfers.iter().filter(|transfer| transfer.log_index % 4 == 3);
            let doubled: Vec<Transfer> = doubled.map(again).collect();
            transfers.extend(doubled);
        } else if self == Self::ZeroValueDropped {
            transfers.retain(|transfer| !transfer.base_units.is_zero());
        } else if self == Self::OutgoingIgnored {
            transfers.retain(|transfer| transfer.key.direction == Direction::In);
        } else if self == Self::AnyReference {
            for transfer in transfers.iter_mut() {
                let trailer = trailer_of(shared, transfer);
                if trailer.is_some() && transfer.key.direction == Direction::In {
                    transfer.reference = Some(trailer);
                }
            }
        }
    }

    /// A block believed without a proof: what a range brought of it.
    pub(crate) fn believed(
        shared: &Shared,
        header: inspay_ports::Header,
        mut transfers: Vec<Transfer>,
    ) -> ProvenBlock {
        for transfer in &mut transfers {
            // What their calldata carries is read well enough.
            let chain = shared.chain();
            let real = chain.by_hash(&transfer.block.hash);
            let real = real.and_then(|block| block.transfers.get(&transfer.key.id()));
            transfer.reference = Some(real.and_then(|real| real.reference).flatten());
        }
        ProvenBlock { header, transfers, proof: Proof::ReceiptsRoot }
    }

    /// What becomes of a commit of the follower.
    pub(crate) async fn spoil_commit(self, store: &FakeStore, commit: &mut BlocksCommit) {
        if self == Self::RevisionIgnored {
            if let Ok(Some(cursor)) = store.cursor(CHAIN).await {
                commit.expected_revision = Some(cursor.revision);
            }
        } else if self == Self::OldBranchKept {
            let kept = left_behind(store, commit).await;
            if let Some(first) = commit.added.first_mut() {
                first.transfers.extend(kept);
            }
        }
    }
}

/// What stands behind the calldata of a call to another contract.
fn trailer_of(shared: &Shared, transfer: &Transfer) -> Option<Reference> {
    let chain = shared.chain();
    let block = chain.by_hash(&transfer.block.hash)?;
    block.txs.get(block.place_of(&transfer.key.tx_hash)?)?.trailer
}

/// The recorded transfers of the blocks that leave, as they were.
async fn left_behind(store: &FakeStore, commit: &BlocksCommit) -> Vec<Transfer> {
    if commit.orphaned.is_empty() {
        return Vec::new();
    }
    let page = Page { after: None, limit: 1_000 };
    let views = store.transfers(TransferFilter::default(), page).await.unwrap_or_default();
    let left =
        |transfer: &Transfer| commit.orphaned.iter().any(|block| block.hash == transfer.block.hash);
    let again = |transfer: &Transfer| {
        let mut added = commit.added.iter().flat_map(|applied| &applied.transfers);
        added.any(|added| added.key == transfer.key)
    };
    let transfers = views.into_iter().map(|view| view.transfer);
    transfers.filter(|transfer| left(transfer) && !again(transfer)).collect()
}

/// The way into the books, with or without a bug on it.
#[derive(Debug)]
pub(crate) struct SimBooks {
    pub(crate) writer: LedgerWriter,
    pub(crate) store: Arc<FakeStore>,
    pub(crate) plant: Option<Plant>,
}

impl SimBooks {
    async fn spoil(&self, plant: Plant, operation: Operation) -> Option<Operation> {
        let key = operation.key.clone();
        let act = match (plant, operation.act) {
            (
                Plant::MovedBlockIgnored,
                Act::Settle { transfer, generation, reference, decision, value, .. },
            ) => Act::Settle { transfer, generation, judged_in: None, reference, decision, value },
            (Plant::OldBranchCloses, Act::CloseOrder { order, chain_time, .. }) => {
                Act::CloseOrder { order, chain_time, judged_in: None }
            }
            (Plant::SuspenseDropped, Act::Settle { decision: Decision::Suspend { .. }, .. }) => {
                return None;
            }
            (
                Plant::LateAtOldRate | Plant::ByTolerance | Plant::WrongAsset,
                Act::Settle { transfer, generation, judged_in, reference, decision, value },
            ) => {
                let moved = self.store.transfer(transfer).await.ok().flatten();
                let decision = match moved {
                    Some(moved) => self.decide(plant, &moved.transfer, decision).await,
                    None => decision,
                };
                Act::Settle { transfer, generation, judged_in, reference, decision, value }
            }
            (_, act) => act,
        };
        Some(Operation { key, act, is_request: false })
    }

    async fn decide(&self, plant: Plant, transfer: &Transfer, decision: Decision) -> Decision {
        match (plant, decision) {
            (
                Plant::LateAtOldRate,
                Decision::Attribute { order, evidence, late: Some(LateTerms { rate, .. }) },
            ) => {
                let found = self.store.order(order).await.ok().flatten();
                let credits = found.and_then(|order| as_in_time(&order, transfer.base_units));
                let late = credits.unwrap_or(Credits::ZERO);
                Decision::Attribute {
                    order,
                    evidence,
                    late: Some(LateTerms { rate, credits: late }),
                }
            }
            (Plant::ByTolerance, Decision::Suspend { reason, candidates }) => {
                match self.about(transfer).await {
                    Some(order) => Decision::Attribute {
                        order: order.terms.id,
                        evidence: Evidence::ExactAmount,
                        late: None,
                    },
                    None => Decision::Suspend { reason, candidates },
                }
            }
            (Plant::WrongAsset, Decision::Suspend { candidates, reason }) => {
                match (candidates.first(), reason) {
                    (Some(order), inspay_ledger::SuspenseReason::WrongAsset) => {
                        Decision::Attribute {
                            order: *order,
                            evidence: Evidence::Reference,
                            late: None,
                        }
                    }
                    _ => Decision::Suspend { reason, candidates },
                }
            }
            (_, decision) => decision,
        }
    }

    /// An open order whose amount is within a hundredth of what came.
    async fn about(&self, transfer: &Transfer) -> Option<Order> {
        let page = Page { after: None, limit: 1_000 };
        let orders = self.store.orders(OrderFilter::default(), page).await.ok()?;
        let margin = transfer.base_units / U256::from(100);
        orders.into_iter().map(|(_, order)| order).find(|order| {
            let due = order.terms.due_base_units;
            order.terms.asset == transfer.key.asset()
                && order.terms.treasury == transfer.key.treasury
                && transfer.block.time <= order.terms.in_time_until()
                && due.abs_diff(transfer.base_units) <= margin
                && order.progress.received_base_units.is_zero()
        })
    }
}

fn as_in_time(order: &Order, base_units: U256) -> Option<Credits> {
    let whole = order.terms.credits.to_u256_micros();
    let credits = mul_div(whole, base_units, order.terms.due_base_units, Rounding::Down).ok()?;
    Credits::from_u256_micros(credits).ok()
}

#[async_trait]
impl Books for SimBooks {
    async fn write(
        &self,
        fence: Fence,
        operations: Vec<Operation>,
    ) -> Result<Vec<Outcome>, BooksError> {
        let operations = match self.plant {
            None => operations,
            Some(plant) => {
                let closes = operations.iter().any(|one| matches!(one.act, Act::CloseOrder { .. }));
                if plant == Plant::MovedBlockIgnored || plant == Plant::OldBranchCloses && closes {
                    // Such a bug needs time between the judgement and the write: of the simulated clock, which nobody waits for.
                    tokio::time::sleep(Duration::from_secs(10)).await;
                }
                let mut spoiled = Vec::with_capacity(operations.len());
                for operation in operations {
                    spoiled.extend(self.spoil(plant, operation).await);
                }
                spoiled
            }
        };
        self.writer.write_fenced(fence, operations).await.map_err(|error| BooksError {
            transient: error.is_transient(),
            source: Box::new(error),
        })
    }
}
