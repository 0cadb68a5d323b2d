//! Chain transactions of the simulated chain: what they call, and what they move.
//!
//! Never signed by anybody: a node's answer is checked by its hashes, and a hash covers whatever stands
//! in the place of the signature.

use alloy::{
    consensus::{SignableTransaction as _, TxEip1559, TxEnvelope},
    primitives::{Bytes, Signature, TxKind, keccak256},
};
use inspay_primitives::{Address, B256, Reference, U256};

use super::CHAIN;

/// One `Transfer` log to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) token: Address,
    pub(crate) from: Address,
    pub(crate) to: Address,
    pub(crate) base_units: U256,
}

/// A chain transaction, as it waits to be mined.
#[derive(Debug)]
pub(crate) struct SimTx {
    pub(crate) hash: B256,
    pub(crate) envelope: TxEnvelope,
    /// As a node tells it.
    pub(crate) json: String,
    /// What it moves, in order.
    pub(crate) moves: Vec<Move>,
    /// The reference that a direct call to a token carries.
    pub(crate) reference: Option<Reference>,
    /// What stands where a reference would stand, in a call to another contract.
    pub(crate) trailer: Option<Reference>,
    /// Whether it moves one base unit more in odd blocks.
    pub(crate) is_varying: bool,
    /// It was sent then: no block before that second has it.
    pub(crate) sent_at: u64,
}

/// `transfer(address,uint256)` with what stands behind it.
fn transfer_calldata(to: Address, base_units: U256, behind: &[u8]) -> Bytes {
    let mut calldata = vec![0xa9, 0x05, 0x9c, 0xbb];
    calldata.extend_from_slice(to.into_word().as_slice());
    calldata.extend_from_slice(&base_units.to_be_bytes::<32>());
    calldata.extend_from_slice(behind);
    calldata.into()
}

impl SimTx {
    /// A direct call to a token.
    pub(crate) fn direct(
        nonce: u64,
        sent_at: u64,
        moved: Move,
        reference: Option<Reference>,
    ) -> Self {
        let behind = reference.map(Reference::bytes);
        let behind = behind.as_ref().map_or(&[][..], <[u8; 16]>::as_slice);
        let calldata = transfer_calldata(moved.to, moved.base_units, behind);
        let made = Self::new(nonce, sent_at, moved.token, calldata, vec![moved]);
        Self { reference, ..made }
    }

    /// A call to another contract that moves tokens. `trailer` stands behind its calldata, where a
    /// reference would stand if the token were called.
    pub(crate) fn bundle(
        nonce: u64,
        sent_at: u64,
        moves: Vec<Move>,
        trailer: Option<(Move, Reference)>,
        is_varying: bool,
    ) -> Self {
        let calldata = match trailer {
            Some((moved, reference)) => {
                transfer_calldata(moved.to, moved.base_units, &reference.bytes())
            }
            None => Bytes::from_static(&[0x12, 0x34, 0x56, 0x78]),
        };
        let trailer = trailer.map(|(_, reference)| reference);
        let made = Self::new(nonce, sent_at, super::BUNDLER, calldata, moves);
        Self { trailer, is_varying, ..made }
    }

    fn new(nonce: u64, sent_at: u64, called: Address, calldata: Bytes, moves: Vec<Move>) -> Self {
        let unsigned = TxEip1559 {
            chain_id: CHAIN.0,
            nonce,
            gas_limit: 100_000,
            max_fee_per_gas: 2_000_000_000,
            max_priority_fee_per_gas: 1_000_000,
            to: TxKind::Call(called),
            value: U256::ZERO,
            access_list: alloy::eips::eip2930::AccessList::default(),
            input: calldata,
        };
        let seal = |part: u8| U256::from_be_bytes(keccak256([part]).0) >> 8;
        let envelope: TxEnvelope =
            unsigned.into_signed(Signature::new(seal(1), seal(2), false)).into();
        let hash = *envelope.tx_hash();
        let json = serde_json::to_string(&envelope).unwrap_or_default();
        let (reference, trailer) = (None, None);
        Self { hash, envelope, json, moves, reference, trailer, is_varying: false, sent_at }
    }

    /// What it moves in a block of that height.
    pub(crate) fn moves_in(&self, number: u64) -> Vec<Move> {
        let more = U256::from(u64::from(self.is_varying && number % 2 == 1));
        let moved = |moved: &Move| Move { base_units: moved.base_units + more, ..*moved };
        self.moves.iter().map(moved).collect()
    }
}
