//! `inspay find`: where a payment is, for whoever answers for it.
//!
//! Never asks the chain: it says what the database knows, and that is what credits follow from.

use clap::Args;
use inspay_ledger::SettlementKind;
use inspay_ports::{CursorRecord, Page, Store, TransferFilter, TransferView};
use inspay_primitives::{B256, Order, format_units};
use serde_json::{Value, json};

use crate::{
    cli::Context,
    exit::{Failure, FailureKind, Outcome},
    output::{self, Form},
    settings::Settings,
    wiring::{database_failure, open_store},
};

/// Transfers of one chain transaction that are shown.
const TRANSFERS_MAX: u32 = 500;

/// Arguments of `inspay find`.
#[derive(Debug, Args)]
pub(crate) struct FindArgs {
    /// The hash of the chain transaction.
    tx_hash: B256,
}

/// A transfer with what it pays for.
struct Found {
    view: TransferView,
    order: Option<Order>,
    cursor: Option<CursorRecord>,
}

pub(crate) async fn run(args: FindArgs, context: Context) -> Outcome {
    let settings = context.settings()?;
    let store = open_store(&settings.database).await?;
    let found = find(&*store, args.tx_hash).await?;
    if context.form == Form::Json {
        let listed: Vec<Value> = found.iter().map(|found| to_json(found, &settings)).collect();
        return output::json(&listed);
    }
    if found.is_empty() {
        let reason = format!(
            "no transfer from or to a treasury is recorded of {}: it is not mined, not read yet, or paid elsewhere",
            args.tx_hash
        );
        return Err(Failure::plain(FailureKind::Other, reason));
    }
    for found in &found {
        let rows = rows(found, &settings);
        let rows = rows.into_iter().map(|(name, text)| vec![name.to_owned(), text]).collect();
        output::table(&["transfer", &found.view.id.to_string()], &[], rows)?;
    }
    Ok(())
}

async fn find(store: &dyn Store, tx_hash: B256) -> Outcome<Vec<Found>> {
    let failed = |why| database_failure("cannot look for the payment", why);
    let filter = TransferFilter { tx_hash: Some(tx_hash), ..TransferFilter::default() };
    let page = Page { after: None, limit: TRANSFERS_MAX };
    let mut found = Vec::new();
    for view in store.transfers(filter, page).await.map_err(failed)? {
        let order = match view.settlement.as_ref().and_then(|settled| settled.order) {
            Some(order) => store.order(order).await.map_err(failed)?,
            None => None,
        };
        let cursor = store.cursor(view.transfer.key.chain_id).await.map_err(failed)?;
        found.push(Found { view, order, cursor });
    }
    Ok(found)
}

impl Found {
    fn confirmations(&self) -> u64 {
        let tip = self.cursor.as_ref().map(|cursor| cursor.tip.number);
        tip.filter(|_| self.view.canonical)
            .and_then(|tip| tip.checked_sub(self.view.transfer.block.number))
            .map_or(0, |above| above.saturating_add(1))
    }

    fn state(&self) -> &'static str {
        match (&self.view.settlement, self.view.canonical) {
            (None, true) => "waits for its confirmations",
            (None, false) => "its block left the chain",
            (Some(_), false) => "its block left the chain; it is being taken back",
            (Some(settled), true) => match settled.kind {
                SettlementKind::Order => "credited to its order",
                SettlementKind::Late => "credited to its order, late",
                SettlementKind::Suspense => "in suspense: nobody's yet",
                SettlementKind::Withdrawal => "left the treasury",
                SettlementKind::Ignored => "moves nothing",
            },
        }
    }
}

fn quantity(view: &TransferView, settings: &Settings) -> (String, String) {
    let asset = view.transfer.key.asset();
    let mut listed = settings.chains.iter().flat_map(|chain| &chain.assets);
    match listed.find(|listed| listed.asset.id == asset) {
        Some(listed) => (
            output::short(&format_units(view.transfer.base_units, listed.asset.decimals)),
            listed.asset.symbol.clone(),
        ),
        None => (view.transfer.base_units.to_string(), format!("base units of {}", asset.contract)),
    }
}

fn rows(found: &Found, settings: &Settings) -> Vec<(&'static str, String)> {
    let Found { view, order, .. } = found;
    let (transfer, (number, symbol)) = (&view.transfer, quantity(view, settings));
    let mut rows = vec![
        ("state", found.state().to_owned()),
        ("direction", transfer.key.direction.as_str().to_owned()),
        ("amount", format!("{number} {symbol}")),
        ("counterparty", transfer.counterparty.to_string()),
        ("treasury", transfer.key.treasury.to_string()),
        ("block", format!("{} of {}", transfer.block.number, transfer.block.time)),
        ("confirmations", found.confirmations().to_string()),
    ];
    if let Some(settled) = &view.settlement {
        rows.push(("settled", settled.settled_at.to_string()));
        let evidence = settled.evidence.map(|evidence| evidence.as_str());
        rows.extend(evidence.map(|evidence| ("evidence", evidence.to_owned())));
        let reason = settled.suspense.map(|reason| reason.as_str());
        rows.extend(reason.map(|reason| ("why not", reason.to_owned())));
        rows.extend(settled.candidates.iter().map(|order| ("may be for", order.to_string())));
        rows.extend(settled.entry_seq.map(|entry| ("entry", entry.to_string())));
    }
    if let Some(order) = order {
        rows.push(("order", format!("{}, {}", order.terms.id, order.progress.state.as_str())));
        rows.push(("account", order.terms.account.to_string()));
        rows.push(("credits of the order", order.progress.credited.to_string()));
    }
    rows
}

fn to_json(found: &Found, settings: &Settings) -> Value {
    let Found { view, order, .. } = found;
    let (transfer, settled) = (&view.transfer, view.settlement.as_ref());
    let (number, symbol) = quantity(view, settings);
    json!({
        "transfer": view.id,
        "state": found.state(),
        "direction": transfer.key.direction.as_str(),
        "amount": number,
        "symbol": symbol,
        "base_units": transfer.base_units.to_string(),
        "counterparty": transfer.counterparty,
        "treasury": transfer.key.treasury,
        "block": { "number": transfer.block.number, "time": transfer.block.time, "canonical": view.canonical },
        "confirmations": found.confirmations(),
        "evidence": settled.and_then(|settled| settled.evidence).map(|evidence| evidence.as_str()),
        "reason": settled.and_then(|settled| settled.suspense).map(|reason| reason.as_str()),
        "candidates": settled.map(|settled| &settled.candidates),
        "entry": settled.and_then(|settled| settled.entry_seq),
        "order": order.as_ref().map(|order| order.terms.id),
        "account": order.as_ref().map(|order| &order.terms.account),
    })
}
