//! The balance proof: opening + in − out of a treasury equals what the chain says it holds, or nothing of that asset is
//! credited.
//!
//! A difference is traced to its block, which is read again from the chain before it is believed. Never holds up an
//! asset for another's difference.

use std::collections::{BTreeMap, HashMap};

use futures::future::try_join_all;
use inspay_ports::AssetHalt;
use inspay_primitives::{Address, AssetId, BlockRef, Timestamp, U256};

use crate::{
    catch_up::check_number,
    compare::{Compared, Pair, Sides},
    error::FollowError,
    follower::{Follower, Stepped},
    heal::Healed,
    meters,
    status::Stall,
};

/// One treasury of one asset.
pub(crate) type PairKey = (AssetId, Address);

/// When the books are compared, what came of it last, and what is halted.
#[derive(Debug, Default)]
pub(crate) struct Auditor {
    at_once: bool,
    made_at: Option<Timestamp>,
    failed_at: Option<Timestamp>,
    retry_at: Option<Timestamp>,
    /// How often each was found to differ, one time after another.
    failures: HashMap<PairKey, u32>,
    openings: HashMap<PairKey, U256>,
    halts: BTreeMap<PairKey, AssetHalt>,
    findings: Vec<Finding>,
    /// Blocks that were read again by the present audit.
    read_again: Vec<u64>,
}

/// One treasury of one asset, as the last audit found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The asset.
    pub asset: AssetId,
    /// What it is called.
    pub symbol: String,
    /// The treasury.
    pub treasury: Address,
    /// At the end of which block.
    pub at: BlockRef,
    /// Both sides; `None` where the chain does not tell.
    pub sides: Option<Sides>,
    /// What is wrong; `None` where both are equal.
    pub stall: Option<Stall>,
}

impl Auditor {
    pub(crate) const fn is_due_at_once(&self) -> bool {
        self.at_once
    }

    pub(crate) const fn plan_at_once(&mut self) {
        self.at_once = true;
    }

    /// Whether to compare now: once after the start, while something waits for it, and ever so often.
    pub(crate) fn is_due(&self, now: Timestamp, is_needed: bool, every_micros: i64) -> bool {
        // A clock that was set back must not keep it from being made.
        let is_set_back = |at: Timestamp| now < at;
        let is_time = self.retry_at.is_none_or(|retry_at| retry_at <= now)
            || self.failed_at.is_some_and(is_set_back);
        let is_old = self.made_at.is_none_or(|made_at| {
            is_set_back(made_at) || every_micros <= now.micros().saturating_sub(made_at.micros())
        });
        (is_old || is_needed || !self.halts.is_empty()) && is_time
    }

    pub(crate) fn opening(&self, key: PairKey) -> Option<U256> {
        self.openings.get(&key).copied()
    }

    pub(crate) fn keep_opening(&mut self, key: PairKey, opening: U256) {
        self.openings.insert(key, opening);
    }

    /// What the chain told of it may have been wrong: it is asked again.
    pub(crate) fn forget_opening(&mut self, key: PairKey) {
        self.openings.remove(&key);
    }

    pub(crate) fn note_read_again(&mut self, number: u64) {
        self.read_again.push(number);
    }

    pub(crate) const fn halts(&self) -> &BTreeMap<PairKey, AssetHalt> {
        &self.halts
    }

    pub(crate) fn keep_halts(&mut self, halts: impl IntoIterator<Item = AssetHalt>) {
        self.halts = halts.into_iter().map(|halt| ((halt.asset, halt.treasury), halt)).collect();
    }

    pub(crate) fn findings(&self) -> &[Finding] {
        &self.findings
    }

    pub(crate) fn read_again(&self) -> &[u64] {
        &self.read_again
    }

    fn begin(&mut self) {
        // If it fails, new blocks come first and it is made again at the head.
        self.at_once = false;
        self.read_again.clear();
    }

    fn ended(&mut self, now: Timestamp, findings: Vec<Finding>, retry_micros: i64) {
        self.made_at = Some(now);
        for finding in &findings {
            let key = (finding.asset, finding.treasury);
            match finding.stall {
                Some(_) => {
                    let failures = self.failures.entry(key).or_default();
                    *failures = failures.saturating_add(1);
                }
                None => {
                    self.failures.remove(&key);
                }
            }
        }
        self.findings = findings;
        if self.findings.iter().all(|finding| finding.stall.is_none()) {
            (self.failed_at, self.retry_at) = (None, None);
        } else {
            self.put_off(now, retry_micros);
        }
    }

    fn put_off(&mut self, now: Timestamp, retry_micros: i64) {
        self.failed_at = Some(now);
        self.retry_at = Some(Timestamp::from_micros(now.micros().saturating_add(retry_micros)));
    }

    /// Reading again is dear: at once, and ever more rarely while it does not help.
    fn may_heal(&self, key: PairKey) -> bool {
        let failures = self.failures.get(&key).copied().unwrap_or_default();
        failures.saturating_add(1).is_power_of_two()
    }
}

/// Whether what is wrong is looked for in the blocks and mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Mend,
    LookOnly,
}

impl Follower {
    /// Compares the books with the chain, and halts the crediting of each asset whose books differ from it.
    ///
    /// What ranges have brought is compared at the tip, and so is what is halted; what is compared from time to time,
    /// where the chain is final.
    pub(crate) async fn audit(&mut self) -> Result<Stepped, FollowError> {
        self.auditor.begin();
        if self.follow.cursor().is_none() {
            return Ok(Stepped::Idle(crate::follow::Idle::AtHead));
        }
        let is_needed = self.follow.needs_audit();
        let found = match self.find_differences(Manner::Mend).await {
            Ok(found) => found,
            // Nothing waits for it: the chain is followed and credited meanwhile.
            Err(FollowError::Chain(error)) if !is_needed => {
                let stall = Stall::of(&FollowError::Chain(error));
                tracing::warn!(chain.id = self.settings.chain_id.0, "no audit: {stall}");
                meters::failed(self.settings.chain_id, stall.code());
                self.auditor.put_off(self.clock.now(), self.retry_micros());
                return Ok(Stepped::AuditFailed(stall));
            }
            Err(error) => return Err(error),
        };
        // First the halts: what is whole counts as whole only once what is not is halted.
        self.change_halts(&found, is_needed).await?;
        let first = found.iter().find_map(|finding| finding.stall.clone());
        let (now, retry_micros) = (self.clock.now(), self.retry_micros());
        let is_first = self.auditor.made_at.is_none();
        self.auditor.ended(now, found, retry_micros);
        self.vouch().await?;
        let up_to = self.follow.cursor().map_or(0, |cursor| cursor.audited_to);
        if is_first && first.is_none() {
            let chain = self.settings.chain_id.0;
            tracing::info!(chain.id = chain, block.number = up_to, "compared books and chain");
        }
        Ok(first.map_or(Stepped::Audited { up_to }, Stepped::AuditFailed))
    }

    /// Compares the books with the chain at its final block and changes nothing, for people to look at.
    pub async fn look_at_books(&mut self) -> Result<Vec<Finding>, FollowError> {
        self.load().await?;
        self.find_differences(Manner::LookOnly).await
    }

    /// Compares the books with the chain, mends what can be mended, halts and lifts, for people who want it now.
    pub async fn audit_now(&mut self) -> Result<Vec<Finding>, FollowError> {
        self.load().await?;
        self.audit().await?;
        Ok(self.auditor.findings().to_vec())
    }

    /// Of which assets nothing is credited.
    pub fn halts(&self) -> impl Iterator<Item = &AssetHalt> {
        self.auditor.halts().values()
    }

    fn retry_micros(&self) -> i64 {
        i64::try_from(self.settings.audit_retry_interval.as_micros()).unwrap_or(i64::MAX)
    }

    async fn find_differences(&mut self, manner: Manner) -> Result<Vec<Finding>, FollowError> {
        let Some(at) = self.audit_block(manner).await? else { return Ok(Vec::new()) };
        let settings = self.settings.clone();
        let start_number = self.follow.start_number();
        let pairs: Vec<Pair<'_>> =
            settings.pairs(start_number).filter(|pair| pair.first <= at.number).collect();
        let mut unknown = Vec::with_capacity(pairs.len());
        for pair in &pairs {
            unknown.push(self.learn_opening(pair).await?);
        }
        let compared = try_join_all(pairs.iter().map(|pair| self.compare_one(pair, at))).await?;
        let mut found = Vec::with_capacity(pairs.len());
        for ((pair, unknown), compared) in pairs.iter().zip(unknown).zip(compared) {
            let mut finding = Finding {
                asset: pair.asset(),
                symbol: pair.listed.asset.symbol.clone(),
                treasury: pair.treasury,
                at,
                sides: None,
                stall: unknown,
            };
            if finding.stall.is_none() {
                (finding.sides, finding.stall) = self.judge(pair, at, compared, manner).await?;
            }
            if let Some(stall) = &finding.stall {
                tracing::warn!(chain.id = self.settings.chain_id.0, "{stall}");
                meters::failed(self.settings.chain_id, stall.code());
            }
            found.push(finding);
        }
        Ok(found)
    }

    /// What there is to be said of one pair, after mending what can be mended.
    async fn judge(
        &mut self,
        pair: &Pair<'_>,
        at: BlockRef,
        mut compared: Compared,
        manner: Manner,
    ) -> Result<(Option<Sides>, Option<Stall>), FollowError> {
        let mut stands = None;
        if manner == Manner::Mend && matches!(compared, Compared::Differs(_)) {
            self.auditor.forget_opening(pair.key());
            if let Some(unknown) = self.learn_opening(pair).await? {
                return Ok((None, Some(unknown)));
            }
            compared = self.compare_one(pair, at).await?;
        }
        if manner == Manner::Mend && matches!(compared, Compared::Differs(_)) {
            if self.auditor.may_heal(pair.key()) {
                match self.heal(pair, at).await? {
                    Healed::Whole => {}
                    Healed::Stands { number } => stands = Some(number),
                    Healed::Unknown => self.reread(pair, at).await?,
                }
            }
            // What was read again for another one may have mended this one, too.
            compared = self.compare_one(pair, at).await?;
        }
        Ok(match compared {
            Compared::Agrees(sides) => (Some(sides), None),
            Compared::Unreadable(stall) => (None, Some(stall)),
            Compared::Differs(sides) => {
                let stall = Stall::BooksDifferFromChain {
                    symbol: pair.listed.asset.symbol.clone(),
                    treasury: pair.treasury,
                    from: stands.unwrap_or_else(|| self.unproven_from(pair, at)),
                    to: stands.unwrap_or(at.number),
                    difference: sides.difference(),
                };
                (Some(sides), Some(stall))
            }
        })
    }

    /// The first block in which a difference may lie.
    fn unproven_from(&self, pair: &Pair<'_>, at: BlockRef) -> u64 {
        let audited_to = self.follow.cursor().map_or(0, |cursor| cursor.audited_to);
        if (pair.first..at.number).contains(&audited_to) {
            audited_to.saturating_add(1)
        } else {
            pair.first
        }
    }

    /// The block to compare at.
    async fn audit_block(&self, manner: Manner) -> Result<Option<BlockRef>, FollowError> {
        let Some(cursor) = self.follow.cursor() else { return Ok(None) };
        let is_first = self.auditor.made_at.is_none() && manner == Manner::Mend;
        let is_at_tip = is_first || self.follow.needs_audit() || !self.auditor.halts().is_empty();
        let number = cursor.tags.finalized_number.min(cursor.tip.number);
        if is_at_tip || number == cursor.tip.number {
            return Ok(Some(cursor.tip));
        }
        let header = self.chain.header_at(number).await?;
        check_number(number, &header)?;
        Ok(Some(header.block))
    }

    /// Says in the cursor at once what counts as whole now: what settles waits for it.
    async fn vouch(&mut self) -> Result<(), FollowError> {
        if !self.follow.needs_audit() {
            return Ok(());
        }
        self.follow.audited();
        if let Some(commit) = self.follow.take_upkeep() {
            self.store.commit_blocks(commit).await?;
            self.follow.committed();
            self.tick();
        }
        Ok(())
    }
}
