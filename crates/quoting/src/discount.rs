//! The lines of a price: the list price, each discount in the catalog's order, and the cap.
//!
//! Each discount is a percentage of what the lines above it leave, rounded down to a micro-dollar;
//! the cap's line gives back what all of them together took beyond it. A price is therefore the sum
//! of its lines by construction, and never below zero.

use std::ops::Neg as _;

use inspay_primitives::{Asset, Credits, PriceError, Rounding, U256, U512, Usd};

use crate::{
    Catalog, DiscountKind, HolderTier, Line, LineKind, Percent, Promotion,
    exact::{micros_from_usd, pow10, usd_from_micros},
};

/// What the discounts of one offer depend on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DiscountFacts<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) asset: &'a Asset,
    pub(crate) list_label: &'a str,
    pub(crate) list_micros: U256,
    pub(crate) credits: Credits,
    pub(crate) promotion: Option<&'a Promotion>,
    pub(crate) holding: Option<U256>,
}

/// Lines and what they add up to, in micro-dollars.
#[derive(Debug)]
pub(crate) struct DiscountedPrice {
    pub(crate) lines: Vec<Line>,
    pub(crate) price_micros: U256,
}

/// A discount that holds: its percentage, the most it takes, and its words.
struct Discount {
    kind: LineKind,
    label: String,
    percent: Percent,
    cap_micros: Option<U256>,
}

/// Works out the lines of one offer.
pub(crate) fn discounted(facts: &DiscountFacts<'_>) -> Result<DiscountedPrice, PriceError> {
    let mut lines = vec![Line {
        kind: LineKind::ListPrice,
        label: facts.list_label.to_owned(),
        percent: None,
        amount_usd: usd_from_micros(facts.list_micros)?,
    }];
    let mut left = facts.list_micros;
    for kind in facts.catalog.stacking() {
        let Some(discount) = discount(*kind, facts)? else { continue };
        let share = discount.percent.of(left, Rounding::Down)?;
        let off = discount.cap_micros.map_or(share, |cap| share.min(cap));
        left = left.saturating_sub(off);
        lines.push(Line {
            kind: discount.kind,
            label: discount.label,
            percent: Some(discount.percent),
            amount_usd: negative(off)?,
        });
    }
    let off_max = facts.catalog.discount_cap().of(facts.list_micros, Rounding::Down)?;
    let floor = facts.list_micros.saturating_sub(off_max);
    let back = floor.saturating_sub(left);
    if !back.is_zero() {
        let cap = facts.catalog.discount_cap();
        lines.push(Line {
            kind: LineKind::Cap,
            label: format!("All discounts together take at most {cap} %"),
            percent: Some(cap),
            amount_usd: usd_from_micros(back)?,
        });
    }
    Ok(DiscountedPrice { lines, price_micros: left.max(floor) })
}

fn discount(kind: DiscountKind, facts: &DiscountFacts<'_>) -> Result<Option<Discount>, PriceError> {
    Ok(match kind {
        DiscountKind::VolumeTier => volume_tier(facts),
        DiscountKind::Promotion => facts.promotion.map(|it| promotion(it, facts)).transpose()?,
        DiscountKind::AssetDiscount => asset_discount(facts),
        DiscountKind::HolderTier => holder_tier(facts),
    })
}

fn volume_tier(facts: &DiscountFacts<'_>) -> Option<Discount> {
    let reached = |tier: &&crate::VolumeTier| tier.from_credits <= facts.credits;
    let tier = facts.catalog.volume_tiers().iter().rev().find(reached)?;
    Some(Discount {
        kind: LineKind::VolumeTier,
        label: format!("Volume, from {} credits", trimmed(&tier.from_credits.to_string())),
        percent: tier.percent,
        cap_micros: None,
    })
}

/// A promotion that does not hold for the asset keeps its line, at zero, to say so.
fn promotion(promotion: &Promotion, facts: &DiscountFacts<'_>) -> Result<Discount, PriceError> {
    let (code, symbol) = (&promotion.code, &facts.asset.symbol);
    let kind = LineKind::Promotion;
    if !promotion.assets.is_empty() && !promotion.assets.contains(symbol) {
        let label = format!("Promotion {code} does not hold for {symbol}");
        return Ok(Discount { kind, label, percent: Percent::ZERO, cap_micros: None });
    }
    let cap_micros = promotion.cap.map(|cap| micros_from_usd(cap, Rounding::Down)).transpose()?;
    let label = promotion.cap.map_or_else(
        || format!("Promotion {code}"),
        |cap| format!("Promotion {code}, at most {cap} USD"),
    );
    Ok(Discount { kind, label, percent: promotion.percent, cap_micros })
}

fn asset_discount(facts: &DiscountFacts<'_>) -> Option<Discount> {
    let discount = facts.catalog.asset_discount(&facts.asset.symbol)?;
    (!discount.percent.is_zero()).then(|| Discount {
        kind: LineKind::AssetDiscount,
        label: format!("Paying in {}", facts.asset.symbol),
        percent: discount.percent,
        cap_micros: None,
    })
}

fn holder_tier(facts: &DiscountFacts<'_>) -> Option<Discount> {
    let tiers = &facts.catalog.asset_discount(&facts.asset.symbol)?.holder_tiers;
    let holding = facts.holding?;
    let reached = |tier: &&HolderTier| holds_enough(holding, facts.asset.decimals, **tier);
    let tier = tiers.iter().rev().find(reached)?;
    Some(Discount {
        kind: LineKind::HolderTier,
        label: format!("Holding at least {} {}", tier.from_tokens(), facts.asset.symbol),
        percent: tier.percent,
        cap_micros: None,
    })
}

/// Compares in whole tokens, exactly, whatever decimals the asset has.
fn holds_enough(holding: U256, decimals: u8, tier: HolderTier) -> bool {
    let widen =
        |value: U256, exponent: u8| U512::from(value).checked_mul(pow10(u32::from(exponent)).ok()?);
    let held = widen(holding, HolderTier::DECIMALS);
    let asked = widen(tier.from_atto_tokens, decimals);
    matches!((held, asked), (Some(held), Some(asked)) if held >= asked)
}

fn negative(micros: U256) -> Result<Usd, PriceError> {
    let amount = usd_from_micros(micros)?.decimal();
    // Nothing taken off is printed like any other amount, without a sign.
    Ok(Usd::new(if amount.is_zero() { amount } else { amount.neg() }))
}

pub(crate) fn trimmed(decimal: &str) -> &str {
    if decimal.contains('.') {
        decimal.trim_end_matches('0').trim_end_matches('.')
    } else {
        decimal
    }
}
