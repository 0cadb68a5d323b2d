//! The decisions on credits that are used: hold, capture, release, lapse, spend, refund. Pure.
//!
//! Each builds a draft from the state as it is and changes nothing. A lot that has lapsed is never drawn from, whether
//! or not that is booked; what comes back to one is booked as lapsed at once.

use std::collections::BTreeMap;

use inspay_primitives::{AccountId, Credits, HoldId, Label, Timestamp, UsageId};
use serde::Serialize;

use crate::{
    BookAccount, Bucket, EntryKind, EventKind, EventSnapshot, Hold, Lot, LotMove, Profile, Purpose,
    Refusal, Resolution, ResolutionKind, Side, Slice, Usage, UsageSums,
    draft::Draft,
    limits::{add_windows, change_windows},
    post::Batch,
};

/// What an entry was for, in the text that its hash covers.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Facts<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hold: Option<HoldId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refunds: Option<UsageId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) purpose: Option<&'a Purpose>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reference: Option<&'a str>,
}

impl Facts<'_> {
    pub(crate) fn text(&self) -> Result<Option<String>, Refusal> {
        serde_json::to_string(self).map(Some).map_err(|_| Refusal::OutOfRange)
    }
}

/// What is asked of a hold or a spend.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) account: &'a AccountId,
    pub(crate) purpose: &'a Purpose,
    pub(crate) credits: Credits,
}

impl Wanted<'_> {
    /// The parts of lots to draw from, in burn-down order.
    fn burn(&self, batch: &Batch<'_>) -> Result<Vec<Slice>, Refusal> {
        let owed = batch.state.owed_by(self.account);
        if owed > Credits::ZERO {
            return Err(Refusal::AccountNegative { owed });
        }
        let mut missing = self.credits;
        let mut available = Credits::ZERO;
        let mut slices = Vec::new();
        let usable = |lot: &&Lot| lot.is_live(batch.now) && lot.fits(&self.purpose.feature);
        for lot in batch.lots_in_order(self.account).filter(usable) {
            let taken = lot.parts.left.min(missing);
            available = available.checked_add(lot.parts.left).ok_or(Refusal::OutOfRange)?;
            missing = missing.checked_sub(taken).ok_or(Refusal::OutOfRange)?;
            slices.push(Slice { lot: lot.id, credits: taken });
            if missing.is_zero() {
                return Ok(slices);
            }
        }
        Err(Refusal::InsufficientCredits { needed: self.credits, available })
    }

    fn check(&self) -> Result<(), Refusal> {
        match self.credits {
            credits if credits <= Credits::ZERO => Err(Refusal::NotPositive),
            credits if credits > Credits::MAX => Err(Refusal::OutOfRange),
            _ => Ok(()),
        }
    }

    /// The draft so far: limits judged, slices found, the owner told of what was passed.
    fn draft(
        &self,
        batch: &Batch<'_>,
        kind: EntryKind,
        to: Bucket,
    ) -> Result<(Draft, Vec<Slice>), Refusal> {
        self.check()?;
        let mut draft = Draft::new(kind, batch.now);
        add_windows(&mut draft, batch, self, to == Bucket::Held)?;
        let slices = self.burn(batch)?;
        draft.credits(BookAccount::Account(self.account.clone()), Side::Debit, self.credits);
        draft.moves = moves(&slices, Bucket::Left, to);
        alert_balance(&mut draft, batch, self);
        Ok((draft, slices))
    }
}

fn moves(slices: &[Slice], from: Bucket, to: Bucket) -> Vec<LotMove> {
    slices
        .iter()
        .map(|slice| LotMove { lot: slice.lot, from, to, credits: slice.credits })
        .collect()
}

/// What the account could spend if this were decided, on anything at all.
fn live_credits(batch: &Batch<'_>, account: &AccountId) -> Credits {
    batch
        .lots_in_order(account)
        .filter(|lot| lot.is_live(batch.now))
        .try_fold(Credits::ZERO, |sum, lot| sum.checked_add(lot.parts.left))
        .unwrap_or(Credits::MAX)
}

/// Tells the owner, once, that what can be spent falls below a threshold; a newer lot arms it again.
fn alert_balance(draft: &mut Draft, batch: &Batch<'_>, wanted: &Wanted<'_>) {
    let Some(profile) = batch.state.profiles.get(wanted.account) else { return };
    if profile.balance_alerts.is_empty() {
        return;
    }
    let Some(after) = live_credits(batch, wanted.account).checked_sub(wanted.credits) else {
        return;
    };
    let Some(newest) = batch.lots_in_order(wanted.account).map(|lot| lot.id).max() else { return };
    let armed_below = profile.told.filter(|(_, lot)| newest <= *lot).map(|(told, _)| told);
    let crossed = profile
        .balance_alerts
        .iter()
        .copied()
        .filter(|threshold| after < *threshold)
        .filter(|threshold| armed_below.is_none_or(|told| *threshold < told))
        .min();
    let Some(threshold) = crossed else { return };
    let profile = Profile { told: Some((threshold, newest)), ..profile.clone() };
    draft.limits.profile = Some((wanted.account.clone(), profile));
    let snapshot = EventSnapshot { threshold: Some(threshold), ..EventSnapshot::default() };
    draft.tell(EventKind::BalanceLow, Some(wanted.account), snapshot);
}

/// The draft that sets credits aside.
pub(crate) fn hold(
    batch: &Batch<'_>,
    id: HoldId,
    wanted: &Wanted<'_>,
    valid_seconds: u32,
) -> Result<Draft, Refusal> {
    if batch.state.holds.contains_key(&id) {
        return Err(Refusal::Conflict);
    }
    let (mut draft, slices) = wanted.draft(batch, EntryKind::Hold, Bucket::Held)?;
    let expires_at = batch.now.plus_seconds(i64::from(valid_seconds));
    draft.credits(BookAccount::Held(wanted.account.clone()), Side::Credit, wanted.credits);
    draft.facts = Facts {
        hold: Some(id),
        purpose: Some(wanted.purpose),
        expires_at: Some(expires_at),
        ..Facts::default()
    }
    .text()?;
    draft.spends.hold = Some(Hold {
        id,
        account: wanted.account.clone(),
        purpose: wanted.purpose.clone(),
        credits: wanted.credits,
        made_at: batch.now,
        expires_at,
        entry_seq: 0,
        slices,
        resolution: None,
    });
    Ok(draft)
}

/// The draft that spends credits at once.
pub(crate) fn spend(batch: &Batch<'_>, wanted: &Wanted<'_>) -> Result<Draft, Refusal> {
    let (mut draft, slices) = wanted.draft(batch, EntryKind::Spend, Bucket::Spent)?;
    let feature = wanted.purpose.feature.clone();
    draft.credits(BookAccount::CreditsSpent(feature), Side::Credit, wanted.credits);
    draft.facts = Facts { purpose: Some(wanted.purpose), ..Facts::default() }.text()?;
    add_usage(&mut draft, batch, wanted, (None, batch.now), slices);
    Ok(draft)
}

fn add_usage(
    draft: &mut Draft,
    batch: &Batch<'_>,
    wanted: &Wanted<'_>,
    (hold, counted_at): (Option<HoldId>, Timestamp),
    slices: Vec<Slice>,
) {
    let sums = UsageSums {
        spends: 1,
        units: i64::from(wanted.purpose.units.unwrap_or(0)),
        spent: wanted.credits,
        refunded: Credits::ZERO,
    };
    add_day(draft, batch, wanted, counted_at, sums);
    draft.spends.usage = Some(Usage {
        id: UsageId { entry_seq: 0 },
        account: wanted.account.clone(),
        purpose: wanted.purpose.clone(),
        hold,
        credits: wanted.credits,
        refunded: Credits::ZERO,
        counted_at,
        booked_at: batch.now,
        slices,
    });
}

fn add_day(
    draft: &mut Draft,
    batch: &Batch<'_>,
    wanted: &Wanted<'_>,
    counted_at: Timestamp,
    sums: UsageSums,
) {
    let zone = batch.state.profiles.get(wanted.account).map(|profile| &profile.zone);
    let day = zone.cloned().unwrap_or_default().day_of(counted_at);
    let (feature, project) = (wanted.purpose.feature.clone(), wanted.purpose.project.clone());
    draft.spends.day = Some(((wanted.account.clone(), day, feature, project), sums));
}

/// The hold, if it can still be ended.
fn open_hold<'a>(batch: &'a Batch<'_>, id: HoldId) -> Result<&'a Hold, Refusal> {
    let hold = batch.state.holds.get(&id).ok_or(Refusal::NoSuchHold)?;
    match hold.resolution {
        None => Ok(hold),
        Some(Resolution { kind, captured, .. }) => Err(match kind {
            ResolutionKind::Captured => Refusal::HoldCaptured { captured },
            ResolutionKind::Released => Refusal::HoldReleased,
            ResolutionKind::Lapsed => Refusal::HoldLapsed,
        }),
    }
}

/// The first `credits` of the slices, and the rest.
fn split_slices(slices: &[Slice], credits: Credits) -> Result<(Vec<Slice>, Vec<Slice>), Refusal> {
    let (mut first, mut rest, mut missing) = (Vec::new(), Vec::new(), credits);
    for slice in slices {
        let taken = slice.credits.min(missing);
        let kept = slice.credits.checked_sub(taken).ok_or(Refusal::OutOfRange)?;
        missing = missing.checked_sub(taken).ok_or(Refusal::OutOfRange)?;
        if taken > Credits::ZERO {
            first.push(Slice { lot: slice.lot, credits: taken });
        }
        if kept > Credits::ZERO {
            rest.push(Slice { lot: slice.lot, credits: kept });
        }
    }
    if missing.is_zero() { Ok((first, rest)) } else { Err(Refusal::OutOfRange) }
}

/// Gives slices back to their lots: first to what the account owes, and never into a lot that lapsed or was revoked.
fn give_back(
    draft: &mut Draft,
    batch: &Batch<'_>,
    account: &AccountId,
    from: Bucket,
    slices: &[Slice],
) -> Result<(), Refusal> {
    let mut owed = batch.state.owed_by(account);
    let mut sums: BTreeMap<BookAccount, Credits> = BTreeMap::new();
    let mut add = |draft: &mut Draft, slice: Slice, to: Bucket, target: BookAccount| {
        if slice.credits > Credits::ZERO {
            draft.moves.push(LotMove { lot: slice.lot, from, to, credits: slice.credits });
            let sum = sums.entry(target).or_default();
            *sum = sum.checked_add(slice.credits).ok_or(Refusal::OutOfRange)?;
        }
        Ok::<(), Refusal>(())
    };
    for slice in slices {
        let lot = batch.state.lots.get(&slice.lot).ok_or(Refusal::NoSuchLot)?;
        if lot.parts.revoked {
            add(draft, *slice, Bucket::Taken, lot.issued_from())?;
        } else if batch.now >= lot.expires_at {
            add(draft, *slice, Bucket::Expired, BookAccount::CreditsExpired)?;
        } else {
            let repaid = slice.credits.min(owed);
            owed = owed.checked_sub(repaid).ok_or(Refusal::OutOfRange)?;
            let kept = slice.credits.checked_sub(repaid).ok_or(Refusal::OutOfRange)?;
            let (lot, account) = (slice.lot, account.clone());
            let part = |credits| Slice { lot, credits };
            add(draft, part(repaid), Bucket::Taken, BookAccount::Owed(account.clone()))?;
            add(draft, part(kept), Bucket::Left, BookAccount::Account(account))?;
        }
    }
    for (target, credits) in sums {
        draft.credits(target, Side::Credit, credits);
    }
    Ok(())
}

/// Ends a hold: `captured` of it is spent, the rest given back.
fn end_hold(
    batch: &Batch<'_>,
    hold: &Hold,
    kind: ResolutionKind,
    captured: Credits,
) -> Result<Draft, Refusal> {
    let (entry, at) = match kind {
        ResolutionKind::Captured => (EntryKind::Capture, batch.now),
        ResolutionKind::Released => (EntryKind::Release, batch.now),
        ResolutionKind::Lapsed => (EntryKind::LapseHold, hold.expires_at),
    };
    let mut draft = Draft::new(entry, at);
    let (spent, rest) = split_slices(&hold.slices, captured)?;
    draft.credits(BookAccount::Held(hold.account.clone()), Side::Debit, hold.credits);
    let feature = hold.purpose.feature.clone();
    draft.credits(BookAccount::CreditsSpent(feature), Side::Credit, captured);
    draft.moves = moves(&spent, Bucket::Held, Bucket::Spent);
    give_back(&mut draft, batch, &hold.account, Bucket::Held, &rest)?;
    draft.facts =
        Facts { hold: Some(hold.id), purpose: Some(&hold.purpose), ..Facts::default() }.text()?;
    change_windows(&mut draft, batch, &hold.account, &hold.purpose, hold.made_at, |window| {
        window.held = window.held.checked_sub(hold.credits)?;
        window.spent = window.spent.checked_add(captured)?;
        Some(())
    })?;
    draft.spends.resolution =
        Some(Resolution { hold: hold.id, kind, captured, entry_seq: 0, resolved_at: batch.now });
    if captured > Credits::ZERO {
        let wanted = Wanted { account: &hold.account, purpose: &hold.purpose, credits: captured };
        add_usage(&mut draft, batch, &wanted, (Some(hold.id), hold.made_at), spent);
    }
    Ok(draft)
}

/// The draft that spends a hold.
pub(crate) fn capture(
    batch: &Batch<'_>,
    id: HoldId,
    credits: Option<Credits>,
) -> Result<Draft, Refusal> {
    let hold = open_hold(batch, id)?;
    if batch.now >= hold.expires_at {
        return Err(Refusal::HoldLapsed);
    }
    let credits = credits.unwrap_or(hold.credits);
    if credits <= Credits::ZERO {
        return Err(Refusal::NotPositive);
    }
    if credits > hold.credits {
        return Err(Refusal::AboveHold { held: hold.credits });
    }
    end_hold(batch, hold, ResolutionKind::Captured, credits)
}

/// The draft that gives a hold back.
pub(crate) fn release(batch: &Batch<'_>, id: HoldId) -> Result<Draft, Refusal> {
    let hold = open_hold(batch, id)?;
    if batch.now >= hold.expires_at {
        return Err(Refusal::HoldLapsed);
    }
    end_hold(batch, hold, ResolutionKind::Released, Credits::ZERO)
}

/// The draft that gives a hold back which ran out.
pub(crate) fn lapse(batch: &Batch<'_>, id: HoldId) -> Result<Draft, Refusal> {
    let hold = open_hold(batch, id)?;
    if batch.now < hold.expires_at {
        return Err(Refusal::HoldNotLapsed);
    }
    let mut draft = end_hold(batch, hold, ResolutionKind::Lapsed, Credits::ZERO)?;
    let snapshot = EventSnapshot {
        hold: Some(id),
        purpose: Some(hold.purpose.clone()),
        credits_delta: Some(hold.credits),
        ..EventSnapshot::default()
    };
    draft.tell(EventKind::HoldLapsed, Some(&hold.account), snapshot);
    Ok(draft)
}

/// The draft that gives spent credits back to the lots they came from.
pub(crate) fn refund(
    batch: &Batch<'_>,
    id: UsageId,
    credits: Option<Credits>,
) -> Result<Draft, Refusal> {
    let usage = batch.state.usages.get(&id).ok_or(Refusal::NoSuchUsage)?;
    let refundable = usage.credits.checked_sub(usage.refunded).ok_or(Refusal::OutOfRange)?;
    let credits = credits.unwrap_or(refundable);
    if credits > refundable || refundable.is_zero() {
        return Err(Refusal::AboveSpend { refundable });
    }
    if credits <= Credits::ZERO {
        return Err(Refusal::NotPositive);
    }
    let kept = refundable.checked_sub(credits).ok_or(Refusal::OutOfRange)?;
    let (unrefunded, _) = split_slices(&usage.slices, refundable)?;
    let (_, back) = split_slices(&unrefunded, kept)?;
    let mut draft = Draft::new(EntryKind::Refund, batch.now);
    let feature: &Label = &usage.purpose.feature;
    draft.credits(BookAccount::CreditsSpent(feature.clone()), Side::Debit, credits);
    give_back(&mut draft, batch, &usage.account, Bucket::Spent, &back)?;
    draft.facts = Facts {
        hold: usage.hold,
        refunds: Some(id),
        purpose: Some(&usage.purpose),
        ..Facts::default()
    }
    .text()?;
    let account = &usage.account;
    change_windows(&mut draft, batch, account, &usage.purpose, usage.counted_at, |window| {
        window.spent = window.spent.checked_sub(credits)?;
        Some(())
    })?;
    let refunded = usage.refunded.checked_add(credits).ok_or(Refusal::OutOfRange)?;
    draft.spends.refund = Some((id, refunded));
    let wanted = Wanted { account, purpose: &usage.purpose, credits };
    let sums = UsageSums { refunded: credits, ..UsageSums::default() };
    add_day(&mut draft, batch, &wanted, usage.counted_at, sums);
    let snapshot = EventSnapshot {
        usage: Some(id),
        hold: usage.hold,
        purpose: Some(usage.purpose.clone()),
        credits_delta: Some(credits),
        ..EventSnapshot::default()
    };
    draft.tell(EventKind::CreditsRefunded, Some(account), snapshot);
    Ok(draft)
}
