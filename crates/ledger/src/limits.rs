//! The decisions on limits and profiles, and how holds and spends count against limits. Pure.

use inspay_primitives::{AccountId, Credits, LimitId, Span, Timestamp, Zone};

use crate::{
    EntryKind, EventKind, EventSnapshot, Judgement, Limit, LimitAction, Profile, Purpose, Refusal,
    WindowUse, draft::Draft, post::Batch, spend::Wanted,
};

fn zone_of(batch: &Batch<'_>, account: &AccountId) -> Zone {
    batch.state.profiles.get(account).map(|profile| profile.zone.clone()).unwrap_or_default()
}

/// The window of a limit that an instant lies in, as it stands.
fn window_at(batch: &Batch<'_>, limit: &Limit, time: Timestamp) -> WindowUse {
    let span = limit.window.span_at(time, &zone_of(batch, &limit.account));
    let known = batch.state.windows.get(&(limit.id, span.start));
    known.copied().unwrap_or(WindowUse::empty(span))
}

/// Counts a hold or a spend against every limit on it, or refuses it for the first that it would pass.
pub(crate) fn add_windows(
    draft: &mut Draft,
    batch: &Batch<'_>,
    wanted: &Wanted<'_>,
    is_hold: bool,
) -> Result<(), Refusal> {
    for limit in batch.limits_of(wanted.account) {
        if !limit.scope.counts(wanted.purpose) {
            continue;
        }
        let window = window_at(batch, limit, batch.now);
        let judged = limit.judge(&window, wanted.credits).ok_or(Refusal::OutOfRange)?;
        let (alert, passes) = match judged {
            Judgement::Fits { alert, passes } => (alert, passes),
            Judgement::Refused { left } => {
                return Err(Refusal::LimitReached { limit: limit.id, left });
            }
        };
        let mut after = window;
        let part = if is_hold { &mut after.held } else { &mut after.spent };
        *part = part.checked_add(wanted.credits).ok_or(Refusal::OutOfRange)?;
        let used = after.used();
        if let Some(percent) = alert {
            after.alerted = percent;
            let snapshot =
                EventSnapshot { percent: Some(percent), ..of_limit(limit, wanted, used) };
            draft.tell(EventKind::LimitReached, Some(wanted.account), snapshot);
        }
        if passes {
            after.told = true;
            let snapshot = of_limit(limit, wanted, used);
            draft.tell(EventKind::LimitPassed, Some(wanted.account), snapshot);
        }
        draft.limits.windows.push((limit.id, after));
    }
    Ok(())
}

fn of_limit(limit: &Limit, wanted: &Wanted<'_>, used: Option<Credits>) -> EventSnapshot {
    EventSnapshot {
        limit: Some(limit.id),
        threshold: Some(limit.cap),
        used,
        purpose: Some(wanted.purpose.clone()),
        ..EventSnapshot::default()
    }
}

/// What is told when a limit refused something for the first time in its window.
pub(crate) fn refused(batch: &Batch<'_>, wanted: &Wanted<'_>, id: LimitId) -> Option<Draft> {
    let limit = batch.state.limits.get(&id)?;
    let window = window_at(batch, limit, batch.now);
    if window.told {
        return None;
    }
    let mut draft = Draft::new(EntryKind::Hold, batch.now);
    draft.limits.windows.push((id, WindowUse { told: true, ..window }));
    let snapshot = of_limit(limit, wanted, window.used());
    draft.tell(EventKind::LimitRefused, Some(wanted.account), snapshot);
    Some(draft)
}

/// Changes what a purpose counted for in the windows of `time`. A limit that did not count it then has no such window.
pub(crate) fn change_windows(
    draft: &mut Draft,
    batch: &Batch<'_>,
    account: &AccountId,
    purpose: &Purpose,
    time: Timestamp,
    change: impl Fn(&mut WindowUse) -> Option<()>,
) -> Result<(), Refusal> {
    for limit in batch.limits_of(account).filter(|limit| limit.scope.counts(purpose)) {
        let span = limit.window.span_at(time, &zone_of(batch, account));
        if let Some(known) = batch.state.windows.get(&(limit.id, span.start)) {
            let mut after = *known;
            change(&mut after).ok_or(Refusal::OutOfRange)?;
            draft.limits.windows.push((limit.id, after));
        }
    }
    Ok(())
}

/// The draft that sets a limit.
pub(crate) fn set(
    batch: &Batch<'_>,
    limit: &Limit,
    window_start: Timestamp,
) -> Result<Draft, Refusal> {
    if limit.cap <= Credits::ZERO {
        return Err(Refusal::NotPositive);
    }
    if limit.cap > Credits::MAX {
        return Err(Refusal::OutOfRange);
    }
    if !limit.has_sound_alerts() {
        return Err(Refusal::AlertsUnsound);
    }
    if batch.state.limits.contains_key(&limit.id) {
        return Err(Refusal::Conflict);
    }
    let others = || batch.limits_of(&limit.account);
    if let Some(other) = others().find(|other| limit.contradicts(other)) {
        return Err(Refusal::LimitsContradict { limit: other.id });
    }
    let span = limit.window.span_at(batch.now, &zone_of(batch, &limit.account));
    if span.start != window_start {
        return Err(Refusal::WindowMoved);
    }
    let (held, spent) = basis(batch, limit, span).ok_or(Refusal::OutOfRange)?;
    let mut window = WindowUse { held, spent, ..WindowUse::empty(span) };
    // What was passed before the limit was set is not told as if it happened now.
    if let Some(Judgement::Fits { alert, passes }) = limit.judge(&window, Credits::ZERO) {
        window.alerted = alert.unwrap_or(0);
        window.told = passes && limit.action == LimitAction::Warn;
    }
    let mut draft = Draft::new(EntryKind::Hold, batch.now);
    draft.limits.removed =
        others().filter(|other| limit.replaces(other)).map(|other| other.id).collect();
    draft.limits.set = Some(Limit { set_at: batch.now, ..limit.clone() });
    draft.limits.windows = vec![(limit.id, window)];
    Ok(draft)
}

/// What was held and spent in the window before the limit is set: what was stored, and what the batch did since.
fn basis(batch: &Batch<'_>, limit: &Limit, span: Span) -> Option<(Credits, Credits)> {
    let stored = batch.state.bases.get(&limit.id).copied().unwrap_or_default();
    batch
        .counted
        .iter()
        .filter(|it| it.account == limit.account && limit.scope.counts(&it.purpose))
        .filter(|it| span.contains(it.time))
        .try_fold(stored, |(held, spent), it| {
            Some((held.checked_add(it.held)?, spent.checked_add(it.spent)?))
        })
}

/// The draft that removes a limit.
pub(crate) fn remove(
    batch: &Batch<'_>,
    account: &AccountId,
    id: LimitId,
) -> Result<Draft, Refusal> {
    let known = batch.state.limits.get(&id).filter(|limit| limit.account == *account);
    known.ok_or(Refusal::NoSuchLimit)?;
    let mut draft = Draft::new(EntryKind::Hold, batch.now);
    draft.limits.removed = vec![id];
    Ok(draft)
}

/// The draft that sets a profile.
pub(crate) fn set_profile(
    batch: &Batch<'_>,
    account: &AccountId,
    zone: &Zone,
    balance_alerts: &[Credits],
) -> Result<Draft, Refusal> {
    let sound = balance_alerts.len() <= Limit::ALERTS_MAX
        && balance_alerts.iter().all(|alert| (Credits::ZERO..=Credits::MAX).contains(alert))
        && balance_alerts.iter().all(|alert| !alert.is_zero())
        && balance_alerts.is_sorted_by(|one, next| one > next);
    if !sound {
        return Err(Refusal::AlertsUnsound);
    }
    let known = batch.state.profiles.get(account);
    let told = known.filter(|known| known.balance_alerts == balance_alerts).and_then(|it| it.told);
    let profile = Profile { zone: zone.clone(), balance_alerts: balance_alerts.to_vec(), told };
    let mut draft = Draft::new(EntryKind::Hold, batch.now);
    draft.limits.appears = Some(account.clone());
    draft.limits.profile = Some((account.clone(), profile));
    Ok(draft)
}
