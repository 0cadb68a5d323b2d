//! The SQLite store, in files of its own.

mod append_only;
mod contract;
mod support;
mod world;
