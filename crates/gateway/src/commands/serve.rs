//! `inspay serve`: the gateway, until it is told to stop.

use clap::{Args, ValueEnum};
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio_util::sync::CancellationToken;

use crate::{
    cli::Context,
    exit::{Failure, FailureKind, Outcome},
    output::{self, Form},
    wiring::{self, Points, Role},
};
#[cfg(debug_assertions)]
use crate::{cli::environment, fail_points};

/// Arguments of `inspay serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// What this process does; several processes may share one PostgreSQL database.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [RoleName::Api, RoleName::Watch, RoleName::Settle])]
    roles: Vec<RoleName>,
    /// Where HTTP is answered; port 0 takes a free one. Overrides the settings.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<std::net::SocketAddr>,
    /// Stop when standard input closes: for whoever starts the gateway as a child.
    #[arg(long, hide = true)]
    until_stdin_closes: bool,
}

/// A role on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum RoleName {
    /// Answer HTTP.
    Api,
    /// Follow the chains.
    Watch,
    /// Settle what arrives.
    Settle,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Api => Self::Api,
            RoleName::Watch => Self::Watch,
            RoleName::Settle => Self::Settle,
        }
    }
}

pub(crate) async fn run(args: ServeArgs, context: Context) -> Outcome {
    let mut settings = context.settings()?;
    if let Some(listen) = args.listen {
        settings.listen = listen;
    }
    let roles: Vec<Role> = args.roles.into_iter().map(Role::from).collect();
    #[cfg(debug_assertions)]
    let points = match environment(fail_points::VARIABLE).as_deref() {
        Some("list") => return fail_points::names().iter().try_for_each(|name| output::line(name)),
        Some(text) => Points::arm(text)?,
        None => Points::default(),
    };
    #[cfg(not(debug_assertions))]
    let points = Points::default();
    let store = wiring::migrate_store_with(&settings.database, &points).await?;
    let cancel = CancellationToken::new();
    let running = wiring::start(&settings, store, &roles, &points, cancel.clone()).await?;
    if let Some(address) = running.address() {
        let url = format!("http://{address}");
        match context.form {
            Form::Json => output::line(&json!({ "url": url }).to_string())?,
            Form::People => output::line(&format!("listening on {url}"))?,
        }
    }
    let stopped = running.ended();
    tokio::select! {
        asked = asked_to_stop(args.until_stdin_closes) => asked?,
        () = stopped => {}
    }
    cancel.cancel();
    running.finish().await
}

/// Returns on SIGTERM, on Ctrl-C, and where wanted when standard input closes.
pub(crate) async fn asked_to_stop(until_stdin_closes: bool) -> Outcome {
    let failed = |why| Failure::new(FailureKind::Other, "cannot listen for signals", why);
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .map_err(failed)?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.map_err(failed),
        _ = terminate.recv() => Ok(()),
        () = stdin_closed(), if until_stdin_closes => Ok(()),
    }
}

async fn stdin_closed() {
    let mut input = tokio::io::stdin();
    let mut buffer = [0; 64];
    // An error on standard input means the same as its end: nobody holds the other side.
    while input.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
}
