//! How the statements that run in loops are planned: none reads a whole table, whatever it grows to.
//!
//! Every such statement is noted when it is made, so none can be forgotten here; the planner has no statistics, so
//! plans do not change with the tables.

use std::{collections::BTreeSet, sync::Mutex};

static RUN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Notes a statement.
pub(crate) fn record(sql: &str) {
    RUN.lock().expect("not poisoned").insert(sql.to_owned());
}

mod tests {
    use std::{path::Path, sync::Arc};

    use inspay_ledger::{Act, Operation};
    use inspay_ports::{
        ApiKeyRecord, AssetHalt, AttributionProbe, CaseFilter, HaltsCommit, HistoryFilter,
        KeyScope, OrderFilter, Page, PaymentClaim, Store, StoredResponse, TransferFilter,
        UsageFilter, WalletChallenge, WalletLinking, WalletProof,
        contract::{
            samples::{
                CHAIN, Follower, account, applied, block, block_time, digest, free_plan, new_order,
                paid, quote, reference, terms, treasury, usdt,
            },
            teller::{close, reverse, settle_alone, settle_for, write},
            till::{SpendingLife, hold_id, label, spend_some, spender},
        },
    };
    use inspay_primitives::{
        CaseClosing, CaseKind, CaseOpening, Day, Fence, FencingNumber, LotId, Span, Timestamp,
        Transfer, U256, UsageId,
    };
    use inspay_quoting::{RateSample, SourceKind};
    use sqlx::{AssertSqlSafe, ConnectOptions as _, Row as _, SqliteConnection};

    use super::RUN;
    use crate::{
        SqliteOptions, SqliteStore,
        store::{for_writing, settings_of},
    };

    /// Rows that a statement brings along itself.
    const BROUGHT: [&str; 23] = [
        "found",
        "gone VIRTUAL TABLE",
        "probe VIRTUAL TABLE",
        "wanted VIRTUAL TABLE",
        "CONSTANT ROW",
        "closing",
        "mark",
        "moved",
        "back",
        "basis",
        "ended",
        "gone",
        "newest",
        "now",
        "page",
        "progress",
        "seen",
        "sums",
        "taken",
        "told",
        "touched",
        "(subquery-",
        "oldest",
    ];

    /// Indexes over what waits, or over one chain's window: a search by the chain alone finds little.
    const SHORT: [&str; 7] = [
        "rejudgement",
        "asset_halt",
        "block",
        "orders_paid_slots",
        "orders_closed_slots",
        "transfer_to_reverse",
        "transfer_to_settle",
    ];

    /// Tables of what waits and nothing else.
    const WAITING: [&str; 1] = ["free_plan_due"];

    fn is_sparing(step: &str) -> bool {
        let is_brought = |rows: &str| {
            // A statement's own rows are named, or counted.
            rows.starts_with(|first: char| first.is_ascii_digit())
                || BROUGHT.iter().any(|brought| rows.starts_with(brought))
        };
        let is_scan = step
            .strip_prefix("SCAN ")
            .is_some_and(|rows| !is_brought(rows) && !WAITING.contains(&rows));
        let by_chain_alone =
            step.ends_with("(chain_id=?)") && !SHORT.iter().any(|index| step.contains(index));
        !is_scan && !by_chain_alone && !step.contains("AUTOMATIC")
    }

    async fn wasteful(raw: &mut SqliteConnection, sql: &str) -> Vec<String> {
        let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
        let rows = sqlx::query(explain).fetch_all(raw).await.expect("is planned");
        let steps = rows.iter().map(|row| row.get::<String, _>("detail"));
        steps.filter(|step| !is_sparing(step)).map(|step| format!("{step}: {sql:.400}")).collect()
    }

    /// Connections set as the store sets its own: one that reads, one that writes.
    async fn raw(path: &Path) -> [SqliteConnection; 2] {
        let settings = settings_of(path, &SqliteOptions::default());
        let reader = settings.connect().await.expect("opens");
        [reader, for_writing(settings).connect().await.expect("opens")]
    }

    /// Nine payments of nine orders in one block, the last of which leaves the chain and comes back elsewhere.
    async fn follow(store: &Arc<dyn Store>) -> Vec<Transfer> {
        let mut follower = Follower::new(store);
        let at = block("a", 1);
        let payments: Vec<Transfer> = (1..=9)
            .map(|number| {
                let log_index = u32::try_from(number).expect("small");
                paid(number, usdt(), terms(number).due_base_units, at, log_index)
            })
            .collect();
        follower.extend(vec![applied(at, payments.clone())]).await;
        for (number, wanted) in (1..).zip(&payments) {
            store.save_quote(quote(number)).await.expect("keeps");
            store.create_order(new_order(terms(number))).await.expect("makes");
            store.order(terms(number).id).await.expect("reads");
            store.transfer(wanted.key.id()).await.expect("reads");
        }
        let back: Vec<Transfer> =
            payments.iter().map(|paid| Transfer { block: block("b", 1), ..*paid }).collect();
        follower.swap(&[at], vec![applied(block("b", 1), back.clone())]).await;
        let moved: Vec<Transfer> =
            back.iter().map(|paid| Transfer { block: block("c", 2), ..*paid }).collect();
        follower.range(block("c", 2), moved.clone()).await;
        store.cursor(CHAIN).await.expect("reads");
        store.window(CHAIN).await.expect("reads");
        store.canonical_hashes(CHAIN, vec![1, 2]).await.expect("reads");
        moved
    }

    async fn book(store: &Arc<dyn Store>, payments: &[Transfer]) {
        let pairs = || (1..).zip(payments);
        let settle = pairs().map(|(number, paid)| settle_for(paid, 0, &terms(number))).collect();
        write(store, settle, block_time(9)).await;
        let mut follower = Follower::new(store);
        follower.cursor = store.cursor(CHAIN).await.expect("reads");
        follower.swap(&[block("c", 2)], vec![applied(block("d", 2), vec![])]).await;
        let mut others: Vec<Operation> = payments.iter().map(|paid| reverse(paid, 0)).collect();
        others.push(close(&terms(1), Timestamp::FAR));
        let lot = LotId { entry_seq: 1, index: 0 };
        others.push(Operation::from(Act::ExpireLot { lot }));
        write(store, others, block_time(10)).await;
        let again: Vec<Transfer> =
            payments.iter().map(|paid| Transfer { block: block("e", 3), ..*paid }).collect();
        follower.extend(vec![applied(block("e", 3), again.clone())]).await;
        write(store, again.iter().map(|paid| settle_alone(paid, 1)).collect(), block_time(11))
            .await;
    }

    async fn ask(store: &Arc<dyn Store>) {
        store.transfers_to_settle(CHAIN, None, 9, 9).await.expect("finds");
        store.transfers_to_reverse(CHAIN, 9).await.expect("finds");
        let probe = AttributionProbe {
            asset: usdt(),
            treasury: treasury(),
            base_units: U256::from(1),
            reference: Some(reference(1)),
            payer: treasury(),
            tx_hash: digest("tx", 1),
            block_time: block_time(1),
        };
        store.orders_for(vec![probe]).await.expect("finds");
        store.has_orders_before(CHAIN, block_time(1)).await.expect("looks");
        store.orders_to_close(CHAIN, Timestamp::FAR, 9).await.expect("finds");
        store.oldest_unsettled_time(CHAIN).await.expect("finds");
        store.free_slots(CHAIN, 9, Timestamp::FAR, 9).await.expect("frees");
        store.lots_to_expire(Timestamp::FAR, 9).await.expect("finds");
        let rate = RateSample {
            source: "feed".to_owned(),
            kind: SourceKind::Feed,
            rate: "1".parse().expect("a rate"),
            observed_at: block_time(1),
            valid_until: None,
        };
        store.save_rates(vec![(usdt(), rate)]).await.expect("keeps");
        store.rates_at(vec![(usdt(), Timestamp::FAR)]).await.expect("finds");
    }

    fn history_filters() -> [HistoryFilter; 2] {
        let lot = Some(LotId { entry_seq: 1, index: 0 });
        [HistoryFilter::default(), HistoryFilter { lot, ..HistoryFilter::default() }]
    }

    async fn read(store: &Arc<dyn Store>) {
        let page = Page { after: None, limit: 9 };
        let filters = [
            TransferFilter::default(),
            TransferFilter { tx_hash: Some(digest("tx", 1)), ..TransferFilter::default() },
            TransferFilter { order: Some(terms(1).id), ..TransferFilter::default() },
            TransferFilter { account: Some(account(1)), ..TransferFilter::default() },
            TransferFilter { suspense_only: true, ..TransferFilter::default() },
            TransferFilter { payer: Some((CHAIN, treasury())), ..TransferFilter::default() },
        ];
        for filter in filters {
            store.transfers(filter, page).await.expect("lists");
        }
        for account in [None, Some(account(1))] {
            store.orders(OrderFilter { account: account.clone() }, page).await.expect("lists");
            store.events(account.as_ref(), 0, 9).await.expect("lists");
            store.accounts(account, 9).await.expect("lists");
        }
        store.held_slots(usdt(), treasury()).await.expect("counts");
        store.lots(&account(1)).await.expect("lists");
        store.account(&account(1)).await.expect("reads");
        for filter in history_filters() {
            store.history(&account(1), filter, page).await.expect("lists");
        }
        store.entries(0, 9).await.expect("lists");
        store.quote(quote(1).id).await.expect("reads");
    }

    async fn serve(store: &Arc<dyn Store>) {
        let key = ApiKeyRecord {
            label: "ops".to_owned(),
            hash: digest("key", 1),
            scope: KeyScope::Operator,
            created_at: block_time(0),
            revoked_at: Timestamp::FAR,
        };
        store.create_key(key.clone()).await.expect("keeps");
        store.key(key.hash).await.expect("reads");
        store.revoke_key(&key.label, block_time(1)).await.expect("revokes");
        let mut asked = new_order(terms(20));
        asked.request_key = Some("key".to_owned());
        store.save_quote(quote(20)).await.expect("keeps");
        store.create_order(asked).await.expect("makes");
        let (now, hash) = (block_time(1), digest("request", 1));
        for _ in 0..2 {
            store.claim_idempotency("s", "k", hash, now, now).await.expect("claims");
        }
        let response = StoredResponse {
            status: 200,
            content_type: "text/plain".to_owned(),
            body: String::new(),
        };
        store.answer_idempotency("s", "k", response).await.expect("answers");
        store.abandon_idempotency("s", "k").await.expect("abandons");
    }

    async fn show(store: &Arc<dyn Store>) {
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
        store.challenge(&nonce).await.expect("reads");
        let free_plan = Some(free_plan(5));
        let linking = WalletLinking { nonce, proof: WalletProof::Key, free_plan, at };
        store.link_wallet(linking).await.expect("links");
        store.wallets(&account(1)).await.expect("lists");
        store.wallet_owner(CHAIN, treasury()).await.expect("looks");
        store.unlink_wallet(&account(1), CHAIN, treasury(), at).await.expect("acts");
        let (order, tx_hash) = (terms(1).id, digest("tx", 1));
        let claim = PaymentClaim { order, chain_id: CHAIN, tx_hash, claimed_at: at };
        store.claim_payment(claim).await.expect("keeps");
        store.payment_claims(order).await.expect("lists");
        let due = store.transfers_to_rejudge(CHAIN, 9).await.expect("finds");
        let due = due.iter().map(|record| record.transfer.key.id()).collect();
        store.rejudged(due).await.expect("notes");
        store.free_plans_due(9).await.expect("finds");
        store.note_free_plans(vec![treasury()]).await.expect("notes");
    }

    async fn look_at_cases(store: &Arc<dyn Store>) {
        let (kind, subject) = (CaseKind::NegativeAccount, "someone".to_owned());
        let body_json = "{}".to_owned();
        let at = block_time(1);
        let fence = Fence { chain_id: CHAIN, number: FencingNumber::UNLEASED };
        let why = "5 are missing".to_owned();
        let halt =
            AssetHalt { asset: usdt(), treasury: treasury(), halted_at: at, found_at: 1, why };
        let (resolved, opened) = (Vec::new(), Vec::new());
        let lifted = vec![(usdt(), treasury())];
        let commit = HaltsCommit { fence, halted: vec![halt], lifted, resolved, opened };
        store.commit_halts(commit).await.expect("halts");
        store.halts(CHAIN).await.expect("reads");
        store.halted_transfers(CHAIN, 9).await.expect("finds");
        let opening = CaseOpening { kind, subject: subject.clone(), opened_at: at, body_json };
        let id = store.open_case(opening).await.expect("opens");
        let resolution = "paid".to_owned();
        let closing = CaseClosing { kind, subject, resolved_at: at, resolution };
        store.resolve_case(closing).await.expect("resolves");
        store.case(id).await.expect("reads");
        let page = Page { after: None, limit: 9 };
        store.cases(CaseFilter::default(), page).await.expect("lists");
    }

    /// Every act of spending, in batches of one and of many.
    async fn spend(store: &Arc<dyn Store>) {
        spend_some(store, block_time(20)).await;
        let mut life = SpendingLife::new(3, block_time(30), 3);
        write(store, life.birth(), life.now()).await;
        for most in [1, 30].repeat(12) {
            let operations = life.batch(most);
            let written = write(store, operations, life.now()).await;
            life.learn(&written.rows);
        }
        let (account, page) = (spender(1), Page { after: None, limit: 9 });
        for open_only in [true, false] {
            store.holds(&account, open_only, page).await.expect("lists");
        }
        store.hold(hold_id(1)).await.expect("reads");
        let of_session = UsageFilter { session: Some(label("s1")), ..UsageFilter::default() };
        for filter in [UsageFilter::default(), of_session] {
            store.usages(&account, filter, page).await.expect("lists");
        }
        store.usage(UsageId { entry_seq: 1 }).await.expect("reads");
        let (first, last) = (Day::from_number(0), Day::from_number(99_999));
        store.usage_days(&account, first, last).await.expect("reads");
        store.usage_sessions(&account, Span::ALWAYS, 9).await.expect("reads");
        store.limits(&account, life.now()).await.expect("lists");
        store.profile(&account).await.expect("reads");
        store.lot(LotId { entry_seq: 1, index: 0 }).await.expect("reads");
        store.lot_changes(LotId { entry_seq: 1, index: 0 }, page).await.expect("reads");
        store.credits_due(life.now(), Timestamp::FAR, 9).await.expect("finds");
    }

    #[tokio::test]
    async fn no_statement_of_a_loop_reads_a_whole_table() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("plans.db");
        let sqlite = SqliteStore::open(&path, &SqliteOptions::default()).await.expect("opens");
        sqlite.migrate().await.expect("migrates");
        let store: Arc<dyn Store> = Arc::new(sqlite.clone());
        let payments = follow(&store).await;
        ask(&store).await;
        book(&store, &payments).await;
        ask(&store).await;
        read(&store).await;
        serve(&store).await;
        look_at_cases(&store).await;
        spend(&store).await;
        show(&store).await;
        assert_eq!(store.broken_laws().await.expect("checks"), []);
        let statements = RUN.lock().expect("not poisoned").clone();
        let [mut reader, mut writer] = raw(&path).await;
        let mut found = Vec::new();
        for sql in &statements {
            found.extend(wasteful(&mut writer, sql).await);
            if sql.starts_with("SELECT") {
                found.extend(wasteful(&mut reader, sql).await);
            }
        }
        assert!(found.is_empty(), "of {} statements: {found:#?}", statements.len());
        // A statement that scans is seen as one.
        let seen = wasteful(&mut reader, "SELECT 1 FROM transfer WHERE log_index = 1").await;
        assert_eq!(seen.len(), 1, "{seen:?}");
    }

    #[tokio::test]
    async fn no_trigger_of_an_insert_reads_a_whole_table() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("triggers.db");
        let sqlite = SqliteStore::open(&path, &SqliteOptions::default()).await.expect("opens");
        sqlite.migrate().await.expect("migrates");
        let [_, mut raw] = raw(&path).await;
        let triggers = sqlx::query(
            "SELECT sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name <> 'ledger_head' \
             AND sql LIKE '%BEFORE INSERT%'",
        );
        let triggers = triggers.fetch_all(&mut raw).await.expect("lists");
        let mut looks = 0;
        for trigger in triggers {
            let body: String = trigger.get("sql");
            for look in body.split("WHERE EXISTS (").skip(1) {
                let (look, _) = look.split_once(");").expect("ends");
                let words = look.split_whitespace();
                let bound =
                    |word: &str| if word.starts_with("NEW.") { "?1" } else { word }.to_owned();
                let sql = words.map(bound).collect::<Vec<_>>().join(" ");
                assert_eq!(wasteful(&mut raw, &sql).await, Vec::<String>::new());
                looks += 1;
            }
        }
        assert_eq!(looks, 39);
    }
}
