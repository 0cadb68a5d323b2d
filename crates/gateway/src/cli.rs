//! The command line.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::{
    commands,
    exit::{Failure, FailureKind, Outcome},
    output::{self, Form},
    settings::{self, Settings},
    telemetry::{self, LogForm},
};

/// Sells credits for tokens: watches the chain, settles what arrives, never signs.
#[derive(Debug, Parser)]
#[command(name = "inspay", version, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct Common {
    /// Settings file; `inspay.toml` is read if it is there. Without one, SQLite and a local chain.
    #[arg(long, global = true, env = "INSPAY_SETTINGS", value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Print results as JSON.
    #[arg(long, global = true)]
    json: bool,
    /// Log filter, such as `info` or `warn,inspay_watcher=debug`.
    #[arg(
        long,
        global = true,
        env = "INSPAY_LOG",
        default_value = "warn,sqlx=error",
        value_name = "FILTER"
    )]
    log: String,
    /// How log lines look.
    #[arg(long, global = true, env = "INSPAY_LOG_FORMAT", value_enum, default_value = "text")]
    log_format: LogForm,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything on a local chain of its own, for developing against.
    Dev(commands::dev::DevArgs),
    /// Send scripted buyers through a local chain and print the reconciliation.
    Demo(commands::demo::DemoArgs),
    /// Serve: answer HTTP, follow the chains, settle.
    Serve(commands::serve::ServeArgs),
    /// Bring the database's schema up to this release.
    Migrate,
    /// Read past blocks up to what is final, with a progress bar, then stop.
    Backfill(commands::backfill::BackfillArgs),
    /// Follow a chain anew from a block on: the way out of a reorg deeper than what is kept.
    Rescan(commands::rescan::RescanArgs),
    /// Compare the balance of every treasury and asset with the chain, now.
    Audit(commands::audit::AuditArgs),
    /// Compare the recorded transfers and the books with the chain.
    Reconcile,
    /// Verify the journal or show its balances.
    #[command(subcommand)]
    Ledger(commands::ledger::LedgerCommand),
    /// List what a person has to look at, or show one case.
    #[command(subcommand)]
    Cases(commands::cases::CasesCommand),
    /// Say where a payment is, and what it pays for.
    Find(commands::find::FindArgs),
    /// List accounts with their credits, or show one.
    Accounts(commands::accounts::AccountsArgs),
    /// Show what an account has, holds, spent and may spend.
    #[command(subcommand)]
    Credits(commands::credits::CreditsCommand),
    /// Make, list and revoke API keys.
    #[command(subcommand)]
    Keys(commands::keys::KeysCommand),
    /// Check settings, database, chains and books, and say what is wrong.
    Doctor,
    /// Print a completion script for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// What every command gets.
#[derive(Debug)]
pub(crate) struct Context {
    /// How results are printed.
    pub(crate) form: Form,
    /// The settings file that was read, if any.
    pub(crate) settings_file: Option<PathBuf>,
}

impl Context {
    /// Reads the settings.
    pub(crate) fn settings(&self) -> Outcome<Settings> {
        settings::load(self.settings_file.as_deref(), &environment)
            .map_err(|why| Failure::new(FailureKind::Settings, "cannot use the settings", why))
    }
}

/// The environment, read here and nowhere else. An empty variable counts as absent.
#[expect(
    clippy::disallowed_methods,
    reason = "settings come from the environment through this one function"
)]
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Runs the command line and answers the process's exit code.
#[must_use]
pub fn main() -> ExitCode {
    // Before any thread starts: it changes the process's environment.
    let dotenv = dotenvy::dotenv();
    let cli = Cli::parse();
    let form = if cli.common.json { Form::Json } else { Form::People };
    if let Err(why) = &dotenv
        && !why.not_found()
    {
        output::note(&format!("inspay: the file .env cannot be read: {why}"));
        return ExitCode::from(3);
    }
    match run(cli, form) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if form == Form::Json {
                let problem = serde_json::json!({ "error": { "code": failure.code_name(), "detail": failure.to_string() } });
                output::note(&problem.to_string());
            } else {
                output::note(&format!("inspay: {failure}"));
            }
            failure.exit_code()
        }
    }
}

fn run(cli: Cli, form: Form) -> Outcome {
    if let Command::Completions { shell } = cli.command {
        clap_complete::generate(shell, &mut Cli::command(), "inspay", &mut std::io::stdout());
        return Ok(());
    }
    telemetry::start_logs(&cli.common.log, cli.common.log_format)?;
    let found = PathBuf::from("inspay.toml");
    let settings_file = cli.common.settings.or_else(|| found.is_file().then_some(found));
    let context = Context { form, settings_file };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|why| Failure::new(FailureKind::Other, "cannot start the runtime", why))?;
    runtime.block_on(dispatch(cli.command, context))
}

async fn dispatch(command: Command, context: Context) -> Outcome {
    match command {
        Command::Dev(args) => commands::dev::run(args, context).await,
        Command::Demo(args) => commands::demo::run(args, context).await,
        Command::Serve(args) => commands::serve::run(args, context).await,
        Command::Migrate => commands::migrate::run(context).await,
        Command::Backfill(args) => commands::backfill::run(args, context).await,
        Command::Rescan(args) => commands::rescan::run(args, context).await,
        Command::Audit(args) => commands::audit::run(args, context).await,
        Command::Reconcile => commands::reconcile::run(context).await,
        Command::Ledger(command) => commands::ledger::run(command, context).await,
        Command::Cases(command) => commands::cases::run(command, context).await,
        Command::Find(args) => commands::find::run(args, context).await,
        Command::Accounts(args) => commands::accounts::run(args, context).await,
        Command::Credits(command) => commands::credits::run(command, context).await,
        Command::Keys(command) => commands::keys::run(command, context).await,
        Command::Doctor => commands::doctor::run(context).await,
        Command::Completions { .. } => Ok(()),
    }
}
