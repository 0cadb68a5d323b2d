//! What something will cost, what is missing, and the cheapest way to buy that. Pure.

use std::collections::BTreeMap;

use inspay_ledger::Lot;
use inspay_primitives::{Credits, Label, Rounding, Timestamp, U256, Usd, mul_div};
use inspay_quoting::{Catalog, Purchase, QuoteRequest, quote};

/// What is added to an estimate, in percent.
pub(crate) const BUFFER_PERCENT: u64 = 20;

/// A purchase with its list price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PricedPurchase {
    /// What to ask a quote for.
    pub(crate) purchase: Purchase,
    /// What it grants.
    pub(crate) credits: Credits,
    /// Its price before discounts.
    pub(crate) list_price: Usd,
}

impl PricedPurchase {
    /// The purchase for people.
    pub(crate) fn what(&self) -> String {
        match &self.purchase {
            Purchase::Pack(pack) => format!("the pack {pack} of {} credits", self.credits),
            Purchase::Custom(credits) => format!("{credits} credits"),
        }
    }
}

/// The credits with the buffer on top, rounded up.
pub(crate) fn with_buffer(credits: Credits) -> Option<Credits> {
    let percent = U256::from(100_u64.saturating_add(BUFFER_PERCENT));
    let micros = mul_div(credits.to_u256_micros(), percent, U256::from(100), Rounding::Up).ok()?;
    Credits::from_u256_micros(micros).ok()
}

fn priced(catalog: &Catalog, purchase: Purchase) -> Option<PricedPurchase> {
    let request = QuoteRequest {
        purchase: purchase.clone(),
        promotion_code: None,
        holder_balances: BTreeMap::new(),
        payer: None,
    };
    let quoted = quote(&request, catalog, &[], Timestamp::from_micros(0)).ok()?;
    Some(PricedPurchase { purchase, credits: quoted.credits, list_price: quoted.list_price_usd })
}

/// Every purchase of the catalog that grants at least `missing`: the packs, and the custom amount.
pub(crate) fn purchases(catalog: &Catalog, missing: Credits) -> Vec<PricedPurchase> {
    let packs = catalog.packs().iter().filter(|pack| pack.credits >= missing);
    let packs = packs.map(|pack| Purchase::Pack(pack.id.clone()));
    let custom = catalog.custom();
    let amount = missing.max(custom.min_credits);
    let custom = (amount <= custom.max_credits).then_some(Purchase::Custom(amount));
    packs.chain(custom).filter_map(|purchase| priced(catalog, purchase)).collect()
}

/// The cheapest of them at list price; of two as cheap, the one with more credits.
pub(crate) fn least_purchase(catalog: &Catalog, missing: Credits) -> Option<PricedPurchase> {
    purchases(catalog, missing)
        .into_iter()
        .min_by_key(|it| (it.list_price, std::cmp::Reverse(it.credits)))
}

/// What of the lots can go into things of these features, each with its cost, by `until`; never more than is needed.
/// Credits of one feature count for that feature's part alone.
pub(crate) fn available<'a>(
    lots: &[Lot],
    costs: impl Iterator<Item = (&'a Label, Credits)>,
    needed: Credits,
    until: Timestamp,
) -> Credits {
    let mut of_feature: BTreeMap<&Label, i64> = BTreeMap::new();
    for (feature, cost) in costs {
        let cost = with_buffer(cost).unwrap_or(Credits::MAX).micros();
        let sum = of_feature.entry(feature).or_default();
        *sum = sum.saturating_add(cost);
    }
    let mut sum: i64 = 0;
    let mut scoped: BTreeMap<&Label, i64> = BTreeMap::new();
    for lot in lots.iter().filter(|lot| lot.is_live(until)) {
        let left = lot.parts.left.micros();
        match &lot.scope {
            None => sum = sum.saturating_add(left),
            Some(scope) => {
                let part = scoped.entry(scope).or_default();
                *part = part.saturating_add(left);
            }
        }
    }
    for (feature, left) in scoped {
        sum = sum.saturating_add(left.min(of_feature.get(feature).copied().unwrap_or(0)));
    }
    Credits::from_micros(sum).min(needed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credits(text: &str) -> Credits {
        text.parse().expect("credits")
    }

    #[test]
    fn the_buffer_is_a_fifth_rounded_up() {
        assert_eq!(with_buffer(credits("10")), Some(credits("12")));
        assert_eq!(with_buffer(Credits::from_micros(1)), Some(Credits::from_micros(2)));
        assert_eq!(with_buffer(Credits::MAX), None);
    }

    #[test]
    fn the_least_purchase_covers_what_is_missing_at_the_lowest_price() {
        let catalog = Catalog::embedded().expect("a catalog");
        for missing in ["0.000001", "1", "999", "1000", "1000.5", "20000"] {
            let missing = credits(missing);
            let least = least_purchase(&catalog, missing).expect("a purchase");
            assert!(least.credits >= missing, "{missing}: {least:?}");
            for other in purchases(&catalog, missing) {
                assert!(least.list_price <= other.list_price, "{missing}: {least:?}, {other:?}");
            }
        }
    }
}
