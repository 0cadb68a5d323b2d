//! A local chain for people and for tests: Anvil with our contracts, funded buyers, and acts that
//! do to a chain what the world does to one.
//!
//! Never talks to a chain that it did not start itself, and never outlives the process that
//! started it.

mod acts;
mod bindings;
mod branches;
mod bulk;
mod chain;
mod deployment;
mod error;
mod process;
mod toolchain;
mod uniswap;
mod wallet;

pub use acts::transfer_request;
pub use bindings::{
    ContractWallet, FakeToken, InspiToken, Multisend, PoolCallee, PriceFeed, TetherToken,
};
pub use branches::{Branch, Replay, Snapshot};
pub use bulk::Bulk;
pub use chain::{AnvilOptions, Devchain, Mining};
pub use deployment::{Deployment, INITIAL_INSPI_PRICE, INITIAL_USDT_PRICE, TREASURY};
pub use error::DevchainError;
pub use uniswap::{Pool, sqrt_price_x96};
