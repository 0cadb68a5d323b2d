//! The gateway: command line, settings, wiring and roles of the one binary `inspay`.
//!
//! Watches, settles and answers; never signs a chain transaction and holds no key that could move money.

mod cli;
mod commands;
mod exit;
#[cfg(debug_assertions)]
mod fail_points;
mod output;
mod process_name;
mod settings;
mod system_clock;
mod telemetry;
mod wiring;

pub use cli::main;

/// Whether a settings file of that text would be accepted; if not, why, naming the setting. Nothing is connected to.
///
/// # Errors
///
/// The refusal in words.
pub fn check_settings(text: &str) -> Result<(), String> {
    settings::read(text, None, &|_| None).map(drop).map_err(|error| error.to_string())
}
