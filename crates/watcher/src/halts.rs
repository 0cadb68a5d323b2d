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

#[cfg(test)]
mod tests {
    use inspay_ports::TransferTotals;
    use inspay_primitives::{Address, B256, BlockRef, ChainId, FencingNumber, U256};

    use super::*;
    use crate::compare::Sides;

    const CHAIN: ChainId = ChainId(1);
    const KEY: PairKey =
        (AssetId { chain_id: CHAIN, contract: Address::repeat_byte(5) }, Address::repeat_byte(7));

    /// What is found at the end of a block where so much is held and so much recorded; `None` where nobody tells.
    fn finding(number: u64, sides: Option<(u64, u64)>) -> Finding {
        let (asset, treasury) = KEY;
        let at = BlockRef {
            number,
            hash: B256::repeat_byte(9),
            time: Timestamp::from_chain_seconds(number),
        };
        let symbol = "USDT".to_owned();
        let sides = sides.map(|(held, recorded)| Sides {
            opening_base_units: U256::ZERO,
            totals: TransferTotals {
                in_base_units: U256::from(recorded),
                ..TransferTotals::default()
            },
            balance_base_units: U256::from(held),
        });
        let stall = match &sides {
            Some(sides) if sides.agree() => None,
            Some(sides) => Some(Stall::BooksDifferFromChain {
                symbol: symbol.clone(),
                treasury,
                from: number,
                to: number,
                difference: sides.difference(),
            }),
            None => Some(Stall::BalanceUnreadable {
                symbol: symbol.clone(),
                treasury,
                number,
                why: "pruned".to_owned(),
            }),
        };
        Finding { asset, symbol, treasury, at, sides, stall }
    }

    fn halted(found: &Finding) -> BTreeMap<PairKey, AssetHalt> {
        let why = found.stall.as_ref().expect("something is wrong").to_string();
        let (asset, treasury) = KEY;
        let halted_at = Timestamp::from_chain_seconds(1);
        BTreeMap::from([(
            KEY,
            AssetHalt { asset, treasury, halted_at, found_at: found.at.number, why },
        )])
    }

    #[test]
    fn what_is_found_begins_keeps_or_ends_a_halt() {
        let (differs, other) = (Some((12, 10)), Some((13, 10)));
        let (equal, untold) = (Some((10, 10)), None);
        // What is halted (found at which block, how), what is found now, whether blocks wait; begins, ends, opens.
        type Seen = (u64, Option<(u64, u64)>);
        type Planned = (bool, bool, Option<CaseKind>);
        let cases: &[(Option<Seen>, Seen, bool, Planned)] = &[
            (None, (5, equal), false, (false, false, None)),
            (None, (5, differs), false, (true, false, Some(CaseKind::BalanceDifference))),
            (None, (5, differs), true, (true, false, Some(CaseKind::BalanceDifference))),
            (None, (5, untold), false, (false, false, None)),
            (None, (5, untold), true, (true, false, Some(CaseKind::BalanceUnknown))),
            (Some((5, differs)), (5, differs), false, (false, false, None)),
            (
                Some((5, differs)),
                (5, other),
                false,
                (true, false, Some(CaseKind::BalanceDifference)),
            ),
            (Some((5, differs)), (6, untold), false, (false, false, None)),
            (Some((5, differs)), (5, equal), false, (false, true, None)),
            (Some((5, differs)), (6, equal), true, (false, true, None)),
            (Some((5, differs)), (4, equal), false, (false, false, None)),
            (Some((5, untold)), (6, equal), false, (false, true, None)),
        ];
        for (before, (number, sides), is_needed, (begins, ends, opens)) in cases {
            let found = [finding(*number, *sides)];
            let known = before
                .map_or_else(BTreeMap::new, |(number, sides)| halted(&finding(number, sides)));
            let planned = plan(&Facts {
                fence: Fence { chain_id: CHAIN, number: FencingNumber::UNLEASED },
                now: Timestamp::from_chain_seconds(9),
                found: &found,
                halts: &known,
                compared: &[KEY],
                is_needed: *is_needed,
                read_again: &[],
            });
            let seen = planned.map_or((false, false, None), |commit| {
                let opened = commit.opened.first().map(|opening| opening.kind);
                for halt in &commit.halted {
                    let since = if before.is_some() { 1 } else { 9 };
                    assert_eq!(halt.halted_at, Timestamp::from_chain_seconds(since));
                }
                assert_eq!(commit.resolved.len(), 2 * commit.lifted.len(), "of either kind");
                (!commit.halted.is_empty(), !commit.lifted.is_empty(), opened)
            });
            assert_eq!(seen, (*begins, *ends, *opens), "{before:?} {number} {sides:?} {is_needed}");
        }
    }

    #[test]
    fn a_halt_is_found_as_high_up_as_it_was_ever_seen() {
        let known = halted(&finding(9, Some((12, 10))));
        let found = [finding(5, Some((13, 10)))];
        let commit = plan(&Facts {
            fence: Fence { chain_id: CHAIN, number: FencingNumber::UNLEASED },
            now: Timestamp::from_chain_seconds(9),
            found: &found,
            halts: &known,
            compared: &[KEY],
            is_needed: false,
            read_again: &[],
        });
        assert_eq!(commit.expect("another reason").halted[0].found_at, 9);
    }

    #[test]
    fn differences_are_told_with_their_sign_and_never_wrapped() {
        let sides = |held: u64, recorded: u64| {
            finding(1, Some((held, recorded))).sides.expect("both sides").difference()
        };
        assert_eq!((sides(12, 10), sides(10, 12)), ("2".to_owned(), "-2".to_owned()));
        let mut beyond = finding(1, Some((1, 1))).sides.expect("both sides");
        beyond.totals.out_base_units = U256::from(2);
        assert_eq!((beyond.expected(), beyond.difference()), (None, "out of range".to_owned()));
        beyond.opening_base_units = U256::MAX;
        assert_eq!(beyond.expected(), None);
        assert!(!beyond.agree());
    }
}
