//! Many payments at once behind three endpoints, of which one may lie and one may hang.
//!
//! Never waits between blocks: what is measured is the gateway, not the pace of a chain.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use inspay_devchain::{AnvilOptions, Devchain, Mining};
use inspay_primitives::ChainId;
use serde_json::Value;
use tokio::time::{Instant, interval};

use super::watch::Watch;
use crate::{
    ChainText, Gateway, json_of, pay,
    proxy::{Fault, FaultProxy},
    settings_through,
};

const CONFIRMATIONS: u32 = 2;
const PER_BLOCK: usize = 50;
/// What a payment grants.
const CREDITS: &str = "100.000000";
/// After that long without all payments the run has lost some.
const CROWD_MAX: Duration = Duration::from_secs(120);

/// What the three endpoints are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoints {
    /// All of them are good.
    Good,
    /// The first lies about amounts, calldata and balances; the second hangs; the third is good.
    OneLiesOneHangs,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrowdRun {
    /// Payments that were mined.
    pub payments: usize,
    /// From the first one sent to the last one credited.
    pub took: Duration,
    /// Not credited.
    pub lost: usize,
    /// Credited more than once.
    pub doubled: usize,
    /// Credited before their confirmations.
    pub early: usize,
    /// Lies that were told, and requests that were left hanging.
    pub lies: u64,
    /// Requests without an answer.
    pub hangs: u64,
}

impl CrowdRun {
    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_right(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.early == 0
    }
}

/// Makes so many orders, then pays all of them.
///
/// # Panics
///
/// If the chain or the gateway does not start, or the books differ from the chain at the end.
pub async fn crowd(payments: usize, endpoints: Endpoints, seed: u64) -> CrowdRun {
    let options = AnvilOptions { slots_in_an_epoch: 32, ..AnvilOptions::default() };
    let chain = Devchain::start(options).await.expect("the chain starts");
    let place = chain.deployment().clone();
    let [first, second, third] = [
        FaultProxy::start(&place, seed).await,
        FaultProxy::start(&place, seed + 1).await,
        FaultProxy::start(&place, seed + 2).await,
    ];
    let http = [&first, &second, &third].map(|proxy| proxy.http_url().to_owned());
    let text = ChainText { confirmations: CONFIRMATIONS, ..ChainText::default() };
    let settings = settings_through(&place, text, &http, first.ws_url());
    let mut gateway = Gateway::start(&settings, None).await;
    let mut orders = Vec::with_capacity(payments);
    for index in 0..payments {
        orders.push(gateway.order(&format!("buyer-{index}"), "USDT").await);
    }
    chain.set_mining(Mining::OnDemand).await.expect("mining on demand");
    let head = chain.head().await.expect("a head").number;
    let head_number = Arc::new(AtomicU64::new(head));
    let database = gateway.folder().join("test.db");
    let watch = Watch::start(
        &database,
        ChainId(place.chain_id),
        u64::from(CONFIRMATIONS),
        Arc::clone(&head_number),
    )
    .await;
    if endpoints == Endpoints::OneLiesOneHangs {
        first.set(&[(Fault::Lie, 100), (Fault::FalseBalance, 100)]);
        second.set(&[(Fault::Hang, 100)]);
    }
    let started = Instant::now();
    for block in orders.chunks(PER_BLOCK) {
        for (place, order) in block.iter().enumerate() {
            pay(&chain, order, chain.buyer(place)).await;
        }
        head_number.fetch_add(1, Ordering::SeqCst);
        chain.mine(1).await.expect("mines");
    }
    head_number.fetch_add(u64::from(CONFIRMATIONS), Ordering::SeqCst);
    chain.mine(u64::from(CONFIRMATIONS)).await.expect("mines");
    let mut looks = interval(Duration::from_millis(50));
    let is_credited = |settled: usize| settled >= payments;
    while !is_credited(settled(&watch).await) && started.elapsed() < CROWD_MAX {
        looks.tick().await;
    }
    let took = started.elapsed();
    let counts =
        |proxy: &FaultProxy, fault| proxy.counts().get(&fault).copied().unwrap_or_default();
    let (lies, hangs) = (counts(&first, Fault::Lie), counts(&second, Fault::Hang));
    let accounts = json_of(&gateway.command(&["accounts", "--json"]).await);
    let posted: Vec<&Value> = accounts
        .as_array()
        .expect("accounts")
        .iter()
        .map(|account| &account["posted_credits"])
        .collect();
    let lost = payments - posted.iter().filter(|credits| ***credits != "0.000000").count();
    let doubled =
        posted.iter().filter(|credits| ***credits != "0.000000" && ***credits != CREDITS).count();
    for proxy in [&first, &second, &third] {
        proxy.clear();
    }
    if lost == 0 {
        gateway.must_reconcile().await;
    }
    let early = watch.finish().await.early.len();
    gateway.kill().await;
    CrowdRun { payments, took, lost, doubled, early, lies, hangs }
}

async fn settled(watch: &Watch) -> usize {
    watch.transfers().await.iter().filter(|view| view.settlement.is_some()).count()
}
