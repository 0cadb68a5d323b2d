//! The queue, the batches and the answers.

use std::{
    collections::BTreeSet,
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use inspay_ledger::{
    BatchRows, LedgerState, Operation, Outcome, SettlementRules, Touches, apply, touches,
};
use inspay_ports::{BooksStore, StoreError};
use inspay_primitives::{Clock, Fence, Timestamp};
use tokio::sync::{mpsc, oneshot, watch};

/// How much may queue up and how much goes into one commit.
#[derive(Clone, Copy, Debug)]
pub struct WriterLimits {
    /// Requests that may wait; further callers wait for a place.
    pub queued_requests: NonZeroUsize,
    /// Operations after which a batch takes no further request. One request is never split, so a larger one passes alone.
    pub batch_operations: usize,
}

impl Default for WriterLimits {
    /// 1,024 waiting requests; 4,096 operations a batch, which is a few megabytes of rows.
    fn default() -> Self {
        Self { queued_requests: NonZeroUsize::MIN.saturating_add(1_023), batch_operations: 4_096 }
    }
}

/// Why operations were not written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WriteError {
    /// The store failed; nothing of the request was written.
    #[error("the books could not be written")]
    Store(#[source] Arc<StoreError>),
    /// The writer has stopped; nothing of the request was written, or its commit was not seen to end.
    #[error("the ledger writer has stopped")]
    Stopped,
}

impl WriteError {
    /// Whether the same request may succeed when made again.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::Stopped => false,
        }
    }
}

type Answer = Result<Vec<Outcome>, WriteError>;

#[derive(Debug)]
struct Request {
    fence: Option<Fence>,
    operations: Vec<Operation>,
    answer: oneshot::Sender<Answer>,
}

/// The handle through which operations enter the books.
#[derive(Clone, Debug)]
pub struct LedgerWriter {
    queue: mpsc::Sender<Request>,
    committed: watch::Receiver<u64>,
}

impl LedgerWriter {
    /// Makes a writer: the handle, and the task that someone must run.
    #[must_use]
    pub fn new(
        store: Arc<dyn BooksStore>,
        clock: Arc<dyn Clock>,
        rules: SettlementRules,
        limits: WriterLimits,
    ) -> (Self, WriterTask) {
        let (queue, requests) = mpsc::channel(limits.queued_requests.get());
        let (committed_sender, committed) = watch::channel(0);
        let task =
            WriterTask { store, clock, rules, limits, requests, committed: committed_sender };
        (Self { queue, committed }, task)
    }

    /// Writes operations in one commit and answers each, in order.
    ///
    /// Safe to repeat: the same operations again give the outcomes of the first time.
    pub async fn write(&self, operations: Vec<Operation>) -> Answer {
        self.enqueue(None, operations).await
    }

    /// As [`Self::write`], if the holding of a chain's lease that the operations were decided under holds at the commit.
    pub async fn write_fenced(&self, fence: Fence, operations: Vec<Operation>) -> Answer {
        self.enqueue(Some(fence), operations).await
    }

    async fn enqueue(&self, fence: Option<Fence>, operations: Vec<Operation>) -> Answer {
        if operations.is_empty() {
            return Ok(Vec::new());
        }
        let (answer, answered) = oneshot::channel();
        let request = Request { fence, operations, answer };
        self.queue.send(request).await.map_err(|_| WriteError::Stopped)?;
        answered.await.map_err(|_| WriteError::Stopped)?
    }

    /// Changes after each commit that wrote something.
    #[must_use]
    pub fn committed(&self) -> watch::Receiver<u64> {
        self.committed.clone()
    }
}

/// The task that owns the queue's other end.
#[derive(Debug)]
pub struct WriterTask {
    store: Arc<dyn BooksStore>,
    clock: Arc<dyn Clock>,
    rules: SettlementRules,
    limits: WriterLimits,
    requests: mpsc::Receiver<Request>,
    committed: watch::Sender<u64>,
}

impl WriterTask {
    /// Writes until every handle is gone; what is queued by then is written first.
    pub async fn run(mut self) {
        while let Some(first) = self.requests.recv().await {
            // Whoever the last batch has answered and is ready to go on may still join this one: a turn, never a wait.
            tokio::task::yield_now().await;
            let mut batch = vec![first];
            let mut operations =
                batch.iter().map(|request| request.operations.len()).sum::<usize>();
            while operations < self.limits.batch_operations {
                let Ok(next) = self.requests.try_recv() else { break };
                operations = operations.saturating_add(next.operations.len());
                batch.push(next);
            }
            self.commit(batch).await;
        }
    }

    /// Commits a batch. If the store refuses it for a reason that a retry does not cure, each request is
    /// tried alone, so that one poisoned row cannot hold up the others.
    async fn commit(&self, batch: Vec<Request>) {
        let (requests, answers): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|it| ((it.fence, it.operations), it.answer)).unzip();
        let fences = requests.iter().filter_map(|(fence, _)| *fence).collect();
        let operations = requests.iter().flat_map(|(_, operations)| operations).cloned().collect();
        match self.transact(fences, operations).await {
            Ok(mut outcomes) => {
                for ((_, operations), answer) in requests.iter().zip(answers) {
                    let rest = outcomes.split_off(operations.len().min(outcomes.len()));
                    send(answer, Ok(std::mem::replace(&mut outcomes, rest)));
                }
            }
            Err(error) if !error.is_transient() && requests.len() > 1 => {
                tracing::warn!(error = %error.kind, "a batch was refused; its requests are tried one by one");
                for ((fence, operations), answer) in requests.into_iter().zip(answers) {
                    let alone = self.transact(fence.into_iter().collect(), operations).await;
                    send(answer, alone.map_err(|error| WriteError::Store(Arc::new(error))));
                }
            }
            Err(error) => {
                let error = Arc::new(error);
                for answer in answers {
                    send(answer, Err(WriteError::Store(Arc::clone(&error))));
                }
            }
        }
    }

    async fn transact(
        &self,
        fences: BTreeSet<Fence>,
        operations: Vec<Operation>,
    ) -> Result<Vec<Outcome>, StoreError> {
        let started = Instant::now();
        let count = operations.len();
        let decided = Arc::new(Mutex::new((Vec::new(), false)));
        let now = self.clock.now();
        let touched = Touches { fences, ..touches(&operations, now) };
        let decide = decision(operations, self.rules, now, Arc::clone(&decided));
        self.store.transact(touched, decide).await?;
        let (outcomes, wrote) =
            std::mem::take(&mut *decided.lock().unwrap_or_else(PoisonError::into_inner));
        if wrote {
            self.committed.send_modify(|commits| *commits = commits.wrapping_add(1));
        }
        metrics::histogram!("inspay_ledger_batch_seconds").record(started.elapsed());
        metrics::counter!("inspay_ledger_operations_total")
            .increment(u64::try_from(count).unwrap_or(u64::MAX));
        Ok(outcomes)
    }
}

fn decision(
    operations: Vec<Operation>,
    rules: SettlementRules,
    now: Timestamp,
    decided: Arc<Mutex<(Vec<Outcome>, bool)>>,
) -> Arc<dyn Fn(&mut LedgerState) -> BatchRows + Send + Sync> {
    Arc::new(move |state: &mut LedgerState| {
        let (outcomes, rows) = apply(state, &operations, &rules, now);
        *decided.lock().unwrap_or_else(PoisonError::into_inner) = (outcomes, !rows.is_empty());
        rows
    })
}

fn send(answer: oneshot::Sender<Answer>, outcomes: Answer) {
    // A caller that went away has lost nothing: the outcome is stored under its operation's key.
    if answer.send(outcomes).is_err() {
        tracing::debug!("the asker of a ledger write went away before the answer");
    }
}
