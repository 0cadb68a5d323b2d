//! Cases: what a person of the finance has to look at.

use axum::{Json, extract::State};
use inspay_ports::{CaseFilter, CaseRecord, Page};
use inspay_primitives::{CaseId, CaseKind};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    auth::Caller,
    cursor,
    extract::{Params, PathId, read_id},
    problem::{Problem, ProblemCode},
    state::ApiState,
    wire::{CaseBody, CasesPage},
};

const LIST: &str = "cases";

/// Which cases.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CasesParams {
    /// `true`: only those that are not resolved.
    #[serde(default)]
    open: Option<bool>,
    /// Of this kind only.
    #[serde(default)]
    kind: Option<String>,
    /// The `next` of the page before.
    #[serde(default)]
    after: Option<String>,
    /// Rows on a page, at most 200; 50 if nothing is said.
    #[serde(default)]
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

fn read_kind(text: &str) -> Result<CaseKind, Problem> {
    CaseKind::parse(text).ok_or_else(|| {
        let known = CaseKind::ALL.map(CaseKind::as_str).join(", ");
        Problem::at(ProblemCode::QueryInvalid, "kind", format!("The kinds are {known}."))
    })
}

fn show(case: CaseRecord) -> Result<CaseBody, Problem> {
    CaseBody::new(case).map_err(|why| Problem::internal(&why))
}

/// Cases, newest first. Finance and operator keys only.
#[utoipa::path(get, path = "/v1/cases", tag = "cases", operation_id = "list_cases", params(CasesParams),
    responses((status = 200, description = "A page of cases.", body = CasesPage)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Params(params): Params<CasesParams>,
) -> Result<Json<CasesPage>, Problem> {
    caller.may_read_cases()?;
    let kind = params.kind.as_deref().map(read_kind).transpose()?;
    let filter = CaseFilter { kind, open_only: params.open.unwrap_or(false) };
    let after = cursor::read(LIST, params.after.as_deref())?;
    let limit = cursor::read_limit(params.limit)?;
    let page = Page { after, limit: limit.saturating_add(1) };
    let cases = state.store().cases(filter, page).await?;
    let position = |case: &CaseRecord| cursor::encode(LIST, &case.id.to_string());
    let (cases, next) = cursor::cut(cases, limit, position);
    let items = cases.into_iter().map(show).collect::<Result<_, _>>()?;
    Ok(Json(CasesPage { items, next }))
}

/// One case. Finance and operator keys only.
#[utoipa::path(get, path = "/v1/cases/{case}", tag = "cases", operation_id = "get_case",
    params(("case" = i64, Path, description = "Its number.", example = 7)),
    responses((status = 200, description = "The case.", body = CaseBody)))]
pub(crate) async fn get(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(number): PathId<String>,
) -> Result<Json<CaseBody>, Problem> {
    caller.may_read_cases()?;
    let id: CaseId = read_id(ProblemCode::PathInvalid, "case", &number)?;
    let case = state.store().case(id).await?;
    let not_found = || Problem::new(ProblemCode::CaseNotFound, format!("There is no case {id}."));
    show(case.ok_or_else(not_found)?).map(Json)
}
