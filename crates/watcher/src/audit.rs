//! The balance proof: opening + in − out of a treasury equals what the chain says it holds, or nothing
//! further counts as whole.
//!
//! A difference is traced to its block, which is read again from the chain before it is believed.

use std::{collections::HashMap, sync::Arc};

use futures::{StreamExt, future::try_join_all, stream};
use inspay_ports::{AppliedBlock, ChainError, ChainErrorKind, Proof, WatchFilter};
use inspay_primitives::{Address, AssetId, BlockRef, Timestamp, Transfer, U256};

use crate::{
    catch_up::check_number,
    error::FollowError,
    follower::{Follower, Stepped},
    heal::Healed,
    meters,
    reader::RangeReader,
    settings::FollowedAsset,
    status::Stall,
};

/// When the books are compared, and what came of it last.
#[derive(Debug, Default)]
pub(crate) struct Auditor {
    at_once: bool,
    was_made: bool,
    /// Whether the books differed when they were last compared.
    differs: bool,
    failures: u32,
    failed_at: Option<Timestamp>,
    retry_at: Option<Timestamp>,
    openings: HashMap<(AssetId, Address), U256>,
    stall: Option<Stall>,
}

impl Auditor {
    pub(crate) const fn is_due_at_once(&self) -> bool {
        self.at_once
    }

    pub(crate) const fn plan_at_once(&mut self) {
        self.at_once = true;
    }

    /// Whether to compare now: once after the start, and while something waits for it.
    pub(crate) fn is_due(&self, now: Timestamp, is_needed: bool) -> bool {
        // A clock that was set back must not keep it from being made.
        let is_set_back = self.failed_at.is_some_and(|failed_at| now < failed_at);
        let is_time = self.retry_at.is_none_or(|retry_at| retry_at <= now) || is_set_back;
        (!self.was_made || is_needed) && is_time
    }

    pub(crate) const fn found_difference(&self) -> bool {
        self.differs
    }

    pub(crate) const fn stall(&self) -> Option<&Stall> {
        self.stall.as_ref()
    }
}

/// One treasury of one asset, compared at one block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair<'a> {
    listed: &'a FollowedAsset,
    treasury: Address,
    /// The first block whose transfers are recorded.
    pub(crate) first: u64,
}

impl Pair<'_> {
    const fn asset(&self) -> AssetId {
        self.listed.asset.id
    }
}

#[derive(Debug)]
enum Verdict {
    Agrees,
    Differs { pair: usize, difference: String },
    Stalled(Stall),
}

impl Follower {
    /// Compares the books with the chain at the tip.
    pub(crate) async fn audit(&mut self) -> Result<Stepped, FollowError> {
        // If it fails, new blocks come first and it is made again at the head.
        self.auditor.at_once = false;
        let Some(cursor) = self.follow.cursor().copied() else {
            return Ok(Stepped::Idle(crate::follow::Idle::AtHead));
        };
        let at = cursor.tip;
        let settings = self.settings.clone();
        let pairs: Vec<Pair<'_>> = settings
            .assets
            .iter()
            .filter(|listed| listed.balance_proof)
            .flat_map(|listed| {
                settings.treasuries.iter().map(move |(treasury, first)| Pair {
                    listed,
                    treasury: *treasury,
                    first: cursor.start_number.max(*first),
                })
            })
            .filter(|pair| pair.first <= at.number)
            .collect();
        let mut verdict = self.compare(&pairs, at).await?;
        let (mut stands, mut tried) = (None, None);
        while let Verdict::Differs { pair: place, .. } = verdict {
            // Reading again is dear: once for each, and ever more rarely while it does not help.
            let is_due = self.auditor.failures.saturating_add(1).is_power_of_two();
            let Some(pair) = pairs.get(place).filter(|_| is_due && tried < Some(place)) else {
                break;
            };
            tried = Some(place);
            match self.heal(pair, at).await? {
                Healed::Whole => {}
                Healed::Stands { number } => {
                    stands = Some(number);
                    break;
                }
                Healed::Unknown => self.reread(pair, at).await?,
            }
            verdict = self.compare(&pairs, at).await?;
        }
        let stall = match verdict {
            Verdict::Agrees => return self.passed(at).await,
            Verdict::Stalled(stall) => stall,
            Verdict::Differs { pair, difference } => {
                let Some(pair) = pairs.get(pair) else { return self.passed(at).await };
                self.auditor.differs = true;
                self.follow.hold_audit();
                let from = if let Some(number) = stands {
                    number
                } else if (pair.first..at.number).contains(&cursor.audited_to) {
                    cursor.audited_to.saturating_add(1)
                } else {
                    pair.first
                };
                Stall::BooksDifferFromChain {
                    symbol: pair.listed.asset.symbol.clone(),
                    treasury: pair.treasury,
                    from,
                    to: stands.unwrap_or(at.number),
                    difference,
                }
            }
        };
        Ok(self.failed(stall))
    }

    /// Says so in the cursor at once: what settles waits for it.
    async fn passed(&mut self, at: BlockRef) -> Result<Stepped, FollowError> {
        self.auditor.was_made = true;
        self.auditor.differs = false;
        self.auditor.failures = 0;
        self.auditor.failed_at = None;
        self.auditor.retry_at = None;
        self.auditor.stall = None;
        self.follow.audited();
        if let Some(commit) = self.follow.take_upkeep() {
            self.store.commit_blocks(commit).await?;
            self.follow.committed();
            self.tick();
        }
        Ok(Stepped::Audited { up_to: at.number })
    }

    fn failed(&mut self, stall: Stall) -> Stepped {
        let interval =
            i64::try_from(self.settings.audit_retry_interval.as_micros()).unwrap_or(i64::MAX);
        let now = self.clock.now();
        let retry_at = Timestamp::from_micros(now.micros().saturating_add(interval));
        self.auditor.failed_at = Some(now);
        self.auditor.retry_at = Some(retry_at);
        self.auditor.was_made = true;
        self.auditor.failures = self.auditor.failures.saturating_add(1);
        tracing::warn!(
            chain.id = self.settings.chain_id.0,
            failures = self.auditor.failures,
            "{stall}"
        );
        meters::failed(self.settings.chain_id, stall.code());
        // Where all blocks count as whole already, an unknown opening takes nothing back.
        let is_told = self.follow.needs_audit();
        self.auditor.stall = is_told.then(|| stall.clone());
        Stepped::AuditFailed(stall)
    }

    async fn compare(&mut self, pairs: &[Pair<'_>], at: BlockRef) -> Result<Verdict, FollowError> {
        for pair in pairs {
            if let Some(stall) = self.learn_opening(pair).await? {
                return Ok(Verdict::Stalled(stall));
            }
        }
        let compared = try_join_all(pairs.iter().map(|pair| self.compare_one(pair, at))).await?;
        for (place, compared) in compared.into_iter().enumerate() {
            match compared {
                Compared::Agrees => {}
                Compared::Differs(difference) => {
                    return Ok(Verdict::Differs { pair: place, difference });
                }
                Compared::Unreadable(stall) => return Ok(Verdict::Stalled(stall)),
            }
        }
        Ok(Verdict::Agrees)
    }

    /// Finds out what the treasury held before its first followed block: nothing before the first block of
    /// all, else what the settings say, else what the chain says.
    async fn learn_opening(&mut self, pair: &Pair<'_>) -> Result<Option<Stall>, FollowError> {
        let key = (pair.asset(), pair.treasury);
        if self.auditor.openings.contains_key(&key) {
            return Ok(None);
        }
        let Some(number) = pair.first.checked_sub(1) else {
            self.auditor.openings.insert(key, U256::ZERO);
            return Ok(None);
        };
        if let Some(set) = pair.listed.opening_base_units.get(&pair.treasury) {
            self.auditor.openings.insert(key, *set);
            return Ok(None);
        }
        let answer = match self.chain.header_at(number).await {
            Ok(header) => {
                check_number(number, &header)?;
                self.chain.balance_of(pair.asset(), pair.treasury, header.block.hash).await
            }
            Err(error) => Err(error),
        };
        match answer {
            Ok(opening) => {
                self.auditor.openings.insert(key, opening);
                Ok(None)
            }
            Err(error) if is_passing(&error) => Err(error.into()),
            Err(error) => Ok(Some(Stall::OpeningBalanceUnknown {
                symbol: pair.listed.asset.symbol.clone(),
                treasury: pair.treasury,
                number,
                why: error.kind.to_string(),
            })),
        }
    }

    pub(crate) async fn compare_one(
        &self,
        pair: &Pair<'_>,
        at: BlockRef,
    ) -> Result<Compared, FollowError> {
        let key = (pair.asset(), pair.treasury);
        let opening = self.auditor.openings.get(&key).copied().unwrap_or_default();
        let (totals, balance) = futures::join!(
            self.store.transfer_totals(pair.asset(), pair.treasury, at.number),
            self.chain.balance_of(pair.asset(), pair.treasury, at.hash),
        );
        let totals = totals?;
        let balance = match balance {
            Ok(balance) => balance,
            Err(error) if error.is_transient() => return Err(error.into()),
            Err(error) => {
                return Ok(Compared::Unreadable(Stall::BalanceUnreadable {
                    symbol: pair.listed.asset.symbol.clone(),
                    treasury: pair.treasury,
                    number: at.number,
                    why: error.kind.to_string(),
                }));
            }
        };
        let held = opening
            .checked_add(totals.in_base_units)
            .and_then(|came| came.checked_sub(totals.out_base_units));
        Ok(match held {
            Some(held) if held == balance => Compared::Agrees,
            Some(held) if held < balance => {
                Compared::Differs(balance.saturating_sub(held).to_string())
            }
            Some(held) => Compared::Differs(format!("-{}", held.saturating_sub(balance))),
            None => Compared::Differs("out of range".to_owned()),
        })
    }

    /// Reads everything of one treasury and token again: what can still change by its proofs, the
    /// finalized rest in ranges. Records what was missing.
    async fn reread(&mut self, pair: &Pair<'_>, at: BlockRef) -> Result<(), FollowError> {
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

#[derive(Debug)]
pub(crate) enum Compared {
    Agrees,
    Differs(String),
    Unreadable(Stall),
}

/// Whether an opening balance may be answered later. A block or a state that is not there will not come:
/// it was pruned, or the token was not there yet.
const fn is_passing(error: &ChainError) -> bool {
    match &error.kind {
        ChainErrorKind::Unreachable(_) | ChainErrorKind::RateLimited(_) => true,
        ChainErrorKind::RangeTooLarge { .. }
        | ChainErrorKind::NotYet(_)
        | ChainErrorKind::Contradiction(_)
        | ChainErrorKind::Reverted(_)
        | ChainErrorKind::Refused(_) => false,
    }
}
