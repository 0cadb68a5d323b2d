//! Facts of what selling keeps.

use std::sync::Arc;

use inspay_primitives::{
    Address, AssetId, B256, Credits, Order, OrderId, OrderProgress, OrderTerms, QuoteId, Timestamp,
    U256,
};
use inspay_quoting::{RateSample, SourceKind};
use uuid::Uuid;

use crate::{
    AccountSummary, ApiKeyRecord, HistoryFilter, IdempotencyClaim, KeyScope, NewOrder, OrderFilter,
    Page, Store, StoreError, StoreErrorKind, StoredQuote, StoredResponse,
    contract::samples::{
        account, block_time, digest, inspi, new_order, ordered, ordered_as, quote, terms, treasury,
        usdt,
    },
};

/// Texts that codecs and collations like to change.
const ODD_TEXTS: [&str; 10] = [
    "",
    " ",
    "trailing ",
    "'; DROP TABLE orders; --",
    "back\\slash \"quoted\" %_",
    "tab\tnewline\nreturn\r\n",
    "Z\u{fc}rich z\u{75}\u{308}rich",
    "\u{1F980}\u{200D}\u{202E}",
    "\u{1}\u{7f}\u{feff}\u{fffd}\u{ffff}",
    "{\"a\":1,  \"a\":2, \"\\u0000\":\"\\ud83e\\udd80\"}",
];

pub(super) fn kind(error: &StoreError) -> &StoreErrorKind {
    assert!(!error.is_transient(), "{error:?}");
    &error.kind
}

/// A quote comes back as it was kept; an unknown one is none.
pub async fn a_quote_comes_back_as_it_was_kept(store: &Arc<dyn Store>) {
    let (first, second) = (quote(1), quote(2));
    let never = StoredQuote { expires_at: Timestamp::FAR, ..second };
    store.save_quote(first.clone()).await.expect("keeps");
    store.save_quote(never.clone()).await.expect("keeps");
    assert_eq!(store.quote(first.id).await.expect("reads"), Some(first));
    assert_eq!(store.quote(never.id).await.expect("reads"), Some(never));
    assert_eq!(store.quote(quote(3).id).await.expect("reads"), None);
}

/// Every term comes back as it was agreed, also at its extremes.
pub async fn an_order_comes_back_as_it_was_made(store: &Arc<dyn Store>) {
    let plain = ordered(store, 1).await;
    let extreme = OrderTerms {
        due_base_units: U256::MAX,
        list_base_units: U256::MAX,
        tolerance_base_units: U256::MAX,
        credits: Credits::MAX,
        price: "0.0000000000000000000000000001".parse().expect("dollars"),
        rate: "79228162514264337593543950335".parse().expect("a rate"),
        decimals: u8::MAX,
        exact_amount_lane: false,
        deadline: Timestamp::FAR,
        grace_seconds: u32::MAX,
        credits_valid_days: u16::MAX,
        ..terms(2)
    };
    ordered_as(store, extreme.clone()).await;
    let expected = Order { terms: plain.clone(), progress: OrderProgress::new(true) };
    assert_eq!(store.order(plain.id).await.expect("reads"), Some(expected));
    let expected = Order { terms: extreme.clone(), progress: OrderProgress::new(false) };
    let found = store.order(extreme.id).await.expect("reads").expect("is there");
    assert_eq!(found, expected);
    // Digits that a decimal carries are part of what was agreed.
    assert_eq!(found.terms.price.to_string(), extreme.price.to_string());
    assert_eq!(found.terms.rate.to_string(), extreme.rate.to_string());
    assert_eq!(store.order(terms(3).id).await.expect("reads"), None);
}

/// A quote is accepted by one order, whoever asks again.
pub async fn a_quote_is_accepted_once(store: &Arc<dyn Store>) {
    let first = ordered(store, 1).await;
    let again = OrderTerms { quote: first.quote, ..terms(2) };
    let error = store.create_order(new_order(again.clone())).await.expect_err("is used");
    assert!(matches!(kind(&error), StoreErrorKind::QuoteUsed), "{error:?}");
    assert_eq!(store.order(again.id).await.expect("reads"), None);
    assert_eq!(store.account(&again.account).await.expect("reads"), None);
    let without_slot = OrderTerms { exact_amount_lane: false, ..again };
    let error = store.create_order(new_order(without_slot)).await.expect_err("is used");
    assert!(matches!(kind(&error), StoreErrorKind::QuoteUsed), "{error:?}");
}

/// A held amount belongs to one order of its asset and treasury; elsewhere it is free.
pub async fn a_held_amount_is_taken(store: &Arc<dyn Store>) {
    let due_base_units = U256::MAX;
    let first = ordered_as(store, OrderTerms { due_base_units, ..terms(1) }).await;
    let same = OrderTerms { due_base_units, ..terms(2) };
    store.save_quote(quote(2)).await.expect("keeps");
    let error = store.create_order(new_order(same.clone())).await.expect_err("is taken");
    assert!(matches!(kind(&error), StoreErrorKind::SlotTaken), "{error:?}");
    assert_eq!(store.order(same.id).await.expect("reads"), None);
    assert_eq!(store.account(&same.account).await.expect("reads"), None);
    assert_eq!(store.held_slots(usdt(), treasury()).await.expect("counts"), 1);
    // The refused order has used up nothing: its quote still buys.
    let beside = OrderTerms { due_base_units: U256::MAX - U256::from(1), ..same };
    let beside = store.create_order(new_order(beside)).await.expect("is free").terms;
    let elsewhere = [
        OrderTerms { asset: inspi(), due_base_units, ..terms(3) },
        OrderTerms { treasury: Address::repeat_byte(0x78), due_base_units, ..terms(4) },
        OrderTerms { exact_amount_lane: false, due_base_units, ..terms(5) },
    ];
    for terms in elsewhere {
        ordered_as(store, terms).await;
    }
    assert_eq!(store.held_slots(usdt(), treasury()).await.expect("counts"), 2);
    assert_eq!(store.held_slots(inspi(), treasury()).await.expect("counts"), 1);
    assert_eq!(store.held_slots(inspi(), Address::ZERO).await.expect("counts"), 0);
    for terms in [first, beside] {
        let order = store.order(terms.id).await.expect("reads").expect("is there");
        assert!(order.progress.slot_held);
    }
}

/// The same request again gives the order it made, whatever else it says now.
pub async fn the_same_request_gives_the_same_order(store: &Arc<dyn Store>) {
    let asked = |number: u64, key: &str| NewOrder {
        terms: terms(number),
        request_key: Some(key.to_owned()),
    };
    for number in 1..=3 {
        store.save_quote(quote(number)).await.expect("keeps");
    }
    let first = store.create_order(asked(1, "app/one")).await.expect("makes");
    for number in [1, 2, 3] {
        let again = store.create_order(asked(number, "app/one")).await.expect("gives again");
        assert_eq!(again, first);
    }
    let other = store.create_order(asked(2, "app/ONE")).await.expect("makes");
    assert_eq!(other.terms.id, terms(2).id);
    // Asked without a key, the same order is no repetition.
    let error = store.create_order(new_order(terms(1))).await.expect_err("is used");
    kind(&error);
    let page = Page { after: None, limit: 100 };
    let orders = store.orders(OrderFilter::default(), page).await.expect("lists");
    assert_eq!(orders.len(), 2);
}

/// Pages of orders meet without gap and without double, of one account or of all.
pub async fn orders_are_paged_newest_first(store: &Arc<dyn Store>) {
    for number in 1..=23 {
        ordered(store, number).await;
    }
    for (filter, step) in [(None, 1), (None, 5), (None, 100), (Some(account(3)), 2)] {
        let expected: Vec<OrderId> = (1..=23)
            .rev()
            .map(terms)
            .filter(|terms| filter.as_ref().is_none_or(|account| terms.account == *account))
            .map(|terms| terms.id)
            .collect();
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let filter = OrderFilter { account: filter.clone() };
            let page = store.orders(filter, Page { after, limit: step }).await.expect("lists");
            assert!(page.len() <= usize::try_from(step).expect("small"));
            let Some((position, _)) = page.last() else { break };
            after = Some(*position);
            found.extend(page.into_iter().map(|(_, order)| order.terms.id));
        }
        assert_eq!(found, expected);
    }
    let nobody = OrderFilter { account: Some(account(99)) };
    let page = Page { after: None, limit: 5 };
    assert_eq!(store.orders(nobody, page).await.expect("lists"), vec![]);
}

/// An account appears with its first order and keeps the time of that one.
pub async fn a_new_account_appears_with_its_first_order(store: &Arc<dyn Store>) {
    let alice = account(1);
    assert_eq!(store.account(&alice).await.expect("reads"), None);
    let first = OrderTerms { account: alice.clone(), created_at: block_time(5), ..terms(1) };
    let second = OrderTerms { account: alice.clone(), created_at: block_time(9), ..terms(2) };
    ordered_as(store, first).await;
    ordered_as(store, second).await;
    let expected = AccountSummary {
        account: alice.clone(),
        created_at: block_time(5),
        posted: Credits::ZERO,
        held: Credits::ZERO,
    };
    assert_eq!(store.account(&alice).await.expect("reads"), Some(expected.clone()));
    assert_eq!(store.accounts(None, 10).await.expect("lists"), [expected]);
    assert_eq!(store.lots(&alice).await.expect("lists"), vec![]);
    let page = Page { after: None, limit: 10 };
    assert_eq!(store.history(&alice, HistoryFilter::default(), page).await.expect("lists"), vec![]);
    for (name, number) in [("Zoe", 3), ("alice", 4), ("a.b@c-d_e", 5), ("1", 6)] {
        let account = name.parse().expect("an account id");
        ordered_as(store, OrderTerms { account, ..terms(number) }).await;
    }
    let by_bytes = ["1", "Zoe", "a.b@c-d_e", "account-0001", "alice"];
    let mut found = Vec::new();
    loop {
        let after = found.last().cloned();
        let page = store.accounts(after, 2).await.expect("lists");
        if page.is_empty() {
            break;
        }
        found.extend(page.into_iter().map(|summary| summary.account));
    }
    assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), by_bytes);
}

pub(super) fn sample(source: &str, rate: &str, number: u64) -> RateSample {
    RateSample {
        source: source.to_owned(),
        kind: SourceKind::Http,
        rate: rate.parse().expect("a rate"),
        observed_at: block_time(number),
        valid_until: None,
    }
}

/// Each asset's newest rate that was observed at or before a time, in the order asked.
pub async fn rates_are_the_newest_at_or_before_a_time(store: &Arc<dyn Store>) {
    let valid = RateSample {
        kind: SourceKind::Feed,
        valid_until: Some(block_time(99)),
        ..sample("feed", "0.9999999999999999999999999999", 20)
    };
    let samples = vec![
        (usdt(), sample("http", "1.01", 10)),
        (usdt(), valid.clone()),
        (usdt(), sample("http", "1.03", 30)),
        (inspi(), sample("http", "0.0317", 20)),
        (inspi(), sample("b", "0.04", 40)),
        (inspi(), sample("a", "0.05", 40)),
        (inspi(), sample("B", "0.06", 40)),
    ];
    store.save_rates(samples).await.expect("keeps");
    let unknown = AssetId { contract: Address::ZERO, ..usdt() };
    let wanted = vec![
        (usdt(), block_time(30)),
        (usdt(), block_time(9)),
        (usdt(), block_time(10)),
        (inspi(), block_time(39)),
        (usdt(), block_time(29)),
        (usdt(), Timestamp::FAR),
        (unknown, Timestamp::FAR),
        (inspi(), block_time(40)),
        (usdt(), Timestamp::from_micros(block_time(30).micros() - 1)),
        (usdt(), block_time(30)),
    ];
    let expected = vec![
        Some(sample("http", "1.03", 30)),
        None,
        Some(sample("http", "1.01", 10)),
        Some(sample("http", "0.0317", 20)),
        Some(valid.clone()),
        Some(sample("http", "1.03", 30)),
        None,
        Some(sample("B", "0.06", 40)),
        Some(valid),
        Some(sample("http", "1.03", 30)),
    ];
    assert_eq!(store.rates_at(wanted).await.expect("reads"), expected);
    assert_eq!(store.rates_at(vec![]).await.expect("reads"), Vec::<Option<RateSample>>::new());
}

/// The same sample again is kept once, in one call or in several, and its first telling stays.
pub async fn a_sample_is_kept_as_it_was_first_told(store: &Arc<dyn Store>) {
    let first = sample("http", "1.00", 10);
    let changed = sample("http", "2", 10);
    let twice = vec![(usdt(), first.clone()), (usdt(), first.clone())];
    store.save_rates(twice).await.expect("keeps");
    store.save_rates(vec![(usdt(), changed)]).await.expect("keeps");
    store.save_rates(vec![]).await.expect("keeps");
    let found = store.rates_at(vec![(usdt(), block_time(10))]).await.expect("reads");
    assert_eq!(found, [Some(first)]);
    for kind in [
        SourceKind::Fixed,
        SourceKind::Http,
        SourceKind::Feed,
        SourceKind::PoolTwap,
        SourceKind::PoolSpot,
    ] {
        let of_kind = RateSample { kind, ..sample(&kind.to_string(), "3", 11) };
        let other =
            AssetId { contract: Address::from_word(digest(&kind.to_string(), 0)), ..usdt() };
        store.save_rates(vec![(other, of_kind.clone())]).await.expect("keeps");
        let found = store.rates_at(vec![(other, Timestamp::FAR)]).await.expect("reads");
        assert_eq!(found, [Some(of_kind)]);
    }
}

fn key(label: &str, number: u64, scope: KeyScope) -> ApiKeyRecord {
    ApiKeyRecord {
        label: label.to_owned(),
        hash: digest("key", number),
        scope,
        created_at: block_time(number),
        revoked_at: Timestamp::FAR,
    }
}

/// Keys are found by hash and listed oldest first, whatever their scope.
pub async fn keys_are_found_by_hash_and_listed_by_age(store: &Arc<dyn Store>) {
    let keys = [
        key("zeta", 1, KeyScope::Operator),
        key("beta", 2, KeyScope::Account(account(1))),
        key("alpha", 3, KeyScope::Application),
        key("Alpha", 4, KeyScope::Finance),
    ];
    for index in [2, 0, 3, 1] {
        let made = keys.get(index).cloned().expect("one of them");
        store.create_key(made).await.expect("makes");
    }
    for made in &keys {
        assert_eq!(store.key(made.hash).await.expect("reads").as_ref(), Some(made));
    }
    assert_eq!(store.keys().await.expect("lists"), keys);
    assert_eq!(store.key(digest("key", 9)).await.expect("reads"), None);
    assert_eq!(store.key(B256::ZERO).await.expect("reads"), None);
}

/// A label names one key and a hash opens one.
pub async fn a_label_and_a_hash_belong_to_one_key(store: &Arc<dyn Store>) {
    let first = key("one", 1, KeyScope::Finance);
    store.create_key(first.clone()).await.expect("makes");
    let same_label = key("one", 2, KeyScope::Operator);
    let same_hash = key("two", 1, KeyScope::Operator);
    for taken in [same_label, same_hash] {
        let error = store.create_key(taken).await.expect_err("is taken");
        assert!(matches!(kind(&error), StoreErrorKind::Exists(_)), "{error:?}");
    }
    assert_eq!(store.keys().await.expect("lists"), [first]);
}

/// A revoked key keeps the time of its first revocation and its label.
pub async fn a_revoked_key_stays_revoked(store: &Arc<dyn Store>) {
    let first = key("one", 1, KeyScope::Finance);
    store.create_key(first.clone()).await.expect("makes");
    store.create_key(key("ONE", 2, KeyScope::Finance)).await.expect("makes");
    store.revoke_key("one", block_time(5)).await.expect("revokes");
    store.revoke_key("one", block_time(9)).await.expect("revokes again");
    let revoked = ApiKeyRecord { revoked_at: block_time(5), ..first.clone() };
    assert_eq!(store.key(first.hash).await.expect("reads"), Some(revoked));
    let other = store.key(digest("key", 2)).await.expect("reads").expect("is there");
    assert_eq!(other.revoked_at, Timestamp::FAR);
    let error = store.revoke_key("nobody", block_time(5)).await.expect_err("is none");
    assert!(matches!(kind(&error), StoreErrorKind::NotFound(_)), "{error:?}");
    let error = store.create_key(key("one", 3, KeyScope::Finance)).await.expect_err("is taken");
    assert!(matches!(kind(&error), StoreErrorKind::Exists(_)), "{error:?}");
}

fn response(body: &str) -> StoredResponse {
    StoredResponse {
        status: 201,
        content_type: "application/json".to_owned(),
        body: body.to_owned(),
    }
}

pub(super) async fn claim(
    store: &Arc<dyn Store>,
    scope: &str,
    key: &str,
    request: u64,
    (now, stale_before): (u64, u64),
) -> IdempotencyClaim {
    store
        .claim_idempotency(
            scope,
            key,
            digest("request", request),
            block_time(now),
            block_time(stale_before),
        )
        .await
        .expect("claims")
}

/// A claim is fresh once, then running, then answered with the first answer, for ever.
pub async fn a_claim_runs_until_it_is_answered(store: &Arc<dyn Store>) {
    use IdempotencyClaim::{Answered, Fresh, Running};
    let fresh_days = (10, 0);
    assert_eq!(claim(store, "app", "k", 1, fresh_days).await, Fresh);
    assert_eq!(claim(store, "app", "k", 1, fresh_days).await, Running);
    // The key belongs to its scope, byte for byte.
    assert_eq!(claim(store, "other", "k", 1, fresh_days).await, Fresh);
    assert_eq!(claim(store, "app", "K", 1, fresh_days).await, Fresh);
    let refusal = StoredResponse { status: 422, ..response("{\"code\":\"no\"}") };
    store.answer_idempotency("app", "k", refusal.clone()).await.expect("answers");
    store.answer_idempotency("app", "k", response("late")).await.expect("keeps the first");
    assert_eq!(claim(store, "app", "k", 1, fresh_days).await, Answered(refusal.clone()));
    // However old, an answer stays.
    assert_eq!(claim(store, "app", "k", 1, (900, 900)).await, Answered(refusal.clone()));
    store.abandon_idempotency("app", "k").await.expect("changes nothing");
    assert_eq!(claim(store, "app", "k", 1, fresh_days).await, Answered(refusal));
    assert_eq!(claim(store, "other", "k", 1, fresh_days).await, Running);
    let error = store.answer_idempotency("app", "unclaimed", response("")).await;
    let error = error.expect_err("nobody claimed it");
    assert!(matches!(kind(&error), StoreErrorKind::NotFound(_)), "{error:?}");
}

/// Another request under the same key is told apart, running, answered or stale.
pub async fn another_request_under_a_claimed_key_is_told_apart(store: &Arc<dyn Store>) {
    use IdempotencyClaim::{Fresh, OtherRequest};
    assert_eq!(claim(store, "app", "k", 1, (10, 0)).await, Fresh);
    assert_eq!(claim(store, "app", "k", 2, (10, 0)).await, OtherRequest);
    assert_eq!(claim(store, "app", "k", 2, (99, 90)).await, OtherRequest);
    store.answer_idempotency("app", "k", response("")).await.expect("answers");
    assert_eq!(claim(store, "app", "k", 2, (10, 0)).await, OtherRequest);
}

/// A claim that nobody answered is taken over once it is older than the limit, and is then as new.
pub async fn a_stale_claim_is_taken_over_by_the_same_request(store: &Arc<dyn Store>) {
    use IdempotencyClaim::{Fresh, Running};
    assert_eq!(claim(store, "app", "k", 1, (10, 0)).await, Fresh);
    assert_eq!(claim(store, "app", "k", 1, (20, 10)).await, Running);
    assert_eq!(claim(store, "app", "k", 1, (20, 11)).await, Fresh);
    assert_eq!(claim(store, "app", "k", 1, (21, 20)).await, Running);
    assert_eq!(claim(store, "app", "k", 1, (31, 21)).await, Fresh);
}

/// Abandoned without an answer, the key is free, also for another request.
pub async fn an_abandoned_claim_is_fresh_again(store: &Arc<dyn Store>) {
    use IdempotencyClaim::{Fresh, Running};
    store.abandon_idempotency("app", "k").await.expect("changes nothing");
    assert_eq!(claim(store, "app", "k", 1, (10, 0)).await, Fresh);
    assert_eq!(claim(store, "app", "l", 1, (10, 0)).await, Fresh);
    store.abandon_idempotency("app", "k").await.expect("abandons");
    assert_eq!(claim(store, "app", "k", 2, (10, 0)).await, Fresh);
    assert_eq!(claim(store, "app", "l", 1, (10, 0)).await, Running);
}

/// Texts come back byte for byte, and two that differ in any byte are two.
pub async fn texts_are_kept_byte_for_byte(store: &Arc<dyn Store>) {
    for (text, number) in ODD_TEXTS.into_iter().zip(1u64..) {
        let id = QuoteId::from_uuid(Uuid::from_u128(u128::from(number)));
        let kept = StoredQuote { id, body_json: text.to_owned(), ..quote(number) };
        store.save_quote(kept.clone()).await.expect("keeps");
        assert_eq!(store.quote(id).await.expect("reads"), Some(kept));
        assert_eq!(claim(store, text, text, 1, (10, 0)).await, IdempotencyClaim::Fresh, "{text:?}");
        let answer = StoredResponse { content_type: text.to_owned(), ..response(text) };
        store.answer_idempotency(text, text, answer.clone()).await.expect("answers");
        let found = claim(store, text, text, 1, (10, 0)).await;
        assert_eq!(found, IdempotencyClaim::Answered(answer));
        let labelled = key(text, number, KeyScope::Finance);
        store.create_key(labelled.clone()).await.expect("makes");
        assert_eq!(store.key(labelled.hash).await.expect("reads"), Some(labelled));
        store.save_quote(quote(number)).await.expect("keeps");
        let asked = NewOrder { terms: terms(number), request_key: Some(text.to_owned()) };
        let made = store.create_order(asked).await.expect("makes");
        assert_eq!(made.terms.id, terms(number).id, "{text:?}");
        let named = RateSample { source: text.to_owned(), ..sample("", "1", number) };
        store.save_rates(vec![(usdt(), named.clone())]).await.expect("keeps");
        let found = store.rates_at(vec![(usdt(), block_time(number))]).await.expect("reads");
        assert_eq!(found, [Some(named)]);
    }
    let long = "\u{1F980}".repeat(250_000);
    let kept = StoredQuote { body_json: long, ..quote(990) };
    store.save_quote(kept.clone()).await.expect("keeps");
    assert_eq!(store.quote(kept.id).await.expect("reads"), Some(kept));
}
