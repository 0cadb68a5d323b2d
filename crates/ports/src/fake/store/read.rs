//! The reader's side of the fake store.

use async_trait::async_trait;
use inspay_ledger::{BookAccount, Entry, Event, Lot, Settlement, SettlementKind, Side, Unit};
use inspay_primitives::{
    AccountId, Address, AssetId, B256, Credits, Direction, Label, LotId, Timestamp, Transfer,
    TransferId, U256,
};

use super::{
    FakeStore, first,
    rows::{State, TransferRow},
};
use crate::{
    AccountSummary, HistoryFilter, HistoryLine, LawViolation, Page, ReadStore, StoreError,
    StoreErrorKind, SystemBalance, TransferFilter, TransferTotals, TransferView,
};

#[async_trait]
impl ReadStore for FakeStore {
    async fn transfer(&self, id: TransferId) -> Result<Option<TransferView>, StoreError> {
        self.read("read a transfer", |state| Ok(state.view(id)))
    }

    async fn transfers(
        &self,
        filter: TransferFilter,
        page: Page,
    ) -> Result<Vec<TransferView>, StoreError> {
        self.read("list transfers", |state| {
            let views = state
                .recorded
                .iter()
                .rev()
                .filter_map(|id| state.view(*id))
                .filter(|view| page.after.is_none_or(|after| view.position < after))
                .filter(|view| state.is_listed(view, &filter));
            Ok(first(views, page.limit))
        })
    }

    async fn lots(&self, account: &AccountId) -> Result<Vec<Lot>, StoreError> {
        self.read("list lots", |state| {
            let lots = state.lots_left.iter().filter_map(|(_, id)| state.lots.get(id));
            Ok(lots.filter(|lot| lot.account == *account).cloned().collect())
        })
    }

    async fn account(&self, account: &AccountId) -> Result<Option<AccountSummary>, StoreError> {
        self.read("read an account", |state| {
            let created_at = state.accounts.get(account).copied();
            created_at.map(|created_at| state.summary(account, created_at)).transpose()
        })
    }

    async fn accounts(
        &self,
        after: Option<AccountId>,
        limit: u32,
    ) -> Result<Vec<AccountSummary>, StoreError> {
        self.read("list accounts", |state| {
            let rows = state
                .accounts
                .iter()
                .filter(|(account, _)| after.as_ref().is_none_or(|after| *account > after));
            first(rows, limit)
                .into_iter()
                .map(|(account, created_at)| state.summary(account, *created_at))
                .collect()
        })
    }

    async fn history(
        &self,
        account: &AccountId,
        filter: HistoryFilter,
        page: Page,
    ) -> Result<Vec<HistoryLine>, StoreError> {
        self.read("list an account's history", |state| {
            let before = page.after.unwrap_or(i64::MAX);
            let lines = state
                .history
                .range((account.clone(), 0)..(account.clone(), before))
                .rev()
                .filter_map(|(_, seq)| state.entries.get(seq))
                .filter(|entry| is_in_history(entry, &filter));
            first(lines, page.limit).into_iter().map(|entry| history_line(entry, account)).collect()
        })
    }

    async fn events(
        &self,
        account: Option<&AccountId>,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        self.read("read events", |state| {
            let events = state
                .events
                .range(after.saturating_add(1)..)
                .map(|(_, event)| event)
                .filter(|event| account.is_none() || event.account.as_ref() == account);
            Ok(first(events.cloned(), limit))
        })
    }

    async fn entries(&self, after: i64, limit: u32) -> Result<Vec<Entry>, StoreError> {
        self.read("read entries", |state| {
            let entries = state.entries.range(after.saturating_add(1)..);
            Ok(first(entries.map(|(_, entry)| entry.clone()), limit))
        })
    }

    async fn balances(&self, with_accounts: bool) -> Result<Vec<SystemBalance>, StoreError> {
        self.read("read balances", |state| {
            let balances = state
                .balances
                .iter()
                .filter(|((account, _), _)| with_accounts || account.owner().is_none())
                .map(|((account, unit), balance)| SystemBalance {
                    account: account.clone(),
                    unit: *unit,
                    debits: balance.debits,
                    credits: balance.credits,
                });
            Ok(balances.collect())
        })
    }

    async fn transfer_totals(
        &self,
        asset: AssetId,
        treasury: Address,
        up_to: u64,
    ) -> Result<TransferTotals, StoreError> {
        self.read("add up transfers", |state| {
            let rows = state.transfers.values().filter(|row| {
                let Transfer { key, block, .. } = &row.transfer;
                row.canonical
                    && key.asset() == asset
                    && key.treasury == treasury
                    && block.number <= up_to
            });
            let mut totals = TransferTotals::default();
            for row in rows {
                add_to_totals(&mut totals, row)?;
            }
            Ok(totals)
        })
    }

    async fn broken_laws(&self) -> Result<Vec<LawViolation>, StoreError> {
        self.read("check the laws", |state| Ok(state.broken_laws()))
    }

    async fn laws_broken_beyond_entries(&self) -> Result<Vec<LawViolation>, StoreError> {
        self.broken_laws().await
    }

    async fn journal_end(&self) -> Result<(i64, B256), StoreError> {
        self.read("read the journal's end", |state| {
            let head = state.head.0;
            Ok((head.entry_seq, head.entry_hash))
        })
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.read("answer", |_| Ok(()))
    }

    async fn schema_versions(&self) -> Result<(i64, i64), StoreError> {
        self.read("read the schema's version", |_| Ok((1, 1)))
    }
}

fn add_to_totals(totals: &mut TransferTotals, row: &TransferRow) -> Result<(), StoreErrorKind> {
    let past_end = || StoreErrorKind::Corrupt("a sum passes 2^256 - 1".to_owned());
    let add = |sum: &mut U256| {
        *sum = sum.checked_add(row.transfer.base_units).ok_or_else(past_end)?;
        Ok::<(), StoreErrorKind>(())
    };
    let is_unsettled = row.settled_block.is_none();
    totals.count = totals.count.saturating_add(1);
    if is_unsettled {
        totals.unsettled_count = totals.unsettled_count.saturating_add(1);
    }
    match row.transfer.key.direction {
        Direction::In => {
            add(&mut totals.in_base_units)?;
            if is_unsettled {
                add(&mut totals.unsettled_in_base_units)?;
            }
        }
        Direction::Out => {
            add(&mut totals.out_base_units)?;
            if is_unsettled {
                add(&mut totals.unsettled_out_base_units)?;
            }
        }
    }
    Ok(())
}

fn is_in_history(entry: &Entry, filter: &HistoryFilter) -> bool {
    let facts: Option<serde_json::Value> =
        entry.facts.as_deref().and_then(|facts| serde_json::from_str(facts).ok());
    let is_about = |name: &str, wanted: &Option<Label>| {
        let told = facts.as_ref().and_then(|facts| facts["purpose"][name].as_str());
        wanted.as_ref().is_none_or(|wanted| told == Some(wanted.as_str()))
    };
    let touches = |lot: LotId| {
        entry.lots.iter().any(|granted| granted.id == lot)
            || entry.moves.iter().any(|moved| moved.lot == lot)
    };
    filter.kind.is_none_or(|kind| entry.kind == kind)
        && filter.from.is_none_or(|from| entry.booked_at >= from)
        && filter.until.is_none_or(|until| entry.booked_at < until)
        && is_about("feature", &filter.feature)
        && is_about("project", &filter.project)
        && filter.lot.is_none_or(touches)
}

fn history_line(entry: &Entry, owner: &AccountId) -> Result<HistoryLine, StoreErrorKind> {
    let added = |account: BookAccount, side: Side| {
        let mut lines = entry.postings.iter().filter(|posting| posting.account == account);
        lines.try_fold(Credits::ZERO, |sum, posting| {
            let credits = micros(posting.quantity)?.micros();
            let signed = if posting.side == side { credits } else { credits.saturating_neg() };
            Ok::<_, StoreErrorKind>(Credits::from_micros(sum.micros().saturating_add(signed)))
        })
    };
    Ok(HistoryLine {
        entry_seq: entry.seq,
        kind: entry.kind,
        event_at: entry.event_at,
        booked_at: entry.booked_at,
        left: added(BookAccount::Account(owner.clone()), Side::Credit)?,
        held: added(BookAccount::Held(owner.clone()), Side::Credit)?,
        owed: added(BookAccount::Owed(owner.clone()), Side::Debit)?,
        order: entry.order,
        transfer: entry.transfer,
        facts: entry.facts.clone(),
    })
}

fn micros(quantity: U256) -> Result<Credits, StoreErrorKind> {
    i64::try_from(quantity)
        .map(Credits::from_micros)
        .map_err(|_| StoreErrorKind::Corrupt(format!("{quantity} is no number of micro-credits")))
}

impl State {
    fn is_listed(&self, view: &TransferView, filter: &TransferFilter) -> bool {
        let TransferFilter { tx_hash, order, account, payer, suspense_only } = filter;
        let settled = view.settlement.as_ref();
        let paid_order = settled.and_then(|settled: &Settlement| settled.order);
        let owner =
            paid_order.and_then(|id| self.orders.get(&id)).map(|row| &row.order.terms.account);
        let in_suspense = settled.is_some_and(|settled| settled.kind == SettlementKind::Suspense);
        let paid_by = |(chain_id, wallet)| {
            let key = &view.transfer.key;
            let is_paid = key.direction == Direction::In && key.chain_id == chain_id;
            is_paid && view.transfer.counterparty == wallet
        };
        payer.is_none_or(paid_by)
            && tx_hash.is_none_or(|hash| view.transfer.key.tx_hash == hash)
            && (order.is_none() || paid_order == *order)
            && (account.is_none() || owner == account.as_ref())
            && (!suspense_only || in_suspense)
    }

    /// Credits posted to an account of the books less what was taken from it.
    pub(super) fn posted(&self, account: &BookAccount) -> Result<Credits, StoreErrorKind> {
        let Some(balance) = self.balances.get(&(account.clone(), Unit::Credits)) else {
            return Ok(Credits::ZERO);
        };
        let (added, taken) = (micros(balance.credits)?, micros(balance.debits)?);
        added
            .checked_sub(taken)
            .ok_or_else(|| StoreErrorKind::Corrupt(format!("the credits of {account}")))
    }

    fn summary(
        &self,
        account: &AccountId,
        created_at: Timestamp,
    ) -> Result<AccountSummary, StoreErrorKind> {
        let left = self.posted(&BookAccount::Account(account.clone()))?;
        // A debit balance: what is owed counts below zero.
        let owed = self.posted(&BookAccount::Owed(account.clone()))?;
        Ok(AccountSummary {
            account: account.clone(),
            created_at,
            posted: Credits::from_micros(left.micros().saturating_add(owed.micros())),
            held: self.posted(&BookAccount::Held(account.clone()))?,
        })
    }
}
