//! `inspay migrate`: bring the schema up to this release.

use serde_json::json;

use crate::{
    cli::Context,
    exit::Outcome,
    output::{self, Form},
    wiring::{database_failure, migrate_store},
};

pub(crate) async fn run(context: Context) -> Outcome {
    let settings = context.settings()?;
    let store = migrate_store(&settings.database).await?;
    let (applied, _) = store
        .schema_versions()
        .await
        .map_err(|why| database_failure("cannot read the schema's version", why))?;
    match context.form {
        Form::Json => {
            output::json(&json!({ "database": settings.database.to_string(), "version": applied }))
        }
        Form::People => {
            output::line(&format!("{} is at schema version {applied}", settings.database))
        }
    }
}
