//! Recomputes the whole journal: numbers without gaps, hashes, balanced entries, balances.
//!
//! Streams in pages: memory grows with the number of accounts, not of entries.

use std::{collections::HashMap, sync::Arc};

use inspay_ledger::{BookAccount, Entry, GENESIS_HASH, Side, Unit};
use inspay_ports::{Store, StoreError};
use inspay_primitives::{B256, U256};

const PAGE_ENTRIES: u32 = 2_000;

/// The first row that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenRow {
    /// The entry, where it is one.
    pub entry_seq: Option<i64>,
    /// What is wrong with it.
    pub why: String,
}

/// What verifying found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// Entries read.
    pub entries: u64,
    /// Postings read.
    pub postings: u64,
    /// Hash of the newest entry.
    pub head_hash: B256,
    /// The first row that is broken, if any.
    pub broken: Option<BrokenRow>,
}

#[derive(Default)]
struct Sums(HashMap<(BookAccount, Unit), (U256, U256)>);

impl Sums {
    /// Adds an entry's postings; `false` if a sum passes 2^256 − 1.
    fn add(&mut self, entry: &Entry) -> bool {
        entry.postings.iter().all(|posting| {
            let key = (posting.account.clone(), posting.unit);
            let (debits, credits) = self.0.entry(key).or_default();
            let sum = match posting.side {
                Side::Debit => debits,
                Side::Credit => credits,
            };
            sum.checked_add(posting.quantity).map(|total| *sum = total).is_some()
        })
    }
}

/// Why an entry does not follow the one before it.
fn flaw(entry: &Entry, seq: i64, previous: B256) -> Option<String> {
    if entry.seq != seq {
        return Some(format!("entry {seq} is missing: {} follows", entry.seq));
    }
    if entry.previous_hash != previous {
        return Some(format!(
            "it points back to {}, the entry before it is {previous}",
            entry.previous_hash
        ));
    }
    let computed = entry.compute_hash();
    if computed != entry.hash {
        return Some(format!("its hash is {}, its content gives {computed}", entry.hash));
    }
    if entry.postings.is_empty() {
        return Some("it has no postings".to_owned());
    }
    entry.unbalanced_unit().map(|unit| format!("its debits and credits in {unit} differ"))
}

/// Reads the whole journal and compares; `progress` is told how many entries have been read.
pub async fn verify_ledger(
    store: &Arc<dyn Store>,
    mut progress: impl FnMut(u64) + Send,
) -> Result<Verification, StoreError> {
    let mut found = Verification { entries: 0, postings: 0, head_hash: GENESIS_HASH, broken: None };
    let mut sums = Sums::default();
    let mut after: i64 = 0;
    loop {
        let page = store.entries(after, PAGE_ENTRIES).await?;
        if page.is_empty() {
            break;
        }
        for entry in &page {
            let why = flaw(entry, after.saturating_add(1), found.head_hash).or_else(|| {
                (!sums.add(entry)).then(|| "a sum of its account is out of range".to_owned())
            });
            if why.is_some() {
                found.broken = why.map(|why| BrokenRow { entry_seq: Some(entry.seq), why });
                return Ok(found);
            }
            after = entry.seq;
            found.head_hash = entry.hash;
            found.entries = found.entries.saturating_add(1);
            let postings = u64::try_from(entry.postings.len()).unwrap_or(u64::MAX);
            found.postings = found.postings.saturating_add(postings);
        }
        progress(found.entries);
    }
    found.broken = broken_balance(store, sums).await?;
    Ok(found)
}

async fn broken_balance(
    store: &Arc<dyn Store>,
    mut sums: Sums,
) -> Result<Option<BrokenRow>, StoreError> {
    for balance in store.balances(true).await? {
        let (debits, credits) =
            sums.0.remove(&(balance.account.clone(), balance.unit)).unwrap_or_default();
        if (debits, credits) != (balance.debits, balance.credits) {
            let why = format!(
                "the balance of {} in {} says {} debits and {} credits, its postings add up to {debits} and {credits}",
                balance.account, balance.unit, balance.debits, balance.credits
            );
            return Ok(Some(BrokenRow { entry_seq: None, why }));
        }
    }
    let missing = sums.0.keys().next().map(|(account, unit)| BrokenRow {
        entry_seq: None,
        why: format!("{account} in {unit} has postings and no balance"),
    });
    Ok(missing)
}
