//! Types become columns: one array per column, to be `UNNEST`ed by one statement.
//!
//! Base units and dollars travel as text. A number that the database cannot hold is refused, never wrapped.

use inspay_ports::StoreErrorKind;
use inspay_primitives::{ChainId, Transfer, TransferId, U256};

/// A `u64` as PostgreSQL's `BIGINT`.
pub(crate) fn big(what: &'static str, value: u64) -> Result<i64, StoreErrorKind> {
    i64::try_from(value).map_err(|_| {
        StoreErrorKind::Refused(format!("{what} {value} is beyond what a BIGINT holds"))
    })
}

/// A chain's id as PostgreSQL's `BIGINT`.
pub(crate) fn chain(chain: ChainId) -> Result<i64, StoreErrorKind> {
    big("chain id", chain.0)
}

/// A height to compare with: beyond what any row can hold, the highest.
pub(crate) fn height(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Base units as text.
pub(crate) fn units(base_units: U256) -> String {
    base_units.to_string()
}

/// The columns of transfers to record.
#[derive(Debug, Default)]
pub(crate) struct TransferColumns<'a> {
    pub(crate) ids: Vec<&'a [u8]>,
    pub(crate) chains: Vec<i64>,
    pub(crate) tx_hashes: Vec<&'a [u8]>,
    pub(crate) tokens: Vec<&'a [u8]>,
    pub(crate) treasuries: Vec<&'a [u8]>,
    pub(crate) directions: Vec<&'static str>,
    pub(crate) ordinals: Vec<i64>,
    pub(crate) counterparties: Vec<&'a [u8]>,
    pub(crate) base_units: Vec<String>,
    pub(crate) numbers: Vec<i64>,
    pub(crate) block_hashes: Vec<&'a [u8]>,
    pub(crate) times: Vec<i64>,
    pub(crate) log_indexes: Vec<i64>,
    pub(crate) references_read: Vec<bool>,
    pub(crate) references: Vec<Option<Vec<u8>>>,
}

impl<'a> TransferColumns<'a> {
    pub(crate) fn of(transfers: &'a [(TransferId, &'a Transfer)]) -> Result<Self, StoreErrorKind> {
        let mut columns = Self::default();
        for (id, transfer) in transfers {
            let key = &transfer.key;
            columns.ids.push(id.digest().as_slice());
            columns.chains.push(chain(key.chain_id)?);
            columns.tx_hashes.push(key.tx_hash.as_slice());
            columns.tokens.push(key.token.as_slice());
            columns.treasuries.push(key.treasury.as_slice());
            columns.directions.push(key.direction.as_str());
            columns.ordinals.push(i64::from(key.ordinal));
            columns.counterparties.push(transfer.counterparty.as_slice());
            columns.base_units.push(units(transfer.base_units));
            columns.numbers.push(big("block number", transfer.block.number)?);
            columns.block_hashes.push(transfer.block.hash.as_slice());
            columns.times.push(transfer.block.time.micros());
            columns.log_indexes.push(i64::from(transfer.log_index));
            columns.references_read.push(transfer.reference.is_some());
            let reference = transfer.reference.flatten();
            columns.references.push(reference.map(|reference| reference.bytes().to_vec()));
        }
        Ok(columns)
    }
}
