//! Catching up: a finalized span read in ranges, committed in order.
//!
//! The span is anchored: its last header is read before the first range and again after the last one,
//! and the last commit is made only if they are the same block.

use std::sync::Arc;

use inspay_ports::Header;
use inspay_primitives::BlockRef;

use crate::{
    error::FollowError,
    follower::{Follower, Stepped},
    meters,
    reader::{RangeReader, Span},
};

/// Spans without a transfer that are read before the cursor is moved past them.
const EMPTY_SPANS_MAX: u32 = 16;

/// A span that is being read.
#[derive(Debug)]
pub(crate) struct CatchUp {
    reader: RangeReader,
    anchor: BlockRef,
    empty_spans: u32,
}

impl Follower {
    pub(crate) async fn begin_catch_up(&mut self, from: u64, to: u64) -> Result<(), FollowError> {
        let anchor = self.chain.header_at(to).await?;
        check_number(to, &anchor)?;
        if let Some(asked) = self.follow.told_final(to).filter(|hash| *hash != anchor.block.hash) {
            let got = anchor.block.hash;
            return Err(crate::follow::Disagreement::WrongHash { asked, got }.into());
        }
        tracing::info!(
            chain.id = self.settings.chain_id.0,
            range.from = from,
            range.to = to,
            "catching up"
        );
        let reader = RangeReader::new(
            Arc::clone(&self.chain),
            self.filter.clone(),
            from,
            to,
            self.settings.ranges,
        );
        self.catch_up = Some(CatchUp { reader, anchor: anchor.block, empty_spans: 0 });
        Ok(())
    }

    /// Reads on until there is something to commit, and commits it.
    pub(crate) async fn catch_up_step(&mut self) -> Result<Stepped, FollowError> {
        loop {
            let Some(catch_up) = &mut self.catch_up else {
                return Ok(Stepped::Idle(crate::follow::Idle::AtHead));
            };
            // Here an error leaves the reader as it is: it goes on with what is missing.
            let Some(span) = catch_up.reader.next_span().await? else {
                self.catch_up = None;
                self.follow.look();
                return Ok(Stepped::Idle(crate::follow::Idle::AtHead));
            };
            catch_up.empty_spans =
                if span.transfers.is_empty() { catch_up.empty_spans.saturating_add(1) } else { 0 };
            let is_last = span.to == catch_up.reader.to();
            let is_long_empty = catch_up.empty_spans >= EMPTY_SPANS_MAX;
            if !is_last && !is_long_empty && span.transfers.is_empty() {
                continue;
            }
            let applied = self.apply_span(span, is_last).await;
            if applied.is_err() || is_last {
                // What was read and not committed is gone: the next step plans anew from the cursor.
                self.catch_up = None;
                if applied.is_err() {
                    self.follow.look();
                }
            }
            return applied;
        }
    }

    async fn apply_span(&mut self, span: Span, is_last: bool) -> Result<Stepped, FollowError> {
        let tip = self.span_end(&span, is_last).await?;
        let transfers = span.transfers.len();
        let commit = self.follow.range_commit(tip, span.transfers);
        let cursor = commit.cursor;
        self.store.commit_range(commit).await?;
        self.follow.range_committed(cursor);
        if let Some(catch_up) = &mut self.catch_up {
            catch_up.empty_spans = 0;
        }
        if is_last {
            self.auditor.plan_at_once();
            tracing::info!(
                chain.id = self.settings.chain_id.0,
                block.number = tip.number,
                "caught up with finality"
            );
        }
        meters::range_committed(self.settings.chain_id, transfers);
        self.tick();
        Ok(Stepped::RangeApplied { tip, transfers })
    }

    /// The block that the cursor is moved to: the anchor, if it still stands; else the block of the last
    /// transfer, which needs no request; else the end of a long stretch without one.
    async fn span_end(&self, span: &Span, is_last: bool) -> Result<BlockRef, FollowError> {
        let anchor = self.catch_up.as_ref().map(|catch_up| catch_up.anchor);
        if let (true, Some(anchor)) = (is_last, anchor) {
            let again = self.chain.header_at(anchor.number).await?;
            check_number(anchor.number, &again)?;
            if again.block.hash != anchor.hash {
                return Err(FollowError::AnchorMoved {
                    number: anchor.number,
                    before: anchor.hash,
                    after: again.block.hash,
                });
            }
            return Ok(anchor);
        }
        if let Some(last) = span.transfers.last() {
            return Ok(last.block);
        }
        let header = self.chain.header_at(span.to).await?;
        check_number(span.to, &header)?;
        Ok(header.block)
    }

    /// Whether a span is being read.
    pub(crate) const fn is_catching_up(&self) -> bool {
        self.catch_up.is_some()
    }
}

pub(crate) fn check_number(asked: u64, header: &Header) -> Result<(), FollowError> {
    let got = header.block.number;
    if got == asked {
        Ok(())
    } else {
        Err(crate::follow::Disagreement::WrongNumber { asked, got }.into())
    }
}
