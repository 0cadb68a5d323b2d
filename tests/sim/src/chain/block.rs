//! Blocks of the simulated chain, with every answer that a node gives about them.
//!
//! Hashes, roots and blooms are the real ones. What is told of a block is written once, when it is made.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use alloy::{
    consensus::{
        Eip658Value, Header, Receipt, ReceiptEnvelope, TxReceipt as _,
        proofs::{calculate_receipt_root, calculate_transaction_root},
    },
    primitives::{Bloom, Log, LogData, hex},
};
use inspay_primitives::{
    Address, B256, BlockRef, Direction, Timestamp, Transfer, TransferId, TransferKey, U256,
};

use super::{CHAIN, TRANSFER_TOPIC, Treasuries, tx::SimTx};

/// A log with the place it has in its block.
#[derive(Clone, Debug)]
pub(crate) struct SimLog {
    pub(crate) token: Address,
    pub(crate) from: Address,
    pub(crate) to: Address,
    pub(crate) json: String,
}

/// What a treasury holds of a token.
pub(crate) type Balances = BTreeMap<(Address, Address), U256>;

/// A block of some branch.
#[derive(Debug)]
pub(crate) struct SimBlock {
    pub(crate) block: BlockRef,
    pub(crate) seconds: u64,
    pub(crate) parent_hash: B256,
    /// The header's fields, open at the end.
    header: String,
    pub(crate) txs: Vec<Arc<SimTx>>,
    /// Receipts as a node tells them.
    pub(crate) receipts: Vec<String>,
    pub(crate) logs: Vec<SimLog>,
    /// The followed transfers that it holds, by their identity.
    pub(crate) transfers: BTreeMap<TransferId, Transfer>,
    /// What the treasuries hold after it.
    pub(crate) balances: Balances,
    /// Chain transactions in it that came to nothing.
    pub(crate) reverted: u64,
}

/// What a block is made of.
#[derive(Debug)]
pub(crate) struct Making<'a> {
    pub(crate) number: u64,
    pub(crate) seconds: u64,
    pub(crate) parent_hash: B256,
    /// Tells two branches' blocks apart.
    pub(crate) salt: u64,
    pub(crate) txs: Vec<Arc<SimTx>>,
    pub(crate) balances: Balances,
    pub(crate) treasuries: &'a Treasuries,
}

fn moved_log(token: Address, from: Address, to: Address, base_units: U256) -> Log {
    let topics = vec![TRANSFER_TOPIC, from.into_word(), to.into_word()];
    let payload = base_units.to_be_bytes::<32>().to_vec().into();
    Log { address: token, data: LogData::new_unchecked(topics, payload) }
}

impl SimBlock {
    pub(crate) fn make(making: Making<'_>) -> Self {
        let Making { number, seconds, parent_hash, salt, txs, mut balances, treasuries } = making;
        let mut envelopes = Vec::with_capacity(txs.len());
        let mut moved = Vec::new();
        let mut reverted = 0;
        let mut cumulative_gas_used = 0;
        for tx in &txs {
            let moves = tx.moves_in(number);
            let done = carry_out(&mut balances, treasuries, &moves);
            reverted += u64::from(!done);
            let moves = if done { moves } else { Vec::new() };
            cumulative_gas_used += 50_000;
            let logs: Vec<Log> = moves
                .iter()
                .map(|moved| moved_log(moved.token, moved.from, moved.to, moved.base_units))
                .collect();
            let status = Eip658Value::Eip658(done);
            let receipt = Receipt { status, cumulative_gas_used, logs };
            envelopes.push(ReceiptEnvelope::Eip1559(receipt.with_bloom()));
            moved.push(moves);
        }
        let logs_bloom =
            envelopes.iter().fold(Bloom::ZERO, |bloom, receipt| bloom | receipt.bloom());
        let sealed: Vec<_> = txs.iter().map(|tx| tx.envelope.clone()).collect();
        let header = Header {
            parent_hash,
            number,
            timestamp: seconds,
            receipts_root: calculate_receipt_root(&envelopes),
            transactions_root: calculate_transaction_root(&sealed),
            logs_bloom,
            gas_limit: 30_000_000,
            gas_used: cumulative_gas_used,
            base_fee_per_gas: Some(1_000_000_000),
            extra_data: salt.to_be_bytes().to_vec().into(),
            ..Header::default()
        };
        let hash = header.hash_slow();
        let mut text = serde_json::to_string(&header).unwrap_or_default();
        // Open again: what else a block's answer holds stands behind the header's fields.
        text.pop();
        let _infallible = write!(text, r#","hash":"{hash}","size":"0x400","uncles":[]"#);
        let block = BlockRef { number, hash, time: Timestamp::from_chain_seconds(seconds) };
        let mut made = Self {
            block,
            seconds,
            parent_hash,
            header: text,
            txs,
            receipts: Vec::new(),
            logs: Vec::new(),
            transfers: BTreeMap::new(),
            balances,
            reverted,
        };
        made.tell(&moved, treasuries);
        made
    }

    /// Writes receipts and logs, and numbers the followed transfers.
    fn tell(&mut self, moved: &[Vec<super::tx::Move>], treasuries: &Treasuries) {
        let (hash, number) = (self.block.hash, self.block.number);
        let mut log_index = 0_u32;
        let mut gas = 0_u64;
        for (position, (tx, moves)) in self.txs.iter().zip(moved).enumerate() {
            let tx_hash = tx.hash;
            let mut counted: BTreeMap<(Address, Address, Direction), u32> = BTreeMap::new();
            let mut logs = Vec::with_capacity(moves.len());
            for one in moves {
                let word = hex::encode(one.base_units.to_be_bytes::<32>());
                let (from, to) = (one.from.into_word(), one.to.into_word());
                let token = format!("{:#x}", one.token);
                logs.push(format!(
                    r#"{{"address":"{token}","topics":["{TRANSFER_TOPIC}","{from}","{to}"],"data":"0x{word}","blockNumber":"{number:#x}","blockHash":"{hash}","transactionHash":"{tx_hash}","transactionIndex":"{position:#x}","logIndex":"{log_index:#x}","blockTimestamp":"{:#x}","removed":false}}"#,
                    self.seconds
                ));
                let told = logs.last().cloned().unwrap_or_default();
                self.logs.push(SimLog { token: one.token, from: one.from, to: one.to, json: told });
                let sides = [(Direction::In, one.to, one.from), (Direction::Out, one.from, one.to)];
                for (direction, treasury, counterparty) in sides {
                    if !treasuries.follow(one.token, treasury, number) {
                        continue;
                    }
                    let next = counted.entry((one.token, treasury, direction)).or_default();
                    let ordinal = *next;
                    *next += 1;
                    let token = one.token;
                    let key = TransferKey {
                        chain_id: CHAIN,
                        tx_hash,
                        token,
                        treasury,
                        direction,
                        ordinal,
                    };
                    let reference = match direction {
                        Direction::In => tx.reference,
                        Direction::Out => None,
                    };
                    let transfer = Transfer {
                        key,
                        counterparty,
                        base_units: one.base_units,
                        block: self.block,
                        log_index,
                        reference: Some(reference),
                    };
                    self.transfers.insert(key.id(), transfer);
                }
                log_index += 1;
            }
            gas += 50_000;
            let status = u8::from(!moves.is_empty());
            self.receipts.push(format!(
                r#"{{"transactionHash":"{tx_hash}","transactionIndex":"{position:#x}","blockHash":"{hash}","blockNumber":"{number:#x}","type":"0x2","status":"0x{status}","cumulativeGasUsed":"{gas:#x}","logs":[{}]}}"#,
                logs.join(",")
            ));
        }
    }

    pub(crate) const fn number(&self) -> u64 {
        self.block.number
    }

    /// The block as a node tells it, without its chain transactions.
    pub(crate) fn header_json(&self) -> String {
        format!(r#"{},"transactions":[]}}"#, self.header)
    }

    /// The block as a node tells it, with its chain transactions.
    pub(crate) fn full_json(&self) -> String {
        let txs: Vec<&str> = self.txs.iter().map(|tx| tx.json.as_str()).collect();
        format!(r#"{},"transactions":[{}]}}"#, self.header, txs.join(","))
    }

    /// The place of a chain transaction in it.
    pub(crate) fn place_of(&self, tx_hash: &B256) -> Option<usize> {
        self.txs.iter().position(|tx| tx.hash == *tx_hash)
    }

    pub(crate) fn balance(&self, token: Address, treasury: Address) -> U256 {
        self.balances.get(&(token, treasury)).copied().unwrap_or_default()
    }
}

/// Moves the treasuries' tokens; nothing of it where one would be short.
fn carry_out(balances: &mut Balances, treasuries: &Treasuries, moves: &[super::tx::Move]) -> bool {
    let mut after = BTreeMap::new();
    for moved in moves {
        for (holder, is_in) in [(moved.from, false), (moved.to, true)] {
            if !treasuries.is_one(holder) {
                continue;
            }
            let key = (moved.token, holder);
            let held = after.get(&key).or_else(|| balances.get(&key)).copied().unwrap_or_default();
            let held = if is_in {
                held.checked_add(moved.base_units)
            } else {
                held.checked_sub(moved.base_units)
            };
            let Some(held) = held else { return false };
            after.insert(key, held);
        }
    }
    balances.extend(after);
    true
}
