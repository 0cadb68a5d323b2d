//! Quotes: made once, never edited.

use std::collections::BTreeSet;

use axum::{Json, extract::State, http::StatusCode};
use inspay_ports::StoredQuote;
use inspay_primitives::QuoteId;
use inspay_quoting::{Catalog, Quote, QuoteRequest, quote};

use crate::{
    auth::Caller,
    extract::{Body, PathId},
    problem::{Problem, ProblemCode},
    state::ApiState,
    wire::{QuoteBody, QuoteWish},
};

/// A quote that was kept; the problem if there is none.
pub(crate) async fn find(state: &ApiState, id: QuoteId) -> Result<Quote, Problem> {
    let stored = state.store().quote(id).await?.ok_or_else(|| {
        Problem::new(ProblemCode::QuoteNotFound, format!("There is no quote {id}."))
    })?;
    serde_json::from_str(&stored.body_json).map_err(|error| Problem::internal(&error))
}

/// Prices a purchase in every payable asset at once.
///
/// Name either a pack or an amount of credits. If one asset cannot be priced, the others still are,
/// and the reason is given. The quote never changes and ends at `expires_at`.
#[utoipa::path(post, path = "/v1/quotes", tag = "quotes", operation_id = "create_quote",
    request_body = QuoteWish,
    responses((status = 201, description = "The quote.", body = QuoteBody)))]
pub(crate) async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    Body(wish): Body<QuoteWish>,
) -> Result<(StatusCode, Json<QuoteBody>), Problem> {
    caller.may_buy()?;
    let request = wish.read()?;
    let catalog = state.parts.pricing.catalog().await;
    // What is wrong with the request is said before any node or rate source is asked.
    quote(&request, &catalog, &[], state.now())?;
    Ok((StatusCode::CREATED, Json(make(&state, &request, &catalog).await?)))
}

/// Prices a purchase from what is known now, and keeps the quote.
pub(crate) async fn make(
    state: &ApiState,
    request: &QuoteRequest,
    catalog: &Catalog,
) -> Result<QuoteBody, Problem> {
    let mut inputs = state.parts.pricing.inputs(request, state.now()).await;
    let chains: BTreeSet<_> = inputs.iter().map(|input| input.asset.id.chain_id).collect();
    for chain in chains {
        for halt in state.store().halts(chain).await? {
            let of_asset = inputs.iter_mut().filter(|input| input.asset.id == halt.asset);
            of_asset.for_each(|input| input.is_halted = true);
        }
    }
    let now = state.now();
    let quote = quote(request, catalog, &inputs, now)?;
    let body_json = serde_json::to_string(&quote).map_err(|error| Problem::internal(&error))?;
    let id = QuoteId::generate();
    let stored = StoredQuote { id, created_at: now, expires_at: quote.expires_at, body_json };
    state.store().save_quote(stored).await?;
    Ok(QuoteBody::new(id, &quote))
}

/// A quote as it was made.
#[utoipa::path(get, path = "/v1/quotes/{quote}", tag = "quotes", operation_id = "get_quote",
    params(("quote" = String, Path, description = "Its id.", example = "quo_01932b5fe7a87c5f9d3b0a1c2d3e4f50")),
    responses((status = 200, description = "The quote.", body = QuoteBody)))]
pub(crate) async fn get(
    State(state): State<ApiState>,
    PathId(id): PathId<QuoteId>,
) -> Result<Json<QuoteBody>, Problem> {
    let quote = find(&state, id).await?;
    Ok(Json(QuoteBody::new(id, &quote)))
}
