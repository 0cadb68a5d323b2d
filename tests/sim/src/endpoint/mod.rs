//! Simulated endpoints: the chain adapter's transport, with everything that goes wrong on the way.
//!
//! Never wrong by accident: each fault is drawn from the seed, counted, and gone once faults are off.

mod answers;
mod lies;
mod profile;

use std::{
    fmt::Write as _,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use inspay_chain_evm::{Reply, ReplyLimits, Transport};
use inspay_ports::ChainErrorKind;
use tokio::time::sleep;

use crate::{
    chain::SimChain,
    dice::Dice,
    journal::{Event, Journal},
};
use answers::{Asked, HONEST_CHAIN_ID, Node, Told};
use profile::View;
pub(crate) use profile::{Character, Profile};

/// What the world shares: the chain behind all endpoints, and whether anything may go wrong.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) chain: Mutex<SimChain>,
    pub(crate) journal: Journal,
    pub(crate) is_calm: AtomicBool,
    /// Whether endpoints stay on a branch even when it lies below what the chain says is safe.
    pub(crate) is_stubborn: bool,
}

impl Shared {
    pub(crate) fn chain(&self) -> MutexGuard<'_, SimChain> {
        self.chain.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_calm(&self) -> bool {
        self.is_calm.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct State {
    dice: Dice,
    view: View,
}

/// One endpoint.
#[derive(Debug)]
pub(crate) struct SimEndpoint {
    number: usize,
    name: String,
    profile: Profile,
    shared: Arc<Shared>,
    state: Mutex<State>,
}

/// What becomes of a request on its way.
enum Passage {
    Through,
    Hang,
    Reset,
    Status(u16, Option<u64>),
    Limited,
    Truncated,
}

impl SimEndpoint {
    pub(crate) fn new(number: usize, profile: Profile, shared: Arc<Shared>, dice: Dice) -> Self {
        let state = Mutex::new(State { dice, view: View::default() });
        Self { number, name: format!("node-{number}.sim"), profile, shared, state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the chain anew.
    pub(crate) fn look(&self) {
        let mut state = self.state();
        let State { dice, view } = &mut *state;
        let (safe, _) = self.shared.chain().tags();
        // A node that is left behind comes back before the chain says that its branch is none.
        if !self.shared.is_stubborn
            && view.branch.first().is_some_and(|first| first.number() <= safe)
        {
            view.branch.clear();
        }
        *view = if self.shared.is_calm() {
            View::default()
        } else if dice.chance(500) {
            View::draw(dice, &self.profile, &self.shared)
        } else {
            return;
        };
    }

    fn passage(&self) -> (Passage, u64) {
        let mut state = self.state();
        let dice = &mut state.dice;
        let latency_ms = dice.between(5, 200);
        if self.shared.is_calm() || !dice.chance(self.profile.trouble) {
            return (Passage::Through, latency_ms);
        }
        let (passage, event) = match dice.below(7) {
            0 if dice.chance(300) => (Passage::Hang, Event::Hang),
            0 | 1 => (Passage::Reset, Event::Reset),
            2 => {
                let rest = dice.chance(500).then(|| dice.between(1, 5));
                (Passage::Status(429, rest), Event::TooManyRequests)
            }
            3 => (Passage::Limited, Event::TooManyRequests),
            4 | 5 => (Passage::Status(503, None), Event::Unavailable),
            _ => (Passage::Truncated, Event::Truncated),
        };
        self.saw(event);
        (passage, latency_ms)
    }

    fn saw(&self, event: Event) {
        self.shared.journal.saw(event);
        self.shared.journal.tell(format_args!("{}: {}", self.name, event.as_str()));
    }

    fn answer(&self, body: &[u8]) -> String {
        let (calls, is_batch) = Asked::read(body);
        let mut state = self.state();
        let State { dice, view } = &mut *state;
        let chain = self.shared.chain();
        let is_calm = self.shared.is_calm();
        if is_batch && !self.profile.takes_batches {
            self.shared.journal.saw(Event::NoBatches);
            return r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"batches are not supported"}}"#.to_owned();
        }
        let is_stranger = self.profile.character == Character::Stranger;
        let chain_id = if is_stranger { HONEST_CHAIN_ID + 1 } else { HONEST_CHAIN_ID };
        let node =
            Node { number: self.number, chain: &chain, view, profile: &self.profile, chain_id };
        let mut replies: Vec<String> = Vec::with_capacity(calls.len());
        for asked in &calls {
            let mut told = node.answer(asked);
            self.count(asked, &told, is_stranger);
            if !is_calm && self.profile.wrong > 0 && dice.chance(self.profile.wrong) {
                let character = self.profile.character;
                if let Some((wrong, event)) = lies::twist(dice, character, &node, asked, &told) {
                    told = wrong;
                    self.saw(event);
                }
            }
            let mut reply = format!(r#"{{"jsonrpc":"2.0","id":{},"#, asked.id);
            let _infallible = match &told {
                Told::Result(text) => write!(reply, r#""result":{text}}}"#),
                Told::Error(code, message) => {
                    write!(reply, r#""error":{{"code":{code},"message":"{message}"}}}}"#)
                }
            };
            replies.push(reply);
        }
        if !is_batch {
            return replies.pop().unwrap_or_default();
        }
        let is_sloppy = !is_calm && self.profile.character == Character::Sloppy;
        if is_sloppy && dice.chance(self.profile.wrong) {
            let place = dice.place(replies.len());
            match dice.below(3) {
                0 => {
                    replies.remove(place);
                    self.saw(Event::MissingReply);
                }
                1 => {
                    replies.push(replies.get(place).cloned().unwrap_or_default());
                    self.saw(Event::DoubledAnswer);
                }
                _ => {
                    replies.reverse();
                    self.saw(Event::WrongOrder);
                }
            }
        }
        format!("[{}]", replies.join(","))
    }

    fn count(&self, asked: &Asked, told: &Told, is_stranger: bool) {
        let journal = &self.shared.journal;
        match (asked.method.as_str(), told) {
            ("eth_chainId", _) if is_stranger => journal.saw(Event::OtherChain),
            ("eth_getBlockReceipts", Told::Error(..)) => journal.saw(Event::NoBlockReceipts),
            ("eth_getLogs", Told::Error(..)) => journal.saw(Event::RangeRefused),
            _ => {}
        }
    }
}

#[async_trait]
impl Transport for SimEndpoint {
    fn host(&self) -> String {
        self.name.clone()
    }

    async fn post(
        &self,
        _method: &str,
        body: Vec<u8>,
        _limits: ReplyLimits,
    ) -> Result<Reply, ChainErrorKind> {
        let (passage, latency_ms) = self.passage();
        sleep(Duration::from_millis(latency_ms)).await;
        let reply =
            |status: u16, body: String| Reply { status, rest: None, body: body.into_bytes() };
        match passage {
            Passage::Through => Ok(reply(200, self.answer(&body))),
            Passage::Hang => std::future::pending().await,
            Passage::Reset => {
                Err(ChainErrorKind::Unreachable("the connection was reset".to_owned()))
            }
            Passage::Status(status, rest) => {
                let rest = rest.map(Duration::from_secs);
                Ok(Reply { status, rest, body: b"no".to_vec() })
            }
            Passage::Limited => Ok(reply(
                200,
                r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32005,"message":"rate limit exceeded"}}"#
                    .to_owned(),
            )),
            Passage::Truncated => {
                let mut text = self.answer(&body);
                text.truncate(text.len() / 2);
                Ok(reply(200, text))
            }
        }
    }
}
