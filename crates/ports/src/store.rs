//! Keeping: what every store guarantees.
//!
//! Each method is one commit or one consistent read. Nothing is half written: a method that returns an
//! error has changed nothing. Uniqueness is the database's work, not a check before the write.

use std::sync::Arc;

use async_trait::async_trait;
use inspay_ledger::{BatchRows, Entry, Event, LedgerState, Lot, Touches, TransferRecord};
use inspay_primitives::{
    AccountId, Address, AssetId, B256, ChainId, LotId, Order, OrderId, QuoteId, Timestamp,
    TransferId,
};
use inspay_quoting::RateSample;

use crate::{
    AccountSummary, ApiKeyRecord, AttributionProbe, BlocksCommit, CaseStore, CreditStore,
    CursorRecord, FoundOrder, HaltStore, HistoryFilter, HistoryLine, IdempotencyClaim,
    LawViolation, LeaseStore, NewOrder, OrderFilter, Page, RangeCommit, Rewind, StoreError,
    StoredQuote, StoredResponse, SubscriptionStore, SystemBalance, TransferFilter, TransferTotals,
    TransferView, WalletStore, WindowBlock,
};

/// What the follower of a chain keeps.
#[async_trait]
pub trait FollowStore: Send + Sync + std::fmt::Debug {
    /// The cursor of a chain, if it was ever followed.
    async fn cursor(&self, chain: ChainId) -> Result<Option<CursorRecord>, StoreError>;

    /// The canonical blocks of the stored window, oldest first. Empty for a chain that was never followed.
    async fn window(&self, chain: ChainId) -> Result<Vec<WindowBlock>, StoreError>;

    /// Applies blocks near the head: flips the orphaned ones and their observations, records the added
    /// ones with their transfers, moves the cursor. One commit.
    ///
    /// A transfer that is known by its key takes the new observation and keeps its position, its generation
    /// and what was learned of its calldata; if it is settled and left the chain, or is settled at another
    /// amount, its row needs work again. One log between two treasuries is two transfers with one block hash
    /// and log index: out of one, in to the other. An orphaned block that comes back is flipped, not doubled.
    /// Blocks below `window_from` leave the window; transfers and their observations stay for ever.
    ///
    /// A transfer that still stands in another block is moved: its observation there is no longer canonical.
    ///
    /// Fails with `Fenced`, changing nothing, unless the chain's lease is held under the commit's number or was never
    /// held by anybody; with `CursorMoved` unless the cursor is at `expected_revision`. Refused,
    /// changing nothing: a second canonical block at one height, a transfer of another chain, and one transfer
    /// given twice in a commit, unless it is the same to the last field.
    async fn commit_blocks(&self, commit: BlocksCommit) -> Result<(), StoreError>;

    /// Records what finalized ranges brought and moves the cursor. One commit, in bulk. The same rules
    /// as [`Self::commit_blocks`]; a transfer that is already recorded is not doubled. The window afterwards
    /// is the cursor's tip alone, proven by [`crate::Proof::Range`].
    async fn commit_range(&self, commit: RangeCommit) -> Result<(), StoreError>;

    /// Takes every block above the new tip off the chain, with the transfers in it, and moves the cursor there. One
    /// commit. A block at the tip's height that is another one leaves too. Nothing is deleted: what is read again joins
    /// the chain again. Fails with `CursorMoved`, changing nothing, unless the cursor is at `expected_revision`.
    async fn rewind(&self, rewind: Rewind) -> Result<(), StoreError>;
}

/// What selling keeps: quotes, orders, rates, keys, idempotent answers.
#[async_trait]
pub trait SaleStore: Send + Sync + std::fmt::Debug {
    /// Keeps a quote.
    async fn save_quote(&self, quote: StoredQuote) -> Result<(), StoreError>;

    /// A quote.
    async fn quote(&self, id: QuoteId) -> Result<Option<StoredQuote>, StoreError>;

    /// Makes an order and, if need be, its account. `QuoteUsed` if another order has the quote, `SlotTaken` if a held
    /// slot of the same asset and treasury has its due amount; the same `request_key` again gives the order made before,
    /// as it stands now, whatever else the new one says. An order outside the exact amount lane holds no slot and is
    /// stopped by none.
    async fn create_order(&self, order: NewOrder) -> Result<Order, StoreError>;

    /// An order.
    async fn order(&self, id: OrderId) -> Result<Option<Order>, StoreError>;

    /// Orders, newest first, with the position that pages after them.
    async fn orders(
        &self,
        filter: OrderFilter,
        page: Page,
    ) -> Result<Vec<(i64, Order)>, StoreError>;

    /// How many slots of that asset and treasury are held.
    async fn held_slots(&self, asset: AssetId, treasury: Address) -> Result<u64, StoreError>;

    /// How many orders of an account are unpaid and keep something: time to be paid in, or an amount that nobody else may
    /// have. Orders made meanwhile may be missing.
    async fn unpaid_orders(&self, account: &AccountId) -> Result<u64, StoreError>;

    /// Keeps rate samples; a source's sample of one asset and time is kept once, as it was first told.
    async fn save_rates(&self, samples: Vec<(AssetId, RateSample)>) -> Result<(), StoreError>;

    /// For each asset and time, the newest sample kept that was observed at or before that time; in the order asked.
    /// Of several sources at the same time, the one whose name sorts first by its bytes.
    async fn rates_at(
        &self,
        wanted: Vec<(AssetId, Timestamp)>,
    ) -> Result<Vec<Option<RateSample>>, StoreError>;

    /// Keeps a new key. `Exists` if its label or its hash is taken.
    async fn create_key(&self, key: ApiKeyRecord) -> Result<(), StoreError>;

    /// The key with that hash, revoked or not.
    async fn key(&self, hash: B256) -> Result<Option<ApiKeyRecord>, StoreError>;

    /// All keys, oldest first.
    async fn keys(&self) -> Result<Vec<ApiKeyRecord>, StoreError>;

    /// Revokes a key; revoking it again changes nothing, not even the time. `NotFound` if there is none of that label.
    async fn revoke_key(&self, label: &str, at: Timestamp) -> Result<(), StoreError>;

    /// Claims an idempotency key for a request with that fingerprint. A claim that was never answered may be taken
    /// over by the same request once it was made before `stale_before`. Of any number of claims at once, one is fresh.
    async fn claim_idempotency(
        &self,
        scope: &str,
        key: &str,
        fingerprint: B256,
        now: Timestamp,
        stale_before: Timestamp,
    ) -> Result<IdempotencyClaim, StoreError>;

    /// Keeps the answer of a claimed key; the first answer stays. `NotFound` if the key is not claimed.
    async fn answer_idempotency(
        &self,
        scope: &str,
        key: &str,
        response: StoredResponse,
    ) -> Result<(), StoreError>;

    /// Forgets a claim that came to no answer, so that the request may be made again. An answer is never forgotten.
    async fn abandon_idempotency(&self, scope: &str, key: &str) -> Result<(), StoreError>;
}

/// The pure decision inside a batch: from the loaded state to the rows to write.
pub type Decide = Arc<dyn Fn(&mut LedgerState) -> BatchRows + Send + Sync>;

/// What settling keeps: the books.
#[async_trait]
pub trait BooksStore: Send + Sync + std::fmt::Debug {
    /// Loads what `touches` names in a fixed number of round trips, calls `decide`, writes its rows in bulk, commits
    /// once. What is committed was decided from the books as they stand before that commit: a store locks the head first,
    /// or writes only where the head has not moved since it was read or written by the batch before, and nothing is there
    /// that was taken for new; else it calls `decide` again with what is there now. The last call counts. Fails with `Fenced`, changing nothing and deciding nothing, unless every fence of `touches` holds, and
    /// goes on to hold until the commit. Transfers are locked against the follower. Nothing is written if the rows are
    /// empty.
    ///
    /// Rows that break a constraint are refused whole, with an error that is not transient. The constraints: one row
    /// per operation key, entry number, event number, account and unit, lot; one settlement and one reversal per transfer
    /// and generation; a reversal takes back a settlement; a generation above zero is settled only once the one before it
    /// is taken back. Whether an order's slot is held is not the books' to change: it stays as it is.
    async fn transact(&self, touches: Touches, decide: Decide) -> Result<(), StoreError>;

    /// Canonical transfers of a chain in blocks up to `up_to` that are not settled, oldest block first, at most `limit`;
    /// only those beyond `after`, if it is given: a block's number and the index of a log in it.
    async fn transfers_to_settle(
        &self,
        chain: ChainId,
        after: Option<(u64, u32)>,
        up_to: u64,
        limit: u32,
    ) -> Result<Vec<TransferRecord>, StoreError>;

    /// Settled transfers of a chain that left it or came back with another amount, oldest block first, at most `limit`.
    async fn transfers_to_reverse(
        &self,
        chain: ChainId,
        limit: u32,
    ) -> Result<Vec<TransferRecord>, StoreError>;

    /// The canonical hash at each height, as far as the window has them, in the order asked.
    async fn canonical_hashes(
        &self,
        chain: ChainId,
        numbers: Vec<u64>,
    ) -> Result<Vec<Option<B256>>, StoreError>;

    /// All orders that any probe might belong to: by reference (in whatever asset), or by exact amount among the
    /// held slots of its asset and treasury; unpaid ones in its asset and treasury whose last moment is not before its
    /// time, of the account that has proven its payer; and whatever was claimed for its chain transaction. Each order
    /// once for each way in which it was found, in no particular order.
    async fn orders_for(
        &self,
        probes: Vec<AttributionProbe>,
    ) -> Result<Vec<FoundOrder>, StoreError>;

    /// Whether any order of that chain was made at or before `time`.
    async fn has_orders_before(&self, chain: ChainId, time: Timestamp) -> Result<bool, StoreError>;

    /// Orders of a chain that are not paid and not closed, whose deadline and grace ended before `chain_time`, at
    /// most `limit`. A time in time is not before: an order whose last moment is `chain_time` is not due.
    async fn orders_to_close(
        &self,
        chain: ChainId,
        chain_time: Timestamp,
        limit: u32,
    ) -> Result<Vec<OrderId>, StoreError>;

    /// Block time of the oldest transfer of the chain that still needs work: to be settled, or to be taken back.
    async fn oldest_unsettled_time(&self, chain: ChainId) -> Result<Option<Timestamp>, StoreError>;

    /// Frees slots: of paid orders of the chain none of whose settled transfers lies above `finalized_number`, and of
    /// orders closed unpaid whose deadline lies before `quarantined_before`. Answers how many, at most `limit`. A transfer
    /// that was taken back no longer counts.
    async fn free_slots(
        &self,
        chain: ChainId,
        finalized_number: u64,
        quarantined_before: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError>;

    /// Lots that lapsed at or before `now` and have something left, at most `limit`.
    async fn lots_to_expire(&self, now: Timestamp, limit: u32) -> Result<Vec<LotId>, StoreError>;
}

/// Reads for people, programs and checks.
#[async_trait]
pub trait ReadStore: Send + Sync + std::fmt::Debug {
    /// One transfer.
    async fn transfer(&self, id: TransferId) -> Result<Option<TransferView>, StoreError>;

    /// Transfers, newest recorded first. Every part of the filter that is set must hold; attribution and suspense are
    /// those of the present generation.
    async fn transfers(
        &self,
        filter: TransferFilter,
        page: Page,
    ) -> Result<Vec<TransferView>, StoreError>;

    /// Lots of an account with something left, live or lapsed, soonest expiry first.
    async fn lots(&self, account: &AccountId) -> Result<Vec<Lot>, StoreError>;

    /// An account's credits by postings; `None` if it never appeared. It appears with its first order, at that order's
    /// time of making.
    async fn account(&self, account: &AccountId) -> Result<Option<AccountSummary>, StoreError>;

    /// Accounts by the bytes of their names, after `after`.
    async fn accounts(
        &self,
        after: Option<AccountId>,
        limit: u32,
    ) -> Result<Vec<AccountSummary>, StoreError>;

    /// What entries did to an account, newest first; the cursor is an entry's number.
    async fn history(
        &self,
        account: &AccountId,
        filter: HistoryFilter,
        page: Page,
    ) -> Result<Vec<HistoryLine>, StoreError>;

    /// Events in sequence after `after`; of one account only, if named.
    async fn events(
        &self,
        account: Option<&AccountId>,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError>;

    /// Entries in sequence after `after`, with postings and lots as granted, for recomputing hashes.
    async fn entries(&self, after: i64, limit: u32) -> Result<Vec<Entry>, StoreError>;

    /// Number and hash of the newest entry, as the head says; zero and [`inspay_ledger::GENESIS_HASH`] before the first.
    async fn journal_end(&self) -> Result<(i64, B256), StoreError>;

    /// All balances but those of accounts with credits, or theirs too.
    async fn balances(&self, with_accounts: bool) -> Result<Vec<SystemBalance>, StoreError>;

    /// Sums of the canonical transfers of an asset and treasury in blocks up to `up_to`, exact. A sum past 2^256 − 1 is
    /// an error, never a wrapped number.
    async fn transfer_totals(
        &self,
        asset: AssetId,
        treasury: Address,
        up_to: u64,
    ) -> Result<TransferTotals, StoreError>;

    /// Runs the laws that are SQL; rows only where one is broken.
    ///
    /// At least: an entry's postings sum to zero per unit; entries and events are numbered without gaps, each entry points
    /// to the hash of the one before it, and the head is at their end; every entry was made by a stored operation that
    /// says so; balances equal the sums of postings, and no account that was posted to lacks one; a transfer is marked
    /// settled exactly when its present generation has a settlement that was not taken back, at that amount; what is
    /// settled in and out of an asset's treasuries is what its treasury account holds; an order received the sum of
    /// the settlements that pay for it in time; a lot's parts add up to what was granted, and are what entries moved;
    /// what is posted to an account is what its lots have left, and what is posted to its holds what open holds have;
    /// days of usage add up to the spends; a transfer is canonical exactly when one observation of it is, at its
    /// place.
    async fn broken_laws(&self) -> Result<Vec<LawViolation>, StoreError>;

    /// As [`Self::broken_laws`], for one who reads every entry besides: what an entry and the one before it show, its
    /// sums, its number and its link, need not be told.
    async fn laws_broken_beyond_entries(&self) -> Result<Vec<LawViolation>, StoreError>;

    /// Whether the database answers.
    async fn ping(&self) -> Result<(), StoreError>;

    /// The newest migration that is applied, and the newest this release knows.
    async fn schema_versions(&self) -> Result<(i64, i64), StoreError>;
}

/// Everything a gateway keeps.
pub trait Store:
    FollowStore
    + HaltStore
    + LeaseStore
    + SaleStore
    + BooksStore
    + CreditStore
    + CaseStore
    + SubscriptionStore
    + WalletStore
    + ReadStore
{
}

impl<T> Store for T where
    T: FollowStore
        + HaltStore
        + LeaseStore
        + SaleStore
        + BooksStore
        + CreditStore
        + CaseStore
        + SubscriptionStore
        + WalletStore
        + ReadStore
{
}
