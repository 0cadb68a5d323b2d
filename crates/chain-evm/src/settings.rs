//! What an operator says about a chain's endpoints.
//!
//! Never shows more of a URL than its host: paths and queries carry keys.

use std::{fmt, str::FromStr, time::Duration};

use inspay_primitives::ChainId;
use reqwest::Url;

/// How an endpoint is reached. Shown as its host only.
#[derive(Clone, PartialEq, Eq)]
pub struct NodeUrl(Url);

impl NodeUrl {
    /// Host and, where the URL names one, port.
    #[must_use]
    pub fn host(&self) -> String {
        let host = self.0.host_str().unwrap_or("unknown");
        self.0.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// The whole URL, with whatever secret it holds.
    #[must_use]
    pub const fn expose(&self) -> &Url {
        &self.0
    }

    pub(crate) fn is_local(&self) -> bool {
        matches!(self.0.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
    }
}

impl From<Url> for NodeUrl {
    fn from(url: Url) -> Self {
        Self(url)
    }
}

impl FromStr for NodeUrl {
    type Err = <Url as FromStr>::Err;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl fmt::Display for NodeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host())
    }
}

impl fmt::Debug for NodeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeUrl({})", self.host())
    }
}

/// Whether a hash is recomputed from what it is a hash of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HashCheck {
    /// Recomputed; an answer that does not fit is refused.
    #[default]
    Recompute,
    /// Taken as told: for chains whose headers or chain transactions have fields of their own, and for
    /// a local chain with impersonated senders. A node can lie about whatever hangs on it.
    Trust,
}

/// How a block's set of transfers is proven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReceiptsProof {
    /// By its receipts, whose recomputed root is the header's.
    #[default]
    Standard,
    /// By two endpoints that give the same set by the block's hash: for chains whose receipts have no
    /// standard root. Nothing is taken for empty by its bloom then.
    SecondEndpoint,
}

/// How to read one chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvmChainSettings {
    /// The chain that the endpoints are meant to be on.
    pub chain_id: ChainId,
    /// JSON-RPC endpoints over HTTP, the preferred one first.
    pub http: Vec<NodeUrl>,
    /// A WebSocket that tells of new heads sooner than polling does.
    pub ws: Option<NodeUrl>,
    /// How long one request may take.
    pub request_timeout: Duration,
    /// After that long without an answer the next endpoint is asked as well, and the first answer counts.
    /// Not for ranges, which take long for good reasons.
    pub hedge_after: Duration,
    /// Whether header hashes are recomputed. With [`HashCheck::Trust`] receipts roots are only as good as
    /// the endpoint, and no block is taken for empty by its bloom: some chains leave it blank.
    pub header_hash: HashCheck,
    /// Whether the hashes of chain transactions, and their root, are recomputed. With
    /// [`HashCheck::Trust`] a reference is only as good as the endpoint.
    pub chain_tx_hash: HashCheck,
    /// How a block's set of transfers is proven.
    pub receipts: ReceiptsProof,
    /// A larger answer is not read to its end; to a range of logs it means: split.
    pub response_bytes_max: usize,
    /// Calls in one JSON-RPC batch.
    pub batch_calls_max: usize,
    /// After that long without a new head the WebSocket is opened anew.
    pub ws_silence_max: Duration,
    /// Whether waits between tries vary by chance; off where a run must be the same each time.
    pub jitter: bool,
}

impl EvmChainSettings {
    /// The usual settings: hashes recomputed, ten seconds a request.
    #[must_use]
    pub const fn new(chain_id: ChainId, http: Vec<NodeUrl>, ws: Option<NodeUrl>) -> Self {
        Self {
            chain_id,
            http,
            ws,
            request_timeout: Duration::from_secs(10),
            hedge_after: Duration::from_millis(500),
            header_hash: HashCheck::Recompute,
            chain_tx_hash: HashCheck::Recompute,
            receipts: ReceiptsProof::Standard,
            // A block of three hundred chain transactions takes about two megabytes with receipts, and
            // ten thousand logs take about seven.
            response_bytes_max: 32 * 1024 * 1024,
            // The smallest cap among the usual providers.
            batch_calls_max: 100,
            ws_silence_max: Duration::from_secs(60),
            jitter: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_shows_its_host_and_never_its_key() {
        let url: NodeUrl = "https://user:pass@node.example/v3/secret?key=secret".parse().unwrap();
        let settings = EvmChainSettings::new(ChainId(1), vec![url.clone()], Some(url.clone()));
        for shown in [format!("{url}"), format!("{url:?}"), format!("{settings:?}")] {
            assert!(shown.contains("node.example"), "{shown}");
            assert!(!shown.contains("secret") && !shown.contains("pass"), "{shown}");
        }
        assert_eq!(
            "http://127.0.0.1:8545/key".parse::<NodeUrl>().unwrap().host(),
            "127.0.0.1:8545"
        );
    }
}
