//! A node between the adapter and Anvil that changes answers, refuses, hangs or breaks off.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
    routing::post,
};
use futures::StreamExt;
use inspay_chain_evm::NodeUrl;
use serde_json::{Value, json};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// What becomes of one answer.
pub(crate) enum Outcome {
    /// This is the result.
    Result(Value),
    /// A JSON-RPC error.
    Error(i64, &'static str),
    /// The whole request is answered with a status, and how long to wait.
    Status(u16, Option<u64>),
    /// The whole request is answered with this text.
    Text(String),
    /// The request is never answered.
    Hang,
    /// The answer begins and never ends.
    Stall,
}

type Script = dyn Fn(&str, Value) -> Outcome + Send + Sync;

/// A node that answers what `script` makes of Anvil's answers.
pub(crate) struct Stub {
    address: SocketAddr,
    asked: Arc<Mutex<HashMap<String, usize>>>,
    server: JoinHandle<()>,
}

#[derive(Clone)]
struct Shared {
    upstream: String,
    client: reqwest::Client,
    script: Arc<Script>,
    asked: Arc<Mutex<HashMap<String, usize>>>,
}

impl Stub {
    pub(crate) async fn start(
        upstream: &str,
        script: impl Fn(&str, Value) -> Outcome + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::default());
        let shared = Shared {
            upstream: upstream.to_owned(),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            script: Arc::new(script),
            asked: Arc::clone(&asked),
        };
        let router = Router::new().route("/{*key}", post(answer)).with_state(shared);
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, asked, server }
    }

    /// Its URL, with a key that nobody may see.
    pub(crate) fn url(&self) -> NodeUrl {
        format!("http://{}/v3/secret", self.address).parse().unwrap()
    }

    /// How often a method was asked.
    pub(crate) fn asked(&self, method: &str) -> usize {
        self.asked.lock().unwrap().get(method).copied().unwrap_or_default()
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(State(shared): State<Shared>, body: String) -> Response {
    let calls: Value = serde_json::from_str(&body).unwrap();
    let upstream = shared.client.post(&shared.upstream).header("content-type", "application/json");
    let told = upstream.body(body).send().await.unwrap().text().await.unwrap();
    let told: Value = serde_json::from_str(&told).unwrap();
    let (calls, told, is_batch) = match (calls, told) {
        (Value::Array(calls), Value::Array(told)) => (calls, told, true),
        (call, told) => (vec![call], vec![told], false),
    };
    let mut replies = Vec::new();
    for (call, told) in calls.iter().zip(told) {
        let method = call["method"].as_str().unwrap();
        *shared.asked.lock().unwrap().entry(method.to_owned()).or_default() += 1;
        assert_eq!(call["id"], told["id"], "Anvil answers in order");
        let id = &call["id"];
        if told.get("error").is_some() {
            replies.push(told);
            continue;
        }
        match (shared.script)(method, told["result"].clone()) {
            Outcome::Result(result) => replies.push(json!({"id": id, "result": result})),
            Outcome::Error(code, message) => {
                replies.push(json!({"id": id, "error": {"code": code, "message": message}}));
            }
            Outcome::Status(status, wait) => {
                let status = StatusCode::from_u16(status).unwrap();
                let wait = wait.map(|seconds| [(RETRY_AFTER, seconds.to_string())]);
                return (status, wait, "no").into_response();
            }
            Outcome::Text(text) => return text.into_response(),
            Outcome::Hang => std::future::pending().await,
            Outcome::Stall => {
                let begun = futures::stream::iter([Ok::<_, std::io::Error>("[{")]);
                return Body::from_stream(begun.chain(futures::stream::pending())).into_response();
            }
        }
    }
    if is_batch { Value::Array(replies) } else { replies.remove(0) }.to_string().into_response()
}

/// A cable to a port that can be pulled and plugged in again.
pub(crate) struct Cable {
    pub(crate) address: SocketAddr,
    pulled: Mutex<CancellationToken>,
    opened: watch::Sender<usize>,
}

impl Cable {
    pub(crate) async fn to(port: u16) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let cable =
            Arc::new(Self { address, pulled: Mutex::default(), opened: watch::Sender::new(0) });
        let plugged = Arc::clone(&cable);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                plugged.opened.send_modify(|opened| *opened += 1);
                let pulled = plugged.pulled.lock().unwrap().clone();
                tokio::spawn(async move {
                    pulled.run_until_cancelled(copy_bidirectional(&mut near, &mut far)).await
                });
            }
        });
        cable
    }

    /// Waits until that many connections were opened.
    pub(crate) async fn opened(&self, connections: usize) {
        let mut opened = self.opened.subscribe();
        opened.wait_for(|opened| connections <= *opened).await.unwrap();
    }

    /// Breaks every connection; new ones are let through.
    pub(crate) fn pull(&self) {
        std::mem::take(&mut *self.pulled.lock().unwrap()).cancel();
    }
}
