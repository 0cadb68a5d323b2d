//! `inspay demo`: scripted buyers on a local chain, a gateway of its own, then the reconciliation.
//!
//! Everything is real: Anvil, the gateway as a process of its own that is once killed, its HTTP API, its
//! database. Nothing of it is left afterwards, except with `DATABASE_URL`, where a scratch database is
//! made on that server and dropped at the end.

mod buyers;
mod reorgs;
mod report;
mod shop;
mod world;

use clap::Args;

use crate::{cli::Context, exit::Outcome};

use world::World;

/// Arguments of `inspay demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Keep the settings, the database and the gateway's log in this folder.
    #[arg(long, value_name = "FOLDER")]
    keep: Option<std::path::PathBuf>,
}

pub(crate) async fn run(args: DemoArgs, context: Context) -> Outcome {
    let mut world = World::start(args.keep, context.form).await?;
    let played = buyers::play(&mut world).await;
    let ended = match played {
        Ok(stories) => report::finish(&mut world, stories, context.form).await,
        Err(failure) => Err(failure),
    };
    if ended.is_err() {
        world.show_log();
    }
    let closed = world.close().await;
    ended.and(closed)
}
