//! What selling keeps: quotes and keys here, the rest in modules of their own.
//!
//! Never checks before it writes: uniqueness is the database's work.

use async_trait::async_trait;
use inspay_ports::{
    ApiKeyRecord, IdempotencyClaim, KeyScope, NewOrder, OrderFilter, Page, SaleStore, StoreError,
    StoreErrorKind, StoredQuote, StoredResponse,
};
use inspay_primitives::{AccountId, Address, AssetId, B256, Order, OrderId, QuoteId, Timestamp};
use inspay_quoting::RateSample;
use sqlx::sqlite::SqliteRow;

use crate::{
    codec::{Fields, Read, all},
    error::wrong,
    idempotency::Claim,
    session::{cold, hot},
    store::SqliteStore,
};

#[async_trait]
impl SaleStore for SqliteStore {
    async fn save_quote(&self, quote: StoredQuote) -> Result<(), StoreError> {
        let query =
            hot("INSERT INTO quote (id, created_at, expires_at, body) VALUES (?1, ?2, ?3, ?4)")
                .bind(quote.id.uuid())
                .bind(quote.created_at.micros())
                .bind(quote.expires_at.micros())
                .bind(quote.body_json);
        self.write("save a quote").run(query).await.map(drop)
    }

    async fn quote(&self, id: QuoteId) -> Result<Option<StoredQuote>, StoreError> {
        let single = self.read("read a quote");
        let query =
            hot("SELECT id, created_at, expires_at, body FROM quote WHERE id = ?1").bind(id.uuid());
        single
            .row(query)
            .await?
            .map(|row| {
                let fields = Fields(&row);
                Ok(StoredQuote {
                    id: QuoteId::from_uuid(fields.uuid("id")?),
                    created_at: fields.time("created_at")?,
                    expires_at: fields.time("expires_at")?,
                    body_json: fields.get("body")?,
                })
            })
            .transpose()
            .map_err(wrong(single.act))
    }

    async fn create_order(&self, order: NewOrder) -> Result<Order, StoreError> {
        self.make_order(order).await
    }

    async fn order(&self, id: OrderId) -> Result<Option<Order>, StoreError> {
        self.one_order(id).await
    }

    async fn orders(
        &self,
        filter: OrderFilter,
        page: Page,
    ) -> Result<Vec<(i64, Order)>, StoreError> {
        self.list_orders(filter, page).await
    }

    async fn held_slots(&self, asset: AssetId, treasury: Address) -> Result<u64, StoreError> {
        self.count_held_slots(asset, treasury).await
    }

    async fn unpaid_orders(&self, account: &AccountId) -> Result<u64, StoreError> {
        self.count_unpaid_orders(account).await
    }

    async fn save_rates(&self, samples: Vec<(AssetId, RateSample)>) -> Result<(), StoreError> {
        self.keep_rates(samples).await
    }

    async fn rates_at(
        &self,
        wanted: Vec<(AssetId, Timestamp)>,
    ) -> Result<Vec<Option<RateSample>>, StoreError> {
        self.find_rates(wanted).await
    }

    async fn create_key(&self, key: ApiKeyRecord) -> Result<(), StoreError> {
        let query = hot(
            "INSERT INTO api_key (label, hash, scope, created_at, revoked_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        )
        .bind(key.label)
        .bind(key.hash.to_vec())
        .bind(key.scope.to_text())
        .bind(key.created_at.micros())
        .bind(key.revoked_at.micros());
        self.write("create a key").run(query).await.map(drop)
    }

    async fn key(&self, hash: B256) -> Result<Option<ApiKeyRecord>, StoreError> {
        let single = self.read("read a key");
        let query =
            hot("SELECT label, hash, scope, created_at, revoked_at FROM api_key WHERE hash = ?1")
                .bind(hash.to_vec());
        let row = single.row(query).await?;
        row.as_ref().map(api_key).transpose().map_err(wrong(single.act))
    }

    async fn keys(&self) -> Result<Vec<ApiKeyRecord>, StoreError> {
        let single = self.read("list the keys");
        let query = cold(
            "SELECT label, hash, scope, created_at, revoked_at FROM api_key ORDER BY created_at, label",
        );
        all(&single.rows(query).await?, api_key).map_err(wrong(single.act))
    }

    async fn revoke_key(&self, label: &str, at: Timestamp) -> Result<(), StoreError> {
        let single = self.write("revoke a key");
        let query = hot(
            "UPDATE api_key SET revoked_at = CASE WHEN revoked_at = ?3 THEN ?2 ELSE revoked_at END \
             WHERE label = ?1",
        )
        .bind(label.to_owned())
        .bind(at.micros())
        .bind(Timestamp::FAR.micros());
        match single.run(query).await? {
            0 => Err(wrong(single.act)(StoreErrorKind::NotFound("key"))),
            _ => Ok(()),
        }
    }

    async fn claim_idempotency(
        &self,
        scope: &str,
        key: &str,
        fingerprint: B256,
        now: Timestamp,
        stale_before: Timestamp,
    ) -> Result<IdempotencyClaim, StoreError> {
        self.claim(Claim { scope, key, fingerprint, now, stale_before }).await
    }

    async fn answer_idempotency(
        &self,
        scope: &str,
        key: &str,
        response: StoredResponse,
    ) -> Result<(), StoreError> {
        self.answer(scope, key, response).await
    }

    async fn abandon_idempotency(&self, scope: &str, key: &str) -> Result<(), StoreError> {
        self.forget(scope, key).await
    }
}

fn api_key(row: &SqliteRow) -> Read<ApiKeyRecord> {
    let fields = Fields(row);
    Ok(ApiKeyRecord {
        label: fields.get("label")?,
        hash: fields.hash("hash")?,
        scope: fields.text("scope", KeyScope::parse)?,
        created_at: fields.time("created_at")?,
        revoked_at: fields.time("revoked_at")?,
    })
}
