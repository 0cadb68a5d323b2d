//! Every POST happens once per `Idempotency-Key`.
//!
//! The request runs in a task of its own, so that a caller who hangs up does not leave half a
//! request behind. Answers are kept, refusals too; failures of ours are not, so that the same
//! request may succeed later. A claim whose process died may be taken over after a while.

use std::panic::AssertUnwindSafe;

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::FutureExt;
use inspay_ports::{IdempotencyClaim, StoreError, StoredResponse};
use inspay_primitives::B256;
use sha2::{Digest, Sha256};
use tracing::Instrument;

use crate::{
    accept::request_key,
    auth::Caller,
    extract::body_too_large,
    observe::panicked,
    problem::{Problem, ProblemCode, chain_of},
    router::BODY_BYTES_MAX,
    state::ApiState,
};

/// The header.
pub(crate) const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Says that the answer was kept from an earlier request.
pub(crate) const REPLAYED: &str = "idempotent-replayed";
const KEY_CHARS_MAX: usize = 255;
/// An answer of ours is far below.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Under which name the request that runs now is remembered.
#[derive(Clone, Debug)]
pub(crate) struct RequestKey(pub(crate) String);

impl<S: Sync> FromRequestParts<S> for RequestKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(key_missing)
    }
}

/// A claimed key.
#[derive(Clone, Debug)]
struct Claim {
    scope: String,
    key: String,
}

fn key_missing() -> Problem {
    Problem::at(
        ProblemCode::IdempotencyKeyMissing,
        "Idempotency-Key",
        "Send a new random value with every new request, and the same one when you repeat it.",
    )
}

/// Reads the header: 1 to 255 visible ASCII characters.
pub(crate) fn read_key(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let value = values.next().ok_or_else(key_missing)?;
    let is_single = values.next().is_none();
    let text = value.to_str().unwrap_or_default();
    let is_visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_single && is_visible && (1..=KEY_CHARS_MAX).contains(&text.len()) {
        Ok(text)
    } else {
        Err(Problem::at(
            ProblemCode::IdempotencyKeyMalformed,
            "Idempotency-Key",
            "Send one value of 1 to 255 visible ASCII characters.",
        ))
    }
}

/// What makes two requests the same: method, path, query and body.
fn fingerprint(parts: &Parts, body: &Bytes) -> B256 {
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    let digest = Sha256::new()
        .chain_update(b"inspay/request/v1 ")
        .chain_update(parts.method.as_str())
        .chain_update([b' '])
        .chain_update(path)
        .chain_update([b'\n'])
        .chain_update(body)
        .finalize();
    B256::from_slice(&digest)
}

/// Lets a POST through once; everything else passes.
pub(crate) async fn once(
    State(state): State<ApiState>,
    caller: Caller,
    request: Request,
    next: Next,
) -> Response {
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    run_once(state, &caller, request, next).await.unwrap_or_else(IntoResponse::into_response)
}

async fn run_once(
    state: ApiState,
    caller: &Caller,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let key = read_key(&parts.headers)?.to_owned();
    let body = to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| body_too_large())?;
    let claim = Claim { scope: hex::encode(caller.key_hash), key };
    let now = state.now();
    // Twice what a request may take: nobody who still runs is overtaken.
    let request_max = i64::try_from(state.parts.timing.request_max.as_secs()).unwrap_or(i64::MAX);
    let stale_before = now.plus_seconds(request_max.saturating_mul(-2));
    let fingerprint = fingerprint(&parts, &body);
    let claimed = state
        .store()
        .claim_idempotency(&claim.scope, &claim.key, fingerprint, now, stale_before)
        .await?;
    match claimed {
        IdempotencyClaim::Fresh => {}
        IdempotencyClaim::Answered(stored) => return Ok(replay(stored)),
        IdempotencyClaim::OtherRequest => {
            return Err(Problem::at(
                ProblemCode::IdempotencyKeyReused,
                "Idempotency-Key",
                "Send a new value: this one was used with another path or body.",
            ));
        }
        IdempotencyClaim::Running => {
            return Err(Problem::at(
                ProblemCode::IdempotencyInProgress,
                "Idempotency-Key",
                "Ask again in a moment: the first request has not been answered yet.",
            ));
        }
    }
    parts.extensions.insert(RequestKey(request_key(caller.key_hash, &claim.key)));
    let request = Request::from_parts(parts, Body::from(body));
    let tasks = state.parts.tasks.clone();
    let running = tasks.spawn(answer(state, claim, request, next).in_current_span());
    running.await.map_err(|error| Problem::internal(&error))
}

/// Runs the request to its end and keeps the answer.
async fn answer(state: ApiState, claim: Claim, request: Request, next: Next) -> Response {
    let limit = state.parts.timing.request_max;
    let running = AssertUnwindSafe(tokio::time::timeout(limit, next.run(request))).catch_unwind();
    let response = match running.await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => Problem::new(ProblemCode::RequestTimeout, "Repeat it with the same key.")
            .into_response(),
        Err(panic) => panicked(panic.as_ref()).into_response(),
    };
    let (parts, body) = response.into_parts();
    let body = match to_bytes(body, ANSWER_BYTES_MAX).await {
        Ok(body) => body,
        Err(error) => {
            let problem = Problem::internal(&error);
            abandon(&state, &claim).await;
            return problem.into_response();
        }
    };
    match keep(&state, &claim, parts.status, &parts.headers, &body).await {
        Ok(()) => {}
        // What was done is done, and is answered. The same key runs again once the claim is stale,
        // and finds what this request made.
        Err(error) => tracing::error!(error = %chain_of(&error), "an answer could not be kept"),
    }
    Response::from_parts(parts, Body::from(body))
}

async fn keep(
    state: &ApiState,
    claim: &Claim,
    status: StatusCode,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<(), StoreError> {
    let text = String::from_utf8(body.to_vec());
    match text {
        Ok(body) if !status.is_server_error() => {
            let content_type = headers
                .get(header::CONTENT_TYPE)
                .and_then(|value| value.to_str().ok())
                .unwrap_or("application/json")
                .to_owned();
            let stored = StoredResponse { status: status.as_u16(), content_type, body };
            state.store().answer_idempotency(&claim.scope, &claim.key, stored).await
        }
        Ok(_) | Err(_) => state.store().abandon_idempotency(&claim.scope, &claim.key).await,
    }
}

async fn abandon(state: &ApiState, claim: &Claim) {
    if let Err(error) = state.store().abandon_idempotency(&claim.scope, &claim.key).await {
        tracing::error!(error = %chain_of(&error), "a claim could not be given up");
    }
}

fn replay(stored: StoredResponse) -> Response {
    let status = StatusCode::from_u16(stored.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, stored.body).into_response();
    let headers = response.headers_mut();
    if let Ok(content_type) = HeaderValue::from_str(&stored.content_type) {
        headers.insert(header::CONTENT_TYPE, content_type);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_visible_ascii_and_sent_once() {
        let read = |values: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for value in values {
                let value = HeaderValue::from_bytes(value).expect("a header");
                headers.append(IDEMPOTENCY_KEY, value);
            }
            read_key(&headers).map(str::to_owned).map_err(|problem| problem.code)
        };
        assert_eq!(read(&[b"k-1"]), Ok("k-1".to_owned()));
        assert_eq!(read(&[]), Err(ProblemCode::IdempotencyKeyMissing));
        let too_long = [b'x'; KEY_CHARS_MAX + 1];
        for wrong in
            [&[&b""[..]][..], &[b"a b"], &["ü".as_bytes()], &[b"a", b"b"], &[&too_long[..]]]
        {
            assert_eq!(read(wrong), Err(ProblemCode::IdempotencyKeyMalformed), "{wrong:?}");
        }
    }
}
