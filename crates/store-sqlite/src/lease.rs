//! Leases: who may write what follows from a chain.
//!
//! One connection writes at a time, so whatever is looked at before a write holds until its commit. Time is asked of
//! SQLite itself: the machine's clock, in milliseconds, shown as microseconds.

use std::{collections::BTreeSet, time::Duration};

use async_trait::async_trait;
use inspay_ports::{
    FollowedCursor, LeaseClaim, LeaseRecord, LeaseStore, StoreError, StoreErrorKind,
};
use inspay_primitives::{ChainId, Fence, FencingNumber};
use serde_json::json;

use crate::{
    codec::Fields,
    columns::{chain, json_list},
    error::wrong,
    follow,
    session::hot,
    store::SqliteStore,
};

/// The clock, in microseconds since 1970.
macro_rules! now_micros {
    () => {
        "CAST(unixepoch('subsec') * 1000 AS INTEGER) * 1000"
    };
}

const LEASE: &str = concat!(
    "SELECT holder, fencing, checked, MAX(expires_at - ",
    now_micros!(),
    ", 0) AS remaining FROM lease WHERE chain_id = ?1",
);

const TAKE_FIRST: &str = concat!(
    "INSERT INTO lease (chain_id, holder, fencing, checked, expires_at) SELECT ?1, ?2, 1, 0, ",
    now_micros!(),
    " + ?3 WHERE ?4 IS NULL AND NOT EXISTS (SELECT 1 FROM lease WHERE chain_id = ?1) RETURNING fencing",
);

const TAKE_OVER: &str = concat!(
    "UPDATE lease SET holder = ?2, fencing = fencing + 1, checked = 0, expires_at = ",
    now_micros!(),
    " + ?3 WHERE chain_id = ?1 AND (expires_at <= ",
    now_micros!(),
    " OR fencing = ?4) RETURNING fencing",
);

/// From here on the cursor moves under the new holding only.
const TAKE_CURSOR: &str = "UPDATE cursor SET fencing = ?2 WHERE chain_id = ?1";

const RENEW: &str = concat!(
    "UPDATE lease SET expires_at = ",
    now_micros!(),
    " + ?3 WHERE chain_id = ?1 AND fencing = ?2 AND expires_at > ",
    now_micros!(),
);

const RELEASE: &str = "UPDATE lease SET expires_at = 0 WHERE chain_id = ?1 AND fencing = ?2";

const MARK: &str = "UPDATE lease SET checked = ?3 WHERE chain_id = ?1 AND fencing = ?2";

const FOLLOWED: &str = concat!(
    "SELECT c.chain_id, c.start_number, c.tip_number, c.tip_hash, c.tip_time, c.safe_number, c.finalized_number, \
     c.audited_to, c.epoch, c.revision, \
     CASE WHEN l.chain_id IS NULL THEN 0 WHEN l.checked = 1 AND l.expires_at > ",
    now_micros!(),
    " THEN l.fencing END AS checked_by FROM cursor c LEFT JOIN lease l ON l.chain_id = c.chain_id \
     WHERE c.chain_id = ?1",
);

/// One row where any of some fences does not hold; in a unit of work that writes, those that hold do so until its commit.
pub(crate) const BROKEN_FENCE: &str = concat!(
    "SELECT 1 FROM json_each(?) AS wanted LEFT JOIN lease l ON l.chain_id = wanted.value ->> 0 \
     WHERE CASE WHEN l.chain_id IS NULL THEN wanted.value ->> 1 <> 0 \
     ELSE l.fencing <> wanted.value ->> 1 OR l.checked = 0 OR l.expires_at <= ",
    now_micros!(),
    " END LIMIT 1",
);

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX / 2)
}

/// Fences as [`BROKEN_FENCE`] takes them.
pub(crate) fn fence_list(fences: &BTreeSet<Fence>) -> Result<String, StoreErrorKind> {
    let pairs = fences.iter().map(|fence| Ok(json!([chain(fence.chain_id)?, fence.number.0])));
    pairs.collect::<Result<_, _>>().map(json_list)
}

#[async_trait]
impl LeaseStore for SqliteStore {
    async fn lease(&self, chain_id: ChainId) -> Result<Option<LeaseRecord>, StoreError> {
        let single = self.read("read a lease");
        let wrong = wrong(single.act);
        let query = hot(LEASE).bind(chain(chain_id).map_err(&wrong)?);
        let Some(row) = single.row(query).await? else { return Ok(None) };
        let fields = Fields(&row);
        let read = || {
            Ok(LeaseRecord {
                chain_id,
                holder: fields.get("holder")?,
                number: FencingNumber(fields.get("fencing")?),
                checked: fields.get("checked")?,
                remaining: Duration::from_micros(fields.narrow("remaining")?),
            })
        };
        read().map(Some).map_err(&wrong)
    }

    async fn take_lease(&self, claim: LeaseClaim) -> Result<Option<FencingNumber>, StoreError> {
        let mut session = self.begin("take a lease").await?;
        let wrong = wrong(session.act);
        let chain_number = chain(claim.chain_id).map_err(&wrong)?;
        let mut taken = None;
        for statement in [TAKE_OVER, TAKE_FIRST] {
            let take = hot(statement)
                .bind(chain_number)
                .bind(claim.holder.clone())
                .bind(micros(claim.ttl))
                .bind(claim.from_dead.map(|number| number.0));
            // All rows: a statement that returns what it wrote is done only once it is read to its end.
            if let Some(row) = session.rows(take).await?.first() {
                taken = Some(Fields(row).get::<i64>("fencing").map_err(&wrong)?);
                break;
            }
        }
        let Some(number) = taken else {
            session.abandon().await?;
            return Ok(None);
        };
        session.run(hot(TAKE_CURSOR).bind(chain_number).bind(number)).await?;
        session.commit().await?;
        Ok(Some(FencingNumber(number)))
    }

    async fn renew_lease(&self, fence: Fence, ttl: Duration) -> Result<(), StoreError> {
        let single = self.write("renew a lease");
        let wrong = wrong(single.act);
        let query = hot(RENEW)
            .bind(chain(fence.chain_id).map_err(&wrong)?)
            .bind(fence.number.0)
            .bind(micros(ttl));
        match single.run(query).await? {
            0 => Err(wrong(StoreErrorKind::Fenced)),
            _ => Ok(()),
        }
    }

    async fn release_lease(&self, fence: Fence) -> Result<(), StoreError> {
        let single = self.write("let a lease go");
        let query = hot(RELEASE)
            .bind(chain(fence.chain_id).map_err(wrong(single.act))?)
            .bind(fence.number.0);
        single.run(query).await.map(drop)
    }

    async fn mark_checked(&self, fence: Fence, checked: bool) -> Result<(), StoreError> {
        let single = self.write("mark a lease as checked");
        let wrong = wrong(single.act);
        let query = hot(MARK)
            .bind(chain(fence.chain_id).map_err(&wrong)?)
            .bind(fence.number.0)
            .bind(checked);
        match single.run(query).await? {
            0 => Err(wrong(StoreErrorKind::Fenced)),
            _ => Ok(()),
        }
    }

    async fn followed(&self, chain_id: ChainId) -> Result<Option<FollowedCursor>, StoreError> {
        let single = self.read("read where a chain is followed");
        let wrong = wrong(single.act);
        let query = hot(FOLLOWED).bind(chain(chain_id).map_err(&wrong)?);
        let Some(row) = single.row(query).await? else { return Ok(None) };
        let fields = Fields(&row);
        let read = || {
            let checked_by: Option<i64> = fields.get("checked_by")?;
            let cursor = follow::cursor(fields)?;
            Ok(FollowedCursor { cursor, checked_by: checked_by.map(FencingNumber) })
        };
        read().map(Some).map_err(&wrong)
    }
}
