//! From logs to transfers, the same way whichever path brought the logs.
//!
//! Never numbers a transfer by anything but the logs that share its key: neither a reorg, nor a newly
//! listed token, nor the way of asking moves an ordinal.

use std::collections::HashMap;

use inspay_ports::WatchFilter;
use inspay_primitives::{Address, B256, BlockRef, ChainId, Direction, Transfer, TransferKey};

use crate::log::TransferLog;

/// What ordinals are counted over.
type KeyWithoutOrdinal = (B256, Address, Address, Direction);

/// Turns logs, given in chain order, into transfers.
#[derive(Debug)]
pub(crate) struct Numbering<'a> {
    filter: &'a WatchFilter,
    seen: HashMap<KeyWithoutOrdinal, u32>,
}

impl<'a> Numbering<'a> {
    pub(crate) fn new(filter: &'a WatchFilter) -> Self {
        Self { filter, seen: HashMap::new() }
    }

    fn follows(&self, treasury: Address, number: u64) -> bool {
        self.filter
            .treasuries
            .iter()
            .any(|(followed, first_block)| *followed == treasury && *first_block <= number)
    }

    /// The transfer into a treasury that the log is, if it is one.
    pub(crate) fn incoming(&mut self, log: &TransferLog, block: BlockRef) -> Option<Transfer> {
        self.numbered(log, block, log.to, log.from, Direction::In)
    }

    /// The transfer out of a treasury that the log is, if it is one.
    pub(crate) fn outgoing(&mut self, log: &TransferLog, block: BlockRef) -> Option<Transfer> {
        self.numbered(log, block, log.from, log.to, Direction::Out)
    }

    fn numbered(
        &mut self,
        log: &TransferLog,
        block: BlockRef,
        treasury: Address,
        counterparty: Address,
        direction: Direction,
    ) -> Option<Transfer> {
        let listed = self.filter.tokens.contains(&log.token);
        if !listed || !self.follows(treasury, block.number) {
            return None;
        }
        let next = self.seen.entry((log.tx_hash, log.token, treasury, direction)).or_default();
        let ordinal = *next;
        *next = next.saturating_add(1);
        let chain_id: ChainId = self.filter.chain_id;
        let key = TransferKey {
            chain_id,
            tx_hash: log.tx_hash,
            token: log.token,
            treasury,
            direction,
            ordinal,
        };
        Some(Transfer {
            key,
            counterparty,
            base_units: log.base_units,
            block,
            log_index: log.log_index,
            reference: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use inspay_primitives::{Timestamp, U256};

    use super::*;

    const TOKEN: Address = Address::repeat_byte(0x70);
    const LATER_LISTED: Address = Address::repeat_byte(0x71);
    const TREASURY: Address = Address::repeat_byte(0x7e);
    const NEXT_TREASURY: Address = Address::repeat_byte(0x7f);
    const PAYER: Address = Address::repeat_byte(0x01);

    fn filter(tokens: &[Address]) -> WatchFilter {
        WatchFilter {
            chain_id: ChainId(1),
            tokens: tokens.iter().copied().collect(),
            treasuries: vec![(TREASURY, 0), (NEXT_TREASURY, 100)],
        }
    }

    fn block(number: u64) -> BlockRef {
        BlockRef { number, hash: B256::repeat_byte(2), time: Timestamp::default() }
    }

    fn log(token: Address, from: Address, to: Address, tx: u8, log_index: u32) -> TransferLog {
        let tx_hash = B256::repeat_byte(tx);
        TransferLog { token, from, to, base_units: U256::from(5), tx_hash, log_index }
    }

    /// Direction, ordinal and log index of what the logs are.
    fn numbered(
        tokens: &[Address],
        number: u64,
        logs: &[TransferLog],
    ) -> Vec<(Direction, u32, u32)> {
        let filter = filter(tokens);
        let mut numbering = Numbering::new(&filter);
        let mut found = Vec::new();
        for log in logs {
            found.extend(numbering.incoming(log, block(number)));
            found.extend(numbering.outgoing(log, block(number)));
        }
        found
            .iter()
            .map(|found| (found.key.direction, found.key.ordinal, found.log_index))
            .collect()
    }

    #[test]
    fn logs_that_share_a_key_are_counted_and_others_are_not() {
        use Direction::{In, Out};
        let logs = [
            log(TOKEN, PAYER, TREASURY, 1, 3),
            log(TOKEN, PAYER, PAYER, 1, 4),
            log(LATER_LISTED, PAYER, TREASURY, 1, 5),
            log(TOKEN, PAYER, TREASURY, 1, 6),
            log(TOKEN, TREASURY, PAYER, 1, 7),
            log(TOKEN, PAYER, TREASURY, 2, 8),
        ];
        let expected = [(In, 0, 3), (In, 1, 6), (Out, 0, 7), (In, 0, 8)];
        assert_eq!(numbered(&[TOKEN], 5, &logs), expected);
        // A token that is listed later adds its own and moves no other.
        let with_later = [(In, 0, 3), (In, 0, 5), (In, 1, 6), (Out, 0, 7), (In, 0, 8)];
        assert_eq!(numbered(&[TOKEN, LATER_LISTED], 5, &logs), with_later);
    }

    #[test]
    fn a_transfer_between_treasuries_is_in_and_out_and_a_treasury_counts_from_its_first_block() {
        use Direction::{In, Out};
        let logs =
            [log(TOKEN, TREASURY, NEXT_TREASURY, 1, 0), log(TOKEN, TREASURY, TREASURY, 1, 1)];
        assert_eq!(numbered(&[TOKEN], 99, &logs), [(Out, 0, 0), (In, 0, 1), (Out, 1, 1)]);
        assert_eq!(
            numbered(&[TOKEN], 100, &logs),
            [(In, 0, 0), (Out, 0, 0), (In, 0, 1), (Out, 1, 1)]
        );
    }
}
