//! `inspay keys`: keys for programs that call the API.
//!
//! A key is shown once, when it is made; only its hash is kept.

use clap::Subcommand;
use inspay_ports::{ApiKeyRecord, KeyScope};
use inspay_primitives::{Clock as _, Timestamp};
use serde_json::json;

use crate::{
    cli::Context,
    exit::{Failure, FailureKind, Outcome},
    output::{self, Form},
    system_clock::SystemClock,
    wiring::{database_failure, open_store},
};

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key and print it, once.
    Create {
        /// Name for people, unique.
        label: String,
        /// What it may do: `application`, `finance`, `operator` or `account:<id>`.
        #[arg(long, default_value = "application")]
        scope: String,
    },
    /// List keys.
    List,
    /// Revoke a key by its label.
    Revoke {
        /// Its name.
        label: String,
    },
}

pub(crate) async fn run(command: KeysCommand, context: Context) -> Outcome {
    let settings = context.settings()?;
    let store = open_store(&settings.database).await?;
    let now = SystemClock.now();
    match command {
        KeysCommand::Create { label, scope } => {
            let scope = KeyScope::parse(&scope).ok_or_else(|| {
                let why = "--scope must be application, finance, operator or account:<id>";
                Failure::plain(FailureKind::Other, why)
            })?;
            let key = inspay_api::generate_key();
            let record = ApiKeyRecord {
                label: label.clone(),
                hash: key.hash(),
                scope: scope.clone(),
                created_at: now,
                revoked_at: Timestamp::FAR,
            };
            store
                .create_key(record)
                .await
                .map_err(|why| database_failure("cannot make the key", why))?;
            match context.form {
                Form::Json => output::json(
                    &json!({ "label": label, "scope": scope.to_text(), "key": key.secret() }),
                ),
                Form::People => {
                    output::line(key.secret())?;
                    output::note("This key is shown once. Only its hash is kept.");
                    Ok(())
                }
            }
        }
        KeysCommand::List => list(store.as_ref(), &context, now).await,
        KeysCommand::Revoke { label } => {
            store
                .revoke_key(&label, now)
                .await
                .map_err(|why| database_failure("cannot revoke the key", why))?;
            output::note(&format!("{label} is revoked"));
            Ok(())
        }
    }
}

async fn list(store: &dyn inspay_ports::Store, context: &Context, now: Timestamp) -> Outcome {
    let keys = store.keys().await.map_err(|why| database_failure("cannot list the keys", why))?;
    let state = |key: &ApiKeyRecord| if key.revoked_at <= now { "revoked" } else { "valid" };
    match context.form {
        Form::Json => output::json(
            &keys
                .iter()
                .map(|key| {
                    json!({
                        "label": key.label, "scope": key.scope.to_text(),
                        "state": state(key), "created_at": key.created_at,
                    })
                })
                .collect::<Vec<_>>(),
        ),
        Form::People => output::table(
            &["label", "scope", "state", "made"],
            &[],
            keys.iter()
                .map(|key| {
                    vec![
                        key.label.clone(),
                        key.scope.to_text(),
                        state(key).to_owned(),
                        key.created_at.to_string(),
                    ]
                })
                .collect(),
        ),
    }
}
