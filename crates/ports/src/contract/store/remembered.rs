//! Facts of spending in a row: a store may decide a batch on what the one before left behind, and nobody may notice.

use std::sync::Arc;

use inspay_ledger::{Act, Operation, Outcome, Purpose, Refusal};
use inspay_primitives::{LimitId, Timestamp};
use uuid::Uuid;

use crate::{
    Store,
    contract::{
        teller::write,
        till::{credits, daily, hold, hold_id, know, label, prize, spender},
    },
};

/// A second of a day, by its midnight.
pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_chain_seconds(1_700_006_400).plus_seconds(second)
}

pub(crate) fn asked(key: &str, act: Act) -> Operation {
    Operation::requested("till", key, act)
}

/// A spend under its own reference, without a request's key.
pub(crate) fn spend(reference: &str, whole: i64) -> Operation {
    let purpose = Purpose { reference: Some(label(reference)), ..Purpose::of(label("chat")) };
    Operation::from(Act::Spend { account: spender(1), purpose, credits: credits(whole) })
}

/// Tells the outcome of one operation at a second.
pub(crate) async fn told(store: &Arc<dyn Store>, second: i64, operation: Operation) -> Outcome {
    let outcomes = write(store, vec![operation], at(second)).await.outcomes;
    outcomes.into_iter().next().expect("one")
}

pub(crate) async fn done(store: &Arc<dyn Store>, second: i64, operation: Operation) {
    let outcome = told(store, second, operation).await;
    assert!(matches!(outcome, Outcome::Applied { .. }), "{outcome:?}");
}

pub(crate) async fn is_short(store: &Arc<dyn Store>, second: i64, operation: Operation) {
    let outcome = told(store, second, operation).await;
    let short = matches!(outcome, Outcome::Refused(Refusal::InsufficientCredits { .. }));
    assert!(short, "{outcome:?}");
}

/// Somebody with a hundred credits, of whom the store remembers what spending leaves behind.
pub(crate) async fn spends(store: &Arc<dyn Store>) {
    done(store, 1, asked("know", know(&spender(1)))).await;
    done(store, 1, asked("grant", prize(&spender(1), "1", 100, Timestamp::FAR))).await;
    done(store, 1, spend("first", 1)).await;
}

fn for_seconds(number: u64, whole: i64, seconds: u32) -> Act {
    let mut act = hold(&spender(1), number, "chat", whole);
    if let Act::Hold { valid_seconds, .. } = &mut act {
        *valid_seconds = seconds;
    }
    act
}

/// What was done or refused before is told again, also when the credits for it are gone.
pub async fn what_was_asked_before_is_told_again(store: &Arc<dyn Store>) {
    spends(store).await;
    done(store, 2, spend("second", 9)).await;
    let again = told(store, 2, spend("second", 9)).await;
    assert!(matches!(again, Outcome::AlreadyApplied { .. }), "{again:?}");
    let same = || asked("same", hold(&spender(1), 3, "chat", 1));
    done(store, 2, same()).await;
    done(store, 2, asked("release", Act::Release { hold: hold_id(3) })).await;
    let again = told(store, 2, same()).await;
    assert!(matches!(again, Outcome::AlreadyApplied { .. }), "{again:?}");
    let taken = told(store, 2, asked("taken", hold(&spender(1), 3, "chat", 1))).await;
    assert!(matches!(taken, Outcome::Refused(_)), "{taken:?}");
    is_short(store, 2, asked("much", hold(&spender(1), 1, "chat", 600))).await;
    done(store, 2, asked("rest", hold(&spender(1), 2, "chat", 90))).await;
    let again = told(store, 2, spend("second", 9)).await;
    assert!(matches!(again, Outcome::AlreadyApplied { .. }), "{again:?}");
    is_short(store, 2, asked("much", hold(&spender(1), 1, "chat", 600))).await;
    let conflict = told(store, 2, asked("rest", hold(&spender(1), 2, "chat", 80))).await;
    assert_eq!(conflict, Outcome::Refused(Refusal::Conflict));
    let capture = || Act::Capture { hold: hold_id(2), credits: None };
    done(store, 2, asked("capture", capture())).await;
    let captured = Refusal::HoldCaptured { captured: credits(90) };
    assert_eq!(told(store, 2, asked("twice", capture())).await, Outcome::Refused(captured));
    let unknown = Act::Capture { hold: hold_id(9), credits: None };
    let unknown = told(store, 2, asked("unknown", unknown)).await;
    assert_eq!(unknown, Outcome::Refused(Refusal::NoSuchHold));
    is_short(store, 2, spend("third", 1)).await;
}

/// Credits come back at the instant that their hold runs out, whenever it was made.
pub async fn holds_run_out_between_batches(store: &Arc<dyn Store>) {
    spends(store).await;
    // Made while something is remembered, and before: the grant in between has the store read anew.
    done(store, 2, asked("known", for_seconds(1, 40, 6))).await;
    done(store, 3, asked("grant 2", prize(&spender(1), "2", 1, Timestamp::FAR))).await;
    done(store, 3, asked("read", for_seconds(2, 20, 2))).await;
    is_short(store, 4, asked("early", hold(&spender(1), 3, "chat", 50))).await;
    done(store, 5, asked("second", for_seconds(4, 60, 14))).await;
    is_short(store, 7, spend("too-much", 1)).await;
    done(store, 8, asked("first", hold(&spender(1), 5, "chat", 40))).await;
    is_short(store, 18, spend("too-much", 1)).await;
    done(store, 19, asked("third", hold(&spender(1), 6, "chat", 60))).await;
    is_short(store, 20, spend("too-much", 1)).await;
}

/// A grant, a limit and a profile that come between spends hold for the next.
pub async fn what_comes_between_spends_holds(store: &Arc<dyn Store>) {
    spends(store).await;
    is_short(store, 2, spend("much", 150)).await;
    done(store, 2, asked("grant 2", prize(&spender(1), "2", 100, Timestamp::FAR))).await;
    done(store, 2, spend("much", 150)).await;
    done(store, 2, spend("little", 1)).await;
    done(store, 2, asked("cap", daily(&spender(1), 1, 160, at(2)))).await;
    done(store, 2, spend("up-to-it", 8)).await;
    let over = told(store, 2, asked("over", hold(&spender(1), 1, "chat", 1))).await;
    assert!(matches!(over, Outcome::Refused(Refusal::LimitReached { .. })), "{over:?}");
    let limit = LimitId::from_uuid(Uuid::from_u128(1));
    let removed = Act::RemoveLimit { account: spender(1), limit };
    done(store, 2, asked("no cap", removed)).await;
    done(store, 2, asked("over it", hold(&spender(1), 2, "chat", 1))).await;
}

/// A limit of a day begins anew with the day, also between two batches that are a moment apart.
pub async fn a_day_ends_between_batches(store: &Arc<dyn Store>) {
    let is_over =
        |outcome: &Outcome| matches!(outcome, Outcome::Refused(Refusal::LimitReached { .. }));
    done(store, -9, asked("know", know(&spender(1)))).await;
    done(store, -9, asked("grant", prize(&spender(1), "1", 100, Timestamp::FAR))).await;
    done(store, -9, asked("cap", daily(&spender(1), 1, 5, at(-9)))).await;
    let five = |number: u64| asked(&number.to_string(), hold(&spender(1), number, "chat", 5));
    done(store, -3, five(1)).await;
    assert!(is_over(&told(store, -1, five(2)).await));
    done(store, 0, five(3)).await;
    assert!(is_over(&told(store, 1, five(4)).await));
}
