//! The judgement over an asset's samples: one rate, or one reason why there is none.
//!
//! Stale and future samples are left out first. Then the median: for an even number the mean of the
//! middle two, rounded down where a decimal cannot hold it, since a lower rate asks for more tokens.
//! Samples too far from the median are left out as outliers if the rest is still a majority; then
//! kinds and the peg's band are looked at. Never averages over a contradiction.

use inspay_primitives::{PriceError, Rate, Timestamp, U512};
use rust_decimal::Decimal;

use crate::{
    DropReason, DroppedSample, Percent, RateQuote, RateRefusal, RateRules, RateSample, SourceKind,
    exact::aligned,
};

/// Judges the samples of one asset.
///
/// # Errors
/// The first rule that the samples break, with the facts it was judged by.
pub fn judge_rate(
    samples: &[RateSample],
    rules: &RateRules,
    now: Timestamp,
) -> Result<RateQuote, RateRefusal> {
    if samples.is_empty() {
        return Err(RateRefusal::Missing { failures: Vec::new() });
    }
    let (mut fresh, mut dropped) = by_age(samples, rules, now);
    let need = usize::from(rules.min_sources.max(1));
    let Some(first_median) = median(&mut fresh) else {
        return Err(none_fresh(dropped));
    };
    if fresh.len() < need {
        return Err(RateRefusal::TooFew { have: fresh.len(), need, dropped });
    }
    let (mut agreeing, outliers): (Vec<RateSample>, Vec<RateSample>) = fresh
        .iter()
        .cloned()
        .partition(|sample| is_near(sample.rate, first_median, rules.max_deviation));
    let is_majority = agreeing.len() > outliers.len();
    let rate = median(&mut agreeing).unwrap_or(first_median);
    let still_agree = agreeing.iter().all(|sample| is_near(sample.rate, rate, rules.max_deviation));
    if !is_majority || !still_agree || agreeing.len() < need {
        return Err(disagreement(fresh, first_median, rules.max_deviation));
    }
    dropped.extend(
        outliers.into_iter().map(|sample| DroppedSample { sample, reason: DropReason::Outlier }),
    );
    check_kinds(&agreeing, rules)?;
    check_band(rate, &agreeing, rules)?;
    Ok(rate_quote(rate, agreeing, dropped, rules, now))
}

fn by_age(
    samples: &[RateSample],
    rules: &RateRules,
    now: Timestamp,
) -> (Vec<RateSample>, Vec<DroppedSample>) {
    let latest = now.plus_seconds(i64::from(rules.max_ahead_seconds));
    let (mut fresh, mut dropped) = (Vec::new(), Vec::new());
    for sample in samples.iter().cloned() {
        if sample.observed_at > latest {
            dropped.push(DroppedSample { sample, reason: DropReason::Future });
        } else if valid_until(&sample, rules) <= now {
            dropped.push(DroppedSample { sample, reason: DropReason::Stale });
        } else {
            fresh.push(sample);
        }
    }
    (fresh, dropped)
}

/// A sample counts before this time, and no more from then on.
fn valid_until(sample: &RateSample, rules: &RateRules) -> Timestamp {
    let by_age = sample.observed_at.plus_seconds(i64::from(rules.max_age_seconds));
    sample.valid_until.unwrap_or(by_age)
}

fn none_fresh(dropped: Vec<DroppedSample>) -> RateRefusal {
    if dropped.iter().all(|dropped| dropped.reason == DropReason::Future) {
        RateRefusal::FromFuture { dropped }
    } else {
        RateRefusal::Stale { dropped }
    }
}

/// Sorts by rate and takes the middle.
fn median(samples: &mut [RateSample]) -> Option<Rate> {
    samples.sort_by(|a, b| (a.rate, &a.source).cmp(&(b.rate, &b.source)));
    let middle = samples.len() >> 1;
    let upper = samples.get(middle)?.rate;
    if samples.len() & 1 == 1 {
        return Some(upper);
    }
    let lower = samples.get(middle.checked_sub(1)?)?.rate;
    // What a decimal cannot hold is left to the lower of the two.
    Some(mean(lower, upper).unwrap_or(lower))
}

/// Half of the sum, exact or rounded down to what a decimal holds.
fn mean(lower: Rate, upper: Rate) -> Result<Rate, PriceError> {
    let (lower, upper, scale) = aligned(lower.decimal(), upper.decimal())?;
    let sum = lower.checked_add(upper).ok_or(PriceError::OutOfRange)?;
    let mut digits = sum.checked_mul(U512::from(5)).ok_or(PriceError::OutOfRange)?;
    let mut scale = scale.saturating_add(1);
    let widest = U512::from(u128::try_from(Decimal::MAX.mantissa()).unwrap_or(0));
    let ten = U512::from(10);
    // Zeros at the end are dropped too, so that a mean prints as people would write it.
    while scale > Decimal::MAX_SCALE || digits > widest || is_padded(digits, scale) {
        digits = digits.checked_div(ten).ok_or(PriceError::OutOfRange)?;
        scale = scale.checked_sub(1).ok_or(PriceError::OutOfRange)?;
    }
    let digits = u128::try_from(digits).ok().and_then(|digits| i128::try_from(digits).ok());
    let digits = digits.ok_or(PriceError::OutOfRange)?;
    Rate::new(Decimal::try_from_i128_with_scale(digits, scale).map_err(|_| PriceError::OutOfRange)?)
}

fn is_padded(digits: U512, scale: u32) -> bool {
    scale > 0 && digits.checked_rem(U512::from(10)).is_some_and(|last| last.is_zero())
}

/// Whether a rate is at most that far from the median, in percent of the median.
fn is_near(rate: Rate, median: Rate, limit: Percent) -> bool {
    let Ok((rate, median, _)) = aligned(rate.decimal(), median.decimal()) else {
        return false;
    };
    let distance = rate.abs_diff(median).checked_mul(U512::from(Percent::HUNDRED.micros()));
    let allowed = median.checked_mul(U512::from(limit.micros()));
    matches!((distance, allowed), (Some(distance), Some(allowed)) if distance <= allowed)
}

fn disagreement(samples: Vec<RateSample>, median: Rate, max_deviation: Percent) -> RateRefusal {
    let lowest = samples.first().map_or(median, |sample| sample.rate);
    let highest = samples.last().map_or(median, |sample| sample.rate);
    RateRefusal::Disagreement { lowest, highest, median, max_deviation, samples }
}

fn check_kinds(samples: &[RateSample], rules: &RateRules) -> Result<(), RateRefusal> {
    if !rules.spot_alone && samples.iter().all(|sample| sample.kind == SourceKind::PoolSpot) {
        return Err(RateRefusal::SpotOnly { samples: samples.to_vec() });
    }
    let required = &rules.required_kinds;
    let has_required = samples.iter().any(|sample| required.contains(&sample.kind));
    if required.is_empty() || has_required {
        return Ok(());
    }
    Err(RateRefusal::KindMissing { required: required.clone(), samples: samples.to_vec() })
}

fn check_band(rate: Rate, samples: &[RateSample], rules: &RateRules) -> Result<(), RateRefusal> {
    match rules.band {
        Some(band) if rate < band.low || rate > band.high => {
            Err(RateRefusal::Depegged { rate, band, samples: samples.to_vec() })
        }
        Some(_) | None => Ok(()),
    }
}

fn rate_quote(
    rate: Rate,
    samples: Vec<RateSample>,
    dropped: Vec<DroppedSample>,
    rules: &RateRules,
    now: Timestamp,
) -> RateQuote {
    let names: Vec<&str> = samples.iter().map(|sample| sample.source.as_str()).collect();
    let source = match names.as_slice() {
        [only] => (*only).to_owned(),
        several => format!("median({})", several.join(", ")),
    };
    let observed_at = samples.iter().map(|sample| sample.observed_at).min().unwrap_or(now);
    let lifetime_ends = now.plus_seconds(i64::from(rules.lifetime_seconds));
    let expires_at =
        samples.iter().map(|sample| valid_until(sample, rules)).fold(lifetime_ends, Timestamp::min);
    RateQuote { rate, source, observed_at, expires_at, samples, dropped }
}
