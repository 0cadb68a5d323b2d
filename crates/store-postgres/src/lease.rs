//! Leases: who may write what follows from a chain.
//!
//! Time is this database's clock, whichever process asks. Taking a lease over waits for what the holder before has under
//! way: a batch of the books holds the lease's key, a commit of the follower the cursor's row.

use std::time::Duration;

use async_trait::async_trait;
use inspay_ports::{
    FollowedCursor, LeaseClaim, LeaseRecord, LeaseStore, StoreError, StoreErrorKind,
};
use inspay_primitives::{ChainId, Fence, FencingNumber};

use crate::{
    codec::Fields,
    columns::chain,
    error::{self, wrong},
    follow,
    session::Session,
    store::PostgresStore,
};

/// The database's clock, in microseconds since 1970.
macro_rules! now_micros {
    () => {
        "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint"
    };
}
pub(crate) use now_micros;

const LEASE: &str = concat!(
    "SELECT holder, fencing, checked, GREATEST(expires_at - ",
    now_micros!(),
    ", 0) AS remaining FROM lease WHERE chain_id = $1",
);

const TAKE: &str = concat!(
    "INSERT INTO lease AS l (chain_id, holder, fencing, checked, expires_at) \
     VALUES ($1, $2, 1, FALSE, ",
    now_micros!(),
    " + $3) ON CONFLICT (chain_id) DO UPDATE \
     SET holder = EXCLUDED.holder, fencing = l.fencing + 1, checked = FALSE, expires_at = EXCLUDED.expires_at \
     WHERE l.expires_at <= ",
    now_micros!(),
    " OR l.fencing = $4 RETURNING fencing",
);

/// From here on the cursor moves under the new holding only.
const TAKE_CURSOR: &str = "UPDATE cursor SET fencing = $2 WHERE chain_id = $1";

const RENEW: &str = concat!(
    "UPDATE lease SET expires_at = ",
    now_micros!(),
    " + $3 WHERE chain_id = $1 AND fencing = $2 AND expires_at > ",
    now_micros!(),
);

const RELEASE: &str = "UPDATE lease SET expires_at = 0 WHERE chain_id = $1 AND fencing = $2";

const MARK: &str = "UPDATE lease SET checked = $3 WHERE chain_id = $1 AND fencing = $2";

const FOLLOWED: &str = concat!(
    "SELECT c.chain_id, c.start_number, c.tip_number, c.tip_hash, c.tip_time, c.safe_number, c.finalized_number, \
     c.audited_to, c.epoch, c.revision, CASE WHEN l.chain_id IS NULL THEN 0 WHEN l.checked AND l.expires_at > ",
    now_micros!(),
    " THEN l.fencing END AS checked_by FROM cursor c LEFT JOIN lease l ON l.chain_id = c.chain_id \
     WHERE c.chain_id = $1",
);

const PRESENT: &str = "SELECT COALESCE((SELECT fencing FROM cursor WHERE chain_id = $1), \
     (SELECT fencing FROM lease WHERE chain_id = $1), 0) AS fencing";

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX / 2)
}

/// The holding under which a chain's cursor may be moved now.
pub(crate) async fn present_holding(
    session: &mut Session,
    chain_id: ChainId,
) -> Result<FencingNumber, StoreError> {
    let wrong = wrong(session.act);
    let query = sqlx::query(PRESENT).bind(chain(chain_id).map_err(&wrong)?);
    let rows = session.rows(query).await?;
    let number = rows.first().map_or(Ok(0), |row| Fields(row).get("fencing"));
    number.map(FencingNumber).map_err(&wrong)
}

#[async_trait]
impl LeaseStore for PostgresStore {
    async fn lease(&self, chain_id: ChainId) -> Result<Option<LeaseRecord>, StoreError> {
        let single = self.paged("read a lease");
        let wrong = wrong(single.act);
        let query = sqlx::query(LEASE).bind(chain(chain_id).map_err(&wrong)?);
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
        let mut session = self.begin_paged("take a lease").await?;
        let wrong = wrong(session.act);
        let chain_number = chain(claim.chain_id).map_err(&wrong)?;
        let take = sqlx::query(TAKE)
            .bind(chain_number)
            .bind(&claim.holder)
            .bind(micros(claim.ttl))
            .bind(claim.from_dead.map(|number| number.0));
        let rows = match session.rows(take).await {
            // Of the first claims of all, made at once, another one was faster: only the chain's own key is looked at
            // before a row is made.
            Err(StoreError { kind: StoreErrorKind::Exists(error::LEASE), .. }) => return Ok(None),
            rows => rows?,
        };
        let Some(row) = rows.first() else {
            session.abandon().await?;
            return Ok(None);
        };
        let number: i64 = Fields(row).get("fencing").map_err(&wrong)?;
        session.run(sqlx::query(TAKE_CURSOR).bind(chain_number).bind(number)).await?;
        session.commit().await?;
        Ok(Some(FencingNumber(number)))
    }

    async fn renew_lease(&self, fence: Fence, ttl: Duration) -> Result<(), StoreError> {
        let single = self.paged("renew a lease");
        let wrong = wrong(single.act);
        let query = sqlx::query(RENEW)
            .bind(chain(fence.chain_id).map_err(&wrong)?)
            .bind(fence.number.0)
            .bind(micros(ttl));
        match single.run(query).await? {
            0 => Err(wrong(StoreErrorKind::Fenced)),
            _ => Ok(()),
        }
    }

    async fn release_lease(&self, fence: Fence) -> Result<(), StoreError> {
        let single = self.paged("let a lease go");
        let query = sqlx::query(RELEASE)
            .bind(chain(fence.chain_id).map_err(wrong(single.act))?)
            .bind(fence.number.0);
        single.run(query).await.map(drop)
    }

    async fn mark_checked(&self, fence: Fence, checked: bool) -> Result<(), StoreError> {
        let single = self.paged("mark a lease as checked");
        let wrong = wrong(single.act);
        let query = sqlx::query(MARK)
            .bind(chain(fence.chain_id).map_err(&wrong)?)
            .bind(fence.number.0)
            .bind(checked);
        match single.run(query).await? {
            0 => Err(wrong(StoreErrorKind::Fenced)),
            _ => Ok(()),
        }
    }

    async fn followed(&self, chain_id: ChainId) -> Result<Option<FollowedCursor>, StoreError> {
        let single = self.paged("read where a chain is followed");
        let wrong = wrong(single.act);
        let query = sqlx::query(FOLLOWED).bind(chain(chain_id).map_err(&wrong)?);
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
