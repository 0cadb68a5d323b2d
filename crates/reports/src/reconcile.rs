//! Books equal chain: opening + in − out = `balanceOf` at one block, and the books hold what was settled.

use std::sync::Arc;

use inspay_ledger::{BookAccount, Unit};
use inspay_ports::{Chain, ChainError, Store, StoreError, TransferTotals};
use inspay_primitives::{Address, Asset, BlockRef, U256};

/// An asset and the treasury that holds it.
#[derive(Clone, Debug)]
pub struct TreasuryAsset {
    /// The asset.
    pub asset: Asset,
    /// The treasury.
    pub treasury: Address,
    /// What it held before the first followed block.
    pub opening_base_units: U256,
}

/// One asset and treasury at one block.
#[derive(Clone, Debug)]
pub struct Reconciliation {
    /// The asset.
    pub asset: Asset,
    /// The treasury.
    pub treasury: Address,
    /// The block.
    pub block: BlockRef,
    /// What it held before the first followed block.
    pub opening_base_units: U256,
    /// Sums of the recorded transfers.
    pub totals: TransferTotals,
    /// What the chain says it holds.
    pub balance_base_units: U256,
    /// What the books say the asset's treasuries hold: debits less credits.
    pub books_base_units: U256,
}

/// Why a reconciliation could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The store failed.
    #[error("the recorded transfers could not be read")]
    Store(#[from] StoreError),
    /// The chain failed.
    #[error("the treasury's balance could not be read")]
    Chain(#[from] ChainError),
    /// The chain has never been followed.
    #[error("the chain has not been followed yet")]
    NotFollowed,
    /// A sum passed 2^256 − 1, or more left than came.
    #[error("the sums of {symbol} are out of range")]
    OutOfRange {
        /// The asset.
        symbol: String,
    },
}

/// A difference with its sign.
#[must_use]
pub fn signed_difference(left: U256, right: U256) -> String {
    if left >= right {
        left.saturating_sub(right).to_string()
    } else {
        format!("-{}", right.saturating_sub(left))
    }
}

impl Reconciliation {
    /// Opening + in − out; `None` where that is no number.
    #[must_use]
    pub fn expected_base_units(&self) -> Option<U256> {
        self.opening_base_units
            .checked_add(self.totals.in_base_units)?
            .checked_sub(self.totals.out_base_units)
    }

    /// What the books should hold of this treasury: all that is settled.
    #[must_use]
    pub fn settled_base_units(&self) -> Option<U256> {
        let settled_in =
            self.totals.in_base_units.checked_sub(self.totals.unsettled_in_base_units)?;
        let settled_out =
            self.totals.out_base_units.checked_sub(self.totals.unsettled_out_base_units)?;
        settled_in.checked_sub(settled_out)
    }

    /// Chain less expected, with its sign; `0` is what everybody wants.
    #[must_use]
    pub fn difference(&self) -> String {
        self.expected_base_units().map_or_else(
            || "out of range".to_owned(),
            |expected| signed_difference(self.balance_base_units, expected),
        )
    }

    /// Whether recorded transfers and chain agree to the last base unit.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.expected_base_units() == Some(self.balance_base_units)
    }
}

/// Reconciles every asset and treasury at the newest applied block.
pub async fn reconcile(
    chain: &Arc<dyn Chain>,
    store: &Arc<dyn Store>,
    assets: &[TreasuryAsset],
) -> Result<Vec<Reconciliation>, ReconcileError> {
    let cursor = store.cursor(chain.chain_id()).await?.ok_or(ReconcileError::NotFollowed)?;
    let balances = store.balances(false).await?;
    let mut lines = Vec::with_capacity(assets.len());
    for TreasuryAsset { asset, treasury, opening_base_units } in assets {
        let out_of_range = || ReconcileError::OutOfRange { symbol: asset.symbol.clone() };
        let totals = store.transfer_totals(asset.id, *treasury, cursor.tip.number).await?;
        let balance_base_units = chain.balance_of(asset.id, *treasury, cursor.tip.hash).await?;
        let books_base_units = balances
            .iter()
            .find(|balance| {
                balance.account == BookAccount::Treasury && balance.unit == Unit::Token(asset.id)
            })
            .map_or(Some(U256::ZERO), |balance| balance.debits.checked_sub(balance.credits))
            .ok_or_else(out_of_range)?;
        lines.push(Reconciliation {
            asset: asset.clone(),
            treasury: *treasury,
            block: cursor.tip,
            opening_base_units: *opening_base_units,
            totals,
            balance_base_units,
            books_base_units,
        });
    }
    Ok(lines)
}
