//! One module for each command of the command line. Each reads settings, does one thing, prints its result.

pub(crate) mod accounts;
pub(crate) mod audit;
pub(crate) mod backfill;
pub(crate) mod cases;
pub(crate) mod credits;
pub(crate) mod demo;
pub(crate) mod dev;
pub(crate) mod doctor;
pub(crate) mod find;
pub(crate) mod keys;
pub(crate) mod ledger;
pub(crate) mod migrate;
pub(crate) mod reconcile;
pub(crate) mod rescan;
pub(crate) mod serve;
