//! What settling keeps: the one way into the books, and what is waiting to go there.
//!
//! A batch begins to write before it reads anything, so writers come one after another and the follower
//! cannot flip a transfer meanwhile.

use async_trait::async_trait;
use inspay_ledger::{Remembered, Touches, TransferRecord};
use inspay_ports::{AttributionProbe, BooksStore, Decide, FoundOrder, StoreError, StoreErrorKind};
use inspay_primitives::{B256, ChainId, LotId, OrderId, Timestamp};
use serde_json::{Value, json};

use crate::{
    codec::{
        self, Fields, all, order_columns, settlement_columns, transfer_columns,
        transfer_with_settlement,
    },
    columns::{chain, height, hex_list, json_list, units},
    error::wrong,
    halts::is_halted,
    load::load,
    session::hot,
    store::SqliteStore,
    write::{write, write_at},
};

const TO_SETTLE: &str = concat!(
    "SELECT ",
    transfer_columns!(),
    " FROM transfer t WHERE t.chain_id = ?1 AND t.block_number <= ?2 AND t.needs_work = 1 AND t.settled = 0 ",
    "AND (t.block_number, t.log_index) > (?4, ?5) AND NOT ",
    is_halted!("t"),
    " ORDER BY t.block_number, t.log_index LIMIT ?3",
);

const TO_REVERSE: &str = concat!(
    "SELECT ",
    transfer_columns!(),
    ", ",
    settlement_columns!(),
    " FROM ",
    transfer_with_settlement!(),
    " WHERE t.chain_id = ?1 AND t.needs_work = 1 AND t.settled = 1 ",
    "ORDER BY t.block_number, t.log_index LIMIT ?2",
);

const CANONICAL_HASHES: &str = "SELECT b.hash FROM json_each(?2) AS wanted \
     LEFT JOIN block b ON b.chain_id = ?1 AND b.number = wanted.value AND b.canonical = 1 \
     ORDER BY wanted.key";

const ORDERS_FOR: &str = concat!(
    "WITH found (position, payer, claimed) AS (\
         SELECT named.position, NULL, NULL FROM json_each(?1) AS probe \
         CROSS JOIN orders named ON named.reference = unhex(probe.value) \
     UNION \
         SELECT held.position, NULL, NULL FROM json_each(?2) AS probe \
         CROSS JOIN orders held ON held.chain_id = probe.value ->> 0 \
         AND held.token = unhex(probe.value ->> 1) AND held.treasury = unhex(probe.value ->> 2) \
         AND held.due_base_units = probe.value ->> 3 AND held.slot_held = 1 \
     UNION \
         SELECT unpaid.position, w.wallet, NULL FROM json_each(?2) AS probe \
         CROSS JOIN wallet w ON w.chain_id = probe.value ->> 0 AND w.wallet = unhex(probe.value ->> 4) \
         AND w.unlinked_at IS NULL \
         CROSS JOIN orders unpaid ON unpaid.account = w.account AND unpaid.in_time_until >= probe.value ->> 5 \
         AND unpaid.state <> 'paid' AND unpaid.chain_id = probe.value ->> 0 \
         AND unpaid.token = unhex(probe.value ->> 1) AND unpaid.treasury = unhex(probe.value ->> 2) \
     UNION \
         SELECT claimed.position, w.wallet, c.tx_hash FROM json_each(?2) AS probe \
         CROSS JOIN payment_claim c ON c.tx_hash = unhex(probe.value ->> 6) AND c.chain_id = probe.value ->> 0 \
         CROSS JOIN orders claimed ON claimed.id = c.order_id \
         LEFT JOIN wallet w ON w.chain_id = probe.value ->> 0 AND w.wallet = unhex(probe.value ->> 4) \
         AND w.unlinked_at IS NULL AND w.account = claimed.account) \
     SELECT found.payer, found.claimed, ",
    order_columns!(),
    " FROM found CROSS JOIN orders o ON o.position = found.position ORDER BY o.position",
);

const EARLIER_ORDER: &str = "SELECT 1 FROM orders WHERE chain_id = ?1 AND created_at <= ?2 LIMIT 1";

const TO_CLOSE: &str = concat!(
    "SELECT o.id FROM orders o WHERE o.chain_id = ?1 AND o.in_time_until < ?2 AND o.closed = 0 \
     AND o.state IN ('open', 'partially_paid') AND NOT ",
    is_halted!("o"),
    " ORDER BY o.in_time_until, o.position LIMIT ?3",
);

/// Block time of the oldest transfer of a chain that needs work.
macro_rules! oldest_unsettled {
    ($chain:literal) => {
        concat!(
            "SELECT MIN(block_time) AS oldest FROM (\
             SELECT block_time FROM (SELECT t.block_time FROM transfer t WHERE t.chain_id = ",
            $chain,
            " AND t.needs_work = 1 AND t.settled = 0 AND NOT ",
            $crate::halts::is_halted!("t"),
            " ORDER BY t.block_number LIMIT 1) \
             UNION ALL \
             SELECT block_time FROM (SELECT t.block_time FROM transfer t WHERE t.chain_id = ",
            $chain,
            " AND t.needs_work = 1 AND t.settled = 1 ORDER BY t.block_number LIMIT 1))",
        )
    };
}
pub(crate) use oldest_unsettled;

const OLDEST_UNSETTLED: &str = oldest_unsettled!("?1");

const FREE_SLOTS: &str = "UPDATE orders SET slot_held = 0 WHERE position IN (\
     SELECT position FROM (SELECT o.position FROM orders o \
         WHERE o.chain_id = ?1 AND o.slot_held = 1 AND o.state = 'paid' AND NOT EXISTS (\
             SELECT 1 FROM settlement s CROSS JOIN transfer t \
             ON t.id = s.transfer_id AND t.generation = s.generation AND t.settled = 1 \
             WHERE s.order_id = o.id AND t.block_number > ?2) \
         ORDER BY o.deadline LIMIT ?4) \
     UNION ALL \
     SELECT position FROM (SELECT o.position FROM orders o \
         WHERE o.chain_id = ?1 AND o.slot_held = 1 AND o.closed = 1 AND o.deadline < ?3 AND o.state <> 'paid' \
         ORDER BY o.deadline LIMIT ?4) \
     LIMIT ?4)";

const TO_EXPIRE: &str = "SELECT entry_seq, lot_index FROM lot WHERE expires_at <= ?1 AND credits_left > 0 \
     ORDER BY expires_at, entry_seq, lot_index LIMIT ?2";

const WRITE_BOOKS: &str = "write the books";

impl SqliteStore {
    /// Decides on what the last batch left behind and writes; whether anything was written. Nothing is read: where the
    /// head has moved or something is there that was taken for new, it is not.
    async fn transact_remembered(
        &self,
        mut remembered: Remembered,
        touches: &Touches,
        decide: &Decide,
    ) -> Result<bool, StoreError> {
        let rows = decide(&mut remembered.state);
        if !remembered.is_sure(touches, &rows) {
            return Ok(false);
        }
        let mut session = self.begin(WRITE_BOOKS).await?;
        let revision = remembered.revision;
        match write_at(&mut session, &rows, revision).await {
            Ok(true) => session.commit().await?,
            // Where the head has moved, or something is there that was taken for new, rows may break any constraint; those
            // that break one by themselves are refused once more.
            Ok(false) | Err(StoreError { kind: StoreErrorKind::Refused(_), .. }) => {
                session.abandon().await?;
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        self.memory.remember(remembered.kept(revision.saturating_add(1)));
        Ok(true)
    }
}

#[async_trait]
impl BooksStore for SqliteStore {
    async fn transact(&self, touches: Touches, decide: Decide) -> Result<(), StoreError> {
        if let Some(remembered) = self.memory.recall(&touches)
            && self.transact_remembered(remembered, &touches, &decide).await?
        {
            return Ok(());
        }
        let mut session = self.begin(WRITE_BOOKS).await?;
        let (mut state, revision) = load(&mut session, &touches).await?;
        let rows = decide(&mut state);
        if rows.is_empty() {
            return session.abandon().await;
        }
        write(&mut session, &rows).await?;
        session.commit().await?;
        self.memory.remember(Remembered::new(state, &touches, revision.saturating_add(1)));
        Ok(())
    }

    async fn transfers_to_settle(
        &self,
        chain_id: ChainId,
        after: Option<(u64, u32)>,
        up_to: u64,
        limit: u32,
    ) -> Result<Vec<TransferRecord>, StoreError> {
        let single = self.read("find transfers to settle");
        let wrong = wrong(single.act);
        let (number, log_index) =
            after.map_or((-1, -1), |(number, log_index)| (height(number), i64::from(log_index)));
        let query = hot(TO_SETTLE)
            .bind(chain(chain_id).map_err(&wrong)?)
            .bind(height(up_to))
            .bind(i64::from(limit))
            .bind(number)
            .bind(log_index);
        all(&single.rows(query).await?, codec::transfer_alone).map_err(&wrong)
    }

    async fn transfers_to_reverse(
        &self,
        chain_id: ChainId,
        limit: u32,
    ) -> Result<Vec<TransferRecord>, StoreError> {
        let single = self.read("find transfers to reverse");
        let wrong = wrong(single.act);
        let query = hot(TO_REVERSE).bind(chain(chain_id).map_err(&wrong)?).bind(i64::from(limit));
        all(&single.rows(query).await?, codec::transfer_record).map_err(&wrong)
    }

    async fn canonical_hashes(
        &self,
        chain_id: ChainId,
        numbers: Vec<u64>,
    ) -> Result<Vec<Option<B256>>, StoreError> {
        let single = self.read("read canonical hashes");
        let wrong = wrong(single.act);
        let numbers = numbers.into_iter().map(|number| Value::from(height(number))).collect();
        let query =
            hot(CANONICAL_HASHES).bind(chain(chain_id).map_err(&wrong)?).bind(json_list(numbers));
        all(&single.rows(query).await?, |row| Fields(row).optional_hash("hash")).map_err(&wrong)
    }

    async fn orders_for(
        &self,
        probes: Vec<AttributionProbe>,
    ) -> Result<Vec<FoundOrder>, StoreError> {
        let single = self.read("find orders for transfers");
        let wrong = wrong(single.act);
        let references = probes.iter().filter_map(|probe| probe.reference);
        let references = hex_list(references.map(|reference| reference.bytes()));
        let amounts = probes
            .iter()
            .map(|probe| {
                let (token, treasury) =
                    (hex::encode(probe.asset.contract), hex::encode(probe.treasury));
                Ok(json!([
                    chain(probe.asset.chain_id)?,
                    token,
                    treasury,
                    units(probe.base_units),
                    hex::encode(probe.payer),
                    probe.block_time.micros(),
                    hex::encode(probe.tx_hash),
                ]))
            })
            .collect::<Result<_, _>>()
            .map_err(&wrong)?;
        let query = hot(ORDERS_FOR).bind(references).bind(json_list(amounts));
        all(&single.rows(query).await?, codec::found_order).map_err(&wrong)
    }

    async fn has_orders_before(
        &self,
        chain_id: ChainId,
        time: Timestamp,
    ) -> Result<bool, StoreError> {
        let single = self.read("look for earlier orders");
        let chain_number = chain(chain_id).map_err(wrong(single.act))?;
        let query = hot(EARLIER_ORDER).bind(chain_number).bind(time.micros());
        Ok(single.row(query).await?.is_some())
    }

    async fn orders_to_close(
        &self,
        chain_id: ChainId,
        chain_time: Timestamp,
        limit: u32,
    ) -> Result<Vec<OrderId>, StoreError> {
        let single = self.read("find orders to close");
        let wrong = wrong(single.act);
        let query = hot(TO_CLOSE)
            .bind(chain(chain_id).map_err(&wrong)?)
            .bind(chain_time.micros())
            .bind(i64::from(limit));
        all(&single.rows(query).await?, |row| Fields(row).uuid("id").map(OrderId::from_uuid))
            .map_err(&wrong)
    }

    async fn oldest_unsettled_time(
        &self,
        chain_id: ChainId,
    ) -> Result<Option<Timestamp>, StoreError> {
        let single = self.read("find the oldest unsettled transfer");
        let wrong = wrong(single.act);
        let query = hot(OLDEST_UNSETTLED).bind(chain(chain_id).map_err(&wrong)?);
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
        let single = self.write("free slots");
        let query = hot(FREE_SLOTS)
            .bind(chain(chain_id).map_err(wrong(single.act))?)
            .bind(height(finalized_number))
            .bind(quarantined_before.micros())
            .bind(i64::from(limit));
        single.run(query).await
    }

    async fn lots_to_expire(&self, now: Timestamp, limit: u32) -> Result<Vec<LotId>, StoreError> {
        let single = self.read("find lots to expire");
        let query = hot(TO_EXPIRE).bind(now.micros()).bind(i64::from(limit));
        all(&single.rows(query).await?, |row| Fields(row).lot_id()).map_err(wrong(single.act))
    }
}
