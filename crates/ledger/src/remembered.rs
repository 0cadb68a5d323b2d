//! What a batch of spending left behind, for the next one to be decided on without reading the books again. Pure.
//!
//! Never trusted by itself: it is good as long as nobody has written the books since, which the store's commit checks, and
//! what it does not know is not there only if the commit inserts it, which the store's unique keys check.

use std::{
    collections::{BTreeSet, HashSet},
    sync::{Mutex, PoisonError},
};

use inspay_primitives::{AccountId, Timestamp};

use crate::{BatchRows, BookAccount, LedgerState, OperationKey, Touches};

/// For how long the state of a batch may serve. Holds that run out until then are loaded with it.
const SERVES_SECONDS: i64 = 10;
/// With more open holds than this, reading those of the next batch costs less.
const HOLDS_MAX: usize = 512;

/// The state that a batch of spending left behind, and how far it reaches.
#[derive(Debug)]
pub struct Remembered {
    /// The state as it was written.
    pub state: LedgerState,
    /// What the store told of the head after it was written.
    pub revision: i64,
    /// Accounts that everything spending needs is known of.
    spenders: BTreeSet<AccountId>,
    /// Accounts of the books, beside the spenders' own, whose balances are known.
    shared: BTreeSet<BookAccount>,
    /// When the state was loaded, and until when it serves.
    span: (Timestamp, Timestamp),
}

impl Remembered {
    /// Until when a batch of these touches must load holds that run out, so that its state may be remembered.
    #[must_use]
    pub fn due_by(touches: &Touches) -> Timestamp {
        let seconds = if touches.is_spending() { SERVES_SECONDS } else { 0 };
        touches.due_by.plus_seconds(seconds)
    }

    /// What a batch that was loaded for `touches`, with holds that run out until [`Self::due_by`], has left behind once
    /// it was written; `None` where it is not worth keeping. `revision` is that of the head it left.
    #[must_use]
    pub fn new(state: LedgerState, touches: &Touches, revision: i64) -> Option<Self> {
        if !touches.is_spending() {
            return None;
        }
        let features = state
            .holds
            .values()
            .map(|hold| BookAccount::CreditsSpent(hold.purpose.feature.clone()));
        let shared = touches.shared.iter().cloned().chain(features).collect();
        let spenders = state.spenders(touches);
        let span = (touches.due_by, Self::due_by(touches));
        Self { state, revision, spenders, shared, span }.kept(revision)
    }

    /// The same after another batch was decided on it and written; `None` where it is not worth keeping any more.
    #[must_use]
    pub fn kept(mut self, revision: i64) -> Option<Self> {
        self.revision = revision;
        self.state.operations.clear();
        self.state.usages.clear();
        self.state.holds.retain(|_, hold| hold.resolution.is_none());
        (self.state.holds.len() <= HOLDS_MAX).then_some(self)
    }

    /// Whether all that a batch touches is known, but for keys and holds that may be new.
    #[must_use]
    pub fn covers(&self, touches: &Touches) -> bool {
        let (from, until) = self.span;
        // What is decided is decided at no earlier time than the newest entry's.
        touches.is_spending()
            && from <= touches.due_by
            && touches.due_by.max(self.state.head.booked_at) <= until
            && touches.spenders.is_subset(&self.spenders)
            && touches.shared.is_subset(&self.shared)
    }

    /// Whether a decision on this state depends on nothing that is only believed to be absent: the rows insert every key
    /// and every hold that was not known.
    #[must_use]
    pub fn is_sure(&self, touches: &Touches, rows: &BatchRows) -> bool {
        let stored: HashSet<&OperationKey> = rows.operations.iter().map(|row| &row.key).collect();
        touches.keys.iter().all(|key| stored.contains(key))
            && touches.holds.iter().all(|hold| self.state.holds.contains_key(hold))
    }
}

/// Where a store keeps what the last batch left behind.
#[derive(Debug, Default)]
pub struct Memory(Mutex<Option<Remembered>>);

impl Memory {
    /// Takes what is kept, if it covers `touches`. It is gone in any case: whatever this batch writes, it is no longer good
    /// for a third.
    pub fn recall(&self, touches: &Touches) -> Option<Remembered> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
            .filter(|left| left.covers(touches))
    }

    /// Keeps what a batch left behind, once it is written.
    pub fn remember(&self, left: Option<Remembered>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = left;
    }
}

#[cfg(test)]
mod tests {
    use inspay_primitives::{
        B256, ChainId, Credits, Fence, FencingNumber, HoldId, LimitId, LotId, OrderId, TransferId,
        UsageId,
    };
    use uuid::Uuid;

    use super::*;
    use crate::{
        Act, Hold, LimitBasis, LimitScope, LotSource, Operation, OperationRow, Purpose, touches,
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_chain_seconds(1_700_000_000).plus_seconds(second)
    }

    fn account(name: &str) -> AccountId {
        name.parse().expect("an account")
    }

    fn hold_id(number: u128) -> HoldId {
        HoldId::from_uuid(Uuid::from_u128(number))
    }

    fn purpose(feature: &str) -> Purpose {
        Purpose::of(feature.parse().expect("a label"))
    }

    fn holding(name: &str, number: u128, feature: &str) -> Operation {
        Operation::from(Act::Hold {
            hold: hold_id(number),
            account: account(name),
            purpose: purpose(feature),
            credits: Credits::from_micros(1),
            valid_seconds: 60,
        })
    }

    fn open_hold(number: u128) -> Hold {
        Hold {
            id: hold_id(number),
            account: account("alice"),
            purpose: purpose("chat"),
            credits: Credits::from_micros(1),
            made_at: at(0),
            expires_at: at(60),
            entry_seq: 1,
            slices: Vec::new(),
            resolution: None,
        }
    }

    fn wanted(second: i64) -> Touches {
        touches(&[holding("alice", 1, "chat")], at(second))
    }

    fn remembered() -> Remembered {
        Remembered::new(LedgerState::default(), &wanted(0), 7).expect("is worth it")
    }

    #[test]
    fn spending_of_who_is_known_is_covered_for_a_while() {
        for (second, covered) in [(-1, false), (0, true), (10, true), (11, false)] {
            assert_eq!(remembered().covers(&wanted(second)), covered, "second {second}");
        }
        assert_eq!(Remembered::due_by(&wanted(0)), at(10));
        let mut ahead = remembered();
        ahead.state.head.booked_at = at(11);
        assert!(!ahead.covers(&wanted(5)), "an entry was booked later");
        let covers = |operation| remembered().covers(&touches(&[operation], at(1)));
        assert!(covers(holding("alice", 2, "chat")));
        assert!(!covers(holding("bob", 2, "chat")), "another account");
        assert!(!covers(holding("alice", 2, "video")), "another feature's balance");
        assert!(covers(Operation::from(Act::Release { hold: hold_id(1) })));
    }

    #[test]
    fn the_features_of_known_holds_are_known() {
        let mut state = LedgerState::default();
        let kept = Hold { purpose: purpose("video"), ..open_hold(3) };
        state.holds.insert(kept.id, kept);
        let release = Operation::from(Act::Release { hold: hold_id(3) });
        let left = Remembered::new(state, &touches(&[release], at(0)), 7).expect("is worth it");
        assert!(left.covers(&touches(&[holding("alice", 4, "video")], at(0))));
        assert!(!left.covers(&touches(&[holding("alice", 4, "chat")], at(0))));
    }

    #[test]
    fn whatever_others_may_change_is_not_covered() {
        type Change = fn(&mut Touches);
        let changes: [(&str, Change); 10] = [
            ("a transfer", |it| it.transfers.extend([*TransferId::range_of(&B256::ZERO).start()])),
            ("an order", |it| it.orders.extend([OrderId::from_uuid(Uuid::nil())])),
            ("a closing", |it| it.closes.extend([OrderId::from_uuid(Uuid::nil())])),
            ("a lot", |it| it.lots.extend([LotId { entry_seq: 1, index: 0 }])),
            ("a spend", |it| it.usages.extend([UsageId { entry_seq: 1 }])),
            ("a grant", |it| it.granted.extend([account("alice")])),
            ("a balance", |it| it.shared.extend([BookAccount::CreditsIssued(LotSource::Prize)])),
            ("a limit's beginning", |it| {
                let limit = LimitId::from_uuid(Uuid::nil());
                let scope = LimitScope::Account;
                it.bases.insert(LimitBasis {
                    limit,
                    account: account("alice"),
                    scope,
                    from: at(0),
                });
            }),
            ("what reversals touch", |it| it.reverses = true),
            ("a fence", |it| {
                let number = FencingNumber(1);
                it.fences.insert(Fence { chain_id: ChainId(1), number });
            }),
        ];
        for (what, change) in changes {
            let mut touched = wanted(0);
            change(&mut touched);
            assert!(!remembered().covers(&touched), "{what}");
            if what != "a balance" {
                assert!(!touched.is_spending(), "{what}");
                assert!(Remembered::new(LedgerState::default(), &touched, 7).is_none(), "{what}");
                assert_eq!(Remembered::due_by(&touched), at(0), "{what}");
            }
        }
        let nothing = Touches { due_by: at(0), ..Touches::default() };
        assert!(!nothing.is_spending());
    }

    #[test]
    fn what_was_taken_for_new_must_be_inserted() {
        let mut left = remembered();
        let touched = wanted(0);
        let mut rows = BatchRows::default();
        assert!(!left.is_sure(&touched, &rows), "neither key nor hold");
        left.state.holds.insert(hold_id(1), open_hold(1));
        assert!(!left.is_sure(&touched, &rows), "no key");
        rows.operations.push(OperationRow {
            key: holding("alice", 1, "chat").key,
            fingerprint: B256::ZERO,
            entry_seq: None,
            refusal: None,
            done_at: at(0),
        });
        assert!(left.is_sure(&touched, &rows));
        left.state.holds.clear();
        assert!(!left.is_sure(&touched, &rows), "no hold");
    }

    #[test]
    fn what_is_kept_is_open_and_not_too_much() {
        let mut left = remembered();
        assert_eq!(left.revision, 7);
        for number in 1..=HOLDS_MAX {
            let number = u128::try_from(number).expect("small");
            left.state.holds.insert(hold_id(number), open_hold(number));
        }
        let mut left = left.kept(8).expect("is worth it");
        assert_eq!((left.revision, left.state.holds.len()), (8, HOLDS_MAX));
        left.state.holds.insert(hold_id(0), open_hold(0));
        assert!(left.kept(9).is_none());
    }
}
