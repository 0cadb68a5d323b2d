//! Everything that a story of orders, payments, holds and grants writes, row by row, beside what it wrote before.
//!
//! Where a rule changes, the difference of the file says what it changes. `UPDATE_EXPECT=1` writes it anew.

use std::fmt::{Debug, Write as _};

use expect_test::expect_file;
use inspay_ledger::{
    Act, BatchRows, Decision, EntryKind, Evidence, GrantTerms, IgnoreReason, LateTerms,
    LedgerState, Limit, LimitAction, LimitScope, LimitWindow, LotSource, Operation, Outcome,
    Purpose, SettlementRules, SuspenseReason, TransferRecord, apply,
};
use inspay_primitives::{
    AccountId, Credits, Direction, HoldId, Label, LimitId, LotId, Reference, Timestamp, Transfer,
    TransferId, U256, UsageId, Zone,
};
use uuid::Uuid;

use crate::support::{order, transfer};

struct Story {
    state: LedgerState,
    now: Timestamp,
    asked: u32,
    told: String,
}

fn alice() -> AccountId {
    order().terms.account
}

fn label(text: &str) -> Label {
    text.parse().expect("a label")
}

fn credits(text: &str) -> Credits {
    text.parse().expect("credits")
}

fn hold_id(number: u128) -> HoldId {
    HoldId::from_uuid(Uuid::from_u128(number))
}

fn lot(entry_seq: i64) -> LotId {
    LotId { entry_seq, index: 0 }
}

/// One line for each row, so that a difference names it.
fn rows<T: Debug>(told: &mut String, name: &str, rows: &[T]) {
    for row in rows {
        writeln!(told, "  {name} {row:?}").expect("writes");
    }
}

fn tell(told: &mut String, written: &BatchRows) {
    rows(told, "entry", &written.entries);
    rows(told, "settlement", &written.settlements);
    rows(told, "reversal", &written.reversals);
    rows(told, "transfer", &written.transfers);
    rows(told, "order", &written.orders);
    rows(told, "new lot", &written.new_lots);
    rows(told, "lot", &written.lots_changed);
    rows(told, "balance", &written.balances);
    rows(told, "hold", &written.holds);
    rows(told, "resolution", &written.resolutions);
    rows(told, "usage", &written.usages);
    rows(told, "refund", &written.refunds);
    rows(told, "usage day", &written.usage_days);
    rows(told, "limit", &written.limits);
    rows(told, "limit removed", &written.limits_removed);
    rows(told, "window", &written.windows);
    rows(told, "account", &written.accounts);
    rows(told, "profile", &written.profiles);
    rows(told, "case opened", &written.cases_opened);
    rows(told, "case resolved", &written.cases_resolved);
    rows(told, "event", &written.events);
    rows(told, "operation", &written.operations);
    rows(told, "head", written.head.as_slice());
}

impl Story {
    fn new() -> Self {
        let mut state = LedgerState::default();
        let order = order();
        state.accounts.insert(order.terms.account.clone());
        state.orders.insert(order.terms.id, order);
        let now = "2026-03-01T12:00:00Z".parse().expect("a time");
        Self { state, now, asked: 0, told: String::new() }
    }

    fn run(&mut self, what: &str, operation: Operation) -> Outcome {
        let rules = SettlementRules::default();
        let (mut outcomes, written) = apply(&mut self.state, &[operation], &rules, self.now);
        let outcome = outcomes.remove(0);
        for entry in &written.entries {
            assert_eq!(entry.unbalanced_unit(), None, "{what}");
            assert_eq!(entry.compute_hash(), entry.hash, "{what}");
        }
        writeln!(self.told, "{what}: {outcome:?}").expect("writes");
        tell(&mut self.told, &written);
        self.now = self.now.plus_seconds(60);
        outcome
    }

    fn ask(&mut self, what: &str, act: Act) -> i64 {
        self.asked += 1;
        let operation = Operation::requested("app", &self.asked.to_string(), act);
        match self.run(what, operation) {
            Outcome::Applied { entry_seq } => entry_seq.unwrap_or(0),
            Outcome::AlreadyApplied { .. } | Outcome::Refused(_) => -1,
        }
    }

    fn act(&mut self, what: &str, act: Act) {
        self.run(what, Operation::from(act));
    }

    fn receive(&mut self, index: u8, base_units: u64, direction: Direction) -> TransferId {
        // The fourth comes after the deadline.
        let seconds = if index == 3 { 1_500 } else { 900 };
        let seen = transfer(index, U256::from(base_units), seconds, 1);
        let key = inspay_primitives::TransferKey { direction, ..seen.key };
        let transfer = Transfer { key, ..seen };
        let record = TransferRecord { transfer, canonical: true, generation: 0, settlement: None };
        self.state.transfers.insert(key.id(), record);
        key.id()
    }

    fn settle(&mut self, what: &str, transfer: TransferId, decision: Decision) {
        let generation = self.state.transfers[&transfer].generation;
        let reference = Some(Reference::from_bytes([3; 16]));
        let value = Some("1.25".parse().expect("dollars"));
        let act = Act::Settle { transfer, generation, judged_in: None, reference, decision, value };
        self.act(what, act);
    }

    fn reverse(&mut self, what: &str, transfer: TransferId) {
        self.state.transfers.get_mut(&transfer).expect("recorded").canonical = false;
        let generation = self.state.transfers[&transfer].generation;
        self.act(what, Act::Reverse { transfer, generation });
    }

    fn hold(&mut self, number: u128, feature: &str, held: &str) {
        let project = Some(label("house"));
        let purpose = Purpose { project, units: Some(2), ..Purpose::of(label(feature)) };
        let (hold, account, credits) = (hold_id(number), alice(), credits(held));
        let act = Act::Hold { hold, account, purpose, credits, valid_seconds: 900 };
        self.ask(&format!("hold {held} for {feature}"), act);
    }

    fn spend(&mut self, feature: &str, spent: &str) -> i64 {
        let purpose = Purpose::of(label(feature));
        let act = Act::Spend { account: alice(), purpose, credits: credits(spent) };
        self.ask(&format!("spend {spent} on {feature}"), act)
    }

    fn grant(&mut self, source: LotSource, granted: &str, change: impl Fn(&mut GrantTerms)) -> i64 {
        let mut terms = GrantTerms {
            account: alice(),
            opens_account: false,
            source,
            campaign: None,
            budget: None,
            reference: format!("grant {}", self.asked),
            credits: credits(granted),
            scope: None,
            priority: 50,
            expires_at: self.now.plus_seconds(86_400),
        };
        change(&mut terms);
        self.ask(&format!("grant {granted} of {source:?}"), Act::Grant(terms))
    }

    fn limit(&mut self, number: u128, scope: LimitScope, action: LimitAction, cap: &str) {
        let window = LimitWindow::Day;
        let id = LimitId::from_uuid(Uuid::from_u128(number));
        let (account, set_at) = (alice(), self.now);
        let alerts = vec![50, 90];
        let limit = Limit { id, account, scope, window, action, cap: credits(cap), alerts, set_at };
        self.state.bases.insert(id, (Credits::ZERO, Credits::ZERO));
        let zone = self.state.profiles.get(&alice()).map(|profile| profile.zone.clone());
        let window_start = window.span_at(self.now, &zone.unwrap_or_default()).start;
        self.ask("a limit is set", Act::SetLimit { limit, window_start });
    }
}

fn attributed(evidence: Evidence, late: Option<LateTerms>) -> Decision {
    Decision::Attribute { order: order().terms.id, evidence, late }
}

#[test]
fn a_story_of_payments_writes_what_it_wrote() {
    let mut story = Story::new();
    let [part, rest, extra, late, odd, zero] = [4_000, 5_000, 700, 900, 321, 0].map(|base_units| {
        let index = u8::try_from(story.state.transfers.len()).expect("few");
        story.receive(index, base_units, Direction::In)
    });
    let out = story.receive(40, 2_000, Direction::Out);
    story.settle("a part is paid", part, attributed(Evidence::Reference, None));
    story.settle("the rest is paid", rest, attributed(Evidence::ExactAmount, None));
    story.settle("more is paid", extra, attributed(Evidence::Reference, None));
    let terms = LateTerms { rate: "1".parse().expect("a rate"), credits: credits("7.5") };
    story.settle("it is paid late", late, attributed(Evidence::Reference, Some(terms)));
    let candidates = vec![order().terms.id];
    let suspended =
        Decision::Suspend { reason: SuspenseReason::NoEvidence, candidates: candidates.clone() };
    story.settle("an odd amount comes", odd, suspended);
    story.settle("nothing comes", zero, Decision::Ignore(IgnoreReason::ZeroValue));
    story.settle("money leaves", out, Decision::Withdraw);
    let (again, back) =
        (story.receive(50, 9_000, Direction::In), story.receive(51, 10, Direction::Out));
    let nothing = story.receive(52, 0, Direction::In);
    story.settle("money that came does not leave", again, Decision::Withdraw);
    story.settle("nothing does not leave", nothing, Decision::Withdraw);
    let late = Decision::Suspend { reason: SuspenseReason::Late, candidates };
    story.settle("money that left is not suspended", back, late.clone());
    story.settle("nothing is not suspended", nothing, late);
    story.settle("money is not ignored", again, Decision::Ignore(IgnoreReason::ZeroValue));
    story.settle("it comes from elsewhere", again, Decision::Ignore(IgnoreReason::SelfTransfer));
    story.settle("money that left pays nothing", back, attributed(Evidence::Reference, None));
    story.settle("nothing pays nothing", nothing, attributed(Evidence::Reference, None));
    story.settle("the same amount comes again", again, attributed(Evidence::ExactAmount, None));
    story.act("suspense is opened again", Act::Reopen { transfer: odd, generation: 0 });
    story.settle("it fits a paid order no more", odd, attributed(Evidence::ProvenPayer, None));
    story.settle("now it is known whose", odd, attributed(Evidence::Reference, None));
    story.hold(1, "video", "16");
    story.ask("the video is made", Act::Capture { hold: hold_id(1), credits: None });
    let spent = story.spend("image", "60");
    story.reverse("the part leaves the chain", part);
    story.reverse("the rest leaves the chain", rest);
    story.reverse("the withdrawal leaves the chain", out);
    story.spend("chat", "1");
    let usage = UsageId { entry_seq: spent };
    story.ask("images are refunded", Act::Refund { usage, credits: Some(credits("20")) });
    story.grant(LotSource::Prize, "50", |_| ());
    let close = Act::CloseOrder {
        order: order().terms.id,
        chain_time: Timestamp::from_chain_seconds(2_000),
        judged_in: None,
    };
    story.act("the order is closed", close);
    expect_file!["payments.txt"].assert_eq(&story.told);
}

#[test]
fn a_story_of_spending_writes_what_it_wrote() {
    let mut story = Story::new();
    let balance_alerts = vec![credits("40"), credits("10")];
    let zone: Zone = "Asia/Kolkata".parse().expect("a zone");
    let captured =
        story.ask("a profile is set", Act::SetProfile { account: alice(), zone, balance_alerts });
    story.limit(1, LimitScope::Account, LimitAction::Warn, "60");
    story.limit(2, LimitScope::Feature(label("video")), LimitAction::Refuse, "48");
    let prize = story.grant(LotSource::Prize, "30", |_| ());
    let video = story.grant(LotSource::FreePlan, "20", |terms| {
        terms.scope = Some(label("video"));
        terms.priority = 60;
    });
    let cycle = story.grant(LotSource::Subscription, "50", |terms| {
        terms.priority = 40;
        terms.expires_at = terms.expires_at.plus_seconds(5 * 86_400);
    });
    let of_spring = |terms: &mut GrantTerms| {
        terms.campaign = Some(label("spring"));
        terms.budget = Some(credits("25"));
    };
    story.grant(LotSource::Promotion, "15", of_spring);
    story.grant(LotSource::Promotion, "10.000001", of_spring);
    story.grant(LotSource::Promotion, "10", of_spring);
    story.grant(LotSource::Prize, "0", |_| ());
    story.grant(LotSource::Prize, "5", |terms| terms.campaign = Some(label("spring")));
    story.grant(LotSource::Prize, "5", |terms| terms.budget = Some(credits("9")));
    story.grant(LotSource::Promotion, "5", |_| ());
    story.hold(1, "video", "32");
    story
        .ask("a part is captured", Act::Capture { hold: hold_id(1), credits: Some(credits("25")) });
    let made = UsageId { entry_seq: captured };
    story.ask(
        "a captured part is refunded",
        Act::Refund { usage: made, credits: Some(credits("1")) },
    );
    story.hold(2, "video", "16");
    story.ask("a hold is released", Act::Release { hold: hold_id(2) });
    story.hold(3, "image", "4");
    story.hold(4, "video", "40");
    let spent = story.spend("image", "12.5");
    let usage = UsageId { entry_seq: spent };
    story.ask("a part is refunded", Act::Refund { usage, credits: Some(credits("2.5")) });
    story.ask("all of it is refunded", Act::Refund { usage, credits: None });
    story.ask("once more", Act::Refund { usage, credits: None });
    story.spend("chat", "0");
    story.act("a lot is warned of", Act::WarnLot { lot: lot(prize) });
    story.act("and once more", Act::WarnLot { lot: lot(prize) });
    story.act("a lot is not due", Act::ExpireLot { lot: lot(prize) });
    story.ask("a lot is revoked", Act::Revoke { lot: lot(cycle) });
    story.ask("and once more", Act::Revoke { lot: lot(cycle) });
    story.now = story.now.plus_seconds(900);
    story.act("a hold runs out", Act::LapseHold { hold: hold_id(3) });
    story.spend("chat", "3");
    story.now = story.now.plus_seconds(2 * 86_400);
    story.act("a lot lapses", Act::ExpireLot { lot: lot(prize) });
    story.act("and once more", Act::ExpireLot { lot: lot(prize) });
    story.act("another lapses", Act::ExpireLot { lot: lot(video) });
    story.act("it cannot be warned of", Act::WarnLot { lot: lot(video) });
    story.ask("it cannot be revoked", Act::Revoke { lot: lot(video) });
    story.grant(LotSource::Prize, "45", |_| ());
    story.spend("chat", "6");
    story.spend("chat", "1");
    story.spend("chat", "30");
    expect_file!["spending.txt"].assert_eq(&story.told);
}

#[test]
fn an_entry_that_does_not_balance_is_told_by_its_unit() {
    let mut story = Story::new();
    let prize = Act::Grant(GrantTerms {
        account: alice(),
        opens_account: false,
        source: LotSource::Prize,
        campaign: None,
        budget: None,
        reference: "prize".to_owned(),
        credits: credits("5"),
        scope: None,
        priority: 50,
        expires_at: Timestamp::FAR,
    });
    let rules = SettlementRules::default();
    let (_, written) = apply(&mut story.state, &[Operation::from(prize)], &rules, story.now);
    let entry = &written.entries[0];
    assert_eq!(entry.unbalanced_unit(), None);
    for place in 0..entry.postings.len() {
        let mut spoilt = entry.clone();
        spoilt.postings[place].quantity += U256::from(1);
        assert_eq!(spoilt.unbalanced_unit(), Some(entry.postings[place].unit), "{place}");
        spoilt.postings.remove(place);
        assert!(spoilt.unbalanced_unit().is_some(), "{place}");
    }
}

#[test]
fn every_kind_of_entry_is_read_as_it_is_written() {
    for kind in EntryKind::ALL {
        assert_eq!(EntryKind::parse(kind.as_str()), Some(kind));
    }
    assert_eq!(EntryKind::parse("wish"), None);
}
