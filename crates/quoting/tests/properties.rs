//! No sequence of roundings gives value away, for any catalog, rate and token.

use std::collections::BTreeMap;

use inspay_primitives::{
    Address, Asset, AssetId, ChainId, Credits, Rate, Rounding, Timestamp, U256, Usd,
};
use inspay_quoting::{
    AssetInput, Catalog, GasRefusal, LineKind, Offer, PricedOffer, Purchase, QuoteRequest,
    RateQuote, credits_at_rate, quote,
};
use proptest::prelude::*;
use rust_decimal::Decimal;

/// Millionths of a percent: volume, promotion, asset, holder, cap.
type Percents = [u32; 5];

const WHOLE: u64 = 100_000_000;

fn percent(micros: u32) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

fn catalog(percents: Percents, price_per_credit: &str, order: &[&str]) -> Catalog {
    let [volume, promotion, asset, holder, cap] = percents.map(percent);
    let order: Vec<String> = order.iter().map(|kind| format!("{kind:?}")).collect();
    let order = order.join(", ");
    let text = format!(
        r#"
        list_price_per_credit_usd = "{price_per_credit}"
        packs = []
        custom = {{ min_credits = "0.000001", max_credits = "1000000000" }}
        volume_tiers = [{{ from_credits = "0", percent = "{volume}" }}]
        promotions = [{{ code = "P", percent = "{promotion}", starts = "2020-01-01T00:00:00Z", ends = "2030-01-01T00:00:00Z" }}]
        asset_discounts = [{{ symbol = "T", percent = "{asset}", holder_tiers = [{{ from_tokens = "0", percent = "{holder}" }}] }}]
        stacking = {{ order = [{order}], cap_percent = "{cap}" }}
        terms = {{ quote_lifetime_seconds = 60, order_deadline_seconds = 60, order_grace_seconds = 0, credits_valid_days = 30, tolerance_usd = "0", cent_usd = "0.01" }}
        "#
    );
    Catalog::parse(&text).expect("catalog")
}

fn offer(catalog: &Catalog, credits: Credits, rate: Rate, decimals: u8) -> Option<PricedOffer> {
    let now = Timestamp::from_chain_seconds(1_760_000_000);
    let id = AssetId { chain_id: ChainId(1), contract: Address::repeat_byte(1) };
    let input = AssetInput {
        asset: Asset { id, symbol: "T".to_owned(), decimals },
        rate: Ok(RateQuote::new(rate, "test", now, now.plus_seconds(60))),
        gas: Err(GasRefusal::EstimateFailed("none".to_owned())),
        is_halted: false,
    };
    let request = QuoteRequest {
        purchase: Purchase::Custom(credits),
        promotion_code: Some("P".to_owned()),
        holder_balances: BTreeMap::from([(id, U256::ZERO)]),
        payer: None,
    };
    let quote = quote(&request, catalog, &[input], now).expect("quoted");
    let json = serde_json::to_string(&quote).expect("writes");
    assert_eq!(serde_json::from_str::<inspay_quoting::Quote>(&json).expect("reads"), quote);
    quote.offers.first().and_then(Offer::priced).cloned()
}

fn micros(value: Usd) -> i128 {
    let decimal = value.decimal();
    assert!(decimal.scale() <= 6, "{decimal} has more than six digits");
    decimal.mantissa() * 10i128.pow(6 - decimal.scale())
}

fn unsigned(micros: i128) -> U256 {
    U256::from(micros.unsigned_abs())
}

fn percents() -> impl Strategy<Value = Percents> {
    let share = || prop_oneof![Just(0u32), Just(33_333_333), 0u32..60_000_000];
    let cap = prop_oneof![Just(100_000_000u32), 0u32..100_000_001];
    (share(), share(), share(), share(), cap).prop_map(|(a, b, c, d, e)| [a, b.max(1), c, d, e])
}

fn orders() -> impl Strategy<Value = Vec<&'static str>> {
    Just(vec!["volume_tier", "promotion", "asset_discount", "holder_tier"]).prop_shuffle()
}

proptest! {
    #[test]
    fn no_sequence_of_roundings_gives_value_away(
        percents in percents(),
        order in orders(),
        credit_micros in 1i64..1_000_000_000_000_000,
        price_mantissa in 1u64..100_000_000,
        rate_mantissa in 1u64..1_000_000_000_000_000,
        rate_scale in 0u32..20,
        decimals in 0u8..25,
    ) {
        let per_credit = Decimal::from_i128_with_scale(i128::from(price_mantissa), 8);
        let catalog = catalog(percents, &per_credit.to_string(), &order);
        let rate = Rate::new(Decimal::from_i128_with_scale(i128::from(rate_mantissa), rate_scale)).expect("above zero");
        let credits = Credits::from_micros(credit_micros);
        let Some(offer) = offer(&catalog, credits, rate, decimals) else {
            // Only a price of nothing is refused here.
            prop_assert!(percents[4] > 0);
            return Ok(());
        };

        // Lines add up, and the first one is the list price.
        let sum: i128 = offer.lines.iter().map(|line| micros(line.amount_usd)).sum();
        let price = micros(offer.price_usd);
        prop_assert_eq!(sum, price);
        prop_assert!(price > 0);
        let list = micros(offer.lines[0].amount_usd);
        prop_assert!(price <= list);
        prop_assert_eq!(micros(offer.saving_usd), list - price);
        // micro-dollars × 10^8 of the price per credit, before any rounding
        let exact_list = i128::from(credit_micros) * i128::from(price_mantissa);
        prop_assert!(list * i128::from(WHOLE) >= exact_list);
        prop_assert!((list - 1) * i128::from(WHOLE) < exact_list);

        // The price is never below what exact fractions give, nor more than a micro-dollar a line above.
        let whole = U256::from(WHOLE);
        let scale = whole.pow(U256::from(4));
        let exact = percents[..4].iter().fold(unsigned(list), |left, percent| {
            left * (whole - U256::from(*percent))
        });
        let capped = unsigned(list) * (whole - U256::from(percents[4])) * whole.pow(U256::from(3));
        let exact = exact.max(capped);
        let scaled = unsigned(price) * scale;
        prop_assert!(scaled >= exact);
        prop_assert!(scaled < exact + U256::from(5) * scale);
        let cap_line = offer.lines.iter().find(|line| line.kind == LineKind::Cap);
        prop_assert!(cap_line.is_none_or(|line| micros(line.amount_usd) > 0));

        // Tokens: what is owed is worth the price, and one base unit less is not.
        let worth = |units: U256, rounding| rate.micro_usd(units, decimals, rounding).expect("in range");
        let price = unsigned(price);
        prop_assert!(worth(offer.due_base_units, Rounding::Up) >= price);
        prop_assert!(worth(offer.due_base_units - U256::from(1), Rounding::Down) < price);
        prop_assert!(offer.due_base_units <= offer.list_base_units);

        // Credits at the same rate: never more than the tokens pay for.
        let back = |units: U256| credits_at_rate(units, decimals, rate, offer.price_usd, credits);
        let less = back(offer.due_base_units - U256::from(1)).expect("in range");
        prop_assert!(less <= credits);
        if let Ok(all) = back(offer.due_base_units) {
            prop_assert!(all >= credits);
        }
        // Paid in two parts, no part gains.
        let half = offer.due_base_units >> 1;
        if let (Ok(a), Ok(b), Ok(all)) = (back(half), back(offer.due_base_units - half), back(offer.due_base_units)) {
            prop_assert!(a.checked_add(b).expect("sum") <= all);
        }
    }
}
