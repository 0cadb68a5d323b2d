//! Transfers and their observations as the chain shows them.
//!
//! Never drops one: what leaves the chain is flipped, what comes back is flipped again. Those that exist
//! already are told apart from new ones by reading, which is safe: until the commit nobody else writes.

use std::collections::{HashMap, HashSet};

use inspay_ports::StoreError;
use inspay_primitives::{B256, ChainId, Transfer, TransferId};
use sqlx::sqlite::SqliteRow;

use crate::{
    bulk::{Bulk, Row},
    codec::{Fields, Read},
    columns::{big, chain, hex_list, units},
    error::wrong,
    session::{Session, hot},
};

/// How many transfers are looked up by one statement.
const LOOK_UP_MAX: usize = 2_000;

/// Where transfers were last seen, of those that are known.
const PLACES: &str = "SELECT t.id, t.block_hash, t.log_index, t.canonical FROM transfer t \
     WHERE t.id IN (SELECT unhex(wanted.value) FROM json_each(?1) AS wanted)";

/// Takes blocks off the chain.
const FLIP_BLOCKS: &str = "UPDATE block SET canonical = 0 WHERE chain_id = ?1 AND canonical = 1 \
     AND hash IN (SELECT unhex(gone.value) FROM json_each(?2) AS gone)";

/// Takes transfers off the chain that were last seen in blocks that leave it. Their observations come next.
const FLIP_TRANSFERS: &str = "UPDATE transfer SET canonical = 0 \
     WHERE id IN (SELECT o.transfer_id FROM observation o \
         WHERE o.chain_id = ?1 AND o.canonical = 1 \
         AND o.block_hash IN (SELECT unhex(gone.value) FROM json_each(?2) AS gone)) \
     AND block_hash IN (SELECT unhex(gone.value) FROM json_each(?2) AS gone)";

/// Takes back the observations in blocks that leave the chain.
const FLIP_OBSERVATIONS: &str = "UPDATE observation SET canonical = 0 WHERE chain_id = ?1 AND canonical = 1 \
     AND block_hash IN (SELECT unhex(gone.value) FROM json_each(?2) AS gone)";

/// Records transfers that are seen for the first time.
const RECORD: Bulk = Bulk {
    before: "INSERT INTO transfer (id, chain_id, tx_hash, token, treasury, direction, ordinal, counterparty, \
         base_units, block_number, block_hash, block_time, log_index, reference_read, reference, canonical) VALUES ",
    columns: 16,
    after: "",
};

/// Records where they are seen.
const OBSERVE: Bulk = Bulk {
    before: "INSERT INTO observation (chain_id, block_hash, log_index, transfer_id, canonical) VALUES ",
    columns: 5,
    after: "",
};

/// Moves known transfers to where they are seen now. A reference that was read once stays read: it is a fact of
/// the chain transaction, whichever block holds it.
const RELOCATE: Bulk = Bulk {
    before: "WITH seen (id, counterparty, base_units, block_number, block_hash, block_time, log_index, \
         reference_read, reference) AS (VALUES ",
    columns: 9,
    after: ") UPDATE transfer SET counterparty = seen.counterparty, base_units = seen.base_units, \
         block_number = seen.block_number, block_hash = seen.block_hash, block_time = seen.block_time, \
         log_index = seen.log_index, canonical = 1, \
         reference_read = MAX(transfer.reference_read, seen.reference_read), \
         reference = CASE seen.reference_read WHEN 1 THEN seen.reference ELSE transfer.reference END \
         FROM seen WHERE transfer.id = seen.id",
};

/// Takes back observations of transfers that are now seen elsewhere though their block did not leave.
const FLIP_MOVED: Bulk = Bulk {
    before: "WITH moved (chain_id, block_hash, log_index, transfer_id) AS (VALUES ",
    columns: 4,
    after: ") UPDATE observation SET canonical = 0 FROM moved \
         WHERE observation.chain_id = moved.chain_id AND observation.block_hash = moved.block_hash \
         AND observation.log_index = moved.log_index AND observation.transfer_id = moved.transfer_id",
};

/// Brings back observations that were made before.
const SEEN_BEFORE: Bulk = Bulk {
    before: "WITH seen (chain_id, block_hash, log_index, transfer_id) AS (VALUES ",
    columns: 4,
    after: ") UPDATE observation SET canonical = 1 FROM seen \
         WHERE observation.chain_id = seen.chain_id AND observation.block_hash = seen.block_hash \
         AND observation.log_index = seen.log_index AND observation.transfer_id = seen.transfer_id",
};

/// Records new observations of known transfers.
const SEEN_ELSEWHERE: Bulk = Bulk {
    before: "WITH seen (chain_id, block_hash, log_index, transfer_id) AS (VALUES ",
    columns: 4,
    after: ") INSERT INTO observation (chain_id, block_hash, log_index, transfer_id, canonical) \
         SELECT seen.chain_id, seen.block_hash, seen.log_index, seen.transfer_id, 1 FROM seen \
         WHERE NOT EXISTS (SELECT 1 FROM observation o \
             WHERE o.chain_id = seen.chain_id AND o.block_hash = seen.block_hash \
             AND o.log_index = seen.log_index AND o.transfer_id = seen.transfer_id)",
};

/// Flips what the orphaned blocks held and records what is seen, each transfer given once.
pub(crate) async fn replace_transfers(
    session: &mut Session,
    chain_id: ChainId,
    orphaned: &[B256],
    seen: Vec<(TransferId, &Transfer)>,
) -> Result<(), StoreError> {
    let wrong = wrong(session.act);
    let chain_number = chain(chain_id).map_err(&wrong)?;
    let places = places(session, &seen).await?;
    if !orphaned.is_empty() {
        flip_orphaned(session, chain_number, orphaned).await?;
    }
    let mut new = Vec::with_capacity(seen.len());
    let (mut known, mut moved) = (Vec::new(), Vec::new());
    let orphaned: HashSet<&B256> = orphaned.iter().collect();
    for (id, transfer) in seen {
        let number = big("block number", transfer.block.number).map_err(&wrong)?;
        let row = Seen { chain_id: chain_number, number, id, transfer };
        let Some(place) = places.get(&row.id) else {
            new.push(row);
            continue;
        };
        let is_elsewhere = (place.block_hash, place.log_index)
            != (transfer.block.hash, i64::from(transfer.log_index));
        if place.canonical && is_elsewhere && !orphaned.contains(&place.block_hash) {
            moved.push((chain_number, *place));
        }
        known.push(row);
    }
    session.bulk(&RECORD, &new, Seen::record).await?;
    session.bulk(&OBSERVE, &new, Seen::observe).await?;
    session.bulk(&FLIP_MOVED, &moved, locate_old).await?;
    session.bulk(&RELOCATE, &known, Seen::relocate).await?;
    session.bulk(&SEEN_BEFORE, &known, Seen::locate).await?;
    session.bulk(&SEEN_ELSEWHERE, &known, Seen::locate).await.map(drop)
}

/// Where a transfer was last seen.
#[derive(Clone, Copy)]
struct Place {
    id: TransferId,
    block_hash: B256,
    log_index: i64,
    canonical: bool,
}

fn place(row: &SqliteRow) -> Read<(TransferId, Place)> {
    let fields = Fields(row);
    let id = fields.transfer_id("id")?;
    let (block_hash, log_index) = (fields.hash("block_hash")?, fields.get("log_index")?);
    Ok((id, Place { id, block_hash, log_index, canonical: fields.get("canonical")? }))
}

async fn places(
    session: &mut Session,
    seen: &[(TransferId, &Transfer)],
) -> Result<HashMap<TransferId, Place>, StoreError> {
    let mut places = HashMap::new();
    for wanted in seen.chunks(LOOK_UP_MAX) {
        let ids = hex_list(wanted.iter().map(|(id, _)| id.digest()));
        places.extend(session.read_all(hot(PLACES).bind(ids), place).await?);
    }
    Ok(places)
}

async fn flip_orphaned(
    session: &mut Session,
    chain_number: i64,
    orphaned: &[B256],
) -> Result<(), StoreError> {
    let gone = hex_list(orphaned);
    for flip in [FLIP_BLOCKS, FLIP_TRANSFERS, FLIP_OBSERVATIONS] {
        session.run(hot(flip).bind(chain_number).bind(gone.clone())).await?;
    }
    Ok(())
}

fn locate_old((chain_number, place): &(i64, Place), row: &mut Row) {
    row.put(*chain_number)
        .put(place.block_hash.as_slice())
        .put(place.log_index)
        .put(place.id.digest().as_slice());
}

/// A transfer to record, with what must fit its columns.
struct Seen<'a> {
    chain_id: i64,
    number: i64,
    id: TransferId,
    transfer: &'a Transfer,
}

impl Seen<'_> {
    fn record(&self, row: &mut Row) {
        let Transfer { key, counterparty, base_units, block, log_index, reference } = self.transfer;
        row.put(self.id.digest().as_slice())
            .put(self.chain_id)
            .put(key.tx_hash.as_slice())
            .put(key.token.as_slice())
            .put(key.treasury.as_slice())
            .put(key.direction.as_str())
            .put(i64::from(key.ordinal))
            .put(counterparty.as_slice())
            .put(units(*base_units))
            .put(self.number)
            .put(block.hash.as_slice())
            .put(block.time.micros())
            .put(i64::from(*log_index))
            .put(reference.is_some())
            .put(reference.flatten().map(|reference| reference.bytes().to_vec()))
            .put(true);
    }

    fn observe(&self, row: &mut Row) {
        self.locate(row);
        row.put(true);
    }

    fn locate(&self, row: &mut Row) {
        row.put(self.chain_id)
            .put(self.transfer.block.hash.as_slice())
            .put(i64::from(self.transfer.log_index))
            .put(self.id.digest().as_slice());
    }

    fn relocate(&self, row: &mut Row) {
        let Transfer { counterparty, base_units, block, log_index, reference, .. } = self.transfer;
        row.put(self.id.digest().as_slice())
            .put(counterparty.as_slice())
            .put(units(*base_units))
            .put(self.number)
            .put(block.hash.as_slice())
            .put(block.time.micros())
            .put(i64::from(*log_index))
            .put(reference.is_some())
            .put(reference.flatten().map(|reference| reference.bytes().to_vec()));
    }
}
