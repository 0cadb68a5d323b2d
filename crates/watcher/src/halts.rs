//! From what an audit found to halts and cases.
//!
//! [`plan`] is pure. Never lifts a halt by a comparison below the block at which it was found.

use std::collections::BTreeMap;

use inspay_ports::{AssetHalt, HaltsCommit};
use inspay_primitives::{AssetId, CaseClosing, CaseKind, CaseOpening, Fence, Timestamp};
use serde_json::json;

use crate::{
    audit::{Finding, PairKey},
    error::FollowError,
    follower::Follower,
    meters,
    status::Stall,
};

/// What halts and cases are decided by.
pub(crate) struct Facts<'a> {
    pub(crate) fence: Fence,
    pub(crate) now: Timestamp,
    pub(crate) found: &'a [Finding],
    pub(crate) halts: &'a BTreeMap<PairKey, AssetHalt>,
    /// What the settings have compared, now or from a later block on.
    pub(crate) compared: &'a [PairKey],
    /// Whether blocks wait for their audit: then what cannot be compared must not be credited either.
    pub(crate) is_needed: bool,
    /// Blocks that this audit has read again.
    pub(crate) read_again: &'a [u64],
}

/// What a case of that kind about one treasury of one asset is called.
fn subject(key: PairKey) -> String {
    let (asset, treasury) = key;
    format!("{}/{:#x}/{treasury:#x}", asset.chain_id, asset.contract)
}

fn kind_of(stall: &Stall) -> CaseKind {
    match stall {
        Stall::OpeningBalanceUnknown { .. } | Stall::BalanceUnreadable { .. } => {
            CaseKind::BalanceUnknown
        }
        Stall::BooksDifferFromChain { .. }
        | Stall::Node(_)
        | Stall::NotProven(_)
        | Stall::NodeContradictsItself(_)
        | Stall::NodeLags { .. }
        | Stall::Store(_)
        | Stall::AnotherFollower => CaseKind::BalanceDifference,
    }
}

/// The facts of a difference, amounts as texts.
fn body(finding: &Finding, stall: &Stall) -> String {
    let units = |number: Option<inspay_primitives::U256>| number.map(|number| number.to_string());
    let (from, to) = match stall {
        Stall::BooksDifferFromChain { from, to, .. } => (*from, *to),
        Stall::OpeningBalanceUnknown { number, .. } | Stall::BalanceUnreadable { number, .. } => {
            (*number, *number)
        }
        Stall::Node(_)
        | Stall::NotProven(_)
        | Stall::NodeContradictsItself(_)
        | Stall::NodeLags { .. }
        | Stall::Store(_)
        | Stall::AnotherFollower => (finding.at.number, finding.at.number),
    };
    json!({
        "chain": finding.asset.chain_id.0,
        "asset": finding.symbol,
        "token": finding.asset.contract.to_string(),
        "treasury": finding.treasury.to_string(),
        "from_block": from,
        "to_block": to,
        "compared_at_block": finding.at.number,
        "compared_at_hash": finding.at.hash.to_string(),
        "expected_base_units": units(finding.sides.and_then(|sides| sides.expected())),
        "found_base_units": units(finding.sides.map(|sides| sides.balance_base_units)),
        "difference_base_units": finding.sides.map(|sides| sides.difference()),
        "why": stall.to_string(),
    })
    .to_string()
}

/// What ended a difference.
fn resolution(finding: &Finding, read_again: &[u64]) -> String {
    let held = finding.sides.map_or_else(String::new, |sides| {
        format!(": both say {} base units", sides.balance_base_units)
    });
    let mended = match read_again {
        [] => String::new(),
        blocks => {
            let blocks: Vec<String> = blocks.iter().map(u64::to_string).collect();
            format!("; read again by its receipts: block {}", blocks.join(", "))
        }
    };
    format!("books and chain are equal at the end of block {}{held}{mended}", finding.at.number)
}

/// What changes; `None` if nothing does.
pub(crate) fn plan(facts: &Facts<'_>) -> Option<HaltsCommit> {
    let mut commit = HaltsCommit {
        fence: facts.fence,
        halted: Vec::new(),
        lifted: Vec::new(),
        resolved: Vec::new(),
        opened: Vec::new(),
    };
    for finding in facts.found {
        let key = (finding.asset, finding.treasury);
        let known = facts.halts.get(&key);
        match (&finding.stall, known) {
            (Some(stall), known) => {
                let kind = kind_of(stall);
                let is_a_reason = kind == CaseKind::BalanceDifference || facts.is_needed;
                let halt = AssetHalt {
                    asset: finding.asset,
                    treasury: finding.treasury,
                    halted_at: known.map_or(facts.now, |known| known.halted_at),
                    found_at: finding.at.number.max(known.map_or(0, |known| known.found_at)),
                    why: stall.to_string(),
                };
                let is_news = known.is_none_or(|known| known.why != halt.why);
                if is_a_reason && is_news {
                    commit.halted.push(halt);
                    commit.opened.push(CaseOpening {
                        kind,
                        subject: subject(key),
                        opened_at: facts.now,
                        body_json: body(finding, stall),
                    });
                }
            }
            (None, Some(known)) if known.found_at <= finding.at.number => {
                end(&mut commit, key, facts.now, &resolution(finding, facts.read_again));
            }
            (None, _) => {}
        }
    }
    for key in facts.halts.keys().filter(|key| !facts.compared.contains(key)) {
        end(&mut commit, *key, facts.now, "the settings no longer have it compared");
    }
    let is_nothing = commit.halted.is_empty() && commit.lifted.is_empty();
    (!is_nothing).then_some(commit)
}

fn end(commit: &mut HaltsCommit, key: PairKey, now: Timestamp, resolution: &str) {
    commit.lifted.push(key);
    for kind in [CaseKind::BalanceDifference, CaseKind::BalanceUnknown] {
        commit.resolved.push(CaseClosing {
            kind,
            subject: subject(key),
            resolved_at: now,
            resolution: resolution.to_owned(),
        });
    }
}

impl Follower {
    /// Begins and ends halts as an audit found it, in one commit with their cases.
    pub(crate) async fn change_halts(
        &mut self,
        found: &[Finding],
        is_needed: bool,
    ) -> Result<(), FollowError> {
        let chain_id = self.settings.chain_id;
        let compared: Vec<PairKey> = self.settings.pairs(0).map(|pair| pair.key()).collect();
        let planned = plan(&Facts {
            fence: Fence { chain_id, number: self.fencing() },
            now: self.clock.now(),
            found,
            halts: self.auditor.halts(),
            compared: &compared,
            is_needed,
            read_again: self.auditor.read_again(),
        });
        let Some(commit) = planned else { return Ok(()) };
        for halt in &commit.halted {
            tracing::error!(
                chain.id = chain_id.0,
                "nothing is credited of an asset, a case is open: {}",
                halt.why
            );
        }
        for closing in &commit.resolved {
            tracing::warn!(
                chain.id = chain_id.0,
                subject = closing.subject,
                "{}",
                closing.resolution
            );
        }
        self.store.commit_halts(commit).await?;
        self.load_halts().await?;
        self.tick();
        Ok(())
    }

    /// Reads of which assets nothing is credited, and shows it.
    pub(crate) async fn load_halts(&mut self) -> Result<(), FollowError> {
        let halts = self.store.halts(self.settings.chain_id).await?;
        let before = self.auditor.halts().clone();
        self.auditor.keep_halts(halts);
        let listed = &self.settings.assets;
        let symbol_of = |asset: AssetId| {
            let listed = listed.iter().find(|listed| listed.asset.id == asset);
            listed.map_or_else(|| asset.contract.to_string(), |listed| listed.asset.symbol.clone())
        };
        meters::halts(self.settings.chain_id, symbol_of, &before, self.auditor.halts());
        Ok(())
    }
}
