//! Databases to try things on.

use std::{path::PathBuf, sync::Arc};

use inspay_ports::{
    ApiKeyRecord, KeyScope, PaymentClaim, Store, StoredResponse, WalletChallenge, WalletLinking,
    WalletProof,
    contract::{
        samples::{
            CHAIN, Follower, account, applied, block, block_time, digest, free_plan, inspi,
            ordered, paid, terms, treasury, usdt, withdrawn,
        },
        teller::{reverse, settle_alone, settle_for, write_fresh},
        till::{spend_some, spender, subscription},
    },
};
use inspay_primitives::{BlockRef, CaseKind, CaseOpening, OrderTerms, Timestamp, Transfer, U256};
use inspay_quoting::{RateSample, SourceKind};
use inspay_store_sqlite::{SqliteOptions, SqliteStore};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _, SqliteConnection,
    sqlite::SqliteConnectOptions,
};
use tempfile::TempDir;

/// A store with the file behind it.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) sqlite: SqliteStore,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) directory: TempDir,
}

impl World {
    /// An empty, migrated database.
    pub(crate) async fn fresh() -> Self {
        Self::with(&SqliteOptions::default()).await
    }

    /// An empty, migrated database, used in a certain way.
    pub(crate) async fn with(options: &SqliteOptions) -> Self {
        let world = Self::unmigrated(options).await;
        world.sqlite.migrate().await.expect("migrates");
        world
    }

    /// A file with nothing in it, used in a certain way.
    pub(crate) async fn unmigrated(options: &SqliteOptions) -> Self {
        let directory = TempDir::new().expect("a directory");
        let path = directory.path().join("inspay.db");
        let sqlite = SqliteStore::open(&path, options).await.expect("opens");
        let store: Arc<dyn Store> = Arc::new(sqlite.clone());
        Self { sqlite, store, directory }
    }

    /// A database with rows in every table: paid, reorged, reversed and settled again, suspended, ignored,
    /// withdrawn.
    pub(crate) async fn lived_in() -> Self {
        let world = Self::fresh().await;
        let store = &world.store;
        let (first, second) = (ordered(store, 1).await, ordered(store, 2).await);
        ordered(store, 3).await;
        let at = block("a", 1);
        let stays = paying(&first, 1, at, 0);
        let moves = paying(&second, 2, block("a", 2), 0);
        let stray = paid(3, inspi(), U256::MAX, at, 1);
        let nothing = paid(4, usdt(), U256::ZERO, at, 2);
        let out = withdrawn(5, inspi(), U256::from(7), at, 3);
        let mut follower = Follower::new(store);
        follower
            .extend(vec![
                applied(at, vec![stays, stray, nothing, out]),
                applied(block("a", 2), vec![moves]),
            ])
            .await;
        let operations = vec![
            settle_for(&stays, 0, &first),
            settle_for(&moves, 0, &second),
            settle_alone(&stray, 0),
            settle_alone(&nothing, 0),
            settle_alone(&out, 0),
        ];
        write_fresh(store, operations, block_time(9)).await;
        follower.swap(&[block("a", 2)], vec![applied(block("b", 2), vec![])]).await;
        write_fresh(store, vec![reverse(&moves, 0)], block_time(10)).await;
        let again = Transfer { block: block("b", 3), ..moves };
        follower.extend(vec![applied(block("b", 3), vec![again])]).await;
        write_fresh(store, vec![settle_for(&again, 1, &second)], block_time(11)).await;
        world.fill_the_rest().await;
        assert_eq!(store.broken_laws().await.expect("checks"), []);
        world
    }

    async fn fill_the_rest(&self) {
        let sample = RateSample {
            source: "feed".to_owned(),
            kind: SourceKind::Feed,
            rate: "0.0317".parse().expect("a rate"),
            observed_at: block_time(1),
            valid_until: None,
        };
        self.store.save_rates(vec![(inspi(), sample)]).await.expect("keeps");
        let key = ApiKeyRecord {
            label: "ops".to_owned(),
            hash: digest("key", 1),
            scope: KeyScope::Operator,
            created_at: block_time(0),
            revoked_at: Timestamp::FAR,
        };
        self.store.create_key(key).await.expect("keeps");
        spend_some(&self.store, block_time(12)).await;
        let subscribed = subscription(1, &spender(1), "pro", block_time(12));
        self.store.open_subscription(subscribed).await.expect("keeps");
        let opening = CaseOpening {
            kind: CaseKind::NegativeAccount,
            subject: "someone".to_owned(),
            opened_at: block_time(1),
            body_json: "{}".to_owned(),
        };
        self.store.open_case(opening).await.expect("opens");
        prove_and_claim(&self.store).await;
        let (now, fingerprint) = (block_time(1), digest("request", 1));
        self.store.claim_idempotency("app", "k", fingerprint, now, now).await.expect("claims");
        let response = StoredResponse {
            status: 201,
            content_type: "application/json".to_owned(),
            body: "{}".to_owned(),
        };
        self.store.answer_idempotency("app", "k", response).await.expect("answers");
    }

    /// Where the file is.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("inspay.db")
    }

    /// A connection past the store, as a tool would open it: foreign keys and recursive triggers are off.
    pub(crate) async fn raw(&self) -> SqliteConnection {
        let settings = SqliteConnectOptions::new()
            .filename(self.path())
            .foreign_keys(false)
            .pragma("recursive_triggers", "OFF");
        settings.connect().await.expect("connects")
    }

    /// Runs statements past the store, without any trigger and any check.
    pub(crate) async fn tamper(&self, sql: &str) {
        let mut raw = self.raw().await;
        let triggers =
            texts(&mut raw, "SELECT name FROM sqlite_master WHERE type = 'trigger'").await;
        let mut all = "PRAGMA ignore_check_constraints = ON;".to_owned();
        for trigger in triggers {
            all.push_str(&format!("DROP TRIGGER {trigger};"));
        }
        all.push_str(sql);
        sqlx::raw_sql(AssertSqlSafe(all)).execute(&mut raw).await.expect("tampers");
        raw.close().await.expect("closes");
    }
}

/// The first column of what a query finds, as text.
pub(crate) async fn texts(raw: &mut SqliteConnection, sql: &str) -> Vec<String> {
    let rows = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_all(raw).await.expect(sql);
    rows.iter().map(|row| row.get(0)).collect()
}

/// The transfer that pays an order exactly.
pub(crate) fn paying(order: &OrderTerms, tx: u64, at: BlockRef, log_index: u32) -> Transfer {
    assert_eq!((order.treasury, order.asset.chain_id), (treasury(), CHAIN));
    paid(tx, order.asset, order.due_base_units, at, log_index)
}

/// A wallet that is proven, and a chain transaction that is claimed.
async fn prove_and_claim(store: &Arc<dyn Store>) {
    let (nonce, at) = ("nonce00000001".to_owned(), block_time(1));
    let challenge = WalletChallenge {
        nonce: nonce.clone(),
        account: account(1),
        chain_id: CHAIN,
        wallet: treasury(),
        issued_at: at,
        expires_at: block_time(2),
    };
    store.open_challenge(challenge).await.expect("keeps");
    let free_plan = Some(free_plan(5));
    let linking = WalletLinking { nonce, proof: WalletProof::Key, free_plan, at };
    store.link_wallet(linking).await.expect("links");
    let (order, tx_hash) = (terms(1).id, digest("tx", 1));
    let claim = PaymentClaim { order, chain_id: CHAIN, tx_hash, claimed_at: at };
    store.claim_payment(claim).await.expect("keeps");
}
