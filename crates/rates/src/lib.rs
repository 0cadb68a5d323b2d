//! Where rates come from: the operator, an HTTP endpoint, a Chainlink feed, a Uniswap V3 pool; and
//! the book that asks all sources of an asset at once.
//!
//! Never judges: the rules live in `inspay-quoting`. Never reads a number through a float, and never
//! passes over a source that failed: it is logged, and named where no rate comes of the others.

mod bindings;
mod book;
mod chainlink;
mod fixed;
mod http_json;
mod raw_json;
mod tick_math;
mod uniswap;

pub use book::{Collected, DuplicateSource, MedianRates, RateBook, RateKey};
pub use chainlink::{ChainlinkRate, ChainlinkSettings};
pub use fixed::FixedRate;
pub use http_json::{HttpJsonRate, HttpJsonSettings, HttpSetupError, HttpTime, TimeUnit};
pub use uniswap::{TwapSettings, UniswapV3Twap};
