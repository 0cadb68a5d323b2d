//! Single reads: headers, tags, tokens, balances, fees, gas and references.
//!
//! Never takes a missing answer for an empty one.

use std::{collections::BTreeMap, str};

use alloy::{primitives::Bytes, sol, sol_types::SolCall};
use inspay_ports::{ChainErrorKind, FeeHistory, Header, TaggedBlocks, TokenFacts, TransferProbe};
use inspay_primitives::{Address, B256, ChainId, Direction, Reference, Transfer, U256};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use crate::{
    chain_tx::{ChainTx, read_chain_tx},
    endpoint::Endpoint,
    header::{expect_hash, expect_number, read_header},
    rpc::{Answer, Call},
    settings::{EvmChainSettings, HashCheck},
    wire::Quantity,
};

sol! {
    function decimals() external view returns (uint8);
    function symbol() external view returns (string);
    function balanceOf(address holder) external view returns (uint256);
    function isValidSignature(bytes32 digest, bytes signature) external view returns (bytes4);
}

/// How many past blocks tell what fees are.
const FEE_BLOCKS: u64 = 20;
/// Longest symbol that is taken for one.
const SYMBOL_BYTES_MAX: usize = 64;

fn by_number(tag: &str) -> Call {
    Call::new("eth_getBlockByNumber", json!([tag, false]))
}

fn absent(what: impl std::fmt::Display) -> ChainErrorKind {
    ChainErrorKind::NotYet(format!("the node has no {what}"))
}

pub(crate) async fn chain_id(endpoint: &Endpoint) -> Result<ChainId, ChainErrorKind> {
    let told = endpoint.call::<Quantity>(Call::new("eth_chainId", json!([]))).await?;
    told.map(|id| ChainId(id.0)).ok_or_else(|| {
        ChainErrorKind::Contradiction("eth_chainId: null is not a chain id".to_owned())
    })
}

pub(crate) async fn head(endpoint: &Endpoint, check: HashCheck) -> Result<Header, ChainErrorKind> {
    let told = endpoint.call::<Box<RawValue>>(by_number("latest")).await?;
    let json = told.ok_or_else(|| absent("newest block"))?;
    let header = read_header(json.get(), check)?.header;
    endpoint.saw_block(header.block.number);
    Ok(header)
}

pub(crate) async fn tags(
    endpoint: &Endpoint,
    settings: &EvmChainSettings,
) -> Result<TaggedBlocks, ChainErrorKind> {
    let calls = [by_number("safe"), by_number("finalized")];
    let answers = endpoint.batch::<Box<RawValue>>(&calls).await?;
    let mut tagged = Vec::with_capacity(calls.len());
    for answer in answers {
        tagged.push(match answer {
            Ok(Some(json)) => Some(read_header(json.get(), settings.header_hash)?.header.block),
            // Refused: the node does not know the word. Not yet: it has not got that far.
            Ok(None) | Err(ChainErrorKind::Refused(_) | ChainErrorKind::NotYet(_)) => None,
            Err(kind) => return Err(kind),
        });
    }
    let finalized = tagged.pop().flatten();
    let safe = tagged.pop().flatten();
    Ok(TaggedBlocks { safe, finalized })
}

pub(crate) async fn header_by_hash(
    endpoint: &Endpoint,
    settings: &EvmChainSettings,
    hash: B256,
) -> Result<Header, ChainErrorKind> {
    let call = Call::new("eth_getBlockByHash", json!([hash, false]));
    let told = endpoint.call::<Box<RawValue>>(call).await?;
    let json = told.ok_or_else(|| absent(format_args!("block {hash}")))?;
    let header = read_header(json.get(), settings.header_hash)?.header;
    expect_hash(&header, hash)?;
    Ok(header)
}

/// The headers at some heights, in the order asked.
pub(crate) async fn headers_at(
    endpoint: &Endpoint,
    settings: &EvmChainSettings,
    numbers: &[u64],
) -> Result<Vec<Header>, ChainErrorKind> {
    if numbers.is_empty() {
        return Ok(Vec::new());
    }
    let calls: Vec<Call> =
        numbers.iter().map(|number| by_number(&format!("{number:#x}"))).collect();
    let answers = endpoint.batch::<Box<RawValue>>(&calls).await?;
    numbers
        .iter()
        .zip(answers)
        .map(|(number, answer)| {
            let json = answer?.ok_or_else(|| absent(format_args!("block {number}")))?;
            expect_number(read_header(json.get(), settings.header_hash)?.header, *number)
        })
        .collect()
}

/// The references behind transfers, in the order asked.
pub(crate) async fn references(
    endpoint: &Endpoint,
    settings: &EvmChainSettings,
    transfers: &[Transfer],
) -> Result<Vec<Option<Reference>>, ChainErrorKind> {
    let mut hashes: Vec<B256> = transfers
        .iter()
        .filter(|transfer| transfer.key.direction == Direction::In)
        .map(|transfer| transfer.key.tx_hash)
        .collect();
    // Sorted only so that each is asked for once.
    hashes.sort_unstable();
    hashes.dedup();
    let calls: Vec<Call> =
        hashes.iter().map(|hash| Call::new("eth_getTransactionByHash", json!([hash]))).collect();
    let answers = endpoint.batch::<Box<RawValue>>(&calls).await?;
    let mut known: BTreeMap<B256, ChainTx> = BTreeMap::new();
    for (hash, answer) in hashes.into_iter().zip(answers) {
        let json = answer?.ok_or_else(|| absent(format_args!("chain transaction {hash}")))?;
        if let Some(chain_tx) = read_chain_tx(json.get(), hash, settings.chain_tx_hash)? {
            known.insert(hash, chain_tx);
        }
    }
    let reference = |transfer: &Transfer| match transfer.key.direction {
        Direction::In => known.get(&transfer.key.tx_hash)?.reference_for(transfer),
        Direction::Out => None,
    };
    Ok(transfers.iter().map(reference).collect())
}

fn view(to: Address, calldata: &[u8], at: &Value) -> Call {
    let calldata = alloy::hex::encode_prefixed(calldata);
    Call::new("eth_call", json!([{"to": to, "data": calldata}, at]))
}

pub(crate) async fn token_facts(
    endpoint: &Endpoint,
    token: Address,
) -> Result<TokenFacts, ChainErrorKind> {
    let calls = [
        Call::new("eth_getCode", json!([token, "latest"])),
        view(token, &decimalsCall {}.abi_encode(), &json!("latest")),
        view(token, &symbolCall {}.abi_encode(), &json!("latest")),
    ];
    let answers: [Answer<Bytes>; 3] = endpoint.batch(&calls).await?.try_into().map_err(|_| {
        ChainErrorKind::Contradiction("three questions, another number of answers".to_owned())
    })?;
    let [code, decimals, symbol] = answers;
    let code = code?.ok_or_else(|| absent(format_args!("code of {token}")))?;
    let decimals = if_it_answers(decimals)?.and_then(|word| one_word(&word));
    Ok(TokenFacts {
        has_code: !code.is_empty(),
        decimals: decimals.and_then(|word| u8::try_from(word).ok()),
        symbol: if_it_answers(symbol)?.and_then(|told| symbol_in(&told)),
    })
}

/// A contract that reverts does not answer; a node that fails is a failure.
fn if_it_answers(answer: Answer<Bytes>) -> Answer<Bytes> {
    match answer {
        Err(ChainErrorKind::Reverted(_)) => Ok(None),
        other => other,
    }
}

fn one_word(told: &Bytes) -> Option<U256> {
    <[u8; 32]>::try_from(told.as_ref()).ok().map(U256::from_be_bytes)
}

/// Reads a symbol that is a string or, as in old tokens, 32 bytes filled up with zeros.
fn symbol_in(told: &Bytes) -> Option<String> {
    let text = match <[u8; 32]>::try_from(told.as_ref()) {
        Ok(word) => {
            let end = word.iter().position(|byte| *byte == 0).unwrap_or(word.len());
            str::from_utf8(word.get(..end)?).ok()?.to_owned()
        }
        Err(_) => symbolCall::abi_decode_returns(told).ok()?,
    };
    let is_shown = !text.is_empty() && text.len() <= SYMBOL_BYTES_MAX;
    is_shown.then_some(text).filter(|text| !text.chars().any(char::is_control))
}

/// A balance at the end of a canonical block.
pub(crate) async fn balance_of(
    endpoint: &Endpoint,
    token: Address,
    holder: Address,
    block: B256,
) -> Result<U256, ChainErrorKind> {
    let at = json!({"blockHash": block, "requireCanonical": true});
    let call = view(token, &balanceOfCall { holder }.abi_encode(), &at);
    let told = endpoint.call::<Bytes>(call).await?;
    told.as_ref().and_then(one_word).ok_or_else(|| {
        ChainErrorKind::Refused(format!("{token} does not answer balanceOf with one number"))
    })
}

/// What a contract answers by ERC-1271 where it takes the signature for its own: its own selector, filled up with zeros.
const ACCEPTED: [u8; 4] = isValidSignatureCall::SELECTOR;

/// Whether a contract takes a signature for its own, in the newest block.
pub(crate) async fn accepts_signature(
    endpoint: &Endpoint,
    wallet: Address,
    digest: B256,
    signature: &[u8],
) -> Result<bool, ChainErrorKind> {
    let question = isValidSignatureCall { digest, signature: signature.to_vec().into() };
    let call = view(wallet, &question.abi_encode(), &json!("latest"));
    let told = if_it_answers(endpoint.call::<Bytes>(call).await)?;
    // An account without code answers with nothing.
    Ok(told.is_some_and(|told| {
        told.len() == 32
            && told.starts_with(&ACCEPTED)
            && told.iter().skip(4).all(|byte| *byte == 0)
    }))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToldFees {
    base_fee_per_gas: Vec<U256>,
    #[serde(default)]
    reward: Option<Vec<Vec<U256>>>,
}

pub(crate) async fn fee_history(endpoint: &Endpoint) -> Result<FeeHistory, ChainErrorKind> {
    let asked = json!([format!("{FEE_BLOCKS:#x}"), "latest", [10, 50, 90]]);
    let told = endpoint.call::<ToldFees>(Call::new("eth_feeHistory", asked)).await?;
    let wrong = |text: &str| ChainErrorKind::Contradiction(format!("eth_feeHistory: {text}"));
    let told = told.ok_or_else(|| wrong("null is not a history"))?;
    let rewards = told.reward.unwrap_or_default();
    if told.base_fee_per_gas.len() != rewards.len() + 1 {
        return Err(wrong("not one base fee more than there are blocks"));
    }
    let three =
        |fees: Vec<U256>| <[U256; 3]>::try_from(fees).map_err(|_| wrong("not three fees a block"));
    let priority_fees = rewards.into_iter().map(three).collect::<Result<_, _>>()?;
    Ok(FeeHistory { base_fees: told.base_fee_per_gas, priority_fees })
}

pub(crate) async fn estimate_gas(
    endpoint: &Endpoint,
    probe: &TransferProbe,
    payer: Address,
) -> Result<u64, ChainErrorKind> {
    let calldata = alloy::hex::encode_prefixed(&probe.calldata);
    let asked = json!([{"from": payer, "to": probe.token, "data": calldata}]);
    let told = endpoint.call::<Quantity>(Call::new("eth_estimateGas", asked)).await?;
    told.map(|gas| gas.0).ok_or_else(|| {
        ChainErrorKind::Contradiction("eth_estimateGas: null is not a number".to_owned())
    })
}
