//! The gateway: command line, settings, wiring and roles of the one binary `inspay`.
//!
//! Watches, settles and answers; never signs a chain transaction and holds no key that could move money.

mod cli;
mod commands;
mod exit;
mod output;
mod settings;
mod system_clock;
mod telemetry;
mod wiring;

pub use cli::main;
