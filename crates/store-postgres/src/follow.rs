//! What the follower of a chain keeps.
//!
//! The cursor's row is locked first, so two followers of one chain are ordered by it; transfers that exist
//! already are locked next, in the order of their ids as the books lock them, so that neither waits for the
//! other in a circle.

use std::collections::HashMap;

use async_trait::async_trait;
use inspay_ports::{
    AppliedBlock, BlocksCommit, ChainTags, CursorRecord, FollowStore, Proof, RangeCommit, Rewind,
    StoreError, StoreErrorKind, WindowBlock,
};
use inspay_primitives::{BlockRef, ChainId, FencingNumber, Transfer, TransferId};

use crate::{
    codec::{Fields, Read, all},
    columns::{TransferColumns, big, chain, height},
    copy::{Copy, Rows},
    error::{TRANSFER, wrong},
    lease::present_holding,
    session::Session,
    store::PostgresStore,
};

/// Moves the cursor from the revision it must be at, under the holding that it must be held by.
const MOVE_CURSOR: &str = "UPDATE cursor SET start_number = $3, tip_number = $4, tip_hash = $5, tip_time = $6, \
     safe_number = $7, finalized_number = $8, audited_to = $9, epoch = $10, revision = $11 \
     WHERE chain_id = $1 AND revision = $2 AND fencing = $12";

/// The first cursor of a chain, under the present holding of its lease, which cannot change before the commit; the
/// second bind keeps the numbering of [`MOVE_CURSOR`].
const FIRST_CURSOR: &str = "INSERT INTO cursor (chain_id, start_number, tip_number, tip_hash, tip_time, \
     safe_number, finalized_number, audited_to, epoch, revision, fencing) \
     SELECT $1, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12 WHERE $2::bigint IS NULL AND $12 = COALESCE(\
         (SELECT fencing FROM lease WHERE chain_id = $1 FOR KEY SHARE), 0) \
     ON CONFLICT (chain_id) DO NOTHING";

/// Locks the transfers that a commit is about: those it brings and those of the blocks it takes away.
const LOCK_TRANSFERS: &str = "SELECT t.id FROM transfer t \
     WHERE t.id = ANY(ARRAY(SELECT UNNEST($1::bytea[]) UNION \
         SELECT seen.id FROM UNNEST($2::bigint[], $3::bigint[], $4::bytea[]) AS gone(chain_id, number, hash) \
         CROSS JOIN LATERAL (SELECT id FROM transfer \
             WHERE chain_id = gone.chain_id AND block_number = gone.number AND block_hash = gone.hash \
             AND canonical OFFSET 0) AS seen)) \
     ORDER BY t.id FOR UPDATE OF t";

/// Takes blocks off the chain, with the transfers last seen in them. The chain comes with each hash: as a constant
/// it would be a reason to read all that was ever seen on it.
const FLIP_ORPHANED: &str = "WITH gone AS (\
         SELECT * FROM UNNEST($1::bigint[], $2::bigint[], $3::bytea[]) AS gone(chain_id, number, hash)), \
     off AS (\
         UPDATE block b SET canonical = FALSE FROM gone \
         WHERE b.chain_id = gone.chain_id AND b.hash = gone.hash AND b.canonical) \
     UPDATE transfer t SET canonical = FALSE FROM gone \
     WHERE t.chain_id = gone.chain_id AND t.block_number = gone.number AND t.block_hash = gone.hash AND t.canonical";

/// Keeps where known transfers were seen, if they are now seen elsewhere.
const KEEP_FORMER: &str = "INSERT INTO former_observation (transfer_id, block_hash, log_index) \
     SELECT t.id, t.block_hash, t.log_index \
     FROM UNNEST($1::bytea[], $2::bytea[], $3::bigint[]) AS seen(id, block_hash, log_index) \
     JOIN transfer t ON t.id = seen.id \
     WHERE t.block_hash <> seen.block_hash OR t.log_index <> seen.log_index \
     ON CONFLICT (transfer_id, block_hash, log_index) DO NOTHING";

/// Keeps where transfers were said to be that a block, read again, does not hold.
const KEEP_LEFT_OUT: &str = "INSERT INTO former_observation (transfer_id, block_hash, log_index) \
     SELECT t.id, t.block_hash, t.log_index \
     FROM UNNEST($1::bigint[], $2::bytea[]) AS again(number, hash) \
     JOIN transfer t ON t.chain_id = $3 AND t.block_number = again.number AND t.block_hash = again.hash \
     WHERE NOT t.canonical ON CONFLICT (transfer_id, block_hash, log_index) DO NOTHING";

/// Adds blocks to the window and drops what has left it.
const RECORD_BLOCKS: &str = "WITH pruned AS (\
         DELETE FROM block WHERE chain_id = $1 AND number < $6) \
     INSERT INTO block (chain_id, number, hash, block_time, proof, canonical) \
     SELECT $1, b.number, b.hash, b.block_time, b.proof, TRUE \
     FROM UNNEST($2::bigint[], $3::bytea[], $4::bigint[], $5::text[]) AS b(number, hash, block_time, proof) \
     WHERE b.number >= $6 \
     ON CONFLICT (chain_id, hash) DO UPDATE SET canonical = TRUE, proof = EXCLUDED.proof";

/// Takes the blocks above a height off the chain, and another one at it, with the transfers in them.
const FLIP_ABOVE: &str = "WITH left_chain AS (\
         UPDATE block SET canonical = FALSE WHERE chain_id = $1 AND canonical AND number >= $2 \
         AND (number > $2 OR hash <> $3)) \
     UPDATE transfer SET canonical = FALSE WHERE chain_id = $1 AND block_number >= $2 AND canonical \
     AND (block_number > $2 OR block_hash <> $3)";

macro_rules! record_transfers {
    () => {
        "INSERT INTO transfer AS t (id, chain_id, tx_hash, token, treasury, direction, ordinal, counterparty, \
             base_units, block_number, block_hash, block_time, log_index, reference_read, reference, canonical) \
         SELECT id, chain_id, tx_hash, token, treasury, direction, ordinal, counterparty, base_units::numeric, \
             block_number, block_hash, block_time, log_index, reference_read, reference, TRUE \
         FROM UNNEST($1::bytea[], $2::bigint[], $3::bytea[], $4::bytea[], $5::bytea[], $6::text[], \
             $7::bigint[], $8::bytea[], $9::text[], $10::bigint[], $11::bytea[], $12::bigint[], \
             $13::bigint[], $14::boolean[], $15::bytea[]) \
         AS seen(id, chain_id, tx_hash, token, treasury, direction, ordinal, counterparty, base_units, \
             block_number, block_hash, block_time, log_index, reference_read, reference) \
         "
    };
}

/// Takes transfers none of which is known.
const RECORD_NEW: Copy = Copy {
    statement: "COPY transfer (id, chain_id, tx_hash, token, treasury, direction, ordinal, counterparty, base_units, \
        block_number, block_hash, block_time, log_index, reference_read, reference, canonical) \
        FROM STDIN WITH (FORMAT binary)",
    columns: 16,
};

/// About how many bytes a transfer takes on its way.
const TRANSFER_BYTES: usize = 360;

/// Records the transfers that are not known yet.
const RECORD_UNKNOWN: &str = concat!(record_transfers!(), "ON CONFLICT (id) DO NOTHING");

/// Records transfers as now observed. A reference that was read once stays read: it is a fact of the chain
/// transaction, whichever block holds it.
const RECORD_TRANSFERS: &str = concat!(
    record_transfers!(),
    "ON CONFLICT (id) DO UPDATE SET counterparty = EXCLUDED.counterparty, base_units = EXCLUDED.base_units, \
         block_number = EXCLUDED.block_number, block_hash = EXCLUDED.block_hash, \
         block_time = EXCLUDED.block_time, log_index = EXCLUDED.log_index, canonical = TRUE, \
         reference_read = t.reference_read OR EXCLUDED.reference_read, \
         reference = CASE WHEN EXCLUDED.reference_read THEN EXCLUDED.reference ELSE t.reference END"
);

#[async_trait]
impl FollowStore for PostgresStore {
    async fn cursor(&self, chain_id: ChainId) -> Result<Option<CursorRecord>, StoreError> {
        let single = self.paged("read the cursor");
        let wrong = wrong(single.act);
        let query = sqlx::query(
            "SELECT chain_id, start_number, tip_number, tip_hash, tip_time, safe_number, finalized_number, \
             audited_to, epoch, revision FROM cursor WHERE chain_id = $1",
        )
        .bind(chain(chain_id).map_err(&wrong)?);
        let row = single.row(query).await?;
        row.map(|row| cursor(Fields(&row))).transpose().map_err(&wrong)
    }

    async fn window(&self, chain_id: ChainId) -> Result<Vec<WindowBlock>, StoreError> {
        let single = self.paged("read the window");
        let wrong = wrong(single.act);
        let query = sqlx::query(
            "SELECT number, hash, block_time, proof FROM block WHERE chain_id = $1 AND canonical ORDER BY number",
        )
        .bind(chain(chain_id).map_err(&wrong)?);
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
        let mut session = self.begin_relaxed("commit blocks").await?;
        move_cursor(&mut session, commit.expected_revision, commit.fencing, &commit.cursor).await?;
        let transfers: Vec<&Transfer> =
            commit.added.iter().flat_map(|block| &block.transfers).collect();
        let chain_id = commit.cursor.chain_id;
        replace_transfers(&mut session, chain_id, &commit.orphaned, &transfers).await?;
        keep_left_out(&mut session, chain_id, &commit.read_again()).await?;
        record_blocks(&mut session, chain_id, &commit.added, commit.window_from).await?;
        session.commit().await
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
        let mut session = self.begin_keyed("take blocks off the chain").await?;
        let wrong = wrong(session.act);
        let CursorRecord { chain_id, tip, .. } = rewind.cursor;
        let expected = Some(rewind.expected_revision);
        move_cursor(&mut session, expected, rewind.fencing, &rewind.cursor).await?;
        let flip = sqlx::query(FLIP_ABOVE)
            .bind(chain(chain_id).map_err(&wrong)?)
            .bind(height(tip.number))
            .bind(tip.hash.as_slice());
        session.run(flip).await?;
        let tip = AppliedBlock { block: tip, proof: Proof::Range, transfers: Vec::new() };
        record_blocks(&mut session, chain_id, &[tip], 0).await?;
        session.commit().await
    }
}

/// What is expected of the transfers of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// Each is seen for the first time, as in blocks that are read for the first time. One that was seen before is
    /// refused, as [`StoreErrorKind::Exists`]: then the commit is tried again with care.
    None,
    /// Some were seen before.
    Some,
}

impl PostgresStore {
    async fn try_range(&self, commit: &RangeCommit, known: Known) -> Result<(), StoreError> {
        let mut session = self.begin_relaxed("commit a range").await?;
        move_cursor(&mut session, commit.expected_revision, commit.fencing, &commit.cursor).await?;
        let transfers: Vec<&Transfer> = commit.transfers.iter().collect();
        let CursorRecord { chain_id, tip, .. } = commit.cursor;
        match known {
            Known::None => copy_transfers(&mut session, chain_id, &transfers).await?,
            Known::Some => replace_transfers(&mut session, chain_id, &[], &transfers).await?,
        }
        // Below finality nothing is compared block by block: the window starts anew at the span's end.
        let prune = sqlx::query("DELETE FROM block WHERE chain_id = $1")
            .bind(chain(chain_id).map_err(wrong(session.act))?);
        session.run(prune).await?;
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
    let wrong = wrong(session.act);
    let statement = if expected.is_some() { MOVE_CURSOR } else { FIRST_CURSOR };
    let query = sqlx::query(statement)
        .bind(chain(cursor.chain_id).map_err(&wrong)?)
        .bind(expected)
        .bind(big("start block", cursor.start_number).map_err(&wrong)?)
        .bind(big("tip", cursor.tip.number).map_err(&wrong)?)
        .bind(cursor.tip.hash.as_slice())
        .bind(cursor.tip.time.micros())
        .bind(big("safe block", cursor.tags.safe_number).map_err(&wrong)?)
        .bind(big("finalized block", cursor.tags.finalized_number).map_err(&wrong)?)
        .bind(big("audited block", cursor.audited_to).map_err(&wrong)?)
        .bind(cursor.epoch)
        .bind(cursor.revision)
        .bind(fencing.0);
    if session.run(query).await? > 0 {
        return Ok(());
    }
    let present = present_holding(session, cursor.chain_id).await?;
    Err(wrong(if present == fencing {
        StoreErrorKind::CursorMoved
    } else {
        StoreErrorKind::Fenced
    }))
}

/// Each transfer once, in the order given. The same one twice at one place is one; at two places no chain
/// holds it.
fn distinct<'a>(
    chain_id: ChainId,
    transfers: &[&'a Transfer],
) -> Result<Vec<(TransferId, &'a Transfer)>, StoreErrorKind> {
    let mut known: HashMap<TransferId, &Transfer> = HashMap::with_capacity(transfers.len());
    let mut distinct = Vec::with_capacity(transfers.len());
    for transfer in transfers {
        let id = transfer.key.id();
        if transfer.key.chain_id != chain_id {
            let why = format!("{id} is of chain {}, not {chain_id}", transfer.key.chain_id);
            return Err(StoreErrorKind::Refused(why));
        }
        match known.insert(id, transfer) {
            None => distinct.push((id, *transfer)),
            Some(earlier) if earlier == *transfer => {}
            Some(_) => {
                return Err(StoreErrorKind::Refused(format!("{id} is given twice, differently")));
            }
        }
    }
    Ok(distinct)
}

async fn replace_transfers(
    session: &mut Session,
    chain_id: ChainId,
    orphaned: &[BlockRef],
    transfers: &[&Transfer],
) -> Result<(), StoreError> {
    if orphaned.is_empty() && transfers.is_empty() {
        return Ok(());
    }
    let wrong = wrong(session.act);
    let chain_number = chain(chain_id).map_err(&wrong)?;
    let transfers = distinct(chain_id, transfers).map_err(&wrong)?;
    let columns = TransferColumns::of(&transfers).map_err(&wrong)?;
    if orphaned.is_empty() {
        // Nearly always all of them are new, which the statement finds out as it writes them.
        let given = u64::try_from(columns.ids.len()).unwrap_or(u64::MAX);
        if record_transfers(session, RECORD_UNKNOWN, &columns).await? == given {
            return Ok(());
        }
    }
    let orphaned_hashes: Vec<&[u8]> = orphaned.iter().map(|left| left.hash.as_slice()).collect();
    let orphaned_numbers: Vec<i64> = orphaned.iter().map(|left| height(left.number)).collect();
    let orphaned_chains = vec![chain_number; orphaned.len()];
    let lock = sqlx::query(LOCK_TRANSFERS)
        .bind(&columns.ids)
        .bind(&orphaned_chains)
        .bind(&orphaned_numbers)
        .bind(&orphaned_hashes);
    session.rows(lock).await?;
    if !orphaned.is_empty() {
        let flip = sqlx::query(FLIP_ORPHANED)
            .bind(&orphaned_chains)
            .bind(&orphaned_numbers)
            .bind(&orphaned_hashes);
        session.run(flip).await?;
    }
    if columns.ids.is_empty() {
        return Ok(());
    }
    let keep = sqlx::query(KEEP_FORMER)
        .bind(&columns.ids)
        .bind(&columns.block_hashes)
        .bind(&columns.log_indexes);
    session.run(keep).await?;
    record_transfers(session, RECORD_TRANSFERS, &columns).await.map(drop)
}

/// Keeps what blocks were said to hold before they were read again and do not hold.
async fn keep_left_out(
    session: &mut Session,
    chain_id: ChainId,
    read_again: &[BlockRef],
) -> Result<(), StoreError> {
    if read_again.is_empty() {
        return Ok(());
    }
    let numbers: Vec<i64> = read_again.iter().map(|block| height(block.number)).collect();
    let hashes: Vec<&[u8]> = read_again.iter().map(|block| block.hash.as_slice()).collect();
    let chain_number = chain(chain_id).map_err(wrong(session.act))?;
    let keep = sqlx::query(KEEP_LEFT_OUT).bind(numbers).bind(hashes).bind(chain_number);
    session.run(keep).await.map(drop)
}

async fn copy_transfers(
    session: &mut Session,
    chain_id: ChainId,
    transfers: &[&Transfer],
) -> Result<(), StoreError> {
    let wrong = wrong(session.act);
    let transfers = distinct(chain_id, transfers).map_err(&wrong)?;
    if transfers.is_empty() {
        return Ok(());
    }
    let mut rows = Rows::new(&RECORD_NEW, transfers.len(), TRANSFER_BYTES);
    for (id, Transfer { key, counterparty, base_units, block, log_index, reference }) in transfers {
        let number = big("block number", block.number).map_err(&wrong)?;
        rows.row()
            .bytes(id.digest().as_slice())
            .bigint(chain(key.chain_id).map_err(&wrong)?)
            .bytes(key.tx_hash.as_slice())
            .bytes(key.token.as_slice())
            .bytes(key.treasury.as_slice())
            .text(key.direction.as_str())
            .bigint(i64::from(key.ordinal))
            .bytes(counterparty.as_slice())
            .units(*base_units)
            .bigint(number)
            .bytes(block.hash.as_slice())
            .bigint(block.time.micros())
            .bigint(i64::from(*log_index))
            .boolean(reference.is_some())
            .optional_bytes(
                reference.flatten().map(|reference| reference.bytes().to_vec()).as_deref(),
            )
            .boolean(true);
    }
    session.copy(&RECORD_NEW, rows).await.map(drop)
}

/// Runs a statement that records transfers; how many rows it wrote.
async fn record_transfers(
    session: &mut Session,
    statement: &'static str,
    columns: &TransferColumns<'_>,
) -> Result<u64, StoreError> {
    let record = sqlx::query(statement)
        .bind(&columns.ids)
        .bind(&columns.chains)
        .bind(&columns.tx_hashes)
        .bind(&columns.tokens)
        .bind(&columns.treasuries)
        .bind(&columns.directions)
        .bind(&columns.ordinals)
        .bind(&columns.counterparties)
        .bind(&columns.base_units)
        .bind(&columns.numbers)
        .bind(&columns.block_hashes)
        .bind(&columns.times)
        .bind(&columns.log_indexes)
        .bind(&columns.references_read)
        .bind(&columns.references);
    session.run(record).await
}

async fn record_blocks(
    session: &mut Session,
    chain_id: ChainId,
    added: &[AppliedBlock],
    window_from: u64,
) -> Result<(), StoreError> {
    let wrong = wrong(session.act);
    let numbers: Vec<i64> = added
        .iter()
        .map(|block| big("block number", block.block.number))
        .collect::<Result<_, _>>()
        .map_err(&wrong)?;
    let hashes: Vec<&[u8]> = added.iter().map(|block| block.block.hash.as_slice()).collect();
    let times: Vec<i64> = added.iter().map(|block| block.block.time.micros()).collect();
    let proofs: Vec<&str> = added.iter().map(|block| block.proof.as_str()).collect();
    let record = sqlx::query(RECORD_BLOCKS)
        .bind(chain(chain_id).map_err(&wrong)?)
        .bind(numbers)
        .bind(hashes)
        .bind(times)
        .bind(proofs)
        .bind(height(window_from));
    session.run(record).await.map(drop)
}
