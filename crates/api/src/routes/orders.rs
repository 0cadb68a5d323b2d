//! Orders: a quote accepted in one asset, and what has come for it.

use std::collections::HashMap;

use axum::{Json, extract::State, http::StatusCode};
use inspay_ports::{OrderFilter, Page, TransferFilter};
use inspay_primitives::{AccountId, Order, OrderId, QuoteId, Reference};
use inspay_quoting::{OfferRefusal, PricedOffer, Quote};
use serde::Deserialize;
use utoipa::IntoParams;

use super::quotes;
use crate::{
    accept::{self, Acceptance, check_expiry, choose_offer, order_id, random_choice},
    auth::Caller,
    cursor,
    extract::{Body, Params, PathId, read_id},
    idempotency::RequestKey,
    problem::{Problem, ProblemCode},
    state::ApiState,
    wire::{OrderBody, OrderFacts, OrderRequest, OrderSummary, OrdersPage, Shown, TransferBody},
};

const LIST: &str = "orders";
/// So many transfers are shown with an order; the rest is at `/v1/transfers?order=`.
const TRANSFERS_SHOWN_MAX: u32 = 100;
/// Looks at an order that changes while it is read, before it is shown as it is.
const LOOKS_MAX: u32 = 3;

/// Which orders.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct OrdersParams {
    /// Of this account only. A key of one account sees its own alone.
    #[serde(default)]
    account: Option<String>,
    /// The `next` of the page before.
    #[serde(default)]
    after: Option<String>,
    /// Rows on a page, at most 200; 50 if nothing is said.
    #[serde(default)]
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

fn not_found(id: OrderId) -> Problem {
    Problem::new(ProblemCode::OrderNotFound, format!("There is no order {id}."))
}

/// An order that this key may see.
pub(crate) async fn find(state: &ApiState, caller: &Caller, id: OrderId) -> Result<Order, Problem> {
    let order = state.store().order(id).await?;
    order.filter(|order| caller.reads(&order.terms.account)).ok_or_else(|| not_found(id))
}

/// An order's quote and the offer in it that was accepted.
fn accepted<'a>(quote: &'a Quote, order: &Order) -> Result<&'a PricedOffer, Problem> {
    let offer = quote.offer(order.terms.asset).and_then(inspay_quoting::Offer::priced);
    offer.ok_or_else(|| Problem::internal(&OfferMissing(order.terms.id)))
}

/// A quote that does not hold what its order accepted.
#[derive(Debug, thiserror::Error)]
#[error("the quote of order {0} has no priced offer in its asset")]
struct OfferMissing(OrderId);

/// The order with everything around it, all of one moment as far as a few looks can tell.
pub(crate) async fn body(state: &ApiState, order: Order) -> Result<OrderBody, Problem> {
    let quote = quotes::find(state, order.terms.quote).await?;
    let (id, mut order) = (order.terms.id, order);
    let mut transfers = transfers_of(state, &order).await?;
    for _ in 1..LOOKS_MAX {
        let again = state.store().order(id).await?.ok_or_else(|| not_found(id))?;
        if again.progress == order.progress {
            break;
        }
        order = again;
        transfers = transfers_of(state, &order).await?;
    }
    let offer = accepted(&quote, &order)?;
    Ok(OrderBody::new(&order, OrderFacts { sale: state.sale(), offer, transfers }))
}

/// Settled transfers of an order and waiting ones that look like its payments, oldest first.
async fn transfers_of(state: &ApiState, order: &Order) -> Result<Vec<TransferBody>, Problem> {
    // Waiting ones first: what is settled between the two reads is then seen twice, never not at all.
    let pending = state.pending.view(order.terms.asset.chain_id).await?;
    let filter = TransferFilter { order: Some(order.terms.id), ..TransferFilter::default() };
    let page = Page { after: None, limit: TRANSFERS_SHOWN_MAX };
    let settled = state.store().transfers(filter, page).await?;
    let shown =
        Shown { sale: state.sale(), cursor: pending.cursor.as_ref(), halts: &pending.halts };
    let mut shown_transfers: Vec<TransferBody> =
        settled.iter().rev().map(|view| TransferBody::from_view(view, shown)).collect();
    for (record, evidence) in pending.for_order(order) {
        let waiting = TransferBody::waiting(record, order.terms.id, evidence, shown);
        if shown_transfers.iter().all(|known| known.id() != waiting.id()) {
            shown_transfers.push(waiting);
        }
    }
    Ok(shown_transfers)
}

/// Accepts a quote in one asset.
///
/// The answer has everything that a wallet needs to pay: chain, token, treasury, amount, calldata
/// with the order's reference, a wallet call and an ERC-681 link. A quote is accepted once.
#[utoipa::path(post, path = "/v1/orders", tag = "orders", operation_id = "create_order",
    request_body = OrderRequest,
    responses((status = 201, description = "The order.", body = OrderBody)))]
pub(crate) async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    RequestKey(request_key): RequestKey,
    Body(request): Body<OrderRequest>,
) -> Result<(StatusCode, Json<OrderBody>), Problem> {
    let account: AccountId = read_id(ProblemCode::BodyInvalid, "/account", &request.account)?;
    caller.may_buy_for(&account)?;
    let quote_id: QuoteId = read_id(ProblemCode::BodyInvalid, "/quote", &request.quote)?;
    let id = order_id(quote_id, &request_key);
    let order = match state.store().order(id).await? {
        // This very request made it before it could be answered.
        Some(made_before) => made_before,
        None => accept_quote(&state, id, account, quote_id, &request.asset, &request_key).await?,
    };
    Ok((StatusCode::CREATED, Json(body(&state, order).await?)))
}

async fn accept_quote(
    state: &ApiState,
    id: OrderId,
    account: AccountId,
    quote_id: QuoteId,
    wanted_asset: &str,
    request_key: &str,
) -> Result<Order, Problem> {
    let quote = quotes::find(state, quote_id).await?;
    let offer = choose_offer(&quote, wanted_asset)?;
    let now = state.now();
    check_expiry(&quote, offer, now)?;
    let asset = offer.asset.id;
    let sale = state.sale().asset(asset).ok_or_else(|| {
        Problem::at(
            ProblemCode::AssetNotPayable,
            "/asset",
            format!("{asset} is not listed any more."),
        )
    })?;
    let halts = state.store().halts(asset.chain_id).await?;
    if halts.iter().any(|halt| halt.asset == asset) {
        return Err(Problem::from(&OfferRefusal::Halted));
    }
    let unpaid = state.store().unpaid_orders(&account).await?;
    if unpaid >= state.sale().unpaid_orders_max {
        let detail = format!(
            "It has {unpaid}. Pay one of them, or wait until their amounts are free again."
        );
        return Err(Problem::at(ProblemCode::TooManyUnpaidOrders, "/account", detail));
    }
    let head_time = state.store().cursor(asset.chain_id).await?.map(|cursor| cursor.tip.time);
    let reference = Reference::generate();
    let acceptance =
        Acceptance { id, account, quote_id, quote: &quote, offer, sale, reference, now, head_time };
    let order = accept::create(state.store(), &acceptance, request_key, random_choice).await?;
    tracing::info!(
        order.id = %order.terms.id,
        asset.id = %asset,
        exact_amount_lane = order.terms.exact_amount_lane,
        "order made"
    );
    Ok(order)
}

/// An order with everything that a wallet needs, and everything that has happened to it.
#[utoipa::path(get, path = "/v1/orders/{order}", tag = "orders", operation_id = "get_order",
    params(("order" = String, Path, description = "Its id.", example = "ord_01932b5fe7a87c5f9d3b0a1c2d3e4f50")),
    responses((status = 200, description = "The order.", body = OrderBody)))]
pub(crate) async fn get(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<OrderId>,
) -> Result<Json<OrderBody>, Problem> {
    let order = find(&state, &caller, id).await?;
    Ok(Json(body(&state, order).await?))
}

/// Orders in short, newest first.
#[utoipa::path(get, path = "/v1/orders", tag = "orders", operation_id = "list_orders", params(OrdersParams),
    responses((status = 200, description = "A page of orders.", body = OrdersPage)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Params(params): Params<OrdersParams>,
) -> Result<Json<OrdersPage>, Problem> {
    let asked: Option<AccountId> = (params.account.as_deref())
        .map(|text| read_id(ProblemCode::QueryInvalid, "account", text))
        .transpose()?;
    let after = cursor::read(LIST, params.after.as_deref())?;
    let limit = cursor::read_limit(params.limit)?;
    if asked.as_ref().is_some_and(|account| !caller.reads(account)) {
        // An account's key learns nothing of others: as if there were none.
        return Ok(Json(OrdersPage { items: Vec::new(), next: None }));
    }
    let account = caller.own_account().cloned().or(asked);
    let page = Page { after, limit: limit.saturating_add(1) };
    let rows = state.store().orders(OrderFilter { account }, page).await?;
    let (rows, next) = cursor::cut(rows, limit, |(at, _)| cursor::encode(LIST, &at.to_string()));
    let symbols: HashMap<_, _> = (state.sale().assets.iter())
        .map(|listed| (listed.asset.id, listed.asset.symbol.as_str()))
        .collect();
    let items = (rows.iter())
        .map(|(_, order)| OrderSummary::new(order, symbols.get(&order.terms.asset).copied()))
        .collect();
    Ok(Json(OrdersPage { items, next }))
}
