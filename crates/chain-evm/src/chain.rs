//! The adapter: one chain behind its port.
//!
//! Never keeps what it has read: the only state is how the endpoints are doing.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use inspay_ports::{
    Agreement, Chain, ChainError, ChainErrorKind, FeeHistory, Header, ProvenBlock, RangeAnswer,
    TaggedBlocks, TokenFacts, TransferProbe, WatchFilter,
};
use inspay_primitives::{Address, AssetId, B256, ChainId, Reference, Transfer, U256};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    agreement, balance, block,
    endpoint::EndpointView,
    pool::Pool,
    range, reads,
    settings::{EvmChainSettings, ReceiptsProof},
    signature,
    transport::{HttpTransport, Transport},
    wake::Wake,
};

/// An EVM chain behind its endpoints. Dropping it closes its WebSocket.
#[derive(Debug)]
pub struct EvmChain {
    settings: EvmChainSettings,
    pool: Pool,
    wake: Option<Arc<Wake>>,
    calls: Arc<AtomicU64>,
    _stop: DropGuard,
}

impl EvmChain {
    /// Makes the adapter; nothing is asked yet. With a WebSocket it begins to follow new heads, for
    /// which it must be called within a Tokio runtime.
    ///
    /// # Errors
    ///
    /// When the settings name no endpoint, or there is no runtime to follow new heads on.
    pub fn new(settings: EvmChainSettings) -> Result<Self, ChainError> {
        let transports = settings
            .http
            .iter()
            .map(|url| Ok(Arc::new(HttpTransport::new(url.clone())?) as Arc<dyn Transport>))
            .collect::<Result<_, _>>()
            .map_err(unusable(settings.chain_id))?;
        Self::over(settings, transports)
    }

    /// As [`Self::new`], over given ways to the endpoints in place of those that the settings name.
    ///
    /// All waits are Tokio's, so a paused clock moves them; with `jitter` off nothing is left to chance.
    ///
    /// # Errors
    ///
    /// When there is no endpoint, or no runtime to follow new heads on.
    pub fn over(
        settings: EvmChainSettings,
        transports: Vec<Arc<dyn Transport>>,
    ) -> Result<Self, ChainError> {
        let calls = Arc::new(AtomicU64::new(0));
        let refused = unusable(settings.chain_id);
        if settings.receipts == ReceiptsProof::SecondEndpoint && transports.len() < 2 {
            let text = "a proof by a second endpoint needs at least two".to_owned();
            return Err(refused(ChainErrorKind::Refused(text)));
        }
        let pool = Pool::new(&settings, transports, &calls).map_err(&refused)?;
        let stop = CancellationToken::new();
        let follow = |url| Wake::spawn(&settings, url, stop.clone());
        let wake = settings.ws.as_ref().map(follow).transpose().map_err(&refused)?;
        Ok(Self { settings, pool, wake, calls, _stop: stop.drop_guard() })
    }

    /// JSON-RPC calls over HTTP since the start; each call of a batch counts.
    #[must_use]
    pub fn rpc_calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// How the endpoints have been doing, in the settings' order.
    #[must_use]
    pub fn endpoints(&self) -> Vec<EndpointView> {
        self.pool.views()
    }

    /// Asks every endpoint now, one by one, and compares what they tell: how each is doing, and what it
    /// failed with, in the settings' order.
    pub async fn probe_endpoints(&self) -> Vec<(EndpointView, Option<ChainErrorKind>)> {
        let failures = self.pool.probe(&self.settings).await;
        if failures.iter().any(Option::is_none)
            && let Err(kind) = self.pool.tags(&self.settings).await
        {
            tracing::warn!(chain.id = self.settings.chain_id.0, %kind, "the tags cannot be read");
        }
        self.pool.views().into_iter().zip(failures).collect()
    }

    fn could_not(&self, act: &'static str) -> impl FnOnce(ChainErrorKind) -> ChainError {
        let chain_id = self.settings.chain_id;
        move |kind| ChainError { chain_id, act, kind }
    }
}

fn unusable(chain_id: ChainId) -> impl Fn(ChainErrorKind) -> ChainError {
    move |kind| ChainError { chain_id, act: "use its endpoints", kind }
}

#[async_trait]
impl Chain for EvmChain {
    fn chain_id(&self) -> ChainId {
        self.settings.chain_id
    }

    async fn remote_chain_id(&self) -> Result<ChainId, ChainError> {
        let told = self.pool.chain_id(self.settings.chain_id).await;
        told.map_err(self.could_not("read the chain id"))
    }

    async fn head(&self) -> Result<Header, ChainError> {
        // A header that the WebSocket told of saves the round trip; its block is read over HTTP anyway.
        // Of several endpoints only most can tell which branch it is on, unless it stands on their head.
        if let Some(header) = self.wake.as_ref().and_then(|wake| wake.take_newest())
            && self.pool.takes_unasked(&header)
        {
            return Ok(header);
        }
        self.pool.head(&self.settings).await.map_err(self.could_not("read the head"))
    }

    async fn tags(&self) -> Result<TaggedBlocks, ChainError> {
        let asked = self.pool.tags(&self.settings).await;
        asked.map_err(self.could_not("read the safe and finalized blocks"))
    }

    async fn header_at(&self, number: u64) -> Result<Header, ChainError> {
        let missing = || ChainErrorKind::NotYet(format!("the node has no block {number}"));
        self.headers(number, number)
            .await?
            .pop()
            .ok_or_else(missing)
            .map_err(self.could_not("read a header"))
    }

    async fn headers(&self, from: u64, to: u64) -> Result<Vec<Header>, ChainError> {
        let numbers: Vec<u64> = (from..=to).collect();
        let asked = self
            .pool
            .ask(async |endpoint| reads::headers_at(&endpoint, &self.settings, &numbers).await);
        asked.await.map_err(self.could_not("read headers"))
    }

    async fn header_by_hash(&self, hash: B256) -> Result<Header, ChainError> {
        let asked = self
            .pool
            .ask(async |endpoint| reads::header_by_hash(&endpoint, &self.settings, hash).await);
        asked.await.map_err(self.could_not("read a header"))
    }

    async fn proven_block(
        &self,
        header: &Header,
        filter: &WatchFilter,
    ) -> Result<ProvenBlock, ChainError> {
        let proven = block::proven_block(&self.pool, &self.settings, header, filter);
        proven.await.map_err(self.could_not("prove a block"))
    }

    async fn range(
        &self,
        from: u64,
        to: u64,
        filter: &WatchFilter,
    ) -> Result<RangeAnswer, ChainError> {
        let answer = range::range(&self.pool, &self.settings, from, to, filter);
        answer.await.map_err(self.could_not("read a range of logs"))
    }

    async fn second_range(
        &self,
        from: u64,
        to: u64,
        filter: &WatchFilter,
    ) -> Result<Option<RangeAnswer>, ChainError> {
        let answer = range::second_range(&self.pool, &self.settings, from, to, filter);
        answer.await.map_err(self.could_not("read a range of logs from another endpoint"))
    }

    async fn reread_block(
        &self,
        number: u64,
        filter: &WatchFilter,
    ) -> Result<ProvenBlock, ChainError> {
        let proven = block::reread_block(&self.pool, &self.settings, number, filter).await;
        let proven = proven.map_err(self.could_not("read a block again"))?;
        self.pool.compare_with_proof(&self.settings, &proven, filter).await;
        Ok(proven)
    }

    async fn agreed(&self, transfers: &[Transfer]) -> Result<Vec<Agreement>, ChainError> {
        let agreed = agreement::agreed(&self.pool, &self.settings, transfers);
        agreed.await.map_err(self.could_not("ask every endpoint for a receipt"))
    }

    async fn references(
        &self,
        transfers: &[Transfer],
    ) -> Result<Vec<Option<Reference>>, ChainError> {
        let asked = self
            .pool
            .ask(async |endpoint| reads::references(&endpoint, &self.settings, transfers).await);
        asked.await.map_err(self.could_not("read references"))
    }

    async fn token_facts(&self, token: Address) -> Result<TokenFacts, ChainError> {
        let asked = self.pool.ask(async |endpoint| reads::token_facts(&endpoint, token).await);
        asked.await.map_err(self.could_not("read a token's facts"))
    }

    async fn balance_of(
        &self,
        asset: AssetId,
        holder: Address,
        block: B256,
    ) -> Result<U256, ChainError> {
        let asked = balance::balance_of(&self.pool, asset.contract, holder, block);
        asked.await.map_err(self.could_not("read a balance"))
    }

    async fn accepts_signature(
        &self,
        wallet: Address,
        digest: B256,
        signature: &[u8],
    ) -> Result<bool, ChainError> {
        let asked = signature::accepts(&self.pool, wallet, digest, signature);
        asked.await.map_err(self.could_not("ask a wallet for its signature"))
    }

    async fn fee_history(&self) -> Result<FeeHistory, ChainError> {
        let asked = self.pool.ask(async |endpoint| reads::fee_history(&endpoint).await);
        asked.await.map_err(self.could_not("read recent fees"))
    }

    async fn estimate_gas(&self, probe: &TransferProbe) -> Result<u64, ChainError> {
        let Some(payer) = probe.payer else {
            let kind = ChainErrorKind::Reverted("nobody to pay is known".to_owned());
            return Err(self.could_not("estimate gas")(kind));
        };
        let asked =
            self.pool.ask(async |endpoint| reads::estimate_gas(&endpoint, probe, payer).await);
        asked.await.map_err(self.could_not("estimate gas"))
    }

    fn wake(&self) -> Option<watch::Receiver<u64>> {
        self.wake.as_ref().map(|wake| wake.receiver())
    }
}
