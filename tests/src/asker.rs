//! A client that many tasks share, and that finds a process again after its death.

use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use super::{Gateway, PATIENCE};

/// Asks a gateway under keys that the caller chooses, from as many tasks as hold a copy.
#[derive(Clone, Debug)]
pub struct Asker {
    client: Client,
    key: String,
    base: watch::Receiver<String>,
}

impl Gateway {
    /// A client for many tasks, and what tells it where the process listens after each start.
    #[must_use]
    pub fn asker(&self) -> (watch::Sender<String>, Asker) {
        let (told, base) = watch::channel(self.base.clone());
        (told, Asker { client: self.client.clone(), key: self.key.clone(), base })
    }

    /// Where the process listens since its last start.
    #[must_use]
    pub fn base(&self) -> String {
        self.base.clone()
    }
}

impl Asker {
    /// Sends a request under a key until it is answered, by the process that listens then.
    ///
    /// No answer, and the answer that the database does not answer, leave open what became of the request: it is sent
    /// again.
    ///
    /// # Panics
    ///
    /// If nobody answers in time, or a failure of ours is answered.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        request_key: &str,
        body: &Value,
    ) -> (StatusCode, Value) {
        let deadline = Instant::now() + PATIENCE;
        let mut base = self.base.clone();
        loop {
            let url = format!("{}{path}", *base.borrow_and_update());
            let request = self.client.request(method.clone(), &url).bearer_auth(&self.key);
            let answer = request.header("Idempotency-Key", request_key).json(body).send().await;
            let answer = match answer {
                Ok(answer) => {
                    let status = answer.status();
                    answer.json::<Value>().await.map(|body| (status, body))
                }
                Err(error) => Err(error),
            };
            match answer {
                Ok((StatusCode::SERVICE_UNAVAILABLE, _)) => tokio::task::yield_now().await,
                Ok((status, body)) => {
                    assert!(!status.is_server_error(), "{path}: {status} {body}");
                    return (status, body);
                }
                // The process died: the next one says where it is.
                Err(error) => {
                    let moved = timeout_at(deadline, base.changed()).await;
                    moved
                        .unwrap_or_else(|_| panic!("{url} did not answer: {error:?}"))
                        .expect("a gateway");
                }
            }
            assert!(Instant::now() < deadline, "{path} is not answered");
        }
    }

    /// As [`Self::ask`], with POST.
    pub async fn post(&self, path: &str, request_key: &str, body: &Value) -> (StatusCode, Value) {
        self.ask(Method::POST, path, request_key, body).await
    }
}
