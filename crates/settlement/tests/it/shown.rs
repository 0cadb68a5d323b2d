//! What lies in suspense, and what its payer shows later.

use inspay_ledger::SettlementKind;
use inspay_ports::{
    CaseFilter, CaseRecord, Page, PaymentClaim, TransferFilter, TransferView, WalletChallenge,
    WalletLinking, WalletProof, contract::samples,
};
use inspay_primitives::{
    AccountId, CaseKind, Clock as _, OrderState, OrderTerms, Timestamp, Transfer, U256,
};

use crate::world::{World, applied, block, world};

const SOON: i64 = 600;

/// An odd payment that names no order.
fn odd(tx: u64) -> Transfer {
    let paid = samples::paid(tx, samples::usdt(), U256::from(1_234_567), block("a", 5), 0);
    Transfer { reference: Some(None), ..paid }
}

impl World {
    async fn mined(&mut self, transfer: Transfer) {
        self.follower.extend(vec![applied(block("a", 5), vec![transfer])]).await;
        self.empty("a", 6..=8).await;
    }

    async fn prove(&self, account: &AccountId, paid: &Transfer) {
        let at: Timestamp = self.clock.now();
        let nonce = format!("nonce of {account}");
        let challenge = WalletChallenge {
            nonce: nonce.clone(),
            account: account.clone(),
            chain_id: paid.key.chain_id,
            wallet: paid.counterparty,
            issued_at: at,
            expires_at: at.plus_seconds(SOON),
        };
        self.store.open_challenge(challenge).await.expect("keeps a challenge");
        let linking = WalletLinking { nonce, proof: WalletProof::Key, at };
        self.store.link_wallet(linking).await.expect("links a wallet");
    }

    async fn claim(&self, order: &OrderTerms, paid: &Transfer) {
        let claim = PaymentClaim {
            order: order.id,
            chain_id: paid.key.chain_id,
            tx_hash: paid.key.tx_hash,
            claimed_at: self.clock.now(),
        };
        assert!(self.store.claim_payment(claim).await.expect("keeps a claim"));
    }

    async fn view(&self) -> TransferView {
        let page = Page { after: None, limit: 2 };
        let mut views =
            self.store.transfers(TransferFilter::default(), page).await.expect("reads transfers");
        assert_eq!(views.len(), 1, "{views:?}");
        views.remove(0)
    }

    async fn kind(&self) -> SettlementKind {
        self.view().await.settlement.expect("is settled").kind
    }

    async fn cases(&self) -> Vec<CaseRecord> {
        let page = Page { after: None, limit: 10 };
        let filter = CaseFilter { kind: Some(CaseKind::Suspense), open_only: false };
        self.store.cases(filter, page).await.expect("reads cases")
    }
}

#[tokio::test]
async fn a_proven_wallet_takes_its_earlier_payment_out_of_suspense() {
    let mut world = world();
    let order = samples::ordered(&world.store, 1).await;
    let paid = odd(9);
    world.mined(paid).await;
    assert_eq!((world.step().await.settled, world.kind().await), (1, SettlementKind::Suspense));
    world.prove(&order.account, &paid).await;
    assert_eq!(world.step().await.reopened, 1);
    assert_eq!(world.step().await.settled, 1);
    assert_eq!(world.kind().await, SettlementKind::Order);
    assert_eq!(world.state(&order).await, OrderState::PartiallyPaid);
    assert!(!world.step().await.did_something());
    world.must_hold().await;
}

#[tokio::test]
async fn somebody_elses_wallet_changes_nothing() {
    let mut world = world();
    let order = samples::ordered(&world.store, 1).await;
    let paid = odd(9);
    world.mined(paid).await;
    assert_eq!(world.step().await.settled, 1);
    let stranger: AccountId = "stranger".parse().expect("an account");
    assert_ne!(stranger, order.account);
    world.prove(&stranger, &paid).await;
    assert!(!world.step().await.did_something());
    assert_eq!(world.kind().await, SettlementKind::Suspense);
    assert!(world.cases().await.is_empty());
}

#[tokio::test]
async fn a_claim_alone_opens_a_case_and_the_proof_of_the_wallet_resolves_it() {
    let mut world = world();
    let older = samples::ordered(&world.store, 1).await;
    let meant = samples::ordered_as(
        &world.store,
        OrderTerms { account: older.account.clone(), ..samples::terms(2) },
    )
    .await;
    let paid = odd(9);
    world.mined(paid).await;
    assert_eq!(world.step().await.settled, 1);
    world.claim(&meant, &paid).await;
    assert_eq!(world.step().await.reopened, 1);
    assert_eq!((world.step().await.settled, world.kind().await), (1, SettlementKind::Suspense));
    let [case] = &world.cases().await[..] else { panic!("no case or several") };
    assert_eq!((&case.opening.subject, &case.resolved), (&paid.key.id().to_string(), &None));
    assert!(case.opening.body_json.contains(&meant.id.to_string()), "{}", case.opening.body_json);
    assert_eq!(world.view().await.settlement.expect("is settled").candidates, [meant.id]);
    assert!(!world.step().await.did_something(), "the same claim is not judged again");

    world.prove(&meant.account, &paid).await;
    assert_eq!(world.step().await.reopened, 1);
    assert_eq!(world.step().await.settled, 1);
    assert_eq!(world.state(&meant).await, OrderState::PartiallyPaid);
    assert_eq!(world.state(&older).await, OrderState::Open, "the claim says which");
    let [case] = &world.cases().await[..] else { panic!("no case or several") };
    assert!(case.resolved.is_some());
    world.must_hold().await;
}

#[tokio::test]
async fn a_claim_before_the_payment_opens_the_case_when_it_is_settled() {
    let mut world = world();
    let order = samples::ordered(&world.store, 1).await;
    let paid = odd(9);
    world.claim(&order, &paid).await;
    assert!(!world.step().await.did_something());
    world.mined(paid).await;
    assert_eq!(world.step().await.settled, 1);
    assert_eq!(world.cases().await.len(), 1);
    let left = [5, 6, 7, 8].map(|number| block("a", number));
    world.follower.swap(&left, vec![applied(block("b", 5), Vec::new())]).await;
    assert_eq!(world.step().await.reversed, 1);
    assert!(world.cases().await[0].resolved.is_some(), "what is not on the chain is nobody's");
    world.must_hold().await;
}

#[tokio::test]
async fn what_leaves_the_chain_before_it_is_judged_again_is_taken_back_once() {
    let mut world = world();
    let order = samples::ordered(&world.store, 1).await;
    let paid = odd(9);
    world.mined(paid).await;
    assert_eq!(world.step().await.settled, 1);
    let left = [5, 6, 7, 8].map(|number| block("a", number));
    world.follower.swap(&left, vec![applied(block("b", 5), Vec::new())]).await;
    world.prove(&order.account, &paid).await;
    let report = world.step().await;
    assert_eq!((report.reversed, report.reopened), (1, 0));
    let again = samples::seen_again(paid, block("b", 6), 0);
    world.follower.extend(vec![applied(block("b", 6), vec![again])]).await;
    world.empty("b", 7..=9).await;
    assert_eq!(world.step().await.settled, 1);
    assert_eq!(world.kind().await, SettlementKind::Order);
    assert!(!world.step().await.did_something());
    world.must_hold().await;
}
