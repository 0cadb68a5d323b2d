//! Subscriptions, and where each of them stands.

use async_trait::async_trait;
use inspay_ledger::{Renewal, Subscription};
use inspay_ports::{DuePlace, StoreError, SubscriptionStore};
use inspay_primitives::{AccountId, SubscriptionId, Timestamp};
use serde_json::json;
use sqlx::sqlite::SqliteRow;

use crate::{
    codec::{Fields, Read, all},
    error::wrong,
    session::hot,
    store::SqliteStore,
};

const OPEN: &str = "INSERT INTO subscription (id, account, plan, credits, every, keeps_cycles, priority, opened_at, \
         next_cycle, next_at, ended_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";

macro_rules! select_subscriptions {
    () => {
        "SELECT id, account, plan, credits, every, keeps_cycles, priority, opened_at, next_cycle, next_at, ended_at \
         FROM subscription "
    };
}

const ONE: &str = concat!(select_subscriptions!(), "WHERE id = ?1");

const OF_ACCOUNT: &str =
    concat!(select_subscriptions!(), "WHERE account = ?1 ORDER BY opened_at DESC, id DESC");

const END: &str = "UPDATE subscription SET ended_at = ?2, \
         next_at = CASE WHEN next_at < ?2 THEN next_at END WHERE id = ?1 AND ended_at IS NULL";

const DUE: &str = concat!(
    select_subscriptions!(),
    "WHERE next_at IS NOT NULL AND next_at <= ?1 AND (next_at, id) > (?2, ?3) ORDER BY next_at, id LIMIT ?4"
);

const RENEWED: &str = "UPDATE subscription SET next_cycle = wanted.to_cycle, \
         next_at = CASE WHEN subscription.ended_at IS NULL OR wanted.next_at < subscription.ended_at THEN wanted.next_at END \
     FROM (SELECT unhex(value ->> 0) AS id, value ->> 1 AS from_cycle, value ->> 2 AS to_cycle, value ->> 3 AS next_at \
         FROM json_each(?1)) AS wanted \
     WHERE subscription.id = wanted.id AND subscription.next_cycle = wanted.from_cycle";

#[async_trait]
impl SubscriptionStore for SqliteStore {
    async fn open_subscription(&self, subscription: Subscription) -> Result<(), StoreError> {
        let single = self.write("open a subscription");
        let query = hot(OPEN)
            .bind(subscription.id.uuid())
            .bind(subscription.account.to_string())
            .bind(subscription.plan.to_string())
            .bind(subscription.credits.micros())
            .bind(subscription.every.to_string())
            .bind(i64::from(subscription.keeps_cycles))
            .bind(i64::from(subscription.priority))
            .bind(subscription.opened_at.micros())
            .bind(i64::from(subscription.next_cycle))
            .bind(subscription.next_at.map(Timestamp::micros))
            .bind(subscription.ended_at.map(Timestamp::micros));
        single.run(query).await.map(drop)
    }

    async fn subscription(&self, id: SubscriptionId) -> Result<Option<Subscription>, StoreError> {
        let single = self.read("read a subscription");
        let row = single.row(hot(ONE).bind(id.uuid())).await?;
        row.as_ref().map(subscription).transpose().map_err(wrong(single.act))
    }

    async fn subscriptions(&self, account: &AccountId) -> Result<Vec<Subscription>, StoreError> {
        let single = self.read("list subscriptions");
        let rows = single.rows(hot(OF_ACCOUNT).bind(account.to_string())).await?;
        all(&rows, subscription).map_err(wrong(single.act))
    }

    async fn end_subscription(
        &self,
        id: SubscriptionId,
        at: Timestamp,
    ) -> Result<Option<Subscription>, StoreError> {
        let single = self.write("end a subscription");
        single.run(hot(END).bind(id.uuid()).bind(at.micros())).await?;
        self.subscription(id).await
    }

    async fn subscriptions_due(
        &self,
        now: Timestamp,
        after: Option<DuePlace>,
        limit: u32,
    ) -> Result<Vec<Subscription>, StoreError> {
        let single = self.read("find due subscriptions");
        let query = hot(DUE)
            .bind(now.micros())
            .bind(after.map_or(i64::MIN, |place| place.next_at.micros()))
            .bind(after.map(|place| place.id.uuid()).unwrap_or_default())
            .bind(i64::from(limit));
        all(&single.rows(query).await?, subscription).map_err(wrong(single.act))
    }

    async fn note_renewed(&self, renewals: Vec<Renewal>) -> Result<(), StoreError> {
        if renewals.is_empty() {
            return Ok(());
        }
        let single = self.write("note renewals");
        let wanted: Vec<_> = renewals
            .iter()
            .map(|renewal| {
                let id = renewal.subscription.uuid().simple().to_string();
                let next_at = renewal.next_at.map(Timestamp::micros);
                json!([id, renewal.from_cycle, renewal.to_cycle, next_at])
            })
            .collect();
        let query = hot(RENEWED).bind(serde_json::Value::from(wanted).to_string());
        single.run(query).await.map(drop)
    }
}

fn subscription(row: &SqliteRow) -> Read<Subscription> {
    let fields = Fields(row);
    let time = |column: &str| {
        fields.get::<Option<i64>>(column).map(|micros| micros.map(Timestamp::from_micros))
    };
    Ok(Subscription {
        id: fields.uuid("id").map(SubscriptionId::from_uuid)?,
        account: fields.account("account")?,
        plan: fields.parsed("plan")?,
        credits: fields.credits("credits")?,
        every: fields.parsed("every")?,
        keeps_cycles: fields.narrow("keeps_cycles")?,
        priority: fields.narrow("priority")?,
        opened_at: fields.time("opened_at")?,
        next_cycle: fields.narrow("next_cycle")?,
        next_at: time("next_at")?,
        ended_at: time("ended_at")?,
    })
}
