//! Answers kept for requests that are made again.
//!
//! One row per scope and key; who inserts it owns the request. Never overwrites an answer.

use inspay_ports::{IdempotencyClaim, StoreError, StoreErrorKind, StoredResponse};
use inspay_primitives::{B256, Timestamp};

use crate::{
    codec::{Fields, Read},
    error::wrong,
    session::hot,
    store::SqliteStore,
};

/// A request that wants its key.
pub(crate) struct Claim<'a> {
    pub(crate) scope: &'a str,
    pub(crate) key: &'a str,
    pub(crate) fingerprint: B256,
    pub(crate) now: Timestamp,
    pub(crate) stale_before: Timestamp,
}

/// Takes a key that is free, or whose claim by the same request is stale.
const TAKE: &str = "INSERT INTO idempotency AS i (scope, key, fingerprint, claimed_at) VALUES (?1, ?2, ?3, ?4) \
     ON CONFLICT (scope, key) DO UPDATE SET claimed_at = EXCLUDED.claimed_at \
     WHERE i.fingerprint = EXCLUDED.fingerprint AND i.status IS NULL AND i.claimed_at < ?5 \
     RETURNING 1";

const LOOK: &str = "SELECT fingerprint, status, content_type, body \
     FROM idempotency WHERE scope = ?1 AND key = ?2";

impl SqliteStore {
    pub(crate) async fn claim(&self, claim: Claim<'_>) -> Result<IdempotencyClaim, StoreError> {
        let mut session = self.begin("claim an idempotency key").await?;
        let take = hot(TAKE)
            .bind(claim.scope.to_owned())
            .bind(claim.key.to_owned())
            .bind(claim.fingerprint.to_vec())
            .bind(claim.now.micros())
            .bind(claim.stale_before.micros());
        if session.row(take).await?.is_some() {
            session.commit().await?;
            return Ok(IdempotencyClaim::Fresh);
        }
        let wrong = wrong(session.act);
        let look = hot(LOOK).bind(claim.scope.to_owned()).bind(claim.key.to_owned());
        let row = session.row(look).await?;
        session.abandon().await?;
        match row {
            Some(row) => found(Fields(&row), claim.fingerprint).map_err(wrong),
            None => {
                let why = "a claim that refuses another is not there".to_owned();
                Err(wrong(StoreErrorKind::Corrupt(why)))
            }
        }
    }

    pub(crate) async fn answer(
        &self,
        scope: &str,
        key: &str,
        response: StoredResponse,
    ) -> Result<(), StoreError> {
        let single = self.write("answer an idempotency key");
        let query = hot(
            "UPDATE idempotency SET status = COALESCE(status, ?3), content_type = COALESCE(content_type, ?4), \
             body = COALESCE(body, ?5) WHERE scope = ?1 AND key = ?2",
        )
        .bind(scope.to_owned())
        .bind(key.to_owned())
        .bind(i64::from(response.status))
        .bind(response.content_type)
        .bind(response.body);
        match single.run(query).await? {
            0 => Err(wrong(single.act)(StoreErrorKind::NotFound("claim"))),
            _ => Ok(()),
        }
    }

    pub(crate) async fn forget(&self, scope: &str, key: &str) -> Result<(), StoreError> {
        let query = hot("DELETE FROM idempotency WHERE scope = ?1 AND key = ?2 AND status IS NULL")
            .bind(scope.to_owned())
            .bind(key.to_owned());
        self.write("abandon an idempotency key").run(query).await.map(drop)
    }
}

fn found(fields: Fields<'_>, fingerprint: B256) -> Read<IdempotencyClaim> {
    if fields.hash("fingerprint")? != fingerprint {
        return Ok(IdempotencyClaim::OtherRequest);
    }
    if fields.get::<Option<i64>>("status")?.is_none() {
        return Ok(IdempotencyClaim::Running);
    }
    Ok(IdempotencyClaim::Answered(StoredResponse {
        status: fields.narrow("status")?,
        content_type: fields.get("content_type")?,
        body: fields.get("body")?,
    }))
}
