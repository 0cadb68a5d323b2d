//! Facts of two processes that write the same books.

use std::sync::Arc;

use inspay_ledger::{Act, Outcome, Refusal};

use crate::{
    Store,
    contract::{
        store::remembered::{asked, at, done, is_short, spend, spends, told},
        till::{daily, hold, hold_id, spender},
    },
};

/// What another process writes between two batches of one holds for it. `first` and `second` are two ways to the same
/// books, which are empty.
pub async fn what_another_process_writes_between_holds(
    first: &Arc<dyn Store>,
    second: &Arc<dyn Store>,
) {
    spends(first).await;
    done(second, 2, asked("theirs", hold(&spender(1), 1, "chat", 60))).await;
    is_short(first, 2, asked("mine", hold(&spender(1), 2, "chat", 60))).await;
    done(first, 2, spend("a", 1)).await;
    let same = || asked("same", hold(&spender(1), 3, "chat", 2));
    done(second, 2, same()).await;
    let again = told(first, 2, same()).await;
    assert!(matches!(again, Outcome::AlreadyApplied { .. }), "{again:?}");
    done(first, 2, spend("b", 1)).await;
    // A stored refusal makes no entry, and a limit neither.
    is_short(second, 2, asked("refused", hold(&spender(1), 4, "chat", 600))).await;
    is_short(first, 2, asked("refused", hold(&spender(1), 4, "chat", 600))).await;
    done(first, 2, spend("c", 1)).await;
    done(second, 2, asked("cap", daily(&spender(1), 1, 66, at(2)))).await;
    let over = told(first, 2, asked("over", hold(&spender(1), 5, "chat", 2))).await;
    assert!(matches!(over, Outcome::Refused(Refusal::LimitReached { .. })), "{over:?}");
    let release = Act::Release { hold: hold_id(1) };
    done(second, 2, asked("release", release)).await;
    done(first, 2, asked("fits", hold(&spender(1), 6, "chat", 50))).await;
    for (number, store) in [first, second, second, first, second, first].into_iter().enumerate() {
        done(store, 2, spend(&format!("by-turns-{number}"), 1)).await;
    }
    for store in [first, second] {
        assert_eq!(store.broken_laws().await.expect("checks"), []);
    }
}
