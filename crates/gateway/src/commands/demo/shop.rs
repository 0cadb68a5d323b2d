//! The application that sells the credits: it knows the gateway by its HTTP API only.

use std::time::Duration;

use alloy_primitives::B256;
use inspay_primitives::U256;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use tokio::time::{Instant, interval};

use crate::exit::{Failure, FailureKind, Outcome};

/// How long anything may take to become visible before the demo gives up.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A client of the API.
#[derive(Debug)]
pub(super) struct Shop {
    client: Client,
    base: String,
    key: String,
    requests: std::sync::atomic::AtomicU64,
}

fn failed(why: reqwest::Error) -> Failure {
    Failure::new(FailureKind::Other, "the gateway did not answer", why)
}

impl Shop {
    pub(super) fn new(key: String) -> Outcome<Self> {
        let client = Client::builder().no_proxy().timeout(PATIENCE).build().map_err(failed)?;
        Ok(Self { client, base: String::new(), key, requests: 0.into() })
    }

    pub(super) fn set_base(&mut self, url: &str) {
        url.clone_into(&mut self.base);
    }

    async fn send(&self, request: RequestBuilder) -> Outcome<Value> {
        let answer = request.bearer_auth(&self.key).send().await.map_err(failed)?;
        let status = answer.status();
        let body: Value = answer.json().await.map_err(failed)?;
        if status.is_success() {
            Ok(body)
        } else {
            Err(Failure::plain(
                FailureKind::Other,
                format!("the gateway refused ({status}): {body}"),
            ))
        }
    }

    pub(super) async fn get(&self, path: &str) -> Outcome<Value> {
        self.send(self.client.get(format!("{}{path}", self.base))).await
    }

    async fn post(&self, path: &str, body: &Value) -> Outcome<Value> {
        let number = self.requests.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let request = self
            .client
            .post(format!("{}{path}", self.base))
            .header("Idempotency-Key", format!("demo-{number}"))
            .json(body);
        self.send(request).await
    }

    /// Quotes and orders in one asset.
    pub(super) async fn order(
        &self,
        account: &str,
        purchase: &Value,
        asset: &str,
    ) -> Outcome<(Value, Value)> {
        let quote = self.post("/v1/quotes", purchase).await?;
        let wish = json!({ "quote": quote["id"], "asset": asset, "account": account });
        let order = self.post("/v1/orders", &wish).await?;
        Ok((quote, order))
    }

    /// Looks again and again until `done` holds of what `path` answers.
    pub(super) async fn wait(
        &self,
        path: &str,
        what: &str,
        done: impl Fn(&Value) -> bool,
    ) -> Outcome<Value> {
        let deadline = Instant::now() + PATIENCE;
        let mut looks = interval(LOOK_EVERY);
        loop {
            looks.tick().await;
            let seen = self.get(path).await?;
            if done(&seen) {
                return Ok(seen);
            }
            if Instant::now() > deadline {
                let why = format!(
                    "waited {} s in vain for {what}; last seen: {seen}",
                    PATIENCE.as_secs()
                );
                return Err(Failure::plain(FailureKind::Other, why));
            }
        }
    }

    /// Waits until an order is in `state`.
    pub(super) async fn wait_for(&self, order: &Value, state: &str) -> Outcome<Value> {
        let path = order_path(order);
        self.wait(&path, &format!("an order to be {state}"), |seen| seen["state"] == state).await
    }

    /// Waits until a chain transaction's transfer is in `state`.
    pub(super) async fn wait_for_transfer(&self, tx_hash: B256, state: &str) -> Outcome<Value> {
        let path = format!("/v1/transfers?tx_hash={tx_hash}");
        let seen = self
            .wait(&path, &format!("a transfer to be {state}"), |seen| {
                seen["items"][0]["state"] == state
            })
            .await?;
        Ok(seen["items"][0].clone())
    }

    /// The credits an account can spend; zero if it never appeared.
    pub(super) async fn available(&self, account: &str) -> Outcome<String> {
        let balance = self.get(&format!("/v1/accounts/{account}/balance")).await?;
        Ok(balance["available"].as_str().unwrap_or("?").to_owned())
    }
}

pub(super) fn order_path(order: &Value) -> String {
    format!("/v1/orders/{}", order["id"].as_str().unwrap_or_default())
}

/// A base-unit amount out of an answer, such as `order["due"]`.
pub(super) fn base_units(amount: &Value) -> Outcome<U256> {
    amount["base_units"]
        .as_str()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Failure::plain(FailureKind::Other, format!("not an amount: {amount}")))
}
