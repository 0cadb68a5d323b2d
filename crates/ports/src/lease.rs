//! Leases: which one of several followers of a chain may write, until when, and under which number.
//!
//! A lease runs out by the database's clock, never by a process's. Its number grows with every change of holder and its
//! row is never removed, so that a holder that was paused cannot come back under a number that is valid again.

use std::time::Duration;

use async_trait::async_trait;
use inspay_primitives::{ChainId, Fence, FencingNumber};

use crate::{CursorRecord, StoreError};

/// The lease of one chain, as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseRecord {
    /// The chain.
    pub chain_id: ChainId,
    /// Who held it last, in its own words.
    pub holder: String,
    /// The present holding.
    pub number: FencingNumber,
    /// Whether the holder has found the stored window on the chain under that number.
    pub checked: bool,
    /// How long it is still held; zero once it has run out or was let go.
    pub remaining: Duration,
}

/// A wish to hold the lease of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseClaim {
    /// The chain.
    pub chain_id: ChainId,
    /// Who asks, in words that another process can tell it by.
    pub holder: String,
    /// For how long.
    pub ttl: Duration,
    /// A holding whose holder is known to be dead: it may be taken over before it has run out.
    pub from_dead: Option<FencingNumber>,
}

/// Where the follower of a chain stands, and whether its word can be credited by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowedCursor {
    /// Where it stands.
    pub cursor: CursorRecord,
    /// The holding that is valid now and has found the stored window on the chain; `None` while there is no such one.
    pub checked_by: Option<FencingNumber>,
}

impl FollowedCursor {
    /// What anything decided by this cursor is to be fenced by; `None` while nothing may be decided.
    #[must_use]
    pub fn fence(&self) -> Option<Fence> {
        let chain_id = self.cursor.chain_id;
        self.checked_by.map(|number| Fence { chain_id, number })
    }
}

/// Who may write what follows from a chain.
///
/// [`crate::FollowStore`] refuses a commit and [`crate::BooksStore`] a batch under another number than the present
/// one, with [`crate::StoreErrorKind::Fenced`]; each looks in the commit itself, so that there is no moment between
/// the look and the write.
#[async_trait]
pub trait LeaseStore: Send + Sync + std::fmt::Debug {
    /// The lease of a chain; `None` if nobody ever held it.
    async fn lease(&self, chain: ChainId) -> Result<Option<LeaseRecord>, StoreError>;

    /// Takes the lease under a new number, if it has run out, was let go, or is the one that the claim knows to be
    /// dead; `None` if somebody else holds it. Of any number of claims at once, one gets it. Whatever the holder before
    /// had under way is committed before this returns, or never.
    async fn take_lease(&self, claim: LeaseClaim) -> Result<Option<FencingNumber>, StoreError>;

    /// Holds the lease for `ttl` from now. `Fenced` if it has run out or is held under another number: then the holder
    /// has to take it anew, and to look at the chain anew.
    async fn renew_lease(&self, fence: Fence, ttl: Duration) -> Result<(), StoreError>;

    /// Lets the lease go, so that the next one need not wait. Nothing happens if it is held under another number.
    async fn release_lease(&self, fence: Fence) -> Result<(), StoreError>;

    /// Says whether the holder finds the stored window on the chain: until it does, nothing is credited by anybody.
    /// `Fenced` if the lease is held under another number. A new holding begins unchecked.
    async fn mark_checked(&self, fence: Fence, checked: bool) -> Result<(), StoreError>;

    /// The cursor of a chain, with the holding by whose word it can be credited. A chain whose lease nobody ever held
    /// counts as checked by [`FencingNumber::UNLEASED`].
    async fn followed(&self, chain: ChainId) -> Result<Option<FollowedCursor>, StoreError>;
}
