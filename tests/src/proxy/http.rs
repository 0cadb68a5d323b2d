//! The HTTP side: as little of HTTP/1.1 as a JSON-RPC client needs, written out so that it can break in
//! the middle of an answer.
//!
//! Never keeps a fault to itself: what happened is counted where it happened.

use std::{io, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::sleep,
};

use super::{
    DELAY, Fault, Shared,
    fault::{BEHIND, alter, asked_at, quantity, seen_only_up_to},
};

/// A hanging answer holds its connection until the client gives up, and no longer than this.
const HANG_MAX: Duration = Duration::from_secs(60);
const BODY_BYTES_MAX: usize = 16 << 20;

pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else { return };
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            // A connection that breaks is what the proxy is for; its client sees it too.
            let _end = connection(stream, &shared).await;
        });
    }
}

async fn connection(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    while let Some(body) = read_request(&mut stream).await? {
        if shared.is_down() || shared.draws_and_counts(Fault::Reset) {
            return reset(stream.get_ref());
        }
        if shared.draws_and_counts(Fault::Hang) {
            sleep(HANG_MAX).await;
            return Ok(());
        }
        if shared.draws_and_counts(Fault::Delay) {
            sleep(DELAY).await;
        }
        let (status, text) = if shared.draws_and_counts(Fault::TooManyRequests) {
            ("429 Too Many Requests", "too many requests".to_owned())
        } else if shared.draws_and_counts(Fault::Unavailable) {
            ("503 Service Unavailable", "no backend".to_owned())
        } else {
            match answer(shared, &body).await {
                Ok(answer) => ("200 OK", answer.to_string()),
                Err(why) => ("502 Bad Gateway", why.to_string()),
            }
        };
        if shared.is_down() {
            return reset(stream.get_ref());
        }
        let length = text.len();
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await?;
        if shared.draws_and_counts(Fault::Truncated) {
            stream.write_all(text.as_bytes().get(..length / 2).unwrap_or_default()).await?;
            return stream.shutdown().await;
        }
        stream.write_all(text.as_bytes()).await?;
        stream.flush().await?;
    }
    Ok(())
}

/// Ends a connection so that the other side is told of an error, not of an end.
fn reset(stream: &TcpStream) -> io::Result<()> {
    stream.set_zero_linger()
}

/// The body of the next request; `None` once the client has closed.
async fn read_request(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Vec<u8>>> {
    let mut length = 0;
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    if length > BODY_BYTES_MAX {
        return Err(io::Error::other("the request is too long"));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Some(body))
}

type Trouble = Box<dyn std::error::Error + Send + Sync>;

async fn ask(shared: &Shared, body: &Value) -> Result<Value, Trouble> {
    let request = shared.client.post(&shared.upstream_http).json(body);
    Ok(request.send().await?.json().await?)
}

async fn head_of(shared: &Shared) -> Result<u64, Trouble> {
    let asked = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": [] });
    Ok(quantity(&ask(shared, &asked).await?["result"]).ok_or("the node has no head")?)
}

/// The node's answer with its faults.
async fn answer(shared: &Shared, body: &[u8]) -> Result<Value, Trouble> {
    let mut asked: Value = serde_json::from_slice(body)?;
    let needs_head = {
        let state = shared.state();
        [Fault::EmptyNearHead, Fault::ThreeBehind, Fault::StaleHead]
            .iter()
            .any(|fault| state.chances.contains_key(fault))
    };
    let head = if needs_head { head_of(shared).await? } else { 0 };
    let top = newest_seen(shared, head);
    if let Some((top, _)) = top {
        each(&mut asked, |call| asked_at(top, call));
    }
    let mut told = ask(shared, &asked).await?;
    let calls: Vec<Value> = asked.as_array().cloned().unwrap_or_else(|| vec![asked]);
    each(&mut told, |answer| {
        let Some(call) = calls.iter().find(|call| call["id"] == answer["id"]) else { return };
        learn_height(shared, answer);
        if let Some((top, fault)) = top {
            let is_other = seen_only_up_to(top, call, answer, &shared.state().heights);
            let is_asked_at_head = call["params"][0] == format!("{top:#x}");
            if is_other || is_asked_at_head {
                shared.count(fault);
            }
        }
        for fault in Fault::ALL {
            if shared.draws(fault) && alter(fault, call, answer, head) {
                shared.count(fault);
            }
        }
    });
    if let Some(answers) = told.as_array_mut().filter(|answers| answers.len() > 1) {
        if shared.draws_and_counts(Fault::Reordered) {
            answers.reverse();
        }
        if shared.draws_and_counts(Fault::Duplicated) {
            answers.extend(answers.first().cloned());
        }
    }
    Ok(told)
}

/// The newest block that this request is answered from, where the node is behind, and by what fault.
fn newest_seen(shared: &Shared, head: u64) -> Option<(u64, Fault)> {
    if shared.draws(Fault::StaleHead) {
        let top = *shared.state().stopped_at.get_or_insert(head);
        return Some((top, Fault::StaleHead));
    }
    shared.draws(Fault::ThreeBehind).then(|| (head.saturating_sub(BEHIND), Fault::ThreeBehind))
}

fn learn_height(shared: &Shared, answer: &Value) {
    let block = &answer["result"];
    if let (Some(hash), Some(number)) = (block["hash"].as_str(), quantity(&block["number"])) {
        shared.state().heights.insert(hash.to_owned(), number);
    }
}

/// Does something to the only value, or to each of a batch.
fn each(values: &mut Value, mut act: impl FnMut(&mut Value)) {
    match values {
        Value::Array(values) => values.iter_mut().for_each(act),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            act(values);
        }
    }
}
