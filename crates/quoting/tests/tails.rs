//! The exact-amount lane, token by token.

use std::fmt::Write as _;

use expect_test::expect;
use inspay_primitives::{Rate, Rounding, U256, Usd, format_units};
use inspay_quoting::tail_range;
use proptest::prelude::*;
use rust_decimal::Decimal;

fn cent() -> Usd {
    "0.01".parse().expect("dollars")
}

fn due(price: &str, rate: &str, decimals: u8) -> (U256, Rate) {
    let rate: Rate = rate.parse().expect("rate");
    let price: Usd = price.parse().expect("price");
    (rate.base_units(price, decimals, Rounding::Up).expect("in range"), rate)
}

#[test]
fn tails_by_token() {
    let mut out = String::new();
    for (name, price, rate, decimals) in [
        ("USDT", "9.99", "1", 6),
        ("USDT above its peg", "9.99", "1.0003", 6),
        ("USDT with 18 digits", "9.99", "1", 18),
        ("INSPI", "9.99", "0.0317", 18),
        ("WETH", "9.99", "3456.78", 18),
        ("WBTC", "9.99", "98765.43", 8),
        ("two digits", "9.99", "1", 2),
        ("two digits, cheap", "9.99", "0.0001", 2),
        ("three digits, cheap", "9.99", "0.0001", 3),
        ("no digits", "9.99", "0.0000001", 0),
        ("a cent", "0.01", "1", 6),
        ("just above a cent", "0.010001", "1", 6),
        ("all of a uint256", "1", "0.000000000000000000000000001", 50),
    ] {
        let (due, rate) = due(price, rate, decimals);
        let range = tail_range(due, rate, decimals, cent());
        let shown = range.map_or("closed".to_owned(), |range| {
            let units = |value| format_units(value, decimals);
            let example = range.due_with_tail(U256::from(123_456_789)).expect("an amount");
            let last = range.due_with_tail(U256::MAX).expect("an amount");
            format!(
                "\n    {} to {}, apart {}, not {}\n    as {} or {}",
                units(range.lowest),
                units(range.highest),
                units(range.grain),
                units(range.round),
                units(example),
                units(last),
            )
        });
        let _ = writeln!(out, "{name}: {} {shown}", format_units(due, decimals));
    }
    expect![[r#"
        USDT: 9.990000 
            9.980001 to 9.989999, apart 0.000001, not 0.010000
            as 9.989136 or 9.983067
        USDT above its peg: 9.987004 
            9.977008 to 9.987003, apart 0.000001, not 0.001000
            as 9.983197 or 9.981139
        USDT with 18 digits: 9.990000000000000000 
            9.980000010000000000 to 9.989999990000000000, apart 0.000000010000000000, not 0.010000000000000000
            as 9.984569130000000000 or 9.982727430000000000
        INSPI: 315.141955835962145111 
            314.826498430000000000 to 315.141955830000000000, apart 0.000000010000000000, not 0.010000000000000000
            as 315.114694090000000000 or 315.105235570000000000
        WETH: 0.002889972749205909 
            0.002887079884000000 to 0.002889972749000000, apart 0.000000000001000000, not 0.000001000000000000
            as 0.002889036301000000 or 0.002888054473000000
        WBTC: 0.00010115 closed
        two digits: 9.99 closed
        two digits, cheap: 99900.00 closed
        three digits, cheap: 99900.000 
            99800.001 to 99899.999, apart 0.001, not 0.010
            as 99858.024 or 99890.997
        no digits: 99900000 closed
        a cent: 0.010000 closed
        just above a cent: 0.010001 
            0.000002 to 0.010000, apart 0.000001, not 0.010000
            as 0.009137 or 0.003068
        all of a uint256: 1000000000000000000000000000.00000000000000000000000000000000000000000000000000 
            990000000000000000000000000.00000001000000000000000000000000000000000000000000 to 999999999999999999999999999.99999999000000000000000000000000000000000000000000, apart 0.00000001000000000000000000000000000000000000000000, not 0.01000000000000000000000000000000000000000000000000
            as 990000000000000000000000001.23456790000000000000000000000000000000000000000000 or 999818359876104425926959367.74999157000000000000000000000000000000000000000000
    "#]].assert_eq(&out);
}

#[test]
fn every_choice_of_a_small_range_is_an_amount_of_its_own() {
    let (due, rate) = due("9.99", "1", 6);
    let range = tail_range(due, rate, 6, cent()).expect("room");
    let amounts: std::collections::BTreeSet<U256> = (0u64..9_999)
        .map(|choice| range.due_with_tail(U256::from(choice)).expect("an amount"))
        .collect();
    // 9,999 places, of which none is round: 9.99 itself is not among them.
    assert_eq!(amounts.len(), 9_999);
    assert!(!amounts.contains(&U256::from(9_980_000)));
    assert!(!amounts.contains(&U256::from(9_990_000)));
}

#[test]
fn a_range_made_by_hand_never_panics() {
    let zero = U256::ZERO;
    let range = inspay_quoting::TailRange {
        lowest: zero,
        highest: zero,
        grain: zero,
        round: zero,
        cent: zero,
    };
    assert_eq!(range.due_with_tail(U256::MAX), None);
    assert!(!range.holds(zero));
}

proptest! {
    /// Whatever the token, a tail is a discount above zero and below one cent, and never round.
    #[test]
    fn a_tail_is_a_small_discount_on_no_round_amount(
        micros in 10_000u64..1_000_000_000_000,
        mantissa in 1u64..1_000_000_000_000,
        scale in 0u32..16,
        decimals in 0u8..25,
        choice in any::<[u64; 4]>(),
    ) {
        let rate = Rate::new(Decimal::from_i128_with_scale(i128::from(mantissa), scale)).expect("above zero");
        let price = Usd::new(Decimal::from_i128_with_scale(i128::from(micros), 6));
        let due = rate.base_units(price, decimals, Rounding::Up).expect("in range");
        if let Some(range) = tail_range(due, rate, decimals, cent()) {
            let asked = range.due_with_tail(U256::from_limbs(choice)).expect("an amount");
            let tail = due - asked;
            prop_assert!(tail > U256::ZERO);
            prop_assert!(rate.micro_usd(tail, decimals, Rounding::Up).expect("in range") <= U256::from(10_000));
            prop_assert!(tail < range.cent);
            let hundredth = U256::from(10).pow(U256::from(decimals - 2));
            prop_assert!(asked % hundredth != U256::ZERO);
            prop_assert!(asked % range.cent != U256::ZERO);
            prop_assert!(range.holds(asked));
        }
    }
}
