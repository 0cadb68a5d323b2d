//! What a sum received for an order means for the books. Pure, and a function of the sum alone.
//!
//! Entries post the difference between the split before and after a transfer, so the order in which
//! parts arrive, leave and come back never changes where the books end up.

use inspay_primitives::{Credits, OrderState, OrderTerms, PriceError, Rounding, U256, mul_div};

/// What becomes of more than the due amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OverPolicy {
    /// It buys credits at the quote's rate.
    #[default]
    Credit,
    /// It waits in suspense.
    Hold,
}

/// What becomes of a transfer after the deadline and its grace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LatePolicy {
    /// It buys credits at the rate of its block time.
    #[default]
    Credit,
    /// It waits in suspense.
    Hold,
}

/// What becomes of part payments when their order is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PartialPolicy {
    /// They buy their share of the credits at the quote's rate.
    #[default]
    Credit,
    /// They wait in suspense.
    Hold,
}

/// The settings that decide odd amounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SettlementRules {
    /// Too much.
    pub over: OverPolicy,
    /// Too late.
    pub late: LatePolicy,
    /// Too little.
    pub partial: PartialPolicy,
}

/// How a sum received for an order stands in the books.
///
/// `received + discounts + shortfall = clearing + rounding + suspense`, always.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Split {
    /// Credited to clearing.
    pub clearing: U256,
    /// Debited to discounts.
    pub discounts: U256,
    /// Debited to rounding: short of the due amount, within the tolerance.
    pub shortfall: U256,
    /// Credited to rounding: too little to buy a micro-credit.
    pub rounding: U256,
    /// Credited to suspense: held by setting.
    pub suspense: U256,
    /// Credits granted.
    pub credits: Credits,
}

/// Whether `received` pays the order in full.
pub(crate) fn is_paid(terms: &OrderTerms, received: U256) -> bool {
    !received.is_zero()
        && received.saturating_add(terms.tolerance_base_units) >= terms.due_base_units
}

/// Where an order with that much received stands.
pub(crate) fn state_of(terms: &OrderTerms, received: U256, closed: bool) -> OrderState {
    if is_paid(terms, received) {
        OrderState::Paid
    } else if closed {
        OrderState::Expired
    } else if received.is_zero() {
        OrderState::Open
    } else {
        OrderState::PartiallyPaid
    }
}

/// What `base_units` buy at the order's own rate: credits rounded down, and what those credits cost, rounded up.
fn share(terms: &OrderTerms, base_units: U256) -> Result<(U256, U256), PriceError> {
    let whole = terms.credits.to_u256_micros();
    let credits = mul_div(whole, base_units, terms.due_base_units, Rounding::Down)?;
    let cost = mul_div(credits, terms.due_base_units, whole, Rounding::Up)?;
    Ok((credits, cost))
}

fn add(a: U256, b: U256) -> Result<U256, PriceError> {
    a.checked_add(b).ok_or(PriceError::OutOfRange)
}

/// Splits a sum received in time for an order; `closed` once its deadline has passed.
pub fn split(
    terms: &OrderTerms,
    received: U256,
    closed: bool,
    rules: &SettlementRules,
) -> Result<Split, PriceError> {
    if received.is_zero() {
        return Ok(Split::default());
    }
    if !is_paid(terms, received) {
        return split_part(terms, received, closed, rules);
    }
    let discounts = terms.list_base_units.saturating_sub(terms.due_base_units);
    let list = add(terms.due_base_units, discounts)?;
    let paid = Split { clearing: list, discounts, credits: terms.credits, ..Split::default() };
    let Some(over) = received.checked_sub(terms.due_base_units) else {
        return Ok(Split { shortfall: terms.due_base_units.saturating_sub(received), ..paid });
    };
    match rules.over {
        OverPolicy::Hold => Ok(Split { suspense: over, ..paid }),
        OverPolicy::Credit => {
            let (credits, cost) = share(terms, over)?;
            let credits = add(credits, terms.credits.to_u256_micros())?;
            Ok(Split {
                clearing: add(list, cost)?,
                rounding: over.saturating_sub(cost),
                credits: Credits::from_u256_micros(credits).map_err(|_| PriceError::OutOfRange)?,
                ..paid
            })
        }
    }
}

fn split_part(
    terms: &OrderTerms,
    received: U256,
    closed: bool,
    rules: &SettlementRules,
) -> Result<Split, PriceError> {
    if !closed {
        return Ok(Split { clearing: received, ..Split::default() });
    }
    match rules.partial {
        PartialPolicy::Hold => Ok(Split { suspense: received, ..Split::default() }),
        PartialPolicy::Credit => {
            let (credits, cost) = share(terms, received)?;
            Ok(Split {
                clearing: cost,
                rounding: received.saturating_sub(cost),
                credits: Credits::from_u256_micros(credits).map_err(|_| PriceError::OutOfRange)?,
                ..Split::default()
            })
        }
    }
}
