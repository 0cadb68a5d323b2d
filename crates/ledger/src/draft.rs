//! Drafts: everything that one operation would change, before any of it is. Pure.

use inspay_primitives::{
    AccountId, Credits, Label, LimitId, OrderId, OrderProgress, Timestamp, TransferId, U256,
    UsageId, Usd,
};

use crate::{
    BookAccount, EntryKind, EventKind, EventSnapshot, Hold, Limit, LotMove, LotSource, Profile,
    Resolution, Reversal, Settlement, Side, TransferMark, Unit, Usage, UsageDay, UsageSums,
    WindowUse, state::Line,
};

/// A lot that a draft grants.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) account: AccountId,
    pub(crate) source: LotSource,
    pub(crate) campaign: Option<Label>,
    pub(crate) scope: Option<Label>,
    pub(crate) priority: u8,
    pub(crate) credits: Credits,
    /// When it lapses; `None` counts `valid_days` from when it is booked.
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) valid_days: u16,
    pub(crate) paid: Option<Usd>,
    /// How much of it goes at once to what the account owes.
    pub(crate) repays: Credits,
}

/// An event that a draft tells, before it has a number.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) kind: EventKind,
    pub(crate) account: Option<AccountId>,
    pub(crate) snapshot: EventSnapshot,
}

/// What becomes of limits and profiles.
#[derive(Clone, Debug, Default)]
pub(crate) struct LimitChanges {
    pub(crate) windows: Vec<(LimitId, WindowUse)>,
    pub(crate) set: Option<Limit>,
    pub(crate) removed: Vec<LimitId>,
    pub(crate) profile: Option<(AccountId, Profile)>,
    pub(crate) appears: Option<AccountId>,
}

/// What becomes of holds and spends. Entries get their numbers when they are posted.
#[derive(Clone, Debug, Default)]
pub(crate) struct SpendChanges {
    pub(crate) hold: Option<Hold>,
    pub(crate) resolution: Option<Resolution>,
    pub(crate) usage: Option<Usage>,
    /// The spend, and what of it was given back in all.
    pub(crate) refund: Option<(UsageId, Credits)>,
    pub(crate) day: Option<(UsageDay, UsageSums)>,
}

/// Everything one operation would change.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) kind: EntryKind,
    pub(crate) event_at: Timestamp,
    pub(crate) transfer: Option<TransferId>,
    pub(crate) order: Option<OrderId>,
    pub(crate) reverses: Option<i64>,
    pub(crate) facts: Option<String>,
    pub(crate) lines: Vec<Line>,
    pub(crate) grant: Option<Grant>,
    pub(crate) moves: Vec<LotMove>,
    pub(crate) progress: Option<(OrderId, OrderProgress)>,
    pub(crate) settlement: Option<Settlement>,
    pub(crate) reversal: Option<Reversal>,
    pub(crate) mark: Option<TransferMark>,
    pub(crate) spends: SpendChanges,
    pub(crate) limits: LimitChanges,
    pub(crate) revoked: Option<inspay_primitives::LotId>,
    pub(crate) warned: Option<inspay_primitives::LotId>,
    pub(crate) told: Vec<Told>,
}

impl Draft {
    pub(crate) fn new(kind: EntryKind, event_at: Timestamp) -> Self {
        Self {
            kind,
            event_at,
            transfer: None,
            order: None,
            reverses: None,
            facts: None,
            lines: Vec::new(),
            grant: None,
            moves: Vec::new(),
            progress: None,
            settlement: None,
            reversal: None,
            mark: None,
            spends: SpendChanges::default(),
            limits: LimitChanges::default(),
            revoked: None,
            warned: None,
            told: Vec::new(),
        }
    }

    pub(crate) fn line(&mut self, account: BookAccount, unit: Unit, side: Side, quantity: U256) {
        if !quantity.is_zero() {
            self.lines.push(Line { account, unit, side, quantity });
        }
    }

    /// A line in credits; nothing is posted for none.
    pub(crate) fn credits(&mut self, account: BookAccount, side: Side, credits: Credits) {
        self.line(account, Unit::Credits, side, credits.to_u256_micros());
    }

    /// Posts the change of a credit balance from `before` to `after`, whichever way it goes.
    pub(crate) fn change(&mut self, account: BookAccount, unit: Unit, before: U256, after: U256) {
        if after >= before {
            self.line(account, unit, Side::Credit, after.saturating_sub(before));
        } else {
            self.line(account, unit, Side::Debit, before.saturating_sub(after));
        }
    }

    pub(crate) fn tell(
        &mut self,
        kind: EventKind,
        account: Option<&AccountId>,
        snapshot: EventSnapshot,
    ) {
        self.told.push(Told { kind, account: account.cloned(), snapshot });
    }
}
