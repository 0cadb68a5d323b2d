//! Which order a transfer pays for, by evidence. Pure.
//!
//! Never by tolerance, never by a transaction hash alone, never by an unproven wallet, never by an amount that two
//! orders could own, never to an order that was made after the transfer.

use std::collections::{BTreeMap, HashMap};

use inspay_ledger::{Evidence, IgnoreReason, SuspenseReason};
use inspay_ports::{FoundBy, FoundOrder};
use inspay_primitives::{
    Address, AssetId, B256, ChainId, Direction, Order, OrderId, OrderState, Reference, Timestamp,
    Transfer, U256,
};

/// The orders that a batch of transfers might belong to, by what they are found by.
#[derive(Debug, Default)]
pub struct OrderIndex {
    by_reference: HashMap<Reference, Order>,
    by_slot: BTreeMap<(AssetId, Address, U256), Vec<Order>>,
    by_payer: HashMap<(ChainId, Address), Vec<Order>>,
    by_claim: HashMap<(ChainId, B256), Vec<Claimed>>,
}

/// An order that its account claims a chain transaction for.
#[derive(Debug)]
struct Claimed {
    order: Order,
    /// The wallet that paid, if the account has proven it.
    payer: Option<Address>,
}

impl OrderIndex {
    /// Indexes orders.
    #[must_use]
    pub fn new(orders: impl IntoIterator<Item = FoundOrder>) -> Self {
        let mut index = Self::default();
        for FoundOrder { order, found_by } in orders {
            let chain = order.terms.asset.chain_id;
            match found_by {
                FoundBy::Terms => {}
                FoundBy::Payer(payer) => {
                    index.by_payer.entry((chain, payer)).or_default().push(order);
                    continue;
                }
                FoundBy::Claim { tx_hash, payer } => {
                    let claimed = Claimed { order, payer };
                    index.by_claim.entry((chain, tx_hash)).or_default().push(claimed);
                    continue;
                }
            }
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

    /// The order that the account which has proven the payer says it is for.
    ///
    /// An amount that an order holds tells the order without a claim; one that no order holds any more may have been
    /// another's, and everybody can read the hash.
    fn claimed(&self, transfer: &Transfer, latest_making: Timestamp) -> Option<&Order> {
        let claimed = self.by_claim.get(&(transfer.key.chain_id, transfer.key.tx_hash))?;
        let mut proven = claimed.iter().filter(|claimed| {
            claimed.payer == Some(transfer.counterparty)
                && is_payable_by(&claimed.order, transfer, latest_making)
        });
        // Two claims contradict each other: a person decides.
        let found = proven.next().filter(|_| proven.next().is_none())?;
        Some(&found.order)
    }

    /// The order of the account that has proven the payer: with the exact amount wanting, else the oldest.
    fn of_payer(&self, transfer: &Transfer, latest_making: Timestamp) -> Option<&Order> {
        let orders = self.by_payer.get(&(transfer.key.chain_id, transfer.counterparty))?;
        let is_open = |order: &&Order| {
            is_payable_by(order, transfer, latest_making)
                && transfer.block.time <= order.terms.in_time_until()
        };
        let is_exact = |order: &Order| {
            let received = order.progress.received_base_units;
            order.terms.due_base_units.checked_sub(received) == Some(transfer.base_units)
        };
        orders
            .iter()
            .filter(is_open)
            .min_by_key(|order| (!is_exact(order), order.terms.created_at, order.terms.id))
    }
}

/// Whether an order wants that asset at that treasury, still, and was there before the transfer.
fn is_payable_by(order: &Order, transfer: &Transfer, latest_making: Timestamp) -> bool {
    let terms = &order.terms;
    terms.asset == transfer.key.asset()
        && terms.treasury == transfer.key.treasury
        && terms.created_at <= latest_making
        && order.progress.state != OrderState::Paid
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

/// Weighs the evidence, strongest first: reference, exact amount, a claim, a proven payer.
///
/// A claim counts with a proven payer alone. It comes before the account's other orders, since it says which of them is
/// meant. An order that holds the exact amount needs none.
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
            if let Some(order) = orders.claimed(transfer, latest_making) {
                return Attribution::Order(order, Evidence::Claim);
            }
            if let Some(order) = orders.of_payer(transfer, latest_making) {
                return Attribution::Order(order, Evidence::ProvenPayer);
            }
            let claims = orders.by_claim.get(&(transfer.key.chain_id, transfer.key.tx_hash));
            let claimed = claims.into_iter().flatten().map(|claimed| claimed.order.terms.id);
            let candidates = candidates.iter().map(|order| order.terms.id).chain(claimed);
            Attribution::Nothing(SuspenseReason::NoEvidence, candidates.collect())
        }
    }
}
