//! What surrounds every request: id, span, metrics, time limit and the catching of panics.
//!
//! Never logs a body or a header that may hold a secret.

use std::{any::Any, panic::AssertUnwindSafe, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::FutureExt;
use tracing::Instrument;
use uuid::Uuid;

use crate::{
    problem::{Problem, ProblemCode},
    state::ApiState,
};

const REQUEST_ID: &str = "x-request-id";
const REQUEST_ID_CHARS_MAX: usize = 64;

/// The caller's request id if it is plain, else a new one.
fn request_id(headers: &HeaderMap) -> String {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    headers
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| (1..=REQUEST_ID_CHARS_MAX).contains(&id.len()) && id.bytes().all(is_allowed))
        .map_or_else(|| Uuid::now_v7().simple().to_string(), str::to_owned)
}

/// A panic as the outside sees it; its message goes to the log.
pub(crate) fn panicked(panic: &(dyn Any + Send)) -> Problem {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    tracing::error!(panic = message, "a handler panicked");
    Problem::new(ProblemCode::Internal, "It is in our log under this answer's X-Request-Id.")
}

/// A method as a label: callers may send any word, and each would be a series of its own.
fn known_method(method: &Method) -> &str {
    let known =
        [Method::GET, Method::POST, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE];
    if known.contains(method) { method.as_str() } else { "other" }
}

/// Runs a request inside its span, within its time, and measures it.
pub(crate) async fn observe(
    State(state): State<ApiState>,
    request: Request,
    next: Next,
) -> Response {
    let begun = Instant::now();
    let id = request_id(request.headers());
    let method = request.method().clone();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let span = tracing::info_span!(
        "request",
        request.id = %id,
        http.method = %method,
        http.route = %route,
        http.path = %request.uri().path(),
    );
    // A POST is bounded where it runs, in its own task; this bound is for what precedes it.
    let request_max = state.parts.timing.request_max;
    let limit = if method == Method::POST { request_max.saturating_mul(2) } else { request_max };
    let running = AssertUnwindSafe(tokio::time::timeout(limit, next.run(request))).catch_unwind();
    let mut response = match running.instrument(span.clone()).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => {
            Problem::new(ProblemCode::RequestTimeout, "Try again in a moment.").into_response()
        }
        Err(panic) => span.in_scope(|| panicked(panic.as_ref())).into_response(),
    };
    let (status, elapsed) = (response.status().as_u16(), begun.elapsed());
    span.in_scope(|| {
        let duration_ms = elapsed.as_millis();
        tracing::debug!(http.status = status, duration_ms, "answered");
    });
    let labels = [
        ("method", known_method(&method).to_owned()),
        ("route", route),
        ("status", status.to_string()),
    ];
    metrics::counter!("inspay_http_requests_total", &labels).increment(1);
    metrics::histogram!("inspay_http_request_seconds", &labels).record(elapsed);
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    // Balances and orders are of now: no cache between may answer for us.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_request_id_is_kept_and_any_other_is_replaced() {
        let id = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, text.parse().expect("a header"));
            request_id(&headers)
        };
        assert_eq!(id("abc-1.2_3"), "abc-1.2_3");
        for wrong in ["", "a b", "<script>", &"x".repeat(65)] {
            assert_eq!(id(wrong).len(), 32, "{wrong}");
        }
    }
}
