//! The decisions on lots: grant without a payment, revoke, warn, expire. Pure.

use inspay_primitives::{Credits, Timestamp};

use crate::{
    BookAccount, Bucket, EntryKind, EventKind, EventSnapshot, GrantTerms, Lot, LotMove, LotSource,
    Refusal, Side,
    draft::{Draft, Grant},
    issued_from,
    post::Batch,
    spend::Facts,
};

/// Posts granted credits: first to what the account owes.
pub(crate) fn add_grant(draft: &mut Draft, owed: Credits, grant: Grant) -> Result<(), Refusal> {
    let repays = grant.credits.min(owed);
    let kept = grant.credits.checked_sub(repays).ok_or(Refusal::OutOfRange)?;
    let from = issued_from(grant.source, grant.campaign.as_ref());
    draft.credits(from, Side::Debit, grant.credits);
    draft.credits(BookAccount::Account(grant.account.clone()), Side::Credit, kept);
    draft.credits(BookAccount::Owed(grant.account.clone()), Side::Credit, repays);
    draft.grant = Some(Grant { repays, ..grant });
    Ok(())
}

/// The draft that grants credits without a payment.
pub(crate) fn grant(batch: &Batch<'_>, terms: &GrantTerms) -> Result<Draft, Refusal> {
    if terms.credits <= Credits::ZERO {
        return Err(Refusal::NotPositive);
    }
    if terms.credits > Credits::MAX {
        return Err(Refusal::OutOfRange);
    }
    let of_promotion = terms.source == LotSource::Promotion;
    if terms.source == LotSource::Purchase
        || of_promotion != terms.campaign.is_some()
        || (terms.budget.is_some() && !of_promotion)
    {
        return Err(Refusal::WrongSource);
    }
    let is_known = batch.state.accounts.contains(&terms.account);
    if !is_known && !terms.opens_account {
        return Err(Refusal::NoSuchAccount);
    }
    if terms.expires_at <= batch.now {
        return Err(Refusal::LapsedAlready);
    }
    if let Some(budget) = terms.budget {
        let issued = batch.state.credit_balance(issued_from(terms.source, terms.campaign.as_ref()));
        let left = budget.checked_add(issued).unwrap_or(Credits::ZERO).max(Credits::ZERO);
        if terms.credits > left {
            return Err(Refusal::BudgetSpent { left });
        }
    }
    let mut draft = Draft::new(EntryKind::Grant, batch.now);
    draft.limits.appears = (!is_known).then(|| terms.account.clone());
    let grant = Grant {
        account: terms.account.clone(),
        source: terms.source,
        campaign: terms.campaign.clone(),
        scope: terms.scope.clone(),
        priority: terms.priority,
        credits: terms.credits,
        expires_at: Some(terms.expires_at.min(Timestamp::FAR)),
        valid_days: 0,
        paid: Some(inspay_primitives::Usd::new(rust_decimal::Decimal::ZERO)),
        repays: Credits::ZERO,
    };
    add_grant(&mut draft, batch.state.owed_by(&terms.account), grant)?;
    draft.facts = Facts {
        source: Some(terms.source.as_str()),
        reference: Some(&terms.reference),
        expires_at: Some(terms.expires_at),
        ..Facts::default()
    }
    .text()?;
    let snapshot = EventSnapshot {
        credits_delta: Some(terms.credits),
        why: Some(terms.source.as_str().to_owned()),
        expires_at: Some(terms.expires_at),
        ..EventSnapshot::default()
    };
    draft.tell(EventKind::CreditsGranted, Some(&terms.account), snapshot);
    Ok(draft)
}

fn of_lot(lot: &Lot, delta: Option<Credits>) -> EventSnapshot {
    EventSnapshot {
        lot: Some(lot.id),
        credits_delta: delta,
        expires_at: Some(lot.expires_at),
        ..EventSnapshot::default()
    }
}

/// The draft that takes back what is left of a lot. What holds have of it is taken back when they give it back.
pub(crate) fn revoke(batch: &Batch<'_>, lot: &Lot) -> Result<Draft, Refusal> {
    let parts = lot.parts;
    if parts.revoked || (parts.left.is_zero() && parts.held.is_zero()) {
        return Err(Refusal::NothingToRevoke);
    }
    let mut draft = Draft::new(EntryKind::Revoke, batch.now);
    draft.order = lot.order;
    draft.revoked = Some(lot.id);
    if parts.left > Credits::ZERO {
        draft.credits(BookAccount::Account(lot.account.clone()), Side::Debit, parts.left);
        draft.credits(lot.issued_from(), Side::Credit, parts.left);
        let (from, to) = (Bucket::Left, Bucket::Taken);
        draft.moves = vec![LotMove { lot: lot.id, from, to, credits: parts.left }];
    }
    let snapshot = of_lot(lot, Credits::ZERO.checked_sub(parts.left));
    draft.tell(EventKind::CreditsRevoked, Some(&lot.account), snapshot);
    Ok(draft)
}

/// The draft that tells a lot's owner that it will lapse.
pub(crate) fn warn(batch: &Batch<'_>, lot: &Lot) -> Result<Draft, Refusal> {
    if lot.parts.warned || !lot.is_live(batch.now) {
        return Err(Refusal::NothingToWarn);
    }
    let mut draft = Draft::new(EntryKind::Expire, batch.now);
    draft.warned = Some(lot.id);
    let snapshot = of_lot(lot, Some(lot.parts.left));
    draft.tell(EventKind::CreditsExpiring, Some(&lot.account), snapshot);
    Ok(draft)
}

/// The draft that books what is left of a lapsed lot. What holds have of it stays theirs.
pub(crate) fn expire(lot: &Lot, now: Timestamp) -> Result<Draft, Refusal> {
    let left = lot.parts.left;
    if left <= Credits::ZERO || now < lot.expires_at {
        return Err(Refusal::NothingToExpire);
    }
    let mut draft = Draft::new(EntryKind::Expire, lot.expires_at);
    draft.order = lot.order;
    draft.credits(BookAccount::Account(lot.account.clone()), Side::Debit, left);
    draft.credits(BookAccount::CreditsExpired, Side::Credit, left);
    let (from, to) = (Bucket::Left, Bucket::Expired);
    draft.moves = vec![LotMove { lot: lot.id, from, to, credits: left }];
    let snapshot = of_lot(lot, Credits::ZERO.checked_sub(left));
    draft.tell(EventKind::CreditsExpired, Some(&lot.account), snapshot);
    Ok(draft)
}
