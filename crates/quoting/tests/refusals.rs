//! Requests that are refused by name, and the form in which a quote is stored.

mod support;

use std::fmt::Write as _;

use expect_test::expect;
use inspay_primitives::{Address, Timestamp};
use inspay_quoting::{Purchase, QuoteError, quote};
use support::{NOW, catalog, inputs, now, pack, request};

#[test]
fn bad_requests_are_refused_by_name() {
    let codes = |purchase: Result<Purchase, QuoteError>, code: Option<&str>, at: i64| {
        let at = Timestamp::from_micros(at * 1_000_000);
        purchase
            .and_then(|purchase| quote(&request(purchase, code), &catalog(), &inputs(), at))
            .map_or_else(|error| format!("{}: {error}", error.code()), |_| "quoted".to_owned())
    };
    let mut out = String::new();
    for text in [
        "10",
        "9.999999",
        "100000",
        "100000.000001",
        "0",
        "0.000000",
        "-0",
        "-5",
        "",
        "ten",
        "1e3",
        "1.0000001",
        "1000000001",
        &"9".repeat(200),
    ] {
        let result = codes(Purchase::parse_custom(text), None, NOW);
        let _ = writeln!(out, "{text:.20} => {result:.120}");
    }
    for id in ["starter", " STARTER ", "gold", "", "dröp table"] {
        let _ =
            writeln!(out, "pack {id:?} => {}", codes(id.parse().map(Purchase::Pack), None, NOW));
    }
    let (first, last) = (1_735_689_600, 2_051_222_400);
    for (code, amount, at) in [
        ("LAUNCH10", "50", NOW),
        ("LAUNCH10", "49.999999", NOW),
        ("LAUNCH11", "50", NOW),
        ("", "50", NOW),
        ("LAUNCH10", "50", first - 1),
        ("LAUNCH10", "50", first),
        ("LAUNCH10", "50", last - 1),
        ("LAUNCH10", "50", last),
    ] {
        let result = codes(Purchase::parse_custom(amount), Some(code), at);
        let _ = writeln!(out, "code {code:?} for {amount} at {at} => {result}");
    }
    expect![[r#"
        10 => quoted
        9.999999 => amount_below_minimum: 9.999999 credits are fewer than the minimum of 10.000000
        100000 => quoted
        100000.000001 => amount_above_maximum: 100000.000001 credits are more than the maximum of 100000.000000
        0 => amount_zero: the amount of credits is zero
        0.000000 => amount_zero: the amount of credits is zero
        -0 => amount_zero: the amount of credits is zero
        -5 => amount_negative: the amount of credits is negative
         => amount_malformed: not an amount of credits: ""
        ten => amount_malformed: not an amount of credits: "ten"
        1e3 => amount_malformed: not an amount of credits: "1e3"
        1.0000001 => amount_too_many_digits: 7 digits after the point, credits have 6
        1000000001 => amount_above_maximum: 1000000001 credits are more than the maximum of 1000000000.000000
        99999999999999999999 => amount_above_maximum: 99999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999
        pack "starter" => quoted
        pack " STARTER " => quoted
        pack "gold" => unknown_pack: there is no pack gold
        pack "" => unknown_pack: there is no pack 
        pack "dröp table" => unknown_pack: there is no pack dröp table
        code "LAUNCH10" for 50 at 1760000000 => quoted
        code "LAUNCH10" for 49.999999 at 1760000000 => promotion_below_minimum: promotion LAUNCH10 asks for at least 50.000000 credits, this purchase has 49.999999
        code "LAUNCH11" for 50 at 1760000000 => unknown_promotion: there is no promotion "LAUNCH11"
        code "" for 50 at 1760000000 => unknown_promotion: there is no promotion ""
        code "LAUNCH10" for 50 at 1735689599 => promotion_not_started: promotion LAUNCH10 starts at 2025-01-01T00:00:00Z
        code "LAUNCH10" for 50 at 1735689600 => quoted
        code "LAUNCH10" for 50 at 2051222399 => quoted
        code "LAUNCH10" for 50 at 2051222400 => promotion_ended: promotion LAUNCH10 ended at 2035-01-01T00:00:00Z
    "#]].assert_eq(&out);
}

#[test]
fn a_quote_is_stored_with_numbers_as_text() {
    let mut request = request(pack("starter"), Some("LAUNCH10"));
    request.payer = Some(Address::repeat_byte(0xab));
    let quote = quote(&request, &catalog(), &inputs()[1..], now()).expect("quoted");
    expect![[r#"
        {
          "purchase": {
            "pack": "starter"
          },
          "promotion": "LAUNCH10",
          "payer": "0xabababababababababababababababababababab",
          "credits": "100.000000",
          "list_price_usd": "9.990000",
          "offers": [
            {
              "priced": {
                "asset": {
                  "id": "eip155:31337/erc20:0x0101010101010101010101010101010101010101",
                  "symbol": "USDT",
                  "decimals": 6
                },
                "lines": [
                  {
                    "kind": "list_price",
                    "label": "Pack Starter",
                    "percent": null,
                    "amount_usd": "9.990000"
                  },
                  {
                    "kind": "promotion",
                    "label": "Promotion LAUNCH10, at most 25 USD",
                    "percent": "10",
                    "amount_usd": "-0.999000"
                  }
                ],
                "price_usd": "8.991000",
                "list_base_units": "9992998",
                "due_base_units": "8993699",
                "tolerance_base_units": "0",
                "tail": {
                  "lowest": "8983697",
                  "highest": "8993698",
                  "grain": "1",
                  "round": "10000",
                  "cent": "10003"
                },
                "rate": {
                  "rate": "0.9997",
                  "source": "test",
                  "observed_at": "2025-10-09T08:53:20Z",
                  "expires_at": "2025-10-09T08:54:20Z",
                  "samples": [],
                  "dropped": []
                },
                "expires_at": "2025-10-09T08:54:20Z",
                "saving_usd": "0.999000",
                "gas": {
                  "estimated": {
                    "gas_limit": "63000",
                    "for_payer": true,
                    "base_fee_per_gas": "10000000000",
                    "l1_fee_wei": "0",
                    "native_symbol": "ETH",
                    "native_rate": {
                      "known": {
                        "rate": "3000",
                        "source": "test",
                        "observed_at": "2025-10-09T08:53:20Z",
                        "expires_at": "2025-10-09T08:54:20Z",
                        "samples": [],
                        "dropped": []
                      }
                    },
                    "slow": {
                      "max_fee_per_gas": "12250000000",
                      "priority_fee_per_gas": "1000000000",
                      "cost_wei": "693000000000000",
                      "cost_native": "0.000693000000000000",
                      "cost_usd": "2.079000"
                    },
                    "normal": {
                      "max_fee_per_gas": "16238281250",
                      "priority_fee_per_gas": "2000000000",
                      "cost_wei": "756000000000000",
                      "cost_native": "0.000756000000000000",
                      "cost_usd": "2.268000"
                    },
                    "fast": {
                      "max_fee_per_gas": "23272865297",
                      "priority_fee_per_gas": "3000000000",
                      "cost_wei": "819000000000000",
                      "cost_native": "0.000819000000000000",
                      "cost_usd": "2.457000"
                    }
                  }
                },
                "total_usd": "11.259000"
              }
            }
          ],
          "cheapest": "eip155:31337/erc20:0x0101010101010101010101010101010101010101",
          "made_at": "2025-10-09T08:53:20Z",
          "expires_at": "2025-10-09T08:54:20Z",
          "terms": {
            "order_deadline_seconds": 1800,
            "order_grace_seconds": 300,
            "credits_valid_days": 30,
            "tolerance_usd": "0",
            "cent_usd": "0.01"
          }
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&quote).expect("writes"));
}
