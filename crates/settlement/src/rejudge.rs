//! Whether what lies in suspense would be judged otherwise, now that its payer has shown something new. Pure.
//!
//! Never judges anew what was held for another reason than that nothing told its order: a proof changes no deadline.

use inspay_ledger::{SuspenseReason, TransferRecord};

use crate::attribution::{Attribution, OrderIndex, attribute};

/// Whether a transfer that lies in suspense would be tied to an order now, or leave a person more orders to choose from.
#[must_use]
pub fn is_judged_otherwise(
    record: &TransferRecord,
    orders: &OrderIndex,
    clock_skew_seconds: u32,
) -> bool {
    let Some(settled) = &record.settlement else { return false };
    if settled.suspense != Some(SuspenseReason::NoEvidence) {
        return false;
    }
    let reference = record.transfer.reference.flatten();
    match attribute(&record.transfer, reference, orders, clock_skew_seconds) {
        Attribution::Order(..) => true,
        Attribution::Nothing(_, candidates) => {
            candidates.iter().any(|order| !settled.candidates.contains(order))
        }
        Attribution::Withdrawal | Attribution::Ignored(_) => false,
    }
}
