//! A router over the in-memory store, with prices, keys and a chain that tests move by hand.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use inspay_api::{
    ApiParts, ChainStatus, CreditSettings, FreePlan, Plan, PricingInputs, SaleAgreement, SaleAsset,
    SaleSettings, Timing, WalletSettings, generate_key, router,
};
use inspay_ledger::{
    Act, Decision, Evidence, FeaturePrice, Operation, Outcome, PriceBook, PriceVersion,
    SettlementRules, SuspenseReason, apply, touches,
};
use inspay_ledger_writer::{LedgerWriter, WriterLimits};
use inspay_ports::{
    ApiKeyRecord, AppliedBlock, BlocksCommit, BooksStore, ChainTags, CursorRecord, FollowStore,
    KeyScope, Proof, SaleStore,
    fake::{FakeChain, FakeStore},
};
use inspay_primitives::{
    Address, Asset, AssetId, B256, BlockRef, ChainId, Clock, ConfirmationPolicy, ConfirmationRule,
    Direction, FencingNumber, Label, ManualClock, OrderId, Reference, Timestamp, Transfer,
    TransferId, TransferKey, U256,
};
use inspay_quoting::{
    AssetInput, Catalog, FeeLevel, FeeLevels, GasEstimate, QuoteRequest, RateQuote, RateRefusal,
};
use serde_json::Value;
use tokio::sync::{Notify, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

pub(crate) const CHAIN: ChainId = ChainId(31_337);
pub(crate) const USDT: AssetId = AssetId { chain_id: CHAIN, contract: Address::repeat_byte(0x11) };
pub(crate) const INSPI: AssetId = AssetId { chain_id: CHAIN, contract: Address::repeat_byte(0x22) };
pub(crate) const TREASURY: Address = Address::repeat_byte(0x33);
pub(crate) const BUYER: Address = Address::repeat_byte(0x44);

/// Prices that tests set; it can be told to wait, to panic or to refuse.
#[derive(Debug)]
pub(crate) struct Prices {
    catalog: Arc<Catalog>,
    inputs: Mutex<Vec<AssetInput>>,
    pub(crate) asked: AtomicU64,
    pub(crate) entered: Notify,
    pub(crate) go_on: Notify,
    mode: Mutex<Mode>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Answer,
    Wait,
    Panic,
}

impl Prices {
    pub(crate) fn set_mode(&self, mode: Mode) {
        *self.mode.lock().expect("not poisoned") = mode;
    }

    pub(crate) fn refuse(&self, asset: AssetId, refusal: &RateRefusal) {
        for input in self.inputs.lock().expect("not poisoned").iter_mut() {
            if input.asset.id == asset {
                input.rate = Err(refusal.clone());
            }
        }
    }

    pub(crate) fn add(&self, input: AssetInput) {
        self.inputs.lock().expect("not poisoned").push(input);
    }
}

#[async_trait::async_trait]
impl PricingInputs for Prices {
    async fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog)
    }

    async fn inputs(&self, _: &QuoteRequest, _: Timestamp) -> Vec<AssetInput> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mode = *self.mode.lock().expect("not poisoned");
        match mode {
            Mode::Answer => {}
            Mode::Wait => {
                self.entered.notify_one();
                self.go_on.notified().await;
            }
            Mode::Panic => panic!("prices were told to panic"),
        }
        self.inputs.lock().expect("not poisoned").clone()
    }
}

pub(crate) fn asset(id: AssetId, symbol: &str, decimals: u8) -> Asset {
    Asset { id, symbol: symbol.to_owned(), decimals }
}

pub(crate) fn start() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().expect("a time")
}

pub(crate) fn input(asset: Asset, usd: &str) -> AssetInput {
    let until = start().plus_seconds(3_600);
    let rate = |usd: &str| RateQuote::new(usd.parse().expect("a rate"), "fixed", start(), until);
    let level = |priority: u64| FeeLevel {
        max_fee_per_gas: U256::from(2_000_000_000u64),
        priority_fee_per_gas: U256::from(priority),
    };
    AssetInput {
        asset,
        is_halted: false,
        rate: Ok(rate(usd)),
        gas: Ok(GasEstimate {
            gas_limit: 60_000,
            for_payer: false,
            fees: FeeLevels {
                base_fee_per_gas: U256::from(1_000_000_000u64),
                slow: level(1),
                normal: level(100_000_000),
                fast: level(500_000_000),
            },
            l1_fee_wei: U256::ZERO,
            native_symbol: "ETH".to_owned(),
            native_rate: Ok(rate("2500")),
        }),
    }
}

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The body of a good answer.
    #[track_caller]
    pub(crate) fn good(self) -> Value {
        assert!(self.status.is_success(), "{}: {}", self.status, self.text);
        self.json()
    }

    /// Status and code of a problem, after checking that it is a whole one.
    #[track_caller]
    pub(crate) fn problem(&self) -> (u16, String) {
        let json = self.json();
        let content_type = self.headers.get(header::CONTENT_TYPE).expect("a content type");
        assert_eq!(content_type, "application/problem+json", "{}", self.text);
        let code = json["code"].as_str().expect("a code");
        assert_eq!(json["status"], self.status.as_u16());
        assert_eq!(json["type"], format!("/docs#problem-{code}"));
        for field in ["title", "detail"] {
            assert!(!json[field].as_str().expect("a text").is_empty(), "{field}: {}", self.text);
        }
        (self.status.as_u16(), code.to_owned())
    }
}

/// Keys of every scope.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) application: String,
    pub(crate) finance: String,
    pub(crate) operator: String,
    pub(crate) alice: String,
    pub(crate) bob: String,
}

/// Everything, set up.
pub(crate) struct House {
    pub(crate) store: Arc<FakeStore>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) prices: Arc<Prices>,
    /// What contract wallets are asked through.
    pub(crate) node: Arc<FakeChain>,
    pub(crate) changed: watch::Sender<u64>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) chains: Arc<Mutex<Vec<ChainStatus>>>,
    pub(crate) keys: Keys,
    pub(crate) router: Router,
    next_key: AtomicU64,
}

pub(crate) fn quick() -> Timing {
    Timing {
        request_max: Duration::from_secs(10),
        poll_interval: Duration::from_millis(10),
        wake_interval_min: Duration::from_millis(1),
        heartbeat: Duration::from_secs(15),
    }
}

fn sale() -> SaleSettings {
    let policy = |small: u64| {
        let steps = vec![(U256::from(small), ConfirmationRule::Depth(3))];
        ConfirmationPolicy::new(steps, ConfirmationRule::Finalized(12)).expect("a policy")
    };
    let agreement =
        SaleAgreement { above_base_units: U256::from(1_000_000_000_u64), endpoints_min: 2 };
    let listed = |asset: Asset, small| SaleAsset {
        agreement: (asset.id == USDT).then_some(agreement),
        asset,
        treasury: TREASURY,
        confirmation: policy(small),
    };
    SaleSettings {
        assets: vec![
            listed(asset(INSPI, "INSPI", 18), u64::MAX),
            listed(asset(USDT, "USDT", 6), 100_000_000),
        ],
        unpaid_orders_max: 25,
    }
}

fn plan(name: &str, every: &str, keeps_cycles: u16) -> (Label, Plan) {
    let credits = "100".parse().expect("credits");
    let every = every.parse().expect("a cycle");
    (name.parse().expect("a label"), Plan { credits, every, keeps_cycles, priority: 40 })
}

/// A price book of three features, holds of a quarter of an hour, and one promotion.
fn credits() -> CreditSettings {
    let price = |feature: &str, size: Option<&str>, credits: &str| FeaturePrice {
        feature: feature.parse().expect("a label"),
        quality: None,
        size: size.map(|size| size.parse().expect("a label")),
        credits: credits.parse().expect("credits"),
    };
    let prices = vec![
        price("chat", None, "1"),
        price("image", Some("512x512"), "0.48"),
        price("video", None, "16"),
    ];
    let version = PriceVersion { valid_from: Timestamp::from_micros(0), prices };
    let spring = ("spring".parse().expect("a label"), "50".parse().expect("credits"));
    CreditSettings {
        prices: PriceBook::new(vec![version]).expect("a price book"),
        hold_seconds: 900,
        hold_seconds_max: 3_600,
        grant_days: 30,
        campaigns: [spring].into(),
        plans: [plan("pro", "P1M", 0), plan("team", "P10D", 1)].into(),
        free_plan: Some(FreePlan { credits: "7".parse().expect("credits"), days: 30 }),
    }
}

impl House {
    pub(crate) async fn new() -> Self {
        Self::with(quick(), sale()).await
    }

    pub(crate) async fn with_timing(timing: Timing) -> Self {
        Self::with(timing, sale()).await
    }

    pub(crate) async fn without_assets_for_sale(store: Arc<FakeStore>) -> Self {
        Self::over(store, quick(), SaleSettings { assets: Vec::new(), ..sale() }).await
    }

    async fn with(timing: Timing, sale: SaleSettings) -> Self {
        Self::over(Arc::new(FakeStore::new()), timing, sale).await
    }

    async fn over(store: Arc<FakeStore>, timing: Timing, sale: SaleSettings) -> Self {
        let clock = Arc::new(ManualClock::new(start()));
        let prices = Arc::new(Prices {
            catalog: Arc::new(Catalog::embedded().expect("the embedded catalog")),
            inputs: Mutex::new(vec![
                input(asset(INSPI, "INSPI", 18), "0.05"),
                input(asset(USDT, "USDT", 6), "0.9998"),
            ]),
            asked: AtomicU64::new(0),
            entered: Notify::new(),
            go_on: Notify::new(),
            mode: Mutex::new(Mode::Answer),
        });
        let node = Arc::new(FakeChain::new(CHAIN));
        let (changed, receiver) = watch::channel(0);
        let shutdown = CancellationToken::new();
        let chains = Arc::new(Mutex::new(Vec::new()));
        let statuses = Arc::clone(&chains);
        let (writer, task) = LedgerWriter::new(
            Arc::clone(&store) as _,
            Arc::clone(&clock) as _,
            SettlementRules::default(),
            WriterLimits::default(),
        );
        tokio::spawn(task.run());
        let parts = ApiParts {
            credits: Arc::new(credits()),
            writer,
            wallets: Arc::new(WalletSettings {
                domain: "pay.example".to_owned(),
                uri: "https://pay.example".to_owned(),
                challenge_seconds: 600,
                chains: BTreeMap::from([(CHAIN, Arc::clone(&node) as _)]),
            }),
            store: Arc::clone(&store) as _,
            clock: Arc::clone(&clock) as _,
            pricing: Arc::clone(&prices) as _,
            sale: Arc::new(sale),
            chains: Arc::new(move || statuses.lock().expect("not poisoned").clone()),
            changed: receiver,
            metrics: Arc::new(|| "inspay_up 1\n".to_owned()),
            shutdown: shutdown.clone(),
            tasks: TaskTracker::new(),
            timing,
        };
        let keys = make_keys(&store).await;
        let router = router(parts).expect("a router");
        let next_key = AtomicU64::new(0);
        Self { store, clock, prices, node, changed, shutdown, chains, keys, router, next_key }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        send(self.router.clone(), request).await
    }

    pub(crate) async fn get(&self, key: &str, path: &str) -> Answer {
        self.send(get_request(key, path)).await
    }

    /// A POST under a new idempotency key.
    pub(crate) async fn post(&self, key: &str, path: &str, body: &Value) -> Answer {
        let number = self.next_key.fetch_add(1, Ordering::SeqCst);
        self.post_as(key, path, &format!("test-{number}"), body).await
    }

    /// A PUT or DELETE, without an idempotency key.
    pub(crate) async fn call(&self, method: Method, key: &str, path: &str, body: &Value) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {key}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string()))
            .expect("a request");
        self.send(request).await
    }

    pub(crate) async fn post_as(&self, key: &str, path: &str, once: &str, body: &Value) -> Answer {
        self.send(post_request(key, path, once, &body.to_string())).await
    }

    /// A quote for that wish.
    pub(crate) async fn quote(&self, wish: Value) -> Value {
        self.post(&self.keys.application, "/v1/quotes", &wish).await.good()
    }

    /// An order of the starter pack in that asset.
    pub(crate) async fn order(&self, account: &str, asset: &str) -> Value {
        let quote = self.quote(serde_json::json!({ "pack": "starter" })).await;
        let body = serde_json::json!({ "quote": quote["id"], "asset": asset, "account": account });
        self.post(&self.keys.application, "/v1/orders", &body).await.good()
    }

    /// Puts transfers into a new block on top of the chain.
    pub(crate) async fn mine(&self, transfers: Vec<Transfer>) -> BlockRef {
        let cursor = self.store.cursor(CHAIN).await.expect("reads");
        let number = cursor.map_or(100, |cursor| cursor.tip.number + 1);
        let time = self.clock.now();
        let block = BlockRef { number, hash: block_hash(number), time };
        let transfers = transfers.into_iter().map(|transfer| Transfer { block, ..transfer });
        let added = vec![AppliedBlock {
            block,
            proof: Proof::ReceiptsRoot,
            transfers: transfers.collect(),
        }];
        let commit = BlocksCommit {
            fencing: FencingNumber::UNLEASED,
            expected_revision: cursor.map(|cursor| cursor.revision),
            orphaned: Vec::new(),
            added,
            cursor: CursorRecord {
                chain_id: CHAIN,
                start_number: 100,
                tip: block,
                tags: ChainTags::default(),
                audited_to: number,
                epoch: 0,
                revision: cursor.map_or(1, |cursor| cursor.revision + 1),
            },
            window_from: 0,
        };
        self.store.commit_blocks(commit).await.expect("a block");
        block
    }

    /// Settles a transfer as decided.
    pub(crate) async fn settle(&self, transfer: TransferId, decision: Decision) {
        let value = Some("9.99".parse().expect("dollars"));
        let act = Act::Settle {
            transfer,
            generation: 0,
            judged_in: None,
            reference: None,
            decision,
            value,
        };
        let operations = vec![Operation::from(act)];
        let touches = touches(&operations, self.clock.now());
        let (now, outcomes) = (self.clock.now(), Arc::new(Mutex::new(Vec::new())));
        let told = Arc::clone(&outcomes);
        let decide = move |state: &mut inspay_ledger::LedgerState| {
            let (outcomes, rows) = apply(state, &operations, &SettlementRules::default(), now);
            *told.lock().expect("not poisoned") = outcomes;
            rows
        };
        self.store.transact(touches, Arc::new(decide)).await.expect("a batch");
        let outcomes = outcomes.lock().expect("not poisoned");
        assert!(matches!(outcomes.as_slice(), [Outcome::Applied { .. }]), "{outcomes:?}");
    }

    /// Attributes a transfer to an order by its exact amount.
    pub(crate) async fn attribute(&self, transfer: &Transfer, order: &Value) {
        let order: OrderId = read(&order["id"]);
        let evidence = Evidence::ExactAmount;
        let decision = Decision::Attribute { order, evidence, late: None };
        self.settle(transfer.key.id(), decision).await;
    }

    /// Puts a transfer into suspense.
    pub(crate) async fn suspend(&self, transfer: &Transfer) {
        let reason = SuspenseReason::NoEvidence;
        let decision = Decision::Suspend { reason, candidates: Vec::new() };
        self.settle(transfer.key.id(), decision).await;
    }

    /// Says that something was committed in this process.
    pub(crate) fn wake(&self) {
        self.changed.send_modify(|change| *change += 1);
    }
}

async fn make_keys(store: &FakeStore) -> Keys {
    let account = |name: &str| KeyScope::Account(name.parse().expect("an account"));
    Keys {
        application: make_key(store, "application", KeyScope::Application).await,
        finance: make_key(store, "finance", KeyScope::Finance).await,
        operator: make_key(store, "operator", KeyScope::Operator).await,
        alice: make_key(store, "alice", account("alice")).await,
        bob: make_key(store, "bob", account("bob")).await,
    }
}

async fn make_key(store: &FakeStore, label: &str, scope: KeyScope) -> String {
    let key = generate_key();
    let label = format!("{label}-{}", key.hash());
    let record = ApiKeyRecord {
        label,
        hash: key.hash(),
        scope,
        created_at: start(),
        revoked_at: Timestamp::FAR,
    };
    store.create_key(record).await.expect("a key");
    key.secret().to_owned()
}

pub(crate) async fn send(router: Router, request: Request<Body>) -> Answer {
    let response = router.oneshot(request).await.expect("infallible");
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, 1 << 22).await.expect("a body");
    let text = String::from_utf8(bytes.to_vec()).expect("text");
    Answer { status: parts.status, headers: parts.headers, text }
}

pub(crate) fn get_request(key: &str, path: &str) -> Request<Body> {
    let mut request = Request::builder().method(Method::GET).uri(path);
    if !key.is_empty() {
        request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
    }
    request.body(Body::empty()).expect("a request")
}

pub(crate) fn post_request(key: &str, path: &str, once: &str, body: &str) -> Request<Body> {
    Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(header::AUTHORIZATION, format!("Bearer {key}"))
        .header(header::CONTENT_TYPE, "application/json")
        .header("Idempotency-Key", once)
        .body(Body::from(body.to_owned()))
        .expect("a request")
}

pub(crate) fn read<T: std::str::FromStr<Err: std::fmt::Debug>>(value: &Value) -> T {
    value.as_str().expect("a text").parse().expect("reads")
}

fn block_hash(number: u64) -> B256 {
    B256::left_padding_from(&number.to_be_bytes())
}

/// A transfer to the treasury; its block is set when it is mined.
pub(crate) fn payment(asset: AssetId, base_units: U256, tx: u8) -> Transfer {
    Transfer {
        key: TransferKey {
            chain_id: CHAIN,
            tx_hash: B256::repeat_byte(tx),
            token: asset.contract,
            treasury: TREASURY,
            direction: Direction::In,
            ordinal: 0,
        },
        counterparty: BUYER,
        base_units,
        block: BlockRef { number: 0, hash: B256::ZERO, time: start() },
        log_index: u32::from(tx),
        reference: Some(None),
    }
}

pub(crate) fn with_reference(transfer: Transfer, reference: Reference) -> Transfer {
    Transfer { reference: Some(Some(reference)), ..transfer }
}
