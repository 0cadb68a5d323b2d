//! What happened in a run: how often, in which order, and which law it broke.

use std::{
    fmt::{self, Write as _},
    io::Write as _,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;

macro_rules! events {
    ($($(#[$kind:meta])* $name:ident = $text:literal,)+) => {
        /// What can happen in a run. Over a full run each of them must have happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Event { $(#[doc = $text] $name,)+ }

        impl Event {
            /// Every event, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The event for people.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

events! {
    Block = "block",
    EmptyBlock = "empty block",
    FullBlock = "full block",
    Reorg = "reorg",
    DeepReorg = "reorg as deep as the chain allows",
    ShorterBranch = "reorg to a lower head",
    EmptyReorg = "reorg of empty blocks only",
    BranchReturns = "branch that comes back",
    Remined = "chain transaction mined again",
    LateMined = "chain transaction mined long after it was sent",
    NeverMined = "chain transaction gone for good",
    Reverted = "chain transaction reverted",
    ChangedAmount = "chain transaction mined again with other amounts",
    Withdrawal = "transfer out of a treasury",
    BetweenTreasuries = "transfer between treasuries",
    PaysByReference = "buyer pays by reference",
    PaysExactly = "buyer pays the exact amount",
    PaysInParts = "buyer pays in parts",
    PaysTooLittle = "buyer pays too little",
    PaysTooMuch = "buyer pays too much",
    PaysLate = "buyer pays late",
    PaysTwice = "buyer pays twice",
    PaysWrongAsset = "buyer pays with another asset",
    PaysByBundle = "payments in one bundle",
    PaysAtDeadline = "buyer pays at the deadline",
    Abandons = "buyer never pays",
    RoundAmount = "round amount from nobody",
    NearAmount = "amount next to an order's from nobody",
    ZeroValue = "zero value with a reference",
    FakeToken = "fake token with a reference",
    ReplayedReference = "replayed reference",
    AmountWanted = "new order wants an ended order's amount",
    StaleHead = "endpoint lags",
    OtherFork = "endpoint stays on another fork",
    Unindexed = "endpoint has not indexed its head",
    EmptyAnswer = "endpoint answers empty for its head",
    MissingLog = "endpoint leaves a log out",
    WrongOrder = "endpoint answers in wrong order",
    DoubledAnswer = "endpoint tells something twice",
    Truncated = "endpoint's answer is cut off",
    Hang = "endpoint hangs",
    TooManyRequests = "endpoint answers 429",
    Unavailable = "endpoint answers 503",
    Reset = "endpoint resets the connection",
    RangeRefused = "endpoint refuses a range",
    WrongBlock = "endpoint answers with another block",
    MissingReply = "endpoint leaves a reply of a batch out",
    AlteredAmount = "endpoint lies about an amount",
    AlteredBalance = "endpoint lies about a balance",
    ForgedLog = "endpoint forges a log",
    AlteredHeader = "endpoint lies in a header",
    AlteredCalldata = "endpoint lies in calldata",
    OtherChain = "endpoint is on another chain",
    NoBatches = "endpoint takes no batches",
    NoBlockReceipts = "endpoint gives no receipts by block",
    StoreLost = "store is lost before a write",
    AnswerLost = "store's answer is lost after a write",
    CrashBefore = "process dies before a call",
    CrashAfter = "process dies after a call",
    Downtime = "process stays down for long",
    Paused = "process is paused",
    SecondProcess = "second process over the same store",
    CursorMoved = "follower is told that the cursor moved",
    LeaseTaken = "lease taken",
    Fenced = "write refused to one whose lease is gone",
    ClockAhead = "clock jumps ahead",
    ClockBack = "clock jumps back",
    RateOutage = "no rate for a while",
    CaughtUp = "span read in ranges",
    Applied = "blocks applied",
    BranchChanged = "branch changed in the store",
    Settled = "transfer settled",
    SettledLate = "late transfer priced anew",
    Suspended = "transfer in suspense",
    Ignored = "transfer ignored",
    TakenBack = "settlement taken back",
    SettledAgain = "transfer settled again",
    OrderClosed = "order closed",
    SlotsFreed = "amounts freed",
    Checked = "laws checked",
    CheckedWhole = "laws checked over the whole store",
}

/// How often each event happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally(Vec<u64>);

impl Default for Tally {
    fn default() -> Self {
        Self(vec![0; Event::ALL.len()])
    }
}

impl Tally {
    /// How often that happened.
    #[must_use]
    pub fn of(&self, event: Event) -> u64 {
        self.0.get(event as usize).copied().unwrap_or_default()
    }

    /// Adds another run's.
    pub fn add(&mut self, other: &Self) {
        for (mine, more) in self.0.iter_mut().zip(&other.0) {
            *mine = mine.saturating_add(*more);
        }
    }

    /// Events that never happened.
    #[must_use]
    pub fn missing(&self) -> Vec<Event> {
        Event::ALL.iter().copied().filter(|event| self.of(*event) == 0).collect()
    }
}

/// A law that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// Which law, in a few words.
    pub law: &'static str,
    /// What was found.
    pub found: String,
}

/// FNV-1a over the text of the trace: the same run has the same hash.
#[derive(Debug)]
struct Hash(u64);

impl fmt::Write for Hash {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Inner {
    tally: Tally,
    hash: Hash,
    lines: u64,
    breach: Option<Breach>,
}

/// The record of one run.
#[derive(Debug)]
pub(crate) struct Journal {
    started: Instant,
    is_shown: bool,
    inner: Mutex<Inner>,
}

impl Journal {
    /// Begins now; `is_shown` prints each line as it is told.
    pub(crate) fn new(is_shown: bool) -> Self {
        let inner = Inner {
            tally: Tally::default(),
            hash: Hash(0xcbf2_9ce4_8422_2325),
            lines: 0,
            breach: None,
        };
        Self { started: Instant::now(), is_shown, inner: Mutex::new(inner) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn saw(&self, event: Event) {
        self.saw_times(event, 1);
    }

    pub(crate) fn saw_times(&self, event: Event, times: u64) {
        if let Some(count) = self.lock().tally.0.get_mut(event as usize) {
            *count = count.saturating_add(times);
        }
    }

    /// One line of the trace.
    pub(crate) fn tell(&self, line: fmt::Arguments<'_>) {
        let at_ms = self.started.elapsed().as_millis();
        let mut inner = self.lock();
        inner.lines = inner.lines.saturating_add(1);
        // Hashing text cannot fail.
        let _infallible = writeln!(inner.hash, "{at_ms} {line}");
        if self.is_shown {
            // Somebody who closed the pipe has read enough.
            let _closed = writeln!(std::io::stdout(), "{at_ms:>9} {line}");
        }
    }

    /// Notes the first law that did not hold.
    pub(crate) fn broken(&self, law: &'static str, found: String) {
        self.tell(format_args!("BROKEN {law}: {found}"));
        self.lock().breach.get_or_insert(Breach { law, found });
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.lock().breach.is_some()
    }

    pub(crate) fn tally(&self) -> Tally {
        self.lock().tally.clone()
    }

    pub(crate) fn breach(&self) -> Option<Breach> {
        self.lock().breach.clone()
    }

    /// The hash of the trace, and its lines.
    pub(crate) fn trace(&self) -> (u64, u64) {
        let inner = self.lock();
        (inner.hash.0, inner.lines)
    }
}
