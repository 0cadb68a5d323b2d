//! Balances, lots and history. Each read is an indexed one.

use std::str::FromStr;

use axum::{Json, extract::State};
use inspay_ledger::Lot;
use inspay_ports::{AccountSummary, Page};
use inspay_primitives::{AccountId, Credits, LotId, Timestamp};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    auth::Caller,
    cursor,
    extract::{Params, PathId},
    problem::{Problem, ProblemCode},
    state::ApiState,
    wire::{BalanceBody, HistoryLineBody, HistoryPage, LotBody, LotsPage, RanOut},
};

const LOTS: &str = "lots";
const HISTORY: &str = "history";

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageParams {
    /// The `next` of the page before.
    #[serde(default)]
    pub(super) after: Option<String>,
    /// Rows on a page, at most 200; 50 if nothing is said.
    #[serde(default)]
    #[param(minimum = 1, maximum = 200)]
    pub(super) limit: Option<u32>,
}

/// Takes no parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoParams {}

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
    params(("account" = String, Path, description = "The account.", example = "alice")),
    responses((status = 200, description = "The balance.", body = BalanceBody)))]
pub(crate) async fn balance(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(account): PathId<AccountId>,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Json<BalanceBody>, Problem> {
    let lots = async { state.store().lots(&account).await.map_err(Problem::from) };
    let now = state.now();
    let (summary, lots, ran_out) =
        futures::try_join!(find(&state, &caller, &account), lots, ran_out(&state, &account, now))?;
    Ok(Json(BalanceBody::new(summary, &lots, ran_out, now)))
}

/// More open holds of one account than work is under way.
const OPEN_HOLDS_MAX: u32 = 10_000;

/// What holds of the account have that ran out and were not booked yet.
async fn ran_out(state: &ApiState, account: &AccountId, now: Timestamp) -> Result<RanOut, Problem> {
    let page = Page { after: None, limit: OPEN_HOLDS_MAX };
    let open = state.store().holds(account, true, page).await?;
    let mut sums = RanOut::default();
    for hold in open.iter().filter(|hold| !hold.is_open(now)) {
        let plus = |sum: Credits, more: Credits| {
            Credits::from_micros(sum.micros().saturating_add(more.micros()))
        };
        sums.held = plus(sums.held, hold.credits);
        for slice in &hold.slices {
            let lot = state.store().lot(slice.lot).await?;
            let is_live = lot.is_some_and(|lot| now < lot.expires_at && !lot.parts.revoked);
            if is_live {
                sums.live = plus(sums.live, slice.credits);
            }
        }
    }
    Ok(sums)
}

/// An account's lots with something left, soonest expiry first.
#[utoipa::path(get, path = "/v1/accounts/{account}/lots", tag = "accounts", operation_id = "list_lots",
    params(("account" = String, Path, description = "The account.", example = "alice"), PageParams),
    responses((status = 200, description = "A page of lots.", body = LotsPage)))]
pub(crate) async fn lots(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(account): PathId<AccountId>,
    Params(params): Params<PageParams>,
) -> Result<Json<LotsPage>, Problem> {
    let after: Option<LotPlace> = cursor::read(LOTS, params.after.as_deref())?;
    let limit = cursor::read_limit(params.limit)?;
    find(&state, &caller, &account).await?;
    let mut lots = state.store().lots(&account).await?;
    lots.sort_by_key(LotPlace::of);
    lots.retain(|lot| after.is_none_or(|after| LotPlace::of(lot) > after));
    let place = |lot: &Lot| cursor::encode(LOTS, &LotPlace::of(lot).to_text());
    let (lots, next) = cursor::cut(lots, limit, place);
    let now = state.now();
    Ok(Json(LotsPage { items: lots.iter().map(|lot| LotBody::new(lot, now)).collect(), next }))
}

/// Every change of an account's credits, newest first.
#[utoipa::path(get, path = "/v1/accounts/{account}/history", tag = "accounts", operation_id = "list_history",
    params(("account" = String, Path, description = "The account.", example = "alice"), PageParams),
    responses((status = 200, description = "A page of history.", body = HistoryPage)))]
pub(crate) async fn history(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(account): PathId<AccountId>,
    Params(params): Params<PageParams>,
) -> Result<Json<HistoryPage>, Problem> {
    let after = cursor::read(HISTORY, params.after.as_deref())?;
    let limit = cursor::read_limit(params.limit)?;
    find(&state, &caller, &account).await?;
    let page = Page { after, limit: limit.saturating_add(1) };
    let lines = state.store().history(&account, page).await?;
    let (lines, next) =
        cursor::cut(lines, limit, |line| cursor::encode(HISTORY, &line.entry_seq.to_string()));
    let items = lines.iter().map(HistoryLineBody::try_from).collect::<Result<_, _>>();
    let items = items.map_err(|error| Problem::internal(&error))?;
    Ok(Json(HistoryPage { items, next }))
}
