//! Settlement: confirmed transfers into entries, lots, orders and events, beside a bare insert of as many rows.

use std::{collections::HashMap, sync::Arc, time::Instant};

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use inspay_ledger::{Operation, Outcome, SettlementRules};
use inspay_ledger_writer::{LedgerWriter, WriterLimits};
use inspay_ports::{
    BooksStore, ChainTags, CursorRecord, NewOrder, RangeCommit, Store, contract::samples,
    fake::FakeChain,
};
use inspay_primitives::{
    ConfirmationPolicy, ConfirmationRule, Fence, FencingNumber, ManualClock, OrderTerms, Transfer,
    U256,
};
use inspay_quoting::{RateSample, SourceKind};
use inspay_settlement::{
    AssetRules, Books, BooksError, ChainWork, SettlementPolicy, SettlementWorker, WorkerSettings,
};
use serde_json::{Value, json};

use crate::{
    Problem, Scale,
    figures::{answer, child as run_child, micros, number, peak_kib, time},
    floor::{self, Keys},
    report::{Quantity, Report},
    stores::{Databases, KINDS, open},
};

const TRANSFERS: u64 = 100_000;
/// Few enough blocks that all lie before the orders' deadline.
const PER_BLOCK: u64 = 500;
const COMMIT: u64 = 5_000;
const ACCOUNTS: u64 = 1_000;

#[derive(Debug)]
struct WriterBooks(LedgerWriter);

#[async_trait]
impl Books for WriterBooks {
    async fn write(
        &self,
        fence: Fence,
        operations: Vec<Operation>,
    ) -> Result<Vec<Outcome>, BooksError> {
        self.0.write_fenced(fence, operations).await.map_err(|error| BooksError {
            transient: error.is_transient(),
            source: Box::new(error),
        })
    }
}

fn transfer(number: u64) -> Result<Transfer, Problem> {
    let block = samples::block("a", number / PER_BLOCK);
    let log_index = u32::try_from(number % PER_BLOCK)?;
    let paid =
        samples::paid(number, samples::usdt(), U256::from(5_000_000 + number), block, log_index);
    Ok(Transfer { reference: Some(None), ..paid })
}

fn terms(number: u64) -> OrderTerms {
    OrderTerms {
        due_base_units: U256::from(5_000_000 + number),
        account: samples::account(number % ACCOUNTS),
        ..samples::terms(number)
    }
}

async fn prepare(store: &Arc<dyn Store>, count: u64) -> Result<(), Problem> {
    let mut revision = None;
    for first in (0..count).step_by(usize::try_from(COMMIT)?) {
        let transfers: Vec<Transfer> =
            (first..(first + COMMIT).min(count)).map(transfer).collect::<Result<_, _>>()?;
        let tip = transfers.last().map_or_else(|| samples::block("a", 0), |last| last.block);
        let next = revision.map_or(1, |known: i64| known + 1);
        let cursor = CursorRecord {
            chain_id: samples::CHAIN,
            start_number: 0,
            tip,
            tags: ChainTags { safe_number: tip.number, finalized_number: tip.number },
            audited_to: tip.number,
            epoch: 0,
            revision: next,
        };
        let fencing = FencingNumber::UNLEASED;
        store
            .commit_range(RangeCommit { fencing, expected_revision: revision, transfers, cursor })
            .await?;
        revision = Some(next);
    }
    // A rate a minute, as the gateway keeps them.
    let rates = (0..=count / PER_BLOCK / 5).map(|minute| {
        let sample = RateSample {
            source: "feed".to_owned(),
            kind: SourceKind::Feed,
            rate: "1.0003".parse()?,
            observed_at: samples::block_time(minute * 5),
            valid_until: None,
        };
        Ok((samples::usdt(), sample))
    });
    store.save_rates(rates.collect::<Result<_, Problem>>()?).await?;
    stream::iter(0..count)
        .map(|number| store.create_order(NewOrder { terms: terms(number), request_key: None }))
        .buffer_unordered(8)
        .try_for_each(|_| async { Ok(()) })
        .await?;
    Ok(())
}

fn worker(store: &Arc<dyn Store>) -> Result<SettlementWorker, Problem> {
    let clock = Arc::new(ManualClock::new(samples::block_time(10)));
    let (writer, task) = LedgerWriter::new(
        Arc::clone(store) as Arc<dyn BooksStore>,
        Arc::clone(&clock) as _,
        SettlementRules::default(),
        WriterLimits::default(),
    );
    tokio::spawn(task.run());
    let confirmations = ConfirmationPolicy::new(Vec::new(), ConfirmationRule::Depth(1))?;
    let rules = AssetRules { decimals: 6, confirmations, late_rate_age_seconds: 3_600 };
    let policy = SettlementPolicy {
        assets: HashMap::from([(samples::usdt(), rules)]),
        rules: SettlementRules::default(),
        clock_skew_seconds: 60,
    };
    Ok(SettlementWorker::new(
        ChainWork { chain: Arc::new(FakeChain::new(samples::CHAIN)), applied: None },
        Arc::clone(store),
        Arc::new(WriterBooks(writer)),
        clock,
        Arc::new(policy),
        WorkerSettings::default(),
    ))
}

/// Prepares, settles everything, then measures the floor in the same database.
pub(crate) async fn child(database: &str, count: &str) -> Result<(), Problem> {
    let count: u64 = count.parse()?;
    let store = open(database).await?;
    let begun = Instant::now();
    prepare(&store, count).await?;
    let prepared_in = begun.elapsed();
    floor::level(database).await?;
    let worker = worker(&store)?;
    let before_kib = peak_kib();
    let started = Instant::now();
    let (mut settled, mut steps) = (0, 0);
    while settled < count {
        let report = worker.step().await?;
        if report.settled == 0 {
            return Err(format!("only {settled} of {count} were settled: {report:?}").into());
        }
        settled += u64::try_from(report.settled)?;
        steps += 1;
    }
    let took = started.elapsed();
    let after_kib = peak_kib();
    let paid = floor::paid_orders(database).await?;
    if (settled, paid) != (count, count) {
        return Err(format!("{settled} of {count} were settled and {paid} orders paid").into());
    }
    if let Some(broken) = store.broken_laws().await?.first() {
        return Err(format!("{}: {}", broken.law, broken.row).into());
    }
    let floor = floor::measure(database, steps, Keys::Primary).await?;
    let keyless = floor::measure(database, steps, Keys::None).await?;
    answer(&json!({
        "micros": micros(took)?,
        "prepared_micros": micros(prepared_in)?,
        "steps": steps,
        "prepared_kib": before_kib,
        "peak_kib": after_kib,
        "rows": floor.rows,
        "floor_micros": micros(floor.took)?,
        "keyless_micros": micros(keyless.took)?,
    }))
}

async fn run_one(databases: &mut Databases, kind: &str, count: u64) -> Result<Value, Problem> {
    let database = databases.fresh(kind).await?;
    let told = run_child(&["child-settle", &database, &count.to_string()]).await;
    databases.remove(&database).await?;
    told
}

/// Measures both stores, at the full number and at a quarter.
pub(crate) async fn measure(scale: Scale) -> Result<Report, Problem> {
    let mut databases = Databases::start().await?;
    let count = scale.of(TRANSFERS);
    let mut report = Report::new(
        "settlement",
        format!(
            "Settlement of {count} confirmed transfers, each with its order, entry, lot and event. The floor \
             inserts the same rows, and each changed row once more, into plain tables of the same database \
             with nothing but their primary keys, as many in a commit."
        ),
    );
    for kind in KINDS {
        let smaller = run_one(&mut databases, kind, count / 4).await?;
        let told = run_one(&mut databases, kind, count).await?;
        let (took, floor) = (time(&told, "micros")?, time(&told, "floor_micros")?);
        let rows = number(&told, "rows")?;
        let floor_name = format!("{kind}: bare insert of {rows} rows in {} commits", told["steps"]);
        report.add(floor_name, Quantity::Time(floor));
        let keyless = time(&told, "keyless_micros")?;
        report.add(format!("{kind}: the same without any key"), Quantity::Time(keyless));
        report.add(format!("{kind}: all settled"), Quantity::Time(took));
        report.add(format!("{kind}: settled"), Quantity::rate(count, took));
        let ratio = Quantity::time_ratio(took, floor);
        report.add_goal(format!("{kind}: times the bare insert"), ratio, Quantity::Ratio(300));
        let (small, small_floor) = (time(&smaller, "micros")?, time(&smaller, "floor_micros")?);
        let small_ratio = Quantity::time_ratio(small, small_floor);
        report
            .add(format!("{kind}: times the bare insert, at {} transfers", count / 4), small_ratio);
        let peak = |told: &Value| number(told, "peak_kib").map(Quantity::Kibibytes);
        report.add(format!("{kind}: peak memory"), peak(&told)?);
        report.add(format!("{kind}: peak memory at {} transfers", count / 4), peak(&smaller)?);
    }
    Ok(report)
}
