//! Halts: of which assets nothing is credited.
//!
//! The head of the journal is locked first: batches of the books come before a halt or after it, never beside it.

use std::collections::BTreeSet;

use async_trait::async_trait;
use inspay_ledger::TransferRecord;
use inspay_ports::{AssetHalt, HaltStore, HaltsCommit, StoreError, StoreErrorKind};
use inspay_primitives::{AssetId, ChainId};

use crate::{
    cases::{open_cases, resolve_cases},
    codec::{Fields, all, transfer_columns, transfer_record, transfer_with_settlement},
    columns::{big, chain},
    error::wrong,
    load::lock_head,
    store::PostgresStore,
};

/// Whether the asset of a row, which has a `chain_id` and a `token`, is halted. Not asked row by row: what is halted is
/// read once, and there are few of them.
macro_rules! is_halted {
    ($row:literal) => {
        concat!(
            "(",
            $row,
            ".chain_id, ",
            $row,
            ".token) IN (SELECT h.chain_id, h.token FROM asset_halt h)"
        )
    };
}
pub(crate) use is_halted;

const HALTS: &str = "SELECT chain_id, token, treasury, halted_at, found_at, why FROM asset_halt WHERE chain_id = $1 \
     ORDER BY token, treasury";

const WAITING: &str = concat!(
    "SELECT ",
    transfer_columns!(),
    " FROM ",
    transfer_with_settlement!(),
    " WHERE t.chain_id = $1 AND t.needs_work AND NOT t.settled AND ",
    is_halted!("t"),
    " ORDER BY t.block_number, t.log_index LIMIT $2",
);

/// The holding cannot be taken over before the commit.
const HOLDING: &str = "SELECT fencing FROM lease WHERE chain_id = $1 FOR KEY SHARE";

const HALT: &str = "INSERT INTO asset_halt (chain_id, token, treasury, halted_at, found_at, why) \
     VALUES ($1, $2, $3, $4, $5, $6) \
     ON CONFLICT (chain_id, token, treasury) DO UPDATE SET found_at = EXCLUDED.found_at, why = EXCLUDED.why";

const LIFT: &str = "DELETE FROM asset_halt WHERE chain_id = $1 AND token = $2 AND treasury = $3";

#[async_trait]
impl HaltStore for PostgresStore {
    async fn halts(&self, chain_id: ChainId) -> Result<Vec<AssetHalt>, StoreError> {
        let single = self.paged("read halts");
        let wrong = wrong(single.act);
        let query = sqlx::query(HALTS).bind(chain(chain_id).map_err(&wrong)?);
        all(&single.rows(query).await?, |row| {
            let fields = Fields(row);
            Ok(AssetHalt {
                asset: AssetId { chain_id, contract: fields.address("token")? },
                treasury: fields.address("treasury")?,
                halted_at: fields.time("halted_at")?,
                found_at: fields.narrow("found_at")?,
                why: fields.get("why")?,
            })
        })
        .map_err(&wrong)
    }

    async fn halted_transfers(
        &self,
        chain_id: ChainId,
        limit: u32,
    ) -> Result<Vec<TransferRecord>, StoreError> {
        let single = self.paged("read halted transfers");
        let wrong = wrong(single.act);
        let query =
            sqlx::query(WAITING).bind(chain(chain_id).map_err(&wrong)?).bind(i64::from(limit));
        all(&single.rows(query).await?, transfer_record).map_err(&wrong)
    }

    async fn commit_halts(&self, commit: HaltsCommit) -> Result<(), StoreError> {
        let mut session = self.begin_paged("commit halts").await?;
        let wrong = wrong(session.act);
        lock_head(&mut session, &BTreeSet::new()).await?;
        let chain_number = chain(commit.fence.chain_id).map_err(&wrong)?;
        let rows = session.rows(sqlx::query(HOLDING).bind(chain_number)).await?;
        let holding = rows.first().map_or(Ok(0), |row| Fields(row).get("fencing"));
        if holding.map_err(&wrong)? != commit.fence.number.0 {
            return Err(wrong(StoreErrorKind::Fenced));
        }
        for (asset, treasury) in &commit.lifted {
            let lift = sqlx::query(LIFT)
                .bind(chain(asset.chain_id).map_err(&wrong)?)
                .bind(asset.contract.as_slice())
                .bind(treasury.as_slice());
            session.run(lift).await?;
        }
        for halt in &commit.halted {
            let begin = sqlx::query(HALT)
                .bind(chain(halt.asset.chain_id).map_err(&wrong)?)
                .bind(halt.asset.contract.as_slice())
                .bind(halt.treasury.as_slice())
                .bind(halt.halted_at.micros())
                .bind(big("block", halt.found_at).map_err(&wrong)?)
                .bind(&halt.why);
            session.run(begin).await?;
        }
        resolve_cases(&mut session, &commit.resolved).await?;
        open_cases(&mut session, &commit.opened).await?;
        session.commit().await
    }
}
