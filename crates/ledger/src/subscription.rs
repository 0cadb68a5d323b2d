//! Subscriptions: credits that are granted again in every cycle, each time as a lot of its own.
//!
//! Pure. Never grants by itself: it says which grants are due. A cycle is granted once, since its grant's reference
//! names it and the books take a reference once.

use inspay_primitives::{AccountId, Credits, Cycle, Label, SubscriptionId, Timestamp};

use crate::{Act, GrantTerms, LotSource, Operation};

/// An account's subscription, with the terms that its plan had when it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Identity.
    pub id: SubscriptionId,
    /// Whose.
    pub account: AccountId,
    /// The plan.
    pub plan: Label,
    /// Credits of a cycle.
    pub credits: Credits,
    /// How long a cycle is.
    pub every: Cycle,
    /// For how many cycles more what is left of one can be spent; with none, it lapses with its cycle.
    pub keeps_cycles: u16,
    /// The burn-down priority of its lots; lower burns first.
    pub priority: u8,
    /// When the first cycle began.
    pub opened_at: Timestamp,
    /// The number of the next cycle to be granted, the first being 0.
    pub next_cycle: u32,
    /// When that one begins; `None` where none comes any more.
    pub next_at: Option<Timestamp>,
    /// From when on no cycle begins.
    pub ended_at: Option<Timestamp>,
}

/// What of a subscription is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// The subscription, as it was read.
    pub subscription: SubscriptionId,
    /// The cycle that it stood at.
    pub from_cycle: u32,
    /// The first cycle that is not due yet.
    pub to_cycle: u32,
    /// When that one begins; `None` where it never does.
    pub next_at: Option<Timestamp>,
    /// Grants of the cycles between, oldest first, but of those whose lot would have lapsed already.
    pub grants: Vec<GrantTerms>,
}

impl Subscription {
    /// When a cycle begins.
    #[must_use]
    pub fn begins(&self, cycle: u32) -> Timestamp {
        self.every.begins(self.opened_at, cycle)
    }

    /// When a cycle begins, if it does before the subscription ends.
    fn comes(&self, cycle: u32, ended_at: Option<Timestamp>) -> Option<Timestamp> {
        let begins = self.begins(cycle);
        let is_over = ended_at.is_some_and(|ended_at| ended_at <= begins);
        (begins < Timestamp::FAR && !is_over).then_some(begins)
    }

    /// The subscription as it is once no cycle begins at or after `at`. What was granted stays.
    #[must_use]
    pub fn ended(self, at: Timestamp) -> Self {
        let ended_at = self.ended_at.map_or(at, |earlier| earlier.min(at));
        let next_at = self.next_at.and_then(|_| self.comes(self.next_cycle, Some(ended_at)));
        Self { ended_at: Some(ended_at), next_at, ..self }
    }

    /// The grant of a cycle.
    #[must_use]
    pub fn grant_of(&self, cycle: u32) -> GrantTerms {
        let kept_until = cycle.saturating_add(u32::from(self.keeps_cycles)).saturating_add(1);
        GrantTerms {
            account: self.account.clone(),
            opens_account: false,
            source: LotSource::Subscription,
            campaign: None,
            budget: None,
            reference: format!("{}/{cycle}", self.id),
            credits: self.credits,
            scope: None,
            priority: self.priority,
            expires_at: self.begins(kept_until),
        }
    }

    /// What is due at `now`, at most `most` cycles of it; `None` where nothing is.
    #[must_use]
    pub fn due(&self, now: Timestamp, most: u32) -> Option<Renewal> {
        let (mut cycle, mut next_at, mut grants) = (self.next_cycle, self.next_at, Vec::new());
        let last = self.next_cycle.saturating_add(most);
        while cycle < last && next_at.is_some_and(|begins| begins <= now) {
            let grant = self.grant_of(cycle);
            if now < grant.expires_at {
                grants.push(grant);
            }
            cycle = cycle.saturating_add(1);
            next_at = self.comes(cycle, self.ended_at);
        }
        (cycle > self.next_cycle).then_some(Renewal {
            subscription: self.id,
            from_cycle: self.next_cycle,
            to_cycle: cycle,
            next_at,
            grants,
        })
    }
}

impl Renewal {
    /// What is asked of the books for it. The same again grants nothing more.
    pub fn operations(&self) -> impl Iterator<Item = Operation> + '_ {
        self.grants.iter().cloned().map(|terms| Operation::from(Act::Grant(terms)))
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn subscription(every: &str, keeps_cycles: u16) -> Subscription {
        let opened_at = time("2026-01-31T00:00:00Z");
        Subscription {
            id: SubscriptionId::from_uuid(Uuid::from_u128(7)),
            account: "alice".parse().expect("an account"),
            plan: "pro".parse().expect("a label"),
            credits: "100".parse().expect("credits"),
            every: every.parse().expect("a cycle"),
            keeps_cycles,
            priority: 40,
            opened_at,
            next_cycle: 0,
            next_at: Some(opened_at),
            ended_at: None,
        }
    }

    fn told(renewal: Option<Renewal>) -> String {
        let Some(renewal) = renewal else { return "nothing".to_owned() };
        let until = |terms: &GrantTerms| {
            let cycle = terms.reference.rsplit('/').next().unwrap_or("").to_owned();
            format!("{cycle} until {}", terms.expires_at)
        };
        let grants: Vec<String> = renewal.grants.iter().map(until).collect();
        let next = renewal.next_at.map_or_else(|| "never".to_owned(), |at| at.to_string());
        format!("{}; next {} at {next}", grants.join(", "), renewal.to_cycle)
    }

    #[test]
    fn each_cycle_is_due_once_it_begins() {
        // Cycle, cycles kept, ended at, next cycle, now, what is due.
        for (every, keeps, ended, next, now, expected) in [
            ("P1M", 0, "", 0, "2026-01-30T23:59:59Z", "nothing"),
            (
                "P1M",
                0,
                "",
                0,
                "2026-01-31T00:00:00Z",
                "0 until 2026-02-28T00:00:00Z; next 1 at 2026-02-28T00:00:00Z",
            ),
            ("P1M", 0, "", 1, "2026-02-27T23:59:59Z", "nothing"),
            // A long sleep: what lapsed meanwhile is not granted, what is kept longer is.
            (
                "P1M",
                0,
                "",
                1,
                "2026-05-01T00:00:00Z",
                "3 until 2026-05-31T00:00:00Z; next 4 at 2026-05-31T00:00:00Z",
            ),
            (
                "P1M",
                1,
                "",
                1,
                "2026-05-01T00:00:00Z",
                "2 until 2026-05-31T00:00:00Z, 3 until 2026-06-30T00:00:00Z; next 4 at 2026-05-31T00:00:00Z",
            ),
            // Ended: the cycle that began before is granted, no other.
            (
                "P10D",
                0,
                "2026-02-10T00:00:00Z",
                0,
                "2026-02-01T00:00:00Z",
                "0 until 2026-02-10T00:00:00Z; next 1 at never",
            ),
            (
                "P10D",
                0,
                "2026-02-10T00:00:01Z",
                0,
                "2026-02-01T00:00:00Z",
                "0 until 2026-02-10T00:00:00Z; next 1 at 2026-02-10T00:00:00Z",
            ),
        ] {
            let opened = subscription(every, keeps);
            let ended_at = (!ended.is_empty()).then(|| time(ended));
            let next_at = Some(opened.begins(next));
            let read = Subscription { next_cycle: next, next_at, ended_at, ..opened };
            assert_eq!(told(read.due(time(now), 100)), expected, "{every} {now}");
        }
    }

    #[test]
    fn no_more_is_done_at_once_than_is_asked() {
        let opened = Subscription { keeps_cycles: 400, ..subscription("P1D", 0) };
        let renewal = opened.due(time("2026-12-31T00:00:00Z"), 3).expect("is due");
        assert_eq!((renewal.from_cycle, renewal.to_cycle, renewal.grants.len()), (0, 3, 3));
        assert_eq!(renewal.next_at, Some(time("2026-02-03T00:00:00Z")));
    }

    #[test]
    fn an_end_stays_and_nothing_begins_after_it() {
        let opened = subscription("P1M", 0);
        let ended = Subscription { next_cycle: 1, next_at: Some(opened.begins(1)), ..opened };
        let ended = ended.ended(time("2026-02-01T00:00:00Z"));
        assert_eq!(ended.next_at, None);
        let again = ended.clone().ended(time("2026-03-01T00:00:00Z"));
        assert_eq!(again, ended);
        let unprocessed = subscription("P1M", 0).ended(time("2026-02-01T00:00:00Z"));
        assert_eq!(unprocessed.next_at, Some(time("2026-01-31T00:00:00Z")));
        assert_eq!(ended.due(time("2027-01-01T00:00:00Z"), 9), None);
    }
}
