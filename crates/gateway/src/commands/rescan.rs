//! `inspay rescan`: follow a chain anew from a block on, the way out of a reorg deeper than what is kept.

use std::sync::Arc;

use clap::Args;
use inspay_ports::Chain;
use inspay_primitives::BlockRef;
use inspay_watcher::{Follower, Rescanned, check_settings};
use serde_json::json;

use crate::{
    cli::Context,
    exit::{Failure, FailureKind, Outcome},
    output::{self, Form},
    system_clock::SystemClock,
    wiring::{connect_evm, follow_settings, migrate_store},
};

/// Arguments of `inspay rescan`.
#[derive(Debug, Args)]
pub(crate) struct RescanArgs {
    /// The chain.
    #[arg(long, value_name = "CHAIN ID")]
    chain: u64,
    /// The first block to read again. Without it, the first one above the newest stored block that the chain still has.
    #[arg(long, value_name = "BLOCK")]
    from: Option<u64>,
}

pub(crate) async fn run(args: RescanArgs, context: Context) -> Outcome {
    let settings = context.settings()?;
    let wanted = settings.chains.iter().find(|chain| chain.id.0 == args.chain);
    let chain = wanted.ok_or_else(|| {
        Failure::plain(FailureKind::Settings, "--chain names no chain of the settings")
    })?;
    let store = migrate_store(&settings.database).await?;
    let failed = |why: Box<dyn std::error::Error + Send + Sync>| {
        Failure::new(FailureKind::Chain, format!("cannot read chain {} again", chain.id), why)
    };
    let port: Arc<dyn Chain> = connect_evm(chain)?;
    let follow = follow_settings(chain);
    check_settings(&port, &follow).await.map_err(|why| failed(why.into()))?;
    let mut follower = Follower::new(port, store, follow, Arc::new(SystemClock));
    let rescanned = follower.rescan(args.from).await.map_err(|why| failed(why.into()))?;
    report(&context, args.chain, rescanned)
}

fn report(context: &Context, chain: u64, rescanned: Rescanned) -> Outcome {
    let refuse = |why: String| Err(Failure::plain(FailureKind::Differs, why));
    let (went_back, to, before) = match rescanned {
        Rescanned::NeverFollowed => {
            return refuse(format!(
                "chain {chain} was never followed: there is nothing to go back from"
            ));
        }
        Rescanned::NothingInCommon { lowest } => {
            return refuse(format!(
                "chain {chain} has none of the stored blocks from {lowest} on; say with --from which block to begin at"
            ));
        }
        Rescanned::OutOfRange { lowest, tip } => {
            return refuse(format!("--from must lie between {lowest} and {tip}"));
        }
        Rescanned::InStep { tip } => (false, tip, tip),
        Rescanned::WentBack { to, before } => (true, to, before),
    };
    match context.form {
        Form::Json => output::json(&json!({
            "chain": chain,
            "went_back": went_back,
            "to": block(to),
            "before": block(before),
        })),
        Form::People if went_back => output::line(&format!(
            "Chain {chain} is followed from block {} on again; it stood at {}. What left the chain is taken back, and \
             what is read again is settled again, once `inspay serve` runs.",
            to.number.saturating_add(1),
            before.number
        )),
        Form::People => output::line(&format!(
            "Chain {chain} still has our newest block {}: nothing had to be read again.",
            to.number
        )),
    }
}

fn block(block: BlockRef) -> serde_json::Value {
    json!({ "number": block.number, "hash": block.hash })
}
