//! Balances, lots and history. Each read is an indexed one.

use std::str::FromStr;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use inspay_ledger::{EntryKind, Lot};
use inspay_ports::{AccountSummary, HistoryFilter, Page};
use inspay_primitives::{AccountId, Day, LotId, Timestamp, Zone};
use inspay_reports::account;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    auth::Caller,
    cursor,
    extract::{Params, PathId, read_id},
    problem::{Problem, ProblemCode},
    sheet::{csv, is_csv},
    state::ApiState,
    wire::{BalanceBody, HistoryLineBody, HistoryPage, LotBody, LotsPage},
};

const LOTS: &str = "lots";
const HISTORY: &str = "history";

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageParams {
    /// `json` or `csv`.
    #[serde(default)]
    #[param(example = "csv")]
    format: Option<String>,
    /// The `next` of the page before.
    #[serde(default)]
    pub(super) after: Option<String>,
    /// Rows on a page, at most 200; 50 if nothing is said.
    #[serde(default)]
    #[param(minimum = 1, maximum = 200)]
    pub(super) limit: Option<u32>,
}

/// How the answer is written.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct FormatParams {
    /// `json` or `csv`.
    #[serde(default)]
    #[param(example = "csv")]
    pub(crate) format: Option<String>,
}

/// Which lines of a history.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct HistoryParams {
    /// Entries of this kind only.
    #[serde(default)]
    #[param(example = "capture")]
    kind: Option<String>,
    /// Booked on this day or later, in the account's zone.
    #[serde(default)]
    #[param(example = "2026-11-01")]
    from: Option<String>,
    /// Booked on this day or earlier.
    #[serde(default)]
    #[param(example = "2026-11-30")]
    to: Option<String>,
    /// About this feature only.
    #[serde(default)]
    feature: Option<String>,
    /// About this project only.
    #[serde(default)]
    project: Option<String>,
    /// That granted this lot, or moved some of it.
    #[serde(default)]
    #[param(example = "lot_12_0")]
    lot: Option<String>,
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

/// A place among lots by expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct LotPlace {
    expires_at: Timestamp,
    id: LotId,
}

impl LotPlace {
    const fn of(lot: &Lot) -> Self {
        Self { expires_at: lot.expires_at, id: lot.id }
    }

    fn to_text(self) -> String {
        format!("{}:{}", self.expires_at.micros(), self.id)
    }
}

impl FromStr for LotPlace {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (micros, id) = text.split_once(':').ok_or(())?;
        let expires_at = Timestamp::from_micros(micros.parse().map_err(|_| ())?);
        Ok(Self { expires_at, id: id.parse().map_err(|_| ())? })
    }
}

fn not_found(account: &AccountId) -> Problem {
    Problem::new(ProblemCode::AccountNotFound, format!("There is no account {account}."))
}

/// An account that this key may see.
pub(crate) async fn find(
    state: &ApiState,
    caller: &Caller,
    id: &AccountId,
) -> Result<AccountSummary, Problem> {
    must_read(caller, id)?;
    state.store().account(id).await?.ok_or_else(|| not_found(id))
}

/// Refuses keys of other accounts, as if there were no such account.
pub(crate) fn must_read(caller: &Caller, id: &AccountId) -> Result<(), Problem> {
    if caller.reads(id) { Ok(()) } else { Err(not_found(id)) }
}

/// What an account can spend, and what lapses when.
///
/// An account appears with its first order, or when its profile is set.
#[utoipa::path(get, path = "/v1/accounts/{account}/balance", tag = "accounts", operation_id = "get_balance",
    params(("account" = String, Path, description = "The account.", example = "alice"), FormatParams),
    responses((status = 200, description = "The balance.", body = BalanceBody)))]
pub(crate) async fn balance(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(account): PathId<AccountId>,
    Params(FormatParams { format }): Params<FormatParams>,
) -> Result<Response, Problem> {
    let is_csv = is_csv(format.as_deref())?;
    if !caller.reads(&account) {
        return Err(not_found(&account));
    }
    let balance = account::balance(state.store(), &account, state.now()).await?;
    let balance = balance.ok_or_else(|| not_found(&account))?;
    if is_csv {
        return Ok(csv(&account::balance_sheet(&balance), None));
    }
    Ok(Json(BalanceBody::from(balance)).into_response())
}

/// An account's lots with something left, soonest expiry first.
///
/// As comma-separated values too: the cursor of the next page is then in the header `Next-After`.
#[utoipa::path(get, path = "/v1/accounts/{account}/lots", tag = "accounts", operation_id = "list_lots",
    params(("account" = String, Path, description = "The account.", example = "alice"), PageParams),
    responses((status = 200, description = "A page of lots.", body = LotsPage)))]
pub(crate) async fn lots(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(account): PathId<AccountId>,
    Params(params): Params<PageParams>,
) -> Result<Response, Problem> {
    let after: Option<LotPlace> = cursor::read(LOTS, params.after.as_deref())?;
    let limit = cursor::read_limit(params.limit)?;
    let is_csv = is_csv(params.format.as_deref())?;
    find(&state, &caller, &account).await?;
    let mut lots = state.store().lots(&account).await?;
    lots.sort_by_key(LotPlace::of);
    lots.retain(|lot| after.is_none_or(|after| LotPlace::of(lot) > after));
    let place = |lot: &Lot| cursor::encode(LOTS, &LotPlace::of(lot).to_text());
    let (lots, next) = cursor::cut(lots, limit, place);
    if is_csv {
        return Ok(csv(&account::lots_sheet(&lots), next));
    }
    let now = state.now();
    let items = lots.iter().map(|lot| LotBody::new(lot, now)).collect();
    Ok(Json(LotsPage { items, next }).into_response())
}

/// Reads a day of a query.
pub(crate) fn read_day(at: &str, text: Option<&str>) -> Result<Option<Day>, Problem> {
    let wrong = |error: inspay_primitives::DayError| {
        Problem::at(ProblemCode::QueryInvalid, at, error.to_string())
    };
    text.map(|text| text.parse().map_err(wrong)).transpose()
}

async fn read_filter(
    state: &ApiState,
    account: &AccountId,
    params: &HistoryParams,
) -> Result<HistoryFilter, Problem> {
    let wrong = |at: &str, detail: &str| Problem::at(ProblemCode::QueryInvalid, at, detail);
    let label = |at: &str, text: &Option<String>| {
        text.as_deref().map(|text| read_id(ProblemCode::QueryInvalid, at, text)).transpose()
    };
    let kind = |text: &str| {
        EntryKind::parse(text).ok_or_else(|| {
            let kinds: Vec<_> = EntryKind::ALL.iter().map(|kind| kind.as_str()).collect();
            wrong("kind", &format!("A kind is one of {}.", kinds.join(", ")))
        })
    };
    let (from, to) =
        (read_day("from", params.from.as_deref())?, read_day("to", params.to.as_deref())?);
    if let (Some(from), Some(to)) = (from, to)
        && from > to
    {
        return Err(wrong("from", "The first day comes first."));
    }
    let lot = params.lot.as_deref();
    let lot: Option<LotId> =
        lot.map(|text| read_id(ProblemCode::QueryInvalid, "lot", text)).transpose()?;
    if let Some(id) = lot {
        let known = state.store().lot(id).await?;
        known.filter(|lot| lot.account == *account).ok_or_else(|| {
            Problem::new(ProblemCode::LotNotFound, format!("{account} has no lot {id}."))
        })?;
    }
    let zone = match (from, to) {
        (None, None) => Zone::default(),
        (Some(_), _) | (_, Some(_)) => state.store().profile(account).await?.zone,
    };
    Ok(HistoryFilter {
        kind: params.kind.as_deref().map(kind).transpose()?,
        from: from.map(|day| zone.span_of(day).start),
        until: to.map(|day| zone.span_of(day).end),
        feature: label("feature", &params.feature)?,
        project: label("project", &params.project)?,
        lot,
    })
}

/// Every change of an account's credits, newest first. Every filter that is named must hold.
///
/// As comma-separated values too: the cursor of the next page is then in the header `Next-After`.
#[utoipa::path(get, path = "/v1/accounts/{account}/history", tag = "accounts", operation_id = "list_history",
    params(("account" = String, Path, description = "The account.", example = "alice"), HistoryParams),
    responses((status = 200, description = "A page of history.", body = HistoryPage)))]
pub(crate) async fn history(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(account): PathId<AccountId>,
    Params(params): Params<HistoryParams>,
) -> Result<Response, Problem> {
    let after = cursor::read(HISTORY, params.after.as_deref())?;
    let limit = cursor::read_limit(params.limit)?;
    let is_csv = is_csv(params.format.as_deref())?;
    find(&state, &caller, &account).await?;
    let filter = read_filter(&state, &account, &params).await?;
    let page = Page { after, limit: limit.saturating_add(1) };
    let lines = state.store().history(&account, filter, page).await?;
    let (lines, next) =
        cursor::cut(lines, limit, |line| cursor::encode(HISTORY, &line.entry_seq.to_string()));
    let unread = |error: serde_json::Error| Problem::internal(&error);
    if is_csv {
        return Ok(csv(&account::history_sheet(&lines).map_err(unread)?, next));
    }
    let items = lines.iter().map(HistoryLineBody::try_from).collect::<Result<_, _>>();
    Ok(Json(HistoryPage { items: items.map_err(unread)?, next }).into_response())
}
