//! Which cases a batch opens and resolves. Pure.
//!
//! Never decides one: a case tells a person what the books already hold.

use std::collections::{BTreeMap, BTreeSet};

use inspay_primitives::{
    AccountId, CaseClosing, CaseKind, CaseOpening, Credits, Timestamp, TransferId,
};

use crate::{BatchRows, LedgerState, Settlement, SettlementKind};

/// Whether a settlement leaves a person to say which of some orders a payment is for.
pub(crate) fn has_candidates(settled: &Settlement) -> bool {
    settled.kind == SettlementKind::Suspense && !settled.candidates.is_empty()
}

/// The cases of accounts that began or ceased to owe; `at_first` is what they owed before the batch.
pub(crate) fn tell_owing(
    state: &LedgerState,
    now: Timestamp,
    at_first: &BTreeMap<AccountId, Credits>,
    rows: &mut BatchRows,
) {
    let kind = CaseKind::NegativeAccount;
    for (account, at_first) in at_first {
        let (owed, subject) = (state.owed_by(account), account.to_string());
        if at_first.is_zero() {
            let body_json = format!("{{\"account\":\"{account}\",\"owed\":\"{owed}\"}}");
            let subject = subject.clone();
            rows.cases_opened.push(CaseOpening { kind, subject, opened_at: now, body_json });
        }
        if owed.is_zero() {
            let resolution = "what was owed came back".to_owned();
            rows.cases_resolved.push(CaseClosing { kind, subject, resolved_at: now, resolution });
        }
    }
}

/// The cases of transfers that were put into suspense with orders to choose from, or taken out of it.
pub(crate) fn tell_suspense(
    state: &LedgerState,
    now: Timestamp,
    changed: &BTreeSet<TransferId>,
    rows: &mut BatchRows,
) {
    let kind = CaseKind::Suspense;
    for transfer in changed {
        let subject = transfer.to_string();
        let settled = state.transfers.get(transfer).and_then(|record| record.settlement.as_ref());
        if let Some(settled) = settled.filter(|settled| has_candidates(settled)) {
            let body_json = suspense_json(settled);
            rows.cases_opened.push(CaseOpening { kind, subject, opened_at: now, body_json });
        } else {
            let resolution = "it is judged anew".to_owned();
            rows.cases_resolved.push(CaseClosing { kind, subject, resolved_at: now, resolution });
        }
    }
}

fn suspense_json(settled: &Settlement) -> String {
    let orders: Vec<String> = settled.candidates.iter().map(|id| format!("\"{id}\"")).collect();
    let why = settled.suspense.map_or("", |reason| reason.as_str());
    let (transfer, base_units) = (settled.transfer, settled.base_units);
    format!(
        "{{\"transfer\":\"{transfer}\",\"base_units\":\"{base_units}\",\"why\":\"{why}\",\"orders\":[{}]}}",
        orders.join(",")
    )
}
