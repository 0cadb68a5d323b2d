//! An EVM chain, read through any number of JSON-RPC endpoints.
//!
//! Never signs, never sends, never keeps a filter on a node, and never hands out an answer that it
//! could not check: a missing answer is an error, and a set of transfers comes with its proof.

mod agreement;
mod balance;
mod block;
mod bloom;
mod by_two;
mod chain;
mod chain_tx;
mod classify;
mod doubt;
mod endpoint;
mod header;
mod heads;
mod heads_of_all;
mod health;
mod log;
mod meters;
mod pace;
mod pool;
mod range;
mod read_once;
mod reads;
mod receipts;
mod reference;
mod retry;
mod rpc;
mod second_word;
mod settings;
mod signature;
mod sources;
mod transfers;
mod transport;
mod wake;
mod wire;

pub use chain::EvmChain;
pub use endpoint::{Doubt, EndpointView};
pub use reference::reference_of;
pub use reqwest::Url;
pub use retry::{RetryPolicy, retry_transient};
pub use settings::{EvmChainSettings, HashCheck, NodeUrl, ReceiptsProof};
pub use transport::{HttpTransport, Reply, ReplyLimits, Transport};
