//! Made-up chains, transfers and orders for the facts: plain, numbered, the same in every run.

use std::sync::Arc;

use alloy_primitives::keccak256;
use inspay_ledger::FreePlanTerms;
use inspay_primitives::{
    AccountId, Address, AssetId, B256, BlockRef, ChainId, Credits, Direction, FencingNumber,
    OrderId, OrderTerms, QuoteId, Reference, Timestamp, Transfer, TransferKey, U256,
};
use uuid::Uuid;

use crate::{
    AppliedBlock, BlocksCommit, ChainTags, CursorRecord, NewOrder, Proof, RangeCommit, Store,
    StoreError, StoredQuote,
};

/// The chain that facts follow unless they need a second one.
pub const CHAIN: ChainId = ChainId(31_337);
/// Time of block zero, in seconds since 1970.
const GENESIS_SECONDS: u64 = 1_700_000_000;

/// A token of six digits on [`CHAIN`].
#[must_use]
pub const fn usdt() -> AssetId {
    AssetId { chain_id: CHAIN, contract: Address::repeat_byte(0xd7) }
}

/// A token of eighteen digits on [`CHAIN`].
#[must_use]
pub const fn inspi() -> AssetId {
    AssetId { chain_id: CHAIN, contract: Address::repeat_byte(0x15) }
}

/// The address that is paid.
#[must_use]
pub const fn treasury() -> Address {
    Address::repeat_byte(0x77)
}

/// What a wallet brings.
#[must_use]
pub const fn free_plan(micros: i64) -> FreePlanTerms {
    FreePlanTerms { credits: Credits::from_micros(micros), expires_at: Timestamp::FAR }
}

/// The account of that number.
#[must_use]
pub fn account(number: u64) -> AccountId {
    format!("account-{number:04}").parse().expect("an account id")
}

/// A digest that is a function of what it names.
#[must_use]
pub fn digest(what: &str, number: u64) -> B256 {
    keccak256(format!("{what}/{number}"))
}

/// Time of the block at a height, twelve seconds apart.
#[must_use]
pub fn block_time(number: u64) -> Timestamp {
    Timestamp::from_chain_seconds(GENESIS_SECONDS.saturating_add(number.saturating_mul(12)))
}

/// The block at a height of a branch.
#[must_use]
pub fn block(branch: &str, number: u64) -> BlockRef {
    BlockRef { number, hash: digest(branch, number), time: block_time(number) }
}

/// A transfer of `base_units` into the treasury in the chain transaction of that number.
#[must_use]
pub fn paid(
    tx: u64,
    asset: AssetId,
    base_units: U256,
    block: BlockRef,
    log_index: u32,
) -> Transfer {
    Transfer {
        key: TransferKey {
            chain_id: asset.chain_id,
            tx_hash: digest("tx", tx),
            token: asset.contract,
            treasury: treasury(),
            direction: Direction::In,
            ordinal: 0,
        },
        counterparty: Address::repeat_byte(0xb0),
        base_units,
        block,
        log_index,
        reference: None,
    }
}

/// The same transfer, seen in another block.
#[must_use]
pub fn seen_again(transfer: Transfer, block: BlockRef, log_index: u32) -> Transfer {
    Transfer { block, log_index, ..transfer }
}

/// A transfer out of the treasury.
#[must_use]
pub fn withdrawn(
    tx: u64,
    asset: AssetId,
    base_units: U256,
    block: BlockRef,
    log_index: u32,
) -> Transfer {
    let paid = paid(tx, asset, base_units, block, log_index);
    Transfer { key: TransferKey { direction: Direction::Out, ..paid.key }, ..paid }
}

/// A block with its transfers, as proven by receipts.
#[must_use]
pub const fn applied(block: BlockRef, transfers: Vec<Transfer>) -> AppliedBlock {
    AppliedBlock { block, proof: Proof::ReceiptsRoot, transfers }
}

/// The quote of that number.
#[must_use]
pub fn quote(number: u64) -> StoredQuote {
    StoredQuote {
        id: QuoteId::from_uuid(Uuid::from_u128(u128::from(number) + (1 << 64))),
        created_at: block_time(number),
        expires_at: block_time(number).plus_seconds(900),
        body_json: format!("{{\"number\":{number}}}"),
    }
}

/// The reference of the order of that number.
#[must_use]
pub fn reference(number: u64) -> Reference {
    Reference::from_bytes((u128::from(number) + (3 << 64)).to_be_bytes())
}

/// The terms of the order of that number: an amount of its own in [`usdt`], twelve credits, an hour to pay.
#[must_use]
pub fn terms(number: u64) -> OrderTerms {
    OrderTerms {
        id: OrderId::from_uuid(Uuid::from_u128(u128::from(number) + (2 << 64))),
        account: account(number % 7),
        quote: quote(number).id,
        asset: usdt(),
        decimals: 6,
        treasury: treasury(),
        reference: reference(number),
        due_base_units: U256::from(9_990_000 - number),
        list_base_units: U256::from(12_000_000),
        tolerance_base_units: U256::from(1_000),
        credits: Credits::from_micros(12_000_000),
        price: "9.99".parse().expect("dollars"),
        rate: "1.0003".parse().expect("a rate"),
        exact_amount_lane: true,
        created_at: block_time(0),
        deadline: block_time(300),
        grace_seconds: 60,
        credits_valid_days: 30,
    }
}

/// An order with those terms, asked for without a key.
#[must_use]
pub const fn new_order(terms: OrderTerms) -> NewOrder {
    NewOrder { terms, request_key: None }
}

/// Keeps the quote and makes the order of that number.
pub async fn ordered(store: &Arc<dyn Store>, number: u64) -> OrderTerms {
    ordered_as(store, terms(number)).await
}

/// Keeps a quote for the terms and makes the order.
pub async fn ordered_as(store: &Arc<dyn Store>, terms: OrderTerms) -> OrderTerms {
    let quote = StoredQuote { id: terms.quote, ..quote(0) };
    store.save_quote(quote).await.expect("keeps the quote");
    let order = store.create_order(new_order(terms.clone())).await.expect("makes the order");
    assert_eq!(order.terms, terms);
    terms
}

/// A follower that commits what it is told and keeps count of the cursor.
#[derive(Clone, Debug)]
pub struct Follower {
    store: Arc<dyn Store>,
    chain: ChainId,
    /// The holding of the lease that it commits under.
    pub fencing: FencingNumber,
    /// Where it stands, once it has committed.
    pub cursor: Option<CursorRecord>,
    /// The heights of the tags that its next commit says.
    pub tags: ChainTags,
    /// The lowest height that stays in the window.
    pub window_from: u64,
}

impl Follower {
    /// A follower of [`CHAIN`] that has not begun.
    #[must_use]
    pub fn new(store: &Arc<dyn Store>) -> Self {
        Self::of(store, CHAIN)
    }

    /// A follower of a chain that has not begun.
    #[must_use]
    pub fn of(store: &Arc<dyn Store>, chain: ChainId) -> Self {
        let tags = ChainTags::default();
        let fencing = FencingNumber::UNLEASED;
        Self { store: Arc::clone(store), chain, fencing, cursor: None, tags, window_from: 0 }
    }

    /// The cursor that a commit up to `tip` would leave.
    #[must_use]
    pub fn cursor_at(&self, tip: BlockRef, changes_branch: bool) -> CursorRecord {
        let before = self.cursor;
        let epoch = before.map_or(0, |cursor| cursor.epoch);
        CursorRecord {
            chain_id: self.chain,
            start_number: before.map_or(tip.number, |cursor| cursor.start_number),
            tip,
            tags: self.tags,
            audited_to: tip.number,
            epoch: epoch + i64::from(changes_branch),
            revision: before.map_or(0, |cursor| cursor.revision) + 1,
        }
    }

    /// The commit that adds blocks, after taking off orphaned ones.
    #[must_use]
    pub fn commit_of(&self, orphaned: &[BlockRef], added: Vec<AppliedBlock>) -> BlocksCommit {
        let newest = added.last().map(|applied| applied.block);
        let tip = newest.or(self.cursor.map(|cursor| cursor.tip)).expect("a tip");
        BlocksCommit {
            fencing: self.fencing,
            expected_revision: self.cursor.map(|cursor| cursor.revision),
            orphaned: orphaned.iter().rev().copied().collect(),
            added,
            cursor: self.cursor_at(tip, !orphaned.is_empty()),
            window_from: self.window_from,
        }
    }

    /// Adds blocks.
    pub async fn extend(&mut self, added: Vec<AppliedBlock>) {
        self.swap(&[], added).await;
    }

    /// Takes off orphaned blocks, given oldest first, and adds others.
    pub async fn swap(&mut self, orphaned: &[BlockRef], added: Vec<AppliedBlock>) {
        let commit = self.commit_of(orphaned, added);
        self.commit(commit).await.expect("commits blocks");
    }

    /// Makes a commit; the cursor moves only if it is taken.
    pub async fn commit(&mut self, commit: BlocksCommit) -> Result<(), StoreError> {
        let cursor = commit.cursor;
        self.store.commit_blocks(commit).await?;
        self.cursor = Some(cursor);
        Ok(())
    }

    /// Takes off blocks and adds none: the chain is seen to be shorter for a moment.
    pub async fn cut(&mut self, to: BlockRef, orphaned: &[BlockRef]) {
        let commit = BlocksCommit {
            cursor: self.cursor_at(to, true),
            ..self.commit_of(orphaned, Vec::new())
        };
        self.commit(commit).await.expect("takes blocks off");
    }

    /// The commit of a range up to `tip`.
    #[must_use]
    pub fn range_of(&self, tip: BlockRef, transfers: Vec<Transfer>) -> RangeCommit {
        RangeCommit {
            fencing: self.fencing,
            expected_revision: self.cursor.map(|cursor| cursor.revision),
            transfers,
            cursor: self.cursor_at(tip, false),
        }
    }

    /// Commits a range up to `tip`.
    pub async fn range(&mut self, tip: BlockRef, transfers: Vec<Transfer>) {
        let commit = self.range_of(tip, transfers);
        let cursor = commit.cursor;
        self.store.commit_range(commit).await.expect("commits a range");
        self.cursor = Some(cursor);
    }
}
