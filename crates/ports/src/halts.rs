//! Halts: of which assets nothing is credited, since what is recorded of them is not known to be whole.

use async_trait::async_trait;
use inspay_ledger::TransferRecord;
use inspay_primitives::{Address, AssetId, CaseClosing, CaseOpening, ChainId, Fence, Timestamp};

use crate::StoreError;

/// Why nothing is credited of an asset: one of its treasuries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetHalt {
    /// The asset: all of its transfers wait, to whatever treasury.
    pub asset: AssetId,
    /// The treasury whose transfers are not known to be whole.
    pub treasury: Address,
    /// Since when.
    pub halted_at: Timestamp,
    /// The block at whose end it was found last.
    pub found_at: u64,
    /// Why, for people.
    pub why: String,
}

/// What an audit changes: halts that begin, stay for another reason, or end, with their cases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HaltsCommit {
    /// The chain, and the holding of its lease under which this was found.
    pub fence: Fence,
    /// Halts that begin. One that is there already keeps its beginning and takes the rest.
    pub halted: Vec<AssetHalt>,
    /// Halts that end.
    pub lifted: Vec<(AssetId, Address)>,
    /// Cases that are over.
    pub resolved: Vec<CaseClosing>,
    /// Cases to open.
    pub opened: Vec<CaseOpening>,
}

/// What is known not to be whole.
///
/// While an asset is halted, [`crate::BooksStore`] finds none of its transfers to settle and none of its orders to
/// close, and counts none of its transfers as the oldest; and what a batch loads says so, so that nothing that was
/// planned before is posted after.
#[async_trait]
pub trait HaltStore: Send + Sync + std::fmt::Debug {
    /// The halts of a chain's assets, by asset and treasury.
    async fn halts(&self, chain: ChainId) -> Result<Vec<AssetHalt>, StoreError>;

    /// Canonical transfers of halted assets that are not settled, oldest block first, at most `limit`.
    async fn halted_transfers(
        &self,
        chain: ChainId,
        limit: u32,
    ) -> Result<Vec<TransferRecord>, StoreError>;

    /// Begins and ends halts. One commit, and no batch of the books is written beside it: one that is under way is
    /// committed before, and one that comes after sees it. Fails with `Fenced`, changing nothing, unless the chain's
    /// lease is held under that number or was never held by anybody.
    async fn commit_halts(&self, commit: HaltsCommit) -> Result<(), StoreError>;
}
