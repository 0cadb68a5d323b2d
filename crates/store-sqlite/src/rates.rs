//! Rates as they were observed.
//!
//! A sample is evidence of a price: never changed, never dropped.

use std::collections::HashSet;

use inspay_ports::StoreError;
use inspay_primitives::{AssetId, Timestamp};
use inspay_quoting::{RateSample, SourceKind};
use serde_json::json;
use sqlx::sqlite::SqliteRow;

use crate::{
    bulk::{Bulk, Row},
    codec::{Fields, Read, all},
    columns::{chain, json_list},
    error::wrong,
    session::hot,
    store::SqliteStore,
};

const KEEP: Bulk = Bulk {
    before: "WITH told (chain_id, token, observed_at, source, kind, rate, valid_until) AS (VALUES ",
    columns: 7,
    after: ") INSERT INTO rate_sample (chain_id, token, observed_at, source, kind, rate, valid_until) \
         SELECT chain_id, token, observed_at, source, kind, rate, valid_until FROM told \
         WHERE NOT EXISTS (SELECT 1 FROM rate_sample r \
             WHERE r.chain_id = told.chain_id AND r.token = told.token \
             AND r.observed_at = told.observed_at AND r.source = told.source)",
};

/// The newest sample at or before each time wanted; at one time, the source whose name sorts first.
const FIND: &str = "SELECT found.source, found.kind, found.rate, found.observed_at, found.valid_until \
     FROM json_each(?1) AS wanted LEFT JOIN rate_sample found \
     ON found.chain_id = wanted.value ->> 0 AND found.token = unhex(wanted.value ->> 1) \
     AND (found.observed_at, found.source) = (\
         SELECT r.observed_at, r.source FROM rate_sample r \
         WHERE r.chain_id = wanted.value ->> 0 AND r.token = unhex(wanted.value ->> 1) \
         AND r.observed_at <= wanted.value ->> 2 \
         ORDER BY r.observed_at DESC, r.source LIMIT 1) \
     ORDER BY wanted.key";

const KINDS: [SourceKind; 5] = [
    SourceKind::Fixed,
    SourceKind::Http,
    SourceKind::Feed,
    SourceKind::PoolTwap,
    SourceKind::PoolSpot,
];

impl SqliteStore {
    pub(crate) async fn keep_rates(
        &self,
        samples: Vec<(AssetId, RateSample)>,
    ) -> Result<(), StoreError> {
        if samples.is_empty() {
            return Ok(());
        }
        let mut session = self.begin("save rates").await?;
        let mut told = HashSet::new();
        let rows: Vec<(i64, &AssetId, &RateSample)> = samples
            .iter()
            .filter(|(asset, sample)| told.insert((asset, sample.observed_at, &sample.source)))
            .map(|(asset, sample)| Ok((chain(asset.chain_id)?, asset, sample)))
            .collect::<Result<_, _>>()
            .map_err(wrong(session.act))?;
        session.bulk(&KEEP, &rows, bind).await?;
        session.commit().await
    }

    pub(crate) async fn find_rates(
        &self,
        wanted: Vec<(AssetId, Timestamp)>,
    ) -> Result<Vec<Option<RateSample>>, StoreError> {
        let single = self.read("find rates");
        let wanted = wanted
            .iter()
            .map(|(asset, at)| {
                let chain_number = chain(asset.chain_id)?;
                Ok(json!([chain_number, hex::encode(asset.contract), at.micros()]))
            })
            .collect::<Result<_, _>>()
            .map_err(wrong(single.act))?;
        let rows = single.rows(hot(FIND).bind(json_list(wanted))).await?;
        all(&rows, sample).map_err(wrong(single.act))
    }
}

fn bind((chain_number, asset, sample): &(i64, &AssetId, &RateSample), row: &mut Row) {
    row.put(*chain_number)
        .put(asset.contract.as_slice())
        .put(sample.observed_at.micros())
        .put(sample.source.as_str())
        .put(sample.kind.to_string())
        .put(sample.rate.to_string())
        .put(sample.valid_until.map(Timestamp::micros));
}

fn sample(row: &SqliteRow) -> Read<Option<RateSample>> {
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
