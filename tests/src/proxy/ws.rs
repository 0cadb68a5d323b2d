//! The WebSocket side: passes messages on, and forgets, repeats or breaks off where it is told to.
//!
//! Never changes what a message says: what it tells of is read over HTTP anyway.

use std::sync::Arc;

use futures::{SinkExt as _, StreamExt as _};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_tungstenite::{accept_async, connect_async, tungstenite};

use super::{Fault, Shared};

pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else { return };
        if shared.is_down() {
            continue;
        }
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            // A connection that breaks is what the proxy is for; its client sees it too.
            let _end = pass_on(stream, &shared).await;
        });
    }
}

async fn pass_on(stream: TcpStream, shared: &Shared) -> Result<(), tungstenite::Error> {
    let mut client = accept_async(stream).await?;
    let (mut node, _) = connect_async(&shared.upstream_ws).await?;
    loop {
        tokio::select! {
            said = client.next() => match said {
                Some(message) => node.send(message?).await?,
                None => return node.close(None).await,
            },
            told = node.next() => {
                let Some(message) = told else { return client.close(None).await };
                let message = message?;
                let is_head = message.to_text().is_ok_and(|text: &str| text.contains("eth_subscription"));
                if shared.is_down() || is_head && shared.draws_and_counts(Fault::WsDrop) {
                    return client.close(None).await;
                }
                if is_head && shared.draws_and_counts(Fault::WsSilent) {
                    continue;
                }
                if is_head && shared.draws_and_counts(Fault::WsRepeat) {
                    client.send(message.clone()).await?;
                }
                client.send(message).await?;
            }
        }
    }
}
