//! Bindings to our contracts, taken from the committed artifacts.
//!
//! Never declare a return value for the calls of the USDT look-alike that return none: a decoder
//! that expects one takes every such payment for a failure.

#![expect(clippy::too_many_arguments, reason = "generated")]

use alloy::sol;

sol!(
    #[derive(Debug)]
    #[sol(rpc)]
    InspiToken,
    "../../contracts/artifacts/InspiToken.json"
);
sol!(
    #[derive(Debug)]
    #[sol(rpc)]
    TetherToken,
    "../../contracts/artifacts/TetherToken.json"
);
sol!(
    #[derive(Debug)]
    #[sol(rpc)]
    FakeToken,
    "../../contracts/artifacts/FakeToken.json"
);
sol!(
    #[derive(Debug)]
    #[sol(rpc)]
    PriceFeed,
    "../../contracts/artifacts/PriceFeed.json"
);
sol!(
    #[derive(Debug)]
    #[sol(rpc)]
    Multisend,
    "../../contracts/artifacts/Multisend.json"
);
sol!(
    #[derive(Debug)]
    #[sol(rpc)]
    PoolCallee,
    "../../contracts/artifacts/PoolCallee.json"
);
sol!(
    #[derive(Debug)]
    #[sol(rpc)]
    ContractWallet,
    "../../contracts/artifacts/ContractWallet.json"
);
