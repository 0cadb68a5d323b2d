//! The seller's side of the fake store.

use async_trait::async_trait;
use inspay_primitives::{
    AccountId, Address, AssetId, B256, Order, OrderId, OrderProgress, OrderState, QuoteId,
    Timestamp,
};
use inspay_quoting::RateSample;

use super::{
    FakeStore, first,
    rows::{ClaimRow, OrderRow, State, next_position, slot_of},
};
use crate::{
    ApiKeyRecord, IdempotencyClaim, NewOrder, OrderFilter, Page, SaleStore, StoreError,
    StoreErrorKind, StoredQuote, StoredResponse,
};

#[async_trait]
impl SaleStore for FakeStore {
    async fn save_quote(&self, quote: StoredQuote) -> Result<(), StoreError> {
        self.write("save a quote", |state| {
            if state.quotes.contains_key(&quote.id) {
                return Err(StoreErrorKind::Exists("quote"));
            }
            state.quotes.insert(quote.id, quote);
            Ok(())
        })
    }

    async fn quote(&self, id: QuoteId) -> Result<Option<StoredQuote>, StoreError> {
        self.read("read a quote", |state| Ok(state.quotes.get(&id).cloned()))
    }

    async fn create_order(&self, order: NewOrder) -> Result<Order, StoreError> {
        self.write("create an order", |state| state.create_order(order))
    }

    async fn order(&self, id: OrderId) -> Result<Option<Order>, StoreError> {
        self.read("read an order", |state| Ok(state.orders.get(&id).map(|row| row.order.clone())))
    }

    async fn orders(
        &self,
        filter: OrderFilter,
        page: Page,
    ) -> Result<Vec<(i64, Order)>, StoreError> {
        self.read("list orders", |state| {
            let rows = state
                .made
                .iter()
                .rev()
                .filter_map(|id| state.orders.get(id))
                .filter(|row| page.after.is_none_or(|after| row.position < after))
                .filter(|row| {
                    filter
                        .account
                        .as_ref()
                        .is_none_or(|account| row.order.terms.account == *account)
                })
                .map(|row| (row.position, row.order.clone()));
            Ok(first(rows, page.limit))
        })
    }

    async fn held_slots(&self, asset: AssetId, treasury: Address) -> Result<u64, StoreError> {
        self.read("count held slots", |state| {
            let held =
                state.slots.keys().filter(|(of, to, _)| *of == asset && *to == treasury).count();
            Ok(u64::try_from(held).unwrap_or(u64::MAX))
        })
    }

    async fn unpaid_orders(&self, account: &AccountId) -> Result<u64, StoreError> {
        self.read("count unpaid orders", |state| {
            let keeps = |row: &&OrderRow| {
                let progress = &row.order.progress;
                row.order.terms.account == *account
                    && progress.state != OrderState::Paid
                    && (!progress.closed || progress.slot_held)
            };
            let unpaid = state.orders.values().filter(keeps).count();
            Ok(u64::try_from(unpaid).unwrap_or(u64::MAX))
        })
    }

    async fn save_rates(&self, samples: Vec<(AssetId, RateSample)>) -> Result<(), StoreError> {
        self.write("save rates", |state| {
            for (asset, sample) in samples {
                let of_time = state.rates.entry((asset, sample.observed_at)).or_default();
                of_time.entry(sample.source.clone()).or_insert(sample);
            }
            Ok(())
        })
    }

    async fn rates_at(
        &self,
        wanted: Vec<(AssetId, Timestamp)>,
    ) -> Result<Vec<Option<RateSample>>, StoreError> {
        self.read("read rates", |state| {
            let newest = |(asset, time): (AssetId, Timestamp)| {
                let earliest = Timestamp::from_micros(i64::MIN);
                let (_, of_time) =
                    state.rates.range((asset, earliest)..=(asset, time)).next_back()?;
                of_time.values().next().cloned()
            };
            Ok(wanted.into_iter().map(newest).collect())
        })
    }

    async fn create_key(&self, key: ApiKeyRecord) -> Result<(), StoreError> {
        self.write("create a key", |state| {
            if state.keys.values().any(|known| known.label == key.label || known.hash == key.hash) {
                return Err(StoreErrorKind::Exists("key"));
            }
            state.keys.insert(key.label.clone(), key);
            Ok(())
        })
    }

    async fn key(&self, hash: B256) -> Result<Option<ApiKeyRecord>, StoreError> {
        self.read("read a key", |state| {
            Ok(state.keys.values().find(|key| key.hash == hash).cloned())
        })
    }

    async fn keys(&self) -> Result<Vec<ApiKeyRecord>, StoreError> {
        self.read("list keys", |state| {
            let mut keys: Vec<ApiKeyRecord> = state.keys.values().cloned().collect();
            keys.sort_by_key(|key| key.created_at);
            Ok(keys)
        })
    }

    async fn revoke_key(&self, label: &str, at: Timestamp) -> Result<(), StoreError> {
        self.write("revoke a key", |state| {
            let key = state.keys.get_mut(label).ok_or(StoreErrorKind::NotFound("key"))?;
            if key.revoked_at == Timestamp::FAR {
                key.revoked_at = at;
            }
            Ok(())
        })
    }

    async fn claim_idempotency(
        &self,
        scope: &str,
        key: &str,
        fingerprint: B256,
        now: Timestamp,
        stale_before: Timestamp,
    ) -> Result<IdempotencyClaim, StoreError> {
        self.write("claim an idempotency key", |state| {
            let place = (scope.to_owned(), key.to_owned());
            let fresh = ClaimRow { fingerprint, claimed_at: now, answer: None };
            let Some(claim) = state.claims.get_mut(&place) else {
                state.claims.insert(place, fresh);
                return Ok(IdempotencyClaim::Fresh);
            };
            if claim.fingerprint != fingerprint {
                return Ok(IdempotencyClaim::OtherRequest);
            }
            if let Some(answer) = &claim.answer {
                return Ok(IdempotencyClaim::Answered(answer.clone()));
            }
            if claim.claimed_at >= stale_before {
                return Ok(IdempotencyClaim::Running);
            }
            *claim = fresh;
            Ok(IdempotencyClaim::Fresh)
        })
    }

    async fn answer_idempotency(
        &self,
        scope: &str,
        key: &str,
        response: StoredResponse,
    ) -> Result<(), StoreError> {
        self.write("keep an answer", |state| {
            let place = (scope.to_owned(), key.to_owned());
            let claim = state.claims.get_mut(&place).ok_or(StoreErrorKind::NotFound("claim"))?;
            claim.answer.get_or_insert(response);
            Ok(())
        })
    }

    async fn abandon_idempotency(&self, scope: &str, key: &str) -> Result<(), StoreError> {
        self.write("abandon an idempotency key", |state| {
            let place = (scope.to_owned(), key.to_owned());
            if state.claims.get(&place).is_some_and(|claim| claim.answer.is_none()) {
                state.claims.remove(&place);
            }
            Ok(())
        })
    }
}

impl State {
    fn create_order(&mut self, new: NewOrder) -> Result<Order, StoreErrorKind> {
        let NewOrder { terms, request_key } = new;
        let made_before = request_key.as_ref().and_then(|key| self.order_of_request.get(key));
        if let Some(row) = made_before.and_then(|id| self.orders.get(id)) {
            return Ok(row.order.clone());
        }
        let progress = OrderProgress::new(terms.exact_amount_lane);
        let order = Order { terms, progress };
        if self.order_of_quote.contains_key(&order.terms.quote) {
            return Err(StoreErrorKind::QuoteUsed);
        }
        if progress.slot_held && self.slots.contains_key(&slot_of(&order)) {
            return Err(StoreErrorKind::SlotTaken);
        }
        let terms = &order.terms;
        if self.orders.contains_key(&terms.id)
            || self.order_of_reference.contains_key(&terms.reference)
        {
            return Err(StoreErrorKind::Exists("order"));
        }
        if progress.slot_held {
            self.slots.insert(slot_of(&order), terms.id);
        }
        self.accounts.entry(terms.account.clone()).or_insert(terms.created_at);
        self.order_of_quote.insert(terms.quote, terms.id);
        self.order_of_reference.insert(terms.reference, terms.id);
        if let Some(key) = request_key {
            self.order_of_request.insert(key, terms.id);
        }
        let position = next_position(self.made.len());
        self.made.push(terms.id);
        self.orders.insert(terms.id, OrderRow { position, order: order.clone() });
        Ok(order)
    }
}
