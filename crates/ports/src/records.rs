//! Rows that pass through the store port without being part of the books' rules.

use inspay_ledger::{BookAccount, EntryKind, Settlement, Unit};
use inspay_primitives::{
    AccountId, Address, AssetId, B256, BlockRef, ChainId, Credits, FencingNumber, Label, LotId,
    OrderId, OrderTerms, QuoteId, Reference, Timestamp, Transfer, TransferId, U256,
};

use crate::Proof;

/// Where the follower of one chain stands. Written in the same commit as what it has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CursorRecord {
    /// The chain.
    pub chain_id: ChainId,
    /// The first block that is followed.
    pub start_number: u64,
    /// The newest applied block.
    pub tip: BlockRef,
    /// Heights of the tags, never above the tip and never falling.
    pub tags: ChainTags,
    /// Everything up to here is proven whole, but for the assets that are halted; gates crediting.
    pub audited_to: u64,
    /// Raised by one with every change of branch.
    pub epoch: i64,
    /// Raised by one with every commit: the guard against two followers.
    pub revision: i64,
}

/// Heights of the `safe` and `finalized` blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChainTags {
    /// `safe`.
    pub safe_number: u64,
    /// `finalized`.
    pub finalized_number: u64,
}

/// A canonical block of the stored window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowBlock {
    /// The block.
    pub block: BlockRef,
    /// How its transfers were shown to be whole.
    pub proof: Proof,
}

/// A block to apply: with all its followed transfers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppliedBlock {
    /// The block.
    pub block: BlockRef,
    /// Why nothing is missing.
    pub proof: Proof,
    /// Its transfers in log order.
    pub transfers: Vec<Transfer>,
}

/// One commit of the follower near the head: an optional change of branch, and new blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlocksCommit {
    /// The holding of the chain's lease under which this was read.
    pub fencing: FencingNumber,
    /// The revision of the cursor that this builds on; `None` for the first commit of a chain.
    pub expected_revision: Option<i64>,
    /// The canonical blocks that leave the chain, newest first.
    pub orphaned: Vec<BlockRef>,
    /// Blocks that join it, oldest first.
    pub added: Vec<AppliedBlock>,
    /// The cursor afterwards.
    pub cursor: CursorRecord,
    /// Window blocks below this height leave the window.
    pub window_from: u64,
}

impl BlocksCommit {
    /// The blocks that leave the chain and join it at once: they were read again, and what is added of them takes the
    /// place of what was recorded.
    #[must_use]
    pub fn read_again(&self) -> Vec<BlockRef> {
        let joins = |left: &&BlockRef| self.added.iter().any(|applied| applied.block == **left);
        self.orphaned.iter().filter(joins).copied().collect()
    }
}

/// Giving up what was applied above a block, so that the chain is followed anew from there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewind {
    /// The holding of the chain's lease that is in force. A person goes back under whoever holds it.
    pub fencing: FencingNumber,
    /// The revision of the cursor that this builds on.
    pub expected_revision: i64,
    /// The cursor afterwards; its tip is the last block that stays, or that takes the place of the one there.
    pub cursor: CursorRecord,
}

/// One commit of catch-up: a span of finalized blocks with what their ranges brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeCommit {
    /// The holding of the chain's lease under which this was read.
    pub fencing: FencingNumber,
    /// The revision of the cursor that this builds on; `None` for the first commit of a chain.
    pub expected_revision: Option<i64>,
    /// Transfers in chain order.
    pub transfers: Vec<Transfer>,
    /// The cursor afterwards; its tip is the last block of the span.
    pub cursor: CursorRecord,
}

/// A quote as kept: the pure quote as JSON, with what is looked up by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredQuote {
    /// Identity.
    pub id: QuoteId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// The quote, as [`inspay_quoting::Quote`] writes itself.
    pub body_json: String,
}

/// An order to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOrder {
    /// Its terms. With `exact_amount_lane` its due amount must be free among the held slots of its asset and treasury.
    pub terms: OrderTerms,
    /// Scope and idempotency key of the request: the same again gives the order that it made before.
    pub request_key: Option<String>,
}

/// What attribution looks for in the orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttributionProbe {
    /// Asset that moved.
    pub asset: AssetId,
    /// Treasury it came to.
    pub treasury: Address,
    /// How much.
    pub base_units: U256,
    /// What its calldata carried.
    pub reference: Option<Reference>,
    /// Who paid.
    pub payer: Address,
    /// In which chain transaction.
    pub tx_hash: B256,
    /// When, in chain time.
    pub block_time: Timestamp,
}

impl AttributionProbe {
    /// What is looked for on behalf of a transfer whose calldata carried that reference.
    #[must_use]
    pub const fn of(transfer: &Transfer, reference: Option<Reference>) -> Self {
        Self {
            asset: transfer.key.asset(),
            treasury: transfer.key.treasury,
            base_units: transfer.base_units,
            reference,
            payer: transfer.counterparty,
            tx_hash: transfer.key.tx_hash,
            block_time: transfer.block.time,
        }
    }
}

/// Which orders are listed. Newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderFilter {
    /// Of this account only.
    pub account: Option<AccountId>,
}

/// Which transfers are listed. Newest recorded first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransferFilter {
    /// In this chain transaction only.
    pub tx_hash: Option<B256>,
    /// Attributed to this order only.
    pub order: Option<OrderId>,
    /// Attributed to an order of this account only.
    pub account: Option<AccountId>,
    /// Paid by this wallet only.
    pub payer: Option<(ChainId, Address)>,
    /// In suspense only.
    pub suspense_only: bool,
}

/// A recorded transfer with what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferView {
    /// Place in the order of recording; the page cursor.
    pub position: i64,
    /// Identity.
    pub id: TransferId,
    /// As last observed.
    pub transfer: Transfer,
    /// Whether that is on the canonical chain.
    pub canonical: bool,
    /// How often it has been reversed.
    pub generation: u32,
    /// The settlement of its present generation.
    pub settlement: Option<Settlement>,
}

/// A page: at most that many rows after that cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Rows after this position (before it, where newest come first); `None` for the first page.
    pub after: Option<i64>,
    /// How many.
    pub limit: u32,
}

/// One line of an account's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryLine {
    /// The entry; the page cursor.
    pub entry_seq: i64,
    /// What the entry records.
    pub kind: EntryKind,
    /// When it happened.
    pub event_at: Timestamp,
    /// When it was booked.
    pub booked_at: Timestamp,
    /// What it added to the credits that can be spent; negative where it took some.
    pub left: Credits,
    /// What it added to those that holds have set aside.
    pub held: Credits,
    /// What it added to what the account owes.
    pub owed: Credits,
    /// The order it is about.
    pub order: Option<OrderId>,
    /// The transfer it is about.
    pub transfer: Option<TransferId>,
    /// What it was for, as JSON.
    pub facts: Option<String>,
}

/// Which lines of an account's history are listed. Every part that is set must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryFilter {
    /// Entries of this kind only.
    pub kind: Option<EntryKind>,
    /// Booked at or after this.
    pub from: Option<Timestamp>,
    /// Booked before this.
    pub until: Option<Timestamp>,
    /// About this feature only.
    pub feature: Option<Label>,
    /// About this project only.
    pub project: Option<Label>,
    /// That granted this lot, or moved some of it.
    pub lot: Option<LotId>,
}

/// An account with its credits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountSummary {
    /// The account.
    pub account: AccountId,
    /// When it first appeared.
    pub created_at: Timestamp,
    /// Its credits by postings, lapsed lots that are not booked yet included, less what it owes.
    pub posted: Credits,
    /// What holds have set aside.
    pub held: Credits,
}

/// An account of the books in one unit with all that was posted to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemBalance {
    /// The account.
    pub account: BookAccount,
    /// What is counted.
    pub unit: Unit,
    /// Sum of its debits.
    pub debits: U256,
    /// Sum of its credits.
    pub credits: U256,
}

/// Sums of the canonical transfers of one asset and treasury up to a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransferTotals {
    /// What came in.
    pub in_base_units: U256,
    /// What left.
    pub out_base_units: U256,
    /// How many transfers.
    pub count: u64,
    /// How many of them are not settled yet.
    pub unsettled_count: u64,
    /// Of what came in, not settled yet.
    pub unsettled_in_base_units: U256,
    /// Of what left, not settled yet.
    pub unsettled_out_base_units: U256,
}

/// A row that breaks a law.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LawViolation {
    /// Which law's query found it, such as `books_balance`.
    pub law: &'static str,
    /// The row, for people.
    pub row: String,
}

/// What a key may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyScope {
    /// Act for one account.
    Account(AccountId),
    /// Act for every account.
    Application,
    /// Read the books.
    Finance,
    /// Everything.
    Operator,
}

/// A key as kept: its hash, never the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeyRecord {
    /// Name shown to people, unique.
    pub label: String,
    /// SHA-256 of the key.
    pub hash: B256,
    /// What it may do.
    pub scope: KeyScope,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked; [`Timestamp::FAR`] while it is valid.
    pub revoked_at: Timestamp,
}

/// An answer kept for the same request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredResponse {
    /// HTTP status.
    pub status: u16,
    /// Content type.
    pub content_type: String,
    /// Body.
    pub body: String,
}

/// What the claim of an idempotency key found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdempotencyClaim {
    /// Nobody has used the key: it is ours now.
    Fresh,
    /// The same request was answered: the answer.
    Answered(StoredResponse),
    /// The key was used for another request.
    OtherRequest,
    /// The same request is still running.
    Running,
}

/// Text forms of scopes, as stored and shown.
impl KeyScope {
    /// `account:<id>`, `application`, `finance` or `operator`.
    #[must_use]
    pub fn to_text(&self) -> String {
        match self {
            Self::Account(account) => format!("account:{account}"),
            Self::Application => "application".to_owned(),
            Self::Finance => "finance".to_owned(),
            Self::Operator => "operator".to_owned(),
        }
    }

    /// Reads what [`Self::to_text`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "application" => Some(Self::Application),
            "finance" => Some(Self::Finance),
            "operator" => Some(Self::Operator),
            _ => text.strip_prefix("account:")?.parse().ok().map(Self::Account),
        }
    }
}
