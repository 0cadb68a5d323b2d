//! Buyers of every kind, and those who are none.
//!
//! Never tells the product what it is meant to make of a payment: that is in the chain and the orders.

use std::sync::Arc;

use inspay_ports::{NewOrder, SaleStore as _, fake::FakeStore};
use inspay_primitives::{
    AccountId, Address, Credits, OrderId, OrderTerms, QuoteId, Reference, Timestamp, U256, Usd,
};
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::{
    chain::{FAKE, FIRST_TREASURY, INSPI, Move, NEXT_TREASURY, SimTx, USDT, asset},
    dice::Dice,
    endpoint::Shared,
    journal::Event,
    laws::Laws,
    process::listed,
};

/// Base units of a dollar's worth, at the rate that orders are made at.
pub(crate) fn base_units_a_dollar(token: Address) -> U256 {
    if token == USDT { U256::from(1_000_000) } else { U256::from(20_000_000_000_000_000_000_u128) }
}

/// Dollars a token is worth when orders are made.
pub(crate) fn usual_rate(token: Address) -> Decimal {
    if token == USDT { Decimal::ONE } else { Decimal::new(5, 2) }
}

/// A payment to come.
#[derive(Clone, Debug)]
struct Plan {
    at_seconds: u64,
    moved: Move,
    reference: Option<Reference>,
}

/// An honest payment: it must be credited, if it is on the chain in time.
#[derive(Clone, Debug)]
pub(crate) struct Honest {
    pub(crate) tx_hash: inspay_primitives::B256,
    pub(crate) order: OrderId,
}

/// Whether an order of that amount was ever made: a paid one's amount is free again, and whose a late payment
/// of it is could not be said here.
fn is_used(terms: &OrderTerms, laws: &Laws) -> bool {
    laws.is_due((terms.asset, terms.treasury, terms.due_base_units))
}

/// Everybody who sends tokens.
#[derive(Debug)]
pub(crate) struct Buyers {
    dice: Dice,
    shared: Arc<Shared>,
    store: Arc<FakeStore>,
    nonce: u64,
    block_seconds: u64,
    second_treasury_from: Option<u64>,
    plans: Vec<Plan>,
    orders: Vec<OrderTerms>,
    pub(crate) honest: Vec<Honest>,
}

impl Buyers {
    pub(crate) fn new(
        dice: Dice,
        shared: Arc<Shared>,
        store: Arc<FakeStore>,
        block_seconds: u64,
        second_treasury_from: Option<u64>,
    ) -> Self {
        Self {
            dice,
            shared,
            store,
            nonce: 0,
            block_seconds,
            second_treasury_from,
            plans: Vec::new(),
            orders: Vec::new(),
            honest: Vec::new(),
        }
    }

    fn saw(&self, event: Event) {
        self.shared.journal.saw(event);
    }

    fn wallet(&mut self) -> Address {
        Address::from_word(U256::from(0x0d00_0000 + self.dice.below(40)).into())
    }

    fn treasury(&mut self) -> Address {
        let head = self.shared.chain().head().number();
        let has_second = self.second_treasury_from.is_some_and(|from| from + 20 <= head);
        if has_second && self.dice.chance(600) { NEXT_TREASURY } else { FIRST_TREASURY }
    }

    fn send(&mut self, tx: SimTx) -> inspay_primitives::B256 {
        let hash = tx.hash;
        self.shared.chain().pool.push(Arc::new(tx));
        hash
    }

    fn direct(
        &mut self,
        now: u64,
        moved: Move,
        reference: Option<Reference>,
    ) -> inspay_primitives::B256 {
        self.nonce += 1;
        self.send(SimTx::direct(self.nonce, now, moved, reference))
    }

    fn paying(&mut self, terms: &OrderTerms, base_units: U256) -> Move {
        let from = self.wallet();
        Move { token: terms.asset.contract, from, to: terms.treasury, base_units }
    }

    /// Everybody acts for one block.
    pub(crate) async fn act(&mut self, now: u64, laws: &mut Laws) {
        let due: Vec<Plan>;
        (due, self.plans) =
            std::mem::take(&mut self.plans).into_iter().partition(|plan| plan.at_seconds <= now);
        for plan in due {
            self.direct(now, plan.moved, plan.reference);
        }
        for _ in 0..self.dice.below(3) {
            if self.dice.chance(550) {
                self.buy(now, laws).await;
            } else {
                self.interfere(now, laws).await;
            }
        }
    }

    fn terms(&mut self, now: u64) -> Option<OrderTerms> {
        let dice = &mut self.dice;
        let token = if dice.chance(500) { USDT } else { INSPI };
        let dollars = match dice.below(4) {
            0 | 1 => dice.between(1, 40),
            2 => dice.between(41, 400),
            _ => dice.between(401, 3_000),
        };
        let list = base_units_a_dollar(token) * U256::from(dollars);
        // Below a cent, and never round.
        let tail =
            U256::from(dice.between(1, 9_998)) * base_units_a_dollar(token) / U256::from(1_000_000);
        let account: AccountId = format!("buyer-{}", dice.below(12)).parse().ok()?;
        let (grace, tolerance) = (dice.below(3) * self.block_seconds, dice.below(2) * 3);
        let lasts = dice.between(6, 40) * self.block_seconds;
        let id = OrderId::from_uuid(Uuid::from_bytes(dice.bytes()));
        let quote = QuoteId::from_uuid(Uuid::from_bytes(dice.bytes()));
        let reference = Reference::from_bytes(dice.bytes());
        let treasury = self.treasury();
        let credits = i64::try_from(dollars).ok()?.checked_mul(100_000_000)?;
        Some(OrderTerms {
            id,
            account,
            quote,
            asset: asset(token),
            decimals: listed(token).decimals,
            treasury,
            reference,
            due_base_units: list - tail,
            list_base_units: list,
            tolerance_base_units: U256::from(tolerance),
            credits: Credits::from_micros(credits),
            price: Usd::new(Decimal::from(dollars)),
            rate: inspay_primitives::Rate::new(usual_rate(token)).ok()?,
            exact_amount_lane: true,
            created_at: Timestamp::from_chain_seconds(now),
            deadline: Timestamp::from_chain_seconds(now + lasts),
            grace_seconds: u32::try_from(grace).ok()?,
            credits_valid_days: 30,
        })
    }

    async fn order(&mut self, terms: OrderTerms, laws: &mut Laws) -> bool {
        let new = NewOrder { terms: terms.clone(), request_key: None };
        // An amount that is taken is taken: the buyer goes away.
        if self.store.create_order(new).await.is_err() {
            return false;
        }
        self.shared.journal.tell(format_args!(
            "ordered {} by {}: {} of {}",
            terms.id, terms.account, terms.due_base_units, terms.asset
        ));
        laws.ordered(&terms);
        self.orders.push(terms);
        true
    }

    async fn buy(&mut self, now: u64, laws: &mut Laws) {
        let Some(terms) = self.terms(now) else { return };
        if is_used(&terms, laws) || !self.order(terms.clone(), laws).await {
            return;
        }
        let due = terms.due_base_units;
        let named = Some(terms.reference);
        let lasts = u64::try_from(terms.in_time_until().seconds_since(terms.created_at));
        let end = now + lasts.unwrap_or_default();
        let soon = now + self.dice.below(4) * self.block_seconds;
        let by_name = self.dice.chance(500);
        let reference = named.filter(|_| by_name);
        match self.dice.below(12) {
            0 | 1 => {
                self.saw(Event::PaysByReference);
                let moved = self.paying(&terms, due);
                let tx_hash = self.direct(now, moved, named);
                self.honest.push(Honest { tx_hash, order: terms.id });
            }
            2 | 3 => {
                self.saw(Event::PaysExactly);
                let moved = self.paying(&terms, due);
                let tx_hash = self.direct(now, moved, None);
                self.honest.push(Honest { tx_hash, order: terms.id });
            }
            4 => {
                self.saw(Event::PaysInParts);
                let first = due / U256::from(self.dice.between(2, 5));
                self.plan(soon, &terms, first, named);
                let later = soon + self.dice.below(6) * self.block_seconds;
                self.plan(later, &terms, due - first, named);
            }
            5 => {
                self.saw(Event::PaysTooLittle);
                self.plan(soon, &terms, due / U256::from(3), named);
            }
            6 => {
                self.saw(Event::PaysTooMuch);
                let more = due / U256::from(self.dice.between(2, 9));
                self.plan(soon, &terms, due + more, named);
            }
            7 => {
                self.saw(Event::PaysLate);
                let late = end + self.dice.between(1, 5) * self.block_seconds;
                self.plan(late, &terms, due, reference);
            }
            8 => {
                self.saw(Event::PaysTwice);
                self.plan(soon, &terms, due, reference);
                let again = soon + self.dice.below(30) * self.block_seconds;
                self.plan(again, &terms, due, reference);
            }
            9 => {
                self.saw(Event::PaysAtDeadline);
                let at = end.saturating_sub(self.dice.below(2 * self.block_seconds));
                self.plan(at, &terms, due, reference);
            }
            10 => {
                self.saw(Event::PaysWrongAsset);
                let token = if terms.asset.contract == USDT { INSPI } else { USDT };
                let moved = Move { token, ..self.paying(&terms, due) };
                self.direct(now, moved, named);
            }
            _ => self.saw(Event::Abandons),
        }
    }

    fn plan(
        &mut self,
        at_seconds: u64,
        terms: &OrderTerms,
        base_units: U256,
        reference: Option<Reference>,
    ) {
        let moved = self.paying(terms, base_units);
        self.plans.push(Plan { at_seconds, moved, reference });
    }

    fn some_order(&mut self) -> Option<OrderTerms> {
        let recent = self.orders.len().saturating_sub(30);
        let place = recent + self.dice.place(self.orders.len() - recent);
        self.orders.get(place).cloned()
    }

    async fn interfere(&mut self, now: u64, laws: &mut Laws) {
        let token = if self.dice.chance(500) { USDT } else { INSPI };
        let (from, to) = (self.wallet(), self.treasury());
        let dollars = U256::from(self.dice.between(1, 500));
        let round = Move { token, from, to, base_units: base_units_a_dollar(token) * dollars };
        match self.dice.below(11) {
            0 => {
                self.saw(Event::RoundAmount);
                self.direct(now, round, None);
            }
            1 => self.withdraw(now, token),
            2 | 3 => self.bundle(now, laws).await,
            other => self.imitate(other, now, laws).await,
        }
    }

    /// Those who use what an order shows.
    async fn imitate(&mut self, how: u64, now: u64, laws: &mut Laws) {
        let Some(terms) = self.some_order() else { return };
        let named = Some(terms.reference);
        let due = terms.due_base_units;
        match how {
            4 => {
                self.saw(Event::ZeroValue);
                let moved = self.paying(&terms, U256::ZERO);
                let reference = named.filter(|_| self.dice.chance(700));
                self.direct(now, moved, reference);
            }
            5 => {
                self.saw(Event::FakeToken);
                let moved = Move { token: FAKE, ..self.paying(&terms, due) };
                self.direct(now, moved, named);
            }
            6 | 7 => {
                self.saw(Event::ReplayedReference);
                let some = due / U256::from(self.dice.between(1, 20)) + U256::from(1);
                let moved = self.paying(&terms, some);
                self.direct(now, moved, named);
            }
            8 => {
                self.saw(Event::NearAmount);
                let near = due + U256::from(self.dice.between(1, 40) * 10_000_019);
                let slot = (terms.asset, terms.treasury, near);
                if !laws.is_due(slot) {
                    let moved = self.paying(&terms, near);
                    self.direct(now, moved, None);
                }
            }
            _ => self.want_amount(now, laws).await,
        }
    }

    /// Makes an order of the amount that another one had, which ended unpaid.
    async fn want_amount(&mut self, now: u64, laws: &mut Laws) {
        let Some(ended) = self
            .orders
            .iter()
            .rev()
            .find(|terms| laws.is_closed(&terms.id) && !laws.is_paid(&terms.id))
            .cloned()
        else {
            return;
        };
        let Some(fresh) = self.terms(now) else { return };
        self.saw(Event::AmountWanted);
        let terms = OrderTerms {
            asset: ended.asset,
            decimals: ended.decimals,
            treasury: ended.treasury,
            due_base_units: ended.due_base_units,
            list_base_units: ended.list_base_units,
            credits: ended.credits,
            price: ended.price,
            rate: ended.rate,
            ..fresh
        };
        self.order(terms, laws).await;
    }

    fn withdraw(&mut self, now: u64, token: Address) {
        let head = Arc::clone(self.shared.chain().head());
        let held = head.balance(token, FIRST_TREASURY);
        if held.is_zero() {
            return;
        }
        let base_units = held / U256::from(self.dice.between(1, 4));
        let between = self.second_treasury_from.is_some_and(|from| from + 20 <= head.number())
            && self.dice.chance(400);
        let to = if between { NEXT_TREASURY } else { self.wallet() };
        self.saw(if between { Event::BetweenTreasuries } else { Event::Withdrawal });
        self.direct(now, Move { token, from: FIRST_TREASURY, to, base_units }, None);
    }

    /// Several transfers by one chain transaction: exact payments, transfers to others, and what the
    /// treasury sends; behind the calldata somebody's reference that counts for nothing.
    async fn bundle(&mut self, now: u64, laws: &mut Laws) {
        self.saw(Event::PaysByBundle);
        let mut moves = Vec::new();
        for _ in 0..self.dice.between(1, 4) {
            let Some(terms) = self.terms(now) else { continue };
            if !is_used(&terms, laws) && self.order(terms.clone(), laws).await {
                let moved = self.paying(&terms, terms.due_base_units);
                if self.dice.chance(400) {
                    let (from, to) = (self.wallet(), self.wallet());
                    moves.push(Move { from, to, ..moved });
                }
                moves.push(moved);
            }
        }
        let trailer = self.some_order().and_then(|terms| {
            let moved = *moves.first()?;
            Some((moved, terms.reference))
        });
        let trailer = trailer.filter(|_| self.dice.chance(500));
        let is_varying = self.dice.chance(200);
        self.nonce += 1;
        let tx = SimTx::bundle(self.nonce, now, moves, trailer, is_varying);
        self.send(tx);
    }

    /// A chain transaction that is nobody's business.
    pub(crate) fn noise(&mut self, now: u64) {
        let token = match self.dice.below(3) {
            0 => USDT,
            1 => INSPI,
            _ => FAKE,
        };
        let (from, to) = (self.wallet(), self.wallet());
        let base_units = U256::from(self.dice.below(1_000_000));
        self.direct(now, Move { token, from, to, base_units }, None);
    }
}
