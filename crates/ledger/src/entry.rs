//! Journal entries: balanced, numbered without gaps, chained by SHA-256.
//!
//! The hash covers a fixed binary encoding with length-prefixed texts, so that no two different
//! entries encode alike. An entry never changes once hashed.

use inspay_primitives::{B256, OrderId, Timestamp, TransferId, U256};
use sha2::{Digest, Sha256};

use crate::{BookAccount, Lot, LotMove, OperationKey, Side, Unit};

/// The hash that the first entry points back to.
pub const GENESIS_HASH: B256 = B256::ZERO;

/// What an entry records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryKind {
    /// A transfer in, attributed to an order in time.
    Settle,
    /// A transfer in, attributed to an order after its deadline and priced anew.
    SettleLate,
    /// A transfer in that belongs to nothing yet.
    Suspend,
    /// A transfer out of the treasury.
    Withdraw,
    /// A settled transfer left the chain.
    Reverse,
    /// An order ended short of its due amount and was credited in proportion.
    CloseOrder,
    /// A lot lapsed.
    Expire,
    /// Credits granted without a payment.
    Grant,
    /// What was left of a lot was taken back.
    Revoke,
    /// Credits set aside for work under way.
    Hold,
    /// A hold was spent, in whole or in part.
    Capture,
    /// A hold was given back.
    Release,
    /// A hold ran out and was given back.
    LapseHold,
    /// Credits spent at once.
    Spend,
    /// Spent credits given back to the lots they came from.
    Refund,
}

impl EntryKind {
    /// Every kind.
    pub const ALL: [Self; 15] = [
        Self::Settle,
        Self::SettleLate,
        Self::Suspend,
        Self::Withdraw,
        Self::Reverse,
        Self::CloseOrder,
        Self::Expire,
        Self::Grant,
        Self::Revoke,
        Self::Hold,
        Self::Capture,
        Self::Release,
        Self::LapseHold,
        Self::Spend,
        Self::Refund,
    ];

    /// The kind as stored, hashed and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Settle => "settle",
            Self::SettleLate => "settle_late",
            Self::Suspend => "suspend",
            Self::Withdraw => "withdraw",
            Self::Reverse => "reverse",
            Self::CloseOrder => "close_order",
            Self::Expire => "expire",
            Self::Grant => "grant",
            Self::Revoke => "revoke",
            Self::Hold => "hold",
            Self::Capture => "capture",
            Self::Release => "release",
            Self::LapseHold => "lapse_hold",
            Self::Spend => "spend",
            Self::Refund => "refund",
        }
    }

    /// Reads what [`Self::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// One debit or credit on one account in one unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    /// Row number of the account in this unit, given out by the ledger.
    pub account_number: i64,
    /// The account.
    pub account: BookAccount,
    /// What is counted.
    pub unit: Unit,
    /// Debit or credit.
    pub side: Side,
    /// Base units or micro-credits; never zero.
    pub quantity: U256,
}

/// A balanced set of postings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Counted from one, without gaps.
    pub seq: i64,
    /// What it records.
    pub kind: EntryKind,
    /// The operation that made it.
    pub operation: OperationKey,
    /// When it happened: chain time for what happens on chain.
    pub event_at: Timestamp,
    /// When it was booked, gateway time; never before an earlier entry's.
    pub booked_at: Timestamp,
    /// The transfer it is about.
    pub transfer: Option<TransferId>,
    /// The order it is about.
    pub order: Option<OrderId>,
    /// The entry that it takes back.
    pub reverses: Option<i64>,
    /// Its lines, in the order in which they are hashed.
    pub postings: Vec<Posting>,
    /// The lots it grants.
    pub lots: Vec<Lot>,
    /// What it moves within lots, in the order in which it is hashed.
    pub moves: Vec<LotMove>,
    /// What it was for, as the JSON text that is hashed; `None` where postings, order and transfer say all.
    pub facts: Option<String>,
    /// How its hash is made: [`Self::VERSION`] for new ones.
    pub version: i16,
    /// Hash of the entry before it.
    pub previous_hash: B256,
    /// Hash of this one.
    pub hash: B256,
}

fn put_text(hasher: &mut Sha256, text: &str) {
    put_count(hasher, text.len());
    hasher.update(text.as_bytes());
}

fn put_count(hasher: &mut Sha256, count: usize) {
    hasher.update(u64::try_from(count).unwrap_or(u64::MAX).to_be_bytes());
}

fn put_option(hasher: &mut Sha256, bytes: Option<&[u8]>) {
    match bytes {
        None => hasher.update([0]),
        Some(bytes) => {
            hasher.update([1]);
            hasher.update(bytes);
        }
    }
}

fn put_lot_facts(hasher: &mut Sha256, lot: &Lot) {
    hasher.update(lot.id.entry_seq.to_be_bytes());
    hasher.update(lot.id.index.to_be_bytes());
    put_text(hasher, lot.campaign.as_ref().map_or("", |campaign| campaign.as_str()));
    put_text(hasher, lot.scope.as_ref().map_or("", |scope| scope.as_str()));
    hasher.update([lot.priority]);
    put_option(hasher, lot.transfer.as_ref().map(|id| id.digest().as_slice()));
    let order = lot.order.map(|id| id.uuid().into_bytes());
    put_option(hasher, order.as_ref().map(<[u8; 16]>::as_slice));
    hasher.update(lot.granted_at.micros().to_be_bytes());
    put_text(hasher, &lot.paid.map(|paid| paid.to_string()).unwrap_or_default());
}

impl Entry {
    /// How new entries are hashed. Version 1 covers neither moves nor facts, and of lots only what they grant.
    pub const VERSION: i16 = 2;

    /// The hash that this entry should carry: a function of everything in it but [`Self::hash`].
    #[must_use]
    pub fn compute_hash(&self) -> B256 {
        let mut hasher = Sha256::new();
        if self.version == 1 {
            hasher.update(b"inspay/entry/v1");
        } else {
            hasher.update(b"inspay/entry/v");
            hasher.update(self.version.to_be_bytes());
        }
        hasher.update(self.previous_hash);
        hasher.update(self.seq.to_be_bytes());
        put_text(&mut hasher, self.kind.as_str());
        put_text(&mut hasher, self.operation.as_str());
        hasher.update(self.event_at.micros().to_be_bytes());
        hasher.update(self.booked_at.micros().to_be_bytes());
        put_option(&mut hasher, self.transfer.as_ref().map(|id| id.digest().as_slice()));
        put_option(
            &mut hasher,
            self.order.map(|id| id.uuid().into_bytes()).as_ref().map(<[u8; 16]>::as_slice),
        );
        put_option(
            &mut hasher,
            self.reverses.map(i64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice),
        );
        put_count(&mut hasher, self.postings.len());
        for posting in &self.postings {
            put_text(&mut hasher, &posting.account.to_string());
            put_text(&mut hasher, &posting.unit.to_string());
            put_text(&mut hasher, posting.side.as_str());
            hasher.update(posting.quantity.to_be_bytes::<32>());
        }
        put_count(&mut hasher, self.lots.len());
        for lot in &self.lots {
            put_text(&mut hasher, lot.account.as_str());
            put_text(&mut hasher, lot.source.as_str());
            hasher.update(lot.granted.micros().to_be_bytes());
            hasher.update(lot.expires_at.micros().to_be_bytes());
            if self.version > 1 {
                put_lot_facts(&mut hasher, lot);
            }
        }
        if self.version > 1 {
            put_count(&mut hasher, self.moves.len());
            for part in &self.moves {
                hasher.update(part.lot.entry_seq.to_be_bytes());
                hasher.update(part.lot.index.to_be_bytes());
                put_text(&mut hasher, part.from.as_str());
                put_text(&mut hasher, part.to.as_str());
                hasher.update(part.credits.micros().to_be_bytes());
            }
            put_option(&mut hasher, self.facts.as_deref().map(str::as_bytes));
        }
        B256::from_slice(&hasher.finalize())
    }

    /// The first unit whose debits and credits differ, if any.
    #[must_use]
    pub fn unbalanced_unit(&self) -> Option<Unit> {
        let mut sums: Vec<(Unit, U256, U256)> = Vec::new();
        for posting in &self.postings {
            if !sums.iter().any(|(unit, ..)| *unit == posting.unit) {
                sums.push((posting.unit, U256::ZERO, U256::ZERO));
            }
            for (unit, debits, credits) in &mut sums {
                if *unit == posting.unit {
                    let sum = match posting.side {
                        Side::Debit => debits,
                        Side::Credit => credits,
                    };
                    match sum.checked_add(posting.quantity) {
                        Some(total) => *sum = total,
                        None => return Some(posting.unit),
                    }
                }
            }
        }
        sums.into_iter().find(|(_, debits, credits)| debits != credits).map(|(unit, ..)| unit)
    }
}
