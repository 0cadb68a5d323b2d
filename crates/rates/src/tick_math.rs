//! Uniswap V3 ticks as prices, in integers.
//!
//! A tick is a power of 1.0001; its square root is held as a Q64.96. Every step is the same as in the
//! pool's own `TickMath`, so both agree to the last bit. Never uses a float or a logarithm.

use alloy::primitives::{U256, ruint::Uint};
use inspay_primitives::Rate;
use rust_decimal::Decimal;

/// The highest tick of a pool.
pub(crate) const MAX_TICK: i32 = 887_272;

/// A tick is a step of a hundredth of a percent: more digits than these would only look exact.
const SIGNIFICANT_DIGITS: usize = 18;

type U1024 = Uint<1024, 16>;

/// 2^128 / 1.0001^(2^i / 2) for each bit `i` of a tick, as the pool's contract has them.
const RATIOS_X128: [u128; 20] = [
    0xfffc_b933_bd6f_ad37_aa2d_162d_1a59_4001,
    0xfff9_7272_373d_4132_59a4_6990_580e_213a,
    0xfff2_e50f_5f65_6932_ef12_357c_f3c7_fdcc,
    0xffe5_caca_7e10_e4e6_1c36_24ea_a094_1cd0,
    0xffcb_9843_d60f_6159_c9db_5883_5c92_6644,
    0xff97_3b41_fa98_c081_472e_6896_dfb2_54c0,
    0xff2e_a164_66c9_6a38_43ec_78b3_26b5_2861,
    0xfe5d_ee04_6a99_a2a8_11c4_61f1_969c_3053,
    0xfcbe_86c7_900a_88ae_dcff_c83b_479a_a3a4,
    0xf987_a725_3ac4_1317_6f2b_074c_f781_5e54,
    0xf339_2b08_22b7_0005_940c_7a39_8e4b_70f3,
    0xe715_9475_a2c2_9b74_43b2_9c7f_a6e8_89d9,
    0xd097_f3bd_fd20_22b8_845a_d8f7_92aa_5825,
    0xa9f7_4646_2d87_0fdf_8a65_dc1f_90e0_61e5,
    0x70d8_69a1_56d2_a1b8_90bb_3df6_2baf_32f7,
    0x31be_135f_97d0_8fd9_8123_1505_542f_cfa6,
    0x09aa_508b_5b7a_84e1_c677_de54_f3e9_9bc9,
    0x005d_6af8_dedb_8119_6699_c329_225e_e604,
    0x0000_2216_e584_f5fa_1ea9_2604_1bed_fe98,
    0x0000_0000_048a_1703_91f7_dc42_444e_8fa2,
];

/// √(1.0001^tick) × 2^96, rounded up; `None` beyond the ticks a pool can have.
pub(crate) fn sqrt_ratio_at_tick(tick: i32) -> Option<U256> {
    let steps = tick.unsigned_abs();
    if steps > MAX_TICK.unsigned_abs() {
        return None;
    }
    let one_x128 = U256::ONE << 128;
    // Each factor is below 2^128 and so is every product after the shift: nothing can overflow.
    let ratio: U256 = RATIOS_X128
        .iter()
        .enumerate()
        .filter(|(bit, _)| steps >> bit & 1 == 1)
        .fold(one_x128, |ratio, (_, factor)| (ratio * U256::from(*factor)) >> 128);
    let ratio: U256 = if tick > 0 { U256::MAX / ratio } else { ratio };
    let (down, rest): (U256, U256) = (ratio >> 32, ratio & U256::from(u32::MAX));
    Some(if rest.is_zero() { down } else { down + U256::ONE })
}

/// The mean tick over a window of cumulative ticks, rounded so that the priced token is worth less:
/// down if it is the pool's first token, up if it is the second.
pub(crate) fn mean_tick(
    cumulative_delta: i64,
    window_seconds: u32,
    prices_token0: bool,
) -> Option<i32> {
    let window = i64::from(window_seconds);
    let down = cumulative_delta.checked_div_euclid(window)?;
    let is_even = cumulative_delta.checked_rem_euclid(window)? == 0;
    let tick = if is_even || prices_token0 { down } else { down.checked_add(1)? };
    i32::try_from(tick).ok()
}

/// Dollars for one whole priced token at `tick`, with 18 significant digits, rounded down.
///
/// `quote_usd` is what one whole token of the other side is worth. `None` where the price is beyond what
/// a rate can hold.
pub(crate) fn usd_at_tick(
    tick: i32,
    prices_token0: bool,
    priced_decimals: u8,
    quote_decimals: u8,
    quote_usd: Rate,
) -> Option<Rate> {
    let sqrt = U1024::from(sqrt_ratio_at_tick(tick)?);
    let (square, unit) = (sqrt.checked_mul(sqrt)?, U1024::ONE << 192);
    let (numerator, denominator) = if prices_token0 { (square, unit) } else { (unit, square) };
    let quote = quote_usd.decimal();
    let numerator = numerator
        .checked_mul(U1024::from(u128::try_from(quote.mantissa()).ok()?))?
        .checked_mul(pow10(u32::from(priced_decimals))?)?;
    let denominator =
        denominator.checked_mul(pow10(u32::from(quote_decimals).checked_add(quote.scale())?)?)?;
    (0..=Decimal::MAX_SCALE).rev().find_map(|scale| {
        let digits = numerator.checked_mul(pow10(scale)?)?.checked_div(denominator)?;
        let is_short = digits < pow10(u32::try_from(SIGNIFICANT_DIGITS).ok()?)?;
        let digits = i128::try_from(u128::try_from(digits).ok()?).ok()?;
        if !is_short && scale > 0 {
            return None;
        }
        let value = Decimal::try_from_i128_with_scale(digits, scale).ok()?;
        Rate::new(value.normalize()).ok()
    })
}

fn pow10(exponent: u32) -> Option<U1024> {
    U1024::from(10u8).checked_pow(U1024::from(exponent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn square_roots_agree_with_the_pools_contract_to_the_last_bit() {
        let cases = [
            (0, "79228162514264337593543950336"),
            (1, "79232123823359799118286999568"),
            (-1, "79224201403219477170569942574"),
            (50, "79426470787362580746886972461"),
            (-50, "79030349367926598376800521322"),
            (100, "79625275426524748796330556128"),
            (-100, "78833030112140176575862854579"),
            (250, "80224679980005306637834519095"),
            (500, "81233731461783161732293370115"),
            (-500, "77272108795590369356373805297"),
            (250_000, "21246587762933397357449903968194344"),
            (-250_000, "295440463448801648376846"),
            (500_000, "5697689776495288729098254600827762987878"),
            (-500_000, "1101692437043807371"),
            (MAX_TICK, "1461446703485210103287273052203988822378723970342"),
            (-MAX_TICK, "4295128739"),
        ];
        for (tick, expected) in cases {
            let ratio = sqrt_ratio_at_tick(tick).expect("within range");
            assert_eq!(ratio.to_string(), expected, "tick {tick}");
        }
        for tick in [MAX_TICK + 1, -MAX_TICK - 1, i32::MIN, i32::MAX] {
            assert_eq!(sqrt_ratio_at_tick(tick), None, "tick {tick}");
        }
    }

    #[test]
    fn a_mean_is_rounded_against_the_priced_token() {
        let cases = [
            (6_000, 60, true, Some(100)),
            (6_001, 60, true, Some(100)),
            (6_001, 60, false, Some(101)),
            (-6_001, 60, true, Some(-101)),
            (-6_001, 60, false, Some(-100)),
            (-6_000, 60, false, Some(-100)),
            (1, 0, true, None),
            (i64::MAX, 1, true, None),
        ];
        for (delta, window, prices_token0, expected) in cases {
            assert_eq!(mean_tick(delta, window, prices_token0), expected, "{delta} in {window}");
        }
    }

    /// Expected values come from 1.0001^tick in eighty decimal digits.
    #[test]
    fn ticks_become_dollars_with_order_and_decimals() {
        let cases = [
            // tick, prices the first token, its decimals, the other's decimals, the other's dollars
            (0, true, 18, 18, "1", Some("1")),
            (0, false, 18, 18, "0.9997", Some("0.9997")),
            // USDC (6) and WETH (18) at 1.0001^195285 wei of ether for a millionth of a dollar.
            (195_285, false, 18, 6, "1", Some("3306.01057081126411")),
            (195_285, true, 6, 18, "3306.09", Some("1.00002402569109644")),
            (-310_000, true, 18, 6, "0.9997", Some("0.0344678238413467738")),
            (MAX_TICK, true, 18, 18, "1", None),
            (MAX_TICK, false, 18, 18, "1", None),
            (MAX_TICK + 1, true, 18, 18, "1", None),
            (MAX_TICK, true, 6, 18, "1", Some("340256786836388094070642339")),
            (0, true, 255, 18, "1", None),
            (0, true, 0, 28, "1", Some("0.0000000000000000000000000001")),
            (0, true, 0, 29, "1", None),
        ];
        for (tick, prices_token0, priced, other, usd, expected) in cases {
            let usd = usd.parse().expect("rate");
            let rate = usd_at_tick(tick, prices_token0, priced, other, usd);
            assert_eq!(rate.map(|rate| rate.to_string()).as_deref(), expected, "tick {tick}");
        }
    }
}
