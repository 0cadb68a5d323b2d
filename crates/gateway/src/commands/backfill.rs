//! `inspay backfill`: read past blocks up to what is final, with a progress bar, then stop.

use std::{sync::Arc, time::Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use inspay_ports::{Chain, LeaseStore, Store};
use inspay_primitives::Fence;
use inspay_watcher::{
    BackfillProgress, BackfillReport, Follower, LeaseTerms, Stepped, check_settings,
};
use serde_json::json;

use crate::{
    cli::Context,
    exit::{Failure, FailureKind, Outcome},
    output::{self, Form},
    settings::ChainSettings,
    system_clock::SystemClock,
    wiring::{connect_evm, database_failure, follow_settings, lease_terms, migrate_store},
};

/// Arguments of `inspay backfill`.
#[derive(Debug, Args)]
pub(crate) struct BackfillArgs {
    /// Only this chain.
    #[arg(long, value_name = "CHAIN ID")]
    chain: Option<u64>,
}

/// What was read of one chain.
struct Read {
    chain: u64,
    report: BackfillReport,
    rpc_calls: u64,
    elapsed_ms: u128,
}

impl Read {
    fn is_whole(&self) -> bool {
        matches!(self.report.audit, Stepped::Audited { .. } | Stepped::Idle(_))
    }
}

pub(crate) async fn run(args: BackfillArgs, context: Context) -> Outcome {
    let settings = context.settings()?;
    let wanted = |chain: &&ChainSettings| args.chain.is_none_or(|id| id == chain.id.0);
    let chains: Vec<&ChainSettings> = settings.chains.iter().filter(wanted).collect();
    if chains.is_empty() {
        return Err(Failure::plain(
            FailureKind::Settings,
            "--chain names no chain of the settings",
        ));
    }
    let store = migrate_store(&settings.database).await?;
    let terms = lease_terms(&settings);
    let mut all = Vec::new();
    for chain in chains {
        all.push(backfill(chain, &store, &terms).await?);
    }
    match context.form {
        Form::Json => output::json(&all.iter().map(to_json).collect::<Vec<_>>())?,
        Form::People => output::table(
            &["chain", "from", "to", "transfers", "calls", "ms", "books against chain"],
            &[1, 2, 3, 4, 5],
            all.iter().map(to_row).collect(),
        )?,
    }
    if all.iter().all(Read::is_whole) {
        Ok(())
    } else {
        Err(Failure::plain(FailureKind::Differs, "what was read does not equal the chain"))
    }
}

fn to_json(read: &Read) -> serde_json::Value {
    let blocks = read.report.blocks.as_ref();
    json!({
        "chain": read.chain,
        "from": blocks.map(|blocks| *blocks.start()),
        "to": blocks.map(|blocks| *blocks.end()),
        "transfers": read.report.transfers,
        "rpc_calls": read.rpc_calls,
        "elapsed_ms": u64::try_from(read.elapsed_ms).unwrap_or(u64::MAX),
        "whole": read.is_whole(),
        "audit": audit_text(&read.report.audit),
    })
}

fn to_row(read: &Read) -> Vec<String> {
    let block = |number: Option<u64>| number.map_or("-".to_owned(), |number| number.to_string());
    let blocks = read.report.blocks.as_ref();
    vec![
        read.chain.to_string(),
        block(blocks.map(|blocks| *blocks.start())),
        block(blocks.map(|blocks| *blocks.end())),
        read.report.transfers.to_string(),
        read.rpc_calls.to_string(),
        read.elapsed_ms.to_string(),
        audit_text(&read.report.audit),
    ]
}

fn audit_text(audit: &Stepped) -> String {
    match audit {
        Stepped::Audited { up_to } => format!("equal up to block {up_to}"),
        Stepped::AuditFailed(stall) => stall.to_string(),
        Stepped::Halted(reason) => reason.to_string(),
        Stepped::Idle(_) => "nothing to compare".to_owned(),
        Stepped::Applied { .. } | Stepped::RangeApplied { .. } => "not compared yet".to_owned(),
    }
}

async fn backfill(
    chain: &ChainSettings,
    store: &Arc<dyn Store>,
    terms: &LeaseTerms,
) -> Outcome<Read> {
    let failed = |why: Box<dyn std::error::Error + Send + Sync>| {
        Failure::new(FailureKind::Chain, format!("cannot read chain {}", chain.id), why)
    };
    let port = connect_evm(chain)?;
    let follow = follow_settings(chain);
    let as_chain: Arc<dyn Chain> = Arc::clone(&port) as _;
    check_settings(&as_chain, &follow).await.map_err(|why| failed(why.into()))?;
    let bar = if output::is_watched() { ProgressBar::new(0) } else { ProgressBar::hidden() };
    bar.set_style(
        ProgressStyle::with_template(
            "{prefix} {wide_bar} block {pos} of {len}, {msg} transfers, {eta}",
        )
        .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    bar.set_prefix(chain.name.clone());
    let started = Instant::now();
    let mut follower = Follower::new(as_chain, Arc::clone(store), follow, Arc::new(SystemClock));
    let mut progress = |at: BackfillProgress| {
        bar.set_length(at.to);
        bar.set_position(at.at);
        bar.set_message(at.transfers.to_string());
    };
    let leases: &dyn LeaseStore = &**store;
    let taken = terms.try_take(leases, chain.id).await;
    let number =
        taken.map_err(|why| database_failure("cannot take the lease of the chain", why))?.map_err(
            |held| Failure::new(FailureKind::Other, "another process has to stop first", held),
        )?;
    let fence = Fence { chain_id: chain.id, number };
    follower.lead(number);
    let work = follower.backfill(chain.start_block, u64::MAX, &mut progress);
    let report = terms.hold(leases, fence, work).await;
    leases
        .release_lease(fence)
        .await
        .map_err(|why| database_failure("cannot let the lease of the chain go", why))?;
    let report = report.map_err(|why| failed(why.into()))?.map_err(|why| failed(why.into()))?;
    bar.finish_and_clear();
    Ok(Read {
        chain: chain.id.0,
        report,
        rpc_calls: port.rpc_calls(),
        elapsed_ms: started.elapsed().as_millis(),
    })
}
