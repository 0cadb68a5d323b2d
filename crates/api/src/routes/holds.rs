//! Holds: credits set aside for work under way, then spent or given back.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode},
    response::{IntoResponse as _, Response},
};
use inspay_ledger::{Act, Hold};
use inspay_ports::Page;
use inspay_primitives::{AccountId, HoldId};
use inspay_reports::account::holds_sheet;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    auth::Caller,
    cursor,
    extract::{Body, Params, PathId},
    idempotency::{REPLAYED, RequestKey},
    problem::{Problem, ProblemCode},
    sheet::{csv, is_csv},
    spend::{Done, ask, hold_id, problem_of_spend, read_credits, read_wish},
    state::ApiState,
    wire::{HoldBody, HoldWish, HoldsPage, NothingWish, PartWish},
};

const LIST: &str = "holds";

/// Which holds.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct HoldsParams {
    /// Only those that have not ended.
    #[serde(default)]
    open: Option<bool>,
    /// `json` or `csv`.
    #[serde(default)]
    #[param(example = "csv")]
    format: Option<String>,
    /// The `next` of the page before.
    #[serde(default)]
    after: Option<String>,
    /// Rows on a page, at most 200; 50 if nothing is said.
    #[serde(default)]
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// How an answer that repeats an earlier one is marked.
pub(crate) fn replayed(done: Done) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if done.is_repeated {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    headers
}

async fn find(state: &ApiState, caller: &Caller, id: HoldId) -> Result<Hold, Problem> {
    let hold = state.store().hold(id).await?;
    hold.filter(|hold| caller.reads(&hold.account))
        .ok_or_else(|| Problem::new(ProblemCode::HoldNotFound, format!("There is no hold {id}.")))
}

/// Sets credits aside for work under way.
///
/// They count against the balance and every limit at once. Capture what the work took, or release the hold; left alone,
/// it runs out and gives everything back. Where credits are missing, the problem says the least purchase that helps.
#[utoipa::path(post, path = "/v1/holds", tag = "spending", operation_id = "create_hold",
    request_body = HoldWish,
    responses((status = 201, description = "The hold.", body = HoldBody)))]
pub(crate) async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    RequestKey(request_key): RequestKey,
    Body(request): Body<HoldWish>,
) -> Result<(StatusCode, HeaderMap, Json<HoldBody>), Problem> {
    caller.may_spend()?;
    let (wish, valid_seconds) = request.split();
    let (account, purpose, credits) = read_wish(&state, &wish)?;
    let settings = &state.parts.credits;
    let valid_seconds = valid_seconds.unwrap_or(settings.hold_seconds);
    if !(1..=settings.hold_seconds_max).contains(&valid_seconds) {
        let most = settings.hold_seconds_max;
        let detail = format!("Ask for 1 to {most} seconds.");
        return Err(Problem::at(ProblemCode::HoldTooLong, "/valid_seconds", detail));
    }
    let hold = hold_id(&request_key);
    let act = Act::Hold { hold, account, purpose, credits, valid_seconds };
    let done = match ask(&state, &request_key, act).await {
        Ok(done) => done,
        Err(refused) => return Err(problem_of_spend(&state, refused).await),
    };
    let hold = find(&state, &caller, hold).await?;
    Ok((StatusCode::CREATED, replayed(done), Json(HoldBody::new(&hold, state.now()))))
}

/// A hold.
#[utoipa::path(get, path = "/v1/holds/{id}", tag = "spending", operation_id = "get_hold",
    params(("id" = String, Path, description = "The hold.")),
    responses((status = 200, description = "The hold.", body = HoldBody)))]
pub(crate) async fn get(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<HoldId>,
) -> Result<Json<HoldBody>, Problem> {
    let hold = find(&state, &caller, id).await?;
    Ok(Json(HoldBody::new(&hold, state.now())))
}

async fn end(
    state: &ApiState,
    caller: &Caller,
    (request_key, id): (&str, HoldId),
    act: Act,
) -> Result<(HeaderMap, Json<HoldBody>), Problem> {
    caller.may_spend()?;
    let done = match ask(state, request_key, act).await {
        Ok(done) => done,
        Err(refused) => return Err(Problem::from(refused)),
    };
    let hold = find(state, caller, id).await?;
    Ok((replayed(done), Json(HoldBody::new(&hold, state.now()))))
}

/// Spends a hold, in whole or in part; the rest goes back to the lots it came from.
#[utoipa::path(post, path = "/v1/holds/{id}/capture", tag = "spending", operation_id = "capture_hold",
    params(("id" = String, Path, description = "The hold.")), request_body = PartWish,
    responses((status = 200, description = "The hold.", body = HoldBody)))]
pub(crate) async fn capture(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<HoldId>,
    RequestKey(request_key): RequestKey,
    Body(part): Body<PartWish>,
) -> Result<(HeaderMap, Json<HoldBody>), Problem> {
    let credits = part.credits.as_deref().map(|text| read_credits("/credits", text)).transpose()?;
    end(&state, &caller, (&request_key, id), Act::Capture { hold: id, credits }).await
}

/// Gives a hold back: it costs nothing.
#[utoipa::path(post, path = "/v1/holds/{id}/release", tag = "spending", operation_id = "release_hold",
    params(("id" = String, Path, description = "The hold.")), request_body = NothingWish,
    responses((status = 200, description = "The hold.", body = HoldBody)))]
pub(crate) async fn release(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<HoldId>,
    RequestKey(request_key): RequestKey,
    Body(NothingWish {}): Body<NothingWish>,
) -> Result<(HeaderMap, Json<HoldBody>), Problem> {
    end(&state, &caller, (&request_key, id), Act::Release { hold: id }).await
}

/// An account's holds, newest first.
///
/// As comma-separated values too: the cursor of the next page is then in the header `Next-After`.
#[utoipa::path(get, path = "/v1/accounts/{account}/holds", tag = "spending", operation_id = "list_holds",
    params(("account" = String, Path, description = "The account.", example = "alice"), HoldsParams),
    responses((status = 200, description = "A page of holds.", body = HoldsPage)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(account): PathId<AccountId>,
    Params(params): Params<HoldsParams>,
) -> Result<Response, Problem> {
    let after = cursor::read(LIST, params.after.as_deref())?;
    let limit = cursor::read_limit(params.limit)?;
    let is_csv = is_csv(params.format.as_deref())?;
    super::accounts::find(&state, &caller, &account).await?;
    let page = Page { after, limit: limit.saturating_add(1) };
    let holds = state.store().holds(&account, params.open.unwrap_or(false), page).await?;
    let (holds, next) =
        cursor::cut(holds, limit, |hold| cursor::encode(LIST, &hold.entry_seq.to_string()));
    let now = state.now();
    if is_csv {
        return Ok(csv(&holds_sheet(&holds, now), next));
    }
    let items = holds.iter().map(|hold| HoldBody::new(hold, now)).collect();
    Ok(Json(HoldsPage { items, next }).into_response())
}
