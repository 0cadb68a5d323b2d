//! The node of the fake chain: what it answers, and how it fails.

use std::collections::BTreeSet;

use async_trait::async_trait;
use inspay_primitives::{Address, AssetId, B256, ChainId, Reference, Transfer, U256};
use tokio::sync::watch;

use super::{FakeChain, Inner, NodeCalls, block::Block};
use crate::{
    Agreement, Chain, ChainError, ChainErrorKind, FeeHistory, Header, NamedLimits, Proof,
    ProvenBlock, RangeAnswer, TaggedBlocks, TokenFacts, TransferProbe, WatchFilter,
};

impl FakeChain {
    /// Counts the call, then answers it unless the node is out of reach.
    fn ask<T>(
        &self,
        act: &'static str,
        count: impl FnOnce(&mut NodeCalls) -> &mut u64,
        answer: impl FnOnce(&Inner) -> Result<T, ChainErrorKind>,
    ) -> Result<T, ChainError> {
        let mut inner = self.lock();
        let calls = count(&mut inner.calls);
        *calls = calls.saturating_add(1);
        let refusal = inner.refusal();
        let outcome = match refusal {
            Some(kind) => Err(kind),
            None => answer(&inner),
        };
        outcome.map_err(|kind| ChainError { chain_id: self.chain_id, act, kind })
    }
}

impl Inner {
    fn refusal(&mut self) -> Option<ChainErrorKind> {
        if self.faults.unreachable {
            return Some(ChainErrorKind::Unreachable("the fake node was told to fail".to_owned()));
        }
        self.faults.rate_limits = self.faults.rate_limits.checked_sub(1)?;
        Some(ChainErrorKind::RateLimited("the fake node was told to slow down".to_owned()))
    }

    fn hole(&mut self) -> Option<ChainErrorKind> {
        self.faults.unproven_blocks = self.faults.unproven_blocks.checked_sub(1)?;
        Some(ChainErrorKind::Contradiction("the fake node was told to leave out a log".to_owned()))
    }

    /// The newest height that the node has.
    fn seen_height(&self) -> u64 {
        self.height().saturating_sub(self.faults.blocks_behind)
    }

    fn seen_at(&self, number: u64) -> Result<&Block, ChainErrorKind> {
        let block = (number <= self.seen_height()).then(|| self.canonical_at(number)).flatten();
        self.unless_forgotten(block).ok_or_else(|| ChainErrorKind::NotYet(format!("{number}")))
    }

    fn seen_by_hash(&self, hash: B256) -> Result<&Block, ChainErrorKind> {
        let known = self.blocks.get(&hash);
        // A branch that was taken off may be higher than the newest block; the node saw it all the same.
        let is_canonical = |block: &Block| {
            self.canonical_at(block.header.block.number)
                .is_some_and(|at| at.header.block.hash == hash)
        };
        let seen = known.filter(|block| {
            !is_canonical(block) || block.header.block.number <= self.seen_height()
        });
        self.unless_forgotten(seen).ok_or_else(|| ChainErrorKind::NotYet(format!("{hash}")))
    }

    fn unless_forgotten<'a>(&self, block: Option<&'a Block>) -> Option<&'a Block> {
        block.filter(|block| !self.faults.forgotten_blocks.contains(&block.header.block.hash))
    }

    fn range(
        &self,
        from: u64,
        to: u64,
        filter: &WatchFilter,
        omitted: &BTreeSet<B256>,
        told_by: usize,
    ) -> Result<RangeAnswer, ChainErrorKind> {
        let length = to
            .checked_sub(from)
            .and_then(|rest| rest.checked_add(1))
            .ok_or_else(|| ChainErrorKind::Refused(format!("no range from {from} to {to}")))?;
        if let Some(most) = self.faults.range_blocks_max.filter(|most| length > *most) {
            return Err(ChainErrorKind::RangeTooLarge {
                message: format!("block range {length} is above the limit of {most}"),
                named: NamedLimits { blocks_max: Some(most), results_max: None },
            });
        }
        let mut transfers = Vec::new();
        for number in from..=to {
            let found = self.seen_at(number)?.transfers(filter, false);
            transfers.extend(found.into_iter().filter(|seen| !omitted.contains(&seen.key.tx_hash)));
        }
        if let Some(most) = self.faults.range_results_max.filter(|most| transfers.len() > *most) {
            return Err(ChainErrorKind::RangeTooLarge {
                message: format!("query returned more than {most} results"),
                named: NamedLimits::NONE,
            });
        }
        Ok(RangeAnswer { from, to, transfers, told_by: Some(told_by) })
    }

    fn agreement(&self, transfer: &Transfer) -> Agreement {
        if let Some(said) = self.faults.agreements.get(&transfer.key.tx_hash) {
            return said.clone();
        }
        let filter = WatchFilter {
            chain_id: transfer.key.chain_id,
            tokens: BTreeSet::from([transfer.key.token]),
            treasuries: vec![(transfer.key.treasury, 0)],
        };
        let same = |found: &Transfer| Transfer { reference: transfer.reference, ..*found };
        let seen = self.seen_at(transfer.block.number).ok();
        let is_there = seen.is_some_and(|block| {
            block.transfers(&filter, false).iter().any(|found| same(found) == *transfer)
        });
        let tx_hash = transfer.key.tx_hash;
        let is_contradicted = self.faults.contradicted.contains(&tx_hash);
        let unsure = self.faults.silent_endpoints.saturating_add(u32::from(is_contradicted));
        Agreement {
            agreeing: if is_there { self.endpoints.saturating_sub(unsure) } else { 0 },
            asked: self.endpoints,
            contradiction: (is_contradicted || (seen.is_some() && !is_there))
                .then(|| format!("an endpoint has {tx_hash} elsewhere")),
        }
    }

    fn references(&self, transfers: &[Transfer]) -> Result<Vec<Option<Reference>>, ChainErrorKind> {
        let reference = |transfer: &Transfer| {
            let hash = transfer.key.tx_hash;
            let tx = self.txs.get(&hash);
            tx.map(|tx| tx.reference).ok_or_else(|| ChainErrorKind::NotYet(format!("{hash}")))
        };
        transfers.iter().map(reference).collect()
    }

    fn estimate_gas(&self, probe: &TransferProbe) -> Result<u64, ChainErrorKind> {
        let reverted = |why: &str| Err(ChainErrorKind::Reverted(why.to_owned()));
        let Some(payer) = probe.payer else { return reverted("the payer is not known") };
        let held = self
            .canonical_at(self.seen_height())
            .and_then(|block| block.balances.get(&(probe.token, payer)))
            .copied()
            .unwrap_or(U256::ZERO);
        if held < probe.base_units {
            return reverted("transfer amount exceeds balance");
        }
        Ok(self.gas)
    }
}

#[async_trait]
impl Chain for FakeChain {
    fn chain_id(&self) -> ChainId {
        self.chain_id
    }

    async fn remote_chain_id(&self) -> Result<ChainId, ChainError> {
        self.ask(
            "read the chain id",
            |calls| &mut calls.chain_id,
            |inner| Ok(inner.faults.chain_id.unwrap_or(self.chain_id)),
        )
    }

    async fn head(&self) -> Result<Header, ChainError> {
        self.ask(
            "read the newest header",
            |calls| &mut calls.head,
            |inner| inner.seen_at(inner.seen_height()).map(|block| block.header.clone()),
        )
    }

    async fn tags(&self) -> Result<TaggedBlocks, ChainError> {
        self.ask(
            "read the tags",
            |calls| &mut calls.tags,
            |inner| {
                let behind = |lag| {
                    let number = inner.seen_height().saturating_sub(lag);
                    inner.seen_at(number).map(|block| Some(block.header.block))
                };
                let (safe, finalized) = (behind(inner.safe_lag)?, behind(inner.finalized_lag)?);
                Ok(TaggedBlocks { safe, finalized })
            },
        )
    }

    async fn header_at(&self, number: u64) -> Result<Header, ChainError> {
        self.ask(
            "read a header",
            |calls| &mut calls.header,
            |inner| inner.seen_at(number).map(|block| block.header.clone()),
        )
    }

    async fn headers(&self, from: u64, to: u64) -> Result<Vec<Header>, ChainError> {
        self.ask(
            "read headers",
            |calls| &mut calls.headers,
            |inner| {
                let header = |number| inner.seen_at(number).map(|block| block.header.clone());
                (from..=to).map(header).collect()
            },
        )
    }

    async fn header_by_hash(&self, hash: B256) -> Result<Header, ChainError> {
        self.ask(
            "read a header",
            |calls| &mut calls.header,
            |inner| inner.seen_by_hash(hash).map(|block| block.header.clone()),
        )
    }

    async fn proven_block(
        &self,
        header: &Header,
        filter: &WatchFilter,
    ) -> Result<ProvenBlock, ChainError> {
        if let Some(kind) = self.lock().hole() {
            return Err(ChainError { chain_id: self.chain_id, act: "read a block", kind });
        }
        self.ask(
            "read a block",
            |calls| &mut calls.proven_block,
            |inner| {
                let block = inner.seen_by_hash(header.block.hash)?;
                if block.header != *header {
                    let why = format!("the header of {} is another", header.block.hash);
                    return Err(ChainErrorKind::Contradiction(why));
                }
                let is_empty = block.is_proven_empty(filter);
                Ok(ProvenBlock {
                    header: header.clone(),
                    transfers: block.transfers(filter, true),
                    proof: if is_empty { Proof::Bloom } else { Proof::ReceiptsRoot },
                })
            },
        )
    }

    async fn range(
        &self,
        from: u64,
        to: u64,
        filter: &WatchFilter,
    ) -> Result<RangeAnswer, ChainError> {
        self.ask(
            "read a range",
            |calls| &mut calls.range,
            |inner| inner.range(from, to, filter, &inner.faults.omitted_in_ranges, 0),
        )
    }

    async fn second_range(
        &self,
        from: u64,
        to: u64,
        filter: &WatchFilter,
    ) -> Result<Option<RangeAnswer>, ChainError> {
        let told_by = {
            let mut inner = self.lock();
            if inner.endpoints < 2 {
                return Ok(None);
            }
            if let Some(left) = inner.faults.untold_second_ranges.checked_sub(1) {
                inner.faults.untold_second_ranges = left;
                let kind = ChainErrorKind::Unreachable("no other node tells now".to_owned());
                let act = "read a range from another endpoint";
                return Err(ChainError { chain_id: self.chain_id, act, kind });
            }
            let twice = inner.faults.ranges_told_twice.checked_sub(1);
            inner.faults.ranges_told_twice = twice.unwrap_or_default();
            usize::from(twice.is_none())
        };
        self.ask(
            "read a range from another endpoint",
            |calls| &mut calls.second_range,
            |inner| {
                let omitted = &inner.faults.omitted_in_second_ranges;
                let omitted = if told_by == 0 { &inner.faults.omitted_in_ranges } else { omitted };
                inner.range(from, to, filter, omitted, told_by).map(Some)
            },
        )
    }

    async fn reread_block(
        &self,
        number: u64,
        filter: &WatchFilter,
    ) -> Result<ProvenBlock, ChainError> {
        self.ask(
            "read a block again",
            |calls| &mut calls.reread_block,
            |inner| {
                let block = inner.seen_at(number)?;
                Ok(ProvenBlock {
                    header: block.header.clone(),
                    transfers: block.transfers(filter, true),
                    proof: Proof::ReceiptsRoot,
                })
            },
        )
    }

    async fn agreed(&self, transfers: &[Transfer]) -> Result<Vec<Agreement>, ChainError> {
        self.ask(
            "ask every endpoint",
            |calls| &mut calls.agreed,
            |inner| Ok(transfers.iter().map(|transfer| inner.agreement(transfer)).collect()),
        )
    }

    async fn references(
        &self,
        transfers: &[Transfer],
    ) -> Result<Vec<Option<Reference>>, ChainError> {
        self.ask(
            "read references",
            |calls| &mut calls.references,
            |inner| inner.references(transfers),
        )
    }

    async fn token_facts(&self, token: Address) -> Result<TokenFacts, ChainError> {
        self.ask(
            "read a token's facts",
            |calls| &mut calls.token_facts,
            |inner| {
                let nothing = TokenFacts { has_code: false, decimals: None, symbol: None };
                Ok(inner.tokens.get(&token).cloned().unwrap_or(nothing))
            },
        )
    }

    async fn balance_of(
        &self,
        asset: AssetId,
        holder: Address,
        block: B256,
    ) -> Result<U256, ChainError> {
        self.ask(
            "read a balance",
            |calls| &mut calls.balance_of,
            |inner| {
                if inner.faults.balances_unreadable {
                    return Err(ChainErrorKind::Refused("balances are not told".to_owned()));
                }
                let key = (asset.contract, holder);
                let seen = inner.seen_by_hash(block)?;
                let logged = seen.balances.get(&key).copied().unwrap_or(U256::ZERO);
                let moved = inner.faults.moved_without_log.get(&key);
                let moved = moved.filter(|(since, _)| *since <= seen.header.block.number);
                Ok(logged.saturating_add(U256::from(moved.map_or(0, |(_, moved)| *moved))))
            },
        )
    }

    async fn accepts_signature(
        &self,
        wallet: Address,
        digest: B256,
        signature: &[u8],
    ) -> Result<bool, ChainError> {
        self.ask(
            "ask a wallet for its signature",
            |calls| &mut calls.accepts_signature,
            |inner| {
                let known = inner.faults.accepted_signatures.get(&wallet);
                Ok(known.is_some_and(|(at, accepted)| *at == digest && accepted == signature))
            },
        )
    }

    async fn fee_history(&self) -> Result<FeeHistory, ChainError> {
        self.ask("read fees", |calls| &mut calls.fee_history, |inner| Ok(inner.fees.clone()))
    }

    async fn estimate_gas(&self, probe: &TransferProbe) -> Result<u64, ChainError> {
        self.ask("estimate gas", |calls| &mut calls.estimate_gas, |inner| inner.estimate_gas(probe))
    }

    fn wake(&self) -> Option<watch::Receiver<u64>> {
        self.wake.as_ref().map(watch::Sender::subscribe)
    }
}
