//! A store in memory with the guarantees of the databases.
//!
//! Every write is checked whole before anything of it changes, so a refused one leaves no trace. A
//! snapshot is what a crash would leave on disk.

mod books;
mod cases;
mod credits;
mod follow;
mod halts;
mod laws;
mod lease;
mod read;
mod rows;
mod sale;
mod subscriptions;
mod wallets;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{StoreError, StoreErrorKind};
use rows::State;

/// How a commit goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitFault {
    /// The connection is lost before anything is written.
    NothingWritten,
    /// Everything is written, but the answer is lost.
    AnswerLost,
}

/// Everything a [`FakeStore`] keeps, at one moment.
#[derive(Clone, Debug, Default)]
pub struct StoreSnapshot(State);

/// A store in memory.
#[derive(Debug, Default)]
pub struct FakeStore {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    state: State,
    commits: u64,
    fault: Option<(u64, CommitFault)>,
    unreachable: bool,
}

impl FakeStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A store that goes on from a snapshot, as a process does after a crash.
    #[must_use]
    pub fn from_snapshot(snapshot: StoreSnapshot) -> Self {
        Self { inner: Mutex::new(Inner { state: snapshot.0, ..Inner::default() }) }
    }

    /// Everything kept so far.
    #[must_use]
    pub fn snapshot(&self) -> StoreSnapshot {
        StoreSnapshot(self.lock().state.clone())
    }

    /// How many writes were tried, refused ones included.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.lock().commits
    }

    /// Lets the write after `writes` further ones go wrong, once.
    pub fn fail_commit_after(&self, writes: u64, fault: CommitFault) {
        let mut inner = self.lock();
        inner.fault = Some((inner.commits.saturating_add(writes), fault));
    }

    /// Makes every read and write fail, or work again.
    pub fn set_unreachable(&self, unreachable: bool) {
        self.lock().unreachable = unreachable;
    }

    /// Lets time pass on the store's own clock, by which leases run out; it stands still otherwise.
    pub fn pass(&self, time: Duration) {
        let mut inner = self.lock();
        inner.state.now = inner.state.now.saturating_add(time);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(
        &self,
        act: &'static str,
        read: impl FnOnce(&State) -> Result<T, StoreErrorKind>,
    ) -> Result<T, StoreError> {
        let inner = self.lock();
        if inner.unreachable {
            return Err(StoreError::new(act, lost()));
        }
        read(&inner.state).map_err(|kind| StoreError::new(act, kind))
    }

    fn write<T>(
        &self,
        act: &'static str,
        write: impl FnOnce(&mut State) -> Result<T, StoreErrorKind>,
    ) -> Result<T, StoreError> {
        let mut inner = self.lock();
        if inner.unreachable {
            return Err(StoreError::new(act, lost()));
        }
        let number = inner.commits;
        inner.commits = number.saturating_add(1);
        let fault = inner.fault.take_if(|(due, _)| *due == number).map(|(_, fault)| fault);
        match fault {
            Some(CommitFault::NothingWritten) => Err(StoreError::new(act, lost())),
            Some(CommitFault::AnswerLost) => {
                write(&mut inner.state).map_err(|kind| StoreError::new(act, kind))?;
                Err(StoreError::new(act, lost()))
            }
            None => write(&mut inner.state).map_err(|kind| StoreError::new(act, kind)),
        }
    }
}

fn lost() -> StoreErrorKind {
    StoreErrorKind::Unreachable("the fake store was told to fail".to_owned())
}

/// The first `limit` of what comes.
fn first<T>(rows: impl Iterator<Item = T>, limit: u32) -> Vec<T> {
    rows.take(usize::try_from(limit).unwrap_or(usize::MAX)).collect()
}
