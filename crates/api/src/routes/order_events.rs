//! An order as it changes, as server-sent events.
//!
//! ```text
//! event: order   the whole order, now and after each change
//! : heartbeat    a comment, while nothing changes
//! event: end     nothing more is expected; do not connect again
//! ```
//! A change made by this process wakes the stream; what another process wrote is found by asking
//! the store at a bounded pace.

use std::{convert::Infallible, time::Instant};

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures::{Stream, stream};
use inspay_primitives::{B256, Order, OrderId, OrderProgress, TransferId};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::orders;
use crate::{auth::Caller, extract::PathId, problem::Problem, state::ApiState, wire::OrderBody};

const LAST_EVENT_ID: &str = "last-event-id";

/// A snapshot ready to be sent.
#[derive(Clone, Debug)]
struct Snapshot {
    id: String,
    json: String,
    is_final: bool,
    has_transfers: bool,
}

impl Snapshot {
    async fn take(state: &ApiState, order: Order) -> Result<Self, Problem> {
        let body: OrderBody = orders::body(state, order).await?;
        let (is_final, has_transfers) = (body.is_final(), body.has_transfers());
        let json = serde_json::to_string(&body).map_err(|error| Problem::internal(&error))?;
        let digest = hex::encode(Sha256::digest(&json));
        // Equal snapshots have equal ids, so that a caller who comes back is told nothing twice.
        Ok(Self { id: digest.chars().take(16).collect(), json, is_final, has_transfers })
    }
}

/// What is cheap to read and changes whenever the snapshot does.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sign {
    progress: OrderProgress,
    waiting: Vec<(TransferId, B256)>,
    /// Tip and epoch: only for an order with transfers, whose confirmations grow with the chain.
    chain: Option<(u64, i64)>,
}

impl Sign {
    async fn read(state: &ApiState, order: &Order, has_transfers: bool) -> Result<Self, Problem> {
        let pending = state.pending.view(order.terms.asset.chain_id).await?;
        let waiting: Vec<_> = pending
            .for_order(order)
            .map(|(record, _)| (record.transfer.key.id(), record.transfer.block.hash))
            .collect();
        let follows_chain = has_transfers || !waiting.is_empty();
        let chain = pending.cursor.filter(|_| follows_chain);
        let chain = chain.map(|cursor| (cursor.tip.number, cursor.epoch));
        Ok(Self { progress: order.progress, waiting, chain })
    }
}

/// One caller's stream.
#[derive(Debug)]
struct Follow {
    state: ApiState,
    order: OrderId,
    changed: watch::Receiver<u64>,
    looked_at: Instant,
    /// What is to be sent before looking again.
    next: Option<Snapshot>,
    /// What the newest snapshot was taken at.
    sign: Option<Sign>,
    has_transfers: bool,
    sent_id: String,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Following,
    Ending,
    Ended,
}

/// Waits until something may have changed. `false` once the process is to stop.
pub(crate) async fn wait_for_change(
    state: &ApiState,
    changed: &mut watch::Receiver<u64>,
    looked_at: Instant,
) -> bool {
    let timing = &state.parts.timing;
    let poll = tokio::time::sleep(timing.poll_interval);
    tokio::select! {
        () = state.parts.shutdown.cancelled() => return false,
        () = poll => {}
        // Without a sender nothing wakes: the other arm goes on asking.
        Ok(()) = changed.changed() => {}
    }
    let rest = timing.wake_interval_min.saturating_sub(looked_at.elapsed());
    if !rest.is_zero() {
        tokio::time::sleep(rest).await;
    }
    true
}

impl Follow {
    /// Looks until there is something new to send. `None` ends the stream.
    async fn step(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        loop {
            match self.phase {
                Phase::Following => {}
                Phase::Ending => {
                    self.phase = Phase::Ended;
                    return Some((Ok(Event::default().event("end").data("final")), self));
                }
                Phase::Ended => return None,
            }
            if let Some(snapshot) = self.next.take()
                && snapshot.id != self.sent_id
            {
                if snapshot.is_final {
                    self.phase = Phase::Ending;
                }
                self.sent_id.clone_from(&snapshot.id);
                let event = Event::default().event("order").id(snapshot.id).data(snapshot.json);
                return Some((Ok(event), self));
            }
            if !wait_for_change(&self.state, &mut self.changed, self.looked_at).await {
                return None;
            }
            self.looked_at = Instant::now();
            // A look that failed was logged where its problem was made; the next one comes soon.
            self.next = self.look().await.unwrap_or_default();
        }
    }

    /// The order now, if there is a sign that it changed.
    async fn look(&mut self) -> Result<Option<Snapshot>, Problem> {
        let Some(order) = self.state.store().order(self.order).await? else { return Ok(None) };
        let sign = Sign::read(&self.state, &order, self.has_transfers).await?;
        if self.sign.as_ref() == Some(&sign) {
            return Ok(None);
        }
        let snapshot = Snapshot::take(&self.state, order).await?;
        // Kept only now: after a failure the same sign must lead to another try.
        self.sign = Some(sign);
        self.has_transfers = snapshot.has_transfers;
        Ok(Some(snapshot))
    }
}

fn events(follow: Follow) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(follow, Follow::step)
}

/// An order as it changes, as server-sent events.
///
/// Event `order` carries the whole order: now, and after each change of its state, its payments,
/// their confirmations or its credits. Comments keep the connection alive. Event `end` says that
/// nothing more is expected. Coming back with the `Last-Event-ID` of a final order gives 204.
#[utoipa::path(get, path = "/v1/orders/{order}/events", tag = "orders", operation_id = "follow_order",
    params(
        ("order" = String, Path, description = "Its id.", example = "ord_01932b5fe7a87c5f9d3b0a1c2d3e4f50"),
        ("Last-Event-ID" = Option<String>, Header, description = "Id of the last event that was seen."),
    ),
    responses(
        (status = 200, description = "The stream; the data of `order` events is an order.", body = OrderBody,
            content_type = "text/event-stream"),
        (status = 204, description = "Nothing more is expected, and everything was seen."),
    ))]
pub(crate) async fn follow(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<OrderId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    // Marked as seen before looking, so that no change between the two is missed.
    let mut changed = state.parts.changed.clone();
    changed.mark_unchanged();
    let looked_at = Instant::now();
    let order = orders::find(&state, &caller, id).await?;
    let snapshot = Snapshot::take(&state, order).await?;
    let seen = headers.get(LAST_EVENT_ID).and_then(|value| value.to_str().ok());
    if snapshot.is_final && seen == Some(snapshot.id.as_str()) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let heartbeat = KeepAlive::new().interval(state.parts.timing.heartbeat).text("heartbeat");
    let follow = Follow {
        state,
        order: id,
        changed,
        looked_at,
        has_transfers: snapshot.has_transfers,
        next: Some(snapshot),
        // The first look after the first snapshot takes another one, which is sent only if it differs.
        sign: None,
        sent_id: String::new(),
        phase: Phase::Following,
    };
    Ok(Sse::new(events(follow)).keep_alive(heartbeat).into_response())
}
