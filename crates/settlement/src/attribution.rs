//! Which order a transfer pays for, by evidence. Pure.
//!
//! Never by tolerance, never by a transaction hash alone, never by an amount that two orders could own,
//! never to an order that was made after the transfer.

use std::collections::{BTreeMap, HashMap};

use inspay_ledger::{Evidence, IgnoreReason, SuspenseReason};
use inspay_primitives::{Address, AssetId, Direction, Order, OrderId, Reference, Transfer, U256};

/// The orders that a batch of transfers might belong to, by what they are found by.
#[derive(Debug, Default)]
pub struct OrderIndex {
    by_reference: HashMap<Reference, Order>,
    by_slot: BTreeMap<(AssetId, Address, U256), Vec<Order>>,
}

impl OrderIndex {
    /// Indexes orders.
    #[must_use]
    pub fn new(orders: impl IntoIterator<Item = Order>) -> Self {
        let mut index = Self::default();
        for order in orders {
            if order.progress.slot_held {
                let terms = &order.terms;
                let slot = (terms.asset, terms.treasury, terms.due_base_units);
                index.by_slot.entry(slot).or_default().push(order.clone());
            }
            index.by_reference.insert(order.terms.reference, order);
        }
        index
    }

    fn of_slot(&self, transfer: &Transfer) -> &[Order] {
        let slot = (transfer.key.asset(), transfer.key.treasury, transfer.base_units);
        self.by_slot.get(&slot).map_or(&[], Vec::as_slice)
    }
}

/// What the evidence says of a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribution<'a> {
    /// It pays for this order.
    Order(&'a Order, Evidence),
    /// It belongs to nothing, for this reason; the orders it might belong to.
    Nothing(SuspenseReason, Vec<OrderId>),
    /// It left the treasury.
    Withdrawal,
    /// It moves nothing.
    Ignored(IgnoreReason),
}

/// Weighs the evidence, strongest first: reference, then exact amount.
///
/// `clock_skew_seconds` is how far a block's time may lie before an order's making, which is told by
/// another clock, and still count as after it.
#[must_use]
pub fn attribute<'a>(
    transfer: &Transfer,
    reference: Option<Reference>,
    orders: &'a OrderIndex,
    clock_skew_seconds: u32,
) -> Attribution<'a> {
    if transfer.base_units.is_zero() {
        return Attribution::Ignored(IgnoreReason::ZeroValue);
    }
    if transfer.counterparty == transfer.key.treasury {
        return Attribution::Ignored(IgnoreReason::SelfTransfer);
    }
    if transfer.key.direction == Direction::Out {
        return Attribution::Withdrawal;
    }
    if let Some(order) = reference.and_then(|reference| orders.by_reference.get(&reference)) {
        let terms = &order.terms;
        let fits = terms.asset == transfer.key.asset() && terms.treasury == transfer.key.treasury;
        return if fits {
            Attribution::Order(order, Evidence::Reference)
        } else {
            Attribution::Nothing(SuspenseReason::WrongAsset, vec![terms.id])
        };
    }
    let latest_making = transfer.block.time.plus_seconds(i64::from(clock_skew_seconds));
    match orders.of_slot(transfer) {
        [order] if order.terms.created_at <= latest_making => {
            Attribution::Order(order, Evidence::ExactAmount)
        }
        candidates => {
            let candidates = candidates.iter().map(|order| order.terms.id).collect();
            Attribution::Nothing(SuspenseReason::NoEvidence, candidates)
        }
    }
}
