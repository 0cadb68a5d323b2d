//! Fail points around what is kept.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use inspay_ledger::{
    Entry, Event, FreePlanDue, Hold, Limit, Lot, Profile, Renewal, Subscription, Touches,
    TransferRecord, Usage, UsageDay, UsageSums, WindowUse,
};
use inspay_ports::{
    AccountSummary, ApiKeyRecord, AssetHalt, AttributionProbe, BlocksCommit, BooksStore,
    CaseFilter, CaseRecord, CaseStore, CreditStore, CreditsDue, CursorRecord, Decide, DuePlace,
    FollowStore, FollowedCursor, FoundOrder, HaltStore, HaltsCommit, HistoryFilter, HistoryLine,
    IdempotencyClaim, LawViolation, LeaseClaim, LeaseRecord, LeaseStore, Linked, LotChange,
    NewOrder, OrderFilter, Page, PaymentClaim, RangeCommit, ReadStore, Rewind, SaleStore, Store,
    StoreError, StoredQuote, StoredResponse, SubscriptionStore, SystemBalance, TransferFilter,
    TransferTotals, TransferView, UsageFilter, WalletChallenge, WalletLinking, WalletRecord,
    WalletStore, WindowBlock,
};
use inspay_primitives::{
    AccountId, Address, AssetId, B256, CaseClosing, CaseId, CaseOpening, ChainId, Day, Fence,
    FencingNumber, HoldId, Label, LotId, Order, OrderId, QuoteId, Span, SubscriptionId, Timestamp,
    TransferId, UsageId,
};
use inspay_quoting::RateSample;

use super::{FailPoint, Place};

/// A store with a point before and after each call.
#[derive(Debug)]
pub(crate) struct FailingStore {
    pub(crate) inner: Arc<dyn Store>,
    pub(crate) point: Arc<FailPoint>,
}

macro_rules! calls {
    ($($list:ident: $port:ident { $($name:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)* })*) => {
        $(
            const $list: &[&str] = &[$(stringify!($name)),*];

            #[async_trait]
            impl $port for FailingStore {
                $(
                    async fn $name(&self, $($argument: $kind),*) -> Result<$answer, StoreError> {
                        self.point.pass(stringify!($name), Place::Before);
                        let answer = self.inner.$name($($argument),*).await;
                        self.point.pass(stringify!($name), Place::After);
                        answer
                    }
                )*
            }
        )*

        pub(super) const CALLS: &[&[&str]] = &[$($list),*];
    };
}

calls! {
    FOLLOWING: FollowStore {
        cursor(chain: ChainId) -> Option<CursorRecord>;
        window(chain: ChainId) -> Vec<WindowBlock>;
        commit_blocks(commit: BlocksCommit) -> ();
        commit_range(commit: RangeCommit) -> ();
        rewind(rewind: Rewind) -> ();
    }
    HALTS: HaltStore {
        halts(chain: ChainId) -> Vec<AssetHalt>;
        halted_transfers(chain: ChainId, limit: u32) -> Vec<TransferRecord>;
        commit_halts(commit: HaltsCommit) -> ();
    }
    LEASES: LeaseStore {
        lease(chain: ChainId) -> Option<LeaseRecord>;
        take_lease(claim: LeaseClaim) -> Option<FencingNumber>;
        renew_lease(fence: Fence, ttl: Duration) -> ();
        release_lease(fence: Fence) -> ();
        mark_checked(fence: Fence, checked: bool) -> ();
        followed(chain: ChainId) -> Option<FollowedCursor>;
    }
    BOOKS: BooksStore {
        transact(touches: Touches, decide: Decide) -> ();
        transfers_to_settle(chain: ChainId, after: Option<(u64, u32)>, up_to: u64, limit: u32) -> Vec<TransferRecord>;
        transfers_to_reverse(chain: ChainId, limit: u32) -> Vec<TransferRecord>;
        canonical_hashes(chain: ChainId, numbers: Vec<u64>) -> Vec<Option<B256>>;
        orders_for(probes: Vec<AttributionProbe>) -> Vec<FoundOrder>;
        has_orders_before(chain: ChainId, time: Timestamp) -> bool;
        orders_to_close(chain: ChainId, chain_time: Timestamp, limit: u32) -> Vec<OrderId>;
        oldest_unsettled_time(chain: ChainId) -> Option<Timestamp>;
        free_slots(chain: ChainId, finalized_number: u64, quarantined_before: Timestamp, limit: u32) -> u64;
        lots_to_expire(now: Timestamp, limit: u32) -> Vec<LotId>;
    }
    SALE: SaleStore {
        save_quote(quote: StoredQuote) -> ();
        quote(id: QuoteId) -> Option<StoredQuote>;
        create_order(order: NewOrder) -> Order;
        order(id: OrderId) -> Option<Order>;
        orders(filter: OrderFilter, page: Page) -> Vec<(i64, Order)>;
        held_slots(asset: AssetId, treasury: Address) -> u64;
        unpaid_orders(account: &AccountId) -> u64;
        save_rates(samples: Vec<(AssetId, RateSample)>) -> ();
        rates_at(wanted: Vec<(AssetId, Timestamp)>) -> Vec<Option<RateSample>>;
        create_key(key: ApiKeyRecord) -> ();
        key(hash: B256) -> Option<ApiKeyRecord>;
        keys() -> Vec<ApiKeyRecord>;
        revoke_key(label: &str, at: Timestamp) -> ();
        claim_idempotency(scope: &str, key: &str, fingerprint: B256, now: Timestamp, stale_before: Timestamp) -> IdempotencyClaim;
        answer_idempotency(scope: &str, key: &str, response: StoredResponse) -> ();
        abandon_idempotency(scope: &str, key: &str) -> ();
    }
    CREDITS: CreditStore {
        lot(id: LotId) -> Option<Lot>;
        hold(id: HoldId) -> Option<Hold>;
        holds(account: &AccountId, open_only: bool, page: Page) -> Vec<Hold>;
        usage(id: UsageId) -> Option<Usage>;
        usages(account: &AccountId, filter: UsageFilter, page: Page) -> Vec<Usage>;
        usage_days(account: &AccountId, from: Day, to: Day) -> Vec<(UsageDay, UsageSums)>;
        usage_sessions(account: &AccountId, span: Span, limit: u32) -> Vec<(Option<Label>, UsageSums)>;
        limits(account: &AccountId, now: Timestamp) -> Vec<(Limit, Option<WindowUse>)>;
        profile(account: &AccountId) -> Profile;
        lot_changes(lot: LotId, page: Page) -> Vec<LotChange>;
        credits_due(now: Timestamp, warn_until: Timestamp, limit: u32) -> CreditsDue;
    }
    CASES: CaseStore {
        open_case(opening: CaseOpening) -> CaseId;
        resolve_case(closing: CaseClosing) -> bool;
        case(id: CaseId) -> Option<CaseRecord>;
        cases(filter: CaseFilter, page: Page) -> Vec<CaseRecord>;
    }
    SUBSCRIPTIONS: SubscriptionStore {
        open_subscription(subscription: Subscription) -> ();
        subscription(id: SubscriptionId) -> Option<Subscription>;
        subscriptions(account: &AccountId) -> Vec<Subscription>;
        end_subscription(id: SubscriptionId, at: Timestamp) -> Option<Subscription>;
        subscriptions_due(now: Timestamp, after: Option<DuePlace>, limit: u32) -> Vec<Subscription>;
        note_renewed(renewals: Vec<Renewal>) -> ();
    }
    WALLETS: WalletStore {
        open_challenge(challenge: WalletChallenge) -> ();
        challenge(nonce: &str) -> Option<WalletChallenge>;
        link_wallet(linking: WalletLinking) -> Linked;
        unlink_wallet(account: &AccountId, chain: ChainId, wallet: Address, at: Timestamp) -> bool;
        wallets(account: &AccountId) -> Vec<WalletRecord>;
        wallet_owner(chain: ChainId, wallet: Address) -> Option<AccountId>;
        claim_payment(claim: PaymentClaim) -> bool;
        payment_claims(order: OrderId) -> Vec<PaymentClaim>;
        transfers_to_rejudge(chain: ChainId, limit: u32) -> Vec<TransferRecord>;
        rejudged(transfers: Vec<TransferId>) -> ();
        free_plans_due(limit: u32) -> Vec<FreePlanDue>;
        note_free_plans(wallets: Vec<Address>) -> ();
    }
    READS: ReadStore {
        transfer(id: TransferId) -> Option<TransferView>;
        transfers(filter: TransferFilter, page: Page) -> Vec<TransferView>;
        lots(account: &AccountId) -> Vec<Lot>;
        account(account: &AccountId) -> Option<AccountSummary>;
        accounts(after: Option<AccountId>, limit: u32) -> Vec<AccountSummary>;
        history(account: &AccountId, filter: HistoryFilter, page: Page) -> Vec<HistoryLine>;
        events(account: Option<&AccountId>, after: i64, limit: u32) -> Vec<Event>;
        entries(after: i64, limit: u32) -> Vec<Entry>;
        balances(with_accounts: bool) -> Vec<SystemBalance>;
        transfer_totals(asset: AssetId, treasury: Address, up_to: u64) -> TransferTotals;
        broken_laws() -> Vec<LawViolation>;
        laws_broken_beyond_entries() -> Vec<LawViolation>;
        journal_end() -> (i64, B256);
        ping() -> ();
        schema_versions() -> (i64, i64);
    }
}
