//! The laws, checked against what is true of the simulated chain, at every write.
//!
//! A second, plainer reckoning of what the product should do: it shares no rule with it. Never changes
//! anything but itself.

mod books;
mod follow;
mod settle;

use std::{collections::BTreeMap, sync::Arc};

use inspay_ledger::{BookAccount, Settlement, SettlementRules, Unit};
use inspay_ports::{CursorRecord, fake::FakeStore};
use inspay_primitives::{
    Address, AssetId, B256, ConfirmationPolicy, Credits, OrderId, OrderTerms, Rate, Reference,
    Timestamp, TransferId, U256,
};

use crate::{
    chain::{INSPI, SimBlock, USDT, asset},
    endpoint::Shared,
};

/// What a run goes by.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) confirmations: BTreeMap<AssetId, ConfirmationPolicy>,
    pub(crate) settlement: SettlementRules,
    pub(crate) late_rate_age_seconds: u32,
    pub(crate) start_number: u64,
}

/// What an order stands at, by its settlements alone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tab {
    pub(crate) received: U256,
    pub(crate) late_credits: i64,
    pub(crate) is_closed: bool,
}

/// The end of the journal.
#[derive(Clone, Copy, Debug)]
struct JournalEnd {
    seq: i64,
    hash: B256,
    booked_at: Timestamp,
}

/// The second reckoning.
#[derive(Debug)]
pub(crate) struct Laws {
    shared: Arc<Shared>,
    store: Arc<FakeStore>,
    rules: Rules,
    pub(crate) orders: BTreeMap<OrderId, OrderTerms>,
    pub(crate) tabs: BTreeMap<OrderId, Tab>,
    by_reference: BTreeMap<[u8; 16], OrderId>,
    by_amount: BTreeMap<(AssetId, Address, U256), OrderId>,
    rates: BTreeMap<AssetId, Vec<(Timestamp, Rate)>>,
    pub(crate) settled: BTreeMap<TransferId, Settlement>,
    balances: BTreeMap<(BookAccount, Unit), (U256, U256)>,
    end: JournalEnd,
    cursor: Option<CursorRecord>,
    latest_time: Option<Timestamp>,
    writes: u64,
}

/// Between two checks of the whole store.
const WHOLE_CHECK_WRITES: u64 = 40;

impl Laws {
    pub(crate) fn new(shared: Arc<Shared>, store: Arc<FakeStore>, rules: Rules) -> Self {
        Self {
            shared,
            store,
            rules,
            orders: BTreeMap::new(),
            tabs: BTreeMap::new(),
            by_reference: BTreeMap::new(),
            by_amount: BTreeMap::new(),
            rates: BTreeMap::new(),
            settled: BTreeMap::new(),
            balances: BTreeMap::new(),
            end: JournalEnd {
                seq: 0,
                hash: B256::ZERO,
                booked_at: Timestamp::from_micros(i64::MIN),
            },
            cursor: None,
            latest_time: None,
            writes: 0,
        }
    }

    fn broken(&self, law: &'static str, found: String) {
        self.shared.journal.broken(law, found);
    }

    fn require(&self, holds: bool, law: &'static str, found: impl FnOnce() -> String) {
        if !holds {
            self.broken(law, found());
        }
    }

    /// An order was made.
    pub(crate) fn ordered(&mut self, terms: &OrderTerms) {
        let slot = (terms.asset, terms.treasury, terms.due_base_units);
        if let Some(other) = self.by_amount.insert(slot, terms.id) {
            self.broken(
                "7: an amount that two orders could own",
                format!("{other} and {} are due {}", terms.id, terms.due_base_units),
            );
        }
        self.by_reference.insert(terms.reference.bytes(), terms.id);
        self.orders.insert(terms.id, terms.clone());
        self.tabs.insert(terms.id, Tab::default());
    }

    /// A rate was kept.
    pub(crate) fn rated(&mut self, asset: AssetId, at: Timestamp, rate: Rate) {
        self.rates.entry(asset).or_default().push((at, rate));
    }

    fn order_named(&self, reference: Reference) -> Option<&OrderTerms> {
        self.orders.get(self.by_reference.get(&reference.bytes())?)
    }

    fn order_due(&self, slot: (AssetId, Address, U256)) -> Option<&OrderTerms> {
        self.orders.get(self.by_amount.get(&slot)?)
    }

    /// The rate that a late payment of that time is priced by.
    fn rate_at(&self, asset: AssetId, time: Timestamp) -> Option<Rate> {
        let known = self.rates.get(&asset)?;
        let (at, rate) = known.iter().rev().find(|(at, _)| *at <= time)?;
        let age_seconds = time.seconds_since(*at);
        (age_seconds <= i64::from(self.rules.late_rate_age_seconds)).then_some(*rate)
    }

    /// Credits that an order's account should have for it.
    pub(crate) fn credits_of(&self, order: &OrderId) -> Option<i64> {
        let (terms, tab) = (self.orders.get(order)?, self.tabs.get(order)?);
        Some(books::credits_for(terms, tab, &self.rules.settlement)? + tab.late_credits)
    }

    pub(crate) fn is_paid(&self, order: &OrderId) -> bool {
        let (Some(terms), Some(tab)) = (self.orders.get(order), self.tabs.get(order)) else {
            return false;
        };
        books::is_paid(terms, tab.received)
    }

    pub(crate) fn is_closed(&self, order: &OrderId) -> bool {
        self.tabs.get(order).is_some_and(|tab| tab.is_closed)
    }

    /// Whether an order was ever due that amount there.
    pub(crate) fn is_due(&self, slot: (AssetId, Address, U256)) -> bool {
        self.by_amount.contains_key(&slot)
    }

    /// After every write: now and then the whole store.
    pub(crate) async fn wrote(&mut self) {
        self.shared.journal.saw(crate::Event::Checked);
        self.writes += 1;
        if self.writes.is_multiple_of(WHOLE_CHECK_WRITES) {
            self.check_whole().await;
        }
    }

    pub(crate) async fn check_whole(&self) {
        use inspay_ports::ReadStore as _;
        self.shared.journal.saw(crate::Event::CheckedWhole);
        match self.store.broken_laws().await {
            Ok(broken) => {
                for row in broken {
                    self.broken(row.law, row.row);
                }
            }
            Err(error) => self.broken("the store can be read", error.kind.to_string()),
        }
    }

    /// At the end, nothing being wrong any more: everything on the chain is settled, nothing else is, and
    /// every account has what its payments bought.
    pub(crate) async fn check_end(&self) {
        use inspay_ports::ReadStore as _;
        let transfers = self.shared.chain().transfers();
        for (id, transfer) in &transfers {
            if transfer.block.number < self.rules.start_number {
                continue;
            }
            let settled = self.settled.get(id);
            self.require(settled.is_some(), "3: never lost", || {
                format!(
                    "{id} of {} in block {} is not settled",
                    transfer.base_units, transfer.block.number
                )
            });
            let place = settled.map(|settled| settled.block_hash);
            self.require(place.is_none_or(|at| at == transfer.block.hash), "6: reversible", || {
                format!("{id} is settled in {place:?}, and stands in {}", transfer.block.hash)
            });
        }
        for id in self.settled.keys().filter(|id| !transfers.contains_key(id)) {
            self.broken("6: reversible", format!("{id} is settled, and is not on the chain"));
        }
        let mut expected: BTreeMap<_, i64> = BTreeMap::new();
        for (id, terms) in &self.orders {
            *expected.entry(&terms.account).or_default() += self.credits_of(id).unwrap_or(0);
        }
        for (account, micros) in expected {
            let posted = match self.store.account(account).await {
                Ok(summary) => summary.map(|summary| summary.posted),
                Err(error) => {
                    self.broken("the store can be read", error.kind.to_string());
                    continue;
                }
            };
            self.require(
                posted == Some(Credits::from_micros(micros)),
                "1: once, to the last micro-credit",
                || format!("{account} has {posted:?}, and paid for {micros} micro-credits"),
            );
        }
        self.check_treasuries();
        self.check_whole().await;
    }

    /// All being settled, the books hold of each token what the treasuries do.
    fn check_treasuries(&self) {
        let chain = self.shared.chain();
        let opening = self.rules.start_number.checked_sub(1).and_then(|number| chain.at(number));
        for token in [USDT, INSPI] {
            let sum = |block: &SimBlock| {
                let held =
                    chain.treasuries.0.iter().map(|(treasury, _)| block.balance(token, *treasury));
                held.fold(U256::ZERO, U256::saturating_add)
            };
            let opened = opening.map_or(U256::ZERO, |block| sum(block));
            let (came, left) = self.treasury(Unit::Token(asset(token)));
            let (booked, holds) = (opened + came, sum(chain.head()) + left);
            self.require(booked == holds, "5: books equal chain", || {
                format!("of {token} the books have {opened} + {came} - {left}, and {holds} less {left} are there")
            });
        }
    }
}
