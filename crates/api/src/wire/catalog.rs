//! The catalog as shown. Promotion codes are not listed: whoever was given one knows it.

use inspay_primitives::{Credits, Usd};
use inspay_quoting::{Catalog, DiscountKind, Percent};
use serde::Serialize;
use utoipa::ToSchema;

use super::AssetBody;
use crate::state::SaleSettings;

/// What is sold and how it is priced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Catalog)]
pub(crate) struct CatalogBody {
    /// Dollars for one credit before any discount.
    #[schema(value_type = String, example = "0.01")]
    list_price_per_credit_usd: Usd,
    /// Fixed amounts at prices of their own.
    packs: Vec<PackBody>,
    /// Amounts that buyers choose themselves.
    custom: CustomBody,
    /// Percentages off from an amount of credits on.
    volume_tiers: Vec<VolumeTierBody>,
    /// Percentages off for paying in an asset, and for holding it.
    asset_discounts: Vec<AssetDiscountBody>,
    /// The order in which discounts are taken off, each from what the ones before it leave.
    #[schema(value_type = Vec<String>, example = json!(["volume_tier", "promotion", "asset_discount", "holder_tier"]))]
    stacking: Vec<DiscountKind>,
    /// The most that all discounts together take off, in percent of the list price.
    #[schema(value_type = String, example = "40")]
    discount_cap_percent: Percent,
    /// What can be paid in.
    assets: Vec<AssetBody>,
    /// What quotes and orders promise.
    terms: TermsBody,
}

/// A fixed amount of credits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Pack)]
pub(crate) struct PackBody {
    /// How requests name it.
    #[schema(example = "starter")]
    id: String,
    /// How people name it.
    #[schema(example = "Starter")]
    name: String,
    /// What it grants.
    #[schema(value_type = String, example = "1000.000000")]
    credits: Credits,
    /// What it costs before any discount.
    #[schema(value_type = String, example = "9.99")]
    list_price_usd: Usd,
}

/// Amounts that buyers choose themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = CustomAmount)]
pub(crate) struct CustomBody {
    /// The least.
    #[schema(value_type = String, example = "100.000000")]
    min_credits: Credits,
    /// The most.
    #[schema(value_type = String, example = "1000000.000000")]
    max_credits: Credits,
}

/// A percentage off for a large purchase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = VolumeTier)]
pub(crate) struct VolumeTierBody {
    /// The least it holds for.
    #[schema(value_type = String, example = "10000.000000")]
    from_credits: Credits,
    /// What it takes off.
    #[schema(value_type = String, example = "5")]
    percent: Percent,
}

/// A percentage off for paying in an asset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = AssetDiscount)]
pub(crate) struct AssetDiscountBody {
    /// Symbol of the asset.
    #[schema(example = "INSPI")]
    symbol: String,
    /// What it takes off.
    #[schema(value_type = String, example = "20")]
    percent: Percent,
    /// More for holders, from the smallest balance to the largest.
    holder_tiers: Vec<HolderTierBody>,
}

/// A further percentage off for whoever holds enough of the asset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = HolderTier)]
pub(crate) struct HolderTierBody {
    /// The least to hold, in whole tokens.
    #[schema(example = "10000")]
    from_tokens: String,
    /// What it takes off.
    #[schema(value_type = String, example = "5")]
    percent: Percent,
}

/// What quotes and orders promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Terms)]
pub(crate) struct TermsBody {
    /// Seconds that a quote may be accepted, at most.
    quote_lifetime_seconds: u32,
    /// Seconds that an order may be paid in.
    order_deadline_seconds: u32,
    /// Seconds after the deadline that still count as in time.
    order_grace_seconds: u32,
    /// Days that the credits live.
    credits_valid_days: u16,
    /// How far short of the due amount still counts as paid, in dollars.
    #[schema(value_type = String, example = "0.005")]
    tolerance_usd: Usd,
}

impl CatalogBody {
    pub(crate) fn new(catalog: &Catalog, sale: &SaleSettings) -> Self {
        let terms = catalog.terms();
        Self {
            list_price_per_credit_usd: catalog.list_price_per_credit(),
            packs: catalog.packs().iter().map(PackBody::from).collect(),
            custom: CustomBody {
                min_credits: catalog.custom().min_credits,
                max_credits: catalog.custom().max_credits,
            },
            volume_tiers: (catalog.volume_tiers().iter())
                .map(|tier| VolumeTierBody {
                    from_credits: tier.from_credits,
                    percent: tier.percent,
                })
                .collect(),
            asset_discounts: catalog
                .asset_discounts()
                .iter()
                .map(AssetDiscountBody::from)
                .collect(),
            stacking: catalog.stacking().to_vec(),
            discount_cap_percent: catalog.discount_cap(),
            assets: sale.assets.iter().map(|listed| AssetBody::from(&listed.asset)).collect(),
            terms: TermsBody {
                quote_lifetime_seconds: catalog.quote_lifetime_seconds(),
                order_deadline_seconds: terms.order_deadline_seconds,
                order_grace_seconds: terms.order_grace_seconds,
                credits_valid_days: terms.credits_valid_days,
                tolerance_usd: terms.tolerance_usd,
            },
        }
    }
}

impl From<&inspay_quoting::Pack> for PackBody {
    fn from(pack: &inspay_quoting::Pack) -> Self {
        Self {
            id: pack.id.to_string(),
            name: pack.name.clone(),
            credits: pack.credits,
            list_price_usd: pack.list_price,
        }
    }
}

impl From<&inspay_quoting::AssetDiscount> for AssetDiscountBody {
    fn from(discount: &inspay_quoting::AssetDiscount) -> Self {
        let tier = |tier: &inspay_quoting::HolderTier| HolderTierBody {
            from_tokens: tier.from_tokens(),
            percent: tier.percent,
        };
        Self {
            symbol: discount.symbol.clone(),
            percent: discount.percent,
            holder_tiers: discount.holder_tiers.iter().map(tier).collect(),
        }
    }
}
