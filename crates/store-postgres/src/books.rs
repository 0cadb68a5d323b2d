//! What settling keeps: the one way into the books, and what is waiting to go there.
//!
//! The head's row is locked before anything is read, so writers come one after another; transfers are
//! locked next, in the order of their ids, so that the follower cannot flip them meanwhile.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU32, Ordering},
};

use async_trait::async_trait;
use inspay_ledger::{Memory, Remembered, Touches, TransferRecord};
use inspay_ports::{AttributionProbe, BooksStore, Decide, FoundOrder, StoreError, StoreErrorKind};
use inspay_primitives::{B256, ChainId, LotId, OrderId, Timestamp};

use crate::{
    codec::{self, Fields, all, order_columns, transfer_columns, transfer_with_settlement},
    columns::{chain, height, units},
    error::wrong,
    halts::is_halted,
    load::{load, load_unlocked, lock_head},
    store::PostgresStore,
    write::{COPIED_FROM, is_one_statement, write, write_at},
};

/// The most round trips that one [`BooksStore::transact`] makes, however large the batch: begin, the head,
/// six loads, two writes, commit; and two for each of four tables that a large batch is copied to.
pub const TRANSACT_ROUND_TRIPS_MAX: u64 = 19;

const TO_SETTLE: &str = concat!(
    "SELECT ",
    transfer_columns!(),
    " FROM ",
    transfer_with_settlement!(),
    " WHERE t.chain_id = $1 AND t.block_number <= $2 AND t.needs_work AND NOT t.settled ",
    "AND (t.block_number, t.log_index) > ($4, $5) AND NOT ",
    is_halted!("t"),
    " ORDER BY t.block_number, t.log_index LIMIT $3",
);

const TO_REVERSE: &str = concat!(
    "SELECT ",
    transfer_columns!(),
    " FROM ",
    transfer_with_settlement!(),
    " WHERE t.chain_id = $1 AND t.needs_work AND t.settled ",
    "ORDER BY t.block_number, t.log_index LIMIT $2",
);

const CANONICAL_HASHES: &str = "SELECT b.hash \
     FROM UNNEST($2::bigint[]) WITH ORDINALITY AS wanted(number, place) LEFT JOIN LATERAL (\
         SELECT hash FROM block \
         WHERE chain_id = $1 AND number = wanted.number AND canonical OFFSET 0) AS b ON TRUE \
     ORDER BY wanted.place";

const ORDERS_FOR: &str = concat!(
    "WITH probe AS (SELECT * FROM UNNEST($2::bigint[], $3::bytea[], $4::bytea[], $5::text[], $6::bytea[], \
         $7::bigint[], $8::bytea[]) \
         AS probe(chain_id, token, treasury, base_units, payer, block_time, tx_hash)), \
     found (id, payer, claimed) AS (\
         SELECT named.id, NULL::bytea, NULL::bytea FROM UNNEST($1::bytea[]) AS probe(reference) \
         CROSS JOIN LATERAL (SELECT id FROM orders \
             WHERE reference = probe.reference OFFSET 0) AS named \
     UNION \
         SELECT held.id, NULL, NULL FROM probe \
         CROSS JOIN LATERAL (SELECT id FROM orders \
             WHERE chain_id = probe.chain_id AND token = probe.token AND treasury = probe.treasury \
             AND due_base_units = probe.base_units::numeric(78, 0) AND slot_held OFFSET 0) AS held \
     UNION \
         SELECT unpaid.id, probe.payer, NULL FROM probe \
         CROSS JOIN LATERAL (SELECT account FROM wallet \
             WHERE chain_id = probe.chain_id AND wallet = probe.payer AND unlinked_at IS NULL OFFSET 0) AS w \
         CROSS JOIN LATERAL (SELECT id FROM orders \
             WHERE account = w.account AND in_time_until >= probe.block_time AND state <> 'paid' \
             AND chain_id = probe.chain_id AND token = probe.token AND treasury = probe.treasury OFFSET 0) AS unpaid \
     UNION \
         SELECT claimed.id, w.wallet, probe.tx_hash FROM probe \
         CROSS JOIN LATERAL (SELECT order_id FROM payment_claim \
             WHERE tx_hash = probe.tx_hash AND chain_id = probe.chain_id OFFSET 0) AS c \
         CROSS JOIN LATERAL (SELECT id, account FROM orders WHERE id = c.order_id OFFSET 0) AS claimed \
         LEFT JOIN LATERAL (SELECT wallet FROM wallet \
             WHERE chain_id = probe.chain_id AND wallet = probe.payer AND unlinked_at IS NULL \
             AND account = claimed.account OFFSET 0) AS w ON TRUE) \
     SELECT found.payer, found.claimed, ",
    order_columns!(),
    " FROM found CROSS JOIN LATERAL (SELECT * FROM orders WHERE id = found.id OFFSET 0) AS o ORDER BY o.id",
);

const TO_CLOSE: &str = concat!(
    "SELECT o.id FROM orders o WHERE o.chain_id = $1 AND o.in_time_until < $2 AND NOT o.closed \
     AND o.state IN ('open', 'partially_paid') AND NOT ",
    is_halted!("o"),
    " ORDER BY o.in_time_until, o.position LIMIT $3",
);

/// Block time of the oldest transfer of a chain that needs work.
macro_rules! oldest_unsettled {
    ($chain:literal) => {
        concat!(
            "SELECT MIN(block_time) AS oldest FROM (\
             (SELECT t.block_time FROM transfer t WHERE t.chain_id = ",
            $chain,
            " AND t.needs_work AND NOT t.settled AND NOT ",
            $crate::halts::is_halted!("t"),
            " ORDER BY t.block_number LIMIT 1) UNION ALL \
             (SELECT t.block_time FROM transfer t WHERE t.chain_id = ",
            $chain,
            " AND t.needs_work AND t.settled ORDER BY t.block_number LIMIT 1)) AS oldest_of_each",
        )
    };
}
pub(crate) use oldest_unsettled;

const OLDEST_UNSETTLED: &str = oldest_unsettled!("$1");

/// Whether none of a paid order's settled transfers lies above a height. Each subquery reads one table, so that
/// there is no order of joins to choose.
macro_rules! is_final {
    () => {
        "NOT EXISTS (SELECT 1 FROM settlement s WHERE s.order_id = o.id AND (\
             SELECT t.block_number FROM transfer t \
             WHERE t.id = s.transfer_id AND t.generation = s.generation AND t.settled) > $2 OFFSET 0)"
    };
}

/// Orders whose slots may be freed. Of paid ones a bounded number is looked at, those first that were due first:
/// they are final first, too.
const FIND_SLOTS: &str = concat!(
    "(SELECT paid.position FROM (\
         SELECT o.position, o.id, o.deadline FROM orders o \
         WHERE o.chain_id = $1 AND o.slot_held AND o.state = 'paid' \
         ORDER BY o.deadline LIMIT GREATEST($4, 10000)) AS paid \
      CROSS JOIN LATERAL (SELECT paid.id) AS o WHERE ",
    is_final!(),
    " LIMIT $4) UNION ALL \
     (SELECT o.position FROM orders o \
      WHERE o.chain_id = $1 AND o.slot_held AND o.closed AND o.deadline < $3 AND o.state <> 'paid' \
      ORDER BY o.deadline LIMIT $4) LIMIT $4",
);

/// Frees those that still may be, now that nobody else writes the books.
const FREE_SLOTS: &str = concat!(
    "UPDATE orders o SET slot_held = FALSE WHERE o.position = ANY($1) AND o.slot_held AND CASE \
     WHEN o.state = 'paid' THEN ",
    is_final!(),
    " ELSE o.closed AND o.deadline < $3 END",
);

const WRITE_BOOKS: &str = "write the books";

/// After somebody else was met, so many batches take the lock outright.
const LOCKED_BATCHES: u32 = 64;

/// What is known of the books between two batches: whether others write them besides this process, as far as it was
/// seen, and what the last batch left behind.
#[derive(Debug, Default)]
pub(crate) struct Company {
    locked_batches: AtomicU32,
    memory: Memory,
}

impl Company {
    fn met(&self) {
        self.locked_batches.store(LOCKED_BATCHES, Ordering::Relaxed);
    }

    /// Whether nobody else was met in the last batches; this one counts as one of them.
    fn is_alone(&self) -> bool {
        let count = |left: u32| left.checked_sub(1);
        self.locked_batches.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count).is_err()
    }
}

/// What became of a batch that was tried without the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unlocked {
    Written,
    /// Somebody else wrote between reading and writing; nothing was written.
    Overtaken,
    /// Its rows are more than one statement writes; nothing was written.
    TooMuch,
}

impl PostgresStore {
    /// Reads, decides and writes by one statement, which is its own commit and changes nothing where the head has moved
    /// since: half as many round trips as under the lock, which nobody else waits for meanwhile.
    async fn transact_unlocked(
        &self,
        touches: &Touches,
        decide: &Decide,
    ) -> Result<Unlocked, StoreError> {
        let mut session = self.each_keyed(WRITE_BOOKS).await?;
        let (mut state, revision) = load_unlocked(&mut session, touches).await?;
        let rows = decide(&mut state);
        if rows.is_empty() {
            return Ok(Unlocked::Written);
        }
        if !is_one_statement(&rows) {
            return Ok(Unlocked::TooMuch);
        }
        if !write_at(&mut session, &rows, revision).await? {
            return Ok(Unlocked::Overtaken);
        }
        let left = Remembered::new(state, touches, revision.saturating_add(1));
        self.company.memory.remember(left);
        Ok(Unlocked::Written)
    }

    /// Decides on what the last batch left behind, and writes as [`Self::transact_unlocked`] does; whether anything was
    /// written. Nothing is read: where the head has moved or something is there that was taken for new, it is not.
    async fn transact_remembered(
        &self,
        mut remembered: Remembered,
        touches: &Touches,
        decide: &Decide,
    ) -> Result<bool, StoreError> {
        let rows = decide(&mut remembered.state);
        if !remembered.is_sure(touches, &rows) || !is_one_statement(&rows) {
            return Ok(false);
        }
        let mut session = self.each_keyed(WRITE_BOOKS).await?;
        let revision = remembered.revision;
        match write_at(&mut session, &rows, revision).await {
            Ok(true) => {}
            // What was taken for new breaks a unique key; rows that break another constraint are refused once more.
            Ok(false) | Err(StoreError { kind: StoreErrorKind::Refused(_), .. }) => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        self.company.memory.remember(remembered.kept(revision.saturating_add(1)));
        Ok(true)
    }

    /// A batch that only spends, without the lock.
    async fn spend(&self, touches: &Touches, decide: &Decide) -> Result<Unlocked, StoreError> {
        if let Some(remembered) = self.company.memory.recall(touches)
            && self.transact_remembered(remembered, touches, decide).await?
        {
            return Ok(Unlocked::Written);
        }
        self.transact_unlocked(touches, decide).await
    }
}

#[async_trait]
impl BooksStore for PostgresStore {
    async fn transact(&self, touches: Touches, decide: Decide) -> Result<(), StoreError> {
        let is_small = touches.keys.len() < COPIED_FROM;
        if touches.is_spending() && is_small && self.company.is_alone() {
            match self.spend(&touches, &decide).await? {
                Unlocked::Written => return Ok(()),
                Unlocked::Overtaken => self.company.met(),
                Unlocked::TooMuch => {}
            }
        } else {
            self.company.memory.remember(None);
        }
        let mut session = self.begin_keyed(WRITE_BOOKS).await?;
        let (head, revision) = lock_head(&mut session, &touches.fences).await?;
        let mut state = load(&mut session, head, &touches).await?;
        let rows = decide(&mut state);
        if rows.is_empty() {
            return session.abandon().await;
        }
        write(&mut session, &rows, revision).await?;
        session.commit().await
    }

    async fn transfers_to_settle(
        &self,
        chain_id: ChainId,
        after: Option<(u64, u32)>,
        up_to: u64,
        limit: u32,
    ) -> Result<Vec<TransferRecord>, StoreError> {
        let single = self.paged("find transfers to settle");
        let wrong = wrong(single.act);
        let (number, log_index) =
            after.map_or((-1, -1), |(number, log_index)| (height(number), i64::from(log_index)));
        let query = sqlx::query(TO_SETTLE)
            .bind(chain(chain_id).map_err(&wrong)?)
            .bind(height(up_to))
            .bind(i64::from(limit))
            .bind(number)
            .bind(log_index);
        all(&single.rows(query).await?, codec::transfer_record).map_err(&wrong)
    }

    async fn transfers_to_reverse(
        &self,
        chain_id: ChainId,
        limit: u32,
    ) -> Result<Vec<TransferRecord>, StoreError> {
        let single = self.paged("find transfers to reverse");
        let wrong = wrong(single.act);
        let query =
            sqlx::query(TO_REVERSE).bind(chain(chain_id).map_err(&wrong)?).bind(i64::from(limit));
        all(&single.rows(query).await?, codec::transfer_record).map_err(&wrong)
    }

    async fn canonical_hashes(
        &self,
        chain_id: ChainId,
        numbers: Vec<u64>,
    ) -> Result<Vec<Option<B256>>, StoreError> {
        let single = self.keyed("read canonical hashes");
        let wrong = wrong(single.act);
        let numbers: Vec<i64> = numbers.into_iter().map(height).collect();
        let query =
            sqlx::query(CANONICAL_HASHES).bind(chain(chain_id).map_err(&wrong)?).bind(numbers);
        all(&single.rows(query).await?, |row| Fields(row).optional_hash("hash")).map_err(&wrong)
    }

    async fn orders_for(
        &self,
        probes: Vec<AttributionProbe>,
    ) -> Result<Vec<FoundOrder>, StoreError> {
        let single = self.keyed("find orders for transfers");
        let wrong = wrong(single.act);
        let references: Vec<Vec<u8>> = probes
            .iter()
            .filter_map(|probe| probe.reference.map(|reference| reference.bytes().to_vec()))
            .collect();
        let chains: Vec<i64> = probes
            .iter()
            .map(|probe| chain(probe.asset.chain_id))
            .collect::<Result<_, _>>()
            .map_err(&wrong)?;
        let tokens: Vec<&[u8]> =
            probes.iter().map(|probe| probe.asset.contract.as_slice()).collect();
        let treasuries: Vec<&[u8]> = probes.iter().map(|probe| probe.treasury.as_slice()).collect();
        let amounts: Vec<String> = probes.iter().map(|probe| units(probe.base_units)).collect();
        let payers: Vec<&[u8]> = probes.iter().map(|probe| probe.payer.as_slice()).collect();
        let times: Vec<i64> = probes.iter().map(|probe| probe.block_time.micros()).collect();
        let txs: Vec<&[u8]> = probes.iter().map(|probe| probe.tx_hash.as_slice()).collect();
        let query = sqlx::query(ORDERS_FOR)
            .bind(references)
            .bind(chains)
            .bind(tokens)
            .bind(treasuries)
            .bind(amounts)
            .bind(payers)
            .bind(times)
            .bind(txs);
        all(&single.rows(query).await?, codec::found_order).map_err(&wrong)
    }

    async fn has_orders_before(
        &self,
        chain_id: ChainId,
        time: Timestamp,
    ) -> Result<bool, StoreError> {
        let single = self.paged("look for earlier orders");
        let wrong = wrong(single.act);
        let query =
            sqlx::query("SELECT 1 FROM orders WHERE -chain_id = -$1 AND created_at <= $2 LIMIT 1")
                .bind(chain(chain_id).map_err(&wrong)?)
                .bind(time.micros());
        Ok(single.row(query).await?.is_some())
    }

    async fn orders_to_close(
        &self,
        chain_id: ChainId,
        chain_time: Timestamp,
        limit: u32,
    ) -> Result<Vec<OrderId>, StoreError> {
        let single = self.paged("find orders to close");
        let wrong = wrong(single.act);
        let query = sqlx::query(TO_CLOSE)
            .bind(chain(chain_id).map_err(&wrong)?)
            .bind(chain_time.micros())
            .bind(i64::from(limit));
        all(&single.rows(query).await?, |row| Fields(row).get("id").map(OrderId::from_uuid))
            .map_err(&wrong)
    }

    async fn oldest_unsettled_time(
        &self,
        chain_id: ChainId,
    ) -> Result<Option<Timestamp>, StoreError> {
        let single = self.paged("find the oldest unsettled transfer");
        let wrong = wrong(single.act);
        let query = sqlx::query(OLDEST_UNSETTLED).bind(chain(chain_id).map_err(&wrong)?);
        let row = single.row(query).await?;
        row.map_or(Ok(None), |row| Fields(&row).get::<Option<i64>>("oldest"))
            .map(|time| time.map(Timestamp::from_micros))
            .map_err(&wrong)
    }

    async fn free_slots(
        &self,
        chain_id: ChainId,
        finalized_number: u64,
        quarantined_before: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let single = self.paged("free slots");
        let wrong = wrong(single.act);
        let (finalized, before) = (height(finalized_number), quarantined_before.micros());
        let find = sqlx::query(FIND_SLOTS)
            .bind(chain(chain_id).map_err(&wrong)?)
            .bind(finalized)
            .bind(before)
            .bind(i64::from(limit));
        let found = all(&single.rows(find).await?, |row| Fields(row).get::<i64>("position"));
        let found = found.map_err(&wrong)?;
        if found.is_empty() {
            return Ok(0);
        }
        let mut session = self.begin_paged(single.act).await?;
        lock_head(&mut session, &BTreeSet::new()).await?;
        let free = sqlx::query(FREE_SLOTS).bind(found).bind(finalized).bind(before);
        let freed = session.run(free).await?;
        session.commit().await?;
        Ok(freed)
    }

    async fn lots_to_expire(&self, now: Timestamp, limit: u32) -> Result<Vec<LotId>, StoreError> {
        let single = self.paged("find lots to expire");
        let wrong = wrong(single.act);
        let query = sqlx::query(
            "SELECT entry_seq, lot_index FROM lot WHERE expires_at <= $1 AND is_left \
             ORDER BY expires_at, entry_seq, lot_index LIMIT $2",
        )
        .bind(now.micros())
        .bind(i64::from(limit));
        all(&single.rows(query).await?, |row| {
            let fields = Fields(row);
            Ok(LotId { entry_seq: fields.get("entry_seq")?, index: fields.get("lot_index")? })
        })
        .map_err(&wrong)
    }
}
