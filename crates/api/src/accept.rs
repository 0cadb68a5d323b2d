//! Accepting a quote in one asset: which offer, which due amount, which terms.
//!
//! The choices are pure; [`create`] alone talks to the store. Two orders never share a due amount of
//! one asset and treasury: the store refuses, and another tail is drawn.

use inspay_ports::{NewOrder, Store, StoreError, StoreErrorKind};
use inspay_primitives::{
    AccountId, B256, Order, OrderId, OrderTerms, QuoteId, Reference, Timestamp, U256,
};
use inspay_quoting::{Offer, PricedOffer, Quote, TailRange};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    problem::{Problem, ProblemCode},
    state::SaleAsset,
};

/// Tails drawn before the order goes without an amount of its own.
const TAIL_DRAWS_MAX: u32 = 16;

/// The id of the order that this request makes: the same request always makes the same order, also
/// after a crash between commit and answer. It sorts by the time of its quote.
pub(crate) fn order_id(quote: QuoteId, request_key: &str) -> OrderId {
    let digest = Sha256::new()
        .chain_update(b"inspay/order/v1")
        .chain_update(quote.uuid().as_bytes())
        .chain_update(request_key)
        .finalize();
    let mut bytes = quote.uuid().into_bytes();
    // The first six bytes of a version-7 UUID are its time; the builder sets version and variant.
    for (place, byte) in bytes.iter_mut().skip(6).zip(digest) {
        *place = byte;
    }
    let uuid = uuid::Builder::from_bytes(bytes)
        .with_version(uuid::Version::SortRand)
        .with_variant(uuid::Variant::RFC4122)
        .into_uuid();
    OrderId::from_uuid(uuid)
}

/// The priced offer in the asset that was named by symbol or id.
pub(crate) fn choose_offer<'a>(quote: &'a Quote, wanted: &str) -> Result<&'a PricedOffer, Problem> {
    let is_wanted = |offer: &&Offer| {
        let asset = offer.asset();
        asset.symbol.eq_ignore_ascii_case(wanted)
            || asset.id.to_string().eq_ignore_ascii_case(wanted)
    };
    let found: Vec<&Offer> = quote.offers.iter().filter(is_wanted).collect();
    match found.as_slice() {
        [Offer::Priced(offer)] => Ok(offer),
        [Offer::Refused(refused)] => Err(Problem::from(&refused.reason)),
        [] => {
            let start: String = wanted.chars().take(100).collect();
            let detail = format!("The quote has no asset {start:?}.");
            Err(Problem::at(ProblemCode::UnknownAsset, "/asset", detail))
        }
        several => {
            let problem = Problem::new(
                ProblemCode::AssetAmbiguous,
                "Name it by its id instead of its symbol.",
            );
            Err(several.iter().fold(problem, |problem, offer| {
                problem.with_fact("/asset", "asset_ambiguous", offer.asset().id.to_string())
            }))
        }
    }
}

/// Refuses a quote or offer past its expiry.
pub(crate) fn check_expiry(
    quote: &Quote,
    offer: &PricedOffer,
    now: Timestamp,
) -> Result<(), Problem> {
    let expires_at = quote.expires_at.min(offer.expires_at);
    if now < expires_at {
        return Ok(());
    }
    let detail = format!("It expired at {expires_at}. Ask for a new one.");
    Err(Problem::at(ProblemCode::QuoteExpired, "/quote", detail))
}

/// An acceptance with all its facts.
#[derive(Clone, Debug)]
pub(crate) struct Acceptance<'a> {
    pub(crate) id: OrderId,
    pub(crate) account: AccountId,
    pub(crate) quote_id: QuoteId,
    pub(crate) quote: &'a Quote,
    pub(crate) offer: &'a PricedOffer,
    pub(crate) sale: &'a SaleAsset,
    pub(crate) reference: Reference,
    /// Gateway time.
    pub(crate) now: Timestamp,
    /// Time of the newest applied block, if the chain was ever followed.
    pub(crate) head_time: Option<Timestamp>,
}

impl Acceptance<'_> {
    /// The terms at that due amount; `None` for the plain one, which is nobody's own.
    ///
    /// Deadlines are compared with block time, so the buyer's time begins at the later of both
    /// clocks: a chain whose time is ahead must not make the order late when it is made.
    pub(crate) fn terms(&self, own_due: Option<U256>) -> OrderTerms {
        let promised = &self.quote.terms;
        let begins = self.head_time.map_or(self.now, |head_time| head_time.max(self.now));
        OrderTerms {
            id: self.id,
            account: self.account.clone(),
            quote: self.quote_id,
            asset: self.offer.asset.id,
            decimals: self.offer.asset.decimals,
            treasury: self.sale.treasury,
            reference: self.reference,
            due_base_units: own_due.unwrap_or(self.offer.due_base_units),
            list_base_units: self.offer.list_base_units,
            tolerance_base_units: self.offer.tolerance_base_units,
            credits: self.quote.credits,
            price: self.offer.price_usd,
            rate: self.offer.rate.rate,
            exact_amount_lane: own_due.is_some(),
            created_at: self.now,
            deadline: begins.plus_seconds(i64::from(promised.order_deadline_seconds)),
            grace_seconds: promised.order_grace_seconds,
            credits_valid_days: promised.credits_valid_days,
        }
    }
}

/// Whether so many slots are held that the lane is closed for new orders: past half, draws collide
/// too often, and amounts lie so close that a mistyped one is somebody else's.
fn is_crowded(tail: &TailRange, held_slots: u64) -> bool {
    let choices = tail
        .highest
        .checked_sub(tail.lowest)
        .and_then(|span| span.checked_div(tail.grain))
        .unwrap_or_default();
    U256::from(held_slots).saturating_mul(U256::from(2)) > choices
}

/// A random number from the operating system.
pub(crate) fn random_choice() -> U256 {
    U256::from(Uuid::new_v4().as_u128())
}

/// Makes the order: with an amount of its own where one is free, else without.
///
/// `QuoteUsed` passes through; the same `request_key` again gives the order made before.
pub(crate) async fn create(
    store: &dyn Store,
    acceptance: &Acceptance<'_>,
    request_key: &str,
    mut choice: impl FnMut() -> U256 + Send,
) -> Result<Order, StoreError> {
    let new = |own_due| NewOrder {
        terms: acceptance.terms(own_due),
        request_key: Some(request_key.to_owned()),
    };
    if let Some(tail) = &acceptance.offer.tail {
        for draw in 0..TAIL_DRAWS_MAX {
            let Some(due) = tail.due_with_tail(choice()) else { break };
            match store.create_order(new(Some(due))).await {
                Err(StoreError { kind: StoreErrorKind::SlotTaken, .. }) => {}
                made => return made,
            }
            if draw == 0 {
                let terms = acceptance.terms(Some(due));
                let held_slots = store.held_slots(terms.asset, terms.treasury).await?;
                if is_crowded(tail, held_slots) {
                    break;
                }
            }
        }
        tracing::warn!(asset.id = %acceptance.offer.asset.id, "no exact amount is free");
    }
    store.create_order(new(None)).await
}

/// Scope and key of an idempotent request, as orders remember it.
pub(crate) fn request_key(scope: B256, key: &str) -> String {
    format!("{}/{key}", hex::encode(scope))
}

#[cfg(test)]
mod tests {
    use inspay_ports::{SaleStore, fake::FakeStore};
    use inspay_primitives::{
        Address, Asset, AssetId, ChainId, ConfirmationPolicy, ConfirmationRule, OrderState,
    };
    use inspay_quoting::{
        AssetInput, Catalog, GasRefusal, Purchase, QuoteRequest, RateQuote, quote,
    };

    use super::*;

    const ASSET: AssetId = AssetId { chain_id: ChainId(1), contract: Address::repeat_byte(0x11) };

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn now() -> Timestamp {
        at("2026-03-01T12:00:00Z")
    }

    /// The starter pack in a token with that many digits, at one dollar.
    fn quoted(decimals: u8) -> Quote {
        let asset = Asset { id: ASSET, symbol: "TOK".to_owned(), decimals };
        let until = now().plus_seconds(600);
        let rate = RateQuote::new("1".parse().expect("a rate"), "fixed", now(), until);
        let gas = Err(GasRefusal::FeesUnknown("no node".to_owned()));
        let request = QuoteRequest {
            purchase: Purchase::Pack("starter".parse().expect("a pack")),
            promotion_code: None,
            holder_balances: std::collections::BTreeMap::new(),
            payer: None,
        };
        let catalog = Catalog::embedded().expect("the embedded catalog");
        quote(
            &request,
            &catalog,
            &[AssetInput { asset, rate: Ok(rate), gas, is_halted: false }],
            now(),
        )
        .expect("a quote")
    }

    fn sale(quote: &Quote) -> SaleAsset {
        SaleAsset {
            asset: quote.offers[0].asset().clone(),
            treasury: Address::repeat_byte(0x33),
            confirmation: ConfirmationPolicy::new(Vec::new(), ConfirmationRule::Depth(1))
                .expect("a policy"),
            agreement: None,
        }
    }

    /// Accepts a new quote with these choices, one after another.
    async fn accepted(store: &FakeStore, decimals: u8, choices: &[u64]) -> (Order, usize) {
        let (quote, quote_id) = (quoted(decimals), QuoteId::generate());
        let sale = sale(&quote);
        let acceptance = Acceptance {
            id: order_id(quote_id, "request"),
            account: "alice".parse().expect("an account"),
            quote_id,
            quote: &quote,
            offer: choose_offer(&quote, "tok").expect("an offer"),
            sale: &sale,
            reference: Reference::generate(),
            now: now(),
            head_time: None,
        };
        let mut drawn = 0;
        let choice = || {
            drawn += 1;
            U256::from(choices[(drawn - 1) % choices.len()])
        };
        let key = quote_id.to_string();
        let order = create(store, &acceptance, &key, choice).await.expect("an order");
        (order, drawn)
    }

    #[tokio::test]
    async fn another_tail_is_drawn_while_the_amount_is_taken() {
        let store = FakeStore::new();
        let (first, _) = accepted(&store, 6, &[7]).await;
        let (second, drawn) = accepted(&store, 6, &[7, 7, 8]).await;
        assert_eq!(drawn, 3);
        assert_ne!(first.terms.due_base_units, second.terms.due_base_units);
        assert!(second.terms.exact_amount_lane && second.progress.slot_held);
    }

    #[tokio::test]
    async fn after_so_many_draws_the_order_goes_without_an_amount_of_its_own() {
        let store = FakeStore::new();
        accepted(&store, 6, &[7]).await;
        let (order, drawn) = accepted(&store, 6, &[7]).await;
        assert_eq!(drawn, 16);
        assert!(!order.terms.exact_amount_lane && !order.progress.slot_held);
        let plain = quoted(6);
        let offer = choose_offer(&plain, "TOK").expect("an offer");
        assert_eq!(order.terms.due_base_units, offer.due_base_units);
        assert_eq!(order.progress.state, OrderState::Open);
    }

    #[tokio::test]
    async fn a_token_without_room_for_a_tail_has_no_amounts_of_its_own() {
        let (order, drawn) = accepted(&FakeStore::new(), 0, &[7]).await;
        assert_eq!(drawn, 0);
        assert!(!order.terms.exact_amount_lane);
    }

    #[tokio::test]
    async fn a_crowded_lane_is_closed_at_the_first_collision() {
        let store = FakeStore::new();
        // A token of four digits has less than a hundred amounts below a cent.
        let tail = choose_offer(&quoted(4), "TOK").expect("an offer").tail.expect("a tail");
        for choice in 0..60 {
            accepted(&store, 4, &[choice]).await;
        }
        assert!(is_crowded(&tail, 60), "{tail:?}");
        let (order, drawn) = accepted(&store, 4, &[1]).await;
        assert_eq!(drawn, 1);
        assert!(!order.terms.exact_amount_lane);
        let held = store.held_slots(ASSET, Address::repeat_byte(0x33)).await.expect("a count");
        assert!(held <= 60, "{held}");
    }

    #[test]
    fn the_same_request_makes_the_same_order_and_any_other_another() {
        let (one, two) = (QuoteId::generate(), QuoteId::generate());
        assert_eq!(order_id(one, "a"), order_id(one, "a"));
        assert_ne!(order_id(one, "a"), order_id(one, "b"));
        assert_ne!(order_id(one, "a"), order_id(two, "a"));
        let uuid = order_id(one, "a").uuid();
        assert_eq!(uuid.get_version_num(), 7);
        assert_eq!(uuid.as_bytes()[..6], one.uuid().as_bytes()[..6]);
    }

    #[test]
    fn the_buyers_time_begins_at_the_later_of_both_clocks() {
        let quote = quoted(6);
        let sale = sale(&quote);
        let deadline = |head_time: Option<&str>| {
            let acceptance = Acceptance {
                id: order_id(QuoteId::generate(), "request"),
                account: "alice".parse().expect("an account"),
                quote_id: QuoteId::generate(),
                quote: &quote,
                offer: choose_offer(&quote, "TOK").expect("an offer"),
                sale: &sale,
                reference: Reference::generate(),
                now: now(),
                head_time: head_time.map(at),
            };
            acceptance.terms(None).deadline.to_string()
        };
        assert_eq!(deadline(None), "2026-03-01T12:30:00Z");
        assert_eq!(deadline(Some("2026-03-01T11:00:00Z")), "2026-03-01T12:30:00Z");
        assert_eq!(deadline(Some("2026-03-01T13:00:00Z")), "2026-03-01T13:30:00Z");
    }

    #[test]
    fn a_quote_can_be_accepted_until_just_before_its_expiry() {
        let quote = quoted(6);
        let offer = choose_offer(&quote, "TOK").expect("an offer");
        let last = Timestamp::from_micros(quote.expires_at.micros() - 1);
        assert!(check_expiry(&quote, offer, last).is_ok());
        let problem = check_expiry(&quote, offer, quote.expires_at).expect_err("refused");
        assert_eq!(problem.code, ProblemCode::QuoteExpired);
    }
}
