//! The exact-amount lane: amounts just under the price that tell one order from every other.
//!
//! A tail is a discount of less than one cent, never zero, and the amount that it leaves is never a
//! round one: what people type by themselves belongs to no order. Nothing here is random; the
//! choice is handed in.

use inspay_primitives::{Rate, Rounding, U256, Usd};
use serde::{Deserialize, Serialize};

use crate::text;

/// Exchanges and wallets let people type that many digits after the point.
const TYPED_DIGITS: u8 = 8;
/// So many amounts are kept to choose from before digits are given up for shorter ones.
const CHOICES_WANTED_LOG10: usize = 6;
/// Fewer amounts than this would soon run out, and close together they protect nobody.
const CHOICES_MIN: u64 = 90;

/// The amounts that an order may ask for instead of its plain due amount.
///
/// They lie from `lowest` to `highest`, `grain` apart; multiples of `round` among them are skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TailRange {
    /// The largest discount.
    #[serde(with = "text::base_units")]
    pub lowest: U256,
    /// The smallest discount, above zero.
    #[serde(with = "text::base_units")]
    pub highest: U256,
    /// The distance between two amounts: keeps the number of digits to be typed low.
    #[serde(with = "text::base_units")]
    pub grain: U256,
    /// Multiples of this are round amounts, and never asked for.
    #[serde(with = "text::base_units")]
    pub round: U256,
    /// What one cent is worth, rounded down; its multiples are never asked for either.
    #[serde(with = "text::base_units")]
    pub cent: U256,
}

/// The amounts under `due_base_units` that are less than `cent` away from it.
///
/// `None` where there is no room: the token's base unit is too coarse, or the price is below a cent.
/// Such an asset has no exact-amount lane.
#[must_use]
pub fn tail_range(due_base_units: U256, rate: Rate, decimals: u8, cent: Usd) -> Option<TailRange> {
    // Rounded down, so that a discount of one base unit less is worth less than the cent.
    let cent = rate.base_units(cent, decimals, Rounding::Down).ok()?;
    let cent_log10 = cent.checked_log10()?;
    if due_base_units <= cent {
        return None;
    }
    // Round in dollars for a token near one dollar, round to hundredths of a token for any other.
    let hundredth_log10 = usize::from(decimals.checked_sub(2)?);
    let round_log10 = cent_log10.min(hundredth_log10);
    let typed_log10 = usize::from(decimals.saturating_sub(TYPED_DIGITS));
    let grain_log10 = typed_log10
        .min(cent_log10.saturating_sub(CHOICES_WANTED_LOG10))
        .min(round_log10.saturating_sub(1));
    let (round, grain) = (pow10(round_log10)?, pow10(grain_log10)?);
    let below_due = due_base_units.checked_sub(U256::ONE)?;
    let above_cent = due_base_units.checked_sub(cent)?.checked_add(U256::ONE)?;
    let highest = below_due.checked_sub(below_due.checked_rem(grain)?)?;
    let lowest = above_cent.checked_next_multiple_of(grain)?;
    let range = TailRange { lowest, highest, grain, round, cent };
    let has_room = round > grain && range.choices()? >= U256::from(CHOICES_MIN);
    has_room.then_some(range)
}

fn pow10(exponent: usize) -> Option<U256> {
    U256::from(10).checked_pow(U256::from(exponent))
}

impl TailRange {
    /// How many amounts lie in the range, round ones included.
    fn choices(&self) -> Option<U256> {
        let span = self.highest.checked_sub(self.lowest)?;
        span.checked_div(self.grain)?.checked_add(U256::ONE)
    }

    /// Whether `base_units` could belong to an order of this range.
    #[must_use]
    pub fn holds(&self, base_units: U256) -> bool {
        let is_multiple = |of: U256| base_units.checked_rem(of).is_none_or(|rest| rest.is_zero());
        self.lowest <= base_units
            && base_units <= self.highest
            && is_multiple(self.grain)
            && !is_multiple(self.round)
            && !is_multiple(self.cent)
    }

    /// The amount for a random `choice`; every amount of the range can come up.
    ///
    /// A choice that meets a round amount takes the next one, which is never round. `None` only for
    /// a range that was not made by [`tail_range`].
    #[must_use]
    pub fn due_with_tail(&self, choice: U256) -> Option<U256> {
        let choices = self.choices()?;
        // Four neighbours hold at most one multiple of `round` and one of `cent`, and one more where
        // the range wraps around.
        (0u8..4).find_map(|step| {
            let place = choice.checked_rem(choices)?.checked_add(U256::from(step))?;
            let offset = place.checked_rem(choices)?.checked_mul(self.grain)?;
            let amount = self.lowest.checked_add(offset)?;
            self.holds(amount).then_some(amount)
        })
    }
}
