//! Holds, spends, grants, limits and usage.

use inspay_ledger::{Hold, Limit, Purpose, ResolutionKind, Slice, Usage, WindowUse};
use inspay_primitives::{AccountId, Credits, HoldId, Label, LimitId, LotId, Timestamp, UsageId};
use inspay_reports::account::{UsageSum, UsageSummary};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A request with the fields of a spend, and some of its own.
macro_rules! wish {
    ($(#[$doc:meta])* $name:ident { $($own:tt)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            /// Whose credits.
            #[schema(example = "alice")]
            pub(crate) account: String,
            /// A feature of the price book.
            #[schema(example = "image")]
            pub(crate) feature: String,
            /// Its quality, where it has some.
            #[serde(default)]
            #[schema(example = "standard")]
            pub(crate) quality: Option<String>,
            /// Its size, where it has some.
            #[serde(default)]
            #[schema(example = "512x512")]
            pub(crate) size: Option<String>,
            /// How many units, at the price book's price. Either this or `credits`.
            #[serde(default)]
            #[schema(example = 4)]
            pub(crate) units: Option<u32>,
            /// How many credits. Either this or `units`.
            #[serde(default)]
            pub(crate) credits: Option<String>,
            /// The project that it is for.
            #[serde(default)]
            #[schema(example = "book-7")]
            pub(crate) project: Option<String>,
            /// The session that it is made in.
            #[serde(default)]
            pub(crate) session: Option<String>,
            /// The caller's own name for it.
            #[serde(default)]
            #[schema(example = "job-1234")]
            pub(crate) reference: Option<String>,
            $($own)*
        }
    };
}

wish! {
    /// Credits to spend at once.
    SpendWish {}
}

wish! {
    /// Credits to set aside.
    HoldWish {
        /// How long it can be captured; what the settings say if nothing is said.
        #[serde(default)]
        #[schema(example = 900)]
        pub(crate) valid_seconds: Option<u32>,
    }
}

impl HoldWish {
    /// What it is for, and how long it is to last.
    pub(crate) fn split(self) -> (SpendWish, Option<u32>) {
        let wish = SpendWish {
            account: self.account,
            feature: self.feature,
            quality: self.quality,
            size: self.size,
            units: self.units,
            credits: self.credits,
            project: self.project,
            session: self.session,
            reference: self.reference,
        };
        (wish, self.valid_seconds)
    }
}

/// How much of a hold or a spend.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PartWish {
    /// How many credits; all of it if nothing is said.
    #[serde(default)]
    #[schema(example = "10")]
    pub(crate) credits: Option<String>,
}

/// Nothing to say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NothingWish {}

/// Several spends, each answered for itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SpendBatchWish {
    /// One to a hundred.
    pub(crate) items: Vec<SpendWish>,
}

/// A part of a lot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct SliceBody {
    /// The lot.
    #[schema(value_type = String, example = "lot_12_0")]
    lot: LotId,
    /// How much of it.
    #[schema(value_type = String, example = "16.000000")]
    credits: Credits,
}

impl From<&Slice> for SliceBody {
    fn from(slice: &Slice) -> Self {
        Self { lot: slice.lot, credits: slice.credits }
    }
}

/// What credits are for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Purpose)]
pub(crate) struct PurposeBody {
    /// The feature.
    #[schema(value_type = String, example = "video")]
    feature: Label,
    /// Its quality.
    #[schema(value_type = Option<String>)]
    quality: Option<Label>,
    /// Its size.
    #[schema(value_type = Option<String>)]
    size: Option<Label>,
    /// How many units; absent where the caller named credits.
    units: Option<u32>,
    /// The project.
    #[schema(value_type = Option<String>)]
    project: Option<Label>,
    /// The session.
    #[schema(value_type = Option<String>)]
    session: Option<Label>,
    /// The caller's own name for it.
    #[schema(value_type = Option<String>)]
    reference: Option<Label>,
}

impl From<&Purpose> for PurposeBody {
    fn from(purpose: &Purpose) -> Self {
        let Purpose { feature, quality, size, units, project, session, reference } =
            purpose.clone();
        Self { feature, quality, size, units, project, session, reference }
    }
}

/// Credits that were set aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Hold)]
pub(crate) struct HoldBody {
    /// Identity.
    #[schema(value_type = String, example = "hld_0190f2a7c3d17b5e8a5bd0a4a1c2d3e4")]
    id: HoldId,
    /// Whose credits.
    #[schema(value_type = String, example = "alice")]
    account: AccountId,
    /// `open`, `captured`, `released` or `lapsed`.
    #[schema(example = "open")]
    state: &'static str,
    /// What for.
    purpose: PurposeBody,
    /// How many.
    #[schema(value_type = String, example = "16.000000")]
    credits: Credits,
    /// What was spent of them, once it is captured.
    #[schema(value_type = Option<String>)]
    captured: Option<Credits>,
    /// The spend, once it is captured.
    #[schema(value_type = Option<String>, example = "use_17")]
    usage: Option<UsageId>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    made_at: Timestamp,
    /// From when it can no longer be captured.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// The parts of lots it holds or held, in burn-down order.
    slices: Vec<SliceBody>,
}

impl HoldBody {
    /// The hold as it stands at `now`: one that ran out has lapsed, whether or not that is booked.
    pub(crate) fn new(hold: &Hold, now: Timestamp) -> Self {
        let captured = hold.resolution.filter(|end| end.kind == ResolutionKind::Captured);
        let state = match hold.resolution {
            Some(end) => end.kind.as_str(),
            None if hold.is_open(now) => "open",
            None => ResolutionKind::Lapsed.as_str(),
        };
        Self {
            id: hold.id,
            account: hold.account.clone(),
            state,
            purpose: PurposeBody::from(&hold.purpose),
            credits: hold.credits,
            captured: captured.map(|end| end.captured),
            usage: captured.map(|end| UsageId { entry_seq: end.entry_seq }),
            made_at: hold.made_at,
            expires_at: hold.expires_at,
            slices: hold.slices.iter().map(SliceBody::from).collect(),
        }
    }
}

/// A page of holds, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct HoldsPage {
    /// The holds.
    pub(crate) items: Vec<HoldBody>,
    /// Send it as `after` for the next page; absent on the last one.
    pub(crate) next: Option<String>,
}

/// Credits that were spent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Usage)]
pub(crate) struct UsageBody {
    /// Identity.
    #[schema(value_type = String, example = "use_17")]
    id: UsageId,
    /// Whose credits.
    #[schema(value_type = String, example = "alice")]
    account: AccountId,
    /// What for.
    purpose: PurposeBody,
    /// The hold that was captured.
    #[schema(value_type = Option<String>)]
    hold: Option<HoldId>,
    /// How many.
    #[schema(value_type = String, example = "16.000000")]
    credits: Credits,
    /// How many of them came back.
    #[schema(value_type = String, example = "0.000000")]
    refunded: Credits,
    /// When its hold was made, or it was booked: the time that days and limits count it at.
    #[schema(value_type = String, format = DateTime)]
    counted_at: Timestamp,
    /// When it was booked.
    #[schema(value_type = String, format = DateTime)]
    booked_at: Timestamp,
    /// The parts of lots that it burned, in order.
    slices: Vec<SliceBody>,
}

impl From<&Usage> for UsageBody {
    fn from(usage: &Usage) -> Self {
        Self {
            id: usage.id,
            account: usage.account.clone(),
            purpose: PurposeBody::from(&usage.purpose),
            hold: usage.hold,
            credits: usage.credits,
            refunded: usage.refunded,
            counted_at: usage.counted_at,
            booked_at: usage.booked_at,
            slices: usage.slices.iter().map(SliceBody::from).collect(),
        }
    }
}

/// A page of spends, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct UsagesPage {
    /// The spends.
    pub(crate) items: Vec<UsageBody>,
    /// Send it as `after` for the next page; absent on the last one.
    pub(crate) next: Option<String>,
}

/// What became of one of several spends: the spend, or why not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct SpendOutcome {
    /// The spend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) usage: Option<UsageBody>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<crate::problem::Problem>,
}

/// What became of several spends, in their order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct SpendOutcomes {
    /// One for each.
    pub(crate) items: Vec<SpendOutcome>,
}

/// Credits to grant without a payment.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GrantWish {
    /// `subscription`, `free_plan`, `promotion` or `prize`.
    #[schema(example = "subscription")]
    pub(crate) source: String,
    /// What makes the grant the only one of its source: a subscription and its period, a wallet, a prize.
    #[schema(example = "sub-7/2026-11")]
    pub(crate) reference: String,
    /// How many.
    #[schema(example = "500")]
    pub(crate) credits: String,
    /// The promotion, whose budget the settings have; for promotions only.
    #[serde(default)]
    pub(crate) campaign: Option<String>,
    /// The one feature that they can be spent on.
    #[serde(default)]
    pub(crate) scope: Option<String>,
    /// Lower burns first; 50 if nothing is said.
    #[serde(default)]
    #[schema(example = 40)]
    pub(crate) priority: Option<u8>,
    /// How many days they last; what the settings say for the source if nothing is said, 0 for ever.
    #[serde(default)]
    #[schema(example = 30)]
    pub(crate) valid_days: Option<u16>,
    /// When they lapse, in the place of a number of days: the end of a subscription's period.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) expires_at: Option<Timestamp>,
}

/// A limit to set, in the place of one of the same scope, window and action.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LimitWish {
    /// `account`, `feature`, `project` or `session`.
    #[schema(example = "project")]
    pub(crate) scope: String,
    /// Which feature, project or session; absent for the whole account.
    #[serde(default)]
    #[schema(example = "book-7")]
    pub(crate) name: Option<String>,
    /// `day`, `month` or `total`, in the account's time zone.
    #[schema(example = "month")]
    pub(crate) window: String,
    /// `warn` or `refuse`.
    #[schema(example = "refuse")]
    pub(crate) action: String,
    /// The most that may be held and spent.
    #[schema(example = "100")]
    pub(crate) cap: String,
    /// Percentages of the cap at which the owner is told, once a window each.
    #[serde(default)]
    #[schema(example = json!([50, 80, 100]))]
    pub(crate) alerts: Vec<u8>,
}

/// A limit and what its present window has in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Limit)]
pub(crate) struct LimitBody {
    /// Identity.
    #[schema(value_type = String, example = "lim_0190f2a7c3d17b5e8a5bd0a4a1c2d3e4")]
    id: LimitId,
    /// What counts.
    #[schema(example = "project")]
    scope: &'static str,
    /// Which one.
    name: Option<String>,
    /// How long its windows are.
    #[schema(example = "month")]
    window: &'static str,
    /// What happens above the cap.
    #[schema(example = "refuse")]
    action: &'static str,
    /// The cap.
    #[schema(value_type = String, example = "100.000000")]
    cap: Credits,
    /// Percentages at which the owner is told.
    alerts: Vec<u8>,
    /// Held in the present window.
    #[schema(value_type = String, example = "16.000000")]
    held: Credits,
    /// Spent in the present window, less what came back.
    #[schema(value_type = String, example = "40.000000")]
    spent: Credits,
    /// What still fits under the cap.
    #[schema(value_type = String, example = "44.000000")]
    left: Credits,
    /// When the present window began; absent while nothing was counted in it.
    #[schema(value_type = Option<String>, format = DateTime)]
    window_start: Option<Timestamp>,
    /// When it ends; absent for all time.
    #[schema(value_type = Option<String>, format = DateTime)]
    window_end: Option<Timestamp>,
}

impl LimitBody {
    pub(crate) fn new(limit: &Limit, used: Option<&WindowUse>) -> Self {
        let (held, spent) = used.map_or_else(Default::default, |used| (used.held, used.spent));
        let left = limit.cap.micros().saturating_sub(held.micros()).saturating_sub(spent.micros());
        let name = limit.scope.name();
        let end = used.map(|used| used.span.end).filter(|end| *end < Timestamp::FAR);
        Self {
            id: limit.id,
            scope: limit.scope.kind(),
            name: (!name.is_empty()).then(|| name.to_owned()),
            window: limit.window.as_str(),
            action: limit.action.as_str(),
            cap: limit.cap,
            alerts: limit.alerts.clone(),
            held,
            spent,
            left: Credits::from_micros(left.max(0)),
            window_start: used.map(|used| used.span.start).filter(|_| end.is_some()),
            window_end: end,
        }
    }
}

/// An account's limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct LimitsBody {
    /// The limits in force.
    pub(crate) items: Vec<LimitBody>,
}

/// What an account sets for itself. It appears if it is not known yet.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProfileWish {
    /// The time zone that its days and months are counted in, by its name in the zone database.
    #[serde(default)]
    #[schema(example = "Europe/Berlin")]
    pub(crate) zone: Option<String>,
    /// Balances below which its owner is told, once until credits are granted again; descending.
    #[serde(default)]
    #[schema(example = json!(["100", "20"]))]
    pub(crate) balance_alerts: Vec<String>,
}

/// What an account has set for itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Profile)]
pub(crate) struct ProfileBody {
    /// The account.
    #[schema(value_type = String, example = "alice")]
    pub(crate) account: AccountId,
    /// Its time zone.
    #[schema(example = "Europe/Berlin")]
    pub(crate) zone: String,
    /// Balances below which its owner is told.
    #[schema(value_type = Vec<String>)]
    pub(crate) balance_alerts: Vec<Credits>,
}

/// Sums of spends under one name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct UsageSumBody {
    /// The day, feature, project or session; empty for spends without a project or a session.
    #[schema(example = "2026-11-23")]
    name: String,
    /// Spends.
    spends: i64,
    /// Units, where callers named some.
    units: i64,
    /// Credits spent.
    #[schema(value_type = String, example = "32.000000")]
    spent: Credits,
    /// Credits that came back.
    #[schema(value_type = String, example = "0.000000")]
    refunded: Credits,
    /// Spent less what came back.
    #[schema(value_type = String, example = "32.000000")]
    net: Credits,
    /// The same in the period before: under the same name, or on the day that is as many days earlier.
    #[schema(value_type = String, example = "16.000000")]
    net_before: Credits,
    /// How much more that is, in percent rounded towards zero; absent where nothing was spent before.
    #[schema(example = 100)]
    change_percent: Option<i64>,
}

impl From<&UsageSum> for UsageSumBody {
    fn from(sum: &UsageSum) -> Self {
        Self {
            name: sum.name.clone(),
            spends: sum.sums.spends,
            units: sum.sums.units,
            spent: sum.sums.spent,
            refunded: sum.sums.refunded,
            net: sum.net,
            net_before: sum.net_before,
            change_percent: sum.change_percent(),
        }
    }
}

/// Usage of some days, beside as many days before them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = UsageSummary)]
pub(crate) struct UsageSummaryBody {
    /// The first day, in the account's zone.
    #[schema(example = "2026-11-01")]
    from: String,
    /// The last day.
    #[schema(example = "2026-11-30")]
    to: String,
    /// What the sums are by.
    #[schema(example = "day")]
    by: &'static str,
    /// Sums, by name. Features and projects that were used only before are listed too.
    items: Vec<UsageSumBody>,
    /// Spent in all these days, less what came back.
    #[schema(value_type = String, example = "640.000000")]
    net: Credits,
    /// The same of as many days right before.
    #[schema(value_type = String, example = "512.000000")]
    net_before: Credits,
    /// How much more that is, in percent rounded towards zero; absent where nothing was spent before.
    #[schema(example = 25)]
    change_percent: Option<i64>,
}

impl From<&UsageSummary> for UsageSummaryBody {
    fn from(summary: &UsageSummary) -> Self {
        Self {
            from: summary.from.to_string(),
            to: summary.to.to_string(),
            by: summary.by.as_str(),
            items: summary.items.iter().map(UsageSumBody::from).collect(),
            net: summary.net,
            net_before: summary.net_before,
            change_percent: summary.change_percent(),
        }
    }
}

/// One thing to be made.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EstimateItem {
    /// A feature of the price book.
    #[schema(example = "image")]
    pub(crate) feature: String,
    /// Its quality, where it has some.
    #[serde(default)]
    #[schema(example = "standard")]
    pub(crate) quality: Option<String>,
    /// Its size, where it has some.
    #[serde(default)]
    #[schema(example = "512x512")]
    pub(crate) size: Option<String>,
    /// How many.
    #[schema(example = 12)]
    pub(crate) units: u32,
}

/// A list of things to be made.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EstimateWish {
    /// Whose credits are counted.
    #[schema(example = "alice")]
    pub(crate) account: String,
    /// One to two hundred.
    pub(crate) items: Vec<EstimateItem>,
    /// When the credits will be used: what has lapsed by then is not counted. Now if nothing is said.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) until: Option<Timestamp>,
}

/// What one line costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct EstimateLine {
    /// The feature.
    #[schema(value_type = String, example = "image")]
    pub(crate) feature: Label,
    /// Its quality.
    #[schema(value_type = Option<String>)]
    pub(crate) quality: Option<Label>,
    /// Its size.
    #[schema(value_type = Option<String>)]
    pub(crate) size: Option<Label>,
    /// How many.
    pub(crate) units: u32,
    /// What they cost.
    #[schema(value_type = String, example = "5.760000")]
    pub(crate) credits: Credits,
}

/// What a list of things will cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Estimate)]
pub(crate) struct EstimateBody {
    /// Its lines, in order.
    pub(crate) lines: Vec<EstimateLine>,
    /// What they cost together.
    #[schema(value_type = String, example = "100.000000")]
    pub(crate) total: Credits,
    /// The same with a fifth on top.
    #[schema(value_type = String, example = "120.000000")]
    pub(crate) needed: Credits,
    /// What of the account's credits can be spent on it then.
    #[schema(value_type = String, example = "40.000000")]
    pub(crate) available: Credits,
    /// What is missing.
    #[schema(value_type = String, example = "80.000000")]
    pub(crate) missing: Credits,
    /// A quote for the cheapest purchase that covers what is missing.
    pub(crate) purchase: Option<super::QuoteBody>,
}
