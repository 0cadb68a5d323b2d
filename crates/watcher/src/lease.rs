//! Following under a lease: one of several followers of a chain writes, the others stand by.
//!
//! ```text
//! stand by ──lease is free──▶ lead: look at the chain, follow, renew beside it ──told to stop──▶ let go
//!    ▲                                            │
//!    └────────── lease lost, or run out ──────────┘
//! ```
//!
//! Never writes on the strength of having held the lease a moment ago: every commit carries the holding's number, and
//! the store refuses it under another one. Renewing is beside the work, never in front of it.

use std::{fmt, sync::Arc, time::Duration};

use inspay_ports::{LeaseClaim, LeaseRecord, LeaseStore, StoreError, StoreErrorKind};
use inspay_primitives::{ChainId, Fence, FencingNumber};
use tokio_util::sync::CancellationToken;

use crate::follower::Follower;

/// Renewals that may fail, one after another, before the lease runs out.
const RENEWALS_PER_TTL: u32 = 3;
/// The longest wait between two looks at a lease that somebody else holds.
const STANDBY_INTERVAL_MAX: Duration = Duration::from_millis(500);

/// Who asks for leases, for how long, and whom it can tell to be dead.
#[derive(Clone)]
pub struct LeaseTerms {
    /// This process, in words that another process can tell it by.
    pub holder: String,
    /// How long a lease is held without being renewed: how long the chain stays unfollowed after its follower was
    /// cut off. A holder that stops lets go at once.
    pub ttl: Duration,
    /// Whether the process of that name has certainly ended. Of another machine's nobody can say so.
    pub is_dead: Arc<dyn Fn(&str) -> bool + Send + Sync>,
}

impl fmt::Debug for LeaseTerms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseTerms")
            .field("holder", &self.holder)
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}

/// The lease of a chain is held by somebody else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("chain {chain_id} is followed by {holder}")]
pub struct LeaseHeld {
    /// The chain.
    pub chain_id: ChainId,
    /// Who follows it.
    pub holder: String,
}

/// The lease was lost while something was done under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lease was lost; somebody else may follow the chain now")]
pub struct LeaseLost;

impl LeaseTerms {
    /// Tries to take the lease of a chain. Reads first: while somebody lives on it, nothing is written.
    pub async fn try_take(
        &self,
        store: &dyn LeaseStore,
        chain_id: ChainId,
    ) -> Result<Result<FencingNumber, LeaseHeld>, StoreError> {
        let present = store.lease(chain_id).await?;
        let from_dead = match &present {
            Some(lease) if !lease.remaining.is_zero() => {
                if !(self.is_dead)(&lease.holder) {
                    return Ok(Err(held(lease)));
                }
                Some(lease.number)
            }
            Some(_) | None => None,
        };
        let claim = LeaseClaim { chain_id, holder: self.holder.clone(), ttl: self.ttl, from_dead };
        if let Some(number) = store.take_lease(claim).await? {
            return Ok(Ok(number));
        }
        let faster = store.lease(chain_id).await?;
        let holder = faster.map_or_else(String::new, |lease| lease.holder);
        Ok(Err(LeaseHeld { chain_id, holder }))
    }

    /// Does `work` under a lease that is held, and renews it meanwhile; gives the work up once the lease is lost.
    pub async fn hold<T>(
        &self,
        store: &dyn LeaseStore,
        fence: Fence,
        work: impl Future<Output = T>,
    ) -> Result<T, LeaseLost> {
        tokio::select! {
            biased;
            done = work => Ok(done),
            lost = self.renew_until_lost(store, fence) => Err(lost),
        }
    }

    async fn renew_until_lost(&self, store: &dyn LeaseStore, fence: Fence) -> LeaseLost {
        let interval = self.ttl / RENEWALS_PER_TTL;
        loop {
            tokio::time::sleep(interval).await;
            match store.renew_lease(fence, self.ttl).await {
                Ok(()) => {}
                Err(error) if matches!(error.kind, StoreErrorKind::Fenced) => return LeaseLost,
                // Perhaps it was renewed, perhaps not: the database says so next time.
                Err(error) => tracing::warn!(
                    chain.id = fence.chain_id.0,
                    error = &error as &dyn std::error::Error,
                    "the lease could not be renewed; it is tried again"
                ),
            }
        }
    }

    fn standby_interval(&self) -> Duration {
        (self.ttl / 8).min(STANDBY_INTERVAL_MAX)
    }
}

fn held(lease: &LeaseRecord) -> LeaseHeld {
    LeaseHeld { chain_id: lease.chain_id, holder: lease.holder.clone() }
}

impl Follower {
    /// Follows from now on under that holding of the chain's lease: what was read before counts for nothing.
    pub fn lead(&mut self, number: FencingNumber) {
        self.begin_holding(number);
    }

    /// Follows while it holds the chain's lease, and stands by while somebody else does, until cancelled. What is under
    /// way then is given up; what was committed stays, and the lease is let go.
    pub async fn run_leased(mut self, terms: LeaseTerms, cancel: CancellationToken) {
        let store = Arc::clone(&self.store);
        let chain_id = self.settings.chain_id;
        while let Some(number) = self.stand_by(&terms, &cancel).await {
            let fence = Fence { chain_id, number };
            tracing::info!(chain.id = chain_id.0, fencing = number.0, "took the lease");
            self.lead(number);
            // As a store: the trait object of all ports is one of leases, too.
            let held = terms.hold(&*store, fence, self.follow_on(&cancel)).await;
            if cancel.is_cancelled() {
                if let Err(error) = store.release_lease(fence).await {
                    tracing::warn!(
                        chain.id = chain_id.0,
                        error = &error as &dyn std::error::Error,
                        "the lease could not be let go; it runs out"
                    );
                }
                return;
            }
            tracing::warn!(
                chain.id = chain_id.0,
                fencing = number.0,
                renewed = held.is_ok(),
                "lost the lease; standing by"
            );
        }
    }

    /// Waits for the lease; `None` once cancelled.
    async fn stand_by(
        &mut self,
        terms: &LeaseTerms,
        cancel: &CancellationToken,
    ) -> Option<FencingNumber> {
        loop {
            if cancel.is_cancelled() {
                return None;
            }
            match terms.try_take(&*self.store, self.settings.chain_id).await {
                Ok(Ok(number)) => return Some(number),
                Ok(Err(held)) => self.show_standby(held),
                Err(error) => {
                    tracing::warn!(
                        chain.id = self.settings.chain_id.0,
                        error = &error as &dyn std::error::Error,
                        "the lease could not be asked for; it is tried again"
                    );
                    self.show_failure(error);
                }
            }
            tokio::select! {
                biased;
                () = cancel.cancelled() => return None,
                () = tokio::time::sleep(terms.standby_interval()) => {}
            }
        }
    }
}
