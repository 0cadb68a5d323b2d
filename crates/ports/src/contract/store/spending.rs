//! Facts of credits in use: whatever is asked, a store answers and keeps what the fake does.

use std::{collections::BTreeSet, sync::Arc};

use inspay_ledger::{Act, EntryKind, LotParts, Operation, Outcome, Refusal, ResolutionKind};
use inspay_primitives::{LotId, Span, Timestamp};

use super::{books::now, picture};
use crate::{
    HistoryFilter, Page, Store, UsageFilter,
    contract::{
        teller::{Written, write},
        till::{
            SpendingLife, credits, daily, hold, hold_id, know, label, prize, spend_some, spender,
        },
    },
    fake::FakeStore,
};

/// Lives a life in the store and in a fake, batch by batch: the same outcomes, and the same rows to write.
async fn live(store: &Arc<dyn Store>, seed: u64, batches: u32) {
    let fake: Arc<dyn Store> = Arc::new(FakeStore::new());
    let mut life = SpendingLife::new(seed, now(), 4);
    let mut kinds: BTreeSet<EntryKind> = BTreeSet::new();
    let mut refusals: BTreeSet<String> = BTreeSet::new();
    let birth = life.birth();
    write(&fake, birth.clone(), now()).await;
    write(store, birth, now()).await;
    for number in 0..batches {
        let operations = life.batch(12);
        let here = write(&fake, operations.clone(), life.now()).await;
        let there = write(store, operations, life.now()).await;
        assert_eq!(here.outcomes, there.outcomes, "batch {number} of seed {seed}");
        assert_eq!(here.rows.entries, there.rows.entries, "batch {number} of seed {seed}");
        assert_eq!(here.rows.new_lots, there.rows.new_lots);
        kinds.extend(here.rows.entries.iter().map(|entry| entry.kind));
        let refused = here.outcomes.iter().filter_map(|outcome| match outcome {
            Outcome::Refused(refusal) => Some(refusal),
            Outcome::Applied { .. } | Outcome::AlreadyApplied { .. } => None,
        });
        refusals.extend(refused.map(|refusal| {
            format!("{refusal:?}").split([' ', '{']).next().unwrap_or("").to_owned()
        }));
        life.learn(&here.rows);
    }
    assert_eq!(picture(&fake).await, picture(store).await);
    for number in 0..4 {
        reads_alike(&fake, store, number, life.now()).await;
    }
    let expected = [
        EntryKind::Expire,
        EntryKind::Grant,
        EntryKind::Revoke,
        EntryKind::Hold,
        EntryKind::Capture,
        EntryKind::Release,
        EntryKind::LapseHold,
        EntryKind::Spend,
        EntryKind::Refund,
    ];
    assert_eq!(kinds, BTreeSet::from(expected), "seed {seed}");
    for refusal in
        ["AboveHold", "HoldCaptured", "HoldLapsed", "InsufficientCredits", "LimitReached"]
    {
        assert!(refusals.contains(refusal), "{refusal} of {refusals:?}");
    }
}

/// What is read of an account's credits is the same of both stores, page by page and by every filter.
async fn reads_alike(fake: &Arc<dyn Store>, store: &Arc<dyn Store>, number: u64, now: Timestamp) {
    let account = spender(number);
    let all = Page { after: None, limit: 10_000 };
    let holds = fake.holds(&account, false, all).await.expect("reads");
    assert!(holds.len() > 10, "{account} has few holds");
    assert_eq!(store.holds(&account, false, all).await.expect("reads"), holds);
    let page = Page { after: holds.get(3).map(|hold| hold.entry_seq), limit: 2 };
    assert_eq!(store.holds(&account, false, page).await.expect("reads"), holds[4..6]);
    let open = fake.holds(&account, true, all).await.expect("reads");
    assert_eq!(store.holds(&account, true, all).await.expect("reads"), open);
    assert_eq!(store.hold(holds[0].id).await.expect("reads").as_ref(), holds.first());
    let (feature, project, session) =
        (Some(label("image")), Some(label("house")), Some(label("s1")));
    let none = UsageFilter::default;
    let filters = [
        none(),
        UsageFilter { feature: feature.clone(), ..none() },
        UsageFilter { project: project.clone(), ..none() },
        UsageFilter { session: session.clone(), ..none() },
        UsageFilter { feature, project, session },
    ];
    for filter in filters {
        let usages = fake.usages(&account, filter.clone(), all).await.expect("reads");
        assert_eq!(store.usages(&account, filter, all).await.expect("reads"), usages);
        if let Some(usage) = usages.first() {
            assert_eq!(store.usage(usage.id).await.expect("reads").as_ref(), Some(usage));
        }
    }
    let today = inspay_primitives::Zone::default().day_of(now);
    for days in [0, 3, 10_000] {
        let from = today.plus_days(-days);
        let sums = fake.usage_days(&account, from, today).await.expect("reads");
        assert_eq!(store.usage_days(&account, from, today).await.expect("reads"), sums);
    }
    for (span, limit) in [(Span::ALWAYS, 100), (Span::ALWAYS, 1), (zone_day(now), 100)] {
        let sums = fake.usage_sessions(&account, span, limit).await.expect("reads");
        assert_eq!(store.usage_sessions(&account, span, limit).await.expect("reads"), sums);
    }
    history_alike(fake, store, &account, &holds[0]).await;
    let limits = fake.limits(&account, now).await.expect("reads");
    assert_eq!(store.limits(&account, now).await.expect("reads"), limits);
    let profile = fake.profile(&account).await.expect("reads");
    assert_eq!(store.profile(&account).await.expect("reads"), profile);
    for hold in holds.iter().take(5) {
        let lot = hold.slices[0].lot;
        let known = fake.lot(lot).await.expect("reads");
        assert_eq!(store.lot(lot).await.expect("reads"), known);
        let changes = fake.lot_changes(lot, all).await.expect("reads");
        assert!(!changes.is_empty());
        assert_eq!(store.lot_changes(lot, all).await.expect("reads"), changes);
    }
    let far = now.plus_seconds(40 * 86_400);
    let due = fake.credits_due(now, far, 100).await.expect("reads");
    let found = store.credits_due(now, far, 100).await.expect("reads");
    assert_eq!(found.warnings, due.warnings);
    let sorted = |mut holds: Vec<inspay_primitives::HoldId>| {
        holds.sort_unstable();
        holds
    };
    assert_eq!(sorted(found.holds), sorted(due.holds));
}

fn zone_day(now: Timestamp) -> Span {
    let zone = inspay_primitives::Zone::default();
    zone.span_of(zone.day_of(now))
}

/// Every filter of a history keeps what it is for and nothing else, page by page.
async fn history_alike(
    fake: &Arc<dyn Store>,
    store: &Arc<dyn Store>,
    account: &inspay_primitives::AccountId,
    hold: &inspay_ledger::Hold,
) {
    let all = Page { after: None, limit: 10_000 };
    let whole = fake.history(account, HistoryFilter::default(), all).await.expect("reads");
    let middle = whole[whole.len() / 2].booked_at;
    let none = HistoryFilter::default;
    let filters = [
        HistoryFilter { kind: Some(EntryKind::Hold), ..none() },
        HistoryFilter { from: Some(middle), ..none() },
        HistoryFilter { until: Some(middle), ..none() },
        HistoryFilter { feature: Some(label("image")), ..none() },
        HistoryFilter { project: Some(label("house")), ..none() },
        HistoryFilter { lot: Some(hold.slices[0].lot), ..none() },
    ];
    for filter in filters {
        let kept = fake.history(account, filter.clone(), all).await.expect("reads");
        assert!(!kept.is_empty() && kept.len() < whole.len(), "{filter:?} keeps {}", kept.len());
        assert_eq!(store.history(account, filter.clone(), all).await.expect("reads"), kept);
        let page = Page { after: kept.first().map(|line| line.entry_seq), limit: 2 };
        let second = store.history(account, filter, page).await.expect("reads");
        assert!(kept.iter().skip(1).take(2).eq(&second));
    }
    let nothing = HistoryFilter { lot: Some(LotId { entry_seq: 1, index: 9 }), ..none() };
    assert_eq!(store.history(account, nothing, all).await.expect("reads"), vec![]);
}

/// A life of many kinds of spending under one seed.
pub async fn a_life_of_spending_reads_as_in_the_fake(store: &Arc<dyn Store>) {
    live(store, 9, 120).await;
}

/// Another life under another seed.
pub async fn another_life_of_spending_reads_as_in_the_fake(store: &Arc<dyn Store>) {
    live(store, 20_261_123, 120).await;
}

/// A decision sees the lots, holds, spends, limits and windows that its operations touch, as they were written.
pub async fn a_decision_sees_what_spending_touches(store: &Arc<dyn Store>) {
    spend_some(store, now()).await;
    let asked = vec![
        Operation::from(Act::Capture { hold: hold_id(3), credits: None }),
        Operation::from(hold(&spender(1), 9, "chat", 1)),
    ];
    let Written { loaded, .. } = write(store, asked, now()).await;
    let open = loaded.holds.get(&hold_id(3)).expect("is loaded");
    assert_eq!((open.credits, open.resolution), (credits(30), None));
    let lots: Vec<(LotId, LotParts)> =
        loaded.lots.values().map(|lot| (lot.id, lot.parts)).collect();
    let held = LotParts { left: credits(20), held: credits(30), ..LotParts::default() };
    assert!(lots.contains(&(open.slices.first().expect("a slice").lot, held)), "{lots:?}");
    let spent = LotParts { left: credits(88), spent: credits(12), ..LotParts::default() };
    assert!(lots.iter().any(|(_, parts)| *parts == spent), "{lots:?}");
    let windows: Vec<_> = loaded.windows.values().map(|it| (it.held, it.spent)).collect();
    assert_eq!(windows, [(credits(0), credits(12))]);
    assert_eq!(loaded.limits.len(), 1);
    assert_eq!(loaded.profiles.len(), 2);
}

/// A hold that ran out is given back before the next one is decided, whether or not it was swept.
pub async fn a_hold_that_ran_out_is_found_unswept(store: &Arc<dyn Store>) {
    spend_some(store, now()).await;
    let later = now().plus_seconds(900);
    let all = Operation::requested("till", "all", hold(&spender(2), 9, "chat", 50));
    let written = write(store, vec![all], later).await;
    assert!(matches!(written.outcomes.as_slice(), [Outcome::Applied { .. }]));
    let ends: Vec<_> = written.rows.resolutions.iter().map(|end| (end.hold, end.kind)).collect();
    assert_eq!(ends, [(hold_id(3), ResolutionKind::Lapsed)]);
}

/// A refusal is stored with what it said, and given again when the credits would be there.
pub async fn a_refusal_is_given_again(store: &Arc<dyn Store>) {
    let account = spender(1);
    let asks = |name: &str, act: Act| vec![Operation::requested("till", name, act)];
    write(store, asks("know", know(&account)), now()).await;
    let refused = write(store, asks("hold", hold(&account, 1, "chat", 5)), now()).await.outcomes;
    let short = Refusal::InsufficientCredits { needed: credits(5), available: credits(0) };
    assert_eq!(refused, [Outcome::Refused(short)]);
    let far = now().plus_seconds(86_400);
    write(store, asks("grant", prize(&account, "p", 10, far)), now()).await;
    let again = write(store, asks("hold", hold(&account, 1, "chat", 5)), now()).await.outcomes;
    assert_eq!(again, [Outcome::Refused(short)]);
    let nobody = write(store, asks("nobody", prize(&spender(9), "p", 10, far)), now()).await;
    assert_eq!(nobody.outcomes, [Outcome::Refused(Refusal::NoSuchAccount)]);
}

/// Limits begin with what was held and spent before, and the later of two of the same kind is the one.
pub async fn a_limit_begins_with_what_was_spent_before(store: &Arc<dyn Store>) {
    spend_some(store, now()).await;
    let asks = |name: &str, act: Act| vec![Operation::requested("till", name, act)];
    let set = write(store, asks("limit", daily(&spender(1), 2, 13, now())), now()).await;
    assert!(matches!(set.outcomes.as_slice(), [Outcome::Applied { .. }]));
    let Act::SetLimit { limit, .. } = daily(&spender(1), 2, 13, now()) else { return };
    let over = write(store, asks("over", hold(&spender(1), 7, "chat", 2)), now()).await.outcomes;
    let refused = Refusal::LimitReached { limit: limit.id, left: credits(1) };
    assert_eq!(over, [Outcome::Refused(refused)]);
    let of_other = write(store, asks("set", daily(&spender(2), 3, 30, now())), now()).await;
    assert!(matches!(of_other.outcomes.as_slice(), [Outcome::Applied { .. }]));
    let over = write(store, asks("more", hold(&spender(2), 8, "chat", 1)), now()).await.outcomes;
    assert!(matches!(over.as_slice(), [Outcome::Refused(Refusal::LimitReached { .. })]));
}
