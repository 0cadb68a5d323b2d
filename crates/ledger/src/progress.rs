//! How far settling has come on a chain, as the books themselves see it when they are written. Pure.
//!
//! An order is closed by what a worker has read a while ago. A branch of the chain that came since may hold a payment
//! in time, and so may what was halted then and goes on now.

use inspay_primitives::{OrderTerms, Timestamp};

use crate::Refusal;

/// Where a chain and its settlements stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ChainProgress {
    /// The epoch of its cursor, which grows with every change of branch; `None` for a chain that nobody follows.
    pub epoch: Option<i64>,
    /// Block time of the oldest transfer that still needs work, as far as its asset is not halted.
    pub oldest_unsettled: Option<Timestamp>,
}

impl ChainProgress {
    /// Refuses to close an order that was judged by another branch, or for which a transfer may be in time that is not
    /// settled yet.
    pub(crate) fn allows_closing(
        &self,
        terms: &OrderTerms,
        judged_in: Option<i64>,
    ) -> Result<(), Refusal> {
        if judged_in.is_some_and(|epoch| self.epoch != Some(epoch)) {
            return Err(Refusal::OtherBranch);
        }
        let waits = self.oldest_unsettled.is_some_and(|oldest| oldest <= terms.in_time_until());
        if waits { Err(Refusal::OlderUnsettled) } else { Ok(()) }
    }
}
