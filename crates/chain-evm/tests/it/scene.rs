//! A block to lie about, and the lies' tools.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use inspay_chain_evm::{EvmChain, EvmChainSettings};
use inspay_devchain::Devchain;
use inspay_ports::{Chain, ChainErrorKind, ProvenBlock, RangeAnswer};
use inspay_primitives::{BlockRef, Reference};
use serde_json::Value;

use crate::{
    filter, proven, reader, settings, started,
    stub::{Outcome, Stub},
    usdt,
};

pub(crate) const RECEIPTS: &str = "eth_getBlockReceipts";
pub(crate) const FULL_BLOCK: &str = "eth_getBlockByHash";
pub(crate) const LOGS: &str = "eth_getLogs";
pub(crate) const BLOCK: &str = "eth_getBlockByNumber";

/// A chain whose newest block holds two payments with references, and one to somebody else between them.
pub(crate) struct Scene {
    pub(crate) chain: Devchain,
    pub(crate) block: BlockRef,
    pub(crate) truth: ProvenBlock,
}

impl Scene {
    pub(crate) async fn set() -> Self {
        let chain = started().await;
        let at = chain.deployment().clone();
        chain.set_automine(false).await.unwrap();
        for (buyer, to) in [(0, at.treasury), (1, at.stranger), (2, at.treasury)] {
            let reference = Some(Reference::generate());
            chain.transfer(at.usdt, chain.buyer(buyer), to, usdt(5), reference).await.unwrap();
        }
        let block = chain.mine(1).await.unwrap();
        let truth = proven(&reader(&chain), block, &filter(&at)).await;
        assert_eq!(truth.transfers.len(), 2);
        Self { chain, block, truth }
    }

    /// Settings with the stub as the only endpoint.
    pub(crate) fn through(&self, stub: &Stub) -> EvmChainSettings {
        let mut settings = settings(self.chain.deployment());
        settings.http = vec![stub.url()];
        settings
    }

    pub(crate) async fn stub(
        &self,
        script: impl Fn(&str, Value) -> Outcome + Send + Sync + 'static,
    ) -> Stub {
        Stub::start(&self.chain.deployment().http_url, script).await
    }

    /// What the block is read as through a node that changes the results of `method`.
    pub(crate) async fn block_with(
        &self,
        method: &'static str,
        change: impl Fn(&mut Value) + Send + Sync + 'static,
    ) -> Result<ProvenBlock, ChainErrorKind> {
        let stub = self.stub(changing(method, change)).await;
        let reader = EvmChain::new(self.through(&stub)).unwrap();
        let filter = filter(self.chain.deployment());
        let lied = reader.proven_block(&self.truth.header, &filter).await;
        // With an honest endpoint behind it, the lie costs nothing but a call.
        let mut both = self.through(&stub);
        both.http.push(self.chain.deployment().http_url.parse().unwrap());
        let both = EvmChain::new(both).unwrap();
        assert_eq!(both.proven_block(&self.truth.header, &filter).await.unwrap(), self.truth);
        lied.map_err(|error| error.kind)
    }

    /// What the whole chain's range is read as through a node that changes its logs.
    pub(crate) async fn range_with(
        &self,
        change: impl Fn(&mut Value) + Send + Sync + 'static,
    ) -> Result<RangeAnswer, ChainErrorKind> {
        let stub = self.stub(changing(LOGS, change)).await;
        let reader = EvmChain::new(self.through(&stub)).unwrap();
        let filter = filter(self.chain.deployment());
        reader.range(0, self.block.number, &filter).await.map_err(|error| error.kind)
    }
}

pub(crate) fn changing(
    method: &'static str,
    change: impl Fn(&mut Value) + Send + Sync + 'static,
) -> impl Fn(&str, Value) -> Outcome + Send + Sync + 'static {
    move |asked, mut result| {
        if asked == method {
            change(&mut result);
        }
        Outcome::Result(result)
    }
}

/// Fails the way `fault` says for the first `times` answers to `method`.
pub(crate) fn failing(
    method: &'static str,
    times: usize,
    fault: fn() -> Outcome,
) -> impl Fn(&str, Value) -> Outcome + Send + Sync + 'static {
    let failed = Arc::new(AtomicUsize::new(0));
    move |asked, result| {
        if asked == method && failed.fetch_add(1, Ordering::SeqCst) < times {
            return fault();
        }
        Outcome::Result(result)
    }
}

pub(crate) const ALWAYS: usize = usize::MAX;

pub(crate) fn contradicts<T>(outcome: &Result<T, ChainErrorKind>) -> bool {
    matches!(outcome, Err(ChainErrorKind::Contradiction(_)))
}

pub(crate) fn set(place: &mut Value, value: Value) {
    *place = value;
}

pub(crate) const OTHER_WORD: &str =
    "0x1111111111111111111111111111111111111111111111111111111111111111";
