//! The tables of the fake store and the indexes over them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use inspay_ledger::{
    AccountBalance, BookAccount, Entry, Event, FreePlanDue, Head, Hold, Limit, Lot, OperationKey,
    Profile, Reversal, Settlement, StoredOperation, Subscription, TransferRecord, Unit, Usage,
    UsageDay, UsageSums, WindowUse,
};
use inspay_primitives::{
    AccountId, Address, AssetId, B256, BlockRef, ChainId, FencingNumber, HoldId, LimitId, LotId,
    Order, OrderId, QuoteId, Reference, SubscriptionId, Timestamp, Transfer, TransferId, U256,
    UsageId,
};
use inspay_quoting::RateSample;

use crate::{
    ApiKeyRecord, AssetHalt, CaseRecord, CursorRecord, PaymentClaim, Proof, StoredQuote,
    StoredResponse, TransferView, WalletChallenge, WalletRecord,
};

/// Where a log was seen, and which transfer it is. One log between two treasuries is two rows.
pub(super) type ObservationKey = (ChainId, B256, u32, TransferId);
/// What an exact amount is reserved by.
pub(super) type Slot = (AssetId, Address, U256);
/// Orders work by age.
pub(super) type WorkKey = (ChainId, u64, u32, TransferId);

#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) cursors: BTreeMap<ChainId, CursorRecord>,
    pub(super) leases: BTreeMap<ChainId, LeaseRow>,
    /// The store's own clock, since it was made.
    pub(super) now: Duration,
    pub(super) blocks: BTreeMap<(ChainId, B256), BlockRow>,
    pub(super) canonical: BTreeMap<(ChainId, u64), B256>,
    pub(super) observations: BTreeMap<ObservationKey, bool>,
    pub(super) transfers: BTreeMap<TransferId, TransferRow>,
    pub(super) recorded: Vec<TransferId>,
    pub(super) transfers_in_block: BTreeSet<(ChainId, B256, TransferId)>,
    pub(super) to_settle: BTreeSet<WorkKey>,
    pub(super) to_reverse: BTreeSet<WorkKey>,

    pub(super) accounts: BTreeMap<AccountId, Timestamp>,
    pub(super) quotes: BTreeMap<QuoteId, StoredQuote>,
    pub(super) orders: BTreeMap<OrderId, OrderRow>,
    pub(super) made: Vec<OrderId>,
    pub(super) order_of_quote: BTreeMap<QuoteId, OrderId>,
    pub(super) order_of_request: BTreeMap<String, OrderId>,
    pub(super) order_of_reference: BTreeMap<Reference, OrderId>,
    pub(super) slots: BTreeMap<Slot, OrderId>,
    pub(super) rates: BTreeMap<(AssetId, Timestamp), BTreeMap<String, RateSample>>,
    pub(super) keys: BTreeMap<String, ApiKeyRecord>,
    pub(super) claims: BTreeMap<(String, String), ClaimRow>,

    pub(super) head: HeadRow,
    pub(super) operations: BTreeMap<OperationKey, StoredOperation>,
    pub(super) balances: BTreeMap<(BookAccount, Unit), AccountBalance>,
    pub(super) account_numbers: BTreeSet<i64>,
    pub(super) entries: BTreeMap<i64, Entry>,
    pub(super) history: BTreeSet<(AccountId, i64)>,
    pub(super) lots: BTreeMap<LotId, Lot>,
    pub(super) lots_of_order: BTreeSet<(OrderId, LotId)>,
    pub(super) lots_of_transfer: BTreeSet<(TransferId, LotId)>,
    pub(super) lots_left: BTreeSet<(Timestamp, LotId)>,
    pub(super) settlements: BTreeMap<(TransferId, u32), Settlement>,
    pub(super) settlements_of_order: BTreeSet<(OrderId, TransferId, u32)>,
    pub(super) reversals: BTreeMap<(TransferId, u32), Reversal>,
    pub(super) events: BTreeMap<i64, Event>,
    pub(super) holds: BTreeMap<HoldId, Hold>,
    pub(super) open_holds: BTreeSet<(AccountId, Timestamp, HoldId)>,
    pub(super) usages: BTreeMap<UsageId, Usage>,
    pub(super) usage_days: BTreeMap<UsageDay, UsageSums>,
    /// With the time since when they hold no longer.
    pub(super) limits: BTreeMap<LimitId, (Limit, Option<Timestamp>)>,
    pub(super) windows: BTreeMap<(LimitId, Timestamp), WindowUse>,
    pub(super) profiles: BTreeMap<AccountId, Profile>,

    pub(super) halts: BTreeMap<(AssetId, Address), AssetHalt>,
    /// Case number one comes first.
    pub(super) cases: Vec<CaseRecord>,

    /// Whether each was used.
    pub(super) subscriptions: BTreeMap<SubscriptionId, Subscription>,
    pub(super) challenges: BTreeMap<String, (WalletChallenge, bool)>,
    /// Wallet number one comes first.
    pub(super) wallets: Vec<WalletRecord>,
    pub(super) payment_claims: Vec<PaymentClaim>,
    pub(super) to_rejudge: BTreeSet<TransferId>,
    pub(super) free_plans_due: BTreeMap<Address, FreePlanDue>,
}

#[derive(Clone, Debug)]
pub(super) struct LeaseRow {
    pub(super) holder: String,
    pub(super) number: FencingNumber,
    pub(super) checked: bool,
    pub(super) expires_at: Duration,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct HeadRow(pub(super) Head);

impl Default for HeadRow {
    fn default() -> Self {
        Self(Head::GENESIS)
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct BlockRow {
    pub(super) block: BlockRef,
    pub(super) proof: Proof,
}

#[derive(Clone, Debug)]
pub(super) struct TransferRow {
    pub(super) position: i64,
    pub(super) transfer: Transfer,
    pub(super) canonical: bool,
    pub(super) generation: u32,
    pub(super) settled_block: Option<B256>,
}

#[derive(Clone, Debug)]
pub(super) struct OrderRow {
    pub(super) position: i64,
    pub(super) order: Order,
}

#[derive(Clone, Debug)]
pub(super) struct ClaimRow {
    pub(super) fingerprint: B256,
    pub(super) claimed_at: Timestamp,
    pub(super) answer: Option<StoredResponse>,
}

impl TransferRow {
    /// The identity is passed in, since making it anew costs a digest.
    fn work_key(&self, id: TransferId) -> WorkKey {
        let Transfer { key, block, log_index, .. } = &self.transfer;
        (key.chain_id, block.number, *log_index, id)
    }

    pub(super) fn must_settle(&self) -> bool {
        self.canonical && self.settled_block.is_none()
    }

    pub(super) fn must_reverse(&self) -> bool {
        self.settled_block
            .is_some_and(|settled| !self.canonical || settled != self.transfer.block.hash)
    }
}

pub(super) fn slot_of(order: &Order) -> Slot {
    (order.terms.asset, order.terms.treasury, order.terms.due_base_units)
}

impl State {
    /// Changes a transfer's row, or makes it, and keeps every index with it.
    pub(super) fn change_transfer(
        &mut self,
        id: TransferId,
        fresh: Option<Transfer>,
        change: impl FnOnce(&mut TransferRow),
    ) {
        let known = self.transfers.remove(&id);
        if let Some(row) = &known {
            let block = row.transfer.block.hash;
            self.transfers_in_block.remove(&(row.transfer.key.chain_id, block, id));
            self.to_settle.remove(&row.work_key(id));
            self.to_reverse.remove(&row.work_key(id));
        }
        let made = || {
            fresh.map(|transfer| TransferRow {
                position: next_position(self.recorded.len()),
                transfer,
                canonical: true,
                generation: 0,
                settled_block: None,
            })
        };
        let is_new = known.is_none();
        let Some(mut row) = known.or_else(made) else { return };
        if is_new {
            self.recorded.push(id);
        }
        change(&mut row);
        self.transfers_in_block.insert((row.transfer.key.chain_id, row.transfer.block.hash, id));
        if row.must_settle() {
            self.to_settle.insert(row.work_key(id));
        }
        if row.must_reverse() {
            self.to_reverse.insert(row.work_key(id));
        }
        self.transfers.insert(id, row);
    }

    /// The settlement of a transfer's present generation, unless it was taken back.
    pub(super) fn settlement_now(&self, id: TransferId, row: &TransferRow) -> Option<&Settlement> {
        let key = (id, row.generation);
        self.settlements.get(&key).filter(|_| !self.reversals.contains_key(&key))
    }

    pub(super) fn record(&self, id: TransferId) -> Option<TransferRecord> {
        let row = self.transfers.get(&id)?;
        Some(TransferRecord {
            transfer: row.transfer,
            canonical: row.canonical,
            generation: row.generation,
            settlement: self.settlement_now(id, row).cloned(),
        })
    }

    pub(super) fn view(&self, id: TransferId) -> Option<TransferView> {
        let row = self.transfers.get(&id)?;
        Some(TransferView {
            position: row.position,
            id,
            transfer: row.transfer,
            canonical: row.canonical,
            generation: row.generation,
            settlement: self.settlement_now(id, row).cloned(),
        })
    }
}

/// Positions count from one.
pub(super) fn next_position(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX).saturating_add(1)
}
