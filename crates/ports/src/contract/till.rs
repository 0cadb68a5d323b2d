//! Acts of spending, and lives of many of them under a seed, for facts and tests.

use std::sync::Arc;

use inspay_ledger::{
    Act, GrantTerms, Limit, LimitAction, LimitScope, LimitWindow, LotSource, Operation, Outcome,
    Purpose, Subscription,
};
use inspay_primitives::{
    AccountId, Credits, Cycle, HoldId, Label, LimitId, LotId, SubscriptionId, Timestamp, UsageId,
    Zone,
};
use uuid::Uuid;

use super::teller::write;
use crate::Store;

/// A name.
///
/// # Panics
/// Where the text is no name.
#[must_use]
pub fn label(text: &str) -> Label {
    text.parse().expect("a label")
}

/// An amount of credits.
#[must_use]
pub const fn credits(whole: i64) -> Credits {
    Credits::from_micros(whole.saturating_mul(1_000_000))
}

/// An account that spends.
///
/// # Panics
/// Never: the text is an account id.
#[must_use]
pub fn spender(number: u64) -> AccountId {
    format!("spender-{number}").parse().expect("an account id")
}

/// A hold's identity.
#[must_use]
pub fn hold_id(number: u64) -> HoldId {
    HoldId::from_uuid(Uuid::from_u128(u128::from(number)))
}

/// What makes an account known, in UTC.
#[must_use]
pub fn know(account: &AccountId) -> Act {
    let balance_alerts = vec![credits(20)];
    Act::SetProfile { account: account.clone(), zone: Zone::default(), balance_alerts }
}

/// A prize.
#[must_use]
pub fn prize(account: &AccountId, reference: &str, whole: i64, expires_at: Timestamp) -> Act {
    Act::Grant(GrantTerms {
        account: account.clone(),
        opens_account: false,
        source: LotSource::Prize,
        campaign: None,
        budget: None,
        reference: reference.to_owned(),
        credits: credits(whole),
        scope: None,
        priority: 50,
        expires_at,
    })
}

/// A hold of a quarter of an hour on one feature.
#[must_use]
pub fn hold(account: &AccountId, number: u64, feature: &str, whole: i64) -> Act {
    Act::Hold {
        hold: hold_id(number),
        account: account.clone(),
        purpose: Purpose { project: Some(label("house")), ..Purpose::of(label(feature)) },
        credits: credits(whole),
        valid_seconds: 900,
    }
}

/// A subscription to a hundred credits a month.
#[must_use]
pub fn subscription(
    number: u64,
    account: &AccountId,
    plan: &str,
    opened_at: Timestamp,
) -> Subscription {
    Subscription {
        id: SubscriptionId::from_uuid(Uuid::from_u128(u128::from(number))),
        account: account.clone(),
        plan: label(plan),
        credits: credits(100),
        every: Cycle::Months(1),
        keeps_cycles: 2,
        priority: 40,
        opened_at,
        next_cycle: 0,
        next_at: Some(opened_at),
        ended_at: None,
    }
}

/// A limit of a day on everything.
#[must_use]
pub fn daily(account: &AccountId, number: u64, whole: i64, now: Timestamp) -> Act {
    let window = LimitWindow::Day;
    Act::SetLimit {
        limit: Limit {
            id: LimitId::from_uuid(Uuid::from_u128(u128::from(number))),
            account: account.clone(),
            scope: LimitScope::Account,
            window,
            action: LimitAction::Refuse,
            cap: credits(whole),
            alerts: vec![50, 100],
            set_at: now,
        },
        window_start: window.span_at(now, &Zone::default()).start,
    }
}

fn requested(number: usize, act: Act) -> Operation {
    Operation::requested("till", &number.to_string(), act)
}

/// Fills every table of spending: two accounts, lots, an open hold, a captured one, a spend that was refunded in part, a
/// limit, days of usage; whatever is there already stays.
///
/// # Panics
/// Where the store refuses any of it.
pub async fn spend_some(store: &Arc<dyn Store>, now: Timestamp) {
    let (one, other) = (spender(1), spender(2));
    let far = now.plus_seconds(86_400);
    let known: Vec<Operation> = [know(&one), know(&other)]
        .into_iter()
        .enumerate()
        .map(|(n, act)| requested(n, act))
        .collect();
    assert!(is_all_done(&write(store, known, now).await.outcomes));
    let acts = vec![
        prize(&one, "first", 100, far),
        prize(&other, "second", 50, far),
        daily(&one, 1, 90, now),
        hold(&one, 1, "video", 16),
        hold(&one, 2, "chat", 2),
        hold(&other, 3, "chat", 30),
        Act::Capture { hold: hold_id(1), credits: Some(credits(10)) },
        Act::Release { hold: hold_id(2) },
        Act::Spend {
            account: one.clone(),
            purpose: Purpose::of(label("chat")),
            credits: credits(3),
        },
    ];
    let acts = acts.into_iter().enumerate().map(|(n, act)| requested(10 + n, act)).collect();
    let done = write(store, acts, now).await;
    assert!(is_all_done(&done.outcomes), "{:?}", done.outcomes);
    let spent = done.rows.usages.last().expect("a spend").id;
    let refund = Act::Refund { usage: spent, credits: Some(credits(1)) };
    assert!(is_all_done(&write(store, vec![requested(30, refund)], now).await.outcomes));
}

fn is_all_done(outcomes: &[Outcome]) -> bool {
    outcomes.iter().all(|outcome| matches!(outcome, Outcome::Applied { .. }))
}

/// A stream of numbers from a seed.
#[derive(Clone, Debug)]
struct Dice(u64);

impl Dice {
    /// A number below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end.max(1)
    }
}

/// A life of spending under a seed: batches of acts of every kind, at times that move on, some asked again.
#[derive(Clone, Debug)]
pub struct SpendingLife {
    dice: Dice,
    now: Timestamp,
    accounts: u64,
    asked: Vec<Operation>,
    holds: u64,
    limits: u64,
    lots: Vec<LotId>,
    usages: Vec<UsageId>,
}

impl SpendingLife {
    /// A life that begins at a time with so many accounts.
    #[must_use]
    pub const fn new(seed: u64, start: Timestamp, accounts: u64) -> Self {
        Self {
            dice: Dice(seed),
            now: start,
            accounts,
            asked: Vec::new(),
            // Far from what facts name outright.
            holds: 1_000_000,
            limits: 1_000_000,
            lots: Vec::new(),
            usages: Vec::new(),
        }
    }

    /// When the next batch is decided.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// What makes its accounts known; the first batch.
    #[must_use]
    pub fn birth(&self) -> Vec<Operation> {
        (0..self.accounts)
            .map(|number| {
                Operation::requested("life", &format!("know {number}"), know(&spender(number)))
            })
            .collect()
    }

    /// The next batch, of up to `most` acts; time moves on before it.
    pub fn batch(&mut self, most: u64) -> Vec<Operation> {
        let step = match self.dice.below(10) {
            0 => 0,
            1..=6 => self.dice.below(200),
            7 | 8 => self.dice.below(3_600),
            _ => self.dice.below(3 * 86_400),
        };
        self.now = self.now.plus_seconds(i64::try_from(step).unwrap_or(0));
        let count = self.dice.below(most).saturating_add(1);
        (0..count).map(|_| self.one()).collect()
    }

    /// Takes note of what a batch made, so that later acts name it.
    pub fn learn(&mut self, rows: &inspay_ledger::BatchRows) {
        self.lots.extend(rows.new_lots.iter().map(|lot| lot.id));
        self.usages.extend(rows.usages.iter().map(|usage| usage.id));
        let cut = |len: usize| len.saturating_sub(400);
        self.lots.drain(..cut(self.lots.len()));
        self.usages.drain(..cut(self.usages.len()));
        self.asked.drain(..cut(self.asked.len()));
    }

    fn one(&mut self) -> Operation {
        if self.dice.below(8) == 0
            && let Some(asked) = self.pick_asked()
        {
            return asked;
        }
        let act = self.act();
        let is_own =
            matches!(act, Act::ExpireLot { .. } | Act::WarnLot { .. } | Act::LapseHold { .. });
        let operation = if is_own {
            Operation::from(act)
        } else {
            let key = format!("{:016x}", self.dice.below(u64::MAX));
            Operation::requested("life", &key, act)
        };
        self.asked.push(operation.clone());
        operation
    }

    fn pick_asked(&mut self) -> Option<Operation> {
        let place = self.dice.below(u64::try_from(self.asked.len()).unwrap_or(0));
        self.asked.get(usize::try_from(place).unwrap_or(0)).cloned()
    }

    fn whole(&mut self, most: u64) -> i64 {
        i64::try_from(self.dice.below(most)).unwrap_or(0).saturating_add(1)
    }

    fn account(&mut self) -> AccountId {
        spender(self.dice.below(self.accounts))
    }

    fn purpose(&mut self) -> Purpose {
        let features = ["chat", "image", "video"];
        let feature = features[usize::try_from(self.dice.below(3)).unwrap_or(0)];
        let project = (self.dice.below(2) == 0).then(|| label("house"));
        let session = (self.dice.below(3) == 0).then(|| label("s1"));
        Purpose { project, session, ..Purpose::of(label(feature)) }
    }

    fn some_hold(&mut self) -> HoldId {
        let back = self.dice.below(30);
        hold_id(self.holds.saturating_sub(back))
    }

    fn act(&mut self) -> Act {
        match self.dice.below(40) {
            0..=3 => self.grant(),
            4..=14 => {
                self.holds = self.holds.saturating_add(1);
                Act::Hold {
                    hold: hold_id(self.holds),
                    account: self.account(),
                    purpose: self.purpose(),
                    credits: credits(self.whole(12)),
                    valid_seconds: u32::try_from(self.whole(1_500)).unwrap_or(1),
                }
            }
            15..=23 => {
                let part = (self.dice.below(2) == 0).then(|| credits(self.whole(14)));
                Act::Capture { hold: self.some_hold(), credits: part }
            }
            24..=26 => Act::Release { hold: self.some_hold() },
            27..=31 => Act::Spend {
                account: self.account(),
                purpose: self.purpose(),
                credits: credits(self.whole(5)),
            },
            32 | 33 => {
                let place = self.dice.below(u64::try_from(self.usages.len()).unwrap_or(0));
                let known = self.usages.get(usize::try_from(place).unwrap_or(0)).copied();
                let part = (self.dice.below(2) == 0).then(|| credits(self.whole(4)));
                Act::Refund { usage: known.unwrap_or(UsageId { entry_seq: 0 }), credits: part }
            }
            34..=36 => self.of_lot(),
            37 => Act::LapseHold { hold: self.some_hold() },
            38 => self.limit(),
            _ => {
                let number = self.limits.saturating_sub(self.dice.below(6));
                let limit = LimitId::from_uuid(Uuid::from_u128(u128::from(number)));
                Act::RemoveLimit { account: self.account(), limit }
            }
        }
    }

    fn of_lot(&mut self) -> Act {
        let place = self.dice.below(u64::try_from(self.lots.len()).unwrap_or(0));
        let known = self.lots.get(usize::try_from(place).unwrap_or(0)).copied();
        let lot = known.unwrap_or(LotId { entry_seq: 0, index: 0 });
        match self.dice.below(6) {
            0 => Act::Revoke { lot },
            1 => Act::WarnLot { lot },
            _ => Act::ExpireLot { lot },
        }
    }

    fn grant(&mut self) -> Act {
        let source = LotSource::ALL[usize::try_from(self.dice.below(4)).unwrap_or(0) + 1];
        let of_promotion = source == LotSource::Promotion;
        let days = self.whole(6);
        Act::Grant(GrantTerms {
            account: self.account(),
            opens_account: false,
            source,
            campaign: of_promotion.then(|| label("spring")),
            budget: of_promotion.then(|| credits(5_000)),
            reference: self.dice.below(u64::MAX).to_string(),
            credits: credits(self.whole(40)),
            scope: (self.dice.below(4) == 0).then(|| label("video")),
            priority: u8::try_from(self.dice.below(3)).unwrap_or(0),
            expires_at: self.now.plus_seconds(days.saturating_mul(40_000)),
        })
    }

    fn limit(&mut self) -> Act {
        self.limits = self.limits.saturating_add(1);
        let scope = match self.dice.below(4) {
            0 => LimitScope::Account,
            1 => LimitScope::Feature(label("image")),
            2 => LimitScope::Project(label("house")),
            _ => LimitScope::Session(label("s1")),
        };
        let window = LimitWindow::ALL[usize::try_from(self.dice.below(3)).unwrap_or(0)];
        let action = LimitAction::ALL[usize::try_from(self.dice.below(2)).unwrap_or(0)];
        Act::SetLimit {
            limit: Limit {
                id: LimitId::from_uuid(Uuid::from_u128(u128::from(self.limits))),
                account: self.account(),
                scope,
                window,
                action,
                cap: credits(self.whole(60)),
                alerts: vec![50, 90],
                set_at: self.now,
            },
            window_start: window.span_at(self.now, &Zone::default()).start,
        }
    }
}
