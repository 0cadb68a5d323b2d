//! One ERC-20 `Transfer` log in or out of a treasury.

use alloy_primitives::{Address, B256, U256};
use sha2::{Digest, Sha256};

use crate::{AssetId, BlockRef, ChainId, Reference, TransferId};

/// Whether tokens came to the treasury or left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// To the treasury.
    In,
    /// From the treasury.
    Out,
}

impl Direction {
    /// `in` or `out`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }

    /// Reads what [`Self::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "in" => Some(Self::In),
            "out" => Some(Self::Out),
            _ => None,
        }
    }
}

/// What makes a transfer the same transfer, whichever block it is mined in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransferKey {
    /// The chain.
    pub chain_id: ChainId,
    /// The chain transaction that emitted the log.
    pub tx_hash: B256,
    /// The token contract.
    pub token: Address,
    /// The treasury it came to or left.
    pub treasury: Address,
    /// In or out.
    pub direction: Direction,
    /// Position among the logs of its chain transaction that share the rest of the key, from zero.
    pub ordinal: u32,
}

impl TransferKey {
    /// What identifies this key everywhere: half of the chain transaction's hash, half of the key's SHA-256.
    ///
    /// So one index by id finds the transfers of a chain transaction too, see [`TransferId::range_of`]; to make two
    /// keys one id takes a collision in both halves.
    #[must_use]
    pub fn id(&self) -> TransferId {
        let direction = match self.direction {
            Direction::In => 0u8,
            Direction::Out => 1,
        };
        let digest = Sha256::new()
            .chain_update(b"inspay/transfer/v1")
            .chain_update(self.chain_id.0.to_be_bytes())
            .chain_update(self.tx_hash)
            .chain_update(self.token)
            .chain_update(self.treasury)
            .chain_update([direction])
            .chain_update(self.ordinal.to_be_bytes())
            .finalize();
        let [mut id, digest] = [self.tx_hash, B256::from_slice(&digest)];
        id[TransferId::TX_HASH_BYTES..].copy_from_slice(&digest[TransferId::TX_HASH_BYTES..]);
        TransferId::from_digest(id)
    }

    /// The asset that moved.
    #[must_use]
    pub const fn asset(&self) -> AssetId {
        AssetId { chain_id: self.chain_id, contract: self.token }
    }
}

/// A transfer as seen in one block: its key, what moved, and where the log stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Identity.
    pub key: TransferKey,
    /// The other side: who sent it in, or who received it.
    pub counterparty: Address,
    /// What moved, in base units, as the log says it arrived.
    pub base_units: U256,
    /// The block whose canonical chain holds the log. A reorg may change it.
    pub block: BlockRef,
    /// Index of the log in its block. A reorg may change it.
    pub log_index: u32,
    /// The reference behind the calldata: `None` while the calldata has not been read.
    pub reference: Option<Option<Reference>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_the_key_changes_the_id() {
        let key = TransferKey {
            chain_id: ChainId(1),
            tx_hash: B256::repeat_byte(1),
            token: Address::repeat_byte(2),
            treasury: Address::repeat_byte(3),
            direction: Direction::In,
            ordinal: 0,
        };
        let others = [
            TransferKey { chain_id: ChainId(2), ..key },
            TransferKey { tx_hash: B256::repeat_byte(9), ..key },
            TransferKey { token: Address::repeat_byte(9), ..key },
            TransferKey { treasury: Address::repeat_byte(9), ..key },
            TransferKey { direction: Direction::Out, ..key },
            TransferKey { ordinal: 1, ..key },
        ];
        for other in others {
            assert_ne!(key.id(), other.id());
        }
        let siblings = TransferId::range_of(&key.tx_hash);
        assert!(siblings.contains(&key.id()));
        assert!(siblings.contains(&TransferKey { ordinal: 1, ..key }.id()));
        let stranger = TransferKey { tx_hash: B256::repeat_byte(9), ..key };
        assert!(!siblings.contains(&stranger.id()));
        // A golden value: rows in existing databases are found by it.
        assert_eq!(
            key.id().to_string(),
            "trf_010101010101010101010101010101019bc865ad1b59cfd01ab9afd15e90668a"
        );
    }
}
