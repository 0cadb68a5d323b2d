//! Reading history when a person asks for it: again what lies below the tip, for the first time what lies
//! between the tip and finality.

use std::ops::RangeInclusive;

use crate::{
    error::FollowError,
    follow::{Fact, Follow, Idle, Next},
    follower::{Follower, Stepped},
};

/// How far a backfill has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackfillProgress {
    /// First block of the whole.
    pub from: u64,
    /// Last block of the whole.
    pub to: u64,
    /// Everything up to here is read.
    pub at: u64,
    /// Transfers read so far.
    pub transfers: u64,
}

/// What a backfill came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackfillReport {
    /// The blocks that were read; `None` if there were none to read.
    pub blocks: Option<RangeInclusive<u64>>,
    /// Transfers read, those that were recorded before included.
    pub transfers: u64,
    /// How the books stand against the chain afterwards.
    pub audit: Stepped,
}

impl Follower {
    /// Reads finalized blocks from `from` to `to`, records every transfer that was missing, and compares the
    /// books with the chain. `to` is cut at finality.
    ///
    /// Blocks below the tip are read again without moving the cursor; beyond it the cursor follows, and a
    /// gap between the tip and `from` is read too: the cursor never passes a block that was not read.
    pub async fn backfill(
        &mut self,
        from: u64,
        to: u64,
        progress: &mut (dyn FnMut(BackfillProgress) + Send),
    ) -> Result<BackfillReport, FollowError> {
        self.load().await?;
        let head = self.chain.head().await?;
        self.tags.refresh_soon();
        self.ask_tags_if_due();
        self.take_tags(true).await?;
        let to = to.min(self.follow.finalized_below(head.block.number));
        if self.follow.next() == Next::Head {
            self.follow.learn(Fact::Head(head))?;
        }
        let from = from.max(self.follow.start_number());
        let mut report =
            BackfillReport { blocks: None, transfers: 0, audit: Stepped::Idle(Idle::AtHead) };
        if from > to {
            return Ok(report);
        }
        report.blocks = Some(from..=to);
        let mut told = |at: u64, transfers: u64| {
            progress(BackfillProgress { from, to, at, transfers });
        };
        told(from.saturating_sub(1), 0);
        if let Some(tip) = self.tip_number().filter(|tip| from <= *tip) {
            let filter = self.filter.clone();
            let mut transfers = 0u64;
            self.record_again(from, to.min(tip), filter, &mut |at, read| {
                transfers = transfers.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
                told(at, transfers);
            })
            .await?;
            report.transfers = transfers;
        }
        while self.tip_number().is_none_or(|tip| tip < to) {
            let stepped = self.step().await?;
            match stepped {
                Stepped::RangeApplied { tip, transfers }
                | Stepped::Applied { tip, transfers, .. } => {
                    let read = u64::try_from(transfers).unwrap_or(u64::MAX);
                    report.transfers = report.transfers.saturating_add(read);
                    told(tip.number.min(to), report.transfers);
                }
                Stepped::Audited { .. } => {}
                Stepped::Idle(_) | Stepped::AuditFailed(_) | Stepped::Halted(_) => {
                    report.audit = stepped;
                    return Ok(report);
                }
            }
        }
        if self.is_catching_up() {
            // It stopped in the middle of a longer span: the rest is for the follower.
            return Ok(report);
        }
        report.audit = self.audit().await?;
        Ok(report)
    }

    fn tip_number(&self) -> Option<u64> {
        self.follow.cursor().map(|cursor| cursor.tip.number)
    }
}

impl Follow {
    /// The first followed block.
    #[must_use]
    pub fn start_number(&self) -> u64 {
        self.cursor().map_or(self.rules().start_number, |cursor| cursor.start_number)
    }
}
