//! `inspay credits`: what an account has, holds, spent and may spend, for whoever answers for it.
//!
//! Never changes anything. What it shows is what the interface shows, from the same readings.

use clap::{Args, Subcommand};
use inspay_ledger::EntryKind;
use inspay_ports::{HistoryFilter, Page, Store, StoreError, UsageFilter};
use inspay_primitives::{AccountId, Clock as _, Day, Label, LotId, Timestamp};
use inspay_reports::account::{
    self, Sheet, SummaryError, UsageBy, balance_sheet, history_sheet, holds_sheet, limits_sheet,
    lots_sheet, summary_sheet, usages_sheet,
};
use serde_json::{Map, Value};

use crate::{
    cli::Context,
    exit::{Failure, FailureKind, Outcome},
    output::{self, Form},
    system_clock::SystemClock,
    wiring::{database_failure, open_store},
};

/// What of an account is shown.
#[derive(Debug, Subcommand)]
pub(crate) enum CreditsCommand {
    /// What can be spent, what is held, and what lapses when.
    Balance(Of),
    /// Every change, newest first.
    History(HistoryArgs),
    /// Lots with something left, soonest expiry first.
    Lots(Of),
    /// Holds, newest first.
    Holds(HoldsArgs),
    /// Spends, newest first.
    Spends(SpendsArgs),
    /// Sums of spends, beside the period before.
    Usage(UsageArgs),
    /// Limits, with what their present windows have in them.
    Limits(Of),
}

/// Whose.
#[derive(Debug, Args)]
pub(crate) struct Of {
    /// The account.
    account: AccountId,
    /// Print comma-separated values.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

/// Rows of a list.
#[derive(Debug, Args)]
struct Rows {
    /// At most so many.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Those behind the row of this number: of an entry, hold or spend.
    #[arg(long, value_name = "NUMBER")]
    after: Option<i64>,
}

impl Rows {
    const fn page(&self) -> Page {
        Page { after: self.after, limit: self.limit }
    }
}

/// Days in the account's zone.
#[derive(Clone, Copy, Debug, Args)]
struct Days {
    /// The first day, such as 2026-11-01.
    #[arg(long, value_name = "DAY")]
    from: Option<Day>,
    /// The last day.
    #[arg(long, value_name = "DAY")]
    to: Option<Day>,
}

/// Which changes.
#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    #[command(flatten)]
    of: Of,
    #[command(flatten)]
    days: Days,
    /// Entries of this kind only.
    #[arg(long, value_parser = read_kind)]
    kind: Option<EntryKind>,
    /// About this feature only.
    #[arg(long)]
    feature: Option<Label>,
    /// About this project only.
    #[arg(long)]
    project: Option<Label>,
    /// That granted this lot, or moved some of it.
    #[arg(long)]
    lot: Option<LotId>,
    #[command(flatten)]
    rows: Rows,
}

/// Which holds.
#[derive(Debug, Args)]
pub(crate) struct HoldsArgs {
    #[command(flatten)]
    of: Of,
    /// Those alone that were not captured, released or booked as run out.
    #[arg(long)]
    open: bool,
    #[command(flatten)]
    rows: Rows,
}

/// Which spends.
#[derive(Debug, Args)]
pub(crate) struct SpendsArgs {
    #[command(flatten)]
    of: Of,
    /// Of this session only.
    #[arg(long)]
    session: Option<Label>,
    #[command(flatten)]
    rows: Rows,
}

/// Which sums.
#[derive(Debug, Args)]
pub(crate) struct UsageArgs {
    #[command(flatten)]
    of: Of,
    #[command(flatten)]
    days: Days,
    /// By `day`, `feature`, `project` or `session`.
    #[arg(long, default_value = "day", value_parser = read_by)]
    by: UsageBy,
}

fn read_kind(text: &str) -> Result<EntryKind, String> {
    EntryKind::parse(text).ok_or_else(|| {
        let kinds: Vec<_> = EntryKind::ALL.iter().map(|kind| kind.as_str()).collect();
        format!("a kind is one of {}", kinds.join(", "))
    })
}

fn read_by(text: &str) -> Result<UsageBy, String> {
    UsageBy::parse(text).ok_or_else(|| "by day, feature, project or session".to_owned())
}

pub(crate) async fn run(command: CreditsCommand, context: Context) -> Outcome {
    let settings = context.settings()?;
    let store = open_store(&settings.database).await?;
    let (store, now) = (&*store, SystemClock.now());
    let of = command.of();
    if store.account(&of.account).await.map_err(unread)?.is_none() {
        let reason = format!("there is no account {}", of.account);
        return Err(Failure::plain(FailureKind::Other, reason));
    }
    let sheet = match &command {
        CreditsCommand::Balance(of) => {
            let balance = account::balance(store, &of.account, now).await.map_err(unread)?;
            // It was there a moment ago, and no account ever goes.
            balance.as_ref().map(balance_sheet).ok_or_else(|| {
                let reason = format!("there is no account {}", of.account);
                Failure::plain(FailureKind::Other, reason)
            })?
        }
        CreditsCommand::History(args) => history(store, args).await?,
        CreditsCommand::Lots(of) => lots_sheet(&store.lots(&of.account).await.map_err(unread)?),
        CreditsCommand::Holds(HoldsArgs { of, open, rows }) => {
            let holds = store.holds(&of.account, *open, rows.page()).await.map_err(unread)?;
            holds_sheet(&holds, now)
        }
        CreditsCommand::Spends(SpendsArgs { of, session, rows }) => {
            let filter = UsageFilter { session: session.clone(), ..UsageFilter::default() };
            let spends = store.usages(&of.account, filter, rows.page()).await.map_err(unread)?;
            usages_sheet(&spends)
        }
        CreditsCommand::Usage(args) => usage(store, args, now).await?,
        CreditsCommand::Limits(of) => {
            limits_sheet(&store.limits(&of.account, now).await.map_err(unread)?)
        }
    };
    print(&sheet, of.csv, context.form, command.hidden())
}

impl CreditsCommand {
    /// Columns that only programs need.
    const fn hidden(&self) -> &'static [&'static str] {
        match self {
            Self::History(_) => &["event_at", "hold", "transfer", "session"],
            Self::Holds(_) | Self::Spends(_) => &["session", "hold", "usage"],
            Self::Lots(_) => &["priority", "order"],
            Self::Balance(_) | Self::Usage(_) | Self::Limits(_) => &[],
        }
    }

    const fn of(&self) -> &Of {
        match self {
            Self::Balance(of) | Self::Lots(of) | Self::Limits(of) => of,
            Self::History(args) => &args.of,
            Self::Holds(args) => &args.of,
            Self::Spends(args) => &args.of,
            Self::Usage(args) => &args.of,
        }
    }
}

fn unread(why: StoreError) -> Failure {
    database_failure("cannot read the account's credits", why)
}

async fn history(store: &dyn Store, args: &HistoryArgs) -> Outcome<Sheet> {
    let account = &args.of.account;
    let zone = store.profile(account).await.map_err(unread)?.zone;
    let filter = HistoryFilter {
        kind: args.kind,
        from: args.days.from.map(|day| zone.span_of(day).start),
        until: args.days.to.map(|day| zone.span_of(day).end),
        feature: args.feature.clone(),
        project: args.project.clone(),
        lot: args.lot,
    };
    let lines = store.history(account, filter, args.rows.page()).await.map_err(unread)?;
    history_sheet(&lines)
        .map_err(|why| Failure::new(FailureKind::Database, "the history cannot be read", why))
}

async fn usage(store: &dyn Store, args: &UsageArgs, now: Timestamp) -> Outcome<Sheet> {
    let days = (args.days.from, args.days.to);
    let summary = account::usage_summary(store, &args.of.account, days, args.by, now).await;
    summary.map(|summary| summary_sheet(&summary)).map_err(|why| match why {
        SummaryError::Store(why) => unread(why),
        SummaryError::Days | SummaryError::TooManySessions => {
            Failure::plain(FailureKind::Other, why.to_string())
        }
    })
}

/// As a table for people; whole, for programs.
fn print(sheet: &Sheet, is_csv: bool, form: Form, hidden: &[&str]) -> Outcome {
    if is_csv {
        return output::raw(&sheet.csv());
    }
    match form {
        Form::Json => {
            let object = |row: &Vec<String>| -> Map<String, Value> {
                let cell = |text: &String| {
                    if text.is_empty() { Value::Null } else { Value::String(text.clone()) }
                };
                let names = sheet.head.iter().map(|name| (*name).to_owned());
                names.zip(row.iter().map(cell)).collect()
            };
            output::json(&sheet.rows.iter().map(object).collect::<Vec<_>>())
        }
        Form::People if sheet.rows.is_empty() => output::line("nothing yet"),
        Form::People => {
            let shown = told(sheet, hidden);
            let head: Vec<&str> = shown.iter().map(|column| sheet.head[*column]).collect();
            let is_number = |place: &usize| sheet.numbers.contains(&shown[*place]);
            let right: Vec<usize> = (0..shown.len()).filter(is_number).collect();
            let row = |row: &Vec<String>| {
                let cell = |column: &usize| {
                    let is_number = sheet.numbers.contains(column);
                    if is_number { output::short(&row[*column]) } else { to_second(&row[*column]) }
                };
                shown.iter().map(cell).collect()
            };
            output::table(&head, &right, sheet.rows.iter().map(row).collect())
        }
    }
}

/// Columns that say something to people.
fn told(sheet: &Sheet, hidden: &[&str]) -> Vec<usize> {
    let is_told = |column: &usize| {
        let name = sheet.head[*column];
        let is_nothing = |row: &Vec<String>| match row[*column].as_str() {
            "" => true,
            "0.000000" => !["credits", "left", "net"].contains(&name),
            _ => false,
        };
        !hidden.contains(&name) && !sheet.rows.iter().all(is_nothing)
    };
    (0..sheet.head.len()).filter(is_told).collect()
}

/// A time without its fraction of a second; any other text as it is.
fn to_second(text: &str) -> String {
    match text.split_once('.') {
        Some((second, _)) if text.ends_with('Z') && text.parse::<Timestamp>().is_ok() => {
            format!("{second}Z")
        }
        Some(_) | None => text.to_owned(),
    }
}
