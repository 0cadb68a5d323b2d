//! Fail points: where a test lets the process die by its own SIGKILL, to see what a crash there leaves behind.
//!
//! Every effect of the workers goes through a port, so the ports are wrapped: a point before and after each call, and
//! one inside each commit of several statements, behind the last statement. A build without debug assertions has none
//! of this, and no build does anything unless the environment names a point.

mod books;
mod chain;
mod store;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use rustix::process::{Signal, getpid, kill_process};

pub(crate) use books::FailingBooks;
pub(crate) use chain::FailingChain;
pub(crate) use store::FailingStore;

use crate::exit::{Failure, FailureKind, Outcome};

/// Names the point at which to die, such as `commit_blocks:before:3`; `list` prints all of them instead.
pub(crate) const VARIABLE: &str = "INSPAY_FAIL_POINT";

/// Commits of several statements by what they attempt, as the stores call it.
const COMMITS: &[&str] = &[
    "commit blocks",
    "commit a range",
    "commit halts",
    "write the books",
    "take a lease",
    "free slots",
];

/// Where a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nothing of it has happened.
    Before,
    /// Its statements were run, its commit was not.
    Inside,
    /// It is done, and nobody knows.
    After,
}

impl Place {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::Inside => "inside",
            Self::After => "after",
        }
    }
}

/// The point that is armed, with how often it is passed before it fires.
#[derive(Debug)]
pub(crate) struct FailPoint {
    call: String,
    place: Place,
    left: AtomicU64,
}

impl FailPoint {
    /// Reads `call:place:count`.
    pub(crate) fn parse(text: &str) -> Outcome<Self> {
        let refuse = || {
            let why = format!("{VARIABLE}={text:?} is not of the form call:place:count");
            Failure::plain(FailureKind::Settings, why)
        };
        let [call, place, count] = text.split(':').collect::<Vec<_>>()[..] else {
            return Err(refuse());
        };
        let place = [Place::Before, Place::Inside, Place::After]
            .into_iter()
            .find(|known| known.as_str() == place)
            .ok_or_else(refuse)?;
        let count: u64 = count.parse().ok().filter(|count| *count > 0).ok_or_else(refuse)?;
        if names().iter().all(|name| *name != format!("{call}:{}", place.as_str())) {
            let why = format!("{VARIABLE}={text:?} names no point; `list` prints all of them");
            return Err(Failure::plain(FailureKind::Settings, why));
        }
        Ok(Self { call: call.to_owned(), place, left: AtomicU64::new(count) })
    }

    /// Dies here, if this is the point and its count is up.
    pub(crate) fn pass(&self, call: &str, place: Place) {
        if self.place != place || self.call != call {
            return;
        }
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            tracing::warn!(call, place = place.as_str(), "dying at the fail point");
            // Nothing below is reached: the signal is there before the call returns.
            if let Err(error) = kill_process(getpid(), Signal::KILL) {
                tracing::error!(%error, "the process cannot kill itself");
            }
        }
    }

    /// As [`Self::pass`], for a store's commit by what it attempts.
    pub(crate) fn commit_hook(self: &Arc<Self>) -> Arc<dyn Fn(&'static str) + Send + Sync> {
        let point = Arc::clone(self);
        Arc::new(move |act| point.pass(&act.replace(' ', "_"), Place::Inside))
    }
}

/// Every point, without its count.
pub(crate) fn names() -> Vec<String> {
    let calls = store::CALLS.iter().copied().flatten().chain(chain::CALLS).chain(books::CALLS);
    let around = calls.flat_map(|call| [format!("{call}:before"), format!("{call}:after")]);
    let inside = COMMITS.iter().map(|act| format!("{}:inside", act.replace(' ', "_")));
    around.chain(inside).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_named_whole_or_refused() {
        let point = FailPoint::parse("commit_blocks:before:3").expect("is a point");
        assert_eq!((point.call.as_str(), point.place), ("commit_blocks", Place::Before));
        assert!(FailPoint::parse("write_the_books:inside:1").is_ok());
        for wrong in [
            "",
            "commit_blocks",
            "commit_blocks:before",
            "commit_blocks:before:0",
            "commit_blocks:beside:1",
            "commit_blocks:inside:1:1",
            "cursor:inside:1",
            "nothing:before:1",
        ] {
            assert!(FailPoint::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn other_points_and_earlier_passes_do_nothing() {
        let point = FailPoint::parse("commit_blocks:after:3").expect("is a point");
        point.pass("commit_blocks", Place::Before);
        point.pass("commit_range", Place::After);
        assert_eq!(point.left.load(Ordering::SeqCst), 3);
        point.pass("commit_blocks", Place::After);
        point.pass("commit_blocks", Place::After);
        assert_eq!(point.left.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn every_point_has_a_name_of_its_own() {
        let mut names = names();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
