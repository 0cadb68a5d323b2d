//! What the follower wrote: no block that no chain has, no transfer left out, nothing whole before it is.

use std::collections::{BTreeMap, BTreeSet};

use inspay_ports::{
    BlocksCommit, CursorRecord, HaltStore as _, Page, RangeCommit, ReadStore as _, TransferFilter,
};
use inspay_primitives::{Address, AssetId, B256, Transfer, TransferId};

use super::Laws;
use crate::{
    Event,
    chain::{INSPI, SimBlock, USDT, asset},
};

/// The transfers of a block by identity, without what was read of their calldata.
fn known(transfers: &[Transfer]) -> BTreeMap<TransferId, Transfer> {
    let bare = |transfer: &Transfer| Transfer { reference: None, ..*transfer };
    transfers.iter().map(|transfer| (transfer.key.id(), bare(transfer))).collect()
}

impl Laws {
    /// After blocks were written.
    pub(crate) async fn applied(&mut self, commit: &BlocksCommit) {
        let cursor = commit.cursor;
        self.shared.journal.tell(format_args!(
            "applied {} to {} {}, {} left, safe {}, final {}, audited to {}, revision {}",
            commit.added.len(),
            cursor.tip.number,
            cursor.tip.hash,
            commit.orphaned.len(),
            cursor.tags.safe_number,
            cursor.tags.finalized_number,
            cursor.audited_to,
            cursor.revision
        ));
        self.shared.journal.saw(Event::Applied);
        if !commit.orphaned.is_empty() {
            self.shared.journal.saw(Event::BranchChanged);
        }
        // A block that is read again takes its own place.
        let is_again = |hash| commit.added.iter().any(|applied| applied.block.hash == hash);
        let gone = commit.orphaned.iter().filter(|block| !is_again(block.hash));
        let left = gone.map(|block| block.number).min();
        let stays = match (left, self.cursor) {
            (Some(left), _) => left.checked_sub(1),
            (None, Some(before)) => Some(before.tip.number),
            (None, None) => commit.cursor.start_number.checked_sub(1),
        };
        let is_new = |number: u64| stays.is_none_or(|stays| stays < number);
        let mut next = stays.map_or(0, |stays| stays + 1);
        let mut parent: Option<B256> = None;
        for applied in &commit.added {
            let number = applied.block.number;
            let truth = self.shared.chain().by_hash(&applied.block.hash).cloned();
            let Some(truth) = truth.filter(|truth| truth.block == applied.block) else {
                self.broken("3: never lost", format!("{} is no chain's block", applied.block.hash));
                continue;
            };
            let is_whole = is_new(number) || commit.orphaned.contains(&applied.block);
            self.check_block(&truth, &applied.transfers, is_whole);
            if is_new(number) {
                let links =
                    number == next && parent.is_none_or(|parent| truth.parent_hash == parent);
                self.require(links, "3: never lost", || {
                    format!("block {number} was applied on top of something else")
                });
                next = number + 1;
                parent = Some(applied.block.hash);
            }
        }
        let tip = self.shared.chain().by_hash(&cursor.tip.hash).map(|block| block.number());
        let stands = tip == Some(cursor.tip.number) && next == cursor.tip.number + 1;
        self.require(stands, "3: never lost", || {
            format!("the cursor is at {}, the last block read is below {next}", cursor.tip.number)
        });
        self.moved(cursor, false).await;
    }

    /// A block with its transfers, all of them unless a part was read again.
    fn check_block(&self, truth: &SimBlock, applied: &[Transfer], is_whole: bool) {
        let number = truth.number();
        let told = known(applied);
        for (id, transfer) in &told {
            let real = truth.transfers.get(id);
            let agrees =
                real.is_some_and(|real| *transfer == Transfer { reference: None, ..*real });
            self.require(agrees, "1: no phantom", || {
                format!("block {number} was applied with {transfer:?}, and has {real:?}")
            });
        }
        for transfer in applied.iter().filter(|transfer| transfer.reference.is_some()) {
            let real = truth.transfers.get(&transfer.key.id()).and_then(|real| real.reference);
            self.require(real == transfer.reference, "7: to nobody else", || {
                format!("{} carries {real:?}, read was {:?}", transfer.key.id(), transfer.reference)
            });
        }
        if is_whole && told.len() != truth.transfers.len() {
            let (has, real) = (told.len(), truth.transfers.len());
            self.broken(
                "3: never lost",
                format!("block {number} was applied with {has} of {real} transfers"),
            );
        }
    }

    /// After a range was written: its transfers are not proven yet.
    pub(crate) async fn ranged(&mut self, commit: &RangeCommit) {
        let cursor = commit.cursor;
        self.shared.journal.tell(format_args!(
            "range to {}, {} transfers, audited to {}",
            cursor.tip.number,
            commit.transfers.len(),
            cursor.audited_to
        ));
        self.shared.journal.saw(Event::CaughtUp);
        let tip = self.shared.chain().by_hash(&cursor.tip.hash).map(|block| block.block);
        self.require(tip == Some(cursor.tip), "3: never lost", || {
            format!("{} is no chain's block", cursor.tip.hash)
        });
        self.moved(cursor, true).await;
    }

    async fn moved(&mut self, cursor: CursorRecord, is_range: bool) {
        let before = self.cursor.replace(cursor);
        self.latest_time = self.latest_time.max(Some(cursor.tip.time));
        let revision = before.map_or(0, |before| before.revision);
        self.require(cursor.revision == revision + 1, "1: once", || {
            format!("the cursor went from revision {revision} to {}", cursor.revision)
        });
        let is_whole = cursor.audited_to == cursor.tip.number;
        if is_whole {
            self.check_totals(cursor).await;
        }
        let was_whole =
            !is_range && before.is_none_or(|before| before.audited_to == before.tip.number);
        let first_in_range = before.is_none() && cursor.tip.number > cursor.start_number;
        if is_whole && (!was_whole || first_in_range) {
            self.check_audited(cursor).await;
        }
        self.wrote().await;
    }

    /// What is said not to be whole: nothing of it is credited.
    async fn halted(&self, cursor: CursorRecord) -> BTreeSet<(AssetId, Address)> {
        match self.store.halts(cursor.chain_id).await {
            Ok(halts) => halts.into_iter().map(|halt| (halt.asset, halt.treasury)).collect(),
            Err(error) => {
                self.broken("the store can be read", error.kind.to_string());
                BTreeSet::new()
            }
        }
    }

    /// Opening + in − out of every treasury is what it holds at the tip.
    async fn check_totals(&self, cursor: CursorRecord) {
        let halted = self.halted(cursor).await;
        let (tip, treasuries, opening) = {
            let chain = self.shared.chain();
            let Some(tip) = chain.by_hash(&cursor.tip.hash).cloned() else { return };
            let opening = cursor.start_number.checked_sub(1).and_then(|at| chain.at(at).cloned());
            (tip, chain.treasuries.0.clone(), opening)
        };
        for (treasury, _) in treasuries {
            for token in [USDT, INSPI] {
                if halted.contains(&(asset(token), treasury)) {
                    continue;
                }
                let totals =
                    self.store.transfer_totals(asset(token), treasury, cursor.tip.number).await;
                let opened = opening.as_ref().map(|block| block.balance(token, treasury));
                let held = totals.ok().and_then(|totals| {
                    opened
                        .unwrap_or_default()
                        .checked_add(totals.in_base_units)?
                        .checked_sub(totals.out_base_units)
                });
                let holds = tip.balance(token, treasury);
                self.require(held == Some(holds), "5: books equal chain", || {
                    format!("{treasury} holds {holds} of {token}, recorded are {held:?}")
                });
            }
        }
    }

    /// What is said to be whole is: the very transfers of the branch below the tip.
    async fn check_audited(&self, cursor: CursorRecord) {
        let page = Page { after: None, limit: u32::MAX };
        let Ok(views) = self.store.transfers(TransferFilter::default(), page).await else {
            self.broken("the store can be read", "transfers".to_owned());
            return;
        };
        let halted = self.halted(cursor).await;
        let is_halted = |of: &Transfer| halted.contains(&(of.key.asset(), of.key.treasury));
        let mut told: BTreeMap<TransferId, Transfer> = views
            .iter()
            .filter(|view| view.canonical && !is_halted(&view.transfer))
            .map(|view| (view.id, Transfer { reference: None, ..view.transfer }))
            .collect();
        let chain = self.shared.chain();
        let mut at = chain.by_hash(&cursor.tip.hash);
        while let Some(block) = at.filter(|block| cursor.start_number <= block.number()) {
            for (id, real) in block.transfers.iter().filter(|(_, real)| !is_halted(real)) {
                let found = told.remove(id);
                self.require(
                    found == Some(Transfer { reference: None, ..*real }),
                    "3: never lost",
                    || format!("blocks are said to be whole with {found:?} for {real:?}"),
                );
            }
            at = chain.by_hash(&block.parent_hash);
        }
        for (id, _) in told {
            self.broken("1: no phantom", format!("{id} is said to be whole, and no chain has it"));
        }
    }
}
