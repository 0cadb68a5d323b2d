//! Spending: pairs of a hold and its capture, by clients at once, beside the same clients who do it row by row in SQL.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use inspay_ledger::{Act, Operation, Outcome, SettlementRules};
use inspay_ledger_writer::{LedgerWriter, WriterLimits};
use inspay_ports::{BooksStore, Store, contract::till};
use inspay_primitives::{ManualClock, Timestamp};
use tokio::task::JoinSet;

use crate::{
    Problem, Scale,
    cpu::family_time,
    report::{Quantity, Report},
    row_by_row::{RowByRow, Work},
    stores::{Databases, KINDS, open},
};

/// Clients at once.
const IN_FLIGHT: [u64; 4] = [1, 8, 32, 128];
/// Accounts that share the work where there are many.
pub(crate) const ACCOUNTS: u64 = 1_000;
/// What each account has: more than is spent.
pub(crate) const CREDITS: i64 = 1_000_000_000;
/// Each side is measured so often, by turns.
const TURNS: u64 = 2;

/// Whose credits are spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spread {
    Many,
    Hot,
}

impl Spread {
    const fn name(self) -> &'static str {
        match self {
            Self::Many => "many accounts",
            Self::Hot => "one account",
        }
    }

    const fn account(self, pair: u64) -> u64 {
        match self {
            Self::Many => pair % ACCOUNTS,
            Self::Hot => 0,
        }
    }
}

/// One way of doing the work.
#[derive(Clone, Debug)]
enum Side {
    Books(LedgerWriter),
    RowByRow(RowByRow),
}

impl Side {
    /// A hold of one credit and its capture. Each pair has a number of its own.
    async fn pair(&self, number: u64, account: u64) -> Result<(), Problem> {
        match self {
            Self::Books(writer) => {
                let hold = till::hold(&till::spender(account), number, "video", 1);
                apply(writer, hold).await?;
                apply(writer, Act::Capture { hold: till::hold_id(number), credits: None }).await
            }
            Self::RowByRow(rival) => rival.pair(number, account).await,
        }
    }
}

async fn apply(writer: &LedgerWriter, act: Act) -> Result<(), Problem> {
    match writer.write(vec![Operation::from(act)]).await?.first() {
        Some(Outcome::Applied { .. }) => Ok(()),
        other => Err(format!("{other:?} instead of a spend").into()),
    }
}

/// What clients did.
#[derive(Clone, Copy, Debug, Default)]
struct Did {
    pairs: u64,
    took: Duration,
    cpu: Duration,
}

impl Did {
    fn add(&mut self, more: Self) {
        self.pairs += more.pairs;
        self.took += more.took;
        self.cpu += more.cpu;
    }

    fn cpu_per_pair(self) -> Duration {
        let nanos = self.cpu.as_nanos() / u128::from(self.pairs.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// How many times the rate of the other, rounded down.
    fn times(self, other: Self) -> Quantity {
        let (ours, theirs) = (u128::from(self.pairs), u128::from(other.pairs));
        Quantity::ratio_down(ours * other.took.as_nanos(), theirs * self.took.as_nanos())
    }
}

/// So many clients, each with one pair after another, for so long.
async fn spend(
    side: &Side,
    spread: Spread,
    clients: u64,
    time: Duration,
    next: &Arc<AtomicU64>,
) -> Result<Did, Problem> {
    let (cpu, started) = (family_time()?, Instant::now());
    let mut working: JoinSet<Result<u64, String>> = JoinSet::new();
    for _ in 0..clients {
        let (side, next) = (side.clone(), Arc::clone(next));
        working.spawn(async move {
            let mut pairs = 0;
            while started.elapsed() < time {
                let number = next.fetch_add(1, Ordering::Relaxed);
                side.pair(number, spread.account(number)).await.map_err(|why| why.to_string())?;
                pairs += 1;
            }
            Ok(pairs)
        });
    }
    let mut pairs = 0;
    while let Some(done) = working.join_next().await {
        pairs += done??;
    }
    Ok(Did { pairs, took: started.elapsed(), cpu: family_time()?.saturating_sub(cpu) })
}

async fn stock(store: &Arc<dyn Store>, writer: &LedgerWriter) -> Result<(), Problem> {
    for number in 0..ACCOUNTS {
        let account = till::spender(number);
        let known = Operation::requested("bench", &format!("know/{number}"), till::know(&account));
        let prize = till::prize(&account, &number.to_string(), CREDITS, Timestamp::FAR);
        let outcomes = writer.write(vec![known, Operation::from(prize)]).await?;
        if !outcomes.iter().all(|outcome| matches!(outcome, Outcome::Applied { .. })) {
            return Err(format!("{outcomes:?} instead of a grant").into());
        }
    }
    let lots = store.lots(&till::spender(0)).await?;
    if lots.len() == 1 { Ok(()) } else { Err(format!("{} lots to spend", lots.len()).into()) }
}

async fn measure_kind(
    databases: &mut Databases,
    kind: &str,
    time: Duration,
    report: &mut Report,
) -> Result<(), Problem> {
    let database = databases.fresh(kind).await?;
    let store = open(&database).await?;
    let clock = Arc::new(ManualClock::new(Timestamp::from_chain_seconds(1_760_000_000)));
    let (writer, task) = LedgerWriter::new(
        Arc::clone(&store) as Arc<dyn BooksStore>,
        clock,
        SettlementRules::default(),
        WriterLimits::default(),
    );
    tokio::spawn(task.run());
    stock(&store, &writer).await?;
    let (same, less) = (databases.fresh(kind).await?, databases.fresh(kind).await?);
    let sides = [
        Side::Books(writer),
        Side::RowByRow(RowByRow::open(&same, Work::Same).await?),
        Side::RowByRow(RowByRow::open(&less, Work::Less).await?),
    ];
    let next = Arc::new(AtomicU64::new(1));
    let mut many_at_most = Did::default();
    for spread in [Spread::Many, Spread::Hot] {
        for clients in IN_FLIGHT {
            let mut did = [Did::default(); 3];
            for _ in 0..TURNS {
                for (side, did) in sides.iter().zip(&mut did) {
                    did.add(spend(side, spread, clients, time, &next).await?);
                }
            }
            let [ours, theirs, less] = did;
            let what = format!("{kind}, {}, {clients} in flight", spread.name());
            report.add(format!("{what}: row by row"), Quantity::rate(theirs.pairs, theirs.took));
            report.add(format!("{what}: CPU of a pair"), Quantity::Time(theirs.cpu_per_pair()));
            report.add(format!("{what}: the books"), Quantity::rate(ours.pairs, ours.took));
            report.add(format!("{what}: CPU of a pair"), Quantity::Time(ours.cpu_per_pair()));
            let goal = match (clients, spread) {
                (1, _) => Some(100),
                (128, Spread::Many) => Some(600),
                (128, Spread::Hot) => Some(2_000),
                _ => None,
            };
            let times = format!("{what}: times row by row");
            match goal {
                Some(goal) => report.add_least(times, ours.times(theirs), Quantity::Ratio(goal)),
                None => report.add(times, ours.times(theirs)),
            }
            let rate = Quantity::rate(less.pairs, less.took);
            report.add(format!("{what}: row by row of a simpler ledger"), rate);
            report.add(format!("{what}: times that"), ours.times(less));
            match (clients, spread) {
                (128, Spread::Many) => many_at_most = ours,
                (128, Spread::Hot) => report.add_least(
                    format!("{kind}: one account beside many, 128 in flight"),
                    ours.times(many_at_most),
                    Quantity::Ratio(100),
                ),
                _ => {}
            }
        }
    }
    drop(sides);
    if let Some(broken) = store.broken_laws().await?.first() {
        return Err(format!("{}: {}", broken.law, broken.row).into());
    }
    drop(store);
    databases.remove(&database).await?;
    databases.remove(&same).await?;
    databases.remove(&less).await
}

/// Measures both stores.
pub(crate) async fn measure(scale: Scale) -> Result<Report, Problem> {
    let mut databases = Databases::start().await?;
    let time = Duration::from_millis(scale.of(2_000));
    let mut report = Report::new(
        "spending",
        format!(
            "Pairs of a hold and its capture, by 1, 8, 32 and 128 clients at once, {TURNS} times {} ms for each side \
             by turns. Row by row, each client does the same in two SQL transactions of its own: idempotency key, lot and \
             its moves, account, hold and its end, entry in the chain of hashes, postings, what is earned, usage, a look \
             for limits. A simpler ledger has no chain, no moves, no limits and no sum of what is earned. CPU is that of \
             this process and the database server's.",
            time.as_millis()
        ),
    );
    for kind in KINDS {
        measure_kind(&mut databases, kind, time, &mut report).await?;
    }
    Ok(report)
}
