//! Transfers as the chain shows them, and where they were seen before.
//!
//! Never drops one: what leaves the chain is flipped, what comes back is flipped again. Those that exist
//! already are told apart from new ones by reading, which is safe: until the commit nobody else writes.

use std::collections::HashSet;

use inspay_ports::{StoreError, StoreErrorKind};
use inspay_primitives::{BlockRef, ChainId, Transfer, TransferId};

use crate::{
    bulk::{Bulk, Row},
    codec::Fields,
    columns::{big, chain, height, hex_list, json_list, units},
    error::wrong,
    script::Script,
    session::{Session, hot},
};

/// How many transfers are looked up by one statement.
const LOOK_UP_MAX: usize = 2_000;

/// Which transfers are known.
const KNOWN: &str = "SELECT t.id FROM transfer t \
     WHERE t.id IN (SELECT unhex(wanted.value) FROM json_each(?1) AS wanted)";

/// Takes blocks off the chain.
const FLIP_BLOCKS: &str = "UPDATE block SET canonical = 0 WHERE chain_id = ?1 AND canonical = 1 \
     AND hash IN (SELECT unhex(gone.value) FROM json_each(?2) AS gone)";

/// Takes transfers off the chain that were last seen in blocks that leave it.
const FLIP_TRANSFERS: &str = "UPDATE transfer SET canonical = 0 WHERE chain_id = ?1 AND canonical = 1 \
     AND block_number IN (SELECT gone.value FROM json_each(?3) AS gone) \
     AND block_hash IN (SELECT unhex(gone.value) FROM json_each(?2) AS gone)";

/// Records transfers that are seen for the first time.
const RECORD: Bulk = Bulk {
    before: "INSERT INTO transfer (id, chain_id, tx_hash, token, treasury, direction, ordinal, counterparty, \
         base_units, block_number, block_hash, block_time, log_index, reference_read, reference, canonical) VALUES ",
    columns: 16,
    after: "",
};

/// Keeps where known transfers were seen, if they are now seen elsewhere.
const KEEP_FORMER: Bulk = Bulk {
    before: "WITH seen (id, block_hash, log_index) AS (VALUES ",
    columns: 3,
    after: ") INSERT INTO former_observation (transfer_id, block_hash, log_index) \
         SELECT t.id, t.block_hash, t.log_index FROM seen CROSS JOIN transfer t ON t.id = seen.id \
         WHERE (t.block_hash <> seen.block_hash OR t.log_index <> seen.log_index) \
         AND NOT EXISTS (SELECT 1 FROM former_observation f WHERE f.transfer_id = t.id \
             AND f.block_hash = t.block_hash AND f.log_index = t.log_index)",
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

/// Keeps where transfers were said to be that a block, read again, does not hold.
const KEEP_LEFT_OUT: &str = "INSERT INTO former_observation (transfer_id, block_hash, log_index) \
     SELECT t.id, t.block_hash, t.log_index FROM transfer t WHERE t.chain_id = ?1 AND t.canonical = 0 \
     AND t.block_number IN (SELECT gone.value FROM json_each(?3) AS gone) \
     AND t.block_hash IN (SELECT unhex(gone.value) FROM json_each(?2) AS gone) \
     AND NOT EXISTS (SELECT 1 FROM former_observation f WHERE f.transfer_id = t.id \
         AND f.block_hash = t.block_hash AND f.log_index = t.log_index)";

/// What is expected of transfers that are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// Each is seen for the first time, as in blocks that are read for the first time. One that was seen before is
    /// refused, as [`inspay_ports::StoreErrorKind::Exists`]: then the commit is tried again with care.
    None,
    /// Some were seen before.
    Some,
}

/// Flips what the orphaned blocks held and records what is seen, each transfer given once.
pub(crate) async fn replace_transfers(
    session: &mut Session,
    chain_id: ChainId,
    orphaned: &[BlockRef],
    seen: Vec<(TransferId, &Transfer)>,
    known: Known,
) -> Result<(), StoreError> {
    let wrong = wrong(session.act);
    let chain_number = chain(chain_id).map_err(&wrong)?;
    if !orphaned.is_empty() {
        flip_orphaned(session, chain_number, orphaned).await?;
    }
    let known_ids = match known {
        Known::None => HashSet::new(),
        Known::Some => known_among(session, &seen).await?,
    };
    let (mut new, mut again) = (Vec::with_capacity(seen.len()), Vec::new());
    for (id, transfer) in seen {
        let number = big("block number", transfer.block.number).map_err(&wrong)?;
        let row = Seen { chain_id: chain_number, number, id, transfer };
        if known_ids.contains(&row.id) { again.push(row) } else { new.push(row) }
    }
    session.bulk(&RECORD, &new, Seen::record).await?;
    session.bulk(&KEEP_FORMER, &again, Seen::locate).await?;
    session.bulk(&RELOCATE, &again, Seen::relocate).await.map(drop)
}

/// Keeps what blocks were said to hold before they were read again and do not hold.
pub(crate) async fn keep_left_out(
    session: &mut Session,
    chain_id: ChainId,
    read_again: &[BlockRef],
) -> Result<(), StoreError> {
    if read_again.is_empty() {
        return Ok(());
    }
    let hashes = hex_list(read_again.iter().map(|block| block.hash));
    let numbers = json_list(read_again.iter().map(|block| height(block.number).into()).collect());
    let chain_number = chain(chain_id).map_err(wrong(session.act))?;
    let keep = hot(KEEP_LEFT_OUT).bind(chain_number).bind(hashes).bind(numbers);
    session.run(keep).await.map(drop)
}

/// Adds what records transfers that are seen for the first time.
pub(crate) fn add_new_transfers(
    script: &mut Script,
    chain_id: ChainId,
    seen: &[(TransferId, &Transfer)],
) -> Result<(), StoreErrorKind> {
    let chain_number = chain(chain_id)?;
    let rows: Vec<Seen<'_>> = seen
        .iter()
        .map(|(id, transfer)| {
            let number = big("block number", transfer.block.number)?;
            Ok(Seen { chain_id: chain_number, number, id: *id, transfer })
        })
        .collect::<Result<_, _>>()?;
    script.bulk(&RECORD, &rows, Seen::record);
    Ok(())
}

async fn known_among(
    session: &mut Session,
    seen: &[(TransferId, &Transfer)],
) -> Result<HashSet<TransferId>, StoreError> {
    let mut known = HashSet::new();
    for wanted in seen.chunks(LOOK_UP_MAX) {
        let ids = hex_list(wanted.iter().map(|(id, _)| id.digest()));
        let found = session.read_all(hot(KNOWN).bind(ids), |row| Fields(row).transfer_id("id"));
        known.extend(found.await?);
    }
    Ok(known)
}

async fn flip_orphaned(
    session: &mut Session,
    chain_number: i64,
    orphaned: &[BlockRef],
) -> Result<(), StoreError> {
    let hashes = hex_list(orphaned.iter().map(|left| left.hash));
    let numbers = json_list(orphaned.iter().map(|left| height(left.number).into()).collect());
    session.run(hot(FLIP_BLOCKS).bind(chain_number).bind(hashes.clone())).await?;
    let flip = hot(FLIP_TRANSFERS).bind(chain_number).bind(hashes).bind(numbers);
    session.run(flip).await.map(drop)
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

    fn locate(&self, row: &mut Row) {
        row.put(self.id.digest().as_slice())
            .put(self.transfer.block.hash.as_slice())
            .put(i64::from(self.transfer.log_index));
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
