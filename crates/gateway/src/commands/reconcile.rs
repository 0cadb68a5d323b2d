//! `inspay reconcile`: recorded transfers, books and chain, side by side.

use std::{collections::BTreeMap, sync::Arc};

use inspay_ports::Store;
use inspay_primitives::{AssetId, U256, format_units};
use inspay_reports::{Reconciliation, TreasuryAsset, reconcile, signed_difference};
use serde_json::{Value, json};

use crate::{
    cli::Context,
    exit::{Failure, FailureKind, Outcome},
    output::{self, Form},
    settings::{ChainSettings, Settings},
    wiring::{connect_chain, open_store},
};

/// One asset and treasury, with what the books should hold of the asset in all.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    chain_name: String,
    one: Reconciliation,
    /// Settled over all treasuries of the asset, which is what the books' account covers.
    settled: Option<U256>,
}

impl Line {
    /// Whether chain, recorded transfers and books agree to the last base unit.
    pub(crate) fn agrees(&self) -> bool {
        self.one.agrees() && self.settled == Some(self.one.books_base_units)
    }

    fn books_difference(&self) -> String {
        self.settled.map_or_else(
            || "out of range".to_owned(),
            |settled| signed_difference(self.one.books_base_units, settled),
        )
    }

    pub(crate) fn to_json(&self) -> Value {
        let one = &self.one;
        json!({
            "chain": one.asset.id.chain_id, "asset": one.asset.symbol, "treasury": one.treasury.to_string(),
            "block": one.block.number, "block_hash": one.block.hash,
            "opening_base_units": one.opening_base_units.to_string(),
            "in_base_units": one.totals.in_base_units.to_string(),
            "out_base_units": one.totals.out_base_units.to_string(),
            "balance_of_base_units": one.balance_base_units.to_string(),
            "difference_base_units": one.difference(),
            "transfers": one.totals.count, "unsettled_transfers": one.totals.unsettled_count,
            "books_base_units": one.books_base_units.to_string(),
            "books_difference_base_units": self.books_difference(),
            "agrees": self.agrees(),
        })
    }
}

/// Reconciles every chain, asset and treasury of the settings.
pub(crate) async fn collect(settings: &Settings, store: &Arc<dyn Store>) -> Outcome<Vec<Line>> {
    let mut lines = Vec::new();
    for chain in &settings.chains {
        let port = connect_chain(chain)?;
        let found = reconcile(&port, store, &treasury_assets(chain)).await.map_err(|why| {
            Failure::new(FailureKind::Chain, format!("cannot reconcile chain {}", chain.id), why)
        })?;
        let mut settled: BTreeMap<AssetId, Option<U256>> = BTreeMap::new();
        for one in &found {
            let sum = settled.entry(one.asset.id).or_insert(Some(U256::ZERO));
            *sum = sum.and_then(|sum| sum.checked_add(one.settled_base_units()?));
        }
        lines.extend(found.into_iter().map(|one| Line {
            chain_name: chain.name.clone(),
            settled: settled.get(&one.asset.id).copied().flatten(),
            one,
        }));
    }
    Ok(lines)
}

fn treasury_assets(chain: &ChainSettings) -> Vec<TreasuryAsset> {
    chain
        .assets
        .iter()
        .flat_map(|listed| {
            chain.treasuries.iter().map(|(treasury, _)| TreasuryAsset {
                asset: listed.asset.clone(),
                treasury: *treasury,
                opening_base_units: listed
                    .opening_base_units
                    .get(treasury)
                    .copied()
                    .unwrap_or_default(),
            })
        })
        .collect()
}

/// Prints a reconciliation for people.
pub(crate) fn print(lines: &[Line]) -> Outcome {
    let rows = lines
        .iter()
        .map(|line| {
            let one = &line.one;
            let units = |quantity| output::short(&format_units(quantity, one.asset.decimals));
            vec![
                line.chain_name.clone(),
                one.asset.symbol.clone(),
                one.block.number.to_string(),
                one.totals.count.to_string(),
                units(one.opening_base_units),
                units(one.totals.in_base_units),
                units(one.totals.out_base_units),
                units(one.balance_base_units),
                one.difference(),
                units(one.books_base_units),
                line.books_difference(),
            ]
        })
        .collect();
    let head = [
        "chain",
        "asset",
        "block",
        "transfers",
        "opening",
        "in",
        "out",
        "balanceOf",
        "off by",
        "books",
        "off by",
    ];
    output::table(&head, &[2, 3, 4, 5, 6, 7, 8, 9, 10], rows)
}

pub(crate) async fn run(context: Context) -> Outcome {
    let settings = context.settings()?;
    let store = open_store(&settings.database).await?;
    let lines = collect(&settings, &store).await?;
    match context.form {
        Form::Json => output::json(&lines.iter().map(Line::to_json).collect::<Vec<_>>())?,
        Form::People => print(&lines)?,
    }
    if lines.iter().all(Line::agrees) {
        Ok(())
    } else {
        Err(Failure::plain(FailureKind::Differs, "books and chain differ"))
    }
}
