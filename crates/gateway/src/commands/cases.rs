//! `inspay cases`: what a person has to look at.

use clap::Subcommand;
use inspay_ports::{CaseFilter, CaseRecord, Page, Store};
use inspay_primitives::{CaseId, CaseKind};
use serde_json::{Value, json};

use crate::{
    cli::Context,
    exit::{Failure, FailureKind, Outcome},
    output::{self, Form},
    wiring::{database_failure, open_store},
};

/// Cases read at once.
const PAGE: u32 = 500;

/// Subcommands of `inspay cases`.
#[derive(Debug, Subcommand)]
pub(crate) enum CasesCommand {
    /// List cases, newest first: the open ones, unless all are asked for.
    List {
        /// Also those that are resolved.
        #[arg(long)]
        all: bool,
        /// Of this kind only, such as `balance_difference`.
        #[arg(long, value_parser = read_kind)]
        kind: Option<CaseKind>,
    },
    /// Show one case with its facts.
    Show {
        /// Its number.
        case: CaseId,
    },
}

fn read_kind(text: &str) -> Result<CaseKind, String> {
    CaseKind::parse(text).ok_or_else(|| {
        let known = CaseKind::ALL.map(CaseKind::as_str).join(", ");
        format!("the kinds are {known}")
    })
}

pub(crate) async fn run(command: CasesCommand, context: Context) -> Outcome {
    let settings = context.settings()?;
    let store = open_store(&settings.database).await?;
    match command {
        CasesCommand::List { all, kind } => {
            let filter = CaseFilter { kind, open_only: !all };
            list(&*store, filter, &context).await
        }
        CasesCommand::Show { case } => show(&*store, case, &context).await,
    }
}

/// Every case of a filter, newest first.
async fn read(store: &dyn Store, filter: CaseFilter) -> Outcome<Vec<CaseRecord>> {
    let mut found: Vec<CaseRecord> = Vec::new();
    loop {
        let after = found.last().map(|case| case.id.0);
        let page = store
            .cases(filter, Page { after, limit: PAGE })
            .await
            .map_err(|why| database_failure("cannot list the cases", why))?;
        let is_last = page.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
        found.extend(page);
        if is_last {
            return Ok(found);
        }
    }
}

async fn list(store: &dyn Store, filter: CaseFilter, context: &Context) -> Outcome {
    let found = read(store, filter).await?;
    match context.form {
        Form::Json => output::json(&found.iter().map(to_json).collect::<Vec<_>>()),
        Form::People if found.is_empty() && filter.open_only => output::line("no open cases"),
        Form::People if found.is_empty() => output::line("no cases"),
        Form::People => output::table(
            &["case", "kind", "subject", "opened", "resolved", "how"],
            &[0],
            found
                .into_iter()
                .map(|case| {
                    let (at, how) = case.resolved.unzip();
                    vec![
                        case.id.to_string(),
                        case.opening.kind.as_str().to_owned(),
                        case.opening.subject,
                        case.opening.opened_at.to_string(),
                        at.map_or_else(|| "-".to_owned(), |at| at.to_string()),
                        how.unwrap_or_default(),
                    ]
                })
                .collect(),
        ),
    }
}

async fn show(store: &dyn Store, id: CaseId, context: &Context) -> Outcome {
    let found = store.case(id).await;
    let found = found.map_err(|why| database_failure("cannot show the case", why))?;
    let Some(case) = found else {
        return Err(Failure::plain(FailureKind::Other, format!("there is no case {id}")));
    };
    if context.form == Form::Json {
        return output::json(&to_json(&case));
    }
    let mut rows = vec![
        vec!["kind".to_owned(), case.opening.kind.as_str().to_owned()],
        vec!["subject".to_owned(), case.opening.subject.clone()],
        vec!["opened".to_owned(), case.opening.opened_at.to_string()],
    ];
    if let Value::Object(facts) = facts(&case) {
        rows.extend(facts.into_iter().map(|(name, value)| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            vec![name, text]
        }));
    }
    if let Some((at, how)) = &case.resolved {
        rows.push(vec!["resolved".to_owned(), at.to_string()]);
        rows.push(vec!["how".to_owned(), how.clone()]);
    }
    output::table(&[&format!("case {id}"), ""], &[], rows)
}

/// The facts of a case; where they are no JSON, as the text that they are.
fn facts(case: &CaseRecord) -> Value {
    let text = &case.opening.body_json;
    serde_json::from_str(text).unwrap_or_else(|_| json!({ "facts": text }))
}

fn to_json(case: &CaseRecord) -> Value {
    let resolved = case.resolved.as_ref();
    json!({
        "id": case.id.0, "kind": case.opening.kind.as_str(), "subject": case.opening.subject,
        "opened_at": case.opening.opened_at, "facts": facts(case),
        "resolved_at": resolved.map(|(at, _)| at), "resolution": resolved.map(|(_, how)| how),
    })
}
