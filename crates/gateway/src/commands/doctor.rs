//! `inspay doctor`: looks at everything and says what is wrong with it.

use std::sync::Arc;

use inspay_chain_evm::EvmChain;
use inspay_ports::{CaseFilter, Chain, Page, Store};
use inspay_primitives::{Clock as _, Timestamp, U256};
use inspay_rates::RateKey;
use serde::Serialize;

use crate::{
    cli::Context,
    exit::{Failure, FailureKind, Outcome},
    output::{self, Form},
    settings::{ChainSettings, Settings},
    system_clock::SystemClock,
    wiring::{self, connect_evm, open_store},
};

/// Blocks that a follower may trail its node before it counts as behind.
const BEHIND_BLOCKS: u64 = 64;

/// Open cases that are named.
const CASES_SHOWN_MAX: u32 = 20;

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    what: String,
    ok: bool,
    detail: String,
}

impl Finding {
    fn good(what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { what: what.into(), ok: true, detail: detail.into() }
    }

    fn bad(what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { what: what.into(), ok: false, detail: detail.into() }
    }
}

/// An error with its causes, each once.
fn chain_of_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

pub(crate) async fn run(context: Context) -> Outcome {
    let settings = context.settings()?;
    let from = context
        .settings_file
        .as_ref()
        .map_or("embedded defaults".to_owned(), |path| path.display().to_string());
    let mut findings = vec![Finding::good("settings", from)];
    let store = match open_store(&settings.database).await {
        Ok(store) => {
            findings.push(Finding::good("database", settings.database.to_string()));
            Some(store)
        }
        Err(failure) => {
            findings.push(Finding::bad("database", failure.to_string()));
            None
        }
    };
    for chain in &settings.chains {
        look_at_chain(chain, store.as_ref(), &mut findings).await?;
    }
    look_at_rates(&settings, &mut findings).await?;
    if let Some(store) = &store {
        look_at_books(store, &mut findings).await;
        look_at_cases(store, &mut findings).await;
    }
    print(&context, &findings)?;
    if findings.iter().all(|finding| finding.ok) {
        Ok(())
    } else {
        Err(Failure::plain(FailureKind::Other, "something is wrong"))
    }
}

async fn look_at_chain(
    chain: &ChainSettings,
    store: Option<&Arc<dyn Store>>,
    findings: &mut Vec<Finding>,
) -> Outcome {
    let name = format!("chain {} ({})", chain.id, chain.name);
    let adapter = connect_evm(chain)?;
    let port: Arc<dyn Chain> = Arc::clone(&adapter) as _;
    look_at_endpoints(chain, &adapter, findings).await;
    let head = match port.head().await {
        Ok(head) => head.block.number,
        Err(error) => {
            findings.push(Finding::bad(name, chain_of_causes(&error)));
            return Ok(());
        }
    };
    match port.remote_chain_id().await {
        Ok(id) if id == chain.id => findings.push(Finding::good(&name, format!("head {head}"))),
        Ok(id) => {
            findings.push(Finding::bad(&name, format!("the node is on chain {id} (chains.id)")))
        }
        Err(error) => findings.push(Finding::bad(&name, chain_of_causes(&error))),
    }
    for listed in &chain.assets {
        findings.push(look_at_token(port.as_ref(), chain, listed).await);
    }
    if let Some(store) = store {
        let what = format!("{name}: follower");
        findings.push(match store.cursor(chain.id).await {
            Ok(None) => Finding::bad(what, "the chain has not been followed yet"),
            Ok(Some(cursor)) => {
                let behind = head.saturating_sub(cursor.tip.number);
                let detail = format!(
                    "at block {}, {behind} behind, proven to {}",
                    cursor.tip.number, cursor.audited_to
                );
                if behind > BEHIND_BLOCKS || cursor.audited_to < cursor.tip.number {
                    Finding::bad(what, detail)
                } else {
                    Finding::good(what, detail)
                }
            }
            Err(error) => Finding::bad(what, chain_of_causes(&error)),
        });
        findings.push(look_at_lease(store, chain, &name).await);
        look_at_halts(store, chain, &name, findings).await;
    }
    Ok(())
}

/// Who follows the chain. That nobody does is no fault of anything: perhaps nothing serves now.
async fn look_at_lease(store: &Arc<dyn Store>, chain: &ChainSettings, name: &str) -> Finding {
    let what = format!("{name}: lease");
    match store.lease(chain.id).await {
        Ok(None) => Finding::good(what, "nobody has held it yet"),
        Ok(Some(lease)) if lease.remaining.is_zero() => {
            let detail = format!(
                "nobody holds it; the last one was {}, fencing {}",
                lease.holder, lease.number
            );
            Finding::good(what, detail)
        }
        Ok(Some(lease)) => {
            let micros = i64::try_from(lease.remaining.as_micros()).unwrap_or(i64::MAX);
            let until = SystemClock.now().micros().saturating_add(micros);
            let checked =
                if lease.checked { "" } else { ", has not found our blocks on the chain" };
            let detail = format!(
                "held by {}, fencing {}, until {}{checked}",
                lease.holder,
                lease.number,
                Timestamp::from_micros(until)
            );
            Finding::good(what, detail)
        }
        Err(error) => Finding::bad(what, chain_of_causes(&error)),
    }
}

/// The assets of the chain of which nothing is credited.
async fn look_at_halts(
    store: &Arc<dyn Store>,
    chain: &ChainSettings,
    name: &str,
    findings: &mut Vec<Finding>,
) {
    let what = format!("{name}: halted assets");
    match store.halts(chain.id).await {
        Ok(halts) if halts.is_empty() => findings.push(Finding::good(what, "none")),
        Ok(halts) => findings.extend(halts.iter().map(|halt| {
            Finding::bad(what.clone(), format!("since {}: {}", halt.halted_at, halt.why))
        })),
        Err(error) => findings.push(Finding::bad(what, chain_of_causes(&error))),
    }
}

/// Cases that nobody has resolved, as far as one look shows them.
async fn look_at_cases(store: &Arc<dyn Store>, findings: &mut Vec<Finding>) {
    let filter = CaseFilter { kind: None, open_only: true };
    let page = Page { after: None, limit: CASES_SHOWN_MAX };
    findings.push(match store.cases(filter, page).await {
        Ok(cases) if cases.is_empty() => Finding::good("cases", "none is open"),
        Ok(cases) => {
            let told: Vec<String> = cases
                .iter()
                .map(|case| {
                    format!(
                        "{} {} of {}",
                        case.id,
                        case.opening.kind.as_str(),
                        case.opening.subject
                    )
                })
                .collect();
            Finding::bad("cases", format!("open: {}; see inspay cases", told.join(", ")))
        }
        Err(error) => Finding::bad("cases", chain_of_causes(&error)),
    });
}

async fn look_at_endpoints(chain: &ChainSettings, adapter: &EvmChain, findings: &mut Vec<Finding>) {
    for (view, failure) in adapter.probe_endpoints().await {
        let what = format!("chain {} ({}): endpoint {}", chain.id, chain.name, view.host);
        findings.push(match (failure, view.note()) {
            (Some(kind), _) => Finding::bad(what, kind.to_string()),
            (None, Some(note)) => Finding::bad(what, note),
            (None, None) => Finding::good(what, format!("at block {}", view.head)),
        });
    }
}

async fn look_at_token(
    port: &dyn Chain,
    chain: &ChainSettings,
    listed: &crate::settings::AssetSettings,
) -> Finding {
    let what = format!("{} on chain {}", listed.asset.symbol, chain.id);
    match port.token_facts(listed.asset.id.contract).await {
        Err(error) => Finding::bad(what, chain_of_causes(&error)),
        Ok(facts) if !facts.has_code => {
            Finding::bad(what, "there is no contract at its address (assets.contract)")
        }
        Ok(facts) if facts.decimals != Some(listed.asset.decimals) => {
            let said = facts.decimals.map_or("nothing".to_owned(), |decimals| decimals.to_string());
            let why = format!(
                "the contract says {said} decimals, the settings {} (assets.decimals)",
                listed.asset.decimals
            );
            Finding::bad(what, why)
        }
        Ok(_) => Finding::good(what, format!("{} decimals", listed.asset.decimals)),
    }
}

async fn look_at_rates(settings: &Settings, findings: &mut Vec<Finding>) -> Outcome {
    let book = wiring::rate_book(settings)?;
    let now = SystemClock.now();
    for chain in &settings.chains {
        let keys = chain
            .assets
            .iter()
            .map(|listed| (listed.asset.symbol.clone(), RateKey::Asset(listed.asset.id)))
            .chain([(chain.native_symbol.clone(), RateKey::Native(chain.id))]);
        for (symbol, key) in keys {
            let what = format!("rate of {symbol} on chain {}", chain.id);
            findings.push(match book.rate(key, now).await {
                Ok(rate) => Finding::good(what, format!("{} USD from {}", rate.rate, rate.source)),
                Err(refusal) => Finding::bad(what, format!("{}: {refusal}", refusal.code())),
            });
        }
    }
    Ok(())
}

async fn look_at_books(store: &Arc<dyn Store>, findings: &mut Vec<Finding>) {
    findings.push(match store.broken_laws().await {
        Ok(laws) if laws.is_empty() => Finding::good("laws of the books", "every one holds"),
        Ok(laws) => {
            let rows: Vec<String> =
                laws.iter().map(|law| format!("{}: {}", law.law, law.row)).collect();
            Finding::bad("laws of the books", rows.join("; "))
        }
        Err(error) => Finding::bad("laws of the books", chain_of_causes(&error)),
    });
    let suspense = match store.balances(false).await {
        Ok(balances) => balances
            .iter()
            .filter(|balance| balance.account == inspay_ledger::BookAccount::Suspense)
            .filter(|balance| balance.credits.saturating_sub(balance.debits) > U256::ZERO)
            .count(),
        Err(error) => {
            findings.push(Finding::bad("suspense", chain_of_causes(&error)));
            return;
        }
    };
    findings
        .push(Finding::good("suspense", format!("{suspense} assets with something in suspense")));
}

fn print(context: &Context, findings: &[Finding]) -> Outcome {
    match context.form {
        Form::Json => output::json(&findings),
        Form::People => output::table(
            &["", "what", "detail"],
            &[],
            findings
                .iter()
                .map(|finding| {
                    let mark = if finding.ok { "ok" } else { "WRONG" };
                    vec![mark.to_owned(), finding.what.clone(), finding.detail.clone()]
                })
                .collect(),
        ),
    }
}
