//! `inspay ledger`: verify the journal, show its balances.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use inspay_ledger::Unit;
use inspay_primitives::{Clock as _, Credits, format_units};
use inspay_reports::{Checkpoint, Verification, verify_ledger};
use serde_json::json;

use crate::{
    cli::Context,
    exit::{Failure, FailureKind, Outcome},
    output::{self, Form},
    settings::Settings,
    system_clock::SystemClock,
    wiring::{database_failure, open_store},
};

/// What to do with the ledger.
#[derive(Debug, Subcommand)]
pub(crate) enum LedgerCommand {
    /// Recompute every hash, every balance, every lot and every law, and name the first row that is broken.
    Verify {
        /// A checkpoint that was signed off before: what lies before it must still be what it was.
        #[arg(long, value_name = "FILE")]
        checkpoint: Option<PathBuf>,
    },
    /// Verify, and print where the journal stands as signed off by a person, to be kept outside the database.
    Checkpoint {
        /// Who signs it off.
        #[arg(long, value_name = "NAME")]
        by: String,
    },
    /// Show the balances of the chart of accounts.
    Show,
}

pub(crate) async fn run(command: LedgerCommand, context: Context) -> Outcome {
    let settings = context.settings()?;
    match command {
        LedgerCommand::Verify { checkpoint } => {
            let checkpoint = checkpoint.as_deref().map(read_checkpoint).transpose()?;
            let found = verify(&settings, checkpoint.as_ref()).await?;
            tell(&found, &context)
        }
        LedgerCommand::Checkpoint { by } => sign_off(&settings, &context, by).await,
        LedgerCommand::Show => show(&settings, &context).await,
    }
}

fn read_checkpoint(path: &Path) -> Outcome<Checkpoint> {
    let failed = |why: &dyn std::fmt::Display| {
        let what = format!("cannot read the checkpoint {}", path.display());
        Failure::plain(FailureKind::Settings, format!("{what}: {why}"))
    };
    let text = std::fs::read_to_string(path).map_err(|why| failed(&why))?;
    serde_json::from_str(&text).map_err(|why| failed(&why))
}

async fn verify(settings: &Settings, checkpoint: Option<&Checkpoint>) -> Outcome<Verification> {
    let store = open_store(&settings.database).await?;
    let failed = |why| database_failure("cannot verify the ledger", why);
    let bar = if output::is_watched() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    bar.set_style(
        ProgressStyle::with_template("{spinner} {pos} entries, {per_sec}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner()),
    );
    let found = verify_ledger(&store, checkpoint, |entries| bar.set_position(entries)).await;
    bar.finish_and_clear();
    found.map_err(failed)
}

fn tell(found: &Verification, context: &Context) -> Outcome {
    let laws = &found.broken_laws;
    match context.form {
        Form::Json => {
            let broken = found.broken.as_ref();
            output::json(&json!({
                "entries": found.entries, "postings": found.postings, "head": found.head_hash,
                "broken": broken.map(|row| json!({ "entry": row.entry_seq, "why": row.why })),
                "broken_laws": laws.iter().map(|law| json!({ "law": law.law, "row": law.row })).collect::<Vec<_>>(),
            }))?;
        }
        Form::People => {
            output::line(&format!(
                "{} entries with {} postings read; head {}",
                found.entries, found.postings, found.head_hash
            ))?;
            if let Some(row) = &found.broken {
                output::line(&format!("BROKEN at entry {}: {}", row.entry_seq, row.why))?;
            }
            for law in laws {
                output::line(&format!("BROKEN law {}: {}", law.law, law.row))?;
            }
            if found.holds() {
                output::line("every hash, balance, lot and law holds")?;
            }
        }
    }
    if found.holds() {
        Ok(())
    } else {
        Err(Failure::plain(FailureKind::Differs, "the ledger does not verify"))
    }
}

async fn sign_off(settings: &Settings, context: &Context, by: String) -> Outcome {
    let found = verify(settings, None).await?;
    if !found.holds() {
        return tell(&found, context);
    }
    let checkpoint = Checkpoint {
        entry_seq: i64::try_from(found.entries).unwrap_or(i64::MAX),
        entry_hash: found.head_hash,
        signed_off_by: by,
        signed_off_at: SystemClock.now(),
    };
    output::json(&checkpoint)
}

/// A quantity in its unit's decimals, with the unit's symbol.
pub(crate) fn shown(
    settings: &Settings,
    unit: Unit,
    quantity: inspay_primitives::U256,
) -> (String, String) {
    match unit {
        Unit::Credits => (format_units(quantity, Credits::DECIMALS), "credits".to_owned()),
        Unit::Token(id) => settings
            .chains
            .iter()
            .flat_map(|chain| &chain.assets)
            .find(|listed| listed.asset.id == id)
            .map_or_else(
                || (quantity.to_string(), id.to_string()),
                |listed| {
                    (format_units(quantity, listed.asset.decimals), listed.asset.symbol.clone())
                },
            ),
    }
}

async fn show(settings: &Settings, context: &Context) -> Outcome {
    let store = open_store(&settings.database).await?;
    let balances = store
        .balances(false)
        .await
        .map_err(|why| database_failure("cannot read the balances", why))?;
    match context.form {
        Form::Json => output::json(
            &balances
                .iter()
                .map(|balance| {
                    json!({
                        "account": balance.account.to_string(), "unit": balance.unit.to_string(),
                        "debits": balance.debits.to_string(), "credits": balance.credits.to_string(),
                    })
                })
                .collect::<Vec<_>>(),
        ),
        Form::People if balances.is_empty() => output::line("nothing has been posted yet"),
        Form::People => output::table(
            &["account", "unit", "debits", "credits"],
            &[2, 3],
            balances
                .iter()
                .map(|balance| {
                    let (debits, symbol) = shown(settings, balance.unit, balance.debits);
                    let (credits, _) = shown(settings, balance.unit, balance.credits);
                    vec![balance.account.to_string(), symbol, debits, credits]
                })
                .collect(),
        ),
    }
}
