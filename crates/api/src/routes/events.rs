//! The application's feed.

use std::time::{Duration, Instant};

use axum::{Json, extract::State};
use serde::Deserialize;
use utoipa::IntoParams;

use super::order_events::wait_for_change;
use crate::{
    auth::Caller,
    cursor,
    extract::Params,
    problem::{Problem, ProblemCode},
    state::ApiState,
    wire::{EventBody, EventsPage},
};

/// The longest that an empty answer is held back, well below the time a request may take.
const WAIT_SECONDS_MAX: u64 = 20;

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsParams {
    /// The `next` of the answer before, which is the `seq` of the last event seen; 0 to begin.
    #[serde(default)]
    #[param(minimum = 0)]
    after: Option<String>,
    /// Rows on a page, at most 200; 50 if nothing is said.
    #[serde(default)]
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// Seconds to wait for something new, at most 20; nothing is waited for if nothing is said.
    #[serde(default)]
    #[param(minimum = 0, maximum = 20)]
    wait: Option<u64>,
}

fn read_after(after: Option<&str>) -> Result<i64, Problem> {
    let Some(text) = after else { return Ok(0) };
    text.parse().ok().filter(|seq| *seq >= 0).ok_or_else(|| {
        Problem::at(
            ProblemCode::CursorInvalid,
            "after",
            "Send the `next` of an earlier answer, or 0.",
        )
    })
}

fn read_wait(wait: Option<u64>) -> Result<Duration, Problem> {
    let seconds = wait.unwrap_or(0);
    if seconds > WAIT_SECONDS_MAX {
        let detail = format!("wait is {seconds}, and must be at most {WAIT_SECONDS_MAX}");
        return Err(Problem::at(ProblemCode::QueryInvalid, "wait", detail));
    }
    Ok(Duration::from_secs(seconds))
}

/// Events in sequence, each with a full snapshot.
///
/// Sequence numbers have no gaps, except that an account's key sees its own events only. With `wait`
/// the answer is held back until there is something, or the time is over.
#[utoipa::path(get, path = "/v1/events", tag = "events", operation_id = "list_events", params(EventsParams),
    responses((status = 200, description = "Events after the given one.", body = EventsPage)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Params(params): Params<EventsParams>,
) -> Result<Json<EventsPage>, Problem> {
    let after = read_after(params.after.as_deref())?;
    let limit = cursor::read_limit(params.limit)?;
    // An answer that is held back must still come before the request's own time is over.
    let longest = state.parts.timing.request_max.saturating_sub(Duration::from_secs(1));
    let wait = read_wait(params.wait)?.min(longest);
    let begun = Instant::now();
    let mut changed = state.parts.changed.clone();
    let events = loop {
        changed.mark_unchanged();
        let looked_at = Instant::now();
        let events = state.store().events(caller.own_account(), after, limit).await?;
        let left = wait.saturating_sub(begun.elapsed());
        if !events.is_empty() || left.is_zero() {
            break events;
        }
        let woken = tokio::time::timeout(left, wait_for_change(&state, &mut changed, looked_at));
        match woken.await {
            // The time is over: one last look.
            Ok(true) | Err(_) => {}
            Ok(false) => break events,
        }
    };
    let next = events.last().map_or(after, |event| event.seq).to_string();
    let items = events.iter().map(|event| EventBody::new(event, state.sale())).collect();
    Ok(Json(EventsPage { items, next }))
}
