//! Reading again what was read before, and recording what was missing.
//!
//! Never takes anything off the chain: what was made up is found block by block.

use std::sync::Arc;

use futures::{StreamExt, stream};
use inspay_ports::{AppliedBlock, Proof, WatchFilter};
use inspay_primitives::{BlockRef, Transfer};

use crate::{compare::Pair, error::FollowError, follower::Follower, reader::RangeReader};

impl Follower {
    /// Reads everything of one treasury and token again: what can still change by its proofs, the
    /// finalized rest in ranges. Records what was missing.
    pub(crate) async fn reread(
        &mut self,
        pair: &Pair<'_>,
        at: BlockRef,
    ) -> Result<(), FollowError> {
        let finalized = self.follow.cursor().map_or(0, |cursor| cursor.tags.finalized_number);
        let to = at.number.min(finalized);
        let filter = WatchFilter {
            chain_id: self.settings.chain_id,
            tokens: [pair.asset().contract].into(),
            treasuries: vec![(pair.treasury, pair.first)],
        };
        tracing::warn!(
            chain.id = self.settings.chain_id.0,
            asset = pair.listed.asset.symbol,
            range.from = pair.first,
            range.to = at.number,
            "the books differ from the chain; the range is read again"
        );
        if pair.first <= to {
            self.record_again(pair.first, to, filter.clone(), &mut |_, _| {}).await?;
        }
        let near_head = to.saturating_add(1).max(pair.first)..=at.number;
        let headers: Vec<_> =
            near_head.filter_map(|number| self.follow.window().hash_at(number)).collect();
        let (chain, filter) = (&self.chain, &filter);
        let mut proofs = stream::iter(headers)
            .map(|hash| async move {
                let header = chain.header_by_hash(hash).await?;
                chain.proven_block(&header, filter).await
            })
            .buffered(self.settings.proof_concurrency.max(1));
        let mut found: Vec<AppliedBlock> = Vec::new();
        while let Some(proven) = proofs.next().await {
            let proven = proven?;
            let block = proven.header.block;
            found.push(AppliedBlock { block, proof: proven.proof, transfers: proven.transfers });
        }
        drop(proofs);
        self.keep_again(found).await
    }

    /// Reads finalized blocks up to the tip again in ranges and records what was missing. The cursor stays.
    pub(crate) async fn record_again(
        &mut self,
        from: u64,
        to: u64,
        filter: WatchFilter,
        progress: &mut (dyn FnMut(u64, usize) + Send),
    ) -> Result<(), FollowError> {
        let mut reader =
            RangeReader::new(Arc::clone(&self.chain), filter, from, to, self.settings.ranges);
        while let Some(span) = reader.next_span().await? {
            let read = span.transfers.len();
            self.keep_again(self.by_block(span.transfers)).await?;
            progress(span.to, read);
        }
        Ok(())
    }

    /// What a range brought, block by block. A block of the window keeps the proof it has.
    fn by_block(&self, transfers: Vec<Transfer>) -> Vec<AppliedBlock> {
        let mut blocks: Vec<AppliedBlock> = Vec::new();
        for transfer in transfers {
            match blocks.last_mut().filter(|last| last.block == transfer.block) {
                Some(last) => last.transfers.push(transfer),
                None => blocks.push(AppliedBlock {
                    block: transfer.block,
                    proof: self.follow.window().proof_of(transfer.block).unwrap_or(Proof::Range),
                    transfers: vec![transfer],
                }),
            }
        }
        blocks
    }

    async fn keep_again(&mut self, blocks: Vec<AppliedBlock>) -> Result<(), FollowError> {
        let has_transfers = blocks.iter().any(|block| !block.transfers.is_empty());
        let commit = has_transfers.then(|| self.follow.reread_commit(blocks)).flatten();
        if let Some(commit) = commit {
            let cursor = commit.cursor;
            self.store.commit_blocks(commit).await?;
            self.follow.reread_committed(cursor);
            self.tick();
        }
        Ok(())
    }
}
