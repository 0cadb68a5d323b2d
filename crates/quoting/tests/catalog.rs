//! What a catalog must be, and how it says which setting is wrong.

use std::fmt::Write as _;

use expect_test::expect;
use inspay_quoting::{Catalog, DiscountKind, Percent};

const EMBEDDED: &str = include_str!("../catalog.toml");

#[test]
fn the_embedded_catalog_is_whole() {
    let catalog = Catalog::embedded().expect("valid");
    let names: Vec<&str> = catalog.packs().iter().map(|pack| pack.name.as_str()).collect();
    assert_eq!(names, ["Starter", "Creator", "Professional"]);
    assert_eq!(catalog.stacking(), DiscountKind::ALL);
    assert_eq!(catalog.discount_cap(), Percent::whole(40));
    let inspi = catalog.asset_discount("INSPI").expect("INSPI is discounted");
    let tiers: Vec<String> = inspi.holder_tiers.iter().map(|tier| tier.from_tokens()).collect();
    assert_eq!(tiers, ["1000", "10000", "100000"]);
    assert!(catalog.promotion(&"launch10".parse().expect("code")).is_some());
    assert_eq!(catalog.terms().credits_valid_days, 30);
}

/// A pack never costs more than the same credits bought as a custom amount.
#[test]
fn embedded_packs_are_no_worse_than_custom_amounts() {
    let catalog = Catalog::embedded().expect("valid");
    for pack in catalog.packs() {
        let single = catalog.list_price_per_credit().decimal();
        let credits = rust_decimal::Decimal::from_i128_with_scale(pack.credits.micros().into(), 6);
        assert!(pack.list_price.decimal() <= credits * single, "{}", pack.id);
    }
}

#[test]
fn an_error_names_its_setting() {
    let cases = [
        ("id = \"creator\"", "id = \"starter\""),
        ("id = \"creator\"", "id = \"the creator\""),
        ("name = \"Creator\"", "name = \" \""),
        ("credits = \"500\"", "credits = \"0\""),
        ("credits = \"500\"", "credits = \"0.0000001\""),
        ("credits = \"500\"", "credits = 500"),
        ("credits = \"500\"", "credits = \"500\"\ncolour = \"red\""),
        ("credits = \"500\"", ""),
        ("list_price_usd = \"44.99\"", "list_price_usd = \"-1\""),
        ("list_price_usd = \"44.99\"", "list_price_usd = \"4e1\""),
        ("list_price_per_credit_usd = \"0.10\"", "list_price_per_credit_usd = \"0\""),
        ("min_credits = \"10\"", "min_credits = \"100001\""),
        ("from_credits = \"5000\"", "from_credits = \"1000\""),
        ("percent = \"6\"", "percent = \"106\""),
        ("code = \"INSPI5\"", "code = \"launch10\""),
        ("cap_usd = \"25\"", "cap_usd = \"0\""),
        ("ends = \"2035-01-01T00:00:00Z\"", "ends = \"2025-01-01T00:00:00Z\""),
        ("ends = \"2035-01-01T00:00:00Z\"", "ends = \"next year\""),
        ("from_tokens = \"10000\"", "from_tokens = \"1000.0\""),
        ("from_tokens = \"10000\"", "from_tokens = \"many\""),
        ("\"holder_tier\"]", "\"promotion\"]"),
        ("\"holder_tier\"]", "]"),
        ("cap_percent = \"40\"", "cap_percent = \"140\""),
        ("quote_lifetime_seconds = 120", "quote_lifetime_seconds = 0"),
        ("credits_valid_days = 30", "credits_valid_days = 0"),
        ("tolerance_usd = \"0\"", "tolerance_usd = \"-0.01\""),
        ("cent_usd = \"0.01\"", "cent_usd = \"0\""),
    ];
    let mut out = String::new();
    for (from, to) in cases {
        assert!(EMBEDDED.contains(from), "{from}");
        let error = Catalog::parse(&EMBEDDED.replacen(from, to, 1)).expect_err(to).to_string();
        let first_and_last: Vec<&str> = error.lines().filter(|line| !line.contains('|')).collect();
        let _ = writeln!(out, "{to:?}: {}", first_and_last.join(" "));
    }
    expect![[r#"
        "id = \"starter\"": catalog setting packs.id: starter appears twice
        "id = \"the creator\"": catalog setting packs[1].id: there is no pack the creator
        "name = \" \"": catalog setting packs[1].name: must be a name that people can read
        "credits = \"0\"": catalog setting packs[1].credits: must be above zero
        "credits = \"0.0000001\"": catalog setting packs[1].credits: not an amount of credits with at most 6 decimals: "0.0000001"
        "credits = 500": catalog setting file: TOML parse error at line 17, column 11 invalid type: integer `500`, expected a string
        "credits = \"500\"\ncolour = \"red\"": catalog setting file: TOML parse error at line 18, column 1 unknown field `colour`, expected one of `id`, `name`, `credits`, `list_price_usd`
        "": catalog setting file: TOML parse error at line 14, column 1 missing field `credits`
        "list_price_usd = \"-1\"": catalog setting packs[1].list_price_usd: must be above zero
        "list_price_usd = \"4e1\"": catalog setting packs[1].list_price_usd: not an exact decimal number: "4e1"
        "list_price_per_credit_usd = \"0\"": catalog setting list_price_per_credit_usd: must be above zero
        "min_credits = \"100001\"": catalog setting custom.max_credits: must be at least custom.min_credits
        "from_credits = \"1000\"": catalog setting volume_tiers.from_credits: 1000.000000 appears twice
        "percent = \"106\"": catalog setting volume_tiers[1].percent: not a percentage from 0 to 100 with at most 6 decimals: "106"
        "code = \"launch10\"": catalog setting promotions.code: LAUNCH10 appears twice
        "cap_usd = \"0\"": catalog setting promotions[0].cap_usd: must be above zero
        "ends = \"2025-01-01T00:00:00Z\"": catalog setting promotions[0].ends: must be after the promotion's start
        "ends = \"next year\"": catalog setting promotions[0].ends: not an RFC 3339 time: "next year"
        "from_tokens = \"1000.0\"": catalog setting asset_discounts[0].holder_tiers: 1000 appears twice
        "from_tokens = \"many\"": catalog setting asset_discounts[0].holder_tiers[1].from_tokens: not a decimal number: "many"
        "\"promotion\"]": catalog setting stacking.order: must be volume_tier, promotion, asset_discount and holder_tier, each once
        "]": catalog setting stacking.order: must be volume_tier, promotion, asset_discount and holder_tier, each once
        "cap_percent = \"140\"": catalog setting stacking.cap_percent: not a percentage from 0 to 100 with at most 6 decimals: "140"
        "quote_lifetime_seconds = 0": catalog setting terms.quote_lifetime_seconds: must be above zero
        "credits_valid_days = 0": catalog setting terms.credits_valid_days: must be above zero
        "tolerance_usd = \"-0.01\"": catalog setting terms.tolerance_usd: must be zero or more
        "cent_usd = \"0\"": catalog setting terms.cent_usd: must be above zero
    "#]].assert_eq(&out);
}
