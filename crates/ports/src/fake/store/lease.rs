//! The leases of the fake store.

use std::{collections::BTreeSet, time::Duration};

use async_trait::async_trait;
use inspay_primitives::{ChainId, Fence, FencingNumber};

use super::{
    FakeStore,
    rows::{LeaseRow, State},
};
use crate::{FollowedCursor, LeaseClaim, LeaseRecord, LeaseStore, StoreError, StoreErrorKind};

#[async_trait]
impl LeaseStore for FakeStore {
    async fn lease(&self, chain: ChainId) -> Result<Option<LeaseRecord>, StoreError> {
        self.read("read a lease", |state| {
            Ok(state.leases.get(&chain).map(|row| LeaseRecord {
                chain_id: chain,
                holder: row.holder.clone(),
                number: row.number,
                checked: row.checked,
                remaining: row.expires_at.saturating_sub(state.now),
            }))
        })
    }

    async fn take_lease(&self, claim: LeaseClaim) -> Result<Option<FencingNumber>, StoreError> {
        self.write("take a lease", |state| {
            let before = state.leases.get(&claim.chain_id);
            let is_free = before
                .is_none_or(|row| !row.lives(state.now) || claim.from_dead == Some(row.number));
            if !is_free {
                return Ok(None);
            }
            let number = before.map_or(FencingNumber::UNLEASED, |row| row.number).next();
            let expires_at = state.now.saturating_add(claim.ttl);
            let row = LeaseRow { holder: claim.holder, number, checked: false, expires_at };
            state.leases.insert(claim.chain_id, row);
            Ok(Some(number))
        })
    }

    async fn renew_lease(&self, fence: Fence, ttl: Duration) -> Result<(), StoreError> {
        self.write("renew a lease", |state| {
            let now = state.now;
            let row = state.held(fence)?;
            if !row.lives(now) {
                return Err(StoreErrorKind::Fenced);
            }
            row.expires_at = now.saturating_add(ttl);
            Ok(())
        })
    }

    async fn release_lease(&self, fence: Fence) -> Result<(), StoreError> {
        self.write("let a lease go", |state| {
            if let Ok(row) = state.held(fence) {
                row.expires_at = Duration::ZERO;
            }
            Ok(())
        })
    }

    async fn mark_checked(&self, fence: Fence, checked: bool) -> Result<(), StoreError> {
        self.write("mark a lease as checked", |state| {
            state.held(fence)?.checked = checked;
            Ok(())
        })
    }

    async fn followed(&self, chain: ChainId) -> Result<Option<FollowedCursor>, StoreError> {
        self.read("read where a chain is followed", |state| {
            let Some(cursor) = state.cursors.get(&chain).copied() else { return Ok(None) };
            let checked_by = match state.leases.get(&chain) {
                None => Some(FencingNumber::UNLEASED),
                Some(row) => (row.checked && row.lives(state.now)).then_some(row.number),
            };
            Ok(Some(FollowedCursor { cursor, checked_by }))
        })
    }
}

impl LeaseRow {
    fn lives(&self, now: Duration) -> bool {
        self.expires_at > now
    }
}

impl State {
    fn held(&mut self, fence: Fence) -> Result<&mut LeaseRow, StoreErrorKind> {
        self.leases
            .get_mut(&fence.chain_id)
            .filter(|row| row.number == fence.number)
            .ok_or(StoreErrorKind::Fenced)
    }

    /// Refuses what was read under another number than the present one.
    pub(super) fn check_holding(
        &self,
        chain: ChainId,
        number: FencingNumber,
    ) -> Result<(), StoreErrorKind> {
        let present = self.leases.get(&chain).map_or(FencingNumber::UNLEASED, |row| row.number);
        if present == number { Ok(()) } else { Err(StoreErrorKind::Fenced) }
    }

    /// Refuses what was decided under a holding that is not valid, or not checked.
    pub(super) fn check_fences(&self, fences: &BTreeSet<Fence>) -> Result<(), StoreErrorKind> {
        for fence in fences {
            self.check_holding(fence.chain_id, fence.number)?;
            let row = self.leases.get(&fence.chain_id);
            if row.is_some_and(|row| !row.checked || !row.lives(self.now)) {
                return Err(StoreErrorKind::Fenced);
            }
        }
        Ok(())
    }
}
