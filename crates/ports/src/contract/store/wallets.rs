//! Facts of wallets and claims: what buyers have shown.

use std::sync::Arc;

use inspay_ledger::FreePlanDue;
use inspay_primitives::{Address, OrderTerms, U256};
use tokio::task::JoinSet;

use crate::{
    AttributionProbe, FoundBy, Linked, PaymentClaim, Store, StoreErrorKind, WalletChallenge,
    WalletLinking, WalletProof,
    contract::{
        samples::{
            CHAIN, Follower, account, applied, block, block_time, digest, free_plan, inspi,
            ordered, ordered_as, paid, terms, usdt,
        },
        teller::{settle_alone, settle_for, write},
    },
};

/// Who pays in these facts.
const PAYER: Address = Address::repeat_byte(0xaa);

fn challenge(number: u64, of: u64) -> WalletChallenge {
    WalletChallenge {
        nonce: format!("nonce{number:08}"),
        account: account(of),
        chain_id: CHAIN,
        wallet: PAYER,
        issued_at: block_time(1),
        expires_at: block_time(5),
    }
}

fn linking(number: u64) -> WalletLinking {
    let nonce = challenge(number, 0).nonce;
    WalletLinking { nonce, proof: WalletProof::Key, free_plan: None, at: block_time(2) }
}

async fn link(store: &Arc<dyn Store>, number: u64, of: u64) -> Linked {
    store.open_challenge(challenge(number, of)).await.expect("keeps");
    store.link_wallet(linking(number)).await.expect("links")
}

/// A challenge is kept as it was made, and used once, in time.
pub async fn a_challenge_is_used_once(store: &Arc<dyn Store>) {
    assert_eq!(store.challenge("nonce00000001").await.expect("reads"), None);
    assert_eq!(store.link_wallet(linking(1)).await.expect("looks"), Linked::Spent);
    store.open_challenge(challenge(1, 1)).await.expect("keeps");
    let again = store.open_challenge(challenge(1, 2)).await.expect_err("is taken");
    assert!(matches!(again.kind, StoreErrorKind::Exists("challenge")), "{again:?}");
    assert_eq!(store.challenge("nonce00000001").await.expect("reads"), Some(challenge(1, 1)));
    let late = WalletLinking { at: block_time(5), ..linking(1) };
    assert_eq!(store.link_wallet(late).await.expect("looks"), Linked::Spent);
    let Linked::Proven(record) = store.link_wallet(linking(1)).await.expect("links") else {
        unreachable!("it was in time");
    };
    assert_eq!((record.account.clone(), record.wallet), (account(1), PAYER));
    assert_eq!((record.linked_at, record.unlinked_at), (block_time(2), None));
    assert_eq!(store.link_wallet(linking(1)).await.expect("looks"), Linked::Spent);
    assert_eq!(store.wallets(&account(1)).await.expect("lists"), [record]);
    assert_eq!(store.challenge("nonce00000001").await.expect("reads"), Some(challenge(1, 1)));
}

/// Of many attempts with one nonce, one proves the wallet.
pub async fn of_many_uses_of_a_challenge_one_counts(store: &Arc<dyn Store>) {
    store.open_challenge(challenge(1, 1)).await.expect("keeps");
    let mut uses = JoinSet::new();
    for _ in 0..8 {
        let store = Arc::clone(store);
        uses.spawn(async move { store.link_wallet(linking(1)).await.expect("links") });
    }
    let outcomes = uses.join_all().await;
    let proven = outcomes.iter().filter(|outcome| matches!(outcome, Linked::Proven(_)));
    assert_eq!(proven.count(), 1, "{outcomes:?}");
}

/// A wallet that belongs to one account is not given to another; to its own it is proven once more.
pub async fn a_wallet_belongs_to_one_account(store: &Arc<dyn Store>) {
    assert_eq!(store.wallet_owner(CHAIN, PAYER).await.expect("looks"), None);
    let first = link(store, 1, 1).await;
    assert!(matches!(first, Linked::Proven(_)));
    assert_eq!(link(store, 2, 2).await, Linked::BelongsToAnother);
    assert_eq!(store.link_wallet(linking(2)).await.expect("looks"), Linked::Spent);
    assert_eq!(link(store, 3, 1).await, first);
    assert_eq!(store.wallet_owner(CHAIN, PAYER).await.expect("looks"), Some(account(1)));
    assert_eq!(store.wallets(&account(2)).await.expect("lists"), []);
}

/// Of many accounts that prove one wallet at once, one gets it.
pub async fn of_many_accounts_one_gets_the_wallet(store: &Arc<dyn Store>) {
    let mut links = JoinSet::new();
    for number in 1..=8 {
        let store = Arc::clone(store);
        links.spawn(async move { link(&store, number, number).await });
    }
    let outcomes = links.join_all().await;
    let proven = outcomes.iter().filter(|outcome| matches!(outcome, Linked::Proven(_)));
    assert_eq!(proven.count(), 1, "{outcomes:?}");
    let others = outcomes.iter().filter(|outcome| **outcome == Linked::BelongsToAnother);
    assert_eq!(others.count(), 7, "{outcomes:?}");
}

/// A wallet that was let go of may be proven by another account; its history stays.
pub async fn a_wallet_that_was_let_go_of_is_free(store: &Arc<dyn Store>) {
    link(store, 1, 1).await;
    let unlink = |of: u64, at: u64| {
        let (store, account) = (Arc::clone(store), account(of));
        async move { store.unlink_wallet(&account, CHAIN, PAYER, block_time(at)).await.expect("acts") }
    };
    assert!(!unlink(2, 3).await);
    assert!(unlink(1, 3).await);
    assert!(!unlink(1, 4).await);
    assert_eq!(store.wallet_owner(CHAIN, PAYER).await.expect("looks"), None);
    assert!(matches!(link(store, 2, 2).await, Linked::Proven(_)));
    let kept = store.wallets(&account(1)).await.expect("lists");
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].unlinked_at, Some(block_time(3)));
    assert_eq!(store.wallet_owner(CHAIN, PAYER).await.expect("looks"), Some(account(2)));
}

fn probe(order: &OrderTerms) -> AttributionProbe {
    AttributionProbe {
        asset: order.asset,
        treasury: order.treasury,
        base_units: U256::from(1),
        reference: None,
        payer: PAYER,
        tx_hash: digest("tx", 1),
        block_time: order.created_at,
    }
}

async fn found(
    store: &Arc<dyn Store>,
    probe: AttributionProbe,
) -> Vec<(inspay_primitives::OrderId, FoundBy)> {
    let orders = store.orders_for(vec![probe]).await.expect("looks");
    let mut found: Vec<_> =
        orders.into_iter().map(|found| (found.order.terms.id, found.found_by)).collect();
    found.sort_unstable();
    found
}

/// The unpaid orders of whoever has proven the payer are found, in time and in that asset and treasury alone.
pub async fn orders_are_found_by_who_paid(store: &Arc<dyn Store>) {
    let own = OrderTerms { account: account(1), ..terms(1) };
    let own = ordered_as(store, own).await;
    ordered_as(store, OrderTerms { account: account(2), ..terms(2) }).await;
    assert_eq!(found(store, probe(&own)).await, []);
    link(store, 1, 1).await;
    assert_eq!(found(store, probe(&own)).await, [(own.id, FoundBy::Payer(PAYER))]);
    let last = AttributionProbe { block_time: own.in_time_until(), ..probe(&own) };
    assert_eq!(found(store, last).await.len(), 1);
    let late = own.in_time_until().plus_seconds(1);
    let others = [
        AttributionProbe { block_time: late, ..probe(&own) },
        AttributionProbe { asset: inspi(), ..probe(&own) },
        AttributionProbe { treasury: Address::ZERO, ..probe(&own) },
        AttributionProbe { payer: Address::ZERO, ..probe(&own) },
    ];
    for other in others {
        assert_eq!(found(store, other).await, [], "{other:?}");
    }
    // Found both ways, told both times.
    let exact = AttributionProbe { base_units: own.due_base_units, ..probe(&own) };
    assert_eq!(
        found(store, exact).await,
        [(own.id, FoundBy::Terms), (own.id, FoundBy::Payer(PAYER))]
    );
    let at = block("a", 1);
    let payment = paid(1, own.asset, own.due_base_units, at, 1);
    Follower::new(store).extend(vec![applied(at, vec![payment])]).await;
    write(store, vec![settle_for(&payment, 0, &own)], block_time(3)).await;
    assert_eq!(found(store, probe(&own)).await, []);
}

/// What was claimed for a chain transaction is found, and whether its account has proven the payer.
pub async fn orders_are_found_by_what_was_claimed(store: &Arc<dyn Store>) {
    let own = ordered_as(store, OrderTerms { account: account(1), ..terms(1) }).await;
    let tx_hash = digest("tx", 1);
    let claim = PaymentClaim { order: own.id, chain_id: CHAIN, tx_hash, claimed_at: block_time(2) };
    assert!(store.claim_payment(claim.clone()).await.expect("keeps"));
    let later = PaymentClaim { claimed_at: block_time(3), ..claim.clone() };
    assert!(!store.claim_payment(later).await.expect("looks"));
    assert_eq!(store.payment_claims(own.id).await.expect("lists"), [claim]);
    let alone = FoundBy::Claim { tx_hash, payer: None };
    assert_eq!(found(store, probe(&own)).await, [(own.id, alone)]);
    let elsewhere = AttributionProbe { tx_hash: digest("tx", 2), ..probe(&own) };
    assert_eq!(found(store, elsewhere).await, []);
    // Another account's proof proves nothing for this order.
    link(store, 1, 2).await;
    assert_eq!(found(store, probe(&own)).await, [(own.id, alone)]);
    assert!(store.unlink_wallet(&account(2), CHAIN, PAYER, block_time(3)).await.expect("acts"));
    link(store, 2, 1).await;
    let proven = FoundBy::Claim { tx_hash, payer: Some(PAYER) };
    assert_eq!(
        found(store, probe(&own)).await,
        [(own.id, FoundBy::Payer(PAYER)), (own.id, proven)]
    );
}

/// A proof and a claim have what lies in suspense judged again; what is attributed is left alone.
pub async fn what_was_not_attributed_is_judged_again(store: &Arc<dyn Store>) {
    let own = ordered(store, 1).await;
    let at = block("a", 1);
    let payer = paid(1, usdt(), own.due_base_units, at, 1).counterparty;
    let alone = paid(1, usdt(), U256::from(5), at, 1);
    let attributed = paid(2, usdt(), own.due_base_units, at, 2);
    let waiting = paid(3, usdt(), U256::from(6), at, 3);
    let mut follower = Follower::new(store);
    follower.extend(vec![applied(at, vec![alone, attributed, waiting])]).await;
    let operations = vec![settle_alone(&alone, 0), settle_for(&attributed, 0, &own)];
    write(store, operations, block_time(3)).await;
    let due = async || {
        let due = store.transfers_to_rejudge(CHAIN, 9).await.expect("finds");
        let mut due: Vec<_> = due.iter().map(|record| record.transfer.key.id()).collect();
        due.sort_unstable();
        due
    };
    assert_eq!(due().await, []);
    let claim = PaymentClaim {
        order: own.id,
        chain_id: CHAIN,
        tx_hash: alone.key.tx_hash,
        claimed_at: block_time(4),
    };
    store.claim_payment(claim).await.expect("keeps");
    assert_eq!(due().await, [alone.key.id()]);
    store.rejudged(due().await).await.expect("notes");
    assert_eq!(due().await, []);
    // All three came from one wallet in the samples, or the proof could not find them.
    assert!([alone, attributed, waiting].iter().all(|paid| paid.counterparty == payer));
    let proof = WalletChallenge { wallet: payer, ..challenge(1, 1) };
    store.open_challenge(proof).await.expect("keeps");
    store.link_wallet(linking(1)).await.expect("links");
    assert_eq!(due().await, [alone.key.id()]);
    // What waits is noted too, and due once it lies in suspense.
    write(store, vec![settle_alone(&waiting, 0)], block_time(5)).await;
    let mut both = [alone.key.id(), waiting.key.id()];
    both.sort_unstable();
    assert_eq!(due().await, both);
}

/// A wallet that is proven brings its free plan in the same commit, to whoever proved it first, until it is noted.
pub async fn a_proven_wallets_free_plan_is_due_until_it_is_noted(store: &Arc<dyn Store>) {
    let bring = async |number: u64, of: u64, wallet: Address, credits: i64| {
        let proof = WalletChallenge { wallet, ..challenge(number, of) };
        store.open_challenge(proof).await.expect("keeps");
        let terms = free_plan(credits);
        let linking = WalletLinking { free_plan: Some(terms), ..linking(number) };
        let linked = store.link_wallet(linking).await.expect("links");
        (linked, FreePlanDue { wallet, account: account(of), terms })
    };
    let due = async |limit: u32| store.free_plans_due(limit).await.expect("finds");
    link(store, 1, 1).await;
    assert_eq!(due(9).await, [], "none was brought");
    let (_, first) = bring(2, 1, PAYER, 5).await;
    assert_eq!(due(9).await, std::slice::from_ref(&first));
    // Neither what another would bring nor the same again takes its place.
    assert_eq!(bring(3, 2, PAYER, 6).await.0, Linked::BelongsToAnother);
    bring(4, 1, PAYER, 7).await;
    assert!(store.unlink_wallet(&account(1), CHAIN, PAYER, block_time(3)).await.expect("acts"));
    assert!(matches!(bring(5, 2, PAYER, 8).await.0, Linked::Proven(_)));
    assert_eq!(due(9).await, std::slice::from_ref(&first));
    let (_, second) = bring(6, 2, Address::repeat_byte(0xbb), 9).await;
    assert_eq!(due(9).await, [first.clone(), second.clone()]);
    assert_eq!(due(1).await, [first]);
    store.note_free_plans(vec![PAYER, Address::ZERO]).await.expect("notes");
    assert_eq!(due(9).await, std::slice::from_ref(&second));
    let spent = WalletLinking { free_plan: Some(free_plan(10)), ..linking(1) };
    assert_eq!(store.link_wallet(spent).await.expect("looks"), Linked::Spent);
    store.note_free_plans(vec![second.wallet]).await.expect("notes");
    assert_eq!(due(9).await, []);
}
