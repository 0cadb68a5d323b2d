//! Halts in the fake store.

use async_trait::async_trait;
use inspay_primitives::{AssetId, ChainId};

use super::{FakeStore, rows::State};
use crate::{AssetHalt, HaltStore, HaltsCommit, StoreError};

#[async_trait]
impl HaltStore for FakeStore {
    async fn halts(&self, chain: ChainId) -> Result<Vec<AssetHalt>, StoreError> {
        self.read("read halts", |state| {
            let halts = state.halts.values().filter(|halt| halt.asset.chain_id == chain);
            Ok(halts.cloned().collect())
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
