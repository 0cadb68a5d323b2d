//! The SQLite store, in files of its own.

mod contract;
mod support;
