//! One purchase's surroundings: two assets with rates and gas, at a fixed time.

use std::collections::BTreeMap;

use inspay_primitives::{Address, Asset, AssetId, ChainId, Rate, Timestamp, U256};
use inspay_quoting::{
    AssetInput, Catalog, FeeHistory, GasEstimate, GasRefusal, Purchase, QuoteRequest, RateQuote,
    RateRefusal, fee_levels,
};

pub(crate) const NOW: i64 = 1_760_000_000;

pub(crate) fn now() -> Timestamp {
    Timestamp::from_micros(NOW * 1_000_000)
}

pub(crate) fn asset(symbol: &str, decimals: u8, byte: u8) -> Asset {
    let id = AssetId { chain_id: ChainId(31337), contract: Address::repeat_byte(byte) };
    Asset { id, symbol: symbol.to_owned(), decimals }
}

pub(crate) fn usdt() -> Asset {
    asset("USDT", 6, 1)
}

pub(crate) fn inspi() -> Asset {
    asset("INSPI", 18, 2)
}

pub(crate) fn rate(text: &str) -> Result<RateQuote, RateRefusal> {
    let rate: Rate = text.parse().expect("rate");
    Ok(RateQuote::new(rate, "test", now(), now().plus_seconds(60)))
}

pub(crate) fn gas(gas_limit: u64) -> Result<GasEstimate, GasRefusal> {
    let gwei = |gwei: u64| U256::from(gwei) * U256::from(1_000_000_000u64);
    let history =
        FeeHistory { base_fees: vec![gwei(10)], priority_fees: vec![[gwei(1), gwei(2), gwei(3)]] };
    Ok(GasEstimate {
        gas_limit,
        for_payer: true,
        fees: fee_levels(&history)?,
        l1_fee_wei: U256::ZERO,
        native_symbol: "ETH".to_owned(),
        native_rate: rate("3000"),
    })
}

pub(crate) fn inputs() -> Vec<AssetInput> {
    vec![
        AssetInput { asset: inspi(), rate: rate("0.0317"), gas: gas(52_000), is_halted: false },
        AssetInput { asset: usdt(), rate: rate("0.9997"), gas: gas(63_000), is_halted: false },
    ]
}

pub(crate) fn request(purchase: Purchase, code: Option<&str>) -> QuoteRequest {
    QuoteRequest {
        purchase,
        promotion_code: code.map(str::to_owned),
        holder_balances: BTreeMap::new(),
        payer: None,
    }
}

pub(crate) fn pack(id: &str) -> Purchase {
    Purchase::Pack(id.parse().expect("pack"))
}

pub(crate) fn catalog() -> Catalog {
    Catalog::embedded().expect("the embedded catalog is valid")
}
