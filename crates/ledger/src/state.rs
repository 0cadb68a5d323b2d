//! What a batch of operations needs to know, and what it changes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use inspay_primitives::{
    AccountId, AssetId, B256, CaseClosing, CaseOpening, ChainId, Credits, Day, Fence, HoldId,
    Label, LimitId, LotId, Order, OrderId, OrderProgress, Reference, Timestamp, Transfer,
    TransferId, U256, UsageId, Usd, Zone,
};

use crate::{
    BookAccount, ChainProgress, Entry, Event, Evidence, GENESIS_HASH, Hold, IgnoreReason, Limit,
    LimitScope, Lot, LotParts, OperationKey, Refusal, Resolution, Side, SuspenseReason, Unit,
    Usage, WindowUse,
};

/// The end of the journal, locked by whoever writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Sequence number of the newest entry; zero when there is none.
    pub entry_seq: i64,
    /// Hash of the newest entry.
    pub entry_hash: B256,
    /// Sequence number of the newest event; zero when there is none.
    pub event_seq: i64,
    /// The highest account number given out.
    pub account_number: i64,
    /// When the newest entry was booked.
    pub booked_at: Timestamp,
}

impl Head {
    /// The head of empty books.
    pub const GENESIS: Self = Self {
        entry_seq: 0,
        entry_hash: GENESIS_HASH,
        event_seq: 0,
        account_number: 0,
        booked_at: Timestamp::from_micros(0),
    };
}

/// What a settlement did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SettlementKind {
    /// Paid for an order in time.
    Order,
    /// Paid for an order late, at the rate of its block time.
    Late,
    /// Belongs to nothing yet.
    Suspense,
    /// Left the treasury.
    Withdrawal,
    /// Moves nothing.
    Ignored,
}

impl SettlementKind {
    /// Every kind.
    pub const ALL: [Self; 5] =
        [Self::Order, Self::Late, Self::Suspense, Self::Withdrawal, Self::Ignored];

    /// The kind as stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Late => "late",
            Self::Suspense => "suspense",
            Self::Withdrawal => "withdrawal",
            Self::Ignored => "ignored",
        }
    }

    /// Reads what [`Self::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// The recorded decision on one generation of a transfer. Append-only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// The transfer.
    pub transfer: TransferId,
    /// How often it had been reversed before.
    pub generation: u32,
    /// What was done.
    pub kind: SettlementKind,
    /// The order it pays for.
    pub order: Option<OrderId>,
    /// Why it belongs to that order.
    pub evidence: Option<Evidence>,
    /// Why it lies in suspense.
    pub suspense: Option<SuspenseReason>,
    /// Why it is ignored.
    pub ignored: Option<IgnoreReason>,
    /// Orders it might belong to, best first.
    pub candidates: Vec<OrderId>,
    /// What moved, as it was settled.
    pub base_units: U256,
    /// What it granted by itself; zero for part payments.
    pub credits: Credits,
    /// What it was worth when it was received.
    pub value: Option<Usd>,
    /// The block it was settled in.
    pub block_hash: B256,
    /// The entry it posted.
    pub entry_seq: Option<i64>,
    /// When it was booked.
    pub settled_at: Timestamp,
}

/// The taking back of one generation of a settlement. Append-only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reversal {
    /// The transfer.
    pub transfer: TransferId,
    /// The generation that was taken back.
    pub generation: u32,
    /// The entry that took it back.
    pub entry_seq: Option<i64>,
    /// When it was booked.
    pub reversed_at: Timestamp,
}

/// A recorded transfer as the ledger sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferRecord {
    /// As last observed.
    pub transfer: Transfer,
    /// Whether that observation is on the canonical chain.
    pub canonical: bool,
    /// How often it has been reversed.
    pub generation: u32,
    /// The settlement of this generation, if it was made.
    pub settlement: Option<Settlement>,
}

impl TransferRecord {
    /// Whether the settlement must be taken back: its block left the chain.
    ///
    /// A transfer that is mined again stands in another block, whose confirmations count anew and in
    /// which it may have moved another amount or come from another sender. A block that comes back is
    /// the block it was.
    #[must_use]
    pub fn must_reverse(&self) -> bool {
        self.settlement.as_ref().is_some_and(|settled| {
            !self.canonical || settled.block_hash != self.transfer.block.hash
        })
    }
}

/// One account in one unit, with all that was ever posted to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountBalance {
    /// Number of the row.
    pub number: i64,
    /// Sum of its debits.
    pub debits: U256,
    /// Sum of its credits.
    pub credits: U256,
}

/// A stored outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredOperation {
    /// What was asked.
    pub fingerprint: B256,
    /// The entry it made.
    pub entry_seq: Option<i64>,
    /// Why it was refused; `None` where it was done.
    pub refusal: Option<Refusal>,
}

/// What a limit that is set begins with: what was held and spent in its present window before.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LimitBasis {
    /// The limit.
    pub limit: LimitId,
    /// Whose.
    pub account: AccountId,
    /// What counts.
    pub scope: LimitScope,
    /// Since when.
    pub from: Timestamp,
}

/// What an account has set for itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// The zone that its days and months are counted in.
    pub zone: Zone,
    /// Balances below which its owner is told, descending.
    pub balance_alerts: Vec<Credits>,
    /// The lowest of them that was told, and the newest lot there was then: a newer one arms them again.
    pub told: Option<(Credits, LotId)>,
}

/// What a batch touches: what a store must load before [`crate::apply()`].
///
/// A store loads: the head (locked); outcomes of `keys`; `transfers` with the settlement of their
/// present generation; `orders` and the orders of those settlements; `lots`, the lots of those
/// transfers, and the lots of those orders; how far settling has come on the chains of `closes`; which of the assets
/// of those transfers and orders are halted; `holds`, and open holds of `spenders` that have run out by `due_by`;
/// `usages`; then, for each of [`LedgerState::spenders`], every lot with something left, its profile, its limits, and
/// their windows that end after [`LedgerState::windows_since`]; the lots of all slices; what `bases` asks for; which
/// of `granted` exist; the balances of [`LedgerState::accounts_touched`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touches {
    /// Operation keys.
    pub keys: BTreeSet<OperationKey>,
    /// Transfers.
    pub transfers: BTreeSet<TransferId>,
    /// Orders named by operations.
    pub orders: BTreeSet<OrderId>,
    /// Those of the orders that are to be closed: a store loads how far settling has come on their chains.
    pub closes: BTreeSet<OrderId>,
    /// Lots named by operations.
    pub lots: BTreeSet<LotId>,
    /// Holds named by operations.
    pub holds: BTreeSet<HoldId>,
    /// Spends named by operations.
    pub usages: BTreeSet<UsageId>,
    /// Accounts whose credits are spent, or whose limits or profile are set.
    pub spenders: BTreeSet<AccountId>,
    /// Accounts that are granted credits without a payment.
    pub granted: BTreeSet<AccountId>,
    /// Accounts of the books that operations name outright.
    pub shared: BTreeSet<BookAccount>,
    /// What limits that are set begin with.
    pub bases: BTreeSet<LimitBasis>,
    /// Whether settlements are taken back: then the credits of their orders' owners are touched too.
    pub reverses: bool,
    /// Until when holds must have run out to be given back before anything else is decided.
    pub due_by: Timestamp,
    /// What the operations were decided under: a store refuses the batch, whole, unless every one of these holdings is
    /// the present one of its chain, has not run out, and has found the stored window on the chain.
    pub fences: BTreeSet<Fence>,
}

impl Touches {
    /// Whether nothing is touched but what spending touches, of which nobody changes anything without a commit of the
    /// books. Every field is named, so that a new kind of touch is thought of here.
    #[must_use]
    pub fn is_spending(&self) -> bool {
        let Self {
            keys: _,
            transfers,
            orders,
            closes,
            lots,
            holds,
            usages,
            spenders,
            granted,
            shared: _,
            bases,
            reverses,
            due_by: _,
            fences,
        } = self;
        !(spenders.is_empty() && holds.is_empty())
            && transfers.is_empty()
            && orders.is_empty()
            && closes.is_empty()
            && lots.is_empty()
            && usages.is_empty()
            && granted.is_empty()
            && bases.is_empty()
            && fences.is_empty()
            && !reverses
    }
}

/// The part of the books that a batch needs.
#[derive(Clone, Debug)]
pub struct LedgerState {
    /// The end of the journal.
    pub head: Head,
    /// Outcomes stored under the batch's keys.
    pub operations: HashMap<OperationKey, StoredOperation>,
    /// Transfers.
    pub transfers: HashMap<TransferId, TransferRecord>,
    /// Orders.
    pub orders: HashMap<OrderId, Order>,
    /// Lots.
    pub lots: BTreeMap<LotId, Lot>,
    /// Balances. An account that is absent has never been posted to.
    pub balances: HashMap<(BookAccount, Unit), AccountBalance>,
    /// Holds.
    pub holds: HashMap<HoldId, Hold>,
    /// Spends.
    pub usages: HashMap<UsageId, Usage>,
    /// Which of the accounts that are granted credits exist.
    pub accounts: BTreeSet<AccountId>,
    /// Profiles; an account that is absent has the default one.
    pub profiles: HashMap<AccountId, Profile>,
    /// Limits that hold, of every spender.
    pub limits: BTreeMap<LimitId, Limit>,
    /// Windows of those limits, by their start; one that is absent has nothing in it.
    pub windows: HashMap<(LimitId, Timestamp), WindowUse>,
    /// What limits that are set begin with: held and spent.
    pub bases: HashMap<LimitId, (Credits, Credits)>,
    /// How far settling has come on the chains of the orders that are to be closed.
    pub chains: HashMap<ChainId, ChainProgress>,
    /// Those assets of the transfers and orders of which nothing may be credited, since what is recorded of them is not
    /// known to be whole.
    pub halted: BTreeSet<AssetId>,
}

impl Default for LedgerState {
    fn default() -> Self {
        Self {
            head: Head::GENESIS,
            operations: HashMap::new(),
            transfers: HashMap::new(),
            orders: HashMap::new(),
            lots: BTreeMap::new(),
            balances: HashMap::new(),
            holds: HashMap::new(),
            usages: HashMap::new(),
            accounts: BTreeSet::new(),
            profiles: HashMap::new(),
            limits: BTreeMap::new(),
            windows: HashMap::new(),
            bases: HashMap::new(),
            chains: HashMap::new(),
            halted: BTreeSet::new(),
        }
    }
}

impl LedgerState {
    /// The assets of the transfers and orders that are loaded.
    #[must_use]
    pub fn assets_touched(&self) -> BTreeSet<AssetId> {
        self.transfers
            .values()
            .map(|record| record.transfer.key.asset())
            .chain(self.orders.values().map(|order| order.terms.asset))
            .collect()
    }

    /// The accounts whose lots, profile and limits are needed, once orders, holds and spends are loaded.
    #[must_use]
    pub fn spenders(&self, touches: &Touches) -> BTreeSet<AccountId> {
        let of_orders = self.orders.values().map(|order| &order.terms.account);
        touches
            .spenders
            .iter()
            .chain(self.holds.values().map(|hold| &hold.account))
            .chain(self.usages.values().map(|usage| &usage.account))
            .chain(of_orders.filter(|_| touches.reverses))
            .cloned()
            .collect()
    }

    /// Windows of limits that end after this may be touched, once holds and spends are loaded.
    #[must_use]
    pub fn windows_since(&self, touches: &Touches) -> Timestamp {
        self.holds
            .values()
            .map(|hold| hold.made_at)
            .chain(self.usages.values().map(|usage| usage.counted_at))
            .fold(touches.due_by, Timestamp::min)
    }

    /// The lots that holds and spends are made of, once those are loaded.
    pub fn lots_of_slices(&self) -> impl Iterator<Item = LotId> + '_ {
        self.holds
            .values()
            .flat_map(|hold| &hold.slices)
            .chain(self.usages.values().flat_map(|usage| &usage.slices))
            .map(|slice| slice.lot)
    }

    /// The accounts and units whose balances must be in [`Self::balances`] once everything else is loaded.
    #[must_use]
    pub fn accounts_touched(&self, touches: &Touches) -> BTreeSet<(BookAccount, Unit)> {
        let spenders = self.spenders(touches);
        let owners: BTreeSet<&AccountId> = self
            .orders
            .values()
            .map(|order| &order.terms.account)
            .chain(self.lots.values().map(|lot| &lot.account))
            .chain(&touches.granted)
            .chain(&spenders)
            .collect();
        let features: BTreeSet<&Label> = self
            .holds
            .values()
            .map(|hold| &hold.purpose.feature)
            .chain(self.usages.values().map(|usage| &usage.purpose.feature))
            .collect();
        let per_asset = [
            BookAccount::Treasury,
            BookAccount::Clearing,
            BookAccount::Suspense,
            BookAccount::Rounding,
            BookAccount::Discounts,
            BookAccount::Withdrawn,
        ];
        let shared = [
            BookAccount::CreditsIssued(crate::LotSource::Purchase),
            BookAccount::CreditsExpired,
            BookAccount::CreditsReversed,
        ];
        self.assets_touched()
            .into_iter()
            .flat_map(|asset| per_asset.clone().map(|account| (account, Unit::Token(asset))))
            .chain(shared.map(|account| (account, Unit::Credits)))
            .chain(touches.shared.iter().map(|account| (account.clone(), Unit::Credits)))
            .chain(self.lots.values().map(|lot| (lot.issued_from(), Unit::Credits)))
            .chain(
                features
                    .into_iter()
                    .map(|feature| (BookAccount::CreditsSpent(feature.clone()), Unit::Credits)),
            )
            .chain(owners.into_iter().flat_map(|owner| {
                [
                    (BookAccount::Account(owner.clone()), Unit::Credits),
                    (BookAccount::Owed(owner.clone()), Unit::Credits),
                ]
            }))
            .chain(spenders.iter().map(|owner| (BookAccount::Held(owner.clone()), Unit::Credits)))
            .collect()
    }

    /// How many credits an account of the books has more on its credit side; negative if on its debit side.
    #[must_use]
    pub fn credit_balance(&self, account: BookAccount) -> Credits {
        self.balances.get(&(account, Unit::Credits)).map_or(Credits::ZERO, |balance| {
            let difference = |more: U256, less: U256| {
                i64::try_from(more.saturating_sub(less)).unwrap_or(i64::MAX)
            };
            if balance.credits >= balance.debits {
                Credits::from_micros(difference(balance.credits, balance.debits))
            } else {
                Credits::from_micros(difference(balance.debits, balance.credits).saturating_neg())
            }
        })
    }

    /// What an account owes since payments were taken back whose credits were spent.
    #[must_use]
    pub fn owed_by(&self, account: &AccountId) -> Credits {
        let owed = self.credit_balance(BookAccount::Owed(account.clone())).micros();
        Credits::from_micros(owed.saturating_neg().max(0))
    }

    /// The credits of an account by its postings, lapsed lots that are not booked yet included; negative while it owes.
    /// What holds have set aside is not in it.
    #[must_use]
    pub fn credits_of(&self, account: &AccountId) -> Credits {
        let left = self.credit_balance(BookAccount::Account(account.clone()));
        Credits::from_micros(left.micros().saturating_sub(self.owed_by(account).micros()))
    }
}

/// A stored operation with its outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationRow {
    /// Key.
    pub key: OperationKey,
    /// What was asked.
    pub fingerprint: B256,
    /// The entry it made.
    pub entry_seq: Option<i64>,
    /// Why it was refused; `None` where it was done.
    pub refusal: Option<Refusal>,
    /// When it was done or refused.
    pub done_at: Timestamp,
}

/// What a batch adds to a day of an account's usage of one feature in one project.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsageSums {
    /// Spends.
    pub spends: i64,
    /// Units, where the caller named some.
    pub units: i64,
    /// Credits spent.
    pub spent: Credits,
    /// Credits given back.
    pub refunded: Credits,
}

/// Which day of usage: account, day in its zone, feature, project.
pub type UsageDay = (AccountId, Day, Label, Option<Label>);

/// What the ledger changes on a transfer's row.
///
/// The store also recomputes the row's need for work, in the same statement, from the row as it is then:
/// `needs_work = (canonical <> settled) or (settled and its block is not settled_block)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferMark {
    /// The transfer.
    pub transfer: TransferId,
    /// How often it has been reversed.
    pub generation: u32,
    /// The block that its present generation was settled in; `None` while it is not settled.
    pub settled_block: Option<B256>,
    /// What its calldata carried, where this batch learned it.
    pub reference: Option<Option<Reference>>,
}

/// Everything a batch writes. Nothing else changes the books.
#[derive(Clone, Debug, Default)]
pub struct BatchRows {
    /// The new end of the journal; `None` if nothing was posted or told.
    pub head: Option<Head>,
    /// Outcomes to store.
    pub operations: Vec<OperationRow>,
    /// Entries with their postings and lots, in order.
    pub entries: Vec<Entry>,
    /// Settlements.
    pub settlements: Vec<Settlement>,
    /// Reversals.
    pub reversals: Vec<Reversal>,
    /// Marks on transfers, at most one each.
    pub transfers: Vec<TransferMark>,
    /// New progress of orders, at most one each.
    pub orders: Vec<(OrderId, OrderProgress)>,
    /// Where the credits are of lots that already existed, at most one each.
    pub lots_changed: Vec<(LotId, LotParts)>,
    /// New lots as they stand at the end of the batch.
    pub new_lots: Vec<Lot>,
    /// Balances that changed, as they stand at the end of the batch; `true` marks a new row.
    pub balances: Vec<(BookAccount, Unit, AccountBalance, bool)>,
    /// Events, in order.
    pub events: Vec<Event>,
    /// New holds, as they stand at the end of the batch.
    pub holds: Vec<Hold>,
    /// Ends of holds, of new ones too.
    pub resolutions: Vec<Resolution>,
    /// New spends, as they stand at the end of the batch.
    pub usages: Vec<Usage>,
    /// What was given back in all of spends that already existed, at most one each.
    pub refunds: Vec<(UsageId, Credits)>,
    /// What the batch adds to days of usage, at most one each.
    pub usage_days: Vec<(UsageDay, UsageSums)>,
    /// New limits.
    pub limits: Vec<Limit>,
    /// Limits that hold no longer, and since when.
    pub limits_removed: Vec<(LimitId, Timestamp)>,
    /// Windows of limits as they stand at the end of the batch, at most one each.
    pub windows: Vec<(LimitId, WindowUse)>,
    /// Accounts that appear now, if they did not before.
    pub accounts: Vec<(AccountId, Timestamp)>,
    /// Profiles as they stand at the end of the batch, at most one each.
    pub profiles: Vec<(AccountId, Profile)>,
    /// Cases of accounts that owe credits, at most one each; opened before any is resolved.
    pub cases_opened: Vec<CaseOpening>,
    /// Cases of accounts that owe nothing any more, at most one each.
    pub cases_resolved: Vec<CaseClosing>,
}

impl BatchRows {
    /// Whether there is nothing to write.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }
}

/// A posting before its account has a number.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) account: BookAccount,
    pub(crate) unit: Unit,
    pub(crate) side: Side,
    pub(crate) quantity: U256,
}
