//! Reads of credits in use in the fake store.

use std::collections::BTreeMap;

use async_trait::async_trait;
use inspay_ledger::{Hold, Limit, Lot, Profile, Usage, UsageDay, UsageSums, WindowUse};
use inspay_primitives::{AccountId, Credits, Day, HoldId, Label, LotId, Span, Timestamp, UsageId};

use super::{FakeStore, first};
use crate::{CreditStore, CreditsDue, LotChange, Page, StoreError, UsageFilter};

#[async_trait]
impl CreditStore for FakeStore {
    async fn lot(&self, id: LotId) -> Result<Option<Lot>, StoreError> {
        self.read("read a lot", |state| Ok(state.lots.get(&id).cloned()))
    }

    async fn hold(&self, id: HoldId) -> Result<Option<Hold>, StoreError> {
        self.read("read a hold", |state| Ok(state.holds.get(&id).cloned()))
    }

    async fn holds(
        &self,
        account: &AccountId,
        open_only: bool,
        page: Page,
    ) -> Result<Vec<Hold>, StoreError> {
        self.read("list holds", |state| {
            let mut holds: Vec<&Hold> = state
                .holds
                .values()
                .filter(|hold| hold.account == *account)
                .filter(|hold| !open_only || hold.resolution.is_none())
                .filter(|hold| page.after.is_none_or(|after| hold.entry_seq < after))
                .collect();
            holds.sort_by_key(|hold| std::cmp::Reverse(hold.entry_seq));
            Ok(first(holds.into_iter().cloned(), page.limit))
        })
    }

    async fn usage(&self, id: UsageId) -> Result<Option<Usage>, StoreError> {
        self.read("read a spend", |state| Ok(state.usages.get(&id).cloned()))
    }

    async fn usages(
        &self,
        account: &AccountId,
        filter: UsageFilter,
        page: Page,
    ) -> Result<Vec<Usage>, StoreError> {
        self.read("list spends", |state| {
            let is_listed = |usage: &&Usage| {
                let purpose = &usage.purpose;
                usage.account == *account
                    && page.after.is_none_or(|after| usage.id.entry_seq < after)
                    && filter.feature.as_ref().is_none_or(|name| *name == purpose.feature)
                    && (filter.project.is_none() || filter.project == purpose.project)
                    && (filter.session.is_none() || filter.session == purpose.session)
            };
            Ok(first(state.usages.values().rev().filter(is_listed).cloned(), page.limit))
        })
    }

    async fn usage_days(
        &self,
        account: &AccountId,
        from: Day,
        to: Day,
    ) -> Result<Vec<(UsageDay, UsageSums)>, StoreError> {
        self.read("read days of usage", |state| {
            let days = state
                .usage_days
                .iter()
                .filter(|((owner, day, ..), _)| owner == account && (from..=to).contains(day));
            Ok(days.map(|(day, sums)| (day.clone(), *sums)).collect())
        })
    }

    async fn usage_sessions(
        &self,
        account: &AccountId,
        span: Span,
        limit: u32,
    ) -> Result<Vec<(Option<Label>, UsageSums)>, StoreError> {
        self.read("sum spends by session", |state| {
            let mut sums: BTreeMap<Option<Label>, UsageSums> = BTreeMap::new();
            let counted = state
                .usages
                .values()
                .filter(|usage| usage.account == *account && span.contains(usage.counted_at));
            for usage in counted {
                let sum = sums.entry(usage.purpose.session.clone()).or_default();
                let plus = |sum: Credits, more: Credits| {
                    Credits::from_micros(sum.micros().saturating_add(more.micros()))
                };
                sum.spends = sum.spends.saturating_add(1);
                sum.units = sum.units.saturating_add(usage.purpose.units.map_or(0, i64::from));
                sum.spent = plus(sum.spent, usage.credits);
                sum.refunded = plus(sum.refunded, usage.refunded);
            }
            Ok(first(sums.into_iter(), limit))
        })
    }

    async fn limits(
        &self,
        account: &AccountId,
        now: Timestamp,
    ) -> Result<Vec<(Limit, Option<WindowUse>)>, StoreError> {
        self.read("list limits", |state| {
            let limits = state
                .limits
                .values()
                .filter(|(limit, removed)| removed.is_none() && limit.account == *account);
            Ok(limits
                .map(|(limit, _)| {
                    let windows = state.windows.iter().filter(|((id, _), _)| *id == limit.id);
                    let mut windows = windows.map(|(_, window)| *window);
                    (limit.clone(), windows.find(|window| window.span.contains(now)))
                })
                .collect())
        })
    }

    async fn profile(&self, account: &AccountId) -> Result<Profile, StoreError> {
        self.read("read a profile", |state| {
            Ok(state.profiles.get(account).cloned().unwrap_or_default())
        })
    }

    async fn lot_changes(&self, lot: LotId, page: Page) -> Result<Vec<LotChange>, StoreError> {
        self.read("read what became of a lot", |state| {
            let changes = state
                .entries
                .values()
                .filter(|entry| page.after.is_none_or(|after| entry.seq > after))
                .flat_map(|entry| entry.moves.iter().map(move |moved| (entry, moved)))
                .filter(|(_, moved)| moved.lot == lot)
                .map(|(entry, moved)| LotChange {
                    entry_seq: entry.seq,
                    kind: entry.kind,
                    booked_at: entry.booked_at,
                    moved: *moved,
                    facts: entry.facts.clone(),
                });
            Ok(first(changes, page.limit))
        })
    }

    async fn credits_due(
        &self,
        now: Timestamp,
        warn_until: Timestamp,
        limit: u32,
    ) -> Result<CreditsDue, StoreError> {
        self.read("find credits that are due", |state| {
            let mut holds: Vec<(Timestamp, HoldId)> = state
                .open_holds
                .iter()
                .filter(|(_, expires_at, _)| *expires_at <= now)
                .map(|(_, expires_at, id)| (*expires_at, *id))
                .collect();
            holds.sort_unstable();
            let warnings = state
                .lots_left
                .iter()
                .filter(|(expires_at, _)| *expires_at > now && *expires_at <= warn_until)
                .map(|(_, id)| *id)
                .filter(|id| state.lots.get(id).is_some_and(|lot| !lot.parts.warned));
            Ok(CreditsDue {
                holds: first(holds.into_iter().map(|(_, id)| id), limit),
                warnings: first(warnings, limit),
            })
        })
    }
}
