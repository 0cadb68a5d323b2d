//! Quotes: the wish, and the answer with every payable asset side by side.

use std::collections::BTreeMap;

use inspay_primitives::{Credits, QuoteId, Rate, Timestamp, Usd};
use inspay_quoting::{
    GasOption, GasOptions, GasQuote, Line, LineKind, Offer, Percent, PricedOffer, Purchase, Quote,
    QuoteRequest,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{AssetBody, TokenAmount, token::show_address};
use crate::{
    extract::read_address,
    problem::{Problem, ProblemCode},
};

/// What is to be priced: either a pack or an amount of credits.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct QuoteWish {
    /// A pack of the catalog.
    #[schema(example = "starter")]
    #[serde(default)]
    pack: Option<String>,
    /// An amount of credits, a decimal text with at most six digits after the point.
    #[schema(example = "2500")]
    #[serde(default)]
    credits: Option<String>,
    /// A promotion code.
    #[schema(example = "LAUNCH10")]
    #[serde(default)]
    promotion_code: Option<String>,
    /// The wallet that will pay, for a better gas estimate.
    #[schema(example = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8")]
    #[serde(default)]
    payer: Option<String>,
}

impl QuoteWish {
    /// Reads the wish as a request to quoting.
    pub(crate) fn read(&self) -> Result<QuoteRequest, Problem> {
        let unclear = |detail: &str| {
            Problem::new(ProblemCode::PurchaseUnclear, detail)
                .with_fact("/pack", "purchase_unclear", "a pack of the catalog, or")
                .with_fact("/credits", "purchase_unclear", "an amount of credits")
        };
        let purchase = match (&self.pack, &self.credits) {
            (Some(pack), None) => Purchase::Pack(pack.parse()?),
            (None, Some(credits)) => Purchase::parse_custom(credits)?,
            (None, None) => {
                return Err(unclear("Neither a pack nor an amount of credits is named."));
            }
            (Some(_), Some(_)) => {
                return Err(unclear("Both a pack and an amount of credits are named."));
            }
        };
        let payer = self.payer.as_deref().map(|text| read_address("/payer", text)).transpose()?;
        Ok(QuoteRequest {
            purchase,
            promotion_code: self.promotion_code.clone(),
            holder_balances: BTreeMap::new(),
            payer,
        })
    }
}

/// One purchase priced in every payable asset at once. Never changes once made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Quote)]
pub(crate) struct QuoteBody {
    /// Identity; an order is made of it.
    #[schema(value_type = String, example = "quo_01932b5fe7a87c5f9d3b0a1c2d3e4f50")]
    id: QuoteId,
    /// The pack that was asked for.
    pack: Option<String>,
    /// What the purchase grants.
    #[schema(value_type = String, example = "1000.000000")]
    credits: Credits,
    /// The promotion that was asked for.
    promotion_code: Option<String>,
    /// The wallet that will pay, if it was named.
    payer: Option<String>,
    /// What it costs before any discount.
    #[schema(value_type = String, example = "9.990000")]
    list_price_usd: Usd,
    /// One for each payable asset: priced, or refused with the reason.
    offers: Vec<OfferBody>,
    /// Id of the asset with the lowest total; compared without gas where some total is not known.
    #[schema(example = "eip155:1/erc20:0xdac17f958d2ee523a2206206994597c13d831ec7")]
    cheapest: Option<String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// From then on it cannot be accepted.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// The purchase in one asset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Offer)]
pub(crate) struct OfferBody {
    /// The asset.
    asset: AssetBody,
    /// Whether it can be paid in this asset now.
    payable: bool,
    /// The price, if there is one.
    price: Option<PriceBody>,
    /// Why there is none.
    refusal: Option<RefusalBody>,
}

/// A price in one asset. Its lines add up to `price_usd` exactly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Price)]
pub(crate) struct PriceBody {
    /// List price, discounts, cap.
    lines: Vec<LineBody>,
    /// The sum of the lines.
    #[schema(value_type = String, example = "7.992000")]
    price_usd: Usd,
    /// List price less price.
    #[schema(value_type = String, example = "1.998000")]
    saving_usd: Usd,
    /// The price in the token, rounded up; an order may ask for a tail of less than a cent less.
    due: TokenAmount,
    /// The list price in the token.
    list: TokenAmount,
    /// The rate that turned dollars into tokens.
    rate: RateBody,
    /// What sending the payment costs.
    gas: GasBody,
    /// Price and normal gas, where the gas is known in dollars.
    #[schema(value_type = Option<String>, example = "8.010000")]
    total_usd: Option<Usd>,
    /// Whether an order in this asset can be told from all others by its amount alone.
    exact_amount_lane: bool,
    /// From then on this offer cannot be accepted.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// One line of a price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Line)]
pub(crate) struct LineBody {
    /// What it stands for.
    #[schema(value_type = String, example = "asset_discount")]
    kind: LineKind,
    /// The same for people.
    label: String,
    /// The percentage it was worked out with, of what the lines above it leave.
    #[schema(value_type = Option<String>, example = "20")]
    percent: Option<Percent>,
    /// Above zero is charged, below zero is taken off.
    #[schema(value_type = String, example = "-1.998000")]
    amount_usd: Usd,
}

/// A rate with where it comes from and how long it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Rate)]
pub(crate) struct RateBody {
    /// Dollars per whole token.
    #[schema(value_type = String, example = "0.9998")]
    usd_per_token: Rate,
    /// A source's name, or `median(…)` of several.
    source: String,
    /// The oldest observation in it.
    #[schema(value_type = String, format = DateTime)]
    observed_at: Timestamp,
    /// From then on it prices nothing.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// The gas of the very transfer that would pay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Gas)]
pub(crate) struct GasBody {
    /// What it costs, if it could be estimated.
    estimate: Option<GasEstimateBody>,
    /// Why it could not be estimated; the offer stands without it.
    refusal: Option<RefusalBody>,
}

/// An estimate at three speeds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = GasEstimate)]
pub(crate) struct GasEstimateBody {
    /// Gas that the transfer uses.
    #[schema(example = "61234")]
    gas_limit: String,
    /// Whether it was asked for the wallet that will pay, or for a stand-in.
    for_payer: bool,
    /// Symbol of the chain's native token.
    #[schema(example = "ETH")]
    native_symbol: String,
    /// In when blocks have room.
    slow: GasOptionBody,
    /// In with most others.
    normal: GasOptionBody,
    /// In ahead of most others.
    fast: GasOptionBody,
}

/// The cost at one speed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = GasOption)]
pub(crate) struct GasOptionBody {
    /// `maxFeePerGas` in wei.
    max_fee_per_gas_wei: String,
    /// `maxPriorityFeePerGas` in wei.
    priority_fee_per_gas_wei: String,
    /// The whole cost in native tokens, data fee of the chain below included.
    native: TokenAmount,
    /// The same in dollars, where the native rate is known.
    #[schema(value_type = Option<String>, example = "0.18")]
    usd: Option<Usd>,
}

/// Why something has no price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Refusal)]
pub(crate) struct RefusalBody {
    /// The reason as a stable name.
    #[schema(example = "rate_stale")]
    code: String,
    /// The same for people, with the facts.
    detail: String,
}

impl From<&Line> for LineBody {
    fn from(line: &Line) -> Self {
        Self {
            kind: line.kind,
            label: line.label.clone(),
            percent: line.percent,
            amount_usd: line.amount_usd,
        }
    }
}

impl From<&GasOption> for GasOptionBody {
    fn from(option: &GasOption) -> Self {
        Self {
            max_fee_per_gas_wei: option.max_fee_per_gas.to_string(),
            priority_fee_per_gas_wei: option.priority_fee_per_gas.to_string(),
            native: TokenAmount {
                base_units: option.cost_wei.to_string(),
                decimal: Some(option.cost_native.clone()),
            },
            usd: option.cost_usd,
        }
    }
}

impl From<&GasOptions> for GasEstimateBody {
    fn from(options: &GasOptions) -> Self {
        Self {
            gas_limit: options.gas_limit.to_string(),
            for_payer: options.for_payer,
            native_symbol: options.native_symbol.clone(),
            slow: GasOptionBody::from(&options.slow),
            normal: GasOptionBody::from(&options.normal),
            fast: GasOptionBody::from(&options.fast),
        }
    }
}

impl From<&GasQuote> for GasBody {
    fn from(gas: &GasQuote) -> Self {
        match gas {
            GasQuote::Estimated(options) => {
                Self { estimate: Some(GasEstimateBody::from(options.as_ref())), refusal: None }
            }
            GasQuote::Unknown(refusal) => {
                let (code, detail) = (refusal.code().to_owned(), refusal.to_string());
                Self { estimate: None, refusal: Some(RefusalBody { code, detail }) }
            }
        }
    }
}

impl From<&PricedOffer> for PriceBody {
    fn from(offer: &PricedOffer) -> Self {
        let decimals = Some(offer.asset.decimals);
        Self {
            lines: offer.lines.iter().map(LineBody::from).collect(),
            price_usd: offer.price_usd,
            saving_usd: offer.saving_usd,
            due: TokenAmount::new(offer.due_base_units, decimals),
            list: TokenAmount::new(offer.list_base_units, decimals),
            rate: RateBody {
                usd_per_token: offer.rate.rate,
                source: offer.rate.source.clone(),
                observed_at: offer.rate.observed_at,
                expires_at: offer.rate.expires_at,
            },
            gas: GasBody::from(&offer.gas),
            total_usd: offer.total_usd,
            exact_amount_lane: offer.tail.is_some(),
            expires_at: offer.expires_at,
        }
    }
}

impl From<&Offer> for OfferBody {
    fn from(offer: &Offer) -> Self {
        let asset = AssetBody::from(offer.asset());
        match offer {
            Offer::Priced(priced) => {
                let price = Some(PriceBody::from(priced.as_ref()));
                Self { asset, payable: true, price, refusal: None }
            }
            Offer::Refused(refused) => {
                let (code, detail) = (refused.reason.code().to_owned(), refused.reason.to_string());
                let refusal = Some(RefusalBody { code, detail });
                Self { asset, payable: false, price: None, refusal }
            }
        }
    }
}

impl QuoteBody {
    pub(crate) fn new(id: QuoteId, quote: &Quote) -> Self {
        let pack = match &quote.purchase {
            Purchase::Pack(pack) => Some(pack.to_string()),
            Purchase::Custom(_) => None,
        };
        Self {
            id,
            pack,
            credits: quote.credits,
            promotion_code: quote.promotion.as_ref().map(ToString::to_string),
            payer: quote.payer.map(show_address),
            list_price_usd: quote.list_price_usd,
            offers: quote.offers.iter().map(OfferBody::from).collect(),
            cheapest: quote.cheapest.map(|asset| asset.to_string()),
            created_at: quote.made_at,
            expires_at: quote.expires_at,
        }
    }
}
