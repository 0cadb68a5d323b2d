//! Credits against a model of plain numbers: whatever is asked, however often it is delivered, books and model agree.
//!
//! The model shares no rule with the product. It keeps lots, holds and spends as lists of integers.

use std::{collections::BTreeMap, sync::Arc};

use inspay_ledger::{
    Act, Hold, LotParts, Operation, Outcome, Purpose, Refusal, ResolutionKind, SettlementRules,
};
use inspay_ledger_writer::{LedgerWriter, WriterLimits};
use inspay_ports::{BooksStore, Page, Store, contract::till};
use inspay_primitives::{Credits, LotId, ManualClock, Timestamp, UsageId};
use inspay_store_postgres::{PostgresOptions, PostgresStore, cluster::Cluster};
use inspay_store_sqlite::{SqliteOptions, SqliteStore};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};

/// Accounts of a life.
const ACCOUNTS: u64 = 5;
const FEATURES: [&str; 3] = ["chat", "image", "video"];
const START_SECONDS: u64 = 1_760_000_000;
/// Requests of a life that may be delivered again much later.
const REMEMBERED: usize = 300;

/// Micro-credits by lot: what a hold or a spend is made of, in the order in which they burned.
type Slices = Vec<(usize, i64)>;

#[derive(Debug)]
struct ModelLot {
    account: u64,
    scope: Option<usize>,
    priority: u8,
    granted_at: i64,
    expires_at: i64,
    left: i64,
    held: i64,
    spent: i64,
    expired: i64,
    is_booked: bool,
    entry_seq: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HoldEnd {
    Open,
    Captured(i64),
    Released,
    Lapsed,
}

#[derive(Debug)]
struct ModelHold {
    account: u64,
    expires_at: i64,
    slices: Slices,
    end: HoldEnd,
}

#[derive(Debug)]
struct ModelSpend {
    slices: Slices,
    entry_seq: i64,
}

/// What is asked, in the model's own numbers.
#[derive(Clone, Copy, Debug)]
enum Ask {
    Grant { account: u64, scope: Option<usize>, priority: u8, micros: i64, seconds: i64 },
    Hold { number: u64, account: u64, feature: usize, micros: i64, seconds: i64 },
    Capture { number: u64, micros: Option<i64> },
    Release { number: u64 },
    Lapse { number: u64 },
    Spend { account: u64, feature: usize, micros: i64 },
    Refund { spend: usize, micros: Option<i64> },
    Expire { lot: usize },
}

/// What an ask makes that later ones can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    Nothing,
    Lot(usize),
    Spend(usize),
    /// It was done before, under the same name.
    Before,
}

#[derive(Debug, Default)]
struct Model {
    now: i64,
    lots: Vec<ModelLot>,
    holds: BTreeMap<u64, ModelHold>,
    spends: Vec<ModelSpend>,
}

fn credits(micros: i64) -> Credits {
    Credits::from_micros(micros)
}

impl Model {
    fn ask(&mut self, ask: Ask) -> Result<Made, Refusal> {
        match ask {
            Ask::Grant { account, scope, priority, micros, seconds } => {
                self.lots.push(ModelLot {
                    account,
                    scope,
                    priority,
                    granted_at: self.now,
                    expires_at: self.now + seconds * 1_000_000,
                    left: micros,
                    held: 0,
                    spent: 0,
                    expired: 0,
                    is_booked: false,
                    entry_seq: 0,
                });
                Ok(Made::Lot(self.lots.len() - 1))
            }
            Ask::Hold { number, account, .. } if self.holds.contains_key(&number) => {
                self.run_out(account);
                Err(Refusal::Conflict)
            }
            Ask::Hold { number, account, feature, micros, seconds } => {
                let slices = self.burn(account, feature, micros)?;
                for (lot, part) in &slices {
                    self.lots[*lot].held += part;
                }
                let expires_at = self.now + seconds * 1_000_000;
                let end = HoldEnd::Open;
                self.holds.insert(number, ModelHold { account, expires_at, slices, end });
                Ok(Made::Nothing)
            }
            Ask::Capture { number, micros } => self.capture(number, micros),
            Ask::Release { number } => {
                self.open(number)?;
                self.is_in_time(number)?;
                self.end(number, HoldEnd::Released, 0);
                Ok(Made::Nothing)
            }
            Ask::Lapse { number } => {
                if self.holds.get(&number).is_some_and(|hold| hold.end == HoldEnd::Lapsed) {
                    return Ok(Made::Before);
                }
                self.open(number)?;
                if self.is_in_time(number).is_ok() {
                    return Err(Refusal::HoldNotLapsed);
                }
                self.end(number, HoldEnd::Lapsed, 0);
                Ok(Made::Nothing)
            }
            Ask::Spend { account, feature, micros } => {
                let slices = self.burn(account, feature, micros)?;
                for (lot, part) in &slices {
                    self.lots[*lot].spent += part;
                }
                Ok(self.spent(slices))
            }
            Ask::Refund { spend, micros } => self.refund(spend, micros),
            Ask::Expire { lot } => {
                let lot = &mut self.lots[lot];
                if lot.is_booked {
                    return Ok(Made::Before);
                }
                if lot.left == 0 || self.now < lot.expires_at {
                    return Err(Refusal::NothingToExpire);
                }
                lot.expired += lot.left;
                lot.left = 0;
                lot.is_booked = true;
                Ok(Made::Nothing)
            }
        }
    }

    /// Takes credits out of what is left, narrow before wide, then by priority, then what lapses first, then oldest.
    fn burn(&mut self, account: u64, feature: usize, micros: i64) -> Result<Slices, Refusal> {
        self.run_out(account);
        if micros <= 0 {
            return Err(Refusal::NotPositive);
        }
        let mut usable: Vec<usize> = (0..self.lots.len())
            .filter(|place| {
                let lot = &self.lots[*place];
                lot.account == account
                    && lot.left > 0
                    && self.now < lot.expires_at
                    && lot.scope.is_none_or(|scope| scope == feature)
            })
            .collect();
        usable.sort_by_key(|place| {
            let lot = &self.lots[*place];
            (lot.scope.is_none(), lot.priority, lot.expires_at, lot.granted_at, *place)
        });
        let available: i64 = usable.iter().map(|place| self.lots[*place].left).sum();
        if available < micros {
            let (needed, available) = (credits(micros), credits(available));
            return Err(Refusal::InsufficientCredits { needed, available });
        }
        let (mut missing, mut slices) = (micros, Vec::new());
        for place in usable {
            let part = self.lots[place].left.min(missing);
            if part > 0 {
                self.lots[place].left -= part;
                missing -= part;
                slices.push((place, part));
            }
        }
        Ok(slices)
    }

    /// What ran out comes back before anything is drawn, whoever sweeps.
    fn run_out(&mut self, account: u64) {
        let is_due = |hold: &ModelHold| {
            hold.account == account && hold.end == HoldEnd::Open && hold.expires_at <= self.now
        };
        let due: Vec<u64> = (self.holds.iter())
            .filter(|(_, hold)| is_due(hold))
            .map(|(number, _)| *number)
            .collect();
        for number in due {
            self.end(number, HoldEnd::Lapsed, 0);
        }
    }

    fn open(&self, number: u64) -> Result<&ModelHold, Refusal> {
        let hold = self.holds.get(&number).ok_or(Refusal::NoSuchHold)?;
        match hold.end {
            HoldEnd::Open => Ok(hold),
            HoldEnd::Captured(micros) => Err(Refusal::HoldCaptured { captured: credits(micros) }),
            HoldEnd::Released => Err(Refusal::HoldReleased),
            HoldEnd::Lapsed => Err(Refusal::HoldLapsed),
        }
    }

    fn is_in_time(&self, number: u64) -> Result<(), Refusal> {
        if self.now < self.holds[&number].expires_at { Ok(()) } else { Err(Refusal::HoldLapsed) }
    }

    fn capture(&mut self, number: u64, micros: Option<i64>) -> Result<Made, Refusal> {
        let held: i64 = self.open(number)?.slices.iter().map(|(_, part)| part).sum();
        self.is_in_time(number)?;
        let micros = micros.unwrap_or(held);
        if micros <= 0 {
            return Err(Refusal::NotPositive);
        }
        if micros > held {
            return Err(Refusal::AboveHold { held: credits(held) });
        }
        let spent = self.end(number, HoldEnd::Captured(micros), micros);
        Ok(self.spent(spent))
    }

    /// Ends a hold: its first part is spent, the rest goes back.
    fn end(&mut self, number: u64, end: HoldEnd, micros: i64) -> Slices {
        let hold = self.holds.get_mut(&number).expect("a hold");
        hold.end = end;
        let (slices, mut missing, mut spent) = (hold.slices.clone(), micros, Vec::new());
        for (lot, part) in slices {
            let taken = part.min(missing);
            missing -= taken;
            self.lots[lot].held -= part;
            self.lots[lot].spent += taken;
            self.give_back(lot, part - taken);
            if taken > 0 {
                spent.push((lot, taken));
            }
        }
        spent
    }

    fn give_back(&mut self, lot: usize, micros: i64) {
        let lot = &mut self.lots[lot];
        if self.now < lot.expires_at { lot.left += micros } else { lot.expired += micros }
    }

    fn spent(&mut self, slices: Slices) -> Made {
        self.spends.push(ModelSpend { slices, entry_seq: 0 });
        Made::Spend(self.spends.len() - 1)
    }

    fn refund(&mut self, spend: usize, micros: Option<i64>) -> Result<Made, Refusal> {
        let refundable: i64 = self.spends[spend].slices.iter().map(|(_, part)| part).sum();
        let micros = micros.unwrap_or(refundable);
        if refundable == 0 || micros > refundable {
            return Err(Refusal::AboveSpend { refundable: credits(refundable) });
        }
        if micros <= 0 {
            return Err(Refusal::NotPositive);
        }
        let mut missing = micros;
        while missing > 0 {
            let (lot, part) = self.spends[spend].slices.pop().expect("there is enough");
            let back = part.min(missing);
            missing -= back;
            if part > back {
                self.spends[spend].slices.push((lot, part - back));
            }
            self.lots[lot].spent -= back;
            self.give_back(lot, back);
        }
        Ok(Made::Nothing)
    }
}

/// A request as it is delivered, and what came of it the first time.
#[derive(Clone, Debug)]
struct Delivered {
    ask: Ask,
    operation: Operation,
    /// The first answer; a refusal that nobody keeps is found anew each time.
    answer: Outcome,
}

/// A life: what is asked in it, the model, and the books.
struct Life {
    name: String,
    dice: StdRng,
    model: Model,
    store: Arc<dyn Store>,
    clock: Arc<ManualClock>,
    writer: LedgerWriter,
    asked: u64,
    holds: u64,
    remembered: Vec<Delivered>,
    refusals: BTreeMap<String, u64>,
}

impl Life {
    async fn begin(name: &str, seed: u64, store: Arc<dyn Store>) -> Self {
        let dice = StdRng::seed_from_u64(seed);
        let start = Timestamp::from_chain_seconds(START_SECONDS);
        let clock = Arc::new(ManualClock::new(start));
        let (writer, task) = LedgerWriter::new(
            Arc::clone(&store) as Arc<dyn BooksStore>,
            Arc::clone(&clock) as _,
            SettlementRules::default(),
            WriterLimits::default(),
        );
        tokio::spawn(task.run());
        for number in 0..ACCOUNTS {
            let known = till::know(&till::spender(number));
            let known = Operation::requested("model", &format!("know {number}"), known);
            let outcomes = writer.write(vec![known]).await.expect("writes");
            assert!(matches!(outcomes[..], [Outcome::Applied { .. }]));
        }
        let model = Model { now: start.micros(), ..Model::default() };
        let name = format!("{name}, seed {seed}");
        let (remembered, refusals) = (Vec::new(), BTreeMap::new());
        Self { name, dice, model, store, clock, writer, asked: 0, holds: 0, remembered, refusals }
    }

    fn micros(&mut self, most: i64) -> i64 {
        // Mostly round, sometimes to the last micro-credit.
        if self.dice.random_ratio(1, 4) {
            self.dice.random_range(0..=most * 1_000_000)
        } else {
            self.dice.random_range(0..=most) * 1_000_000
        }
    }

    fn some_hold(&mut self) -> u64 {
        self.holds.saturating_sub(self.dice.random_range(0..40))
    }

    fn part(&mut self, most: i64) -> Option<i64> {
        self.dice.random_bool(0.5).then(|| self.micros(most))
    }

    fn think_of(&mut self, lots: usize, spends: usize) -> Ask {
        let (account, feature) =
            (self.dice.random_range(0..ACCOUNTS), self.dice.random_range(0..FEATURES.len()));
        match self.dice.random_range(0..100) {
            0..=9 => Ask::Grant {
                account,
                scope: self.dice.random_ratio(1, 4).then_some(feature),
                priority: self.dice.random_range(0..3),
                micros: self.micros(40).max(1),
                seconds: self.dice.random_range(1..400_000),
            },
            10..=39 => {
                let is_known = self.dice.random_ratio(1, 50);
                let number = if is_known { self.some_hold() } else { self.holds + 1 };
                self.holds = self.holds.max(number);
                let seconds = self.dice.random_range(1..3_000);
                Ask::Hold { number, account, feature, micros: self.micros(12), seconds }
            }
            40..=59 => Ask::Capture { number: self.some_hold(), micros: self.part(14) },
            60..=69 => Ask::Release { number: self.some_hold() },
            70..=74 => Ask::Lapse { number: self.some_hold() },
            75..=86 => Ask::Spend { account, feature, micros: self.micros(5) },
            87..=94 if spends > 0 => {
                let back = self.dice.random_range(0..spends.min(200));
                Ask::Refund { spend: spends - 1 - back, micros: self.part(4) }
            }
            _ if lots > 0 => {
                let back = self.dice.random_range(0..lots.min(100));
                Ask::Expire { lot: lots - 1 - back }
            }
            _ => Ask::Spend { account, feature, micros: self.micros(5) },
        }
    }

    fn operation(&self, ask: Ask) -> Operation {
        let purpose = |feature: usize| Purpose::of(till::label(FEATURES[feature]));
        let key = self.asked.to_string();
        let requested = |act: Act| Operation::requested("model", &key, act);
        match ask {
            Ask::Grant { account, scope, priority, micros, seconds } => {
                let until = self.model.now + seconds * 1_000_000;
                let account = till::spender(account);
                let act = till::prize(&account, &key, 1, Timestamp::from_micros(until));
                let Act::Grant(terms) = act else { unreachable!("a prize is a grant") };
                requested(Act::Grant(inspay_ledger::GrantTerms {
                    credits: credits(micros),
                    scope: scope.map(|feature| till::label(FEATURES[feature])),
                    priority,
                    ..terms
                }))
            }
            Ask::Hold { number, account, feature, micros, seconds } => requested(Act::Hold {
                hold: till::hold_id(number),
                account: till::spender(account),
                purpose: purpose(feature),
                credits: credits(micros),
                valid_seconds: u32::try_from(seconds).expect("small"),
            }),
            Ask::Capture { number, micros } => {
                let hold = till::hold_id(number);
                requested(Act::Capture { hold, credits: micros.map(credits) })
            }
            Ask::Release { number } => requested(Act::Release { hold: till::hold_id(number) }),
            Ask::Lapse { number } => Act::LapseHold { hold: till::hold_id(number) }.into(),
            Ask::Spend { account, feature, micros } => requested(Act::Spend {
                account: till::spender(account),
                purpose: purpose(feature),
                credits: credits(micros),
            }),
            Ask::Refund { spend, micros } => {
                let usage = UsageId { entry_seq: self.model.spends[spend].entry_seq };
                requested(Act::Refund { usage, credits: micros.map(credits) })
            }
            Ask::Expire { lot } => {
                let entry_seq = self.model.lots[lot].entry_seq;
                Act::ExpireLot { lot: LotId { entry_seq, index: 0 } }.into()
            }
        }
    }

    /// Asks so much, each one to five times, in any order, some together, with some of what was asked long ago.
    async fn batch(&mut self, number: u64, asks: u64) {
        // Moments, for what one batch leaves to the next; minutes, in which holds run out; hours, in which lots do.
        let step = match self.dice.random_range(0..10) {
            0..4 => 8,
            4..8 => 600,
            _ => 60_000,
        };
        self.model.now += self.dice.random_range(0..step) * 1_000_000;
        self.clock.set(Timestamp::from_micros(self.model.now));
        let (lots, spends) = (self.model.lots.len(), self.model.spends.len());
        let mut queue: Vec<(Ask, Operation)> = Vec::new();
        for _ in 0..asks {
            self.asked += 1;
            let ask = self.think_of(lots, spends);
            let operation = self.operation(ask);
            for _ in 0..self.dice.random_range(1..=5) {
                queue.push((ask, operation.clone()));
            }
        }
        for _ in 0..asks / 8 {
            if let Some(place) = self.remembered.len().checked_sub(1) {
                let old = &self.remembered[self.dice.random_range(0..=place)];
                queue.push((old.ask, old.operation.clone()));
            }
        }
        queue.shuffle(&mut self.dice);
        while !queue.is_empty() {
            let together = self.dice.random_range(1..=80).min(queue.len());
            let delivered: Vec<(Ask, Operation)> = queue.drain(..together).collect();
            let operations = delivered.iter().map(|(_, operation)| operation.clone()).collect();
            let answers = self.writer.write(operations).await.expect("writes");
            for ((ask, operation), answer) in delivered.into_iter().zip(answers) {
                self.judge(number, ask, operation, answer);
            }
        }
        let cut = self.remembered.len().saturating_sub(REMEMBERED);
        self.remembered.drain(..cut);
    }

    /// An answer is that of the first delivery, or what the model says if it is the first.
    fn judge(&mut self, number: u64, ask: Ask, operation: Operation, answer: Outcome) {
        let told = format!("{}, batch {number}: {operation:?} {ask:?}", self.name);
        let before = self.remembered.iter().rev().find(|old| old.operation.key == operation.key);
        if let Some(Delivered { operation: old, answer: first, .. }) = before {
            let again = match first {
                Outcome::Applied { entry_seq } | Outcome::AlreadyApplied { entry_seq } => {
                    Some(Outcome::AlreadyApplied { entry_seq: *entry_seq })
                }
                // What was not there may be there now; a conflict is about another request.
                Outcome::Refused(Refusal::NoSuchHold | Refusal::Conflict) => None,
                Outcome::Refused(refusal) if old.is_request => Some(Outcome::Refused(*refusal)),
                Outcome::Refused(_) => None,
            };
            if let Some(again) = again {
                assert_eq!(answer, again, "{told}, delivered again");
                return;
            }
        }
        let made = self.model.ask(ask);
        match (&made, &answer) {
            (Ok(made), Outcome::Applied { entry_seq }) => {
                let seq = entry_seq.expect("an entry");
                match *made {
                    Made::Lot(lot) => self.model.lots[lot].entry_seq = seq,
                    Made::Spend(spend) => self.model.spends[spend].entry_seq = seq,
                    Made::Nothing | Made::Before => {}
                }
            }
            (Ok(Made::Before), Outcome::AlreadyApplied { .. }) => {}
            (Err(expected), Outcome::Refused(refusal)) => {
                assert_eq!(refusal, expected, "{told}");
                let name = format!("{refusal:?}").split([' ', '{']).next().map(str::to_owned);
                *self.refusals.entry(name.expect("a name")).or_default() += 1;
            }
            (Ok(_) | Err(_), _) => {
                let agreed = format!("{made:?}");
                assert_eq!(format!("{answer:?}"), agreed, "{told}: one does it, the other refuses");
            }
        }
        self.remembered.push(Delivered { ask, operation, answer });
    }

    /// What each account has is what the model has, lot by lot.
    async fn compare(&self, number: u64) {
        for account in 0..ACCOUNTS {
            let name = till::spender(account);
            let told = format!("{}, batch {number}, {name}", self.name);
            let own = || self.model.lots.iter().filter(|lot| lot.account == account);
            let summary = self.store.account(&name).await.expect("reads").expect("is there");
            let sum = |part: fn(&ModelLot) -> i64| credits(own().map(part).sum());
            assert_eq!(summary.posted, sum(|lot| lot.left), "{told}");
            assert_eq!(summary.held, sum(|lot| lot.held), "{told}");
            let lots = self.store.lots(&name).await.expect("reads");
            let kept: BTreeMap<i64, LotParts> =
                lots.iter().map(|lot| (lot.id.entry_seq, lot.parts)).collect();
            let expected: BTreeMap<i64, LotParts> =
                own().filter(|lot| lot.left > 0).map(|lot| (lot.entry_seq, parts(lot))).collect();
            assert_eq!(kept, expected, "{told}");
        }
    }

    /// The same of every lot, hold and spend that there ever was.
    async fn compare_all(&self) {
        for lot in &self.model.lots {
            let id = LotId { entry_seq: lot.entry_seq, index: 0 };
            let kept = self.store.lot(id).await.expect("reads").expect("is there");
            assert_eq!(kept.parts, parts(lot), "{}, {id}", self.name);
        }
        let mut holds: BTreeMap<String, HoldEnd> = BTreeMap::new();
        for account in 0..ACCOUNTS {
            let all = Page { after: None, limit: 10_000_000 };
            let kept = self.store.holds(&till::spender(account), false, all).await.expect("reads");
            let own = self.model.holds.values().filter(|hold| hold.account == account).count();
            assert_eq!(kept.len(), own, "{}", self.name);
            holds.extend(kept.iter().map(|hold| (hold.id.to_string(), end_of(hold))));
        }
        let expected: BTreeMap<String, HoldEnd> = (self.model.holds.iter())
            .map(|(number, hold)| (till::hold_id(*number).to_string(), hold.end))
            .collect();
        assert_eq!(holds, expected, "{}", self.name);
        for spend in &self.model.spends {
            let id = UsageId { entry_seq: spend.entry_seq };
            let kept = self.store.usage(id).await.expect("reads").expect("is there");
            let left: i64 = spend.slices.iter().map(|(_, part)| part).sum();
            assert_eq!(kept.credits.checked_sub(kept.refunded), Some(credits(left)), "{id}");
        }
        assert_eq!(self.store.broken_laws().await.expect("reads"), vec![], "{}", self.name);
    }
}

fn parts(lot: &ModelLot) -> LotParts {
    LotParts {
        left: credits(lot.left),
        held: credits(lot.held),
        spent: credits(lot.spent),
        expired: credits(lot.expired),
        ..LotParts::default()
    }
}

fn end_of(hold: &Hold) -> HoldEnd {
    match hold.resolution {
        None => HoldEnd::Open,
        Some(end) => match end.kind {
            ResolutionKind::Captured => HoldEnd::Captured(end.captured.micros()),
            ResolutionKind::Released => HoldEnd::Released,
            ResolutionKind::Lapsed => HoldEnd::Lapsed,
        },
    }
}

/// Lives under a seed until so much was asked; answers what was refused.
async fn live(name: &str, seed: u64, steps: u64, store: Arc<dyn Store>) -> BTreeMap<String, u64> {
    let mut life = Life::begin(name, seed, store).await;
    let mut number = 0;
    while life.asked < steps {
        number += 1;
        let asks = life.dice.random_range(1..=120).min(steps - life.asked);
        life.batch(number, asks).await;
        life.compare(number).await;
    }
    life.compare_all().await;
    life.refusals
}

async fn sqlite() -> (tempfile::TempDir, Arc<dyn Store>) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("model.db");
    let store = SqliteStore::open(&file, &SqliteOptions::default()).await.expect("opens");
    store.migrate().await.expect("migrates");
    (folder, Arc::new(store))
}

async fn postgres(cluster: &Cluster) -> Arc<dyn Store> {
    let url = cluster.empty_database().await.expect("a database");
    let store = PostgresStore::connect(&url, &PostgresOptions::default()).await.expect("connects");
    store.migrate().await.expect("migrates");
    Arc::new(store)
}

/// Every way in which the model refuses.
const REFUSALS: [&str; 11] = [
    "AboveHold",
    "AboveSpend",
    "Conflict",
    "HoldCaptured",
    "HoldLapsed",
    "HoldNotLapsed",
    "HoldReleased",
    "InsufficientCredits",
    "NoSuchHold",
    "NotPositive",
    "NothingToExpire",
];

#[tokio::test(flavor = "multi_thread")]
async fn books_and_model_agree_on_sqlite() {
    let (_folder, store) = sqlite().await;
    let refusals = live("SQLite", 1, 5_000, store).await;
    let told: Vec<&str> = refusals.keys().map(String::as_str).collect();
    assert_eq!(told, REFUSALS, "{refusals:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn books_and_model_agree_on_postgres() {
    let cluster = Cluster::start().await.expect("PostgreSQL starts");
    live("PostgreSQL", 2, 5_000, postgres(&cluster).await).await;
}

/// What `make model` runs: ten lives on either store, half a million requests on each.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes the better part of an hour"]
async fn a_million_steps() {
    const STEPS: u64 = 50_000;
    let cluster = Cluster::start().await.expect("PostgreSQL starts");
    let (mut steps, mut refusals) = (0, BTreeMap::<String, u64>::new());
    for seed in 0..10 {
        let (_folder, store) = sqlite().await;
        let postgres = postgres(&cluster).await;
        let (one, other) = tokio::join!(
            live("SQLite", 100 + seed, STEPS, store),
            live("PostgreSQL", 200 + seed, STEPS, postgres),
        );
        steps += 2 * STEPS;
        for (name, times) in one.into_iter().chain(other) {
            *refusals.entry(name).or_default() += times;
        }
        eprintln!("{steps} steps; refused: {refusals:?}");
    }
}
