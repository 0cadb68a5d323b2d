//! The test that lets an empty block pass without a call.
//!
//! Never misses: a bloom filter has false hits, which cost a call, and no false misses.

use alloy::primitives::{Bloom, BloomInput};
use inspay_ports::{Header, WatchFilter};

use crate::log::TRANSFER_TOPIC;

/// Whether the block may hold a followed transfer.
pub(crate) fn may_hold(header: &Header, filter: &WatchFilter) -> bool {
    let bloom = Bloom::from(*header.logs_bloom);
    let holds = |input: &[u8]| bloom.contains_input(BloomInput::Raw(input));
    let treasury_named = || {
        filter.treasuries.iter().any(|(treasury, first_block)| {
            *first_block <= header.block.number && holds(treasury.into_word().as_slice())
        })
    };
    holds(TRANSFER_TOPIC.as_slice())
        && filter.tokens.iter().any(|token| holds(token.as_slice()))
        && treasury_named()
}

#[cfg(test)]
mod tests {
    use alloy::primitives::{Log, LogData};
    use inspay_primitives::{Address, B256, BlockRef, ChainId, Timestamp};

    use super::*;

    const TOKEN: Address = Address::repeat_byte(0x70);
    const TREASURY: Address = Address::repeat_byte(0x7e);
    const OTHER: Address = Address::repeat_byte(0x01);

    fn header(number: u64, logs: &[(Address, Vec<B256>)]) -> Header {
        let mut bloom = Bloom::ZERO;
        for (address, topics) in logs {
            let data = LogData::new_unchecked(topics.clone(), Default::default());
            bloom.accrue_log(&Log { address: *address, data });
        }
        Header {
            block: BlockRef { number, hash: B256::ZERO, time: Timestamp::default() },
            parent_hash: B256::ZERO,
            receipts_root: B256::ZERO,
            logs_bloom: Box::new(bloom.0.0),
        }
    }

    fn filter() -> WatchFilter {
        WatchFilter {
            chain_id: ChainId(1),
            tokens: [TOKEN].into(),
            treasuries: vec![(TREASURY, 10)],
        }
    }

    #[test]
    fn a_block_passes_only_without_token_or_topic_or_treasury() {
        let into = vec![TRANSFER_TOPIC, OTHER.into_word(), TREASURY.into_word()];
        let out = vec![TRANSFER_TOPIC, TREASURY.into_word(), OTHER.into_word()];
        let approval = vec![B256::repeat_byte(9), OTHER.into_word(), TREASURY.into_word()];
        let elsewhere = vec![TRANSFER_TOPIC, OTHER.into_word(), OTHER.into_word()];
        let cases: Vec<(&str, Header, bool)> = vec![
            ("an empty block", header(10, &[]), false),
            ("a transfer in", header(10, &[(TOKEN, into.clone())]), true),
            ("a transfer out", header(10, &[(TOKEN, out)]), true),
            ("an unlisted token", header(10, &[(OTHER, into.clone())]), false),
            ("another event", header(10, &[(TOKEN, approval)]), false),
            ("to somebody else", header(10, &[(TOKEN, elsewhere)]), false),
            ("before the treasury's first block", header(9, &[(TOKEN, into)]), false),
        ];
        for (name, header, expected) in cases {
            assert_eq!(may_hold(&header, &filter()), expected, "{name}");
        }
    }
}
