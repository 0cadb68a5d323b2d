//! The store's port of one process.
//!
//! A write and its check are one: nothing else runs in between.

use std::{
    sync::{Arc, Mutex as StdMutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use inspay_ledger::{
    BatchRows, Entry, Event as LedgerEvent, FreePlanDue, Hold, Limit, Lot, Profile, Renewal,
    Subscription, Touches, TransferRecord, Usage, UsageDay, UsageSums, WindowUse,
};
use inspay_ports::{
    AccountSummary, ApiKeyRecord, AssetHalt, AttributionProbe, BlocksCommit, BooksStore,
    CaseFilter, CaseRecord, CaseStore, CreditStore, CreditsDue, CursorRecord, Decide, DuePlace,
    FollowStore, FollowedCursor, FoundOrder, HaltStore, HaltsCommit, HistoryFilter, HistoryLine,
    IdempotencyClaim, LawViolation, LeaseClaim, LeaseRecord, LeaseStore, Linked, LotChange,
    NewOrder, OrderFilter, Page, PaymentClaim, RangeCommit, ReadStore, Rewind, SaleStore,
    StoreError, StoreErrorKind, StoredQuote, StoredResponse, SubscriptionStore, SystemBalance,
    TransferFilter, TransferTotals, TransferView, UsageFilter, WalletChallenge, WalletLinking,
    WalletRecord, WalletStore, WindowBlock, fake::FakeStore,
};
use inspay_primitives::{
    AccountId, Address, AssetId, B256, CaseClosing, CaseId, CaseOpening, ChainId, Day, Fence,
    FencingNumber, HoldId, Label, LotId, Order, OrderId, QuoteId, Span, SubscriptionId, Timestamp,
    TransferId, UsageId,
};
use inspay_quoting::RateSample;
use tokio::{sync::Mutex, time::Instant};

use crate::{chaos::Chaos, endpoint::Shared, journal::Event, laws::Laws, plant::Plant};

/// The fake store behind the process's troubles.
#[derive(Debug)]
pub(crate) struct SimStore {
    pub(crate) inner: Arc<FakeStore>,
    pub(crate) laws: Arc<Mutex<Laws>>,
    pub(crate) chaos: Arc<Chaos>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) plant: Option<Plant>,
    /// The cursor as it was read once, for the bug that does not read it again.
    pub(crate) stale: StdMutex<Option<(Instant, FollowedCursor)>>,
    pub(crate) inner_time: Arc<StoreTime>,
}

/// The world's time as the store's own clock was last told it.
#[derive(Debug)]
pub(crate) struct StoreTime(StdMutex<Instant>);

impl StoreTime {
    pub(crate) fn new() -> Self {
        Self(StdMutex::new(Instant::now()))
    }

    fn keep(&self, store: &FakeStore) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        store.pass(now.saturating_duration_since(*told));
        *told = now;
    }
}

/// So long a planted bug believes what it has read.
const STALE: Duration = Duration::from_secs(15);

impl SimStore {
    /// Makes a call with the store's own clock at the world's time.
    async fn on_time<T>(&self, act: impl Future<Output = T>) -> T {
        self.inner_time.keep(&self.inner);
        act.await
    }

    async fn checked_blocks(&self, commit: BlocksCommit) -> Result<(), StoreError> {
        let mut laws = self.laws.lock().await;
        self.inner_time.keep(&self.inner);
        let written = self.inner.commit_blocks(commit.clone()).await;
        match &written {
            Ok(()) => laws.applied(&commit).await,
            Err(error) => self.count_moved(error),
        }
        written
    }

    async fn checked_range(&self, commit: RangeCommit) -> Result<(), StoreError> {
        let mut laws = self.laws.lock().await;
        self.inner_time.keep(&self.inner);
        let written = self.inner.commit_range(commit.clone()).await;
        match &written {
            Ok(()) => laws.ranged(&commit).await,
            Err(error) => self.count_moved(error),
        }
        written
    }

    fn count_moved(&self, error: &StoreError) {
        if matches!(error.kind, StoreErrorKind::CursorMoved) {
            self.shared.journal.saw(Event::CursorMoved);
        }
        if matches!(error.kind, StoreErrorKind::Fenced) {
            self.shared.journal.saw(Event::Fenced);
        }
    }

    async fn checked_batch(&self, touches: Touches, decide: Decide) -> Result<(), StoreError> {
        let mut laws = self.laws.lock().await;
        let chain = crate::chain::CHAIN;
        self.inner_time.keep(&self.inner);
        let oldest = self.inner.oldest_unsettled_time(chain).await?;
        let written: Arc<StdMutex<Option<BatchRows>>> = Arc::default();
        let seen = Arc::clone(&written);
        let plant = self.plant;
        let watched: Decide = Arc::new(move |state| {
            // The books look once more before they close an order: the bug is that nobody does.
            if plant == Some(Plant::OldBranchCloses) {
                state.chains.clear();
            }
            if plant == Some(Plant::ClosedTooEarly) {
                state.chains.values_mut().for_each(|chain| chain.oldest_unsettled = None);
            }
            let rows = decide(state);
            *seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(rows.clone());
            rows
        });
        let written_now = self.inner.transact(touches, watched).await;
        if let Err(error) = &written_now {
            self.count_moved(error);
        }
        written_now?;
        let rows = written.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(rows) = rows {
            laws.posted(&rows, oldest).await;
        }
        Ok(())
    }
}

#[async_trait]
impl FollowStore for SimStore {
    async fn cursor(&self, chain: ChainId) -> Result<Option<CursorRecord>, StoreError> {
        if self.plant == Some(Plant::StaleCursor) {
            let known = *self.stale.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, known)) = known.filter(|(at, _)| at.elapsed() < STALE) {
                return Ok(Some(known.cursor));
            }
        }
        self.chaos.store("cursor", false, self.inner.cursor(chain)).await
    }

    async fn window(&self, chain: ChainId) -> Result<Vec<WindowBlock>, StoreError> {
        self.chaos.store("window", false, self.inner.window(chain)).await
    }

    async fn commit_blocks(&self, mut commit: BlocksCommit) -> Result<(), StoreError> {
        if let Some(plant) = self.plant {
            plant.spoil_commit(&self.inner, &mut commit).await;
        }
        let has_rows = commit.added.iter().any(|applied| !applied.transfers.is_empty());
        if self.plant == Some(Plant::CursorBeforeRows) && has_rows {
            let mut bare = commit.clone();
            for applied in &mut bare.added {
                applied.transfers.clear();
            }
            self.chaos.store("commit a cursor", true, self.checked_blocks(bare)).await?;
            commit.expected_revision = Some(commit.cursor.revision);
            commit.orphaned.clear();
            return self.chaos.store("commit rows", true, self.inner.commit_blocks(commit)).await;
        }
        self.chaos.store("commit blocks", true, self.checked_blocks(commit)).await
    }

    async fn rewind(&self, rewind: Rewind) -> Result<(), StoreError> {
        self.inner.rewind(rewind).await
    }

    async fn commit_range(&self, mut commit: RangeCommit) -> Result<(), StoreError> {
        if self.plant == Some(Plant::AuditSkipped) {
            commit.cursor.audited_to = commit.cursor.tip.number;
        }
        self.chaos.store("commit a range", true, self.checked_range(commit)).await
    }
}

#[async_trait]
impl HaltStore for SimStore {
    async fn halts(&self, chain: ChainId) -> Result<Vec<AssetHalt>, StoreError> {
        self.chaos.store("halts", false, self.inner.halts(chain)).await
    }

    async fn halted_transfers(
        &self,
        chain: ChainId,
        limit: u32,
    ) -> Result<Vec<TransferRecord>, StoreError> {
        let found = self.inner.halted_transfers(chain, limit);
        self.chaos.store("halted transfers", false, found).await
    }

    async fn commit_halts(&self, commit: HaltsCommit) -> Result<(), StoreError> {
        let committed = self.on_time(self.inner.commit_halts(commit));
        self.chaos.store("commit halts", true, committed).await
    }
}

#[async_trait]
impl CaseStore for SimStore {
    async fn open_case(&self, opening: CaseOpening) -> Result<CaseId, StoreError> {
        self.chaos.store("open a case", true, self.inner.open_case(opening)).await
    }

    async fn resolve_case(&self, closing: CaseClosing) -> Result<bool, StoreError> {
        self.chaos.store("resolve a case", true, self.inner.resolve_case(closing)).await
    }

    async fn case(&self, id: CaseId) -> Result<Option<CaseRecord>, StoreError> {
        self.chaos.store("case", false, self.inner.case(id)).await
    }

    async fn cases(&self, filter: CaseFilter, page: Page) -> Result<Vec<CaseRecord>, StoreError> {
        self.chaos.store("cases", false, self.inner.cases(filter, page)).await
    }
}

#[async_trait]
impl CreditStore for SimStore {
    async fn lot(&self, id: LotId) -> Result<Option<Lot>, StoreError> {
        self.chaos.store("lot", false, self.inner.lot(id)).await
    }

    async fn hold(&self, id: HoldId) -> Result<Option<Hold>, StoreError> {
        self.chaos.store("hold", false, self.inner.hold(id)).await
    }

    async fn holds(
        &self,
        account: &AccountId,
        open_only: bool,
        page: Page,
    ) -> Result<Vec<Hold>, StoreError> {
        self.chaos.store("holds", false, self.inner.holds(account, open_only, page)).await
    }

    async fn usage(&self, id: UsageId) -> Result<Option<Usage>, StoreError> {
        self.chaos.store("usage", false, self.inner.usage(id)).await
    }

    async fn usages(
        &self,
        account: &AccountId,
        filter: UsageFilter,
        page: Page,
    ) -> Result<Vec<Usage>, StoreError> {
        self.chaos.store("usages", false, self.inner.usages(account, filter, page)).await
    }

    async fn usage_days(
        &self,
        account: &AccountId,
        from: Day,
        to: Day,
    ) -> Result<Vec<(UsageDay, UsageSums)>, StoreError> {
        self.chaos.store("usage days", false, self.inner.usage_days(account, from, to)).await
    }

    async fn usage_sessions(
        &self,
        account: &AccountId,
        span: Span,
        limit: u32,
    ) -> Result<Vec<(Option<Label>, UsageSums)>, StoreError> {
        self.chaos.store("sessions", false, self.inner.usage_sessions(account, span, limit)).await
    }

    async fn limits(
        &self,
        account: &AccountId,
        now: Timestamp,
    ) -> Result<Vec<(Limit, Option<WindowUse>)>, StoreError> {
        self.chaos.store("limits", false, self.inner.limits(account, now)).await
    }

    async fn profile(&self, account: &AccountId) -> Result<Profile, StoreError> {
        self.chaos.store("profile", false, self.inner.profile(account)).await
    }

    async fn lot_changes(&self, lot: LotId, page: Page) -> Result<Vec<LotChange>, StoreError> {
        self.chaos.store("lot changes", false, self.inner.lot_changes(lot, page)).await
    }

    async fn credits_due(
        &self,
        now: Timestamp,
        warn_until: Timestamp,
        limit: u32,
    ) -> Result<CreditsDue, StoreError> {
        self.chaos.store("credits due", false, self.inner.credits_due(now, warn_until, limit)).await
    }
}

#[async_trait]
impl SubscriptionStore for SimStore {
    async fn open_subscription(&self, subscription: Subscription) -> Result<(), StoreError> {
        let opened = self.inner.open_subscription(subscription);
        self.chaos.store("open subscription", true, opened).await
    }

    async fn subscription(&self, id: SubscriptionId) -> Result<Option<Subscription>, StoreError> {
        self.chaos.store("subscription", false, self.inner.subscription(id)).await
    }

    async fn subscriptions(&self, account: &AccountId) -> Result<Vec<Subscription>, StoreError> {
        self.chaos.store("subscriptions", false, self.inner.subscriptions(account)).await
    }

    async fn end_subscription(
        &self,
        id: SubscriptionId,
        at: Timestamp,
    ) -> Result<Option<Subscription>, StoreError> {
        self.chaos.store("end subscription", true, self.inner.end_subscription(id, at)).await
    }

    async fn subscriptions_due(
        &self,
        now: Timestamp,
        after: Option<DuePlace>,
        limit: u32,
    ) -> Result<Vec<Subscription>, StoreError> {
        let due = self.inner.subscriptions_due(now, after, limit);
        self.chaos.store("due subscriptions", false, due).await
    }

    async fn note_renewed(&self, renewals: Vec<Renewal>) -> Result<(), StoreError> {
        self.chaos.store("note renewals", true, self.inner.note_renewed(renewals)).await
    }
}

#[async_trait]
impl WalletStore for SimStore {
    async fn open_challenge(&self, challenge: WalletChallenge) -> Result<(), StoreError> {
        self.chaos.store("open challenge", true, self.inner.open_challenge(challenge)).await
    }

    async fn challenge(&self, nonce: &str) -> Result<Option<WalletChallenge>, StoreError> {
        self.chaos.store("challenge", false, self.inner.challenge(nonce)).await
    }

    async fn link_wallet(&self, linking: WalletLinking) -> Result<Linked, StoreError> {
        self.chaos.store("link wallet", true, self.inner.link_wallet(linking)).await
    }

    async fn unlink_wallet(
        &self,
        account: &AccountId,
        chain: ChainId,
        wallet: Address,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        self.chaos
            .store("unlink wallet", true, self.inner.unlink_wallet(account, chain, wallet, at))
            .await
    }

    async fn wallets(&self, account: &AccountId) -> Result<Vec<WalletRecord>, StoreError> {
        self.chaos.store("wallets", false, self.inner.wallets(account)).await
    }

    async fn wallet_owner(
        &self,
        chain: ChainId,
        wallet: Address,
    ) -> Result<Option<AccountId>, StoreError> {
        self.chaos.store("wallet owner", false, self.inner.wallet_owner(chain, wallet)).await
    }

    async fn claim_payment(&self, claim: PaymentClaim) -> Result<bool, StoreError> {
        self.chaos.store("claim payment", true, self.inner.claim_payment(claim)).await
    }

    async fn payment_claims(&self, order: OrderId) -> Result<Vec<PaymentClaim>, StoreError> {
        self.chaos.store("payment claims", false, self.inner.payment_claims(order)).await
    }

    async fn transfers_to_rejudge(
        &self,
        chain: ChainId,
        limit: u32,
    ) -> Result<Vec<TransferRecord>, StoreError> {
        self.chaos
            .store("transfers to rejudge", false, self.inner.transfers_to_rejudge(chain, limit))
            .await
    }

    async fn rejudged(&self, transfers: Vec<TransferId>) -> Result<(), StoreError> {
        self.chaos.store("rejudged", true, self.inner.rejudged(transfers)).await
    }

    /// Nobody proves a wallet here: it asks nothing of chance, so that seeds stay what they are.
    async fn free_plans_due(&self, limit: u32) -> Result<Vec<FreePlanDue>, StoreError> {
        self.inner.free_plans_due(limit).await
    }

    async fn note_free_plans(&self, wallets: Vec<Address>) -> Result<(), StoreError> {
        self.chaos.store("note free plans", true, self.inner.note_free_plans(wallets)).await
    }
}

#[async_trait]
impl LeaseStore for SimStore {
    async fn lease(&self, chain: ChainId) -> Result<Option<LeaseRecord>, StoreError> {
        self.chaos.store("lease", false, self.on_time(self.inner.lease(chain))).await
    }

    async fn take_lease(&self, claim: LeaseClaim) -> Result<Option<FencingNumber>, StoreError> {
        let taken = self.on_time(self.inner.take_lease(claim));
        let taken = self.chaos.store("take the lease", true, taken).await?;
        if let Some(number) = taken {
            self.shared.journal.saw(Event::LeaseTaken);
            self.shared.journal.tell(format_args!("lease taken under {number}"));
        }
        Ok(taken)
    }

    async fn renew_lease(&self, fence: Fence, ttl: Duration) -> Result<(), StoreError> {
        let renewed = self.on_time(self.inner.renew_lease(fence, ttl));
        self.chaos.store("renew the lease", true, renewed).await
    }

    async fn release_lease(&self, fence: Fence) -> Result<(), StoreError> {
        let released = self.on_time(self.inner.release_lease(fence));
        self.chaos.store("release the lease", true, released).await
    }

    async fn mark_checked(&self, fence: Fence, checked: bool) -> Result<(), StoreError> {
        let marked = self.on_time(self.inner.mark_checked(fence, checked));
        self.chaos.store("mark checked", true, marked).await
    }

    async fn followed(&self, chain: ChainId) -> Result<Option<FollowedCursor>, StoreError> {
        let is_stale = self.plant == Some(Plant::StaleCursor);
        let known = *self.stale.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.filter(|(at, _)| is_stale && at.elapsed() < STALE);
        if let Some((_, known)) = known {
            return Ok(Some(known));
        }
        let read = self.on_time(self.inner.followed(chain));
        let read = self.chaos.store("followed", false, read).await?;
        *self.stale.lock().unwrap_or_else(PoisonError::into_inner) =
            read.map(|read| (Instant::now(), read));
        Ok(read)
    }
}

#[async_trait]
impl SaleStore for SimStore {
    async fn save_quote(&self, quote: StoredQuote) -> Result<(), StoreError> {
        self.inner.save_quote(quote).await
    }

    async fn quote(&self, id: QuoteId) -> Result<Option<StoredQuote>, StoreError> {
        self.inner.quote(id).await
    }

    async fn create_order(&self, order: NewOrder) -> Result<Order, StoreError> {
        self.inner.create_order(order).await
    }

    async fn order(&self, id: OrderId) -> Result<Option<Order>, StoreError> {
        self.inner.order(id).await
    }

    async fn orders(
        &self,
        filter: OrderFilter,
        page: Page,
    ) -> Result<Vec<(i64, Order)>, StoreError> {
        self.inner.orders(filter, page).await
    }

    async fn held_slots(&self, asset: AssetId, treasury: Address) -> Result<u64, StoreError> {
        self.inner.held_slots(asset, treasury).await
    }

    async fn unpaid_orders(&self, account: &AccountId) -> Result<u64, StoreError> {
        self.inner.unpaid_orders(account).await
    }

    async fn save_rates(&self, samples: Vec<(AssetId, RateSample)>) -> Result<(), StoreError> {
        self.inner.save_rates(samples).await
    }

    async fn rates_at(
        &self,
        wanted: Vec<(AssetId, Timestamp)>,
    ) -> Result<Vec<Option<RateSample>>, StoreError> {
        self.chaos.store("rates", false, self.inner.rates_at(wanted)).await
    }

    async fn create_key(&self, key: ApiKeyRecord) -> Result<(), StoreError> {
        self.inner.create_key(key).await
    }

    async fn key(&self, hash: B256) -> Result<Option<ApiKeyRecord>, StoreError> {
        self.inner.key(hash).await
    }

    async fn keys(&self) -> Result<Vec<ApiKeyRecord>, StoreError> {
        self.inner.keys().await
    }

    async fn revoke_key(&self, label: &str, at: Timestamp) -> Result<(), StoreError> {
        self.inner.revoke_key(label, at).await
    }

    async fn claim_idempotency(
        &self,
        scope: &str,
        key: &str,
        fingerprint: B256,
        now: Timestamp,
        stale_before: Timestamp,
    ) -> Result<IdempotencyClaim, StoreError> {
        self.inner.claim_idempotency(scope, key, fingerprint, now, stale_before).await
    }

    async fn answer_idempotency(
        &self,
        scope: &str,
        key: &str,
        response: StoredResponse,
    ) -> Result<(), StoreError> {
        self.inner.answer_idempotency(scope, key, response).await
    }

    async fn abandon_idempotency(&self, scope: &str, key: &str) -> Result<(), StoreError> {
        self.inner.abandon_idempotency(scope, key).await
    }
}

#[async_trait]
impl BooksStore for SimStore {
    async fn transact(&self, touches: Touches, decide: Decide) -> Result<(), StoreError> {
        self.chaos.store("transact", true, self.checked_batch(touches, decide)).await
    }

    async fn transfers_to_settle(
        &self,
        chain: ChainId,
        after: Option<(u64, u32)>,
        up_to: u64,
        limit: u32,
    ) -> Result<Vec<TransferRecord>, StoreError> {
        let asked = self.inner.transfers_to_settle(chain, after, up_to, limit);
        self.chaos.store("transfers to settle", false, asked).await
    }

    async fn transfers_to_reverse(
        &self,
        chain: ChainId,
        limit: u32,
    ) -> Result<Vec<TransferRecord>, StoreError> {
        if self.plant == Some(Plant::ReversalSkipped) {
            return Ok(Vec::new());
        }
        let asked = self.inner.transfers_to_reverse(chain, limit);
        self.chaos.store("transfers to reverse", false, asked).await
    }

    async fn canonical_hashes(
        &self,
        chain: ChainId,
        numbers: Vec<u64>,
    ) -> Result<Vec<Option<B256>>, StoreError> {
        let asked = self.inner.canonical_hashes(chain, numbers);
        self.chaos.store("canonical hashes", false, asked).await
    }

    async fn orders_for(
        &self,
        probes: Vec<AttributionProbe>,
    ) -> Result<Vec<FoundOrder>, StoreError> {
        self.chaos.store("orders for", false, self.inner.orders_for(probes)).await
    }

    async fn has_orders_before(&self, chain: ChainId, time: Timestamp) -> Result<bool, StoreError> {
        self.chaos.store("has orders", false, self.inner.has_orders_before(chain, time)).await
    }

    async fn orders_to_close(
        &self,
        chain: ChainId,
        chain_time: Timestamp,
        limit: u32,
    ) -> Result<Vec<OrderId>, StoreError> {
        let asked = self.inner.orders_to_close(chain, chain_time, limit);
        self.chaos.store("orders to close", false, asked).await
    }

    async fn oldest_unsettled_time(&self, chain: ChainId) -> Result<Option<Timestamp>, StoreError> {
        if self.plant == Some(Plant::ClosedTooEarly) {
            return Ok(None);
        }
        self.chaos.store("oldest unsettled", false, self.inner.oldest_unsettled_time(chain)).await
    }

    async fn free_slots(
        &self,
        chain: ChainId,
        finalized_number: u64,
        quarantined_before: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let before = match self.plant {
            Some(Plant::SlotFreedAtExpiry) => Timestamp::FAR,
            Some(_) | None => quarantined_before,
        };
        let asked = self.inner.free_slots(chain, finalized_number, before, limit);
        let freed = self.chaos.store("free slots", true, asked).await?;
        self.shared.journal.saw_times(Event::SlotsFreed, freed);
        Ok(freed)
    }

    async fn lots_to_expire(&self, now: Timestamp, limit: u32) -> Result<Vec<LotId>, StoreError> {
        self.chaos.store("lots to expire", false, self.inner.lots_to_expire(now, limit)).await
    }
}

#[async_trait]
impl ReadStore for SimStore {
    async fn transfer(&self, id: TransferId) -> Result<Option<TransferView>, StoreError> {
        self.inner.transfer(id).await
    }

    async fn transfers(
        &self,
        filter: TransferFilter,
        page: Page,
    ) -> Result<Vec<TransferView>, StoreError> {
        self.inner.transfers(filter, page).await
    }

    async fn lots(&self, account: &AccountId) -> Result<Vec<Lot>, StoreError> {
        self.inner.lots(account).await
    }

    async fn account(&self, account: &AccountId) -> Result<Option<AccountSummary>, StoreError> {
        self.inner.account(account).await
    }

    async fn accounts(
        &self,
        after: Option<AccountId>,
        limit: u32,
    ) -> Result<Vec<AccountSummary>, StoreError> {
        self.inner.accounts(after, limit).await
    }

    async fn history(
        &self,
        account: &AccountId,
        filter: HistoryFilter,
        page: Page,
    ) -> Result<Vec<HistoryLine>, StoreError> {
        self.inner.history(account, filter, page).await
    }

    async fn events(
        &self,
        account: Option<&AccountId>,
        after: i64,
        limit: u32,
    ) -> Result<Vec<LedgerEvent>, StoreError> {
        self.inner.events(account, after, limit).await
    }

    async fn entries(&self, after: i64, limit: u32) -> Result<Vec<Entry>, StoreError> {
        self.inner.entries(after, limit).await
    }

    async fn balances(&self, with_accounts: bool) -> Result<Vec<SystemBalance>, StoreError> {
        self.inner.balances(with_accounts).await
    }

    async fn transfer_totals(
        &self,
        asset: AssetId,
        treasury: Address,
        up_to: u64,
    ) -> Result<TransferTotals, StoreError> {
        let asked = self.inner.transfer_totals(asset, treasury, up_to);
        self.chaos.store("transfer totals", false, asked).await
    }

    async fn broken_laws(&self) -> Result<Vec<LawViolation>, StoreError> {
        self.inner.broken_laws().await
    }

    async fn laws_broken_beyond_entries(&self) -> Result<Vec<LawViolation>, StoreError> {
        self.inner.laws_broken_beyond_entries().await
    }

    async fn journal_end(&self) -> Result<(i64, B256), StoreError> {
        self.inner.journal_end().await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.inner.ping().await
    }

    async fn schema_versions(&self) -> Result<(i64, i64), StoreError> {
        self.inner.schema_versions().await
    }
}
