//! Orders and transfers to choose between.

use inspay_ports::{FoundBy, FoundOrder};
use inspay_primitives::{
    Address, AssetId, B256, BlockRef, ChainId, Direction, Order, OrderId, OrderProgress,
    OrderTerms, QuoteId, Reference, Timestamp, Transfer, TransferKey, U256,
};

pub(crate) const TREASURY: Address = Address::repeat_byte(2);
pub(crate) const OTHER_TREASURY: Address = Address::repeat_byte(3);

pub(crate) fn asset(token: u8) -> AssetId {
    AssetId { chain_id: ChainId(1), contract: Address::repeat_byte(token) }
}

pub(crate) fn reference(number: u8) -> Reference {
    Reference::from_bytes([number; 16])
}

/// Order `number`: due 9,000 of token 1, made at second 100, in time until second 1,060.
pub(crate) fn order(number: u8) -> Order {
    let id = format!("{number:032x}");
    Order {
        terms: OrderTerms {
            id: format!("ord_{id}").parse::<OrderId>().expect("id"),
            account: "alice".parse().expect("account"),
            quote: format!("quo_{id}").parse::<QuoteId>().expect("id"),
            asset: asset(1),
            decimals: 6,
            treasury: TREASURY,
            reference: reference(number),
            due_base_units: U256::from(9_000),
            list_base_units: U256::from(10_000),
            tolerance_base_units: U256::ZERO,
            credits: "100".parse().expect("credits"),
            price: "0.009".parse().expect("price"),
            rate: "1".parse().expect("rate"),
            exact_amount_lane: true,
            created_at: Timestamp::from_chain_seconds(100),
            deadline: Timestamp::from_chain_seconds(1_000),
            grace_seconds: 60,
            credits_valid_days: 30,
        },
        progress: OrderProgress::new(true),
    }
}

/// A transfer of token 1 to the treasury in a block of second `seconds`.
pub(crate) fn transfer(base_units: u64, seconds: u64) -> Transfer {
    Transfer {
        key: TransferKey {
            chain_id: ChainId(1),
            tx_hash: B256::repeat_byte(5),
            token: Address::repeat_byte(1),
            treasury: TREASURY,
            direction: Direction::In,
            ordinal: 0,
        },
        counterparty: Address::repeat_byte(9),
        base_units: U256::from(base_units),
        block: BlockRef {
            number: seconds,
            hash: B256::repeat_byte(1),
            time: Timestamp::from_chain_seconds(seconds),
        },
        log_index: 0,
        reference: None,
    }
}

/// Orders found by their terms.
pub(crate) fn by_terms<const N: usize>(orders: [Order; N]) -> [FoundOrder; N] {
    orders.map(|order| FoundOrder { order, found_by: FoundBy::Terms })
}
