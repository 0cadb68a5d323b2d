//! Tables of quotes: every line, and every refusal.

mod support;

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use inspay_primitives::{Rounding, U256, Usd, parse_units};
use inspay_quoting::{
    AssetInput, Catalog, GasQuote, GasRefusal, Line, LineKind, Offer, Purchase, Quote,
    QuoteRequest, RateRefusal, quote,
};
use support::{asset, catalog, gas, inputs, inspi, now, pack, rate, request, usdt};

fn custom(text: &str) -> Purchase {
    Purchase::parse_custom(text).expect("amount")
}

/// Adds every offer up again, from nothing but what it prints.
fn check_sums(quote: &Quote) {
    for offer in quote.offers.iter().filter_map(Offer::priced) {
        let sum =
            offer.lines.iter().try_fold(Usd::ZERO, |sum, line| sum.checked_add(line.amount_usd));
        assert_eq!(sum, Some(offer.price_usd));
        assert_eq!(offer.lines.first().map(|line| line.kind), Some(LineKind::ListPrice));
        assert_eq!(offer.price_usd.checked_add(offer.saving_usd), Some(quote.list_price_usd));
        let decimals = offer.asset.decimals;
        let owed = offer.rate.rate.base_units(offer.price_usd, decimals, Rounding::Up);
        assert_eq!(owed, Ok(offer.due_base_units));
        if let (GasQuote::Estimated(gas), Some(total)) = (&offer.gas, offer.total_usd) {
            let normal = gas.normal.cost_usd.expect("a total has gas in dollars");
            assert_eq!(offer.price_usd.checked_add(normal), Some(total));
        }
    }
    let json = serde_json::to_string(quote).expect("writes");
    assert_eq!(serde_json::from_str::<Quote>(&json).expect("reads"), *quote);
}

fn table(quote: &Quote) -> String {
    let mut out = format!("{} credits, list {} USD\n", quote.credits, quote.list_price_usd);
    for offer in &quote.offers {
        match offer {
            Offer::Refused(refused) => {
                let (symbol, reason) = (&refused.asset.symbol, &refused.reason);
                let _ = writeln!(out, "{symbol}: {}: {reason}", reason.code());
            }
            Offer::Priced(priced) => {
                let _ = writeln!(out, "{} at {}", priced.asset.symbol, priced.rate.rate);
                for Line { kind, label, percent, amount_usd } in &priced.lines {
                    let percent = percent.map_or(String::new(), |percent| format!("{percent} %"));
                    let kind = kind.as_str();
                    let _ = writeln!(out, "  {kind:<14} {percent:>11} {amount_usd:>12}  {label}");
                }
                let total = priced.total_usd.map_or("unknown".to_owned(), |usd| usd.to_string());
                let _ = writeln!(
                    out,
                    "  price {} saving {} due {} of {} total {total}",
                    priced.price_usd,
                    priced.saving_usd,
                    priced.due_base_units,
                    priced.list_base_units,
                );
            }
        }
    }
    let cheapest = quote.cheapest.and_then(|id| quote.offer(id));
    let _ = writeln!(out, "cheapest {}", cheapest.map_or("none", |offer| &offer.asset().symbol));
    out
}

fn check(request: &QuoteRequest, inputs: &[AssetInput], expected: &Expect) {
    let quote = quote(request, &catalog(), inputs, now()).expect("quoted");
    check_sums(&quote);
    expected.assert_eq(&table(&quote));
}

#[test]
fn a_pack_is_priced_side_by_side() {
    check(
        &request(pack("starter"), None),
        &inputs(),
        &expect![[r#"
        100.000000 credits, list 9.990000 USD
        INSPI at 0.0317
          list_price                     9.990000  Pack Starter
          asset_discount        15 %    -1.498500  Paying in INSPI
          price 8.491500 saving 1.498500 due 267870662460567823344 of 315141955835962145111 total 10.363500
        USDT at 0.9997
          list_price                     9.990000  Pack Starter
          price 9.990000 saving 0.000000 due 9992998 of 9992998 total 12.258000
        cheapest INSPI
    "#]],
    );
}

#[test]
fn volume_promotion_and_asset_discounts_stack_in_the_order_of_the_catalog() {
    check(
        &request(custom("1234.567891"), Some("launch10")),
        &inputs(),
        &expect![[r#"
        1234.567891 credits, list 123.456790 USD
        INSPI at 0.0317
          list_price                   123.456790  1234.567891 credits at 0.10 USD
          volume_tier            3 %    -3.703703  Volume, from 1000 credits
          promotion             10 %   -11.975308  Promotion LAUNCH10, at most 25 USD
          asset_discount        15 %   -16.166666  Paying in INSPI
          price 91.611113 saving 31.845677 due 2889940473186119873818 of 3894535962145110410095 total 93.483113
        USDT at 0.9997
          list_price                   123.456790  1234.567891 credits at 0.10 USD
          volume_tier            3 %    -3.703703  Volume, from 1000 credits
          promotion             10 %   -11.975308  Promotion LAUNCH10, at most 25 USD
          price 107.777779 saving 15.679011 due 107810123 of 123493839 total 110.045779
        cheapest INSPI
    "#]],
    );
}

#[test]
fn a_promotion_takes_no_more_than_its_cap() {
    check(
        &request(custom("20000"), Some("LAUNCH10")),
        &inputs(),
        &expect![[r#"
        20000.000000 credits, list 2000.000000 USD
        INSPI at 0.0317
          list_price                  2000.000000  20000 credits at 0.10 USD
          volume_tier           10 %  -200.000000  Volume, from 20000 credits
          promotion             10 %   -25.000000  Promotion LAUNCH10, at most 25 USD
          asset_discount        15 %  -266.250000  Paying in INSPI
          price 1508.750000 saving 491.250000 due 47594637223974763406941 of 63091482649842271293376 total 1510.622000
        USDT at 0.9997
          list_price                  2000.000000  20000 credits at 0.10 USD
          volume_tier           10 %  -200.000000  Volume, from 20000 credits
          promotion             10 %   -25.000000  Promotion LAUNCH10, at most 25 USD
          price 1775.000000 saving 225.000000 due 1775532660 of 2000600181 total 1777.268000
        cheapest INSPI
    "#]],
    );
}

#[test]
fn a_promotion_for_other_assets_says_so() {
    check(
        &request(pack("creator"), Some("INSPI5")),
        &inputs(),
        &expect![[r#"
        500.000000 credits, list 44.990000 USD
        INSPI at 0.0317
          list_price                    44.990000  Pack Creator
          promotion              5 %    -2.249500  Promotion INSPI5
          asset_discount        15 %    -6.411075  Paying in INSPI
          price 36.329425 saving 8.660575 due 1146038643533123028392 of 1419242902208201892745 total 38.201425
        USDT at 0.9997
          list_price                    44.990000  Pack Creator
          promotion              0 %     0.000000  Promotion INSPI5 does not hold for USDT
          price 44.990000 saving 0.000000 due 45003502 of 45003502 total 47.258000
        cheapest INSPI
    "#]],
    );
}

#[test]
fn holders_get_their_tier_and_all_discounts_together_stop_at_the_cap() {
    let mut request = request(custom("100000"), Some("INSPI5"));
    let holding = parse_units("100000", 18).expect("amount");
    request.holder_balances.insert(inspi().id, holding);
    check(
        &request,
        &inputs(),
        &expect![[r#"
        100000.000000 credits, list 10000.000000 USD
        INSPI at 0.0317
          list_price                 10000.000000  100000 credits at 0.10 USD
          volume_tier           10 % -1000.000000  Volume, from 20000 credits
          promotion              5 %  -450.000000  Promotion INSPI5
          asset_discount        15 % -1282.500000  Paying in INSPI
          holder_tier           10 %  -726.750000  Holding at least 100000 INSPI
          price 6540.750000 saving 3459.250000 due 206332807570977917981073 of 315457413249211356466877 total 6542.622000
        USDT at 0.9997
          list_price                 10000.000000  100000 credits at 0.10 USD
          volume_tier           10 % -1000.000000  Volume, from 20000 credits
          promotion              0 %     0.000000  Promotion INSPI5 does not hold for USDT
          price 9000.000000 saving 1000.000000 due 9002700811 of 10003000901 total 9002.268000
        cheapest INSPI
    "#]],
    );
    request.holder_balances.insert(inspi().id, holding - U256::from(1));
    check(
        &request,
        &inputs(),
        &expect![[r#"
        100000.000000 credits, list 10000.000000 USD
        INSPI at 0.0317
          list_price                 10000.000000  100000 credits at 0.10 USD
          volume_tier           10 % -1000.000000  Volume, from 20000 credits
          promotion              5 %  -450.000000  Promotion INSPI5
          asset_discount        15 % -1282.500000  Paying in INSPI
          holder_tier            5 %  -363.375000  Holding at least 10000 INSPI
          price 6904.125000 saving 3095.875000 due 217795741324921135646688 of 315457413249211356466877 total 6905.997000
        USDT at 0.9997
          list_price                 10000.000000  100000 credits at 0.10 USD
          volume_tier           10 % -1000.000000  Volume, from 20000 credits
          promotion              0 %     0.000000  Promotion INSPI5 does not hold for USDT
          price 9000.000000 saving 1000.000000 due 9002700811 of 10003000901 total 9002.268000
        cheapest INSPI
    "#]],
    );

    let tight = include_str!("../catalog.toml")
        .replace("cap_percent = \"40\"", "cap_percent = \"33.333333\"");
    let catalog = Catalog::parse(&tight).expect("catalog");
    request.holder_balances.insert(inspi().id, U256::MAX);
    let quote = quote(&request, &catalog, &inputs(), now()).expect("quoted");
    check_sums(&quote);
    expect![[r#"
        100000.000000 credits, list 10000.000000 USD
        INSPI at 0.0317
          list_price                 10000.000000  100000 credits at 0.10 USD
          volume_tier           10 % -1000.000000  Volume, from 20000 credits
          promotion              5 %  -450.000000  Promotion INSPI5
          asset_discount        15 % -1282.500000  Paying in INSPI
          holder_tier           10 %  -726.750000  Holding at least 100000 INSPI
          cap            33.333333 %   125.916700  All discounts together take at most 33.333333 %
          price 6666.666700 saving 3333.333300 due 210304943217665615141956 of 315457413249211356466877 total 6668.538700
        USDT at 0.9997
          list_price                 10000.000000  100000 credits at 0.10 USD
          volume_tier           10 % -1000.000000  Volume, from 20000 credits
          promotion              0 %     0.000000  Promotion INSPI5 does not hold for USDT
          price 9000.000000 saving 1000.000000 due 9002700811 of 10003000901 total 9002.268000
        cheapest INSPI
    "#]].assert_eq(&table(&quote));
}

#[test]
fn one_asset_without_a_rate_leaves_the_other() {
    let mut inputs = inputs();
    inputs[0].rate = Err(RateRefusal::Missing { failures: vec!["pool: timed out".to_owned()] });
    check(
        &request(pack("starter"), None),
        &inputs,
        &expect![[r#"
        100.000000 credits, list 9.990000 USD
        INSPI: rate_missing: no source gave a rate: pool: timed out
        USDT at 0.9997
          list_price                     9.990000  Pack Starter
          price 9.990000 saving 0.000000 due 9992998 of 9992998 total 12.258000
        cheapest USDT
    "#]],
    );
    inputs[1].rate.as_mut().expect("rate").expires_at = now();
    check(
        &request(pack("starter"), None),
        &inputs,
        &expect![[r#"
        100.000000 credits, list 9.990000 USD
        INSPI: rate_missing: no source gave a rate: pool: timed out
        USDT: rate_expired: the rate of test expired at 2025-10-09T08:53:20Z
        cheapest none
    "#]],
    );
}

#[test]
fn without_gas_prices_are_compared_alone() {
    let mut inputs = inputs();
    inputs[0].gas = Err(GasRefusal::EstimateFailed("node gone".to_owned()));
    check(
        &request(pack("starter"), None),
        &inputs,
        &expect![[r#"
        100.000000 credits, list 9.990000 USD
        INSPI at 0.0317
          list_price                     9.990000  Pack Starter
          asset_discount        15 %    -1.498500  Paying in INSPI
          price 8.491500 saving 1.498500 due 267870662460567823344 of 315141955835962145111 total unknown
        USDT at 0.9997
          list_price                     9.990000  Pack Starter
          price 9.990000 saving 0.000000 due 9992998 of 9992998 total 12.258000
        cheapest INSPI
    "#]],
    );
}

#[test]
fn the_last_base_unit_of_odd_tokens_is_in_the_table() {
    let odd = |symbol, decimals, byte, price| AssetInput {
        asset: asset(symbol, decimals, byte),
        rate: rate(price),
        gas: gas(50_000),
        is_halted: false,
    };
    let inputs = [
        odd("ZERO", 0, 3, "0.07"),
        odd("TWO", 2, 4, "1.13"),
        odd("BIG", 18, 5, "0.000000000000000000000000001"),
        odd("FULL", 60, 6, "0.0000000000001"),
        odd("OVER", 70, 7, "0.0000000000001"),
        odd("DEAR", 6, 8, "98765432109876543210.123456"),
    ];
    check(
        &request(pack("starter"), None),
        &inputs,
        &expect![[r#"
        100.000000 credits, list 9.990000 USD
        ZERO at 0.07
          list_price                     9.990000  Pack Starter
          price 9.990000 saving 0.000000 due 143 of 143 total 11.790000
        TWO at 1.13
          list_price                     9.990000  Pack Starter
          price 9.990000 saving 0.000000 due 885 of 885 total 11.790000
        BIG at 0.000000000000000000000000001
          list_price                     9.990000  Pack Starter
          price 9.990000 saving 0.000000 due 9990000000000000000000000000000000000000000000 of 9990000000000000000000000000000000000000000000 total 11.790000
        FULL at 0.0000000000001
          list_price                     9.990000  Pack Starter
          price 9.990000 saving 0.000000 due 99900000000000000000000000000000000000000000000000000000000000000000000000 of 99900000000000000000000000000000000000000000000000000000000000000000000000 total 11.790000
        OVER: price_out_of_range: the amount is out of range for this asset
        DEAR at 98765432109876543210.123456
          list_price                     9.990000  Pack Starter
          price 9.990000 saving 0.000000 due 1 of 1 total 11.790000
        cheapest ZERO
    "#]],
    );
}

#[test]
fn a_quote_ends_with_the_first_of_its_rates() {
    let mut inputs = inputs();
    let ask = |inputs: &[AssetInput]| {
        let quote =
            quote(&request(pack("starter"), None), &catalog(), inputs, now()).expect("quoted");
        quote.expires_at.seconds_since(now())
    };
    assert_eq!(ask(&inputs), 60);
    inputs[1].rate.as_mut().expect("rate").expires_at = now().plus_seconds(7);
    assert_eq!(ask(&inputs), 7);
    for input in &mut inputs {
        input.rate.as_mut().expect("rate").expires_at = now().plus_seconds(9999);
    }
    assert_eq!(ask(&inputs), 120);
    assert_eq!(ask(&[]), 0);
}

#[test]
fn discounts_that_leave_nothing_are_refused() {
    let free = include_str!("../catalog.toml")
        .replace("cap_percent = \"40\"", "cap_percent = \"100\"")
        .replace("percent = \"15\"", "percent = \"100\"");
    let catalog = Catalog::parse(&free).expect("catalog");
    let quote = quote(&request(pack("starter"), None), &catalog, &inputs(), now()).expect("quoted");
    let Offer::Refused(refused) = &quote.offers[0] else { panic!("INSPI is free") };
    assert_eq!(refused.reason.code(), "price_zero");
    assert_eq!(quote.cheapest, Some(usdt().id));
}
