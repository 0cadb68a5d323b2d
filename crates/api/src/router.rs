//! The router: routes, what surrounds them, and the OpenAPI document made of them.
//!
//! A route that is not in the document does not exist, but for the document and its page.

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{Method, Uri},
    middleware::from_fn_with_state,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    auth::authenticate,
    idempotency::once,
    observe::observe,
    openapi::document,
    problem::{Problem, ProblemCode},
    routes::{
        accounts, cases, catalog, credits, docs, estimates, events, health, holds, order_events,
        orders, payments, quotes, spends, subscriptions, transfers, wallets,
    },
    spend::named,
    state::{ApiParts, ApiState},
};

/// The largest body: requests are a handful of short texts.
pub(crate) const BODY_BYTES_MAX: usize = 64 * 1024;

/// Routes that need no key.
fn public_routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(catalog::get))
        .routes(routes!(health::alive))
        .routes(routes!(health::ready))
        .routes(routes!(health::metrics))
}

/// Routes that need a key.
fn keyed_routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(quotes::create))
        .routes(routes!(quotes::get))
        .routes(routes!(orders::create, orders::list))
        .routes(routes!(orders::get))
        .routes(routes!(order_events::follow))
        .routes(routes!(transfers::list))
        .routes(routes!(transfers::get))
        .routes(routes!(accounts::balance))
        .routes(routes!(accounts::lots))
        .routes(routes!(accounts::history))
        .routes(routes!(events::list))
        .routes(routes!(cases::list))
        .routes(routes!(cases::get))
        .routes(routes!(estimates::create))
        .routes(routes!(wallets::challenge))
        .routes(routes!(wallets::verify))
        .routes(routes!(wallets::list))
        .routes(routes!(wallets::unlink))
        .routes(routes!(payments::claim))
        .routes(routes!(payments::find))
        .routes(routes!(payments::of_wallet))
}

/// Routes that need a key and ask the books: a request is remembered there, not beside its answer.
fn spending_routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(holds::create))
        .routes(routes!(holds::get))
        .routes(routes!(holds::capture))
        .routes(routes!(holds::release))
        .routes(routes!(holds::list))
        .routes(routes!(spends::create))
        .routes(routes!(spends::create_all))
        .routes(routes!(spends::get))
        .routes(routes!(spends::refund))
        .routes(routes!(spends::list))
        .routes(routes!(spends::summary))
        .routes(routes!(credits::grant))
        .routes(routes!(credits::revoke))
        .routes(routes!(credits::lot))
        .routes(routes!(credits::set_limit, credits::limits))
        .routes(routes!(credits::remove_limit))
        .routes(routes!(credits::set_profile))
        .routes(routes!(subscriptions::plans))
        .routes(routes!(subscriptions::create, subscriptions::list))
        .routes(routes!(subscriptions::get))
        .routes(routes!(subscriptions::cancel))
}

/// The OpenAPI document.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    let routes = OpenApiRouter::with_openapi(document())
        .merge(public_routes())
        .merge(keyed_routes())
        .merge(spending_routes());
    crate::openapi::with_problems(routes.into_openapi())
}

async fn no_route(method: Method, uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(200).collect();
    Problem::new(
        ProblemCode::RouteNotFound,
        format!("There is nothing at {method} {path}. See /docs."),
    )
}

async fn no_method(method: Method) -> Problem {
    Problem::new(
        ProblemCode::MethodNotAllowed,
        format!("{method} is not among the methods in the header Allow."),
    )
}

/// The whole surface, ready to be served.
///
/// After the server has stopped, close and wait for [`ApiParts::tasks`]: requests that have begun
/// run to their end. Fails only where the OpenAPI document cannot be written.
pub fn router(parts: ApiParts) -> Result<Router, serde_json::Error> {
    let state = ApiState::new(parts);
    let openapi_json: Arc<str> = openapi().to_pretty_json()?.into();
    let (public, _) = public_routes().split_for_parts();
    let (keyed, _) = keyed_routes().split_for_parts();
    // The last layer is the outermost: a key is asked for before anything is claimed under it.
    let keyed = keyed
        .layer(from_fn_with_state(state.clone(), once))
        .layer(from_fn_with_state(state.clone(), authenticate));
    let (spending, _) = spending_routes().split_for_parts();
    let spending = spending
        .layer(from_fn_with_state(state.clone(), named))
        .layer(from_fn_with_state(state.clone(), authenticate));
    Ok(public
        .merge(keyed)
        .merge(spending)
        .merge(docs::routes(openapi_json))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn_with_state(state.clone(), observe))
        .with_state(state))
}
