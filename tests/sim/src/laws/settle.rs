//! Settlements: never early, never phantom, never to somebody else.

use inspay_ledger::{
    BatchRows, Evidence, IgnoreReason, LatePolicy, Settlement, SettlementKind, SuspenseReason,
};
use inspay_ports::{ReadStore as _, SaleStore as _};
use inspay_primitives::{
    ConfirmationRule, Direction, OrderId, OrderTerms, Timestamp, Transfer, U256,
};

use super::Laws;
use crate::{Event, chain::Standing};

/// What may become of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Order(OrderId, Evidence),
    Late(OrderId, Evidence, i64),
    Suspense(SuspenseReason),
    Withdrawal,
    Ignored(IgnoreReason),
}

impl Fate {
    /// What a settlement says became of it; credits only where they are the transfer's own.
    fn of(settled: &Settlement) -> Option<Self> {
        let order = || Some((settled.order?, settled.evidence?));
        Some(match settled.kind {
            SettlementKind::Order => {
                let (order, evidence) = order()?;
                Self::Order(order, evidence)
            }
            SettlementKind::Late => {
                let (order, evidence) = order()?;
                Self::Late(order, evidence, settled.credits.micros())
            }
            SettlementKind::Suspense => Self::Suspense(settled.suspense?),
            SettlementKind::Withdrawal => Self::Withdrawal,
            SettlementKind::Ignored => Self::Ignored(settled.ignored?),
        })
    }
}

/// Micro-credits that a late payment buys.
fn late_credits(terms: &OrderTerms, base_units: U256, rate: rust_decimal::Decimal) -> Option<i64> {
    let price = terms.price.decimal();
    let mantissa = |number: rust_decimal::Decimal| u128::try_from(number.mantissa()).ok();
    let ten = |exponent: u32| U256::from(10).checked_pow(U256::from(exponent));
    let micros = U256::from(u64::try_from(terms.credits.micros()).ok()?);
    let numerator = base_units
        .checked_mul(U256::from(mantissa(rate)?))?
        .checked_mul(micros)?
        .checked_mul(ten(price.scale())?)?;
    let denominator =
        ten(u32::from(terms.decimals) + rate.scale())?.checked_mul(U256::from(mantissa(price)?))?;
    i64::try_from(numerator.checked_div(denominator)?).ok()
}

const fn is_deep_enough(rule: ConfirmationRule, standing: Standing) -> bool {
    let (depth, tag) = match rule {
        ConfirmationRule::Depth(depth) => (depth, true),
        ConfirmationRule::Safe(depth) => (depth, standing.was_safe || standing.was_final),
        ConfirmationRule::Finalized(depth) => (depth, standing.was_final),
    };
    tag && depth as u64 <= standing.confirmations
}

/// By how much a block's time may lie before the making of an order that it pays for.
const CLOCK_SKEW_SECONDS: i64 = 15;

impl Laws {
    /// After a batch of the books was written.
    pub(crate) async fn posted(&mut self, rows: &BatchRows, oldest: Option<Timestamp>) {
        self.check_entries(rows);
        for reversal in &rows.reversals {
            self.take_back(reversal.transfer, reversal.generation).await;
        }
        for settled in &rows.settlements {
            self.check_settled(settled).await;
        }
        self.check_closed(rows, oldest);
        self.check_progress(rows);
        self.wrote().await;
    }

    async fn take_back(&mut self, id: inspay_primitives::TransferId, generation: u32) {
        self.shared.journal.saw(Event::TakenBack);
        self.shared.journal.tell(format_args!("taken back {id}/{generation}"));
        let Some(settled) = self.settled.remove(&id) else {
            self.broken("6: reversible", format!("{id} was taken back, and was not settled"));
            return;
        };
        let stands = match self.store.transfer(id).await {
            Ok(Some(view)) => view.canonical && view.transfer.block.hash == settled.block_hash,
            Ok(None) | Err(_) => false,
        };
        self.require(!stands, "6: reversible", || {
            format!("{id} was taken back, and stands where it was settled")
        });
        let Some(tab) = settled.order.and_then(|order| self.tabs.get_mut(&order)) else { return };
        if settled.kind == SettlementKind::Order {
            tab.received -= settled.base_units;
        } else {
            tab.late_credits -= settled.credits.micros();
        }
    }

    async fn check_settled(&mut self, settled: &Settlement) {
        let id = settled.transfer;
        let fate = Fate::of(settled);
        self.shared.journal.tell(format_args!(
            "settled {id}/{} {} in {}: {fate:?}",
            settled.generation, settled.base_units, settled.block_hash
        ));
        self.count(settled);
        let (truth, standing) = {
            let chain = self.shared.chain();
            let truth = chain
                .by_hash(&settled.block_hash)
                .and_then(|block| block.transfers.get(&id))
                .copied();
            (truth, chain.standing(&settled.block_hash))
        };
        let Some(truth) = truth else {
            self.broken(
                "1: no phantom",
                format!("{id} was settled in {}, which has no such transfer", settled.block_hash),
            );
            return;
        };
        self.require(truth.base_units == settled.base_units, "9: exact", || {
            format!("{id} moved {}, settled were {}", truth.base_units, settled.base_units)
        });
        let rule = self
            .rules
            .confirmations
            .get(&truth.key.asset())
            .map(|policy| policy.rule_for(truth.base_units));
        let is_deep = rule.is_some_and(|rule| is_deep_enough(rule, standing));
        self.require(is_deep, "2: never early", || {
            format!("{id} was settled by {rule:?}, its block never stood better than {standing:?}")
        });
        let may_be = self.fates(&truth).await;
        self.require(fate.is_some_and(|fate| may_be.contains(&fate)), "7: to nobody else", || {
            format!("{id} became {fate:?}, and may be {may_be:?}")
        });
        let other = self.settled.insert(id, settled.clone());
        self.require(other.is_none(), "1: once", || format!("{id} was settled twice"));
        let Some(tab) = settled.order.and_then(|order| self.tabs.get_mut(&order)) else { return };
        if settled.kind == SettlementKind::Order {
            tab.received += settled.base_units;
        } else {
            tab.late_credits += settled.credits.micros();
        }
    }

    fn count(&self, settled: &Settlement) {
        let journal = &self.shared.journal;
        journal.saw(Event::Settled);
        if settled.generation > 0 {
            journal.saw(Event::SettledAgain);
        }
        match settled.kind {
            SettlementKind::Late => journal.saw(Event::SettledLate),
            SettlementKind::Suspense => journal.saw(Event::Suspended),
            SettlementKind::Ignored => journal.saw(Event::Ignored),
            SettlementKind::Order | SettlementKind::Withdrawal => {}
        }
    }

    /// What may become of a transfer now.
    async fn fates(&self, transfer: &Transfer) -> Vec<Fate> {
        if transfer.base_units.is_zero() {
            return vec![Fate::Ignored(IgnoreReason::ZeroValue)];
        }
        if transfer.counterparty == transfer.key.treasury {
            return vec![Fate::Ignored(IgnoreReason::SelfTransfer)];
        }
        if transfer.key.direction == Direction::Out {
            return vec![Fate::Withdrawal];
        }
        let (asset, treasury) = (transfer.key.asset(), transfer.key.treasury);
        if let Some(terms) = transfer.reference.flatten().and_then(|named| self.order_named(named))
        {
            let fits = terms.asset == asset && terms.treasury == treasury;
            return if fits {
                vec![self.in_time_or_late(transfer, terms, Evidence::Reference)]
            } else {
                vec![Fate::Suspense(SuspenseReason::WrongAsset)]
            };
        }
        let nobody = Fate::Suspense(SuspenseReason::NoEvidence);
        let Some(terms) = self.order_due((asset, treasury, transfer.base_units)) else {
            return vec![nobody];
        };
        // What came before an order was made pays for nothing that it could have known of.
        if transfer.block.time.plus_seconds(CLOCK_SKEW_SECONDS) < terms.created_at {
            return vec![nobody];
        }
        let is_held = match self.store.order(terms.id).await {
            Ok(order) => order.is_some_and(|order| order.progress.slot_held),
            Err(_) => false,
        };
        let mut may_be = vec![match self.in_time_or_late(transfer, terms, Evidence::ExactAmount) {
            Fate::Order(order, _) if self.is_paid(&order) => {
                Fate::Suspense(SuspenseReason::OrderAlreadyPaid)
            }
            fate @ (Fate::Order(..)
            | Fate::Late(..)
            | Fate::Suspense(_)
            | Fate::Withdrawal
            | Fate::Ignored(_)) => fate,
        }];
        // A payment of an order that was paid and is final belongs to nobody any more.
        if !is_held && self.is_paid(&terms.id) {
            may_be.push(nobody);
        }
        may_be
    }

    fn in_time_or_late(&self, transfer: &Transfer, terms: &OrderTerms, evidence: Evidence) -> Fate {
        let time = transfer.block.time;
        if time <= terms.in_time_until() {
            return Fate::Order(terms.id, evidence);
        }
        if self.rules.settlement.late == LatePolicy::Hold {
            return Fate::Suspense(SuspenseReason::Late);
        }
        let Some(rate) = self.rate_at(terms.asset, time) else {
            return Fate::Suspense(SuspenseReason::NoRateAtBlockTime);
        };
        match late_credits(terms, transfer.base_units, rate.decimal()) {
            Some(credits) => Fate::Late(terms.id, evidence, credits),
            None => Fate::Suspense(SuspenseReason::TooManyCredits),
        }
    }
}
