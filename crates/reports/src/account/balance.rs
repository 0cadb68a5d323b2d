//! What an account can spend, what is set aside, and what lapses when.

use std::collections::BTreeMap;

use inspay_ledger::Lot;
use inspay_ports::{AccountSummary, Page, Store, StoreError};
use inspay_primitives::{AccountId, Credits, Day, Timestamp, Zone};

use super::{less, plus};

/// More open holds of one account than work is under way.
const OPEN_HOLDS_MAX: u32 = 10_000;

/// An account's credits at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balance {
    /// The account.
    pub account: AccountId,
    /// What can be spent: what is posted, less lapsed lots that are not booked yet. Below zero only after a payment left
    /// the chain whose credits were spent.
    pub available: Credits,
    /// The sum of its postings, less what it owes.
    pub posted: Credits,
    /// What holds that have not run out have set aside.
    pub held: Credits,
    /// What lapses, by day in the account's zone, soonest first.
    pub expiring: Vec<(Day, Credits)>,
    /// When it first appeared.
    pub created_at: Timestamp,
}

/// What holds have that ran out and were not booked yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct RanOut {
    /// All of it.
    held: Credits,
    /// What of it goes back to lots that are live.
    live: Credits,
}

/// Reads the balance at `now`; `None` where the account never appeared.
pub async fn balance(
    store: &dyn Store,
    account: &AccountId,
    now: Timestamp,
) -> Result<Option<Balance>, StoreError> {
    let (summary, lots, ran_out, profile) = futures::try_join!(
        store.account(account),
        store.lots(account),
        ran_out(store, account, now),
        store.profile(account),
    )?;
    Ok(summary.map(|summary| at(summary, &lots, ran_out, &profile.zone, now)))
}

async fn ran_out(
    store: &dyn Store,
    account: &AccountId,
    now: Timestamp,
) -> Result<RanOut, StoreError> {
    let page = Page { after: None, limit: OPEN_HOLDS_MAX };
    let open = store.holds(account, true, page).await?;
    let mut sums = RanOut::default();
    for hold in open.iter().filter(|hold| !hold.is_open(now)) {
        sums.held = plus(sums.held, hold.credits);
        for slice in &hold.slices {
            let lot = store.lot(slice.lot).await?;
            if lot.is_some_and(|lot| now < lot.expires_at && !lot.parts.revoked) {
                sums.live = plus(sums.live, slice.credits);
            }
        }
    }
    Ok(sums)
}

/// The balance at `now`; `lots` are all that have something left.
fn at(
    summary: AccountSummary,
    lots: &[Lot],
    ran_out: RanOut,
    zone: &Zone,
    now: Timestamp,
) -> Balance {
    let lapsed = lots
        .iter()
        .filter(|lot| lot.expires_at <= now)
        .fold(Credits::ZERO, |sum, lot| plus(sum, lot.parts.left));
    let mut days: BTreeMap<Day, Credits> = BTreeMap::new();
    for lot in lots.iter().filter(|lot| lot.is_live(now) && lot.expires_at < Timestamp::FAR) {
        let left = days.entry(zone.day_of(lot.expires_at)).or_default();
        *left = plus(*left, lot.parts.left);
    }
    Balance {
        account: summary.account,
        available: plus(less(summary.posted, lapsed), ran_out.live),
        posted: summary.posted,
        held: less(summary.held, ran_out.held),
        expiring: days.into_iter().collect(),
        created_at: summary.created_at,
    }
}

#[cfg(test)]
mod tests {
    use inspay_ledger::{LotParts, LotSource};
    use inspay_primitives::LotId;

    use super::*;

    fn lot(index: i16, left: &str, expires_at: &str) -> Lot {
        let credits: Credits = left.parse().expect("credits");
        Lot {
            id: LotId { entry_seq: 1, index },
            account: "alice".parse().expect("an account"),
            source: LotSource::Purchase,
            order: None,
            transfer: None,
            granted: credits,
            campaign: None,
            scope: None,
            priority: 50,
            granted_at: Timestamp::default(),
            expires_at: expires_at.parse().expect("a time"),
            paid: None,
            parts: LotParts::of_new(credits),
        }
    }

    #[test]
    fn a_balance_counts_what_is_live_and_says_what_lapses_when() {
        let now: Timestamp = "2026-08-01T12:00:00Z".parse().expect("a time");
        let lots = [
            lot(0, "1", "2026-08-01T12:00:00Z"),
            lot(1, "10", "2026-08-01T12:00:00.000001Z"),
            lot(2, "100", "2026-08-31T23:59:59Z"),
            lot(3, "1000", "2026-08-31T00:00:00Z"),
            lot(4, "10000", "9999-01-01T00:00:00Z"),
        ];
        let summary = AccountSummary {
            account: "alice".parse().expect("an account"),
            created_at: Timestamp::default(),
            posted: "11111".parse().expect("credits"),
            held: "7".parse().expect("credits"),
        };
        let ran_out =
            RanOut { held: "4".parse().expect("credits"), live: "3".parse().expect("credits") };
        for (zone, days) in [
            ("UTC", vec!["2026-08-01 10.000000", "2026-08-31 1100.000000"]),
            (
                "Asia/Tokyo",
                vec!["2026-08-01 10.000000", "2026-08-31 1000.000000", "2026-09-01 100.000000"],
            ),
        ] {
            let zone = zone.parse().expect("a zone");
            let balance = at(summary.clone(), &lots, ran_out, &zone, now);
            assert_eq!(balance.available.to_string(), "11113.000000");
            assert_eq!(balance.posted.to_string(), "11111.000000");
            assert_eq!(balance.held.to_string(), "3.000000");
            let told: Vec<_> =
                balance.expiring.iter().map(|(day, credits)| format!("{day} {credits}")).collect();
            assert_eq!(told, days);
        }
    }
}
