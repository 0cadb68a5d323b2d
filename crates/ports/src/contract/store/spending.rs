//! Facts of credits in use: whatever is asked, a store answers and keeps what the fake does.

use std::{collections::BTreeSet, sync::Arc};

use inspay_ledger::{Act, EntryKind, LotParts, Operation, Outcome, Refusal, ResolutionKind};
use inspay_primitives::LotId;

use super::{books::now, picture};
use crate::{
    Store,
    contract::{
        teller::{Written, write},
        till::{SpendingLife, credits, daily, hold, hold_id, know, prize, spend_some, spender},
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
