//! `GET /v1/catalog`, the one route that needs no key.

use axum::{Json, extract::State};

use crate::{state::ApiState, wire::CatalogBody};

/// What is sold and how it is priced.
///
/// Needs no key. Promotion codes are not listed.
#[utoipa::path(get, path = "/v1/catalog", tag = "catalog", operation_id = "get_catalog", security(()),
    responses((status = 200, description = "The catalog.", body = CatalogBody)))]
pub(crate) async fn get(State(state): State<ApiState>) -> Json<CatalogBody> {
    let catalog = state.parts.pricing.catalog().await;
    Json(CatalogBody::new(&catalog, state.sale()))
}
