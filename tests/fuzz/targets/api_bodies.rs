//! Whatever body is posted, the answer is a good one or a problem with a code, and never the server's fault.
#![no_main]

use std::{
    cell::RefCell,
    collections::BTreeMap,
    sync::{Arc, LazyLock},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::Request,
};
use inspay_api::{
    ApiParts, CreditSettings, PricingInputs, SaleAsset, SaleSettings, Timing, WalletSettings, generate_key, router,
};
use inspay_ledger::{FeaturePrice, PriceBook, PriceVersion, SettlementRules};
use inspay_ledger_writer::{LedgerWriter, WriterLimits};
use inspay_ports::{ApiKeyRecord, KeyScope, SaleStore as _, fake::FakeStore};
use inspay_primitives::{
    Address, Asset, AssetId, ChainId, ConfirmationPolicy, ConfirmationRule, ManualClock, Timestamp,
    U256,
};
use inspay_quoting::{
    AssetInput, Catalog, FeeLevel, FeeLevels, GasEstimate, QuoteRequest, RateQuote,
};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tokio::{runtime::Runtime, sync::watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

/// What is posted to, with an order that does not exist where one is named.
const PATHS: [&str; 8] = [
    "/v1/quotes",
    "/v1/orders",
    "/v1/quotes?unknown=1",
    "/v1/holds",
    "/v1/spends/batch",
    "/v1/accounts/alice/grants",
    "/v1/accounts/alice/limits",
    "/v1/estimates",
];
/// So many posts are answered by one store: it keeps what it is told.
const POSTS_A_STORE: u32 = 2_000;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime")
});

thread_local! {
    static HOUSE: RefCell<Option<House>> = const { RefCell::new(None) };
}

struct House {
    router: Router,
    key: String,
    posts: u32,
    _changed: watch::Sender<u64>,
}

/// Two assets at fixed prices.
#[derive(Debug)]
struct Prices(Arc<Catalog>);

#[async_trait::async_trait]
impl PricingInputs for Prices {
    async fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.0)
    }

    async fn inputs(&self, _: &QuoteRequest, now: Timestamp) -> Vec<AssetInput> {
        let rate = |usd: &str| {
            RateQuote::new(usd.parse().expect("a rate"), "fixed", now, now.plus_seconds(3_600))
        };
        let level = |priority: u64| FeeLevel {
            max_fee_per_gas: U256::from(2_000_000_000u64),
            priority_fee_per_gas: U256::from(priority),
        };
        let fees = FeeLevels {
            base_fee_per_gas: U256::from(1_000_000_000u64),
            slow: level(1),
            normal: level(100_000_000),
            fast: level(500_000_000),
        };
        assets()
            .into_iter()
            .zip(["0.05", "0.9998"])
            .map(|(asset, usd)| AssetInput {
                asset,
                is_halted: false,
                rate: Ok(rate(usd)),
                gas: Ok(GasEstimate {
                    gas_limit: 60_000,
                    for_payer: false,
                    fees,
                    l1_fee_wei: U256::ZERO,
                    native_symbol: "ETH".to_owned(),
                    native_rate: Ok(rate("2500")),
                }),
            })
            .collect()
    }
}

fn assets() -> Vec<Asset> {
    [("INSPI", 0x22, 18), ("USDT", 0x11, 6)]
        .into_iter()
        .map(|(symbol, byte, decimals)| {
            let contract = Address::repeat_byte(byte);
            let id = AssetId { chain_id: ChainId(31_337), contract };
            Asset { id, symbol: symbol.to_owned(), decimals }
        })
        .collect()
}

async fn house() -> House {
    let store = Arc::new(FakeStore::new());
    let now: Timestamp = "2026-03-01T12:00:00Z".parse().expect("a time");
    let key = generate_key();
    let record = ApiKeyRecord {
        label: "fuzz".to_owned(),
        scope: KeyScope::Application,
        hash: key.hash(),
        created_at: now,
        revoked_at: Timestamp::FAR,
    };
    store.create_key(record).await.expect("a key");
    let confirmation =
        ConfirmationPolicy::new(Vec::new(), ConfirmationRule::Depth(3)).expect("a policy");
    let sold = |asset| SaleAsset {
        asset,
        treasury: Address::repeat_byte(0x33),
        confirmation: confirmation.clone(),
        agreement: None,
    };
    let (changed, receiver) = watch::channel(0);
    let clock = Arc::new(ManualClock::new(now));
    let (writer, task) = LedgerWriter::new(
        Arc::clone(&store) as _,
        Arc::clone(&clock) as _,
        SettlementRules::default(),
        WriterLimits::default(),
    );
    tokio::spawn(task.run());
    let price = |feature: &str, credits: &str| FeaturePrice {
        feature: feature.parse().expect("a label"),
        quality: None,
        size: None,
        credits: credits.parse().expect("credits"),
    };
    let version = PriceVersion {
        valid_from: Timestamp::from_micros(0),
        prices: vec![price("chat", "1"), price("video", "16")],
    };
    let parts = ApiParts {
        credits: Arc::new(CreditSettings {
            prices: PriceBook::new(vec![version]).expect("a price book"),
            hold_seconds: 900,
            hold_seconds_max: 3_600,
            grant_days: 30,
            campaigns: BTreeMap::new(),
            plans: BTreeMap::new(),
            free_plan: None,
        }),
        writer,
        wallets: Arc::new(WalletSettings {
            domain: "pay.example".to_owned(),
            uri: "https://pay.example".to_owned(),
            challenge_seconds: 600,
            chains: BTreeMap::new(),
        }),
        store,
        clock,
        pricing: Arc::new(Prices(Arc::new(Catalog::embedded().expect("a catalog")))),
        sale: Arc::new(SaleSettings {
            assets: assets().into_iter().map(sold).collect(),
            unpaid_orders_max: 100,
        }),
        chains: Arc::new(Vec::new),
        changed: receiver,
        metrics: Arc::new(String::new),
        shutdown: CancellationToken::new(),
        tasks: TaskTracker::new(),
        timing: Timing {
            request_max: Duration::from_secs(10),
            poll_interval: Duration::from_secs(1),
            wake_interval_min: Duration::from_secs(1),
            heartbeat: Duration::from_secs(15),
        },
    };
    House { router: router(parts).expect("a router"), key: key.secret().to_owned(), posts: 0, _changed: changed }
}

async fn post(house: &mut House, path: &str, body: &[u8]) {
    house.posts += 1;
    let request = Request::post(path)
        .header("authorization", format!("Bearer {}", house.key))
        .header("content-type", "application/json")
        .header("idempotency-key", format!("fuzz-{}", house.posts))
        .body(Body::from(body.to_vec()))
        .expect("a request");
    let answer = house.router.clone().oneshot(request).await.expect("an answer");
    let status = answer.status();
    let body = to_bytes(answer.into_body(), 1 << 20).await.expect("a body");
    assert!(!status.is_server_error(), "{status}: {}", String::from_utf8_lossy(&body));
    if status.is_success() {
        return;
    }
    let problem: Value = serde_json::from_slice(&body).expect("a problem");
    assert!(problem["code"].is_string(), "{problem}");
}

fuzz_target!(|input: &[u8]| {
    let Some((choice, body)) = input.split_first() else { return };
    let path = PATHS[usize::from(*choice) % PATHS.len()];
    HOUSE.with_borrow_mut(|kept| {
        RUNTIME.block_on(async {
            let mut house = match kept.take() {
                Some(house) if house.posts < POSTS_A_STORE => house,
                _ => house().await,
            };
            post(&mut house, path, body).await;
            *kept = Some(house);
        });
    });
});
