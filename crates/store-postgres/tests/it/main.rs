//! The PostgreSQL store on a PostgreSQL of its own: the port's contract, and what is this database's alone.

mod append_only;
mod cluster;
mod contract;
mod corrupt;
mod failures;
mod laws;
mod locks;
mod overtaken;
mod round_trips;
mod scans;
mod schema;
mod world;
