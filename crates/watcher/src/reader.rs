//! Reading a span in ranges: several requests at once, answers handed over in order.
//!
//! Never holds more than the planner allows, and never hands over a span with a hole.

use std::{collections::BTreeMap, sync::Arc};

use inspay_ports::{Chain, ChainError, ChainErrorKind, RangeAnswer, WatchFilter};
use inspay_primitives::Transfer;
use tokio::task::JoinSet;

use crate::{
    meters,
    ranges::{RangePlanner, RangeRequest, Refused},
    second_pass::read_twice,
    settings::RangeSettings,
};

/// Blocks read one after another, with all that they hold.
#[derive(Debug)]
pub(crate) struct Span {
    pub(crate) to: u64,
    pub(crate) transfers: Vec<Transfer>,
}

#[derive(Debug)]
struct Reading {
    request: RangeRequest,
    is_by_receipts: bool,
    answer: Result<RangeAnswer, ChainError>,
}

/// Reads one span. Dropping it ends what is under way.
#[derive(Debug)]
pub(crate) struct RangeReader {
    chain: Arc<dyn Chain>,
    filter: Arc<WatchFilter>,
    planner: RangePlanner,
    reading: JoinSet<Reading>,
    answers: BTreeMap<u64, RangeAnswer>,
    by_receipts: Vec<u64>,
    next: u64,
    to: u64,
    transfers_max: usize,
}

impl RangeReader {
    pub(crate) fn new(
        chain: Arc<dyn Chain>,
        filter: WatchFilter,
        from: u64,
        to: u64,
        settings: RangeSettings,
    ) -> Self {
        Self {
            chain,
            filter: Arc::new(filter),
            planner: RangePlanner::new(from, to, settings),
            reading: JoinSet::new(),
            answers: BTreeMap::new(),
            by_receipts: Vec::new(),
            next: from,
            to,
            // Half of what may be held: the other half is read meanwhile.
            transfers_max: usize::try_from(settings.transfers_in_flight / 2).unwrap_or(usize::MAX),
        }
    }

    /// The last block of the whole span.
    pub(crate) const fn to(&self) -> u64 {
        self.to
    }

    /// The next blocks in order; `None` once all were handed over. After an error that is transient it may be called
    /// again and goes on.
    pub(crate) async fn next_span(&mut self) -> Result<Option<Span>, ChainError> {
        loop {
            if self.next > self.to {
                return Ok(None);
            }
            while let Some(done) = self.reading.try_join_next() {
                self.take_in(done)?;
            }
            self.ask();
            if let Some(span) = self.ready() {
                self.ask();
                return Ok(Some(span));
            }
            match self.reading.join_next().await {
                Some(done) => self.take_in(done)?,
                None => {
                    return Err(
                        self.wrong("plan a range", "no range is left to ask for".to_owned())
                    );
                }
            }
        }
    }

    fn ask(&mut self) {
        for number in std::mem::take(&mut self.by_receipts) {
            let (chain, filter) = (Arc::clone(&self.chain), Arc::clone(&self.filter));
            self.reading.spawn(async move {
                let answer = read_by_receipts(&*chain, number, &filter).await;
                let request = RangeRequest { from: number, to: number };
                Reading { request, is_by_receipts: true, answer }
            });
        }
        while let Some(request) = self.planner.next_request() {
            let (chain, filter) = (Arc::clone(&self.chain), Arc::clone(&self.filter));
            self.reading.spawn(async move {
                let answer = read_twice(&*chain, request, &filter).await;
                Reading { request, is_by_receipts: false, answer }
            });
        }
    }

    fn take_in(&mut self, done: Result<Reading, tokio::task::JoinError>) -> Result<(), ChainError> {
        let Reading { request, is_by_receipts, answer } = match done {
            Ok(done) => done,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(error) => return Err(self.wrong("read a range", error.to_string())),
        };
        meters::range_answered(self.chain.chain_id());
        let error = match answer.and_then(|answer| self.check(request, answer)) {
            Ok(answer) => {
                self.planner.answered(request, answer.transfers.len());
                self.answers.insert(request.from, answer);
                return Ok(());
            }
            Err(error) => error,
        };
        match &error.kind {
            _ if is_by_receipts => {
                self.by_receipts.push(request.from);
                Err(error)
            }
            ChainErrorKind::RangeTooLarge { message, named } => {
                tracing::debug!(
                    chain.id = self.chain.chain_id().0,
                    range.from = request.from,
                    range.to = request.to,
                    message,
                    "the range is split"
                );
                match self.planner.refused(request, *named) {
                    Refused::Split => {}
                    Refused::ByReceipts(number) => self.by_receipts.push(number),
                }
                Ok(())
            }
            ChainErrorKind::Unreachable(_)
            | ChainErrorKind::RateLimited(_)
            | ChainErrorKind::NotYet(_)
            | ChainErrorKind::Contradiction(_)
            | ChainErrorKind::Reverted(_)
            | ChainErrorKind::Refused(_) => {
                self.planner.failed(request);
                Err(error)
            }
        }
    }

    /// Refuses an answer to another question, or one with transfers from outside of it or out of order.
    fn check(&self, request: RangeRequest, answer: RangeAnswer) -> Result<RangeAnswer, ChainError> {
        let is_inside = |transfer: &Transfer| {
            (request.from..=request.to).contains(&transfer.block.number)
                && transfer.key.chain_id == self.filter.chain_id
        };
        let is_ordered = answer
            .transfers
            .is_sorted_by_key(|transfer| (transfer.block.number, transfer.log_index));
        let is_same = (answer.from, answer.to) == (request.from, request.to);
        if is_same && is_ordered && answer.transfers.iter().all(is_inside) {
            Ok(answer)
        } else {
            let range = format!("blocks {} to {}", request.from, request.to);
            Err(self.wrong("read a range", format!("{range}: the answer is not of that range")))
        }
    }

    fn wrong(&self, act: &'static str, message: String) -> ChainError {
        let chain_id = self.chain.chain_id();
        ChainError { chain_id, act, kind: ChainErrorKind::Contradiction(message) }
    }

    /// All answers that follow on what was handed over, up to a commit's worth.
    fn ready(&mut self) -> Option<Span> {
        let mut transfers: Vec<Transfer> = Vec::new();
        let mut taken = 0usize;
        while let Some(entry) = self.answers.first_entry() {
            let joins = *entry.key() == self.next;
            let fits =
                transfers.len().saturating_add(entry.get().transfers.len()) <= self.transfers_max;
            if !joins || (taken > 0 && !fits) {
                break;
            }
            let answer = entry.remove();
            self.next = answer.to.saturating_add(1);
            taken = taken.saturating_add(1);
            if transfers.is_empty() {
                transfers = answer.transfers;
            } else {
                transfers.extend(answer.transfers);
            }
        }
        self.planner.taken(taken, transfers.len());
        (taken > 0).then(|| Span { to: self.next.saturating_sub(1), transfers })
    }
}

async fn read_by_receipts(
    chain: &dyn Chain,
    number: u64,
    filter: &WatchFilter,
) -> Result<RangeAnswer, ChainError> {
    let header = chain.header_at(number).await?;
    let proven = chain.proven_block(&header, filter).await?;
    let transfers = proven.transfers;
    Ok(RangeAnswer { from: number, to: number, transfers, told_by: None })
}
