//! The driver: does what [`Follow`] says, over the ports, one unit of work at a time.
//!
//! Never decides what a fact means, and never goes on from a commit whose end it has not seen: then it
//! reads the cursor again.

use std::sync::Arc;

use futures::{StreamExt, stream};
use inspay_ports::{
    Chain, ChainError, ChainErrorKind, ChainTags, Header, ProvenBlock, Store, StoreError,
    WatchFilter,
};
use inspay_primitives::{BlockRef, Clock, Fence, FencingNumber, Timestamp};
use tokio::sync::watch;

use crate::{
    audit::Auditor,
    catch_up::CatchUp,
    error::{FollowError, is_unusable_answer},
    follow::{Fact, Follow, FollowRules, HaltReason, Idle, Next},
    lease::LeaseHeld,
    meters,
    settings::FollowSettings,
    status::{FollowStatus, Stall},
    tags::TagsWatch,
};

/// Tries for the proof of one block in one step.
const PROOF_TRIES_MAX: u32 = 4;

/// What one step did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stepped {
    /// Nothing: there was nothing to do.
    Idle(Idle),
    /// Applied blocks, or moved the tags, in one commit.
    Applied {
        /// The tip afterwards.
        tip: BlockRef,
        /// Blocks added.
        added: usize,
        /// Blocks that left the chain.
        orphaned: usize,
        /// Transfers in the added blocks.
        transfers: usize,
    },
    /// Applied a part of a finalized span, in one commit.
    RangeApplied {
        /// The tip afterwards.
        tip: BlockRef,
        /// Transfers in it.
        transfers: usize,
    },
    /// Found the books to agree with the chain.
    Audited {
        /// Everything up to here is whole.
        up_to: u64,
    },
    /// Could not find the books to agree with the chain.
    AuditFailed(Stall),
    /// Applied nothing: the chain contradicts what cannot be given up.
    Halted(HaltReason),
}

impl Stepped {
    /// Whether the next step is likely to find something to do at once.
    #[must_use]
    pub const fn did_something(&self) -> bool {
        match self {
            Self::Applied { .. } | Self::RangeApplied { .. } | Self::Audited { .. } => true,
            Self::Idle(_) | Self::AuditFailed(_) | Self::Halted(_) => false,
        }
    }
}

/// Follows one chain. One per chain writes to a database: the holder of the chain's lease; where followers without a
/// lease meet, the cursor's revision refuses the second.
#[derive(Debug)]
pub struct Follower {
    pub(crate) chain: Arc<dyn Chain>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: FollowSettings,
    pub(crate) filter: WatchFilter,
    pub(crate) follow: Follow,
    pub(crate) catch_up: Option<CatchUp>,
    pub(crate) tags: TagsWatch,
    pub(crate) auditor: Auditor,
    fencing: FencingNumber,
    /// What the lease says of the stored window; unknown when nobody answered whether it was told.
    told_checked: Option<bool>,
    is_loaded: bool,
    last_commit_at: Option<Timestamp>,
    status: watch::Sender<FollowStatus>,
    applied: watch::Sender<u64>,
}

impl Follower {
    /// A follower that begins where the store's cursor stands.
    #[must_use]
    pub fn new(
        chain: Arc<dyn Chain>,
        store: Arc<dyn Store>,
        settings: FollowSettings,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let status = watch::Sender::new(FollowStatus::new(settings.chain_id));
        Self {
            filter: settings.filter(),
            follow: Follow::restore(rules(&settings, FencingNumber::UNLEASED), None, &[]),
            chain,
            store,
            clock,
            settings,
            catch_up: None,
            tags: TagsWatch::default(),
            auditor: Auditor::default(),
            fencing: FencingNumber::UNLEASED,
            told_checked: None,
            is_loaded: false,
            last_commit_at: None,
            status,
            applied: watch::Sender::new(0),
        }
    }

    /// Where the follower stands, changing after every step that changed it.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<FollowStatus> {
        self.status.subscribe()
    }

    /// Ticks after every commit, so that settlement wakes at once.
    #[must_use]
    pub fn applied(&self) -> watch::Receiver<u64> {
        self.applied.subscribe()
    }

    /// Does one unit of work: at most one commit near the head, one of a range, or one audit.
    ///
    /// After an error the next step goes on from what is stored.
    pub async fn step(&mut self) -> Result<Stepped, FollowError> {
        let mut stepped = self.act().await;
        if let Err(error) = self.tell_whether_checked(&stepped).await {
            stepped = Err(error);
        }
        if let Err(error) = &stepped {
            if matches!(error, FollowError::Store(_)) {
                self.is_loaded = false;
                self.catch_up = None;
            }
            if self.catch_up.is_none() {
                self.follow.look();
            }
        }
        self.publish(&stepped);
        stepped
    }

    /// Says in the lease, when it changes, whether the stored window is on the chain. Only then is anything credited.
    async fn tell_whether_checked(
        &mut self,
        stepped: &Result<Stepped, FollowError>,
    ) -> Result<(), FollowError> {
        let is_checked = match stepped {
            Ok(Stepped::Halted(_)) => false,
            Ok(
                Stepped::Idle(_)
                | Stepped::Applied { .. }
                | Stepped::RangeApplied { .. }
                | Stepped::Audited { .. }
                | Stepped::AuditFailed(_),
            ) => self.follow.is_checked(),
            Err(_) => return Ok(()),
        };
        if !self.is_leased() || self.told_checked == Some(is_checked) {
            return Ok(());
        }
        let fence = Fence { chain_id: self.settings.chain_id, number: self.fencing };
        self.told_checked = None;
        self.store.mark_checked(fence, is_checked).await?;
        self.told_checked = Some(is_checked);
        self.wake_settlement();
        Ok(())
    }

    /// Goes on under another holding of the chain's lease, from what is stored.
    pub(crate) fn begin_holding(&mut self, number: FencingNumber) {
        self.fencing = number;
        // A new holding begins unchecked.
        self.told_checked = Some(false);
        self.is_loaded = false;
        self.catch_up = None;
        self.follow.look();
        self.status.send_modify(|status| *status = FollowStatus::new(status.chain_id));
    }

    /// The holding of the chain's lease that it follows under.
    pub(crate) const fn fencing(&self) -> FencingNumber {
        self.fencing
    }

    /// Whether it follows under a lease.
    pub(crate) fn is_leased(&self) -> bool {
        self.fencing != FencingNumber::UNLEASED
    }

    pub(crate) fn show_standby(&self, held: LeaseHeld) {
        let shown =
            FollowStatus { standby: Some(held), ..FollowStatus::new(self.settings.chain_id) };
        self.show_if_new(shown);
    }

    pub(crate) fn show_failure(&self, error: StoreError) {
        let before = self.status.borrow().clone();
        let stalled = Some(Stall::of(&FollowError::Store(error)));
        self.show_if_new(FollowStatus { stalled, ..before });
    }

    fn show_if_new(&self, status: FollowStatus) {
        self.status.send_if_modified(|shown| {
            let is_new = *shown != status;
            *shown = status;
            is_new
        });
    }

    fn wake_settlement(&self) {
        self.applied.send_modify(|commits| *commits = commits.wrapping_add(1));
    }

    async fn act(&mut self) -> Result<Stepped, FollowError> {
        if !self.is_loaded {
            self.load().await?;
        }
        if self.catch_up.is_some() {
            return self.catch_up_step().await;
        }
        if self.auditor.is_due_at_once() {
            return self.audit().await;
        }
        if matches!(self.follow.next(), Next::Idle(_) | Next::Halt(_)) {
            self.follow.look();
        }
        loop {
            match self.follow.next() {
                Next::Head => self.look_at_head().await?,
                Next::HeaderAt(number) => {
                    let answer = self.chain.header_at(number).await;
                    self.learn_header(answer)?;
                }
                Next::HeaderByHash(hash) => {
                    let answer = self.chain.header_by_hash(hash).await;
                    self.learn_header(answer)?;
                }
                Next::Headers { from, to } => {
                    let headers = self.chain.headers(from, to).await?;
                    self.follow.learn(Fact::Headers(headers))?;
                }
                Next::Prove => {
                    let proven = self.prove().await?;
                    self.follow.learn(Fact::Proven(proven))?;
                }
                Next::Commit => return self.commit().await,
                Next::Ranges { from, to } => {
                    self.begin_catch_up(from, to).await?;
                    return self.catch_up_step().await;
                }
                Next::Idle(idle) => {
                    if let Some(stepped) = self.use_idle_time(idle).await? {
                        return Ok(stepped);
                    }
                }
                Next::Halt(reason) => {
                    // A person may have gone back behind it meanwhile.
                    self.is_loaded = false;
                    return Ok(Stepped::Halted(reason));
                }
            }
        }
    }

    /// Reads where the store stands; everything in memory is given up for it.
    pub(crate) async fn load(&mut self) -> Result<(), FollowError> {
        let chain_id = self.settings.chain_id;
        let cursor = self.store.cursor(chain_id).await?;
        let window = match cursor {
            Some(_) => self.store.window(chain_id).await?,
            None => Vec::new(),
        };
        self.follow = Follow::restore(rules(&self.settings, self.fencing), cursor, &window);
        self.load_halts().await?;
        self.tags.forget();
        self.is_loaded = true;
        Ok(())
    }

    async fn look_at_head(&mut self) -> Result<(), FollowError> {
        self.ask_tags_if_due();
        let head = self.chain.head().await?;
        let must_wait = !self.tags.is_known();
        self.take_tags(must_wait).await?;
        self.follow.learn(Fact::Head(head))?;
        Ok(())
    }

    fn learn_header(
        &mut self,
        answer: Result<Header, inspay_ports::ChainError>,
    ) -> Result<(), FollowError> {
        let fact = match answer {
            Ok(header) => Fact::Header(header),
            Err(error) if matches!(error.kind, ChainErrorKind::NotYet(_)) => Fact::Missing,
            Err(error) => return Err(error.into()),
        };
        Ok(self.follow.learn(fact)?)
    }

    /// Proves the blocks at hand, several at once. Where one cannot be proven, those below it go on alone,
    /// unless they are a part of another branch.
    async fn prove(&self) -> Result<Vec<ProvenBlock>, FollowError> {
        let headers = self.follow.to_prove();
        // Collected first: a closure that lives in the stream would keep the future from being `Send`.
        let asked: Vec<_> = headers.iter().map(|header| self.prove_one(header)).collect();
        let mut proofs = stream::iter(asked).buffered(self.settings.proof_concurrency.max(1));
        let mut proven = Vec::with_capacity(headers.len());
        while let Some(answer) = proofs.next().await {
            match answer {
                Ok(block) => proven.push(block),
                Err(source) => {
                    let number = headers.get(proven.len()).map_or(0, |header| header.block.number);
                    let error = FollowError::NotProven { number, source };
                    if proven.is_empty() || self.follow.changes_branch() {
                        return Err(error);
                    }
                    tracing::debug!(
                        chain.id = self.settings.chain_id.0,
                        block.number = number,
                        error = &error as &dyn std::error::Error,
                        "the blocks below are applied without it"
                    );
                    break;
                }
            }
        }
        Ok(proven)
    }

    /// Asks again at once where an answer could not be used: one hole among many blocks must not make all of them be
    /// read again.
    async fn prove_one(&self, header: &Header) -> Result<ProvenBlock, ChainError> {
        let mut tries = 1;
        loop {
            match self.chain.proven_block(header, &self.filter).await {
                Err(error) if tries < PROOF_TRIES_MAX && is_unusable_answer(&error.kind) => {
                    tries += 1;
                }
                answered => return answered,
            }
        }
    }

    pub(crate) async fn commit(&mut self) -> Result<Stepped, FollowError> {
        let Some(commit) = self.follow.take_commit() else {
            return Ok(Stepped::Idle(Idle::AtHead));
        };
        let tip = commit.cursor.tip;
        let (added, orphaned) = (commit.added.len(), commit.orphaned.len());
        let transfers = commit.added.iter().map(|applied| applied.transfers.len()).sum();
        self.store.commit_blocks(commit).await?;
        self.follow.committed();
        if orphaned > 0 {
            self.tags.forget();
            tracing::info!(
                chain.id = self.settings.chain_id.0,
                block.number = tip.number,
                orphaned,
                added,
                "the chain changed its branch"
            );
        }
        meters::committed(self.settings.chain_id, added, transfers, orphaned);
        self.tick();
        Ok(Stepped::Applied { tip, added, orphaned, transfers })
    }

    /// At the head there is time for what does not hurry: the tags, then the audit. `None` if it brought
    /// something to commit.
    async fn use_idle_time(&mut self, idle: Idle) -> Result<Option<Stepped>, FollowError> {
        match idle {
            Idle::AtHead => {
                self.take_tags(true).await?;
                if self.follow.next() == Next::Commit {
                    return Ok(None);
                }
                if self.is_audit_due() {
                    return self.audit().await.map(Some);
                }
                Ok(Some(Stepped::Idle(idle)))
            }
            Idle::NodeLags { .. } | Idle::BeforeStart { .. } => Ok(Some(Stepped::Idle(idle))),
        }
    }

    fn is_audit_due(&self) -> bool {
        let every = i64::try_from(self.settings.audit_interval.as_micros()).unwrap_or(i64::MAX);
        self.auditor.is_due(self.clock.now(), self.follow.needs_audit(), every)
    }

    /// Says that something was committed.
    pub(crate) fn tick(&mut self) {
        self.last_commit_at = Some(self.clock.now());
        let before = self.status.borrow().clone();
        self.show(before.stalled, before.halted);
        self.wake_settlement();
    }

    /// Whether all is applied that the last look has shown: then the next step can wait for a new head.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.catch_up.is_none()
            && !self.auditor.is_due_at_once()
            && self.follow.next() == Next::Idle(Idle::AtHead)
    }

    fn publish(&self, stepped: &Result<Stepped, FollowError>) {
        let (stalled, halted) = match stepped {
            Ok(Stepped::Halted(reason)) => (None, Some(*reason)),
            Ok(Stepped::Idle(Idle::NodeLags { head_number })) => {
                let tip_number = self.follow.cursor().map_or(0, |cursor| cursor.tip.number);
                (Some(Stall::NodeLags { head_number: *head_number, tip_number }), None)
            }
            Ok(
                Stepped::Idle(Idle::AtHead | Idle::BeforeStart { .. })
                | Stepped::Applied { .. }
                | Stepped::RangeApplied { .. }
                | Stepped::Audited { .. }
                | Stepped::AuditFailed(_),
            ) => (None, None),
            Err(error) => {
                let stall = Stall::of(error);
                meters::failed(self.settings.chain_id, stall.code());
                (Some(stall), None)
            }
        };
        self.show(stalled, halted);
    }

    fn show(&self, stalled: Option<Stall>, halted: Option<HaltReason>) {
        let cursor = self.follow.cursor();
        let known_head = self.status.borrow().head_number;
        let head_number = self.follow.head().map(|head| head.block.number).or(known_head);
        let applied = cursor.map_or(self.settings.start_number, |cursor| cursor.tip.number);
        let status = FollowStatus {
            chain_id: self.settings.chain_id,
            standby: None,
            checked: self.follow.is_checked(),
            catching_up: self.catch_up.is_some(),
            tip: cursor.map(|cursor| cursor.tip),
            tags: cursor.map_or_else(ChainTags::default, |cursor| cursor.tags),
            audited_to: cursor.map_or(0, |cursor| cursor.audited_to),
            head_number,
            lag_blocks: head_number.map_or(0, |head| head.saturating_sub(applied)),
            stalled,
            halted,
            last_commit_at: self.last_commit_at,
        };
        meters::standing(&status);
        self.show_if_new(status);
    }
}

const fn rules(settings: &FollowSettings, fencing: FencingNumber) -> FollowRules {
    FollowRules {
        chain_id: settings.chain_id,
        fencing,
        start_number: settings.start_number,
        finality_depth: settings.finality_depth,
        batch_blocks: settings.batch_blocks,
        range_blocks_min: settings.range_blocks_min,
        window_blocks_max: settings.window_blocks_max,
    }
}
