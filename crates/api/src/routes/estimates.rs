//! Estimates: what a list of things will cost, what is missing, and the cheapest way to buy it.

use axum::{Json, extract::State};
use inspay_primitives::{AccountId, Credits};
use inspay_quoting::QuoteRequest;

use super::{accounts, quotes};
use crate::{
    auth::Caller,
    estimate::{least_purchase, with_buffer},
    extract::{Body, read_id},
    problem::{Problem, ProblemCode},
    spend::read_label,
    state::ApiState,
    wire::{EstimateBody, EstimateLine, EstimateWish, QuoteBody},
};

/// Lines of one estimate.
const LINES_MAX: usize = 200;

fn out_of_range() -> Problem {
    Problem::at(ProblemCode::AmountAboveMaximum, "/items", "That is more than can be held.")
}

/// Says what a list of things will cost.
///
/// Each line is priced by the price book of now, a fifth is added, and what the account can spend by `until` is taken off.
/// What is missing comes as a quote for the cheapest purchase that covers it, priced in every payable asset.
#[utoipa::path(post, path = "/v1/estimates", tag = "spending", operation_id = "create_estimate",
    request_body = EstimateWish,
    responses((status = 200, description = "The estimate.", body = EstimateBody)))]
pub(crate) async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    Body(wish): Body<EstimateWish>,
) -> Result<Json<EstimateBody>, Problem> {
    let account: AccountId = read_id(ProblemCode::BodyInvalid, "/account", &wish.account)?;
    accounts::find(&state, &caller, &account).await?;
    if !(1..=LINES_MAX).contains(&wish.items.len()) {
        let detail = format!("Send 1 to {LINES_MAX} items.");
        return Err(Problem::at(ProblemCode::BatchSize, "/items", detail));
    }
    let now = state.now();
    let until = wish.until.unwrap_or(now).max(now);
    let mut lines = Vec::new();
    let mut total = Credits::ZERO;
    for (place, item) in wish.items.iter().enumerate() {
        let at = |name: &str| format!("/items/{place}/{name}");
        let feature = read_id(ProblemCode::BodyInvalid, &at("feature"), &item.feature)?;
        let quality = read_label(&at("quality"), item.quality.as_ref())?;
        let size = read_label(&at("size"), item.size.as_ref())?;
        let prices = &state.parts.credits.prices;
        let credits = prices.price(&feature, quality.as_ref(), size.as_ref(), item.units, now)?;
        total = total.checked_add(credits).ok_or_else(out_of_range)?;
        lines.push(EstimateLine { feature, quality, size, units: item.units, credits });
    }
    let needed = with_buffer(total).ok_or_else(out_of_range)?;
    // What a lot of one feature has can be spent on that feature's lines alone.
    let lots = state.store().lots(&account).await?;
    let features = lines.iter().map(|line| (&line.feature, line.credits));
    let available = crate::estimate::available(&lots, features, needed, until);
    let missing = Credits::from_micros(needed.micros().saturating_sub(available.micros()).max(0));
    let purchase = if missing.is_zero() { None } else { offer(&state, missing).await? };
    Ok(Json(EstimateBody { lines, total, needed, available, missing, purchase }))
}

/// A quote for the cheapest purchase that covers what is missing; `None` where nothing that is sold does.
async fn offer(state: &ApiState, missing: Credits) -> Result<Option<QuoteBody>, Problem> {
    let catalog = state.parts.pricing.catalog().await;
    let Some(least) = least_purchase(&catalog, missing) else { return Ok(None) };
    let request = QuoteRequest {
        purchase: least.purchase,
        promotion_code: None,
        holder_balances: std::collections::BTreeMap::new(),
        payer: None,
    };
    Ok(Some(quotes::make(state, &request, &catalog).await?))
}
