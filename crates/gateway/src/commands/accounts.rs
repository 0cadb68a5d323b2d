//! `inspay accounts`: who has how many credits.

use clap::Args;
use inspay_ledger::Lot;
use inspay_ports::{AccountSummary, HistoryFilter, Page};
use inspay_primitives::{AccountId, Clock as _, Credits, Timestamp};
use serde_json::json;

use crate::{
    cli::Context,
    exit::{Failure, FailureKind, Outcome},
    output::{self, Form},
    system_clock::SystemClock,
    wiring::{database_failure, open_store},
};

/// Accounts read at once.
const PAGE: u32 = 500;
/// Lines of history shown for one account.
const HISTORY: u32 = 50;

/// Arguments of `inspay accounts`.
#[derive(Debug, Args)]
pub(crate) struct AccountsArgs {
    /// Show this account with its lots and history instead of the list.
    account: Option<String>,
}

pub(crate) async fn run(args: AccountsArgs, context: Context) -> Outcome {
    let settings = context.settings()?;
    let store = open_store(&settings.database).await?;
    match args.account {
        Some(name) => {
            let account: AccountId = name
                .parse()
                .map_err(|why| Failure::new(FailureKind::Other, "cannot show the account", why))?;
            show(store.as_ref(), &account, &context).await
        }
        None => list(store.as_ref(), &context).await,
    }
}

async fn list(store: &dyn inspay_ports::Store, context: &Context) -> Outcome {
    let mut all: Vec<AccountSummary> = Vec::new();
    loop {
        let after = all.last().map(|summary| summary.account.clone());
        let page = store
            .accounts(after, PAGE)
            .await
            .map_err(|why| database_failure("cannot list the accounts", why))?;
        let is_last = page.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
        all.extend(page);
        if is_last {
            break;
        }
    }
    match context.form {
        Form::Json => output::json(
            &all.iter()
                .map(|summary| {
                    json!({
                        "account": summary.account,
                        "posted_credits": summary.posted,
                        "created_at": summary.created_at,
                    })
                })
                .collect::<Vec<_>>(),
        ),
        Form::People if all.is_empty() => output::line("no accounts yet"),
        Form::People => output::table(
            &["account", "credits", "since"],
            &[1],
            all.into_iter()
                .map(|summary| {
                    vec![
                        summary.account.to_string(),
                        summary.posted.to_string(),
                        summary.created_at.to_string(),
                    ]
                })
                .collect(),
        ),
    }
}

/// What can be spent at `now`: what is left in lots that have not lapsed.
pub(crate) fn available(lots: &[Lot], now: Timestamp) -> Credits {
    lots.iter()
        .filter(|lot| lot.is_live(now))
        .fold(Credits::ZERO, |sum, lot| sum.checked_add(lot.parts.left).unwrap_or(sum))
}

async fn show(store: &dyn inspay_ports::Store, account: &AccountId, context: &Context) -> Outcome {
    let failed = |why| database_failure("cannot show the account", why);
    let Some(summary) = store.account(account).await.map_err(failed)? else {
        return Err(Failure::plain(FailureKind::Other, format!("there is no account {account}")));
    };
    let lots = store.lots(account).await.map_err(failed)?;
    let page = Page { after: None, limit: HISTORY };
    let history = store.history(account, HistoryFilter::default(), page).await.map_err(failed)?;
    let available = available(&lots, SystemClock.now());
    if context.form == Form::Json {
        let lots: Vec<_> = lots
            .iter()
            .map(|lot| {
                json!({
                    "lot": lot.id, "source": lot.source.as_str(), "granted": lot.granted,
                    "left": lot.parts.left, "expires_at": lot.expires_at, "order": lot.order,
                })
            })
            .collect();
        let history: Vec<_> = history
            .iter()
            .map(|line| {
                json!({
                    "entry": line.entry_seq, "kind": line.kind.as_str(), "credits": line.left,
                    "held": line.held, "owed": line.owed, "event_at": line.event_at, "order": line.order,
                })
            })
            .collect();
        return output::json(&json!({
            "account": account, "available": available, "posted": summary.posted, "held": summary.held,
            "lots": lots, "history": history,
        }));
    }
    output::line(&format!(
        "{account}: {available} credits available, {} held, {} posted",
        summary.held, summary.posted
    ))?;
    output::table(
        &["lot", "source", "granted", "left", "expires"],
        &[2, 3],
        lots.iter()
            .map(|lot| {
                vec![
                    lot.id.to_string(),
                    lot.source.as_str().to_owned(),
                    lot.granted.to_string(),
                    lot.parts.left.to_string(),
                    lot.expires_at.to_string(),
                ]
            })
            .collect(),
    )?;
    output::table(
        &["entry", "what", "credits", "held", "happened"],
        &[0, 2, 3],
        history
            .iter()
            .map(|line| {
                let signed = |credits: Credits| {
                    let sign = if credits > Credits::ZERO { "+" } else { "" };
                    format!("{sign}{credits}")
                };
                vec![
                    line.entry_seq.to_string(),
                    line.kind.as_str().to_owned(),
                    signed(line.left),
                    signed(line.held),
                    line.event_at.to_string(),
                ]
            })
            .collect(),
    )
}
