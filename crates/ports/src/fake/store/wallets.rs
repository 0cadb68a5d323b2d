//! What buyers have shown, in the fake store.

use async_trait::async_trait;
use inspay_ledger::{FreePlanDue, SettlementKind, TransferRecord};
use inspay_primitives::{
    AccountId, Address, B256, ChainId, Direction, OrderId, OrderState, Timestamp, TransferId,
};

use super::{
    FakeStore, first,
    rows::{State, TransferRow, next_position},
};
use crate::{
    AttributionProbe, FoundBy, Linked, PaymentClaim, StoreError, StoreErrorKind, WalletChallenge,
    WalletLinking, WalletRecord, WalletStore,
};

#[async_trait]
impl WalletStore for FakeStore {
    async fn open_challenge(&self, challenge: WalletChallenge) -> Result<(), StoreError> {
        self.write("keep a challenge", |state| {
            if state.challenges.contains_key(&challenge.nonce) {
                return Err(StoreErrorKind::Exists("challenge"));
            }
            state.challenges.insert(challenge.nonce.clone(), (challenge, false));
            Ok(())
        })
    }

    async fn challenge(&self, nonce: &str) -> Result<Option<WalletChallenge>, StoreError> {
        self.read("read a challenge", |state| {
            Ok(state.challenges.get(nonce).map(|(challenge, _)| challenge.clone()))
        })
    }

    async fn link_wallet(&self, linking: WalletLinking) -> Result<Linked, StoreError> {
        self.write("link a wallet", |state| Ok(state.link(&linking)))
    }

    async fn unlink_wallet(
        &self,
        account: &AccountId,
        chain: ChainId,
        wallet: Address,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        self.write("let go of a wallet", |state| {
            let owned = state
                .wallets
                .iter_mut()
                .find(|row| is_owned(row, chain, wallet) && row.account == *account);
            let was_owned = owned.is_some();
            if let Some(owned) = owned {
                owned.unlinked_at = Some(at);
            }
            Ok(was_owned)
        })
    }

    async fn wallets(&self, account: &AccountId) -> Result<Vec<WalletRecord>, StoreError> {
        self.read("list wallets", |state| {
            Ok(state.wallets.iter().filter(|row| row.account == *account).cloned().collect())
        })
    }

    async fn wallet_owner(
        &self,
        chain: ChainId,
        wallet: Address,
    ) -> Result<Option<AccountId>, StoreError> {
        self.read("find a wallet's account", |state| {
            Ok(state.owner(chain, wallet).map(|row| row.account.clone()))
        })
    }

    async fn claim_payment(&self, claim: PaymentClaim) -> Result<bool, StoreError> {
        self.write("keep a claim", |state| {
            state.rejudge(|row| {
                (row.transfer.key.chain_id, row.transfer.key.tx_hash)
                    == (claim.chain_id, claim.tx_hash)
            });
            let is_known = state
                .payment_claims
                .iter()
                .any(|known| (known.order, known.tx_hash) == (claim.order, claim.tx_hash));
            if !is_known {
                state.payment_claims.push(claim);
            }
            Ok(!is_known)
        })
    }

    async fn payment_claims(&self, order: OrderId) -> Result<Vec<PaymentClaim>, StoreError> {
        self.read("list claims", |state| {
            let claims = state.payment_claims.iter().filter(|claim| claim.order == order);
            let mut claims: Vec<PaymentClaim> = claims.cloned().collect();
            claims.sort_by_key(|claim| (claim.claimed_at, claim.tx_hash));
            Ok(claims)
        })
    }

    async fn transfers_to_rejudge(
        &self,
        chain: ChainId,
        limit: u32,
    ) -> Result<Vec<TransferRecord>, StoreError> {
        self.read("find transfers to judge again", |state| {
            let records = state.to_rejudge.iter().filter_map(|id| state.record(*id));
            let settled = records.filter(|record| {
                record.transfer.key.chain_id == chain
                    && record.canonical
                    && record.settlement.is_some()
                    && !record.must_reverse()
            });
            Ok(first(settled, limit))
        })
    }

    async fn rejudged(&self, transfers: Vec<TransferId>) -> Result<(), StoreError> {
        self.write("note what was judged again", |state| {
            for id in &transfers {
                state.to_rejudge.remove(id);
            }
            Ok(())
        })
    }

    async fn free_plans_due(&self, limit: u32) -> Result<Vec<FreePlanDue>, StoreError> {
        self.read("find free plans to grant", |state| {
            Ok(first(state.free_plans_due.values().cloned(), limit))
        })
    }

    async fn note_free_plans(&self, wallets: Vec<Address>) -> Result<(), StoreError> {
        self.write("note granted free plans", |state| {
            for wallet in &wallets {
                state.free_plans_due.remove(wallet);
            }
            Ok(())
        })
    }
}

fn is_owned(row: &WalletRecord, chain: ChainId, wallet: Address) -> bool {
    (row.chain_id, row.wallet) == (chain, wallet) && row.unlinked_at.is_none()
}

impl State {
    fn owner(&self, chain: ChainId, wallet: Address) -> Option<&WalletRecord> {
        self.wallets.iter().find(|row| is_owned(row, chain, wallet))
    }

    fn link(&mut self, linking: &WalletLinking) -> Linked {
        let Some((challenge, used)) = self.challenges.get_mut(&linking.nonce) else {
            return Linked::Spent;
        };
        if *used || challenge.expires_at <= linking.at {
            return Linked::Spent;
        }
        *used = true;
        let WalletChallenge { account, chain_id, wallet, .. } = challenge.clone();
        let owner = self.owner(chain_id, wallet).cloned();
        if owner.as_ref().is_some_and(|owner| owner.account != account) {
            return Linked::BelongsToAnother;
        }
        if let Some(terms) = linking.free_plan {
            let due = FreePlanDue { wallet, account: account.clone(), terms };
            self.free_plans_due.entry(wallet).or_insert(due);
        }
        if let Some(owner) = owner {
            return Linked::Proven(owner);
        }
        let record = WalletRecord {
            id: next_position(self.wallets.len()),
            account,
            chain_id,
            wallet,
            proof: linking.proof,
            linked_at: linking.at,
            unlinked_at: None,
        };
        self.wallets.push(record.clone());
        self.rejudge(|row| {
            (row.transfer.key.chain_id, row.transfer.counterparty) == (chain_id, wallet)
        });
        Linked::Proven(record)
    }

    /// Notes the canonical transfers in that are not attributed.
    fn rejudge(&mut self, is_meant: impl Fn(&TransferRow) -> bool) {
        let found = self.transfers.iter().filter(|(id, row)| {
            let settled =
                row.settled_block.and_then(|_| self.settlements.get(&(**id, row.generation)));
            let is_open = settled.is_none_or(|settled| settled.kind == SettlementKind::Suspense);
            is_meant(row) && row.canonical && is_open && row.transfer.key.direction == Direction::In
        });
        let found: Vec<TransferId> = found.map(|(id, _)| *id).collect();
        self.to_rejudge.extend(found);
    }

    /// The orders that a probe might belong to, each with how it was found.
    pub(super) fn found_for(&self, probe: &AttributionProbe) -> Vec<(OrderId, FoundBy)> {
        let named = probe.reference.and_then(|at| self.order_of_reference.get(&at));
        let slot = (probe.asset, probe.treasury, probe.base_units);
        let by_terms = named.into_iter().chain(self.slots.get(&slot));
        let mut found: Vec<_> = by_terms.map(|id| (*id, FoundBy::Terms)).collect();
        let chain = probe.asset.chain_id;
        let owner = self.owner(chain, probe.payer).map(|row| &row.account);
        found.extend(self.orders.values().filter_map(|row| {
            let (terms, progress) = (&row.order.terms, &row.order.progress);
            let is_open = owner == Some(&terms.account)
                && (terms.asset, terms.treasury) == (probe.asset, probe.treasury)
                && progress.state != OrderState::Paid
                && terms.in_time_until() >= probe.block_time;
            is_open.then_some((terms.id, FoundBy::Payer(probe.payer)))
        }));
        let is_meant =
            |claim: &&PaymentClaim| (claim.chain_id, claim.tx_hash) == (chain, probe.tx_hash);
        let tx_hash: B256 = probe.tx_hash;
        found.extend(self.payment_claims.iter().filter(is_meant).filter_map(|claim| {
            let account = &self.orders.get(&claim.order)?.order.terms.account;
            let payer = (owner == Some(account)).then_some(probe.payer);
            Some((claim.order, FoundBy::Claim { tx_hash, payer }))
        }));
        found
    }
}
