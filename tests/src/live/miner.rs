//! A chain that lives: blocks at a steady pace, buyers that pay, and reorgs that keep, move, delay or
//! lose what they paid.
//!
//! Never makes a chain transaction impossible: of one sender all that was removed is replayed in its
//! order, or none.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use alloy::primitives::Bytes;
use inspay_devchain::{Devchain, Mining, Multisend, Replay};
use inspay_primitives::{Address, B256, U256};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::Value;
use tokio::time::Instant;

use super::truth::Truth;
use crate::pay;

/// Time between blocks.
pub const BLOCK_TIME: Duration = Duration::from_millis(600);

/// What becomes of the payments that one sender has in the removed blocks.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Kept,
    MovedToTheEnd,
    MinedLater,
    Lost,
}

#[derive(Clone, Debug)]
struct Sent {
    hash: B256,
    sender: Address,
    order: Option<Value>,
}

/// Makes the blocks of one run.
#[derive(Debug)]
pub struct Miner {
    /// The chain.
    pub chain: Devchain,
    /// What it held, read from its receipts.
    pub truth: Truth,
    random: StdRng,
    /// Orders that nobody has paid.
    orders: VecDeque<Value>,
    /// What was sent, by the block that it was mined in.
    mined: BTreeMap<u64, Vec<Sent>>,
    /// What a reorg removed and is to be mined later.
    delayed: Vec<(Bytes, Sent)>,
    head_number: Arc<AtomicU64>,
}

impl Miner {
    /// Takes a chain over: blocks are made here only from now on.
    ///
    /// # Panics
    ///
    /// If the node refuses.
    pub async fn new(chain: Devchain, seed: u64, orders: Vec<Value>) -> Self {
        chain.set_mining(Mining::OnDemand).await.expect("mining on demand");
        let head = chain.head().await.expect("a head");
        let mut truth = Truth::default();
        truth.note(&chain, head, Instant::now()).await;
        Self {
            chain,
            truth,
            random: StdRng::seed_from_u64(seed),
            orders: orders.into(),
            mined: BTreeMap::new(),
            delayed: Vec::new(),
            head_number: Arc::new(AtomicU64::new(head.number)),
        }
    }

    /// The highest block that may have been mined.
    #[must_use]
    pub fn head_number(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.head_number)
    }

    /// A number below `end`, from the seed.
    pub fn draw(&mut self, end: u64) -> u64 {
        self.random.random_range(0..end)
    }

    /// Sends what some buyers pay in the next block.
    ///
    /// # Panics
    ///
    /// If the node refuses.
    pub async fn send_some(&mut self) -> Vec<B256> {
        let mut hashes = Vec::new();
        for (raw, sent) in std::mem::take(&mut self.delayed) {
            self.chain.remine(&raw).await.expect("it is still valid");
            self.sent(sent, &mut hashes);
        }
        for _ in 0..self.draw(4) {
            let buyer = usize::try_from(self.draw(9)).expect("small");
            let sender = self.chain.buyer(buyer);
            let place = self.chain.deployment();
            let order =
                if self.random.random_range(0..3) > 0 { self.orders.pop_front() } else { None };
            let hash = match &order {
                Some(order) => pay(&self.chain, order, sender).await,
                None => {
                    let base_units = U256::from(self.random.random_range(1_000u64..5_000_000));
                    let token = if self.random.random_bool(0.5) { place.usdt } else { place.inspi };
                    let paid = self.chain.transfer(token, sender, place.treasury, base_units, None);
                    paid.await.expect("it is sent")
                }
            };
            self.sent(Sent { hash, sender, order }, &mut hashes);
        }
        if self.draw(5) == 0 {
            self.send_bundle(&mut hashes).await;
        }
        hashes
    }

    /// Several transfers in one chain transaction.
    async fn send_bundle(&mut self, hashes: &mut Vec<B256>) {
        let place = self.chain.deployment().clone();
        let sender = self.chain.buyer(9);
        let base_units = U256::from(1_000);
        let fill = self.chain.transfer(
            place.usdt,
            sender,
            place.multisend,
            base_units * U256::from(3),
            None,
        );
        let hash = fill.await.expect("it is sent");
        self.sent(Sent { hash, sender, order: None }, hashes);
        let payment =
            || Multisend::Payment { token: place.usdt, to: place.treasury, value: base_units };
        let bundle = Multisend::payHeldCall { payments: (0..3).map(|_| payment()).collect() };
        let bundle = self.chain.call_contract(sender, place.multisend, &bundle).await;
        let hash = bundle.expect("it is sent");
        self.sent(Sent { hash, sender, order: None }, hashes);
    }

    fn sent(&mut self, sent: Sent, hashes: &mut Vec<B256>) {
        hashes.push(sent.hash);
        let next = self.head_number.load(Ordering::SeqCst) + 1;
        self.mined.entry(next).or_default().push(sent);
    }

    /// Mines what was sent. Blocks above the present height are expected to be mined here only.
    ///
    /// # Panics
    ///
    /// If the node refuses.
    pub async fn mine(&mut self) {
        let number = self.truth.head().expect("a head").number + 1;
        self.head_number.fetch_max(number, Ordering::SeqCst);
        let started = Instant::now();
        let block = self.chain.mine(1).await.expect("mines");
        self.truth.note(&self.chain, block, started).await;
    }

    /// Sends and mines.
    pub async fn live(&mut self) {
        self.send_some().await;
        self.mine().await;
    }

    /// Replaces the newest `depth` blocks by as many others, in one step. What was paid in them is kept, moved,
    /// delayed or lost, sender by sender.
    ///
    /// # Panics
    ///
    /// If the node refuses.
    pub async fn reorg(&mut self, depth: u64) {
        let head = self.truth.head().expect("a head").number;
        let first = head + 1 - depth;
        let removed = self.mined.split_off(&first);
        let mut fates: BTreeMap<Address, Fate> = BTreeMap::new();
        let mut replays: Vec<(u64, Sent)> = Vec::new();
        for (number, sent) in removed
            .into_iter()
            .flat_map(|(number, all)| all.into_iter().map(move |sent| (number, sent)))
        {
            let random = &mut self.random;
            let fate = *fates.entry(sent.sender).or_insert_with(|| {
                let fates =
                    [Fate::Kept, Fate::Kept, Fate::MovedToTheEnd, Fate::MinedLater, Fate::Lost];
                *fates.choose(random).expect("there are some")
            });
            match fate {
                Fate::Kept => replays.push((number - first, sent)),
                Fate::MovedToTheEnd => replays.push((depth - 1, sent)),
                Fate::MinedLater => {
                    let raw = self.chain.raw_transaction(sent.hash).await.expect("it is known");
                    self.delayed.push((raw, sent));
                }
                Fate::Lost => self.orders.extend(sent.order),
            }
        }
        replays.sort_by_key(|(at, _)| *at);
        let replay = replays.iter().map(|(at, sent)| Replay::same(sent.hash, *at)).collect();
        let started = Instant::now();
        self.chain.reorg(depth, replay).await.expect("reorganises");
        for (at, sent) in replays {
            self.mined.entry(first + at).or_default().push(sent);
        }
        self.note_from(first, head, started).await;
    }

    /// Takes the newest blocks off, and mines anew until the chain is `shorter_by` blocks shorter than it was.
    ///
    /// # Panics
    ///
    /// If the node refuses.
    pub async fn shorten(&mut self, depth: u64, shorter_by: u64) {
        let head = self.truth.head().expect("a head").number;
        let first = head + 1 - depth;
        for sent in self.mined.split_off(&first).into_values().flatten() {
            self.orders.extend(sent.order);
        }
        self.chain.rollback(depth).await.expect("rolls back");
        self.truth.leave(first);
        for _ in shorter_by..depth {
            self.mine().await;
        }
    }

    /// Notes the blocks that are on the chain now.
    ///
    /// # Panics
    ///
    /// If the node refuses.
    pub async fn note_from(&mut self, first: u64, last: u64, mined_at: Instant) {
        self.truth.leave(first);
        self.head_number.fetch_max(last, Ordering::SeqCst);
        for number in first..=last {
            let block = self.chain.block(number.into()).await.expect("a block");
            self.truth.note(&self.chain, block, mined_at).await;
        }
    }

    /// Replaces the newest `depth` blocks, which begin with `first`, by as many empty ones. What was sent in them is
    /// remembered as if it still stood: the branch may come back.
    ///
    /// # Panics
    ///
    /// If the node refuses.
    pub async fn leave_for_empty(&mut self, first: u64, depth: u64) {
        let head = first + depth - 1;
        let started = Instant::now();
        self.chain.reorg(depth, Vec::new()).await.expect("reorganises");
        self.note_from(first, head, started).await;
    }
}
