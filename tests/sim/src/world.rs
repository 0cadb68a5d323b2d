//! One run: a chain, its endpoints, buyers and processes, from a seed.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex as StdMutex, atomic::AtomicBool, atomic::Ordering},
    time::Duration,
};

use inspay_ledger::{LatePolicy, OverPolicy, PartialPolicy, SettlementRules};
use inspay_ports::{
    BooksStore as _, FollowStore as _, HaltStore as _, SaleStore as _, fake::FakeStore,
};
use inspay_primitives::{ConfirmationPolicy, ConfirmationRule, Rate, Timestamp, U256};
use inspay_quoting::{RateSample, SourceKind};
use rust_decimal::Decimal;
use tokio::{sync::Mutex, task::JoinSet, time::sleep};

use crate::{
    Breach, Tally,
    buyers::{Buyers, base_units_a_dollar, usual_rate},
    chain::{
        CHAIN, Depths, FIRST_TREASURY, INSPI, NEXT_TREASURY, SimChain, Treasuries, USDT, asset,
    },
    dice::Dice,
    endpoint::{Character, Profile, Shared, SimEndpoint},
    journal::{Event, Journal},
    laws::{Laws, Rules},
    plant::Plant,
    ports::StoreTime,
    process::{Parts, SimClock, follow_settings},
};

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// The seed.
    pub seed: u64,
    /// Blocks with faults; some more follow without.
    pub blocks: u64,
    /// A bug to plant.
    pub plant: Option<Plant>,
    /// Whether endpoints stay on a dead branch for longer than the chain's safe block allows.
    pub stubborn: bool,
    /// Whether each line of the trace is printed.
    pub trace: bool,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// How often everything happened.
    pub tally: Tally,
    /// The first law that did not hold.
    pub breach: Option<Breach>,
    /// The same run has the same hash.
    pub trace_hash: u64,
    /// Lines of the trace.
    pub trace_lines: u64,
}

/// Runs one seed from its beginning to its end. Time passes as fast as there is something to do.
///
/// # Errors
///
/// When no runtime can be made on this machine.
pub fn run(run: Run) -> std::io::Result<Outcome> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    Ok(runtime.block_on(async {
        let mut world = World::new(run);
        world.pass().await;
        let journal = &world.shared.journal;
        let (trace_hash, trace_lines) = journal.trace();
        Outcome {
            seed: run.seed,
            tally: journal.tally(),
            breach: journal.breach(),
            trace_hash,
            trace_lines,
        }
    }))
}

struct World {
    run: Run,
    dice: Dice,
    shared: Arc<Shared>,
    parts: Arc<Parts>,
    buyers: Buyers,
    block_seconds: u64,
    /// Blocks before the first process starts.
    history: u64,
    no_rates_for: u64,
    processes: JoinSet<()>,
    has_second: bool,
}

fn confirmations(dice: &mut Dice, token: inspay_primitives::Address) -> Option<ConfirmationPolicy> {
    let dollars = |dollars: u64| base_units_a_dollar(token) * U256::from(dollars);
    let mut depth = |low, high| u32::try_from(dice.between(low, high)).unwrap_or(1);
    let steps = vec![
        (dollars(40), ConfirmationRule::Depth(depth(1, 3))),
        (dollars(400), ConfirmationRule::Depth(depth(3, 6))),
        (dollars(1_000), ConfirmationRule::Safe(depth(2, 4))),
    ];
    ConfirmationPolicy::new(steps, ConfirmationRule::Finalized(depth(2, 8))).ok()
}

fn draw_rules(dice: &mut Dice, start_number: u64) -> Rules {
    let settlement = SettlementRules {
        over: if dice.chance(700) { OverPolicy::Credit } else { OverPolicy::Hold },
        late: if dice.chance(750) { LatePolicy::Credit } else { LatePolicy::Hold },
        partial: if dice.chance(700) { PartialPolicy::Credit } else { PartialPolicy::Hold },
    };
    let mut by_asset = BTreeMap::new();
    for token in [USDT, INSPI] {
        by_asset.extend(confirmations(dice, token).map(|policy| (asset(token), policy)));
    }
    Rules { confirmations: by_asset, settlement, late_rate_age_seconds: 120, start_number }
}

fn draw_endpoints(dice: &mut Dice, knows_tags: bool) -> Vec<Profile> {
    use Character::{Flaky, Forked, Liar, Sloppy, Stranger};
    let count = dice.between(1, 4);
    let mut profiles: Vec<Profile> = (1..count)
        .map(|_| {
            let character = match dice.below(20) {
                0..5 => Flaky,
                5..11 => Sloppy,
                11..15 => Liar,
                15..19 => Forked,
                _ => Stranger,
            };
            Profile::draw(dice, character, knows_tags)
        })
        .collect();
    // One of them is honest, however often it fails.
    let place = dice.place(profiles.len() + 1);
    let honest = Profile::draw(dice, Flaky, knows_tags);
    profiles.insert(place, honest);
    profiles
}

impl World {
    fn new(run: Run) -> Self {
        let mut dice = Dice::new(run.seed, 1);
        let block_seconds = [2, 6, 12].get(dice.place(3)).copied().unwrap_or(12);
        let fork = dice.between(2, 8);
        let finalized = fork + dice.between(2, 12);
        let depths = Depths {
            fork,
            safe: dice.between(fork, finalized),
            finalized,
            untagged: fork + dice.between(4, 12),
        };
        let history = if dice.chance(350) { dice.between(20, 90) } else { 0 };
        // Where an operator lets it begin, the chain does not change any more.
        let settled = history.saturating_sub(finalized + depths.untagged);
        let start_number = if dice.chance(400) { dice.below(settled + 1) } else { 0 };
        let second_from = dice.chance(500).then(|| start_number + dice.between(10, 60));
        let mut treasuries = vec![(FIRST_TREASURY, start_number)];
        treasuries.extend(second_from.map(|from| (NEXT_TREASURY, from)));
        let shared = Arc::new(Shared {
            chain: StdMutex::new(SimChain::new(Treasuries(treasuries.clone()), depths)),
            journal: Journal::new(run.trace),
            is_calm: AtomicBool::new(false),
            is_stubborn: run.stubborn,
        });
        let knows_tags = dice.chance(800);
        let rules = draw_rules(&mut dice, start_number);
        let endpoints: Vec<Arc<SimEndpoint>> = draw_endpoints(&mut dice, knows_tags)
            .into_iter()
            .enumerate()
            .map(|(number, profile)| {
                let part = 100 + u64::try_from(number).unwrap_or_default();
                shared.journal.tell(format_args!("endpoint {number}: {profile:?}"));
                let dice = Dice::new(run.seed, part);
                Arc::new(SimEndpoint::new(number, profile, Arc::clone(&shared), dice))
            })
            .collect();
        let store = Arc::new(FakeStore::new());
        let laws = Laws::new(Arc::clone(&shared), Arc::clone(&store), rules.clone());
        let mut follow = follow_settings(treasuries, block_seconds);
        follow.start_number = start_number;
        follow.finality_depth = depths.untagged;
        follow.range_blocks_min = if dice.chance(500) { dice.between(4, 12) } else { 64 };
        follow.batch_blocks = if dice.chance(300) { dice.between(1, 8) } else { 64 };
        let clock = Arc::new(SimClock::new());
        let buyers = Buyers::new(
            Dice::new(run.seed, 2),
            Arc::clone(&shared),
            Arc::clone(&store),
            block_seconds,
            second_from,
        );
        let parts = Parts {
            shared: Arc::clone(&shared),
            clock,
            endpoints,
            store,
            laws: Arc::new(Mutex::new(laws)),
            rules,
            follow,
            plant: run.plant,
            seed: run.seed,
            store_time: Arc::new(StoreTime::new()),
            is_leased: dice.chance(700),
        };
        Self {
            run,
            dice,
            shared,
            parts: Arc::new(parts),
            buyers,
            block_seconds,
            history,
            no_rates_for: 0,
            processes: JoinSet::new(),
            has_second: false,
        }
    }

    fn start_process(&mut self, number: u64) {
        self.processes.spawn(Arc::clone(&self.parts).live(number));
    }

    async fn pass(&mut self) {
        for number in 0..self.run.blocks {
            if number == self.history.min(self.run.blocks / 2) {
                self.start_process(0);
            }
            sleep(Duration::from_secs(self.block_seconds)).await;
            self.tick().await;
            if self.shared.journal.is_broken() {
                return;
            }
        }
        self.calm_down().await;
    }

    /// One block's time.
    async fn tick(&mut self) {
        let now = self.parts.clock.seconds();
        self.keep_rates(now).await;
        {
            let mut laws = self.parts.laws.lock().await;
            self.buyers.act(now, &mut laws).await;
        }
        self.move_chain(now);
        for endpoint in &self.parts.endpoints {
            endpoint.look();
        }
        self.jump_clock();
        if !self.has_second && self.dice.chance(15) && !self.processes.is_empty() {
            self.has_second = true;
            self.shared.journal.saw(Event::SecondProcess);
            self.start_process(1);
        }
    }

    fn jump_clock(&mut self) {
        if !self.dice.chance(20) {
            return;
        }
        let seconds = i64::try_from(self.dice.between(1, 7_200)).unwrap_or(1);
        let ahead = self.dice.chance(500);
        self.shared.journal.saw(if ahead { Event::ClockAhead } else { Event::ClockBack });
        self.shared.journal.tell(format_args!("the clock is off by {seconds} s, ahead: {ahead}"));
        self.parts.clock.jump(if ahead { seconds } else { -seconds });
    }

    async fn keep_rates(&mut self, now: u64) {
        if self.no_rates_for > 0 {
            self.no_rates_for -= 1;
            return;
        }
        if self.dice.chance(8) {
            self.no_rates_for = self.dice.between(10, 60);
            self.shared.journal.saw(Event::RateOutage);
        }
        let at = Timestamp::from_chain_seconds(now);
        let mut samples = Vec::new();
        let mut laws = self.parts.laws.lock().await;
        for token in [USDT, INSPI] {
            let off = Decimal::new(i64::try_from(self.dice.below(400)).unwrap_or(0), 4);
            let usual = usual_rate(token);
            let Ok(rate) = Rate::new(usual + usual * off) else { continue };
            laws.rated(asset(token), at, rate);
            let sample = RateSample {
                source: "sim".to_owned(),
                kind: SourceKind::Fixed,
                rate,
                observed_at: at,
                valid_until: None,
            };
            samples.push((asset(token), sample));
        }
        if let Err(error) = self.parts.store.save_rates(samples).await {
            self.shared.journal.broken("the store takes rates", error.kind.to_string());
        }
    }

    fn move_chain(&mut self, now: u64) {
        let (head, floor) = {
            let chain = self.shared.chain();
            (chain.head().number(), chain.fork_floor())
        };
        if floor < head && self.dice.chance(90) {
            self.fork(now, floor, head);
        } else if self.dice.chance(25) && self.bring_back() {
            self.shared.journal.saw(Event::BranchReturns);
        } else {
            let how = match self.dice.below(100) {
                0..15 => Filling::Empty,
                15..19 => Filling::Full,
                _ => Filling::Usual,
            };
            self.mine(now, how);
        }
        let head = Arc::clone(self.shared.chain().head());
        self.shared.journal.tell(format_args!(
            "head {} {}, {} chain transactions",
            head.number(),
            head.block.hash,
            head.txs.len()
        ));
    }

    fn mine(&mut self, now: u64, filling: Filling) {
        if filling == Filling::Full {
            for _ in 0..self.dice.between(15, 40) {
                self.buyers.noise(now);
            }
        }
        let mut chain = self.shared.chain();
        let parent = Arc::clone(chain.head());
        let seconds = now.max(parent.seconds + 1);
        let mut txs = Vec::new();
        if filling != Filling::Empty {
            for tx in &chain.pool {
                let waited = seconds.saturating_sub(tx.sent_at);
                let comes = filling == Filling::All || self.dice.chance(850);
                if tx.sent_at <= seconds && comes {
                    if waited > 6 * self.block_seconds {
                        self.shared.journal.saw(Event::LateMined);
                    }
                    txs.push(Arc::clone(tx));
                }
            }
            // Not in the order in which they were sent.
            if self.dice.chance(300) && txs.len() > 1 {
                let middle = self.dice.place(txs.len());
                txs.rotate_left(middle);
            }
        }
        let journal = &self.shared.journal;
        journal.saw(Event::Block);
        if txs.is_empty() {
            journal.saw(Event::EmptyBlock);
        }
        if filling == Filling::Full {
            journal.saw(Event::FullBlock);
        }
        let block = chain.make(&parent, seconds, txs);
        journal.saw_times(Event::Reverted, block.reverted);
        let number = parent.number();
        chain.adopt(number, &[block]);
    }

    /// Leaves the newest blocks for others.
    fn fork(&mut self, now: u64, floor: u64, head: u64) {
        let is_deep = self.dice.chance(200);
        let ancestor = if is_deep { floor } else { self.dice.between(floor, head - 1) };
        let depth = head - ancestor;
        let (length, filling) = match self.dice.below(100) {
            0..20 => (self.dice.between(1, depth), Filling::Usual),
            20..32 => (self.dice.between(1, depth + 1), Filling::Empty),
            _ => (depth + self.dice.below(2), Filling::Usual),
        };
        let journal = &self.shared.journal;
        journal.saw(Event::Reorg);
        if is_deep {
            journal.saw(Event::DeepReorg);
        }
        if length < depth {
            journal.saw(Event::ShorterBranch);
        }
        if filling == Filling::Empty {
            journal.saw(Event::EmptyReorg);
        }
        journal.tell(format_args!("{depth} blocks leave above {ancestor}, {length} come"));
        let parent_seconds = {
            let mut chain = self.shared.chain();
            let before: Vec<_> = chain.pool.iter().map(|tx| tx.hash).collect();
            chain.adopt(ancestor, &[]);
            let old = chain.left.len().saturating_sub(6);
            chain.left.drain(..old);
            let mut gone = 0;
            let dice = &mut self.dice;
            chain.pool.retain(|tx| {
                let stays = before.contains(&tx.hash) || !dice.chance(40);
                gone += u64::from(!stays);
                stays
            });
            let again = chain.pool.iter().filter(|tx| !before.contains(&tx.hash));
            journal.saw_times(Event::Remined, again.clone().count().try_into().unwrap_or(0));
            let varying = again.filter(|tx| tx.is_varying).count();
            journal.saw_times(Event::ChangedAmount, varying.try_into().unwrap_or(0));
            journal.saw_times(Event::NeverMined, gone);
            chain.head().seconds
        };
        for block in 1..=length {
            let span = now.saturating_sub(parent_seconds);
            self.mine(parent_seconds + span * block / length, filling);
        }
    }

    /// The branch left last is the chain again.
    fn bring_back(&mut self) -> bool {
        let mut chain = self.shared.chain();
        let floor = chain.fork_floor();
        let Some(left) = chain.left.pop() else { return false };
        let Some(ancestor) = chain.by_hash(&left.ancestor).cloned() else { return false };
        if !chain.is_canonical(&ancestor) || ancestor.number() < floor {
            return false;
        }
        self.shared.journal.tell(format_args!("the branch above {} comes back", ancestor.number()));
        chain.adopt(ancestor.number(), &left.blocks);
        true
    }

    /// Faults end; what is to come comes; then everything must be in its place.
    async fn calm_down(&mut self) {
        self.shared.is_calm.store(true, Ordering::Relaxed);
        self.shared.journal.tell(format_args!("faults end"));
        let depths = self.shared.chain().depths;
        let quiet = depths.finalized.max(depths.untagged) + 4;
        for endpoint in &self.parts.endpoints {
            endpoint.look();
        }
        let mut waited = 0;
        for number in 0.. {
            sleep(Duration::from_secs(self.block_seconds)).await;
            let now = self.parts.clock.seconds();
            self.keep_rates(now).await;
            self.mine(now, Filling::All);
            if self.shared.journal.is_broken() {
                return;
            }
            if number > quiet && self.is_done().await {
                break;
            }
            waited += 1;
            // Longer than any process stays down and any endpoint is left alone.
            if waited > quiet + 700 / self.block_seconds {
                break;
            }
        }
        // The last blocks, with nobody mining.
        for _ in 0..600 {
            sleep(Duration::from_secs(self.block_seconds)).await;
            if self.is_done().await && self.is_at_head().await {
                break;
            }
        }
        self.check_end().await;
    }

    /// Whether nothing waits, nor is kept from being credited.
    async fn is_done(&self) -> bool {
        let store = &self.parts.store;
        if !store.halts(CHAIN).await.is_ok_and(|halts| halts.is_empty()) {
            return false;
        }
        let waiting = store.transfers_to_settle(CHAIN, None, u64::MAX, 1).await;
        let left = store.transfers_to_reverse(CHAIN, 1).await;
        waiting.is_ok_and(|waiting| waiting.is_empty()) && left.is_ok_and(|left| left.is_empty())
    }

    async fn is_at_head(&self) -> bool {
        let cursor = self.parts.store.cursor(CHAIN).await.ok().flatten();
        let head = self.shared.chain().head().block;
        cursor.is_some_and(|cursor| cursor.tip == head && cursor.audited_to == head.number)
    }

    async fn check_end(&self) {
        if self.shared.journal.is_broken() {
            return;
        }
        let journal = &self.shared.journal;
        if !self.is_at_head().await {
            let cursor = self.parts.store.cursor(CHAIN).await.ok().flatten();
            let head = self.shared.chain().head().block;
            journal.broken("3: never lost", format!("the head is {head:?}, read is {cursor:?}"));
            return;
        }
        let laws = self.parts.laws.lock().await;
        laws.check_end().await;
        // Who paid by name or to the unit, in time, has what was ordered.
        for honest in &self.buyers.honest {
            let chain = self.shared.chain();
            let mut paid = chain.blocks().iter().flat_map(|block| &block.transfers);
            let Some((id, transfer)) = paid.find(|(_, one)| one.key.tx_hash == honest.tx_hash)
            else {
                continue;
            };
            let Some(terms) = laws.orders.get(&honest.order) else { continue };
            if terms.in_time_until() < transfer.block.time {
                continue;
            }
            // Whoever paid first: it may have been a stranger who used the reference.
            if !laws.settled.contains_key(id) || !laws.is_paid(&honest.order) {
                journal.broken(
                    "3: never lost",
                    format!("{} was paid in time by {id}, and is not paid", honest.order),
                );
            }
        }
    }
}

/// What a block is filled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filling {
    Empty,
    Usual,
    Full,
    All,
}
