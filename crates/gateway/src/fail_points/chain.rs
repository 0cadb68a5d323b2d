//! Fail points around what is asked of a chain.

use std::sync::Arc;

use async_trait::async_trait;
use inspay_ports::{
    Agreement, Chain, ChainError, FeeHistory, Header, ProvenBlock, RangeAnswer, TaggedBlocks,
    TokenFacts, TransferProbe, WatchFilter,
};
use inspay_primitives::{Address, AssetId, B256, ChainId, Reference, Transfer, U256};
use tokio::sync::watch;

use super::{FailPoint, Place};

/// A chain with a point before and after each question.
#[derive(Debug)]
pub(crate) struct FailingChain {
    pub(crate) inner: Arc<dyn Chain>,
    pub(crate) point: Arc<FailPoint>,
}

macro_rules! questions {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)*) => {
        pub(super) const CALLS: &[&str] = &[$(stringify!($name)),*];

        #[async_trait]
        impl Chain for FailingChain {
            fn chain_id(&self) -> ChainId {
                self.inner.chain_id()
            }

            fn wake(&self) -> Option<watch::Receiver<u64>> {
                self.inner.wake()
            }

            $(
                async fn $name(&self, $($argument: $kind),*) -> Result<$answer, ChainError> {
                    self.point.pass(stringify!($name), Place::Before);
                    let answer = self.inner.$name($($argument),*).await;
                    self.point.pass(stringify!($name), Place::After);
                    answer
                }
            )*
        }
    };
}

questions! {
    remote_chain_id() -> ChainId;
    head() -> Header;
    tags() -> TaggedBlocks;
    header_at(number: u64) -> Header;
    headers(from: u64, to: u64) -> Vec<Header>;
    header_by_hash(hash: B256) -> Header;
    proven_block(header: &Header, filter: &WatchFilter) -> ProvenBlock;
    range(from: u64, to: u64, filter: &WatchFilter) -> RangeAnswer;
    second_range(from: u64, to: u64, filter: &WatchFilter) -> Option<RangeAnswer>;
    reread_block(number: u64, filter: &WatchFilter) -> ProvenBlock;
    agreed(transfers: &[Transfer]) -> Vec<Agreement>;
    references(transfers: &[Transfer]) -> Vec<Option<Reference>>;
    token_facts(token: Address) -> TokenFacts;
    balance_of(asset: AssetId, holder: Address, block: B256) -> U256;
    accepts_signature(wallet: Address, digest: B256, signature: &[u8]) -> bool;
    fee_history() -> FeeHistory;
    estimate_gas(probe: &TransferProbe) -> u64;
}
