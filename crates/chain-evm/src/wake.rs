//! The WebSocket that tells of new heads sooner than polling does.
//!
//! Never stops anything by its absence, and never brings anything that is believed without a check: a
//! header it tells of has its hash recomputed, and its block is read over HTTP.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use alloy::{
    pubsub::{ConnectionHandle, PubSubConnect},
    rpc::client::ClientBuilder,
    transports::{TransportErrorKind, TransportResult, ws::WsConnect},
};
use inspay_ports::{ChainErrorKind, Header};
use inspay_primitives::{B256, ChainId};
use tokio::{
    runtime::Handle,
    sync::{broadcast::error::RecvError, watch},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    header::read_header,
    retry::Delays,
    settings::{EvmChainSettings, HashCheck, NodeUrl},
    wire::{Quantity, clip},
};

const RECONNECT_FIRST: Duration = Duration::from_millis(250);
const RECONNECT_MAX: Duration = Duration::from_secs(15);

/// What the WebSocket has brought.
#[derive(Debug)]
pub(crate) struct Wake {
    ticks: watch::Sender<u64>,
    newest: Mutex<Option<Header>>,
}

impl Wake {
    /// Follows new heads until the token is cancelled.
    pub(crate) fn spawn(
        settings: &EvmChainSettings,
        url: &NodeUrl,
        stop: CancellationToken,
    ) -> Result<Arc<Self>, ChainErrorKind> {
        let runtime = Handle::try_current().map_err(|_| {
            ChainErrorKind::Refused("a WebSocket is followed on a Tokio runtime only".to_owned())
        })?;
        let wake = Arc::new(Self { ticks: watch::Sender::new(0), newest: Mutex::new(None) });
        let follower = Follower {
            wake: Arc::clone(&wake),
            url: url.clone(),
            chain_id: settings.chain_id,
            check: settings.header_hash,
            connect_timeout: settings.request_timeout,
            silence_max: settings.ws_silence_max,
            jitter: settings.jitter,
        };
        runtime.spawn(async move { stop.run_until_cancelled(Box::pin(follower.run())).await });
        Ok(wake)
    }

    pub(crate) fn receiver(&self) -> watch::Receiver<u64> {
        self.ticks.subscribe()
    }

    /// The newest header told since this was last asked. Each is handed out once, so that whoever
    /// polls after a silence asks over HTTP.
    pub(crate) fn take_newest(&self) -> Option<Header> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn tick(&self, header: Option<Header>) {
        if header.is_some() {
            *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = header;
        }
        self.ticks.send_modify(|ticks| *ticks = ticks.wrapping_add(1));
    }
}

/// Connects once: a connection that breaks is ours to open again, so that the loop is woken then.
#[derive(Clone, Debug)]
struct ConnectOnce(WsConnect);

impl PubSubConnect for ConnectOnce {
    fn is_local(&self) -> bool {
        self.0.is_local()
    }

    async fn connect(&self) -> TransportResult<ConnectionHandle> {
        self.0.connect().await
    }

    async fn try_reconnect(&self) -> TransportResult<ConnectionHandle> {
        Err(TransportErrorKind::non_retryable_str("the follower of new heads opens it again"))
    }
}

struct Follower {
    wake: Arc<Wake>,
    url: NodeUrl,
    chain_id: ChainId,
    check: HashCheck,
    connect_timeout: Duration,
    silence_max: Duration,
    jitter: bool,
}

impl Follower {
    async fn run(self) {
        let mut delays = Delays::new(RECONNECT_FIRST, RECONNECT_MAX, self.jitter);
        loop {
            let ended = self.follow(&mut delays).await;
            let delay = delays.next_delay();
            tracing::warn!(endpoint = %self.url, why = ended, ?delay, "no new heads over the WebSocket");
            metrics::counter!("inspay_ws_reconnects_total", "endpoint" => self.url.host())
                .increment(1);
            sleep(delay).await;
        }
    }

    /// Follows until the connection is of no more use; answers why.
    async fn follow(&self, delays: &mut Delays) -> String {
        let connect = ConnectOnce(WsConnect::new(self.url.expose().as_str()));
        let opened = timeout(self.connect_timeout, async {
            let client = ClientBuilder::default().pubsub(connect).await?;
            let chain_id: Quantity = client.request_noparams("eth_chainId").await?;
            let id: B256 = client.request("eth_subscribe", ("newHeads",)).await?;
            let frontend =
                client.pubsub_frontend().ok_or_else(TransportErrorKind::pubsub_unavailable)?;
            let heads = frontend.get_subscription(id).await?;
            TransportResult::Ok((client, ChainId(chain_id.0), heads))
        });
        let (_client, chain_id, mut heads) = match opened.await {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) => return clip(&error.to_string()),
            Err(_) => return "it did not open in time".to_owned(),
        };
        if chain_id != self.chain_id {
            return format!("it is on chain {chain_id}, not {}", self.chain_id);
        }
        // Whatever was mined while it was closed was not told.
        self.wake.tick(None);
        loop {
            match timeout(self.silence_max, heads.recv()).await {
                Ok(Ok(json)) => {
                    delays.reset();
                    let header = read_header(json.get(), self.check);
                    if let Err(error) = &header {
                        tracing::debug!(endpoint = %self.url, %error, "a told header is of no use");
                    }
                    self.wake.tick(header.ok().map(|checked| checked.header));
                }
                // Heads were missed, but the newest is still to come.
                Ok(Err(RecvError::Lagged(_))) => {}
                Ok(Err(RecvError::Closed)) => return "it was closed".to_owned(),
                Err(_) => return "it fell silent".to_owned(),
            }
        }
    }
}
