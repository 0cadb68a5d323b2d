//! An order: a quote accepted in one asset, its fixed terms and its progress.

use alloy_primitives::{Address, U256};
use serde::{Deserialize, Serialize};

use crate::{AccountId, AssetId, Credits, OrderId, QuoteId, Rate, Reference, Timestamp, Usd};

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderState {
    /// Nothing confirmed has come yet.
    Open,
    /// Something came, short of the due amount; the rest can still be paid.
    PartiallyPaid,
    /// The due amount, less the tolerance, was settled and the credits are granted.
    Paid,
    /// The deadline and its grace passed in chain time before it was paid in full.
    Expired,
}

impl OrderState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Open, Self::PartiallyPaid, Self::Paid, Self::Expired];

    /// The state as stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::PartiallyPaid => "partially_paid",
            Self::Paid => "paid",
            Self::Expired => "expired",
        }
    }

    /// Reads what [`Self::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// What was agreed when the order was made; never changed afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderTerms {
    /// Identity.
    pub id: OrderId,
    /// Who gets the credits.
    pub account: AccountId,
    /// The quote it accepts; a quote is accepted once.
    pub quote: QuoteId,
    /// What it is paid in.
    pub asset: AssetId,
    /// Digits of the asset.
    pub decimals: u8,
    /// Where it is paid to.
    pub treasury: Address,
    /// What the buyer's calldata carries.
    pub reference: Reference,
    /// What is owed, after discounts and tail.
    pub due_base_units: U256,
    /// What would be owed at list price; at least the due amount.
    pub list_base_units: U256,
    /// How far short of the due amount still counts as paid.
    pub tolerance_base_units: U256,
    /// What the due amount buys.
    pub credits: Credits,
    /// Price of the due amount before the tail.
    pub price: Usd,
    /// The rate that turned dollars into tokens.
    pub rate: Rate,
    /// Whether the due amount is reserved for this order alone.
    pub exact_amount_lane: bool,
    /// Made at, gateway time.
    pub created_at: Timestamp,
    /// Last chain time that is in time.
    pub deadline: Timestamp,
    /// Seconds after the deadline that still count as in time.
    pub grace_seconds: u32,
    /// Days that granted credits live.
    pub credits_valid_days: u16,
}

impl OrderTerms {
    /// The last chain time at which a transfer still counts as in time.
    #[must_use]
    pub fn in_time_until(&self) -> Timestamp {
        self.deadline.plus_seconds(i64::from(self.grace_seconds))
    }
}

/// What has happened to an order so far. Changed by the ledger only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderProgress {
    /// Where it stands.
    pub state: OrderState,
    /// Settled in time so far.
    pub received_base_units: U256,
    /// Credits granted for what was received in time.
    pub credited: Credits,
    /// Whether no more in-time transfer can come: chain time passed deadline and grace.
    pub closed: bool,
    /// Whether its due amount is still kept from other orders.
    pub slot_held: bool,
}

impl OrderProgress {
    /// A new order's progress.
    #[must_use]
    pub const fn new(slot_held: bool) -> Self {
        Self {
            state: OrderState::Open,
            received_base_units: U256::ZERO,
            credited: Credits::ZERO,
            closed: false,
            slot_held,
        }
    }
}

/// An order: terms and progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// What was agreed.
    pub terms: OrderTerms,
    /// What has happened.
    pub progress: OrderProgress,
}

impl Order {
    /// What is still to be paid; zero once the due amount came.
    #[must_use]
    pub fn remaining_base_units(&self) -> U256 {
        self.terms.due_base_units.saturating_sub(self.progress.received_base_units)
    }
}
