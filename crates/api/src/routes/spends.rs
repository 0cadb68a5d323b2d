//! Spends: credits used up at once, and given back where something failed after all.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use inspay_ledger::{Act, Usage};
use inspay_ports::{Page, UsageFilter};
use inspay_primitives::{AccountId, UsageId};
use inspay_reports::account::{SummaryError, UsageBy, summary_sheet, usage_summary, usages_sheet};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{accounts, holds::replayed};
use crate::{
    auth::Caller,
    cursor,
    extract::{Body, Params, PathId, read_id},
    idempotency::RequestKey,
    problem::{Problem, ProblemCode},
    sheet::{csv, is_csv},
    spend::{ask, ask_all, problem_of_spend, read_credits, read_wish},
    state::ApiState,
    wire::{
        PartWish, SpendBatchWish, SpendOutcome, SpendOutcomes, SpendWish, UsageBody,
        UsageSummaryBody, UsagesPage,
    },
};

const LIST: &str = "usage";
/// Items of one batch.
const ITEMS_MAX: usize = 100;

/// Which spends.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct UsageParams {
    /// Of this feature only.
    #[serde(default)]
    feature: Option<String>,
    /// Of this project only.
    #[serde(default)]
    project: Option<String>,
    /// Of this session only.
    #[serde(default)]
    session: Option<String>,
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

/// Which days, and what the sums are made by.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SummaryParams {
    /// The first day in the account's zone; 30 days up to today if nothing is said.
    #[serde(default)]
    #[param(example = "2026-11-01")]
    from: Option<String>,
    /// The last day; today if nothing is said.
    #[serde(default)]
    #[param(example = "2026-11-30")]
    to: Option<String>,
    /// `day`, `feature`, `project` or `session`; by day if nothing is said.
    #[serde(default)]
    #[param(example = "feature")]
    by: Option<String>,
    /// `json` or `csv`.
    #[serde(default)]
    #[param(example = "csv")]
    format: Option<String>,
}

async fn find(state: &ApiState, caller: &Caller, id: UsageId) -> Result<Usage, Problem> {
    let usage = state.store().usage(id).await?;
    usage
        .filter(|usage| caller.reads(&usage.account))
        .ok_or_else(|| Problem::new(ProblemCode::UsageNotFound, format!("There is no spend {id}.")))
}

/// Spends credits at once.
///
/// For what is done as soon as it is asked. Where credits are missing, the problem says the least purchase that helps.
#[utoipa::path(post, path = "/v1/spends", tag = "spending", operation_id = "create_spend",
    request_body = SpendWish,
    responses((status = 201, description = "The spend.", body = UsageBody)))]
pub(crate) async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    RequestKey(request_key): RequestKey,
    Body(wish): Body<SpendWish>,
) -> Result<(StatusCode, HeaderMap, Json<UsageBody>), Problem> {
    caller.may_spend()?;
    let (account, purpose, credits) = read_wish(&state, &wish)?;
    let done = match ask(&state, &request_key, Act::Spend { account, purpose, credits }).await {
        Ok(done) => done,
        Err(refused) => return Err(problem_of_spend(&state, refused).await),
    };
    let usage = find(&state, &caller, UsageId { entry_seq: done.entry_seq.unwrap_or(0) }).await?;
    Ok((StatusCode::CREATED, replayed(done), Json(UsageBody::from(&usage))))
}

/// Spends credits for several things at once, each answered for itself: one that is refused stops no other.
#[utoipa::path(post, path = "/v1/spends/batch", tag = "spending", operation_id = "create_spends",
    request_body = SpendBatchWish,
    responses((status = 200, description = "One outcome for each, in order.", body = SpendOutcomes)))]
pub(crate) async fn create_all(
    State(state): State<ApiState>,
    caller: Caller,
    RequestKey(request_key): RequestKey,
    Body(batch): Body<SpendBatchWish>,
) -> Result<Json<SpendOutcomes>, Problem> {
    caller.may_spend()?;
    if !(1..=ITEMS_MAX).contains(&batch.items.len()) {
        let detail = format!("Send 1 to {ITEMS_MAX} items.");
        return Err(Problem::at(ProblemCode::BatchSize, "/items", detail));
    }
    let mut acts = Vec::new();
    for (place, wish) in batch.items.iter().enumerate() {
        let (account, purpose, credits) = read_wish(&state, wish).map_err(|mut problem| {
            for fact in &mut problem.errors {
                fact.at = format!("/items/{place}{}", fact.at);
            }
            problem
        })?;
        acts.push((format!("{request_key}#{place}"), Act::Spend { account, purpose, credits }));
    }
    let mut items = Vec::new();
    for outcome in ask_all(&state, acts).await.map_err(Problem::from)? {
        items.push(match outcome {
            Ok(done) => {
                let id = UsageId { entry_seq: done.entry_seq.unwrap_or(0) };
                let usage = find(&state, &caller, id).await?;
                SpendOutcome { usage: Some(UsageBody::from(&usage)), problem: None }
            }
            Err(refused) => {
                let problem = problem_of_spend(&state, refused).await;
                SpendOutcome { usage: None, problem: Some(problem) }
            }
        });
    }
    Ok(Json(SpendOutcomes { items }))
}

/// A spend.
#[utoipa::path(get, path = "/v1/spends/{id}", tag = "spending", operation_id = "get_spend",
    params(("id" = String, Path, description = "The spend.", example = "use_17")),
    responses((status = 200, description = "The spend.", body = UsageBody)))]
pub(crate) async fn get(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<UsageId>,
) -> Result<Json<UsageBody>, Problem> {
    Ok(Json(UsageBody::from(&find(&state, &caller, id).await?)))
}

/// Gives spent credits back to the very lots they came from, those burned last first.
///
/// What comes back to a lot that lapsed meanwhile has lapsed.
#[utoipa::path(post, path = "/v1/spends/{id}/refund", tag = "spending", operation_id = "refund_spend",
    params(("id" = String, Path, description = "The spend.", example = "use_17")), request_body = PartWish,
    responses((status = 200, description = "The spend.", body = UsageBody)))]
pub(crate) async fn refund(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(usage): PathId<UsageId>,
    RequestKey(request_key): RequestKey,
    Body(part): Body<PartWish>,
) -> Result<(HeaderMap, Json<UsageBody>), Problem> {
    caller.may_spend()?;
    let credits = part.credits.as_deref().map(|text| read_credits("/credits", text)).transpose()?;
    let done = ask(&state, &request_key, Act::Refund { usage, credits }).await;
    let done = done.map_err(Problem::from)?;
    Ok((replayed(done), Json(UsageBody::from(&find(&state, &caller, usage).await?))))
}

fn read_filter(params: &UsageParams) -> Result<UsageFilter, Problem> {
    let read = |at: &str, text: &Option<String>| {
        text.as_deref().map(|text| read_id(ProblemCode::QueryInvalid, at, text)).transpose()
    };
    Ok(UsageFilter {
        feature: read("feature", &params.feature)?,
        project: read("project", &params.project)?,
        session: read("session", &params.session)?,
    })
}

/// An account's spends, newest first.
///
/// As comma-separated values too: the cursor of the next page is then in the header `Next-After`.
#[utoipa::path(get, path = "/v1/accounts/{account}/usage", tag = "spending", operation_id = "list_usage",
    params(("account" = String, Path, description = "The account.", example = "alice"), UsageParams),
    responses((status = 200, description = "A page of spends.", body = UsagesPage)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(account): PathId<AccountId>,
    Params(params): Params<UsageParams>,
) -> Result<Response, Problem> {
    let after = cursor::read(LIST, params.after.as_deref())?;
    let limit = cursor::read_limit(params.limit)?;
    let filter = read_filter(&params)?;
    let is_csv = is_csv(params.format.as_deref())?;
    accounts::find(&state, &caller, &account).await?;
    let page = Page { after, limit: limit.saturating_add(1) };
    let usages = state.store().usages(&account, filter, page).await?;
    let place = |usage: &Usage| cursor::encode(LIST, &usage.id.entry_seq.to_string());
    let (usages, next) = cursor::cut(usages, limit, place);
    if is_csv {
        return Ok(csv(&usages_sheet(&usages), next));
    }
    let items = usages.iter().map(UsageBody::from).collect();
    Ok(Json(UsagesPage { items, next }).into_response())
}

/// Usage of some days by day, feature, project or session, beside as many days before them.
///
/// As comma-separated values too.
#[utoipa::path(get, path = "/v1/accounts/{account}/usage/summary", tag = "spending",
    operation_id = "get_usage_summary",
    params(("account" = String, Path, description = "The account.", example = "alice"), SummaryParams),
    responses((status = 200, description = "The sums.", body = UsageSummaryBody)))]
pub(crate) async fn summary(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(account): PathId<AccountId>,
    Params(params): Params<SummaryParams>,
) -> Result<Response, Problem> {
    let by = params.by.as_deref().map_or(Some(UsageBy::Day), UsageBy::parse).ok_or_else(|| {
        let detail = "Ask for sums by day, feature, project or session.";
        Problem::at(ProblemCode::QueryInvalid, "by", detail)
    })?;
    let is_csv = is_csv(params.format.as_deref())?;
    let days = (
        accounts::read_day("from", params.from.as_deref())?,
        accounts::read_day("to", params.to.as_deref())?,
    );
    accounts::find(&state, &caller, &account).await?;
    let summary = usage_summary(state.store(), &account, days, by, state.now()).await;
    let summary = summary.map_err(|error| match error {
        SummaryError::Store(error) => Problem::from(error),
        SummaryError::Days | SummaryError::TooManySessions => {
            Problem::at(ProblemCode::QueryInvalid, "from", error.to_string())
        }
    })?;
    if is_csv {
        return Ok(csv(&summary_sheet(&summary), None));
    }
    Ok(Json(UsageSummaryBody::from(&summary)).into_response())
}
