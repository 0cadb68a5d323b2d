//! Halts in the fake store.

use async_trait::async_trait;
use inspay_ledger::TransferRecord;
use inspay_primitives::{AssetId, ChainId};

use super::{FakeStore, books::of_chain, first, rows::State};
use crate::{AssetHalt, HaltStore, HaltsCommit, StoreError};

#[async_trait]
impl HaltStore for FakeStore {
    async fn halts(&self, chain: ChainId) -> Result<Vec<AssetHalt>, StoreError> {
        self.read("read halts", |state| {
            let halts = state.halts.values().filter(|halt| halt.asset.chain_id == chain);
            Ok(halts.cloned().collect())
        })
    }

    async fn halted_transfers(
        &self,
        chain: ChainId,
        limit: u32,
    ) -> Result<Vec<TransferRecord>, StoreError> {
        self.read("read halted transfers", |state| {
            let waiting = of_chain(&state.to_settle, chain, u64::MAX);
            let records = waiting.filter_map(|id| state.record(id));
            let halted = |record: &TransferRecord| state.is_halted(record.transfer.key.asset());
            Ok(first(records.filter(halted), limit))
        })
    }

    async fn commit_halts(&self, commit: HaltsCommit) -> Result<(), StoreError> {
        self.write("commit halts", |state| {
            state.check_holding(commit.fence.chain_id, commit.fence.number)?;
            for key in &commit.lifted {
                state.halts.remove(key);
            }
            for halt in commit.halted {
                let key = (halt.asset, halt.treasury);
                let halted_at =
                    state.halts.get(&key).map_or(halt.halted_at, |known| known.halted_at);
                state.halts.insert(key, AssetHalt { halted_at, ..halt });
            }
            for closing in &commit.resolved {
                state.resolve_case(closing);
            }
            for opening in &commit.opened {
                state.open_case(opening);
            }
            Ok(())
        })
    }
}

impl State {
    /// Whether nothing of the asset is credited.
    pub(super) fn is_halted(&self, asset: AssetId) -> bool {
        self.halts.keys().any(|(halted, _)| *halted == asset)
    }
}
