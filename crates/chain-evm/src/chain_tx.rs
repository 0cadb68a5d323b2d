//! Chain transactions as nodes tell them, and the proof that calldata is what was mined.
//!
//! Never reads a reference from calldata whose hash is not the one asked for, unless the settings trust
//! the chain's endpoints with it.

use alloy::{
    consensus::{Transaction, TxEnvelope, proofs::calculate_transaction_root},
    eips::eip2718::Encodable2718,
    primitives::{Bytes, TxKind, keccak256},
};
use inspay_ports::ChainErrorKind;
use inspay_primitives::{Address, B256, Reference, Transfer};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    header::{CheckedHeader, expect_hash, read_header},
    reference::reference_of,
    settings::{EvmChainSettings, HashCheck},
    wire::{Quantity, clip},
};

/// The newest type of chain transaction whose hash is known how to make.
const KIND_MAX: u64 = 4;

#[derive(Debug, Deserialize)]
struct ToldChainTx {
    hash: B256,
    #[serde(default)]
    to: Option<Address>,
    input: Bytes,
    #[serde(default, rename = "type")]
    kind: Option<Quantity>,
}

/// A chain transaction whose calldata may be believed.
#[derive(Clone, Debug)]
pub(crate) struct ChainTx {
    pub hash: B256,
    called: Option<Address>,
    calldata: Bytes,
}

impl ChainTx {
    /// The reference that it carries for the treasury of a transfer of its own.
    pub(crate) fn reference_for(&self, transfer: &Transfer) -> Option<Reference> {
        let key = &transfer.key;
        reference_of(self.called, &self.calldata, key.token, key.treasury)
    }
}

fn unreadable(error: &serde_json::Error) -> ChainErrorKind {
    let text = clip(&error.to_string());
    ChainErrorKind::Contradiction(format!("a chain transaction cannot be read: {text}"))
}

/// Reads a chain transaction that was asked for by its hash. One of a type of the chain's own carries
/// nothing that could be checked, and so nothing at all.
pub(crate) fn read_chain_tx(
    json: &str,
    asked: B256,
    check: HashCheck,
) -> Result<Option<ChainTx>, ChainErrorKind> {
    let told: ToldChainTx = serde_json::from_str(json).map_err(|error| unreadable(&error))?;
    if told.hash != asked {
        let text = format!("asked for chain transaction {asked}, told of {}", told.hash);
        return Err(ChainErrorKind::Contradiction(text));
    }
    match check {
        HashCheck::Trust => {
            Ok(Some(ChainTx { hash: asked, called: told.to, calldata: told.input }))
        }
        HashCheck::Recompute if told.kind.is_some_and(|kind| KIND_MAX < kind.0) => Ok(None),
        HashCheck::Recompute => {
            let envelope: TxEnvelope =
                serde_json::from_str(json).map_err(|error| unreadable(&error))?;
            check_hash(&envelope, asked)?;
            Ok(Some(believed(&envelope, asked)))
        }
    }
}

fn check_hash(envelope: &TxEnvelope, told: B256) -> Result<(), ChainErrorKind> {
    let recomputed = keccak256(envelope.encoded_2718());
    if recomputed == told {
        return Ok(());
    }
    let text = format!("chain transaction {told} is told with fields that give {recomputed}");
    Err(ChainErrorKind::Contradiction(text))
}

fn believed(envelope: &TxEnvelope, hash: B256) -> ChainTx {
    let called = match envelope.kind() {
        TxKind::Call(called) => Some(called),
        TxKind::Create => None,
    };
    ChainTx { hash, called, calldata: envelope.input().clone() }
}

/// A block with its chain transactions, proven to be its own by their root.
#[derive(Debug)]
pub(crate) struct FullBlock {
    transactions: Transactions,
}

#[derive(Debug)]
enum Transactions {
    Proven(Vec<(B256, TxEnvelope)>),
    Told(Vec<ChainTx>),
}

#[derive(Deserialize)]
struct ToldBlock<'a> {
    #[serde(borrow)]
    transactions: Vec<&'a RawValue>,
}

impl FullBlock {
    /// Reads a block that was asked for by its hash, with full chain transactions.
    pub(crate) fn read(
        json: &str,
        asked: B256,
        settings: &EvmChainSettings,
    ) -> Result<Self, ChainErrorKind> {
        let checked = read_header(json, settings.header_hash)?;
        expect_hash(&checked.header, asked)?;
        let told: ToldBlock<'_> = serde_json::from_str(json).map_err(|error| unreadable(&error))?;
        let transactions = match settings.chain_tx_hash {
            HashCheck::Trust => told
                .transactions
                .into_iter()
                .map(|json| serde_json::from_str(json.get()).map_err(|error| unreadable(&error)))
                .map(|told: Result<ToldChainTx, _>| {
                    told.map(|told| ChainTx {
                        hash: told.hash,
                        called: told.to,
                        calldata: told.input,
                    })
                })
                .collect::<Result<_, _>>()
                .map(Transactions::Told)?,
            HashCheck::Recompute => Transactions::Proven(proven(&checked, &told.transactions)?),
        };
        Ok(Self { transactions })
    }

    /// The chain transaction at a position, if it has that hash.
    pub(crate) fn at(&self, position: usize, hash: B256) -> Result<ChainTx, ChainErrorKind> {
        let missing = || {
            let text = format!("the block does not hold chain transaction {hash} at {position}");
            ChainErrorKind::Contradiction(text)
        };
        match &self.transactions {
            Transactions::Told(told) => {
                told.get(position).filter(|told| told.hash == hash).cloned().ok_or_else(missing)
            }
            Transactions::Proven(proven) => {
                let (_, envelope) =
                    proven.get(position).filter(|(told, _)| *told == hash).ok_or_else(missing)?;
                check_hash(envelope, hash)?;
                Ok(believed(envelope, hash))
            }
        }
    }

    /// The hashes of its chain transactions as told, in order.
    pub(crate) fn hashes(&self) -> impl Iterator<Item = B256> {
        let (told, proven): (&[_], &[_]) = match &self.transactions {
            Transactions::Told(told) => (told, &[]),
            Transactions::Proven(proven) => (&[], proven),
        };
        told.iter().map(|told: &ChainTx| told.hash).chain(proven.iter().map(|(hash, _)| *hash))
    }
}

fn proven(
    checked: &CheckedHeader,
    told: &[&RawValue],
) -> Result<Vec<(B256, TxEnvelope)>, ChainErrorKind> {
    let number = checked.header.block.number;
    let mut hashes = Vec::with_capacity(told.len());
    let mut envelopes = Vec::with_capacity(told.len());
    for json in told {
        let told: ToldChainTx =
            serde_json::from_str(json.get()).map_err(|error| unreadable(&error))?;
        if let Some(kind) = told.kind.filter(|kind| KIND_MAX < kind.0) {
            let text = format!(
                "block {number} holds a chain transaction of type {}, whose hash cannot be recomputed: the chain needs chain_tx_hash = trust",
                kind.0
            );
            return Err(ChainErrorKind::Refused(text));
        }
        hashes.push(told.hash);
        envelopes.push(
            serde_json::from_str::<TxEnvelope>(json.get()).map_err(|error| unreadable(&error))?,
        );
    }
    let root = calculate_transaction_root(&envelopes);
    if root != checked.transactions_root {
        let text = format!(
            "block {number}: its header's transactions root is {}, its chain transactions give {root}",
            checked.transactions_root
        );
        return Err(ChainErrorKind::Contradiction(text));
    }
    Ok(hashes.into_iter().zip(envelopes).collect())
}
