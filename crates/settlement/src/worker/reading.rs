//! What a step reads before it plans: transfers deep enough and agreed on, their blocks, their references.
//!
//! Never writes.

use std::collections::HashMap;

use inspay_ledger::TransferRecord;
use inspay_ports::{CursorRecord, StoreError};
use inspay_primitives::{B256, ChainView, Direction, Reference, Standing, Timestamp};

use super::{SettleError, SettlementWorker};

impl SettlementWorker {
    /// The oldest unsettled transfers that are deep enough, and agreed on where they must be, out of what was found
    /// waiting if that is given. Where a whole read brings none, because ones that wait for finality stand in front, a
    /// larger one is made, up to all there are.
    pub(super) async fn confirmed(
        &self,
        cursor: &CursorRecord,
        after: Option<(u64, u32)>,
        mut waiting: Option<Vec<TransferRecord>>,
    ) -> Result<Vec<TransferRecord>, SettleError> {
        let chain_id = self.work.chain.chain_id();
        let view = ChainView {
            head: cursor.tip,
            safe_number: cursor.tags.safe_number,
            finalized_number: cursor.tags.finalized_number,
            audited_to: cursor.audited_to,
        };
        let least_depth = self
            .policy
            .assets
            .values()
            .map(|rules| rules.confirmations.least_depth())
            .min()
            .unwrap_or(1);
        let deepest = u64::from(least_depth.saturating_sub(1));
        let Some(up_to) =
            cursor.tip.number.checked_sub(deepest).map(|top| top.min(cursor.audited_to))
        else {
            return Ok(Vec::new());
        };
        let mut limit = self.settings.batch_transfers;
        loop {
            let records = match waiting.take() {
                Some(waiting) => waiting,
                None => self.store.transfers_to_settle(chain_id, after, up_to, limit).await?,
            };
            let is_all = u32::try_from(records.len()).unwrap_or(u32::MAX) < limit;
            if is_all && after.is_none() {
                self.backing.keep_only(&records);
            }
            let confirmed: Vec<TransferRecord> = records
                .into_iter()
                .filter(|record| {
                    let canonical = record.canonical.then_some(record.transfer.block.hash);
                    matches!(
                        self.policy.judge(record, canonical, &view),
                        Some(Standing::Confirmed { .. })
                    )
                })
                .collect();
            let backed = self.backing.backed(&*self.work.chain, &*self.clock, confirmed).await;
            if is_all || !backed.is_empty() {
                return Ok(backed);
            }
            limit = limit.saturating_mul(4);
        }
    }

    pub(super) async fn canonical(
        &self,
        records: &[TransferRecord],
    ) -> Result<HashMap<u64, Option<B256>>, StoreError> {
        let mut numbers: Vec<u64> =
            records.iter().map(|record| record.transfer.block.number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let hashes =
            self.store.canonical_hashes(self.work.chain.chain_id(), numbers.clone()).await?;
        Ok(numbers.into_iter().zip(hashes).collect())
    }

    /// The reference of each record: as recorded, or read now where an order can exist that it names.
    pub(super) async fn references(
        &self,
        records: &[TransferRecord],
    ) -> Result<Vec<Option<Reference>>, SettleError> {
        let is_unread = |record: &TransferRecord| {
            record.transfer.reference.is_none()
                && record.transfer.key.direction == Direction::In
                && !record.transfer.base_units.is_zero()
        };
        let newest: Option<Timestamp> = records
            .iter()
            .filter(|record| is_unread(record))
            .map(|record| record.transfer.block.time)
            .max();
        let mut references: Vec<Option<Reference>> =
            records.iter().map(|record| record.transfer.reference.flatten()).collect();
        let Some(newest) = newest else { return Ok(references) };
        let latest_making = newest.plus_seconds(i64::from(self.policy.clock_skew_seconds));
        if !self.store.has_orders_before(self.work.chain.chain_id(), latest_making).await? {
            return Ok(references);
        }
        let (places, unread): (Vec<usize>, Vec<_>) = records
            .iter()
            .enumerate()
            .filter(|(_, record)| is_unread(record))
            .map(|(place, record)| (place, record.transfer))
            .unzip();
        let read = self.work.chain.references(&unread).await?;
        for (place, reference) in places.into_iter().zip(read) {
            if let Some(slot) = references.get_mut(place) {
                *slot = reference;
            }
        }
        Ok(references)
    }
}
