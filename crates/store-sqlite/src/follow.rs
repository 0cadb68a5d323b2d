//! What the follower of a chain keeps.
//!
//! The cursor is moved first, so a follower that was overtaken changes nothing.

use std::collections::HashMap;

use async_trait::async_trait;
use inspay_ports::{
    AppliedBlock, BlocksCommit, ChainTags, CursorRecord, FollowStore, Proof, RangeCommit, Rewind,
    StoreError, StoreErrorKind, WindowBlock,
};
use inspay_primitives::{BlockRef, ChainId, FencingNumber, Transfer, TransferId};

use crate::{
    bulk::{Bulk, Row},
    codec::{Fields, Read, all},
    columns::{big, chain, height},
    error::{TRANSFER, wrong},
    script::Script,
    session::{Session, hot},
    store::SqliteStore,
    transfers::{Known, add_new_transfers, keep_left_out, replace_transfers},
};

const CURSOR: &str = "SELECT chain_id, start_number, tip_number, tip_hash, tip_time, safe_number, finalized_number, \
     audited_to, epoch, revision FROM cursor WHERE chain_id = ?1";

const WINDOW: &str = "SELECT number, hash, block_time, proof FROM block \
     WHERE chain_id = ?1 AND canonical = 1 ORDER BY number";

/// Moves the cursor from the revision it must be at, under the holding that it must be held by. At another revision its
/// revision would be nothing, under another holding its fencing number, which the table refuses: the statements behind
/// it do not run then.
const MOVE_CURSOR: &str = "UPDATE cursor SET start_number = ?, tip_number = ?, tip_hash = ?, tip_time = ?, \
     safe_number = ?, finalized_number = ?, audited_to = ?, epoch = ?, \
     fencing = CASE WHEN fencing = ? THEN fencing END, \
     revision = CASE WHEN fencing <> ? OR revision = ? THEN ? END WHERE chain_id = ?";

/// The first cursor of a chain, under the present holding of its lease; under another one its fencing number would be
/// nothing.
const FIRST_CURSOR: &str = "INSERT INTO cursor (start_number, tip_number, tip_hash, tip_time, \
     safe_number, finalized_number, audited_to, epoch, fencing, revision, chain_id) \
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, CASE COALESCE((SELECT fencing FROM lease WHERE chain_id = ?), 0) \
     WHEN ? THEN ? END, ?, ?)";

const PRUNE_BLOCKS: &str = "DELETE FROM block WHERE chain_id = ? AND number < ?";

const PRUNE_WINDOW: &str = "DELETE FROM block WHERE chain_id = ?1";

/// Takes the blocks above a height off the chain, and another one at it.
const FLIP_BLOCKS_ABOVE: &str = "UPDATE block SET canonical = 0 WHERE chain_id = ?1 AND canonical = 1 \
     AND number >= ?2 AND (number > ?2 OR hash <> ?3)";

/// Takes the transfers in them off the chain.
const FLIP_TRANSFERS_ABOVE: &str = "UPDATE transfer SET canonical = 0 WHERE chain_id = ?1 AND block_number >= ?2 \
     AND canonical = 1 AND (block_number > ?2 OR block_hash <> ?3)";

/// Up to as many blocks and transfers are committed by one script.
const SCRIPT_ROWS_MAX: usize = 8;

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

    async fn rewind(&self, rewind: Rewind) -> Result<(), StoreError> {
        let mut session = self.begin("take blocks off the chain").await?;
        let wrong = wrong(session.act);
        let CursorRecord { chain_id, tip, .. } = rewind.cursor;
        let expected = Some(rewind.expected_revision);
        move_cursor(&mut session, expected, rewind.fencing, &rewind.cursor).await?;
        for flip in [FLIP_BLOCKS_ABOVE, FLIP_TRANSFERS_ABOVE] {
            let flip = hot(flip)
                .bind(chain(chain_id).map_err(&wrong)?)
                .bind(height(tip.number))
                .bind(tip.hash.to_vec());
            session.run(flip).await?;
        }
        let tip = AppliedBlock { block: tip, proof: Proof::Range, transfers: Vec::new() };
        record_blocks(&mut session, chain_id, &[tip], 0).await?;
        session.commit().await
    }
}

impl SqliteStore {
    /// What the follower commits is read again from the chain where it is lost, so its commits do not wait for the
    /// disk; what the books commit after it does, and makes it last too.
    async fn try_blocks(&self, commit: &BlocksCommit, known: Known) -> Result<(), StoreError> {
        let mut session = self.begin_relaxed("commit blocks").await?;
        let chain_id = commit.cursor.chain_id;
        let transfers = commit.added.iter().flat_map(|block| &block.transfers);
        let seen = distinct(chain_id, transfers).map_err(wrong(session.act))?;
        let is_small = seen.len().max(commit.added.len()) <= SCRIPT_ROWS_MAX;
        if is_small && known == Known::None {
            let script = script(commit, &seen).map_err(wrong(session.act))?;
            let changed = session.script(script).await?;
            if changed.first() != Some(&1) {
                return Err(wrong(session.act)(StoreErrorKind::CursorMoved));
            }
            return session.commit().await;
        }
        move_cursor(&mut session, commit.expected_revision, commit.fencing, &commit.cursor).await?;
        replace_transfers(&mut session, chain_id, &commit.orphaned, seen, known).await?;
        keep_left_out(&mut session, chain_id, &commit.read_again()).await?;
        record_blocks(&mut session, chain_id, &commit.added, commit.window_from).await?;
        session.commit().await
    }

    async fn try_range(&self, commit: &RangeCommit, known: Known) -> Result<(), StoreError> {
        let mut session = self.begin_relaxed("commit a range").await?;
        move_cursor(&mut session, commit.expected_revision, commit.fencing, &commit.cursor).await?;
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

pub(crate) fn cursor(fields: Fields<'_>) -> Read<CursorRecord> {
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
    fencing: FencingNumber,
    cursor: &CursorRecord,
) -> Result<(), StoreError> {
    let mut script = Script::default();
    add_cursor(&mut script, expected, fencing, cursor).map_err(wrong(session.act))?;
    let changed = session.script(script).await?;
    if changed.first() == Some(&1) {
        return Ok(());
    }
    Err(wrong(session.act)(StoreErrorKind::CursorMoved))
}

/// The statement that moves the cursor: it changes one row, or the cursor is not where it must be.
fn add_cursor(
    script: &mut Script,
    expected: Option<i64>,
    fencing: FencingNumber,
    cursor: &CursorRecord,
) -> Result<(), StoreErrorKind> {
    let heights = [
        big("safe block", cursor.tags.safe_number)?,
        big("finalized block", cursor.tags.finalized_number)?,
        big("audited block", cursor.audited_to)?,
    ];
    let start_number = big("start block", cursor.start_number)?;
    let tip_number = big("tip", cursor.tip.number)?;
    let chain_number = chain(cursor.chain_id)?;
    let statement = if expected.is_some() { MOVE_CURSOR } else { FIRST_CURSOR };
    script.add(statement, |row| {
        row.put(start_number)
            .put(tip_number)
            .put(cursor.tip.hash.to_vec())
            .put(cursor.tip.time.micros());
        for height in heights {
            row.put(height);
        }
        row.put(cursor.epoch);
        match expected {
            Some(expected) => row.put(fencing.0).put(fencing.0).put(expected),
            None => row.put(chain_number).put(fencing.0).put(fencing.0),
        };
        row.put(cursor.revision).put(chain_number);
    });
    Ok(())
}

/// A small commit of blocks that are read for the first time. Its first statement moves the cursor.
fn script(
    commit: &BlocksCommit,
    seen: &[(TransferId, &Transfer)],
) -> Result<Script, StoreErrorKind> {
    let chain_id = commit.cursor.chain_id;
    let chain_number = chain(chain_id)?;
    let mut script = Script::default();
    add_cursor(&mut script, commit.expected_revision, commit.fencing, &commit.cursor)?;
    add_new_transfers(&mut script, chain_id, seen)?;
    script.add(PRUNE_BLOCKS, |row| {
        row.put(chain_number).put(height(commit.window_from));
    });
    let blocks = window_rows(chain_number, &commit.added, commit.window_from)?;
    script.bulk(&RECORD_BLOCKS, &blocks, bind_block);
    Ok(script)
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
    let rows = window_rows(chain_number, added, window_from).map_err(&wrong)?;
    session.bulk(&RECORD_BLOCKS, &rows, bind_block).await.map(drop)
}

/// A block with the numbers that its columns take: of its chain, and its own.
type WindowRow<'a> = (i64, i64, &'a AppliedBlock);

fn window_rows(
    chain_number: i64,
    added: &[AppliedBlock],
    window_from: u64,
) -> Result<Vec<WindowRow<'_>>, StoreErrorKind> {
    added
        .iter()
        .filter(|applied| applied.block.number >= window_from)
        .map(|applied| Ok((chain_number, big("block number", applied.block.number)?, applied)))
        .collect()
}

fn bind_block((chain_number, number, applied): &WindowRow<'_>, row: &mut Row) {
    row.put(*chain_number)
        .put(*number)
        .put(applied.block.hash.as_slice())
        .put(applied.block.time.micros())
        .put(applied.proof.as_str())
        .put(true);
}
