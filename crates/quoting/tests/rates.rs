//! A table for each rule over rates and fees.

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use inspay_primitives::{Rate, Timestamp, U256};
use inspay_quoting::{
    FeeHistory, GasEstimate, RateBand, RateQuote, RateRefusal, RateRules, RateSample, SourceKind,
    fee_levels, gas_options, judge_rate,
};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros((1_760_000_000 + seconds) * 1_000_000)
}

fn rate(text: &str) -> Rate {
    text.parse().expect("rate")
}

/// `source kind rate age [valid for]`, separated by `;`. Ages and validity are in seconds from now.
fn samples(text: &str) -> Vec<RateSample> {
    let sample = |text: &str| {
        let words: Vec<&str> = text.split_whitespace().collect();
        let kinds = [
            ("fixed", SourceKind::Fixed),
            ("http", SourceKind::Http),
            ("feed", SourceKind::Feed),
            ("twap", SourceKind::PoolTwap),
            ("spot", SourceKind::PoolSpot),
        ];
        let kind = kinds.into_iter().find(|(name, _)| *name == words[1]).expect("a kind").1;
        let seconds = |text: &str| text.parse::<i64>().expect("seconds");
        RateSample {
            source: words[0].to_owned(),
            kind,
            rate: rate(words[2]),
            observed_at: at(-seconds(words[3])),
            valid_until: words.get(4).map(|text| at(seconds(text))),
        }
    };
    text.split(';').map(str::trim).filter(|text| !text.is_empty()).map(sample).collect()
}

fn shown(verdict: &Result<RateQuote, RateRefusal>) -> String {
    match verdict {
        Ok(quote) => {
            let dropped: Vec<String> = quote.dropped.iter().map(ToString::to_string).collect();
            format!(
                "{} from {}, {} s old, for {} s {}",
                quote.rate,
                quote.source,
                at(0).seconds_since(quote.observed_at),
                quote.expires_at.seconds_since(at(0)),
                dropped.join(", ")
            )
        }
        Err(refusal) => format!("{}: {refusal}", refusal.code()),
    }
}

fn check(rules: &RateRules, cases: &[&str], expected: &Expect) {
    let mut out = String::new();
    for case in cases {
        let verdict = judge_rate(&samples(case), rules, at(0));
        let json = serde_json::to_string(&verdict).expect("writes");
        assert_eq!(
            serde_json::from_str::<Result<RateQuote, RateRefusal>>(&json).expect("reads"),
            verdict
        );
        let _ = writeln!(out, "{case} => {}", shown(&verdict).trim_end());
    }
    expected.assert_eq(&out);
}

#[test]
fn age_is_limited_by_the_rules_or_by_the_source_itself() {
    check(
        &RateRules::default(),
        &[
            "",
            "a http 1.00 0",
            "a http 1.00 119",
            "a http 1.00 120",
            "a http 1.00 -60",
            "a http 1.00 -61",
            "a feed 1.00 3000 600",
            "a feed 1.00 3000 30",
            "a feed 1.00 10 0",
            "a http 1.00 500; b http 1.00 -500",
            "a http 1.00 500; b http 1.01 5",
        ],
        &expect![[r#"
             => rate_missing: no source gave a rate
            a http 1.00 0 => 1.00 from a, 0 s old, for 120 s
            a http 1.00 119 => 1.00 from a, 119 s old, for 1 s
            a http 1.00 120 => rate_stale: every rate is out of date: a 1.00 of 2025-10-09T08:51:20Z (stale)
            a http 1.00 -60 => 1.00 from a, -60 s old, for 120 s
            a http 1.00 -61 => rate_from_future: rates carry a time after now: a 1.00 of 2025-10-09T08:54:21Z (from the future)
            a feed 1.00 3000 600 => 1.00 from a, 3000 s old, for 120 s
            a feed 1.00 3000 30 => 1.00 from a, 3000 s old, for 30 s
            a feed 1.00 10 0 => rate_stale: every rate is out of date: a 1.00 of 2025-10-09T08:53:10Z (stale)
            a http 1.00 500; b http 1.00 -500 => rate_stale: every rate is out of date: a 1.00 of 2025-10-09T08:45:00Z (stale), b 1.00 of 2025-10-09T09:01:40Z (from the future)
            a http 1.00 500; b http 1.01 5 => 1.01 from b, 5 s old, for 115 s a 1.00 of 2025-10-09T08:45:00Z (stale)
        "#]],
    );
}

#[test]
fn the_median_of_sources_must_agree() {
    check(
        &RateRules::default(),
        &[
            "a http 1.00 1; b http 1.01 2; c http 1.02 3",
            "a http 1.00 1; b http 1.01 2",
            "a http 1.0000 1; b http 1.04 2",
            "a http 1.00 1; b http 1.05 2",
            "a http 1.00 1; b http 1.01 2; c http 1.50 3",
            "a http 1.00 1; b http 1.50 3; c http 2.00 3",
            "a http 1.00 1; b http 1.01 1; c http 1.50 3; d http 1.51 3",
            "a http 0.98 1; b http 1.00 1; c http 1.02 3",
            "a http 0.97999999 1; b http 1.00 1; c http 1.02 3",
            "a http 0.0000000000000000000000000001 1; b http 79228162514264337593543950335 1",
            "a http 0.0000000000000000000000000099 1; b http 0.0000000000000000000000000100 1",
            "a http 79228162514264337593543950334 1; b http 79228162514264337593543950335 1",
        ],
        &expect![[r#"
            a http 1.00 1; b http 1.01 2; c http 1.02 3 => 1.01 from median(a, b, c), 3 s old, for 117 s
            a http 1.00 1; b http 1.01 2 => 1.005 from median(a, b), 2 s old, for 118 s
            a http 1.0000 1; b http 1.04 2 => 1.02 from median(a, b), 2 s old, for 118 s
            a http 1.00 1; b http 1.05 2 => rate_disagreement: rates from 1.00 to 1.05 differ by more than 2 % of their median 1.025
            a http 1.00 1; b http 1.01 2; c http 1.50 3 => 1.005 from median(a, b), 2 s old, for 118 s c 1.50 of 2025-10-09T08:53:17Z (outlier)
            a http 1.00 1; b http 1.50 3; c http 2.00 3 => rate_disagreement: rates from 1.00 to 2.00 differ by more than 2 % of their median 1.50
            a http 1.00 1; b http 1.01 1; c http 1.50 3; d http 1.51 3 => rate_disagreement: rates from 1.00 to 1.51 differ by more than 2 % of their median 1.255
            a http 0.98 1; b http 1.00 1; c http 1.02 3 => 1.00 from median(a, b, c), 3 s old, for 117 s
            a http 0.97999999 1; b http 1.00 1; c http 1.02 3 => 1.01 from median(b, c), 3 s old, for 117 s a 0.97999999 of 2025-10-09T08:53:19Z (outlier)
            a http 0.0000000000000000000000000001 1; b http 79228162514264337593543950335 1 => rate_disagreement: rates from 0.0000000000000000000000000001 to 79228162514264337593543950335 differ by more than 2 % of their median 39614081257132168796771975167
            a http 0.0000000000000000000000000099 1; b http 0.0000000000000000000000000100 1 => 0.0000000000000000000000000099 from median(a, b), 1 s old, for 119 s
            a http 79228162514264337593543950334 1; b http 79228162514264337593543950335 1 => 79228162514264337593543950334 from median(a, b), 1 s old, for 119 s
        "#]],
    );
}

#[test]
fn as_many_sources_as_the_rules_ask_for_must_agree() {
    check(
        &RateRules { min_sources: 2, ..RateRules::default() },
        &[
            "a http 1.00 1",
            "a http 1.00 1; b http 1.00 500",
            "a http 1.00 1; b http 1.00 1",
            "a http 1.00 1; b http 1.01 1; c http 9.00 1",
        ],
        &expect![[r#"
            a http 1.00 1 => rate_too_few_sources: 1 of 2 rates that are needed
            a http 1.00 1; b http 1.00 500 => rate_too_few_sources: 1 of 2 rates that are needed: b 1.00 of 2025-10-09T08:45:00Z (stale)
            a http 1.00 1; b http 1.00 1 => 1 from median(a, b), 1 s old, for 119 s
            a http 1.00 1; b http 1.01 1; c http 9.00 1 => 1.005 from median(a, b), 1 s old, for 119 s c 9.00 of 2025-10-09T08:53:19Z (outlier)
        "#]],
    );
}

#[test]
fn a_pegged_token_outside_its_band_has_no_rate() {
    let band = RateBand { low: rate("0.97"), high: rate("1.03") };
    check(
        &RateRules { band: Some(band), ..RateRules::default() },
        &["a feed 0.97 1", "a feed 1.03 1", "a feed 0.9699 1", "a feed 1.0301 1"],
        &expect![[r#"
            a feed 0.97 1 => 0.97 from a, 1 s old, for 119 s
            a feed 1.03 1 => 1.03 from a, 1 s old, for 119 s
            a feed 0.9699 1 => rate_depegged: the rate 0.9699 is outside 0.97 to 1.03
            a feed 1.0301 1 => rate_depegged: the rate 1.0301 is outside 0.97 to 1.03
        "#]],
    );
}

#[test]
fn a_spot_price_never_stands_alone() {
    check(
        &RateRules::default(),
        &[
            "a spot 1.00 1",
            "a spot 1.00 1; b spot 1.00 1",
            "a spot 1.00 1; b twap 1.01 1",
            "a spot 1.00 1; b twap 1.00 999",
            "a spot 1.00 1; b spot 1.00 1; c twap 1.30 1",
        ],
        &expect![[r#"
            a spot 1.00 1 => rate_spot_only: a pool's spot price alone makes no rate
            a spot 1.00 1; b spot 1.00 1 => rate_spot_only: a pool's spot price alone makes no rate
            a spot 1.00 1; b twap 1.01 1 => 1.005 from median(a, b), 1 s old, for 119 s
            a spot 1.00 1; b twap 1.00 999 => rate_spot_only: a pool's spot price alone makes no rate
            a spot 1.00 1; b spot 1.00 1; c twap 1.30 1 => rate_spot_only: a pool's spot price alone makes no rate
        "#]],
    );
    let required_kinds = vec![SourceKind::PoolTwap, SourceKind::Fixed];
    check(
        &RateRules { spot_alone: true, required_kinds, ..RateRules::default() },
        &["a spot 1.00 1", "a spot 1.00 1; b twap 1.01 1", "a fixed 1.00 1"],
        &expect![[r#"
            a spot 1.00 1 => rate_kind_missing: no rate of a kind that is required: pool_twap, fixed
            a spot 1.00 1; b twap 1.01 1 => 1.005 from median(a, b), 1 s old, for 119 s
            a fixed 1.00 1 => 1.00 from a, 1 s old, for 119 s
        "#]],
    );
}

#[test]
fn rules_refuse_unknown_keys() {
    let rules: RateRules = toml::from_str(
        "min_sources = 2\nmax_deviation = \"1.5\"\nband = { low = \"0.97\", high = \"1.03\" }",
    )
    .expect("rules");
    assert_eq!((rules.min_sources, rules.max_age_seconds), (2, 120));
    assert!(toml::from_str::<RateRules>("min_source = 2").is_err());
}

fn wei(values: &[u64]) -> Vec<U256> {
    values.iter().copied().map(U256::from).collect()
}

#[test]
fn fee_levels_follow_the_median_and_outlast_full_blocks() {
    let block = |fees: [u64; 3]| fees.map(U256::from);
    let history = FeeHistory {
        base_fees: wei(&[90, 95, 101]),
        priority_fees: vec![block([1, 5, 9]), block([3, 7, 90]), block([2, 6, 10])],
    };
    expect![[r#"
        Ok(
            FeeLevels {
                base_fee_per_gas: 101,
                slow: FeeLevel {
                    max_fee_per_gas: 116,
                    priority_fee_per_gas: 2,
                },
                normal: FeeLevel {
                    max_fee_per_gas: 152,
                    priority_fee_per_gas: 6,
                },
                fast: FeeLevel {
                    max_fee_per_gas: 220,
                    priority_fee_per_gas: 10,
                },
            },
        )
    "#]]
    .assert_debug_eq(&fee_levels(&history));
    let quiet = FeeHistory { base_fees: wei(&[0]), priority_fees: Vec::new() };
    let levels = fee_levels(&quiet).expect("levels");
    assert_eq!(levels.fast.max_fee_per_gas, U256::ZERO);
    let empty = fee_levels(&FeeHistory::default()).expect_err("no base fee");
    assert_eq!(empty.code(), "gas_fees_unknown");
}

#[test]
fn gas_is_priced_upwards_with_the_data_fee_of_the_chain_below() {
    let history =
        FeeHistory { base_fees: wei(&[1_000_000_007]), priority_fees: vec![[U256::from(1); 3]] };
    let mut estimate = GasEstimate {
        gas_limit: 51_234,
        for_payer: false,
        fees: fee_levels(&history).expect("levels"),
        l1_fee_wei: U256::from(3),
        native_symbol: "ETH".to_owned(),
        native_rate: Ok(RateQuote::new(rate("2999.99"), "test", at(0), at(60))),
    };
    let normal = gas_options(&estimate).expect("options").normal;
    assert_eq!(normal.cost_wei, U256::from(51_234u64 * 1_000_000_008 + 3));
    assert_eq!(normal.cost_native, "0.000051234000409875");
    assert_eq!(normal.cost_usd.map(|usd| usd.to_string()), Some("0.153702".to_owned()));

    estimate.native_rate = Err(RateRefusal::Missing { failures: Vec::new() });
    let normal = gas_options(&estimate).expect("options").normal;
    assert_eq!(normal.cost_usd, None);

    estimate.l1_fee_wei = U256::MAX;
    assert_eq!(gas_options(&estimate).expect_err("overflow").code(), "gas_fees_unknown");
}
