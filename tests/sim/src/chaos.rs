//! What goes wrong inside a process: it dies at a call, a call takes long, the store is lost.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::Duration,
};

use inspay_ports::{StoreError, StoreErrorKind};
use tokio::{
    sync::Notify,
    time::{Sleep, sleep},
};

use crate::{dice::Dice, endpoint::Shared, journal::Event};

#[derive(Debug)]
struct State {
    dice: Dice,
    /// Calls until the process dies.
    dies_in: Option<u64>,
    /// While it sleeps, nothing in the process goes on.
    paused: Option<Pin<Box<Sleep>>>,
}

/// The troubles of one process between its start and its end.
#[derive(Debug)]
pub(crate) struct Chaos {
    shared: Arc<Shared>,
    name: String,
    state: Mutex<State>,
    died: Notify,
}

enum Trouble {
    None,
    DieBefore,
    DieAfter,
    LoseBefore,
    LoseAfter,
}

impl Chaos {
    pub(crate) fn new(shared: Arc<Shared>, name: String, mut dice: Dice) -> Self {
        let dies_in = dice.chance(700).then(|| dice.between(20, 900));
        Self {
            shared,
            name,
            state: Mutex::new(State { dice, dies_in, paused: None }),
            died: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends when the process dies.
    pub(crate) async fn died(&self) {
        self.died.notified().await;
    }

    /// Goes on with the process's work whenever it is not paused.
    pub(crate) async fn while_awake<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|context| {
            let mut state = self.state();
            if let Some(paused) = &mut state.paused {
                match paused.as_mut().poll(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(()) => state.paused = None,
                }
            }
            drop(state);
            work.as_mut().poll(context)
        })
        .await
    }

    fn draw(&self, is_write: bool) -> (Trouble, u64) {
        let mut state = self.state();
        if self.shared.is_calm() {
            return (Trouble::None, 0);
        }
        let State { dice, dies_in, paused } = &mut *state;
        if dice.below(3_000) == 0 {
            let length = Duration::from_secs(dice.between(5, 60));
            *paused = Some(Box::pin(sleep(length)));
            self.shared.journal.saw(Event::Paused);
            self.shared.journal.tell(format_args!("{} is paused for {length:?}", self.name));
        }
        let wait_ms = match dice.below(1_000) {
            0..3 => dice.between(1_000, 6_000),
            3..200 => dice.between(1, 40),
            _ => 0,
        };
        if let Some(calls) = dies_in {
            *calls = calls.saturating_sub(1);
            if *calls == 0 {
                *dies_in = None;
                let before = dice.chance(500);
                return (if before { Trouble::DieBefore } else { Trouble::DieAfter }, wait_ms);
            }
        }
        let trouble = match dice.below(1_000) {
            0..4 => Trouble::LoseBefore,
            4..8 if is_write => Trouble::LoseAfter,
            _ => Trouble::None,
        };
        (trouble, wait_ms)
    }

    async fn die(&self, event: Event, call: &str) {
        self.shared.journal.saw(event);
        self.shared.journal.tell(format_args!("{}: {} ({call})", self.name, event.as_str()));
        self.died.notify_one();
        std::future::pending().await
    }

    /// Makes a call of the store.
    pub(crate) async fn store<T>(
        &self,
        call: &'static str,
        is_write: bool,
        act: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let lost = || {
            let kind = StoreErrorKind::Unreachable("the connection was lost".to_owned());
            Err(StoreError::new(call, kind))
        };
        let (trouble, wait_ms) = self.draw(is_write);
        if wait_ms > 0 {
            sleep(Duration::from_millis(wait_ms)).await;
        }
        match trouble {
            Trouble::None => act.await,
            Trouble::DieBefore => {
                self.die(Event::CrashBefore, call).await;
                lost()
            }
            Trouble::DieAfter => {
                let _nobody_hears = act.await;
                self.die(Event::CrashAfter, call).await;
                lost()
            }
            Trouble::LoseBefore => {
                self.shared.journal.saw(Event::StoreLost);
                lost()
            }
            Trouble::LoseAfter => {
                act.await?;
                self.shared.journal.saw(Event::AnswerLost);
                self.shared.journal.tell(format_args!("{}: answer lost ({call})", self.name));
                lost()
            }
        }
    }

    /// Makes a call of the chain.
    pub(crate) async fn chain<T>(&self, call: &'static str, act: impl Future<Output = T>) -> T {
        let (trouble, _) = self.draw(false);
        match trouble {
            Trouble::None | Trouble::LoseBefore | Trouble::LoseAfter => act.await,
            Trouble::DieBefore => {
                self.die(Event::CrashBefore, call).await;
                act.await
            }
            Trouble::DieAfter => {
                let told = act.await;
                self.die(Event::CrashAfter, call).await;
                told
            }
        }
    }
}
