//! Fencing numbers: which holding of a chain's lease a write was decided under.

use std::fmt;

use crate::ChainId;

/// Number of one holding of a lease: it grows with every change of holder and is never given out again.
///
/// The number of a chain whose lease nobody ever held is [`Self::UNLEASED`]; it fences until the first one is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FencingNumber(pub i64);

impl FencingNumber {
    /// Nobody ever held the lease.
    pub const UNLEASED: Self = Self(0);

    /// The number of the next holding.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for FencingNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A chain with the holding of its lease under which something was decided. A commit that carries a fence is refused
/// once the lease is held under another number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence {
    /// The chain.
    pub chain_id: ChainId,
    /// The holding.
    pub number: FencingNumber,
}
