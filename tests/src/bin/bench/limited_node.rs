//! A node such as a provider sells it: far away, and with limits. It stands before a real one.
//!
//! Never answers from memory, and never lies: it delays, refuses and counts.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::post,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::Problem;

/// What a node allows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How long any answer takes longer than the node behind needs.
    pub(crate) latency: Duration,
    /// Blocks of one range of logs.
    pub(crate) blocks_max: u64,
    /// Logs of one answer.
    pub(crate) results_max: usize,
    /// HTTP requests in any second.
    pub(crate) requests_a_second: usize,
    /// The code that a range or an answer beyond the limit is refused with.
    pub(crate) limit_code: i64,
}

/// A limited node on a port of its own, gone when dropped.
#[derive(Debug)]
pub(crate) struct LimitedNode {
    pub(crate) url: String,
    shared: Arc<Shared>,
    _serving: AbortOnDropHandle<std::io::Result<()>>,
}

#[derive(Debug)]
struct Shared {
    behind: String,
    limits: Limits,
    client: reqwest::Client,
    lately: Mutex<VecDeque<Instant>>,
    requests: AtomicU64,
    too_fast: AtomicU64,
    too_much: AtomicU64,
}

/// What a limited node was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// HTTP requests in all.
    pub(crate) requests: u64,
    /// Of these, refused since they came too fast.
    pub(crate) too_fast: u64,
    /// Ranges of logs that were refused.
    pub(crate) too_much: u64,
}

impl LimitedNode {
    /// Stands before the node at that URL.
    pub(crate) async fn start(behind: &str, limits: Limits) -> Result<Self, Problem> {
        let shared = Arc::new(Shared {
            behind: behind.to_owned(),
            limits,
            client: reqwest::Client::builder().no_proxy().build()?,
            lately: Mutex::default(),
            requests: AtomicU64::new(0),
            too_fast: AtomicU64::new(0),
            too_much: AtomicU64::new(0),
        });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let router = Router::new().route("/", post(answer)).with_state(Arc::clone(&shared));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { url, shared, _serving: AbortOnDropHandle::new(serving) })
    }

    /// What it was asked for since this was called last.
    pub(crate) fn take_asked(&self) -> Asked {
        Asked {
            requests: self.shared.requests.swap(0, Ordering::Relaxed),
            too_fast: self.shared.too_fast.swap(0, Ordering::Relaxed),
            too_much: self.shared.too_much.swap(0, Ordering::Relaxed),
        }
    }

    /// As though nobody had asked for a while.
    pub(crate) fn forget_pace(&self) {
        self.shared.lately.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Shared {
    fn is_too_fast(&self) -> bool {
        let now = Instant::now();
        let mut lately = self.lately.lock().unwrap_or_else(PoisonError::into_inner);
        while lately.front().is_some_and(|then| now - *then >= Duration::from_secs(1)) {
            lately.pop_front();
        }
        if lately.len() >= self.limits.requests_a_second {
            return true;
        }
        lately.push_back(now);
        false
    }

    fn refusal(&self, call: &Value, message: &str) -> Value {
        self.too_much.fetch_add(1, Ordering::Relaxed);
        let code = self.limits.limit_code;
        json!({ "jsonrpc": "2.0", "id": call["id"], "error": { "code": code, "message": message } })
    }

    /// The refusal of a range that is too long.
    fn too_long(&self, call: &Value) -> Option<Value> {
        let height = |field: &str| {
            let text = call["params"][0][field].as_str()?;
            u64::from_str_radix(text.trim_start_matches("0x"), 16).ok()
        };
        if call["method"] != "eth_getLogs" {
            return None;
        }
        let (from, to) = (height("fromBlock")?, height("toBlock")?);
        let blocks_max = self.limits.blocks_max;
        let message = format!("eth_getLogs is limited to a range of {blocks_max} blocks");
        (to.saturating_sub(from) >= blocks_max).then(|| self.refusal(call, &message))
    }

    async fn answer_one(&self, call: Value) -> Result<Value, reqwest::Error> {
        if let Some(refusal) = self.too_long(&call) {
            return Ok(refusal);
        }
        let asked = self.client.post(&self.behind).json(&call).send().await?;
        let answer: Value = asked.json().await?;
        let results_max = self.limits.results_max;
        let is_too_much = call["method"] == "eth_getLogs"
            && answer["result"].as_array().is_some_and(|logs| results_max < logs.len());
        if is_too_much {
            let message = format!("query returned more than {results_max} results");
            return Ok(self.refusal(&call, &message));
        }
        Ok(answer)
    }
}

async fn answer(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    shared.requests.fetch_add(1, Ordering::Relaxed);
    tokio::time::sleep(shared.limits.latency).await;
    if shared.is_too_fast() {
        shared.too_fast.fetch_add(1, Ordering::Relaxed);
        return (StatusCode::TOO_MANY_REQUESTS, "too many requests").into_response();
    }
    let answered = match serde_json::from_slice(&body) {
        Ok(Value::Array(calls)) => {
            let answers = calls.into_iter().map(|call| shared.answer_one(call));
            futures::future::try_join_all(answers).await.map(Value::Array)
        }
        Ok(call) => shared.answer_one(call).await,
        Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    };
    match answered {
        Ok(answer) => axum::Json(answer).into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}
