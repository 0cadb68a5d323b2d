//! What the follower of a chain keeps.
//!
//! The cursor is moved first, so a follower that was overtaken changes nothing.

use std::collections::HashMap;

use async_trait::async_trait;
use inspay_ports::{
    AppliedBlock, BlocksCommit, ChainTags, CursorRecord, FollowStore, Proof, RangeCommit,
    StoreError, StoreErrorKind, WindowBlock,
};
use inspay_primitives::{BlockRef, ChainId, Transfer, TransferId};

use crate::{
    bulk::{Bulk, Row},
    codec::{Fields, Read, all},
    columns::{big, chain, height},
    error::{TRANSFER, wrong},
    session::{Session, hot},
    store::SqliteStore,
    transfers::{Known, replace_transfers},
};

const CURSOR: &str = "SELECT chain_id, start_number, tip_number, tip_hash, tip_time, safe_number, finalized_number, \
     audited_to, epoch, revision FROM cursor WHERE chain_id = ?1";

const WINDOW: &str = "SELECT number, hash, block_time, proof FROM block \
     WHERE chain_id = ?1 AND canonical = 1 ORDER BY number";

/// Moves the cursor from the revision it must be at.
const MOVE_CURSOR: &str = "UPDATE cursor SET start_number = ?3, tip_number = ?4, tip_hash = ?5, tip_time = ?6, \
     safe_number = ?7, finalized_number = ?8, audited_to = ?9, epoch = ?10, revision = ?11 \
     WHERE chain_id = ?1 AND revision = ?2";

/// The first cursor of a chain; the second bind keeps the numbering of [`MOVE_CURSOR`].
const FIRST_CURSOR: &str = "INSERT INTO cursor (chain_id, start_number, tip_number, tip_hash, tip_time, \
     safe_number, finalized_number, audited_to, epoch, revision) \
     SELECT ?1, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11 WHERE ?2 IS NULL \
     ON CONFLICT (chain_id) DO NOTHING";

const PRUNE_BLOCKS: &str = "DELETE FROM block WHERE chain_id = ?1 AND number < ?2";

const PRUNE_WINDOW: &str = "DELETE FROM block WHERE chain_id = ?1";

/// Adds blocks to the window.
const RECORD_BLOCKS: Bulk = Bulk {
    before: "INSERT INTO block (chain_id, number, hash, block_time, proof, canonical) VALUES ",
    columns: 6,
    after: " ON CONFLICT (chain_id, hash) DO UPDATE SET canonical = 1, proof = excluded.proof",
};

#[async_trait]
impl FollowStore for SqliteStore {
    async fn cursor(&self, chain_id: ChainId) -> Result<Option<CursorRecord>, StoreError> {
        let single = self.read("read the cursor");
        let wrong = wrong(single.act);
        let query = hot(CURSOR).bind(chain(chain_id).map_err(&wrong)?);
        let row = single.row(query).await?;
        row.map(|row| cursor(Fields(&row))).transpose().map_err(&wrong)
    }

    async fn window(&self, chain_id: ChainId) -> Result<Vec<WindowBlock>, StoreError> {
        let single = self.read("read the window");
        let wrong = wrong(single.act);
        let query = hot(WINDOW).bind(chain(chain_id).map_err(&wrong)?);
        let rows = single.rows(query).await?;
        all(&rows, |row| {
            let fields = Fields(row);
            let block = BlockRef {
                number: fields.narrow("number")?,
                hash: fields.hash("hash")?,
                time: fields.time("block_time")?,
            };
            Ok(WindowBlock { block, proof: fields.text("proof", Proof::parse)? })
        })
        .map_err(&wrong)
    }

    async fn commit_blocks(&self, commit: BlocksCommit) -> Result<(), StoreError> {
        // What is mined again after a change of branch is known; else nearly nothing is.
        if commit.orphaned.is_empty() {
            match self.try_blocks(&commit, Known::None).await {
                Err(StoreError { kind: StoreErrorKind::Exists(TRANSFER), .. }) => {}
                tried => return tried,
            }
        }
        self.try_blocks(&commit, Known::Some).await
    }

    async fn commit_range(&self, commit: RangeCommit) -> Result<(), StoreError> {
        match self.try_range(&commit, Known::None).await {
            Err(StoreError { kind: StoreErrorKind::Exists(TRANSFER), .. }) => {
                self.try_range(&commit, Known::Some).await
            }
            tried => tried,
        }
    }
}

impl SqliteStore {
    async fn try_blocks(&self, commit: &BlocksCommit, known: Known) -> Result<(), StoreError> {
        let mut session = self.begin("commit blocks").await?;
        move_cursor(&mut session, commit.expected_revision, &commit.cursor).await?;
        let transfers = commit.added.iter().flat_map(|block| &block.transfers);
        let chain_id = commit.cursor.chain_id;
        let seen = distinct(chain_id, transfers).map_err(wrong(session.act))?;
        replace_transfers(&mut session, chain_id, &commit.orphaned, seen, known).await?;
        record_blocks(&mut session, chain_id, &commit.added, commit.window_from).await?;
        session.commit().await
    }

    async fn try_range(&self, commit: &RangeCommit, known: Known) -> Result<(), StoreError> {
        let mut session = self.begin("commit a range").await?;
        move_cursor(&mut session, commit.expected_revision, &commit.cursor).await?;
        let CursorRecord { chain_id, tip, .. } = commit.cursor;
        let seen = distinct(chain_id, &commit.transfers).map_err(wrong(session.act))?;
        replace_transfers(&mut session, chain_id, &[], seen, known).await?;
        // Below finality nothing is compared block by block: the window starts anew at the span's end.
        let chain_number = chain(chain_id).map_err(wrong(session.act))?;
        session.run(hot(PRUNE_WINDOW).bind(chain_number)).await?;
        let tip = AppliedBlock { block: tip, proof: Proof::Range, transfers: Vec::new() };
        record_blocks(&mut session, chain_id, &[tip], 0).await?;
        session.commit().await
    }
}

fn cursor(fields: Fields<'_>) -> Read<CursorRecord> {
    Ok(CursorRecord {
        chain_id: ChainId(fields.narrow("chain_id")?),
        start_number: fields.narrow("start_number")?,
        tip: BlockRef {
            number: fields.narrow("tip_number")?,
            hash: fields.hash("tip_hash")?,
            time: fields.time("tip_time")?,
        },
        tags: ChainTags {
            safe_number: fields.narrow("safe_number")?,
            finalized_number: fields.narrow("finalized_number")?,
        },
        audited_to: fields.narrow("audited_to")?,
        epoch: fields.get("epoch")?,
        revision: fields.get("revision")?,
    })
}

async fn move_cursor(
    session: &mut Session,
    expected: Option<i64>,
    cursor: &CursorRecord,
) -> Result<(), StoreError> {
    let wrong = wrong(session.act);
    let statement = if expected.is_some() { MOVE_CURSOR } else { FIRST_CURSOR };
    let query = hot(statement)
        .bind(chain(cursor.chain_id).map_err(&wrong)?)
        .bind(expected)
        .bind(big("start block", cursor.start_number).map_err(&wrong)?)
        .bind(big("tip", cursor.tip.number).map_err(&wrong)?)
        .bind(cursor.tip.hash.to_vec())
        .bind(cursor.tip.time.micros())
        .bind(big("safe block", cursor.tags.safe_number).map_err(&wrong)?)
        .bind(big("finalized block", cursor.tags.finalized_number).map_err(&wrong)?)
        .bind(big("audited block", cursor.audited_to).map_err(&wrong)?)
        .bind(cursor.epoch)
        .bind(cursor.revision);
    match session.run(query).await? {
        0 => Err(wrong(StoreErrorKind::CursorMoved)),
        _ => Ok(()),
    }
}

/// Each transfer once, in the order given. The same one twice at one place is one; at two places no chain
/// holds it.
fn distinct<'a>(
    chain_id: ChainId,
    transfers: impl IntoIterator<Item = &'a Transfer>,
) -> Result<Vec<(TransferId, &'a Transfer)>, StoreErrorKind> {
    let mut known: HashMap<TransferId, &Transfer> = HashMap::new();
    let mut distinct = Vec::new();
    for transfer in transfers {
        let id = transfer.key.id();
        if transfer.key.chain_id != chain_id {
            let why = format!("{id} is of chain {}, not {chain_id}", transfer.key.chain_id);
            return Err(StoreErrorKind::Refused(why));
        }
        match known.insert(id, transfer) {
            None => distinct.push((id, transfer)),
            Some(earlier) if earlier == transfer => {}
            Some(_) => {
                return Err(StoreErrorKind::Refused(format!("{id} is given twice, differently")));
            }
        }
    }
    Ok(distinct)
}

async fn record_blocks(
    session: &mut Session,
    chain_id: ChainId,
    added: &[AppliedBlock],
    window_from: u64,
) -> Result<(), StoreError> {
    let wrong = wrong(session.act);
    let chain_number = chain(chain_id).map_err(&wrong)?;
    let prune = hot(PRUNE_BLOCKS).bind(chain_number).bind(height(window_from));
    session.run(prune).await?;
    let rows: Vec<(i64, i64, &AppliedBlock)> = added
        .iter()
        .filter(|applied| applied.block.number >= window_from)
        .map(|applied| Ok((chain_number, big("block number", applied.block.number)?, applied)))
        .collect::<Result<_, _>>()
        .map_err(&wrong)?;
    session.bulk(&RECORD_BLOCKS, &rows, bind_block).await.map(drop)
}

fn bind_block((chain_number, number, applied): &(i64, i64, &AppliedBlock), row: &mut Row) {
    row.put(*chain_number)
        .put(*number)
        .put(applied.block.hash.as_slice())
        .put(applied.block.time.micros())
        .put(applied.proof.as_str())
        .put(true);
}
