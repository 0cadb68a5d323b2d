//! Looks at what the gateway has recorded, again and again, while it records.
//!
//! Never judges while it looks: what was seen is compared with the truth at the end, when all of it is known.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use inspay_ports::{FollowStore as _, Page, ReadStore as _, TransferFilter, TransferView};
use inspay_primitives::{B256, ChainId, TransferId};
use inspay_store_sqlite::{SqliteOptions, SqliteStore};
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
    time::{Instant, interval},
};

use super::truth::Row;

const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Settlements do not move the cursor; they are looked for this often.
const LOOK_AT_BOOKS_EVERY: u32 = 5;
const ROWS_MAX: u32 = 100_000;

/// A settlement that was there too soon.
#[derive(Clone, Copy, Debug)]
pub struct Early {
    /// What was settled.
    pub row: Row,
    /// The highest head that there can have been.
    pub head_number: u64,
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// Every row that was recorded as canonical at some moment, with when it was first.
    pub recorded: HashMap<Row, Instant>,
    /// Every row that was settled at some moment.
    pub settled: BTreeMap<Row, TransferId>,
    /// Settlements before their confirmations.
    pub early: Vec<Early>,
}

/// Looks on; tells of the newest applied block.
#[derive(Debug)]
pub struct Watch {
    store: Arc<SqliteStore>,
    chain_id: ChainId,
    tip: watch::Receiver<B256>,
    stop: oneshot::Sender<()>,
    looking: JoinHandle<Seen>,
}

impl Watch {
    /// Begins to look at the database of a gateway. `head_number` must be raised before a higher block is mined.
    ///
    /// # Panics
    ///
    /// If it cannot be opened.
    pub async fn start(
        database: &Path,
        chain_id: ChainId,
        confirmations: u64,
        head_number: Arc<AtomicU64>,
    ) -> Self {
        let opened = SqliteStore::open(database, &SqliteOptions::default()).await;
        let store = Arc::new(opened.expect("the database opens"));
        let (told, tip) = watch::channel(B256::ZERO);
        let (stop, stopped) = oneshot::channel();
        let look = Look { store: Arc::clone(&store), chain_id, confirmations, head_number, told };
        let looking = tokio::spawn(look.run(stopped));
        Self { store, chain_id, tip, stop, looking }
    }

    /// The newest applied block, changing with every commit.
    #[must_use]
    pub fn tip(&self) -> watch::Receiver<B256> {
        self.tip.clone()
    }

    /// All transfers as they are recorded now.
    pub async fn transfers(&self) -> Vec<TransferView> {
        transfers(&self.store).await
    }

    /// The newest applied block as it is recorded now.
    ///
    /// # Panics
    ///
    /// If the database does not answer.
    pub async fn tip_now(&self) -> Option<B256> {
        let cursor = self.store.cursor(self.chain_id).await.expect("the database answers");
        cursor.map(|cursor| cursor.tip.hash)
    }

    /// Ends looking.
    ///
    /// # Panics
    ///
    /// If looking has failed.
    pub async fn finish(self) -> Seen {
        // It fails only where looking has ended, and then the next line says so.
        let _told = self.stop.send(());
        self.looking.await.expect("it looked to the end")
    }
}

async fn transfers(store: &SqliteStore) -> Vec<TransferView> {
    let page = Page { after: None, limit: ROWS_MAX };
    store.transfers(TransferFilter::default(), page).await.expect("the database answers")
}

struct Look {
    store: Arc<SqliteStore>,
    chain_id: ChainId,
    confirmations: u64,
    head_number: Arc<AtomicU64>,
    told: watch::Sender<B256>,
}

impl Look {
    async fn run(self, mut stopped: oneshot::Receiver<()>) -> Seen {
        let mut seen = Seen::default();
        let mut looks = interval(LOOK_EVERY);
        let mut revision = None;
        let mut count = 0u32;
        loop {
            tokio::select! {
                _ = &mut stopped => return seen,
                _ = looks.tick() => {}
            }
            count = count.wrapping_add(1);
            let cursor = self.store.cursor(self.chain_id).await.expect("the database answers");
            let is_new = cursor.map(|cursor| cursor.revision) != revision;
            revision = cursor.map(|cursor| cursor.revision);
            if is_new || count.is_multiple_of(LOOK_AT_BOOKS_EVERY) {
                self.look(&mut seen).await;
            }
            if let Some(cursor) = cursor.filter(|_| is_new) {
                self.told.send_replace(cursor.tip.hash);
            }
        }
    }

    async fn look(&self, seen: &mut Seen) {
        let views = transfers(&self.store).await;
        let now = Instant::now();
        // Read after the rows: a block that was mined in between makes this too generous, never too strict.
        let head_number = self.head_number.load(Ordering::SeqCst);
        for view in views {
            let row = Row::from(&view.transfer);
            if view.canonical {
                seen.recorded.entry(row).or_insert(now);
            }
            if view.settlement.is_some() && seen.settled.insert(row, view.id).is_none() {
                let confirmations = (head_number + 1).saturating_sub(row.block_number);
                if confirmations < self.confirmations {
                    seen.early.push(Early { row, head_number });
                }
            }
        }
    }
}
