//! What it costs to send a payment: fee levels from the chain's history, and their price.
//!
//! Never guesses: a missing estimate or a missing native rate is said, and leaves the total open.

use inspay_primitives::{PriceError, Rounding, U256, Usd, format_units};
use serde::{Deserialize, Serialize};

use crate::{RateQuote, RateRefusal, exact::usd_from_micros, text};

/// Every EVM chain counts its native token in 10^-18.
const NATIVE_DECIMALS: u8 = 18;
/// A full block raises the base fee by an eighth: EIP-1559.
const BASE_FEE_STEP: U256 = U256::from_limbs([8, 0, 0, 0]);
/// How many full blocks in a row a level's fee cap outlasts: slow, normal, fast. Six of them about
/// double the base fee, which is the head room that wallets give.
const FULL_BLOCKS_OUTLASTED: [u32; 3] = [1, 3, 6];

/// The recent past of a chain's fees.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct FeeHistory {
    /// Base fees in wei, oldest first; the last is the next block's.
    pub base_fees: Vec<U256>,
    /// For each past block the priority fees at a low, a middle and a high percentile, in wei.
    pub priority_fees: Vec<[U256; 3]>,
}

/// What a sender offers per gas at one speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeeLevel {
    /// `maxFeePerGas` in wei.
    #[serde(with = "text::base_units")]
    pub max_fee_per_gas: U256,
    /// `maxPriorityFeePerGas` in wei.
    #[serde(with = "text::base_units")]
    pub priority_fee_per_gas: U256,
}

/// Fees at three speeds over one base fee.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeeLevels {
    /// The next block's base fee in wei.
    #[serde(with = "text::base_units")]
    pub base_fee_per_gas: U256,
    /// In when blocks have room.
    pub slow: FeeLevel,
    /// In with most others.
    pub normal: FeeLevel,
    /// In ahead of most others.
    pub fast: FeeLevel,
}

/// The gas of one transfer, before it is priced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GasEstimate {
    /// What `eth_estimateGas` said.
    pub gas_limit: u64,
    /// Whether it was asked for the wallet that will pay, or for a stand-in.
    pub for_payer: bool,
    /// Fees at three speeds.
    pub fees: FeeLevels,
    /// What the chain below charges for the data, in wei; zero where there is none.
    pub l1_fee_wei: U256,
    /// Symbol of the native token.
    pub native_symbol: String,
    /// The verdict on the native token's rate.
    pub native_rate: Result<RateQuote, RateRefusal>,
}

/// Why the gas of a transfer is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "code", content = "text")]
pub enum GasRefusal {
    /// The node would not estimate the transfer.
    #[error("the transfer could not be estimated: {0}")]
    #[serde(rename = "gas_estimate_failed")]
    EstimateFailed(String),
    /// The chain's fees are not known.
    #[error("the chain's fees are not known: {0}")]
    #[serde(rename = "gas_fees_unknown")]
    FeesUnknown(String),
}

impl GasRefusal {
    /// The stable name of this refusal.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::EstimateFailed(_) => "gas_estimate_failed",
            Self::FeesUnknown(_) => "gas_fees_unknown",
        }
    }
}

/// What a transfer costs at one speed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GasOption {
    /// `maxFeePerGas` in wei.
    #[serde(with = "text::base_units")]
    pub max_fee_per_gas: U256,
    /// `maxPriorityFeePerGas` in wei.
    #[serde(with = "text::base_units")]
    pub priority_fee_per_gas: U256,
    /// Gas times base fee and priority fee, and the data fee of the chain below, in wei.
    #[serde(with = "text::base_units")]
    pub cost_wei: U256,
    /// The same in whole native tokens, as a decimal with all its digits.
    pub cost_native: String,
    /// The same in dollars, rounded up; `None` without a native rate.
    pub cost_usd: Option<Usd>,
}

/// What a transfer costs at three speeds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GasOptions {
    /// What `eth_estimateGas` said.
    #[serde(with = "text::number")]
    pub gas_limit: u64,
    /// Whether it was asked for the wallet that will pay, or for a stand-in.
    pub for_payer: bool,
    /// The next block's base fee in wei.
    #[serde(with = "text::base_units")]
    pub base_fee_per_gas: U256,
    /// The data fee of the chain below, in wei, part of every cost.
    #[serde(with = "text::base_units")]
    pub l1_fee_wei: U256,
    /// Symbol of the native token.
    pub native_symbol: String,
    /// The native rate, or why there is none.
    pub native_rate: NativeRate,
    /// In when blocks have room.
    pub slow: GasOption,
    /// In with most others.
    pub normal: GasOption,
    /// In ahead of most others.
    pub fast: GasOption,
}

/// The native token's rate as it went into a quote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NativeRate {
    /// It was known.
    Known(RateQuote),
    /// It was not, and why.
    Refused(RateRefusal),
}

/// The gas part of an offer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GasQuote {
    /// It was estimated.
    Estimated(Box<GasOptions>),
    /// It was not, and why; the offer stands without it.
    Unknown(GasRefusal),
}

impl GasQuote {
    /// Normal gas in dollars, if known.
    #[must_use]
    pub fn normal_usd(&self) -> Option<Usd> {
        match self {
            Self::Estimated(options) => options.normal.cost_usd,
            Self::Unknown(_) => None,
        }
    }
}

/// Fees at three speeds from the chain's recent past.
///
/// The priority fee of a speed is the median, over the past blocks, of the priority fees at its
/// percentile. The fee cap outlasts one, three or six full blocks in a row.
pub fn fee_levels(history: &FeeHistory) -> Result<FeeLevels, GasRefusal> {
    let Some(&base_fee_per_gas) = history.base_fees.last() else {
        return Err(GasRefusal::FeesUnknown("the fee history has no base fee".to_owned()));
    };
    let level = |speed: usize| {
        let priority = median(history.priority_fees.iter().filter_map(|block| block.get(speed)));
        let full_blocks = FULL_BLOCKS_OUTLASTED.get(speed).copied().unwrap_or(1);
        FeeLevel {
            max_fee_per_gas: raised(base_fee_per_gas, full_blocks).saturating_add(priority),
            priority_fee_per_gas: priority,
        }
    };
    let (slow, normal, fast) = (level(0), level(1), level(2));
    Ok(FeeLevels { base_fee_per_gas, slow, normal, fast })
}

/// The base fee after that many full blocks, rounded up.
fn raised(base_fee: U256, full_blocks: u32) -> U256 {
    (0..full_blocks).fold(base_fee, |fee, _| fee.saturating_add(fee.div_ceil(BASE_FEE_STEP)))
}

/// The middle value, the upper one of two; zero of none: a chain without traffic asks for nothing.
fn median<'a>(values: impl Iterator<Item = &'a U256>) -> U256 {
    let mut values: Vec<U256> = values.copied().collect();
    values.sort_unstable();
    values.get(values.len() >> 1).copied().unwrap_or(U256::ZERO)
}

/// Prices an estimate at three speeds.
///
/// Cost is gas × (base fee + priority fee) + data fee, never above gas × fee cap + data fee.
pub fn gas_options(estimate: &GasEstimate) -> Result<GasOptions, GasRefusal> {
    let out_of_range = || GasRefusal::FeesUnknown("the cost is out of range".to_owned());
    let option = |level: FeeLevel| -> Result<GasOption, GasRefusal> {
        let per_gas = estimate
            .fees
            .base_fee_per_gas
            .saturating_add(level.priority_fee_per_gas)
            .min(level.max_fee_per_gas);
        let cost_wei = per_gas
            .checked_mul(U256::from(estimate.gas_limit))
            .and_then(|cost| cost.checked_add(estimate.l1_fee_wei))
            .ok_or_else(out_of_range)?;
        let cost_usd = estimate.native_rate.as_ref().ok().map(|rate| cost_usd(rate, cost_wei));
        Ok(GasOption {
            max_fee_per_gas: level.max_fee_per_gas,
            priority_fee_per_gas: level.priority_fee_per_gas,
            cost_wei,
            cost_native: format_units(cost_wei, NATIVE_DECIMALS),
            cost_usd: cost_usd.transpose().map_err(|_| out_of_range())?,
        })
    };
    Ok(GasOptions {
        gas_limit: estimate.gas_limit,
        for_payer: estimate.for_payer,
        base_fee_per_gas: estimate.fees.base_fee_per_gas,
        l1_fee_wei: estimate.l1_fee_wei,
        native_symbol: estimate.native_symbol.clone(),
        native_rate: match &estimate.native_rate {
            Ok(rate) => NativeRate::Known(rate.clone()),
            Err(refusal) => NativeRate::Refused(refusal.clone()),
        },
        slow: option(estimate.fees.slow)?,
        normal: option(estimate.fees.normal)?,
        fast: option(estimate.fees.fast)?,
    })
}

fn cost_usd(rate: &RateQuote, cost_wei: U256) -> Result<Usd, PriceError> {
    usd_from_micros(rate.rate.micro_usd(cost_wei, NATIVE_DECIMALS, Rounding::Up)?)
}
