//! What can be asked of the ledger.
//!
//! Every operation has a key and a fingerprint: the same again gives the stored outcome, another
//! fingerprint under the same key is a conflict.

use std::fmt;

use inspay_primitives::{
    AccountId, B256, Credits, HoldId, Label, LimitId, LotId, OrderId, Rate, Reference, Timestamp,
    TransferId, UsageId, Usd, Zone,
};
use sha2::{Digest, Sha256};

use crate::{Evidence, IgnoreReason, Limit, LotSource, Purpose, SuspenseReason};

/// The name under which an operation happens at most once. Never pruned.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationKey(String);

impl OperationKey {
    /// Wraps a key read from a row or made by its operation.
    #[must_use]
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// The key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OperationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a late transfer is priced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LateTerms {
    /// The rate at its block time.
    pub rate: Rate,
    /// What it buys at that rate, rounded down.
    pub credits: Credits,
}

/// What is to become of a confirmed transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It pays for an order.
    Attribute {
        /// The order.
        order: OrderId,
        /// Why it belongs to it.
        evidence: Evidence,
        /// How it is priced if it came after the deadline and its grace.
        late: Option<LateTerms>,
    },
    /// It belongs to nothing yet.
    Suspend {
        /// Why.
        reason: SuspenseReason,
        /// Orders it might belong to, best first.
        candidates: Vec<OrderId>,
    },
    /// It left the treasury.
    Withdraw,
    /// It moves nothing.
    Ignore(IgnoreReason),
}

/// One thing to do to the books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Post a confirmed transfer, once per generation.
    Settle {
        /// The transfer.
        transfer: TransferId,
        /// How often it has been reversed before.
        generation: u32,
        /// The block whose confirmations were judged: standing in another one, it is judged anew. `None` where no
        /// confirmations were asked for.
        judged_in: Option<B256>,
        /// What its calldata carried, now that it has been read.
        reference: Option<Reference>,
        /// What becomes of it.
        decision: Decision,
        /// What it was worth when it was received; `None` where no rate of that time is known.
        value: Option<Usd>,
    },
    /// Take back the posting of a transfer that left the chain or changed.
    Reverse {
        /// The transfer.
        transfer: TransferId,
        /// The generation to take back.
        generation: u32,
    },
    /// Take back the suspense of a transfer that still stands where it was settled, since something was shown since
    /// that may tie it to an order: it is settled anew in the next generation.
    Reopen {
        /// The transfer.
        transfer: TransferId,
        /// The generation to take back.
        generation: u32,
    },
    /// Close an order whose deadline and grace have passed in chain time.
    CloseOrder {
        /// The order.
        order: OrderId,
        /// Time of a block after the deadline up to which every transfer is settled.
        chain_time: Timestamp,
        /// The epoch of the chain's cursor by which that was judged: on another branch, it is judged anew. `None`
        /// where no cursor was looked at.
        judged_in: Option<i64>,
    },
    /// Book what is left of a lapsed lot.
    ExpireLot {
        /// The lot.
        lot: LotId,
    },
    /// Tell the owner of a lot that it will lapse; once.
    WarnLot {
        /// The lot.
        lot: LotId,
    },
    /// Grant credits without a payment. Its reference is used once per source.
    Grant(GrantTerms),
    /// Take back what is left of a lot, and what holds give back of it later.
    Revoke {
        /// The lot.
        lot: LotId,
    },
    /// Set credits aside for work under way.
    Hold {
        /// Identity of the hold, a function of the request.
        hold: HoldId,
        /// Whose credits.
        account: AccountId,
        /// What for.
        purpose: Purpose,
        /// How many.
        credits: Credits,
        /// How long it can be captured.
        valid_seconds: u32,
    },
    /// Spend a hold, in whole or in part; the rest is given back.
    Capture {
        /// The hold.
        hold: HoldId,
        /// How much of it; `None` for all.
        credits: Option<Credits>,
    },
    /// Give a hold back.
    Release {
        /// The hold.
        hold: HoldId,
    },
    /// Give back a hold that ran out.
    LapseHold {
        /// The hold.
        hold: HoldId,
    },
    /// Spend credits at once.
    Spend {
        /// Whose credits.
        account: AccountId,
        /// What for.
        purpose: Purpose,
        /// How many.
        credits: Credits,
    },
    /// Give spent credits back to the lots they came from, those burned last first.
    Refund {
        /// The spend.
        usage: UsageId,
        /// How much; `None` for all that was not given back yet.
        credits: Option<Credits>,
    },
    /// Set a limit, in the place of one of the same scope, window and action.
    SetLimit {
        /// The limit; the books say since when it holds.
        limit: Limit,
        /// The start of its present window, as the asker found it: a window that ended meanwhile is judged anew.
        window_start: Timestamp,
    },
    /// Remove a limit.
    RemoveLimit {
        /// Whose.
        account: AccountId,
        /// The limit.
        limit: LimitId,
    },
    /// Set an account's time zone and the balances at which its owner is told. An account that is not known yet appears.
    SetProfile {
        /// Whose.
        account: AccountId,
        /// The zone that its days and months are counted in.
        zone: Zone,
        /// Thresholds of what can be spent, descending.
        balance_alerts: Vec<Credits>,
    },
}

/// Credits that are granted without a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantTerms {
    /// Who gets them.
    pub account: AccountId,
    /// Whether an account that is not known yet appears; else it is refused.
    pub opens_account: bool,
    /// Where they come from; never [`LotSource::Purchase`].
    pub source: LotSource,
    /// The promotion; `None` for every other source.
    pub campaign: Option<Label>,
    /// What the promotion may grant in all.
    pub budget: Option<Credits>,
    /// What makes the grant the only one: a subscription's period, a wallet, a prize. Never granted twice per source.
    pub reference: String,
    /// How many.
    pub credits: Credits,
    /// The one feature that they can be spent on.
    pub scope: Option<Label>,
    /// Lower burns first.
    pub priority: u8,
    /// When they lapse; [`Timestamp::FAR`] for never.
    pub expires_at: Timestamp,
}

/// An act with the key under which it happens at most once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The key; a function of the act.
    pub key: OperationKey,
    /// The act.
    pub act: Act,
    /// Whether a caller asked for it under a key of its own: then a refusal is stored too, and given again.
    pub is_request: bool,
}

impl From<Act> for Operation {
    fn from(act: Act) -> Self {
        let key = match &act {
            Act::Settle { transfer, generation, .. } => format!("settle/{transfer}/{generation}"),
            Act::Reverse { transfer, generation } => format!("reverse/{transfer}/{generation}"),
            Act::Reopen { transfer, generation } => format!("reopen/{transfer}/{generation}"),
            Act::CloseOrder { order, .. } => format!("close/{order}"),
            Act::ExpireLot { lot } => format!("expire/{lot}"),
            Act::WarnLot { lot } => format!("warn/{lot}"),
            Act::Grant(terms) => format!("grant/{}/{}", terms.source.as_str(), terms.reference),
            Act::Revoke { lot } => format!("revoke/{lot}"),
            Act::Hold { hold, .. } => format!("hold/{hold}"),
            Act::Capture { hold, .. } => format!("capture/{hold}"),
            Act::Release { hold } => format!("release/{hold}"),
            Act::LapseHold { hold } => format!("lapse/{hold}"),
            Act::Spend { account, purpose, .. } => {
                let reference = purpose.reference.as_ref().map_or("", Label::as_str);
                format!("spend/{account}/{reference}")
            }
            Act::Refund { usage, .. } => format!("refund/{usage}"),
            Act::SetLimit { limit, .. } => format!("limit/{}", limit.id),
            Act::RemoveLimit { limit, .. } => format!("unlimit/{limit}"),
            Act::SetProfile { account, .. } => format!("profile/{account}"),
        };
        Self { key: OperationKey(key), act, is_request: false }
    }
}

impl Operation {
    /// An act that a caller asked for under a key of its own, unique among what `asker` asks.
    ///
    /// The same again gives the stored outcome, a refusal too; another act under the key is a conflict.
    #[must_use]
    pub fn requested(asker: &str, request_key: &str, act: Act) -> Self {
        let key = OperationKey(format!("request/{asker}/{request_key}"));
        Self { key, act, is_request: true }
    }

    /// What the act asks for, as a digest. Facts that may differ between two honest askers (the
    /// value in dollars, the chain time that was seen) are left out.
    #[must_use]
    pub fn fingerprint(&self) -> B256 {
        let text = self.act.wish();
        let digest = Sha256::new()
            .chain_update(b"inspay/operation/v1")
            .chain_update(self.key.as_str())
            .chain_update([0])
            .chain_update(text)
            .finalize();
        B256::from_slice(&digest)
    }
}

impl Act {
    /// Whose credits are used up, where any are.
    pub(crate) const fn spender(&self) -> Option<&AccountId> {
        match self {
            Self::Hold { account, .. } | Self::Spend { account, .. } => Some(account),
            Self::Settle { .. }
            | Self::Reverse { .. }
            | Self::Reopen { .. }
            | Self::CloseOrder { .. }
            | Self::ExpireLot { .. }
            | Self::WarnLot { .. }
            | Self::Grant(_)
            | Self::Revoke { .. }
            | Self::Capture { .. }
            | Self::Release { .. }
            | Self::LapseHold { .. }
            | Self::Refund { .. }
            | Self::SetLimit { .. }
            | Self::RemoveLimit { .. }
            | Self::SetProfile { .. } => None,
        }
    }

    /// What is asked for, as a text that differs where the wish does.
    fn wish(&self) -> String {
        match self {
            Self::Settle { decision, .. } => match decision {
                Decision::Attribute { order, evidence, late } => {
                    format!("attribute/{order}/{}/{}", evidence.as_str(), late.is_some())
                }
                Decision::Suspend { reason, .. } => format!("suspend/{}", reason.as_str()),
                Decision::Withdraw => "withdraw".to_owned(),
                Decision::Ignore(reason) => format!("ignore/{}", reason.as_str()),
            },
            // What their keys do not say can differ between two honest askers.
            Self::Reverse { .. }
            | Self::Reopen { .. }
            | Self::CloseOrder { .. }
            | Self::ExpireLot { .. } => String::new(),
            Self::WarnLot { lot } => format!("warn/{lot}"),
            Self::Grant(terms) => format!(
                "grant/{}/{}/{}",
                terms.account,
                terms.credits,
                terms.campaign.as_ref().map_or("", Label::as_str)
            ),
            Self::Revoke { lot } => format!("revoke/{lot}"),
            Self::Hold { account, purpose, credits, valid_seconds, .. } => {
                format!("hold/{account}/{credits}/{valid_seconds}/{}", purpose.wish())
            }
            Self::Capture { hold, credits } => format!("capture/{hold}/{}", wished(*credits)),
            Self::Release { hold } => format!("release/{hold}"),
            Self::LapseHold { hold } => format!("lapse/{hold}"),
            Self::Spend { account, purpose, credits } => {
                format!("spend/{account}/{credits}/{}", purpose.wish())
            }
            Self::Refund { usage, credits } => format!("refund/{usage}/{}", wished(*credits)),
            Self::SetLimit { limit, .. } => format!(
                "limit/{}/{}/{}/{}/{}/{}/{:?}",
                limit.account,
                limit.scope.kind(),
                limit.scope.name(),
                limit.window.as_str(),
                limit.action.as_str(),
                limit.cap,
                limit.alerts
            ),
            Self::RemoveLimit { account, limit } => format!("unlimit/{account}/{limit}"),
            Self::SetProfile { account, zone, balance_alerts } => {
                format!("profile/{account}/{zone}/{balance_alerts:?}")
            }
        }
    }
}

fn wished(credits: Option<Credits>) -> String {
    credits.map_or_else(|| "all".to_owned(), |credits| credits.to_string())
}
