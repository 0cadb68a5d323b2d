//! Blocks of the fake chain: what is in them, what that does to balances, and the hash that follows from it.

use std::{collections::BTreeMap, sync::Arc};

use alloy_primitives::{Bloom, BloomInput, Keccak256, keccak256};
use inspay_primitives::{
    Address, B256, BlockRef, ChainId, Direction, Reference, Timestamp, Transfer, TransferKey, U256,
};

use crate::{Header, WatchFilter};

/// What each holder has of each token.
pub(super) type Balances = BTreeMap<(Address, Address), U256>;

/// One `Transfer` log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainLog {
    /// The contract that emits it.
    pub token: Address,
    /// Whose balance falls; the zero address mints.
    pub from: Address,
    /// Whose balance rises.
    pub to: Address,
    /// By how much.
    pub base_units: U256,
}

/// A chain transaction with its logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainTx {
    /// Identity, the same in whatever block it is mined.
    pub hash: B256,
    /// Its logs, in order.
    pub logs: Vec<ChainLog>,
    /// The reference behind its calldata, where it calls a token directly and carries one.
    pub reference: Option<Reference>,
}

/// Why a block cannot be mined.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MineError {
    /// A holder does not have what it sends.
    #[error("chain transaction {tx_hash}: {holder} does not have {base_units} of {token}")]
    NotEnough {
        /// The chain transaction.
        tx_hash: B256,
        /// The token.
        token: Address,
        /// Who sends.
        holder: Address,
        /// What it sends.
        base_units: U256,
    },
    /// A holder would have more than 2^256 − 1.
    #[error("chain transaction {tx_hash}: {holder} would have more than 2^256-1 of {token}")]
    TooMuch {
        /// The chain transaction.
        tx_hash: B256,
        /// The token.
        token: Address,
        /// Who receives.
        holder: Address,
    },
}

#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) header: Header,
    pub(super) txs: Vec<ChainTx>,
    /// As they are after the block.
    pub(super) balances: Arc<Balances>,
}

impl ChainTx {
    /// A chain transaction of one transfer; `nonce` tells it from another of the same.
    #[must_use]
    pub fn transfer(nonce: u64, log: ChainLog) -> Self {
        Self::of(nonce, vec![log])
    }

    /// A chain transaction of several transfers, such as a multisend.
    #[must_use]
    pub fn of(nonce: u64, logs: Vec<ChainLog>) -> Self {
        let mut hasher = Keccak256::new();
        hasher.update(b"chain transaction");
        hasher.update(nonce.to_be_bytes());
        for log in &logs {
            log.hash_into(&mut hasher);
        }
        Self { hash: hasher.finalize(), logs, reference: None }
    }

    /// The same with a reference behind its calldata.
    #[must_use]
    pub fn with_reference(mut self, reference: Reference) -> Self {
        self.hash = keccak256([self.hash.as_slice(), reference.bytes().as_slice()].concat());
        self.reference = Some(reference);
        self
    }
}

impl ChainLog {
    fn hash_into(&self, hasher: &mut Keccak256) {
        hasher.update(self.token);
        hasher.update(self.from);
        hasher.update(self.to);
        hasher.update(self.base_units.to_be_bytes::<32>());
    }

    fn move_in(&self, balances: &mut Balances, tx_hash: B256) -> Result<(), MineError> {
        let Self { token, from, to, base_units } = *self;
        if !from.is_zero() && !base_units.is_zero() {
            let held = balances.entry((token, from)).or_default();
            *held = held.checked_sub(base_units).ok_or(MineError::NotEnough {
                tx_hash,
                token,
                holder: from,
                base_units,
            })?;
        }
        if !base_units.is_zero() {
            let held = balances.entry((token, to)).or_default();
            *held = held.checked_add(base_units).ok_or(MineError::TooMuch {
                tx_hash,
                token,
                holder: to,
            })?;
        }
        Ok(())
    }
}

/// The first topic of every `Transfer` log.
fn transfer_topic() -> B256 {
    keccak256("Transfer(address,address,uint256)")
}

fn bloom_of(txs: &[ChainTx]) -> Bloom {
    let mut bloom = Bloom::ZERO;
    let topic = transfer_topic();
    for log in txs.iter().flat_map(|tx| &tx.logs) {
        bloom.accrue(BloomInput::Raw(log.token.as_slice()));
        for word in [topic, log.from.into_word(), log.to.into_word()] {
            bloom.accrue(BloomInput::Raw(word.as_slice()));
        }
    }
    bloom
}

fn receipts_root(txs: &[ChainTx]) -> B256 {
    let mut hasher = Keccak256::new();
    hasher.update(b"receipts");
    for tx in txs {
        hasher.update(tx.hash);
        for log in &tx.logs {
            log.hash_into(&mut hasher);
        }
    }
    hasher.finalize()
}

impl Block {
    pub(super) fn genesis(chain_id: ChainId, time: Timestamp) -> Self {
        let hash = keccak256(format!("genesis of chain {chain_id}"));
        let header = Header {
            block: BlockRef { number: 0, hash, time },
            parent_hash: B256::ZERO,
            receipts_root: receipts_root(&[]),
            logs_bloom: Box::new([0; 256]),
        };
        Self { header, txs: Vec::new(), balances: Arc::default() }
    }

    /// The block that stands on this one.
    pub(super) fn next(
        &self,
        time: Timestamp,
        salt: u64,
        txs: Vec<ChainTx>,
    ) -> Result<Self, MineError> {
        let balances = self.balances_after(&txs)?;
        let parent = self.header.block;
        let number = parent.number.saturating_add(1);
        let receipts_root = receipts_root(&txs);
        let mut hasher = Keccak256::new();
        hasher.update(b"block");
        hasher.update(parent.hash);
        hasher.update(number.to_be_bytes());
        hasher.update(time.micros().to_be_bytes());
        hasher.update(salt.to_be_bytes());
        hasher.update(receipts_root);
        let header = Header {
            block: BlockRef { number, hash: hasher.finalize(), time },
            parent_hash: parent.hash,
            receipts_root,
            logs_bloom: Box::new(bloom_of(&txs).0.0),
        };
        Ok(Self { header, txs, balances })
    }

    fn balances_after(&self, txs: &[ChainTx]) -> Result<Arc<Balances>, MineError> {
        if txs.iter().all(|tx| tx.logs.is_empty()) {
            return Ok(Arc::clone(&self.balances));
        }
        let mut balances = Balances::clone(&self.balances);
        for tx in txs {
            for log in &tx.logs {
                log.move_in(&mut balances, tx.hash)?;
            }
        }
        Ok(Arc::new(balances))
    }

    /// Whether the header alone shows that nothing followed is in the block.
    pub(super) fn is_proven_empty(&self, filter: &WatchFilter) -> bool {
        let bloom = Bloom::from(*self.header.logs_bloom);
        let has = |bytes: &[u8]| bloom.contains_input(BloomInput::Raw(bytes));
        let has_token = filter.tokens.iter().any(|token| has(token.as_slice()));
        let mut treasuries = filter.treasuries.iter();
        let has_treasury = treasuries.any(|(treasury, _)| has(treasury.into_word().as_slice()));
        !(has_token && has_treasury && has(transfer_topic().as_slice()))
    }

    /// The followed transfers of the block in log order, with or without their references.
    pub(super) fn transfers(&self, filter: &WatchFilter, with_references: bool) -> Vec<Transfer> {
        let mut transfers = Vec::new();
        let mut log_index = 0u32;
        for tx in &self.txs {
            let mut ordinals: BTreeMap<(Address, Address, Direction), u32> = BTreeMap::new();
            for log in &tx.logs {
                for (treasury, direction, counterparty) in self.sides(log, filter) {
                    let next = ordinals.entry((log.token, treasury, direction)).or_default();
                    let key = TransferKey {
                        chain_id: filter.chain_id,
                        tx_hash: tx.hash,
                        token: log.token,
                        treasury,
                        direction,
                        ordinal: *next,
                    };
                    *next = next.saturating_add(1);
                    transfers.push(Transfer {
                        key,
                        counterparty,
                        base_units: log.base_units,
                        block: self.header.block,
                        log_index,
                        reference: with_references.then_some(tx.reference),
                    });
                }
                log_index = log_index.saturating_add(1);
            }
        }
        transfers
    }

    /// The followed treasuries that a log is in or out of.
    fn sides(&self, log: &ChainLog, filter: &WatchFilter) -> Vec<(Address, Direction, Address)> {
        let number = self.header.block.number;
        let is_listed = filter.tokens.contains(&log.token);
        let followed = filter.treasuries.iter().filter(|(_, from)| is_listed && number >= *from);
        followed
            .flat_map(|(treasury, _)| {
                let incoming = (log.to == *treasury).then_some((Direction::In, log.from));
                let outgoing = (log.from == *treasury).then_some((Direction::Out, log.to));
                incoming
                    .into_iter()
                    .chain(outgoing)
                    .map(|(direction, other)| (*treasury, direction, other))
            })
            .collect()
    }
}
