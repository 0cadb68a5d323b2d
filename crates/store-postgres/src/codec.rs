//! Rows become types.
//!
//! A value that cannot be read back is [`StoreErrorKind::Corrupt`], named by its column; never guessed.

use std::str::FromStr;

use inspay_ledger::{
    AccountBalance, BookAccount, Bucket, Entry, EntryKind, Event, EventKind, Evidence, Head,
    IgnoreReason, Lot, LotMove, LotParts, LotSource, OperationKey, Posting, Settlement,
    SettlementKind, Side, SuspenseReason, TransferRecord, Unit,
};
use inspay_ports::{FoundBy, FoundOrder, StoreErrorKind};
use inspay_primitives::{
    AccountId, Address, AssetId, B256, BlockRef, ChainId, Credits, Direction, LotId, Order,
    OrderId, OrderProgress, OrderState, OrderTerms, QuoteId, Rate, Reference, Timestamp, Transfer,
    TransferId, TransferKey, U256, Usd,
};
use sqlx::{Decode, Postgres, Row as _, Type, postgres::PgRow, types::Uuid};

/// What reading a row may come to.
pub(crate) type Read<T> = Result<T, StoreErrorKind>;

pub(crate) fn corrupt(column: &str, why: impl std::fmt::Display) -> StoreErrorKind {
    StoreErrorKind::Corrupt(format!("{column}: {why}"))
}

/// A row, read column by column.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'r>(pub(crate) &'r PgRow);

impl<'r> Fields<'r> {
    /// A column as PostgreSQL's own type.
    pub(crate) fn get<T: Decode<'r, Postgres> + Type<Postgres>>(self, column: &str) -> Read<T> {
        self.0.try_get(column).map_err(|error| corrupt(column, error))
    }

    fn bytes<const N: usize>(self, column: &str) -> Read<[u8; N]> {
        let bytes: &[u8] = self.get(column)?;
        bytes.try_into().map_err(|_| corrupt(column, format!("{} bytes, not {N}", bytes.len())))
    }

    fn optional_bytes<const N: usize>(self, column: &str) -> Read<Option<[u8; N]>> {
        let bytes: Option<&[u8]> = self.get(column)?;
        bytes
            .map(|bytes| {
                bytes
                    .try_into()
                    .map_err(|_| corrupt(column, format!("{} bytes, not {N}", bytes.len())))
            })
            .transpose()
    }

    /// An integer that is stored as a wider one.
    pub(crate) fn narrow<T: TryFrom<i64>>(self, column: &str) -> Read<T> {
        let wide: i64 = self.get(column)?;
        T::try_from(wide).map_err(|_| corrupt(column, format!("{wide} is out of range")))
    }

    /// A text that one parser reads.
    pub(crate) fn text<T>(self, column: &str, parse: impl Fn(&str) -> Option<T>) -> Read<T> {
        let text: &str = self.get(column)?;
        parse(text).ok_or_else(|| corrupt(column, format!("not understood: {text:?}")))
    }

    pub(crate) fn optional_text<T>(
        self,
        column: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Read<Option<T>> {
        let text: Option<&str> = self.get(column)?;
        text.map(|text| {
            parse(text).ok_or_else(|| corrupt(column, format!("not understood: {text:?}")))
        })
        .transpose()
    }

    pub(crate) fn parsed<T: FromStr>(self, column: &str) -> Read<T> {
        self.text(column, |text| text.parse().ok())
    }

    fn optional_parsed<T: FromStr>(self, column: &str) -> Read<Option<T>> {
        self.optional_text(column, |text| text.parse().ok())
    }

    pub(crate) fn hash(self, column: &str) -> Read<B256> {
        self.bytes(column).map(B256::new)
    }

    pub(crate) fn optional_hash(self, column: &str) -> Read<Option<B256>> {
        Ok(self.optional_bytes(column)?.map(B256::new))
    }

    pub(crate) fn address(self, column: &str) -> Read<Address> {
        self.bytes(column).map(Address::new)
    }

    pub(crate) fn time(self, column: &str) -> Read<Timestamp> {
        self.get(column).map(Timestamp::from_micros)
    }

    pub(crate) fn credits(self, column: &str) -> Read<Credits> {
        self.get(column).map(Credits::from_micros)
    }

    /// A `NUMERIC` that the statement has cast to text.
    pub(crate) fn units(self, column: &str) -> Read<U256> {
        self.text(column, |text| U256::from_str_radix(text, 10).ok())
    }

    fn optional_usd(self, column: &str) -> Read<Option<Usd>> {
        self.optional_parsed(column)
    }

    pub(crate) fn account(self, column: &str) -> Read<AccountId> {
        self.parsed(column)
    }

    pub(crate) fn optional_order(self, column: &str) -> Read<Option<OrderId>> {
        Ok(self.get::<Option<Uuid>>(column)?.map(OrderId::from_uuid))
    }

    pub(crate) fn optional_transfer_id(self, column: &str) -> Read<Option<TransferId>> {
        Ok(self.optional_bytes(column)?.map(|id| TransferId::from_digest(B256::new(id))))
    }

    pub(crate) fn transfer_id(self, column: &str) -> Read<TransferId> {
        self.hash(column).map(TransferId::from_digest)
    }

    pub(crate) fn rate(self, column: &str) -> Read<Rate> {
        self.parsed(column)
    }

    pub(crate) fn book_account(self, column: &str) -> Read<BookAccount> {
        self.parsed(column)
    }

    pub(crate) fn unit(self, column: &str) -> Read<Unit> {
        self.parsed(column)
    }

    pub(crate) fn side(self, column: &str) -> Read<Side> {
        self.text(column, Side::parse)
    }

    pub(crate) fn entry_kind(self, column: &str) -> Read<EntryKind> {
        self.text(column, EntryKind::parse)
    }
}

/// The columns of a transfer `t` with the settlement `s` of its present generation.
macro_rules! transfer_columns {
    () => {
        "t.position, t.id, t.chain_id, t.tx_hash, t.token, t.treasury, t.direction, t.ordinal, \
         t.counterparty, t.base_units::text AS base_units, t.block_number, t.block_hash, t.block_time, \
         t.log_index, t.reference_read, t.reference, t.canonical, t.generation, \
         s.kind AS s_kind, s.order_id AS s_order_id, s.evidence AS s_evidence, \
         s.suspense AS s_suspense, s.ignored AS s_ignored, s.candidates AS s_candidates, \
         s.base_units::text AS s_base_units, s.credits AS s_credits, s.usd_value::text AS s_usd_value, \
         s.block_hash AS s_block_hash, s.entry_seq AS s_entry_seq, s.settled_at AS s_settled_at"
    };
}
pub(crate) use transfer_columns;

/// A transfer `t` with the settlement `s` of its present generation: looked up for each, whatever the planner
/// believes of the tables' sizes.
macro_rules! transfer_with_settlement {
    () => {
        "transfer t LEFT JOIN LATERAL (\
         SELECT * FROM settlement s WHERE t.settled AND s.transfer_id = t.id \
         AND s.generation = t.generation OFFSET 0) AS s ON TRUE"
    };
}
pub(crate) use transfer_with_settlement;

/// Whether a transfer is another one than those that wait to be settled: as the index of payers says it.
macro_rules! waits_for_nothing {
    ($transfer:literal) => {
        concat!("(NOT ", $transfer, ".needs_work OR ", $transfer, ".settled)")
    };
}
pub(crate) use waits_for_nothing;

/// The columns of an order `o`.
macro_rules! order_columns {
    () => {
        "o.position, o.id, o.account, o.quote_id, o.chain_id, o.token, o.decimals::bigint AS decimals, \
         o.treasury, o.reference, o.due_base_units::text AS due_base_units, \
         o.list_base_units::text AS list_base_units, \
         o.tolerance_base_units::text AS tolerance_base_units, o.credits, o.price::text AS price, \
         o.rate::text AS rate, o.exact_amount_lane, o.created_at, o.deadline, o.grace_seconds, \
         o.credits_valid_days::bigint AS credits_valid_days, o.state, \
         o.received_base_units::text AS received_base_units, o.credited, o.closed, o.slot_held"
    };
}
pub(crate) use order_columns;

/// The columns of a lot `l`.
macro_rules! lot_columns {
    () => {
        "l.entry_seq, l.lot_index, l.account, l.source, l.order_id, l.transfer_id, l.granted, \
         l.credits_left, l.granted_at, l.expires_at, l.paid::text AS paid, l.campaign, l.scope, l.priority, \
         l.held, l.spent, l.expired, l.taken, l.revoked, l.warned"
    };
}
pub(crate) use lot_columns;

/// Reads the columns of `transfer_columns!`.
pub(crate) fn transfer_record(row: &PgRow) -> Read<TransferRecord> {
    let fields = Fields(row);
    let reference: Option<[u8; 16]> = fields.optional_bytes("reference")?;
    let transfer = Transfer {
        key: TransferKey {
            chain_id: ChainId(fields.narrow("chain_id")?),
            tx_hash: fields.hash("tx_hash")?,
            token: fields.address("token")?,
            treasury: fields.address("treasury")?,
            direction: fields.text("direction", Direction::parse)?,
            ordinal: fields.narrow("ordinal")?,
        },
        counterparty: fields.address("counterparty")?,
        base_units: fields.units("base_units")?,
        block: BlockRef {
            number: fields.narrow("block_number")?,
            hash: fields.hash("block_hash")?,
            time: fields.time("block_time")?,
        },
        log_index: fields.narrow("log_index")?,
        reference: fields
            .get::<bool>("reference_read")?
            .then(|| reference.map(Reference::from_bytes)),
    };
    let generation = fields.narrow("generation")?;
    let settlement = settlement(fields, generation)?;
    Ok(TransferRecord { transfer, canonical: fields.get("canonical")?, generation, settlement })
}

fn settlement(fields: Fields<'_>, generation: u32) -> Read<Option<Settlement>> {
    let Some(kind) = fields.optional_text("s_kind", SettlementKind::parse)? else {
        return Ok(None);
    };
    let candidates: Vec<Uuid> = fields.get("s_candidates")?;
    Ok(Some(Settlement {
        transfer: fields.transfer_id("id")?,
        generation,
        kind,
        order: fields.optional_order("s_order_id")?,
        evidence: fields.optional_text("s_evidence", Evidence::parse)?,
        suspense: fields.optional_text("s_suspense", SuspenseReason::parse)?,
        ignored: fields.optional_text("s_ignored", IgnoreReason::parse)?,
        candidates: candidates.into_iter().map(OrderId::from_uuid).collect(),
        base_units: fields.units("s_base_units")?,
        credits: fields.credits("s_credits")?,
        value: fields.optional_usd("s_usd_value")?,
        block_hash: fields.hash("s_block_hash")?,
        entry_seq: fields.get("s_entry_seq")?,
        settled_at: fields.time("s_settled_at")?,
    }))
}

/// Reads the columns of `order_columns!`, with how the order was found.
pub(crate) fn found_order(row: &PgRow) -> Read<FoundOrder> {
    let fields = Fields(row);
    let payer = fields.optional_bytes("payer")?.map(Address::new);
    let found_by = match (fields.optional_hash("claimed")?, payer) {
        (Some(tx_hash), payer) => FoundBy::Claim { tx_hash, payer },
        (None, Some(payer)) => FoundBy::Payer(payer),
        (None, None) => FoundBy::Terms,
    };
    Ok(FoundOrder { order: order(row)?, found_by })
}

/// Reads the columns of `order_columns!`.
pub(crate) fn order(row: &PgRow) -> Read<Order> {
    let fields = Fields(row);
    let terms = OrderTerms {
        id: OrderId::from_uuid(fields.get("id")?),
        account: fields.account("account")?,
        quote: QuoteId::from_uuid(fields.get("quote_id")?),
        asset: AssetId {
            chain_id: ChainId(fields.narrow("chain_id")?),
            contract: fields.address("token")?,
        },
        decimals: fields.narrow("decimals")?,
        treasury: fields.address("treasury")?,
        reference: Reference::from_bytes(fields.bytes("reference")?),
        due_base_units: fields.units("due_base_units")?,
        list_base_units: fields.units("list_base_units")?,
        tolerance_base_units: fields.units("tolerance_base_units")?,
        credits: fields.credits("credits")?,
        price: fields.parsed("price")?,
        rate: fields.rate("rate")?,
        exact_amount_lane: fields.get("exact_amount_lane")?,
        created_at: fields.time("created_at")?,
        deadline: fields.time("deadline")?,
        grace_seconds: fields.narrow("grace_seconds")?,
        credits_valid_days: fields.narrow("credits_valid_days")?,
    };
    let progress = OrderProgress {
        state: fields.text("state", OrderState::parse)?,
        received_base_units: fields.units("received_base_units")?,
        credited: fields.credits("credited")?,
        closed: fields.get("closed")?,
        slot_held: fields.get("slot_held")?,
    };
    Ok(Order { terms, progress })
}

/// Reads the columns of `lot_columns!`.
pub(crate) fn lot(row: &PgRow) -> Read<Lot> {
    let fields = Fields(row);
    Ok(Lot {
        id: LotId { entry_seq: fields.get("entry_seq")?, index: fields.get("lot_index")? },
        account: fields.account("account")?,
        source: fields.text("source", LotSource::parse)?,
        campaign: fields.optional_parsed("campaign")?,
        scope: fields.optional_parsed("scope")?,
        priority: u8::try_from(fields.get::<i16>("priority")?)
            .map_err(|error| corrupt("priority", error))?,
        order: fields.optional_order("order_id")?,
        transfer: fields.optional_transfer_id("transfer_id")?,
        granted: fields.credits("granted")?,
        granted_at: fields.time("granted_at")?,
        expires_at: fields.time("expires_at")?,
        paid: fields.optional_usd("paid")?,
        parts: LotParts {
            left: fields.credits("credits_left")?,
            held: fields.credits("held")?,
            spent: fields.credits("spent")?,
            expired: fields.credits("expired")?,
            taken: fields.credits("taken")?,
            revoked: fields.get("revoked")?,
            warned: fields.get("warned")?,
        },
    })
}

/// Reads the row of `ledger_head` whose newest entry is known.
pub(crate) fn head(row: &PgRow, entry_seq: i64) -> Read<Head> {
    let fields = Fields(row);
    Ok(Head {
        entry_seq,
        entry_hash: fields.hash("entry_hash")?,
        event_seq: fields.get("event_seq")?,
        account_number: fields.get("account_number")?,
        booked_at: fields.time("booked_at")?,
    })
}

/// Reads a row of `book_account` with its sums cast to text.
pub(crate) fn balance(row: &PgRow) -> Read<((BookAccount, Unit), AccountBalance)> {
    let fields = Fields(row);
    let sums = AccountBalance {
        number: fields.get("number")?,
        debits: fields.units("debits")?,
        credits: fields.units("credits")?,
    };
    Ok(((fields.book_account("account")?, fields.unit("unit")?), sums))
}

/// Reads a row of `entry`; its postings and lots are read apart.
pub(crate) fn entry(row: &PgRow) -> Read<Entry> {
    let fields = Fields(row);
    Ok(Entry {
        seq: fields.get("seq")?,
        kind: fields.entry_kind("kind")?,
        operation: OperationKey::new(fields.get::<&str>("operation_key")?),
        event_at: fields.time("event_at")?,
        booked_at: fields.time("booked_at")?,
        transfer: fields.optional_transfer_id("transfer_id")?,
        order: fields.optional_order("order_id")?,
        reverses: fields.get("reverses")?,
        postings: Vec::new(),
        lots: Vec::new(),
        moves: Vec::new(),
        facts: fields.get("facts")?,
        version: fields.get("version")?,
        previous_hash: fields.hash("previous_hash")?,
        hash: fields.hash("hash")?,
    })
}

/// Reads a posting on an account that is known.
pub(crate) fn posting(
    row: &PgRow,
    account_number: i64,
    (account, unit): &(BookAccount, Unit),
) -> Read<Posting> {
    let fields = Fields(row);
    Ok(Posting {
        account_number,
        account: account.clone(),
        unit: *unit,
        side: fields.side("side")?,
        quantity: fields.units("quantity")?,
    })
}

/// Reads the name of an account of the books, and what it counts.
pub(crate) fn account_name(row: &PgRow) -> Read<(BookAccount, Unit)> {
    let fields = Fields(row);
    Ok((fields.book_account("account")?, fields.unit("unit")?))
}

/// Reads a row of `lot_move`, with its entry.
pub(crate) fn lot_move(row: &PgRow) -> Read<(i64, LotMove)> {
    let fields = Fields(row);
    let lot = LotId { entry_seq: fields.get("lot_entry_seq")?, index: fields.get("lot_index")? };
    let part = LotMove {
        lot,
        from: fields.text("from_bucket", Bucket::parse)?,
        to: fields.text("to_bucket", Bucket::parse)?,
        credits: fields.credits("credits")?,
    };
    Ok((fields.get("entry_seq")?, part))
}

/// Reads a row of `event` with its snapshot cast to text.
pub(crate) fn event(row: &PgRow) -> Read<Event> {
    let fields = Fields(row);
    let snapshot: &str = fields.get("snapshot")?;
    Ok(Event {
        seq: fields.get("seq")?,
        kind: fields.text("kind", EventKind::parse)?,
        account: fields.optional_parsed("account")?,
        order: fields.optional_order("order_id")?,
        transfer: fields.optional_transfer_id("transfer_id")?,
        entry_seq: fields.get("entry_seq")?,
        created_at: fields.time("created_at")?,
        snapshot: serde_json::from_str(snapshot).map_err(|error| corrupt("snapshot", error))?,
    })
}

/// Reads every row.
pub(crate) fn all<T>(rows: &[PgRow], read: impl Fn(&PgRow) -> Read<T>) -> Read<Vec<T>> {
    rows.iter().map(read).collect()
}
