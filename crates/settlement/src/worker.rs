//! The worker that drives the rules over the ports, one chain at a time, one batch at a time.
//!
//! Every step reads what is there and may be repeated, interrupted or run twice at once: the books
//! refuse what is done already.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use inspay_ledger::{Act, Operation, Outcome, TransferRecord};
use inspay_ports::{
    AttributionProbe, Chain, ChainError, CursorRecord, DuePlace, FollowedCursor, Store, StoreError,
};
use inspay_primitives::{AssetId, Clock, Direction, Fence, TransferId};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    agreement::{AgreementRule, Wanting},
    attribution::OrderIndex,
    backing::Backing,
    books::{Books, BooksError},
    plan::{Facts, SettlementPolicy, plan_settlements},
};

mod reading;
mod upkeep;

/// How the worker paces itself.
#[derive(Clone, Copy, Debug)]
pub struct WorkerSettings {
    /// Transfers settled in one commit.
    pub batch_transfers: u32,
    /// Orders closed, slots freed and lots expired in one commit.
    pub batch_upkeep: u32,
    /// How long an unpaid order's amount stays out of use.
    pub quarantine_seconds: u32,
    /// How long before a lot lapses its owner is told.
    pub warn_seconds: u32,
    /// How long to wait for a wake-up before looking anyway, and after a failure.
    pub idle_interval: Duration,
}

impl Default for WorkerSettings {
    /// Batches of 4,000 keep a commit below a second on either store; a week of quarantine outlasts an exchange's
    /// slowest withdrawal.
    fn default() -> Self {
        Self {
            batch_transfers: 4_000,
            batch_upkeep: 1_000,
            quarantine_seconds: 7 * 86_400,
            warn_seconds: 3 * 86_400,
            idle_interval: Duration::from_secs(1),
        }
    }
}

/// What one step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepReport {
    /// Transfers posted.
    pub settled: usize,
    /// Transfers taken back.
    pub reversed: usize,
    /// Orders closed.
    pub closed: usize,
    /// Transfers in suspense that were opened again, to be settled anew.
    pub reopened: usize,
    /// Slots freed.
    pub freed: u64,
    /// Lots expired.
    pub expired: usize,
    /// Holds given back that ran out, and owners told of lots that lapse soon.
    pub lapsed: usize,
    /// Cycles of subscriptions that were granted.
    pub granted: usize,
    /// Operations that were refused since the facts had changed; the next step sees the new ones.
    pub refused: usize,
}

impl StepReport {
    /// Whether anything changed.
    #[must_use]
    pub const fn did_something(&self) -> bool {
        self.settled > 0
            || self.reversed > 0
            || self.closed > 0
            || self.reopened > 0
            || self.freed > 0
            || self.expired > 0
            || self.lapsed > 0
            || self.granted > 0
    }
}

/// Why a step did not finish. What it had committed stays; the next step goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// The store failed.
    #[error("settlement could not read what there is to settle")]
    Store(#[from] StoreError),
    /// The chain failed.
    #[error("settlement could not read calldata")]
    Chain(#[from] ChainError),
    /// The books failed.
    #[error("settlement could not post")]
    Books(#[from] BooksError),
}

impl SettleError {
    /// Whether the same step may succeed when tried again.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::Chain(error) => error.is_transient(),
            Self::Books(error) => error.transient,
        }
    }
}

/// One chain to settle, with what wakes the worker for it.
#[derive(Clone, Debug)]
pub struct ChainWork {
    /// The chain.
    pub chain: Arc<dyn Chain>,
    /// Ticks after each commit of the chain's follower in this process.
    pub applied: Option<watch::Receiver<u64>>,
}

/// Settles the transfers of one chain.
#[derive(Debug)]
pub struct SettlementWorker {
    work: ChainWork,
    store: Arc<dyn Store>,
    books: Arc<dyn Books>,
    clock: Arc<dyn Clock>,
    policy: Arc<SettlementPolicy>,
    settings: WorkerSettings,
    backing: Backing,
    ahead: Mutex<Option<Batch>>,
    /// The last due subscription that was looked at, while those before it hold some that cannot be renewed.
    passed: Mutex<Option<DuePlace>>,
}

/// Where the chain stands, and what everything decided by it is fenced by.
#[derive(Clone, Copy, Debug)]
struct Work {
    cursor: CursorRecord,
    fence: Fence,
}

impl Work {
    fn of(followed: FollowedCursor) -> Option<Self> {
        followed.fence().map(|fence| Self { cursor: followed.cursor, fence })
    }
}

/// Settlements of one commit.
#[derive(Debug)]
struct Batch {
    /// The epoch of the chain that they were planned for: a change of branch makes another one.
    epoch: i64,
    /// The holding of the chain's lease that they were planned under.
    fence: Fence,
    /// Whether there may be more behind it.
    is_whole: bool,
    /// Block and log of the last transfer that was looked at.
    last: Option<(u64, u32)>,
    operations: Vec<Operation>,
}

impl SettlementWorker {
    /// A worker for one chain.
    #[must_use]
    pub fn new(
        work: ChainWork,
        store: Arc<dyn Store>,
        books: Arc<dyn Books>,
        clock: Arc<dyn Clock>,
        policy: Arc<SettlementPolicy>,
        settings: WorkerSettings,
    ) -> Self {
        let (backing, ahead, passed) = (Backing::default(), Mutex::new(None), Mutex::new(None));
        Self { work, store, books, clock, policy, settings, backing, ahead, passed }
    }

    /// The same worker, which asks the endpoints about transfers that are larger than the rules say before
    /// it settles them.
    #[must_use]
    pub fn with_agreements(mut self, rules: HashMap<AssetId, AgreementRule>) -> Self {
        self.backing = Backing::new(rules);
        self
    }

    /// The transfers that are deep enough and wait for the endpoints' word, each with what is wanting.
    #[must_use]
    pub fn awaiting_agreement(&self) -> Vec<(TransferId, Wanting)> {
        self.backing.views()
    }

    /// Works until cancelled; failures are logged and tried again after the idle interval.
    pub async fn run(mut self, cancel: CancellationToken) {
        while !cancel.is_cancelled() {
            let wait = match self.step().await {
                Ok(report) if report.did_something() => continue,
                Ok(_) => self.settings.idle_interval,
                Err(error) => {
                    metrics::counter!("inspay_settlement_failures_total").increment(1);
                    tracing::warn!(
                        chain.id = self.work.chain.chain_id().0,
                        error = &error as &dyn std::error::Error,
                        transient = error.is_transient(),
                        "settlement step failed; it is tried again"
                    );
                    self.settings.idle_interval
                }
            };
            tokio::select! {
                biased;
                () = cancel.cancelled() => {}
                () = woken(self.work.applied.as_mut()) => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Does what there is to do once: takes back, settles, then keeps house.
    pub async fn step(&self) -> Result<StepReport, SettleError> {
        let mut report = StepReport::default();
        let chain_id = self.work.chain.chain_id();
        let batch_transfers = self.settings.batch_transfers;
        // A buyer waits: what is likely to be needed is read at once.
        let (followed, to_reverse, waiting) = tokio::try_join!(
            self.store.followed(chain_id),
            self.store.transfers_to_reverse(chain_id, batch_transfers),
            self.waiting(),
        )?;
        // What is stored may have left the chain while nobody followed it: nothing is decided before whoever follows
        // it now, in whatever process, has found it there.
        let Some(followed) = followed else { return Ok(report) };
        let Some(work) = Work::of(followed) else {
            metrics::counter!("inspay_settlement_unchecked_steps_total").increment(1);
            return Ok(report);
        };
        self.reverse(&work, &to_reverse, &mut report).await?;
        // What is taken back may be among what waits, as it was before.
        let waiting = waiting.filter(|_| to_reverse.is_empty());
        self.settle(&work, waiting, &mut report).await?;
        // While whole batches are waiting, payments come first: an order with older ones pending may not be
        // closed anyway.
        let is_saturated = u32::try_from(report.settled)
            .is_ok_and(|settled| settled >= self.settings.batch_transfers);
        if !is_saturated {
            self.close_orders(&work, &mut report).await?;
            self.reopen(&work, &mut report).await?;
            self.keep_house(&work, &mut report).await?;
        }
        Ok(report)
    }

    async fn reverse(
        &self,
        work: &Work,
        records: &[TransferRecord],
        report: &mut StepReport,
    ) -> Result<(), SettleError> {
        let operations: Vec<Operation> = records
            .iter()
            .map(|record| {
                let transfer = record.transfer.key.id();
                Operation::from(Act::Reverse { transfer, generation: record.generation })
            })
            .collect();
        report.reversed = self.write(work.fence, operations, report).await?;
        metrics::counter!("inspay_transfers_reversed_total").increment(count(report.reversed));
        Ok(())
    }

    /// What waits to be settled, however deep, unless a batch was planned ahead.
    async fn waiting(&self) -> Result<Option<Vec<TransferRecord>>, StoreError> {
        if self.ahead.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            return Ok(None);
        }
        let chain_id = self.work.chain.chain_id();
        let limit = self.settings.batch_transfers;
        self.store.transfers_to_settle(chain_id, None, u64::MAX, limit).await.map(Some)
    }

    /// Writes the oldest batch; while it is written, the one behind it is read and planned.
    async fn settle(
        &self,
        work: &Work,
        waiting: Option<Vec<TransferRecord>>,
        report: &mut StepReport,
    ) -> Result<(), SettleError> {
        let batch = match self.take_ahead(work) {
            Some(batch) => batch,
            None => self.plan_batch(work, None, waiting).await?,
        };
        let behind = async {
            match batch.last.filter(|_| batch.is_whole) {
                Some(last) => self.plan_batch(work, Some(last), None).await.map(Some),
                None => Ok(None),
            }
        };
        let (written, behind) =
            tokio::join!(self.write(work.fence, batch.operations, report), behind);
        report.settled = written?;
        metrics::counter!("inspay_transfers_settled_total").increment(count(report.settled));
        // After a refusal the facts are others than were planned with.
        let behind = behind?.filter(|_| report.refused == 0);
        *self.ahead.lock().unwrap_or_else(PoisonError::into_inner) = behind;
        Ok(())
    }

    /// What was planned ahead, if there is something in it and the chain is still the one that it was planned for.
    fn take_ahead(&self, work: &Work) -> Option<Batch> {
        let ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner).take();
        ahead.filter(|batch| {
            (batch.epoch, batch.fence) == (work.cursor.epoch, work.fence)
                && !batch.operations.is_empty()
        })
    }

    async fn plan_batch(
        &self,
        work: &Work,
        after: Option<(u64, u32)>,
        waiting: Option<Vec<TransferRecord>>,
    ) -> Result<Batch, SettleError> {
        let records = self.confirmed(&work.cursor, after, waiting).await?;
        let mut batch = Batch {
            epoch: work.cursor.epoch,
            fence: work.fence,
            is_whole: u32::try_from(records.len()).unwrap_or(u32::MAX)
                >= self.settings.batch_transfers,
            last: records
                .last()
                .map(|record| (record.transfer.block.number, record.transfer.log_index)),
            operations: Vec::new(),
        };
        if records.is_empty() {
            return Ok(batch);
        }
        let references = self.references(&records).await?;
        let probes = records
            .iter()
            .zip(&references)
            .filter(|(record, _)| record.transfer.key.direction == Direction::In)
            .map(|(record, reference)| AttributionProbe::of(&record.transfer, *reference))
            .collect();
        let wanted = records
            .iter()
            .map(|record| (record.transfer.key.asset(), record.transfer.block.time))
            .collect();
        let (orders, rates, canonical, after) = tokio::try_join!(
            self.store.orders_for(probes),
            self.store.rates_at(wanted),
            self.canonical(&records),
            self.store.cursor(self.work.chain.chain_id()),
        )?;
        // A branch that came since the cursor was read has another head: how deep its transfers are under
        // this one means nothing.
        if after.is_none_or(|after| after.epoch != work.cursor.epoch) {
            batch.is_whole = false;
            return Ok(batch);
        }
        let orders = OrderIndex::new(orders);
        let facts: Vec<Facts> = records
            .into_iter()
            .zip(references)
            .zip(rates)
            .map(|((record, reference), rate)| Facts { record, reference, rate })
            .filter(|facts| {
                let block = facts.record.transfer.block;
                // A block below the window is not compared: nothing in it may change any more.
                let stands = canonical.get(&block.number).copied().flatten();
                stands.is_none_or(|hash| hash == block.hash)
            })
            .collect();
        batch.operations = plan_settlements(&facts, &orders, &self.policy);
        Ok(batch)
    }

    /// How many were applied.
    async fn write(
        &self,
        fence: Fence,
        operations: Vec<Operation>,
        report: &mut StepReport,
    ) -> Result<usize, SettleError> {
        self.outcomes(fence, operations, report).await.map(|outcomes| applied(&outcomes))
    }

    async fn outcomes(
        &self,
        fence: Fence,
        operations: Vec<Operation>,
        report: &mut StepReport,
    ) -> Result<Vec<Outcome>, SettleError> {
        if operations.is_empty() {
            return Ok(Vec::new());
        }
        let outcomes = self.books.write(fence, operations).await?;
        for outcome in &outcomes {
            if let Outcome::Refused(refusal) = outcome {
                report.refused = report.refused.saturating_add(1);
                tracing::info!(%refusal, "an operation was refused; the next step looks again");
            }
        }
        Ok(outcomes)
    }
}

fn applied(outcomes: &[Outcome]) -> usize {
    outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Applied { .. })).count()
}

fn is_refused(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Refused(_))
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

async fn woken(applied: Option<&mut watch::Receiver<u64>>) {
    match applied {
        Some(applied) => {
            // A follower that ended wakes nobody any more; the interval still does.
            if applied.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
        None => std::future::pending().await,
    }
}
