//! Measures catch-up, selling and settling on a cluster of its own: `speed [transfers] [settlements in a batch]`.

use std::{
    error::Error,
    io::{Write as _, stdout},
    sync::Arc,
    time::Instant,
};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use inspay_ledger::{Operation, SettlementRules, apply, touches};
use inspay_ports::{
    BooksStore as _, ChainTags, CursorRecord, Decide, FollowStore as _, NewOrder, RangeCommit,
    ReadStore as _, SaleStore as _,
    contract::{samples, teller::settle_for},
};
use inspay_primitives::{FencingNumber, OrderTerms, Transfer, U256};
use inspay_store_postgres::{PostgresStore, cluster::Cluster};

/// Transfers in one commit of catch-up.
const COMMIT: usize = 5_000;
/// Transfers in one block.
const IN_BLOCK: u64 = 50;

type Outcome = Result<(), Box<dyn Error>>;

fn terms(number: u64) -> OrderTerms {
    let due_base_units = U256::from(number.saturating_add(5_000_000));
    OrderTerms { due_base_units, account: samples::account(number), ..samples::terms(number) }
}

fn transfer(number: u64) -> Result<Transfer, Box<dyn Error>> {
    let at = samples::block("a", number / IN_BLOCK);
    let log_index = u32::try_from(number % IN_BLOCK)?;
    Ok(samples::paid(number, samples::usdt(), terms(number).due_base_units, at, log_index))
}

fn report(what: &str, count: usize, start: Instant) -> Outcome {
    let millis = start.elapsed().as_millis().max(1);
    let rate = u128::try_from(count)?.saturating_mul(1_000) / millis;
    writeln!(stdout(), "{what:<12} {count:>8} in {millis:>6} ms, {rate:>7} a second")?;
    Ok(())
}

async fn catch_up(store: &PostgresStore, transfers: &[Transfer]) -> Outcome {
    let start = Instant::now();
    let mut expected_revision = None;
    for (part, revision) in transfers.chunks(COMMIT).zip(1..) {
        let tip = part.last().ok_or("an empty part")?.block;
        let tags = ChainTags { safe_number: tip.number, finalized_number: tip.number };
        let cursor = CursorRecord {
            chain_id: samples::CHAIN,
            start_number: 0,
            tip,
            tags,
            audited_to: tip.number,
            epoch: 0,
            revision,
        };
        let commit = RangeCommit {
            fencing: FencingNumber::UNLEASED,
            expected_revision,
            transfers: part.to_vec(),
            cursor,
        };
        store.commit_range(commit).await?;
        expected_revision = Some(revision);
    }
    report("catch-up", transfers.len(), start)
}

async fn sell(store: &PostgresStore, count: usize) -> Outcome {
    let start = Instant::now();
    stream::iter((0..).take(count))
        .map(|number| store.create_order(NewOrder { terms: terms(number), request_key: None }))
        .buffer_unordered(8)
        .try_for_each(|_| std::future::ready(Ok(())))
        .await?;
    report("orders", count, start)
}

async fn settle(store: &PostgresStore, transfers: &[Transfer], batch: usize) -> Outcome {
    let numbered: Vec<(u64, &Transfer)> = (0..).zip(transfers).collect();
    let batches: Vec<Vec<Operation>> = numbered
        .chunks(batch.max(1))
        .map(|part| {
            part.iter().map(|(number, paid)| settle_for(paid, 0, &terms(*number))).collect()
        })
        .collect();
    let start = Instant::now();
    for operations in batches {
        let touched = touches(&operations, samples::block_time(9));
        let decide: Decide = Arc::new(move |state| {
            apply(state, &operations, &SettlementRules::default(), samples::block_time(9)).1
        });
        store.transact(touched, decide).await?;
    }
    report("settle", transfers.len(), start)
}

#[tokio::main]
async fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let count: u64 = arguments.next().map_or(Ok(100_000), |text| text.parse())?;
    let batch: usize = arguments.next().map_or(Ok(1_000), |text| text.parse())?;
    let cluster = Cluster::start().await?;
    let store = cluster.store().await?;
    let transfers: Vec<Transfer> = (0..count).map(transfer).collect::<Result<_, _>>()?;
    catch_up(&store, &transfers).await?;
    sell(&store, transfers.len()).await?;
    settle(&store, &transfers, batch).await?;
    let start = Instant::now();
    let broken = store.broken_laws().await?;
    report("laws broken", broken.len(), start)
}
