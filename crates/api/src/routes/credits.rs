//! Grants, revocations, limits and profiles.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use inspay_ledger::{Act, GrantTerms, Limit, LimitAction, LimitScope, LimitWindow, LotSource};
use inspay_ports::Page;
use inspay_primitives::{AccountId, LimitId, LotId, Timestamp, Zone};
use inspay_reports::account::limits_sheet;

use super::{
    accounts::{self, FormatParams},
    holds::replayed,
};
use crate::{
    auth::Caller,
    extract::{Body, Params, PathId},
    idempotency::RequestKey,
    problem::{Problem, ProblemCode},
    sheet::{csv, is_csv},
    spend::{ask, ask_by_name, limit_id, read_credits, read_label},
    state::ApiState,
    wire::{
        GrantWish, LimitBody, LimitWish, LimitsBody, LotBody, NothingWish, ProfileBody, ProfileWish,
    },
};

/// More lots of one account than a person has.
const LOTS_MAX: u32 = 10_000;

async fn find_lot(state: &ApiState, caller: &Caller, id: LotId) -> Result<LotBody, Problem> {
    let lot = state.store().lot(id).await?;
    lot.filter(|lot| caller.reads(&lot.account))
        .map(|lot| LotBody::new(&lot, state.now()))
        .ok_or_else(|| Problem::new(ProblemCode::LotNotFound, format!("There is no lot {id}.")))
}

fn read_terms(
    state: &ApiState,
    account: AccountId,
    wish: &GrantWish,
) -> Result<GrantTerms, Problem> {
    let settings = &state.parts.credits;
    let wrong_source =
        |detail: String| Problem::at(ProblemCode::SourceNotGrantable, "/source", detail);
    let source =
        LotSource::parse(&wish.source).filter(|source| *source != LotSource::Purchase).ok_or_else(
            || wrong_source("Grant from a subscription, free_plan, promotion or prize.".to_owned()),
        )?;
    let campaign = read_label("/campaign", wish.campaign.as_ref())?;
    let budget = match (&campaign, source == LotSource::Promotion) {
        (None, false) => None,
        (Some(campaign), true) => Some(*settings.campaigns.get(campaign).ok_or_else(|| {
            wrong_source(format!("The settings have no promotion {campaign} with a budget."))
        })?),
        (None, true) | (Some(_), false) => {
            return Err(wrong_source(
                "Name a campaign with a promotion, and only then.".to_owned(),
            ));
        }
    };
    let is_named = (1..=200).contains(&wish.reference.len())
        && wish.reference.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_named {
        let detail = "Send 1 to 200 visible ASCII characters.";
        return Err(Problem::at(ProblemCode::BodyInvalid, "/reference", detail));
    }
    if wish.valid_days.is_some() && wish.expires_at.is_some() {
        let detail = "Name either valid_days or expires_at.";
        return Err(Problem::at(ProblemCode::BodyInvalid, "/expires_at", detail));
    }
    let days = wish.valid_days.unwrap_or(settings.grant_days);
    let expires_at = if let Some(expires_at) = wish.expires_at {
        expires_at
    } else if days == 0 {
        Timestamp::FAR
    } else {
        state.now().plus_seconds(i64::from(days).saturating_mul(86_400))
    };
    Ok(GrantTerms {
        account,
        opens_account: false,
        source,
        campaign,
        budget,
        reference: wish.reference.clone(),
        credits: read_credits("/credits", &wish.credits)?,
        scope: read_label("/scope", wish.scope.as_ref())?,
        priority: wish.priority.unwrap_or(50),
        expires_at,
    })
}

/// Grants credits without a payment: a subscription's cycle, the free plan, a promotion, a prize.
///
/// A reference is granted once per source, whoever asks and however often. What the account owes is paid from it first.
#[utoipa::path(post, path = "/v1/accounts/{account}/grants", tag = "spending", operation_id = "create_grant",
    params(("account" = String, Path, description = "The account.", example = "alice")), request_body = GrantWish,
    responses((status = 201, description = "The lot.", body = LotBody)))]
pub(crate) async fn grant(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(account): PathId<AccountId>,
    _request_key: RequestKey,
    Body(wish): Body<GrantWish>,
) -> Result<(StatusCode, HeaderMap, Json<LotBody>), Problem> {
    caller.may_spend()?;
    let terms = read_terms(&state, account, &wish)?;
    // Under the grant's own key: another request for the same reference grants nothing more.
    let done = ask_by_name(&state, Act::Grant(terms)).await.map_err(Problem::from)?;
    let id = LotId { entry_seq: done.entry_seq.unwrap_or(0), index: 0 };
    let lot = find_lot(&state, &caller, id).await?;
    Ok((StatusCode::CREATED, replayed(done), Json(lot)))
}

/// Takes back what is left of a lot, and what holds give back of it later.
#[utoipa::path(post, path = "/v1/lots/{id}/revoke", tag = "spending", operation_id = "revoke_lot",
    params(("id" = String, Path, description = "The lot.", example = "lot_12_0")), request_body = NothingWish,
    responses((status = 200, description = "The lot.", body = LotBody)))]
pub(crate) async fn revoke(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(lot): PathId<LotId>,
    RequestKey(request_key): RequestKey,
    Body(NothingWish {}): Body<NothingWish>,
) -> Result<(HeaderMap, Json<LotBody>), Problem> {
    caller.may_spend()?;
    let done = ask(&state, &request_key, Act::Revoke { lot }).await.map_err(Problem::from)?;
    Ok((replayed(done), Json(find_lot(&state, &caller, lot).await?)))
}

fn read_scope(wish: &LimitWish) -> Result<LimitScope, Problem> {
    let name = wish.name.as_deref().unwrap_or_default();
    LimitScope::parse(&wish.scope, name).ok_or_else(|| {
        let detail = "A scope is account without a name, or feature, project or session with one.";
        Problem::at(ProblemCode::LimitInvalid, "/scope", detail)
    })
}

/// Sets a limit, in the place of one of the same scope, window and action. What is held and spent already counts.
#[utoipa::path(post, path = "/v1/accounts/{account}/limits", tag = "spending", operation_id = "create_limit",
    params(("account" = String, Path, description = "The account.", example = "alice")), request_body = LimitWish,
    responses((status = 201, description = "The account's limits.", body = LimitsBody)))]
pub(crate) async fn set_limit(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(account): PathId<AccountId>,
    RequestKey(request_key): RequestKey,
    Body(wish): Body<LimitWish>,
) -> Result<(StatusCode, HeaderMap, Json<LimitsBody>), Problem> {
    caller.may_set(&account)?;
    accounts::find(&state, &caller, &account).await?;
    let invalid = |at: &str, detail: &str| Problem::at(ProblemCode::LimitInvalid, at, detail);
    let window = LimitWindow::parse(&wish.window)
        .ok_or_else(|| invalid("/window", "A window is day, month or total."))?;
    let action = LimitAction::parse(&wish.action)
        .ok_or_else(|| invalid("/action", "An action is warn or refuse."))?;
    let (now, profile) = (state.now(), state.store().profile(&account).await?);
    let limit = Limit {
        id: limit_id(&request_key),
        account: account.clone(),
        scope: read_scope(&wish)?,
        window,
        action,
        cap: read_credits("/cap", &wish.cap)?,
        alerts: wish.alerts,
        set_at: now,
    };
    let window_start = window.span_at(now, &profile.zone).start;
    let done = ask(&state, &request_key, Act::SetLimit { limit, window_start }).await;
    let done = done.map_err(Problem::from)?;
    Ok((StatusCode::CREATED, replayed(done), Json(limits_of(&state, &account).await?)))
}

async fn limits_of(state: &ApiState, account: &AccountId) -> Result<LimitsBody, Problem> {
    let limits = state.store().limits(account, state.now()).await?;
    let items = limits.iter().map(|(limit, used)| LimitBody::new(limit, used.as_ref())).collect();
    Ok(LimitsBody { items })
}

/// An account's limits, each with what its present window has in it.
#[utoipa::path(get, path = "/v1/accounts/{account}/limits", tag = "spending", operation_id = "list_limits",
    params(("account" = String, Path, description = "The account.", example = "alice"), FormatParams),
    responses((status = 200, description = "The limits.", body = LimitsBody)))]
pub(crate) async fn limits(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(account): PathId<AccountId>,
    Params(FormatParams { format }): Params<FormatParams>,
) -> Result<Response, Problem> {
    let is_csv = is_csv(format.as_deref())?;
    accounts::find(&state, &caller, &account).await?;
    if is_csv {
        let limits = state.store().limits(&account, state.now()).await?;
        return Ok(csv(&limits_sheet(&limits), None));
    }
    Ok(Json(limits_of(&state, &account).await?).into_response())
}

/// Removes a limit.
#[utoipa::path(delete, path = "/v1/accounts/{account}/limits/{limit}", tag = "spending",
    operation_id = "delete_limit",
    params(("account" = String, Path, description = "The account.", example = "alice"),
        ("limit" = String, Path, description = "The limit.")),
    responses((status = 200, description = "The limits that are left.", body = LimitsBody)))]
pub(crate) async fn remove_limit(
    State(state): State<ApiState>,
    caller: Caller,
    PathId((account, limit)): PathId<(AccountId, LimitId)>,
    RequestKey(request_key): RequestKey,
) -> Result<Json<LimitsBody>, Problem> {
    caller.may_set(&account)?;
    accounts::find(&state, &caller, &account).await?;
    let act = Act::RemoveLimit { account: account.clone(), limit };
    ask(&state, &request_key, act).await.map_err(Problem::from)?;
    Ok(Json(limits_of(&state, &account).await?))
}

/// Sets an account's time zone and the balances at which its owner is told. An account that is not known yet appears.
#[utoipa::path(put, path = "/v1/accounts/{account}", tag = "accounts", operation_id = "set_profile",
    params(("account" = String, Path, description = "The account.", example = "alice")), request_body = ProfileWish,
    responses((status = 200, description = "What it has set.", body = ProfileBody)))]
pub(crate) async fn set_profile(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(account): PathId<AccountId>,
    RequestKey(request_key): RequestKey,
    Body(wish): Body<ProfileWish>,
) -> Result<Json<ProfileBody>, Problem> {
    caller.may_set(&account)?;
    let zone: Zone = wish.zone.as_deref().unwrap_or("UTC").parse().map_err(
        |error: inspay_primitives::ZoneError| {
            Problem::at(ProblemCode::ZoneUnknown, "/zone", error.to_string())
        },
    )?;
    let balance_alerts = wish
        .balance_alerts
        .iter()
        .enumerate()
        .map(|(place, text)| read_credits(&format!("/balance_alerts/{place}"), text))
        .collect::<Result<Vec<_>, _>>()?;
    let act = Act::SetProfile { account: account.clone(), zone, balance_alerts };
    ask(&state, &request_key, act).await.map_err(Problem::from)?;
    let profile = state.store().profile(&account).await?;
    Ok(Json(ProfileBody {
        account,
        zone: profile.zone.to_string(),
        balance_alerts: profile.balance_alerts,
    }))
}

/// A lot: where its credits are, and what entries did to it.
#[utoipa::path(get, path = "/v1/lots/{id}", tag = "spending", operation_id = "get_lot",
    params(("id" = String, Path, description = "The lot.", example = "lot_12_0")),
    responses((status = 200, description = "The lot.", body = LotBody)))]
pub(crate) async fn lot(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<LotId>,
) -> Result<Json<LotBody>, Problem> {
    let lot = find_lot(&state, &caller, id).await?;
    let page = Page { after: None, limit: LOTS_MAX };
    let changes = state.store().lot_changes(id, page).await?;
    Ok(Json(lot.with_changes(&changes)))
}
