//! Sums of spends by day, feature, project or session, beside as many days right before.

use std::collections::BTreeMap;

use inspay_ledger::{UsageDay, UsageSums};
use inspay_ports::{Store, StoreError};
use inspay_primitives::{AccountId, Credits, Day, Label, Span, Timestamp};

use super::{less, plus};

/// Days of one summary: a leap year.
const DAYS_MAX: i32 = 366;
/// Days before the last one if nothing is said.
const DAYS_BEFORE: i32 = 29;
/// Sessions of one summary.
const SESSIONS_MAX: u32 = 10_000;

/// What sums are made by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageBy {
    /// The day in the account's zone.
    Day,
    /// The feature.
    Feature,
    /// The project; spends without one count under the empty name.
    Project,
    /// The session; spends without one count under the empty name.
    Session,
}

impl UsageBy {
    /// Every way.
    pub const ALL: [Self; 4] = [Self::Day, Self::Feature, Self::Project, Self::Session];

    /// The way as asked for and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Feature => "feature",
            Self::Project => "project",
            Self::Session => "session",
        }
    }

    /// Reads what [`Self::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|by| by.as_str() == text)
    }
}

/// Sums under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageSum {
    /// The day, feature, project or session.
    pub name: String,
    /// What was spent, and what came back.
    pub sums: UsageSums,
    /// Spent less what came back.
    pub net: Credits,
    /// The same in the period before: under the same name, or on the day that is as many days earlier.
    pub net_before: Credits,
}

/// Usage of some days, beside as many days before them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageSummary {
    /// The first day, in the account's zone.
    pub from: Day,
    /// The last day.
    pub to: Day,
    /// What the sums are by.
    pub by: UsageBy,
    /// Sums, by name. Features and projects that were used only before are listed too.
    pub items: Vec<UsageSum>,
    /// Spent in all these days, less what came back.
    pub net: Credits,
    /// The same of as many days right before.
    pub net_before: Credits,
}

/// Why there is no summary.
#[derive(Debug, thiserror::Error)]
pub enum SummaryError {
    /// The store failed.
    #[error("the usage could not be read")]
    Store(#[from] StoreError),
    /// No day, too many, or the last before the first.
    #[error("ask for 1 to {DAYS_MAX} days, the first one first")]
    Days,
    /// More sessions than one answer has room for.
    #[error("there are more than {SESSIONS_MAX} sessions: ask for fewer days")]
    TooManySessions,
}

/// How much more was spent than before, in percent rounded towards zero; `None` where nothing was spent before.
fn change_percent(net: Credits, before: Credits) -> Option<i64> {
    let more = i128::from(net.micros()).checked_sub(i128::from(before.micros()))?;
    let percent = more.checked_mul(100)?.checked_div(i128::from(before.micros()))?;
    i64::try_from(percent).ok()
}

impl UsageSum {
    /// How much more was spent than before, in percent rounded towards zero; `None` where nothing was spent before.
    #[must_use]
    pub fn change_percent(&self) -> Option<i64> {
        change_percent(self.net, self.net_before)
    }
}

impl UsageSummary {
    /// How much more was spent than before, in percent rounded towards zero; `None` where nothing was spent before.
    #[must_use]
    pub fn change_percent(&self) -> Option<i64> {
        change_percent(self.net, self.net_before)
    }
}

fn net_of(sums: &UsageSums) -> Credits {
    less(sums.spent, sums.refunded)
}

fn add(sum: &mut UsageSums, more: &UsageSums) {
    *sum = UsageSums {
        spends: sum.spends.saturating_add(more.spends),
        units: sum.units.saturating_add(more.units),
        spent: plus(sum.spent, more.spent),
        refunded: plus(sum.refunded, more.refunded),
    };
}

type Named = BTreeMap<String, UsageSums>;

/// Sums by name; a day of the period before under the name of the day that it stands beside, `later` days after it.
fn named(days: &[(UsageDay, UsageSums)], by: UsageBy, later: i32) -> Named {
    let mut sums = Named::new();
    for ((_, day, feature, project), more) in days {
        let name = match by {
            UsageBy::Day => day.plus_days(later).to_string(),
            UsageBy::Feature => feature.to_string(),
            UsageBy::Project | UsageBy::Session => name_of(project.as_ref()),
        };
        add(sums.entry(name).or_default(), more);
    }
    sums
}

fn name_of(label: Option<&Label>) -> String {
    label.map(ToString::to_string).unwrap_or_default()
}

/// Sets now beside before. What was only before is listed where `with_gone`.
fn beside(mut now: Named, before: &Named, with_gone: bool) -> Vec<UsageSum> {
    if with_gone {
        for name in before.keys() {
            now.entry(name.clone()).or_default();
        }
    }
    now.into_iter()
        .map(|(name, sums)| {
            let net_before = before.get(&name).map_or(Credits::ZERO, net_of);
            UsageSum { name, net: net_of(&sums), sums, net_before }
        })
        .collect()
}

async fn sessions(
    store: &dyn Store,
    account: &AccountId,
    span: Span,
) -> Result<Named, SummaryError> {
    let rows = store.usage_sessions(account, span, SESSIONS_MAX.saturating_add(1)).await?;
    if rows.len() > usize::try_from(SESSIONS_MAX).unwrap_or(usize::MAX) {
        return Err(SummaryError::TooManySessions);
    }
    Ok(rows.into_iter().map(|(session, sums)| (name_of(session.as_ref()), sums)).collect())
}

/// Sums the spends of an account from a day to another in its zone: the 30 days up to today if nothing is said.
pub async fn usage_summary(
    store: &dyn Store,
    account: &AccountId,
    (from, to): (Option<Day>, Option<Day>),
    by: UsageBy,
    now: Timestamp,
) -> Result<UsageSummary, SummaryError> {
    let zone = store.profile(account).await?.zone;
    let to = to.unwrap_or_else(|| zone.day_of(now));
    let from = from.unwrap_or_else(|| to.plus_days(DAYS_BEFORE.saturating_neg()));
    let days = to.number().saturating_sub(from.number()).saturating_add(1);
    if !(1..=DAYS_MAX).contains(&days) {
        return Err(SummaryError::Days);
    }
    let (first, last) = (from.plus_days(days.saturating_neg()), from.plus_days(-1));
    let (present, earlier) = futures::try_join!(
        store.usage_days(account, from, to),
        store.usage_days(account, first, last),
    )?;
    let items = if by == UsageBy::Session {
        let span = |from: Day, to: Day| Span {
            start: zone.span_of(from).start,
            end: zone.span_of(to).end,
        };
        let present = sessions(store, account, span(from, to)).await?;
        let earlier = sessions(store, account, span(first, last)).await?;
        beside(present, &earlier, false)
    } else {
        let with_gone = by != UsageBy::Day;
        beside(named(&present, by, 0), &named(&earlier, by, days), with_gone)
    };
    let net = |days: &[(UsageDay, UsageSums)]| {
        days.iter().fold(Credits::ZERO, |sum, (_, sums)| plus(sum, net_of(sums)))
    };
    Ok(UsageSummary { from, to, by, items, net: net(&present), net_before: net(&earlier) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credits(text: &str) -> Credits {
        text.parse().expect("credits")
    }

    #[test]
    fn a_change_is_told_in_percent_of_what_was_before() {
        for (net, before, percent) in [
            ("120", "100", Some(20)),
            ("80", "100", Some(-20)),
            ("0", "100", Some(-100)),
            ("1", "3", Some(-66)),
            ("5", "0", None),
            ("0", "0", None),
            ("1000000000", "0.000001", Some(99_999_999_999_999_900)),
        ] {
            assert_eq!(change_percent(credits(net), credits(before)), percent, "{net} {before}");
        }
    }

    #[test]
    fn a_day_stands_beside_the_one_as_many_days_earlier() {
        let account: AccountId = "alice".parse().expect("an account");
        let spent = |day: i32, feature: &str, spent: &str| {
            let day = Day::from_number(day);
            let feature: Label = feature.parse().expect("a label");
            let sums = UsageSums { spends: 1, spent: credits(spent), ..UsageSums::default() };
            ((account.clone(), day, feature, None), sums)
        };
        let now = [spent(10, "chat", "3"), spent(10, "video", "16"), spent(11, "chat", "1")];
        let before = [spent(7, "chat", "2"), spent(8, "image", "5")];
        let told = |by: UsageBy, with_gone: bool| -> Vec<String> {
            let items = beside(named(&now, by, 0), &named(&before, by, 3), with_gone);
            let line = |sum: UsageSum| format!("{} {} {}", sum.name, sum.net, sum.net_before);
            items.into_iter().map(line).collect()
        };
        assert_eq!(
            told(UsageBy::Day, false),
            ["1970-01-11 19.000000 2.000000", "1970-01-12 1.000000 5.000000"]
        );
        assert_eq!(
            told(UsageBy::Feature, true),
            ["chat 4.000000 2.000000", "image 0.000000 5.000000", "video 16.000000 0.000000"]
        );
        assert_eq!(told(UsageBy::Project, true), [" 20.000000 7.000000"]);
    }
}
