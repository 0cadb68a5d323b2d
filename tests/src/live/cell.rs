//! One run of the matrix: a living chain, a gateway behind faulty endpoints, and what came of it.
//!
//! Never waits longer for the gateway than the matrix allows: what is not right by then is counted.

use std::{collections::BTreeMap, time::Duration};

use inspay_devchain::{AnvilOptions, Devchain};
use inspay_primitives::{B256, ChainId};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, sleep_until, timeout},
};

use super::{
    miner::{BLOCK_TIME, Miner},
    truth::Row,
    watch::{Seen, Watch},
};
use crate::{
    ChainText, Gateway,
    proxy::{Fault, FaultProxy},
    settings_through,
};

/// More than the deepest reorg: what is credited stays on the chain for good.
const CONFIRMATIONS: u32 = 6;
const DEEPEST: u64 = 5;
/// So long after the faults' end everything must be right.
pub const HEAL_MAX: Duration = Duration::from_secs(10);
const ORDERS: usize = 24;
/// Lines of the gateway's log that are shown of a wrong run.
const LAST_WORDS: usize = 40;
/// Thirty seconds.
const LOSS_BLOCKS: u64 = 50;

/// What happens to the chain while the faults are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Story {
    /// Reorgs of depth 2 to 5.
    Reorgs,
    /// A branch, another one, and the first again.
    Returning,
    /// Reorgs that leave the chain shorter.
    Shorter,
    /// Reorgs of blocks without payments.
    EmptyBlocks,
    /// The gateway was away for 200 blocks; the chain reorganises while it catches up.
    HandOver,
    /// Every endpoint is gone for thirty seconds, while the chain lives on and reorganises.
    Loss,
}

/// A cell of the matrix.
#[derive(Clone, Debug)]
pub struct Cell {
    /// Name for people.
    pub name: String,
    /// Faults of the first endpoint, in percent.
    pub faults: Vec<(Fault, u8)>,
    /// Whether there is a second endpoint, without faults.
    pub has_second: bool,
    /// What happens to the chain.
    pub story: Story,
    /// Blocks that are mined while the faults are on.
    pub live_blocks: u64,
}

/// What came of one run.
#[derive(Clone, Debug, Default)]
pub struct CellRun {
    /// Transfers that are on the chain at the end.
    pub rows: usize,
    /// Of those, not recorded.
    pub missing: usize,
    /// Recorded as on the chain, and not there.
    pub phantom: usize,
    /// Recorded twice.
    pub duplicate: usize,
    /// Recorded at some moment, and never true on any branch.
    pub never_true: usize,
    /// Settled before their confirmations, in a block that was not to stay, or taken back.
    pub wrongly_credited: usize,
    /// On the chain for long enough, and not settled.
    pub unsettled: usize,
    /// Reorgs.
    pub reorgs: u64,
    /// From the faults' end to the tip that the chain has.
    pub healed_after: Option<Duration>,
    /// From each mined payment to its row.
    pub latencies: Vec<Duration>,
    /// How often each fault happened.
    pub faults: BTreeMap<Fault, u64>,
    /// The end of the gateway's log, where something is wrong.
    pub last_words: Vec<String>,
}

impl CellRun {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_right(&self) -> bool {
        let wrong = [
            self.missing,
            self.phantom,
            self.duplicate,
            self.never_true,
            self.wrongly_credited,
            self.unsettled,
        ];
        self.rows > 0 && wrong.iter().all(|count| *count == 0) && self.healed_after.is_some()
    }
}

struct Run {
    cell: Cell,
    miner: Miner,
    gateway: Gateway,
    proxy: FaultProxy,
    watch: Watch,
    reorgs: u64,
}

/// Runs a cell with one seed.
///
/// # Panics
///
/// If the chain or the gateway does not start, or the books differ from the chain at the end.
pub async fn run(cell: Cell, seed: u64) -> CellRun {
    let options = AnvilOptions { slots_in_an_epoch: 32, ..AnvilOptions::default() };
    let chain = Devchain::start(options).await.expect("the chain starts");
    let place = chain.deployment().clone();
    let proxy = FaultProxy::start(&place, seed).await;
    let mut http = vec![proxy.http_url().to_owned()];
    http.extend(cell.has_second.then(|| place.http_url.clone()));
    let text = ChainText { confirmations: CONFIRMATIONS, ..ChainText::default() };
    let settings = settings_through(&place, text, &http, proxy.ws_url());
    let mut gateway = Gateway::start(&settings, None).await;
    let mut orders = Vec::with_capacity(ORDERS);
    for index in 0..ORDERS {
        let asset = if index % 3 == 0 { "INSPI" } else { "USDT" };
        orders.push(gateway.order(&format!("buyer-{index}"), asset).await);
    }
    let miner = Miner::new(chain, seed, orders).await;
    let database = gateway.folder().join("test.db");
    let chain_id = ChainId(place.chain_id);
    let confirmations = u64::from(CONFIRMATIONS);
    let watch = Watch::start(&database, chain_id, confirmations, miner.head_number()).await;
    let mut run = Run { cell, miner, gateway, proxy, watch, reorgs: 0 };
    // Above what a reorg may reach, so that the deepest one leaves the contracts alone.
    for _ in 0..=DEEPEST {
        run.miner.mine().await;
    }
    run.proxy.set(&run.cell.faults.clone());
    run.live().await;
    run.proxy.clear();
    run.heal().await
}

impl Run {
    async fn live(&mut self) {
        if self.cell.story == Story::HandOver {
            self.be_away().await;
        }
        let live_blocks = if self.cell.story == Story::Loss {
            self.proxy.set_down(true);
            LOSS_BLOCKS
        } else {
            self.cell.live_blocks
        };
        let mut blocks = interval(BLOCK_TIME);
        blocks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let between_reorgs = DEEPEST + 1;
        let phase = self.miner.draw(between_reorgs);
        for count in 0..live_blocks {
            blocks.tick().await;
            if self.cell.story == Story::EmptyBlocks && count % between_reorgs > 0 {
                self.miner.mine().await;
            } else {
                self.miner.live().await;
            }
            if count % between_reorgs == phase {
                self.reorganise().await;
            }
        }
        self.proxy.set_down(false);
    }

    async fn reorganise(&mut self) {
        let depth = 2 + self.miner.draw(DEEPEST - 1);
        self.reorgs += 1;
        match self.cell.story {
            Story::Reorgs | Story::HandOver | Story::Loss => self.miner.reorg(depth).await,
            Story::EmptyBlocks => {
                for _ in 0..depth {
                    self.miner.mine().await;
                }
                self.miner.reorg(depth).await;
            }
            Story::Shorter => {
                let shorter_by = 1 + self.miner.draw(depth - 1);
                self.miner.shorten(depth, shorter_by).await;
            }
            Story::Returning => self.leave_and_return(depth).await,
        }
    }

    /// The first branch is left for another, which the gateway gets to see, and then comes back.
    async fn leave_and_return(&mut self, depth: u64) {
        let first = self.miner.truth.head().expect("a head").number + 1 - depth;
        let kept = self.miner.chain.save_branch().await.expect("the branch is kept");
        let mut tip = self.watch.tip();
        self.miner.leave_for_empty(first, depth).await;
        let other = self.miner.truth.head().expect("a head").hash;
        // Where the faults keep the gateway from seeing it, the branch comes back unseen.
        let _is_seen = comes_to(&mut tip, other).await;
        let started = Instant::now();
        let head = self.miner.chain.return_to(&kept).await.expect("it comes back");
        self.miner.note_from(first, head.number, started).await;
    }

    /// Two hundred blocks go by without the gateway; it comes back to a chain that reorganises at once.
    async fn be_away(&mut self) {
        self.gateway.kill().await;
        for count in 0u64..200 {
            if count.is_multiple_of(10) {
                self.miner.send_some().await;
            }
            self.miner.mine().await;
        }
        self.proxy.clear();
        self.gateway.resume().await;
        self.proxy.set(&self.cell.faults.clone());
        for _ in 0..3 {
            let depth = 2 + self.miner.draw(DEEPEST - 1);
            self.reorgs += 1;
            self.miner.reorg(depth).await;
            self.miner.live().await;
        }
    }

    /// Whether the gateway has applied the newest block and settled all that is deep enough.
    async fn is_whole(&self) -> bool {
        let head = self.miner.truth.head().expect("a head");
        if self.watch.tip_now().await != Some(head.hash) {
            return false;
        }
        let deepest = (head.number + 1).saturating_sub(u64::from(CONFIRMATIONS));
        let recorded = self.watch.transfers().await;
        recorded.iter().all(|view| {
            !view.canonical || view.transfer.block.number > deepest || view.settlement.is_some()
        })
    }

    async fn heal(mut self) -> CellRun {
        let ended = Instant::now();
        let mut healed_after = None;
        let mut tip = self.watch.tip();
        // Enough blocks that the deepest reorg's payments are confirmed, at the same pace.
        for _ in 0..=CONFIRMATIONS {
            let next = Instant::now() + BLOCK_TIME;
            self.miner.mine().await;
            let head: B256 = self.miner.truth.head().expect("a head").hash;
            if comes_to(&mut tip, head).await && healed_after.is_none() {
                healed_after = Some(ended.elapsed());
            }
            sleep_until(next).await;
        }
        let mut looks = interval(Duration::from_millis(50));
        while !self.is_whole().await && ended.elapsed() < HEAL_MAX {
            looks.tick().await;
        }
        let is_whole = self.is_whole().await;
        let mut outcome = self.judge(healed_after.filter(|_| is_whole)).await;
        if outcome.is_right() {
            self.gateway.must_reconcile().await;
        }
        outcome.faults = self.proxy.counts();
        let seen = self.watch.finish().await;
        self.miner.truth.judge(&seen, &mut outcome);
        outcome.reorgs = self.reorgs;
        self.gateway.kill().await;
        if !outcome.is_right() {
            let log = self.gateway.log();
            let last = log.lines().rev().take(LAST_WORDS).map(str::to_owned);
            outcome.last_words = last.collect();
            outcome.last_words.reverse();
        }
        outcome
    }

    /// Compares what is recorded now with what is on the chain now.
    async fn judge(&self, healed_after: Option<Duration>) -> CellRun {
        let truth = self.miner.truth.now();
        let deepest = (self.miner.truth.head().expect("a head").number + 1)
            .saturating_sub(u64::from(CONFIRMATIONS));
        let views = self.watch.transfers().await;
        let canonical = views.iter().filter(|view| view.canonical);
        let recorded = canonical.map(|view| Row::from(&view.transfer)).collect();
        let Compared { missing, phantom, duplicate } = compare(&truth, recorded);
        let is_settled = |row: &&Row| {
            views.iter().any(|view| view.settlement.is_some() && Row::from(&view.transfer) == **row)
        };
        let reversed = views.iter().filter(|view| view.generation > 0).count();
        CellRun {
            rows: truth.len(),
            missing,
            phantom,
            duplicate,
            wrongly_credited: reversed,
            unsettled: truth
                .iter()
                .filter(|row| row.block_number <= deepest)
                .filter(|row| !is_settled(row))
                .count(),
            healed_after,
            ..CellRun::default()
        }
    }
}

/// How what is recorded differs from what is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Compared {
    missing: usize,
    phantom: usize,
    duplicate: usize,
}

fn compare(truth: &[Row], mut recorded: Vec<Row>) -> Compared {
    recorded.sort_unstable();
    let with_doubles = recorded.len();
    recorded.dedup();
    Compared {
        missing: truth.iter().filter(|row| !recorded.contains(row)).count(),
        phantom: recorded.iter().filter(|row| !truth.contains(row)).count(),
        duplicate: with_doubles - recorded.len(),
    }
}

/// Whether the tip is that block within a block's time.
async fn comes_to(tip: &mut watch::Receiver<B256>, block: B256) -> bool {
    timeout(BLOCK_TIME, tip.wait_for(|tip| *tip == block)).await.is_ok()
}

impl super::truth::Truth {
    /// Judges what was seen on the way.
    fn judge(&self, seen: &Seen, outcome: &mut CellRun) {
        let now = self.now();
        outcome.never_true = seen.recorded.keys().filter(|row| !self.ever.contains(row)).count();
        let gone = seen.settled.keys().filter(|row| !now.contains(row)).count();
        outcome.wrongly_credited += seen.early.len() + gone;
        outcome.latencies = seen
            .recorded
            .iter()
            .filter_map(|(row, seen_at)| {
                let mined_at = self.mined_at.get(&row.block_hash)?;
                Some(seen_at.saturating_duration_since(*mined_at))
            })
            .collect();
    }
}

#[cfg(test)]
mod tests {
    use inspay_primitives::{Address, TransferId, U256};

    use super::super::{truth::Truth, watch::Early};
    use super::*;

    fn row(block_number: u64, units: u64) -> Row {
        Row {
            block_number,
            block_hash: B256::with_last_byte(1),
            tx_hash: B256::with_last_byte(2),
            log_index: 0,
            token: Address::ZERO,
            payer: Address::ZERO,
            base_units: U256::from(units),
        }
    }

    #[test]
    fn what_is_missing_invented_or_doubled_is_counted() {
        let truth = [row(1, 10), row(2, 10), row(3, 10)];
        let recorded = vec![row(3, 10), row(1, 10), row(1, 10), row(2, 11)];
        let found = compare(&truth, recorded);
        assert_eq!(found, Compared { missing: 1, phantom: 1, duplicate: 1 });
        let found = compare(&truth, truth.to_vec());
        assert_eq!(found, Compared { missing: 0, phantom: 0, duplicate: 0 });
    }

    #[test]
    fn what_was_wrong_for_a_moment_is_counted() {
        let mut truth = Truth::default();
        truth.ever.insert(row(1, 10));
        let now = Instant::now();
        let id = TransferId::from_digest(B256::ZERO);
        let seen = Seen {
            recorded: [(row(1, 10), now), (row(1, 11), now)].into(),
            // It was on the chain once and is not any more.
            settled: [(row(1, 10), id)].into(),
            early: vec![Early { row: row(1, 10), head_number: 1 }],
        };
        let healed_after = Some(Duration::ZERO);
        let mut outcome = CellRun { rows: 1, healed_after, ..CellRun::default() };
        assert!(outcome.is_right());
        truth.judge(&seen, &mut outcome);
        assert_eq!((outcome.never_true, outcome.wrongly_credited), (1, 2));
        assert!(!outcome.is_right());
        let unhealed = CellRun { rows: 1, ..CellRun::default() };
        assert!(!unhealed.is_right());
    }
}
