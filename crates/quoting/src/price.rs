//! The making of a quote.
//!
//! What is wrong with the request refuses the quote; what is wrong with one asset refuses that
//! asset's offer only, and says why.

use inspay_primitives::{AssetId, Credits, PriceError, Rounding, Timestamp, U256, Usd};

use crate::{
    AssetInput, Catalog, GasQuote, Offer, OfferRefusal, PricedOffer, Promotion, PromotionCode,
    Purchase, Quote, QuoteError, QuoteRequest, RateQuote, RateRefusal, RefusedOffer,
    discount::{DiscountFacts, discounted, trimmed},
    exact::{micros_at, micros_from_usd, usd_from_micros},
    gas_options, tail_range,
};

/// What is bought, worked out from the catalog.
struct Item {
    label: String,
    credits: Credits,
    list_micros: U256,
}

/// Prices a purchase in every asset of `inputs`.
///
/// If no asset can be priced the quote still says why for each.
pub fn quote(
    request: &QuoteRequest,
    catalog: &Catalog,
    inputs: &[AssetInput],
    now: Timestamp,
) -> Result<Quote, QuoteError> {
    let item = item(&request.purchase, catalog)?;
    let code = request.promotion_code.as_deref().map(str::parse::<PromotionCode>).transpose()?;
    let promotion =
        code.as_ref().map(|code| promotion(code, catalog, item.credits, now)).transpose()?;
    let offer = |input: &AssetInput| {
        let holding = request.holder_balances.get(&input.asset.id).copied();
        match priced(&item, catalog, promotion, holding, input, now) {
            Ok(offer) => Offer::Priced(Box::new(offer)),
            Err(reason) => Offer::Refused(RefusedOffer { asset: input.asset.clone(), reason }),
        }
    };
    let offers: Vec<Offer> = inputs.iter().map(offer).collect();
    let first_expiry = offers.iter().filter_map(Offer::priced).map(|offer| offer.expires_at).min();
    Ok(Quote {
        purchase: request.purchase.clone(),
        promotion: code,
        payer: request.payer,
        credits: item.credits,
        list_price_usd: usd_from_micros(item.list_micros)
            .map_err(|_| QuoteError::PriceOutOfRange)?,
        cheapest: cheapest(&offers),
        offers,
        made_at: now,
        expires_at: first_expiry.unwrap_or(now),
        terms: catalog.terms(),
    })
}

fn item(purchase: &Purchase, catalog: &Catalog) -> Result<Item, QuoteError> {
    let out_of_range = |_| QuoteError::PriceOutOfRange;
    match purchase {
        Purchase::Pack(id) => {
            let pack = catalog.pack(id).ok_or_else(|| QuoteError::UnknownPack(id.clone()))?;
            Ok(Item {
                label: format!("Pack {}", pack.name),
                credits: pack.credits,
                list_micros: micros_from_usd(pack.list_price, Rounding::Up)
                    .map_err(out_of_range)?,
            })
        }
        Purchase::Custom(credits) => {
            let credits = *credits;
            check_amount(credits, catalog)?;
            let price = catalog.list_price_per_credit();
            Ok(Item {
                label: format!("{} credits at {price} USD", trimmed(&credits.to_string())),
                credits,
                list_micros: micros_at(credits, price, Rounding::Up).map_err(out_of_range)?,
            })
        }
    }
}

fn check_amount(credits: Credits, catalog: &Catalog) -> Result<(), QuoteError> {
    let (minimum, maximum) = (catalog.custom().min_credits, catalog.custom().max_credits);
    if credits.is_zero() {
        Err(QuoteError::AmountZero)
    } else if credits < Credits::ZERO {
        Err(QuoteError::AmountNegative)
    } else if credits < minimum {
        Err(QuoteError::AmountBelowMinimum { credits, minimum })
    } else if credits > maximum {
        Err(QuoteError::AmountAboveMaximum { credits: credits.to_string(), maximum })
    } else {
        Ok(())
    }
}

fn promotion<'a>(
    code: &PromotionCode,
    catalog: &'a Catalog,
    credits: Credits,
    now: Timestamp,
) -> Result<&'a Promotion, QuoteError> {
    let promotion =
        catalog.promotion(code).ok_or_else(|| QuoteError::UnknownPromotion(code.to_string()))?;
    let code = code.clone();
    if now < promotion.starts {
        Err(QuoteError::PromotionNotStarted { code, starts: promotion.starts })
    } else if now >= promotion.ends {
        Err(QuoteError::PromotionEnded { code, ends: promotion.ends })
    } else if credits < promotion.min_credits {
        let minimum = promotion.min_credits;
        Err(QuoteError::PromotionBelowMinimum { code, minimum, credits })
    } else {
        Ok(promotion)
    }
}

fn priced(
    item: &Item,
    catalog: &Catalog,
    promotion: Option<&Promotion>,
    holding: Option<U256>,
    input: &AssetInput,
    now: Timestamp,
) -> Result<PricedOffer, OfferRefusal> {
    let asset = &input.asset;
    if input.is_halted {
        return Err(OfferRefusal::Halted);
    }
    let rate = current(&input.rate, now)?;
    let price = discounted(&DiscountFacts {
        catalog,
        asset,
        list_label: &item.label,
        list_micros: item.list_micros,
        credits: item.credits,
        promotion,
        holding,
    })?;
    if price.price_micros.is_zero() {
        return Err(OfferRefusal::PriceZero);
    }
    let price_usd = usd_from_micros(price.price_micros)?;
    let list_price_usd = usd_from_micros(item.list_micros)?;
    let base_units = |value: Usd, rounding| rate.rate.base_units(value, asset.decimals, rounding);
    let due_base_units = base_units(price_usd, Rounding::Up)?;
    let terms = catalog.terms();
    let gas = gas(input);
    let total_usd = gas.normal_usd().and_then(|gas| price_usd.checked_add(gas));
    let lifetime_ends = now.plus_seconds(i64::from(catalog.quote_lifetime_seconds()));
    Ok(PricedOffer {
        asset: asset.clone(),
        lines: price.lines,
        price_usd,
        list_base_units: base_units(list_price_usd, Rounding::Up)?,
        due_base_units,
        tolerance_base_units: base_units(terms.tolerance_usd, Rounding::Down)?,
        tail: tail_range(due_base_units, rate.rate, asset.decimals, terms.cent_usd),
        expires_at: rate.expires_at.min(lifetime_ends),
        rate: rate.clone(),
        saving_usd: list_price_usd.checked_sub(price_usd).ok_or(OfferRefusal::OutOfRange)?,
        gas,
        total_usd,
    })
}

impl From<PriceError> for OfferRefusal {
    fn from(error: PriceError) -> Self {
        match error {
            PriceError::NotPositive | PriceError::OutOfRange | PriceError::Text(_) => {
                Self::OutOfRange
            }
        }
    }
}

/// The rate, unless it has expired since it was judged.
fn current(
    rate: &Result<RateQuote, RateRefusal>,
    now: Timestamp,
) -> Result<&RateQuote, OfferRefusal> {
    let rate = rate.as_ref().map_err(|refusal| OfferRefusal::Rate(refusal.clone()))?;
    if rate.expires_at > now {
        return Ok(rate);
    }
    Err(OfferRefusal::Rate(RateRefusal::Expired {
        source_name: rate.source.clone(),
        expired_at: rate.expires_at,
    }))
}

fn gas(input: &AssetInput) -> GasQuote {
    match input.gas.as_ref().map_err(Clone::clone).and_then(gas_options) {
        Ok(options) => GasQuote::Estimated(Box::new(options)),
        Err(refusal) => GasQuote::Unknown(refusal),
    }
}

/// The lowest total; without gas as soon as one priced offer has no total.
fn cheapest(offers: &[Offer]) -> Option<AssetId> {
    let priced = || offers.iter().filter_map(Offer::priced);
    let all_have_totals = priced().all(|offer| offer.total_usd.is_some());
    let cost = |offer: &&PricedOffer| match offer.total_usd {
        Some(total) if all_have_totals => total,
        Some(_) | None => offer.price_usd,
    };
    priced().min_by_key(cost).map(|offer| offer.asset.id)
}
