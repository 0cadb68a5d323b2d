//! A proxy between a gateway and a real node that has the faults of bad nodes, over HTTP and WebSocket.
//!
//! Faults are drawn from a seed; which request meets which draw depends on the order of arrival, as it
//! does at a real node. Never listens beyond this machine, and never has a fault that is not switched on.

mod fault;
mod http;
mod ws;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use inspay_devchain::Deployment;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::{net::TcpListener, task::JoinHandle};

pub use fault::Fault;

/// How long [`Fault::Delay`] is.
const DELAY: Duration = Duration::from_millis(250);
/// How long a question to the real node may take.
const UPSTREAM_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct State {
    /// In percent of what the fault can happen to.
    chances: BTreeMap<Fault, u8>,
    counts: BTreeMap<Fault, u64>,
    random: StdRng,
    /// Heights of the blocks that passed by.
    heights: HashMap<String, u64>,
    /// The head at which [`Fault::StaleHead`] stopped.
    stopped_at: Option<u64>,
    /// Whether everything is cut off.
    is_down: bool,
}

#[derive(Debug)]
struct Shared {
    upstream_http: String,
    upstream_ws: String,
    client: reqwest::Client,
    state: Mutex<State>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the fault happens now.
    fn draws(&self, fault: Fault) -> bool {
        let mut state = self.state();
        let chance = state.chances.get(&fault).copied().unwrap_or_default();
        chance > 0 && state.random.random_range(0..100) < chance
    }

    /// Notes that the fault did happen.
    fn count(&self, fault: Fault) {
        let mut state = self.state();
        let count = state.counts.entry(fault).or_default();
        *count = count.saturating_add(1);
    }

    fn draws_and_counts(&self, fault: Fault) -> bool {
        let is_drawn = self.draws(fault);
        if is_drawn {
            self.count(fault);
        }
        is_drawn
    }

    fn is_down(&self) -> bool {
        self.state().is_down
    }
}

/// The proxy; dropping it ends it.
#[derive(Debug)]
pub struct FaultProxy {
    shared: Arc<Shared>,
    http_url: String,
    ws_url: String,
    tasks: [JoinHandle<()>; 2],
}

impl FaultProxy {
    /// Listens on two free ports, without faults.
    ///
    /// # Panics
    ///
    /// If there are none.
    pub async fn start(node: &Deployment, seed: u64) -> Self {
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(UPSTREAM_TIMEOUT)
            .build()
            .expect("a client");
        let state = State {
            chances: BTreeMap::new(),
            counts: BTreeMap::new(),
            random: StdRng::seed_from_u64(seed),
            heights: HashMap::new(),
            stopped_at: None,
            is_down: false,
        };
        let shared = Arc::new(Shared {
            upstream_http: node.http_url.clone(),
            upstream_ws: node.ws_url.clone(),
            client,
            state: Mutex::new(state),
        });
        let http = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let ws = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = |scheme: &str, listener: &TcpListener| {
            format!("{scheme}://{}", listener.local_addr().expect("an address"))
        };
        Self {
            http_url: url("http", &http),
            ws_url: url("ws", &ws),
            tasks: [
                tokio::spawn(http::serve(http, Arc::clone(&shared))),
                tokio::spawn(ws::serve(ws, Arc::clone(&shared))),
            ],
            shared,
        }
    }

    /// JSON-RPC over HTTP.
    #[must_use]
    pub fn http_url(&self) -> &str {
        &self.http_url
    }

    /// JSON-RPC over WebSocket.
    #[must_use]
    pub fn ws_url(&self) -> &str {
        &self.ws_url
    }

    /// Switches these faults on, each with its chance in percent, and all others off.
    pub fn set(&self, faults: &[(Fault, u8)]) {
        let mut state = self.shared.state();
        state.chances = faults.iter().copied().collect();
        state.stopped_at = None;
    }

    /// Switches all faults off.
    pub fn clear(&self) {
        self.set(&[]);
    }

    /// Cuts the node off, or lets it back: connections end and none is taken.
    pub fn set_down(&self, is_down: bool) {
        self.shared.state().is_down = is_down;
    }

    /// How often each fault has happened since the start.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<Fault, u64> {
        self.shared.state().counts.clone()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}
