//! Recomputes the whole journal: numbers without gaps, hashes, balanced entries; and checks what it adds up to by the laws.
//!
//! Streams in pages: memory does not grow with the journal or with the accounts, since sums are the database's to make.

use std::sync::Arc;

use inspay_ledger::{Entry, GENESIS_HASH};
use inspay_ports::{LawViolation, Store, StoreError, StoreErrorKind};
use inspay_primitives::{B256, Timestamp};
use serde::{Deserialize, Serialize};

const PAGE_ENTRIES: u32 = 2_000;

/// The first entry that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenRow {
    /// The entry.
    pub entry_seq: i64,
    /// What is wrong with it.
    pub why: String,
}

/// Where the journal stood when a person signed it off. Kept outside the database, it shows whether what lies before it was
/// written anew since, hashes and all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// The newest entry.
    pub entry_seq: i64,
    /// Its hash.
    pub entry_hash: B256,
    /// Who signed it off.
    pub signed_off_by: String,
    /// When.
    pub signed_off_at: Timestamp,
}

/// What verifying found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// Entries that are as they must be, one after another from the first.
    pub entries: u64,
    /// Their postings.
    pub postings: u64,
    /// Hash of the newest of them.
    pub head_hash: B256,
    /// The first entry that is broken, if any.
    pub broken: Option<BrokenRow>,
    /// Laws that are broken: balances, lots, holds and spends that are not what the entries make them.
    pub broken_laws: Vec<LawViolation>,
}

impl Verification {
    /// Whether everything is as it must be.
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.broken.is_none() && self.broken_laws.is_empty()
    }
}

/// Why an entry does not follow the one before it.
fn flaw(
    entry: &Entry,
    seq: i64,
    previous: B256,
    booked_before: Option<Timestamp>,
    checkpoint: Option<&Checkpoint>,
) -> Option<String> {
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
    if let Some(before) = booked_before.filter(|before| entry.booked_at < *before) {
        return Some(format!(
            "it was booked at {}, the entry before it at {before}",
            entry.booked_at
        ));
    }
    if entry.postings.is_empty() {
        return Some("it has no postings".to_owned());
    }
    let signed_off = checkpoint.filter(|it| it.entry_seq == seq && it.entry_hash != entry.hash);
    if let Some(checkpoint) = signed_off {
        return Some(format!(
            "its hash is {}, {} signed off {}",
            entry.hash, checkpoint.signed_off_by, checkpoint.entry_hash
        ));
    }
    entry.unbalanced_unit().map(|unit| format!("its debits and credits in {unit} differ"))
}

/// The journal as far as it was read and found to be right.
struct Walk<'a> {
    found: Verification,
    after: i64,
    booked_at: Option<Timestamp>,
    checkpoint: Option<&'a Checkpoint>,
}

impl Walk<'_> {
    /// Goes over entries; `false` at the first that is broken.
    fn over(&mut self, page: &[Entry]) -> bool {
        for entry in page {
            let seq = self.after.saturating_add(1);
            let previous = self.found.head_hash;
            if let Some(why) = flaw(entry, seq, previous, self.booked_at, self.checkpoint) {
                self.found.broken = Some(BrokenRow { entry_seq: seq, why });
                return false;
            }
            self.after = entry.seq;
            self.booked_at = Some(entry.booked_at);
            self.found.head_hash = entry.hash;
            self.found.entries = self.found.entries.saturating_add(1);
            let postings = u64::try_from(entry.postings.len()).unwrap_or(u64::MAX);
            self.found.postings = self.found.postings.saturating_add(postings);
        }
        true
    }

    /// Sees that the journal ends where its head says.
    fn compare_end(&mut self, entry_seq: i64, entry_hash: B256) {
        let next = self.after.saturating_add(1);
        let broken = if entry_seq > self.after {
            let why = format!("entry {next} is missing: the head is at entry {entry_seq}");
            Some(BrokenRow { entry_seq: next, why })
        } else if entry_seq < self.after {
            let why = format!("it lies behind the head, which is at entry {entry_seq}");
            Some(BrokenRow { entry_seq: entry_seq.saturating_add(1), why })
        } else if entry_hash != self.found.head_hash {
            let why = format!("its hash is {}, the head says {entry_hash}", self.found.head_hash);
            Some(BrokenRow { entry_seq, why })
        } else {
            None
        };
        self.found.broken = broken;
    }
}

/// Reads the whole journal and compares, with a checkpoint too if one is given; `progress` is told how many entries have
/// been read.
///
/// The laws are judged meanwhile; what they say counts where every entry is as it must be.
pub async fn verify_ledger(
    store: &Arc<dyn Store>,
    checkpoint: Option<&Checkpoint>,
    progress: impl FnMut(u64) + Send,
) -> Result<Verification, StoreError> {
    let (walked, laws) =
        futures::join!(walk(store, checkpoint, progress), store.laws_broken_beyond_entries());
    let found = walked?;
    if found.broken.is_some() {
        return Ok(found);
    }
    Ok(Verification { broken_laws: laws?, ..found })
}

async fn walk(
    store: &Arc<dyn Store>,
    checkpoint: Option<&Checkpoint>,
    mut progress: impl FnMut(u64) + Send,
) -> Result<Verification, StoreError> {
    let found = Verification {
        entries: 0,
        postings: 0,
        head_hash: GENESIS_HASH,
        broken: None,
        broken_laws: Vec::new(),
    };
    let mut walk = Walk { found, after: 0, booked_at: None, checkpoint };
    let mut page_entries = PAGE_ENTRIES;
    let mut end = None;
    loop {
        match store.entries(walk.after, page_entries).await {
            Ok(page) if page.is_empty() => {
                let (entry_seq, entry_hash) = store.journal_end().await?;
                // Entries that were made meanwhile are read on, once: what the head names is there for good.
                if entry_seq > walk.after && end != Some(entry_seq) {
                    end = Some(entry_seq);
                    continue;
                }
                walk.compare_end(entry_seq, entry_hash);
                break;
            }
            Ok(page) => {
                if !walk.over(&page) {
                    return Ok(walk.found);
                }
            }
            // A row that cannot be read spoils its page: the entry that it belongs to is found one by one.
            Err(error) if matches!(error.kind, StoreErrorKind::Corrupt(_)) && page_entries > 1 => {
                page_entries = 1;
            }
            Err(error) if matches!(error.kind, StoreErrorKind::Corrupt(_)) => {
                let entry_seq = walk.after.saturating_add(1);
                walk.found.broken = Some(BrokenRow { entry_seq, why: error.kind.to_string() });
                return Ok(walk.found);
            }
            Err(error) => return Err(error),
        }
        progress(walk.found.entries);
    }
    let beyond = checkpoint.filter(|it| it.entry_seq > walk.after && walk.found.broken.is_none());
    if let Some(checkpoint) = beyond {
        let why = format!("{} signed it off, and it is not there", checkpoint.signed_off_by);
        walk.found.broken = Some(BrokenRow { entry_seq: walk.after.saturating_add(1), why });
    }
    Ok(walk.found)
}

#[cfg(test)]
mod tests {
    use inspay_ledger::{BookAccount, EntryKind, OperationKey, Posting, Side, Unit};
    use inspay_primitives::{AccountId, U256};

    use super::*;

    /// An entry that is right in itself.
    fn entry(seq: i64, booked_at: Timestamp, previous_hash: B256) -> Entry {
        let owner = "ann".parse::<AccountId>().expect("a name");
        let line = |account_number, account, side| {
            let quantity = U256::from(5);
            Posting { account_number, account, unit: Unit::Credits, side, quantity }
        };
        let mut entry = Entry {
            seq,
            kind: EntryKind::Hold,
            operation: OperationKey::new(format!("hold {seq}")),
            event_at: booked_at,
            booked_at,
            transfer: None,
            order: None,
            reverses: None,
            postings: vec![
                line(1, BookAccount::Account(owner.clone()), Side::Debit),
                line(2, BookAccount::Held(owner), Side::Credit),
            ],
            lots: Vec::new(),
            moves: Vec::new(),
            facts: None,
            version: Entry::VERSION,
            previous_hash,
            hash: B256::ZERO,
        };
        entry.hash = entry.compute_hash();
        entry
    }

    fn told(second_at: i64) -> Option<String> {
        let first = entry(1, Timestamp::from_micros(20), GENESIS_HASH);
        let second = entry(2, Timestamp::from_micros(second_at), first.hash);
        assert_eq!(flaw(&first, 1, GENESIS_HASH, None, None), None);
        flaw(&second, 2, first.hash, Some(first.booked_at), None)
    }

    #[test]
    fn an_entry_booked_before_the_one_before_it_is_told() {
        assert_eq!(told(20), None);
        assert_eq!(told(21), None);
        let why = told(19).expect("goes back in time");
        assert!(why.starts_with("it was booked at "), "{why}");
    }
}
