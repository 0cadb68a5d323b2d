//! Rates as they were observed.
//!
//! A sample is evidence of a price: never changed, never dropped.

use inspay_ports::StoreError;
use inspay_primitives::{AssetId, Timestamp};
use inspay_quoting::{RateSample, SourceKind};
use sqlx::postgres::PgRow;

use crate::{
    codec::{Fields, Read, all},
    columns::chain,
    error::wrong,
    store::PostgresStore,
};

const KEEP: &str = "INSERT INTO rate_sample (chain_id, token, observed_at, source, kind, rate, valid_until) \
     SELECT chain_id, token, observed_at, source, kind, rate::numeric, valid_until \
     FROM UNNEST($1::bigint[], $2::bytea[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::bigint[]) \
     AS row(chain_id, token, observed_at, source, kind, rate, valid_until) \
     ON CONFLICT DO NOTHING";

const FIND: &str = "SELECT found.source, found.kind, found.rate::text AS rate, found.observed_at, found.valid_until \
     FROM UNNEST($1::bigint[], $2::bytea[], $3::bigint[]) WITH ORDINALITY \
     AS wanted(chain_id, token, at, place) \
     LEFT JOIN LATERAL (\
         SELECT r.source, r.kind, r.rate, r.observed_at, r.valid_until FROM rate_sample r \
         WHERE r.chain_id = wanted.chain_id AND r.token = wanted.token AND r.observed_at <= wanted.at \
         ORDER BY r.observed_at DESC, r.source LIMIT 1) AS found ON TRUE \
     ORDER BY wanted.place";

const KINDS: [SourceKind; 5] = [
    SourceKind::Fixed,
    SourceKind::Http,
    SourceKind::Feed,
    SourceKind::PoolTwap,
    SourceKind::PoolSpot,
];

impl PostgresStore {
    pub(crate) async fn keep_rates(
        &self,
        samples: Vec<(AssetId, RateSample)>,
    ) -> Result<(), StoreError> {
        let single = self.paged("save rates");
        if samples.is_empty() {
            return Ok(());
        }
        let chains: Vec<i64> = samples
            .iter()
            .map(|(asset, _)| chain(asset.chain_id))
            .collect::<Result<_, _>>()
            .map_err(wrong(single.act))?;
        let of = |read: fn(&RateSample) -> String| -> Vec<String> {
            samples.iter().map(|(_, sample)| read(sample)).collect()
        };
        let valid_until =
            samples.iter().map(|(_, sample)| sample.valid_until.map(Timestamp::micros));
        let query = sqlx::query(KEEP)
            .bind(chains)
            .bind(samples.iter().map(|(asset, _)| asset.contract.as_slice()).collect::<Vec<_>>())
            .bind(samples.iter().map(|(_, row)| row.observed_at.micros()).collect::<Vec<_>>())
            .bind(of(|sample| sample.source.clone()))
            .bind(of(|sample| sample.kind.to_string()))
            .bind(of(|sample| sample.rate.to_string()))
            .bind(valid_until.collect::<Vec<_>>());
        single.run(query).await.map(drop)
    }

    pub(crate) async fn find_rates(
        &self,
        wanted: Vec<(AssetId, Timestamp)>,
    ) -> Result<Vec<Option<RateSample>>, StoreError> {
        let single = self.paged("find rates");
        let chains: Vec<i64> = wanted
            .iter()
            .map(|(asset, _)| chain(asset.chain_id))
            .collect::<Result<_, _>>()
            .map_err(wrong(single.act))?;
        let tokens: Vec<&[u8]> =
            wanted.iter().map(|(asset, _)| asset.contract.as_slice()).collect();
        let times: Vec<i64> = wanted.iter().map(|(_, at)| at.micros()).collect();
        let rows = single.rows(sqlx::query(FIND).bind(chains).bind(tokens).bind(times)).await?;
        all(&rows, sample).map_err(wrong(single.act))
    }
}

fn sample(row: &PgRow) -> Read<Option<RateSample>> {
    let fields = Fields(row);
    let Some(source) = fields.get::<Option<String>>("source")? else { return Ok(None) };
    let kind = |text: &str| KINDS.into_iter().find(|kind| kind.to_string() == text);
    Ok(Some(RateSample {
        source,
        kind: fields.text("kind", kind)?,
        rate: fields.rate("rate")?,
        observed_at: fields.time("observed_at")?,
        valid_until: fields.get::<Option<i64>>("valid_until")?.map(Timestamp::from_micros),
    }))
}
