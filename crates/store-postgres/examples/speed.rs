//! Measures catch-up and settling on a cluster of its own: `speed [transfers] [batch]`.

use std::{error::Error, io::Write as _, sync::Arc, time::Instant};

use inspay_ledger::{Act, Decision, Evidence, Operation, SettlementRules, apply, touches};
use inspay_ports::{BooksStore as _, ChainTags, CursorRecord, Decide, FollowStore as _, NewOrder};
use inspay_ports::{RangeCommit, ReadStore as _, SaleStore as _, contract::samples};
use inspay_primitives::{BlockRef, OrderTerms, Transfer, U256};
use inspay_store_postgres::{PostgresStore, cluster::Cluster};

const COMMIT: usize = 5_000;

fn block(number: u64) -> BlockRef {
    samples::block("a", number)
}

fn transfer(number: u64) -> Transfer {
    let at = block(number / 50);
    let log_index = u32::try_from(number % 50).unwrap_or(0);
    samples::paid(number, samples::usdt(), U256::from(5_000_000 + number), at, log_index)
}

fn terms(number: u64) -> OrderTerms {
    OrderTerms {
        due_base_units: U256::from(5_000_000 + number),
        account: samples::account(number),
        ..samples::terms(number)
    }
}

async fn catch_up(store: &PostgresStore, count: u64) -> Result<(), Box<dyn Error>> {
    let transfers: Vec<Transfer> = (0..count).map(transfer).collect();
    let start = Instant::now();
    let mut revision = None;
    for part in transfers.chunks(COMMIT) {
        let next = revision.map_or(1, |known: i64| known + 1);
        let tip = part.last().map_or(block(0), |last| last.block);
        let cursor = CursorRecord {
            chain_id: samples::CHAIN,
            start_number: 0,
            tip,
            tags: ChainTags { safe_number: tip.number, finalized_number: tip.number },
            audited_to: tip.number,
            epoch: 0,
            revision: next,
        };
        let commit = RangeCommit { expected_revision: revision, transfers: part.to_vec(), cursor };
        store.commit_range(commit).await?;
        revision = Some(next);
    }
    report("catch-up", count, start)
}

fn report(what: &str, count: u64, start: Instant) -> Result<(), Box<dyn Error>> {
    let millis = start.elapsed().as_millis().max(1);
    let rate = u128::from(count) * 1_000 / millis;
    writeln!(std::io::stdout(), "{what}: {count} in {millis} ms, {rate}/s")?;
    Ok(())
}

async fn settle(store: &PostgresStore, count: u64, batch: u64) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let mut first = 0;
    while first < count {
        let numbers = first..(first + batch).min(count);
        let operations: Vec<Operation> = numbers
            .map(|number| {
                Operation::from(Act::Settle {
                    transfer: transfer(number).key.id(),
                    generation: 0,
                    reference: None,
                    decision: Decision::Attribute {
                        order: terms(number).id,
                        evidence: Evidence::ExactAmount,
                        late: None,
                    },
                    value: Some("5.00".parse()?),
                })
                .pipe(Ok)
            })
            .collect::<Result<_, Box<dyn Error>>>()?;
        let wanted = touches(&operations);
        let decide: Decide = Arc::new(move |state| {
            apply(state, &operations, &SettlementRules::default(), samples::block_time(9)).1
        });
        store.transact(wanted, decide).await?;
        first += batch;
    }
    report("settle", count, start)
}

trait Pipe: Sized {
    fn pipe<T>(self, into: impl FnOnce(Self) -> T) -> T {
        into(self)
    }
}
impl Pipe for Operation {}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let count: u64 = arguments.next().map_or(Ok(100_000), |text| text.parse())?;
    let batch: u64 = arguments.next().map_or(Ok(1_000), |text| text.parse())?;
    let cluster = Cluster::start().await?;
    let store = cluster.store().await?;
    catch_up(&store, count).await?;
    let start = Instant::now();
    let orders = (0..count).map(|number| {
        let store = store.clone();
        async move { store.create_order(NewOrder { terms: terms(number), request_key: None }).await }
    });
    use futures::StreamExt as _;
    let made = futures::stream::iter(orders)
        .buffer_unordered(8)
        .filter(|made| std::future::ready(made.is_ok()))
        .count()
        .await;
    report("orders", u64::try_from(made)?, start)?;
    settle(&store, count, batch).await?;
    let start = Instant::now();
    let broken = store.broken_laws().await?;
    report("laws", u64::try_from(broken.len())?, start)?;
    for law in broken.iter().take(5) {
        writeln!(std::io::stdout(), "{law:?}")?;
    }
    Ok(())
}
