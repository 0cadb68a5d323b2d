//! A range from two endpoints: what one leaves out, or makes up, the other may tell.
//!
//! Never believes either where they differ: the block is read by its receipts then. A range that nobody tells the second
//! time is asked for again; the adapter says when there is nobody to wait for, and then the range is unproven, as any
//! range, until the balances are compared.

use std::collections::{BTreeMap, BTreeSet};

use inspay_ports::{Chain, ChainError, ChainErrorKind, RangeAnswer, WatchFilter};
use inspay_primitives::{Address, B256, Transfer, TransferKey, U256};

use crate::{meters, ranges::RangeRequest};

/// Blocks in which the first answer was found to be right before the second endpoint is not asked to be compared any
/// further in this range: one that lags behind differs in every block.
const RIGHT_BLOCKS_MAX: usize = 8;

/// What a transfer must have in common in both answers.
type Sight = (TransferKey, Address, U256, B256, u32);

fn sight(transfer: &Transfer) -> Sight {
    let Transfer { key, counterparty, base_units, block, log_index, reference: _ } = *transfer;
    (key, counterparty, base_units, block.hash, log_index)
}

/// The blocks that two answers of one range do not tell the same of, lowest first.
pub(crate) fn blocks_in_doubt(first: &[Transfer], second: &[Transfer]) -> BTreeSet<u64> {
    if first.iter().map(sight).eq(second.iter().map(sight)) {
        return BTreeSet::new();
    }
    let mut sights: BTreeMap<u64, (Vec<Sight>, Vec<Sight>)> = BTreeMap::new();
    for transfer in first {
        sights.entry(transfer.block.number).or_default().0.push(sight(transfer));
    }
    for transfer in second {
        sights.entry(transfer.block.number).or_default().1.push(sight(transfer));
    }
    let differ = sights.into_iter().filter(|(_, (first, second))| first != second);
    differ.map(|(number, _)| number).collect()
}

/// Reads a range from the first endpoint and, at once, from another; of blocks that they differ in, what the receipts
/// say.
pub(crate) async fn read_twice(
    chain: &dyn Chain,
    request: RangeRequest,
    filter: &WatchFilter,
) -> Result<RangeAnswer, ChainError> {
    let RangeRequest { from, to } = request;
    let (first, second) =
        tokio::join!(chain.range(from, to, filter), chain.second_range(from, to, filter));
    let mut first = first?;
    let is_another =
        |second: &RangeAnswer| first.told_by.is_none_or(|told_by| second.told_by != Some(told_by));
    let second = match second {
        Ok(Some(second)) if is_another(&second) => Some(second),
        Err(error) if matches!(error.kind, ChainErrorKind::RangeTooLarge { .. }) => {
            return Err(error);
        }
        // Now that it is known who told it first, the others may be asked.
        Ok(_) | Err(_) => chain.second_range(from, to, filter).await?,
    };
    let Some(second) = second else {
        meters::second_pass(chain.chain_id(), "missed");
        return Ok(first);
    };
    if !is_another(&second) {
        let kind = ChainErrorKind::Unreachable("one endpoint told a range twice".to_owned());
        return Err(ChainError { chain_id: chain.chain_id(), act: "read a range again", kind });
    }
    let in_doubt = blocks_in_doubt(&first.transfers, &second.transfers);
    if in_doubt.is_empty() {
        meters::second_pass(chain.chain_id(), "same");
        return Ok(first);
    }
    let proven = decide(chain, &in_doubt, &first, filter).await?;
    first.transfers.retain(|transfer| !proven.contains_key(&transfer.block.number));
    first.transfers.extend(proven.into_values().flatten());
    first.transfers.sort_by_key(|transfer| (transfer.block.number, transfer.log_index));
    Ok(first)
}

/// The proven sets of the blocks in doubt.
async fn decide(
    chain: &dyn Chain,
    in_doubt: &BTreeSet<u64>,
    first: &RangeAnswer,
    filter: &WatchFilter,
) -> Result<BTreeMap<u64, Vec<Transfer>>, ChainError> {
    let mut proven = BTreeMap::new();
    let mut first_was_wrong = false;
    for number in in_doubt {
        if !first_was_wrong && proven.len() >= RIGHT_BLOCKS_MAX {
            break;
        }
        let block = chain.reread_block(*number, filter).await?;
        let told = first.transfers.iter().filter(|told| told.block.number == *number);
        first_was_wrong |= !told.map(sight).eq(block.transfers.iter().map(sight));
        proven.insert(*number, block.transfers);
    }
    let found = if first_was_wrong { "first_was_wrong" } else { "second_was_wrong" };
    meters::second_pass(chain.chain_id(), found);
    tracing::warn!(
        chain.id = chain.chain_id().0,
        range.from = first.from,
        range.to = first.to,
        blocks = in_doubt.len(),
        read_by_receipts = proven.len(),
        found,
        "two endpoints tell different things of a finalized range"
    );
    Ok(proven)
}
