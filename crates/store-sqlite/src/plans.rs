//! What the tests of this crate have run in loops, to look at how it is planned.

use std::{collections::BTreeSet, sync::Mutex};

static RUN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Notes a statement.
pub(crate) fn record(sql: &str) {
    RUN.lock().expect("not poisoned").insert(sql.to_owned());
}

/// Every statement so far.
pub(crate) fn recorded() -> Vec<String> {
    RUN.lock().expect("not poisoned").iter().cloned().collect()
}
