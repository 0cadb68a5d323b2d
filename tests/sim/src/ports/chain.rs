//! The chain's port of one process.

use std::sync::Arc;

use async_trait::async_trait;
use inspay_chain_evm::EvmChain;
use inspay_ports::{
    Agreement, Chain, ChainError, ChainErrorKind, FeeHistory, Header, ProvenBlock, RangeAnswer,
    TaggedBlocks, TokenFacts, TransferProbe, WatchFilter,
};
use inspay_primitives::{Address, AssetId, B256, ChainId, Reference, Transfer, U256};
use tokio::sync::watch;

use crate::{chain::CHAIN, chaos::Chaos, endpoint::Shared, plant::Plant};

/// The real adapter behind the process's troubles.
#[derive(Debug)]
pub(crate) struct SimPort {
    pub(crate) evm: EvmChain,
    pub(crate) chaos: Arc<Chaos>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) plant: Option<Plant>,
}

#[async_trait]
impl Chain for SimPort {
    fn chain_id(&self) -> ChainId {
        self.evm.chain_id()
    }

    async fn remote_chain_id(&self) -> Result<ChainId, ChainError> {
        self.evm.remote_chain_id().await
    }

    async fn head(&self) -> Result<Header, ChainError> {
        self.chaos.chain("head", self.evm.head()).await
    }

    async fn tags(&self) -> Result<TaggedBlocks, ChainError> {
        self.chaos.chain("tags", self.evm.tags()).await
    }

    async fn header_at(&self, number: u64) -> Result<Header, ChainError> {
        self.chaos.chain("header at", self.evm.header_at(number)).await
    }

    async fn headers(&self, from: u64, to: u64) -> Result<Vec<Header>, ChainError> {
        self.chaos.chain("headers", self.evm.headers(from, to)).await
    }

    async fn header_by_hash(&self, hash: B256) -> Result<Header, ChainError> {
        self.chaos.chain("header by hash", self.evm.header_by_hash(hash)).await
    }

    async fn proven_block(
        &self,
        header: &Header,
        filter: &WatchFilter,
    ) -> Result<ProvenBlock, ChainError> {
        if self.plant == Some(Plant::ProofSkipped) {
            let number = header.block.number;
            let told = self.evm.range(number, number, filter).await?;
            return Ok(Plant::believed(&self.shared, header.clone(), told.transfers));
        }
        let asked = self.evm.proven_block(header, filter);
        let mut proven = self.chaos.chain("proven block", asked).await?;
        if let Some(plant) = self.plant {
            plant.spoil_transfers(&self.shared, &mut proven.transfers);
        }
        Ok(proven)
    }

    async fn range(
        &self,
        from: u64,
        to: u64,
        filter: &WatchFilter,
    ) -> Result<RangeAnswer, ChainError> {
        let mut told = self.chaos.chain("range", self.evm.range(from, to, filter)).await?;
        if let Some(plant) = self.plant {
            plant.spoil_transfers(&self.shared, &mut told.transfers);
        }
        Ok(told)
    }

    async fn second_range(
        &self,
        from: u64,
        to: u64,
        filter: &WatchFilter,
    ) -> Result<Option<RangeAnswer>, ChainError> {
        if self.plant == Some(Plant::AuditSkipped) {
            return Ok(None);
        }
        let asked = self.evm.second_range(from, to, filter);
        let mut told = self.chaos.chain("second range", asked).await?;
        if let (Some(plant), Some(told)) = (self.plant, &mut told) {
            plant.spoil_transfers(&self.shared, &mut told.transfers);
        }
        Ok(told)
    }

    async fn reread_block(
        &self,
        number: u64,
        filter: &WatchFilter,
    ) -> Result<ProvenBlock, ChainError> {
        let asked = self.evm.reread_block(number, filter);
        let mut proven = self.chaos.chain("reread block", asked).await?;
        if let Some(plant) = self.plant {
            plant.spoil_transfers(&self.shared, &mut proven.transfers);
        }
        Ok(proven)
    }

    async fn agreed(&self, transfers: &[Transfer]) -> Result<Vec<Agreement>, ChainError> {
        self.chaos.chain("agreed", self.evm.agreed(transfers)).await
    }

    async fn references(
        &self,
        transfers: &[Transfer],
    ) -> Result<Vec<Option<Reference>>, ChainError> {
        self.chaos.chain("references", self.evm.references(transfers)).await
    }

    async fn token_facts(&self, token: Address) -> Result<TokenFacts, ChainError> {
        self.evm.token_facts(token).await
    }

    async fn balance_of(
        &self,
        asset: AssetId,
        holder: Address,
        block: B256,
    ) -> Result<U256, ChainError> {
        if self.plant == Some(Plant::AuditSkipped) {
            let kind = ChainErrorKind::Unreachable("nobody is asked".to_owned());
            return Err(ChainError { chain_id: CHAIN, act: "read a balance", kind });
        }
        self.chaos.chain("balance", self.evm.balance_of(asset, holder, block)).await
    }

    async fn accepts_signature(
        &self,
        wallet: Address,
        digest: B256,
        signature: &[u8],
    ) -> Result<bool, ChainError> {
        let asked = self.evm.accepts_signature(wallet, digest, signature);
        self.chaos.chain("signature", asked).await
    }

    async fn fee_history(&self) -> Result<FeeHistory, ChainError> {
        self.evm.fee_history().await
    }

    async fn estimate_gas(&self, probe: &TransferProbe) -> Result<u64, ChainError> {
        self.evm.estimate_gas(probe).await
    }

    fn wake(&self) -> Option<watch::Receiver<u64>> {
        None
    }
}
