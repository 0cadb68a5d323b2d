//! What a step does beside settling: judging anew, closing orders, freeing amounts, what runs out.
//!
//! Never settles a transfer.

use std::sync::{MutexGuard, PoisonError};

use inspay_ledger::{Act, FreePlanDue, Operation, Outcome, Refusal, Renewal};
use inspay_ports::{AttributionProbe, DuePlace};

use super::{SettleError, SettlementWorker, StepReport, Work, applied, count, is_refused};
use crate::{attribution::OrderIndex, rejudge::is_judged_otherwise};

/// Cycles of one subscription that are granted in one step, after a long sleep.
const CYCLES_MAX: u32 = 100;

impl SettlementWorker {
    /// Takes back the suspense of transfers that something new was shown for; the next step settles them like any other.
    pub(super) async fn reopen(
        &self,
        work: &Work,
        report: &mut StepReport,
    ) -> Result<(), SettleError> {
        let chain_id = self.work.chain.chain_id();
        let records = self.store.transfers_to_rejudge(chain_id, self.settings.batch_upkeep).await?;
        if records.is_empty() {
            return Ok(());
        }
        let probes = records
            .iter()
            .map(|record| {
                AttributionProbe::of(&record.transfer, record.transfer.reference.flatten())
            })
            .collect();
        let orders = OrderIndex::new(self.store.orders_for(probes).await?);
        let (anew, mut looked_at): (Vec<_>, Vec<_>) = records.iter().partition(|record| {
            is_judged_otherwise(record, &orders, self.policy.clock_skew_seconds)
        });
        let operations = anew
            .iter()
            .map(|record| {
                let transfer = record.transfer.key.id();
                Operation::from(Act::Reopen { transfer, generation: record.generation })
            })
            .collect();
        let outcomes = self.outcomes(work.fence, operations, report).await?;
        report.reopened = applied(&outcomes);
        metrics::counter!("inspay_transfers_reopened_total").increment(count(report.reopened));
        // What was refused, for a halt or since it moved, is looked at again.
        let done = anew.into_iter().zip(&outcomes);
        looked_at
            .extend(done.filter(|(_, outcome)| !is_refused(outcome)).map(|(record, _)| record));
        let looked_at = looked_at.iter().map(|record| record.transfer.key.id()).collect();
        self.store.rejudged(looked_at).await?;
        Ok(())
    }

    pub(super) async fn close_orders(
        &self,
        work: &Work,
        report: &mut StepReport,
    ) -> Result<(), SettleError> {
        let chain_id = self.work.chain.chain_id();
        // A transfer that came in time but is not deep enough yet keeps its order open.
        let unsettled = self.store.oldest_unsettled_time(chain_id).await?;
        let tip_time = work.cursor.tip.time;
        let chain_time = unsettled.map_or(tip_time, |time| time.min(tip_time));
        let due =
            self.store.orders_to_close(chain_id, chain_time, self.settings.batch_upkeep).await?;
        let judged_in = Some(work.cursor.epoch);
        let operations = due
            .into_iter()
            .map(|order| Operation::from(Act::CloseOrder { order, chain_time, judged_in }))
            .collect();
        report.closed = self.write(work.fence, operations, report).await?;
        Ok(())
    }

    pub(super) async fn keep_house(
        &self,
        work: &Work,
        report: &mut StepReport,
    ) -> Result<(), SettleError> {
        let cursor = &work.cursor;
        let quarantined_before = cursor
            .tip
            .time
            .plus_seconds(i64::from(self.settings.quarantine_seconds).saturating_neg());
        // An order whose payment is still to be taken back looks paid: its amount may be needed once more.
        let to_reverse = self.store.transfers_to_reverse(self.work.chain.chain_id(), 1).await?;
        if to_reverse.is_empty() {
            report.freed = self
                .store
                .free_slots(
                    self.work.chain.chain_id(),
                    cursor.tags.finalized_number,
                    quarantined_before,
                    self.settings.batch_upkeep,
                )
                .await?;
        }
        let lapsed =
            self.store.lots_to_expire(self.clock.now(), self.settings.batch_upkeep).await?;
        let operations =
            lapsed.into_iter().map(|lot| Operation::from(Act::ExpireLot { lot })).collect();
        report.expired = self.write(work.fence, operations, report).await?;
        self.keep_credits(work, report).await
    }

    /// Gives back holds that ran out, and tells whose credits will lapse soon. Neither changes what anybody can spend:
    /// time alone decides that.
    pub(super) async fn keep_credits(
        &self,
        work: &Work,
        report: &mut StepReport,
    ) -> Result<(), SettleError> {
        let now = self.clock.now();
        let warn_until = now.plus_seconds(i64::from(self.settings.warn_seconds));
        let due = self.store.credits_due(now, warn_until, self.settings.batch_upkeep).await?;
        let holds = due.holds.into_iter().map(|hold| Operation::from(Act::LapseHold { hold }));
        let warnings = due.warnings.into_iter().map(|lot| Operation::from(Act::WarnLot { lot }));
        report.lapsed = self.write(work.fence, holds.chain(warnings).collect(), report).await?;
        report.granted = self.grant_free_plans(work, report).await?;
        self.renew(work, report).await
    }

    /// Grants the free plans that proven wallets brought and whoever proved them did not see granted: a crash between the
    /// proof and the books loses none, and the books take one for each wallet.
    async fn grant_free_plans(
        &self,
        work: &Work,
        report: &mut StepReport,
    ) -> Result<usize, SettleError> {
        let due = self.store.free_plans_due(self.settings.batch_upkeep).await?;
        if due.is_empty() {
            return Ok(0);
        }
        let operations = due.iter().map(FreePlanDue::operation).collect();
        let outcomes = self.outcomes(work.fence, operations, report).await?;
        for (due, outcome) in due.iter().zip(&outcomes) {
            if let Some(refusal) = FreePlanDue::refused(outcome) {
                tracing::warn!(%refusal, wallet = %due.wallet, "a proven wallet's free plan was refused");
            }
        }
        self.store.note_free_plans(due.iter().map(|due| due.wallet).collect()).await?;
        Ok(applied(&outcomes))
    }

    /// Grants the cycles of subscriptions that have begun. A crash between the books and the note repeats the same
    /// grants, and the books take each of them once.
    async fn renew(&self, work: &Work, report: &mut StepReport) -> Result<(), SettleError> {
        let now = self.clock.now();
        let limit = self.settings.batch_upkeep;
        let after = *self.passed();
        let due = self.store.subscriptions_due(now, after, limit).await?;
        let mut renewals: Vec<Renewal> =
            due.iter().filter_map(|it| it.due(now, CYCLES_MAX)).collect();
        let operations: Vec<Operation> = renewals.iter().flat_map(Renewal::operations).collect();
        let mut outcomes = self.outcomes(work.fence, operations, report).await?.into_iter();
        renewals.retain(|renewal| {
            let own: Vec<Outcome> = outcomes.by_ref().take(renewal.grants.len()).collect();
            report.granted = report.granted.saturating_add(applied(&own));
            // A conflict is a grant of that name by another hand: the cycle has its credits.
            let is_wanting = |outcome: &Outcome| {
                is_refused(outcome) && *outcome != Outcome::Refused(Refusal::Conflict)
            };
            !own.iter().any(is_wanting)
        });
        // Those that are refused stay due: the next step looks behind them, so that they keep nobody waiting, and begins
        // anew after the last.
        let some_stay = after.is_some() || renewals.len() < due.len();
        let is_last = due.len() < usize::try_from(limit).unwrap_or(usize::MAX);
        let last = due.last().filter(|_| some_stay && !is_last);
        self.store.note_renewed(renewals).await?;
        *self.passed() = last.and_then(DuePlace::of);
        Ok(())
    }

    fn passed(&self) -> MutexGuard<'_, Option<DuePlace>> {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
