//! Tables of holds, captures, releases, spends, refunds, grants and limits.

use inspay_ledger::{
    Act, Bucket, EventKind, GrantTerms, LedgerState, Limit, LimitAction, LimitScope, LimitWindow,
    LotSource, Operation, Outcome, Purpose, Refusal, SettlementRules, apply,
};
use inspay_primitives::{
    AccountId, Credits, HoldId, Label, LimitId, LotId, Timestamp, UsageId, Zone,
};
use uuid::Uuid;

const DAY: i64 = 86_400;

pub(crate) struct Till {
    pub(crate) state: LedgerState,
    pub(crate) now: Timestamp,
    pub(crate) events: Vec<EventKind>,
    requests: u32,
}

pub(crate) fn credits(text: &str) -> Credits {
    text.parse().expect("credits")
}

fn alice() -> AccountId {
    "alice".parse().expect("an account")
}

fn label(text: &str) -> Label {
    text.parse().expect("a label")
}

fn hold_id(number: u128) -> HoldId {
    HoldId::from_uuid(Uuid::from_u128(number))
}

fn purpose(feature: &str) -> Purpose {
    Purpose::of(label(feature))
}

impl Till {
    pub(crate) fn new() -> Self {
        let mut state = LedgerState::default();
        state.accounts.insert(alice());
        let now = "2026-03-01T12:00:00Z".parse().expect("a time");
        Self { state, now, events: Vec::new(), requests: 0 }
    }

    fn run(&mut self, operation: Operation) -> Outcome {
        self.load_basis(&operation.act);
        let (mut outcomes, rows) =
            apply(&mut self.state, &[operation], &SettlementRules::default(), self.now);
        for entry in &rows.entries {
            assert_eq!(entry.unbalanced_unit(), None, "{entry:?}");
            assert_eq!(entry.compute_hash(), entry.hash);
        }
        for lot in self.state.lots.values() {
            assert_eq!(lot.parts.total(), Some(lot.granted), "{lot:?}");
        }
        self.events.extend(rows.events.iter().map(|event| event.kind));
        outcomes.remove(0)
    }

    /// What a store adds up before a limit is set.
    fn load_basis(&mut self, act: &Act) {
        let Act::SetLimit { limit, window_start } = act else { return };
        let micros = |sum: i64, credits: Credits| sum + credits.micros();
        let held = self.state.holds.values().filter(|hold| hold.resolution.is_none());
        let held = held.filter(|hold| hold.made_at >= *window_start);
        let held = held.fold(0, |sum, hold| micros(sum, hold.credits));
        let spent = self.state.usages.values().filter(|usage| usage.counted_at >= *window_start);
        let spent = spent.fold(0, |sum, usage| micros(sum, usage.credits));
        let basis = (Credits::from_micros(held), Credits::from_micros(spent));
        self.state.bases.insert(limit.id, basis);
    }

    fn ask(&mut self, act: Act) -> Outcome {
        self.requests += 1;
        self.run(Operation::requested("app", &self.requests.to_string(), act))
    }

    #[track_caller]
    fn done(&mut self, act: Act) -> i64 {
        let outcome = self.ask(act);
        match outcome {
            Outcome::Applied { entry_seq } => Ok(entry_seq.unwrap_or(0)),
            Outcome::AlreadyApplied { .. } | Outcome::Refused(_) => Err(outcome),
        }
        .expect("is done")
    }

    #[track_caller]
    fn refused(&mut self, act: Act) -> Refusal {
        let outcome = self.ask(act);
        match outcome {
            Outcome::Refused(refusal) => Ok(refusal),
            Outcome::Applied { .. } | Outcome::AlreadyApplied { .. } => Err(outcome),
        }
        .expect("is refused")
    }

    fn grant(&mut self, number: &str, days: i64) -> LotId {
        self.grant_as(number, days, |_| ())
    }

    fn grant_as(&mut self, number: &str, days: i64, change: impl Fn(&mut GrantTerms)) -> LotId {
        let mut terms = GrantTerms {
            account: alice(),
            opens_account: false,
            source: LotSource::Prize,
            campaign: None,
            budget: None,
            reference: format!("prize {}", self.requests),
            credits: credits(number),
            scope: None,
            priority: 50,
            expires_at: self.now.plus_seconds(days * DAY),
        };
        change(&mut terms);
        LotId { entry_seq: self.done(Act::Grant(terms)), index: 0 }
    }

    fn hold(&mut self, number: u128, feature: &str, held: &str) -> Act {
        Act::Hold {
            hold: hold_id(number),
            account: alice(),
            purpose: purpose(feature),
            credits: credits(held),
            valid_seconds: 900,
        }
    }

    fn held(&mut self, number: u128, feature: &str, held: &str) {
        let act = self.hold(number, feature, held);
        self.done(act);
    }

    fn spend(&self, feature: &str, spent: &str) -> Act {
        Act::Spend { account: alice(), purpose: purpose(feature), credits: credits(spent) }
    }

    fn parts(&self, lot: LotId) -> String {
        let parts = self.state.lots[&lot].parts;
        let shown = [parts.left, parts.held, parts.spent, parts.expired, parts.taken];
        shown.map(|part| (part.micros() / 1_000_000).to_string()).join(" ")
    }

    fn limit(&self, number: u128, scope: LimitScope, action: LimitAction, cap: &str) -> Limit {
        Limit {
            id: LimitId::from_uuid(Uuid::from_u128(number)),
            account: alice(),
            scope,
            window: LimitWindow::Day,
            action,
            cap: credits(cap),
            alerts: Vec::new(),
            set_at: self.now,
        }
    }

    fn set(&self, limit: Limit) -> Act {
        let window_start = limit.window.span_at(self.now, &Zone::default()).start;
        Act::SetLimit { limit, window_start }
    }
}

#[test]
fn a_capture_spends_what_it_says_and_gives_the_rest_back() {
    let mut till = Till::new();
    let lot = till.grant("100", 30);
    till.held(1, "video", "16");
    assert_eq!(till.parts(lot), "84 16 0 0 0");
    till.done(Act::Capture { hold: hold_id(1), credits: Some(credits("10")) });
    assert_eq!(till.parts(lot), "90 0 10 0 0");
    let twice = till.refused(Act::Capture { hold: hold_id(1), credits: None });
    assert_eq!(twice, Refusal::HoldCaptured { captured: credits("10") });
    assert_eq!(till.refused(Act::Release { hold: hold_id(1) }), twice);
}

#[test]
fn a_released_hold_costs_nothing_and_cannot_be_captured() {
    let mut till = Till::new();
    let lot = till.grant("20", 30);
    till.held(1, "video", "16");
    let above =
        till.refused(Act::Capture { hold: hold_id(1), credits: Some(credits("16.000001")) });
    assert_eq!(above, Refusal::AboveHold { held: credits("16") });
    let nothing = Act::Capture { hold: hold_id(1), credits: Some(Credits::ZERO) };
    assert_eq!(till.refused(nothing), Refusal::NotPositive);
    till.done(Act::Release { hold: hold_id(1) });
    assert_eq!(till.parts(lot), "20 0 0 0 0");
    let capture = Act::Capture { hold: hold_id(1), credits: None };
    assert_eq!(till.refused(capture), Refusal::HoldReleased);
    assert_eq!(till.refused(Act::Release { hold: hold_id(9) }), Refusal::NoSuchHold);
}

#[test]
fn a_hold_ends_to_the_microsecond_whether_or_not_it_is_swept() {
    let mut till = Till::new();
    let lot = till.grant("16", 30);
    till.held(1, "video", "16");
    let end = till.now.plus_seconds(900);
    till.now = Timestamp::from_micros(end.micros() - 1);
    let sweep = Operation::from(Act::LapseHold { hold: hold_id(1) });
    assert_eq!(till.run(sweep.clone()), Outcome::Refused(Refusal::HoldNotLapsed));
    till.now = end;
    let capture = Act::Capture { hold: hold_id(1), credits: None };
    assert_eq!(till.refused(capture), Refusal::HoldLapsed);
    // Nobody swept: the next hold finds the credits all the same.
    till.held(2, "video", "16");
    assert_eq!(till.parts(lot), "0 16 0 0 0");
    assert_eq!(till.run(sweep), Outcome::AlreadyApplied { entry_seq: Some(3) });
    assert_eq!(till.events.last(), Some(&EventKind::HoldLapsed));
}

#[test]
fn a_lot_ends_to_the_microsecond_whether_or_not_it_is_swept() {
    let mut till = Till::new();
    let lot = till.grant("10", 1);
    let end = till.now.plus_seconds(DAY);
    till.now = Timestamp::from_micros(end.micros() - 1);
    let (five, six) = (till.spend("chat", "5"), till.spend("chat", "6"));
    till.done(five.clone());
    till.now = end;
    let lapsed = Refusal::InsufficientCredits { needed: credits("5"), available: Credits::ZERO };
    assert_eq!(till.refused(five), lapsed);
    till.run(Operation::from(Act::ExpireLot { lot }));
    assert_eq!(till.parts(lot), "0 0 5 5 0");
    let short = Refusal::InsufficientCredits { needed: credits("6"), available: Credits::ZERO };
    assert_eq!(till.refused(six), short);
}

#[test]
fn what_comes_back_to_a_lapsed_lot_lapses_and_the_sweeper_leaves_held_credits_alone() {
    let mut till = Till::new();
    let lot = till.grant("10", 1);
    till.now = till.now.plus_seconds(DAY - 10);
    till.held(1, "chat", "4");
    till.now = till.now.plus_seconds(20);
    till.run(Operation::from(Act::ExpireLot { lot }));
    assert_eq!(till.parts(lot), "0 4 0 6 0");
    till.done(Act::Capture { hold: hold_id(1), credits: Some(credits("1")) });
    assert_eq!(till.parts(lot), "0 0 1 9 0");
}

#[test]
fn lots_burn_in_one_total_order() {
    let mut till = Till::new();
    let late = till.grant("10", 30);
    let soon = till.grant("10", 10);
    let first = till.grant_as("10", 60, |terms| terms.priority = 1);
    let narrow = till.grant_as("10", 90, |terms| terms.scope = Some(label("video")));
    till.held(1, "video", "35");
    assert_eq!(
        [narrow, first, soon, late].map(|lot| till.parts(lot)),
        ["0 10 0 0 0", "0 10 0 0 0", "0 10 0 0 0", "5 5 0 0 0"]
    );
    // Credits of a narrower scope are no use for anything else.
    let chat = till.spend("chat", "6");
    let short = Refusal::InsufficientCredits { needed: credits("6"), available: credits("5") };
    assert_eq!(till.refused(chat), short);
    till.done(Act::Capture { hold: hold_id(1), credits: Some(credits("12")) });
    assert_eq!(
        [narrow, first, soon, late].map(|lot| till.parts(lot)),
        ["0 0 10 0 0", "8 0 2 0 0", "10 0 0 0 0", "10 0 0 0 0"]
    );
}

#[test]
fn a_refund_goes_to_the_very_lots_that_burned_last_burned_first() {
    let mut till = Till::new();
    let soon = till.grant("10", 10);
    let late = till.grant("10", 30);
    let spend = till.spend("video", "16");
    let usage = UsageId { entry_seq: till.done(spend) };
    till.done(Act::Refund { usage, credits: Some(credits("8")) });
    assert_eq!([soon, late].map(|lot| till.parts(lot)), ["2 0 8 0 0", "10 0 0 0 0"]);
    let above = till.refused(Act::Refund { usage, credits: Some(credits("8.5")) });
    assert_eq!(above, Refusal::AboveSpend { refundable: credits("8") });
    till.done(Act::Refund { usage, credits: None });
    assert_eq!([soon, late].map(|lot| till.parts(lot)), ["10 0 0 0 0", "10 0 0 0 0"]);
    let over = till.refused(Act::Refund { usage, credits: None });
    assert_eq!(over, Refusal::AboveSpend { refundable: Credits::ZERO });
}

#[test]
fn the_same_request_gives_the_same_answer_a_refusal_too() {
    let mut till = Till::new();
    let ask = Operation::requested("app", "key", till.spend("chat", "5"));
    let short = Refusal::InsufficientCredits { needed: credits("5"), available: Credits::ZERO };
    assert_eq!(till.run(ask.clone()), Outcome::Refused(short));
    till.grant("10", 30);
    assert_eq!(till.run(ask.clone()), Outcome::Refused(short));
    let other = Operation { act: till.spend("chat", "6"), ..ask };
    assert_eq!(till.run(other), Outcome::Refused(Refusal::Conflict));
    let again = Operation::requested("app", "another", till.spend("chat", "5"));
    assert_eq!(till.run(again.clone()), Outcome::Applied { entry_seq: Some(2) });
    assert_eq!(till.run(again), Outcome::AlreadyApplied { entry_seq: Some(2) });
}

#[test]
fn a_revoked_lot_takes_back_what_holds_give_back() {
    let mut till = Till::new();
    let lot = till.grant("10", 30);
    till.held(1, "chat", "4");
    till.done(Act::Revoke { lot });
    assert_eq!(till.parts(lot), "0 4 0 0 6");
    till.done(Act::Release { hold: hold_id(1) });
    assert_eq!(till.parts(lot), "0 0 0 0 10");
    assert_eq!(till.refused(Act::Revoke { lot }), Refusal::NothingToRevoke);
    let issued = inspay_ledger::BookAccount::CreditsIssued(LotSource::Prize);
    assert_eq!(till.state.credit_balance(issued), Credits::ZERO);
}

#[test]
fn a_promotion_grants_no_more_than_its_budget() {
    let mut till = Till::new();
    let spring = |terms: &mut GrantTerms| {
        terms.source = LotSource::Promotion;
        terms.campaign = Some("spring".parse().expect("a label"));
        terms.budget = Some("25".parse().expect("credits"));
    };
    let lot = till.grant_as("20", 30, spring);
    let mut terms = GrantTerms {
        account: alice(),
        opens_account: false,
        source: LotSource::Prize,
        campaign: None,
        budget: None,
        reference: "another".to_owned(),
        credits: credits("6"),
        scope: None,
        priority: 50,
        expires_at: till.now.plus_seconds(DAY),
    };
    spring(&mut terms);
    let spent = Refusal::BudgetSpent { left: credits("5") };
    assert_eq!(till.refused(Act::Grant(terms.clone())), spent);
    till.done(Act::Revoke { lot });
    till.done(Act::Grant(terms.clone()));
    terms.account = "nobody".parse().expect("an account");
    assert_eq!(till.refused(Act::Grant(terms.clone())), Refusal::NoSuchAccount);
    terms.source = LotSource::Purchase;
    assert_eq!(till.refused(Act::Grant(terms)), Refusal::WrongSource);
}

#[test]
fn a_limit_counts_what_is_held_and_spent_and_nothing_is_ever_reset() {
    let mut till = Till::new();
    till.grant("1000", 30);
    let limit = till.limit(7, LimitScope::Account, LimitAction::Refuse, "100");
    let id = limit.id;
    till.held(1, "chat", "30");
    let spend = till.spend("chat", "20");
    till.done(spend);
    // What was held and spent before in its window counts.
    let set = till.set(limit);
    till.done(set);
    let above = till.hold(2, "chat", "51");
    let refused = Refusal::LimitReached { limit: id, left: credits("50") };
    assert_eq!(till.refused(above), refused);
    till.held(3, "chat", "50");
    till.done(Act::Release { hold: hold_id(1) });
    let fits = till.spend("chat", "30");
    till.done(fits.clone());
    assert_eq!(
        till.refused(fits.clone()),
        Refusal::LimitReached { limit: id, left: Credits::ZERO }
    );
    let told = till.events.iter().filter(|kind| **kind == EventKind::LimitRefused).count();
    assert_eq!(told, 1, "the owner is told once a window");
    till.now = "2026-03-02T00:00:00Z".parse().expect("a time");
    till.done(fits);
}

#[test]
fn limits_that_warn_tell_once_and_alerts_each_once() {
    let mut till = Till::new();
    till.grant("1000", 30);
    let limit = Limit {
        alerts: vec![50, 80, 100],
        ..till.limit(7, LimitScope::Feature(label("chat")), LimitAction::Warn, "100")
    };
    let set = till.set(limit);
    till.done(set);
    for (spent, told) in [
        ("49", vec![]),
        ("1", vec![EventKind::LimitReached]),
        ("29", vec![]),
        ("21", vec![EventKind::LimitReached]),
        ("1", vec![EventKind::LimitPassed]),
        ("1", vec![]),
    ] {
        till.events.clear();
        let spend = till.spend("chat", spent);
        till.done(spend);
        assert_eq!(till.events, told, "{spent}");
    }
    till.events.clear();
    let other = till.spend("video", "500");
    till.done(other);
    assert_eq!(till.events, []);
}

#[test]
fn limits_that_contradict_or_say_nothing_are_refused() {
    let mut till = Till::new();
    let cap = till.limit(1, LimitScope::Account, LimitAction::Refuse, "100");
    let set = till.set(cap.clone());
    till.done(set);
    let warn = till.limit(2, LimitScope::Account, LimitAction::Warn, "100");
    let set = till.set(warn.clone());
    assert_eq!(till.refused(set), Refusal::LimitsContradict { limit: cap.id });
    let set = till.set(Limit { cap: credits("99"), ..warn.clone() });
    till.done(set);
    for alerts in [vec![0], vec![101], vec![50, 50], vec![80, 50]] {
        let scope = LimitScope::Project(label("p"));
        let set = till.set(Limit { alerts, ..till.limit(3, scope, LimitAction::Warn, "1") });
        assert_eq!(till.refused(set), Refusal::AlertsUnsound);
    }
    let set = till.set(till.limit(4, LimitScope::Account, LimitAction::Refuse, "0"));
    assert_eq!(till.refused(set), Refusal::NotPositive);
    // One of the same scope, window and action takes the place of the earlier.
    let set = till.set(till.limit(5, LimitScope::Account, LimitAction::Refuse, "200"));
    till.done(set);
    assert_eq!(till.state.limits.len(), 2);
    let gone = Act::RemoveLimit { account: alice(), limit: cap.id };
    assert_eq!(till.refused(gone), Refusal::NoSuchLimit);
    till.done(Act::RemoveLimit { account: alice(), limit: warn.id });
    assert_eq!(till.state.limits.len(), 1);
}

#[test]
fn a_low_balance_is_told_once_until_there_is_a_new_lot() {
    let mut till = Till::new();
    till.grant("100", 30);
    let balance_alerts = vec![credits("50"), credits("10")];
    till.done(Act::SetProfile { account: alice(), zone: Zone::default(), balance_alerts });
    let told = |till: &mut Till, spent: &str| {
        till.events.clear();
        let spend = till.spend("chat", spent);
        till.done(spend);
        till.events.iter().filter(|kind| **kind == EventKind::BalanceLow).count()
    };
    assert_eq!(told(&mut till, "50"), 0);
    assert_eq!(told(&mut till, "1"), 1);
    assert_eq!(told(&mut till, "38"), 0);
    assert_eq!(told(&mut till, "2"), 1);
    assert_eq!(told(&mut till, "1"), 0);
    till.grant("50", 30);
    assert_eq!(told(&mut till, "10"), 1);
    let unsound = vec![credits("10"), credits("50")];
    let set = Act::SetProfile { account: alice(), zone: Zone::default(), balance_alerts: unsound };
    assert_eq!(till.refused(set), Refusal::AlertsUnsound);
}

#[test]
fn amounts_that_are_no_amounts_are_refused() {
    let mut till = Till::new();
    till.grant("100", 30);
    for wrong in [Credits::ZERO, Credits::from_micros(-1)] {
        let act = Act::Spend { account: alice(), purpose: purpose("chat"), credits: wrong };
        assert_eq!(till.refused(act), Refusal::NotPositive);
    }
    let huge = Credits::from_micros(Credits::MAX.micros() + 1);
    let act = Act::Spend { account: alice(), purpose: purpose("chat"), credits: huge };
    assert_eq!(till.refused(act), Refusal::OutOfRange);
    let refund = Act::Refund { usage: UsageId { entry_seq: 1 }, credits: None };
    assert_eq!(till.refused(refund), Refusal::NoSuchUsage);
}

#[test]
fn the_owner_is_warned_of_a_lot_once() {
    let mut till = Till::new();
    let lot = till.grant("10", 3);
    let warn = Operation::from(Act::WarnLot { lot });
    assert_eq!(till.run(warn.clone()), Outcome::Applied { entry_seq: None });
    assert_eq!(till.events.last(), Some(&EventKind::CreditsExpiring));
    assert_eq!(till.run(warn), Outcome::AlreadyApplied { entry_seq: None });
    assert!(till.state.lots[&lot].parts.warned);
    assert_eq!(Bucket::ALL.map(|bucket| Bucket::parse(bucket.as_str())), Bucket::ALL.map(Some));
}

#[test]
fn no_more_is_granted_at_once_than_can_be_held() {
    let mut till = Till::new();
    let beyond = Credits::from_micros(Credits::MAX.micros() + 1);
    let terms = |credits: Credits| {
        Act::Grant(GrantTerms {
            account: alice(),
            opens_account: false,
            source: LotSource::Prize,
            campaign: None,
            budget: None,
            reference: credits.to_string(),
            credits,
            scope: None,
            priority: 50,
            expires_at: Timestamp::FAR,
        })
    };
    assert_eq!(till.refused(terms(beyond)), Refusal::OutOfRange);
    assert!(till.done(terms(Credits::MAX)) > 0);
    let all = Act::Spend { account: alice(), purpose: purpose("chat"), credits: beyond };
    assert_eq!(till.refused(all), Refusal::OutOfRange);
}

#[test]
fn a_limit_counts_what_its_own_batch_did_before() {
    let mut till = Till::new();
    till.grant("100", 30);
    let bob: AccountId = "bob".parse().expect("an account");
    till.state.accounts.insert(bob.clone());
    till.grant_as("100", 30, |terms| terms.account = bob.clone());
    let others = Act::Hold {
        hold: hold_id(3),
        account: bob,
        purpose: purpose("chat"),
        credits: credits("7"),
        valid_seconds: 900,
    };
    let scope = LimitScope::Feature(label("chat"));
    let limit = till.limit(1, scope, LimitAction::Refuse, "9");
    let acts = [
        till.hold(1, "chat", "5"),
        till.hold(2, "video", "3"),
        others,
        till.spend("chat", "2"),
        till.set(limit.clone()),
        // Seven of nine are used.
        till.hold(4, "chat", "3"),
        till.hold(5, "chat", "2"),
        till.hold(6, "video", "3"),
    ];
    let operations: Vec<Operation> = (0..)
        .zip(acts)
        .map(|(number, act)| Operation::requested("app", &format!("together {number}"), act))
        .collect();
    till.now = till.now.plus_seconds(60);
    // What a store adds up, before the batch did anything.
    till.state.bases.insert(limit.id, (Credits::ZERO, Credits::ZERO));
    let (outcomes, rows) =
        apply(&mut till.state, &operations, &SettlementRules::default(), till.now);
    let refused: Vec<bool> =
        outcomes.iter().map(|outcome| matches!(outcome, Outcome::Refused(_))).collect();
    assert_eq!(refused, [false, false, false, false, false, true, false, false], "{outcomes:?}");
    assert_eq!(rows.limits, [Limit { set_at: till.now, ..limit }]);
    let windows: Vec<_> = till.state.windows.values().map(|it| (it.held, it.spent)).collect();
    assert_eq!(windows, [(credits("7"), credits("2"))]);
}

#[test]
fn the_highest_cap_and_alert_are_taken_and_no_higher() {
    let mut till = Till::new();
    let above = Credits::from_micros(Credits::MAX.micros() + 1);
    let whole = |till: &Till, cap| Limit {
        cap,
        ..till.limit(1, LimitScope::Account, LimitAction::Warn, "1")
    };
    let set = till.set(whole(&till, above));
    assert_eq!(till.refused(set), Refusal::OutOfRange);
    let set = till.set(whole(&till, Credits::MAX));
    till.done(set);
    let profile = |alerts: &[Credits]| Act::SetProfile {
        account: alice(),
        zone: Zone::default(),
        balance_alerts: alerts.to_vec(),
    };
    for unsound in [&[above][..], &[Credits::ZERO], &[Credits::MAX, Credits::MAX]] {
        assert_eq!(till.refused(profile(unsound)), Refusal::AlertsUnsound, "{unsound:?}");
    }
    till.done(profile(&[Credits::MAX]));
}
