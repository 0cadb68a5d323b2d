//! The free plan: credits that a proven wallet brings its account, once per wallet.
//!
//! Pure. Never grants by itself: it says what the books are asked for. That a wallet brings it once is the books' rule,
//! since the grant's reference is the wallet.

use inspay_primitives::{AccountId, Address, Credits, Timestamp};

use crate::{Act, GrantTerms, LotSource, Operation, Outcome, Refusal};

/// Free credits burn before all others that any feature can use.
const PRIORITY: u8 = 30;

/// What a proven wallet brings, as it was when the wallet was proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreePlanTerms {
    /// How many credits.
    pub credits: Credits,
    /// When they lapse; [`Timestamp::FAR`] for never.
    pub expires_at: Timestamp,
}

/// A free plan that is to be granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreePlanDue {
    /// The wallet that brings it.
    pub wallet: Address,
    /// Who gets it.
    pub account: AccountId,
    /// What it is.
    pub terms: FreePlanTerms,
}

impl FreePlanDue {
    /// What is asked of the books for it: an account that is not known yet appears with the grant. The same again grants
    /// nothing more, and the same wallet for another account is a conflict.
    #[must_use]
    pub fn operation(&self) -> Operation {
        Operation::from(Act::Grant(GrantTerms {
            account: self.account.clone(),
            opens_account: true,
            source: LotSource::FreePlan,
            campaign: None,
            budget: None,
            reference: self.wallet.to_string().to_ascii_lowercase(),
            credits: self.terms.credits,
            scope: None,
            priority: PRIORITY,
            expires_at: self.terms.expires_at,
        }))
    }

    /// Why the wallet brings nothing, if so. A conflict is no reason: it had its free plan at another time.
    #[must_use]
    pub fn refused(outcome: &Outcome) -> Option<Refusal> {
        match outcome {
            Outcome::Applied { .. }
            | Outcome::AlreadyApplied { .. }
            | Outcome::Refused(Refusal::Conflict) => None,
            Outcome::Refused(refusal) => Some(*refusal),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conflict_is_no_refusal() {
        let refused = FreePlanDue::refused;
        assert_eq!(refused(&Outcome::Applied { entry_seq: None }), None);
        assert_eq!(refused(&Outcome::AlreadyApplied { entry_seq: None }), None);
        assert_eq!(refused(&Outcome::Refused(Refusal::Conflict)), None);
        let lapsed = Outcome::Refused(Refusal::LapsedAlready);
        assert_eq!(refused(&lapsed), Some(Refusal::LapsedAlready));
    }
}
