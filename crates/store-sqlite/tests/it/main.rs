//! The SQLite store, in files of its own: the port's contract, and what is this database's alone.

mod append_only;
mod contract;
mod corrupt;
mod failures;
mod laws;
mod locks;
mod remembered;
mod schema;
mod world;
