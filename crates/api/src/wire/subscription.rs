//! Plans and subscriptions as they are sent.

use inspay_ledger::Subscription;
use inspay_primitives::{AccountId, Credits, Label, SubscriptionId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::state::Plan;

/// What to subscribe to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SubscriptionWish {
    /// The plan.
    #[schema(example = "pro")]
    pub(crate) plan: String,
}

/// A plan that can be subscribed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Plan)]
pub(crate) struct PlanBody {
    /// Its name.
    #[schema(value_type = String, example = "pro")]
    name: Label,
    /// Credits of a cycle.
    #[schema(value_type = String, example = "500.000000")]
    credits: Credits,
    /// How long a cycle is: `P1M` for a month, `P30D` for thirty days.
    #[schema(example = "P1M")]
    every: String,
    /// For how many cycles more what is left of one can be spent.
    #[schema(example = 0)]
    keeps_cycles: u16,
}

impl PlanBody {
    pub(crate) fn new(name: &Label, plan: &Plan) -> Self {
        Self {
            name: name.clone(),
            credits: plan.credits,
            every: plan.every.to_string(),
            keeps_cycles: plan.keeps_cycles,
        }
    }
}

/// Plans by their names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Plans)]
pub(crate) struct PlansBody {
    /// The plans.
    pub(crate) items: Vec<PlanBody>,
}

/// An account's subscription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Subscription)]
pub(crate) struct SubscriptionBody {
    /// Its id.
    #[schema(value_type = String, example = "sub_01932b5fe7a87c5f9d3b0a1c2d3e4f50")]
    id: SubscriptionId,
    /// Whose.
    #[schema(value_type = String, example = "alice")]
    account: AccountId,
    /// The plan.
    #[schema(value_type = String, example = "pro")]
    plan: Label,
    /// Credits of a cycle, as of when it was opened.
    #[schema(value_type = String, example = "500.000000")]
    credits: Credits,
    /// How long a cycle is.
    #[schema(example = "P1M")]
    every: String,
    /// For how many cycles more what is left of one can be spent.
    #[schema(example = 0)]
    keeps_cycles: u16,
    /// Whether cycles still begin.
    #[schema(example = "open")]
    state: &'static str,
    /// When its first cycle began.
    #[schema(value_type = String, format = DateTime)]
    opened_at: Timestamp,
    /// How many cycles are behind it, the present one included.
    #[schema(example = 1)]
    cycles: u32,
    /// When the next one begins.
    #[schema(value_type = Option<String>, format = DateTime)]
    next_at: Option<Timestamp>,
    /// Since when no cycle begins.
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
}

impl From<&Subscription> for SubscriptionBody {
    fn from(kept: &Subscription) -> Self {
        Self {
            id: kept.id,
            account: kept.account.clone(),
            plan: kept.plan.clone(),
            credits: kept.credits,
            every: kept.every.to_string(),
            keeps_cycles: kept.keeps_cycles,
            state: if kept.ended_at.is_some() { "ended" } else { "open" },
            opened_at: kept.opened_at,
            cycles: kept.next_cycle,
            next_at: kept.next_at,
            ended_at: kept.ended_at,
        }
    }
}

/// Subscriptions of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Subscriptions)]
pub(crate) struct SubscriptionsBody {
    /// The subscriptions, newest first.
    pub(crate) items: Vec<SubscriptionBody>,
}
