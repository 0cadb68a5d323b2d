//! One treasury of one asset against the chain, at one block.
//!
//! Never decides what follows from a difference, and never takes a missing answer for a balance.

use inspay_ports::{ChainError, ChainErrorKind, TransferTotals};
use inspay_primitives::{Address, AssetId, BlockRef, U256};

use crate::{
    catch_up::check_number, error::FollowError, follower::Follower, settings::FollowedAsset,
    status::Stall,
};

/// One treasury of one asset.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair<'a> {
    pub(crate) listed: &'a FollowedAsset,
    pub(crate) treasury: Address,
    /// The first block whose transfers are recorded.
    pub(crate) first: u64,
}

impl Pair<'_> {
    pub(crate) const fn asset(&self) -> AssetId {
        self.listed.asset.id
    }

    pub(crate) const fn key(&self) -> (AssetId, Address) {
        (self.asset(), self.treasury)
    }
}

/// Both sides at the end of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sides {
    /// What the treasury held before its first followed block.
    pub opening_base_units: U256,
    /// What is recorded.
    pub totals: TransferTotals,
    /// What the chain says it holds.
    pub balance_base_units: U256,
}

impl Sides {
    /// Opening + in − out; `None` where that is no balance.
    #[must_use]
    pub fn expected(&self) -> Option<U256> {
        self.opening_base_units
            .checked_add(self.totals.in_base_units)
            .and_then(|came| came.checked_sub(self.totals.out_base_units))
    }

    /// Whether books and chain are equal.
    #[must_use]
    pub fn agree(&self) -> bool {
        self.expected() == Some(self.balance_base_units)
    }

    /// Chain less books, with its sign.
    #[must_use]
    pub fn difference(&self) -> String {
        match self.expected() {
            Some(held) if held <= self.balance_base_units => {
                self.balance_base_units.saturating_sub(held).to_string()
            }
            Some(held) => format!("-{}", held.saturating_sub(self.balance_base_units)),
            None => "out of range".to_owned(),
        }
    }
}

/// What comparing came to.
#[derive(Debug)]
pub(crate) enum Compared {
    Agrees(Sides),
    Differs(Sides),
    Unreadable(Stall),
}

impl Follower {
    /// Finds out what the treasury held before its first followed block: nothing before the first block of
    /// all, else what the settings say, else what the chain says.
    pub(crate) async fn learn_opening(
        &mut self,
        pair: &Pair<'_>,
    ) -> Result<Option<Stall>, FollowError> {
        if self.auditor.opening(pair.key()).is_some() {
            return Ok(None);
        }
        let Some(number) = pair.first.checked_sub(1) else {
            self.auditor.keep_opening(pair.key(), U256::ZERO);
            return Ok(None);
        };
        if let Some(set) = pair.listed.opening_base_units.get(&pair.treasury) {
            self.auditor.keep_opening(pair.key(), *set);
            return Ok(None);
        }
        let answer = match self.chain.header_at(number).await {
            Ok(header) => {
                check_number(number, &header)?;
                self.chain.balance_of(pair.asset(), pair.treasury, header.block.hash).await
            }
            Err(error) => Err(error),
        };
        match answer {
            Ok(opening) => {
                self.auditor.keep_opening(pair.key(), opening);
                Ok(None)
            }
            Err(error) if is_passing(&error) => Err(error.into()),
            Err(error) => Ok(Some(Stall::OpeningBalanceUnknown {
                symbol: pair.listed.asset.symbol.clone(),
                treasury: pair.treasury,
                number,
                why: error.kind.to_string(),
            })),
        }
    }

    pub(crate) async fn compare_one(
        &self,
        pair: &Pair<'_>,
        at: BlockRef,
    ) -> Result<Compared, FollowError> {
        let (totals, balance) = futures::join!(
            self.store.transfer_totals(pair.asset(), pair.treasury, at.number),
            self.chain.balance_of(pair.asset(), pair.treasury, at.hash),
        );
        let totals = totals?;
        let balance_base_units = match balance {
            Ok(balance) => balance,
            Err(error) if is_about_the_node(&error) => return Err(error.into()),
            Err(error) => {
                return Ok(Compared::Unreadable(Stall::BalanceUnreadable {
                    symbol: pair.listed.asset.symbol.clone(),
                    treasury: pair.treasury,
                    number: at.number,
                    why: error.kind.to_string(),
                }));
            }
        };
        let opening_base_units = self.auditor.opening(pair.key()).unwrap_or_default();
        let sides = Sides { opening_base_units, totals, balance_base_units };
        Ok(if sides.agree() { Compared::Agrees(sides) } else { Compared::Differs(sides) })
    }
}

/// Whether an opening balance may be answered later. A block or a state that is not there will not come:
/// it was pruned, or the token was not there yet.
const fn is_passing(error: &ChainError) -> bool {
    match &error.kind {
        ChainErrorKind::Unreachable(_) | ChainErrorKind::RateLimited(_) => true,
        ChainErrorKind::RangeTooLarge { .. }
        | ChainErrorKind::NotYet(_)
        | ChainErrorKind::Contradiction(_)
        | ChainErrorKind::Reverted(_)
        | ChainErrorKind::Refused(_) => false,
    }
}

/// Whether no balance at all can be read now. One that endpoints contradict each other about is one token's trouble.
const fn is_about_the_node(error: &ChainError) -> bool {
    match &error.kind {
        ChainErrorKind::Unreachable(_)
        | ChainErrorKind::RateLimited(_)
        | ChainErrorKind::NotYet(_) => true,
        ChainErrorKind::Contradiction(_)
        | ChainErrorKind::RangeTooLarge { .. }
        | ChainErrorKind::Reverted(_)
        | ChainErrorKind::Refused(_) => false,
    }
}
