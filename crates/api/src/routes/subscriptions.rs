//! Subscriptions: opened and ended by the application, renewed by the gateway.

use axum::{Json, extract::State, http::StatusCode};
use inspay_ledger::{Outcome, Refusal, Subscription};
use inspay_ports::StoreErrorKind;
use inspay_primitives::{AccountId, Label, SubscriptionId};

use super::accounts;
use crate::{
    auth::Caller,
    extract::{Body, PathId, read_id},
    idempotency::RequestKey,
    problem::{Problem, ProblemCode},
    spend::{problem_of_write, subscription_id},
    state::{ApiState, Plan},
    wire::{
        NothingWish, PlanBody, PlansBody, SubscriptionBody, SubscriptionWish, SubscriptionsBody,
    },
};

async fn find(
    state: &ApiState,
    caller: &Caller,
    id: SubscriptionId,
) -> Result<Subscription, Problem> {
    let kept = state.store().subscription(id).await?;
    kept.filter(|kept| caller.reads(&kept.account)).ok_or_else(|| {
        Problem::new(ProblemCode::SubscriptionNotFound, format!("There is no subscription {id}."))
    })
}

/// The plans that can be subscribed to.
#[utoipa::path(get, path = "/v1/plans", tag = "subscriptions", operation_id = "list_plans",
    responses((status = 200, description = "The plans.", body = PlansBody)))]
pub(crate) async fn plans(State(state): State<ApiState>) -> Json<PlansBody> {
    let plans = state.parts.credits.plans.iter();
    Json(PlansBody { items: plans.map(|(name, plan)| PlanBody::new(name, plan)).collect() })
}

fn opened(
    state: &ApiState,
    id: SubscriptionId,
    account: AccountId,
    (name, plan): (Label, &Plan),
) -> Subscription {
    let opened_at = state.now();
    Subscription {
        id,
        account,
        plan: name,
        credits: plan.credits,
        every: plan.every,
        keeps_cycles: plan.keeps_cycles,
        priority: plan.priority,
        opened_at,
        next_cycle: 0,
        next_at: Some(opened_at),
        ended_at: None,
    }
}

/// Grants what is due at once. What cannot be granted now is granted by the settling role.
async fn begin(state: &ApiState, subscription: &Subscription) -> Result<(), Problem> {
    let Some(renewal) = subscription.due(state.now(), 1) else { return Ok(()) };
    let written = state.parts.writer.write(renewal.operations().collect()).await;
    let outcomes = written.map_err(|error| problem_of_write(&error))?;
    let is_granted = |outcome: &Outcome| match outcome {
        Outcome::Applied { .. } | Outcome::AlreadyApplied { .. } => true,
        Outcome::Refused(refusal) => *refusal == Refusal::Conflict,
    };
    if outcomes.iter().all(is_granted) {
        state.store().note_renewed(vec![renewal]).await?;
    }
    Ok(())
}

/// Subscribes an account to a plan: its first cycle begins now.
///
/// Every cycle is a lot of its own, granted once. The plan's terms stay those of this moment.
#[utoipa::path(post, path = "/v1/accounts/{account}/subscriptions", tag = "subscriptions",
    operation_id = "create_subscription",
    params(("account" = String, Path, description = "The account.", example = "alice")),
    request_body = SubscriptionWish,
    responses((status = 201, description = "The subscription.", body = SubscriptionBody)))]
pub(crate) async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(account): PathId<AccountId>,
    RequestKey(request_key): RequestKey,
    Body(wish): Body<SubscriptionWish>,
) -> Result<(StatusCode, Json<SubscriptionBody>), Problem> {
    caller.may_spend()?;
    let name: Label = read_id(ProblemCode::BodyInvalid, "/plan", &wish.plan)?;
    let plan = state.parts.credits.plans.get(&name).ok_or_else(|| {
        Problem::at(ProblemCode::UnknownPlan, "/plan", format!("There is no plan {name}."))
    })?;
    accounts::find(&state, &caller, &account).await?;
    let id = subscription_id(&request_key);
    let subscription = match state.store().subscription(id).await? {
        // This very request opened it before it could be answered.
        Some(opened_before) => opened_before,
        None => opened(&state, id, account.clone(), (name.clone(), plan)),
    };
    if subscription.account != account || subscription.plan != name {
        return Err(Problem::new(
            ProblemCode::IdempotencyKeyReused,
            "The key was used for another subscription.",
        ));
    }
    match state.store().open_subscription(subscription.clone()).await {
        Ok(()) => {}
        Err(error) if matches!(error.kind, StoreErrorKind::Exists(_)) => {
            if state.store().subscription(id).await?.is_none() {
                let detail = format!("{account} has an open subscription to {name}.");
                return Err(Problem::at(ProblemCode::SubscriptionExists, "/plan", detail));
            }
        }
        Err(error) => return Err(Problem::from(error)),
    }
    begin(&state, &subscription).await?;
    let kept = find(&state, &caller, id).await?;
    Ok((StatusCode::CREATED, Json(SubscriptionBody::from(&kept))))
}

/// The subscriptions that an account has or had, newest first.
#[utoipa::path(get, path = "/v1/accounts/{account}/subscriptions", tag = "subscriptions",
    operation_id = "list_subscriptions",
    params(("account" = String, Path, description = "The account.", example = "alice")),
    responses((status = 200, description = "The subscriptions.", body = SubscriptionsBody)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(account): PathId<AccountId>,
) -> Result<Json<SubscriptionsBody>, Problem> {
    accounts::find(&state, &caller, &account).await?;
    let kept = state.store().subscriptions(&account).await?;
    Ok(Json(SubscriptionsBody { items: kept.iter().map(SubscriptionBody::from).collect() }))
}

/// A subscription as it stands.
#[utoipa::path(get, path = "/v1/subscriptions/{id}", tag = "subscriptions", operation_id = "get_subscription",
    params(("id" = String, Path, description = "Its id.", example = "sub_01932b5fe7a87c5f9d3b0a1c2d3e4f50")),
    responses((status = 200, description = "The subscription.", body = SubscriptionBody)))]
pub(crate) async fn get(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<SubscriptionId>,
) -> Result<Json<SubscriptionBody>, Problem> {
    Ok(Json(SubscriptionBody::from(&find(&state, &caller, id).await?)))
}

/// Ends a subscription: no further cycle begins. What was granted stays until it lapses.
#[utoipa::path(post, path = "/v1/subscriptions/{id}/cancel", tag = "subscriptions",
    operation_id = "cancel_subscription",
    params(("id" = String, Path, description = "Its id.", example = "sub_01932b5fe7a87c5f9d3b0a1c2d3e4f50")),
    request_body = NothingWish,
    responses((status = 200, description = "The subscription.", body = SubscriptionBody)))]
pub(crate) async fn cancel(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<SubscriptionId>,
    _request_key: RequestKey,
    Body(NothingWish {}): Body<NothingWish>,
) -> Result<Json<SubscriptionBody>, Problem> {
    caller.may_spend()?;
    find(&state, &caller, id).await?;
    state.store().end_subscription(id, state.now()).await?;
    Ok(Json(SubscriptionBody::from(&find(&state, &caller, id).await?)))
}
