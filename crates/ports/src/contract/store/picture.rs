//! Everything that can be read of a store, for comparing before with after, and one store with another.

use std::sync::Arc;

use inspay_ledger::{Entry, Event, Lot};
use inspay_primitives::{AccountId, ChainId, Order};

use super::super::samples::CHAIN;
use crate::{
    AccountSummary, CursorRecord, HistoryFilter, HistoryLine, OrderFilter, Page, Store,
    SystemBalance, TransferFilter, TransferView, WindowBlock,
};

/// Rows on the page that stands for all of them.
const ALL: u32 = 100_000;

/// Everything that can be read of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// The cursor of the sample chain.
    pub cursor: Option<CursorRecord>,
    /// The window of the sample chain.
    pub window: Vec<WindowBlock>,
    /// Transfers by id, without their positions.
    pub transfers: Vec<TransferView>,
    /// Orders, newest first.
    pub orders: Vec<Order>,
    /// The journal.
    pub entries: Vec<Entry>,
    /// The feed.
    pub events: Vec<Event>,
    /// Every balance, by account and unit.
    pub balances: Vec<SystemBalance>,
    /// Accounts with what they hold and did.
    pub accounts: Vec<(AccountSummary, Vec<Lot>, Vec<HistoryLine>)>,
}

/// Reads everything of the sample chain. Positions are the store's own and left out.
pub async fn picture(store: &Arc<dyn Store>) -> Picture {
    picture_of(store, CHAIN).await
}

async fn picture_of(store: &Arc<dyn Store>, chain: ChainId) -> Picture {
    let all = Page { after: None, limit: ALL };
    let orders = store.orders(OrderFilter::default(), all).await.expect("orders");
    let mut transfers = store.transfers(TransferFilter::default(), all).await.expect("transfers");
    assert!(transfers.is_sorted_by(|a, b| a.position > b.position), "newest recorded first");
    transfers.sort_by_key(|view| view.id);
    let mut balances = store.balances(true).await.expect("balances");
    balances.sort_by_key(|balance| (balance.account.clone(), balance.unit));
    let mut accounts = Vec::new();
    for summary in store.accounts(None, ALL).await.expect("accounts") {
        let account: &AccountId = &summary.account;
        let mut lots = store.lots(account).await.expect("lots");
        assert!(lots.is_sorted_by_key(|lot| lot.expires_at), "soonest expiry first: {lots:?}");
        lots.sort_by_key(|lot| (lot.expires_at, lot.id));
        let history = store.history(account, HistoryFilter::default(), all).await.expect("history");
        accounts.push((summary, lots, history));
    }
    Picture {
        cursor: store.cursor(chain).await.expect("cursor"),
        window: store.window(chain).await.expect("window"),
        transfers: transfers.into_iter().map(|view| TransferView { position: 0, ..view }).collect(),
        orders: orders.into_iter().map(|(_, order)| order).collect(),
        entries: store.entries(0, ALL).await.expect("entries"),
        events: store.events(None, 0, ALL).await.expect("events"),
        balances,
        accounts,
    }
}
