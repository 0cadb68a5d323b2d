//! `inspay audit`: compares the balance of every treasury and asset with the chain, now.
//!
//! Where nobody follows the chain, what can be mended is mended, and halts begin and end, as in the follower's own
//! audits. Beside a follower it only looks: halting is the follower's, at its next audit.

use std::sync::Arc;

use clap::Args;
use inspay_ports::{AssetHalt, Chain, LeaseStore, Store};
use inspay_primitives::{Fence, format_units};
use inspay_watcher::{Finding, Follower, LeaseTerms, check_settings};
use serde_json::{Value, json};

use crate::{
    cli::Context,
    exit::{Failure, FailureKind, Outcome},
    output::{self, Form},
    settings::ChainSettings,
    system_clock::SystemClock,
    wiring::{connect_evm, database_failure, follow_settings, lease_terms, open_store},
};

/// Arguments of `inspay audit`.
#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// Only this chain.
    #[arg(long, value_name = "CHAIN ID")]
    chain: Option<u64>,
}

/// One chain as it was found.
struct Audited<'a> {
    chain: &'a ChainSettings,
    /// Who follows it, if that kept us from doing more than looking.
    followed_by: Option<String>,
    found: Vec<Finding>,
    halts: Vec<AssetHalt>,
}

impl Audited<'_> {
    fn is_whole(&self) -> bool {
        self.halts.is_empty() && self.found.iter().all(|finding| finding.stall.is_none())
    }

    fn halt_of(&self, finding: &Finding) -> Option<&AssetHalt> {
        self.halts
            .iter()
            .find(|halt| (halt.asset, halt.treasury) == (finding.asset, finding.treasury))
    }

    fn decimals_of(&self, finding: &Finding) -> u8 {
        let listed = self.chain.assets.iter().find(|listed| listed.asset.id == finding.asset);
        listed.map_or(0, |listed| listed.asset.decimals)
    }
}

pub(crate) async fn run(args: AuditArgs, context: Context) -> Outcome {
    let settings = context.settings()?;
    let wanted = |chain: &&ChainSettings| args.chain.is_none_or(|id| id == chain.id.0);
    let chains: Vec<&ChainSettings> = settings.chains.iter().filter(wanted).collect();
    if chains.is_empty() {
        return Err(Failure::plain(
            FailureKind::Settings,
            "--chain names no chain of the settings",
        ));
    }
    let store = open_store(&settings.database).await?;
    let terms = lease_terms(&settings);
    let mut all = Vec::new();
    for chain in chains {
        all.push(audit(chain, &store, &terms).await?);
    }
    match context.form {
        Form::Json => output::json(&all.iter().flat_map(to_json).collect::<Vec<_>>())?,
        Form::People => print(&all)?,
    }
    if all.iter().all(Audited::is_whole) {
        Ok(())
    } else {
        Err(Failure::plain(FailureKind::Differs, "books and chain differ, or an asset is halted"))
    }
}

async fn audit<'a>(
    chain: &'a ChainSettings,
    store: &Arc<dyn Store>,
    terms: &LeaseTerms,
) -> Outcome<Audited<'a>> {
    let failed = |why: Box<dyn std::error::Error + Send + Sync>| {
        Failure::new(FailureKind::Chain, format!("cannot audit chain {}", chain.id), why)
    };
    let port: Arc<dyn Chain> = connect_evm(chain)?;
    let follow = follow_settings(chain);
    check_settings(&port, &follow).await.map_err(|why| failed(why.into()))?;
    let mut follower = Follower::new(port, Arc::clone(store), follow, Arc::new(SystemClock));
    let leases: &dyn LeaseStore = &**store;
    let taken = terms.try_take(leases, chain.id).await;
    let taken = taken.map_err(|why| database_failure("cannot take the lease of the chain", why))?;
    let (followed_by, found) = match taken {
        Err(held) => {
            let found = follower.look_at_books().await.map_err(|why| failed(why.into()))?;
            (Some(held.holder), found)
        }
        Ok(number) => {
            let fence = Fence { chain_id: chain.id, number };
            follower.lead(number);
            let found = terms.hold(leases, fence, follower.audit_now()).await;
            leases
                .release_lease(fence)
                .await
                .map_err(|why| database_failure("cannot let the lease of the chain go", why))?;
            let found = found.map_err(|why| failed(why.into()))?;
            (None, found.map_err(|why| failed(why.into()))?)
        }
    };
    let halts = store.halts(chain.id).await;
    let halts = halts.map_err(|why| database_failure("cannot read what is halted", why))?;
    Ok(Audited { chain, followed_by, found, halts })
}

fn to_json(audited: &Audited<'_>) -> Vec<Value> {
    let line = |finding: &Finding| {
        let sides = finding.sides;
        json!({
            "chain": audited.chain.id, "asset": finding.symbol,
            "treasury": finding.treasury.to_string(),
            "block": finding.at.number, "block_hash": finding.at.hash,
            "opening_base_units": sides.map(|sides| sides.opening_base_units.to_string()),
            "in_base_units": sides.map(|sides| sides.totals.in_base_units.to_string()),
            "out_base_units": sides.map(|sides| sides.totals.out_base_units.to_string()),
            "balance_of_base_units": sides.map(|sides| sides.balance_base_units.to_string()),
            "difference_base_units": sides.map(|sides| sides.difference()),
            "why": finding.stall.as_ref().map(ToString::to_string),
            "halted_since": audited.halt_of(finding).map(|halt| halt.halted_at),
            "only_looked_beside": audited.followed_by,
        })
    };
    audited.found.iter().map(line).collect()
}

fn print(all: &[Audited<'_>]) -> Outcome {
    let mut rows = Vec::new();
    for audited in all {
        for finding in &audited.found {
            let decimals = audited.decimals_of(finding);
            let units = |quantity| output::short(&format_units(quantity, decimals));
            let sides = |of: &dyn Fn(inspay_watcher::Sides) -> String| {
                finding.sides.map_or_else(|| "?".to_owned(), of)
            };
            let halted = audited.halt_of(finding).map(|halt| halt.halted_at.to_string());
            rows.push(vec![
                audited.chain.name.clone(),
                finding.symbol.clone(),
                finding.treasury.to_string(),
                finding.at.number.to_string(),
                sides(&|sides| units(sides.opening_base_units)),
                sides(&|sides| units(sides.totals.in_base_units)),
                sides(&|sides| units(sides.totals.out_base_units)),
                sides(&|sides| units(sides.balance_base_units)),
                sides(&|sides| sides.difference()),
                halted.unwrap_or_else(|| "-".to_owned()),
            ]);
        }
        if let Some(holder) = &audited.followed_by {
            output::note(&format!(
                "chain {} is followed by {holder}: it was only looked at, and its follower halts at its next audit",
                audited.chain.id
            ));
        }
        for stall in audited.found.iter().filter_map(|finding| finding.stall.as_ref()) {
            output::note(&stall.to_string());
        }
    }
    let head = [
        "chain",
        "asset",
        "treasury",
        "block",
        "opening",
        "in",
        "out",
        "balanceOf",
        "off by",
        "halted since",
    ];
    output::table(&head, &[3, 4, 5, 6, 7, 8], rows)
}
