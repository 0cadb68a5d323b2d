//! What every adapter must do, as facts that run against it.
//!
//! A fact panics where the adapter breaks a guarantee of its port; it never sleeps and never retries.

pub mod company;
pub mod samples;
pub mod script;
pub mod store;
pub mod teller;
pub mod till;
